"""Funnels: posteriors in which one parameter decides how far another one may go.

A rate ~ g^2/m^4 leaves a coupling g a range that grows like m^2, and no step of a sampler suits
both ends of that. Where the data leave a parameter x in [0, X] or [-X, X] a range k X that varies
along the prior of another one, x is described by t in [0, 1] or [-1, 1],

    x = X k t / sqrt(k^2 + 1 - t^2),

which is k X t for small t and X at t = 1: in t the funnel is a tube. The prior stays what it is,

    p(t) = k (k^2 + 1) / (k^2 + 1 - t^2)^(3/2)

if x is uniform. Any k > 0 is right; the one found here from the likelihood is helpful.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr

from bknn import priors
from bknn.analysis.analysis import Analysis, Data

#: Ranges that vary by less than this factor are no funnel.
_FACTOR = 8.0

#: The range ends where the logarithm of the likelihood has fallen by this.
_FALL = 8.0

#: Places along the parameter that decides, and the degree of the polynomial for log k there.
_PLACES, _DEGREE = 14, 6

#: Ranges that are tried, in units of the largest value: two for each factor of two.
_RANGES = 2.0 ** (-0.5 * np.arange(40))


class Funnel(NamedTuple):
    """How far one parameter may go, as another one decides.

    Attributes:
        narrow, decides: positions of the two among the moving parameters.
        half: whether the first goes one way from 0 only.
        most: its largest value.
        log_k: polynomial in 2 u - 1, u the quantile of the second, highest power first.
    """

    narrow: int
    decides: int
    half: bool
    most: float | Array
    log_k: np.ndarray | Array

    @property
    def ends(self) -> tuple[float | Array, float | Array]:
        """Smallest and largest value of the narrow parameter."""
        return 0.0 if self.half else -self.most, self.most

    def value(self, z: Array) -> tuple[Array, Array]:
        """Return the narrow parameter at standard normal numbers z (n,), and log p(t)."""
        k, t = self._k(z[self.decides]), self._t(z[self.narrow])
        rest = k**2 + 1 - t**2
        x = jnp.clip(self.most * k * t / jnp.sqrt(rest), *self.ends)
        return x, jnp.log(k * (k**2 + 1)) - 1.5 * jnp.log(rest)

    def quantile(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the quantile of t at values x (...) of the narrow parameter and standard normal
        numbers z (...) of the one that decides."""
        k, y = np.asarray(self._k(jnp.asarray(z))), x / self.most
        t = y * np.sqrt((k**2 + 1) / (k**2 + y**2))
        return t if self.half else 0.5 * (t + 1)

    def _k(self, z: Array) -> Array:
        return jnp.exp(jnp.polyval(jnp.asarray(self.log_k), 2 * ndtr(z) - 1))

    def _t(self, z: Array) -> Array:
        return ndtr(z) if self.half else 2 * ndtr(z) - 1


def funnels(
    analysis: Analysis,
    vector: np.ndarray,
    data: Data,
    narrow: dict[int, tuple[float, float]],
    own: dict[int, int],
) -> tuple[Funnel, ...]:
    """Return the funnels of a posterior, the worst first; no parameter is both narrow and decides.

    Args:
        analysis: what is sampled.
        vector: where all other parameters are kept (size,).
        data: counts and centres of constraints.
        narrow: {position: ends} of uniform parameters that may be the narrow one.
        own: {position: entry of the vector} of the model's own parameters that move.
    """
    found = []
    for b, ends in narrow.items():
        if ends[0] not in (0.0, -ends[1]):
            continue
        for a in own:
            if a == b:
                continue
            log_k = _ranges(analysis, vector, data, own[b], ends[1], own[a])
            if np.ptp(log_k) > np.log(_FACTOR):
                fit = np.polynomial.chebyshev.chebfit(_places(), log_k, _DEGREE)
                power = np.polynomial.chebyshev.cheb2poly(fit)[::-1]
                found.append((np.ptp(log_k), Funnel(b, a, ends[0] == 0, ends[1], power)))
    chosen: list[Funnel] = []
    for _, funnel in sorted(found, key=lambda pair: -pair[0]):
        narrowed = {f.narrow for f in chosen}
        if funnel.narrow not in narrowed | {f.decides for f in chosen} | {funnel.decides} and (
            funnel.decides not in narrowed
        ):
            chosen.append(funnel)
    return tuple(chosen)


def _places() -> np.ndarray:
    """2 u - 1 of the quantiles u at which ranges are found (places,)."""
    return np.polynomial.chebyshev.chebpts1(_PLACES)


def _ranges(
    analysis: Analysis, vector: np.ndarray, data: Data, i: int, most: float, decides: int
) -> np.ndarray:
    """Return log k (places,) of an entry i of the vector, at most 0."""
    distribution = analysis.parameters[decides].distribution
    along = np.asarray(priors.quantile(distribution, 0.5 * (_places() + 1)))
    points = np.tile(vector, (len(along), len(_RANGES), 1))
    points[..., decides] = along[:, None]
    points[..., i] = most * _RANGES
    density = analysis.density
    program = analysis.programs.get(
        "log L of many", None, lambda: jax.vmap(density.log_shape, (0, None))
    )
    with np.errstate(invalid="ignore"):
        height = np.asarray(program(points.reshape(-1, analysis.size), data))
        height = np.nan_to_num(height.reshape(points.shape[:2]), nan=-np.inf)
        allowed = height > height.max(axis=1, keepdims=True) - _FALL
    # The largest value that the data allow; all of them where nothing says otherwise.
    return np.where(allowed.any(axis=1), np.log(_RANGES[np.argmax(allowed, axis=1)]), 0.0)
