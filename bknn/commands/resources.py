"""What a machine does not have enough of: memory, address space, room behind standard output."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
from pathlib import Path
from typing import Any, TextIO

from bknn.storage.memory import addresses, free, in_words

#: Exit code of a program whose reader has left, as the shell has it: 128 + SIGPIPE.
READER_LEFT = 141


class Patient:
    """A stream that takes what it cannot write, so that a command still does what it was asked to.

    Attributes:
        problem: why it could not, None if it could.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.problem: OSError | None = None

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        if self.problem is None:
            try:
                return self._stream.write(text)
            except OSError as problem:
                self._give_up(problem)
        return len(text)

    def flush(self) -> None:
        """Bring everything to its place, if that is possible."""
        if self.problem is None:
            try:
                self._stream.flush()
            except OSError as problem:
                self._give_up(problem)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, problem: OSError) -> None:
        """Let what is still in its buffer go nowhere, or Python would complain at the end."""
        self.problem = problem
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def nowhere() -> TextIO:
    """Return a stream in which everything is lost."""
    return Path(os.devnull).open("w", encoding="utf-8")


def lacking(problem: BaseException) -> str | None:
    """Return in a sentence what there is not enough of, None if a problem is another one."""
    if isinstance(problem, OSError) and problem.errno in _FULL:
        where = f"{problem.filename}: " if problem.filename else ""
        return (
            f"{where}a file cannot be written ({problem.strerror}); make room there. Files that "
            "were complete are kept."
        )
    text = " ".join(str(problem).split())
    thread = "can't start new thread" in text
    if not (
        isinstance(problem, MemoryError)
        or "RESOURCE_EXHAUSTED" in text
        or "bad_alloc" in text
        or (isinstance(problem, OSError) and problem.errno == errno.ENOMEM)
        or (isinstance(problem, ImportError) and _MAPPED.search(text))
        or thread
    ):
        return None
    number, shape = _BYTES.search(text), _SHAPE.search(text)
    asked = "a thread" if thread else "more"
    if number:
        asked = in_words(float(number[1]) * _UNITS[number[2]])
        asked += f" for {shape[0]}" if shape else ""
    there = f", and {in_words(left)} are free" if math.isfinite(left := free()) else ""
    bound, also = "", ""
    if math.isfinite(limit := addresses()):
        bound = f"; the process may have {in_words(limit)} of addresses (ulimit -v)"
        also = "raise that limit, "
    return (
        f"the memory is not enough: {asked} was asked for{there}{bound}. Ask for less at a time "
        f"(points of a grid, toys, draws, chains), {also}or take a larger machine; files that were "
        "complete are kept."
    )


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MAPPED = re.compile("failed to map|annot allocate memory")
_BYTES = re.compile(r"allocat\w+ ([\d.]+) ?(bytes|[KMGTPE]iB)")
_SHAPE = re.compile(r"an array with shape \([^()]*\)")
_UNITS = {"bytes": 1.0, **{f"{x}iB": 1024.0**n for n, x in enumerate("KMGTPE", 1)}}
