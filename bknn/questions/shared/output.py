"""What a command leaves behind: `result.json`, arrays, figures, and a line that names them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.questions.shared.files import write_json

#: Writes a file at a path.
Writer = Callable[[Path], object]

#: Draws into a folder and returns what it wrote.
Drawer = Callable[[Path], list[Path]]


def write(
    out: Path,
    content: Mapping[str, Any],
    arrays: Mapping[str, Writer],
    figures: Drawer | None,
) -> None:
    """Write `result.json`, then the arrays, then the figures; print the names."""

    names = ["result.json"]
    with writing(out):
        write_json(content, out / "result.json")
        for name, writer in arrays.items():
            writer(out / name)
            names.append(name)
        if figures is not None:
            names += [path.name for path in figures(out)]
    print(f"written          {out}/: {', '.join(names)}")


def directory(path: str | None) -> Path | None:
    """Make the output directory before anything is computed."""
    if path is None:
        return None
    out = Path(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise errors.DataError(
            f"{out}: cannot be made a directory ({problem.strerror}); choose another --out."
        ) from None
    return out


@contextlib.contextmanager
def writing(where: Path) -> Iterator[None]:
    """Say in a sentence what the file system refuses."""
    try:
        yield
    except OSError as problem:
        name = Path(problem.filename2 or problem.filename or where)
        raise errors.DataError(
            f"{name}: cannot be written ({problem.strerror}); make room there, or choose another "
            "--out."
        ) from None
