"""Data and fit, bin by bin: the stack, the excess over the background, the pulls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from bknn.data import Measurement
from bknn.inference import FitResult
from bknn.plot.drawing import labels
from bknn.plot.drawing.layout import COLUMNS, Layout
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    Caption,
    style,
    tint,
)
from bknn.postfit.counts import ChannelCounts, poisson_interval
from bknn.postfit.postfit import Postfit, postfit

#: Fills of the backgrounds: light, so that the signal stands out, and each of another brightness.
#: Those that every analysis of B decays has keep theirs, whatever else is in a figure.
FILLS: dict[str, dict[str, Any]] = {
    "continuum": {"facecolor": tint(SKY, 0.5)},
    labels.COMMON_SAMPLES["charged"]: {"facecolor": tint(YELLOW, 0.5)},
    labels.COMMON_SAMPLES["mixed"]: {"facecolor": tint(ORANGE, 0.85)},
    labels.COMMON_SAMPLES["bbbar"]: {"facecolor": tint(GREEN, 0.75)},
    "fifth": {"facecolor": tint(PURPLE, 0.8), "hatch": "...."},
    "sixth": {"facecolor": tint(GREY, 0.3), "hatch": "...."},
}
#: More backgrounds than fills: the smallest become "other".
OTHER = "other backgrounds"

STANDARD_MODEL: dict[str, Any] = {
    "facecolor": tint(BLUE, 0.85),
    "edgecolor": BLACK,
    "linewidth": 0.5,
}
NEW: dict[str, Any] = {
    "facecolor": tint(VERMILLION, 0.9),
    "edgecolor": BLACK,
    "linewidth": 0.5,
    "hatch": "////",
}
BAND: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": GREY,
    "linewidth": 0.0,
    "hatch": "\\\\\\\\\\",
}

NULL: dict[str, Any] = {"color": BLACK, "linestyle": (0, (3, 2)), "linewidth": 0.9}

#: Counts that span more than this factor within a channel go on a logarithmic axis.
LOGARITHMIC_ABOVE = 30.0

#: Distances of bin labels.
_STEPS = [digit * 10**power for power in range(9) for digit in (1, 2, 5)]


def bins(result: FitResult | Postfit, null: FitResult | None = None) -> Figure:
    """Draw the data and the fit in every bin of every channel.

    Each channel has three panels: the counts with the stack of what was fitted; the counts minus
    the fitted background, with the fitted signal; and the pulls (data - fit) / sqrt(fit). Points
    carry the central 68.3% interval of a Poisson mean, the hatched band is the uncertainty of the
    fitted total with all correlations. Counts that span a large range have a logarithmic axis.

    Args:
        result: one fit of an Analysis, or what `bknn fit` keeps of it.
        null: the fit of the standard model; its total is drawn as a dashed line.

    Raises:
        ParameterError: a batch of fits, a fit of something that is not an Analysis, or a null fit
            of other data.
    """
    found = postfit(result, null, over_q2=False)
    other = None if found.null_counts is None else _split(found.null_counts, found.channels)
    with style():
        drawn = [_Drawn.of(c) for c in found.channels]
        fills = _fills(drawn)
        handles = _handles(drawn, fills, other is not None, found.has_own)
        order = sorted(range(len(drawn)), key=lambda i: not drawn[i].counts.signal)
        layout = Layout.of([drawn[i].counts.n_bins for i in order], len(handles))
        text = Caption.of_fit(found.fit, found.null, layout.width)
        figure = Figure(figsize=(layout.width, layout.height + text.room))
        for place, i in enumerate(order):
            axes = [figure.add_axes(box) for box in layout.boxes(place, text.room)]
            is_first = place in layout.first
            _channel(axes, drawn[i], fills, None if other is None else other[i], is_first)
        _legend(figure, handles, layout)
        text.write(figure)
    return figure


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A channel with its samples merged into what is drawn, {label: (bins,)}."""

    counts: ChannelCounts
    label: str
    backgrounds: dict[str, np.ndarray]

    @classmethod
    def of(cls, counts: ChannelCounts) -> _Drawn:
        names = [s for s in counts.samples if s not in counts.signal]
        short = labels.sample_labels(counts.measurement, names)
        merged: dict[str, np.ndarray] = {}
        for name in names:
            merged[short[name]] = merged.get(short[name], 0.0) + counts.samples[name]
        return cls(counts, labels.channel_labels(counts.measurement)[counts.name], merged)

    def layers(self, fills: dict[str, Any]) -> dict[str, np.ndarray]:
        """Backgrounds from the bottom of the stack to its top, those without a fill as one."""
        result = {name: np.zeros(self.counts.n_bins) for name in fills}
        for name, values in self.backgrounds.items():
            result[name if name in fills else OTHER] += values
        return {name: values for name, values in result.items() if values.any()}


def _split(values: np.ndarray, channels: Iterable[ChannelCounts]) -> list[np.ndarray]:
    return np.split(values, np.cumsum([c.n_bins for c in channels])[:-1])


def _fills(drawn: Iterable[_Drawn]) -> dict[str, Any]:
    """Return {label: colour} in the order of the stack, the largest at the bottom."""
    size: dict[str, float] = {}
    for channel in drawn:
        for name, values in channel.backgrounds.items():
            size[name] = size.get(name, 0.0) + float(values.sum())
    names = sorted(size, key=lambda n: -size[n])
    if len(names) > len(FILLS):
        names = [*names[: len(FILLS) - 1], OTHER]
    kept = {name: FILLS[name] for name in names if name in FILLS}
    others = iter(fill for name, fill in FILLS.items() if name not in kept)
    return {name: kept[name] if name in kept else next(others) for name in names}


def _channel(
    axes: Sequence[Axes],
    drawn: _Drawn,
    fills: dict[str, Any],
    null: np.ndarray | None,
    is_first: bool,
) -> None:
    stack, excess, pull = axes
    counts = drawn.counts
    edges = np.arange(counts.n_bins + 1) - 0.5
    lower, upper = poisson_interval(counts.observed)
    errors = np.array([counts.observed - lower, upper - counts.observed])
    known = bool(np.isfinite(counts.sigma).all())

    floor = _stack(stack, drawn, fills, edges, null)
    _points(stack, counts.observed, errors)
    if known:
        low, high = counts.total - counts.sigma, counts.total + counts.sigma
        _band(stack, np.maximum(low, floor), np.maximum(high, floor), edges)
    title = stack.set_title(drawn.label, loc="left", pad=3)
    # Roughly: a letter is 0.6 of the size of the font wide.
    title.set_fontsize(min(7.5, max(5.0, (inches(stack) + 0.3) * 72 / (0.6 * len(drawn.label)))))

    excess_of_data = counts.observed - counts.background
    signal = counts.standard_model + counts.new
    _signal(excess, counts, edges)
    _points(excess, excess_of_data, errors)
    shown = [excess_of_data - errors[0], excess_of_data + errors[1], signal, np.zeros(1)]
    if known:
        _band(excess, signal - counts.sigma, signal + counts.sigma, edges)
        shown += [signal - counts.sigma, signal + counts.sigma]
    if null is not None:
        for ax, base in ((stack, 0.0), (excess, counts.background)):
            ax.stairs(null - base, edges, baseline=None, **NULL)
        shown.append(null - counts.background)
    excess.axhline(0.0, color=BLACK, linewidth=0.6)
    low, high = min(map(np.min, shown)), max(map(np.max, shown))
    margin = 0.07 * (high - low) or 1.0
    excess.set_ylim(low - margin, high + margin)
    excess.yaxis.set_major_locator(MaxNLocator(4, min_n_ticks=3, prune="both"))

    _pulls(pull, counts, edges)
    bin_labels(axes, counts.measurement, counts.name, counts.n_bins)
    if is_first:
        for ax, text in zip(axes, ("events", "data − background", "pull"), strict=True):
            ax.set_ylabel(text)
            ax.yaxis.set_label_coords(-0.36 / inches(ax), 0.5)


def _band(ax: Axes, low: np.ndarray, high: np.ndarray, edges: np.ndarray) -> None:
    ax.stairs(high, edges, baseline=low, fill=True, **BAND)


def inches(ax: Axes) -> float:
    """Return the width of a panel."""
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    return float(ax.get_position().width * figure.get_figwidth())


def _is_wide(counts: ChannelCounts) -> bool:
    values = np.concatenate([counts.observed, counts.total])
    positive = values[values > 0]
    return positive.size > 0 and bool(positive.max() > LOGARITHMIC_ABOVE * positive.min())


def _stack(
    ax: Axes, drawn: _Drawn, fills: dict[str, Any], edges: np.ndarray, null: np.ndarray | None
) -> float:
    """Draw the stack and set the axis; return the lowest value that can be drawn."""
    counts = drawn.counts
    # A negative signal lies on top of the background all the same.
    reach = [poisson_interval(counts.observed)[1], counts.total, counts.background]
    top, floor = float(np.max(reach if null is None else [*reach, null])), 0.0
    # Room for the text at the top.
    axes = labels.bin_axes(counts.measurement, counts.name, counts.n_bins)
    room = 0.26 if len(axes) > 1 else 0.12
    if _is_wide(counts):
        values = np.concatenate([counts.observed, counts.total])
        floor = 0.3 * float(values[values > 0].min())
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(floor, top * (top / floor) ** room)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(0.0, (1 + room) * top)
        ax.yaxis.set_major_locator(MaxNLocator(5, prune="upper"))
    base = np.zeros(counts.n_bins)
    for name, values in drawn.layers(fills).items():
        ax.stairs(
            np.maximum(base + values, floor),
            edges,
            baseline=np.maximum(base, floor),
            fill=True,
            edgecolor=BLACK,
            linewidth=0.3,
            **fills[name],
        )
        base = base + values
    for values, look in ((counts.standard_model, STANDARD_MODEL), (counts.new, NEW)):
        if values.any():
            ax.stairs(
                np.maximum(base + values, floor),
                edges,
                baseline=np.maximum(base, floor),
                fill=True,
                **look,
            )
            base = base + values
    return floor


def _signal(ax: Axes, counts: ChannelCounts, edges: np.ndarray) -> None:
    base = np.zeros(counts.n_bins)
    for values, look in ((counts.standard_model, STANDARD_MODEL), (counts.new, NEW)):
        if values.any():
            ax.stairs(base + values, edges, baseline=base, fill=True, **look)
            base = base + values


def _points(ax: Axes, values: np.ndarray, errors: np.ndarray) -> ErrorbarContainer:
    few = len(values) <= 40
    return ax.errorbar(
        np.arange(len(values)),
        values,
        yerr=errors,
        fmt="o",
        color=BLACK,
        markersize=2.6 if few else 1.4,
        linewidth=0.8 if few else 0.4,
        zorder=5,
    )


def _pulls(ax: Axes, counts: ChannelCounts, edges: np.ndarray) -> None:
    """(data - fit) / sqrt(fit); no bar where nothing is expected."""
    expected = np.where(counts.total > 0, counts.total, 1.0)
    values = np.where(counts.total > 0, (counts.observed - counts.total) / np.sqrt(expected), 0.0)
    ax.axhspan(-2, 2, color="#ECECEC", linewidth=0)
    ax.axhspan(-1, 1, color="#D6D6D6", linewidth=0)
    ax.stairs(values, edges, fill=True, facecolor="#444444", edgecolor="white", linewidth=0.4)
    ax.axhline(0.0, color=BLACK, linewidth=0.6)
    reach = max(2.8, 1.15 * float(np.max(np.abs(values), initial=0.0)))
    ax.set_ylim(-reach, reach)
    step = 2 if reach < 6 else int(reach // 2)
    ax.set_yticks([-step, 0, step])


def bin_labels(axes: Sequence[Axes], measurement: Measurement, channel: str, n: int) -> None:
    """Say below the lowest of a channel's panels what its n bins are, and divide all of them."""
    stack, *_, bottom = axes
    edges = np.arange(n + 1) - 0.5
    known = labels.bin_axes(measurement, channel, n)
    for ax in axes:
        ax.set_xlim(edges[0], edges[-1])
        ax.tick_params(axis="x", length=0)
        if ax is not bottom:
            ax.xaxis.set_major_locator(NullLocator())
    inner = known[0] if known else None
    if inner is not None and inner.n_bins == n <= 24:
        bottom.set_xticks(edges, inner.texts(), fontsize=5.8)
        bottom.tick_params(axis="x", length=2.5)
        bottom.set_xlabel(inner.title, labelpad=2)
    elif inner is not None and n <= 24:
        texts = inner.ranges() * (n // inner.n_bins)
        wide = max(map(len, texts)) * 0.048 > inches(bottom) / n
        bottom.set_xticks(range(n), texts, rotation=90 if wide else 0, fontsize=5.8)
        bottom.set_xlabel(inner.title, labelpad=2)
    else:
        bottom.set_xticks(range(0, n, 1 if n <= 12 else next(s for s in _STEPS if 10 * s >= n)))
        bottom.set_xlabel("bin", labelpad=2)
    if len(known) == 2 and inner is not None:
        outer = known[1]
        for ax in axes:
            for k in range(1, outer.n_bins):
                ax.axvline(k * inner.n_bins - 0.5, color=GREY, linewidth=0.6, linestyle=(0, (1, 1)))
        for k, text in enumerate(outer.ranges()):
            shown = f"{outer.name}\n{text}" if k == 0 else text
            stack.text(
                (k + 0.5) * inner.n_bins - 0.5,
                0.97,
                shown,
                transform=stack.get_xaxis_transform(),
                ha="center",
                va="top",
                fontsize=5.8,
                linespacing=1.1,
            )


def _handles(
    drawn: Sequence[_Drawn], fills: dict[str, Any], with_null: bool, has_own: bool
) -> list[Any]:
    """What the legend explains: the data, the stack from its top, the band, the null.

    A model may have a standard model of its own, in place of the measurement's template.
    """
    counts = [d.counts for d in drawn]
    apart = any(c.standard_model.any() for c in counts)
    handles: list[Any] = [
        Line2D([], [], color=BLACK, marker="o", markersize=3, linewidth=0.8, label="data")
    ]
    if any(c.new.any() for c in counts):
        name = "signal, SM included" if has_own and not apart else "new signal"
        handles.append(Patch(**NEW, label=name))
    if apart:
        known = any(c.measurement.densities for c in counts)
        name = r"$B^{+} \to K^{+} \nu\bar\nu$, SM" if known else "signal"
        if known and not has_own:
            name += " shape"
        handles.append(Patch(**STANDARD_MODEL, label=name))
    used = [name for name in fills if any(name in d.layers(fills) for d in drawn)]
    handles += [
        Patch(edgecolor=BLACK, linewidth=0.3, label=name, **fills[name]) for name in used[::-1]
    ]
    if any(np.isfinite(c.sigma).all() for c in counts):
        handles.append(Patch(**BAND, label="uncertainty of the fit"))
    if with_null:
        handles.append(Line2D([], [], **NULL, label="standard-model fit"))
    return handles


def _legend(figure: Figure, handles: list[Any], layout: Layout) -> None:
    if layout.legend is None:
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=COLUMNS,
            columnspacing=1.2,
        )
        return
    height = float(figure.get_figheight())
    x, y = layout.legend
    corner = (x / layout.width, (y + height - layout.height) / height)
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=corner, borderaxespad=0.0)
