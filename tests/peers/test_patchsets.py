"""Patches of workspaces against `jsonpatch` and `pyhf.PatchSet`."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

import bknn
from bknn.reading import json_patch
from bknn.reading.pyhf_files import patched

from .workspaces import GARBAGE, _at, _paths, generate

pyhf = pytest.importorskip("pyhf")
jsonpatch = pytest.importorskip("jsonpatch")

PLAIN = [value for value in GARBAGE if json.dumps(value).isascii() and value == value]


def pointer(path: tuple[str | int, ...]) -> str:
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def operation(rng: Random, document: Any) -> dict[str, Any]:
    """An operation that may or may not fit a document."""
    paths = list(_paths(document))
    path, other = (list(rng.choice(paths)) for _ in range(2))
    if rng.random() < 0.3:
        path[-1] = rng.choice(["-", "0", "7", "new", "~", "a/b", "01"])
    op = rng.choice(["add", "add", "remove", "replace", "move", "copy", "test"])
    found: dict[str, Any] = {"op": op, "path": pointer(tuple(path))}
    if op in ("add", "replace", "test"):
        found["value"] = copy.deepcopy(rng.choice(PLAIN))
        if op == "test" and rng.random() < 0.7 and path[-1] != "-":
            try:
                found["value"] = copy.deepcopy(_at(document, tuple(path)))
            except (KeyError, IndexError, TypeError):
                found["op"] = "add"
    elif op != "remove":
        found["from"] = pointer(tuple(other))
    return found


def test_random_patches() -> None:
    """The same value, or both refuse."""
    done = refused = 0
    for seed in range(300):
        rng = Random(seed)
        document = generate(rng)
        patch = [operation(rng, document) for _ in range(rng.randint(1, 3))]
        try:
            ours = json_patch.apply(patch, document)
        except bknn.errors.DataError:
            ours = None
        try:
            theirs = jsonpatch.JsonPatch(patch).apply(document)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
            theirs = None
        except (TypeError, AttributeError, KeyError):
            continue  # jsonpatch fails on values without parts
        assert ours == theirs, (seed, patch)
        done, refused = done + (ours is not None), refused + (ours is None)
    assert done > 50
    assert refused > 50


def patchset(workspace: dict[str, Any], **digests: str) -> dict[str, Any]:
    signal = {
        "name": "new",
        "data": [1.0] * len(workspace["channels"][0]["samples"][0]["data"]),
        "modifiers": [{"name": "mu_new", "type": "normfactor", "data": None}],
    }
    patches = [
        {
            "metadata": {"name": f"mass_{mass}", "values": [mass]},
            "patch": [
                {"op": "add", "path": "/channels/0/samples/-", "value": signal},
                {"op": "replace", "path": "/measurements/0/config/poi", "value": "mu_new"},
            ],
        }
        for mass in (1, 2)
    ]
    metadata = {
        "references": {"hepdata": "ins1234567"},
        "description": "signals",
        "digests": digests or {"sha256": pyhf.utils.digest(workspace)},
        "labels": ["mass"],
    }
    return {"metadata": metadata, "patches": patches, "version": "1.0.0"}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    workspace = generate(Random(5))
    paths = tmp_path / "workspace.json", tmp_path / "patchset.json"
    for path, value in zip(paths, (workspace, patchset(workspace)), strict=True):
        path.write_text(json.dumps(value))
    return *paths, workspace


@pytest.mark.slow
def test_a_patch_of_a_patch_set(files: tuple[Path, Path, dict[str, Any]]) -> None:
    path, patches, workspace = files
    expected = dict(pyhf.PatchSet(patchset(workspace)).apply(pyhf.Workspace(workspace), "mass_2"))
    assert patched(workspace, f"{patches}:mass_2") == expected
    measurement = bknn.data.load(path, patch=f"{patches}:mass_2")
    assert measurement.workspace == expected
    assert measurement.poi == "mu_new"
    pdf = bknn.HistFactory.from_workspace(path, patch=f"{patches}:mass_2")
    assert pdf.poi == "mu_new"
    same = bknn.HistFactory.from_workspace(expected)
    assert float(pdf.log_prob(pdf.init)) == float(same.log_prob(same.init))
    assert measurement.sha256 != bknn.data.load(path).sha256


def test_digests_are_those_of_pyhf(files: tuple[Path, Path, dict[str, Any]]) -> None:
    _, patches, workspace = files
    both = {name: pyhf.utils.digest(workspace, name) for name in ("md5", "sha256")}
    patches.write_text(json.dumps(patchset(workspace, **both)))
    patched(workspace, f"{patches}:mass_1")
    workspace["observations"][0]["data"][0] += 1.0
    with pytest.raises(bknn.errors.DataError, match="made for a workspace with the md5 digest"):
        patched(workspace, f"{patches}:mass_1")


def test_what_is_wrong_with_a_patch_set(files: tuple[Path, Path, dict[str, Any]]) -> None:
    path, patches, workspace = files
    for name, sentence in {
        f"{patches}:mass_3": "unknown patch 'mass_3' in .*did you mean 'mass_2' or 'mass_1'",
        f"{patches}": "a patch set of 2 patches; say which as patchset.json:NAME",
        f"{path}:mass_1": "neither a pyhf patch set",
        f"{patches}x:mass_1": "no such file",
    }.items():
        with pytest.raises(bknn.errors.BknnError, match=sentence):
            patched(workspace, name)
    with pytest.raises(bknn.errors.DataError, match="only files of pyhf workspaces"):
        bknn.data.load("belle2-2025", patch=f"{patches}:mass_1")
    with pytest.raises(bknn.errors.DataError, match="a pyhf patch set, not a workspace"):
        bknn.data.load(patches)
