"""The posterior of the model's parameters: each one alone, and every pair."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bknn import errors
from bknn.inference.posteriors import smoothing
from bknn.inference.posteriors.hdi import highest_density
from bknn.plot.drawing.scale import Scale
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WIDTH,
    Caption,
    data_labels,
    number,
    plain,
    style,
    tint,
)
from bknn.plot.fits.bins import inches

if TYPE_CHECKING:
    from bknn.inference.posteriors.posterior import Posterior

#: Of more parameters than these, the first are drawn.
MOST = 6

#: One standard deviation, and two.
LEVELS = (0.6827, 0.95)

#: Within the 68% region, within the 95% region, and beyond.
INNER, OUTER, REST = tint(BLUE, 0.65), tint(SKY, 0.45), tint(SKY, 0.15)
LINE: dict[str, Any] = {"color": BLUE, "linewidth": 0.9}

#: The joint mode, as a line and as a point.
MODE: dict[str, Any] = {"color": BLACK, "linewidth": 0.9, "linestyle": (0, (4, 2))}
CROSS: dict[str, Any] = {"color": BLACK, "marker": "+", "markersize": 6, "markeredgewidth": 1.1}

#: How points that are given are drawn.
_MARKS = (("D", VERMILLION), ("s", ORANGE), ("^", GREEN), ("v", PURPLE))

# Inches.
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 0.62, 0.1, 0.34, 0.46, 0.06
_PANEL = 1.75


def corner(
    posterior: Posterior,
    names: Sequence[str] = (),
    *,
    marks: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Draw the density of each parameter, and 68% and 95% regions of every pair.

    The regions are those of highest density. The cross is the joint posterior mode. Divergent
    transitions, if there are any, are small crosses where they ended.

    Args:
        posterior: from `sample`.
        names: which parameters; those of the model that floated by default.
        marks: points to be shown, {label: {name: value}}, such as a published result.

    Raises:
        ParameterError: nothing to draw, or a parameter that did not move.
    """
    shown = chosen(posterior, names)
    n = len(shown)
    columns = [values(posterior, name) for name in shown]
    ends = [
        smoothing.span(x, limits(posterior, name)) for x, name in zip(columns, shown, strict=True)
    ]
    with style():
        text = caption(posterior, width_of(n), left_out(posterior, shown))
        scales = [
            Scale(posterior.analysis, name, np.asarray(e))
            for name, e in zip(shown, ends, strict=True)
        ]
        figure, panels = panels_of(n, text)
        for where, ax in panels.items():
            column, row = where
            if row == column:
                _alone(ax, posterior, shown[row], columns[row], ends[row], scales[row])
            else:
                _pair(ax, posterior, shown, where, columns, ends, scales)
            _marked(ax, posterior, shown, where, scales, marks or {})
            ticks(ax, where, n, scales)
        legend(figure, _handles(posterior, marks or {}, n), n)
        text.write(figure)
    return figure


# Shared with the other figures of a posterior ------------------------------------------------


def _panel(n: int) -> float:
    return min(_PANEL, (WIDTH - _LEFT - _RIGHT - (n - 1) * _GAP) / n) if n > 1 else 2.4


def width_of(n: int) -> float:
    """Return the width of a figure of n parameters, inches."""
    return max(_LEFT + n * _panel(n) + (n - 1) * _GAP + _RIGHT, 4.2)


def panels_of(n: int, text: Caption) -> tuple[Figure, dict[tuple[int, int], Axes]]:
    """Return a figure, and its panels {(column, row): axes}, row by row."""
    panel, width = _panel(n), width_of(n)
    left = 0.5 * (width - (n * panel + (n - 1) * _GAP) + _LEFT - _RIGHT)
    height = text.room + _BOTTOM + n * panel + (n - 1) * _GAP + _TOP + (0.0 if n > 1 else 0.1)
    figure = Figure(figsize=(width, height))
    panels = {}
    for row in range(n):
        for column in range(row + 1):
            x = left + column * (panel + _GAP)
            y = text.room + _BOTTOM + (n - 1 - row) * (panel + _GAP)
            box = (x / width, y / height, panel / width, panel / height)
            panels[column, row] = figure.add_axes(box)
    return figure, panels


def legend(figure: Figure, handles: Sequence[Patch | Line2D], n: int) -> None:
    """Draw the legend, where a corner leaves room."""
    width, height = figure.get_size_inches()
    spot = (1 - 0.1 / width, 1 - 0.06 / height) if n > 1 else (0.5, 1 - 0.02 / height)
    figure.legend(
        handles=list(handles),
        loc="upper right" if n > 1 else "upper center",
        bbox_to_anchor=spot,
        ncols=1 if n > 1 else 4,
        borderaxespad=0.0,
    )


def chosen(posterior: Posterior, names: Sequence[str] = (), most: int = MOST) -> list[str]:
    """Return the parameters to draw: those that were named, or the first of the model's own."""
    shown = list(names) or list(posterior.own)[:most]
    for name in shown:
        if not posterior.moving[posterior.analysis.index(name)]:
            raise errors.ParameterError(
                f"{name!r} was fixed in this posterior, so it has no density to draw; leave it out."
            )
    if not shown:
        raise errors.ParameterError(
            f"no parameter of {posterior.analysis.model.name!r} floated, so there is nothing to "
            "draw; name nuisances, if you want to see them."
        )
    return shown


def values(posterior: Posterior, name: str) -> np.ndarray:
    """Return the draws of a parameter (chains * draws,)."""
    return np.asarray(posterior.flat[:, posterior.analysis.index(name)])


def limits(posterior: Posterior, name: str) -> tuple[float, float]:
    """Return between which ends a parameter may lie: its bounds, and the support of its prior."""
    from bknn.priors import support_bounds

    analysis = posterior.analysis
    i = analysis.index(name)
    low, high = (float(b) for b in analysis.bounds[i])
    if i < len(analysis.parameters):
        p = analysis.parameters[i]
        if p.constraint is None and p.distribution is not None:
            return support_bounds(p.distribution)
    return low, high


def left_out(posterior: Posterior, shown: Sequence[str]) -> str:
    """What is said of parameters that are not drawn."""
    rest = len([name for name in posterior.own if name not in shown])
    more = "parameter" if rest == 1 else "parameters"
    return f"{rest} more {more} of the model not shown" if rest else ""


def caption(posterior: Posterior, width: float, *extra: str) -> Caption:
    """Say model, data, chains, and whether to believe them."""
    analysis = posterior.analysis
    data = data_labels(analysis.measurements)
    head = f"posterior of {plain(analysis.model.name)}, {data}"
    if not posterior.converged:
        head = f"NOT CONVERGED: {head}"
    many = "chain" if posterior.n_chains == 1 else "chains"
    chains = f"{posterior.n_chains} {many} of {posterior.n_draws} draws ({posterior.method})"
    known = np.isfinite(posterior.r_hat)
    if known.any():
        chains += (
            f", R-hat at most {np.max(posterior.r_hat[known]):.3f}, effective draws at least "
            f"{min(np.min(posterior.ess_bulk[known]), np.min(posterior.ess_tail[known])):.0f}"
        )
    if posterior.divergences:
        chains += f", {posterior.divergences} divergent transitions"
    return Caption("; ".join(x for x in (head, chains, *extra) if x), width)


def intervals(
    x: np.ndarray, weights: np.ndarray | None = None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the 68% and 95% highest-density intervals."""
    inner, outer = (highest_density(x, level, weights) for level in LEVELS)
    return inner, outer


# Panels --------------------------------------------------------------------------------------


def _alone(
    ax: Axes,
    posterior: Posterior,
    name: str,
    x: np.ndarray,
    ends: tuple[float, float],
    scale: Scale,
) -> None:
    grid, height = smoothing.curve(x, ends)
    shaded(ax, scale(grid), height * scale.factor, [scale(np.asarray(i)) for i in intervals(x)])
    ax.axvline(float(scale(posterior.mode[posterior.analysis.index(name)])), **MODE, zorder=4)
    ax.set_xlim(*scale(np.asarray(ends)))
    ax.set_ylim(0, 1.12 * float(np.max(height)) * scale.factor)
    ax.set_yticks([])
    low, high = intervals(x)[0]
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    said = interval_text(float(scale(low)), float(scale(high))) if half > 0 else number(middle)
    ax.set_title(f"68%: {said}", fontsize=6.5, pad=3)


def interval_text(low: float, high: float) -> str:
    """Both ends with two digits of the length.

    >>> interval_text(1.9964, 2.1946)
    '1.996 – 2.195'
    """
    digits = max(0, 1 - int(np.floor(np.log10((high - low) / 2))))
    return f"{low:.{digits}f} – {high:.{digits}f}".replace("-", "−")


def shaded(ax: Axes, x: np.ndarray, height: np.ndarray, inside: Sequence[np.ndarray]) -> None:
    """Draw a density with its 68% and 95% intervals filled; each may be several (n, 2)."""
    ax.fill_between(x, height, color=REST, linewidth=0)
    for intervals, colour in zip(inside[::-1], (OUTER, INNER), strict=True):
        for low, high in np.atleast_2d(intervals):
            here = (x >= low) & (x <= high)
            ax.fill_between(x, height, where=here, color=colour, linewidth=0)
    ax.plot(x, height, **LINE)


def _pair(
    ax: Axes,
    posterior: Posterior,
    shown: Sequence[str],
    where: tuple[int, int],
    columns: Sequence[np.ndarray],
    ends: Sequence[tuple[float, float]],
    scales: Sequence[Scale],
) -> None:
    i, j = where
    x, y, height = smoothing.plane(columns[i], columns[j], (ends[i], ends[j]))
    regions(ax, scales[i](x), scales[j](y), height, smoothing.heights(height, LEVELS))
    diverging = np.asarray(posterior.stats.get("diverging", np.zeros(0, bool))).ravel()
    if diverging.any():
        ax.plot(
            scales[i](columns[i][diverging]),
            scales[j](columns[j][diverging]),
            "x",
            color=VERMILLION,
            markersize=2.5,
            markeredgewidth=0.6,
        )
    index = [posterior.analysis.index(shown[k]) for k in where]
    at = [float(s(posterior.mode[k])) for s, k in zip((scales[i], scales[j]), index, strict=True)]
    ax.plot(*at, **CROSS)
    ax.set_xlim(*scales[i](np.asarray(ends[i])))
    ax.set_ylim(*scales[j](np.asarray(ends[j])))


def regions(
    ax: Axes, x: np.ndarray, y: np.ndarray, height: np.ndarray, levels: Sequence[float]
) -> None:
    """Draw where a density (along y, along x) is higher than at 68% and at 95% of its content."""
    inner, outer = levels
    top = float(height.max())
    if 0 < outer < inner < top:
        ax.contourf(x, y, height, [outer, inner, 2 * top], colors=[OUTER, INNER])
        ax.contour(
            x, y, height, [outer, inner], colors=[BLUE], linewidths=0.8, linestyles=["--", "-"]
        )


def _marked(
    ax: Axes,
    posterior: Posterior,
    shown: Sequence[str],
    where: tuple[int, int],
    scales: Sequence[Scale],
    marks: Mapping[str, Mapping[str, float]],
) -> None:
    i, j = where
    for k, point in enumerate(marks.values()):
        marker, colour = _MARKS[k % len(_MARKS)]
        if i == j and shown[i] in point:
            ax.axvline(float(scales[i](point[shown[i]])), color=colour, linewidth=0.9)
        elif shown[i] in point and shown[j] in point:
            ax.plot(
                float(scales[i](point[shown[i]])),
                float(scales[j](point[shown[j]])),
                marker,
                color=colour,
                markeredgecolor="white",
                markeredgewidth=0.5,
                markersize=4.5,
                zorder=6,
            )


def ticks(ax: Axes, where: tuple[int, int], n: int, scales: Sequence[Scale]) -> None:
    """Set ticks and labels of a panel; inner panels have none."""
    column, row = where
    ax.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
    ax.tick_params(top=row != column, right=row != column, labelbottom=row == n - 1)
    if row != column:
        ax.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
        ax.tick_params(labelleft=column == 0)
    wide = inches(ax)
    size = min(_size(scale.label, wide) for scale in scales)
    if row == n - 1:
        ax.set_xlabel(scales[column].label, fontsize=size)
    if column == 0 and row > 0:
        ax.set_ylabel(scales[row].label, fontsize=size)
        ax.yaxis.set_label_coords(-0.36 / wide, 0.5)


def _size(label: str, wide: float) -> float:
    """Return the size of the font with which a label is as long as its panel at most."""
    letters = len(re.sub(r"[\\${}^]", "", label))
    return min(7.5, max(4.5, 72 * wide / (0.6 * letters)))


def handles_of(n: int) -> list[Patch | Line2D]:
    """Return what stands in the legend of every corner: two regions and the mode."""
    return [
        Patch(facecolor=INNER, edgecolor=BLUE, linewidth=0.8, label="68% highest density"),
        Patch(facecolor=OUTER, edgecolor=BLUE, linewidth=0.8, linestyle="--", label="95%"),
        Line2D([], [], **{**MODE, **(CROSS if n > 1 else {})}, label="joint mode"),
    ]


def _handles(
    posterior: Posterior, marks: Mapping[str, Mapping[str, float]], n: int
) -> list[Patch | Line2D]:
    handles = handles_of(n)
    if n > 1 and posterior.divergences:
        handles.append(
            Line2D(
                [], [], color=VERMILLION, marker="x", markersize=3, linewidth=0, label="divergent"
            )
        )
    for k, label in enumerate(marks):
        marker, colour = _MARKS[k % len(_MARKS)]
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                marker=marker if n > 1 else None,
                markersize=4.5,
                linewidth=0.9,
                label=plain(label),
            )
        )
    return handles
