"""Pieces of a run on other machines, by Dask."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.inference.pieces import Compute, Task
from bknn.run.worker import checksum, compute, order

#: Seconds to wait for a scheduler that does not answer.
_PATIENCE = 30


class Cluster:
    """A `bknn.inference.pieces.Pool` of the workers of a Dask scheduler.

    A piece whose worker was lost is computed again by another one. Results come back here; workers
    write nothing.

    Args:
        where: the address of a scheduler. For `tls://` the certificates are those of Dask's
            configuration, and nothing is sent without them.

    Raises:
        RunError: Dask is not installed, the address is none, or nobody answers there.
    """

    def __init__(self, where: str) -> None:
        if "://" not in where:
            raise errors.RunError(
                f"--scheduler {where!r} is neither 'local:N' with a number of processes nor the "
                "address of a Dask scheduler, as in 'tls://HOST:8786'."
            )
        try:
            from distributed import Client, Security
        except ImportError:
            raise errors.RunError(
                "--scheduler needs Dask for other machines, which is not installed; install it "
                "with: pip install 'bknn[distributed]'."
            ) from None
        # What it would say is said in a sentence, below.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        safe = where.startswith("tls://")
        if not safe:
            print(
                f"bknn: {where} asks for no credentials: whoever reaches such a port can run "
                "programs as you; docs/runs.md says how to have tls://.",
                file=sys.stderr,
            )
        try:
            security = Security(require_encryption=True) if safe else None
            self._client: Any = Client(where, timeout=_PATIENCE, security=security)
        except (OSError, ValueError, TypeError, RuntimeError) as problem:
            raise errors.RunError(
                f"--scheduler {where}: no Dask scheduler answers there ({problem}); start one with "
                "'dask scheduler', or compute here without the option."
            ) from None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def each(
        self, piece: Compute, analysis: Analysis, tasks: Sequence[Task]
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
        content = cloudpickle.dumps(order(analysis))
        # A task of its own: sent once, and made again if the worker that has it is lost.
        shared = self._client.submit(bytes, content, key=f"analysis-{checksum(content)}")
        number = {
            self._client.submit(compute, shared, piece, dict(task), pure=False): i
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
