"""Ctrl-C and SIGTERM end a command within three seconds, wherever it is.

Python raises KeyboardInterrupt in the main thread between two of its own instructions. While XLA
compiles there are none for seconds, and what is raised in a callback of the garbage collector, as
JAX has one, is dropped. So a thread, woken by the signal itself, has the exception raised again,
and ends the process if that does not help. Nothing is torn by it: files are complete or not there,
and the lock of a folder ends with the process.

This is there before anything else is imported, so it imports nothing but the standard library.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

#: Seconds that a command has to come to an end by itself.
GRACE = 2.0

#: Commands that keep what is done in --out; `bknn run` has one without being told.
RESUMED = ("run", "sample", "evidence")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """What happens on Ctrl-C and SIGTERM while this is entered.

    Args:
        words: of the command.
        last: whether nothing comes after it in this process.

    Attributes:
        number: of the signal that came, None if none did.
    """

    def __init__(self, words: Sequence[str], last: bool) -> None:
        self.number: int | None = None
        self._words, self._last = words, last
        self._over, self._lock = threading.Event(), threading.Lock()
        self._told = self._dropped = self._again = self._ended = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is not threading.main_thread():
            return self  # where Python takes no signals
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        threading.Thread(target=self._watch, daemon=True, name="interrupts").start()
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as it is behind nohup
                self._before[number] = signal.signal(number, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        if self._last or not hasattr(self, "_hook"):
            return
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(self._wakeup)
        sys.unraisablehook = self._hook
        os.write(self._write, b"\0")
        self._over.set()

    def done(self) -> None:
        """Take note that the command has ended: signals come too late to interrupt it."""
        self._ended = True
        if self._last:
            # As Python would not heed them while it ends, and they would kill it.
            for number in self._before:
                signal.signal(number, signal.SIG_IGN)

    def code(self) -> int:
        """Say that the command was interrupted, and return its exit code."""
        number = self.number or signal.SIGINT
        if self._first():
            with contextlib.suppress(OSError):
                print(self.sentence(), file=sys.stderr)
        return 128 + number

    def sentence(self) -> str:
        """Return what is said: how to go on."""
        words = list(self._words)
        out = any(word.split("=")[0] == "--out" for word in words)
        if words[:1] == ["run"] or (words and words[0] in RESUMED and out):
            at = words.index("--") if "--" in words else len(words)
            words[at:at] = [] if "--resume" in words else ["--resume"]
            what = "what is done is kept; go on with"
        else:
            what = "nothing is kept; begin again with"
        return f"bknn: interrupted; {what}: {shlex.join(['bknn', *words])}"

    def _first(self) -> bool:
        """Whether nothing was said so far."""
        with self._lock:
            told, self._told = self._told, True
        return not told

    def _raise(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt; once, so that what cleans up is not interrupted."""
        if (self.number is None and not self._ended) or self._again:
            self.number, self._again = self.number or number, False
            raise KeyboardInterrupt

    def _unraisable(self, what: Any) -> None:
        """Take note of an interrupt that is dropped: it is raised again, a little later."""
        if self.number is not None and issubclass(what.exc_type, KeyboardInterrupt):
            self._dropped = True
        else:
            self._hook(what)

    def _watch(self) -> None:
        """Wait for a signal, and then for the end."""
        while (byte := os.read(self._read, 1)) and byte[0] not in (0, *_SIGNALS):
            pass
        for _ in range(int(GRACE / 0.05)):
            if self._over.wait(0.05):
                os.close(self._read)
                os.close(self._write)
                return
            if self._dropped:
                self._dropped, self._again = False, True
                _thread.interrupt_main(signal.Signals(byte[0]))
        self.number = self.number or byte[0]
        if self._first():
            with contextlib.suppress(OSError):
                os.write(2, f"{self.sentence()}\n".encode())
        os._exit(128 + self.number)
