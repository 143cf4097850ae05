"""Numerical inputs, each with its source.

Sets that belong together stay together: a spectrum that a measurement used to make its
templates must be reproduced with that measurement's numbers, not with newer ones. Every
function that takes a set accepts another one, and is differentiable with respect to its
entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
from jax.typing import ArrayLike

from bknn import errors


class StandardModelInputs(eqx.Module):
    """What the short-distance b -> s nu nubar rate of a B -> K decay depends on."""

    g_fermi: ArrayLike  #: Fermi constant, GeV^-2
    alpha: ArrayLike  #: electromagnetic coupling at the Z mass
    x_t: ArrayLike  #: top-quark loop function X_t, QCD and electroweak corrections included
    sin2_theta_w: ArrayLike  #: sin^2 of the weak mixing angle, MS-bar at the Z mass
    ckm: ArrayLike  #: |V_tb V_ts*|
    mass_b: ArrayLike  #: mass of the B meson, GeV
    mass_k: ArrayLike  #: mass of the kaon, GeV
    lifetime: ArrayLike  #: lifetime of the B meson, GeV^-1


#: Inputs of arXiv:2207.13371 (HPQCD), as the public Belle II record behind arXiv:2507.12393
#: (HEPData 10.17182/hepdata.166082) uses them for the null spectrum of its number densities.
#: The masses are isospin averages although the decay is B+ -> K+; the endpoint is therefore
#: 22.8852 GeV^2 and not 22.9026 GeV^2.
HPQCD_2022 = StandardModelInputs(
    g_fermi=1.1663787e-5,
    alpha=1.0 / 127.952,
    x_t=1.468,
    sin2_theta_w=0.23124,
    ckm=0.04185,
    mass_b=5.279495,
    mass_k=0.4956440,
    lifetime=1.638e-12 / 6.58211e-25,  # tau(B+) in s over hbar in GeV s, digits as in the record
)


#: hbar in GeV s (exact in the SI of 2019).
HBAR = 6.582119569e-25


class Inputs(eqx.Module):
    """What the decays of this package depend on, form factors aside.

    Every entry may be a traced number. `masses` and `lifetimes` have the keys B+, B0, Bs, K+, K0,
    K*+, K*0, phi and B+, B0, Bs.
    """

    name: str = eqx.field(static=True)
    g_fermi: ArrayLike  #: Fermi constant, GeV^-2
    alpha: ArrayLike  #: electromagnetic coupling in the normalisation of the operators
    x_t: ArrayLike  #: top-quark loop function X_t, QCD and electroweak corrections included
    sin2_theta_w: ArrayLike  #: sin^2 of the weak mixing angle that goes with x_t
    ckm: ArrayLike  #: |V_tb V_ts*|
    mass_b: ArrayLike  #: MS-bar mass of the b quark at the scale of the couplings, GeV
    mass_s: ArrayLike  #: MS-bar mass of the s quark at the same scale, GeV
    masses: dict[str, ArrayLike]  #: of the mesons, GeV
    lifetimes: dict[str, ArrayLike]  #: of the mesons, GeV^-1
    decay_constant_bs: ArrayLike  #: f_Bs, GeV
    decay_constant_b: ArrayLike  #: f_B+, GeV
    v_ub: ArrayLike  #: |V_ub|
    mass_tau: ArrayLike  #: GeV
    tau_branching_ratios: dict[str, ArrayLike]  #: of tau+ -> K+ nu and tau+ -> K*+ nu
    #: Relative uncertainty of the standard model's rates from everything but form factors.
    sm_uncertainty: float = eqx.field(static=True)

    @property
    def c_sm(self) -> ArrayLike:
        """X_t / sin^2 theta_W: the standard model's C_VL in the convention of EOS."""
        return self.x_t / self.sin2_theta_w


def _lifetimes(b_plus: float, b_zero: float, b_s: float, hbar: float = HBAR) -> dict[str, Any]:
    """Return lifetimes in GeV^-1 from ps."""
    return {name: 1e-12 * tau / hbar for name, tau in (("B+", b_plus), ("B0", b_zero), ("Bs", b_s))}


#: Electroweak inputs of arXiv:2207.13371 (couplings at the Z mass, for which X_t has its
#: electroweak corrections); masses and lifetimes of the Particle Data Group 2024 (Phys. Rev. D 110,
#: 030001); m_b(m_b) = 4.183 GeV and m_s(2 GeV) = 93.5 MeV from there, the latter run to m_b
#: (times 0.838); decay constants of FLAG 2021 (arXiv:2111.09849). The uncertainty is 2.2% of the
#: CKM elements and 1.2% of X_t, twice each.
STANDARD = Inputs(
    name="standard",
    g_fermi=1.1663788e-5,
    alpha=1.0 / 127.952,
    x_t=1.468,
    sin2_theta_w=0.23124,
    ckm=0.04185,
    mass_b=4.183,
    mass_s=0.0784,
    masses={
        "B+": 5.27941,
        "B0": 5.27972,
        "Bs": 5.36693,
        "K+": 0.493677,
        "K0": 0.497611,
        "K*+": 0.89167,
        "K*0": 0.89555,
        "phi": 1.019461,
    },
    lifetimes=_lifetimes(1.638, 1.517, 1.516),
    decay_constant_bs=0.2303,
    decay_constant_b=0.1900,
    v_ub=3.70e-3,
    mass_tau=1.77693,
    tau_branching_ratios={"K+": 6.96e-3, "K*+": 1.20e-2},
    sm_uncertainty=2.0 * ((0.00093 / 0.04185) ** 2 + (0.017 / 1.468) ** 2) ** 0.5,
)

#: These do not enter the comparisons.
_LIKE_STANDARD: dict[str, Any] = {
    "decay_constant_bs": STANDARD.decay_constant_bs,
    "decay_constant_b": STANDARD.decay_constant_b,
    "v_ub": STANDARD.v_ub,
    "mass_tau": STANDARD.mass_tau,
    "tau_branching_ratios": STANDARD.tau_branching_ratios,
    "sm_uncertainty": STANDARD.sm_uncertainty,
}

#: What EOS 1.0.21 uses for b -> s nu nubar unless told otherwise, for comparisons: read from its
#: parameters; quark masses as it runs them to 4.2 GeV. x_t / sin2_theta_w is its C_VL.
EOS_1_0_21 = Inputs(
    name="eos-1.0.21",
    g_fermi=1.1663787e-5,
    alpha=1.0 / 133.0,
    x_t=6.613114906357177,
    sin2_theta_w=1.0,
    ckm=0.04117549192573447,
    mass_b=4.169889249562193,
    mass_s=0.0796169427862923,
    masses={
        "B+": 5.27934,
        "B0": 5.27965,
        "Bs": 5.36688,
        "K+": 0.493677,
        "K0": 0.497611,
        "K*+": 0.89166,
        "K*0": 0.89555,
        "phi": 1.019461,
    },
    lifetimes=_lifetimes(1.641, 1.519, 1.516, hbar=6.58211928e-25),
    **_LIKE_STANDARD,
)

#: What flavio 2.7.1 uses, for comparisons: read from the program at its scale of 4.8 GeV. The
#: mass of the K*+ is really its.
FLAVIO_2_7_1 = Inputs(
    name="flavio-2.7.1",
    g_fermi=1.1663788e-5,
    alpha=0.007569084895987922,
    x_t=6.529104118477608,
    sin2_theta_w=1.0,
    ckm=0.041199689738862746,
    mass_b=4.183,
    mass_s=0.0784,
    masses={
        "B+": 5.27934,
        "B0": 5.27966,
        "Bs": 5.36692,
        "K+": 0.493677,
        "K0": 0.497611,
        "K*+": 0.8955,
        "K*0": 0.89555,
        "phi": 1.019461,
    },
    lifetimes={"B+": 2488800398208.0635, "B0": 2307869836141.2417, "Bs": 2309468822170.9004},
    **_LIKE_STANDARD,
)

#: The named sets.
INPUTS: Mapping[str, Inputs] = {s.name: s for s in (STANDARD, EOS_1_0_21, FLAVIO_2_7_1)}


def load(name: str | Inputs) -> Inputs:
    """Return a set of inputs by name; a set passes through.

    Raises:
        UnknownNameError: no such set; close matches are named.

    >>> round(load("standard").c_sm, 3)
    6.348
    """
    if isinstance(name, Inputs):
        return name
    if name not in INPUTS:
        raise errors.unknown("set of inputs", name, INPUTS)
    return INPUTS[name]
