"""One light invisible particle: a scalar phi, or a vector V."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import numpy as np

from bknn.decay import rate
from bknn.decay.invisible import one_particle
from bknn.models.light_particles import (
    HIGGS_VEV,
    LIGHTEST,
    Coupling,
    CouplingsByBasis,
    LightParticles,
    light_mass,
)
from bknn.models.theory import Pair, Params, Particle
from bknn.parameters import Parameter

_V = HIGGS_VEV / sqrt(2.0)

#: Where the likelihood of a line may have minima, GeV.
MASSES = tuple(float(m) for m in np.linspace(0.1, 4.7, 24))
#: m_B - m_K, GeV.
LARGEST_MASS = 4.7857


def width() -> Parameter:
    """Return the parameter for the total width of a light particle."""
    return Parameter("width", 0.0, (0.0, 5.0), fixed=True, unit="GeV", description="total width")


class Scalar(LightParticles):
    """SM + B -> K(*) phi with L = g_S (sbar b) phi + g_P (sbar g5 b) phi + h.c.

    In the chiral basis L = v/sqrt2 [C_S_L (sbar P_L b) + C_S_R (sbar P_R b)] phi, with the v/sqrt2
    that an SU(2)-invariant operator has (coefficients in GeV^-1).
    """

    name = "scalar"
    description = "SM + B -> K(*) phi, phi an invisible scalar"
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": (
            Coupling("g_S", {("S", "S"): 1.0}, 1e-8, 1e-5, floats=True),
            Coupling("g_P", {("P", "S"): 1.0}, 1e-8, 1e-5),
        ),
        "chiral": (
            Coupling(
                "C_S_L", {("S", "S"): 0.5 * _V, ("P", "S"): -0.5 * _V}, 1e-10, 1e-7, unit="GeV^-1"
            ),
            Coupling(
                "C_S_R",
                {("S", "S"): 0.5 * _V, ("P", "S"): 0.5 * _V},
                1e-10,
                1e-7,
                floats=True,
                unit="GeV^-1",
            ),
        ),
    }

    def mass_parameters(self) -> tuple[Parameter, ...]:
        return (light_mass(LARGEST_MASS, 2.1, MASSES), width())

    def new_states(self, couplings: rate.Couplings, params: Params) -> Sequence[Pair | Particle]:
        density = one_particle.scalar()
        return (Particle(couplings, density, params["mass"], params["width"]),)


class Vector(LightParticles):
    """SM + B -> K(*) V with L = h_V (sbar g_m b) V^m + h_A (sbar g_m g5 b) V^m
    + h_T (sbar sigma_mn b) V^mn + h_T5 (sbar sigma_mn g5 b) V^mn + h.c.; dipoles in GeV^-1.

    In the chiral basis C_V_X goes with (sbar g_m P_X b) V^m and v/sqrt2 C_T_X with
    (sbar sigma_mn P_X b) V^mn (C_T_X in GeV^-2).

    A longitudinal V with h_V or h_A makes the rate grow like 1/mass^2, so the mass ends at 1 MeV.
    """

    name = "vector"
    description = "SM + B -> K(*) V, V an invisible vector"
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": (
            Coupling("h_V", {("V", "V"): 1.0}, 7e-9, 1e-5, floats=True),
            Coupling("h_A", {("A", "V"): 1.0}, 7e-9, 1e-5),
            Coupling("h_T", {("T", "F"): 1.0}, 2e-9, 1e-5, unit="GeV^-1"),
            Coupling("h_T5", {("T5", "F"): 1.0}, 2e-9, 1e-5, unit="GeV^-1"),
        ),
        "chiral": (
            Coupling("C_V_L", {("V", "V"): 0.5, ("A", "V"): -0.5}, 1.4e-8, 1e-5, floats=True),
            Coupling("C_V_R", {("V", "V"): 0.5, ("A", "V"): 0.5}, 1.4e-8, 1e-5),
            Coupling(
                "C_T_L", {("T", "F"): 0.5 * _V, ("T5", "F"): -0.5 * _V}, 2e-11, 1e-7, unit="GeV^-2"
            ),
            Coupling(
                "C_T_R", {("T", "F"): 0.5 * _V, ("T5", "F"): 0.5 * _V}, 2e-11, 1e-7, unit="GeV^-2"
            ),
        ),
    }

    def mass_parameters(self) -> tuple[Parameter, ...]:
        return (light_mass(LARGEST_MASS, 2.1, MASSES, least=1e-3, lightest=LIGHTEST), width())

    def new_states(self, couplings: rate.Couplings, params: Params) -> Sequence[Pair | Particle]:
        mass = params["mass"]
        return (Particle(couplings, one_particle.vector(mass), mass, params["width"]),)
