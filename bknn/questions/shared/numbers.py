"""Numbers as JSON has them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def nested(values: Any) -> Any:
    """Return an array as nested lists, with null for what is not finite.

    >>> nested([[1.0, float("nan")], [2.0, 3.0]])
    [[1.0, None], [2.0, 3.0]]
    """
    array = np.asarray(values, float)
    return number(float(array)) if array.ndim == 0 else [nested(row) for row in array]
