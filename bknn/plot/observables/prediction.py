"""The spectrum that a model predicts, beside that of the standard model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bknn.plot.drawing.files import save
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
    GREY,
    VERMILLION,
    Caption,
    branching_ratio,
    number,
    plain,
    style,
)
from bknn.studies.observables.spectra import (
    Predicted,
    PredictedSpectra,
    all_spectra,
    predicted_spectra,
)

# Heights of the panels (without legend and words at lines) and what is above them, inches.
_RATE, _POLARISATION, _TOP = 1.9, 0.95, 0.58


def prediction(
    model: Any, channel: str = "B+ -> K+", params: Mapping[str, float] | None = None
) -> Figure:
    """Draw dBR/dq2 that a model predicts, beside the standard model's.

    Bands are one standard deviation of the form factors and of the other constrained parameters. A
    narrow line is an arrow with its branching fraction. For a vector meson its longitudinal
    fraction stands below, with a diamond for that of a narrow line.

    Args:
        model: from `bknn.models.load` or `from_spectrum`; or what `studies.predicted_spectra` made
            of one, and nothing else.
        channel: one of `bknn.channels.CHANNELS` but Bs -> invisible, which has one q2.
        params: {name: value}; others as for `bknn.predict`.

    Raises:
        UnknownNameError, ParameterError: as `bknn.predict`.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models
        >>> figure = prediction(models.load("vector"), "B+ -> K+", {"mass": 2.1, "h_V": 7e-9})
        >>> figure.axes[0].get_ylabel()
        'dBR/d$q^2$ [$10^{-7}$ GeV$^{-2}$]'
    """
    known = isinstance(model, PredictedSpectra)
    found = model if known else predicted_spectra(model, channel, params)
    with style():
        text = Caption(_words(found), WIDTH)
        strips = Strips.of(1 + (found.standard_model is not None), 3 if found.lines else 0)
        tall = _RATE + strips.height
        heights = (tall, _POLARISATION) if found.channel.vector else (tall,)
        figure, axes = panels(heights, _TOP, text.room, found.end)
        _rate(axes[0], found.name, found, tall, strips)
        if found.channel.vector:
            _polarisation(axes[1], found)
        figure.text(
            axes[0].get_position().x0,
            1 - 0.08 / float(figure.get_figheight()),
            found.channel.symbol.replace("inv", "invisible"),
            va="top",
            fontsize=9,
        )
        text.write(figure)
    return figure


def prediction_figures(
    model: Any,
    params: Mapping[str, float],
    channels: Sequence[str],
    out: str | os.PathLike[str],
) -> list[Path]:
    """Draw the predictions of a model for channels, and write them.

    Args:
        model, params: as for `prediction`.
        channels: names; Bs -> invisible has one q2 and no figure.
        out: folder for `prediction_Bplus_Kplus` and so on, each as PDF and PNG.

    Returns:
        The paths written.

    Raises:
        UnknownNameError, ParameterError: as `bknn.predict`.
    """
    made = all_spectra(model, params, channels)
    return [path for x in made for path in save(prediction(x), Path(out) / x.stem)]


def _drawn(found: PredictedSpectra) -> list[tuple[Predicted, str, dict[str, Any]]]:
    """What is drawn, from the back to the front, with the colour of its band."""
    if found.standard_model is None:
        return [(found.model, BLUE, {"color": BLUE, "linewidth": 1.4})]
    dashed = {"color": BLACK, "linestyle": (0, (4, 2)), "linewidth": 1.0, "zorder": 3}
    return [
        (found.standard_model, GREY, dashed),
        (found.model, VERMILLION, {"color": VERMILLION, "linewidth": 1.4}),
    ]


def _rate(ax: Axes, name: str, found: PredictedSpectra, tall: float, strips: Strips) -> None:
    values, upper = [], []
    for what, colour, look in _drawn(found):
        rate, sigma = (np.asarray(x) / UNIT for x in what.rate)
        label = plain(name) if colour == VERMILLION else "standard model"
        label = f"{label}, BR = {branching_ratio(*map(float, what.total))}"
        ax.plot(found.q2, rate, label=label, **look)
        band(ax, found.q2, rate - sigma, rate + sigma, colour)
        values.append(rate)
        upper.append(rate + sigma)
    drawn = np.array(values)
    strips.limits(ax, tall, float(drawn.min()), highest(drawn, np.array(upper)))
    ax.set_ylabel(r"dBR/d$q^2$ [$10^{-7}$ GeV$^{-2}$]")
    for line in found.lines:
        mark = spike if line.narrow else above_peak
        mark(ax, line.mass[0] ** 2, line_text(line), strips.start(tall))
    ax.legend(loc="upper right", **FRAME)


def _polarisation(ax: Axes, found: PredictedSpectra) -> None:
    for what, colour, look in _drawn(found):
        assert what.f_l is not None
        # Where nothing decays there is no polarisation.
        there = np.asarray(what.rate.value) > 0
        if not all(x.narrow for x in found.lines):
            # A Breit-Wigner knows no phase space: at the very end it is all that is left.
            there &= found.q2 < 0.995 * found.end
        q2, fraction, sigma = (np.asarray(x)[there] for x in (found.q2, *what.f_l))
        ax.plot(q2, fraction, **look)
        band(ax, q2, np.maximum(fraction - sigma, 0.0), np.minimum(fraction + sigma, 1.0), colour)
    for line, beside in zip(found.lines, found.polarisations, strict=True):
        if line.narrow and beside is not None:
            value, uncertainty = map(float, beside)
            ax.errorbar(
                line.mass[0] ** 2,
                value,
                yerr=uncertainty,
                fmt="D",
                color=VERMILLION,
                markersize=3.5,
                linewidth=1.0,
                clip_on=False,
            )
    ax.set_ylim(-0.04, 1.04)
    ax.set_ylabel("$F_L$")


def _words(found: PredictedSpectra) -> str:
    """Parameters, form factors, and what the bands are."""
    values = []
    for p in found.parameters:
        sigma = 0.0 if p.constraint is None else p.constraint[1]
        values.append(f"{p.label} = {number(found.at[p.name], sigma, p.unit)}")
    head = plain(found.name)
    parts = [f"{head}: {', '.join(values)}" if values else head]
    if found.form_factors:
        parts.append(f"form\0factors\0{plain(found.form_factors)}")
        if found.through_tau:
            parts.append("decays through a tau included")
        parts.append("bands: one standard deviation of form factors and constrained parameters")
    return "; ".join(parts)
