"""What a process needs before it computes: double precision, and a place for compiled programs.

JAX is imported when it is needed: the command line answers some questions without it.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from bknn import errors
from bknn.storage import compiled


def enable_x64() -> None:
    """Let JAX compute in double precision, which likelihoods need; call it first."""
    import jax

    jax.config.update("jax_enable_x64", True)


def require_x64() -> None:
    """Raise PrecisionError unless JAX computes in double precision."""
    import jax

    if not jax.config.read("jax_enable_x64"):
        raise errors.PrecisionError(
            "JAX runs in single precision, in which likelihood differences of order 1 drown in "
            "rounding; call bknn.enable_x64() before building anything."
        )


def prepare() -> None:
    """Double precision, compiled programs kept between runs, no detour through another thread."""
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    enable_x64()
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        try:
            compiled.keep(Path(home) / "bknn" / "xla")
        except errors.DataError as problem:
            warnings.warn(str(problem), errors.DataWarning, stacklevel=2)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
