"""Homes of compiled programs: found again, counted, bounded, let go."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import models, programs
from bknn.programs import Programs

from ..small import measurement


def square():
    return lambda x: x**2


def test_a_program_is_made_once():
    home, made = Programs(), []

    def make():
        made.append(1)
        return square()

    for _ in range(3):
        assert float(home.get("square", ("a", 3), make)(np.array(3.0))) == 9.0
    home.get("square", ("b", 3), make)
    assert len(made) == 2
    assert len(home) == 2


def test_compilations_and_calls_are_counted():
    home = Programs()
    program = home.get("square", None, square)
    for n in (2, 2, 5):
        program(np.arange(float(n)))
    assert (program.compilations, program.calls) == (2, 3)
    assert program.seconds > 0
    lines = home.describe().splitlines()
    assert lines[0].split() == ["seconds", "compiled", "calls"]
    assert lines[1].split()[1:] == ["2", "3", "square"]


def test_what_another_program_compiles_is_not_counted():
    home = Programs()
    outer = home.get("outer", None, lambda: lambda x: x + 1)
    outer(np.array(1.0))
    jax.jit(lambda x: x * 3)(np.array(1.0))
    assert outer.compilations == 1


def test_one_that_runs_once_gives_the_same():
    x = jnp.linspace(0.1, 2.0, 7)

    def make():
        return jax.hessian(lambda x: jnp.sum(jnp.sin(x) * jnp.log(x)[::-1]))

    quick, plain = (Programs().get("hessian", None, make, once=once)(x) for once in (True, False))
    np.testing.assert_allclose(quick, plain, rtol=1e-13, atol=1e-14)


def test_only_processors_compile_quickly(monkeypatch):
    given = []
    monkeypatch.setattr(jax, "jit", lambda f, compiler_options: given.append(compiler_options))
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        Programs().get("square", None, square, once=True)
    assert given == [{"xla_backend_optimization_level": 0}, None]


def test_threads_share_one_compilation():
    home = Programs()
    # Shapes, not values: eight threads call it at the same time.
    x = np.ones((17, 3))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: home.get("square", None, square)(x), range(8)))
    assert all(np.array_equal(y, x) for y in found)
    (program,) = home
    assert (program.compilations, program.calls) == (1, 8)


def test_what_was_not_used_for_longest_goes(monkeypatch):
    monkeypatch.setattr(programs, "_HOMES", weakref.WeakSet())
    monkeypatch.setattr(programs, "MOST", 4)
    one, other = Programs(), Programs()
    for i in range(3):
        one.get("square", i, square)
    one.get("square", 0, square)
    for i in range(2):
        other.get("square", i, square)
    assert [p.structure for p in one] == [0, 2]
    assert [p.structure for p in other] == [0, 1]


def test_released_programs_are_gone():
    home = Programs()
    function = square()
    program = home.get("square", None, lambda: function)
    program(np.array(2.0))
    gone = weakref.ref(program._run)
    del program
    home.release()
    assert len(home) == 0
    assert gone() is None
    # The same function again is compiled again.
    program = home.get("square", None, lambda: function)
    program(np.array(2.0))
    assert program.compilations == 1


def test_homes_in_circles_do_not_wait_for_long(monkeypatch):
    monkeypatch.setattr(programs, "_HOMES", weakref.WeakSet())
    monkeypatch.setattr(programs, "_ENOUGH", [8])
    gc.disable()
    try:
        for _ in range(40):
            home = Programs()
            home.get("square", None, lambda home=home: lambda x: x * len(home))
    finally:
        gc.enable()
    assert len(programs._HOMES) <= 12


def test_a_program_that_failed_is_called_again():
    def make():
        def run(x):
            if x.shape[0] == 1:
                raise ValueError("too short")
            return x

        return run

    program = Programs().get("picky", None, make)
    with pytest.raises(ValueError, match="too short"):
        program(np.ones(1))
    assert program(np.ones(2)).shape == (2,)


@pytest.fixture(scope="module")
def analysis():
    return bknn.Analysis(models.load("signal-strength"), measurement())


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_begin_with_an_empty_home(again):
    home = Programs()
    home.get("square", None, square)
    assert len(again(home)) == 0


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copied_analysis_begins_with_an_empty_home(analysis, again):
    """Those of fits and their uncertainties, too: workers of a cluster get analyses by pickle."""
    assert np.isfinite(bknn.inference.fit(analysis).uncertainty_vector).all()
    value = float(analysis.log_likelihood(analysis.init))
    other = again(analysis)
    assert len(analysis.programs) > 0
    assert len(other.programs) == 0
    assert float(other.log_likelihood(other.init)) == value


def test_an_analysis_goes_with_its_programs():
    analysis = bknn.Analysis(models.load("signal-strength"), measurement())
    analysis.log_likelihood(analysis.init)
    (program,) = analysis.programs
    gone = [weakref.ref(analysis), weakref.ref(program._run)]
    gc.disable()
    try:
        del analysis, program
        assert [x() for x in gone] == [None, None]
    finally:
        gc.enable()


def test_work_that_takes_long_says_once_that_it_compiles(monkeypatch, caplog):
    monkeypatch.setattr(programs, "PATIENCE", 0.1)

    def traced(x):
        y = jax.jit(lambda x: x**2)(x)  # JAX reports that it has traced this one
        time.sleep(0.3)
        return y

    program = Programs().get("sums of squares", None, lambda: traced)
    for _ in range(2):
        program(np.ones(3))
    (record,) = caplog.records
    assert record.name == "bknn"
    assert record.getMessage().startswith("compiling sums of squares, once")


def test_short_work_says_nothing(caplog):
    Programs().get("square", None, square)(np.array(2.0))
    assert not caplog.records


@pytest.mark.parametrize("once", [False, True])
def test_what_is_compiled_ahead_is_compiled_once(monkeypatch, once):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(programs, "cores", lambda: 2)
    calls = []

    def traced(x):
        calls.append(threading.current_thread())
        return jnp.sum(x**2)

    program = Programs().get("sum of squares", None, lambda: traced, once=once)
    program.ahead(jax.ShapeDtypeStruct((4,), float))
    assert float(program(np.arange(4.0))) == 14.0
    assert (program.calls, program.compilations) == (1, 1)
    assert calls[0] is not threading.current_thread()
    assert len(calls) == 1


def test_what_fails_ahead_fails_when_it_is_called(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(programs, "cores", lambda: 2)

    def wrong(x):
        raise ZeroDivisionError("of its own")

    program = Programs().get("nothing", None, lambda: wrong)
    program.ahead(np.arange(4.0))
    with pytest.raises(ZeroDivisionError, match="of its own"):
        program(np.arange(4.0))


def test_threads_wait_for_what_is_compiled_ahead(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(programs, "cores", lambda: 2)
    program = Programs().get("sines", None, lambda: lambda x: jnp.sin(x) * jnp.cos(x))
    program.ahead(np.arange(4.0))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(program, [np.arange(4.0)] * 64))
    assert all(np.array_equal(x, found[0]) for x in found)
    assert program.compilations == 1
