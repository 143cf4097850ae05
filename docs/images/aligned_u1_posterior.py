"""Draws the figure of the posterior of `docs/aligned_u1.md`, and prints its numbers.

`python docs/images/aligned_u1_posterior.py FOLDER`, where FOLDER has the answers m_t, 100tev and
planck of the commands `bknn sample` of that page.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from aligned_u1 import HERE
from matplotlib.figure import Figure

from bknn.inference import Posterior
from bknn.plot.drawing.style import BLUE, GREEN, VERMILLION, style

#: Answers, what they are called, and their colours.
OF = {
    "m_t": (r"$\epsilon_A = 0$ at $m_T$", VERMILLION),
    "100tev": ("at 100 TeV", BLUE),
    "planck": ("at the Planck mass", GREEN),
}
NAMES = ("m_T", "s_R", "G", "r_X", "m_X")
LABELS = {
    "m_T": r"$m_T$ [GeV]",
    "s_R": r"$s_R$",
    "G": r"$\tilde g q'$",
    "r_X": r"$r_X$",
    "m_X": r"$m_X$ [GeV]",
}
PANELS = (("m_X", "s_R"), ("m_X", "G"), ("m_X", "r_X"))


def draws(folder: Path) -> dict[str, np.ndarray]:
    posterior = Posterior.load(folder / "posterior.nc")
    print(posterior.status)
    return {name: posterior.values(name).ravel() for name in NAMES}


def main(folder: Path) -> None:
    found = {name: draws(folder / name) for name in OF}
    for name, values in found.items():
        for parameter, x in values.items():
            low, first, middle, last, high = np.quantile(x, (0.025, 0.16, 0.5, 0.84, 0.975))
            print(
                f"{name:8} {parameter:4} {middle:.3g}  68% {first:.3g} to {last:.3g}"
                f"  95% {low:.3g} to {high:.3g}"
            )
    with style():
        figure = Figure(figsize=(9.6, 5.4), layout="constrained")
        top, bottom = figure.subplots(2, 3)
        for axes, parameter in zip(top, ("m_X", "s_R", "r_X"), strict=True):
            logarithmic = parameter != "m_X"
            for name, (label, colour) in OF.items():
                x = found[name][parameter]
                everything = np.concatenate([v[parameter] for v in found.values()])
                ends = np.quantile(everything, (0.001, 0.999))
                edges = np.geomspace(*ends, 41) if logarithmic else np.linspace(*ends, 41)
                axes.hist(
                    x, edges, histtype="step", color=colour, label=label,
                    weights=np.full(len(x), 1 / len(x)),
                )  # fmt: skip
            axes.set_xscale("log" if logarithmic else "linear")
            axes.set_xlabel(LABELS[parameter])
            axes.set_ylabel("posterior per bin")
        top[0].legend(loc="upper left")
        random = np.random.default_rng(0)
        for axes, (x, y) in zip(bottom, PANELS, strict=True):
            for name, (_, colour) in OF.items():
                some = random.choice(len(found[name][x]), 1200, replace=False)
                axes.plot(
                    found[name][x][some], found[name][y][some], ".", color=colour,
                    markersize=2.0, alpha=0.5,
                )  # fmt: skip
            axes.set_yscale("log")
            axes.set_xlabel(LABELS[x])
            axes.set_ylabel(LABELS[y])
        figure.savefig(HERE / "aligned_u1_posterior.png", dpi=150)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
