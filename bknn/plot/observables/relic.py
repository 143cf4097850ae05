"""Abundance and signals of a dark fermion over one parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

from bknn import errors
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    WIDTH,
    Caption,
    plain,
    style,
    tint,
)
from bknn.relic.boltzmann import LATE_POLE
from bknn.studies.constraints.relic import Relic

_SYMBOLS = {"m_X": "$m_X$", "epsilon": r"$\epsilon$", "g_X": "$g_X$", "r_X": "$r_X$", "G": "$G$"}

#: {quantity: (label, colour)}, panel by panel.
_ANNIHILATION = {
    "sigma_v_x20": (r"$\langle\sigma v\rangle$ at $x = 20$", BLUE),
    "sigma_v_today": (r"$\langle\sigma v\rangle$ today", ORANGE),
}
_SCATTERING = {"sigma_p": (r"$\sigma_p$", VERMILLION), "sigma_n": (r"$\sigma_n$", GREEN)}

#: Smaller numbers are not drawn: a decade of nothing.
_DECADES = 12

#: Heights of panels, and of the row of a data set, in inches.
_PANEL, _ROW, _GAP, _LEFT, _BOTTOM, _TOP = 1.25, 0.16, 0.08, 0.85, 0.42, 0.1


def relic(found: Relic) -> Figure:
    """Draw Omega h^2 (or the parameter that gives the wanted one), annihilation, scattering, and
    which data sets exclude where, over the parameter.

    A green tint marks where no data set excludes; hatching, where kinetic equilibrium is doubtful.

    Args:
        found: from `studies.relic`, at two values or more.

    Raises:
        ParameterError: of one value there is no figure.
    """
    x = found.values
    if len(x) < 2:
        raise errors.ParameterError("dark matter at one value is no figure; give a grid.")
    panels = [_abundance, _cross_sections(_ANNIHILATION, r"$\langle\sigma v\rangle$ [cm$^3$/s]")]
    if "p_ann" in found.quantities:
        panels.append(_cross_sections({"p_ann": ("", BLACK)}, "$P_{ann}$ [cm$^3$/s/GeV]"))
    panels.append(_cross_sections(_SCATTERING, r"$\sigma$ [cm$^2$]"))
    rows = [name for name in found.delta if found.excluded(name).any()]
    with style():
        text = Caption(_words(found, rows), WIDTH)
        strip = _ROW * len(rows)
        inner = len(panels) * (_PANEL + _GAP) + strip
        height = text.room + _BOTTOM + inner + _TOP
        figure = Figure(figsize=(WIDTH, height))
        top, left = height - _TOP, _LEFT / WIDTH
        wide = 0.985 - left
        axes = []
        for draw in panels:
            top -= _PANEL
            ax = figure.add_axes(
                (_LEFT / WIDTH, top / height, 0.985 - _LEFT / WIDTH, _PANEL / height)
            )
            top -= _GAP
            draw(ax, found)
            axes.append(ax)
        if rows:
            ax = figure.add_axes((left, (top - strip) / height, wide, strip / height))
            _exclusions(ax, found, rows)
            axes.append(ax)
        for ax in axes:
            ax.set_xlim(x.min(), x.max())
            if _logarithmic(x):
                ax.set_xscale("log")
                ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
                ax.xaxis.set_minor_formatter(NullFormatter())
            _marks(ax, found)
            ax.tick_params(labelbottom=ax is axes[-1], top=True, right=True, which="both")
        axes[-1].set_xlabel(_label(found, found.parameter))
        text.write(figure)
    return figure


def _label(found: Relic, name: str) -> str:
    unit = found.units.get(name, "")
    return _SYMBOLS.get(name, plain(name)) + (f" [{unit}]" if unit else "")


def _logarithmic(x: np.ndarray) -> bool:
    return bool(x.min() > 0 and len(x) > 2 and np.ptp(np.diff(np.log(x))) < 1e-6)


def _log_axis(ax: Any, curves: list[np.ndarray]) -> None:
    """Set a logarithmic axis that shows the curves, but at most so many decades."""
    some = np.concatenate([c[np.isfinite(c) & (c > 0)] for c in curves])
    if not len(some):
        return
    high = some.max() * 3.0
    low = max(some.min() / 3.0, high * 10.0**-_DECADES)
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    ax.yaxis.set_major_formatter(LogFormatterSciNotation())
    ax.yaxis.set_minor_formatter(NullFormatter())


def _abundance(ax: Any, found: Relic) -> None:
    if found.found:
        ax.plot(found.values, found.at, color=BLACK)
        _log_axis(ax, [found.at])
        ax.set_ylabel(_label(found, found.found))
        return
    omega = found.quantities["omega_h2"]
    ax.axhline(found.target, color=VERMILLION, linewidth=0.8)
    ax.plot(found.values, omega, color=BLACK)
    _log_axis(ax, [omega, np.array([found.target])])
    ax.set_ylabel(r"$\Omega h^2$")


def _cross_sections(curves: dict[str, tuple[str, str]], label: str) -> Any:
    """Return what draws quantities into a panel."""

    def draw(ax: Any, found: Relic) -> None:
        known = found.quantities
        shown = {n: look for n, look in curves.items() if n in known and known[n].any()}
        for name, (text, colour) in shown.items():
            ax.plot(found.values, found.quantities[name], color=colour, label=text)
        _log_axis(ax, [found.quantities[name] for name in shown])
        ax.set_ylabel(label)
        if len(shown) > 1:
            ax.legend(loc="best", ncols=2, columnspacing=1.2, handletextpad=0.5)

    return draw


def _exclusions(ax: Any, found: Relic, rows: list[str]) -> None:
    """Draw a bar a data set where it excludes."""
    edges = _edges(found.values)
    for k, name in enumerate(rows):
        excluded = found.excluded(name)
        for i in np.flatnonzero(excluded):
            ax.fill_between(edges[i : i + 2], k - 0.35, k + 0.35, color=GREY, linewidth=0)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_yticks(range(len(rows)), [plain(name) for name in rows], fontsize=5)
    ax.tick_params(axis="y", length=0)


def _edges(x: np.ndarray) -> np.ndarray:
    middle = 0.5 * (x[1:] + x[:-1])
    return np.concatenate([x[:1], middle, x[-1:]])


def _spans(x: np.ndarray, where: np.ndarray) -> list[tuple[float, float]]:
    """Return the ranges of x where something is so."""
    edges, change = _edges(x), np.diff(np.concatenate([[False], where, [False]]).astype(int))
    return [
        (float(edges[a]), float(edges[b]))
        for a, b in zip(np.flatnonzero(change == 1), np.flatnonzero(change == -1), strict=True)
    ]


def _marks(ax: Any, found: Relic) -> None:
    """Mark what is allowed, and where kinetic equilibrium is doubtful."""
    if found.delta:
        for low, high in _spans(found.values, found.allowed):
            ax.axvspan(low, high, color=tint(GREEN, 0.18), linewidth=0, zorder=0)
    for low, high in _spans(found.values, _doubtful(found)):
        ax.axvspan(low, high, facecolor="none", edgecolor="#C8C8C8", hatch="////", lw=0, zorder=0)


def _doubtful(found: Relic) -> np.ndarray:
    distance = found.quantities.get("pole_distance")
    if distance is None or "kinetic_ratio" in found.quantities:  # it was solved for
        return np.zeros(len(found.values), bool)
    return (distance > 0) & (distance < LATE_POLE)


def _words(found: Relic, rows: list[str]) -> str:
    said = [found.model + "".join(f", {plain(k)} = {v:g}" for k, v in found.fixed.items())]
    if found.found:
        said.append(f"{plain(found.found)} so that Ωh² = {found.target:g}")
    else:
        said.append(f"red: Ωh² = {found.target:g}")
    if found.delta and found.allowed.any():
        said.append("green: no data set excludes at 95 %")
    if rows:
        said.append("bars: excluded at 95 %")
    if _doubtful(found).any():
        said.append("hatched: kinetic equilibrium is doubtful")
    return "; ".join(said)
