"""A run from its card to its results, in one go or in several."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bknn import errors
from bknn.answers.schema import FORMAT
from bknn.inference.pieces import Work
from bknn.questions.shared.output import Desk, whole
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.progress import part
from bknn.run.card import Card
from bknn.run.folder import HAS_BEGUN, IS_DONE, begin, logging
from bknn.run.plans import Clock, plans, told
from bknn.storage import sealed
from bknn.storage.checkpoints import Checkpoints, refused, write
from bknn.storage.files import clear
from bknn.storage.lock import Lock


def run(
    card: str | Path,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    scheduler: str | None = None,
    functions: Sequence[str] = (),
    dry_run: bool = False,
) -> int:
    """Answer all questions of a card.

    Args:
        card: path of the card.
        out: folder of the run; by default that of the card's name, here.
        resume: go on with a run that began there.
        scheduler: "local:N" for N processes of this machine, or the address of a Dask scheduler.
        functions: Python files whose functions priors of the card may name, beside those that lie
            beside the card.
        dry_run: look whether the card makes sense, and say what would be done.

    Returns:
        The exit code: 0, or 1 if a fit that a result needs did not converge.

    Raises:
        RunError: the run cannot begin, go on, or be written.
        BknnError: what a question of the card asks makes no sense.
    """
    from bknn.precision import prepare

    asked = Card.read(card).with_functions(functions)
    folder = Path(asked.path.stem) if out is None else Path(out)
    command = shlex.join(["bknn", "run", str(card), "--out", str(folder)])
    prepare()
    # All of it is looked at before anything is computed or written.
    desk = Desk(figures=asked.settings["run"]["figures"], functions=asked.functions, kept=Work())
    planned = plans(asked, desk)
    store = Checkpoints(folder / "checkpoints")
    if dry_run:
        done = {name for name, state in _begun(store).items() if state == IS_DONE}
        print(told(asked, planned, folder, done))
        return 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise refused(folder, problem) from None
    with Lock(folder), logging(folder / "log.txt"):
        begin(folder, asked, planned, resume, command, _begun(store))
        with _pool(scheduler) as pool:
            codes = _answers(asked, folder, desk, planned, Work(store, pool))
        write(folder / "result.json", _json(_merged(asked, folder, codes)))
        store.forget(_DONE)
        print(f"complete         {folder}/: result.json, {', '.join(f'{t}/' for t in codes)}")
    return max(codes.values())


#: What is kept of a question that is answered: its exit code.
_DONE = "done"


def _undamaged(folder: Path) -> bool:
    """Whether all files of an answer are as they were written; if not, say so."""
    try:
        whole(folder, f"[{folder.name}] is answered again")
    except errors.DataError as problem:
        print(f"bknn: {problem}", file=sys.stderr)
        return False
    return True


def _begun(store: Checkpoints) -> dict[str, str]:
    """Return how far the questions are that are not untouched."""
    found = {}
    for path in sorted(store.folder.glob("*")):
        found[path.name] = IS_DONE if (path / f"{_DONE}.ckpt").exists() else HAS_BEGUN
    return found


def _answers(
    card: Card, folder: Path, desk: Desk, planned: Mapping[str, Plan], work: Work
) -> dict[str, int]:
    """Ask one question after the other; return the exit code of each."""
    codes: dict[str, int] = {}
    for name in card.questions:
        done = work.within(name).get(_DONE)
        if done is not None and _undamaged(folder / name):
            codes[name] = int(done["code"])
            print(f"{name:<16} done before")
    left = {name: planned[name].seconds for name in card.questions if name not in codes}
    clock = Clock(left, len(card.questions))
    for name, question in card.questions.items():
        if name in codes:
            continue
        own = work.within(name)
        clear(folder / name)
        text = clock.begins(name)
        print(f"{name:<16} {text}; begins {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        try:
            with part(text.partition(",")[0]):
                codes[name] = question.answer(replace(desk, out=str(folder / name), kept=own))
        except errors.BknnError as problem:
            problem.args = (f"[{name}] of {card.path}: {problem}",)
            raise
        own.put(_DONE, {"code": np.array(codes[name])})
        clock.ended()
        print()
    return {name: codes[name] for name in card.questions}


def _merged(card: Card, folder: Path, codes: dict[str, int]) -> dict[str, Any]:
    """Return the content of the run's `result.json`: that of its tasks, side by side."""
    found = {
        name: sealed.read_json(folder / name / "result.json", error=errors.RunError)
        for name in codes
    }
    whole: dict[str, Any] = {
        "format": FORMAT,
        "command": "run",
        "model": card.settings["model"]["name"],
    }
    provenance: dict[str, Any] = {}
    for content in found.values():
        provenance = {**content.pop("provenance"), **provenance}
        del content["command"], content["answers"], content["checksums"]
        # Of what several tasks have, the best fit above all, that of the first is taken.
        whole = {**content, **whole}
    first = ("format", "command", "model", "data")
    order = [*first, *(key for content in found.values() for key in content)]
    whole = {key: whole[key] for key in dict.fromkeys(order) if key in whole}
    return {
        **whole,
        "tasks": {
            name: {
                "exit_code": code,
                "files": sorted(f"{name}/{path.name}" for path in (folder / name).iterdir()),
            }
            for name, code in codes.items()
        },
        "answers": [],
        "provenance": {
            **provenance,
            "seed": card.settings["run"]["seed"],
            "settings": card.settings,
        },
        "checksums": {},
    }


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(sealed.sealed(content), indent=2, allow_nan=False) + "\n").encode()


@contextlib.contextmanager
def _pool(scheduler: str | None) -> Iterator[Any]:
    """Connect to those who compute, if there are any."""
    if scheduler is None:
        yield None
        return
    if scheduler.startswith("local:"):
        from bknn.run.processes import processes

        pool: Any = processes(scheduler)
    else:
        from bknn.run.cluster import Cluster

        pool = Cluster(scheduler)
    with pool:
        yield pool
