"""The profile likelihood over one to three parameters, on grids of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import Coordinate
from bknn.inference.fits.result import FitResult
from bknn.inference.minimiser.newton import CONVERGED, NOT_FINITE
from bknn.inference.pieces import Progress, Work
from bknn.inference.profiles.grid_of_fits import LOWER, GridOfFits, kept_values
from bknn.inference.profiles.held import Found, Points


@dataclass(frozen=True, eq=False, repr=False)
class Profile(Answer):
    """-2 log L on a grid of one to three parameters, minimised over all others at every point.

    Attributes:
        target: the Analysis.
        parameters: names of the parameters of the grid.
        axes: their values, one array each.
        twice_nll: -2 log L, constants included, of the shape of the grid; at a point that did not
            converge it is an upper bound.
        slope: its derivatives with respect to the parameters (*grid, parameters).
        outcome: code of `bknn.inference.minimiser.newton` (*grid).
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
    names = [points.analysis.names[i] for i in kept_values(points)]
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
    table = GridOfFits(points, axes, found, np.full((n, len(kept_values(points))), np.nan))
    block = max(1, points.most // points.n_starts)
    for first in range(0, n, block):
        where = np.arange(first, min(first + block, n))
        values = table.values(where)
        table.put(where, points.find(values, progress=progress))
        if repair:
            table.second_opinions(where)
            table.repair(where)
        table.forget(where)
    if table.lowest[0] < float(points.best.twice_nll) - LOWER:
        points.improve(table.lowest[1])
    return Scan(found, table.physics, int(table.repaired.sum()))
