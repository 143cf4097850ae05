"""`bknn sample` and `bknn evidence`: what they ask for, print, write, keep and refuse."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bknn
from bknn import errors, inference, studies
from bknn.inference.evidences.comparison import BayesFactor, Comparison
from bknn.inference.posteriors.predictive import posterior_predictive, prior_predictive
from bknn.questions import evidence, sample
from bknn.questions.shared import build, progress, resume
from bknn.questions.shared.output import Desk

from .. import made_up, small
from ..questions.test_shell import refusal, run, strict_json

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Modules whose names their functions have, too.
SAMPLE = importlib.import_module("bknn.inference.posteriors.sample")
HYPOTHESES = importlib.import_module("bknn.studies.hypotheses")

PRIORS = {"mass": "uniform(1.5, 3.0)", "branching_ratio": "uniform(0, 24e-6)"}


@pytest.fixture(scope="module")
def analysis() -> bknn.Analysis:
    return made_up.analysis(priors=PRIORS)


def draws(chains: int = 4, n: int = 250, seed: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shape = (chains, n)
    return {
        "mass": generator.normal(2.1, 0.05, shape),
        "branching_ratio": np.abs(generator.normal(9e-6, 2.5e-6, shape)),
        "sm_normalisation": generator.normal(1.0, 0.05, shape),
    }


@pytest.fixture(scope="module")
def posterior(analysis):
    return made_up.posterior(analysis, draws())


@pytest.fixture(scope="module")
def predicted(analysis, posterior):
    return (prior_predictive(analysis, 100), posterior_predictive(posterior, 100))


# ---------------------------------------------------------------- tables and files


def test_result(posterior, predicted):
    found = sample.posterior_json(posterior, predicted, settings={"seed": 5})
    json.dumps(found, allow_nan=False)
    assert found["command"] == "sample"
    assert found["priors"]["mass"] == "uniform on [1.5, 3]"
    assert found["fixed"] == {"width": 0.0}
    assert list(found["posterior"]) == [
        n for n, moves in zip(posterior.names, posterior.moving, strict=True) if moves
    ]
    mass = found["posterior"]["mass"]
    assert set(mass) == {
        "mode", "marginal_mode", "mean", "median", "hdi_68", "hdi_95", "regions_68", "regions_95",
        "r_hat", "ess_bulk",
        "ess_tail",
    }  # fmt: skip
    assert mass["mean"] == pytest.approx(2.1, abs=0.01)
    assert mass["hdi_68"][1] - mass["hdi_68"][0] == pytest.approx(0.1, rel=0.15)
    sampling = found["sampling"]
    assert (sampling["chains"], sampling["draws"], sampling["divergences"]) == (4, 250, 0)
    assert sampling["worst_r_hat"]["value"] == np.nanmax(posterior.r_hat)
    assert set(found["predictive"]) == {"prior", "posterior"}
    assert len(found["predictive"]["prior"]["p_bins"]) == posterior.analysis.n_bins
    assert found["provenance"]["seed"] == 5


def test_table(posterior, predicted):
    text = sample.posterior_table(posterior, predicted)
    assert "prior            mass: uniform on [1.5, 3]" in text
    assert "chains           4 of 250 draws" in text
    assert "R-hat            at most" in text
    assert "divergences      0" in text
    assert "energy           E-BFMI at least" in text
    assert "prior check" in text
    assert "posterior check" in text
    (line,) = (x for x in text.splitlines() if x.startswith("mass"))
    assert line.endswith("GeV")
    assert max(map(len, text.splitlines())) < 160


def test_energy(posterior):
    """Of independent draws 2; other samplers have none."""
    assert sample.energy(posterior) == pytest.approx(2.0, abs=0.3)
    assert math.isnan(sample.energy(dataclasses.replace(posterior, method="tempered")))


# ---------------------------------------------------------------- bknn sample


@pytest.fixture
def asked(monkeypatch, posterior) -> list[dict[str, Any]]:
    """What the command asks the sampler for; it gets the made-up posterior."""
    seen: list[dict[str, Any]] = []

    def fake(target: bknn.Analysis, **given: Any) -> Any:
        seen.append({"analysis": target, **given})
        if given["store"] is not None:
            given["store"].put("0", {"x": np.arange(3.0)})
        return made_up.posterior(target, draws(given["chains"], given["draws"]))

    monkeypatch.setattr(SAMPLE, "sample", fake)
    return seen


@pytest.fixture
def data(monkeypatch) -> None:
    """All data sets are the small one, which knows its densities."""
    monkeypatch.setattr(build, "measurements", lambda asked, model=None: [small.measurement()])


@pytest.mark.usefixtures("data")
def test_sample(tmp_path, asked):
    out = tmp_path / "out"
    done = run(
        "sample", "resonance", "--fix", "width=0.1", "--prior",
        "mass=uniform(1.5, 3.0)", "branching_ratio=uniform(0,24e-6)",
        "--chains", "2", "--draws", "60", "--warmup", "30", "--method", "nuts", "--seed", "4",
        "--predictive", "50", "--no-figures", "--out", str(out),
    )  # fmt: skip
    (given,) = asked
    assert given["fixed"] == {"width": 0.1}
    assert (given["chains"], given["draws"], given["warmup"]) == (2, 60, 30)
    assert (given["method"], given["seed"], given["target_ess"]) == ("nuts", 4, None)
    assert given["analysis"].priors == {
        "mass": "uniform(1.5, 3.0)", "branching_ratio": "uniform(0,24e-6)",
    }  # fmt: skip
    found = strict_json(out / "result.json")
    assert found["provenance"]["settings"]["prior"] == given["analysis"].priors
    assert "posterior.nc" in done.out
    assert (out / "posterior.nc").exists()
    assert not (out / "checkpoints").exists()
    # Two chains of 60 draws are too few to be believed.
    assert done.code == (0 if found["sampling"]["converged"] else 1)


@pytest.mark.usefixtures("data")
def test_interrupted_and_resumed(tmp_path, asked, monkeypatch):
    out = tmp_path / "out"
    words = ["sample", "resonance", "--draws", "50", "--predictive", "0", "--no-figures"]

    def interrupted(target: bknn.Analysis, **given: Any) -> Any:
        given["store"].put("0", {"x": np.arange(3.0)})
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SAMPLE, "sample", interrupted)
        done = run(*words, "--out", out)
    assert done.code == 130
    command = shlex.join(["bknn", *words, "--out", str(out)])
    told = "bknn: interrupted; what is done is kept; go on with"
    assert done.err == f"{told}: {command} --resume\n"
    assert "go on with it by --resume" in refusal(*words, "--out", str(out))
    changed = refusal(*words, "--seed", "1", "--out", str(out), "--resume")
    assert "settings seed: was 0 and is 1" in changed

    def resumed(target: bknn.Analysis, **given: Any) -> Any:
        assert given["store"].get("0")["x"].tolist() == [0.0, 1.0, 2.0]
        return made_up.posterior(target, draws(4, 50))

    monkeypatch.setattr(SAMPLE, "sample", resumed)
    run(*words, "--out", str(out), "--resume")
    assert (out / "result.json").exists()
    assert not (out / "checkpoints").exists()


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--chains", "0"], "--chains 0 is too few"),
        (["--draws", "2"], "--draws 2 is too few"),
        (["--target-ess", "-5"], "--target-ess -5 is no number of effective draws"),
        (["--resume"], "--resume goes on with what is in --out DIR; give both"),
        (["--prior", "mass=unifrom(1,2)"], "did you mean 'uniform'"),
        (["--prior", "masse=uniform(1,2)"], "did you mean 'mass'"),
        (["--prior", "sm_normalisation=uniform(0,2)"], "would count it twice"),
    ],
)
def test_sample_refuses(words, problem):
    assert problem in refusal("sample", "resonance", *words)


def test_chains_that_did_not_converge(analysis, capsys):
    far = draws()
    far["mass"][0] += 0.5
    posterior = made_up.posterior(analysis, far)
    assert not posterior.converged
    assert sample.tell(sample.Sampled(posterior, ()), None, {}) == 1
    assert "have not converged; do not use these numbers" in capsys.readouterr().err


# ---------------------------------------------------------------- bknn evidence


def found_evidence(
    value: float, target: Any = None, error: float = 0.05, converged: bool = True
) -> inference.Evidence:
    """Two methods that agree, or not."""
    other = value + (0.1 if converged else 5.0)
    estimates = (
        inference.Estimate(value, error, "bridge"),
        inference.Estimate(other, 2 * error, "thermodynamic"),
    )
    return inference.Evidence(target, {}, estimates)


@pytest.fixture
def weighed(monkeypatch) -> dict[str, dict[str, Any]]:
    """What evidences are asked for."""
    seen: dict[str, dict[str, Any]] = {}

    def fake(target: bknn.Analysis, **given: Any) -> Any:
        seen[f"{target.model.name} {given['fixed']}"] = {"analysis": target, **given}
        return found_evidence(-100.0 - 2 * len(seen), target)

    monkeypatch.setattr(HYPOTHESES, "evidence", fake)
    return seen


@pytest.mark.usefixtures("data")
def test_evidence(tmp_path, weighed):
    out = tmp_path / "out"
    done = run(
        "evidence", "resonance", "--fix", "width=0.1", "--prior", "mass=uniform(1.5, 3.0)",
        "mu=uniform(0, 10)", "--no-figures", "--out", str(out),
    )  # fmt: skip
    assert done.code == 0
    assert list(weighed) == [
        "resonance {'width': 0.1}",
        "signal-strength None",
        "resonance {'width': 0.0, 'branching_ratio': 0.0, 'mass': 2.1}",
        "signal-strength {'mu': 0.0}",
    ]
    assert weighed["signal-strength None"]["analysis"].priors == {"mu": "uniform(0, 10)"}
    found = strict_json(out / "result.json")["evidence"]
    assert list(found["log_evidence"]) == ["resonance", "free-sm", "constrained-sm", "background"]
    assert found["log_evidence"]["resonance"]["value"] == -102.0
    assert list(found["log10_bayes_factor"]) == [
        "resonance/free-sm", "resonance/constrained-sm", "resonance/background",
        "free-sm/constrained-sm", "free-sm/background", "constrained-sm/background",
    ]  # fmt: skip
    factor = found["log10_bayes_factor"]["resonance/background"]
    assert factor["value"] == pytest.approx(6 / math.log(10))
    assert factor["error"] == pytest.approx(0.05 * math.sqrt(2) / math.log(10))
    text = done.out
    assert re.search(r"^resonance/background +2\.606 +0\.031$", text, re.MULTILINE)
    assert "mu uniform on [0, 10]" in text


@pytest.mark.usefixtures("data")
def test_evidence_of_other_models(weighed):
    assert run("evidence", "resonance", "background", "scalar", "--fix", "k_b=1").code == 0
    assert list(weighed) == [
        "resonance {'k_b': 1.0}",
        "signal-strength {'k_b': 1.0, 'mu': 0.0}",
        "scalar {'k_b': 1.0}",
    ]
    done = run("evidence", "signal-strength", "--prior", "mu=uniform(0, 5)")
    assert done.code == 0
    assert "free-sm" not in done.out


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["resonance", "backgruond"], "did you mean 'background'"),
        (["resonance", "--fix", "masse=2"], "did you mean 'mass'"),
        (["resonance", "--prior", "masse=uniform(1, 2)"], "did you mean 'mass'"),
        (["sm", "constrained-sm"], "sm has no parameter whose value makes it"),
    ],
)
def test_evidence_refuses(weighed, words, problem):
    assert problem in refusal("evidence", *words)


def test_methods_that_differ(analysis, capsys):
    comparison = Comparison(
        {"a": found_evidence(-10.0), "b": found_evidence(-12.0, converged=False)}
    )
    assert not comparison.converged
    asked = [studies.Hypothesis(name, analysis, meaning=f"it is {name}") for name in "ab"]
    assert evidence.tell(comparison, asked, None, {}) == 1
    captured = capsys.readouterr()
    assert "methods differ" in captured.out
    assert "the methods do not agree on the evidence of b" in captured.out
    assert "do not use it" in captured.err


def test_bayes_factor_in_digits():
    assert str(BayesFactor(2.6057, 0.031)) == "2.606 +- 0.031"
    assert str(BayesFactor(-1.2, 1.5)) == "-1.2 +- 1.5"


# ---------------------------------------------------------------- checkpoints and bars


def test_damaged_beginning(tmp_path):
    path = tmp_path / resume.FOLDER / resume.BEGUN
    path.parent.mkdir()
    path.write_text("{")
    desk = Desk(resume=True)
    with (
        pytest.raises(errors.RunError, match="not known what was asked"),
        resume.kept(desk, {}, {}, tmp_path),
    ):
        pass
    assert not (tmp_path / "lock").exists()


def test_bar_says_how_many_draws_are_worth_something(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.bar("sampling", 100, "draws") as bar:
        assert bar is not None
        bar(10)
        bar.say("ESS 812")
        bar.expect(200)
        bar(20)
    shown = capsys.readouterr().err
    assert "sampling: compiling" in shown
    assert "ESS 812" in shown
    assert "/200" in shown


def test_options_share_analyses(monkeypatch):
    """One for each model, set of free parameters, and priors."""
    monkeypatch.setattr(build, "measurements", lambda asked, model=None: [small.measurement()])
    desk, asked = Desk(), sample.Asked(model="resonance", data=("small",))
    first = build.analysis(asked, desk)
    assert build.analysis(asked, desk) is first
    assert build.analysis(dataclasses.replace(asked, prior=PRIORS), desk) is not first
    other = dataclasses.replace(asked, model="signal-strength")
    assert build.analysis(other, desk).model.name == "signal-strength"


# ---------------------------------------------------------------- docs/result.md


def kinds(value: Any) -> Any:
    """Keys and types of a JSON value; a list has the kinds of its first entry."""
    if isinstance(value, dict):
        return {key: kinds(v) for key, v in value.items()}
    if isinstance(value, list):
        return [kinds(value[0])] if value else []
    return type(value).__name__


def documented(key: str) -> Any:
    """The block of docs/result.md that has a key."""
    page = (Path(__file__).parents[3] / "docs" / "result.md").read_text(encoding="utf-8")
    blocks = [json.loads(b) for b in re.findall(r"^```json\n(.*?)^```$", page, re.M | re.S)]
    # That of a grid has the same keys; test_marginal.py looks at it.
    (found,) = (block for block in blocks if key in block and "grid" not in block)
    # Every key has a row in a table.
    for name in found[key] if key != "posterior" else found["posterior"]["mass"]:
        assert f".{name}`" in page or f"`{key}.{name}" in page or f"`{name}`" in page
    return found


def test_documented_posterior(posterior, predicted):
    written = sample.posterior_json(posterior, predicted, settings={})
    page = documented("posterior")
    assert set(written) == {*page, "command", "model", "data", "provenance"}
    assert kinds(written["posterior"]["mass"]) == kinds(page["posterior"]["mass"])
    for key in ("sampling", "predictive"):
        assert kinds(written[key]) == kinds(page[key])


def test_documented_evidence(analysis):
    comparison = Comparison({"a": found_evidence(-10.0), "b": found_evidence(-12.0)})
    written = evidence.evidence_json(comparison, {"a": "it is a", "b": "b"}, analysis, settings={})
    page = documented("evidence")
    assert set(written) == {*page, "command", "model", "data", "provenance"}
    for key in ("log_evidence", "log10_bayes_factor"):
        first, second = (next(iter(x["evidence"][key].values())) for x in (written, page))
        assert kinds(first) == kinds(second)
    assert written["evidence"]["status"] == page["evidence"]["status"]
