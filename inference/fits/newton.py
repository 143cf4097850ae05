"""Newton steps for Poisson counts with many constrained nuisances, for many fits side by side.

The negative log likelihood is sum_b [rate_b - n_b log rate_b] + constraints, with few bins b and
many parameters. Nuisances that move one bin only (the fluctuations of simulated samples) are solved
for exactly at every step (`barlow_beeston`): they would be most of the parameters, and the most
nonlinear.
For the rest, with J = d rate / d parameter, the variance V of the rates (diagonal over bins: counts
and settled nuisances) and the curvature D of the constraints (diagonal over parameters), the Fisher
matrix is J^T V^-1 J + D, and by the Woodbury identity a step costs one solve in the space of bins:

    (D + J^T V^-1 J)^-1 = D^-1 - D^-1 J^T P J D^-1,   P = (V + J D^-1 J^T)^-1.

Unconstrained parameters u (D = 0) come in through their Schur complement, which is J_u^T P J_u.

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
from bknn.inference.fits.barlow_beeston import settled, settler
from bknn.likelihood.sparse import collect, take

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


class Layout(NamedTuple):
    """How the parameters enter: entries of the flat vector, and where their derivatives stand.

    Attributes:
        settled: solved for; `settled_at` among the local entries of the structure, on the bin
            `settled_bin`.
        rest: all others: first the constrained ones (`tied` of them), then those that are not.
        dense: columns of the dense derivatives, for each of the rest; -1 for local ones.
        local: positions among the local entries, for each of the rest; -1 for dense ones.
    """

    settled: np.ndarray
    settled_at: np.ndarray
    settled_bin: np.ndarray
    rest: np.ndarray
    tied: int
    dense: np.ndarray
    local: np.ndarray


def layout(analysis: Analysis) -> Layout:
    """Sort the parameters of an analysis by how they enter."""
    constrained = np.zeros(analysis.size, bool)
    constrained[analysis.normal[0]] = True
    constrained[analysis.poisson[0]] = True
    structure = analysis.structure
    at = settled(analysis)
    others = np.setdiff1d(np.arange(len(structure.local)), at)
    rest = np.concatenate([structure.shared, structure.local[others]])
    dense = np.concatenate([np.arange(len(structure.shared)), np.full(len(others), -1)])
    local = np.concatenate([np.full(len(structure.shared), -1), others])
    order = np.argsort(~constrained[rest], kind="stable")
    return Layout(
        settled=structure.local[at],
        settled_at=at,
        settled_bin=structure.local_bin[at],
        rest=rest[order],
        tied=int(np.sum(constrained[rest])),
        dense=dense[order],
        local=local[order],
    )


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
        stragglers: stop when no more than so many fits have not ended; they are EXHAUSTED.
        tolerance: stop when the next step promises less than this decrease of -log likelihood.
        max_steps: give up after so many evaluations.
        held: whether no threshold moves (`Analysis.holding_thresholds`).
    """
    rest = where.rest
    lower, upper = jnp.asarray(analysis.bounds[rest].T)[:, None, :]
    free = moving[:, rest]

    before, then = analysis.holding_thresholds() if held else (lambda _: [], lambda _: analysis)
    found = jax.vmap(before)(start)

    def objective(
        vector: Array, data: Data, moving: Array, found: list[Array]
    ) -> tuple[Array, Array, Array]:
        """Settle the vector; return it with -log likelihood and its derivatives by the rest."""
        one = then(found)
        vector = settler(one)(vector, data, moving)
        value, gradient = jax.value_and_grad(lambda v: -one.log_shape(v, data, beyond=True))(vector)
        return vector, value, gradient[rest]

    over_fits = jax.vmap(objective)

    def evaluate(vector: Array) -> tuple[Array, Array, Array]:
        return over_fits(vector, data, moving, found)

    def aim(
        metric: _Metric, vector: Array, gradient: Array, moves: _Past, turns: _Past
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
            solve = _solver(where, metric, active)
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

    def metric_of(vector: Array, data: Data, moving: Array, found: list[Array]) -> _Metric:
        return _measure(then(found), where, vector, data, moving)

    measure = jax.vmap(metric_of)

    def step(carry: tuple[Array, _State, _Metric]) -> tuple[Array, _State, _Metric]:
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

    def unfinished(carry: tuple[Array, _State, _Metric]) -> Array:
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
    metric = _Metric(
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

#: Counts up to this number stand for none (`vanishing`), or are as good as none.
FEW = 1e-2

#: How many moves the memory holds.
_MEMORY = 5

#: Below this promised decrease gradients decide whether a step helped, values no longer.
_NEAR = 1e-8

#: Up to so many unconstrained parameters have derivatives of their own in every fit.
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


class _Metric(NamedTuple):
    """The Fisher matrix, of every fit its own.

    Attributes:
        diagonal: curvature of the constraints (fits, tied).
        project: P (fits, bins, bins).
        tied, free: derivatives of the rates by the rest of the parameters, those that are
            constrained (fits, bins, tied) and those that are not (fits, bins, free).
        size: diagonal of the whole matrix (fits, rest).
    """

    diagonal: Array
    project: Array
    tied: Array
    free: Array
    size: Array


def _measure(
    analysis: Analysis, where: Layout, vector: Array, data: Data, moving: Array
) -> _Metric:
    """Compute the Fisher matrix at a vector (size,)."""
    n_bins, n = analysis.n_bins, where.tied
    rates, dense, local = analysis.derivatives(vector)
    variance = analysis.outcomes.variance(data.counts, rates, 1e-4)
    # Hardly any counts, as at an edge: the next step ends before it rather than beyond.
    few = (jnp.asarray(data.counts) > 0) & (jnp.asarray(data.counts) <= FEW)
    few &= np.arange(n_bins) < analysis.outcomes.n_counts
    variance = jnp.where(few, jnp.maximum(rates, FEW**10), variance)
    index, _, sigma = analysis.normal
    widths = np.zeros(analysis.size)
    widths[index] = sigma
    spread = jnp.where(moving[where.settled], local[where.settled_at] * widths[where.settled], 0.0)
    variance = variance + collect(spread**2, where.settled_bin, n_bins)

    curvature = jnp.asarray(np.where(widths > 0, 1 / np.where(widths > 0, widths, 1.0) ** 2, 0.0))
    index, _, _ = analysis.poisson
    if index.size:
        parameter = jnp.maximum(take(vector, index), 1e-10)
        curvature = curvature.at[index].set(jnp.maximum(data.poisson, 0.5) / parameter**2)
    diagonal = curvature[where.rest[:n]]
    # Dense columns, and columns of one entry.
    columns = take(dense.T, np.maximum(where.dense, 0)).T
    at = np.flatnonzero(where.local >= 0)
    if at.size:
        in_bin = np.zeros((n_bins, len(where.rest)))
        in_bin[analysis.structure.local_bin[where.local[at]], at] = 1.0
        alone = in_bin * local[where.local][None, :]
        columns = jnp.where((where.local >= 0)[None, :], alone, columns)
    columns = jnp.where(moving[where.rest][None, :], columns, 0.0)
    tied, free = columns[:, :n], columns[:, n:]
    root = 1 / jnp.sqrt(variance)
    core = root[:, None] * ((tied / diagonal[None, :]) @ tied.T) * root[None, :]
    project = root[:, None] * inverse(core + jnp.eye(n_bins)) * root[None, :]
    size = jnp.concatenate([diagonal, jnp.zeros(len(where.rest) - n)])
    size = size + jnp.sum(columns**2 / variance[:, None], axis=0)
    return _Metric(diagonal, project, tied, free, jnp.where(size > 0, size, 1.0))


def _solver(where: Layout, metric: _Metric, active: Array) -> Callable[[Array], Array]:
    """Return the function v -> (Fisher matrix)^-1 v over the active of the rest, (fits, rest).

    Constrained parameters that are not active are left out by crossing out their rows and columns
    of the inverse: not exact, but downhill.
    """
    n = where.tied
    n_free = len(where.rest) - n
    if not n_free:

        def solve_tied(v: Array) -> Array:
            z = v / metric.diagonal
            y = jnp.einsum("ibc,ic->ib", metric.project, jnp.einsum("it,ibt->ib", z, metric.tied))
            tied = z - jnp.einsum("ib,ibt->it", y, metric.tied) / metric.diagonal
            return jnp.where(active, tied, 0.0)

        return solve_tied
    j_free = jnp.where(active[:, None, n:], metric.free, 0.0)
    projected = jnp.einsum("ibc,icf->ibf", metric.project, j_free)
    schur = jnp.einsum("ibf,ibg->ifg", j_free, projected)
    size = jnp.sqrt(jnp.diagonal(schur, axis1=1, axis2=2))
    # A parameter that moves nothing here (the mass of an absent line) stays.
    moves = size > 0
    size = jnp.where(moves, size, 1.0)
    schur = schur / size[:, :, None] / size[:, None, :]
    inverted = inverse(schur + 1e-9 * jnp.eye(n_free)[None])

    def solve(v: Array) -> Array:
        z = v[:, :n] / metric.diagonal
        moved = jnp.einsum("it,ibt->ib", z, metric.tied)
        y = jnp.einsum("ibc,ic->ib", metric.project, moved)
        rhs = (v[:, n:] - jnp.einsum("ibf,ib->if", projected, moved)) / size
        part = jnp.where(moves, jnp.einsum("ifg,ig->if", inverted, rhs) / size, 0.0)
        y = y + jnp.einsum("ibf,if->ib", projected, part)
        tied = z - jnp.einsum("ib,ibt->it", y, metric.tied) / metric.diagonal
        return jnp.where(active, jnp.concatenate([tied, part], axis=1), 0.0)

    return solve


def inverse(matrix: Array) -> Array:
    """Return the inverse of symmetric positive matrices (..., n, n).

    By halves, so that it is all products of matrices, as fast as LAPACK for n of some ten. And
    LAPACK calls that run at the same time in XLA's pool of threads can wait for each other forever
    (jaxlib 0.10: a batch of 256 fits never ended).
    """
    n = matrix.shape[-1]
    if n <= 8:
        # Gauss-Jordan: one row and column after the other is replaced by that of the inverse.
        unit = jnp.eye(n).reshape((n,) + (1,) * (matrix.ndim - 2) + (n,))

        def sweep(k: Array, a: Array) -> Array:
            row = jax.lax.dynamic_index_in_dim(a, k, -2)
            column = jax.lax.dynamic_index_in_dim(a, k, -1)
            pivot = jax.lax.dynamic_index_in_dim(row, k, -1)
            return a - (column - unit[k][..., :, None]) * ((row + unit[k][..., None, :]) / pivot)

        return jax.lax.fori_loop(0, n, sweep, matrix)
    h = n // 2
    b = matrix[..., :h, h:]
    first = inverse(matrix[..., :h, :h])
    carried = first @ b
    second = inverse(matrix[..., h:, h:] - jnp.swapaxes(b, -1, -2) @ carried)
    across = carried @ second
    top = jnp.concatenate([first + across @ jnp.swapaxes(carried, -1, -2), -across], -1)
    bottom = jnp.concatenate([-jnp.swapaxes(across, -1, -2), second], -1)
    return jnp.concatenate([top, bottom], -2)
