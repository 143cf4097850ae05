"""Files that are complete or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Names of files that are being written.
_PART = ".bknn-{}.part"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file to write, which takes the place of `path` when it is complete.

    A reader sees the old file or the new one, whole, even if the power fails in between. Folders
    above it are made. A link at `path` is replaced; what it points to is left alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _made(path)
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


def _made(path: Path) -> Path:
    """Make an empty file beside another, with the rights of the user's umask.

    Nobody can guess its name, and nothing that is there is opened, so nobody can put a link in its
    way.
    """
    temporary = path.with_name(_PART.format(secrets.token_hex(8)))
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as problem:
        problem.filename = str(path)  # the one that the user knows
        raise
    return temporary


def clear(folder: Path) -> None:
    """Remove what a killed process left half written in a folder, for who is alone there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     left = Path(name) / ".bknn-0123456789abcdef.part"
    ...     left.touch()
    ...     clear(Path(name))
    ...     left.exists()
    False
    """
    for path in folder.glob(_PART.format("*")):
        path.unlink(missing_ok=True)


def reserve(path: Path, size: int) -> None:
    """Look whether there is room for a file, which is left empty.

    Raises:
        OSError: there is none.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(0)


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed had not yet completed in a folder.

    Only for whoever alone writes there.
    """
    for path in folder.glob(_PART.format("*")):
        with contextlib.suppress(OSError):
            path.unlink()
