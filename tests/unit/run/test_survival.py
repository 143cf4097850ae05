"""What commands survive, all of them, at random moments: the figures of docs/reliability.md.

.venv/bin/pytest tests/unit/run/test_survival.py -m nightly -s -p no:cacheprovider
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bknn
from bknn import errors
from bknn.questions.shared.output import whole
from bknn.storage import sealed
from bknn.storage.checkpoints import Checkpoints

from .. import small
from ..questions.test_shell import run

pytestmark = pytest.mark.nightly

ONE = "signal-strength --data one.json"
TRUTH = "--set mu=1 --no-figures"
CARD = """\
[run]
figures = false
[model]
name = "signal-strength"
[data]
sets = ["one.json"]
[priors]
mu = "uniform(0, 10)"
[fit]
[toys]
set = {mu = 1.0}
number = 3000
[sample]
draws = 400
warmup = 200
predictive = 0
"""

#: All commands that write, with OUT for a folder.
COMMANDS = (
    f"fit {ONE}",
    f"profile {ONE} --over mu=0:3:200",
    f"limit {ONE} --no-figures",
    f"significance {ONE} --toys 600",
    f"toys {ONE} -n 3000 {TRUTH}",
    "impacts signal-strength --data workspace.json",
    f"sample {ONE} --prior mu=uniform(0,10) --draws 400 --warmup 200",
    f"prior-study {ONE} --prior mu=uniform(0,10) --alternative wide:mu=uniform(0,20) --draws 200",
    f"evidence {ONE} --prior mu=uniform(0,10) --draws 300",
    "predict vector --set mass=2.1 h_V=7e-9",
    "compare vector:h_V --data belle2-2025 --no-figures",
    "scenarios --points 5",
    "regions scalar --over g_S=0:2e-8:5 g_P=-1e-7:1e-7:5",
    "exclusions resonance --over mass=1:3:5 branching_ratio=0:2e-5:9",
    "project --toys 10",
    "run card.toml",
    "draw drawn",
    "data import workspace.json --name mine",
    f"export {ONE}",
)

#: Numbers of folders.
_NEW = itertools.count()

#: Exit codes of what is done; with 1 it says that it did not converge.
ENDED = (0, 1)

#: Those that end soon, so that what they find afterwards is compared.
QUICK = (0, 1, 2, 4, 5, 6, 9, 14, 15, 16, 17)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, quick_compilation: None) -> Path:
    path = tmp_path_factory.mktemp("what a shell quotes")
    (path / "one.json").write_text(json.dumps(small.one_bin().workspace))
    (path / "workspace.json").write_text(json.dumps(small.workspace()))
    (path / "card.toml").write_text(CARD)
    assert through(ended(started(f"fit {ONE}", path, "drawn"), 300))
    return path


def started(command: str, place: Path, out: str, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "bknn.cli", *command.split(), "--out", out, *more]
    plain = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.Popen(
        words,
        cwd=place,
        env={**os.environ, **plain},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def reads_bknn(process: subprocess.Popen[str]) -> None:
    """Wait until Python has started, and cares for SIGTERM; it has not imported NumPy then."""
    caught = 0
    while process.poll() is None and not caught & 1 << (signal.SIGTERM - 1):
        time.sleep(0.002)
        text = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(re.findall(r"SigCgt:\s+(\w+)", text)[0], 16)


def through(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a command did what it was asked to."""
    return done.returncode in ENDED and "Traceback" not in done.stderr


def ended(process: subprocess.Popen[str], seconds: float) -> subprocess.CompletedProcess[str]:
    _, err = process.communicate(timeout=seconds)
    return subprocess.CompletedProcess((), process.returncode, "", err)


def struck(
    place: Path, moments: random.Random, commands: tuple[int, ...], number: int
) -> Iterator[tuple[str, str, float, subprocess.CompletedProcess[str]]]:
    """Yield commands that got a signal at a random moment: also their folders, and the time that
    they took to end."""
    longest = dict.fromkeys(commands, 10.0)
    while True:
        which = moments.choice(commands)
        out = f"out {next(_NEW)}"
        process = started(COMMANDS[which], place, out)
        reads_bknn(process)
        after = moments.uniform(0.0, longest[which])
        try:
            done = ended(process, after)
            assert through(done), (COMMANDS[which], done.stderr)
            longest[which] = after  # it was through before
            continue
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        began = time.monotonic()
        done = ended(process, 60)
        if through(done):
            continue  # Python itself was about to end
        yield COMMANDS[which], out, time.monotonic() - began, done


def is_free(folder: Path) -> bool:
    """Whether nobody has the lock of a folder."""
    if not (folder / "lock").exists():
        return True
    with (folder / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def torn(folder: Path) -> list[str]:
    """Return the files that are not what was written."""
    found = []
    for path in [*folder.rglob("result.json"), *folder.rglob("*.nc")]:
        try:
            sealed.check(path) if path.suffix == ".nc" else sealed.read_json(path)
        except errors.DataError as problem:
            found.append(str(problem))
    return found


def numbers(path: Path) -> Any:
    """What a command found, but for how long it took."""
    if path.is_file():
        return path.read_bytes()
    if (path / "measurement.json.gz").exists():
        return (path / "measurement.json.gz").read_bytes()
    if (path / "result.json").exists():
        text = (path / "result.json").read_text()
        return re.sub(r'"(seconds_\w+|sha256|[\w.]+\.nc)": .*', "", text)
    return sorted((x.name, x.read_bytes()) for x in path.iterdir() if x.suffix == ".png")


@pytest.mark.parametrize(("seed", "tries"), [(1, 40)])
def test_interrupts(place, seed, tries):
    """Each ends in three seconds, with one line that says how to go on, and nothing is torn."""
    moments = random.Random(seed)
    took, wrong = [], []
    for number in (signal.SIGINT, signal.SIGTERM):
        cases = struck(place, moments, tuple(range(len(COMMANDS))), number)
        for (command, out, seconds, done), _ in zip(cases, range(tries // 2), strict=False):
            words = ["bknn", *command.split(), "--out", out]
            resumed = command.split()[0] in ("run", "sample", "evidence")
            line = shlex.join([*words, *(["--resume"] if resumed else [])])
            good = (
                done.returncode == 128 + number
                and done.stderr.startswith("bknn: interrupted; ")
                and done.stderr.endswith(f": {line}\n")
                and done.stderr.count("\n") == 1
                and seconds < 3.0
                and is_free(place / out)
                and not torn(place / out)
            )
            took.append(seconds)
            if not good:
                wrong.append((command, seconds, done, torn(place / out)))
    print(f"\ninterrupts: {len(took)} tried, {len(wrong)} wrong, {max(took):.2f} s at most")
    assert wrong == []


@pytest.mark.parametrize(("number", "tries"), [(signal.SIGKILL, 20), (signal.SIGTERM, 20)])
def test_kills(place, number, tries):
    """Nothing is torn, nobody keeps the lock, and the same command finds what it would have."""
    moments = random.Random(int(number))
    undisturbed: dict[str, Any] = {}
    lost, wrong = [], []
    cases = struck(place, moments, QUICK, number)
    for (command, out, _, done), _ in zip(cases, range(tries), strict=False):
        assert done.returncode in (-number, 128 + number), done.stderr
        if torn(place / out) or not is_free(place / out):
            lost.append((command, torn(place / out)))
        if command not in undisturbed:
            assert through(ended(started(command, place, "undisturbed"), 300))
            undisturbed[command] = numbers(place / "undisturbed")
            shutil.rmtree(place / "undisturbed", ignore_errors=True)
            (place / "undisturbed").unlink(missing_ok=True)
        resumed = command.split()[0] in ("run", "sample", "evidence")
        again = ended(started(command, place, out, *(["--resume"] if resumed else [])), 300)
        if not through(again):
            lost.append((command, again.stderr))
        elif numbers(place / out) != undisturbed[command]:
            wrong.append(command)
        if (place / out).is_dir() and list((place / out).rglob("*.part")):
            lost.append((command, "a part is left"))
    print(f"\n{number.name}: {tries} tried, {len(lost)} lost, {len(wrong)} wrong")
    assert (lost, wrong) == ([], [])


def test_damage(place):
    """500 bits flipped and files cut, over all kinds: named and refused, or computed again."""
    moments = random.Random(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert run("run", "card.toml", "--out", "good")[0] in ENDED
        assert run("data", "import", "workspace.json", "--name", "mine", "--out", "set")[0] == 0
        store = Checkpoints(Path("pieces"))
        store.put("0", {"x": np.arange(50.0)})
        good = {name: numbers(Path("good") / name) for name in ("fit", "toys", "sample")}
        merged = shlex.split(f"toys {ONE} --no-figures --merge toys.nc --out merged")
        shutil.copy("good/toys/toys.nc", "toys.nc")
        assert run(*merged)[0] == 0
        toys = numbers(Path("merged"))
        fit = ("fit", "signal-strength", "--data", "set", "--channels", "SR")
        data = run(*fit)

        def resume() -> bool | None:
            code, _, err = run("run", "card.toml", "--out", "good", "--resume")
            assert code in (*ENDED, 2), err
            assert err.count("\n") <= 1, err
            if code in ENDED:
                assert {n: numbers(Path("good") / n) for n in good} == good
            return code == 2 or err != ""

        def merge() -> bool:
            shutil.rmtree("merged", ignore_errors=True)
            code, _, err = run(*merged)
            assert code == 2 or numbers(Path("merged")) == toys
            assert err.count("\n") == (1 if code else 0), err
            return bool(code)

        def load(path: str) -> bool:
            try:
                bknn.load(path)
            except errors.DataError:
                return True
            return False

        def look(folder: str) -> bool:
            try:
                whole(Path(folder))
            except errors.DataError:
                return True
            return False

        def piece() -> bool:
            found = store.get("0")
            assert found is None or np.array_equal(found["x"], np.arange(50.0))
            return found is None

        def fitted() -> bool:
            code, out, err = run(*fit)
            assert code == 2 or out == data.out
            assert err.count("\n") == (1 if code == 2 else 0), err
            return code == 2

        uses: dict[str, tuple[Any, int]] = {
            "good/result.json": (lambda: look("good"), 50),
            "good/fit/result.json": (lambda: look("good/fit"), 70),
            "good/fit/fit.nc": (lambda: load("good/fit/fit.nc"), 80),
            "good/sample/posterior.nc": (lambda: load("good/sample/posterior.nc"), 80),
            "toys.nc": (merge, 80),
            "pieces/0.ckpt": (piece, 40),
            "set/measurement.json.gz": (fitted, 30),
            "set/metadata.toml": (fitted, 30),
            "good/run.json": (resume, 15),
            "good/toys/toys.nc": (resume, 5),
            "good/checkpoints/fit/done.ckpt": (resume, 10),
            "good/toys/result.json": (resume, 10),
        }
        figures = {}
        for name, (use, tries) in uses.items():
            raw = Path(name).read_bytes()
            seen = 0
            for n in range(tries):
                wrong = bytearray(raw)
                wrong[moments.randrange(len(raw))] ^= 1 << moments.randrange(8)
                cut = raw[: moments.randrange(len(raw))]
                Path(name).write_bytes(cut if n % 4 == 0 else bytes(wrong))
                seen += bool(use())
                Path(name).write_bytes(raw)
                if name.startswith("good/") and use is resume:
                    raw = Path(name).read_bytes()
            figures[name] = f"{seen} of {tries} refused or computed again"
        print("\ndamage:", sum(tries for _, tries in uses.values()), "tried", figures)


def test_eight_processes(place):
    """One of them writes at a time; readers see whole files."""
    torn, reads, ends = 0, 0, []
    waiting = [started(f"fit {ONE} --no-figures", place, "shared") for _ in range(8)]
    while waiting:
        path = place / "shared" / "result.json"
        if path.exists():
            reads += 1
            try:
                sealed.read_json(path)
            except errors.DataError:
                torn += 1
        time.sleep(0.002)
        for process in [p for p in waiting if p.poll() is not None]:
            waiting.remove(process)
            ends.append(ended(process, 10))
    for done in ends:
        assert (done.returncode, done.stderr.count("\n")) in [(0, 0), (0, 1), (2, 1)]
        assert done.returncode == 0 or "is in use by " in done.stderr
    codes = [done.returncode for done in ends]
    print(
        f"\n8 processes: {codes.count(0)} wrote, {codes.count(2)} refused, {torn} of {reads} torn"
    )
    assert codes.count(0) >= 1
    assert torn == 0
    whole(place / "shared")
    assert {path.name for path in (place / "shared").iterdir()} == {"result.json", "fit.nc"}
