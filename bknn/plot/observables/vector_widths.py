"""Branching fractions and lifetime of a light vector over its mass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from bknn import errors
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
    YELLOW,
    Caption,
    plain,
    style,
)
from bknn.vectors import hadrons
from bknn.vectors.over_mass import VectorWidths
from bknn.vectors.resonances import WINDOWS

_DASHED: Mapping[str, Any] = {"linewidth": 0.9, "linestyle": (0, (4, 1.5))}

#: {label: (channels whose sum it is, look)}, in the order of the legend. Sums are full lines; those
#: that are often equal have different widths.
CURVES: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "$e^+e^-$": (("e e",), {"color": BLUE, "linewidth": 2.2, "zorder": 1.9}),
    r"$\mu^+\mu^-$": (("mu mu",), {"color": VERMILLION}),
    r"$\tau^+\tau^-$": (("tau tau",), {"color": PURPLE}),
    r"$\nu\bar\nu$": (
        tuple(f"nu_{x} nu_{x}" for x in ("e", "mu", "tau")),
        {"color": GREEN, "linewidth": 3.2, "zorder": 1.8},
    ),
    r"$X\bar X$": (("X X",), {"color": GREY}),
    r"$\gamma\gamma\gamma$": (("gamma gamma gamma",), {"color": YELLOW}),
    "hadrons": (hadrons.CHANNELS, {"color": BLACK, "linewidth": 1.6}),
    r"$\pi^+\pi^-$": (("pi+ pi-",), {"color": ORANGE, **_DASHED}),
    r"$\pi^+\pi^-\pi^0$": (("pi+ pi- pi0",), {"color": SKY, **_DASHED}),
    r"$4\pi$": (("pi+ pi- pi+ pi-", "pi+ pi- pi0 pi0"), {"color": GREEN, **_DASHED}),
    r"$K\bar K$": (("K K",), {"color": PURPLE, **_DASHED}),
    r"$\pi^0\gamma$": (("pi0 gamma",), {"color": GREY, **_DASHED}),
}

#: Smaller branching fractions are not drawn.
_LEAST = 1e-3


def vector_widths(found: VectorWidths) -> Figure:
    """Draw branching fractions and the lifetime of a vector over its mass.

    Full lines are leptons, neutrinos and all hadrons, dashed ones single hadronic channels. At the
    narrow resonances, grey, nothing is known.

    Args:
        found: from `bknn.vectors.over_mass.over_mass`, at two masses or more.

    Raises:
        ParameterError: of one mass there is no figure.
    """
    if len(found.masses) < 2:
        raise errors.ParameterError("widths at one mass are no figure; give a grid of masses.")
    order = np.argsort(found.masses)
    masses, gaps = _with_gaps(found.masses[order])

    def drawn(values: np.ndarray) -> np.ndarray:
        return np.insert(values[order], gaps, np.nan)

    with style():
        text = Caption(_caption(found), WIDTH)
        figure = Figure(figsize=(WIDTH, 4.7))
        upper = figure.add_axes((0.08, 0.415, 0.905, 0.515))
        lower = figure.add_axes((0.08, 0.125, 0.905, 0.28))
        shares = found.branching_fractions()
        for label, (channels, look) in CURVES.items():
            some = [shares[name] for name in channels if name in shares]
            share = np.sum(some, axis=0) if some else np.zeros(1)
            if share.max() > _LEAST:
                upper.plot(masses, drawn(np.maximum(share, 1e-9)), label=label, **look)
        lifetimes = np.where(np.isfinite(found.lifetimes), found.lifetimes, np.nan)
        lower.plot(masses, drawn(lifetimes), color=BLACK)
        upper.set_yscale("log")
        upper.set_ylim(_LEAST, 1.5)
        upper.set_ylabel("branching fraction")
        upper.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        if np.nanmax(lifetimes, initial=1.0) > 20 * np.nanmin(lifetimes, initial=np.inf):
            lower.set_yscale("log")
            lower.yaxis.set_major_locator(LogLocator(numticks=6))
        lower.set_ylabel("lifetime [ps]")
        lower.set_xlabel("mass [GeV]")
        for ax in (upper, lower):
            ax.yaxis.set_label_coords(-0.055, 0.5)
        for ax in (upper, lower):
            _masses(ax, masses)
        upper.tick_params(labelbottom=False)
        handles, labels = upper.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="upper center", ncols=max(len(labels), 1), columnspacing=1.2,
            handletextpad=0.5, bbox_to_anchor=(0.53, 0.985),
        )  # fmt: skip
        text.write(figure)
    return figure


def _caption(found: VectorWidths) -> str:
    low, high = found.masses.min(), found.masses.max()
    said = [plain(found.label)]
    if low < hadrons.SHARED and set(found.channels) & set(hadrons.CHANNELS):
        said.append("dashed: single hadronic channels, which are resolved below 2.0 GeV")
    if any(low < centre < high for centre, _ in WINDOWS.values()):
        said.append("grey: narrow resonances")
    return "; ".join(said)


def _masses(ax: Any, masses: np.ndarray) -> None:
    """Set the axis of masses, and mark narrow resonances."""
    low, high = float(masses[0]), float(masses[-1])
    if high > 5 * low:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=30))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.set_xlim(low, high)
    for centre, half in WINDOWS.values():
        if low < centre < high:
            ax.axvspan(centre - half, centre + half, color="#D0D0D0", linewidth=0, zorder=0)


def _with_gaps(masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return masses with the centres of resonances between them, and where those were put in."""
    centres = [c for c, _ in WINDOWS.values() if masses[0] < c < masses[-1]]
    gaps = np.searchsorted(masses, centres).astype(int)
    return np.insert(masses, gaps, centres), gaps
