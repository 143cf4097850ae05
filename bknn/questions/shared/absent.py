"""Limits that say nothing, because a mass or another quantity lies outside of their range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bknn.analysis.analysis import Analysis


def absent(analysis: Analysis, vectors: ArrayLike, of: str = "points") -> list[str]:
    """Return a sentence for each limit that is absent at some of several points.

    Args:
        analysis: with the curves.
        vectors: flat vectors (n, size), or one (size,).
        of: what they are, for the sentence.
    """
    if not getattr(analysis.results, "curves", ()):
        return []
    import jax
    import jax.numpy as jnp

    points = jnp.atleast_2d(jnp.asarray(vectors, float))
    inside = np.asarray(jax.jit(jax.vmap(analysis.curves_inside))(points))
    found = []
    for curve, here in zip(analysis.results.curves, inside.T, strict=True):
        if here.all():
            continue
        share = f"at {int((~here).sum())} of {len(here)} {of}" if len(here) > 1 else "here"
        found.append(f"{curve.name!r} says nothing {share}: its limits are for {curve.valid_for}.")
    return found


def on_grid(analysis: Analysis, vector: ArrayLike, grid: Mapping[str, Any]) -> np.ndarray:
    """Return a vector (size,) with parameters moved to the points of a grid, (n, size).

    Args:
        analysis: whose parameters they are.
        vector: where the others are.
        grid: {name: values (n,)}.
    """
    n = max([1, *(len(x) for x in grid.values())])
    points = np.tile(np.asarray(vector, float), (n, 1))
    for name, values in grid.items():
        points[:, analysis.index(name)] = values
    return points


def lines(texts: list[str]) -> list[str]:
    """Return sentences as lines of a table's foot."""
    return [f"absent           {text}" for text in texts]
