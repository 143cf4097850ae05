"""Couplings that count by their squares, and fits that end where these vanish.

At g = 0 nothing changes with g, whatever the data: a fit whose steps led there finds no way on, and
looks converged. Where the second derivative is negative it is at a maximum. So -log L is looked at
once more a little inside of such an edge, and where it is lower the fit goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from bknn.inference.minimiser.lanes import Rivals, taken
from bknn.inference.minimiser.newton import CONVERGED, Minimum, Problem

#: A difference of -log L that is more than rounding.
_LOWER = 1e-9


class FlatEdge(NamedTuple):
    """A bound at which nothing changes with a parameter.

    Attributes:
        entry: of the vector.
        at: the bound.
        inside: a value near it.
    """

    entry: int
    at: float
    inside: float


class Fit(Protocol):
    """Fits from starts (fits, size), with so many evaluations at most."""

    def __call__(
        self, starts: np.ndarray, problem: Problem, rivals: Rivals, most: int = ...
    ) -> Minimum: ...


def onward(
    fit: Fit, found: Minimum, problem: Problem, rivals: Rivals, edges: Sequence[FlatEdge]
) -> Minimum:
    """Return minima (fits, ...), those at flat edges that are none replaced by where they lead.

    Args:
        fit: fits on the same lanes.
        found: where fits ended; NumPy arrays, which are changed.
        problem: of all fits.
        rivals: which of them are starts of the same fit; those far above its lowest stay.
        edges: known ones.
    """
    for _ in edges:  # each may hold a fit once
        better = False
        for edge in edges:
            there = (found.outcome == CONVERGED) & problem.moving[:, edge.entry]
            there &= rivals.near(found.value, rivals.fit)
            rows = np.flatnonzero(there & (found.vector[:, edge.entry] == edge.at))
            if not rows.size:
                continue
            starts, own = taken(found.vector, problem, rows)
            starts[:, edge.entry] = edge.inside
            looked = fit(starts, own, rivals.of(rows), 1)
            lower = looked.value < found.value[rows] - _LOWER
            if not lower.any():
                continue
            rows = rows[lower]
            more = fit(starts[lower], taken(found.vector, problem, rows)[1], rivals.of(rows))
            lower = more.value < found.value[rows] - _LOWER
            better |= bool(lower.any())
            for old, new in zip(found, more, strict=True):
                old[rows[lower]] = new[lower]
        if not better:
            break
    return found
