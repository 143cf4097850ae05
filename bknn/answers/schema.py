"""The JSON schema of `result.json`, and the tables of docs/result.md, from its declared keys.

`docs/result.schema.json` is this schema; it says which keys there are and of which type. Keys may
be added under the same `format`; none changes its meaning or goes away.
`python -m bknn.answers.schema docs` writes both.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bknn.answers.keys import COMMANDS, DEFINED, SHARED
from bknn.answers.keys_of_fits import COMMON, FORMAT
from bknn.answers.kinds import Kind, record, rows

__all__ = ["FORMAT", "schema"]

#: How tables are marked in the page.
_MARK = re.compile(r"(<!-- keys of (.*?) -->\n\n)(?:\|.*\n)*")


def schema() -> dict[str, Any]:
    """Return the JSON schema of `result.json`."""
    cases = [
        {"if": {"properties": {"command": {"const": command}}}, "then": record(needed, more)}
        for command, (needed, more) in COMMANDS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result.json of bknn",
        **record(COMMON),
        "properties": {**COMMON, "command": {"enum": list(COMMANDS)}},
        "allOf": cases,
        "$defs": DEFINED,
    }


def closed(command: str) -> dict[str, Any]:
    """Return the schema of one command that refuses keys which nobody declared."""
    needed, more = COMMANDS[command]
    whole: dict[str, Any] = _closed(record({**COMMON, **needed}, more))
    return {**whole, "$defs": _closed(DEFINED)}


def _closed(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_closed(x) for x in kind]
    if not isinstance(kind, Mapping):
        return kind
    found = {key: _closed(x) for key, x in kind.items()}
    if isinstance(kind.get("properties"), Mapping) and kind.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def page(text: str) -> str:
    """Return a page with its tables as they should be: each follows a mark."""
    return _MARK.sub(lambda found: found[1] + _table(found[2]), text)


def _table(name: str) -> str:
    """Return a table: "all commands" (which each writes), "each", "fits", or of a command."""
    if name == "all commands":
        lines = ["| command | keys | and perhaps |", "| --- | --- | --- |"]
        for command, (needed, more) in COMMANDS.items():
            own, rest = (", ".join(f"`{key}`" for key in keys) for keys in (needed, more))
            lines.append(f"| `bknn {command.replace('_', '-')}` | {own} | {rest} |")
        return "\n".join(lines) + "\n"
    if name in ("each", "several"):
        keys = {k: _whole(k, kind) for k, kind in (COMMON if name == "each" else SHARED).items()}
    else:
        keys = _own(name)
    lines = ["| key | type | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{path}` | {kind} | {text} |" for path, kind, text in rows(keys)]
    return "\n".join(lines) + "\n"


def _whole(key: str, kind: Kind) -> Kind:
    """Return a type with what it refers to."""
    return {**kind, **DEFINED[key]} if kind.get("$ref") == f"#/$defs/{key}" else kind


def _own(command: str) -> dict[str, Kind]:
    """Return the keys of a command that no other table has."""
    needed, more = COMMANDS[command]
    return {k: kind for k, kind in {**needed, **more}.items() if SHARED.get(k) is not kind}


def _write(folder: Path) -> None:
    path = folder / "result.md"
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
    text = json.dumps(schema(), indent=1) + "\n"
    (folder / "result.schema.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
