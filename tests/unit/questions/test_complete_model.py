"""A complete model, with data that constrain a number it derives, under every question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bknn
from bknn import errors, models, studies
from bknn.plot.drawing.labels import quantity_label
from bknn.plot.observables.looks import labels_of
from bknn.studies.compare import read
from bknn.studies.observables.quantities import Quantity

from .. import small
from ..questions.test_shell import Run, run, strict_json, write_density

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: A limit on sin^2(theta) that matters where one event does.
LIMIT = """
title = "a rate of e+ e- -> Z S"

[[sources]]
title = "made up"
what = "an example"

[[limits]]
name = "Z S"
quantity = "sin2_theta"
against = { mass = [1e-6, 19.0] }
upper = [2e-5, 2e-5]
level = 0.95
"""

PORTAL = models.load("higgs-portal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portal")
    (path / "limit.toml").write_text(LIMIT)
    (path / "one.json").write_text(json.dumps(small.one_bin(25.0).workspace))
    write_density(path / "density.csv", np.zeros(1), np.array([[3.0, 1.0]]))
    words = ("--density", f"only={path / 'density.csv'}", "--signal", "only=signal")
    edges = ("--q2-edges", "0,10,22.885", "--null-spectrum", "hpqcd-2022")
    made = run(
        "data", "import", path / "one.json", "--name", "set", *words, *edges, "--out", path / "set"
    )
    assert made.code == 0, made.err
    return path


@pytest.fixture(scope="module")
def data(folder: Path) -> list[bknn.Measurement]:
    return [bknn.data.load(folder / "set"), bknn.data.load(folder / "limit.toml")]


@pytest.mark.slow
def test_rivals_have_what_the_model_derives(data):
    """In the standard model nothing mixes: the limit is the same factor in all their evidences."""
    found = studies.hypotheses(PORTAL, data, fixed={"mass": 1.5})
    free = {h.name: h for h in found}["free-sm"].analysis
    values = free.model.derived({"mu": 1.0})
    assert {k: values[k] for k in ("mass", "sin2_theta", "higgs_signal_strength")} == {
        "mass": 2.1, "sin2_theta": 0.0, "higgs_signal_strength": 1.0,
    }  # fmt: skip
    assert list(free.names) == ["mu"]
    alone = bknn.Analysis(models.load("signal-strength"), data[0])
    there = np.asarray([3.0])
    factor = free.log_density(there) - alone.log_density(there)
    np.testing.assert_allclose(factor, -0.5 * np.log(2 * np.pi), rtol=1e-12)


def test_scenarios_of_complete_models():
    assert read("higgs-portal:sin_theta")[1] == ("sin_theta",)
    with pytest.raises(errors.UnknownNameError, match=r"unknown coupling 'theta'.*sin_theta"):
        read("higgs-portal:theta")
    with pytest.raises(errors.ParameterError, match="is no scenario; write a model and its coup"):
        read("higgs-portal")


def test_labels():
    own = dict.fromkeys(["higgs-portal:sin_theta", "scalar:C_S_L"])
    names = ["higgs-portal, $\\sin\\theta$", "scalar, $C_S^L$"]
    assert labels_of(own, [None, None]) == names
    assert quantity_label(Quantity("sin2_theta"), PORTAL) == r"$\sin^2\theta$"
    axion = type("Axion", (), {"derived_quantities": [bknn.DerivedQuantity("f", "GeV^-1")]})
    assert quantity_label(Quantity("f"), axion) == "f [GeV$^{-1}$]"
    assert quantity_label(Quantity(), PORTAL).startswith("BR($B^+")


@pytest.fixture(scope="module")
def answered(folder: Path) -> dict[str, tuple[Run, dict[str, Any]]]:
    both = ("--data", folder / "set", folder / "limit.toml")
    fixed = ("higgs-portal", *both, "--fix", "mass=2.1")
    chains = ("--chains", 2, "--draws", 50)
    asked = {
        "fit": fixed,
        "limit": (*fixed, "br_visible=0.3", "--poi", "sin_theta"),
        "profile": (*fixed, "--over", "sin_theta=0:0.01:9"),
        "toys": (*fixed, "-n", 10, "--goodness-of-fit"),
        "significance": (*fixed, "--toys", 10),
        "impacts": (*fixed, "--poi", "sin_theta"),
        "sample": (*fixed, *chains, "--warmup", 100, "--predictive", 10),
        "marginal": (*fixed, "--over", "sin_theta=0:0.01:41"),
        "evidence": (*fixed, *chains),
        "regions": ("higgs-portal", *both, "--over", "sin_theta=0:0.01:9", "mass=1:3:5"),
        "exclusions": ("higgs-portal", *both, "--over", "sin_theta=0:0.01:9", "mass=1:3:5"),
        "compare": ("higgs-portal:sin_theta", *both, "--fix", "mass=2.1"),
        "predict": (
            *("higgs-portal", "--fit", *both[1:], "--fix", "mass=2.1"),
            *("--observable", "sin2_theta", "branching_ratio"),
        ),
    }
    found = {}
    for name, words in asked.items():
        out = folder / name
        done = run({"marginal": "sample"}.get(name, name), *words, "--out", out)
        found[name] = done, strict_json(out / "result.json") if done.code < 2 else {}
    return found


@pytest.mark.nightly
def test_every_command_answers(answered, folder):
    """Few draws do not converge, which is said; everything else does."""
    assert {name: done.code for name, (done, _) in answered.items() if done.code} == {"sample": 1}
    for name, (done, content) in answered.items():
        assert content["provenance"]["version"], name
        # A single limit has no figure.
        assert name == "limit" or list((folder / name).glob("*.png")), name
        assert "Traceback" not in done.err


@pytest.mark.nightly
def test_answers_agree(answered):
    """sin(theta), sin^2(theta) and the rate: intervals of one are those of the others."""
    content = {name: x for name, (_, x) in answered.items()}
    one = content["profile"]["intervals"]["sin_theta"]
    squared = content["predict"]["predictions"][0]
    for level in ("68", "95"):
        np.testing.assert_allclose(squared[level], np.square(one[level]), rtol=2e-3, atol=1e-9)
    best = content["fit"]["fit"]["parameters"]["sin_theta"]["value"]
    assert content["regions"]["regions"]["combined"]["best"]["sin_theta"] > 0
    np.testing.assert_allclose(one["value"], best, rtol=1e-3)
    # Where 30% are seen the same rate is missing at a larger angle.
    assert content["limit"]["limit"]["observed"][0] > best
    grid, chains = (content[x]["posterior"]["sin_theta"] for x in ("marginal", "sample"))
    assert abs(grid["mean"] - chains["mean"]) < (grid["hdi_68"][1] - grid["hdi_68"][0])


@pytest.mark.slow
def test_a_coupling_that_ends_at_zero(data):
    """From 0 there is no slope of a rate that goes with its square: profiles leave it all the same.

    With as many events as the standard model makes the fit ends at sin(theta) = 0.
    """
    analysis = bknn.Analysis(PORTAL, [small.one_bin(12.0), data[1]])
    best = bknn.inference.fit(analysis, fixed={"mass": 2.1})
    assert float(best.params["sin_theta"]) == 0.0
    (found,) = studies.predictions(best, [Quantity("sin2_theta")]).ranges[0.95]
    one = bknn.inference.intervals(analysis, ["sin_theta"], fixed={"mass": 2.1}, best=best)
    assert found.low == 0.0
    assert found.high == pytest.approx(one["sin_theta", 0.95].high ** 2, rel=2e-3)
