"""The weak effective theory of b -> s nu nubar in the convention of EOS, flavour-universal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from bknn.decay.invisible import neutrinos
from bknn.kinematics import known
from bknn.models import wcxf
from bknn.models.theory import Pair, Params, Particle, Theory, is_zero, neutrino_scale
from bknn.parameters import Parameter


class WET(Theory):
    """Vector, scalar and tensor operators with left-handed neutrinos, as in EOS (`sbnunu`).

    H = 4 G_F / sqrt2 alpha / (2 pi) V_tb* V_ts sum C O with

    - C_VL, C_VR: (sbar g_m P_L(R) b)(nubar g^m P_L nu); the standard model is in C_VL (X_t/s_w^2),
    - C_SL, C_SR: (sbar P_L(R) b)(nubar^c P_L nu), C_TL: (sbar sigma P_L b)(nubar^c sigma P_L nu),

    each for three flavours. Scalar and tensor operators violate lepton number; the tensor one is
    antisymmetric in flavour, so C_TL^2 stands for the sum of |C_TL^ab|^2 over three. The rates are
    those of arXiv:2111.04327, eqs. (8) and (13). B -> K depends on |C_VL + C_VR|, |C_SL + C_SR| and
    |C_TL| only: C_VR and C_SR stay at 0 unless they are set or freed.

    Args:
        wilson_coefficients: where the parameters start: a WCxf file of any
            basis and scale (`bknn.models.wcxf.at_mb`), or a
            `bknn.models.wcxf.WilsonCoefficients`, flavour-universal.
        others: as for `Theory`.
    """

    name = "wet"
    description = "b -> s nu nu, vector + scalar + tensor, flavour-universal (EOS convention)"
    interferes = True

    def __init__(self, *, wilson_coefficients: Any = None, **others: Any) -> None:
        self._given = wilson_coefficients
        super().__init__(**others)
        del self._given  # where it came from is no part of what it is

    @property
    def null(self) -> Mapping[str, float]:  # type: ignore[override]
        return {
            "C_VL": self._standard_model(),
            "C_VR": 0.0,
            "C_SL": 0.0,
            "C_SR": 0.0,
            "C_TL": 0.0,
        }

    def _standard_model(self) -> float:
        """C_VL of the SM, where fits start; some such number if inputs are traced."""
        c_sm = self.inputs.c_sm
        return float(np.asarray(c_sm)) if known(c_sm) else 6.5

    def own_parameters(self) -> tuple[Parameter, ...]:
        #: What the parameters start from, where they come from a file.
        self.given: dict[str, float] = {}
        self.notes: tuple[str, ...] = ()
        if self._given is not None:
            found = wcxf.at_mb(self._given, self.inputs)
            self.notes = (found.note,) if found.note else ()
            self.given = found.universal_eos(self.inputs, real=True)
            # The common sign of an operator and its right-handed partner is not observable.
            for pair in (("C_VL", "C_VR"), ("C_SL", "C_SR"), ("C_TL",)):
                if self.given[pair[0]] < 0.0:
                    self.given |= {name: -self.given[name] for name in pair}

        def positive(name: str, start: float, text: str) -> Parameter:
            prior = dist.Uniform(0.0, 20.0)
            start = self.given.get(name, start)
            return Parameter(
                name, start, (0.0, 60.0), prior=prior, description=text, coupling=name[:3]
            )

        def off(name: str, text: str) -> Parameter:
            start = self.given.get(name, 0.0)
            # If it is freed: at 0 a square has no slope.
            starts = (2.0, -2.0)
            return Parameter(
                name,
                start,
                (-60.0, 60.0),
                starts=starts,
                fixed=True,
                description=text,
                coupling=name[:3],
            )

        sm = round(self._standard_model(), 4)
        return (
            positive("C_VL", sm, f"left-handed quarks, vector; {sm:.3f} in the SM"),
            off("C_VR", "right-handed quarks, vector"),
            positive("C_SL", 2.0, "P_L on quarks, scalar"),
            off("C_SR", "P_R on quarks, scalar"),
            positive("C_TL", 4.0, "tensor"),
        )

    def final_states(self, params: Params) -> Sequence[Pair | Particle]:
        scale = sqrt(3.0) * neutrino_scale(self.inputs)
        # Two identical antineutrinos: both orders of the fields, half of the phase space.
        twice = sqrt(2.0)
        chiral = {
            key: factor * scale * jnp.asarray(params[name])
            for name, key, factor in (
                ("C_VL", "VLL", 1.0),
                ("C_VR", "VRL", 1.0),
                ("C_SL", "SLL", twice),
                ("C_SR", "SRL", twice),
                ("C_TL", "TLL", twice),
            )
            if not is_zero(params[name])
        }
        return (Pair(neutrinos.couplings(chiral), neutrinos.densities),)
