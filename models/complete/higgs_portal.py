"""A scalar that mixes with the Higgs boson."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi, sqrt
from typing import ClassVar

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bknn.channels import channel
from bknn.models.complete.matching import Matched, Matching
from bknn.models.light_particles import HIGGS_VEV, light_mass
from bknn.models.particles import LARGEST_MASS, MASSES, Scalar, width
from bknn.models.theory import Params, Particle
from bknn.parameters import Parameter
from bknn.prediction import DerivedQuantity

#: Pole mass of the top quark, GeV (Particle Data Group 2024, Phys. Rev. D 110, 030001).
MASS_T = 172.57


def penguin(g_fermi: ArrayLike, ckm: ArrayLike, mass_t: ArrayLike) -> Array:
    """Return xi of L = xi (m_b/v) sin(theta) (sbar P_R b) S + h.c., without a dimension.

    One loop of a top quark and a W, m_s neglected: xi = 3 sqrt2 G_F m_t^2 |V_tb V_ts*|/(16 pi^2)
    (R. S. Willey and H. L. Yu, Phys. Rev. D 26, 3086 (1982); arXiv:1904.10447, eq. (2.11), and
    3.6e-4 in table 1 there).

    >>> f"{float(penguin(1.1664e-5, 0.04015, 173.0)):.2e}"
    '3.77e-04'
    """
    return 3.0 * sqrt(2.0) * jnp.asarray(g_fermi) * mass_t**2 * ckm / (16.0 * pi**2)


class HiggsPortal(Matching):
    """SM + a scalar S that mixes with the Higgs boson: `sin_theta` and `mass`.

    S couples as the Higgs boson does, sin(theta) times as strongly, so that b -> s S goes through
    the top-quark loop of `penguin`: g_S = g_P = xi m_b sin(theta)/(2 v) of the model `scalar`, and
    BR(B+ -> K+ S) is about 0.5 sin^2(theta) for a light S.

    What S decays into is left open: of all decays `br_visible` are seen, the rest is missing
    energy. It is 0 unless set (S decays into particles of a dark sector, or not at all within the
    detector). `width` is the total width.

    The top-quark mass is that of the pole. In the MS-bar scheme (162.5 GeV) rates are 21 % lower:
    QCD corrections to xi are not known here, and `mass_t` can be set.
    """

    name = "higgs-portal"
    description = "SM + B -> K(*) S, S a scalar that mixes with the Higgs boson"
    effective = Scalar
    lagrangian: ClassVar[tuple[Parameter, ...]] = (
        light_mass(LARGEST_MASS, 2.1, MASSES),
        Parameter(
            "sin_theta",
            4e-3,
            (0.0, 1.0),
            prior=dist.Uniform(0.0, 0.02),
            description="sine of the mixing angle of S and the Higgs boson",
            coupling="new",
        ),
        Parameter(
            "br_visible",
            0.0,
            (0.0, 1.0),
            fixed=True,
            symbol=r"BR$_\mathrm{visible}$",
            description="part of the decays of S that is seen",
        ),
        width(),
        Parameter(
            "mass_t",
            MASS_T,
            (100.0, 250.0),
            fixed=True,
            unit="GeV",
            symbol=r"$m_t$",
            description="of the top quark in the loop; 162.5 GeV in the MS-bar scheme",
        ),
    )
    null: Mapping[str, float] = {"sin_theta": 0.0, "mass": 2.1, "br_visible": 0.0, "width": 0.0}
    derived_quantities = (
        DerivedQuantity(
            "sin2_theta",
            description="rate of e+ e- -> Z S over that of a Higgs boson of the same mass",
            symbol=r"$\sin^2\theta$",
            bounds=(0.0, 1.0),
        ),
        DerivedQuantity(
            "higgs_signal_strength",
            description="rates of the Higgs boson over the standard model's, cos^2(theta)",
            symbol=r"$\mu_h$",
            bounds=(0.0, 1.0),
        ),
        DerivedQuantity(
            "br_kplus_visible",
            description="BR(B+ -> K+ S) times br_visible",
            symbol=r"BR$(B^+ \to K^+ S)$ visible",
            bounds=(0.0, 1.0),
            channels=("B+ -> K+",),
        ),
    )

    def match(self, params: Params) -> Matched:
        sin_theta = jnp.asarray(params["sin_theta"])
        xi = penguin(self.inputs.g_fermi, self.inputs.ckm, params["mass_t"])
        g = xi * self.inputs.mass_b / (2.0 * HIGGS_VEV) * sin_theta
        visible = params["br_visible"]
        return Matched(
            {"mass": params["mass"], "width": params["width"], "g_S": g, "g_P": g},
            invisible=1.0 - visible,
        )

    def derived(self, params: Params) -> Mapping[str, ArrayLike]:
        """Return {name: value} of the derived quantities."""
        sin2 = jnp.asarray(params["sin_theta"]) ** 2
        every = {"sm_normalisation": 1.0, **params, "br_visible": 0.0}
        (new,) = (s for s in self.final_states(every) if isinstance(s, Particle))
        line = self._line(every, channel("B+ -> K+"), new, longitudinal=False)
        return {
            "sin2_theta": sin2,
            "higgs_signal_strength": 1.0 - sin2,
            "br_kplus_visible": line.branching_ratio * params["br_visible"],
        }
