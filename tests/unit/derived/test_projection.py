"""Data to come: closed forms for what grows, what shrinks, and what it would tell."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray
from scipy.integrate import quad
from scipy.stats import norm, poisson

import bknn
from bknn import cli, errors, inference, models, studies
from bknn.analysis.analysis import Data
from bknn.data import Result
from bknn.derived.finer_bins import rebinned
from bknn.derived.luminosity import BELLE2, belle2_result, future_result, project
from bknn.inference.datasets import saturated, translated
from bknn.inference.fits.least_squares import minimise
from bknn.studies.information import Outcome, about_models, about_parameters, outcome
from bknn.studies.power import Hypothesis, luminosity_for, power, separation

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


def modifiers(measurement, sample):
    return {
        m["name"]: m
        for m in next(
            s for s in measurement.workspace["channels"][0]["samples"] if s["name"] == sample
        )["modifiers"]
    }


def one_bin(luminosity: float, base: float = 1.0) -> bknn.Analysis:
    """4 mu + 8 counts at 1/ab."""
    return bknn.Analysis(
        models.load("signal-strength"), project(small.one_bin(), luminosity, base=base)
    )


def hypotheses(analysis):
    return [
        Hypothesis("signal", analysis, {"mu": 1.0}),
        Hypothesis("nothing", analysis, {"mu": 0.0}, {"mu": 0.0}),
    ]


# ---------------------------------------------------------------- projections


def test_counts_templates_and_densities_grow():
    future = project(small.measurement(), 4.0, base=1.0)
    np.testing.assert_allclose(future.template("SR"), 4 * small.SIGNAL)
    np.testing.assert_allclose(future.densities["SR"].counts, 4 * small.COUNTS)
    np.testing.assert_allclose(future.densities["SR"].unmatched, 4 * small.UNMATCHED)
    np.testing.assert_allclose(future.observed["CR"], 4 * small.OBSERVED[0])
    # The original is as it was.
    np.testing.assert_allclose(small.measurement().template("SR"), small.SIGNAL)
    assert future.name == "small-4ab"
    assert future.sha256 != small.measurement().sha256


@pytest.mark.parametrize(
    ("rule", "options", "shape", "statistics"),
    [
        ("constant", {}, 1.0, 1.0),
        ("statistical", {}, 1.0, 0.1),
        ("statistical", {"statistical": ["shape_*", "norm_b"]}, 0.1, 0.1),
        ("all", {"floor": 0.05}, 0.1, 0.1),
        ("all", {"floor": 0.25}, 0.25, 0.25),
    ],
)
def test_rules(rule, options, shape, statistics):
    future = project(small.measurement(), 100.0, base=1.0, systematics=rule, **options)
    found = modifiers(future, "background")
    high = np.array(found["shape_b"]["data"]["hi_data"])
    moved = 100 * (small.BACKGROUND + shape * (small.SHAPE[1] - small.BACKGROUND))
    np.testing.assert_allclose(high, moved)
    assert found["norm_b"]["data"]["hi"] == pytest.approx(1 + shape * (small.NORM[1] - 1))
    assert found["norm_b"]["data"]["lo"] == pytest.approx(1 + shape * (small.NORM[0] - 1))
    for name, today in (("side", small.SIDEBAND), ("stat_SR", small.STATISTICS[1])):
        np.testing.assert_allclose(found[name]["data"], 100 * statistics * today)


def test_widths_of_constraints_as_an_analysis_sees_them():
    """Relative widths of staterror shrink, auxiliary counts of shapesys grow; others stay."""
    strength = models.load("signal-strength")
    today = bknn.Analysis(strength, small.measurement())
    future = bknn.Analysis(strength, project(small.measurement(), 9.0, base=1.0))
    assert future.names == today.names
    stat = [n.startswith("stat_SR") for n in np.array(today.names)[today.normal[0]]]
    np.testing.assert_allclose(future.normal[2], np.where(stat, 1 / 3, 1.0) * today.normal[2])
    np.testing.assert_allclose(future.poisson[2], 9 * today.poisson[2])
    # Constraints widen what is expected, and are not what one learns of parameters.
    found = outcome(future, {})
    np.testing.assert_allclose(found.mean, 9 * outcome(today, {}).mean)
    np.testing.assert_allclose(found.unknown, found.given)
    assert np.all(np.diag(found.unknown)[2:] > 0)
    assert about_parameters(found) == pytest.approx(0.0, abs=1e-9)


def test_configured_widths():
    spec = small.workspace()
    spec["measurements"][0]["config"]["parameters"] = [
        {"name": "shape_b", "auxdata": [0.5]},
        {"name": "side", "auxdata": [25.0, 16.0, 11.0]},
        {"name": "stat_SR", "sigmas": [0.04, 0.06, 0.08]},
    ]
    future = project(small.measurement(workspace=spec), 4.0, base=1.0, statistical=["shape_b"])
    config = {c["name"]: c for c in future.workspace["measurements"][0]["config"]["parameters"]}
    # The measured shift, 0.5 of the old width, is 1 of the new one.
    assert config["shape_b"]["auxdata"] == [1.0]
    assert config["side"]["auxdata"] == [100.0, 64.0, 44.0]
    assert config["stat_SR"]["sigmas"] == [0.02, 0.03, 0.04]


def test_backgrounds_of_a_fit():
    fitted = {"SR": {"background": 1.1 * small.BACKGROUND, "signal": [9.0, 9.0, 9.0]}}
    future = project(small.measurement(), 2.0, base=1.0, systematics="constant", backgrounds=fitted)
    np.testing.assert_allclose(future.template("SR"), 2 * small.SIGNAL)
    found = modifiers(future, "background")
    np.testing.assert_allclose(found["shape_b"]["data"]["lo_data"], 2.2 * small.SHAPE[0])
    np.testing.assert_allclose(found["side"]["data"], 2.2 * small.SIDEBAND)


def test_results_have_a_systematic_part():
    result = Result("BR", 2e-5, 3e-6, 5e-6, {"B+ -> K+": 1.0})
    today = bknn.Measurement("today", "", {}, results=(result,))

    def width(rule: str, **options: float) -> float:
        future = project(today, 1e8, base=1.0, systematics=rule, **options)
        return future.results[0].below / result.below

    assert width("constant", systematic=0.4) == pytest.approx(0.4, rel=1e-3)
    assert width("all", systematic=0.4, floor=0.25) == pytest.approx(0.1, rel=1e-3)
    assert width("statistical", systematic=0.0) == pytest.approx(1e-4)
    same = project(today, 3.0, base=3.0).results[0]
    assert (same.below, same.above, same.value) == pytest.approx((3e-6, 5e-6, 2e-5))


def test_refusals():
    with pytest.raises(errors.UnknownNameError, match="statistical"):
        project(small.measurement(), 5.0, base=1.0, systematics="statistcal")
    with pytest.raises(errors.DataError, match="base="):
        project(small.measurement(), 5.0)
    with pytest.raises(errors.ParameterError, match="positive"):
        project(small.measurement(), -1.0, base=1.0)
    with pytest.raises(errors.ParameterError, match="fraction"):
        project(small.measurement(), 5.0, base=1.0, floor=2.0)
    bad = {"SR": {"backgroud": small.BACKGROUND}}
    with pytest.raises(errors.UnknownNameError, match="background"):
        project(small.measurement(), 5.0, base=1.0, backgrounds=bad)
    with pytest.raises(errors.DataError, match="one a bin"):
        project(small.measurement(), 5.0, base=1.0, backgrounds={"SR": {"background": [1.0]}})
    belle2 = bknn.data.load("belle2-2025")
    with pytest.raises(errors.DataError, match="count twice"):
        bknn.Analysis(models.load("signal-strength"), [belle2, project(belle2, 5.0)])


def test_expectations_of_belle2():
    assert BELLE2["BR(B0 -> K*0)"].at(50.0) == pytest.approx(0.096 * 9.5e-6)
    # Between them a power law, beyond them the statistical one.
    middle = BELLE2["BR(B0 -> K*0)"].at(math.sqrt(250.0))
    assert middle == pytest.approx(9.5e-6 * math.sqrt(0.26 * 0.096))
    assert BELLE2["F_L(B0 -> K*0)"].at(5.0) == pytest.approx(0.079 * math.sqrt(10.0))
    made = belle2_result("F_L(B0 -> K*0)", 50.0).results[0]
    assert (made.observable, made.channels, made.above) == ("f_l", {"B0 -> K*0": 1.0}, 0.079)
    with pytest.raises(errors.UnknownNameError, match="F_L"):
        belle2_result("F_L(B0 -> K*)", 50.0)


@pytest.mark.slow
def test_inclusive_tag_in_other_bins():
    """The signal of the published bins to 2%, counts that add up whatever the bins."""
    belle2 = bknn.data.load("belle2-2025")
    three = rebinned(belle2, [-1.0, 4.0, 8.0, 25.0], name="three")
    simulated = sum(belle2.template(c).reshape(-1, 3).sum(axis=0) for c in belle2.channels[:2])
    np.testing.assert_allclose(three.template("q2_rec"), simulated, rtol=0.02)
    six = rebinned(belle2, [-1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 25.0], name="six")
    found = [np.add.reduceat(six.observed["q2_rec"], [0, 2, 4]), three.observed["q2_rec"]]
    np.testing.assert_allclose(*found)
    with pytest.raises(errors.DataError, match="25 GeV"):
        rebinned(belle2, [-1.0, 30.0], name="beyond")
    with pytest.raises(errors.DataError, match="q2_rec"):
        rebinned(small.measurement(), [-1.0, 25.0], name="none")


# ---------------------------------------------------------------- power


@pytest.fixture(scope="module")
def counting() -> list[Hypothesis]:
    return hypotheses(one_bin(5.0))


def test_expected_significance_of_a_counting_experiment(counting):
    """sqrt(2 ((s + b) log(1 + s/b) - s)), arXiv:1007.1727, eq. 97, s = 20, b = 40."""
    found = power(counting)
    s, b = 20.0, 40.0
    assert found.z[0, 1] == pytest.approx(math.sqrt(2 * ((s + b) * math.log(1 + s / b) - s)))
    # The larger model contains the smaller one.
    np.testing.assert_allclose(found.delta[[0, 1, 1], [0, 1, 0]], 0.0, atol=1e-9)
    assert found.converged.all()
    assert "signal" in repr(found)


def test_significance_grows_with_the_square_root(counting):
    luminosities = np.array([1.0, 5.0])
    first = power(hypotheses(one_bin(1.0))).delta[0, 1]
    delta = np.array([first, power(counting).delta[0, 1]])
    assert delta[1] == pytest.approx(5 * delta[0])
    assert luminosity_for(2.0, luminosities, delta) == pytest.approx(4.0 / first)
    assert luminosity_for(0.1, luminosities, delta) == pytest.approx(0.01 / first)
    assert luminosity_for(5.0, luminosities, delta) == math.inf


@pytest.mark.slow
def test_toys_of_a_counting_experiment(counting):
    """Beyond the median of 60 counts at a rate of 40: the Poisson probability."""
    found = separation(*counting, 500, seed=3)
    # q rises with the count.
    expected = poisson.sf(59, 40.0)
    assert found.fraction.value == pytest.approx(expected, abs=4 * math.sqrt(expected / 500))
    assert found.delta == pytest.approx(float(power(counting).delta[0, 1]))


@pytest.mark.slow
def test_least_squares_find_what_fits_find():
    """A sum of squares has the same minimum; mu = 0 of data with a signal is far away."""
    analysis = bknn.Analysis(models.load("signal-strength"), small.measurement())
    thrown = inference.throw(analysis, {**analysis.init, "mu": 3.0}, 1, seed=1)
    seen = Data(*(x[0] for x in thrown))
    moving = ~analysis.fixed
    moving[analysis.index("mu")] = False
    start = np.array(analysis.init_vector)
    start[analysis.index("mu")] = 0.0
    best = inference.fit(analysis, fixed={"mu": 0.0}, data=seen)
    found = minimise(analysis, seen, start, moving)
    assert found.converged
    assert found.deviance == pytest.approx(float(best.twice_nll - saturated(analysis, seen)))
    np.testing.assert_allclose(found.vector, best.vector, atol=1e-4)


def test_models_with_other_nuisances():
    """Auxiliary data go over by name; what only one model has is as its constraint says."""
    measurement = project(small.measurement(), 10.0, base=1.0)
    line = bknn.Analysis(models.load("resonance"), measurement)
    strength = bknn.Analysis(models.load("signal-strength"), measurement)
    data = inference.asimov(line, line.init)
    data = data._replace(normal=data.normal + 0.25)
    found = translated(data, line, strength)
    names = np.array(strength.names)[strength.normal[0]]
    shared = np.isin(names, line.names)
    np.testing.assert_allclose(found.normal[shared] - strength.normal[1][shared], 0.25)
    np.testing.assert_allclose(found.normal[~shared], strength.normal[1][~shared])
    np.testing.assert_allclose(found.counts, data.counts)
    with pytest.raises(errors.DataError, match="different measurements"):
        power([hypotheses(strength)[0], hypotheses(one_bin(5.0))[1]])


# ---------------------------------------------------------------- information


def normal(mean: float, noise: float, unknown: float = 0.0) -> Outcome:
    square = np.full((1, 1), unknown)
    return Outcome(np.array([mean]), np.array([noise]), square, 0.0 * square)


def test_information_about_models():
    """Against an integral over the outcome."""
    made = [normal(0.0, 1.0), normal(1.5, 1.0, 3.0)]
    densities = [norm(0.0, 1.0).pdf, norm(1.5, 2.0).pdf]

    def integrand(x: float) -> float:
        p = np.array([d(x) for d in densities])
        return 0.5 * float(np.sum(p * np.log(p / p.mean())))

    exact = quad(integrand, -15.0, 15.0, limit=200)[0]
    found = about_models(made, draws=40000)
    assert found.value == pytest.approx(exact, abs=4 * found.error)
    assert found.error < 0.005
    # A worse measurement tells less.
    assert about_models([o.with_noise(5.0) for o in made]).value < 0.3 * exact


def test_information_about_parameters():
    """A measurement of mu adds to what is known of it: 1/2 log (1 + V/w^2)."""
    strength = models.load("signal-strength")
    today = inference.fit(bknn.Analysis(strength, small.one_bin(20.0)))
    assert float(today.uncertainties["mu"]) == pytest.approx(math.sqrt(20) / 4)
    found = outcome(one_bin(3.0), {"mu": 3.0}, today)
    np.testing.assert_allclose(found.mean, [3 * 20.0])
    # Counts 3 (4 mu + 8): their Poisson variance is 60, that from mu 12^2 x 20/16.
    np.testing.assert_allclose(found.covariance, [[60.0 + 180.0]])
    assert about_parameters(found) == pytest.approx(0.5 * math.log(1 + 180.0 / 60.0))
    assert about_parameters(found.take([0])) == about_parameters(found)


def test_a_result_to_come():
    """What a model predicts of it, and how the prediction varies with its coupling."""
    made = future_result("branching_ratio", "B+ -> K+", 1e-6, value=0.0)
    analysis = bknn.Analysis(models.load("resonance"), made)
    truth = {"mass": 2.0, "branching_ratio": 9e-6}
    found = outcome(analysis, truth)
    np.testing.assert_allclose(found.noise, [1e-12])
    np.testing.assert_allclose(found.mean, [9e-6 + 4.97e-6], rtol=2e-3)


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--luminosity", "-1"], "positive"),
        (["scalar", "--check", "scalar"], "TRUE:TESTED"),
        (["scalar", "--check", "scalar:vector-V"], "vector-V"),
        (["scalr"], "scalar"),
        (["scalar", "--with", "BR(B0 -> K*)"], "BR(B0 -> K*0)"),
        (["scalar", "--data", "babar-2013"], "none of babar-2013"),
        (["scalar", "--systematics", "none"], "rule"),
    ],
)
def test_bad_options(words, named, capsys, monkeypatch):
    monkeypatch.setattr("bknn.precision.prepare", lambda: None)
    assert cli.main(["project", *words]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.slow
def test_today_is_where_projections_begin():
    """With today's luminosity the expected significance is what today's data have, 3.7 sigma
    (local): the truth is fitted to them."""
    belle2 = bknn.data.load("belle2-2025")
    found = studies.outlook(belle2, ["scalar"], luminosities=[0.362, 1.0], systematics="constant")
    today = found.today["scalar"]
    null = inference.fit(today.target, fixed=today.target.null_values())
    observed = math.sqrt(float(null.twice_nll - today.twice_nll))
    assert found.converged
    assert found.z[0, 1, 0] == pytest.approx(observed, abs=0.25)
    # At the luminosity for 4 sigma there are 4.
    needed = found.luminosity_for(4.0, "scalar", "sm")
    there = studies.outlook(belle2, ["scalar"], luminosities=[needed], systematics="constant")
    assert there.z[0, 1, 0] == pytest.approx(4.0, abs=0.05)


@pytest.mark.slow
def test_command(tmp_path, capsys):
    words = ["project", "sm-rescaled", "scalar", "--channels", "hadronic", "--luminosity", "1", "5"]
    code = cli.main([*words, "--worth-at", "0", "--out", str(tmp_path)])
    assert code == 0
    said = capsys.readouterr().out
    assert "integrated luminosity [/ab] for 3 sigma" in said
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["scenarios"] == ["sm", "sm-rescaled", "scalar"]
    assert np.shape(content["z"]) == (2, 3, 3)
    with xarray.open_dataset(tmp_path / "projections.nc", engine="scipy") as arrays:
        np.testing.assert_allclose(arrays.z, content["z"], rtol=1e-6)
    for name in ("exclusion", "luminosity"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10000
