"""One loop of t and T: b -> s Z', and the mixing of Z' with photon and Z.

Each amplitude is a sum over pairs of quarks of U_i U_j G_ij f(m_i, m_j), G being the couplings of
the Z', U those of the W. As tan(theta_L) = (m_t/m_T) tan(theta_R), all these sums are

    f(m_t, m_t) - 2 f(m_t, m_T) + f(m_T, m_T),

in which poles and scales of the divergent parts have cancelled. The loop momentum has been turned
to k = -l^2 > 0, where p_i = 1/(k + m_i^2), and the combination can be taken under the integral:

    p_t p_t - 2 p_t p_T + p_T p_T = (m_T^2 - m_t^2)^2 (p_t p_T)^2.

What is left are integrals over k of positive functions, without a cancellation at equal masses,
at very different ones or anywhere between. In log k the trapezoidal rule converges exponentially
for them; its points and weights are constants.

Conventions: the Z' couples with G = g~ q' to T' alone; the covariant derivatives of photon, Z and
Z' have one sign, L = V_m J^m; kinetic mixing is -(eps/2) V_mn Z'^mn, mass mixing
delta_Z M_Z^2 Z_m Z'^m. All amplitudes are at q2 = 0, the Z' being light.
"""

from __future__ import annotations

from math import pi
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.kinematics import numpy_for
from bknn.models.aligned_u1.top_partner import TopPartner
from bknn.vectors.electroweak import Electroweak

#: Colours, and the charge of the top quark.
COLOURS, CHARGE = 3.0, 2.0 / 3.0

# Points in log k, k in units of m_t^2, for m_T up to 1e7 GeV and any mass of the W. The nearest
# poles are at Im(log k) = pi, so that a step h leaves some exp(-2 pi^2/h), 1e-14.
_STEP = 0.6
_K = np.exp(np.arange(-24.0, 52.0, _STEP))
_LIGHT = 1.0 / (_K + 1.0)
# x(1 - x) of a Feynman parameter x = 1/(1 + exp(-t)), in which dx = x(1 - x) dt; t > 0 counts
# twice.
_T = np.arange(0.0, 20.0, _STEP)
_X = 0.25 / np.cosh(_T / 2.0) ** 2
_DX = np.where(_T > 0.0, 2.0, 1.0) * _STEP * _X


def _angles(top: TopPartner) -> tuple[Array, Array]:
    """Return the mixing angles that all sums over quarks have in common, (s_R c_R kappa m_T)^2, and
    kappa^2 in units of 1/m_t^2, where s_L = kappa m_t s_R and c_L = kappa m_T c_R."""
    s2, c2 = jnp.asarray(top.s_R) ** 2, jnp.asarray(top.c_R) ** 2
    ratio = 1.0 + top.splitting
    kappa2 = 1.0 / (s2 + c2 * ratio)
    return s2 * c2 * kappa2 * ratio, kappa2


class Amplitudes(NamedTuple):
    """What is the integral of one function of k each.

    Attributes:
        vector: C_L/(V_tb V_ts* G) of L = C_L (sbar gamma^m P_L b) Z'_m + h.c.
        dipole: D (GeV^-2) of L = m_b V_tb V_ts* G D sbar i sigma^mn q_n P_R b Z'_m + h.c.
        z_mass: delta_Z/G.
    """

    vector: Array
    dipole: Array
    z_mass: Array


def amplitudes(top: TopPartner, ew: Electroweak) -> Amplitudes:
    """Return the amplitudes that `vector_coupling`, `dipole` and `z_mass_mixing` describe."""
    angles, kappa2 = _angles(top)
    heavy = 1.0 / (_K + 1.0 + top.splitting)
    # All are sums of heavy^2 and heavy^3 with weights in which, but for kappa^2, nothing of T is.
    xp = numpy_for(ew.m_w, top.m_t)
    w = (xp.asarray(ew.m_w) / top.m_t) ** 2
    boson, weights = 1.0 / (_K + w), _STEP * _K**3 * _LIGHT**2
    in_loop, both, more = weights * boson, 1.0 - _K * boson / 3.0, 2.0 * w * boson
    squares = [
        in_loop * (1.0 + 4.0 * w / _K),
        in_loop * 2.0 * (_K + w),
        in_loop * _LIGHT * both,
        in_loop * (_LIGHT + more * (1.0 - _K * _LIGHT / 3.0)),
        weights / _K,
        weights * 0.5,
    ]
    cubes = [in_loop * both, -in_loop * _K * (1.0 + more / 3.0)]
    of_squares = jnp.reshape(xp.stack(squares) @ heavy**2, (3, 2))
    of_cubes = xp.stack(cubes) @ heavy**3
    to_vector, to_dipole, to_z = jnp.split(of_squares @ jnp.stack([jnp.ones(()), kappa2]), 3)
    to_dipole = to_dipole + of_cubes[:1] + kappa2 * of_cubes[1:]
    scale = top.splitting**2 / (16.0 * pi**2) * angles
    v, m_z, m_t = jnp.asarray(ew.v), jnp.asarray(ew.m_z), jnp.asarray(top.m_t)
    return Amplitudes(
        vector=scale * (m_t / v) ** 2 * to_vector[0],
        dipole=scale / v**2 * to_dipole[0],
        z_mass=-COLOURS * ew.g_z * scale * (m_t / m_z) ** 2 * to_z[0],
    )


def vector_coupling(top: TopPartner, ew: Electroweak) -> Array:
    """Return C_L/(V_tb V_ts* G) of L = C_L (sbar gamma^m P_L b) Z'_m + h.c.

    Loops of a W and of its Goldstone boson, m_W kept. For m_T >> m_t >> m_W it is
    (y_t^2/32 pi^2) s_R^2 [c_R^2 ln(m_T^2/m_t^2) + 2 s_R^2].

    >>> from bknn.vectors.electroweak import STANDARD
    >>> from bknn.models.aligned_u1.top_partner import from_masses
    >>> f"{float(vector_coupling(from_masses(163.0, 10000.0, 0.05), STANDARD)):.5e}"
    '6.07613e-05'
    """
    return amplitudes(top, ew).vector


def dipole(top: TopPartner, ew: Electroweak) -> Array:
    """Return D (GeV^-2) of L = m_b V_tb V_ts* G D sbar i sigma^mn q_n P_R b Z'_m + h.c., q leaving,
    which is -(m_b V_tb V_ts* G D/2) sbar sigma_mn P_R b Z'^mn.

    With couplings of the Z' as those of a gluon it is the Inami-Lim function E'_0.
    """
    return amplitudes(top, ew).dipole


def z_mass_mixing(top: TopPartner, ew: Electroweak) -> Array:
    """Return delta_Z/G, which is finite.

    For m_T >> m_t it is -(3 g_Z/16 pi^2)(m_t^2/M_Z^2) s_R^2 [ln(m_T^2/m_t^2) - 3/2] at small s_R.
    """
    return amplitudes(top, ew).z_mass


def photon_mixing(top: TopPartner, ew: Electroweak, scale: ArrayLike) -> Array:
    """Return eps_A/G far below m_t, where eps_A is 0 at a scale (GeV).

    T' has both charges, so that the mixing diverges: it is a parameter of the model, which the loop
    changes from its value at the scale.
    """
    light = 2.0 * jnp.log(scale / jnp.asarray(top.m_t))
    heavy = light - jnp.log1p(top.splitting)
    mixed = 0.5 * (jnp.asarray(top.s_L) ** 2 + jnp.asarray(top.s_R) ** 2)
    logs = heavy + mixed * (light - heavy)
    return COLOURS * ew.e * CHARGE / (12.0 * pi**2) * logs


def z_isospin_mixing(top: TopPartner, ew: Electroweak) -> Array:
    """Return the part of eps_Z/G that comes from the weak isospin of the quarks, which is finite:
    the slope of the vacuum polarisation in q2."""
    angles, kappa2 = _angles(top)
    ratio = 1.0 / (1.0 + top.splitting)
    spread = _X * (top.splitting**2 * ratio)
    left, right = 2.0 * kappa2 * jnp.log1p(spread), (1.0 + ratio) * spread / (1.0 + spread)
    return COLOURS * ew.g_z / (16.0 * pi**2) * angles * jnp.sum(_X * _DX * (left + right))


def z_kinetic_mixing(top: TopPartner, ew: Electroweak, photon: ArrayLike) -> Array:
    """Return eps_Z/G where eps_A/G is `photon`, through the charges -tan(theta_W) times it."""
    return z_isospin_mixing(top, ew) - ew.tan_w * jnp.asarray(photon)
