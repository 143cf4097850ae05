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

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.relic.bessel import reduced
from bknn.relic.thermal_average import POINTS, CrossSection, Rule, nodes

#: Points of the rules of Gauss and Laguerre.
_POINTS = 6

#: Temperatures at a time.
_AT_A_TIME = 16


def _laguerre(power: float) -> tuple[Any, Any]:
    """Return points and weights of int_0^inf dt exp(-t) t^power ...."""
    from scipy.special import roots_genlaguerre

    points, weights = roots_genlaguerre(_POINTS, power)
    return points, weights


def _weight(r2: Array, x: Array) -> tuple[Array, Array]:
    """Return K_1(z) exp(2 x) sqrt(2 z/pi), and this times rho; r2 (n,), x ()."""
    root = jnp.sqrt(1.0 + r2)
    z = 2.0 * root * x
    k1, k2 = reduced(1, 1.0 / z), reduced(2, 1.0 / z)
    t, w = _laguerre(0.5)
    tau = jnp.asarray(t)[None] / z[:, None]
    integrand = jnp.sqrt(2.0 + tau) / (1.0 + r2[:, None] + tau * (2.0 + tau))
    Q = jnp.sqrt(2.0 / np.pi) / z * (integrand @ jnp.asarray(w))
    falling = jnp.exp(-2.0 * r2 / (1.0 + root) * x)
    rho = x / (3.0 * root) * (r2 * k2 + 2.0 * k1 / z + Q)
    return falling * k1, falling * rho


def averages(rule: Rule, x: Array) -> Array:
    """Return <sigma v> and <sigma v>_2 in GeV^-2 of a rule at x = m/T (n,), 1 <= x; (n, 2)."""
    moving = rule.weight * rule.r2 * (1.0 + rule.r2) ** 0.75 * rule.beta_sigma

    @jax.checkpoint  # what is of (temperatures, points) is not kept for derivatives
    def some(x: Array) -> Array:
        plain, weighted = jax.vmap(lambda x: _weight(rule.r2, x))(x)
        return jnp.stack([plain @ moving, weighted @ moving], axis=-1)

    n = len(x)
    padded = jnp.concatenate([x, jnp.ones(-n % _AT_A_TIME)]).reshape(-1, _AT_A_TIME)
    sums = jax.lax.map(some, padded).reshape(-1, 2)[:n]
    return 16.0 / np.sqrt(4.0 * np.pi) * (x**1.5 / reduced(2, 1.0 / x) ** 2)[:, None] * sums


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
