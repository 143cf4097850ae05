"""Profile likelihoods: curves over one parameter, contours over two."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bknn import errors
from bknn.inference.profiles.contours import Contours
from bknn.inference.profiles.profile import Profile
from bknn.plot.drawing.scale import Scale
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    Caption,
    data_labels,
    plain,
    style,
)

#: Higher than this many sigma a curve is cut off.
_HIGHEST = 5.5

#: The other parameters are drawn in the range that they have below this, three sigma.
_NEAR = 9.0

#: Panels below the curve, at most.
_MOST = 4

# Inches.
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 0.62, 0.42, 0.24, 0.42, 0.06
_WIDE, _TALL, _LOW = 4.2, 2.3, 0.95

#: Colours and line styles of the contours, from the inside out.
_LINES = ((BLUE, "-"), (SKY, "-"), (ORANGE, "--"), (GREY, ":"))


def profile(found: Profile) -> Figure:
    """Draw -2 log L above its minimum over one parameter, and what the others do meanwhile.

    Dashed lines are 1, 2, 3, ... sigma of one parameter. A grey line is the next higher minimum,
    where one was found. Points whose fit did not converge are crosses on the axis, and the curve
    is interrupted there. Profiles over two parameters are drawn as a map.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import inference, models
    >>> from bknn.plot.likelihoods.profile import profile
    >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    >>> figure = profile(inference.profile(analysis, {"mu": [0.0, 4.0, 8.0]}))
    """
    if len(found.parameters) == 2:
        return _plane(found, {})
    names = [n for n, v in found.values.items() if np.isfinite(v).any()][:_MOST]
    caption = _caption(found, 1, len(found.values) - len(names))
    width = _LEFT + _WIDE + _RIGHT
    with style():
        text = Caption(caption, width)
        below = len(names) * (_LOW + _GAP)
        height = text.room + _BOTTOM + below + _TALL + _TOP
        figure = Figure(figsize=(width, height))
        edge = text.room + _BOTTOM + below

        def panel(y: float, tall: float) -> Axes:
            return figure.add_axes((_LEFT / width, y / height, _WIDE / width, tall / height))

        x_scale = Scale(found.target, found.parameters[0], found.axes[0])
        x = x_scale(found.axes[0])
        top = panel(edge, _TALL)
        _curve(top, found, x, float(x_scale(_best(found, found.parameters[0]))))
        axes = [top]
        for k, name in enumerate(names):
            ax = panel(edge - (k + 1) * (_LOW + _GAP), _LOW)
            values = np.where(found.converged, found.values[name], np.nan)
            near = _near(found, values)
            scale = Scale(found.target, name, near)
            ax.plot(x, scale(values), color=BLUE)
            ax.plot(
                x_scale(_best(found, found.parameters[0])),
                scale(_best(found, name)),
                "o",
                color=BLACK,
                markersize=3,
            )
            ax.set_ylabel(scale.label, fontsize=6.5)
            low, high = (float(scale(f(near))) for f in (np.nanmin, np.nanmax))
            room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
            ax.set_ylim(low - room, high + room)
            axes.append(ax)
        for ax in axes:
            ax.set_xlim(_range(x))
            ax.tick_params(top=True, right=True, labelbottom=ax is axes[-1])
        figure.align_ylabels(axes)
        axes[-1].set_xlabel(x_scale.label)
        text.write(figure)
    return figure


def _curve(ax: Axes, found: Profile, x: np.ndarray, best: float) -> None:
    """The curve itself, with lines at 1, 2, 3, ... sigma."""
    ok = found.converged
    delta = np.where(ok, found.delta, np.nan)
    highest = float(np.nanmax(delta, initial=1.0))
    top = min(max(1.12 * highest, 1.3), _HIGHEST**2)
    for n in range(1, math.ceil(math.sqrt(top))):
        if n**2 < top:
            ax.axhline(n**2, color=GREY, linewidth=0.6, linestyle=(0, (5, 4)))
            ax.annotate(
                f"{n}σ",
                (1.0, n**2),
                (3, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
                color=GREY,
            )
    handles = []
    second = np.where(ok, found.second_delta, np.nan)
    if (second < top).any():
        handles += ax.plot(
            x, second, color=ORANGE, linewidth=0.8, marker=".", markersize=2,
            label="next higher minimum",
        )  # fmt: skip
    # A point between two that failed would not be seen in a line.
    ax.plot(x, delta, color=BLUE, marker="." if x.size <= 40 else "", markersize=4)
    ax.plot(best, 0.0, "o", color=BLACK, markersize=3.5, clip_on=False, zorder=4)
    if not ok.all():
        handles += ax.plot(
            x[~ok], np.full(int((~ok).sum()), 0.03), "x", color=VERMILLION, markersize=4,
            transform=ax.get_xaxis_transform(), label="fit did not converge",
        )  # fmt: skip
    ax.set_ylim(0.0, top)
    ax.set_ylabel(r"$-2\,\Delta\ln L$")
    if handles:
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2,
            borderaxespad=0.2,
        )  # fmt: skip


def contours(found: Contours) -> Figure:
    """Draw the contours of two parameters, and the best fit.

    Levels are those of two parameters (2.30, 6.18, 11.83 for 1, 2, 3 sigma). Points of the grid
    whose fit did not converge are crosses; contours are interrupted next to them.
    """
    return _plane(found.profile, {n: found.lines[n] for n in found.levels}, found)


def _plane(
    grid: Profile, lines: dict[float, tuple[np.ndarray, ...]], found: Contours | None = None
) -> Figure:
    """Contours, or the map of a grid if there are none."""
    width = _LEFT + _WIDE + _RIGHT + (0.0 if found is not None else 0.5)
    scales = [
        Scale(grid.target, name, axis)
        for name, axis in zip(grid.parameters, grid.axes, strict=True)
    ]
    x, y = (scale(axis) for scale, axis in zip(scales, grid.axes, strict=True))
    with style():
        text = Caption(_caption(grid, 2, len(grid.values)), width)
        height = text.room + _BOTTOM + 0.8 * _WIDE + _TOP
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes(
            (
                _LEFT / width,
                (text.room + _BOTTOM) / height,
                _WIDE / width,
                0.8 * _WIDE / height,
            )
        )
        handles = []
        if found is None:
            delta = np.ma.masked_where(~grid.converged, grid.delta)
            top = min(float(delta.max()) if delta.count() else 1.0, _HIGHEST**2)
            mesh = ax.pcolormesh(
                x, y, delta.T, cmap="Blues_r", vmin=0.0, vmax=max(top, 1e-9), shading="nearest",
                rasterized=True,
            )  # fmt: skip
            bar = figure.colorbar(mesh, ax=ax, pad=0.02, fraction=0.05)
            bar.set_label(r"$-2\,\Delta\ln L$")
        for k, (n, pieces) in enumerate(lines.items()):
            colour, dash = _LINES[min(k, len(_LINES) - 1)]
            label = f"{n:g}σ"
            for piece in pieces:
                ax.plot(scales[0](piece[:, 0]), scales[1](piece[:, 1]), dash, color=colour)
            handles.append(Line2D([], [], color=colour, linestyle=dash, label=label))
        best = [float(s(_best(grid, n))) for s, n in zip(scales, grid.parameters, strict=True)]
        handles += ax.plot(
            *best, "+", color=BLACK, markersize=6, label="best fit", zorder=4, clip_on=False
        )
        bad = np.argwhere(~(grid.converged | grid.excluded))
        if bad.size:
            handles += ax.plot(
                x[bad[:, 0]], y[bad[:, 1]], "x", color=VERMILLION, markersize=3,
                label="fit did not converge",
            )  # fmt: skip
        ax.set_xlim(_range(x))
        ax.set_ylim(_range(y))
        ax.set_xlabel(scales[0].label)
        ax.set_ylabel(scales[1].label)
        ax.tick_params(top=True, right=True)
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(handles),
            borderaxespad=0.2,
        )  # fmt: skip
        text.write(figure)
    return figure


def _range(x: np.ndarray) -> tuple[float, float]:
    """Return the limits of an axis, which must not be the same."""
    low, high = float(x[0]), float(x[-1])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _near(found: Profile, values: np.ndarray) -> np.ndarray:
    """Return what a parameter is near the best fit, which decides the range of its axis: far away
    the data may allow any value."""
    near = values[found.converged & (found.delta <= _NEAR)]
    return near if near.size >= 3 else values


def _best(found: Profile, name: str) -> float:
    return float(found.best.vector[found.target.index(name)])


def _caption(found: Profile, n: int, left_out: int) -> str:
    """What is drawn, and how the fits ended if not all did well."""
    analysis = found.target
    if not getattr(analysis, "measurements", ()):
        raise errors.ParameterError(f"profiles of an Analysis can be drawn, not of {analysis!r}.")
    data = data_labels(analysis.measurements)
    if found.best.data is not None:
        data = f"given counts in place of those of {data}"
    text = f"{plain(analysis.model.name)}, {data}; all other parameters at their best at each point"
    if n == 1 and left_out:
        text += f"; {left_out} more parameters not shown"
    if bad := int((~(found.converged | found.excluded)).sum()):
        text += f"; {bad} of {found.converged.size} fits DID NOT CONVERGE"
    if not bool(found.best.converged):
        text += "; the best fit DID NOT CONVERGE"
    return text
