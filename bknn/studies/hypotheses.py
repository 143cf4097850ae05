"""A model and what it competes with, and how probable the data are under each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.analysis.signal_strength import SignalStrength
from bknn.answers.packing import piece
from bknn.data import Measurement
from bknn.inference.evidences.comparison import Comparison
from bknn.inference.evidences.evidence import evidence
from bknn.inference.pieces import Progress, Work
from bknn.models import Model, available, load
from bknn.prediction import DerivedQuantity, derived, derived_quantities
from bknn.prediction.derived import named
from bknn.storage.store import Store

#: What a model competes with, if nothing is said.
FREE, CONSTRAINED, BACKGROUND = "free-sm", "constrained-sm", "background"

#: Prior of the signal strength of the free standard model.
MU = "uniform(0, 20)"


@piece
@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A model that may be true, and is tested.

    Attributes:
        name: for tables.
        analysis: a model and the data.
        truth: {name: value} of parameters where the model is true; all others are at their start,
            couplings 0 once one is there (`Analysis.at`), nuisances where their constraints have
            them. An evidence does not need it.
        fixed: {name: value} of what does not float when the hypothesis is tested.
        meaning: what it says, in a sentence.
    """

    name: str
    analysis: Analysis
    truth: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)
    meaning: str = ""

    @property
    def vector(self) -> np.ndarray:
        """The truth as a flat vector (size,)."""
        known = set(self.analysis.init)
        for name in self.truth:
            if name not in known:
                raise errors.unknown("parameter", name, known, f"hypothesis {self.name!r}")
        return np.asarray(self.analysis.flatten(self.analysis.at(self.truth)))


def hypotheses(
    model: Model,
    measurements: Measurement | Sequence[Measurement],
    against: Sequence[str | Model] = (),
    *,
    fixed: Mapping[str, float] | None = None,
    priors: Mapping[str, Any] | None = None,
    free: Sequence[str] = (),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    response: str = "smooth",
) -> tuple[Hypothesis, ...]:
    """Return a model as a hypothesis, and those that it competes with: what `evidences` compares.

    Args:
        model: the model in question; it comes first.
        measurements: the data, the same for all.
        against: other models (their names, or models), and "free-sm" (the shape of the standard
            model at any rate), "constrained-sm" (the model at the values that make it the standard
            model), "background" (no signal at all); these three by default.
        fixed: {name: value} of parameters that do not float, in the hypotheses that have them.
        priors: {name: prior} in place of the models' own, likewise.
        free, bounds: of the model in question, as for `Analysis`; bounds of nuisances of the
            measurements are for all.
        response: as for `Analysis`.

    Parameters that a model fixes by default take part where they have a value or a prior here.

    Raises:
        UnknownNameError: a hypothesis, or a parameter that none of the models has.
        ParameterError: "constrained-sm" of a model that is never the standard model.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models, studies
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> asked = studies.hypotheses(models.load("resonance"), belle2, fixed={"width": 0.1})
        >>> for h in asked[1:]:
        ...     print(h.name, dict(h.fixed))
        free-sm {}
        constrained-sm {'width': 0.0, 'branching_ratio': 0.0, 'mass': 2.1}
        background {'mu': 0.0}
    """
    asked = _Asked(model, measurements, fixed or {}, priors or {}, response)
    rivals: dict[str, Model | None] = {}
    for rival in against:
        name = rival if isinstance(rival, str) else rival.name
        known = [*available(), FREE, CONSTRAINED, BACKGROUND]
        if isinstance(rival, str) and name not in known:
            raise errors.unknown("model or hypothesis", name, known)
        rivals[name] = None if isinstance(rival, str) else rival
    rivals = rivals or dict.fromkeys((FREE, CONSTRAINED, BACKGROUND))
    template: Any = Template(model, fixed or {}) if derived_quantities(model) else SignalStrength()
    others: dict[str, Model] = {}
    for name, mine in rivals.items():
        if name != CONSTRAINED:
            others[name] = mine or (template if name in (FREE, BACKGROUND) else load(name))
    anywhere = {p.name for m in (model, *others.values()) for p in m.parameters}

    analysis = asked.analysis(model, {}, free, bounds, anywhere)
    own = asked.of_model(asked.fixed, model, anywhere)
    for name in own:
        analysis.index(name)  # a name that nobody has gets its close matches
    text = "".join(f"; {k} = {v:g}" for k, v in own.items())
    found = [Hypothesis(model.name, analysis, {}, own, f"{model.description}{text}")]
    shared = _of_nuisances(analysis)
    for name in rivals:
        if name == CONSTRAINED:
            found += _constrained(analysis, own, explicitly=bool(against))
        elif name == model.name or (name == FREE and model.name == template.name):
            continue
        elif name in (FREE, BACKGROUND):
            other = asked.analysis(template, {"mu": MU}, (), shared)
            held, meaning = asked.held(other), "no signal at all"
            if name == BACKGROUND:
                held = {**held, "mu": 0.0}
            else:
                prior = other.parameters[0].prior_with_range
                meaning = f"the standard model with a free rate, mu {prior}"
            found.append(Hypothesis(name, other, {}, held, meaning))
        else:
            other = asked.analysis(others[name], {}, (), shared)
            held = asked.held(other)
            found.append(Hypothesis(name, other, {}, held, others[name].description))
    return tuple(found)


def evidences(
    hypotheses: Sequence[Hypothesis],
    *,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Return the evidence of each hypothesis and the Bayes factors of all pairs.

    Args:
        hypotheses: from `hypotheses`, about the same data.
        chains, draws, seed: as for `inference.evidence`, of each.
        store: keeps what is done, for a computation that goes on after an interruption.
        progress: is called with the number of draws that have been done since the last call.

    Raises:
        ParameterError: a parameter has no proper prior.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models, studies
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> asked = studies.hypotheses(models.load("signal-strength"), belle2, ["background"])
        >>> print(studies.evidences(asked).status)  # doctest: +SKIP
        at least two methods agree on every evidence.
    """
    work = store if isinstance(store, Work) or store is None else Work(store)
    return Comparison(
        {
            h.name: evidence(
                h.analysis,
                fixed=dict(h.fixed) or None,
                chains=chains,
                draws=draws,
                seed=seed,
                store=None if work is None else work.within(h.name),
                progress=progress,
            )
            for h in hypotheses
        }
    )


class Template(SignalStrength):
    """The standard model with a free rate, and the derived quantities and parameters of another
    model as they are where that one is the standard model: other data may constrain them."""

    def __init__(self, model: Model, fixed: Mapping[str, float]) -> None:
        at: dict[str, Any] = {p.name: p.init for p in model.parameters}
        at |= {k: v for k, v in fixed.items() if k in at}
        at |= model.null
        own = {p.name for p in self.parameters}
        values = {name: float(x) for name, x in {**at, **derived(model, at)}.items()}
        self._values = {name: x for name, x in values.items() if name not in own}
        self.derived_quantities = tuple(
            DerivedQuantity(name, known.unit)
            for name, known in named(model).items()
            if name in self._values
        )

    def derived(self, params: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
        """Return {name: value}, the same at all rates."""
        return self._values


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is said of all hypotheses together, and which of it is about which model."""

    model: Model
    measurements: Measurement | Sequence[Measurement]
    fixed: Mapping[str, float]
    priors: Mapping[str, Any]
    response: str

    def of_model(
        self, table: Mapping[str, Any], model: Model, anywhere: set[str] | None = None
    ) -> dict[str, Any]:
        """What is said of a model. Names that none of them has (given `anywhere`) are the first
        one's: nuisances of the measurement, or an error."""
        own = {p.name for p in model.parameters}
        return {
            k: v
            for k, v in table.items()
            if k in own or (anywhere is not None and k not in anywhere)
        }

    def analysis(
        self,
        model: Model,
        priors: Mapping[str, Any],
        free: Sequence[str],
        bounds: Mapping[str, tuple[float, float]] | None,
        anywhere: set[str] | None = None,
    ) -> Analysis:
        """A model and the data; parameters that are named take part."""
        own = {**priors, **self.of_model(self.priors, model, anywhere)}
        named = dict.fromkeys([*self.of_model(self.fixed, model, anywhere), *own, *(bounds or {})])
        fixed = {p.name for p in model.parameters if p.fixed}
        floating = [*free, *(n for n in named if n in fixed and n not in free)]
        return Analysis(
            model,
            self.measurements,
            response=self.response,
            free=floating,
            priors=own,
            bounds=bounds,
        )

    def held(self, analysis: Analysis) -> dict[str, float]:
        """What does not float in an analysis, nuisances of the measurement included."""
        names = {*analysis.names, *(p.name for p in analysis.model.parameters)}
        return {k: v for k, v in self.fixed.items() if k in names}


def _of_nuisances(analysis: Analysis) -> dict[str, tuple[float, float]]:
    """Return the bounds that were given to nuisances of the measurements."""
    own = {p.name for p in analysis.parameters}
    return {k: v for k, v in analysis.given_bounds.items() if k not in own}


def _constrained(
    analysis: Analysis, own: Mapping[str, float], *, explicitly: bool
) -> list[Hypothesis]:
    """The standard model as a point of the model, if there is such a point."""
    # What is constrained stays free: its constraint is part of the evidence.
    loose = {p.name for p in analysis.parameters if p.constraint is None}
    null = {k: v for k, v in analysis.null_values().items() if k in loose}
    name = analysis.model.name
    if not null:
        if explicitly:
            raise errors.ParameterError(
                f"{CONSTRAINED}: {name} has no parameter whose value makes it the standard model, "
                "so it is no hypothesis of its own; leave it out."
            )
        return []
    values = ", ".join(f"{k} = {v:.6g}" for k, v in null.items())
    meaning = f"the standard model within its uncertainty: {name} at {values}"
    return [Hypothesis(CONSTRAINED, analysis, {}, {**own, **null}, meaning)]
