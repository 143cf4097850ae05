"""Hadronic times invisible: rates from waves, couplings and spectral densities.

    dGamma/dq2 = sqrt(lambda) / (32 pi^2 m_B^3) sum_waves sum_cc' Re(C_c C_c'*) h_c h_c' Pi_cc',

with hadronic amplitudes h (`bknn.decay.hadronic`), couplings C_(q,d) of the quark current q to the
invisible current d, and spectral densities Pi (`bknn.decay.invisible`), all real: there are no
strong phases, so only the real part of products of couplings enters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.decay.densities import Densities
from bknn.decay.hadronic import Wave
from bknn.kinematics import endpoint, momentum, safe_sqrt

#: {(quark current, invisible current): coupling}; an array of couplings stands for as many
#: final states (neutrino flavours) with the same spectral density, which are summed.
Couplings = Mapping[tuple[str, str], ArrayLike]


def squared_amplitude(
    q2: ArrayLike,
    waves: Sequence[Wave],
    couplings: Couplings,
    densities: Densities,
    *,
    longitudinal_only: bool = False,
) -> Array:
    """Return the squared amplitude, integrated over the phase space of what is invisible.

    Args:
        q2: GeV^2, any shape.
        waves: of the hadronic transition at q2.
        couplings: in GeV to the power that makes the Lagrangian's dimension 4.
        densities: of the invisible final state at q2.
        longitudinal_only: leave the transverse waves out.
    """
    q2 = jnp.asarray(q2, float)
    total = jnp.zeros_like(q2)
    for wave in waves:
        if longitudinal_only and not wave.longitudinal:
            continue
        table = densities.spin1 if wave.spin else densities.spin0
        parts = [
            (quark, _component(quark, dark, wave), jnp.asarray(coupling))
            for (quark, dark), coupling in couplings.items()
            if quark in wave.amplitudes
        ]
        # Terms with the same hadronic amplitudes are collected before they are multiplied.
        collected: dict[tuple[str, str], Array] = {}
        for (i, part), (j, other) in combinations_with_replacement(enumerate(parts), 2):
            density = table.get((part[1], other[1]), table.get((other[1], part[1])))
            if density is None:
                continue
            strength = jnp.sum(jnp.real(part[2] * jnp.conj(other[2])))
            pair = (part[0], other[0])
            term = (1.0 if i == j else 2.0) * strength * density
            collected[pair] = collected[pair] + term if pair in collected else term
        for (quark, other_quark), density in collected.items():
            one, two = wave.amplitudes[quark], wave.amplitudes[other_quark]
            product = one.value * two.value
            if one.root and two.root:
                product = product * q2
            elif one.root or two.root:
                product = product * safe_sqrt(q2)
            total = total + product * density
    return total


def _component(quark: str, dark: str, wave: Wave) -> str:
    """Which part of the invisible current a quark current meets in a wave."""
    if quark not in ("T", "T5"):
        return dark
    return f"{dark}.E" if quark == wave.electric else f"{dark}.B"


def dgamma_dq2(
    q2: ArrayLike,
    waves: Sequence[Wave],
    couplings: Couplings,
    densities: Densities,
    *,
    mass_parent: ArrayLike,
    mass_daughter: ArrayLike,
    longitudinal_only: bool = False,
) -> Array:
    """Return dGamma/dq2 in GeV^-1, same shape as q2; 0 beyond the endpoint.

    Below the threshold the densities are 0. Arguments as for `squared_amplitude`; masses in GeV.
    """
    squared = squared_amplitude(
        q2, waves, couplings, densities, longitudinal_only=longitudinal_only
    )
    p = momentum(mass_parent, mass_daughter, q2)
    return p / (16.0 * jnp.pi**2 * jnp.asarray(mass_parent) ** 2) * squared


def gamma_two_body(
    mass: ArrayLike,
    waves: Sequence[Wave],
    couplings: Couplings,
    densities: Densities,
    *,
    mass_parent: ArrayLike,
    mass_daughter: ArrayLike,
    longitudinal_only: bool = False,
) -> Array:
    """Return the width into the daughter and one invisible particle, GeV; 0 if it is too heavy.

    `waves` and `densities` are those at q2 = mass^2, mass in GeV.
    """
    squared = squared_amplitude(
        jnp.asarray(mass) ** 2, waves, couplings, densities, longitudinal_only=longitudinal_only
    )
    p = momentum(mass_parent, mass_daughter, jnp.asarray(mass) ** 2)
    return p / (8.0 * jnp.pi * jnp.asarray(mass_parent) ** 2) * squared


def gamma_annihilation(
    waves: Sequence[Wave], couplings: Couplings, densities: Densities, *, mass_parent: ArrayLike
) -> Array:
    """Return the width of a meson into the invisible final state alone, GeV.

    `waves` and `densities` are those at q2 = mass_parent^2.
    """
    mass = jnp.asarray(mass_parent)
    return squared_amplitude(mass**2, waves, couplings, densities) / (2.0 * mass)


def inside(q2: ArrayLike, mass_parent: ArrayLike, mass_daughter: ArrayLike) -> Array:
    """Return whether q2 lies between 0 and the endpoint."""
    q2 = jnp.asarray(q2)
    return (q2 >= 0.0) & (q2 <= endpoint(mass_parent, mass_daughter))
