"""Numbers as people write them: as many digits as the uncertainty allows."""

from __future__ import annotations

import math
from typing import Any


def with_error(value: Any, error: Any = None, unit: str = "") -> str:
    """Return a number (a float or what is like one) with two digits of its uncertainty.

    Without one it has four digits.

    >>> with_error(2.1076, 0.0547, "GeV")
    '2.108 +- 0.055 GeV'
    >>> with_error(8.5787e-06, 2.5622e-06)
    '(8.6 +- 2.6)e-06'
    >>> with_error(12345.6, 321.0)
    '12350 +- 320'
    >>> with_error(0.0, unit="GeV"), with_error(4.0921e-06, 0.0)
    ('0 GeV', '4.092e-06')
    >>> with_error(0.7, math.inf)
    '0.7 (undetermined)'
    """
    value = float(value)
    error = math.nan if error is None else float(error)
    tail = f" {unit}" if unit else ""
    if math.isinf(error):
        return f"{value:.4g}{tail} (undetermined)"
    # An uncertainty of rounding size is none.
    if not (math.isfinite(value) and error > 1e-12 * abs(value)):
        return f"{value:.4g}{tail}"
    error = float(f"{error:.1e}")  # 0.0996 has the digits of 0.10
    last = math.floor(math.log10(error)) - 1
    size = math.floor(math.log10(max(abs(value), error)))
    if -3 <= size <= 5:
        shown = [f"{round(x, -last):.{max(0, -last)}f}" for x in (value, error)]
        return f"{shown[0]} +- {shown[1]}{tail}"
    digits = max(0, size - last)
    shown = [f"{x / 10.0**size:.{digits}f}" for x in (value, error)]
    return f"({shown[0]} +- {shown[1]})e{size:+03d}{tail}"


def span(low: float, high: float, unit: str = "") -> str:
    """Return an interval; an end that is infinite is open.

    >>> span(1.98, 2.2345678, "GeV"), span(0.0, math.inf)
    ('[1.98, 2.235] GeV', '[0, inf)')
    """
    left, right = "(" if math.isinf(low) else "[", ")" if math.isinf(high) else "]"
    return f"{left}{low:.4g}, {high:.4g}{right}" + (f" {unit}" if unit else "")
