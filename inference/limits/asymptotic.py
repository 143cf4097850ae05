"""Asymptotic limits: arXiv:1007.1727, all points of a grid and all six curves at once.

Asymptotically the distributions of q~ (`limit`) are known from the Asimov data set
of the background, with the nuisances that fit the data best there. With s = sqrt(q~_A) and
t = sqrt(q~) - s, or (q~ - q~_A) / (2 s) where q~ > q~_A,

    p(s+b) = Phi(-t - s),   p(b) = Phi(-t),   CLs = p(s+b) / p(b).

Background-only data that fluctuate by N standard deviations have t = -N, so the expected limits are
where s = N + Phi^-1(1 - alpha Phi(N)). pyhf 0.7.6 computes the same numbers.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

from bknn.analysis.analysis import Data
from bknn.inference.datasets import asimov, rows_of, stacked, taken
from bknn.inference.limits.conditional_fits import Conditional
from bknn.inference.limits.roots import BEYOND, LOST, crossings

#: Fluctuations of the background, in standard deviations, for which limits are expected.
BAND = (-2, -1, 0, 1, 2)

#: Beside the outcomes of `crossings`: the data exclude every value above the background.
EVERYTHING = 4


class Asymptotic:
    """The asymptotic limits: one observed and five expected curves at each of n points."""

    def __init__(self, fits: Conditional, data: Data, alpha: float, statistic: str) -> None:
        self.fits, self.data, self.alpha, self.statistic = fits, data, alpha, statistic
        n = fits.n
        self.points = np.arange(n)
        mu0 = fits.lowest
        #: At the background, on the data; it is also the truth of the Asimov data.
        self.null = fits.first(self.points, mu0, data)
        self.asimov = asimov(fits.analysis, self.null.vector)
        on_asimov = fits.at(self.points, mu0, self.asimov, self.null.vector)
        self.asimov_best = on_asimov.twice_nll
        self.null_ok = self.null.ok & on_asimov.ok
        step = fits.distance(self.null.vector, 1.0)
        beside = self.null.vector.copy()
        beside[:, fits.index] = np.minimum(mu0 + step, fits.bound_high)
        self.best = fits.free(self.points, data, np.stack([beside, self.null.vector], axis=1))
        # The background is one of the values that make sense.
        better = self.null.ok & (self.null.twice_nll < self.best.twice_nll)
        for old, new in zip(self.best, self.null, strict=True):
            old[better] = new[better]

    @property
    def both_ok(self) -> np.ndarray:
        """Whether the fits converged that everything else begins with (n,)."""
        return self.null_ok & self.best.ok

    def target(self) -> np.ndarray:
        """Values of s at the expected limits (5,)."""
        band = np.array(BAND, float)
        if self.statistic == "clsb":
            return band - ndtri(self.alpha)
        return band - ndtri(self.alpha * ndtr(band))

    def measure(self, log_p: np.ndarray) -> np.ndarray:
        """Return log CLs or log CLs+b as something that grows about linearly, with its root."""
        if self.statistic == "clsb":
            return ndtri(self.alpha) - ndtri_exp(log_p)
        # Half of it: 0 where nothing is excluded, as at the background.
        return ndtri(self.alpha / 2) - ndtri_exp(log_p - np.log(2.0))

    def log_p(self, q: np.ndarray, q_asimov: np.ndarray) -> np.ndarray:
        """Return log CLs or log CLs+b, asymptotically."""
        s, root = np.sqrt(q_asimov), np.sqrt(q)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(root <= s, root - s, (q - q_asimov) / (2 * s))
        # Without sensitivity nothing is excluded.
        t = np.where(s > 0, t, 0.0)
        result = log_ndtr(-t - s)
        return result if self.statistic == "clsb" else result - log_ndtr(-t)

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the observed and the expected limits (6, n) and how each search ended (6, n)."""
        fits, n = self.fits, self.fits.n
        targets = np.concatenate([[0.0], self.target()])
        curve, point = np.repeat(np.arange(6), n), np.tile(self.points, 6)
        limits, outcome = np.full(6 * n, np.nan), np.full(6 * n, LOST)
        wanted = self.null_ok[point] & ((curve > 0) | self.best.ok[point])
        everything = wanted & (curve > 0) & (targets[curve] <= 0)
        limits[everything], outcome[everything] = fits.lowest, EVERYTHING
        todo = np.flatnonzero(wanted & ~everything)
        for _ in range(3):
            limits[todo], outcome[todo], todo = self._find(point[todo], curve[todo], targets)
            if not todo.size:
                break
            # The best fit was none, so the observed limits there are to be found again.
        limits[outcome == BEYOND] = np.inf
        return limits.reshape(6, n), outcome.reshape(6, n)

    def _find(
        self, point: np.ndarray, curve: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        fits = self.fits
        observed = curve == 0
        best_mu = self.best.vector[point, fits.index]
        inner = np.where(observed, best_mu, fits.lowest)
        typical = -ndtri(self.alpha / 2)
        levels = np.where(observed, typical, targets[curve])
        guess = np.empty(len(point))
        for level in np.unique(levels):
            at = levels == level
            start = np.where(observed[at, None], self.best.vector[point[at]], 0.0)
            start = np.where(observed[at, None], start, self.null.vector[point[at]])
            guess[at] = inner[at] + fits.distance(start, float(level))
        value = -levels
        if self.statistic == "clsb":
            value[observed] = ndtri(self.alpha)
        warm_data, warm_asimov = self.best.vector[point], self.null.vector[point]
        improved: set[int] = set()

        def function(lanes: np.ndarray, x: np.ndarray) -> np.ndarray:
            of, seen = point[lanes], observed[lanes]
            data = stacked(rows_of(self.data, int(seen.sum())), taken(self.asimov, of))
            found = fits.at(
                np.concatenate([of[seen], of]),
                np.concatenate([x[seen], x]),
                data,
                np.concatenate([warm_data[lanes[seen]], warm_asimov[lanes]]),
            )
            m = int(seen.sum())
            warm_data[lanes[seen][found.ok[:m]]] = found.vector[:m][found.ok[:m]]
            warm_asimov[lanes[found.ok[m:]]] = found.vector[m:][found.ok[m:]]
            q_asimov = np.maximum(found.twice_nll[m:] - self.asimov_best[of], 0.0)
            result = np.sqrt(q_asimov) - levels[lanes]
            above = found.twice_nll[:m] - self.best.twice_nll[of[seen]]
            improved.update(lanes[seen][found.ok[:m] & (above < -1e-7)].tolist())
            finite = np.where(np.isfinite(q_asimov), q_asimov, 0.0)[seen]
            below = np.where(np.isfinite(above), np.maximum(above, 0.0), 0.0)
            # Where nothing has a likelihood all is excluded.
            gone = ~np.isfinite(above) | ~np.isfinite(q_asimov[seen])
            result[seen] = np.where(gone, np.inf, self.measure(self.log_p(below, finite)))
            result[~found.ok[m:]] = np.nan
            result[np.flatnonzero(seen)[~found.ok[:m]]] = np.nan
            return result

        x, outcome = np.full(len(point), np.nan), np.full(len(point), LOST)
        left = np.arange(len(point))
        if self.statistic == "clsb":
            # Data far below the background may exclude every value.
            all_out = np.flatnonzero(observed & (best_mu <= fits.lowest))
            near = inner + 1e-3 * (guess - inner)
            out = all_out[function(all_out, near[all_out]) >= 0] if all_out.size else all_out
            x[out], outcome[out] = fits.lowest, EVERYTHING
            left = np.setdiff1d(left, out)
        x[left], outcome[left] = crossings(
            lambda lanes, at: function(left[lanes], at),
            inner[left],
            value[left],
            guess[left],
            np.full(len(left), fits.bound_high),
        )
        lanes = np.array(sorted(improved), int)
        if lanes.size:
            of = point[lanes]
            again = fits.free(of, self.data, warm_data[lanes][:, None, :])
            lower = again.ok & (again.twice_nll < self.best.twice_nll[of])
            for old, new in zip(self.best, again, strict=True):
                old[of[lower]] = new[lower]
            lanes = lanes[lower]
        return x, outcome, point[lanes]
