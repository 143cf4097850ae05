"""The abundance: micrOMEGAs, diffrax, points of the reference, finer steps, derivatives."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn.relic import boltzmann
from bknn.relic.annihilation import Annihilation, Resonance, from_function
from bknn.relic.bessel import k2e
from bknn.relic.boltzmann import PLANCK_MASS, TODAY, abundance, approximate, remarks
from bknn.relic.degrees import TABLES, degrees
from bknn.relic.thermal_average import sigma_v

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: micrOMEGAs 6.0, Z' of 2.1 GeV: m_X, coupling to a unit charge over 3.02822e-5, g_X; Omega h^2,
#: x_f, and <sigma v> at x = 20 and 1e4 in pb c.
MICROMEGAS = np.array(
    [
        (0.5, 10.0, 0.01, 1670.16, 11.26, 5.06294e-05, 4.88456e-05),
        (0.5, 1.0, 0.01, 36194.2, 9.19, 5.06294e-07, 4.88456e-07),
        (0.5, 10.0, 0.3, 3.47205, 17.66, 0.0455665, 0.043961),
        (0.5, 1.0, 0.3, 235.867, 13.3, 0.000455665, 0.00043961),
        (0.8, 10.0, 0.01, 4.88701, 19.51, 0.110207, 0.00042519),
        (0.8, 1.0, 0.01, 71.935, 16.58, 0.0011068, 4.2519e-06),
        (0.8, 10.0, 0.3, 0.383983, 20.6, 0.626023, 0.382671),
        (0.8, 1.0, 0.3, 22.1052, 16.9, 0.00626024, 0.00382671),
        (0.95, 10.0, 0.01, 0.00936306, 25.66, 201.375, 0.00320952),
        (0.95, 1.0, 0.01, 0.373558, 21.72, 2.02586, 3.20952e-05),
        (0.95, 10.0, 0.3, 0.00793423, 25.7, 207.168, 2.88857),
        (0.95, 1.0, 0.3, 0.343332, 21.74, 2.07169, 0.0288857),
        (1.03, 10.0, 0.01, 6.25485e-05, 29.69, 4312.55, 0.0877608),
        (1.03, 1.0, 0.01, 0.00483956, 25.04, 43.6663, 0.000877608),
        (1.03, 10.0, 0.3, 6.16389e-05, 29.69, 4312.06, 78.9847),
        (1.03, 1.0, 0.3, 0.00484113, 25.02, 43.1212, 0.789847),
    ]
)
PICOBARN_C = 1e-36 * 2.99792458e10

#: Charge, mass and colours of its electron, muon, tau; u, d, s; charm.
PARTONS = [(1, 0.0, 1), (1, 0.1057, 1), (1, 1.777, 1)]
PARTONS += [(2 / 3, 0.1057, 3), (1 / 3, 0.1057, 3), (1 / 3, 0.1057, 3), (2 / 3, 1.2, 3)]


def to_fermion(w, g, mass):
    r = (mass / w) ** 2
    closed = r >= 0.25
    room = jnp.sqrt(jnp.where(closed, 1.0, 1 - 4 * r))
    return jnp.where(closed, 0.0, w / (12 * jnp.pi) * g**2 * (1 + 2 * r) * room)


def partons(w, g):
    return sum(n * to_fermion(w, g * q, mass) for q, mass, n in PARTONS)


def micromegas_model(mass, g, g_x):
    width = partons(2.1, g) + to_fermion(2.1, g_x, mass)
    thresholds = (0.2114, 2.4, 3.554)
    return Annihilation(
        mass, g_x, 0.0, Resonance(2.1, width), lambda w: partons(w, g), breakpoints=thresholds
    )


@pytest.fixture(scope="module")
def points():
    """Exact and approximate results at the points of micrOMEGAs."""

    def both(mass, charge, g_x):
        X = micromegas_model(mass, 3.02822e-5 * charge, g_x)
        return abundance(X), approximate(X), sigma_v(X, 1e4)

    return jax.jit(jax.vmap(both))(*MICROMEGAS[:, :3].T)


def test_micromegas(points):
    """On the narrow pole micrOMEGAs is 0.9 % above the exact <sigma v>, below x_f = 18 its
    approximations cost per cents."""
    found, _, late = points
    off = np.asarray(found.omega_h2) / MICROMEGAS[:, 3] - 1
    assert np.all(np.abs(off) < np.where(MICROMEGAS[:, 0] == 0.5, 0.04, 0.02))
    np.testing.assert_allclose(found.x_freeze_out, MICROMEGAS[:, 4], rtol=0.015)
    average = np.asarray(found.sigma_v_x20) / PICOBARN_C / MICROMEGAS[:, 5]
    assert np.all(np.abs(average - 1) < np.where(MICROMEGAS[:, 0] == 0.5, 1e-5, 0.01))
    off_pole = MICROMEGAS[:, 0] < 1.0
    slow = 0.5 * np.asarray(late) * 0.3893793721e9 / MICROMEGAS[:, 6]
    np.testing.assert_allclose(slow[off_pole], 1.0, rtol=1e-4)


def test_freeze_out_approximation(points):
    """Far from the pole, and where X is slow when it freezes out."""
    found, rough, _ = points
    far = (MICROMEGAS[:, 2] == 0.3) & (MICROMEGAS[:, 0] < 0.9)
    ratio = np.asarray(rough.omega_h2 / found.omega_h2)
    np.testing.assert_allclose(ratio[far], 1.0, rtol=0.1)
    np.testing.assert_allclose(rough.x_freeze_out, found.x_freeze_out, atol=1.0)


def flat(w):
    return 1e-8 * w


def model(p, **more):
    mass, M, width, g_x = p
    return Annihilation(mass, g_x, 0.0, Resonance(M, width), flat, **more)


POINTS = jnp.array(
    [
        (1.0, 2.1, 2.1e-12, 0.1),
        (1.0, 2.1, 1e-5, 0.1),
        (1.0, 2.001, 1e-7, 1e-3),
        (1.0, 2.0, 1e-5, 1e-3),
        (1.0, 1.9999, 1e-4, 0.1),
        (1.0, 1.5, 1e-3, 0.5),
        (0.01, 0.03, 1e-6, 0.03),
        (100.0, 300.0, 3.0, 2.0),
    ]
)


def logs(p, degrees=TABLES[0], **more):
    found = abundance(model(p), degrees, **more)
    return jnp.stack([jnp.log(found.omega_h2), found.x_freeze_out])


def test_twice_the_steps_and_points():
    found, steps, points = (
        np.asarray(jax.jit(jax.vmap(lambda p, more=more: logs(p, **more)))(POINTS))
        for more in ({}, {"refine": 2}, {"points": 12})
    )
    np.testing.assert_allclose(steps[:, 0], found[:, 0], atol=5e-5)
    np.testing.assert_allclose(steps[:, 1], found[:, 1], rtol=2e-5)
    np.testing.assert_allclose(points, found, atol=1e-5)


@pytest.mark.slow
def test_derivatives():
    """Against central differences: on the pole, beside it, below the threshold."""
    values = jax.jit(jax.vmap(logs))
    found = np.asarray(jax.jit(jax.vmap(jax.jacrev(logs)))(POINTS))
    forward = np.asarray(jax.jit(jax.vmap(jax.jacfwd(logs)))(POINTS))
    np.testing.assert_allclose(found, forward, rtol=1e-7, atol=1e-7 * np.abs(found).max())
    mass, M, width, g_x = np.asarray(POINTS).T
    structure = np.hypot(M - 2 * mass, width)
    steps = 1e-3 * np.stack([structure / 2, structure, width, g_x])
    for i, h in enumerate(steps):
        move = np.zeros((len(h), 4))
        move[:, i] = h
        low, below, above, high = (np.asarray(values(POINTS + k * move)) for k in (-2, -1, 1, 2))
        expected = (low - 8 * below + 8 * above - high) / (12 * h[:, None])
        # Rounding: 1e-16 of the masses is 1e-13 of their distance.
        noise = 1e-11 * np.abs(POINTS[:, 1] / structure) / h if i < 2 else 1e-11 / h
        error = np.abs(found[..., i] - expected)
        assert np.all(error < 1e-4 * np.abs(expected) + np.asarray(noise)[:, None]), (i, error)


def test_never_nan():
    shapes = [
        (mass, mass * ratio, mass * ratio * narrow, g)
        for mass in (0.01, 1.0, 1000.0)
        for ratio in (2.0, 2 * (1 + 1e-15), 2 + 1e-9, 2 - 1e-9, 1.95, 0.1, 30.0)
        for narrow in (1e-12, 0.1)
        for g in (0.0, 1e-9, 3.0)
    ]

    def one(p):
        return jnp.log(abundance(model(p, pairs=True)).omega_h2)

    value, slope = jax.jit(lambda p: jax.lax.map(jax.value_and_grad(one), p))(jnp.array(shapes))
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(slope))


@pytest.mark.slow
def test_diffrax():
    """Kvaerno's method in ln Y against ln x, from where Y leaves equilibrium."""
    g = degrees()

    def cross_section(s):
        return 1e-9 * (1 + 2 / s) / jnp.sqrt(1 - 4 / s)

    X = from_function(cross_section, 1.0)
    x_grid = np.exp(np.linspace(np.log(2.0), np.log(1e7), 2000))
    ln_sigma_v = jnp.log(sigma_v(X, x_grid))

    def ln_equilibrium(x):
        return jnp.log(45 / jnp.pi**4 * x**2 * k2e(x) / g.held(1 / x).entropy) - x

    def slope(t, ln_y, _):
        x = jnp.exp(t)
        average = jnp.exp(jnp.interp(t, np.log(x_grid), ln_sigma_v))
        rate = jnp.sqrt(jnp.pi / 45) * PLANCK_MASS * g.held(1 / x).sqrt_g * average / (2 * x)
        return -rate * (jnp.exp(ln_y) - jnp.exp(2 * ln_equilibrium(x) - ln_y))

    found = abundance(X)
    start = found.x_freeze_out - 5.0
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(slope),
        diffrax.Kvaerno5(),
        t0=jnp.log(start),
        t1=np.log(1e7),
        dt0=None,
        y0=ln_equilibrium(start),
        stepsize_controller=diffrax.PIDController(rtol=1e-7, atol=1e-7),
    )
    expected = TODAY * np.exp(float(solution.ys[0]))
    assert float(found.omega_h2) == pytest.approx(expected, rel=1e-4)


def test_majorana():
    """The same cross section: twice the rate, half of the states."""

    def sigma(s):
        return 1e-9 / jnp.sqrt(1 - 4 / s)

    dirac = abundance(from_function(sigma, 1.0))
    majorana = abundance(from_function(sigma, 1.0, majorana=True))
    assert float(dirac.omega_h2 / majorana.omega_h2) == pytest.approx(2.0, rel=0.05)
    assert float(dirac.sigma_v_x20 / majorana.sigma_v_x20) == pytest.approx(0.5)


def test_tables_of_degrees_of_freedom():
    """Their spread: a few per cent, more where QCD is strong."""
    for i, mass in ((7, 100.0), (1, 1.0)):
        assert float(POINTS[i, 0]) == mass
        values = np.array([float(logs(POINTS[i], name)[0]) for name in TABLES])
        assert 1e-3 < np.ptp(values) < 0.1


def test_light_window_of_the_reference():
    """Photon-like couplings, R data: Omega h^2 of a program that was written beside this one."""
    from bknn.vectors.couplings import dark_photon
    from bknn.vectors.widths import to_fermions, widths

    def one(mass, epsilon, g_x):
        g = dark_photon(epsilon)

        def visible(w):
            return jax.vmap(lambda m: widths(g, m).total)(jnp.minimum(w, 10.0))

        width = visible(jnp.array([2.1]))[0] + to_fermions(g_x, 0.0, mass, 2.1)
        X = Annihilation(mass, g_x, 0.0, Resonance(2.1, width), visible)
        return abundance(X).omega_h2

    at = [(0.9, 5e-4, 0.05), (0.98, 1e-4, 0.01), (1.0, 5e-5, 0.3), (1.045, 1e-5, 0.01)]
    found = jax.jit(jax.vmap(one))(*np.array(at).T)
    # It takes R at single energies where `widths` has meson by meson, up to 2 GeV.
    np.testing.assert_allclose(found, [0.2548, 0.08997, 0.10686, 0.08127], rtol=6e-4)


def test_pairs_of_vectors():
    """Heavy X: the coupling that gives 0.12 (5 GeV, 30 GeV), of the reference."""
    for mass, g_x in ((5.0, 0.0509), (30.0, 0.1136)):
        X = Annihilation(mass, g_x, 0.0, Resonance(2.1, 1e-4), lambda w: 1e-14 * w, pairs=True)
        assert float(abundance(X).omega_h2) == pytest.approx(0.12, rel=0.02)


def test_remarks():
    def constant(size, mass=1.0, **more):
        return from_function(lambda s: size / jnp.sqrt(1 - 4 * mass**2 / s), mass, **more)

    def said(X):
        return " ".join(remarks(abundance(X)))

    assert said(constant(1e-9)) == ""
    assert "does not freeze out above m/T = 3" in said(constant(1e-24))
    assert "below 15" in said(constant(1e-15))
    assert "kinetic" in said(constant(1e-9, poles=[Resonance(2.01, 1e-3)]))
    assert "kinetic" not in said(constant(1e-9, poles=[Resonance(2.5, 1e-3)]))
    assert "still annihilates" in said(model((1.0, 2.0, 1e-12, 1e-4)))
    assert "drees-2015 ends at" in said(constant(1e-9, mass=1e5))
    assert "begins at 2e-05 GeV" in said(constant(1e-9, mass=1e-4))


def test_matrix_between_steps():
    """Cubics are exact for cubics, on steps of two lengths."""
    at = boltzmann.grid()
    x = (at.steps[1:] + at.steps[:-1]) / 2
    np.testing.assert_allclose(at.middle @ at.steps**3, x**3, rtol=1e-11)
    np.testing.assert_allclose(np.sum(at.weights / at.late**2), 1 / 100.0 - 1e-9, rtol=1e-8)
