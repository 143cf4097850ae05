"""What a process needs before it computes: double precision, and a place for compiled programs."""

from __future__ import annotations

import os
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import jax

from bknn import errors

#: With these flags XLA compiles for processors in half the time, at no cost in speed or digits:
#: fusions by the plain emitters, no expensive passes of LLVM. XLA ends the process on a flag that
#: it does not know, so they are for the versions of jaxlib that are known to have them.
_QUICK = ("--xla_cpu_use_fusion_emitters=false", "--xla_llvm_disable_expensive_passes=true")
_KNOWN_BEFORE = (0, 13)


def enable_x64() -> None:
    """Let JAX compute in double precision, which likelihoods need; call it first.

    Where nothing has been computed yet, XLA is told to compile quickly as well (`XLA_FLAGS` in the
    environment). Flags that are there already stay.
    """
    jax.config.update("jax_enable_x64", True)
    _compile_quickly()


def _compile_quickly() -> None:
    """Set XLA's flags; they are read when JAX makes its first array, and no more later."""
    version = tuple(int(x) for x in metadata.version("jaxlib").split(".")[:2])
    if version >= _KNOWN_BEFORE:
        return
    given = os.environ.get("XLA_FLAGS", "").split()
    names = {flag.partition("=")[0] for flag in given}
    # The second one would slow down the kernels of a GPU.
    quick = _QUICK[:1] if _has_gpu_plugin() else _QUICK
    more = [flag for flag in quick if flag.partition("=")[0] not in names]
    os.environ["XLA_FLAGS"] = " ".join([*given, *more])


def _has_gpu_plugin() -> bool:
    return any(find_spec(f"jax_{kind}_plugin") for kind in ("cuda12", "cuda13", "rocm7"))


def require_x64() -> None:
    """Raise PrecisionError unless JAX computes in double precision."""
    if not jax.config.read("jax_enable_x64"):
        raise errors.PrecisionError(
            "JAX runs in single precision, in which likelihood differences of order 1 drown in "
            "rounding; call bknn.enable_x64() before building anything."
        )


def prepare() -> None:
    """Double precision, compiled programs kept between runs, no detour through another thread."""
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    enable_x64()
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "bknn" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
