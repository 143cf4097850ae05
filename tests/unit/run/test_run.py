"""`bknn run`: cards, folders, and what survives a kill, a full disk, a damaged file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray

import bknn
from bknn import errors
from bknn.inference.pieces import Work
from bknn.questions import QUESTIONS
from bknn.questions.shared import build, kinds
from bknn.run import card, cluster, plans, processes, worker
from bknn.storage import checkpoints, files, lock
from bknn.storage.identity import parts
from bknn.storage.store import Memory

from .. import small
from ..questions.test_shell import refusal, run, strict_json

pytestmark = pytest.mark.usefixtures("quick_compilation")

CARD = """\
[run]
seed = 3
figures = false

[model]
name = "signal-strength"

[data]
sets = ["one.json"]

[profile]
over = {mu = "0:3:1100"}
intervals = []

[toys]
set = {mu = 1.0}
number = 3000
uncertainties = false
"""

#: Chains take a few seconds to compile whenever they are resumed.
CHAINS = """
[priors]
mu = "uniform(0, 10)"

[sample]
draws = 800
predictive = 0
"""

#: Of programs that are started: as here.
ENVIRONMENT = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_ENABLE_X64": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, quick_compilation: None) -> Path:
    path = tmp_path_factory.mktemp("run")
    (path / "one.json").write_text(json.dumps(small.one_bin().workspace))
    (path / "card.toml").write_text(CARD)
    (path / "chains.toml").write_text(CARD + CHAINS)
    return path


@pytest.fixture(scope="module", autouse=True)
def built_once() -> Iterator[None]:
    """Runs on the same data share an Analysis, and with it what was compiled."""
    known: dict[Any, bknn.Analysis] = {}
    make = build.analysis

    def analysis(asked: Any, desk: Any, named: Any = ()) -> bknn.Analysis:
        priors = str(getattr(asked, "prior", None) or None)
        file = Path(asked.data[0])
        key = file.read_text() if file.exists() else file, str(asked.patch), priors
        if key not in known:
            known[key] = make(asked, desk, named)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "analysis", analysis)
        yield


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Path:
    out = folder / "undisturbed"
    code, text, err = run("run", folder / "card.toml", "--out", out)
    assert (code, err) == (0, "")
    assert text.splitlines()[-1] == f"complete         {out}/: result.json, profile/, toys/"
    return out


def content(out: Path) -> dict[str, Any]:
    """All results, to the last bit."""
    found: dict[str, Any] = {}
    for path in out.rglob("*"):
        name = path.relative_to(out).as_posix()
        if path.is_dir() or name in ("log.txt", "run.json"):
            continue
        found[name] = path.read_bytes()
        if path.suffix == ".json":  # but for how long it took
            found[name] = re.sub(rb'"(seconds_\w+|sha256|posterior.nc)": .*', b"", found[name])
        if name.endswith("posterior.nc"):
            found[name] = draws(path)
    return found


def draws(path: Path) -> dict[str, bytes]:
    groups = ("posterior", "sample_stats")
    parts = [xarray.load_dataset(path, group=group, engine="h5netcdf") for group in groups]
    return {str(name): x.values.tobytes() for part in parts for name, x in part.items()}


def resumed(folder: Path, out: Path, undisturbed: Path, name: str = "card.toml") -> str:
    """Go on to the end, compare with the undisturbed run, and return what was said."""
    code, _, err = run("run", folder / name, "--out", out, "--resume")
    assert code == 0, err
    assert content(out) == content(undisturbed)
    return err


def interrupted(
    monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path, problem: BaseException, at: str
) -> Any:
    """A run that a problem meets when it writes a file."""
    commit = files.commit

    def fails(temporary: Path, path: Path) -> None:
        if path.relative_to(out).as_posix() == at:
            raise problem
        commit(temporary, path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "commit", fails)
        return run("run", folder / "card.toml", "--out", out)


# ---------------------------------------------------------------- cards


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "card.toml"
    path.write_text(text)
    return path


MODEL = '[model]\nname = "sm"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (MODEL + "[profil]\n", "unknown section 'profil' in {}; did you mean 'profile' or"),
        (MODEL + "[toys]\nnumbr = 3\n", "unknown key 'numbr' in [toys] of {}; did you mean 'num"),
        (MODEL + "[toys]\nnumber = 2.5\n", "[toys] of {}: number is 2.5; it must be a whole num"),
        (MODEL + "[toys]\nnumber = true\n", "[toys] of {}: number is true; it must be a whole n"),
        (MODEL + '[toys]\nset = {mu = "1"}\n', "[toys] of {}: set.mu is '1'; it must be a numbe"),
        (MODEL + "[fit]\nfix = [1]\n", "[fit] of {}: fix is [1]; it must be a table, as in {{"),
        (MODEL + "[profile]\n", "[profile] of {}: over is missing; it must be a table, as in"),
        (MODEL + "[profile]\nover = {mu = 3}\n", "[profile] of {}: over.mu is 3; it must be a gr"),
        (MODEL + "[predict]\nq2 = [[1]]\n", "[predict] of {}: q2 is [1]; it must be a range [A,"),
        (MODEL + '[data]\nsets = "a"\n[fit]\n', "[data] of {}: sets is 'a'; it must be a list of"),
        (MODEL + "[priors]\nmass = 3\n[fit]\n", "[priors] of {}: mass is 3; it must be a text"),
        ("[fit]\n", "[model] of {}: name is missing; it must be a text"),
        (MODEL, "{}: asks nothing; add at least one of the sections [fit], [profile],"),
        ("seed = 3\n" + MODEL, "unknown section 'seed' in {}"),
        ("toys = 3\n" + MODEL, "{}: toys = 3 stands outside of a section; write [toys] and"),
        ("[model\n", "{}, line 1: a syntax error of TOML ("),
    ],
)
def test_a_card_that_cannot_be_read(text, sentence, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(errors.BknnError) as caught:
        card.Card.read(path)
    assert str(caught.value).startswith(sentence.format(path)), str(caught.value)


def test_no_card(tmp_path):
    assert "none.toml: no such file" in refusal("run", tmp_path / "none.toml")


def test_values_of_a_card(tmp_path):
    text = """
        [model]
        name = "resonance"
        [limit]
        over = {mass = [1, 2.5]}
        fix = {width = 0}
        [impacts]
        groups = {theory = ["ff_*", "x"]}
        [predict]
        q2 = [[0, 4], 5]
    """
    read = card.Card.read(written(tmp_path, text))
    assert list(read.questions) == ["limit", "impacts", "predict"]
    limit, impacts, predict = (asked.record() for asked in read.questions.values())
    assert (limit["over"], limit["fix"]) == ({"mass": "1.0,2.5"}, {"width": 0.0})
    assert (impacts["groups"], impacts["refits"]) == ({"theory": ["ff_*", "x"]}, True)
    assert predict["q2"] == ["0.0,4.0", "5.0"]


ROOT = Path(__file__).parents[3]


def test_the_card_of_the_documentation_has_all_keys_and_their_defaults(tmp_path):
    page = (ROOT / "docs/runs.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    read = card.Card.read(written(tmp_path, text))
    assert list(read.questions) == list(QUESTIONS)
    for name, keys in card.SECTIONS.items():
        own = text.split(f"[{name}]")[1].split("\n[")[0]
        written_keys = re.findall(r"^(?:# )?(\w+) = ", own, re.MULTILINE)
        assert sorted(written_keys) == sorted(keys) if name != "priors" else ["mass"], name
        for key, one in keys.items():
            if not one.needed:
                assert read.settings[name][key] == kinds.as_json(one.default), (name, key)


def test_questions_without_a_model(tmp_path):
    """Scenarios say themselves which models they are."""
    text = '[scenarios]\nodd = true\n[compare]\nscenarios = ["vector:C_V_L"]\n[project]\ntoys = 5\n'
    read = card.Card.read(written(tmp_path, "[run]\nseed = 7\n" + text))
    assert list(read.questions) == ["scenarios", "compare", "project"]
    assert read.questions["scenarios"].odd
    assert [read.questions[name].seed for name in ("compare", "project")] == [7, 7]
    assert read.settings["model"]["name"] is None


def test_the_card_to_begin_with():
    read = card.Card.read(ROOT / "docs/resonance.toml")
    assert list(read.questions) == ["fit", "profile", "limit", "significance"]
    known = {p.name for p in bknn.models.load(read.settings["model"]["name"]).parameters}
    assert {*read.questions["profile"].over, read.questions["limit"].poi} <= known


# ---------------------------------------------------------------- folders


def test_a_run(undisturbed, folder):
    whole = strict_json(undisturbed / "result.json")
    parts = {name: strict_json(undisturbed / name / "result.json") for name in ("profile", "toys")}
    assert whole["command"] == "run"
    assert whole["profile"] == parts["profile"]["profile"]
    assert whole["toys"] == parts["toys"]["toys"]
    assert whole["fit"] == parts["profile"]["fit"]
    assert whole["tasks"] == {
        "profile": {
            "exit_code": 0,
            "files": ["profile/profile.nc", "profile/result.json"],
        },
        "toys": {"exit_code": 0, "files": ["toys/result.json", "toys/toys.nc"]},
    }
    assert whole["provenance"]["data_sha256"] == {"one": bknn.data.load(folder / "one.json").sha256}
    assert whole["provenance"]["seed"] == 3
    assert whole["provenance"]["settings"]["toys"]["number"] == 3000
    assert (undisturbed / "card.toml").read_text() == CARD
    assert "all 1100 fits converged" in (undisturbed / "log.txt").read_text()
    assert {path.name for path in undisturbed.iterdir()} == {
        *("card.toml", "run.json", "log.txt", "result.json", "profile", "toys", "checkpoints"),
    }


def test_a_run_is_what_the_commands_find(undisturbed, folder, tmp_path):
    words = ("--data", folder / "one.json", "--out", tmp_path, "--no-figures")
    assert run("profile", "signal-strength", "--over", "mu=0:3:1100", "--intervals", *words)[0] == 0
    alone, ours = (strict_json(p / "result.json") for p in (tmp_path, undisturbed / "profile"))
    np.testing.assert_allclose(alone["profile"]["delta"], ours["profile"]["delta"], atol=1e-9)
    own = [x["provenance"].pop("settings") for x in (alone, ours)]
    assert own[0] == own[1]


def test_a_folder_is_used_once(undisturbed, folder, tmp_path):
    sentence = refusal("run", folder / "card.toml", "--out", undisturbed)
    assert sentence == (
        f"{undisturbed} holds a run that is complete; go on with it by 'bknn run "
        f"{folder / 'card.toml'} --out {undisturbed} --resume', or choose another --out."
    )
    code, out, err = run("run", folder / "card.toml", "--out", undisturbed, "--resume")
    assert (code, out.splitlines()[-1].split()[0], err) == (0, "complete", "")
    assert out.count("done before") == 2
    (tmp_path / "thesis.tex").touch()
    sentence = refusal("run", folder / "card.toml", "--out", tmp_path)
    assert "holds thesis.tex and no run" in sentence


def test_a_question_that_makes_no_sense(folder, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(CARD.replace('mu = "0:3:1100"', 'nu = "0:1:2"').replace("one.json", "two.json"))
    (tmp_path / "two.json").write_text((folder / "one.json").read_text())
    code, _, err = run("run", path, "--out", tmp_path / "out")
    assert code == 2
    assert err.startswith(f"bknn: error: [profile] of {path}: unknown parameter 'nu'")


#: What may be wrong with the last section of a card, and how the sentence about it begins.
WRONG = {
    "[toys]\nset = {mu = 1.0}\nfix = {mu = 2.0}\n": "--set and --fix both give 'mu'",
    "[toys]\nset = {nu = 1.0}\n": "unknown parameter 'nu'",
    "[toys]\nmerge = ['none.nc']\n": "merge: no such file 'none.nc'",
    "[toys]\nnumber = 0\n": "-n 0 is too few",
    "[significance]\nfix = {mu = 1e9}\n": "mu = 1e+09 lies outside of [-10, 50]",
    "[profile]\nover = {mu = '0:1e9:3'}\n": "mu = 1e+09 lies outside of [-10, 50]",
    "[profile]\nover = {mu = '0:1:3'}\nfix = {mu = 1.0}\n": "--over and --fix both give 'mu'",
    "[profile]\nover = {mu = '0:1:3'}\nintervals = ['nu']\n": "unknown parameter 'nu'",
    "[limit]\npoi = 'nu'\n": "unknown parameter 'nu'",
    "[limit]\nfeldman_cousins = '0:1e9:3'\n": "mu = 1e+09 lies outside of [-10, 50]",
    "[limit]\nover = {mu = '0:1'}\n": "--over mu: '0:1' is no grid",
    "[impacts]\ngroups = {a = ['z*']}\n": "unknown nuisance 'z*'",
    "[sample]\nover = {nu = '0:1:5'}\n": "unknown parameter 'nu'",
    "[prior_study]\nalternatives = {a = {mu = 'uniform(3)'}}\n": "prior 'uniform(3)' has 1 number",
    "[prior_study]\nalternatives = {a = {nu = 'uniform(0, 3)'}}\n": "unknown parameter 'nu'",
    "[evidence]\nagainst = ['nobody']\n": "unknown model or hypothesis 'nobody'",
    "[predict]\nobservable = ['f_q']\n": "unknown observable 'f_q'",
    "[predict]\nchannel = ['B+ -> K']\n": "unknown channel 'B+ -> K'",
    "[predict]\nfit = ['belle']\n": "fit: unknown data set 'belle'",
    "[predict]\nset = {nu = 1.0}\n": "unknown parameter 'nu'",
    "[compare]\nscenarios = ['vector:C_Q']\n": "unknown coupling 'C_Q'",
    "[scenarios]\nscenarios = ['nobody']\n": "unknown scenario 'nobody'",
    "[regions]\nover = {mu = '0:1:3'}\n": "--over names 1 parameters",
    "[project]\nexpected = ['BR']\n": "unknown expected result 'BR'",
    "[project]\nchecks = ['a:b']\n": "unknown scenario 'a'",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_card_is_checked_whole(wrong, folder, tmp_path):
    """What is wrong with the third section is said before the first one is computed."""
    begin, out = CARD.partition("[toys]")[0], tmp_path / "out"
    begin = begin.partition("[profile]")[0] + "[fit]\n"
    if "[significance]" not in wrong:
        begin += "[significance]\n"
    path = tmp_path / "bad.toml"
    path.write_text(begin.replace("one.json", str(folder / "one.json")) + wrong)
    sentence = refusal("run", path, "--out", out)
    name = wrong.partition("]")[0]
    assert sentence.startswith(f"{name}] of {path}: {WRONG[wrong]}"), sentence
    assert not out.exists()


def test_a_dry_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("run", folder / "card.toml", "--dry-run")
    assert (code, err, list(tmp_path.iterdir())) == (0, "", [])
    lines = [re.sub("  +", "  ", line) for line in out.splitlines()]
    assert lines[0] == f"{folder}/card.toml: 2 questions, answered in card/, which will be made"
    assert "profile  1100 points  profile/: result.json, profile.nc  about 10 s" in lines
    assert "toys  2 fits, 3000 toys  toys/: result.json, toys.nc  about 15 s" in lines
    assert out.endswith("Nothing was fitted, and nothing was written.\n")


def test_how_long_a_run_takes(monkeypatch):
    now = 100.0
    monkeypatch.setattr("bknn.run.plans.time.monotonic", lambda: now)
    clock = plans.Clock({"fit": 10.0, "toys": 50.0}, 3)
    assert clock.begins("fit") == "2 of 3, about 60 s left"
    now += 30.0  # three times as long as planned
    clock.ended()
    assert clock.begins("toys") == "3 of 3, about 2 min left"


def test_a_patched_workspace(folder, tmp_path):
    shutil.copy(folder / "one.json", tmp_path)
    patch = [{"op": "replace", "path": "/observations/0/data/0", "value": 60.0}]
    (tmp_path / "more.json").write_text(json.dumps(patch))
    path, out = tmp_path / "card.toml", tmp_path / "out"
    data = '[data]\nsets = ["one.json"]\npatch = "more.json"\n'
    path.write_text(f'[run]\nfigures = false\n[model]\nname = "signal-strength"\n{data}[fit]\n')
    assert run("run", path, "--out", out)[0] == 0
    patched = bknn.data.load(tmp_path / "one.json", patch=tmp_path / "more.json")
    assert strict_json(out / "result.json")["provenance"]["data_sha256"] == {"one": patched.sha256}
    best = bknn.inference.fit(bknn.Analysis(bknn.models.load("signal-strength"), [patched]))
    found = strict_json(out / "fit" / "result.json")["fit"]["parameters"]["mu"]["value"]
    assert found == pytest.approx(float(best.params["mu"]), rel=1e-9)


# ---------------------------------------------------------------- interruptions


def test_an_interrupted_run_goes_on(undisturbed, folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    stopped = interrupted(monkeypatch, folder, out, KeyboardInterrupt(), _PIECE)
    assert stopped.code == 130
    command = f"bknn run {folder / 'card.toml'} --out {out}"
    assert f"go on with: {command} --resume" in stopped.err
    assert not (out / "lock").exists()
    pieces = {str(p.relative_to(out / "checkpoints")) for p in out.rglob("*.ckpt")}
    assert {"profile/done.ckpt", "toys/toys/00003.ckpt"} < pieces
    assert "has not ended" in refusal("run", folder / "card.toml", "--out", out)
    assert resumed(folder, out, undisturbed) == ""


_PIECE = "checkpoints/toys/toys/00004.ckpt"


@pytest.mark.parametrize("at", [_PIECE, "profile/profile.nc", "toys/result.json", "result.json"])
def test_a_full_disk(undisturbed, folder, tmp_path, monkeypatch, at):
    out = tmp_path / "out"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    code, _, err = interrupted(monkeypatch, folder, out, full, at)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "No space left on device" in err
    assert (out / "log.txt").read_text().endswith(err)
    assert not list(out.rglob("*.part"))
    resumed(folder, out, undisturbed)


def test_a_read_only_folder(folder, tmp_path, monkeypatch):
    opened = os.open

    def refuses(path: Any, *args: Any, **kwargs: Any) -> int:
        if Path(path).parent == tmp_path:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuses)
    sentence = refusal("run", folder / "card.toml", "--out", tmp_path)
    assert sentence.startswith(f"{tmp_path}/lock: cannot be written (Read-only file system).")


@pytest.mark.parametrize(
    ("name", "other"),
    [("toys/toys.nc", "profile/profile.nc"), ("profile/result.json", "toys/result.json")],
)
def test_a_damaged_answer(undisturbed, folder, tmp_path, name, other):
    """Named, and answered again, though the run was complete; so is one that was exchanged."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    task = name.partition("/")[0]
    raw = bytearray((out / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    for wrong in (bytes(raw), (out / other).read_bytes()):
        (out / name).write_bytes(wrong)
        (out / "result.json").write_bytes(b"{")
        said = resumed(folder, out, undisturbed)
        assert said.startswith(f"bknn: {out}/{task}/"), said
        assert said.endswith(f"; [{task}] is answered again.\n")
        assert said.count("\n") == 1


@pytest.mark.parametrize("damage", ["truncated", "empty", "changed"])
def test_a_damaged_checkpoint(undisturbed, folder, tmp_path, monkeypatch, damage):
    out = tmp_path / "out"
    interrupted(monkeypatch, folder, out, KeyboardInterrupt(), _PIECE)
    path = out / "checkpoints/toys/toys/00001.ckpt"
    good = path.read_bytes()
    bad = {"truncated": good[:1000], "empty": b"", "changed": good[:-9] + b"?" + good[-8:]}
    path.write_bytes(bad[damage])
    said = resumed(folder, out, undisturbed)
    assert said == (
        f"bknn: {path} is damaged (its checksum is wrong); what it held is computed again.\n"
    )


def test_checkpoints(tmp_path):
    store = checkpoints.Checkpoints(tmp_path)
    assert store.get("a/b") is None
    arrays = {"x/y": np.arange(3.0), "text": np.array(["found", "lost"])}
    store.put("a/b", arrays)
    found = store.get("a/b")
    assert {key: x.tolist() for key, x in found.items()} == {
        "x/y": [0.0, 1.0, 2.0],
        "text": ["found", "lost"],
    }


def squares(analysis: bknn.Analysis, *, n: int, start: Any, progress: Any) -> dict[str, np.ndarray]:
    """What a piece may be."""
    return {"squares": (np.asarray(start) + np.arange(n)) ** 2}


def test_pieces():
    analysis = bknn.Analysis(bknn.models.load("signal-strength"), small.one_bin())
    store = Memory()
    work = Work(store).within("a")
    tasks = [{"n": n, "start": np.array([1.0])} for n in (2, 3)]
    done: list[int] = []
    first = work.run(squares, analysis, tasks, sizes=[2, 3], progress=done.append)
    assert (sorted(store._kept), done) == (["a/00000", "a/00001"], [])
    again = work.run(squares, analysis, tasks, sizes=[2, 3], progress=done.append)
    assert [x["squares"].tolist() for x in first] == [[1.0, 4.0], [1.0, 4.0, 9.0]]
    assert [x["squares"].tolist() for x in again] == [[1.0, 4.0], [1.0, 4.0, 9.0]]
    assert done == [5]
    with pytest.raises(errors.DataError, match="kept as a/00000 is of another computation"):
        work.run(squares, analysis, [{**tasks[0], "n": 4}])


# ---------------------------------------------------------------- locks


@contextlib.contextmanager
def another_process(folder: Path) -> Iterator[int]:
    """One that has the lock of a folder; the lock knows nothing of the numbers of processes."""
    code = (
        "import sys; from pathlib import Path; from bknn.storage.lock import Lock\n"
        "with Lock(Path(sys.argv[1])): print(flush=True); input()"
    )
    words = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"\n"
        yield process.pid
        process.kill()


def test_a_folder_in_use(folder, tmp_path):
    words = ("run", folder / "card.toml", "--out", tmp_path)
    with another_process(tmp_path) as number:
        sentence = refusal(*words)
        assert sentence.startswith(f"{tmp_path} is in use by process {number} on ")
        assert "; two would write over each other, so wait until it has ended, or" in sentence
        one = ("signal-strength", "--data", folder / "one.json")
        assert refusal("fit", *one, "--out", tmp_path) == sentence
        for text in (b"", b"\xff\0" * 40_000, b"process 1 on \x1b[2J since yesterday\n"):
            (tmp_path / "lock").write_bytes(text)
            assert "is in use by another process; two" in refusal(*words)
        (tmp_path / "lock").unlink()  # by hand: then nothing is sure
        (tmp_path / "lock").symlink_to("elsewhere")
        assert "lock is a folder, a link or a device" in refusal(*words)
    assert not (tmp_path / "elsewhere").exists()


def test_one_at_a_time(tmp_path):
    """Several processes that take the lock and give it back, each time removing its file."""
    code = """
import sys
from pathlib import Path
from bknn.errors import RunError
from bknn.storage.lock import Lock
path, left = Path("count"), 60
while left:
    try:
        with Lock(Path()):
            path.write_text(str(int(path.read_text()) + 1))
            left -= 1
    except RunError:
        pass
"""
    (tmp_path / "count").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "180"


@pytest.mark.parametrize("text", [b"", b"\xff\0" * 40_000, b'{"pid": 1}'])
def test_a_lock_that_was_left(text, tmp_path, capsys):
    path = tmp_path / "lock"
    path.write_bytes(text)
    (tmp_path / ".bknn-0123456789abcdef.part").touch()
    with lock.Lock(tmp_path):
        assert re.fullmatch(rf"process {os.getpid()} on \S+ since \S+ \S+\n", path.read_text())
        with lock.Lock(tmp_path / "..") as other, lock.Lock(tmp_path):  # its own
            assert other.held
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("a")])
def test_what_is_no_lock(make, tmp_path):
    make(tmp_path / "lock")
    with pytest.raises(errors.RunError, match="lock is a folder, a link or a device"):
        lock.Lock(tmp_path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


# ---------------------------------------------------------------- changes


@pytest.fixture
def unfinished(folder, tmp_path, monkeypatch) -> Path:
    out = tmp_path / "out"
    interrupted(monkeypatch, folder, out, KeyboardInterrupt(), "checkpoints/profile/done.ckpt")
    return out


def another(path: Path, folder: Path, changes: dict[str, str]) -> Path:
    """A card beside that of the run, with other words in it."""
    text = CARD.replace("one.json", str(folder / "one.json"))
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_another_card(folder, unfinished, undisturbed, tmp_path):
    """What is done or has begun may not change, what has not may; both are named."""
    card_, fewer = tmp_path / "other.toml", {"0:3:1100": "0:3:1000"}
    kept = (unfinished / "run.json").read_bytes()
    said = run("run", another(card_, folder, fewer), "--out", unfinished, "--resume").err
    assert said == (
        f"bknn: error: [profile] has begun in {unfinished}, and {card_} asks something else now: "
        "settings over: was {'mu': '0:3:1100'} and is {'mu': '0:3:1000'}. What has not begun may "
        "change: [toys]. Go on with [profile] as it was, remove "
        f"{unfinished / 'checkpoints/profile'} to begin it anew, or choose another --out.\n"
    )
    seed = another(card_, folder, {"seed = 3": "seed = 4"})
    code, _, said = run("run", seed, "--out", unfinished, "--resume", "--dry-run")
    assert (code, said) == (0, "")
    assert (unfinished / "run.json").read_bytes() == kept
    without = another(card_, folder, {"[toys]": "[fit]", "set =": "init ="})
    without.write_text(without.read_text().partition("number")[0])
    code, out, said = run("run", without, "--out", unfinished, "--resume")
    assert said == "bknn: [toys] has changed before it began: it is not on the card.\n"
    assert code == 0
    assert "fit              2 of 2, about " in out
    assert out.splitlines()[-1].startswith("complete ")
    said = run("run", folder / "card.toml", "--out", unfinished, "--resume").err
    assert said.startswith(f"bknn: error: [fit] is done in {unfinished}, and {folder}/card.toml ")
    assert ": it is not on the card. What has not begun may change: [toys]. Go on with" in said


def test_what_does_not_matter(folder, unfinished, undisturbed):
    """Comments, order of keys, and defaults that are written out."""
    old = (folder / "card.toml").read_text()
    (folder / "card.toml").write_text("# a comment\n" + old + "goodness_of_fit = false\n")
    try:
        resumed(folder, unfinished, undisturbed)
    finally:
        (folder / "card.toml").write_text(old)


def test_other_data(folder, unfinished):
    file = folder / "one.json"
    old = file.read_text()
    file.write_text(json.dumps(small.one_bin(13.0).workspace))
    try:
        said = run("run", folder / "card.toml", "--out", unfinished, "--resume").err
    finally:
        file.write_text(old)
    assert re.search(r"something else now: data one: was \S+ #\w+ and is \S+ #\w+\. What", said)


def test_another_version(folder, unfinished):
    begun = unfinished / "run.json"
    state = json.loads(begun.read_text())
    begun.write_text(json.dumps({**state, "version": "0.0.1"}))
    said = run("run", folder / "card.toml", "--out", unfinished, "--resume").err
    assert f"began with bknn 0.0.1, and this is {bknn.__version__};" in said
    begun.write_text(json.dumps({**state, "packages": {**state["packages"], "jax": "0.1"}}))
    said = run("run", folder / "card.toml", "--out", unfinished, "--resume").err
    assert f'packages.jax was "0.1" and is "{jax.__version__}"; the last digits' in said
    begun.write_text("[]")
    assert "so it is not known what was asked" in (
        run("run", folder / "card.toml", "--out", unfinished, "--resume").err
    )


# ---------------------------------------------------------------- kill -9


def started(folder: Path, name: str, out: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bknn.cli", "run", name, "--out", out, *words],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(folder: Path, name: str, out: Path, after: float) -> None:
    """A run that is killed some seconds after it began, or after it went on."""
    log = out / "log.txt"
    size = log.stat().st_size if log.exists() else -1
    process = started(folder, name, out, "--resume")
    while process.poll() is None and (log.stat().st_size if log.exists() else -1) == size:
        time.sleep(0.01)
    time.sleep(after)
    process.kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), said


@pytest.fixture(scope="module")
def with_chains(folder: Path) -> Path:
    out = folder / "with chains"
    code, _, err = run("run", folder / "chains.toml", "--out", out)
    assert (code, err) == (0, "")
    return out


def test_kill(undisturbed, folder, tmp_path):
    """Nothing is lost but the piece that was being done."""
    out = tmp_path / "out"
    killed(folder, "card.toml", out, 1.0)
    resumed(folder, out, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(11))
def test_kill_with_chains(with_chains, folder, tmp_path, seed):
    """Twice at random moments each; nothing is lost but the piece that was being done."""
    moments = random.Random(seed)
    out = tmp_path / "out"
    for _ in range(2):
        killed(folder, "chains.toml", out, moments.uniform(0.0, 6.0))
    resumed(folder, out, with_chains, "chains.toml")


# ---------------------------------------------------------------- clusters


def with_a_killed_worker(folder: Path, name: str, out: Path) -> None:
    """Two worker processes, one of them killed in the middle."""
    psutil = pytest.importorskip("psutil")
    process = started(folder, name, out, "--scheduler", "local:2")
    workers: list[Any] = []
    while process.poll() is None and not (workers and list(out.rglob("*.ckpt"))):
        found = psutil.Process(process.pid).children(recursive=True)
        workers = [p for p in found if any("bknn.run.worker" in word for word in p.cmdline())]
        time.sleep(0.1)
    workers[0].kill()
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said


@pytest.mark.slow
def test_a_killed_worker(undisturbed, folder, tmp_path):
    with_a_killed_worker(folder, "card.toml", tmp_path / "out")
    assert content(tmp_path / "out") == content(undisturbed)


@pytest.mark.slow
def test_a_killed_worker_with_chains(with_chains, folder, tmp_path):
    with_a_killed_worker(folder, "chains.toml", tmp_path / "out")
    assert content(tmp_path / "out") == content(with_chains)


@pytest.mark.slow
def test_workers_end_with_a_run_that_was_killed(undisturbed, folder, tmp_path):
    psutil = pytest.importorskip("psutil")
    out = tmp_path / "out"
    process = started(folder, "card.toml", out, "--scheduler", "local:2")
    while process.poll() is None and not list(out.rglob("*.ckpt")):
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children(recursive=True)
    listening = [c for p in workers for c in p.net_connections("all")]
    process.kill()
    process.communicate()
    assert (len(workers), listening) == (2, [])
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
    resumed(folder, out, undisturbed)


def test_a_worker_with_other_versions(monkeypatch):
    analysis = bknn.Analysis(bknn.models.load("signal-strength"), small.one_bin())
    packages = worker.packages()
    content = pickle.dumps(({**packages, "jax": "0.1"}, *worker.order(analysis)[1:]))
    with pytest.raises(errors.RunError, match=r'is not like the .* asks: jax was "0.1" and is "'):
        worker.compute(content, squares, {"n": 2, "start": 0})
    content = pickle.dumps(worker.order(analysis))
    found = worker.compute(content, squares, {"n": 3, "start": 0})
    assert found["squares"].tolist() == [0, 1, 4]


class Elsewhere:
    """mu as another experiment might measure it: a term beside the measurements."""

    names, channels = ("mu elsewhere",), ()
    observed, below, above = np.array([2.0]), np.array([0.5]), np.array([0.25])

    def uses(self, model: Any, *, held: bool = False) -> tuple[()]:
        return ()

    def expected(self, model: Any, params: Any, found: Any) -> jax.Array:
        return jax.numpy.stack([jax.numpy.asarray(params["mu"])])

    def check(self, model: Any) -> None: ...


def height(analysis: bknn.Analysis, *, progress: Any) -> dict[str, np.ndarray]:
    return {"height": np.asarray(analysis.log_density(analysis.init_vector, analysis.data))}


def test_a_worker_has_the_whole_analysis():
    """Terms beside the measurements, too."""
    model, bounds = bknn.models.load("signal-strength"), {"mu": (0.5, 9.0)}
    prior = {"mu": "uniform(1, 4)"}
    plain = bknn.Analysis(model, small.one_bin(), bounds=bounds, priors=prior)
    analysis = bknn.Analysis(
        model, small.one_bin(), bounds=bounds, priors=prior, terms=[Elsewhere()]
    )
    content = pickle.dumps(worker.order(analysis))
    found = worker.compute(content, height, {})["height"]
    assert found == height(analysis, progress=None)["height"]
    (distance,) = 2.0 - analysis.init_vector[:1]
    of_term = -0.5 * (distance / 0.5) ** 2 - np.log(np.sqrt(np.pi / 2) * 0.75)
    np.testing.assert_allclose(found - height(plain, progress=None)["height"], of_term, rtol=1e-9)
    (there,) = worker._LAST.values()
    assert (there.given_bounds, there.options["free"]) == (bounds, [])
    assert there.parameters[0].distribution.high == 4.0
    meant = {**parts(analysis), "model": {"fn": "flat #1"}}
    content = pickle.dumps((*worker.order(analysis)[:2], meant))
    with pytest.raises(errors.RunError, match="something else: model fn: flat where it is asked"):
        worker.compute(content, height, {})


@pytest.mark.parametrize("where", ["local", "head-node"])
def test_a_scheduler_that_is_none(where):
    with pytest.raises(errors.RunError, match="is neither 'local:N' with a number of processes"):
        cluster.Cluster(where)


@pytest.mark.parametrize("where", ["local:0", "local:two", "local:-1", "local:", "local:9999"])
def test_a_number_of_processes_that_is_none(where):
    with pytest.raises(errors.RunError, match="is for a number of processes from 1 to 1024"):
        processes.processes(where)


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(errors.RunError, match=r"install it with: pip install 'bknn\[distributed\]"):
        cluster.Cluster("tls://head-node:8786")


def test_no_certificates(monkeypatch):
    """Nothing is sent to `tls://` without."""
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "_PATIENCE", 5)
    with pytest.raises(errors.RunError, match="no Dask scheduler answers there"):
        cluster.Cluster("tls://127.0.0.1:9")
