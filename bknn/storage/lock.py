"""One process at a time writes in a folder.

The lock is the kernel's, on the file `lock` of the folder: it ends with the process, however that
ends, and holds for all processes that see the file, in whatever containers of a machine they are.
What the file says is for people, and that it is there means nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import stat
import sys
import time
from pathlib import Path

from bknn import errors
from bknn.storage import files
from bknn.storage.checkpoints import refused

#: Name of the file.
LOCK = "lock"

#: What a process writes into it.
_OWNER = re.compile(rb"process \d+ on [\w.-]+ since [\d :-]{19}\n")

#: Of file systems that have no locks.
_NONE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

#: Folders in which this process writes.
_HELD: set[Path] = set()


class Lock:
    """Nobody else writes in a folder as long as this is entered.

    Whoever enters finds the folder without what a process that was killed had not completed. A
    process may enter a lock that it holds.

    Raises, when it is entered:
        RunError: another process works there, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._file = -1

    @property
    def held(self) -> bool:
        """Whether this process has the lock."""
        return self.path.parent.resolve() in _HELD

    def __enter__(self) -> Lock:
        if self.held:
            return self
        while not self._taken():
            pass
        self._folder = self.path.parent.resolve()
        _HELD.add(self._folder)
        files.remove_leftovers(self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file < 0:
            return
        _HELD.discard(self._folder)
        # Before it is released: whoever comes next then has a file of its own.
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1

    def _taken(self) -> bool:
        """Take the lock of the file that is there, or of a new one; False if it was removed."""
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as problem:
            if problem.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise self._in_the_way() from None
            raise refused(self.path, problem) from None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise self._in_the_way()
            self._take(file)
            if not self._is(file):
                os.close(file)
                return False
            with contextlib.suppress(OSError):  # of a full disk; it is for people only
                os.ftruncate(file, 0)
                os.pwrite(file, _owner(), 0)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return True

    def _take(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno in _NONE:
                print(
                    f"bknn: the file system of {self.path.parent} has no locks; see to it that no "
                    "other process writes there.",
                    file=sys.stderr,
                )
                return
            if problem.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise refused(self.path, problem) from None
            text = os.pread(file, 400, 0)
            who = text.decode().strip() if _OWNER.fullmatch(text) else "another process"
            raise errors.RunError(
                f"{self.path.parent} is in use by {who}; two would write over each other, so wait "
                "until it has ended, or choose another --out."
            ) from None

    def _is(self, file: int) -> bool:
        """Whether the file still stands in the folder."""
        try:
            return os.path.samestat(os.fstat(file), self.path.lstat())
        except FileNotFoundError:
            return False

    def _in_the_way(self) -> errors.RunError:
        return errors.RunError(
            f"{self.path} is a folder, a link or a device, and the lock of {self.path.parent} is a "
            "plain file of this name; remove it, or choose another --out."
        )


def _owner() -> bytes:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode()
