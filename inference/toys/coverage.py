"""What toys say: fractions with their errors, coverage, bias and pulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from bknn import errors
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import with_error
from bknn.inference import chi_squared
from bknn.inference.estimate import ONE_SIGMA, Fraction
from bknn.inference.toys.failures import Failures, OfToys
from bknn.inference.toys.toys import Toys


@dataclass(frozen=True, repr=False)
class Coverage(OfToys, Answer):
    """How often intervals held the truth.

    Attributes:
        name, truth: of the parameter.
        levels: nominal probabilities.
        fractions: what was found, one a level.
        method: "likelihood" or "hessian".
        failed: toys that are left out.
    """

    name: str
    truth: float
    levels: tuple[float, ...]
    fractions: tuple[Fraction, ...]
    method: str
    failed: Failures

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(f.value for f in self.fractions)

    @property
    def errors(self) -> tuple[float, ...]:
        return tuple(f.error for f in self.fractions)

    @property
    def deviations(self) -> tuple[float, ...]:
        """(found - nominal) / binomial error of the nominal level."""
        pairs = zip(self.fractions, self.levels, strict=True)
        return tuple((f.value - p) / math.sqrt(p * (1 - p) / max(f.n, 1)) for f, p in pairs)

    def columns(self) -> dict[str, tuple[float, ...]]:
        """One row a level."""
        return {"nominal": self.levels, "covered": self.values, "error": self.errors}

    def shown(self) -> Shown:
        rows = [
            (f"{level:.2%}", with_error(100 * f.value, 100 * f.error, "%"), f"{d:+.1f}")
            for level, f, d in zip(self.levels, self.fractions, self.deviations, strict=True)
        ]
        return Shown(
            f"coverage of {self.method} intervals of {self.name}, true value {self.truth:g}",
            ("nominal", "covered", "deviation / error"),
            rows,
            [self.status],
        )


def coverage(
    toys: Toys,
    name: str,
    levels: Sequence[float] = (ONE_SIGMA, 0.95),
    *,
    method: str | None = None,
) -> Coverage:
    """Count how often the interval of a parameter holds its true value.

    Args:
        toys: from `inference.toys`, with a hypothesis that fixes this parameter alone at its truth
            (for "likelihood") or with uncertainties (for "hessian").
        name: of the parameter.
        levels: nominal probabilities.
        method: "likelihood", where the interval holds the truth if -2 log L rises to it by no more
            than the quantile of chi2 with one degree of freedom; "hessian", estimate +- a multiple
            of the uncertainty. The first that can be had by default.

    Toys without an uncertainty (at a bound, or the Hessian not positive) do not cover in "hessian".

    Raises:
        UnknownNameError: no such parameter in the toys, or no such method.
        ParameterError: the toys have neither the hypothesis nor the uncertainties.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import inference, models
    >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    >>> truth = {**analysis.init, "mu": 5.0}
    >>> toys = inference.toys(analysis, truth, 100, hypotheses={"truth": {"mu": 5.0}})
    >>> coverage(toys, "mu").method
    'likelihood'
    """
    estimate, truth = _of(toys, name)
    if method not in (None, "likelihood", "hessian"):
        raise errors.unknown("method", str(method), ("likelihood", "hessian"))
    label = next(
        (
            label
            for label, values in toys.hypotheses.items()
            if set(values) == {name} and math.isclose(values[name], truth, rel_tol=1e-9)
        ),
        None,
    )
    if method is None:
        method = "likelihood" if label is not None else "hessian"
    if method == "likelihood":
        if label is None:
            raise errors.ParameterError(
                f"no hypothesis of these toys fixes {name!r} alone at its true value {truth:g}; "
                f"fit them with hypotheses={{'truth': {{{name!r}: {truth:g}}}}}."
            )
        t = toys.statistic(label)
        inside = [t <= chi_squared.quantile(level, 1) for level in levels]
    else:
        sigma = _sigma(toys, name)
        distance = np.abs(estimate - truth)
        known = np.isfinite(sigma) & (sigma > 0)
        inside = [known & (distance <= -ndtri((1 - p) / 2) * sigma) for p in levels]
    fractions = tuple(Fraction(int(x.sum()), len(x)) for x in inside)
    return Coverage(name, truth, tuple(levels), fractions, method, toys.failed)


@dataclass(frozen=True, repr=False)
class Bias(OfToys, Answer):
    """How far estimates are from the truth on average.

    Attributes:
        name, truth: of the parameter.
        mean, mean_error: of estimate - truth, and its statistical error.
        median: of estimate - truth.
        spread: standard deviation of the estimates.
        n: toys that did not fail.
        failed: those that did.
    """

    name: str
    truth: float
    mean: float
    mean_error: float
    median: float
    spread: float
    n: int
    failed: Failures

    def shown(self) -> Shown:
        relative = self.mean / self.spread if self.spread > 0 else math.nan
        return Shown(
            f"bias of {self.name}, true value {self.truth:g}: "
            f"{with_error(self.mean, self.mean_error)} (median {self.median:.3g}), "
            f"{relative:+.1%} of the spread {self.spread:.3g}, from {self.n} toys",
            notes=[self.status],
        )


def bias(toys: Toys, name: str) -> Bias:
    """Return the bias of the estimates of a parameter.

    Raises:
        UnknownNameError: no such parameter in the toys.
        ParameterError: fewer than two toys did not fail.
    """
    estimate, truth = _of(toys, name)
    shift = estimate - truth
    spread = float(np.std(shift, ddof=1))
    return Bias(
        name,
        truth,
        float(np.mean(shift)),
        spread / math.sqrt(len(shift)),
        float(np.median(shift)),
        spread,
        len(shift),
        toys.failed,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Pulls(OfToys, Answer):
    """(estimate - truth) / uncertainty; a standard normal distribution if all is well.

    Attributes:
        name, truth: of the parameter.
        values: (n,), of the toys that have an uncertainty.
        unknown: how many have none: at a bound, or the Hessian was not positive.
        failed: toys whose fits failed.
    """

    name: str
    truth: float
    values: np.ndarray
    unknown: int
    failed: Failures

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def mean_error(self) -> float:
        return self.width / math.sqrt(len(self.values))

    @property
    def width(self) -> float:
        """Standard deviation of the pulls."""
        return float(np.std(self.values, ddof=1))

    @property
    def width_error(self) -> float:
        """Error of the width, from the fourth moment of the pulls."""
        n, centred = len(self.values), self.values - self.mean
        fourth = float(np.mean(centred**4))
        return math.sqrt(max(fourth - self.width**4, 0.0) / n) / (2 * self.width)

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {"values": ("toy",)}

    def shown(self) -> Shown:
        unknown = f"; {self.unknown} toys have no uncertainty" if self.unknown else ""
        return Shown(
            f"pulls of {self.name}, true value {self.truth:g}: mean "
            f"{with_error(self.mean, self.mean_error)}, width "
            f"{with_error(self.width, self.width_error)}, from {len(self.values)} toys{unknown}",
            notes=[self.status],
        )


def pulls(toys: Toys, name: str) -> Pulls:
    """Return the pulls of a parameter in toys that were fitted with `uncertainties=True`.

    Raises:
        UnknownNameError: no such parameter in the toys.
        ParameterError: the toys have no uncertainties, or fewer than two have.
    """
    estimate, truth = _of(toys, name)
    sigma = _sigma(toys, name)
    known = np.isfinite(sigma) & (sigma > 0)
    if known.sum() < 2:
        raise errors.ParameterError(
            f"{int(known.sum())} of {len(sigma)} toys have an uncertainty of {name!r} (at a bound "
            "there is none), and pulls need at least two; look at the estimates instead."
        )
    values = (estimate[known] - truth) / sigma[known]
    return Pulls(name, truth, values, int(np.sum(~known)), toys.failed)


def _of(toys: Toys, name: str) -> tuple[np.ndarray, float]:
    """Return the estimates of a parameter in the toys that did not fail, and its truth."""
    if name not in toys.estimates:
        raise errors.unknown("parameter", name, toys.estimates, "the toys")
    estimate = toys.estimates[name][toys.good]
    if len(estimate) < 2:
        raise errors.ParameterError(
            f"{toys.failed}; what is left ({len(estimate)}) is too few for a study. Throw more."
        )
    return estimate, toys.truth[name]


def _sigma(toys: Toys, name: str) -> np.ndarray:
    if name not in toys.uncertainties:
        raise errors.ParameterError(
            "these toys have no uncertainties; fit them with uncertainties=True."
        )
    return toys.uncertainties[name][toys.good]
