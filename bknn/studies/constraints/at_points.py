"""What a model says at many points: data sets without counts, and its lines for those with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.analysis.quantity_limits import limit
from bknn.analysis.signal import Signal
from bknn.data import LimitTable, Measurement
from bknn.inference.pieces import Progress
from bknn.parameters import Parameter, point
from bknn.prediction import at_point
from bknn.prediction.at_once import at_once
from bknn.prediction.checks import check_point
from bknn.prediction.derived import quantities
from bknn.spectrum import Spectrum
from bknn.studies.constraints import one_line
from bknn.studies.constraints.sides import at_sides

#: Points that are computed together: few enough for what they need to stay in the cache.
_CHUNK = 128

#: Stands for a rate of 0 where its logarithm is taken.
_NO_RATE = 1e-300


class Told(NamedTuple):
    """What one program says of points (n,): `delta` (n, sets), `ratios` (n, bounds), `quantities`
    (n, lines), lines of decays as (n, decays, 3) with mass, rate and width, changes of the
    logarithm of the rates by each nuisance (n, nuisances, decays), and low-energy parameters."""

    delta: Any
    ratios: Any
    quantities: Any
    lines: Any
    slopes: Any
    effective: Any


class Points:
    """The program behind a plane.

    Attributes:
        values: of all parameters of the model, where they are held.
        given: names of those that were given.
        nuisances: names of what has a constraint and is not held.
        sets: of each data set without counts, where its numbers stand among all results.
        bounds: the tables of each of them that consists of bounds of theory.
        lines: names of the data sets with counts for which one line says all.
    """

    def __init__(
        self,
        target: Analysis,
        names: Sequence[str],
        held: Mapping[str, float],
        wanted: Sequence[str],
        middle: Sequence[float],
    ) -> None:
        self.target, self.names, self.wanted = target, tuple(names), tuple(wanted)
        self.given = tuple(held)
        model, kept = target.model, {*names, *held}
        every = [p for p in target.parameters if p.name not in kept]
        constrained: list[Parameter] = [p for p in every if p.constraint is not None]
        self.nuisances = tuple(p.name for p in constrained)
        self._widths = np.array([p.constraint[1] for p in constrained if p.constraint])
        self.values = {
            k: float(v)
            for k, v in point(model, {**dict(zip(names, middle, strict=True)), **held}).items()
        }
        for p in constrained:
            self.values[p.name] = float(p.constraint[0]) if p.constraint else 0.0
        self._base = {p.name: self.values[p.name] for p in target.parameters}
        self._steps = dict(zip(self.nuisances, self._widths, strict=True))
        self.sets = {k: v for k, v in _numbers(target.measurements).items() if len(v)}
        self.bounds = {
            m.name: tuple(c for c in m.curves if isinstance(c, LimitTable))
            for m in target.measurements
            if m.name in self.sets
            and len(self.sets[m.name]) == len(m.curves)
            and all(isinstance(c, LimitTable) and c.kind == "bound" for c in m.curves)
        }
        counted = [m for m in target.measurements if m.workspace]
        self.lines = [m.name for m in counted if one_line.suffices(model, m, tuple(kept))]
        self.decays = tuple(
            dict.fromkeys(m.decay(c) for m in counted if m.name in self.lines for c in m.signal)
        )

    def refused(self, grid: np.ndarray) -> tuple[np.ndarray, str]:
        """Return at which points of a grid (n, 2) the model refuses its parameters, (n,) of bool,
        and why at the first of them.

        Raises:
            ParameterError: it does at all of them.
        """
        found = np.zeros(len(grid), bool)
        problem: errors.ParameterError | None = None
        for i, row in enumerate(grid.tolist()):
            try:
                values = {**self.values, **dict(zip(self.names, row, strict=True))}
                check_point(self.target.model, values, remarks=False)
            except errors.ParameterError as this:
                found[i], problem = True, problem or this
        if problem is None:
            return found, ""
        if found.all():
            raise problem
        return found, f"At {int(found.sum())} of {len(grid)} points there is no model: {problem}"

    def at(self, grid: np.ndarray, progress: Progress | None) -> Told:
        """Return what is to be said of the points of a grid (n, 2)."""
        program = jax.jit(jax.vmap(self._point(), in_axes=(None, 0)))
        found = []
        for first in range(0, len(grid), _CHUNK):
            part = grid[first : first + _CHUNK]
            filled = np.concatenate([part, np.repeat(part[-1:], _CHUNK - len(part), axis=0)])
            whole = program(self._base, filled if len(grid) > _CHUNK else part)
            found.append(jax.tree.map(np.asarray, whole))
            if progress is not None:
                progress(len(part))
        return jax.tree.map(lambda *x: np.concatenate(x)[: len(grid)], *found)

    def _point(self) -> Callable[[dict[str, Array], Array], Told]:
        target = self.target
        results, model = target.results, target.model
        signal = Signal(model, target.parameters, target.constants, (), results)
        observed, below, above = (
            jnp.asarray(x) for x in (results.observed, results.below, results.above)
        )
        curves = _numbers_of_curves(target.measurements)
        names = [name for t in self.bounds.values() for b in t for name in b.quantities]
        names += self.wanted

        def look(moving: dict[str, Array]) -> tuple[tuple[Array, Array], dict[str, Any]]:
            """Return what nuisances move, and what is asked for at their centres alone."""
            values: dict[str, Any] = {**target.constants, **moving}
            here = at_point(model, values)
            once: Any = _Once(here)
            spectra = signal.spectra(values, here)
            lines = [_line(spectra(decay)) for decay in self.decays]
            line = jnp.stack(lines) if lines else jnp.zeros((0, 3))
            uses = at_once([(spectra(decay), use) for decay, use in results.uses(model)])
            low = one_line.at_low_energies(here, values) if self.decays else {}
            expected = results.expected(once, values, uses) if results else jnp.zeros(0)
            return (expected, jnp.log(jnp.maximum(line[:, 1], _NO_RATE))), {
                "line": line,
                "inside": results.inside(once, values, spectra),
                "named": quantities(once, names, values),
                "low": {name: jnp.asarray(x, float) for name, x in low.items()},
            }

        def one(base: dict[str, Array], where: Array) -> Told:
            centre = base | {name: where[i] for i, name in enumerate(self.names)}
            (expected, _), (changes, slopes), here = at_sides(look, centre, self._steps)
            there = jnp.ones(len(results), bool).at[curves].set(here["inside"])
            away = expected - observed
            width = jnp.where(away < 0.0, below, above)
            pulls = jnp.where(there, away / width, 0.0)
            change = jnp.where(there[:, None], changes.T / width[:, None], 0.0)
            deltas = [
                jnp.where(jnp.any(there[i]), _profiled(pulls[i], change[i]), jnp.nan)
                for i in self.sets.values()
            ]
            known = here["named"]
            ratios = [_largest_ratio(tables, known) for tables in self.bounds.values()]
            return Told(
                _stacked(deltas),
                _stacked(ratios),
                _stacked([known[name] for name in self.wanted]),
                here["line"],
                slopes,
                here["low"],
            )

        return one

    def line(
        self, measurement: Measurement, told: Told
    ) -> tuple[one_line.OneLine, Measurement, one_line.Lines] | None:
        """Return a measurement with counts and the lines of all points for it; None if rates of its
        decays, or what form factors do to them, are not the same multiples everywhere."""
        first = self.decays.index(next(measurement.decay(c) for c in measurement.signal))
        mass, rate, width = told.lines[:, first].T
        # Where the ratios of rates are taken: in the middle of those that are seen.
        middle = np.argsort(rate)[len(rate) // 2 :][0]
        values = {name: float(x[middle]) for name, x in told.effective.items()}
        model = one_line.OneLine(
            one_line.theory_of(self.target.model),
            values,
            self.decays[first],
            (float(mass.min()), float(mass.max())),
        )
        fitted = {p.name for p in (*model.parameters, *model.nuisances(self.decays))}
        own = [i for i, name in enumerate(self.nuisances) if name in fitted]
        rest = [i for i, name in enumerate(self.nuisances) if name not in fitted]
        decays = [self.decays.index(measurement.decay(c)) for c in measurement.signal]
        names = {self.nuisances[i]: self._widths[i] for i in own}
        masses, which = np.unique(mass, return_inverse=True)
        seen = (told.lines[:, decays, 1] > 0.0).all(axis=1)
        ratios, slopes = model.multiples(masses, names, [self.decays[i] for i in decays])
        mine = np.log(np.maximum(told.lines[:, decays, 1], _NO_RATE))
        off = np.abs(mine - mine[:, :1] - ratios[which])[seen].max(initial=0.0)
        off += np.abs(told.slopes[:, own][:, :, decays] - slopes[which])[seen].max(initial=0.0)
        if off > one_line.UNLIKE:
            return None
        spread = np.sqrt((told.slopes[:, rest, first] ** 2).sum(axis=1))
        return model, measurement, one_line.Lines(mass, width, rate, spread)


# Pieces ----------------------------------------------------------------------------------------


class _Once:
    """A model that derives its quantities once a point, for all who ask."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._known: tuple[Any, Any] = (None, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def derived(self, params: Any) -> Any:
        """Return the derived quantities."""
        if self._known[0] is not params:
            self._known = (params, self._model.derived(params))
        return self._known[1]


def _numbers(measurements: Sequence[Measurement]) -> dict[str, np.ndarray]:
    """Return where the numbers of each measurement without counts stand in `Results`."""
    kinds: list[Callable[[Measurement], int]] = [
        lambda m: len(m.results),
        lambda m: sum(not isinstance(c, LimitTable) for c in m.curves),
        lambda m: sum(isinstance(c, LimitTable) for c in m.curves),
    ]
    found: dict[str, list[int]] = {m.name: [] for m in measurements if not m.workspace}
    place = 0
    for size in kinds:
        for m in measurements:
            if m.name in found:
                found[m.name] += range(place, place + size(m))
            place += size(m)
    return {name: np.array(where, int) for name, where in found.items()}


def _numbers_of_curves(measurements: Sequence[Measurement]) -> np.ndarray:
    """Return where the curves of all measurements stand in `Results`: after the results."""
    first = sum(len(m.results) for m in measurements)
    return first + np.arange(sum(len(m.curves) for m in measurements))


def _profiled(pulls: Array, change: Array) -> Array:
    """Return p^T (1 + A A^T)^-1 p.

    >>> round(float(_profiled(jnp.array([2.0]), jnp.array([[0.0, 1.0]]))), 6)
    2.0
    """
    if len(pulls) == 1:
        return pulls[0] ** 2 / (1.0 + jnp.sum(change**2))
    return pulls @ jnp.linalg.solve(jnp.eye(len(pulls)) + change @ change.T, pulls)


def _largest_ratio(tables: Sequence[LimitTable], known: Mapping[str, Array]) -> Array:
    """Return the largest ratio of a quantity to its bound."""
    found = []
    for table in tables:
        size = jnp.ones(())
        for name in table.factors:
            size = size * jnp.abs(known[name])
        at, there = limit(table, known)
        found.append(jnp.where(there, size / at, jnp.nan))
    return jnp.nanmax(jnp.stack(found))


def _line(spectrum: Spectrum) -> Array:
    """Return mass, branching fraction and width of the one line of a spectrum."""
    (line,) = spectrum.lines
    return jnp.stack([jnp.asarray(x, float) for x in (line.mass, line.branching_ratio, line.width)])


def _stacked(values: Sequence[Array]) -> Array:
    return jnp.stack([jnp.asarray(x, float) for x in values]) if values else jnp.zeros(0)
