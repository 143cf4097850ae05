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

from collections.abc import Callable
from math import pi

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.models.aligned_u1.top_partner import TopPartner
from bknn.vectors.electroweak import Electroweak

#: Colours, and the charge of the top quark.
COLOURS, CHARGE = 3.0, 2.0 / 3.0

# Points in log k, k in units of m_t^2, for m_T up to 1e7 GeV and any mass of the W. The nearest
# poles are at Im(log k) = pi, so that a step h leaves some exp(-2 pi^2/h), 1e-14.
_STEP = 0.6
_K = np.exp(np.arange(-24.0, 52.0, _STEP))
# x(1 - x) of a Feynman parameter x = 1/(1 + exp(-t)), in which dx = x(1 - x) dt; t > 0 counts
# twice.
_T = np.arange(0.0, 20.0, _STEP)
_X = 0.25 / np.cosh(_T / 2.0) ** 2
_DX = np.where(_T > 0.0, 2.0, 1.0) * _STEP * _X


def _integrals(top: TopPartner, w: ArrayLike = 0.0) -> Callable[[int, int, int, int], Array]:
    """Return the function of (n, t, T, W) that integrates

        k^n dk / ((k + m_t^2)^t (k + m_T^2)^T (k + m_W^2)^W)

    from 0 to infinity, in units in which m_t is 1; w is m_W^2.
    """
    light = 1.0 / (_K + 1.0)
    heavy, boson = 1.0 / (_K + 1.0 + top.splitting), 1.0 / (_K + w)

    def integral(n: int, t: int, T: int, W: int) -> Array:
        weights = jnp.asarray(_STEP * _K ** (n + 1) * light**t)
        return weights @ (heavy**T * boson**W if W else heavy**T)

    return integral


def _angles(top: TopPartner) -> tuple[Array, Array]:
    """Return the mixing angles that all sums over quarks have in common, (s_R c_R kappa m_T)^2, and
    kappa^2 in units of 1/m_t^2, where s_L = kappa m_t s_R and c_L = kappa m_T c_R."""
    s2, c2 = jnp.asarray(top.s_R) ** 2, jnp.asarray(top.c_R) ** 2
    ratio = 1.0 + top.splitting
    kappa2 = 1.0 / (s2 + c2 * ratio)
    return s2 * c2 * kappa2 * ratio, kappa2


def vector_coupling(top: TopPartner, ew: Electroweak) -> Array:
    """Return C_L/(V_tb V_ts* G) of L = C_L (sbar gamma^m P_L b) Z'_m + h.c.

    Loops of a W and of its Goldstone boson, m_W kept. For m_T >> m_t >> m_W it is
    (y_t^2/32 pi^2) s_R^2 [c_R^2 ln(m_T^2/m_t^2) + 2 s_R^2].

    >>> from bknn.vectors.electroweak import STANDARD
    >>> from bknn.models.aligned_u1.top_partner import from_masses
    >>> f"{float(vector_coupling(from_masses(163.0, 10000.0, 0.05), STANDARD)):.5e}"
    '6.07613e-05'
    """
    angles, kappa2 = _angles(top)
    w = (jnp.asarray(ew.m_w) / top.m_t) ** 2
    J = _integrals(top, w)
    goldstone = J(2, 2, 2, 1) + 2.0 * kappa2 * J(3, 2, 2, 1)
    transverse = 2.0 * w * (2.0 * J(1, 2, 2, 1) + kappa2 * J(2, 2, 2, 1))
    scale = top.m_t * top.splitting / jnp.asarray(ew.v)
    return angles * scale**2 * (goldstone + transverse) / (16.0 * pi**2)


def dipole(top: TopPartner, ew: Electroweak) -> Array:
    """Return D (GeV^-2) of L = m_b V_tb V_ts* G D sbar i sigma^mn q_n P_R b Z'_m + h.c., q leaving,
    which is -(m_b V_tb V_ts* G D/2) sbar sigma_mn P_R b Z'^mn.

    With couplings of the Z' as those of a gluon it is the Inami-Lim function E'_0.
    """
    angles, kappa2 = _angles(top)
    w = (jnp.asarray(ew.m_w) / top.m_t) ** 2
    J = _integrals(top, w)
    one, both = J(2, 3, 2, 1) + J(2, 2, 3, 1), (J(3, 3, 2, 2) + J(3, 2, 3, 2)) / 6.0
    right = one - 2.0 * both
    left = J(2, 2, 2, 1) - J(3, 3, 2, 1) - J(3, 2, 3, 1) + 4.0 * w * (0.5 * J(2, 2, 2, 2) - both)
    scale = top.splitting / jnp.asarray(ew.v)
    return angles * scale**2 * (right + kappa2 * left) / (16.0 * pi**2)


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


def z_mass_mixing(top: TopPartner, ew: Electroweak) -> Array:
    """Return delta_Z/G, which is finite.

    For m_T >> m_t it is -(3 g_Z/16 pi^2)(m_t^2/M_Z^2) s_R^2 [ln(m_T^2/m_t^2) - 3/2] at small s_R.
    """
    angles, kappa2 = _angles(top)
    J = _integrals(top)
    total = J(1, 2, 2, 0) + 0.5 * kappa2 * J(2, 2, 2, 0)
    scale = top.m_t * top.splitting / jnp.asarray(ew.m_z)
    return -COLOURS * ew.g_z / (16.0 * pi**2) * angles * scale**2 * total


def z_isospin_mixing(top: TopPartner, ew: Electroweak) -> Array:
    """Return the part of eps_Z/G that comes from the weak isospin of the quarks, which is finite:
    the slope of the vacuum polarisation in q2."""
    angles, kappa2 = _angles(top)
    ratio = 1.0 + top.splitting
    spread = _X * top.splitting**2 / ratio
    weights = _X * _DX
    left = 2.0 * kappa2 * jnp.sum(weights * jnp.log1p(spread))
    right = (1.0 + ratio) / ratio * jnp.sum(weights * spread / (1.0 + spread))
    return COLOURS * ew.g_z / (16.0 * pi**2) * angles * (left + right)


def z_kinetic_mixing(top: TopPartner, ew: Electroweak, photon: ArrayLike) -> Array:
    """Return eps_Z/G where eps_A/G is `photon`, through the charges -tan(theta_W) times it."""
    return z_isospin_mixing(top, ew) - ew.tan_w * jnp.asarray(photon)
