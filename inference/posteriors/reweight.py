"""A posterior with other priors, from the draws that there are.

Draws of one posterior, weighted by new prior / old prior, are draws of another: no new chains, as
long as the two have much in common. Whether they have, the weights themselves say: their effective
number, and the shape of their largest ones (Pareto-smoothed importance sampling, Vehtari, Simpson,
Gelman, Yao and Gabry, arXiv:1507.02646).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpyro.distributions as dist

from bknn import errors
from bknn import priors as known_priors
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span
from bknn.answers.outline import subject
from bknn.inference.posteriors.hdi import highest_density
from bknn.parameters import Parameter

if TYPE_CHECKING:
    from bknn.inference.posteriors.posterior import Posterior

#: Effective draws over draws: below this the weights are not to be trusted.
LEAST = 0.1

#: Shape of the tail of the weights beyond which their means do not converge in practice.
WORST_SHAPE = 0.7

#: A share of the new prior in places where the old one had nothing, which is worth a remark.
_BEYOND = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class Reweighted(Answer):
    """Draws of a posterior with weights that make them those of other priors.

    Attributes:
        posterior: whose draws they are.
        parameters: {name: the parameter with its new prior}.
        weights: of the draws (chains * draws,), smoothed, with the sum 1; in the order of
            `posterior.flat`.
        shape: of the tail of the weights before smoothing, the k of the Pareto distribution.
        beyond: {name: share of the new prior where the old one had nothing}.
        log_ratio: log of the evidence with the new priors over that with the old.
    """

    posterior: Posterior
    parameters: Mapping[str, Parameter]
    weights: np.ndarray
    shape: float
    beyond: Mapping[str, float]
    log_ratio: float

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {"weights": ("sample",)}

    def columns(self) -> dict[str, Any]:
        """One row a parameter of the model."""
        rows = [self.summary(name) for name in self.posterior.own]
        found = {k: [row[k] for row in rows] for k in ("mean", "median")}
        for level in ("68", "95"):
            for k, end in enumerate(("low", "high")):
                found[f"{end}_{level}"] = [row[f"hdi_{level}"][k] for row in rows]
        return {"name": list(self.posterior.own), **found}

    @property
    def names(self) -> tuple[str, ...]:
        return self.posterior.analysis.names

    @property
    def effective(self) -> float:
        """Effective number of draws, as if they were independent: 1 / sum of squared weights."""
        return float(1 / np.sum(self.weights**2))

    @property
    def efficiency(self) -> float:
        """Effective draws over draws."""
        return self.effective / len(self.weights)

    @property
    def log_ratio_error(self) -> float:
        """Standard deviation of `log_ratio` from the finite number of draws."""
        n = self._independent
        variance = len(self.weights) * float(np.sum(self.weights**2)) - 1.0
        # Of equal weights only rounding is left.
        return math.sqrt(variance / n) if variance > 1e-12 else 0.0

    @cached_property
    def _independent(self) -> float:
        """How many independent draws the chains are worth, for what the weights depend on."""
        ess = [float(self.posterior.ess_bulk[self.names.index(name)]) for name in self.parameters]
        return min([*ess, float(len(self.weights))])

    @property
    def problems(self) -> list[str]:
        """Why these weights are not to be trusted, in sentences; empty if they are."""
        found = []
        for name, share in self.beyond.items():
            if share > _BEYOND:
                old = known_priors.describe(_prior(self.posterior.analysis, name))
                found.append(
                    f"{100 * share:.2g}% of the new prior of {name} lies where the old one "
                    f"({old}) allows no draws; sample with the new prior."
                )
        if self.efficiency < LEAST:
            found.append(
                f"the {len(self.weights)} draws are worth {self.effective:.0f} with the new "
                f"priors, {100 * self.efficiency:.2g}% (at least {100 * LEAST:.0f}% are needed); "
                "sample with the new priors."
            )
        if self.shape > WORST_SHAPE:
            found.append(
                f"few draws have most of the weight (Pareto shape {self.shape:.2f}, more than "
                f"{WORST_SHAPE}), so their number says too little; sample with the new priors."
            )
        return found

    @property
    def converged(self) -> bool:
        """Whether there are enough draws where the new priors have their weight."""
        return not self.problems

    @property
    def status(self) -> str:
        """What to make of it, in a sentence or two."""
        if self.problems:
            return " ".join(text[0].upper() + text[1:] for text in self.problems)
        return (
            f"{len(self.weights)} draws are worth {self.effective:.0f} with the new priors "
            f"({100 * self.efficiency:.0f}%)."
        )

    def check(self) -> Reweighted:
        """Return the weights if they are to be trusted.

        Raises:
            FitError: they are not; the sentence says why and what to do.
        """
        if not self.converged:
            raise errors.FitError(f"the posterior cannot be reweighted: {self.status}")
        return self

    def values(self, name: str) -> np.ndarray:
        """Return the draws of a parameter (chains * draws,), to be used with `weights`."""
        return np.asarray(self.posterior.flat[:, self.posterior.analysis.index(name)])

    def summary(self, name: str) -> dict[str, Any]:
        """Return mean, median, and the 68% and 95% highest-density intervals of a parameter."""
        x = self.values(name)
        order = np.argsort(x, kind="stable")
        below = np.cumsum(self.weights[order])
        return {
            "mean": float(np.sum(self.weights * x)),
            "median": float(x[order][np.searchsorted(below, 0.5)]),
            "hdi_68": list(highest_density(x, 0.6827, self.weights)),
            "hdi_95": list(highest_density(x, 0.95, self.weights)),
        }

    def resampled(self, n: int | None = None, *, seed: int = 0) -> np.ndarray:
        """Return n flat vectors (n, size) drawn with these weights, each as often as its weight
        says, up to one (systematic resampling)."""
        n = n or max(1, round(self.effective))
        start = np.random.default_rng(seed).random()
        # The last edge exceeds every position, whatever the sum rounds to.
        edges = np.append(np.cumsum(self.weights)[:-1], np.inf)
        chosen = np.searchsorted(edges, (start + np.arange(n)) / n, side="right")
        return np.asarray(self.posterior.flat[chosen])

    def shown(self) -> Shown:
        rows = []
        for name in self.posterior.own:
            found = self.summary(name)
            rows.append((name, f"{found['median']:.4g}", span(*found["hdi_68"])))
        new = ", ".join(f"{n}: {p.prior_with_range}" for n, p in self.parameters.items())
        title = f"Posterior of {subject(self.posterior.analysis)} with other priors ({new})"
        return Shown(title, ("parameter", "median", "68%"), rows, [self.status])


def reweight(posterior: Posterior, priors: Mapping[str, dist.Distribution | str]) -> Reweighted:
    """Return the posterior of other priors, as weights of the draws of this one.

    Args:
        posterior: from `sample`.
        priors: {name: numpyro distribution, or a text for `bknn.priors.read`}; parameters that are
            not named keep theirs.

    Raises:
        UnknownNameError: no such parameter.
        ParameterError: a parameter that was fixed or constrained, or a prior that has nothing in
            common with the old one.
    """
    if not priors:
        raise errors.ParameterError("there are no new priors; name at least one, as in mass=...")
    analysis = posterior.analysis
    new = analysis.with_priors(priors)
    parameters = {p.name: p for p in new.parameters if p.name in priors}
    log_weights = np.zeros(len(posterior.flat))
    beyond = {}
    for name, parameter in parameters.items():
        i = analysis.index(name)
        if not posterior.moving[i]:
            raise errors.ParameterError(
                f"a new prior for {name!r}, which was fixed in this posterior; leave it out."
            )
        before, after = _prior(analysis, name), parameter.distribution
        x = posterior.flat[:, i]
        log_weights += np.asarray(known_priors.log_density(after, x))
        log_weights -= np.asarray(known_priors.log_density(before, x))
        beyond[name] = _beyond(after, before)
    if not (log_weights > -np.inf).any():
        raise errors.ParameterError(
            "no draw of the posterior is possible with the new priors "
            f"({', '.join(parameters)}); sample with them."
        )
    most = float(log_weights.max())
    log_ratio = most + math.log(np.mean(np.exp(log_weights - most)))
    smooth, shape = pareto_smoothed(log_weights)
    return Reweighted(posterior, parameters, smooth, shape, beyond, log_ratio)


def _prior(analysis: Any, name: str) -> dist.Distribution:
    found = analysis.parameters[analysis.index(name)].distribution
    if found is None:
        raise errors.ParameterError(
            f"parameter {name!r} has no proper prior (it is flat without ends), so there is no "
            "ratio of priors; sample with the new one."
        )
    return found


def _beyond(new: dist.Distribution, old: dist.Distribution, n: int = 4000) -> float:
    """The share of a prior outside of the support of another."""
    low, high = known_priors.support_bounds(old)
    x = np.asarray(known_priors.quantile(new, (np.arange(n) + 0.5) / n))
    return float(np.mean((x < low) | (x > high)))


def pareto_smoothed(log_weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Return weights with the sum 1 whose largest ones are those of a Pareto distribution, and the
    shape k of that distribution (arXiv:1507.02646, section 3).

    Args:
        log_weights: (n,).

    Returns:
        Weights (n,), and k: -inf if all large weights are equal, infinite if there are too few.
    """
    n = len(log_weights)
    weights = np.exp(log_weights - np.max(log_weights))
    order = np.argsort(weights, kind="stable")
    tail = min(n // 5, math.ceil(3 * math.sqrt(n)))
    if tail < 5:
        return weights / weights.sum(), math.inf
    largest = order[-tail:]
    threshold = weights[order[-tail - 1]]
    excess = weights[largest] - threshold
    if excess[-1] <= 1e-12:  # equal weights, as between uniform priors
        return weights / weights.sum(), -math.inf
    above = excess > 0
    shape, scale = _pareto(excess[above])
    probability = (np.arange(above.sum()) + 0.5) / above.sum()
    smooth = scale * (
        np.expm1(-shape * np.log1p(-probability)) / shape
        if abs(shape) > 1e-12
        else -np.log1p(-probability)
    )
    # No larger than the largest there was.
    weights[largest[above]] = np.minimum(threshold + smooth, 1.0)
    return weights / weights.sum(), float(shape)


def _pareto(x: np.ndarray) -> tuple[float, float]:
    """Fit a generalised Pareto distribution to sorted excesses; return its shape and scale.

    Zhang and Stephens, Technometrics 51 (2009) 316, with the weak prior on the shape (0.5, worth
    ten draws) of arXiv:1507.02646, appendix C.
    """
    n = len(x)
    m = 30 + int(math.sqrt(n))
    quartile = x[max(int(n / 4 + 0.5) - 1, 0)]
    trial = 1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))
    trial = trial / (3 * quartile) + 1 / x[-1]
    shapes = np.mean(np.log1p(-trial[:, None] * x), axis=1)
    likelihood = n * (np.log(-trial / shapes) - shapes - 1)
    weight = 1 / np.sum(np.exp(likelihood - likelihood[:, None]), axis=1)
    weight = np.where(weight < 10 * np.finfo(float).eps, 0.0, weight)
    best = float(np.sum(trial * weight) / weight.sum())
    shape = float(np.mean(np.log1p(-best * x)))
    return (n * shape + 10 * 0.5) / (n + 10), -shape / best
