"""The abundance with a temperature of X of its own, and what it is made of."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.interpolate import CubicSpline
from scipy.special import kve

from bknn.relic.annihilation import Annihilation, Resonance
from bknn.relic.boltzmann import PLANCK_MASS, TODAY
from bknn.relic.degrees import degrees
from bknn.relic.kinetic import abundance_kinetic
from bknn.relic.moments import averages, relativistic, sigma_v_2
from bknn.relic.scattering import SPACING, Scattering, standard_model
from bknn.relic.thermal_average import nodes, sigma_v

CHARGE = np.array([-1.0] * 3 + [0.0] * 3 + [2 / 3, -1 / 3, -1 / 3] + [2 / 3, -1 / 3, 2 / 3])
E, M = np.sqrt(4 * np.pi / 137.036), 2.1
STANDARD = degrees()


class Times(eqx.Module):
    """Another scattering, so many times as fast."""

    scattering: Scattering
    factor: jax.Array

    def rate(self, temperature, mass):
        return self.factor * self.scattering.rate(temperature, mass)


def photon_like(m, mixing, g):
    """Return annihilation and scattering of a photon-like vector of 2.1 GeV, hadrons 2.2 muons."""

    def visible(w):
        return mixing**2 * E**2 / (12 * np.pi) * w * 4.2

    r = m**2 / M**2
    width = g**2 * M / (12 * np.pi) * (1 + 2 * r) * jnp.sqrt(jnp.maximum(1 - 4 * r, 0.0))
    annihilation = Annihilation(m, g, 0.0, Resonance(M, width + visible(M)), visible)
    return annihilation, Scattering(M, g, 0.0, standard_model(mixing * E * CHARGE, 0 * CHARGE))


@eqx.filter_jit
def solved(m, mixing, g, factor=1.0, steps=400):
    annihilation, scattering = photon_like(m, mixing, g)
    return abundance_kinetic(annihilation, Times(scattering, factor), STANDARD, steps=steps)


def find(m, mixing, g, factor=1.0):
    return solved(*(jnp.asarray(float(v)) for v in (m, mixing, g, factor)))


# --- elastic scattering


def gammas():
    """Return Dirac's matrices and gamma5."""
    sigma = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    zero, one = np.zeros((2, 2)), np.eye(2)
    space = [np.block([[zero, s], [-s, zero]]) for s in sigma]
    matrices = np.array([np.block([[one, zero], [zero, -one]]), *space])
    return matrices, np.block([[zero, one], [one, zero]])


@pytest.mark.parametrize("of_x", [(0.3, 0.0), (0.0, 0.3)])
@pytest.mark.parametrize("of_f", [(0.2, 0.0), (0.0, 0.2), (0.2, 0.2)])
def test_squared_amplitude_is_that_of_traces(of_x, of_f):
    """Explicit matrices and momenta; f and fbar are averaged, so that odd terms are gone."""
    (g, g5), metric = gammas(), np.diag([1.0, -1, -1, -1])
    m, mf, heavy, omega, cosine = 1.3, 0.4, 0.8, 0.9, 0.3  # X at rest; cosine of the scattered f
    k = np.sqrt(omega**2 - mf**2)
    for back in np.linspace(0.05, 0.95, 5):
        s = m**2 + mf**2 + 2 * m * omega
        tau = back * 4 * m**2 * k**2 / s
        after = omega - tau / (2 * m)
        k_after = np.sqrt(after**2 - mf**2)
        cosine = (omega * after - mf**2 - tau / 2) / (k * k_after)
        p1, k1 = np.array([m, 0, 0, 0]), np.array([omega, 0, 0, k])
        k2 = np.array([after, k_after * np.sqrt(1 - cosine**2), 0, k_after * cosine])
        p2 = p1 + k1 - k2
        q = p1 - p2

        def slash(p):
            return np.einsum("m,mij->ij", metric @ p, g)

        def tensor(first, second, mass, v, a):
            vertex = [v * x - a * x @ g5 for x in g]
            other = [v * x - a * x @ g5 for x in g]
            left, right = slash(second) + mass * np.eye(4), slash(first) + mass * np.eye(4)
            return np.array([[np.trace(left @ x @ right @ y) for y in other] for x in vertex])

        exchange = -metric + np.outer(metric @ q, metric @ q) / heavy**2
        total = 0.0
        for sign in (1, -1):  # fbar: the axial coupling changes its sign relative to the vector
            x = tensor(p1, p2, m, *of_x)
            f = tensor(k1, k2, mf, of_f[0], sign * of_f[1])
            total += np.einsum("ab,ma,nb,mn->", f, exchange, exchange, x) / (heavy**2 + tau) ** 2
        found = squared(of_x, of_f, m, mf, heavy, omega, tau)
        assert found == pytest.approx(total.real / 2, rel=1e-10)


def squared(of_x, of_f, m, mf, heavy, omega, tau):
    """Return sum |M|^2 as the docstring of `scattering` has it."""
    pp, kk, S = m**2 + tau / 2, mf**2 + tau / 2, 2 * m * omega
    U, total = tau - 2 * m * omega, 0.0
    for x, c_x in zip(of_x, (tau / 2, 2 * m**2 + tau / 2), strict=True):
        for f, c_f in zip(of_f, (tau / 2, 2 * mf**2 + tau / 2), strict=True):
            total += (x * f) ** 2 * (
                (S**2 + U**2) / 2 - 2 * c_f * pp - 2 * c_x * kk + 4 * c_x * c_f
            )
    total *= 16
    total += (of_x[1] * of_f[1] * m * mf) ** 2 * 64 * tau * (2 / heavy**2 + tau / heavy**4)
    return total / (heavy**2 + tau) ** 2


@pytest.mark.parametrize("T", [0.01, 0.05, 0.12])
@pytest.mark.parametrize("x", [(0.3, 0.0), (0.0, 0.3)])
def test_rate_is_the_integral(T, x):
    """Electrons, muons, pions; adaptive quadrature of the formula."""
    m, vector, axial = 1.0, 1e-3 * CHARGE, 4e-4 * np.ones(12)
    found = Scattering(M, *x, standard_model(vector, axial)).each(T, m)

    def integral(mf, v, a, scalar=False, size=0.0):
        def inner(omega):
            def at(tau):
                if scalar:
                    c_x = tau / 2 + (2 * m**2 if x[1] else 0.0)
                    spin = 4 * ((4 * m * omega - tau) ** 2 / 2 - (4 * mf**2 + tau) * c_x)
                    value = (max(x) * v) ** 2 * spin / (M**2 + tau) ** 2
                    return tau * value / (1 + size * tau) ** 2
                return tau * squared(x, (v, a), m, mf, M, omega, tau)

            s = m**2 + mf**2 + 2 * m * omega
            return quad(at, 0, 4 * m**2 * (omega**2 - mf**2) / s, epsrel=1e-8)[0] / 8

        def at(omega):
            n = 1 / (np.exp(omega / T) - (1 if scalar else -1))
            return n * (1 + n if scalar else 1 - n) * inner(omega)

        return quad(at, mf, mf + 40 * T, epsrel=1e-7)[0] / (96 * np.pi**3 * m**3 * T) * 2

    assert found[0] == pytest.approx(integral(0.000511, vector[0], axial[0]), rel=2e-5)
    assert found[1] == pytest.approx(integral(0.10566, vector[1], axial[1]), rel=2e-5)
    here = 1 / (1 + np.exp(np.log(T / 0.1565) / 0.1))
    pion = integral(0.13957, 1e-3, 0.0, True, (0.659 / 0.1973269804) ** 2 / 6)
    assert found[12] == pytest.approx(here * pion, rel=2e-5)


def test_rate_on_massless_fermions_is_known():
    """gamma = 62 pi^3 g_X^2 g_f^2 T^6/(189 m M^4) for heavy X and Z', by hand."""
    only = standard_model(1e-3 * np.eye(12)[0], np.zeros(12))._replace(mass=jnp.zeros(15))
    found = Scattering(1e4, 0.3, 0.0, only).rate(1e-3, 1e4)
    by_hand = 62 * np.pi**3 * (0.3e-3) ** 2 * 1e-18 / (189 * 1e4 * 1e16)
    assert found == pytest.approx(by_hand, rel=1e-5)
    left = 1e-3 * np.eye(12)[3]  # a neutrino: half of the spins, twice the coupling squared
    neutrino = Scattering(1e4, 0.3, 0.0, standard_model(left, left)).rate(1e-3, 1e4)
    assert neutrino == pytest.approx(2 * by_hand, rel=1e-5)


# --- moments


@pytest.mark.parametrize(("x", "accuracy"), [(4.0, 2e-5), (20.0, 1e-8), (60.0, 1e-8)])
def test_moments_are_those_of_two_gases(x, accuracy):
    """Three-dimensional sums over both momenta and the angle, on a pole that they resolve."""
    X = Annihilation(1.0, 0.3, 0.0, Resonance(2.1, 0.1), lambda w: 1e-6 * w)
    t, w = np.polynomial.legendre.leggauss(80)
    half = np.sqrt((1 + 40 / x) ** 2 - 1) / 2
    p, w_p = (t + 1) * half, w * half
    cosine, w_c = np.polynomial.legendre.leggauss(80)
    p1, p2, c = np.meshgrid(p, p, cosine, indexing="ij", sparse=True)
    e, e1, e2 = (np.sqrt(1 + q**2) for q in (p, p1, p2))
    s = 2 + 2 * (e1 * e2 - p1 * p2 * c)
    flux = np.asarray(X.sigma(s)) * np.sqrt(s * (s - 4)) / 2 / (e1 * e2)
    each = w_p * p**2 * np.exp(-(e - 1) * x)
    pairs = np.einsum("ijk,j,k->i", flux, each, w_c / 2)
    norm, weight = each.sum(), x * p**2 / (3 * e)
    found = averages(nodes(X), jnp.array([x]))[0]
    assert found[0] == pytest.approx((pairs * each).sum() / norm**2, rel=accuracy)
    assert found[1] == pytest.approx((pairs * each * weight).sum() / norm**2, rel=accuracy)
    assert relativistic(x) == pytest.approx((each * p**4 / e**3).sum() / norm * x / 3, rel=1e-5)


def test_slow_average_follows_from_the_plain_one():
    """<sigma v>_2/<sigma v> = 1 + (1/3) d ln <sigma v>/d ln T, of slow X."""
    X = Annihilation(1.0, 0.01, 0.0, Resonance(2.0004, 1e-9), lambda w: 1e-12 * w)
    x = np.array([3e3, 3e4, 3e5])
    slope = jax.vmap(jax.grad(lambda y: jnp.log(sigma_v(X, jnp.exp(y)))))(np.log(x))
    ratio = sigma_v_2(X, x) / sigma_v(X, x)
    np.testing.assert_allclose(ratio, 1 - slope / 3, rtol=2e-3)


# --- the abundance


def test_free_gas_keeps_its_momenta():
    """Without annihilation that matters T_X/s^(2/3) is constant when X is slow, and Y always is."""
    found = find(1.0, 1e-20, 1e-20, 0.0)
    np.testing.assert_allclose(found.Y / found.Y[0], 1.0, rtol=1e-12)
    x = np.asarray(found.x)
    momentum = found.temperature / x / (STANDARD.held(1 / x).entropy / x**3) ** (2 / 3)
    late = x > 1e4
    np.testing.assert_allclose(momentum[late] / momentum[-1], 1.0, rtol=1e-3)
    assert found.converged


@pytest.mark.parametrize("factor", [1.0, 1e8])
def test_equations_are_solved(factor):
    """Against SciPy's Radau in ln Y/Y_eq and theta, from the same averages and rate."""
    point = (0.98, 1e-4, 0.01)
    annihilation, scattering = photon_like(*point)
    ln_x = np.linspace(np.log(1.0), np.log(1e11), 1200)
    plain, second = np.asarray(averages(nodes(annihilation), jnp.asarray(np.exp(ln_x)))).T
    one, two = CubicSpline(ln_x, np.log(plain)), CubicSpline(ln_x, np.log(second))
    R = CubicSpline(ln_x, np.asarray(relativistic(np.exp(ln_x))))
    m, lx = point[0], np.linspace(np.log(5.0), np.log(1e6), 1500)
    x, T = np.exp(lx), m / np.exp(lx)
    g = STANDARD.held(T)
    j = np.asarray(g.sqrt_g * np.sqrt(g.energy) / g.entropy)
    hubble = np.sqrt(8 * np.pi**3 / 90 * np.asarray(g.energy)) * T**2 / PLANCK_MASS
    ln_equilibrium = np.log(45 / np.pi**4 * x**2 * kve(2, x) / g.entropy) - x
    ln_front = np.log(np.sqrt(np.pi / 45) * PLANCK_MASS * m * g.sqrt_g / x / 2) + ln_equilibrium
    elastic = factor * np.asarray(scattering.rate(T, m)) * j / hubble
    given = CubicSpline(lx, np.stack([ln_front, ln_equilibrium, j, elastic]), axis=1)
    falling = given.derivative()

    def slopes(at, z):
        """Differences from equilibrium keep their digits."""
        front, _, dilution, elastic = given(at)
        cold = at - z[1]
        lost = np.exp(front + one(cold) + z[0])
        back = one(at) - one(cold) - 2 * z[0]  # ln of made/lost
        both = np.exp(back) * np.expm1(two(at) - one(at) - z[1]) - np.expm1(two(cold) - one(cold))
        d = 1 - dilution * (2 - R(cold)) + elastic * np.expm1(-z[1]) + lost * both
        return [lost * np.expm1(back) - falling(at)[1], d]

    def jacobian(at, z, step=1e-6):
        sides = [np.subtract(slopes(at, z + d), slopes(at, z - d)) for d in step * np.eye(2)]
        return np.transpose(sides) / (2 * step)

    run = solve_ivp(
        slopes, (lx[0], lx[-1]), [0.0, 0.0], method="Radau", jac=jacobian, rtol=1e-6, atol=1e-7
    )
    assert run.success
    found = find(*point, factor)
    assert found.converged
    expected = TODAY * m * np.exp(run.y[0, -1] + ln_equilibrium[-1])
    assert found.omega_h2 == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "point", [(0.9, 5e-4, 0.05), (0.98, 1e-4, 0.01), (1.0, 5e-5, 0.3), (1.0495, 3e-6, 1e-3)]
)
def test_steps_do_not_matter(point):
    m, mixing, g = (jnp.asarray(v) for v in point)
    finer = solved(m, mixing, g, jnp.ones(()), 800).omega_h2
    assert find(*point).omega_h2 == pytest.approx(float(finer), rel=5e-4)


def test_derivatives_are_those_of_differences():
    """Gradients in a batch, and what fits make of them, a Hessian; also next to the pole."""

    def ln_omega(p):
        annihilation, scattering = photon_like(p[0], p[1], p[2])
        return jnp.log(abundance_kinetic(annihilation, scattering, STANDARD).omega_h2)

    points = np.array([(0.98, 1e-4, 0.01), (1.0, 5e-5, 0.3), (1.0495, 4e-6, 0.03)])
    h = points * np.where(np.arange(3)[None] > 0, 1e-6, 1e-4 * (1.05 - points[:, :1]))
    far = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    at = points[:, None] + far[None] * h[:, None]
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(ln_omega)))(jnp.asarray(at.reshape(-1, 3)))
    value, slopes = value.reshape(3, 7), slope.reshape(3, 7, 3)
    slope = slopes[:, 0]
    np.testing.assert_allclose(slope, (value[:, 1:4] - value[:, 4:]) / (2 * h), rtol=1e-5)
    hessian = jax.jit(jax.jacfwd(jax.grad(ln_omega)))(jnp.asarray(points[2]))
    by_differences = (slopes[2, 1:4] - slopes[2, 4:]) / (2 * h[2][:, None])
    np.testing.assert_allclose(hessian, by_differences, rtol=1e-3)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-6)
    forward = jax.jit(jax.jacfwd(ln_omega))(jnp.asarray(points[2]))
    np.testing.assert_allclose(forward, slope[2], rtol=1e-9)


def test_table_of_rates_is_that_of_rates():
    """Partners of all kinds, at temperatures on either side of the crossover."""
    X = Scattering(M, 0.3, 0.1, standard_model(1e-3 * CHARGE, 4e-4 * np.ones(12)))
    parts, T = X.parts(0.5, 1.0, 30), 0.5 * np.exp(-SPACING * np.arange(30))
    rates = eqx.filter_jit(X.rate)(T, 1.0)
    np.testing.assert_allclose(jnp.sum(parts * X.there(T), axis=-1), rates, rtol=3e-6)


@pytest.mark.parametrize("point", [(0.98, 1e-4, 0.01), (1.0, 5e-5, 0.3), (1.2, 1e-3, 0.1)])
def test_scattering_of_ones_own_is_tabulated_finer(point):
    own, ours = find(*point), eqx.filter_jit(abundance_kinetic)(*photon_like(*point), STANDARD)
    assert ours.omega_h2 == pytest.approx(float(own.omega_h2), rel=2e-5)
    assert ours.x_kinetic == own.x_kinetic


def test_numbers_are_finite_everywhere():
    """On the pole, below it, at once: a batch of masses, widths of 1e-12 to 0.1."""
    m = jnp.array([0.01, 0.5, 1.049999, 1.05, 1.0500001, 1.06, 3.0, 1000.0])
    for mixing, g in [(1e-8, 1e-6), (1e-3, 0.1), (0.3, 3.0)]:
        found = eqx.filter_vmap(solved, in_axes=(0, None, None))(
            m, jnp.asarray(mixing), jnp.asarray(g)
        )
        for part in (found.omega_h2, found.Y, found.temperature, found.x_departure):
            assert np.all(np.isfinite(part))
        assert np.all(found.converged)


@pytest.mark.parametrize(
    "point",
    [(0.5, 1e-3, 0.5), (0.98, 1e-4, 0.01), (1.0, 5e-5, 0.3), (1.045, 1e-5, 0.01), (1.2, 1e-3, 0.1)],
)
def test_fast_scattering_is_the_standard_treatment(point):
    """At 1e16 times its rate X has the temperature of the plasma."""
    assert find(*point, 1e16).ratio == pytest.approx(1.0, abs=3e-4)


def test_what_published_work_says():
    """Early decoupling above the pole's reach leaves more X, up to an order of magnitude."""
    found = find(0.98, 1e-4, 0.01)
    assert 5 < found.ratio < 15
    assert 10 < found.x_kinetic < 20
    assert 1.2 < find(1.0448, 8.4e-6, 0.3).ratio < 2
