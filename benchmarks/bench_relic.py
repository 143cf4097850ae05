"""Relic abundance with its derivatives: one point, a batch and its memory, beside diffrax.

python benchmarks/bench_relic.py
"""

from __future__ import annotations

import os
import resource

# One core: the claims are for one.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from timing import first, machine, seconds

import bknn
from bknn.relic.annihilation import Annihilation, Resonance
from bknn.relic.bessel import k2e
from bknn.relic.boltzmann import PLANCK_MASS, TODAY, abundance
from bknn.relic.degrees import degrees
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


def main() -> None:
    bknn.enable_x64()
    print(machine())
    print(f"{'':36}{'compile s':>11}{'ms a point':>12}{'best':>10}")
    p = jnp.asarray(POINT)
    row("Omega h^2", jax.jit(omega), p)
    row("with gradient", jax.jit(jax.value_and_grad(omega)), p)
    points = p * np.random.default_rng(0).uniform(0.99, 1.01, (1024, 4))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row(
        "with gradient, 1024 points",
        jax.jit(jax.vmap(jax.value_and_grad(omega))),
        points,
        batch=1024,
        repeat=2,
    )
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"memory of that: {more / 1e6:.2f} GB")
    ours, freeze_out = float(omega(p)), float(abundance(dark_photon_and_x(p)).x_freeze_out)
    for solver in (diffrax.Kvaerno5(), diffrax.Kvaerno3()):
        for start in (5.0, freeze_out - 5.0):
            call = jax.jit(lambda p, start=start, solver=solver: by_diffrax(p, start, solver))
            row(f"{type(solver).__name__} from x = {start:.1f}", call, p, repeat=2)
            value, steps = call(p)
            print(f"    {int(steps)} steps, {float(value) / ours - 1:+.1e}")


if __name__ == "__main__":
    main()
