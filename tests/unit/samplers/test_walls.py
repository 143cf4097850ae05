"""Walls made straight: two bins, the first without counts, r0 = mu + 1 + h/2 and r1 = mu/2 + 3.

Beside sums over mu and h themselves.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import bknn
from bknn import inference, models
from bknn.inference.samplers.coordinates import Coordinates
from bknn.inference.samplers.whitening import Slopes, climb, linearisation

pytestmark = pytest.mark.usefixtures("quick_compilation")

COUNTS = (0.0, 3.0)
RANGE = (-5.0, 5.0)


@pytest.fixture(scope="module")
def empty() -> bknn.Analysis:
    shape = {"hi_data": [1.5, 3.0], "lo_data": [0.5, 3.0]}
    strength = {"name": "mu", "type": "normfactor", "data": None}
    background = [{"name": "h", "type": "histosys", "data": shape}]
    samples: list[dict[str, Any]] = [
        {"name": "s", "data": [1.0, 0.5], "modifiers": [strength]},
        {"name": "b", "data": [1.0, 3.0], "modifiers": background},
    ]
    config = {"poi": "mu", "parameters": [{"name": "mu", "bounds": [RANGE], "inits": [0.0]}]}
    content = {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": list(COUNTS)}],
        "measurements": [{"name": "m", "config": config}],
        "version": "1.0.0",
    }
    measurement = bknn.Measurement(name="made", title="made", workspace=content)
    return bknn.Analysis(models.load("signal-strength"), measurement)


@pytest.fixture(scope="module")
def coordinates(empty) -> Coordinates:
    return Coordinates(empty, ~empty.fixed, empty.init_vector, straight=True)


def test_where_the_range_ends(empty, coordinates):
    vectors = jnp.array([[0.0, 2.0], [0.0, -4.0], [0.0, 9.0], [0.0, -13.0]])
    wall = coordinates.wall
    low, high = jax.vmap(lambda vector: wall.left(empty.rates, vector))(vectors)
    # Where nothing is left the whole range is, in which nothing has a likelihood.
    np.testing.assert_allclose(low, [-2.0, 1.0, -5.0, -5.0], atol=1e-12)
    np.testing.assert_array_equal(high, 5.0)
    plain = Coordinates(empty, ~empty.fixed, empty.init_vector)
    assert plain.wall is None


def test_density_is_that_of_the_priors(coordinates):
    """At random places: prior times Jacobian, no negative count, and the way back."""

    @jax.jit
    def all_(z):
        vector, weight = coordinates.natural(z)
        return vector, weight, jax.jacfwd(lambda z: coordinates.natural(z)[0])(z)

    for z in np.random.default_rng(3).normal(size=(20, 2)):
        (mu, h), weight, jacobian = all_(z)
        expected = stats.norm.logpdf(h) - np.log(np.ptp(RANGE))
        found = stats.norm.logpdf(z).sum() + float(weight)
        stretched = np.log(abs(np.linalg.det(jacobian)))
        assert found == pytest.approx(expected + stretched, abs=1e-9)
        assert mu + 1 + h / 2 > 0
        np.testing.assert_allclose(coordinates.standard(np.array([mu, h])), z, atol=1e-7)


@pytest.mark.slow
def test_gradients_are_differences(coordinates):
    """Also by the nuisance, which moves the wall."""
    slopes = Slopes(coordinates.chart)
    at = jax.jit(lambda z: slopes.at(coordinates.natural, jnp.array(COUNTS), z)[:2])
    z = np.array([-0.3, -0.8])
    step = 1e-5 * np.eye(2)
    expected = [(at(z + h)[0] - at(z - h)[0]) / 2e-5 for h in step]
    np.testing.assert_allclose(at(z)[1], expected, rtol=1e-6)
    mode = climb(linearisation(coordinates, COUNTS), z)
    np.testing.assert_allclose(at(mode)[1], 0.0, atol=1e-3)


def probability(mu: Any, h: Any) -> Any:
    """Of the counts and h; zero where the first count is negative."""
    r0, r1 = mu + 1 + h / 2, mu / 2 + 3
    found = stats.poisson.pmf(0, np.maximum(r0, 0.0)) * stats.poisson.pmf(3, r1)
    return np.where(r0 >= 0, found, 0.0) * stats.norm.pdf(h)


@pytest.mark.slow
def test_the_mean_over_normal_numbers(empty, coordinates):
    """Of the probability and of moments is that over the priors."""
    z = np.linspace(-6, 6, 241)
    points = np.stack(np.meshgrid(z, z, indexing="ij"), axis=-1).reshape(-1, 2)
    vectors, weight = jax.jit(jax.vmap(coordinates.natural))(points)
    mu, h = np.asarray(vectors).T
    area = np.exp(stats.norm.logpdf(points).sum(axis=1) + np.asarray(weight)) * (z[1] - z[0]) ** 2
    found = area * probability(mu, h) / stats.norm.pdf(h)
    x, y = np.linspace(*RANGE, 4001)[:, None], np.linspace(-8, 8, 1601)
    density = probability(x, y) * (16 / 1600) / 4000
    for moment in (lambda mu, h: 1.0, lambda mu, h: mu + 5, lambda mu, h: mu**2 * h**2):
        assert np.sum(found * moment(mu, h)) == pytest.approx(
            np.sum(density * moment(x, y)), rel=3e-3
        )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nuts", "tempered"])
def test_draws_at_the_wall(empty, method):
    """Forty-five effective draws of 8000 where nothing is made straight."""
    posterior = inference.sample(empty, method=method, draws=1000, seed=3)
    assert posterior.converged, posterior.status
    assert posterior.divergences == 0
    mu = posterior.values("mu")
    assert (mu + 1 + posterior.values("h") / 2 > 0).all()
    x, y = np.linspace(*RANGE, 2001), np.linspace(-8, 8, 1601)
    marginal = probability(x[:, None], y).sum(axis=1)
    marginal = np.cumsum(marginal) / marginal.sum()
    for part in (0.05, 0.5, 0.95):
        quantile = np.interp(part, marginal, x)
        below = float(np.mean(mu < quantile))
        effective = float(np.nanmin([posterior.ess_bulk.min(), posterior.ess_tail.min()]))
        assert abs(below - part) < 4 * np.sqrt(part * (1 - part) / effective) + 1e-3
