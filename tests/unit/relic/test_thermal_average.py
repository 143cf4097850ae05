"""Thermal averages: narrow poles in closed form, SciPy's quadrature, doubled rules, derivatives."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import kve

from bknn.relic import thermal_average
from bknn.relic.annihilation import Annihilation, Resonance, from_function
from bknn.relic.thermal_average import sigma_v, to_cm3_per_s

X = np.array([2.0, 5.0, 20.0, 60.0, 300.0, 1e4, 1e6, 1e8])


def flat(w):
    return 1e-9 * w


def through(M, width, mass=1.0, g_v=0.1, **more):
    return Annihilation(mass, g_v, 0.0, Resonance(M, width), flat, **more)


@jax.jit
def average(M, width, mass, g_v=0.1):
    return sigma_v(through(M, width, mass, g_v), X)


@pytest.mark.parametrize("narrow", [1e-10, 1e-12])
@pytest.mark.parametrize("M", [2.001, 2.02, 2.1, 3.0])
def test_narrow_pole(M, narrow):
    """Where temperatures reach the pole, it is all that there is, up to its tails."""
    x = X[np.log(1e-9 / narrow) > X * (M - 2)]
    beta = np.sqrt(1 - 4 / M**2)
    expected = 0.01 * (1 + 2 / M**2) / beta * np.pi * flat(M) / (M * narrow) * (M**2 - 4) * M
    expected *= kve(1, M * x) * np.exp(-(M - 2) * x) * x / (8 * kve(2, x) ** 2)
    found = np.asarray(average(M, M * narrow, 1.0))[: len(x)]
    assert np.all(np.abs(found / expected - 1) < 2e-7 + 5 * narrow / (M - 2))


@pytest.mark.parametrize(
    ("M", "width"), [(2.1, 0.05), (1.9, 0.01), (2.0, 0.1), (0.5, 0.01), (3.0, 0.2), (40.0, 1.0)]
)
def test_against_quadrature(M, width):
    """SciPy's integral over s, as the formula is written in textbooks."""
    sigma = through(M, width).sigma

    def integral(x):
        def integrand(e):  # sqrt(s) - 2 m in units of T
            w = 2 + e / x
            s = w**2
            bessel = kve(1, w * x) * np.exp(-e) / kve(2, x) ** 2
            return float(sigma(s)) * (s - 4) * w * bessel * x / 8 * 2 * w / x

        scale = sorted({0.0, 0.01, 0.3, 2.0, 10.0, 60.0} | {float(np.clip((M - 2) * x, 0, 60))})
        return sum(
            quad(integrand, a, b, epsabs=0, epsrel=1e-7)[0] for a, b in itertools.pairwise(scale)
        )

    for x in (2.0, 30.0):
        assert float(sigma_v(through(M, width), x)) == pytest.approx(integral(x), rel=5e-6)


SHAPES = [
    (M, narrow)
    for M in (2.0, 2.0 * (1 + 1e-13), 2.0 + 1e-9, 2.0 - 1e-9, 2.0 + 1e-4, 2.1, 1.9, 0.5, 6.0, 100.0)
    for narrow in (1e-12, 1e-8, 1e-4, 0.1)
]


@jax.jit
@jax.vmap
def doubled(M, width):
    X_ = through(M, width)
    return sigma_v(X_, X), sigma_v(X_, X, points=12)


def test_twice_the_points():
    M, narrow = jnp.array(SHAPES).T
    found, finer = doubled(M, M * narrow)
    np.testing.assert_allclose(found, finer, rtol=5e-6)
    assert np.all(np.asarray(found) > 0)


@pytest.mark.parametrize("scale", [0.01, 1000.0])
def test_scales(scale):
    """<sigma v> of masses that are all multiplied by a number, of a width in proportion to them."""
    a = np.asarray(average(2.1, 1e-7, 1.0))
    b = np.asarray(average(2.1 * scale, 1e-7 * scale, scale))
    np.testing.assert_allclose(b * scale**2, a, rtol=1e-9)


@pytest.mark.parametrize(
    ("M", "narrow"),
    [
        (2.1, 1e-10),
        (2.1, 1e-4),
        (2.0, 1e-8),
        (2.0, 1e-3),
        (2.0001, 1e-4),
        (1.9999, 1e-8),
        (1.9, 1e-3),
    ],
)
def test_derivatives(M, narrow):
    """Central differences in mass and width of the vector, mass and coupling of X."""

    def logs(p):
        return jnp.log(sigma_v(through(*p), X))

    at = jnp.array([M, M * narrow, 1.0, 0.1])
    found = jax.jit(jax.jacrev(logs))(at)
    forward = jax.jit(jax.jacfwd(logs))(at)
    assert np.all(np.abs(found - forward) < 1e-9 * np.abs(found).max(0))
    # A step must be small against the distance from the threshold and the width.
    structure = np.hypot(M - 2.0, M * narrow)
    steps = 1e-3 * np.array([structure, M * narrow, structure / 2, 0.1])
    call = jax.jit(logs)
    for i, h in enumerate(steps):
        e = np.zeros(4)
        e[i] = h
        values = [np.asarray(call(at + k * e)) for k in (-2, -1, 1, 2)]
        expected = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
        error = np.abs(np.asarray(found[:, i]) - expected)
        allowed = 1e-4 * np.abs(expected) + 1e-5 * np.abs(expected).max() + 1e-13 / h
        assert np.all(error < allowed), (i, error)


def test_second_derivatives_are_finite():
    def logs(p):
        return jnp.sum(jnp.log(sigma_v(through(*p), X[:3])))

    bent = jax.jit(jax.hessian(logs))
    for M in (2.1, 2.0, 1.9):
        assert np.all(np.isfinite(bent(jnp.array([M, M * 1e-6, 1.0, 0.1]))))


def test_temperature_may_be_traced():
    X_ = through(2.1, 1e-5)
    slope = jax.grad(lambda x: sigma_v(X_, x))(20.0)
    expected = (sigma_v(X_, 20.001) - sigma_v(X_, 19.999)) / 0.002
    assert float(slope) == pytest.approx(float(expected), rel=1e-6)


def test_a_step_and_two_poles():
    """Of a function of one's own: a threshold and a second resonance are resolved."""
    poles = (Resonance(2.1, 1e-5), Resonance(2.5, 1e-6))

    def sigma(s, which=poles):
        return sum(1e-12 / ((s - z.mass**2) ** 2 + (z.mass * z.width) ** 2) for z in which)

    both = from_function(sigma, 1.0, poles)
    parts = [from_function(lambda s, z=z: sigma(s, (z,)), 1.0, (z,)) for z in poles]
    together = sum(np.asarray(sigma_v(part, X[:5])) for part in parts)
    np.testing.assert_allclose(sigma_v(both, X[:5]), together, rtol=1e-6)

    step = from_function(lambda s: 1e-9 * (s > 2.3**2), 1.0, breakpoints=(2.3,))
    for x in (5.0, 20.0):  # int ds (s - 4) sqrt(s) K_1(sqrt(s) x) in closed form would need K_3
        w = np.linspace(2.3, 2.3 + 40 / x, 20001)
        y = 2 * w**2 * (w**2 - 4) * kve(1, w * x) * np.exp(-(w - 2) * x) * x / (8 * kve(2, x) ** 2)
        assert float(sigma_v(step, x)) == pytest.approx(1e-9 * np.trapezoid(y, w), rel=1e-6)


def test_units():
    assert float(to_cm3_per_s(1.0)) == pytest.approx(1.97327e-14**2 * 2.99792e10, rel=1e-5)


def parts(p):
    """<sigma v> of p = (M, width, m, g): with a cross section of many parts at each energy."""

    def visible(w):
        return jnp.sum(1e-9 * w[:, None] / (1.0 + jnp.outer(w, np.arange(40.0))), axis=1)

    return sigma_v(Annihilation(p[2], p[3], 0.0, Resonance(p[0], p[1]), visible), X)


@pytest.mark.parametrize(("energies", "temperatures"), [(7, 3), (10_000, 10_000)])
def test_however_many_at_a_time(energies, temperatures, monkeypatch):
    points = np.random.default_rng(1).uniform(0.9, 1.1, (3, 4)) * [2.1, 1e-3, 1.0, 0.1]
    points[0, 0] = 1.5  # a pole below the threshold

    def both(points):
        def one(p):
            value, pull = jax.vjp(parts, p)
            return value, pull(1.0 / value)[0]

        return jax.jit(jax.vmap(one))(points)

    usual = both(points)
    monkeypatch.setattr(thermal_average, "_ENERGIES", energies)
    monkeypatch.setattr(thermal_average, "_AT_A_TIME", temperatures)
    for mine, other in zip(usual, both(points), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10)


def test_what_a_batch_with_derivatives_needs():
    """What is computed at each energy is not kept for derivatives: 0.1 MB a point, not 0.4."""
    points = np.tile([2.1, 1e-3, 1.0, 0.1], (64, 1))
    program = jax.jit(jax.vmap(jax.grad(lambda p: jnp.sum(jnp.log(parts(p))))))
    memory = program.lower(points).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 64 * 0.15e6
