"""The profile of one parameter as a curve, and the intervals where it is below a level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bknn.answers.packing import piece
from bknn.inference.fits import vanishing
from bknn.inference.minimiser.newton import NOT_FINITE
from bknn.inference.profiles.crossings import crossings, cubic
from bknn.inference.profiles.held import Found, Points

#: How often the search goes on outwards, each time twice as far.
_OUTWARDS = 40


#: Parts of the way to where the likelihood vanishes, and how well that place is known in the end.
_PARTS, _EXACT = np.arange(1, 8) / 8, 1e-11


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


CLOSED = "closed on both sides."


def _listed(names: list[str]) -> str:
    if not names:
        return "count of some bin"
    return f"count{'s' if len(names) > 1 else ''} of {' and '.join(names[:3])}"


def ends_of(cut: tuple[bool, bool], bounds: tuple[float, float]) -> str:
    if all(cut):
        return "reaches both bounds: the data do not tell."
    which = "lower" if cut[0] else "upper"
    return f"reaches the {which} bound {bounds[0 if cut[0] else 1]:g}."


class Curve:
    """The profile of one parameter at ever more points, the best fit among them."""

    def __init__(self, points: Points, x: np.ndarray, found: Found) -> None:
        """Begin with the fits that a scan found at increasing values x (n,)."""
        self.points, self.x, self.found = points, x, found
        self.lower, self.upper = (float(b) for b in points.analysis.bounds[points.index[0]])
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
            texts.append(ends_of(cut, (self.lower, self.upper)))
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
        status = " ".join(texts) or CLOSED
        return Interval(name, level, self.value, low, high, *cut, regions, status)
