"""Scenarios that were fitted to the same data, and what would tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.data import Measurement
from bknn.inference.fits.fit import fit, fit_null
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress
from bknn.inference.posteriors.sample import sample
from bknn.models import Model, load
from bknn.parameters import couplings_of
from bknn.studies.observables.predictions import METHODS, Predictions, predictions
from bknn.studies.observables.quantities import Quantity, is_around_a_line

#: What tells scenarios apart.
TELLING = (
    Quantity("branching_ratio", "B+ -> K+"),
    Quantity("branching_ratio", "B0 -> K*0"),
    Quantity("f_l", "B0 -> K*0"),
    Quantity("branching_ratio", "Bs -> phi"),
    Quantity("branching_ratio", "Bs -> invisible"),
)


@dataclass(frozen=True, eq=False, repr=False)
class Compared(Answer):
    """Scenarios side by side.

    Attributes:
        fits: {scenario: its best fit}, in the order asked for.
        predictions: {scenario: its predictions}.
        standard_model: the best fit without the new particle.
    """

    fits: Mapping[str, FitResult]
    predictions: Mapping[str, Predictions]
    standard_model: FitResult

    KEPT: ClassVar[tuple[str, ...]] = ("predicted_null",)

    @cached_property
    def predicted_null(self) -> dict[Quantity, tuple[float, float]]:
        """Value and uncertainty in the standard model, of what planes of observables show."""
        return next(iter(self.predictions.values())).standard_model

    @property
    def converged(self) -> bool:
        """Whether all fits did."""
        return all(bool(best.converged) for best in self.fits.values())

    @property
    def status(self) -> str:
        """Whether to believe the numbers, in a sentence or several."""
        bad = [f"{text}: {x.status}" for text, x in self.fits.items() if not bool(x.converged)]
        return " ".join(bad) or "all fits converged."

    def shown(self) -> Shown:
        rows = [
            (text, *row) for text, found in self.predictions.items() for row in found.shown().rows
        ]
        head = ("scenario", *next(iter(self.predictions.values())).shown().head)
        return Shown("Predictions of scenarios", head, rows, [self.status])


def compare(
    scenarios: Sequence[str],
    measurements: Measurement | Sequence[Measurement],
    *,
    fixed: Mapping[str, float] | None = None,
    method: str = "hessian",
    around: Sequence[float] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> Compared:
    """Fit scenarios to the same data, and predict from each what would tell them apart: branching
    fractions of B+ -> K+, B0 -> K*0, Bs -> phi and Bs -> invisible, and F_L of B0 -> K*0.

    Args:
        scenarios: MODEL:COUPLINGS, a model and its couplings that float, as "vector:C_V_L",
            "scalar:g_S,g_P" or "higgs-portal:sin_theta"; all others are 0. The basis is the one
            that has them.
        measurements: from `bknn.data.load`.
        fixed: {name: value} of parameters that do not float, in the models that have them.
        method: "hessian", "profile" or "posterior", as for `predictions`.
        around: half widths, GeV^2, of bins around mass^2 in which F_L is predicted too, of models
            with a single particle.
        seed: of draws.
        progress: is called with the number of intervals, or draws, done since the last call.

    Raises:
        UnknownNameError, ParameterError: no such scenario; a fixed parameter that no model has.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import studies
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> found = studies.compare(
        ...     ["vector:C_V_L", "vector:h_V"], belle2, fixed={"mass": 2.1}
        ... )  # doctest: +SKIP
        >>> found.predictions["vector:h_V"]  # doctest: +SKIP
    """
    if method not in METHODS:
        raise errors.unknown("method", method, METHODS)
    fits: dict[str, FitResult] = {}
    found: dict[str, Predictions] = {}
    for text, (analysis, held) in asked(scenarios, measurements, fixed or {}).items():
        quantities = list(TELLING)
        if is_around_a_line(analysis.model, TELLING[1].channel):
            quantities += [Quantity("f_l", "B0 -> K*0", around=w) for w in around]
        best, made = fitted(analysis, quantities, held, method=method, seed=seed, progress=progress)
        fits[text], found[text] = best, made
    return Compared(fits, found, fit_null(next(iter(fits.values())).target))


def asked(
    scenarios: Sequence[str],
    measurements: Measurement | Sequence[Measurement],
    fixed: Mapping[str, float],
) -> dict[str, tuple[Analysis, dict[str, float]]]:
    """Return the analysis of each scenario, and what does not float in it.

    Raises:
        UnknownNameError, ParameterError: as for `compare`.
    """
    chosen = {text: read(text) for text in scenarios}
    if not chosen:
        raise errors.ParameterError("no scenario is given; give one, as 'vector:C_V_L'.")
    known = {p.name for model, _ in chosen.values() for p in model.parameters}
    for name in fixed:
        if name not in known:
            raise errors.unknown("parameter", name, sorted(known), "these scenarios")
    return {text: _scenario(*x, measurements, fixed) for text, x in chosen.items()}


def _scenario(
    model: Any,
    couplings: tuple[str, ...],
    measurements: Measurement | Sequence[Measurement],
    kept: Mapping[str, float],
) -> tuple[Analysis, dict[str, float]]:
    """Return the analysis of a scenario, and what does not float in it."""
    by_default = {p.name for p in model.parameters if p.fixed}
    own = {p.name: kept[p.name] for p in model.parameters if p.name in kept}
    # Couplings that float by default and are not of the scenario are held at 0.
    every = couplings_of(model)
    others = {name: 0.0 for name in every if name not in couplings and name not in by_default}
    free = [name for name in (*couplings, *own) if name in by_default]
    return Analysis(model, measurements, free=free), {**others, **own}


def fitted(
    analysis: Analysis,
    quantities: Sequence[Quantity],
    fixed: Mapping[str, float],
    *,
    method: str,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[FitResult, Predictions]:
    """Fit, and predict from the fit, or from draws of the posterior.

    Args:
        analysis, fixed: what is fitted; `fixed` {name: value} do not float.
        quantities: what is predicted.
        method, seed, progress: as for `compare`.
    """
    best = fit(analysis, fixed=fixed)
    if method != "posterior":
        return best, predictions(best, quantities, method=method, progress=progress)
    draws = sample(analysis, fixed=dict(fixed) or None, seed=seed, progress=progress)
    return best, predictions(draws, quantities, seed=seed)


def existing(
    model: Model, quantities: Sequence[Quantity]
) -> tuple[list[Quantity], dict[Quantity, str]]:
    """Return the quantities that a model predicts, and why not of the others.

    Raises:
        UndefinedError: it predicts none of them.
    """
    found: list[Quantity] = []
    absent: dict[Quantity, str] = {}
    problems: list[errors.UndefinedError] = []
    for quantity in quantities:
        try:
            found.append(quantity.check(model))
        except errors.UndefinedError as error:
            absent[quantity] = str(error)
            problems.append(error)
    if not found:
        raise problems[0]
    return found, absent


def read(text: str) -> tuple[Any, tuple[str, ...]]:
    """Return the model and the couplings of MODEL:COUPLING,COUPLING.

    Raises:
        UnknownNameError, ParameterError: no such model, no such coupling, or couplings of different
            bases.

    >>> model, couplings = read("vector:C_V_L")
    >>> model.basis, couplings
    ('chiral', ('C_V_L',))
    """
    name, _, words = text.partition(":")
    couplings = tuple(w.strip() for w in words.split(",") if w.strip())
    model: Any = load(name.strip())
    if not couplings_of(model) or not couplings:
        raise errors.ParameterError(
            f"{text!r} is no scenario; write a model and its couplings that float, as "
            "vector:C_V_L, scalar:g_S,g_P or higgs-portal:sin_theta."
        )
    bases = {
        basis: [c.name for c in own]
        for basis, own in getattr(model, "couplings_by_basis", {}).items()
    }
    for basis, own in bases.items():
        if set(couplings) <= set(own):
            return load(name.strip(), basis=basis), couplings
    every = [coupling for own in bases.values() for coupling in own] or couplings_of(model)
    for coupling in couplings:
        if coupling not in every:
            raise errors.unknown("coupling", coupling, every, f"model {name!r}")
    if not bases:
        return model, couplings
    raise errors.ParameterError(
        f"{text!r} mixes couplings of different bases; take all from one of {', '.join(bases)}."
    )
