"""Draws the figures on dark matter of `docs/aligned_u1.md` and prints their numbers.

`python docs/images/aligned_u1_dark_matter.py`, or some of them: numbers, window,
planes, heavy after it.
"""

from __future__ import annotations

import sys

import jax
import numpy as np
from aligned_u1 import HERE, SCALES, STARTS, WANTED, model, on_the_band
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bknn import data, models
from bknn.analysis.quantity_limits import limit
from bknn.models.aligned_u1.parameters import LARGEST_YUKAWA
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
from bknn.prediction.derived import quantities

OBSERVED, P_ANN = 0.120, 3.2e-28
NAMES = (
    "omega_h2", "x_freeze_out", "sigma_v_x20", "sigma_v_today", "p_ann", "dark_matter_fraction",
    "sigma_p", "sigma_n", "sigma_xe", "sigma_ar", "sigma_cawo4", "g_X", "y_T", "kappa_t", "delta_T",
    "br_K_Zprime", "br_mumu", "p_inv", "lifetime", "eps_A", "lambda_phi", "C_V_L",
)  # fmt: skip
SEARCHES = {
    "cresst-iii-2019": ("CRESST-III", ORANGE),
    "darkside-50-2018": ("DarkSide-50 (2018)", PURPLE),
    "darkside-50-2022": ("DarkSide-50 (2022)", BLUE),
    "xenon1t-2019-migdal": ("XENON1T, Migdal", GREEN),
    "xenon1t-2018": ("XENON1T", GREY),
    "lz-2024": ("LZ", VERMILLION),
}
_MANY = 32

#: The model in which X has a temperature of its own.
hot = models.load(model.name, kinetic=True)


@jax.jit
@jax.vmap
def _some(values):
    return quantities(model, NAMES, {**STARTS, **values})


def at(**values):
    """Return derived quantities at points, in batches of one size."""
    columns = dict(zip(values, np.broadcast_arrays(*values.values()), strict=True))
    shape = next(iter(columns.values())).shape
    columns = {name: np.ravel(x).astype(float) for name, x in columns.items()}
    n = next(iter(columns.values())).size
    found = []
    for first in range(0, n, _MANY):
        rows = np.minimum(np.arange(first, first + _MANY), n - 1)
        part = _some({name: x[rows] for name, x in columns.items()})
        found.append({name: np.asarray(x)[: n - first] for name, x in part.items()})
    whole = {name: np.concatenate([f[name] for f in found]).reshape(shape) for name in NAMES}
    return {**{k: x.reshape(shape) for k, x in columns.items()}, **whole}


@jax.jit
@jax.vmap
def _hot(values):
    return quantities(hot, ("omega_h2",), {**STARTS, **values})["omega_h2"]


def with_kinetic_decoupling(found):
    """Return Omega h^2 at the same points, the temperature of X solved for."""
    names = ("m_X", "s_R", "G", "Lambda", "m_T", "r_X")
    columns = np.stack([found[n].ravel() for n in names], axis=1)
    some = []
    for first in range(0, len(columns), _MANY):
        part = columns[np.minimum(np.arange(first, first + _MANY), len(columns) - 1)]
        some.append(np.asarray(_hot(dict(zip(names, part.T, strict=True))))[: len(columns) - first])
    return np.concatenate(some).reshape(found["m_X"].shape)


def excess(name, found):
    """Return the largest ratio of what a search limits to its limit, NaN where it says nothing."""
    (table,) = data.load(name).curves
    values = {q: np.ravel(found[q]) for q in table.quantities}
    upper, inside = jax.vmap(lambda v: limit(table, v))(values)
    size = np.prod([values[q] for q in table.factors], axis=0)
    ratio = np.where(np.asarray(inside), size / np.asarray(upper), np.nan)
    return ratio.reshape(np.shape(found["m_X"]))


def band(m_X, s_R, scale, **others):
    """Return quantities on Belle II's band, (m_X) x (s_R)."""
    m, s = (x.ravel() for x in np.meshgrid(m_X, s_R, indexing="ij"))
    values = {"m_T": 1e4, "r_X": 12.0, **others}
    on = on_the_band(m_X=m, s_R=s, Lambda=scale, **values)
    found = at(m_X=m, s_R=s, G=on["G"], Lambda=scale, **values)
    shape = len(m_X), len(s_R)
    return {name: np.broadcast_to(x, m.shape).reshape(shape) for name, x in found.items()}


def allowed(found):
    """Return {constraint: ratio to its limit}."""
    ratios = {name: excess(name, found) for name in SEARCHES}
    ratios["planck-annihilation"] = found["p_ann"] * found["dark_matter_fraction"] ** 2 / P_ANN
    ratios["lhcb"] = excess("lhcb-2016-dimuon", {**found, "mass": np.full_like(found["m_X"], 2.1)})
    ratios["babar"] = excess("babar-2017-monophoton", _with(found))
    return ratios


def _with(found):
    """Add what BaBar's limit needs: its effective mixing and the mass."""
    needed = [q for c in data.load("babar-2017-monophoton").curves for q in c.quantities]
    rest = [q for q in needed if q not in found and q != "mass"]
    if rest:
        values = {n: np.ravel(found[n]) for n in ("m_X", "s_R", "G", "Lambda", "m_T", "r_X")}
        more = jax.jit(jax.vmap(lambda v: quantities(model, rest, {**STARTS, **v})))(values)
        found = {**found, **{n: np.asarray(x).reshape(found["m_X"].shape) for n, x in more.items()}}
    return {**found, "mass": np.full_like(found["m_X"], 2.1)}


def window():
    """Omega h^2, P_ann and sigma_p against m_X, on the band: r_X = 12, m_T = 10 TeV."""
    m_X = np.concatenate([np.linspace(0.5, 1.0, 51), np.linspace(1.005, 1.049, 23)])
    s_R = (0.05, 0.1, 0.3, 0.6)
    dashes = ("-", "--", "-.", ":")
    with style():
        figure = Figure(figsize=(8.0, 6.6), layout="constrained")
        axes = figure.subplots(3, 3, sharex=True, sharey="row")
        for column, (label, scale) in zip(axes.T, SCALES.items(), strict=True):
            found = band(m_X, s_R, scale)
            for k, s in enumerate(s_R):
                look = {
                    "color": (BLUE, ORANGE, GREEN, PURPLE)[k],
                    "linestyle": dashes[k],
                    "lw": 1.2,
                }
                column[0].plot(m_X, found["omega_h2"][:, k], label=f"$s_R$ = {s}", **look)
                p = found["p_ann"] * found["dark_matter_fraction"] ** 2
                column[1].plot(m_X, p[:, k], **look)
                column[2].plot(
                    m_X, (found["sigma_ar"] * found["dark_matter_fraction"])[:, k], **look
                )
            column[0].axhline(OBSERVED, color=VERMILLION, lw=0.8)
            column[1].axhline(P_ANN, color=VERMILLION, lw=0.8)
            column[0].set_title(rf"$\epsilon_A$ = 0 at {label}")
            for name in SEARCHES:
                (table,) = data.load(name).curves
                x, y = np.array(table.axes["m_X"]), np.array(table.upper)
                if x[0] < 1.05 and "sigma_ar" in table.factors:
                    column[2].plot(x, y, color=VERMILLION, lw=0.8)
            column[2].set_xlabel("$m_X$ [GeV]")
            for ax in column:
                ax.set_yscale("log")
                ax.set_xlim(0.5, 1.049)
                ax.axvspan(2.1 / 2 / np.sqrt(1.1), 1.05, facecolor="none", edgecolor="#C8C8C8",
                           hatch="////", lw=0, zorder=0)  # fmt: skip
                ax.tick_params(top=True, right=True, which="both")
                ax.yaxis.set_major_locator(LogLocator(numticks=7))
                ax.yaxis.set_minor_formatter(NullFormatter())
        axes[0, 0].set(ylabel=r"$\Omega_X h^2$", ylim=(1e-6, 1e4))
        axes[1, 0].set(
            ylabel=r"$P_{ann}(\Omega_X/\Omega_{DM})^2$ [cm$^3$/s/GeV]", ylim=(1e-37, 1e-25)
        )
        axes[2, 0].set(ylabel=r"$\sigma_{Ar}\Omega_X/\Omega_{DM}$ [cm$^2$]", ylim=(1e-49, 1e-37))
        axes[0, 0].legend(loc="lower left")
    return {"window": figure}


def where(scale, m_X, s_R, **others):
    """Print, for each m_X, at which s_R on the band X is all of the dark matter, and what excludes
    it there."""
    found = band(m_X, s_R, scale, **others)
    away = np.log(found["omega_h2"] / OBSERVED)
    ratios = allowed(found)
    rows = []
    for i, m in enumerate(m_X):
        for k in np.flatnonzero(away[i, :-1] * away[i, 1:] < 0):
            part = away[i, k] / (away[i, k] - away[i, k + 1])

            def here(x, i=i, k=k, part=part):
                return float(np.exp(np.log(x[i, k]) * (1 - part) + np.log(x[i, k + 1]) * part))

            row = {"m_X": m, "s_R": here(np.broadcast_to(s_R, away.shape))}
            row |= {n: here(found[n]) for n in ("G", "y_T", "p_ann", "sigma_p", "x_freeze_out")}
            row |= {n: here(x) for n, x in ratios.items() if np.isfinite(x[i, k : k + 2]).all()}
            rows.append(row)
    return rows


def planes():
    """On the band: where Omega h^2 is 0.12 in the plane of m_X and s_R, and what excludes."""
    m_X = np.linspace(0.60, 1.047, 90)
    s_R = np.geomspace(0.033, 0.95, 60)
    with style():
        figure = Figure(figsize=(8.0, 3.3), layout="constrained")
        axes = figure.subplots(1, 3, sharey=True)
        for ax, (label, scale) in zip(axes, SCALES.items(), strict=True):
            found = band(m_X, s_R, scale)
            ratios = allowed(found)
            omega = np.log10(found["omega_h2"] / OBSERVED).T
            ax.contourf(m_X, s_R, omega, levels=[0.0, 99.0], colors=[tint(GREY, 0.35)])
            ax.contour(m_X, s_R, omega, levels=[0.0], colors=[BLACK], linewidths=1.2)
            coarse = band(np.linspace(0.8, 1.047, 16), np.geomspace(0.033, 0.95, 24), scale)
            left = np.log10(with_kinetic_decoupling(coarse) / OBSERVED)
            ax.contour(coarse["m_X"], coarse["s_R"], left, levels=[0.0], colors=[BLACK],
                       linewidths=1.0, linestyles="dashed")  # fmt: skip
            ax.contour(m_X, s_R, omega, levels=[-2.0, 2.0], colors=[GREY], linewidths=0.6,
                       linestyles="dotted")  # fmt: skip
            looks = {
                "planck-annihilation": ("CMB", PURPLE), "lhcb": ("LHCb", BLUE),
                "babar": ("BaBar", GREEN), "darkside-50-2018": ("DarkSide-50", ORANGE),
                "cresst-iii-2019": ("CRESST", VERMILLION),
                "xenon1t-2019-migdal": ("XENON1T", "#7A4B00"),
            }  # fmt: skip
            for name, (text, colour) in looks.items():
                y = np.log10(np.where(np.isfinite(ratios[name]), ratios[name], 1e-9)).T
                if (y > 0).any():
                    ax.contourf(
                        m_X, s_R, y, levels=[0.0, 99.0], colors=[tint(colour, 0.25)], alpha=0.6
                    )
                    ax.contour(m_X, s_R, y, levels=[0.0], colors=[colour], linewidths=1.0)
                    ax.plot([], [], color=colour, label=text)
            ax.axvspan(2.1 / 2 / np.sqrt(1.1), 1.05, facecolor="none", edgecolor="#C8C8C8",
                       hatch="////", lw=0)  # fmt: skip
            ax.set(yscale="log", xlim=(0.6, 1.047), xlabel="$m_X$ [GeV]")
            ax.set_title(rf"$\epsilon_A$ = 0 at {label}")
            ax.set_yticks([0.05, 0.1, 0.2, 0.5], ["0.05", "0.1", "0.2", "0.5"])
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.tick_params(top=True, right=True, which="both")
            ax.legend(loc="upper left", fontsize=5, framealpha=1.0)
        axes[0].set_ylabel("$s_R$ (on Belle II's band)")
    return {"relic_planes": figure}


def heavy():
    """Heavy X with r_X = 1000: the plane of m_X and g_X, s_R on the band if P(invisible) = 1."""
    m_X, g_X = np.geomspace(5.0, 100.0, 40), np.geomspace(0.01, 5.0, 60)
    G = g_X / 1e3
    # BR(B -> K Z') is what Belle II wants: s_R follows, by interpolation.
    s_R = np.geomspace(3e-3, 0.999, 600)
    with style():
        figure = Figure(figsize=(8.0, 3.3), layout="constrained")
        axes = figure.subplots(1, 3, sharey=True)
        for ax, (label, scale) in zip(axes, SCALES.items(), strict=True):
            unit = at(s_R=s_R, G=1e-4, m_X=10.0, r_X=1e3, m_T=1e4, Lambda=scale)
            need = 1e-4 * np.sqrt(WANTED / unit["br_K_Zprime"])  # G at each s_R
            order = np.argsort(need)
            s_band = np.interp(
                np.log(G), np.log(need[order]), s_R[order], left=np.nan, right=np.nan
            )
            m, k = (x.ravel() for x in np.meshgrid(m_X, np.arange(len(G)), indexing="ij"))
            s = np.where(np.isfinite(s_band), s_band, 0.5)[k]
            found = at(m_X=m, s_R=s, G=G[k], r_X=1e3, m_T=1e4, Lambda=scale)
            shape = len(m_X), len(G)
            found = {name: np.broadcast_to(x, m.shape).reshape(shape) for name, x in found.items()}
            gone = ~np.isfinite(s_band)
            omega = np.log10(found["omega_h2"] / OBSERVED).T
            ax.contourf(m_X, g_X, omega, levels=[0.0, 99.0], colors=[tint(GREY, 0.35)])
            ax.contour(m_X, g_X, omega, levels=[0.0], colors=[BLACK], linewidths=1.2)
            for name in ("lz-2024", "xenon1t-2018", "darkside-50-2022", "planck-annihilation"):
                if name == "planck-annihilation":
                    ratio = found["p_ann"] * found["dark_matter_fraction"] ** 2 / P_ANN
                    text, colour = "CMB", PURPLE
                else:
                    ratio, (text, colour) = excess(name, found), SEARCHES[name]
                y = np.log10(np.where(np.isfinite(ratio), ratio, 1e-9)).T
                y[gone] = np.nan
                if (y > 0).any():
                    ax.contour(m_X, g_X, y, levels=[0.0], colors=[colour], linewidths=1.0)
                    ax.contourf(
                        m_X, g_X, y, levels=[0.0, 99.0], colors=[tint(colour, 0.25)], alpha=0.5
                    )
                    ax.plot([], [], color=colour, label=text)
            if (found["y_T"][0] > LARGEST_YUKAWA).any():
                ax.axhspan(g_X[found["y_T"][0] > LARGEST_YUKAWA][0], g_X[-1], color=GREY, alpha=0.6)
            ax.set(
                xscale="log",
                yscale="log",
                xlabel="$m_X$ [GeV]",
                title=rf"$\epsilon_A$ = 0 at {label}",
            )
            ax.tick_params(top=True, right=True, which="both")
            ax.legend(loc="lower right", fontsize=5)
            print(label, "s_R from", np.nanmin(s_band), "to", np.nanmax(s_band))
            for mass in (5.0, 30.0, 100.0):
                i = int(np.argmin(abs(m_X - mass)))
                j = int(np.argmin(abs(omega.T[i])))
                over = {n: f"{excess(n, found)[i, j]:.3g}" for n in ("lz-2024", "xenon1t-2018")}
                print(f"  m_X = {m_X[i]:.3g}: Omega h^2 = 0.12 at g_X = {g_X[j]:.3g},", over)
        axes[0].set_ylabel("$g_X$ = 1000 $G$")
    return {"heavy": figure}


DRAWN = {"window": window, "planes": planes, "heavy": heavy}


def numbers():
    """Print what the page quotes."""
    m_X = np.array([0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 1.0, 1.02, 1.04])
    s_R = np.geomspace(0.033, 0.95, 80)
    for label, scale in SCALES.items():
        print(f"ε_A = 0 at {label}")
        for row in where(scale, m_X, s_R):
            print("  ", ", ".join(f"{n} {x:.3g}" for n, x in row.items()))


if __name__ == "__main__":
    asked = sys.argv[1:] or ["numbers", *DRAWN]
    for name in asked:
        if name == "numbers":
            numbers()
            continue
        for stem, figure in DRAWN[name]().items():
            figure.savefig(HERE / f"aligned_u1_{stem}.png", dpi=150)
