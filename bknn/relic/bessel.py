"""Scaled modified Bessel functions K_1 and K_2 of large arguments, differentiable.

K_n(z) e^z sqrt(2 z/pi) is a smooth function of 1/z that is 1 at 1/z = 0. Between there and 1/z = 1
it is a polynomial to 12 digits, made from SciPy's by interpolation at the points of Chebyshev.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from jax import Array
from numpy.typing import NDArray

from bknn.kinematics import numpy_for

#: Degree of the polynomials for z >= 1: they are right to 5e-13.
_DEGREE = 20


@cache
def coefficients(order: int, least: float = 1.0, degree: int = _DEGREE) -> NDArray[np.float64]:
    """Return the coefficients, constant first, of K_n(z) e^z sqrt(2 z/pi) as a polynomial in 1/z.

    Args:
        order: n.
        least: the smallest z at which it is good.
        degree: of the polynomial.

    >>> round(float(coefficients(1)[1]), 3)  # 3/8, the first term of the expansion at infinity
    0.375
    """
    from scipy.special import kve

    def smooth(y: Any) -> Any:
        z = 2.0 * least / (1.0 + y)
        return kve(order, z) * np.sqrt(2.0 * z / np.pi)

    chebyshev: Any = np.polynomial.chebyshev.chebinterpolate(smooth, degree)
    of_y = np.polynomial.Polynomial(np.polynomial.chebyshev.cheb2poly(chebyshev))
    return np.asarray(of_y(np.polynomial.Polynomial([-1.0, 2.0 * least])).coef)


def reduced(order: int, inverse: Any) -> Array:
    """Return K_n(z) e^z sqrt(2 z/pi) at 1/z, any shape, 0 <= 1/z <= 1; 1 where z is infinite."""
    rising = coefficients(order)
    found = rising[-1] * numpy_for(inverse).ones_like(inverse)
    for c in rising[-2::-1]:
        found = found * inverse + c
    return found


def k1e(z: Any) -> Array:
    """Return K_1(z) e^z for z >= 1, any shape, traced or not. For z < 1 it is wrong.

    >>> round(float(k1e(1.0)), 5)
    1.63615
    """
    xp: Any = numpy_for(z)
    z = xp.asarray(z)
    return xp.sqrt(np.pi / (2.0 * z)) * reduced(1, 1.0 / z)


def k2e(z: Any) -> Array:
    """Return K_2(z) e^z for z >= 1, any shape, traced or not. For z < 1 it is wrong.

    >>> round(float(k2e(1.0)), 5)
    4.41677
    """
    xp: Any = numpy_for(z)
    z = xp.asarray(z)
    return xp.sqrt(np.pi / (2.0 * z)) * reduced(2, 1.0 / z)
