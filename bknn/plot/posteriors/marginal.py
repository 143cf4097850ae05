"""The posterior of one to three parameters on a grid: densities as they are, not of draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bknn.inference.posteriors.on_grid import Marginal
from bknn.plot.drawing.scale import Scale
from bknn.plot.drawing.style import GREY, Caption, data_labels, kept, plain, style
from bknn.plot.posteriors.corner import (
    CROSS,
    LEVELS,
    MODE,
    handles_of,
    interval_text,
    legend,
    panels_of,
    regions,
    shaded,
    ticks,
    width_of,
)

_PRIOR: dict[str, Any] = {"color": GREY, "linewidth": 1.1, "linestyle": (0, (1, 1.2))}

#: Points along an axis of a plane, at least.
_FINE = 240


def marginal(found: Marginal) -> Figure:
    """Draw the density of each parameter with its prior, and 68% and 95% regions of every pair.

    The regions are those of highest density, and may be several. The cross is the point of the grid
    with the highest density.

    Args:
        found: from `inference.marginal`.
    """
    names = list(found.grid)
    n = len(names)
    with style():
        text = _caption(found, width_of(n))
        figure, panels = panels_of(n, text)
        scales = [Scale(found.analysis, name, x) for name, x in found.grid.items()]
        for (column, row), ax in panels.items():
            if row == column:
                _alone(ax, found, names[row], scales[row])
            else:
                _pair(ax, found, names[column], names[row], (scales[column], scales[row]))
            ticks(ax, (column, row), n, scales)
        handles = [*handles_of(n), Line2D([], [], label="prior", **_PRIOR)]
        legend(figure, handles, n)
        text.write(figure)
    return figure


def _caption(found: Marginal, width: float) -> Caption:
    """Say model, data, grid, and what is wrong with it."""
    analysis = found.analysis
    data = data_labels(analysis.measurements)
    head = f"posterior of {plain(analysis.model.name)}, {data}"
    if not found.converged.all():
        head = f"NOT CONVERGED: {head}"
    points = " x ".join(str(len(x)) for x in found.grid.values()).replace("x", "×")
    method = f"{points} points, everything else integrated out by Laplace's method"
    held = kept(analysis.parameters, found.fixed)
    problems = [plain(problem) for problem in found.problems[:2]]
    return Caption("; ".join([head, *held[:3], method, *problems]), width)


def _alone(ax: Axes, found: Marginal, name: str, scale: Scale) -> None:
    x, density = found.grid[name], found.density(name)
    # Between the points straight, as the numbers have it.
    points = np.arange(len(x))
    fine = np.interp(np.linspace(0, points[-1], 20 * points[-1] + 1), points, x)
    height = np.interp(fine, x, density) * scale.factor
    inside = [scale(np.asarray(found.highest_density(name, level))) for level in LEVELS]
    shaded(ax, scale(fine), height, inside)
    prior = np.exp(found.prior(name)) * scale.factor
    ax.plot(scale(x), prior, **_PRIOR)
    ax.axvline(float(scale(found.mode[name])), **MODE, zorder=4)
    finite = prior[np.isfinite(prior)]
    # A prior that has a pole at its end runs out of the frame.
    most = max(float(height.max()), float(np.quantile(finite, 0.98)))
    ax.set_xlim(*scale(x[[0, -1]]))
    ax.set_ylim(0, 1.12 * most)
    ax.set_yticks([])
    said = ", ".join(interval_text(float(low), float(high)) for low, high in inside[0])
    ax.set_title(f"68%: {said}", fontsize=6.5, pad=3)


def _pair(ax: Axes, found: Marginal, x: str, y: str, scales: Sequence[Scale]) -> None:
    a, b, height, content = _fine(found.grid[x], found.grid[y], found.density(y, x))
    order = np.argsort(-height, axis=None)
    inside = np.cumsum(content.ravel()[order])
    levels = [
        float(height.ravel()[order[int(np.searchsorted(inside, level * inside[-1]))]])
        for level in LEVELS
    ]
    regions(ax, scales[0](a), scales[1](b), height, levels)
    at = float(scales[0](found.mode[x])), float(scales[1](found.mode[y]))
    ax.plot(*at, **CROSS, clip_on=False, zorder=5)
    ax.set_xlim(*scales[0](found.grid[x][[0, -1]]))
    ax.set_ylim(*scales[1](found.grid[y][[0, -1]]))


def _fine(
    x: np.ndarray, y: np.ndarray, density: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y, density (along y, along x) and its content on a finer grid, straight between."""
    axes = []
    for values, axis in ((x, 1), (y, 0)):
        points = np.arange(len(values))
        many = points[-1] * max(1, _FINE // points[-1])
        at = np.linspace(0, points[-1], many + 1)
        left = np.minimum(at.astype(int), points[-1] - 1)
        share = np.expand_dims(at - left, 1 - axis)
        density = (1 - share) * density.take(left, axis) + share * density.take(left + 1, axis)
        axes.append(np.interp(at, points, values))
    steps = [np.gradient(values) for values in axes]
    return axes[0], axes[1], density, density * steps[0][None, :] * steps[1][:, None]
