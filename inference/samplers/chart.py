"""Which parameters are standard normal numbers, and how: coordinates but for their values.

A chart and its values are apart so that programs made of a chart, which take the values, serve
other data, other bounds and other parameters that are held.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr, ndtri

from bknn import priors
from bknn.analysis.log_density import LogDensity
from bknn.inference.samplers.funnels import Funnel
from bknn.inference.samplers.walls import Wall


class Values(NamedTuple):
    """The numbers in coordinates: programs that take them serve other values, data and bounds.

    Attributes:
        vector: of all entries (size,); those that move do not matter.
        centre, width, lower, upper: of the parameters that move (n,).
        left: logarithm of the part of uniform priors that has a likelihood.
        below, above: what bounds leave of the tails of those that they cut off (cut,).
        counts, norm: of the Gamma densities, and the logarithm of what they are multiplied with
            beside normal ones (gamma,).
        funnels: largest value and log_k of each.
    """

    vector: Any
    centre: Any
    width: Any
    lower: Any
    upper: Any
    left: Any
    below: Any
    above: Any
    counts: Any
    norm: Any
    funnels: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, eq=False)
class Chart:
    """What coordinates are but for their values: which parameters move, and how.

    Attributes:
        density: of what is sampled.
        index: entries of the vector that move (n,).
        cut: those of them whose normal density a bound cuts off.
        uniform, gamma: those with a uniform prior, and with a Gamma density.
        factor: of the Gamma densities (gamma,).
        others: priors that are not the normal or uniform ones: (position, prior).
        funnels, wall: that are straightened.
    """

    density: LogDensity
    index: np.ndarray
    cut: np.ndarray
    uniform: np.ndarray
    gamma: np.ndarray
    factor: np.ndarray
    others: Sequence[tuple[int, Any]]
    funnels: tuple[Funnel, ...] = ()
    wall: Wall | None = None

    @property
    def size(self) -> int:
        """How many parameters move."""
        return len(self.index)

    @property
    def structure(self) -> Hashable:
        """What tells it from others of the same analysis."""
        tubes = tuple((f.narrow, f.decides, f.half) for f in self.funnels)
        wall = self.wall and (self.wall.position, tuple(self.wall.bins.tolist()))
        return tuple(self.index.tolist()), tuple(self.cut.tolist()), tubes, wall

    def natural(self, z: Array, v: Values) -> tuple[Array, Array]:
        """Return the flat vector (size,) at z (n,), and the logarithm of the weight of
        priors that have no quantiles in closed form: log prior = -z^2/2 + weight."""
        x = v.centre + v.width * z
        weight = jnp.asarray(v.left)
        if self.cut.size:
            x = x.at[self.cut].set(self._within(z[self.cut], v))
        if self.uniform.size:
            x = x.at[self.uniform].set(self._evenly(z[self.uniform], v))
        for k, prior in self.others:
            x = x.at[k].set(priors.quantile(prior, ndtr(z[k])))
        for funnel, (most, log_k) in zip(self.funnels, v.funnels, strict=True):
            value, more = funnel._replace(most=most, log_k=log_k).value(z)
            x, weight = x.at[funnel.narrow].set(value), weight + more
        if self.gamma.size:
            weight = weight + self._gamma_weight(x[self.gamma], v)
        vector = jnp.asarray(v.vector).at[self.index].set(x)
        if self.wall is not None:
            value, more = self.wall_of(v).value(self.density.rates, vector, z[self.wall.position])
            vector, weight = vector.at[self.wall.entry].set(value), weight + more
        return vector, weight

    def wall_of(self, v: Values) -> Wall:
        """Return the wall at the ends that some values have."""
        assert self.wall is not None
        k = self.wall.position
        return self.wall._replace(ends=(v.lower[k], v.upper[k]))

    def _within(self, z: Array, v: Values) -> Array:
        """Normal numbers cut off at their bounds, each from the nearer tail."""
        negative = z < 0
        tail = ndtr(-jnp.abs(z)) * (1 - v.below - v.above)
        t = ndtri(jnp.where(negative, v.below, v.above) + tail)
        x = v.centre[self.cut] + v.width[self.cut] * jnp.where(negative, t, -t)
        return jnp.clip(x, v.lower[self.cut], v.upper[self.cut])

    def _evenly(self, z: Array, v: Values) -> Array:
        lower, upper = v.lower[self.uniform], v.upper[self.uniform]
        tail = (upper - lower) * ndtr(-jnp.abs(z))
        return jnp.where(z < 0, lower + tail, upper - tail)

    def _gamma_weight(self, x: Array, v: Values) -> Array:
        """What the Gamma density of auxiliary counts has beyond the normal one."""
        rate = self.factor * x
        gamma = v.counts * jnp.log(jnp.maximum(rate, 1e-300)) - rate
        normal = -0.5 * ((x - v.centre[self.gamma]) / v.width[self.gamma]) ** 2
        return jnp.sum(gamma - normal + v.norm)
