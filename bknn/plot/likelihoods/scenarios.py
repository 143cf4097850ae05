"""Scenarios side by side over their masses, and regions of two couplings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bknn.plot.drawing.scale import Scale
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Caption,
    data_labels,
    kept,
    plain,
    style,
    tint,
)
from bknn.plot.drawing.twins import COPIES, copy_of, twins
from bknn.studies.regions import COMBINED, Regions
from bknn.studies.scenarios import RESCALED, ScenarioFit, Scenarios

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_STYLES = ("-", "--", "-.", ":")
_WORDS = ("full", "dashed", "dash-dotted", "dotted")

# Inches.
_TALL, _LEFT, _RIGHT, _BOTTOM, _TOP = 3.3, 0.6, 1.75, 0.36, 0.12


def scenarios(found: Scenarios, *, names: Sequence[str] | None = None) -> Figure:
    """Draw -2 ln(L / L_SM) of scenarios over the mass of their particle.

    Dashed lines are 1, 2, 3, ... sigma of one parameter. The standard model rescaled, which has no
    mass, is a grey line. Dots are the best masses. More scenarios than one panel holds get a
    panel for each final state.

    Args:
        found: from `studies.scenarios`.
        names: which of them; all by default.
    """
    fits = {n: found[n] for n in names or found.fits}
    panels = _panels(fits)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    wide, tall, right = (3.25, _TALL, _RIGHT) if columns == 1 else (2.35, 2.1, 0.95)
    across, width = _LEFT + wide + right, columns * (_LEFT + wide + right)
    lowest = min(f.delta for f in fits.values())
    bottom = 1.15 * min(lowest, -1.0)
    last = max((f.curve.axes[0][-1] for f in fits.values() if f.curve), default=1.0)
    data = data_labels(found.measurements)
    with style():
        text = Caption(f"−2 ln(L / L of the standard model), all else fitted; {data}", width)
        height = text.room + rows * (_BOTTOM + tall + _TOP)
        figure = Figure(figsize=(width, height))
        for k, panel in enumerate(panels):
            row, column = divmod(k, columns)
            x0 = column * across + _LEFT
            y0 = height - (row + 1) * (_BOTTOM + tall + _TOP) + _BOTTOM
            ax = figure.add_axes((x0 / width, y0 / height, wide / width, tall / height))
            ax.set_xlim(0.0, last)
            ax.set_ylim(bottom, max(1.0, -0.06 * bottom))
            _curves(ax, panel)
        text.write(figure)
    return figure


#: Curves that can be told apart in one panel, and what is too few for one.
_MOST, _FEW = 12, 3


def _panels(fits: Mapping[str, ScenarioFit]) -> list[dict[str, ScenarioFit]]:
    """Return what is drawn in each panel with the reference: all, or one final state (those with
    few scenarios together)."""
    if len(fits) <= _MOST:
        return [dict(fits)]
    others = {name: fit for name, fit in fits.items() if name != RESCALED}
    size = Counter(fit.scenario.model for fit in others.values())
    found: dict[str, dict[str, ScenarioFit]] = {}
    for name, fit in others.items():
        model = fit.scenario.model
        found.setdefault(model if size[model] > _FEW else "", {})[name] = fit
    reference = {RESCALED: fits[RESCALED]} if RESCALED in fits else {}
    return [reference | panel for panel in found.values()]


def _curves(ax: Axes, fits: Mapping[str, ScenarioFit]) -> None:
    """Draw scenarios in one panel, whose limits are set."""
    for n in range(1, int(np.sqrt(-ax.get_ylim()[0])) + 1):
        ax.axhline(-(n**2), color=GREY, linewidth=0.5, linestyle=(0, (5, 4)))
        ax.annotate(
            f"{n}σ",
            (1.0, -(n**2)),
            (-3, 1),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=6.5,
            ha="right",
            color=GREY,
        )
    flat = iter(("-", "--", ":"))
    k = 0
    curves = [fit for fit in fits.values() if fit.curve is not None]
    same = _twins(curves, 0.01 * (ax.get_ylim()[1] - ax.get_ylim()[0]))
    for name, fit in fits.items():
        if fit.curve is None:
            rescaled = name == RESCALED
            ax.axhline(
                fit.delta,
                color=GREY if rescaled else BLACK,
                linestyle="-" if rescaled else next(flat, "-."),
                label=fit.scenario.label,
            )
            continue
        colour = _COLOURS[k % len(_COLOURS)]
        copies = copy_of(same, k)
        label = fit.scenario.label
        first = same[k]
        if first is not None:
            label += f" (as {curves[first].scenario.label})"
        (mass,) = fit.curve.axes
        best = float(fit.best.params["mass"])
        # The best mass lies between those of the grid; the curve goes through it.
        at = int(np.searchsorted(mass, best))
        mass, delta = np.insert(mass, at, best), np.insert(fit.deltas, at, fit.delta)
        ax.plot(mass, delta, color=colour, linestyle=COPIES[copies % len(COPIES)], label=label)
        hollow: dict[str, Any] = (
            {"markerfacecolor": "none", "markeredgewidth": 0.8} if copies else {}
        )
        ax.plot(best, fit.delta, "o", color=colour, markersize=3 + 2 * min(copies, 3), **hollow)
        k += 1
    ax.set_xlabel("$m_X$ [GeV]")
    ax.set_ylabel(r"$-2\,\ln(L_{\mathrm{SM}+X}\,/\,L_{\mathrm{SM}})$")
    ax.tick_params(top=True, right=True)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)


def _twins(fits: Sequence[ScenarioFit], closeness: float) -> list[int | None]:
    """Of each curve the first one before it that looks the same."""
    grids = [fit.curve.axes[0] for fit in fits if fit.curve is not None]
    if not grids:
        return []
    mass = np.linspace(max(m[0] for m in grids), max(m[-1] for m in grids), 60)
    values = [
        np.interp(mass, m, fit.deltas, right=np.nan) for m, fit in zip(grids, fits, strict=True)
    ]
    return twins(values, closeness)


def coupling_regions(found: Regions, *, mirrored: bool = True) -> Figure:
    """Draw where two couplings may be: each data set in a colour, all together in black.

    Full lines are the innermost contours (68.3%), dashed ones the next (95.4%); what all data
    allow is filled.

    Args:
        found: from `studies.coupling_regions`.
        mirrored: draw other signs of the couplings too, where the grid begins at 0 and the expected
            counts do not change with the sign.
    """
    first = next(iter(found.contours.values()))
    target = first.profile.target
    x_axis, y_axis = first.profile.axes
    wide, tall = 3.0, 3.0
    width = _LEFT + 0.15 + wide + 1.75
    held = ", ".join(kept(target.parameters, found.fixed))
    levels = ", ".join(f"{n:g} ({_WORDS[j % 4]})" for j, n in enumerate(first.lines))
    with style():
        text = Caption(
            f"{plain(target.model.name)}{f', {held}' if held else ''}; contours of {levels} sigma "
            "of two parameters, all else fitted",
            width,
        )
        height = text.room + _BOTTOM + tall + _TOP + 0.1
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes(
            (
                (_LEFT + 0.15) / width,
                (text.room + _BOTTOM) / height,
                wide / width,
                tall / height,
            )
        )
        signs = found.signs if mirrored else [(1.0, 1.0)]
        drawn = [
            np.concatenate([s[a] * axis for s in signs]) for a, axis in enumerate((x_axis, y_axis))
        ]
        scales = [Scale(target, *one) for one in zip(found.parameters, drawn, strict=True)]
        handles = []
        for k, (name, contour) in enumerate(found.contours.items()):
            combined = name == COMBINED or len(found.contours) == 1
            colour = BLACK if combined else _COLOURS[k % len(_COLOURS)]
            for sign in signs:
                axes = [
                    scale(s * axis)
                    for scale, s, axis in zip(scales, sign, (x_axis, y_axis), strict=True)
                ]
                if combined:
                    heights = sorted(contour.levels.values())
                    fills = [tint(GREY, 0.35), tint(GREY, 0.18), tint(GREY, 0.1)][: len(heights)]
                    levels_of = heights[: len(fills)]
                    x, y, delta = _finer(axes[0], axes[1], contour.profile.delta)
                    lowest = min(float(delta.min()), 0.0) - 1.0
                    ax.contourf(x, y, delta.T, [lowest, *levels_of], colors=fills)
                for j, lines in enumerate(contour.lines.values()):
                    for line in lines:
                        x, y = (scales[a](sign[a] * line[:, a]) for a in (0, 1))
                        ax.plot(x, y, color=colour, linestyle=_STYLES[j % 4], linewidth=0.9)
            alone = contour.profile.target.measurements
            label = plain(name) if name == COMBINED else data_labels(alone)
            handles.append(Line2D([], [], color=colour, label=label))
        ax.set_xlabel(scales[0].label)
        ax.set_ylabel(scales[1].label)
        ends = [scale(np.array([x.min(), x.max()])) for scale, x in zip(scales, drawn, strict=True)]
        ax.set_xlim(*ends[0])
        ax.set_ylim(*ends[1])
        for across, (low, high) in zip((ax.axvline, ax.axhline), ends, strict=True):
            if low < 0.0 < high:
                across(0.0, color=GREY, linewidth=0.4)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.tick_params(top=True, right=True)
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
        text.write(figure)
    return figure


def _finer(
    x: np.ndarray, y: np.ndarray, values: np.ndarray, times: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a grid with more points, so that a filled region ends at lines that are exact."""
    from scipy.interpolate import RectBivariateSpline  # takes a third of a second

    order = [np.argsort(axis) for axis in (x, y)]  # mirrored axes fall
    x, y, values = x[order[0]], y[order[1]], values[np.ix_(*order)]
    if min(values.shape) < 4 or not np.isfinite(values).all():
        return x, y, values
    spline = RectBivariateSpline(x, y, values)
    fine = [np.linspace(axis[0], axis[-1], times * (len(axis) - 1) + 1) for axis in (x, y)]
    return fine[0], fine[1], spline(*fine)
