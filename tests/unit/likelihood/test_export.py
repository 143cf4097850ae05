"""Out to pyhf JSON and back: the same log density, with the signal of a model put in or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import cli, errors, models

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

# One configures a parameter that no sample has, which bknn refuses.
FIXTURES = sorted(
    path
    for path in (Path(__file__).parents[2] / "fixtures" / "pyhf").glob("*.json")
    if path.stem != "background-only-patchset"
)


def same_nuisances(
    analysis: bknn.Analysis, params: dict[str, Any], pdf: bknn.HistFactory, poi: float = 1.0
) -> dict[str, Any]:
    """The parameters of an exported workspace that belong to a point of the analysis."""
    named = analysis.unflatten(analysis.flatten(params))
    return {name: poi if name == pdf.poi else named[name] for name in pdf.parameter_sets}


def nuisances(analysis: bknn.Analysis, seed: int) -> dict[str, Any]:
    """Every nuisance off its centre."""
    rng = np.random.default_rng(seed)
    return {
        name: analysis.init_vector[where] + 0.1 * rng.normal(size=where.stop - where.start)
        for name, where in analysis.nuisances.items()
    }


def constraints(analysis: bknn.Analysis, params: dict[str, Any]) -> float:
    """Log of the constraints of the model's own parameters, which a workspace cannot hold."""
    return sum(
        -0.5 * ((params[p.name] - p.constraint[0]) / p.constraint[1]) ** 2
        - np.log(p.constraint[1] * np.sqrt(2 * np.pi))
        for p in analysis.parameters
        if p.constraint is not None
    )


def bump(q2, height, centre):
    return height * jnp.exp(-0.5 * (q2 - centre) ** 2)


CASES = {
    "signal-strength": (models.load("signal-strength"), {"mu": 2.5}, {}),
    "resonance": (
        models.load("resonance"),
        {"mass": 2.2, "branching_ratio": 8e-6, "sm_normalisation": 0.9},
        {},
    ),
    "with a width": (
        models.load("resonance"),
        {"mass": 2.9, "branching_ratio": 8e-6, "sm_normalisation": 1.0, "width": 0.3},
        {"free": ["width"], "response": "reweighting"},
    ),
    "own": (
        models.from_spectrum(bump, {"height": 1e-6, "centre": 6.0}),
        {"height": 3e-6, "centre": 7.0},
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_exported_signal_has_the_same_likelihood(name):
    model, physics, options = CASES[name]
    analysis = bknn.Analysis(model, small.measurement(), **options)
    exported = json.loads(json.dumps(analysis.to_workspace({**analysis.init, **physics})))
    pdf = bknn.HistFactory.from_workspace(exported)
    assert pdf.poi == "mu"
    log_likelihood, log_prob = jax.jit(analysis.log_likelihood), jax.jit(pdf.log_prob)
    for seed in range(2):
        params = {**physics, **nuisances(analysis, seed)}
        ours = float(log_likelihood(params)) - constraints(analysis, params)
        theirs = float(log_prob(same_nuisances(analysis, params, pdf)))
        assert theirs == pytest.approx(ours, rel=1e-12)


def test_the_parameter_of_interest_multiplies_the_signal():
    analysis = bknn.Analysis(models.load("resonance"), small.measurement())
    params = {**analysis.init, "mass": 3.0, "branching_ratio": 2e-5}
    pdf = bknn.HistFactory.from_workspace(analysis.to_workspace(params))
    parts = analysis.expected(params)["SR"]
    for poi in (0.0, 1.0, 2.0):
        cells = pdf.cell_rates(pdf.flatten(same_nuisances(analysis, params, pdf, poi)))
        found = pdf.cells_by_sample(cells)["SR"]
        assert set(found) == {"signal", "new_signal", "background"}
        np.testing.assert_allclose(found["new_signal"], poi * parts["new signal"], rtol=1e-12)
        np.testing.assert_allclose(found["signal"], poi * parts["signal"], rtol=1e-12)
        np.testing.assert_allclose(found["background"], parts["background"], rtol=1e-12)


def test_form_factors_of_the_template_do_not_bend_the_new_signal():
    analysis = bknn.Analysis(models.load("resonance"), small.measurement())
    exported = analysis.to_workspace(analysis.init)
    (signal_region,) = (c for c in exported["channels"] if c["name"] == "SR")
    kinds = {s["name"]: {m["name"] for m in s["modifiers"]} for s in signal_region["samples"]}
    assert kinds["signal"] == {"mu", "ff", "stat_SR"}
    assert kinds["new_signal"] == {"mu", "stat_SR"}
    # A spectrum without the template has no form factors of it at all.
    own = bknn.Analysis(CASES["own"][0], small.measurement())
    assert "ff" not in json.dumps(own.to_workspace(own.init))


def test_names_with_a_slash():
    text = json.dumps(small.workspace()).replace('"ff"', '"theory/ff"')
    measurement = small.measurement(
        workspace=json.loads(text), form_factor_modifiers=("theory/ff",)
    )
    analysis = bknn.Analysis(models.load("signal-strength"), measurement)
    assert "theory/ff" in analysis.names
    pdf = bknn.HistFactory.from_workspace(analysis.to_workspace(analysis.init))
    assert "theory/ff" in pdf.parameter_names


def test_a_workspace_without_response_comes_back_as_it_is():
    measurement = bknn.Measurement("plain", "", small.workspace())
    analysis = bknn.Analysis(models.load("signal-strength"), measurement)
    pdf = bknn.HistFactory.from_workspace(analysis.to_workspace(analysis.init))
    again = bknn.HistFactory.from_workspace(small.workspace())
    assert pdf.parameter_names == again.parameter_names
    assert float(pdf.log_prob(pdf.init)) == float(again.log_prob(again.init))


def test_several_measurements_are_not_one_workspace():
    other = bknn.Measurement("plain", "", small.one_bin().workspace)
    analysis = bknn.Analysis(models.load("signal-strength"), [small.measurement(), other])
    with pytest.raises(errors.WorkspaceError, match="export each in an analysis of its own"):
        analysis.to_workspace(analysis.init)


def test_a_shapesys_on_the_signal_cannot_be_shared():
    spec = small.workspace()
    spec["channels"][0]["samples"][0]["modifiers"][2] = {
        "name": "mc",
        "type": "shapesys",
        "data": [0.8, 0.6, 0.5],
    }
    measurement = small.measurement(workspace=spec)
    analysis = bknn.Analysis(models.load("resonance"), measurement)
    with pytest.raises(errors.WorkspaceError) as caught:
        analysis.to_workspace(analysis.init)
    for word in ("'SR'", "'signal'", "'mc'", "staterror"):
        assert word in str(caught.value)
    # Alone it can.
    alone = bknn.Analysis(models.load("signal-strength"), measurement)
    params = {"mu": 2.0, **nuisances(alone, 3)}
    pdf = bknn.HistFactory.from_workspace(alone.to_workspace(params))
    assert float(pdf.log_prob(same_nuisances(alone, params, pdf))) == pytest.approx(
        float(alone.log_likelihood(params)), rel=1e-12
    )


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_round_trip_of_published_workspaces(path):
    spec = json.loads(path.read_text(encoding="utf-8"))
    pdf = bknn.HistFactory.from_workspace(spec)
    written = json.loads(json.dumps(pdf.to_workspace(), allow_nan=False))
    again = bknn.HistFactory.from_workspace(written)
    assert again.parameter_names == pdf.parameter_names
    assert again.poi == pdf.poi
    for attribute in ("init", "bounds", "fixed"):
        before, after = getattr(pdf, attribute), getattr(again, attribute)
        assert all(np.array_equal(before[name], after[name]) for name in pdf.parameter_sets)
    np.testing.assert_array_equal(again.observed, pdf.observed)
    np.testing.assert_array_equal(again.auxdata, pdf.auxdata)
    rng = np.random.default_rng(0)
    vector = np.asarray(pdf.flatten(pdf.init)) + 0.05 * rng.normal(size=pdf.size)
    assert float(again.log_prob(vector)) == float(pdf.log_prob(vector))
    # Once written, nothing changes any more.
    assert again.to_workspace() == written


# ---------------------------------------------------------------- bknn export


@pytest.fixture
def data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    (tmp_path / "small.json").write_text(json.dumps(small.workspace()))
    table = np.column_stack([small.UNMATCHED, small.COUNTS]).tolist()
    (tmp_path / "density.csv").write_text("\n".join(",".join(map(repr, r)) for r in table))
    words = (
        f"data import {tmp_path}/small.json --name small --density SR={tmp_path}/density.csv "
        "--signal SR=signal --q2-edges 0,4,8,12,16,22.885 --null-spectrum hpqcd-2022 "
        f"--form-factor-modifier ff --out {tmp_path}/set"
    )
    assert cli.main(words.split()) == 0
    capsys.readouterr()
    return str(tmp_path / "set")


@pytest.mark.slow
def test_the_command_writes_what_the_analysis_says(data_set, tmp_path, capsys):
    out = tmp_path / "for-pyhf.json"
    words = f"export resonance --data {data_set} --set mass=3 branching_ratio=2e-5 --out {out}"
    assert cli.main(words.split()) == 0
    assert str(out) in capsys.readouterr().out
    analysis = bknn.Analysis(models.load("resonance"), bknn.data.load(data_set))
    point = {**analysis.init, "mass": 3.0, "branching_ratio": 2e-5}
    assert json.loads(out.read_text()) == json.loads(json.dumps(analysis.to_workspace(point)))
    # With a parameter that is fixed otherwise, and over the old file.
    words = f"export resonance --data {data_set} --set mass=3 width=0.5 --out {out}"
    assert cli.main(words.split()) == 0
    assert json.loads(out.read_text())["channels"]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("resonance --set mass=5", ("mass = 5", "4.78385", "GeV")),
        ("resonance --set mas=2", ("'mas'", "'mass'")),
        ("resonance --set k_b=2", ("k_b", "nuisance", "branching_ratio")),
        ("resonance --set mass", ("--set", "mass", "NAME=VALUE")),
        ("resonance --set mass=1 mass=2", ("--set", "'mass'", "two values")),
        ("resonance --response smoth", ("'smoth'", "'smooth'")),
    ],
)
def test_the_command_refuses(data_set, tmp_path, capsys, words, named):
    out = tmp_path / "refused.json"
    assert cli.main(["export", *words.split(), "--data", data_set, "--out", str(out)]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("bknn: error: ")
    assert not [word for word in named if word not in line], line
    assert not captured.out
    assert not out.exists()


def test_the_command_says_where_it_cannot_write(data_set, tmp_path, capsys):
    for out in (tmp_path / "small.json" / "x.json", tmp_path):
        code = cli.main(["export", "signal-strength", "--data", data_set, "--out", str(out)])
        assert code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("bknn: error: ")
        assert str(out.parent) in line
        assert "cannot be written" in line
