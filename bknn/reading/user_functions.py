"""Functions of a user: taken from Python files that the user named, and from nowhere else.

A text in a card may come from anybody, so a text alone never decides which code runs.
"""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bknn import errors

#: How a text names a function: the name of a file without `.py`, and of a function in it.
_FORM = re.compile(r"user:([A-Za-z_]\w*):([A-Za-z_]\w*)")


def call(text: str, files: Sequence[str | Path]) -> Any:
    """Return what the function that a text names returns, called without arguments.

    Args:
        text: `user:module:function`, for the function of the file `module.py`.
        files: Python files that the user named.

    Raises:
        ParameterError: a text of another form, a file that was not named, or whatever file or
            function raise, with the line.
        UnknownNameError: the file has no such function; close matches are named.
    """
    module, function = _parts(text)
    found = [path for path in map(Path, files) if path.name == f"{module}.py"]
    if not found:
        raise errors.ParameterError(
            f"{text!r} names a function of {module}.py, and no such file was given: name it with "
            f"--functions {module}.py, or lay it beside the card; in Python, give the object "
            "itself in place of a text."
        )
    made = getattr(_loaded(found[0], text), function, None)
    if not callable(made):
        own = vars(_loaded(found[0], text))
        known = [n for n, x in own.items() if callable(x) and not n.startswith("_")]
        raise errors.unknown("function", function, known, str(found[0]))
    try:
        return made()
    except (Exception, SystemExit) as problem:
        raise _raised(text, found[0], problem) from None


def beside(folder: Path, texts: Iterable[str]) -> list[Path]:
    """Return the files in a folder whose functions are named by texts, those that exist."""
    names = dict.fromkeys(m[1] for text in texts if (m := _FORM.fullmatch(text.strip())))
    return [path for name in names if (path := folder / f"{name}.py").is_file()]


def checksums(files: Iterable[str | Path]) -> dict[str, str]:
    """Return {name of the file: SHA-256 of its content}."""
    return {Path(f).name: hashlib.sha256(_content(Path(f))).hexdigest() for f in files}


def is_one(text: object) -> bool:
    """Return whether something is a text that names a function of a user."""
    return isinstance(text, str) and text.strip().startswith("user:")


def failed(text: str, problem: BaseException) -> errors.ParameterError:
    """Return the error for what a function of a user, or what it returned, raised."""
    said = " ".join(str(problem).split())[:200].rstrip(".")
    kind = type(problem).__name__
    return errors.ParameterError(f"{text!r} raised {kind}{f': {said}' if said else ''}.")


def _parts(text: str) -> tuple[str, str]:
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise errors.ParameterError(
            f"{text!r} is not of the form user:module:function, for example "
            "user:my_priors:branching_ratio for a function of the file my_priors.py."
        )
    return match[1], match[2]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise errors.ParameterError(f"{path}: cannot be read ({problem.strerror}).") from None


def _loaded(path: Path, text: str) -> ModuleType:
    return _module(path.resolve(), _content(path), text)


@cache
def _module(path: Path, content: bytes, text: str) -> ModuleType:
    """Return a file as a module; the same content is run once.

    What was read is what runs: Python's own import would take bytecode of an earlier content, if
    the file had the same length and second.
    """
    # Under a name of its own, so that a file json.py takes no other module's place.
    name = f"bknn_user_{path.stem}_{hashlib.sha256(content).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(content, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as problem:
        del sys.modules[name]
        raise _raised(text, path, problem) from None
    return module


def _raised(text: str, path: Path, problem: BaseException) -> errors.ParameterError:
    """Return the error for what a file or a function in it raised, with the line."""
    steps = traceback.extract_tb(problem.__traceback__)
    lines = [s.lineno for s in steps if Path(s.filename).resolve() == path.resolve()]
    line = problem.lineno if isinstance(problem, SyntaxError) else (lines or [None])[-1]
    where = f" at line {line} of {path}" if line else f" in {path}"
    return errors.ParameterError(str(failed(text, problem)).removesuffix(".") + f"{where}.")
