"""b -> s Z': the vector coupling and the dipole against numerical integration and 50 digits."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from bknn.models.aligned_u1 import loops, top_partner
from bknn.vectors.electroweak import STANDARD, Electroweak

from . import longhand
from .digits import Loops
from .many import over
from .points import M_T, POINTS, RANDOM, TO_DIGITS, VECTOR_COUPLING

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_printed_points():
    m_T, s_R = np.transpose(list(VECTOR_COUPLING))
    expected = list(VECTOR_COUPLING.values())
    np.testing.assert_allclose(over(loops.vector_coupling, m_T, s_R), expected, rtol=1e-5)
    at = POINTS["m_T"], POINTS["s_R"]
    np.testing.assert_allclose(over(loops.vector_coupling, *at), POINTS["vector"], rtol=1e-5)
    np.testing.assert_allclose(over(loops.dipole, *at), POINTS["dipole"], rtol=1e-5)


def test_integrals_at_random_points():
    """Feynman parameters; both integrations are good to 1e-12."""
    tops = [longhand.top(M_T, *at) for at in zip(*RANDOM.values(), strict=True)]
    found = over(loops.vector_coupling, **RANDOM)
    np.testing.assert_allclose(found, [longhand.vector_coupling(t) for t in tops], rtol=1e-8)
    found = over(loops.dipole, **RANDOM)
    np.testing.assert_allclose(found, [longhand.dipole(t) for t in tops], rtol=1e-8)


@pytest.mark.parametrize("xi", [0.3, 7.0, 200.0])
def test_any_gauge(xi):
    tops = [longhand.top(M_T, *at) for at in zip(*RANDOM.values(), strict=True)]
    in_gauge = [longhand.vector_coupling_any_gauge(t, xi) for t in tops]
    np.testing.assert_allclose(over(loops.vector_coupling, **RANDOM), in_gauge, rtol=1e-9)


def test_ultraviolet_constants_cancel():
    """1e6 added to each logarithm, and a unit of mass that is smaller by 1e30."""
    top = Loops(M_T, 1000.0, 0.3)
    assert float(top.vector_coupling(1e6) / top.vector_coupling() - 1) == pytest.approx(0, abs=1e-9)
    small = Electroweak(*(x * 1e-30 for x in (STANDARD.v, STANDARD.m_w, STANDARD.m_z)))
    m_T, s_R = RANDOM["m_T"], RANDOM["s_R"]
    scaled = over(loops.vector_coupling, m_T * 1e-30, s_R, m_t=M_T * 1e-30, ew=small)
    np.testing.assert_allclose(scaled, over(loops.vector_coupling, m_T, s_R), rtol=1e-9)


def test_without_gauge_bosons():
    """M_W -> 0 at fixed v, m_T >> m_t: (y_t^2/32 pi^2) s_R^2 [c_R^2 ln(m_T^2/m_t^2) + 2 s_R^2].

    Corrections are m_t^2/m_T^2 with logarithms, times tan^2(theta_R)."""
    gaugeless = Electroweak(m_w=1e-4)
    m_T, s2 = 2e5, np.array([0.01, 0.3, 0.9]) ** 2
    logarithm = np.log(m_T**2 / M_T**2)
    y_t = np.sqrt(2) * M_T / (STANDARD.v * np.sqrt(1 - s2))
    limit = y_t**2 / (32 * np.pi**2) * s2 * ((1 - s2) * logarithm + 2 * s2)
    found = over(loops.vector_coupling, m_T, np.sqrt(s2), ew=gaugeless)
    np.testing.assert_allclose(found, limit, rtol=1e-4)


def test_decoupling():
    """ln(m_T)/m_T^2 at fixed y_T and v~; at fixed s_R it grows, as y_T does."""
    v_tilde, y_T = 1000.0, 0.5
    m_T = np.array([3e4, 1e5, 3e5])
    top = [longhand.Top(1.0, y_T, m, v_tilde) for m in m_T]
    masses, s_R = np.array([t.m for t in top]), np.array([t.right[0, 1] for t in top])
    found = over(loops.vector_coupling, masses[:, 1], s_R, m_t=masses[:, 0])
    scaled = found * m_T**2
    slope = np.diff(scaled) / np.diff(np.log(m_T))
    assert slope[0] == pytest.approx(slope[1], rel=1e-2)
    assert (slope > 0).all()
    grows = over(loops.vector_coupling, m_T, 0.1)
    assert (np.diff(grows) > 0).all()


@pytest.mark.parametrize("name", ["vector_coupling", "dipole"])
def test_fifty_digits(name):
    """From equal masses to 1e7 GeV in double precision."""
    exact = [float(getattr(Loops(M_T, *at), name)()) for at in zip(*TO_DIGITS, strict=True)]
    np.testing.assert_allclose(over(getattr(loops, name), *TO_DIGITS), exact, rtol=1e-8)


def test_gradients():
    """In m_T and s_R against differences of 50 digits."""
    for function, name in ((loops.vector_coupling, "vector_coupling"), (loops.dipole, "dipole")):
        slope = jax.jit(
            jax.grad(lambda x, f=function: f(top_partner.from_masses(M_T, *x), STANDARD))
        )
        for m_T, s_R in ((M_T * (1 + 1e-4), 0.3), (1e3, 0.3), (1e6, 0.1)):
            found = slope((m_T, s_R))
            for i, h in enumerate((m_T * 1e-12, s_R * 1e-12)):
                up, down = ([m_T, s_R] for _ in range(2))
                up[i] += h
                down[i] -= h
                change = getattr(Loops(M_T, *up), name)() - getattr(Loops(M_T, *down), name)()
                assert float(found[i]) == pytest.approx(float(change / (up[i] - down[i])), rel=1e-6)
