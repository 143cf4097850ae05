"""Where many increasing functions cross zero, found side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: How a search ended: at a crossing, without one up to the end of the range, or without an answer.
SEARCHING, FOUND, BEYOND, LOST = range(4)

#: Or at a jump to infinity, where the likelihood ends.
EDGE = 5


def crossings(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    inner: np.ndarray,
    value: np.ndarray,
    guess: np.ndarray,
    outer: np.ndarray,
    *,
    tolerance: float = 1e-6,
    most: int = 80,
) -> tuple[np.ndarray, np.ndarray]:
    """Find where functions that are negative at `inner` become positive on the way to `outer`.

    Outwards by extrapolation until there is a bracket, then T. R. Chandrupatla's method (Advances
    in Engineering Software 28 (1997) 145): inverse quadratic interpolation where the last three
    points promise that it works, bisection elsewhere. It never leaves the bracket.

    Args:
        function: takes lanes (m,) and where to look (m,), and returns the values there, infinite
            where nothing is possible; NaN ends the search of a lane.
        inner: where each function is negative (n,).
        value: its value there, or an estimate, from which the first steps are extrapolated (n,).
        guess: where to look first (n,).
        outer: where to stop, on either side, possibly infinite (n,).
        tolerance: of the crossing, relative to its distance from `inner`.
        most: evaluations before a search is given up.

    Returns:
        The crossings (n,), NaN where there is none, and the outcomes (n,).

    >>> import numpy as np
    >>> zero, one = np.zeros(2), np.ones(2)
    >>> x, how = crossings(lambda i, x: x**2 - 2, zero, -2 * one, one, np.array([9.0, 1.2]))
    >>> float(x[0].round(6)), how == [FOUND, BEYOND]
    (1.414214, array([ True,  True]))
    """
    n = len(inner)
    origin = np.array(inner, float)
    x1, f1 = origin.copy(), np.array(value, float)
    # The other end of the bracket, and the point before; NaN while there is no bracket.
    x2, f2, x3, f3 = (np.full(n, np.nan) for _ in range(4))
    side = np.where(np.asarray(outer) >= origin, 1.0, -1.0)
    room = np.abs(np.asarray(outer, float) - origin)
    at = origin + side * np.clip(np.abs(guess - origin), 0.0, room)
    first = np.abs(at - origin)
    outcome = np.full(n, SEARCHING)
    outcome[room == 0] = BEYOND
    result = np.full(n, np.nan)
    for _ in range(most):
        lanes = np.flatnonzero(outcome == SEARCHING)
        if not lanes.size:
            break
        x = at[lanes]
        f = np.asarray(function(lanes, x), float)
        bad = np.isnan(f)
        outcome[lanes[bad]] = LOST
        lanes, x, f = lanes[~bad], x[~bad], f[~bad]

        # Still below, and nothing above is known: outwards.
        wide = np.isnan(x2[lanes]) & (f < 0)
        i, xi, fi = lanes[wide], x[wide], f[wide]
        gone = np.abs(xi - origin[i])
        outcome[i[gone >= room[i]]] = BEYOND
        with np.errstate(divide="ignore", invalid="ignore"):
            more = -fi * np.abs(xi - x1[i]) / (fi - f1[i])
        # A tenth more than a straight line says, so that it is a bracket.
        far = np.where((more > 0) & np.isfinite(more), gone + 1.1 * more, np.inf)
        at[i] = origin[i] + side[i] * np.minimum(np.clip(far, 1.1 * gone, 10 * gone), room[i])
        x1[i], f1[i] = xi, fi

        i, xi, fi = lanes[~wide], x[~wide], f[~wide]
        new = np.isnan(x2[i])
        same = ~new & ((fi < 0) == (f1[i] < 0))
        # The third point is the one that leaves the bracket.
        x3[i], f3[i] = np.where(same, x1[i], x2[i]), np.where(same, f1[i], f2[i])
        x2[i], f2[i] = np.where(same, x2[i], x1[i]), np.where(same, f2[i], f1[i])
        x1[i], f1[i] = xi, fi
        width = np.abs(x2[i] - xi)
        closest = np.where(np.abs(fi) < np.abs(f2[i]), xi, x2[i])
        allowed = tolerance * np.abs(closest - origin[i])
        # A jump may be where the search begins.
        jump = np.isinf(fi) | np.isinf(f2[i])
        allowed = np.where(jump, np.maximum(allowed, 1e-3 * tolerance * first[i]), allowed)
        done = (width <= allowed) | (fi == 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            # At a jump the last point before it is the end.
            secant = np.where(jump, np.where(np.isinf(fi), 1.0, 0.0), fi / (fi - f2[i]))
            result[i[done]] = (xi + secant * (x2[i] - xi))[done]
            outcome[i[done]] = np.where(jump, EDGE, FOUND)[done]
            secant = np.where(jump, 0.5, secant)
            t = np.where(new, secant, _quadratic(xi, fi, x2[i], f2[i], x3[i], f3[i]))
            # Half the tolerance beyond where it seems to be: the bracket closes from both sides.
            least = np.minimum(0.5 * allowed / width, 0.5)
        at[i] = xi + np.clip(t, least, 1 - least) * (x2[i] - xi)
    outcome[outcome == SEARCHING] = LOST
    return result, outcome


def _quadratic(
    x1: np.ndarray, f1: np.ndarray, x2: np.ndarray, f2: np.ndarray, x3: np.ndarray, f3: np.ndarray
) -> np.ndarray:
    """Return where the inverse parabola through three points crosses, as a fraction of x2 - x1."""
    xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
    works = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
    t = f1 / (f2 - f1) * f3 / (f2 - f3)
    t = t + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    return np.where(works & np.isfinite(t), t, 0.5)
