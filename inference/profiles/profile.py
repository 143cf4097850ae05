"""The profile likelihood over one to three parameters, on grids of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import Coordinate
from bknn.inference.fits.newton import CONVERGED, NOT_FINITE
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress, Work
from bknn.inference.profiles.held import DISTINCT, Found, Points

#: Neighbours whose difference in -2 log L their slopes do not explain are looked at: by so much,
#: or by so many times as much as around them.
_MISS, _UNUSUAL = 1e-3, 3.0

#: A minimum that is lower by less than this is the same, but for rounding.
_LOWER = 1e-6

#: Of so many points one begins at the starts of the nuisances, too, and not only at the best fit.
_SECOND_OPINION = 16


@dataclass(frozen=True, eq=False, repr=False)
class Profile(Answer):
    """-2 log L on a grid of one to three parameters, minimised over all others at every point.

    Attributes:
        target: the Analysis.
        parameters: names of the parameters of the grid.
        axes: their values, one array each.
        twice_nll: -2 log L, constants included, of the shape of the grid; at a point that did not
            converge it is an upper bound.
        slope: its derivatives by the parameters (*grid, parameters).
        outcome: code of `bknn.inference.fits.newton` (*grid).
        second: -2 log L of the next higher minimum that was found at a point, NaN if none was.
        values: {name: value at the minimum (*grid)} of the model's other floating parameters; its
            nuisances (form factors) are left out.
        best: the fit with these parameters floating.
        repaired: at how many points a start from a neighbour found a lower minimum.
    """

    target: Analysis
    parameters: tuple[str, ...]
    axes: tuple[np.ndarray, ...]
    twice_nll: np.ndarray
    slope: np.ndarray
    outcome: np.ndarray
    second: np.ndarray
    values: dict[str, np.ndarray]
    best: FitResult
    repaired: int

    KEPT: ClassVar[tuple[str, ...]] = ("delta", "converged")

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        grid = ("twice_nll", "outcome", "second", "values", "delta", "converged")
        return {**dict.fromkeys(grid, self.parameters), "slope": (*self.parameters, "parameter")}

    def coordinates(self) -> dict[str, Coordinate]:
        axes = zip(self.parameters, self.axes, strict=True)
        along = {name: Coordinate(x, unit_of(self.target, name)) for name, x in axes}
        return {**along, "parameter": Coordinate(self.parameters)}

    @property
    def shape(self) -> tuple[int, ...]:
        return self.twice_nll.shape

    @property
    def converged(self) -> np.ndarray:
        """Whether the fit of each point converged, of the shape of the grid."""
        return self.outcome == CONVERGED

    @property
    def excluded(self) -> np.ndarray:
        """Where -2 log L is infinite, of the shape of the grid: expected counts are negative, or
        bins with counts expect nothing, whatever the other parameters."""
        return (self.outcome == NOT_FINITE) & np.isposinf(self.twice_nll)

    @property
    def twice_nll_min(self) -> float:
        """The lowest -2 log L of the best fit and the grid."""
        return float(np.nanmin([float(self.best.twice_nll), np.nanmin(self.twice_nll)]))

    @property
    def delta(self) -> np.ndarray:
        """-2 log L above the lowest, of the shape of the grid."""
        return self.twice_nll - self.twice_nll_min

    @property
    def second_delta(self) -> np.ndarray:
        """The next higher minimum, above the lowest of all, of the shape of the grid."""
        return self.second - self.twice_nll_min

    @property
    def status(self) -> str:
        """How the fits ended, in a sentence or two."""
        bad = ~(self.converged | self.excluded)
        gone = int(self.excluded.sum())
        if not bad.any():
            text = f"all {bad.size - gone} fits converged" if gone < bad.size else "no fit"
        else:
            where = np.argwhere(bad)[0]
            at = ", ".join(
                f"{name} = {axis[i]:g}"
                for name, axis, i in zip(self.parameters, self.axes, where, strict=True)
            )
            text = (
                f"{int(bad.sum())} of {bad.size} fits did not converge, the first at {at}; "
                "`converged` says which, and what stands there is an upper bound"
            )
        if gone:
            points = "point" if gone == 1 else "points"
            text += f"; at {gone} {points} nothing has a likelihood (an expected count is negative)"
        if self.repaired:
            text += f"; {self.repaired} found a lower minimum when started from a neighbour"
        if not bool(self.best.converged):
            text += f"; the best fit did not converge: {self.best.status}"
        return text.rstrip(".") + "."

    def minimised(self, *names: str) -> Profile:
        """Return the profile over some of the parameters, the lowest along the other axes.

        The others are minimised over the values that they have on the grid only.

        Raises:
            UnknownNameError: a name that is not on the grid.
        """
        for name in names:
            if name not in self.parameters:
                raise errors.unknown("parameter", name, self.parameters, "the grid of the profile")
        kept = [a for a, name in enumerate(self.parameters) if name in names]
        others = [a for a in range(len(self.axes)) if a not in kept]
        order = [*kept, *others]
        shape = tuple(len(self.axes[a]) for a in kept)

        def columns(values: np.ndarray) -> np.ndarray:
            more = tuple(range(len(order), values.ndim))
            moved = np.transpose(values, (*order, *more))
            return moved.reshape(*shape, -1, *moved.shape[len(order) :])

        lowest = np.argmin(columns(np.where(self.converged, self.twice_nll, np.inf)), axis=-1)

        def there(values: np.ndarray) -> np.ndarray:
            table = columns(values)
            index = lowest.reshape(*shape, *(1,) * (table.ndim - len(shape)))
            return np.take_along_axis(table, index, axis=len(shape)).squeeze(len(shape))

        along = {
            self.parameters[a]: np.broadcast_to(
                self.axes[a].reshape([-1 if b == a else 1 for b in range(len(self.axes))]),
                self.shape,
            )
            for a in others
        }
        return Profile(
            self.target,
            tuple(self.parameters[a] for a in kept),
            tuple(self.axes[a] for a in kept),
            there(self.twice_nll),
            there(self.slope)[..., kept],
            there(self.outcome),
            there(self.second),
            {name: there(x) for name, x in (along | self.values).items()},
            self.best,
            self.repaired,
        )

    def columns(self) -> dict[str, np.ndarray]:
        """One row a point of the grid."""
        grid = np.meshgrid(*self.axes, indexing="ij")
        points = {n: x.reshape(-1) for n, x in zip(self.parameters, grid, strict=True)}
        found = {"delta": self.delta, "twice_nll": self.twice_nll, "converged": self.converged}
        return points | {k: x.reshape(-1) for k, x in (found | self.values).items()}

    def shown(self) -> Shown:
        lowest = np.unravel_index(int(np.nanargmin(self.twice_nll)), self.shape)
        rows = []
        for name, axis, i in zip(self.parameters, self.axes, lowest, strict=True):
            ends = span(axis[0], axis[-1], unit_of(self.target, name))
            rows.append((name, f"{len(axis)} points", ends, f"{axis[i]:.4g}"))
        return Shown(
            f"Profile likelihood of {subject(self.target)}",
            ("over", "", "from ... to", "lowest at"),
            rows,
            [self.status],
        )


def profile(
    analysis: Analysis,
    over: Mapping[str, ArrayLike],
    *,
    fixed: Mapping[str, ArrayLike] | None = None,
    data: Data | None = None,
    best: FitResult | None = None,
    progress: Progress | None = None,
    chunk: int | None = None,
    repair: bool = True,
    work: Work | None = None,
) -> Profile:
    """Minimise -2 log L over everything else, at every point of a grid.

    Args:
        analysis: what is fitted.
        over: {name: values} of one to three parameters, nuisances too; the grid is their product.
        fixed: {name: value} of parameters that do not float at all.
        data: one data set to fit instead of the observation.
        best: the fit with `over` floating, if it has been done.
        progress: is called with the number of points that have been done since the last call.
        chunk: how many fits run together on one device, as for `fit`.
        repair: start points again from their neighbours where those lie lower than their slopes
            explain, until none gets lower.
        work: keeps points that are done, or has them done elsewhere, 512 fits at a time.

    Where another parameter has several `starts`, every point is fitted from each; the lowest
    minimum counts, and the next higher one is in `second`. Memory is needed for a few thousand fits
    and for a few numbers a point.

    Raises:
        UnknownNameError: a parameter that the analysis does not have.
        ParameterError: not one to three parameters; values that do not increase or lie out of
            bounds.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> curve = inference.profile(analysis, {"mu": [0.0, 1.0]})
        >>> curve.delta.round(2).tolist()
        [11.97, 7.38]
    """
    names, axes = _grid(over)
    points = Points(analysis, names, fixed=fixed, data=data, best=best, chunk=chunk, work=work)
    found = scan(points, axes, repair=repair, progress=progress)
    return of_scan(points, axes, found)


def _grid(over: Mapping[str, ArrayLike]) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    """Return names and values of a grid that makes sense."""
    if len(over) not in (1, 2, 3):
        raise errors.ParameterError(
            f"a profile over {len(over)} parameters ({', '.join(over)}) was asked for; it is over "
            "one to three, the others are minimised over."
        )
    axes = []
    for name, values in over.items():
        axis = np.asarray(values, float)
        if axis.ndim != 1 or not axis.size:
            raise errors.ParameterError(
                f"the values of {name!r} have the shape {axis.shape}; give a list of numbers."
            )
        if not np.isfinite(axis).all() or (np.diff(axis) <= 0).any():
            raise errors.ParameterError(
                f"the values of {name!r} must be finite and increase from each to the next, so "
                "that neighbours are neighbours; sort them, and leave out what is there twice."
            )
        axes.append(axis)
    return tuple(over), tuple(axes)


class Scan(NamedTuple):
    """What was found on a grid, point by point in C order; `vector` is empty unless it was kept."""

    found: Found
    physics: np.ndarray
    repaired: int


def of_scan(points: Points, axes: tuple[np.ndarray, ...], scan: Scan) -> Profile:
    """Return a scan as a Profile."""
    shape = tuple(len(axis) for axis in axes)
    names = [points.analysis.names[i] for i in _shown(points)]
    found = scan.found
    return Profile(
        points.analysis,
        points.names,
        axes,
        found.twice_nll.reshape(shape),
        found.slope.reshape(*shape, len(axes)),
        found.outcome.reshape(shape),
        found.second.reshape(shape),
        {name: scan.physics[:, k].reshape(shape) for k, name in enumerate(names)},
        points.best,
        scan.repaired,
    )


def _shown(points: Points) -> np.ndarray:
    """Positions of the parameters whose values a profile keeps."""
    own = [i for i, p in enumerate(points.analysis.parameters) if not p.nuisance]
    return np.array([i for i in own if points.moving[i]], int)


def scan(
    points: Points,
    axes: tuple[np.ndarray, ...],
    *,
    repair: bool = True,
    keep: bool = False,
    progress: Progress | None = None,
) -> Scan:
    """Fit all points of a grid, block by block; `keep` keeps all vectors."""
    shape = tuple(len(axis) for axis in axes)
    n = int(np.prod(shape))
    found = Found(
        np.zeros((n if keep else 0, points.analysis.size)),
        np.full(n, np.nan),
        np.full((n, len(axes)), np.nan),
        np.full(n, -1),
        np.full(n, np.nan),
    )
    table = _Table(points, axes, found, np.full((n, len(_shown(points))), np.nan))
    block = max(1, points.most // points.n_starts)
    for first in range(0, n, block):
        where = np.arange(first, min(first + block, n))
        values = table.values(where)
        table.put(where, points.find(values, progress=progress))
        if repair:
            table.second_opinions(where)
            table.repair(where)
        table.forget(where)
    if table.lowest[0] < float(points.best.twice_nll) - _LOWER:
        points.improve(table.lowest[1])
    return Scan(found, table.physics, int(table.repaired.sum()))


class _Table:
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
        self.physics[where] = new.vector[:, _shown(self.points)]
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
        lower = new.twice_nll < np.where(np.isfinite(before), before, np.inf) - _LOWER
        healed = new.converged & ~was & (new.twice_nll < before + _LOWER)
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
