"""The null spectrum of the public Belle II record, against its numbers and its limits."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from bknn import kinematics
from bknn.form_factors.hpqcd2022 import f_plus
from bknn.inputs import HPQCD_2022
from bknn.standard_model import dbr_dq2

# dBR/dq2 in 1e-7 GeV^-2, computed from the script of HEPData 10.17182/hepdata.166082, four digits.
TABLE = {
    0.1: 2.940,
    1.0: 2.937,
    2.0: 2.930,
    4.0: 2.901,
    6.0: 2.848,
    8.0: 2.766,
    10.0: 2.646,
    12.0: 2.477,
    14.0: 2.243,
    16.0: 1.924,
    18.0: 1.492,
    20.0: 0.920,
    22.0: 0.228,
}
ENDPOINT = (5.279495 - 0.4956440) ** 2


def longhand(q2: float) -> float:
    """arXiv:2207.13371, eq. 16, written out again: plain floats, textbook Kallen function."""
    mb, mk = 5.279495, 0.495644
    root, root0 = np.sqrt((mb + mk) ** 2 - q2), mb + mk
    z = (root - root0) / (root + root0)
    a0, a1, a2 = 0.2545, -0.71, 0.32
    bracket = a0 + a1 * (z - z**3 / 3) + a2 * (z**2 + 2 * z**3 / 3)
    f = 1.304 / (1 - (q2 / 5.4158) / 5.4158) * bracket
    kallen = mb**4 + mk**4 + q2**2 - 2 * (mb**2 * mk**2 + mb**2 * q2 + mk**2 * q2)
    momentum = np.sqrt(kallen) / (2 * mb)
    couplings = 1.1663787e-5**2 / 127.952**2 * 1.468**2 * 0.04185**2 / 0.23124**2
    return couplings * (1.638e-12 / 6.58211e-25) * momentum**3 * f**2 / (32 * np.pi**5)


def test_table():
    q2 = np.array(list(TABLE))
    np.testing.assert_allclose(dbr_dq2(q2) * 1e7, list(TABLE.values()), rtol=0, atol=5.1e-4)


def test_against_the_formula_written_out():
    q2 = np.linspace(0.0, 22.88, 400)
    # Near the endpoint the textbook Kallen function loses digits to cancellation.
    np.testing.assert_allclose(dbr_dq2(q2), [longhand(x) for x in q2], rtol=1e-9)


def test_form_factor_at_zero():
    assert float(f_plus(0.0)) == pytest.approx(0.33187, abs=5e-6)
    assert float(f_plus(0.0)) == pytest.approx(1.304 * 0.2545, rel=1e-14)


def test_form_factor_series_for_any_order():
    """N = 3 with a vanishing last coefficient is not N = 2: the subtraction moves one power up."""
    q2 = jnp.linspace(0.0, 22.0, 9)
    z = kinematics.z_map(q2, (5.279495 + 0.4956440) ** 2, 0.0)
    pole = 1.304 / (1 - q2 / 5.4158**2)
    two = f_plus(q2, coefficients=(0.25, -0.7))
    np.testing.assert_allclose(two, pole * (0.25 - 0.7 * (z + z**2 / 2)), rtol=1e-14)


def test_form_factor_slope_vanishes_at_threshold():
    """What the subtraction in the BCL series is for: d(series)/dz = 0 at z = -1."""
    z = np.array([-1.0 - 1e-6, -1.0 + 1e-6])
    series = sum(
        a * (z**n - n / 3 * (-1) ** (n - 3) * z**3) for n, a in enumerate((0.25, -0.7, 0.3))
    )
    assert abs(series[1] - series[0]) / 2e-6 < 1e-9
    # The same through f_plus, infinitesimally below threshold, pole factor divided out.
    t_plus = (5.279495 + 0.4956440) ** 2

    def without_pole(root):
        q2 = t_plus - root**2
        return f_plus(q2, coefficients=(0.25, -0.7, 0.3)) * (1 - q2 / 5.4158**2)

    assert abs(float(jax.grad(without_pole)(1e-7))) < 1e-6


def test_branching_ratio():
    """(4.97 +- 0.37)e-6 in arXiv:2602.09666, eq. 4; the central value to the digits printed."""
    total, _ = quad(lambda q2: float(dbr_dq2(q2)), 0.0, ENDPOINT, epsrel=1e-10)
    assert total == pytest.approx(4.97e-6, abs=0.005e-6)
    assert total == pytest.approx(4.96613e-6, rel=1e-5)


@pytest.mark.parametrize("q2", [-1.0, -1e-12, ENDPOINT + 1e-12, 22.9, 29.3, 33.4, 40.0, 1e6])
def test_nothing_outside_phase_space(q2):
    assert float(dbr_dq2(q2)) == 0.0
    assert float(jax.grad(dbr_dq2)(q2)) == 0.0


def test_ends_of_phase_space():
    assert float(dbr_dq2(0.0)) == pytest.approx(2.9406e-7, rel=1e-5)
    assert float(jax.grad(dbr_dq2)(0.0)) == pytest.approx(
        (float(dbr_dq2(1e-4)) - float(dbr_dq2(0.0))) / 1e-4, rel=1e-3
    )
    assert float(dbr_dq2(ENDPOINT)) == pytest.approx(0.0, abs=1e-20)
    assert np.isfinite(float(jax.grad(dbr_dq2)(ENDPOINT)))
    assert np.isfinite(float(jax.grad(jax.grad(dbr_dq2))(0.0)))


@pytest.mark.slow
def test_gradient():
    q2 = np.linspace(0.5, 22.5, 45)
    step = 1e-5
    numerical = (dbr_dq2(q2 + step) - dbr_dq2(q2 - step)) / (2 * step)
    np.testing.assert_allclose(jax.vmap(jax.grad(dbr_dq2))(q2), numerical, rtol=1e-6, atol=1e-15)


def test_gradient_with_respect_to_the_inputs():
    gradient = jax.grad(lambda inputs: dbr_dq2(4.0, inputs=inputs))(HPQCD_2022)
    value = float(dbr_dq2(4.0))
    powers = dict(g_fermi=2, alpha=2, x_t=2, sin2_theta_w=-2, ckm=2, lifetime=1)
    for name, power in powers.items():
        expected = power * value / getattr(HPQCD_2022, name)
        assert float(getattr(gradient, name)) == pytest.approx(expected, rel=1e-12)
    heavier = dataclasses.replace(HPQCD_2022, mass_b=HPQCD_2022.mass_b + 1e-6)
    lighter = dataclasses.replace(HPQCD_2022, mass_b=HPQCD_2022.mass_b - 1e-6)
    numerical = (dbr_dq2(4.0, inputs=heavier) - dbr_dq2(4.0, inputs=lighter)) / 2e-6
    assert float(gradient.mass_b) == pytest.approx(float(numerical), rel=1e-7)


def test_another_form_factor():
    q2 = jnp.linspace(0.0, 22.0, 5)
    double = dbr_dq2(q2, form_factor=lambda x: 2.0 * f_plus(x))
    np.testing.assert_allclose(double, 4.0 * dbr_dq2(q2), rtol=1e-14)


def test_it_maps_and_compiles():
    q2 = jnp.linspace(-1.0, 30.0, 64).reshape(4, 16)
    once = dbr_dq2(q2)
    assert once.shape == (4, 16)
    np.testing.assert_allclose(jax.vmap(jax.vmap(dbr_dq2))(q2), once, rtol=1e-14)
    np.testing.assert_allclose(jax.jit(dbr_dq2)(q2), once, rtol=1e-14)


# ---------------------------------------------------------------- kinematics


def test_momentum_is_the_kallen_function():
    parent, daughter = 5.27934, 0.89167
    q2 = np.linspace(0.0, (parent - daughter) ** 2 - 1e-3, 50)
    kallen = kinematics.kallen(parent**2, daughter**2, q2)
    np.testing.assert_allclose(
        kinematics.momentum(parent, daughter, q2), np.sqrt(kallen) / (2 * parent), rtol=1e-10
    )


def test_kallen_is_symmetric():
    rng = np.random.default_rng(1)
    a, b, c = rng.uniform(0.1, 30.0, (3, 100))
    direct = a**2 + b**2 + c**2 - 2 * (a * b + b * c + c * a)
    for order in ((a, b, c), (c, a, b), (b, c, a), (b, a, c)):
        np.testing.assert_allclose(kinematics.kallen(*order), direct, rtol=0, atol=1e-11)


def test_four_momentum_is_conserved():
    parent, daughter, q2 = 5.279, 0.494, 7.3
    p = float(kinematics.momentum(parent, daughter, q2))
    assert np.hypot(p, daughter) + np.sqrt(p**2 + q2) == pytest.approx(parent, rel=1e-14)


@pytest.mark.parametrize("q2", [22.886, 30.0, 33.36, 50.0])
def test_no_momentum_beyond_the_endpoint(q2):
    """Above (m_B + m_K)^2 the Kallen function is positive again, but nothing is there."""
    assert float(kinematics.momentum(5.279495, 0.4956440, q2)) == 0.0
    assert float(jax.grad(kinematics.momentum, argnums=2)(5.279495, 0.4956440, q2)) == 0.0


def test_safe_sqrt():
    x = jnp.array([-2.0, -0.0, 0.0, 4.0])
    np.testing.assert_array_equal(kinematics.safe_sqrt(x), [0.0, 0.0, 0.0, 2.0])
    np.testing.assert_array_equal(jax.vmap(jax.grad(kinematics.safe_sqrt))(x), [0, 0, 0, 0.25])


def test_nan_stays_nan():
    nan = float("nan")
    assert np.isnan(float(kinematics.safe_sqrt(nan)))
    assert np.isnan(float(kinematics.momentum(5.279495, nan, 1.0)))
    assert np.isnan(float(dbr_dq2(nan)))
