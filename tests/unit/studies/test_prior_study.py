"""`[prior_study]` of a card: weights where they will do, chains elsewhere, and what is written."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bknn
from bknn import inference

from .. import made_up, small
from ..questions.test_shell import Run, run, strict_json
from ..questions.test_shell_posteriors import kinds

pytestmark = pytest.mark.usefixtures("quick_compilation")

CARD = """\
[model]
name = "signal-strength"
[data]
sets = ["small.json"]
[priors]
mu = "uniform(0, 10)"
[prior_study.alternatives]
normal = {mu = "truncated_normal(0, 5, 0, 10)"}
wide = {mu = "uniform(-5, 10)"}
"""


STUDY = importlib.import_module("bknn.studies.prior_study")


def drawn(analysis: bknn.Analysis, **options: Any) -> inference.Posterior:
    """What sampling would give, if the data said mu = 4 +- 1."""
    values = np.random.default_rng(0).normal(4.0, 1.0, (4, 500))
    return made_up.posterior(analysis, {"mu": np.clip(values, 0.1, 9.9)})


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.json").write_text(json.dumps(small.workspace()))
    (folder / "card.toml").write_text(CARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(STUDY, "sample", drawn)
        return run("run", folder / "card.toml", "--out", folder / "out"), folder / "out"


def test_weights_where_they_will_do(studied):
    (_, out, _), folder = studied
    found = strict_json(folder / "prior_study" / "result.json")["prior_study"]
    assert {label: x["method"] for label, x in found.items()} == {
        "given": "draws",
        "normal": "weights",
        "wide": "draws",
    }
    assert found["normal"]["priors"] == {"mu": "normal 0 +- 5, within [0, 10]"}
    # N(4, 1) times N(0, 5) is N(4 / 1.04, 1 / 1.04^0.5).
    means = {label: x["posterior"]["mu"]["mean"] for label, x in found.items()}
    assert means["given"] == pytest.approx(4.0, abs=0.1)
    assert means["normal"] == pytest.approx(means["given"] / 1.04, abs=0.02)
    assert (
        "Chains were run, because weights would not do: 33% of the new prior"
        in (found["wide"]["status"])
    )
    table = [line for line in out.splitlines() if line.startswith(("given", "normal", "wide"))]
    assert [line.split()[0] for line in table[:3]] == ["given", "normal", "wide"]


def test_documented(studied):
    _, folder = studied
    written = strict_json(folder / "prior_study" / "result.json")
    text = (Path(__file__).parents[3] / "docs" / "result.md").read_text(encoding="utf-8")
    (page,) = (
        json.loads(block)
        for block in re.findall(r"^```json\n(.*?)^```$", text, re.M | re.S)
        if block.startswith('{\n  "prior_study"')
    )
    assert set(written) == {*page, "format", "command", "model", "data", "answers", "provenance"}
    for label in ("given", "normal"):
        assert kinds(written["prior_study"][label]) == kinds(page["prior_study"][label])
    assert {p.name for p in (folder / "prior_study").iterdir()} == {"posterior.nc", "result.json"}


def test_a_word_that_is_taken(tmp_path):
    (tmp_path / "small.json").write_text(json.dumps(small.workspace()))
    (tmp_path / "card.toml").write_text(CARD.replace("normal =", "given ="))
    code, _, err = run("run", tmp_path / "card.toml", "--out", tmp_path / "out")
    assert code == 2
    assert "'given' is what the priors to begin with are called" in err
