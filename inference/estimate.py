"""Numbers with their errors: estimates from random draws, and fractions of toys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, ndtri

from bknn.answers.digits import has_error, with_error
from bknn.answers.packing import piece

#: Probability of one standard deviation, two-sided.
ONE_SIGMA = math.erf(math.sqrt(0.5))

#: Precision of fits in -2 log L.
EXACT = 1e-6


@piece
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
        told = f"{self.value:.3f}"
        if has_error(self.value, self.error):
            told = with_error(self.value, self.error)
        return f"{told} ({self.method})"


@piece
@dataclass(frozen=True)
class Fraction:
    """k of n toys, as an estimate of a probability.

    >>> p = Fraction(13, 10_000)
    >>> print(p)
    0.0013 +- 0.0004
    >>> print(Fraction(0, 10_000), Fraction(10_000, 10_000), sep="; ")
    0 of 10000, < 0.0003 at 95% CL; 10000 of 10000, > 0.99970 at 95% CL
    """

    k: int
    n: int

    @property
    def value(self) -> float:
        """k / n; NaN without toys."""
        return self.k / self.n if self.n else math.nan

    @property
    def error(self) -> float:
        """The binomial standard deviation; where it would vanish (k = 0 or n), the 68% limit."""
        if not self.n:
            return math.nan
        if self.k in (0, self.n):
            return 1 - (1 - ONE_SIGMA) ** (1 / self.n)
        return math.sqrt(self.value * (1 - self.value) / self.n)

    def interval(self, level: float = ONE_SIGMA) -> tuple[float, float]:
        """Return the central interval of Clopper and Pearson (Biometrika 26 (1934) 404)."""
        if not self.n:
            return 0.0, 1.0
        tail = (1 - level) / 2
        low = betaincinv(self.k, self.n - self.k + 1, tail) if self.k else 0.0
        high = betaincinv(self.k + 1, self.n - self.k, 1 - tail) if self.k < self.n else 1.0
        return float(low), float(high)

    def upper(self, level: float = 0.95) -> float:
        """Return the upper limit of the probability."""
        if self.k >= self.n:
            return 1.0
        return float(betaincinv(self.k + 1, self.n - self.k, level))

    def lower(self, level: float = 0.95) -> float:
        """Return the lower limit of the probability."""
        if not self.k:
            return 0.0
        return float(betaincinv(self.k, self.n - self.k + 1, 1 - level))

    @property
    def z(self) -> float:
        """Standard deviations of a normal distribution with this one-sided probability.

        With k = 0 it is a lower limit, at the 95% upper limit of p; with k = n an upper limit, at
        the 95% lower limit of p. NaN without toys.
        """
        if not self.n:
            return math.nan
        p = self.lower() if self.k == self.n else self.value if self.k else self.upper()
        return float(-ndtri(p))

    @property
    def z_text(self) -> str:
        """z with its error, or as the limit that it is.

        >>> Fraction(13, 10_000).z_text, Fraction(0, 100).z_text, Fraction(100, 100).z_text
        ('3.01 +- 0.08', '> 1.89', '< -1.89')
        """
        if math.isnan(self.z_error):
            return f"{'<' if self.k else '>'} {self.z:.2f}"
        return with_error(self.z, self.z_error)

    @property
    def z_error(self) -> float:
        """Error of z from the finite number of toys; NaN where z is a limit."""
        if not 0 < self.k < self.n:
            return math.nan
        density = math.exp(-0.5 * self.z**2) / math.sqrt(2 * math.pi)
        return self.error / density

    def __str__(self) -> str:
        if self.n and not self.k:
            return f"0 of {self.n}, < {self.upper():.2g} at 95% CL"
        if self.n and self.k == self.n:
            # As many digits as the distance to 1 has.
            digits = 1 - math.floor(math.log10(1 - self.lower()))
            return f"{self.n} of {self.n}, > {self.lower():.{digits}f} at 95% CL"
        return with_error(self.value, self.error)


def exceeding(statistics: np.ndarray, observed: float) -> Fraction:
    """Return the fraction of toys (n,) whose statistic is at least the observed one.

    Fits are exact to 1e-6: toys that equal the observation, as those with few counts do, count.
    """
    statistics = np.asarray(statistics)
    return Fraction(int(np.sum(statistics >= observed - EXACT)), len(statistics))
