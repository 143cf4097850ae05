"""Processes of this machine that compute pieces: none is lost, and nobody else gets at them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bknn import errors
from bknn.run import processes
from bknn.run.processes import Processes

#: What a process does in place of computing: it takes a message and says how long it is; or dies,
#: if it is told so, as often as there are files.
PROGRAM = """
import os, pathlib, pickle, sys, time
folder = pathlib.Path({folder!r})
asked, answers = sys.stdin.buffer, sys.stdout.buffer
while len(size := asked.read(8)) == 8:
    message = asked.read(int.from_bytes(size, "big"))
    if b"slow" in message:
        time.sleep(60)
    if b"dies" in message and (left := sorted(folder.glob("die*"))):
        left[0].unlink()
        os.kill(os.getpid(), 9)
    found = (True, {{"size": len(message), "pid": os.getpid()}})
    if b"wrong" in message:
        from bknn import errors
        found = (False, errors.ParameterError("it makes no sense"))
    answer = pickle.dumps(found)
    answers.write(len(answer).to_bytes(8, "big") + answer)
    answers.flush()
"""


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    monkeypatch.setattr(processes, "_PROGRAM", PROGRAM.format(folder=str(tmp_path)))
    monkeypatch.setattr(processes, "order", lambda analysis: analysis)
    with Processes(2) as made:
        yield made


def each(pool: Processes, *words: str) -> dict[int, Any]:
    return dict(pool.each(print, "analysis", [{"word": word} for word in words]))


def test_all_pieces_are_computed(pool):
    found = each(pool, *["piece"] * 20)
    assert sorted(found) == list(range(20))
    assert 1 <= len({x["pid"] for x in found.values()}) <= 2
    again = each(pool, "piece")
    assert again[0]["pid"] in {x["pid"] for x in found.values()}


def test_processes_that_die(pool, tmp_path):
    for name in ("die-1", "die-2"):
        (tmp_path / name).touch()
    found = each(pool, "piece", "dies", *["piece"] * 8)
    assert sorted(found) == list(range(10))
    assert not list(tmp_path.iterdir())


def test_a_piece_that_costs_every_process_its_life(pool, tmp_path):
    for i in range(3):
        (tmp_path / f"die-{i}").touch()
    with pytest.raises(errors.RunError, match=r"3 processes .* by signal SIGKILL; there may"):
        each(pool, "dies")
    assert each(pool, "dies")[0]["size"] > 0


def test_what_is_wrong_is_said_here(pool):
    with pytest.raises(errors.ParameterError, match="it makes no sense"):
        each(pool, "slow", "wrong")
    assert not pool._busy


def test_what_cannot_be_sent(pool):
    with pytest.raises(errors.RunError, match="cannot be sent to other processes"):
        dict(pool.each(print, "analysis", [{"word": lambda: None}]))


def test_nobody_else_gets_at_them(pool):
    """No port, no socket, and what the pipes carry is theirs alone; they end with their parent."""
    psutil = pytest.importorskip("psutil")
    for i, _ in pool.each(print, "analysis", [{"word": "piece"}] * 4):
        if i == 0:
            children = [psutil.Process(p._popen.pid) for p in (*pool._idle, *pool._busy)]
            assert [c for p in children for c in p.net_connections("all")] == []
    pool.__exit__(None, None, None)
    deadline = time.monotonic() + 5
    while any(p.is_running() and p.status() != "zombie" for p in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)
