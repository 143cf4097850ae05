"""Hadronic times invisible: rates from waves, couplings and spectral densities.

    dGamma/dq2 = sqrt(lambda) / (32 pi^2 m_B^3) sum_waves sum_cc' Re(C_c C_c'*) h_c h_c' Pi_cc',

with hadronic amplitudes h (`bknn.decay.hadronic`), couplings C_(q,d) of the quark current q to the
invisible current d, and spectral densities Pi (`bknn.decay.invisible`), all real: there are no
strong phases, so only the real part of products of couplings enters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.decay.densities import Densities
from bknn.decay.hadronic import Wave
from bknn.kinematics import endpoint, momentum, numpy_for, safe_sqrt

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
    total: Any = jnp.zeros(jnp.shape(q2))
    for wave in waves:
        if longitudinal_only and not wave.longitudinal:
            continue
        # Terms with the same hadronic amplitudes are collected before they are multiplied.
        collected: dict[tuple[str, str], Array] = {}
        for term in terms(wave, couplings, densities):
            value = term.strength * term.density
            if term.quarks in collected:
                value = collected[term.quarks] + value
            collected[term.quarks] = value
        for (one, two), density in collected.items():
            product = wave.amplitudes[one].value * wave.amplitudes[two].value
            total = total + product * roots(q2, wave, one, two) * density
    return total


class Term(NamedTuple):
    """One term of the sum over pairs of couplings.

    Attributes:
        quarks: the two quark currents, whose hadronic amplitudes it multiplies.
        strength: real part of the product of the couplings, twice for two different ones.
        density: spectral density of the two invisible currents.
    """

    quarks: tuple[str, str]
    strength: Array
    density: Array


def terms(wave: Wave, couplings: Couplings, densities: Densities) -> list[Term]:
    """Return the terms that make the squared amplitude of one wave, hadronic amplitudes apart."""
    found = []
    for one, two, quarks, density in pairs(wave, tuple(couplings), densities):
        c, d = jnp.asarray(couplings[one]), jnp.asarray(couplings[two])
        strength = (1.0 if one == two else 2.0) * jnp.sum(jnp.real(c * jnp.conj(d)))
        found.append(Term(quarks, strength, density))
    return found


def pairs(
    wave: Wave, couplings: Sequence[tuple[str, str]], densities: Densities
) -> Iterator[tuple[tuple[str, str], tuple[str, str], tuple[str, str], Array]]:
    """Yield the pairs of couplings that meet in one wave, their quark currents, and the spectral
    density of their invisible currents."""
    table = densities.spin1 if wave.spin else densities.spin0
    meeting = [key for key in couplings if key[0] in wave.amplitudes]
    for one, two in combinations_with_replacement(meeting, 2):
        dark, other = _component(*one, wave), _component(*two, wave)
        density = table.get((dark, other), table.get((other, dark)))
        if density is not None:
            yield one, two, (one[0], two[0]), density


def roots(q2: Any, wave: Wave, one: str, two: str) -> Any:
    """Return the factor of q2 that the product of two amplitudes of a wave carries."""
    number = wave.amplitudes[one].root + wave.amplitudes[two].root
    return (1.0, safe_sqrt(q2), q2)[number]


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
    return jnp.asarray(p / (16.0 * np.pi**2 * mass_parent**2) * squared)


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


def inside(q2: Any, mass_parent: ArrayLike, mass_daughter: ArrayLike) -> Any:
    """Return whether q2 lies between 0 and the endpoint."""
    q2 = numpy_for(q2).asarray(q2)
    return ~((q2 < 0.0) | (q2 > endpoint(mass_parent, mass_daughter)))  # so that NaN stays NaN
