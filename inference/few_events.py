"""How many expected events carry the sensitivity to a parameter: too few for asymptotic formulas?

What data say of a parameter is, to first order, a weighted sum of counts n_i,

    S = sum_i c_i n_i,   c_i = a_i / m_i,

with the means m_i and their derivatives a_i by the parameter, less what constraints and other bins
let nuisances take over (the efficient score). Asymptotic formulas take S as normal. How far it is
from that its skewness says; a single count of mean N has the skewness 1/sqrt(N), so that

    N = (variance of S)^3 / (sum_i |c_i|^3 m_i)^2

is the number of events of a single count that is as skewed. k equal bins of mean m have N = k m;
bins in which the parameter is not seen do not matter; normal constraints only make N larger. It is
never smaller than the smallest of the means.
"""

from __future__ import annotations

import numpy as np

from bknn.analysis.analysis import Analysis, Data
from bknn.inference.slopes import rates_and_slopes

#: With fewer events asymptotic formulas are not to be trusted.
FEW = 5.0

#: What is said then.
TOO_FEW = "too few for asymptotic formulas"

#: Counts that are this large do not come from means below `FEW`.
_MANY = 20.0

#: Means are not taken to be smaller than this.
_LEAST = 1e-9


def events(
    analysis: Analysis,
    data: Data,
    floating: np.ndarray,
    index: int,
    here: np.ndarray,
    there: np.ndarray,
) -> tuple[float, float]:
    """Return N (see above) at two points; infinite where it is certainly not few.

    Bins are weighted as it takes to tell the two points apart: by the larger one of their means.

    Args:
        analysis: what is measured.
        data: what came out; where all counts are large nothing is computed.
        floating: which entries float in the fits (size,).
        index: of the parameter.
        here, there: two points, as without a signal and at its limit (size,); the slopes are those
            at the second one.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import models
    >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    >>> here = analysis.init_vector
    >>> found = events(analysis, analysis.data, ~analysis.fixed, 0, here, 2 * here)
    >>> min(found) > 5
    True
    """
    n = analysis.data_distribution.n_counts
    if not n or np.min(np.asarray(data.counts)[:n]) >= _MANY:
        return np.inf, np.inf
    both = np.stack([here, there])
    (first, _), (last, slopes) = (rates_and_slopes(analysis, v) for v in both)
    means = np.stack([first, last])
    if means[:, :n].min() >= FEW:
        return np.inf, np.inf
    entries = np.concatenate([[index], np.setdiff1d(np.flatnonzero(floating), [index])])
    by_counts = slopes[:, entries]
    of_normal, _, sigma = analysis.normal
    of_poisson, _, factor = analysis.poisson
    unit = np.eye(analysis.size)[:, entries]
    normal = np.zeros(analysis.n_bins + len(of_normal) + len(of_poisson), bool)
    normal[n : analysis.n_bins + len(of_normal)] = True
    slope = np.concatenate([by_counts, unit[of_normal], unit[of_poisson] * factor[:, None]])
    variance = np.concatenate(
        [
            np.stack([analysis.data_distribution.spread(m) for m in means]),
            np.tile(sigma**2, (2, 1)),
            both[:, of_poisson] * factor,
        ],
        axis=1,
    )
    variance = np.maximum(variance, _LEAST)
    larger = variance.max(axis=0)
    scaled = slope / np.sqrt(larger)[:, None]
    size = np.linalg.norm(scaled, axis=0)
    scaled, slope = (x / np.where(size > 0, size, 1.0) for x in (scaled, slope))
    # What is in no bin and has no constraint takes nothing.
    matrix = scaled[:, 1:].T @ scaled[:, 1:] + 1e-10 * np.eye(len(entries) - 1)
    taken = np.linalg.solve(matrix, scaled[:, 1:].T @ scaled[:, 0])
    weight = (slope[:, 0] - slope[:, 1:] @ taken) / larger
    spread = variance @ weight**2
    skewed = np.where(normal, 0.0, variance) @ np.abs(weight) ** 3
    if not (skewed > 0).all():
        return np.inf, np.inf
    before, after = (spread**3 / skewed**2).tolist()
    return before, after


def remark(found: float) -> str:
    """Return the remark about a number of events: a clause, empty if they are not few."""
    if not found < FEW:
        return ""
    size = f"about {found:.2g}" if found > 0.1 else "fewer than 0.1"
    verb = "event carries" if f"{found:.2g}" == "1" else "events carry"
    return f"{size} expected {verb} the sensitivity, {TOO_FEW}: throw toys"
