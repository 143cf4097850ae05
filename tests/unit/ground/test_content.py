"""Digests of anything: what differs in content differs, and what does not, does not."""

from __future__ import annotations

import copy
import functools
import importlib
import os
import pickle
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from bknn.storage import content
from bknn.storage.content import digest

SCALE = 2.0


def of_globals(x: Any) -> Any:
    return SCALE * x


def of_closure(scale: float) -> Callable[[Any], Any]:
    return lambda x: scale * x


@jax.custom_jvp
def with_a_rule(x: Any) -> Any:
    return SCALE * x


@with_a_rule.defjvp
def _rule(primals: Any, tangents: Any) -> Any:
    return with_a_rule(*primals), 2.0 * tangents[0]


class Plain:
    def __init__(self, height: Any) -> None:
        self.height = height

    def __call__(self, x: Any) -> Any:
        return self.height * SCALE * x

    @functools.cached_property
    def twice(self) -> Any:
        return 2 * self.height


@dataclass
class Slotted:
    __slots__ = ("height",)
    height: float


#: Pairs of what a computation would see no difference in.
ALIKE: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "numbers": (lambda: 2, lambda: np.float64(2.0)),
    "tables": (lambda: {"a": 1, "b": 2}, lambda: {"b": 2.0, "a": 1}),
    "sets": (lambda: {"a", "b", "c"}, lambda: {"c", "b", "a"}),
    "arrays": (lambda: np.arange(3.0), lambda: jnp.arange(3.0)),
    "orders of memory": (lambda: np.eye(3)[:, ::-1], lambda: np.eye(3)[:, ::-1].copy()),
    "objects": (lambda: Plain(1.0), lambda: Plain(1)),
    "priors": (lambda: dist.Normal(0.0, 1.0), lambda: dist.Normal(0.0, 1.0)),
    "closures": (lambda: of_closure(2.0), lambda: of_closure(2.0)),
    "compiled": (lambda: jax.jit(of_globals), lambda: jax.jit(of_globals)),
    "partial": (lambda: functools.partial(pow, 2), lambda: functools.partial(pow, 2)),
    "patterns": (lambda: re.compile("a+"), lambda: re.compile("a+")),
    "paths": (lambda: Path("a/b"), lambda: Path("a") / "b"),
    "a rule": (lambda: with_a_rule, lambda: with_a_rule),
}

#: Pairs of what it would.
UNLIKE: dict[str, tuple[Any, Any]] = {
    "number and text": (1, "1"),
    "true and one": (True, 1),
    "zeros": (0.0, -0.0),
    "one bit": (1.0, np.nextafter(1.0, 2.0)),
    "shapes": (np.zeros((2, 3)), np.zeros((3, 2))),
    "types of arrays": (np.zeros(2), np.zeros(2, np.float32)),
    "one entry": (np.zeros(100), np.eye(1, 100, 57)[0] * 1e-300),
    "list and entries": ([[1, 2], [3]], [[1], [2, 3]]),
    "keys": ({"a": {"b": 1}}, {"a": {"c": 1}}),
    "code": (lambda x: x + 1, lambda x: x - 1),
    "constants": (lambda x: x + 1, lambda x: x + 2),
    "names": (lambda x: jnp.sin(x), lambda x: jnp.cos(x)),
    "inner functions": (lambda x: (lambda y: y + 1)(x), lambda x: (lambda y: y + 2)(x)),
    "closures": (of_closure(2.0), of_closure(2.1)),
    "defaults": (lambda x, a=1: a * x, lambda x, a=2: a * x),
    "keywords": (lambda x, *, a=1: a * x, lambda x, *, a=2: a * x),
    "partial": (functools.partial(pow, 2), functools.partial(pow, 3)),
    "compiled": (jax.jit(of_globals), jax.jit(of_closure(2.0))),
    "attributes": (Plain(1.0), Plain(2.0)),
    "arrays inside": (Plain(np.zeros(3)), Plain(np.ones(3))),
    "methods": (Plain(1.0).__call__, Plain(2.0).__call__),
    "slots": (Slotted(1.0), Slotted(2.0)),
    "priors": (dist.Normal(0.0, 1.0), dist.Normal(0.0, 1.1)),
    "kinds of priors": (dist.Uniform(0.0, 1.0), dist.LogUniform(0.1, 1.0)),
    "library functions": (np.sin, np.cos),
    "compiled library functions": (jnp.exp, jnp.log),
    "locks": (threading.Lock(), threading.Lock()),
    "patterns": (re.compile("a"), re.compile("a", re.IGNORECASE)),
}


@pytest.mark.parametrize("name", ALIKE)
def test_alike(name):
    one, other = ALIKE[name]
    assert digest(one()) == digest(other())


@pytest.mark.parametrize("name", UNLIKE)
def test_unlike(name):
    one, other = UNLIKE[name]
    assert digest(one) != digest(other)


@pytest.mark.parametrize("x", [of_globals, Plain(1.0), Plain, with_a_rule, jax.jit(of_globals)])
def test_a_global_that_a_function_uses(x, monkeypatch):
    before = digest(x)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert digest(x) != before
    monkeypatch.undo()
    assert digest(x) == before


@pytest.mark.parametrize("module", [None, "builtins", "bknn.models", "numpy"])
def test_code_that_says_that_it_is_of_a_library(module):
    """What was typed in or executed counts by its code, whatever its module is said to be."""

    def made(text: str) -> Any:
        space: dict[str, Any] = {} if module is None else {"__name__": module}
        exec(text, space)
        return space["x"]

    texts = (
        "def x(y): return {} * y",
        "class x:\n    def f(self, y): return {} * y",
        "class y:\n    @staticmethod\n    def f(y): return {} * y\nx = y.f",
        "import jax\n@jax.jit\ndef x(y): return {} * y",
        "class y:\n    def __call__(self, y): return {} * y\nx = y()",
        "x = lambda y: {} * y",
    )
    for text in texts:
        assert digest(made(text.format(2))) == digest(made(text.format(2)))
        assert digest(made(text.format(2))) != digest(made(text.format(3))), text
    if module in (None, "builtins"):
        text = "class x: height = {}"
        assert digest(made(text.format(2))) != digest(made(text.format(3)))


def test_what_is_found_and_kept_does_not_count():
    used = Plain(1.0)
    assert used.twice == 2.0
    assert digest(used) == digest(Plain(1.0))
    prior = dist.LogNormal(0.0, 1.0)
    before = digest(prior)
    prior.log_prob(0.3), prior.mean, prior.icdf(0.2)
    assert digest(prior) == before


@pytest.mark.parametrize("x", [Plain(1.0), Slotted(1.0), dist.Gamma(2.0, 1.0), of_globals])
def test_copies(x):
    before = digest(x)
    assert digest(pickle.loads(pickle.dumps(x))) == before == digest(copy.deepcopy(x))


def test_circles():
    one, other = Plain(1.0), Plain(1.0)
    one.height = [one]
    other.height = [other]
    assert digest(one) == digest(other)
    other.height.append(1)
    assert digest(one) != digest(other)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Modules of a user: `physics` uses `numbers_of_mine`, which has a helper."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(scale: str = "2.0", helper: str = "x + 1", comment: str = "") -> Any:
        (tmp_path / "numbers_of_mine.py").write_text(
            f"{comment}\nSCALE = {scale}\nUNUSED = {random.random()}\n"
            f"def shifted(x):\n    return inner(x)\n\ndef inner(x):\n    return {helper}\n"
        )
        (tmp_path / "physics.py").write_text(
            "import numbers_of_mine as mine\nimport jax.numpy as jnp\n"
            "def spectrum(q2):\n    return mine.SCALE * mine.shifted(q2) * jnp.ones_like(q2)\n"
            "def late(q2):\n    from numbers_of_mine import shifted\n    return shifted(q2)\n"
        )
        for name in ("physics", "numbers_of_mine"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return importlib.import_module("physics")

    yield make
    for name in ("physics", "numbers_of_mine"):
        sys.modules.pop(name, None)


def test_modules_of_a_user(module):
    first = digest(module().spectrum)
    assert digest(module(comment="# words").spectrum) == first
    assert digest(module(scale="2.1").spectrum) != first
    assert digest(module(helper="x + 2").spectrum) != first
    late = digest(module().late)
    assert digest(module(helper="x + 2").late) != late


MANY = """
import numpyro.distributions as dist
from bknn import models, priors
from bknn.storage.content import digest
texts = "uniform(0, 1)", "normal(0, 2)", "truncated_normal(1, 2, 0, 3)", "flat_in_square(0, 3)"
found = [*map(priors.read, texts), dist.LogNormal(0.0, 1.0), dist.Beta(2.0, 3.0)]
found += [dist.TruncatedNormal(0.0, 1.0, low=0.0), models.load("wet").parameters, {"b", "a", "c"}]
print([digest(x) for x in found])
"""


def test_in_another_process(capsys):
    """Sets have another order there."""
    exec(MANY, {})
    here = capsys.readouterr().out
    environment = {**os.environ, "PYTHONHASHSEED": "7", "JAX_ENABLE_X64": "1"}
    words = [sys.executable, "-c", MANY]
    there = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert there.stdout == here


def test_libraries_count_by_their_version(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = []
    for version in ("1.0", "1.0", "1.1"):
        (folder / "theirs.py").write_text(f"__version__ = '{version}'\ndef f(x): return x\n")
        monkeypatch.delitem(sys.modules, "theirs", raising=False)
        content._version.cache_clear()
        importlib.invalidate_caches()
        found.append(digest(importlib.import_module("theirs").f))
    monkeypatch.delitem(sys.modules, "theirs")
    assert found[0] == found[1] != found[2]


@pytest.mark.slow
def test_many_random_changes():
    """500 nested tables, each with one number, text or entry changed: all are seen."""
    draw = random.Random(1)

    def made(depth: int) -> Any:
        kind = draw.choice("nta" if depth == 0 else "ltaod")
        if kind == "n":
            return draw.choice([draw.random(), draw.randrange(10**6)])
        if kind == "t":
            return "".join(draw.choices("abcdef", k=8))
        if kind == "a":
            return np.array([draw.random() for _ in range(draw.randrange(1, 6))])
        inner = [made(depth - 1) for _ in range(draw.randrange(1, 4))]
        if kind == "l":
            return inner
        return Plain(inner) if kind == "o" else {f"k{i}": x for i, x in enumerate(inner)}

    def changed(x: Any) -> Any:
        if isinstance(x, str):
            return x[:-1] + ("A" if x[-1] != "A" else "B")
        if isinstance(x, np.ndarray):
            y, i = x.copy(), draw.randrange(len(x))
            y[i] = np.nextafter(y[i], 2.0)
            return y
        if isinstance(x, Plain):
            return Plain(changed(x.height))
        if isinstance(x, list):
            i = draw.randrange(len(x))
            return [*x[:i], changed(x[i]), *x[i + 1 :]]
        if isinstance(x, dict):
            key = draw.choice(sorted(x))
            return {**x, key: changed(x[key])}
        return np.nextafter(float(x), np.inf)

    accepted = 0
    for _ in range(500):
        x = made(4)
        accepted += digest(x) == digest(changed(x))
    assert accepted == 0
