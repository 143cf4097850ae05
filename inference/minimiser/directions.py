"""Where to go from a point: Fisher's direction, corrected by the last moves, within the bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.inference.minimiser import fisher
from bknn.inference.minimiser.fisher import Layout, Metric
from bknn.likelihood.sparse import take_columns

#: How many moves the memory holds.
MEMORY = 5


def aim(
    where: Layout,
    metric: Metric,
    x: Array,
    gradient: Array,
    moves: Array,
    turns: Array,
    free: Array,
    lower: Array,
    upper: Array,
) -> tuple[Array, Array]:
    """Return the direction to go (fits, rest), and the decrease it promises per length (fits,).

    Args:
        where: how the parameters enter.
        metric: the Fisher matrix.
        x, gradient: where fits are, and the slopes there, of the rest (fits, rest).
        moves, turns: the last few moves, and changes of the gradient (fits, memory, rest).
        free: which may move (fits, rest).
        lower, upper: bounds (1, rest).
    """
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
        sane = dot(plain, g) <= 0
        plain = jnp.where(sane[:, None], plain, -g / metric.size)
        direction = jnp.where(active, -_with_memory(solve, g, moves, turns), 0.0)
        slope, expected = -dot(direction, g), -dot(plain, g)
        # The memory may mislead where the problem is not convex; the Fisher step cannot.
        trusted = sane & (slope > 0.1 * expected) & (slope < 10 * expected)
        direction = jnp.where(trusted[:, None], direction, plain)
        to_bound = jnp.where(gradient > 0, lower, upper) - x
        direction = jnp.where(stopped, jnp.where(jnp.isfinite(to_bound), to_bound, 0.0), direction)
        return direction, -dot(direction, jnp.where(stuck, 0.0, gradient))

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


def _with_memory(
    solve: Callable[[Array], Array], gradient: Array, moves: Array, turns: Array
) -> Array:
    """Return the BFGS direction from the last moves and changes of gradient."""
    along = jnp.sum(moves * turns, axis=2)
    size = jnp.sqrt(jnp.sum(moves**2, axis=2) * jnp.sum(turns**2, axis=2))
    usable = (along > 0) & (along > 1e-10 * size)
    factors = jnp.where(usable, 1 / jnp.where(usable, along, 1.0), 0.0)
    weights: list[Array] = []
    # Written out: a loop would cost more than it computes.
    for i in reversed(range(MEMORY)):
        weights.append(factors[:, i] * dot(moves[:, i], gradient))
        gradient = gradient - weights[-1][:, None] * turns[:, i]
    result = solve(gradient)
    for i, weight in enumerate(reversed(weights)):
        correction = weight - factors[:, i] * dot(turns[:, i], result)
        result = result + correction[:, None] * moves[:, i]
    return result


def rest(where: Layout, vectors: Array) -> Array:
    """Return the rest of the parameters of vectors (fits, size)."""
    return take_columns(vectors, where.rest)


def with_rest(where: Layout, vectors: Array, own: Array) -> Array:
    """Return vectors (fits, size) with the rest of the parameters in place of what they have."""
    back = len(where.rest) + np.arange(vectors.shape[1])
    back[where.rest] = np.arange(len(where.rest))
    return take_columns(jnp.concatenate([own, vectors], axis=1), back)


def dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=1)


def of_two(condition: Array, one: Any, other: Any) -> Any:
    """One of two trees of arrays (fits, ...), by fit."""

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(condition.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, one, other)
