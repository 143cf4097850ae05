"""Moves of a population: where half of its points may go, as the other half is.

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
from bknn.inference.samplers.whitening import Frame

#: Parts of the moves: along differences, of nuisances, to the neighbourhood of another point.
KINDS = (0.3, 0.3, 0.4)

#: Part of the last ones that go to a place drawn from the prior.
FROM_PRIOR = 0.2


class Proposed(NamedTuple):
    """Places that points may go to.

    Attributes:
        to: (points, n).
        log_ratio: of the probabilities of going back and going there, with what N(w; 0, 1) adds to
            the target (points,).
        kind: of the move (points,).
    """

    to: Any
    log_ratio: Any
    kind: Any


class _Places(NamedTuple):
    """Points as y, whitened directions of the nuisances t, and what is beside these."""

    y: Array
    t: Array
    beside: Array

    @property
    def square(self) -> Array:
        return jnp.sum(self.t**2, axis=1) + jnp.sum(self.beside**2, axis=1)


def proposals(
    own: np.ndarray, terms: Terms
) -> tuple[Callable[..., Proposed], Callable[..., tuple[Array, Array, Array]]]:
    """Return what proposes moves, and what compares densities, to be compiled.

    Args:
        own: entries of w that are the model's own parameters (k,).
        terms: of the shears' polynomials.

    Returns:
        propose: (key, w, w of the other half (points, n), shear, (log step, share), frame) ->
            `Proposed`.
        compare: (key, w, w of the other half, shear, frame) -> new places, independent of w, and
            the logarithm of the ratio of N(w; 0, 1) to the density from which they are drawn, at w
            and there (points,).
    """
    k = len(own)

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

    def flattened(w: Array, t: Array, shear: Shear) -> Array:
        """Flat coordinates of own parameters w (points, k), at directions of nuisances t."""
        return jax.vmap(lambda w, t: flat(w, shear.centre + shear.root @ t, shear, terms))(w, t)

    def anywhere(
        key: Array, t: Array, others: Array, shear: Shear
    ) -> tuple[Array, Callable[[Array, Array], Array]]:
        """Places near others, and some drawn from the prior; and the logarithm of their density in
        y, of which w are the own parameters, times (2 pi)^(k/2)."""
        width = 0.9 * len(others) ** (-1 / (k + 4))
        keys, n = jax.random.split(key, 4), len(t)
        chosen = others[jax.random.randint(keys[0], (n,), 0, len(others))]
        near = chosen + width * jax.random.normal(keys[1], chosen.shape) @ shear.spread.T
        far = flattened(jax.random.normal(keys[2], chosen.shape), t, shear)
        new = jnp.where(jax.random.uniform(keys[3], (n, 1)) < FROM_PRIOR, far, near)

        def white(y: Array) -> Array:
            return solve_triangular(shear.spread, y.T, lower=True).T / width

        norm = k * jnp.log(width) + _log_determinant(shear.spread) + jnp.log(len(others))

        def log_density(y: Array, w: Array) -> Array:
            away = jnp.sum((white(y)[:, None] - white(others)[None]) ** 2, axis=-1)
            near = logsumexp(-0.5 * away, axis=1) - norm + jnp.log(1 - FROM_PRIOR)
            return jnp.logaddexp(near, jnp.log(FROM_PRIOR) - 0.5 * jnp.sum(w**2, axis=1))

        return new, log_density

    def propose(
        key: Array, w: Array, other: Array, shear: Shear, scales: Array, f: Frame
    ) -> Proposed:
        log_step, share = scales
        keys, basis = jax.random.split(key, 5), jnp.asarray(f.basis)
        here, there = apart(w, shear, basis), apart(other, shear, basis)
        kind = jax.random.choice(keys[0], 3, (len(w), 1), p=jnp.array(KINDS))
        new_y, log_density = anywhere(keys[1], here.t, there.y, shear)
        y = jnp.where(kind == 0, along(keys[2], here.y, there.y, log_step), here.y)
        y = jnp.where(kind == 2, new_y, y)
        new = share * jax.random.uniform(keys[3], (len(w), 1), minval=0.3, maxval=1.3)
        new = jnp.where(kind == 1, jnp.minimum(new, 1.0), 0.0)
        t, beside = new_nuisances(keys[4], w.shape, f)
        old = jnp.sqrt(1 - new**2)
        proposed = _Places(y, old * here.t + new * t, old * here.beside + new * beside)
        to = joined(proposed, shear, basis)
        uneven = log_density(here.y, w[:, own]) - log_density(y, to[:, own])
        uneven = jnp.where(kind[:, 0] == 2, uneven, 0.0)
        gain = 0.5 * (jnp.sum(w**2, axis=1) - here.square)
        gain = gain - 0.5 * (jnp.sum(to**2, axis=1) - proposed.square)
        return Proposed(to, uneven + gain, kind[:, 0])

    def compare(
        key: Array, w: Array, other: Array, shear: Shear, f: Frame
    ) -> tuple[Array, Array, Array]:
        first, second = jax.random.split(key)
        basis = jnp.asarray(f.basis)
        here, there = apart(w, shear, basis), apart(other, shear, basis)
        t, beside = new_nuisances(second, w.shape, f)
        y, log_density = anywhere(first, t, there.y, shear)
        new = _Places(y, t, beside)
        to = joined(new, shear, basis)

        def ratio(p: _Places, w: Array) -> Array:
            logs = log_density(p.y, w[:, own]) - 0.5 * p.square - _log_determinant(shear.root)
            return -0.5 * jnp.sum(w**2, axis=1) - logs

        return to, ratio(here, w), ratio(new, to)

    return propose, compare


def _log_determinant(root: Array) -> Array:
    """Of a triangular matrix."""
    return jnp.sum(jnp.log(jnp.diagonal(root)))
