"""A pair of particles of one mass: its kinematics, and products of its helicity amplitudes.

Spectral densities are written as the amplitudes <pair|current|0> of the states that a pair of
given J^PC can be in. Currents of one J^PC interfere, those of different J^PC do not. A matrix of
densities made like this cannot have a negative eigenvalue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.kinematics import safe_sqrt

#: A spin-1 or spin-3/2 particle lighter than this (GeV) is treated as if it had this mass: its
#: lower helicities couple like powers of 1/mass to a current that is not conserved. Then all
#: is finite, the limits that exist are reached, and what diverges is absurdly large, not NaN.
SMALLEST_MASS = 1e-9


class Pair(NamedTuple):
    """The kinematics of a pair in its rest frame, everything finite also where it is closed.

    Attributes:
        mass: of either particle, GeV.
        root: sqrt(q2), GeV.
        energy, momentum: of either particle, GeV.
        phase_space: beta / (8 pi), the two-body phase space; 0 below the threshold.
    """

    mass: Array
    root: Array
    energy: Array
    momentum: Array
    phase_space: Array


def threshold(mass: ArrayLike) -> Array:
    """Return the smallest q2 of a pair, 4 mass^2, in GeV^2.

    >>> float(threshold(0.5))
    1.0
    """
    return 4.0 * jnp.asarray(mass, float) ** 2


def pair(q2: ArrayLike, mass: ArrayLike) -> Pair:
    """Return the kinematics of two particles of this mass (GeV) at q2 (GeV^2, any shape).

    >>> at = pair(4.0, 0.6)
    >>> round(float(at.energy), 12), round(float(at.momentum), 12)
    (1.0, 0.8)
    >>> float(pair(1.0, 0.6).phase_space)
    0.0
    """
    q2, mass = jnp.asarray(q2, float), jnp.asarray(mass, float)
    closed = q2 < threshold(mass)  # asked this way round, so that NaN stays NaN
    # Where the pair is closed any other point will do. So it does at q2 = 0 = mass, for q2 drops
    # out of all that massless particles can do there.
    mass = jnp.where(closed, 1.0, mass)
    q2 = jnp.where(closed | (q2 == 0.0), 8.0, q2)
    root = jnp.sqrt(q2)
    beta = safe_sqrt(1.0 - threshold(mass) / q2)
    phase_space = jnp.where(closed, 0.0, beta / (8.0 * jnp.pi))
    return Pair(mass, root, 0.5 * root, 0.5 * root * beta, phase_space)


def products(
    amplitudes: Mapping[str, Sequence[ArrayLike]], weight: Array
) -> dict[tuple[str, str], Array]:
    """Return weight times the sum over states of D_c D_c', for each unordered pair of currents.

    Args:
        amplitudes: of one J^PC: for each current its amplitudes into the same list of states.
        weight: phase space (over 3 for spin 1).

    >>> table = products({"S": (1.0, 2.0), "F": (0.0, 3.0)}, jnp.ones(()))
    >>> {key: float(value) for key, value in table.items()}
    {('S', 'S'): 5.0, ('S', 'F'): 6.0, ('F', 'F'): 9.0}
    """
    return {
        (one, other): weight
        * sum(jnp.asarray(a) * b for a, b in zip(amplitudes[one], amplitudes[other], strict=True))
        for one, other in combinations_with_replacement(amplitudes, 2)
    }
