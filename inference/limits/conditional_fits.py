"""Fits with one parameter held, at the points of a grid, on any data: what limits are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference.datasets import throw
from bknn.inference.fits import many
from bknn.inference.fits.fit import checked_data, compiled, starting_points
from bknn.inference.minimiser.newton import CONVERGED, NOT_FINITE
from bknn.inference.pieces import Progress, Work
from bknn.parameters import real
from bknn.programs import Program


class Fits(NamedTuple):
    """Minima of -2 log likelihood: vectors (n, size), values (n,), and which to believe (n,).

    The value is infinite where nothing has a likelihood with the parameter of interest held.
    """

    vector: np.ndarray
    twice_nll: np.ndarray
    ok: np.ndarray


class Toys(NamedTuple):
    """Of n data sets: the best fit of the parameter (n,), -2 log L of k tested values above that of
    the best fit (k, n), and whether all these fits converged (n,)."""

    best: np.ndarray
    above: np.ndarray
    ok: np.ndarray


class Ensemble(NamedTuple):
    """Toys to throw: at which point of the grid and vector (size,), how many, of which seed; values
    of the parameter to test on them (k,), and where the fits of these begin (k, size)."""

    point: int
    truth: np.ndarray
    n: int
    seed: int
    values: np.ndarray
    vectors: np.ndarray


#: Fits are this exact: with few counts toys that equal the observation have to count as equal.
EQUAL = 1e-6

#: So many toys are in memory at once.
_TOGETHER = 2048


class Conditional:
    """An analysis with one parameter of interest, at each of n points.

    Args:
        analysis: what is fitted.
        poi: name of the parameter of interest.
        over: {name: values (n,)} of parameters that are fixed at each point; empty for one point.
        fixed: {name: value} of further parameters that do not float.
        lowest: smallest value of the parameter of interest that makes sense; its lower bound if
            None.
        rows: how many fits come at once, at least; fewer are filled up, so that one compiled
            program serves all.
        progress: is told how many more fits are done.
        work: keeps ensembles of toys that are done, or has them done elsewhere.

    Raises:
        UnknownNameError, ParameterError: names the analysis does not have, lists of different
            lengths, values outside of the bounds.
    """

    def __init__(
        self,
        analysis: Analysis,
        poi: str,
        over: Mapping[str, ArrayLike] | None = None,
        fixed: Mapping[str, ArrayLike] | None = None,
        *,
        lowest: float | None = None,
        rows: int = 1,
        progress: Progress | None = None,
        work: Work | None = None,
    ) -> None:
        self.analysis, self.poi, self.progress = analysis, poi, progress
        self.work, self._calls = work or Work(), 0
        self.index = analysis.index(poi)
        self.grid, held = _held(poi, over or {}, fixed or {})
        self.fixed = {name: np.asarray(value).tolist() for name, value in (fixed or {}).items()}
        self.bound_low, self.bound_high = (float(b) for b in analysis.bounds[self.index])
        self.lowest = self.bound_low if lowest is None else float(real(poi, lowest))
        if not self.bound_low <= self.lowest < self.bound_high:
            raise errors.ParameterError(
                f"{poi} = {self.lowest:g} does not lie within the bounds [{self.bound_low:g}, "
                f"{self.bound_high:g}] with values above it; limits and intervals start there."
            )
        start = self.lowest if np.isfinite(self.lowest) else float(analysis.init_vector[self.index])
        self._free, self._free_moving, _ = starting_points(analysis, held, {})
        self._held, self._held_moving, _ = starting_points(analysis, {**held, poi: start}, {})
        self.n = max((len(v) for v in self.grid.values()), default=1)
        self.each, self.rows = rows, rows * self.n
        self._program = compiled(analysis)

    def floats(self, name: str) -> bool:
        """Whether a parameter floats where the parameter of interest is held."""
        return bool(self._held_moving[self.analysis.index(name)])

    @property
    def floating(self) -> np.ndarray:
        """Whether each entry of a vector floats in some fit (size,)."""
        return np.asarray(self._free_moving | self._held_moving)

    def observation(self, data: Data | None) -> Data:
        """Return the data that limits are asked for, after a look at their shape."""
        data = self.analysis.data if data is None else checked_data(data, self.analysis)
        if np.ndim(data.counts) > 1:
            raise errors.ParameterError(
                f"{len(data.counts)} data sets came; a limit is that of one. Ask for one after "
                "the other."
            )
        return Data(*(np.asarray(x, float) for x in data))

    def at(self, points: np.ndarray, values: ArrayLike, data: Data, warm: np.ndarray) -> Fits:
        """Fit with the parameter of interest held.

        Args:
            points: numbers of the grid points (m,).
            values: of the parameter of interest (m,).
            data: one set (n,), or one each (m, n).
            warm: vectors (m, size) to start from, beside the starts that parameters have.
        """
        own = self._held[points]
        # Several starts stand for several minima, which must not be left out.
        starts = [warm[:, None, :]] + ([own] if own.shape[1] > 1 else [])
        found = self._run(np.concatenate(starts, axis=1), values, data, self._held_moving)
        lost = np.flatnonzero(~found.ok)
        if lost.size:
            # Once more, from the beginning.
            some = Data(*(x[lost] if np.ndim(x) == 2 else x for x in data))
            values = np.broadcast_to(values, len(points))[lost]
            again = self._run(own[lost], values, some, self._held_moving)
            for old, new in zip(found, again, strict=True):
                old[lost[again.ok]] = new[again.ok]
        return found

    def first(self, points: np.ndarray, values: ArrayLike, data: Data) -> Fits:
        """Fit with the parameter of interest held, from the starts of the analysis."""
        return self._run(self._held[points], values, data, self._held_moving)

    def free(
        self, points: np.ndarray, data: Data, warm: np.ndarray, *, alike: bool = False
    ) -> Fits:
        """Fit with the parameter of interest floating.

        Args:
            points, data: as for `at`.
            warm: vectors (m, starts, size) to start from.
            alike: whether these are as good as the start of the analysis, if there is one only.
        """
        alike = alike and self._free.shape[1] == 1
        starts = warm if alike else np.concatenate([warm, self._free[points]], axis=1)
        found = self._run(starts, None, data, self._free_moving)
        below = np.flatnonzero(found.vector[:, self.index] < self.lowest)
        if below.size:
            # Values below the lowest make no sense: the best of those that do is the lowest.
            some = Data(*(x[below] if np.ndim(x) == 2 else x for x in data))
            at_lowest = self.at(points[below], self.lowest, some, found.vector[below])
            for old, new in zip(found, at_lowest, strict=True):
                old[below] = new
        return found

    def _run(
        self, starts: np.ndarray, values: ArrayLike | None, data: Data, moving: np.ndarray
    ) -> Fits:
        n, n_starts, _ = starts.shape
        starts = np.array(starts, float)
        if values is not None:
            starts[:, :, self.index] = np.broadcast_to(np.asarray(values, float), n)[:, None]
        best, _ = many.run(
            self._program,
            starts,
            data,
            moving,
            fill=self.rows * n_starts,
            progress=self.progress,
        )
        ok = (best.outcome == CONVERGED) & np.isfinite(best.value)
        if values is not None:
            ok |= (best.outcome == NOT_FINITE) & np.isposinf(best.value)
        return Fits(np.array(best.vector), 2 * np.asarray(best.value), np.array(ok))

    def toys(self, ensembles: Sequence[Ensemble]) -> list[Toys]:
        """Throw data sets at points of the grid, and test values of the parameter on each."""
        tasks = [
            {
                "poi": self.poi,
                "over": {name: float(values[e.point]) for name, values in self.grid.items()},
                "fixed": self.fixed,
                "lowest": self.lowest,
                "rows": self.each,
                **e._replace(point=0)._asdict(),
            }
            for e in ensembles
        ]
        # Calls come in an order that does not depend on who computes.
        place = self.work.within(f"{self._calls:05d}")
        self._calls += 1
        sizes = [e.n * (len(e.values) + 1) for e in ensembles]
        found = place.run(_piece, self.analysis, tasks, sizes=sizes, progress=self.progress)
        return [Toys(**arrays) for arrays in found]

    def thrown(self, ensemble: Ensemble) -> Toys:
        """Throw an ensemble of toys and fit it, here."""
        point, truth, n, seed, values, vectors = ensemble
        size, index, k = len(truth), self.index, len(values)
        parts: list[Toys] = []
        for first in range(0, n, _TOGETHER):
            m = min(_TOGETHER, n - first)
            data = throw(self.analysis, truth, m, seed=seed, first=first)
            where = np.full(m, point)
            best = self.free(where, data, np.tile(truth, (m, 1, 1)), alike=True)
            tested = self.at(
                np.full(m * k, point),
                np.repeat(values, m),
                Data(*(np.tile(x, (k, 1)) for x in data)),
                np.repeat(vectors.reshape(k, size), m, axis=0),
            )
            level, ok = tested.twice_nll.reshape(k, m), tested.ok.reshape(k, m)
            # A value that fits better than the best fit is the best fit.
            all_levels = np.vstack([np.where(best.ok, best.twice_nll, np.inf)[None, :], level])
            lowest = np.argmin(np.where(np.isfinite(all_levels), all_levels, np.inf), axis=0)
            all_values = np.vstack([best.vector[None, :, index], np.tile(values[:, None], m)])
            columns = np.arange(m)
            best_level = all_levels[lowest, columns]
            good = best.ok & ok.all(axis=0)
            above = np.where(good[None, :], level - best_level[None, :], np.nan)
            parts.append(Toys(all_values[lowest, columns], above, good))
        return Toys(*(np.concatenate(x, axis=-1) for x in zip(*parts, strict=True)))

    def distance(self, vectors: np.ndarray, sigmas: float, side: float = 1.0) -> np.ndarray:
        """Return how far from `vectors` (m, size) the parameter of interest may go until the rates
        have changed by this many statistical standard deviations (m,): where to look first."""
        i, bound = self.index, (self.bound_high if side > 0 else self.bound_low)
        centre = vectors[:, i]
        room = np.abs(bound - centre)
        size = max(abs(float(self.analysis.init_vector[i])), float(np.abs(centre).max()), 1e-3)
        room = np.where(np.isfinite(room), room, 1e6 * size)
        steps = room[:, None] * np.geomspace(1e-9, 1.0, 73)[None, :]
        changes = np.asarray(_changes(self.analysis)(vectors, side * steps, i))
        changes = np.where(np.isfinite(changes), changes, np.inf)
        first = np.argmax(changes >= sigmas, axis=1)
        first = np.where((changes >= sigmas).any(axis=1), first, steps.shape[1] - 1)
        rows = np.arange(len(vectors))
        reached, step = changes[rows, first], steps[rows, first]
        # Along a straight line from nothing, if it is one.
        ok = np.isfinite(reached) & (reached > sigmas)
        return np.where(ok, step * sigmas / np.where(ok, reached, 1.0), step)


def _piece(
    analysis: Analysis,
    *,
    poi: str,
    over: Mapping[str, float],
    fixed: Mapping[str, ArrayLike],
    lowest: float,
    rows: int,
    progress: Progress | None,
    **ensemble: Any,
) -> dict[str, np.ndarray]:
    """Return the fields of the toys of an ensemble."""
    fits = Conditional(analysis, poi, over, fixed, lowest=lowest, rows=rows, progress=progress)
    return fits.thrown(Ensemble(**ensemble))._asdict()


def seed_of(seed: int, *numbers: int) -> int:
    """Return the seed of the toys thrown at one of many points: all are independent."""
    return int(np.random.SeedSequence((seed, *numbers)).generate_state(1)[0])


def _held(
    poi: str, over: Mapping[str, ArrayLike], fixed: Mapping[str, ArrayLike]
) -> tuple[dict[str, np.ndarray], dict[str, ArrayLike]]:
    """Return the grid, and all parameters that are held at its points."""
    for name in (*over, *fixed):
        if name == poi:
            raise errors.ParameterError(
                f"{poi!r} is the parameter of interest; it cannot be fixed as well."
            )
    grid = {name: np.atleast_1d(np.asarray(real(name, x), float)) for name, x in over.items()}
    for name, values in grid.items():
        if name in fixed:
            raise errors.ParameterError(
                f"{name!r} is on the grid and fixed as well; leave out one of them."
            )
        if values.ndim != 1 or not values.size:
            raise errors.ParameterError(
                f"the grid of {name!r} has the shape {values.shape}; give a list of values."
            )
    return grid, {**fixed, **grid}


def _changes(analysis: Analysis) -> Program:
    """The compiled function (vectors (n, size), steps (n, k), index) -> changes of the rates (n, k)
    when that entry of the vector moves."""
    density = analysis.density

    def one(vector: jax.Array, steps: jax.Array, index: jax.Array) -> jax.Array:
        before = density.rates(vector)
        after = jax.vmap(lambda h: density.rates(vector.at[index].add(h)))(steps)
        safe = jnp.maximum(before, 1e-3)[None, :]
        return jnp.sqrt(jnp.sum((after - before[None, :]) ** 2 / safe, axis=1))

    return analysis.programs.get(
        "changes of the rates", None, lambda: jax.vmap(one, in_axes=(0, 0, None))
    )
