"""The Fisher matrix of counts with constrained nuisances, solved through the space of bins.

With J = d rate / d parameter, the variance V of the rates (diagonal over bins: counts and settled
nuisances) and the curvature D of the constraints (diagonal over parameters), the matrix is
J^T V^-1 J + D, and by the Woodbury identity one solve in the space of bins inverts it:

    (D + J^T V^-1 J)^-1 = D^-1 - D^-1 J^T P J D^-1,   P = (V + J D^-1 J^T)^-1.

Unconstrained parameters u (D = 0) come in through their Schur complement, which is J_u^T P J_u.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis, Data
from bknn.analysis.log_density import LogDensity
from bknn.inference.minimiser.barlow_beeston import settled
from bknn.likelihood.sparse import collect, take, take_columns

#: Counts up to this number stand for none (`vanishing`), or are as good as none.
FEW = 1e-2


class Layout(NamedTuple):
    """How the parameters enter: entries of the flat vector, and where their derivatives stand.

    Attributes:
        settled: solved for; `settled_at` among the local entries of the structure, on the bin
            `settled_bin`.
        rest: all others: first the constrained ones (`tied` of them), then those that are not.
        dense: columns of the dense derivatives, for each of the rest; -1 for local ones.
        local: positions among the local entries, for each of the rest; -1 for dense ones.
    """

    settled: np.ndarray
    settled_at: np.ndarray
    settled_bin: np.ndarray
    rest: np.ndarray
    tied: int
    dense: np.ndarray
    local: np.ndarray


def layout(analysis: Analysis | LogDensity) -> Layout:
    """Sort the parameters of an analysis by how they enter."""
    constrained = np.zeros(analysis.size, bool)
    constrained[analysis.normal[0]] = True
    constrained[analysis.poisson[0]] = True
    structure = analysis.structure
    at = settled(analysis)
    others = np.setdiff1d(np.arange(len(structure.local)), at)
    rest = np.concatenate([structure.shared, structure.local[others]])
    dense = np.concatenate([np.arange(len(structure.shared)), np.full(len(others), -1)])
    local = np.concatenate([np.full(len(structure.shared), -1), others])
    order = np.argsort(~constrained[rest], kind="stable")
    return Layout(
        settled=structure.local[at],
        settled_at=at,
        settled_bin=structure.local_bin[at],
        rest=rest[order],
        tied=int(np.sum(constrained[rest])),
        dense=dense[order],
        local=local[order],
    )


class Metric(NamedTuple):
    """The Fisher matrix, of every fit its own.

    Attributes:
        diagonal: curvature of the constraints (fits, tied).
        project: P (fits, bins, bins).
        tied, free: derivatives of the rates by the rest of the parameters, those that are
            constrained (fits, bins, tied) and those that are not (fits, bins, free).
        own: curvature of what constrains the model's parameters among the latter (fits, free).
        size: diagonal of the whole matrix (fits, rest).
    """

    diagonal: Any
    project: Any
    tied: Any
    free: Any
    own: Any
    size: Any


def empty(where: Layout, fits: int, n_bins: int) -> Metric:
    """Return room for the matrices of some fits."""
    n, tied = len(where.rest), where.tied
    shapes = ((tied,), (n_bins, n_bins), (n_bins, tied), (n_bins, n - tied), (n - tied,), (n,))
    return Metric(*(np.ones((fits, *shape)) for shape in shapes))


def measure(
    analysis: LogDensity, where: Layout, vector: Array, data: Data, moving: Array, weight: Array
) -> Metric:
    """Compute the Fisher matrix at a vector (size,).

    `weight` (p,) is the curvature of constraints of the first p entries, the model's parameters,
    beside those that the density knows.
    """
    n_bins, n = analysis.n_bins, where.tied
    rates, dense, local = analysis.derivatives(vector)
    variance = analysis.data_distribution.variance(data.counts, rates, 1e-4)
    # Hardly any counts, as at an edge: the next step ends before it rather than beyond.
    few = (jnp.asarray(data.counts) > 0) & (jnp.asarray(data.counts) <= FEW)
    few &= np.arange(n_bins) < analysis.data_distribution.n_counts
    variance = jnp.where(few, jnp.maximum(rates, FEW**10), variance)
    index, _, sigma = analysis.normal
    widths = np.zeros(analysis.size)
    widths[index] = sigma
    spread = jnp.where(moving[where.settled], local[where.settled_at] * widths[where.settled], 0.0)
    variance = variance + collect(spread**2, where.settled_bin, n_bins)

    curvature = jnp.asarray(np.where(widths > 0, 1 / np.where(widths > 0, widths, 1.0) ** 2, 0.0))
    index, _, _ = analysis.poisson
    if index.size:
        parameter = jnp.maximum(take(vector, index), 1e-10)
        curvature = curvature.at[index].set(jnp.maximum(data.poisson, 0.5) / parameter**2)
    diagonal = curvature[where.rest[:n]]
    # Dense columns, and columns of one entry.
    columns = take_columns(dense, np.maximum(where.dense, 0))
    at = np.flatnonzero(where.local >= 0)
    if at.size:
        in_bin = np.zeros((n_bins, len(where.rest)))
        in_bin[analysis.structure.local_bin[where.local[at]], at] = 1.0
        alone = in_bin * local[where.local][None, :]
        columns = jnp.where((where.local >= 0)[None, :], alone, columns)
    columns = jnp.where(moving[where.rest][None, :], columns, 0.0)
    tied, free = columns[:, :n], columns[:, n:]
    root = 1 / jnp.sqrt(variance)
    core = root[:, None] * ((tied / diagonal[None, :]) @ tied.T) * root[None, :]
    project = root[:, None] * inverse(core + jnp.eye(n_bins)) * root[None, :]
    own = jnp.append(weight, 0.0)[np.minimum(where.rest[n:], len(weight))]
    size = jnp.concatenate([diagonal, own])
    size = size + jnp.sum(columns**2 / variance[:, None], axis=0)
    return Metric(diagonal, project, tied, free, own, jnp.where(size > 0, size, 1.0))


def solver(where: Layout, metric: Metric, active: Array) -> Callable[[Array], Array]:
    """Return the function v -> (Fisher matrix)^-1 v over the active of the rest, (fits, rest).

    Constrained parameters that are not active are left out by crossing out their rows and columns
    of the inverse: not exact, but downhill.
    """
    n = where.tied
    n_free = len(where.rest) - n
    if not n_free:

        def solve_tied(v: Array) -> Array:
            z = v / metric.diagonal
            y = jnp.einsum("ibc,ic->ib", metric.project, jnp.einsum("it,ibt->ib", z, metric.tied))
            tied = z - jnp.einsum("ib,ibt->it", y, metric.tied) / metric.diagonal
            return jnp.where(active, tied, 0.0)

        return solve_tied
    j_free = jnp.where(active[:, None, n:], metric.free, 0.0)
    projected = jnp.einsum("ibc,icf->ibf", metric.project, j_free)
    schur = jnp.einsum("ibf,ibg->ifg", j_free, projected)
    schur = schur + metric.own[:, :, None] * jnp.eye(n_free)[None]
    size = jnp.sqrt(jnp.diagonal(schur, axis1=1, axis2=2))
    # A parameter that moves nothing here (the mass of an absent line) stays.
    moves = size > 0
    size = jnp.where(moves, size, 1.0)
    schur = schur / size[:, :, None] / size[:, None, :]
    inverted = inverse(schur + 1e-9 * jnp.eye(n_free)[None])

    def solve(v: Array) -> Array:
        z = v[:, :n] / metric.diagonal
        moved = jnp.einsum("it,ibt->ib", z, metric.tied)
        y = jnp.einsum("ibc,ic->ib", metric.project, moved)
        rhs = (v[:, n:] - jnp.einsum("ibf,ib->if", projected, moved)) / size
        part = jnp.where(moves, jnp.einsum("ifg,ig->if", inverted, rhs) / size, 0.0)
        y = y + jnp.einsum("ibf,if->ib", projected, part)
        tied = z - jnp.einsum("ib,ibt->it", y, metric.tied) / metric.diagonal
        return jnp.where(active, jnp.concatenate([tied, part], axis=1), 0.0)

    return solve


def inverse(matrix: Array) -> Array:
    """Return the inverse of symmetric positive matrices (..., n, n).

    By halves, so that it is all products of matrices, as fast as LAPACK for n of some ten. And
    LAPACK calls that run at the same time in XLA's pool of threads can wait for each other forever
    (jaxlib 0.10: a batch of 256 fits never ended).
    """
    n = matrix.shape[-1]
    if n <= 16:
        # Gauss-Jordan: one row and column after the other is replaced by that of the inverse.
        unit = jnp.eye(n).reshape((n,) + (1,) * (matrix.ndim - 2) + (n,))

        def sweep(k: Array, a: Array) -> Array:
            row = jax.lax.dynamic_index_in_dim(a, k, -2)
            column = jax.lax.dynamic_index_in_dim(a, k, -1)
            pivot = jax.lax.dynamic_index_in_dim(row, k, -1)
            return a - (column - unit[k][..., :, None]) * ((row + unit[k][..., None, :]) / pivot)

        return jax.lax.fori_loop(0, n, sweep, matrix)
    h = n // 2
    b = matrix[..., :h, h:]
    first = inverse(matrix[..., :h, :h])
    carried = first @ b
    second = inverse(matrix[..., h:, h:] - jnp.swapaxes(b, -1, -2) @ carried)
    across = carried @ second
    top = jnp.concatenate([first + across @ jnp.swapaxes(carried, -1, -2), -across], -1)
    bottom = jnp.concatenate([-jnp.swapaxes(across, -1, -2), second], -1)
    return jnp.concatenate([top, bottom], -2)
