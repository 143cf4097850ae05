"""Upper limits and two-sided intervals of one parameter, at one point or versus a grid.

The test statistic is q~ of arXiv:1007.1727, eq. (16): with the best fit of the parameter mu and of
all others at mu_hat >= background,

    q~(mu) = -2 ln L(mu) / L(mu_hat)  for mu_hat <= mu,  0 otherwise.

A value of mu is excluded where CLs = p(s+b) / p(b), the probabilities of a larger q~ with the
signal and without, is less than 1 - cl. `asymptotic` and `by_toys` compute them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span, with_error
from bknn.inference import few_events
from bknn.inference.limits.asymptotic import BAND, EVERYTHING, Asymptotic
from bknn.inference.limits.by_toys import ToyScan, scan
from bknn.inference.limits.conditional_fits import Conditional
from bknn.inference.limits.remarks import (
    FOUND,
    carried_by,
    check_level,
    in_words,
    some_of,
    spread,
    summed_up,
)
from bknn.inference.limits.roots import BEYOND, EDGE, LOST
from bknn.inference.pieces import Compute, Progress, Work

_STATISTICS, _METHODS = ("cls", "clsb"), ("asymptotic", "toys")


@dataclass(frozen=True, eq=False, repr=False)
class Limit(Answer):
    """Upper limits of a parameter at the n points of a grid (n = 1 without one).

    A limit is inf where it lies beyond the upper bound of the parameter, and NaN where a fit it
    needs failed; `remarks` say so. Nothing is interpolated between points.

    Attributes:
        parameter: which one is limited.
        cl: confidence level.
        background: value of the parameter that stands for no signal.
        method, statistic: how it was computed.
        grid: {name: (n,)}.
        observed: upper limits (n,).
        expected: {N: (n,)} for background fluctuations of N = -2 ... 2 standard deviations.
        best: best fit of the parameter, not below `background` (n,).
        remarks: one sentence a point; "found" where nothing is to be said.
        observed_error, expected_error: from the finite number of toys; 0 without toys.
        toys: thrown for each tested value; 0 without toys.
        failed: toys whose fits failed, at each point (n,); they are left out of the fractions.
        scans: what the toys say, at each point, None where there is nothing to scan; empty without
            toys.
        label, units: model and data, and {name: unit}, for figures.
    """

    parameter: str
    cl: float
    background: float
    method: str
    statistic: str
    grid: dict[str, np.ndarray]
    observed: np.ndarray
    expected: dict[int, np.ndarray]
    best: np.ndarray
    remarks: tuple[str, ...]
    observed_error: np.ndarray
    expected_error: dict[int, np.ndarray]
    toys: int = 0
    failed: np.ndarray = field(default_factory=lambda: np.zeros(1, int))
    scans: tuple[ToyScan | None, ...] = ()
    label: str = ""
    units: dict[str, str] = field(default_factory=dict)

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        each = (
            "grid",
            "observed",
            "expected",
            "best",
            "observed_error",
            "expected_error",
            "failed",
        )
        return dict.fromkeys(each, ("point",))

    def field_units(self) -> dict[str, str]:
        unit = self.units.get(self.parameter, "")
        own = ("observed", "expected", "best", "observed_error", "expected_error")
        return dict.fromkeys(own, unit)

    @property
    def converged(self) -> np.ndarray:
        """Whether all six limits were found, and none lies beyond the bound (n,)."""
        return np.asarray(np.isfinite([self.observed, *self.expected.values()]).all(axis=0))

    @property
    def status(self) -> str:
        """What was found, and where it was not."""
        return summed_up(self.remarks, "limit", self.grid)

    def columns(self) -> dict[str, Any]:
        """One row a point."""
        expected = {f"expected_{n:+d}": x for n, x in self.expected.items()}
        return {**self.grid, "observed": self.observed, **expected, "best": self.best}

    def shown(self) -> Shown:
        unit = self.units.get(self.parameter, "")
        what = {"cls": "CLs", "clsb": "CLs+b"}[self.statistic]
        title = f"{what} upper limit of {self.parameter} at {100 * self.cl:g}% ({self.method})"
        shown = spread(len(self.observed))
        rows = [
            (
                *(f"{x[i]:.4g}" for x in self.grid.values()),
                with_error(self.observed[i], self.observed_error[i], unit),
                with_error(self.expected[0][i], self.expected_error[0][i], unit),
                span(self.expected[-1][i], self.expected[1][i], unit),
            )
            for i in shown
        ]
        head = (*self.grid, "observed", "expected", "68% of the expected")
        return Shown(
            f"{title}: {self.label}", head, rows, [some_of(shown, self.observed), self.status]
        )


def limit(
    analysis: Analysis,
    poi: str,
    *,
    over: Mapping[str, ArrayLike] | None = None,
    cl: float = 0.95,
    background: float = 0.0,
    method: str = "asymptotic",
    statistic: str = "cls",
    toys: int = 1000,
    seed: int = 0,
    fixed: Mapping[str, ArrayLike] | None = None,
    data: Data | None = None,
    progress: Progress | None = None,
    work: Work | None = None,
) -> Limit:
    """Upper limits of a parameter, observed and expected, at all points of a grid at once.

    Args:
        analysis: model and measurements.
        poi: name of the parameter.
        over: {name: values (n,)}: one limit for each; several names are varied together.
        cl: confidence level.
        background: value of the parameter without signal. Best fits below it are replaced by it.
        method: "asymptotic" (arXiv:1007.1727), or "toys": thrown at the tested values and at the
            background, with all other parameters as they fit the data best there.
        statistic: "cls" (A. L. Read, J. Phys. G 28 (2002) 2693), or "clsb" without division.
        toys: number for the background, and for each tested value.
        seed: of the toys.
        fixed: {name: value} of parameters that do not float.
        data: one data set in place of the observation.
        progress: is called with the number of fits that have been done since the last call.
        work: keeps what is done, or has it done elsewhere: 64 points at a time, or the toys thrown
            at one value.

    Returns:
        Limits to 1e-6 of their distance from the background; from toys with the error that their
        number leaves (which the asymptotic limits around which they are thrown do not enter).

    Raises:
        UnknownNameError, ParameterError: names, values or options that make no sense.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> found = inference.limit(analysis, "mu")
        >>> print(f"mu < {found.observed[0]:.2f}, expected {found.expected[0][0]:.2f}")
        mu < 6.84, expected 2.51
    """
    if statistic not in _STATISTICS:
        raise errors.unknown("statistic", statistic, _STATISTICS)
    if method not in _METHODS:
        raise errors.unknown("method", method, _METHODS)
    check_level(cl)
    if method == "toys" and toys < 2:
        raise errors.ParameterError(f"{toys} toys were asked for; throw at least two.")
    work = work or Work()
    scans: list[ToyScan | None] = []
    if work and method == "asymptotic":
        options = {"poi": poi, "background": background, "statistic": statistic, "cl": cl}
        found = in_pieces(work, _piece, analysis, over, fixed, data, options, progress)
        grid, limits, best, status = (
            found["grid"],
            found["limits"].T,
            found["best"],
            found["remarks"],
        )
        errors_of = np.zeros_like(limits)
    else:
        rows = 7 if method == "asymptotic" else max(7, toys)
        fits = Conditional(
            analysis, poi, over, fixed, lowest=background, rows=rows, progress=progress, work=work
        )
        search = Asymptotic(fits, fits.observation(data), 1 - cl, statistic)
        limits, outcome = search.run()
        errors_of = np.zeros_like(limits)
        status = [_status(search, i, outcome[:, i], limits[:, i]) for i in range(fits.n)]
        for i in range(fits.n) if method == "toys" else ():
            scanned = scan(search, i, limits[:, i], toys, seed) if search.both_ok[i] else None
            if scanned is not None:
                limits[:, i], errors_of[:, i] = scanned.limits, scanned.errors
                status[i] = scanned.remark(fits.poi, fits.bound_high)
            else:
                limits[:, i] = np.nan
                if status[i].startswith(FOUND):
                    status[i] = "failed: no fit at the tested values converged."
            scans.append(scanned)
        grid = fits.grid
        best = np.where(search.best.ok, search.best.vector[:, fits.index], np.nan)
    return Limit(
        parameter=poi,
        cl=cl,
        background=float(background),
        method=method,
        statistic=statistic,
        grid=grid,
        observed=limits[0],
        expected={sigma: limits[i + 1] for i, sigma in enumerate(BAND)},
        best=best,
        remarks=tuple(status),
        observed_error=errors_of[0],
        expected_error={sigma: errors_of[i + 1] for i, sigma in enumerate(BAND)},
        toys=toys if method == "toys" else 0,
        failed=np.array([s.failed if s else 0 for s in scans] or [0] * len(best), int),
        scans=tuple(scans),
        **in_words(analysis),
    )


#: Points of a grid whose limits are kept together.
PIECE = 64


def in_pieces(
    work: Work,
    compute: Compute,
    analysis: Analysis,
    over: Mapping[str, ArrayLike] | None,
    fixed: Mapping[str, ArrayLike] | None,
    data: Data | None,
    options: Mapping[str, Any],
    progress: Progress | None,
) -> dict[str, Any]:
    """Return what is found at the points of a grid, a few of them at a time."""
    grid = {name: np.atleast_1d(np.asarray(x, float)) for name, x in (over or {}).items()}
    n = max((len(values) for values in grid.values()), default=1)
    held = {name: np.asarray(value, float).tolist() for name, value in (fixed or {}).items()}
    tasks = [
        {
            **options,
            "over": {name: values[i : i + PIECE].tolist() for name, values in grid.items()},
            "fixed": held,
            "data": data,
        }
        for i in range(0, n, PIECE)
    ]
    sizes = [min(PIECE, n - i) for i in range(0, n, PIECE)]
    parts = work.run(compute, analysis, tasks, sizes=sizes, progress=progress)
    found: dict[str, Any] = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    return {**found, "grid": grid, "remarks": found["remarks"].tolist()}


def _piece(analysis: Analysis, **options: Any) -> dict[str, np.ndarray]:
    found = limit(analysis, **options)
    limits = np.stack([found.observed, *found.expected.values()], axis=1)
    return {"limits": limits, "best": found.best, "remarks": np.array(found.remarks)}


def _status(search: Asymptotic, i: int, outcome: np.ndarray, limits: np.ndarray) -> str:
    fits = search.fits
    if not search.null_ok[i]:
        return f"failed: the fit at {fits.poi} = {fits.lowest:g} did not converge."
    words = []
    names = ("observed", *(f"expected {sigma:+d} sigma" for sigma in BAND))
    names = tuple(n.replace("expected +0 sigma", "expected median") for n in names)

    def those(code: int) -> str:
        return ", ".join(n for n, o in zip(names, outcome, strict=True) if o == code)

    if not search.best.ok[i]:
        words.append("failed (observed): the best fit did not converge.")
    elif which := those(LOST):
        words.append(f"failed ({which}): a fit on the way to the limit did not converge.")
    if which := those(BEYOND):
        words.append(
            f"no limit ({which}): {fits.poi} = {fits.bound_high:g}, its upper bound, is not "
            "excluded."
        )
    if which := those(EDGE):
        words.append(
            f"found; where the likelihood ends ({which}): larger values of {fits.poi} make an "
            "expected count negative."
        )
    if which := those(EVERYTHING):
        words.append(
            f"everything above {fits.poi} = {fits.lowest:g} is excluded ({which}): such data "
            "lie so far below the background."
        )
    if not words:
        words.append(FOUND)
    lowest = min(limits[np.isfinite(limits)], default=fits.lowest)
    few = few_events.remark(min(carried_by(fits, search.data, search.null.vector[i], lowest)))
    if few:
        words[-1] = f"{words[-1].rstrip('.')}; {few}"
    analysis = fits.analysis
    floating = [p.name for p in analysis.parameters if p.starts and fits.floats(p.name)]
    if floating:
        words[-1] = words[-1].rstrip(".")
        words.append(
            f"({', '.join(floating)} floats and the likelihood has several minima in it, so the "
            "asymptotic formulas need not hold: put it on the grid, or throw toys)"
        )
    return " ".join(words)


__all__ = ["Limit", "ToyScan", "limit"]
