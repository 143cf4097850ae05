"""Files that are complete or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file to write, which takes the place of `path` when it is complete.

    A reader sees the old file or the new one, whole, even if the power fails in between.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
        commit(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def commit(temporary: Path, path: Path) -> None:
    """Bring a file to the disk, then to its place. All results and checkpoints go through here."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
