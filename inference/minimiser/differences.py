"""Second derivatives of a signal as differences of first ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bknn.inference.minimiser.tangent import Local
from bknn.parameters import Parameter

#: Steps, in units of a parameter or of its uncertainty.
_STEP = 1e-4


def by_differences(
    slopes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    vector: np.ndarray,
    parameters: Sequence[Parameter],
    bounds: np.ndarray,
) -> Local:
    """Return a signal at a vector (size,), with second derivatives.

    Args:
        slopes: values (n, values) and derivatives (n, values, room) at vectors (n, size).
        vector: where; the first entries are the parameters of the model.
        parameters: of the model (p,).
        bounds: of these (p, 2); next to one the difference is one-sided.
    """
    n = len(parameters)
    x, (lower, upper) = vector[:n], bounds.T
    widths = [p.constraint[1] if p.constraint else abs(p.init) for p in parameters]
    steps = _STEP * np.maximum(np.abs(x), widths)
    up, down = np.minimum(x + steps, upper), np.maximum(x - steps, lower)
    points = np.tile(vector, (1 + 2 * n, 1))
    entry = np.arange(n)
    points[1 + entry, entry], points[1 + n + entry, entry] = up, down
    value, slope = slopes(points)
    bend = np.zeros((*slope.shape[1:], slope.shape[2]))
    change = np.moveaxis(slope[1 : 1 + n] - slope[1 + n :], 0, 2)
    bend[:, :, :n] = change / np.where(up > down, up - down, 1.0)
    bend = 0.5 * (bend + bend.transpose(0, 2, 1))
    return Local(vector[: slope.shape[2]], value[0], slope[0], bend)
