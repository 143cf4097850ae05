"""The Poisson log probability, continued to where fits and samplers stray."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln
from jax.typing import ArrayLike

#: Stands in for a vanishing rate in derivatives: steep, but finite.
_FLOOR = 1e-10


@jax.custom_jvp
def _count_log_rate(count: Array, rate: Array) -> Array:
    """count * log(rate); 0 for no counts (whatever the rate), -inf for counts at rate <= 0."""
    positive = jnp.where(rate <= 0, 1.0, rate)
    return jnp.where(
        count == 0, 0.0 * positive, jnp.where(rate <= 0, -jnp.inf, count * jnp.log(positive))
    )


@_count_log_rate.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    count, rate = primals
    d_count, d_rate = tangents
    safe = jnp.where(rate <= _FLOOR**10, _FLOOR, rate)
    return _count_log_rate(count, rate), count / safe * d_rate + jnp.log(safe) * d_count


def log_poisson(count: ArrayLike, rate: ArrayLike) -> Array:
    """Return log Poisson(count | rate), elementwise, for real counts as pyhf defines it.

    -inf where the rate is zero or negative and there are counts (pyhf: NaN for negative rates),
    with a finite derivative that points to larger rates. With no counts the value is -rate
    throughout, for negative rates too, as in pyhf.

    >>> import jax.numpy as jnp
    >>> counts, rates = jnp.array([3.0, 3.0, 0.0]), jnp.array([2.0, -1.0, 2.0])
    >>> [round(float(x), 4) for x in log_poisson(counts, rates)]
    [-1.7123, -inf, -2.0]
    """
    count, rate = jnp.asarray(count, float), jnp.asarray(rate, float)
    return _count_log_rate(count, rate) - rate - gammaln(count + 1)
