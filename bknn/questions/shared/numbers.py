"""Numbers as text, and as JSON has them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def nested(values: Any) -> Any:
    """Return an array as nested lists, with null for what is not finite.

    >>> nested([[1.0, float("nan")], [2.0, 3.0]])
    [[1.0, None], [2.0, 3.0]]
    """
    array = np.asarray(values, float)
    return number(float(array)) if array.ndim == 0 else [nested(row) for row in array]


def short(value: float) -> str:
    """Return a number with three digits.

    >>> [short(x) for x in (4.3, 10.23, 0.0, 3.5e-06, 0.000303, -1.56)]
    ['4.30', '10.2', '0', '3.50e-06', '3.03e-04', '-1.56']
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}"
    return f"{value:#.3g}".rstrip(".")


def in_digits(value: float, error: float) -> tuple[str, str]:
    """Return value and uncertainty as text, with three digits of the uncertainty.

    >>> in_digits(4.5991, 1.334)
    ('4.60', '1.33')
    >>> in_digits(8.5787e-06, 2.5622e-06)
    ('8.58e-06', '2.56e-06')
    >>> in_digits(2.1, 0.0)
    ('2.1', '')
    """
    # An uncertainty of rounding size (of a ratio that cancels) is none.
    if not (math.isfinite(error) and error > 1e-12 * abs(value)):
        return f"{value:.6g}", ""
    last = math.floor(math.log10(error)) - 2
    size = math.floor(math.log10(max(abs(value), error)))
    if -3 <= size <= 5:
        digits = max(0, -last)
        return f"{value:.{digits}f}", f"{error:.{digits}f}"
    digits = max(0, size - last)
    scale = 10.0**size
    return f"{value / scale:.{digits}f}e{size:+03d}", f"{error / scale:.{digits}f}e{size:+03d}"
