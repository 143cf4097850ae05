"""Searches for dark photons, read as limits on any light vector.

A search quotes its limit as the kinetic mixing epsilon of a dark photon, at which it would have
seen as many events. What it limits is a rate: production times branching fraction. Of another
vector it limits the *effective epsilon^2*, its rate over that of a dark photon of the same mass
with epsilon = 1 in the same final state, which is epsilon^2 for a dark photon (the method of
arXiv:1801.04847). Acceptances are taken as the same. All are for prompt decays.

The search for four muons quotes the coupling g' of a vector of L_mu - L_tau, which then takes the
place of the dark photon.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.vectors.couplings import Couplings
from bknn.vectors.electroweak import Electroweak
from bknn.vectors.widths import Widths

#: {effective epsilon^2: of which search}
QUANTITIES: Mapping[str, str] = {
    "eps2_ee_invisible": "effective epsilon^2, e+ e- -> gamma Z', Z' not seen",
    "eps2_ee_leptons": "effective epsilon^2, e+ e- -> gamma Z', Z' -> e+ e- or mu+ mu-",
    "eps2_ee_mumu_pipi": "effective epsilon^2, e+ e- -> gamma Z', Z' -> mu+ mu- or pi+ pi-",
    "eps2_pp_mumu": "effective epsilon^2, p p -> Z', Z' -> mu+ mu-",
    "eps2_mumu_mumu": "effective (g'/e)^2 of L_mu - L_tau, e+ e- -> mu+ mu- Z', Z' -> mu+ mu-",
    "eps2_mumu_invisible": "effective epsilon^2, e+ e- -> mu+ mu- Z', Z' not seen",
    "eps2_eN_invisible": "effective epsilon^2, e N -> e N Z', Z' not seen",
}


def effective_epsilon2(
    couplings: Couplings, widths: Widths, photon: Widths, p_inv: ArrayLike, ew: Electroweak
) -> dict[str, Array]:
    """Return {name of `QUANTITIES`: value}.

    Production by a lepton goes with g_V^2 + g_A^2 of that lepton: its mass is neglected. From
    protons it is taken as the width into hadrons over that of the dark photon: right where mesons
    turn into the vector, and for quarks and antiquarks where all flavours have equal densities;
    for couplings to up and down quarks that differ much from their charges it is rough, within a
    factor of two.

    Args:
        couplings, widths: of the vector.
        photon: widths of a dark photon with epsilon = 1 of the same mass.
        p_inv: probability that the vector is not seen. (Where epsilon of a search for invisible
            decays is quoted for B(invisible) = 1, epsilon^2 B is limited.)
        ew: for the electric charge.
    """

    electrons, muons = jnp.split(
        (couplings.vector[:2] ** 2 + couplings.axial[:2] ** 2) / ew.e**2, 2
    )
    final = ("e e", "mu mu"), ("mu mu", "pi+ pi-"), ("mu mu",)
    hadrons, charged = ("hadrons",), ("charged leptons",)
    # With the coupling e, L_mu - L_tau has the widths of the dark photon into mu and tau, and two
    # neutrinos of one helicity, each half of its width into electrons.
    of_photon = photon.of(("mu mu",), hadrons, charged)
    muons_of_mu_tau = _ratio(of_photon[:1], of_photon[2:])
    fractions = widths.fractions(*final)
    ratios = _ratio(
        jnp.concatenate([fractions, fractions[2:], widths.of(hadrons)]),
        jnp.concatenate([photon.fractions(*final), muons_of_mu_tau, of_photon[1:2]]),
    )
    leptons, visible, muon_pair, of_mu_tau, made = jnp.split(ratios, 5)
    found = {
        "eps2_ee_invisible": electrons * p_inv,
        "eps2_ee_leptons": electrons * leptons,
        "eps2_ee_mumu_pipi": electrons * visible,
        "eps2_pp_mumu": made * muon_pair,
        "eps2_mumu_mumu": muons * of_mu_tau,
        "eps2_mumu_invisible": muons * p_inv,
        "eps2_eN_invisible": electrons * p_inv,
    }
    return {name: x[0] for name, x in found.items()}


def _ratio(above: Array, below: Array) -> Array:
    """Return above / below, 0 where a dark photon has none."""
    return jnp.where(below > 0.0, above / jnp.where(below > 0.0, below, 1.0), 0.0)
