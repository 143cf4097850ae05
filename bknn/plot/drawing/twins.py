"""Curves that cannot be told apart must not hide each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: The first of them is a full line; the gaps of the next ones let it be seen.
COPIES: tuple[Any, ...] = ("-", (0, (3, 3)), (0, (1.2, 3.6)), (0, (5, 2, 1, 2)))


def twins(curves: Sequence[np.ndarray], closeness: float) -> list[int | None]:
    """Return of each curve the first one before it that it cannot be told from, or None.

    Args:
        curves: values at the same places (n,); NaN where there are none.
        closeness: differences that are not seen.

    >>> twins([np.array([1.0, 2.0]), np.array([1.0, 3.0]), np.array([1.001, 2.0])], 0.01)
    [None, None, 0]
    """
    found: list[int | None] = []
    for k, curve in enumerate(curves):
        same = (
            i
            for i in range(k)
            if found[i] is None
            and (both := np.isfinite(curve) & np.isfinite(curves[i])).any()
            and float(np.max(np.abs(curve - curves[i])[both])) < closeness
        )
        found.append(next(same, None))
    return found


def copy_of(found: Sequence[int | None], k: int) -> int:
    """Return how many twins a curve has before it.

    >>> [copy_of([None, 0, None, 0], k) for k in range(4)]
    [0, 1, 0, 2]
    """
    first = found[k]
    return 0 if first is None else 1 + sum(x == first for x in found[:k])
