"""Confidence intervals of a bounded parameter by the unified approach (physics/9711021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import Coordinate
from bknn.inference.limits.belt import SURE, Summed, Thrown
from bknn.inference.limits.conditional_fits import EQUAL, Conditional
from bknn.inference.limits.exact_sums import every_outcome
from bknn.inference.pieces import Progress, Work
from bknn.parameters import real

_METHODS = ("auto", "toys", "sums")

#: Data sets over which sums are taken, at most.
_MOST = 2000

#: How well ends are found, as a part of the grid: with toys, and with sums.
_BY_TOYS, _BY_SUMS = 1e-3, 1e-7


class Ends(NamedTuple):
    """An interval, with the errors that the number of toys and the steps of the grid leave.

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


@dataclass(frozen=True, eq=False, repr=False)
class FeldmanCousins(Answer):
    """The unified approach at n values of a parameter.

    Attributes:
        parameter, levels: what was tested, and confidence levels (l,).
        lowest: physical lower bound of the parameter.
        method: "toys", or "sums" over everything that may come out.
        grid: tested values (n,): those that were asked for, and more where the ends are.
        observed: t = -2 ln L(value) / L(best fit) of the data (n,).
        critical: t that a fraction `level` of the toys does not exceed (l, n).
        critical_error: from their finite number (l, n); 0 for sums.
        p: fraction of toys with a t as large as observed, or larger (n,); a probability for sums.
        p_error: binomial (n,); 0 for sums.
        best: best fit of the parameter, not below `lowest`.
        toys: thrown for each value; 0 for sums.
        failed: toys whose fits failed (n,); they are left out of the fractions.
        remarks: one sentence a value.
        label, unit: model and data, and the unit of the parameter.
    """

    parameter: str
    levels: tuple[float, ...]
    lowest: float
    method: str
    grid: np.ndarray
    observed: np.ndarray
    critical: np.ndarray
    critical_error: np.ndarray
    p: np.ndarray
    p_error: np.ndarray
    best: float
    toys: int
    failed: np.ndarray
    remarks: tuple[str, ...]
    label: str = ""
    unit: str = ""

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        both = dict.fromkeys(("critical", "critical_error"), ("level", "value"))
        own = ("grid", "observed", "p", "p_error", "failed")
        return {**both, **dict.fromkeys(own, ("value",))}

    def coordinates(self) -> dict[str, Coordinate]:
        return {
            "level": Coordinate(self.levels),
            "value": Coordinate(self.grid, self.unit, self.parameter),
        }

    @property
    def converged(self) -> np.ndarray:
        """Which values have an answer (n,)."""
        return np.isfinite(self.observed)

    def columns(self) -> dict[str, np.ndarray]:
        """One row a tested value."""
        return {self.parameter: self.grid, "t": self.observed, "p": self.p, "p_error": self.p_error}

    @property
    def accepted(self) -> np.ndarray:
        """Which values belong to the intervals (l, n) of bool; none where a fit failed."""
        return np.asarray(self.observed[None, :] <= self.critical + EQUAL)

    def regions(self, level: float) -> tuple[Ends, ...]:
        """Return the accepted regions of a level, in order.

        An end is half-way between the outermost value that is accepted and the next one. Its error
        is half of what separates these, or more: half the distance to the nearest values where p is
        two errors above and below 1 - level. A gap that may be there by chance is none.

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
                f"{self.grid[bad[0]]:g} ({self.remarks[bad[0]]}); there is no interval across them."
                " Leave them out of the grid, or look at `accepted`."
            )
        inside = self.accepted[self.levels.index(level)]
        surely_out = ~inside & (self.p + SURE * self.p_error <= 1 - level)
        parts: list[list[int]] = []
        for k in np.flatnonzero(inside).tolist():
            if parts and not surely_out[parts[-1][1] : k].any():
                parts[-1][1] = k
            else:
                parts.append([k, k])
        return tuple(self._ends(first, last, level) for first, last in parts)

    def _ends(self, first: int, last: int, level: float) -> Ends:
        """Return the region whose accepted values go from one number to another."""
        (low, low_error), (high, high_error) = (
            self._end(k, side, level) for k, side in ((first, -1), (last, 1))
        )
        return Ends(low, high, low_error, high_error, first == 0, last == len(self.grid) - 1)

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

    def _end(self, j: int, side: int, level: float) -> tuple[float, float]:
        """Return the end of a region beyond its outermost value j, and its error."""
        x, alpha = self.grid, 1 - level
        last = len(x) - 1 if side > 0 else 0
        if j == last:
            return float(x[j]), 0.0
        beyond = np.arange(j + side, last + side, side)
        within = np.arange(j, len(x) - 1 - last - side, -side)
        inside = within[self.p[within] - SURE * self.p_error[within] > alpha]
        outside = beyond[self.p[beyond] + SURE * self.p_error[beyond] <= alpha]
        first = x[inside[0]] if inside.size else x[within[-1]]
        final = x[outside[0]] if outside.size else x[last]
        end, half = 0.5 * (x[j] + x[j + side]), 0.5 * abs(x[j + side] - x[j])
        return float(end), float(max(half, abs(end - first) / SURE, abs(final - end) / SURE))

    @property
    def status(self) -> str:
        """Whether every value has an answer."""
        bad = [i for i, s in enumerate(self.remarks) if s.startswith("failed")]
        if bad:
            return (
                f"{len(bad)} of {len(self.grid)} values failed; the first is "
                f"{self.parameter} = {self.grid[bad[0]]:g}: {self.remarks[bad[0]]}"
            )
        if lost := int(self.failed.sum()):
            return (
                f"{lost} of {self.toys * len(self.grid)} toys have fits that did not converge and "
                "are left out."
            )
        return f"all {len(self.grid)} values have an answer."

    def shown(self) -> Shown:
        rows = []
        for level in self.levels if self.converged.all() else ():
            parts = " and ".join(span(r.low, r.high, self.unit) for r in self.regions(level))
            rows.append((f"{100 * level:g}%", parts or "nothing on the grid"))
        title = f"Feldman-Cousins intervals of {self.parameter} ({self.method}): {self.label}"
        return Shown(title, (), rows, [self.status])


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
    method: str = "auto",
    resolution: float | None = None,
    progress: Progress | None = None,
    work: Work | None = None,
) -> FeldmanCousins:
    """Test values of a bounded parameter against toys thrown there, or against all outcomes.

    G. J. Feldman and R. D. Cousins (physics/9711021): a value belongs to the interval if its
    likelihood ratio to the best physical fit is not among the least likely 1 - level. Other
    parameters are those that fit the data best at that value (profile construction, or plug-in:
    exact without nuisances, approximate with).

    Steps of the grid in which acceptance changes are halved, so that ends are found where p jumps,
    as it does for counts. What is narrower than a step (with sums: than a thousandth of the grid)
    and not at an end may be missed.

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
        method: "toys"; "sums" over everything that may come out, where only counts are measured and
            only constraints by counts float; "auto" for sums where there are few enough (2000 data
            sets at most), toys elsewhere.
        resolution: steps of this width are not halved; by default a thousandth of the grid with
            toys, 1e-7 of it with sums. Infinity keeps the grid as it is.
        progress: is called with the number of fits that have been done since the last call.
        work: keeps the toys of values that are done, or has them done elsewhere.

    Raises:
        UnknownNameError, ParameterError: names, values, levels or a method that make no sense.

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
    if method not in _METHODS:
        raise errors.unknown("method", method, _METHODS)
    if toys < 2:
        raise errors.ParameterError(f"{toys} toys were asked for; throw at least two.")
    for level in levels:
        if not 0 < level < 1:
            raise errors.ParameterError(
                f"a confidence level is {level:g}; give numbers between 0 and 1."
            )
    if resolution is not None and not resolution > 0:
        raise errors.ParameterError(
            f"a resolution of {resolution:g} was asked for; give a positive width of {poi!r}."
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
    where = np.zeros(len(values), int)
    outcomes = None
    if method != "toys":
        truths = fits.first(where, values, observation).vector
        outcomes = every_outcome(analysis, truths, fits.floating, observation, _MOST)
        if outcomes is None and method == "sums":
            raise errors.ParameterError(
                f"there are no sums for {analysis!r}: a normal constraint floats, something else "
                f"than counts is measured, or more than {_MOST} data sets may come out; leave out "
                "method='sums', and toys are thrown."
            )
    belt: Thrown | Summed
    if outcomes is None:
        belt, part = Thrown(fits, observation, levels, toys, seed), _BY_TOYS
    else:
        belt, part = Summed(fits, observation, levels, outcomes), _BY_SUMS
    belt.add(values)
    belt.refine(part * np.ptp(values) if resolution is None else resolution)
    order = np.argsort(belt.values)
    p = belt.p()[order]
    return FeldmanCousins(
        parameter=poi,
        levels=belt.levels,
        lowest=fits.lowest,
        method="toys" if outcomes is None else "sums",
        grid=belt.values[order],
        observed=np.where(np.isfinite(p), belt.observed[order], np.nan),
        critical=belt.critical()[:, order],
        critical_error=belt.critical_error()[:, order],
        p=p,
        p_error=belt.p_error()[order],
        best=float(belt.best.vector[0, fits.index]),
        toys=toys if outcomes is None else 0,
        failed=belt.failed()[order],
        remarks=tuple(belt.status(k) for k in order),
        label=subject(analysis),
        unit=unit_of(analysis, poi),
    )
