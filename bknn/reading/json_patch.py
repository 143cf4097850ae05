"""JSON Patch (RFC 6902): a list of changes to a JSON value.

pyhf's patch sets are made of them. A place is a JSON pointer (RFC 6901): `/channels/0/samples/-`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bknn.errors import DataError

_INDEX = re.compile(r"0|[1-9][0-9]{0,15}")

#: What each operation needs besides `op` and `path`.
_NEEDS = {
    "add": "value",
    "remove": None,
    "replace": "value",
    "move": "from",
    "copy": "from",
    "test": "value",
}


def apply(patch: Any, value: Any, where: str = "patch") -> Any:
    """Return a JSON value with a patch applied; the value itself stays as it is.

    Raises:
        DataError: what is no patch, or does not fit the value, with the number of the operation.

    >>> apply([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1]})
    {'a': [1, 3]}
    """
    if isinstance(patch, str | bytes) or not isinstance(patch, Sequence):
        raise DataError(f"{where}: a JSON patch is a list of operations.")
    holder = [copy.deepcopy(value)]
    for i, operation in enumerate(patch):
        try:
            _operate(holder, operation)
        except _DoesNotFit as problem:
            raise DataError(f"{where}, operation {i}: {problem}.") from None
    return holder[0]


class _DoesNotFit(Exception):
    """Why an operation cannot be done."""


def _operate(holder: list[Any], operation: Any) -> None:
    """Do one operation on the only entry of a list."""
    op = operation.get("op") if isinstance(operation, Mapping) else None
    if not isinstance(op, str) or op not in _NEEDS:
        raise _DoesNotFit(f"'op' must be one of {', '.join(_NEEDS)}")
    needed = _NEEDS[op]
    if needed is not None and needed not in operation:
        raise _DoesNotFit(f"{op!r} lacks {needed!r}")
    path = _pointer(operation.get("path"), "path")
    if op == "add":
        _put(holder, path, copy.deepcopy(operation["value"]), new=True)
    elif op == "replace":
        _get(holder, path)
        _put(holder, path, copy.deepcopy(operation["value"]), new=False)
    elif op == "remove":
        _remove(holder, path)
    elif op == "test":
        if not _same(_get(holder, path), operation["value"]):
            raise _DoesNotFit(f"the test of {operation['path']!r} fails: another value is there")
    else:
        source = _pointer(operation["from"], "from")
        found = copy.deepcopy(_get(holder, source))
        if op == "move":
            if path[: len(source)] == source and len(path) > len(source):
                raise _DoesNotFit(f"{operation['from']!r} cannot move into itself")
            _remove(holder, source)
        _put(holder, path, found, new=True)


def _pointer(text: Any, key: str) -> list[str]:
    """Return the keys of a pointer, the first of which finds the whole value."""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _DoesNotFit(f"{key!r} must be a pointer such as '/channels/0', not {text!r:.60}")
    if re.search("~(?![01])", text):
        raise _DoesNotFit(f"{text!r} has a '~' that is neither '~0' nor '~1'")
    parts = text.split("/")[1:]
    return ["0", *(part.replace("~1", "/").replace("~0", "~") for part in parts)]


def _step(node: Any, key: str) -> Any:
    """Return what a key of a pointer stands for in an object or list."""
    if isinstance(node, dict) and key in node:
        return node[key]
    if isinstance(node, list) and _INDEX.fullmatch(key) and int(key) < len(node):
        return node[int(key)]
    raise _DoesNotFit(f"there is no {key!r} where it points to")


def _get(holder: list[Any], path: Sequence[str]) -> Any:
    node: Any = holder
    for key in path:
        node = _step(node, key)
    return node


def _put(holder: list[Any], path: Sequence[str], value: Any, *, new: bool) -> None:
    node, key = _get(holder, path[:-1]), path[-1]
    if isinstance(node, dict):
        node[key] = value
    elif not isinstance(node, list):
        raise _DoesNotFit(f"there is no {key!r} in a value that has no parts")
    elif not new or node is holder:
        node[int(key)] = value
    elif key == "-" or (_INDEX.fullmatch(key) and int(key) <= len(node)):
        node.insert(len(node) if key == "-" else int(key), value)
    else:
        raise _DoesNotFit(f"{key!r} is no place in a list of {len(node)}")


def _remove(holder: list[Any], path: Sequence[str]) -> None:
    _get(holder, path)
    node, key = _get(holder, path[:-1]), path[-1]
    if node is holder:
        holder[0] = None
    else:
        del node[int(key) if isinstance(node, list) else key]


def _same(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)
