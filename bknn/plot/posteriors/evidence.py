"""Evidences of hypotheses, and what the methods say of each."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bknn.inference.evidences.comparison import Comparison
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    Caption,
    data_labels,
    number,
    plain,
    style,
)

#: One a method.
_LOOKS = ((BLUE, "o"), (VERMILLION, "D"), (GREEN, "s"), (PURPLE, "^"), (ORANGE, "v"))

# Inches.
_LEFT, _RIGHT, _TOP, _BOTTOM, _ROW, _WIDE = 1.15, 0.2, 0.32, 0.42, 0.4, 3.6


def evidence(found: Comparison) -> Figure:
    """Draw log10 of the Bayes factor of each hypothesis against the last one, method by method.

    Filled points are the values that are quoted, open ones those of the other methods.
    """
    names = list(found.evidences)
    analysis = found.evidences[names[0]].analysis
    last = found.evidences[names[-1]]
    methods = list(dict.fromkeys(y.method for x in found.evidences.values() for y in x.estimates))
    looks = {m: _LOOKS[k % len(_LOOKS)] for k, m in enumerate(methods)}
    with style():
        width = _LEFT + _WIDE + _RIGHT
        data = data_labels(analysis.measurements)
        head = f"{plain(names[0])}, {data}"
        if not found.converged:
            head = f"METHODS DO NOT AGREE: {head}"
        factors = [
            f"{plain(name)} = {number(x.log10, x.error)}"
            for name, x in found.bayes_factors.items()
            if name.startswith(f"{names[0]}/")
        ]
        logs = f"; log$_{{10}}$ of Bayes factors: {', '.join(factors)}" if factors else ""
        text = Caption(head + logs, width)
        tall = max(len(names), 2) * _ROW
        height = text.room + _BOTTOM + tall + _TOP
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes(
            (_LEFT / width, (text.room + _BOTTOM) / height, _WIDE / width, tall / height)
        )
        ax.axvline(0.0, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
        for row, x in enumerate(found.evidences.values()):
            n = len(x.estimates)
            for k, y in enumerate(x.estimates):
                colour, marker = looks[y.method]
                quoted = y.method == x.method
                ax.errorbar(
                    (y.value - last.value) / math.log(10),
                    row + (k - 0.5 * (n - 1)) * min(0.22, 0.7 / n),
                    xerr=y.error / math.log(10) if np.isfinite(y.error) else 0.0,
                    fmt=marker,
                    color=colour,
                    markerfacecolor=colour if quoted else "white",
                    markersize=3.6,
                    linewidth=0.9,
                )
        ax.set_ylim(max(len(names), 2) - 0.5, -0.5)
        ax.set_yticks(range(len(names)), [plain(name) for name in names])
        ax.tick_params(axis="y", length=0)
        ax.tick_params(axis="x", top=True)
        ax.margins(x=0.08)
        ax.set_xlabel(f"log$_{{10}}$ of the Bayes factor against {plain(names[-1])}")
        handles = [
            Line2D([], [], color=c, marker=m, markersize=3.6, linewidth=0.9, label=plain(method))
            for method, (c, m) in looks.items()
        ]
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.06 / height),
            ncols=min(len(handles), 4),
            borderaxespad=0.0,
            labelcolor=BLACK,
        )
        text.write(figure)
    return figure
