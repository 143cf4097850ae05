"""What bknn is compared with, by one computation against another and against known functions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from . import longhand, polarisation
from .digits import Loops
from .points import M_T, VECTOR_COUPLING


def test_digits_are_those_of_integrals():
    """What is compared with 50 digits is itself integrated numerically."""
    for m_T, s_R in ((170.0, 0.5), (600.0, 0.05), (1e4, 0.3)):
        top, exact = longhand.top(M_T, m_T, s_R), Loops(M_T, m_T, s_R)
        assert longhand.vector_coupling(top) == pytest.approx(
            float(exact.vector_coupling()), rel=1e-11
        )
        assert longhand.dipole(top) == pytest.approx(float(exact.dipole()), rel=1e-11)


@pytest.mark.parametrize("mass", [30.0, 163.0, 2000.0])
def test_dipole_of_inami_and_lim(mass):
    """A vector that couples to one quark with strength 1 is a gluon. Less that of a quark without
    mass, its dipole is -(g^2/2 M_W^2) E'_0(m^2/M_W^2)/16 pi^2 (Prog. Theor. Phys. 65, 297)."""

    def gluon(mass):
        one = np.ones((1, 1))
        ew = longhand.STANDARD
        return longhand.dipole(
            SimpleNamespace(
                m=np.array([mass]),
                w=np.ones(1),
                goldstone=np.array([np.sqrt(2) * mass / ew.v]),
                z_prime={"L": one, "R": one},
                ew=ew,
            )
        )

    ew = longhand.STANDARD
    x = (mass / ew.m_w) ** 2
    e_0 = -x * (x**2 - 5 * x - 2) / (4 * (1 - x) ** 3) + 3 * x**2 * np.log(x) / (2 * (1 - x) ** 4)
    expected = -(ew.g**2) / (2 * ew.m_w**2) * e_0 / longhand.PI16
    assert gluon(mass) - gluon(0.0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("xi", [0.3, 7.0, 200.0])
def test_any_gauge(xi):
    for at, printed in VECTOR_COUPLING.items():
        top = longhand.top(M_T, *at)
        found = longhand.vector_coupling_any_gauge(top, xi)
        assert found == pytest.approx(longhand.vector_coupling(top), rel=1e-11)
        assert found == pytest.approx(printed, rel=1e-5)


def test_vacuum_polarisation_of_electrodynamics():
    """Two vector quarks of the same charge: the slopes differ by N_c/(12 pi^2) ln(m_2^2/m_1^2)."""
    one, other = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
    terms = [(1.0, (one, one), (one, one)), (-1.0, (other, other), (other, other))]
    found = polarisation.slope(np.array([1.0, 7.0]), terms, 0.1)
    assert found == pytest.approx(-3 / (12 * np.pi**2) * np.log(49.0), rel=1e-10)
