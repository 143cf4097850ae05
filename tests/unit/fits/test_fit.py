"""Fits: what is found, how sure it is, what is said about it, and what is refused.

The likelihood that fits are compared with is `small.twice_nll`, which shares no code with bknn.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import bknn
from bknn import errors, inference, models
from bknn.analysis.analysis import Data
from bknn.questions.fit import fit_json, fit_table

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = (
    "mu", "shape_b", "ff", "k_b", "norm_b", "side[0]", "side[1]", "side[2]",
    "stat_SR[0]", "stat_SR[1]", "stat_SR[2]",
)  # fmt: skip


def analysis_of(measurement: bknn.Measurement, model: str = "signal-strength") -> bknn.Analysis:
    return bknn.Analysis(models.load(model), measurement)


@pytest.fixture(scope="module")
def whole() -> bknn.Analysis:
    analysis = analysis_of(small.measurement())
    assert analysis.names == NAMES
    return analysis


@pytest.fixture(scope="module")
def best(whole: bknn.Analysis) -> inference.FitResult:
    return inference.fit(whole).check()


@pytest.fixture(scope="module")
def one() -> bknn.Analysis:
    """12 counts where 4 mu + 8 are expected: mu = (n - 8) / 4 +- sqrt(n) / 4."""
    return analysis_of(small.one_bin())


def by_name(vector: np.ndarray) -> dict[str, Any]:
    """A vector in the order of NAMES as the arguments of `small.twice_nll`."""
    values = dict(zip(("mu", "shape_b", "ff", "k_b", "norm_b"), vector[:5], strict=True))
    return {**values, "side": vector[5:8], "stat_SR": vector[8:]}


def scipy_minimum(
    bounds: np.ndarray, start: np.ndarray, counts: Any = None, fixed: dict[int, float] | None = None
) -> Any:
    limits = [tuple(b) for b in bounds]
    for i, value in (fixed or {}).items():
        limits[i] = (value, value)
        start = np.where(np.arange(len(start)) == i, value, start)
    found = minimize(
        lambda x: min(small.twice_nll(by_name(x), counts), 1e6),
        start,
        jac="3-point",
        bounds=limits,
        method="L-BFGS-B",
        options={"ftol": 1e-14, "gtol": 1e-7, "maxiter": 2000},
    )
    return found.x, found.fun


def differences(vector: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Hessian of -log likelihood by central differences, (n, n)."""
    n = len(vector)
    result = np.zeros((n, n))

    def f(*shifts: tuple[int, float]) -> float:
        x = vector.copy()
        for i, s in shifts:
            x[i] += s
        return 0.5 * small.twice_nll(by_name(x))

    for i in range(n):
        for j in range(n):
            a, b = steps[i], steps[j]
            result[i, j] = (
                f((i, a), (j, b)) - f((i, a), (j, -b)) - f((i, -a), (j, b)) + f((i, -a), (j, -b))
            ) / (4 * a * b)
    return result


# ---------------------------------------------------------------- the minimum


def test_minimum_against_scipy(whole, best):
    vector, value = scipy_minimum(whole.bounds, whole.init_vector)
    assert best.vector.shape == (11,)
    assert best.twice_nll == pytest.approx(small.twice_nll(best.params), rel=1e-12)
    # Neither stops above the other by more than the tolerance of the worse one.
    assert best.twice_nll <= value + 1e-9
    assert best.twice_nll == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(best.vector, vector, atol=1e-3 * best.uncertainty_vector.min())
    assert best.converged
    assert best.decrement < 2e-10
    assert best.minima.shape == (1,)
    assert best.status.startswith("converged in")


def test_parameters_have_names_and_shapes(best):
    assert set(best.params) == set(best.uncertainties) == {*NAMES[:5], "side", "stat_SR"}
    assert best.params["mu"].shape == ()
    assert best.params["side"].shape == best.uncertainties["side"].shape == (3,)
    np.testing.assert_array_equal(best.params["stat_SR"], best.vector[8:])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lbfgs", pytest.param("adam", marks=pytest.mark.slow)])
def test_other_methods_agree(whole, best, method):
    other = inference.fit(whole, method=method).check()
    assert other.twice_nll == pytest.approx(float(best.twice_nll), abs=1e-8)
    np.testing.assert_allclose(
        (other.vector - best.vector) / best.uncertainty_vector, 0.0, atol=1e-3
    )


def test_fixed_parameters_against_scipy(whole, best):
    fixed = inference.fit(whole, fixed={"k_b": 1.2, "side": [0.9, 1.0, 1.1]}).check()
    _, value = scipy_minimum(
        whole.bounds, whole.init_vector, fixed={3: 1.2, 5: 0.9, 6: 1.0, 7: 1.1}
    )
    assert fixed.twice_nll == pytest.approx(value, abs=1e-6)
    assert fixed.twice_nll > best.twice_nll
    stuck = np.array([3, 5, 6, 7])
    np.testing.assert_array_equal(fixed.vector[stuck], [1.2, 0.9, 1.0, 1.1])
    np.testing.assert_array_equal(np.flatnonzero(~fixed.moving), stuck)
    assert not fixed.covariance[stuck].any()
    assert not fixed.covariance[:, stuck].any()
    assert not fixed.correlation[stuck].any()
    floats = np.setdiff1d(np.arange(11), stuck)
    np.testing.assert_allclose(np.diag(fixed.correlation)[floats], 1.0, rtol=1e-12)
    assert np.isfinite(fixed.covariance).all()


def test_everything_fixed(one):
    result = inference.fit(one, fixed={"mu": 2.0}).check()
    assert result.twice_nll == pytest.approx(-2 * (12 * math.log(16) - 16 - math.lgamma(13)))
    assert not result.covariance.any()


def test_fixed_wins_over_init(one):
    result = inference.fit(one, fixed={"mu": 2.0}, init={"mu": 3.0})
    assert result.params["mu"] == 2.0


def test_uncertainties_are_those_of_a_finite_difference_hessian(best):
    sigma = best.uncertainty_vector
    inverse = np.linalg.inv(differences(best.vector, 2e-3 * sigma))
    np.testing.assert_allclose(np.sqrt(np.diag(inverse)), sigma, rtol=1e-4)
    outer = np.outer(sigma, sigma)
    np.testing.assert_allclose(best.covariance / outer, inverse / outer, atol=1e-4)
    np.testing.assert_allclose(best.correlation, best.covariance / outer, atol=1e-12)


def test_one_bin_by_hand(one):
    result = inference.fit(one).check()
    assert result.params["mu"] == pytest.approx(1.0, abs=1e-8)
    assert result.uncertainties["mu"] == pytest.approx(math.sqrt(12) / 4, rel=1e-8)
    assert result.twice_nll == pytest.approx(-2 * (12 * math.log(12) - 12 - math.lgamma(13)))


# ---------------------------------------------------------------- many fits at once


def assert_equal_fits(a: inference.FitResult, b: inference.FitResult, sigma: np.ndarray) -> None:
    assert a.converged
    assert b.converged
    assert a.twice_nll == pytest.approx(float(b.twice_nll), abs=1e-8)
    np.testing.assert_allclose((a.vector - b.vector) / sigma, 0.0, atol=1e-3)


@pytest.mark.slow
def test_batches_of_fixed_values_equal_single_fits(whole, best):
    values = [0.0, 2.5, 2.5]
    many = inference.fit(whole, fixed={"mu": values}).check()
    assert many.vector.shape == (3, 11)
    assert many.twice_nll.shape == many.converged.shape == many.steps.shape == (3,)
    assert many.minima.shape == (3, 1)
    assert many.covariance.shape == many.correlation.shape == (3, 11, 11)
    assert many.params["side"].shape == (3, 3)
    assert many.uncertainties["mu"].tolist() == [0.0, 0.0, 0.0]
    assert many.status == "all 3 fits converged."
    np.testing.assert_array_equal(many.vector[:, 0], values)
    np.testing.assert_array_equal(many.vector[1], many.vector[2])  # the same twice
    for i in (0, 1):
        single = inference.fit(whole, fixed={"mu": values[i]})
        assert_equal_fits(many[i], single, best.uncertainty_vector)
        np.testing.assert_allclose(
            many[i].covariance, single.covariance, atol=1e-6 * single.covariance.max()
        )
        assert many[i].status.startswith("converged in")


def test_batches_of_starts_and_of_sets_of_nuisances(whole, best):
    side = [[0.7, 1.0, 1.3], [1.0, 1.0, 1.0], [1.5, 0.5, 1.0]]
    many = inference.fit(whole, init={"mu": [0.0, 5.0, 10.0], "side": side, "k_b": 0.9}).check()
    for i in range(3):
        assert_equal_fits(many[i], best, best.uncertainty_vector)
    pinned = inference.fit(whole, fixed={"side": side}).check()
    np.testing.assert_array_equal(pinned.params["side"], side)
    np.testing.assert_array_equal(pinned.uncertainties["side"], np.zeros((3, 3)))


def test_batches_of_data_by_hand(one):
    counts = np.array([[12.0], [20.0], [4.0]])
    nothing = np.zeros((3, 0))
    many = inference.fit(one, data=Data(counts, nothing, nothing)).check()
    np.testing.assert_allclose(many.params["mu"], [1.0, 3.0, -1.0], atol=1e-7)
    np.testing.assert_allclose(many.uncertainties["mu"], np.sqrt(counts[:, 0]) / 4, rtol=1e-6)
    assert many[1].params["mu"] == pytest.approx(3.0)
    assert many[1].uncertainties["mu"] == pytest.approx(math.sqrt(20) / 4)
    both = inference.fit(one, fixed={"mu": [0.0, 1.0, 2.0]}, data=Data(counts, nothing, nothing))
    rates = np.array([8.0, 12.0, 16.0])
    logs = counts[:, 0] * np.log(rates) - rates - [math.lgamma(n + 1) for n in counts[:, 0]]
    np.testing.assert_allclose(both.twice_nll, -2 * logs, rtol=1e-12)


def test_other_data_against_scipy(whole):
    counts = np.array([190.0, 160.0, 95.0, 70.0, 35.0])
    result = inference.fit(whole, data=whole.data._replace(counts=counts)).check()
    _, value = scipy_minimum(whole.bounds, whole.init_vector, counts)
    assert result.twice_nll == pytest.approx(value, abs=1e-6)
    assert result.twice_nll == pytest.approx(small.twice_nll(result.params, counts), rel=1e-12)


def test_no_counts_at_all(whole):
    """Signal and rates go down as far as there are any; negative ones have no likelihood."""
    result = inference.fit(whole, data=whole.data._replace(counts=np.zeros(5)))
    assert np.isfinite(result.twice_nll)
    assert (np.asarray(whole.rates(result.vector)) >= -1e-10).all()
    assert result.twice_nll <= small.twice_nll(by_name(whole.init_vector), np.zeros(5))


def test_a_single_fit_has_no_batch(best):
    with pytest.raises(errors.ParameterError, match="single fit"):
        best[0]


# ---------------------------------------------------------------- never uphill


@settings(max_examples=10)
@given(data=st.data())
def test_never_uphill(whole, best, data):
    never_uphill(whole, best, data)


@pytest.mark.nightly
@settings(max_examples=100)
@given(data=st.data())
def test_never_uphill_from_many_places(whole, best, data):
    never_uphill(whole, best, data)


def never_uphill(whole, best, data):
    """From anywhere, three fits at once."""
    low, high = whole.bounds.T
    low, high = np.maximum(low, -3.0), np.minimum(high, 5.0)
    unit = st.floats(0.0, 1.0, allow_subnormal=False)
    rows = st.lists(unit, min_size=11, max_size=11)
    # A rate of 1e-70 in a bin with counts has a finite logarithm, but no square of its slope.
    part = np.array([data.draw(rows) for _ in range(3)])
    part = np.where(part < 1e-6, 0.0, part)
    starts = low + part * (high - low)
    named = by_name(starts.T)
    init = {
        name: value.T if name in ("side", "stat_SR") else value for name, value in named.items()
    }
    result = inference.fit(whole, init=init)
    for i in range(3):
        before = small.twice_nll(by_name(starts[i]))
        if math.isfinite(before):
            assert result.twice_nll[i] <= before + 1e-9 * abs(before)
            # There is one minimum, so it gets there too.
            assert result.converged[i]
            assert result.twice_nll[i] == pytest.approx(float(best.twice_nll), abs=1e-8)
        else:
            assert not result.converged[i]
            assert "not finite at the start" in result[i].status
        assert (result.vector[i] >= whole.bounds[:, 0]).all()
        assert (result.vector[i] <= whole.bounds[:, 1]).all()


# ---------------------------------------------------------------- bounds


@pytest.fixture(scope="module")
def nothing_new() -> inference.FitResult:
    """3 counts where 12 are expected: the best branching ratio of X is 0."""
    analysis = analysis_of(small.one_bin(3.0), "resonance")
    return inference.fit(analysis, fixed={"mass": 2.1}).check()


def test_a_downward_fluctuation_ends_at_the_bound(nothing_new):
    result = nothing_new
    assert result.params["branching_ratio"] == 0.0
    assert result.at_bounds == ["branching_ratio"]
    assert result.status.startswith("converged in")
    assert result.status.endswith(" branching_ratio lies at its bound.")
    assert result.uncertainties["branching_ratio"] == 0.0
    assert result.uncertainties["sm_normalisation"] == pytest.approx(0.0496, abs=5e-4)
    # Floating: sm_normalisation s with 3 log(8 + 4 s) - (8 + 4 s) - (s - 1)^2 / 2 sigma^2.
    s = float(result.params["sm_normalisation"])
    sigma = math.hypot(0.044, 0.023)
    assert 12 / (8 + 4 * s) - 4 - (s - 1) / sigma**2 == pytest.approx(0.0, abs=1e-4)


def test_the_bound_stands_in_table_and_json(nothing_new):
    (row,) = (
        line
        for line in fit_table(nothing_new, nothing_new).splitlines()
        if line.startswith("branching_ratio")
    )
    assert row.split() == ["branching_ratio", "0", "at", "its", "bound"]
    content = fit_json(nothing_new, nothing_new, command="fit", settings={})
    found = content["fit"]["parameters"]["branching_ratio"]
    assert found == {"value": 0.0, "uncertainty": None, "fixed": False}
    assert "branching_ratio lies at its bound" in content["fit"]["status"]


# ---------------------------------------------------------------- when it goes wrong


def test_too_few_steps(one):
    result = inference.fit(one, init={"mu": 45.0}, max_steps=1)
    assert not result.converged
    assert result.steps == 1
    assert result.status.startswith("not converged after 1 step")
    assert "`max_steps`" in result.status
    with pytest.raises(errors.FitError, match="not converged after 1 step"):
        result.check()
    assert math.isfinite(result.twice_nll)


def test_a_start_without_rate_is_not_finite(one):
    """At mu = -9 the rate is -28, and 12 events were seen."""
    result = inference.fit(one, init={"mu": -9.0})
    assert not result.converged
    assert result.twice_nll == np.inf
    assert "not finite at the start" in result.status
    assert "Choose another `init`" in result.status
    assert np.isnan(result.uncertainties["mu"])
    with pytest.raises(errors.FitError, match="not finite at the start"):
        result.check()
    content = fit_json(result, result, command="fit", settings={})
    assert content["fit"]["twice_nll"] is None
    assert content["twice_delta_nll"] is None
    assert content["fit"]["converged"] is False
    assert content["fit"]["parameters"]["mu"]["uncertainty"] is None
    fit_table(result, result)


def test_a_batch_says_which_fit_failed(one):
    many = inference.fit(one, init={"mu": [1.0, -9.0, 2.0]})
    assert many.converged.tolist() == [True, False, True]
    assert many.status == (
        "1 of 3 fits did not converge, the first is number 1: look at result[1].status."
    )
    assert "not finite" in many[1].status
    with pytest.raises(errors.FitError, match="1 of 3 fits"):
        many.check()


@pytest.mark.slow
def test_directions_that_the_data_do_not_determine():
    """Two rates that enter as their sum only."""

    def twins(q2, a, b):
        return (a + b) / 20.0 * jnp.ones_like(q2)

    limits = (1e-6, 0.0, 1e-3)
    model = models.from_spectrum(twins, {"a": limits, "b": limits})
    analysis = bknn.Analysis(model, small.one_bin())
    result = inference.fit(analysis)
    assert result.converged
    # The sum is determined: 12 events.
    assert float(analysis.rates(result.vector)[0]) == pytest.approx(12.0, rel=1e-5)
    assert all(np.isnan(s) or s > 1e-5 for s in result.uncertainties.values())
    table = fit_table(result, result)
    if np.isnan(result.uncertainty_vector).any():
        assert "uncertainty unknown" in table
        assert "does not rise from here" in table
    content = fit_json(result, result, command="fit", settings={})
    for found in content["fit"]["parameters"].values():
        assert found["uncertainty"] is None or found["uncertainty"] > 1e-5


# ---------------------------------------------------------------- several starts


class Wells:
    """One bin whose rate is 11 + 4 w(x) with w(x) = (x^2 - 1)^2 + x / 4: two minima. For x > 2.5 it
    is negative."""

    name = "wells"
    description = "two minima"
    null: dict[str, float] = {}  # noqa: RUF012

    def __init__(self, starts: tuple[float, ...]) -> None:
        self.parameters = (bknn.Parameter("x", 1.2, (-3.0, 3.0), starts=starts),)

    def spectrum(self, params, channel):
        x = params["x"]
        return bknn.Spectrum(
            standard_model=jnp.where(x > 2.5, -9.0, (x**2 - 1) ** 2 + x / 4 + 0.75)
        )


@pytest.mark.slow
def test_the_lowest_of_several_minima():
    """5 counts are fewer than any rate: the lower well is the better one."""
    analysis = bknn.Analysis(Wells((1.2, -1.2, 2.9)), small.one_bin(5.0))
    result = inference.fit(analysis, method="lbfgs").check()
    # Roots of 4 x (x^2 - 1) + 1/4, and the rates there.
    lower, upper = np.sort(np.roots([4, 0, -4, 0.25]))[[0, 2]]
    assert result.params["x"] == pytest.approx(lower, abs=1e-4)
    rates = 11 + 4 * ((np.array([upper, lower]) ** 2 - 1) ** 2 + np.array([upper, lower]) / 4)
    minima = -2 * (5 * np.log(rates) - rates - math.lgamma(6))
    assert result.minima.shape == (3,)
    np.testing.assert_allclose(result.minima[:2], minima, atol=1e-7)
    # A start that fails counts only if all do.
    assert result.minima[2] == np.inf
    assert result.twice_nll == result.minima.min()
    # What the user says is the only start.
    told = inference.fit(analysis, method="lbfgs", init={"x": 1.2})
    assert told.minima.shape == (1,)
    assert told.params["x"] == pytest.approx(upper, abs=1e-4)


# ---------------------------------------------------------------- any log density


def quadratic(p):
    x, y = p["x"] - 1.0, p["y"] + 2.0
    return -0.5 * (2.0 * x**2 + 2.0 * x * y + 4.0 * y**2)


@pytest.mark.slow
def test_log_density():
    target = inference.LogDensity(quadratic, {"x": 0.0, "y": 0.0})
    result = inference.fit(target).check()
    np.testing.assert_allclose(result.vector, [1.0, -2.0], atol=1e-5)
    np.testing.assert_allclose(
        result.covariance, np.linalg.inv([[2.0, 1.0], [1.0, 4.0]]), rtol=1e-10
    )
    assert result.twice_nll == pytest.approx(0.0, abs=1e-9)
    assert repr(target) == "LogDensity(x, y)"
    many = inference.fit(target, fixed={"x": [1.0, 2.0]}).check()
    np.testing.assert_allclose(many.params["y"], [-2.0, -2.25], atol=1e-5)
    np.testing.assert_allclose(many.uncertainties["y"], 0.5, rtol=1e-10)


@pytest.mark.slow
def test_log_density_with_bounds_of_every_kind():
    target = inference.LogDensity(
        lambda p: -0.5 * sum((p[k] - p["centre"]) ** 2 for k in ("inside", "above", "below")),
        {"inside": 0.5, "above": 3.0, "below": -3.0, "centre": 1.0},
        {"inside": (0.0, 2.0), "above": (-2.0, np.inf), "below": (-np.inf, 5.0)},
    )
    result = inference.fit(target, fixed={"centre": 1.0}).check()
    np.testing.assert_allclose(result.vector, 1.0, atol=1e-4)
    np.testing.assert_allclose(result.uncertainty_vector, [1.0, 1.0, 1.0, 0.0], rtol=1e-10)
    # optax has no bounds: the fit creeps towards them, and -2 log L is what counts.
    for centre, bounds in ((-4.0, [0.0, -2.0, -4.0]), (9.0, [2.0, 9.0, 5.0])):
        result = inference.fit(target, fixed={"centre": centre})
        np.testing.assert_allclose(result.vector[:3], bounds, atol=1e-3)
        assert (result.vector >= target.bounds[:, 0]).all()
        assert (result.vector <= target.bounds[:, 1]).all()
        least = np.sum((np.array(bounds) - centre) ** 2)
        assert result.twice_nll == pytest.approx(least, abs=1e-2)


@pytest.mark.slow
def test_log_density_without_a_maximum():
    target = inference.LogDensity(lambda p: jnp.log(p["x"]), {"x": 1.0})
    result = inference.fit(target, max_steps=20)
    assert not result.converged
    assert "not converged after 20 steps" in result.status
    result = inference.fit(target, init={"x": -1.0}, max_steps=20)
    assert not result.converged
    assert "not finite at the start" in result.status


# ---------------------------------------------------------------- the null


def test_null_of_models_with_and_without_one(whole, best):
    null = inference.fit_null(whole).check()
    assert null.params["mu"] == 1.0
    assert null.twice_nll >= best.twice_nll
    own = models.from_spectrum(lambda q2, a: a * jnp.ones_like(q2), {"a": (1e-6, 0.0, 1e-3)})
    template = inference.fit_null(bknn.Analysis(own, small.measurement()), fixed_too={"a": 1e-5})
    assert template.twice_nll == pytest.approx(float(null.twice_nll), abs=1e-8)


def test_null_of_other_data():
    own = models.from_spectrum(lambda q2, a: a * jnp.ones_like(q2), {"a": (1e-6, 0.0, 1e-3)})
    analysis = bknn.Analysis(own, small.measurement())
    observed, given = (inference.fit_null(analysis, data=d) for d in (None, analysis.data))
    assert given.twice_nll == pytest.approx(float(observed.twice_nll), abs=1e-8)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("shape", [(1,), (4,), (6,), (2, 1), (0,)])
def test_counts_that_do_not_fit(whole, shape):
    """One count for five bins would be taken for that of each."""
    with pytest.raises(errors.ParameterError):
        inference.fit(whole, data=whole.data._replace(counts=np.ones(shape)), max_steps=0)


def test_a_parameter_that_the_model_keeps_fixed():
    analysis = analysis_of(small.one_bin(), "resonance")
    with pytest.raises(errors.BknnError, match="free"):
        inference.fit(analysis, fixed={"width": 0.1})


@pytest.mark.parametrize("bounds", [(9.0, 3.0), (5.0, 9.0), (4.0, 4.0), (math.nan, 9.0)])
def test_bounds_that_do_not_hold_the_start(bounds):
    with pytest.raises(errors.ParameterError, match="x"):
        inference.LogDensity(lambda p: -(p["x"] ** 2), {"x": 4.0}, {"x": bounds})


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"fixed": {"nu": 1.0}}, errors.UnknownNameError, ("'nu'", "'mu'")),
        ({"init": {"side[3]": 1.0}}, errors.UnknownNameError, ("side[3]", "side[2]")),
        ({"fixed": {"mu": 60.0}}, errors.ParameterError, ("mu", "60", "[-10, 50]")),
        ({"init": {"mu": math.nan}}, errors.ParameterError, ("mu", "nan", "[-10, 50]")),
        ({"fixed": {"mu": [1.0, 60.0]}}, errors.ParameterError, ("mu", "60")),
        ({"init": {"side": 20.0}}, errors.ParameterError, ("side", "[1e-10, 10]")),
        ({"init": {"side": [1.0, math.nan, 1.0]}}, errors.ParameterError, ("side",)),
        ({"init": {"side": [1.0, 1.0]}}, errors.ParameterError, ("side", "(2,)")),
        ({"init": {"mu": [[1.0, 2.0]]}}, errors.ParameterError, ("mu", "(1, 2)")),
        (
            {"fixed": {"mu": [1.0, 2.0]}, "init": {"k_b": [1.0, 1.0, 1.0]}},
            errors.ParameterError,
            ("[2, 3]", "same length"),
        ),
        ({"method": "newtn"}, errors.UnknownNameError, ("newtn", "newton")),
    ],
)
def test_refused(whole, options, kind, words):
    with pytest.raises(kind) as caught:
        inference.fit(whole, **options)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert not [w for w in words if w not in message], message


@pytest.mark.slow
def test_refused_combinations(one):
    with pytest.raises(errors.ParameterError, match="3 parameter values and 2 data sets"):
        inference.fit(
            one,
            init={"mu": [1.0, 2.0, 3.0]},
            data=Data(np.ones((2, 1)), np.zeros((2, 0)), np.zeros((2, 0))),
        )
    target = inference.LogDensity(quadratic, {"x": 0.0, "y": 0.0})
    with pytest.raises(errors.ParameterError, match="'newton' needs an Analysis"):
        inference.fit(target, method="newton")
    with pytest.raises(errors.UnknownNameError, match="'z'"):
        inference.fit(target, fixed={"z": 1.0})
    with pytest.raises(errors.UnknownNameError, match="'z'"):
        inference.LogDensity(quadratic, {"x": 0.0, "y": 0.0}, {"z": (0.0, 1.0)})
    with pytest.raises(errors.ParameterError, match=r"outside of its bounds \[3, 9\]"):
        inference.fit(
            inference.LogDensity(lambda p: -(p["x"] ** 2), {"x": 4.0}, {"x": (3.0, 9.0)}),
            init={"x": 12.0},
        )
