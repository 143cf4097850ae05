"""Scattering of dark fermions on nuclei."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import errors
from bknn.vectors.couplings import Couplings, DarkFermion, baryon, dark_photon, from_charges, z_like
from bknn.vectors.low_energy import (
    CM2,
    NUCLEON,
    TARGETS,
    UNIT,
    nucleon_cross_section,
    nucleus_cross_section,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

M = 2.1


def dark(mass, coupling=0.1):
    return Couplings(jnp.zeros(12), jnp.zeros(12), (DarkFermion(coupling, 0.0, mass),))


def over(light, mass, target, nucleon):
    """The cross section on a target over that on a nucleon."""
    g = light + dark(mass)
    return float(nucleus_cross_section(g, M, target) / nucleon_cross_section(g, M, nucleon))


def test_protons_and_neutrons_apart():
    """A photon-like vector sees Z^2/A^2, one that neutrons alone have N^2/A^2, by hand for the
    isotopes of xenon and argon with mu = m_X, light dark matter."""
    neutrons = from_charges({"u": -1.0, "d": 2.0}, 1e-3)  # b_p = 0
    for target, protons in (("Xe", 54), ("Ar", 18)):
        (element,) = TARGETS[target].elements
        a, x = np.array([*element.isotopes]), np.array([*element.isotopes.values()])
        square = np.sum(x * a**2)
        np.testing.assert_allclose(x.sum(), 1.0, atol=2e-5)
        found = over(dark_photon(1e-3), 1e-3, target, "p")
        np.testing.assert_allclose(found, protons**2 / square, rtol=1e-4)
        found = over(neutrons, 1e-3, target, "n")
        np.testing.assert_allclose(found, np.sum(x * (a - protons) ** 2) / square, rtol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mass", [0.2, 1.0, 30.0])
def test_equal_couplings_give_the_nucleon_back(target, mass):
    np.testing.assert_allclose(over(baryon(1e-3), mass, target, "p"), 1.0, rtol=1e-12)


def test_photon_like_and_z_like_differ():
    """The Z sees neutrons: xenon, with more of them, is better for it than argon; for a photon it
    is the other way round. In calcium tungstate light dark matter scatters on oxygen, with as many
    protons as neutrons; heavier one on tungsten."""
    z, photon = z_like(1e-3), dark_photon(1e-3)
    assert over(z, 1.0, "Xe", "n") > 1.15 * over(z, 1.0, "Ar", "n")
    assert over(photon, 1.0, "Xe", "p") < 0.85 * over(photon, 1.0, "Ar", "p")
    np.testing.assert_allclose(over(photon, 0.3, "CaWO4", "p"), 0.25, rtol=1e-2)
    np.testing.assert_allclose(over(photon, 8.0, "CaWO4", "p"), (74 / 183.84) ** 2, rtol=3e-2)


def test_size():
    """By hand, of xenon 131 alone: all isotopes are near."""
    g = dark_photon(1e-3) + dark(0.9)
    charge = 2 * float(g.g_v("u")) + float(g.g_v("d"))
    mu = 0.9 * NUCLEON["p"] / (0.9 + NUCLEON["p"])
    by_hand = CM2 * mu**2 / np.pi * (0.1 * charge * 54 / 131.29 / M**2) ** 2
    np.testing.assert_allclose(nucleus_cross_section(g, M, "Xe"), by_hand, rtol=2e-3)


def test_rate_above_the_threshold():
    """Against the integral over a halo, for oxygen and tungsten at 1 GeV: 30.1 eV."""
    v0, earth = 220 / 299792.458, 232 / 299792.458
    v = np.linspace(0.0, 0.02, 400001)
    spread = v * (np.exp(-(((v - earth) / v0) ** 2)) - np.exp(-(((v + earth) / v0) ** 2)))
    found = {}
    for protons, nucleons, atoms in ((20, 40.116, 1), (74, 183.89, 1), (8, 16.0045, 4)):
        mass = UNIT * nucleons
        mu = mass / (1.0 + mass)
        least = np.sqrt(mass * 30.1e-9 / 2) / mu
        seen = np.where(v > least, v - least**2 / np.maximum(v, 1e-9), 0.0)
        rate = atoms * mu**2 * np.trapezoid(spread * seen, v)
        found[protons] = rate, nucleons
    charges = sum(rate * z**2 for z, (rate, _) in found.items())
    by_hand = charges / sum(rate * a**2 for rate, a in found.values())
    np.testing.assert_allclose(over(dark_photon(1e-3), 1.0, "CaWO4", "p"), by_hand, rtol=2e-3)


@pytest.mark.parametrize("target", TARGETS)
def test_slopes_are_those_of_finite_differences(target):
    light = z_like(1e-3) + dark_photon(3e-4)

    @jax.jit
    @jax.vmap
    def both(mass, coupling):
        def section(m, g):
            return 1e40 * nucleus_cross_section(light + dark(m, g), M, target)

        return section(mass, coupling), *jax.grad(section, (0, 1))(mass, coupling)

    m, g, h = np.array([0.2, 0.9, 12.0]), np.full(3, 0.1), 1e-5
    _, by_mass, by_coupling = both(m, g)
    by_hand = (both(m * (1 + h), g)[0] - both(m * (1 - h), g)[0]) / (2 * h * m)
    np.testing.assert_allclose(by_mass, by_hand, rtol=1e-5)
    by_hand = (both(m, g * (1 + h))[0] - both(m, g * (1 - h))[0]) / (2 * h * g)
    np.testing.assert_allclose(by_coupling, by_hand, rtol=1e-5)
    assert np.isfinite(both(np.array([0.0, 1e-6, 1e4]), g)).all()


def test_without_dark_fermions_and_without_a_target():
    assert nucleus_cross_section(dark_photon(1e-3), M, "Xe") == 0.0
    with pytest.raises(errors.UnknownNameError, match="target 'Ge'"):
        nucleus_cross_section(dark_photon(1e-3), M, "Ge")
