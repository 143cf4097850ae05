"""The density of auxiliary counts: that of Poisson, without its rounding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bknn.likelihood.terms import auxiliary_norm, auxiliary_shape

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_few_counts_against_scipy() -> None:
    counts = np.repeat([0.0, 1.0, 3.0, 40.0, 999.0, 1001.0, 5e4], 3)
    rates = np.maximum(counts, 0.3) * np.tile([0.4, 1.0, 1.7], 7)
    for norm in (auxiliary_norm(counts), auxiliary_norm(jnp.asarray(counts))):
        found = np.asarray(jax.jit(auxiliary_shape)(counts, rates)) - np.asarray(norm)
        np.testing.assert_allclose(found, stats.poisson.logpmf(counts, rates), atol=1e-10)


@pytest.mark.parametrize("count", [1e9, 1.9e11, 1e15])
def test_many_counts_against_the_series(count: float) -> None:
    """n log(1 + x) - n x = -n x^2 / 2 + ..., slope -n x / rate, curvature -n / rate^2."""
    rate = count + np.round(2.5 * np.sqrt(count))
    x = (rate - count) / count
    expected = -count * x**2 / 2 + count * x**3 / 3 - count * x**4 / 4
    value, slope = jax.jit(jax.value_and_grad(auxiliary_shape, argnums=1))(count, rate)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    assert float(slope) == pytest.approx(-count * x / rate, rel=1e-14)
    curvature = jax.jit(jax.grad(jax.grad(auxiliary_shape, argnums=1), argnums=1))(count, rate)
    assert float(curvature) == pytest.approx(-count / rate**2, rel=1e-12)
    assert auxiliary_norm(np.array([count]))[0] == pytest.approx(
        0.5 * np.log(2 * np.pi * count), rel=1e-9
    )


def test_where_there_is_no_rate() -> None:
    counts, rates = np.array([3.0, 3.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0, -1.0])
    np.testing.assert_array_equal(auxiliary_shape(counts, rates), [-np.inf, -np.inf, 0.0, 1.0])
    slopes = jax.vmap(jax.grad(auxiliary_shape, argnums=1))(counts, rates)
    assert np.isfinite(slopes).all()
    assert (np.asarray(slopes)[:2] > 0).all()
