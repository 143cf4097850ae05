"""Counts and other results: densities, derivatives, what is thrown; analyses that have both."""

import jax
import numpy as np
import pytest
from scipy import integrate, stats

import bknn
from bknn import inference, models
from bknn.data import Measurement, Result
from bknn.inference.datasets import saturated
from bknn.likelihood.data_distribution import DataDistribution

pytestmark = pytest.mark.usefixtures("quick_compilation")

COUNTS = DataDistribution(2, np.zeros(0), np.zeros(0))
BOTH = DataDistribution(1, np.array([0.5, 1.0]), np.array([1.5, 1.0]))


def split_normal(x, m, below, above):
    """Density of x where m is expected, from its two halves, brute force."""
    width = np.where(m < x, below, above)
    norm, _ = integrate.quad(
        lambda t: np.exp(-0.5 * ((t - m) / (below if m < t else above)) ** 2),
        m - 20,
        m + 20,
        points=[m],
    )
    return np.exp(-0.5 * ((x - m) / width) ** 2) / norm


def test_log_density_is_that_of_poisson_and_split_normals():
    observed, expected = np.array([3.0, 0.2, -1.0]), np.array([2.5, 0.9, -0.4])
    found = float(BOTH.shape(observed, expected) - BOTH.norm(observed))
    wanted = stats.poisson.logpmf(3, 2.5) + np.log(split_normal(0.2, 0.9, 0.5, 1.5))
    assert found == pytest.approx(wanted + stats.norm.logpdf(-1.0, -0.4, 1.0), abs=1e-12)


def test_derivatives_are_those_of_the_density():
    observed, expected = np.array([3.0, 0.2, -1.0]), np.array([2.5, 0.9, -0.4])
    slope = jax.grad(lambda m: BOTH.shape(observed, m))(expected)
    np.testing.assert_allclose(BOTH.slope(observed, expected, 1e-9), slope, rtol=1e-12)
    second = np.diag(jax.hessian(lambda m: BOTH.shape(observed, m))(expected))
    np.testing.assert_allclose(BOTH.information(observed, expected, 1e-9), -second, rtol=1e-12)


@pytest.mark.parametrize("how", ["throw", "drawn"])
def test_what_is_thrown_follows_the_density(how):
    expected = np.array([4.0, 0.3, -2.0])
    n = 4000
    if how == "throw":
        keys = jax.random.split(jax.random.key(1), n)
        thrown = np.asarray(jax.jit(jax.vmap(lambda key: BOTH.throw(key, expected)))(keys))
    else:
        thrown = BOTH.drawn(np.random.default_rng(1), np.tile(expected, (n, 1)))
    np.testing.assert_allclose(thrown.var(axis=0), BOTH.spread(expected), rtol=0.1)
    below, above = 0.5, 1.5

    def cumulative(x):  # of halves of normal densities: the lower one has the width above
        low = 2 * above / (below + above) * stats.norm.cdf((x - 0.3) / above)
        high = 2 * below / (below + above) * (stats.norm.cdf((x - 0.3) / below) - 0.5)
        return np.where(x < 0.3, low, above / (below + above) + high)

    assert stats.kstest(thrown[:, 1], cumulative).pvalue > 1e-3


def test_deviance_and_saturation():
    assert COUNTS.deviance(np.zeros(2), np.array([1.0, 2.0])) == pytest.approx(6.0)
    assert COUNTS.deviance(np.zeros((3, 2)), np.zeros((3, 2))).tolist() == [0, 0, 0]
    assert COUNTS.deviance(np.array([1.0, 0.0]), np.array([0.0, 0.0])) == np.inf
    observed, expected = np.array([3.0, 0.2, -1.0]), np.array([2.5, 0.9, -0.4])
    log_density = float(BOTH.shape(observed, expected) - BOTH.norm(observed))
    assert BOTH.deviance(observed, expected) == pytest.approx(
        2 * (BOTH.saturated(observed) - log_density)
    )


def limit(value: float, width: float, channel: str = "B0 -> K*0", **more) -> Measurement:
    result = Result("a limit", value, width, width, {channel: 1.0}, **more)
    return Measurement("limit", "", {}, results=(result,))


@pytest.mark.slow
def test_fit_of_correlated_results_is_the_least_of_chi2():
    """Branching fractions are a + b h_V^2, a' + b' h_V^2, so that chi2 is a polynomial."""
    model, channels = models.load("vector"), ("B+ -> K+", "B0 -> K*0")

    def branching_ratios(h_v):
        point = {"mass": 1.5, "h_V": h_v}
        found = (bknn.predict(model, "branching_ratio", c, point).value for c in channels)
        return np.array([float(x) for x in found])

    constant = branching_ratios(0.0)
    slope = (branching_ratios(1e-8) - constant) / 1e-16
    values, widths = np.array([8e-6, 1.6e-5]), np.array([1e-6, 3e-6])
    correlation = np.array([[1.0, 0.6], [0.6, 1.0]])
    inverse = np.linalg.inv(correlation * np.outer(widths, widths))
    square = slope @ inverse @ (values - constant) / (slope @ inverse @ slope)
    pulls = constant + slope * square - values

    results = tuple(
        Result(c, x, w, w, {c: 1.0}) for c, x, w in zip(channels, values, widths, strict=True)
    )
    measured = Measurement("both", "", {}, results=results, correlation=correlation)
    analysis = bknn.Analysis(model, measured)
    held = {p.name: 0.0 for p in analysis.parameters if p.nuisance}
    found = inference.fit(analysis, fixed=held | {"mass": 1.5, "sm_normalisation": 1.0})
    assert float(found.params["h_V"]) ** 2 == pytest.approx(square, rel=1e-6, abs=0)
    worst = float(saturated(analysis, analysis.data))
    chi2 = float(found.twice_nll) - worst
    assert chi2 == pytest.approx(pulls @ inverse @ pulls, rel=1e-8)


@pytest.mark.slow
def test_derivatives_of_results_are_those_of_rates():
    analysis = bknn.Analysis(
        models.load("vector"), limit(0.0, 1e-5, q2=(0.0, 4.0), resolution=0.3), free=["h_A"]
    )
    vector = np.array(analysis.init_vector)
    vector[analysis.index("h_A")] = 3e-9
    vector[analysis.index("mass")] = 1.9
    rates, dense, local = analysis.derivatives(vector)
    wanted = jax.jacfwd(analysis.rates)(vector)
    np.testing.assert_allclose(rates, analysis.rates(vector), rtol=1e-13)
    np.testing.assert_allclose(dense, wanted[:, analysis.structure.shared], rtol=1e-10, atol=1e-25)
    assert local.shape == (0,)


@pytest.mark.slow
def test_toys_of_results_have_a_chi2():
    """A result far from its bounds: the statistic at the truth is a chi2 with one degree."""
    analysis = bknn.Analysis(models.load("signal-strength"), limit(2e-5, 2e-6, "B+ -> K+"))
    toys = inference.toys(analysis, {"mu": 4.0}, 300, seed=3)
    estimates = np.asarray(toys.estimates["mu"])
    unit = float(bknn.predict(models.load("signal-strength"), params={"mu": 1.0}).value)
    assert estimates.mean() == pytest.approx(4.0, abs=5 * 2e-6 / unit / np.sqrt(300))
    assert estimates.std() == pytest.approx(2e-6 / unit, rel=0.15)


def test_errors_say_what_to_do():
    with pytest.raises(bknn.errors.DataError, match="both widths positive"):
        Result("x", 1.0, 0.0, 1.0, {"B+ -> K+": 1.0})
    with pytest.raises(bknn.errors.UnknownNameError, match="K\\*0"):
        bknn.Analysis(models.load("vector"), limit(0.0, 1e-5, "B0 -> K*00"))
    with pytest.raises(bknn.errors.ParameterError, match="says nothing about"):
        bknn.Analysis(models.load("resonance"), limit(0.0, 1e-5))
    results = tuple(Result(f"r{i}", 1.0, 1.0 + i, 1.0, {"B+ -> K+": 1.0}) for i in range(2))
    correlation = np.array([[1.0, 1.5], [1.5, 1.0]])
    wrong = Measurement("wrong", "", {}, results=results, correlation=correlation)
    with pytest.raises(bknn.errors.DataError, match="not positive"):
        bknn.Analysis(models.load("sm"), wrong)
    analysis = bknn.Analysis(models.load("vector"), limit(0.0, 1e-5))
    with pytest.raises(bknn.errors.WorkspaceError, match="is not a count"):
        analysis.to_workspace(analysis.init)
