"""Parameters over decades: fits go in their logarithms.

Where a rate is a product of powers of parameters, as of a coupling and a mass, what data leave free
is a valley that is straight in the logarithms and bent otherwise; steps along it are long or short.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.inference.minimiser.tangent import Local
from bknn.parameters import Parameter

#: Below this part of its start a parameter that may vanish is at its lower bound.
_NOTHING = 1e-9

#: Curvature in a logarithm that steps take for granted: as of data that know a parameter to a few
#: powers of e.
DAMPING = 1e-3


class Logarithms:
    """Which parameters of a model enter by their logarithms, and how.

    Attributes:
        which: (n,) of bool.

    >>> names = Parameter("g", 1e-3, (0.0, 1.0), logarithmic=True), Parameter("m", 2.0)
    >>> both = Logarithms(names)
    >>> [round(float(x), 4) for x in both.coded(np.array([1e-3, 2.0]))]
    [-6.9078, 2.0]
    >>> [round(float(x), 4) for x in both.plain(both.coded(np.array([0.0, 2.0])))]
    [0.0, 2.0]
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = tuple(parameters)
        self.which = np.array([p.logarithmic for p in parameters], bool)
        least = [max(p.bounds[0], _NOTHING * p.init) if p.logarithmic else 1.0 for p in parameters]
        self._least = np.log(least)
        self._lower = np.array([p.bounds[0] if p.logarithmic else 0.0 for p in parameters])

    @cached_property
    def units(self) -> np.ndarray:
        """Curvature of one unit of each coordinate (n,): of a power of e, or of the start or the
        bound that says how large a parameter is."""
        sizes = [abs(p.init) or max(map(abs, p.bounds)) for p in self._parameters]
        sizes = [x if 1e-100 < x < np.inf else 1.0 for x in sizes]
        return np.where(self.which, 1.0, np.array(sizes) ** -2.0)

    def __bool__(self) -> bool:
        return bool(self.which.any())

    def coded(self, values: np.ndarray) -> np.ndarray:
        """Return coordinates (..., n) of values (..., n) of the parameters, or of their bounds."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.maximum(np.log(values), self._least)
        return np.where(self.which, logs, values)

    def plain(self, coordinates: Any) -> Any:
        """Return values (..., n) of the parameters at coordinates (..., n)."""
        numpy: Any = np if isinstance(coordinates, np.ndarray) else jnp
        logs = numpy.where(self.which, coordinates, 0.0)
        values = numpy.where(logs <= self._least, self._lower, numpy.exp(logs))
        return numpy.where(self.which, values, coordinates)

    def slopes(self, coordinates: Any) -> Any:
        """Return the derivatives (..., n) of the values with respect to the coordinates."""
        numpy: Any = np if isinstance(coordinates, np.ndarray) else jnp
        logs = numpy.where(self.which, coordinates, 0.0)
        slopes = numpy.where(logs <= self._least, 0.0, numpy.exp(logs))
        return numpy.where(self.which, slopes, 1.0)

    def seen(self, signal: Local, coordinates: Array) -> Local:
        """Return what a signal is at values of the parameters as a function of the coordinates (n,)
        there."""
        if not self:
            return signal
        n = len(self.which)
        return signal._replace(
            physics=signal.physics.at[:n].set(coordinates),
            slope=signal.slope.at[:, :n].multiply(self.slopes(coordinates)),
        )
