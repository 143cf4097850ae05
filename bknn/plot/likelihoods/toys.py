"""Toys: how the test statistic is distributed without a signal, goodness of fit, and pulls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.special import chdtr, chdtrc, ndtr

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.inference.estimate import Fraction
from bknn.inference.toys.coverage import pulls
from bknn.inference.toys.goodness import GoodnessOfFit
from bknn.inference.toys.significance import Significance
from bknn.inference.toys.toys import Toys
from bknn.parameters import symbol
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    SKY,
    VERMILLION,
    WIDTH,
    Caption,
    data_labels,
    number,
    plain,
    style,
    tint,
)

# Inches: margins of a panel, its height, and the least width of one of several.
_LEFT, _RIGHT, _ABOVE, _BELOW, _TALL, _ACROSS = 0.55, 0.12, 0.12, 0.42, 2.4, 3
_SINGLE = 4.6

_TOYS: dict[str, Any] = {"facecolor": tint(SKY, 0.55), "edgecolor": BLUE, "linewidth": 0.7}
_CURVE: dict[str, Any] = {"color": BLACK, "linewidth": 1.0}
_OTHER: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "linestyle": (0, (3, 2))}
_DATA: dict[str, Any] = {"color": VERMILLION, "linewidth": 1.4}

#: How far up the line of the data goes, in parts of the panel: not behind the legend.
_BELOW_LEGEND = 0.7


def significance(found: Significance) -> Figure:
    """Draw t of the toys of the null, and where the data lie.

    The solid curve is the asymptotic distribution of t at one place, the dashed one that of the
    largest t anywhere by the formula of Gross and Vitells, where there is one. Toys in which the
    one tested parameter came out below its null value have a negative t.

    Raises:
        ParameterError: there are no toys, or all of them failed.
    """
    t = found.statistics
    if not t.size:
        raise errors.ParameterError(f"there is nothing to draw: {found.failed}.")
    observed = found.sign * found.t
    signed = bool((t < 0).any()) or observed < 0
    with style():
        low, high = _range(t, observed, None if signed else 0.0)
        edges = _edges(low, high, len(t), 60)
        p = found.fraction
        local_p = f"p = {_chance(found.p)}, z = {found.z:.2f}"
        if found.meaningless:
            said = f"{_p(p)}, z {_z(p)}, wherever the best fit is; at one place {local_p}"
        else:
            said = f"{_p(p)}, z {_z(p)} by toys; {local_p} by the curve"
        text = _caption(found.best.target, said, found.toys)
        figure, (ax,) = _panels(1, text)
        _histogram(ax, t, edges)
        handles: list[Patch | Line2D] = [Patch(label=f"{len(t)} toys of the null", **_TOYS)]
        # A parameter at its bound, or with a sign: half of the toys on either side.
        share = 0.5 if found.dof == 1 else 1.0

        def local(x: np.ndarray) -> np.ndarray:
            return np.asarray(share * chdtrc(found.dof, np.abs(x)))

        def below(x: np.ndarray) -> np.ndarray:
            return np.where(x < 0, local(x), 1 - local(x)) if signed else 1 - local(x)

        _curve(ax, edges, below, len(t), _CURVE)
        half = "half of " if share < 1 and not signed else ""
        name = f"{half}$\\chi^2$ with {found.dof} degree{'s' if found.dof > 1 else ''} of freedom"
        handles.append(Line2D([], [], label=name, **_CURVE))
        crossings = found.upcrossings
        if crossings is not None:

            def tail(x: np.ndarray) -> np.ndarray:
                several = crossings.mean * np.exp(-(x - crossings.level) / 2)
                return np.minimum(local(x) + several, 1.0)

            # A bound, of small probabilities only.
            far = edges[tail(edges) < 0.5]
            _curve(ax, far, lambda x: 1 - tail(x), len(t), _OTHER)
            label = f"anywhere: {crossings.mean:.2g} upcrossings of $t$ = {crossings.level:g}"
            handles.append(Line2D([], [], label=label, **_OTHER))
        ax.axvline(observed, ymax=_BELOW_LEGEND, **_DATA)
        handles.append(Line2D([], [], label=f"data, $t$ = {_two(observed)}", **_DATA))
        ax.set_yscale("log")
        most = ax.get_ylim()[1]
        ax.set_ylim(0.5, 4 * most)
        label = r"$t = -2\,\ln\,(L_{\rm null}\,/\,L_{\rm best})$"
        if signed:
            ((tested, value),) = found.tested.items()
            label += f", with a minus sign for {symbol(tested)} < {value:g}"
        ax.set_xlabel(label)
        _labelled(ax, edges, handles)
        text.write(figure)
    return figure


def goodness_of_fit(found: GoodnessOfFit) -> Figure:
    """Draw -2 ln(L / L_sat) of toys thrown at the best fit, and where the data lie.

    The curve is chi2 with as many degrees of freedom as there are measurements more than
    parameters: what the toys would follow if all counts were large.

    Raises:
        ParameterError: all toys failed.
    """
    values = found.statistics
    if not values.size:
        raise errors.ParameterError(f"there is nothing to draw: {found.failed}.")
    with style():
        low, high = _range(values, found.statistic, None)
        low = max(low, 0.0)
        edges = _edges(low, high, len(values), 50)
        text = _caption(
            found.best.target,
            f"{_p(found.fraction)}; {_chance(found.asymptotic_p)} by the curve",
            found.toys,
        )
        figure, (ax,) = _panels(1, text)
        _histogram(ax, values, edges)
        handles: list[Patch | Line2D] = [
            Patch(label=f"{len(values)} toys of the best fit", **_TOYS)
        ]
        if found.dof > 0:
            _curve(ax, edges, lambda x: chdtr(found.dof, x), len(values), _CURVE)
            handles.append(Line2D([], [], label=f"$\\chi^2$, {found.dof} d.o.f.", **_CURVE))
        ax.axvline(found.statistic, ymax=_BELOW_LEGEND, **_DATA)
        handles.append(Line2D([], [], label=f"data, {_two(found.statistic)}", **_DATA))
        ax.set_ylim(0, 1.4 * ax.get_ylim()[1])
        ax.set_xlabel(r"$-2\,\ln\,(L_{\rm best}\,/\,L_{\rm saturated})$")
        _labelled(ax, edges, handles)
        text.write(figure)
    return figure


def toys(found: Toys) -> Figure:
    """Draw the pulls of the model's parameters, or their estimates where there are no pulls.

    Pulls (estimate - truth) / uncertainty stand beside the standard normal distribution, estimates
    beside a line at the truth.

    Raises:
        ParameterError: no parameter floats, or all toys failed.
    """
    if not found.estimates or not found.good.any():
        raise errors.ParameterError(
            f"there is nothing to draw: {found.failed}, and {len(found.estimates)} parameters "
            "float."
        )
    with style():
        truth = {n: x for n, x in found.truth.items() if n in found.estimates} | dict(found.fixed)
        thrown = ", ".join(f"{symbol(n)} = {number(x)}" for n, x in truth.items())
        what = plain(found.analysis).replace("->", "→")
        text = Caption(f"{what}; thrown at {thrown}; {found.failed}", WIDTH)
        figure, panels = _panels(len(found.estimates), text)
        for i, (ax, name) in enumerate(zip(panels, found.estimates, strict=True)):
            _parameter(ax, found, name)
            if i % _ACROSS == 0:
                ax.set_ylabel("toys", labelpad=3)
        text.write(figure)
    return figure


def _parameter(ax: Axes, found: Toys, name: str) -> None:
    values, truth = found.estimates[name][found.good], found.truth[name]
    sigma = found.uncertainties.get(name, np.full(found.n, np.nan))[found.good]
    known = np.isfinite(sigma) & (sigma > 0)
    if known.sum() < 2:
        low, high = _range(values, truth, None)
        edges = _edges(low, high, len(values), 40)
        _histogram(ax, values, edges)
        ax.axvline(truth, **_DATA)
        ax.set_xlabel(symbol(name))
        said = f"truth {number(truth)}\nmean {number(float(values.mean()))}"
    else:
        pull = (values[known] - truth) / sigma[known]
        reach = max(4.0, min(8.0, float(np.abs(pull).max())))
        edges = _edges(-reach, reach, len(pull), 48)
        _histogram(ax, np.clip(pull, -reach, reach), edges)
        _curve(ax, edges, ndtr, len(pull), _CURVE)
        ax.set_xlabel(f"pull of {symbol(name)}")
        spread = pulls(found, name)
        said = (
            f"mean {number(spread.mean, spread.mean_error)}\n"
            f"width {number(spread.width, spread.width_error)}"
        )
        if not known.all():
            said += f"\nwithout uncertainty: {int(np.sum(~known))}"
        if beyond := int(np.sum(np.abs(pull) > reach)):
            said += f"\nbeyond {reach:g}: {beyond}, in the last bins"
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, 1.55 * ax.get_ylim()[1])
    ax.text(0.04, 0.96, said, transform=ax.transAxes, va="top", fontsize=6, linespacing=1.3)


def _panels(n: int, text: Caption) -> tuple[Figure, list[Axes]]:
    """Return a figure with n panels, some beside each other, above a caption."""
    across = min(n, _ACROSS)
    down = -(-n // across)
    width = _SINGLE if n == 1 else WIDTH
    tall = _TALL if n == 1 else 1.7
    row = _ABOVE + tall + _BELOW
    height = down * row + text.room
    figure = Figure(figsize=(width, height))
    each = (width - _LEFT - _RIGHT - (across - 1) * 0.42) / across
    axes = []
    for i in range(n):
        x = _LEFT + (i % across) * (each + 0.42)
        y = text.room + (down - 1 - i // across) * row + _BELOW
        axes.append(figure.add_axes((x / width, y / height, each / width, tall / height)))
    return figure, axes


def _caption(analysis: Analysis, said: str, toys: Toys | None) -> Caption:
    data = data_labels(analysis.measurements)
    head = f"{plain(analysis.model.name)}, {data}: {said}"
    return Caption(head if toys is None else f"{head}; {toys.failed}", _SINGLE)


def _p(p: Fraction) -> str:
    if p.k == p.n:
        return f"all toys beyond, p > {_two(p.lower())}"
    return f"p = {number(p.value, p.error)}" if p.k else f"no toy beyond, p < {_chance(p.upper())}"


def _chance(p: float) -> str:
    return number(float(f"{p:.2g}"))


def _two(x: float) -> str:
    return f"{x:.2f}".replace("-", "−")


def _z(p: Fraction) -> str:
    return f"= {number(p.z, p.z_error)}" if 0 < p.k < p.n else p.z_text.replace("-", "−")


def _range(values: np.ndarray, observed: float, low: float | None) -> tuple[float, float]:
    """Return the range that holds the toys and the data, with some room."""
    least, most = min(values.min(), observed), max(values.max(), observed)
    margin = 0.04 * (most - least) or 1.0
    return (float(least - margin) if low is None else low), float(most + margin)


def _edges(low: float, high: float, n: int, most: int) -> np.ndarray:
    """Edges of bins for n toys: so many, at most, that few toys are no comb."""
    bins = min(most, 2 * max(4, round(1.5 * n ** (1 / 3))))
    return np.linspace(low, high, bins + 1)


def _histogram(ax: Axes, values: np.ndarray, edges: np.ndarray) -> None:
    counts, _ = np.histogram(values, edges)
    ax.stairs(counts, edges, fill=True, **_TOYS)


def _curve(
    ax: Axes,
    edges: np.ndarray,
    below: Callable[[np.ndarray], np.ndarray],
    n: int,
    look: dict[str, Any],
) -> None:
    """Draw what a distribution expects in a bin of this width, as a curve over its centre.

    Args:
        below: the probability of a smaller value; what lies below the first edge is left out.
    """
    half = 0.5 * (edges[1] - edges[0])
    centres = np.linspace(edges[0] + half, edges[-1] - half, 20 * (len(edges) - 2) + 1)
    expected = n * (below(centres + half) - below(centres - half))
    shown = expected > 1e-3
    ax.plot(centres[shown], expected[shown], **look)


def _labelled(ax: Axes, edges: np.ndarray, handles: list[Patch | Line2D]) -> None:
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylabel("toys", labelpad=3)
    ax.legend(handles=handles, loc="upper right", borderaxespad=0.4)
