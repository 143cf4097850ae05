"""Other priors by weights, beside closed forms and arviz."""

from __future__ import annotations

import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import bknn
from bknn import errors, models
from bknn.inference.posteriors.hdi import highest_density
from bknn.inference.posteriors.reweight import pareto_smoothed, reweight

from .. import made_up, small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def analysis() -> bknn.Analysis:
    return bknn.Analysis(
        models.load("signal-strength"), small.one_bin(), priors={"mu": dist.Normal(0.0, 2.0)}
    )


@pytest.fixture(scope="module")
def posterior(analysis):
    """A normal likelihood of mu at 2 +- 1, times the prior 0 +- 2: 1.6 +- sqrt(0.8)."""
    draws = np.random.default_rng(5).normal(1.6, np.sqrt(0.8), (4, 2500))
    return made_up.posterior(analysis, {"mu": draws})


def test_closed_form(posterior):
    """With the prior 1 +- 1 the posterior is 1.5 +- sqrt(1/2); evidences are normal densities."""
    found = reweight(posterior, {"mu": "normal(1, 1)"}).check()
    assert found.converged
    assert found.weights.sum() == pytest.approx(1.0)
    assert 0.5 < found.efficiency <= 1.0
    n = found.effective
    summary = found.summary("mu")
    assert summary["mean"] == pytest.approx(1.5, abs=4 * np.sqrt(0.5 / n))
    assert summary["median"] == pytest.approx(1.5, abs=5 * np.sqrt(0.5 / n))
    for level, key in ((0.68, "hdi_68"), (0.95, "hdi_95")):
        half = stats.norm.ppf(0.5 + level / 2) * np.sqrt(0.5)
        # The ends of the shortest interval wander more than quantiles do.
        assert summary[key] == pytest.approx([1.5 - half, 1.5 + half], abs=0.1)
    # The bounds [-10, 50] of mu cut neither prior.
    ratio = stats.norm.logpdf(2, 1, np.sqrt(2)) - stats.norm.logpdf(2, 0, np.sqrt(5))
    assert found.log_ratio == pytest.approx(ratio, abs=4 * found.log_ratio_error)
    assert 0.001 < found.log_ratio_error < 0.02
    again = found.resampled(3000, seed=1)
    assert again.shape == (3000, posterior.analysis.size)
    assert again[:, 0].mean() == pytest.approx(summary["mean"], abs=0.03)
    assert len(found.resampled()) == round(found.effective)


def test_the_same_prior_changes_nothing(posterior):
    found = reweight(posterior, {"mu": "normal(0, 2)"})
    assert found.efficiency == pytest.approx(1.0)
    assert found.log_ratio == pytest.approx(0.0, abs=1e-12)
    assert found.converged


def test_too_narrow_a_prior_is_said(posterior):
    found = reweight(posterior, {"mu": "normal(-2, 0.1)"})
    assert not found.converged
    assert "are needed); sample with the new priors." in found.status
    with pytest.raises(errors.FitError, match="cannot be reweighted"):
        found.check()


def test_a_wider_prior_is_said(analysis):
    narrow = analysis.with_priors({"mu": "uniform(0, 3)"})
    draws = np.random.default_rng(5).uniform(0, 3, (2, 500))
    found = reweight(made_up.posterior(narrow, {"mu": draws}), {"mu": "uniform(0, 4)"})
    assert found.beyond["mu"] == pytest.approx(0.25, abs=1e-3)
    assert "25% of the new prior of mu lies where the old one (uniform on [0, 3])" in found.status
    assert not found.converged
    inside = reweight(made_up.posterior(narrow, {"mu": draws}), {"mu": "uniform(1, 2)"})
    assert inside.converged
    # The likelihood is flat here, so the evidence stays the same.
    assert inside.log_ratio == pytest.approx(0.0, abs=4 * inside.log_ratio_error)
    assert inside.efficiency == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("priors", "problem"),
    [
        ({}, "there are no new priors"),
        ({"m": "normal(0, 1)"}, "unknown parameter 'm'"),
        ({"mu": "uniform(20, 30)"}, "no draw of the posterior is possible"),
    ],
)
def test_priors_that_cannot_be(posterior, priors, problem):
    with pytest.raises(errors.BknnError, match=problem):
        reweight(posterior, priors)


def test_a_fixed_parameter(analysis):
    held = made_up.posterior(analysis, {"mu": np.ones((2, 10))}, moving=np.zeros(1, bool))
    with pytest.raises(errors.ParameterError, match="was fixed in this posterior"):
        reweight(held, {"mu": "normal(0, 1)"})


@pytest.mark.skipif(not hasattr(az, "psislw"), reason="arviz 1 has it elsewhere")
@pytest.mark.parametrize("width", [0.5, 2.0])
def test_pareto_smoothing_is_that_of_arviz(width):
    log_weights = width * np.random.default_rng(2).normal(size=3000)
    weights, shape = pareto_smoothed(log_weights)
    expected, k = az.psislw(log_weights.copy())
    assert weights == pytest.approx(np.exp(np.asarray(expected)), rel=1e-10)
    assert shape == pytest.approx(float(k), rel=1e-10)


def test_shortest_intervals():
    x = np.random.default_rng(0).gamma(2.0, size=20_000)
    low, high = highest_density(x, 0.68)
    assert np.mean((x >= low) & (x <= high)) == pytest.approx(0.68, abs=1e-3)
    # As long as the shortest of all intervals of the distribution, within the error of the draws.
    below = np.linspace(0, 0.32, 3201)
    lengths = stats.gamma(2).ppf(below + 0.68) - stats.gamma(2).ppf(below)
    assert high - low == pytest.approx(lengths.min(), rel=0.02)
    assert highest_density(np.array([3.0]), 0.95) == (3.0, 3.0)
    # A weight of two is a draw that is there twice.
    y, w = x[:500], np.random.default_rng(1).integers(1, 4, 500)
    assert highest_density(y, 0.95, w) == highest_density(np.repeat(y, w), 0.95)
