"""On what a computation runs: versions of what computes, devices, the processor."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

#: On whose versions digits depend.
PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "optax")


def versions() -> dict[str, Any]:
    """Return the versions of bknn and of all that it computes with, and the device."""
    import jax

    return {
        "version": metadata.version("bknn"),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "device": jax.devices()[0].device_kind,
    }


@cache
def machine() -> dict[str, Any]:
    """Return all on which the last digits of a computation may depend."""
    import jax

    found = {name: x for name, x in versions().items() if name != "version"}
    count = {"devices": jax.device_count(), "processors": os.cpu_count()}
    return {**found, **count, "processor": processor().partition("\n")[0]}


@cache
def processor() -> str:
    """Return what the processor is, and what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = ("model name", "flags", "Features")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(names)))
