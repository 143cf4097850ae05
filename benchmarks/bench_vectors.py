"""Partial widths of a light vector, with derivatives, beside hazma 2.2 in the same run.

python benchmarks/bench_vectors.py
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
from hazma.vector_mediator import KineticMixingGeV
from timing import first, machine, seconds

import bknn
from bknn.vectors.couplings import Couplings, dark_photon, z_like
from bknn.vectors.widths import widths


def total(couplings: Couplings, mass: jax.Array) -> jax.Array:
    """Return the total width in GeV."""
    return widths(couplings, mass).total


def main() -> None:
    bknn.enable_x64()
    print(machine())
    everything = jax.value_and_grad(total, argnums=(0, 1))
    cases = {"all widths": widths, "total width and gradient": everything}
    print(f"{'':28}{'batch':>8}{'compile s':>12}{'us/point':>12}{'best':>10}")
    for name, function in cases.items():
        for batch in (1, 1000, 10_000):
            k = jnp.linspace(1e-4, 1e-3, batch)
            couplings = jax.vmap(lambda x: z_like(x) + dark_photon(x))(k)
            masses = jnp.asarray(np.random.default_rng(1).uniform(0.5, 4.5, batch))
            call = jax.jit(jax.vmap(function))
            compiled = first(call, couplings, masses)
            median, best = (1e6 * x / batch for x in seconds(call, couplings, masses, repeat=100))
            print(f"{name:28}{batch:>8}{compiled:>12.2f}{median:>12.2f}{best:>10.2f}")
    for mass in (0.5, 1.0):
        start = time.perf_counter()
        KineticMixingGeV(1e9, 1e3 * mass, 0.0, 1.0).partial_widths()
        print(f"hazma 2.2, {mass:g} GeV{1e6 * (time.perf_counter() - start):>43.0f}")


if __name__ == "__main__":
    main()
