"""Files that say themselves whether they are what was written: each has a checksum of the rest.

A JSON file has it under its last key, over its values: how they are laid out does not matter. Any
other file, as NetCDF, ends with it; programs that read NetCDF take no notice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bknn.errors import BknnError, DataError
from bknn.reading import user_files

#: The key of the checksum in JSON.
KEY = "sha256"

_BEGIN = b"\nbknn sha256 "

#: Bytes of the last line of files that are not JSON.
_LENGTH = len(_BEGIN) + 65

_CHANGED = (
    "is damaged: its checksum is not that of its content, so something was changed after it was "
    "written"
)
_AGAIN = "compute it again"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a JSON file shall hold, with a checksum of it.

    >>> sealed({"a": 1.5})["sha256"][:8]
    '3b1cb40b'
    """
    return {**content, KEY: _of_values(content)}


def read_json(
    path: Path, then: str = _AGAIN, *, error: type[BknnError] = DataError
) -> dict[str, Any]:
    """Return the content of a JSON file that was sealed, without the checksum.

    Args:
        path: of the file.
        then: ends the sentence about a file that is damaged or not there: what to do.
        error: class of the errors.

    Raises:
        BknnError: of class `error`: there is no such file, it cannot be read, or it was changed.
    """
    try:
        content = user_files.read_json(path, then)
    except DataError as problem:
        told = str(problem).removesuffix(".").removesuffix(f"; {then}")
        raise error(f"{told}; {then}.") from None
    if not isinstance(content, dict) or KEY not in content:
        raise error(
            f"{path} has no checksum: it is none that this version of bknn wrote, or it is "
            f"damaged; {then}."
        )
    if content.pop(KEY) != _of_values(content):
        raise error(f"{path} {_CHANGED}; {then}.")
    return content


def _of_values(content: Mapping[str, Any]) -> str:
    values = json.loads(json.dumps(content))
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def seal(path: Path) -> None:
    """Append its checksum to a file that is complete."""
    digest = _of_bytes(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(_BEGIN + digest + b"\n")


def check(path: Path, then: str = _AGAIN, *, error: type[BknnError] = DataError) -> str:
    """Return the checksum of a file that was sealed; arguments as for `read_json`.

    Raises:
        BknnError: of class `error`: there is no such file, it cannot be read, or it was changed.
    """
    try:
        size = path.stat().st_size - _LENGTH
        with path.open("rb") as file:
            file.seek(max(size, 0))
            end = file.read(_LENGTH)
        found = _of_bytes(path, size) if end.startswith(_BEGIN) else b""
    except OSError as problem:
        raise error(f"{path} cannot be read as a result ({problem.strerror}); {then}.") from None
    if not found:
        raise error(
            f"{path} does not end with its checksum: it was damaged or cut, or it is no result "
            f"that this version of bknn wrote; {then}."
        )
    if end != _BEGIN + found + b"\n":
        raise error(f"{path} {_CHANGED}; {then}.")
    return found.decode()


def _of_bytes(path: Path, size: int) -> bytes:
    """Return the checksum of the first bytes of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(min(size, 2**20)):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest().encode()
