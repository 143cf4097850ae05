"""How much a measurement to come would tell: about which model is true, and about its parameters.

Before it is made, a model predicts its outcome x with a mean and a covariance: how the measurement
fluctuates, and what is not known of parameters, form factors and nuisances. Taken as normal, with
everything linear in the parameters,

- the mutual information between the model S (n of them, equally probable) and x,
  I = (1/n) sum_S E_S log [p(x|S) / p(x)], is the expected Kullback-Leibler divergence from prior to
  posterior probabilities of the models, at most log n (D. V. Lindley, Ann. Math. Stat. 27 (1956)
  986);
- that between the parameters of one model and x is 1/2 log det of the covariance of x over that
  for known parameters, which is the log of the factor by which the volume of the region of the
  parameters is expected to shrink (1/2 log of the ratio of determinants of the Fisher information).

All in nats; log 2 = 0.69 is one question answered yes or no.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.inference.estimate import Estimate
from bknn.inference.fits.result import FitResult
from bknn.inference.slopes import rates_and_slopes


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a model expects of a measurement that has not been made.

    Attributes:
        mean: (m,).
        noise: variance of what is observed, for a known truth (m,).
        unknown: covariance of the mean, from all that is not known of the model (m, m).
        given: the same if its parameters were known, and only form factors and nuisances were not.
    """

    mean: np.ndarray
    noise: np.ndarray
    unknown: np.ndarray
    given: np.ndarray

    def take(self, which: Sequence[int] | np.ndarray | slice) -> Outcome:
        """Return a part of the measurement."""
        index = np.arange(len(self.mean))[which]
        square = np.ix_(index, index)
        return Outcome(
            self.mean[index], self.noise[index], self.unknown[square], self.given[square]
        )

    def with_noise(self, sigma: float | np.ndarray) -> Outcome:
        """Return the same with another precision, standard deviations () or (m,)."""
        return replace(self, noise=np.broadcast_to(np.square(sigma), self.mean.shape))

    @property
    def covariance(self) -> np.ndarray:
        """Of what may be observed (m, m)."""
        return np.diag(self.noise) + self.unknown


def outcome(
    analysis: Analysis, truth: Mapping[str, float], today: FitResult | None = None
) -> Outcome:
    """Return the expectations of a model for measurements.

    Args:
        analysis: of the model and the measurements to come.
        truth: {name: value} of the parameters of the model; others as in `Analysis.at`.
        today: a fit of the model to what is known; the covariance of the parameters and form
            factors that float in it is what is known of them. Other form factors and the nuisances
            of the measurements are known by their constraints, other parameters exactly.

    Raises:
        FitError: today's fit has no covariance.
    """
    vector = np.asarray(analysis.flatten(analysis.at(truth)))
    rates, slopes = rates_and_slopes(analysis, vector)
    known = np.zeros((analysis.size, analysis.size))
    index, _, sigma = analysis.normal
    known[index, index] = sigma**2
    index, _, factor = analysis.poisson
    known[index, index] = 1.0 / factor
    known[analysis.fixed] = 0.0
    own = np.zeros(0, int)
    if today is not None:
        if not np.isfinite(today.covariance).all():
            raise errors.FitError(
                f"the fit of {today.target!r} has no covariance, so it does not say what is known; "
                "fix parameters that the data do not determine."
            )
        names = list(today.names)
        shared = [
            (i, names.index(p.name))
            for i, p in enumerate(analysis.parameters)
            if p.name in names and today.moving[names.index(p.name)]
        ]
        here, there = (np.array([pair[k] for pair in shared], int) for k in (0, 1))
        known[here], known[:, here] = 0.0, 0.0
        known[np.ix_(here, here)] = today.covariance[np.ix_(there, there)]
        own = np.array([i for i in here if analysis.parameters[i].constraint is None], int)
    rest = np.setdiff1d(np.arange(analysis.size), own)
    given = known.copy()
    if own.size:
        # Parameters at a bound have no width, and are known.
        unit = np.sqrt(np.diag(known)[own])
        unit = np.where(unit > 0, unit, 1.0)
        inverse = np.linalg.pinv(known[np.ix_(own, own)] / np.outer(unit, unit), hermitian=True)
        across = known[np.ix_(rest, own)] / unit
        given[np.ix_(rest, rest)] -= across @ inverse @ across.T
        given[own], given[:, own] = 0.0, 0.0
    return Outcome(
        rates,
        analysis.data_distribution.spread(rates),
        slopes @ known @ slopes.T,
        slopes @ given @ slopes.T,
    )


def about_models(outcomes: Sequence[Outcome], *, draws: int = 20000, seed: int = 0) -> Estimate:
    """Return the mutual information between models, equally probable, and an outcome, in nats.

    Args:
        outcomes: of the same measurement, one a model.
        draws: of the outcome, for each model.
        seed: of the draws.

    >>> far = [Outcome(np.array([x]), np.ones(1), *2 * [np.zeros((1, 1))]) for x in (0.0, 40.0)]
    >>> round(about_models(far).value, 6)
    0.693147
    """
    generator = np.random.default_rng(seed)
    n = len(outcomes)
    factors = [np.linalg.cholesky(_scaled(o)[0]) for o in outcomes]
    units = [_scaled(o)[1] for o in outcomes]
    gains = []
    for i, true in enumerate(outcomes):
        z = generator.standard_normal((draws, len(true.mean)))
        x = true.mean + units[i] * (z @ factors[i].T)
        log_p = np.stack(
            [
                _log_density((x - o.mean) / u, f) - np.log(u).sum()
                for o, f, u in zip(outcomes, factors, units, strict=True)
            ]
        )
        gains.append(log_p[i] - logsumexp(log_p, axis=0) + np.log(n))
    value = float(np.mean(gains))
    error = float(np.sqrt(np.sum(np.var(gains, axis=1) / draws)) / n)
    return Estimate(value, error, f"{draws} draws of each model")


def about_parameters(found: Outcome) -> float:
    """Return the mutual information between the parameters of a model and an outcome, in nats.

    >>> one = np.ones((1, 1))
    >>> round(about_parameters(Outcome(np.zeros(1), np.ones(1), 3.0 * one, 0.0 * one)), 6)
    0.693147
    """
    unit = np.sqrt(found.noise)
    outer = np.outer(unit, unit)
    eye = np.eye(len(unit))
    logs = [np.linalg.slogdet(eye + x / outer)[1] for x in (found.unknown, found.given)]
    return float(0.5 * (logs[0] - logs[1]))


def _scaled(found: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlation matrix and the widths: 1e-6 and 1e4 may stand side by side."""
    covariance = found.covariance
    unit = np.sqrt(np.diag(covariance))
    return covariance / np.outer(unit, unit), unit


def _log_density(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return log of a normal density without its powers of 2 pi, at x (draws, m)."""
    z = np.linalg.solve(factor, x.T)
    return -0.5 * np.sum(z**2, axis=0) - np.log(np.diag(factor)).sum()
