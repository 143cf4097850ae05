"""Steps of fits in which numbers that follow from parameters are known well: thin, bent valleys.

An abundance known to 1 % makes -log L a valley of that width along which couplings and masses may
change by factors. There a Fisher matrix of the last point is wrong already: its flat direction runs
up the wall. So it is computed anew at every point, and steps are no longer than they have proved to
be good for (Levenberg 1944, Marquardt 1963): a curvature is added to that of the model's
parameters, more of it where a step was refused and less where one did as well as promised. Other
than a shorter step in the same direction that turns it from along the valley to down its walls.

A step along the valley that ends on a wall, as it bends, is refused and not in vain: with how far
the numbers are from where slopes had them, the matrix of the old point says how to get down. That
is the second-order correction of a step (Fletcher 1982), or the geodesic acceleration of
arXiv:1201.5885 without second derivatives; as numbers change by powers, it may take a few.

Near the minimum nothing is added, and the last moves correct the matrix, as in `newton.step`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Data
from bknn.analysis.log_density import LogDensity
from bknn.inference.minimiser import fisher, newton
from bknn.inference.minimiser.directions import aim, dot, of_two, rest, with_rest
from bknn.inference.minimiser.fisher import Layout, Metric
from bknn.inference.minimiser.newton import (
    CONVERGED,
    EXHAUSTED,
    NEAR,
    NOT_FINITE,
    STALLED,
    Given,
    Minimum,
    Problem,
)
from bknn.inference.minimiser.tangent import Local
from bknn.likelihood.sparse import take_columns

#: A step that was refused is made so much shorter, and one that kept its promise so much longer.
_SHORTER, _LONGER = 4.0, 3.0

#: A step is good where -log L falls by this part of what it promises, and bad below the other.
_GOOD, _BAD = 0.5, 0.1

#: What is added goes where it is less than this part of the curvature along the step.
_LITTLE = 1e-3

#: Corrections of a step go on while -log L above the lowest falls by this factor each time, and are
#: shorter than this part of it.
_FALLING, _SMALL = 0.5, 0.5

#: Relative error of -log L: where it is huge, as without any annihilation of dark matter, less than
#: that cannot be had.
_ROUNDING = 4e-15

#: So many refusals in a row are a verdict.
_REFUSALS = 30


class State(NamedTuple):
    """Every fit's own, with the fits as leading axis.

    Attributes:
        at: the lowest point so far.
        trial: the vector to be tried next (fits, size).
        signal, metric, gradient: of the model, the Fisher matrix and the slopes, at the lowest
            point.
        slope: decrease that the step to the trial promises: gradient times step (fits,).
        excess: -log L of the last trial above the lowest, if it is the last step that is corrected;
            infinite otherwise (fits,).
        added: curvature that is added to that of the model's parameters (fits,).
        moves, turns: the last few moves, and changes of the gradient (fits, memory, rest).
        failures: steps in a row that were refused, or did not help near the minimum (fits,).
    """

    at: Minimum
    trial: Any
    signal: Local
    metric: Metric
    gradient: Any
    slope: Any
    excess: Any
    added: Any
    moves: Any
    turns: Any
    failures: Any


def empty(where: Layout, example: LogDensity, signal: Local, fits: int) -> State:
    """Return room for the state of some fits; none has begun."""
    s = newton.empty(where, example, signal, fits)
    metric = fisher.empty(where, fits, example.n_bins)
    rest_of = s.gradient, s.slope, s.slope, s.slope, s.moves, s.turns, s.failures
    return State(s.at, s.trial, s.signal, metric, *rest_of)


def begin(where: Layout, state: State, fresh: Array, start: Array, problem: Problem) -> State:
    """Let fits begin, as `newton.begin`."""
    inside = jnp.clip(start, problem.lower[None], problem.upper[None])
    vector = with_rest(where, start, rest(where, jnp.where(problem.moving, inside, start)))
    nothing = jax.tree.map(jnp.zeros_like, state)
    at = nothing.at._replace(
        vector=vector, value=nothing.slope + jnp.inf, outcome=nothing.failures + EXHAUSTED
    )
    new = nothing._replace(at=at, trial=vector, excess=nothing.slope + jnp.inf)
    return of_two(fresh, new, state)


def step(given: Given, where: Layout, problem: Problem, signal: Local, s: State) -> State:
    """Try the next vector of every fit that has not ended; never uphill.

    Args:
        given: the density of the measurements.
        where: how the parameters enter.
        problem: what stays the same.
        signal: of the model at the trial vectors.
        s: the state before.
    """
    free = rest(where, problem.moving)
    lower, upper = problem.lower[None, where.rest], problem.upper[None, where.rest]
    at = s.at
    going = at.outcome == EXHAUSTED
    fresh = going & jnp.isinf(at.value)
    new, value, gradient = newton.evaluate(given, where, problem, signal, s.trial)
    move = rest(where, new) - rest(where, at.vector)
    unit = jnp.append(problem.unit, 0.0)[np.minimum(where.rest, len(problem.unit))]
    own = jnp.where(np.arange(len(where.rest)) < where.tied, 0.0, unit)[None]
    along = s.slope / jnp.maximum(dot(own * move, move), 1e-300)

    # Near the minimum differences of the values drown in rounding, and any step is taken.
    rounding = NEAR + _ROUNDING * jnp.abs(jnp.where(fresh, 0.0, at.value))
    near = (s.slope > 0) & (s.slope < rounding)
    excess = value - at.value
    gain = -2 * excess / jnp.maximum(s.slope, 1e-300)
    downhill = excess <= -jnp.clip(1e-4 * s.slope, 0.0, 0.1)
    ok = going & (downhill | (near & (excess <= rounding)))
    less = jnp.where(gain > _GOOD, s.added / _LONGER, jnp.where(gain < _BAD, 2.0, 1.0) * s.added)
    less = jnp.where(less < _LITTLE * along, 0.0, less)
    more = s.added + (_SHORTER - 1.0) * along

    # What steps of another length say of the curvature misleads.
    clean = (fresh | ~ok | (s.added > 0))[:, None, None]
    moves = jnp.concatenate([s.moves[:, 1:], move[:, None]], axis=1)
    turns = jnp.concatenate([s.turns[:, 1:], (gradient - s.gradient)[:, None]], axis=1)
    moves, turns = jnp.where(clean, 0.0, moves), jnp.where(clean, 0.0, turns)

    there = new, value, gradient, signal, measure(given, where, problem, signal, new)
    here = at.vector, at.value, s.gradient, s.signal, s.metric
    vector, value, gradient, known, metric = of_two(ok | fresh, there, here)
    x = rest(where, vector)

    def aimed(gradient: Array, added: Array) -> tuple[Array, Array]:
        held = metric._replace(own=metric.own + added[:, None] * own[:, where.tied :])
        return aim(where, held, x, gradient, moves, turns, free, lower, upper)

    corrected, _ = aimed(_slopes_beside(given, where, problem, signal, s), s.added)
    change = corrected - move
    again = going & ~ok & ~fresh & (excess < _FALLING * s.excess)
    # False where it is not a number.
    again &= dot(own * change, change) < _SMALL**2 * dot(own * move, move)
    added = jnp.where(fresh, 0.0, jnp.where(ok, less, jnp.where(again, s.added, more)))
    direction, slope = aimed(gradient, added)
    direction = jnp.where(again[:, None], corrected, direction)
    slope = jnp.where(again, s.slope, slope)
    # A short step promises little: what counts is what there is to be had.
    promise = aimed(gradient, jnp.zeros_like(added))[1]

    arrived = (ok | fresh) & (promise < 2 * problem.tolerance)
    halting = near & (slope > 0.5 * s.slope)
    failures = jnp.where(ok & ~halting, 0, s.failures + (going & ~fresh))
    lost = going & ((failures > _REFUSALS) | (near & (failures > 2)))
    outcome = jnp.where(lost, jnp.where(promise < 1e-6 + rounding, CONVERGED, STALLED), at.outcome)
    outcome = jnp.where(going & arrived, CONVERGED, outcome)
    outcome = jnp.where(fresh & ~jnp.isfinite(value), NOT_FINITE, outcome)
    next_x = jnp.where(free, jnp.clip(x + direction, lower, upper), x)
    found = State(
        Minimum(vector, value, 0.5 * promise, at.steps + (going & ~fresh), outcome),
        with_rest(where, vector, next_x),
        known,
        metric,
        gradient,
        slope,
        jnp.where(again, excess, jnp.inf),
        added,
        moves,
        turns,
        failures,
    )
    return of_two(going, found, s)


def measure(given: Given, where: Layout, problem: Problem, signal: Local, vector: Array) -> Metric:
    """Return the Fisher matrices at vectors (fits, size) where the signal is known."""
    curvature = problem.weight + problem.damping

    def one(vector: Array, data: Data, moving: Array, signal: Local) -> Metric:
        return fisher.measure(given(signal), where, vector, data, moving, curvature)

    return jax.vmap(one)(vector, problem.data, problem.moving, signal)


def _slopes_beside(given: Given, where: Layout, problem: Problem, signal: Local, s: State) -> Array:
    """Return the slopes (fits, rest) at the lowest points, if all numbers of the signal were off by
    as much as they are at the trials from where the slopes had them."""
    n = len(problem.weight)
    step = s.trial[:, :n] - s.at.vector[:, :n]
    off = signal.value - s.signal.value - jnp.einsum("fvp,fp->fv", s.signal.slope, step)
    moved = s.signal._replace(value=s.signal.value + off)
    return take_columns(newton.gradient(given, problem, moved, s.at.vector), where.rest)
