"""Simulation-based calibration: of posteriors that are right, and of some that are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import bknn
from bknn import errors, inference, models, plot
from bknn.inference.pieces import Work
from bknn.inference.posteriors.calibration import Calibration
from bknn.storage.store import Memory

from .. import quadrature, small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def one_bin():
    return bknn.Analysis(
        models.load("signal-strength"), small.one_bin(), priors={"mu": "uniform(0, 3)"}
    )


def made(one_bin, quantiles, draws=99):
    """A calibration in which true values stand at these quantiles of the draws."""
    ranks = np.floor(np.asarray(quantiles) * (draws + 1)).astype(int)
    return Calibration(one_bin, {"mu": ranks}, draws, {"mu": 0.0}, "nuts", 0)


def test_even_ranks(one_bin):
    found = made(one_bin, (np.arange(500) + 0.5) / 500)
    assert found.bins == 20
    np.testing.assert_array_equal(found.histogram("mu"), 25)
    assert found.p_values == {"mu": 1.0}
    assert found.own == ("mu",)
    assert found.status == "the ranks of 500 simulations are uniform: mu p = 1."


def test_chi_square(one_bin):
    u = np.random.default_rng(3).random(400)
    found = made(one_bin, u)
    counts = np.histogram(u, 20, (0, 1))[0]
    chi2 = np.sum((counts - 20) ** 2 / 20)
    assert found.p_values["mu"] == pytest.approx(stats.chi2(19).sf(chi2))


@pytest.mark.parametrize(
    ("true", "assumed", "said"),
    [
        ((0.0, 1.0), (0.0, 0.6), "posteriors are too narrow"),
        ((0.0, 1.0), (0.0, 1.8), "posteriors are too wide"),
        ((0.5, 1.0), (0.0, 1.0), "posteriors lie too low"),
        ((-0.5, 1.0), (0.0, 1.0), "posteriors lie too high"),
    ],
)
def test_wrong_posteriors_are_found(one_bin, true, assumed, said):
    """Normal posteriors of a normal truth."""
    x = np.random.default_rng(1).normal(*true, size=500)
    found = made(one_bin, stats.norm(*assumed).cdf(x))
    assert found.p_values["mu"] < 1e-3
    assert said in found.status
    assert found.status.startswith("The ranks of mu are not uniform (p = ")


def test_correlated_draws_are_told(one_bin):
    good = made(one_bin, (np.arange(100) + 0.5) / 100)
    found = Calibration(one_bin, good.ranks, 99, {"mu": 0.6}, "nuts", 0)
    assert "Draws of mu are correlated (0.60 from one to the next)" in found.status


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nuts", "tempered", "population"])
def test_one_bin_is_calibrated(one_bin, method):
    """Pieces in a store, one interruption, and all at once are the same."""
    n = 40 if method == "nuts" else 30
    found = inference.calibrate(one_bin, n, draws=39, method=method, seed=11)
    assert found.n == n
    assert found.method == method
    assert found.ranks["mu"].min() >= 0
    assert found.ranks["mu"].max() <= 39
    assert found.p_values["mu"] > 0.01
    assert not found.problems, found.status
    store = Memory()
    first = inference.calibrate(one_bin, 25, draws=39, method=method, seed=11, work=Work(store))
    np.testing.assert_array_equal(first.ranks["mu"], found.ranks["mu"][:25])


@pytest.mark.slow
def test_a_small_measurement_is_calibrated():
    """A rate, a flat normalisation, a normal and a Gamma constraint: a posterior each."""
    analysis = quadrature.analysis("normal(1, 1)")
    found = inference.calibrate(analysis, 60, fixed=quadrature.FIXED, draws=59, seed=1)
    assert set(found.ranks) == set(quadrature.NAMES)
    assert found.own == ("mu",)
    assert found.bins == 12
    assert found.p_values["mu"] > 0.01
    assert found.least[1] > 0.01
    assert not found.problems, found.status


def test_too_few(one_bin):
    with pytest.raises(errors.ParameterError, match="1 simulations"):
        inference.calibrate(one_bin, 1)
    with pytest.raises(errors.ParameterError, match="2 draws"):
        inference.calibrate(one_bin, 5, draws=2)
    with pytest.raises(errors.UnknownNameError, match="nuts"):
        inference.calibrate(one_bin, 5, method="nut")


def test_figure(one_bin):
    u = np.random.default_rng(3).random(500)
    found = made(one_bin, u)
    figure = plot.calibration(found)
    (ax,) = figure.axes
    steps = [p for p in ax.patches if hasattr(p, "get_data")]
    np.testing.assert_array_equal(steps[0].get_data().values, found.histogram("mu"))
    assert ax.get_title().startswith(r"$\mu$, p = 0.")
    with pytest.raises(errors.UnknownNameError):
        plot.calibration(found, ["mass"])
    with pytest.raises(errors.ParameterError, match="make no histogram"):
        plot.calibration(made(one_bin, [0.5, 0.6], draws=4))


@pytest.mark.slow
def test_belle2_is_calibrated():
    """All 232 parameters of the public likelihood, 500 simulations: ten CPU minutes."""
    analysis = bknn.Analysis(
        models.load("signal-strength"),
        bknn.data.load("belle2-2025"),
        priors={"mu": "uniform(0, 20)"},
    )
    found = inference.calibrate(analysis, 500, seed=2025)
    assert len(found.ranks) == 232
    assert found.p_values["mu"] > 0.01
    assert found.least[1] > 0.01


@pytest.mark.slow
def test_a_resonance_is_calibrated():
    """A mass whose posterior has several modes: four CPU minutes."""
    analysis = bknn.Analysis(
        models.load("resonance"),
        bknn.data.load("belle2-2025"),
        priors={"mass": "uniform(1.5, 3.0)", "branching_ratio": "uniform(0, 24e-6)"},
    )
    found = inference.calibrate(analysis, 100, seed=2025)
    assert found.method == "tempered"
    assert found.p_values["mass"] > 0.01
    assert found.p_values["branching_ratio"] > 0.01
    assert found.least[1] > 0.01
