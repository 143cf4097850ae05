"""Walls: where empty bins end what a parameter may be, at a place that other parameters move.

Negative expected counts have no likelihood, and nothing warns a sampler of the edge at which the
expected count of an empty bin vanishes: it runs into it. Where these counts are linear in a
parameter x that is uniform within [low, high], as they are in a signal strength, x is described by
the part t in [0, 1] of what the others leave of that range,

    x = a + (b - a) t,

with the ends a and b at which a count vanishes, or low and high. Everything within is possible, and
the density of t is (b - a)/(high - low).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr

from bknn.analysis.analysis import Analysis, Data
from bknn.inference.slopes import rates_of_many

#: Expected counts that bend by less than this part of themselves are linear.
_LINEAR = 1e-9


class Wall(NamedTuple):
    """What empty bins leave of the range of a parameter.

    Attributes:
        position: of the parameter among those that move.
        entry: of the vector that it is.
        ends: smallest and largest value that its prior allows.
        bins: the empty bins.
    """

    position: int
    entry: int
    ends: tuple[Any, Any]
    bins: np.ndarray

    def left(self, rates: Callable[[Array], Array], vector: Array) -> tuple[Array, Array]:
        """Return both ends of what the others leave, at a vector (size,); where they leave nothing,
        both ends of the prior."""
        low, high = self.ends
        first, last = (rates(vector.at[self.entry].set(x))[self.bins] for x in self.ends)
        slope = (last - first) / (high - low)
        zero = low - first / jnp.where(slope == 0, 1.0, slope)
        a = jnp.max(jnp.where(slope > 0, zero, low), initial=low)
        b = jnp.min(jnp.where(slope < 0, zero, high), initial=high)
        return jnp.where(a < b, a, low), jnp.where(a < b, b, high)

    def value(self, rates: Callable[[Array], Array], vector: Array, z: Array) -> tuple[Array, ...]:
        """Return the parameter at the standard normal number z, and the logarithm of the density of
        t; the others are those of the vector (size,)."""
        a, b = self.left(rates, vector)
        tail = (b - a) * ndtr(-jnp.abs(z))
        return jnp.where(z < 0, a + tail, b - tail), jnp.log(
            (b - a) / (self.ends[1] - self.ends[0])
        )


def wall(
    analysis: Analysis,
    data: Data,
    points: np.ndarray,
    allowed: dict[int, tuple[float, float]],
    entries: np.ndarray,
) -> Wall | None:
    """Return the wall of a posterior, None where no edge is met or no parameter straightens it.

    Args:
        analysis: what is sampled.
        data: counts and centres of constraints.
        points: vectors spread over the prior (points, size).
        allowed: {position: ends} of uniform parameters.
        entries: of the vector, of all that move (n,).
    """
    n = analysis.data_distribution.n_counts
    empty = np.flatnonzero((np.asarray(data.counts)[:n] == 0) & ~analysis.empty_bins[:n])
    if not empty.size:
        return None
    rates = rates_of_many(analysis)
    if not (np.asarray(rates(points))[:, empty] < 0).any():
        return None
    for position, ends in allowed.items():
        entry = int(entries[position])
        moved = []
        for x in (ends[0], 0.5 * sum(ends), ends[1]):
            there = np.array(points)
            there[:, entry] = x
            moved.append(np.asarray(rates(there))[:, empty])
        low, middle, high = moved
        size = np.abs(low) + np.abs(high)
        if (low != high).any() and (np.abs(2 * middle - low - high) <= _LINEAR * size).all():
            return Wall(position, entry, ends, empty)
    return None
