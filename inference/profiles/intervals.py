"""Confidence intervals of single parameters: where the profile likelihood crosses a level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jax.typing import ArrayLike
from scipy.special import ndtri

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import Coordinate
from bknn.inference import chi_squared, few_events
from bknn.inference.estimate import ONE_SIGMA
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress
from bknn.inference.profiles.curve import CLOSED, Curve, Interval, ends_of
from bknn.inference.profiles.held import Points
from bknn.inference.profiles.profile import Profile, of_scan, scan

#: Points over the whole range of a parameter whose likelihood may have several minima.
_WHOLE = 97

#: Points per standard deviation near the best fit.
_FINE = 3


#: How often dips and bumps between the points are looked for.
_ROUNDS = 3


@dataclass(frozen=True, eq=False, repr=False)
class Intervals(Answer):
    """Confidence intervals; `intervals[name, level]` is one of them.

    Attributes:
        best: the fit with everything floating.
        method: "likelihood" or "hessian".
        names, levels: of which there are intervals.
        entries: {(name, level): Interval}.
    """

    best: FitResult
    method: str
    names: tuple[str, ...]
    levels: tuple[float, ...]
    entries: Mapping[tuple[str, float], Interval]

    KEPT: ClassVar[tuple[str, ...]] = ("low", "high", "converged")

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(self.KEPT, ("parameter", "level"))

    def coordinates(self) -> dict[str, Coordinate]:
        return {"parameter": Coordinate(self.names), "level": Coordinate(self.levels)}

    @property
    def low(self) -> np.ndarray:
        """Lower ends (parameters, levels)."""
        return self._table("low")

    @property
    def high(self) -> np.ndarray:
        """Upper ends (parameters, levels)."""
        return self._table("high")

    @property
    def converged(self) -> np.ndarray:
        """Whether both ends were found (parameters, levels)."""
        return self._table("converged")

    def _table(self, what: str) -> np.ndarray:
        return np.array(
            [[getattr(self.entries[n, x], what) for x in self.levels] for n in self.names]
        )

    @property
    def value(self) -> dict[str, float]:
        """{name: best fit}."""
        return {name: self[name, self.levels[0]].value for name in self.names}

    def __getitem__(self, key: tuple[str, float]) -> Interval:
        """The interval of a name and a level, which may be rounded (0.68)."""
        name, level = key
        if name not in self.names:
            raise errors.unknown("parameter", name, self.names)
        near = min(self.levels, key=lambda known: abs(known - level))
        if abs(near - level) > 0.005:
            known = ", ".join(f"{x:.4g}" for x in self.levels)
            raise errors.UnknownNameError(f"no interval of level {level:g}; there are {known}.")
        return self.entries[name, near]

    def __iter__(self) -> Iterator[Interval]:
        return iter(self.entries.values())

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def status(self) -> str:
        """What is to be said of the intervals, if anything."""
        texts = [f"{x.name} at {100 * x.level:.3g}%: {x.status}" for x in self]
        return "\n".join(texts)

    def columns(self) -> dict[str, list[Any]]:
        """One row an interval."""
        shown = ("name", "level", "value", "low", "high", "low_at_bound", "high_at_bound", "status")
        return {column: [getattr(x, column) for x in self] for column in shown}

    def shown(self) -> Shown:
        rows = []
        for x in self:
            unit = unit_of(self.best.target, x.name)
            name = f"{x.name} [{unit}]" if unit else x.name
            remark = "" if x.status == CLOSED else x.status
            rows.append((name, f"{x.value:.6g}", f"{100 * x.level:.2f}%", str(x), remark))
        of = subject(self.best.target)
        head = ("parameter", "best fit", "level", "interval", "")
        return Shown(f"Intervals of {of} ({self.method})", head, rows)


def intervals(
    analysis: Analysis,
    names: Sequence[str] | None = None,
    *,
    levels: Sequence[float] = (ONE_SIGMA, 0.95),
    fixed: Mapping[str, ArrayLike] | None = None,
    data: Data | None = None,
    method: str = "likelihood",
    grid: Mapping[str, ArrayLike] | None = None,
    best: FitResult | None = None,
    progress: Progress | None = None,
    chunk: int | None = None,
) -> Intervals:
    """Return intervals in which -2 log L, minimised over all else, rises by less than a level.

    The level is the quantile of chi2 with one degree of freedom (Wilks' theorem; like MINOS). Other
    minima are looked for first, from points spread over priors or bounds and from mirror images of
    what is found. The profile is fitted on a coarse grid around each of them, so that disjoint
    regions are found, over the whole range where a parameter has several `starts`; every end is
    then found by root search, far better
    than 1e-6 of the width. Outwards the search goes on up to a crossing or a bound. A region
    between two points of the grid that neither they nor their slopes hint at is missed: give a
    finer `grid`.

    Args:
        analysis: what is fitted.
        names: parameters, nuisances too; those of the model that float by default.
        levels: confidence levels.
        fixed: {name: value} of parameters that do not float.
        data: one data set to fit instead of the observation.
        method: "likelihood", or "hessian": best fit and multiples of the standard deviation from
            the exact Hessian.
        grid: {name: values} of coarse grids to begin with.
        best: the fit with everything floating, if it has been done.
        progress: is called with the number of intervals that have been done since the last call.
        chunk: as for `fit`.

    Raises:
        UnknownNameError: a parameter or a method that does not exist.
        ParameterError: a level that is no probability.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> found = inference.intervals(analysis)
        >>> print(found["mu", 0.68])
        [3.273, 5.94806]
    """
    if method not in ("likelihood", "hessian"):
        raise errors.unknown("method", method, ("likelihood", "hessian"))
    levels = tuple(float(level) for level in levels)
    if not levels or any(not 0 < level < 1 for level in levels):
        raise errors.ParameterError(
            f"confidence levels are probabilities between 0 and 1; {list(levels)} came."
        )
    options: dict[str, Any] = {"fixed": fixed, "data": data, "chunk": chunk}
    if best is None:
        best = Points(analysis, (), **options).best
    if names is None:
        own = [(i, p) for i, p in enumerate(analysis.parameters) if not p.nuisance]
        names = [p.name for i, p in own if best.moving[i]]
    for name in grid or {}:
        if name not in names:
            raise errors.unknown("parameter", name, names, "the intervals asked for")
    entries: dict[tuple[str, float], Interval] = {}
    more: list[FitResult] = []
    if method == "likelihood":
        free = Points(analysis, (), best=best, **options)
        more = [free.fit(x[None]) for x in free.others(chi_squared.quantile(max(levels), 1))]
        best = free.best
    vectors = np.array([x.vector for x in more]).reshape(-1, analysis.size)
    while len(entries) < len(names) * len(levels):
        for name in names:
            points = Points(analysis, [name], best=best, more=vectors, **options)
            if method == "hessian":
                found = _from_hessian(points, levels)
            else:
                start = (grid or {}).get(name)
                found = _from_likelihood(points, levels, start, more)
            if points.best is not best:
                # A lower minimum was found on the way, so all levels were too high.
                best, entries = points.best, {}
                break
            entries |= {(name, x.level): _remarked(points, x, data) for x in found}
            if progress is not None:
                progress(len(found))
    return Intervals(best, method, tuple(names), levels, entries)


def _remarked(points: Points, found: Interval, data: Data | None) -> Interval:
    """Return the interval with a remark if few events tell its ends from the best fit."""
    analysis, i, best = points.analysis, points.index[0], points.best
    here = np.asarray(best.vector)
    several = [np.inf]
    for end in (found.low, found.high):
        if np.isfinite(end):
            there = np.array(here)
            there[i] = end
            given = analysis.data if data is None else data
            several.append(few_events.events(analysis, given, best.moving, i, here, there)[1])
    few = few_events.remark(min(several))
    return replace(found, status=f"{found.status.rstrip('.')}; {few}.") if few else found


def _from_hessian(points: Points, levels: tuple[float, ...]) -> list[Interval]:
    """Multiples of the standard deviation, cut off at the bounds."""
    name, i = points.names[0], points.index[0]
    value = float(points.best.vector[i])
    sigma = float(points.best.uncertainty_vector[i])
    lower, upper = (float(x) for x in points.analysis.bounds[i])
    result = []
    for level in levels:
        reach = float(ndtri(0.5 + 0.5 * level)) * sigma
        status = CLOSED
        if not sigma > 0:
            reach = np.nan
            where = "at its bound" if name in points.best.at_bounds else "at an edge"
            status = (
                f"{name} lies {where}, where the Hessian says nothing; use 'likelihood'."
                if sigma == 0
                else "the Hessian is not positive definite, so it gives no standard deviation."
            )
        low, high = value - reach, value + reach
        cut = low <= lower, high >= upper
        low, high = max(low, lower) if cut[0] else low, min(high, upper) if cut[1] else high
        if any(cut):
            status = ends_of(cut, (lower, upper))
        if not bool(points.best.converged):
            status = f"the best fit did not converge. {status}"
        result.append(Interval(name, level, value, low, high, *cut, ((low, high),), status))
    return result


def _from_likelihood(
    points: Points,
    levels: tuple[float, ...],
    grid: ArrayLike | None,
    more: Sequence[FitResult] = (),
) -> list[Interval]:
    """Intervals from the crossings of the profile."""
    first = _first_points(points, max(_heights(levels)), grid, more)
    return _of_curve(Curve(points, first, scan(points, (first,), keep=True).found), levels)


def with_profile(
    analysis: Analysis,
    over: Mapping[str, ArrayLike],
    *,
    levels: Sequence[float],
    fixed: Mapping[str, ArrayLike] | None = None,
    progress: Progress | None = None,
) -> tuple[Profile, list[Interval]]:
    """Return the profile of one parameter, and its intervals from the same fits.

    The grid takes the place of a search for other minima: what lies between two of its points, and
    neither they nor their slopes hint at, is missed. Arguments as for `profile` and `intervals`.
    """
    ((name, values),) = over.items()
    points = Points(analysis, [name], fixed=fixed)
    axis = np.asarray(values, float)
    found = scan(points, (axis,), keep=True, progress=progress)
    ends = _of_curve(Curve(points, axis, found.found), levels)
    return of_scan(points, (axis,), found), ends


def _heights(levels: Sequence[float]) -> np.ndarray:
    return np.array([chi_squared.quantile(level, 1) for level in levels])


def _of_curve(curve: Curve, levels: Sequence[float]) -> list[Interval]:
    """Return the intervals, after fits wherever the curve may cross a level."""
    heights, points = _heights(levels), curve.points
    for side in (-1, 1):
        curve.outwards(side, heights.max())
    curve.walls(heights.max())
    for _ in range(_ROUNDS):
        if not curve.between(heights):
            break
    if np.nanmin(curve.delta) < -1e-6:
        lowest = int(np.nanargmin(curve.delta))
        points.improve(curve.found.vector[lowest])
    return curve.intervals(tuple(levels), heights)


def _first_points(
    points: Points, highest: float, grid: ArrayLike | None, more: Sequence[FitResult]
) -> np.ndarray:
    """Return where the profile is fitted first: around the best fit, and around other minima."""
    i = points.index[0]
    lower, upper = points.analysis.bounds[i]
    if grid is not None:
        axis = np.unique(np.asarray(grid, float))
        if not axis.size or not np.isfinite(axis).all():
            raise errors.ParameterError(
                f"the grid of {points.names[0]!r} must be a list of finite numbers."
            )
        return axis
    width = upper - lower
    reach = np.ceil(_FINE * (1.25 * np.sqrt(highest) + 0.5))
    axes = []
    for minimum in (points.best, *more):
        value, sigma = float(minimum.vector[i]), float(minimum.uncertainty_vector[i])
        if not 0 < sigma < np.inf:
            sigma = width / 40 if np.isfinite(width) else 0.1 * max(1.0, abs(value))
        sigma = min(sigma, width / 8)
        axes.append(value + sigma / _FINE * np.arange(-reach, reach + 1))
    axis = np.concatenate(axes)
    known = {p.name: p for p in points.analysis.parameters}.get(points.names[0])
    if known is not None and known.starts and np.isfinite(width):
        axis = np.concatenate([axis, np.linspace(lower, upper, _WHOLE)])
    return np.unique(np.clip(axis, lower, upper))
