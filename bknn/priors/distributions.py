"""Prior densities: distributions that numpyro lacks, any within bounds, and all in words."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike
from numpyro.distributions import constraints

from bknn import errors

#: Less than this of a prior within the bounds of its parameter is taken for a mistake.
LEAST = 1e-9

#: Below this much, the difference of two cumulative probabilities has lost digits.
_FEW = 1e-4


class FlatInSquare(dist.Distribution):
    """A density proportional to x on [low, high]: the square of x is uniform.

    For a mass this is flat in q2 = mass^2.

    >>> prior = FlatInSquare(0.0, 2.0)
    >>> float(prior.cdf(1.0)), float(prior.icdf(0.25))
    (0.25, 1.0)
    """

    arg_constraints = {"low": constraints.nonnegative, "high": constraints.positive}  # noqa: RUF012
    pytree_data_fields = ("low", "high")

    def __init__(
        self, low: float = 0.0, high: float = 1.0, *, validate_args: bool | None = None
    ) -> None:
        self.low, self.high = low, high
        super().__init__(batch_shape=(), validate_args=validate_args)

    @property
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    @property
    def _area(self) -> Any:
        return self.high**2 - self.low**2

    def log_prob(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        inside = (value >= self.low) & (value <= self.high) & (value > 0)
        safe = jnp.where(inside, value, self.high)
        return jnp.where(inside, jnp.log(2 * safe / self._area), -jnp.inf)

    def cdf(self, value: ArrayLike) -> Array:
        value = jnp.clip(jnp.asarray(value), self.low, self.high)
        return (value**2 - self.low**2) / self._area

    def icdf(self, q: ArrayLike) -> Array:
        return jnp.sqrt(self.low**2 + jnp.asarray(q) * self._area)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.icdf(jax.random.uniform(key, sample_shape))

    @property
    def mean(self) -> Any:
        return 2 * (self.high**3 - self.low**3) / (3 * self._area)

    @property
    def variance(self) -> Any:
        return (self.high**2 + self.low**2) / 2 - self.mean**2


class Within(dist.Distribution):
    """A distribution cut off at two ends, and normalised between them.

    Args:
        base: a distribution of one real number.
        low, high: its new ends, within the old ones; they may be infinite.

    Raises:
        ParameterError: hardly anything of the distribution lies between them.
    """

    pytree_data_fields = ("base", "low", "high")

    def __init__(
        self,
        base: dist.Distribution,
        low: float,
        high: float,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.base, self.low, self.high = base, low, high
        super().__init__(batch_shape=(), validate_args=validate_args)
        if not self.mass > LEAST:
            raise errors.ParameterError(
                f"a prior that is {describe(base)} has next to nothing ({self.mass:.1g}) within "
                f"[{low:g}, {high:g}]; correct its place or its width, or the units of either."
            )

    @property
    def support(self) -> Any:
        return between(self.low, self.high)

    @cached_property
    def _ends(self) -> tuple[float, float] | None:
        """Cumulative probabilities of the base at both ends; None if it does not say."""
        try:
            with jax.ensure_compile_time_eval():
                return (
                    0.0 if math.isinf(self.low) else float(self.base.cdf(self.low)),
                    1.0 if math.isinf(self.high) else float(self.base.cdf(self.high)),
                )
        except NotImplementedError:
            return None

    @cached_property
    def mass(self) -> float:
        """How much of the base lies between the ends."""
        if self._ends is not None:
            mass = self._ends[1] - self._ends[0]
            if mass > _FEW or not (math.isfinite(self.low) and math.isfinite(self.high)):
                return mass
        return float(_cumulative(self.base, self.low, self.high)[1][-1])

    def log_prob(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        inside = (value >= self.low) & (value <= self.high)
        safe = jnp.where(inside, value, middle(self.low, self.high))
        return jnp.where(inside, self.base.log_prob(safe) - math.log(self.mass), -jnp.inf)

    def cdf(self, value: ArrayLike) -> Array:
        value = jnp.clip(jnp.asarray(value), self.low, self.high)
        if self._ends is None:
            x, below = _cumulative(self.base, self.low, self.high)
            return jnp.interp(value, x, below / below[-1])
        return jnp.clip((self.base.cdf(value) - self._ends[0]) / self.mass, 0.0, 1.0)

    def icdf(self, q: ArrayLike) -> Array:
        q = jnp.asarray(q)
        if self._ends is not None and self.mass > _FEW:
            try:
                found = self.base.icdf(self._ends[0] + q * self.mass)
                return jnp.clip(found, self.low, self.high)
            except NotImplementedError:
                pass
        x, below = _cumulative(self.base, self.low, self.high)
        return jnp.interp(q, below / below[-1], x)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.icdf(jax.random.uniform(key, sample_shape))


def _cumulative(
    base: dist.Distribution, low: float, high: float, panels: int = 4096
) -> tuple[np.ndarray, np.ndarray]:
    """Points x (panels + 1,) and the probability from `low` to each, by quadrature."""
    if not (math.isfinite(low) and math.isfinite(high)):
        raise errors.ParameterError(
            f"a prior that is {describe(base)} has no cumulative distribution, so it can be "
            "normalised on a finite range only; give the parameter finite bounds."
        )
    edges = np.linspace(low, high, panels + 1)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    half = (high - low) / (2 * panels)
    x = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * nodes
    with jax.ensure_compile_time_eval():
        density = np.exp(np.asarray(base.log_prob(jnp.asarray(x)), float))
    return edges, np.concatenate([[0.0], np.cumsum(half * density @ weights)])


# What to ask of a prior ----------------------------------------------------------------------


def support_bounds(distribution: dist.Distribution) -> tuple[float, float]:
    """Return the ends (lower, upper) of where a distribution of one real number lives.

    >>> support_bounds(dist.Exponential(1.0))
    (0.0, inf)

    Raises:
        ParameterError: it is not a continuous distribution of one number.
    """
    one = getattr(distribution, "batch_shape", None) == () == distribution.event_shape
    if not one or distribution.is_discrete:
        raise errors.ParameterError(
            f"a prior is a distribution of one real number, and {type(distribution).__name__} is "
            "not; give one distribution for each parameter."
        )
    support = distribution.support
    with jax.ensure_compile_time_eval():
        lower = float(getattr(support, "lower_bound", -math.inf))
        upper = float(getattr(support, "upper_bound", math.inf))
    return lower, upper


def within(
    distribution: dist.Distribution, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> dist.Distribution:
    """Return a distribution cut off at bounds and normalised there; itself if they cut nothing.

    >>> describe(within(dist.Uniform(0.0, 20.0), (5.0, 60.0)))
    'uniform on [5, 20]'

    Raises:
        ParameterError: the bounds leave nothing of it.
    """
    lower, upper = support_bounds(distribution)
    low, high = max(lower, bounds[0]), min(upper, bounds[1])
    if not low < high:
        raise errors.ParameterError(
            f"a prior that is {describe(distribution)} has nothing within "
            f"[{bounds[0]:g}, {bounds[1]:g}]; choose one that overlaps."
        )
    if (low, high) == (lower, upper):
        return distribution
    if isinstance(distribution, dist.Uniform | dist.LogUniform | FlatInSquare):
        return type(distribution)(low, high)
    if isinstance(distribution, Within):
        distribution = distribution.base
    return Within(distribution, low, high)


def log_density(distribution: dist.Distribution, value: ArrayLike) -> Array:
    """Return the log of a prior density, -inf where there is nothing, with finite derivatives.

    Distributions of numpyro do not look whether a value is in their support.

    >>> log_density(dist.Uniform(0.0, 2.0), 3.0).item()
    -inf
    """
    value = jnp.asarray(value)
    inside = distribution.support(value)
    safe = jnp.where(inside, value, middle(*support_bounds(distribution)))
    return jnp.where(inside, distribution.log_prob(safe), -jnp.inf)


def quantile(distribution: dist.Distribution, probability: ArrayLike) -> Array:
    """Return the quantiles of a distribution, by quadrature where it does not know them.

    >>> quantile(dist.Uniform(1.5, 3.0), 0.5).item()
    2.25
    """
    try:
        return distribution.icdf(jnp.asarray(probability))
    except NotImplementedError:
        return Within(distribution, *support_bounds(distribution)).icdf(probability)


def cumulative(distribution: dist.Distribution, value: ArrayLike) -> Array:
    """Return the probability below values, by quadrature where a distribution does not know it.

    >>> cumulative(dist.Uniform(1.5, 3.0), 2.25).item()
    0.5
    """
    try:
        return distribution.cdf(jnp.asarray(value))
    except NotImplementedError:
        return Within(distribution, *support_bounds(distribution)).cdf(value)


def middle(low: float, high: float) -> float:
    """Return a number between two ends, which may be infinite.

    >>> middle(1.0, 3.0), middle(0.0, math.inf)
    (2.0, 1.0)
    """
    if math.isfinite(low) and math.isfinite(high):
        return 0.5 * (low + high)
    if math.isfinite(low):
        return low + 1.0
    return high - 1.0 if math.isfinite(high) else 0.0


def describe(distribution: dist.Distribution) -> str:
    """Return a distribution in words.

    >>> describe(within(dist.Normal(0, 20e-6), (0.0, math.inf)))
    'normal 0 +- 2e-05, within [0, inf]'
    >>> describe(dist.Gamma(2.0, 0.5))
    'Gamma(concentration=2, rate=0.5)'
    """
    if text := getattr(distribution, "text", ""):  # of a table
        return str(text)
    if isinstance(distribution, Within):
        return f"{describe(distribution.base)}, within {_range(distribution)}"
    if isinstance(distribution, dist.Uniform):
        return f"uniform on {_range(distribution)}"
    if isinstance(distribution, dist.LogUniform):
        return f"log-uniform on {_range(distribution)}"
    if isinstance(distribution, FlatInSquare):
        return f"flat in the square on {_range(distribution)}"
    if isinstance(distribution, dist.Normal):
        return f"normal {float(distribution.loc):g} +- {float(distribution.scale):g}"
    base = getattr(distribution, "base_dist", None)
    if type(distribution).__name__.endswith("TruncatedDistribution") and base is not None:
        return f"{describe(base)}, within {_range(distribution)}"
    given = []
    for name in distribution.arg_constraints:
        value = getattr(distribution, name, None)
        if isinstance(value, int | float | np.ndarray | jax.Array) and np.size(value) == 1:
            given.append(f"{name}={float(value):g}")
    return type(distribution).__name__ + (f"({', '.join(given)})" if given else "")


def _range(distribution: dist.Distribution) -> str:
    low, high = support_bounds(distribution)
    return f"[{low:g}, {high:g}]"


def between(low: float, high: float) -> Any:
    """Return numpyro's constraint for numbers between two ends, either of which may be infinite."""
    if math.isinf(low) and math.isinf(high):
        return constraints.real
    if math.isinf(high):
        return constraints.greater_than(low)
    if math.isinf(low):
        return constraints.less_than(high)
    return constraints.interval(low, high)
