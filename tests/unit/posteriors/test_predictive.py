"""What priors and posteriors predict, beside closed forms."""

from __future__ import annotations

import math

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import bknn
from bknn import errors, models
from bknn.inference.posteriors.predictive import (
    draw_prior,
    expected_rates,
    posterior_predictive,
    prior_predictive,
)

from .. import made_up, small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def one_bin() -> bknn.Analysis:
    """A rate of 4 mu + 8, 12 counts."""
    return bknn.Analysis(
        models.load("signal-strength"), small.one_bin(), priors={"mu": "uniform(0, 3)"}
    )


@pytest.fixture(scope="module")
def several() -> bknn.Analysis:
    return made_up.analysis()


def test_prior_predictive_counts_are_those_of_the_mixture(one_bin):
    found = prior_predictive(one_bin, 4000, seed=3)
    assert found.kind == "prior"
    assert found.counts.shape == found.rates.shape == (4000, 1)
    # Mean and variance of a Poisson count with a rate uniform on [8, 20].
    assert found.counts.mean() == pytest.approx(14, abs=4 * math.sqrt((14 + 12) / 4000))
    assert found.counts.var() == pytest.approx(14 + 12, rel=0.1)
    rates = np.linspace(8, 20, 2001)
    expected = stats.poisson.sf(12, rates).mean() + 0.5 * stats.poisson.pmf(12, rates).mean()
    assert found.p_bins == pytest.approx([expected], abs=4 * 0.5 / math.sqrt(4000))


def test_posterior_predictive(one_bin):
    draws = np.full((2, 1000), 1.0)
    found = posterior_predictive(made_up.posterior(one_bin, {"mu": draws}), 2000, seed=1)
    assert found.kind == "posterior"
    assert found.rates == pytest.approx(12.0)
    # The data are what is expected: every deviance is larger.
    assert found.p.value == 1.0
    assert found.interval(0.68)[0][0] == pytest.approx(12 - math.sqrt(12), abs=1)
    far = posterior_predictive(made_up.posterior(one_bin, {"mu": 10 * draws}), 500, seed=1)
    assert far.n == 500
    assert far.p.k == 0
    assert "does not describe the data" in far.status
    assert "bin 0" in far.status
    # A rate of 48, where 12 counts are as good as impossible.
    assert far.discrepancies[0] == pytest.approx(2 * (12 * math.log(12 / 48) + 36))


def test_equal_seeds_equal_counts(one_bin):
    first, again = (prior_predictive(one_bin, 50, seed=7) for _ in range(2))
    assert (first.counts == again.counts).all()
    assert (first.counts != prior_predictive(one_bin, 50, seed=8).counts).any()


def test_draws_of_priors_and_constraints(several):
    drawn = draw_prior(several, 4000, np.random.default_rng(1), {"mass": 2.0})
    assert (drawn >= several.bounds[:, 0]).all()
    assert (drawn <= several.bounds[:, 1]).all()
    assert (drawn[:, several.index("mass")] == 2.0).all()

    def fits(name: str, peer) -> bool:
        return stats.kstest(drawn[:, several.index(name)], peer.cdf).pvalue > 0.003

    assert fits("branching_ratio", stats.uniform(0, 5e-5))
    assert fits("sm_normalisation", stats.norm(*several.parameters[2].constraint))
    assert fits("norm_b", stats.norm(0, 1))
    # Auxiliary counts (b / error)^2 of a factor gamma, rate gamma times that.
    n = (small.BACKGROUND[0] / small.SIDEBAND[0]) ** 2
    assert fits("side[0]", stats.gamma(n + 1, scale=1 / n))
    assert fits("k_b", stats.uniform(0, 10))


def test_a_parameter_without_prior_cannot_be_drawn():
    model = models.from_spectrum(
        lambda q2, size: 1e-7 * size + 0 * q2, parameters={"size": bknn.Parameter("size", 1.0)}
    )
    analysis = bknn.Analysis(model, small.measurement())
    with pytest.raises(errors.ParameterError, match=r"parameter 'size' has no prior"):
        draw_prior(analysis, 10, np.random.default_rng(0))
    fixed = draw_prior(analysis, 10, np.random.default_rng(0), {"size": 1.0})
    assert (fixed[:, 0] == 1.0).all()
    given = analysis.with_priors({"size": dist.Normal(0.0, 1.0)})
    assert draw_prior(given, 10, np.random.default_rng(0))[:, 0].std() > 0
    with pytest.raises(errors.ParameterError, match="draw at least one"):
        draw_prior(analysis, 0, np.random.default_rng(0))


def test_rates_are_those_of_the_analysis(several):
    vectors = draw_prior(several, 3, np.random.default_rng(1))
    found = expected_rates(several, vectors)
    alone = np.asarray(jax.jit(several.rates)(vectors[2]))
    assert found[2] == pytest.approx(np.maximum(alone, 0))
