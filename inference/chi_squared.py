"""Quantiles and tails of chi2, the distribution of -2 log likelihood ratios (Wilks).

As in `scipy.stats`, which alone takes as long to import as everything else that a fit needs.
"""

from __future__ import annotations

from scipy.special import chdtrc, gammaincinv


def quantile(p: float, dof: int) -> float:
    """Return the value below which chi2 with `dof` degrees of freedom is with probability p.

    >>> round(quantile(0.95, 1), 4), round(quantile(0.6827, 2), 4)
    (3.8415, 2.2958)
    """
    return float(2 * gammaincinv(dof / 2, p))


def tail(x: float, dof: int) -> float:
    """Return the probability that chi2 with `dof` degrees of freedom is at least x.

    >>> round(tail(3.8415, 1), 4), tail(1000.0, 1) > 0
    (0.05, True)
    """
    return float(chdtrc(dof, max(x, 0.0)))
