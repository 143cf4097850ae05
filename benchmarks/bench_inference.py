"""Profiles, contours and toys of the Belle II likelihood, beside pyhf in the same run.

python benchmarks/bench_inference.py           the claimed numbers
python benchmarks/bench_inference.py --scaling time and memory at 10^3, 10^4, 10^5 points
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import pyhf
from timing import first, machine, seconds

import bknn
from bknn import inference, models


def report(name: str, call: Callable[[], object], n: int, limit: float, repeat: int = 3) -> float:
    """Print the first call and the best of a few, in all and a point; return the median."""
    cold = first(call)
    median, best = seconds(call, repeat=repeat)
    print(
        f"{name:48}{cold:>9.1f} s{median:>9.2f} s{best:>9.2f} s{1e3 * median / n:>9.3f} ms"
        f"{limit:>9.0f} s"
    )
    return median / n


def memory() -> float:
    """Return the largest memory so far in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def scaling(strength: bknn.Analysis, resonance: bknn.Analysis) -> None:
    print(f"{'':30}{'points':>9}{'time':>12}{'a point':>12}{'memory':>12}")
    for n in (1000, 10_000, 100_000):
        masses = np.linspace(0.1, 4.7, n)
        start = time.perf_counter()
        inference.profile(resonance, over={"mass": masses})
        taken = time.perf_counter() - start
        print(
            f"{'profile over the mass':30}{n:>9}{taken:>10.2f} s{1e3 * taken / n:>9.3f} ms", end=""
        )
        print(f"{memory():>9.2f} GB", flush=True)
    truth = inference.fit(strength).params
    for n in (1000, 10_000, 100_000):
        start = time.perf_counter()
        inference.toys(strength, truth, n, seed=1)
        taken = time.perf_counter() - start
        print(f"{'toy fits of mu':30}{n:>9}{taken:>10.2f} s{1e3 * taken / n:>9.3f} ms", end="")
        print(f"{memory():>9.2f} GB", flush=True)


def main() -> None:
    bknn.enable_x64()
    print(machine())
    belle2 = bknn.data.load("belle2-2025")
    strength = bknn.Analysis(models.load("signal-strength"), belle2)
    resonance = bknn.Analysis(models.load("resonance"), belle2)
    if "--scaling" in sys.argv:
        scaling(strength, resonance)
        return
    print(f"{'':48}{'first':>11}{'median':>11}{'best':>11}{'a point':>12}{'asked':>11}")
    masses = np.linspace(0.1, 4.7, 1000)
    profile = lambda: inference.profile(resonance, over={"mass": masses}).twice_nll  # noqa: E731
    ours = report("profile of resonance over 1000 masses", profile, 1000, 2)
    truth = inference.fit(strength).params
    toys = lambda: inference.toys(strength, truth, 10_000, seed=1).twice_nll  # noqa: E731
    report("10,000 toy fits of mu", toys, 10_000, 8)
    wet = bknn.Analysis(models.load("wet"), belle2)
    over = {"C_VL": np.linspace(0, 20, 50), "C_TL": np.linspace(0, 20, 50)}
    contour = lambda: inference.profile(wet, over=over).twice_nll  # noqa: E731
    report("profile of wet over 50 x 50", contour, 2500, 10)

    workspace = pyhf.Workspace(belle2.workspace)
    model = workspace.model()
    data = workspace.data(model)
    found = inference.fit(strength, fixed={"mu": 4.0})
    for name in ("minuit", "scipy"):
        pyhf.set_backend("jax", getattr(pyhf.optimize, f"{name}_optimizer")(maxiter=100_000))
        start = time.perf_counter()
        try:
            _, value = pyhf.infer.mle.fixed_poi_fit(4.0, data, model, return_fitted_val=True)
            note = f"{float(value) - float(found.twice_nll):+.1e} above our minimum"
        except pyhf.exceptions.FailedMinimization as problem:
            note = f"fails: {problem}"
        theirs = time.perf_counter() - start
        print(
            f"pyhf 0.7 on JAX with {name}, one point of the profile of mu: {theirs:.1f} s, {note}; "
            f"ratio to a point of ours {theirs / ours:,.0f}"
        )


if __name__ == "__main__":
    main()
