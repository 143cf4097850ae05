"""Functions of a model's parameters, as functions of what a fit or a posterior knows of them.

Form factors that the data do not depend on (those of B -> K* in a fit of B -> K) enter with the
Gaussian of their own fit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis
from bknn.inference.fits.result import FitResult
from bknn.parameters import Parameter
from bknn.prediction import channels_of, derived_quantities
from bknn.programs import Program, Programs
from bknn.studies.observables.quantities import Quantity, evaluate

if TYPE_CHECKING:
    from bknn.inference.posteriors.posterior import Posterior


@dataclass(frozen=True, eq=False)
class Push:
    """A function of the parameters of a model, as one of what an analysis knows of them.

    Attributes:
        analysis: whose parameters.
        channels: decay channels that the function depends on.
        function: of {name: value}, of all parameters of the model; returns (n,).
        structure: what tells the function from others of the same analysis; None for one that is
            compiled for this occasion only.
    """

    analysis: Analysis
    channels: tuple[str, ...]
    function: Callable[[Mapping[str, Any]], Array]
    structure: Hashable = None

    def _program(
        self, purpose: str, make: Callable[[Push], Callable[..., Any]], *, once: bool = False
    ) -> Program:
        home = Programs() if self.structure is None else self.analysis.programs
        # Of a copy of the analysis, whose home is another one.
        alone = replace(self, analysis=copy(self.analysis))
        return home.get(purpose, self.structure, lambda: make(alone), once=once)

    @cached_property
    def others(self) -> tuple[Parameter, ...]:
        """Constrained parameters that the data do not depend on: form factors of other decays."""
        model = self.analysis.model
        if not hasattr(model, "nuisances"):
            return ()
        own = {p.name for p in self.analysis.parameters} | set(self.analysis.constants)
        return tuple(p for p in model.nuisances(self.channels) if p.name not in own)

    def __call__(self, physics: Array, others: Array) -> Array:
        """Return the values (n,) at the parameters of the analysis that are not nuisances of its
        measurements, and at `others`."""
        params: dict[str, Any] = dict(self.analysis.constants)
        params |= {p.name: physics[i] for i, p in enumerate(self.analysis.parameters)}
        params |= {p.name: others[i] for i, p in enumerate(self.others)}
        return self.function(params)

    def of_fit(self, result: FitResult) -> tuple[np.ndarray, np.ndarray]:
        """Return values (n,) and their covariance (n, n) at a fit."""
        n = len(self.analysis.parameters)
        centre = np.array([p.constraint[0] for p in self.others if p.constraint], float)
        width = np.array([p.constraint[1] for p in self.others if p.constraint], float)

        def both(push: Push) -> Callable[..., Any]:
            return lambda physics, others: (
                push(physics, others),
                jax.jacfwd(push, (0, 1))(physics, others),
            )

        program = self._program("predictions of a fit", both, once=True)
        values, (slopes, more) = program(jnp.asarray(result.vector[:n]), jnp.asarray(centre))
        slopes, more = np.asarray(slopes), np.asarray(more) * width
        covariance = np.asarray(result.covariance)[:n, :n]
        # What nothing depends on may be undetermined.
        used = np.any(slopes != 0, axis=0)
        within = slopes[:, used] @ covariance[np.ix_(used, used)] @ slopes[:, used].T
        return np.asarray(values), within + more @ more.T

    def of_draws(self, posterior: Posterior, seed: int) -> np.ndarray:
        """Return values (draws, n) of a posterior, each with a draw of the other parameters."""
        from bknn.inference.samplers.whitening import in_pieces  # fits need no samplers

        n = len(self.analysis.parameters)
        random = np.random.default_rng(seed)
        others = [
            p.constraint[0] + p.constraint[1] * random.standard_normal(len(posterior.flat))
            for p in self.others
            if p.constraint
        ]
        rows = np.column_stack([posterior.flat[:, :n], *others])
        program = self._program(
            "predictions of draws",
            lambda push: jax.vmap(lambda row: push(row[:n], row[n:])),
        )
        return in_pieces(program, rows)


def push(analysis: Analysis, quantities: Sequence[Quantity]) -> Push:
    """Return quantities as a function."""
    model = analysis.model
    of_derived = channels_of(model, [q.observable for q in quantities])
    channels = tuple(dict.fromkeys([*(q.channel for q in quantities), *of_derived]))

    def function(params: Mapping[str, Any]) -> Array:
        return evaluate(model, quantities, params)

    return Push(analysis, channels, function, tuple(quantities))


def derived_of_fit(result: FitResult) -> dict[str, tuple[float, float]]:
    """Return {name: (value, uncertainty)} of the derived quantities of a model, from the
    covariance of a fit; found once."""
    names = list(derived_quantities(result.target.model))
    if not names:
        return {}
    cache: dict[str, Any] = result.__dict__.setdefault("_derived", {})
    if "found" not in cache:
        values, covariance = push(result.target, [Quantity(name) for name in names]).of_fit(result)
        pairs = zip(values, np.sqrt(np.diag(covariance)), strict=True)
        cache["found"] = {n: (float(x), float(s)) for n, (x, s) in zip(names, pairs, strict=True)}
    return dict(cache["found"])


def derived_of_draws(posterior: Posterior) -> dict[str, np.ndarray]:
    """Return {name: draws (n,)} of the derived quantities of a model."""
    names = list(derived_quantities(posterior.analysis.model))
    if not names:
        return {}
    draws = push(posterior.analysis, [Quantity(name) for name in names]).of_draws(posterior, 0)
    return dict(zip(names, draws.T, strict=True))
