"""Top quark and partner: masses, mixing angles and Yukawa couplings of the aligned U(1)'."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


class TopPartner(NamedTuple):
    """The masses t and T, and the angles between them and (t', T'), GeV.

    -L = y_t Qbar_3 Htilde t'_R + y_T Phi Tbar'_L t'_R + M Tbar'_L T'_R + h.c. (arXiv:1704.06005)
    gives the mass matrix, rows (t', T')_L and columns (t', T')_R,

        ( y_t v/sqrt2        0 )
        ( y_T v~/sqrt2       M )  =  U_L diag(m_t, m_T) U_R^T,   U = (( c, s), (-s, c)),

    so that tan(theta_L) = (m_t/m_T) tan(theta_R).

    Attributes:
        m_t, m_T: masses, m_T the larger one.
        s_R, c_R, s_L, c_L: sines and cosines of the mixing angles of right- and left-handed fields.
        splitting: (m_T^2 - m_t^2)/m_t^2, without cancellations.
    """

    m_t: ArrayLike
    m_T: ArrayLike
    s_R: ArrayLike
    c_R: ArrayLike
    s_L: ArrayLike
    c_L: ArrayLike
    splitting: Array

    def y_t(self, v: ArrayLike) -> Array:
        """Return the Yukawa coupling of t' and the Higgs boson."""
        return sqrt(2.0) * jnp.asarray(self.m_t) * self.c_L / (v * jnp.asarray(self.c_R))

    def y_T(self, v_tilde: ArrayLike) -> Array:
        """Return the Yukawa coupling of t'_R, T'_L and Phi.

        >>> top = from_masses(163.0, 1500.0, 0.1)
        >>> round(float(top.y_T(700.0)), 5)
        0.29945
        """
        heavy = jnp.asarray(self.m_t) ** 2 / jnp.asarray(self.m_T) ** 2 * self.splitting
        return sqrt(2.0) * jnp.asarray(self.c_L) * self.s_R * self.m_T * heavy / v_tilde

    @property
    def vectorlike_mass(self) -> Array:
        """M, the mass of T' without mixing, GeV."""
        light = jnp.asarray(self.m_t) * self.s_L * self.s_R
        return jnp.asarray(light + jnp.asarray(self.m_T) * self.c_L * self.c_R)


def from_masses(m_t: ArrayLike, m_T: ArrayLike, s_R: ArrayLike) -> TopPartner:
    """Return the mixing of two masses (GeV) and sin(theta_R)."""
    s_R = jnp.asarray(s_R)
    return _mixed(m_t, m_T, s_R, jnp.sqrt((1.0 - s_R) * (1.0 + s_R)))


def from_yukawa(m_t: ArrayLike, s_R: ArrayLike, y_T: ArrayLike, v_tilde: ArrayLike) -> TopPartner:
    """Return the partner that has the Yukawa coupling y_T at a mixing; masses in GeV.

    With x = (m_T^2 - m_t^2)/m_t^2 and K = (y_T v~/s_R m_t)^2/2, c_R^2 (x^2 - K x) = K.

    >>> top = from_yukawa(163.0, 0.1, from_masses(163.0, 1500.0, 0.1).y_T(700.0), 700.0)
    >>> round(float(top.m_T), 6)
    1500.0
    """
    s_R = jnp.asarray(s_R)
    K = 0.5 * (y_T * jnp.asarray(v_tilde) / (s_R * m_t)) ** 2
    x = 0.5 * K * (1.0 + jnp.sqrt(1.0 + 4.0 / (K * (1.0 - s_R) * (1.0 + s_R))))
    return from_masses(m_t, m_t * jnp.sqrt(1.0 + x), s_R)


def from_lagrangian(
    y_t: ArrayLike, y_T: ArrayLike, vectorlike_mass: ArrayLike, v_tilde: ArrayLike, v: ArrayLike
) -> TopPartner:
    """Return masses and mixing of the parameters of the Lagrangian, GeV.

    >>> top = from_masses(163.0, 1500.0, 0.1)
    >>> again = from_lagrangian(top.y_t(246.22), top.y_T(700.0), top.vectorlike_mass, 700.0, 246.22)
    >>> [round(float(x), 6) for x in (again.m_t, again.m_T, again.s_R)]
    [163.0, 1500.0, 0.1]
    """
    a = jnp.asarray(y_t) * v / sqrt(2.0)
    b = jnp.asarray(y_T) * v_tilde / sqrt(2.0)
    M = jnp.asarray(vectorlike_mass)
    # m_t m_T = a M and (m_T ± m_t)^2 = (a ± M)^2 + b^2.
    plus, minus = jnp.hypot(a + M, b), jnp.hypot(a - M, b)
    m_T = 0.5 * (plus + minus)
    m_t = a * M / m_T
    # Of the squared matrix of right-handed fields: s_R c_R (m_T^2 - m_t^2) = b M, and
    # c_R^2 (m_T^2 - m_t^2) = M^2 - m_t^2, where m_t = a M/m_T.
    tan_R = b * m_T**2 / (M * (m_T - a) * (m_T + a))
    norm = jnp.hypot(1.0, tan_R)
    return _mixed(m_t, m_T, tan_R / norm, 1.0 / norm)


def _mixed(m_t: ArrayLike, m_T: ArrayLike, s_R: Array, c_R: Array) -> TopPartner:
    up, down = m_t * s_R, m_T * c_R
    light, heavy = jnp.asarray(m_t), jnp.asarray(m_T)
    norm = 1.0 / jnp.sqrt(up**2 + down**2)
    splitting = (heavy - light) * (heavy + light) / light**2
    return TopPartner(m_t, m_T, s_R, c_R, up * norm, down * norm, splitting)
