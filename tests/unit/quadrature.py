"""The posterior of the small measurement with four free parameters, by brute force.

`mu`, the rate `k_b`, one normally constrained nuisance (`ff`) and one with auxiliary counts
(`side[0]`) float, all others stay where they start. The density is written anew from the definition
(arXiv:1102.0302) and integrated on Gauss-Legendre points in all four at once.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import special, stats

import bknn
from bknn import models

from . import small

#: What stays at its nominal value.
FIXED = {
    "shape_b": 0.0,
    "norm_b": 0.0,
    "side[1]": 1.0,
    "side[2]": 1.0,
    "stat_SR[0]": 1.0,
    "stat_SR[1]": 1.0,
    "stat_SR[2]": 1.0,
}

NAMES = ("mu", "k_b", "ff", "side[0]")

#: Where nearly all of the posterior is, beyond six standard deviations.
RANGES = {"mu": (-1.5, 4.0), "k_b": (0.7, 1.3), "ff": (-5.0, 5.0), "side[0]": (0.2, 2.2)}


def analysis(prior: str | None = None, counts: list[float] | None = None) -> bknn.Analysis:
    """The model `signal-strength` with a prior for mu."""
    measurement = small.measurement() if counts is None else small.with_counts(counts)
    priors = None if prior is None else {"mu": prior}
    return bknn.Analysis(models.load("signal-strength"), measurement, priors=priors)


class Brute:
    """Quadrature over all four parameters.

    Args:
        prior: of mu.
        mu: the range in which it is integrated.
        counts: of SR; those of CR are always the same.
        points: along each axis.
    """

    def __init__(
        self,
        prior: stats.rv_frozen,
        *,
        mu: tuple[float, float] = RANGES["mu"],
        counts: np.ndarray = small.OBSERVED[1],
        points: int = 40,
    ) -> None:
        nodes, weights = np.polynomial.legendre.leggauss(points)
        ranges = {**RANGES, "mu": mu}
        self.axes = {n: a + 0.5 * (b - a) * (nodes + 1) for n, (a, b) in ranges.items()}
        self.steps = {n: 0.5 * (b - a) * weights for n, (a, b) in ranges.items()}
        self.prior, self.counts = prior, np.asarray(counts, float)

    @cached_property
    def log_density(self) -> np.ndarray:
        """Log of p(counts | parameters) times normalised priors at all points."""
        mesh = np.meshgrid(*self.axes.values(), indexing="ij", sparse=True)
        return self.at(*mesh)

    def at(self, mu: np.ndarray, k_b: np.ndarray, ff: np.ndarray, side: np.ndarray) -> np.ndarray:
        """The same at any points."""
        ff, shape = np.asarray(ff, float), np.shape(ff)
        shift = np.array(
            [small.code4p(float(x), small.SIGNAL, small.FORM_FACTOR) for x in ff.ravel()]
        )
        result = np.asarray(self.prior.logpdf(mu)) + 0.0 * ff * side
        for b in range(3):
            gamma = side if b == 0 else 1.0
            signal = small.SIGNAL[b] + shift[:, b].reshape(shape)
            result = result + _poisson(
                self.counts[b], mu * signal + k_b * small.BACKGROUND[b] * gamma
            )
        for observed, expected in zip(small.OBSERVED[0], small.CONTROL, strict=True):
            result = result + _poisson(observed, k_b * expected)
        # Within their bounds: +-5 widths, [0, 10], [1e-10, 10].
        result = result + stats.truncnorm(-5, 5).logpdf(ff) - np.log(10.0)
        auxiliary = (small.BACKGROUND[0] / small.SIDEBAND[0]) ** 2
        return result + stats.gamma(auxiliary + 1, scale=1 / auxiliary).logpdf(side)

    @cached_property
    def log_evidence(self) -> float:
        """Log of the integral."""
        total = np.zeros(())
        for axis, step in enumerate(self.steps.values()):
            total = total + np.log(step).reshape([-1 if a == axis else 1 for a in range(4)])
        return float(special.logsumexp(self.log_density + total))

    def density(self, name: str) -> np.ndarray:
        """The posterior density of one parameter at its points."""
        axis = list(self.axes).index(name)
        density = np.exp(self.log_density - self.log_evidence)
        for a in reversed(range(4)):
            if a != axis:
                step = self.steps[list(self.axes)[a]]
                density = np.tensordot(density, step, axes=(a, 0))
        return density

    def mean(self, name: str, power: int = 1) -> float:
        """The posterior mean of a power of one parameter."""
        x = self.axes[name]
        return float(np.sum(self.steps[name] * self.density(name) * x**power))

    def width(self, name: str) -> float:
        """The posterior standard deviation."""
        return float(np.sqrt(self.mean(name, 2) - self.mean(name) ** 2))

    def quantile(self, name: str, probability: np.ndarray) -> np.ndarray:
        """Where so much of the posterior lies below."""
        x = self.axes[name]
        fit = np.polynomial.legendre.Legendre.fit(
            x, self.density(name), len(x) - 1, domain=(2 * x[0] - x[1], 2 * x[-1] - x[-2])
        )
        fine = np.linspace(x[0], x[-1], 4001)
        below = fit.integ(lbnd=x[0])(fine)
        return np.interp(probability, below / below[-1], fine)


def _poisson(count: float, rate: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = count * np.log(rate) - rate - special.gammaln(count + 1)
    return np.where(rate > 0, found, -np.inf)
