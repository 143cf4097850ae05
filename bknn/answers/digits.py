"""Numbers as people write them: as many digits as the uncertainty allows.

Uncertainties are rounded as in the Review of Particle Physics: of their three leading digits, 100
to 354 become two digits, 355 to 949 one, and 950 to 999 are 1000 with two. The value ends where its
uncertainty does.
"""

from __future__ import annotations

import math
from typing import Any


def short(value: float) -> str:
    """Return a number with three digits.

    >>> [short(x) for x in (4.3, 10.23, 0.0, 3.5e-06, 0.000303, -1.56)]
    ['4.30', '10.2', '0', '3.50e-06', '3.03e-04', '-1.56']
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if power_of_ten(value):
        return f"{value:.2e}"
    return f"{value:#.3g}".rstrip(".")


def with_error(value: Any, error: Any = None, unit: str = "") -> str:
    """Return a number (a float or what is like one) and its uncertainty.

    Without one it has four digits.

    >>> with_error(0.7931, 0.0405), with_error(2.1076, 0.101, "GeV")
    ('0.79 +- 0.04', '2.11 +- 0.10 GeV')
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
    if not has_error(value, error):
        return f"{value:.4g}{tail}"
    power = power_of_ten(max(abs(value), error))
    shown = " +- ".join(rounded([value, error], error, power))
    return f"({shown})e{power:+03d}{tail}" if power else f"{shown}{tail}"


def in_digits(value: float, error: float, largest: float = 0.0) -> tuple[str, str]:
    """Return a number and its uncertainty, for two columns; no uncertainty is an empty one.

    Args:
        value, error: the number and its uncertainty.
        largest: of the numbers beside it, which have the same power of ten.

    >>> in_digits(4.5991, 1.334), in_digits(8.5787e-06, 2.5622e-06), in_digits(2.1, 0.0)
    (('4.6', '1.3'), ('8.6e-06', '2.6e-06'), ('2.1', ''))
    """
    if not has_error(value, error):
        return f"{value:.6g}", ""
    power = power_of_ten(max(abs(value), error, largest))
    left, right = rounded([value, error], error, power)
    return (f"{left}e{power:+03d}", f"{right}e{power:+03d}") if power else (left, right)


def asymmetric(value: float, low: float, high: float, unit: str = "") -> str:
    """Return a number with the distances to the ends of its interval; the smaller one says how many
    digits there are.

    >>> asymmetric(2.113, 2.0212, 2.2202), asymmetric(9.2e-06, 5.8e-06, 11e-06)
    ('2.11 -0.09 +0.11', '(9.2 -3.4 +1.8)e-06')
    """
    below, above = value - low, high - value
    error = min((x for x in (below, above) if has_error(value, x)), default=0.0)
    tail = f" {unit}" if unit else ""
    if not error:
        return f"{value:.4g} -{below:.2g} +{above:.2g}{tail}"
    power = power_of_ten(max(abs(value), error))
    middle, left, right = rounded([value, below, above], error, power)
    text = f"{middle} -{left} +{right}"
    return (f"({text})e{power:+03d}" if power else text) + tail


def ends(low: float, high: float, error: float = math.nan) -> str:
    """Return the ends of an interval, in the digits of an uncertainty; by default of a sixth of it.

    >>> ends(4.37e-06, 1.2441e-05), ends(0.0, 0.0025), ends(-math.inf, 2.0), ends(1.0, 2.0, 0.02)
    ('0.44e-05 ... 1.24e-05', '0.0000 ... 0.0025', '-inf ... 2', '1.000 ... 2.000')
    """
    if not error > 0:
        error = (high - low) / 6
    largest = max((abs(x) for x in (low, high) if math.isfinite(x)), default=0.0)
    return " ... ".join(in_digits(x, error, largest)[0] for x in (low, high))


def span(low: float, high: float, unit: str = "") -> str:
    """Return an interval; an end that is infinite is open.

    >>> span(1.98, 2.2345678, "GeV"), span(0.0, math.inf)
    ('[1.98, 2.235] GeV', '[0, inf)')
    """
    left, right = "(" if math.isinf(low) else "[", ")" if math.isinf(high) else "]"
    return f"{left}{low:.4g}, {high:.4g}{right}" + (f" {unit}" if unit else "")


def has_error(value: float, error: float) -> bool:
    """Return whether an uncertainty is one: not of rounding size, as of a ratio that cancels."""
    return math.isfinite(value) and math.isfinite(error) and error > 1e-12 * abs(value)


def power_of_ten(value: float) -> int:
    """Return the power that a number is written with; 0 from 0.001 to 100000, and for 0."""
    power = math.floor(math.log10(abs(value))) if value else 0
    return 0 if -3 <= power < 5 else power


def rounded(values: list[float], error: float, power: int = 0) -> list[str]:
    """Return numbers in units of 10^power, rounded where an uncertainty is."""
    first = math.floor(math.log10(error))
    leading = round(error / 10.0 ** (first - 2))
    last = first - 1 if leading < 355 else first
    # Adding 0 takes the sign off what rounds to zero.
    return [
        f"{round(float(x), -last) / 10.0**power + 0.0:.{max(0, power - last)}f}" for x in values
    ]
