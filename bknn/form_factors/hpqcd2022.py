"""B -> K form factors of HPQCD, arXiv:2207.12468: central values of f_plus.

This is the form factor inside the null spectrum of the public Belle II number densities.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.inputs import HPQCD_2022
from bknn.kinematics import z_map

#: z-expansion coefficients a_0, a_1, a_2 of f_plus, arXiv:2207.12468, table V.
F_PLUS_COEFFICIENTS = (0.2545, -0.71, 0.32)
#: Chiral logarithm at the physical pion mass that multiplies the series, same table.
CHIRAL_LOGARITHM = 1.304
#: Mass of the B_s* pole in GeV, same paper.
POLE_MASS = 5.4158


def f_plus(
    q2: ArrayLike,
    *,
    coefficients: Sequence[ArrayLike] | Array = F_PLUS_COEFFICIENTS,
    chiral_logarithm: ArrayLike = CHIRAL_LOGARITHM,
    pole_mass: ArrayLike = POLE_MASS,
    mass_b: ArrayLike = HPQCD_2022.mass_b,
    mass_k: ArrayLike = HPQCD_2022.mass_k,
) -> Array:
    """Return the vector form factor f_plus(q2) of B -> K, same shape as q2.

    A BCL series with t_0 = 0 (arXiv:2207.12468, eq. for f_plus): for N coefficients

        f_plus = L / (1 - q2/M^2) sum_n a_n [z^n - (n/N) (-1)^(n-N) z^N].

    Args:
        q2: GeV^2, in the physical region q2 <= (mass_b - mass_k)^2 (any q2 below the pole and
            the threshold (mass_b + mass_k)^2 gives the value of the series).
        coefficients: a_n.
        chiral_logarithm: L.
        pole_mass: M, GeV.
        mass_b: mass of the B meson, GeV.
        mass_k: mass of the kaon, GeV.

    >>> round(float(f_plus(0.0)), 5)
    0.33187
    """
    q2 = jnp.asarray(q2)
    z = z_map(q2, (jnp.asarray(mass_b) + jnp.asarray(mass_k)) ** 2, 0.0)
    order = len(coefficients)
    series = jnp.zeros_like(z)
    for n in range(order):
        # The subtraction gives the right threshold behaviour, d f_plus/dz = 0 at z = -1.
        series = series + coefficients[n] * (z**n - n / order * (-1) ** (n - order) * z**order)
    return jnp.asarray(chiral_logarithm) * series / (1.0 - q2 / jnp.asarray(pole_mass) ** 2)
