"""Pairs of light invisible particles: scalars, fermions, vectors, spin 3/2.

Each coupling is named after the quark current and the invisible current: f_VA multiplies
(sbar g_m b)(psibar g^m g5 psi) / Lambda^2. The currents are in `bknn.decay.invisible`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from bknn.decay import rate
from bknn.decay.densities import Densities
from bknn.decay.invisible import fermion_pair, gravitino_pair, scalar_pair, vector_pair
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

#: Quark currents that meet an invisible current of each kind: even and odd parity.
QUARKS = {"scalar": ("S", "P"), "vector": ("V", "A"), "tensor": ("T", "T5")}
#: (m_B - m_K) / 2, GeV.
LARGEST_MASS = 2.3928
_MASSES = tuple(float(m) for m in np.linspace(0.1, 2.3, 8))


class Current:
    """An invisible current in the couplings of a model.

    Attributes:
        key: as in the spectral densities.
        kind: "scalar", "vector" or "tensor".
        dimension: powers of 1/Lambda that make the Lagrangian's dimension 4.
        start: of a coupling that floats.
    """

    def __init__(self, key: str, kind: str, dimension: int, start: float = 1.0) -> None:
        self.key, self.kind, self.dimension, self.start = key, kind, dimension, start

    @property
    def limit(self) -> float:
        return 1e3 * self.start


def parity_basis(letter: str, currents: Sequence[Current], floats: str) -> tuple[Coupling, ...]:
    """Return one coupling for each quark current and invisible current."""
    return tuple(
        Coupling(
            f"{letter}_{quark}{c.key}",
            {(quark, c.key): 1.0},
            c.start,
            c.limit,
            floats=f"{letter}_{quark}{c.key}" == floats,
            dimension=c.dimension,
        )
        for c in currents
        for quark in QUARKS[c.kind]
    )


def chiral_basis(currents: Sequence[Current], floats: str) -> tuple[Coupling, ...]:
    """Return one coupling for each chirality of the b quark and invisible current.

    Scalar and tensor currents change the chirality of the quarks; SU(2) asks for a Higgs field,
    hence v / (sqrt2 Lambda).
    """
    found = []
    for c in currents:
        even, odd = QUARKS[c.kind]
        factor, more = _higgs(c.kind)
        for hand, sign in (("L", -1.0), ("R", 1.0)):
            name = f"C_{c.key}_{hand}"
            terms = {(even, c.key): 0.5 * factor, (odd, c.key): 0.5 * sign * factor}
            found.append(_chiral(name, terms, c, more, floats))
    return tuple(found)


def fermion_chiral_basis(
    currents: Sequence[Current], floats: str, *, identical: bool
) -> tuple[Coupling, ...]:
    """Return one coupling for each chirality of quarks and fermions: C_V_LR and so on.

    Of Majorana fermions only the axial current is left of both vector currents, so only P_L.
    """
    known = {c.key: c for c in currents}
    found = []
    for quark_hand, quark_sign in (("L", -1.0), ("R", 1.0)):
        for hand, sign in (("L", -1.0), ("R", 1.0)):
            for label, (even, odd) in (("S", ("S", "P")), ("V", ("V", "A"))):
                if identical and label == "V" and hand == "R":
                    continue
                kind = "scalar" if label == "S" else "vector"
                factor, more = _higgs(kind)
                terms = {
                    (quark, dark): 0.25 * factor * a * b
                    for quark, a in zip(QUARKS[kind], (1.0, quark_sign), strict=True)
                    for dark, b in ((even, 1.0), (odd, sign))
                    if dark in known
                }
                name = f"C_{label}_{quark_hand}{hand}"
                found.append(_chiral(name, terms, known[odd], more, floats))
        if "T" in known:
            # (sbar sigma P_X b)(psibar sigma P_X psi); the other two vanish identically.
            factor, more = _higgs("tensor")
            terms = {("T", "T"): 0.5 * factor, ("T5", "T"): 0.5 * quark_sign * factor}
            name = f"C_T_{quark_hand}{quark_hand}"
            found.append(_chiral(name, terms, known["T"], more, floats))
    # What no chirality of the fermions tells apart is as it is for bosons.
    return tuple(found) + chiral_basis([c for c in currents if c.key not in "SPVAT"], floats)


def _higgs(kind: str) -> tuple[float, int]:
    return (1.0, 0) if kind == "vector" else (HIGGS_VEV / sqrt(2.0), 1)


def _chiral(
    name: str, terms: Mapping[tuple[str, str], float], current: Current, more: int, floats: str
) -> Coupling:
    scale = 100.0 if more else 2.0
    return Coupling(
        name,
        terms,
        scale * current.start,
        scale * current.limit,
        floats=name == floats,
        dimension=current.dimension + more,
    )


class PairModel(LightParticles):
    """Base: SM + a pair of particles of one mass."""

    identical: ClassVar[bool] = False
    thresholds = ("mass",)
    #: Below this mass nothing is asked, GeV.
    least_mass: ClassVar[float] = 0.0
    #: Where the prior of the mass begins, GeV.
    lightest: ClassVar[float] = 0.0
    densities: ClassVar[Callable[..., Densities]]

    def mass_parameters(self) -> tuple[Parameter, ...]:
        return (light_mass(LARGEST_MASS, 0.5, _MASSES, self.least_mass, self.lightest),)

    def new_states(self, couplings: rate.Couplings, params: Params) -> Sequence[Pair | Particle]:
        mass: Any = params["mass"]
        densities = type(self).densities

        def at(q2: Any) -> Densities:
            return densities(q2, mass, identical=self.identical)

        return (Pair(couplings, at, fermion_pair.threshold(mass)),)


class DivergentPairModel(PairModel):
    """Base for particles of spin 1 and 3/2: rates of longitudinal ones diverge at mass 0, so that
    the couplings that describe data depend on the mass over some decades."""

    least_mass = 1e-2
    lightest = LIGHTEST
    decades = 4


SCALAR = (Current("S", "scalar", 1, 4e-4), Current("V", "vector", 2, 3.0))


class ScalarPair(PairModel):
    """SM + B -> K(*) phi phi*, phi a complex scalar.

    L = (g_SS sbar b + g_PS sbar g5 b) phi* phi / Lambda
      + (g_VV sbar g_m b + g_AV sbar g_m g5 b) i(phi* d^m phi - phi d^m phi*) / Lambda^2 + h.c.
    """

    name = "scalar-pair"
    description = "SM + B -> K(*) phi phi*, phi an invisible complex scalar"
    densities = staticmethod(scalar_pair.densities)
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": parity_basis("g", SCALAR, "g_SS"),
        "chiral": chiral_basis(SCALAR, "C_S_R"),
    }


class RealScalarPair(PairModel):
    """SM + B -> K(*) phi phi, phi a real scalar: L = (g_SS sbar b + g_PS sbar g5 b) phi^2 / Lambda
    + h.c.; the vector current of a real field vanishes."""

    name = "scalar-pair-real"
    description = "SM + B -> K(*) phi phi, phi an invisible real scalar"
    identical = True
    densities = staticmethod(scalar_pair.densities)
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": parity_basis("g", SCALAR[:1], "g_SS"),
        "chiral": chiral_basis(SCALAR[:1], "C_S_R"),
    }


FERMION = (
    Current("S", "scalar", 2),
    Current("P", "scalar", 2),
    Current("V", "vector", 2),
    Current("A", "vector", 2),
    Current("T", "tensor", 2),
)
#: psibar g_m psi and psibar sigma_mn psi vanish for Majorana fields.
_MAJORANA = tuple(c for c in FERMION if c.key in ("S", "P", "A"))


class FermionPair(PairModel):
    """SM + B -> K(*) psi psibar, psi a Dirac fermion.

    L = f_QD (sbar G_Q b)(psibar G_D psi) / Lambda^2 + h.c. with Q D = SS, PS, SP, PP, VV, AV, VA,
    AA, TT (sigma sigma) and T5T (sigma g5 sigma).
    """

    name = "fermion-pair"
    description = "SM + B -> K(*) psi psibar, psi an invisible Dirac fermion"
    densities = staticmethod(fermion_pair.densities)
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": parity_basis("f", FERMION, "f_VV"),
        "chiral": fermion_chiral_basis(FERMION, "C_V_LR", identical=False),
    }


class MajoranaPair(PairModel):
    """SM + B -> K(*) psi psi, psi a Majorana fermion: as `FermionPair`, without the vector and
    tensor currents of psi, which vanish; operators are written without a factor 1/2."""

    name = "fermion-pair-majorana"
    description = "SM + B -> K(*) psi psi, psi an invisible Majorana fermion"
    identical = True
    densities = staticmethod(fermion_pair.densities)
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": parity_basis("f", _MAJORANA, "f_VA"),
        "chiral": fermion_chiral_basis(_MAJORANA, "C_V_LL", identical=True),
    }


VECTOR = (
    Current("S", "scalar", 1, 2e-5),
    Current("F", "scalar", 3, 1e3),
    Current("D", "scalar", 3, 1e3),
    Current("V", "vector", 2, 1.0),
    Current("M", "vector", 2, 1.0),
    Current("E", "vector", 2, 1.0),
    Current("A", "vector", 2, 1.0),
    Current("B", "vector", 2, 1.0),
    Current("T", "tensor", 1, 1e-4),
)
_REAL_VECTOR = tuple(c for c in VECTOR if c.key in vector_pair.SELF_CONJUGATE)


class VectorPair(DivergentPairModel):
    """SM + B -> K(*) V V*, V a complex Proca field.

    L = h_QD (sbar G_Q b) D / Lambda^n + h.c., with the invisible currents D = S, F, D, V, M, E, A,
    B, T of `bknn.decay.invisible.vector_pair`; n = 1 for S and T, 2 for V, M, E, A, B, and 3 for F
    and D. All but F and D make rates that diverge for a light V; masses end at 10 MeV.
    """

    name = "vector-pair"
    description = "SM + B -> K(*) V V*, V an invisible complex vector"
    densities = staticmethod(vector_pair.densities)
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": parity_basis("h", VECTOR, "h_SS"),
        "chiral": chiral_basis(VECTOR, "C_S_R"),
    }


class RealVectorPair(DivergentPairModel):
    """SM + B -> K(*) V V, V a real Proca field: as `VectorPair` with the currents S, F, D, E, A,
    the ones that are even under charge conjugation."""

    name = "vector-pair-real"
    description = "SM + B -> K(*) V V, V an invisible real vector"
    identical = True
    densities = staticmethod(vector_pair.densities)
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": parity_basis("h", _REAL_VECTOR, "h_SS"),
        "chiral": chiral_basis(_REAL_VECTOR, "C_S_R"),
    }


#: The densities grow like (q2 / mass^2)^2, so the couplings are smaller.
GRAVITINO = tuple(
    Current(c.key, c.kind, c.dimension, 0.05) for c in (*FERMION, Current("U", "tensor", 2))
)
_MAJORANA_GRAVITINO = tuple(c for c in GRAVITINO if c.key in gravitino_pair.SELF_CONJUGATE)


class GravitinoPair(DivergentPairModel):
    """SM + B -> K(*) Psi Psibar, Psi a Dirac field of spin 3/2 (Rarita-Schwinger).

    L = F_QD (sbar G_Q b)(Psibar_r G_D Psi^r) / Lambda^2 + h.c., Q D as for `FermionPair`, and
    another tensor current, U = i (Psibar^m Psi^n - Psibar^n Psi^m), with Q D = TU and T5U. Rates
    diverge like 1/mass^4 for a light Psi; masses end at 10 MeV.
    """

    name = "gravitino-pair"
    description = "SM + B -> K(*) Psi Psibar, Psi invisible with spin 3/2 (Dirac)"
    densities = staticmethod(gravitino_pair.densities)
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": parity_basis("F", GRAVITINO, "F_VV"),
        "chiral": fermion_chiral_basis(GRAVITINO, "C_V_LR", identical=False),
    }


class MajoranaGravitinoPair(DivergentPairModel):
    """SM + B -> K(*) Psi Psi, Psi a Majorana field of spin 3/2: as `GravitinoPair`, with the
    scalar, pseudoscalar and axial currents only."""

    name = "gravitino-pair-majorana"
    description = "SM + B -> K(*) Psi Psi, Psi invisible with spin 3/2 (Majorana)"
    identical = True
    densities = staticmethod(gravitino_pair.densities)
    couplings_by_basis: ClassVar[CouplingsByBasis] = {
        "parity": parity_basis("F", _MAJORANA_GRAVITINO, "F_VA"),
        "chiral": fermion_chiral_basis(_MAJORANA_GRAVITINO, "C_V_LL", identical=True),
    }
