"""The project's own form of a data set: `measurement.json.gz` and `metadata.toml` in a directory.

The first holds everything that enters a computation, as canonical JSON (sorted keys, no spaces,
every number as Python's `repr` writes it, so that it survives exactly). The second holds what
people need: titles, sources, licence, checksums, notes. The checksum that counts is the one of the
uncompressed content: compressed bytes may change with the version of zlib, the content does not.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from bknn import errors
from bknn.data import checks
from bknn.data.measurement import Density, Measurement, Source
from bknn.errors import DataError
from bknn.reading import user_files
from bknn.storage.files import replacing
from bknn.storage.lock import LOCK

DATA_FILE = "measurement.json.gz"
METADATA_FILE = "metadata.toml"

#: Version of the form itself; a reader refuses what it does not know.
FORMAT = 1

#: Where the data sets of the package lie: directories, and TOML files, also one folder below.
EMBEDDED = Path(__file__).parent

#: Data sets that are called together, `all-NAME`: {name: folders in which they lie}.
COLLECTIONS: Mapping[str, tuple[str, ...]] = {
    "all-light-vector": ("light_vectors", "top_partner", "precision"),
    "all-dark-matter": ("dark_matter",),
}

_T = TypeVar("_T")


def available() -> tuple[str, ...]:
    """Return the names of the data sets that come with the package.

    >>> "belle2-2025" in available()
    True
    """
    return tuple(sorted(embedded()))


def embedded() -> dict[str, Path]:
    """Return where the data sets of the package lie: a TOML file or a directory, by their names."""
    directories = {path.parent.name: path.parent for path in EMBEDDED.glob(f"*/{METADATA_FILE}")}
    files = [*EMBEDDED.glob("*.toml"), *EMBEDDED.glob("*/*.toml")]
    return {**{path.stem: path for path in files if path.name != METADATA_FILE}, **directories}


def collection(name: str) -> tuple[str, ...]:
    """Return the names of the data sets of one of `COLLECTIONS`, by its folders.

    >>> "babar-2017-monophoton" in collection("all-light-vector")
    True
    """
    folders = COLLECTIONS[name]
    own = [(folders.index(f), n) for n, p in embedded().items() if (f := p.parent.name) in folders]
    return tuple(n for _, n in sorted(own))


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII, exact numbers.

    >>> canonical_json({"b": [1.0, 0.1], "a": None})
    b'{"a":null,"b":[1.0,0.1]}'
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return text.encode("ascii")


def sha256(content: bytes) -> str:
    """Return the SHA-256 checksum as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def compress(content: bytes) -> bytes:
    """Return gzip bytes without a time stamp or a file name: same content, same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def write(directory: Path, content: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write a data set; `metadata` gets the checksums of `content` in its table `data`.

    Raises:
        DataError: the directory cannot be written, or holds something else.
    """
    raw = canonical_json(content)
    packed = compress(raw)
    complete = {
        **metadata,
        "data": {"file": DATA_FILE, "sha256": sha256(packed), "sha256_content": sha256(raw)},
    }
    text = (
        "# Written by 'bknn data import'; docs/data.md explains it. sha256_content belongs to the\n"
        "# uncompressed content and is the one that is verified; sha256 is that of the file.\n"
        + to_toml(complete)
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        others = sorted({p.name for p in directory.iterdir()} - {DATA_FILE, METADATA_FILE, LOCK})
        if others:
            raise DataError(
                f"{directory}: already holds {', '.join(others[:3])}"
                f"{' and more' if len(others) > 3 else ''}; a data set has a directory of its "
                "own. Give an empty or new one."
            )
        for name, whole in ((DATA_FILE, packed), (METADATA_FILE, text.encode())):
            with replacing(directory / name) as temporary:
                temporary.write_bytes(whole)
    except OSError as problem:
        raise DataError(f"{directory}: cannot be written ({problem.strerror}).") from None


def read(directory: Path) -> Measurement:
    """Return the data set in a directory; see `load` for the errors."""
    metadata = read_toml(directory / METADATA_FILE)
    where = str(directory / METADATA_FILE)
    version = _entry(metadata, "format", int, where)
    if version != FORMAT:
        raise DataError(
            f"{where}: the data set has format {version}, this version of bknn reads {FORMAT}. "
            "Import the official files again, or use the version of bknn that wrote it."
        )
    data = _entry(metadata, "data", dict, where)
    file = directory / DATA_FILE
    content = _content(file, _entry(data, "sha256_content", str, f"{where}, table 'data'"))
    return assemble(content, metadata, str(file), where)


def assemble(
    content: Mapping[str, Any], metadata: Mapping[str, Any], file: str, toml: str
) -> Measurement:
    """Return the Measurement of a content and its metadata, checked against each other."""
    definition = _entry(metadata, "definition", dict, toml)
    stored = _entry(content, "definition", dict, file)
    if definition != stored:
        differing = sorted(
            key for key in {*definition, *stored} if definition.get(key) != stored.get(key)
        )
        raise DataError(
            f"{toml}: the table 'definition' differs from what the data were imported with (in "
            f"{', '.join(differing)}). It is a copy for people: edit nothing there, import again."
        )
    workspace = _entry(content, "workspace", dict, file)
    checks.check_workspace(workspace, file)
    densities = {}
    for channel, item in _entry(content, "densities", dict, file).items():
        try:
            densities[channel] = Density(item["counts"], item["edges"], item["unmatched"])
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"{file}: the density of channel {channel!r} is not a table of numbers with "
                "edges and an unmatched column. Import the official files again."
            ) from None
        checks.check_density(densities[channel], f"{file}, channel {channel!r}")
    known = [channel["name"] for channel in workspace["channels"]]
    signal = _entry(definition, "signal", dict, f"{toml}, table 'definition'")
    groups = _entry(metadata, "groups", dict, toml, {})
    for alias, names in groups.items():
        if not isinstance(names, list) or not names:
            raise DataError(f"{toml}: the group {alias!r} must be a list of channel names.")
    for name in [*signal, *densities, *(x for names in groups.values() for x in names)]:
        if name not in known:
            raise errors.unknown("channel", name, known, toml)
    modifiers = tuple(
        _entry(definition, "form_factor_modifiers", list, f"{toml}, table 'definition'")
    )
    tolerance = _entry(
        _entry(metadata, "checks", dict, toml, {}), "tolerance", float, toml, checks.TOLERANCE
    )
    checks.check_signal(workspace, signal, densities, modifiers, file, tolerance=tolerance)
    notes = tuple(_entry(metadata, "notes", list, toml, []))
    if not all(isinstance(note, str) for note in notes):
        raise DataError(f"{toml}: 'notes' must be a list of texts.")
    return Measurement(
        name=_entry(metadata, "name", str, toml),
        title=_entry(metadata, "title", str, toml, ""),
        workspace=workspace,
        signal=signal,
        densities=densities,
        null_spectrum=_entry(definition, "null_spectrum", str, f"{toml}, table 'definition'"),
        form_factor_modifiers=modifiers,
        groups={alias: tuple(names) for alias, names in groups.items()},
        sources=tuple(source(item, toml) for item in _entry(metadata, "sources", list, toml, [])),
        notes=notes,
        sha256=sha256(canonical_json(content)),
        metadata={
            key: value
            for key, value in metadata.items()
            if key not in ("name", "title", "definition", "groups", "sources", "notes")
        },
    )


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of the TOML file of a data set."""
    return user_files.read_toml(
        path,
        f"a data set is a directory with {DATA_FILE} and {METADATA_FILE}, as 'bknn data import' "
        "writes it",
    )


def to_toml(value: Mapping[str, Any]) -> str:
    """Return a mapping of strings, numbers, lists and mappings as TOML text, in its order.

    >>> print(to_toml({"title": "a", "rows": [0.0, 1e-05], "data": {"file": "b"}}), end="")
    title = "a"
    rows = [0.0, 1e-05]
    <BLANKLINE>
    [data]
    file = "b"
    """
    return "".join(_toml_table(value, ())).lstrip("\n")


def _toml_table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = []
    nested = []
    for key, item in table.items():
        if isinstance(item, Mapping):
            nested += [f"\n[{_toml_key((*path, key))}]\n", *_toml_table(item, (*path, key))]
        elif isinstance(item, list | tuple) and item and isinstance(item[0], Mapping):
            for entry in item:
                nested += [f"\n[[{_toml_key((*path, key))}]]\n", *_toml_table(entry, (*path, key))]
        else:
            lines.append(f"{_toml_key((key,))} = {_toml_value(item)}\n")
    return lines + nested


def _toml_key(path: tuple[str, ...]) -> str:
    bare = re.compile(r"[A-Za-z0-9_-]+")
    return ".".join(key if bare.fullmatch(key) else _toml_value(key) for key in path)


def _toml_value(item: Any) -> str:
    if isinstance(item, str):
        # A JSON string is a TOML string, but for the one control character JSON leaves alone.
        return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return repr(item)
    entries = [_toml_value(entry) for entry in item]
    flat = f"[{', '.join(entries)}]"
    if len(flat) <= 88:
        return flat
    return "[\n" + "".join(f"    {entry},\n" for entry in entries) + "]"


def _content(file: Path, expected: str) -> dict[str, Any]:
    """Return the parsed content of a data file whose checksum is right."""
    raw = user_files.content(
        file,
        f"{METADATA_FILE} lies beside its place; restore it, or import the official files again "
        "with 'bknn data import'",
    )
    found = sha256(raw)
    if found != expected:
        raise DataError(
            f"{file}: the content has the SHA-256 checksum {found}, {METADATA_FILE} says "
            f"{expected}. One of the two files was changed, so the numbers cannot be trusted. "
            "Restore both, reinstall bknn, or import the official files again."
        )
    content = user_files.from_json(raw, str(file))
    if not isinstance(content, dict):
        raise DataError(f"{file}: not a data set of bknn: a JSON object is expected.")
    return content


_MISSING: Any = object()


def _entry(
    table: Mapping[str, Any], key: str, kind: type[_T], where: str, default: _T = _MISSING
) -> _T:
    """Return an entry of the right kind; a default makes it optional."""
    value = table.get(key, default)
    if value is _MISSING:
        raise DataError(
            f"{where}: the entry {key!r} is missing. Restore the file, or import the official "
            "files again with 'bknn data import'."
        )
    if not isinstance(value, kind):
        raise DataError(
            f"{where}: the entry {key!r} must be of type {kind.__name__}, not "
            f"{type(value).__name__}."
        )
    return value


def source(item: Any, where: str) -> Source:
    """Return the source that a table describes."""
    known = ("title", "what", "authors", "journal", "arxiv", "doi")
    if not isinstance(item, dict) or not item.get("title"):
        raise DataError(f"{where}: every entry of 'sources' is a table with at least a title.")
    for key, value in item.items():
        if key not in known:
            raise errors.unknown("entry", key, known, f"'sources' of {where}")
        if not isinstance(value, str):
            raise DataError(f"{where}: {key!r} of a source must be a text, not {value!r}.")
    return Source(**item)
