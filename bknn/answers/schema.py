"""What `result.json` holds, declared once: its JSON schema, and the tables of docs/result.md.

`docs/result.schema.json` is this schema; it says which keys there are and of which type. Keys may
be added under the same `format`; none changes its meaning or goes away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The format that `result.json` names.
FORMAT = 1

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": ["number", "null"]}
YES_OR_NO: dict[str, Any] = {"type": "boolean"}
OBJECT: dict[str, Any] = {"type": "object"}


def _list(of: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(of)}


def _table(of: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": dict(of)}


def _object(needed: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an object that has the keys of `needed`, perhaps those of `more`, and others."""
    properties = {**needed, **(more or {})}
    return {"type": "object", "required": list(needed), "properties": properties}


def _of(kind: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {**kind, "description": text}


#: Arrays of numbers of any depth.
NUMBERS: dict[str, Any] = {
    "anyOf": [NUMBER, {"type": "array", "items": {"$ref": "#/$defs/numbers"}}]
}

ENDED = _object(
    {
        "twice_nll": _of(NUMBER, "-2 log L with all constants"),
        "converged": _of(YES_OR_NO, "whether to believe it"),
        "status": _of(TEXT, "how the fit ended, and if it failed why and what to do"),
    }
)
PARAMETER = _object(
    {
        "value": _of(NUMBER, "at the best fit; GeV and GeV^2"),
        "uncertainty": _of(NUMBER, "from the exact Hessian; null if there is none"),
        "fixed": _of(YES_OR_NO, "whether it was kept at its value"),
    }
)
BELIEVED = {"status": _of(TEXT, "whether to believe it, and if not why")}

_PROVENANCE = _object(
    {
        "version": _of(TEXT, "of bknn"),
        "python": TEXT,
        "packages": _table(TEXT),
        "device": _of(TEXT, "what it was computed on"),
        "settings": _of(OBJECT, "everything that was asked"),
    }
)

#: What each result has.
_COMMON: Mapping[str, Any] = {
    "format": {"const": FORMAT, "description": "of this file"},
    "command": _of(TEXT, "the command that wrote it"),
    "provenance": _of(_PROVENANCE, "what is needed to repeat it"),
}
_MODEL = {"model": _of(TEXT, "name of the model")}
_DATA = {"data": _of(_list(TEXT), "names of the data sets")}
_FIT = {
    **_MODEL,
    **_DATA,
    "fit": _of(_object({**ENDED["properties"], "parameters": _table(PARAMETER)}), "the best fit"),
}
_PRIORS = {"priors": _of(_table(TEXT), "of the parameters, in words")}
_LIMIT = {
    "parameter": TEXT,
    "grid": _table({"$ref": "#/$defs/numbers"}),
    "best": {"$ref": "#/$defs/numbers"},
    "converged": _list(YES_OR_NO),
    "remarks": _list(TEXT),
    **BELIEVED,
}

#: {command: (keys that it has besides, keys that it may have)}.
COMMANDS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "fit": ({**_FIT, "null": ENDED, "twice_delta_nll": NUMBER}, {}),
    "profile": (
        {**_FIT, "profile": _object({"parameters": _list(TEXT), "status": {"type": "array"}})},
        {"intervals": OBJECT, "contours": OBJECT},
    ),
    "limit": (
        {**_FIT, "limit": _object({**_LIMIT, "observed": {"$ref": "#/$defs/numbers"}})},
        {"two_sided": _object(_LIMIT), "feldman_cousins": OBJECT},
    ),
    "significance": ({**_FIT, "significance": _object({"t": NUMBER, **BELIEVED})}, {}),
    "toys": ({**_FIT, "toys": OBJECT}, {"goodness_of_fit": OBJECT}),
    "impacts": ({**_FIT, "parameter": TEXT, "impacts": _list(OBJECT), "total": NUMBER}, {}),
    "sample": (
        {**_MODEL, **_DATA, **_PRIORS, "fixed": OBJECT, "posterior": _table(OBJECT)},
        {"sampling": _object({"converged": YES_OR_NO, **BELIEVED}), "grid": OBJECT},
    ),
    "prior_study": (
        {
            **_MODEL,
            **_DATA,
            "prior_study": _table(_object({"converged": YES_OR_NO, **BELIEVED})),
        },
        {},
    ),
    "evidence": ({**_MODEL, **_DATA, **_PRIORS, "evidence": OBJECT}, {}),
    "predict": ({**_MODEL, "predictions": _list(OBJECT)}, {"fit": _FIT["fit"], **_DATA}),
    "compare": ({"twice_nll_standard_model": NUMBER, "scenarios": OBJECT}, {}),
    "scenarios": ({**_DATA, "scenarios": _table(_object(BELIEVED))}, {}),
    "regions": ({**_MODEL, **_DATA, "parameters": _list(TEXT), "regions": _table(OBJECT)}, {}),
    "run": ({**_MODEL, "tasks": _table(OBJECT)}, {"fit": _FIT["fit"], **_DATA}),
    "project": ({**_DATA, "scenarios": _list(TEXT), "luminosities": _list(NUMBER)}, {}),
}


def schema() -> dict[str, Any]:
    """Return the JSON schema of `result.json`."""
    cases = [
        {
            "if": {"properties": {"command": {"const": command}}},
            "then": _object(needed, more),
        }
        for command, (needed, more) in COMMANDS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result.json of bknn",
        **_object(_COMMON),
        "properties": {**_COMMON, "command": {"enum": list(COMMANDS)}},
        "allOf": cases,
        "$defs": {"numbers": NUMBERS},
    }


def keys_table() -> str:
    """Return the table of docs/result.md: which keys each command writes."""
    rows = ["| command | keys | and perhaps |", "| --- | --- | --- |"]
    for command, (needed, more) in COMMANDS.items():
        own, rest = (", ".join(f"`{key}`" for key in keys) for keys in (needed, more))
        rows.append(f"| `bknn {command.replace('_', '-')}` | {own} | {rest} |")
    return "\n".join(rows)
