"""What data say about observables that nobody has measured yet: predictions with uncertainties.

A fit, a profile or a posterior of one set of measurements knows couplings and masses, and with them
every other observable of the model, correlations included. There are three ways to say how well:

- "hessian": the covariance of a fit, propagated linearly with exact derivatives;
- "profile": the values that points of the likelihood reach within a rise of -2 log L, all
  parameters fitted again for each value;
- "posterior": draws, pushed through the formulas.

Form factors that the data do not depend on (those of B -> K* in a fit of B -> K) are in all three,
with the Gaussian of their own fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from scipy.stats import chi2, norm

from bknn import errors, prediction
from bknn.analysis import Analysis
from bknn.data import Measurement, Result
from bknn.decay.channels import channel as find_channel
from bknn.inference import batch
from bknn.inference.contours import Contours, contours
from bknn.inference.fit import starting_points
from bknn.inference.highest import highest_density
from bknn.inference.intervals import ONE_SIGMA, intervals
from bknn.inference.points import Points
from bknn.inference.posterior import Posterior
from bknn.inference.profile import Profile
from bknn.inference.result import FitResult
from bknn.inference.target import in_pieces
from bknn.parameters import Parameter
from bknn.results import Results
from bknn.spectrum import Spectrum

METHODS = ("hessian", "profile", "posterior")

Source = FitResult | Profile | Posterior

#: Observables are tied to their targets by this part of their own uncertainty. Intervals widen by
#: half of its square, which is taken off again; tighter ties make fits slow.
_TIGHT = 0.1

#: Where the Hessian does not say how uncertain an observable is, this part of it stands in.
_GUESS = 0.2

#: Other minima of a fit that are higher than this do not matter for 95% intervals.
_WORTH = 8.0


@dataclass(frozen=True)
class Quantity:
    """An observable of a decay.

    Attributes:
        observable: one of `bknn.prediction.OBSERVABLES`.
        channel: one of `bknn.decay.channels.CHANNELS`.
        q2: a bin (lower, upper) or, for "dbr_dq2" and "f_l", a point, GeV^2; None is all.
        around: half of the width, GeV^2, of a bin around the square of the mass of the model,
            wherever the fit puts it; in place of `q2`.

    >>> str(Quantity("f_l", "B0 -> K*0", around=1.0))
    'f_l, B0 -> K*0, mass^2 -+ 1 GeV^2'
    """

    observable: str = "branching_ratio"
    channel: str = "B+ -> K+"
    q2: tuple[float, float] | float | None = None
    around: float | None = None

    def edges(self, params: Mapping[str, ArrayLike]) -> Any:
        """Return the bin, GeV^2: two numbers, or an array (2,); None for a point."""
        if self.around is not None:
            place = jnp.asarray(params["mass"]) ** 2
            return jnp.stack([jnp.maximum(place - self.around, 0.0), place + self.around])
        if self.q2 is None:
            return 0.0, np.inf
        return self.q2 if isinstance(self.q2, tuple) else None

    def check(self, model: Any) -> Quantity:
        """Return it if the model predicts it.

        Raises:
            UnknownNameError, ParameterError: as for `bknn.predict`; a bin around a mass that the
                model does not have.
        """
        q2: Any = self.q2
        if self.around is not None:
            if self.q2 is not None:
                raise errors.ParameterError(
                    f"{self.observable!r} of {self.channel!r} is asked for in the bin {self.q2} "
                    "and in one around a mass; leave one of them out."
                )
            if not self.around > 0:
                raise errors.ParameterError(
                    f"a bin around a mass needs a positive half width in GeV^2, not {self.around}."
                )
            values = {p.name: p.init for p in model.parameters}
            if "mass" not in values or not _has_lines(model, values, self.channel):
                raise errors.ParameterError(
                    f"model {model.name!r} has no narrow line in q2, so there is no bin around "
                    "its mass; give the bin itself."
                )
            q2 = (1.0, 2.0)
        prediction.check(model, self.observable, self.channel, q2)
        return self

    @property
    def where(self) -> str:
        """The region of q2 in words."""
        if self.around is not None:
            return f"mass^2 -+ {self.around:g}"
        if self.q2 is None:
            return "all"
        if isinstance(self.q2, tuple):
            return f"{self.q2[0]:g} ... {self.q2[1]:g}"
        return f"{self.q2:g}"

    def __str__(self) -> str:
        unit = "" if self.where == "all" else " GeV^2"
        return f"{self.observable}, {self.channel}, {self.where}{unit}"


def in_bins(
    model: Any, channel: str, params: Mapping[str, ArrayLike], bins: Sequence[Any]
) -> tuple[Array, Array]:
    """Return branching fractions in bins (n,), and those of a vector meson in helicity 0 alone.

    The same as `bknn.prediction.value`, one by one, in a smaller program: spectra are made once.

    Args:
        model, channel, params: as for `bknn.prediction.value`.
        bins: lower and upper edge of each, GeV^2; from 0 to infinity is all.
    """

    def amounts(**options: bool) -> Array:
        spectrum = model.spectrum(params, channel, **options)

        def one(low: Any, high: Any) -> Array:
            found = prediction.branching_ratio(model, channel, spectrum, q2=(low, high))
            return jnp.asarray(found)

        # What is a sum of fixed shapes is integrated beforehand, where the edges are known.
        shapes = all(c.as_shapes() is not None for c in spectrum.continua)
        known = [shapes and isinstance(x, tuple) for x in bins]
        found = [one(*x) if k else None for x, k in zip(bins, known, strict=True)]
        if others := [jnp.asarray(x) for x, k in zip(bins, known, strict=True) if not k]:
            more = iter(jax.vmap(one)(*jnp.stack(others).T))
            found = [next(more) if x is None else x for x in found]
        return jnp.stack([x for x in found if x is not None])

    whole = amounts()
    return (whole, amounts(longitudinal=True)) if find_channel(channel).vector else (whole, whole)


def evaluate(model: Any, quantities: Sequence[Quantity], params: Mapping[str, ArrayLike]) -> Array:
    """Return what a model predicts for quantities (n,), a pure JAX function of all its parameters.

    Bins of one channel are computed together.
    """
    found: dict[Quantity, Array] = {}
    for channel in dict.fromkeys(q.channel for q in quantities):
        own = [q for q in quantities if q.channel == channel]
        edges = {q: e for q in own if (e := q.edges(params)) is not None}
        if edges:
            bins = list(edges.values())
            whole, part = in_bins(model, channel, params, bins)
            null: tuple[Array, Array] | None = None
            if any(q.observable.startswith("r_") for q in edges):
                other, others = prediction.null_of(model, params)
                null = in_bins(other, channel, others, bins)
            for i, q in enumerate(edges):
                found[q] = _observable(q.observable, (whole[i], part[i]))
                if q.observable.startswith("r_"):
                    assert null is not None
                    found[q] /= _observable(q.observable, (null[0][i], null[1][i]))
        for q in own:
            if q not in edges:
                found[q] = prediction.value(model, q.observable, channel, params, q.q2)
    return jnp.stack([found[q] for q in quantities])


def _observable(name: str, amounts: tuple[Array, Array]) -> Array:
    """Return a branching fraction or a polarisation from all decays and longitudinal ones."""
    whole, part = amounts
    if not name.endswith("f_l"):
        return whole
    # Where nothing decays there is no polarisation: 0, not NaN.
    return jnp.where(whole > 0.0, part / jnp.where(whole > 0.0, whole, 1.0), 0.0)


def _has_lines(model: Any, values: Mapping[str, float], channel: str) -> bool:
    found: list[bool] = []

    def look(x: Array) -> Array:
        found.append(bool(model.spectrum(values, channel).lines))
        return x

    jax.eval_shape(look, jnp.zeros(()))
    return found[0]


class Range(NamedTuple):
    """From where to where; NaN for what is not known, infinite where the data do not tell."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Predictions:
    """Observables with what data say about them.

    Attributes:
        analysis: whose data.
        quantities: the observables.
        method: "hessian", "profile" or "posterior".
        values: at the best fit, or the median of the draws (n,).
        uncertainties: standard deviations (n,), of the Hessian also for "profile". NaN where it
            says nothing: where the data do not determine what the quantity depends on.
        correlation: of the quantities (n, n).
        ranges: {level: one Range a quantity}.
        draws: (draws, n) of a posterior, None otherwise.
        remarks: what is to be said about a quantity, one text each, empty if nothing.
    """

    analysis: Analysis
    quantities: tuple[Quantity, ...]
    method: str
    values: np.ndarray
    uncertainties: np.ndarray
    correlation: np.ndarray
    ranges: Mapping[float, tuple[Range, ...]]
    draws: np.ndarray | None
    remarks: tuple[str, ...]

    def index(self, quantity: Quantity) -> int:
        """Position of a quantity."""
        if quantity not in self.quantities:
            raise errors.unknown("quantity", str(quantity), [str(q) for q in self.quantities])
        return self.quantities.index(quantity)

    def __len__(self) -> int:
        return len(self.quantities)

    def __repr__(self) -> str:
        lines = [f"Predictions ({self.method})"]
        for i, q in enumerate(self.quantities):
            spans = ", ".join(
                f"{100 * level:.3g}% [{r[i].low:.4g}, {r[i].high:.4g}]"
                for level, r in self.ranges.items()
            )
            lines.append(f"  {q}: {self.values[i]:.4g}, {spans}")
        return "\n".join(lines)


def predictions(
    source: Source,
    quantities: Sequence[Quantity],
    *,
    method: str | None = None,
    levels: Sequence[float] = (ONE_SIGMA, 0.95),
    seed: int = 0,
    progress: batch.Progress | None = None,
) -> Predictions:
    """Return what data say about observables.

    Args:
        source: a fit, a profile (its best fit is taken; all parameters but those that were fixed
            move), or a posterior.
        quantities: the observables.
        method: "profile" (the default of a fit) or "hessian"; "posterior" for a posterior.
        levels: probabilities of the intervals: confidence of profile intervals, probability of
            highest-density intervals.
        seed: of the draws of form factors that the data do not depend on.
        progress: is called with the number of profile intervals done since the last call.

    A profile interval holds the values of the observable that points of the likelihood reach with a
    rise of -2 log L below the quantile of chi2 with one degree of freedom. Each observable o gets a
    target t and a term ((o - t)/w)^2 in -2 log L, with w so small that it ties them together; the
    target is then a parameter like others, with the `intervals` of all parameters.

    Raises:
        UnknownNameError, ParameterError: a quantity that the model does not predict, a method that
            does not fit to the source, or a batch of fits.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("vector"), bknn.data.load("belle2-2025"))
        >>> best = inference.fit(analysis, fixed={"mass": 2.1})
        >>> wanted = [inference.Quantity("branching_ratio", "B0 -> K*0")]
        >>> found = inference.predictions(best, wanted, method="hessian")
        >>> print(f"{found.values[0]:.1e}")
        1.1e-05
    """
    best = source.best if isinstance(source, Profile) else source
    analysis = analysis_of(best)
    known = ("posterior",) if isinstance(best, Posterior) else ("profile", "hessian")
    method = known[0] if method is None else method
    if method not in METHODS:
        raise errors.unknown("method", method, METHODS)
    if method not in known:
        raise errors.ParameterError(
            f"method {method!r} does not go with a {type(source).__name__}; it is for a "
            f"{'posterior' if method == 'posterior' else 'fit or a profile'}. Leave it out."
        )
    if not quantities:
        raise errors.ParameterError("no observable is asked for; give at least one Quantity.")
    wanted = tuple(q.check(analysis.model) for q in quantities)
    for level in levels:
        if not 0 < level < 1:
            raise errors.ParameterError(
                f"the levels of intervals are probabilities between 0 and 1; {level:g} came."
            )
    if isinstance(best, Posterior):
        return _from_draws(best, wanted, levels, seed)
    found = _from_hessian(best, wanted, levels)
    return found if method == "hessian" else _from_profile(best, found, levels, progress)


def analysis_of(source: Source) -> Analysis:
    """Return whose fit, profile or posterior it is.

    Raises:
        ParameterError: a batch of fits, or something else.
    """
    if isinstance(source, Posterior):
        return source.analysis
    return single(source.best if isinstance(source, Profile) else source)


def single(result: FitResult) -> Analysis:
    """Return the analysis of one fit."""
    if not isinstance(result, FitResult) or not isinstance(result.target, Analysis):
        raise errors.ParameterError(
            f"predictions are made from a fit, a profile or a posterior of an Analysis, not from "
            f"{result!r}."
        )
    if result.vector.ndim != 1:
        raise errors.ParameterError(
            f"this is a batch of {len(result.vector)} fits; predict from one of them, as in "
            "result[0]."
        )
    return result.target


# Through the formulas ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Push:
    """A function of the parameters of a model, as one of what an analysis knows of them.

    Attributes:
        analysis: whose parameters.
        channels: decay channels that the function depends on.
        function: of {name: value}, of all parameters of the model; returns (n,).
    """

    analysis: Analysis
    channels: tuple[str, ...]
    function: Callable[[Mapping[str, Any]], Array]

    @cached_property
    def others(self) -> tuple[Parameter, ...]:
        """Constrained parameters that the data do not depend on: form factors of other decays."""
        model = self.analysis.model
        if not hasattr(model, "nuisances"):
            return ()
        own = {p.name for p in self.analysis.parameters} | set(self.analysis.constants)
        return tuple(p for p in model.nuisances(self.channels) if p.name not in own)

    def __call__(self, physics: Array, others: Array) -> Array:
        """Return the values (n,) at the parameters of the analysis that are not nuisances of its
        measurements, and at `others`."""
        params: dict[str, Any] = dict(self.analysis.constants)
        params |= {p.name: physics[i] for i, p in enumerate(self.analysis.parameters)}
        params |= {p.name: others[i] for i, p in enumerate(self.others)}
        return self.function(params)

    def of_fit(self, result: FitResult) -> tuple[np.ndarray, np.ndarray]:
        """Return values (n,) and their covariance (n, n) at a fit."""
        n = len(self.analysis.parameters)
        centre = np.array([p.constraint[0] for p in self.others if p.constraint], float)
        width = np.array([p.constraint[1] for p in self.others if p.constraint], float)

        @jax.jit
        def both(physics: Array, others: Array) -> tuple[Array, tuple[Array, Array]]:
            return self(physics, others), jax.jacfwd(self, (0, 1))(physics, others)

        values, (slopes, more) = both(jnp.asarray(result.vector[:n]), jnp.asarray(centre))
        slopes, more = np.asarray(slopes), np.asarray(more) * width
        covariance = np.asarray(result.covariance)[:n, :n]
        # What nothing depends on may be undetermined.
        used = np.any(slopes != 0, axis=0)
        within = slopes[:, used] @ covariance[np.ix_(used, used)] @ slopes[:, used].T
        return np.asarray(values), within + more @ more.T

    def of_draws(self, posterior: Posterior, seed: int) -> np.ndarray:
        """Return values (draws, n) of a posterior, each with a draw of the other parameters."""
        n = len(self.analysis.parameters)
        random = np.random.default_rng(seed)
        others = [
            p.constraint[0] + p.constraint[1] * random.standard_normal(len(posterior.flat))
            for p in self.others
            if p.constraint
        ]
        rows = np.column_stack([posterior.flat[:, :n], *others])
        return in_pieces(jax.vmap(lambda row: self(row[:n], row[n:])))(rows)


def push(analysis: Analysis, quantities: Sequence[Quantity]) -> Push:
    """Return quantities as a function."""
    channels = tuple(dict.fromkeys(q.channel for q in quantities))

    def function(params: Mapping[str, Any]) -> Array:
        return evaluate(analysis.model, quantities, params)

    return Push(analysis, channels, function)


def _correlation(covariance: np.ndarray) -> np.ndarray:
    sigma = np.sqrt(np.diag(covariance))
    outer = np.outer(sigma, sigma)
    return np.where(outer > 0, covariance / np.where(outer > 0, outer, 1.0), 0.0)


def _from_draws(
    posterior: Posterior, quantities: tuple[Quantity, ...], levels: Sequence[float], seed: int
) -> Predictions:
    draws = push(posterior.analysis, quantities).of_draws(posterior, seed)
    return Predictions(
        posterior.analysis,
        quantities,
        "posterior",
        np.median(draws, axis=0),
        np.std(draws, axis=0),
        _correlation(np.atleast_2d(np.cov(draws.T))),
        {p: tuple(Range(*highest_density(x, p)) for x in draws.T) for p in map(float, levels)},
        draws,
        ("" if posterior.converged else posterior.status,) * len(quantities),
    )


def _from_hessian(
    best: FitResult, quantities: tuple[Quantity, ...], levels: Sequence[float]
) -> Predictions:
    values, covariance = push(best.target, quantities).of_fit(best)
    sigma = np.sqrt(np.diag(covariance))
    reach = {float(p): float(norm.ppf(0.5 + 0.5 * p)) * sigma for p in levels}
    texts = [] if bool(best.converged) else ["the best fit did not converge."]
    if stuck := best.at_bounds:
        texts.append(f"{', '.join(stuck)} at a bound, taken as fixed.")
    unknown = "the data do not determine what it depends on, so the Hessian says nothing."
    return Predictions(
        best.target,
        quantities,
        "hessian",
        values,
        sigma,
        _correlation(covariance),
        {
            p: tuple(Range(v - r, v + r) for v, r in zip(values, x, strict=True))
            for p, x in reach.items()
        },
        None,
        tuple(" ".join([*texts, *([unknown] * bool(np.isnan(s)))]) for s in sigma),
    )


# Profiles of observables ---------------------------------------------------------------------


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
        upper: np.ndarray,
        begin: Mapping[str, tuple[float, ...]],
    ) -> None:
        self.model = model
        self.unit = unit
        own = [
            replace(p, init=begin[p.name][0], starts=begin[p.name]) if p.name in begin else p
            for p in model.parameters
        ]
        self.parameters = (
            *own,
            *(
                Parameter(target(i), float(v / u), (0.0, float(top / u)))
                for i, (v, u, top) in enumerate(zip(values, unit, upper, strict=True))
            ),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def target(i: int) -> str:
    """Name of the parameter that is the target of a quantity."""
    return f"target_{i}"


class _Tied(Results):
    """The results of an analysis, then (observable - target)/width of quantities, all 0."""

    def __init__(self, own: Results, quantities: Sequence[Quantity], width: np.ndarray) -> None:
        self.own, self.quantities, self.width = own, tuple(quantities), width
        n = len(quantities)
        self.names = (*own.names, *(str(q) for q in quantities))
        self.channels = tuple(dict.fromkeys([*own.channels, *(q.channel for q in quantities)]))
        self.observed = np.concatenate([own.observed, np.zeros(n)])
        self.below = np.concatenate([own.below, np.ones(n)])
        self.above = np.concatenate([own.above, np.ones(n)])

    def __len__(self) -> int:
        return len(self.names)

    def uses(self, model: Any) -> list[tuple[str, Callable[[Spectrum], Array]]]:
        """As of the results alone."""
        return self.own.uses(model)

    def expected(
        self, model: Any, params: Mapping[str, ArrayLike], branching_ratios: Sequence[Array]
    ) -> Array:
        """Return what a model expects of both (m,)."""
        values = evaluate(model, self.quantities, params)
        targets = jnp.stack([jnp.asarray(params[target(i)]) for i in range(len(self.quantities))])
        tied = (values - targets * model.unit) / self.width
        if not len(self.own):
            return tied
        return jnp.concatenate([self.own.expected(model, params, branching_ratios), tied])


class _Beside(Analysis):
    """An analysis with quantities tied to targets, which are parameters of it."""

    def __init__(
        self,
        source: Analysis,
        quantities: Sequence[Quantity],
        model: _Targets,
        width: np.ndarray,
    ) -> None:
        # So that the parameters of their decays take part.
        results = tuple(Result(str(q), 0.0, 1.0, 1.0, {q.channel: 1.0}) for q in quantities)
        super().__init__(
            model,
            [*source.measurements, Measurement("predictions", "", {}, results=results)],
            response=source.response,
            free=[p.name for p in source.parameters if p.fixed],
            priors=source.priors,
        )
        self.results = _Tied(source.results, quantities, width)


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
    source = single(result)
    values, _ = push(source, quantities).of_fit(result)
    rough = np.where(values > 0, _GUESS * values, 1e-6)
    known = np.isfinite(sigma) & (sigma > 0)
    unit = np.where(known, np.where(known, sigma, 1.0), rough)
    upper = np.array([np.inf if q.observable.startswith("r_") else 1.0 for q in quantities])
    upper = np.where(values > upper, np.inf, upper)
    model = _Targets(source.model, values, unit, upper, _near_minima(result))
    analysis = _Beside(source, quantities, model, _TIGHT * unit)
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
    return {name: tuple(dict.fromkeys(starts)) for name, starts in found.items()}


def _from_profile(
    best: FitResult,
    rough: Predictions,
    levels: Sequence[float],
    progress: batch.Progress | None,
) -> Predictions:
    found = beside(best, rough.quantities, rough.uncertainties)
    names = [target(i) for i in range(len(rough))]
    start = rough.values / found.unit
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
    ranges, remarks = {}, [""] * len(rough)
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
    return replace(
        rough,
        method="profile",
        values=np.array([profiles.value[n] for n in names]) * found.unit,
        ranges=ranges,
        remarks=tuple(remarks),
    )


def _end(best: float, end: float, level: float) -> float:
    """Return where an observable itself reaches a level, from where its target does.

    The target sees the lowest of f(o) + ((o - t)/w)^2 over all o, in place of f: where it has risen
    to h, with the slope g, f rises to h nearer by g w^2/4; g is 2 h/(t - best) but for asymmetries.
    """
    distance = end - best
    if not (np.isfinite(distance) and abs(distance) > _TIGHT):
        return end
    return end - float(chi2.ppf(level, 1)) * _TIGHT**2 / (2 * distance)


def predicted_regions(
    result: FitResult,
    x: Quantity,
    y: Quantity,
    *,
    sigmas: Sequence[float] = (1, 2),
    points: int = 9,
    progress: batch.Progress | None = None,
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
    analysis = single(result)
    wanted = tuple(q.check(analysis.model) for q in (x, y))
    rough = _from_hessian(result, wanted, (ONE_SIGMA,))
    found = beside(result, wanted, rough.uncertainties)
    reach = np.sqrt(-2 * np.log(2 * norm.sf(max(sigmas)))) * 1.4
    axes = {}
    for i in range(2):
        lower, upper = found.best.target.bounds[found.best.target.index(target(i))]
        centre = rough.values[i] / found.unit[i]
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
    centre = np.array([rough.values / found.unit])
    shrink = 1 / np.sqrt(1 + _TIGHT**2)
    return {
        n: tuple((centre + (line - centre) * shrink) * found.unit for line in lines)
        for n, lines in plane.lines.items()
    }


class Band(NamedTuple):
    """An observable over q2, with what data say about it.

    Attributes:
        q2: points (n,), or edges of bins (n, 2), GeV^2.
        value: at the best fit or the median of the draws (n,).
        low, high: the 68% range (n,).
    """

    q2: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def band(source: Source, observable: str, channel: str, q2: ArrayLike, *, seed: int = 0) -> Band:
    """Return an observable over q2: from draws of a posterior, or with the Hessian of a fit.

    Args:
        source: as for `predictions`.
        observable: "dbr_dq2" or "f_l". In bins "dbr_dq2" is the branching fraction of the bin over
            its width, so that narrow lines are in it.
        channel: one of `bknn.decay.channels.CHANNELS`.
        q2: points (n,), or edges of bins (n, 2), GeV^2.
        seed: as for `predictions`.

    Raises:
        UnknownNameError, ParameterError: an observable that the channel does not have.
    """
    best = source.best if isinstance(source, Profile) else source
    analysis = analysis_of(best)
    where = np.asarray(q2, float)
    if observable not in ("dbr_dq2", "f_l") or where.ndim not in (1, 2):
        raise errors.ParameterError(
            f"a band of {observable!r} in q2 of shape {where.shape}: only 'dbr_dq2' and 'f_l' are "
            "functions of q2; give points (n,) or edges of bins (n, 2)."
        )
    prediction.check(analysis.model, observable, channel, where.reshape(-1))

    def function(params: Mapping[str, Any]) -> Array:
        if where.ndim == 1:
            return prediction.value(analysis.model, observable, channel, params, where)
        bins = [(float(low), float(high)) for low, high in where]
        whole, part = in_bins(analysis.model, channel, params, bins)
        if observable == "dbr_dq2":
            return whole / (where[:, 1] - where[:, 0])
        return jax.vmap(lambda a, b: _observable("f_l", (a, b)))(whole, part)

    pushed = Push(analysis, (channel,), function)
    if isinstance(best, Posterior):
        draws = pushed.of_draws(best, seed)
        low, high = np.quantile(draws, [0.5 - ONE_SIGMA / 2, 0.5 + ONE_SIGMA / 2], axis=0)
        return Band(where, np.median(draws, axis=0), low, high)
    value, covariance = pushed.of_fit(best)
    sigma = np.sqrt(np.diag(covariance))
    return Band(where, value, value - sigma, value + sigma)
