"""Two-body states over q2, and points at which curves with peaks and thresholds are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bknn.answers.packing import piece

#: A Breit-Wigner narrower than this in q2 (GeV^2) is a spike: thinner than a pen.
NARROW = 0.02


@piece
@dataclass(frozen=True)
class TwoBody:
    """A two-body state; pairs are value and uncertainty, GeV for masses."""

    mass: tuple[float, float]
    branching_ratio: tuple[float, float]
    width: tuple[float, float]

    @property
    def narrow(self) -> bool:
        """Whether a pen is thicker than it is."""
        return self.mass[0] * self.width[0] < 0.5 * NARROW


def around(positions: Sequence[float], halves: Sequence[float], end: float) -> list[np.ndarray]:
    """Return points around peaks at q2, in equal steps of the integral of a Breit-Wigner with
    these halves of a width (GeV^2); always as many."""
    angle = np.linspace(-1.54, 1.54, 80)
    return [
        np.clip(q2 + max(half, 1e-6) * np.tan(angle), 0.0, end)
        for q2, half in zip(positions, halves, strict=True)
    ]


def behind(starts: Sequence[float], end: float) -> list[np.ndarray]:
    """Return points behind thresholds and kinks at q2 (GeV^2), closer together near them."""
    steps = np.linspace(0.0, 1.0, 60) ** 3
    return [np.clip(q2 + 2.0 * steps, 0.0, end) for q2 in starts]
