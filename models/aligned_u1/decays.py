"""Decays of the top partner T: into b W, t Z, t h, t Z' and t phi."""

from __future__ import annotations

from math import pi, sqrt

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.kinematics import momentum
from bknn.models.aligned_u1.top_partner import TopPartner
from bknn.vectors.electroweak import Electroweak

#: Mass of the Higgs boson, GeV (Particle Data Group 2022, Prog. Theor. Exp. Phys. 2022, 083C01).
MASS_H = 125.25


def widths(
    top: TopPartner,
    ew: Electroweak,
    coupling: ArrayLike,
    mass: ArrayLike,
    m_phi: ArrayLike,
    m_h: ArrayLike = MASS_H,
) -> dict[str, Array]:
    """Return the partial widths of T (GeV): `bW`, `tZ`, `th`, `tZprime`, `tphi`.

    Tree level, m_b neglected; phi and h do not mix. For m_T far above all other masses bW : tZ : th
    are 2 : 1 : 1, and tZprime = tphi.

    Args:
        top: masses and mixing.
        ew: electroweak inputs.
        coupling: G = g~ q' of the Z'.
        mass, m_phi, m_h: of Z', phi and h, GeV.
    """
    G = jnp.asarray(coupling)
    s_L, c_L, s_R, c_R = (jnp.asarray(x) for x in (top.s_L, top.c_L, top.s_R, top.c_R))
    m_t, m_T = jnp.asarray(top.m_t, float), jnp.asarray(top.m_T, float)
    y_T = top.y_T(1.0) * G / mass / sqrt(2.0)
    mixed = s_L * c_L
    bW, tZ, tZprime = _vector(
        m_T,
        light=jnp.stack([jnp.zeros(()), m_t, m_t]),
        mass=jnp.stack([jnp.asarray(x, float) for x in (ew.m_w, ew.m_z, mass)]),
        left=jnp.stack([ew.g * s_L / sqrt(2.0), 0.5 * ew.g_z * mixed, -G * mixed]),
        right=jnp.stack([jnp.zeros(()), jnp.zeros(()), -G * s_R * c_R]),
    )
    th, tphi = _scalar(
        m_T,
        light=m_t,
        mass=jnp.stack([jnp.asarray(x, float) for x in (m_h, m_phi)]),
        right=jnp.stack([mixed * m_T / ew.v, y_T * c_L * c_R]),
        left=jnp.stack([mixed * m_t / ew.v, -y_T * s_L * s_R]),
    )
    return {"bW": bW, "tZ": tZ, "th": th, "tZprime": tZprime, "tphi": tphi}


def _vector(heavy: Array, light: Array, mass: Array, left: Array, right: Array) -> Array:
    """Return the widths of F -> f V with L = V_m fbar gamma^m (left P_L + right P_R) F."""
    p = momentum(heavy, light, mass**2)
    F2, f2, V2 = heavy**2, light**2, mass**2
    squares = 0.5 * (left**2 + right**2)
    same = squares * (F2 + f2 - 2.0 * V2 + (F2 - f2) ** 2 / V2)
    return p / (8.0 * pi * F2) * (same - 6.0 * left * right * heavy * light)


def _scalar(heavy: Array, light: Array, mass: Array, right: Array, left: Array) -> Array:
    """Return the widths of F -> f S with L = S fbar (right P_R + left P_L) F."""
    p = momentum(heavy, light, mass**2)
    F2, f2, S2 = heavy**2, light**2, mass**2
    squares = left**2 + right**2
    return p / (16.0 * pi * F2) * (squares * (F2 + f2 - S2) + 4.0 * left * right * heavy * light)
