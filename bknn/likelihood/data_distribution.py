"""The probability distribution of the data, given their expectations: counts and other results.

Counts are Poisson. A result x is one half of each of two normal densities about its expectation m,

    log p(x | m) = -(x - m)^2 / (2 w^2) - log(sqrt(2 pi) (below + above) / 2),

with the width w = below for m < x and above for m > x, so that a published x -below +above has its
68% interval where it was published; with equal widths it is the normal density.

In all arrays of observed and expected numbers the counts come first.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import gammaln, xlogy

from bknn.likelihood.terms import poisson_norm, poisson_shape, wall

#: Counts beyond this are thrown as rounded normal numbers.
_MANY = 1e5


@dataclass(frozen=True, eq=False)
class DataDistribution:
    """The distribution of the observed numbers, given their expectations.

    Attributes:
        n_counts: how many of them are counts; they come first.
        below, above: widths of the others (m,), where the truth is below or above them.
    """

    n_counts: int
    below: np.ndarray
    above: np.ndarray

    @property
    def size(self) -> int:
        return self.n_counts + len(self.below)

    def shape(self, observed: Array | np.ndarray, expected: Array) -> Array:
        """Return the log likelihood but for terms without the expectations; both are (size,).

        Empty bins are followed to negative expectations, as pyhf does; `wall` is what forbids them.
        """
        n = self.n_counts
        if not self.below.size:
            return jnp.sum(poisson_shape(observed, expected))
        pulls = (expected[n:] - observed[n:]) / self._widths(observed, expected)
        return jnp.sum(poisson_shape(observed[:n], expected[:n])) - 0.5 * jnp.sum(pulls**2)

    def wall(self, observed: Array | np.ndarray, expected: Array) -> Array:
        """Return -inf where an empty bin has a negative expectation, 0 elsewhere; both (size,)."""
        n = self.n_counts
        if isinstance(observed, np.ndarray) and (observed[:n] != 0).all():
            return jnp.zeros(())
        return jnp.sum(wall(jnp.asarray(observed[:n], float), expected[:n]))

    def norm(self, observed: Array | np.ndarray) -> Array | np.ndarray | float:
        """Return the terms that `shape` leaves out, to be subtracted; observed (..., size)."""
        counts = poisson_norm(observed[..., : self.n_counts]).sum(axis=-1)
        return counts + self._norm_of_results

    @property
    def _norm_of_results(self) -> float:
        return float(np.sum(np.log(np.sqrt(np.pi / 2) * (self.below + self.above))))

    def slope(self, observed: Array | np.ndarray, expected: Array, least: float) -> Array:
        """Return the derivative of the log likelihood with respect to the expectations (size,).

        `least` stands in for smaller rates of counts, here and below.
        """
        n = self.n_counts
        counts = jnp.asarray(observed[:n] / jnp.maximum(expected[:n], least) - 1.0)
        if not self.below.size:
            return counts
        results = (observed[n:] - expected[n:]) / self._widths(observed, expected) ** 2
        return jnp.concatenate([counts, results])

    def information(self, observed: Array | np.ndarray, expected: Array, least: float) -> Array:
        """Return minus the second derivative with respect to the expectations (size,)."""
        n = self.n_counts
        counts = jnp.asarray(observed[:n] / jnp.maximum(expected[:n], least) ** 2)
        if not self.below.size:
            return counts
        return jnp.concatenate([counts, self._widths(observed, expected) ** -2.0])

    def variance(self, observed: Array | np.ndarray, expected: Array, least: float) -> Array:
        """Return the inverse of the information, for counts within a factor of 2 of their
        expectations (size,): the metric of the steps of a fit."""
        n = self.n_counts
        # -log L of an empty bin goes on straight where nothing is expected: steps are as long as
        # the way already gone.
        size = jnp.where(observed[:n] > 0, expected[:n], jnp.abs(expected[:n]))
        safe = jnp.maximum(size, least)
        counts = safe / jnp.clip(observed[:n] / safe, 0.5, 2.0)
        if not self.below.size:
            return counts
        return jnp.concatenate([counts, self._widths(observed, expected) ** 2])

    def resolution(self, expected: Array, least: float) -> Array:
        """Return the expected information to the power -1/2, (size,)."""
        counts = jnp.sqrt(jnp.maximum(expected[: self.n_counts], least))
        if not self.below.size:
            return counts
        return jnp.concatenate([counts, np.sqrt(self.below * self.above)])

    def possible(self, expected: Array | np.ndarray) -> Array:
        """Return the expectations (..., size), negative counts set to 0."""
        if not self.below.size:
            return jnp.maximum(expected, 0.0)
        return jnp.where(np.arange(self.size) < self.n_counts, jnp.maximum(expected, 0.0), expected)

    def throw(self, key: Array, expected: Array) -> Array:
        """Return random data (size,), for a key of `jax.random`."""
        n = self.n_counts
        if not self.below.size:
            return poisson(key, expected)
        of_sides, of_sizes = jax.random.split(jax.random.fold_in(key, 2))
        # The truth is below what is thrown as often as the width on that side says.
        higher = jax.random.uniform(of_sides, self.below.shape) * (self.below + self.above)
        sizes = jnp.abs(jax.random.normal(of_sizes, self.below.shape))
        moved = jnp.where(higher < self.below, sizes * self.below, -sizes * self.above)
        return jnp.concatenate([poisson(key, expected[:n]), expected[n:] + moved])

    def drawn(self, generator: np.random.Generator, expected: np.ndarray) -> np.ndarray:
        """Return random data (..., size), with NumPy's random numbers."""
        n = self.n_counts
        counts = generator.poisson(np.maximum(expected[..., :n], 0.0)).astype(float)
        if not self.below.size:
            return counts
        shape = expected[..., n:].shape
        higher = generator.random(shape) * (self.below + self.above) < self.below
        sizes = np.abs(generator.standard_normal(shape))
        moved = np.where(higher, sizes * self.below, -sizes * self.above)
        return np.concatenate([counts, expected[..., n:] + moved], axis=-1)

    def spread(self, expected: np.ndarray) -> np.ndarray:
        """Return the variance of the data (size,)."""
        results = (1 - 2 / np.pi) * (self.above - self.below) ** 2 + self.above * self.below
        return np.concatenate([np.maximum(expected[: self.n_counts], 0.0), results])

    def deviance(self, observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Return -2 log of the likelihood ratio to the saturated model (Baker and Cousins 1984).

        Args:
            observed, expected: (..., size).

        >>> of_counts = DataDistribution(2, np.zeros(0), np.zeros(0))
        >>> of_counts.deviance(np.array([4.0, 0.0]), np.array([4.0, 0.5])).item()
        1.0
        """
        observed, expected = np.asarray(observed, float), np.asarray(expected, float)
        n = self.n_counts
        counts, rates = observed[..., :n], expected[..., :n]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(counts > 0, counts / rates, 1.0)
        result = 2 * np.sum(xlogy(counts, ratio) - counts + rates, axis=-1)
        x, m = observed[..., n:], expected[..., n:]
        return np.asarray(result + np.sum(((x - m) / self._widths_of(x, m)) ** 2, axis=-1))

    def saturated(self, observed: Array | np.ndarray) -> np.ndarray:
        """Return log L of the saturated model, which expects the observations (..., size)."""
        counts = np.asarray(observed, float)[..., : self.n_counts]
        known = np.sum(xlogy(counts, counts) - counts - gammaln(counts + 1), axis=-1)
        return np.asarray(known - self._norm_of_results)

    def _widths(self, observed: Array | np.ndarray, expected: Array) -> Array:
        n = self.n_counts
        return jnp.where(expected[n:] < observed[n:], self.below, self.above)

    def _widths_of(self, observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return np.where(expected < observed, self.below, self.above)


def poisson(key: Array, rate: Array) -> Array:
    """Throw counts. JAX's own lose their variance beyond 1e5 (1.46 of it at 1e8, jax 0.10); there
    a rounded normal distribution is as good as it gets."""
    if not rate.size:
        return rate  # nothing to throw takes seconds to compile
    small = jax.random.poisson(key, jnp.minimum(rate, _MANY)).astype(float)
    normal = jax.random.normal(jax.random.fold_in(key, 1), rate.shape)
    large = jnp.round(rate + jnp.sqrt(rate) * normal)
    return jnp.where(rate > _MANY, large, small)
