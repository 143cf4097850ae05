"""Where a name is looked for: it does not matter where one stands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import bknn
from bknn import errors, form_factors
from bknn.data import store
from bknn.questions.shared.output import Desk
from bknn.reading.names import located
from bknn.run.card import Card
from bknn.run.plans import plans
from bknn.storage.identity import differences

from .. import small
from ..questions.test_shell import refusal

SET = Path(form_factors.__file__).parent / "data/sets/hpqcd-2022/B-to-K.toml"
WCXF = '{"eft": "WET", "basis": "flavio", "scale": 4.8, "values": {"CL_bsnuenue": %s}}'
RESULT = """\
name = 'found'
[[results]]
name = 'K'
channels = 'B+ -> K+'
value = %s
statistical = 1e-6
"""
PRIOR = "import numpyro.distributions as dist\ndef prior():\n    return dist.HalfNormal(%s)\n"

#: Two cards with a file of each kind.
CARDS = {
    "card.toml": """\
[model]
name = "wet-rhn"
form_factors = ["mine.toml"]
wilson_coefficients = "mine.json"
[data]
sets = ["found.toml", "theirs"]
[priors]
C_R = "user:mine:prior"
[sample]
[predict]
fit = ["found.toml"]
""",
    "other.toml": """\
[model]
name = "signal-strength"
[data]
sets = ["one.json"]
patch = "more.json"
[fit]
""",
}


def laid(folder: Path, scale: float) -> Path:
    """The cards with all their files; with another scale all of these hold something else."""
    folder.mkdir(parents=True, exist_ok=True)
    number = "0.2545360429447849"
    text = SET.read_text(encoding="utf-8").replace(number, str(float(number) * scale), 1)
    patch = [{"op": "replace", "path": "/observations/0/data/0", "value": 60.0 * scale}]
    for name, written in {
        **CARDS,
        "mine.toml": text,
        "mine.json": WCXF % scale,
        "mine.py": PRIOR % scale,
        "found.toml": RESULT % (1e-5 * scale),
        "one.json": json.dumps(small.one_bin(12.0 * scale).workspace),
        "more.json": json.dumps(patch),
    }.items():
        (folder / name).write_text(written)
    if scale == 1.0:
        shutil.copytree(store.EMBEDDED / "belle2-2025", folder / "theirs")
    else:  # what stands in the way
        (folder / "theirs").write_text("no folder")
    return folder


def content(path: Path) -> dict[str, Any]:
    """What the questions of a card compute with."""
    card = Card.read(path).with_functions()
    desk = Desk(functions=card.functions)
    return {name: plan.content for name, plan in plans(card, desk).items()}


@pytest.mark.parametrize("name", CARDS)
def test_files_of_a_card_lie_beside_it(name, tmp_path, monkeypatch):
    """Wherever the command is started, even among other files of the same names."""
    card, elsewhere = laid(tmp_path / "cards", 1.0), laid(tmp_path / "elsewhere", 1.1)
    monkeypatch.chdir(tmp_path)
    found = content(card / name)
    for folder, path in ((elsewhere, f"../cards/{name}"), (card, name)):
        monkeypatch.chdir(folder)
        assert content(Path(path)) == found
    if name == "other.toml":
        assert content(elsewhere / name) != found
    for file in ("found.toml", "one.json"):
        monkeypatch.chdir(elsewhere)
        (card / file).unlink()
    with pytest.raises(errors.DataError, match=rf"it was looked for as a file or folder {card}/"):
        content(Path(f"../cards/{name}"))


def test_whatever_changes_is_named(tmp_path):
    """Each file of a card, one after the other, and what stands on it."""
    card = laid(tmp_path / "cards", 1.0) / "card.toml"
    other = laid(tmp_path / "elsewhere", 1.1)
    before = content(card)["sample"]
    named = {
        "mine.toml": "form factors B -> K: hpqcd-2022 #",
        "mine.json": "model background: #",
        "mine.py": "priors C_R: ",
        "found.toml": "data found: K #",
    }
    for name, words in named.items():
        kept = (card.parent / name).read_text()
        (card.parent / name).write_text((other / name).read_text())
        assert differences(before, content(card)["sample"]).startswith(words)
        (card.parent / name).write_text(kept)
    assert not differences(before, content(card)["sample"])
    on_card = {
        'inputs = "eos-1.0.21"\n[data]': "inputs name: standard and eos-1.0.21; ",
        "bounds = {C_R = [0, 10]}\n[data]": "parameters C_R: floats from 5.0 in [0.0, 60.0] and ",
        'free = ["C_Rp"]\n[data]': "parameters C_R: floats from 5.0 in [0.0, 60.0] and ",
        "long_distance = true\n[data]": "model long_distance: False and True",
    }
    for text, words in on_card.items():
        card.write_text(CARDS["card.toml"].replace("[data]", text))
        assert words in differences(before, content(card)["sample"])


def test_what_comes_with_bknn_goes_first(tmp_path, monkeypatch):
    laid(tmp_path, 1.0)
    shutil.move(tmp_path / "theirs", tmp_path / "belle-2017")
    monkeypatch.chdir(tmp_path)
    card = Path("names.toml")
    asked = {"belle-2017": "belle-2017", "./belle-2017": "./belle-2017"}
    for written, wanted in asked.items():
        card.write_text(f'[model]\nname = "sm"\n[data]\nsets = ["{written}"]\n[fit]\n')
        (name,) = Card.read(card).questions["fit"].data
        assert name == wanted
    assert bknn.data.load("belle-2017").name == "belle-2017"
    assert bknn.data.load("./belle-2017").name == "belle2-2025"
    part = "name = 'part'\n[workspace]\nset = '%s'\nselect = ['hadronic']\n"
    (tmp_path / "belle2-2025").mkdir()  # no data set, and not looked at
    Path("part.toml").write_text(part % "belle2-2025")
    assert bknn.data.load("part.toml").metadata["part_of"] == "belle2-2025"
    Path("inner").mkdir()
    Path("inner/part.toml").write_text(part % "theirs")
    shutil.copytree("belle-2017", "theirs")
    with pytest.raises(errors.UnknownNameError, match=r"There is no file or folder .*inner/theirs"):
        bknn.data.load("inner/part.toml")


def test_names_that_are_nothing(tmp_path):
    known = ["belle2-2025", "babar-2013"]
    for name in ("belle2-2024", "a" * 300):
        with pytest.raises(errors.UnknownNameError, match=f"file or folder {tmp_path}/{name} eith"):
            located(name, tmp_path, kind="data set", known=known)
    with pytest.raises(errors.DataError, match=r"\[toys\]: no such file 'a/b.nc': it was looked"):
        located("a/b.nc", tmp_path, label="[toys]")
    (tmp_path / "a:b.json").touch()
    assert located("a:b.json", tmp_path) == str(tmp_path / "a:b.json")
    (tmp_path / "patches.json").touch()
    assert located("patches.json:one", tmp_path) == f"{tmp_path}/patches.json:one"


def test_in_the_shell_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refusal("fit", "sm", "--data", "belle2-2024")
    assert f"There is no file or folder {tmp_path}/belle2-2024 either." in said
    said = refusal("fit", "sm", "--form-factors", "hpqcd")
    assert "unknown form-factor set 'hpqcd'; did you mean 'hpqcd-2022'" in said
