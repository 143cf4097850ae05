"""The oblique parameters S and T of a vector-like partner of the top quark."""

from __future__ import annotations

from math import pi

import jax.numpy as jnp
from jax import Array

from bknn.models.aligned_u1.top_partner import TopPartner
from bknn.vectors.electroweak import Electroweak


def oblique(top: TopPartner, ew: Electroweak) -> tuple[Array, Array]:
    """Return S and T of t and T above the standard model's t, m_b neglected.

    L. Lavoura and J. P. Silva, Phys. Rev. D 47, 2046 (1993), for a singlet.
    """
    s2, c2 = jnp.asarray(top.s_L) ** 2, jnp.asarray(top.c_L) ** 2
    r = 1.0 + top.splitting
    log = jnp.log1p(top.splitting)
    over = 1.0 / top.splitting
    t = s2 * r - (1.0 + c2) + 2.0 * c2 * r * log * over
    s = -log + c2 * over**2 * (
        3.0 * (r + 1.0) * (r**2 - 4.0 * r + 1.0) * log * over - (5.0 * (r**2 + 1.0) - 22.0 * r)
    )
    norm = 3.0 * s2 / pi
    mass = (top.m_t / jnp.asarray(ew.m_w)) ** 2
    return norm / 18.0 * s, norm / 16.0 / ew.sin2_w * mass * t
