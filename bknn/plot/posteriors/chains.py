"""Whether the chains of a posterior have mixed: their traces, and the ranks of their draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bknn.plot.drawing.labels import parameter_label
from bknn.plot.drawing.scale import Scale
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
    style,
)
from bknn.plot.posteriors.corner import caption, chosen, left_out

if TYPE_CHECKING:
    from bknn.inference.posteriors.posterior import Posterior

#: One a chain; with more chains they begin anew.
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, GREY, BLACK)

#: Chains that have names in the legend.
_NAMED = 8

#: Nuisances that `ranks` adds: those whose chains agree least.
_WORST = 4

# Inches.
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.72, 0.18, 0.36, 0.44
_TALL, _GAP, _BETWEEN = 1.0, 0.1, 0.5


def trace(posterior: Posterior, names: Sequence[str] = ()) -> Figure:
    """Draw the draws of each chain in their order, and beside them how they rank among all draws.

    Chains that have mixed look alike on the left, and on the right each has as many draws in one
    range of ranks as in another: within the grey band in 95% of all cases, if draws were
    independent (Vehtari et al., arXiv:1903.08008). Divergent transitions are ticks at the bottom.

    Args:
        posterior: from `sample`.
        names: which parameters; those of the model that floated by default.

    Raises:
        ParameterError: nothing to draw, or a parameter that did not move.
    """
    shown = chosen(posterior, names)
    n = len(shown)
    with style():
        text = caption(posterior, WIDTH, left_out(posterior, shown))
        height = text.room + _BOTTOM + n * _TALL + (n - 1) * _GAP + _TOP
        figure = Figure(figsize=(WIDTH, height))
        right = 2.3
        left = WIDTH - _LEFT - _RIGHT - right - _BETWEEN
        for k, name in enumerate(shown):
            y = text.room + _BOTTOM + (n - 1 - k) * (_TALL + _GAP)

            def panel(x: float, wide: float, y: float = y) -> Axes:
                return figure.add_axes((x / WIDTH, y / height, wide / WIDTH, _TALL / height))

            draws = _draws(posterior, name)
            ax = panel(_LEFT, left)
            _trace(ax, posterior, name, draws)
            bars = panel(_LEFT + left + _BETWEEN, right)
            _ranks(bars, draws)
            bars.set_ylabel("draws", fontsize=6.5, labelpad=2)
            last = k == n - 1
            for axes, label in ((ax, "draw"), (bars, "rank of the draw among all")):
                axes.tick_params(labelbottom=last)
                if last:
                    axes.set_xlabel(label)
        _legend(figure, posterior, height)
        text.write(figure)
    return figure


def ranks(posterior: Posterior, names: Sequence[str] = ()) -> Figure:
    """Draw how the draws of each chain rank among all draws.

    By default of the model's parameters and of the nuisances whose chains agree least.

    Args:
        posterior: from `sample`.
        names: which parameters.

    Raises:
        ParameterError: nothing to draw, or a parameter that did not move.
    """
    shown = chosen(posterior, list(names) or [*posterior.own[:8], *_worst(posterior)])
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    with style():
        text = caption(posterior, WIDTH)
        row = _TALL + 0.42
        height = text.room + _BOTTOM + down * row - 0.42 + _TOP + 0.14
        figure = Figure(figsize=(WIDTH, height))
        between = 0.36
        wide = (WIDTH - 0.55 - _RIGHT - (across - 1) * between) / across
        for k, name in enumerate(shown):
            x = 0.55 + (k % across) * (wide + between)
            y = text.room + _BOTTOM + (down - 1 - k // across) * row
            ax = figure.add_axes((x / WIDTH, y / height, wide / WIDTH, _TALL / height))
            draws = _draws(posterior, name)
            _ranks(ax, draws)
            hat = float(posterior.r_hat[posterior.analysis.index(name)])
            said = f", R-hat {hat:.3f}" if math.isfinite(hat) else ""
            ax.set_title(parameter_label(posterior.analysis, name, 26) + said, fontsize=6.5, pad=3)
            if k % across == 0:
                ax.set_ylabel("draws", fontsize=6.5, labelpad=2)
            if k >= len(shown) - across:
                ax.set_xlabel("rank among all draws")
        _legend(figure, posterior, height)
        text.write(figure)
    return figure


def _worst(posterior: Posterior) -> list[str]:
    hat = np.where(np.isfinite(posterior.r_hat), posterior.r_hat, -np.inf)
    own = set(posterior.own)
    order = [posterior.names[i] for i in np.argsort(-hat, kind="stable") if np.isfinite(hat[i])]
    return [name for name in order if name not in own][:_WORST]


def _draws(posterior: Posterior, name: str) -> np.ndarray:
    """Draws (chains, draws) of a parameter."""
    return np.asarray(posterior.draws[..., posterior.analysis.index(name)])


def _trace(ax: Axes, posterior: Posterior, name: str, draws: np.ndarray) -> None:
    scale = Scale(posterior.analysis, name, draws)
    for k, chain in enumerate(scale(draws)):
        ax.plot(
            np.arange(len(chain)),
            chain,
            color=COLOURS[k % len(COLOURS)],
            linewidth=0.35,
            alpha=0.8,
            rasterized=True,
        )
    diverging = np.asarray(posterior.stats.get("diverging", np.zeros(draws.shape, bool)))
    at = np.nonzero(diverging)[1]
    if at.size:
        ax.plot(
            at,
            np.full(at.size, 0.03),
            "|",
            color=BLACK,
            markersize=4,
            markeredgewidth=0.7,
            transform=ax.get_xaxis_transform(),
        )
    ax.set_xlim(0, draws.shape[1] - 1)
    ax.set_ylabel(scale.label, fontsize=6.5)
    ax.yaxis.set_label_coords(-0.5 / 3.6, 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _ranks(ax: Axes, draws: np.ndarray) -> None:
    """Histograms of the ranks of each chain's draws, as steps about the expectation."""
    from scipy import stats  # takes half a second

    chains, n = draws.shape
    bins = int(np.clip(n // 25, 5, 20))
    rank = stats.rankdata(draws, method="average").reshape(draws.shape) - 0.5
    edges = np.linspace(0, chains * n, bins + 1)
    expected = n / bins
    low, high = stats.binom.ppf([0.025, 0.975], n, 1 / bins)
    ax.axhspan(low, high, color="#E4E4E4", linewidth=0, zorder=0)
    ax.axhline(expected, color=GREY, linewidth=0.6, zorder=1)
    most = 0.0
    for k in range(chains):
        counts, _ = np.histogram(rank[k], edges)
        ax.stairs(counts, edges, baseline=None, color=COLOURS[k % len(COLOURS)], linewidth=0.9)
        most = max(most, float(np.max(np.abs(counts - expected))))
    reach = max(1.25 * most, 1.6 * (high - expected))
    ax.set_ylim(max(0.0, expected - reach), expected + reach)
    ax.set_xlim(edges[0], edges[-1])
    ax.yaxis.set_major_locator(MaxNLocator(4, prune="both", integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _legend(figure: Figure, posterior: Posterior, height: float) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], linewidth=1.2, label=f"chain {k + 1}")
        for k in range(min(posterior.n_chains, _NAMED))
    ]
    if posterior.n_chains > _NAMED:
        handles.append(Line2D([], [], linewidth=0, label="and so on"))
    handles.append(Patch(facecolor="#E4E4E4", label="95%, if independent"))
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.06 / height),
        ncols=len(handles) if len(handles) <= 6 else 5,
        columnspacing=1.4,
        handlelength=1.4,
        borderaxespad=0.0,
    )
