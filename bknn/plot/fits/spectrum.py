"""The signal in q2: what the model produces, and what the detector keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bknn.inference import FitResult
from bknn.plot.drawing.labels import signal_label
from bknn.plot.drawing.lines import line_text
from bknn.plot.drawing.q2 import (
    FRAME,
    UNIT,
    WIDTH,
    Strips,
    above_peak,
    band,
    highest,
    panels,
    spike,
)
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    Caption,
    style,
    tint,
)
from bknn.postfit.curves import Curves, curves
from bknn.postfit.postfit import Postfit
from bknn.prediction.two_body import TwoBody

#: The efficiency is drawn per this branching ratio.
PER = 1e-6

#: Of the groups of channels.
_LOOKS = (
    {"color": BLACK, "linestyle": "-"},
    {"color": GREEN, "linestyle": (0, (4, 1.5))},
    {"color": PURPLE, "linestyle": (0, (1, 1))},
    {"color": ORANGE, "linestyle": (0, (5, 1, 1, 1))},
    {"color": BLUE, "linestyle": (0, (8, 2))},
    {"color": GREY, "linestyle": (0, (2, 2))},
)

# Heights of the panels without legends and words at lines, and what is above them, inches.
_PRODUCED, _KEPT, _SEEN, _TOP = 1.5, 0.95, 1.15, 0.38


def spectrum(result: FitResult | Postfit) -> Figure:
    """Draw the fitted signal over q2, before and after the response.

    From top to bottom: dBR/dq2 of the model with its uncertainty, a narrow line as an arrow with
    its branching ratio; the expected events per branching ratio at each q2 (efficiency times the
    number of B mesons), for each group of channels; and their product, the spectrum that is left
    in the fit bins, nuisances at their centres.

    Raises:
        ParameterError: a batch of fits, or a fit of something that is not an Analysis.
        DataError: no measurement has densities, so that q2 is not known.
    """
    fit = result.fit if isinstance(result, Postfit) else result
    found = result.curves if isinstance(result, Postfit) else None
    found = found or curves(fit)
    names = {group: signal_label(fit.target.measurements, group) for group in found.efficiency}
    with style():
        text = Caption.of_fit(fit, None, WIDTH)
        both = found.standard_model.any() and found.new.any()
        n_entries = 1 + bool(both) + bool(found.total.any())
        upper = Strips.of(n_entries, 3 if found.marked else 0)
        lower = Strips.of(len(found.efficiency), 1 + len(found.efficiency) if found.spikes else 0)
        heights = (_PRODUCED + upper.height, _KEPT, _SEEN + lower.height)
        figure, axes = panels(heights, _TOP, text.room, float(found.q2[-1]))
        _produced(axes[0], found, heights[0], upper)
        _kept(axes[1], found, names)
        _seen(axes[2], found, names, heights[2], lower)
        text.write(figure)
    return figure


def _produced(ax: Axes, found: Curves, tall: float, strips: Strips) -> None:
    q2 = found.q2
    ax.plot(
        q2,
        found.prediction / UNIT,
        color=BLACK,
        linestyle=(0, (4, 2)),
        linewidth=1.0,
        zorder=3,
        label=r"SM $B^{+} \to K^{+} \nu\bar\nu$, prediction",
    )
    known = "fit, SM part" if found.has_own else "fit, SM shape"
    both = found.standard_model.any() and found.new.any()
    if both:
        sm = found.standard_model / UNIT
        ax.fill_between(q2, sm, color=tint(BLUE, 0.3), linewidth=0, zorder=1.5, label=known)
    if found.total.any():
        colour = VERMILLION if found.new.any() else BLUE
        name = "fit, total" if both else ("fit" if found.new.any() else known)
        ax.plot(q2, found.total / UNIT, color=colour, linewidth=1.4, label=name)
        band(ax, q2, found.lower / UNIT, found.upper / UNIT, colour)
    drawn = np.concatenate([found.prediction, found.total]) / UNIT
    strips.limits(ax, tall, float(drawn.min()), highest(drawn, found.upper / UNIT))
    ax.set_ylabel(r"dBR/d$q^2$ [$10^{-7}$ GeV$^{-2}$]")
    for _, line in found.spikes:
        low_q2, high_q2 = (max(line.mass[0] + s * line.mass[1], 0.0) ** 2 for s in (-1, 1))
        if np.isfinite(high_q2) and high_q2 > low_q2:
            stripe = tint(VERMILLION, 0.2)
            ax.axvspan(low_q2, high_q2, ymax=strips.start(tall), color=stripe, lw=0, zorder=0)
        _arrow(ax, line, line_text(line), strips.start(tall))
    for line in found.lines:
        if not line.narrow:
            above_peak(ax, line.mass[0] ** 2, line_text(line), strips.start(tall))
    ax.legend(loc="upper right", **FRAME)


def _arrow(ax: Axes, line: TwoBody, text: str, top: float) -> None:
    spike(ax, line.mass[0] ** 2, text, top, down=line.branching_ratio[0] < 0)


def _kept(ax: Axes, found: Curves, names: Mapping[str, str]) -> None:
    high = max(float(e.max()) for e in found.efficiency.values()) * PER
    for look, (group, efficiency) in zip(_cycle(found), found.efficiency.items(), strict=True):
        # Where nothing is left a logarithm has nothing to show.
        shown = np.where(efficiency > 0, efficiency * PER, np.nan)
        ax.plot(found.q2, shown, label=names[group], linewidth=1.1, **look)
    ax.set_yscale("log")
    ax.set_ylim(high * 2e-3, high * 4)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel("events per\n" + r"BR of $10^{-6}$")
    if len(found.efficiency) > 1:
        ax.legend(loc="upper right", ncols=3, **FRAME)


def _cycle(found: Curves) -> list[dict[str, Any]]:
    return [_LOOKS[i % len(_LOOKS)] for i in range(len(found.efficiency))]


def _seen(ax: Axes, found: Curves, names: Mapping[str, str], tall: float, strips: Strips) -> None:
    densities, upper = [], []
    for look, (group, efficiency) in zip(_cycle(found), found.efficiency.items(), strict=True):
        density = efficiency * found.total
        densities.append(density)
        upper.append(efficiency * found.upper)
        label = f"{names[group]}: {_events(found.events(group))} in all"
        ax.plot(found.q2, density, label=label, linewidth=1.2, **look)
        band(ax, found.q2, efficiency * found.lower, upper[-1], look["color"])
    drawn = np.array(densities)
    strips.limits(ax, tall, float(drawn.min()), highest(drawn, np.array(upper)))
    for i, line in found.spikes:
        texts = [
            f"{_events(line.branching_ratio[0] * float(at[i]))}, {names[group]}"
            for group, at in found.at_lines.items()
        ]
        _arrow(ax, line, "\n".join(["narrow line", *texts]), strips.start(tall))
    ax.set_ylabel("expected signal\n" + r"[events / GeV$^2$]")
    ax.legend(loc="upper right", **FRAME)


def _events(count: float) -> str:
    return f"{count:.{1 if abs(count) < 1000 else 0}f} events".replace("-", "−")
