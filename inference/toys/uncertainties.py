"""Uncertainties of many fits, each from the Hessian of its own toy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis, Data
from bknn.inference.datasets import taken
from bknn.inference.minimiser.fisher import inverse

#: Toys whose uncertainties are computed together.
_TOGETHER = 32


def uncertainties_of(
    analysis: Analysis, own: np.ndarray, vectors: np.ndarray, data: Data, moving: np.ndarray
) -> np.ndarray:
    """Return the uncertainties of some entries (n, own) at the best fits (n, size) of data sets.

    As those of a FitResult, but many at a time: parameters at a bound count as fixed and get 0;
    where the Hessian is not positive definite all are NaN.
    """
    density = analysis.density
    lower, upper = analysis.bounds.T
    unit = np.eye(analysis.size)

    def one(vector: Array, data: Data, moving: Array) -> Array:
        hessian = jax.hessian(lambda v: -density.log_shape(v, data))(vector)
        free = moving & (vector > lower) & (vector < upper)
        # Unit diagonal: parameters of 1e-6 stand beside those of 1.
        size = jnp.sqrt(jnp.abs(jnp.diag(hessian)))
        size = jnp.where(free & (size > 0), size, 1.0)
        both = free[:, None] & free[None, :]
        matrix = jnp.where(both, hessian / size[:, None] / size[None, :], unit)
        result = inverse(matrix)
        # The nuisances have constraints; what is not positive shows in these entries.
        variance = jnp.diag(result)
        positive = jnp.all(variance > 0) & _positive(result[own[:, None], own[None, :]])
        sigma = jnp.where(free, jnp.sqrt(jnp.abs(variance)) / size, 0.0)[own]
        return jnp.where(positive, sigma, jnp.nan)

    program = analysis.programs.get(
        "uncertainties", tuple(own.tolist()), lambda: jax.vmap(one, in_axes=(0, 0, None))
    )
    parts = []
    for first in range(0, len(vectors), _TOGETHER):
        rows = np.minimum(np.arange(first, first + _TOGETHER), len(vectors) - 1)
        found = program(vectors[rows], taken(data, rows), moving)
        parts.append(np.asarray(found)[: len(vectors) - first])
    return np.concatenate(parts)


def _positive(matrix: Array) -> Array:
    """Return whether a small symmetric matrix is positive definite, by Gauss's pivots."""
    result = jnp.array(True)
    for k in range(matrix.shape[0]):
        pivot = matrix[k, k]
        result &= pivot > 0
        column = matrix[:, k] / jnp.where(pivot > 0, pivot, 1.0)
        matrix = matrix - column[:, None] * matrix[k][None, :]
    return result
