"""Counts that the prior or the posterior predicts, and those that were observed."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from bknn.data import Measurement
from bknn.inference.posteriors.predictive import Predictive
from bknn.plot.drawing import labels
from bknn.plot.drawing.layout import COLUMNS, Layout
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    SKY,
    Caption,
    data_labels,
    number,
    plain,
    style,
    tint,
)
from bknn.plot.fits.bins import LOGARITHMIC_ABOVE, bin_labels, inches

#: Within 68% of the thrown counts, and within 95%.
_INNER, _OUTER = tint(BLUE, 0.55), tint(SKY, 0.4)


def predictive(found: Predictive) -> Figure:
    """Draw the observed counts on the counts that draws of the parameters predict.

    Each channel has three panels: the counts, with 68% and 95% of those that were thrown at the
    draws; the same minus the median that was thrown; and (data - mean) / standard deviation of
    what was thrown, where grey is one and two. Statistics of the counts and what is not known of
    the parameters are both in the bands.

    Raises:
        ParameterError: none of its own.
    """
    analysis = found.analysis
    with style():
        channels = sorted(analysis.channels, key=lambda c: c[1] not in c[0].signal)
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=BLACK, marker="o", markersize=3, linewidth=0, label="data"),
            Patch(facecolor=_INNER, label=f"{found.kind} predictive, 68%"),
            Patch(facecolor=_OUTER, label="95%"),
            Line2D([], [], color=BLUE, linewidth=0.9, label="median"),
        ]
        layout = Layout.of([c[2].stop - c[2].start for c in channels], len(handles))
        p = found.p
        said = f"p = {number(p.value, p.error)}" if 0 < p.k < p.n else f"{p.k} of {p.n} data sets"
        data = data_labels(analysis.measurements)
        text = Caption(
            f"{found.kind} predictive of {plain(analysis.model.name)}, {data}; {found.n} draws; "
            f"thrown data sets at least as far from the expectation as the data: {said}",
            layout.width,
        )
        figure = Figure(figsize=(layout.width, layout.height + text.room))
        for place, (measurement, name, where) in enumerate(channels):
            axes = [figure.add_axes(box) for box in layout.boxes(place, text.room)]
            _channel(axes, found, measurement, name, where, place in layout.first)
        _legend(figure, handles, layout)
        text.write(figure)
    return figure


def _channel(
    axes: list[Axes],
    found: Predictive,
    measurement: Measurement,
    name: str,
    where: slice,
    is_first: bool,
) -> None:
    counts, difference, pull = axes
    thrown, observed = found.counts[:, where], found.observed[where]
    n = len(observed)
    edges = np.arange(n + 1) - 0.5
    quantiles = np.quantile(thrown, [0.025, 0.16, 0.5, 0.84, 0.975], axis=0)
    middle = quantiles[2]
    positive = np.concatenate([quantiles[[0, 4]].ravel(), observed])
    positive = positive[positive > 0]
    wide = positive.size > 0 and positive.max() > LOGARITHMIC_ABOVE * positive.min()
    floor = 0.55 * float(positive.min()) if wide else 0.0
    top = float(max(quantiles[4].max(), observed.max(), 1.0))
    two = len(labels.bin_axes(measurement, name, n)) > 1
    room = 0.26 if two else 0.12
    if wide:
        counts.set_yscale("log", nonpositive="clip")
        counts.set_ylim(floor, top * (top / floor) ** room)
        counts.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        counts.yaxis.set_minor_formatter(NullFormatter())
    else:
        counts.set_ylim(0.0, (1 + room) * top)
        counts.yaxis.set_major_locator(MaxNLocator(5, prune="upper"))
    for ax, base in ((counts, np.zeros(n)), (difference, middle)):
        for low, high, colour in ((0, 4, _OUTER), (1, 3, _INNER)):
            ax.stairs(
                np.maximum(quantiles[high] - base, floor if ax is counts else -np.inf),
                edges,
                baseline=np.maximum(quantiles[low] - base, floor if ax is counts else -np.inf),
                fill=True,
                color=colour,
                linewidth=0,
            )
        ax.stairs(
            np.maximum(middle - base, floor if ax is counts else -np.inf),
            edges,
            baseline=None,
            color=BLUE,
            linewidth=0.9,
        )
        ax.plot(
            np.arange(n),
            np.where(observed - base > 0, observed - base, np.nan)
            if wide and ax is counts
            else observed - base,
            "o",
            color=BLACK,
            markersize=2.6 if n <= 40 else 1.4,
            zorder=5,
        )
    reach = np.concatenate([(quantiles[[0, 4]] - middle).ravel(), observed - middle])
    margin = 0.08 * float(np.ptp(reach)) or 1.0
    difference.set_ylim(float(reach.min()) - margin, float(reach.max()) + margin)
    difference.yaxis.set_major_locator(MaxNLocator(4, min_n_ticks=3, prune="both"))
    _pulls(pull, thrown, observed, edges)
    bin_labels(axes, measurement, name, n)
    label = labels.channel_labels(measurement)[name]
    title = counts.set_title(label, loc="left", pad=3)
    title.set_fontsize(min(7.5, max(5.0, (inches(counts) + 0.3) * 72 / (0.6 * len(label)))))
    if is_first:
        for ax, words in zip(axes, ("events", "data − median", "pull"), strict=True):
            ax.set_ylabel(words)
            ax.yaxis.set_label_coords(-0.36 / inches(ax), 0.5)


def _pulls(ax: Axes, thrown: np.ndarray, observed: np.ndarray, edges: np.ndarray) -> None:
    spread = thrown.std(axis=0)
    values = np.where(
        spread > 0, (observed - thrown.mean(axis=0)) / np.where(spread > 0, spread, 1.0), 0.0
    )
    ax.axhspan(-2, 2, color="#ECECEC", linewidth=0)
    ax.axhspan(-1, 1, color="#D6D6D6", linewidth=0)
    ax.stairs(values, edges, fill=True, facecolor="#444444", edgecolor="white", linewidth=0.4)
    ax.axhline(0.0, color=BLACK, linewidth=0.6)
    reach = max(2.8, 1.15 * float(np.max(np.abs(values), initial=0.0)))
    ax.set_ylim(-reach, reach)
    step = 2 if reach < 6 else int(reach // 2)
    ax.set_yticks([-step, 0, step])


def _legend(figure: Figure, handles: list[Line2D | Patch], layout: Layout) -> None:
    if layout.legend is None:
        figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=COLUMNS)
        return
    height = float(figure.get_figheight())
    x, y = layout.legend
    corner = (x / layout.width, (y + height - layout.height) / height)
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=corner, borderaxespad=0.0)
