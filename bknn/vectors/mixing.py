"""Mixing of a new vector with photon and Z: the kinetic and mass matrices of (A, Z, Z'), exactly.

    L = -(1/4) V_mn^T K V^mn + (1/2) V_m^T M2 V^m + V_m^T (e J_em, g_z J_Z, J')^m,

    K = [[1, 0, eps_a], [0, 1, eps_z], [eps_a, eps_z, 1]],
    M2 = [[0, 0, 0], [0, m_z^2, d], [0, d, m_0^2]],   d = delta_z m_z^2.

The photon leaves by A -> A - eps_a Z', with no mass. What is left is a generalised eigenproblem of
two fields. Its eigenvalue M^2, the physical mass, is given, so that m_0^2 and the eigenvector
follow without a search: with x = M^2/m_z^2 and r = (eps_z x - delta_z)/(1 - x),

    Z = r Z'/n + ...,   A = -eps_a Z'/n + ...,   n^2 = 1 - eps_a^2 + 2 eps_z r + r^2.

First order (`couplings.from_mixing`) is n = 1.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.kinematics import known
from bknn.vectors.couplings import Couplings, dark_photon, z_like
from bknn.vectors.electroweak import STANDARD, Electroweak


class Mixed(eqx.Module):
    """What the diagonalisation gives.

    Attributes:
        couplings, z: couplings of the physical vector and of the physical Z.
        mass_squared: m_0^2 of the mass matrix (GeV^2), which gives the vector its physical mass;
            negative where no mass does.
        m_z: mass of the physical Z in GeV; `ew.m_z` is that of the mass matrix.
    """

    couplings: Couplings
    z: Couplings
    mass_squared: Array
    m_z: Array


def mixed(
    eps_a: ArrayLike,
    eps_z: ArrayLike,
    delta_z: ArrayLike,
    mass: ArrayLike,
    ew: Electroweak = STANDARD,
    own: Couplings | None = None,
) -> Mixed:
    """Return the couplings of a vector that mixes with photon and Z, to all orders.

    Args:
        eps_a, eps_z, delta_z: kinetic mixings and mass mixing, as in `couplings.from_mixing`.
        mass: physical mass of the vector in GeV, not that of the Z.
        ew: m_z is the entry of the mass matrix.
        own: couplings of the vector before mixing (J'), none by default.

    Raises:
        ParameterError: eps_a^2 + eps_z^2 >= 1, with which a field would have negative energy.

    >>> from bknn.vectors.couplings import from_mixing
    >>> exact = mixed(1e-2, 2e-2, 1e-2, 2.1).couplings.g_a("mu")
    >>> round(float(exact / from_mixing(1e-2, 2e-2, 1e-2, 2.1).g_a("mu")) - 1, 4)
    0.0002
    """
    if known(eps_a, eps_z) and (size := float(np.hypot(eps_a, eps_z))) >= 1:
        raise errors.ParameterError(
            f"kinetic mixings with eps_a^2 + eps_z^2 = {size**2:g} leave a field with negative "
            "energy; they must stay below 1."
        )
    eps_a, eps_z, delta_z = jnp.asarray(eps_a), jnp.asarray(eps_z), jnp.asarray(delta_z)
    m_z = jnp.asarray(ew.m_z)
    x = (jnp.asarray(mass) / m_z) ** 2
    pole = 1.0 / (1.0 - x)
    r = (eps_z * x - delta_z) * pole
    own_kinetic = 1.0 - eps_a**2  # of the vector, once the photon has left
    n = jnp.sqrt(own_kinetic + 2.0 * eps_z * r + r**2)
    bare = x * own_kinetic + (delta_z - eps_z * x) ** 2 * pole  # m_0^2/m_z^2

    # The Z: orthogonal to the vector with respect to K, (1, -t) in (Z, Z').
    t = (r + eps_z) / (own_kinetic + eps_z * r)
    n_z = jnp.sqrt(1.0 - 2.0 * eps_z * t + own_kinetic * t**2)
    heavy = (1.0 - 2.0 * delta_z * t + bare * t**2) / n_z**2

    electric, weak = dark_photon(eps_a, ew), z_like(ew.g_z, ew)
    primed = electric if own is None else electric + own
    return Mixed(
        couplings=(primed + weak * r) * (1.0 / n),
        z=(weak + primed * (-t)) * (1.0 / n_z),
        mass_squared=bare * m_z**2,
        m_z=m_z * jnp.sqrt(heavy),
    )
