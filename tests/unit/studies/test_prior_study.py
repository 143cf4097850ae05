"""`[prior_study]` of a card: weights where they will do, chains elsewhere, and what is written."""

from __future__ import annotations

import importlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from scipy.stats import norm

import bknn
from bknn import inference, plot
from bknn.answers.keys_of_fits import COMMON

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
    assert set(written) == {*page, *COMMON, "model", "data"}
    for label in ("given", "normal"):
        assert kinds(written["prior_study"][label]) == kinds(page["prior_study"][label])
    names = {p.name for p in (folder / "prior_study").iterdir()}
    assert names == {"result.json", *(f"prior_study.{end}" for end in ("nc", "pdf", "png"))}


def test_bayes_factors(studied):
    """From weights of the given draws or, where chains were run, of those of the chains."""
    (_, out, _), folder = studied
    found = strict_json(folder / "prior_study" / "result.json")["prior_study"]
    assert found["given"]["log_ratio"] is None
    # 10 times the integral of N(mu; 4, 1) over the normal prior, which the bound cuts in half.
    exact = math.log(10 * norm.pdf(4, 0, 26**0.5) / (norm.cdf(2) - 0.5))
    normal, wide = found["normal"]["log_ratio"], found["wide"]["log_ratio"]
    assert normal["value"] == pytest.approx(exact, abs=4 * normal["error"])
    # All that the data allow lies within the given prior, which is less wide by a third.
    assert wide == {"value": pytest.approx(-math.log(1.5)), "error": 0.0}
    assert re.search(r"^wide/given +-0\.176", out, re.M)


def test_kept_and_drawn(studied):
    """The file holds draws once, whoever shares them, and gives the figure again."""
    _, folder = studied
    file = folder / "prior_study" / "prior_study.nc"
    found = bknn.load(file)
    assert found.varied == ("mu",)
    for kept in (xarray.load_dataset(file), found.to_dataset()):
        assert sum(x.ndim == 3 for x in kept.variables.values()) == 2
    (figure,) = plot.figures(found).values()
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts == [
        *("given", "$\\mu$: uniform on [0, 10]"),
        *("normal", "$\\mu$: normal 0 ± 5, within [0, 10]"),
        *("wide", "$\\mu$: uniform on [−5, 10]"),
    ]
    points = [line.get_xdata()[0] for line in figure.axes[1].lines if line.get_marker() != "None"]
    factors = [found[label].bayes_factor.log10 for label in ("normal", "wide")]
    assert points == [0.0, *factors]


def test_a_word_that_is_taken(tmp_path):
    (tmp_path / "small.json").write_text(json.dumps(small.workspace()))
    (tmp_path / "card.toml").write_text(CARD.replace("normal =", "given ="))
    code, _, err = run("run", tmp_path / "card.toml", "--out", tmp_path / "out")
    assert code == 2
    assert "'given' is what the priors to begin with are called" in err
