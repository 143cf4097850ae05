"""What tells scenarios apart: their predictions beside each other, in planes and over q2."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bknn.plot.drawing.files import save
from bknn.plot.drawing.labels import quantity_label
from bknn.plot.drawing.style import (
    BLACK,
    GREY,
    WIDTH,
    Caption,
    data_labels,
    style,
    tint,
)
from bknn.plot.drawing.twins import copy_of, twins
from bknn.plot.observables.looks import labels_of, look_of
from bknn.plot.observables.over_q2 import over_q2
from bknn.prediction import predict
from bknn.studies.observables.predictions import PLANES, Predictions, Source
from bknn.studies.observables.quantities import Quantity


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

Lines = Sequence[np.ndarray]

#: Value and uncertainty of quantities in the standard model.
Null = Mapping[Quantity, tuple[float, float]]


def planes(
    found: Mapping[str, Predictions],
    pairs: Sequence[tuple[Quantity, Quantity]],
    *,
    regions: Mapping[tuple[str, int], Lines] | None = None,
    standard_model: Null | None = None,
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
        standard_model: {quantity: value and uncertainty}, if it is known.
    """
    known = standard_model or _null_of(next(iter(found.values())), pairs)
    with style():
        text = Caption(_words(found, bool(regions)), WIDTH)
        same = _same_points(found)
        handles: list[Line2D | Patch] = [
            Line2D([], [], label=label, **look_of(i, copy_of(same, i), marked=True))
            for i, label in enumerate(labels_of(found, same))
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
                look = look_of(i, copy_of(same, i), marked=True)
                _scenario(ax, one, (x, y), look, given, logarithmic=wide_range)
            _standard_model(ax, known, (x, y))
            _limits(ax, (x, y))
            ax.set_xlabel(quantity_label(x, _owner(found, x)))
            ax.set_ylabel(quantity_label(y, _owner(found, y)))
        figure.legend(
            handles=handles, loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1 - 0.03 / height)
        )
        text.write(figure)
    return figure


def _owner(found: Mapping[str, Predictions], quantity: Quantity) -> Any:
    """Return the first model with a quantity, which says how to write it."""
    models = [one.analysis.model for one in found.values() if quantity in one.quantities]
    return next(iter(models), None)


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


def _same_points(found: Mapping[str, Predictions]) -> list[int | None]:
    """Of each scenario the first one before it whose predictions are the same."""
    wanted = next(iter(found.values())).quantities
    rows = []
    for one in found.values():
        at = [one.index(q) if q in one.quantities else None for q in wanted]
        numbers = [
            np.nan if k is None else one.values[k] * q.factor
            for k, q in zip(at, wanted, strict=True)
        ]
        rows.append(np.array(numbers))
    size = np.nanmax(np.abs(rows), axis=0)
    return twins([row / np.where(size > 0, size, 1.0) for row in rows], 5e-3)


def _scenario(
    ax: Axes,
    found: Predictions,
    pair: tuple[Quantity, Quantity],
    look: dict[str, Any],
    given: Lines | None,
    *,
    logarithmic: bool,
) -> None:
    if any(q not in found.quantities for q in pair):
        return
    at = [found.index(q) for q in pair]
    scale = np.array([q.factor for q in pair])
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
    drawn = {key: look[key] for key in ("color", "linestyle", "linewidth")}
    for line in lines:
        if np.isfinite(line).all():
            ax.add_patch(
                Polygon(line, closed=True, facecolor=tint(look["color"], 0.4), alpha=0.35, lw=0)
            )
            ax.plot(*line.T, **drawn)
    ax.plot(*centre, **{**look, "linestyle": "none"}, zorder=4)


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
    from scipy.stats import gaussian_kde  # takes half a second

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


def _null_of(found: Predictions, pairs: Sequence[tuple[Quantity, Quantity]]) -> Null:
    """Predict the quantities in the standard model."""
    known = dict(found.standard_model)
    for q in (q for pair in pairs for q in pair):
        if q not in known and q.around is None:
            model = found.analysis.model
            if q.is_derived:
                made = predict(model, q.observable, params=model.null)
            else:
                made = predict(model.standard_model(), q.observable, q.channel, q2=q.q2)
            known[q] = float(made.value), float(made.uncertainty)
    return known


def _standard_model(ax: Axes, known: Null, pair: tuple[Quantity, Quantity]) -> None:
    """The standard model, and what Belle II expects to know if it is true."""
    if any(q not in known for q in pair):
        return
    scale = [q.factor for q in pair]
    x, y = (known[q][0] * s for q, s in zip(pair, scale, strict=True))
    errors = [known[q][1] * s for q, s in zip(pair, scale, strict=True)]
    ax.errorbar(x, y, xerr=errors[0], yerr=errors[1], fmt="none", color=BLACK, linewidth=0.8)
    ax.plot(x, y, **_CROSS, zorder=5)
    if expected := _expected(pair):
        half = [
            k * (v if q.observable == "branching_ratio" else 1.0)
            for k, v, q in zip(expected, (x, y), pair, strict=True)
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
            ax.annotate(
                f"{limit.label}, 90%",
                (at, 0.985) if axis == "x" else (0.985, at),
                (-1.5, 0) if axis == "x" else (0, 1.5),
                xycoords=ax.get_xaxis_transform() if axis == "x" else ax.get_yaxis_transform(),
                textcoords="offset points",
                rotation=90 if axis == "x" else 0,
                ha="right",
                va="top" if axis == "x" else "bottom",
                fontsize=5.8,
                color=GREY,
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5},
            )
    if ax.get_xscale() == "log":
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())


def _words(found: Mapping[str, Predictions], exact: bool) -> str:
    first = next(iter(found.values()))
    data = data_labels(first.analysis.measurements)
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
    drawn = {**all_planes(found), "over_q2": over_q2(sources)}
    return [p for name, figure in drawn.items() for p in save(figure, Path(out) / name)]


def all_planes(
    found: Mapping[str, Predictions], standard_model: Null | None = None
) -> dict[str, Figure]:
    """Return {name: figure}; nothing without the quantities of the planes."""
    first = next(iter(found.values())).quantities
    pairs = [pair for pair in PLANES if all(q in first for q in pair)]
    return {"planes": planes(found, pairs, standard_model=standard_model)} if pairs else {}
