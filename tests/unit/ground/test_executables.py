"""Programs that are found again by what they are made of, without a look at their code."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn.storage import executables
from bknn.storage.compiled import Checked
from bknn.storage.executables import lasting


class Pair(NamedTuple):
    x: np.ndarray
    y: np.ndarray


PAIR = Pair(np.linspace(0.1, 2.0, 7), np.arange(7))


def both(pair: Pair, scale: np.ndarray) -> tuple[Pair, jax.Array]:
    return Pair(jnp.sin(pair.x) * scale, pair.y + 1), jnp.sum(jnp.exp(pair.x))


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """What JAX was asked to compile."""
    found: list[str] = []

    def heard(event: str, duration: float, **named: str) -> None:
        if event.endswith("backend_compile_duration"):
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(heard)
    yield found
    jax.monitoring.unregister_event_duration_listener(heard)


def test_a_later_run_finds_it(kept, compilations):
    first = lasting(lambda *x: both(*x), "both")(PAIR, np.float64(2.0))
    assert len(compilations) == 1

    def never(*arguments):
        raise AssertionError("traced")

    second = lasting(never, "both")
    assert jax.tree.all(jax.tree.map(np.array_equal, first, second(PAIR, np.float64(2.0))))
    assert isinstance(second(PAIR, np.float64(3.0))[0], Pair)
    assert len(compilations) == 1
    # Other shapes, other options and other content are other programs.
    for function, pair in (
        (lasting(both, "both"), Pair(PAIR.x[:3], PAIR.y[:3])),
        (lasting(both, "both", {"xla_backend_optimization_level": 0}), PAIR),
        (lasting(both, "both, with other data"), PAIR),
    ):
        before = len(list(kept.glob("program-*")))
        function(pair, np.float64(2.0))
        assert len(list(kept.glob("program-*"))) == before + 1


def test_what_jax_compiled_before_is_stored_whole(kept, compilations):
    """Its cache returns programs that cannot be stored once more."""
    function = lambda *x: both(*x)  # noqa: E731
    jax.jit(function)(PAIR, np.float64(2.0))
    jax.clear_caches()
    lasting(function, "both")(PAIR, np.float64(2.0))
    found = lasting(both, "both")(PAIR, np.float64(2.0))
    np.testing.assert_array_equal(found[0].x, 2 * np.sin(PAIR.x))
    assert len(compilations) == 2


@pytest.mark.parametrize("stored", [b"", pickle.dumps(3), pickle.dumps((b"", None, None))])
def test_what_cannot_be_loaded_is_compiled(kept, stored):
    lasting(both, "both")(PAIR, np.float64(2.0))
    (file,) = kept.glob("program-*")
    Checked(kept).put(file.stem, stored)
    found = lasting(both, "both")(PAIR, np.float64(2.0))
    np.testing.assert_array_equal(found[0].y, PAIR.y + 1)
    assert Checked(kept).get(file.stem) != stored


def test_another_version_of_the_code_is_another_program(kept, monkeypatch):
    lasting(both, "both")(PAIR, np.float64(2.0))
    monkeypatch.setattr(executables, "_code", lambda: "edited")
    lasting(both, "both")(PAIR, np.float64(2.0))
    assert len(list(kept.glob("program-*"))) == 2


def test_where_nothing_is_kept_it_is_a_compiled_function(compilations):
    run = lasting(lambda *x: both(*x), "both")
    for _ in range(2):
        run(PAIR, np.float64(2.0))
    assert len(compilations) == 1


def test_several_devices_share_what_jax_compiles(kept, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    lasting(both, "both")(PAIR, np.float64(2.0))
    assert not list(kept.glob("program-*"))
