"""Couplings that count by their squares, and fits that end where these vanish.

At g = 0 nothing changes with g, whatever the data: a fit whose steps led there finds no way on, and
looks converged. Where the second derivative is negative it is at a maximum. So -log L is looked at
once more a little inside of such an edge, and where it is lower the fit goes on from there.

Where a coupling may have either sign there is no bound to stop at: steps lead across zero, back and
forth, the shorter the nearer. A fit that came to a halt there is put at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from bknn.inference.minimiser.lanes import Rivals, taken
from bknn.inference.minimiser.newton import CONVERGED, EXHAUSTED, STALLED, Minimum, Problem

#: A difference of -log L that is more than rounding.
_LOWER = 1e-9

#: Nearer to a flat place than this, in units of how far inside it is looked at, a fit is there; so
#: near it may be on its way.
_THERE, _AROUND = 0.01, 100.0


class FlatEdge(NamedTuple):
    """A bound, or zero between bounds, at which nothing changes with a parameter.

    Attributes:
        entry: of the vector.
        at: the bound, or zero.
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


def settled(
    fit: Fit, found: Minimum, problem: Problem, rivals: Rivals, places: Sequence[FlatEdge]
) -> Minimum:
    """Return minima (fits, ...), those that did not converge near a flat place put there, if that
    is a minimum; arguments as for `onward`, with places between bounds."""
    entries = [place.entry for place in places]
    at, inside = (np.array([getattr(p, name) for p in places]) for name in ("at", "inside"))
    for k in range(len(places)):
        away = np.abs(found.vector[:, entries] - at) / np.abs(inside - at)
        put = (away < _THERE) & problem.moving[:, entries]
        put[:, k] = (away[:, k] < _AROUND) & problem.moving[:, entries[k]]
        lost = np.isin(found.outcome, (STALLED, EXHAUSTED)) & put[:, k]
        rows = np.flatnonzero(lost & rivals.near(found.value, rivals.fit))
        if not rows.size:
            continue
        starts, own = taken(found.vector, problem, rows)
        moving = own.moving.copy()
        starts[:, entries] = np.where(put[rows], at, starts[:, entries])
        moving[:, entries] &= ~put[rows]
        more = fit(starts, own._replace(moving=moving), rivals.of(rows))
        good = (more.outcome == CONVERGED) & (more.value < found.value[rows] + _LOWER)
        for j, entry in enumerate(entries):
            for beside in (inside[j], 2 * at[j] - inside[j]):
                looked = np.array(more.vector)
                looked[:, entry] = beside
                higher = fit(looked, own, rivals.of(rows), 1).value > more.value
                good &= ~put[rows, j] | higher
        more = more._replace(steps=found.steps[rows] + more.steps)
        for old, new in zip(found, more, strict=True):
            old[rows[good]] = new[good]
    return found
