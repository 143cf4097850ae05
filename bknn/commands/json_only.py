"""`--json`: the result alone on standard output, for programs that read it."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bknn.questions.shared.output import alone

OPTION = "--json"


def answer(main: Callable[[Sequence[str]], int], words: Sequence[str]) -> int:
    """Run a command without what it prints, then print its `result.json`; return its exit code.

    With `--out` everything is written there as well. Errors and warnings go to standard error.

    Args:
        main: runs a command.
        words: of the command, OPTION among them.
    """
    words = [word for word in words if word != OPTION]
    with tempfile.TemporaryDirectory() as folder:
        out = _out(words)
        if out is None:
            out = Path(folder)
            words += ["--out", folder, "--no-figures"]
        path, text = out / "result.json", None
        with alone(str(out)), contextlib.redirect_stdout(io.StringIO()) as said:
            before = _written(out)
            code = main(words)
            if _written(out) != before:
                text = path.read_text(encoding="utf-8")
        if text is not None:
            sys.stdout.write(text)
        elif code == 0:  # --help, --version
            sys.stdout.write(said.getvalue())
    return code


def _out(words: Sequence[str]) -> Path | None:
    """Return the folder that `--out` names."""
    for i, word in enumerate(words):
        if word == "--out" and i + 1 < len(words):
            return Path(words[i + 1])
        if word.startswith("--out="):
            return Path(word.removeprefix("--out="))
    return None


def _written(folder: Path) -> int | None:
    """Return which `result.json` is there: it is a new file whenever it is written."""
    path = folder / "result.json"
    return path.stat().st_mtime_ns if path.is_file() else None
