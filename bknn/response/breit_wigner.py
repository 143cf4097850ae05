"""The Breit-Wigner line shape in q2 and its integrals over bins.

arXiv:2602.09666, eq. 3, normalised to 1 on q2 in [0, infinity), without phase space:

    f(q2) = k / ((q2 - m^2)^2 + m^2 Gamma^2),    k = m Gamma / (pi/2 + arctan(m / Gamma)).

With a = q2_low - m^2, b = q2_high - m^2 and w = m Gamma its integral over a bin is an angle,
arctan2(w (b - a), w^2 + a b), over pi/2 + arctan(m / Gamma). Written like this there is no
cancellation far from the peak and the limit of a narrow line needs no case: for Gamma = 0 the
angle is pi in the bin that holds m^2, 0 in the others, and pi/2 in each of two bins that share m^2
as an edge.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.response import bernstein

#: How near the peak may be for `bernstein_moments`, in half-widths of the bin from its centre,
#: real and imaginary part together.
NEAR = 4.0

_POWERS_TO_BERNSTEIN = bernstein.in_powers().T


def breit_wigner(q2: ArrayLike, mass: ArrayLike, width: ArrayLike) -> Array:
    """Return f(q2) in GeV^-2; q2 in GeV^2, mass and width (> 0) in GeV, shapes broadcast.

    >>> round(float(breit_wigner(4.41, mass=2.1, width=0.1)), 3)
    1.539
    """
    q2, mass, width = jnp.asarray(q2), jnp.asarray(mass), jnp.asarray(width)
    w = mass * width
    # One division per q2, the rest per line: this is called on all nodes of a response.
    return (w / _phase(mass, width)) * (1.0 / ((q2 - mass**2) ** 2 + w**2))


def bin_fractions(edges: Array, mass: ArrayLike, width: ArrayLike) -> Array:
    """Return the integral of f over each bin: edges (n + 1,) in GeV^2 -> (n,).

    >>> edges = jnp.linspace(0.0, 22.885, 101)
    >>> round(float(bin_fractions(edges, mass=2.1, width=0.0)[19]), 12)
    1.0
    """
    mass, width = jnp.asarray(mass), jnp.asarray(width)
    return _angles(edges - mass**2, mass * width) / _phase(mass, width)


def near_peak(lower: Array, upper: Array, mass: Array, width: Array) -> Array:
    """Return for which bins `bernstein_moments` is good, from their edges, as their shape.

    In the others f is so smooth that eight Gauss-Legendre nodes give its integrals to 1e-12.
    """
    half = 0.5 * (upper - lower)
    return (0.5 * (lower + upper) - mass**2) ** 2 + (mass * width) ** 2 < (NEAR * half) ** 2


def bernstein_moments(edges: Array, mass: Array, width: Array) -> Array:
    """Return the integrals of f times the quartic Bernstein polynomials of bins near the peak.

    Closed form: powers of q2 by a recurrence that starts from an angle and a logarithm. It loses
    precision like the fourth power of the distance to the peak in bins, and keeps 1e-12 where
    `near_peak` holds. Elsewhere what it returns is finite and of no use.

    Args:
        edges: shape (n + 1,), GeV^2, of neighbouring bins.
        mass: GeV, scalar.
        width: GeV, scalar; 0 is the narrow line.

    Returns:
        Shape (n, 5): summed over the last axis it is `bin_fractions`.
    """
    w = mass * width
    distance = edges - mass**2
    half = 0.5 * (edges[1:] - edges[:-1])
    # Bin-local: u in [-1, 1], the Lorentzian is g / ((u - z)^2 + g^2).
    z = -0.5 * (distance[1:] + distance[:-1]) / half
    g = w / half
    logarithm = _safe_log(distance**2 + w**2)
    zeroth = _angles(distance, w)
    powers = [zeroth, z * zeroth + 0.5 * g * (logarithm[1:] - logarithm[:-1])]
    # u^k = u^(k-2) [((u - z)^2 + g^2) + 2 z u - (z^2 + g^2)], integrated term by term.
    for k in range(2, bernstein.DEGREE + 1):
        flat = 2.0 / (k - 1) if k % 2 == 0 else 0.0
        powers.append(g * flat + 2.0 * z * powers[-1] - (z**2 + g**2) * powers[-2])
    return jnp.stack(powers, axis=-1) @ _POWERS_TO_BERNSTEIN / _phase(mass, width)


def _angles(distance: Array, w: Array) -> Array:
    """Return the integral of w / (x^2 + w^2) between neighbouring values of x, (n + 1,) -> (n,)."""
    low, high = distance[:-1], distance[1:]
    y, x = w * (high - low), w**2 + low * high
    # Both vanish only for a narrow line exactly on an edge: half of it belongs to each bin.
    on_edge = (y == 0.0) & (x == 0.0)
    return jnp.where(on_edge, 0.5 * jnp.pi, jnp.arctan2(y, jnp.where(on_edge, 1.0, x)))


def _phase(mass: Array, width: Array) -> Array:
    """Return pi/2 + arctan(mass / width), the normalisation."""
    undefined = (mass == 0.0) & (width == 0.0)
    angle = jnp.arctan2(mass, jnp.where(undefined, 1.0, width))
    return 0.5 * jnp.pi + angle


def _safe_log(x: Array) -> Array:
    """Return log(x), and 0 where x is 0 (where it is multiplied by 0 anyway)."""
    zero = x == 0.0
    return jnp.where(zero, 0.0, jnp.log(jnp.where(zero, 1.0, x)))
