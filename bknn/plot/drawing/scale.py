"""A parameter on an axis."""

from __future__ import annotations

import math

import numpy as np

from bknn.analysis.analysis import Analysis
from bknn.plot.drawing.labels import parameter_label, unit_of


class Scale:
    """A parameter in units of a power of ten where its values are small or large.

    Attributes:
        factor: the power of ten.
        label: name and unit, for the axis.
    """

    def __init__(self, analysis: Analysis, name: str, values: np.ndarray) -> None:
        largest = float(np.nanmax(np.abs(values), initial=0.0))
        power = 3 * math.floor(math.log10(largest) / 3) if largest > 0 else 0
        power = 0 if -3 <= power <= 3 else power
        self.factor = 10.0**power
        units = " ".join(
            x for x in (f"$10^{{{power}}}$" if power else "", unit_of(analysis, name)) if x
        )
        self.label = parameter_label(analysis, name) + (f" [{units}]" if units else "")

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        return np.asarray(values, float) / self.factor
