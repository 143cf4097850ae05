"""Many fits on a few lanes of one program: where a fit ends, the next one begins.

The lanes go in step, as many as the processor's cache likes. Were they filled once, all would wait
for the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from bknn.inference.minimiser import newton, valleys
from bknn.inference.minimiser.newton import CONVERGED, EXHAUSTED, Minimum, Problem
from bknn.inference.minimiser.solver import Solver
from bknn.inference.minimiser.tangent import Local
from bknn.inference.sharing import placed

State = newton.State | valleys.State

#: One lane in so many has to be free before others begin: beginning costs a call for all.
_FREE = 6


class Rivals(NamedTuple):
    """Starts of the same fit, of which the lowest minimum counts.

    Attributes:
        fit: which fit a start belongs to (starts,).
        lowest: -log L of the lowest minimum of each fit so far (fits,); kept up to date.
        above: a start is given up where its -log L stays higher than the lowest by more than this.
    """

    fit: np.ndarray
    lowest: np.ndarray
    above: float

    def of(self, rows: np.ndarray) -> Rivals:
        """Return some of the starts."""
        return self._replace(fit=self.fit[rows])

    def near(self, value: np.ndarray, fit: np.ndarray) -> np.ndarray:
        """Whether values of -log L of some fits are not far above the lowest."""
        return value <= self.lowest[fit] + self.above


class Going(Protocol):
    """Fits under way, side by side."""

    def begin(self, fresh: Any, start: Any, problem: Problem) -> None:
        """Let the fresh ones (lanes,) begin at their starts (lanes, size); what the problem of the
        others is has not changed."""

    def step(self) -> State:
        """Go one step further, and return the state."""


class UnderWay:
    """Fits of one analysis under way (`Going`): the signal, the Fisher matrices, the step.

    Args:
        solver: has the programs of the steps.
        signal_from: returns, for starts (lanes, size), the function that says what the signal is at
            vectors (lanes, size).
        lanes: fits that go in step.
    """

    def __init__(
        self,
        solver: Solver,
        signal_from: Callable[[Any], Callable[[Any], Local]],
        lanes: int,
    ) -> None:
        self._solver, self._signal_from = solver, signal_from
        self._state, self._metric = placed(solver.empty(lanes), lanes)
        self._signal: Any = None
        self._problem: Any = None

    def begin(self, fresh: Any, start: Any, problem: Problem) -> None:
        self._problem = problem
        self._solver.ahead(problem, self._state, self._metric)
        self._state = self._solver.begin(self._state, fresh, start, problem)
        self._signal = self._signal_from(start)

    def step(self) -> State:
        there = self._signal(self._state.trial)
        stale = np.flatnonzero(self._state.stale)
        # A few at a time: most go on with the matrix they have.
        lanes = len(self._state.stale)
        few = max(lanes // 4, 1)
        for first in range(0, len(stale), few):
            some = np.resize(stale[first : first + few], few)
            known = self._problem, there, self._state, self._metric, some
            self._metric = self._solver.measure(*known)
        self._state = self._solver.step(self._problem, there, self._metric, self._state)
        return self._state


class InValleys:
    """The same with the steps of `valleys`; arguments as for `UnderWay`."""

    def __init__(
        self,
        solver: Solver,
        signal_from: Callable[[Any], Callable[[Any], Local]],
        lanes: int,
    ) -> None:
        self._solver, self._signal_from = solver, signal_from
        self._state = placed(solver.empty_in_valleys(lanes), lanes)
        self._signal: Any = None
        self._problem: Any = None

    def begin(self, fresh: Any, start: Any, problem: Problem) -> None:
        self._problem = problem
        self._solver.ahead_in_valleys(problem, self._state)
        self._state = self._solver.begin_in_valleys(self._state, fresh, start, problem)
        self._signal = self._signal_from(start)

    def step(self) -> State:
        there = self._signal(self._state.trial)
        self._state = self._solver.step_in_valleys(self._problem, there, self._state)
        return self._state


def run(
    going: Going,
    starts: np.ndarray,
    problem: Problem,
    rivals: Rivals,
    *,
    lanes: int,
    max_steps: int,
) -> Minimum:
    """Minimise from all starts (fits, size).

    A start is given up, EXHAUSTED, where it is far from converged and another one of its fit ended
    much lower.

    Args:
        going: the lanes.
        starts: where to begin.
        problem: of all fits; what has fits as leading axis is dealt out to the lanes.
        rivals: which starts belong to the same fit.
        lanes: fits that go in step.
        max_steps: evaluations of a fit, at most.
    """
    n = len(starts)
    found = Minimum(
        np.array(starts),
        np.full(n, np.inf),
        np.zeros(n),
        np.zeros(n, int),
        np.full(n, EXHAUSTED),
    )
    state: Any = None
    waiting, fit = 0, np.full(lanes, -1)
    age, busy = np.zeros(lanes, int), np.zeros(lanes, bool)

    def harvest() -> None:
        ended = np.flatnonzero((fit >= 0) & ~busy)
        for whole, part in zip(found, state.at, strict=True):
            whole[fit[ended]] = np.asarray(part)[ended]
        fit[ended] = -1

    while True:
        free = np.flatnonzero(~busy)
        if waiting < n and (waiting == 0 or _FREE * len(free) >= lanes):
            if waiting:
                harvest()
            chosen = free[: n - waiting]
            fit[chosen] = np.arange(waiting, waiting + len(chosen))
            waiting += len(chosen)
            age[chosen], busy[chosen] = 0, True
            begin, own = taken(starts, problem, np.maximum(fit, 0))
            # Nothing moves on lanes without a fit.
            own = own._replace(moving=own.moving & (fit >= 0)[:, None])
            fresh = np.isin(np.arange(lanes), chosen)
            going.begin(*placed((fresh, begin, own), lanes))
        state = going.step()
        outcome, value, decrement = jax.device_get(
            (state.at.outcome, state.at.value, state.at.decrement)
        )
        age += 1
        arrived = busy & (outcome == CONVERGED)
        np.minimum.at(rivals.lowest, rivals.fit[fit[arrived]], value[arrived])
        # Even ten times its expected decrease leaves it above one that has converged.
        hopeless = ~rivals.near(value - 10 * decrement, rivals.fit[np.maximum(fit, 0)])
        busy &= (outcome == EXHAUSTED) & (age <= max_steps) & ~(hopeless & (age > 1))
        if not busy.any() and waiting == n:
            harvest()
            return found


def taken(starts: np.ndarray, problem: Problem, fit: np.ndarray) -> tuple[np.ndarray, Problem]:
    """Return the starts and the problem of some fits (lanes,)."""
    data = type(problem.data)(*(x[fit] for x in problem.data))
    own = problem._replace(data=data, moving=problem.moving[fit], centre=problem.centre[fit])
    return starts[fit], own
