"""Limits: closed forms of one Poisson count, batches against single points, failures, figures.

The asymptotic formulas are written anew here, with SciPy's root search on top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, norm, poisson

import bknn
from bknn import errors, inference, models
from bknn.analysis.analysis import Data
from bknn.inference.limits import conditional_fits, roots
from bknn.inference.limits.limit import Limit, limit
from bknn.inference.limits.two_sided import two_sided
from bknn.parameters import Parameter
from bknn.plot.likelihoods.limits import limits as draw_limits
from bknn.plot.likelihoods.limits import scan as draw_scan
from bknn.spectrum import Spectrum

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

S, B = 4.0, 8.0
BAND = (-2, -1, 0, 1, 2)


class Bounded:
    """A signal strength that must not be negative, up to 5."""

    name = "bounded"
    parameters = (Parameter("mu", 1.0, (0.0, 5.0)),)
    null: dict[str, float] = {}  # noqa: RUF012

    def spectrum(self, params: Any, channel: str) -> Spectrum:
        return Spectrum(standard_model=params["mu"])


class Hidden(Bounded):
    """The efficiency of its signal is least at either end of a range."""

    name = "hidden"
    parameters = (
        Parameter("mu", 1.0, (0.0, 20.0)),
        Parameter("share", 1.0, (0.5, 1.5), starts=(0.6, 1.4)),
    )

    def spectrum(self, params: Any, channel: str) -> Spectrum:
        return Spectrum(standard_model=params["mu"] * (1.0 - (params["share"] - 0.98) ** 2))


@pytest.fixture(scope="module")
def one() -> bknn.Analysis:
    """12 counts observed; other data are given as such, for which nothing is compiled anew."""
    return bknn.Analysis(models.load("signal-strength"), small.one_bin())


@pytest.fixture(scope="module")
def bounded() -> bknn.Analysis:
    return bknn.Analysis(Bounded(), small.one_bin())


def count(n: float) -> Data:
    return Data(np.array([n]), np.zeros(0), np.zeros(0))


@pytest.fixture(scope="module")
def whole() -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), small.measurement())


@pytest.fixture(scope="module")
def versus(whole: bknn.Analysis) -> Limit:
    return limit(whole, "mu", over={"norm_b": np.linspace(-1.5, 1.5, 5)})


# ------------------------------------------------------------------------- one count, closed forms


def deviance(n: float, rate: float) -> float:
    return 2 * (rate - n + (n * np.log(n / rate) if n > 0 else 0.0))


def q_tilde(mu: float, n: float) -> float:
    best = max((n - B) / S, 0.0)
    if best > mu:
        return 0.0
    return deviance(n, S * mu + B) - deviance(n, S * best + B)


def p_values(mu: float, n: float) -> tuple[float, float]:
    q, q_a = q_tilde(mu, n), q_tilde(mu, B)
    s = np.sqrt(q_a)
    t = np.sqrt(q) - s if q <= q_a else (q - q_a) / (2 * s)
    return norm.sf(t + s), norm.sf(t)


def root(function: Callable[[float], float]) -> float:
    return float(brentq(function, 1e-3, 40.0, xtol=1e-12))


@pytest.mark.parametrize("n", [3.0, 8.0, 12.0, 25.0])
def test_asymptotic_cls_of_one_count(one: bknn.Analysis, n: float) -> None:
    found = limit(one, "mu", data=count(n))

    def cls(mu: float) -> float:
        p = p_values(mu, n)
        return p[0] / p[1]

    assert found.observed[0] == pytest.approx(root(lambda mu: cls(mu) - 0.05), rel=1e-6)
    for sigma in BAND:

        def expected(mu: float, sigma: float = sigma) -> float:
            s = np.sqrt(q_tilde(mu, B))
            return norm.sf(s - sigma) / norm.cdf(sigma) - 0.05

        assert found.expected[sigma][0] == pytest.approx(root(expected), rel=1e-6)
    assert found.remarks == ("found",)
    assert found.best[0] == pytest.approx(max((n - B) / S, 0.0), abs=1e-8)


@pytest.mark.parametrize("cl", [0.68, 0.9])
def test_asymptotic_cls_plus_b_of_one_count(one: bknn.Analysis, cl: float) -> None:
    found = limit(one, "mu", statistic="clsb", cl=cl)
    expected = root(lambda mu: p_values(mu, 12.0)[0] - (1 - cl))
    assert found.observed[0] == pytest.approx(expected, rel=1e-6)
    for sigma in BAND:
        level = sigma + norm.ppf(cl)
        if level <= 0:
            assert found.expected[sigma][0] == 0.0
            assert "everything above mu = 0 is excluded" in found.remarks[0]
        else:
            at = root(lambda mu, level=level: np.sqrt(q_tilde(mu, B)) - level)
            assert found.expected[sigma][0] == pytest.approx(at, rel=1e-6)


def test_counts_far_below_the_background(one: bknn.Analysis) -> None:
    """CLs+b then excludes every signal; CLs does not."""
    found = limit(one, "mu", statistic="clsb", data=count(1.0))
    assert found.observed[0] == 0.0
    assert "observed" in found.remarks[0].partition("is excluded")[2]
    assert 0.2 < limit(one, "mu", data=count(1.0)).observed[0] < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("n", [pytest.param(0, marks=pytest.mark.slow), 14])
def test_toys_of_one_count(one: bknn.Analysis, n: int) -> None:
    """q~ falls with the count, so tail probabilities are sums of Poisson probabilities."""
    found = limit(one, "mu", method="toys", toys=2000, seed=3, data=count(n))

    def exact(n: int) -> float:
        return root(lambda mu: poisson.cdf(n, S * mu + B) / poisson.cdf(n, B) - 0.05)

    error = found.observed_error[0]
    # CLs of no counts is exp(-s), known from exp(-8) of the toys, which is one or two of them.
    if n > 0:
        assert 0 < error < 0.1 * found.observed[0]
        assert abs(found.observed[0] - exact(n)) < 4 * error
    for sigma in (-1, 0, 1, 2):
        expected, error = found.expected[sigma][0], found.expected_error[sigma][0]
        assert abs(expected - exact(int(poisson.ppf(norm.cdf(sigma), B)))) < 4 * error
        assert error < 0.1 * expected
    scan = found.scans[0]
    # Below the best fit q~ is zero, and nothing is smaller.
    above = scan.values > (n - B) / S
    for p, mu in ((scan.p_signal, scan.values), (scan.p_background, 0 * scan.values)):
        probability = np.where(above, poisson.cdf(n, S * mu + B), 1.0)
        sigma = np.sqrt(probability * (1 - probability) / 2000)
        assert (np.abs(p - probability) < 5 * sigma + 1e-3).all()
    assert found.failed[0] == 0


@pytest.mark.slow
def test_toys_are_the_same_every_time(one: bknn.Analysis) -> None:
    first, again, other = (
        limit(one, "mu", method="toys", toys=200, seed=s).observed[0] for s in (1, 1, 2)
    )
    assert first == again != other


# --------------------------------------------------------------------------- many parameters, grids


@pytest.mark.slow
def test_cls_at_the_limit(whole: bknn.Analysis) -> None:
    """From single fits, one after the other."""
    found = limit(whole, "mu")
    mu = float(found.observed[0])
    null = inference.fit(whole, fixed={"mu": 0.0}).check()
    data = inference.asimov(whole, null.vector)
    best, best_a = (inference.fit(whole, data=d) for d in (None, data))
    held, held_a = (inference.fit(whole, fixed={"mu": mu}, data=d) for d in (None, data))
    assert 0 < best.params["mu"] < mu
    q = float(held.twice_nll - best.twice_nll)
    s = float(np.sqrt(held_a.twice_nll - best_a.twice_nll))
    t = np.sqrt(q) - s if q <= s**2 else (q - s**2) / (2 * s)
    assert norm.sf(t + s) / norm.sf(t) == pytest.approx(0.05, rel=1e-5)
    for sigma in BAND:
        at = inference.fit(whole, fixed={"mu": found.expected[sigma][0]}, data=data)
        s = float(np.sqrt(at.twice_nll - best_a.twice_nll))
        assert norm.sf(s - sigma) / norm.cdf(sigma) == pytest.approx(0.05, rel=1e-5)


def test_a_grid_is_its_points(whole: bknn.Analysis, versus: Limit) -> None:
    assert versus.converged.all()
    for i in (0, 3):
        alone = limit(whole, "mu", over={"norm_b": [versus.grid["norm_b"][i]]})
        assert alone.observed[0] == pytest.approx(versus.observed[i], rel=2e-6)
        for sigma in BAND:
            assert alone.expected[sigma][0] == pytest.approx(versus.expected[sigma][i], rel=2e-6)
    fixed = limit(whole, "mu", fixed={"norm_b": 0.0})
    assert fixed.observed[0] == pytest.approx(versus.observed[2], rel=2e-6)
    assert "all 5 limits found" in repr(versus)


def test_other_data_and_background(whole: bknn.Analysis) -> None:
    null = inference.fit(whole, fixed={"mu": 0.0}).check()
    data = inference.asimov(whole, null.vector)
    found = limit(whole, "mu", data=data)
    assert found.observed[0] == pytest.approx(found.expected[0][0], rel=1e-5)
    above = limit(whole, "mu", data=data, background=0.5)
    assert above.best[0] == 0.5
    assert above.observed[0] > 0.5


@pytest.mark.parametrize("cl", [0.6827, 0.95])
def test_two_sided_interval_of_one_count(one: bknn.Analysis, cl: float) -> None:
    found = two_sided(one, "mu", cl=cl)
    level = chi2.ppf(cl, 1)

    def above(mu: float) -> float:
        return deviance(12.0, S * mu + B) - level

    assert found.low[0] == pytest.approx(brentq(above, -1.9, 1.0), abs=1e-6)
    assert found.high[0] == pytest.approx(brentq(above, 1.0, 20.0), abs=1e-6)
    assert found.remarks == ("found",)


@pytest.mark.slow
def test_two_sided_interval_at_a_bound(bounded: bknn.Analysis) -> None:
    found = two_sided(bounded, "mu", data=count(9.0))
    assert (found.low[0], bool(found.low_at_bound[0])) == (0.0, True)
    assert not found.high_at_bound[0]
    assert found.remarks == ("found; the lower end is a bound",)
    assert "interval of mu" in repr(found)


# ------------------------------------------------------------------------------------ no limit


def test_beyond_the_bound(bounded: bknn.Analysis) -> None:
    found = limit(bounded, "mu", data=count(30.0))
    assert found.observed[0] == np.inf
    assert np.isfinite(found.expected[0][0])
    assert "no limit (observed): mu = 5, its upper bound, is not excluded." in found.remarks
    assert not found.converged[0]


def test_a_failed_fit_is_one_points_failure(
    whole: bknn.Analysis, versus: Limit, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = conditional_fits.Conditional.at

    def at(self: Any, points: Any, values: Any, data: Any, warm: Any) -> conditional_fits.Fits:
        found = right(self, points, values, data, warm)
        bad = (np.asarray(points) == 1) & (np.broadcast_to(values, len(points)) > 0.3)
        return found._replace(ok=found.ok & ~bad)

    monkeypatch.setattr(conditional_fits.Conditional, "at", at)
    found = limit(whole, "mu", over=versus.grid)
    assert np.isnan(found.observed[1])
    assert all(np.isnan(x[1]) for x in found.expected.values())
    kept = [0, 2, 3, 4]
    np.testing.assert_allclose(found.observed[kept], versus.observed[kept], rtol=2e-6)
    assert found.remarks[1].startswith("failed (observed, expected -2 sigma")
    assert "1 of 5 points have no complete limit" in found.status
    ends = two_sided(whole, "mu", over=versus.grid)
    assert np.isnan(ends.high[1])
    assert np.isfinite(ends.high[kept]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"poi": "nu"}, "unknown parameter 'nu'"),
        ({"method": "guess"}, "unknown method 'guess'"),
        ({"statistic": "q0"}, "unknown statistic 'q0'"),
        ({"cl": 95}, "confidence level is 95"),
        ({"background": 50.0}, "with values above it"),
        ({"over": {"mu": [1.0]}}, "cannot be fixed as well"),
        ({"over": {"ff": [0.0]}, "fixed": {"ff": 0.0}}, "on the grid and fixed as well"),
        ({"over": {"ff": [0.0], "k_b": [1.0, 1.0]}}, "different numbers of fits"),
        ({"over": {"ff": np.zeros((2, 2))}}, "the shape \\(2, 2\\)"),
        ({"method": "toys", "toys": 1}, "at least two"),
    ],
)
def test_refused(whole: bknn.Analysis, options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.BknnError, match=message):
        limit(whole, **{"poi": "mu", **options})


@pytest.mark.slow
def test_batches_of_data_are_refused(whole: bknn.Analysis) -> None:
    toys = inference.throw(whole, whole.init, 3)
    with pytest.raises(errors.ParameterError, match="3 data sets came"):
        limit(whole, "mu", data=toys)


# ------------------------------------------------------------------------------------ root search


def test_crossings_of_many_functions() -> None:
    rng = np.random.default_rng(1)
    power, at = rng.uniform(0.3, 3, 500), 10 ** rng.uniform(-3, 4, 500)
    calls = []

    def function(lanes: np.ndarray, x: np.ndarray) -> np.ndarray:
        calls.append(len(lanes))
        return x ** power[lanes] - at[lanes] ** power[lanes]

    guess = at * 10 ** rng.uniform(-2, 2, 500)
    zero, far = np.zeros(500), np.full(500, np.inf)
    x, outcome = roots.crossings(function, zero, -(at**power), guess, far)
    np.testing.assert_allclose(x, at, rtol=1e-6)
    assert (outcome == roots.FOUND).all()
    assert sum(calls) < 12 * 500


def test_crossings_that_are_none() -> None:
    def function(lanes: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.where(lanes == 0, np.nan, np.where(lanes == 1, -1.0, -x - 2.0))

    x, outcome = roots.crossings(
        function, np.zeros(3), np.full(3, -1.0), np.full(3, -0.5), np.array([-9.0, -9.0, -9.0])
    )
    assert outcome.tolist() == [roots.LOST, roots.BEYOND, roots.FOUND]
    assert np.isnan(x[:2]).all()
    assert x[2] == pytest.approx(-2.0)


# ------------------------------------------------------------------------------------ figures


def test_brazil_band(versus: Limit) -> None:
    figure = draw_limits(versus, second=versus, second_label="again", best_fit=True)
    (ax,) = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(lines["observed"], versus.observed)
    np.testing.assert_array_equal(lines["median expected"], versus.expected[0])
    assert set(lines) == {"observed", "median expected", "again", "best fit"}
    assert ax.get_yscale() == "log"
    assert "norm_b" in ax.get_xlabel()
    assert draw_limits(versus, log=False).axes[0].get_ylim()[0] == 0.0


def test_brazil_band_with_gaps(versus: Limit) -> None:
    observed = versus.observed.copy()
    observed[2] = np.nan
    expected = {s: np.where(np.arange(5) == 4, np.inf, x) for s, x in versus.expected.items()}
    figure = draw_limits(replace(versus, observed=observed, expected=expected))
    (ax,) = figure.axes
    line = next(line for line in ax.lines if line.get_label() == "observed")
    assert np.isnan(line.get_ydata()).tolist() == [False, False, True, False, False]
    # One cross for each of the two points.
    assert sorted(len(c.get_offsets()) for c in ax.collections)[-1] == 2
    assert "2 of 5 points" in figure.texts[0].get_text()


def test_figures_that_cannot_be(versus: Limit, whole: bknn.Analysis) -> None:
    nothing = np.full(5, np.nan)
    empty = replace(versus, observed=nothing, expected=dict.fromkeys(BAND, nothing))
    with pytest.raises(errors.ParameterError, match="no limit of mu"):
        draw_limits(empty)
    with pytest.raises(errors.UnknownNameError, match="unknown parameter 'mass'"):
        draw_limits(versus, over="mass")
    with pytest.raises(errors.ParameterError, match="not computed versus a grid"):
        draw_limits(limit(whole, "mu"))
    with pytest.raises(errors.ParameterError, match="no toys were thrown"):
        draw_scan(versus)


def test_scan_of_toys(one: bknn.Analysis) -> None:
    found = limit(one, "mu", method="toys", toys=200, seed=1)
    figure = draw_scan(found)
    assert figure.axes[0].get_ylabel() == "CL$_s$"
    assert "200 toys" in figure.texts[0].get_text()


@pytest.mark.slow
def test_several_minima() -> None:
    """A signal that may sit in either of two places is nowhere excluded where nobody looks."""
    analysis = bknn.Analysis(Hidden(), small.measurement())
    held = limit(analysis, "mu", fixed={"share": 1.0})
    assert held.remarks == ("found",)
    found = limit(analysis, "mu")
    assert "share floats and the likelihood has several minima in it" in found.remarks[0]
    # Its best place is at least as good as any other.
    assert found.expected[0][0] > held.expected[0][0] * (1 - 1e-6)
    shares = np.linspace(0.5, 1.5, 5)
    over = limit(analysis, "mu", over={"share": shares})
    assert found.expected[0][0] == pytest.approx(over.expected[0].max(), rel=1e-5)
