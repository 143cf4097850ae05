"""Lookups with any index and any number of dimensions, and their transposes, against NumPy."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies

from bknn.likelihood import sparse

pytestmark = pytest.mark.usefixtures("quick_compilation")


@strategies.composite
def lookups(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, ...) of one to three dimensions and an index: of runs, scattered, or empty."""
    n = draw(strategies.sampled_from([0, 1, 5, 60]))
    rest = draw(strategies.lists(strategies.integers(1, 3), max_size=2))
    starts = strategies.integers(draw(strategies.sampled_from([-1, 0])) if n else -1, n - 1)
    length = strategies.integers(1, draw(strategies.sampled_from([1, 2, 30])))
    index: list[int] = []
    for start, size in draw(strategies.lists(strategies.tuples(starts, length), max_size=40)):
        index += [start] * size if start < 0 else range(start, min(start + size, n))
    values = np.random.default_rng(n).normal(size=(n, *rest))
    return values, np.array(index, int)


def looked_up(values: np.ndarray, index: np.ndarray, none: float) -> np.ndarray:
    """One entry after the other."""
    result = np.full((len(index), *values.shape[1:]), none)
    for k, i in enumerate(index):
        if i >= 0:
            result[k] = values[i]
    return result


def summed(values: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """One entry after the other: the transpose of a lookup."""
    result = np.zeros((n, *values.shape[1:]))
    for k, i in enumerate(index):
        if i >= 0:
            result[i] += values[k]
    return result


def everything(index: np.ndarray, n: int) -> Any:
    """All functions of the module at one index, with the transposes of the lookups, compiled."""

    @jax.jit
    def program(values: jax.Array, weights: jax.Array) -> dict[str, Any]:
        functions = {"one": sparse.take_or_one, "zero": sparse.spread}
        if (index >= 0).all():
            functions["take"] = sparse.take
        found: dict[str, Any] = {}
        for name, function in functions.items():
            looked, back = jax.vjp(lambda v, f=function: f(v, index), values)
            found[name], found[f"{name} transposed"] = looked, back(weights)[0]
        rest = values.shape[1:]
        row = weights.reshape(len(index), int(np.prod(rest))).T
        return found | {
            "collect": sparse.collect(weights, index, n),
            "place": sparse.place(row, index, n),
            "padded": sparse.sum_padded(row[0], sparse.padded(index, n)),
        }

    return program


@settings(max_examples=15)
@given(lookup=lookups(), dense=strategies.booleans())
def test_any_index(lookup: tuple[np.ndarray, np.ndarray], dense: bool) -> None:
    values, index = lookup
    n, rest = len(values), values.shape[1:]
    weights = np.random.default_rng(1).normal(size=(len(index), *rest))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "_DENSE", 10**9 if dense else -1)
        found = everything(index, n)(values, weights)
    back = summed(weights, index, n)
    flat = summed(weights.reshape(len(index), int(np.prod(rest))), index, n)
    expected = {
        "one": looked_up(values, index, 1.0),
        "zero": looked_up(values, index, 0.0),
        "take": looked_up(values, index, np.nan),
        "collect": back,
        "place": flat.T,
        "padded": flat[:, 0],
    }
    for name, value in found.items():
        right = back if name.endswith("transposed") else expected[name]
        assert value.shape == right.shape, name
        np.testing.assert_allclose(value, right, rtol=1e-14, atol=1e-14, err_msg=name)


def test_constants_are_looked_up_by_numpy() -> None:
    values = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(sparse.take(values, np.array([4, 0, 4])), values[[4, 0, 4]])
