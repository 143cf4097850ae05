"""What tells scenarios apart: their predictions beside each other, in planes and over q2."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy.stats import gaussian_kde

from bknn.plot.drawing.files import save
from bknn.plot.drawing.q2 import UNIT
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WIDTH,
    Caption,
    plain,
    style,
    tint,
)
from bknn.prediction import predict
from bknn.studies.observables.predictions import Predictions, Source, analysis_of, band
from bknn.studies.observables.quantities import Quantity, in_bins

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))
_MARKS = "osD^vP"


class Limit(NamedTuple):
    """A published upper limit on a branching fraction, at 90%."""

    value: float
    label: str


#: Upper limits at 90%; they assume the spectrum of the standard model.
LIMITS: Mapping[str, tuple[Limit, ...]] = {
    # arXiv:1702.03224 and arXiv:1303.7465, hadronic tag
    "B0 -> K*0": (Limit(1.8e-5, "Belle"), Limit(9.3e-5, "BaBar")),
    "B+ -> K*+": (Limit(6.1e-5, "Belle"), Limit(11.6e-5, "BaBar")),
    "B0 -> K0": (Limit(2.6e-5, "Belle"), Limit(8.1e-5, "BaBar")),
    "B+ -> K+": (Limit(1.9e-5, "Belle"), Limit(3.7e-5, "BaBar")),
}

#: About what Belle II expects of 50/ab if the standard model is true (arXiv:1808.10567):
#: a relative uncertainty of branching fractions, an absolute one of F_L.
EXPECTED = {"branching_ratio": 0.10, "f_l": 0.08}

#: -2 log L of two parameters at 68.3%.
_LEVEL = 2.2957

_SYMBOLS = {
    "B+ -> K+": r"$B^+ \to K^+$",
    "B0 -> K0": r"$B^0 \to K^0$",
    "B+ -> K*+": r"$B^+ \to K^{*+}$",
    "B0 -> K*0": r"$B^0 \to K^{*0}$",
    "Bs -> phi": r"$B_s^0 \to \phi$",
    "Bs -> invisible": r"$B_s^0 \to$",
}

Lines = Sequence[np.ndarray]


def planes(
    found: Mapping[str, Predictions],
    pairs: Sequence[tuple[Quantity, Quantity]],
    *,
    regions: Mapping[tuple[str, int], Lines] | None = None,
) -> Figure:
    """Draw scenarios in planes of two observables, side by side.

    A mark is the best fit or the median, around it the region of 68%: an ellipse of the covariance,
    or of draws the region of highest density. The cross is the standard model, the box around it
    what Belle II expects of 50/ab if that is true, dotted lines are published limits at 90%.

    Args:
        found: {label: predictions}, with the quantities of the planes among theirs.
        pairs: (x, y) of each plane.
        regions: {(label, number of the plane): contours}, as from
            `studies.predicted_regions`, in place of ellipses.
    """
    with style():
        text = Caption(_words(found, bool(regions)), WIDTH)
        handles: list[Line2D | Patch] = [
            Line2D([], [], label=plain(label), **_look(i, marked=True))
            for i, label in enumerate(found)
        ]
        handles.append(Line2D([], [], label="standard model", **_CROSS))
        if any(_expected(pair) for pair in pairs):
            handles.append(Patch(label=r"Belle II, 50 ab$^{-1}$ (about)", **_BOX))
        rows = -(-len(handles) // 3)
        top, below, tall = 0.12 + 0.16 * rows, text.room + 0.4, 2.5
        height = top + tall + below
        figure = Figure(figsize=(WIDTH, height))
        wide = (WIDTH - 0.6 * len(pairs) - 0.1) / len(pairs)
        for k, (x, y) in enumerate(pairs):
            left = 0.52 + k * (wide + 0.6)
            ax = figure.add_axes((left / WIDTH, below / height, wide / WIDTH, tall / height))
            wide_range = _far_apart(found, x)
            if wide_range:
                ax.set_xscale("log")
            for i, (label, one) in enumerate(found.items()):
                given = None if regions is None else regions.get((label, k))
                _scenario(ax, one, (x, y), i, given, logarithmic=wide_range)
            _standard_model(ax, next(iter(found.values())), (x, y))
            _limits(ax, (x, y))
        figure.legend(
            handles=handles, loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1 - 0.03 / height)
        )
        text.write(figure)
    return figure


_CROSS: dict[str, Any] = {
    "color": BLACK,
    "marker": "+",
    "markersize": 7,
    "markeredgewidth": 1.2,
    "linestyle": "none",
}


_BOX: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": GREY,
    "linewidth": 0.9,
    "linestyle": (0, (3, 1.5)),
}


def _look(i: int, *, marked: bool = False) -> dict[str, Any]:
    """How a scenario is drawn."""
    look: dict[str, Any] = {
        "color": _COLOURS[i % len(_COLOURS)],
        "linestyle": _DASHES[(i // len(_COLOURS)) % len(_DASHES)],
        "linewidth": 1.1,
    }
    return {**look, "marker": _MARKS[i % len(_MARKS)], "markersize": 3.5} if marked else look


def _scale(q: Quantity) -> float:
    return 1e6 if q.observable == "branching_ratio" else 1.0


def _name(q: Quantity) -> str:
    """The label of an axis."""
    channel = _SYMBOLS[q.channel] + " inv"
    where = ""
    if q.around is not None:
        where = rf", $q^2 = m^2 \pm {q.around:g}$ GeV$^2$"
    elif isinstance(q.q2, tuple):
        where = rf", {q.q2[0]:g} < $q^2$ < {q.q2[1]:g} GeV$^2$"
    if q.observable == "branching_ratio":
        return f"BR({channel}) [$10^{{-6}}$]{where}"
    symbol = {"f_l": "$F_L$", "r_f_l": r"$F_L/F_L^\mathrm{SM}$"}.get(q.observable, "BR / BR(SM)")
    return f"{symbol} of {channel}{where}"


def _scenario(
    ax: Axes,
    found: Predictions,
    pair: tuple[Quantity, Quantity],
    i: int,
    given: Lines | None,
    *,
    logarithmic: bool,
) -> None:
    if any(q not in found.quantities for q in pair):
        return
    at = [found.index(q) for q in pair]
    scale = np.array([_scale(q) for q in pair])
    centre = found.values[at] * scale
    if given is not None:
        lines = [line * scale for line in given]
    elif found.draws is not None:
        lines = _highest(found.draws[:, at] * scale)
    else:
        line = _ellipse(centre, found.uncertainties[at] * scale, found.correlation[at[0], at[1]])
        if logarithmic:
            # Relative changes to either side: a branching fraction is not negative.
            line[:, 0] = centre[0] * np.exp(line[:, 0] / centre[0] - 1.0)
        lines = [line]
    look = _look(i)
    for line in lines:
        if np.isfinite(line).all():
            ax.add_patch(
                Polygon(line, closed=True, facecolor=tint(look["color"], 0.4), alpha=0.35, lw=0)
            )
            ax.plot(*line.T, **look)
    ax.plot(*centre, **{**_look(i, marked=True), "linestyle": "none"}, zorder=4)


def _far_apart(found: Mapping[str, Predictions], x: Quantity) -> bool:
    """Whether branching fractions differ so much that they are drawn on a logarithmic axis."""
    if x.observable != "branching_ratio":
        return False
    values = [one.values[one.index(x)] for one in found.values() if x in one.quantities]
    return len(values) > 1 and 0 < 5 * min(values) < max(values)


def _ellipse(centre: np.ndarray, sigma: np.ndarray, correlation: float) -> np.ndarray:
    """Return the points (n, 2) where the density of two numbers holds 68%."""
    angle = np.linspace(0.0, 2 * np.pi, 181)
    along = np.cos(angle)
    across = correlation * along + np.sqrt(max(1 - correlation**2, 0.0)) * np.sin(angle)
    return centre + np.sqrt(_LEVEL) * sigma * np.column_stack([along, across])


def _highest(draws: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of the region of highest density with 68% of draws (n, 2)."""
    import contourpy

    some = draws[:: max(1, len(draws) // 2000)]
    spread = some.std(axis=0)
    if not (spread > 0).all():
        return []
    density = gaussian_kde(some.T)
    low, high = some.min(axis=0) - 0.3 * spread, some.max(axis=0) + 0.3 * spread
    x, y = (np.linspace(a, b, 70) for a, b in zip(low, high, strict=True))
    height = density(np.array(np.meshgrid(x, y)).reshape(2, -1)).reshape(70, 70)
    level = float(np.quantile(density(some.T), 1 - 0.6827))
    generator = contourpy.contour_generator(x, y, height)
    return [np.asarray(line) for line in generator.lines(level)]


def _standard_model(ax: Axes, found: Predictions, pair: tuple[Quantity, Quantity]) -> None:
    """The standard model, and what Belle II expects to know if it is true."""
    if any(q.around is not None for q in pair):
        return
    model = found.analysis.model.standard_model()
    values = []
    for q in pair:
        values.append(predict(model, q.observable, q.channel, q2=q.q2))
    scale = [_scale(q) for q in pair]
    x, y = (float(v.value) * s for v, s in zip(values, scale, strict=True))
    errors = [float(v.uncertainty) * s for v, s in zip(values, scale, strict=True)]
    ax.errorbar(x, y, xerr=errors[0], yerr=errors[1], fmt="none", color=BLACK, linewidth=0.8)
    ax.plot(x, y, **_CROSS, zorder=5)
    if known := _expected(pair):
        half = [
            k * (v if q.observable == "branching_ratio" else 1.0)
            for k, v, q in zip(known, (x, y), pair, strict=True)
        ]
        corner = x - half[0], y - half[1]
        ax.add_patch(Rectangle(corner, 2 * half[0], 2 * half[1], **_BOX))


def _expected(pair: tuple[Quantity, Quantity]) -> tuple[float, ...]:
    """What Belle II expects to know of a pair of observables of K*; empty if that is not known."""
    known = [q.observable in EXPECTED and q.q2 is None and q.around is None for q in pair]
    if not all(known) or not all("K*" in q.channel for q in pair):
        return ()
    return tuple(EXPECTED[q.observable] for q in pair)


def _limits(ax: Axes, pair: tuple[Quantity, Quantity]) -> None:
    """Frame what there is, then draw limits that lie within."""
    ax.autoscale_view()
    for axis, q in zip("xy", pair, strict=True):
        low, high = ax.get_xlim() if axis == "x" else ax.get_ylim()
        logarithmic = axis == "x" and ax.get_xscale() == "log"
        if q.observable == "branching_ratio":
            low = low if logarithmic else 0.0
        elif q.observable == "f_l":
            low, high = -0.02, 1.02
        (ax.set_xlim if axis == "x" else ax.set_ylim)(low, high)
        if q.observable != "branching_ratio" or q.q2 is not None:
            continue
        for limit in LIMITS.get(q.channel, ()):
            at = limit.value * 1e6
            if not low < at < high:
                continue
            along = ax.axvline if axis == "x" else ax.axhline
            along(at, color=GREY, linewidth=0.9, linestyle=(0, (1, 1.2)), zorder=0)
            place = (at, 0.985) if axis == "x" else (0.985, at)
            frame = ax.get_xaxis_transform() if axis == "x" else ax.get_yaxis_transform()
            ax.text(
                *place,
                f"{limit.label}, 90%",
                transform=frame,
                rotation=90 if axis == "x" else 0,
                ha="right",
                va="top" if axis == "x" else "bottom",
                fontsize=5.8,
                color=GREY,
            )
    if ax.get_xscale() == "log":
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(_name(pair[0]))
    ax.set_ylabel(_name(pair[1]))


def _words(found: Mapping[str, Predictions], exact: bool) -> str:
    first = next(iter(found.values()))
    data = plain(" + ".join(m.name for m in first.analysis.measurements))
    regions = {
        "hessian": "ellipses of 68% from the covariance of the fits",
        "profile": "ellipses of 68% from the covariance of the fits",
        "posterior": "regions of 68% of the posterior",
    }[first.method]
    if exact:
        regions = "regions of 68% of the profile likelihood"
    return (
        f"fitted to {data}; {regions}; dotted: published limits, for the spectrum of the standard "
        "model (arXiv:1702.03224, 1303.7465); dashed: about what Belle II expects in the standard "
        "model (arXiv:1808.10567)"
    )


def over_q2(
    sources: Mapping[str, Source], channel: str = "B0 -> K*0", *, width: float = 2.0
) -> Figure:
    """Draw dBR/dq2 and F_L of scenarios in bins of q2, with bands of 68%.

    Bins hold narrow lines, too. The standard model is black.

    Args:
        sources: {label: fit, profile or posterior}; fits have bands from their covariance.
        channel: with a vector meson.
        width: of the bins, GeV^2.
    """
    analysis = analysis_of(next(iter(sources.values())))
    model = analysis.model
    end = float(model.kinks(channel)[-1])
    inner = np.arange(0.0, end, width)
    if end - inner[-1] < 0.4 * width:
        inner = inner[:-1]
    edges = np.append(inner, end)
    bins = np.column_stack([edges[:-1], edges[1:]])
    with style():
        data = plain(" + ".join(m.name for m in analysis.measurements))
        text = Caption(
            f"fitted to {data}; {_SYMBOLS[channel]} + invisible, averages of bins, narrow lines "
            "included; bands: 68% of fit and form factors",
            WIDTH,
        )
        rows = -(-(len(sources) + 1) // 3)
        top, below, tall = 0.1 + 0.16 * rows, text.room + 0.36, 1.7
        height = top + 2 * tall + 0.08 + below
        figure = Figure(figsize=(WIDTH, height))
        axes = [
            figure.add_axes((0.55 / WIDTH, y / height, (WIDTH - 0.65) / WIDTH, tall / height))
            for y in (below + tall + 0.08, below)
        ]
        highest_of_all = 0.0
        for i, (label, source) in enumerate(sources.items()):
            for ax, observable in zip(axes, ("dbr_dq2", "f_l"), strict=True):
                scale = 1 / UNIT if observable == "dbr_dq2" else 1.0
                found = band(source, observable, channel, bins)
                low, value, high = (scale * x for x in (found.low, found.value, found.high))
                if observable == "dbr_dq2":
                    highest_of_all = max(highest_of_all, float(value.max()))
                look = _look(i)
                ax.stairs(value, edges, label=plain(label), baseline=None, **look)
                low = np.maximum(low, 1e-3)
                if observable == "f_l":
                    low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
                ax.fill_between(
                    edges,
                    np.append(low, low[-1]),
                    np.append(high, high[-1]),
                    step="post",
                    color=look["color"],
                    alpha=0.15,
                    linewidth=0,
                )
        whole, part = _of_standard_model(model, channel, bins)
        for ax, values in zip(axes, (whole / np.diff(edges) / UNIT, part / whole), strict=True):
            ax.stairs(
                values, edges, color=BLACK, linewidth=1.0, baseline=None, label="standard model"
            )
        if highest_of_all > 6 * float(np.max(whole / np.diff(edges))) / UNIT:
            axes[0].set_yscale("log")
            axes[0].set_ylim(0.5 * float(np.median(whole / np.diff(edges))) / UNIT, None)
            axes[0].yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        else:
            axes[0].set_ylim(0.0, None)
        axes[1].set_ylim(-0.04, 1.04)
        axes[0].tick_params(labelbottom=False)
        axes[0].set_ylabel(r"dBR/d$q^2$ [$10^{-7}$ GeV$^{-2}$]")
        axes[1].set_ylabel("$F_L$")
        axes[1].set_xlabel(r"$q^2$ [GeV$^2$]")
        for ax in axes:
            ax.set_xlim(0.0, end)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="upper center",
            ncols=3,
            bbox_to_anchor=(0.5, 1 - 0.02 / height),
        )
        text.write(figure)
    return figure


def _of_standard_model(model: Any, channel: str, bins: np.ndarray) -> tuple[np.ndarray, ...]:
    """Branching fractions in bins (n,), and those with a longitudinal vector meson."""
    null = model.standard_model()
    values = {p.name: p.init for p in null.parameters}
    edges = [(float(low), float(high)) for low, high in bins]
    whole, part = jax.jit(lambda: in_bins(null, channel, values, edges))()
    return np.asarray(whole), np.asarray(part)


def comparison_figures(
    found: Mapping[str, Predictions],
    sources: Mapping[str, Source],
    out: str | os.PathLike[str],
) -> list[Path]:
    """Draw what tells scenarios apart, and write it.

    Args:
        found: {label: predictions}.
        sources: {label: what they were made from}.
        out: folder for `planes` and `over_q2`, each as PDF and PNG. Planes need the branching
            fractions of K* and K and the polarisation among the quantities.

    Returns:
        The paths written.
    """
    kaon, vector = Quantity(channel="B+ -> K+"), Quantity(channel="B0 -> K*0")
    polarisation = Quantity("f_l", "B0 -> K*0")
    paths = []
    first = next(iter(found.values())).quantities
    pairs = [(vector, polarisation), (vector, kaon)]
    chosen = [pair for pair in pairs if all(q in first for q in pair)]
    if chosen:
        paths += save(planes(found, chosen), Path(out) / "planes")
    return paths + save(over_q2(sources), Path(out) / "over_q2")
