"""Moments of a gas of X at a temperature of its own: what its temperature T_X = <p^2/3E> needs.

The average of sigma v weighted with the temperature (arXiv:1706.07433, eq. 21 and appendix),

    <sigma v>_2 = int d3p1 d3p2 sigma v (p1^2/3E1) exp(-(E1 + E2)/T)/(T [int d3p exp(-E/T)]^2),

is one integral over the energy of a pair, as <sigma v> is: with s = 4 m^2 (1 + r^2), u = sqrt(s)/m
and z = u x the integrand of <sigma v> (`thermal_average`) is multiplied by

    rho = x u/(6 (1 + r^2)) [r^2 K_2(z)/K_1(z) + 2/z + Q/K_1(z)],
    Q = int_0^inf d eta exp(-z cosh eta) sinh^2 eta/(1 + r^2 + sinh^2 eta).

It comes from the variables E1 + E2 = sqrt(s) cosh eta, E1 - E2, s; the integral over E1 - E2 of
p1^2/E1 has an artanh, which an integration by parts turns into Q. All terms are positive. For slow
X, rho -> 1/2 + x r^2/3: half of the temperature is the motion of the centre of mass.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.relic.bessel import coefficients, reduced
from bknn.relic.thermal_average import POINTS, CrossSection, Rule, nodes

#: Points of the rule of Gauss and Laguerre.
_POINTS = 6

#: Least z, and degree in 1/z of what depends on it.
_LEAST_Z, _DEGREE = 2.0, 14

#: Temperatures at a time.
_AT_A_TIME = 16


def _laguerre(power: float) -> tuple[Any, Any]:
    """Return points and weights of int_0^inf dt exp(-t) t^power ...."""
    from scipy.special import roots_genlaguerre

    points, weights = roots_genlaguerre(_POINTS, power)
    return points, weights


@cache
def _from_chebyshev() -> tuple[Any, Any]:
    """Return the points of Chebyshev in 1/z (n,), and the matrix (n, n) of values there to
    coefficients of powers of 1/z."""
    n, T = _DEGREE + 1, np.polynomial.chebyshev
    points = T.chebpts1(n)
    to_series = T.chebvander(points, _DEGREE) * np.where(np.arange(n), 2.0, 1.0) / n
    scaled = np.polynomial.Polynomial([-1.0, 2.0 * _LEAST_Z])
    rows = [np.polynomial.Polynomial(T.cheb2poly(row))(scaled).coef for row in np.eye(n)]
    powers: Any = np.stack([np.pad(row, (0, n - len(row))) for row in rows])
    return (points + 1.0) / (2.0 * _LEAST_Z), to_series @ powers


def _q(r2: Array) -> Array:
    """Return the coefficients (n, _DEGREE + 1) in 1/z of Q z exp(z), at r^2 (n,)."""
    points, matrix = _from_chebyshev()
    t, w = _laguerre(0.5)
    tau = np.outer(points, t)
    values = (np.sqrt(2.0 + tau) * w)[None] / (1.0 + r2[:, None, None] + (tau * (2.0 + tau))[None])
    return jnp.sum(values, axis=-1) @ matrix


def _terms(r2: Array) -> tuple[Array, Array]:
    """Return the coefficients (n, _DEGREE + 2) in 1/z of K_1(z) exp(z) sqrt(2 z/pi), and of this
    times rho/x; r^2 (n,)."""
    k1 = np.append(coefficients(1, _LEAST_Z, _DEGREE), 0.0)
    k2 = np.append(coefficients(2, _LEAST_Z, _DEGREE), 0.0)
    Q = np.sqrt(2.0 / np.pi) * jnp.pad(_q(r2), ((0, 0), (1, 0)))
    second = r2[:, None] * k2[None] + 2.0 * np.roll(k1, 1)[None] + Q
    return jnp.broadcast_to(k1[None], second.shape), second / (3.0 * jnp.sqrt(1.0 + r2))[:, None]


def averages(rule: Rule, x: Array) -> Array:
    """Return <sigma v> and <sigma v>_2 in GeV^-2 of a rule at x = m/T (n,), 1 <= x; (n, 2).

    In 1/z = 1/(u x) integrands are polynomials whose powers of u and of x come apart, so that the
    sums over r are products of matrices, and so are their derivatives.
    """
    root = jnp.sqrt(1.0 + rule.r2)
    above = 2.0 * rule.r2 / (1.0 + root)  # (sqrt(s) - 2 m)/m
    powers = np.arange(_DEGREE + 2.0)[None]
    moving = (rule.weight * rule.r2 * root**1.5 * rule.beta_sigma)[:, None]
    moving *= (2.0 * root[:, None]) ** -powers
    terms = jnp.concatenate([moving * each for each in _terms(rule.r2)], axis=1)

    @jax.checkpoint  # what is of (temperatures, points) is not kept for derivatives
    def some(x: Array) -> Array:
        sums = (jnp.exp(-above[None] * x[:, None]) @ terms).reshape(len(x), 2, -1)
        return jnp.sum(sums * (x[:, None] ** -powers)[:, None], axis=-1)

    n = len(x)
    padded = jnp.concatenate([x, jnp.ones(-n % _AT_A_TIME)]).reshape(-1, _AT_A_TIME)
    sums = jax.lax.map(some, padded).reshape(-1, 2)[:n]
    plain, second = sums[:, 0], sums[:, 1] * x
    size = 16.0 / np.sqrt(4.0 * np.pi) * x**1.5 / reduced(2, 1.0 / x) ** 2
    return size[:, None] * jnp.stack([plain, second], axis=-1)


def sigma_v_2(annihilation: CrossSection, x: ArrayLike, *, points: int = POINTS) -> Array:
    """Return <sigma v>_2 in GeV^-2 at x = m/T, 1 <= x, () or (n,); of X with Xbar.

    >>> from bknn.relic.annihilation import from_function
    >>> slow = from_function(lambda s: 1e-9 / (2 * jnp.sqrt(1 - 4 / s)), 1.0)  # sigma v -> 1e-9
    >>> round(float(sigma_v_2(slow, 1e6)) * 1e9, 5)  # sigma v is constant: <p^2/3E> = T
    1.0
    """
    x = jnp.asarray(x, dtype=float)
    return averages(nodes(annihilation, points), jnp.atleast_1d(x))[:, 1].reshape(x.shape)


def relativistic(x: ArrayLike) -> Array:
    """Return <p^4/E^3>/(3 T) at x = m/T, 1 <= x, any shape.

    5/x of slow X, 1 of massless ones: a gas of its own cools as d ln T/d ln a = -2 + this.

    >>> round(float(relativistic(1e4)) * 1e4, 2)
    5.0
    """
    x = jnp.asarray(x, dtype=float)
    t, w = _laguerre(2.5)
    tau = jnp.outer(1.0 / jnp.ravel(x), jnp.asarray(t))
    sums = (((2.0 + tau) ** 2.5 / (1.0 + tau) ** 2) @ jnp.asarray(w)).reshape(x.shape)
    return np.sqrt(2.0 / np.pi) * sums / (3.0 * x * reduced(2, 1.0 / x))
