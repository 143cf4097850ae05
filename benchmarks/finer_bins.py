"""What finer bins of q2_rec would do: the method of arXiv:2403.13887 on the public inclusive tag.

python benchmarks/finer_bins.py

Everything comes from the public likelihood of Belle II: the efficiency is its number density summed
over eta(BDT_2) > 0.92, divided by the null; backgrounds (simulated, or as fitted with all bins) and
the statistics of their simulation are sums over eta(BDT_2) in the three published bins of q2_rec.
Finer bins are not public: the cumulative background is interpolated (monotone cubic) between -1, 4,
8 and 25 GeV^2, the statistics of simulation are shared out like its counts, and data are what a
model expects (Asimov). That is a study of sensitivity, no fit to data.
"""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
from bench_simplified import interval
from scipy.interpolate import PchipInterpolator

import bknn
from bknn import inference, models
from bknn.derived.simplified import Background
from bknn.response.grid import gauss_legendre
from bknn.standard_model import dbr_dq2

#: Charged B mesons: 2 x 0.516 x 387e6 (arXiv:2311.14647).
PRODUCED = 2 * 0.516 * 387e6
PUBLISHED = np.array([-1.0, 4.0, 8.0, 25.0])
BACKGROUNDS = {
    "charged": ("charged",),
    "mixed": ("mixed",),
    "continuum": ("uubar", "ddbar", "ssbar", "ccbar", "taupair"),
}
BINS = {
    "3": PUBLISHED,
    "6": np.array([-1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 25.0]),
    "13": np.linspace(-1.0, 25.0, 14),
    "26": np.linspace(-1.0, 25.0, 27),
}
MASSES = np.linspace(1.0, 3.4, 97)


@cache
def published(
    fitted: bool = True,
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Return counts, backgrounds, their statistical variances (3,), and the efficiency (100,).

    Backgrounds are those of the fit of mu to the whole inclusive tag, or of the simulation.
    """
    belle2 = bknn.data.load("belle2-2025")
    strength = bknn.Analysis(models.load("signal-strength"), belle2.select("inclusive"))
    found = strength.expected(inference.fit(strength).vector)
    observed, density = np.zeros(3), np.zeros(100)
    counts = {b: np.zeros(3) for b in BACKGROUNDS}
    variance = {b: np.zeros(3) for b in BACKGROUNDS}
    for channel in belle2.workspace["channels"]:
        name = channel["name"]
        if name not in belle2.groups["inclusive"] or name not in belle2.signal:
            continue
        observed += belle2.observed[name].reshape(-1, 3).sum(axis=0)
        density += belle2.densities[name].counts.sum(axis=0)
        edges = belle2.densities[name].edges
        for sample in channel["samples"]:
            for b, members in BACKGROUNDS.items():
                if sample["name"] in members:
                    own = found[name][sample["name"]] if fitted else sample["data"]
                    counts[b] += np.reshape(own, (-1, 3)).sum(axis=0)
                    stat = next(m for m in sample["modifiers"] if m["type"] == "staterror")
                    variance[b] += np.square(np.reshape(stat["data"], (-1, 3))).sum(axis=0)
    nodes, weights = gauss_legendre(edges, 8)
    produced = PRODUCED * (weights * np.asarray(dbr_dq2(nodes))).sum(axis=1)
    return observed, counts, variance, density / produced


def simple(
    edges: np.ndarray, norm: float, data: np.ndarray | None = None, fitted: bool = True
) -> bknn.SimplifiedLikelihood:
    """Return the seeds' likelihood on some bins; without data it expects the backgrounds."""
    observed, counts, variance, efficiency = published(fitted)
    middle = (np.arange(100) + 0.5) * 0.22885

    def shared(x: np.ndarray) -> np.ndarray:
        cumulative = PchipInterpolator(PUBLISHED, np.append(0.0, np.cumsum(x)))
        return np.diff(cumulative(edges))

    fine = {b: shared(x) for b, x in counts.items()}
    backgrounds = {b: Background(x, np.diag(shared(variance[b])), norm) for b, x in fine.items()}
    if data is None:
        data = observed if np.array_equal(edges, PUBLISHED) else sum(fine.values())
    return bknn.SimplifiedLikelihood.from_efficiency(
        lambda q2: np.interp(q2, middle, efficiency),
        edges,
        data,
        backgrounds,
        produced=PRODUCED,
        smallest=1e-4,
    )


def of_strength(likelihood):
    analysis = bknn.Analysis(models.load("signal-strength"), likelihood.measurement("ITA"))
    return inference.fit(analysis)


def goodness(best) -> float:
    """Return -2 log L of a fit above that of perfect agreement (saturated)."""
    analysis = best.target
    counts = np.asarray(analysis.data.counts)
    rates = np.asarray(analysis.rates(best.vector))
    pulls = best.vector[analysis.normal[0]]
    return float(np.sum(2 * (rates - counts + counts * np.log(counts / rates))) + np.sum(pulls**2))


def expected(likelihood, mass: float, ratio: float) -> np.ndarray:
    """Return what the standard model and a narrow line expect."""
    resonance = bknn.Analysis(models.load("resonance"), likelihood.measurement("ITA"))
    point = {**resonance.init, "mass": mass, "branching_ratio": ratio}
    return np.asarray(resonance.rates(resonance.flatten(point)))


def of_mass(likelihood) -> str:
    """Return how well a mass is found, and how far a line is from the SM and a rescaled SM."""
    data = likelihood.measurement("ITA")
    resonance = bknn.Analysis(models.load("resonance"), data)
    found = inference.fit(resonance, fixed={"mass": MASSES})
    strength = bknn.Analysis(models.load("signal-strength"), data)
    null = float(inference.fit(resonance, fixed=resonance.null_values()).twice_nll)
    # The constraint of the SM's size is a constant of the resonance's likelihood alone.
    scaled = inference.fit(strength, fixed={"mu": [1.0]}).twice_nll[0]
    scaled = null + float(inference.fit(strength).twice_nll - scaled)
    curve = np.asarray(found.twice_nll)
    k, (low, high) = int(np.argmin(curve)), interval(MASSES, curve)
    return (
        f"mass {MASSES[k]:.3f} [{low:.3f}, {high:.3f}] BR "
        f"{1e6 * float(found.params['branching_ratio'][k]):.1f}e-6, -2 ln L above it: SM "
        f"{null - curve.min():.2f} ({np.sqrt(max(null - curve.min(), 0)):.2f} sigma), "
        f"rescaled SM {scaled - curve.min():.2f}"
    )


def of_limit(edges: np.ndarray, norm: float, mass: float) -> float:
    """Return the expected uncertainty of a narrow line's branching fraction, if there is none.

    All is normal here: counts, norms of the backgrounds, statistics of simulation, and 5% of the
    standard model. The median CLs limits are 1.645 (90%) and 1.960 (95%) times that.
    """
    likelihood = simple(edges, norm)
    _, _, variance, _ = published()
    counts = expected(likelihood, mass, 0.0)
    signal = (expected(likelihood, mass, 1e-5) - counts) / 1e-5
    covariance = np.diag(counts) + np.outer(likelihood.signal, likelihood.signal) * 0.05**2
    for name, background in likelihood.backgrounds.items():
        cumulative = PchipInterpolator(PUBLISHED, np.append(0.0, np.cumsum(variance[name])))
        covariance += (
            np.diag(np.diff(cumulative(edges))) + np.outer(background, background) * norm**2
        )
    return float((signal @ np.linalg.solve(covariance, signal)) ** -0.5)


def main() -> None:
    bknn.enable_x64()
    observed, counts, _, efficiency = published()
    first = simple(PUBLISHED, 0.1)
    print("efficiency at 0, 4, 8, 12, 16 GeV^2:", np.round(efficiency[[0, 17, 34, 52, 69]], 4))
    print("signal in the published bins, kernel:", np.round(first.signal, 1))
    belle2 = bknn.data.load("belle2-2025").select(["A", "B"])
    template = sum(belle2.template(c).reshape(-1, 3).sum(axis=0) for c in belle2.channels)
    print("                          simulation:", np.round(template, 1))
    print("observed", observed, "backgrounds", np.round(sum(counts.values()), 0))

    norms = (0.003, 0.01, 0.02, 0.03)
    for fitted in (False, True):
        spreads = []
        for norm in norms:
            best = of_strength(simple(PUBLISHED, norm, fitted=fitted))
            mu, sigma = float(best.params["mu"]), float(best.uncertainties["mu"])
            print(
                f"three bins, data, backgrounds {'fitted' if fitted else 'simulated'}, norm "
                f"{norm:.3f}: mu = {mu:.2f} +- {sigma:.2f}, chi2 {goodness(best):.2f}",
                flush=True,
            )
            spreads.append(sigma)
    # As in arXiv:2403.13887, the norm that gives the published uncertainty of mu.
    tuned = float(np.exp(np.interp(np.log(1.5), np.log(spreads), np.log(norms))))
    best = of_strength(simple(PUBLISHED, tuned))
    mu, sigma = float(best.params["mu"]), float(best.uncertainties["mu"])
    print(f"three bins, data, tuned norm {tuned:.4f}: mu = {mu:.2f} +- {sigma:.2f}", flush=True)
    print("three bins, data:", of_mass(simple(PUBLISHED, tuned)), flush=True)
    for label, edges in BINS.items():
        limits = (
            f"at {mass} GeV {1.645e6 * sigma:.1f}e-6 (90%), {1.960e6 * sigma:.1f}e-6 (95%)"
            for mass in (0.1, 1.0, 2.1)
            for sigma in (of_limit(edges, tuned, mass),)
        )
        print(f"{label:>3} bins, expected limit: {', '.join(limits)}", flush=True)
    for label, edges in BINS.items():
        likelihood = simple(edges, tuned)
        for mass, ratio in ((2.1, 9.5e-6),):
            asimov = dataclasses.replace(likelihood, observed=expected(likelihood, mass, ratio))
            print(f"{label:>3} bins, Asimov {mass} GeV: {of_mass(asimov)}", flush=True)
        asimov = dataclasses.replace(
            likelihood, observed=sum(likelihood.backgrounds.values()) + 5.4 * likelihood.signal
        )
        best = of_strength(asimov)
        print(f"{label:>3} bins, Asimov mu = 5.4: +- {float(best.uncertainties['mu']):.2f}")


if __name__ == "__main__":
    main()
