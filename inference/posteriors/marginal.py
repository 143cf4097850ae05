"""The posterior of a few parameters on a grid, nuisances integrated out by Laplace's method.

At each point of the grid the nuisances' posterior is taken for a normal one around its maximum. In
coordinates in which their priors are standard normal (`coordinates`) that costs a few Fisher steps
and the determinant of a matrix as small as there are bins:

    log p(counts | theta) = log p(counts | theta, z) - z^2 / 2 - log det(1 + A A^T) / 2,

A = sqrt(n) / r dr/dz at the maximum. Thousands of points take a second; chains say how good it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.inference.fits import many
from bknn.inference.fits.fit import starting_points
from bknn.inference.minimiser.fisher import inverse
from bknn.inference.pieces import Progress
from bknn.inference.posteriors.on_grid import _MOST, Marginal
from bknn.inference.samplers.chart import Chart, Values
from bknn.inference.samplers.coordinates import Coordinates
from bknn.inference.samplers.whitening import Slopes
from bknn.priors import log_density

#: Points that are computed together.
_TOGETHER = 64

_STEPS = 40


def marginal(
    analysis: Analysis,
    over: Mapping[str, ArrayLike],
    *,
    fixed: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> Marginal:
    """Compute the posterior of a few parameters on a grid, the others integrated out.

    Args:
        analysis: what was measured.
        over: {name: values (points,)} of one to three parameters of the model; the grid should
            cover where the prior and the likelihood have their weight.
        fixed: {name: value} of parameters that do not float.
        progress: is called with the number of points that are done.

    Raises:
        UnknownNameError, ParameterError: names or values that do not fit.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> import numpy as np
        >>> from bknn import inference, models
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> analysis = bknn.Analysis(models.load("signal-strength"), belle2)
        >>> found = inference.marginal(analysis, {"mu": np.linspace(-2, 12, 57)})
        >>> round(found.mean("mu"), 1)
        4.5
    """
    grid = {name: np.sort(np.asarray(values, float)) for name, values in over.items()}
    if not grid:
        raise errors.ParameterError("no parameter was given to scan; give `over` at least one.")
    index = [analysis.index(name) for name in grid]
    if len(grid) > _MOST:
        raise errors.ParameterError(
            f"the grid has {len(grid)} parameters ({', '.join(grid)}); it may have {_MOST}. Fix "
            "some, leave them to Laplace's method, or draw chains."
        )
    for name, values in grid.items():
        if name in (fixed or {}):
            raise errors.ParameterError(f"{name} is fixed and on the grid; leave one out.")
        if len(np.unique(values)) < max(len(values), 3):
            raise errors.ParameterError(
                f"the grid of {name} has {len(np.unique(values))} different values of "
                f"{len(values)}; give at least 3, and each of them once."
            )
    points = np.stack([x.reshape(-1) for x in np.meshgrid(*grid.values(), indexing="ij")], axis=1)
    known = {p.name: p for p in analysis.parameters}
    for name, values in grid.items():
        if name not in known or known[name].constraint is not None:
            raise errors.ParameterError(
                f"{name!r} has a constraint instead of a prior; grids are over parameters of the "
                "model that have none."
            )
        known[name].check(values[0])
        known[name].check(values[-1])
    held = {**(fixed or {}), **{name: float(known[name].init) for name in grid}}
    starts, moving, _ = starting_points(analysis, held, {})
    coordinates = Coordinates(analysis, moving, starts[0, 0])
    chart = coordinates.chart
    counts = np.asarray(analysis.data.counts, float)
    program = analysis.programs.get(
        "marginal",
        (tuple(index), chart.structure),
        lambda: _program(chart, np.array(index)),
    )
    parts = [
        np.minimum(np.arange(first, first + _TOGETHER), len(points) - 1)
        for first in range(0, len(points), _TOGETHER)
    ]

    def one(part: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, ...]:
        value, matrix, done, z = program(
            points[part], np.tile(start, (len(part), 1)), counts, coordinates.values
        )
        # On the host: determinants of many small matrices may never end in XLA's threads.
        found = np.asarray(value) - 0.5 * np.linalg.slogdet(np.asarray(matrix))[1]
        if progress is not None:
            progress(len(np.unique(part)))
        return found, np.asarray(done), np.asarray(z)[int(np.argmax(found))]

    # The middle first: where it ends, the others begin.
    start = coordinates.standard(starts[0, 0], 3.0)
    parts = sorted(parts, key=lambda part: abs(int(part[0]) - len(points) // 2))
    results = [one(part, start) for part in parts[:1]]
    with ThreadPoolExecutor(many.workers()) as pool:
        results += pool.map(lambda part: one(part, results[0][2]), parts[1:])
    order = np.argsort([part[0] for part in parts])
    shape = tuple(len(x) for x in grid.values())
    logs, done = (
        np.concatenate([results[k][field] for k in order])[: len(points)].reshape(shape)
        for field in (0, 1)
    )
    logs = logs - float(analysis.data_distribution.norm(np.asarray(analysis.data.counts)))
    prior = np.zeros(shape)
    for axis, (i, x) in enumerate(zip(index, grid.values(), strict=True)):
        distribution = analysis.parameters[i].distribution
        if distribution is None:
            raise errors.ParameterError(
                f"parameter {analysis.names[i]!r} has no proper prior; give it one."
            )
        own = np.asarray(log_density(distribution, jnp.asarray(x)))
        prior = prior + own.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    fixed_too = {
        name: float(x)
        for i, (name, x, moves) in enumerate(zip(analysis.names, starts[0, 0], moving, strict=True))
        if not moves and i not in index
    }
    found = Marginal(analysis, grid, logs, prior, done, fixed_too)
    if not np.isfinite(found.log_evidence):
        raise errors.ParameterError(
            "the posterior has no finite integral over the grid: the prior vanishes on all of it, "
            "or has a pole at one of its points; choose another grid, or another prior."
        )
    return found


def _program(chart: Chart, own: np.ndarray) -> Callable[..., Any]:
    """Return the maximum over the nuisances, for points side by side, as a function of those, of
    where to begin, of the counts, and of the values of the coordinates."""
    density, n_bins = chart.density, chart.density.n_bins
    slopes = Slopes(chart)

    def look(point: Array, z: Array, counts: Array, values: Values) -> tuple[Array, ...]:
        """-log posterior, the step to its minimum and what that promises, A, rates."""

        def placed(z: Array) -> tuple[Array, Array]:
            vector, weight = chart.natural(z, values)
            return vector.at[own].set(point), weight

        value, gradient, columns, local, rates = slopes.at(placed, counts, z)
        # (1 + A^T A)^-1 by Woodbury.
        solved = inverse(slopes.squared(columns, local)) @ slopes.forth(columns, local, gradient)
        move = slopes.back(columns, local, solved) - gradient
        return value, move, -jnp.sum(gradient * move), columns, local, rates

    over_points = jax.vmap(look, (0, 0, None, None))

    def program(
        points: Array, start: Array, counts: Array, values: Values
    ) -> tuple[Array, Array, Array, Array]:
        n_points = len(points)

        def step(carry: tuple[Array, _Climb]) -> tuple[Array, _Climb]:
            count, s = carry
            new = s.z + s.length[:, None] * s.move
            value, move, promise, columns, local, rates = over_points(points, new, counts, values)
            ok = (value <= s.value - 1e-4 * s.length * s.promise) | jnp.isinf(s.value)
            # A normal number changes by two at most.
            reach = 2.0 / jnp.max(jnp.abs(move), axis=1, initial=1e-9)
            length = jnp.minimum(1.0, reach)

            def pick(new: Array, old: Array) -> Array:
                return jnp.where(ok.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

            found = _Climb(new, value, move, promise, columns, local, rates, length)
            failed = s._replace(length=0.5 * s.length)
            return count + 1, _Climb(*(pick(x, y) for x, y in zip(found, failed, strict=True)))

        def going(carry: tuple[Array, _Climb]) -> Array:
            count, s = carry
            return (count < _STEPS) & jnp.any((s.promise > _TINY) & (s.length > _SHORT))

        # The first step stays where it is.
        none = jnp.zeros(n_points)
        state = _Climb(
            start,
            none + jnp.inf,
            jnp.zeros_like(start),
            none + jnp.inf,
            jnp.zeros((n_points, n_bins, len(slopes.shared))),
            jnp.zeros((n_points, len(slopes.local))),
            jnp.ones((n_points, n_bins)),
            none + 1.0,
        )
        _, s = jax.lax.while_loop(going, step, (jnp.zeros((), int), state))
        # The observed information, not the expected one.
        distribution = density.data_distribution
        ratio = jax.vmap(
            lambda rates: (
                jnp.sqrt(distribution.information(counts, rates, 1e-12))
                * distribution.resolution(rates, 1e-12)
            )
        )(s.rates)
        matrix = jax.vmap(slopes.squared)(
            s.columns * ratio[:, :, None], s.local * ratio[:, slopes.bin]
        )
        return -s.value, matrix, (s.promise < 1e-4) | (s.length <= _SHORT), s.z

    return program


class _Climb(NamedTuple):
    """Of points side by side: where each is, and the step it will try."""

    z: Array
    value: Array
    move: Array
    promise: Array
    columns: Array
    local: Array
    rates: Array
    length: Array


#: A step that promises less, or is shorter, is the last.
_TINY, _SHORT = 1e-6, 1e-6
