"""Products of many factors, and of all factors but one, in a number of operations that grows with
the logarithm of how many there are: programs are compiled operation by operation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def product(factors: Array) -> Array:
    """Return the product of factors (k, ...) over the first axis, 1 of none, (...)."""
    if not len(factors):
        return jnp.ones(factors.shape[1:])
    while len(factors) > 1:
        half = len(factors) // 2
        pairs = factors[:half] * factors[half : 2 * half]
        factors = jnp.concatenate([pairs, factors[2 * half :]]) if len(factors) % 2 else pairs
    return factors[0]


def products_of_others(factors: Array) -> Array:
    """Return, of factors (k, ...), the product of all but each one, (k, ...).

    Without division, so that factors may vanish.
    """
    n = len(factors)
    if n < 2:
        return jnp.ones(factors.shape)
    half = n // 2
    first, second, odd = factors[:half], factors[half : 2 * half], factors[2 * half :]
    of_pairs = products_of_others(jnp.concatenate([first * second, odd]))
    pairs, odd = of_pairs[:half], of_pairs[half:]
    return jnp.concatenate([pairs * second, pairs * first, odd])
