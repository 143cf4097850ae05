"""One invisible particle: a scalar phi or a vector V of mass m, a line at q2 = m^2.

The spectral density of one particle is 2 pi delta(q2 - m^2) times the numbers returned here.
Currents: "S" is phi; "V" is V^mu, "F" is V^mn = d^m V^n - d^n V^m.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from bknn.decay.densities import Densities

#: Below this mass (GeV) a vector is treated as if it had this mass: the rate of a longitudinal V
#: with a current that is not conserved grows like 1/m^2.
SMALLEST_MASS = 1e-9


def scalar() -> Densities:
    """Return the density of phi: S.

    >>> float(scalar().spin0["S", "S"])
    1.0
    """
    return Densities(spin0={("S", "S"): jnp.ones(())}, spin1={})


def vector(mass: ArrayLike) -> Densities:
    """Return the densities of V: V and F. (V is transverse on its mass shell: no spin 0.)

    Args:
        mass: GeV.

    >>> float(vector(2.0).spin1["V", "V"])
    0.25
    """
    mass = jnp.maximum(jnp.asarray(mass, float), SMALLEST_MASS)
    return Densities(
        spin0={},
        spin1={
            ("V", "V"): 1.0 / mass**2,
            ("V", "F.E"): 1.0 / mass,
            ("F.E", "F.E"): jnp.ones_like(mass),
        },
    )
