"""The results of measurements that are not counts, inside an analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors, prediction
from bknn.data import Measurement
from bknn.spectrum import Spectrum


class Results:
    """The results of all measurements of an analysis, uncorrelated: correlated ones are turned by
    the inverse of the Cholesky factor of their covariance, which makes their widths 1.

    Attributes:
        names: one a result, or "measurement[i]" of those that are turned.
        channels: decay channels that they depend on.
        observed: (m,), after turning.
        below, above: widths (m,), after turning.
    """

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._parts = tuple(result for m in measurements for result in m.results)
        self.channels = tuple(dict.fromkeys(c for r in self._parts for c in r.channels))
        self.observed = np.array([r.value for r in self._parts], float)
        self.below = np.array([r.below for r in self._parts], float)
        self.above = np.array([r.above for r in self._parts], float)
        names = [r.name for r in self._parts]
        turn = np.eye(len(names))
        first = 0
        for m in measurements:
            first += len(m.results)
            if m.correlation is not None and _correlated(m).size:
                which = first - len(m.results) + _correlated(m)
                turn[np.ix_(which, which)] = _turn(m)
                self.below[which] = self.above[which] = 1.0
                for i in which:
                    names[i] = f"{m.name}[{i - first + len(m.results)}]"
        self.observed = turn @ self.observed
        self.names = tuple(names)
        self._turn = None if np.array_equal(turn, np.eye(len(names))) else turn

    def __len__(self) -> int:
        return len(self._parts)

    def uses(
        self, model: Any, *, held: bool = False
    ) -> list[tuple[str, Callable[[Spectrum], Array]]]:
        """Return what is made of the spectra: one decay and one function of its spectrum for each
        branching fraction, in the order of the results. `held` as for `Continuum.as_shapes`."""
        return [
            (
                channel,
                partial(
                    prediction.branching_ratio,
                    model,
                    channel,
                    q2=result.q2,
                    resolution=result.resolution,
                    held=held,
                ),
            )
            for result in self._parts
            if result.observable == "branching_ratio"
            for channel in result.channels
        ]

    def expected(
        self, model: Any, params: Mapping[str, ArrayLike], branching_ratios: Sequence[Array]
    ) -> Array:
        """Return what a model expects (m,), a pure function of all its parameters.

        Args:
            model: that predicts.
            params: {name: value}.
            branching_ratios: what `uses` returned of its spectra.
        """
        found, known = [], iter(branching_ratios)
        for result in self._parts:
            values = [
                weight
                * (
                    next(known)
                    if result.observable == "branching_ratio"
                    else prediction.value(
                        model,
                        result.observable,
                        channel,
                        params,
                        result.q2,
                        resolution=result.resolution,
                    )
                )
                for channel, weight in result.channels.items()
            ]
            found.append(sum(values[1:], values[0]))
        expected = jnp.stack(found)
        return expected if self._turn is None else jnp.asarray(self._turn) @ expected

    def check(self, model: Any) -> None:
        """Refuse results that a model says nothing about, or that nothing can predict.

        Raises:
            UnknownNameError, ParameterError: as for `bknn.predict`.
        """
        for result in self._parts:
            for channel in result.channels:
                if result.observable == "dbr_dq2":
                    raise errors.DataError(
                        f"result {result.name!r} is a 'dbr_dq2', a function of q2; give the "
                        "branching fraction of a bin instead."
                    )
                prediction.check(model, result.observable, channel, result.q2)


def _correlated(measurement: Measurement) -> np.ndarray:
    """Return which results of a measurement have a correlation with others."""
    n = len(measurement.results)
    correlation = np.asarray(measurement.correlation, float)
    if correlation.shape != (n, n):
        raise errors.DataError(
            f"the correlation of measurement {measurement.name!r} has shape {correlation.shape}, "
            f"but there are {n} results; give one row and one column a result."
        )
    return np.flatnonzero(np.any(correlation != np.eye(n), axis=1))


def _turn(measurement: Measurement) -> np.ndarray:
    """Return the inverse of the Cholesky factor of the covariance of its correlated results."""
    where = f"measurement {measurement.name!r}"
    which = _correlated(measurement)
    results = [measurement.results[i] for i in which]
    below = np.array([r.below for r in results])
    above = np.array([r.above for r in results])
    correlation = np.asarray(measurement.correlation, float)[np.ix_(which, which)]
    if not np.array_equal(below, above):
        raise errors.DataError(
            f"{where} has results with different widths below and above, and a correlation; what "
            "that means is not defined. Give symmetric uncertainties, or no correlation."
        )
    covariance = correlation * below[:, None] * below
    try:
        return np.linalg.inv(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(correlation)[0])
        raise errors.DataError(
            f"the correlation of {where} is no correlation: its least eigenvalue is {least:.3g}, "
            "not positive. Rounded published numbers do that; check them, or merge bins."
        ) from None
