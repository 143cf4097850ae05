"""JSON Patch: what RFC 6902 says, one rule after the other; `tests/peers` has a peer."""

from __future__ import annotations

from typing import Any

import pytest

from bknn import errors
from bknn.reading import json_patch

DOCUMENT = {"a": [1, {"b": "x"}], "": 0, "m~n": 8, "k/l": None}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/a/1", "value": 2}, {"a": [1, 2, {"b": "x"}]}),
        ({"op": "add", "path": "/a/-", "value": 2}, {"a": [1, {"b": "x"}, 2]}),
        ({"op": "add", "path": "/a/1/b", "value": 2}, {"a": [1, {"b": 2}]}),
        ({"op": "add", "path": "/", "value": 2}, {"": 2}),
        ({"op": "remove", "path": "/a/0"}, {"a": [{"b": "x"}]}),
        ({"op": "replace", "path": "/m~0n", "value": 2}, {"m~n": 2}),
        ({"op": "replace", "path": "/k~1l", "value": 2}, {"k/l": 2}),
        ({"op": "move", "from": "/a/0", "path": "/a/1"}, {"a": [{"b": "x"}, 1]}),
        ({"op": "copy", "from": "/a/1/b", "path": "/a/0"}, {"a": ["x", 1, {"b": "x"}]}),
        ({"op": "test", "path": "/m~0n", "value": 8.0}, {}),
    ],
    ids=str,
)
def test_operations(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(DOCUMENT)
    assert json_patch.apply([operation], DOCUMENT) == {**DOCUMENT, **expected}
    assert repr(DOCUMENT) == before


def test_the_whole_document() -> None:
    assert json_patch.apply([{"op": "replace", "path": "", "value": [1]}], DOCUMENT) == [1]
    assert json_patch.apply([{"op": "add", "path": "", "value": 3}], DOCUMENT) == 3


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        ("add", "op"),
        ({"op": "merge", "path": ""}, "op"),
        ({"op": "add", "path": "/a"}, "value"),
        ({"op": "add", "path": "a", "value": 1}, "pointer"),
        ({"op": "add", "path": "/a~2", "value": 1}, "~"),
        ({"op": "add", "path": "/a/3", "value": 1}, "3"),
        ({"op": "add", "path": "/a/01", "value": 1}, "01"),
        ({"op": "add", "path": "/a/-1", "value": 1}, "-1"),
        ({"op": "add", "path": "/m~0n/x", "value": 1}, "x"),
        ({"op": "add", "path": "/x/y", "value": 1}, "x"),
        ({"op": "replace", "path": "/a/2", "value": 1}, "2"),
        ({"op": "replace", "path": "/a/-", "value": 1}, "-"),
        ({"op": "remove", "path": "/x"}, "x"),
        ({"op": "move", "from": "/a", "path": "/a/1"}, "itself"),
        ({"op": "move", "path": "/a/1"}, "from"),
        ({"op": "test", "path": "/m~0n", "value": 9}, "test"),
        ({"op": "test", "path": "/a/0", "value": True}, "test"),
    ],
    ids=str,
)
def test_what_does_not_fit(operation: Any, named: str) -> None:
    with pytest.raises(errors.DataError, match=r"p\.json, operation 1") as caught:
        json_patch.apply(
            [{"op": "test", "path": "/a/0", "value": 1}, operation], DOCUMENT, "p.json"
        )
    assert named in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("patch", [None, {}, "[]", 3])
def test_no_patch_at_all(patch: Any) -> None:
    with pytest.raises(errors.DataError, match="list of operations"):
        json_patch.apply(patch, DOCUMENT)
