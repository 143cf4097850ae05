"""Ctrl-C and SIGTERM end a command, wherever it is; what a machine does not have is a sentence."""

from __future__ import annotations

import errno
import gc
import io
import math
import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from bknn import cli, errors, precision
from bknn.commands import interrupts, resources
from bknn.commands.interrupts import Interrupts
from bknn.questions import QUESTIONS
from bknn.questions.shared import values
from bknn.storage import memory

from ..questions.test_shell import run


def test_an_interrupt_in_a_callback_of_the_garbage_collector():
    """Python drops what is raised there; JAX has one, which runs often while it traces."""
    landed = []

    def callback(phase: str, info: dict[str, int]) -> None:
        if not landed:
            landed.append(phase)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with Interrupts(["models"], last=False) as stop:
        gc.callbacks.append(callback)
        try:
            gc.collect()
            assert (landed, stop.number) == (["start"], signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                time.sleep(1.0)
        finally:
            gc.callbacks.remove(callback)
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


#: A command that takes no notice, as one that compiles.
DEAF = """
import sys, time
from bknn.commands.interrupts import Interrupts
with Interrupts(sys.argv[1:], last=True):
    while True:
        try:
            print(flush=True)
            time.sleep(10)
        except KeyboardInterrupt:
            pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_takes_no_notice_is_ended(number):
    words = ["run", "my card.toml", "--out", "it's"]
    with subprocess.Popen(
        [sys.executable, "-c", DEAF, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "\n"
        began = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert time.monotonic() - began < 3.0
    assert process.returncode == 128 + number
    assert said == (
        "bknn: interrupted; what is done is kept; go on with: bknn run 'my card.toml' "
        """--out 'it'"'"'s' --resume\n"""
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run a.toml --resume", "go on with: bknn run a.toml --resume"),
        ("sample sm --out=a -- b", "go on with: bknn sample sm --out=a --resume -- b"),
        ("sample sm", "nothing is kept; begin again with: bknn sample sm"),
        ("fit sm --out a", "nothing is kept; begin again with: bknn fit sm --out a"),
        ("", "nothing is kept; begin again with: bknn"),
    ],
)
def test_how_to_go_on(words, said):
    assert Interrupts(words.split(), last=False).sentence().endswith(said)


def test_commands_that_can_be_resumed():
    resumed = [name for name, question in QUESTIONS.items() if question.resumes]
    assert ("run", *resumed) == interrupts.RESUMED


def test_an_interrupt_that_became_another_problem(monkeypatch):
    """XLA and NumPy make others of it."""

    def interrupted(*args: Any) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise errors.FitError("the program failed.") from None

    monkeypatch.setattr(cli, "_read", interrupted)
    code, _, err = run("models")
    assert (code, err.count("\n")) == (143, 1)
    assert err.startswith("bknn: interrupted; ")


# ---------------------------------------------------------------- resources


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (MemoryError(), "the memory is not enough: more was asked for"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8589934592 bytes."), "8.59 GB"),
        (RuntimeError("can't start new thread"), "the memory is not enough: a thread was asked"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "the memory is not enough"),
        (ImportError("a.so: failed to map segment from shared object"), "the memory is not enough"),
    ],
)
def test_not_enough_memory(problem, said, monkeypatch):
    def fails(*args: Any) -> None:
        raise problem

    monkeypatch.setattr(cli, "_read", fails)
    code, _, err = run("models")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("bknn: error: the memory is not enough: ")
    assert said in err
    assert "Ask for less at a time" in err


def test_the_number_that_is_too_large():
    with pytest.raises(MemoryError) as caught:
        np.empty((2**30, 2**20))
    sentence = resources.lacking(caught.value)
    assert sentence is not None
    assert "9.01e+06 GB for an array with shape (1073741824, 1048576) was asked for" in sentence
    assert resources.lacking(ValueError("another")) is None


def test_more_than_there_is_memory_for(monkeypatch):
    """Refused before it is computed, with the number that is too large and one that is not."""
    assert 1e6 < memory.free() < math.inf
    monkeypatch.setattr(memory, "free", lambda: 2e9)
    values.room(10**6, 1000, "--over")
    with pytest.raises(errors.ParameterError) as caught:
        values.room(10**7, 1000, "--over")
    assert str(caught.value) == (
        "--over: 1e+07 take 10 GB of memory, and 2 GB are free; ask for 2e+06 at most, or in "
        "several parts."
    )


def test_too_small_an_address_space(monkeypatch):
    monkeypatch.setattr(memory, "addresses", lambda: 1e9)
    with pytest.raises(
        errors.ParameterError, match=r"may have 1 GB of addresses \(ulimit -v\), and"
    ):
        precision.prepare()


class Full(io.StringIO):
    """A stream that cannot be written, or whose reader has left."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 2), (errno.EPIPE, 141)])
def test_standard_output_that_cannot_be_written(number, code, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Full(number))
    assert cli.main(["data", "list"]) == code
    said = "bknn: error: standard output cannot be written (No space left on device); "
    assert capsys.readouterr().err.startswith(said if code == 2 else "")


def test_standard_error_that_cannot_be_written(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Full(errno.ENOSPC))
    assert cli.main(["nonsense"]) == 2
