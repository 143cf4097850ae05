"""The best fit as a sum of squares, for data so many that Newton steps of `fit` lose their way.

-2 log L above that of perfect agreement is a sum of squares: of the signed square roots of the
deviances of counts and Poisson-constrained nuisances, and of pulls. With tens of thousands of
counts in a bin and backgrounds known to 50% the minimum lies in a valley a thousand times as long
as wide, and bent. The trust-region method of SciPy with the Jacobian at every step follows it; it
takes a hundred times as long as `fit` and does one fit at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.special import xlogy

from bknn.analysis.analysis import Analysis, Data
from bknn.inference.slopes import rates_and_slopes


class Least(NamedTuple):
    """A minimum: the vector (size,), -2 log L above that of perfect agreement, and whether SciPy
    calls it one."""

    vector: np.ndarray
    deviance: float
    converged: bool


def minimise(
    analysis: Analysis,
    data: Data,
    start: np.ndarray,
    moving: np.ndarray,
    *,
    tolerance: float = 1e-10,
    max_steps: int = 300,
) -> Least:
    """Minimise -2 log L within the bounds.

    Args:
        analysis: what is fitted.
        data: one data set.
        start: where to begin (size,).
        moving: which entries may move (size,) of bool.
        tolerance: relative change of the deviance, and of the parameters, at which to stop.
        max_steps: evaluations, at most.
    """
    at, _, sigma = analysis.normal
    poisson_at, _, factor = analysis.poisson
    distribution = analysis.data_distribution
    counts, n = np.asarray(data.counts, float), distribution.n_counts
    free = np.flatnonzero(moving)
    vector = np.array(start, float)
    seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def both(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = x.tobytes()
        if key not in seen:
            seen.clear()
            vector[free] = x
            rates, slopes = rates_and_slopes(analysis, vector)
            by_count, d_count = _roots(counts[:n], rates[:n])
            widths = np.where(rates[n:] < counts[n:], distribution.below, distribution.above)
            others = (rates[n:] - counts[n:]) / widths
            by_rate = np.concatenate([d_count, 1 / widths])
            auxiliary, d_auxiliary = _roots(
                np.asarray(data.poisson, float), vector[poisson_at] * factor
            )
            pulls = (vector[at] - np.asarray(data.normal)) / sigma
            ties = np.zeros((len(at), len(vector)))
            ties[np.arange(len(at)), at] = 1 / sigma
            more = np.zeros((len(poisson_at), len(vector)))
            more[np.arange(len(poisson_at)), poisson_at] = d_auxiliary * factor
            seen[key] = (
                np.concatenate([by_count, others, pulls, auxiliary]),
                np.concatenate([by_rate[:, None] * slopes, ties, more])[:, free],
            )
        return seen[key]

    lower, upper = analysis.bounds[free].T
    begin = np.clip(vector[free], lower, upper)
    found = least_squares(
        lambda x: both(x)[0],
        begin,
        jac=lambda x: both(x)[1],
        bounds=(lower, upper),
        x_scale="jac",
        ftol=tolerance,
        xtol=tolerance,
        gtol=None,
        max_nfev=max_steps,
    )
    vector[free] = found.x
    return Least(vector, float(2 * found.cost), bool(found.success))


def _roots(counts: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return signed roots of deviances, and their derivatives with respect to the
    rate; smooth at rate = count.

    >>> root, slope = _roots(np.array([9.0, 9.0]), np.array([9.0, 16.0]))
    >>> root.round(3).tolist(), slope.round(3).tolist()
    ([0.0, 1.909], [0.333, 0.229])
    """
    rates, some = np.maximum(rates, 1e-10), np.where(counts > 0, counts, 1e-10)
    away = rates - counts
    deviance = 2 * (away - xlogy(counts, rates / some))
    root = np.sign(away) * np.sqrt(np.maximum(deviance, 0.0))
    # Where the difference of logarithms is rounding, two terms of (r - n)/sqrt(n) (1 - ...).
    near = np.abs(away) < 1e-4 * some
    series = away / np.sqrt(some) * (1 - away / (3 * some))
    root = np.where(near, series, root)
    slope = away / rates / np.where(root == 0, 1.0, root)
    return root, np.where(near, (1 - 2 * away / (3 * some)) / np.sqrt(some), slope)
