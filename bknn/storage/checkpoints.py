"""Checkpoints: pieces of a computation on disk, one file each, complete or not there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from bknn import errors
from bknn.storage import files
from bknn.storage.store import Arrays

_HEAD = b"bknn checkpoint 1\n"


class Checkpoints:
    """A `bknn.storage.store.Store` in a folder.

    A file is a line that says what it is, the checksum of the rest, and NumPy's `npz`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        path = self._path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise errors.RunError(f"{path}: cannot be read ({problem.strerror}).") from None
        head, body = content[: len(_HEAD) + 65], content[len(_HEAD) + 65 :]
        if head != _head(body):
            return _damaged(path, "its checksum is wrong")
        try:
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except (ValueError, OSError, BadZipFile) as problem:
            return _damaged(path, str(problem))

    def put(self, name: str, arrays: Arrays) -> None:
        body = io.BytesIO()
        np.savez(body, allow_pickle=False, **dict(arrays))
        write(self._path(name), _head(body.getvalue()) + body.getvalue())

    def forget(self, but: str) -> None:
        """Remove everything, but for what has this name at its end."""
        for folder, _, names in os.walk(self.folder, topdown=False):
            with contextlib.suppress(OSError):  # not empty
                for name in names:
                    if name != f"{but}.ckpt":
                        (Path(folder) / name).unlink()
                Path(folder).rmdir()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.ckpt"


def _damaged(path: Path, why: str) -> dict[str, np.ndarray] | None:
    print(f"bknn: {path} is damaged ({why}); what it held is computed again.", file=sys.stderr)
    return None


def _head(body: bytes) -> bytes:
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n"


def write(path: Path, content: bytes) -> None:
    """Write a file of a run, whole.

    Raises:
        RunError: the file system refuses; what was there stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as problem:
        raise refused(path, problem) from None


def refused(path: Path, problem: OSError) -> errors.RunError:
    """Return the error for what the file system refuses."""
    return errors.RunError(
        f"{path}: cannot be written ({problem.strerror or problem}). What was done before is kept: "
        "see to it that there is room and permission, and go on with --resume."
    )
