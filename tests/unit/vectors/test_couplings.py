"""Couplings: charges, mixings, a user's file."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
import scipy.linalg

from bknn import errors
from bknn.vectors import couplings as of
from bknn.vectors.charges import read_charges
from bknn.vectors.couplings import FERMIONS
from bknn.vectors.electroweak import STANDARD, Electroweak
from bknn.vectors.mixing import mixed


def numbers(couplings, fermion):
    return tuple(float(x) for x in couplings[fermion])


def test_the_electroweak_numbers():
    assert float(STANDARD.e) ** 2 == pytest.approx(4 * np.pi / 137.036)
    assert float(STANDARD.g) == pytest.approx(2 * 80.377 / 246.22)
    assert float(STANDARD.g_z) == pytest.approx(2 * 80.377 / 246.22 / np.sqrt(1 - 0.2312))


def test_the_z_itself():
    """The textbook: g_V = g_Z (T3/2 - Q s_w^2), g_A = g_Z T3/2."""
    z = of.z_like(STANDARD.g_z)
    g_z, s2 = float(STANDARD.g_z), 0.2312
    assert numbers(z, "mu") == pytest.approx((g_z * (-0.25 + s2), -g_z / 4))
    assert numbers(z, "nu_mu") == pytest.approx((g_z / 4, g_z / 4))
    assert numbers(z, "u") == pytest.approx((g_z * (0.25 - 2 / 3 * s2), g_z / 4))
    assert numbers(z, "b") == pytest.approx((g_z * (-0.25 + s2 / 3), -g_z / 4))


def test_charges():
    assert numbers(of.b_minus_l(0.3), "d") == pytest.approx((0.1, 0.0))
    assert numbers(of.b_minus_l(0.3), "tau") == pytest.approx((-0.3, 0.0))
    assert numbers(of.b_minus_l(0.3), "nu_tau") == pytest.approx((-0.15, -0.15))
    assert numbers(of.baryon(0.3), "nu_tau") == (0.0, 0.0)
    assert numbers(of.lepton_difference("e", "mu", 0.2), "mu") == pytest.approx((-0.2, 0.0))
    chiral = of.from_charges({"quarks": (1.0, 0.0), "t": (0.0, 2.0), "up_quarks": 0.5}, 0.1)
    assert numbers(chiral, "d") == pytest.approx((0.05, 0.05))
    assert numbers(chiral, "t") == pytest.approx((0.1, -0.1))
    assert numbers(chiral, "c") == pytest.approx((0.05, 0.0))


def test_sums_and_multiples():
    g = 2.0 * of.b_minus_l(0.1) + of.dark_photon(0.2)
    assert numbers(g, "e")[0] == pytest.approx(-0.2 + 0.2 * float(STANDARD.e))
    assert numbers(of.none(), "e") == (0.0, 0.0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: of.from_charges({"muon": 1}, 1.0), "unknown fermion 'muon'"),
        (lambda: of.from_charges({"mu": (1, 2, 3)}, 1.0), "the charge of mu has shape"),
        (lambda: of.lepton_difference("mu", "nu_mu", 1.0), "unknown charged lepton 'nu_mu'"),
        (lambda: of.none().g_v("x"), "unknown fermion 'x'"),
        (lambda: mixed(0.8, 0.7, 0.0, 2.1), "leave a field with negative energy"),
    ],
)
def test_what_makes_no_sense(make, sentence):
    with pytest.raises(errors.BknnError, match=sentence):
        make()


# Mixing ------------------------------------------------------------------------------------------


def eigen(eps_a, eps_z, delta_z, bare_squared):
    """Return masses^2 and fields (columns: A, Z, Z' of each) of the generalised eigenproblem."""
    m_z2 = float(STANDARD.m_z) ** 2
    kinetic = np.array([[1, 0, eps_a], [0, 1, eps_z], [eps_a, eps_z, 1.0]])
    off = delta_z * m_z2
    mass = np.array([[0, 0, 0], [0, m_z2, off], [0, off, bare_squared]])
    return scipy.linalg.eigh(mass, kinetic)


@pytest.mark.parametrize("mass", [0.01, 2.1, 60.0])
@pytest.mark.parametrize(
    "mixings", [(0.3, -0.2, 0.1), (1e-3, 2e-3, -1e-3), (0.5, 0.6, -0.3), (0.0, 0.2, 0.0)]
)
def test_exact_mixing_is_the_generalised_eigenproblem(mass, mixings):
    """LAPACK, from the mass matrix that `mixed` says belongs to the physical mass."""
    own = of.b_minus_l(0.05)
    found = mixed(*mixings, mass, own=own)
    squares, fields = eigen(*mixings, float(found.mass_squared))
    assert squares[0] == pytest.approx(0.0, abs=1e-9)
    assert np.sqrt(squares[1:]) == pytest.approx([mass, float(found.m_z)], rel=1e-6)
    currents = of.dark_photon(-1.0), of.z_like(STANDARD.g_z), own
    for column, ours in ((1, found.couplings), (2, found.z)):
        sign = np.sign(fields[3 - column, column])  # of its largest component
        vector = sum(sign * x * j.vector for x, j in zip(fields[:, column], currents, strict=True))
        axial = sum(sign * x * j.axial for x, j in zip(fields[:, column], currents, strict=True))
        np.testing.assert_allclose(ours.vector, vector, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(ours.axial, axial, rtol=1e-6, atol=1e-9)


def test_first_order_deviates_quadratically():
    """Halving all mixings quarters the relative deviation, and more than first order does not
    change the sign of anything."""
    deviations = []
    for size in (1e-2, 5e-3, 2.5e-3):
        eps = 2 * size, -size, size
        exact = mixed(*eps, 2.1).couplings
        first = of.from_mixing(*eps, 2.1)
        deviations.append(np.max(np.abs(exact.vector / first.vector - 1)))
    ratios = np.array(deviations[:-1]) / np.array(deviations[1:])
    np.testing.assert_allclose(ratios, 4.0, rtol=1e-2)
    assert deviations[0] < 1e-3


def test_the_photon_stays_what_it_is():
    """Mixing with the photon alone: a dark photon over sqrt(1 - eps^2), the Z as it was."""
    found = mixed(0.6, 0.0, 0.0, 2.0)
    np.testing.assert_allclose(found.couplings.vector, of.dark_photon(0.75).vector, rtol=1e-12)
    np.testing.assert_allclose(found.z.vector, of.z_like(STANDARD.g_z).vector, rtol=1e-12)
    assert float(found.m_z) == pytest.approx(float(STANDARD.m_z), rel=1e-12)
    assert float(found.mass_squared) == pytest.approx(4.0 * 0.64)


def test_mixing_is_differentiable():
    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1))
    def axial(mixings, ew):
        return mixed(*mixings, 2.1, ew).couplings.g_a("mu")

    point, ew = np.array([0.1, 0.05, -0.02]), Electroweak()
    value, (slopes, more) = axial(point, ew)
    step = 1e-6
    for i, shift in enumerate(step * np.eye(3)):
        difference = (axial(point + shift, ew)[0] - axial(point - shift, ew)[0]) / (2 * step)
        assert slopes[i] == pytest.approx(float(difference), rel=1e-6)
    assert np.isfinite(jax.tree.leaves(more)).all()
    assert more.m_w == pytest.approx(float(value) / ew.m_w)


# A user's file -----------------------------------------------------------------------------------

WHOLE = """
g = 1e-3
[charges]
quarks = 0.5
leptons = -1
tau = [-1, 0]
[vector]
e = 1e-4
neutrinos = 2e-5
[axial]
e = -2e-4
neutrinos = 2e-5
[[dark]]
mass = 0.5
vector = 0.1
"""


def test_a_file_of_everything(tmp_path):
    (tmp_path / "my.toml").write_text(WHOLE)
    found = read_charges(tmp_path / "my.toml")
    assert numbers(found, "e") == pytest.approx((-0.9e-3, -2e-4))
    assert numbers(found, "tau") == pytest.approx((-5e-4, -5e-4))
    assert numbers(found, "nu_e") == pytest.approx((-4.8e-4, -4.8e-4))
    assert numbers(found, "b") == pytest.approx((5e-4, 0.0))
    assert [(x.vector, x.axial, x.mass) for x in found.dark] == [(0.1, 0.0, 0.5)]
    assert len(found.vector) == len(FERMIONS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("g = 1\n[charges]\nmuon = 1", r"unknown fermion 'muon' in .*my.toml, \[charges\]"),
        ("[vector]\nelectron = 1", r"unknown fermion 'electron' in .*\[vector\]"),
        ("[charges]\nmu = 1", "no gauge coupling; write it above them"),
        ("g = 1\n[charges]\nmu = 'one'", r"mu is 'one'; it must be a number"),
        ("g = nan\n[charges]\nmu = 1", "g is nan; it must be a number"),
        ("g = 1\n[charges]\nmu = [1, 2, 3]", r"give a number, or \[left, right\]"),
        ("[vector]\nnu_e = 1", "neutrinos are left-handed; make them equal"),
        ("g = 1\ncharges = 3", "charges must be a table of fermions"),
        ("coupling = 1", "unknown key 'coupling'"),
        ("g = 1", "has no couplings"),
        ("[[dark]]\nvector = 1", "has no mass, or a negative one"),
        ("[dark]\nvector = 1", "each dark fermion as a table of its own"),
        ("[[dark]]\nmass = 1\nspin = 1", "unknown key 'spin'"),
    ],
)
def test_what_a_file_must_not_say(tmp_path, text, sentence):
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(errors.BknnError, match=sentence):
        read_charges(tmp_path / "my.toml")


def test_no_such_file(tmp_path):
    with pytest.raises(errors.DataError, match="no such file; give a TOML file of couplings"):
        read_charges(tmp_path / "other.toml")
