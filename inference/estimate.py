"""A number with its error, and how it was found."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A number that was computed by random draws.

    Attributes:
        value, error: the number and its standard deviation.
        method: how it was computed.

    >>> print(Estimate(-128.229, 0.029, "tempering"))
    -128.229 +- 0.029 (tempering)
    """

    value: float
    error: float
    method: str

    def __str__(self) -> str:
        return f"{self.value:.3f} +- {self.error:.3f} ({self.method})"
