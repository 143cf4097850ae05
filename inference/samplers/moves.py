"""Moves of a population: compiled functions of all of its points.

`population` says what they are for, and which coordinates they are in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp

from bknn.inference.samplers.shears import Shear, Terms, bent, flat
from bknn.inference.samplers.whitening import Frame, LogWeight

#: Moves of all points in a block.
BLOCK = 5

#: Parts of the moves: along differences, of nuisances, to the neighbourhood of another point.
KINDS = (0.35, 0.35, 0.3)

#: Trajectories of nuisances in a block; steps of one at least, and fewer than.
TRAJECTORIES = 2
LEAPS = 5, 11

#: Stands in for -infinity.
NEVER = -1e30


class _Places(NamedTuple):
    """Points as y, whitened directions of the nuisances t, and what is beside these."""

    y: Array
    t: Array
    beside: Array

    @property
    def square(self) -> Array:
        return jnp.sum(self.t**2, axis=1) + jnp.sum(self.beside**2, axis=1)


def programs(
    log_weight: LogWeight, own: np.ndarray, terms: Terms
) -> tuple[Callable[..., Any], ...]:
    """Return what a population needs of l(w, frame), to be compiled.

    Args:
        log_weight: l(w, frame), in two stages if it has them.
        own: entries of w that are the model's own parameters (k,).
        terms: of the shears' polynomials.

    Returns:
        evaluate: (w (points, n), frame) -> l (points,).
        move: (key, w, l, shear, (beta, log step, share, log length), frame) -> w, l after a block
            of moves, and the probabilities of acceptance of the three kinds, and of trajectories
            (4,).
        compare: (key, w, shear, frame) -> new places (points, n), and the logarithm of the ratio of
            N(w; 0, 1) to the density from which they are drawn, at w and there (points,).
    """
    k, function, stages = len(own), log_weight.function, log_weight.stages

    def of_half(w: Array, frame: Frame) -> Array:
        value = jax.vmap(lambda w: function(w, frame))(w)
        return jnp.where(jnp.isfinite(value), value, NEVER)

    def evaluate(w: Array, frame: Frame) -> Array:
        halves = w.reshape(2, -1, w.shape[1])
        return jax.lax.map(lambda half: of_half(half, frame), halves).reshape(-1)

    def apart(w: Array, shear: Shear, basis: Array) -> _Places:
        inverse = solve_triangular(shear.root, jnp.eye(len(shear.root)), lower=True)

        def one(w: Array) -> _Places:
            u = basis.T @ w
            beside = (w - basis @ u).at[own].set(0.0)
            return _Places(flat(w[own], u, shear, terms), inverse @ (u - shear.centre), beside)

        return jax.vmap(one)(w)

    def joined(p: _Places, shear: Shear, basis: Array) -> Array:
        def one(p: _Places) -> Array:
            u = shear.centre + shear.root @ p.t
            return (p.beside + basis @ u).at[own].set(bent(p.y, u, shear, terms))

        return jax.vmap(one)(p)

    def new_nuisances(key: Array, shape: tuple[int, ...], f: Frame) -> tuple[Array, Array]:
        """Directions that are known, whitened, and what is beside them."""
        basis, known = jnp.asarray(f.basis), jnp.asarray(f.shrink) < 1
        first, second = jax.random.split(key)
        noise = jax.random.normal(first, shape)
        noise = (noise - (noise @ basis) @ basis.T).at[:, own].set(0.0)
        return jax.random.normal(second, (shape[0], len(known))) * known[None], noise

    def along(key: Array, y: Array, others: Array, log_step: Array) -> Array:
        """Steps along the differences of two others, in all parameters or in some of them."""
        keys, n = jax.random.split(key, 5), len(y)
        i = jax.random.randint(keys[0], (n,), 0, len(others))
        j = (i + jax.random.randint(keys[1], (n,), 1, len(others))) % len(others)
        part = jax.random.choice(keys[2], jnp.array([0.3, 1.0]), (n, 1))
        moved = jax.random.uniform(keys[3], (n, k)) < part
        dimension = jnp.maximum(jnp.sum(moved, axis=1, keepdims=True), 1)
        jitter = jax.random.uniform(keys[4], (n, 1), minval=0.5, maxval=1.2)
        step = jnp.exp(log_step) * 2.38 / jnp.sqrt(2.0 * dimension) * jitter
        return y + step * (others[i] - others[j]) * moved

    def beside_others(
        key: Array, y: Array, others: Array, shear: Shear
    ) -> tuple[Array, Callable[[Array], Array]]:
        """Places near others, and the logarithm of their density, times (2 pi)^(k/2)."""
        width = 0.9 * len(others) ** (-1 / (k + 4))
        first, second = jax.random.split(key)
        chosen = others[jax.random.randint(first, (len(y),), 0, len(others))]
        new = chosen + width * jax.random.normal(second, y.shape) @ shear.spread.T

        def white(y: Array) -> Array:
            return solve_triangular(shear.spread, y.T, lower=True).T / width

        norm = k * jnp.log(width) + _log_determinant(shear.spread) + jnp.log(len(others))

        def log_density(y: Array) -> Array:
            away = jnp.sum((white(y)[:, None] - white(others)[None]) ** 2, axis=-1)
            return logsumexp(-0.5 * away, axis=1) - norm

        return new, log_density

    def half(
        key: Array, w: Array, log_weight: Array, other: Array, shear: Shear, scales: Array, f: Frame
    ) -> tuple[Array, Array, Array]:
        beta, log_step, share, _ = scales
        keys, basis = jax.random.split(key, 6), jnp.asarray(f.basis)
        here, there = apart(w, shear, basis), apart(other, shear, basis)
        kind = jax.random.choice(keys[0], 3, (len(w), 1), p=jnp.array(KINDS))
        near, log_density = beside_others(keys[1], here.y, there.y, shear)
        y = jnp.where(kind == 0, along(keys[2], here.y, there.y, log_step), here.y)
        y = jnp.where(kind == 2, near, y)
        uneven = jnp.where(kind[:, 0] == 2, log_density(here.y) - log_density(y), 0.0)
        new = share * jax.random.uniform(keys[3], (len(w), 1), minval=0.3, maxval=1.3)
        new = jnp.where(kind == 1, jnp.minimum(new, 1.0), 0.0)
        t, beside = new_nuisances(keys[4], w.shape, f)
        old = jnp.sqrt(1 - new**2)
        proposed = _Places(y, old * here.t + new * t, old * here.beside + new * beside)
        to = joined(proposed, shear, basis)
        value = of_half(to, f)
        gain = beta * (value - log_weight) + uneven
        gain = gain - 0.5 * (jnp.sum(to**2, axis=1) - proposed.square)
        gain = gain + 0.5 * (jnp.sum(w**2, axis=1) - here.square)
        chance = jnp.exp(jnp.minimum(gain, 0.0))
        taken = jax.random.uniform(keys[5], chance.shape) < chance
        of_kind = kind == jnp.arange(3)[None]
        rates = jnp.sum(of_kind * chance[:, None], axis=0) / jnp.maximum(of_kind.sum(axis=0), 1)
        return jnp.where(taken[:, None], to, w), jnp.where(taken, value, log_weight), rates

    def shaken(
        key: Array, w: Array, log_weight: Array, scales: Array, f: Frame
    ) -> tuple[Array, Array, Array]:
        """Nuisances of the measurements by Hamiltonian Monte Carlo, at one signal of each point."""
        if stages is None:
            return w, log_weight, jnp.ones(())
        beta, *_, log_length = scales
        keys, basis, shrink = jax.random.split(key, 5), jnp.asarray(f.basis), jnp.asarray(f.shrink)
        # Masses are what the data know of z, 1 + V s^2 V^T.
        rows = basis[stages.fast] * jnp.sqrt(beta * (1 / shrink**2 - 1))[None]
        inner = rows @ jnp.linalg.inv(jnp.eye(rows.shape[1]) + rows.T @ rows)

        def moved(d: Array, w: Array) -> Array:
            z = jnp.zeros_like(w).at[stages.fast].set(d)
            return w + z + basis @ ((1 / shrink - 1) * (basis.T @ z))

        def energy(d: Array, w: Array, held: Any) -> tuple[Array, Array]:
            w = moved(d, w)
            value = stages.then(w, held, f)
            value = jnp.where(jnp.isfinite(value), value, NEVER)
            return 0.5 * jnp.sum(w**2) - beta * value, value

        slopes = jax.vmap(jax.value_and_grad(energy, has_aux=True))
        held = jax.vmap(lambda w: stages.first(w, f))(w)
        p = jax.random.normal(keys[0], (len(w), len(stages.fast)))
        p = p + jax.random.normal(keys[1], (len(w), rows.shape[1])) @ rows.T
        jitter = jax.random.uniform(keys[2], (len(w), 1), minval=0.6, maxval=1.3)
        step = jnp.exp(log_length) * jitter

        def velocity(p: Array) -> Array:
            return p - (p @ rows) @ inner.T

        def leap(_: Array, carry: Any) -> Any:
            d, p, _, g = carry
            p = p - 0.5 * step * g
            d = d + step * velocity(p)
            found, g = slopes(d, w, held)
            g = jnp.nan_to_num(g)
            return d, p - 0.5 * step * g, found, g

        # Not a constant, which would be folded through the whole density.
        d = 0.0 * p
        found, g = slopes(d, w, held)
        before = found[0] + 0.5 * jnp.sum(p * velocity(p), axis=1)
        n = jax.random.randint(keys[3], (), *LEAPS)
        d, p, found, _ = jax.lax.fori_loop(0, n, leap, (d, p, found, jnp.nan_to_num(g)))
        change = found[0] + 0.5 * jnp.sum(p * velocity(p), axis=1) - before
        chance = jnp.exp(-jnp.maximum(jnp.where(jnp.isfinite(change), change, jnp.inf), 0.0))
        taken = jax.random.uniform(keys[4], chance.shape) < chance
        to = jax.vmap(moved)(d, w)
        w = jnp.where(taken[:, None], to, w)
        return w, jnp.where(taken, found[1], log_weight), jnp.mean(chance)

    def compare(key: Array, w: Array, shear: Shear, f: Frame) -> tuple[Array, Array, Array]:
        basis = jnp.asarray(f.basis)

        def of_one(key: Array, one: Array, other: Array) -> tuple[Array, Array, Array]:
            first, second = jax.random.split(key)
            here, there = apart(one, shear, basis), apart(other, shear, basis)
            y, log_density = beside_others(first, here.y, there.y, shear)
            new = _Places(y, *new_nuisances(second, one.shape, f))
            to = joined(new, shear, basis)

            def ratio(p: _Places, w: Array) -> Array:
                logs = log_density(p.y) - 0.5 * p.square - _log_determinant(shear.root)
                return -0.5 * jnp.sum(w**2, axis=1) - logs

            return to, ratio(here, one), ratio(new, to)

        halves = jnp.stack([w[0::2], w[1::2]])
        found = jax.vmap(of_one)(jax.random.split(key), halves, halves[::-1])
        to, here, there = (x.swapaxes(0, 1).reshape(-1, *x.shape[2:]) for x in found)
        return to, here, there

    def move(
        key: Array, w: Array, log_weight: Array, shear: Shear, scales: Array, frame: Frame
    ) -> tuple[Array, Array, Array]:
        def step(carry: Any, key: Array) -> tuple[Any, Array]:
            a, la, b, lb = carry
            a, la, rates = half(key, a, la, b, shear, scales, frame)
            return (b, lb, a, la), rates

        # Every second point, so that those of one ancestor are shared among the halves.
        begin = w[0::2], log_weight[0::2], w[1::2], log_weight[1::2]
        (a, la, b, lb), rates = jax.lax.scan(step, begin, jax.random.split(key, 2 * BLOCK))
        w = jnp.stack([a, b], axis=1).reshape(w.shape)
        log_weight = jnp.stack([la, lb], axis=1).reshape(-1)

        def shake(carry: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], Array]:
            w, log_weight, accepted = shaken(key, *carry, scales, frame)
            return (w, log_weight), accepted

        keys = jax.random.split(jax.random.fold_in(key, 1), TRAJECTORIES)
        (w, log_weight), accepted = jax.lax.scan(shake, (w, log_weight), keys)
        return w, log_weight, jnp.append(jnp.mean(rates, axis=0), jnp.mean(accepted))

    return evaluate, move, compare


def _log_determinant(root: Array) -> Array:
    """Of a triangular matrix."""
    return jnp.sum(jnp.log(jnp.diagonal(root)))
