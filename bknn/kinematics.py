"""Relativistic kinematics of a two-body (or quasi two-body) decay.

All functions are pure, work on arrays of any shape and keep finite gradients at the edge of
phase space, where a plain square root has none. Of numbers that are not traced they are NumPy's, so
that what is constant in a compiled program is a constant of it, not computed in it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike


def known(*numbers: Any) -> bool:
    """Return whether no number (or none of those in a pytree) is traced."""
    return not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(numbers))


def numpy_for(*numbers: Any) -> ModuleType:
    """Return NumPy if no number is traced, else jax.numpy."""
    return np if known(*numbers) else jnp


def safe_sqrt(x: Any) -> Array:
    """Return sqrt(x) for x > 0 and 0 for x <= 0, there with gradient 0 (not infinity).

    Multiply it with something that vanishes at the threshold as well and the gradient of the
    product is the right one there.

    >>> float(safe_sqrt(4.0)), float(safe_sqrt(-1.0))
    (2.0, 0.0)
    """
    xp: Any = numpy_for(x)
    x = xp.asarray(x)
    nothing = x <= 0  # asked this way round, so that NaN stays NaN
    # Two wheres: the inner one keeps the derivative of the square root away from x <= 0.
    return xp.where(nothing, 0.0, xp.sqrt(xp.where(nothing, 1.0, x)))


def kallen(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Array:
    """Return the Kallen function a^2 + b^2 + c^2 - 2 (ab + bc + ca) of three squared masses.

    >>> float(kallen(9.0, 1.0, 4.0))
    0.0
    """
    a, b, c = jnp.asarray(a), jnp.asarray(b), jnp.asarray(c)
    return (a - b - c) ** 2 - 4.0 * b * c


def endpoint(mass_parent: ArrayLike, mass_daughter: ArrayLike) -> Array:
    """Return the largest q2 = (mass_parent - mass_daughter)^2, in GeV^2, masses in GeV.

    >>> round(float(endpoint(5.279495, 0.4956440)), 4)
    22.8852
    """
    xp: Any = numpy_for(mass_parent, mass_daughter)
    return (xp.asarray(mass_parent) - xp.asarray(mass_daughter)) ** 2


def momentum(mass_parent: ArrayLike, mass_daughter: ArrayLike, q2: ArrayLike) -> Array:
    """Return the momentum of the daughter in the rest frame of the parent, in GeV.

    Masses in GeV, q2 in GeV^2 (the squared mass of the other daughter). Beyond the endpoint
    the momentum is 0.

    >>> float(momentum(5.0, 1.0, 16.0))
    0.0
    >>> round(float(momentum(5.0, 1.0, 0.0)), 6)
    2.4
    """
    xp: Any = numpy_for(mass_parent, mass_daughter, q2)
    mass_parent, q2 = xp.asarray(mass_parent), xp.asarray(q2)
    threshold = (mass_parent + xp.asarray(mass_daughter)) ** 2
    room = endpoint(mass_parent, mass_daughter) - q2
    # The factorised Kallen function has no cancellation near the endpoint; the first factor is
    # clipped because the product is positive again above (mass_parent + mass_daughter)^2.
    return safe_sqrt(xp.maximum(room, 0.0) * (threshold - q2)) / (2.0 * mass_parent)


def z_map(q2: ArrayLike, t_plus: ArrayLike, t_zero: ArrayLike) -> Array:
    """Return z(q2) = (sqrt(t+ - q2) - sqrt(t+ - t0)) / (sqrt(t+ - q2) + sqrt(t+ - t0)).

    The conformal variable of form-factor expansions; q2, t_plus, t_zero in GeV^2, q2 < t_plus.

    >>> float(z_map(0.0, 33.0, 0.0))
    0.0
    """
    q2, t_plus, t_zero = jnp.asarray(q2), jnp.asarray(t_plus), jnp.asarray(t_zero)
    at_q2, at_zero = jnp.sqrt(t_plus - q2), jnp.sqrt(t_plus - t_zero)
    return (at_q2 - at_zero) / (at_q2 + at_zero)
