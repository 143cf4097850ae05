"""One Poisson count, mu * s + b, worked out by sums over counts: no likelihood fits, no toys.

The construction of Feldman and Cousins (physics/9711021) with its exact ends, and CLs. For a count
n the best rate is m_n = max(n, b), so the logarithm of the likelihood ratio at the rate r is

    log R(n; r) = n log r - r - g(n),   g(n) = n log m_n - m_n,

and two counts change places in the order of R where log r = (g(n) - g(k)) / (n - k). Between these
rates the sums of probabilities are smooth.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, xlogy
from scipy.stats import poisson

#: Counts that may come out; far more than any rate here needs.
COUNTS = np.arange(90)

#: Likelihood ratios that differ by less are equal (at the background all counts below it are).
_TIE = 1e-12


def _g(n: np.ndarray, b: float) -> np.ndarray:
    best = np.maximum(n, b)
    return np.asarray(xlogy(n, best) - best)


def _pmf(n: np.ndarray, rate: np.ndarray | float) -> np.ndarray:
    return np.asarray(np.exp(xlogy(n, rate) - rate - gammaln(n + 1.0)))


def p_value(n: int, mu: float, b: float) -> float:
    """Probability of counts whose likelihood ratio is not greater than that of n."""
    log_ratio = COUNTS * np.log(mu + b) - (mu + b) - _g(COUNTS, b)
    tail = log_ratio <= log_ratio[n] + _TIE
    return float(_pmf(COUNTS[tail], mu + b).sum())


def regions(n: int, b: float, cl: float, highest: float = 30.0) -> list[tuple[float, float]]:
    """All accepted values of mu in [0, highest], as disjoint intervals: p > 1 - cl."""
    others = np.delete(COUNTS, n)
    rates = np.exp((_g(others, b) - _g(COUNTS[n], b)) / (others - n))
    inside = rates[(rates > b + 1e-9) & (rates < b + highest)] - b
    breaks = np.unique(np.concatenate([[0.0, highest], inside]))
    found: list[tuple[float, float]] = []
    for low, high in pairwise(breaks):
        if high - low < 1e-10:
            continue
        # Between the breaks the same counts are less likely.
        log_ratio = COUNTS * np.log(0.5 * (low + high) + b) - _g(COUNTS, b)
        tail = COUNTS[log_ratio <= log_ratio[n] + _TIE]

        def above(mu: float, tail: np.ndarray = tail) -> float:
            return float(_pmf(tail, mu + b).sum()) - (1 - cl)

        x = np.linspace(low, high, 21)
        y = _pmf(tail, (x + b)[:, None]).sum(axis=1) - (1 - cl)
        cuts = [
            float(brentq(above, x[i], x[i + 1], xtol=1e-13))
            for i in np.flatnonzero((y[:-1] > 0) != (y[1:] > 0))
        ]
        edges = [low, *cuts, high]
        for first, last in pairwise(edges):
            if above(0.5 * (first + last)) > 0:
                if found and first - found[-1][1] < 1e-9:
                    found[-1] = (found[-1][0], last)
                else:
                    found.append((float(first), float(last)))
    return found


def interval(n: int, b: float, cl: float) -> tuple[float, float]:
    """From the lowest to the highest accepted value of mu."""
    parts = regions(n, b, cl)
    return parts[0][0], parts[-1][1]


def cls_limit(n: int, b: float, cl: float = 0.95) -> float:
    """Upper limit of mu by CLs: fewer counts are less like signal, whatever mu."""

    def above(mu: float) -> float:
        return float(poisson.cdf(n, mu + b) / poisson.cdf(n, b)) - (1 - cl)

    return float(brentq(above, 0.0, 100.0, xtol=1e-12))


def coverage(mu: float, b: float, intervals: dict[int, list[tuple[float, float]]]) -> float:
    """Probability that the regions {count: intervals} hold mu; counts that are missing do not."""
    held = [n for n, parts in intervals.items() if any(a <= mu <= c for a, c in parts)]
    return float(_pmf(np.array(held), mu + b).sum())
