"""All results have one shape: they say whether to believe them, and files give them back."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from numpyro.distributions import Distribution, Exponential, Laplace, StudentT

import bknn
from bknn import errors, inference, models, studies
from bknn.answers.answer import Answer
from bknn.answers.outline import DataOutline, Outline, identity, is_analysis
from bknn.answers.packing import KNOWN, known
from bknn.channels import CHANNELS
from bknn.inference.estimate import Fraction
from bknn.inference.posteriors.on_grid import Marginal
from bknn.inference.posteriors.posterior import Mode
from bknn.inference.posteriors.predictive import Predictive
from bknn.inference.toys.coverage import Bias, Coverage, Pulls
from bknn.inference.toys.failures import Failures
from bknn.inference.toys.toys import Toys
from bknn.models.scenarios import SCENARIOS
from bknn.plot.of_answers import figures
from bknn.postfit.counts import ChannelCounts
from bknn.postfit.curves import Curves
from bknn.postfit.postfit import Postfit
from bknn.prediction.two_body import TwoBody
from bknn.priors import describe, support_bounds
from bknn.priors.tabulated import Tabulated
from bknn.storage import sealed
from bknn.studies.observables.predictions import PLANES
from bknn.studies.observables.profiled import Range
from bknn.studies.observables.spectra import Predicted
from bknn.studies.power import Separation
from bknn.vectors.couplings import dark_photon
from bknn.vectors.over_mass import over_mass

from .. import made_up, small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def analysis() -> bknn.Analysis:
    priors = {"mass": "truncated_normal(2, 0.5, 1, 4)", "branching_ratio": Exponential(1e5)}
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
    quantities = tuple(dict.fromkeys(q for pair in PLANES for q in pair))
    quantities += (studies.Quantity("f_l", "B0 -> K*0", (1.0, 6.0)),)
    shifts = dict.fromkeys(
        ("pre", "post", "pre_up", "pre_down", "post_up", "post_down", "pull", "constraint"),
        np.abs(random.normal(size=2)),
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
    power = studies.Power(("sm", "scalar"), np.eye(2), (vector, vector), np.eye(2) > 0)
    reweighted = inference.Reweighted(
        posterior, {"mass": analysis.parameters[0]}, np.full(200, 1 / 200), 0.1, {"mass": 0.0}, 0.2
    )
    studied = studies.Studied(posterior, reweighted, "")
    regions = studies.Regions(("mass", "branching_ratio"), {}, {"a": contours})
    vars(regions)["signs"] = ((1.0, 1.0), (-1.0, 1.0))
    q2 = np.linspace(0.0, 22.0, 9)
    curve = np.linspace(1e-7, 0.0, 9)
    pair = (TwoBody((2.0, 0.1), (1e-6, 1e-7), (0.0, 0.0)), TwoBody((3, 0), (1e-6, 0), (0.2, 0)))
    curves = Curves(
        q2, curve, curve / 2, curve, 2 * curve, curve, pair, {"SR": 1e6 * q2}, {"SR": masses[:2]}
    )
    seen = [
        ChannelCounts(
            analysis.measurements[0],
            name,
            np.asarray(analysis.data.counts)[where],
            {"background": np.full(where.stop - where.start, 50.0)},
            frozenset(),
            np.ones(where.stop - where.start),
        )
        for _, name, where in analysis.channels
    ]
    rate = bknn.Prediction(curve, curve / 5, "dbr_dq2", "B+ -> K+", q2)
    whole = bknn.Prediction(np.array(5e-6), np.array(1e-6), "branching_ratio", "B+ -> K+")
    predicted = Predicted(rate, whole, None)
    spectra = studies.PredictedSpectra(
        "resonance",
        analysis.parameters[:2],
        {"mass": 2.0, "branching_ratio": 1e-6},
        "a set",
        False,
        CHANNELS["B+ -> K+"],
        22.0,
        q2,
        predicted,
        predicted,
        pair,
        (None, None),
    )
    binned = studies.Band(np.column_stack([q2[:-1], q2[1:]]), *(curve[1:],) * 3, "f_l", "B0 -> K*0")
    fitted = studies.FittedSpectra(
        tuple(analysis.measurements),
        "B0 -> K*0",
        q2,
        {"a": {"dbr_dq2": binned, "f_l": binned}},
        {"dbr_dq2": curve[1:], "f_l": curve[1:]},
    )
    line = dataclasses.replace(
        profile,
        parameters=("mass",),
        axes=(masses,),
        twice_nll=grid[:, 0],
        slope=profile.slope[:, 0, :1],
        outcome=np.zeros(3, int),
        second=np.full(3, math.nan),
        values={"g_SS": grid[:, 0]},
    )
    scenarios = studies.Scenarios(
        tuple(analysis.measurements),
        {
            name: studies.ScenarioFit(SCENARIOS[name], analysis, {}, fit, fit, one, None)
            for name, one in (("sm-rescaled", None), ("scalar-pair-S", line))
        },
    )
    predictions = studies.Predictions(
        analysis,
        quantities,
        "hessian",
        np.array([1e-5, 0.4, 1e-5, 0.3]),
        np.array([1e-6, 0.1, 1e-6, 0.1]),
        np.eye(4),
        {0.68: (Range(0.3, math.nan),) * 4},
        None,
        ("remark", "", "", ""),
    )
    vars(predictions)["standard_model"] = dict.fromkeys(quantities[:3], (1e-6, 1e-7))
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
        regions,
        studies.Exclusions(
            analysis,
            ("mass", "branching_ratio"),
            (masses, couplings),
            {"width": 0.0},
            {"a": np.abs(grid), "b": np.where(grid > 0.5, np.nan, grid), "c": np.abs(grid)},
            {"b": 2, "c": 1},
            {"c": np.abs(grid)},
            {"g": grid},
            {"g": (0.1, 1.0)},
            {"g": "$g$"},
            {"a": (120, 0)},
            {"a": 1e-3},
            {"a": grid > 0.0},
        ),
        studies.Relic(
            "dark-photon",
            "m_X",
            masses,
            {"g_X": 0.1},
            {"omega_h2": masses, "p_ann": np.where(masses > masses[1], np.nan, masses)},
            {"m_X": "GeV", "epsilon": "", "omega_h2": "", "p_ann": "cm^3/s/GeV"},
            {"a": masses},
            {"a": 1},
            "epsilon",
            0.12,
            masses,
            np.ones(len(masses), int),
        ),
        scenarios,
        Postfit(fit, fit, tuple(seen), np.asarray(analysis.data.counts), curves, False),
        spectra,
        fitted,
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
            ("sm", "scalar"),
            tuple(analysis.measurements),
            (),
            "statistical",
            np.array([1.0]),
            {"sm": {}, "scalar": {"mass": 2.0}},
            {"scalar": fit},
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
        over_mass(dark_photon(1e-3), [0.5, 2.1, 3.1], label="dark photon"),
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
    assert known("NoSuchResult") is None  # after a look at everything there is
    # Pages of the documentation define some of their own.
    own = [kind for kind in KNOWN.values() if kind.__module__.startswith("bknn.")]
    classes = [kind for kind in own if isinstance(kind, type)]
    kinds = {kind.__name__ for kind in classes if issubclass(kind, Answer)}
    tested = {type(x).__name__ for x in answers.values()}
    assert kinds == tested


def contents(figure: Figure) -> list[Any]:
    """What is drawn: kinds of artists with their numbers and words, in their order."""
    found: list[Any] = [("Figure", tuple(figure.get_size_inches()))]
    for artist in figure.findobj():
        data: Any = None
        match artist:
            case Line2D():
                data = np.asarray(artist.get_xydata())
            case Text():
                data = artist.get_text()
            case Patch():
                data = artist.get_path().vertices
            case PathCollection() | PolyCollection() | LineCollection() | ContourSet():
                data = np.concatenate([np.zeros((0, 2)), *(p.vertices for p in artist.get_paths())])
            case AxesImage():
                data = np.asarray(artist.get_array())
            case Axes():
                data = np.array([*artist.get_xlim(), *artist.get_ylim(), *artist.get_position().p0])
        found.append((type(artist).__name__, data))
    return found


#: Results of which there is no figure.
NOT_DRAWN = {
    *("FitResult", "Intervals", "Coverage", "Bias", "Pulls", "Calibration", "TwoSided"),
    *("Reweighted", "Evidence", "Power", "Separation", "Studied", "Band"),
    "Prediction",
}


@pytest.mark.slow
def test_figures_are_the_same_from_a_file(answers, tmp_path):
    """Without the analysis: every line, patch, word and limit."""
    drawn = set()
    for name, answer in answers.items():
        kind = type(answer).__name__
        if kind in NOT_DRAWN:
            continue
        back = figures(bknn.load(answer.save(tmp_path / f"{name}.nc")))
        made = figures(answer)
        assert list(back) == list(made), name
        for title, figure in made.items():
            for first, second in zip(contents(figure), contents(back[title]), strict=True):
                assert first[0] == second[0], f"{name}: {title}"
                if isinstance(first[1], np.ndarray):
                    # One prior is a table in the file; all else is the same to the last digit.
                    close = 1e-6 if title == "prior_posterior" else 0.0
                    np.testing.assert_allclose(
                        second[1], first[1], rtol=close, atol=0, err_msg=title
                    )
                else:
                    assert first[1] == second[1], f"{name}: {title}"
            drawn.add(kind)
    empty = {"Significance", "Limit"} - drawn  # without toys, at one point
    assert drawn | empty | NOT_DRAWN == {type(x).__name__ for x in answers.values()}


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
    with pytest.raises(errors.DataError, match="does not end with its checksum: it was damaged or"):
        bknn.load(path)
    sealed.seal(path)
    with pytest.raises(errors.DataError, match="something else"):
        bknn.load(path)


@pytest.mark.parametrize(
    ("prior", "where"),
    [(Exponential(2.0), (0.05, 3.0)), (Laplace(1.0, 0.3), (-1.0, 3.0))],
)
def test_priors_of_ones_own_are_kept_as_tables(prior, where):
    table = Tabulated.of(prior)
    x = np.linspace(*where, 101)
    np.testing.assert_allclose(table.log_prob(x), prior.log_prob(x), atol=3e-3)  # at the kink
    assert describe(table) == describe(prior)
    assert support_bounds(table) == support_bounds(prior)
    assert Tabulated.of(table) is table
    # Nobody knows the quantiles of this one without more packages.
    assert np.isnan(Tabulated.of(StudentT(3.0)).log_prob(np.zeros(2))).all()


def test_widths_of_constraints_tell_analyses_apart():
    """Texts of priors are rounded; what belongs together must not depend on that."""

    def of(width: float) -> bknn.Analysis:
        tilt = bknn.Parameter("tilt", 0.0, (-0.9, 5.0), constraint=(0.0, width))
        parameters = {"size": (1.0, 0.0, 50.0), "tilt": tilt}
        model = models.from_spectrum(lambda q2, size, tilt: size * (1 + tilt * q2), parameters)
        return bknn.Analysis(model, small.measurement())

    assert identity(of(0.2000)) == identity(of(0.2000))
    assert identity(of(0.2000)) != identity(of(0.2001))
