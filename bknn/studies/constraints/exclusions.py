"""The plane of two parameters of a model: where each data set alone excludes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.outline import unit_of
from bknn.answers.packing import Coordinate
from bknn.data import Measurement
from bknn.inference.chi_squared import quantile
from bknn.inference.fits.fit import fit
from bknn.inference.pieces import Progress
from bknn.prediction.derived import check_quantity, named
from bknn.studies.constraints import one_line
from bknn.studies.constraints.at_points import Points

#: The confidence level of exclusions.
LEVEL = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class Exclusions(Answer):
    """What each data set says of a plane of two parameters, all but nuisances held.

    Attributes:
        target: the Analysis of all data sets.
        parameters: the two names.
        axes: their values, one array each.
        fixed: {name: value} of the parameters that were given.
        delta: by name of the data set, -2 log L (nx, ny), nuisances minimised over: of counts above
            its lowest value for rates as in the plane; of other numbers above 0, which is where
            nothing is wrong. NaN where the data set says nothing.
        numbers: of each data set without counts, how many numbers it has.
        ratios: of each bound of theory, the largest ratio of a quantity to its bound (nx, ny).
        quantities: {name: (nx, ny)} of derived quantities for lines in the figure.
        lines: {name: values} at which these are drawn.
        symbols: {name: how figures write it}.
        fits: of each data set with counts, how many fits stand behind it, and how many failed.
        error: of each data set with counts that was interpolated, the largest error of `delta`
            where that is small, found halfway between the nodes.
        above: of these, where more is expected than is liked best (nx, ny); of one mass only.
        refused: why the model has nothing at some points, empty if it has at all; `delta` is NaN
            there.
    """

    target: Analysis
    parameters: tuple[str, str]
    axes: tuple[np.ndarray, np.ndarray]
    fixed: Mapping[str, float]
    delta: Mapping[str, np.ndarray]
    numbers: Mapping[str, int]
    ratios: Mapping[str, np.ndarray] = field(default_factory=dict)
    quantities: Mapping[str, np.ndarray] = field(default_factory=dict)
    lines: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    symbols: Mapping[str, str] = field(default_factory=dict)
    fits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    error: Mapping[str, float] = field(default_factory=dict)
    above: Mapping[str, np.ndarray] = field(default_factory=dict)
    refused: str = ""

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(("delta", "ratios", "quantities", "above"), self.parameters)

    def coordinates(self) -> dict[str, Coordinate]:
        axes = zip(self.parameters, self.axes, strict=True)
        return {name: Coordinate(x, unit_of(self.target, name)) for name, x in axes}

    @property
    def counts(self) -> tuple[str, ...]:
        """Names of the data sets with counts."""
        return tuple(name for name in self.delta if name not in self.numbers)

    def level(self, name: str) -> float:
        """Return the -2 log L above which a data set excludes at 95 %: the quantile of chi^2 for as
        many numbers as it has, two for counts.

        >>> plane = Exclusions(None, ("x", "y"), (), {}, {"a": None}, {"a": 1})
        >>> round(plane.level("a"), 2)
        3.84
        """
        return float(quantile(LEVEL, self.numbers.get(name, 2)))

    def excluded(self, name: str) -> np.ndarray:
        """Return where a data set excludes the model at 95 %, (nx, ny) of bool; of a bound of
        theory, where it is crossed."""
        if name not in self.delta:
            raise errors.unknown("data set", name, self.delta, "the plane")
        if name in self.ratios:
            return np.asarray(self.ratios[name] > 1.0)
        return np.asarray(self.delta[name] > self.level(name))

    @property
    def converged(self) -> bool:
        """Whether all fits did."""
        return not any(failed for _, failed in self.fits.values())

    @property
    def status(self) -> str:
        """What is to be said of each data set, in sentences."""
        said = [self.refused] if self.refused else []
        silent = [name for name, x in self.delta.items() if np.isnan(x).all()]
        if silent:
            said.append(f"Nothing is said in this plane by {', '.join(silent)}.")
        for name, x in self.delta.items():
            if name not in silent and not self.refused and (gone := int(np.isnan(x).sum())):
                said.append(f"{name} says nothing at {gone} of {x.size} points.")
        for name, (done, failed) in self.fits.items():
            how = f"; interpolated, to {self.error[name]:.1g}" if name in self.error else ""
            lost = f"{failed} of {done} fits did not converge" if failed else f"{done} fits"
            said.append(f"{name}: {lost}{how}.")
        return " ".join(said) or "Each data set says something at all points."

    def columns(self) -> Mapping[str, Any]:
        grid = np.meshgrid(*self.axes, indexing="ij")
        along = {name: x.ravel() for name, x in zip(self.parameters, grid, strict=True)}
        every = {**self.delta, **self.quantities}
        return {**along, **{name: x.ravel() for name, x in every.items()}}

    def shown(self) -> Shown:
        held = ", ".join(f"{name} = {x:.4g}" for name, x in self.fixed.items())
        rows = [
            (name, f"{self.level(name):.2f}", f"{100 * self.excluded(name).mean():.0f} %")
            for name in self.delta
        ]
        title = f"Exclusions over {' and '.join(self.parameters)}"
        return Shown(
            title + (f" with {held}" if held else ""),
            ("data", "-2 log L", "excluded"),
            rows,
            [self.status],
        )


def exclusions(
    model: Any,
    measurements: Sequence[Measurement],
    over: Mapping[str, ArrayLike],
    *,
    fixed: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    lines: Mapping[str, ArrayLike] | None = None,
    progress: Progress | None = None,
) -> Exclusions:
    """Return where each data set alone excludes a model, in the plane of two of its parameters.

    Only nuisances (what has a constraint: hadronic widths, form factors, those of counts) are
    minimised over; all other parameters are held at `fixed`, or at their defaults (couplings, where
    one is given or spans the plane, at 0).

    *Numbers and limits.* With p the differences from what was observed over their widths, and A
    their changes by one standard deviation of each nuisance (half of that between both sides),
    -2 log L is p^T (1 + A A^T)^-1 p: what minimising gives where the dependence is linear.

    *Counts* of a model that is the standard model and one particle at low energies: -2 log L is
    interpolated in its rate, mass and width (`bknn.studies.constraints.one_line`), with nuisances
    of which only the rate knows minimised over in addition. Of other models each point is fitted,
    which takes longer.

    Args:
        model: from `bknn.models.load`.
        measurements: from `bknn.data.load`, at least one.
        over: {name: values} of two parameters.
        fixed: {name: value} of others.
        free: names of nuisances that the model keeps fixed and that shall be minimised over.
        lines: {derived quantity: values} whose contours are of interest.
        progress: is called with the number of points of the plane that have been done.

    Raises:
        ParameterError: not two parameters; a data set on a quantity that the model does not have.
        UnknownNameError: an unknown parameter or quantity.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import data, models, studies
        >>> model = models.load("dark-photon")
        >>> plane = studies.exclusions(
        ...     model, data.load_all("all-light-vector", model),
        ...     {"mass": [1.0, 2.0, 2.5], "epsilon": [1e-4, 1e-3, 1e-2]},
        ... )  # doctest: +SKIP
    """
    held = {name: float(np.asarray(x)) for name, x in (fixed or {}).items()}
    wanted = {
        k: tuple(np.atleast_1d(np.asarray(x, float)).tolist()) for k, x in (lines or {}).items()
    }
    target = asked(model, measurements, over, fixed=held, free=free)
    check_quantity(model, *wanted)
    names = (x_name, y_name) = tuple(over)
    axes = tuple(np.asarray(over[name], float) for name in names)
    grid = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    plane = Points(target, names, held, tuple(wanted), grid[len(grid) // 2])
    refused, why = plane.refused(grid)
    told = plane.at(grid, progress)
    shape = tuple(len(x) for x in axes)

    delta: dict[str, np.ndarray] = {}
    fits: dict[str, tuple[int, int]] = {}
    error: dict[str, float] = {}
    above: dict[str, np.ndarray] = {}
    for m in measurements:
        if m.name in plane.sets:
            delta[m.name] = told.delta[:, list(plane.sets).index(m.name)].reshape(shape)
        elif m.name in plane.lines and (line := plane.line(m, told)) is not None:
            found = one_line.twice_nll_of(*line, progress=progress)
            delta[m.name] = (found.twice_nll - found.lowest).reshape(shape)
            fits[m.name], error[m.name] = (found.fits, found.failed), found.error
            if np.ptp(line[2].mass) == 0.0:
                above[m.name] = found.above.reshape(shape)
        else:
            delta[m.name], fits[m.name] = _fitted(model, m, over, plane, progress)
    gone = refused.reshape(shape)
    delta = {name: np.where(gone, np.nan, x) for name, x in delta.items()}
    known = named(model)
    numbers = {name: len(where) for name, where in plane.sets.items()}
    bounds = {name: told.ratios[:, i].reshape(shape) for i, name in enumerate(plane.bounds)}
    return Exclusions(
        target,
        (x_name, y_name),
        (axes[0], axes[1]),
        held,
        delta,
        numbers,
        bounds,
        {name: told.quantities[:, i].reshape(shape) for i, name in enumerate(wanted)},
        wanted,
        {name: known[name].label for name in wanted},
        fits,
        error,
        above,
        why,
    )


def asked(
    model: Any,
    measurements: Sequence[Measurement],
    over: Mapping[str, ArrayLike],
    *,
    fixed: Mapping[str, float],
    free: Sequence[str] = (),
) -> Analysis:
    """Return the analysis of all data sets.

    Raises:
        ParameterError: there are not two parameters, or one stands in both.
        UnknownNameError: an unknown parameter.
    """
    if len(over) != 2:
        raise errors.ParameterError(
            f"a plane has two parameters, and {len(over)} were given ({', '.join(over)}); keep the "
            "others with `fixed` (--fix)."
        )
    if both := sorted(set(over) & set(fixed)):
        raise errors.ParameterError(f"{both[0]!r} spans the plane and is fixed; leave one out.")
    for name in (*over, *fixed):
        if name not in (known := {p.name for p in model.parameters}):
            raise errors.unknown("parameter", name, known, f"model {model.name!r}")
    own = {p.name for p in model.parameters if p.fixed}
    floats = [name for name in dict.fromkeys([*over, *fixed, *free]) if name in own]
    return Analysis(model, measurements, free=floats)


def _fitted(
    model: Any,
    measurement: Measurement,
    over: Mapping[str, ArrayLike],
    plane: Points,
    progress: Progress | None,
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return -2 log L of counts above its lowest, by a fit at each point, and how many failed."""
    own = {p.name for p in model.parameters if p.fixed}
    moved = {**plane.values, **dict.fromkeys(over, 0.0)}
    free = [name for name in moved if name in own and (name in over or name in plane.given)]
    analysis = Analysis(model, measurement, free=free)
    kept = {
        p.name: plane.values[p.name]
        for p in analysis.parameters
        if p.name not in over and p.name not in plane.nuisances
    }
    grid = np.meshgrid(*(np.asarray(x, float) for x in over.values()), indexing="ij")
    held = {name: np.full(grid[0].size, x) for name, x in kept.items()}
    held |= {name: x.ravel() for name, x in zip(over, grid, strict=True)}
    found = fit(analysis, fixed=held, progress=progress)
    twice_nll = np.asarray(found.twice_nll).reshape(grid[0].shape)
    lost = int((~np.asarray(found.converged) & np.isfinite(found.twice_nll)).sum())
    return twice_nll - np.nanmin(twice_nll), (twice_nll.size, lost)
