"""Data sets: thrown, as expected, and fitted as well as can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import numpy as np
from jax import Array
from scipy.special import gammaln, xlogy

from bknn import errors
from bknn.analysis.analysis import Analysis, Data, Parameters
from bknn.analysis.log_density import LogDensity
from bknn.inference.slopes import rates_of_many
from bknn.likelihood.data_distribution import poisson

#: Points of the parameters whose expectations are computed together.
_TOGETHER = 256


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
        Data with counts and other results (n, bins), and auxiliary data (n, .), as of
        `analysis.data`.

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
    density = analysis.density
    program = analysis.programs.get("toys", None, lambda: _thrower(density))
    thrown = program(seed, np.arange(first, first + n), vector)
    return Data(*(np.asarray(x) for x in thrown))


def _thrower(density: LogDensity) -> Callable[..., Data]:
    def one(key: Array, rates: Array, vector: Array) -> Data:
        of_counts, of_normal, of_poisson = jax.random.split(key, 3)
        index, _, sigma = density.normal
        normal = vector[index] + sigma * jax.random.normal(of_normal, (len(index),))
        index, _, factor = density.poisson
        return Data(
            density.data_distribution.throw(of_counts, rates),
            normal,
            poisson(of_poisson, vector[index] * factor),
        )

    def run(seed: Array, numbers: Array, vector: Array) -> Data:
        rates = density.data_distribution.possible(density.rates(vector))
        keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(numbers)
        return jax.vmap(one, in_axes=(0, None, None))(keys, rates, vector)

    return run


def asimov(analysis: Analysis, params: Parameters) -> Data:
    """Return the data set in which everything came out as expected (arXiv:1007.1727, section 3.2).

    Args:
        analysis: what is measured.
        params: {name: value} or the flat vector (size,): the truth; vectors (n, size) give n data
            sets.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import inference, models
    >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    >>> data = inference.asimov(analysis, {**analysis.init, "mu": 2.0})
    >>> round(float(inference.fit(analysis, data=data).params["mu"]), 6)
    2.0
    """
    vectors = np.asarray(analysis.flatten(params) if isinstance(params, Mapping) else params, float)
    many = vectors.ndim == 2
    vectors = vectors if many else np.asarray(analysis.flatten(vectors))[None]
    rates = np.asarray(analysis.data_distribution.possible(rates_of_many(analysis)(vectors)))
    of_poisson, _, factor = analysis.poisson
    data = Data(rates, vectors[:, analysis.normal[0]], vectors[:, of_poisson] * factor)
    return data if many else taken(data, 0)


def expected_rates(analysis: Analysis, vectors: np.ndarray) -> np.ndarray:
    """Return the expected counts (n, bins) of flat vectors (n, size), none of them negative."""
    program, found = rates_of_many(analysis), []
    for start in range(0, len(vectors), _TOGETHER):
        chunk = np.asarray(vectors[start : start + _TOGETHER], float)
        # One size, one program.
        filled = np.concatenate([chunk, np.repeat(chunk[-1:], _TOGETHER - len(chunk), axis=0)])
        found.append(np.asarray(program(filled))[: len(chunk)])
    return np.asarray(analysis.data_distribution.possible(np.concatenate(found)))


def saturated(
    analysis: Analysis,
    data: Data,
    *,
    vector: np.ndarray | None = None,
    moving: np.ndarray | None = None,
) -> np.ndarray:
    """Return -2 log L_sat of data sets: every count as expected, every constraint at its centre.

    No parameters make the data more probable, so -2 log L minus this measures how well they fit
    (Baker and Cousins, Nucl. Instrum. Meth. 221 (1984) 437). Constraints of what does not move stay
    as they are: they say nothing about the fit.

    Args:
        analysis: what is measured.
        data: one data set, or n of them with a leading axis.
        vector: where what does not move stands (size,); at the start by default.
        moving: what floats (size,); all that the workspace does not fix by default.

    Returns:
        -2 log L_sat, () or (n,).
    """
    vector = analysis.init_vector if vector is None else np.asarray(vector)
    moving = ~analysis.fixed if moving is None else np.asarray(moving)
    counts = np.asarray(data.poisson, float)
    index, _, factor = analysis.poisson
    rates = np.where(moving[index], counts, vector[index] * factor)
    result = np.sum(xlogy(counts, rates) - rates - gammaln(counts + 1), axis=-1)
    result = result + analysis.data_distribution.saturated(data.counts)
    index, _, sigma = analysis.normal
    pulls = np.where(moving[index], 0.0, (np.asarray(data.normal) - vector[index]) / sigma)
    return -2 * (result - np.sum(np.log(np.sqrt(2 * np.pi) * sigma) + pulls**2 / 2, axis=-1))


def translated(data: Data, analysis: Analysis, other: Analysis) -> Data:
    """Return data sets of an analysis, (n,) or (sets, n) each, as those of another one of the same
    measurements, whose nuisances may be others.

    Auxiliary data that the first does not have (form factors of a template that it does not use)
    are as observed.
    """
    fields = [np.asarray(data.counts, float)]
    for kind in ("normal", "poisson"):
        given = np.asarray(getattr(data, kind), float)
        index, _, _ = getattr(analysis, kind)
        column = {analysis.names[p]: i for i, p in enumerate(index)}
        wanted, centres, _ = getattr(other, kind)
        result = np.tile(centres, (*given.shape[:-1], 1)) if given.ndim > 1 else centres.copy()
        for j, p in enumerate(wanted):
            if other.names[p] in column:
                result[..., j] = given[..., column[other.names[p]]]
        fields.append(result)
    return Data(*fields)


def rows_of(data: Data, n: int) -> Data:
    """Return one data set as n equal ones."""
    return Data(*(np.tile(x, (n, 1)) for x in data))


def stacked(*parts: Data) -> Data:
    """Return batches of data sets as one batch."""
    return Data(*(np.concatenate(x) for x in zip(*parts, strict=True)))


def taken(data: Data, which: np.ndarray | slice | int) -> Data:
    """Return some of a batch of data sets, or one."""
    return Data(*(np.asarray(x)[which] for x in data))
