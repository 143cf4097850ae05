"""Candidates against reconstructed q2, all regions of a classifier together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bknn import errors
from bknn.data import Measurement
from bknn.inference import FitResult
from bknn.plot.drawing import labels
from bknn.plot.drawing.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, Caption, style
from bknn.plot.fits.bins import FILLS, OTHER
from bknn.postfit.counts import ChannelCounts, fitted, poisson_interval

_WIDTH, _HEIGHT = 7.1, 2.7
#: How the totals of the fits are drawn, one after the other.
_LINES: tuple[dict[str, Any], ...] = (
    {"color": BLACK, "linestyle": (0, (1, 1.2))},
    {"color": BLUE, "linestyle": (0, (4, 1.5))},
    {"color": VERMILLION, "linestyle": "-"},
    {"color": GREEN, "linestyle": (0, (5, 1, 1, 1))},
    {"color": PURPLE, "linestyle": (0, (2, 1))},
)


def candidates(results: Mapping[str, FitResult], channels: Sequence[str] | None = None) -> Figure:
    """Draw counts against reconstructed q2, and what several fits say about the excess.

    Left the counts per GeV^2 with the stack of the backgrounds of the *last* fit, right the counts
    minus that stack. Lines are the totals of all fits, right also minus the backgrounds of the
    last one, so that a fit that explains the data by background is seen to do so. Bins of one q2
    (regions of a classifier) are added up; their errors are those of the sum.

    Args:
        results: {label: one fit of an Analysis}, of the same data, for example the standard model,
            a rescaled standard model, and a resonance.
        channels: names of channels, or unique beginnings of them, whose bins divide q2_rec in the
            same way; by default all with a signal that divide it.

    Raises:
        ParameterError: no fits, too many of them, batches, or fits of other data.
        DataError: channels that do not say their q2_rec, or divide it in different ways.
    """
    if not 1 <= len(results) <= len(_LINES):
        raise errors.ParameterError(
            f"{len(results)} fits came; give one to {len(_LINES)} as {{label: fit}}."
        )
    drawn = {label: _Sum.of(fitted(result), channels) for label, result in results.items()}
    last = list(drawn.values())[-1]
    for label, item in drawn.items():
        if not np.array_equal(item.observed, last.observed):
            raise errors.ParameterError(
                f"the fit {label!r} has other counts than the last one; give fits of one data set."
            )
    result = list(results.values())[-1]
    with style():
        text = Caption.of_fit(result, None, _WIDTH, *last.captions)
        figure = Figure(figsize=(_WIDTH, _HEIGHT + text.room))
        height = _HEIGHT + text.room
        lower, tall = (text.room + 0.42) / height, (_HEIGHT - 0.55) / height
        left = figure.add_axes((0.52 / _WIDTH, lower, 2.85 / _WIDTH, tall))
        right = figure.add_axes((4.0 / _WIDTH, lower, 3.0 / _WIDTH, tall))
        handles = _stack(left, last)
        for (label, item), line in zip(drawn.items(), _LINES, strict=False):
            options = {"linewidth": 1.3, "baseline": None, **line}
            left.stairs(item.total / last.widths, last.edges, **options)
            right.stairs((item.total - last.background) / last.widths, last.edges, **options)
            handles.append(Line2D([], [], label=label, linewidth=1.3, **line))
        for axes, base in ((left, 0.0), (right, last.background)):
            _points(axes, last, base)
            axes.set_xlabel(last.title)
            axes.set_xlim(last.edges[0], last.edges[-1])
        handles.append(Line2D([], [], label="data", color=BLACK, marker="o", markersize=3))
        left.set_ylabel("candidates per GeV$^2$")
        right.set_ylabel("data − background per GeV$^2$")
        right.axhline(0.0, color=GREY, linewidth=0.6)
        left.set_ylim(0.0, 1.15 * float(np.max(last.observed / last.widths)))
        right.legend(handles=handles, loc="upper right", fontsize=6.5)
        text.write(figure)
    return figure


@dataclass(frozen=True, eq=False)
class _Sum:
    """Channels added up in bins of q2_rec (n,)."""

    title: str
    edges: np.ndarray
    observed: np.ndarray
    backgrounds: dict[str, np.ndarray]
    total: np.ndarray
    captions: tuple[str, ...]

    @classmethod
    def of(cls, counts: Sequence[ChannelCounts], channels: Sequence[str] | None) -> _Sum:
        found = [(c, _place(c.measurement, c.name, c.n_bins)) for c in _chosen(counts, channels)]
        parts = [(c, place) for c, place in found if place is not None]
        if not parts or (channels is not None and len(parts) < len(found)):
            names = [c.name for c, place in found if place is None]
            raise errors.DataError(
                f"channels {', '.join(labels.shorten(n) for n in names) or '(none)'} do not say "
                "how their bins divide q2_rec; add the edges to the labels of the data set "
                "(docs/figures.md), or choose other channels."
            )
        title, edges, _ = parts[0][1]
        if any(not np.array_equal(place[1], edges) for _, place in parts):
            raise errors.DataError(
                "the channels divide q2_rec in different ways, so their bins cannot be added; "
                "choose channels with the same edges."
            )
        n = len(edges) - 1

        def add(which: str) -> np.ndarray:
            return np.sum([np.bincount(p[2], getattr(c, which), n) for c, p in parts], axis=0)

        backgrounds: dict[str, np.ndarray] = {}
        for c, place in parts:
            names = [s for s in c.samples if s not in c.signal]
            for name, label in labels.sample_labels(c.measurement, names).items():
                values = np.bincount(place[2], c.samples[name], n)
                backgrounds[label] = backgrounds.get(label, np.zeros(n)) + values
        found_labels = labels.channel_labels(parts[0][0].measurement)
        shown = " + ".join(dict.fromkeys(found_labels[c.name] for c, _ in parts))
        return cls(title, edges, add("observed"), backgrounds, add("total"), (shown,))

    @property
    def background(self) -> np.ndarray:
        return np.sum(list(self.backgrounds.values()), axis=0)

    @property
    def widths(self) -> np.ndarray:
        return np.diff(self.edges)


def _chosen(counts: Sequence[ChannelCounts], channels: Sequence[str] | None) -> list[ChannelCounts]:
    if channels is None:
        return [c for c in counts if c.signal]
    chosen = []
    for name in channels:
        found = [c for c in counts if c.name == name] or [
            c for c in counts if c.name.startswith(name)
        ]
        if len(found) != 1:
            raise errors.unknown("channel", name, [c.name for c in counts])
        chosen += found
    return chosen


def _place(
    measurement: Measurement, channel: str, n_bins: int
) -> tuple[str, np.ndarray, np.ndarray] | None:
    """Return title and edges of q2_rec, and which of its bins each bin belongs to."""
    stride = 1
    for axis in labels.bin_axes(measurement, channel, n_bins):
        if "rec" in axis.name and "q" in axis.name:
            index = np.arange(n_bins) // stride % axis.n_bins
            return axis.title, np.array(axis.edges), index
        stride *= axis.n_bins
    return None


def _stack(axes: Axes, drawn: _Sum) -> list[Any]:
    """Draw the backgrounds, the largest at the bottom, and return what the legend says."""
    names = sorted(drawn.backgrounds, key=lambda n: -drawn.backgrounds[n].sum())
    fills = {n: FILLS[n] for n in names if n in FILLS}
    spare = iter(fill for n, fill in FILLS.items() if n not in fills)
    base, handles = np.zeros(len(drawn.observed)), []
    for name in names:
        fill = fills.get(name) or next(spare, {"facecolor": "white", "hatch": "xxxx"})
        top = base + drawn.backgrounds[name]
        axes.stairs(
            top / drawn.widths,
            drawn.edges,
            baseline=base / drawn.widths,
            fill=True,
            linewidth=0.0,
            **fill,
        )
        handles.append(Patch(label=name or OTHER, **fill))
        base = top
    return handles


def _points(axes: Axes, drawn: _Sum, base: np.ndarray | float) -> None:
    lower, upper = poisson_interval(drawn.observed)
    error = np.array([drawn.observed - lower, upper - drawn.observed]) / drawn.widths
    axes.errorbar(
        (drawn.edges[1:] + drawn.edges[:-1]) / 2,
        (drawn.observed - base) / drawn.widths,
        yerr=error,
        xerr=drawn.widths / 2,
        fmt="o",
        color=BLACK,
        markersize=2.5,
        linewidth=0.8,
    )
