"""Programs that depend on known content, kept between runs as the machine code that XLA made.

JAX finds what it compiled before by the program itself, so it has to trace and lower it again in
each run, which takes longer than most fits. A program that is made of nothing but its code and of
content with a checksum is found by these, and runs at once.

Of use to the command line only, which keeps compiled programs (`bknn.storage.compiled`), and on one
device; elsewhere these are plain compiled functions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import platform
import sys
import threading
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import numpy as np
from jax.experimental import serialize_executable

from bknn.storage import compiled
from bknn.storage.machine import processor


def lasting(
    function: Callable[..., Any],
    content: str,
    compiler_options: dict[str, Any] | None = None,
) -> Callable[..., Any]:
    """Compile a pure function of trees of arrays, once for all runs.

    Args:
        function: what is compiled.
        content: tells it from all others: its purpose, and a checksum of everything in it but the
            code of bknn.
        compiler_options: as for `jax.jit`.
    """
    folder = compiled.kept_in()
    if folder is None or jax.device_count() > 1:
        return jax.jit(function, compiler_options=compiler_options)
    return _Lasting(function, content, compiler_options, compiled.Checked(folder))


class _Lasting:
    def __init__(
        self,
        function: Callable[..., Any],
        content: str,
        options: dict[str, Any] | None,
        cache: compiled.Checked,
    ) -> None:
        self._jitted = jax.jit(function, compiler_options=options)
        self._content, self._options, self._cache = content, options, cache
        self._known: dict[Hashable, Callable[..., Any]] = {}
        #: Loaded, and not called so far.
        self._untried: set[Hashable] = set()
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        shapes = _shapes(arguments)
        if shapes not in self._known:
            self._find(shapes, arguments)
        if shapes in self._untried:
            self._untried.discard(shapes)
            try:
                return self._known[shapes](*arguments)
            except Exception:  # of another machine, say: whatever it is, compiling helps
                self._compile(shapes, arguments)
        return self._known[shapes](*arguments)

    def ahead(self, *arguments: Any) -> None:
        """Find or compile what arguments of such shapes need."""
        self._find(_shapes(arguments), arguments)

    def _find(self, shapes: Hashable, arguments: tuple[Any, ...]) -> None:
        with self._lock:
            if shapes in self._known:
                return
            found = _loaded(self._cache, self._key(shapes))
            if found is None:
                self._compile(shapes, arguments)
            else:
                self._known[shapes] = found
                self._untried.add(shapes)

    def _compile(self, shapes: Hashable, arguments: tuple[Any, ...]) -> None:
        with compiled.anew():
            self._known[shapes] = new = self._jitted.lower(*arguments).compile()
        _keep(self._cache, self._key(shapes), new)

    def _key(self, shapes: Hashable) -> str:
        """Return a checksum of all that the machine code depends on."""
        known = [self._content, repr(self._options), repr(shapes), _code(), *_machine()]
        return f"program-{hashlib.sha256('|'.join(known).encode()).hexdigest()}"


def _shapes(arguments: tuple[Any, ...]) -> Hashable:
    leaves, tree = jax.tree.flatten(arguments)
    types = (x.dtype if hasattr(x, "dtype") else np.result_type(x) for x in leaves)
    return tree, *zip(map(np.shape, leaves), types, strict=True)


def _loaded(cache: compiled.Checked, key: str) -> Callable[..., Any] | None:
    """Return the program that was kept under a key, None if there is none that can be used."""
    stored = cache.get(key)
    if stored is None:
        return None
    try:
        program, inner, outer = pickle.loads(stored)
        loaded: Callable[..., Any] = serialize_executable.deserialize_and_load(
            program, inner, outer, execution_devices=jax.devices()[:1]
        )
    except Exception:  # of another version, say
        return None
    return loaded


def _keep(cache: compiled.Checked, key: str, program: jax.stages.Compiled) -> None:
    try:
        stored = pickle.dumps(serialize_executable.serialize(program))
    except Exception:  # some backends cannot; the next run compiles again
        return
    cache.put(key, stored)


@cache
def _code() -> str:
    """Return a checksum of the code of bknn."""
    text = hashlib.sha256()
    for name in ("bknn", "bknn.models", "bknn.inference"):
        spec = importlib.util.find_spec(name)
        for folder in (spec and spec.submodule_search_locations) or ():
            for file in sorted(Path(folder).rglob("*.py")):
                text.update(file.read_bytes())
    return text.hexdigest()


def _machine() -> tuple[str, ...]:
    """Return what else tells two programs apart: versions, settings, the processor."""
    versions = (sys.version, jax.__version__, jaxlib.version.__version__, np.__version__)
    settings = (repr(jax.config.values), os.environ.get("XLA_FLAGS", ""))
    return (*versions, *settings, platform.machine(), processor(), jax.default_backend())
