"""Scaled Bessel functions against SciPy's."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy.special import kve, kvp

from bknn.relic.bessel import k1e, k2e

Z = np.geomspace(1.0, 1e9, 300)


@pytest.mark.parametrize(("order", "function"), [(1, k1e), (2, k2e)])
def test_values(order, function):
    finite = Z < 1e8  # beyond that SciPy's kve gives up
    np.testing.assert_allclose(function(Z)[finite], kve(order, Z[finite]), rtol=1e-12)
    np.testing.assert_allclose(function(Z), jax.jit(function)(Z), rtol=1e-14)


@pytest.mark.parametrize(("order", "function"), [(1, k1e), (2, k2e)])
def test_derivatives(order, function):
    z = np.array([1.0, 3.0, 40.0, 600.0])
    expected = kvp(order, z) * np.exp(z) + kve(order, z)
    np.testing.assert_allclose(jax.vmap(jax.grad(function))(z), expected, rtol=1e-7)
