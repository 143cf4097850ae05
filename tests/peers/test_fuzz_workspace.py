"""Damaged workspaces: an error that we raise on purpose, or pyhf's answer; never anything else.

A failure prints the seed of the mutation; `check(seed)` repeats it. What pyhf does with a damaged
workspace is one of: an exception (of any type), a number, NaN. Ours may be stricter. It may not be
laxer, but for the cases of `LAXER`, nor answer with another number.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import functools
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import jax
import numpy as np
import pytest

import bknn

from .reference import Reference, disagreement
from .workspaces import (
    Workspace,
    belle2_workspace,
    generate,
    mutate,
    one_channel,
    parameter_points,
)

# What pyhf takes no notice of is a warning, which `test_edges.py` looks at.
pytestmark = pytest.mark.filterwarnings("ignore::bknn.errors.DataWarning")

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pyhf"

# pyhf refuses, we answer, and that is right: (pattern in pyhf's message, why)
LAXER: tuple[tuple[str, str], ...] = (
    (
        r"Path: measurements\[[1-9]",
        "pyhf checks the form of every measurement; ours reads the one that was asked for",
    ),
)


def small_belle2() -> Workspace:
    """Two channels of the Belle II workspace, three samples, a few modifiers of each."""
    workspace = belle2_workspace()
    channels = [workspace["channels"][1], workspace["channels"][-1]]
    for channel in channels:
        channel["samples"] = channel["samples"][:3]
        for sample in channel["samples"]:
            kept: dict[str, int] = collections.Counter()
            modifiers = []
            for modifier in sample["modifiers"]:
                kept[modifier["type"]] += 1
                if kept[modifier["type"]] <= 3:
                    modifiers.append(modifier)
            sample["modifiers"] = modifiers
    names = {channel["name"] for channel in channels}
    workspace["channels"] = channels
    workspace["observations"] = [o for o in workspace["observations"] if o["name"] in names]
    return workspace


@functools.cache
def originals() -> tuple[str, ...]:
    """Workspaces to damage, as JSON text."""
    examples = [path.read_text() for path in sorted(FIXTURES.glob("*.json"))]
    generated = [json.dumps(generate(Random(seed))) for seed in range(12)]
    return (*[json.dumps(small_belle2())] * 6, *examples, *generated)


def damaged(seed: int) -> tuple[Workspace, list[str]]:
    """The workspace of this seed and what is wrong with it."""
    rng = Random(seed)
    return mutate(json.loads(rng.choice(originals())), rng)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """A hang is a failure too."""

    def give_up(*_: Any) -> None:
        raise TimeoutError(f"still busy after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def is_a_sentence(message: str) -> bool:
    """At least a few words and a full stop; no bare repr of a Python object."""
    return len(message.split()) >= 5 and message.rstrip().endswith((".", "?"))


def outcome(workspace: Any, seed: int) -> str:
    """Judge one damaged workspace: 'refused', 'same answer', or a failure in words."""
    before = repr(workspace)
    try:
        with at_most(20.0):
            pdf = bknn.HistFactory.from_workspace(workspace)
    except bknn.errors.BknnError as error:
        if not is_a_sentence(str(error)):
            return f"the error is no sentence: {error}"
        return "refused"
    except Exception as error:
        return f"{type(error).__name__} instead of an error from bknn.errors: {error}"
    if repr(workspace) != before:
        return "the input was modified"
    try:
        reference = Reference(copy.deepcopy(workspace))
        at_init = reference.at(reference.init)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        if any(re.search(pattern, message) for pattern, _ in LAXER):
            return "laxer"
        return f"we accept what pyhf refuses with {message[:300]}"
    return compare_at_three_points(pdf, reference, at_init.log_prob, seed)


def compare_at_three_points(
    pdf: bknn.HistFactory, reference: Reference, at_init: float, seed: int
) -> str:
    if list(pdf.parameter_names) != reference.names:
        return f"parameters {pdf.parameter_names}, pyhf {reference.names}"
    points = parameter_points(reference, np.random.default_rng(seed))[[0, 5, 8]]
    try:
        with at_most(60.0):
            log_prob = np.asarray(jax.jit(jax.vmap(pdf.log_prob))(points))
    except Exception as error:
        return f"log_prob raises {type(error).__name__}: {error}"
    for point, ours in zip(points, log_prob, strict=True):
        if np.isnan(ours):
            return f"NaN as an answer at {point.tolist()}"
        problem = disagreement(reference.at(point), float(ours))
        if problem is not None:
            return f"{problem} at {dict(zip(reference.names, point.tolist(), strict=True))}"
    return "same answer" if np.isfinite(at_init) else "no probability"


def check(seed: int) -> str:
    """Judge the mutation of this seed; a failure carries all that is needed to repeat it."""
    workspace, done = damaged(seed)
    verdict = outcome(workspace, seed)
    if verdict in ("refused", "same answer", "no probability", "laxer"):
        return verdict
    return f"mutation {seed} ({'; '.join(done)}): {verdict}"


def run(seeds: range) -> None:
    verdicts = collections.Counter(check(seed) for seed in seeds)
    good = {v: n for v, n in verdicts.items() if not v.startswith("mutation")}
    failures = [v for v in verdicts if v.startswith("mutation")]
    print(f"{len(seeds)} mutations from seed {seeds.start}: {good}")
    assert not failures, f"{len(failures)} of {len(seeds)}:\n" + "\n".join(failures[:40])
    # the generator is worth something only if it makes both kinds
    assert verdicts["refused"] > len(seeds) // 5
    assert verdicts["same answer"] > len(seeds) // 20


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 30), *(pytest.param(*ends, marks=pytest.mark.slow) for ends in ((30, 125), (125, 250)))],
)
def test_mutations(start: int, end: int) -> None:
    run(range(start, end))


@pytest.mark.nightly
def test_ten_thousand_mutations() -> None:
    """BKNN_FUZZ_SEED repeats a night; it is printed, and different in every run without it."""
    start = int(os.environ.get("BKNN_FUZZ_SEED") or Random().randrange(10**9))
    print(f"BKNN_FUZZ_SEED={start}")
    run(range(start, start + 10_000))


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_undamaged_they_agree(every: int) -> None:
    """Else the fuzzing would prove nothing."""
    for text in list(dict.fromkeys(originals()))[::every]:
        assert outcome(json.loads(text), 0) == "same answer", text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("observations", 0, "data", 0), 1e308),
        (("observations", 0, "data", 0), 1e17),
        (("channels", 0, "samples", 0, "data", 0), 1e308),
        (("channels", 0, "samples", 1, "modifiers", 0, "data", "lo"), 1e308),
        (("channels", 0, "samples", 1, "modifiers", 0, "data", "hi"), 1e-308),
        (("channels", 0, "samples", 2, "modifiers", 1, "data", "hi_data", 0), 1e308),
        (("channels", 0, "samples", 1, "modifiers", 2, "data", 0), 1e-200),
        (("channels", 0, "samples", 1, "modifiers", 2, "data", 0), 1e200),
    ],
    ids=str,
)
def test_numbers_near_the_end_of_the_range(path: tuple[str | int, ...], value: float) -> None:
    """Refused or answered, but without overflow warnings and without NaN."""
    workspace: Any = one_channel(
        {
            "signal": ([5.0, 1.0], [("normfactor", "mu", None)]),
            "first": (
                [10.0, 8.0],
                [
                    ("normsys", "scale", {"lo": 0.9, "hi": 1.1}),
                    ("staterror", "stat", [1.0, 1.0]),
                    ("shapesys", "shape", [1.0, 1.0]),
                ],
            ),
            "second": (
                [4.0, 3.0],
                [
                    ("staterror", "stat", [0.5, 0.5]),
                    ("histosys", "tilt", {"lo_data": [3.0, 4.0], "hi_data": [5.0, 2.0]}),
                ],
            ),
        },
        [19.0, 12.0],
    )
    assert outcome(workspace, 0) == "same answer"
    spot = workspace
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    assert outcome(workspace, 0) in ("refused", "same answer", "no probability")


def read(path: Path) -> str:
    try:
        with at_most(20.0):
            bknn.HistFactory.from_workspace(path)
    except bknn.errors.BknnError as error:
        return "refused" if is_a_sentence(str(error)) else f"no sentence: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


@pytest.mark.parametrize("start", [0, 100])
def test_damaged_text(start: int, tmp_path: Path) -> None:
    """Files that are cut, flipped or of another encoding."""
    path = tmp_path / "workspace.json"
    verdicts: collections.Counter[str] = collections.Counter()
    for seed in range(start, start + 100):
        rng = Random(seed)
        text = bytearray(rng.choice(originals()).encode())
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(text))
            kind = rng.randint(0, 5)
            junk = rng.choice([b"NaN", b"Infinity", b"1e999", b"]", b"{", b'"', b","])
            if kind == 0:
                del text[place:]
                text = text or bytearray(b" ")
            elif kind == 1:
                text[place] = rng.randrange(256)
            elif kind == 2:
                text[place:place] = junk
            elif kind == 3:
                del text[place : place + rng.randint(1, 30)]
                text = text or bytearray(b" ")
            elif kind == 4:
                text[place:place] = text[place : place + rng.randint(1, 200)]
            else:
                text = bytearray(text.decode("utf-8", "replace").encode("utf-16"))
        path.write_bytes(bytes(text))
        verdicts[read(path)] += 1
    refused, good = verdicts.pop("refused"), verdicts.pop("read", 0)
    assert not verdicts, verdicts
    assert refused > 50
    assert refused + good == 100


@pytest.mark.parametrize(
    "source",
    [None, 3, 2.5, True, b"{}", (), [], {}, "", "\x00", "{", "[]", "null", ".", "/"],
    ids=repr,
)
def test_sources_of_another_kind(source: Any) -> None:
    with pytest.raises(bknn.errors.BknnError) as caught:
        bknn.HistFactory.from_workspace(source)
    assert is_a_sentence(str(caught.value)), caught.value


def test_very_deep_nesting(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(bknn.errors.BknnError):
        bknn.HistFactory.from_workspace(path)
    nested: Any = []
    for _ in range(5000):
        nested = [nested]
    workspace = json.loads(originals()[0])
    workspace["channels"][0]["samples"][0]["data"] = nested
    with pytest.raises(bknn.errors.BknnError):
        bknn.HistFactory.from_workspace(workspace)
