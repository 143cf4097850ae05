"""How much memory there is."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path


def free() -> float:
    """Return how many bytes this process may still take, infinity if that is not known.

    Of what the machine has free, the control group of a container allows, and `ulimit -v` leaves.
    """
    found = [float("inf")]
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(1024.0 * float(line.split()[1]))
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # "max", say
        most, now = ((group / f"memory.{x}").read_text() for x in ("max", "current"))
        found.append(float(most) - float(now))
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]
        found.append(addresses() - float(pages) * os.sysconf("SC_PAGE_SIZE"))
    return max(min(found), 0.0)


def addresses() -> float:
    """Return how many bytes of addresses a process may have (`ulimit -v`), infinity for all."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else float(limit)


def in_words(number: float) -> str:
    """Return a number of bytes for people.

    >>> in_words(3e9)
    '3 GB'
    """
    return f"{number / 1e9:.3g} GB" if number >= 1e9 else f"{number / 1e6:.3g} MB"
