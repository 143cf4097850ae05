"""Neutrinos: left- and right-handed, any flavours, massless or massive, Dirac or Majorana.

A chiral coefficient is that of (sbar G P_X b)(nubar_a G' P_Y nu_b), a matrix over (a, b); its key
is the type and the two chiralities X, Y of quarks and neutrinos: "VLL", "VRL", "VLR", "VRR",
"SLL", ..., "TLL", "TRR" (the other two tensors vanish identically).

Massless neutrinos have currents "L", "R" (nubar g^m P_Y nu), "SL", "SR" (nubar P_Y nu) and "T"
(nubar sigma^mn nu); left- and right-handed ones do not interfere. Massive ones are a fermion pair
(`bknn.decay.invisible.fermion_pair`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.decay.densities import Densities
from bknn.kinematics import numpy_for

Chiral = Mapping[str, ArrayLike]
Table = dict[tuple[str, str], Array]

#: Sign of a bilinear psibar_a G psi_b of Majorana fields under the exchange of a and b.
MAJORANA = {"S": 1, "P": 1, "A": 1, "V": -1, "T": -1, "SL": 1, "SR": 1}


def densities(q2: Any) -> Densities:
    """Return the spectral densities of a massless pair of given flavours.

    Args:
        q2: GeV^2, any shape; 0 for negative ones.

    >>> round(float(densities(1.0).spin1["L", "L"]) * 12 * jnp.pi, 9)
    1.0
    """
    xp: Any = numpy_for(q2)
    q2 = xp.asarray(q2, float)
    one = xp.where(q2 >= 0.0, 1.0, 0.0)
    vector, scalar = one / (12.0 * np.pi), one * q2 / (8.0 * np.pi)
    return Densities(
        spin0={("SL", "SL"): scalar, ("SR", "SR"): scalar},
        spin1={("L", "L"): vector, ("R", "R"): vector, ("T.E", "T.E"): vector}
        | {("T.B", "T.B"): vector},
    )


def couplings(chiral: Chiral) -> Table:
    """Return the couplings of massless neutrinos from chiral coefficients.

    >>> {key: float(c) for key, c in couplings({"VLL": 2.0}).items()}
    {('V', 'L'): 1.0, ('A', 'L'): -1.0}
    """
    found: Table = {}
    for key, value in _quark_currents(chiral).items():
        (quark, kind), hand = key[:2], key[2]
        dark = {"V": hand, "S": f"S{hand}", "T": "T"}[kind]
        found[quark, dark] = found.get((quark, dark), 0.0) + value
    return found


def massive_couplings(chiral: Chiral) -> Table:
    """Return the couplings to the currents S, P, V, A, T of `fermion_pair`.

    >>> {key: float(c) for key, c in massive_couplings({"VLL": 4.0}).items()}
    {('V', 'V'): 1.0, ('V', 'A'): -1.0, ('A', 'V'): -1.0, ('A', 'A'): 1.0}
    """
    found: Table = {}

    def add(quark: str, dark: str, value: Array) -> None:
        found[quark, dark] = found.get((quark, dark), 0.0) + value

    for (quark, kind, hand), value in _quark_currents(chiral).items():
        if kind == "T":
            add(quark, "T", value)
            continue
        even, odd = ("V", "A") if kind == "V" else ("S", "P")
        add(quark, even, 0.5 * value)
        add(quark, odd, (0.5 if hand == "R" else -0.5) * value)
    return found


def majorana(table: Mapping[tuple[str, str], ArrayLike]) -> Table:
    """Return the couplings of Majorana fields from those written for Dirac fields.

    The last two axes of a coupling are the flavours a, b of psibar_a G psi_b. The amplitude gets
    both orders of the fields, and each pair of flavours occurs once in the final state: together
    (C +- C^T) / sqrt2 in a sum over all a, b. A coupling without flavours becomes sqrt2 times
    itself, or 0. Lepton-number violating operators nubar^c_a P nu_b count the same way.

    Raises:
        ParameterError: vector currents of one chirality, which are not independent.
    """
    found: Table = {}
    for (quark, dark), value in table.items():
        if dark not in MAJORANA:
            raise errors.ParameterError(
                f"the current {dark!r} of Majorana neutrinos is minus the one of the other "
                "chirality with both fields exchanged, so that the two interfere; write vector "
                "operators with `massive_couplings` (masses may be 0)."
            )
        matrix, sign = jnp.asarray(value), MAJORANA[dark]
        other = jnp.swapaxes(matrix, -1, -2) if matrix.ndim >= 2 else matrix
        found[quark, dark] = (matrix + sign * other) / sqrt(2.0)
    return found


def _quark_currents(chiral: Chiral) -> dict[tuple[str, str, str], Array]:
    """Return {(quark current, type, chirality of the neutrinos): coupling}."""
    found: dict[tuple[str, str, str], Array] = {}
    for key, value in chiral.items():
        kind, quark_hand, hand = key[0], key[1], key[2]
        half = 0.5 * jnp.asarray(value)
        even, odd = {"V": ("V", "A"), "S": ("S", "P"), "T": ("T", "T5")}[kind]
        # sigma P_X times sigma P_X is half of sigma sigma +- (sigma g5) sigma: both chiralities
        # of the neutrinos are in there already.
        for quark, sign in ((even, 1.0), (odd, 1.0 if quark_hand == "R" else -1.0)):
            where = (quark, kind, hand)
            found[where] = found[where] + sign * half if where in found else sign * half
    return found
