"""Best fits where an expected count vanishes: negative ones have no likelihood."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2, poisson

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data
from bknn.inference.limits.roots import EDGE, crossings
from bknn.inference.minimiser.newton import CONVERGED, NOT_FINITE
from bknn.likelihood import HistFactory
from bknn.questions.fit import fit_table

pytestmark = pytest.mark.usefixtures("quick_compilation")

MU = {"name": "mu", "type": "normfactor", "data": None}


def workspace(
    signal: list[float], background: list[float], n: list[float], *modifiers: dict[str, Any]
) -> dict[str, Any]:
    samples = [
        {"name": "s", "data": signal, "modifiers": [MU]},
        {"name": "b", "data": background, "modifiers": list(modifiers)},
    ]
    return {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": n}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def strength(content: dict[str, Any], **options: Any) -> bknn.Analysis:
    measurement = bknn.Measurement(name="made", title="made", workspace=content)
    return bknn.Analysis(models.load("signal-strength"), measurement, **options)


def counts(*n: float) -> Data:
    """Data sets of one bin without nuisances."""
    return Data(np.array(n)[:, None], np.zeros((len(n), 0)), np.zeros((len(n), 0)))


def t(n: np.ndarray, mu: float, b: float) -> np.ndarray:
    """-2 log of the likelihood ratio to the best mu >= -b, one bin with s = 1."""
    rate, best = mu + b, np.maximum(n, 0.0)
    log = np.where(n > 0, n * np.log(np.where(n > 0, best, 1.0) / rate), 0.0)
    return 2 * (rate - best + log)


@pytest.fixture(scope="module")
def one() -> bknn.Analysis:
    return strength(workspace([1.0], [0.5], [0.0]))


@pytest.fixture(scope="module")
def nuisances() -> bknn.Analysis:
    """Two bins, the first empty; its edge is a surface, and a nuisance in it is solved for."""
    return strength(
        workspace(
            [1.0, 2.0],
            [0.5, 3.0],
            [0.0, 1.0],
            {"name": "k", "type": "normsys", "data": {"lo": 0.8, "hi": 1.2}},
            {"name": "st", "type": "staterror", "data": [0.1, 0.2]},
        )
    )


# ---------------------------------------------------------------- one bin, by hand


def test_negative_rates_have_no_likelihood_whatever_pyhf_says(one):
    assert float(one.log_likelihood({"mu": -0.5})) == 0.0
    assert float(one.log_likelihood({"mu": -0.5 - 1e-6})) == -np.inf
    slope = jax.grad(lambda mu: one.log_likelihood({"mu": mu}))(-0.6)
    assert np.isfinite(slope)
    assert slope > 0  # towards larger rates
    pyhf = HistFactory.from_workspace(workspace([1.0], [0.5], [0.0]))
    assert float(pyhf.log_prob({"mu": -2.0})) == pytest.approx(1.5)


@pytest.mark.parametrize("method", ["newton", pytest.param("lbfgs", marks=pytest.mark.slow)])
def test_the_best_fit_is_where_the_expected_count_vanishes(one, method):
    best = inference.fit(one, method=method).check()
    assert best.params["mu"] == pytest.approx(-0.5, abs=1e-8)
    assert best.twice_nll == pytest.approx(0.0, abs=1e-8)
    assert "converged" in best.status
    assert "the expected count of SR bin 0 vanishes there" in best.status
    assert best.uncertainties["mu"] == 0.0
    assert "at an edge" in fit_table(best, best)


@pytest.mark.slow
def test_coverage_of_likelihood_intervals_by_exact_sums(one):
    """That of the method itself: t <= 1 and 3.84 on the allowed region, summed over all counts."""
    n = np.arange(40.0)
    for b in (0.5, 3.0):
        target = one if b == 0.5 else strength(workspace([1.0], [b], [0.0]))
        free = inference.fit(target, data=counts(*n)).check()
        np.testing.assert_allclose(free.params["mu"], n - b, atol=1e-6)
        for mu in (0.0, 0.5, 2.0):
            held = inference.fit(target, data=counts(*n), fixed={"mu": mu}).check()
            found = held.twice_nll - free.twice_nll
            np.testing.assert_allclose(found, t(n, mu, b), atol=1e-8)
            for level in (0.6827, 0.95):
                height = chi2.ppf(level, 1) + 1e-7
                weights = poisson.pmf(n, mu + b)
                assert weights[found <= height].sum() == weights[t(n, mu, b) <= height].sum()


@pytest.mark.slow
def test_intervals_end_where_the_likelihood_does(one):
    found = inference.intervals(one)
    for level, high in ((0.68, 0.0), (0.95, chi2.ppf(0.95, 1) / 2 - 0.5)):
        interval = found["mu", level]
        assert interval.low == pytest.approx(-0.5, abs=1e-8)
        assert interval.low_at_bound
        assert interval.high == pytest.approx(high, abs=1e-6)
        assert "SR bin 0 would be negative" in interval.status
    both = inference.two_sided(one, "mu")
    assert both.low[0] == pytest.approx(-0.5, abs=1e-6)
    assert both.high[0] == pytest.approx(chi2.ppf(0.95, 1) / 2 - 0.5, abs=1e-5)
    assert "an expected count vanishes" in both.remarks[0]
    flat = inference.intervals(one, method="hessian")["mu", 0.68]
    assert "at an edge" in flat.status


def test_a_profile_across_the_edge(one):
    curve = inference.profile(one, {"mu": [-2.0, -1.0, -0.5, 0.0, 1.0]})
    np.testing.assert_allclose(curve.delta, [np.inf, np.inf, 0.0, 1.0, 3.0], atol=1e-8)
    assert curve.excluded.tolist() == [True, True, False, False, False]
    assert curve.converged.tolist() == [False, False, True, True, True]
    assert "at 2 points nothing has a likelihood" in curve.status


@pytest.mark.slow
def test_contours_end_where_the_likelihood_does():
    """Two bins, of which the first is empty: r0 = mu + 0.5 + 0.4 h and r1 = 2 mu + 3."""
    shape = {"name": "h", "type": "histosys"}
    shape["data"] = {"hi_data": [0.9, 3.0], "lo_data": [0.1, 3.0]}
    target = strength(workspace([1.0, 2.0], [0.5, 3.0], [0.0, 1.0], shape))
    grid = {"mu": np.linspace(-1.4, 2.5, 9), "h": np.linspace(-3.6, 3.6, 9)}
    found = inference.contours(target, grid, sigmas=[1, 2])
    assert found.converged

    def rates(mu: Any, h: Any) -> tuple[Any, Any]:
        return mu + 0.5 + 0.4 * h, 2 * mu + 3

    def height(mu: Any, h: Any) -> Any:
        r0, r1 = rates(mu, h)
        return 2 * (r0 + r1 - np.log(r1)) + h**2

    # The best fit is on the edge r0 = 0: one parameter is left.
    lowest = minimize(lambda x: height(-0.5 - 0.4 * x[0], x[0]), [0.0], tol=1e-12).fun
    for n, lines in found.lines.items():
        (line,) = lines
        np.testing.assert_array_equal(line[0], line[-1])
        r0, r1 = rates(*line.T)
        assert (r0 > -1e-8).all()
        assert (r1 > 0).all()
        above = height(*line.T) - lowest - found.levels[n]
        edge = r0 < 1e-8
        assert 2 < edge.sum() < len(line) - 2
        np.testing.assert_allclose(above[~edge], 0.0, atol=1e-6)
        assert (above[edge] < 0).all()
    assert "Contours end where an expected count would become negative." in found.status


@pytest.mark.slow
def test_significance_and_toys(one):
    """t = 3 below mu = 1; by the toys, the exact distribution of the count."""
    found = inference.significance(one, toys=500, seed=1)
    assert (found.t, found.sign) == (pytest.approx(3.0, abs=1e-8), -1)
    assert found.failed.count == 0
    assert "vanishes" in found.status
    k = np.arange(20)
    expected = poisson.pmf(k, 1.5)[np.where(k < 1.5, -1, 1) * t(k, 1.0, 0.5) >= -3.0 - 1e-6].sum()
    assert found.global_p == pytest.approx(expected, abs=4 * max(found.global_p_error, 1e-3))
    statistic = np.sort(found.toys.statistic("null"))
    possible = np.sort(t(k, 1.0, 0.5))
    assert np.abs(statistic[:, None] - possible[None, :]).min(axis=1).max() < 1e-7


def test_a_root_search_that_begins_at_the_end_of_the_likelihood():
    x, how = crossings(
        lambda lanes, at: np.full(len(lanes), np.inf),
        np.zeros(1), -3 * np.ones(1), -np.ones(1), np.array([-9.0]),
    )  # fmt: skip
    assert how.tolist() == [EDGE]
    assert abs(x[0]) < 1e-8


def test_a_root_search_that_meets_the_end_of_the_likelihood():
    x, how = crossings(
        lambda lanes, at: np.where(at > 2.0, np.inf, at - 3.0),
        np.zeros(1), -3 * np.ones(1), np.ones(1), np.array([9.0]),
    )  # fmt: skip
    assert how.tolist() == [EDGE]
    assert x[0] == pytest.approx(2.0, rel=1e-6)


# ---------------------------------------------------------------- surfaces


def constrained(target: bknn.Analysis) -> float:
    """-2 log L at its minimum over all rates >= 0, by scipy."""
    data = target.data
    norm = float(target.log_norm(data))
    value = jax.jit(
        jax.value_and_grad(lambda v: 2 * (norm - target.log_shape(v, data, beyond=True)))
    )
    rates, slopes = jax.jit(target.rates), jax.jit(jax.jacfwd(target.rates))
    found = minimize(
        lambda v: [np.asarray(x, float) for x in value(v)],
        target.init_vector,
        jac=True,
        bounds=target.bounds,
        constraints={
            "type": "ineq",
            "fun": lambda v: np.asarray(rates(v)),
            "jac": lambda v: np.asarray(slopes(v)),
        },
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert np.min(rates(found.x)) > -1e-7
    return float(found.fun)


@pytest.mark.slow
def test_a_surface(nuisances):
    best = inference.fit(nuisances).check()
    assert best.twice_nll == pytest.approx(constrained(nuisances), abs=1e-6)
    assert best.vanishing == ["SR bin 0"]
    rates = np.asarray(nuisances.rates(best.vector))
    assert 0 <= rates[0] < 1e-8
    # Along the surface there is an uncertainty: that of the fit with mu where the surface has it.
    sigma, x = best.uncertainties, best.params
    edge = -0.5 * x["st"][0] * 1.2 ** x["k"] if x["k"] > 0 else -0.5 * x["st"][0] * 0.8 ** -x["k"]
    assert edge == pytest.approx(float(x["mu"]), abs=5e-3)
    assert 0 < sigma["mu"] < 0.2
    assert sigma["k"] == pytest.approx(1.0, abs=0.05)
    found = inference.intervals(nuisances, best=best)["mu", 0.68]
    assert found.low < float(best.params["mu"]) < found.high
    assert not found.low_at_bound  # nuisances give way, at a price
    assert found.status.startswith("closed on both sides")


@pytest.mark.slow
def test_fits_begin_where_rates_are_negative(nuisances):
    """A held mu that needs more background than there is; and one that no nuisance can serve."""
    values = {"mu": [-0.7, -1.0, -9.0], "st": np.ones((3, 2))}
    found = inference.fit(nuisances, fixed=values)
    assert found.outcome.tolist() == [CONVERGED, CONVERGED, NOT_FINITE]
    assert np.isposinf(found.twice_nll[2])
    assert "expected count is negative" in found[2].status
    assert (np.asarray([nuisances.rates(v) for v in found.vector[:2]]) >= 0).all()
    # By hand: the factor of the background that leaves nothing in the first bin, for mu = -1.
    assert float(found[1].params["k"]) == pytest.approx(np.log(2.0) / np.log(1.2), abs=1e-6)


@pytest.mark.slow
def test_several_empty_bins_with_a_shared_and_a_local_nuisance():
    rng = np.random.default_rng(5)
    shift = {"lo_data": [0.3, 1.5, 2.0], "hi_data": [0.7, 2.5, 1.0]}
    target = strength(
        workspace(
            [0.2, 3.0, 1.0],
            [0.5, 2.0, 1.5],
            [0.0, 0.0, 0.0],
            {"name": "h", "type": "histosys", "data": shift},
            {"name": "side", "type": "shapesys", "data": [0.2, 0.7, 0.5]},
        )
    )
    best = inference.fit(target).check()
    assert best.twice_nll == pytest.approx(constrained(target), abs=1e-6)
    assert best.vanishing
    data = Data(
        rng.poisson([0.4, 1.0, 0.3], (6, 3)).astype(float),
        np.tile(target.data.normal, (6, 1)),
        np.tile(target.data.poisson, (6, 1)),
    )
    many = inference.fit(target, data=data).check()
    rates = np.array([target.rates(v) for v in many.vector])
    assert (rates >= -1e-10).all()
    alone = [inference.fit(target, data=many[i].data).twice_nll for i in range(2)]
    np.testing.assert_allclose(many.twice_nll[:2], alone, atol=1e-7)
