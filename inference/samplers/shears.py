"""Shears: thin bent shells made flat, as learned from points that lie in them.

A rate that is a product, C^2 with C = G f(m, s), leaves a posterior that is thin across, and bends
along the parameters: no step suits it. Where parameters z_i follow from others,

    z_i = y_i + p_i(z_j before i) + a_i . u,

with polynomials p_i and the directions u of the nuisances, y_i varies little and depends little on
the others: in y the shell is flat. The order in which they follow, and p and a, are found by least
squares from a cloud of points. The determinant of the Jacobian is 1, whatever the coefficients are,
so that moves that are even in y are even in z: a bad fit is slow, never wrong.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import comb
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

#: Degree of the polynomials at most, and so many points for each of their terms.
_DEGREE, _POINTS = 4, 8

#: Polynomials are constant beyond, where there are no points.
_REACH = 3.0

#: Weight of coefficients that vanish, in points.
_RIDGE = 1.0


class Shear(NamedTuple):
    """How parameters follow from others, and how what is left of them is spread.

    Attributes:
        order: of the parameters, those that follow last (k,).
        polynomials: coefficients of p (k, terms).
        slopes: coefficients of the nuisances' directions (k, r).
        centre: mean of the nuisances' directions (r,).
        root: of their covariance, C = root root^T (r, r).
        spread: root of the covariance of y (k, k).
    """

    order: Any
    polynomials: Any
    slopes: Any
    centre: Any
    root: Any
    spread: Any


Terms = tuple[tuple[int, ...], ...]


def terms(k: int, points: int) -> Terms:
    """Return the products of k parameters of which polynomials are made, for so many points.

    >>> terms(2, 30)
    ((), (0,), (1,), (0, 0), (0, 1), (1, 1))
    """
    degree = max(
        (d for d in range(2, _DEGREE + 1) if _POINTS * comb(k - 1 + d, d) <= points), default=1
    )
    products = (combinations_with_replacement(range(k), d) for d in range(degree + 1))
    return tuple(product for of_degree in products for product in of_degree)


def flat(z: Array, u: Array, shear: Shear, terms: Terms) -> Array:
    """Return y (k,) of parameters z (k,) and nuisances' directions u (r,)."""
    return z - shear.polynomials @ _products(z, terms) - shear.slopes @ (u - shear.centre)


def bent(y: Array, u: Array, shear: Shear, terms: Terms) -> Array:
    """Return z (k,) of y (k,): one parameter after the other."""
    rest = y + shear.slopes @ (u - shear.centre)

    def one(i: Array, z: Array) -> Array:
        at = shear.order[i]
        return z.at[at].set(rest[at] + shear.polynomials[at] @ _products(z, terms))

    return jax.lax.fori_loop(0, len(y), one, jnp.zeros_like(y))


def _products(z: Array, terms: Terms) -> Array:
    extended = jnp.concatenate([jnp.clip(z, -_REACH, _REACH), jnp.ones(1)])
    return jnp.prod(extended[_places(terms, len(z))], axis=1)


def _places(terms: Terms, k: int) -> np.ndarray:
    """Which parameters each product has (terms, degree); k stands for 1."""
    degree = max(map(len, terms), default=0)
    return np.array([(*term, *[k] * (degree - len(term))) for term in terms], int)


def fitted(z: np.ndarray, u: np.ndarray, known: np.ndarray, terms: Terms) -> Shear:
    """Return the shear of a cloud of points.

    Args:
        z: parameters (points, k).
        u: directions of the nuisances (points, r).
        known: which of them are directions (r,); the others are zero.
        terms: of the polynomials.
    """
    n, k = z.shape
    extended = np.hstack([np.clip(z, -_REACH, _REACH), np.ones((n, 1))])
    products = np.prod(extended[:, _places(terms, k)], axis=2)
    centre = np.where(known, u.mean(axis=0), 0.0)
    moved = np.where(known, u - centre, 0.0)

    def fit(i: int, before: list[int]) -> tuple[np.ndarray, np.ndarray, float]:
        """Coefficients of one parameter, and how much of it is left."""
        kept = np.array([set(term) <= set(before) for term in terms])
        columns = np.hstack([products[:, kept], moved])
        # The constant is free.
        weight = _RIDGE * (np.arange(columns.shape[1]) > 0)
        square = columns.T @ columns + np.diag(weight + 1e-9 * n)
        found = np.linalg.solve(square, columns.T @ z[:, i])
        left = float(np.std(z[:, i] - columns @ found) / max(np.std(z[:, i]), 1e-300))
        polynomial = np.zeros(len(terms))
        polynomial[kept] = found[: kept.sum()]
        return polynomial, found[kept.sum() :], left

    rest, last = list(range(k)), list[int]()
    while len(rest) > 1:
        # What follows best from all others comes last.
        left = [fit(i, [j for j in rest if j != i])[2] for i in rest]
        last.insert(0, rest.pop(int(np.argmin(left))))
    order = rest + last
    polynomials, slopes = np.zeros((k, len(terms))), np.zeros((k, len(known)))
    for place, i in enumerate(order):
        polynomials[i], slopes[i], _ = fit(i, order[:place])
    y = z - products @ polynomials.T - moved @ slopes.T
    # Shrunk towards 1 as few points ask for.
    shrunk = len(known) / (n + len(known))
    unit = np.eye(len(known))
    covariance = (1 - shrunk) * np.cov(moved.T).reshape(unit.shape) + shrunk * unit
    covariance = np.where(np.outer(known, known), covariance, unit)
    spread = np.cov(y.T).reshape(k, k) + 1e-12 * np.eye(k)
    return Shear(
        np.array(order),
        polynomials,
        slopes,
        centre,
        np.linalg.cholesky(covariance),
        np.linalg.cholesky(spread),
    )
