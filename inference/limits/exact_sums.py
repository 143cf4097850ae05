"""All that may come out of a few counts, with its probability: exact sums in place of toys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, pdtr, pdtrik, xlogy

from bknn.analysis.analysis import Analysis, Data
from bknn.inference.datasets import expected_rates

#: Counts on either side with less probability than this are left out.
_BEYOND = 1e-9


class EveryOutcome(NamedTuple):
    """All data sets that have a chance at some points of the parameters.

    Attributes:
        analysis: what is measured.
        data: the data sets, Data of (n, .) each.
        counts: the same as one array, main counts and those of floating constraints (n, k).
        constrained: which constraints by counts these are (indices into `analysis.poisson`).
    """

    analysis: Analysis
    data: Data
    counts: np.ndarray
    constrained: np.ndarray

    def means(self, vectors: np.ndarray) -> np.ndarray:
        """Return the means of the counts (m, k) at points of the parameters (m, size)."""
        return _means(self.analysis, vectors, self.constrained)

    def probabilities(self, means: np.ndarray) -> np.ndarray:
        """Return the probabilities (m, n) of all data sets, for means (m, k)."""
        return np.exp(self._of_each(np.asarray(means)[:, None, :]).sum(axis=-1))

    def between(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest probability of every data set (n,) each, for means
        that go from `first` (k,) to `last` without turning."""
        ends = np.stack([first, last])
        low, high = ends.min(axis=0), ends.max(axis=0)
        least = self._of_each(ends[:, None, :]).min(axis=0)
        most = self._of_each(np.clip(self.counts, low, high))
        return np.exp(least.sum(axis=-1)), np.exp(most.sum(axis=-1))

    def _of_each(self, means: np.ndarray) -> np.ndarray:
        """Return the log of the probability of each count, for means (..., n or 1, k)."""
        return np.asarray(xlogy(self.counts, means) - means - gammaln(self.counts + 1))


def every_outcome(
    analysis: Analysis, vectors: np.ndarray, floating: np.ndarray, observed: Data, most: int
) -> EveryOutcome | None:
    """Return all that may come out, or None if it cannot be counted through.

    It can where nothing but counts is measured: of the constraints those whose parameters float
    must be counts, too (a normal one takes any value); what others came out as does not matter.

    Args:
        analysis: what is measured.
        vectors: points of the parameters (m, size).
        floating: whether each parameter floats in some fit (size,).
        observed: one data set, of which everything else is taken.
        most: data sets, at most.
    """
    distribution = analysis.data_distribution
    only_counts = distribution.n_counts == distribution.size
    if not only_counts or floating[analysis.normal[0]].any():
        return None
    constrained = np.flatnonzero(floating[analysis.poisson[0]])
    means = _means(analysis, vectors, constrained)
    if not np.isfinite(means).all():
        return None
    low = _quantile(_BEYOND, means.min(axis=0))
    high = _quantile(1 - _BEYOND, means.max(axis=0))
    if np.sum(np.log(high - low + 1.0)) > np.log(most):
        return None
    axes = [np.arange(a, b + 1.0) for a, b in zip(low, high, strict=True)]
    counts = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=-1)
    n, bins = len(counts), analysis.n_bins
    others = np.tile(np.asarray(observed.poisson, float), (n, 1))
    others[:, constrained] = counts[:, bins:]
    data = Data(counts[:, :bins], np.tile(np.asarray(observed.normal, float), (n, 1)), others)
    return EveryOutcome(analysis, data, counts, constrained)


def _quantile(p: float, means: np.ndarray) -> np.ndarray:
    """Return the smallest counts (k,) that are not exceeded with a probability of at least p."""
    counts = np.ceil(pdtrik(p, means))
    less = np.maximum(counts - 1, 0)  # rounding may have made it one too many
    return np.where(pdtr(less, means) >= p, less, counts).astype(int)


def _means(analysis: Analysis, vectors: np.ndarray, constrained: np.ndarray) -> np.ndarray:
    index, _, factor = analysis.poisson
    rates = np.maximum(expected_rates(analysis, vectors), 0.0)
    return np.concatenate([rates, (vectors[:, index] * factor)[:, constrained]], axis=1)
