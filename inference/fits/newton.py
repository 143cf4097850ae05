"""Newton steps for Poisson counts with many constrained nuisances, for many fits side by side.

The negative log likelihood is sum_b [rate_b - n_b log rate_b] + constraints, with few bins b and
many parameters. Nuisances that move one bin only (the fluctuations of simulated samples) are solved
for exactly at every step (`barlow_beeston`): they would be most of the parameters, and the most
nonlinear.
For the rest a step is one of Fisher's, which costs one solve in the space of bins (`fisher`).

Fits stand side by side (toys, points of a grid), as leading axis of every array, and go in step:
arrays of many small matrices keep the processor busy, and what is computed only now and then (the
matrix) is computed for all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis, Data
from bknn.inference.fits import fisher
from bknn.inference.fits.barlow_beeston import settler
from bknn.inference.fits.fisher import Layout, Metric

#: Outcomes of a minimisation; UNDETERMINED if no rate depends on what was asked for.
CONVERGED, STALLED, EXHAUSTED, NOT_FINITE, UNDETERMINED = range(5)


class Minimum(NamedTuple):
    """Where a minimisation ended: the vector, -log likelihood there, and how it ended.

    `decrement` is the decrease of -log likelihood that one more step would promise. JAX arrays
    within programs, NumPy arrays outside.
    """

    vector: Any
    value: Any
    decrement: Any
    steps: Any
    outcome: Any


#: The last few moves, or changes of the gradient, (fits, size) each.
_Past = tuple[Array, ...]


class _State(NamedTuple):
    """Every fit's own, with the fits as leading axis."""

    at: Minimum
    #: By the rest of the parameters, (fits, rest) as `direction`.
    gradient: Array
    direction: Array
    #: Decrease that the direction promises: gradient times direction.
    slope: Array
    length: Array
    moves: _Past
    turns: _Past
    #: How often in a row no length of the step went downhill.
    failures: Array


def minimise(
    analysis: Analysis,
    where: Layout,
    start: Array,
    data: Data,
    moving: Array,
    stragglers: Array,
    *,
    tolerance: float = 1e-16,
    max_steps: int = 200,
    held: bool = False,
) -> Minimum:
    """Minimise -log likelihood from each start, within the bounds, never uphill.

    The Fisher matrix leaves out how the rates bend, and is computed anew only every few steps, so
    its steps alone converge linearly. The last few moves and changes of gradient correct it
    (limited-memory BFGS with the Fisher matrix in place of the usual multiple of one). All fits go
    in step: one evaluation of the likelihood and its gradient each, for those that try a shorter
    step too.

    Args:
        start: flat vectors (fits, size); entries that do not move keep their value.
        data: counts and auxiliary data of each fit, (fits, n).
        moving: which entries may move, (fits, size) of bool.
        stragglers: stop when no more than this many fits have not ended; they are EXHAUSTED.
        tolerance: stop when the next step promises less than this decrease of -log likelihood.
        max_steps: give up after this many evaluations.
        held: whether no threshold moves (`Analysis.holding_thresholds`).
    """
    rest = where.rest
    lower, upper = jnp.asarray(analysis.bounds[rest].T)[:, None, :]
    free = moving[:, rest]

    density = analysis.density
    before, then = density.holding_thresholds() if held else (lambda _: [], lambda _: density)
    found = jax.vmap(before)(start)

    def objective(
        vector: Array, data: Data, moving: Array, found: list[Array]
    ) -> tuple[Array, Array, Array]:
        """Settle the vector; return it, -log likelihood, and the gradient of the rest."""
        one = then(found)
        vector = settler(one)(vector, data, moving)
        value, gradient = jax.value_and_grad(lambda v: -one.log_shape(v, data, beyond=True))(vector)
        return vector, value, gradient[rest]

    over_fits = jax.vmap(objective)

    def evaluate(vector: Array) -> tuple[Array, Array, Array]:
        return over_fits(vector, data, moving, found)

    def aim(
        metric: Metric, vector: Array, gradient: Array, moves: _Past, turns: _Past
    ) -> tuple[Array, Array]:
        """Return the direction to go, and the decrease it promises per length."""
        x = vector[:, rest]
        # At a bound, and pushed against it: stays.
        stuck = ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))
        stuck = stuck | ~free

        def solved(stopped: Array) -> tuple[Array, Array]:
            """Direction and slope when some go no farther than their bounds."""
            active = ~(stuck | stopped)
            g = jnp.where(active, gradient, 0.0)
            solve = fisher.solver(where, metric, active)
            plain = -solve(g)
            # Where rates all but vanish the matrix may have lost its digits; its diagonal has not.
            sane = _dot(plain, g) <= 0
            plain = jnp.where(sane[:, None], plain, -g / metric.size)
            direction = jnp.where(active, -_with_memory(solve, g, moves, turns), 0.0)
            slope, expected = -_dot(direction, g), -_dot(plain, g)
            # The memory may mislead where the problem is not convex; the Fisher step cannot.
            trusted = sane & (slope > 0.1 * expected) & (slope < 10 * expected)
            direction = jnp.where(trusted[:, None], direction, plain)
            to_bound = jnp.where(gradient > 0, lower, upper) - x
            direction = jnp.where(
                stopped, jnp.where(jnp.isfinite(to_bound), to_bound, 0.0), direction
            )
            return direction, -_dot(direction, jnp.where(stuck, 0.0, gradient))

        # Who would cross a bound stops there, and the others find their steps without: a coupling
        # whose square is all that counts would leave by far, and turn their steps uphill.
        def again(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            stopped, _, _, tries = carry
            direction, slope = solved(stopped)
            new = x + direction
            crossing = ((new < lower) & (gradient > 0)) | ((new > upper) & (gradient < 0))
            return stopped | crossing, direction, slope, jnp.where(jnp.any(crossing), tries + 1, 9)

        def more(carry: tuple[Array, Array, Array, Array]) -> Array:
            return carry[3] < 4

        nobody = jnp.zeros_like(stuck)
        start = (nobody, jnp.zeros_like(x), jnp.zeros(len(x)), jnp.zeros((), int))
        _, direction, slope, _ = jax.lax.while_loop(more, again, start)
        return direction, slope

    def metric_of(vector: Array, data: Data, moving: Array, found: list[Array]) -> Metric:
        return fisher.measure(then(found), where, vector, data, moving)

    measure = jax.vmap(metric_of)

    def step(carry: tuple[Array, _State, Metric]) -> tuple[Array, _State, Metric]:
        count, s, metric = carry
        at = s.at
        going = at.outcome == EXHAUSTED
        # Also when it misleads: many steps were too long, or a fit begins anew.
        misled = going & ((s.length < 1) | (s.slope == 0))
        metric = jax.lax.cond(
            (count % _REFRESH == 0) | (4 * jnp.sum(misled) >= jnp.sum(going)),
            lambda: measure(at.vector, data, moving, found),
            lambda: metric,
        )
        x = at.vector[:, rest]
        new_x = jnp.clip(x + s.length[:, None] * s.direction, lower, upper)
        new_x = jnp.where(free, new_x, x)
        new, value, gradient = evaluate(at.vector.at[:, rest].set(new_x))
        # Where full steps were too long the past misleads; all but the last of it is forgotten.
        full = jnp.where(s.length < 1, 0.0, 1.0)[:, None]
        moves = (*(full * m for m in s.moves[1:]), new_x - x)
        turns = (*(full * t for t in s.turns[1:]), gradient - s.gradient)
        direction, slope = aim(metric, new, gradient, moves, turns)

        # What the move itself promises: bounds may have cut it short.
        promise = -_dot(s.gradient, new_x - x)
        # Far out that may be far more than there is; a tenth is always progress.
        downhill = value <= at.value - jnp.clip(1e-4 * promise, 0.0, 0.1)
        # Near the minimum differences of the values drown in rounding, gradients do not.
        near = (s.slope > 0) & (jnp.abs(promise) < _NEAR)
        closer = near & (slope < 0.5 * s.slope) & (value <= at.value + _NEAR)
        ok = going & (downhill | closer)
        arrived = ok & (slope < 2 * tolerance)

        # No step helps: once more without memory, then it is a verdict. A tiny promised decrease
        # that cannot be had is convergence.
        length = jnp.where(ok, 1.0, s.length / 4)
        lost = going & ~ok & ((near & jnp.isfinite(value)) | (length < 1e-16))
        failures = jnp.where(ok & (s.slope > 0), 0, s.failures + lost)
        verdict = jnp.where(s.slope < 1e-6, CONVERGED, STALLED)
        outcome = jnp.where(going & (failures > 1), verdict, at.outcome)
        outcome = jnp.where(arrived, CONVERGED, outcome)
        outcome = jnp.where((count == 0) & ~jnp.isfinite(value), NOT_FINITE, outcome)

        def pick(new: Array, old: Array) -> Array:
            return jnp.where(ok.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

        def anew(new: Array, old: Array) -> Array:
            """The same; zero where a fit begins anew, which makes the next step one that stays."""
            return jnp.where(lost.reshape((-1,) + (1,) * (new.ndim - 1)), 0.0, pick(new, old))

        state = _State(
            Minimum(
                pick(new, at.vector),
                pick(value, at.value),
                0.5 * pick(slope, s.slope),
                at.steps + (going & (s.slope > 0)),
                outcome,
            ),
            pick(gradient, s.gradient),
            anew(direction, s.direction),
            anew(slope, s.slope),
            jnp.where(lost, 1.0, length),
            tuple(anew(a, b) for a, b in zip(moves, s.moves, strict=True)),
            tuple(anew(a, b) for a, b in zip(turns, s.turns, strict=True)),
            failures,
        )
        return count + 1, state, metric

    def unfinished(carry: tuple[Array, _State, Metric]) -> Array:
        count, s, _ = carry
        return (count <= max_steps) & (jnp.sum(s.at.outcome == EXHAUSTED) > stragglers)

    start = jax.vmap(partial(idle_at_best, analysis))(start, data, moving)
    # The first step stays where it is, and finds the first direction.
    inside = jnp.clip(start[:, rest], lower, upper)
    vector = start.at[:, rest].set(jnp.where(free, inside, start[:, rest]))
    n_fits, n, n_bins = len(start), len(rest), analysis.n_bins
    zeros = jnp.zeros((n_fits, n))
    none = jnp.zeros(n_fits, int)
    at = Minimum(vector, jnp.full(n_fits, jnp.inf), jnp.zeros(n_fits), none, none + EXHAUSTED)
    past = (zeros,) * _MEMORY
    state = _State(at, zeros, zeros, at.decrement, jnp.ones(n_fits), past, past, none)
    metric = Metric(
        jnp.zeros((n_fits, where.tied)),
        jnp.zeros((n_fits, n_bins, n_bins)),
        jnp.zeros((n_fits, n_bins, where.tied)),
        jnp.zeros((n_fits, n_bins, n - where.tied)),
        jnp.ones((n_fits, n)),
    )
    end = jax.lax.while_loop(unfinished, step, (jnp.zeros((), int), state, metric))[1].at
    return end._replace(value=end.value + jax.vmap(analysis.log_norm)(data))


def idle_at_best(analysis: Analysis, vector: Array, data: Data, moving: Array) -> Array:
    """Return a vector (size,) with the nuisances that act on nothing where their constraints have
    them: no step sees them."""
    for (index, _, width), measured, counted in (
        (analysis.normal, data.normal, False),
        (analysis.poisson, data.poisson, True),
    ):
        at = np.flatnonzero(np.isin(index, analysis.idle))
        if at.size:
            which = index[at]
            centre = measured[at] / width[at] if counted else measured[at]
            centre = jnp.clip(centre, *analysis.bounds[which].T)
            vector = vector.at[which].set(jnp.where(moving[which], centre, vector[which]))
    return vector


#: After how many steps the metric is computed anew.
_REFRESH = 6

#: How many moves the memory holds.
_MEMORY = 5

#: Below this promised decrease gradients decide whether a step helped, values no longer.
_NEAR = 1e-8

#: Up to this many unconstrained parameters have derivatives of their own in every fit.
_OWN = 8


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=1)


def _with_memory(
    solve: Callable[[Array], Array], gradient: Array, moves: _Past, turns: _Past
) -> Array:
    """Return the BFGS direction from the last moves and changes of gradient, (fits, rest) each."""
    pairs = []
    for move, turn in zip(moves, turns, strict=True):
        along = _dot(move, turn)
        usable = along > 1e-10 * jnp.sqrt(_dot(move, move) * _dot(turn, turn))
        usable &= along > 0
        pairs.append((move, turn, jnp.where(usable, 1 / jnp.where(usable, along, 1.0), 0.0)))
    q, weights = gradient, []
    for move, turn, factor in reversed(pairs):
        weights.append(factor * _dot(move, q))
        q = q - weights[-1][:, None] * turn
    r = solve(q)
    for (move, turn, factor), weight in zip(pairs, reversed(weights), strict=True):
        r = r + (weight - factor * _dot(turn, r))[:, None] * move
    return r
