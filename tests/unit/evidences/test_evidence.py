"""Evidences and marginal posteriors, beside quadrature and closed forms."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import bknn
from bknn import errors, inference, models
from bknn.inference.estimate import Estimate
from bknn.inference.evidences.evidence import Evidence, bridge, savage_dickey
from bknn.inference.posteriors.marginal import marginal
from bknn.inference.samplers.tempering import placed, stepping_stone
from bknn.inference.samplers.whitening import LogWeight

from .. import made_up, quadrature, small

pytestmark = pytest.mark.usefixtures("quick_compilation")


# A small measurement -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def analysis():
    return quadrature.analysis("uniform(-2, 4.5)")


@pytest.fixture(scope="module")
def brute():
    return quadrature.Brute(stats.uniform(-2, 6.5))


@pytest.fixture(scope="module")
def found(analysis):
    return inference.evidence(analysis, fixed=quadrature.FIXED, draws=400, seed=4)


def test_both_methods_agree_with_quadrature(found, brute):
    assert {e.method for e in found.estimates} == {"tempering", "bridge"}
    for estimate in found.estimates:
        assert 0 < estimate.error < 0.06
        assert estimate.value == pytest.approx(brute.log_evidence, abs=4 * estimate.error)
    assert found.converged
    assert found.status.startswith("the methods agree: ")
    assert found.error == min(e.error for e in found.estimates)
    assert found.value == found.estimates[0].value
    assert found.method == found.estimates[0].method


def test_unknown_methods_are_refused(analysis):
    with pytest.raises(errors.UnknownNameError, match="bridge"):
        inference.evidence(analysis, methods=["brigde"])


def test_what_is_said_of_evidences(analysis):
    one = Estimate(-10.0, 0.1, "tempering")
    assert Evidence(analysis, {}, (one,)).status.startswith(
        "only one method was used: -10.00 +- 0.10"
    )
    assert not Evidence(analysis, {}, (one,)).converged
    near = Evidence(analysis, {}, (one, Estimate(-10.5, 0.2, "bridge")))
    assert near.converged
    far = Evidence(analysis, {}, (one, Estimate(-10.5, 0.1, "bridge")))
    assert not far.converged
    assert "the methods do not agree: -10.00 +- 0.10 (tempering), -10.50 +- 0.10" in far.status


# Closed forms --------------------------------------------------------------------------------

SIZE, CENTRE, WIDTH, CONSTANT = 8, 1.5, 0.3, -123.4


def log_weight(w):
    """A narrow normal density off the centre, over the standard one; its mean is exp(CONSTANT)."""
    pull = -0.5 * ((w - CENTRE) / WIDTH) ** 2 - jnp.log(WIDTH) + 0.5 * w**2
    return CONSTANT + jnp.sum(pull)


def test_stepping_stones():
    """Draws of every rung are normal: no sampler takes part."""
    random = np.random.default_rng(5)
    betas = np.linspace(0, 1, 9) ** 3
    precision = 1 - betas + betas / WIDTH**2
    mean = betas * CENTRE / WIDTH**2 / precision
    values = []
    for _ in range(24):
        w = random.standard_normal((800, 9, SIZE)) / np.sqrt(precision)[:, None] + mean[:, None]
        pull = -0.5 * ((w - CENTRE) / WIDTH) ** 2 - np.log(WIDTH) + 0.5 * w**2
        values.append(stepping_stone(CONSTANT + pull.sum(axis=-1), betas))
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert error < 0.05
    assert np.mean(values) == pytest.approx(CONSTANT, abs=4 * error)


def test_rungs_are_placed_where_exchanges_are_refused():
    """The barrier between neighbours is the same for all of them."""
    betas = np.array([0.0, 0.25, 0.5, 1.0])
    new = placed(betas, np.array([0.6, 0.2, 0.1]))
    assert new == pytest.approx([0, 0.125, 0.25 + 0.25 * 0.0, 1.0])
    np.testing.assert_allclose(placed(betas, np.full(3, 0.3)), betas)


@pytest.mark.parametrize("own", [[], [0], [2, 0]])
def test_a_bridge_to_a_normal_density(own):
    random = np.random.default_rng(6)
    pulls = []
    for seed in range(6):
        draws = CENTRE + WIDTH * random.standard_normal((4, 500, SIZE))
        estimate = bridge(LogWeight(log_weight), draws, np.array(own, int), seed=seed)
        assert estimate.method == "bridge"
        assert 0 < estimate.error < 0.1
        pulls.append((estimate.value - CONSTANT) / estimate.error)
    # Errors are estimated from eight blocks: pulls follow Student's distribution.
    assert np.max(np.abs(pulls)) < 6
    assert np.mean(np.square(pulls)) < 4


def test_a_bridge_to_two_peaks():
    """Of a parameter of the model, with a nuisance that follows it."""

    def two(w):
        peaks = jnp.stack(
            [jnp.log(0.7) - 8 * (w[0] - 1.5) ** 2, jnp.log(0.3) - 8 * (w[0] + 1.5) ** 2]
        )
        follow = -0.5 * ((w[1] - 0.5 * w[0]) / 0.5) ** 2 - jnp.log(0.5)
        return -3.0 + jnp.log(4.0) + jnp.log(jnp.sum(jnp.exp(peaks))) + follow + 0.5 * jnp.sum(w**2)

    random = np.random.default_rng(7)
    x = np.where(random.random((4, 1000)) < 0.7, 1.5, -1.5) + 0.25 * random.normal(size=(4, 1000))
    y = 0.5 * x + 0.5 * random.normal(size=x.shape)
    estimate = bridge(LogWeight(two), np.stack([x, y], axis=-1), np.array([0]))
    assert estimate.error < 0.05
    assert estimate.value == pytest.approx(-3.0, abs=5 * estimate.error)


# Savage and Dickey -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def posterior(analysis):
    return inference.sample(analysis, fixed=quadrature.FIXED, draws=400, seed=3, method="nuts")


def _log_ratio(brute, value):
    """Posterior over prior density of mu at a value."""
    at = np.argsort(np.abs(brute.axes["mu"] - value))[:8]
    # A polynomial through the nearest points of the logarithm, which is nearly a parabola.
    x, y = brute.axes["mu"][at], np.log(brute.density("mu")[at])
    return float(np.polynomial.Polynomial.fit(x, y, 5)(value)) + np.log(6.5)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.2, 1.0, 2.0])
def test_savage_dickey(posterior, brute, value):
    found = savage_dickey(posterior, "mu", value)
    assert found.method == "savage-dickey"
    assert found.error < 0.2
    assert found.value == pytest.approx(_log_ratio(brute, value), abs=4 * found.error + 1e-3)


@pytest.mark.slow
def test_savage_dickey_errors(posterior):
    with pytest.raises(errors.ParameterError, match="is no parameter of the model"):
        savage_dickey(posterior, "k_b", 1.0)
    with pytest.raises(errors.ParameterError, match=r"mu = 6 has to lie within .* \[-2, 4.5\]"):
        savage_dickey(posterior, "mu", 6.0)


@pytest.mark.slow
def test_savage_dickey_knows_when_few_draws_decide():
    """Without a rate, a mass means nothing: nearly all of the density there is at masses that the
    draws hardly have."""
    analysis = bknn.Analysis(
        models.load("resonance"),
        small.with_counts([84.0, 58.0, 95.0]),
        priors={"branching_ratio": "uniform(0, 4e-5)", "mass": "uniform(0, 4.5)"},
    )
    random = np.random.default_rng(0)
    own = {
        "mass": random.normal(3.4, 0.12, (2, 500)),
        "branching_ratio": np.abs(random.normal(2e-5, 3e-6, (2, 500))),
    }
    made = made_up.posterior(analysis, own)
    with pytest.raises(errors.FitError, match="few draws decide what the density is"):
        savage_dickey(made, "branching_ratio", 0.0)


# Laplace ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid(analysis):
    mu = np.sort(np.append(np.linspace(-2, 4.5, 66), 0.2))
    return marginal(analysis, {"mu": mu}, fixed=quadrature.FIXED)


@pytest.mark.slow
def test_laplace(grid, brute):
    """A normal approximation of three nuisances, one of them with a Gamma density of 25 counts:
    0.002 off in the log evidence, 0.04 standard deviations in the mean, so 6% two of them away."""
    assert grid.log_evidence == pytest.approx(brute.log_evidence, abs=0.01)
    width = brute.width("mu")
    assert grid.mean("mu") == pytest.approx(brute.mean("mu"), abs=0.06 * width)
    expected = np.interp(brute.axes["mu"], grid.grid["mu"], grid.density("mu"))
    density = brute.density("mu")
    assert expected == pytest.approx(density, abs=0.05 * density.max())
    found = grid.savage_dickey("mu", 0.2)
    assert found.value == pytest.approx(_log_ratio(brute, 0.2), abs=0.08 + 4 * found.error)
    (low, high), *rest = grid.highest_density("mu", 0.95)
    assert not rest
    below = brute.quantile("mu", np.array([0.025, 0.975]))
    assert (low, high) == pytest.approx(tuple(below), abs=0.15 * width)


def test_laplace_of_nothing_is_the_likelihood():
    """One bin, one parameter: Poisson probabilities."""
    analysis = bknn.Analysis(
        models.load("signal-strength"), small.one_bin(), priors={"mu": "uniform(0, 3)"}
    )
    mu = np.linspace(0, 3, 61)
    found = marginal(analysis, {"mu": mu})
    np.testing.assert_allclose(found.log_likelihood, stats.poisson.logpmf(12, 8 + 4 * mu), 1e-10)
    np.testing.assert_allclose(found.log_prior, -np.log(3.0))
    x, step = np.polynomial.legendre.leggauss(40)
    exact = special.logsumexp(stats.poisson.logpmf(12, 8 + 4 * 1.5 * (x + 1)), b=step / 2)
    # The trapezoidal rule.
    assert found.log_evidence == pytest.approx(exact, abs=1e-3)


@pytest.mark.slow
def test_laplace_errors(analysis, grid):
    with pytest.raises(errors.ParameterError, match="no parameter was given"):
        marginal(analysis, {})
    with pytest.raises(errors.UnknownNameError):
        marginal(analysis, {"nu": [0.0, 1.0]})
    with pytest.raises(errors.ParameterError, match="outside of"):
        marginal(analysis, {"mu": [-20.0, 0.0, 1.0]})
    with pytest.raises(errors.ParameterError, match="no point of the grid"):
        grid.savage_dickey("mu", 0.2345)
    with pytest.raises(errors.UnknownNameError):
        grid.density("k_b")
