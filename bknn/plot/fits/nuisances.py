"""Pulls and constraints of the nuisances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference import FitResult
from bknn.inference.fits.result import single
from bknn.plot.drawing.labels import distinct, parameter_label, shorten
from bknn.plot.drawing.style import BLACK, VERMILLION, WIDTH, Caption, plain, style
from bknn.postfit.postfit import Postfit

#: Of more sets of nuisances than this, those that were pulled or constrained most are drawn.
MOST = 90

# Inches: height of a row of text, of one entry of a bin-wise set, margins, room between panels.
_ROW, _ENTRY, _TOP, _BOTTOM, _GAP = 0.135, 0.036, 0.22, 0.36, 0.12
#: So much for all strips together, unless there are too many names.
_HIGHEST = 8.5
#: Of the font of the names, points.
_SIZE = 5.8


@dataclass(frozen=True)
class Pulls:
    """Constrained parameters after a fit; arrays have shape (n,).

    Attributes:
        index: positions in the flat vector, in its order.
        pull: (value - centre) / width, where the constraint is centre and width.
        constraint: uncertainty / width; 1 where the data say nothing, 0 where a parameter ended
            at its bound.
    """

    index: np.ndarray
    pull: np.ndarray
    constraint: np.ndarray


@dataclass(frozen=True)
class Ranges(Pulls):
    """What a posterior says of them: `pull` and `constraint` are its median and half of the 68%
    interval.

    Attributes:
        inner, outer: ends of the 68% and 95% intervals, minus centre, over width (n, 2).
    """

    inner: np.ndarray
    outer: np.ndarray


def constraints(analysis: Analysis, data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return index, centre and width (n,) of what is constrained, in the order of the vector.

    A Poisson constraint of a factor gamma by n auxiliary counts, with rate gamma * f, has the
    centre n / f and the width sqrt(n) / f (that of one count, if there are none).
    """
    normal, _, widths = analysis.normal
    poisson, _, factors = analysis.poisson
    counts = np.asarray(data.poisson, float)
    index = np.concatenate([normal, poisson])
    centre = np.concatenate([np.asarray(data.normal, float), counts / factors])
    width = np.concatenate([widths, np.sqrt(np.maximum(counts, 1.0)) / factors])
    order = np.argsort(index, kind="stable")
    return index[order], centre[order], width[order]


def pulls(result: FitResult) -> Pulls:
    """Return the pulls of the constrained parameters that floated."""
    analysis = single(result, "a figure shows")
    index, centre, width = constraints(
        analysis, analysis.data if result.data is None else result.data
    )
    floats = result.moving[index]
    index, centre, width = index[floats], centre[floats], width[floats]
    sigma = result.uncertainty_vector[index]
    return Pulls(index, (result.vector[index] - centre) / width, sigma / width)


def nuisances(result: FitResult | Postfit) -> Figure:
    """Draw how far the fit pulled each nuisance from its constraint, and how well it knows it.

    A point is (value - centre) / width of the constraint, its bar the uncertainty after the fit
    over the width before: a bar from -1 to 1 around 0 means that the data said nothing. Parameters
    that come alone stand on the left with their names, those that come one a bin on the right, one
    strip a set, its first bin on top. Pulls beyond 1 are diamonds. Parameters that did not float
    are not drawn.

    Raises:
        ParameterError: nothing is constrained; a batch of fits; not a fit of an Analysis.
    """
    result = result.fit if isinstance(result, Postfit) else result
    analysis = single(result, "a figure shows")
    found = pulls(result)
    if not found.index.size:
        raise errors.ParameterError(
            f"{analysis!r} has no constrained parameter that floats, so there are no pulls to draw."
        )
    return draw(
        analysis,
        found,
        lambda width, *extra: Caption.of_fit(result, None, width, *extra),
        "(fit − centre) / prior width",
    )


def draw(analysis: Analysis, found: Pulls, caption: Callable[..., Caption], label: str) -> Figure:
    """Draw constrained parameters: those that come alone on the left, the others on the right.

    Args:
        analysis: whose parameters they are.
        found: what to draw.
        caption: what to say below, of the width of the figure and of what is left out.
        label: of the axis.
    """
    sets = _sets(analysis, found)
    alone = _foremost([(name, rows) for name, rows, scalar in sets if scalar], found)
    strips = _foremost([(name, rows) for name, rows, scalar in sets if not scalar], found)
    left_out = len(sets) - len(alone) - len(strips)
    names = {name: parameter_label(analysis, name, 30) for name, _ in alone}
    for name, short in distinct([s for s, _ in strips]).items():
        names[name] = plain(shorten(short, 34))
    both = bool(alone) and bool(strips)
    with style():
        # A strip is at least as high as its name.
        entry = min(_ENTRY, _HIGHEST / max(sum(len(rows) for _, rows in strips), 1))
        heights = [max(len(rows) * entry, 0.8 * _ROW) + 0.03 for _, rows in strips]
        # Two panels of about the same height are made equal.
        talls = [max(len(alone) * _ROW, 0.6), max(sum(heights), 0.6)]
        if both and max(talls) < 1.5 * min(talls):
            talls = [max(talls)] * 2
        tall = max(talls[0] if alone else 0.0, talls[1] if strips else 0.0)
        left = _room(names[name] for name, _ in alone)
        right = _room(names[name] for name, _ in strips)
        panel = (WIDTH - left - right - _GAP) / 2
        width = WIDTH if both else left + right + panel + _GAP
        extra = [f"{left_out} sets of parameters with smaller pulls not shown"] if left_out else []
        text = caption(width, *extra)
        height = text.room + _BOTTOM + tall + _TOP
        figure = Figure(figsize=(width, height))
        reach = 1.06 * float(np.nanmax(np.abs(found.pull) + found.constraint, initial=2.5))
        if isinstance(found, Ranges):
            reach = max(reach, 1.06 * float(np.max(np.abs(found.outer), initial=2.5)))

        def panel_at(x: float, own: float, title: str) -> Axes:
            y = text.room + _BOTTOM + tall - own
            ax = figure.add_axes((x / width, y / height, panel / width, own / height))
            _frame(ax, own, reach)
            ax.set_xlabel(label)
            ax.set_title(title, pad=3)
            return ax

        if alone:
            ax = panel_at(left, talls[0], "single parameters")
            _named(ax, alone, names, found, talls[0])
        if strips:
            ax = panel_at(left + panel + _GAP if alone else _GAP, talls[1], "one parameter a bin")
            _strips(ax, strips, names, heights, found, talls[1])
        text.write(figure)
    return figure


def _room(names: Iterable[str]) -> float:
    """Width of the longest name, inches: a letter is 0.6 of the size of the font wide."""
    return 0.1 + 0.6 * _SIZE / 72 * max(map(len, names), default=0)


def _sets(analysis: Analysis, found: Pulls) -> list[tuple[str, np.ndarray, bool]]:
    """Return (name, rows of `found`, whether it is a single parameter) of each parameter set."""
    n = len(analysis.parameters)
    slices = [(p.name, slice(i, i + 1)) for i, p in enumerate(analysis.parameters)]
    slices += list(analysis.nuisances.items())
    sets = []
    for name, where in slices:
        rows = np.flatnonzero((found.index >= where.start) & (found.index < where.stop))
        if rows.size:
            scalar = where.start < n or analysis.names[where.start] == name
            sets.append((name, rows, scalar))
    return sets


def _foremost(sets: list[tuple[str, np.ndarray]], found: Pulls) -> list[tuple[str, np.ndarray]]:
    """Return those to be drawn, in their order."""
    strength = [
        np.nanmax(np.abs(found.pull[rows]) + np.abs(1 - found.constraint[rows]), initial=0.0)
        for _, rows in sets
    ]
    kept = np.sort(np.argsort(-np.array(strength), kind="stable")[:MOST])
    return [sets[i] for i in kept]


def _frame(ax: Axes, tall: float, reach: float) -> None:
    ax.axvspan(-2, 2, color="#F0F0F0", linewidth=0, zorder=0)
    ax.axvspan(-1, 1, color="#DDDDDD", linewidth=0, zorder=0)
    ax.axvline(0.0, color="#808080", linewidth=0.6, zorder=1)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(tall, 0.0)
    ax.tick_params(axis="y", length=0)


def _points(ax: Axes, rows: np.ndarray, y: np.ndarray, found: Pulls, size: float) -> None:
    if isinstance(found, Ranges):
        _ranges(ax, rows, y, found, size)
        return
    pull, bar = found.pull[rows], found.constraint[rows]
    far = np.abs(pull) > 1
    for chosen, marker, colour in ((~far, "o", BLACK), (far, "D", VERMILLION)):
        if chosen.any():
            ax.errorbar(
                pull[chosen],
                y[chosen],
                xerr=np.where(np.isfinite(bar[chosen]), bar[chosen], 0.0),
                fmt=marker,
                color=colour,
                markersize=size,
                linewidth=0.28 * size,
            )


def _ranges(ax: Axes, rows: np.ndarray, y: np.ndarray, found: Ranges, size: float) -> None:
    """A thin bar for 95%, a thick one for 68%, a point at the median."""
    far = np.abs(found.pull[rows]) > 1
    for chosen, marker, colour in ((~far, "o", BLACK), (far, "D", VERMILLION)):
        here = rows[chosen]
        if here.size:
            ax.hlines(y[chosen], *found.outer[here].T, color=colour, linewidth=0.2 * size)
            ax.hlines(y[chosen], *found.inner[here].T, color=colour, linewidth=0.6 * size)
            ax.plot(
                found.pull[here],
                y[chosen],
                marker,
                color=colour,
                markerfacecolor="white",
                markeredgewidth=0.22 * size,
                markersize=size,
            )


def _named(
    ax: Axes,
    alone: Sequence[tuple[str, np.ndarray]],
    names: Mapping[str, str],
    found: Pulls,
    tall: float,
) -> None:
    y = (np.arange(len(alone)) + 0.5) * (tall / len(alone))
    _points(ax, np.concatenate([rows for _, rows in alone]), y, found, 2.8)
    ax.set_yticks(y, [names[name] for name, _ in alone], fontsize=_SIZE)


def _strips(
    ax: Axes,
    strips: Sequence[tuple[str, np.ndarray]],
    names: Mapping[str, str],
    heights: Sequence[float],
    found: Pulls,
    tall: float,
) -> None:
    stretch = tall / sum(heights)
    y, rows, middles, start = [], [], [], 0.0
    for (_, members), natural in zip(strips, heights, strict=True):
        height = natural * stretch
        step = min(height / (len(members) + 0.5), 0.12)
        middle = start + height / 2
        y.append(middle + (np.arange(len(members)) - (len(members) - 1) / 2) * step)
        rows.append(members)
        middles.append(middle)
        start += height
        ax.axhline(start, color="white", linewidth=0.8, zorder=1)
    _points(ax, np.concatenate(rows), np.concatenate(y), found, 1.6)
    ax.yaxis.tick_right()
    ax.tick_params(axis="y", length=0)
    ax.set_yticks(middles, [names[name] for name, _ in strips], fontsize=_SIZE)
