"""Files that a user hands in, opened in one way: JSON, TOML, YAML and tables, gzipped or not.

A file may hold anything. What no honest file has is refused here, in a sentence and before it costs
time or memory: more than a number of bytes (unpacked, if it is gzipped), values nested deeper than
`DEEPEST`, a key given twice, a whole number beyond double precision, aliases of YAML, which can
stand for themselves or for gigabytes.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import tomllib
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from bknn.errors import BknnError, DataError

#: Largest files that are read, in bytes after unpacking. Public workspaces have some 10 MB; TOML
#: and YAML are written by hand, and parsed slowly.
MOST_JSON, MOST_TOML, MOST_YAML = 2**26, 2**20, 2**18

#: Lists and tables within each other; a pyhf workspace has nine.
DEEPEST = 64

_GZIP = b"\x1f\x8b"

Kind = type[BknnError]


def content(path: Path, what: str = "", *, error: Kind = DataError, most: int = MOST_JSON) -> bytes:
    """Return the bytes of a file, unpacked if it is gzipped.

    Args:
        path: of the file.
        what: ends the sentence about a file that is not there: what is expected, what to do.
        error: class of the errors.
        most: largest number of bytes, after unpacking.

    Raises:
        BknnError: of class `error`: no such file, one that cannot be read or unpacked, or one that
            is too large.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except FileNotFoundError:
        raise error(f"{path}: no such file; {what or 'check the path'}.") from None
    except (OSError, ValueError) as problem:  # a name with a NUL is a ValueError
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{path}: cannot be read ({reason}).") from None
    if (raw[:2] == _GZIP or path.suffix == ".gz") and len(raw) <= most:
        raw = unpacked(raw, str(path), error=error, most=most)
    if len(raw) > most:
        raise error(
            f"{path}: larger than {most / 2**20:g} MiB, which is more than what is read here "
            "could be; give the file that was meant."
        )
    return raw


def unpacked(raw: bytes, where: str, *, error: Kind = DataError, most: int = MOST_JSON) -> bytes:
    """Return the content of gzipped bytes, or its first `most` + 1 bytes if there are more."""
    found = b""
    try:
        while raw and len(found) <= most:
            stream = zlib.decompressobj(wbits=31)
            found += stream.decompress(raw, most + 1 - len(found))
            if not stream.eof and len(found) <= most:
                raise zlib.error("it ends too early")
            raw = stream.unused_data.lstrip(b"\0")
    except zlib.error as problem:
        raise error(f"{where}: damaged, cannot be unpacked ({problem}).") from None
    return found


def text(raw: bytes, where: str, *, error: Kind = DataError) -> str:
    """Return bytes as text, without a byte-order mark."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{where}: not a text in UTF-8 ({problem.reason}).") from None


# What a text says ----------------------------------------------------------------------------


def from_json(raw: bytes, where: str, *, error: Kind = DataError) -> Any:
    """Return the value of a JSON text.

    Raises:
        BknnError: of class `error`: what is wrong, with line and column.

    >>> from_json(b'{"a": [1, 2.5]}', "a.json")
    {'a': [1, 2.5]}
    >>> from_json(b'{"a": 1, "a": 2}', "a.json")
    Traceback (most recent call last):
    bknn.errors.DataError: a.json: not usable as JSON (the key 'a' is there twice); correct it.
    """
    given = text(raw, where, error=error)
    try:
        found = json.loads(given, object_pairs_hook=_table)
    except json.JSONDecodeError as problem:
        raise error(
            f"{where}: not JSON (line {problem.lineno}, column {problem.colno}: {problem.msg})."
        ) from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{where}: not usable as JSON ({_why(problem)}); correct it.") from None
    return _checked(found, where, error)


def from_toml(raw: bytes, where: str, *, error: Kind = DataError) -> dict[str, Any]:
    """Return the content of a TOML text.

    Raises:
        BknnError: of class `error`: a syntax error with its line.

    >>> from_toml(b"a = 1\\nb = x", "a.toml")
    Traceback (most recent call last):
    bknn.errors.DataError: a.toml, line 2: a syntax error of TOML (invalid value, column 5).
    """
    # Reading a key takes a time that grows with the square of its dots.
    given = text(raw, where, error=error).replace("\r\n", "\n")
    if _DOTTED.search(given):
        raise error(f"{where}: not usable as TOML (a key has more than {DEEPEST} dots).")
    try:
        found = tomllib.loads(given)
    except tomllib.TOMLDecodeError as problem:
        told = _TOLD.fullmatch(str(problem))
        what, line, column = told.groups() if told else (str(problem), None, None)
        place = f"line {line}" if line else f"line {given.rstrip().count(chr(10)) + 1}"
        what = what[:1].lower() + what[1:]
        raise error(
            f"{where}, {place}: a syntax error of TOML ({what}, {column or 'the end'})."
        ) from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{where}: not usable as TOML ({_why(problem)}); correct it.") from None
    return dict(_checked(found, where, error))


def from_yaml(raw: bytes, where: str, *, error: Kind = DataError) -> Any:
    """Return the value of a YAML text, with PyYAML.

    Raises:
        BknnError: of class `error`: what is wrong, with line and column.
        ModuleNotFoundError: PyYAML is not installed.
    """
    yaml = importlib.import_module("yaml")  # it need not be installed
    given = text(raw, where, error=error)
    try:
        found = yaml.load(given, Loader=_loader())
    except yaml.YAMLError as problem:
        raise error(f"{where}: not YAML: {' '.join(str(problem).split())}.") from None
    except Exception as problem:  # a value that is none, as a date of month 13, raises anything
        raise error(f"{where}: not usable as YAML ({_why(problem)}); correct it.") from None
    return _checked(found, where, error)


def read_json(path: Path, what: str = "", *, error: Kind = DataError) -> Any:
    """Return the value of a JSON file; errors as for `content` and `from_json`."""
    return from_json(content(path, what, error=error), str(path), error=error)


def read_toml(path: Path, what: str = "", *, error: Kind = DataError) -> dict[str, Any]:
    """Return the content of a TOML file; errors as for `content` and `from_toml`."""
    raw = content(path, what, error=error, most=MOST_TOML)
    return from_toml(raw, str(path), error=error)


# What no honest file has ---------------------------------------------------------------------

_PART = r"(?:[^\s.,=\[\]'\"]++|\"[^\"\n]*+\"|'[^'\n]*+')"

#: What tomllib says.
_TOLD = re.compile(r"(.*) \(at (?:line (\d+), (column \d+)|end of document)\)", re.DOTALL)

#: A key of TOML with more dots than anything is deep.
_DOTTED = re.compile(rf"(?<![^\s.,=\[\]'\"])(?:{_PART}[ \t]*+\.[ \t]*+){{{DEEPEST}}}")


_LARGEST = int(sys.float_info.max)


class _Refused(ValueError):
    """Why a value is not read."""


def _why(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return f"values are nested deeper than {DEEPEST}"
    if "integer string conversion" in str(problem):
        return "a whole number has thousands of digits"
    return str(problem) or type(problem).__name__


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _twice(name for name, _ in pairs)
    return found


def _twice(names: Iterable[str]) -> _Refused:
    seen: set[str] = set()
    name = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return _Refused(f"the key {name!r} is there twice")


def _checked(value: Any, where: str, error: Kind) -> Any:
    """Return a value that was read, if it is not too deep and its numbers and texts are some."""
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.keys()
                inner += [x for x in item.values() if type(x) is not float]
            elif isinstance(item, list):
                inner += [x for x in item if type(x) is not float]
            elif isinstance(item, str):
                if not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item):
                    raise error(f"{where}: {item[:40]!r} has half a character; correct it.")
            elif type(item) is int and not -_LARGEST <= item <= _LARGEST:
                raise error(
                    f"{where}: a whole number of {len(str(abs(item)))} digits, beyond double "
                    "precision; correct it."
                )
        level = inner
        if not level:
            return value
    raise error(f"{where}: values are nested deeper than {DEEPEST}; correct it.")


@cache
def _loader() -> Any:
    yaml = importlib.import_module("yaml")

    class Loader(yaml.SafeLoader):  # type: ignore[name-defined]
        """YAML without aliases, and with each key once."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise _Refused("it has aliases, which are not read")
            return super().compose_node(parent, index)

        # Not where mappings are made: other packages register constructors of their own.
        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            keys = [(key.tag, str(key.value)) for key, _ in node.value]
            if len(set(keys)) < len(keys):
                raise _twice(key for _, key in keys)
            return node

    return Loader
