"""How much a posterior depends on its priors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span
from bknn.inference.estimate import Estimate
from bknn.inference.evidences.comparison import BayesFactor
from bknn.inference.pieces import Progress, Work
from bknn.inference.posteriors.posterior import Posterior
from bknn.inference.posteriors.reweight import Reweighted, reweight
from bknn.inference.posteriors.sample import sample
from bknn.storage.store import Store

#: What the posterior with the priors of the analysis is called.
GIVEN = "given"


@dataclass(frozen=True, eq=False, repr=False)
class Studied(Answer):
    """The posterior with one choice of priors.

    Attributes:
        posterior: with these priors, or, with `weights`, with those of the analysis.
        weights: of its draws; None if chains were run with these priors.
        why: chains had to be run; empty if they had not.
        log_ratio: natural logarithm of the evidence with these priors over that with those of the
            analysis, from weights of the draws of one of the two; None if weights do not give it,
            and for the priors of the analysis themselves.
    """

    posterior: Posterior
    weights: Reweighted | None = None
    why: str = ""
    log_ratio: Estimate | None = None

    @property
    def priors(self) -> dict[str, str]:
        """{parameter: its prior in words}, of the model's own parameters that were sampled."""
        own = {p.name: p for p in self.posterior.analysis.parameters}
        new = {} if self.weights is None else self.weights.parameters
        return {n: new.get(n, own[n]).prior_with_range for n in self.posterior.own}

    @property
    def bayes_factor(self) -> BayesFactor | None:
        """Against the priors of the analysis; None where the ratio of evidences is not known."""
        if self.log_ratio is None:
            return None
        value, error, _ = self.log_ratio
        return BayesFactor(value / math.log(10), error / math.log(10))

    @property
    def converged(self) -> bool:
        """Whether the chains did."""
        return bool(self.posterior.converged)

    @property
    def status(self) -> str:
        """Whether to believe it, in a sentence or several."""
        if self.weights is not None:
            return self.weights.status
        if not self.why:
            return self.posterior.status
        return f"{self.posterior.status} Chains were run, because weights would not do: {self.why}"

    def summary(self, name: str) -> dict[str, Any]:
        """Return mean, median and highest-density intervals of a parameter."""
        found = (self.weights or self.posterior).summary(name)
        return {key: found[key] for key in ("mean", "median", "hdi_68", "hdi_95")}


@dataclass(frozen=True, eq=False, repr=False)
class PriorStudy(Answer):
    """The posterior with several choices of priors.

    Attributes:
        studied: {label: the posterior with these priors}, `given` first.
    """

    studied: Mapping[str, Studied]

    @property
    def posterior(self) -> Posterior:
        """The posterior with the priors of the analysis."""
        return self.studied[GIVEN].posterior

    @property
    def varied(self) -> tuple[str, ...]:
        """Parameters whose prior is not always the same."""
        several = [x.priors for x in self.studied.values()]
        return tuple(n for n in self.posterior.own if len({x[n] for x in several}) > 1)

    @property
    def converged(self) -> bool:
        """Whether all chains did."""
        return all(x.converged for x in self.studied.values())

    @property
    def status(self) -> str:
        """Whether to believe the numbers, a sentence or several for each choice."""
        return " ".join(f"{label}: {x.status}" for label, x in self.studied.items())

    def shown(self) -> Shown:
        rows = []
        for label, x in self.studied.items():
            for name in self.posterior.own:
                found = x.summary(name)
                rows.append((label, name, f"{found['median']:.4g}", span(*found["hdi_68"])))
        head = ("priors", "parameter", "median", "68%")
        factors = [
            f"log10 Bayes factor {label}/{GIVEN}: {x.bayes_factor}"
            for label, x in self.studied.items()
            if x.bayes_factor is not None
        ]
        return Shown("A posterior with several priors", head, rows, [*factors, self.status])

    def __getitem__(self, label: str) -> Studied:
        return self.studied[label]


def prior_study(
    analysis: Analysis,
    alternatives: Mapping[str, Mapping[str, Any]],
    *,
    fixed: Mapping[str, float] | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> PriorStudy:
    """Return the posterior with the priors of an analysis and with others.

    Draws of the first get weights; chains are run with other priors only where the weights cannot
    be trusted (`inference.reweight`). The ratio of evidences comes from weights, too: where chains
    had to be run, from weights that make their draws those of the first.

    Args:
        analysis: with the priors to begin with; the widest are the best, as weights need draws
            wherever an alternative puts them.
        alternatives: {label: {parameter: prior}}; priors as for `Analysis`.
        fixed: {name: value} of parameters that do not float.
        store: keeps what is done, for a computation that goes on after an interruption.
        progress: is called with the number of draws that have been done since the last call.
        options: of `inference.sample`: chains, draws, warmup, seed, method, ...

    Raises:
        UnknownNameError, ParameterError: priors that the analysis refuses; an alternative called
            "given".

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models, studies
        >>> analysis = bknn.Analysis(
        ...     models.load("signal-strength"),
        ...     bknn.data.load("belle2-2025"),
        ...     priors={"mu": "uniform(0, 20)"},
        ... )
        >>> found = studies.prior_study(
        ...     analysis, {"normal": {"mu": "truncated_normal(1, 5, 0, 20)"}}
        ... )  # doctest: +SKIP
        >>> found["normal"].summary("mu")  # doctest: +SKIP
    """
    if GIVEN in alternatives:
        raise errors.ParameterError(
            f"{GIVEN!r} is what the priors to begin with are called; choose another word for the "
            "alternative."
        )
    others = {label: analysis.with_priors(table) for label, table in alternatives.items()}
    work = store if isinstance(store, Work) else Work(store)

    def drawn(analysis: Analysis, label: str) -> Posterior:
        kept: dict[str, Any] = {} if not work else {"store": work.within(label)}
        return sample(
            analysis, fixed=dict(fixed or {}) or None, progress=progress, **kept, **options
        )

    posterior = drawn(analysis, GIVEN)
    found = {GIVEN: Studied(posterior)}
    for label, table in alternatives.items():
        weights = reweight(posterior, table)
        if weights.converged:
            found[label] = Studied(posterior, weights, log_ratio=_ratio(weights))
        else:
            own = drawn(others[label], label)
            found[label] = Studied(own, why=weights.status, log_ratio=_back(own, analysis, table))
    return PriorStudy(found)


def _ratio(weights: Reweighted, sign: float = 1.0) -> Estimate:
    return Estimate(sign * weights.log_ratio, weights.log_ratio_error, "weights")


def _back(own: Posterior, analysis: Analysis, table: Mapping[str, Any]) -> Estimate | None:
    """The ratio of evidences from draws with other priors, which may be wider than the first."""
    first = {name: analysis.parameters[analysis.index(name)].distribution for name in table}
    try:
        weights = reweight(own, first)
    except errors.ParameterError:  # no draw is possible with the first priors
        return None
    return _ratio(weights, -1.0) if weights.converged else None
