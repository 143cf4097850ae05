"""All results have one shape: they say whether to believe them, and files give them back."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from numpyro.distributions import Distribution

import bknn
from bknn import errors, inference, models, studies
from bknn.answers.answer import Answer
from bknn.answers.outline import DataOutline, Outline, is_analysis
from bknn.answers.packing import KNOWN
from bknn.inference.estimate import Fraction
from bknn.inference.posteriors.on_grid import Marginal
from bknn.inference.posteriors.posterior import Mode
from bknn.inference.posteriors.predictive import Predictive
from bknn.inference.toys.coverage import Bias, Coverage, Pulls
from bknn.inference.toys.failures import Failures
from bknn.inference.toys.toys import Toys
from bknn.priors import describe
from bknn.studies.observables.profiled import Range
from bknn.studies.power import Separation

from .. import made_up, small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def analysis() -> bknn.Analysis:
    priors = {"mass": "truncated_normal(2, 0.5, 1, 4)", "branching_ratio": "uniform(0, 24e-6)"}
    return made_up.analysis(priors=priors)


@pytest.fixture(scope="module")
def answers(analysis) -> dict[str, Answer]:
    """One result of each kind, most of them made up: their numbers make no sense."""
    random = np.random.default_rng(3)
    n, names = 7, analysis.names
    vector = analysis.init_vector
    fit = inference.FitResult(
        analysis,
        vector,
        np.array(12.5),
        np.array(1e-12),
        np.array(5),
        np.array(0),
        ~analysis.fixed,
        random.normal(size=4),
    )
    failures = Failures(((3, 4), (3, 2**40)), n, {"cause": 2})
    toys = Toys(
        "words",
        "checksum",
        {"mass": 2.0},
        {},
        {"null": {"mass": 1.0}},
        np.full(n, 2**40),
        np.arange(n),
        {"mass": random.normal(size=n)},
        {},
        random.normal(size=n),
        {"null": np.r_[math.nan, random.normal(size=n - 1)]},
        random.normal(size=n),
        np.zeros(n, int),
    )
    masses = np.linspace(1.5, 2.5, 3)
    couplings = np.linspace(0, 1e-5, 4)
    grid = random.normal(size=(3, 4))
    profile = inference.Profile(
        analysis,
        ("mass", "branching_ratio"),
        (masses, couplings),
        grid,
        random.normal(size=(3, 4, 2)),
        np.zeros((3, 4), int),
        np.full((3, 4), math.nan),
        {"sm_normalisation": grid},
        fit,
        1,
    )
    lines = {1.0: (random.normal(size=(5, 2)),), 2.0: ()}
    contours = inference.Contours(profile, {1.0: 2.3, 2.0: 6.2}, lines, {1.0: 0, 2.0: 1})
    interval = inference.Interval(
        "mass", 0.68, 2.1, 2.0, math.inf, False, True, ((2.0, math.inf),), "open."
    )
    draws = random.normal(2.0, 0.1, size=(4, 50))
    posterior = made_up.posterior(analysis, {"mass": draws}, modes=(Mode({"mass": 2.0}, 0.7),))
    # What takes long to compute.
    vars(posterior)["mode"] = vector
    vars(fit)["expected"] = np.asarray(analysis.data.counts)
    quantity = studies.Quantity("f_l", "B0 -> K*0", (1.0, 6.0))
    shifts = dict.fromkeys(
        ("pre", "post", "pre_up", "pre_down", "post_up", "post_down", "pull", "constraint"),
        random.normal(size=2),
    )
    impacts = inference.Impacts(
        poi="mass",
        result=fit,
        names=names[1:3],
        index=np.array([1, 2]),
        **shifts,
        remarks={names[2]: "is lost"},
        groups={"statistical": 0.1},
        total=0.1,
        expected_groups={"statistical": 0.1},
        expected_total=0.1,
        contributions={},
        hessian=0.1,
        derivative=analysis.data,
    )
    batch = dataclasses.replace(
        fit,
        vector=np.stack([vector, vector]),
        outcome=np.array([0, 1]),
        twice_nll=np.array([1.0, math.nan]),
    )
    vars(batch)["expected"] = np.zeros((2, analysis.n_bins))
    one = inference.Evidence(analysis, {}, (inference.Estimate(-1.0, 0.1, "bridge"),))
    power = studies.Power(("sm", "a"), np.eye(2), (vector, vector), np.eye(2) > 0)
    reweighted = inference.Reweighted(
        posterior, {"mass": analysis.parameters[0]}, np.full(200, 1 / 200), 0.1, {"mass": 0.0}, 0.2
    )
    studied = studies.Studied(posterior, reweighted, "")
    predictions = studies.Predictions(
        analysis,
        (quantity,),
        "hessian",
        np.array([0.4]),
        np.array([0.1]),
        np.eye(1),
        {0.68: (Range(0.3, math.nan),)},
        None,
        ("remark",),
    )
    found: list[Answer] = [
        fit,
        batch,
        impacts,
        profile,
        contours,
        inference.Intervals(fit, "likelihood", ("mass",), (0.68,), {("mass", 0.68): interval}),
        toys,
        inference.GoodnessOfFit(3.4, 2, 0.3, toys, fit),
        Coverage("mass", 2.0, (0.68,), (Fraction(60, 100),), "hessian", failures),
        Bias("mass", 2.0, 0.1, 0.02, 0.1, 0.4, 90, failures),
        Pulls("mass", 2.0, random.normal(size=n), 0, failures),
        posterior,
        Marginal(
            analysis, {"mass": masses}, grid[:, 0], np.zeros(3), np.array([True, False, True])
        ),
        Predictive(analysis, "posterior", np.full((n, 5), 9.0), np.full((n, 5), 8.0), 0),
        inference.Calibration(analysis, {"mass": np.arange(n)}, 99, {"mass": 0.1}, "nuts", 0),
        studies.Regions(("mass", "branching_ratio"), {}, {"a": contours}),
        predictions,
        inference.Limit(
            "mu",
            0.95,
            0.0,
            "toys",
            "cls",
            {"mass": masses},
            masses,
            {n: masses + n for n in (-2, -1, 0, 1, 2)},
            masses,
            ("found", "failed: lost.", "found"),
            masses / 10,
            {n: masses / 10 for n in (-2, -1, 0, 1, 2)},
            100,
            np.zeros(3, int),
            (None, None, None),
            "words",
            {"mu": "GeV"},
        ),
        inference.TwoSided(
            "mu",
            0.9,
            {},
            masses[:1],
            masses[:1],
            np.array([math.inf]),
            np.zeros(1, bool),
            np.ones(1, bool),
            ("found",),
        ),
        inference.FeldmanCousins(
            "mu",
            (0.9,),
            0.0,
            "sums",
            masses,
            masses,
            masses[None],
            np.zeros((1, 3)),
            masses / 10,
            np.zeros(3),
            2.0,
            0,
            np.zeros(3, int),
            ("found",) * 3,
        ),
        inference.Significance(4.0, {"mu": 0.0}, (), 1, "holds.", fit, fit, None, None),
        reweighted,
        one,
        inference.Comparison({"a": one, "b": one}),
        power,
        Separation(4.0, random.normal(size=n), random.normal(size=n)),
        studies.Outlook(
            ("sm", "a"),
            tuple(analysis.measurements),
            (),
            "rule",
            np.array([1.0]),
            {"sm": {}, "a": {"mass": 2.0}},
            {"a": fit},
            (power,),
            ((studies.Hypothesis("sm", analysis, {}),),),
            math.nan,
            (),
            {},
        ),
        studies.Compared({"a": fit}, {"a": predictions}, fit),
        studied,
        studies.PriorStudy({"given": studied}),
        studies.Band(masses, masses, masses - 1, masses + 1, "f_l", "B0 -> K*0"),
        bknn.Prediction(np.array(4.9e-6), np.array(0.3e-6), "branching_ratio", "B+ -> K+", (1, 6)),
    ]
    return {f"{type(x).__name__}-{i}": x for i, x in enumerate(found)}


def same(a: Any, b: Any) -> bool:
    """Whether two results, or parts of them, are equal, NaN included."""
    if is_analysis(a):
        return Outline.of(a).sha256 == Outline.of(b).sha256
    if isinstance(a, bknn.Measurement | DataOutline):
        return DataOutline.of(a) == DataOutline.of(b)
    if isinstance(a, Distribution):
        return describe(a) == describe(b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if dataclasses.is_dataclass(a):
        names = [f.name for f in dataclasses.fields(a)]
        return type(a) is type(b) and all(same(getattr(a, n), getattr(b, n)) for n in names)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (a != a and b != b)


def test_files_give_results_back(answers, tmp_path):
    """Without the analysis: the same arrays, words and texts."""
    for name, answer in answers.items():
        path = answer.save(tmp_path / f"{name}.nc")
        back = bknn.load(path)
        assert same(answer, back), name
        assert repr(back) == repr(answer), name
        assert back._repr_html_() == answer._repr_html_(), name
        assert back.status == answer.status, name
        np.testing.assert_array_equal(back.converged, answer.converged, err_msg=name)
        again = type(answer).load(back.save(tmp_path / "again.nc"))
        assert same(answer, again), name


def test_every_result_is_tested(answers):
    classes = [kind for kind in KNOWN.values() if isinstance(kind, type)]
    kinds = {kind.__name__ for kind in classes if issubclass(kind, Answer)}
    tested = {type(x).__name__ for x in answers.values()}
    elsewhere = {"Scenarios"}
    assert kinds - tested == elsewhere


def test_tables(answers):
    """Rows of one length, without the analysis too."""
    for answer in answers.values():
        try:
            columns = answer.columns()
        except errors.ParameterError:
            continue
        assert len({len(x) for x in columns.values()}) == 1, type(answer)
        assert len(answer.to_dataframe()) == len(next(iter(columns.values())))


def test_arrays_have_coordinates_and_units(answers):
    profile = answers["Profile-3"].to_dataset()
    assert profile["delta"].dims == ("mass", "branching_ratio")
    assert profile["mass"].attrs["units"] == "GeV"
    assert "upper bound" in profile["twice_nll"].attrs["long_name"]
    fit = answers["FitResult-0"].to_dataset()
    assert fit["value"].sel(parameter="mass") == answers["FitResult-0"].vector[0]
    assert fit["covariance"].dims == ("parameter", "parameter_2")


def test_an_analysis_is_needed_for_more(answers, analysis, tmp_path):
    fit = answers["FitResult-0"]
    path = fit.save(tmp_path / "fit.nc")
    with pytest.raises(errors.NotKeptError, match="'rates' needs the analysis"):
        bknn.load(path).target.rates(fit.vector)
    assert inference.FitResult.load(path, analysis).target is analysis
    other = bknn.Analysis(models.load("signal-strength"), small.measurement())
    with pytest.raises(errors.DataError, match="not of this Analysis"):
        bknn.load(path, other)
    with pytest.raises(errors.DataError, match="holds a FitResult, not a Profile"):
        inference.Profile.load(path)


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(errors.DataError, match="cannot be read as a result"):
        bknn.load(tmp_path / "missing.nc")
    path = Path(tmp_path / "other.nc")
    xarray.Dataset({"x": ("a", [1.0])}).to_netcdf(path, engine="scipy")
    with pytest.raises(errors.DataError, match="something else"):
        bknn.load(path)
