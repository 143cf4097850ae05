"""Best fits at which an expected count vanishes.

Negative expected counts have no likelihood. A bin with counts keeps fits away from there: its
log(rate) falls without end. An empty bin does not: its -rate goes on rising, and a fit that follows
it ends at the edge rate = 0. Fits run over the edge first, as if nothing were there, so that those
which end inside are what they always were. Those that end beyond begin again with a small number of
counts in place of none,

    rate - epsilon log(rate),

whose minimum lies at rate = epsilon/lambda, with the slope lambda of -log L across the edge.
Settled nuisances, gradients and metrics know nothing of it: to them it is a bin with counts. The
number falls from one fit to the next (an interior-point method: an edge that bends can only be
followed from a distance), and what the minima tend to is extrapolated.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis, Data
from bknn.inference.fits.many import Minimise, filled
from bknn.inference.minimiser.fisher import FEW
from bknn.inference.minimiser.newton import NOT_FINITE, Minimum
from bknn.inference.slopes import rates_of_many, slopes

#: What stands for no counts, one fit after the other. Minima at those that are `_FOLLOWED` are
#: smooth enough to be extrapolated to none, those at smaller ones may be as far as rounding allows.
_EPSILON, _FOLLOWED = (FEW, 1e-3, 1e-4, 1e-5, 1e-7), slice(1, 4)

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

    def run(
        starts: Any, data: Data, moving: Any, each: int = 1, *, lanes: int = 1, above: float = 1.0
    ) -> Minimum:
        found = program(starts, data, moving, each, lanes=lanes, above=above)
        counts = np.asarray(data.counts)[:, : analysis.data_distribution.n_counts]
        empty = (counts == 0) & ~analysis.empty_bins[: counts.shape[1]]
        lost = (np.asarray(found.outcome) == NOT_FINITE) & np.isfinite(counts).all(axis=1)
        if not (empty.any() or lost.any()):
            return found
        found = Minimum(*(np.array(x) for x in found))
        low = np.where(empty, _rates(analysis, found.vector), 0.0).min(axis=1)
        beyond = np.flatnonzero(~(low >= -ROUNDING) | lost)
        if not beyond.size:
            return found
        found.value[beyond], found.outcome[beyond] = np.inf, NOT_FINITE
        starts, moving = np.array(starts), np.asarray(moving)
        floats = np.zeros_like(moving)
        at_start = _rates(analysis, starts)
        own = [i for i, p in enumerate(analysis.parameters) if not p.nuisance]
        for i in beyond[moving[beyond].any(axis=1)]:
            needed = empty[i] | (counts[i] > 0)
            if lost[i] and moving[i, own].any():
                continue  # told to begin where nothing has a likelihood; that is no held value
            inside = _inside(analysis, starts[i], at_start[i], needed, moving[i])
            if inside is not None:
                starts[i], floats[i] = inside, moving[i]
        again = np.flatnonzero(floats.any(axis=1))
        if again.size:
            own_data = Data(*(np.asarray(x)[again] for x in data))
            known = starts[again], own_data, floats[again], empty[again]
            more = _from_inside(partial(repair, lanes=lanes), analysis, *known)
            for old, new in zip(found, more, strict=True):
                old[again] = new
        return found

    return run


def _from_inside(
    repair: Minimise,
    analysis: Analysis,
    starts: np.ndarray,
    data: Data,
    moving: np.ndarray,
    empty: np.ndarray,
) -> Minimum:
    """Fit from starts (fits, size) with ever smaller numbers in place of no counts, and return the
    lowest of the last minima and of what they tend to."""
    counts = np.array(data.counts, float)
    n = empty.shape[1]
    minima: list[Minimum] = []
    for epsilon in _EPSILON:
        counts[:, :n][empty] = epsilon
        begin = minima[-1].vector if minima else starts
        found = repair(begin, data._replace(counts=counts), moving)
        minima.append(Minimum(*(np.array(x) for x in found)))
    followed, near = minima[_FOLLOWED], np.array(_EPSILON[_FOLLOWED])
    others = [np.delete(near, i) for i in range(len(near))]
    weights = [np.prod(o / (o - e)) for e, o in zip(near, others, strict=True)]
    limit = sum(w * m.vector for w, m in zip(weights, followed, strict=True))
    limit = np.where(moving, np.clip(limit, *analysis.bounds.T), starts)
    ends = [followed[-1]._replace(vector=limit), followed[-1], minima[-1]]
    values = np.stack([_values(analysis, end.vector, data, empty) for end in ends])
    best = np.argmin(np.where(np.isnan(values), np.inf, values), axis=0), np.arange(len(starts))
    result = Minimum(*(np.stack(x)[best] for x in zip(*ends, strict=True)))
    steps = np.sum([m.steps for m in minima], axis=0)
    return result._replace(value=values[best], steps=steps)


def _rates(analysis: Analysis, vectors: np.ndarray) -> np.ndarray:
    """Return the expected counts (fits, counts) at vectors (fits, size)."""
    found = np.asarray(rates_of_many(analysis)(filled(vectors)))
    return found[: len(vectors), : analysis.data_distribution.n_counts]


def _values(analysis: Analysis, vectors: np.ndarray, data: Data, empty: np.ndarray) -> np.ndarray:
    """Return -log L of data sets at vectors (fits, size); infinite if an empty bin (fits, counts)
    expects less than nothing."""
    density = analysis.density

    def value(vector: Array, own: Data) -> Array | np.ndarray:
        return density.log_norm(own) - density.log_shape(vector, own, beyond=True)

    program = analysis.programs.get("-log L of many", None, lambda: jax.vmap(value))
    possible = np.where(empty, _rates(analysis, vectors), 0.0).min(axis=1) >= -ROUNDING
    found = program(filled(vectors), Data(*(filled(np.asarray(x)) for x in data)))
    return np.where(possible, np.asarray(found)[: len(vectors)], np.inf)


def _inside(
    analysis: Analysis, start: np.ndarray, rates: np.ndarray, needed: np.ndarray, moving: np.ndarray
) -> np.ndarray | None:
    """Return a vector (size,) at which needed bins (counts,) expect something, None without one."""
    from scipy.optimize import least_squares  # takes a tenth of a second; few fits come here

    if (rates[needed] > 0).all():
        return start
    index = np.flatnonzero(moving)
    lower, upper = analysis.bounds[moving].T
    if not index.size:
        return None

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


def possible(
    analysis: Analysis,
    vector: np.ndarray,
    data: Data,
    i: int,
    moving: np.ndarray,
    ends: np.ndarray,
) -> np.ndarray:
    """Return between which ends (2,) an entry of a vector (size,) may be, within those given,
    before the expected count of an empty bin becomes negative, if no other of the moving entries
    matters."""
    n = analysis.data_distribution.n_counts
    empty = np.equal(np.asarray(data.counts)[:n], 0) & ~analysis.empty_bins[:n]
    others = np.setdiff1d(moving, [i])
    if not empty.any() or slopes(analysis, vector, others)[:n][empty].any():
        return ends
    found = np.array(ends)
    for k in (0, 1):
        inside, outside = float(vector[i]), float(ends[k])
        while abs(outside - inside) > 1e-12 * abs(ends[1] - ends[0]):
            x = np.linspace(inside, outside, 32)
            points = np.tile(vector, (len(x), 1))
            points[:, i] = x
            bad = np.any(_rates(analysis, points)[:, empty] < 0, axis=1)
            if bad[0] or not bad.any():
                break
            first = int(np.argmax(bad))
            inside, outside = x[first - 1], x[first]
        found[k] = inside if outside != ends[k] else ends[k]
    return found


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
    n = analysis.data_distribution.n_counts
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
    density = analysis.density

    def value(vector: Array, data: Data) -> Array:
        return -density.log_shape(vector, data, beyond=True)

    gradient = analysis.programs.get("gradient", None, lambda: jax.grad(value), once=True)
    force = gradient(vector, data)[index]
    # At the best fit the gradient is a sum of these slopes.
    pushes = np.linalg.lstsq((across / size).T, np.asarray(force) / size, rcond=1e-9)[0]
    found = pushes > 1e-3
    return bins[found], pushes[found]


def empty(analysis: Analysis, vector: np.ndarray, data: Data) -> list[str]:
    """Return the names of the empty bins that expect next to nothing at a vector (size,)."""
    counts = np.asarray(data.counts)[: analysis.data_distribution.n_counts]
    rates = _rates(analysis, np.asarray(vector)[None])[0]
    known = bin_names(analysis)
    return [known[b] for b in np.flatnonzero((counts == 0) & (rates < _SMALL))]


def names(analysis: Analysis, vector: np.ndarray, data: Data, moving: np.ndarray) -> list[str]:
    """Return the names of the bins of `edges`."""
    known = bin_names(analysis)
    return [known[b] for b in edges(analysis, vector, data, moving)[0]]


def curvature(
    analysis: Analysis, vector: np.ndarray, data: Data, moving: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the curvature of -log L along the edges at a best fit (size,), as a matrix (size,
    size) and directions (free, n) that stay on them; None if no expected count vanishes.

    Rates that bend turn the edge: the slope across it times that bend belongs to the curvature.
    """
    bins, push = edges(analysis, vector, data, moving)
    if not bins.size:
        return None
    lower, upper = analysis.bounds.T
    index = np.flatnonzero(moving & (vector > lower) & (vector < upper))
    across = slopes(analysis, vector, index)[bins]
    size = np.linalg.norm(across, axis=0)
    unit = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 1.0)
    _, values, turned = np.linalg.svd(across * unit)
    rank = int(np.sum(values > 1e-9 * values.max(initial=0.0)))
    weights = np.zeros(analysis.n_bins)
    weights[bins] = push
    density = analysis.density

    def bent(vector: Array, data: Data, weights: Array) -> Array:
        shape = density.log_shape(vector, data, beyond=True)
        return -shape - weights @ density.rates(vector)

    program = analysis.programs.get(
        "Hessian along edges", None, lambda: jax.hessian(bent), once=True
    )
    return np.asarray(program(vector, data, weights)), unit[:, None] * turned[rank:].T
