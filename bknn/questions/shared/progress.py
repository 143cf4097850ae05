"""A bar on long work, for people who watch: nothing is drawn into a file or a pipe."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

#: Is told how many more are done.
Progress = Callable[[int], None]


#: How far all is of which a computation is a part, for its bar.
_WHOLE: ContextVar[str] = ContextVar("whole", default="")


@contextlib.contextmanager
def part(text: str) -> Iterator[None]:
    """Let bars begin with how far all is, as in "2 of 4"."""
    before = _WHOLE.set(f"{text}, ")
    try:
        yield
    finally:
        _WHOLE.reset(before)


class Bar:
    """A bar, called with how many more are done, by any thread.

    Args:
        shown: tqdm's.
        what: is done.
        total: how many there are to do, if known.
    """

    def __init__(self, shown: Any, what: str, total: int | None) -> None:
        self._shown, self._what, self._total = shown, what, total
        self._lock = threading.Lock()
        self._running = False

    def __call__(self, more: int) -> None:
        with self._lock:
            if self._running:
                self._shown.update(more)
                return
            self._running = True
            before = self._shown.n
            self._shown.reset(self._total)
            self._shown.initial = self._shown.n = self._shown.last_print_n = before + more
            self._shown.set_description(self._what)

    def kept(self, more: int) -> None:
        """Take note of what was done before: it counts, but not for the rate."""
        with self._lock:
            self._shown.initial += more
            self._shown.n += more
            self._shown.last_print_n += more
            self._shown.refresh()

    def say(self, text: str) -> None:
        """Show something more, such as the effective draws so far."""
        with self._lock:
            self._shown.set_postfix_str(text)

    def expect(self, total: int) -> None:
        """Say how many there are to do, where that is known later, or changes."""
        with self._lock:
            self._total = self._shown.total = total
            self._shown.refresh()


@contextlib.contextmanager
def bar(what: str, total: int | None = None, unit: str = "fits") -> Iterator[Bar | None]:
    """Show how far a computation is, if standard error is a terminal.

    Nothing is done before the program is compiled, so until the first report the bar says
    "compiling"; the clock starts at that report, and the rate is that of the computation alone,
    without what an earlier run did.

    Args:
        what: is done, a word or two.
        total: how many there are to do, if known; more may come.
        unit: of what is counted.

    Yields:
        What is to be told how many more are done, by any thread; None where nobody watches.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    what = f"{_WHOLE.get()}{what}"
    shown = tqdm(
        total=total,
        desc=f"{what}: compiling",
        unit=f" {unit}",
        leave=False,
        ncols=min(100, shutil.get_terminal_size().columns),
        file=sys.stderr,
    )
    with shown, quiet():
        yield Bar(shown, what, total)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Do not say in words that something compiles: a bar does, or nobody watches."""
    log = logging.getLogger("bknn")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
