"""One solver for all models of the same measurements.

Compiling the steps of a fit takes longer than most fits, and a model enters them only through its
signal. So the steps are compiled once for a set of measurements, for parameters of a model filled
up to 1, 4, 12, 36, ...; what the signal is at a point, with derivatives, is an argument
(`tangent`). `fits_of_analysis` says who calls them.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Data
from bknn.analysis.counts import Part
from bknn.analysis.log_density import LogDensity
from bknn.analysis.results import Results
from bknn.analysis.vector import Vector
from bknn.inference.minimiser import fisher, newton, valleys
from bknn.inference.minimiser.fisher import Metric
from bknn.inference.minimiser.newton import Problem, State
from bknn.inference.minimiser.tangent import Local, Tangent, extent
from bknn.inference.sharing import Shared
from bknn.parameters import Parameter
from bknn.programs import Program, Programs, quickly
from bknn.storage.executables import lasting

#: Solvers that are kept; the one that was not used for longest goes.
_KEPT = 16


class Solver:
    """The programs of fits to some measurements, whatever the model.

    Attributes:
        density: the log density where the signal is known near a point; its vector has room for the
            parameters of a model, and all nuisances of the measurements after them.
        where: how these enter.
        programs: `begin`, `measure`, `step`, `gradient` of `newton` and the Hessian, compiled. They
            are made of the measurements alone, so a checksum of these (`content`) finds them again
            in later runs.
    """

    def __init__(self, parts: tuple[Part, ...], results: Results, room: int, content: str) -> None:
        places = tuple(Parameter(f"parameter_{i}", 0.0) for i in range(room))
        vector = Vector.of(None, places, {}, parts, uses_template=True, bounds={})

        def density(at: Local) -> LogDensity:
            return LogDensity(vector, Tangent(parts, results, at))

        n = extent(parts, len(results))
        nothing = Local(np.zeros(room), np.zeros(n), np.zeros((n, room)))
        example = density(nothing)

        def curved(vector: Array, signal: Local, data: Data, weight: Array) -> Array:
            # The centres of the constraints do not matter.
            tied = 0.5 * jnp.sum(weight * (vector[:room] - signal.physics) ** 2)
            return tied - density(signal).log_shape(vector, data)

        self.density, self.example, self.room = density, example, room
        self.where = fisher.layout(example)
        self._nothing = nothing
        #: Kinds of steps, and numbers of lanes, for which they were compiled.
        self._begun: set[tuple[type, int]] = set()
        self.programs = Programs()
        self._curved, self._content = curved, content

    def empty(self, fits: int) -> tuple[State, Metric]:
        """Return room for the state of some fits, and for their Fisher matrices."""
        state = newton.empty(self.where, self.example, self._nothing, fits)
        return state, fisher.empty(self.where, fits, self.example.n_bins)

    @property
    def begin(self) -> Program:
        """`newton.begin`, compiled."""
        return self._shared("begin fits", partial(newton.begin, self.where))

    @property
    def measure(self) -> Program:
        """`newton.measure`, compiled."""
        return self._shared("Fisher matrix", partial(newton.measure, self.density, self.where))

    @property
    def step(self) -> Program:
        """`newton.step`, compiled."""
        return self._shared("step of fits", partial(newton.step, self.density, self.where))

    def empty_in_valleys(self, fits: int) -> valleys.State:
        """Return room for the state of some fits that take the steps of `valleys`."""
        return valleys.empty(self.where, self.example, self._nothing, fits)

    @property
    def begin_in_valleys(self) -> Program:
        """`valleys.begin`, compiled."""
        return self._shared("begin fits in valleys", partial(valleys.begin, self.where))

    @property
    def step_in_valleys(self) -> Program:
        """`valleys.step`, compiled."""
        function = partial(valleys.step, self.density, self.where)
        return self._shared("step of fits in valleys", function)

    @property
    def gradient(self) -> Program:
        """`newton.gradient`, compiled."""
        return self._shared("gradient", partial(newton.gradient, self.density))

    def _shared(self, purpose: str, function: Callable[..., Any]) -> Program:
        make = lambda: Shared(function, self._lasting(purpose))  # noqa: E731
        return self.programs.keep(purpose, None, make)

    @property
    def hessian(self) -> Program:
        """The Hessian of -log likelihood at a vector, where a signal (`Local`) is known, of a data
        set, with the curvatures of the constraints of a model's parameters; compiled."""
        purpose = "Hessian"
        compiled = partial(self._lasting(purpose), compiler_options=quickly())
        make = lambda: compiled(jax.hessian(self._curved))  # noqa: E731
        return self.programs.keep(purpose, None, make)

    def ahead(self, problem: Problem, state: State, metric: Metric) -> None:
        """Begin to compile steps of so many fits and, if it is one, what its uncertainties need."""
        if self._begins(state):
            self.step.ahead(problem, self._signals(state), metric, state)
            self._hessian_ahead(problem, state)

    def ahead_in_valleys(self, problem: Problem, state: valleys.State) -> None:
        """The same for the steps of `valleys`."""
        if self._begins(state):
            self.step_in_valleys.ahead(problem, self._signals(state), state)
            self._hessian_ahead(problem, state)

    def _begins(self, state: State | valleys.State) -> bool:
        """Whether these are the first steps of their kind and number."""
        which = type(state), len(state.trial)
        new = which not in self._begun
        self._begun.add(which)
        return new

    def _signals(self, state: State | valleys.State) -> Local:
        lanes = len(state.trial)
        return jax.tree.map(lambda x: np.zeros((lanes, *x.shape)), self._nothing)

    def _hessian_ahead(self, problem: Problem, state: State | valleys.State) -> None:
        nothing = self._nothing
        if len(state.trial) == 1:
            bent = nothing._replace(bend=np.zeros((*nothing.slope.shape, self.room)))
            vector, data = jax.tree.map(
                lambda x: np.zeros(x.shape[1:]), (state.trial, problem.data)
            )
            self.hessian.ahead(vector, bent, data, problem.weight)

    def _lasting(self, purpose: str) -> Callable[..., Any]:
        return partial(lasting, content=f"{purpose} {self._content}")


def _room(n: int) -> int:
    """Return to how many the parameters of a model are filled up."""
    return next(room for room in (1, *(4 * 3**i for i in range(20))) if room >= n)


_solvers: OrderedDict[str, Solver] = OrderedDict()
_lock = threading.RLock()


def solver_of(parts: tuple[Part, ...], results: Results, parameters: int) -> Solver:
    """Return the solver of measurements of this content with room for so many parameters of a
    model, made once."""
    room = _room(parameters)
    key = _digest(parts, results, room)
    with _lock:
        if key not in _solvers:
            _solvers[key] = Solver(parts, results, room, key)
        _solvers.move_to_end(key)
        while len(_solvers) > _KEPT:
            _solvers.popitem(last=False)
        return _solvers[key]


def _digest(parts: tuple[Part, ...], results: Results, room: int) -> str:
    """Return what tells solvers apart: all that is a constant of their programs."""
    text = hashlib.sha256(f"{room} {jax.device_count()} {jax.default_backend()}".encode())

    def add(x: Any) -> None:
        if isinstance(x, np.ndarray):
            text.update(f"{x.dtype}{x.shape}".encode() + x.tobytes())
        else:
            text.update(repr(x).encode())

    add(results.below)
    add(results.above)
    for part in parts:
        pdf = part.pdf
        add((bool(part.responses), len(part.template), pdf.n_scales, pdf.signal_strength))
        add((pdf.interpolation, pdf.parameter_names, pdf.slices, pdf.n_bins))
        add(pdf.scale)
        for value in vars(pdf.cells).values():
            add(value)
        for sets in pdf.parameter_sets.values():
            for value in vars(sets).values():
                add(value)
    return text.hexdigest()
