"""Types of what `result.json` holds, as pieces of a JSON schema, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Kind = dict[str, Any]

TEXT: Kind = {"type": "string"}
NUMBER: Kind = {"type": ["number", "null"]}
INTEGER: Kind = {"type": "integer"}
YES_OR_NO: Kind = {"type": "boolean"}
ANYTHING: Kind = {"type": ["object", "array"]}
#: Arrays of numbers of any depth.
NUMBERS: Kind = {"$ref": "#/$defs/numbers"}
NUMBERS_OF_ANY_DEPTH: Kind = {"numbers": {"anyOf": [NUMBER, {"type": "array", "items": NUMBERS}]}}
RANGE: Kind = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}


def of(kind: Mapping[str, Any], text: str) -> Kind:
    """Return a type with what it means."""
    return {**kind, "description": text}


def listing(of: Kind) -> Kind:
    """Return a list."""
    return {"type": "array", "items": of}


def mapping(of: Kind, key: str = "NAME") -> Kind:
    """Return an object with any keys, which are called `key` in tables."""
    return {"type": "object", "additionalProperties": of, "propertyNames": {"title": key}}


def record(
    needed: Mapping[str, Kind],
    more: Mapping[str, Kind] | None = None,
    others: tuple[str, Kind] | None = None,
) -> Kind:
    """Return an object that has the keys of `needed`, perhaps those of `more`.

    Args:
        needed, more: {key: type}.
        others: how other keys are called in tables, and of which type they are.
    """
    properties = {**needed, **(more or {})}
    found: Kind = {"type": "object", "required": list(needed), "properties": properties}
    if others is not None:
        found |= {"additionalProperties": others[1], "propertyNames": {"title": others[0]}}
    return found


def optional(kind: Kind) -> Kind:
    """Return a type that may be null."""
    return {"anyOf": [kind, {"type": "null"}]}


def either(*kinds: Kind) -> Kind:
    """Return a type that is one of several."""
    return {"anyOf": list(kinds)}


_PLURAL = ("text", "number", "integer", "object")


def words(kind: Kind) -> str:
    """Return a type in words; any number may be null.

    >>> words(mapping(listing(NUMBER))), words(optional(TEXT))
    ('{NAME: list of numbers}', 'text or null')
    """
    match kind:
        case {"const": value}:
            return str(value)
        case {"$ref": "#/$defs/numbers"}:
            return "number, list, or list of lists"
        case {"$ref": _}:
            return "object"
        case {"anyOf": kinds}:
            return " or ".join("null" if k == {"type": "null"} else words(k) for k in kinds)
        case {"maxItems": 2}:
            return "[low, high]"
        case {"type": "array", "items": inner}:
            named = words(inner)
            return f"list of {named}s" if named in _PLURAL else f"list of {named}"
        case {"type": "object", "properties": keys}:
            return f"{{{', '.join(keys)}}}" if _small(kind) else "object"
        case {"type": "object", "additionalProperties": inner}:
            return f"{{{kind['propertyNames']['title']}: {words(inner)}}}"
        case {"type": ["number", "null"]}:
            return "number"
        case {"type": ["object", "array"]}:
            return "object or list"
    return {"string": "text", "integer": "integer", "boolean": "true or false"}[kind["type"]]


def _small(kind: Kind) -> bool:
    """Whether the keys of an object explain themselves."""
    return not any("description" in x for x in kind["properties"].values())


def rows(keys: Mapping[str, Kind], before: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield path, type and meaning of each key, and of those within."""
    for key, kind in keys.items():
        path = f"{before}{key}"
        yield path, words(kind), kind.get("description", "")
        yield from _inside(kind, path)


def _inside(kind: Kind, path: str) -> Iterator[tuple[str, str, str]]:
    for choice in kind.get("anyOf", ()):
        yield from _inside(choice, path)
    if "properties" in kind and not _small(kind):
        yield from rows(kind["properties"], f"{path}.")
    if isinstance(kind.get("additionalProperties"), dict):
        name, inner = kind["propertyNames"]["title"], kind["additionalProperties"]
        if "properties" in kind:
            yield from rows({name: inner}, f"{path}.")
        else:
            yield from _inside(inner, f"{path}.{name}")
    if "items" in kind:
        yield from _inside(kind["items"], f"{path}[]")
