"""Draws of a posterior: chains in whitened coordinates, from all modes, that can be taken up again.

`sample` finds the modes, whitens (`whitening`), and runs chains in groups: by the no-U-turn sampler
(`nuts`), where there are several modes by a tempered ladder (`tempering`), and for thin shells,
walls and steps by populations (`population`). A group of chains is a function of the
analysis and a few numbers, whoever computes it and whenever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from numpyro.diagnostics import effective_sample_size

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference.estimate import Estimate
from bknn.inference.fits.secondary_minima import own_entries
from bknn.inference.pieces import Work, kept_before
from bknn.inference.posteriors.posterior import LARGEST_R_HAT, LEAST_ESS, Mode, Posterior
from bknn.inference.posteriors.sampler import (
    Plan,
    Sampler,
    _unstacked,
    devices,
    modes,
    natural,
    side_by_side,
    start,
    together,
    which_method,
)
from bknn.inference.samplers.nuts import SEGMENT, Segment, packed, unpacked
from bknn.inference.samplers.tempering import stepping_stone
from bknn.storage.store import Memory, Store

#: Draws of each chain, at least, and minutes, at most, unless one says otherwise.
DRAWS, MINUTES = 1000, 30.0


#: With a target of effective draws, at most this many times the draws asked for.
_ROUNDS = 20


def sample(
    analysis: Analysis,
    *,
    fixed: Mapping[str, float] | None = None,
    chains: int = 4,
    draws: int | None = None,
    warmup: int | None = None,
    seed: int = 0,
    method: str = "auto",
    target_ess: float | None = None,
    minutes: float = MINUTES,
    data: Data | None = None,
    store: Store | None = None,
    progress: Callable[[int], None] | None = None,
) -> Posterior:
    """Draw from the posterior of all parameters, nuisances included.

    Args:
        analysis: what is sampled; its priors are those of its parameters, uniform within their
            bounds by default. Nuisances have their constraints as priors.
        fixed: {name: value} of parameters that are not sampled.
        chains: how many, at least two to see whether they agree.
        draws: of each chain. By default 1000, and more until the chains have converged; see
            `target_ess`. If a number is given, exactly that many.
        warmup: steps before the first draw, 300 by default; populations find by themselves how many
            they need.
        seed: of the random numbers; with the same seed the same draws.
        method: "nuts" (the no-U-turn sampler), "tempered" (a ladder of tempered densities, which
            crosses between modes and gives the evidence as well), "population" (each chain a
            population led from the prior to the posterior, for posteriors that are thin, stepped,
            or dear), or "auto": for more than one parameter of the model, whose posterior may be
            bent, population if the data limit derived quantities, and tempered if not; tempered,
            too, for a parameter with several starts, and where several modes are found.
        target_ess: go on until every parameter has this many effective draws in bulk and tails and
            R-hat is at most 1.01, or until 20 times `draws` are done; 400 unless `draws` is given.
        minutes: no more rounds of draws are begun that would end later; the status says so.
        data: counts and auxiliary data; the observation by default.
        store: keeps what is done; a run with the same arguments and the same store goes on where it
            stopped, to the same draws.
        progress: is called with the number of draws that have been done since the last call.

    Raises:
        UnknownNameError, ParameterError: names or values that do not fit, or a parameter without a
            proper prior.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> analysis = bknn.Analysis(models.load("signal-strength"), belle2)
        >>> posterior = inference.sample(analysis, draws=200, warmup=200)  # doctest: +SKIP
        >>> posterior.summary("mu")["hdi_68"]  # doctest: +SKIP
    """
    if draws is None:
        draws = DRAWS
        target_ess = LEAST_ESS if target_ess is None else target_ess
    for name, number, least in (("chains", chains, 1), ("draws", draws, 4)):
        if number < least:
            raise errors.ParameterError(f"{number} {name} were asked for; take at least {least}.")
    if not minutes > 0:
        raise errors.ParameterError(f"{minutes:g} minutes are no time; give a positive number.")
    begin = time.perf_counter()
    method = which_method(analysis, method, fixed or {}, data)
    plan = Plan.of(analysis, fixed, chains, warmup, seed, method)
    groups = range(-(-chains // together(chains)))
    # Without a store of the user's, too, a second round goes on where the first ended.
    work = store if isinstance(store, Work) else Work(Memory() if store is None else store)
    sampler = None
    if work.pool is None:
        sampler = Sampler(analysis, plan, data)
    seconds_compile = time.perf_counter() - begin
    begin = time.perf_counter()
    segments = -(-draws // SEGMENT)
    done, goal = 0, segments
    while True:
        if sampler is None:
            tasks = [{"plan": asdict(plan), "group": g, "segments": goal} for g in groups]
            arrays = work.within(f"{goal:05d}").run(group, analysis, tasks, progress=progress)
            found = [_unstacked(a) for a in arrays]
        else:
            function = partial(
                run_group, sampler, work, segments=goal, progress=progress, reported=done
            )
            found = [natural(sampler, s) for s in side_by_side(function, groups)]
        spent = time.perf_counter() - begin
        posterior = _posterior(
            analysis,
            plan,
            found,
            draws if target_ess is None else None,
            (seconds_compile, spent),
            _known(analysis, plan, data),
        )
        if target_ess is None or _enough(posterior, target_ess):
            break
        least = min(np.nanmin(posterior.ess_bulk), np.nanmin(posterior.ess_tail))
        # As many as it looks like, but not more than twice what there is; half as many again where
        # there are enough and the chains still disagree.
        more = min(2.0, 1.1 * target_ess / max(least, 1.0)) if least < target_ess else 1.5
        wanted = int(np.ceil(goal * more))
        in_time = int(goal * 60 * minutes / spent)
        following = min(max(goal + 1, wanted), _ROUNDS * segments, in_time)
        if following <= goal:
            limit = (
                f"{minutes:g} minutes, the time allowed"
                if in_time <= goal
                else f"{posterior.n_draws} draws of each chain, {_ROUNDS} times what was asked for"
            )
            stopped = f"sampling was stopped after {limit}."
            return replace(posterior, stopped=stopped)
        done, goal = goal, following
    return posterior


def _enough(posterior: Posterior, target: float) -> bool:
    """Whether there are as many effective draws as are wanted, and chains that agree."""
    least = min(np.nanmin(posterior.ess_bulk), np.nanmin(posterior.ess_tail))
    # NaN of a single chain: nothing to compare.
    return bool(least >= target) and not np.any(posterior.r_hat > LARGEST_R_HAT)


def _known(analysis: Analysis, plan: Plan, data: Data | None) -> tuple[Mode, ...]:
    """Return the modes that were looked for before; for populations none are."""
    if plan.method == "population":
        return ()
    found = modes(analysis, plan.fixed, data)
    _, moving = start(analysis, plan.fixed)
    own = own_entries(analysis, moving)
    return tuple(
        Mode({analysis.names[i]: float(vector[i]) for i in own}, float(share))
        for vector, share in zip(found.vectors, found.shares, strict=True)
    )


def group(
    analysis: Analysis,
    *,
    plan: Mapping[str, Any],
    group: int,
    segments: int,
    progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Return the draws of one group of chains, as a piece of work that may be done anywhere."""
    sampler = Sampler(analysis, Plan(**plan), None)
    found = run_group(sampler, Work(), group, segments=segments, progress=progress)
    found = natural(sampler, found)
    return {"draws": found.draws, **found.stats}


def run_group(
    sampler: Sampler,
    work: Work,
    group: int,
    *,
    segments: int,
    progress: Callable[[int], None] | None,
    reported: int = 0,
) -> Segment:
    """Draw segments of a group of chains, w, warm-up first; those that are kept are taken over.

    `reported` segments have been told to the progress.
    """
    with jax.default_device(devices()[group % len(devices())]):
        return _drawn(sampler, work, group, segments, progress, reported)


def _drawn(
    sampler: Sampler,
    work: Work,
    group: int,
    segments: int,
    progress: Callable[[int], None] | None,
    reported: int,
) -> Segment:
    first = state = sampler.state(group)
    before = sampler.plan.warmup // SEGMENT
    done: list[Segment] = []
    kept: list[dict[str, np.ndarray]] = []
    for i in range(before + segments):
        if (arrays := work.get(_name(sampler, group, i))) is None:
            break
        kept.append(arrays)
    if kept:
        state = unpacked(kept[-1], first)
        for arrays in kept[before:]:
            found = {k[5:]: v for k, v in arrays.items() if k.startswith("stat_")}
            done.append(Segment(arrays["draws"], found))
    size = together(sampler.plan.chains)
    chains = min(size, sampler.plan.chains - group * size)
    if progress is not None and len(done) > reported:
        kept_before(progress, chains * SEGMENT * (len(done) - reported))
    for i in range(len(kept), before + segments):
        state, segment = sampler.sampler.advance(state, sampler.target.frame)
        # Through the form in which it is kept, so that it is the same whether it was.
        arrays = packed(state)
        state = unpacked(arrays, first)
        if i >= before:
            done.append(segment)
        stats = {f"stat_{k}": v for k, v in segment.stats.items()}
        work.put(_name(sampler, group, i), {**arrays, "draws": segment.draws, **stats})
        if progress is not None and i >= before:
            progress(chains * SEGMENT)
            if hasattr(progress, "say") and (i - before) % _SAY == 0:
                groups = -(-sampler.plan.chains // size)
                progress.say(f"{groups * _effective(done):.0f} effective")
    draws = np.concatenate([s.draws for s in done], axis=1)[:chains]
    stats = {k: np.concatenate([s.stats[k] for s in done], axis=1)[:chains] for k in done[0].stats}
    if isinstance(state, tuple) and hasattr(state, "betas"):
        stats["betas"] = np.tile(np.asarray(state.betas), (chains, 1))
    return Segment(draws, stats)


def _effective(done: list[Segment]) -> float:
    """Return the fewest effective draws of all coordinates so far, roughly."""
    draws = np.concatenate([s.draws for s in done], axis=1)
    return float(np.min(effective_sample_size(draws)))


#: After this many segments the progress says how many draws are effective.
_SAY = 5


def _name(sampler: Sampler, group: int, segment: int) -> str:
    """Under which a segment is kept: that of other priors, or another plan, has another name."""
    return f"chains-{sampler.key}-{group:02d}-{segment:05d}"


def _posterior(
    analysis: Analysis,
    plan: Plan,
    found: list[Segment],
    draws: int | None,
    seconds: tuple[float, float],
    known: tuple[Mode, ...],
) -> Posterior:
    _, moving = start(analysis, plan.fixed)
    values = np.concatenate([s.draws for s in found])[:, :draws]
    stats = {k: np.concatenate([s.stats[k] for s in found]) for k in found[0].stats}
    evidence = None
    if plan.method == "tempered":
        evidence = ladder_evidence(stats["log_weight"], stats["betas"])
    if plan.method == "population":
        evidence = population_evidence(stats["log_evidence"][:, 0])
    kept = {k: np.asarray(stats[k])[:, :draws] for k in sorted(_KEPT & stats.keys())}
    if plan.method == "population":
        # What one point was in several passes comes one after the other, as in a chain: whether it
        # moved in between is then seen in the number of effective draws.
        order = np.argsort(stats["walker"][0, :draws], kind="stable")
        values, kept = values[:, order], {k: x[:, order] for k, x in kept.items()}
    return Posterior(
        analysis,
        values,
        kept,
        moving,
        plan.method,
        plan.seed,
        plan.warmup,
        *seconds,
        log_evidence=evidence,
        modes=known,
    )


#: Statistics of draws that a posterior keeps.
_KEPT = {"diverging", "energy", "n_steps", "accept_prob", "short_steps", "evaluations"}

#: Parts of a chain that are taken for independent, for the error of its evidence.
_BLOCKS = 4


def ladder_evidence(log_weight: np.ndarray, betas: np.ndarray) -> Estimate:
    """Return the log evidence of the rungs of all chains (chains, draws, rungs)."""
    parts = [
        stepping_stone(block, ladder)
        for chain, ladder in zip(log_weight, betas, strict=True)
        for block in np.array_split(chain, _BLOCKS)
    ]
    return Estimate(
        float(np.mean(parts)), float(np.std(parts, ddof=1) / np.sqrt(len(parts))), "tempering"
    )


def population_evidence(logs: np.ndarray) -> Estimate:
    """Return the log evidence of what populations found (chains,): their mean is that of the
    evidences themselves, each of which is right on average."""
    parts = np.exp(logs - np.max(logs))
    value = float(np.log(np.mean(parts)) + np.max(logs))
    error = np.std(parts, ddof=1) / np.mean(parts) / np.sqrt(len(parts)) if len(parts) > 1 else 0
    return Estimate(value, float(error) if len(parts) > 1 else float("nan"), "population")


# Modes ---------------------------------------------------------------------------------------
