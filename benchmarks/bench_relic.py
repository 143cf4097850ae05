"""Relic abundance with its derivatives: one point, a batch and its memory, beside diffrax; the log
posterior of the aligned U(1)' with all terms; and a plane of where each of them excludes it.

python benchmarks/bench_relic.py [abundance|posterior|plane]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

# One core: the claims are for one, but for the plane.
if "plane" not in sys.argv:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from timing import first, machine, seconds

import bknn
from bknn import data, models, studies
from bknn.relic.annihilation import Annihilation, Resonance
from bknn.relic.bessel import k2e
from bknn.relic.boltzmann import PLANCK_MASS, TODAY, abundance
from bknn.relic.degrees import degrees
from bknn.relic.kinetic import abundance_kinetic
from bknn.relic.scattering import Scattering, standard_model
from bknn.relic.thermal_average import average, nodes
from bknn.vectors.couplings import dark_photon
from bknn.vectors.hadrons import STRUCTURES
from bknn.vectors.widths import to_fermions, widths

#: m_X, M, epsilon, g_X.
POINT = np.array([0.95, 2.1, 1e-4, 0.1])


def dark_photon_and_x(p: Array) -> Annihilation:
    """Return the annihilation of X through a dark photon."""
    mass, M, epsilon, g_x = p
    couplings = dark_photon(epsilon)

    def visible(w: Array) -> Array:
        low = jnp.minimum(w, 10.0)
        return widths(couplings, low).total * w / low

    width = visible(M[None])[0] + to_fermions(g_x, 0.0, mass, M)
    return Annihilation(mass, g_x, 0.0, Resonance(M, width), visible, breakpoints=STRUCTURES)


def omega(p: Array) -> Array:
    """Return Omega h^2."""
    return abundance(dark_photon_and_x(p)).omega_h2


def omega_kinetic(p: Array) -> Array:
    """Return Omega h^2 with a temperature of X of its own."""
    couplings = dark_photon(p[2])
    plasma = Scattering(p[1], p[3], 0.0, standard_model(couplings.vector, couplings.axial))
    return abundance_kinetic(dark_photon_and_x(p), plasma).omega_h2


def by_diffrax(p: Array, start: float, solver: diffrax.AbstractSolver) -> tuple[Array, Array]:
    """Return Omega h^2 by a solver in ln Y against ln x, and its number of steps."""
    X, g = dark_photon_and_x(p), degrees()
    rule, m = nodes(X), p[0]

    def ln_equilibrium(x: Array) -> Array:
        return jnp.log(45 / jnp.pi**4 * x**2 * k2e(x) / g.held(m / x).entropy) - x

    def slope(t: Array, ln_y: Array, _: None) -> Array:
        x = jnp.exp(t)
        rate = jnp.sqrt(jnp.pi / 45) * PLANCK_MASS * m * g.held(m / x).sqrt_g / (2 * x)
        rate *= average(rule, x[None])[0]
        return -rate * (jnp.exp(ln_y) - jnp.exp(2 * ln_equilibrium(x) - ln_y))

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(slope),
        solver,
        t0=np.log(start),
        t1=np.log(1e7),
        dt0=None,
        y0=ln_equilibrium(jnp.asarray(start)),
        stepsize_controller=diffrax.PIDController(rtol=1e-7, atol=1e-7),
        throw=False,
    )
    return TODAY * m * jnp.exp(solution.ys[-1]), solution.stats["num_steps"]


def row(name: str, call, *arguments, batch: int = 1, repeat: int = 20) -> None:
    compiled = first(call, *arguments)
    median, best = (1e3 * x / batch for x in seconds(call, *arguments, repeat=repeat))
    print(f"{name:36}{compiled:>11.1f}{median:>12.2f}{best:>10.2f}")


def memory() -> float:
    """Return the most memory that this process had so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def of_abundance() -> None:
    p = jnp.asarray(POINT)
    row("Omega h^2", jax.jit(omega), p)
    row("with gradient", jax.jit(jax.value_and_grad(omega)), p)
    points = p * np.random.default_rng(0).uniform(0.99, 1.01, (1024, 4))
    before = memory()
    row(
        "with gradient, 1024 points",
        jax.jit(jax.vmap(jax.value_and_grad(omega))),
        points,
        batch=1024,
        repeat=2,
    )
    print(f"memory of that: {memory() - before:.2f} GB, compilation included")
    few, both = points[:64], jax.value_and_grad(omega_kinetic)
    row("with a temperature of its own", jax.jit(omega_kinetic), p)
    row("the same, gradient", jax.jit(both), p)
    row("the same, 64 points", jax.jit(jax.vmap(omega_kinetic)), few, batch=64, repeat=5)
    row("the same, gradient, 64 points", jax.jit(jax.vmap(both)), few, batch=64, repeat=5)
    ours, freeze_out = float(omega(p)), float(abundance(dark_photon_and_x(p)).x_freeze_out)
    for solver in (diffrax.Kvaerno5(), diffrax.Kvaerno3()):
        for start in (5.0, freeze_out - 5.0):
            call = jax.jit(lambda p, start=start, solver=solver: by_diffrax(p, start, solver))
            row(f"{type(solver).__name__} from x = {start:.1f}", call, p, repeat=2)
            value, steps = call(p)
            print(f"    {int(steps)} steps, {float(value) / ours - 1:+.1e}")


def all_terms() -> tuple[models.Model, list[bknn.Measurement]]:
    """Return the aligned U(1)' and Belle II's counts, every light vector's limits, dark matter."""
    model = models.load("aligned-u1")
    terms = data.load_all(["all-light-vector", "all-dark-matter"], model)
    return model, [data.load("belle2-2025"), *terms]


def of_posterior() -> None:
    analysis = bknn.Analysis(*all_terms(), free=["s_R", "r_X", "m_X"])
    both = jax.value_and_grad(analysis.log_density)
    x = jnp.asarray(analysis.init_vector)
    # The batch first: so its memory is that of a process which does nothing else.
    points = x * jnp.asarray(np.random.default_rng(0).uniform(0.99, 1.01, (1024, len(x))))
    row("posterior, gradient, 1024 points", jax.jit(jax.vmap(both)), points, batch=1024, repeat=2)
    print(f"memory of all that: {memory():.2f} GB, Python and compilation included")
    row("posterior, gradient", jax.jit(both), x)


def of_plane() -> None:
    model, terms = all_terms()
    over = {"s_R": np.geomspace(0.01, 0.95, 100), "G": np.geomspace(1e-5, 1e-2, 100)}
    fixed = {"mass": 2.1, "m_T": 3000.0, "r_X": 12.0}
    for again in ("compilation included", "again, compiled anew but for fits"):
        wall, processor = time.perf_counter(), time.process_time()
        studies.exclusions(model, terms, over, fixed=fixed)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(f"plane of 100 x 100 points, {again}: {wall:.0f} s, of processors {processor:.0f} s")
    print(f"memory of that: {memory():.2f} GB")


PARTS = {"abundance": of_abundance, "posterior": of_posterior, "plane": of_plane}


def main() -> None:
    if len(sys.argv) < 2:  # each in a process of its own, for its memory
        for name in PARTS:
            subprocess.run([sys.executable, __file__, name], check=True)
        return
    bknn.enable_x64()
    print(machine())
    print(f"{'':36}{'compile s':>11}{'ms a point':>12}{'best':>10}")
    PARTS[sys.argv[1]]()


if __name__ == "__main__":
    main()
