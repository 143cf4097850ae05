"""A smooth step."""

from __future__ import annotations

from typing import Any

from bknn.kinematics import numpy_for


def smooth_step(x: Any, low: float, high: float) -> Any:
    """Return 0 below `low`, 1 above `high`, and a cubic between them that joins smoothly.

    >>> float(smooth_step(0.5, 0.0, 1.0))
    0.5
    """
    xp: Any = numpy_for(x)
    y = xp.clip((x - low) / (high - low), 0.0, 1.0)
    return y * y * (3.0 - 2.0 * y)
