"""Where a posterior is highest: all parameters together, or one alone."""

from __future__ import annotations

import numpy as np
import numpyro.distributions as dist

from bknn.analysis.analysis import Analysis
from bknn.inference.fits.fit import fit
from bknn.inference.posteriors.smoothing import curve, span
from bknn.parameters import Parameter
from bknn.priors import log_density, support_bounds


def joint_mode(
    analysis: Analysis, moving: np.ndarray, starts: np.ndarray, widths: np.ndarray
) -> np.ndarray:
    """Return the highest maximum (size,) of likelihood times priors near some starts (n, size).

    With uniform priors this is a fit, where it ends within them. Otherwise the model's own
    parameters are searched, with all others fitted at each point.

    Args:
        starts: the first is the best.
        widths: of the posterior (size,), the first steps of the search.
    """
    from scipy.optimize import minimize  # takes a tenth of a second

    # Entry by entry: of a set that comes one a bin, some may be held and others not.
    start = starts[0]
    held = {analysis.names[i]: start[i] for i in np.flatnonzero(~moving & ~analysis.fixed)}
    own = [(i, p) for i, p in enumerate(analysis.parameters) if moving[i] and p.constraint is None]
    if all(p.distribution is None or isinstance(p.distribution, dist.Uniform) for _, p in own):
        # A bound may hold a maximum of its own; the model's own starts may find another.
        fits = [fit(analysis, fixed=held)]
        fits += [
            fit(analysis, fixed=held, init={p.name: x[i] for i, p in own}) for x in starts if own
        ]
        best = min((f for f in fits if f.converged), key=lambda f: f.twice_nll, default=fits[0])
        if best.converged and all(_inside(p, best.vector[i]) for i, p in own):
            return best.vector
    index = np.array([i for i, _ in own])
    scale = np.where(widths[index] > 0, widths[index], 1.0)

    def at(x: np.ndarray) -> tuple[float, np.ndarray]:
        """-log posterior of the best that the others can do, and where that is."""
        values = dict(zip((p.name for _, p in own), x * scale, strict=True))
        result = fit(analysis, fixed={**held, **values})
        prior = sum(
            float(log_density(p.distribution, values[p.name])) for _, p in own if p.distribution
        )
        return 0.5 * float(result.twice_nll) - prior, result.vector

    ends = [_ends(analysis, i, p) for i, p in own]
    found = minimize(
        lambda x: at(x)[0],
        start[index] / scale,
        method="Nelder-Mead",
        bounds=[(low / s, high / s) for (low, high), s in zip(ends, scale, strict=True)],
        options={"xatol": 1e-4, "fatol": 1e-7, "maxfev": 200 * len(own)},
    )
    return at(found.x)[1]


def _ends(analysis: Analysis, i: int, parameter: Parameter) -> tuple[float, float]:
    lower, upper = (float(x) for x in analysis.bounds[i])
    if parameter.distribution is None:
        return lower, upper
    low, high = support_bounds(parameter.distribution)
    return max(lower, low), min(upper, high)


def _inside(parameter: Parameter, value: float) -> bool:
    if parameter.distribution is None:
        return True
    low, high = support_bounds(parameter.distribution)
    return low <= value <= high


def marginal_mode(values: np.ndarray, ends: tuple[float, float]) -> float:
    """Return where the density of draws (n,) between two ends is highest.

    Its error is some tenth of the width of the distribution for a thousand draws.
    """
    values = np.asarray(values, float).reshape(-1)
    if not np.ptp(values) > 0:
        return float(values[0])
    x, density = curve(values, span(values, ends))
    return float(x[np.argmax(density)])
