"""Toys: thrown the same everywhere, fitted to the lowest minimum, merged, kept, and studied.

What they find is compared with sums over the Poisson distribution, which need no toys.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln

import bknn
from bknn import errors, inference, models
from bknn.analysis.analysis import Data
from bknn.inference.datasets import asimov, saturated, throw
from bknn.inference.estimate import exceeding
from bknn.inference.fits import position_scan
from bknn.inference.minimiser.newton import CONVERGED, EXHAUSTED
from bknn.inference.toys import coverage, goodness
from bknn.inference.toys.toys import Toys, toys
from bknn.likelihood.data_distribution import poisson

from .. import small

#: The module; `inference.toys` is its function.
searches = importlib.import_module("bknn.inference.toys.lowest_minima")

pytestmark = pytest.mark.usefixtures("quick_compilation")


def one_bin(counts: float = 12.0) -> bknn.Analysis:
    """n counts where 4 mu + 8 are expected."""
    return bknn.Analysis(models.load("signal-strength"), small.one_bin(counts))


@pytest.fixture(scope="module")
def one() -> bknn.Analysis:
    return one_bin()


@pytest.fixture(scope="module")
def whole() -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), small.measurement())


@pytest.fixture(scope="module")
def thrown(one: bknn.Analysis) -> Toys:
    """2000 toys at mu = 2, where 16 counts are expected."""
    return toys(
        one, {"mu": 2.0}, 2000, seed=3, hypotheses={"truth": {"mu": 2.0}}, uncertainties=True
    )


@pytest.fixture(scope="module")
def many(whole: bknn.Analysis) -> Toys:
    truth = inference.fit(whole).vector
    mu = float(truth[0])
    return toys(whole, truth, 2000, seed=1, hypotheses={"truth": {"mu": mu}}, uncertainties=True)


def deviance(n: np.ndarray, rate: float) -> np.ndarray:
    """-2 log of Poisson(n | rate) / Poisson(n | n)."""
    n = np.asarray(n, float)
    return 2 * (rate - n + np.where(n > 0, n * np.log(np.maximum(n, 1) / rate), 0.0))


# ---------------------------------------------------------------- what is thrown


def test_one_seed_gives_the_same_toys_on_every_machine(whole):
    """The digest was computed on another day; a JAX that throws otherwise shows here."""
    data = throw(whole, whole.init, 50, seed=7)
    assert data.counts.shape == (50, 5)
    assert data.poisson.shape == (50, 3)
    digest = hashlib.sha256(np.concatenate([data.counts, data.poisson], axis=1).astype("<i8"))
    assert digest.hexdigest()[:16] == "e860a91f679c4643"
    np.testing.assert_allclose(
        data.normal[0, :3], [2.187806335039024, -0.5122989772739137, -0.4086334846816492], rtol=1e-9
    )


@pytest.mark.slow
def test_counts_are_poisson_and_auxiliary_data_too(whole):
    data = throw(whole, whole.init_vector, 20000, seed=1)
    rates = np.asarray(whole.rates(whole.init_vector))
    for values, mean, variance in (
        (data.counts, rates, rates),
        (data.poisson, whole.poisson[2], whole.poisson[2]),
        (data.normal, whole.init_vector[whole.normal[0]], whole.normal[2] ** 2),
    ):
        error = np.sqrt(variance / 20000)
        assert np.abs((values.mean(axis=0) - mean) / error).max() < 4.5
        np.testing.assert_allclose(values.var(axis=0), variance, rtol=0.06)


@pytest.mark.parametrize("rate", [3.0, 1e4, 1e6, 1e8])
def test_counts_of_any_size_have_the_variance_of_their_mean(rate):
    """JAX's own Poisson numbers do not, beyond 1e5."""
    counts = np.asarray(poisson(jax.random.key(3), jnp.full(40_000, rate)))
    assert (counts == np.round(counts)).all()
    assert counts.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate / 40_000))
    # The variance of a variance: 2/n, and 1/(n rate) for few counts.
    error = np.sqrt((2 + 1 / rate) / 40_000)
    assert counts.var() / rate == pytest.approx(1.0, abs=5 * error)


def test_asimov_data_fit_the_truth(whole):
    params = {**whole.init, "mu": 2.5, "shape_b": 0.4, "side": np.array([0.9, 1.0, 1.2])}
    data = asimov(whole, params)
    np.testing.assert_allclose(data.counts, small.expected(params), rtol=1e-12)
    result = inference.fit(whole, data=data).check()
    np.testing.assert_allclose(result.vector, whole.flatten(params), atol=1e-6)
    # Nothing fits better than what was expected.
    assert result.twice_nll == pytest.approx(float(saturated(whole, data)), abs=1e-8)


# ---------------------------------------------------------------- what is fitted


def test_one_bin_by_hand(one, thrown):
    n = throw(one, {"mu": 2.0}, 2000, seed=3).counts[:, 0]
    np.testing.assert_allclose(thrown.estimates["mu"], (n - 8) / 4, atol=1e-6)
    np.testing.assert_allclose(thrown.uncertainties["mu"], np.sqrt(n) / 4, rtol=1e-6)
    np.testing.assert_allclose(thrown.statistic("truth"), deviance(n, 16.0), atol=1e-9)
    np.testing.assert_allclose(thrown.goodness, 0.0, atol=1e-9)
    assert thrown.n == 2000
    assert thrown.failed.count == 0
    assert thrown.truth == {"mu": 2.0}
    assert "2000 toys" in repr(thrown)


def test_the_saturated_likelihood(whole):
    data = throw(whole, whole.init, 3, seed=5)
    expected = []
    for n, a, x in zip(data.counts, data.poisson, data.normal, strict=True):
        log = stats.poisson.logpmf(n, n).sum() + stats.poisson.logpmf(a, a).sum()
        expected.append(-2 * (log + stats.norm.logpdf(x, x, whole.normal[2]).sum()))
    np.testing.assert_allclose(saturated(whole, data), expected, rtol=1e-12)
    single = saturated(whole, Data(*(x[0] for x in data)))
    assert single.shape == ()
    assert single == pytest.approx(expected[0])
    # The auxiliary counts of an observation need not be whole numbers.
    observed = np.concatenate(small.OBSERVED)
    aux = (small.BACKGROUND / small.SIDEBAND) ** 2
    counts = np.concatenate([observed, aux])
    log = np.sum(counts * np.log(counts) - counts - gammaln(counts + 1))
    log -= np.sum(np.log(np.sqrt(2 * np.pi) * whole.normal[2]))
    assert saturated(whole, whole.data) == pytest.approx(-2 * log, rel=1e-12)


@pytest.mark.slow
def test_each_toy_is_fitted_as_alone(whole, many):
    data = throw(whole, np.array(list(many.truth.values())), 5, seed=1)
    for i in range(5):
        own = Data(*(x[i] for x in data))
        free = inference.fit(whole, data=own).check()
        held = inference.fit(whole, data=own, fixed={"mu": many.truth["mu"]}).check()
        assert many.twice_nll[i] == pytest.approx(float(free.twice_nll), abs=1e-8)
        assert many.hypothesis_twice_nll["truth"][i] == pytest.approx(
            float(held.twice_nll), abs=1e-8
        )
        assert many.estimates["mu"][i] == pytest.approx(float(free.params["mu"]), abs=1e-5)
        assert many.uncertainties["mu"][i] == pytest.approx(free.uncertainties["mu"], rel=1e-4)


@pytest.mark.slow
def test_the_likelihood_ratio_follows_chi2(many):
    """Wilks: hundreds of counts, so two thousand toys see no difference."""
    assert stats.kstest(many.statistic("truth"), stats.chi2(1).cdf).pvalue > 0.01


@pytest.mark.slow
def test_goodness_of_fit_follows_chi2_where_counts_are_large(whole, many):
    """11 measurements (counts, and one auxiliary datum for each constraint), 11 parameters, of
    which 2 are constrained by nothing: the rest is what is left of 5 counts."""
    measured = 5 + len(whole.normal[0]) + len(whole.poisson[0])
    assert measured - whole.size == 3
    # The auxiliary counts are as few as 10, which the tail feels.
    assert stats.kstest(many.goodness, stats.chi2(3).cdf).pvalue > 1e-3


# ---------------------------------------------------------------- the lowest minimum


@pytest.fixture(scope="module")
def bump() -> bknn.Analysis:
    """A peak anywhere, in the small measurement."""
    return bknn.Analysis(models.load("resonance"), small.measurement())


@pytest.mark.slow
def test_a_parameter_without_meaning_is_found(bump):
    null = inference.fit_null(bump).vector
    names = ["mass", "branching_ratio", "sm_normalisation"]
    assert position_scan.meaningless(bump, null, names) == ["mass"]
    assert position_scan.meaningless(bump, bump.init_vector, names) == []


@pytest.mark.slow
def test_toys_miss_no_minimum(bump):
    """A peak's likelihood has many minima; 300 values of its mass, fitted one by one, have none
    that is lower than what the scan from the null found."""
    null = inference.fit_null(bump).vector
    n, grid = 40, np.linspace(0.0, bump.bounds[0, 1], 300)
    values = bump.null_values()
    found = toys(bump, null, n, seed=2, hypotheses={"null": values, "half": {"mass": 2.0}})
    assert found.failed.count == 0
    data = throw(bump, null, n, seed=2)
    each = Data(*(np.repeat(x, len(grid), axis=0) for x in data))
    profile = inference.fit(bump, fixed={"mass": np.tile(grid, n)}, data=each)
    lowest = np.where(profile.converged, profile.twice_nll, np.inf).reshape(n, -1).min(axis=1)
    assert (found.twice_nll - lowest).max() < 1e-3
    # And the null is the one of a fit.
    alone = inference.fit(bump, fixed=values, data=data)
    np.testing.assert_allclose(found.hypothesis_twice_nll["null"], alone.twice_nll, atol=1e-8)
    assert (found.twice_nll <= found.hypothesis_twice_nll["half"] + 1e-6).all()


@pytest.mark.slow
def test_a_signal_of_a_given_size_is_looked_for_everywhere(bump):
    """Mass floats under a hypothesis that fixes the height of the peak."""
    null = inference.fit_null(bump).vector
    n, grid, height = 20, np.linspace(0.0, bump.bounds[0, 1], 300), 4e-6
    found = toys(bump, null, n, seed=4, hypotheses={"signal": {"branching_ratio": height}})
    data = throw(bump, null, n, seed=4)
    each = Data(*(np.repeat(x, len(grid), axis=0) for x in data))
    held = {"mass": np.tile(grid, n), "branching_ratio": height}
    lowest = inference.fit(bump, fixed=held, data=each).twice_nll.reshape(n, -1).min(axis=1)
    assert (found.hypothesis_twice_nll["signal"] - lowest).max() < 1e-3


def test_a_scan_is_made_only_where_it_can_be(one, whole, bump):
    assert position_scan.Scan.of(one) is None
    assert position_scan.Scan.of(whole) is None
    assert position_scan.Scan.of(bump, {"mass": 2.0}) is None
    assert position_scan.Scan.of(bump, {"branching_ratio": 1e-6}) is None  # then mass has a meaning
    found = position_scan.Scan.of(bump)
    assert found is not None
    assert found.power == 1
    assert found.range[0] == 0.0
    assert found.amplitude({"branching_ratio": float(found.reference[0]) / 2}) == 0.5
    assert found.amplitude({}) is None


# ---------------------------------------------------------------- jobs


@pytest.mark.slow
def test_toys_do_not_depend_on_the_pieces(whole, monkeypatch):
    arguments = {"seed": 9, "hypotheses": {"one": {"mu": 1.0}}}
    done: list[int] = []
    at_once = toys(whole, whole.init, 30, progress=done.append, **arguments)
    assert done == [30]
    second = toys(whole, whole.init, 18, first=12, **arguments)
    monkeypatch.setattr(searches, "_BLOCK", 5)
    first = toys(whole, whole.init, 12, progress=done.append, **arguments)
    assert done == [30, 5, 5, 2]
    merged = Toys.merge(second, first)
    np.testing.assert_array_equal(merged.numbers, np.arange(30))
    np.testing.assert_array_equal(merged.seeds, 9)
    np.testing.assert_array_equal(merged.saturated, at_once.saturated)
    np.testing.assert_allclose(merged.twice_nll, at_once.twice_nll, atol=1e-8)
    np.testing.assert_allclose(merged.statistic("one"), at_once.statistic("one"), atol=1e-8)
    np.testing.assert_allclose(merged.estimates["mu"], at_once.estimates["mu"], atol=1e-6)


@pytest.mark.slow
def test_toys_of_different_things_do_not_merge(one, thrown):
    arguments = {"seed": 3, "hypotheses": {"truth": {"mu": 2.0}}, "uncertainties": True}
    again = toys(one, {"mu": 2.0}, 3, first=1999, **arguments)
    with pytest.raises(errors.DataError, match=r"1 toys are in more.* number 1999 of seed 3"):
        Toys.merge(thrown, again)
    more = dataclasses.replace(again, numbers=again.numbers + 1)
    assert Toys.merge(thrown, more).n == 2003
    elsewhere = toys(one_bin(13.0), {"mu": 2.0}, 2, first=5000, **arguments)
    other_truth = toys(one, {"mu": 2.1}, 2, first=5000, **arguments)
    other_hypothesis = dataclasses.replace(more, hypotheses={"truth": {"mu": 2.5}})
    for other, what in (
        (elsewhere, "data one-bin"),
        (other_truth, "the truth: mu is 2 in one, 2.1"),
        (other_hypothesis, "the hypotheses"),
        (dataclasses.replace(more, uncertainties={}), "the uncertainties"),
        (dataclasses.replace(more, fixed={"mu": 2.0}), "fixed"),
    ):
        with pytest.raises(errors.DataError, match=what):
            Toys.merge(thrown, other)
    with pytest.raises(errors.DataError, match="no toys to merge"):
        Toys.merge()


def test_toys_are_kept_in_a_file(thrown, tmp_path):
    path = thrown.save(tmp_path / "toys.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["toys.nc"]
    back = Toys.load(path)
    for field in dataclasses.fields(Toys):
        a, b = getattr(thrown, field.name), getattr(back, field.name)
        if isinstance(a, dict) and a and isinstance(next(iter(a.values())), np.ndarray):
            assert a.keys() == b.keys()
            for key in a:
                np.testing.assert_array_equal(a[key], b[key])
        else:
            np.testing.assert_array_equal(a, b)
    assert back.numbers.dtype == int
    assert back.failed == thrown.failed


def test_what_is_no_file_of_toys_is_refused(tmp_path, thrown):
    for name, content in (("text.nc", b"not NetCDF"), ("empty.nc", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(errors.DataError, match=name):
            Toys.load(tmp_path / name)
    with pytest.raises(errors.DataError, match=r"missing\.nc"):
        Toys.load(tmp_path / "missing.nc")
    path = thrown.save(tmp_path / "whole.nc")
    (tmp_path / "half.nc").write_bytes(path.read_bytes()[:2000])
    with pytest.raises(errors.DataError, match=r"half\.nc"):
        Toys.load(tmp_path / "half.nc")


def test_wrong_requests(one):
    with pytest.raises(errors.ParameterError, match="at least one"):
        toys(one, {"mu": 1.0}, 0)
    with pytest.raises(errors.UnknownNameError, match="m"):
        toys(one, {"mu": 1.0}, 2, hypotheses={"SM": {"mi": 1.0}})
    with pytest.raises(errors.ParameterError, match="fixed in all fits"):
        toys(one, {"mu": 1.0}, 2, hypotheses={"SM": {"mu": 1.0}}, fixed={"mu": 1.0})
    with pytest.raises(errors.UnknownNameError, match="hypothesis 'S'"):
        toys(one, {"mu": 1.0}, 2).statistic("S")


# ---------------------------------------------------------------- failures


def test_failed_toys_are_counted_and_named(one, monkeypatch):
    """Every fit of toys with 11 counts fails, and still fails when it is repeated."""
    real = searches.many.run

    def run(program, starts, data, moving, **options):
        best, minima = real(program, starts, data, moving, **options)
        bad = data.counts[:, 0] == 11.0
        return best._replace(outcome=np.where(bad, EXHAUSTED, best.outcome)), minima

    monkeypatch.setattr(searches.many, "run", run)
    found = toys(one, {"mu": 1.0}, 100, seed=2, hypotheses={"SM": {"mu": 1.0}})
    n = throw(one, {"mu": 1.0}, 100, seed=2).counts[:, 0]
    bad = np.flatnonzero(n == 11)
    assert found.failed.toys == tuple((2, int(i)) for i in bad)
    assert found.failed.causes == {"not converged after all steps": len(bad)}
    text = f"{len(bad)} of 100 toys failed (.*): number {bad[0]} of seed 2, "
    assert str(found.failed).startswith(text.split(" (")[0])
    assert f"number {bad[0]} of seed 2" in str(found.failed)
    assert f"and {len(bad) - 5} more" in str(found.failed)
    assert found.n == 100
    assert len(found.statistic("SM")) == len(found.goodness) == 100 - len(bad)
    np.testing.assert_allclose(found.statistic("SM"), deviance(n[n != 11], 12.0), atol=1e-9)
    assert (found.outcome == CONVERGED).sum() == 100 - len(bad)
    assert coverage.bias(found, "mu").n == 100 - len(bad)
    assert f"{len(bad)} of 100 toys failed" in repr(coverage.bias(found, "mu"))


def test_all_toys_may_fail(thrown):
    lost = dataclasses.replace(thrown, outcome=np.full(2000, EXHAUSTED))
    assert lost.failed.count == 2000
    with pytest.raises(errors.ParameterError, match="2000 of 2000 toys failed"):
        coverage.bias(lost, "mu")
    assert math.isnan(exceeding(lost.statistic("truth"), 1.0).value)


# ---------------------------------------------------------------- studies


def test_coverage_is_that_of_a_sum_over_counts(thrown):
    """Intervals of few counts do not cover exactly as they say; the sum says how they do."""
    n = np.arange(0, 100)
    weight = stats.poisson.pmf(n, 16.0)
    levels = (coverage.ONE_SIGMA, 0.95)
    likelihood = coverage.coverage(thrown, "mu", levels)
    hessian = coverage.coverage(thrown, "mu", levels, method="hessian")
    assert (likelihood.method, hessian.method) == ("likelihood", "hessian")
    for i, level in enumerate(levels):
        inside = deviance(n, 16.0) <= stats.chi2.ppf(level, 1)
        error = likelihood.fractions[i].error
        assert likelihood.values[i] == pytest.approx(weight[inside].sum(), abs=4 * error)
        inside = np.abs(n - 16) <= stats.norm.isf((1 - level) / 2) * np.sqrt(n)
        assert hessian.values[i] == pytest.approx(weight[inside].sum(), abs=4 * error)
    assert likelihood.errors[0] == pytest.approx(
        math.sqrt(likelihood.values[0] * (1 - likelihood.values[0]) / 2000)
    )
    assert "68.27%" in repr(likelihood)
    assert likelihood.deviations[0] == pytest.approx(
        (likelihood.values[0] - levels[0]) / math.sqrt(levels[0] * (1 - levels[0]) / 2000)
    )


def gaussian() -> bknn.Analysis:
    """40000 counts, 10000 of them signal: as good as normal, with sigma(mu) = 0.02."""
    measurement = small.one_bin(40000.0)
    spec = measurement.workspace
    spec["channels"][0]["samples"][0]["data"] = [10000.0]
    spec["channels"][0]["samples"][1]["data"] = [30000.0]
    density = bknn.data.Density(
        np.array([[7500.0, 2500.0]]), np.array([0.0, 10.0, 22.885]), np.zeros(1)
    )
    return bknn.Analysis(
        models.load("signal-strength"),
        dataclasses.replace(measurement, workspace=spec, densities={"only": density}),
    )


@pytest.mark.slow
def test_a_normal_measurement_covers_and_has_normal_pulls():
    analysis = gaussian()
    found = toys(analysis, {"mu": 1.0}, 4000, hypotheses={"truth": {"mu": 1.0}}, uncertainties=True)
    np.testing.assert_allclose(found.uncertainties["mu"], 0.02, rtol=0.03)
    for method in ("likelihood", "hessian"):
        covered = coverage.coverage(found, "mu", (0.5, coverage.ONE_SIGMA, 0.95), method=method)
        assert max(map(abs, covered.deviations)) < 3.5
    pull = coverage.pulls(found, "mu")
    assert abs(pull.mean) < 4 * pull.mean_error
    assert pull.width == pytest.approx(1.0, abs=4 * pull.width_error)
    assert pull.width_error == pytest.approx(1 / math.sqrt(8000), rel=0.1)
    # Counts are whole numbers, in steps of 1/200 of the width.
    assert stats.kstest(pull.values, "norm").pvalue > 1e-3
    assert pull.unknown == 0
    shift = coverage.bias(found, "mu")
    assert abs(shift.mean) < 4 * shift.mean_error
    assert shift.spread == pytest.approx(0.02, rel=0.05)
    assert shift.mean_error == pytest.approx(shift.spread / math.sqrt(4000))
    assert "bias of mu, true value 1" in repr(shift)
    assert "pulls of mu" in repr(pull)


def test_toys_without_an_uncertainty_are_counted(thrown):
    sigma = thrown.uncertainties["mu"].copy()
    sigma[:7], sigma[7:10] = 0.0, np.nan
    found = dataclasses.replace(thrown, uncertainties={"mu": sigma})
    assert coverage.pulls(found, "mu").unknown == 10
    assert "10 toys have no uncertainty" in repr(coverage.pulls(found, "mu"))
    whole, part = (coverage.coverage(t, "mu", method="hessian") for t in (thrown, found))
    assert part.fractions[0].k < whole.fractions[0].k
    assert part.fractions[0].n == 2000


def test_studies_say_what_they_lack(thrown):
    bare = dataclasses.replace(thrown, uncertainties={}, hypothesis_twice_nll={}, hypotheses={})
    with pytest.raises(errors.ParameterError, match="uncertainties=True"):
        coverage.pulls(bare, "mu")
    with pytest.raises(errors.ParameterError, match="no hypothesis of these toys fixes 'mu'"):
        coverage.coverage(bare, "mu", method="likelihood")
    with pytest.raises(errors.UnknownNameError, match="parameter 'nu'"):
        coverage.bias(thrown, "nu")
    with pytest.raises(errors.UnknownNameError, match="method"):
        coverage.coverage(thrown, "mu", method="bayes")


def test_fractions():
    """Clopper and Pearson by their definition: tails of the binomial distribution."""
    f = coverage.Fraction(7, 50)
    low, high = f.interval(0.9)
    assert stats.binom.sf(6, 50, low) == pytest.approx(0.05)
    assert stats.binom.cdf(7, 50, high) == pytest.approx(0.05)
    assert stats.binom.cdf(7, 50, f.upper(0.95)) == pytest.approx(0.05)
    assert stats.norm.sf(f.z) == pytest.approx(0.14)
    assert f.z_error == pytest.approx(
        (coverage.Fraction(6, 50).z - coverage.Fraction(8, 50).z) / 2 * f.error / 0.02, rel=0.02
    )
    none = coverage.Fraction(0, 1000)
    assert none.value == 0.0
    assert none.upper() == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert none.error == pytest.approx(1.148e-3, rel=1e-2)
    assert none.z == pytest.approx(stats.norm.isf(none.upper()))
    assert math.isnan(none.z_error)
    assert str(none) == "0 of 1000, < 0.003 at 95% CL"
    assert none.interval()[0] == 0.0
    assert coverage.Fraction(5, 5).interval()[1] == coverage.Fraction(5, 5).upper() == 1.0
    every = coverage.Fraction(1000, 1000)
    assert every.lower() == pytest.approx(0.05 ** (1 / 1000))
    assert (every.z, every.z_text) == (pytest.approx(-none.z), "< -2.75")
    assert str(every) == "1000 of 1000, > 0.9970 at 95% CL"
    assert coverage.Fraction(7, 50).lower() == pytest.approx(1 - coverage.Fraction(43, 50).upper())
    nothing = coverage.Fraction(0, 0)
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.z)
    assert nothing.interval() == (0.0, 1.0)


# ---------------------------------------------------------------- goodness of fit


@pytest.mark.parametrize(
    "counts", [20.0, *(pytest.param(n, marks=pytest.mark.slow) for n in (12.0, 5.0))]
)
def test_goodness_of_a_poisson_bin_by_an_exact_sum(counts):
    """With mu fixed 12 counts are expected; more or fewer are as bad if their deviance is."""
    found = goodness.goodness_of_fit(one_bin(counts), n=4000, seed=6, fixed={"mu": 1.0})
    assert found.statistic == pytest.approx(deviance(counts, 12.0), abs=1e-9)
    n = np.arange(0, 200)
    worse = deviance(n, 12.0) >= deviance(counts, 12.0) - 1e-9
    exact = stats.poisson.pmf(n, 12.0)[worse].sum()
    assert found.p == pytest.approx(exact, abs=4 * found.p_error)
    assert found.dof == 1
    assert found.asymptotic_p == pytest.approx(stats.chi2.sf(found.statistic, 1))
    assert found.failed.count == 0
    assert found.expected == pytest.approx(12.0)
    assert "from toys" in repr(found)


def test_goodness_without_degrees_of_freedom(one):
    found = goodness.goodness_of_fit(one, n=20)
    assert found.dof == 0
    assert found.statistic == pytest.approx(0.0, abs=1e-9)
    assert found.p == 1.0
    assert math.isnan(found.asymptotic_p)


@pytest.mark.slow
def test_goodness_of_other_data(whole):
    data = throw(whole, whole.init, 1, seed=11)
    own = Data(*(x[0] for x in data))
    found = goodness.goodness_of_fit(whole, n=300, data=own)
    best = inference.fit(whole, data=own).check()
    assert found.statistic == pytest.approx(float(best.twice_nll) - float(saturated(whole, own)))
    assert found.dof == 3
    # Counts are large enough for chi2 to be a guide.
    assert found.p == pytest.approx(found.asymptotic_p, abs=0.12)
