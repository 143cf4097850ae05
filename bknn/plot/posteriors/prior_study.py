"""What other priors make of a posterior: intervals of the parameters, and the evidence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bknn.plot.drawing.labels import parameter_label
from bknn.plot.drawing.scale import Scale
from bknn.plot.drawing.style import BLACK, BLUE, GREY, VERMILLION, WIDTH, plain, style, tint
from bknn.plot.posteriors.corner import caption, chosen, left_out
from bknn.studies.prior_study import GIVEN, PriorStudy, Studied

#: Panels in a line.
_ACROSS = 3

# Inches: margins, the legend, a line of small letters, and what a row has beside such lines.
_RIGHT, _GAP, _BOTTOM, _LEGEND, _LINE, _ROW = 0.12, 0.14, 0.46, 0.32, 0.115, 0.26

#: The small letters, points; one is about half of that wide.
_SMALL = 6.0

#: {whether there are weights: (colour, marker)}.
_LOOKS = {True: (BLUE, "s"), False: (VERMILLION, "D")}
_BAND = tint(GREY, 0.18)


def prior_study(found: PriorStudy) -> Figure:
    """Draw median, 68% and 95% interval of each parameter with each choice of priors, and log10 of
    the Bayes factor against the priors of the analysis.

    These stand on top, and their 68% interval is the grey band. Squares are weights of their draws,
    diamonds chains with other priors. A Bayes factor is missing where weights do not give one.

    Args:
        found: from `bknn.studies.prior_study`.

    Raises:
        ParameterError: no parameter of the model floated.
    """
    own = {p.name: p for p in found.posterior.analysis.parameters}
    every = chosen(found.posterior)
    # What the likelihood constrains hardly knows of the priors.
    shown = [name for name in every if own[name].constraint is None] or every
    rows = _Rows.of(found)
    n = len(shown) + 1
    across = min(_ACROSS, n)
    down = -(-n // across)
    wide = min((WIDTH - rows.left - _RIGHT - (across - 1) * _GAP) / across, 2.3)
    width = rows.left + across * wide + (across - 1) * _GAP + _RIGHT
    with style():
        doubtful = [k for k, x in found.studied.items() if x.weights is None and not x.converged]
        doubts = [plain(k) for k in doubtful if k != GIVEN]
        said = f"chains NOT CONVERGED with the priors {', '.join(doubts)}" if doubts else ""
        against = "Bayes factors are against the given priors"
        text = caption(found.posterior, width, against, left_out(found.posterior, shown), said)
        height = text.room + down * (rows.tall + _BOTTOM) + _LEGEND
        figure = Figure(figsize=(width, height))
        for k, name in enumerate([*shown, ""]):
            x = rows.left + (k % across) * (wide + _GAP)
            y = text.room + _BOTTOM + (down - 1 - k // across) * (rows.tall + _BOTTOM)
            box = (x / width, y / height, wide / width, rows.tall / height)
            ax = figure.add_axes(box)
            if name:
                _intervals(ax, found, name, rows.at)
            else:
                _factors(ax, found, rows.at)
            rows.write(ax, -0.08 / wide if k % across == 0 else None)
            ax.xaxis.set_major_locator(MaxNLocator(4))
        figure.legend(
            handles=_handles(found),
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.07 / height),
            ncols=6,
            columnspacing=1.2,
            handlelength=1.5,
            borderaxespad=0.0,
        )
        text.write(figure)
    return figure


@dataclass(frozen=True)
class _Rows:
    """Where the choices of priors stand, and what is written there.

    Attributes:
        labels, texts: of each row the word, and its priors where they are not the given ones.
        at: middles of the rows, from the top, inches.
        tall: all of them.
    """

    labels: Sequence[str]
    texts: Sequence[Sequence[str]]
    at: np.ndarray
    tall: float

    @classmethod
    def of(cls, found: PriorStudy) -> _Rows:
        analysis = found.posterior.analysis
        labels = {name: parameter_label(analysis, name) for name in found.varied}
        given = found.studied[GIVEN]
        texts = [
            [
                f"{label}: {_written(x.priors[name])}"
                for name, label in labels.items()
                if x is given or x.priors[name] != given.priors[name]
            ]
            for x in found.studied.values()
        ]
        each = np.array([_ROW + _LINE * len(lines) for lines in texts])
        return cls(list(found.studied), texts, np.cumsum(each) - 0.5 * each, float(each.sum()))

    @property
    def left(self) -> float:
        """Room of the words, inches."""
        # Markup takes no room.
        letters = [len(re.sub(r"\\[a-z]+|[\\${}^]", "", t)) for line in self.texts for t in line]
        letters += [len(label) for label in self.labels]
        return 0.2 + min(max(0.56 * _SMALL / 72 * max(letters), 0.6), 2.8)

    def write(self, ax: Axes, edge: float | None) -> None:
        """Give an axis its rows, and their words, if there are to be any, up to an edge."""
        ax.set_ylim(self.tall, 0.0)
        ax.set_yticks([])
        if edge is None:
            return
        for label, lines, y in zip(self.labels, self.texts, self.at, strict=True):
            look: dict[str, Any] = {"ha": "right", "transform": ax.get_yaxis_transform()}
            top = y - 0.5 * _LINE * len(lines)
            weight = "bold" if label == GIVEN else "normal"
            ax.text(edge, top, plain(label), va="center", fontweight=weight, **look)
            for k, line in enumerate(lines):
                below = top + (k + 1.1) * _LINE
                ax.text(edge, below, line, va="center", fontsize=_SMALL, color=GREY, **look)


def _written(prior: str) -> str:
    """Return a prior in words as one writes it in a paper, as mathtext where it needs a power.

    >>> _written("log-uniform on [1e-07, 2e-05]"), _written("normal -1 +- 2")
    ('log-uniform on [$10^{-7}$, 2$\\\\times10^{-5}$]', 'normal −1 ± 2')
    """
    text = re.sub(r"(\d)e([+-])0?(\d+)", r"\1$\\times10^{\2\3}$", prior).replace("{+", "{")
    text = re.sub(r"(?<![\d.])1\$\\times", "$", text)
    return re.sub(r"(?<![\w{])-(?=\d)", "−", text.replace("+-", "±"))


def _intervals(ax: Axes, found: PriorStudy, name: str, at: np.ndarray) -> None:
    summaries = [x.summary(name) for x in found.studied.values()]
    scale = Scale(found.posterior.analysis, name, np.array([s["hdi_95"] for s in summaries]))
    ax.axvspan(*scale(np.asarray(summaries[0]["hdi_68"])), color=_BAND, linewidth=0, zorder=0)
    for (label, x), s, y in zip(found.studied.items(), summaries, at, strict=True):
        colour, marker = _look(label, x)
        ax.plot(scale(s["hdi_95"]), [y, y], color=colour, linewidth=0.8)
        ax.plot(scale(s["hdi_68"]), [y, y], color=colour, linewidth=2.6, solid_capstyle="butt")
        _point(ax, float(scale(s["median"])), y, colour, marker)
    ax.margins(x=0.06)
    ax.set_xlabel(scale.label)


def _factors(ax: Axes, found: PriorStudy, at: np.ndarray) -> None:
    ax.axvline(0.0, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    reach = 0.1
    for (label, x), y in zip(found.studied.items(), at, strict=True):
        colour, marker = _look(label, x)
        factor = x.bayes_factor
        if factor is not None:
            ends = np.array([-1.0, 1.0]) * factor.error + factor.log10
            ax.plot(ends, [y, y], color=colour, linewidth=0.9)
            _point(ax, factor.log10, y, colour, marker)
            reach = max(reach, *np.abs(ends))
        elif label == GIVEN:
            _point(ax, 0.0, y, colour, marker)
        else:
            ax.text(0.0, y, "not from weights", ha="center", va="center", fontsize=_SMALL)
    # Differences of a hundredth are no news: they are not stretched over the whole panel.
    ax.set_xlim(-1.15 * reach, 1.15 * reach)
    ax.set_xlabel("log$_{10}$ of the Bayes factor")


def _point(ax: Axes, x: float, y: float, colour: str, marker: str) -> None:
    ax.plot(x, y, marker, color=colour, markersize=4, markerfacecolor="white", markeredgewidth=1.0)


def _look(label: str, x: Studied) -> tuple[str, str]:
    return (BLACK, "o") if label == GIVEN else _LOOKS[x.weights is not None]


def _handles(found: PriorStudy) -> list[Any]:
    point: dict[str, Any] = {"markersize": 4, "markerfacecolor": "white", "linewidth": 0.0}
    kinds = {x.weights is not None for label, x in found.studied.items() if label != GIVEN}
    handles: list[Any] = [
        Line2D([], [], color=BLACK, marker="o", label="given priors", **point),
        *(
            Line2D([], [], color=colour, marker=marker, label=_WORDS[kind], **point)
            for kind, (colour, marker) in _LOOKS.items()
            if kind in kinds
        ),
        Line2D([], [], color=BLACK, linewidth=2.6, label="68%"),
        Line2D([], [], color=BLACK, linewidth=0.8, label="95%"),
        Patch(facecolor=_BAND, label="68%, given"),
    ]
    return handles


_WORDS = {True: "by weights", False: "by chains"}
