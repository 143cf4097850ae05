"""Vector-meson form factors in their other basis: A2 and T3 instead of A12 and T23.

A12 and T23 are the amplitudes of a longitudinal vector meson (arXiv:1310.3722, 1503.05534). q2 in
GeV^2, masses in GeV, form factors without unit; everything has the shape of q2.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.kinematics import kallen


def a12(q2: ArrayLike, a1: ArrayLike, a2: ArrayLike, *, parent: float, daughter: float) -> Array:
    """Return A12 from A1 and A2.

    >>> at = {"parent": 5.279, "daughter": 0.896}
    >>> round(float(a12(4.0, 0.3, a2(4.0, 0.3, 0.25, **at), **at)), 6)
    0.25
    """
    total, first, second = _axial(q2, parent, daughter)
    return (first * jnp.asarray(a1) - second * jnp.asarray(a2)) / total


def a2(q2: ArrayLike, a1: ArrayLike, a12: ArrayLike, *, parent: float, daughter: float) -> Array:
    """Return A2 from A1 and A12.

    At the endpoint it is 0/0, finite only as far as A1 and A12 agree there (they do for
    'grvdv-2023-dispersive'), and it is NaN.
    """
    total, first, second = _axial(q2, parent, daughter)
    return (first * jnp.asarray(a1) - total * jnp.asarray(a12)) / second


def t23(q2: ArrayLike, t2: ArrayLike, t3: ArrayLike, *, parent: float, daughter: float) -> Array:
    """Return T23 from T2 and T3.

    >>> at = {"parent": 5.279, "daughter": 0.896}
    >>> round(float(t23(4.0, 0.3, t3(4.0, 0.3, 0.6, **at), **at)), 6)
    0.6
    """
    total, first, second = _tensor(q2, parent, daughter)
    return (first * jnp.asarray(t2) - second * jnp.asarray(t3)) / total


def t3(q2: ArrayLike, t2: ArrayLike, t23: ArrayLike, *, parent: float, daughter: float) -> Array:
    """Return T3 from T2 and T23; the endpoint is like that of A2."""
    total, first, second = _tensor(q2, parent, daughter)
    return (first * jnp.asarray(t2) - total * jnp.asarray(t23)) / second


def _axial(q2: ArrayLike, m: float, v: float) -> tuple[float, Array, Array]:
    """total A12 = first A1 - second A2."""
    total = 16.0 * m * v**2 * (m + v)
    first = (m + v) ** 2 * (m**2 - v**2 - jnp.asarray(q2))
    return total, first, kallen(m**2, v**2, q2)


def _tensor(q2: ArrayLike, m: float, v: float) -> tuple[float, Array, Array]:
    """total T23 = first T2 - second T3."""
    total = 8.0 * m * v**2 * (m - v)
    first = (m**2 - v**2) * (m**2 + 3.0 * v**2 - jnp.asarray(q2))
    return total, first, kallen(m**2, v**2, q2)
