"""`bknn profile`, `limit`, `significance`, `toys`, `impacts`: what they print, write and refuse."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from scipy.stats import norm

import bknn
from bknn import cli, errors, inference, models
from bknn.answers.digits import in_digits
from bknn.answers.keys_of_fits import COMMON
from bknn.inference.impacts.impacts import impacts
from bknn.inference.limits.limit import limit
from bknn.inference.limits.two_sided import two_sided
from bknn.inference.profiles.intervals import intervals
from bknn.inference.profiles.profile import profile
from bknn.questions.shared import build, progress, values

from .. import small
from ..questions.test_shell import Run, refusal, run, strict_json

pytestmark = pytest.mark.usefixtures("quick_compilation")


def drawn_again(folder: Path) -> None:
    """The figures of a folder come out the same from the results that it keeps."""
    before = {p.name: p.read_bytes() for p in folder.glob("*.png")}
    assert before
    for path in folder.glob("*.p??"):
        path.unlink()
    code, out, err = run("draw", folder)
    assert (code, err) == (0, "")
    assert {p.name: p.read_bytes() for p in folder.glob("*.png")} == before
    assert all(name in out for name in before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, quick_compilation: None) -> Path:
    path = tmp_path_factory.mktemp("inference")
    (path / "small.json").write_text(json.dumps(small.workspace()))
    (path / "one.json").write_text(json.dumps(small.one_bin().workspace))
    return path


@pytest.fixture(scope="module", autouse=True)
def built_once(folder: Path) -> Iterator[dict[Any, bknn.Analysis]]:
    """Commands on the same model and data share an Analysis, and with it what was compiled."""
    known: dict[Any, bknn.Analysis] = {}
    make = build.analysis

    def analysis(asked: Any, desk: Any, named: Any = ()) -> bknn.Analysis:
        key = (asked.model, *asked.data, ",".join(asked.channels) or None)
        if key not in known:
            known[key] = make(asked, desk, named)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "analysis", analysis)
        yield known


@pytest.fixture(scope="module")
def analysis(folder: Path, built_once: dict[Any, bknn.Analysis]) -> bknn.Analysis:
    """What the commands work on, for the same questions in Python."""
    found = bknn.Analysis(models.load("signal-strength"), bknn.data.load(folder / "small.json"))
    return built_once.setdefault(("signal-strength", str(folder / "small.json"), None), found)


def ask(folder: Path, command: str, *words: object, figures: bool = False) -> tuple[Run, Path]:
    """A command on the small measurement, with what it wrote."""
    out = folder / "results" / f"{command}-{len(list(folder.glob('results/*')))}"
    given = (command, "signal-strength", "--data", folder / "small.json", "--out", out, *words)
    return run(*given, *(() if figures else ("--no-figures",))), out


def opened(path: Path) -> xarray.Dataset:
    with xarray.open_dataset(path, engine="scipy") as arrays:
        return arrays.load()


def usual(content: dict[str, Any], command: str) -> None:
    """What every `result.json` has."""
    assert content["command"] == command
    assert content["model"] == "signal-strength"
    assert content["data"] == ["small"]
    assert set(content["fit"]) == {"twice_nll", "converged", "status", "parameters"}
    assert content["fit"]["converged"] is True
    assert content["provenance"]["seed"] == content["provenance"]["settings"].get("seed")


# ---------------------------------------------------------------- bknn profile


@pytest.fixture(scope="module")
def profiled(folder: Path) -> tuple[Run, Path]:
    return ask(folder, "profile", "--over", "mu=0:2:5", "--intervals", "mu", "k_b", figures=True)


def test_profile(profiled, analysis):
    (code, out, err), folder = profiled
    assert (code, err) == (0, "")
    content = strict_json(folder / "result.json")
    usual(content, "profile")
    found = content["profile"]
    grid = np.linspace(0, 2, 5)
    expected = profile(analysis, {"mu": grid})
    assert list(found) == ["parameters", "grid", "twice_nll", "delta", "second", "status"]
    assert (found["parameters"], found["grid"]) == (["mu"], grid.tolist())
    np.testing.assert_allclose(found["twice_nll"], expected.twice_nll, atol=1e-8)
    np.testing.assert_allclose(found["delta"], expected.delta, atol=1e-8)
    assert found["second"] == [None] * 5
    assert found["status"] == ["converged"] * 5
    assert content["provenance"]["settings"]["over"] == {"mu": "0:2:5"}
    arrays = opened(folder / "profile.nc")
    assert arrays["twice_nll"].dims == ("mu",)
    np.testing.assert_array_equal(arrays["twice_nll"], found["twice_nll"])
    assert "all 5 fits converged" in out
    names = ["profile.nc", "intervals.nc", "profile.pdf", "profile.png"]
    assert out.splitlines()[-1] == f"written          {folder}/: result.json, {', '.join(names)}"
    assert {p.name for p in folder.iterdir()} == {"result.json", *names}
    drawn_again(folder)


def test_intervals(profiled, analysis):
    (_, out, _), folder = profiled
    content = strict_json(folder / "result.json")["intervals"]
    expected = intervals(analysis, ["mu", "k_b"])
    assert set(content) == {"mu", "k_b"}
    for name, found in content.items():
        assert set(found) == {"value", "68", "95", "at_bound", "regions", "status"}
        assert found["value"] == pytest.approx(expected.value[name], rel=1e-6)
        for label in ("68", "95"):
            one = expected[name, int(label) / 100]
            assert found[label] == pytest.approx([one.low, one.high], rel=1e-5)
            assert found["regions"][label] == [found[label]]
            assert found["at_bound"][label] == [one.low_at_bound, one.high_at_bound]
            assert found["status"][label] == one.status
    (row,) = (line for line in out.splitlines() if re.match(r"mu .*\.\.\..*\.\.\.", line))
    error = (content["mu"]["68"][1] - content["mu"]["68"][0]) / 2
    assert row.split()[1] == in_digits(content["mu"]["value"], error)[0]


def test_profile_of_two_parameters(folder):
    done, out = ask(
        folder, "profile", "--over", "mu=0.2:1.8:4", "--over", "k_b=0.8,1,1.2", "--intervals"
    )
    assert done.code == 0, done.err
    content = strict_json(out / "result.json")
    found = content["profile"]
    assert found["parameters"] == ["mu", "k_b"]
    np.testing.assert_allclose(found["grid"][0], np.linspace(0.2, 1.8, 4), rtol=1e-12)
    assert found["grid"][1] == [0.8, 1.0, 1.2]
    assert np.shape(found["delta"]) == np.shape(found["status"]) == (4, 3)
    assert "intervals" not in content
    assert set(content["contours"]) == {"1", "2", "3"}
    assert content["contours"]["1"]["delta"] == pytest.approx(2.2957, abs=1e-4)
    assert opened(out / "profile.nc")["delta"].dims == ("mu", "k_b")


def test_a_profile_with_a_failed_point_has_code_1(folder, monkeypatch):
    def broken(*args: Any, **options: Any) -> Any:
        found = profile(*args, **options)
        found.outcome[1] = inference.minimiser.newton.STALLED
        return found

    # The function has the name of its module.
    monkeypatch.setattr(sys.modules[profile.__module__], "profile", broken)
    (code, _, err), path = ask(folder, "profile", "--over", "mu=0:2:3", "--intervals")
    assert code == 1
    assert "1 of 3 fits did not converge, the first at mu = 1" in err
    assert strict_json(path / "result.json")["profile"]["status"] == [
        "converged",
        "stalled",
        "converged",
    ]


# ---------------------------------------------------------------- bknn limit


@pytest.mark.slow
def test_limit(folder, analysis):
    (code, out, err), path = ask(folder, "limit", "--two-sided", "--cl", "0.9")
    assert (code, err) == (0, "")
    content = strict_json(path / "result.json")
    usual(content, "limit")
    found = content["limit"]
    expected = limit(analysis, "mu", cl=0.9)
    assert (found["parameter"], found["cl"], found["grid"]) == ("mu", pytest.approx(0.9), {})
    assert found["observed"] == pytest.approx(expected.observed.tolist(), rel=1e-5)
    assert list(found["expected"]) == ["-2", "-1", "0", "1", "2"]
    for n in expected.expected:
        assert found["expected"][str(n)] == pytest.approx(expected.expected[n].tolist(), rel=1e-5)
    assert found["observed_error"] is None
    assert found["toys"] == 0
    rate = found["branching_fraction"]
    one = float(bknn.predict(models.load("signal-strength"), "branching_ratio").value)
    assert rate["standard_model"] == pytest.approx(one)
    assert rate["observed"] == pytest.approx([one * x for x in found["observed"]])
    assert rate["expected"]["2"] == pytest.approx([one * x for x in found["expected"]["2"]])
    both = two_sided(analysis, "mu", cl=0.9)
    assert content["two_sided"]["low"] == pytest.approx(both.low.tolist(), rel=1e-5)
    arrays = opened(path / "limit.nc")
    assert arrays["expected.0"].dims == ("point",)
    np.testing.assert_array_equal(arrays["expected.-1"], found["expected"]["-1"])
    assert "90% upper limit of mu (CLs, asymptotic)" in out


def test_limit_along_a_grid(folder, analysis):
    (code, out, err), path = ask(folder, "limit", "--over", "k_b=0.9,1,1.1", figures=True)
    assert (code, err) == (0, "")
    found = strict_json(path / "result.json")["limit"]
    assert found["grid"] == {"k_b": [0.9, 1.0, 1.1]}
    assert len(found["observed"]) == len(found["remarks"]) == 3
    assert re.search(r"^k_b +best fit +observed +median +1 sigma +2 sigma$", out, re.MULTILINE)
    assert "limit.pdf, limit.png" in out
    alone, other = ask(folder, "limit", "--fix", "k_b=1.1")
    assert alone.code == 0
    one = strict_json(other / "result.json")["limit"]
    assert one["observed"][0] == pytest.approx(found["observed"][2], rel=1e-5)


def test_feldman_cousins(folder):
    words = ("--feldman-cousins", "0:3:4", "--toys", "20", "--seed", "3")
    done, path = ask(folder, "limit", *words, figures=True)
    assert done.code == 0, done.err
    content = strict_json(path / "result.json")
    found = content["feldman_cousins"]
    assert {0.0, 1.0, 2.0, 3.0} <= set(found["grid"])
    assert found["grid"] == sorted(found["grid"])
    assert set(found["critical"]) == set(found["regions"]) == {"68", "95"}
    assert found["method"] == "toys"
    assert np.shape(found["region_errors"]["95"]) == np.shape(found["regions"]["95"])
    assert found["toys"] == 20
    assert content["provenance"]["seed"] == 3
    assert "Feldman-Cousins, 20 toys a value" in done.out
    assert (path / "feldman_cousins.pdf").is_file()


# ---------------------------------------------------------------- bknn impacts


def test_impacts(folder, analysis):
    (code, out, err), path = ask(folder, "impacts", "--top", "3", figures=True)
    assert (code, err) == (0, "")
    content = strict_json(path / "result.json")
    usual(content, "impacts")
    expected = impacts(analysis, "mu")
    rows = content["impacts"]
    assert [row["name"] for row in rows] == list(expected.names)
    assert {"name", "pre", "post", "pull"} <= set(rows[0])
    assert rows[0]["post"] == pytest.approx(expected.post[0], rel=1e-5)
    free = next(row for row in rows if row["name"] == "k_b")  # nothing constrains it
    assert (free["pre"], free["pull"]) == (None, None)
    squares = sum(x**2 for x in content["groups"].values())
    assert squares == pytest.approx(content["total"] ** 2, rel=1e-10)
    assert f"... and {len(rows) - 3} more, each with less" in out
    arrays = opened(path / "impacts.nc")
    assert arrays["nuisance"].values.tolist() == list(expected.names)
    assert (path / "ranking.pdf").is_file()
    drawn_again(path)


def test_groups_of_impacts(folder):
    words = ("--group", "all=side,stat_*", "--group", "rest=norm_b,ff", "--no-refits")
    done, path = ask(folder, "impacts", *words)
    assert done.code == 0, done.err
    content = strict_json(path / "result.json")
    assert list(content["groups"]) == ["statistical", "all", "rest", "other"]
    assert content["impacts"][0]["post_up"] is None
    settings = content["provenance"]["settings"]
    assert settings["groups"] == {"all": ["side", "stat_*"], "rest": ["norm_b", "ff"]}
    assert settings["refits"] is False


def test_impacts_of_expected_data(folder, analysis):
    words = ("--asimov", "--set", "mu=1.5", "--no-refits", "--group", "all=*")
    (code, out, err), path = ask(folder, "impacts", *words, "--nominal")
    assert (code, err) == (0, "")
    content = strict_json(path / "result.json")
    at = {**analysis.init, "mu": 1.5}
    fit = inference.fit(analysis, data=inference.asimov(analysis, at))
    expected = impacts(analysis, "mu", result=fit, refits=False, groups={"all": ["*"]})
    assert fit.params["mu"] == pytest.approx(1.5)
    assert content["impacts"][0]["post"] == pytest.approx(expected.post[0], rel=1e-5)
    assert content["contributions"] == pytest.approx(expected.contributions, rel=1e-5)
    assert max(abs(row["pull"] or 0.0) for row in content["impacts"]) < 1e-5
    settings = content["provenance"]["settings"]
    assert (settings["asimov"], settings["set"]) == (True, {"mu": 1.5})
    _, path = ask(folder, "impacts", *words)
    at = inference.fit(analysis, fixed={"mu": 1.5}).params
    fit = inference.fit(analysis, data=inference.asimov(analysis, at))
    expected = impacts(analysis, "mu", result=fit, refits=False)
    found = strict_json(path / "result.json")["impacts"]
    assert found[0]["post"] == pytest.approx(expected.post[0], rel=1e-5)
    assert found[0]["post"] != pytest.approx(content["impacts"][0]["post"], rel=1e-3)
    assert "less if held" in out


# ---------------------------------------------------------------- bknn significance


@pytest.mark.slow
def test_significance(folder, analysis):
    (code, out, err), path = ask(folder, "significance")
    assert (code, err) == (0, "")
    content = strict_json(path / "result.json")
    usual(content, "significance")
    found = content["significance"]
    result = inference.fit(analysis)
    t = float(inference.fit_null(analysis).twice_nll - result.twice_nll)
    assert found["t"] == pytest.approx(t, abs=1e-8)
    sign = np.sign(result.params["mu"] - 1)
    assert found["local"]["z"] == pytest.approx(sign * np.sqrt(t), abs=1e-6)
    assert found["local"]["p"] == pytest.approx(norm.sf(found["local"]["z"]), rel=1e-9)
    assert found["tested"] == {"mu": 1.0}
    assert found["global"] is None
    assert not (path / "toys.nc").exists()
    assert f"local            {found['local']['z']:.2f} sigma" in out


@pytest.mark.slow
def test_global_significance_in_two_jobs(folder):
    """Two halves of the toys, merged, are the whole."""
    first, one = ask(folder, "significance", "--toys", 15, "--seed", 4)
    second, two = ask(
        *(folder, "significance", "--toys", 15, "--first", 15, "--seed", 4),
        *("--merge", one / "toys.nc"),
    )
    whole, three = ask(folder, "significance", "--toys", 30, "--seed", 4, figures=True)
    assert (first.code, second.code, whole.code) == (0, 0, 0), second.err
    found = [strict_json(p / "result.json")["significance"]["global"] for p in (one, two, three)]
    assert [f["toys"] for f in found] == [15, 30, 30]
    assert found[1] == found[2]
    p = found[2]["exceeding"] / 30
    assert found[2]["p"] == pytest.approx(p)
    if 0 < p < 1:
        assert found[2]["p_error"] == pytest.approx(np.sqrt(p * (1 - p) / 30))
        assert found[2]["z"] == pytest.approx(norm.isf(p))
    assert found[2]["failed"] == 0
    assert "none of 30 toys failed" in whole.out
    assert (three / "significance.pdf").is_file()
    drawn_again(three)


# ---------------------------------------------------------------- bknn toys


def test_toys(folder, analysis):
    words = ("--set", "mu=1.5", "-n", 20, "--seed", 2, "--goodness-of-fit")
    (code, out, err), path = ask(folder, "toys", *words, figures=True)
    assert (code, err) == (0, "")
    content = strict_json(path / "result.json")
    usual(content, "toys")
    assert content["provenance"]["seed"] == 2
    found = content["toys"]
    assert (found["n"], found["seeds"], found["failed"]) == (20, [2], 0)
    truth = inference.fit(analysis, fixed={"mu": 1.5}).params
    thrown = inference.throw(analysis, truth, 20, seed=2)
    estimates = inference.fit(analysis, data=thrown).params["mu"]
    study = found["parameters"]["mu"]
    assert study["truth"] == 1.5
    assert study["bias"] == pytest.approx(np.mean(estimates) - 1.5, abs=1e-5)
    assert study["spread"] == pytest.approx(np.std(estimates, ddof=1), rel=1e-4)
    assert study["coverage"]["method"] == "likelihood"
    assert 0 <= content["goodness_of_fit"]["p"] <= 1
    assert content["goodness_of_fit"]["toys"] == 20
    assert "goodness of fit  -2 log(L / L saturated)" in out
    saved = inference.Toys.load(path / "toys.nc")
    np.testing.assert_allclose(saved.estimates["mu"], estimates, atol=1e-5)
    names = {"result.json", "toys.nc", *(f"toys.{k}" for k in ("pdf", "png"))}
    assert {p.name for p in path.iterdir()} == names | {
        "goodness_of_fit.nc",
        "goodness_of_fit.pdf",
        "goodness_of_fit.png",
    }
    drawn_again(path)


def test_toys_that_merge_and_toys_that_do_not(folder):
    at = ("--set", "mu=1.5", "--no-uncertainties")
    _, one = ask(folder, "toys", *at, "-n", 10)
    done, two = ask(folder, "toys", *at, "-n", 10, "--first", 10, "--merge", one / "toys.nc")
    assert done.code == 0, done.err
    found = strict_json(two / "result.json")["toys"]
    assert found["n"] == 20
    assert found["parameters"]["mu"]["pull_width"] is None
    # Without -n nothing is thrown.
    again, three = ask(folder, "toys", "--merge", two / "toys.nc")
    assert again.code == 0, again.err
    assert strict_json(three / "result.json")["toys"] == found
    twice, _ = ask(folder, "toys", *at, "-n", 10, "--merge", one / "toys.nc")
    assert twice.code == 2
    assert "10 toys are in more than one" in twice.err
    other, _ = ask(
        folder, "toys", "--merge", one / "toys.nc", "--set", "mu=2", "-n", 2, "--first", 50
    )
    assert other.code == 2
    assert len(other.err.splitlines()) == 1


def test_truth_of_toys(folder):
    words = ("-n", 2, "--no-uncertainties")
    _, fitted = ask(folder, "toys", *words, "--set", "mu=1")
    _, nominal = ask(folder, "toys", *words, "--set", "mu=1", "--nominal")
    shapes = [inference.Toys.load(p / "toys.nc").truth["shape_b"] for p in (fitted, nominal)]
    assert shapes[0] != 0
    assert shapes[1] == 0


# ---------------------------------------------------------------- docs/result.md


def kinds(value: Any) -> Any:
    """Keys and types of a JSON value; a list has the kinds of its first entry."""
    if isinstance(value, dict):
        return {key: kinds(v) for key, v in value.items()}
    if isinstance(value, list):
        return [kinds(value[0])] if value else []
    return type(value).__name__


#: A command that writes the keys of each block of docs/result.md, but for the parameters' names.
DOCUMENTED = {
    "profile": ("profile", "--over", "mu=0:1:2", "--intervals", "mu"),
    "limit": ("limit", "--over", "k_b=1,1.1"),
    "significance": ("significance", "--toys", "8"),
    "toys": ("toys", "-n", "8", "--goodness-of-fit"),
    "parameter": ("impacts",),
}


@pytest.mark.parametrize("first", DOCUMENTED)
def test_documented_schema(folder, first):
    page = (Path(__file__).parents[3] / "docs" / "result.md").read_text(encoding="utf-8")
    blocks = [json.loads(b) for b in re.findall(r"^```json\n(.*?)^```$", page, re.M | re.S)]
    (documented,) = (block for block in blocks if next(iter(block)) == first)
    done, path = ask(folder, *DOCUMENTED[first])
    assert done.code == 0, done.err
    content = strict_json(path / "result.json")
    for key in (*COMMON, "model", "data", "fit"):
        del content[key]
    for item in (documented, content):
        item.get("profile", {}).pop("branching_ratio", None)
        item.get("profile", {}).pop("sm_normalisation", None)
        if "intervals" in item:
            item["intervals"] = list(item["intervals"].values())
        if "significance" in item:
            for name in ("tested", "meaningless"):
                item["significance"].pop(name)
            # Whether there is one depends on the model, and on how many toys exceed the data.
            for name in ("asymptotic_p", "z_error"):
                item["significance"]["global"].pop(name)
        if "toys" in item:
            assert set(item["toys"]["parameters"]) == {"mu"}
        if "limit" in item:
            item["limit"]["grid"] = list(item["limit"]["grid"].values())
            item["limit"].pop("branching_fraction", None)  # of a signal strength
        if "impacts" in item:
            item["impacts"] = [row for row in item["impacts"] if row["pull"] is not None]
            item["groups"] = list(item["groups"].values())
            item["expected_groups"] = list(item["expected_groups"].values())
            item["contributions"] = list(item["contributions"].values())
    assert kinds(content) == kinds(documented)
    # Every key has a row in a table.
    for key in (k for v in documented.values() if isinstance(v, dict) for k in v):
        assert key in page


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("profile --over mu", ("'mu'", "NAME=LOW:HIGH:POINTS")),
        ("profile --over mu=0:2", ("'0:2'", "A,B,C")),
        ("profile --over mu=0:2:x", ("'0:2:x'",)),
        ("profile --over mu=0:2:0", ("'0:2:0'",)),
        ("profile --over mu=0:2:5:lin", ("'0:2:5:lin'",)),
        ("profile --over mu=0:2:5:log", ("positive",)),
        ("profile --over mu=0,nan", ("not finite",)),
        ("profile --over mu=2:0:5", ("increase",)),
        ("profile --over mu=0:200:5", ("mu",)),
        ("profile --over mu=0:1:2 mu=0:2:3", ("'mu'", "two grids")),
        ("profile --over mu=0:1:2 k_b=1,2 ff=0,1 a=1 b=2", ("5 parameters", "at most three")),
        ("profile --over nu=0:1:2", ("'nu'", "mu")),
        ("profile --over mu=0:1:2 --intervals nu", ("'nu'",)),
        ("profile --over mu=0:1:2 --fix mu=1", ("'mu'", "--fix")),
        ("limit --cl 95", ("--cl 95", "0.95")),
        ("limit --poi nu", ("'nu'",)),
        ("limit --fix mu=1", ("--poi",)),
        ("limit --poi mu --fix mu=1", ("--poi mu", "--fix")),
        ("limit --over k_b=1,2 ff=0,1", ("2 parameters",)),
        ("limit --over k_b=1,2 --feldman-cousins 0:1:3", ("--feldman-cousins", "--over")),
        ("limit --toys 1 --method toys", ("--toys 1",)),
        ("impacts --top 0", ("--top 0",)),
        ("impacts --group x", ("'x'", "LABEL=PATTERN")),
        ("impacts --group x=corr_*", ("'corr_*'",)),
        ("impacts --poi nu", ("'nu'",)),
        ("impacts --set mu=1", ("--set", "--asimov")),
        ("impacts --nominal", ("--nominal", "--asimov")),
        ("impacts --asimov --set mu=1 --fix mu=1", ("'mu'", "--set", "--fix")),
        ("toys -n 0", ("-n 0",)),
        ("toys --first -1", ("--first -1",)),
        ("toys --set mu", ("--set 'mu'",)),
        ("toys --set nu=1", ("'nu'",)),
        ("toys --set mu=1 --fix mu=1", ("'mu'", "--set", "--fix")),
        ("toys --merge nowhere.nc", ("nowhere.nc",)),
        ("toys --merge nowhere.nc --goodness-of-fit", ("--goodness-of-fit", "-n")),
        ("significance --toys -5", ("--toys -5",)),
        ("significance --first -1", ("--first -1",)),
        ("significance --fix mu=2", ("nothing that the null",)),
    ],
)
def test_refusals(folder, words, named):
    command, *rest = words.split()
    out = folder / "refused"
    sentence = refusal(
        command, "signal-strength", "--data", folder / "small.json", "--out", out, *rest
    )
    assert not [w for w in named if w not in sentence], sentence


def test_the_parameter_of_interest_must_be_named(folder):
    sentence = refusal("limit", "resonance", "--channels", "hadronic")
    assert "mass, branching_ratio" in sentence
    assert "--poi" in sentence


@pytest.mark.parametrize("command", ["profile", "limit", "toys", "significance", "impacts"])
def test_help(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    assert f"bknn {command} signal-strength" in capsys.readouterr().out


def test_grids():
    read = values.grids(["a=0:1:3", "b=1:100:3:log", "c=3", "d=1e-6,-2"])
    assert list(read) == ["a", "b", "c", "d"]
    for found, wanted in zip(
        read.values(), ([0, 0.5, 1], [1, 10, 100], [3], [1e-6, -2]), strict=True
    ):
        np.testing.assert_allclose(found, wanted)


# ---------------------------------------------------------------- the bar


class Terminal:
    """A terminal that remembers what was drawn."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.bar("profile", 100, "points") as done:
        assert done is not None
        assert "profile: compiling" in terminal.text
        done(40)
        assert "profile:  40%" in terminal.text
        done(60)
    assert terminal.text.endswith("\r")  # nothing is left behind


def test_what_an_earlier_run_did_is_not_in_the_rate(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.bar("profile", 100, "points") as done:
        assert done is not None
        done.kept(60)
        assert "profile: compiling:  60%" in terminal.text
        done(10)
        assert "profile:  70%" in terminal.text
        done(5)
        assert done._shown.n - done._shown.initial == 5


def test_words_about_compiling_are_for_those_without_a_bar(monkeypatch, caplog):
    monkeypatch.setattr("sys.stderr", Terminal())
    with progress.bar("profile", 100):
        logging.getLogger("bknn").warning("compiling the profile")
    assert not caplog.records
    logging.getLogger("bknn").warning("compiling the profile")
    assert len(caplog.records) == 1


def test_no_bar_without_a_terminal(capsys):
    with progress.bar("profile", 100) as done:
        assert done is None
    assert capsys.readouterr().err == ""


def test_an_interrupt(folder, monkeypatch):
    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inference.fits.many, "run", interrupt)
    done, path = ask(folder, "profile", "--over", "mu=0:2:3")
    assert (done.code, done.out) == (130, "")
    assert done.err.startswith("bknn: interrupted; nothing is kept; begin again with: bknn profile")
    assert not (path / "result.json").exists()


def test_errors_are_sentences():
    with pytest.raises(errors.ParameterError, match=r"too few; give at least 1\.$"):
        values.number(0, "-n")
