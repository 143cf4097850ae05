"""The expected counts at points of the parameters, and how they move with them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis
from bknn.programs import Program


def rates(analysis: Analysis) -> Program:
    """Return the compiled expectations (bins,) at a flat vector (size,)."""
    density = analysis.density
    return analysis.programs.get("rates", None, lambda: density.rates, once=True)


def rates_of_many(analysis: Analysis) -> Program:
    """Return the compiled expectations (n, bins) at flat vectors (n, size)."""
    density = analysis.density
    return analysis.programs.get("rates of many", None, lambda: jax.vmap(density.rates))


def rates_and_slopes(analysis: Analysis, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the expectations (bins,) at a flat vector, and their gradients (bins, size)."""
    density = analysis.density
    make = lambda: density.derivatives  # noqa: E731
    program = analysis.programs.get("rates and slopes", None, make, once=True)
    found, shared, local = (np.asarray(x) for x in program(np.asarray(vector, float)))
    structure, result = analysis.structure, np.zeros((analysis.n_bins, analysis.size))
    np.add.at(result.T, structure.shared, shared.T)
    np.add.at(result, (structure.local_bin, structure.local), local)
    return found, result


def slopes(analysis: Analysis, vector: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the derivatives of the rates with respect to entries of a vector (size,),
    (bins, entries)."""
    density = analysis.density

    def make() -> Callable[..., Array]:
        def run(vector: Array, index: Array) -> Array:
            return jax.jacfwd(lambda x: density.rates(vector.at[index].set(x)))(vector[index])

        return run

    if not len(index):
        return np.zeros((analysis.n_bins, 0))
    program = analysis.programs.get("slopes of some", None, make)
    return np.array(program(np.asarray(vector, float), np.asarray(index, int)))
