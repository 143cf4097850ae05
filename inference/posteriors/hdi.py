"""The shortest interval that holds a given probability, of draws that may carry weights."""

from __future__ import annotations

import numpy as np


def highest_density(
    values: np.ndarray, level: float, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the shortest interval with a share `level` of the draws.

    For a density with one maximum it is the highest-density interval.

    Args:
        values: draws (n,).
        level: between 0 and 1.
        weights: of the draws (n,), equal by default; their sum does not matter.

    >>> highest_density(np.array([0.0, 1.0, 1.1, 1.2, 5.0]), 0.6)
    (1.0, 1.2)
    """
    order = np.argsort(values, kind="stable")
    x = np.asarray(values, float)[order]
    w = np.ones(len(x)) if weights is None else np.asarray(weights, float)[order]
    inside = np.concatenate([[0.0], np.cumsum(w / w.sum())])
    # From each draw to the first one with which the share is reached.
    end = np.searchsorted(inside, inside[:-1] + level - 1e-12, side="left") - 1
    start = np.flatnonzero(end < len(x))
    if not start.size:
        return float(x[0]), float(x[-1])
    best = start[np.argmin(x[end[start]] - x[start])]
    return float(x[best]), float(x[end[best]])
