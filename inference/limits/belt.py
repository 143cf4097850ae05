"""A confidence belt: at values of a parameter, how likely data are that fit it less well.

What fits less well has a larger t = -2 ln L(value) / L(best fit). The distribution of t at a value
comes from toys thrown there, or from the sum over all that may come out. For counts the probability
of the observed t, or a larger one, jumps as a function of the value where two outcomes change
places. So nothing is interpolated: where a value that is accepted has a neighbour that is not, the
step between them is cut into parts, as long as that tells more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Data
from bknn.inference.limits.conditional_fits import EQUAL, Conditional, Ensemble, Fits, seed_of
from bknn.inference.limits.exact_sums import EveryOutcome

#: A value is accepted, or rejected, for certain if p is this many errors away from 1 - level.
SURE = 2.0

#: No values are added between two whose p differ by less than this many errors.
_DIFFERENT = 1.5

#: How often steps are cut at most.
_ROUNDS = 40

#: Steps wider than this part of the grid are searched for accepted values whose neighbours are not.
_ISLAND = 1e-3

#: Outcomes with less probability than this may have fits that fail.
_NEGLIGIBLE = 1e-6


class Belt(ABC):
    """The observation, tested at values of the parameter that become more.

    Args:
        fits: of the parameter, at one point of a grid.
        data: the observation.
        levels: confidence levels.
    """

    #: Into how many a step is cut.
    parts: int

    def __init__(self, fits: Conditional, data: Data, levels: Sequence[float]) -> None:
        self.fits, self.data, self.levels = fits, data, tuple(float(x) for x in levels)
        size = fits.analysis.size
        self.best = fits.free(np.zeros(1, int), data, np.zeros((1, 0, size)))
        if not self.best.ok[0]:
            raise errors.FitError(
                f"the best fit of {fits.analysis!r} did not converge; see inference.fit."
            )
        self.values = np.zeros(0)
        self.at = Fits(np.zeros((0, size)), np.zeros(0), np.zeros(0, bool))

    def add(self, values: np.ndarray) -> None:
        """Test further values."""
        fits, where = self.fits, np.zeros(len(values), int)
        warm = np.repeat(self.best.vector, len(values), axis=0)
        at = fits.at(where, values, self.data, warm)
        i = int(np.argmin(np.where(at.ok, at.twice_nll, np.inf)))
        if at.ok[i] and at.twice_nll[i] < self.best.twice_nll[0] - EQUAL:
            # The best fit was none: from the lowest point that was met, once more.
            self.best = fits.free(where[:1], self.data, at.vector[None, i : i + 1])
        self.compare(values, at.vector, at.ok)
        self.values = np.concatenate([self.values, values])
        self.at = Fits(*(np.concatenate(x) for x in zip(self.at, at, strict=True)))

    @abstractmethod
    def compare(self, values: np.ndarray, vectors: np.ndarray, ok: np.ndarray) -> None:
        """Find t of other data at values (n,), whose fits of the data are at vectors (n, size)."""

    @property
    def observed(self) -> np.ndarray:
        """t of the observation, NaN where its fit failed (n,)."""
        above = np.maximum(self.at.twice_nll - self.best.twice_nll[0], 0.0)
        return np.where(self.at.ok, above, np.nan)

    @abstractmethod
    def p(self) -> np.ndarray:
        """Probability of the observed t or a larger one (n,); NaN where there is no answer."""

    @abstractmethod
    def p_error(self) -> np.ndarray:
        """Its errors (n,)."""

    @abstractmethod
    def critical(self) -> np.ndarray:
        """The smallest t that data do not exceed with the probabilities of the levels (l, n)."""

    @abstractmethod
    def critical_error(self) -> np.ndarray:
        """Its errors (l, n)."""

    @abstractmethod
    def failed(self) -> np.ndarray:
        """How many of the data that are compared have fits that failed (n,)."""

    @abstractmethod
    def status(self, k: int) -> str:
        """Say in a sentence whether the k-th value has an answer."""

    def refine(self, resolution: float) -> None:
        """Cut steps in which a level is crossed into parts, down to a resolution."""
        inner = np.arange(1, self.parts) / self.parts
        for _ in range(_ROUNDS):
            order = np.argsort(self.values)
            x = self.values[order]
            doubtful = self.crossed(order) & (np.diff(x) > resolution)
            if not doubtful.any():
                return
            self.add((x[:-1, None] + np.diff(x)[:, None] * inner)[doubtful].ravel())

    @abstractmethod
    def crossed(self, order: np.ndarray) -> np.ndarray:
        """Return whether more values in a step may tell where a level is crossed (n - 1,), for
        values taken in order (n,)."""

    def changes(self, order: np.ndarray) -> np.ndarray:
        """Return whether one end of a step is accepted and the other is not (n - 1,)."""
        accepted = (self.observed <= self.critical() + EQUAL)[:, order]
        known = np.isfinite(self.p()[order])
        return np.asarray((np.diff(accepted, axis=1).any(axis=0)) & known[:-1] & known[1:])


class Thrown(Belt):
    """A belt by toys."""

    parts = 2

    def __init__(
        self, fits: Conditional, data: Data, levels: Sequence[float], toys: int, seed: int
    ) -> None:
        super().__init__(fits, data, levels)
        self.n, self.seed = toys, seed
        #: t of the toys of each value, in rising order.
        self.t: list[np.ndarray] = []

    def compare(self, values: np.ndarray, vectors: np.ndarray, ok: np.ndarray) -> None:
        tested, first = np.flatnonzero(ok).tolist(), len(self.values)
        ensembles = [
            Ensemble(
                0,
                vectors[k],
                self.n,
                seed_of(self.seed, first + k),
                values[k, None],
                vectors[k, None],
            )
            for k in tested
        ]
        found = dict(zip(tested, self.fits.toys(ensembles), strict=True))
        for k in range(len(values)):
            toys = found.get(k)
            self.t.append(np.zeros(0) if toys is None else np.sort(toys.above[0][toys.ok]))

    def p(self) -> np.ndarray:
        found = np.full(len(self.t), np.nan)
        for k, (t, observed) in enumerate(zip(self.t, self.observed, strict=True)):
            if len(t) > 1:
                found[k] = np.mean(t >= observed - EQUAL)
        return found

    def p_error(self) -> np.ndarray:
        """Binomial; where none or all toys exceed, as if half a toy did or did not."""
        p, m = self.p(), np.array([max(len(t), 1) for t in self.t])
        half = 0.5 / m
        return np.asarray(np.sqrt(np.maximum(p * (1 - p), half * (1 - half)) / m))

    def critical(self) -> np.ndarray:
        return self._ranked(0.0)

    def critical_error(self) -> np.ndarray:
        return 0.5 * (self._ranked(1.0) - self._ranked(-1.0))

    def _ranked(self, sigmas: float) -> np.ndarray:
        """Return t of the ranks of the levels, moved by a number of their errors (l, n)."""
        levels, found = np.array(self.levels), np.full((len(self.levels), len(self.t)), np.nan)
        for k, t in enumerate(self.t):
            if (m := len(t)) > 1:
                moved = levels * m + sigmas * np.sqrt(m * levels * (1 - levels))
                # 0.55 * 100 is a little more than 55.
                ranks = np.ceil(moved - 1e-9 * m).astype(int) - 1
                found[:, k] = t[np.clip(ranks, 0, m - 1)]
        return found

    def failed(self) -> np.ndarray:
        lost = np.array([self.n - len(t) for t in self.t], int)
        return np.where(self.at.ok, lost, 0)

    def status(self, k: int) -> str:
        m = len(self.t[k])
        if not self.at.ok[k]:
            return "failed: the fit of the data did not converge."
        if m < 2:
            return f"failed: the fits of all {self.n} toys did not converge."
        if m < self.n:
            return f"found; {self.n - m} of {self.n} toys have fits that did not converge"
        return "found"

    def crossed(self, order: np.ndarray) -> np.ndarray:
        p, error = self.p()[order], self.p_error()[order]
        # Accepted, not accepted, or not known within the errors.
        pulls = (p[None] - 1 + np.array(self.levels)[:, None]) / error[None]
        state = np.sign(pulls) * (np.abs(pulls) > SURE)
        different = np.diff(state, axis=1).any(axis=0) & np.isfinite(np.diff(p))
        apart = np.abs(np.diff(p)) > _DIFFERENT * np.hypot(error[:-1], error[1:])
        return np.asarray((self.changes(order) | different) & apart)


class Summed(Belt):
    """A belt by sums over everything that may come out."""

    # Few values cost as much as one.
    parts = 6

    def __init__(
        self, fits: Conditional, data: Data, levels: Sequence[float], outcomes: EveryOutcome
    ) -> None:
        super().__init__(fits, data, levels)
        self.outcomes, (n, k) = outcomes, outcomes.counts.shape
        start = np.broadcast_to(self.best.vector, (n, 1, fits.analysis.size))
        self.lowest = fits.free(np.zeros(n, int), outcomes.data, start)
        #: At each value -2 log L of all outcomes, their probabilities, and the means of the counts.
        self.twice_nll, self.weight, self.means = (
            np.zeros((0, n)),
            np.zeros((0, n)),
            np.zeros((0, k)),
        )

    def compare(self, values: np.ndarray, vectors: np.ndarray, ok: np.ndarray) -> None:
        m, n = len(values), len(self.outcomes.counts)
        found = self.fits.at(
            np.zeros(m * n, int),
            np.repeat(values, n),
            Data(*(np.tile(x, (m, 1)) for x in self.outcomes.data)),
            np.repeat(vectors, n, axis=0),
        )
        level = np.where(found.ok, found.twice_nll, np.nan).reshape(m, n)
        means = self.outcomes.means(vectors)
        self.twice_nll = np.concatenate([self.twice_nll, level])
        self.weight = np.concatenate([self.weight, self.outcomes.probabilities(means)])
        self.means = np.concatenate([self.means, means])

    @property
    def t(self) -> np.ndarray:
        """t of all outcomes at all values (n, outcomes); infinite, which makes intervals longer and
        not shorter, where a fit failed."""
        lowest = np.where(self.lowest.ok, self.lowest.twice_nll, np.nan)
        # A value that fits better than the best fit is the best fit.
        t = self.twice_nll - np.fmin(lowest, np.fmin.reduce(self.twice_nll, axis=0))
        return np.where(np.isnan(t), np.inf, t)

    @property
    def _left_out(self) -> np.ndarray:
        """Probability of what is too improbable to be in the sums; as bad as can be (n,)."""
        return np.maximum(1 - self.weight.sum(axis=1), 0.0)

    def p(self) -> np.ndarray:
        tail = self.t >= self.observed[:, None] - EQUAL
        p = np.sum(self.weight * tail, axis=1) + self._left_out
        return np.where(np.isfinite(self.observed), p, np.nan)

    def p_error(self) -> np.ndarray:
        return np.zeros(len(self.values))

    def critical(self) -> np.ndarray:
        order = np.argsort(self.t, axis=1)
        t = np.take_along_axis(self.t, order, axis=1)
        reached = np.cumsum(np.take_along_axis(self.weight, order, axis=1), axis=1)
        found = []
        for level in self.levels:
            there = reached >= level - 1e-12
            first = np.take_along_axis(t, np.argmax(there, axis=1)[:, None], axis=1)[:, 0]
            found.append(np.where(there[:, -1], first, np.inf))
        return np.array(found)

    def critical_error(self) -> np.ndarray:
        return np.zeros((len(self.levels), len(self.values)))

    def failed(self) -> np.ndarray:
        return np.zeros(len(self.values), int)

    def status(self, k: int) -> str:
        if not self.at.ok[k]:
            return "failed: the fit of the data did not converge."
        chance = float(self.weight[k][np.isinf(self.t[k])].sum())
        if chance > _NEGLIGIBLE:
            return f"failed: fits of outcomes with a probability of {chance:.2g} did not converge."
        return "found"

    def crossed(self, order: np.ndarray) -> np.ndarray:
        changed = self.changes(order)
        x, observed = self.values[order], self.observed[order]
        tail = self.t[order] >= observed[:, None] - EQUAL
        wide = np.diff(x) > _ISLAND * np.ptp(x)
        for j in np.flatnonzero(~changed & wide & np.isfinite(np.diff(observed))):
            least, most = self.outcomes.between(*self.means[order[j : j + 2]])
            # The probability of the tail anywhere in the step lies between these.
            low, high = least[tail[j] & tail[j + 1]].sum(), most[tail[j] | tail[j + 1]].sum()
            changed[j] = any(low <= 1 - level < high for level in self.levels)
        return changed
