"""A posterior on a grid of its parameters: densities, moments, regions, evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from scipy import special

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span, with_error
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import Coordinate
from bknn.inference.estimate import Estimate
from bknn.inference.posteriors.hdi import highest_density
from bknn.priors import describe, log_density, support_bounds

#: Parameters on a grid.
_MOST = 3


#: A density that is higher than this fraction of its maximum where the grid ends goes on there.
_CUT = 1e-3


#: Errors of the trapezoidal rule that are told: of the log evidence; of means, in widths.
_COARSE = 0.1


#: Cells between two points of the grid, where regions end.
_CELLS = 40


@dataclass(frozen=True, eq=False, repr=False)
class Marginal(Answer):
    """A posterior density on a grid.

    Attributes:
        analysis: what was measured.
        grid: {name: values (points,)}, in the order of the axes.
        log_likelihood: log p(counts | theta), nuisances integrated out, at each point.
        log_prior: log prior density of the parameters of the grid.
        converged: whether the maximum over the nuisances was found.
        fixed: {name: value} of what did not float.
    """

    analysis: Analysis
    grid: Mapping[str, np.ndarray]
    log_likelihood: np.ndarray
    log_prior: np.ndarray
    converged: np.ndarray
    fixed: Mapping[str, float] = field(default_factory=dict)

    KEPT: ClassVar[tuple[str, ...]] = ("log_density",)

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        shaped = ("log_likelihood", "log_prior", "log_density", "converged")
        return dict.fromkeys(shaped, tuple(self.grid))

    def coordinates(self) -> dict[str, Coordinate]:
        return {n: Coordinate(x, unit_of(self.analysis, n)) for n, x in self.grid.items()}

    @property
    def status(self) -> str:
        """Whether the grid is long and fine enough, in a sentence or two."""
        if not self.problems:
            return f"the grid of {self.log_likelihood.size} points is long and fine enough."
        return " ".join(f"{text[0].upper()}{text[1:]}." for text in self.problems)

    def columns(self) -> dict[str, np.ndarray]:
        """One row a point of the grid."""
        points = zip(self.grid, np.meshgrid(*self.grid.values(), indexing="ij"), strict=True)
        found = {"log_density": self.log_density, "converged": self.converged}
        return {n: x.reshape(-1) for n, x in (dict(points) | found).items()}

    def shown(self) -> Shown:
        rows = []
        for name in self.grid:
            regions = self.highest_density(name, 0.6827)
            ends = " and ".join(span(*ends) for ends in regions)
            mean = with_error(self.mean(name), self.deviation(name), unit_of(self.analysis, name))
            rows.append((name, mean, ends))
        return Shown(
            f"Posterior of {subject(self.analysis)} on a grid",
            ("parameter", "mean", "68% most probable"),
            rows,
            [self.status],
        )

    @cached_property
    def _weights(self) -> np.ndarray:
        """Of the trapezoidal rule, at each point."""
        result = np.ones(self.log_likelihood.shape)
        for axis, x in enumerate(self.grid.values()):
            shape = [1] * result.ndim
            shape[axis] = len(x)
            result = result * _steps(x).reshape(shape)
        return result

    @cached_property
    def log_evidence(self) -> float:
        """Log of the integral of likelihood times priors over the grid."""
        total = self.log_likelihood + self.log_prior
        return float(special.logsumexp(total, b=self._weights))

    @cached_property
    def log_density(self) -> np.ndarray:
        """Log of the posterior density at each point, normalised on the grid."""
        return self.log_likelihood + self.log_prior - self.log_evidence

    def density(self, *names: str) -> np.ndarray:
        """Return the posterior density of parameters (points, ...), the others integrated out."""
        axes = [self._axis(name) for name in names]
        others = tuple(a for a in range(self.log_density.ndim) if a not in axes)
        mass = np.sum(np.exp(self.log_density) * self._weights, axis=others)
        # What is left is in the order of the grid.
        mass = np.transpose(mass, [sorted(axes).index(a) for a in axes])
        for k, name in enumerate(names):
            shape = [-1 if axis == k else 1 for axis in range(len(names))]
            mass = mass / _steps(self.grid[name]).reshape(shape)
        return np.asarray(mass)

    def _axis(self, name: str) -> int:
        if name not in self.grid:
            raise errors.unknown("parameter", name, self.grid, "the grid")
        return list(self.grid).index(name)

    @property
    def mode(self) -> dict[str, float]:
        """The point of the grid with the highest density."""
        at = np.unravel_index(int(np.argmax(self.log_density)), self.log_density.shape)
        return {name: float(x[i]) for i, (name, x) in zip(at, self.grid.items(), strict=True)}

    def mean(self, name: str) -> float:
        """Return the posterior mean of one parameter."""
        x, density = self.grid[name], self.density(name)
        return float(np.trapezoid(x * density, x) / np.trapezoid(density, x))

    def deviation(self, name: str) -> float:
        """Return the standard deviation of one parameter."""
        x, density = self.grid[name], self.density(name)
        square = np.trapezoid((x - self.mean(name)) ** 2 * density, x)
        return float(np.sqrt(square / np.trapezoid(density, x)))

    def quantile(self, name: str, probability: float) -> float:
        """Return below which value a parameter lies with a probability."""
        ends, mass, _ = self._cells(name)
        return float(np.interp(probability, np.concatenate([[0.0], np.cumsum(mass)]), ends))

    def median(self, name: str) -> float:
        """Return the median of one parameter."""
        return self.quantile(name, 0.5)

    def highest_density(self, name: str, level: float) -> list[tuple[float, float]]:
        """Return where the density is highest, intervals that hold `level` of it together."""
        ends, mass, height = self._cells(name)
        order = np.argsort(-height, kind="stable")
        many = int(np.searchsorted(np.cumsum(mass[order]), level - 1e-12)) + 1
        inside = np.zeros(len(mass) + 2, bool)
        inside[1 + order[:many]] = True
        edges = np.flatnonzero(np.diff(inside.astype(int)))
        return [
            (float(ends[a]), float(ends[b])) for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]

    def _cells(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ends (n + 1,), probability (n,) and density (n,) of cells; linear between the points."""
        x, density = self.grid[name], self.density(name)
        points = np.arange(len(x))
        ends = np.interp(np.linspace(0, points[-1], _CELLS * points[-1] + 1), points, x)
        y = np.interp(ends, x, density)
        height = 0.5 * (y[1:] + y[:-1])
        mass = height * np.diff(ends)
        return ends, mass / mass.sum(), height

    def summary(self, name: str) -> dict[str, Any]:
        """Return what is said of one parameter, as of draws.

        "mode" is the point of the grid where all parameters of the grid together are most probable.
        "hdi_68" and "hdi_95" are the shortest intervals [low, high], "regions_68" and "regions_95"
        where the density is highest: several intervals, if it has several maxima.
        """
        ends, mass, _ = self._cells(name)
        middle = 0.5 * (ends[1:] + ends[:-1])
        found: dict[str, Any] = {}
        for key, level in (("68", 0.6827), ("95", 0.95)):
            regions = self.highest_density(name, level)
            one = regions[0] if len(regions) == 1 else highest_density(middle, level, mass)
            found |= {f"hdi_{key}": list(one), f"regions_{key}": regions}
        return {
            "mode": self.mode[name],
            "marginal_mode": float(self.grid[name][int(np.argmax(self.density(name)))]),
            "mean": self.mean(name),
            "median": self.median(name),
            **found,
        }

    @cached_property
    def problems(self) -> list[str]:
        """What is wrong with the grid, in sentences."""
        found = []
        if not self.converged.all():
            bad = int(np.sum(~self.converged))
            many = "point" if bad == 1 else "points"
            found.append(
                f"at {bad} {many} of {self.converged.size} the maximum over the nuisances was not "
                "found, so do not use these numbers"
            )
        coarse = self._coarse()
        for name, x in self.grid.items():
            prior = self.analysis.parameters[self.analysis.index(name)].distribution
            density = self.density(name)
            near = 1e-6 * (x[-1] - x[0])
            for end, at, height in zip(
                support_bounds(prior), (0, -1), density[[0, -1]], strict=True
            ):
                beyond = (x[at] - end) * (1 if at else -1)
                which = "last" if at else "first"
                if beyond > near:
                    found.append(
                        f"the grid of {name} goes on beyond its prior, {describe(prior)}; let it "
                        f"end at {end:g}"
                    )
                elif beyond < -near and height > _CUT * density.max():
                    found.append(
                        f"at the {which} point of the grid, {name} = {x[at]:g}, the density is "
                        f"{height / density.max():.1g} of its maximum, and the prior goes on; make "
                        "the grid longer"
                    )
            shift = np.inf if coarse is None else abs(coarse.mean(name) - self.mean(name)) / 3.0
            if coarse is not None and shift > _COARSE * self.deviation(name):
                found.append(
                    f"the grid is too coarse: without every second point the mean of {name} is "
                    f"{coarse.mean(name):.4g}, not {self.mean(name):.4g}"
                )
        if coarse is not None and self.evidence.error > _COARSE:
            found.append(
                "the grid is too coarse: without every second point the log evidence is "
                f"{coarse.log_evidence:.2f}, not {self.log_evidence:.2f}"
            )
        return found

    @cached_property
    def evidence(self) -> Estimate:
        """Log evidence, and how far off the trapezoidal rule may be."""
        coarse = self._coarse()
        rough = np.nan if coarse is None else coarse.log_evidence
        return Estimate(self.log_evidence, abs(rough - self.log_evidence) / 3.0, "laplace")

    def savage_dickey(self, name: str, value: float) -> Estimate:
        """Return the log Bayes factor of `name = value`: posterior over prior density there.

        The error is that of the trapezoidal rule: the difference to every second point.

        Raises:
            ParameterError: the value is no point of the grid.
        """
        x = self.grid[name]
        at = np.flatnonzero(np.isclose(x, value, rtol=0, atol=1e-9 * (x[-1] - x[0])))
        if not at.size:
            raise errors.ParameterError(
                f"{name} = {value:g} is no point of the grid; put it into `over`."
            )
        prior = self.prior(name)[at[0]]
        found = float(np.log(self.density(name)[at[0]]) - prior)
        rough = self._every_second(name, int(at[0])) - prior
        return Estimate(found, abs(found - rough) / 3.0, "laplace")

    def prior(self, name: str) -> np.ndarray:
        """Return the log prior density of one parameter at its points."""
        prior = self.analysis.parameters[self.analysis.index(name)].distribution
        return np.asarray(log_density(prior, jnp.asarray(self.grid[name])))

    def _every_second(self, name: str, at: int) -> float:
        coarse = self._coarse({name: at % 2})
        if coarse is None:
            return float("nan")
        near = int(np.argmin(np.abs(coarse.grid[name] - self.grid[name][at])))
        return float(np.log(coarse.density(name)[near]))

    def _coarse(self, start: Mapping[str, int] | None = None) -> Marginal | None:
        """The same of every second point, and of both ends; None where nothing is left."""
        kept = {}
        for name, x in self.grid.items():
            own = np.arange((start or {}).get(name, 0), len(x), 2)
            kept[name] = np.union1d(own, [0, len(x) - 1])
        if min(len(k) for k in kept.values()) < 3:
            return None
        index = np.ix_(*kept.values())
        return Marginal(
            self.analysis,
            {name: x[kept[name]] for name, x in self.grid.items()},
            self.log_likelihood[index],
            self.log_prior[index],
            self.converged[index],
        )


def _steps(x: np.ndarray) -> np.ndarray:
    """Weights of the trapezoidal rule."""
    own = np.zeros(len(x))
    own[:-1] += 0.5 * np.diff(x)
    own[1:] += 0.5 * np.diff(x)
    return own
