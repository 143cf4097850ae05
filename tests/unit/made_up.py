"""Posteriors that were not sampled: draws from normal distributions, known to the last digit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import bknn
from bknn import models
from bknn.inference.fits.secondary_minima import own_entries
from bknn.inference.posteriors.posterior import Mode, Posterior

from . import small


def analysis(name: str = "resonance", **options: Any) -> bknn.Analysis:
    """A model and the small measurement."""
    return bknn.Analysis(models.load(name), small.measurement(), **options)


def posterior(
    target: bknn.Analysis,
    own: dict[str, np.ndarray],
    *,
    seed: int = 0,
    diverging: int = 0,
    mode: np.ndarray | None = None,
    **changes: Any,
) -> Posterior:
    """A posterior with given draws (chains, draws) of the model's parameters; constrained nuisances
    are nearly as wide as their constraints, others stay where they start."""
    chains, draws = next(iter(own.values())).shape
    generator = np.random.default_rng(seed)
    values = np.tile(target.init_vector, (chains, draws, 1))
    moving = ~target.fixed
    index, _, width = target.normal
    values[..., index] += 0.9 * width * generator.normal(size=(chains, draws, len(index)))
    index, _, factor = target.poisson
    counts = np.asarray(target.data.poisson)
    values[..., index] = generator.gamma(counts + 1, 1 / factor, (chains, draws, len(index)))
    values = np.clip(values, *target.bounds.T)
    for name, x in own.items():
        values[..., target.index(name)] = x
    values = np.where(moving, values, target.init_vector)
    stats = {
        "diverging": np.arange(chains * draws).reshape(chains, draws) < diverging,
        "energy": generator.normal(size=(chains, draws)),
        "n_steps": np.full((chains, draws), 7),
        "accept_prob": np.full((chains, draws), 0.9),
    }
    fields: dict[str, Any] = {
        "analysis": target,
        "draws": values,
        "stats": stats,
        "moving": moving,
        "method": "nuts",
        "seed": seed,
        "warmup": 500,
        "seconds_compile": 4.0,
        "seconds_run": 6.0,
        "log_evidence": None,
    }
    made = Posterior(**{**fields, **changes})
    if "modes" not in changes:
        names = [target.names[i] for i in own_entries(target, moving)]
        values = {name: float(np.median(made.values(name))) for name in names}
        made = dataclasses.replace(made, modes=(Mode(values, 1.0),))
    # Kept as if it had been searched for, which takes seconds to compile.
    vars(made)["mode"] = made.flat.mean(axis=0) if mode is None else mode
    return made
