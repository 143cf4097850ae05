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
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import numpy as np
from jax.experimental import serialize_executable

from bknn.storage import compiled


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
    jitted = jax.jit(function, compiler_options=compiler_options)
    folder = compiled.kept_in()
    if folder is None or jax.device_count() > 1:
        return jitted
    known: dict[Hashable, Callable[..., Any]] = {}

    def run(*arguments: Any) -> Any:
        leaves, tree = jax.tree.flatten(arguments)
        shapes = (tree, *((np.shape(x), np.result_type(x)) for x in leaves))
        program = known.get(shapes)
        if program is not None:
            return program(*arguments)
        cache = compiled.Checked(folder)
        key = f"program-{_key(content, compiler_options, shapes)}"
        found = _loaded(cache, key)
        if found is not None:
            try:
                result = found(*arguments)
            except Exception:  # of another machine, say: whatever it is, compiling helps
                found = None
            else:
                known[shapes] = found
                return result
        with compiled.anew():
            known[shapes] = new = jitted.lower(*arguments).compile()
        _keep(cache, key, new)
        return new(*arguments)

    return run


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


def _key(content: str, options: dict[str, Any] | None, shapes: Hashable) -> str:
    """Return a checksum of all that the machine code depends on."""
    known = "\n".join([content, repr(options), repr(shapes), _code(), *_machine()])
    return hashlib.sha256(known.encode()).hexdigest()


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
    return (*versions, *settings, platform.machine(), _processor(), jax.default_backend())


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = ("model name", "flags", "Features")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(names)))
