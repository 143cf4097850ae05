"""What the figures over q2 have in common: bands, lines, the axis of masses, room for words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bknn.plot.drawing.style import BLACK, VERMILLION, tint

#: dBR/dq2 is drawn in this unit, GeV^-2.
UNIT = 1e-7

#: Width of the figures, inches.
WIDTH = 5.2

# Margins around the panels and the room between them, inches.
_LEFT, _RIGHT, _BOTTOM, _GAP = 0.66, 0.08, 0.34, 0.07

# Heights of a line of a legend and of a line of small text, and what stays free, inches.
_ENTRY, _TEXT, _FREE = 0.155, 0.125, 0.07

#: A legend that stays readable on top of a band.
FRAME: dict[str, Any] = {
    "frameon": True,
    "framealpha": 0.8,
    "facecolor": "white",
    "edgecolor": "none",
    "borderaxespad": 0.3,
}


def panels(
    heights: Sequence[float], top: float, below: float, end: float
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels over each other, q2 from 0 to `end` (GeV^2).

    Args:
        heights: of the panels, from the top, inches.
        top, below: room above and below of them, inches.
        end: last q2.
    """
    height = below + _BOTTOM + sum(heights) + (len(heights) - 1) * _GAP + top
    figure = Figure(figsize=(WIDTH, height))
    wide = WIDTH - _LEFT - _RIGHT
    axes, y = [], height - top
    for tall in heights:
        y -= tall
        box = (_LEFT / WIDTH, y / height, wide / WIDTH, tall / height)
        axes.append(figure.add_axes(box))
        y -= _GAP
    for ax in axes:
        ax.set_xlim(0.0, end)
        ax.yaxis.set_label_coords(-0.34 / wide, 0.5)
        if ax is not axes[-1]:
            ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel(r"$q^2$ [GeV$^2$]")
    _masses(axes[0], end)
    return figure, axes


class Strips(NamedTuple):
    """Strips along the upper edge of a panel that stay free of curves, in inches: one for the
    legend, below it one for words at lines."""

    legend: float
    words: float

    @classmethod
    def of(cls, n_entries: int, n_words: int = 0) -> Strips:
        """Room for a legend of this many lines, and for this many lines of text below it."""
        legend = _FREE + _ENTRY * n_entries
        return cls(legend, _FREE + _TEXT * n_words if n_words else 0.0)

    @property
    def height(self) -> float:
        return self.legend + self.words

    def start(self, tall: float) -> float:
        """Where the words begin in a panel of this height, as a fraction of it."""
        return 1.0 - self.legend / tall

    def limits(self, ax: Axes, tall: float, low: float, high: float) -> None:
        """Let the axis end such that curves from `low` to `high` stay below the strips."""
        low = min(1.15 * low, 0.0)
        share = 1.0 - (self.height + _FREE) / tall
        ax.set_ylim(low, low + ((high - low) or 1.0) / share)
        if low < 0:
            ax.axhline(0.0, color=BLACK, linewidth=0.5)


def highest(values: np.ndarray, upper: np.ndarray) -> float:
    """Return up to where to draw: all of the curves, and bands that do not dwarf them."""
    high = float(np.max(values, initial=0.0))
    band = float(np.nanmax(upper, initial=0.0))
    return max(high, min(band, 2.5 * high if high > 0 else band))


def band(ax: Axes, q2: np.ndarray, lower: np.ndarray, upper: np.ndarray, colour: str) -> None:
    if np.isfinite(lower).all() and (upper > lower).any():
        ax.fill_between(q2, lower, upper, color=tint(colour, 0.28), linewidth=0, zorder=1)


def _masses(ax: Axes, end: float) -> None:
    """A second axis on top: the mass of the invisible system."""
    above = ax.twiny()
    above.set_xlim(0.0, end)
    ticks = np.arange(0.0, np.sqrt(end), 0.5)
    # Below 1 GeV they would stand too close.
    ticks = ticks[(ticks >= 1.0) | (ticks == 0.0)]
    above.set_xticks(ticks**2, [f"{m:g}" for m in ticks])
    above.set_xlabel("mass of the invisible system [GeV]", labelpad=3)


def spike(ax: Axes, q2: float, text: str, top: float, *, down: bool = False) -> None:
    """An arrow at the mass of a narrow line, with words beside its tip at the height `top`."""
    ends = ((q2, 0.0), (q2, top))
    start, tip = ends[::-1] if down else ends
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
    to_the_right = q2 < 0.5 * ax.get_xlim()[1]
    _words(ax, q2, text, top, (5 if to_the_right else -5, "left" if to_the_right else "right"))


def above_peak(ax: Axes, q2: float, text: str, top: float) -> None:
    """Words over the peak of a line that has a width."""
    place = q2 / ax.get_xlim()[1]
    side = "left" if place < 0.2 else "right" if place > 0.8 else "center"
    _words(ax, q2, text, top, (0, side))


def _words(ax: Axes, q2: float, text: str, top: float, side: tuple[int, str]) -> None:
    ax.annotate(
        text,
        (q2, top),
        xycoords=("data", "axes fraction"),
        xytext=(side[0], 0),
        textcoords="offset points",
        ha=side[1],
        va="top",
        fontsize=6.5,
        color=VERMILLION,
    )
