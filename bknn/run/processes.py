"""Pieces of a run in several processes of this machine.

A process is asked through pipes that only it and this process have: there is no port, no socket
with a name, nothing that anybody else could write to.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.inference.pieces import Compute, Task
from bknn.run.worker import order, receive, send

#: Processes that a piece may cost before it is given up.
_MOST_LOST = 3

#: Ctrl-C goes to all processes of a terminal; what it means is up to the one that was started.
_PROGRAM = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
_PROGRAM += "from bknn.run.worker import serve; serve()"


class Processes:
    """A `bknn.inference.pieces.Pool` of processes.

    A piece whose process was killed is computed again by another one.

    Args:
        number: of processes.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._idle: list[_Process] = []
        self._busy: dict[_Process, int] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._idle, *self._busy):
            process.end()
        self._idle, self._busy = [], {}

    def each(
        self, compute: Compute, analysis: Analysis, tasks: Sequence[Task]
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yield the number of a task and its result, in the order in which they are done.

        Raises:
            RunError: a piece cost several processes their life, or cannot be sent to one.
            BknnError: what a process raised.
        """
        content = _sent(order(analysis))
        waiting, lost = deque(range(len(tasks))), Counter[int]()
        try:
            while waiting or self._busy:
                while waiting and len(self._busy) < self.number:
                    i = waiting.popleft()
                    self._ask(i, _sent((content, compute, dict(tasks[i]))))
                for process in self._heard():
                    i = self._busy.pop(process)
                    try:
                        right, found = pickle.loads(receive(process.answers))
                    except (EOFError, OSError):
                        lost[i] += 1
                        if lost[i] == _MOST_LOST:
                            raise _given_up(process.end()) from None
                        process.end()
                        waiting.appendleft(i)
                        continue
                    self._idle.append(process)
                    if not right:
                        raise found
                    yield i, found
        finally:
            for process in self._busy:  # on what nobody waits for any more
                process.end()
            self._busy = {}

    def _ask(self, i: int, message: bytes) -> None:
        """Give a piece to a process; one that died meanwhile is noticed where it is listened to."""
        process = self._idle.pop() if self._idle else _Process()
        self._busy[process] = i
        process.ask(message)

    def _heard(self) -> list[_Process]:
        """Wait for processes that have an answer, or are gone."""
        with selectors.DefaultSelector() as selector:
            for process in self._busy:
                selector.register(process.answers, selectors.EVENT_READ, process)
            return [key.data for key, _ in selector.select()]


class _Process:
    """A process that computes one piece after the other."""

    def __init__(self) -> None:
        # What is imported here is imported there, and nothing from the folder where one stands.
        paths = os.pathsep.join(path for path in sys.path if path)
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._asks: IO[bytes] = self._popen.stdin
        self.answers: IO[bytes] = self._popen.stdout

    def ask(self, message: bytes) -> None:
        try:
            send(self._asks, message)
        except OSError:  # it is gone, which its answer will say
            return

    def end(self) -> int:
        """Kill it, and return how it had ended or ends now."""
        self._popen.kill()
        code = self._popen.wait()
        for stream in (self._asks, self.answers):
            try:
                stream.close()
            except OSError:  # what was not sent
                continue
        return code


def _sent(what: Any) -> bytes:
    try:
        return pickle.dumps(what)
    except (pickle.PicklingError, AttributeError, TypeError) as problem:
        raise errors.RunError(
            f"the run cannot be sent to other processes ({problem}); compute it here, without "
            "--scheduler."
        ) from None


def _given_up(code: int) -> errors.RunError:
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
    return errors.RunError(
        f"a piece of the run was given up: {_MOST_LOST} processes on it ended before they were "
        f"through, the last by {how}; there may be too little memory for so many. What is done is "
        "kept: go on with --resume and a smaller number."
    )


def processes(where: str) -> Any:
    """Return the pool for "local:N".

    Raises:
        RunError: N is no number of processes.
    """
    number = where.partition(":")[2]
    if not number.isdecimal() or not 0 < int(number) <= _MOST:
        raise errors.RunError(
            f"--scheduler {where!r}: 'local:N' is for a number of processes from 1 to {_MOST}."
        )
    return Processes(int(number))


#: More processes on one machine are a slip of the keyboard.
_MOST = 1024
