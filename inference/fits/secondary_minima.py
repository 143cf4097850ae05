"""Minima that a model's own starts do not find: from where else to begin, and what is there.

A rate that depends on the square of a parameter fits as well at minus its value, and a likelihood
may dip where nobody thought of a start. So fits begin at points spread over priors or bounds, and
at the mirror images of what was found. All of them are one batch of a compiled program.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bknn import priors
from bknn.analysis.analysis import Analysis

#: Points spread over the range of the model's own parameters.
SCATTERED = 32

#: Mirror images of a point, at most: of each parameter alone, and of all together.
_IMAGES = 16


def own_entries(analysis: Analysis, moving: np.ndarray) -> list[int]:
    """Entries of the model's own parameters that move, without those that are nuisances."""
    return [
        i
        for i, p in enumerate(analysis.parameters)
        if moving[i] and p.constraint is None and not p.nuisance
    ]


def scattered(
    analysis: Analysis, moving: np.ndarray, vector: np.ndarray, n: int = SCATTERED
) -> np.ndarray:
    """Return points (n, size) spread evenly over the priors of the model's own parameters.

    A parameter without bounds and without a prior is spread about its place in `vector`, by ever
    larger steps. Everything else stays as it is there. No random numbers: the same points every
    time.
    """
    own = own_entries(analysis, moving)
    result = np.tile(vector, (n if own else 0, 1))
    if not own:
        return result
    # Multiples of powers of the root of x^(d+1) = x + 1 fill a cube evenly (Roberts 2018).
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (len(own) + 1))
    steps = root ** -np.arange(1.0, len(own) + 1)
    u = (0.5 + np.arange(1, n + 1)[:, None] * steps) % 1.0
    for k, i in enumerate(own):
        prior = analysis.parameters[i].distribution
        if prior is not None:
            result[:, i] = np.asarray(priors.quantile(prior, u[:, k]))
        else:
            scale = max(1.0, abs(vector[i]))
            lower, upper = analysis.bounds[i]
            wide = vector[i] + scale * np.tan(0.98 * np.pi * (u[:, k] - 0.5))
            result[:, i] = np.clip(wide, lower, upper)
    return result


def mirrored(analysis: Analysis, moving: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the mirror images (m, size) of points (n, size): one parameter of the model with the
    other sign, each in turn, and all of them, where their bounds allow it."""
    own = np.array(own_entries(analysis, moving), int)
    if not own.size:
        return np.zeros((0, analysis.size))
    lower, upper = analysis.bounds[own].T
    result = []
    for vector in vectors:
        x = vector[own]
        allowed = (x != 0) & (-x >= lower) & (-x <= upper)
        flips = [np.arange(len(own)) == k for k in np.flatnonzero(allowed)]
        if allowed.sum() > 1:
            flips.append(allowed)
        for flip in flips[-_IMAGES:]:
            image = np.array(vector)
            image[own[flip]] *= -1
            result.append(image)
    return np.array(result).reshape(-1, analysis.size)


def distinct(points: Sequence[np.ndarray], unit: np.ndarray, which: np.ndarray) -> list[int]:
    """Return the numbers of points that lie apart, the first of those that are one.

    Args:
        points: in the order in which they count.
        unit: what is one: closer than this in every entry (size,).
        which: entries that tell them apart.
    """
    kept: list[int] = []
    for i, point in enumerate(points):
        away = [np.max(np.abs((point - points[k]) / unit)[which], initial=0.0) for k in kept]
        if all(distance > 1.0 for distance in away):
            kept.append(i)
    return kept
