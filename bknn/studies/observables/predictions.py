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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from scipy.special import ndtri

from bknn import errors, prediction
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span, with_error
from bknn.answers.outline import subject
from bknn.answers.packing import Coordinate, piece
from bknn.inference.estimate import ONE_SIGMA
from bknn.inference.fits.result import FitResult, single
from bknn.inference.pieces import Progress
from bknn.inference.posteriors.hdi import highest_density
from bknn.inference.posteriors.posterior import Posterior
from bknn.inference.profiles.profile import Profile
from bknn.studies.observables.profiled import Range, profiled
from bknn.studies.observables.propagation import Push, push
from bknn.studies.observables.quantities import Quantity, in_bins, observable_of

piece(Quantity)
piece(Range)

METHODS = ("hessian", "profile", "posterior")

#: Planes in which scenarios are drawn.
PLANES = (
    (Quantity(channel="B0 -> K*0"), Quantity("f_l", "B0 -> K*0")),
    (Quantity(channel="B0 -> K*0"), Quantity(channel="B+ -> K+")),
)

Source = FitResult | Profile | Posterior


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Answer):
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

    KEPT: ClassVar[tuple[str, ...]] = ("standard_model", "range")
    CALLED: ClassVar[Mapping[str, str]] = {"values": "value", "uncertainties": "uncertainty"}

    @property
    def range(self) -> np.ndarray:
        """Ends of the ranges (levels, n, 2)."""
        return np.array([[(x.low, x.high) for x in one] for one in self.ranges.values()], float)

    @cached_property
    def standard_model(self) -> dict[Quantity, tuple[float, float]]:
        """Value and uncertainty in the standard model, of the quantities of `PLANES`."""
        model = self.analysis.model
        if not prediction.knows_standard_model(model):
            return {}
        null = model.standard_model()
        wanted = dict.fromkeys(q for pair in PLANES for q in pair)
        found = {
            q: prediction.predict(null, q.observable, q.channel)
            for q in wanted
            if q in self.quantities
        }
        return {q: (float(x.value), float(x.uncertainty)) for q, x in found.items()}

    def index(self, quantity: Quantity) -> int:
        """Position of a quantity."""
        if quantity not in self.quantities:
            raise errors.unknown("quantity", str(quantity), [str(q) for q in self.quantities])
        return self.quantities.index(quantity)

    def __len__(self) -> int:
        return len(self.quantities)

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {
            "values": ("quantity",),
            "uncertainties": ("quantity",),
            "correlation": ("quantity", "quantity_2"),
            "range": ("level", "quantity", "end"),
            "draws": ("draw", "quantity"),
        }

    def coordinates(self) -> dict[str, Coordinate]:
        texts = Coordinate([str(q) for q in self.quantities])
        levels = Coordinate(list(self.ranges))
        return {"quantity": texts, "quantity_2": texts, "level": levels}

    @property
    def converged(self) -> np.ndarray:
        """Whether each quantity has a value and a range without remark (n,)."""
        return np.isfinite(self.values) & np.array([not text for text in self.remarks], bool)

    @property
    def status(self) -> str:
        """What is to be said of the quantities, in sentences."""
        pairs = zip(self.quantities, self.remarks, strict=True)
        said = " ".join(f"{q}: {text}" for q, text in pairs if text)
        return said or f"all {len(self)} quantities were found."

    def columns(self) -> dict[str, Any]:
        """One row a quantity."""
        found: dict[str, Any] = {
            "quantity": [str(q) for q in self.quantities],
            "value": self.values,
            "uncertainty": self.uncertainties,
        }
        for level, spans in self.ranges.items():
            found[f"low_{100 * level:.0f}"] = [x.low for x in spans]
            found[f"high_{100 * level:.0f}"] = [x.high for x in spans]
        return found

    def shown(self) -> Shown:
        rows = [
            (
                str(q),
                with_error(self.values[i], self.uncertainties[i]),
                *(span(r[i].low, r[i].high) for r in self.ranges.values()),
            )
            for i, q in enumerate(self.quantities)
        ]
        levels = [f"{100 * level:.3g}%" for level in self.ranges]
        return Shown(
            f"Predictions of {subject(self.analysis)} ({self.method})",
            ("quantity", "value", *levels),
            rows,
            [self.status],
        )


def predictions(
    source: Source,
    quantities: Sequence[Quantity],
    *,
    method: str | None = None,
    levels: Sequence[float] = (ONE_SIGMA, 0.95),
    seed: int = 0,
    progress: Progress | None = None,
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
    rise of -2 log L below the quantile of chi2 with one degree of freedom (`profiled`).

    Raises:
        UnknownNameError, ParameterError: a quantity that the model does not predict, a method that
            does not fit to the source, or a batch of fits.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models, studies
        >>> analysis = bknn.Analysis(models.load("vector"), bknn.data.load("belle2-2025"))
        >>> best = inference.fit(analysis, fixed={"mass": 2.1})
        >>> wanted = [studies.Quantity("branching_ratio", "B0 -> K*0")]
        >>> found = studies.predictions(best, wanted, method="hessian")
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
    own = {p.name: float(x) for p, x in zip(analysis.parameters, best.vector, strict=False)}
    for quantity in wanted:
        quantity.defined(analysis.model, {**analysis.constants, **own})
    found = _from_hessian(best, wanted, levels)
    if method == "hessian":
        return found
    values, ranges, remarks = profiled(
        best, wanted, found.values, found.uncertainties, levels, progress
    )
    return replace(found, method=method, values=values, ranges=ranges, remarks=remarks)


def analysis_of(source: Source) -> Analysis:
    """Return whose fit, profile or posterior it is.

    Raises:
        ParameterError: a batch of fits, or something else.
    """
    if isinstance(source, Posterior):
        return source.analysis
    return single(
        source.best if isinstance(source, Profile) else source, "predictions are made from"
    )


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
    reach = {float(p): float(ndtri(0.5 + 0.5 * p)) * sigma for p in levels}
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


@dataclass(frozen=True, eq=False, repr=False)
class Band(Answer):
    """An observable over q2, with what data say about it.

    Attributes:
        q2: points (n,), or edges of bins (n, 2), GeV^2.
        value: at the best fit or the median of the draws (n,).
        low, high: the 68% range (n,).
        observable, channel: which.
    """

    q2: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    observable: str = ""
    channel: str = ""

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        ends = ("point", "end")[: self.q2.ndim]
        return {**dict.fromkeys(("value", "low", "high"), ("point",)), "q2": ends}

    def field_units(self) -> dict[str, str]:
        unit = "GeV^-2" if self.observable == "dbr_dq2" else ""
        return {"q2": "GeV^2", **dict.fromkeys(("value", "low", "high"), unit)}

    @property
    def converged(self) -> np.ndarray:
        """Which points have a range (n,)."""
        return np.isfinite(self.low) & np.isfinite(self.high)

    @property
    def status(self) -> str:
        """At how many points there is no range, in a sentence."""
        n = len(self.value)
        bad = n - int(self.converged.sum())
        return f"{bad} of {n} points have no range." if bad else f"all {n} points have a range."

    def columns(self) -> dict[str, np.ndarray]:
        """One row a point or bin."""
        ends = {"q2": self.q2}
        if self.q2.ndim == 2:
            ends = {"q2_low": self.q2[:, 0], "q2_high": self.q2[:, 1]}
        return {**ends, "value": self.value, "low": self.low, "high": self.high}

    def shown(self) -> Shown:
        where = span(float(np.min(self.q2)), float(np.max(self.q2)), "GeV^2")
        what = f"{self.observable}, {self.channel}: {len(self.value)} points in {where}"
        return Shown(what, notes=[self.status])


def band(source: Source, observable: str, channel: str, q2: ArrayLike, *, seed: int = 0) -> Band:
    """Return an observable over q2: from draws of a posterior, or with the Hessian of a fit.

    Args:
        source: as for `predictions`.
        observable: "dbr_dq2" or "f_l". In bins "dbr_dq2" is the branching fraction of the bin over
            its width, so that narrow lines are in it.
        channel: one of `bknn.channels.CHANNELS`.
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
    if where.ndim == 1:
        prediction.check(analysis.model, observable, channel, where)
    else:
        in_each = "branching_ratio" if observable == "dbr_dq2" else observable
        for low, high in where:
            prediction.check(analysis.model, in_each, channel, (float(low), float(high)))

    def function(params: Mapping[str, Any]) -> Array:
        if where.ndim == 1:
            return prediction.value(analysis.model, observable, channel, params, where)
        bins = [(float(low), float(high)) for low, high in where]
        polarised = observable == "f_l"
        whole, part = in_bins(analysis.model, channel, params, bins, polarised=polarised)
        if observable == "dbr_dq2":
            return whole / (where[:, 1] - where[:, 0])
        return jax.vmap(lambda a, b: observable_of("f_l", (a, b)))(whole, part)

    pushed = Push(analysis, (channel,), function)
    if isinstance(best, Posterior):
        draws = pushed.of_draws(best, seed)
        low, high = np.quantile(draws, [0.5 - ONE_SIGMA / 2, 0.5 + ONE_SIGMA / 2], axis=0)
        return Band(where, np.median(draws, axis=0), low, high, observable, channel)
    value, covariance = pushed.of_fit(best)
    sigma = np.sqrt(np.diag(covariance))
    return Band(where, value, value - sigma, value + sigma, observable, channel)
