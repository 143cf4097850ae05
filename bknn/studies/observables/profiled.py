"""Profiles of observables: a fit in which they are parameters.

Each observable o gets a target t and a term ((o - t)/w)^2 in -2 log L, with w so small that it ties
them together; the target is then a parameter like others, and has intervals and contours as all
parameters do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from scipy.special import ndtr

from bknn.analysis.analysis import Analysis
from bknn.analysis.results import Use
from bknn.inference import chi_squared
from bknn.inference.fits.fit import starting_points
from bknn.inference.fits.result import FitResult, single
from bknn.inference.pieces import Progress
from bknn.inference.profiles.contours import Contours, contours
from bknn.inference.profiles.held import Points
from bknn.inference.profiles.intervals import intervals
from bknn.parameters import Parameter
from bknn.prediction import derived_quantities
from bknn.studies.observables.propagation import push
from bknn.studies.observables.quantities import Quantity, evaluate

#: Observables are tied to their targets by this part of their own uncertainty. Intervals widen by
#: half of its square, which is taken off again; tighter ties make fits slow.
_TIGHT = 0.1

#: Where the Hessian does not say how uncertain an observable is, this part of it stands in.
_GUESS = 0.2

#: Other minima of a fit that are higher than this do not matter for 95% intervals.
_WORTH = 8.0


class Range(NamedTuple):
    """From where to where; NaN for what is not known, infinite where the data do not tell."""

    low: float
    high: float


class _Targets:
    """A model with targets of observables among its parameters.

    Attributes:
        model: the model itself, which all attributes but these are of.
        parameters: its own, then one target each, in units of `unit`.
        unit: of the targets (n,).
    """

    def __init__(
        self,
        model: Any,
        values: np.ndarray,
        unit: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        begin: Mapping[str, tuple[float, ...]],
        known: Mapping[str, Parameter],
    ) -> None:
        self.model = model
        self.unit = unit
        own = [
            replace(known[p.name], init=begin[p.name][0], starts=begin[p.name])
            if p.name in begin
            else p
            for p in model.parameters
        ]
        self.parameters = (
            *own,
            *(
                Parameter(target(i), float(v / u), (float(least / u), float(top / u)))
                for i, (v, u, least, top) in enumerate(zip(values, unit, lower, upper, strict=True))
            ),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def target(i: int) -> str:
    """Name of the parameter that is the target of a quantity."""
    return f"target_{i}"


@dataclass(frozen=True, eq=False)
class _Ties:
    """(observable - target)/width of quantities, all 0: a term of `bknn.analysis.results`.

    Attributes:
        quantities: the observables.
        width: of each tie (n,).
    """

    quantities: tuple[Quantity, ...]
    width: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(str(q) for q in self.quantities)

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(q.channel for q in self.quantities))

    @property
    def observed(self) -> np.ndarray:
        return np.zeros(len(self.quantities))

    @property
    def below(self) -> np.ndarray:
        return np.ones(len(self.quantities))

    above = below

    def uses(self, model: Any, *, held: bool = False) -> Sequence[Use]:
        return ()

    def expected(
        self, model: Any, params: Mapping[str, ArrayLike], found: Iterator[Array]
    ) -> Array:
        values = evaluate(model, self.quantities, params)
        targets = jnp.stack([jnp.asarray(params[target(i)]) for i in range(len(self.quantities))])
        return (values - targets * model.unit) / self.width

    def check(self, model: Any) -> None:
        for quantity in self.quantities:
            quantity.check(model)


class Beside(NamedTuple):
    """A fit with observables among the parameters.

    Attributes:
        best: of an Analysis with parameters `target(i)`, observables in units of `unit`.
        fixed: {name: value} of what does not float.
        unit: (n,).
    """

    best: FitResult
    fixed: dict[str, float]
    unit: np.ndarray


def beside(result: FitResult, quantities: Sequence[Quantity], sigma: np.ndarray) -> Beside:
    """Return a fit again, with quantities as parameters.

    Args:
        result: the fit.
        quantities: what becomes a parameter, one number each.
        sigma: how uncertain they are, roughly (n,); NaN if that is not known.
    """
    source = single(result, "predictions are made from")
    values, _ = push(source, quantities).of_fit(result)
    rough = np.where(values != 0, _GUESS * np.abs(values), 1e-6)
    known = np.isfinite(sigma) & (sigma > 0)
    unit = np.where(known, np.where(known, sigma, 1.0), rough)
    derived = np.array([q.is_derived for q in quantities])
    ratios = np.array([q.observable.startswith("r_") for q in quantities])
    own = derived_quantities(source.model)
    ends = [own[q.observable].bounds if q.is_derived else (0.0, 1.0) for q in quantities]
    lower = np.array([low for low, _ in ends])
    upper = np.where(ratios & ~derived, np.inf, [high for _, high in ends])
    upper = np.where(values > upper, np.inf, upper)
    model = _Targets(
        source.model,
        values,
        unit,
        lower,
        upper,
        _near_minima(result),
        {p.name: p for p in source.parameters},
    )
    terms = [*source.terms, _Ties(tuple(quantities), _TIGHT * unit)]
    analysis = Analysis(model, source.measurements, **{**source.options, "terms": terms})
    # Nuisances that their workspace fixes are so in both.
    kept = np.flatnonzero(~result.moving & ~source.fixed)
    fixed = {source.names[i]: float(result.vector[i]) for i in kept}
    # In the program of the profiles, so that only one is compiled.
    return Beside(Points(analysis, (), fixed=fixed).best, fixed, unit)


def _near_minima(result: FitResult) -> dict[str, tuple[float, ...]]:
    """Return {name: starts} of the model's parameters that float: the best fit, then those of its
    starts that lead to other minima not far above."""
    source: Analysis = result.target
    own = [p for i, p in enumerate(source.parameters) if result.moving[i] and not p.nuisance]
    vector = {n: float(x) for n, x in zip(source.names, result.vector, strict=True)}
    found: dict[str, list[float]] = {p.name: [vector[p.name]] for p in own}
    held = {n: vector[n] for i, n in enumerate(source.names) if not result.moving[i]}
    held = {n: x for n, x in held.items() if n not in source.nuisances}
    points = starting_points(source, held, {})[0][0]
    lowest, minima = float(result.twice_nll), np.asarray(result.minima)
    if minima.shape == (len(points),):
        seen = [lowest]
        for k in np.argsort(minima, kind="stable"):
            height = float(minima[k])
            if height < lowest + _WORTH and all(abs(height - other) > 1e-3 for other in seen):
                seen.append(height)
                for p in own:
                    if p.starts:
                        found[p.name].append(float(points[k, source.index(p.name)]))
    # Rates go with the square of a coupling: at 0 they have no slope that leads away from it.
    for p in own:
        if vector[p.name] == 0.0 and source.model.null.get(p.name) == 0.0 and p.init != 0.0:
            found[p.name].append(p.init)
    return {name: tuple(dict.fromkeys(starts)) for name, starts in found.items()}


def profiled(
    result: FitResult,
    quantities: Sequence[Quantity],
    values: np.ndarray,
    sigma: np.ndarray,
    levels: Sequence[float],
    progress: Progress | None,
) -> tuple[np.ndarray, dict[float, tuple[Range, ...]], tuple[str, ...]]:
    """Return best values (n,), {level: profile intervals}, and what is to be said of each.

    Args:
        result: one fit of an Analysis.
        quantities: the observables.
        values, sigma: at the fit, and their uncertainties from its Hessian (n,).
        levels: confidence of the intervals.
        progress: as for `intervals`.
    """
    found = beside(result, quantities, sigma)
    names = [target(i) for i in range(len(quantities))]
    start = values / found.unit
    steps = np.arange(-9, 10) / 3.0
    grid = {
        name: np.unique(
            np.clip(x + steps, *found.best.target.bounds[found.best.target.index(name)])
        )
        for name, x in zip(names, start, strict=True)
    }
    profiles = intervals(
        found.best.target,
        names,
        levels=levels,
        fixed=found.fixed,
        grid=grid,
        best=found.best,
        progress=progress,
    )
    ranges, remarks = {}, [""] * len(names)
    for level in map(float, levels):
        ends = [profiles[n, level] for n in names]
        ranges[level] = tuple(
            Range(*(_end(x.value, end, level) * u for end in (x.low, x.high)))
            for x, u in zip(ends, found.unit, strict=True)
        )
        for i, n in enumerate(names):
            said = profiles[n, level].status
            if said != "closed on both sides.":
                remarks[i] += f"{' ' * bool(remarks[i])}{100 * level:.3g}%: {said}"
    best = np.array([profiles.value[n] for n in names]) * found.unit
    return best, ranges, tuple(remarks)


def _end(best: float, end: float, level: float) -> float:
    """Return where an observable itself reaches a level, from where its target does.

    The target sees the lowest of f(o) + ((o - t)/w)^2 over all o, in place of f: where it has risen
    to h, with the slope g, f rises to h nearer by g w^2/4; g is 2 h/(t - best) but for asymmetries.
    """
    distance = end - best
    if not (np.isfinite(distance) and abs(distance) > _TIGHT):
        return end
    return end - chi_squared.quantile(level, 1) * _TIGHT**2 / (2 * distance)


def predicted_regions(
    result: FitResult,
    x: Quantity,
    y: Quantity,
    *,
    sigmas: Sequence[float] = (1, 2),
    points: int = 9,
    progress: Progress | None = None,
) -> dict[float, tuple[np.ndarray, ...]]:
    """Return contours of the profile likelihood in the plane of two observables.

    Args:
        result: one fit of an Analysis.
        x, y: the observables.
        sigmas: of which contours: -2 log L + 2.30, 6.18.
        points: of the grid that they are looked for on, along each axis.
        progress: as for `contours`.

    Returns:
        {sigmas: polylines}, arrays (n, 2) of both observables.

    Raises:
        UnknownNameError, ParameterError: as for `predictions`.
    """
    analysis = single(result, "predictions are made from")
    wanted = tuple(q.check(analysis.model) for q in (x, y))
    values, covariance = push(analysis, wanted).of_fit(result)
    found = beside(result, wanted, np.sqrt(np.diag(covariance)))
    reach = np.sqrt(-2 * np.log(2 * ndtr(-max(sigmas)))) * 1.4
    axes = {}
    for i in range(2):
        lower, upper = found.best.target.bounds[found.best.target.index(target(i))]
        centre = values[i] / found.unit[i]
        axis = np.linspace(max(lower, centre - reach), min(upper, centre + reach), points)
        axes[target(i)] = axis
    plane: Contours = contours(
        found.best.target,
        axes,
        sigmas=sigmas,
        fixed=found.fixed,
        best=found.best,
        progress=progress,
    )
    # They are a little too wide, as `_end` says.
    centre = np.array([values / found.unit])
    shrink = 1 / np.sqrt(1 + _TIGHT**2)
    return {
        n: tuple((centre + (line - centre) * shrink) * found.unit for line in lines)
        for n, lines in plane.lines.items()
    }
