"""A light invisible scalar: B -> K phi from g_S, B -> K* phi from g_P."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import numpy as np

from bknn.decay import rate
from bknn.decay.invisible import one_particle
from bknn.models.theory import (
    HIGGS_VEV,
    Coupling,
    CouplingsByBasis,
    LightParticles,
    Pair,
    Params,
    Particle,
    light_mass,
)
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
