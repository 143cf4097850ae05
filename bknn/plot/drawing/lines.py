"""What is said of a two-body state, which is drawn as a spike or as a peak with a width."""

from __future__ import annotations

from bknn.plot.drawing.style import branching_ratio, number
from bknn.prediction.two_body import TwoBody


def line_text(line: TwoBody) -> str:
    """Return three lines: mass, branching ratio, width if it can be seen."""
    mass = f"$m$ = {number(*line.mass, 'GeV')}"
    ratio = f"BR = {branching_ratio(*line.branching_ratio)}"
    if line.narrow:
        return f"narrow line\n{mass}\n{ratio}"
    return f"{mass}\n$\\Gamma$ = {number(*line.width, 'GeV')}\n{ratio}"
