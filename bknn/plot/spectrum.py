"""The signal in q2: what the model produces, and what the detector keeps of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bknn.inference import FitResult
from bknn.plot.curves import Curves, DrawnLine, curves
from bknn.plot.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    Caption,
    number,
    style,
    tint,
)

#: dBR/dq2 is drawn in this unit, GeV^-2, and the efficiency per this branching ratio.
UNIT, PER = 1e-7, 1e-6

#: Of the groups of channels.
_LOOKS = (
    {"color": BLACK, "linestyle": "-"},
    {"color": GREEN, "linestyle": (0, (4, 1.5))},
    {"color": PURPLE, "linestyle": (0, (1, 1))},
    {"color": ORANGE, "linestyle": (0, (5, 1, 1, 1))},
    {"color": BLUE, "linestyle": (0, (8, 2))},
    {"color": GREY, "linestyle": (0, (2, 2))},
)

# Inches.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 5.2, 0.66, 0.08, 0.38, 0.34, 0.07
_HEIGHTS = (1.85, 0.95, 1.45)


def spectrum(result: FitResult) -> Figure:
    """Draw the fitted signal over q2, before and after the response.

    From top to bottom: dBR/dq2 of the model with its uncertainty, a narrow line as an arrow with
    its branching ratio; the expected events per branching ratio at each q2 (efficiency times the
    number of B mesons), for each group of channels; and their product, the spectrum that is left
    in the fit bins, nuisances at their centres.

    Raises:
        ParameterError: a batch of fits, or a fit of something that is not an Analysis.
        DataError: no measurement has densities, so that q2 is not known.
    """
    found = curves(result)
    with style():
        text = Caption(result, None, _WIDTH)
        height = text.room + _BOTTOM + sum(_HEIGHTS) + 2 * _GAP + _TOP
        figure = Figure(figsize=(_WIDTH, height))
        axes, y = [], height - _TOP
        for tall in _HEIGHTS:
            y -= tall
            box = (
                _LEFT / _WIDTH,
                y / height,
                (_WIDTH - _LEFT - _RIGHT) / _WIDTH,
                tall / height,
            )
            axes.append(figure.add_axes(box))
            y -= _GAP
        end = float(found.q2[-1])
        for ax in axes:
            ax.set_xlim(0.0, end)
            ax.yaxis.set_label_coords(-0.34 / (_WIDTH - _LEFT - _RIGHT), 0.5)
            if ax is not axes[-1]:
                ax.tick_params(labelbottom=False)
        _produced(axes[0], found)
        _kept(axes[1], found)
        _seen(axes[2], found)
        axes[2].set_xlabel(r"$q^2$ [GeV$^2$]")
        _masses(axes[0], end)
        text.write(figure)
    return figure


def _band(ax: Axes, q2: np.ndarray, lower: np.ndarray, upper: np.ndarray, colour: str) -> None:
    if np.isfinite(lower).all() and (upper > lower).any():
        ax.fill_between(q2, lower, upper, color=tint(colour, 0.28), linewidth=0, zorder=1)


def _limits(ax: Axes, values: np.ndarray, upper: np.ndarray, room: float) -> None:
    """Show all of the curves, and of their bands what does not dwarf them."""
    high, low = float(values.max()), min(0.0, float(values.min()))
    band = float(np.nanmax(upper, initial=0.0))
    high = max(high * room, min(1.1 * band, 2.0 * high)) or 1.0
    ax.set_ylim(1.15 * low, high)
    if low < 0:
        ax.axhline(0.0, color=BLACK, linewidth=0.5)


def _legend(ax: Axes, found: Curves, lines: Iterable[DrawnLine], **options: Any) -> None:
    """A legend that stays readable on top of a band."""
    frame = {"frameon": True, "framealpha": 0.8, "facecolor": "white", "edgecolor": "none"}
    ax.legend(**{"loc": _free_corner(found, lines), "borderaxespad": 0.3, **frame, **options})


def _masses(ax: Axes, end: float) -> None:
    """A second axis on top: the mass of the invisible system."""
    above = ax.twiny()
    above.set_xlim(0.0, end)
    ticks = np.arange(0.0, np.sqrt(end), 0.5)
    # Below 1 GeV they would stand too close.
    ticks = ticks[(ticks >= 1.0) | (ticks == 0.0)]
    above.set_xticks(ticks**2, [f"{m:g}" for m in ticks])
    above.set_xlabel("mass of the invisible system [GeV]", labelpad=3)


def _produced(ax: Axes, found: Curves) -> None:
    q2, unit = found.q2, UNIT
    ax.plot(
        q2,
        found.prediction / unit,
        color=BLACK,
        linestyle=(0, (4, 2)),
        linewidth=1.0,
        zorder=3,
        label=r"SM $B^+ \to K^+ \nu\bar\nu$, prediction",
    )
    both = found.standard_model.any() and found.new.any()
    if both:
        ax.plot(
            q2,
            found.standard_model / unit,
            color=BLUE,
            linestyle=(0, (1, 1)),
            linewidth=1.1,
            label="fit, SM shape",
        )
    if found.total.any():
        colour = VERMILLION if found.new.any() else BLUE
        name = "fit, total" if both else ("fit" if found.new.any() else "fit, SM shape")
        ax.plot(q2, found.total / unit, color=colour, linewidth=1.4, label=name)
        _band(ax, q2, found.lower / unit, found.upper / unit, colour)
    drawn = np.concatenate([found.prediction, found.total])
    room = 1.55 if found.spikes else 1.3
    _limits(ax, drawn / unit, found.upper / unit, room)
    ax.set_ylabel(r"dBR/d$q^2$ [$10^{-7}$ GeV$^{-2}$]")
    for _, line in found.spikes:
        low_q2, high_q2 = (max(line.mass[0] + s * line.mass[1], 0.0) ** 2 for s in (-1, 1))
        if np.isfinite(high_q2) and high_q2 > low_q2:
            ax.axvspan(low_q2, high_q2, color=tint(VERMILLION, 0.2), linewidth=0, zorder=0)
        mass = number(*line.mass, "GeV")
        ratio = number(*line.branching_ratio)
        _spike(ax, line, f"narrow line\n$m$ = {mass}\nBR = {ratio}", 0.93)
    for line in found.lines:
        if not line.narrow:
            text = (
                f"$m$ = {number(*line.mass, 'GeV')}\n"
                rf"$\Gamma$ = {number(*line.width, 'GeV')}" + "\n"
                f"BR = {number(*line.branching_ratio)}"
            )
            _beside(ax, line, text, 0.93)
    _legend(ax, found, found.lines)


def _free_corner(found: Curves, lines: Iterable[DrawnLine]) -> str:
    """Where the text at the lines leaves room for a legend."""
    end = float(found.q2[-1])
    return "upper left" if any(x.mass[0] ** 2 > 0.62 * end for x in lines) else "upper right"


def _spike(ax: Axes, line: DrawnLine, text: str, top: float) -> None:
    """An arrow at the mass of a narrow line, down if the branching ratio is negative."""
    q2 = line.mass[0] ** 2
    ends = ((q2, 0.0), (q2, top))
    start, tip = ends if line.branching_ratio[0] > 0 else ends[::-1]
    ax.annotate(
        "",
        xy=tip,
        xytext=start,
        xycoords=("data", "axes fraction"),
        textcoords=("data", "axes fraction"),
        arrowprops={
            "arrowstyle": "-|>",
            "color": VERMILLION,
            "linewidth": 1.6,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    _beside(ax, line, text, top)


def _beside(ax: Axes, line: DrawnLine, text: str, top: float) -> None:
    q2 = line.mass[0] ** 2
    to_the_right = q2 < 0.3 * ax.get_xlim()[1]
    ax.annotate(
        text,
        (q2, top),
        xycoords=("data", "axes fraction"),
        xytext=(5 if to_the_right else -5, 0),
        textcoords="offset points",
        ha="left" if to_the_right else "right",
        va="top",
        fontsize=6.5,
        color=VERMILLION,
    )


def _kept(ax: Axes, found: Curves) -> None:
    highest = max(float(e.max()) for e in found.efficiency.values()) * PER
    for look, (group, efficiency) in zip(_cycle(found), found.efficiency.items(), strict=True):
        # Where nothing is left a logarithm has nothing to show.
        shown = np.where(efficiency > 0, efficiency * PER, np.nan)
        ax.plot(found.q2, shown, label=group, linewidth=1.1, **look)
    ax.set_yscale("log")
    ax.set_ylim(highest * 2e-3, highest * 4)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel("events per\n" + r"BR of $10^{-6}$")
    if len(found.efficiency) > 1:
        _legend(ax, found, (), ncols=3)


def _cycle(found: Curves) -> list[dict[str, Any]]:
    return [_LOOKS[i % len(_LOOKS)] for i in range(len(found.efficiency))]


def _seen(ax: Axes, found: Curves) -> None:
    densities, upper = [], []
    for look, (group, efficiency) in zip(_cycle(found), found.efficiency.items(), strict=True):
        density = efficiency * found.total
        densities.append(density)
        upper.append(efficiency * found.upper)
        label = f"{group}: {_events(found.events(group))} in all"
        ax.plot(found.q2, density, label=label, linewidth=1.2, **look)
        _band(ax, found.q2, efficiency * found.lower, upper[-1], look["color"])
    _limits(ax, np.array(densities), np.array(upper), 1.3)
    for i, line in found.spikes:
        texts = [
            f"{_events(line.branching_ratio[0] * float(at[i]))}, {group}"
            for group, at in found.at_lines.items()
        ]
        _spike(ax, line, "\n".join(["narrow line", *texts]), 0.93)
    ax.set_ylabel("expected signal\n" + r"[events / GeV$^2$]")
    _legend(ax, found, [line for _, line in found.spikes])


def _events(count: float) -> str:
    return f"{count:.{1 if abs(count) < 1000 else 0}f} events".replace("-", "−")
