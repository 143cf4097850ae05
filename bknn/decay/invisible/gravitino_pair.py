"""A pair of particles of spin 3/2, Psi and anti-Psi; Dirac or Majorana.

Psi_r is a Rarita-Schwinger field, g^r Psi_r = 0 = d^r Psi_r. Currents, with their J^PC:

    "S"  Psibar_r Psi^r            0++
    "P"  Psibar_r g5 Psi^r         0-+
    "V"  Psibar_r g^m Psi^r        1--
    "A"  Psibar_r g^m g5 Psi^r     1++, 0-+
    "T"  Psibar_r sigma^mn Psi^r   1-- (components 0i, "T.E") and 1+- (jk, "T.B")
    "U"  i (Psibar^m Psi^n - Psibar^n Psi^m)   the same

(Psibar_r sigma^mn g5 Psi^r is no further current: moved to the quarks it is sigma again. So is
Psibar^m g5 Psi^n a combination of T, U and their duals. As Psi is gamma-traceless there is nothing
else without derivatives.)
All are hermitian but P, which is i times a hermitian operator. V is conserved; the divergence of A
is 2 mass P, so that its time component is 2 mass / sqrt(q2) times P. T.E is -i times the
components 0i, as for spin 1/2 (`fermion_pair`): at threshold it is V, and U.E vanishes. So P and A,
and V, T.E and U.E, interfere constructively for real couplings of one sign.

In terms of a fermion pair of spin 1/2 with the same mass and momentum: the field is a vector times
a spinor, and e1.e2 of the vectors is 1 if both are transverse, g = q2 / (2 mass^2) - 1 if both are
longitudinal. With Clebsch-Gordan coefficients, the amplitude of a current into equal helicities
h, h of spin 1/2 gives

    3/2, 3/2:  1        1/2, 1/2:  (2 g - 1) / 3  for S, V, T.E,   (2 g + 1) / 3  for P, A, T.B

times that amplitude, and that into opposite helicities h, -h

    3/2, 1/2:  sqrt(1/3)    1/2, -1/2:  2 g / 3.

U is the amplitude of S times vectors, e1^0 e2 - e2^0 e1 (U.E) and e1 x e2 (U.B). That gives, per
sqrt(q2) and with x = q2 / mass^2,

    U.E   1/2, 1/2:  sqrt2 x beta^2 / 3    3/2, 1/2:  -sqrt(2 x / 3) beta^2
          1/2, -1/2:  2 sqrt(x) beta^2 / 3
    U.B   3/2, 3/2:  sqrt2 beta    1/2, 1/2:  -sqrt2 beta / 3    3/2, 1/2:  sqrt(2 x / 3) beta.

Helicity 1/2 couples like 1/mass: for small masses every density is (q2 / (3 mass^2))^2 times that
of the pair of spin 1/2, the goldstinos.
"""

from __future__ import annotations

from math import sqrt

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.decay.densities import Densities
from bknn.decay.invisible.partial_waves import SMALLEST_MASS, pair, products, threshold

__all__ = ["SCALARS", "SELF_CONJUGATE", "TENSORS", "VECTORS", "densities", "threshold"]

#: Keys of the currents, by the quark currents that they can be multiplied with.
SCALARS, VECTORS, TENSORS = ("S", "P"), ("V", "A"), ("T", "U")
#: Those that are left if Psi is its own antiparticle: the ones even under charge conjugation.
SELF_CONJUGATE = ("S", "P", "A")


def densities(q2: ArrayLike, mass: ArrayLike, *, identical: bool = False) -> Densities:
    """Return the spectral densities at q2; 0 below the threshold.

    Args:
        q2: GeV^2, any shape.
        mass: GeV. (Less than SMALLEST_MASS counts as SMALLEST_MASS.)
        identical: a Majorana Psi, with the operators as above (no 1/2): S, P, A are twice as
            large, and V, T and U vanish.

    The divergence of A is 2 mass P:

    >>> spin0 = densities(4.0, 0.6).spin0
    >>> round(float(spin0["P", "A"] / spin0["P", "P"]) * 4.0, 12)  # 2 mass
    1.2
    """
    mass = jnp.maximum(jnp.asarray(mass, float), SMALLEST_MASS)
    at = pair(q2, mass)
    mass, energy, p = at.mass, at.energy, at.momentum
    longitudinal = (energy**2 + p**2) / mass**2

    # Amplitudes of spin 1/2 in, of spin 3/2 out. A state of definite parity is two helicity
    # states (hence sqrt2), and states with opposite helicities are summed over two directions
    # of the spin.
    def equal(amplitude: Array, sign: float) -> tuple[Array, ...]:
        amplitude = sqrt(2.0) * amplitude
        return amplitude, amplitude * (2.0 * longitudinal + sign) / 3.0

    def opposite(amplitude: Array) -> tuple[Array, ...]:
        amplitude = 2.0 * amplitude
        # 3/2 with 1/2 comes twice: either particle may have the larger helicity.
        return sqrt(2.0 / 3.0) * amplitude, 2.0 / 3.0 * longitudinal * amplitude

    m, e, p = 2.0 * mass / at.root, 2.0 * energy / at.root, 2.0 * p / at.root
    weight = 2.0 * at.phase_space if identical else at.phase_space
    spin0 = products({"S": equal(p * at.root, -1.0)}, weight)
    spin0 |= products({"P": equal(e * at.root, 1.0), "A": equal(m, 1.0)}, weight)
    spin1 = products({"A": opposite(p)}, weight / 3.0)
    if not identical:
        x = (at.root / mass) ** 2
        mixed = jnp.sqrt(2.0 * x / 3.0)  # of 3/2 with 1/2
        vector = {
            "V": (*equal(m, -1.0), *opposite(e)),
            "T.E": (*equal(e, -1.0), *opposite(m)),
            "U.E": (
                0.0,
                sqrt(2.0) / 3.0 * x * p**2,
                -mixed * p**2,
                2.0 / 3.0 * jnp.sqrt(x) * p**2,
            ),
        }
        magnetic: dict[str, tuple[ArrayLike, ...]] = {
            "T.B": (*equal(p, 1.0), 0.0),
            "U.B": (sqrt(2.0) * p, -sqrt(2.0) / 3.0 * p, mixed * p),
        }
        spin1 |= products(vector, weight / 3.0)
        spin1 |= products(magnetic, weight / 3.0)
    return Densities(spin0, spin1)
