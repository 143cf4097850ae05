"""Workspaces at the edges (tests/fixtures/workspaces): pyhf builds them, so they are taken."""

from __future__ import annotations

import gzip
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bknn
import bknn.cli
from bknn import inference, models
from bknn.errors import DataWarning

from .reference import Reference, compare
from .workspaces import one_channel, parameter_points

FIXTURES = Path(__file__).parents[1] / "fixtures" / "workspaces"


#: Of pyhf's -2 log L: a nuisance with 1.9e11 auxiliary counts, whose terms are 1e13.
ROUNDING = {"atlas-3l-erjr.json.gz": 0.01}

#: The lowest -2 log L that pyhf and minuit find; README.md beside it says how.
MINIMA: dict[str, float] = json.loads((FIXTURES / "minima.json").read_text())


def content(name: str) -> dict[str, Any]:
    raw = (FIXTURES / name).read_bytes()
    return json.loads(gzip.decompress(raw) if name.endswith(".gz") else raw)


def agrees(workspace: dict[str, Any], pdf: bknn.HistFactory) -> None:
    reference = Reference(workspace)
    assert list(pdf.parameter_names) == reference.names
    problems = compare(reference, pdf, parameter_points(reference, np.random.default_rng(1)))
    assert not problems, "\n".join(problems)


WARNED = {
    "corner_extra_observation.json": "'vr' in 'observations' belong to no channel",
    "corner_config_unused_param.json": "settings of a parameter that no sample has.*'theta'",
    "corner_neg_nominal.json": None,
    "atlas-sbottom-sra.json.gz": "in 'observations' belong to no channel",
    "atlas-3l-erjr.json.gz": "settings of a parameter that no sample has.*'mu_BG'",
    "atlas-stau-lowmass.json.gz": None,
}


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("name", WARNED)
def test_the_density_is_that_of_pyhf(name: str) -> None:
    """Read from the file; what changes nothing is a warning that names it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pdf = bknn.HistFactory.from_workspace(FIXTURES / name)
    assert all(issubclass(warning.category, DataWarning) for warning in told)
    sentences = [str(warning.message) for warning in told]
    assert len(sentences) == (WARNED[name] is not None)
    assert all(re.search(WARNED[name] or "", sentence) for sentence in sentences)
    agrees(content(name), pdf)


def repeated(kind: str, first: Any, last: Any) -> dict[str, Any]:
    modifiers = [("normfactor", "mu", None), (kind, "twice", first), (kind, "twice", last)]
    workspace = one_channel({"s": ([5.0, 2.0], modifiers)}, [6.0, 1.0])
    lumi = {"inits": [1.0], "auxdata": [1.0], "sigmas": [0.1], "bounds": [[0.0, 2.0]]}
    if kind == "lumi":
        for modifier in modifiers_of(workspace):
            modifier["name"] = modifier["name"].replace("twice", "lumi")
        workspace["measurements"][0]["config"]["parameters"] = [{"name": "lumi", **lumi}]
    return workspace


def modifiers_of(workspace: dict[str, Any]) -> list[dict[str, Any]]:
    return workspace["channels"][0]["samples"][0]["modifiers"]


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(
    ("kind", "first", "last"),
    [
        ("normfactor", None, None),
        ("lumi", None, None),
        ("shapefactor", None, None),
        ("normsys", {"lo": 0.9, "hi": 1.1}, {"lo": 0.8, "hi": 1.3}),
        (
            "histosys",
            {"lo_data": [4.0, 2.0], "hi_data": [6.0, 2.0]},
            {"lo_data": [5.0, 1.0], "hi_data": [5.0, 4.0]},
        ),
        ("staterror", [0.5, 0.4], [0.3, 0.2]),
    ],
)
def test_of_repeated_modifiers_the_last_is_kept(kind: str, first: Any, last: Any) -> None:
    """As pyhf does, which says nothing."""
    workspace = repeated(kind, first, last)
    with pytest.warns(DataWarning, match=f"two {kind} modifiers named .* the last one is kept"):
        pdf = bknn.HistFactory.from_workspace(workspace)
    agrees(workspace, pdf)


def test_a_repeated_shapesys_is_refused_by_both() -> None:
    workspace = repeated("shapesys", [0.5, 0.4], [0.3, 0.2])
    with pytest.raises(Exception, match="same name"):
        Reference(workspace)
    with pytest.raises(bknn.errors.WorkspaceError, match="two shapesys modifiers"):
        bknn.HistFactory.from_workspace(workspace)


def test_negative_yields_in_every_kind_of_modifier() -> None:
    """As simulations with negative weights give them."""
    workspace = one_channel(
        {
            "signal": ([5.0, 2.0], [("normfactor", "mu", None)]),
            "b": (
                [-1.0, 30.0],
                [
                    ("normsys", "k", {"lo": 0.9, "hi": 1.1}),
                    ("histosys", "h", {"lo_data": [-2.0, 28.0], "hi_data": [0.5, 33.0]}),
                    ("shapesys", "u", [0.5, 2.0]),
                    ("staterror", "stat", [0.3, 1.0]),
                ],
            ),
            "c": ([0.5, 1.0], [("staterror", "stat", [0.1, 0.1])]),
        },
        [3.0, 31.0],
    )
    agrees(workspace, bknn.HistFactory.from_workspace(workspace))


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"distributions": [], "metadata": {"hs3_version": "0.2"}}, "HS3 .*pyhf xml2json"),
        ({"channels": []}, "bare pyhf model.*Workspace.build"),
        ({"channels": [], "parameters": []}, "bare pyhf model.*Workspace.build"),
        ({"patches": [], "metadata": {}}, "pyhf patch set.*--patch FILE:NAME"),
        ([{"op": "remove", "path": "/a"}], "JSON patch.*--patch"),
    ],
)
def test_relatives_of_workspaces_are_refused_by_name(
    found: Any, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(found))
    for read in (bknn.HistFactory.from_workspace, bknn.data.load):
        with pytest.raises(bknn.errors.BknnError, match=sentence):
            read(path)


def test_byte_order_marks_and_gzip(tmp_path: Path) -> None:
    workspace = content("corner_neg_nominal.json")
    marked, packed = tmp_path / "marked.json", tmp_path / "packed.json.gz"
    marked.write_bytes(b"\xef\xbb\xbf" + json.dumps(workspace).encode())
    packed.write_bytes(gzip.compress(marked.read_bytes()))
    for path in (marked, packed):
        assert bknn.data.load(path).workspace == workspace
        assert bknn.HistFactory.from_workspace(path).parameter_names == ("mu", "k")


def test_the_shell_tells_warnings_in_one_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = FIXTURES / "corner_extra_observation.json"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert bknn.cli.main(["data", "show", str(path)]) == 0
        assert capfd.readouterr().err == ""
        out = str(tmp_path / "out.json")
        options = ["--data", str(path), "--out", out]
        assert bknn.cli.main(["export", "signal-strength", *options]) == 0
    told = capfd.readouterr().err.splitlines()
    assert [line for line in told if "'vr'" in line] == [
        "bknn: warning: " + str(path) + ": 'vr' in 'observations' belong to no channel, and are "
        "not used."
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.filterwarnings("ignore::bknn.errors.DataWarning")
@pytest.mark.parametrize(
    "name",
    [
        "atlas-stau-lowmass.json.gz",
        pytest.param("atlas-3l-erjr.json.gz", marks=pytest.mark.slow),
        pytest.param("atlas-sbottom-sra.json.gz", marks=pytest.mark.slow),
    ],
)
def test_fits_of_atlas_are_at_the_minimum_of_minuit_or_below(name: str) -> None:
    workspace = bknn.data.load(FIXTURES / name)
    analysis = bknn.Analysis(models.load("signal-strength"), workspace)
    result = inference.fit(analysis)
    assert result.converged, result.status
    assert float(result.twice_nll) <= MINIMA[name] + ROUNDING.get(name, 1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_any_number_of_local_nuisances() -> None:
    """2 mu + 50 = 52 in each of 24 bins."""
    workspace = bknn.data.load(FIXTURES / "shapesys_24_bins.json")
    analysis = bknn.Analysis(models.load("signal-strength"), workspace)
    result = inference.fit(analysis)
    assert result.converged, result.status
    assert float(result.params["mu"]) == pytest.approx(1.0, abs=1e-6)
