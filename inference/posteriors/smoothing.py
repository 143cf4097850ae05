"""Densities of draws, smoothed: histograms on fine grids, blurred, mirrored at the ends.

At an end of its prior a density need not vanish. Mirroring keeps it from being smeared out there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

#: Cells of a grid along one axis.
_CURVE, _PLANE = 400, 90


def span(
    values: np.ndarray, ends: tuple[float, float], weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the range in which to draw draws: nearly all of them with some room, within `ends`."""
    order = np.argsort(values)
    x = np.asarray(values, float)[order]
    w = np.ones(len(x)) if weights is None else np.asarray(weights)[order]
    below = np.cumsum(w) / w.sum()
    low, high = x[np.searchsorted(below, (0.001, 0.999))]
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return float(max(low - room, ends[0])), float(min(high + room, ends[1]))


def _blur(values: np.ndarray, weights: np.ndarray, power: float) -> float:
    """Width of the blur by Silverman's rule, of what is narrower: the spread or the middle half."""
    order = np.argsort(values)
    x, w = values[order], weights[order] / weights.sum()
    low, high = np.interp([0.25, 0.75], np.cumsum(w), x)
    mean = float(np.sum(w * x))
    spread = float(np.sqrt(max(np.sum(w * (x - mean) ** 2), 0.0)))
    narrow = min(s for s in (spread, (high - low) / 1.34, np.inf) if s > 0)
    n = 1 / float(np.sum(w**2))
    return 0.0 if np.isinf(narrow) else narrow * n**power


def curve(
    values: np.ndarray, ends: tuple[float, float], weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return x (n,) and the density (n,) of draws between two ends.

    >>> x, density = curve(np.random.default_rng(0).normal(size=4000), (-5.0, 5.0))
    >>> round(float(np.sum(density) * (x[1] - x[0])), 2)
    1.0
    """
    w = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    counts, edges = np.histogram(values, _CURVE, range=ends, weights=w / w.sum())
    step = edges[1] - edges[0]
    blur = 0.9 * _blur(np.asarray(values, float), w, -1 / 5) / step
    density = gaussian_filter1d(counts / step, max(blur, 1.0), mode="reflect")
    return 0.5 * (edges[1:] + edges[:-1]), density


def plane(
    x: np.ndarray, y: np.ndarray, ends: Sequence[tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x (n,), y (n,) and the density (n, n) of pairs of draws, x running along the last
    axis. Cells reach from end to end, so x and y begin and end at the ends."""
    counts, x_edges, y_edges = np.histogram2d(x, y, _PLANE, range=list(ends))
    w = np.ones(len(x))
    blurs = [
        max(1.15 * _blur(np.asarray(v, float), w, -1 / 6) / (e[1] - e[0]), 0.7)
        for v, e in ((x, x_edges), (y, y_edges))
    ]
    density = gaussian_filter(counts, blurs, mode="reflect").T
    # Out to the ends, so that a contour that runs into one does not stop short of it.
    density = np.pad(density, 1, mode="edge")
    centres = [np.concatenate([e[:1], 0.5 * (e[1:] + e[:-1]), e[-1:]]) for e in (x_edges, y_edges)]
    return centres[0], centres[1], density


def heights(density: np.ndarray, levels: Sequence[float]) -> list[float]:
    """Return the heights above which a density (on an even grid) has these shares of itself."""
    ordered = np.sort(density.ravel())[::-1]
    inside = np.cumsum(ordered) / ordered.sum()
    return [float(ordered[min(int(np.searchsorted(inside, p)), len(ordered) - 1)]) for p in levels]
