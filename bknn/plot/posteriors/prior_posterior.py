"""What was known before and after: the prior and the posterior of the model's parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bknn import priors
from bknn.inference.posteriors import smoothing
from bknn.inference.posteriors.reweight import Reweighted
from bknn.parameters import Parameter
from bknn.plot.drawing.scale import Scale
from bknn.plot.drawing.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    WIDTH,
    plain,
    style,
)
from bknn.plot.posteriors.corner import (
    INNER,
    LINE,
    OUTER,
    caption,
    chosen,
    intervals,
    left_out,
    limits,
    shaded,
    values,
)

if TYPE_CHECKING:
    from bknn.inference.posteriors.posterior import Posterior

_PRIOR: dict[str, Any] = {"color": GREY, "linewidth": 1.1, "linestyle": (0, (4, 2))}

#: Posteriors with other priors.
_OTHERS = ((VERMILLION, "-."), (GREEN, ":"), (PURPLE, (0, (6, 1.5, 1, 1.5, 1, 1.5))), (ORANGE, "-"))

# Inches.
_LEFT, _RIGHT, _TOP, _BOTTOM, _TALL, _BETWEEN = 0.12, 0.12, 0.44, 0.44, 1.8, 0.2
_ACROSS = 3


def prior_posterior(
    posterior: Posterior,
    names: Sequence[str] = (),
    *,
    others: Mapping[str, Reweighted] | None = None,
) -> Figure:
    """Draw the density of each parameter before the data (dashed) and after.

    Args:
        posterior: from `sample`.
        names: which parameters of the model; those that floated by default.
        others: {label: posterior with other priors}, from `reweight`.

    Raises:
        ParameterError: nothing to draw, or a parameter that did not move.
    """
    shown = chosen(posterior, names)
    across = min(_ACROSS, len(shown))
    down = -(-len(shown) // across)
    wide = (WIDTH - _LEFT - _RIGHT - (_ACROSS - 1) * _BETWEEN) / _ACROSS
    wide = 4.0 if across == 1 else wide
    width = _LEFT + across * wide + (across - 1) * _BETWEEN + _RIGHT
    with style():
        said = [left_out(posterior, shown)]
        said += [
            f"{plain(label)}: {found.effective:.0f} effective draws"
            + ("" if found.converged else ", NOT TO BE TRUSTED")
            for label, found in (others or {}).items()
        ]
        text = caption(posterior, width, *said)
        columns = 5 if width > 5 else 3
        lines = -(-(3 + len(others or {})) // columns) - 1
        top = _TOP + 0.15 * lines
        row = _TALL + _BOTTOM
        height = text.room + down * row + (down - 1) * 0.2 + top
        figure = Figure(figsize=(width, height))
        for k, name in enumerate(shown):
            x = _LEFT + (k % across) * (wide + _BETWEEN)
            y = text.room + _BOTTOM + (down - 1 - k // across) * (row + 0.2)
            ax = figure.add_axes((x / width, y / height, wide / width, _TALL / height))
            _panel(ax, posterior, name, others or {})
        handles: list[Patch | Line2D] = [
            Line2D([], [], label="prior", **_PRIOR),
            Patch(facecolor=INNER, edgecolor=BLUE, linewidth=0.8, label="posterior, 68%"),
            Patch(facecolor=OUTER, edgecolor=BLUE, linewidth=0.8, label="95%"),
        ]
        for (colour, dash), label in zip(_OTHERS, others or {}, strict=False):
            handles.append(
                Line2D([], [], color=colour, linestyle=dash, linewidth=1.1, label=plain(label))
            )
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.05 / height),
            ncols=columns,
            columnspacing=1.4,
            borderaxespad=0.0,
        )
        text.write(figure)
    return figure


def _panel(ax: Axes, posterior: Posterior, name: str, others: Mapping[str, Reweighted]) -> None:
    x, ends = values(posterior, name), limits(posterior, name)
    low, high = _range(x, ends, others.values(), name)
    scale = Scale(posterior.analysis, name, np.array([low, high]))
    grid, height = smoothing.curve(x, (low, high))
    shaded(ax, scale(grid), height * scale.factor, [scale(np.asarray(i)) for i in intervals(x)])
    most = float(height.max())
    ax.plot(scale(grid), height * scale.factor, **LINE)
    before = _prior(posterior, name, grid)
    title = ""
    if before is not None:
        ax.plot(scale(grid), before * scale.factor, **_PRIOR)
        finite = before[np.isfinite(before)]
        # A prior that has a pole at its end runs out of the frame.
        most = max(most, float(np.quantile(finite, 0.98)) if finite.size else 0.0)
        title = _parameter(posterior, name).prior_with_range
    for (colour, dash), found in zip(_OTHERS, others.values(), strict=False):
        a, b = smoothing.curve(found.values(name), (low, high), found.weights)
        ax.plot(scale(a), b * scale.factor, color=colour, linestyle=dash, linewidth=1.1)
        most = max(most, float(b.max()))
    ax.set_xlim(*scale(np.array([low, high])))
    ax.set_ylim(0, 1.1 * most * scale.factor)
    ax.set_yticks([])
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(scale.label)
    ax.set_title(title.replace("+-", "±").replace("-", "−"), fontsize=6.5, pad=3)


def _parameter(posterior: Posterior, name: str) -> Parameter:
    return posterior.analysis.parameters[posterior.analysis.index(name)]


def _prior(posterior: Posterior, name: str, x: np.ndarray) -> np.ndarray | None:
    """Density of the prior (n,), or of the constraint; None if there is neither."""
    analysis = posterior.analysis
    if analysis.index(name) >= len(analysis.parameters):
        return None
    parameter = _parameter(posterior, name)
    if parameter.constraint is not None:
        mean, sigma = parameter.constraint
        return np.asarray(
            np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (math.sqrt(2 * math.pi) * sigma)
        )
    found = parameter.distribution
    return None if found is None else np.exp(np.asarray(priors.log_density(found, x)))


def _range(
    x: np.ndarray, ends: tuple[float, float], others: Sequence[Reweighted] | Any, name: str
) -> tuple[float, float]:
    """All of the prior, if the posterior fills a good part of it; else where the posterior is."""
    low, high = smoothing.span(x, ends)
    for found in others:
        less, more = smoothing.span(found.values(name), ends, found.weights)
        low, high = min(low, less), max(high, more)
    whole = ends[1] - ends[0]
    if math.isfinite(whole) and whole < _MOST * (high - low):
        return ends
    room = 0.4 * (high - low)
    return max(low - room, ends[0]), min(high + room, ends[1])


#: A range this many times as long as that of the posterior is not drawn to its ends.
_MOST = 4.0
