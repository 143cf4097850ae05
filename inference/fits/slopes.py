"""How the expected counts move with some of the parameters."""

from __future__ import annotations

import jax
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis


def slopes(analysis: Analysis, vector: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the derivatives of the rates by entries of a vector (size,), (bins, entries)."""
    cache = analysis.__dict__.setdefault("_rate_slopes", {})
    if "run" not in cache:

        def run(vector: Array, index: Array) -> Array:
            return jax.jacfwd(lambda x: analysis.rates(vector.at[index].set(x)))(vector[index])

        cache["run"] = jax.jit(run)
    if not len(index):
        return np.zeros((analysis.n_bins, 0))
    return np.array(cache["run"](np.asarray(vector, float), np.asarray(index, int)))
