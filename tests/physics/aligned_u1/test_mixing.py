"""Mixing of the Z' with the photon and the Z against vacuum polarisations."""

from __future__ import annotations

import numpy as np
import pytest

from bknn.models.aligned_u1 import loops

from . import longhand, polarisation
from .digits import Loops
from .many import over
from .points import M_T, POINTS, RANDOM, TO_DIGITS

pytestmark = pytest.mark.usefixtures("quick_compilation")
NUMBERS = longhand.STANDARD
T_W = np.sqrt(NUMBERS.sin2_w / (1 - NUMBERS.sin2_w))


def test_printed_points():
    at, G = (POINTS["m_T"], POINTS["s_R"]), POINTS["G"]
    np.testing.assert_allclose(G * over(loops.z_mass_mixing, *at), POINTS["delta_Z"], rtol=1e-5)
    eps_A = over(loops.photon_mixing, *at, POINTS["scale"])
    np.testing.assert_allclose(G * eps_A, POINTS["eps_A"], rtol=1e-5)
    eps_Z = over(loops.z_kinetic_mixing, *at, eps_A)
    np.testing.assert_allclose(G * eps_Z, POINTS["eps_Z"], rtol=1e-5)


def test_vacuum_polarisations_at_random_points():
    """The numerical ones are good to 1e-10: delta_Z at q^2 = 0, eps_Z and eps_A from the slope."""
    at = tuple(RANDOM.values())
    tops = [longhand.top(M_T, *here) for here in zip(*at, strict=True)]
    found = over(loops.z_mass_mixing, *at)
    expected = [polarisation.z_mass_mixing(top) for top in tops]
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    expected = [-polarisation.z_slope(top) for top in tops]
    np.testing.assert_allclose(over(loops.z_kinetic_mixing, *at, 0.0), expected, rtol=1e-8)
    expected = [polarisation.photon_mixing(top, 2000.0) for top in tops[:5]]
    found = over(loops.photon_mixing, *at, 2000.0)[:5]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_photon_at_any_scale():
    """eps_A grows by N_c e Q_t G/(12 pi^2) ln of the squared scale, whatever the angles."""
    top = longhand.top(M_T, 1000.0, 0.3)
    low, high = (polarisation.photon_mixing(top, scale) for scale in (500.0, 5000.0))
    found = over(loops.photon_mixing, 1000.0, 0.3, [500.0, 5000.0])
    assert found[1] - found[0] == pytest.approx(high - low, rel=1e-8)
    assert high - low == pytest.approx(NUMBERS.e / (6 * np.pi**2) * np.log(100.0), rel=1e-8)


def test_vector_current_of_the_z():
    """Its part -s_w^2 Q mixes as the photon does, times -tan(theta_W)."""
    found = over(loops.z_kinetic_mixing, 1e3, 0.3, [0.0, 0.1])
    assert found[1] - found[0] == pytest.approx(-0.1 * T_W, rel=1e-12)


def test_fifty_digits():
    exact = [Loops(M_T, *at) for at in zip(*TO_DIGITS, strict=True)]
    found = over(loops.z_mass_mixing, *TO_DIGITS)
    np.testing.assert_allclose(found, [float(e.z_mass_mixing()) for e in exact], rtol=1e-8)
    found = over(loops.z_kinetic_mixing, *TO_DIGITS, 0.0)
    np.testing.assert_allclose(found, [-float(e.slope()) for e in exact], rtol=1e-8)


def test_limit_of_heavy_partners():
    """-(N_c g_Z G/16 pi^2)(m_t^2/M_Z^2) s_R^2 [ln(m_T^2/m_t^2) - 3/2] at small s_R."""
    m_T, s_R = 1e5, 1e-2
    logarithm = np.log(m_T**2 / M_T**2) - 1.5
    limit = -3 * NUMBERS.g_z / longhand.PI16 * (M_T / NUMBERS.m_z) ** 2 * s_R**2 * logarithm
    assert float(over(loops.z_mass_mixing, m_T, s_R)) == pytest.approx(limit, rel=1e-3)
