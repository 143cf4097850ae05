"""Where a posterior is highest: all parameters together, or one alone."""

from __future__ import annotations

import numpy as np
import numpyro.distributions as dist

from bknn.analysis import Analysis
from bknn.inference.density import curve, span
from bknn.inference.fit import LogDensity, fit
from bknn.priors import support_bounds


def joint_mode(analysis: Analysis, moving: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the maximum (size,) of likelihood times priors near a start (size,).

    With uniform priors this is a fit, where it ends within them.
    """
    own = [p for i, p in enumerate(analysis.parameters) if moving[i] and p.constraint is None]
    flat = all(p.distribution is None or isinstance(p.distribution, dist.Uniform) for p in own)
    # Entry by entry: of a set that comes one a bin, some may be held and others not.
    held = {analysis.names[i]: start[i] for i in np.flatnonzero(~moving & ~analysis.fixed)}
    if flat:
        result = fit(analysis, fixed=held, init=_by_name(analysis, start, moving))
        if result.converged and _inside(analysis, own, result.vector):
            return result.vector
    # The bounds of the priors, too: in units of the draws' widths anything else converges slowly.
    lower, upper = analysis.bounds.T.copy()
    for p in own:
        if p.distribution is not None:
            i = analysis.index(p.name)
            low, high = support_bounds(p.distribution)
            lower[i], upper[i] = max(lower[i], low), min(upper[i], high)
    lower[~moving] = upper[~moving] = start[~moving]
    index = np.flatnonzero(moving)
    names = [f"x{i}" for i in index]
    widths = _widths(analysis)[index]

    def density(params):  # type: ignore[no-untyped-def]
        import jax.numpy as jnp

        moved = jnp.stack([params[name] for name in names])
        return analysis.log_posterior(jnp.asarray(start).at[index].set(moved * widths))

    scaled = LogDensity(
        density,
        dict(zip(names, np.clip(start, lower, upper)[index] / widths, strict=True)),
        {
            name: (lower[i] / w, upper[i] / w)
            for name, i, w in zip(names, index, widths, strict=True)
        },
    )
    result = fit(scaled)
    found = start.copy()
    found[index] = result.vector * widths
    return found


def _by_name(analysis: Analysis, vector: np.ndarray, which: np.ndarray) -> dict[str, np.ndarray]:
    """Return {name: value} of the parameters and sets of which some entry is chosen."""
    chosen = {}
    for name, value in analysis.unflatten(vector).items():
        where = analysis.nuisances.get(name)
        index = slice(i := analysis.index(name), i + 1) if where is None else where
        if np.any(which[index]):
            chosen[name] = np.asarray(value)
    return chosen


def _inside(analysis: Analysis, own: list, vector: np.ndarray) -> bool:
    for p in own:
        if p.distribution is not None:
            low, high = support_bounds(p.distribution)
            if not low <= vector[analysis.index(p.name)] <= high:
                return False
    return True


def _widths(analysis: Analysis) -> np.ndarray:
    """Return how far each parameter may go, roughly (size,)."""
    lower, upper = analysis.bounds.T
    finite = np.isfinite(upper) & np.isfinite(lower)
    width = np.where(finite, 0.1 * (np.where(finite, upper - lower, 1.0)), 1.0)
    for i, p in enumerate(analysis.parameters):
        if p.constraint is None and p.distribution is not None:
            low, high = support_bounds(p.distribution)
            if np.isfinite(low) and np.isfinite(high):
                width[i] = 0.1 * (high - low)
    index, _, sigma = analysis.normal
    width[index] = sigma
    return width


def marginal_mode(values: np.ndarray, ends: tuple[float, float]) -> float:
    """Return where the density of draws (n,) between two ends is highest.

    Its error is some tenth of the width of the distribution for a thousand draws.
    """
    values = np.asarray(values, float).reshape(-1)
    if not np.ptp(values) > 0:
        return float(values[0])
    x, density = curve(values, span(values, ends))
    return float(x[np.argmax(density)])
