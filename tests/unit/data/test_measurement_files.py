"""TOML files as people write them from a paper: units, names of decays, correlations, limits."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import bknn
from bknn import cli, data, errors, inference, models
from bknn.analysis.results import Results, over_width
from bknn.channels import spelled
from bknn.data import LimitCurve, Measurement, Result
from bknn.likelihood.histfactory import HistFactory
from bknn.questions.shared.absent import absent, on_grid
from bknn.spectrum import Line, Spectrum

#: Files that went wrong; README.md beside them says what is right.
CASES = Path(__file__).parents[2] / "fixtures" / "measurements"

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def read(tmp_path):
    """Write a text and load it."""

    def load(text: str, name: str = "my.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return data.load(tmp_path / name)

    return load


def result(**entries: str) -> str:
    given = {"name": '"a"', "channels": '"B+ -> K+"', "value": "1e-5", "uncertainty": "2e-6"}
    lines = [f"{key} = {x}" for key, x in {**given, **entries}.items() if x]
    return "\n".join(["[[results]]", *lines, ""])


# ---------------------------------------------------------------- what a paper says


def test_units_that_were_forgotten():
    with pytest.raises(errors.DataError, match=r"units\.toml, \[\[results\]\] 'K\+': 'value' is 2"):
        data.load(CASES / "units.toml")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"value": "", "uncertainty": "", "upper": "5.5"}, "'upper' is 5.5, and a branching"),
        ({"value": "0.8", "uncertainty": "0.3"}, "'value' is 0.8, and .* order of 1e-5"),
        ({"value": "1e-5", "uncertainty": "0.3"}, "'uncertainty' is 0.3"),
        ({"value": "2e-10", "uncertainty": "1e-10"}, "'value' is 2e-10, and .* unusual = true"),
        ({"observable": '"f_l"', "channels": '"B0 -> K*0"', "value": "54"}, "a percentage"),
        ({"observable": '"f_l"'}, r"'f_l' is nothing that 'B\+ -> K\+' has; it is one of B\+ -> K"),
        ({"observable": '"r_k"', "channels": '"Bs -> phi"'}, r"'r_k' is nothing .* B\+ -> K\+, B0"),
        ({"observable": '"dbr_dq2"'}, "a function of q2"),
        ({"observable": '"f_k"'}, "unknown observable 'f_k' in .*did you mean"),
        ({"q2": "[23.0, 25.0]"}, r"beyond the endpoint of 'B\+ -> K\+', 22.90"),
        ({"q2": "[20, 21]", "channels": '"B0 -> K*0"'}, r"beyond the endpoint of 'B0 -> K\*0'"),
        ({"q2": "[1, 2]", "channels": '"Bs -> invisible"'}, "leave q2 out"),
        ({"channels": '{"B0 -> KS" = 1, "B0->K0" = 1}'}, "'B0 -> K0' twice"),
        ({"channels": '{"B0 -> K0" = 0}'}, "no weight but 0"),
        ({"channels": '"B+ -> K0"'}, r"unknown channel 'B\+ -> K0' in .*\[\[results\]\] 'a'"),
        ({"efficiency": "1e-3"}, "'efficiency' belongs to 'events'"),
        ({"value": "", "events": "3", "efficiency": "2"}, "'efficiency' is 2, but cannot"),
        ({"value": "", "events": "3", "efficiency": "1e-3", "parents": "7"}, r"at least 10000"),
        (
            {"value": "", "events": "3e5", "efficiency": "1e-3", "parents": "1e8"},
            "'events' makes 3",
        ),
    ],
)
def test_entries_that_make_no_sense(read, entries, words):
    with pytest.raises(errors.BknnError, match=words) as caught:
        read(result(**entries))
    assert "my.toml, [[results]] 'a'" in str(caught.value)


def test_what_is_unusual_can_be_meant(read):
    found = read(result(value="0.8", uncertainty="0.3", unusual="true"))
    assert found.results[0].value == 0.8
    with pytest.raises(errors.DataError, match="below 1"):
        read(result(value="2.3", unusual="true"))


def test_names_of_decays():
    """A limit of 1.3e-5 on KS is one of 2.6e-5 on K0, as half of the K0 are KS."""
    found = {r.name: r for r in data.load(CASES / "channels.toml").results}
    assert found["KS"].channels == {"B0 -> K0": 0.5}
    assert found["K*0"].channels == {"B0 -> K*0": 1.0}
    assert found["K+"].channels == {"B+ -> K+": 1.0}
    (belle,) = (r for r in data.load("belle-2017").results if r.name == "BR(B0 -> KS)")
    assert dict(belle.channels) == found["KS"].channels


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("B+->K*+nunubar", ("B+ -> K*+", 1.0)),
        ("B+ -> K*(892)+ + invisible", ("B+ -> K*+", 1.0)),
        ("B0 \u2192 K*0 \u03bd\u03bd\u0304", ("B0 -> K*0", 1.0)),
        ("B0 -> K_S0", ("B0 -> K0", 0.5)),
        ("B0 -> KL nu nu", ("B0 -> K0", 0.5)),
        ("B_s0 -> phi(1020)", ("Bs -> phi", 1.0)),
        ("Bs -> nu nu-bar", ("Bs -> invisible", 1.0)),
    ],
)
def test_spellings(text, means):
    assert spelled(text) == means


def test_ratios_of_a_ks_are_those_of_a_k0(read):
    found = read(result(observable='"r_k"', channels='"B0 -> KS"', value="2.0", uncertainty="1.0"))
    assert found.results[0].channels == {"B0 -> K0": 1.0}


def test_counts_of_a_ks(read):
    text = """
[production]
pairs = 4e8
[[counts]]
channel = "a"
decay = "B0 -> {}"
observed = 3
efficiency = {{ value = 1e-3, statistical = [2e-4, 1e-4] }}
backgrounds = [{{ name = "b", value = 2.0, statistical = [0.8, 0.4], systematic = 0.2 }}]
"""
    whole, half = read(text.format("K0")), read(text.format("KS"), "half.toml")
    assert half.decay("a") == "B0 -> K0"
    np.testing.assert_allclose(half.template("a"), 0.5 * whole.template("a"))
    # Asymmetric uncertainties are the yields one standard deviation up and down.
    pdf = HistFactory.from_workspace(whole.workspace)
    at = {name: float(value) for name, value in pdf.init.items()}

    def moved(**by: float) -> float:
        return float(pdf.expected({**at, **by})["a"][0]) - float(pdf.expected(at)["a"][0])

    assert moved(**{"b_a_stat": 1.0}) == pytest.approx(0.8)
    assert moved(**{"b_a_stat": -1.0}) == pytest.approx(-0.4)
    assert moved(**{"efficiency_a_stat": 1.0}) == pytest.approx(0.2 * whole.template("a")[0])
    assert moved(**{"efficiency_a_stat": -1.0}) == pytest.approx(-0.1 * whole.template("a")[0])
    low = {name: float(bound[0]) for name, bound in pdf.bounds.items()}
    assert 0.0 < float(pdf.expected({**low, "mu": 0.0})["a"][0]) < 1e-5


def test_yields_and_efficiencies():
    (found,) = data.load(CASES / "counts.toml").results
    assert found.value == pytest.approx(17.7 / (2.16e-3 * 772e6), rel=1e-12)
    assert found.value == pytest.approx(1.06e-5, abs=5e-8)
    assert found.above == pytest.approx(np.hypot(9.1, 3.4) / (2.16e-3 * 772e6), rel=1e-12)


def test_a_bin_beyond_the_endpoint(read):
    with pytest.raises(errors.DataError, match=r"beyond\.toml, \[\[results\]\] 'high q2': a bin"):
        data.load(CASES / "beyond.toml")
    spectrum = """
[[spectrum]]
name = "s"
channels = "B+ -> K+"
edges = [0, 10, {}, 25]
values = [1e-6, 1e-6, 1e-7]
uncertainties = [[2e-7, 1e-7], 1e-7, [1e-7, 2e-7]]
"""
    found = read(spectrum.format(20))
    assert [(r.above, r.below) for r in found.results] == [(2e-7, 1e-7), (1e-7, 1e-7), (1e-7, 2e-7)]
    assert [r.kind for r in found.results] == ["asymmetric", "gaussian", "asymmetric"]
    with pytest.raises(errors.DataError, match="beyond the endpoint"):
        read(spectrum.format(24))


# ---------------------------------------------------------------- correlated results


def test_two_results_of_one_fit():
    found = data.load(CASES / "correlated.toml")
    np.testing.assert_array_equal(found.correlation, [[1.0, -0.31], [-0.31, 1.0]])
    first = found.results[0]
    assert (first.above, first.below) == pytest.approx(
        (np.hypot(8, 4) * 1e-6, np.hypot(6, 4) * 1e-6)
    )
    model = models.load("sm")
    analysis = bknn.Analysis(model, found)
    # -2 log L by hand, on all four sides.
    inverse = np.linalg.inv(found.correlation)
    for x in ((1e-5, 1e-5), (3e-5, 1e-5), (3e-5, 0.0), (1e-5, 0.0)):
        pulls = [
            (m - r.value) / (r.above if m > r.value else r.below)
            for m, r in zip(x, found.results, strict=True)
        ]
        expected = analysis.results.expected(model, {}, [np.asarray(m) for m in x])
        shape = analysis.data_distribution.shape(analysis.data.counts, expected)
        assert -2.0 * float(shape) == pytest.approx(np.array(pulls) @ inverse @ pulls, rel=1e-12)


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ("correlation = [[1, 0.5]]", "2 lists of 2 numbers, one a result"),
        ("correlation = [[1, 0.5], [0.4, 1]]", "not symmetric"),
        ("correlation = [[1, 1.5], [1.5, 1]]", "not positive"),
        ("correlation = [[2, 0.5], [0.5, 1]]", "diagonal"),
    ],
)
def test_correlations_that_are_none(read, top, words):
    with pytest.raises(errors.DataError, match=words):
        read(top + "\n" + result() + result(name='"b"'))
    with pytest.raises(errors.DataError, match="two of them or more"):
        read("correlation = [[1]]\n" + result())


def test_each_result_alone_has_its_interval():
    """The others profiled, p C^-1 p is the square of one pull."""
    results = tuple(Result(n, 1.0, 0.2, 0.5, {"B+ -> K+": 1.0}) for n in "ab")
    one = Results(
        [Measurement("m", "", {}, results=results, correlation=np.array([[1, 0.8], [0.8, 1]]))]
    )
    for x, wanted in ((1.5, 1.0), (0.8, 1.0), (2.0, 4.0)):

        def pulls(y, x=x):
            return one.expected(None, {}, [jnp.asarray(x), y])

        chi2 = jnp.sum(jax.vmap(pulls)(jnp.linspace(0.0, 4.0, 4001)) ** 2, axis=1)
        assert float(chi2.min()) == pytest.approx(wanted, rel=1e-4)


# ---------------------------------------------------------------- limits against a mass

CURVE = LimitCurve("X", {"B+ -> K+": 1.0}, (0.5, 2.0, 4.0), (2e-6, 4e-6, 1e-6), 0.9)

LIMITS = """
[[limits]]
name = "X"
channels = "B+ -> K+"
mass = [0.5, 2.0, 4.0]
upper = [2e-6, 4e-6, 1e-6]
"""


def measured(*curves: LimitCurve) -> Measurement:
    return Measurement("limits", "", {}, curves=curves or (CURVE,))


def test_limits_in_a_file(read, tmp_path):
    text = LIMITS
    found = read(text)
    assert found.curves == (CURVE,)
    assert found.entries == ("X",)
    assert found.n_bins == 1
    assert found.select("X").curves == (CURVE,)
    assert "0.5 to 4 GeV" in found.summary()
    (tmp_path / "table.csv").write_text("# GeV\nmass, limit\n0.5, 2e-6\n2, 4e-6\n4, 1e-6\n")
    beside = text.split("mass")[0] + 'file = "table.csv"\n'
    again = read(beside)
    assert again.curves == (CURVE,)
    (tmp_path / "table.csv").write_text("0.5, 2e-6\n2, 4e-6\n4, 2e-6\n")
    assert read(beside).sha256 != again.sha256
    half = read(text.replace("B+ -> K+", "B0 -> KS"))
    assert half.curves[0].channels == {"B0 -> K0": 0.5}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[0.5, 2.0, 4.0]", "[0.5, 4.0, 2.0]", "increase"),
        ("[0.5, 2.0, 4.0]", "[500, 2000, 4000]", r"reaches 4000 GeV.*4\.786 GeV.*in GeV"),
        ("[0.5, 2.0, 4.0]", "[0.5, 2.0]", "3 limits at 2 masses"),
        ("[0.5, 2.0, 4.0]", "[]", "list of numbers"),
        ("2e-6", "2.0", "'upper' is 2, and a branching fraction"),
        ("2e-6", "-2e-6", "must be positive"),
        ("B+ -> K+", "Bs -> invisible", "no daughter"),
        ("upper", "level = 90\nupper", "confidence level"),
        ("mass =", 'file = "none.csv"\nmass =', "either 'mass' and 'upper'"),
        ("mass =", "q2 =", "unknown entry 'q2'"),
    ],
)
def test_limits_that_make_no_sense(read, old, new, words):
    with pytest.raises(errors.BknnError, match=words) as caught:
        read(LIMITS.replace(old, new, 1))
    assert "my.toml, [[limits]] 'X'" in str(caught.value)


def test_the_term_gives_the_limit_back():
    """At each mass a flat prior on what is not negative has 90 % below the limit."""

    def pull(x, mass):
        return over_width(CURVE, Spectrum(lines=(Line(mass, x),)))

    for mass, upper in ((0.5, 2e-6), (1.0, 2e-6 * 2 ** (1 / 3)), (2.0, 4e-6), (3.0, 2e-6)):
        at_limit = float(pull(upper, mass))
        assert 2.0 * norm.sf(at_limit) == pytest.approx(0.1, rel=1e-9)
    assert float(pull(1e-5, 0.49)) == float(pull(1e-5, 4.01)) == 0.0
    slope, mass_slope = jax.grad(pull, argnums=(0, 1))(1e-6, 1.3)
    step = 1e-5
    wanted = (float(pull(1e-6, 1.3 + step)) - float(pull(1e-6, 1.3 - step))) / (2 * step)
    assert float(mass_slope) == pytest.approx(wanted, rel=1e-7)
    assert float(slope) == pytest.approx(float(pull(1e-6, 1.3)) / 1e-6, rel=1e-12)
    # Two lines of one mass are one of the sum.
    two = Spectrum(lines=(Line(1.3, 1e-6), Line(1.3, 2e-6)))
    assert float(over_width(CURVE, two)) == pytest.approx(float(pull(3e-6, 1.3)))


@pytest.mark.slow
def test_a_limit_of_a_limit():
    """The limit that was published is the one that a computation finds, at masses in between."""
    analysis = bknn.Analysis(models.load("resonance"), measured())
    masses = np.array([0.5, 1.0, 3.0])
    found = inference.limit(
        analysis,
        "branching_ratio",
        cl=0.9,
        over={"mass": masses},
        fixed={"sm_normalisation": 1.0},
    )
    wanted = np.exp(np.interp(masses, CURVE.mass, np.log(CURVE.upper)))
    np.testing.assert_allclose(found.observed, wanted, rtol=1e-4)


def test_masses_outside_are_told():
    analysis = bknn.Analysis(models.load("resonance"), measured())
    points = on_grid(analysis, analysis.init_vector, {"mass": np.array([0.1, 1.0, 4.5, 2.0])})
    (told,) = absent(analysis, points)
    assert told == "'X' says nothing at 2 of 4 points: its limits are for masses of 0.5 to 4 GeV."
    assert absent(analysis, points[1]) == []
    assert absent(analysis, points[0])[0].startswith("'X' says nothing here")


@pytest.mark.slow
def test_a_profile_with_limits(tmp_path, capsys):
    """In the shell: the fit, the profile, and what is told about masses without a limit."""
    (tmp_path / "my.toml").write_text(LIMITS, encoding="utf-8")
    file, out = str(tmp_path / "my.toml"), str(tmp_path / "out")
    words = [
        "profile",
        "resonance",
        "--data",
        file,
        "belle2-2025-hadronic",
        "--over",
        "mass=1:4.5:8",
    ]
    assert cli.main([*words, "--out", out, "--no-figures"]) == 0
    shown = capsys.readouterr().out
    assert "1 limit curve" in shown
    assert "absent           'X' says nothing at 1 of 8 points" in shown
    content = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert len(content["absent"]) == 1
    # Where limits are below what Belle II sees, the best fit is not much better than none.
    assert min(content["profile"]["delta"]) >= 0.0


def test_models_without_a_particle_are_refused():
    with pytest.raises(
        errors.ParameterError, match=r"'X' limits .* model 'signal-strength' has no"
    ):
        bknn.Analysis(models.load("signal-strength"), measured())
    curve = LimitCurve("X", {"B0 -> K*0": 1.0}, (0.5, 2.0), (1e-6, 1e-6))
    with pytest.raises(errors.ParameterError, match="says nothing about 'B0 -> K"):
        bknn.Analysis(models.load("resonance"), measured(curve))


@pytest.mark.slow
def test_derivatives_with_a_curve():
    curve = LimitCurve("X", {"B+ -> K+": 0.5, "B0 -> K0": 0.5}, (0.5, 2.0, 4.0), (2e-6, 4e-6, 1e-6))
    analysis = bknn.Analysis(models.load("vector"), measured(curve))
    vector = np.array(analysis.init_vector)
    vector[analysis.index("mass")] = 1.7
    rates, dense, _ = jax.jit(analysis.derivatives)(vector)
    wanted = jax.jit(jax.jacfwd(analysis.rates))(vector)
    np.testing.assert_allclose(dense, wanted[:, analysis.structure.shared], rtol=1e-10, atol=1e-25)
    model = models.load("vector")
    params = {**analysis.constants, **dict(zip(analysis.names, vector.tolist(), strict=True))}
    (one,), (other,) = (model.spectrum(params, c).lines for c in curve.channels)
    x = 0.5 * (float(one.branching_ratio) + float(other.branching_ratio))
    upper = np.exp(np.interp(1.7, curve.mass, np.log(curve.upper)))
    assert float(rates[0]) == pytest.approx(x * norm.ppf(0.95) / upper, rel=1e-10)
