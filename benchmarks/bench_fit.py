"""A full fit of the Belle II likelihood, beside pyhf with minuit in the same run.

python benchmarks/bench_fit.py
"""

from __future__ import annotations

import time

import numpy as np
import pyhf
from timing import first, machine, seconds

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data


def thrown(analysis: bknn.Analysis, vector: np.ndarray, n: int) -> Data:
    """Return n data sets as they would come out at these parameters."""
    random = np.random.default_rng(1)
    index, _, sigma = analysis.normal
    poisson = vector[analysis.poisson[0]] * analysis.poisson[2]
    return Data(
        random.poisson(np.asarray(analysis.rates(vector)), (n, analysis.n_bins)).astype(float),
        random.normal(vector[index], sigma, (n, len(index))),
        random.poisson(poisson, (n, len(poisson))).astype(float),
    )


def main() -> None:
    bknn.enable_x64()
    print(machine())
    belle2 = bknn.data.load("belle2-2025")
    strength = bknn.Analysis(models.load("signal-strength"), belle2)
    resonance = bknn.Analysis(models.load("resonance"), belle2)

    def report(name: str, call, fits: int = 1, repeat: int = 20) -> float:
        compile_time = first(call)
        median, best = seconds(call, repeat=repeat)
        print(
            f"{name:44}{compile_time:>10.2f} s{1e3 * median / fits:>12.3f} ms"
            f"{1e3 * best / fits:>10.3f} ms"
        )
        return median / fits

    print(f"{'':44}{'first call':>12}{'median a fit':>15}{'best':>13}")
    ours = report("mu, inference.fit", lambda: inference.fit(strength).vector, repeat=100)
    report(
        "mu and exact Hessian uncertainties",
        lambda: inference.fit(strength).uncertainty_vector,
    )
    masses = np.linspace(0.5, 4.5, 200)
    report(
        "profile over 200 masses, a fit",
        lambda: inference.fit(resonance, fixed={"mass": masses}).vector,
        200,
        5,
    )
    report("resonance from 24 starts", lambda: inference.fit(resonance).vector, 1, 5)
    toys = thrown(strength, inference.fit(strength).vector, 200)
    report("200 toys in one batch, a fit", lambda: inference.fit(strength, data=toys).vector, 200)

    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer())
    workspace = pyhf.Workspace(belle2.workspace)
    model = workspace.model()
    data = workspace.data(model)
    start = time.perf_counter()
    _, value = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
    theirs = time.perf_counter() - start
    print(f"{'mu, pyhf 0.7 with minuit (numpy)':44}{'':12}{1e3 * theirs:>12.0f} ms")
    found = inference.fit(strength)
    print(f"ratio {theirs / ours:.0f}")
    print(f"-2 log L: {float(found.twice_nll):.6f} against {float(value):.6f}")


if __name__ == "__main__":
    main()
