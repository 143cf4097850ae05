"""Fits of one analysis: the steps of a solver, and a small program that says what its signal is.

The two are called in turn until all fits have ended. An analysis that is fitted again and again,
one fit at a time, gets a program of its own in the end.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis, Data
from bknn.analysis.counts import Part
from bknn.analysis.log_density import LogDensity
from bknn.inference.minimiser import newton
from bknn.inference.minimiser.differences import by_differences
from bknn.inference.minimiser.flat_edges import FlatEdge, onward, settled
from bknn.inference.minimiser.lanes import InValleys, Rivals, UnderWay, run, taken
from bknn.inference.minimiser.logarithms import DAMPING, Logarithms
from bknn.inference.minimiser.newton import CONVERGED, EXHAUSTED, STALLED, Minimum, Problem
from bknn.inference.minimiser.solver import solver_of
from bknn.inference.minimiser.tangent import Local, local
from bknn.inference.sharing import OneByOne, Shared, placed
from bknn.likelihood.terms import auxiliary_norm, normal_norm
from bknn.parameters import Parameter
from bknn.programs import Program

#: So many fits, one at a time, are worth a program of their own: most of a step's time goes into
#: calling it.
_OFTEN = 100

#: So many fits go in step where each has its signal computed by itself.
_FEW = 8

#: How far inside of a flat edge a fit is looked at, in units of where it starts.
_INSIDE = 0.01


#: A fit that takes all its steps is at its minimum if the next one promises less than this decrease
#: of -log likelihood.
_CREEPING = 1e-7

#: So near a flat edge, in the same units, nothing tells a fit from one at the edge: what changes
#: goes with the square.
_SAME = 1e-10


class Fits:
    """Fits of one analysis: its place in the vectors of a solver, and its signal.

    Attributes:
        density: what is fitted.
        programs: the home of those of the model.
        solver: shared with other analyses of the same measurements.
        valleys: whether numbers that follow from the parameters are known: -log L has thin valleys
            then (`valleys`), and the signal takes longer than all else.
    """

    def __init__(self, analysis: Analysis) -> None:
        n = len(analysis.parameters)
        parts = tuple(_with_new_signal(part) for part in analysis.parts)
        self.density, self.programs = analysis.density, analysis.programs
        self.solver = solver = solver_of(parts, analysis.results, n)
        #: Where each entry of the analysis stands with the solver.
        self.place = np.arange(analysis.size)
        for own, there in zip(analysis.vector.sources, solver.example.vector.sources, strict=True):
            self.place[own[own >= 0]] = there[own >= 0]
        index, _, width = analysis.normal
        tied = index < n
        self._weight = np.zeros(solver.room)
        self._weight[index[tied]] = 1 / width[tied] ** 2
        self._tied = np.flatnonzero(tied), index[tied]
        self._normal = _positions(analysis.normal[0], solver.example.normal[0], self.place)
        self._poisson = _positions(analysis.poisson[0], solver.example.poisson[0], self.place)
        self._signal = analysis.signal
        #: The solver sees logarithms of some parameters of the model.
        self._logs = Logarithms(analysis.parameters)
        self._damping = np.zeros(solver.room)
        self._damping[: len(self._logs.which)][self._logs.which] = DAMPING
        self._unit = np.ones(solver.room)
        self._unit[: len(self._logs.which)] = self._logs.units
        self.valleys = bool(analysis.results.quantities)
        #: Nothing is gained by computing long signals side by side, but on a GPU.
        self._apart = self.valleys and jax.default_backend() == "cpu"
        #: Fits that were alone, and how many went in step last.
        self._alone, self._lanes = 0, 1

    def minimise(
        self,
        starts: np.ndarray,
        data: Data,
        moving: np.ndarray,
        each: int = 1,
        *,
        lanes: int,
        above: float = np.inf,
        tolerance: float = 1e-16,
        max_steps: int = 200,
    ) -> Minimum:
        """Minimise -log likelihood from each start, within the bounds, never uphill.

        Args:
            starts: flat vectors (fits, size); entries that do not move keep their value.
            data: counts and auxiliary data of each fit, (fits, n).
            moving: which entries may move, (fits, size) of bool.
            each: so many starts, one after the other, belong to one fit.
            lanes: fits that go in step.
            above: a start is given up where another one of its fit ended this much lower.
            tolerance: stop when the next step promises less than this decrease of -log likelihood.
            max_steps: give up after this many evaluations.
        """
        data, moving = Data(*(np.asarray(x, float) for x in data)), np.asarray(moving)
        begin = idle_at_best(self.density, np.array(starts, float), data, moving)
        held = not moving[:, self._signal.thresholds].any()
        if self._apart:
            lanes = min(lanes, _FEW)
        elif lanes == 1 and not self._alone:
            self.bent.ahead(self._vectors(begin[:1])[0])
        vectors = self._coded(self._vectors(begin))
        problem = self._problem(data, moving, tolerance)
        self._alone += lanes == 1
        self._lanes = lanes

        def fit(
            starts: np.ndarray, problem: Problem, rivals: Rivals, most: int = max_steps
        ) -> Minimum:
            if lanes == 1 and self._alone > _OFTEN and not self.valleys:
                return self._one_by_one(starts, problem, held, most)
            signal = partial(self.signal_from, held=held)
            going = (InValleys if self.valleys else UnderWay)(self.solver, signal, lanes)
            return run(going, starts, problem, rivals, lanes=lanes, max_steps=most)

        which = np.arange(len(starts)) // each
        rivals = Rivals(which, np.full(len(starts), np.inf), above)
        found = fit(vectors, problem, rivals)
        n = len(self._signal.parameters)
        scale = np.array([p.init for p in self._signal.parameters]) - problem.lower[:n]
        near = np.where(np.isfinite(scale), _SAME * np.abs(scale), 0.0)
        at_edge = found.vector[:, :n] - problem.lower[:n] <= near
        if at_edge.any():
            for i in (edge.entry for edge in self.flat_edges):
                there = at_edge[:, i] & problem.moving[:, i] & (found.outcome == CONVERGED)
                found.vector[there, i] = problem.lower[i]
            found = onward(fit, found, problem, rivals, self.flat_edges)
        lost = np.flatnonzero(np.isin(found.outcome, (STALLED, EXHAUSTED)))
        if lost.size:
            places = self.flat_zeros(found.vector[lost[0]], problem.moving[lost[0]])
            found = settled(fit, found, problem, rivals, places)
        # Along what the data leave free a fit may creep for ever, and has long been where it is.
        there = (found.outcome == EXHAUSTED) & (np.abs(found.decrement) < _CREEPING)
        found = found._replace(outcome=np.where(there, CONVERGED, found.outcome))
        vector = np.where(moving, self._plain(found.vector)[:, self.place], begin)
        return found._replace(vector=vector, value=found.value + self._norm(data))

    def gradient(self, vectors: np.ndarray, data: Data, held: np.ndarray) -> np.ndarray:
        """Return the derivatives of -log likelihood at vectors (n, size), of one data set.

        Only those with respect to `held` entries count: without thresholds among these, a signal
        is folded once.
        """
        n = len(vectors)
        there = self._coded(self._vectors(vectors))
        scale = self._slopes(there)
        every = Data(*(np.tile(np.asarray(x, float), (n, 1)) for x in data))
        problem = self._problem(every, np.zeros(vectors.shape, bool), 0.0)
        there, problem = placed((there, problem), n)
        still = not np.isin(self._signal.thresholds, held).any()
        signal = self.signal_from(there, still)(there)
        found = np.asarray(self.solver.gradient(problem, signal, there)) / scale
        return found[:, self.place]

    def hessian(self, vector: np.ndarray, data: Data) -> np.ndarray:
        """Return the second derivatives of -log likelihood at a vector (size,), (size, size)."""
        one = self._vectors(np.asarray(vector, float)[None])
        own = Data(*(np.asarray(x, float)[None] for x in data))
        there = Data(*(x[0] for x in self._data(own)))
        signal = self._by_differences if self.valleys else self.bent
        known = one[0], signal(one[0]), there, self._weight
        found = np.asarray(self.solver.hessian(*known))
        return found[np.ix_(self.place, self.place)]

    def _by_differences(self, vector: np.ndarray) -> Local:
        """Return the signal at a vector (size,) of the solver, second derivatives by differences:
        a program for those of all that a model derives takes minutes to compile."""
        n = len(self._signal.parameters)

        def slopes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            there = self._coded(points)
            value, slope = self._at(there)
            slope[:, :, :n] /= self._slopes(there)[:, None, :n]
            return value, slope

        return by_differences(slopes, vector, self._signal.parameters, self.density.bounds[:n])

    def _at(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values (n, values) and slopes (n, values, room) of the signal at vectors (n, size)
        as the solver sees them, on as many lanes as fits were."""
        lanes, values, slopes = self._lanes, [], []
        for first in range(0, len(vectors), lanes):
            some = vectors[first : first + lanes]
            there = placed(np.resize(some, (lanes, some.shape[1])), lanes)
            found = self.signal_from(there, False)(there)
            values.append(np.asarray(found.value)[: len(some)])
            slopes.append(np.asarray(found.slope)[: len(some)])
        return np.concatenate(values), np.concatenate(slopes)

    @property
    def bent(self) -> Program:
        """The signal at a vector (size,) of the solver, twice differentiated; compiled."""
        n, room, signal = len(self._signal.parameters), self.solver.room, self._signal
        return self.programs.get(
            "signal, twice differentiated",
            room,
            lambda: lambda vector: local(signal, vector[:n], room, bend=True),
            once=True,
        )

    @cached_property
    def flat_edges(self) -> list[FlatEdge]:
        """Lower bounds of the model's parameters at which its signal has no slope."""
        return [
            FlatEdge(i, low, low + _INSIDE * ((p.init - low) or 1.0))
            for i, p in self._couplings
            if np.isfinite(low := p.bounds[0]) and self._flat(i, low)
        ]

    def flat_zeros(self, vector: np.ndarray, moving: np.ndarray) -> list[FlatEdge]:
        """Return the zeros between the bounds of moving couplings at which the signal has no slope.

        The others are as in a vector (size,) of the solver, or 0 where they are next to it: whether
        a coupling interferes depends on them.
        """
        zeros = [
            FlatEdge(i, 0.0, _INSIDE * (p.init or 1e-3 * p.bounds[1]))
            for i, p in self._couplings
            if moving[i] and p.bounds[0] < 0.0 < p.bounds[1]
        ]
        near = [z.entry for z in zeros if abs(vector[z.entry]) < abs(z.inside)]
        lanes, flat = self._lanes, []
        for first in range(0, len(zeros), lanes):
            some = zeros[first : first + lanes]
            there = np.tile(vector, (lanes, 1))
            there[:, near] = 0.0
            there[range(len(some)), [z.entry for z in some]] = 0.0
            there = placed(there, lanes)
            slope = np.asarray(self.signal_from(there, False)(there).slope)
            flat += [z for k, z in enumerate(some) if not slope[k, :, z.entry].any()]
        return flat

    @property
    def _couplings(self) -> list[tuple[int, Parameter]]:
        """Parameters of the model, with their places, that no constraint holds: a flat edge of one
        that is constrained is no minimum of -log L but at its centre. Logarithms have no edge."""
        own = enumerate(self._signal.parameters)
        free = ((i, p) for i, p in own if p.constraint is None and not p.nuisance)
        return [(i, p) for i, p in free if not p.logarithmic]

    def _flat(self, i: int, value: float) -> bool:
        """Whether the signal has no slope at a value of a parameter, the others at their starts."""
        if self.density.vector.fixed[i]:
            return False
        # On as many lanes as fits are, for which it is compiled.
        there = self._vectors(np.tile(self.density.vector.init, (self._lanes, 1)))
        there[:, i] = value
        there = placed(there, self._lanes)
        return not np.asarray(self.signal_from(there, False)(there).slope)[0, :, i].any()

    def _one_by_one(
        self, starts: np.ndarray, problem: Problem, held: bool, max_steps: int
    ) -> Minimum:
        """Fit one after the other by one program of this model."""
        before, after = self._stages(held)
        solver = self.solver

        def whole(start: Array, problem: Problem, max_steps: Array) -> Minimum:
            signal = partial(jax.vmap(after), jax.vmap(before)(start))
            known = solver.density, solver.where, signal, *solver.empty(1)
            return newton.minimise(*known, start, problem, max_steps)

        program = self.programs.get("fits, one at a time", held, lambda: whole)
        found = []
        for i in range(len(starts)):
            start, own = taken(starts, problem, np.array([i]))
            found.append(jax.device_get(program(start, own, max_steps)))
        return Minimum(*(np.concatenate(x) for x in zip(*found, strict=True)))

    def signal_from(self, start: Any, held: bool) -> Callable[[Any], Local]:
        """Return the compiled function of vectors (lanes, size) of the solver that says what the
        signal is there."""
        held = held and self._signal.thresholds.size > 0

        def program(purpose: str, stage: int) -> Callable[..., Any]:
            function = jax.vmap(self._stages(held)[stage])
            make = lambda: jax.jit(function) if self._apart else Shared(function)  # noqa: E731
            return self.programs.keep(purpose, (self.solver.room, held), make)

        before = program("what stays of a signal", 0)(start) if held else ()
        then = program("signal", 1)
        return OneByOne(then, before) if self._apart else partial(then, before)

    def _stages(self, held: bool) -> tuple[Callable[..., Any], Callable[..., Local]]:
        """Return what to compute once at a start (size,) of the solver, and how that and a vector
        (size,) give the signal; `held`: no threshold moves, so their continua are folded once."""
        n, room, signal, logs = (
            len(self._signal.parameters),
            self.solver.room,
            self._signal,
            self._logs,
        )

        def at(signal: Any, vector: Array) -> Local:
            return logs.seen(local(signal, logs.plain(vector[:n]), room), vector[:n])

        if not held or not signal.thresholds.size:
            return (lambda start: ()), (lambda _, vector: at(signal, vector))
        fold, then = signal.in_two_stages()
        return (
            lambda start: fold(logs.plain(start[:n])),
            lambda found, vector: at(then(found), vector),
        )

    def _coded(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors (n, size) of the solver with logarithms in place of some parameters."""
        own = self._logs.coded(vectors[:, : len(self._logs.which)])
        return np.concatenate([own, vectors[:, own.shape[1] :]], axis=1)

    def _plain(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors (n, size) of the solver without logarithms."""
        own = self._logs.plain(vectors[:, : len(self._logs.which)])
        return np.concatenate([own, vectors[:, own.shape[1] :]], axis=1)

    def _slopes(self, vectors: np.ndarray) -> np.ndarray:
        """Return derivatives (n, size) of entries with respect to what the solver sees of them; 1
        where one has none."""
        own = self._logs.slopes(vectors[:, : len(self._logs.which)])
        return np.concatenate(
            [np.where(own > 0.0, own, 1.0), np.ones_like(vectors[:, own.shape[1] :])], axis=1
        )

    def _vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors (n, size) as the solver has them."""
        there = np.tile(self.solver.example.vector.init, (len(vectors), 1))
        there[:, : self.solver.room] = 0.0
        there[:, self.place] = vectors
        return there

    def _data(self, data: Data) -> Data:
        """Return data sets (n, ...) as the solver has them."""
        normal = np.tile(self.solver.example.normal[1], (len(data.counts), 1))
        poisson = np.tile(self.solver.example.poisson[1], (len(data.counts), 1))
        (own, there), (own_counts, there_counts) = self._normal, self._poisson
        normal[:, there] = data.normal[:, own]
        poisson[:, there_counts] = data.poisson[:, own_counts]
        return Data(data.counts, normal, poisson)

    def _problem(self, data: Data, moving: np.ndarray, tolerance: float) -> Problem:
        n, size = len(moving), self.solver.example.size
        floats = np.zeros((n, size), bool)
        floats[:, self.place] = moving
        lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
        lower[self.place], upper[self.place] = self.density.bounds.T
        lower, upper = self._coded(np.stack([lower, upper]))
        centre = np.zeros((n, self.solver.room))
        centre[:, self._tied[1]] = data.normal[:, self._tied[0]]
        own = self._weight, self._damping, self._unit
        return Problem(self._data(data), floats, lower, upper, centre, *own, tolerance)

    def _norm(self, data: Data) -> np.ndarray:
        """Return what of -log likelihood no parameter changes, (n,)."""
        observed = np.asarray(self.density.data_distribution.norm(data.counts))
        poisson = np.asarray(auxiliary_norm(data.poisson)).sum(axis=-1)
        return np.asarray(observed + poisson + normal_norm(self.density.normal[2]))


def idle_at_best(
    density: LogDensity, vectors: np.ndarray, data: Data, moving: np.ndarray
) -> np.ndarray:
    """Put the nuisances that act on nothing where their constraints have them, in vectors (n,
    size): no step sees them."""
    for (index, _, width), measured, counted in (
        (density.normal, data.normal, False),
        (density.poisson, data.poisson, True),
    ):
        at = np.flatnonzero(np.isin(index, density.idle))
        if at.size:
            which = index[at]
            centre = measured[:, at] / (width[at] if counted else 1.0)
            centre = np.clip(centre, *density.bounds[which].T)
            vectors[:, which] = np.where(moving[:, which], centre, vectors[:, which])
    return vectors


def fits_of(analysis: Analysis) -> Fits:
    """Return the fits of an analysis, made once."""
    with _lock:
        if analysis not in _known:
            _known[analysis] = Fits(analysis)
        return _known[analysis]


def _with_new_signal(part: Part) -> Part:
    """Return a measurement with room for a signal that is not the standard model's."""
    if part.has_new or not part.responses:
        return part
    measurement = part.measurement
    pdf = Part.compiled(measurement).with_signal(
        measurement.signal, new=True, without=measurement.form_factor_modifiers
    )
    return replace(part, pdf=pdf, has_new=True)


def _positions(
    own: np.ndarray, there: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which constraints of an analysis the solver has, and where."""
    known = {int(entry): i for i, entry in enumerate(there)}
    found = [(i, known[int(place[e])]) for i, e in enumerate(own) if int(place[e]) in known]
    pairs = np.array(found, int).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


_known: weakref.WeakKeyDictionary[Analysis, Fits] = weakref.WeakKeyDictionary()
_lock = threading.RLock()
