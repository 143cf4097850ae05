"""Whether posteriors are as wide as they say: where true values rank among draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bknn import errors
from bknn.inference.posteriors.calibration import Calibration
from bknn.plot.drawing.labels import parameter_label
from bknn.plot.drawing.style import BLUE, GREY, WIDTH, Caption, data_labels, plain, style, tint

#: Nuisances that are drawn beside the model's parameters: those with the least even ranks.
_WORST = 2

#: Panels in a row.
_ACROSS = 3

# Inches.
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.55, 0.18, 0.5, 0.44
_TALL, _TITLE, _BETWEEN = 1.15, 0.42, 0.36

_BAND = "#E4E4E4"


def calibration(found: Calibration, names: Sequence[str] = ()) -> Figure:
    """Draw how many simulations have their true value at each rank among the draws.

    If the posteriors are right, each bin is within the grey band in 95% of all cases. A valley says
    that they are too narrow, a hill that they are too wide, a slope that they lie to one side.

    Args:
        found: from `bknn.inference.calibrate`.
        names: which parameters; those of the model by default, and the two nuisances with the least
            even ranks.

    Raises:
        UnknownNameError: a parameter that was not sampled.
        ParameterError: too few simulations for a histogram.
    """
    shown = list(names) or [*found.own[:7], *_worst(found)]
    for name in shown:
        if name not in found.ranks:
            raise errors.unknown("parameter", name, found.ranks, "the calibration")
    if found.bins < 2:
        raise errors.ParameterError(
            f"{found.n} simulations with {found.draws} draws each make no histogram; take at least "
            "ten, and draws one less than a multiple of ten."
        )
    across = min(_ACROSS, len(shown))
    down = -(-len(shown) // across)
    with style():
        data = data_labels(found.analysis.measurements)
        text = Caption(
            f"{found.n} simulations of {plain(found.analysis.model.name)}, {data}; parameters from "
            f"their priors, counts thrown at them; ranks among {found.draws} draws of each "
            "posterior; p: of a histogram at least as uneven",
            WIDTH,
        )
        row = _TALL + _TITLE
        height = text.room + _BOTTOM + down * row - _TITLE + _TOP
        figure = Figure(figsize=(WIDTH, height))
        wide = (WIDTH - _LEFT - _RIGHT - (across - 1) * _BETWEEN) / across
        for k, name in enumerate(shown):
            x = _LEFT + (k % across) * (wide + _BETWEEN)
            y = text.room + _BOTTOM + (down - 1 - k // across) * row
            ax = figure.add_axes((x / WIDTH, y / height, wide / WIDTH, _TALL / height))
            _histogram(ax, found, name)
            if k % across == 0:
                ax.set_ylabel("simulations")
            if k >= len(shown) - across:
                ax.set_xlabel("rank of the true value")
        figure.legend(
            handles=[
                Patch(facecolor=tint(BLUE, 0.45), edgecolor=BLUE, label="simulations"),
                Line2D([], [], color=GREY, linewidth=0.8, label="expected"),
                Patch(facecolor=_BAND, label="95% of all cases"),
            ],
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.06 / height),
            ncols=3,
            columnspacing=1.4,
            handlelength=1.4,
            borderaxespad=0.0,
        )
        text.write(figure)
    return figure


def _worst(found: Calibration) -> list[str]:
    others = [name for name in found.ranks if name not in found.own]
    return sorted(others, key=lambda name: found.p_values[name])[:_WORST]


def _histogram(ax: Axes, found: Calibration, name: str) -> None:
    counts = found.histogram(name)
    edges = np.linspace(0, found.draws + 1, found.bins + 1)
    expected = found.n / found.bins
    from scipy import stats  # takes half a second

    low, high = stats.binom.ppf([0.025, 0.975], found.n, 1 / found.bins)
    ax.axhspan(low, high, color=_BAND, linewidth=0, zorder=0)
    ax.stairs(counts, edges, fill=True, color=tint(BLUE, 0.45), linewidth=0, alpha=0.6, zorder=1)
    ax.stairs(counts, edges, color=BLUE, linewidth=0.9, zorder=3)
    ax.axhline(expected, color=GREY, linewidth=0.8, zorder=2)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, 1.15 * max(float(counts.max()), high))
    ax.set_title(
        f"{parameter_label(found.analysis, name, 26)}, p = {found.p_values[name]:.2g}",
        fontsize=6.5,
        pad=3,
    )
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
