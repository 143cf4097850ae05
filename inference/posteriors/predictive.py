"""What draws of the parameters predict: counts before the data were seen, and again after.

A prior predictive check asks whether the priors allow data such as these at all; a posterior one
(Gelman, Meng and Stern, Statistica Sinica 6 (1996) 733) whether the model that was fitted would
produce them. Both compare counts that were thrown at each draw with those that were observed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import gammainc, gammaincinv, ndtr, ndtri

from bknn import errors, priors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.outline import subject
from bknn.inference.datasets import expected_rates
from bknn.inference.estimate import Fraction

if TYPE_CHECKING:
    from bknn.inference.posteriors.posterior import Posterior


@dataclass(frozen=True, eq=False, repr=False)
class Predictive(Answer):
    """Counts that draws of the parameters predict.

    Attributes:
        analysis: what is measured.
        kind: "prior" or "posterior", what was drawn from.
        rates: expected counts of each draw (n, bins).
        counts: thrown at these (n, bins).
        seed: of the random numbers.
    """

    analysis: Analysis
    kind: str
    rates: np.ndarray
    counts: np.ndarray
    seed: int

    KEPT: ClassVar[tuple[str, ...]] = ("observed", "discrepancies")

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        both = ("rates", "counts")
        return {
            **dict.fromkeys(both, ("draw", "bin")),
            "observed": ("bin",),
            "discrepancies": ("draw",),
        }

    @property
    def converged(self) -> bool:
        """Whether the data are none that hardly ever come out so."""
        return self.p.upper() >= _RARE and not self._far.size

    def columns(self) -> dict[str, np.ndarray]:
        """One row a bin."""
        low, high = self.interval()
        expected = self.rates.mean(axis=0)
        return {"observed": self.observed, "expected": expected, "low_68": low, "high_68": high}

    @property
    def n(self) -> int:
        """How many draws."""
        return len(self.counts)

    @property
    def observed(self) -> np.ndarray:
        """Counts (bins,)."""
        return np.asarray(self.analysis.data.counts, float)

    @cached_property
    def discrepancies(self) -> tuple[np.ndarray, np.ndarray]:
        """How far observed and thrown counts are from the expectation, (n,) each.

        For a posterior it is the saturated deviance from the rates of each draw. Draws of a prior
        are far from any data; there it is the distance from the mean of all thrown counts, squared,
        in units of their covariance.
        """
        if self.kind == "posterior":
            deviance = self.analysis.data_distribution.deviance
            return deviance(self.observed, self.rates), deviance(self.counts, self.rates)
        centre = self.counts.mean(axis=0)
        covariance = np.atleast_2d(np.cov(self.counts.T))
        if self.n < 2 * self.counts.shape[1]:  # too few for correlations
            covariance = np.diag(np.diag(covariance))
        inverse = np.linalg.pinv(covariance, hermitian=True)
        thrown, observed = self.counts - centre, self.observed - centre
        squares = np.einsum("ni,ij,nj->n", thrown, inverse, thrown, optimize=True)
        return np.full(self.n, observed @ inverse @ observed), squares

    @property
    def p(self) -> Fraction:
        """How often thrown counts are at least as far from the expectation as those observed.

        Of a posterior, values near 0 say that the model does not describe the data, those near 1
        that counts agree better than they should. It is not uniform in repetitions: the draws know
        the data, so that it crowds about 0.5.
        """
        observed, thrown = self.discrepancies
        # Equal counts are equally far, whatever the rounding.
        return Fraction(int(np.sum(thrown >= observed - 1e-9)), self.n)

    @property
    def p_bins(self) -> np.ndarray:
        """Probability of more counts than observed in each bin (bins,), equal ones half."""
        more = np.mean(self.counts > self.observed, axis=0)
        return np.asarray(more + 0.5 * np.mean(self.counts == self.observed, axis=0))

    def interval(self, level: float = 0.68) -> tuple[np.ndarray, np.ndarray]:
        """Return the central interval of the thrown counts, (bins,) each."""
        tail = (1 - level) / 2
        low, high = np.quantile(self.counts, [tail, 1 - tail], axis=0)
        return low, high

    @property
    def status(self) -> str:
        """What the check says, in a sentence or two."""
        p = self.p
        said = (
            f"{p.k} of {p.n} data sets thrown from the {self.kind} are at least as far from the "
            f"expectation as the data: p = {p}."
        )
        if p.upper() < _RARE:
            said += (
                " The model with these priors hardly ever makes such data."
                if self.kind == "prior"
                else " The model does not describe the data."
            )
        if self._far.size:
            said += f" Beyond what is thrown: bin {', '.join(map(str, self._far))}."
        return said

    @property
    def _far(self) -> np.ndarray:
        """Bins whose counts hardly any draw makes."""
        extreme = np.minimum(self.p_bins, 1 - self.p_bins)
        # So many bins make one of them rare by chance.
        return np.flatnonzero(extreme < 0.5 * _RARE / len(extreme))

    def shown(self) -> Shown:
        return Shown(
            f"{self.n} draws from the {self.kind} of {subject(self.analysis)}", notes=[self.status]
        )


#: A probability at which one begins to doubt.
_RARE = 0.01


def prior_predictive(
    analysis: Analysis,
    n: int = 1000,
    *,
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Predictive:
    """Return counts thrown at parameters drawn from their priors, nuisances from their constraints.

    Args:
        analysis: what is measured.
        n: how many draws.
        fixed: {name: value} of parameters that are not drawn.
        seed: of the random numbers.

    Raises:
        ParameterError: a parameter that floats has neither prior, constraint nor finite bounds.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import models
    >>> belle2 = bknn.data.load("belle2-2025").select("hadronic")
    >>> analysis = bknn.Analysis(models.load("signal-strength"), belle2)
    >>> prior_predictive(analysis, 100, seed=1).counts.shape
    (100, 6)
    """
    generator = np.random.default_rng((seed, 0))
    return _thrown(analysis, "prior", draw_prior(analysis, n, generator, fixed), generator, seed)


def posterior_predictive(posterior: Posterior, n: int = 1000, *, seed: int = 0) -> Predictive:
    """Return counts thrown at draws of a posterior.

    Args:
        posterior: from `sample`.
        n: how many of its draws, evenly spread; all of them if there are fewer.
        seed: of the random numbers.
    """
    flat = np.asarray(posterior.flat)
    chosen = np.linspace(0, len(flat) - 1, min(n, len(flat))).round().astype(int)
    generator = np.random.default_rng((seed, 1))
    return _thrown(posterior.analysis, "posterior", flat[chosen], generator, seed)


def _thrown(
    analysis: Analysis, kind: str, vectors: np.ndarray, generator: np.random.Generator, seed: int
) -> Predictive:
    rates = expected_rates(analysis, vectors)
    counts = analysis.data_distribution.drawn(generator, rates)
    return Predictive(analysis, kind, rates, counts, seed)


def draw_prior(
    analysis: Analysis,
    n: int,
    generator: np.random.Generator,
    fixed: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Return flat vectors (n, size) drawn from what is known before the counts are.

    Parameters of the model follow their priors; what is constrained follows its constraint with a
    flat prior (a Poisson constraint by k counts is a Gamma distribution of k + 1), cut off at the
    bounds; other nuisances are uniform within their bounds.

    Raises:
        ParameterError: nothing says how a parameter is distributed; n is too small.
    """
    if n < 1:
        raise errors.ParameterError(f"{n} draws were asked for; draw at least one.")
    lower, upper = analysis.bounds.T
    u = generator.random((n, analysis.size))
    known = np.isfinite(analysis.bounds).all(axis=1)
    vectors = u.copy()
    vectors[:, known] = lower[known] + u[:, known] * (upper - lower)[known]
    for i, p in enumerate(analysis.parameters):
        if p.constraint is None and p.distribution is not None:
            vectors[:, i] = priors.quantile(p.distribution, u[:, i])
            known[i] = True
    data = analysis.data
    index, _, width = analysis.normal
    for i, centre, sigma in zip(index, np.asarray(data.normal), width, strict=True):
        ends = (lower[i] - centre) / sigma, (upper[i] - centre) / sigma
        vectors[:, i] = centre + sigma * _cut(ndtr, ndtri, u[:, i], *ends)
    index_too, _, factor = analysis.poisson
    for i, count, rate in zip(index_too, np.asarray(data.poisson), factor, strict=True):
        gamma, scale = (partial(gammainc, count + 1), partial(gammaincinv, count + 1)), 1 / rate
        ends = max(lower[i], 0.0) / scale, upper[i] / scale
        vectors[:, i] = scale * _cut(*gamma, u[:, i], *ends)
    for i in (*index, *index_too):
        vectors[:, i] = np.clip(vectors[:, i], lower[i], upper[i])
    known[index] = known[index_too] = True
    held = {int(i): float(analysis.init_vector[i]) for i in np.flatnonzero(analysis.fixed)}
    held |= {analysis.index(name): float(value) for name, value in (fixed or {}).items()}
    for i, value in held.items():
        vectors[:, i] = value
        known[i] = True
    if not known.all():
        name = analysis.names[int(np.flatnonzero(~known)[0])]
        raise errors.ParameterError(
            f"parameter {name!r} has no prior, no constraint and no finite bounds, so it cannot be "
            f"drawn; give it a prior (priors={{{name!r}: ...}}), or fix it."
        )
    return vectors


def _cut(cdf: Callable, quantile: Callable, u: np.ndarray, low: float, high: float) -> np.ndarray:
    """Quantiles of a distribution that ends at bounds, which may be infinite."""
    least, most = cdf(low), cdf(high)
    return np.asarray(quantile(least + u * (most - least)))
