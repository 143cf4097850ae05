"""What a light vector does where it is not produced: magnetic moments, parity violation in atoms,
scattering of dark fermions on nucleons; and decays of the Z into what it mixes with."""

from __future__ import annotations

from math import pi

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.vectors.couplings import Couplings
from bknn.vectors.electroweak import Electroweak
from bknn.vectors.widths import LEPTON_MASSES, to_fermions

#: Masses of nucleons, GeV (Particle Data Group 2024, Phys. Rev. D 110, 030001).
NUCLEON = {"p": 0.93827209, "n": 0.93956542}

#: 1 GeV^-2 in cm^2.
CM2 = 3.893794e-28

# Of an integral over a Feynman parameter x = 1 - s^2, which is smooth in s up to the lightest Z'.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_S, _DS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS


def magnetic_moment(couplings: Couplings, mass: ArrayLike, lepton: str) -> Array:
    """Return the change of (g - 2)/2 of a lepton, one loop at any mass of the Z' (GeV).

    J. P. Leveille, Nucl. Phys. B 137, 63 (1978). A heavy Z' gives
    m^2 (g_V^2 - 5 g_A^2)/(12 pi^2 M^2).

    >>> from bknn.vectors.couplings import dark_photon
    >>> f"{float(magnetic_moment(dark_photon(1e-3), 2.1, 'mu')):.2e}"
    '1.90e-12'
    """
    ratio = (jnp.asarray(mass, float) / LEPTON_MASSES[lepton]) ** 2
    x, dx = 1.0 - _S**2, 2.0 * _S * _DS
    below = x**2 + (1.0 - x) * ratio
    vector = x**2 * (1.0 - x) / below
    axial = (x * (1.0 - x) * (x - 4.0) - 2.0 * x**3 / ratio) / below
    g_v, g_a = couplings[lepton]
    return jnp.sum(dx * (g_v**2 * vector + g_a**2 * axial)) / (4.0 * pi**2)


def weak_charge(
    couplings: Couplings, mass: ArrayLike, protons: int, neutrons: int, ew: Electroweak
) -> Array:
    """Return the change of the weak charge of a nucleus, for a Z' (GeV) that is heavy beside the
    inverse of its radius (some 50 MeV).

    Q_W = -2 [C_1u (2Z + N) + C_1d (Z + 2N)] with C_1q = sqrt2/G_F g_A^e g_V^q/M^2; the Z itself
    gives C_1u = -1/2 + 4/3 sin^2(theta_W).
    """
    up, down = couplings.g_v("u"), couplings.g_v("d")
    quarks = up * (2 * protons + neutrons) + down * (protons + 2 * neutrons)
    # sqrt2/G_F = 2 v^2.
    scale = 2.0 * jnp.asarray(ew.v) ** 2 / jnp.asarray(mass) ** 2
    return -2.0 * scale * couplings.g_a("e") * quarks


def nucleon_cross_section(couplings: Couplings, mass: ArrayLike, nucleon: str) -> Array:
    """Return the cross section (cm^2) of the first dark fermion on a nucleon at rest, spin
    independent, for an exchange of momenta far below the mass of the Z' (GeV).

    mu^2/pi (g_X b/M^2)^2 with b_p = 2 g_V^u + g_V^d and b_n = g_V^u + 2 g_V^d: vector currents
    count valence quarks. 0 without dark fermions.
    """
    if not couplings.dark:
        return jnp.zeros(())
    dark = couplings.dark[0]
    up, down = couplings.g_v("u"), couplings.g_v("d")
    charge = 2.0 * up + down if nucleon == "p" else up + 2.0 * down
    m_X, m_N = jnp.asarray(dark.mass), NUCLEON[nucleon]
    reduced = m_X * m_N / (m_X + m_N)
    return CM2 * reduced**2 / pi * (dark.vector * charge / jnp.asarray(mass) ** 2) ** 2


def width_to_dark(couplings: Couplings, mass: ArrayLike) -> Array:
    """Return the width (GeV) of a vector of a mass (GeV) into dark fermions."""
    found = (to_fermions(x.vector, x.axial, x.mass, mass) for x in couplings.dark)
    return sum(found, start=jnp.zeros(()))
