"""Two stiff equations dz/dt = slopes(z, t) along a grid: z with its derivatives.

Steps are those of Alexander's implicit rule of third order (SIAM J. Numer. Anal. 14, 1006 (1977)),
stable at any stiffness: three stages z_i = z_0 + h sum_(j <= i) a_ij slopes(z_j), of which the last
is the end of the step. Stages are found one after the other, by one step of Newton's method each.
Then Newton's method goes on for the path as a whole: slopes and their Jacobians J at all stages at
once, and a linear recursion from step to step for

    z'_i = z'_0 + h sum_j a_ij [slopes(z_j) + J_j (z'_j - z_j)].

What is done up to here is not differentiated. A last step of it, with everything free in z_0 and in
slopes(z_j) but J, is the implicit function theorem for the path: first derivatives, forward and
reverse, are right. Each further step, with the same J, makes those of one order more right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

#: Alexander's rule.
_G = 0.43586652150845899942
_B1, _B2 = -(6 * _G**2 - 16 * _G + 1) / 4, (6 * _G**2 - 20 * _G + 5) / 4
FRACTIONS = np.array([_G, (1 + _G) / 2, 1.0])
_LOWER = (), ((1 - _G) / 2,), (_B1, _B2)

#: Newton's method: steps for the path; the largest move; the move from which one step is enough;
#: that which the last ones may not exceed together.
_ITERATIONS, _FARTHEST, _NEAR, _TOLERANCE = 40, 1.5, 1e-5, 1e-6

#: Orders of derivatives that are right: fits ask for a Hessian.
_ORDERS = 2

#: Both unknowns, of one shape; four numbers a, b, c, d of a matrix [(a, b), (c, d)].
Pair = tuple[Array, Array]
Matrix = tuple[Array, Array, Array, Array]

#: Slopes of both at any number of points, from z, and what is known of the points and in general.
Slopes = Callable[[Pair, Any, Any], Pair]


def _add(z: Pair, *terms: tuple[Any, Pair]) -> Pair:
    """Return z + sum of factors times pairs."""
    w, theta = z
    for factor, (a, b) in terms:
        w, theta = w + factor * a, theta + factor * b
    return w, theta


def _times(matrix: Matrix, z: Pair) -> Pair:
    a, b, c, d = matrix
    return a * z[0] + b * z[1], c * z[0] + d * z[1]


def _inverse(jacobian: Matrix, h: Array) -> Matrix:
    """Return the inverse of 1 - h J."""
    a, b, c, d = jacobian
    p, s = 1.0 - h * a, 1.0 - h * d
    size = p * s - h**2 * b * c
    return s / size, h * b / size, h * c / size, p / size


def _linear(slopes: Slopes, z: Pair, here: Any, common: Any) -> tuple[Pair, Matrix]:
    """Return the slopes and their Jacobian."""

    def at(*z: Array) -> Pair:
        return slopes((z[0], z[1]), here, common)

    one, zero = jnp.ones_like(z[0]), jnp.zeros_like(z[0])
    found, (a, c) = jax.jvp(at, z, (one, zero))
    _, (b, d) = jax.jvp(at, z, (zero, one))
    return found, (a, b, c, d)


def _clip(z: Pair) -> Pair:
    return jnp.clip(z[0], -_FARTHEST, _FARTHEST), jnp.clip(z[1], -_FARTHEST, _FARTHEST)


def _size(z: Pair) -> Array:
    return jnp.max(jnp.abs(jnp.stack(z)))


def _at(tree: Any, i: int) -> Any:
    """Return stage i of arrays (..., 3)."""
    return jax.tree.map(lambda a: a[..., i], tree)


def _together(stages: list[Pair]) -> Pair:
    return jnp.stack([z[0] for z in stages], -1), jnp.stack([z[1] for z in stages], -1)


def _one_by_one(slopes: Slopes, start: Pair, h: Array, here: Any, common: Any) -> Pair:
    """Return all stages (steps, 3), nearly."""

    def advance(state: tuple[Pair, Pair], given: tuple[Array, Any]) -> Any:
        z, slope = state
        h, here = given
        own = h * _G
        known: list[Pair] = []
        stages: list[Pair] = []
        for i, lower in enumerate(_LOWER):
            base = _add(z, *((h * a, k) for a, k in zip(lower, known, strict=True)))
            guess = _add(base, (own, slope))
            value, jacobian = _linear(slopes, guess, _at(here, i), common)
            miss = _add(guess, (-1.0, base), (-own, value))
            found = _add(guess, (-1.0, _clip(_times(_inverse(jacobian, own), miss))))
            slope = _add((found[0] / own, found[1] / own), (-1.0 / own, base))
            known.append(slope)
            stages.append(found)
        return (stages[-1], slope), _together(stages)

    still = (jnp.zeros_like(start[0]), jnp.zeros_like(start[0]))
    return jax.lax.scan(advance, (start, still), (h, here))[1]


def _newton(z: Pair, value: Pair, jacobian: Matrix, start: Pair, h: Array) -> Pair:
    """Return all stages (steps, 3) by a step of Newton's method from z, where slopes are known.

    Stages are linear in the start of their step: what they are of 0, and how they change with
    either unknown there, is known of all steps at once, as three columns.
    """
    own = h[None] * _G
    inverse = jax.tree.map(lambda a: a[None], _inverse(jacobian, h[:, None] * _G))
    driven = _add(value, (-1.0, _times(jacobian, z)))
    source = jax.tree.map(lambda a: jnp.pad(a[None], ((0, 2), (0, 0), (0, 0))), driven)
    unit = jnp.broadcast_to(jnp.eye(3)[:, :, None], (3, 3, len(h)))
    begin = unit[1], unit[2]
    known: list[Pair] = []
    found: list[Pair] = []
    for i, lower in enumerate(_LOWER):
        base = _add(begin, *((h[None] * a, k) for a, k in zip(lower, known, strict=True)))
        now = _times(_at(inverse, i), _add(base, (own, _at(source, i))))
        known.append(_add((now[0] / own, now[1] / own), (-1.0 / own, base)))
        found.append(now)
    columns = _together(found)

    def of(start: Pair, columns: Pair) -> Pair:
        (w, a, b), (theta, c, d) = columns
        return _add((w, theta), (1.0, _times((a, b, c, d), start)))

    last = jax.tree.map(lambda a: a[..., 2].T, columns)
    _, (w, theta) = jax.lax.scan(lambda z, given: (of(z, given), z), start, last)
    return of((w[:, None], theta[:, None]), columns)


def solve(slopes: Slopes, start: Pair, h: Array, here: Any, common: Any) -> tuple[Pair, Array]:
    """Return both unknowns at the stages of all steps, (steps, 3) each, and whether they are found.

    Args:
        slopes: of z, `here`, `common`; of what else they depend on no derivatives are taken.
        start: both unknowns, ().
        h: length of the steps (steps,).
        here: what slopes need to know of the stages, arrays (steps, 3); stages are at `FRACTIONS`
            of the steps.
        common: what they need besides.

    >>> h = jnp.full(40, 0.05)
    >>> found, converged = solve(
    ...     lambda z, here, rate: (-rate * z[0], z[0] - z[1]), (jnp.ones(()), jnp.zeros(())),
    ...     h, jnp.zeros((40, 3)), jnp.array(1e6)
    ... )
    >>> bool(converged), round(float(found[1][-1, -1]) * 1e6, 3)  # exp(-2)/rate
    (True, 0.135)
    """
    fixed = jax.lax.stop_gradient((start, here, common))
    start_, here_, common_ = fixed

    def go_on(state: tuple[Pair, Array, Array]) -> Array:
        return (state[1] > _NEAR) & (state[2] < _ITERATIONS)

    def step(state: tuple[Pair, Array, Array]) -> tuple[Pair, Array, Array]:
        z, _, count = state
        move = _clip(_add(_newton(z, *_linear(slopes, z, here_, common_), start_, h), (-1.0, z)))
        return _add(z, (1.0, move)), _size(move), count + 1

    z = _one_by_one(slopes, start_, h, here_, common_)
    z, _, _ = jax.lax.while_loop(go_on, step, (z, jnp.array(jnp.inf), jnp.array(0)))
    found = before = jax.lax.stop_gradient(z)
    _, jacobian = _linear(slopes, before, here_, common_)
    for _ in range(_ORDERS):
        found = _newton(found, slopes(found, here, common), jacobian, start, h)
    return found, _size(_add(found, (-1.0, before))) < _TOLERANCE
