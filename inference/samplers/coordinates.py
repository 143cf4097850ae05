"""Parameters as quantiles of standard normal numbers.

A prior with cumulative distribution F makes z = Phi^-1(F(x)) a standard normal number: uniform
priors, constraints cut off at a bound, masses in the square alike. In these coordinates every prior
is the same, nothing has an end where a trajectory could break off, and what is left of the
posterior is the Poisson probability of the counts. Samplers straighten `funnels` and `walls`, too.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special

from bknn import errors, priors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference.fits import vanishing
from bknn.inference.samplers.chart import Chart, Values
from bknn.inference.samplers.funnels import Funnel, funnels
from bknn.inference.samplers.walls import Wall, wall
from bknn.parameters import Parameter

#: Points at which a wall is looked for.
_POINTS = 64

#: A bound this many widths from the centre of a constraint cuts off less than a millionth.
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
        chart: what they are but for their values.
        values: the numbers in them.

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
        gamma = np.flatnonzero(np.isin(self.index, index))
        position = {int(p): i for i, p in enumerate(index)}
        at = np.array([position[int(p)] for p in self.index[gamma]], int)
        counts, factor = counts[at], factor[at]
        others: list[tuple[int, Any]] = []
        left = 0.0
        own: dict[int, Parameter] = {i: p for i, p in enumerate(analysis.parameters)}
        for k, i in enumerate(self.index):
            if not np.isnan(width[i]):
                continue
            prior = own[int(i)].distribution if int(i) in own else None
            if prior is not None and type(prior).__name__ != "Uniform":
                others.append((k, prior))
            elif prior is not None:
                ends = np.array([float(prior.low), float(prior.high)])
                lower[i], upper[i] = vanishing.possible(
                    analysis, self.vector, data, int(i), self.index, ends
                )
                # Beyond, the likelihood vanishes: what is left of the prior there.
                left += float(np.log((upper[i] - lower[i]) / np.ptp(ends)))
            elif not (np.isfinite(lower[i]) and np.isfinite(upper[i])):
                raise errors.ParameterError(
                    f"parameter {analysis.names[i]!r} has neither a prior nor two bounds, so that "
                    "its posterior cannot be normalised; give it a prior, for instance "
                    f'priors={{"{analysis.names[i]}": "normal(0, 10)"}}.'
                )
        normal = ~np.isnan(width[self.index])
        lower, upper = lower[self.index], upper[self.index]
        centre = np.where(normal, centre[self.index], 0.0)
        width = np.where(normal, width[self.index], 1.0)
        low, high = (lower - centre) / width, (upper - centre) / width
        cut = np.flatnonzero(normal & ((low > -_FAR) | (high < _FAR)))
        uniform = np.setdiff1d(np.flatnonzero(~normal), [k for k, _ in others])
        found: tuple[Funnel, ...] = ()
        allowed: dict[int, tuple[float, float]] = {}
        if straight:
            allowed = {
                int(k): (float(lower[k]), float(upper[k]))
                for k in uniform
                if int(self.index[k]) in own
            }
            entries = {
                k: int(i)
                for k, i in enumerate(self.index)
                if int(i) in own and not (normal[k] or own[int(i)].nuisance)
            }
            found = funnels(analysis, self.vector, data, allowed, entries)
        self.chart = Chart(
            analysis.density, self.index, cut, uniform, gamma, factor, tuple(others), found
        )
        # What the Gamma densities are divided by, and the normal ones.
        least = np.maximum(lower[gamma], 0)
        area = special.gammainc(counts + 1, factor * upper[gamma])
        area = area - special.gammainc(counts + 1, factor * least)
        between = special.ndtr(high[gamma]) - special.ndtr(low[gamma])
        between = np.where(np.isin(gamma, cut), between, 1.0)
        norm = np.log(factor / area) - special.gammaln(counts + 1)
        norm = norm + np.log(width[gamma] * np.sqrt(2 * np.pi) * between)
        self.values = Values(
            self.vector,
            centre,
            width,
            lower,
            upper,
            np.asarray(left),
            special.ndtr(low[cut]),
            special.ndtr(-high[cut]),
            counts,
            norm,
            tuple((np.asarray(f.most), np.asarray(f.log_k)) for f in found),
        )
        narrow = {f.narrow for f in found}
        even = {k: ends for k, ends in allowed.items() if k not in narrow}
        if even and (np.asarray(data.counts)[: analysis.data_distribution.n_counts] == 0).any():
            z = np.random.default_rng(0).standard_normal((_POINTS, len(self.index)))
            points = np.array([self.natural(jnp.asarray(row))[0] for row in z])
            self.chart = replace(self.chart, wall=wall(analysis, data, points, even, self.index))

    @property
    def funnels(self) -> tuple[Funnel, ...]:
        """Funnels that were found."""
        return self.chart.funnels

    @property
    def wall(self) -> Wall | None:
        """The wall that was found, None if there is none."""
        return self.chart.wall

    @property
    def size(self) -> int:
        """How many parameters move."""
        return len(self.index)

    def allows(self, vector: np.ndarray) -> bool:
        """Return whether a flat vector (size,) is where the priors are not zero."""
        x = np.asarray(vector, float)[self.index]
        v, u = self.values, self.chart.uniform
        if np.any((x[u] < v.lower[u]) | (x[u] > v.upper[u])):
            return False
        ends = [(x[k], *priors.support_bounds(prior)) for k, prior in self.chart.others]
        return all(low <= value <= high for value, low, high in ends)

    def natural(self, z: Array) -> tuple[Array, Array]:
        """Return the flat vector (size,) at z (n,) and the logarithm of a weight, as `Chart` does
        at these values."""
        return self.chart.natural(z, self.values)

    def standard(
        self, vectors: np.ndarray, reach: float = 8.0, *, straight: bool = True
    ) -> np.ndarray:
        """Return z (..., n) of flat vectors (..., size), within +-reach; of the priors alone,
        without funnels and wall, if not `straight`."""
        x = np.asarray(vectors, float)[..., self.index]
        v, cut, u = self.values, self.chart.cut, self.chart.uniform
        z = (x - v.centre) / v.width
        part = special.ndtr(z[..., cut]) - v.below
        rest = special.ndtr(-z[..., cut]) - v.above
        z[..., cut] = _number(part, rest)
        z[..., u] = _number(x[..., u] - v.lower[u], v.upper[u] - x[..., u])
        for k, prior in self.chart.others:
            below = np.asarray(priors.cumulative(prior, x[..., k]))
            z[..., k] = special.ndtri(np.clip(below, 0.0, 1.0))
        for funnel in self.funnels if straight else ():
            below = funnel.quantile(x[..., funnel.narrow], z[..., funnel.decides])
            z[..., funnel.narrow] = special.ndtri(np.clip(below, 0.0, 1.0))
        if self.wall is not None and straight:
            k, rows = self.wall.position, jnp.reshape(vectors, (-1, self.analysis.size))
            here = self.chart.wall_of(self.values)
            ends = jax.vmap(partial(here.left, self.analysis.rates))(rows)
            a, b = (np.reshape(end, x.shape[:-1]) for end in ends)
            z[..., k] = _number(np.maximum(x[..., k] - a, 0.0), np.maximum(b - x[..., k], 0.0))
        return np.clip(np.nan_to_num(z, nan=0.0, posinf=reach, neginf=-reach), -reach, reach)


def _number(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return the standard normal number that divides a probability in two, from the smaller."""
    total = np.maximum(below + above, 1e-300)
    less = special.ndtri(np.clip(below / total, 0.0, 1.0))
    return np.where(below < above, less, -special.ndtri(np.clip(above / total, 0.0, 1.0)))
