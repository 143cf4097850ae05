"""What differs between what was asked before and what is asked now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what changed in tables of tables, in words.

    >>> changes({"toys": {"number": 10, "seed": 1}}, {"toys": {"number": 20, "seed": 1}})
    ['toys.number was 10 and is 20']
    """
    old, new = _flat(before), _flat(now)
    return [
        f"{key} was {_word(old, key)} and is {_word(new, key)}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]


def _flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"section.key": value}; a table without keys has one that is empty."""
    found: dict[str, Any] = {}
    for section, table in tables.items():
        if isinstance(table, Mapping):
            found |= {f"{section}.{key}": value for key, value in table.items()} or {section: {}}
        else:
            found[section] = table
    return found


def _word(table: Mapping[str, Any], key: str) -> str:
    return json.dumps(table[key]) if key in table else "not given"
