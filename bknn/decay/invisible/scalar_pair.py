"""A pair of scalars, phi and anti-phi; or two real ones.

Currents, all hermitian, so that a real coupling means one without a CP phase:

    "S"  phi^+ phi                                  J^PC = 0++
    "V"  i [phi^+ d^m phi - (d^m phi^+) phi]        1--

The matrix elements are 1 and (p1 - p2)^m. The densities are beta / (8 pi) for (S, S) and, per q2,
beta^3 / (24 pi) for (V, V), with beta = sqrt(1 - 4 mass^2 / q2). The time component of V is 0.
"""

from __future__ import annotations

from jax.typing import ArrayLike

from bknn.decay.densities import Densities
from bknn.decay.invisible.partial_waves import pair, products, threshold

__all__ = ["SCALARS", "SELF_CONJUGATE", "TENSORS", "VECTORS", "densities", "threshold"]

#: Keys of the currents, by the quark currents that they can be multiplied with.
SCALARS, VECTORS, TENSORS = ("S",), ("V",), ()
#: Those that are left if the scalar is its own antiparticle.
SELF_CONJUGATE = ("S",)


def densities(q2: ArrayLike, mass: ArrayLike, *, identical: bool = False) -> Densities:
    """Return the spectral densities at q2; 0 below the threshold.

    Args:
        q2: GeV^2, any shape.
        mass: GeV.
        identical: a real scalar, "S" being phi^2 (no 1/2): the density of S is twice as large,
            twice the amplitude on half of the phase space, and there is no V.

    >>> round(float(densities(4.0, 0.6).spin0["S", "S"]) * 8 * 3.141592653589793, 12)
    0.8
    """
    at = pair(q2, mass)
    if identical:
        return Densities(products({"S": (1.0,)}, 2.0 * at.phase_space), {})
    return Densities(
        spin0=products({"S": (1.0,)}, at.phase_space),
        spin1=products({"V": (2.0 * at.momentum / at.root,)}, at.phase_space / 3.0),
    )
