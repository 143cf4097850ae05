"""Where a long computation keeps what is done, so that it can go on after an interruption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

#: What is kept under one name.
Arrays = Mapping[str, np.ndarray]


class Store(Protocol):
    """Arrays by name. What was put is there whole, or not at all."""

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """Return what was put under a name; None if there is nothing, or if it was damaged."""
        ...

    def put(self, name: str, arrays: Arrays) -> None:
        """Keep arrays under a name, in place of what was there."""
        ...


class Memory:
    """A store that lives as long as the program.

    >>> store = Memory()
    >>> store.put("toys/0", {"mu": np.array([1.0, 2.0])})
    >>> store.get("toys/0")["mu"].tolist(), store.get("toys/1")
    ([1.0, 2.0], None)
    """

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, np.ndarray]] = {}

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        found = self._kept.get(name)
        return None if found is None else {key: np.array(x) for key, x in found.items()}

    def put(self, name: str, arrays: Arrays) -> None:
        self._kept[name] = {key: np.array(x) for key, x in arrays.items()}
