"""Draws the profile of `docs/aligned_u1.md` over the mass of X, with all data, and prints what ends
its windows: `python docs/images/aligned_u1_profile.py` (half an hour).
"""

from __future__ import annotations

import time

import numpy as np
from aligned_u1 import COLOURS, HERE, SCALES, model
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

import bknn
from bknn import data, inference, models
from bknn.plot.drawing.style import GREY, style

SETS = ("belle2-2025", "all-light-vector", "all-dark-matter")
MASS = 2.1
#: What is held besides the mass of Z' and Lambda.
CASES = {
    "$m_T$, $s_R$, $G$, $r_X$ free": {},
    "$m_T$ = 10 TeV, $r_X$ = 12": {"m_T": 1e4, "r_X": 12.0},
}
#: Masses of X: what is lighter is excluded; dense where the windows end, and towards the pole.
POLE = MASS / 2
MASSES = {
    r"$m_T$": POLE - np.geomspace(6e-3, 3e-4, 24),
    "100 TeV": np.concatenate(
        [np.arange(0.930, 0.9605, 0.002), POLE - np.geomspace(0.085, 3e-4, 16)]
    ),
    "the Planck mass": np.concatenate(
        [np.arange(0.885, 0.9325, 0.005), POLE - np.geomspace(0.115, 3e-4, 18)]
    ),
}
DASHED = {"lw": 0.8, "ls": "dashed"}
OWN = ("m_T", "s_R", "G", "r_X", "m_X")
FREE = ("m_T", "s_R", "r_X", "m_X", "Lambda")
#: X with a temperature of its own, and with that of the plasma.
OWN_TEMPERATURE, USUAL = (
    bknn.Analysis(m, data.load_all(SETS, m), free=FREE)
    for m in (models.load(model.name, kinetic=True), model)
)


def terms(analysis, m_X, profile, fixed):
    """Return {name: its part of -2 log L} of results and limits at a point of a profile, and of the
    rest together, and the fit there."""
    i = int(np.argmin(abs(profile.axes[0] - m_X)))
    start = {name: float(x[i]) for name, x in profile.values.items() if name not in fixed}
    held = {**fixed, "m_X": profile.axes[0][i]}
    fit = inference.fit(analysis, fixed=held, init=start)
    distribution = analysis.data_distribution
    n = distribution.n_counts
    measured, expected = np.asarray(analysis.data.counts)[n:], analysis.rates(fit.vector)[n:]
    width = np.where(expected < measured, distribution.below, distribution.above)
    parts = dict(zip(analysis.results.names, ((expected - measured) / width) ** 2, strict=True))
    return {**parts, "the rest": float(fit.twice_nll) - sum(parts.values())}, fit


def crossings(x, y, level):
    """Return where a curve crosses a level, by straight lines."""
    away = y - level
    return [
        x[k] - away[k] * (x[k + 1] - x[k]) / (away[k + 1] - away[k])
        for k in np.flatnonzero(away[:-1] * away[1:] < 0)
    ]


def told(analysis, label, case, profile, fixed, seconds):
    """Print a profile: best, window, and what changes most from the best point to its ends."""
    m_X, delta = profile.axes[0], profile.delta
    which = "own temperature" if analysis is OWN_TEMPERATURE else "that of the plasma"
    print(f"eps_A = 0 at {label}, {case}, {which}: {profile.status} {seconds:.0f} s of CPU")
    lowest = m_X[int(np.argmin(profile.twice_nll))]
    at_best, best = terms(analysis, lowest, profile, fixed)
    print(f"  lowest {profile.twice_nll_min:.3f} near m_X = {lowest:.5g},",
          ", ".join(f"{n} = {float(best.params[n]):.4g}" for n in OWN))  # fmt: skip
    for level in (1.0, 3.84, 7.5):
        ends = crossings(m_X, delta, level)
        print(f"  -2 Delta log L = {level} at m_X =", ", ".join(f"{x:.5f}" for x in ends))
    for end in (*crossings(m_X, delta, 7.5), m_X[-1]):
        here, fit = terms(analysis, end, profile, fixed)
        change = {name: here[name] - at_best[name] for name in here}
        most = sorted(change, key=lambda name: -abs(change[name]))[:5]
        print(f"  at {float(fit.params['m_X']):.5f}:",
              ", ".join(f"{n} {float(fit.params[n]):.3g}" for n in OWN[:-1]), ";",
              ", ".join(f"{n} {change[n]:+.2f}" for n in most))  # fmt: skip


def draw():
    """Go over the mass of X, for each scale and case, and draw."""
    with style():
        figure = Figure(figsize=(7.2, 3.3), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, (case, held) in zip(axes, CASES.items(), strict=True):
            for label, scale in SCALES.items():
                fixed = {"mass": MASS, "Lambda": scale, **held}
                for analysis in (OWN_TEMPERATURE, USUAL):
                    begin = time.process_time()
                    profile = inference.profile(analysis, {"m_X": MASSES[label]}, fixed=fixed)
                    told(analysis, label, case, profile, fixed, time.process_time() - begin)
                    look = {"label": label} if analysis is OWN_TEMPERATURE else DASHED
                    good, away = profile.converged, 1e3 * (POLE - profile.axes[0])
                    ax.plot(away[good], profile.delta[good], color=COLOURS[label], **look)
            for level, text in ((1.0, "68 %"), (3.84, "95 %")):
                ax.axhline(level, color=GREY, lw=0.6, ls=":")
                ax.text(0.32, level + 0.2, text, color=GREY, fontsize=6, ha="right")
            ax.set(xscale="log", xlim=(200.0, 0.3), ylim=(0.0, 20.0))
            ax.set_xlabel("$M_{Z'}/2 - m_X$ [MeV]")
            ax.set_xticks([100, 10, 1], ["100", "10", "1"])
            ax.xaxis.set_minor_formatter(NullFormatter())
            above = ax.secondary_xaxis("top", functions=(lambda x: x, lambda x: x))
            marks = np.array([0.9, 0.95, 1.0, 1.03, 1.045, 1.049])
            above.set_xticks(1e3 * (POLE - marks), [f"{m:g}" for m in marks])
            above.xaxis.set_minor_formatter(NullFormatter())
            above.set_xlabel(case + "\n$m_X$ [GeV]")
            ax.tick_params(right=True, which="both")
        axes[0].set_ylabel(r"$-2\,\Delta \log L$")
        axes[0].legend(title=r"$\epsilon_A$ = 0 at", loc="upper right")
    return figure


if __name__ == "__main__":
    draw().savefig(HERE / "aligned_u1_profile.png", dpi=150)
