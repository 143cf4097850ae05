"""Long computations in pieces: each is kept when it is complete, and may be done elsewhere.

A piece is a function of an analysis and of numbers and of nothing else, so it does not matter when,
where, or how often it is computed. How a computation is cut does not depend on what has been done
or on who does it: an interrupted run that goes on, and one on a cluster, find what an undisturbed
one finds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.outline import content
from bknn.storage.identity import differences
from bknn.storage.machine import machine
from bknn.storage.store import Arrays, Store
from bknn.version import VERSION

#: Reports how much more is done.
Progress = Callable[[int], None]

#: compute(analysis, progress=..., **task) -> arrays; a function of a module.
Compute = Callable[..., Arrays]

#: The arguments of a piece: numbers, texts, None, arrays, and tables and lists of them.
Task = Mapping[str, Any]


def kept_before(progress: Progress, more: int) -> None:
    """Report what was done by an earlier run; bars leave it out of their rates."""
    getattr(progress, "kept", progress)(more)


class Pool(Protocol):
    """Other processes that compute pieces."""

    def each(
        self, compute: Compute, analysis: Analysis, tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Arrays]]:
        """Yield the number of a task and its result, in the order in which they are done."""
        ...


@dataclass(frozen=True)
class Work:
    """Where pieces are kept and who computes them; with neither, they are computed here and now.

    It is a `Store`, too, whose names begin with `place`.

    Attributes:
        store: keeps pieces that are complete.
        pool: computes them.
        place: what the names of the pieces begin with.
    """

    store: Store | None = None
    pool: Pool | None = None
    place: str = ""

    def __bool__(self) -> bool:
        """Whether a computation is to be cut into pieces at all."""
        return self.store is not None or self.pool is not None

    def within(self, name: str) -> Work:
        """Return the same for a part of the computation."""
        return replace(self, place=f"{self.place}{name}/")

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        return None if self.store is None else self.store.get(self.place + name)

    def put(self, name: str, arrays: Arrays) -> None:
        if self.store is not None:
            self.store.put(self.place + name, arrays)

    def run(
        self,
        compute: Compute,
        analysis: Analysis,
        tasks: Sequence[Task],
        *,
        sizes: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> list[dict[str, np.ndarray]]:
        """Return the results of all tasks, in their order.

        Args:
            compute: computes one.
            analysis: its first argument.
            tasks: its other arguments.
            sizes: what to report of each task that was not computed here; one each by default.
            progress: is called with sizes, and by what is computed here.

        Raises:
            DataError: what is kept is of another computation.
        """
        labels = [_label(compute, analysis, task) for task in tasks] if self.store else []
        given = [_arrays(task) for task in tasks] if self.store else []
        results: dict[int, Arrays] = {}
        for i, label in enumerate(labels):
            kept = self.get(f"{i:05d}")
            if kept is None:
                continue
            if why := _unlike(kept.pop(_LABEL), kept.pop(_GIVEN, np.zeros(0)), label, given[i]):
                raise errors.DataError(
                    f"what is kept as {self.place}{i:05d} is of another computation ({why}). Keep "
                    "every computation in a folder of its own."
                )
            results[i] = kept
        sizes = [1] * len(tasks) if sizes is None else sizes
        if progress is not None and results:
            kept_before(progress, sum(sizes[i] for i in results))
        missing = [i for i in range(len(tasks)) if i not in results]
        for i, found in self._computed(compute, analysis, tasks, missing, progress):
            if labels:
                written = np.frombuffer(json.dumps(labels[i]).encode(), np.uint8)
                self.put(f"{i:05d}", {**found, _LABEL: written, _GIVEN: given[i]})
            results[i] = found
            if self.pool is not None and progress is not None:
                progress(sizes[i])
        return [dict(results[i]) for i in range(len(tasks))]

    def _computed(
        self,
        compute: Compute,
        analysis: Analysis,
        tasks: Sequence[Task],
        missing: Sequence[int],
        progress: Progress | None,
    ) -> Iterator[tuple[int, Arrays]]:
        if self.pool is None:
            for i in missing:
                yield i, compute(analysis, progress=progress, **tasks[i])
        elif missing:
            for k, found in self.pool.each(compute, analysis, [tasks[i] for i in missing]):
                yield missing[k], found


#: The names under which a piece says what it is a piece of, and which arrays it was given.
_LABEL, _GIVEN = "_label", "_given"

#: How much arrays may differ that another machine computed.
_RELATIVE = 1e-6


def _label(compute: Compute, analysis: Analysis, task: Task) -> dict[str, Any]:
    """Return what a piece is a piece of, and where it is computed."""
    return {
        "piece": {"of": f"{compute.__module__}.{compute.__qualname__}", "bknn": VERSION},
        "task": {str(key): _plain(value) for key, value in task.items()},
        **content(analysis),
        "machine": machine(),
    }


def _arrays(x: Any) -> np.ndarray:
    """Return all numbers of the arrays in a task, one after the other."""
    if isinstance(x, Mapping):
        x = [value for _, value in sorted(x.items())]
    if isinstance(x, list | tuple):
        return np.concatenate([np.zeros(0), *map(_arrays, x)])
    alone = x is None or isinstance(x, str | int | float)
    return np.zeros(0) if alone else np.asarray(x, float).ravel()


def _unlike(
    label: np.ndarray, given: np.ndarray, wanted: Mapping[str, Any], wanted_given: np.ndarray
) -> str:
    """Return in what a piece that is kept differs from the one that is wanted, "" if in nothing.

    Arrays, which earlier computations made, count to the last bit on the same machine. Elsewhere
    they are made anew in other digits.
    """
    try:
        known = dict(json.loads(bytes(label)))
        here, there = wanted["machine"], known.pop("machine")
    except (ValueError, KeyError, TypeError):
        return "another version of bknn wrote it"
    wanted = json.loads(json.dumps({k: x for k, x in wanted.items() if k != "machine"}))
    if found := differences(known, wanted):
        return found
    tolerance = 0.0 if here == there else _RELATIVE * np.nanmax(np.abs(wanted_given), initial=0.0)
    both = np.isnan(given) & np.isnan(wanted_given)
    distance = np.where(both, 0.0, np.abs(given - wanted_given))
    return "" if (distance <= tolerance).all() else f"arrays: they differ by {distance.max():.3g}"


def _plain(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {str(key): _plain(value) for key, value in sorted(x.items())}
    if isinstance(x, float) and not math.isfinite(x):
        return repr(float(x))
    if x is None or isinstance(x, str | int | float):
        return x
    if isinstance(x, list | tuple):
        return [_plain(value) for value in x]
    return ["array", *np.shape(x)]
