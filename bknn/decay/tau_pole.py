"""The long-distance part of charged modes: B+ -> tau+ nu, tau+ -> K(*)+ nubar.

The tau is real, so this is a decay chain and not an amplitude of b -> s; it has the same final
state as B+ -> K(*)+ nu nubar (arXiv:0908.1174). Experiments count it as background, Belle II
among them (arXiv:2311.14647, section II), so it is off by default.

The tau is fully polarised along the neutrino from the B. In its rest frame a pseudoscalar
K (and a longitudinal K*) goes against the spin of the other neutrino like 1 + cos(theta), a
transverse K* like 1 - cos(theta), where theta is the angle between the two neutrinos, and
q2 = q2_max (1 - cos(theta)) / 2.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.channels import Channel
from bknn.inputs import Inputs


def branching_ratio(where: Channel, inputs: Inputs) -> Array:
    """Return BR(B+ -> tau+ nu) BR(tau+ -> K(*)+ nubar), the first from f_B and V_ub.

    >>> from bknn.channels import channel
    >>> from bknn.inputs import STANDARD
    >>> f"{float(branching_ratio(channel('B+ -> K+'), STANDARD)):.2e}"
    '6.07e-07'
    """
    assert where.daughter is not None
    m_b, m_tau = jnp.asarray(inputs.masses["B+"]), jnp.asarray(inputs.mass_tau)
    gamma = (
        (jnp.asarray(inputs.g_fermi) * inputs.v_ub * inputs.decay_constant_b) ** 2
        * m_b
        * m_tau**2
        * (1.0 - m_tau**2 / m_b**2) ** 2
        / (8.0 * jnp.pi)
    )
    branching_ratio_tau = jnp.asarray(inputs.tau_branching_ratios[where.daughter])
    lifetime = jnp.asarray(inputs.lifetimes["B+"])
    return gamma * lifetime * branching_ratio_tau


def endpoint(where: Channel, inputs: Inputs) -> Any:
    """Return the largest q2 of the chain, (m_B^2 - m_tau^2)(m_tau^2 - m_K^2) / m_tau^2, GeV^2."""
    assert where.daughter is not None
    m_b: Any = inputs.masses["B+"]
    m_k: Any = inputs.masses[where.daughter]
    m_tau: Any = inputs.mass_tau
    return (m_b**2 - m_tau**2) * (m_tau**2 - m_k**2) / m_tau**2


def dbr_dq2(
    q2: ArrayLike, where: Channel, inputs: Inputs, *, longitudinal_only: bool = False
) -> Array:
    """Return dBR/dq2 in GeV^-2, same shape as q2 (GeV^2), of a charged channel."""
    assert where.daughter is not None
    m_k, m_tau = jnp.asarray(inputs.masses[where.daughter]), jnp.asarray(inputs.mass_tau)
    end = endpoint(where, inputs)
    q2 = jnp.asarray(q2, float)
    y = q2 / end
    # tau -> K* nu: the helicities 0 and -1 come like m_tau^2 : 2 m_K*^2.
    transverse = 2.0 * m_k**2 / m_tau**2 if where.vector else 0.0
    shape = 2.0 * ((1.0 - y) + (0.0 if longitudinal_only else transverse * y))
    shape = shape / (end * (1.0 + transverse))
    return jnp.where((y >= 0.0) & (y <= 1.0), branching_ratio(where, inputs) * shape, 0.0)
