"""How much a posterior depends on its priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span
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
    """

    posterior: Posterior
    weights: Reweighted | None = None
    why: str = ""

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
        return Shown("A posterior with several priors", head, rows, [self.status])

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
    be trusted (`inference.reweight`).

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
            found[label] = Studied(posterior, weights)
        else:
            found[label] = Studied(drawn(others[label], label), why=weights.status)
    return PriorStudy(found)
