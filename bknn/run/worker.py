"""What computes pieces elsewhere: the same analysis, made again, and checked to be the same."""

from __future__ import annotations

import hashlib
import os
import pickle
import queue
import socket
import sys
import threading
from typing import IO, Any

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.inference.pieces import Compute, Task
from bknn.storage.changes import changes
from bknn.storage.identity import differences, parts
from bknn.storage.machine import versions


def order(analysis: Analysis) -> tuple[Any, ...]:
    """Return what is sent of an analysis: versions on which numbers depend, what it is made of, and
    what that consists of. Itself it holds compiled programs, which stay here."""
    # Not the texts of priors, which may name a function of a file that is only here.
    priors = {p.name: p.prior for p in analysis.parameters if p.name in analysis.priors}
    options = {**analysis.options, "priors": priors}
    return packages(), (analysis.model, analysis.measurements, options), parts(analysis)


def packages() -> dict[str, str]:
    """Return the versions on which numbers depend."""
    found = versions()
    return {"bknn": found["version"], **found["packages"]}


def checksum(content: bytes) -> str:
    """Return what tells one order from others."""
    return hashlib.sha256(content).hexdigest()


#: The analysis that this worker worked on last, and its checksum.
_LAST: dict[str, Analysis] = {}
_ONE = threading.Lock()


def compute(content: bytes, piece: Compute, task: Task) -> dict[str, np.ndarray]:
    """Compute a piece of an order; what is compiled serves all pieces of it.

    Raises:
        RunError: versions differ here, or the analysis is another one.
    """
    from bknn.precision import prepare

    with _ONE:
        prepare()
        name = checksum(content)
        if name not in _LAST:
            wanted, (model, measurements, options), meant = pickle.loads(content)
            if changed := changes(wanted, packages()):
                raise errors.RunError(
                    f"a worker on {socket.gethostname()} is not like the process that asks: "
                    f"{', '.join(changed)}. Install the same versions everywhere."
                )
            made = Analysis(model, measurements, **options)
            if found := differences(meant, parts(made), "{} where it is asked, {} on the worker"):
                raise errors.RunError(
                    f"a worker on {socket.gethostname()} computes something else: {found}. Modules "
                    "of one's own must be the same everywhere."
                )
            _LAST.clear()
            _LAST[name] = made
        return dict(piece(_LAST[name], progress=None, **task))


# A process that is asked by its parent -----------------------------------------------------------


def send(stream: IO[bytes], message: bytes) -> None:
    """Write a message, its length before it."""
    stream.write(len(message).to_bytes(8, "big") + message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Read a message.

    Raises:
        EOFError: who writes is gone.
    """
    size = stream.read(8)
    message = stream.read(int.from_bytes(size, "big")) if len(size) == 8 else b""
    if len(size) < 8 or len(message) < int.from_bytes(size, "big"):
        raise EOFError
    return message


def serve() -> None:
    """Compute what standard input asks for, until it ends: then the parent is gone."""
    asked = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed is no answer
    sys.stdout = sys.stderr
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                waiting.put(receive(asked))
        except (EOFError, OSError):
            os._exit(0)  # in the middle of a piece, too: nobody waits for it

    threading.Thread(target=listen, daemon=True).start()
    while True:
        send(answers, _answer(waiting.get()))


def _answer(message: bytes) -> bytes:
    """Return what a piece came to: its arrays, or what was raised."""
    try:
        return pickle.dumps((True, compute(*pickle.loads(message))))
    except errors.BknnError as problem:
        return pickle.dumps((False, problem))
    except Exception as problem:
        text = f"{type(problem).__name__}: {problem}"
        return pickle.dumps((False, errors.RunError(f"a process raised {text}.")))
