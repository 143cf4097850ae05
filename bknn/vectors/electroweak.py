"""Electroweak numbers at tree level, in the convention of the light-vector formulas."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike


class Electroweak(eqx.Module):
    """What mixings with the photon and the Z depend on; every entry may be traced.

    The weak coupling is g = 2 m_w / v. sin2_w is the effective (MS-bar) one of the Z current, so
    that c_w is not m_w / m_z; masses and v in GeV.

    >>> round(float(STANDARD.e), 6), round(float(STANDARD.g_z), 4)
    (0.302822, 0.7446)
    """

    v: ArrayLike = 246.22
    m_w: ArrayLike = 80.377
    m_z: ArrayLike = 91.1876
    sin2_w: ArrayLike = 0.2312
    alpha: ArrayLike = 1.0 / 137.036

    @property
    def e(self) -> Array:
        """Electromagnetic coupling, sqrt(4 pi alpha)."""
        return jnp.sqrt(4.0 * np.pi * jnp.asarray(self.alpha))

    @property
    def g(self) -> Array:
        """Weak coupling, 2 m_w / v."""
        return 2.0 * jnp.asarray(self.m_w) / jnp.asarray(self.v)

    @property
    def c_w(self) -> Array:
        """Cosine of the weak mixing angle."""
        return jnp.sqrt(1.0 - jnp.asarray(self.sin2_w))

    @property
    def tan_w(self) -> Array:
        """Tangent of the weak mixing angle."""
        return jnp.sqrt(jnp.asarray(self.sin2_w)) / self.c_w

    @property
    def g_z(self) -> Array:
        """Coupling of the Z to its current T3 P_L - Q sin2_w."""
        return self.g / self.c_w


#: The numbers that everything uses unless told otherwise (PDG 2022, alpha in the Thomson limit).
STANDARD = Electroweak()
