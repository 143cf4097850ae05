"""The probability that a vector made in a decay of a B stays invisible in a detector."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import inputs, kinematics
from bknn.vectors.widths import Widths

#: Boost beta gamma of the Upsilon(4S) in the laboratory, of SuperKEKB's 7 and 4 GeV beams.
BOOST = 0.28

#: hbar c in GeV m (exact in the SI of 2019).
HBAR_C = 1.973269804e-16

#: Gauss-Legendre rule for the direction, in u of cos(theta) = 2 u^2 - 1: where boost and momentum
#: cancel, at cos(theta) = -1, the momentum in the laboratory is linear in u.
_U, _W = np.polynomial.legendre.leggauss(24)
_COSINES, _WEIGHTS = 2.0 * ((1.0 + _U) / 2.0) ** 2 - 1.0, (1.0 + _U) / 2.0 * _W


def b_momentum(mass: ArrayLike, parent: str = "B+", daughter: str = "K+") -> Array:
    """Return the momentum in GeV of a vector of `mass` in the rest frame of the B it is made in.

    >>> round(float(b_momentum(2.1)), 3)
    2.19
    """
    m, k = (inputs.STANDARD.masses[name] for name in (parent, daughter))
    return jnp.asarray(kinematics.momentum(m, k, jnp.asarray(mass) ** 2))


def escape_probability(
    width: ArrayLike,
    mass: ArrayLike,
    momentum: ArrayLike,
    length: ArrayLike,
    boost: ArrayLike = BOOST,
) -> Array:
    """Return the probability that a vector flies farther than a length before it decays.

    It is isotropic in the rest frame of the B, and the B flies as the Upsilon(4S) does: its own
    momentum there, 0.33 GeV (beta = 0.06), is neglected. The detector is a sphere about the
    interaction point. Averaged over the direction by a rule of 24 points.

    Args:
        width, mass: of the vector, in GeV.
        momentum: of the vector in the rest frame of the B, in GeV (`b_momentum`).
        length: radius of the detector in m.
        boost: beta gamma of the B.

    >>> float(escape_probability(0.0, 2.1, 2.19, 3.0))
    1.0
    """
    numbers = jnp.broadcast_arrays(width, mass, momentum, length, boost)
    rate, m, p, far, b = (x[..., None] for x in numbers)  # the last axis is the direction
    cosine = jnp.asarray(_COSINES).reshape((1,) * (m.ndim - 1) + (-1,))
    along = jnp.sqrt(1.0 + b**2) * p * cosine + b * jnp.sqrt(m**2 + p**2)
    flight = jnp.sqrt(along**2 + p**2 * (1.0 - cosine**2))  # m beta gamma
    weights = jnp.asarray(_WEIGHTS).reshape(cosine.shape)
    return jnp.sum(weights * jnp.exp(-far * rate * m / HBAR_C / flight), axis=-1)


def invisible_probability(
    widths: Widths,
    mass: ArrayLike,
    length: ArrayLike,
    *,
    momentum: ArrayLike | None = None,
    boost: ArrayLike = BOOST,
) -> Array:
    """Return P_out + (1 - P_out) B(invisible): the vector decays outside, or into what is unseen.

    Args:
        widths: partial widths at that mass.
        mass: GeV.
        length: radius of the detector in m.
        momentum: in the rest frame of the B, in GeV; by default that of B+ -> K+ and the vector.
        boost: beta gamma of the B.

    >>> from bknn.vectors.couplings import z_like
    >>> from bknn.vectors.widths import widths
    >>> round(float(invisible_probability(widths(z_like(1e-6), 2.1), 2.1, 3.0)), 2)
    0.27
    """
    p = b_momentum(mass) if momentum is None else momentum
    out = escape_probability(widths.total, mass, p, length, boost)
    return out + (1.0 - out) * widths.fraction(widths.invisible)
