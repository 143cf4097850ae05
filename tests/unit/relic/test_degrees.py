"""Degrees of freedom against their tables, and against numbers that others made of them."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import errors, relic
from bknn.relic.degrees import TABLES, degrees

FOLDER = Path(relic.__file__).parent / "tables"

#: T in GeV and h/sqrt(g) (1 + T h'/3h) of the table of Drees et al. as hazma 2.2 has it.
HAZMA = [
    (0.000199526, 3.38107),
    (0.0199526, 3.54372),
    (0.281838, 8.29796),
    (1.1885, 9.08465),
    (3.16228, 9.2726),
    (10, 9.31417),
    (15.8489, 9.44954),
    (31.6228, 9.8761),
    (100, 10.3208),
    (1000, 10.3358),
]


@pytest.mark.parametrize("name", TABLES)
def test_the_points_of_the_table(name):
    rows = np.genfromtxt(FOLDER / f"g_star_{name}.csv", delimiter=",", names=True)[1:]
    g = degrees(name)
    np.testing.assert_allclose(g.entropy(rows["T_GeV"]), rows["h_eff"], rtol=1e-12)
    np.testing.assert_allclose(g.energy(rows["T_GeV"]), rows["g_eff"], rtol=1e-12)


def test_limits():
    """Photons and neutrinos after annihilation of e+e-, and all of the standard model."""
    for name in TABLES:
        g = degrees(name)
        lowest, highest = g.range()
        assert float(g.entropy(lowest)) == pytest.approx(43 / 11, rel=0.01)
        assert float(g.energy(lowest)) == pytest.approx(3.36, rel=0.01)
        assert float(g.entropy(0.99 * highest)) == pytest.approx(106.75, rel=0.03)


def test_expansion_against_hazma():
    t, expected = np.array(HAZMA).T
    np.testing.assert_allclose(degrees().sqrt_g(t), expected, rtol=4e-3)


@pytest.mark.parametrize("name", TABLES)
def test_derivative_is_that_of_h(name):
    g, t = degrees(name), np.array([3e-4, 0.02, 0.3, 7.0, 80.0])
    slope = jax.vmap(jax.grad(lambda x: jnp.log(g.entropy(jnp.exp(x)))))(np.log(t))
    expected = g.entropy(t) / np.sqrt(g.energy(t)) * (1 + slope / 3)
    np.testing.assert_allclose(g.sqrt_g(t), expected, rtol=1e-12)


def test_outside_of_the_table():
    g = degrees()
    for temperature in (1e-6, 1e6, np.nan):
        with pytest.raises(errors.ParameterError, match=r"drees-2015.*choose"):
            g.entropy(temperature)
    ends = g.held(np.array([1e-9, 1e9]))
    np.testing.assert_allclose(ends.entropy, [3.93872, 106.83])
    np.testing.assert_allclose(ends.sqrt_g, ends.entropy / np.sqrt(ends.energy))
    np.testing.assert_allclose(jax.jit(lambda t: g.entropy(t))(np.array([1e-9, 1e9])), ends.entropy)


def test_unknown_table():
    with pytest.raises(errors.UnknownNameError, match="drees-2015"):
        degrees("drees")
