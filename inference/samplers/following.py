"""Nuisances that follow the signal.

A signal that is half as large leaves its bins to backgrounds: nuisances of the measurements stand
elsewhere at each place of the model's own parameters, by many widths for no signal at all. What
moves the signal and leaves them where they are is refused, though both places may be likely. So
numbers u take the place of the whitened w (`whitening`):

    w = u + d(rest),

d being two Newton steps of these nuisances, from where N(w; 0, 1) has them given all the rest, to
where the posterior has them. As the rest alone decides d, volumes stay; at given u a move of the
signal takes its nuisances along, and what is left of the density,

    l'(u) = l(w) + u^2/2 - w^2/2,

hardly knows of them: close to the posterior of the own parameters, nuisances integrated out by
Laplace's method, but exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bknn.inference.samplers.whitening import Frame, LogWeight, Stages

#: Newton steps, and the widths that each of them goes at most.
_STEPS, _REACH = 2, 8.0


def follow(log_weight: LogWeight) -> Callable[[Array, Frame], tuple[Array, Array]]:
    """Return l' and w as a function of (u, frame).

    A density that has no stages stays as it is.
    """
    stages = log_weight.stages

    def following(u: Array, frame: Frame) -> tuple[Array, Array]:
        if stages is None:
            return log_weight(u, frame), u
        held = stages.first(u, frame)
        w = u + _away(stages, u, held, frame)
        value = stages.then(w, held, frame)
        return value + 0.5 * (jnp.sum(u**2) - jnp.sum(w**2)), w

    return following


def _away(stages: Stages, u: Array, held: Any, frame: Frame) -> Array:
    """Return how far nuisances go from u, at one signal."""
    basis, shrink = jnp.asarray(frame.basis), jnp.asarray(frame.shrink)
    # What the data know of z at the mode is 1 + V s^2 V^T: of the nuisances, given the rest.
    rows = basis[stages.fast] * jnp.sqrt(1 / shrink**2 - 1)[None]
    inner = rows @ jnp.linalg.inv(jnp.eye(rows.shape[1]) + rows.T @ rows)

    def solved(gradient: Array) -> Array:
        return gradient - inner @ (rows.T @ gradient)

    def away(d: Array) -> Array:
        z = jnp.zeros_like(u).at[stages.fast].set(d)
        return z + basis @ ((1 / shrink - 1) * (basis.T @ z))

    def prior(d: Array) -> Array:
        return 0.5 * jnp.sum((u + away(d)) ** 2)

    def energy(d: Array) -> Array:
        w = u + away(d)
        return 0.5 * jnp.sum(w**2) - stages.then(w, held, frame)

    # Not a constant, which would be folded through the whole density.
    none = 0.0 * u[stages.fast]
    begin = d = -solved(jax.grad(prior)(none))
    for _ in range(_STEPS):
        step = -solved(jnp.nan_to_num(jax.grad(energy)(d)))
        length = jnp.sqrt(jnp.sum(step**2) + jnp.sum((step @ rows) ** 2))
        d = d + step * _REACH / jnp.maximum(length, _REACH)
    return away(d - begin)
