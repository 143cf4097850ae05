"""What XLA compiled, kept between runs: in a private folder, and looked at before it is used.

JAX takes what it finds in its cache for the program that it asked for, and runs it. So the folder
belongs to the user alone, and an entry says which program it is of, with a checksum of both: one
that was damaged, or stands under the name of another, is compiled again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bknn import errors

#: Bytes of the checksum that an entry begins with.
_DIGEST = hashlib.sha256().digest_size


def private(folder: Path) -> Path:
    """Return a folder that is there, and in which nobody but the user writes or reads.

    Raises:
        DataError: it belongs to somebody else, others may write in it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
        mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
        if not (stat.S_ISDIR(found.st_mode) and mine and not found.st_mode & 0o022):
            raise errors.DataError(
                f"compiled programs are not kept between runs: {folder} is not a folder in which "
                "you alone can write, so what is in it may be anybody's. Remove it, or name "
                "another one in JAX_COMPILATION_CACHE_DIR."
            )
        folder.chmod(0o700)
    except OSError as problem:
        raise errors.DataError(
            f"compiled programs are not kept between runs: {folder} cannot be used "
            f"({problem.strerror}). Name another folder in JAX_COMPILATION_CACHE_DIR."
        ) from None
    return folder


class Checked:
    """The cache that JAX reads from and writes to, an entry a file.

    Args:
        folder: in which the entries are.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder

    def _file(self, key: str) -> Path:
        return self._path / f"{key}.xla"

    def get(self, key: str) -> bytes | None:
        """Return what was put under a key, None if there is nothing, or something else."""
        if getattr(_NOW, "anew", False):
            return None
        try:
            content = self._file(key).read_bytes()
        except OSError:
            return None
        value = content[_DIGEST:]
        return value if content[:_DIGEST] == _checksum(key, value) else None

    def put(self, key: str, value: bytes) -> None:
        """Keep bytes under a key. A reader sees all of them or none."""
        if getattr(_NOW, "anew", False):
            return
        part = self._file(key).with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            part.write_bytes(_checksum(key, value) + value)
            part.replace(self._file(key))
        except OSError:
            # A full disk, say: then the next run compiles again.
            part.unlink(missing_ok=True)

    def clear(self) -> None:
        """Nothing is remembered besides the files."""


def _checksum(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + value).digest()


#: Whether a thread has all compiled anew.
_NOW = threading.local()

#: The folder that `keep` was told.
_KEPT: list[Path] = []


@contextmanager
def anew() -> Iterator[None]:
    """Have JAX compile what it may have compiled before, and keep nothing of it: what comes out of
    its cache cannot be stored again (jaxlib 0.10: some of its functions are missing)."""
    _NOW.anew = True
    try:
        yield
    finally:
        _NOW.anew = False


def kept_in() -> Path | None:
    """Return the folder in which compiled programs are kept, None if they are not."""
    return _KEPT[-1] if _KEPT else None


def keep(folder: Path) -> None:
    """Let JAX keep what it compiles in a private folder, and check what it finds there."""
    import jax
    from jax._src import compilation_cache as jax_cache

    _KEPT[:] = [private(folder)]
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # The place at which JAX itself wraps a cache that verifies.
    setattr(jax_cache, "get_file_cache", lambda path: (Checked(Path(path)), path))  # noqa: B010
