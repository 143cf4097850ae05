"""Upper limits versus a grid with their expected bands, and Feldman-Cousins acceptance."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bknn import errors
from bknn.inference.limits.feldman_cousins import FeldmanCousins
from bknn.inference.limits.limit import Limit
from bknn.parameters import symbol
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    YELLOW,
    Caption,
    number,
    plain,
    powers,
    style,
    tint,
)

#: The colours that readers of limits expect, in shades that colour-blind readers tell apart.
ONE, TWO = tint(GREEN, 0.75), tint(YELLOW, 0.85)

# Inches.
_WIDTH, _TALL, _LEFT, _RIGHT, _BOTTOM, _TOP = 5.2, 3.0, 0.72, 0.1, 0.36, 0.12
_LEGEND = 0.155

_NAMES = {"cls": "CL$_s$", "clsb": r"CL$_{s+b}$"}


def limits(
    found: Limit,
    *,
    over: str | None = None,
    second: Limit | None = None,
    second_label: str = "second observed",
    best_fit: bool = False,
    log: bool = True,
    log_x: bool = False,
    x_label: str | None = None,
    y_label: str | None = None,
) -> Figure:
    """Draw upper limits versus a grid: observed, median expected, and bands of 1 and 2 sigma.

    Lines and bands break off where a limit was not found; grey crosses on the lower axis mark
    these points. Bands run out of the frame where a limit lies beyond the bound of the parameter.

    Args:
        found: from `inference.limit` with a grid.
        over: which of its grid's names is drawn along x; the first by default.
        second: another limit whose observed curve is drawn too.
        second_label: what it is.
        best_fit: draw the best fit at each point as well.
        log, log_x: logarithmic axes.
        x_label, y_label: instead of the names of the parameters.

    Raises:
        ParameterError: a limit without a grid, or without any finite number.
        UnknownNameError: a name that is not on the grid.
    """
    if len(found.observed) < 2:
        raise errors.ParameterError(
            "this limit was not computed versus a grid, so there is no curve to draw; give "
            "over={name: values} to inference.limit."
        )
    over = next(iter(found.grid)) if over is None else over
    x, order = _axis(found, over)
    lines = {sigma: found.expected[sigma][order] for sigma in found.expected}
    observed = found.observed[order]
    finite = np.concatenate([observed, *lines.values()])
    finite = finite[np.isfinite(finite) & ((finite > 0) | (not log))]
    if not finite.size:
        raise errors.ParameterError(f"no limit of {found.parameter} was found; {found.status}")
    with style():
        text = Caption(_words(found), _WIDTH)
        entries = 4 + (second is not None) + best_fit
        room = _LEGEND * -(-entries // 2) + 0.12
        figure, ax = _panel(text.room, room)
        low, high = _range(finite, log)
        ax.set_ylim(low, high)
        _bands(ax, x, lines, low, high)
        ax.plot(x, _drawable(lines[0]), color=BLACK, linestyle=(0, (4, 2)), label="median expected")
        marker: dict[str, Any] = {"marker": "o", "markersize": 1.6} if len(x) <= 120 else {}
        ax.plot(x, _drawable(observed), color=BLACK, label="observed", **marker)
        if second is not None:
            x2, order2 = _axis(second, over)
            y2 = _drawable(second.observed[order2])
            ax.plot(x2, y2, color=BLUE, linestyle=(0, (5, 1, 1, 1)), label=plain(second_label))
        if best_fit:
            # What is at the background is below every logarithmic axis.
            best = np.where((found.best > 0) | (not log), found.best, np.nan)[order]
            ax.plot(x, best, color=VERMILLION, linewidth=1.0, label="best fit")
        bad = ~found.converged[order]
        if bad.any():
            where = ax.get_xaxis_transform()
            look: dict[str, Any] = {
                "marker": "x",
                "color": GREY,
                "s": 9,
                "linewidth": 0.8,
                "clip_on": False,
            }
            ax.scatter(x[bad], np.full(bad.sum(), 0.012), transform=where, zorder=5, **look)
        if log:
            ax.set_yscale("log")
            ax.set_ylim(low, high)
        if log_x:
            ax.set_xscale("log")
        ax.set_xlim(x[0], x[-1])
        ax.set_xlabel(x_label or _named(found, over))
        level = f"{100 * found.cl:g}% {_NAMES[found.statistic]}"
        ax.set_ylabel(y_label or f"upper limit of {_named(found, found.parameter)}, {level}")
        _legend(figure, ax)
        text.write(figure)
    return figure


def acceptance(found: FeldmanCousins, *, x_label: str | None = None) -> Figure:
    """Draw the Feldman-Cousins construction: the likelihood ratio of the data, what the toys allow
    at each level, and the accepted values.

    Args:
        found: from `inference.feldman_cousins`.
        x_label: instead of the name of the parameter.
    """
    colours = (GREEN, ORANGE, BLUE, VERMILLION)
    with style():
        text = Caption(_fc_words(found), _WIDTH)
        n = len(found.levels)
        figure, ax = _panel(text.room, _LEGEND * -(-(n + 1) // 2) + 0.12)
        x = found.grid
        for j, level in enumerate(found.levels):
            colour = colours[j % len(colours)]
            low, high = (found.critical[j] + s * found.critical_error[j] for s in (-1, 1))
            ax.fill_between(x, low, high, color=tint(colour, 0.3), linewidth=0)
            of = "toys" if found.method == "toys" else "outcomes"
            label = f"{100 * level:g}% of {of} are below"
            ax.plot(x, found.critical[j], color=colour, linewidth=1.1, label=label)
        ax.plot(x, found.observed, color=BLACK, marker="o", markersize=1.8, label="data", zorder=4)
        top = 1.35 * float(np.nanmax(found.critical + found.critical_error))
        strip = 0.045 * n + 0.02
        ax.set_ylim(-top * strip / (1 - strip), top)
        ax.axhline(0.0, color=BLACK, linewidth=0.6)
        where = ax.get_xaxis_transform()
        if np.isfinite(found.observed).all():
            for j, level in enumerate(found.levels):
                y = strip - 0.01 - 0.045 * (j + 0.5)
                for ends in found.regions(level):
                    look: dict[str, Any] = {"color": colours[j % len(colours)], "transform": where}
                    ax.plot(ends[:2], (y, y), linewidth=4, solid_capstyle="butt", **look)
        ax.set_xlim(x[0], x[-1])
        ax.set_yticks([t for t in ax.get_yticks() if 0 <= t <= top])
        ax.set_xlabel(x_label or symbol(found.parameter))
        ax.set_ylabel(r"$-2\,\ln\,L / L_{\mathrm{best}}$")
        _legend(figure, ax)
        text.write(figure)
    return figure


def scan(found: Limit, point: int = 0) -> Figure:
    """Draw CLs (or CLs+b) by toys at the tested values, observed and expected, and where the limits
    are.

    Args:
        found: from `inference.limit` with toys.
        point: of its grid.

    Raises:
        ParameterError: a limit without toys.
    """
    what = found.scans[point] if found.scans else None
    if what is None:
        raise errors.ParameterError(
            "no toys were thrown for this limit, so there is nothing to draw; give method='toys'."
        )
    with style():
        words = f"{_words(found)}; {number(what.toys)} toys"
        text = Caption(words, _WIDTH)
        figure, ax = _panel(text.room, _LEGEND * 3 + 0.12)
        ax.set_ylim(0.0, 1.0)
        _bands(ax, what.values, what.expected, 0.0, 1.0)
        dashed: dict[str, Any] = {"color": BLACK, "linestyle": (0, (4, 2))}
        ax.plot(what.values, what.expected[0], label="median expected", **dashed)
        ax.errorbar(
            what.values,
            what.observed,
            yerr=what.observed_error,
            color=BLACK,
            marker="o",
            markersize=2.5,
            linewidth=1.0,
            label="observed",
        )
        alpha = 1 - found.cl
        ax.axhline(alpha, color=VERMILLION, linewidth=0.8, label=f"{100 * found.cl:g}% excluded")
        if np.isfinite(found.observed[point]):
            error = float(found.observed_error[point])
            value = float(found.observed[point])
            ends = value - error, value + error
            ax.axvspan(
                *ends, color=tint(SKY, 0.5), linewidth=0, zorder=0.5, label="limit, error of toys"
            )
        # Not where everything is excluded by far.
        high = np.nanmax([what.observed, *what.expected.values()], axis=0)
        some = np.flatnonzero(high > 0.2 * alpha)
        last = min(int(some[-1]) + 1 if some.size else 0, len(what.values) - 1)
        ax.set_xlim(what.values[0], what.values[max(last, 1)])
        ax.set_xlabel(_named(found, found.parameter))
        ax.set_ylabel(_NAMES[found.statistic])
        _legend(figure, ax)
        text.write(figure)
    return figure


def _panel(below: float, above: float) -> tuple[Figure, Axes]:
    height = below + _BOTTOM + _TALL + above + _TOP
    figure = Figure(figsize=(_WIDTH, height))
    wide = _WIDTH - _LEFT - _RIGHT
    box = (_LEFT / _WIDTH, (below + _BOTTOM) / height, wide / _WIDTH, _TALL / height)
    ax = figure.add_axes(box)
    ax.tick_params(which="both", top=True, right=True)
    return figure, ax


def _legend(figure: Figure, ax: Axes) -> None:
    """Above the panel, where no curve can be."""
    handles, names = ax.get_legend_handles_labels()
    ax.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=min(len(names), 2),
        borderaxespad=0.2,
    )


def _axis(found: Limit, over: str) -> tuple[np.ndarray, np.ndarray]:
    if over not in found.grid:
        raise errors.unknown("parameter", over, found.grid, "the grid of this limit")
    order = np.argsort(found.grid[over], kind="stable")
    return found.grid[over][order], order


def _drawable(y: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(y), y, np.nan)


def _bands(ax: Axes, x: np.ndarray, lines: dict[int, np.ndarray], low: float, high: float) -> None:
    for sigma, colour in ((2, TWO), (1, ONE)):
        lower, upper = lines[-sigma], lines[sigma]
        there = ~np.isnan(lower) & ~np.isnan(upper)
        # Beyond the bound of the parameter, or at its background: out of the frame.
        lower, upper = (np.clip(y, low / 10, high * 10) for y in (lower, upper))
        label = rf"expected $\pm{sigma}\sigma$"
        ax.fill_between(x, lower, upper, where=there, color=colour, linewidth=0, label=label)


def _range(finite: np.ndarray, log: bool) -> tuple[float, float]:
    if not log:
        return 0.0, 1.05 * float(finite.max())
    spread = float(np.log10(finite.max() / finite.min()))
    room = 10 ** max(0.05, 0.05 * spread)
    return float(finite.min()) / room, float(finite.max()) * room


def _named(found: Limit, name: str) -> str:
    unit = powers(found.units.get(name, ""))
    return f"{symbol(name)} [{unit}]" if unit else symbol(name)


def _words(found: Limit) -> str:
    how = "asymptotic formulas" if found.method == "asymptotic" else f"{found.toys} toys a value"
    words = [plain(found.label).replace("->", "→")] if found.label else []
    words.append(f"upper limits of {symbol(found.parameter)}, {_NAMES[found.statistic]}, {how}")
    missing = int(np.sum(~found.converged))
    if missing and len(found.observed) > 1:
        words.append(f"{missing} of {len(found.observed)} points (crosses) lack a limit")
    if lost := int(found.failed.sum()):
        words.append(f"{lost} toys without a converged fit left out")
    return "; ".join(words)


def _fc_words(found: FeldmanCousins) -> str:
    words = [plain(found.label).replace("->", "→")] if found.label else []
    bound = f" ≥ {found.lowest:g}".replace("-", "−") if np.isfinite(found.lowest) else ""
    words.append(f"Feldman-Cousins intervals of {symbol(found.parameter)}{bound}")
    if np.isfinite(found.observed).all():
        for level in found.levels:
            parts = " and ".join(
                f"[{number(r.low)}, {number(r.high)}]" for r in found.regions(level)
            )
            words.append(f"{100 * level:g}%:\0{parts or 'none'}")
    how = f"{found.toys} toys a value" if found.method == "toys" else "sums over all outcomes"
    words.append(how)
    if lost := int(found.failed.sum()):
        words.append(f"{lost} without a converged fit left out")
    return "; ".join(words)
