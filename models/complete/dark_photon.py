"""A dark photon, and a dark fermion that it may decay into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike

from bknn.models.complete import dark_matter
from bknn.models.complete.light_vector import (
    LightVector,
    decay_parameters,
    mass_parameter,
)
from bknn.models.theory import Params
from bknn.parameters import Parameter
from bknn.vectors.couplings import Couplings, DarkFermion, dark_photon, none


class DarkPhoton(LightVector):
    """SM + a vector that mixes with the photon, `epsilon`, and couples to a Dirac fermion X.

    L = -epsilon e J_em^m Z'_m + g_X (Xbar gamma^m X) Z'_m + C_V_L (sbar gamma^m P_L b) Z'_m + h.c.

    Kinetic mixing does not change flavour: what makes b -> s Z' is left open, as `C_V_L`. X is
    there with `g_X` not 0; it is visible if it is too heavy for the decay of the Z'.
    """

    name = "dark-photon"
    description = "SM + B -> K(*) Z', Z' a dark photon with decays into SM particles and X"
    lagrangian: ClassVar[tuple[Parameter, ...]] = (
        mass_parameter(),
        Parameter(
            "epsilon",
            1e-4,
            (0.0, 1.0),
            prior=dist.LogUniform(1e-8, 1e-2),
            fixed=True,
            symbol=r"$\epsilon$",
            description="kinetic mixing with the photon",
        ),
        Parameter(
            "C_V_L",
            1.4e-8,
            (0.0, 1e-5),
            prior=dist.Uniform(0.0, 7e-8),
            description="(sbar g_m P_L b) Z'^m",
            coupling="new",
        ),
        Parameter(
            "g_X",
            0.05,
            (0.0, 10.0),
            prior=dist.LogUniform(1e-6, 3.0),
            fixed=True,
            description="coupling to X",
        ),
        *dark_matter.parameters(),
        *decay_parameters(),
    )
    null: Mapping[str, float] = {"C_V_L": 0.0, "mass": 2.1}

    def vector_couplings(self, params: Params, at: None) -> Couplings:
        return dark_photon(params["epsilon"], self.electroweak) + _dark(params)

    def b_to_s(self, params: Params, at: None) -> Mapping[str, ArrayLike]:
        return {"C_V_L": params["C_V_L"]}

    def of_z(self, params: Params, at: None) -> Couplings:
        # The mixing is with hypercharge: of the Z, -tan(theta_W) that of the photon.
        s2 = jnp.asarray(self.electroweak.sin2_w)
        x = (jnp.asarray(params["mass"]) / self.electroweak.m_z) ** 2
        return _dark(params) * (params["epsilon"] * jnp.sqrt(s2 / (1.0 - s2)) / (1.0 - x))


def _dark(params: Params) -> Couplings:
    """Return the couplings to X alone."""
    return replace(none(), dark=(DarkFermion(params["g_X"], 0.0, params["m_X"]),))
