"""Fits at the points of a grid, each compared with its neighbours and repaired."""

from __future__ import annotations

from typing import Any

import numpy as np

from bknn.inference.minimiser.newton import CONVERGED
from bknn.inference.profiles.held import DISTINCT, Found, Points

#: Neighbours whose difference in -2 log L their slopes do not explain are looked at: by so much,
#: or by this many times as much as around them.
_MISS, _UNUSUAL = 1e-3, 3.0


#: A minimum that is lower by less than this is the same, but for rounding.
LOWER = 1e-6


#: One point in this many begins at the starts of the nuisances, too, not only at the best fit.
_SECOND_OPINION = 16


def kept_values(points: Points) -> np.ndarray:
    """Positions of the parameters whose values a profile keeps."""
    own = [i for i, p in enumerate(points.analysis.parameters) if not p.nuisance]
    return np.array([i for i in own if points.moving[i]], int)


class GridOfFits:
    """What is known of a grid so far, and the vectors of the points that were done last."""

    def __init__(
        self, points: Points, axes: tuple[np.ndarray, ...], found: Found, physics: np.ndarray
    ) -> None:
        self.points, self.axes, self.found, self.physics = points, axes, found, physics
        self.shape = tuple(len(axis) for axis in axes)
        self.n = len(physics)
        #: Distance of neighbours along each axis, in C order.
        self.strides = [int(np.prod(self.shape[a + 1 :])) for a in range(len(axes))]
        self.vectors: dict[int, np.ndarray] = {}
        self.repaired = np.zeros(self.n, bool)
        self.lowest: tuple[float, Any] = (np.inf, None)

    def values(self, where: np.ndarray) -> np.ndarray:
        """Return the values of the parameters (n, parameters) at points."""
        at = np.unravel_index(where, self.shape)
        return np.stack([axis[i] for axis, i in zip(self.axes, at, strict=True)], axis=1)

    def put(self, where: np.ndarray, new: Found) -> None:
        """Enter points (n,)."""
        kept = len(self.found.vector) > 0
        for field, values in zip(
            self.found[0 if kept else 1 :], new[0 if kept else 1 :], strict=True
        ):
            field[where] = values
        self.physics[where] = new.vector[:, kept_values(self.points)]
        self.vectors.update(zip(where.tolist(), new.vector, strict=True))
        value = np.where(new.converged, new.twice_nll, np.inf)
        k = int(np.argmin(value))
        if value[k] < self.lowest[0]:
            self.lowest = float(value[k]), np.array(new.vector[k])

    def forget(self, where: np.ndarray) -> None:
        """Drop the vectors that the next block does not need; it is next to the last points."""
        last = int(where[-1])
        near = min(self.strides[0], self.points.most)
        self.vectors = {i: v for i, v in self.vectors.items() if i > last - near}

    def second_opinions(self, where: np.ndarray) -> None:
        """Begin some of the points at the starts of the nuisances."""
        some = where[::_SECOND_OPINION]
        starts = self.points.starts(self.values(some), plain=True)
        each = [starts[:, k] for k in range(starts.shape[1])]
        self.improve(some, self.points.find(self.values(some), each, fresh=False))

    def improve(self, where: np.ndarray, new: Found) -> np.ndarray:
        """Enter those points that got better; return them. A point may come several times."""
        old = self.found
        order = np.lexsort((new.twice_nll, where))
        first = np.ones(len(order), bool)
        first[1:] = where[order][1:] != where[order][:-1]
        order = order[first]
        where, new = where[order], new.at(order)
        before, was = old.twice_nll[where], old.outcome[where] == CONVERGED
        lower = new.twice_nll < np.where(np.isfinite(before), before, np.inf) - LOWER
        healed = new.converged & ~was & (new.twice_nll < before + LOWER)
        better = np.isfinite(new.twice_nll) & ((lower & (new.converged | ~was)) | healed)
        # What is higher now is a minimum of its own, on either side.
        high = np.where(better, before, new.twice_nll)
        low = np.where(better, new.twice_nll, before)
        known = np.where(better, was, new.converged) & (high > low + DISTINCT)
        seconds = np.stack(
            [x for x in (old.second[where], new.second, np.where(known, high, np.nan))]
        )
        seconds = np.where(seconds > low[None] + DISTINCT, seconds, np.inf).min(axis=0)
        seconds = np.where(np.isfinite(seconds), seconds, np.nan)
        self.put(where[better], new.at(better)) if better.any() else None
        old.second[where] = seconds
        self.repaired[where[better & lower]] = True
        return where[better]

    def repair(self, where: np.ndarray) -> None:
        """Start again from neighbours, until no point gets lower."""
        target, source = self.suspects(where)
        while target.size:
            vectors = np.stack([self.vectors[i] for i in source.tolist()])
            found = self.points.find(self.values(target), [vectors], fresh=False)
            better = self.improve(target, found)
            # What got better may be better than its neighbours, wherever they are.
            pairs = [
                self.neighbours(better, a, side) for a in range(len(self.axes)) for side in (-1, 1)
            ]
            source = np.concatenate([p[0] for p in pairs])
            target = np.concatenate([p[1] for p in pairs])
            done = self.found.outcome[target] >= 0
            target, source = target[done], source[done]

    def neighbours(self, where: np.ndarray, axis: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points that have a neighbour along an axis, and those neighbours."""
        at = np.unravel_index(where, self.shape)[axis] + side
        where = where[(at >= 0) & (at < self.shape[axis])]
        return where, where + side * self.strides[axis]

    def suspects(self, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points to start again, and the neighbours from which.

        With slopes g, neighbours at a distance h differ by h (g_1 + g_2)/2 but for terms of order
        h^3, which change little from one pair to the next, unless one of the two is not at its
        lowest minimum.
        """
        pairs = []
        for axis in range(len(self.axes)):
            # Pairs whose upper point is new, and two more on either side to compare with.
            stride = self.strides[axis]
            upper = where[np.unravel_index(where, self.shape)[axis] > 0]
            around = [self._miss(upper + k * stride, axis) for k in (-2, -1, 0, 1, 2)]
            usual = _median(np.abs(np.stack(around)))
            odd = ~(np.abs(around[2]) <= _MISS + _UNUSUAL * usual)
            one, other = upper[odd], upper[odd] - stride
            pairs += [(one, other), (other, one)]
        target = np.concatenate([p[0] for p in pairs])
        source = np.concatenate([p[1] for p in pairs])
        known = np.array([i in self.vectors for i in source.tolist()], bool)
        return target[known], source[known]

    def _miss(self, upper: np.ndarray, axis: int) -> np.ndarray:
        """Return what the slopes do not explain between points and those before, NaN if unknown."""
        stride = self.strides[axis]
        inside = (upper < self.n) & (upper >= stride)
        safe = np.where(inside, upper, stride)
        at = np.unravel_index(safe, self.shape)[axis]
        inside &= at > 0
        f, g = self.found.twice_nll, self.found.slope[:, axis]
        ok = self.found.outcome == CONVERGED
        h = self.axes[axis][at] - self.axes[axis][at - 1]
        with np.errstate(invalid="ignore"):
            miss = f[safe] - f[safe - stride] - h * (g[safe] + g[safe - stride]) / 2
        return np.where(inside & ok[safe] & ok[safe - stride], miss, np.nan)


def _median(values: np.ndarray) -> np.ndarray:
    """Return the lower median along the first axis of what is not NaN; 0 if nothing is."""
    count = np.sum(~np.isnan(values), axis=0)
    middle = np.maximum((count - 1) // 2, 0)
    found = np.take_along_axis(np.sort(values, axis=0), middle[None], axis=0)[0]
    return np.where(count > 0, found, 0.0)
