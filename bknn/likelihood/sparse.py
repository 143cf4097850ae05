"""Lookups and sums with constant indices, written so that they and their transposes are fast.

A gather is fast, its transpose (a scattered addition) is not. For constant indices there are better
ways: slices for runs of neighbours, 0/1 matrices for small sizes, tables padded to equal length.
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
    """values[index], as slices where the index has few runs of neighbours."""
    if isinstance(values, np.ndarray) or not index.size:
        return jnp.asarray(values[index])
    return take_or_one(values, index)


def take_or_one(values: Array, index: np.ndarray) -> Array:
    """values[index], and 1 where the index is negative."""
    if not index.size:
        return values[:0]
    absent = index < 0
    joined = np.where(absent[1:], absent[:-1], ~absent[:-1] & (np.diff(index) == 1))
    runs = np.split(index, np.flatnonzero(~joined) + 1)
    if len(runs) > _RUNS:
        return jnp.where(index >= 0, values[np.maximum(index, 0)], 1.0)
    pieces = [jnp.ones(len(r)) if r[0] < 0 else values[int(r[0]) : int(r[-1]) + 1] for r in runs]
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces)


def collect(values: Array, index: np.ndarray, n: int) -> Array:
    """Sum values (c,) by their index into (n,)."""
    if len(index) * n > _DENSE:
        return jnp.zeros(n).at[index].add(values)
    return values @ (index[:, None] == np.arange(n)).astype(float)


def spread(values: Array, index: np.ndarray) -> Array:
    """values[index], 0 where the index is negative."""
    n = values.shape[0]
    if len(index) * n > _DENSE:
        return jnp.where(index >= 0, values[np.maximum(index, 0)], 0.0)
    return values @ (np.arange(n)[:, None] == index).astype(float)


def place(columns: Array, index: np.ndarray, n: int) -> Array:
    """Put columns (b, c) where their index says in a matrix (b, n) of zeros, adding up."""
    if not index.size:
        return jnp.zeros((columns.shape[0], n))
    if (np.diff(index) == 1).all():
        return jnp.pad(columns, ((0, 0), (int(index[0]), n - int(index[-1]) - 1)))
    return jnp.zeros((columns.shape[0], n)).at[:, index].add(columns)


def padded(index: np.ndarray, n: int) -> np.ndarray:
    """Return which entries have index 0, 1, ..., n - 1, as a table (n, most), padded with
    len(index); negative indices belong nowhere."""
    where = [np.flatnonzero(index == i) for i in range(n)]
    table = np.full((n, max((len(w) for w in where), default=0)), len(index))
    for row, entries in zip(table, where, strict=True):
        row[: len(entries)] = entries
    return table


def sum_padded(values: Array, table: np.ndarray) -> Array:
    """Sum values (c,) over the rows of a table from `padded`, (n,)."""
    return jnp.sum(jnp.append(values, 0.0)[table], axis=1)
