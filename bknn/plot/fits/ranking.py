"""The ranking: what moves a parameter of interest most, and how far the fit pulled it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bknn import errors
from bknn.inference.impacts.result import Impacts
from bknn.plot.drawing.labels import distinct, parameter_label, shorten
from bknn.plot.drawing.style import BLACK, BLUE, ORANGE, WIDTH, Caption, plain, powers, style, tint

# Inches: height of a row, margins, room of the legend.
_ROW, _ABOVE, _BELOW, _LEGEND, _RIGHT = 0.19, 0.4, 0.4, 0.24, 0.12
#: Of the font of the names, points; a letter is 0.6 of it wide.
_SIZE = 6.4

#: Colours of a parameter that goes up, and down.
UP, DOWN = BLUE, ORANGE


def ranking(found: Impacts, most: int = 20) -> Figure:
    """Draw the strongest impacts as bars, and the pulls of the same parameters.

    Bars, on the upper axis, are shifts of the parameter of interest: hollow for a parameter moved
    by the width of its constraint, filled for its uncertainty after the fit; one colour for up, one
    for down. They are those of the refits, where there are some, else the linear ones; a bar that
    is missing has no value, and the caption says so. Points, on the lower axis, are the pulls
    (fit - centre) / width with the uncertainty after the fit over the width, between dashed lines
    at -1, 0 and 1. Parameters without a constraint have no point.

    Args:
        found: from `bknn.inference.impacts`.
        most: how many parameters at most, the strongest first.

    Raises:
        ParameterError: fewer than one parameter asked for, or nothing but the parameter of interest
            floats.
    """
    if most < 1:
        raise errors.ParameterError(f"a ranking of {most} parameters is empty; draw at least one.")
    if not found.names:
        raise errors.ParameterError(
            f"nothing but {found.poi!r} floats in the fit, so there is nothing to rank."
        )
    n = min(most, len(found.names))
    bars = {kind: _bars(found, kind, n) for kind in ("pre", "post")}
    names = _names(found, n)
    with style():
        left = 0.12 + 0.6 * _SIZE / 72 * max(map(len, names))
        text = Caption.of_fit(found.result, None, WIDTH, *_remarks(found, n, bars))
        tall = max(n, 3) * _ROW
        height = text.room + _BELOW + tall + _ABOVE + _LEGEND
        figure = Figure(figsize=(WIDTH, height))
        box = (
            left / WIDTH,
            (text.room + _BELOW) / height,
            (WIDTH - left - _RIGHT) / WIDTH,
            tall / height,
        )
        below = figure.add_axes(box)
        above = figure.add_axes(box, frameon=False)
        _impacts(above, bars, _poi(found), _unit(found))
        _pulls(below, found, n, names)
        for ax in (below, above):
            ax.set_ylim(max(n, 3) - 0.5, -0.5)
        # Points lie on the bars.
        below.set_zorder(above.get_zorder() + 1)
        below.patch.set_visible(False)
        _legend(figure, 1 - 0.06 / height, bool(np.isfinite(found.pull[:n]).any()))
        text.write(figure)
    return figure


def _bars(found: Impacts, kind: str, n: int) -> np.ndarray:
    """Shifts (2, n) for up and down; the linear ones if nothing was fitted again."""
    up, down = (getattr(found, f"{kind}_{way}")[:n] for way in ("up", "down"))
    everything = np.concatenate([found.post_up, found.post_down, found.pre_up, found.pre_down])
    if np.isnan(everything).all():
        linear = getattr(found, kind)[:n]
        up, down = linear, -linear
    return np.array([up, down])


def _names(found: Impacts, n: int) -> list[str]:
    """Names with the words that tell them apart; entries of a set keep their number."""
    analysis = found.result.target
    own = {p.name: parameter_label(analysis, p.name, 36) for p in analysis.parameters}
    bases = [name.partition("[") for name in found.names[:n]]
    short = distinct(list(dict.fromkeys(base for base, _, _ in bases)))
    return [
        own.get(base, plain(shorten(short[base], 36))) + (f" [{number}" if bracket else "")
        for base, bracket, number in bases
    ]


def _poi(found: Impacts) -> str:
    return parameter_label(found.result.target, found.poi)


def _unit(found: Impacts) -> str:
    own = {p.name: p.unit for p in found.result.target.parameters}
    return powers(own.get(found.poi, ""))


def _remarks(found: Impacts, n: int, bars: dict[str, np.ndarray]) -> list[str]:
    """What the caption says besides."""
    texts = [f"impacts on {_poi(found)} by {_how(found)}"]
    if n < len(found.names):
        texts[0] += f", the {n} strongest of {len(found.names)}"
    if found.poi in found.remarks:
        texts.append(plain(found.remarks[found.poi].rstrip(".")))
    constrained = np.isfinite(found.pull[:n])
    missing = np.isnan(bars["post"]).any(axis=0) | (np.isnan(bars["pre"]).any(axis=0) & constrained)
    if missing.any():
        texts.append(f"{int(missing.sum())} rows lack a bar that could not be computed")
    return texts


def _how(found: Impacts) -> str:
    return "refits" if np.isfinite([found.post_up, found.pre_up]).any() else "linear shifts"


def _impacts(ax: Axes, bars: dict[str, np.ndarray], poi: str, unit: str) -> None:
    largest = float(np.nanmax(np.abs([*bars.values()]), initial=0.0)) or 1.0
    power = int(np.floor(np.log10(largest)))
    scale = 10.0**power if not -3 <= power < 4 else 1.0
    for colour, row in ((UP, 0), (DOWN, 1)):
        pre, post = bars["pre"][row] / scale, bars["post"][row] / scale
        y = np.arange(len(pre))
        _bar(ax, y, post, facecolor=tint(colour, 0.75), linewidth=0.0, zorder=1)
        _bar(ax, y, pre, facecolor="none", edgecolor=colour, linewidth=0.8, zorder=2)
    ax.set_xlim(-1.15 * largest / scale, 1.15 * largest / scale)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.xaxis.set_major_locator(MaxNLocator(7, symmetric=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", "−")))
    inside = f"$10^{{{power}}}$ {unit}".strip() if scale != 1.0 else unit
    ax.set_xlabel(f"shift of {poi}" + (f" [{inside}]" if inside else ""), labelpad=4)
    ax.set_yticks([])


def _bar(ax: Axes, y: np.ndarray, width: np.ndarray, **look: Any) -> BarContainer:
    here = np.isfinite(width)
    return ax.barh(y[here], width[here], height=0.78, **look)


def _pulls(ax: Axes, found: Impacts, n: int, names: list[str]) -> None:
    pull, bar = found.pull[:n], found.constraint[:n]
    y = np.arange(n)
    for x in (-1, 0, 1):
        ax.axvline(x, color=BLACK, linewidth=0.5, linestyle=(0, (4, 3)), zorder=0)
    here = np.isfinite(pull)
    ax.errorbar(
        pull[here],
        y[here],
        xerr=np.where(np.isfinite(bar[here]), bar[here], 0.0),
        fmt="o",
        color=BLACK,
        markersize=2.8,
        linewidth=0.9,
    )
    ax.set_xlim(*_reach(pull[here], bar[here]))
    ax.set_yticks(y, names, fontsize=_SIZE)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", top=False)
    ax.set_xlabel("(fit − centre) / prior width", labelpad=2)


def _reach(pull: np.ndarray, bar: np.ndarray) -> tuple[float, float]:
    edge = float(np.max(np.abs(pull) + np.where(np.isfinite(bar), bar, 0.0), initial=0.0))
    reach = max(2.0, 1.06 * edge)
    return -reach, reach


def _legend(figure: Figure, top: float, with_pulls: bool) -> None:
    handles: list[Any] = []
    for colour, way in ((UP, "+"), (DOWN, "−")):
        handles.append(Patch(facecolor="none", edgecolor=colour, label=f"{way}1 prior width"))
        handles.append(
            Patch(facecolor=tint(colour, 0.75), linewidth=0.0, label=f"{way}1 uncertainty (fit)")
        )
    if with_pulls:
        handles.append(
            Line2D([], [], color=BLACK, marker="o", markersize=2.8, linewidth=0.9, label="pull")
        )
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, top),
        ncols=len(handles),
        columnspacing=1.4,
        handlelength=1.4,
        borderaxespad=0.0,
    )
