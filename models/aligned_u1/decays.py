"""Decays of the top partner T: into b W, t Z, t h, t Z' and t phi."""

from __future__ import annotations

from math import pi, sqrt

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

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
    m_t, m_T = jnp.asarray(top.m_t), jnp.asarray(top.m_T)
    y_T = top.y_T(1.0) * G / mass / sqrt(2.0)
    mixed = s_L * c_L
    return {
        "bW": _vector(m_T, 0.0, ew.m_w, ew.g * s_L / sqrt(2.0), 0.0),
        "tZ": _vector(m_T, m_t, ew.m_z, 0.5 * ew.g_z * mixed, 0.0),
        "th": _scalar(m_T, m_t, m_h, mixed * m_T / ew.v, mixed * m_t / ew.v),
        "tZprime": _vector(m_T, m_t, mass, -G * mixed, -G * s_R * c_R),
        "tphi": _scalar(m_T, m_t, m_phi, y_T * c_L * c_R, -y_T * s_L * s_R),
    }


def _vector(
    heavy: ArrayLike, light: ArrayLike, mass: ArrayLike, left: ArrayLike, right: ArrayLike
) -> Array:
    """Return the width of F -> f V with L = V_m fbar gamma^m (left P_L + right P_R) F."""
    p = _momentum(heavy, light, mass)
    F2, f2, V2 = jnp.asarray(heavy) ** 2, jnp.asarray(light) ** 2, jnp.asarray(mass) ** 2
    squares = 0.5 * (jnp.asarray(left) ** 2 + jnp.asarray(right) ** 2)
    same = squares * (F2 + f2 - 2.0 * V2 + (F2 - f2) ** 2 / V2)
    flipped = 6.0 * jnp.asarray(left) * right * heavy * light
    return p / (8.0 * pi * F2) * (same - flipped)


def _scalar(
    heavy: ArrayLike, light: ArrayLike, mass: ArrayLike, right: ArrayLike, left: ArrayLike
) -> Array:
    """Return the width of F -> f S with L = S fbar (right P_R + left P_L) F."""
    p = _momentum(heavy, light, mass)
    F2, f2, S2 = jnp.asarray(heavy) ** 2, jnp.asarray(light) ** 2, jnp.asarray(mass) ** 2
    squares = jnp.asarray(left) ** 2 + jnp.asarray(right) ** 2
    flipped = 4.0 * jnp.asarray(left) * right * heavy * light
    return p / (16.0 * pi * F2) * (squares * (F2 + f2 - S2) + flipped)


def _momentum(heavy: ArrayLike, light: ArrayLike, mass: ArrayLike) -> Array:
    """Return the momentum of a two-body decay (GeV), 0 where it is closed."""
    F, f, x = jnp.asarray(heavy, float), jnp.asarray(light), jnp.asarray(mass)
    square = (F - f - x) * (F - f + x) * (F + f + x) * (F + f - x)
    is_open = f + x < F
    return jnp.where(is_open, jnp.sqrt(jnp.where(is_open, square, 1.0)) / (2.0 * F), 0.0)
