"""Many fits as chunks of one compiled program, on all cores and devices.

The size of a chunk is that of the processor's cache, whatever the number of fits: memory does not
grow with it, and one program serves all sizes (a few, for the last and smaller chunks). Several
devices share each chunk; on processors with several cores chunks run side by side.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from bknn.analysis.analysis import Data
from bknn.inference.fits.newton import CONVERGED, EXHAUSTED, Minimum
from bknn.inference.pieces import Progress

#: (starts (fits, size), data (fits, n), moving (fits, size), stragglers) -> Minimum
Minimise = Callable[..., Minimum]


def chunk_size() -> int:
    """Return how many fits run together on one device."""
    return 128 if jax.default_backend() == "cpu" else 8192


def workers() -> int:
    """Return how many chunks run side by side."""
    if jax.default_backend() != "cpu":
        return 1
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return max(1, cores // len(jax.devices()))


def program(minimise: Minimise) -> Minimise:
    """Compile a function of fits side by side, shared among the devices there are."""
    devices = np.array(jax.devices())
    alone = jax.jit(minimise)
    if len(devices) == 1:
        return alone
    mesh = Mesh(devices, ("fits",))

    @jax.jit
    def shared(starts: Any, data: Data, moving: Any, stragglers: Any) -> Minimum:
        share = jax.shard_map(
            minimise,
            mesh=mesh,
            in_specs=(P("fits"), P("fits"), P("fits"), P()),
            out_specs=P("fits"),
            check_vma=False,
        )
        return share(starts, data, moving, stragglers // len(devices))

    def run(starts: Any, data: Data, moving: Any, stragglers: Any) -> Minimum:
        even = len(starts) % len(devices) == 0
        chosen = shared if even and _is_shared(len(starts)) else alone
        return chosen(starts, data, moving, stragglers)

    return run


def _is_shared(fits: int) -> bool:
    """Whether this many fits are worth more than one device."""
    return len(jax.devices()) > 1 and fits >= _WORTH * len(jax.devices())


#: Fewer fits a device are not worth the sharing.
_WORTH = 8


def run(
    program: Minimise,
    starts: np.ndarray,
    data: Data,
    moving: np.ndarray,
    *,
    chunk: int | None = None,
    fill: int = 1,
    stragglers: bool = True,
    every: bool = False,
    progress: Progress | None = None,
) -> tuple[Minimum, np.ndarray]:
    """Fit from every start and keep the lowest minimum of each fit.

    A start is given up, EXHAUSTED, where it is far from converged and another ended much lower.

    Args:
        program: from `program`.
        starts: (fits, starts, size).
        data: common (n,), or one set a fit (fits, n).
        moving: common (size,), or of each fit (fits, size).
        chunk: fits from one start that run together on one device.
        fill: fewer fits than this are filled up to it, so that they share the program of many:
            another size would be another program, which takes seconds to compile.
        stragglers: whether those that take long go on in a program of their own, where it pays.
        every: whether to keep where every start ended, not the lowest alone.
        progress: is told how many more fits are done.

    Returns:
        The best Minimum of each fit, or all of them (fits, starts, ...), and -log likelihood from
        every start (fits, starts).
    """
    n, n_starts, size = starts.shape
    moving = np.broadcast_to(moving, (n, size))
    data = Data(*(np.broadcast_to(x, (n, np.shape(x)[-1])) for x in data))
    lanes = (chunk or chunk_size()) * len(jax.devices())
    together = max(1, lanes // n_starts)
    # Equal shares, so that the last chunk is not a small one.
    parts = np.array_split(np.arange(n), -(-n // together)) if n else []

    # A second program for stragglers takes seconds to compile, which must pay.
    own_program = stragglers and len(parts) >= 16

    def one(part: np.ndarray) -> tuple[Minimum, np.ndarray]:
        found = _all(
            program,
            starts[part].reshape(-1, size),
            Data(*(np.repeat(x[part], n_starts, axis=0) for x in data)),
            np.repeat(moving[part], n_starts, axis=0),
            n_starts,
            min(fill, lanes),
            own_program,
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

    # The first chunk compiles, the others find it done.
    results = [one(part) for part in parts[:1]]
    with ThreadPoolExecutor(workers()) as pool:
        results += pool.map(one, parts[1:])
    best = Minimum(*(np.concatenate(x) for x in zip(*(r[0] for r in results), strict=True)))
    return best, np.concatenate([r[1] for r in results])


def _all(
    program: Minimise,
    starts: np.ndarray,
    data: Data,
    moving: np.ndarray,
    n_starts: int,
    fill: int,
    own_program: bool,
) -> Minimum:
    """Fit a chunk; the few fits that take long go on in a program of their own."""
    room = max(len(starts), fill)
    allowed = len(starts) // 8 if own_program or n_starts > 1 else 0
    found = _padded(program, starts, data, moving, room, allowed)
    left = np.flatnonzero(found.outcome == EXHAUSTED)
    if not 0 < left.size <= allowed:
        return found
    left = left[~_hopeless(found, n_starts)[left]]
    if left.size:
        own = Data(*(x[left] for x in data))
        rest = len(starts) // 8 if own_program else room
        more = _padded(program, found.vector[left], own, moving[left], rest, 0)
        more = more._replace(steps=more.steps + found.steps[left])
        for old, new in zip(found, more, strict=True):
            old[left] = new
    return found


def _hopeless(found: Minimum, n_starts: int) -> np.ndarray:
    """Return which of several starts of a fit cannot become its lowest minimum any more.

    Even ten times its expected decrease leaves it above one that has converged.
    """
    done = np.where(found.outcome == CONVERGED, found.value, np.inf).reshape(-1, n_starts)
    lowest = np.repeat(done.min(axis=1), n_starts)
    return found.value - 10 * found.decrement > lowest + _ABOVE


#: -log L of a start that is given up is higher than the lowest by more than this.
_ABOVE = 1.0


def _padded(
    program: Minimise,
    starts: np.ndarray,
    data: Data,
    moving: np.ndarray,
    room: int,
    stragglers: int,
) -> Minimum:
    """Run the program on at least `room` fits."""
    n = len(starts)
    devices = len(jax.devices()) if _is_shared(room) else 1
    extra = -(-_size(room) // devices) * devices - n

    def pad(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.repeat(x[-1:], extra, axis=0)])

    # Nothing moves in fits that fill up, so they end at once.
    floats = pad(moving)
    floats[n:] = False
    found = program(pad(starts), Data(*(pad(np.asarray(x)) for x in data)), floats, stragglers)
    return Minimum(*(np.array(x)[:n] for x in found))


def _size(fits: int) -> int:
    """Return the number of fits to which a number is filled up: 1, 32, or a power of 2 from 128 on.

    Every size is a program of its own, which takes seconds to compile; 128 fits take 30 ms.
    """
    if fits <= 1:
        return 1
    return 32 if fits <= 32 else max(128, 1 << (fits - 1).bit_length())
