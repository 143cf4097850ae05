"""The conditions that tests/conftest.py promises."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import pytest


def test_two_devices_and_double_precision():
    assert jax.local_device_count() >= 2
    assert jnp.zeros(1).dtype == "float64"


def test_rank_promotion_is_an_error():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)


def test_warnings_are_errors():
    with pytest.raises(UserWarning, match="as an example"):
        warnings.warn("as an example", stacklevel=1)
