"""How the benchmarks measure: warm-up first, results awaited, medians of repeats."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

# Every result is awaited here, for us and for the peers. Without the hand-over to another thread a
# program of 20 microseconds starts 10 earlier.
jax.config.update("jax_cpu_enable_async_dispatch", False)


def seconds(function: Callable[..., Any], *arguments: Any, repeat: int = 30) -> tuple[float, float]:
    """Return the median and the smallest time of a call, after one that compiles."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return statistics.median(times), min(times)


def first(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the time of the first call, compilation included."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


def machine() -> str:
    """Return what was measured on."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores{load}, Python {platform.python_version()}, "
        f"jax {jax.__version__} on {jax.devices()[0].device_kind}"
    )
