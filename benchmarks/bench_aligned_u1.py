"""The aligned U(1)': everything that follows from a point, its constraints, and Belle II's
likelihood, with gradients; a program for each, one point and many.

python benchmarks/bench_aligned_u1.py
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from timing import first, machine, seconds

import bknn
from bknn import models

FREE = ("m_T", "s_R", "r_X")


def main() -> None:
    bknn.enable_x64()
    print(machine())
    model = models.load("aligned-u1")
    belle2 = bknn.data.load("belle2-2025")
    constraints = bknn.data.load_all("all-light-vector", model)
    cases = {
        "constraints": bknn.Analysis(model, constraints, free=FREE),
        "Belle II": bknn.Analysis(model, belle2, free=FREE),
        "both": bknn.Analysis(model, [belle2, *constraints], free=FREE),
    }
    print(f"{'value and gradient of':28}{'batch':>8}{'compile s':>12}{'us/point':>12}{'best':>10}")
    random = np.random.default_rng(1)
    for name, analysis in cases.items():
        function = jax.value_and_grad(analysis.log_density)
        n = len(analysis.parameters)
        for batch in (1, 1000):
            spread = np.ones((batch, analysis.size))
            spread[:, :n] = np.exp(0.02 * random.normal(size=(batch, n)))
            points = jnp.asarray(analysis.init_vector * spread)
            call = jax.jit(function if batch == 1 else jax.vmap(function))
            arguments = points[0] if batch == 1 else points
            compiled = first(call, arguments)
            median, best = (1e6 * x / batch for x in seconds(call, arguments, repeat=30))
            print(f"{name:28}{batch:>8}{compiled:>12.2f}{median:>12.2f}{best:>10.2f}", flush=True)


if __name__ == "__main__":
    main()
