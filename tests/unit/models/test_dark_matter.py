"""The dark fermion of models with a light vector: abundance, annihilation, scattering."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import data, models
from bknn.parameters import point
from bknn.prediction.derived import derived_quantities, quantities

bknn.enable_x64()

NAMES = (
    "omega_h2", "x_freeze_out", "pole_distance", "sigma_v_x20", "sigma_v_today", "p_ann",
    "dark_matter_fraction", "sigma_xe", "sigma_ar", "sigma_cawo4", "sigma_p", "sigma_n",
)  # fmt: skip


@pytest.fixture(scope="module")
def of():
    """{model: function of values of some parameters -> {quantity: number}}, compiled once."""

    def made(name):
        model = models.load(name)
        program = jax.jit(lambda values: quantities(model, NAMES, values))

        def at(**values):
            every = {k: jnp.asarray(v, float) for k, v in point(model, values).items()}
            return {k: float(x) for k, x in program(every).items()}

        return at

    return {name: made(name) for name in ("dark-photon", "aligned-u1")}


#: The public points with a scale above m_t: what was given, Omega h^2, <sigma v> at x = 20 and
#: at rest, and P_ann with f_eff of electrons for all that is visible (independent code, R data that
#: were smoothed differently: some per cent at rest).
POINTS = [
    (
        {"m_T": 1500, "s_R": 0.1, "G": 0.003, "m_X": 0.95},
        35.52, 2.00713e-28, 3.901e-32, 1.18597e-32,
    ),
    (
        {"m_T": 3000, "s_R": 0.3, "G": 3e-4, "m_X": 0.9},
        111.238, 3.81192e-29, 2.96902e-34, 9.7899e-35,
    ),
    (
        {"m_T": 1e4, "s_R": 0.3, "G": 1.53818e-4, "m_X": 0.95},
        33.1133, 2.19314e-28, 1.1207e-34, 3.41407e-35,
    ),
    (
        {"m_T": 1e4, "s_R": 0.077, "G": 0.00239, "m_X": 0.9, "Lambda": 1.22089e19},
        0.119759, 5.03958e-25, 2.49814e-28, 1.15446e-28,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "omega", "early", "late", "cautious"), POINTS)
def test_public_points(of, given, omega, early, late, cautious):
    found = of["aligned-u1"](r_X=12, **given)
    assert found["omega_h2"] == pytest.approx(omega, rel=1e-3)
    assert found["sigma_v_x20"] == pytest.approx(early, rel=1e-3, abs=0)
    assert found["sigma_v_today"] == pytest.approx(late, rel=0.06, abs=0)
    assert 0.7 * cautious < found["p_ann"] < cautious


#: Photon-like couplings with R data: eps, g_X, m_X -> Omega h^2 (independent code).
PHOTON = [
    (1e-3, 0.5, 0.5, 0.6757), (1e-3, 0.1, 0.8, 1.916), (5e-4, 0.05, 0.9, 0.2548),
    (1e-4, 0.01, 0.98, 0.08997), (5e-5, 0.3, 1.0, 0.10686), (1e-5, 0.01, 1.045, 0.08127),
]  # fmt: skip


@pytest.mark.parametrize(("epsilon", "g_X", "m_X", "omega"), PHOTON)
def test_photon_like(of, epsilon, g_X, m_X, omega):
    found = of["dark-photon"](mass=2.1, epsilon=epsilon, g_X=g_X, m_X=m_X)
    assert found["omega_h2"] == pytest.approx(omega, rel=0.02 if m_X > 0.6 else 0.1)


MASSES = (0.0, 1e-3, 0.05, 1.05, 1.049999, 1.0500001, 1.9, 2.1, 5.0, 100.0, 1e4)


@pytest.mark.parametrize("m_X", MASSES)
@pytest.mark.parametrize("epsilon", [1e-9, 1e-3])
def test_never_no_number(of, m_X, epsilon):
    found = of["dark-photon"](mass=2.1, epsilon=epsilon, g_X=0.1, m_X=m_X)
    assert all(np.isfinite(x) for x in found.values()), found
    assert found["omega_h2"] > 0.0


def test_heavy_dark_matter_annihilates_into_two_vectors(of):
    """<sigma v>(X Xbar -> Z'Z') = g^4 (1 - r)^(3/2)/(16 pi m^2 (1 - r/2)^2)."""
    g, m, M = 0.0509, 5.0, 2.1
    found = of["dark-photon"](mass=M, epsilon=1e-8, g_X=g, m_X=m)
    r = (M / m) ** 2
    rate = g**4 * (1 - r) ** 1.5 / (16 * np.pi * m**2 * (1 - r / 2) ** 2) / 2 * 1.16733e-17
    assert found["sigma_v_today"] == pytest.approx(rate, rel=1e-3, abs=0)
    assert found["omega_h2"] == pytest.approx(0.12, rel=0.02)


def test_what_is_not_thermal_is_all_dark_matter(of):
    given = {"mass": 2.1, "epsilon": 1e-3, "g_X": 0.5, "m_X": 0.97}
    part = of["dark-photon"](**given)
    assert part["dark_matter_fraction"] == pytest.approx(part["omega_h2"] / 0.12, rel=1e-9)
    whole = of["dark-photon"](**given, thermal=0.0)
    assert whole["dark_matter_fraction"] == 1.0
    assert whole["omega_h2"] == part["omega_h2"]


@pytest.mark.parametrize("m_X", [0.95, 1.0499, 1.06])
def test_derivatives(m_X):
    """d ln Omega/d ln(each parameter) against differences, on the pole too."""
    model = models.load("dark-photon")
    names = ("mass", "epsilon", "g_X", "m_X")

    @jax.jit
    def log_omega(logs):
        values = {**point(model, {}), **dict(zip(names, jnp.exp(logs), strict=True))}
        return jnp.log(quantities(model, ("omega_h2",), values)["omega_h2"])

    at = jnp.log(jnp.array([2.1, 3e-4, 0.02, m_X]))
    exact = jax.jit(jax.grad(log_omega))(at)
    for i, step in enumerate((1e-7, 1e-4, 1e-4, 1e-7)):
        moved = [log_omega(at.at[i].add(k * step)) for k in (-2, -1, 1, 2)]
        slope = (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * step)
        assert float(exact[i]) == pytest.approx(float(slope), rel=2e-4, abs=2e-4)


def test_nearness_of_the_pole_is_told():
    model = models.load("dark-photon")
    with pytest.warns(UserWarning, match="kinetic equilibrium"):
        bknn.predict(model, "omega_h2", params={"m_X": 1.02})
    with pytest.warns(UserWarning, match="nearer end"):
        bknn.predict(model, "omega_h2", params={"m_X": 5e-3})


def test_all_data_on_dark_matter_meet_both_models():
    for name in ("dark-photon", "aligned-u1"):
        model = models.load(name)
        assert not data.left_out(["all-dark-matter"], model)
        assert data.load_all(["all-dark-matter"], model)


def test_a_temperature_of_its_own_leaves_more_of_it():
    """The abundance of a narrow resonance grows (arXiv:1706.07433); 1.57 with the exact rate of
    scattering, 1.22 with that of slow X, in independent code for a neighbouring point."""
    usual, model = models.load("dark-photon"), models.load("dark-photon", kinetic=True)
    names = ("omega_h2", "dark_matter_fraction", "kinetic_ratio", "x_kinetic", "p_ann")
    given = point(model, {"mass": 2.1, "epsilon": 5e-4, "g_X": 0.05, "m_X": 0.9})
    found = jax.jit(lambda values: quantities(model, names, values))(given)
    before = jax.jit(lambda values: quantities(usual, ("omega_h2", "p_ann"), values))(given)
    assert 1.3 < found["kinetic_ratio"] < 1.75
    assert 20.0 < found["x_kinetic"] < 200.0
    assert found["omega_h2"] == pytest.approx(found["kinetic_ratio"] * before["omega_h2"])
    assert found["p_ann"] == pytest.approx(before["p_ann"])
    assert found["dark_matter_fraction"] == pytest.approx(min(1.0, found["omega_h2"] / 0.12))
    assert "kinetic_ratio" not in derived_quantities(usual)


def test_what_is_solved_for_is_not_doubted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bknn.predict(models.load("dark-photon", kinetic=True), "omega_h2", params={"m_X": 1.02})
