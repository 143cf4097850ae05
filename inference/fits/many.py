"""Many fits by one compiled program, on all cores and devices.

The program works on as many fits at a time as the processor's cache likes, whatever their number:
memory does not grow with it, and one program serves all sizes but one fit alone.
Several devices share the fits of a program; on processors with several cores two or more work side
by side.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax import Array

from bknn.analysis.analysis import Data
from bknn.inference.minimiser.newton import Minimum
from bknn.inference.pieces import Progress
from bknn.inference.sharing import Shared, placed
from bknn.programs import cores

#: (starts (fits, size), data (fits, n), moving (fits, size), starts that belong to one fit,
#: `lanes=`: how many are done at a time, and `above=`: as for `run`) -> Minimum
Minimise = Callable[..., Minimum]


def chunk_size(numbers: int | None = None) -> int:
    """Return how many fits run together on one device: more where the derivatives of one are few
    numbers (bins times parameters), as every step has a price of its own."""
    if jax.default_backend() != "cpu":
        return 8192
    return FEW if numbers is None or numbers > _SMALL else 2048


#: Few fits are filled up to this many, so that they share the program of many: another size would
#: be another program, which takes seconds to compile. So many vectors of hundreds of parameters
#: stay in the processor's cache.
FEW = 64

#: So few derivatives of a fit stay there for thousands of them.
_SMALL = 1000


def workers() -> int:
    """Return how many chunks run side by side."""
    if jax.default_backend() != "cpu":
        return 1
    return max(1, cores() // len(jax.devices()))


def program(minimise: Callable[[Array, Data, Array], Minimum]) -> Minimise:
    """Compile a function of fits side by side for any number of them."""
    compiled = Shared(minimise)

    def run(
        starts: Any, data: Data, moving: Any, each: int = 1, *, lanes: int = 1, above: float = 1.0
    ) -> Minimum:
        found = []
        for part in np.array_split(np.arange(len(starts)), -(-len(starts) // lanes)):
            # Nothing moves in fits that fill up, so they end at once.
            filled = np.concatenate([part, np.repeat(part[-1:], lanes - len(part))])
            floats = moving[filled] & (np.arange(lanes) < len(part))[:, None]
            own = placed((starts[filled], Data(*(x[filled] for x in data)), floats), lanes)
            ended = compiled(*own)
            found.append([np.array(x)[: len(part)] for x in ended])
        return Minimum(*(np.concatenate(x) for x in zip(*found, strict=True)))

    return run


def run(
    program: Minimise,
    starts: np.ndarray,
    data: Data,
    moving: np.ndarray,
    *,
    chunk: int | None = None,
    fill: int = 1,
    every: bool = False,
    above: float = 1.0,
    progress: Progress | None = None,
) -> tuple[Minimum, np.ndarray]:
    """Fit from every start and keep the lowest minimum of each fit.

    Args:
        program: as `Minimise`.
        starts: (fits, starts, size).
        data: common (n,), or one set a fit (fits, n).
        moving: common (size,), or of each fit (fits, size).
        chunk: fits from one start that run together on one device.
        fill: fewer fits than this are filled up to it, so that even a single one uses the program
            of many.
        every: whether to keep where every start ended, not the lowest alone.
        above: a start is given up, as not converged, where its -log likelihood stays higher than
            the lowest of the same fit by more than this; inf: none is.
        progress: is told how many more fits are done.

    Returns:
        The best Minimum of each fit, or all of them (fits, starts, ...), and -log likelihood from
        every start (fits, starts).
    """
    n, n_starts, size = starts.shape
    moving = np.broadcast_to(moving, (n, size))
    data = Data(*(np.broadcast_to(x, (n, np.shape(x)[-1])) for x in data))
    most = (chunk or chunk_size(size * data.counts.shape[1])) * len(jax.devices())
    lanes = lanes_for(max(n * n_starts, fill), most)
    parts = _shares(n, n_starts, most)

    def one(part: np.ndarray) -> tuple[Minimum, np.ndarray]:
        found = program(
            starts[part].reshape(-1, size),
            Data(*(np.repeat(x[part], n_starts, axis=0) for x in data)),
            np.repeat(moving[part], n_starts, axis=0),
            n_starts,
            lanes=lanes,
            above=above,
        )
        if progress is not None:
            progress(len(part))
        found = Minimum(*(x.reshape(len(part), n_starts, *x.shape[1:]) for x in found))
        if every:
            return found, found.value
        # A start that failed counts only if all did.
        value = np.where(np.isfinite(found.value), found.value, np.inf)
        best = np.arange(len(part)), np.argmin(value, axis=1)
        return Minimum(*(x[best] for x in found)), found.value

    # The first part compiles, the others find it done.
    results = [one(part) for part in parts[:1]]
    with ThreadPoolExecutor(workers()) as pool:
        results += pool.map(one, parts[1:])
    best = Minimum(*(np.concatenate(x) for x in zip(*(r[0] for r in results), strict=True)))
    return best, np.concatenate([r[1] for r in results])


def _shares(fits: int, starts: int, most: int) -> list[np.ndarray]:
    """Deal fits of several starts each to threads: the first part, which compiles while all others
    wait, is a short one; the rest keep all cores busy to the end."""
    turns = -(-fits * starts // most)
    first = max(most // starts, 1)
    if turns <= 2 or first >= fits:
        return [np.arange(fits)] if fits else []
    rest = max(-(-turns // _TURNS), workers())
    return [np.arange(first), *np.array_split(np.arange(first, fits), min(rest, fits - first))]


#: Fits that take turns on a lane, before a thread takes the next.
_TURNS = 16


def filled(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, ...) with the last one repeated up to 1, or a power of 2 from `FEW` on."""
    n = len(rows)
    room = lanes_for(n, max(FEW, 1 << (n - 1).bit_length()) if n else 0)
    return np.concatenate([rows, np.repeat(rows[-1:], room - n, axis=0)])


def lanes_for(fits: int, most: int) -> int:
    """Return on how many lanes a number of fits is done: 1, `FEW`, or as many as there may be."""
    return min(next((n for n in (1, FEW) if fits <= n), most), most)
