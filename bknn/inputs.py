"""Numerical inputs, each with its source.

Sets that belong together stay together: a spectrum that a measurement used to make its
templates must be reproduced with that measurement's numbers, not with newer ones. Every
function that takes a set accepts another one, and is differentiable with respect to its
entries.
"""

from __future__ import annotations

import equinox as eqx
from jax.typing import ArrayLike


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
