"""Pieces of a run on other processes and machines, by Dask."""

from __future__ import annotations

import hashlib
import logging
import pickle
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.inference.pieces import Compute, Task
from bknn.storage.changes import changes
from bknn.storage.identity import differences, parts

#: Seconds to wait for a scheduler that does not answer.
_PATIENCE = 30


class Cluster:
    """A `bknn.inference.pieces.Pool` of the workers of a Dask scheduler.

    A piece whose worker was lost is computed again by another one. Results come back here; workers
    write nothing.

    Args:
        where: "local:N" for N processes on this machine, or the address of a scheduler.

    Raises:
        RunError: Dask is not installed, the address is none, or nobody answers there.
    """

    def __init__(self, where: str) -> None:
        kind, _, rest = where.partition(":")
        local = kind == "local" and rest.isdigit() and int(rest) > 0
        if not local and "://" not in where:
            raise errors.RunError(
                f"--scheduler {where!r} is neither 'local:N' with a number of processes nor the "
                "address of a Dask scheduler, as in 'tcp://HOST:8786'."
            )
        try:
            from distributed import Client, LocalCluster
        except ImportError:
            raise errors.RunError(
                "--scheduler needs Dask, which is not installed; install it with: pip install "
                "'bknn[distributed]'."
            ) from None
        # What it would say is said in a sentence, below.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._processes: Any = None
        try:
            if local:
                self._processes = LocalCluster(
                    n_workers=int(rest),
                    threads_per_worker=1,
                    memory_limit=None,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            self._client: Any = Client(self._processes or where, timeout=_PATIENCE)
        except (OSError, ValueError) as problem:
            raise errors.RunError(
                f"--scheduler {where}: no Dask scheduler answers there ({problem}); start one with "
                "'dask scheduler', or compute here without the option."
            ) from None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        if self._processes is not None:
            self._processes.close()

    def each(
        self, compute: Compute, analysis: Analysis, tasks: Sequence[Task]
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yield the number of a task and its result, in the order in which they are done.

        Raises:
            RunError: a piece cost several workers their life, or the scheduler is gone.
            BknnError: what a worker raised.
        """
        import cloudpickle
        from distributed import KilledWorker, as_completed
        from distributed.comm import CommClosedError

        if not self._client.scheduler_info()["workers"]:
            print("bknn: waiting for workers", file=sys.stderr)
        content = cloudpickle.dumps((_packages(), recipe(analysis), parts(analysis)))
        # A task of its own: sent once, and made again if the worker that has it is lost.
        shared = self._client.submit(bytes, content, key=f"analysis-{_sum(content)}")
        number = {
            self._client.submit(_on_worker, shared, compute, dict(task), pure=False): i
            for i, task in enumerate(tasks)
        }
        try:
            for future in as_completed(number):
                yield number.pop(future), future.result()
        except KilledWorker as problem:
            raise errors.RunError(
                f"a piece of the run was given up after the workers on it were lost ({problem}); "
                "workers may have too little memory. What is done is kept: go on with --resume."
            ) from None
        except (CancelledError, CommClosedError):
            raise errors.RunError(
                "the Dask scheduler is gone, and with it what it had been given to do. What is "
                "done is kept: go on with --resume."
            ) from None
        finally:
            self._client.cancel(list(number))


def _packages() -> dict[str, str]:
    """Return the versions on which numbers depend."""
    from bknn.storage.machine import versions

    found = versions()
    return {"bknn": found["version"], **found["packages"]}


def recipe(analysis: Analysis) -> tuple[Any, ...]:
    """Return what an analysis is made of; itself it holds compiled programs, which stay here."""
    # Not their texts, which may name a function of a file that is only here.
    priors = {p.name: p.prior for p in analysis.parameters if p.name in analysis.priors}
    return analysis.model, analysis.measurements, {**analysis.options, "priors": priors}


#: The analysis that this worker worked on last, and its checksum.
_LAST: dict[str, Analysis] = {}
_ONE = threading.Lock()


def _on_worker(content: bytes, compute: Compute, task: Task) -> dict[str, np.ndarray]:
    """Compute a piece on a worker; it compiles once for all pieces of an analysis."""
    from bknn.precision import prepare

    with _ONE:
        prepare()
        name = _sum(content)
        if name not in _LAST:
            wanted, (model, measurements, options), meant = pickle.loads(content)
            if changed := changes(wanted, _packages()):
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
        return dict(compute(_LAST[name], progress=None, **task))


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
