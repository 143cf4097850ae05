"""Decays of the top partner T: into b W, t Z, t h, t Z' and t phi."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi, sqrt

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.kinematics import momentum
from bknn.models.aligned_u1.top_partner import TopPartner
from bknn.vectors.electroweak import Electroweak

#: Mass of the Higgs boson, GeV (Particle Data Group 2022, Prog. Theor. Exp. Phys. 2022, 083C01).
MASS_H = 125.25

#: What T decays into.
FINAL = ("bW", "tZ", "tZprime", "th", "tphi")

#: What searches for pairs tell apart: b W, t Z, t h, and a top quark with what is not seen.
SEEN = ("bW", "tZ", "th", "invisible")
_SEEN = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 1]], float)


def seen(partial: Mapping[str, Array]) -> dict[str, Array]:
    """Return the branching fractions of SEEN of partial widths."""
    every = jnp.stack([partial[name] for name in FINAL])
    found = _SEEN @ (every / jnp.sum(every))
    return {name: found[i] for i, name in enumerate(SEEN)}


def widths(
    top: TopPartner,
    ew: Electroweak,
    coupling: ArrayLike,
    mass: ArrayLike,
    m_phi: ArrayLike,
    m_h: ArrayLike = MASS_H,
) -> dict[str, Array]:
    """Return the partial widths of T (GeV) into FINAL.

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
    zero = jnp.zeros(())
    bosons = jnp.stack([jnp.asarray(x, float) for x in (ew.m_w, ew.m_z, mass, m_h, m_phi)])
    light = jnp.stack([zero, m_t, m_t, m_t, m_t])
    left = [ew.g * s_L / sqrt(2.0), 0.5 * ew.g_z * mixed, -G * mixed]
    left += [mixed * m_t / ew.v, -y_T * s_L * s_R]
    right = [zero, zero, -G * s_R * c_R, mixed * m_T / ew.v, y_T * c_L * c_R]
    found = _widths(m_T, light, bosons, jnp.stack(left), jnp.stack(right))
    return {name: found[i] for i, name in enumerate(FINAL)}


def _widths(heavy: Array, light: Array, mass: Array, left: Array, right: Array) -> Array:
    """Return the widths of F into fermions (5,) and bosons, three vectors and two scalars, with

    L = V_m fbar gamma^m (left P_L + right P_R) F,   L = S fbar (left P_L + right P_R) F.
    """
    p = momentum(heavy, light, mass**2)
    F2, f2, B2 = heavy**2, light**2, mass**2
    squares, vector = 0.5 * (left**2 + right**2), np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    # Longitudinal vectors; a scalar may be massless.
    more = vector * (F2 - f2) ** 2 / jnp.where(vector > 0.0, B2, 1.0)
    same = squares * (F2 + f2 - (1.0 + vector) * B2 + more)
    turned = (2.0 - 8.0 * vector) * left * right * heavy * light
    return p / (8.0 * pi * F2) * (same + turned)
