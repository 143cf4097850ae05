"""A prior of one's own as a table of its density: what a file keeps of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.priors.distributions import between, describe, log_density, quantile, support_bounds

#: Probabilities at whose quantiles a density is tabulated, closer together in the tails.
_TAIL = np.geomspace(1e-9, 2e-3, 100)
_AT = np.concatenate([_TAIL, np.linspace(2.5e-3, 0.9975, 400), 1 - _TAIL[::-1]])


class Tabulated(dist.Distribution):
    """A distribution of one number, whose log density is interpolated in a table.

    Args:
        text: what it is, in words.
        low, high: where it ends; they may be infinite.
        x, log_density: the table, (n,) each, in increasing order of x; if it is empty, the density
            is NaN.
    """

    def __init__(
        self, text: str, low: float, high: float, x: Sequence[float], log_density: Sequence[float]
    ) -> None:
        self.text, self.low, self.high = text, low, high
        self.x, self.log_density = np.asarray(x), np.asarray(log_density)
        super().__init__()

    @classmethod
    def of(cls, distribution: dist.Distribution) -> Tabulated:
        """Return the table of a distribution; of a table itself.

        >>> found = Tabulated.of(dist.Exponential(2.0))
        >>> bool(abs(found.log_prob(0.7) - dist.Exponential(2.0).log_prob(0.7)) < 1e-6)
        True
        """
        if isinstance(distribution, cls):
            return distribution
        low, high = support_bounds(distribution)
        try:
            x = np.unique(np.asarray(quantile(distribution, _AT), float))
        except (ImportError, errors.ParameterError):  # nobody knows its quantiles
            finite = math.isfinite(low) and math.isfinite(high)
            x = np.linspace(low, high, 2 * len(_AT)) if finite else np.zeros(0)
        height = np.asarray(log_density(distribution, x), float)
        there = np.isfinite(x) & np.isfinite(height)
        return cls(describe(distribution), low, high, x[there].tolist(), height[there].tolist())

    @property
    def support(self) -> Any:
        return between(self.low, self.high)

    def log_prob(self, value: ArrayLike) -> Array:
        if not self.x.size:
            return jnp.full(jnp.shape(value), jnp.nan)
        return jnp.interp(jnp.asarray(value), self.x, self.log_density)
