"""Draws the figures of `docs/aligned_u1.md` and prints its numbers.

`python docs/images/aligned_u1.py`, or some of them: numbers, decays, lhcb, partner, planes, yukawa
after it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

import bknn
from bknn import data, models, plot, studies
from bknn.analysis.quantity_limits import limit
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    style,
    tint,
)
from bknn.vectors.resonances import known

bknn.enable_x64()
HERE = Path(__file__).parent

#: The conditions eps_A(Lambda) = 0; 0 is m_T.
SCALES = {r"$m_T$": 0.0, "100 TeV": 1e5, "the Planck mass": 1.22089e19}
NAMES = ("m_t", "100tev", "planck")
COLOURS = dict(zip(SCALES, (BLUE, ORANGE, VERMILLION), strict=True))

#: BR(B+ -> K+ Z') x P(invisible) that Belle II likes best at 2.1 GeV.
WANTED = 9.2e-6
QUANTITIES = (
    "br_K_Zprime", "p_inv", "lifetime", "br_ee", "br_mumu", "br_nunu", "br_hadrons", "br_XX", "y_T",
    "br_T_bW", "br_T_tZ", "br_T_th", "br_T_invisible", "width_T_tZprime", "width_T_tphi",
)  # fmt: skip
model = models.load("aligned-u1")
STARTS = {p.name: p.init for p in model.parameters}
(LHCB,) = data.load("lhcb-2016-dimuon").curves
_derived = jax.jit(
    jax.vmap(lambda values: {n: model.derived({**STARTS, **values})[n] for n in QUANTITIES})
)
_limit = jax.jit(
    jax.vmap(lambda mass, lifetime: limit(LHCB, {"mass": mass, "lifetime": lifetime})[0])
)
_MOVED = ("mass", "m_T", "s_R", "G", "r_X", "m_X", "m_phi", "Lambda")
_MANY = 512


def at(**values):
    """Return the derived quantities at points, in batches of one size."""
    values = {**{name: STARTS[name] for name in _MOVED}, **values}
    columns = dict(zip(values, np.broadcast_arrays(*values.values()), strict=True))
    columns = {name: np.atleast_1d(x).astype(float) for name, x in columns.items()}
    n = columns["mass"].size
    found = []
    for first in range(0, n, _MANY):
        rows = np.minimum(np.arange(first, first + _MANY), n - 1)
        part = _derived({name: x[rows] for name, x in columns.items()})
        found.append({name: np.asarray(x)[: n - first] for name, x in part.items()})
    whole = {name: np.concatenate([f[name] for f in found]) for name in QUANTITIES}
    return {**columns, **whole}


def on_the_band(seen=True, **values):
    """Return points whose G gives what Belle II wants, NaN if that takes G > 0.1; without `seen`
    BR(B+ -> K+ Z') itself is that large."""
    G = np.full(np.broadcast(*values.values()).shape, 1e-5)
    for _ in range(12 if seen else 2):
        found = at(**values, G=G)
        rate = found["br_K_Zprime"] * (found["p_inv"] if seen else 1.0)
        G = np.where(found["G"] < 0.1, found["G"] * np.sqrt(WANTED / rate), np.nan)
        G = np.where(G < 0.1, G, np.nan)
    return at(**values, G=G)


def lhcb_limit(mass, lifetime):
    """Return LHCb's limit on BR(B+ -> K+ Z') BR(Z' -> mu mu)."""
    mass, lifetime = np.broadcast_arrays(np.atleast_1d(mass), lifetime)
    return np.asarray(_limit(mass.astype(float), lifetime.astype(float)))


def least_charge(s_R, **values):
    """Return the least r_X that LHCb allows on the band, at each s_R."""
    charges = np.geomspace(3e-3, 40.0, 60)
    s, r = (x.ravel() for x in np.meshgrid(s_R, charges, indexing="ij"))
    found = on_the_band(s_R=s, r_X=r, **values)
    over = found["br_K_Zprime"] * found["br_mumu"] / lhcb_limit(2.1, found["lifetime"])
    over = np.log(over).reshape(len(s_R), -1)
    return np.exp([np.interp(0.0, -row, np.log(charges)) for row in over])


def _mixing_axis(ax, s_R):
    """Make s_R the horizontal axis."""
    ax.set(xscale="log", xlabel="$s_R$", xlim=(s_R[0], s_R[-1]))
    ax.set_xticks([x for x in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if x >= s_R[0]])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(top=True, right=True, which="both")


def decays():
    """Branching fractions and lifetime of the minimal model against the mass."""
    mass = np.linspace(0.25, 4.6, 436)
    good = np.asarray(known(mass))
    shown = {
        "hadrons": ("br_hadrons", BLACK, "-"),
        r"$\nu\bar\nu$": ("br_nunu", BLUE, "--"),
        r"$e^+e^-$": ("br_ee", GREEN, "-."),
        r"$\mu^+\mu^-$": ("br_mumu", VERMILLION, ":"),
    }
    with style():
        figure = Figure(figsize=(8.0, 4.6), layout="constrained")
        axes = figure.subplots(2, 3, sharex=True, sharey="row")
        for column, (scale, value) in zip(axes.T, SCALES.items(), strict=True):
            top, bottom = column
            found = at(mass=mass, r_X=0.0, G=1e-5, Lambda=value)
            for label, (name, colour, dashes) in shown.items():
                y = np.where(good, found[name], np.nan)
                top.plot(mass, y, dashes, color=colour, label=label, lw=1.2)
            for s, colour in zip((0.1, 0.3, 0.6, 0.9), (PURPLE, BLUE, GREEN, ORANGE), strict=True):
                least = on_the_band(False, mass=mass, r_X=0.0, s_R=s, Lambda=value)
                bottom.plot(mass, np.where(good, least["lifetime"], np.nan), color=colour,
                            label=f"$s_R$ = {s}")  # fmt: skip
            top.set(yscale="log", ylim=(1e-3, 1.3), title=rf"$\epsilon_A$ = 0 at {scale}")
            bottom.set(yscale="log", ylim=(1e-6, 1e5), xlim=(0.25, 4.6), xlabel="$M_{Z'}$ [GeV]")
            for ax in column:
                ax.axvspan(2.05, 2.16, color=tint(GREEN, 0.3), lw=0)
                ax.tick_params(top=True, right=True, which="both")
        axes[0, 0].set_ylabel("branching fraction")
        axes[1, 0].set_ylabel("lifetime [ps]")
        axes[0, 0].legend(loc="lower right", ncols=2)
        axes[1, 0].legend(loc="upper right", ncols=2)
    return {"decays": figure}


def lhcb():
    """Products with the fraction of muons beside LHCb's limit, and the least charge of X."""
    s_R = np.geomspace(0.0335, 0.95, 60)
    with style():
        figure = Figure(figsize=(8.0, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        for scale, value in SCALES.items():
            colour, label = COLOURS[scale], rf"$\Lambda$ = {scale}"
            minimal = on_the_band(False, s_R=s_R, r_X=0.0, Lambda=value)
            rich = on_the_band(s_R=s_R, r_X=12.0, Lambda=value)
            for found, dashes, text in ((minimal, "--", None), (rich, "-", label)):
                y = found["br_K_Zprime"] * found["br_mumu"]
                left.plot(s_R, y, dashes, color=colour, label=text)
            right.plot(s_R, least_charge(s_R, Lambda=value), color=colour, label=label)
            ends = [least_charge(s_R, m_T=m, Lambda=value) for m in (1.5e3, 1e5)]
            right.fill_between(s_R, *ends, color=tint(colour, 0.35), lw=0, zorder=0)
        bound = float(lhcb_limit(2.1, 0.05)[0])
        left.axhspan(bound, 1e-3, color=tint(GREY, 0.25), lw=0, zorder=0)
        left.text(0.04, 1.3 * bound, "excluded by LHCb", color="#404040", fontsize=7)
        left.text(0.04, 4e-7, "without X", fontsize=7, va="top")
        left.text(0.04, 2.5e-11, "with X, $r_X$ = 12", fontsize=7)
        left.set(ylabel=r"BR$(B^+\to K^+Z')$ BR$(Z'\to\mu^+\mu^-)$", ylim=(1e-14, 1e-5))
        right.axhline(12.0, color=GREY, ls=":")
        right.text(0.036, 15.0, "12, as in the talk", color="#404040", fontsize=7)
        right.set(ylabel="least $r_X$ that LHCb allows", ylim=(5e-3, 60.0))
        for ax in (left, right):
            ax.set_yscale("log")
            _mixing_axis(ax, s_R)
        left.legend(loc="lower right")
    return {"lhcb": figure}


def partner():
    """Decays of T along the band."""
    s_R = np.geomspace(0.0335, 0.95, 80)
    shown = (("bW", BLUE, "-"), ("tZ", GREEN, "--"), ("th", PURPLE, ":"))
    with style():
        figure = Figure(figsize=(8.0, 3.0), layout="constrained")
        for ax, m_T in zip(figure.subplots(1, 2, sharey=True), (1500.0, 1e4), strict=True):
            found = on_the_band(s_R=s_R, r_X=12.0, m_T=m_T, m_phi=10.0)
            missing = found["br_T_invisible"]
            part = found["width_T_tZprime"] / (found["width_T_tZprime"] + found["width_T_tphi"])
            for name, colour, dashes in shown:
                ax.plot(s_R, found[f"br_T_{name}"], dashes, color=colour, label=f"${name}$")
            ax.plot(s_R, missing * part, color=VERMILLION, label=r"$tZ'$")
            ax.plot(s_R, missing * (1 - part), ls=(0, (1.5, 1.5)), color=BLACK, label=r"$t\phi$")
            heavy = on_the_band(s_R=s_R, r_X=12.0, m_T=m_T, m_phi=1000.0)
            total = heavy["br_T_invisible"] / (heavy["width_T_tZprime"] + heavy["width_T_tphi"])
            ax.plot(s_R, total * heavy["width_T_tphi"], color=GREY, lw=0.8,
                    label=r"$t\phi$, $m_\phi$ = 1 TeV")  # fmt: skip
            ax.set(ylim=(0, 0.6), title=f"$m_T$ = {m_T / 1e3:g} TeV")
            _mixing_axis(ax, s_R)
        figure.axes[0].set_ylabel("branching fraction of $T$")
        figure.axes[1].legend(loc="lower left", bbox_to_anchor=(0.0, 0.12))
    return {"partner": figure}


def _sets(this):
    return [data.load("belle2-2025"), *data.load_all("all-light-vector", this)]


def planes():
    """All exclusions at m_T = 10 TeV, for each condition."""
    over = {"s_R": np.geomspace(0.01, 0.95, 80), "G": np.geomspace(1e-5, 2e-2, 80)}
    drawn = {}
    for name, value in zip(NAMES, SCALES.values(), strict=True):
        found = studies.exclusions(
            model, _sets(model), over, lines={"y_T": [0.02, 0.1, 1.0]},
            fixed={"m_T": 1e4, "r_X": 12.0, "m_X": 0.95, "Lambda": value or 1e4},
        )  # fmt: skip
        drawn[f"plane_{name}"] = plot.exclusions(found)
    return drawn


def yukawa():
    """Belle II's bands at fixed y_T, and what is excluded of them, for each condition."""
    this = models.load("aligned-u1", basis="dimensionless")
    over = {"s_R": np.geomspace(0.02, 0.97, 80), "G": np.geomspace(3e-6, 1e-2, 90)}
    bands = ((0.02, VERMILLION), (0.1, BLUE), (1.0, GREEN), (2.894, GREY))
    with style():
        figure = Figure(figsize=(8.0, 3.3), layout="constrained")
        axes = figure.subplots(1, 3, sharey=True)
        for ax, (scale, value) in zip(axes, SCALES.items(), strict=True):
            for y_T, colour in bands:
                found = studies.exclusions(
                    this, _sets(this)[: 1 if y_T > 2 else None], over,
                    lines={"m_T": [1.0], "br_K_Zprime": [1.0]},
                    fixed={"y_T": y_T, "r_X": 12.0, "m_X": 0.95, "Lambda": value},
                )  # fmt: skip
                _one_band(ax, found, y_T, colour)
            ax.set(yscale="log", title=rf"$\Lambda$ = {scale}")
            _mixing_axis(ax, over["s_R"])
        axes[0].set_ylabel("$G$")
        handles = [Patch(color=tint(c, 0.85), label=f"$y_T$ = {y:g}") for y, c in bands[:3]]
        axes[0].legend(handles=handles, loc="lower left", title="pale: excluded",
                       title_fontsize=7)  # fmt: skip
    return {"yukawa": figure}


def _one_band(ax, found, y_T, colour):
    """Draw where Belle II is described at one y_T, with masses of T in TeV."""
    (x, y), likes = found.axes, found.delta["belle2-2025"]
    rate = np.log(found.quantities["br_K_Zprime"])
    if y_T > 2.0:  # beyond is less than Belle II wants
        ax.contourf(x, y, rate.T, [-99.0, np.log(WANTED)], colors=[tint(GREY, 0.35)], zorder=0)
        return
    ends = [rate[likes < 1.0].min(), rate[likes < 1.0].max()]
    band = ax.contourf(x, y, rate.T, ends, colors=[tint(colour, 0.85)], zorder=1)
    others = [name for name in found.numbers if np.isfinite(found.delta[name]).any()]
    for name in others:
        size = found.ratios.get(name, found.delta[name] / found.level(name))
        out = np.log(np.maximum(size, 1e-9))
        pale = ax.contourf(x, y, out.T, [0.0, 99.0], colors=[tint(colour, 0.25)], zorder=2)
        pale.set_clip_path(band.get_paths()[0], ax.transData)
        if (cut := (size > 1.0) & (likes < 1.0)).any():
            mass = found.quantities["m_T"][cut]
            print(y_T, name, f"m_T = {mass.min():.3g} to {mass.max():.3g} GeV", flush=True)
    good = np.all([~found.excluded(name) for name in others], axis=0) & (likes < 1.0)
    if good.any():
        mass, mixing = found.quantities["m_T"][good], x[np.nonzero(good)[0]]
        print(f"{y_T} left: m_T = {mass.min():.3g} to {mass.max():.3g} GeV, "
              f"s_R = {mixing.min():.3g} to {mixing.max():.3g}", flush=True)  # fmt: skip
    i, k = np.nonzero(likes < 1.0)
    for mass in (1.0, 10.0, 100.0):
        off = np.abs(np.log(found.quantities["m_T"][i, k] / (1e3 * mass))) + 0.1 * likes[i, k]
        at = np.argmin(off)
        if off[at] < 0.25 and x[i[at]] < 0.93:
            side = {"xytext": (-4, -3), "ha": "right"} if y_T == 1.0 else {"xytext": (4, 1)}
            ax.plot(x[i[at]], y[k[at]], ".", color=BLACK, ms=3, zorder=4)
            ax.annotate(f"{mass:g}", (x[i[at]], y[k[at]]), textcoords="offset points",
                        fontsize=6, zorder=4, **side)  # fmt: skip


def numbers():
    """Print what the page says in numbers."""
    m, s = (
        x.ravel() for x in np.meshgrid(np.geomspace(1.4e3, 1e5, 10), np.geomspace(0.03, 0.9, 12))
    )
    print("LHCb at 2.1 GeV, lifetimes 0.1 and 0.9 ps:", lhcb_limit(2.1, np.array([0.1, 0.9])))
    for scale, value in SCALES.items():
        for seen in (False, True):
            found = on_the_band(seen, m_T=m, s_R=s, r_X=0.0, Lambda=value)
            keep = found["y_T"] < 2.894
            product = found["br_K_Zprime"] * found["br_mumu"]
            over = product / lhcb_limit(2.1, found["lifetime"])
            told = {"product/limit": over, "product/1.58e-9": product / 1.58e-9}
            told |= {n: found[n] for n in ("br_K_Zprime", "br_mumu", "br_nunu", "lifetime")}
            for name, x in told.items():
                print(scale, seen, name, f"{np.nanmin(x[keep]):.4g} to {np.nanmax(x[keep]):.4g}")
        for m_T in (1.5e3, 1e4, 1e5):
            print(scale, m_T, least_charge(np.array([0.1, 0.3, 0.6, 0.9]), m_T=m_T, Lambda=value))


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["numbers", "decays", "lhcb", "partner", "planes", "yukawa"]
    for name in chosen:
        for part, figure in (globals()[name]() or {}).items():
            figure.savefig(HERE / f"aligned_u1_{part}.png", dpi=110)
