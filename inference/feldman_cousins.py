"""Confidence intervals of a bounded parameter by the unified approach (physics/9711021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike
from scipy.special import ndtri

from bknn import errors
from bknn.analysis import Analysis, Data
from bknn.inference import batch
from bknn.inference.conditional import EQUAL, Conditional, Ensemble, seed_of
from bknn.inference.work import Work
from bknn.parameters import real

#: Values of p (four, less two for the line) with a larger chi^2 do not lie on a line.
_STRAIGHT = 9.0


class Ends(NamedTuple):
    """An interval, with the errors that the number of toys leaves.

    Attributes:
        low, high: the ends; where the grid ends before the interval they are the grid's.
        low_error, high_error: their errors, 0 at the ends of the grid.
        low_open, high_open: whether the interval goes on up to the end of the grid at least.
    """

    low: float
    high: float
    low_error: float
    high_error: float
    low_open: bool
    high_open: bool


@dataclass(frozen=True, eq=False)
class FeldmanCousins:
    """The unified approach at the n values of a grid.

    Attributes:
        parameter, levels: what was tested, and confidence levels (l,).
        lowest: physical lower bound of the parameter.
        grid: tested values (n,).
        observed: t = -2 ln L(value) / L(best fit) of the data (n,).
        critical: t that a fraction `level` of the toys does not exceed (l, n).
        critical_error: from their finite number (l, n).
        p: fraction of toys with a t as large as observed, or larger (n,).
        p_error: binomial (n,).
        best: best fit of the parameter, not below `lowest`.
        toys: thrown for each value.
        failed: toys whose fits failed (n,); they are left out of the fractions.
        status: one sentence a value.
    """

    parameter: str
    levels: tuple[float, ...]
    lowest: float
    grid: np.ndarray
    observed: np.ndarray
    critical: np.ndarray
    critical_error: np.ndarray
    p: np.ndarray
    p_error: np.ndarray
    best: float
    toys: int
    failed: np.ndarray
    status: tuple[str, ...]

    @property
    def accepted(self) -> np.ndarray:
        """Which values belong to the intervals (l, n) of bool; none where a fit failed."""
        return np.asarray(self.observed[None, :] <= self.critical + EQUAL)

    def regions(self, level: float) -> tuple[Ends, ...]:
        """Return the accepted regions of a level, in order.

        The ends are between values of the grid, on a straight line through the probits of p at two
        values on either side; half-way, with half the distance as error, where p jumps.

        Raises:
            ParameterError: a level that was not asked for, or values whose fits failed.
        """
        if level not in self.levels:
            raise errors.ParameterError(
                f"the level {level:g} was not asked for; there are "
                f"{', '.join(f'{x:g}' for x in self.levels)}."
            )
        bad = np.flatnonzero(~np.isfinite(self.observed))
        if bad.size:
            raise errors.ParameterError(
                f"{bad.size} of {len(self.grid)} values have no answer, the first is "
                f"{self.grid[bad[0]]:g} ({self.status[bad[0]]}); there is no interval across them. "
                "Leave them out of the grid, or look at `accepted`."
            )
        inside = self.accepted[self.levels.index(level)]
        edges = np.flatnonzero(np.diff(inside.astype(int)))
        starts = [0, *(edges + 1)]
        stops = [*edges, len(inside) - 1]
        found = []
        for first, last in zip(starts, stops, strict=True):
            if not inside[first]:
                continue
            low, low_error = self._end(first - 1, level) if first > 0 else (self.grid[0], 0.0)
            end = len(inside) - 1
            high, high_error = self._end(last, level) if last < end else (self.grid[-1], 0.0)
            found.append(
                Ends(
                    float(low),
                    float(high),
                    float(low_error),
                    float(high_error),
                    bool(first == 0),
                    bool(last == end),
                )
            )
        return tuple(found)

    def interval(self, level: float) -> Ends:
        """Return the interval from the lowest to the highest accepted value.

        Raises:
            ParameterError: as `regions`; or no value of the grid is accepted.
        """
        parts = self.regions(level)
        if not parts:
            raise errors.ParameterError(
                f"no value of the grid is accepted at {100 * level:g}%; the best fit is "
                f"{self.best:g}: take a finer grid around it."
            )
        first, last = parts[0], parts[-1]
        return Ends(
            first.low,
            last.high,
            first.low_error,
            last.high_error,
            first.low_open,
            last.high_open,
        )

    def _end(self, j: int, level: float) -> tuple[float, float]:
        """Return where p crosses 1 - level between the values j and j + 1, and its error."""
        near = np.arange(max(j - 1, 0), min(j + 3, len(self.grid)))
        x = self.grid[near]
        p = np.clip(self.p[near], 0.5 / self.toys, 1 - 0.5 / self.toys)
        y = ndtri(p) - ndtri(1 - level)
        sigma = self.p_error[near] / (np.exp(-0.5 * ndtri(p) ** 2) / np.sqrt(2 * np.pi))
        sigma = np.maximum(sigma, 1e-12)
        low, high = (float(g) for g in self.grid[[j, j + 1]])
        centre = 0.5 * (low + high)
        rows = np.stack([np.ones_like(x), x - centre], axis=1) / sigma[:, None]
        covariance = np.linalg.pinv(rows.T @ rows)
        a, b = covariance @ rows.T @ (y / sigma)
        chi2 = np.sum((rows @ np.array([a, b]) - y / sigma) ** 2)
        root = centre - a / b if b != 0 else np.inf
        # With few counts p jumps where other counts become more likely; no line goes through it.
        if chi2 > _STRAIGHT or not x[0] <= root <= x[-1]:
            return centre, 0.5 * (high - low)
        return float(root), float(np.sqrt(covariance[0, 0]) / abs(b))

    @property
    def sentence(self) -> str:
        """Whether every value has an answer."""
        bad = [i for i, s in enumerate(self.status) if s.startswith("failed")]
        if bad:
            return (
                f"{len(bad)} of {len(self.grid)} values failed; the first is "
                f"{self.parameter} = {self.grid[bad[0]]:g}: {self.status[bad[0]]}"
            )
        if lost := int(self.failed.sum()):
            return (
                f"{lost} of {self.toys * len(self.grid)} toys have fits that did not converge and "
                "are left out."
            )
        return f"all {len(self.grid)} values have an answer."

    def __repr__(self) -> str:
        texts = []
        for level in self.levels if np.isfinite(self.observed).all() else ():
            parts = " and ".join(f"[{r.low:.4g}, {r.high:.4g}]" for r in self.regions(level))
            texts.append(f"{100 * level:g}% {parts or 'nothing on the grid'}")
        return f"FeldmanCousins({self.parameter}: {'; '.join([*texts, self.sentence])})"


def feldman_cousins(
    analysis: Analysis,
    poi: str,
    grid: ArrayLike,
    *,
    toys: int = 1000,
    levels: Sequence[float] = (0.68, 0.95),
    seed: int = 0,
    lowest: float | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    data: Data | None = None,
    progress: batch.Progress | None = None,
    work: Work | None = None,
) -> FeldmanCousins:
    """Test each value of a bounded parameter against toys thrown there.

    G. J. Feldman and R. D. Cousins (physics/9711021): a value belongs to the interval if its
    likelihood ratio to the best physical fit is not among the least likely 1 - level. Other
    parameters are those that fit the data best at that value (profile construction, or plug-in:
    exact without nuisances, approximate with).

    Args:
        analysis: model and measurements.
        poi: name of the parameter.
        grid: rising values (n,) to test.
        toys: thrown for each value.
        levels: confidence levels.
        seed: of the toys.
        lowest: physical lower bound of the parameter, if it is higher than the one of the model.
        fixed: {name: value} of parameters that do not float.
        data: one data set in place of the observation.
        progress: is called with the number of fits that have been done since the last call.
        work: keeps the toys of values that are done, or has them done elsewhere.

    Raises:
        UnknownNameError, ParameterError: names, values or levels that make no sense.

    Example:
        >>> import numpy as np
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> grid = np.linspace(0, 9, 10)
        >>> found = inference.feldman_cousins(analysis, "mu", grid, toys=60, lowest=0.0)
        >>> ends = found.interval(0.95)
        >>> bool(1.5 < ends.low < 2.5 < 6.5 < ends.high < 8)
        True
    """
    values = np.asarray(real(poi, grid), float)
    if values.ndim != 1 or values.size < 2 or not (np.diff(values) > 0).all():
        raise errors.ParameterError(
            f"the grid of {poi!r} must be a list of at least two rising values; its shape is "
            f"{values.shape}."
        )
    if toys < 2:
        raise errors.ParameterError(f"{toys} toys were asked for; throw at least two.")
    for level in levels:
        if not 0 < level < 1:
            raise errors.ParameterError(
                f"a confidence level is {level:g}; give numbers between 0 and 1."
            )
    fits = Conditional(
        analysis, poi, {}, fixed, lowest=lowest, rows=toys, progress=progress, work=work
    )
    if values[0] < fits.lowest or values[-1] > fits.bound_high:
        raise errors.ParameterError(
            f"the grid of {poi!r} leaves its bounds [{fits.lowest:g}, {fits.bound_high:g}]; "
            "choose values inside."
        )
    observation = fits.observation(data)
    size, n = analysis.size, len(values)
    best = fits.free(np.zeros(1, int), observation, np.zeros((1, 0, size)))
    if not best.ok[0]:
        raise errors.FitError(f"the best fit of {analysis!r} did not converge; see inference.fit.")
    where = np.zeros(n, int)
    at = fits.at(where, values, observation, np.repeat(best.vector, n, axis=0))
    i = int(np.argmin(np.where(at.ok, at.twice_nll, np.inf)))
    if at.ok[i] and at.twice_nll[i] < best.twice_nll[0] - EQUAL:
        # The best fit was none: from the lowest point that was met, once more.
        best = fits.free(np.zeros(1, int), observation, at.vector[None, i : i + 1])
    observed = np.where(at.ok, np.maximum(at.twice_nll - best.twice_nll[0], 0.0), np.nan)
    critical, critical_error = np.full((2, len(levels), n), np.nan)
    p, p_error = np.full((2, n), np.nan)
    failed = np.zeros(n, int)
    status = []
    tested = np.flatnonzero(at.ok)
    ensembles = [
        Ensemble(0, at.vector[k], toys, seed_of(seed, k), values[k, None], at.vector[k, None])
        for k in tested.tolist()
    ]
    ensemble_of = dict(zip(tested.tolist(), fits.toys(ensembles), strict=True))
    for k in range(n):
        if not at.ok[k]:
            status.append("failed: the fit of the data did not converge.")
            continue
        thrown = ensemble_of[k]
        t = np.sort(thrown.above[0][thrown.ok])
        m = len(t)
        failed[k] = toys - m
        if m < 2:
            observed[k] = np.nan
            status.append(f"failed: the fits of all {toys} toys did not converge.")
            continue
        text = f"found; {failed[k]} of {toys} toys have fits that did not converge"
        status.append(text if failed[k] else "found")
        for j, level in enumerate(levels):
            # The smallest t that so many do not exceed; with few counts it is one of few values.
            spread = np.sqrt(m * level * (1 - level))
            ranks = np.ceil(level * m + np.array([0.0, -spread, spread])).astype(int) - 1
            middle, low, high = t[np.clip(ranks, 0, m - 1)]
            critical[j, k], critical_error[j, k] = middle, 0.5 * (high - low)
        p[k] = np.mean(t >= observed[k] - EQUAL)
        p_error[k] = np.sqrt(max(p[k] * (1 - p[k]), 0.25 / m) / m)
    return FeldmanCousins(
        poi,
        tuple(float(x) for x in levels),
        fits.lowest,
        values,
        observed,
        critical,
        critical_error,
        p,
        p_error,
        float(best.vector[0, fits.index]),
        toys,
        failed,
        tuple(status),
    )
