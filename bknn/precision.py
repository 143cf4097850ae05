"""What a process needs before it computes: double precision, and a place for compiled programs.

JAX is imported when it is needed: the command line answers some questions without it.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from bknn import errors
from bknn.storage import compiled, memory

#: Bytes of addresses without which XLA cannot start its threads: some, and more for each core.
#: With two cores a fit needs 1.8e9; it ends the process at 1.5e9.
_ADDRESSES, _ADDRESSES_OF_A_CORE = 1_600_000_000, 150_000_000


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


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def prepare() -> None:
    """Double precision, compiled programs kept between runs, no detour through another thread.

    Raises:
        ParameterError: too small an address space (`ulimit -v`), in which XLA would end the process
            without a word.
    """
    least = _ADDRESSES + _ADDRESSES_OF_A_CORE * _cores()
    if (there := memory.addresses()) < least:
        raise errors.ParameterError(
            f"the process may have {memory.in_words(there)} of addresses (ulimit -v), and what "
            f"compiles needs {memory.in_words(least)} at least, though it uses a fraction of them; "
            f"raise the limit ('ulimit -v {least // 1024}' or more) or lift it, and limit the "
            "memory itself where that is what you want."
        )
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
