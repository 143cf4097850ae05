"""Where a name is looked for: among what comes with bknn, then beside what names it, and nowhere
else."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bknn import errors


def located(
    name: str, folder: Path, *, kind: str = "file", known: Collection[str] = (), label: str = ""
) -> str:
    """Return a name of what comes with bknn as it is, and the path of a file or folder.

    What comes with bknn goes first; `./name` is a file or folder of the same name. What follows a
    file after a colon (the name of a patch) stays.

    Args:
        name: as it was given.
        folder: in which files are looked for, unless the name is an absolute path.
        kind: of what is named, for the sentence.
        known: names of that kind that come with bknn.
        label: where the name was given.

    Raises:
        UnknownNameError, DataError: there is nothing of that name; the sentence says where it was
            looked for.

    >>> located("a", Path("/data"), kind="data set", known=["a"])
    'a'
    """
    if name in known:
        return name
    file, colon, rest = name.partition(":")
    for path, more in ((folder / name, ""), (folder / file, f"{colon}{rest}")):
        if _exists(path):
            return f"./{path}" if str(path) in known else f"{path}{more}"
    before = f"{label}: " if label else ""
    there = f"a file or folder {(folder / file).resolve()}"
    if known and Path(name).name == name and not Path(name).suffix:
        raise errors.UnknownNameError(
            f"{before}{errors.unknown(kind, name, known)} There is no {there.removeprefix('a ')} "
            "either."
        )
    raise errors.DataError(f"{before}no such {kind} {name!r}: it was looked for as {there}.")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, say
        return False
