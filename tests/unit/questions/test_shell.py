"""The command line: what it prints and writes, and the one sentence it has for bad input."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import xarray
from jsonschema import Draft202012Validator

import bknn
from bknn import cli, inference, models, precision
from bknn.answers.digits import in_digits
from bknn.answers.schema import FORMAT, closed, page, schema
from bknn.questions.shared.output import write_json
from bknn.storage.sealed import sealed

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Run(NamedTuple):
    code: int
    out: str
    err: str


def run(*words: object) -> Run:
    """`bknn ...` in this process, where programs compiled once are there for all."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)
        code = cli.main([str(word) for word in words])
    return Run(code, out.getvalue(), err.getvalue())


def refusal(*words: object) -> str:
    """The sentence with which a command is refused: one line, code 2, nothing else."""
    code, out, err = run(*words)
    assert code == 2, (code, out, err)
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("bknn: error: ")
    assert lines[0].endswith("."), lines[0]
    assert "Traceback" not in err
    return lines[0].removeprefix("bknn: error: ")


RESULT = Draft202012Validator(schema())


def strict_json(path: Path) -> dict[str, Any]:
    """Read JSON as its standard has it: no NaN, no Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{path.name} has {name}")

    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    if path.name == "result.json":
        RESULT.validate(content)
        if content["command"] != "run":  # which has the keys of its tasks
            Draft202012Validator(closed(content["command"])).validate(content)
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, quick_compilation: None) -> Path:
    """Workspaces, and a data set that the import made of one of them."""
    path = tmp_path_factory.mktemp("cli")
    (path / "small.json").write_text(json.dumps(small.workspace()))
    (path / "one.json").write_text(json.dumps(small.one_bin().workspace))
    write_density(path / "density.csv", small.UNMATCHED, small.COUNTS)
    made = run(*import_words(path), "--group", "tagged=SR", "--out", path / "set")
    assert made.code == 0, made.err
    return path


def write_density(path: Path, unmatched: np.ndarray, counts: np.ndarray) -> None:
    rows = np.column_stack([unmatched, counts]).tolist()
    path.write_text("\n".join(",".join(map(repr, row)) for row in rows) + "\n")


def import_words(path: Path) -> list[object]:
    return [
        *("data", "import", path / "small.json", "--name", "small"),
        *("--density", f"SR={path / 'density.csv'}", "--signal", "SR=signal"),
        *("--q2-edges", "0,4,8,12,16,22.885", "--null-spectrum", "hpqcd-2022"),
        *("--form-factor-modifier", "ff"),
    ]


@pytest.fixture(scope="module")
def fitted(folder: Path) -> tuple[Run, Path]:
    out = folder / "results" / "strength"
    words = ("--data", folder / "set", "--out", out, "--no-figures")
    return run("fit", "signal-strength", *words), out


@pytest.fixture(scope="module")
def shared_content(fitted: tuple[Run, Path]) -> dict[str, Any]:
    return strict_json(fitted[1] / "result.json")


@pytest.fixture
def content(shared_content: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(shared_content)


# ---------------------------------------------------------------- bknn fit


def test_schema_of_the_result(content):
    assert set(content) == {
        "format", "command", "model", "data", "fit", "null", "twice_delta_nll", "answers",
        "provenance", "checksums", "sha256",
    }  # fmt: skip
    assert content["command"] == "fit"
    assert content["model"] == "signal-strength"
    assert content["data"] == ["small"]
    assert set(content["fit"]) == {"twice_nll", "converged", "status", "parameters"}
    assert set(content["null"]) == {"twice_nll", "converged", "status"}
    for fit in (content["fit"], content["null"]):
        assert type(fit["twice_nll"]) is float
        assert fit["converged"] is True
        assert fit["status"].startswith("converged in")
    names = ["mu", "shape_b", "ff", "k_b", "norm_b", *(f"side[{i}]" for i in range(3))]
    assert list(content["fit"]["parameters"]) == [*names, *(f"stat_SR[{i}]" for i in range(3))]
    for parameter in content["fit"]["parameters"].values():
        assert set(parameter) == {"value", "uncertainty", "fixed"}
        assert type(parameter["value"]) is float
        assert parameter["uncertainty"] > 0
        assert parameter["fixed"] is False
    assert set(content["provenance"]) == {
        "version", "seed", "data_sha256", "channels", "response", "settings", "python", "packages",
        "device", "sources", "computation",
    }  # fmt: skip


def test_numbers_of_the_result(content):
    values = {name: p["value"] for name, p in content["fit"]["parameters"].items()}
    named = {name: value for name, value in values.items() if "[" not in name}
    for name in ("side", "stat_SR"):
        named[name] = np.array([values[f"{name}[{i}]"] for i in range(3)])
    twice_nll = content["fit"]["twice_nll"]
    assert twice_nll == pytest.approx(small.twice_nll(named), rel=1e-12)
    assert content["twice_delta_nll"] == content["null"]["twice_nll"] - twice_nll
    assert content["twice_delta_nll"] > 0


#: Options of the model that were not given.
NO_SETTINGS = {
    "form_factors": [], "inputs": None, "basis": None, "long_distance": False,
    "wilson_coefficients": None, "kinetic": False, "free": [], "bounds": {},
}  # fmt: skip


def test_provenance_of_the_result(content, folder):
    given = content["provenance"]
    assert given["version"] == bknn.__version__
    assert given["seed"] is None  # nothing in a fit is random
    assert given["data_sha256"] == {"small": bknn.data.load(folder / "set").sha256}
    assert re.fullmatch("[0-9a-f]{64}", given["data_sha256"]["small"])
    assert given["channels"] == {"small": ["SR", "CR"]}
    assert given["response"] == "smooth"
    assert given["settings"] == {
        "model": "signal-strength", "data": [str(folder / "set")], "without": [], "patch": None,
        "channels": [], "response": "smooth", "fix": {}, "init": {}, "method": "newton",
        **NO_SETTINGS,
    }  # fmt: skip
    assert given["packages"]["jax"] == jax.__version__
    assert given["sources"] == []


def test_arrays_of_the_result(fitted, content):
    with xarray.open_dataset(fitted[1] / "fit.nc", engine="scipy") as arrays:
        arrays.load()
    parameters = content["fit"]["parameters"]
    assert arrays["parameter"].values.tolist() == list(parameters)
    assert arrays["value"].values.tolist() == [p["value"] for p in parameters.values()]
    assert arrays["uncertainty"].values.tolist() == [p["uncertainty"] for p in parameters.values()]
    covariance = arrays["covariance"].values
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), arrays["uncertainty"], rtol=1e-12)
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-8)
    assert arrays["channel"].values.tolist() == ["CR", "CR", "SR", "SR", "SR"]
    np.testing.assert_array_equal(arrays["observed"], np.concatenate(small.OBSERVED))
    analysis = bknn.Analysis(models.load("signal-strength"), small.measurement())
    np.testing.assert_allclose(
        arrays["expected"], analysis.rates(arrays["value"].values), rtol=1e-12
    )
    sizes = {dim: arrays.sizes[dim] for dim in ("parameter", "parameter_2", "bin")}
    assert sizes == {"parameter": 11, "parameter_2": 11, "bin": 5}
    assert arrays.attrs["title"].startswith("Fit of signal-strength")


def blocks(language: str) -> list[str]:
    """Blocks of a language in docs/result.md."""
    page = (Path(__file__).parents[3] / "docs" / "result.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def kinds(value: Any) -> Any:
    """What a JSON value is made of: keys and types, names of parameters and data sets aside."""
    if not isinstance(value, dict):
        return type(value).__name__
    if set(value) == {"value", "uncertainty", "fixed"}:
        return "parameter"
    return {key: kinds(v) for key, v in value.items()}


def test_documented_schema_is_that_of_the_result(content):
    documented = json.loads(blocks("json")[0])
    for item in (documented, content):
        given = item["provenance"]
        assert set(kinds(item["fit"].pop("parameters")).values()) == {"parameter"}
        names = ("data_sha256", "channels", "computation")
        found = [set(kinds(given.pop(name)).values()) for name in names]
        assert found == [{"str"}, {"list"}, {"str"}]
        given["settings"] |= {"fix": {}, "init": {}, "bounds": {}}
    assert kinds(documented) == kinds(content)


def test_documented_code_reads_the_result(fitted, monkeypatch, capsys):
    monkeypatch.chdir(fitted[1])
    (code,) = blocks("py")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/result.md", "exec"), names)
    names["arrays"].close()
    assert "signal-strength" in capsys.readouterr().out
    assert names["pulls"].shape == (5,)


def test_table_of_the_fit(fitted, content):
    (code, out, err), folder = fitted
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "signal-strength: SM shape times mu, as in arXiv:2311.14647"
    assert lines[1] == "data: small (2 channels, 5 bins), smooth response"
    mu = content["fit"]["parameters"]["mu"]
    (row,) = (line.split() for line in lines if line.startswith("mu "))
    assert row == ["mu", *in_digits(mu["value"], mu["uncertainty"])]
    for number, words in (
        (content["fit"]["twice_nll"], "best fit"),
        (content["null"]["twice_nll"], "standard model"),
    ):
        assert any(re.search(rf"{number:.4f} +{words}", line) for line in lines)
    assert any(re.match(r"largest pulls +shape_b \+0\.\d\d, ", line) for line in lines)
    assert f"fit              {content['fit']['status']}" in lines
    assert lines[-1] == f"written          {folder}/: result.json, fit.nc"
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.slow
def test_fixed_and_freed_parameters(folder):
    """`--fix` of a parameter that floats, and of one that does not by default."""
    words = ("fit", "resonance", "--data", folder / "set", "--response", "reweighting")
    out = folder / "results" / "resonance"
    first = run(*words, "--fix", "mass=2.1", "width=0.25", "--out", out, "--no-figures")
    assert first.code == 0, first.err
    assert re.search(r"mass +2\.1 +GeV +fixed", first.out)
    assert re.search(r"width +0\.25 +GeV +fixed", first.out)
    assert "reweighting response" in first.out
    content = strict_json(out / "result.json")
    parameters = content["fit"]["parameters"]
    assert parameters["mass"] == {"value": 2.1, "uncertainty": None, "fixed": True}
    assert parameters["width"] == {"value": 0.25, "uncertainty": None, "fixed": True}
    assert parameters["branching_ratio"]["fixed"] is False
    assert content["provenance"]["settings"]["fix"] == {"mass": 2.1, "width": 0.25}
    assert content["provenance"]["response"] == "reweighting"
    # Freed, it floats: no worse than at any fixed value.
    freed = run(
        *(*words, "--free", "width", "--init", "width=0.25", "--fix", "mass=2.1"),
        *("--out", out, "--no-figures"),
    )
    assert freed.code == 0, freed.err
    again = strict_json(out / "result.json")
    assert again["fit"]["parameters"]["width"]["fixed"] is False
    assert again["fit"]["twice_nll"] <= content["fit"]["twice_nll"] + 1e-8
    assert again["provenance"]["settings"]["free"] == ["width"]
    assert again["provenance"]["settings"]["init"] == {"width": 0.25}
    # The null has no X, so its mass and width do not matter.
    assert again["null"]["twice_nll"] == pytest.approx(content["null"]["twice_nll"], abs=1e-8)


@pytest.mark.parametrize("method", [pytest.param("newton", marks=pytest.mark.slow), "lbfgs"])
def test_plain_workspace_and_methods(folder, tmp_path, method):
    """12 counts where 4 mu + 8 are expected."""
    words = ("--method", method, "--init", "mu=3", "--out", tmp_path, "--no-figures")
    done = run("fit", "signal-strength", "--data", folder / "one.json", *words)
    assert done.code == 0, done.err
    assert "data: one (1 channel, 1 bin)" in done.out
    content = strict_json(tmp_path / "result.json")
    mu = content["fit"]["parameters"]["mu"]
    assert mu["value"] == pytest.approx(1.0, abs=1e-4)
    assert mu["uncertainty"] == pytest.approx(math.sqrt(12) / 4, rel=1e-4)
    assert content["provenance"]["settings"]["method"] == method
    assert content["data"] == ["one"]


def test_every_option_reaches_the_fit(folder, monkeypatch):
    seen: dict[str, Any] = {}

    def stop(analysis: bknn.Analysis, **options: Any) -> None:
        seen.update(options, analysis=analysis)
        raise bknn.errors.FitError("far enough.")

    monkeypatch.setattr(inference, "fit", stop)
    words = "--channels tagged --fix mass=2 --init k_b=1.2 --method adam --free width"
    refusal("fit", "resonance", "--data", folder / "set", *words.split())
    assert seen["fixed"] == {"mass": 2.0}
    assert seen["init"] == {"k_b": 1.2}
    assert seen["method"] == "adam"
    assert seen["analysis"].measurements[0].channels == ("SR",)
    assert [p.name for p in seen["analysis"].parameters] == [
        "mass", "branching_ratio", "width", "sm_normalisation",
    ]  # fmt: skip


def test_several_data_sets(folder, monkeypatch):
    seen: list[bknn.Analysis] = []

    def stop(analysis: bknn.Analysis, **options: Any) -> None:
        seen.append(analysis)
        raise bknn.errors.FitError("far enough.")

    monkeypatch.setattr(inference, "fit", stop)
    refusal("fit", "signal-strength", "--data", folder / "set", folder / "one.json")
    assert [m.name for m in seen[0].measurements] == ["small", "one"]
    sentence = refusal("fit", "signal-strength", "--data", folder / "set", folder / "set")
    assert "'small'" in sentence
    assert "twice" in sentence


# ---------------------------------------------------------------- --channels


@pytest.mark.parametrize(
    ("channels", "first", "bins"),
    [
        ("inclusive", "ABCD", 24),
        ("hadronic", "s", 6),
        ("A", "A", 9),
        ("sgn1,B", "Bs", 9),
        (" hadronic , A__Bsig ", "As", 15),
    ],
)
def test_channels_by_group_and_beginning(tmp_path, channels, first, bins):
    out = tmp_path / "exported.json"
    done = run("export", "signal-strength", "--channels", channels, "--out", out)
    assert done.code == 0, done.err
    exported = strict_json(out)
    assert "".join(sorted(c["name"][0] for c in exported["channels"])) == "".join(sorted(first))
    assert sum(len(o["data"]) for o in exported["observations"]) == bins


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ("hadronik", ("'hadronik'", "did you mean 'hadronic'", "inclusive")),
        ("A,Z", ("'Z'", "belle2-2025")),
        (",", ("no channel selected", "hadronic")),
    ],
)
def test_unknown_channels(channels, words):
    sentence = refusal("fit", "signal-strength", "--channels", channels)
    assert not [w for w in words if w not in sentence], sentence


def test_channels_without_signal(folder):
    sentence = refusal("fit", "resonance", "--data", folder / "set", "--channels", "CR")
    assert "no signal in the channels CR" in sentence


# ---------------------------------------------------------------- the output directory


@pytest.fixture
def quick_fit(folder: Path) -> Callable[[Path], Run]:
    """A fit of one bin, written to a directory."""
    words = ("fit", "signal-strength", "--data", folder / "one.json", "--no-figures", "--out")
    return lambda out: run(*words, out)


def test_an_old_result_is_replaced(quick_fit, tmp_path):
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    # As an interrupted run may leave them.
    (out / "result.json").write_text('{"command": "fi')
    (out / ".bknn-0123456789abcdef.part").write_bytes(b"CDF")
    (out / "lock").write_bytes(b"")
    (out / "fit.nc").symlink_to(out / "notes.txt")
    (out / "notes.txt").write_text("mine")
    code, _, err = quick_fit(out)
    assert (code, err) == (0, f"bknn: {out}/result.json will be replaced.\n")
    assert sorted(p.name for p in out.iterdir()) == ["fit.nc", "notes.txt", "result.json"]
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "fit.nc").is_symlink()
    assert strict_json(out / "result.json")["model"] == "signal-strength"


def test_figures(folder, tmp_path):
    """One bin without densities and nuisances: the picture of the counts is all there is."""
    done = run("fit", "signal-strength", "--data", folder / "one.json", "--out", tmp_path)
    assert done.code == 0, done.err
    written = ["result.json", "fit.nc", "bins.pdf", "bins.png"]
    assert done.out.splitlines()[-1] == f"written          {tmp_path}/: {', '.join(written)}"
    assert {p.name for p in tmp_path.iterdir()} == set(written)
    assert (tmp_path / "bins.pdf").read_bytes().startswith(b"%PDF")
    picture = (tmp_path / "bins.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    # The same again, alone and as a task of a run; without a result a sentence.
    assert run("draw", tmp_path, "--out", tmp_path / "again").code == 0
    assert (tmp_path / "again" / "bins.png").read_bytes() == picture
    assert "result.json" in refusal("draw", tmp_path / "again")
    (tmp_path / "run" / "fit").mkdir(parents=True)
    for name in ("result.json", "fit.nc"):
        shutil.copy(tmp_path / name, tmp_path / "run" / "fit")
    whole = sealed({"command": "run", "tasks": {"fit": {}}})
    write_json(whole, tmp_path / "run" / "result.json")
    assert run("draw", tmp_path / "run").code == 0
    assert (tmp_path / "run" / "fit" / "bins.png").read_bytes() == picture


@pytest.mark.parametrize("below", [".", "below"])
def test_a_file_in_the_way_of_the_directory(tmp_path, folder, below):
    out = tmp_path / "results"
    out.write_text("mine")
    words = ("fit", "signal-strength", "--data", folder / "one.json", "--out", out / below)
    sentence = refusal(*words)
    assert str(out / below) in sentence
    assert "another --out" in sentence
    assert out.read_text() == "mine"


@pytest.mark.parametrize("name", ["result.json", "fit.nc"])
def test_a_directory_in_the_way_of_a_file(quick_fit, tmp_path, name):
    (tmp_path / name).mkdir()
    code, out, err = quick_fit(tmp_path)
    assert code == 2
    assert "mu" in out  # the fit was done, and its table is not lost
    (line,) = err.splitlines()
    assert line.startswith("bknn: error: ")
    assert str(tmp_path / name) in line
    assert "cannot be written" in line
    assert [p.name for p in tmp_path.iterdir() if p.is_file() and p.suffix == ".part"] == []


def test_nothing_is_made_for_a_command_that_is_refused(tmp_path, folder):
    out = tmp_path / "results"
    refusal("fit", "signal-strenght", "--data", folder / "one.json", "--out", out)
    refusal("fit", "signal-strength", "--data", folder / "two.json", "--out", out)
    assert not out.exists()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_json({"a": 1}, path)

    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_json({"a": 2}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json({"a": math.nan}, path)
    assert json.loads(path.read_text()) == {"a": 1}


# ---------------------------------------------------------------- when it does not go well


def test_a_fit_that_does_not_converge_has_code_1(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "fit", functools.partial(inference.fit, max_steps=1))
    words = ("--data", folder / "one.json", "--init", "mu=45", "--out", tmp_path, "--no-figures")
    code, out, err = run("fit", "signal-strength", *words)
    assert code == 1
    (line,) = err.splitlines()
    assert "did not converge" in line
    assert re.search(r"^fit +not converged after 1 step", out, re.MULTILINE)
    content = strict_json(tmp_path / "result.json")
    assert content["fit"]["converged"] is False
    assert content["fit"]["status"].startswith("not converged after 1 step")
    assert content["null"]["converged"] is True


def test_what_the_data_do_not_determine(folder, tmp_path):
    """Without a parameter of interest, mu moves nothing."""
    spec = small.one_bin().workspace
    spec["channels"][0]["samples"][0]["modifiers"] = [
        {"name": "other", "type": "normfactor", "data": None}
    ]
    spec["measurements"][0]["config"]["poi"] = ""
    (tmp_path / "poiless.json").write_text(json.dumps(spec))
    code, out, err = run("fit", "signal-strength", "--data", tmp_path / "poiless.json")
    if code == 2:
        assert err.startswith("bknn: error: ")
    else:
        assert "uncertainty unknown" in out
        assert "does not rise from here" in out


def test_an_interrupt_has_code_130(monkeypatch):
    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bknn.data, "load_all", interrupt)
    told = "bknn: interrupted; nothing is kept; begin again with: bknn fit signal-strength\n"
    assert run("fit", "signal-strength") == Run(130, "", told)


# ---------------------------------------------------------------- options of the model


@pytest.fixture(scope="module")
def coefficients(tmp_path_factory):
    """A WCxf file, flavour-universal: C_VL 2 less than in the standard model of flavio's scale."""
    path = tmp_path_factory.mktemp("wcxf") / "universal.json"
    values = {f"CL_bsnu{a}nu{a}": 2.0 for a in ("e", "mu", "tau")}
    path.write_text(json.dumps({"eft": "WET", "basis": "flavio", "scale": 4.8, "values": values}))
    return path


@pytest.mark.parametrize(
    ("words", "own", "constants"),
    [
        ("wet", "C_VL C_SL C_TL", {"C_VR": 0.0, "C_SR": 0.0}),
        ("wet --free C_VR --form-factors hpqcd-2022", "C_VL C_VR C_SL C_TL", {"C_SR": 0.0}),
        ("wet --fix C_VR=-3 --inputs eos-1.0.21", "C_VL C_VR C_SL C_TL", {"C_SR": 0.0}),
        (
            "vector --basis chiral --free C_T_R",
            "mass C_V_L C_T_R sm_normalisation",
            {"width": 0.0, "C_V_R": 0.0, "C_T_L": 0.0},
        ),
        ("sm --long-distance", "sm_normalisation", {}),
        ("wet-rhn --wilson-coefficients FILE --free C_L_emu", "C_R C_L_emu", None),
    ],
)
def test_options_of_the_model_reach_the_fit(coefficients, monkeypatch, words, own, constants):
    seen: list[bknn.Analysis] = []

    def stop(analysis: bknn.Analysis, **options: Any) -> None:
        seen.append(analysis)
        raise bknn.errors.FitError("far enough.")

    monkeypatch.setattr(inference, "fit", stop)
    given = [coefficients if w == "FILE" else w for w in words.split()]
    assert refusal("fit", *given, "--channels", "hadronic") == "far enough."
    (analysis,) = seen
    assert [p.name for p in analysis.parameters if not p.nuisance] == own.split()
    assert analysis.names[len(own.split())] == "ff_K_0"
    if constants is not None:
        assert analysis.constants == constants
    model = analysis.model
    assert model.long_distance is ("--long-distance" in words)
    chosen = "hpqcd-2022" if "hpqcd" in words else "flag-2021+hpqcd-2022"
    assert model.form_factors["B -> K"].name == chosen
    assert model.inputs.name == ("eos-1.0.21" if "eos" in words else "standard")
    if "FILE" in words:
        np.testing.assert_array_equal(model.background["C_L"], 2.0 * np.eye(3))


# ---------------------------------------------------------------- bknn predict


def test_schema_and_its_table_are_written_down():
    """After a change: write what this test compares with."""
    docs = Path(__file__).parents[3] / "docs"
    written = json.loads((docs / "result.schema.json").read_text(encoding="utf-8"))
    assert written == schema()
    text = (docs / "result.md").read_text(encoding="utf-8")
    assert page(text) == text
    Draft202012Validator.check_schema(written)


def test_json_alone_on_standard_output(tmp_path):
    words = ("predict", "sm", "--channel", "B+ -> K+")
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    RESULT.validate(content)
    assert (content["format"], content["command"]) == (FORMAT, "predict")
    code, again, err = run(*words, "--no-figures", "--out", tmp_path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(again)["predictions"] == content["predictions"]
    assert again == (tmp_path / "result.json").read_text()
    code, out, err = run("predict", "smm", "--json", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert "did you mean 'sm'?" in err


@pytest.fixture(scope="module")
def predicted(quick_compilation, tmp_path_factory) -> tuple[Run, Path]:
    """The example of the documentation."""
    out = tmp_path_factory.mktemp("predicted") / "results"
    words = ("--set", "mass=2.1", "h_V=7e-9", "--observable", "branching_ratio", "f_l")
    done = run("predict", "vector", *words, "--channel", "B+ -> K*+", "--out", out, "--no-figures")
    return done, out


def test_predictions(predicted):
    (code, out, err), folder = predicted
    assert (code, err) == (0, "")
    content = strict_json(folder / "result.json")
    keys = {
        "format", "command", "model", "parameters", "predictions", "absent", "answers",
        "provenance", "checksums", "sha256",
    }  # fmt: skip
    assert set(content) == keys
    assert (content["command"], content["model"]) == ("predict", "vector")
    assert content["parameters"] == {
        "mass": 2.1, "width": 0.0, "h_V": 7e-9, "h_A": 0.0, "h_T": 0.0, "h_T5": 0.0,
        "sm_normalisation": 1.0,
    }  # fmt: skip
    rows = content["predictions"]
    assert [(r["observable"], r["channel"], r["q2"]) for r in rows] == [
        ("branching_ratio", "B+ -> K*+", None),
        ("f_l", "B+ -> K*+", None),
    ]
    for row in rows:
        assert set(row) == {"observable", "channel", "q2", "part", "value", "uncertainty"}
        params = {"mass": 2.1, "h_V": 7e-9}
        found = bknn.predict(models.load("vector"), row["observable"], row["channel"], params)
        assert row["value"] == pytest.approx(float(found.value), rel=1e-12)
        assert row["uncertainty"] == pytest.approx(float(found.uncertainty), rel=1e-9)
    lines = out.splitlines()
    assert lines[0] == "vector: SM + B -> K(*) V, V an invisible vector"
    (row,) = (line for line in lines if line.startswith("branching_ratio"))
    assert re.search(r"B\+ -> K\*\+ +all +1\.17e-05 +0\.13e-05$", row), row
    assert lines[-1] == f"written          {folder}/: result.json"
    assert all(line == line.rstrip() for line in lines)


def test_provenance_of_predictions(predicted):
    given = strict_json(predicted[1] / "result.json")["provenance"]
    assert given["version"] == bknn.__version__
    assert given["settings"] == {
        **NO_SETTINGS, "model": "vector", "set": {"mass": 2.1, "h_V": 7e-9}, "fit": [], "fix": {},
        "without": [], "observable": ["branching_ratio", "f_l"], "channel": ["B+ -> K*+"], "q2": [],
        "part": "all", "source": None, "around": [], "seed": 0,
    }  # fmt: skip
    assert given["inputs"] == "standard"
    assert {t: s["set"] for t, s in given["form_factors"].items()} == {
        "B -> K": "flag-2021+hpqcd-2022",
        "B -> K*": "grvdv-2023",
        "Bs -> phi": "grvdv-2023",
    }
    assert "2305.06301" in given["form_factors"]["B -> K*"]["source"]


def test_documented_predictions(predicted):
    """The block in docs/result.md has the keys and types of what is written; and its numbers."""
    documented = json.loads(blocks("json")[1])
    content = strict_json(predicted[1] / "result.json")
    row, other = documented["predictions"][0], content["predictions"][0]
    for key in ("value", "uncertainty"):
        assert row[key] == pytest.approx(other[key], rel=1e-6)
    for item in (documented, content):
        assert item.pop("checksums").keys() <= {"prediction_Bplus_Kstarplus.nc"}
        assert item["provenance"].pop("computation").keys() >= {"whole", "model", "inputs"}
        item["predictions"] = [{**kinds(r), "q2": ""} for r in item["predictions"]]
    assert kinds(documented) == kinds(content)
    assert documented["predictions"] == content["predictions"]
    assert documented["parameters"] == content["parameters"]


@pytest.mark.slow
def test_channels_observables_and_regions(tmp_path):
    """One row for each, channels outermost; a point is a bin without width."""
    done = run(
        *("predict", "wet", "--set", "C_TL=8", "C_SL=0", "--observable", "f_l", "dbr_dq2"),
        *("--channel", "B0 -> K*0", "Bs -> phi", "--q2", "5", "12.5", "--out", tmp_path),
        "--no-figures",
    )
    assert (done.code, done.err) == (0, "")
    rows = strict_json(tmp_path / "result.json")["predictions"]
    assert [(r["channel"], r["observable"], r["q2"]) for r in rows] == [
        (channel, observable, [q2, q2])
        for channel in ("B0 -> K*0", "Bs -> phi")
        for observable in ("f_l", "dbr_dq2")
        for q2 in (5.0, 12.5)
    ]
    assert all(0.0 < r["value"] < 1.0 for r in rows)
    assert all(0.0 < r["uncertainty"] < r["value"] for r in rows)
    done = run("predict", "sm", "--observable", "r_k", "branching_ratio", "--q2", "0,4", "4,8")
    assert (done.code, done.err) == (0, "")
    assert len(re.findall(r"^r_k +B\+ -> K\+ +\d \.\.\. \d +1 *$", done.out, re.MULTILINE)) == 2
    assert re.search(r"^branching_ratio +B\+ -> K\+ +4 \.\.\. 8 ", done.out, re.MULTILINE)
    assert "written" not in done.out


@pytest.mark.slow
def test_every_combination_that_exists(tmp_path):
    """And why the others do not; values that were used are in the table."""
    words = ("--set", "mass=2.1", "h_T=4.8e-9", "--observable", "branching_ratio", "f_l", "r_k")
    channels = ("--channel", "B+ -> K+", "B0 -> K*0", "--out", tmp_path, "--no-figures")
    done = run("predict", "vector", *words, *channels, "--part", "new")
    assert (done.code, done.err) == (0, "")
    content = strict_json(tmp_path / "result.json")
    found = {(r["observable"], r["channel"]): r for r in content["predictions"]}
    assert set(found) == {
        ("branching_ratio", "B+ -> K+"),
        ("r_k", "B+ -> K+"),
        ("branching_ratio", "B0 -> K*0"),
        ("f_l", "B0 -> K*0"),
    }
    assert found["branching_ratio", "B+ -> K+"]["value"] == pytest.approx(9.12e-6, rel=1e-3)
    assert {r["part"] for r in found.values()} == {"new"}
    reasons = {(r["observable"], r["channel"]): r["reason"] for r in content["absent"]}
    assert set(reasons) == {("f_l", "B+ -> K+"), ("r_k", "B0 -> K*0")}
    assert "polarisation" in reasons["f_l", "B+ -> K+"]
    for reason in reasons.values():
        assert reason in done.out
    assert content["parameters"]["h_V"] == 0.0
    assert re.search(r"^h_V +0$", done.out, re.MULTILINE)
    assert re.search(r"^h_T +4.8e-09 +GeV\^-1$", done.out, re.MULTILINE)
    # Nothing of what is asked for exists.
    for region in ("30", "30,40"):
        sentence = refusal(
            "predict", "sm", *words[3:4], "f_l", "r_f_l", *channels[:3], "--q2", region
        )
        assert "is the polarisation" in sentence or "not defined" in sentence


@pytest.mark.slow
def test_a_note_on_files_of_other_sectors(tmp_path):
    content = {"eft": "WET", "basis": "flavio", "scale": 4.8, "values": {"C9_bsmumu": 1.0}}
    (tmp_path / "c.json").write_text(json.dumps(content))
    done = run(
        "predict", "wet", "--set", "C_TL=0", "--wilson-coefficients", tmp_path / "c.json",
        "--observable", "r_k",
    )  # fmt: skip
    assert done.code == 0
    assert done.err.startswith("bknn: note: ")
    assert "c.json has no coefficient of b -> s nu nubar" in done.err
    assert re.search(r"^r_k +B\+ -> K\+ +all +1$", done.out, re.MULTILINE)


@pytest.mark.slow
def test_options_of_predictions(coefficients, tmp_path):
    """Each changes what it should."""

    def value(*words: object) -> float:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        done = run("predict", *words, "--out", folder, "--no-figures")
        assert (done.code, done.err) == (0, "")
        (row,) = strict_json(folder / "result.json")["predictions"]
        return row["value"]

    sm = value("sm")
    assert value("sm", "--form-factors", "hpqcd-2022") == pytest.approx(4.97e-6, abs=0.01e-6)
    assert value("sm", "--inputs", "eos-1.0.21") == pytest.approx(4.8117e-6, rel=1e-4)
    settings = strict_json(max(tmp_path.iterdir()) / "result.json")["provenance"]
    assert settings["settings"]["inputs"] == "eos-1.0.21"
    assert settings["inputs"] == "eos-1.0.21"
    assert value("sm", "--long-distance") - sm == pytest.approx(6.07e-7, rel=0.01)
    # (X_t/s_w^2 - 2)^2, from a file; the matrix of `wet-rhn` is the number of `wet`.
    expected = sm * (1 - 2 / (1.468 / 0.23124)) ** 2
    file = ("--wilson-coefficients", coefficients)
    for words in (("wet", "--set", "C_SL=0", "C_TL=0"), ("wet-rhn", "--set", "C_R=0")):
        assert value(*words, *file) == pytest.approx(expected, rel=1e-9)
    # C_S_L = -C_S_R is g_P alone: nothing for a kaon.
    chiral = ("scalar", "--basis", "chiral", "--set")
    assert value(*chiral, "C_S_L=-1e-10", "C_S_R=1e-10") == pytest.approx(sm, rel=1e-12)
    assert value(*chiral, "C_S_L=1e-10", "C_S_R=1e-10") > 1.1 * sm


@pytest.mark.slow
def test_a_particle_that_is_too_heavy(tmp_path):
    """Zero, not NaN, with its uncertainty; and F_L of nothing."""
    words = ("--channel", "B+ -> K*+", "--no-figures", "--observable", "branching_ratio", "f_l")
    run("predict", "sm", *words, "--out", tmp_path / "sm")
    sm = strict_json(tmp_path / "sm" / "result.json")["predictions"]
    done = run("predict", "scalar", "--set", "mass=4.9", *words, "--out", tmp_path / "heavy")
    assert (done.code, done.err) == (0, "")
    heavy = strict_json(tmp_path / "heavy" / "result.json")["predictions"]
    for row, other in zip(heavy, sm, strict=True):
        assert row["value"] == pytest.approx(other["value"], rel=1e-9)
        assert row["uncertainty"] == pytest.approx(other["uncertainty"], rel=1e-6)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("fit signal-strenght", ("model 'signal-strenght'", "did you mean 'signal-strength'")),
        ("fit resonance --data belle2-2024", ("'belle2-2024'", "did you mean 'belle2-2025'")),
        ("fit resonance --without muon-g-2", ("to leave out 'muon-g-2'", "belle2-2025")),
        ("predict sm --without muon-g-2", ("--without is about a fit",)),
        ("fit resonance --data no/such/place", ("no/such/place", "bknn data import")),
        ("fit resonance --data no/such.json", ("no/such.json",)),
        ("fit resonance --fix mas=2", ("parameter 'mas'", "did you mean 'mass'", "resonance")),
        ("fit resonance --init masss=2", ("parameter 'masss'", "did you mean 'mass'")),
        ("fit resonance --free widht", ("parameter 'widht'", "did you mean 'width'")),
        ("fit resonance --init width=1", ("width", "fixed at 0", "--free width")),
        ("fit resonance --response smoth", ("'smoth'", "did you mean 'smooth'")),
        ("fit resonance --fix mass=4.8", ("mass = 4.8 GeV", "[0, 4.78385] GeV", "m_B - m_K")),
        ("fit resonance --fix mass=-1", ("mass = -1 GeV", "[0, 4.78385] GeV")),
        ("fit resonance --fix mass=nan", ("mass = nan",)),
        ("fit resonance --init branching_ratio=inf", ("branching_ratio = inf", "[0, 0.001]")),
        ("fit resonance --fix mass", ("--fix 'mass'", "NAME=VALUE", "--fix mass=2.1")),
        ("fit resonance --fix mass=two", ("--fix 'mass=two'", "number")),
        ("fit resonance --fix =2", ("--fix '=2'", "NAME=VALUE")),
        ("fit resonance --fix mass=2 mass=3", ("--fix", "'mass'", "two values")),
        ("data show belle2-2052", ("'belle2-2052'", "did you mean 'belle2-2025'")),
        ("fit vector --fix mass=-1", ("mass = -1 GeV", "[0.001, 10] GeV")),
        ("fit vector --fix mass=2 g_S=1e-8", ("parameter 'g_S'", "'vector'", "h_V")),
        ("fit vector --fix h_V=1e-8+2j", ("--fix 'h_V=1e-8+2j'", "number")),
        ("fit vector --basis chirl", ("basis 'chirl'", "did you mean 'chiral'", "'vector'")),
        ("fit wet --basis chiral", ("'wet'", "'basis'", "wilson_coefficients")),
        ("fit resonance --long-distance", ("'resonance'", "'long_distance'", "no options")),
        ("fit sm --form-factors bsz", ("form-factor set 'bsz'", "did you mean 'bsz-2015'")),
        ("fit sm --inputs eos", ("set of inputs 'eos'", "eos-1.0.21")),
        ("fit wet --wilson-coefficients no/such.json", ("no/such.json",)),
        ("fit scalar --wilson-coefficients c.json", ("'scalar'", "'wilson_coefficients'")),
        ("predict vectr", ("model 'vectr'", "did you mean 'vector'")),
        ("predict vector --set g_S=1e-8", ("parameter 'g_S'", "'vector'", "h_V")),
        ("predict vector --set mass=-1", ("mass = -1 GeV", "[0.001, 10] GeV")),
        ("predict vector --set mass=nan", ("mass = nan",)),
        ("predict vector --set h_V=1j", ("--set 'h_V=1j'", "number")),
        ("predict vector --set mass=2 mass=3", ("--set", "'mass'", "two values")),
        ("predict sm --set ff_Kstar_0=1", ("'ff_Kstar_0'", "'sm'")),
        ("predict sm --observable br", ("observable 'br'", "branching_ratio")),
        ("predict sm --observable f_l", ("'f_l'", "'B+ -> K+'", "B0 -> K*0")),
        ("predict sm --observable r_kstar", ("'r_kstar'", "'B+ -> K+'", "'r_k'")),
        ("predict sm --observable dbr_dq2", ("'dbr_dq2'", "needs q2")),
        ("predict sm --observable dbr_dq2 --q2 0,4", ("'dbr_dq2'", "(0.0, 4.0)")),
        ("predict sm --channel B->K", ("channel 'B->K'", "'B+ -> K+'")),
        ("predict sm --q2 4,0", ("(4.0, 0.0)", "not a bin")),
        ("predict sm --q2 4", ("'branching_ratio'", "a bin (lower, upper)")),
        ("predict sm --q2 0,4,8", ("--q2 '0,4,8'", "--q2 0,4 4,8")),
        ("predict sm --q2 a,b", ("--q2 'a,b'", "GeV^2")),
        ("predict resonance --channel phi", ("channel 'phi'", "Bs -> phi")),
    ],
)
def test_bad_options(words, named):
    sentence = refusal(*words.split())
    assert not [w for w in named if w not in sentence], sentence


def test_channels_that_do_not_fit():
    """What has blanks in it."""
    sentence = refusal("predict", "sm", "--observable", "r_k", "--channel", "B+ -> K*+")
    assert "'r_kstar'" in sentence
    sentence = refusal("predict", "resonance", "--channel", "B0 -> K0")
    assert "'resonance' multiplies the standard-model template of 'B+ -> K+'" in sentence
    sentence = refusal("predict", "wet", "--channel", "Bs -> invisible", "--q2", "0,4")
    assert "m_Bs^2" in sentence


@pytest.mark.parametrize(
    ("model", "changes", "named"),
    [
        ("wet", {"scale": -160}, ("-160", "positive")),
        ("wet-rhn", {"eft": "WET-4"}, ("'WET-4'", "no b quark")),
        ("wet-rhn", {"basis": "Warsaw", "eft": "SMEFT"}, ("c.json", "SMEFT", "CL_bsnuenue")),
        ("wet-rhn", {"basis": "JMS"}, ("c.json", "JMS", "CL_bsnuenue")),
        ("wet-rhn", {"values": {"CL_bsnuenue": "one"}}, ("CL_bsnuenue", "'one'", "number")),
        ("wet-rhn", {"values": {"CL_bsnuenue": [[1, 2], [3, 4]]}}, ("CL_bsnuenue", "number")),
        ("wet", {"values": {"CL_bsnuenue": 1.0}}, ("differs between flavours", "[e, e]")),
        ("wet", {"values": {"CR_bsnuenue": {"Re": 0, "Im": 1}}}, ("differs",)),
    ],
)
def test_bad_coefficients(tmp_path, model, changes, named):
    content = {"eft": "WET", "basis": "flavio", "scale": 4.8, "values": {"CL_bsnuenue": 1.0}}
    (tmp_path / "c.json").write_text(json.dumps(content | changes))
    for command in ("fit", "predict"):
        sentence = refusal(command, model, "--wilson-coefficients", tmp_path / "c.json")
        assert not [w for w in named if w not in sentence], sentence


def at(spec: Any, *path: str | int) -> Any:
    for key in path:
        spec = spec[key]
    return spec


SIGNAL = ("channels", 0, "samples", 0)

#: What is wrong, how to make it so, and what the sentence names.
BAD_WORKSPACES: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "length": (lambda s: at(s, *SIGNAL, "data").append(1.0), ("SR", "signal", "4", "3")),
    "NaN": (lambda s: at(s, *SIGNAL, "data").__setitem__(1, math.nan), ("SR", "signal", "[1]")),
    "missing": (lambda s: at(s, *SIGNAL).pop("data"), ("SR", "signal", "data")),
    "a missing one": (
        lambda s: at(s, *SIGNAL, "data").__setitem__(1, None),
        ("SR", "signal", "number"),
    ),
    "type": (
        lambda s: at(s, *SIGNAL, "modifiers", 0).update(type="normfaktor"),
        ("SR", "signal", "'normfaktor'", "did you mean 'normfactor'"),
    ),
    "no observation": (lambda s: at(s, "observations").pop(1), ("CR", "observations")),
}


@pytest.mark.parametrize("name", BAD_WORKSPACES)
@pytest.mark.parametrize("way", ["fit", "import"])
def test_bad_workspaces(tmp_path, name, way):
    """As they are read to be fitted, and imported and then fitted."""
    change, named = BAD_WORKSPACES[name]
    spec = small.workspace()
    change(spec)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(spec))
    fit = ("fit", "signal-strength", "--data")
    if way == "fit":
        sentence = refusal(*fit, path)
        assert str(path) in sentence
    else:
        words = ("data", "import", path, "--name", "broken", "--out", tmp_path / "set")
        imported = run(*words)
        sentence = refusal(*fit, tmp_path / "set") if imported.code == 0 else refusal(*words)
        assert str(tmp_path) in sentence or "broken" in sentence
    assert not [w for w in named if w not in sentence], sentence


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "not json", "\x00\x01", "[" * 20_000, "<xml/>", '{"channels": [}', "[1, 2",
    ],
    ids=["empty", "cut", "words", "zeros", "deep", "xml", "bracket", "list"],
)  # fmt: skip
def test_not_json(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)
    sentence = refusal("fit", "signal-strength", "--data", path)
    assert str(path) in sentence
    assert "JSON" in sentence
    refusal("data", "import", path, "--name", "x", "--out", tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "other",
    [
        [], 3, "text", None, {}, {"type": "FeatureCollection"}, {"patches": [], "metadata": {}},
        {"channels": [], "observations": [], "measurements": []},
        {"fit": {"twice_nll": 3.0}},
    ],
)  # fmt: skip
def test_json_of_another_kind(tmp_path, other):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other))
    sentence = refusal("fit", "signal-strength", "--data", path)
    assert str(path) in sentence
    assert "workspace" in sentence


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "broken.json"
    path.write_bytes(b"\xff\xfe\x80")
    assert str(path) in refusal("fit", "signal-strength", "--data", path)


def test_a_file_and_a_directory_of_another_kind(tmp_path):
    (tmp_path / "likelihood.txt").write_text("{}")
    sentence = refusal("fit", "signal-strength", "--data", tmp_path / "likelihood.txt")
    assert "likelihood.txt" in sentence
    assert "bknn data import" in sentence
    assert "metadata.toml" in refusal("fit", "signal-strength", "--data", tmp_path)


# ---------------------------------------------------------------- bad densities


def change_at(row: int, column: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(counts: np.ndarray) -> np.ndarray:
        counts = counts.copy()
        counts[row, column] = value
        return counts

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_at(1, 2, -0.5), ("1 negative", "fit bin 2", "true-q2 bin 3", "-0.5")),
        (change_at(2, 0, math.nan), ("1 not finite", "fit bin 3", "true-q2 bin 1", "nan")),
        (change_at(0, 4, math.inf), ("1 not finite", "fit bin 1", "true-q2 bin 5")),
        (lambda counts: counts[:, :-1], ("5 columns", "5 true-q2 bins", "need 6")),
        (lambda counts: counts[:-1], ("2 rows", "3 fit bins", "SR")),
        (lambda counts: counts[::-1], ("not add up", "SR", "tolerance")),
    ],
    ids=["negative", "NaN", "infinite", "columns", "rows", "order"],
)
def test_bad_densities(folder, tmp_path, change, named):
    (tmp_path / "small.json").write_text((folder / "small.json").read_text())
    counts = change(small.COUNTS)
    write_density(tmp_path / "density.csv", small.UNMATCHED[: len(counts)], counts)
    sentence = refusal(*import_words(tmp_path), "--out", tmp_path / "set")
    assert str(tmp_path / "density.csv") in sentence
    assert not [w for w in named if w not in sentence], sentence
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1,2,x,4,5,6\n", ("line 1", "column 3", "'x'")),
        ("1,2,,4,5,6\n", ("line 1", "column 3", "empty")),
        ("1,2,3,4,5,6\n1,2,3\n", ("line 2", "3 columns", "6")),
        ("", ("no numbers",)),
    ],
)
def test_tables_that_are_none(folder, tmp_path, text, named):
    (tmp_path / "small.json").write_text((folder / "small.json").read_text())
    (tmp_path / "density.csv").write_text(text)
    sentence = refusal(*import_words(tmp_path), "--out", tmp_path / "set")
    assert not [w for w in ("density.csv", *named) if w not in sentence], sentence


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--form-factor-modifier gg", ("'gg'", "Known: ff")),
        ("--group all=SR,CX", ("'CX'", "CR")),
        ("--group all", ("--group", "ALIAS=CHANNEL")),
        ("--tolerance 2", ("tolerance",)),
        ("--name Big", ("'Big'", "lower-case")),
    ],
)
def test_bad_options_of_the_import(folder, tmp_path, words, named):
    sentence = refusal(*import_words(folder), *words.split(), "--out", tmp_path / "set")
    assert not [w for w in named if w not in sentence], sentence
    assert not (tmp_path / "set").exists()


# ---------------------------------------------------------------- the other commands


def test_models():
    done = run("models")
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    for name in models.available():
        assert f"{name}: " in done.out
        for parameter in models.load(name).parameters:
            if not re.fullmatch("C_.*_(e|mu|tau){2}", parameter.name):
                assert parameter.name in done.out
    # Entries of flavour matrices are one line.
    assert "(C_L_ee ... C_TRR_tautau)" in " ".join(done.out.split())


def test_one_model():
    done = run("models", "wet-rhn")
    assert done.code == 0
    (line,) = [line for line in done.out.splitlines() if "_tautau" in line]
    assert "C_L_ee ... C_TRR_tautau" in line
    assert "the 90 single entries" in line
    text = " ".join(run("models", "vector", "--basis", "chiral").out.split())
    for words in ("C_T_L", "GeV^-2", "[0.001, 10]", "0 (fixed)", "B0 -> K*0 (branching_ratio,",
                  "B -> K*: grvdv-2023"):  # fmt: skip
        assert words in text
    assert "did you mean 'vector'" in refusal("models", "vectr")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("observables", "r_kstar"),
        ("channels", "Bs -> invisible"),
        ("form-factors", "grvdv-2023"),
        ("inputs", "eos-1.0.21"),
        ("scenarios", "vector-T"),
        ("expected", "F_L(B0 -> K*0)"),
        ("vectors", "L_mu - L_tau"),
    ],
)
def test_lists(what, words):
    done = run("list", what)
    assert (done.code, done.err) == (0, "")
    assert words in done.out


def test_data(folder):
    for words in (["data"], ["data", "list"]):
        done = run(*words)
        assert done.code == 0
        assert re.search(r"belle2-2025 +5 +30 +3 +arXiv:2507.12393", done.out)
    shown = run("data", "show", folder / "set", "--channels", "tagged")
    assert shown.code == 0
    assert "SR" in shown.out
    assert "CR" not in shown.out


def test_version_and_help(capsys):
    for words, said in (
        (["--version"], f"bknn {bknn.__version__}\n"),
        (["--help"], "usage: bknn"),
        (["fit", "--help"], "bknn fit resonance --fix mass=2.1 --out results/"),
        (["export", "--help"], "--set"),
        (["predict", "--help"], "bknn predict vector --set mass=2.1 h_V=7e-9 --observable"),
        (["data", "import", "--help"], "--q2-edges"),
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main(words)
        assert stopped.value.code == 0
        assert said in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["fit"], ["fit", "--data", "belle2-2025", "sm"], ["run"]])
def test_usage(capsys, words):
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: bknn" in captured.err


@pytest.fixture
def cache_options() -> Iterator[None]:
    """Leave JAX's compilation cache as it was."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures("cache_options")
def test_compiled_programs_are_kept_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    precision.prepare()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache" / "bknn" / "xla")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    precision.prepare()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / ".cache" / "bknn" / "xla")
    # What JAX itself was told comes first.
    jax.config.update("jax_compilation_cache_dir", "elsewhere")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    precision.prepare()
    assert jax.config.jax_compilation_cache_dir == "elsewhere"


# ---------------------------------------------------------------- as a program of its own


def started(*words: object, python: Sequence[str] = ()) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    environment["JAX_COMPILATION_CACHE_DIR"] = jax.config.jax_compilation_cache_dir
    return subprocess.Popen(
        [sys.executable, *python, "-m", "bknn.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


#: What takes long to import, and no fit needs.
NEEDLESS = {
    "scipy.interpolate", "scipy.ndimage", "scipy.optimize", "scipy.stats", "matplotlib", "optax",
    "bknn.plot", "bknn.inference.evidences", "bknn.inference.limits", "bknn.inference.posteriors",
    "bknn.inference.samplers", "bknn.inference.toys",
}  # fmt: skip


def test_as_a_program(folder, tmp_path):
    """It finds its own way to double precision, and imports what it needs."""
    words = ("--data", folder / "one.json", "--no-figures", "--out", tmp_path)
    good = started("fit", "signal-strength", *words, python=("-X", "importtime"))
    out, err = good.communicate(timeout=120)
    assert good.returncode == 0
    said = err.splitlines()
    assert [line for line in said if not line.startswith("import time:")] == []
    assert not NEEDLESS & {line.split("|")[-1].strip() for line in said}
    assert "converged" in out
    twice_nll = strict_json(tmp_path / "result.json")["fit"]["twice_nll"]
    assert twice_nll == pytest.approx(-2 * (12 * math.log(12) - 12 - math.lgamma(13)), rel=1e-12)


@pytest.mark.slow
def test_errors_of_a_program(folder):
    bad = started("fit", "resonance", "--data", folder / "one.json", "--fix", "mass=2")
    deaf = started("models")
    deaf.stdout.close()  # like `bknn models | true`
    out, err = bad.communicate(timeout=120)
    assert (bad.returncode, out) == (2, "")
    assert err.startswith("bknn: error: ")
    assert len(err.splitlines()) == 1
    assert deaf.stderr.read() == ""
    deaf.stderr.close()
    assert deaf.wait(timeout=120) == 141
