"""What a light vector does where it is not produced: magnetic moments, parity violation in atoms,
scattering of dark fermions on nucleons and nuclei; and decays of the Z into what it mixes with."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from types import MappingProxyType
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import erfc
from jax.typing import ArrayLike

from bknn import errors
from bknn.vectors.couplings import Couplings
from bknn.vectors.electroweak import Electroweak
from bknn.vectors.widths import LEPTON_MASSES, to_fermions

#: Masses of nucleons, GeV (Particle Data Group 2024, Phys. Rev. D 110, 030001).
NUCLEON = {"p": 0.93827209, "n": 0.93956542}

#: 1 GeV^-2 in cm^2.
CM2 = 3.893794e-28

#: Mass of a nucleus over its number of nucleons, GeV.
UNIT = 0.93149410


class Element(NamedTuple):
    """A part of a target: protons in a nucleus, atoms in a molecule, {nucleons: abundance}."""

    protons: int
    atoms: int
    isotopes: Mapping[int, float]


class Target(NamedTuple):
    """What dark matter scatters on: elements, and the least energy that is seen (GeV)."""

    elements: tuple[Element, ...]
    threshold: float = 0.0


_XENON = {124: 0.000952, 126: 0.00089, 128: 0.019102, 129: 0.264006, 130: 0.04071}
_XENON |= {131: 0.212324, 132: 0.269086, 134: 0.104357, 136: 0.088573}
_CALCIUM = {40: 0.96941, 42: 0.00647, 43: 0.00135, 44: 0.02086, 46: 0.00004, 48: 0.00187}
_TUNGSTEN = {180: 0.0012, 182: 0.2650, 183: 0.1431, 184: 0.3064, 186: 0.2843}

#: Targets, with natural abundances (isotopic compositions of IUPAC, 2013). The threshold matters
#: where nuclei of very different mass lie together; 30.1 eV is CRESST's (arXiv:1904.00498).
TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "Xe": Target((Element(54, 1, _XENON),)),
        "Ar": Target((Element(18, 1, {36: 0.003336, 38: 0.000629, 40: 0.996035}),)),
        "CaWO4": Target(
            (
                Element(20, 1, _CALCIUM),
                Element(74, 1, _TUNGSTEN),
                Element(8, 4, {16: 0.99757, 17: 0.00038, 18: 0.00205}),
            ),
            30.1e-9,
        ),
    }
)

#: Most probable velocity of dark matter, and that of the Earth through it, in units of c (220 and
#: 232 km/s: the standard halo of the searches).
_HALO, _EARTH = 220.0 / 299792.458, 232.0 / 299792.458

#: Velocities of threshold above this one (1500 km/s) are as if there; nothing is so fast.
_FAST = 1500.0 / 299792.458

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
    vector, axial = x**2 * (1.0 - x), x * (1.0 - x) * (x - 4.0) - 2.0 * x**3 / ratio
    g_v, g_a = couplings[lepton]
    return jnp.sum(dx * (g_v**2 * vector + g_a**2 * axial) / below) / (4.0 * pi**2)


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
    b_p, b_n = _nucleons(couplings, mass)
    reduced = _reduced(couplings, NUCLEON[nucleon])
    return CM2 * reduced**2 / pi * (b_p if nucleon == "p" else b_n) ** 2


def nucleus_cross_section(couplings: Couplings, mass: ArrayLike, target: str) -> Array:
    """Return the cross section (cm^2) that a search on nuclei would quote: that on a nucleon which
    gives its rate if dark matter coupled to protons and neutrons alike.

    With b_p and b_n as for `nucleon_cross_section`, and a sum over the isotopes of the target,

        mu_p^2/pi (g_X/M^2)^2 sum_i w_i [Z_i b_p + (A_i - Z_i) b_n]^2 / sum_i w_i A_i^2,

    w_i = abundance mu_i^2 (arXiv:1102.4331, eq. 4). Where there is a threshold E, w_i has a further
    factor <v - v_i^2/v>, v > v_i = sqrt(m_i E/2)/mu_i, the part of the rate above it in a halo
    without escape velocity: in CaWO4 oxygen dominates below 0.7 GeV, tungsten above 2 GeV. Form
    factors of nuclei are left out: right for dark matter below some 10 GeV, and beyond for one
    element, whose isotopes share them.

    Args:
        couplings: of the vector; the first dark fermion scatters. 0 without any.
        mass: of the vector, GeV, far above the momenta exchanged (some 100 MeV on xenon).
        target: one of TARGETS.

    Raises:
        UnknownNameError: there is no such target.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn.vectors.couplings import DarkFermion, dark_photon
    >>> dark = Couplings(jnp.zeros(12), jnp.zeros(12), (DarkFermion(0.1, 0.0, 0.9),))
    >>> g = dark_photon(1e-3) + dark
    >>> found = nucleus_cross_section(g, 2.1, "Ar") / nucleon_cross_section(g, 2.1, "p")
    >>> round(float(found), 3), round((18 / 39.985) ** 2, 3)
    (0.203, 0.203)
    """
    if target not in TARGETS:
        raise errors.unknown("target", target, TARGETS)
    if not couplings.dark:
        return jnp.zeros(())
    b_p, b_n = _nucleons(couplings, mass)
    elements, threshold = TARGETS[target]
    sizes = [(e.protons, n, e.atoms * x) for e in elements for n, x in e.isotopes.items()]
    protons, nucleons, number = np.array(sizes).T
    heavy = UNIT * nucleons
    reduced = _reduced(couplings, heavy)
    weight = number * reduced**2
    if threshold > 0.0:
        weight = weight * _above(jnp.sqrt(heavy * threshold / 2.0) / reduced)
    coherent = jnp.sum(weight * (protons * b_p + (nucleons - protons) * b_n) ** 2)
    part = coherent / jnp.sum(weight * nucleons**2)
    return CM2 * _reduced(couplings, NUCLEON["p"]) ** 2 / pi * part


def _nucleons(couplings: Couplings, mass: ArrayLike) -> tuple[Array, Array]:
    """Return g_X b_p/M^2 and g_X b_n/M^2 of the first dark fermion, GeV^-2."""
    up, down = couplings.g_v("u"), couplings.g_v("d")
    strength = jnp.asarray(couplings.dark[0].vector) / jnp.asarray(mass) ** 2
    return strength * (2.0 * up + down), strength * (up + 2.0 * down)


def _reduced(couplings: Couplings, other: ArrayLike) -> Array:
    """Return the reduced mass of the first dark fermion and something else, GeV."""
    m_X = jnp.maximum(jnp.asarray(couplings.dark[0].mass, float), 1e-9)
    return m_X * other / (m_X + other)


def _above(least: Array) -> Array:
    """Return <v - least^2/v> over v > least, up to a factor, for dark matter that is Maxwellian in
    the galaxy."""
    v = jnp.minimum(least, _FAST) / _HALO

    def moving(earth: float) -> Array:
        a = v - earth
        square = (earth**2 - v**2 + 0.5) * 0.5 * np.sqrt(pi) * erfc(a)
        return square + (earth + 0.5 * a) * jnp.exp(-(a**2))

    return moving(_EARTH / _HALO) - moving(-_EARTH / _HALO)


def width_to_dark(couplings: Couplings, mass: ArrayLike) -> Array:
    """Return the width (GeV) of a vector of a mass (GeV) into dark fermions."""
    found = (to_fermions(x.vector, x.axial, x.mass, mass) for x in couplings.dark)
    return sum(found, start=jnp.zeros(()))
