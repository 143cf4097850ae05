"""Nuisances of single bins, solved for exactly.

The finite size of a simulated sample gives each of its bins a factor g_s of its own, constrained to
a_s +- sigma_s. With everything else fixed the rate of a bin is rate = r + sum_s c_s g_s, and the
best factors are, with u = 1 - n/rate for n counts,

    g_s = a_s - sigma_s^2 c_s u,   clipped to their bounds,

so the rate solves a quadratic equation (Barlow and Beeston 1993, Conway arXiv:1103.0354; here with
several factors a bin). Clipped factors join r, which may need a few rounds.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis, Data
from bknn.analysis.log_density import LogDensity
from bknn.likelihood.sparse import collect, spread, take

#: Rounds in which factors may reach their bounds or leave them.
_ROUNDS = 2


def settled(analysis: Analysis | LogDensity) -> np.ndarray:
    """Return the positions, among the local entries of the structure, that can be solved for."""
    structure = analysis.structure
    return np.flatnonzero(structure.linear & np.isin(structure.local, analysis.normal[0]))


def settler(
    analysis: Analysis | LogDensity, bounds: tuple[Array, Array] | None = None
) -> Callable[[Array, Data, Array], Array]:
    """Return the function (vector, data, moving) -> vector with these nuisances at their best.

    All arguments are those of one fit: (size,), data, (size,) of bool. `bounds` are lower and upper
    ones (size,), those of the analysis by default.
    """
    which = settled(analysis)
    structure = analysis.structure
    local = structure.local[which]
    if not local.size:
        return lambda vector, data, moving: vector
    index, _, widths = analysis.normal
    position = {int(p): i for i, p in enumerate(index)}
    measured = np.array([position[int(p)] for p in local])
    variance = widths[measured] ** 2
    lower, upper = bounds or analysis.bounds.T
    low, high = (take(jnp.asarray(x), local) for x in (lower, upper))
    bins, n_bins = structure.local_bin[which], analysis.n_bins
    # Where each entry of the vector stands in [those settled, vector].
    back = len(local) + np.arange(analysis.size)
    back[local] = np.arange(len(local))

    def settle(vector: Array, data: Data, moving: Array) -> Array:
        rates, slopes = analysis.local_derivatives(vector)
        c, now = take(slopes, which), take(vector, local)
        a = take(jnp.asarray(data.normal), measured)
        n = jnp.asarray(data.counts)
        floats = take(moving, local)
        r = rates - collect(c * now, bins, n_bins)
        # Where they were, as a guess of which are at their bounds.
        free = floats & (now > low) & (now < high)
        value = jnp.where(floats, jnp.clip(now, low, high), now)
        for _ in range(_ROUNDS):
            spreads = collect(jnp.where(free, c**2 * variance, 0.0), bins, n_bins)
            # rate^2 - b rate - spreads n = 0
            b = r - spreads + collect(c * jnp.where(free, a, value), bins, n_bins)
            root = jnp.sqrt(b**2 + 4 * spreads * n)
            # The larger root, without cancellation.
            rate = jnp.where(b >= 0, 0.5 * (b + root), _ratio(2 * spreads * n, root - b))
            u = jnp.where(n == 0, 1.0, 1.0 - _ratio(n, rate))
            wanted = a - variance * c * spread(u, bins)
            value = jnp.where(floats, jnp.clip(wanted, low, high), now)
            free = floats & (wanted == value)
        return take(jnp.concatenate([value, vector]), back)

    return settle


def _ratio(a: Array, b: Array) -> Array:
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1.0), 0.0)
