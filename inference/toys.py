"""Toys: data as they could have come out, main counts and auxiliary data alike."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn import errors
from bknn.analysis import Analysis, Data, Parameters


def throw(analysis: Analysis, params: Parameters, n: int, *, seed: int = 0, first: int = 0) -> Data:
    """Return data sets thrown at a point of the parameters, nuisances included.

    Args:
        analysis: what is measured.
        params: {name: value} or the flat vector (size,): the truth.
        n: how many toys.
        seed: of the random numbers.
        first: number of the first toy. Toy i of a seed is the same on every machine and device, in
            whatever pieces the toys are thrown.

    Returns:
        Data with counts (n, bins) and auxiliary data (n, .) as of `analysis.data`.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import inference, models
    >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    >>> toys = inference.throw(analysis, analysis.init, 100, seed=1)
    >>> toys.counts.shape
    (100, 30)
    """
    if n < 1:
        raise errors.ParameterError(f"{n} toys were asked for; throw at least one.")
    vector = analysis.flatten(params)
    cache = analysis.__dict__.setdefault("_thrower", {})
    if "run" not in cache:

        def one(key: Array, rates: Array, vector: Array) -> Data:
            of_counts, of_normal, of_poisson = jax.random.split(key, 3)
            index, _, sigma = analysis.normal
            normal = vector[index] + sigma * jax.random.normal(of_normal, (len(index),))
            index, _, factor = analysis.poisson
            return Data(
                jax.random.poisson(of_counts, rates).astype(float),
                normal,
                jax.random.poisson(of_poisson, vector[index] * factor).astype(float),
            )

        def run(seed: Array, numbers: Array, vector: Array) -> Data:
            rates = jnp.maximum(analysis.rates(vector), 0.0)
            keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(numbers)
            return jax.vmap(one, in_axes=(0, None, None))(keys, rates, vector)

        cache["run"] = jax.jit(run)
    thrown = cache["run"](seed, np.arange(first, first + n), vector)
    return Data(*(np.asarray(x) for x in thrown))
