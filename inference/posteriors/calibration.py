"""Simulation-based calibration: whether posteriors are as wide as they say.

Draw parameters from the prior, simulate data with them, draw from the posterior of these data: then
the true value is one more draw, and its rank among the draws is uniform (Talts et al.,
arXiv:1804.06788). Whatever is wrong with a derivative, a change of variables, a bound or a sampler
shows in the histogram of the ranks: a valley if posteriors are too narrow, a hill if they are too
wide, a slope if they are off to one side.

Auxiliary data stay as they were observed: with their constraints they are the prior of the
nuisances, from which the truth is drawn. Only counts are simulated, and only they, and what they
make of the coordinates, differ from posterior to posterior; so all of them are one program.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.outline import subject
from bknn.inference import chi_squared
from bknn.inference.datasets import expected_rates
from bknn.inference.fits import many
from bknn.inference.fits.fit import starting_points
from bknn.inference.fits.secondary_minima import own_entries
from bknn.inference.pieces import Progress, Work
from bknn.inference.posteriors.predictive import draw_prior
from bknn.inference.posteriors.sampler import which_method
from bknn.inference.samplers.coordinates import Coordinates
from bknn.inference.samplers.nuts import SEGMENT, Nuts
from bknn.inference.samplers.population import Population
from bknn.inference.samplers.tempering import Ladder
from bknn.inference.samplers.whitening import Target

#: Simulations that are kept together.
_PIECE = 25

#: Chains of each posterior.
_CHAINS = 2

#: Steps of the warm-up, and steps from one draw that counts to the next.
_WARMUP = {"nuts": 100, "tempered": 200, "population": SEGMENT}
_THIN = {"nuts": 4, "tempered": 5, "population": 4}

#: Rungs of a ladder.
_RUNGS = 8

#: Bins of a histogram at most, and expected counts of each at least.
_BINS, _LEAST = 20, 5

#: A probability at which one begins to doubt.
_RARE = 0.01

#: Correlation of a draw with the next, above which ranks are no longer uniform.
_ALIKE = 0.3


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(Answer):
    """Where true values rank among the draws of the posteriors of what was simulated with them.

    Attributes:
        analysis: what was calibrated.
        ranks: {name: how many draws of each posterior lie below the truth (n,)}, of every parameter
            that was sampled, nuisances included; uniform in 0 ... `draws`.
        draws: of each posterior, thinned.
        correlation: {name: correlation of one draw with the next, averaged over the posteriors};
            ranks are uniform only if they are independent.
        method: "nuts", "tempered" or "population".
        seed: of the random numbers.
        seconds: how long it took.
    """

    analysis: Analysis
    ranks: Mapping[str, np.ndarray]
    draws: int
    correlation: Mapping[str, float]
    method: str
    seed: int
    seconds: float = 0.0

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {"ranks": ("simulation",)}

    @property
    def converged(self) -> bool:
        """Whether all ranks are uniform."""
        return not self.problems

    def columns(self) -> dict[str, Any]:
        """One row a parameter."""
        values = (list(x.values()) for x in (self.p_values, self.correlation))
        return dict(zip(("name", "p", "correlation"), (list(self.ranks), *values), strict=True))

    @property
    def n(self) -> int:
        """How many simulations."""
        return len(next(iter(self.ranks.values())))

    @property
    def own(self) -> tuple[str, ...]:
        """The model's own parameters that were sampled, nuisances left out."""
        own = {p.name for p in self.analysis.parameters if p.constraint is None and not p.nuisance}
        return tuple(name for name in self.ranks if name in own)

    @property
    def bins(self) -> int:
        """Of the histograms: all of the same width, with five simulations each on average."""
        values = self.draws + 1
        most = max(2, min(_BINS, self.n // _LEAST))
        return max([k for k in range(2, most + 1) if values % k == 0], default=1)

    def histogram(self, name: str) -> np.ndarray:
        """Return how many ranks of a parameter fall into each bin (bins,)."""
        if name not in self.ranks:
            raise errors.unknown("parameter", name, self.ranks, "the calibration")
        edges = np.linspace(-0.5, self.draws + 0.5, self.bins + 1)
        return np.asarray(np.histogram(self.ranks[name], edges)[0])

    @cached_property
    def p_values(self) -> dict[str, float]:
        """{name: probability of a histogram at least as uneven as this one, chi2}."""
        if self.bins < 2:
            return dict.fromkeys(self.ranks, float("nan"))
        expected = self.n / self.bins
        return {
            name: chi_squared.tail(
                float(np.sum((self.histogram(name) - expected) ** 2 / expected)), self.bins - 1
            )
            for name in self.ranks
        }

    @property
    def least(self) -> tuple[str, float]:
        """The parameter with the most uneven histogram, and how often the most uneven one of so
        many would be worse."""
        name = min(self.p_values, key=lambda k: self.p_values[k])
        return name, 1.0 - (1.0 - self.p_values[name]) ** len(self.ranks)

    @property
    def problems(self) -> list[str]:
        """What is wrong, in sentences; empty if nothing is."""
        found = []
        for name in self.own:
            if self.p_values[name] < _RARE:
                found.append(
                    f"the ranks of {name} are not uniform (p = {self.p_values[name]:.2g}): "
                    f"{self._shape(name)}."
                )
        name, p = self.least
        if name not in self.own and p < _RARE:
            found.append(
                f"of {len(self.ranks)} parameters {name} has ranks that are not uniform "
                f"(p = {p:.2g}): {self._shape(name)}."
            )
        alike = {name: r for name, r in self.correlation.items() if r > _ALIKE}
        if alike:
            worst = max(alike, key=lambda k: alike[k])
            found.append(
                f"draws of {worst} are correlated ({alike[worst]:.2f} from one to the next), so "
                "that ranks crowd at both ends even if the posteriors are right."
            )
        return found

    def _shape(self, name: str) -> str:
        """What is uneven about a histogram."""
        u = (self.ranks[name] + 0.5) / (self.draws + 1)
        side = (u.mean() - 0.5) * np.sqrt(12 * self.n)
        wide = ((u - 0.5) ** 2).mean() - 1 / 12
        wide *= np.sqrt(180 * self.n)
        if abs(side) > max(abs(wide), 2.0):
            return f"posteriors lie too {'low' if side > 0 else 'high'}"
        if abs(wide) > 2.0:
            return f"posteriors are too {'narrow' if wide > 0 else 'wide'}"
        return "without a hill, a valley or a slope"

    @property
    def status(self) -> str:
        """Whether posteriors are what they say, in a sentence or two."""
        if self.problems:
            return " ".join(text[0].upper() + text[1:] for text in self.problems)
        shown = ", ".join(f"{name} p = {self.p_values[name]:.2g}" for name in self.own[:8])
        return f"the ranks of {self.n} simulations are uniform{f': {shown}' if shown else ''}."

    def shown(self) -> Shown:
        return Shown(
            f"Calibration of {self.method} posteriors of {subject(self.analysis)}: {self.n} "
            "simulations",
            notes=[self.status],
        )


def calibrate(
    analysis: Analysis,
    n: int = 500,
    *,
    fixed: Mapping[str, float] | None = None,
    draws: int = 99,
    method: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    work: Work | None = None,
) -> Calibration:
    """Simulate data with parameters from the prior, and rank these among draws of the posteriors.

    Args:
        analysis: model, measurements and priors; the counts that were observed play no part.
        n: how many simulations.
        fixed: {name: value} of parameters that are not drawn.
        draws: of each posterior, after thinning; one less than a multiple of 20 for 20 bins.
        method: "nuts", "tempered", "population" or "auto", as for `sample`.
        seed: of the random numbers. Simulation i of a seed is always the same.
        progress: is called with the number of simulations done since the last call.
        work: keeps simulations that are done, or has them done elsewhere, 25 at a time.

    Raises:
        ParameterError: a parameter has no proper prior, or numbers make no sense.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> analysis = bknn.Analysis(models.load("signal-strength"), belle2)
        >>> inference.calibrate(analysis, 500).p_values["mu"] > 0.01  # doctest: +SKIP
        True
    """
    for what, number, least in (("simulations", n, 2), ("draws", draws, 3)):
        if number < least:
            raise errors.ParameterError(f"{number} {what} were asked for; take at least {least}.")
    begin = time.perf_counter()
    held = {name: float(value) for name, value in (fixed or {}).items()}
    options: dict[str, Any] = {
        "fixed": held,
        "draws": draws,
        "method": which_method(analysis, method, held),
        "seed": seed,
        "priors": {p.name: p.prior_with_range for p in analysis.parameters},
    }
    work = work or Work()
    size = _PIECE if work else n
    tasks = [{**options, "first": i, "n": min(size, n - i)} for i in range(0, n, size)]
    sizes = [task["n"] for task in tasks]
    parts = work.run(_piece, analysis, tasks, sizes=sizes, progress=progress)
    ranks = np.concatenate([part["ranks"] for part in parts])
    correlation = np.concatenate([part["correlation"] for part in parts]).mean(axis=0)
    _, moving, _ = starting_points(analysis, held, {})
    return Calibration(
        analysis,
        {analysis.names[i]: ranks[:, i] for i in np.flatnonzero(moving)},
        draws,
        {analysis.names[i]: float(correlation[i]) for i in np.flatnonzero(moving)},
        options["method"],
        seed,
        time.perf_counter() - begin,
    )


def _piece(
    analysis: Analysis,
    *,
    fixed: Mapping[str, float],
    draws: int,
    method: str,
    seed: int,
    first: int,
    n: int,
    priors: Mapping[str, str],  # tell apart what is kept; those of the analysis are used
    progress: Progress | None,
) -> dict[str, np.ndarray]:
    """Return ranks and correlations (n, size) of some simulations."""
    simulator = _Simulator(analysis, fixed, method)
    # One after the other whatever the pieces: simulation i is always the same.
    truths = draw_prior(analysis, first + n, np.random.default_rng((seed, 0)), fixed)[first:]
    rates = expected_rates(analysis, truths)

    def one(k: int) -> tuple[np.ndarray, np.ndarray]:
        result = simulator.simulate(seed, first + k, truths[k], rates[k], draws)
        if progress is not None:
            progress(1)
        return result

    # The first one alone, so that it compiles for all.
    found = [one(0)]
    with ThreadPoolExecutor(many.workers()) as pool:
        found += pool.map(one, range(1, n))
    return {
        "ranks": np.array([ranks for ranks, _ in found]),
        "correlation": np.array([correlation for _, correlation in found]),
    }


class _Simulator:
    """Posteriors of simulated data, by programs that are compiled once."""

    def __init__(self, analysis: Analysis, fixed: Mapping[str, float], method: str) -> None:
        self.analysis, self.fixed, self.method = analysis, fixed, method
        starts, moving, _ = starting_points(analysis, fixed, {})
        self.coordinates = Coordinates(analysis, moving, starts[0, 0])
        own = np.flatnonzero(np.isin(self.coordinates.index, own_entries(analysis, moving)))
        self.loose = None if method == "nuts" else own
        self.start = np.zeros(self.coordinates.size)
        if method == "nuts":
            observed = Target(self.coordinates, self.start)
            self.sampler: Nuts | Ladder | Population = Nuts(observed.weight, warmup=_WARMUP[method])
        elif method == "population":
            observed = Target(self.coordinates, self.start, loose=self.loose)
            self.sampler = Population(observed.weight, observed.size, own)
        else:
            observed = Target(self.coordinates, self.start, loose=self.loose)
            self.sampler = Ladder(
                observed.weight,
                observed.size,
                warmup=_WARMUP[method],
                rungs=_RUNGS,
                stiffness=observed.stiffness,
            )

    def simulate(
        self, seed: int, number: int, truth: np.ndarray, rates: np.ndarray, draws: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how many draws lie below the truth, and their correlations (size,)."""
        random = np.random.default_rng((seed, 1, number))
        counts = self.analysis.data_distribution.drawn(random, rates)
        data = self.analysis.data._replace(counts=counts)
        target = Target(self.coordinates, self.start, data=data, loose=self.loose)
        key = jax.random.fold_in(jax.random.PRNGKey(seed), number)
        begin = random.standard_normal((_CHAINS, target.size))
        state: Any = self.sampler.start(key, begin, target.frame)
        for _ in range(_WARMUP[self.method] // SEGMENT):
            state, _ = self.sampler.advance(state, target.frame)
        each, thin = -(-draws // _CHAINS), _THIN[self.method]
        w = []
        for _ in range(-(-each * thin // SEGMENT)):
            state, segment = self.sampler.advance(state, target.frame)
            w.append(segment.draws)
        kept = target.vectors(np.concatenate(w, axis=1)[:, thin - 1 : each * thin : thin])
        moved = kept - kept.mean(axis=(0, 1))
        squares = np.sum(moved**2, axis=(0, 1))
        products = np.sum(moved[:, 1:] * moved[:, :-1], axis=(0, 1))
        correlation = products / np.where(squares > 0, squares, 1.0)
        drawn = kept.swapaxes(0, 1).reshape(-1, self.analysis.size)[:draws]
        return np.sum(drawn < truth, axis=0), correlation
