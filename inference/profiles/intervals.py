"""Confidence intervals of single parameters: where the profile likelihood crosses a level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from jax.typing import ArrayLike
from scipy.stats import chi2, norm

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import Coordinate, piece
from bknn.inference import few_events
from bknn.inference.estimate import ONE_SIGMA
from bknn.inference.fits import vanishing
from bknn.inference.fits.newton import NOT_FINITE
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress
from bknn.inference.profiles.crossings import crossings, cubic
from bknn.inference.profiles.held import Found, Points
from bknn.inference.profiles.profile import scan

#: Points over the whole range of a parameter whose likelihood may have several minima.
_WHOLE = 97

#: Points per standard deviation near the best fit.
_FINE = 3

#: How often the search goes on outwards, each time twice as far.
_OUTWARDS = 40

#: Parts of the way to where the likelihood vanishes, and how well that place is known in the end.
_PARTS, _EXACT = np.arange(1, 8) / 8, 1e-11

#: How often dips and bumps between the points are looked for.
_ROUNDS = 3

#: Within so much of a level a cubic between two points is not trusted.
_MARGIN = 0.2


@piece
@dataclass(frozen=True)
class Interval:
    """A confidence interval of one parameter.

    Attributes:
        name: of the parameter.
        level: its confidence level.
        value: best fit.
        low, high: ends of the region around the best fit; infinite if there is none, NaN if it was
            not found (`status` says why).
        low_at_bound, high_at_bound: whether the end is a bound of the parameter, or where an
            expected count would become negative, and not a crossing.
        regions: all regions below the level, disjoint, in order.
        status: how the search went, in a sentence.
    """

    name: str
    level: float
    value: float
    low: float
    high: float
    low_at_bound: bool
    high_at_bound: bool
    regions: tuple[tuple[float, float], ...]
    status: str

    @property
    def converged(self) -> bool:
        """Whether both ends were found, or are known not to exist."""
        return not (np.isnan(self.low) or np.isnan(self.high))

    def __str__(self) -> str:
        left = "(" if np.isinf(self.low) else "["
        right = ")" if np.isinf(self.high) else "]"
        marks = [" (bound)" if at else "" for at in (self.low_at_bound, self.high_at_bound)]
        return f"{left}{self.low:.6g}{marks[0]}, {self.high:.6g}{marks[1]}{right}"


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
            remark = "" if x.status == _CLOSED else x.status
            rows.append((name, f"{x.value:.6g}", f"{100 * x.level:.2f}%", str(x), remark))
        of = subject(self.best.target)
        head = ("parameter", "best fit", "level", "interval", "")
        return Shown(f"Intervals of {of} ({self.method})", head, rows)


_CLOSED = "closed on both sides."


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
        more = [free.fit(x[None]) for x in free.others(float(chi2.ppf(max(levels), 1)))]
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
        reach = float(norm.ppf(0.5 + 0.5 * level)) * sigma
        status = _CLOSED
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
            status = _ends(cut, (lower, upper))
        if not bool(points.best.converged):
            status = f"the best fit did not converge. {status}"
        result.append(Interval(name, level, value, low, high, *cut, ((low, high),), status))
    return result


def _listed(names: list[str]) -> str:
    if not names:
        return "count of some bin"
    return f"count{'s' if len(names) > 1 else ''} of {' and '.join(names[:3])}"


def _ends(cut: tuple[bool, bool], bounds: tuple[float, float]) -> str:
    if all(cut):
        return "reaches both bounds: the data do not tell."
    which = "lower" if cut[0] else "upper"
    return f"reaches the {which} bound {bounds[0 if cut[0] else 1]:g}."


def _from_likelihood(
    points: Points,
    levels: tuple[float, ...],
    grid: ArrayLike | None,
    more: Sequence[FitResult] = (),
) -> list[Interval]:
    """Intervals from the crossings of the profile."""
    heights = np.array([float(chi2.ppf(level, 1)) for level in levels])
    curve = _Curve(points, _first_points(points, heights.max(), grid, more))
    for side in (-1, 1):
        curve.outwards(side, heights.max())
    curve.walls(heights.max())
    for _ in range(_ROUNDS):
        if not curve.between(heights):
            break
    if np.nanmin(curve.delta) < -1e-6:
        lowest = int(np.nanargmin(curve.delta))
        points.improve(curve.found.vector[lowest])
    return curve.intervals(levels, heights)


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


class _Curve:
    """The profile of one parameter at ever more points, the best fit among them."""

    def __init__(self, points: Points, x: np.ndarray) -> None:
        self.points = points
        self.x = np.zeros(0)
        self.lower, self.upper = (float(b) for b in points.analysis.bounds[points.index[0]])
        self.found = scan(points, (x,), keep=True).found
        self.x = x
        best = points.best
        vector = np.asarray(best.vector)[None]
        at_best = Found(
            vector,
            np.array([best.twice_nll], float),
            points.slopes(vector),
            np.array([best.outcome]),
            np.array([np.nan]),
        )
        self.value = float(vector[0, points.index[0]])
        self.add(np.array([self.value]), at_best)

    @property
    def delta(self) -> np.ndarray:
        """-2 log L above the best fit; NaN where a fit did not converge, infinite where the
        likelihood vanishes (a bin with counts whose rate would be negative)."""
        delta = self.found.twice_nll - float(self.points.best.twice_nll)
        delta = np.where(self.found.outcome == NOT_FINITE, np.inf, delta)
        return np.where(self.found.converged | np.isinf(delta), delta, np.nan)

    def add(self, x: np.ndarray, found: Found) -> None:
        """Take points in; of two at the same place the lower stays."""
        x = np.concatenate([self.x, x])
        both = Found(*(np.concatenate(pair) for pair in zip(self.found, found, strict=True)))
        order = np.lexsort((both.twice_nll, ~both.converged, x))
        order = order[np.concatenate([[True], np.diff(x[order]) > 0])]
        self.x, self.found = x[order], both.at(order)

    def fit(self, x: np.ndarray, nearest: np.ndarray) -> None:
        """Fit points (n,), also from the vectors of others (n, neighbours)."""
        vectors = [self.found.vector[k] for k in nearest.T]
        self.add(x, self.points.find(x[:, None], vectors))

    def outwards(self, side: int, height: float) -> None:
        """Go on until the end lies above the height, or at the bound."""
        bound = self.lower if side < 0 else self.upper
        step = max(np.ptp(self.x), 1e-6 * max(1.0, abs(self.value)))
        for _ in range(_OUTWARDS):
            end = 0 if side < 0 else -1
            if self.delta[end] > height or self.x[end] == bound:
                return
            more = self.x[end] + side * step * np.array([0.25, 0.5, 0.75, 1.0])
            more = np.unique(np.clip(more, self.lower, self.upper))
            self.fit(more, np.full((len(more), 1), end))
            step *= 2

    def walls(self, height: float) -> None:
        """Close in on where the likelihood vanishes, until it has risen above the height or, where
        the expected count of an empty bin becomes negative, the place is known."""
        for _ in range(_OUTWARDS):
            delta = self.delta
            ok = np.flatnonzero(~np.isnan(delta))
            i, j = ok[:-1], ok[1:]
            pairs = np.stack([i, j])[:, (np.isinf(delta[i]) != np.isinf(delta[j]))]
            pairs = pairs[:, delta[pairs].min(axis=0) < height]
            start, stop = self.x[pairs]
            known = _EXACT * (np.ptp(self.x[np.isfinite(delta)]) + np.abs(start))
            pairs = pairs[:, stop - start > known]
            if not pairs.size:
                return
            inside = np.where(np.isinf(delta[pairs[0]]), pairs[1], pairs[0])
            start, stop = self.x[pairs]
            between = start + _PARTS[:, None] * (stop - start)
            self.fit(between.reshape(-1), np.tile(inside, len(_PARTS))[:, None])

    def between(self, heights: np.ndarray) -> bool:
        """Fit where a cubic through two points may cross a level, back and forth; whether any."""
        delta = self.delta
        ok = np.flatnonzero(~np.isnan(delta))
        i, j = ok[:-1], ok[1:]
        width = self.x[j] - self.x[i]
        slope = self.found.slope[:, 0]
        t = np.linspace(0.0, 1.0, 33)[1:-1, None]
        with np.errstate(invalid="ignore"):
            shape = cubic(t, delta[i], slope[i] * width, delta[j], slope[j] * width)
        low, high = np.minimum(delta[i], delta[j]), np.maximum(delta[i], delta[j])
        wanted = {}
        for height in heights:
            dip = (low > height) & (shape.min(axis=0) < np.minimum(height + _MARGIN, low))
            bump = (high < height) & (shape.max(axis=0) > np.maximum(height - _MARGIN, high))
            for pairs, where in ((dip, shape.argmin(axis=0)), (bump, shape.argmax(axis=0))):
                for k in np.flatnonzero(pairs):
                    wanted[float(self.x[i[k]] + t[where[k], 0] * width[k])] = (i[k], j[k])
        tiny = 1e-9 * max(np.ptp(self.x), 1e-300)
        known = [x for x in wanted if np.abs(self.x - x).min() > tiny]
        if known:
            self.fit(np.array(known), np.array([wanted[x] for x in known]))
        return bool(known)

    def intervals(self, levels: tuple[float, ...], heights: np.ndarray) -> list[Interval]:
        """Return the intervals, after a root search for all their ends at once."""
        delta = self.delta
        ok = np.flatnonzero(~np.isnan(delta))
        edges = [
            (k, i, j)
            for k, height in enumerate(heights)
            for i, j in pairwise(ok)
            if (delta[i] < height) != (delta[j] < height)
        ]
        which, i, j = np.array(edges, int).reshape(-1, 3).T
        ends = crossings(
            self.points,
            float(self.points.best.twice_nll) + heights[which],
            self.x[i][:, None],
            self.x[j][:, None],
            self.found.at(i),
            self.found.at(j),
        )
        # Where the likelihood ends before it has fallen, so does the interval.
        gone = np.isinf(delta[i]) | np.isinf(delta[j])
        last = np.where(np.isinf(delta[i]), j, i)
        gone &= np.abs(self.x[j] - self.x[i]) <= 2 * _EXACT * (np.ptp(self.x) + np.abs(self.x[i]))
        values = np.where(gone, self.x[last], ends.values[:, 0])
        return [
            self._interval(
                level, height, delta, values[which == k], last[gone & (which == k)].tolist()
            )
            for k, (level, height) in enumerate(zip(levels, heights, strict=True))
        ]

    def _interval(
        self, level: float, height: float, delta: np.ndarray, ends: np.ndarray, edges: list[int]
    ) -> Interval:
        """Put together the regions of one level, from its crossings in order, and the points at
        which the likelihood ends."""
        name = self.points.names[0]
        below = delta[~np.isnan(delta)] < height
        x = self.x[~np.isnan(delta)]
        stops = list(ends)
        if below.size and below[0]:
            stops.insert(0, self.lower if x[0] == self.lower else -np.inf)
        if below.size and below[-1]:
            stops.append(self.upper if x[-1] == self.upper else np.inf)
        regions = tuple((float(a), float(b)) for a, b in zip(stops[::2], stops[1::2], strict=True))
        # Which one the best fit is in: count the changes before it.
        at = int(np.searchsorted(x, self.value))
        before = int(np.sum(below[1 : at + 1] & ~below[:at]) + (below[0] if below.size else 0))
        low, high = regions[before - 1] if regions and before else (np.nan, np.nan)
        cut = -np.inf < low == self.lower, self.upper == high < np.inf
        texts = []
        if len(regions) > 1:
            texts.append(f"{len(regions)} disjoint regions.")
        if any(cut):
            texts.append(_ends(cut, (self.lower, self.upper)))
        for k in edges:
            cut = cut[0] or low == self.x[k], cut[1] or high == self.x[k]
            counts = _listed(
                vanishing.empty(self.points.analysis, self.found.vector[k], self.points.data)
            )
            texts.append(
                f"ends at {name} = {self.x[k]:.6g}, beyond which the expected {counts} would be "
                "negative."
            )
        if np.isinf([low, high]).any():
            texts.append("never crosses the level on an open side: the data do not tell.")
        if lost := int(np.isnan(stops).sum()):
            texts.append(f"{lost} of its ends were lost: a fit next to them did not converge.")
        if (bad := np.flatnonzero(np.isnan(delta))).size:
            texts.append(
                f"{bad.size} of {delta.size} fits of the profile did not converge, the first at "
                f"{name} = {self.x[bad[0]]:g}; it is not known what the profile does there."
            )
        if not bool(self.points.best.converged):
            texts.append("the best fit did not converge.")
        status = " ".join(texts) or _CLOSED
        return Interval(name, level, self.value, low, high, *cut, regions, status)
