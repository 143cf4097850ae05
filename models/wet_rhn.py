"""b -> s nu nubar with right-handed neutrinos and any flavours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.decay.invisible import fermion_pair, neutrinos
from bknn.inputs import load as load_inputs
from bknn.models import wcxf
from bknn.models.theory import Pair, Params, Particle, Theory, is_zero, neutrino_scale
from bknn.parameters import Parameter

FLAVOURS = ("e", "mu", "tau")

#: Name of a coefficient -> key of the chiral coefficient (chirality of quarks, of neutrinos).
OPERATORS = {
    "C_L": "VLL",
    "C_Lp": "VRL",
    "C_R": "VLR",
    "C_Rp": "VRR",
    "C_SLL": "SLL",
    "C_SLR": "SLR",
    "C_SRL": "SRL",
    "C_SRR": "SRR",
    "C_TLL": "TLL",
    "C_TRR": "TRR",
}

#: Operators (sbar P_X b)(nubar^c_a P_L nu_b), (sbar sigma P_L b)(nubar^c_a sigma P_L nu_b): only
#: from `wilson_coefficients`.
VIOLATING = {"C_LNV_SL": "SLL", "C_LNV_SR": "SRL", "C_LNV_TL": "TLL"}


class WETWithRightHandedNeutrinos(Theory):
    """The most general dimension-6 Hamiltonian with light right-handed neutrinos.

    H = -4 G_F / sqrt2 V_tb V_ts* alpha / (4 pi) sum_ab C^ab O^ab with (arXiv:2107.01080, with the
    normalisation of flavio and WCxf)

    - C_L, C_Lp: (sbar g_m P_L(R) b)(nubar_a g^m (1 - g5) nu_b), flavio's CL and CR; the standard
      model's -X_t/s_w^2 is added to C_L,
    - C_R, C_Rp: the same with (1 + g5), for right-handed neutrinos,
    - C_SXY: (sbar P_X b)(nubar_a (1 -+ g5) nu_b), C_TLL, C_TRR: (sbar sigma P_X b)(nubar_a sigma
      (1 -+ g5) nu_b).

    `C_R` multiplies the unit matrix; `C_R_mutau` is one entry, and is added. All are fixed at 0 but
    `C_R`, until they are freed or set. `mass_N` is a common mass of the right-handed neutrinos.
    Neutrinos are Dirac particles here; operators that violate lepton number come in through
    `wilson_coefficients`, or, flavour-universal, with the model `wet`. (Elsewhere C_L^SM =
    -2 X_t/s_w^2 belongs to operators with P_L: twice ours.)

    Args:
        wilson_coefficients: further coefficients, complex ones too, which are added: a WCxf file of
            any basis and scale (`bknn.models.wcxf.at_mb`), or a
            `bknn.models.wcxf.WilsonCoefficients`.
        others: as for `Theory`.
    """

    name = "wet-rhn"
    description = "b -> s nu nu with right-handed neutrinos, flavour matrices (flavio convention)"
    thresholds = ("mass_N",)
    interferes = True

    def __init__(self, *, wilson_coefficients: Any = None, **others: Any) -> None:
        self.background: dict[str, np.ndarray] = {}
        self.notes: tuple[str, ...] = ()
        if wilson_coefficients is not None:
            inputs = load_inputs(others.get("inputs", "standard"))
            found = wcxf.at_mb(wilson_coefficients, inputs)
            self.background = dict(found.matrices)
            self.notes = (found.note,) if found.note else ()
        super().__init__(**others)

    @property
    def null(self) -> Mapping[str, float]:  # type: ignore[override]
        return {p.name: p.init if p.name == "mass_N" else 0.0 for p in self.parameters}

    def own_parameters(self) -> tuple[Parameter, ...]:
        def coefficient(name: str, text: str) -> Parameter:
            kind = name[2]  # of C_R, C_Rp, C_R_mutau: they may interfere
            if name == "C_R":
                # Its sign is relative to what came from a file.
                fixed = {"C_R", "C_Rp"} & set(self.background)
                bounds, starts = ((-60.0, 60.0), (5.0, -5.0)) if fixed else ((0.0, 60.0), ())
                return Parameter(name, 5.0, bounds, starts=starts, description=text, coupling=kind)
            # If it is freed: at 0 a square has no slope.
            starts = (3.0, -3.0)
            return Parameter(
                name,
                0.0,
                (-60.0, 60.0),
                starts=starts,
                fixed=True,
                description=text,
                coupling=kind,
            )

        universal = [coefficient(name, "times the unit matrix") for name in OPERATORS]
        entries = [
            coefficient(f"{name}_{a}{b}", f"entry nubar_{a} nu_{b}")
            for name in OPERATORS
            for a in FLAVOURS
            for b in FLAVOURS
        ]
        mass = Parameter(
            "mass_N",
            0.0,
            (0.0, 10.0),
            fixed=True,
            unit="GeV",
            description="of the right-handed neutrinos",
        )
        return (*universal, mass, *entries)

    def matrix(self, name: str, params: Params) -> Array:
        """Return a coefficient as a (3, 3) matrix over (nubar, nu), without the standard model."""
        entries = [
            [jnp.asarray(params.get(f"{name}_{a}{b}", 0.0)) for b in FLAVOURS] for a in FLAVOURS
        ]
        matrix = jnp.stack([jnp.stack(row) for row in entries])
        return (
            matrix
            + jnp.asarray(params.get(name, 0.0)) * jnp.eye(3)
            + jnp.asarray(self.background.get(name, np.zeros((3, 3))))
        )

    def final_states(self, params: Params) -> Sequence[Pair | Particle]:
        scale = neutrino_scale(self.inputs)
        chiral: dict[str, Array] = {}
        for name, key in OPERATORS.items():
            used = name in self.background or any(
                not is_zero(v) for k, v in params.items() if k == name or k.startswith(f"{name}_")
            )
            # What is known to be absent costs nothing.
            if used or name == "C_L":
                chiral[key] = scale * self.matrix(name, params)
        chiral["VLL"] = chiral["VLL"] - scale * self.inputs.c_sm * jnp.eye(3)

        violating = {
            key: scale * jnp.asarray(self.background[name])
            for name, key in VIOLATING.items()
            if name in self.background
        }
        two_antineutrinos = (
            [Pair(neutrinos.majorana(neutrinos.couplings(violating)), neutrinos.densities)]
            if violating
            else []
        )
        mass: Any = params.get("mass_N", 0.0)
        if is_zero(mass):
            return (Pair(neutrinos.couplings(chiral), neutrinos.densities), *two_antineutrinos)

        def only(*keys: str) -> dict[str, Array]:
            return {k: chiral[k] for k in keys if k in chiral}

        left = only("VLL", "VRL")
        states = [Pair(neutrinos.couplings(left), neutrinos.densities), *two_antineutrinos]
        # nubar_a nu_b with none, two, or one of them heavy.
        for heavy, masses in (
            (only("VLR", "VRR"), (mass, mass)),
            (only("SLR", "SRR", "TRR"), (0.0, mass)),
            (only("SLL", "SRL", "TLL"), (mass, 0.0)),
        ):
            if heavy:
                states.append(
                    Pair(
                        neutrinos.massive_couplings(heavy),
                        partial(fermion_pair.densities, mass=masses[0], mass_2=masses[1]),
                        fermion_pair.threshold(*masses),
                    )
                )
        return states
