"""What is said of limits along a grid, and which levels there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.outline import subject
from bknn.inference import few_events
from bknn.inference.limits.conditional_fits import Conditional

FOUND = "found"


#: Points that are printed.
_SHOWN = 8


def spread(n: int) -> list[int]:
    """Return which of n points are printed."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, _SHOWN))})


def some_of(shown: list[int], values: np.ndarray) -> str:
    return f"{len(shown)} of {len(values)} points." if len(shown) < len(values) else ""


def in_words(analysis: Analysis) -> dict[str, Any]:
    """Return model and data, and units, for tables and figures."""
    units = {p.name: p.unit for p in analysis.parameters if p.unit}
    return {"label": subject(analysis), "units": units}


def carried_by(
    fits: Conditional, data: Data, here: np.ndarray, value: float
) -> tuple[float, float]:
    """Return how many events tell a point (size,) from a value of the parameter; see
    `few_events`."""
    there = np.array(here)
    there[fits.index] = value
    return few_events.events(fits.analysis, data, fits.floating, fits.index, here, there)


def check_level(cl: float) -> None:
    if not 0 < cl < 1:
        raise errors.ParameterError(
            f"the confidence level is {cl:g}; give a number between 0 and 1, as 0.95."
        )


def summed_up(status: tuple[str, ...], what: str, grid: Mapping[str, np.ndarray]) -> str:
    def at(i: int) -> str:
        return ", ".join(f"{name} = {values[i]:.6g}" for name, values in grid.items())

    n = len(status)
    good = sum(s.startswith(FOUND) for s in status)
    if n == 1:
        return status[0]
    if good == n:
        few = [i for i, s in enumerate(status) if few_events.TOO_FEW in s]
        if not few:
            return f"all {n} {what}s found."
        return (
            f"all {n} {what}s found; at {len(few)} of them few events, the first is "
            f"{at(few[0])}: {status[few[0]]}"
        )
    first = next(i for i, s in enumerate(status) if not s.startswith(FOUND))
    return (
        f"{n - good} of {n} points have no complete {what}; the first is {at(first)}: "
        f"{status[first]}"
    )
