"""Compiled programs have one home: what was compiled is found again, counted, and let go.

XLA needs seconds for a program that then runs in milliseconds, so a program is compiled once for
each *structure*: shapes of arrays, which parameters it is about. Whatever may have other values the
next time (data, parameters that are held, starts) is an argument of the program, never part of it.

An analysis has its own home, `analysis.programs`; it is neither copied nor pickled with it. All
homes together keep `MOST` compilations: Linux allows a process 65,530 pieces of memory, and each
compilation takes about a hundred. What was not used for longest goes first.

What is kept in a home should not hold the home: an analysis whose programs are made of
`analysis.density` goes, with all of them, when the last reference to it does.

XLA leaves most cores idle, so a program that will be needed soon can be compiled ahead, while
another one is compiled or runs.

A call that compiles for more than two seconds says so once, as a warning of the logger "bknn";
`logging.getLogger("bknn").setLevel("ERROR")` keeps it quiet.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

#: How many compilations all homes together keep.
MOST = 256

#: Seconds of a call after which it says that it compiles.
PATIENCE = 2.0

_LOG = logging.getLogger("bknn")
_COMPILES = "compiling %s, once; with other data, values and points it takes no time."

#: Purpose and structure.
_Key = tuple[str, Hashable]

_HOMES: weakref.WeakSet[Programs] = weakref.WeakSet()

#: Held while a home is looked through, never while a program is made or runs.
_LOCK = threading.RLock()
_TICKS = itertools.count()

#: So many homes are there before it is worth to look for circles.
_ENOUGH = [8]
_RUNNING = threading.local()


class Program:
    """A function that is compiled when it is first called, and what that took.

    Attributes:
        purpose: what it computes, in a few words.
        structure: what it was compiled for, besides the shapes of its arguments.
        calls: how often it was called.
        compilations: how often it was compiled, once for each set of shapes.
        seconds: what the calls took that compiled it.
    """

    def __init__(self, purpose: str, structure: Hashable, run: Any) -> None:
        self.purpose, self.structure = purpose, structure
        self.calls = self.compilations = 0
        self.seconds = 0.0
        self._run = run
        self._first = threading.Lock()
        self._ahead: Future[None] | None = None
        self._used = 0

    def ahead(self, *args: Any) -> None:
        """Begin to compile for arguments of such shapes, where a core is idle; calls wait for it.

        Nothing is done where several devices share the arguments: how, they alone know.
        """
        if cores() > 1 and jax.device_count() == 1:
            self._ahead = _IDLE.submit(self._counted, prepare, (self._run, args), {})

    def __call__(self, *args: Any, **named: Any) -> Any:
        ahead = self._ahead
        if ahead is not None:
            # What went wrong there goes wrong here again.
            ahead.exception()
            self._ahead = None
        if self.calls:
            return self._timed(args, named)
        # Two threads at once would compile twice.
        with self._first:
            return self._timed(args, named)

    def _timed(self, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        result = self._counted(self._run, args, named)
        self.calls += 1
        return result

    def _counted(
        self, run: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        outer = getattr(_RUNNING, "call", None)
        call = _RUNNING.call = _Call(self)
        try:
            result = run(*args, **named)
        finally:
            _RUNNING.call = outer
            call.end()
        if call.compiled:
            self.compilations += call.compiled
            self.seconds += time.perf_counter() - call.begin
        return result


class _Call:
    """A call of a program: whether JAX traces and compiles, and for how long it says nothing."""

    def __init__(self, program: Program) -> None:
        self.program, self.begin, self.compiled = program, time.perf_counter(), 0
        self._silence: threading.Timer | None = None

    def heard(self, event: str) -> None:
        """Take note of what JAX reports: that it has traced, lowered or compiled something."""
        self.compiled += event == _COMPILED
        if self._silence is None:
            left = PATIENCE - (time.perf_counter() - self.begin)
            # It knows nothing of the program, which may be let go before it ends.
            said = (_COMPILES, self.program.purpose)
            self._silence = threading.Timer(max(left, 0.0), _LOG.warning, said)
            self._silence.daemon = True
            self._silence.start()

    def end(self) -> None:
        if self._silence is not None:
            self._silence.cancel()


class Programs:
    """A home of programs.

    >>> import jax.numpy as jnp
    >>> home = Programs()
    >>> sums = home.get("sum of squares", 3, lambda: lambda x: jnp.sum(x**2))
    >>> float(sums(jnp.arange(3.0)))
    5.0
    >>> home.get("sum of squares", 3, lambda: lambda x: jnp.sum(x**2)) is sums
    True
    >>> len(home)
    1
    """

    def __init__(self) -> None:
        self._kept: dict[_Key, tuple[Program, ...]] = {}
        with _LOCK:
            _HOMES.add(self)
        _look_for_circles()

    def get(
        self,
        purpose: str,
        structure: Hashable,
        make: Callable[[], Callable[..., Any]],
        *,
        once: bool = False,
    ) -> Program:
        """Return a compiled function, made if there is none for this purpose and structure.

        Args:
            purpose: what it computes, in a few words.
            structure: all that `make` puts into the function and that may differ from call to call.
            make: returns a pure function of arrays.
            once: whether it runs a few times only, on one point: compiled in half the time, runs
                several times slower, and cannot be called within another compiled function.
        """

        def compiled() -> tuple[Program]:
            return (Program(purpose, structure, _compiled(purpose, make(), once)),)

        return self._found((purpose, structure), compiled)[0]

    def together(
        self,
        purpose: str,
        structure: Hashable,
        make: Callable[[], Sequence[Callable[..., Any]]],
        *,
        once: Sequence[str] = (),
    ) -> tuple[Program, ...]:
        """Return several compiled functions that are made together, as `get` does one; `once` are
        the names of those that run a few times only."""

        def compiled() -> tuple[Program, ...]:
            names = [(f"{purpose}: {f.__name__}", f) for f in make()]
            return tuple(
                Program(name, structure, _compiled(name, f, f.__name__ in once))
                for name, f in names
            )

        return self._found((purpose, structure), compiled)

    def keep(self, purpose: str, structure: Hashable, make: Callable[[], Any]) -> Program:
        """Return the same as `get` for a function of arrays that sees to its compilation itself."""
        key = (purpose, structure)
        return self._found(key, lambda: (Program(purpose, structure, make()),))[0]

    def _found(self, key: _Key, make: Callable[[], tuple[Program, ...]]) -> tuple[Program, ...]:
        with _LOCK:
            found = self._kept.get(key)
        if found is None:
            new = make()
            with _LOCK:
                found = self._kept.setdefault(key, new)
                _make_room(found)
        found[0]._used = next(_TICKS)
        return found

    def release(self) -> None:
        """Let all programs go; those that are asked for again are compiled again."""
        with _LOCK:
            self._kept.clear()

    def describe(self) -> str:
        """Return a line for each program: seconds of compilation, compilations, calls, purpose and
        structure, those that took longest first."""
        lines = [" seconds  compiled   calls"]
        for p in sorted(self, key=lambda p: -p.seconds):
            structure = "" if p.structure is None else f" {p.structure}"
            lines.append(
                f"{p.seconds:8.2f}{p.compilations:10d}{p.calls:8d}  {p.purpose}{structure}"
            )
        return "\n".join(lines)

    def __iter__(self) -> Iterator[Program]:
        with _LOCK:
            return iter([p for programs in self._kept.values() for p in programs])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Programs({', '.join(p.purpose for p in self)})"

    def __reduce__(self) -> tuple[type[Programs], tuple[()]]:
        return Programs, ()


def _look_for_circles() -> None:
    """Let Python find analyses that only refer to themselves, before they are many: to it they are
    a few small objects, and may wait for long."""
    if len(_HOMES) > _ENOUGH[0]:
        gc.collect()
        _ENOUGH[0] = 2 * len(_HOMES) + 8


def at_once(purpose: str, function: Callable[..., Any], *args: Any) -> Any:
    """Return what a pure function returns, compiled for this one call.

    >>> float(at_once("square", lambda x: x**2, 3.0))
    9.0
    """
    return Programs().get(purpose, None, lambda: function, once=True)(*args)


def _compiled(purpose: str, function: Callable[..., Any], once: bool = False) -> Any:
    # A function of its own: JAX keeps what it compiled as long as the function is there.
    def run(*args: Any) -> Any:
        return function(*args)

    run.__name__ = "".join(c if c.isalnum() else "_" for c in purpose)
    return jax.jit(run, compiler_options=quickly() if once else None)


def prepare(function: Any, arguments: tuple[Any, ...]) -> None:
    """Compile a function (of `jax.jit`, or with a method `ahead`) for arguments of such shapes."""
    if hasattr(function, "ahead"):
        function.ahead(*arguments)
    else:
        function.lower(*arguments).compile()


def cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


#: Compiles ahead.
_IDLE = ThreadPoolExecutor(2, "compiles ahead")


def quickly() -> dict[str, Any] | None:
    """Return the options of a compiler for a program of a few calls: half the time to compile,
    several times that to run."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def _make_room(but: tuple[Program, ...]) -> None:
    """Let the programs go that were not used for longest."""
    held = [
        (kept[0]._used, sum(max(p.compilations, 1) for p in kept), home, key)
        for home in _HOMES
        for key, kept in home._kept.items()
    ]
    excess = sum(n for _, n, *_ in held) - MOST
    for _, n, home, key in sorted(held, key=lambda x: x[0]):
        if excess <= 0:
            return
        if home._kept[key] is not but:
            del home._kept[key]
            excess -= n


def _heard(event: str, duration_secs: float, **_: Any) -> None:
    call = getattr(_RUNNING, "call", None)
    if call is not None and event.startswith(_COMPILING):
        call.heard(event)


#: JAX tells of each compilation, whether XLA did it or the cache of an earlier run.
_COMPILING = "/jax/core/compile/"
_COMPILED = f"{_COMPILING}backend_compile_duration"

jax.monitoring.register_event_duration_secs_listener(_heard)
