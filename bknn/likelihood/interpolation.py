"""How HistFactory goes from -1, 0, +1 sigma templates to any value of a nuisance parameter.

The codes are those of ROOT's and pyhf's HistFactory (arXiv:1102.0302; CERN-OPEN-2012-016, section
4.1). An additive variation with templates `lo`, nominal, `hi` is

    delta(alpha) = alpha S + g(alpha) A,   S = (hi - lo)/2,   A = (hi + lo)/2 - nominal,

for every code, with one function `g` a code: variations of all templates become two matrix
products. For a symmetric variation A = 0 and the codes agree.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

ADDITIVE_CODES = ("code0", "code4p")
MULTIPLICATIVE_CODES = ("code1", "code4")


def asymmetric_part(alpha: ArrayLike, code: str) -> Array:
    """Return g(alpha) of an additive code, the weight of the asymmetric part; same shape as alpha.

    code0: |alpha|; code4p: a polynomial of sixth order that joins |alpha| at 1 with two continuous
    derivatives.
    """
    alpha = jnp.asarray(alpha)
    size = jnp.abs(alpha)
    if code == "code0":
        return size
    square = alpha * alpha
    inside = square * (15 + square * (3 * square - 10)) / 8
    return jnp.where(size > 1, size, inside)


def multiplicative(
    alpha: ArrayLike, log_lo: ArrayLike, log_hi: ArrayLike, poly: ArrayLike
) -> Array:
    """Return the factors of normsys modifiers, shape (n,).

    Args:
        alpha: nuisance parameters, shape (n,).
        log_lo, log_hi: logarithms of the factors at -1 and +1 sigma, shape (n,).
        poly: coefficients from `code4_polynomial`, shape (6, n), for code4; shape (0, n) for code1.
    """
    alpha = jnp.asarray(alpha)
    poly = jnp.asarray(poly)
    if poly.shape[0] == 0:
        return jnp.exp(jnp.where(alpha > 0, alpha * log_hi, -alpha * log_lo))
    outside = jnp.exp(jnp.where(alpha >= 1, alpha * log_hi, -alpha * log_lo))
    square = alpha * alpha
    cube = square * alpha
    powers = jnp.stack([alpha, square, cube, square * square, square * cube, cube * cube])
    return jnp.where(jnp.abs(alpha) >= 1, outside, 1 + jnp.sum(poly * powers, axis=0))


def code4_polynomial(lo: ArrayLike, hi: ArrayLike) -> np.ndarray:
    """Return the coefficients of alpha^1..alpha^6 of code4 at alpha0 = 1, shape (6, n).

    They follow from value, slope and curvature of the exponentials at alpha = +1 and -1.
    """
    lo, hi = np.atleast_1d(np.asarray(lo, float)), np.atleast_1d(np.asarray(hi, float))
    log_lo, log_hi = np.log(lo), np.log(hi)
    power = np.arange(1, 7)
    rows, rhs = [], []
    for x, value, log in ((1.0, hi, log_hi), (-1.0, lo, -log_lo)):
        rows += [x**power, power * x ** (power - 1), power * (power - 1) * x ** (power - 2.0)]
        rhs += [value - 1, log * value, log**2 * value]
    return np.linalg.solve(np.array(rows), np.array(rhs))
