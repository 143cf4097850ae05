"""The heavy partner: its mixing with the top quark, its decays, S and T."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from bknn.models.aligned_u1 import decays, oblique, top_partner
from bknn.vectors.electroweak import STANDARD, Electroweak

from . import decays as by_traces
from . import longhand, polarisation
from .many import over
from .points import CKM, M_T, M_ZPRIME, POINTS, RANDOM

pytestmark = pytest.mark.usefixtures("quick_compilation")


def widths(coupling, m_phi, m_T, s_R, ew=STANDARD):
    return over(decays.widths, m_T, s_R, coupling, M_ZPRIME, m_phi, ew=ew)


def test_spectrum_at_printed_points():
    v_tilde = M_ZPRIME / POINTS["G"]
    for i, (m_T, s_R) in enumerate(zip(POINTS["m_T"], POINTS["s_R"], strict=True)):
        top = top_partner.from_masses(M_T, m_T, s_R)
        assert top.s_L == pytest.approx(POINTS["s_L"][i], rel=1e-5)
        assert top.c_L**2 == pytest.approx(POINTS["kappa_t"][i], rel=1e-6)
        assert top.y_T(v_tilde[i]) == pytest.approx(POINTS["y_T"][i], rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_spectrum_against_a_decomposition(seed):
    """Singular values and vectors of the mass matrix, and the way back."""
    rng = np.random.default_rng(seed)
    y_t, y_T, v_tilde = rng.uniform(0.5, 1.5), rng.uniform(0.01, 2), 10 ** rng.uniform(2, 5)
    mass = 10 ** rng.uniform(2.7, 4.5)
    top = longhand.Top(y_t, y_T, mass, v_tilde)
    found = top_partner.from_lagrangian(y_t, y_T, mass, v_tilde, STANDARD.v)
    np.testing.assert_allclose([found.m_t, found.m_T], top.m, rtol=1e-10)
    np.testing.assert_allclose(
        [found.c_L, found.s_L, found.c_R, found.s_R], [*top.left[0], *top.right[0]], rtol=1e-9
    )
    again = top_partner.from_masses(found.m_t, found.m_T, found.s_R)
    parameters = again.y_t(STANDARD.v), again.y_T(v_tilde), again.vectorlike_mass
    np.testing.assert_allclose(parameters, (y_t, y_T, mass), rtol=1e-9)
    assert found.c_L**2 == pytest.approx(top.higgs[0, 0] * STANDARD.v / top.m[0], rel=1e-9)


def test_widths_at_printed_points():
    found = widths(POINTS["G"], POINTS["m_phi"], POINTS["m_T"], POINTS["s_R"])
    assert set(found) == {"bW", "tZ", "th", "tZprime", "tphi"}
    for name, values in found.items():
        np.testing.assert_allclose(values, POINTS[name], rtol=1e-5)


def test_widths_by_traces():
    """Sums over spins; where all channels are open."""
    rng = np.random.default_rng(3)
    m_T, s_R = 10 ** rng.uniform(2.8, 4, 10), rng.uniform(0.05, 0.95, 10)
    coupling, m_phi = 10 ** rng.uniform(-4, -2, 10), rng.uniform(0.01, 0.6, 10) * (m_T - M_T)
    found = widths(coupling, m_phi, m_T, s_R)
    for i in range(10):
        top = longhand.top(M_T, m_T[i], s_R[i], M_ZPRIME / coupling[i])
        for name, value in by_traces.widths(top, coupling[i], M_ZPRIME, m_phi[i]).items():
            assert found[name][i] == pytest.approx(value, rel=1e-7), (name, m_T[i])


def test_goldstone_bosons():
    """bW : tZ : th -> 2 : 1 : 1 and tZ' -> t phi when m_T grows, with corrections m_t^2/m_T^2,
    and tZ'/bW -> c_R^4 v^2 m_T^2/(2 v~^2 m_t^2); where M_W = c_w M_Z."""
    m_T, s_R, G = np.array([1e4, 1e5, 1e6]), 0.3, 1e-3
    found = widths(G, 10.0, m_T, s_R, Electroweak(sin2_w=1 - (80.377 / 91.1876) ** 2))
    small = 10 * (M_T / m_T) ** 2
    assert (np.abs(found["bW"] / found["tZ"] - 2) < small).all()
    assert (np.abs(found["tZ"] / found["th"] - 1) < small).all()
    assert (np.abs(found["tZprime"] / found["tphi"] - 1) < small).all()
    limit = (1 - s_R**2) ** 2 * (STANDARD.v * m_T * G / (M_ZPRIME * M_T)) ** 2 / 2
    assert (np.abs(found["tZprime"] / found["bW"] / limit - 1) < small).all()


def test_closed_channels():
    """Below threshold a width is 0, and the gradient of the sum a number."""
    found = widths(1e-3, 2000.0, [1500.0, 1700.0, 230.0], [0.3, 0.3, 0.3])
    np.testing.assert_array_equal(found["tphi"], 0.0)
    assert found["tZ"][2] == found["th"][2] == 0.0
    assert found["bW"][2] > 0.0

    def total(m_T):
        top = top_partner.from_masses(M_T, m_T, 0.3)
        return sum(decays.widths(top, STANDARD, 1e-3, M_ZPRIME, 2000.0).values())

    assert np.isfinite(jax.jit(jax.grad(total))(1500.0))


def test_oblique_at_printed_points():
    S, T = over(oblique.oblique, POINTS["m_T"], POINTS["s_R"])
    np.testing.assert_allclose(S, POINTS["S"], rtol=1e-5)
    np.testing.assert_allclose(T, POINTS["T"], rtol=1e-5)


def test_oblique_against_vacuum_polarisations():
    """Of W, Z and photon at q^2 = 0, with t, b, T and without the T."""
    tops = [longhand.top(M_T, *at) for at in zip(*RANDOM.values(), strict=True)]
    expected = np.array([polarisation.oblique(top) for top in tops])
    found = np.transpose(over(oblique.oblique, **RANDOM))
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_coupling_of_the_effective_theory():
    """C_L of the printed points is the loop times V_tb V_ts* and G (six digits each)."""
    np.testing.assert_allclose(CKM * POINTS["G"] * POINTS["vector"], POINTS["C_L"], rtol=1e-5)
