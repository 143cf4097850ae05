"""The quartic Bernstein polynomials on one bin.

B_k(t) = C(4, k) t^k (1 - t)^(4 - k) for t in [0, 1]. They are non-negative and add up to 1, so a
polynomial with non-negative coefficients is non-negative, in exact arithmetic and in floats.
"""

from __future__ import annotations

from math import comb

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.polynomial import polynomial

DEGREE = 4


def basis(t: Array) -> Array:
    """Return B_0 ... B_4 at t; a new last axis of length 5."""
    s = 1.0 - t
    t2, s2 = t * t, s * s
    return jnp.stack([s2 * s2, 4.0 * t * s * s2, 6.0 * t2 * s2, 4.0 * t * t2 * s, t2 * t2], axis=-1)


def basis_numpy(t: np.ndarray) -> np.ndarray:
    """Return the same, in NumPy, for what is computed once."""
    k = np.arange(DEGREE + 1)
    binomials = np.array([comb(DEGREE, int(i)) for i in k])
    return binomials * t[..., None] ** k * (1.0 - t[..., None]) ** (DEGREE - k)


def in_powers() -> np.ndarray:
    """Return the (5, 5) matrix whose row k holds B_k as coefficients of u^0 ... u^4, u = 2t - 1."""
    rows = []
    for k in range(DEGREE + 1):
        row = np.array([comb(DEGREE, k) / 2.0**DEGREE])
        for factor in [(1.0, 1.0)] * k + [(1.0, -1.0)] * (DEGREE - k):
            row = polynomial.polymul(row, factor)
        rows.append(row)
    return np.array(rows)
