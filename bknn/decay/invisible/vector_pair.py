"""A pair of massive vector particles, V and anti-V; or two real ones.

V is a complex Proca field, d_m V^m = 0, V_mn = d_m V_n - d_n V_m. Currents, with the states that
they make and their matrix elements (e1, e2: the conjugate polarisation vectors of V and anti-V,
q = p1 + p2; eps^0123 = -1; a d_n b stands for a (d_n b) - (d_n a) b in "A"):

    "S"  V+_m V^m                           0++        e1.e2
    "F"  V+_mn V^mn / 2                     0++        (p1.e2)(p2.e1) - (p1.p2)(e1.e2)
    "D"  V+_mn eps^mnrs V_rs / 4            0-+        eps(p1, e1, p2, e2), up to its sign
    "V"  i [V+_n d^m V^n - (d^m V+_n) V^n]  1--        (p1 - p2)^m e1.e2
    "M"  i d_n (V+^n V^m - V+^m V^n)        1--        (q.e2) e1^m - (q.e1) e2^m
    "E"  -i d_n (V+^n V^m + V+^m V^n)       1-+, 0++   (q.e1) e2^m + (q.e2) e1^m
    "A"  i eps^mnrs V+_r d_n V_s            1++, 0-+   eps^mnrs (p1 - p2)_n e1_r e2_s
    "B"  eps^mnrs d_n (V+_r V_s)            1+-        i eps^mnrs q_n e1_r e2_s
    "T"  i (V+^m V^n - V+^n V^m)            1--, 1+-   i (e1^m e2^n - e1^n e2^m)

E, A and B are i times a hermitian operator, the others are hermitian: so E interferes with S and F,
A with D, and B with T.B if the couplings are real. (A hermitian E is an imaginary coupling of this
one, and does not interfere with real S and F.) T.E is -i times the components 0i of T; T.B and B
are written here with the same factor -i, which no product of the two can see.

Some are related: M is the divergence d_n T^nm, so that it is -sqrt(q2) times T.E, and B is the
divergence of the dual of T, sqrt(q2) times T.B; they are keys of their own because they meet other
quark currents. The divergence of A is -2i D. There are no others with as few derivatives
(docs/decays.md, "No current is missing").

V, M, T, B are odd and E, A even under charge conjugation, and a real V has the even ones only.

With g = (E^2 + p^2) / mass^2 = q2 / (2 mass^2) - 1 the scalar product of two longitudinal
polarisation vectors, the amplitudes are, per sqrt(q2) for spin 1 and for the time component of E
(L longitudinal, T transverse, for a state of the right parity and charge conjugation):

    0++   TT: S sqrt2, F -sqrt2 (E^2 + p^2)        LL: S g, F -mass^2, E 2 p^2 / mass^2
    0-+   TT: D 2 sqrt2 E p, A -sqrt2 beta
    1--   TT: V sqrt2 beta                         LL: V g beta, M p sqrt(q2) / mass^2
          LT: M 2 p / mass                         T.E: -M / sqrt(q2)
    1-+   LT: E 2 p / mass
    1++   LT: A beta^2 sqrt(q2) / mass
    1+-   TT: T.B sqrt(2 / q2), B sqrt2            LT: T.B 1 / mass, B sqrt(q2) / mass

A longitudinal V couples like 1/mass, except through F, D and the time component of A: these have a
massless limit, the other densities grow like 1/mass^2 (T.B, B; E and A in spin 1) or 1/mass^4.
"""

from __future__ import annotations

from math import sqrt

import jax.numpy as jnp
from jax.typing import ArrayLike

from bknn.decay.densities import Densities
from bknn.decay.invisible.partial_waves import SMALLEST_MASS, pair, products, threshold

__all__ = ["SCALARS", "SELF_CONJUGATE", "TENSORS", "VECTORS", "densities", "threshold"]

#: Keys of the currents, by the quark currents that they can be multiplied with.
SCALARS, VECTORS, TENSORS = ("S", "F", "D"), ("V", "M", "E", "A", "B"), ("T",)
#: Those that are left if V is its own antiparticle: the ones even under charge conjugation.
SELF_CONJUGATE = ("S", "F", "D", "E", "A")


def densities(q2: ArrayLike, mass: ArrayLike, *, identical: bool = False) -> Densities:
    """Return the spectral densities at q2; 0 below the threshold.

    Args:
        q2: GeV^2, any shape.
        mass: GeV. (Less than SMALLEST_MASS counts as SMALLEST_MASS.)
        identical: a real V, with V+ = V in the operators above (no 1/2): S, F, D, E, A and their
            interference are twice as large, and V, M, B, T vanish.

    At threshold V and anti-V are at rest, and F is -mass^2 times S:

    >>> spin0 = densities(4.0, 0.99999999).spin0
    >>> round(float(spin0["S", "F"] / spin0["S", "S"]), 6)
    -1.0
    """
    mass = jnp.maximum(jnp.asarray(mass, float), SMALLEST_MASS)
    at = pair(q2, mass)
    mass, root, energy, p = at.mass, at.root, at.energy, at.momentum
    beta = 2.0 * p / root
    product = energy**2 + p**2  # p1.p2
    longitudinal = product / mass**2
    even: dict[str, tuple[ArrayLike, ...]] = {  # 0++: TT, LL
        "S": (sqrt(2.0), longitudinal),
        "F": (-sqrt(2.0) * product, -(mass**2)),
        "E": (0.0, 2.0 * (p / mass) ** 2),
    }
    odd = {"D": (2.0 * sqrt(2.0) * energy * p,), "A": (-sqrt(2.0) * beta,)}  # 0-+: TT
    exotic = {"E": (2.0 * p / mass,)}  # 1-+: LT
    axial = {"A": (beta**2 * root / mass,)}  # 1++: LT
    weight = 2.0 * at.phase_space if identical else at.phase_space
    spin0 = products(even, weight) | products(odd, weight)
    spin1 = products(exotic, weight / 3.0) | products(axial, weight / 3.0)
    if not identical:
        electric = (0.0, p / mass**2, 2.0 * p / (mass * root))
        vector = {  # 1--: TT, LL, LT
            "V": (sqrt(2.0) * beta, longitudinal * beta, 0.0),
            "M": tuple(root * a for a in electric),
            "T.E": tuple(-a for a in electric),
        }
        curl = (sqrt(2.0), root / mass)
        magnetic = {"T.B": tuple(b / root for b in curl), "B": curl}  # 1+-: TT, LT
        spin1 |= products(vector, weight / 3.0) | products(magnetic, weight / 3.0)
    return Densities(spin0, spin1)
