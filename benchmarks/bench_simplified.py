"""The simplified likelihood beside the full one: answers, and time for them in the same run.

python benchmarks/bench_simplified.py [answers] [times]
"""

from __future__ import annotations

import sys

import numpy as np
from timing import first, machine, seconds

import bknn
from bknn import inference, models

#: The bins of eta(BDT_2) of one q2_rec: channel A has three, B the lowest.
TWO_ETA = [{"A": [k, 3 + k], "B": [k]} for k in range(3)] + [{"A": [6 + k]} for k in range(3)]
ONE_ETA = [{"A": [k, 3 + k, 6 + k], "B": [k]} for k in range(3)]
MASSES = np.linspace(0.1, 4.6, 91)
PAIRS = np.linspace(0.0, 2.2, 45)


def variants(full: bknn.Measurement, few: bool) -> dict[str, bknn.Measurement]:
    """Return the full likelihood and its simplifications, by name."""

    def simple(**options) -> bknn.Measurement:
        return bknn.SimplifiedLikelihood.from_measurement(full, **options).measurement(full.name)

    result = {"full": full, "simplified": simple()}
    if few:
        result["C, D folded in"] = simple(controls=["C", "D"])
        result["two eta bins"] = simple(controls=["C", "D"], merge={"ITA": TWO_ETA})
    if not few or "sgn1_had" in full.channels:
        return result
    result["at the nominal point"] = simple(at="nominal")
    result["signal and background apart"] = simple(correlated=False)
    result["modes above 3 %"] = simple(smallest=0.03)
    result["modes above 10 %"] = simple(smallest=0.1)
    result["one eta bin"] = simple(controls=["C", "D"], merge={"ITA": ONE_ETA})
    return result


def answers(name: str, full: bknn.Measurement) -> None:
    """Print what each says of mu and of masses."""
    curves: dict[str, np.ndarray] = {}
    for label, data in variants(full, True).items():
        strength = bknn.Analysis(models.load("signal-strength"), data)
        best = inference.fit(strength)
        rise = inference.fit(strength, fixed={"mu": [0.0, 1.0]}).twice_nll - best.twice_nll
        line = (
            f"{name:10}{label:28}{strength.size:4} mu = {float(best.params['mu']):5.2f} +- "
            f"{float(best.uncertainties['mu']):.2f}, at 0: {rise[0]:5.2f}, at 1: {rise[1]:5.2f}"
        )
        for model, grid in (("resonance", MASSES), ("vector", MASSES), ("fermion-pair", PAIRS)):
            if model != "resonance" and label not in ("full", "simplified", "two eta bins"):
                continue
            analysis = bknn.Analysis(models.load(model), data)
            null = float(inference.fit(analysis, fixed=analysis.null_values()).twice_nll)
            found = inference.fit(analysis, fixed={"mass": grid})
            curve = np.asarray(found.twice_nll) - null
            k = int(np.argmin(curve))
            low, high = interval(grid, curve)
            line += f" | {model} {grid[k]:.2f} [{low:.2f}, {high:.2f}] {curve[k]:6.2f}"
            if label == "full":
                curves[model] = curve
            near = curves[model] < curves[model].min() + 9
            away = curve - curve.min() - curves[model] + curves[model].min()
            line += f" ({np.max(np.abs(away[near])):.2f})"
            if model == "resonance":
                line += f" BR {1e6 * float(found.params['branching_ratio'][k]):.2f}e-6"
        print(line, flush=True)


def interval(grid: np.ndarray, curve: np.ndarray) -> tuple[float, float]:
    """Return where a curve is less than 1 above its minimum, around it."""
    rise, k = curve - curve.min() - 1.0, int(np.argmin(curve))
    above = np.flatnonzero(rise > 0)
    lower, upper = above[above < k], above[above > k]

    def cross(i: int) -> float:
        return float(grid[i] + (grid[i + 1] - grid[i]) * rise[i] / (rise[i] - rise[i + 1]))

    return (
        cross(lower[-1]) if lower.size else float(grid[0]),
        cross(upper[0] - 1) if upper.size else float(grid[-1]),
    )


def times(name: str, full: bknn.Measurement) -> None:
    """Print how long fits and profiles take, in milliseconds."""
    masses, strengths = np.linspace(0.5, 4.5, 200), np.linspace(0.0, 8.0, 200)
    for label, data in variants(full, True).items():
        strength = bknn.Analysis(models.load("signal-strength"), data)
        resonance = bknn.Analysis(models.load("resonance"), data)
        vector = strength.flatten(strength.init)
        work = {
            "fit of mu": (lambda s=strength: inference.fit(s).vector, 1),
            "200 mu, each": (
                lambda s=strength: inference.fit(s, fixed={"mu": strengths}).vector,
                200,
            ),
            "200 masses, each": (
                lambda r=resonance: inference.fit(r, fixed={"mass": masses}).vector,
                200,
            ),
            "log likelihood": (lambda s=strength, v=vector: s._compiled(v, s.data), 1),
        }
        line = f"{name:10}{label:28}"
        for what, (call, fits) in work.items():
            compile_time = first(call)
            median, best = seconds(call, repeat=15)
            line += f" | {what} {1e3 * median / fits:.3f} (best {1e3 * best / fits:.3f}; "
            line += f"first {compile_time:.1f} s)"
        print(line, flush=True)


def main() -> None:
    bknn.enable_x64()
    print(machine())
    belle2 = bknn.data.load("belle2-2025")
    chosen = sys.argv[1:] or ["answers", "times"]
    for what in (answers, times):
        if what.__name__ in chosen:
            what("inclusive", belle2.select("inclusive"))
            what("whole", belle2)


if __name__ == "__main__":
    main()
