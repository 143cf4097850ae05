"""Where a profile crosses a level, between two points on either side of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bknn.inference.profiles.held import Found, Points

#: A search ends when one more step would be shorter than this part of the edge; that step is made.
_TOLERANCE = 1e-7

#: An edge that has become shorter than this has a jump in it, not a crossing.
_SHORTEST = 1e-10

#: Fits of each search, at most.
_MOST = 80


class Crossings(NamedTuple):
    """Where each of n edges crosses its level.

    Attributes:
        values: of the parameters (n, parameters); NaN where the search was lost.
        lost: whether a fit did not converge, or the profile jumps over the level (n,).
    """

    values: np.ndarray
    lost: np.ndarray


def crossings(
    points: Points,
    level: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    first: Found,
    last: Found,
) -> Crossings:
    """Find where -2 log L reaches the level on straight edges, all at once.

    A cubic through values and slopes at both ends of the bracket (slopes cost next to nothing) says
    where to look next, and bisection helps where it misleads.

    Args:
        points: what is fitted.
        level: -2 log L to be reached (n,).
        start, stop: ends of the edges (n, parameters).
        first, last: the minima there, one of them above the level and the other below.
    """
    n = len(level)
    along = stop - start

    def height(which: np.ndarray, found: Found) -> tuple[np.ndarray, np.ndarray]:
        return found.twice_nll - level[which], np.sum(found.slope * along[which], axis=1)

    every = np.arange(n)
    (low_f, low_g), (high_f, high_g) = height(every, first), height(every, last)
    low_t, high_t = np.zeros(n), np.ones(n)
    low_v, high_v = np.array(first.vector), np.array(last.vector)
    result = np.where(low_f == 0, 0.0, np.where(high_f == 0, 1.0, np.nan))
    usable = first.converged & last.converged
    going = usable & (low_f * high_f < 0)
    width = np.ones(n)
    for k in range(_MOST):
        i = np.flatnonzero(going)
        if not i.size:
            break
        part = high_t[i] - low_t[i]
        s = _cubic_root(low_f[i], low_g[i] * part, high_f[i], high_g[i] * part)
        # Every third time: has the bracket become half as wide?
        if k % 3 == 2:
            s = np.where(part > 0.5 * width[i], 0.5, s)
            width[i] = part
        t = low_t[i] + s * part
        values = start[i] + t[:, None] * along[i]
        # What is new between the ends is looked for once; then the brackets are small.
        found = points.find(values, [low_v[i], high_v[i]], fresh=k == 0)
        f, g = height(i, found)
        with np.errstate(divide="ignore", invalid="ignore"):
            end = t - f / g
        near = (np.abs(end - t) <= _TOLERANCE) & (end >= low_t[i]) & (end <= high_t[i])
        done = found.converged & (near | (f == 0))
        result[i[done]] = np.where(f == 0, t, end)[done]
        going[i[done | ~found.converged | (part < _SHORTEST)]] = False
        below = f * low_f[i] > 0
        for side, chosen in (
            ((low_t, low_f, low_g, low_v), below),
            ((high_t, high_f, high_g, high_v), ~below),
        ):
            for old, new in zip(side, (t, f, g, found.vector), strict=True):
                old[i[chosen]] = new[chosen]
    return Crossings(start + result[:, None] * along, np.isnan(result))


def _cubic_root(f: np.ndarray, g: np.ndarray, f1: np.ndarray, g1: np.ndarray) -> np.ndarray:
    """Return where cubics with values f, f1 and slopes g, g1 at 0 and 1 cross zero."""
    secant = f1 - f
    g, g1 = (np.where(np.isfinite(x), x, secant) for x in (g, g1))
    low, high = np.zeros(len(f)), np.ones(len(f))
    for _ in range(50):
        middle = 0.5 * (low + high)
        same = cubic(middle, f, g, f1, g1) * f > 0
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return 0.5 * (low + high)


def cubic(
    t: np.ndarray, f: np.ndarray, g: np.ndarray, f1: np.ndarray, g1: np.ndarray
) -> np.ndarray:
    """Return the cubic with values f, f1 and slopes g, g1 at 0 and 1, at t."""
    a, b = f1 - f - g, g1 - g
    return f + t * (g + t * (3 * a - b + t * (b - 2 * a)))
