"""Gradient descent for any log density: L-BFGS from optax, after a rough start with Adam.

Bounds are kept by a change of variables, since optax has no bounded minimiser: a fit that ends at
a bound creeps towards it. For Poisson counts with constraints `newton` is better.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from bknn.inference.minimiser.newton import CONVERGED, EXHAUSTED, NOT_FINITE, STALLED, Minimum


def scales(init: np.ndarray, bounds: np.ndarray, widths: np.ndarray | None = None) -> np.ndarray:
    """Return a natural unit for every parameter: its constraint, or a part of its range, or itself.

    Args:
        init: starting values (size,).
        bounds: (size, 2).
        widths: widths of constraints (size,), NaN where there is none.
    """
    span = bounds[:, 1] - bounds[:, 0]
    size = np.where(np.isfinite(span), span / 10, np.maximum(np.abs(init), 1.0))
    # A start far below its upper bound says what size is meant: 5e-6 within [0, 1e-3].
    size = np.where((init != 0) & (np.abs(init) < size), np.abs(init), size)
    return size if widths is None else np.where(np.isnan(widths), size, widths)


def minimise(
    function: Callable[[Array], Array],
    start: Array,
    moving: Array,
    bounds: np.ndarray,
    unit: np.ndarray,
    *,
    tolerance: float = 1e-10,
    max_steps: int = 2000,
    rough_steps: int = 0,
) -> Minimum:
    """Minimise a function of a vector (size,), within bounds.

    Args:
        function: -log density; pure JAX.
        start: where to begin (size,); entries that do not move keep their value.
        moving: which entries may move, (size,) of bool.
        bounds: (size, 2), infinite where there is none.
        unit: natural size of each parameter (size,).
        tolerance: stop when the squared gradient (in natural units) is below this.
        rough_steps: steps of Adam before L-BFGS, for starts far off.
    """
    lower, upper = bounds.T
    below, above = np.isfinite(lower), np.isfinite(upper)
    both, low_only, high_only = below & above, below & ~above, above & ~below
    low, high = np.where(below, lower, 0.0), np.where(above, upper, 1.0)
    span = np.where(both, high - low, 1.0)

    def to_bounded(z: Array) -> Array:
        """From the real line, in natural units, to the interval or the half of the line."""
        x = jnp.where(both, low + span * jax.nn.sigmoid(4 * unit / span * z), unit * z)
        x = jnp.where(low_only, low + unit * jax.nn.softplus(z), x)
        return jnp.where(high_only, high - unit * jax.nn.softplus(-z), x)

    def from_bounded(x: Array) -> Array:
        part = jnp.where(both, (x - low) / span, 0.5)
        z = jnp.where(both, jnp.log(part / (1 - part)) * span / (4 * unit), x / unit)
        z = jnp.where(low_only, _softplus_inverse(jnp.where(low_only, x - low, unit) / unit), z)
        room = jnp.where(high_only, high - x, unit) / unit
        return jnp.where(high_only, -_softplus_inverse(room), z)

    # Inside, but so close to the bound that a minimum there is reached within rounding.
    inner = jnp.clip(start, lower + 1e-9 * unit, upper - 1e-9 * unit)

    def point(z: Array) -> Array:
        return jnp.where(moving, to_bounded(z), start)

    def objective(z: Array) -> Array:
        return function(point(z))

    z = from_bounded(inner)
    if rough_steps:
        z = _adam(objective, z, rough_steps)
    z, value, gradient, steps = _lbfgs(objective, z, tolerance, max_steps)
    size = jnp.sum(gradient**2)
    outcome = jnp.where(
        # Where differences drown in rounding, a small gradient is as good as it gets.
        (size < tolerance) | ((steps < max_steps) & (size < 1e-6)),
        CONVERGED,
        jnp.where(steps >= max_steps, EXHAUSTED, STALLED),
    )
    outcome = jnp.where(jnp.isfinite(value), outcome, NOT_FINITE)
    return Minimum(point(z), value, 0.5 * size, steps, outcome)


def _softplus_inverse(y: Array) -> Array:
    return jnp.where(y > 30, y, jnp.log(jnp.expm1(jnp.minimum(y, 30.0))))


def _adam(objective: Callable[[Array], Array], z: Array, steps: int) -> Array:
    optimiser = optax.adam(optax.cosine_decay_schedule(0.1, steps))

    def step(carry: tuple[Array, optax.OptState], _: None) -> tuple[tuple, None]:
        z, state = carry
        gradient = jnp.nan_to_num(jax.grad(objective)(z))
        update, state = optimiser.update(gradient, state, z)
        return (optax.apply_updates(z, update), state), None

    (z, _), _ = jax.lax.scan(step, (z, optimiser.init(z)), None, length=steps)
    return z


def _lbfgs(
    objective: Callable[[Array], Array], z: Array, tolerance: float, max_steps: int
) -> tuple[Array, Array, Array, Array]:
    optimiser = optax.lbfgs(memory_size=20)
    evaluate = optax.value_and_grad_from_state(objective)

    def step(carry: tuple) -> tuple:
        z, state, steps, _, stuck = carry
        value, gradient = evaluate(z, state=state)
        update, state = optimiser.update(
            gradient, state, z, value=value, grad=gradient, value_fn=objective
        )
        new = optax.apply_updates(z, update)
        new_value = optax.tree.get(state, "value")
        # Two steps in a row that gain nothing beyond rounding: as far as it goes.
        idle = value - new_value <= 1e-14 * jnp.abs(value)
        return new, state, steps + 1, optax.tree.get(state, "grad"), jnp.where(idle, stuck + 1, 0)

    def going(carry: tuple) -> Array:
        _, _, steps, gradient, stuck = carry
        return (steps < max_steps) & (jnp.sum(gradient**2) > tolerance) & (stuck < 2)

    value, gradient = jax.value_and_grad(objective)(z)
    zero = jnp.zeros((), int)
    z, _, steps, _, _ = jax.lax.while_loop(
        going, step, (z, optimiser.init(z), zero, gradient, zero)
    )
    value, gradient = jax.value_and_grad(objective)(z)
    return z, value, gradient, steps
