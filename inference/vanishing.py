"""Best fits at which an expected count vanishes.

Negative expected counts have no likelihood. A bin with counts keeps fits away from there: its
log(rate) falls without end. An empty bin does not: its -rate goes on rising, and a fit that follows
it ends at the edge rate = 0. Fits run over the edge first, as if nothing were there, so that those
which end inside are what they always were. Those that end beyond begin again with a tiny number of
counts in place of none,

    rate - epsilon log(rate),

whose minimum is at the edge but for epsilon: at rate = epsilon/lambda, with the slope lambda of
-log L across the edge, and higher by epsilon. Nuisances that are solved for, gradients and metrics
know nothing of it: to them it is a bin with counts.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from scipy.optimize import least_squares

from bknn.analysis import Analysis, Data
from bknn.inference.batch import Minimise
from bknn.inference.newton import EPSILON, NOT_FINITE, Minimum
from bknn.inference.slopes import slopes

#: An expected count that is less negative is zero but for rounding.
ROUNDING = 1e-10

#: An expected count below this may be one that vanishes at a best fit.
_SMALL = 1e-5

#: Expected counts that a point to begin with should have, where it can.
_INSIDE = (1e-2, 1e-5)


def within(program: Minimise, analysis: Analysis, repair: Minimise) -> Minimise:
    """Return a program of fits that end where all expected counts are possible.

    Args:
        program: fits without a look at empty bins.
        analysis: what it fits.
        repair: fits with Newton steps, for those that ended beyond an edge; may be the same.
    """

    def run(starts: Any, data: Data, moving: Any, stragglers: Any) -> Minimum:
        found = program(starts, data, moving, stragglers)
        counts = np.asarray(data.counts)[:, : analysis.outcomes.n_counts]
        empty = (counts == 0) & ~analysis.empty_bins[: counts.shape[1]]
        lost = (np.asarray(found.outcome) == NOT_FINITE) & np.isfinite(counts).all(axis=1)
        if not (empty.any() or lost.any()):
            return found
        found = Minimum(*(np.array(x) for x in found))
        moving = np.asarray(moving)
        low = np.where(empty, _rates(analysis, found.vector), 0.0).min(axis=1)
        beyond = np.flatnonzero(~(low >= -ROUNDING) | lost)
        if not beyond.size:
            return found
        found.value[beyond], found.outcome[beyond] = np.inf, NOT_FINITE
        begin, floats = np.array(starts), np.zeros_like(moving)
        at_start = _rates(analysis, begin)
        for i in beyond[moving[beyond].any(axis=1)]:
            needed = empty[i] | (counts[i] > 0)
            inside = _inside(analysis, begin[i], at_start[i], needed, moving[i])
            if inside is not None:
                begin[i], floats[i] = inside, moving[i]
        again = np.flatnonzero(floats.any(axis=1))
        if not again.size:
            return found
        full = np.array(data.counts, float)
        full[:, : counts.shape[1]][empty] = EPSILON
        more = repair(begin, data._replace(counts=full), floats, 0)
        more = Minimum(*(np.array(x) for x in more))
        rates = np.maximum(_rates(analysis, more.vector), EPSILON**2)
        # Without the logarithm of the tiny numbers; that of their Gamma functions is as tiny.
        more.value[:] += EPSILON * np.sum(np.where(empty, np.log(rates), 0.0), axis=1)
        for old, new in zip(found, more, strict=True):
            old[again] = new[again]
        return found

    return run


def _rates(analysis: Analysis, vectors: np.ndarray) -> np.ndarray:
    """Return the expected counts (fits, counts) at vectors (fits, size)."""
    cache = analysis.__dict__.setdefault("_expected_counts", {})
    if "run" not in cache:
        n = analysis.outcomes.n_counts
        cache["run"] = jax.jit(jax.vmap(lambda vector: analysis.rates(vector)[:n]))
    return np.asarray(cache["run"](vectors))


def _inside(
    analysis: Analysis, start: np.ndarray, rates: np.ndarray, needed: np.ndarray, moving: np.ndarray
) -> np.ndarray | None:
    """Return a vector (size,) at which needed bins (counts,) expect something, None without one."""
    if (rates[needed] > 0).all():
        return start
    index, lower, upper = np.flatnonzero(moving), *analysis.bounds[moving].T

    def moved(x: np.ndarray) -> np.ndarray:
        vector = np.array(start)
        vector[index] = x
        return vector

    bins = np.flatnonzero(needed)
    # In units of what bounds leave, or of what it is.
    unit = np.where(
        np.isfinite(upper - lower), upper - lower, np.maximum(np.abs(start[index]), 1.0)
    )
    inner = np.clip(start[index], lower + 1e-9 * unit, upper - 1e-9 * unit)
    for wanted in _INSIDE:

        def missing(x: np.ndarray, wanted: float = wanted) -> np.ndarray:
            return np.maximum(wanted - _rates(analysis, moved(x)[None])[0, bins], 0.0)

        def slope(x: np.ndarray, wanted: float = wanted) -> np.ndarray:
            found = slopes(analysis, moved(x), index)[bins]
            return np.where(missing(x, wanted)[:, None] > 0, -found, 0.0)

        found = least_squares(missing, inner, slope, (lower, upper), x_scale=unit, max_nfev=50)
        if (_rates(analysis, moved(found.x)[None])[0, bins] > 0).all():
            return moved(found.x)
    return None


def bin_names(analysis: Analysis) -> list[str]:
    """Return what the bins with counts are called, as in "SR bin 0"."""
    return [
        f"{channel} bin {b}"
        for part in analysis.parts
        for channel, n in part.pdf.channels.items()
        for b in range(n)
    ]


def edges(
    analysis: Analysis, vector: np.ndarray, data: Data, moving: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the empty bins whose expected counts vanish at a best fit (size,) and would be
    negative but for their likelihood, and the slopes of -log L across these edges, (edges,) each.
    """
    n = analysis.outcomes.n_counts
    counts = np.asarray(data.counts)[:n]
    if not ((counts == 0) & ~analysis.empty_bins[:n]).any():
        return np.zeros(0, int), np.zeros(0)
    rates = _rates(analysis, np.asarray(vector)[None])[0]
    bins = np.flatnonzero((counts == 0) & ~analysis.empty_bins[:n] & (rates < _SMALL))
    lower, upper = analysis.bounds.T
    index = np.flatnonzero(moving & (vector > lower) & (vector < upper))
    if not bins.size or not index.size:
        return np.zeros(0, int), np.zeros(0)
    across = slopes(analysis, vector, index)[bins]
    size = np.linalg.norm(across, axis=0)
    size = np.where(size > 0, size, 1.0)
    force = _gradient(analysis)(vector, data)[index]
    # At the best fit the gradient is a sum of these slopes.
    pushes = np.linalg.lstsq((across / size).T, np.asarray(force) / size, rcond=1e-9)[0]
    found = pushes > 1e-3
    return bins[found], pushes[found]


def empty(analysis: Analysis, vector: np.ndarray, data: Data) -> list[str]:
    """Return the names of the empty bins that expect next to nothing at a vector (size,)."""
    counts = np.asarray(data.counts)[: analysis.outcomes.n_counts]
    rates = _rates(analysis, np.asarray(vector)[None])[0]
    known = bin_names(analysis)
    return [known[b] for b in np.flatnonzero((counts == 0) & (rates < _SMALL))]


def names(analysis: Analysis, vector: np.ndarray, data: Data, moving: np.ndarray) -> list[str]:
    """Return the names of the bins of `edges`."""
    known = bin_names(analysis)
    return [known[b] for b in edges(analysis, vector, data, moving)[0]]


def along_edges(
    analysis: Analysis, vector: np.ndarray, data: Data | None, moving: np.ndarray
) -> tuple[Data | None, np.ndarray | None]:
    """Return data and directions (free, n) in which the curvature of -log L is that along the edges
    at a best fit (size,); the data as given and None if no expected count vanishes.

    Rates that bend turn the edge: the slope across it times that curvature belongs to -log L along
    it. A bin with slope times rate counts has both.
    """
    given = analysis.data if data is None else data
    bins, push = edges(analysis, vector, given, moving)
    if not bins.size:
        return data, None
    lower, upper = analysis.bounds.T
    index = np.flatnonzero(moving & (vector > lower) & (vector < upper))
    across = slopes(analysis, vector, index)[bins]
    size = np.linalg.norm(across, axis=0)
    # Nuisances of a size of their own count as much as those that move the bins a lot.
    unit = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 1.0)
    _, values, turned = np.linalg.svd(across * unit)
    rank = int(np.sum(values > 1e-9 * values.max(initial=0.0)))
    counts = np.array(given.counts, float)
    counts[bins] = push * _rates(analysis, np.asarray(vector)[None])[0, bins]
    return given._replace(counts=counts), unit[:, None] * turned[rank:].T


def _gradient(analysis: Analysis) -> Any:
    """The compiled gradient of -log likelihood, beyond the edges of empty bins, too."""
    cache = analysis.__dict__.setdefault("_gradients", {})
    if "run" not in cache:
        cache["run"] = jax.jit(jax.grad(lambda v, data: -analysis.log_shape(v, data, beyond=True)))
    return cache["run"]
