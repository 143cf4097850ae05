"""A plane of two parameters with what excludes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke, withTickedStroke
from matplotlib.ticker import LogFormatterSciNotation, NullFormatter

from bknn.plot.drawing.labels import parameter_label, unit_of
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
    number,
    plain,
    style,
    tint,
)
from bknn.studies.constraints.exclusions import Exclusions

_COLOURS = (BLUE, SKY, PURPLE, ORANGE, "#7A4B00", "#8B0037", VERMILLION, BLACK, "#4B0082")
_STYLES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (2, 1)))

_DOTTED = (0, (1, 1.5))

# Inches.
_WIDE, _TALL, _LEFT, _RIGHT, _BOTTOM, _TOP = 3.9, 3.5, 0.62, 1.85, 0.4, 0.1

#: Points that a grid is refined to, for bands that are narrow.
_FINE = 801

#: Where -2 log L is 0, its logarithm is as of this.
_LEAST = 1e-30

#: Fewer points of a line than this have no room for a label.
_SHORT = 4


#: How words in the names of data sets are written.
_SIGNS = {
    "mumu": "μμ",
    "4mu": "4μ",
    "kappa t": "κ(t)",
    "t pairs": "T pairs",
    "z invisible": "Z → invisible",
    "s t": "S, T",
    "g 2": "g − 2",
}


class _Line(NamedTuple):
    """What is written beside a line of the figure, rather where `beyond` says so."""

    text: str
    colour: str
    dashes: Any
    pieces: list[np.ndarray]
    size: float = 6.5
    beyond: Callable[[float, float], bool] | None = None


def exclusions(found: Exclusions) -> Figure:
    """Draw which parts of the plane each data set excludes at 95 %.

    A line ends what is excluded; its ticks and a tint are on the excluded side. Of counts, bands
    show where -2 log L is less than 1 and 4 above its lowest value. Grey is where bounds of theory
    are crossed; thin grey lines are contours of derived quantities. Axes are logarithmic where the
    grid is. What excludes nothing in the plane is named below.

    Args:
        found: from `studies.exclusions`.
    """
    width = _LEFT + _WIDE + _RIGHT
    draws = [name for name in found.numbers if _part(found, name) > 0.0]
    with style():
        text = Caption(_words(found, draws), width)
        height = text.room + _BOTTOM + _TALL + _TOP
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes(
            (_LEFT / width, (text.room + _BOTTOM) / height, _WIDE / width, _TALL / height)
        )
        x, y = found.axes
        ax.set_xscale("log" if _logarithmic(x) else "linear")
        ax.set_yscale("log" if _logarithmic(y) else "linear")
        ax.set_xlim(x[0], x[-1])
        ax.set_ylim(y[0], y[-1])
        edges: list[np.ndarray] = []
        handles: list[Any] = []
        for k, name in enumerate(found.counts):
            lines, patches = _band(ax, found, name, k)
            edges += lines
            handles += patches
        told = [line for name in found.lines for line in _contours(ax, found, name)]
        # The same for a data set in all planes of the same data.
        places = [name for name in found.numbers if name not in found.ratios]
        for name in draws:
            turn, k = divmod(places.index(name), len(_COLOURS)) if name in places else (0, -1)
            colour = GREY if k < 0 else _COLOURS[k]
            told.append(_exclusion(ax, found, name, colour, _STYLES[turn % len(_STYLES)]))
        for axis, name in ((ax.xaxis, found.parameters[0]), (ax.yaxis, found.parameters[1])):
            unit = unit_of(found.target, name)
            label = parameter_label(found.target, name) + (f" [{unit}]" if unit else "")
            axis.set_label_text(label)
            if axis.get_scale() == "log":
                axis.set_major_formatter(LogFormatterSciNotation())
                axis.set_minor_formatter(NullFormatter())
        ax.tick_params(top=True, right=True, which="both")
        without = _write(ax, told, edges)
        handles += [
            Line2D([], [], color=x.colour, linestyle=x.dashes, label=x.text) for x in without
        ]
        ax.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0.0,
        )
        text.write(figure)
    return figure


# Regions and lines -----------------------------------------------------------------------------


def _band(ax: Axes, found: Exclusions, name: str, k: int) -> tuple[list[np.ndarray], list[Patch]]:
    """Fill where counts are described, and return its edges and what stands for it in the
    legend."""
    colour = (GREEN, SKY, ORANGE)[k % 3]
    fills = [tint(colour, 0.65), tint(colour, 0.3)]
    x, y, delta = _finer(found, name)
    ax.contourf(x, y, delta.T, [-1.0, 1.0, 4.0], colors=fills, zorder=1)
    edges = _pieces(ax.contour(x, y, delta.T, [1.0, 4.0], linewidths=0.0))
    return edges, [
        Patch(color=fill, label=f"{short_label(found, name)}, {n}σ")
        for fill, n in zip(fills, (1, 2), strict=True)
    ]


def _exclusion(ax: Axes, found: Exclusions, name: str, colour: str, dashes: Any) -> _Line:
    """Draw the end of what a data set excludes, and tint what is beyond."""
    x, y = found.axes
    theory = name in found.ratios
    size = found.ratios[name] if theory else found.delta[name] / found.level(name)
    height = np.ma.masked_invalid(np.log(np.maximum(size, _LEAST)))
    top = max(float(height.max()), 1.0) + 1.0
    fill = tint(GREY, 0.35) if theory else colour
    ax.contourf(
        x, y, height.T, [0.0, top], colors=[fill], alpha=0.7 if theory else 0.10, zorder=2 - theory
    )
    lines = ax.contour(
        x, y, height.T, [0.0], colors=[colour], linestyles=[dashes], linewidths=1.0, zorder=3
    )
    ticks = ax.contour(x, y, height.T, [0.0], colors=[colour], linewidths=0.4, zorder=3)
    ticks.set_path_effects([withTickedStroke(angle=60, spacing=7, length=0.5)])

    def beyond(a: float, b: float) -> bool:
        i, j = (min(int(np.searchsorted(axis, v)), len(axis) - 1) for axis, v in ((x, a), (y, b)))
        return bool(height[i, j] > 0.0)

    return _Line(short_label(found, name), colour, dashes, _pieces(lines), beyond=beyond)


def _contours(ax: Axes, found: Exclusions, name: str) -> list[_Line]:
    """Draw contours of a derived quantity."""
    x, y = found.axes
    values = found.quantities[name]
    positive = bool((values > 0.0).all())
    height = np.log(values) if positive else values
    told = []
    for value in sorted(found.lines[name]):
        if positive and value <= 0.0:
            continue
        level = float(np.log(value)) if positive else value
        lines = ax.contour(
            x, y, height.T, [level], colors=[GREY], linestyles=[_DOTTED], linewidths=0.8,
            zorder=2.5,
        )  # fmt: skip
        told.append(
            _Line(
                f"{found.symbols[name]} = {number(value)}", "#404040", _DOTTED, _pieces(lines), 6.0
            )
        )
    return told


def _pieces(contour: Any) -> list[np.ndarray]:
    """Return the lines of a contour, the longest first."""
    found = [
        piece
        for path in contour.get_paths()
        if path.codes is not None
        for piece in np.split(path.vertices, np.flatnonzero(path.codes == path.MOVETO)[1:])
    ]
    return sorted((p for p in found if len(p) >= _SHORT), key=len, reverse=True)


def _finer(found: Exclusions, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return -2 log L of counts on a grid with more points, so that a band has smooth edges.

    Where more and less is expected than is liked best, its root with a sign is smoother."""
    from scipy.interpolate import RectBivariateSpline  # takes a third of a second

    (x, y), delta = found.axes, np.clip(found.delta[name], 0.0, None)
    if min(delta.shape) < 4 or not np.isfinite(delta).all():
        return x, y, delta
    signs = np.where(found.above[name], 1.0, -1.0) if name in found.above else 1.0
    logs = [np.log(a) if _logarithmic(a) else a for a in (x, y)]
    fine = [np.linspace(a[0], a[-1], _FINE) for a in logs]
    values = RectBivariateSpline(*logs, np.arcsinh(signs * np.sqrt(delta)), kx=3, ky=3)(*fine)
    axes = [np.exp(f) if _logarithmic(a) else f for f, a in zip(fine, (x, y), strict=True)]
    return axes[0], axes[1], np.sinh(values) ** 2


# Words -----------------------------------------------------------------------------------------


def short_label(found: Exclusions, name: str) -> str:
    """Return what a data set is called beside its line."""
    m = next(m for m in found.target.measurements if m.name == name)
    head = m.label.partition(" (")[0]
    known = {*head.lower().replace("-", " ").split(), "belle2"} if head != name else set()
    rest = " ".join(word for word in name.split("-") if word not in known)
    for word, sign in _SIGNS.items():
        rest = rest.replace(word, sign)
    return " ".join(x for x in (plain(head) if known else "", plain(rest)) if x)


def _words(found: Exclusions, draws: Sequence[str]) -> str:
    """Return what stands below the figure."""
    model = found.target.model
    known = {p.name: p for p in found.target.parameters}
    held = ", ".join(
        f"{known[name].label} = {number(x, unit=known[name].unit)}"
        for name, x in found.fixed.items()
    )
    quiet = [n for n in found.numbers if n not in draws and np.isfinite(found.delta[n]).any()]
    silent = [n for n in found.numbers if not np.isfinite(found.delta[n]).any()]
    text = f"{plain(model.name)}{f', {held}' if held else ''}; excluded at 95 %, nuisances fitted"
    for words, names in (("nothing is excluded by", quiet), ("outside of their range:", silent)):
        if names:
            text += f"; {words} {', '.join(short_label(found, n) for n in names)}"
    return text


def _part(found: Exclusions, name: str) -> float:
    """Return which part of the plane a data set excludes."""
    return float(found.excluded(name).mean())


def _logarithmic(axis: np.ndarray) -> bool:
    """Return whether values have even steps of their logarithm.

    >>> _logarithmic(np.geomspace(1.0, 8.0, 4)), _logarithmic(np.linspace(1.0, 8.0, 4))
    (True, False)
    """
    if len(axis) < 3 or axis[0] <= 0.0:
        return False
    return bool(np.allclose(np.diff(np.log(axis)), np.log(axis[-1] / axis[0]) / (len(axis) - 1)))


# Labels beside lines ---------------------------------------------------------------------------

#: Labels stand so far from their lines, and from the frame, in points; a place at which a label
#: covers more points of lines than this is none.
_AWAY, _EDGE, _COVERED = 4.5, 3.0, 6.0

#: What a place on the wrong side of a line costs.
_BESIDE = 3.0


class _Place(NamedTuple):
    """Where a label may stand: its middle in pixels, its angle in degrees, its corners (4, 2)."""

    middle: np.ndarray
    angle: float
    corners: np.ndarray

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Return which points (n, 2) lie under the label."""
        across, up = (self.corners[k] - self.corners[0] for k in (1, 3))
        away = points - self.corners[0]
        return np.logical_and.reduce(
            [(away @ side > 0.0) & (away @ side < side @ side) for side in (across, up)]
        )


def _write(ax: Axes, lines: Sequence[_Line], edges: Sequence[np.ndarray]) -> list[_Line]:
    """Write labels along their lines where they cover least, lines and edges of bands, and return
    those without room."""
    frame = ax.get_window_extent()
    paths = [[_dense(ax.transData.transform(p)) for p in line.pieces] for line in lines]
    every = [p for own in paths for p in own]
    every += [_dense(ax.transData.transform(p)) for p in edges]
    points = np.concatenate(every) if every else np.zeros((0, 2))
    taken = np.zeros((0, 2))
    without = []
    for line, own in zip(lines, paths, strict=True):
        best: tuple[float, _Place] | None = None
        size = _size(ax, line)
        for place, off in (x for path in own for x in _places(ax, size, path)):
            inner = frame.padded(-_pixels(ax, _EDGE))
            x, y = place.corners.T
            if x.min() < inner.x0 or x.max() > inner.x1 or y.min() < inner.y0 or y.max() > inner.y1:
                continue
            if place.holds(taken).any():
                continue
            cost = float(place.holds(points).sum()) + off
            if line.beyond and not line.beyond(*ax.transData.inverted().transform(place.middle)):
                cost += _BESIDE
            if best is None or cost < best[0]:
                best = cost, place
        if best is None or best[0] > _COVERED:
            without.append(line)
            continue
        place = best[1]
        taken = np.concatenate([taken, _filled(place.corners)])
        x, y = ax.transAxes.inverted().transform(place.middle)
        ax.text(
            x, y, line.text, transform=ax.transAxes, rotation=place.angle, color=line.colour,
            fontsize=line.size, ha="center", va="center", rotation_mode="anchor", zorder=5,
            path_effects=[withStroke(linewidth=1.2, foreground="white")],
        )  # fmt: skip
    return without


def _size(ax: Axes, line: _Line) -> np.ndarray:
    """Return width and height of a label in pixels."""
    text = ax.text(0.0, 0.0, line.text, fontsize=line.size, transform=None)
    box = text.get_window_extent()
    text.remove()
    return np.array([box.width, box.height])


def _places(ax: Axes, size: np.ndarray, path: np.ndarray) -> Iterator[tuple[_Place, float]]:
    """Yield places along a line in pixels, on both sides of it, and how much worse each is than the
    best ones: straight, and in the middle."""
    half = max(int(size[0] / _STEP / 2), 1)
    for i in range(half, len(path) - half, 3):
        ends = path[i + half] - path[i - half]
        bent = 1.0 - np.hypot(*ends) / (2 * half * _STEP)
        if bent > 0.05:
            continue
        angle = np.degrees(np.arctan2(ends[1], ends[0]))
        angle = (angle + 90.0) % 180.0 - 90.0
        along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        normal = np.array([-along[1], along[0]])
        for side in (1.0, -1.0):
            middle = path[i] + side * (_pixels(ax, _AWAY) + 0.5 * size[1]) * normal
            signs = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
            corners = [
                middle + 0.5 * a * size[0] * along + 0.5 * b * size[1] * normal for a, b in signs
            ]
            off = 2.0 * abs(i / len(path) - 0.5) + 20.0 * bent
            yield _Place(middle, float(angle), np.array(corners)), off


#: Lines are looked at in steps of so many pixels.
_STEP = 2.0


def _dense(path: np.ndarray) -> np.ndarray:
    """Return a line in even steps."""
    length = np.r_[0.0, np.cumsum(np.hypot(*np.diff(path, axis=0).T))]
    at = np.arange(0.0, max(length[-1], _STEP), _STEP)
    return np.stack([np.interp(at, length, x) for x in path.T], axis=1)


def _filled(corners: np.ndarray) -> np.ndarray:
    """Return points all over a rectangle."""
    a, b = np.meshgrid(np.linspace(0.0, 1.0, 24), np.linspace(0.0, 1.0, 6))
    across, up = corners[1] - corners[0], corners[3] - corners[0]
    return np.asarray(corners[0] + a.reshape(-1, 1) * across + b.reshape(-1, 1) * up)


def _pixels(ax: Axes, points: float) -> float:
    return float(points * ax.figure.dpi / 72.0)
