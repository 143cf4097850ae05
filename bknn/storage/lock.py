"""One process at a time works in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from bknn import errors
from bknn.storage.checkpoints import refused

#: A lock that nobody can read is left over from a crash if it is older (seconds).
_UNREADABLE = 10.0


class Lock:
    """A file that says which process works in a folder, for as long as it does.

    Raises, when it is entered:
        RunError: another process works there, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"

    def __enter__(self) -> Lock:
        while not self._taken():
            self._examine()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.path.unlink(missing_ok=True)

    def _taken(self) -> bool:
        """Make the file, if there is none."""
        own = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "birth": _birth(os.getpid()),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        try:
            with self.path.open("x", encoding="utf-8") as file:
                file.write(json.dumps(own) + "\n")
        except FileExistsError:
            return False
        except OSError as problem:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
            raise refused(self.path, problem) from None
        return True

    def _examine(self) -> None:
        """Remove a lock whose process is gone; refuse any other."""
        try:
            file = self.path.open(encoding="utf-8")
        except FileNotFoundError:
            return
        with file:
            # Of several that find it left over, one removes it; the others see that it is gone.
            with contextlib.suppress(OSError):  # not on every file system
                fcntl.flock(file, fcntl.LOCK_EX)
            self._judge(file.read(), os.fstat(file.fileno()))

    def _judge(self, text: str, status: os.stat_result) -> None:
        try:
            owner: dict[str, Any] = json.loads(text)
            who = f"process {owner['pid']} on {owner['host']} since {owner['since']}"
        except (ValueError, KeyError, TypeError):
            owner, who = {}, "a process that left no name"
        if owner.get("host") == socket.gethostname():
            gone = _birth(int(owner["pid"])) != owner["birth"]
            advice = "wait until it has ended, or choose another --out"
        else:
            gone = not owner and time.time() - status.st_mtime > _UNREADABLE
            advice = f"wait until it has ended; if it is gone, delete {self.path}"
        if not gone:
            raise errors.RunError(
                f"{self.path.parent} is in use by {who}; two would write over each other, so "
                f"{advice}."
            )
        try:
            if self.path.stat().st_ino != status.st_ino:
                return
        except FileNotFoundError:
            return
        print(
            f"bknn: {self.path} was left by {who}, which is gone; the run goes on without it.",
            file=sys.stderr,
        )
        self.path.unlink(missing_ok=True)


def _birth(pid: int) -> str | None:
    """Return when a process began, in some unit; None if there is no such process.

    A number is given to a new process when the old one is gone; the time tells them apart.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it is someone else's
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    state, *numbers = text.rpartition(")")[2].split()
    return None if state == "Z" else numbers[18]
