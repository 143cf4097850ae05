"""B -> K form factors of HPQCD, arXiv:2207.12468: central values and parametrisation.

`f_plus` is the form factor inside the null spectrum of the public Belle II number densities. Its
coefficients have the two digits of the paper's table; the set "hpqcd-2022" has more of them, and
their covariance.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.form_factors.series import Series
from bknn.inputs import HPQCD_2022
from bknn.kinematics import z_map

#: z-expansion coefficients a_0, a_1, a_2 of f_plus, arXiv:2207.12468, table V.
F_PLUS_COEFFICIENTS = (0.2545, -0.71, 0.32)
#: The same of f_0 and of f_T (MS-bar at 4.8 GeV), same table.
F_0_COEFFICIENTS = (0.2545, 0.210, 0.02)
F_T_COEFFICIENTS = (0.255, -0.66, 0.36)
#: Chiral logarithm at the physical pion mass that multiplies the series, same table.
CHIRAL_LOGARITHM = 1.304
#: Mass of the B_s* pole in GeV, same paper.
POLE_MASS = 5.4158
#: Mass of the scalar pole in GeV, same paper: 0.45 GeV above that of the B.
SCALAR_POLE_MASS = 5.729495


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


def f_0(
    q2: ArrayLike,
    *,
    coefficients: Sequence[ArrayLike] | Array = F_0_COEFFICIENTS,
    chiral_logarithm: ArrayLike = CHIRAL_LOGARITHM,
    pole_mass: ArrayLike = SCALAR_POLE_MASS,
    mass_b: ArrayLike = HPQCD_2022.mass_b,
    mass_k: ArrayLike = HPQCD_2022.mass_k,
) -> Array:
    """Return the scalar form factor f_0(q2) of B -> K; arguments as of `f_plus`.

    A series without subtraction, f_0 = L / (1 - q2/M^2) sum_n a_n z^n.

    >>> float(f_0(0.0)) == float(f_plus(0.0))
    True
    """
    q2 = jnp.asarray(q2)
    z = z_map(q2, (jnp.asarray(mass_b) + jnp.asarray(mass_k)) ** 2, 0.0)
    series = sum((a * z**n for n, a in enumerate(coefficients)), start=jnp.zeros_like(z))
    return jnp.asarray(chiral_logarithm) * series / (1.0 - q2 / jnp.asarray(pole_mass) ** 2)


def f_T(  # the physicist's name
    q2: ArrayLike, *, coefficients: Sequence[ArrayLike] | Array = F_T_COEFFICIENTS, **masses: Any
) -> Array:
    """Return the tensor form factor f_T(q2) of B -> K at 4.8 GeV: the series of `f_plus`.

    >>> round(float(f_T(0.0)), 4)
    0.3325
    """
    return f_plus(q2, coefficients=coefficients, **masses)


class BCL(Series):
    """The parametrisation of `f_plus`, `f_0` and `f_T` with their coefficients as parameters.

    f_plus(0) = f_0(0) because z(0) = 0. L is a fixed number: its uncertainty is in the
    coefficients, as only L a_n matters.

    Attributes:
        chiral_logarithm: L.
    """

    chiral_logarithm: float = eqx.field(
        static=True, converter=float, default=CHIRAL_LOGARITHM, kw_only=True
    )

    def basis(self, form_factor: str, q2: Any, xp: ModuleType = jnp) -> tuple[Any, ...]:
        """Return what multiplies a_0, a_1, ..., q2 below the pole and the threshold."""
        t_plus = (self.mass_parent + self.mass_daughter) ** 2
        at_q2, at_zero = xp.sqrt(t_plus - q2), t_plus**0.5
        z = (at_q2 - at_zero) / (at_q2 + at_zero)
        weight = self.chiral_logarithm / (1.0 - q2 / dict(self.poles)[form_factor] ** 2)
        terms = [weight]
        for _ in range(self.order):
            terms.append(terms[-1] * z)
        if form_factor == "f_0":
            return tuple(terms[:-1])
        n = self.order
        return tuple(terms[k] - k / n * (-1) ** (k - n) * terms[n] for k in range(n))
