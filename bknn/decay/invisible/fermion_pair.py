"""A pair of fermions, psi1 and anti-psi2, of any two masses; Dirac or Majorana.

Currents: psibar1 G psi2 with G = 1, g5, g^m, g^m g5, sigma^mn for "S", "P", "V", "A", "T".
(sigma g5 is no further current: moved to the quarks it is sigma again.)

Two partial waves of spin 1 have the parity of V and T.E, two that of A and T.B; their amplitudes,
per sqrt(q2), are sqrt(Q-) (2, sqrt2 r+) for V, sqrt(Q-) (2 r+, sqrt2) for T.E, and the same with
Q+, r- for A and T.B, where Q-+ = q2 - (m1 -+ m2)^2 and r+- = (m1 +- m2) / sqrt(q2).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.decay.densities import Densities
from bknn.kinematics import safe_sqrt


def threshold(mass: ArrayLike, mass_2: ArrayLike | None = None) -> Array:
    """Return the smallest q2, GeV^2.

    >>> float(threshold(0.5))
    1.0
    """
    return (jnp.asarray(mass) + jnp.asarray(mass if mass_2 is None else mass_2)) ** 2


def densities(
    q2: ArrayLike,
    mass: ArrayLike,
    mass_2: ArrayLike | None = None,
    *,
    identical: bool = False,
) -> Densities:
    """Return the spectral densities at q2, 0 below the threshold.

    Args:
        q2: GeV^2, any shape.
        mass: of psi1, GeV.
        mass_2: of the anti-psi2, GeV; the same by default.
        identical: a Majorana fermion, with the operator written without a 1/2: S, P, A are twice
            the Dirac result, V and T vanish.

    >>> pair = densities(4.0, 0.0)
    >>> round(float(pair.spin0["S", "S"]) * jnp.pi, 9)  # q2 / (4 pi)
    1.0
    """
    m1 = jnp.asarray(mass, float)
    m2 = m1 if mass_2 is None else jnp.asarray(mass_2, float)
    same = mass_2 is None
    q2 = jnp.asarray(q2, float)
    open_ = (q2 >= (m1 + m2) ** 2) & (q2 >= 0.0)
    # 1/q2, and 0 where it is of no use: everywhere below it comes with a mass.
    inverse = jnp.where(open_ & (q2 > 0.0), 1.0 / jnp.where(open_ & (q2 > 0.0), q2, 1.0), 0.0)
    total, difference = m1 + m2, m1 - m2
    below, above = 1.0 - difference**2 * inverse, 1.0 - total**2 * inverse  # Q- / q2, Q+ / q2
    below, above = jnp.where(open_, below, 0.0), jnp.where(open_, above, 0.0)
    phase_space = safe_sqrt(above) * safe_sqrt(below) / (8.0 * jnp.pi)
    scalar = 2.0 * phase_space * q2 * above
    pseudoscalar = 2.0 * phase_space * q2 * below
    # The divergence of the axial current is (m1 + m2) psibar g5 psi, that of the vector current
    # (m1 - m2) psibar psi.
    spin0 = {
        ("S", "S"): scalar,
        ("P", "P"): pseudoscalar,
        ("A", "P"): total * inverse * pseudoscalar,
        ("A", "A"): (total * inverse) ** 2 * pseudoscalar,
    }
    spin1 = {("A", "A"): phase_space * above * (4.0 + 2.0 * difference**2 * inverse) / 3.0}
    if identical:
        return Densities(
            *({key: 2.0 * value for key, value in table.items()} for table in (spin0, spin1))
        )
    root = safe_sqrt(inverse)
    spin1 |= {
        ("V", "V"): phase_space * below * (4.0 + 2.0 * total**2 * inverse) / 3.0,
        ("T.E", "T.E"): phase_space * below * (2.0 + 4.0 * total**2 * inverse) / 3.0,
        ("V", "T.E"): 2.0 * phase_space * below * total * root,
        ("T.B", "T.B"): phase_space * above * (2.0 + 4.0 * difference**2 * inverse) / 3.0,
    }
    if not same:
        spin0 |= {
            ("S", "V"): difference * inverse * scalar,
            ("V", "V"): (difference * inverse) ** 2 * scalar,
        }
        spin1[("A", "T.B")] = 2.0 * phase_space * above * difference * root
    return Densities(spin0, spin1)
