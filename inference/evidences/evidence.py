"""The evidence: how probable the data are, averaged over the priors.

Two methods that share nothing but the draws: the ladder of a tempered sampler, rung by rung from a
normalised density to the posterior (`tempering`), and a bridge from the posterior's draws to a
density that was fitted to them (Meng and Wong 1996; Gronau et al., arXiv:1703.05984). A third,
nested sampling, is in `nested`; for nested hypotheses there is `savage_dickey`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import with_error
from bknn.answers.outline import subject
from bknn.inference.estimate import Estimate
from bknn.inference.pieces import Work
from bknn.inference.posteriors.reweight import WORST_SHAPE, pareto_smoothed
from bknn.inference.posteriors.sample import ladder_evidence, run_group
from bknn.inference.posteriors.sampler import Plan, Sampler, side_by_side, start, together
from bknn.inference.samplers.chart import Values
from bknn.inference.samplers.coordinates import Coordinates
from bknn.inference.samplers.nuts import SEGMENT
from bknn.inference.samplers.whitening import LogWeight, in_pieces
from bknn.storage.store import Store

METHODS = ("tempering", "bridge", "nested")

#: The method where there is nothing to integrate over.
EXACT = "exact"

#: Two methods agree if their difference is less than this many of its standard deviations.
_AGREE = 3.0

#: Kernels of the density that is fitted to the model's own parameters.
_KERNELS = 200

#: Population of the nested sampler: an error of 0.13 for Belle II, in minutes.
_LIVE = 400

#: Blocks of draws for the error of the bridge.
_BLOCKS = 8


@dataclass(frozen=True, eq=False, repr=False)
class Evidence(Answer):
    """The logarithm of the evidence, by several methods.

    Attributes:
        analysis: what was measured.
        fixed: {name: value} of the hypothesis.
        estimates: one of each method, the most precise first.
    """

    analysis: Analysis
    fixed: Mapping[str, float]
    estimates: tuple[Estimate, ...]

    @property
    def value(self) -> float:
        """Log evidence, by the most precise method."""
        return self.estimates[0].value

    @property
    def error(self) -> float:
        return self.estimates[0].error

    @property
    def method(self) -> str:
        return self.estimates[0].method

    @property
    def converged(self) -> bool:
        """Whether a second method agrees with the first, within their errors."""
        if self.method == EXACT:
            return True
        return any(_compatible(self.estimates[0], other) for other in self.estimates[1:])

    @property
    def status(self) -> str:
        """Whether to believe it, in a sentence."""
        if self.method == EXACT:
            return "nothing floats, so the evidence is the likelihood."
        numbers = ", ".join(str(e) for e in self.estimates)
        if len(self.estimates) < 2:
            return f"only one method was used: {numbers}."
        if self.converged:
            return f"the methods agree: {numbers}."
        return (
            f"the methods do not agree: {numbers}. The chains may have missed a mode, or are too "
            "short; take more draws."
        )

    def columns(self) -> dict[str, list[Any]]:
        """One row a method."""
        pairs = {"log_evidence": "value", "error": "error", "method": "method"}
        return {k: [getattr(e, name) for e in self.estimates] for k, name in pairs.items()}

    def shown(self) -> Shown:
        held = "".join(f", {name} = {x:.4g}" for name, x in self.fixed.items())
        value = with_error(self.value, self.error)
        title = f"Log evidence of {subject(self.analysis)}{held}: {value}"
        return Shown(title, notes=[self.status])


def _compatible(a: Estimate, b: Estimate) -> bool:
    return abs(a.value - b.value) <= _AGREE * float(np.hypot(a.error, b.error))


def evidence(
    analysis: Analysis,
    *,
    fixed: Mapping[str, float] | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    methods: Sequence[str] = ("tempering", "bridge"),
    data: Data | None = None,
    store: Store | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evidence:
    """Compute the log evidence: log of the integral of p(counts | parameters) times the priors.

    Nuisances have their constraints, normalised within their bounds, as priors; so the evidences of
    two models with the same measurement may be compared, whatever nuisances they share.

    Args:
        analysis, fixed: the hypothesis; `fixed` {name: value} do not float.
        chains, draws, seed: as for `sample`, of a tempered sampler.
        methods: of "tempering", "bridge" and "nested"; the last needs blackjax (the extra
            `nested`), and takes long with many nuisances.
        data: counts and auxiliary data; the observation by default.
        store, progress: as for `sample`.

    Raises:
        ParameterError: a parameter has no proper prior.
        UnknownNameError: an unknown method.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> analysis = bknn.Analysis(models.load("signal-strength"), belle2)
        >>> inference.evidence(analysis, fixed={"mu": 0.0}).status  # doctest: +SKIP
    """
    for name in methods:
        if name not in METHODS:
            raise errors.unknown("method", name, METHODS)
    held = {name: float(value) for name, value in (fixed or {}).items()}
    plan = Plan.of(analysis, held, chains, None, seed, "tempered")
    vector, moving = start(analysis, held)
    if not moving.any():
        counts = analysis.data.counts if data is None else data.counts
        rates = analysis.rates(vector)
        distribution = analysis.data_distribution
        shape = distribution.shape(counts, rates) + distribution.wall(counts, rates)
        value = float(shape) - float(distribution.norm(counts))
        return Evidence(analysis, held, (Estimate(float(value), 0.0, EXACT),))
    work = store if isinstance(store, Work) else Work(store)
    segments = -(-draws // SEGMENT)
    found: list[Estimate] = []
    sampler = Sampler(analysis, plan, data)
    weight, frame = sampler.target.weight, sampler.target.frame
    if "tempering" in methods or "bridge" in methods:
        function = partial(run_group, sampler, work, segments=segments, progress=progress)
        groups = side_by_side(function, range(-(-chains // together(chains))))
        w = np.concatenate([g.draws for g in groups])
        stats = {k: np.concatenate([g.stats[k] for g in groups]) for k in ("log_weight", "betas")}
        if "tempering" in methods:
            found.append(ladder_evidence(stats["log_weight"], stats["betas"]))
        if "bridge" in methods:
            found.append(bridge(weight, w, sampler.own, frame=(frame,), seed=seed))
    if "nested" in methods:
        from bknn.inference.evidences.nested import nested

        estimate = nested(weight, sampler.target.size, frame=(frame,), seed=seed, live=_LIVE)
        found.append(estimate)
    found.sort(key=lambda e: e.error)
    return Evidence(analysis, held, tuple(found))


def bridge(
    log_weight: LogWeight,
    draws: np.ndarray,
    own: np.ndarray,
    *,
    frame: tuple[Any, ...] = (),
    seed: int = 0,
) -> Estimate:
    """Return log of the mean of exp(l(w)) over N(w; 0, 1), by a bridge to a fitted density.

    The density is a mixture of kernels in a few coordinates, times a normal density of the others
    whose mean is linear in them. It is fitted to one half of the draws and bridged to the other.

    Args:
        log_weight: l(w, *frame).
        draws: of the posterior, w (chains, draws, n).
        own: coordinates for the kernels (k,).
        frame: what l is given besides.
        seed: of the random numbers.
    """
    half = draws.shape[1] // 2
    fitted = _Fitted.to(draws[:, :half].reshape(-1, draws.shape[-1]), own)
    kept = draws[:, half:]
    kept = kept.reshape(-1, draws.shape[-1])
    random = np.random.default_rng(seed)
    proposed = fitted.sample(random, len(kept))

    def log_ratio(w: np.ndarray) -> np.ndarray:
        """log of posterior, not normalised, over fitted density."""
        normal = -0.5 * np.sum(w**2, axis=1) - 0.5 * w.shape[1] * np.log(2 * np.pi)
        found = log_weight.of_many(w, *frame) + normal - fitted.log_density(w)
        return np.where(np.isfinite(found), found, -np.inf)

    posterior, proposal = log_ratio(kept), log_ratio(proposed)
    value = _bridged(posterior, proposal)
    # Draws of a chain are correlated: blocks in their order.
    parts = [
        _bridged(a, b)
        for a, b in zip(
            np.array_split(posterior, _BLOCKS), np.array_split(proposal, _BLOCKS), strict=True
        )
    ]
    return Estimate(value, float(np.std(parts, ddof=1) / np.sqrt(_BLOCKS)), "bridge")


def _bridged(posterior: np.ndarray, proposal: np.ndarray) -> float:
    """Return log of the normalisation that both samples agree on (Meng and Wong's optimum)."""
    result = float(np.median(posterior[np.isfinite(posterior)]))
    share = np.log(len(posterior) / len(proposal))
    for _ in range(1000):
        up = proposal - np.logaddexp(share + proposal, result)
        down = -np.logaddexp(share + posterior, result)
        new = float(
            special.logsumexp(up)
            - np.log(len(proposal))
            - special.logsumexp(down)
            + np.log(len(posterior))
        )
        if abs(new - result) < 1e-10:
            return new
        result = new
    return result


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A density near a posterior: kernels in a few coordinates, a regression for the others."""

    own: np.ndarray
    rest: np.ndarray
    centres: np.ndarray
    root: np.ndarray  # of the kernels' covariance
    slope: np.ndarray  # (own + 1, rest)
    width: np.ndarray

    @classmethod
    def to(cls, draws: np.ndarray, own: np.ndarray) -> _Fitted:
        rest = np.setdiff1d(np.arange(draws.shape[1]), own)
        x = draws[:, own]
        chosen = np.linspace(0, len(draws) - 1, min(_KERNELS, len(draws))).astype(int)
        k = len(own)
        # Wider than Silverman's: a proposal must have tails.
        width = 1.5 * (4 / (k + 2) / len(chosen)) ** (1 / (k + 4)) if k else 1.0
        root = (
            np.linalg.cholesky(np.atleast_2d(np.cov(x.T)) + 1e-9 * np.eye(k)) * width
            if k
            else (np.zeros((0, 0)))
        )
        design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        slope, *_ = np.linalg.lstsq(design, draws[:, rest], rcond=None)
        spread = 1.05 * np.std(draws[:, rest] - design @ slope, axis=0)
        return cls(own, rest, x[chosen], root, slope, spread)

    def sample(self, random: np.random.Generator, n: int) -> np.ndarray:
        k = len(self.own)
        x = np.zeros((n, k))
        if k:
            which = random.integers(len(self.centres), size=n)
            x = self.centres[which] + random.standard_normal((n, k)) @ self.root.T
        result = np.empty((n, k + len(self.rest)))
        design = np.concatenate([x, np.ones((n, 1))], axis=1)
        result[:, self.own] = x
        noise = self.width * random.standard_normal((n, len(self.rest)))
        result[:, self.rest] = design @ self.slope + noise
        return result

    def log_density(self, w: np.ndarray) -> np.ndarray:
        x = w[:, self.own]
        k = len(self.own)
        result = np.zeros(len(w))
        if k:
            inverse = np.linalg.inv(self.root)
            a, b = x @ inverse.T, self.centres @ inverse.T
            distance = np.sum(a**2, 1)[:, None] + np.sum(b**2, 1)[None, :] - 2 * a @ b.T
            result = special.logsumexp(-0.5 * distance, axis=1) - np.log(len(b))
            result += np.linalg.slogdet(inverse)[1] - 0.5 * k * np.log(2 * np.pi)
        design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        pull = (w[:, self.rest] - design @ self.slope) / self.width
        return result - np.sum(0.5 * pull**2 + np.log(self.width) + 0.5 * np.log(2 * np.pi), axis=1)


def savage_dickey(
    posterior: Any, name: str, value: float, *, points: int = 48, draws: int = 1000
) -> Estimate:
    """Return the log of the Bayes factor of `name = value` against its prior.

    It is the posterior density at the value over the prior's (Dickey 1971), if the priors of all
    other parameters are the same in both hypotheses. The density is the mean over draws of that of
    the parameter alone, with all others held but for what follows it (linearly, as they do in the
    draws): integrated exactly, no smoothing.

    Args:
        posterior: draws with the parameter free.
        name, value: the hypothesis.
        points: of the quadrature, in the support of the prior.
        draws: how many are used.

    Raises:
        ParameterError: the parameter was not sampled, or its prior has no two ends.
        FitError: few draws decide, so that the number would not be worth its error.
    """
    analysis = posterior.analysis
    i = analysis.index(name)
    if not posterior.moving[i] or i >= len(analysis.parameters):
        raise errors.ParameterError(
            f"{name!r} is no parameter of the model that was sampled; sample it, then ask for the "
            "density at a value."
        )
    prior = analysis.parameters[i].distribution
    low, high = posterior.ends(name)
    if not (np.isfinite(low) and np.isfinite(high) and low <= value <= high):
        raise errors.ParameterError(
            f"{name} = {value:g} has to lie within two finite ends of its prior, which are "
            f"[{low:g}, {high:g}]."
        )
    rows = posterior.flat[
        np.linspace(0, len(posterior.flat) - 1, min(draws, len(posterior.flat))).astype(int)
    ]
    coordinates = Coordinates(analysis, posterior.moving, posterior.flat[0])
    others = coordinates.index != i
    z = coordinates.standard(rows)[:, others]
    moved = rows[:, i] - rows[:, i].mean()
    # Nuisances follow the parameter: what is held is what they are beyond that.
    slope = moved @ (z - z.mean(axis=0)) / np.sum(moved**2)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    x = np.append(low + 0.5 * (high - low) * (nodes + 1), value)
    shifted = z[:, None, :] + slope * (x[None, :] - rows[:, i][:, None])[..., None]

    density, chart = analysis.density, coordinates.chart

    def log_density(point: Array, observed: Array, values: Values) -> Array:
        """log p(counts) + log of the priors of the others."""
        own, rest = point[0], point[1:]
        z = jnp.zeros(len(others)).at[others].set(rest)
        vector, weight = chart.natural(z, values)
        rates = density.rates(vector.at[i].set(own))
        counts = density.data_distribution.shape(observed, rates)
        counts = counts + density.data_distribution.wall(observed, rates)
        return counts + weight - 0.5 * jnp.sum(rest**2)

    grid = np.broadcast_to(x[None, :, None], (*shifted.shape[:2], 1))
    points_ = np.concatenate([grid, shifted], axis=2).reshape(-1, shifted.shape[2] + 1)
    program = analysis.programs.get(
        "Savage-Dickey", (i, chart.structure), lambda: jax.vmap(log_density, (0, None, None))
    )
    observed = np.asarray(analysis.data.counts, float)
    values = in_pieces(program, points_, observed, coordinates.values)
    values = values.reshape(len(rows), len(x))
    log_prior = np.asarray(jax.vmap(prior.log_prob)(jnp.asarray(x)))
    measure = np.log(weights * 0.5 * (high - low))
    norm = special.logsumexp(values[:, :-1] + log_prior[:-1] + measure, axis=1)
    # The prior at the value cancels.
    ratio = values[:, -1] - norm
    _, shape = pareto_smoothed(ratio)
    if shape > WORST_SHAPE:
        raise errors.FitError(
            f"few draws decide what the density is at {name} = {value:g} (Pareto shape "
            f"{shape:.2f}, more than {WORST_SHAPE}), so neither it nor its error is to be trusted. "
            "That happens far from the draws, and where other parameters lose their meaning; "
            "integrate those on a grid (`marginal(...).savage_dickey`) or compare evidences."
        )
    result = float(special.logsumexp(ratio) - np.log(len(ratio)))
    blocks = [
        special.logsumexp(part) - np.log(len(part)) for part in np.array_split(ratio, 2 * _BLOCKS)
    ]
    spread = np.exp(np.array(blocks) - result)
    error = float(np.std(spread, ddof=1) / np.sqrt(len(blocks)))
    return Estimate(result, error, "savage-dickey")
