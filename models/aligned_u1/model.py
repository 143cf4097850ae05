"""The minimal aligned U(1)' as a model: from its Lagrangian to couplings at low energies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.models.aligned_u1 import decays, loops, oblique, pair_production
from bknn.models.aligned_u1.parameters import BASES, COMMON, LARGEST_YUKAWA, MASS_T, TOP_MASS
from bknn.models.aligned_u1.quantities import DECAYS_OF_T, LAGRANGIAN, OBLIQUE
from bknn.models.aligned_u1.top_partner import (
    TopPartner,
    from_lagrangian,
    from_masses,
    from_yukawa,
)
from bknn.models.complete import light_vector
from bknn.models.complete.light_vector import LightVector, mass_parameter
from bknn.models.light_particles import HIGGS_VEV
from bknn.models.theory import Params
from bknn.prediction import Group
from bknn.vectors.couplings import Couplings, DarkFermion, none
from bknn.vectors.mixing import Mixed, mixed

#: Of G, where it gives the mass of the top partner.
SMALLEST_COUPLING = 1e-9


class Point(NamedTuple):
    """A point of the model: masses and mixing, G = g~ q', and what the loops make of them; `vector`
    and `dipole` without G and elements of the CKM matrix."""

    top: TopPartner
    G: Array
    vector: Array
    dipole: Array
    eps_A: Array
    eps_Z: Array
    delta_Z: Array
    mixed: Mixed


class AlignedU1(LightVector):
    """SM + U(1)' with a top partner T, a dark scalar Phi and a dark fermion X (arXiv:1704.06005).

    T' ~ (3, 1, 2/3, q'), Phi ~ (1, 1, 0, q'), X ~ (1, 1, 0, r_X q'). Loops of t and T make
    b -> s Z' and mix the Z' with photon and Z; all else follows (`bknn.models.aligned_u1.loops`).

    The kinetic mixing with the photon diverges: it is a parameter, `eps_A0` at the scale `Lambda`
    (0, the default, stands for m_T), and most of what the model says about decays into leptons and
    about dark matter depends on it.

    Args:
        basis: "coupling" (m_T, s_R, G = g~ q'), "yukawa" (m_T, s_R, y_T), "dimensionless" (s_R, G,
            y_T), or "lagrangian" (y_t, y_T, M_T, v_tilde), where the mass of the top quark is a
            derived quantity.
        others: as for `Theory`.
    """

    name = "aligned-u1"
    description = "SM + B -> K(*) Z' of a U(1)' with a top partner and a dark fermion X"
    null: Mapping[str, float] = {}

    def __init__(self, *, basis: str = "coupling", **others: Any) -> None:
        if basis not in BASES:
            raise errors.unknown("basis", basis, BASES, f"model {self.name!r}")
        self.basis = basis
        own = (TOP_MASS,) if basis != "lagrangian" else ()
        self.lagrangian = (  # type: ignore[misc]
            mass_parameter(),
            *BASES[basis],
            *COMMON,
            *own,
        )
        off = "G" if basis in ("coupling", "dimensionless") else "y_T"
        self.null = {off: 0.0, "mass": 2.1}
        super().__init__(**others)

    def point(self, params: Params) -> Point:
        """Return masses, mixing and couplings of the Z', a pure JAX function of the parameters."""
        ew, mass = self.electroweak, jnp.asarray(params["mass"], float)
        if self.basis == "lagrangian":
            top = from_lagrangian(
                params["y_t"], params["y_T"], params["M_T"], params["v_tilde"], ew.v
            )
            G = mass / params["v_tilde"]
        elif self.basis == "dimensionless":
            G = jnp.asarray(params["G"])
            # Without a coupling m_T is infinite: then it is that of a very small one.
            v_tilde = mass / jnp.maximum(G, SMALLEST_COUPLING)
            top = from_yukawa(params["m_t"], params["s_R"], params["y_T"], v_tilde)
        else:
            top = from_masses(params["m_t"], params["m_T"], params["s_R"])
            G = jnp.asarray(
                params["G"] if self.basis == "coupling" else params["y_T"] * mass / top.y_T(1.0)
            )
        scale = jnp.asarray(params["Lambda"], float)
        scale = jnp.where(scale > 0.0, scale, top.m_T)
        eps_A = jnp.asarray(params["eps_A0"]) + G * loops.photon_mixing(top, ew, scale)
        eps_Z = G * loops.z_isospin_mixing(top, ew) - ew.tan_w * eps_A
        found = loops.amplitudes(top, ew)
        delta_Z = G * found.z_mass
        dark = DarkFermion(params["r_X"] * G, 0.0, params["m_X"])
        return Point(
            top,
            G,
            vector=found.vector,
            dipole=found.dipole,
            eps_A=eps_A,
            eps_Z=eps_Z,
            delta_Z=delta_Z,
            mixed=mixed(eps_A, eps_Z, delta_Z, mass, ew, own=replace(none(), dark=(dark,))),
        )

    def vector_couplings(self, params: Params, at: Point) -> Couplings:
        return at.mixed.couplings

    def b_to_s(self, params: Params, at: Point) -> Mapping[str, ArrayLike]:
        # -(m_b V D G/2) sbar sigma_mn P_R b Z'^mn, of which `vector` takes out v/sqrt2.
        scale = jnp.asarray(self.inputs.ckm) * at.G
        tensor = -scale * self.inputs.mass_b * at.dipole / (math.sqrt(2.0) * HIGGS_VEV)
        return {"C_V_L": scale * at.vector, "C_T_R": tensor}

    def of_z(self, params: Params, at: Point) -> Couplings:
        return at.mixed.z

    def groups(self) -> tuple[Group, ...]:
        return (
            Group(LAGRANGIAN, self._lagrangian),
            Group(OBLIQUE, self._oblique),
            Group(DECAYS_OF_T, self._decays_of_t),
            *super().groups(),
        )

    def _lagrangian(self, params: Params, at: light_vector.Point) -> dict[str, ArrayLike]:
        own: Point = at.own
        ew, mass = self.electroweak, jnp.asarray(params["mass"], float)
        top, G = own.top, own.G
        return {
            "m_t": top.m_t,
            "m_T": top.m_T,
            "s_R": top.s_R,
            "s_L": top.s_L,
            "G": G,
            "y_t": top.y_t(ew.v),
            "y_T": top.y_T(1.0) * G / mass,
            "M_T": top.vectorlike_mass,
            "v_tilde": mass / G,
            "g_X": params["r_X"] * G,
            "lambda_phi": 0.5 * (params["m_phi"] * G / mass) ** 2,
            "C_V_L": at.b_to_s["C_V_L"],
            "dipole": own.dipole,
            "delta_Z": own.delta_Z,
            "eps_A": own.eps_A,
            "eps_Z": own.eps_Z,
            "kappa_t": jnp.asarray(top.c_L) ** 2,
        }

    def _oblique(self, params: Params, at: light_vector.Point) -> dict[str, Array]:
        S, T = oblique.oblique(at.own.top, self.electroweak)
        return {"delta_S": S, "delta_T": T}

    def _decays_of_t(self, params: Params, at: light_vector.Point) -> dict[str, Array]:
        top, mass = at.own.top, jnp.asarray(params["mass"], float)
        partial = decays.widths(top, self.electroweak, at.own.G, mass, params["m_phi"])
        fractions = decays.seen(partial)
        return {
            **{f"width_T_{name}": x for name, x in partial.items()},
            **{f"br_T_{name}": x for name, x in fractions.items()},
            **pair_production.excess(top.m_T, **fractions),
        }

    def check(self, values: Mapping[str, float]) -> None:
        """Refuse a scale below the top quark, and masses as every model with a light vector does.

        Raises:
            ParameterError: what is wrong with the values.
        """
        super().check(values)
        scale, m_t = float(values["Lambda"]), float(values.get("m_t", MASS_T))
        if 0.0 < scale < m_t:
            raise errors.ParameterError(
                f"Lambda = {scale:g} GeV lies below the top quark ({m_t:g} GeV), where nothing "
                "runs any more; choose a scale above, or 0 for m_T."
            )

    def remarks(self, values: Mapping[str, float]) -> tuple[str, ...]:
        """Return what must be known of a point: a Yukawa coupling beyond perturbation theory, and
        what `LightVector` says."""
        said = super().remarks(values)
        at = self.point(values)
        y_T = float(at.top.y_T(1.0) * at.G / values["mass"])
        if not y_T > LARGEST_YUKAWA:
            return said
        return (
            *said,
            f"y_T = {y_T:.3g} lies above sqrt(8 pi/3) = {LARGEST_YUKAWA:.3f}, where perturbative "
            "unitarity ends: the loops say little there. The data set 'unitarity' is the term for "
            "it.",
        )
