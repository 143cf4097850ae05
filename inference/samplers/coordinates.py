"""Parameters as quantiles of standard normal numbers.

A prior with cumulative distribution F makes z = Phi^-1(F(x)) a standard normal number: uniform
priors, constraints cut off at a bound, masses in the square alike. In these coordinates every prior
is the same, nothing has an end where a trajectory could break off, and what is left of the
posterior is the Poisson probability of the counts. Samplers straighten `funnels` and `walls`, too.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr, ndtri
from scipy import special

from bknn import errors, priors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference.fits import vanishing
from bknn.inference.samplers.funnels import Funnel, funnels
from bknn.inference.samplers.walls import Wall, wall
from bknn.parameters import Parameter

#: Points at which a wall is looked for.
_POINTS = 64

#: A bound so many widths from the centre of a constraint cuts off less than a millionth.
_FAR = 5.0


class Coordinates:
    """The moving parameters of an analysis as standard normal numbers z (n,).

    The prior of a nuisance is its constraint within its bounds: the normal density, or for counts
    of an auxiliary measurement the Gamma density that is theirs after a uniform prior. What has
    neither constraint nor prior is uniform within its bounds.

    Args:
        analysis: what is sampled.
        moving: which entries of the vector are (size,).
        vector: values of those that are not (size,).
        data: centres of the constraints; the observation by default.
        straight: look for funnels and a wall, and straighten them. Otherwise every parameter
            depends on its own z alone.

    Attributes:
        funnels: that were found.
        wall: that was found, None if there is none.

    Raises:
        ParameterError: a parameter has no proper prior.
    """

    def __init__(
        self,
        analysis: Analysis,
        moving: np.ndarray,
        vector: np.ndarray,
        data: Data | None = None,
        *,
        straight: bool = False,
    ) -> None:
        data = analysis.data if data is None else data
        self.analysis = analysis
        self.index = np.flatnonzero(moving)
        self.vector = np.array(vector, float)
        n = analysis.size
        # A copy: priors narrow them here, fits keep those of the analysis.
        lower, upper = analysis.bounds.T.copy()
        centre, width = np.zeros(n), np.full(n, np.nan)
        index, _, sigma = analysis.normal
        centre[index], width[index] = np.asarray(data.normal), sigma
        index, _, factor = analysis.poisson
        counts = np.asarray(data.poisson)
        centre[index], width[index] = counts / factor, np.sqrt(np.maximum(counts, 1.0)) / factor
        self._gamma = np.flatnonzero(np.isin(self.index, index))
        position = {int(p): i for i, p in enumerate(index)}
        at = np.array([position[int(p)] for p in self.index[self._gamma]], int)
        self._counts, self._factor = counts[at], factor[at]
        #: Priors that are not the normal or uniform ones: (position among the moving, prior).
        self._others: list[tuple[int, Any]] = []
        #: Logarithm of the part of uniform priors that has a likelihood.
        self._left = 0.0
        own: dict[int, Parameter] = {i: p for i, p in enumerate(analysis.parameters)}
        for k, i in enumerate(self.index):
            if not np.isnan(width[i]):
                continue
            prior = own[int(i)].distribution if int(i) in own else None
            if prior is not None and type(prior).__name__ != "Uniform":
                self._others.append((k, prior))
            elif prior is not None:
                ends = np.array([float(prior.low), float(prior.high)])
                lower[i], upper[i] = vanishing.possible(
                    analysis, self.vector, data, int(i), self.index, ends
                )
                # Beyond, the likelihood vanishes: what is left of the prior there.
                self._left += float(np.log((upper[i] - lower[i]) / np.ptp(ends)))
            elif not (np.isfinite(lower[i]) and np.isfinite(upper[i])):
                raise errors.ParameterError(
                    f"parameter {analysis.names[i]!r} has neither a prior nor two bounds, so that "
                    "its posterior cannot be normalised; give it a prior, for instance "
                    f'priors={{"{analysis.names[i]}": "normal(0, 10)"}}.'
                )
        self._normal = ~np.isnan(width[self.index])
        self._lower, self._upper = lower[self.index], upper[self.index]
        self._centre = np.where(self._normal, centre[self.index], 0.0)
        self._width = np.where(self._normal, width[self.index], 1.0)
        low = (self._lower - self._centre) / self._width
        high = (self._upper - self._centre) / self._width
        #: Those that a bound cuts off, and what it leaves of both tails.
        self._cut = np.flatnonzero(self._normal & ((low > -_FAR) | (high < _FAR)))
        self._below = special.ndtr(low[self._cut])
        self._above = special.ndtr(-high[self._cut])
        self._uniform = np.setdiff1d(np.flatnonzero(~self._normal), [k for k, _ in self._others])
        self.funnels: tuple[Funnel, ...] = ()
        self.wall: Wall | None = None
        if straight:
            allowed = {
                int(k): (float(self._lower[k]), float(self._upper[k]))
                for k in self._uniform
                if int(self.index[k]) in own
            }
            entries = {
                k: int(i)
                for k, i in enumerate(self.index)
                if int(i) in own and not (self._normal[k] or own[int(i)].nuisance)
            }
            self.funnels = funnels(analysis, self.vector, data, allowed, entries)
            narrow = {f.narrow for f in self.funnels}
            even = {k: ends for k, ends in allowed.items() if k not in narrow}
            if even and (np.asarray(data.counts)[: analysis.outcomes.n_counts] == 0).any():
                z = np.random.default_rng(0).standard_normal((_POINTS, len(self.index)))
                points = np.array([self.natural(jnp.asarray(row))[0] for row in z])
                self.wall = wall(analysis, data, points, even, self.index)

    @property
    def size(self) -> int:
        """How many parameters move."""
        return len(self.index)

    def allows(self, vector: np.ndarray) -> bool:
        """Return whether a flat vector (size,) is where the priors are not zero."""
        x = np.asarray(vector, float)[self.index]
        u = self._uniform
        if np.any((x[u] < self._lower[u]) | (x[u] > self._upper[u])):
            return False
        ends = [(x[k], *priors.support_bounds(prior)) for k, prior in self._others]
        return all(low <= value <= high for value, low, high in ends)

    def natural(self, z: Array) -> tuple[Array, Array]:
        """Return the flat vector (size,) at z (n,), and the logarithm of the weight of
        priors that have no quantiles in closed form: log prior = -z^2/2 + weight."""
        x = self._centre + self._width * z
        weight = jnp.asarray(self._left)
        if self._cut.size:
            x = x.at[self._cut].set(self._within(z[self._cut]))
        if self._uniform.size:
            x = x.at[self._uniform].set(self._evenly(z[self._uniform]))
        for k, prior in self._others:
            x = x.at[k].set(priors.quantile(prior, ndtr(z[k])))
        for funnel in self.funnels:
            value, more = funnel.value(z)
            x, weight = x.at[funnel.narrow].set(value), weight + more
        if self._gamma.size:
            weight = weight + self._gamma_weight(x[self._gamma])
        vector = jnp.asarray(self.vector).at[self.index].set(x)
        if self.wall is not None:
            at = z[self.wall.position]
            value, more = self.wall.value(self.analysis.rates, vector, at)
            vector, weight = vector.at[self.wall.entry].set(value), weight + more
        return vector, weight

    def _within(self, z: Array) -> Array:
        """Normal numbers cut off at their bounds, each from the nearer tail."""
        negative = z < 0
        tail = ndtr(-jnp.abs(z)) * (1 - self._below - self._above)
        t = ndtri(jnp.where(negative, self._below, self._above) + tail)
        centre, width = self._centre[self._cut], self._width[self._cut]
        x = centre + width * jnp.where(negative, t, -t)
        return jnp.clip(x, self._lower[self._cut], self._upper[self._cut])

    def _evenly(self, z: Array) -> Array:
        lower, upper = self._lower[self._uniform], self._upper[self._uniform]
        tail = (upper - lower) * ndtr(-jnp.abs(z))
        return jnp.where(z < 0, lower + tail, upper - tail)

    def _gamma_weight(self, x: Array) -> Array:
        """What the Gamma density of auxiliary counts has beyond the normal one."""
        k, f = self._counts, self._factor
        at = self._gamma
        low, high = self._lower[at], self._upper[at]
        area = special.gammainc(k + 1, f * high) - special.gammainc(k + 1, f * np.maximum(low, 0))
        gamma = k * jnp.log(f * jnp.maximum(x, 1e-300)) - f * x
        gamma = gamma - special.gammaln(k + 1) + np.log(f / area)
        centre, width = self._centre[at], self._width[at]
        left = special.ndtr((high - centre) / width) - special.ndtr((low - centre) / width)
        far = ~np.isin(at, self._cut)
        normal = -0.5 * ((x - centre) / width) ** 2
        normal = normal - np.log(width * np.sqrt(2 * np.pi) * np.where(far, 1.0, left))
        return jnp.sum(gamma - normal)

    def standard(
        self, vectors: np.ndarray, reach: float = 8.0, *, straight: bool = True
    ) -> np.ndarray:
        """Return z (..., n) of flat vectors (..., size), within +-reach; of the priors alone,
        without funnels and wall, if not `straight`."""
        x = np.asarray(vectors, float)[..., self.index]
        z = (x - self._centre) / self._width
        cut, u = self._cut, self._uniform
        part = special.ndtr(z[..., cut]) - self._below
        rest = special.ndtr(-z[..., cut]) - self._above
        z[..., cut] = _number(part, rest)
        z[..., u] = _number(x[..., u] - self._lower[u], self._upper[u] - x[..., u])
        for k, prior in self._others:
            below = np.asarray(priors.cumulative(prior, x[..., k]))
            z[..., k] = special.ndtri(np.clip(below, 0.0, 1.0))
        for funnel in self.funnels if straight else ():
            below = funnel.quantile(x[..., funnel.narrow], z[..., funnel.decides])
            z[..., funnel.narrow] = special.ndtri(np.clip(below, 0.0, 1.0))
        if self.wall is not None and straight:
            k, rows = self.wall.position, jnp.reshape(vectors, (-1, self.analysis.size))
            ends = jax.vmap(partial(self.wall.left, self.analysis.rates))(rows)
            a, b = (np.reshape(end, x.shape[:-1]) for end in ends)
            z[..., k] = _number(np.maximum(x[..., k] - a, 0.0), np.maximum(b - x[..., k], 0.0))
        return np.clip(np.nan_to_num(z, nan=0.0, posinf=reach, neginf=-reach), -reach, reach)


def _number(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return the standard normal number that divides a probability in two, from the smaller."""
    total = np.maximum(below + above, 1e-300)
    less = special.ndtri(np.clip(below / total, 0.0, 1.0))
    return np.where(below < above, less, -special.ndtri(np.clip(above / total, 0.0, 1.0)))
