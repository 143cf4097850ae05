"""Value and gradient of the Belle II log pdf (232 parameters), beside pyhf on JAX in the same run.

    python benchmarks/bench_likelihood.py

The floor, from counting: 180 cells x 39 shape variations are 7020 multiply-adds, 3 x 180 more for
factors, 180 x 30 to add up bins; the gradient doubles it: about 60 kflop, or 2 to 4 microseconds on
one core at what small matrix products reach; 232 parameters in and 232 derivatives out are 4 kB.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pyhf
from timing import first, machine, seconds

import bknn
from bknn import models


def main() -> None:
    bknn.enable_x64()
    print(machine())
    belle2 = bknn.data.load("belle2-2025")
    pdf = bknn.HistFactory.from_workspace(belle2.workspace)
    analyses = {
        name: bknn.Analysis(models.load(name), belle2) for name in ("signal-strength", "resonance")
    }
    random = np.random.default_rng(1)

    pyhf.set_backend("jax", precision="64b")
    workspace = pyhf.Workspace(belle2.workspace)
    model = workspace.model()
    data = jnp.asarray(workspace.data(model))
    peer = lambda x: model.logpdf(x, data)[0]  # noqa: E731

    cases = {"HistFactory.log_prob": (pdf.log_prob, np.asarray(pdf.flatten(pdf.init)))}
    cases |= {f"Analysis {n}": (a.log_density, a.init_vector) for n, a in analyses.items()}
    cases |= {"pyhf 0.7 on JAX": (peer, np.asarray(model.config.suggested_init()))}
    print(f"{'value and gradient':28}{'batch':>8}{'compile s':>12}{'us/point':>12}{'best':>10}")
    reference: dict[int, float] = {}
    for name, (function, point) in reversed(cases.items()):
        both = jax.value_and_grad(function)
        for batch in (1, 256, 1024, 4096):
            points = jnp.asarray(point + 1e-3 * random.normal(size=(batch, len(point))))
            if batch == 1:
                call, argument = jax.jit(both), points[0]
            else:
                if "pyhf" in name and batch > 256:
                    continue
                call, argument = jax.jit(jax.vmap(both)), points
            compile_time = first(call, argument)
            median, best = seconds(call, argument, repeat=200 if batch == 1 else 30)
            ratio = reference.setdefault(min(batch, 256), median / batch) / (median / batch)
            print(
                f"{name:28}{batch:>8}{compile_time:>12.2f}{1e6 * median / batch:>12.2f}"
                f"{1e6 * best / batch:>10.2f}   {ratio:6.1f} x pyhf"
            )


if __name__ == "__main__":
    main()
