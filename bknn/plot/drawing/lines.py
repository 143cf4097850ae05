"""A two-body state as it is drawn: a spike, or a peak with a width."""

from __future__ import annotations

from dataclasses import dataclass

from bknn.plot.drawing.style import branching_ratio, number

#: A Breit-Wigner narrower than this in q2 (GeV^2) is drawn as a spike: thinner than a pen.
NARROW = 0.02


@dataclass(frozen=True)
class DrawnLine:
    """A two-body state; pairs are value and uncertainty, GeV for masses."""

    mass: tuple[float, float]
    branching_ratio: tuple[float, float]
    width: tuple[float, float]

    @property
    def narrow(self) -> bool:
        return self.mass[0] * self.width[0] < 0.5 * NARROW

    @property
    def text(self) -> str:
        """What is said of it, in three lines: mass, branching ratio, width if it can be seen."""
        mass = f"$m$ = {number(*self.mass, 'GeV')}"
        ratio = f"BR = {branching_ratio(*self.branching_ratio)}"
        if self.narrow:
            return f"narrow line\n{mass}\n{ratio}"
        return f"{mass}\n$\\Gamma$ = {number(*self.width, 'GeV')}\n{ratio}"
