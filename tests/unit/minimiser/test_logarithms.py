"""Logarithms of parameters in fits, and second derivatives by differences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import errors
from bknn.inference.minimiser.differences import by_differences
from bknn.inference.minimiser.logarithms import Logarithms
from bknn.inference.minimiser.tangent import Local

bknn.enable_x64()

OWN = (
    bknn.Parameter("g", 1e-3, (0.0, 1.0), logarithmic=True),
    bknn.Parameter("m", 2.0, (1.0, 4.0)),
    bknn.Parameter("k", 1.0, (0.5, 1.5), constraint=(1.0, 0.1)),
)


def signal(x: Any) -> Any:
    return jnp.stack([x[0] ** 2 * x[2] / x[1], jnp.exp(x[0] * x[1]) * x[2], x[1] ** 3])


def test_a_signal_in_logarithms_has_their_derivatives() -> None:
    logs, at = Logarithms(OWN), np.array([3e-3, 1.7, 1.1])
    there = logs.coded(at)
    seen = logs.seen(Local(jnp.asarray(at), signal(at), jax.jacfwd(signal)(at)), there)
    expected = jax.jacfwd(lambda z: signal(logs.plain(z)))(jnp.asarray(there))
    np.testing.assert_allclose(seen.slope, expected, rtol=1e-13)
    np.testing.assert_allclose(logs.plain(there), at, rtol=1e-15)
    np.testing.assert_array_equal(seen.physics, there)


def test_at_its_lower_bound_a_parameter_is_there_and_has_no_slope() -> None:
    logs = Logarithms(OWN)
    there = logs.coded(np.array([0.0, 1.7, 1.1]))
    assert np.isfinite(there).all()
    assert logs.plain(there)[0] == 0.0
    assert logs.slopes(there)[0] == 0.0


@pytest.mark.parametrize("at", [[3e-3, 1.7, 1.1], [1.0, 1.0, 0.9]])
def test_second_derivatives_by_differences(at: list[float]) -> None:
    """In the middle, and at bounds, where they are one-sided."""

    def slopes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array(jax.vmap(signal)(points)), np.array(jax.vmap(jax.jacfwd(signal))(points))

    bounds = np.array([p.bounds for p in OWN])
    found = by_differences(slopes, np.array(at), OWN, bounds)
    expected = jax.jacfwd(jax.jacfwd(signal))(jnp.asarray(at))
    np.testing.assert_allclose(found.bend, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.value, signal(jnp.asarray(at)))


@pytest.mark.parametrize(
    "wrong",
    [{"bounds": (-1.0, 1.0)}, {"init": 0.0}, {"constraint": (0.1, 0.1)}],
)
def test_what_has_no_logarithm_is_refused(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"init": 0.1, "bounds": (0.0, 1.0), **wrong}
    with pytest.raises(errors.ParameterError, match="'g' is logarithmic"):
        bknn.Parameter("g", given.pop("init"), given.pop("bounds"), logarithmic=True, **given)
