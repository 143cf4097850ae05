"""Lookups and sums with constant indices, written so that they and their transposes are fast.

A gather is fast, its transpose (a scattered addition) is not. For constant indices there are better
ways: slices for runs of neighbours, 0/1 matrices for small sizes, tables padded to equal length.

An index is an array (k,) of whole numbers from -1 on, where -1 means "none"; it may be empty, and
may name an entry never or several times. Values have one axis or more, and the index belongs to the
first unless a function says otherwise. All values are finite.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

#: With more runs of neighbours than this, a gather is better than slices.
_RUNS = 24

#: Below this many entries a dense 0/1 matrix beats scattered additions.
_DENSE = 50_000


def take(values: Array | np.ndarray, index: np.ndarray) -> Array:
    """values[index] for an index without -1, (k, ...)."""
    if isinstance(values, np.ndarray):
        return jnp.asarray(values[index])
    return take_or_one(values, index)


def take_or_one(values: Array, index: np.ndarray) -> Array:
    """values[index], and 1 where the index is -1, (k, ...)."""
    rest = values.shape[1:]
    if not index.size:
        return jnp.zeros((0, *rest), values.dtype)
    absent = index < 0
    if absent.all():
        return jnp.ones((len(index), *rest), values.dtype)
    joined = np.where(absent[1:], absent[:-1], ~absent[:-1] & (np.diff(index) == 1))
    runs = np.split(index, np.flatnonzero(~joined) + 1)
    if len(runs) > _RUNS:
        return _where(~absent, values[np.maximum(index, 0)], 1.0)
    pieces = [
        jnp.ones((len(run), *rest), values.dtype)
        if run[0] < 0
        else values[int(run[0]) : int(run[-1]) + 1]
        for run in runs
    ]
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces)


def take_columns(matrix: Array, index: np.ndarray) -> Array:
    """matrix[:, index] for an index without -1, (b, k)."""
    runs = np.split(index, np.flatnonzero(np.diff(index) != 1) + 1)
    if len(runs) > _RUNS or not index.size:
        return matrix[:, index]
    return jnp.concatenate([matrix[:, int(r[0]) : int(r[-1]) + 1] for r in runs], axis=1)


def spread(values: Array, index: np.ndarray) -> Array:
    """values[index], and 0 where the index is -1, (k, ...)."""
    n = values.shape[0]
    if n and len(index) * n > _DENSE:
        return _where(index >= 0, values[np.maximum(index, 0)], 0.0)
    return _times(values, np.arange(n)[:, None] == index)


def collect(values: Array, index: np.ndarray, n: int) -> Array:
    """Sum values (k, ...) by their index into (n, ...)."""
    if len(index) * n > _DENSE:
        kept = np.flatnonzero(index >= 0)
        zeros = jnp.zeros((n, *values.shape[1:]), values.dtype)
        return zeros.at[index[kept]].add(take(values, kept))
    return _times(values, index[:, None] == np.arange(n))


def place(columns: Array, index: np.ndarray, n: int) -> Array:
    """Put columns (b, k) where their index says in a matrix (b, n) of zeros, adding up."""
    if index.size and index[0] >= 0 and (np.diff(index) == 1).all():
        return jnp.pad(columns, ((0, 0), (int(index[0]), n - int(index[-1]) - 1)))
    kept = np.flatnonzero(index >= 0)
    zeros = jnp.zeros((columns.shape[0], n), columns.dtype)
    return zeros.at[:, index[kept]].add(columns[:, kept])


def padded(index: np.ndarray, n: int) -> np.ndarray:
    """Return which entries have index 0, 1, ..., n - 1, as a table (n, most), padded with
    len(index)."""
    where = [np.flatnonzero(index == i) for i in range(n)]
    table = np.full((n, max((len(w) for w in where), default=0)), len(index))
    for row, entries in zip(table, where, strict=True):
        row[: len(entries)] = entries
    return table


def sum_padded(values: Array, table: np.ndarray) -> Array:
    """Sum values (k,) over the rows of a table from `padded`, (n,)."""
    return jnp.sum(jnp.append(values, 0.0)[table], axis=1)


def _where(here: np.ndarray, values: Array, other: float) -> Array:
    """Return values (k, ...) in the rows where a condition (k,) holds, elsewhere a number."""
    return jnp.where(here.reshape(-1, *[1] * (values.ndim - 1)), values, other)


def _times(values: Array, matrix: np.ndarray) -> Array:
    """Return values (k, ...) summed with the 0/1 weights of a matrix (k, n), (n, ...)."""
    product = jnp.tensordot(values, matrix.astype(values.dtype), axes=(0, 0))
    return jnp.moveaxis(product, -1, 0)
