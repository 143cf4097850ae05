"""The terms of a log likelihood: Poisson counts and normal constraints.

Each comes in two parts, what depends on the parameters and what depends on the data alone, so that
a fit computes the second (a logarithm of a Gamma function for every bin) only once.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln
from jax.typing import ArrayLike
from scipy import special

from bknn.likelihood.sparse import place

#: Stands in for a vanishing rate in derivatives: steep, but finite. Rates vanish to this rounding.
_FLOOR = 1e-10


@jax.custom_jvp
def _count_log_rate(count: Array, rate: Array) -> Array:
    """count * log(rate); 0 for no counts (whatever the rate), -inf for counts at rate <= 0."""
    positive = jnp.where(rate <= 0, 1.0, rate)
    return jnp.where(
        count == 0, 0.0 * positive, jnp.where(rate <= 0, -jnp.inf, count * jnp.log(positive))
    )


@_count_log_rate.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    count, rate = primals
    d_count, d_rate = tangents
    safe = jnp.where(rate <= _FLOOR**10, _FLOOR, rate)
    return _count_log_rate(count, rate), count / safe * d_rate + jnp.log(safe) * d_count


def poisson_shape(count: ArrayLike, rate: ArrayLike) -> Array:
    """Return count log(rate) - rate, elementwise; see `log_poisson`."""
    count, rate = jnp.asarray(count, float), jnp.asarray(rate, float)
    return _count_log_rate(count, rate) - rate


@jax.custom_jvp
def wall(count: Array, rate: Array) -> Array:
    """Return -inf where there are no counts and the rate is negative, 0 elsewhere; elementwise.

    Negative rates have no likelihood, whatever pyhf's -rate says. The derivative beyond is that of
    `log_poisson` with a count, finite, towards larger rates. What is negative by no more than
    rounding counts as zero.
    """
    return jnp.where((count == 0) & (rate < -_FLOOR), -jnp.inf, 0.0 * rate)


@wall.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    count, rate = primals
    beyond = (count == 0) & (rate < -_FLOOR)
    return wall(count, rate), jnp.where(beyond, 1 / _FLOOR, 0.0) * tangents[1]


def poisson_norm(count: ArrayLike) -> Array | np.ndarray:
    """Return log Gamma(count + 1), elementwise; a NumPy constant for NumPy counts."""
    if isinstance(count, np.ndarray):
        return np.asarray(special.gammaln(count + 1))
    return gammaln(jnp.asarray(count, float) + 1)


def log_poisson(count: ArrayLike, rate: ArrayLike) -> Array:
    """Return log Poisson(count | rate), elementwise, for real counts as pyhf defines it.

    -inf where the rate is zero or negative and there are counts (pyhf: NaN for negative rates),
    with a finite derivative that points to larger rates. With no counts the value is -rate
    throughout, for negative rates too, as in pyhf.

    >>> import jax.numpy as jnp
    >>> counts, rates = jnp.array([3.0, 3.0, 0.0]), jnp.array([2.0, -1.0, 2.0])
    >>> [round(float(x), 4) for x in log_poisson(counts, rates)]
    [-1.7123, -inf, -2.0]
    """
    return poisson_shape(count, rate) - poisson_norm(count)


# Auxiliary counts -----------------------------------------------------------------------------
#
# A nuisance of relative size 1e-6 is an auxiliary measurement of 1e12 counts, and the terms of its
# log density are 1e13, with a rounding of 1e-3. Here they are written as differences.


@jax.custom_jvp
def auxiliary_shape(count: Array, rate: Array) -> Array:
    """Return count log(rate / count) - (rate - count), elementwise, -rate for no counts.

    `poisson_shape` but for what depends on the count alone, exact for counts of any size.
    """
    value = count * _bend(count, rate)
    return jnp.where(count == 0, -rate, jnp.where(rate <= 0, -jnp.inf, value))


@auxiliary_shape.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    count, rate = primals
    d_count, d_rate = tangents
    safe = jnp.where(rate <= _FLOOR**10, _FLOOR, rate)
    slope = jnp.where(count == 0, -1.0, (count - safe) / safe)
    by_count = jnp.log(safe / jnp.where(count > 0, count, 1.0))
    return auxiliary_shape(count, rate), slope * d_rate + by_count * d_count


def _bend(count: Array, rate: Array) -> Array:
    """log(1 + x) - x of x = rate / count - 1, also where x is small; of 0 where none is positive.

    With s = x / (2 + x) it is -x s + 2 (s^3 / 3 + s^5 / 5 + ...).
    """
    count, rate = jnp.where(count > 0, count, 1.0), jnp.where(rate > 0, rate, 1.0)
    x = (rate - count) / count
    s = x / (2 + x)
    q = s * s
    series = -x * s + 2 * s * q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q / 9)))
    return jnp.where(jnp.abs(x) < 0.05, series, jnp.log(rate / count) - x)


def auxiliary_norm(count: ArrayLike) -> Array | np.ndarray:
    """Return log Gamma(count + 1) - count log(count) + count, elementwise, as `poisson_norm`."""
    if isinstance(count, np.ndarray):
        small = np.minimum(count, _STIRLING)
        known = special.gammaln(small + 1) - special.xlogy(small, small) + small
        return np.asarray(np.where(count < _STIRLING, known, _stirling(count, np)))
    n = jnp.asarray(count, float)
    least = jnp.minimum(n, _STIRLING)
    few = gammaln(least + 1) - jax.scipy.special.xlogy(least, least) + least
    return jnp.where(n < _STIRLING, few, _stirling(n, jnp))


#: From here on three terms of Stirling's series are exact.
_STIRLING = 1e3


def _stirling(count: Any, xp: Any) -> Any:
    n = xp.maximum(count, _STIRLING)
    return 0.5 * xp.log(2 * np.pi * n) + 1 / (12 * n) - 1 / (360 * n**3)


def normal_shape(
    vector: Array, measured: Array | np.ndarray, index: np.ndarray, sigma: np.ndarray
) -> Array:
    """Return -1/2 of the sum of squared pulls of vector[index], constants (n,), in units of sigma.

    Summed over all parameters with weight zero for the others: no gather, no scatter.
    """
    weight = np.zeros(vector.shape)
    weight[index] = 1 / sigma
    if isinstance(measured, np.ndarray):
        centre = np.zeros(vector.shape)
        centre[index] = measured
        return -0.5 * jnp.sum(((vector - centre) * weight) ** 2)
    placed = place(measured[None, :], index, vector.shape[0])[0]
    return -0.5 * jnp.sum(((vector - placed) * weight) ** 2)


def normal_norm(sigma: np.ndarray) -> float:
    """Return the sum of log(sqrt(2 pi) sigma)."""
    return float(np.sum(np.log(sigma * np.sqrt(2 * np.pi))))
