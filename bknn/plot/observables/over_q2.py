"""Spectra and polarisations of scenarios over q2, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bknn.channels import channel as find_channel
from bknn.plot.drawing.q2 import UNIT
from bknn.plot.drawing.style import BLACK, WIDTH, Caption, data_labels, style
from bknn.plot.drawing.twins import copy_of, twins
from bknn.plot.observables.looks import labels_of, look_of
from bknn.studies.observables.predictions import Source
from bknn.studies.observables.spectra import FittedSpectra, fitted_spectra


def over_q2(
    sources: Mapping[str, Source] | FittedSpectra,
    channel: str = "B0 -> K*0",
    *,
    width: float = 2.0,
) -> Figure:
    """Draw dBR/dq2 and F_L of scenarios in bins of q2, with bands of 68%.

    Bins hold narrow lines, too. The standard model is black.

    Args:
        sources: {label: fit, profile or posterior}; fits have bands from their covariance. Or what
            `studies.fitted_spectra` made of them.
        channel: with a vector meson.
        width: of the bins, GeV^2.
    """
    if isinstance(sources, FittedSpectra):
        made = sources
    else:
        made = fitted_spectra(sources, channel, width=width)
    bands, edges = made.bands, made.edges
    with style():
        data = data_labels(made.measurements)
        text = Caption(
            f"fitted to {data}; {find_channel(made.channel).symbol}, averages of bins, narrow "
            "lines included; bands: 68% of fit and form factors",
            WIDTH,
        )
        rows = -(-(len(bands) + 1) // 3)
        top, below, tall = 0.1 + 0.16 * rows, text.room + 0.36, 1.7
        height = top + 2 * tall + 0.08 + below
        figure = Figure(figsize=(WIDTH, height))
        axes = [
            figure.add_axes((0.55 / WIDTH, y / height, (WIDTH - 0.65) / WIDTH, tall / height))
            for y in (below + tall + 0.08, below)
        ]
        rates = [found["dbr_dq2"].value / UNIT for found in bands.values()]
        highest_of_all = float(np.max(rates))
        same = twins(rates, 5e-3 * highest_of_all)
        for i, (label, found) in enumerate(
            zip(labels_of(bands, same), bands.values(), strict=True)
        ):
            look = look_of(i, copy_of(same, i))
            for ax, observable in zip(axes, ("dbr_dq2", "f_l"), strict=True):
                scale = 1 / UNIT if observable == "dbr_dq2" else 1.0
                one = found[observable]
                low, value, high = (scale * x for x in (one.low, one.value, one.high))
                ax.stairs(value, edges, label=label, baseline=None, **look)
                low = np.maximum(low, 1e-3)
                if observable == "f_l":
                    low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
                ax.fill_between(
                    edges,
                    np.append(low, low[-1]),
                    np.append(high, high[-1]),
                    step="post",
                    color=look["color"],
                    alpha=0.15,
                    linewidth=0,
                )
        null = made.standard_model["dbr_dq2"] / UNIT
        for ax, values in zip(axes, (null, made.standard_model["f_l"]), strict=True):
            # Dashed, so that a scenario which it meets is seen.
            ax.stairs(
                values,
                edges,
                color=BLACK,
                linewidth=1.0,
                linestyle=(0, (3, 3)),
                baseline=None,
                label="standard model",
            )
        if highest_of_all > 6 * float(np.max(null)):
            axes[0].set_yscale("log")
            axes[0].set_ylim(0.5 * float(np.median(null)), None)
            axes[0].yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        else:
            axes[0].set_ylim(0.0, None)
        axes[1].set_ylim(-0.04, 1.04)
        axes[0].tick_params(labelbottom=False)
        axes[0].set_ylabel(r"dBR/d$q^2$ [$10^{-7}$ GeV$^{-2}$]")
        axes[1].set_ylabel("$F_L$")
        axes[1].set_xlabel(r"$q^2$ [GeV$^2$]")
        for ax in axes:
            ax.set_xlim(0.0, edges[-1])
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="upper center",
            ncols=3,
            bbox_to_anchor=(0.5, 1 - 0.02 / height),
        )
        text.write(figure)
    return figure
