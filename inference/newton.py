"""Newton steps for Poisson counts with many constrained nuisances.

The negative log likelihood is sum_b [rate_b - n_b log rate_b] + constraints, with few bins b and
many parameters. With J = d rate / d parameter, the curvature W of the Poisson terms (diagonal over
bins) and D of the constraints (diagonal over parameters), the Fisher matrix is J^T W J + D, and by
the Woodbury identity a step costs one solve in the space of the bins:

    (D + J^T W J)^-1 = D^-1 - D^-1 J^T P J D^-1,   P = (W^-1 + J D^-1 J^T)^-1.

Unconstrained parameters u (D = 0) come in through their Schur complement, which is J_u^T P J_u.
A nuisance that moves one bin only ("local", as the fluctuations of simulated samples) adds a
diagonal term to J D^-1 J^T and needs one derivative, not one for each bin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis import Analysis, Data
from bknn.likelihood.sparse import collect, take

#: Outcomes of a minimisation.
CONVERGED, STALLED, EXHAUSTED, NOT_FINITE = range(4)


class Minimum(NamedTuple):
    """Where a minimisation ended: the vector, -log likelihood there, and how it ended.

    `decrement` is the decrease of -log likelihood that one more step would promise.
    """

    vector: Array
    value: Array
    decrement: Array
    steps: Array
    outcome: Array


class Layout(NamedTuple):
    """How the parameters enter: entries of the flat vector, and where their derivatives stand.

    Attributes:
        free: not constrained; first those with a dense column, then those local to a bin.
        shared: constrained, act on many bins.
        local: constrained, act on the bin `local_bin`.
        free_columns, shared_columns: their dense columns.
        loose, tied: positions of the unconstrained and the constrained among all local ones.
        loose_bin: the bins of the former.
    """

    free: np.ndarray
    shared: np.ndarray
    local: np.ndarray
    local_bin: np.ndarray
    free_columns: np.ndarray
    shared_columns: np.ndarray
    loose: np.ndarray
    loose_bin: np.ndarray
    tied: np.ndarray


def layout(analysis: Analysis) -> Layout:
    """Sort the parameters of an analysis by how they enter."""
    constrained = np.zeros(analysis.size, bool)
    constrained[analysis.normal[0]] = True
    constrained[analysis.poisson[0]] = True
    dense, local, local_bin = analysis.structure
    free_columns = np.flatnonzero(~constrained[dense])
    shared_columns = np.flatnonzero(constrained[dense])
    loose, tied = np.flatnonzero(~constrained[local]), np.flatnonzero(constrained[local])
    return Layout(
        free=np.concatenate([dense[free_columns], local[loose]]),
        shared=dense[shared_columns],
        local=local[tied],
        local_bin=local_bin[tied],
        free_columns=free_columns,
        shared_columns=shared_columns,
        loose=loose,
        loose_bin=local_bin[loose],
        tied=tied,
    )


class _State(NamedTuple):
    at: Minimum
    gradient: Array
    moves: Array
    turns: Array
    #: Steps since the Fisher matrix was computed; negative asks for a new one.
    age: Array


def minimise(
    analysis: Analysis,
    where: Layout,
    start: Array,
    data: Data,
    moving: Array,
    *,
    tolerance: float = 1e-10,
    max_steps: int = 200,
) -> Minimum:
    """Minimise -log likelihood from `start`, within the bounds, never uphill.

    The Fisher matrix leaves out how the rates bend, so its steps alone converge linearly. The last
    few moves and changes of gradient correct it (limited-memory BFGS with the Fisher matrix in
    place of the usual multiple of one). The matrix is computed anew only every few steps: those in
    between cost one gradient each.

    Args:
        start: flat vector (size,); entries that do not move keep their value.
        data: counts and auxiliary data.
        moving: which entries may move, (size,) of bool.
        tolerance: stop when the next step promises less than this decrease of -log likelihood.
        max_steps: give up after so many steps.

    A pure function: `vmap` it over starts, data sets or fixed values.
    """
    lower, upper = jnp.asarray(analysis.bounds.T)

    @jax.value_and_grad
    def evaluate(vector: Array) -> Array:
        return -analysis.log_shape(vector, data)

    def blocked(state: _State) -> Array:
        """At a bound, and pushed against it: stays."""
        x, gradient = state.at.vector, state.gradient
        return ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))

    def step(state: _State, solve: Callable[[Array], Array]) -> _State:
        at, x = state.at, state.at.vector
        active = moving & ~blocked(state)
        gradient = jnp.where(active, state.gradient, 0.0)

        def restricted(v: Array) -> Array:
            return jnp.where(active, solve(jnp.where(active, v, 0.0)), 0.0)

        plain = -restricted(gradient)
        direction = -_with_memory(restricted, gradient, state.moves, state.turns)
        direction = jnp.where(active, direction, 0.0)
        slope, expected = -jnp.dot(direction, gradient), -jnp.dot(plain, gradient)
        # The memory may mislead where the problem is not convex; the Fisher step cannot.
        trusted = (slope > 0.1 * expected) & (slope < 10 * expected)
        direction = jnp.where(trusted, direction, plain)
        slope = jnp.where(trusted, slope, expected)
        # One parameter that next to nothing depends on here may want to leave the bounds by far:
        # it stops there, so that the others keep their steps.
        inside = jnp.clip(x + direction, lower, upper) - x
        inside_slope = -jnp.dot(inside, gradient)
        far = jnp.any(jnp.abs(direction) > 100.0 * (upper - lower))
        kept = far & (inside_slope > 0.1 * slope)
        direction = jnp.where(kept, inside, direction)
        slope = jnp.where(kept, inside_slope, slope)

        # Shorten the step until the function goes down; bounds are kept by projection.
        def shorter(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            length = carry[0] / 4
            new = jnp.clip(x + length * direction, lower, upper)
            return (length, new, *evaluate(new))

        def uphill(carry: tuple[Array, Array, Array, Array]) -> Array:
            length, _, value, _ = carry
            return ~(value <= at.value - 1e-4 * length * slope) & (length > 1e-16)

        # Before the first trial nothing is known, which counts as uphill.
        unknown = (jnp.full((), 4.0), x, jnp.full((), jnp.nan), state.gradient)
        _, new, value, new_gradient = jax.lax.while_loop(uphill, shorter, unknown)
        better = value < at.value
        # Near the minimum differences drown in rounding: a tiny promised decrease is convergence.
        done = (slope < 2 * tolerance) | (~better & (slope < 1e-6))
        # A step that fails with an old matrix is no verdict; with a new one it is.
        failed = ~better & (state.age == 0)
        outcome = jnp.where(done, CONVERGED, jnp.where(failed, STALLED, EXHAUSTED))
        keep = jnp.where(better, 1.0, 0.0)
        new = jnp.where(better, new, x)
        new_gradient = jnp.where(better, new_gradient, state.gradient)
        turn = new_gradient - state.gradient
        return _State(
            Minimum(new, jnp.where(better, value, at.value), 0.5 * slope, at.steps + 1, outcome),
            new_gradient,
            keep * jnp.concatenate([state.moves[1:], (new - x)[None]]),
            keep * jnp.concatenate([state.turns[1:], turn[None]]),
            jnp.where(better, state.age + 1, -1),
        )

    def going(state: _State) -> Array:
        return (state.at.outcome == EXHAUSTED) & (state.at.steps < max_steps)

    def round_of_steps(state: _State) -> _State:
        tangent = _linearise(analysis, where, state.at.vector, data)
        solve = _solver(analysis, where, tangent, moving & ~blocked(state))
        return jax.lax.while_loop(
            lambda s: going(s) & (s.age >= 0) & (s.age < _REFRESH),
            lambda s: step(s, solve),
            state._replace(age=jnp.zeros((), int)),
        )

    start = jnp.where(moving, jnp.clip(start, lower, upper), start)
    value, gradient = evaluate(start)
    outcome = jnp.where(jnp.isfinite(value), EXHAUSTED, NOT_FINITE)
    first = Minimum(start, value, jnp.full((), jnp.inf), jnp.zeros((), int), outcome)
    empty = jnp.zeros((_MEMORY, analysis.size))
    state = _State(first, gradient, empty, empty, jnp.zeros((), int))
    end = jax.lax.while_loop(going, round_of_steps, state).at
    return end._replace(value=end.value + analysis.log_norm(data))


#: After how many steps the Fisher matrix is computed anew.
_REFRESH = 2

#: How many moves the memory holds.
_MEMORY = 2


def _with_memory(
    solve: Callable[[Array], Array], gradient: Array, moves: Array, turns: Array
) -> Array:
    """Return the BFGS direction from the last moves and changes of gradient, (memory, size)."""
    along = jnp.sum(moves * turns, axis=1)
    usable = along > 1e-10 * jnp.sqrt(jnp.sum(moves**2, axis=1) * jnp.sum(turns**2, axis=1))
    usable &= along > 0
    inverse = jnp.where(usable, 1 / jnp.where(usable, along, 1.0), 0.0)

    def down(q: Array, pair: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        move, turn, factor = pair
        weight = factor * jnp.dot(move, q)
        return q - weight * turn, weight

    def up(r: Array, pair: tuple[Array, Array, Array, Array]) -> tuple[Array, None]:
        move, turn, factor, weight = pair
        return r + (weight - factor * jnp.dot(turn, r)) * move, None

    q, weights = jax.lax.scan(down, gradient, (moves, turns, inverse), reverse=True)
    r, _ = jax.lax.scan(up, solve(q), (moves, turns, inverse, weights))
    return r


class _Tangent(NamedTuple):
    """First derivatives of the rates (bins, .), by kind of parameter, and curvatures."""

    diagonal: Array
    weight: Array
    shared: Array
    free: Array
    local: Array


def _linearise(analysis: Analysis, where: Layout, x: Array, data: Data) -> _Tangent:
    rates, columns, by_local = analysis.derivatives(x)
    safe = jnp.maximum(rates, 1e-10)
    in_bin = (np.arange(analysis.n_bins)[:, None] == where.loose_bin).astype(float)
    loose = in_bin * take(by_local, where.loose)[None, :]
    diagonal = jnp.zeros(analysis.size)
    index, _, sigma = analysis.normal
    if index.size:
        diagonal = diagonal.at[index].set(1 / sigma**2)
    index, _, _ = analysis.poisson
    if index.size:
        parameter = jnp.maximum(take(x, index), 1e-10)
        diagonal = diagonal.at[index].set(jnp.maximum(data.poisson, 0.5) / parameter**2)
    return _Tangent(
        diagonal,
        # Curvature of the Poisson terms: n/rate^2, within a factor of 2 of the expected 1/rate.
        jnp.clip(data.counts / safe, 0.5, 2.0) / safe,
        take(columns.T, where.shared_columns).T,
        jnp.concatenate([take(columns.T, where.free_columns).T, loose], axis=1),
        take(by_local, where.tied),
    )


def _solver(
    analysis: Analysis, where: Layout, tangent: _Tangent, active: Array
) -> Callable[[Array], Array]:
    """Return the function v -> (Fisher matrix)^-1 v over the active parameters."""
    n_bins = analysis.n_bins
    shared, free, local = where.shared, where.free, where.local
    j_shared = jnp.where(take(active, shared)[None, :], tangent.shared, 0.0)
    j_free = jnp.where(take(active, free)[None, :], tangent.free, 0.0)
    j_local = jnp.where(take(active, local), tangent.local, 0.0)
    d_shared, d_local = take(tangent.diagonal, shared), take(tangent.diagonal, local)
    root = jnp.sqrt(tangent.weight)

    in_bins = (j_shared / d_shared[None, :]) @ j_shared.T
    in_bins += jnp.diag(collect(j_local**2 / d_local, where.local_bin, n_bins))
    core = jnp.eye(n_bins) + root[:, None] * in_bins * root[None, :]
    cholesky = jnp.linalg.cholesky(core)

    def project(v: Array) -> Array:
        """P v for a matrix over bins (bins, n)."""
        scaled = root[:, None] * v
        return root[:, None] * jax.scipy.linalg.cho_solve((cholesky, True), scaled)

    projected = project(j_free)
    schur = j_free.T @ projected
    size = jnp.sqrt(jnp.diag(schur))
    moves = size > 0
    size = jnp.where(moves, size, 1.0)
    schur = schur / size[:, None] / size[None, :] + 1e-9 * jnp.eye(free.size)

    def solve(v: Array) -> Array:
        z_shared, z_local = take(v, shared) / d_shared, take(v, local) / d_local
        moved = j_shared @ z_shared + collect(j_local * z_local, where.local_bin, n_bins)
        y = project(moved[:, None])[:, 0]
        result = jnp.zeros(analysis.size)
        if free.size:
            rhs = take(v, free) - projected.T @ moved
            # A parameter that moves nothing here (the mass of an absent line) stays.
            part = jnp.where(moves, jnp.linalg.solve(schur, rhs / size) / size, 0.0)
            result = result.at[free].set(part)
            y = y + projected @ part
        result = result.at[shared].set(z_shared - j_shared.T @ y / d_shared)
        result = result.at[local].set(z_local - j_local * take(y, where.local_bin) / d_local)
        return jnp.where(active, result, 0.0)

    return solve
