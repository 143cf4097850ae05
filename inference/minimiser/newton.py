"""Newton steps for Poisson counts with many constrained nuisances, for many fits side by side.

The negative log likelihood is sum_b [rate_b - n_b log rate_b] + constraints, with few bins b and
many parameters. Nuisances that move one bin only (fluctuations of simulated samples) are solved for
exactly at every step (`barlow_beeston`): they would be most parameters, and the most nonlinear. For
the rest a step is one of Fisher's, which costs one solve in the space of bins (`fisher`).

Fits stand side by side (toys, points of a grid), as leading axis of every array: arrays of many
small matrices keep the processor busy, and the matrix is computed now and then for all at once.

A step is told what the signal is at the point that it tries, with its derivatives there
(`bknn.inference.minimiser.tangent`); it knows no model. `fits_of_analysis` says who calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Data
from bknn.analysis.log_density import LogDensity
from bknn.inference.minimiser import fisher
from bknn.inference.minimiser.barlow_beeston import settler
from bknn.inference.minimiser.directions import MEMORY, aim, dot, of_two, rest, with_rest
from bknn.inference.minimiser.fisher import Layout, Metric
from bknn.inference.minimiser.tangent import Local
from bknn.likelihood.sparse import take

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


class Problem(NamedTuple):
    """What stays the same during a minimisation.

    Attributes:
        data: counts and auxiliary data of each fit, (fits, n).
        moving: which entries may move, (fits, size) of bool.
        lower, upper: bounds of the entries (size,).
        centre, weight: constraints of the model's own parameters: measured values (fits, p), and
            one over the squares of their widths (p,), 0 for those that have none.
        damping: curvature that steps take for granted, so that nothing runs away (p,).
        unit: curvature of one unit of each, of the size it has or of a power of e (p,).
        tolerance: a fit ends when a step promises less than this decrease of -log likelihood.
    """

    data: Data
    moving: Any
    lower: Any
    upper: Any
    centre: Any
    weight: Any
    damping: Any
    unit: Any
    tolerance: Any


class State(NamedTuple):
    """Every fit's own, with the fits as leading axis.

    Attributes:
        at: the lowest point so far.
        trial: the vector to be tried next (fits, size).
        signal: of the model, at the lowest point.
        gradient, direction: with respect to the rest of the parameters, (fits, rest).
        slope: decrease that the direction promises: gradient times direction.
        length: of the step, in units of the direction.
        moves, turns: the last few moves, and changes of the gradient (fits, memory, rest).
        failures: how often in a row no length of the step went downhill.
        age: moves since the Fisher matrix was computed.
        stale: whether it has to be computed anew before the next step.
    """

    at: Minimum
    trial: Any
    signal: Local
    gradient: Any
    direction: Any
    slope: Any
    length: Any
    moves: Any
    turns: Any
    failures: Any
    age: Any
    stale: Any


#: The density of a measurement, given what the signal is at a point.
Given = Callable[[Local], LogDensity]


def begin(where: Layout, state: State, fresh: Array, start: Array, problem: Problem) -> State:
    """Let fits begin, in place of others that have ended.

    Their first step stays where it is, and finds the first direction.

    Args:
        where: how the parameters enter.
        state: of all fits, those that have not ended go on.
        fresh: which fits begin (fits,).
        start: where (fits, size); within the bounds they are moved to.
        problem: as for `step`.
    """
    inside = jnp.clip(start, problem.lower[None], problem.upper[None])
    vector = with_rest(where, start, rest(where, jnp.where(problem.moving, inside, start)))
    nothing = jax.tree.map(jnp.zeros_like, state)
    at = nothing.at._replace(
        vector=vector, value=nothing.slope + jnp.inf, outcome=nothing.failures + EXHAUSTED
    )
    new = nothing._replace(at=at, trial=vector, length=jnp.ones_like(nothing.length), stale=fresh)
    return of_two(fresh, new, state)


def empty(where: Layout, example: LogDensity, signal: Local, fits: int) -> State:
    """Return room for the state of some fits; none has begun."""
    n, past = len(where.rest), np.zeros((fits, MEMORY, len(where.rest)))
    own, none = np.zeros((fits, n)), np.zeros(fits, int)
    one, vector = np.zeros(fits), np.zeros((fits, example.size))
    return State(
        Minimum(vector, one, one, none, none),
        vector,
        jax.tree.map(lambda x: np.zeros((fits, *np.shape(x))), signal),
        *(own, own, one, one, past, past, none, none),
        np.zeros(fits, bool),
    )


def measure(
    given: Given,
    where: Layout,
    problem: Problem,
    signal: Local,
    s: State,
    metric: Metric,
    some: Array,
) -> Metric:
    """Compute the Fisher matrix of some fits anew, at their lowest points.

    Args:
        given: the density of the measurements.
        where: how the parameters enter.
        problem: what stays the same.
        signal: of the model at the trial vectors, which fits that begin have not left.
        s: the state.
        metric: of all fits, as it was.
        some: which are computed (k,).
    """
    known = of_two(_fresh(s), signal, s.signal)
    of_some = s.at.vector, problem.data, problem.moving, known

    def one(vector: Array, data: Data, moving: Array, signal: Local) -> Metric:
        curvature = problem.weight + problem.damping
        return fisher.measure(given(signal), where, vector, data, moving, curvature)

    new = jax.vmap(one)(*jax.tree.map(lambda x: x[some], of_some))
    return jax.tree.map(lambda old, x: old.at[some].set(x), metric, new)


def _fresh(s: State) -> Array:
    """Which fits are at their start, where nothing is known yet."""
    return (s.at.outcome == EXHAUSTED) & jnp.isinf(s.at.value)


def step(
    given: Given, where: Layout, problem: Problem, signal: Local, metric: Metric, s: State
) -> State:
    """Try the next vector of every fit that has not ended; never uphill.

    The Fisher matrix leaves out how the rates bend, and is computed anew only every few steps, so
    its steps alone converge linearly. The last few moves and changes of gradient correct it
    (limited-memory BFGS with the Fisher matrix in place of the usual multiple of one). All fits go
    in step: one evaluation of the likelihood and its gradient each, for those that try a shorter
    step too.

    Args:
        given: the density of the measurements.
        where: how the parameters enter.
        problem: what stays the same.
        signal: of the model at the trial vectors.
        metric: the Fisher matrix, as it was computed last.
        s: the state before.
    """
    free = rest(where, problem.moving)
    lower, upper = problem.lower[None, where.rest], problem.upper[None, where.rest]
    at = s.at
    going = at.outcome == EXHAUSTED
    fresh = _fresh(s)
    known = of_two(fresh, signal, s.signal)
    new, value, gradient = evaluate(given, where, problem, signal, s.trial)
    new_x, x = rest(where, new), rest(where, at.vector)

    # Where full steps were too long the past misleads; all but the last of it is forgotten.
    full = jnp.where(s.length < 1, 0.0, 1.0)[:, None, None]
    moves = jnp.concatenate([full * s.moves[:, 1:], (new_x - x)[:, None]], axis=1)
    turns = jnp.concatenate([full * s.turns[:, 1:], (gradient - s.gradient)[:, None]], axis=1)
    direction, slope = aim(where, metric, new_x, gradient, moves, turns, free, lower, upper)

    # What the move itself promises: bounds may have cut it short.
    promise = -dot(s.gradient, new_x - x)
    # Far out that may be far more than there is; a tenth is always progress.
    downhill = value <= at.value - jnp.clip(1e-4 * promise, 0.0, 0.1)
    # Near the minimum differences of the values drown in rounding, gradients do not.
    near = (s.slope > 0) & (jnp.abs(promise) < NEAR)
    closer = near & (slope < 0.5 * s.slope) & (value <= at.value + NEAR)
    ok = going & (downhill | closer)
    arrived = ok & (slope < 2 * problem.tolerance)

    # No step helps: once more without memory, then it is a verdict. A tiny promised decrease
    # that cannot be had is convergence.
    length = jnp.where(ok, 1.0, s.length / 4)
    lost = going & ~ok & ((near & jnp.isfinite(value)) | (length < 1e-16))
    failures = jnp.where(ok & (s.slope > 0), 0, s.failures + lost)
    verdict = jnp.where(s.slope < 1e-6, CONVERGED, STALLED)
    outcome = jnp.where(going & (failures > 1), verdict, at.outcome)
    outcome = jnp.where(arrived, CONVERGED, outcome)
    outcome = jnp.where(fresh & ~jnp.isfinite(value), NOT_FINITE, outcome)

    # Zero where a fit begins anew, which makes the next step one that stays.
    direction, slope, moves, turns = of_two(
        lost,
        (jnp.zeros_like(direction), jnp.zeros_like(slope), *2 * [jnp.zeros_like(moves)]),
        of_two(ok, (direction, slope, moves, turns), (s.direction, s.slope, s.moves, s.turns)),
    )
    length = jnp.where(lost, 1.0, length)
    decrement = 0.5 * jnp.where(ok, slope, s.slope)
    vector, value, gradient, known = of_two(
        ok, (new, value, gradient, signal), (at.vector, at.value, s.gradient, known)
    )
    now_x = rest(where, vector)
    next_x = jnp.clip(now_x + length[:, None] * direction, lower, upper)
    # Computed anew, too, where it misled: a step was too long, or a fit begins once more.
    age = jnp.where(s.stale, 0, s.age) + (ok & ~fresh)
    misled = (length < 1) | (slope == 0)
    stale = (outcome == EXHAUSTED) & ((age >= _REFRESH) | (misled & (age > 0)))
    return State(
        Minimum(vector, value, decrement, at.steps + (going & (s.slope > 0)), outcome),
        with_rest(where, vector, jnp.where(free, next_x, now_x)),
        known,
        gradient,
        direction,
        slope,
        length,
        moves,
        turns,
        failures,
        age,
        stale,
    )


def minimise(
    given: Given,
    where: Layout,
    signal: Callable[[Array], Local],
    room: State,
    metric: Metric,
    start: Array,
    problem: Problem,
    max_steps: int | Array,
) -> Minimum:
    """Begin, and take steps until all fits have ended: the whole minimisation as one function.

    Args:
        given: the density of the measurements.
        where: how the parameters enter.
        signal: what the signal is at vectors (fits, size).
        room, metric: for the state of the fits and their Fisher matrices (`empty`).
        start, max_steps: where (fits, size), and evaluations, at most.
        problem: what stays the same.
    """

    every = jnp.arange(len(start))

    def further(carry: tuple[State, Metric, Array]) -> tuple[State, Metric, Array]:
        s, metric, taken = carry
        there = signal(s.trial)
        new = lambda: measure(given, where, problem, there, s, metric, every)  # noqa: E731
        metric = jax.lax.cond(jnp.any(s.stale), new, lambda: metric)
        return step(given, where, problem, there, metric, s), metric, taken + 1

    def more(carry: tuple[State, Metric, Array]) -> Array:
        s, _, taken = carry
        return (taken < max_steps) & jnp.any(s.at.outcome == EXHAUSTED)

    s = begin(where, room, jnp.ones(len(start), bool), start, problem)
    s, *_ = jax.lax.while_loop(more, further, (s, metric, jnp.zeros((), int)))
    return s.at


def evaluate(
    given: Given, where: Layout, problem: Problem, signal: Local, vector: Array
) -> tuple[Array, Array, Array]:
    """Settle vectors; return them, -log likelihood, and the gradient of the rest."""

    def one(vector: Array, data: Data, moving: Array, signal: Local, centre: Array) -> Any:
        density = given(signal)
        vector = settler(density, (problem.lower, problem.upper))(vector, data, moving)
        minus = objective(density, data, centre, problem.weight)
        value, gradient = jax.value_and_grad(minus)(vector)
        return vector, value, take(gradient, where.rest)

    found: tuple[Array, Array, Array] = jax.vmap(one)(
        vector, problem.data, problem.moving, signal, problem.centre
    )
    return found


def gradient(given: Given, problem: Problem, signal: Local, vector: Array) -> Array:
    """Return the derivatives of -log likelihood at vectors (fits, size) where the signal is known,
    with respect to all entries (fits, size)."""

    def one(vector: Array, data: Data, signal: Local, centre: Array) -> Array:
        return jax.grad(objective(given(signal), data, centre, problem.weight))(vector)

    return jax.vmap(one)(vector, problem.data, signal, problem.centre)


def objective(
    density: LogDensity, data: Data, centre: Array, weight: Array
) -> Callable[[Array], Array]:
    """Return -log likelihood, but for terms without parameters, as a function of a vector."""

    def minus(x: Array) -> Array:
        tied = 0.5 * jnp.sum(weight * (x[: len(centre)] - centre) ** 2)
        return tied - density.log_shape(x, data, beyond=True)

    return minus


#: After how many moves the Fisher matrix is computed anew.
_REFRESH = 6

#: Below this promised decrease gradients decide whether a step helped, values no longer.
NEAR = 1e-8
