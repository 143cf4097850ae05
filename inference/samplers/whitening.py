"""A posterior as a log density beside a standard normal one.

The data move a posterior of many nuisances away from its prior in few directions, as many as there
are bins at most: at a point z0 with rates r and derivatives J of the rates, the Fisher matrix of
prior and counts is 1 + A^T A, A = r^-1/2 J, and with A = U s V^T the numbers w,

    z = z0 + w + V (1/sqrt(1 + s^2) - 1) V^T w,

have unit width in all directions. What is left is

    l(w) = log p(counts, z(w)) + log|dz/dw| - log N(w; 0, 1),

close to a constant, whose exponential has the evidence as its mean over N(0, 1). All samplers here
know w and l alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.analysis.analysis import Analysis, Data
from bknn.analysis.log_density import LogDensity
from bknn.inference.samplers.chart import Chart, Values
from bknn.inference.samplers.coordinates import Coordinates
from bknn.programs import Programs


class Stages(NamedTuple):
    """A log density in two stages, for steps of some coordinates alone.

    Attributes:
        first: (w (n,), *frame) -> what does not depend on these coordinates z.
        then: (w (n,), that, *frame) -> l.
        fast: positions of these coordinates among z (m,).
    """

    first: Callable[..., Any]
    then: Callable[..., Array]
    fast: np.ndarray


@dataclass(frozen=True, eq=False)
class LogWeight:
    """A log density beside a standard normal one, and the home of what is compiled of it.

    Attributes:
        function: (w (n,), *frame) -> l; what a posterior has beyond w, such as its data, may come
            as a frame.
        structure: what tells the function from others in the same home.
        programs: the home.
        stages: the function in two, if there are coordinates on which a dear part of it does not
            depend.
    """

    function: Callable[..., Array]
    structure: Hashable = None
    programs: Programs = field(default_factory=Programs)
    stages: Stages | None = None

    def __call__(self, w: Array, *frame: Any) -> Array:
        return self.function(w, *frame)

    def of_many(self, w: np.ndarray, *frame: Any) -> np.ndarray:
        """Return l of many w (rows, n)."""

        def make() -> Callable[..., Array]:
            return lambda w, *frame: jax.vmap(lambda w: self.function(w, *frame))(w)

        return in_pieces(self.programs.get("log weights", self.structure, make), w, *frame)


class Frame(NamedTuple):
    """What the data make of a posterior: programs that take it serve other data as well.

    Attributes:
        counts: that were observed (bins,).
        centre: z at w = 0 (n,).
        basis, shrink: directions that the data know (n, k), and by how much they shrink (k,).
        constant: log|dz/dw| and what of the Poisson probability depends on the counts alone.
        values: of the coordinates.
    """

    counts: Array | np.ndarray
    centre: Array | np.ndarray
    basis: Array | np.ndarray
    shrink: Array | np.ndarray
    constant: float | Array
    values: Values


class Target:
    """The posterior of an analysis in whitened coordinates.

    Args:
        coordinates: of the parameters that move.
        start: z (n,) to climb from, to the mode where it is whitened.
        data: what was observed; the observation by default.
        loose: positions among the moving parameters that keep their prior as the reference: those
            whose posterior has several modes.

    Attributes:
        mode: z (n,) of the mode that was found.
        centre: the same, but loose parameters at the middle of their prior.
        stiffness: what the data know about loose parameters at the mode, in units of their prior
            (n,); zero for the others.
    """

    def __init__(
        self,
        coordinates: Coordinates,
        start: np.ndarray,
        *,
        data: Data | None = None,
        loose: np.ndarray | None = None,
    ) -> None:
        self.coordinates = coordinates
        self.analysis: Analysis = coordinates.analysis
        self.data = self.analysis.data if data is None else data
        n = self.analysis.data_distribution.n_counts
        #: Whether negative expected counts are a matter: a bin is empty.
        self.walled = bool((np.asarray(self.data.counts)[:n] == 0).any())
        loose = np.zeros(0, int) if loose is None else loose
        linearise = linearisation(coordinates, self.data.counts)
        self.mode = climb(linearise, start)
        slopes = linearise(self.mode)[2]
        self.stiffness = np.zeros(self.size)
        self.stiffness[loose] = _known(slopes, loose)
        self.centre = self.mode.copy()
        self.centre[loose] = 0.0
        slopes[:, loose] = 0.0
        # Where the rates bend, the data are stiffer on one side than on the other: averaged.
        self._whiten(slopes)
        random = np.random.default_rng(0)
        points = []
        for _ in range(_POINTS):
            w = random.standard_normal(self.size)
            w[loose] /= np.sqrt(1 + self.stiffness[loose])
            points.append(linearise(self.mode + self._shrunk(w))[2] / np.sqrt(_POINTS))
            points[-1][:, loose] = 0.0
        self._whiten(np.concatenate(points))

    def _whiten(self, slopes: np.ndarray) -> None:
        # Singular values and directions, the largest first.
        squares, basis = np.linalg.eigh(slopes.T @ slopes)
        s, basis = np.sqrt(np.maximum(squares[::-1], 0.0)), basis.T[::-1]
        kept = int(np.sum(s > _WORTH))
        # So many columns that other data hardly ever need another number of them.
        columns = -(-max(kept, 1) // _COLUMNS) * _COLUMNS
        self.basis = np.zeros((self.size, columns))
        self.basis[:, :kept] = basis[:kept].T
        self.shrink = np.ones(columns)
        self.shrink[:kept] = 1 / np.sqrt(1 + s[:kept] ** 2)

    def _shrunk(self, w: np.ndarray) -> np.ndarray:
        return w + ((w @ self.basis) * (self.shrink - 1)) @ self.basis.T

    @property
    def size(self) -> int:
        return self.coordinates.size

    @cached_property
    def frame(self) -> Frame:
        """What `weight` needs of the data."""
        counts = np.asarray(self.data.counts, float)
        constant = float(
            np.sum(np.log(self.shrink)) - self.coordinates.analysis.data_distribution.norm(counts)
        )
        return Frame(
            counts, self.centre, self.basis, self.shrink, constant, self.coordinates.values
        )

    def whitened(self, z: np.ndarray) -> np.ndarray:
        """Return w of z (..., n)."""
        moved = np.asarray(z) - self.centre
        return moved + ((moved @ self.basis) * (1 / self.shrink - 1)) @ self.basis.T

    @property
    def weight(self) -> LogWeight:
        """l(w, frame) of this posterior, and of those of other data in their frames."""
        chart = self.coordinates.chart
        return LogWeight(
            _weigher(chart, self.walled),
            (chart.structure, self.walled),
            self.analysis.programs,
            _stages(chart, self.walled),
        )

    def vectors(self, w: np.ndarray) -> np.ndarray:
        """Return the flat vectors (..., size) of many w (..., n)."""
        z = self.centre + self._shrunk(np.reshape(w, (-1, self.size)))
        chart = self.coordinates.chart
        program = self.analysis.programs.get(
            "parameters of draws",
            chart.structure,
            lambda: jax.vmap(lambda z, values: chart.natural(z, values)[0], (0, None)),
        )
        found = in_pieces(program, z, self.coordinates.values)
        return found.reshape(*np.shape(w)[:-1], self.analysis.size)


def _weigher(chart: Chart, walled: bool) -> Callable[[Array, Frame], Array]:
    return lambda w, f: _weight(chart, walled, chart.density, w, f)


def _stages(chart: Chart, walled: bool) -> Stages | None:
    """The signal first, which nuisances of the measurements do not change; None where a wall does,
    or there are none."""
    density = chart.density
    fast = np.flatnonzero(chart.index >= len(density.vector.parameters))
    if chart.wall is not None or not fast.size:
        return None

    def first(w: Array, f: Frame) -> Any:
        vector, _ = chart.natural(_standard(w, f), f.values)
        return density.signal(density.physics(vector))

    def then(w: Array, expectations: Any, f: Frame) -> Array:
        return _weight(chart, walled, density.holding_signal(expectations), w, f)

    return Stages(first, then, fast)


def _standard(w: Array, f: Frame) -> Array:
    return jnp.asarray(f.centre) + w + f.basis @ ((f.shrink - 1) * (f.basis.T @ w))


def _weight(chart: Chart, walled: bool, density: LogDensity, w: Array, f: Frame) -> Array:
    z = _standard(w, f)
    vector, weight = chart.natural(z, f.values)
    rates = density.rates(vector)
    counts = density.data_distribution.shape(f.counts, rates)
    if walled:
        counts = counts + density.data_distribution.wall(f.counts, rates)
    return counts + weight - 0.5 * jnp.sum(z**2) + 0.5 * jnp.sum(w**2) + f.constant


def in_pieces(program: Callable[..., Any], rows: np.ndarray, *rest: Any) -> np.ndarray:
    """Return a function of many rows (rows, n), computed in chunks of one size."""
    parts = []
    for first in range(0, len(rows), _TOGETHER):
        index = np.minimum(np.arange(first, first + _TOGETHER), len(rows) - 1)
        parts.append(np.asarray(program(rows[index], *rest))[: len(rows) - first])
    return np.concatenate(parts)


#: Rows that are computed together.
_TOGETHER = 256


#: Points at which the Fisher matrix is averaged.
_POINTS = 48

#: Directions that the data know are stored in multiples of this.
_COLUMNS = 16

#: What the data know less about than this part of what the prior knows is left as it is.
_WORTH = 0.5

#: z -> -log posterior but for constants, its gradient (n,), and r^-1/2 J (bins, n).
Linearise = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]


def linearisation(coordinates: Coordinates, observed: ArrayLike) -> Linearise:
    """Return the expansion of a posterior about a point, compiled once for all data sets."""
    counts = np.asarray(observed, float)
    analysis, chart, values = coordinates.analysis, coordinates.chart, coordinates.values
    slopes = Slopes(chart)

    def run(z: Array, counts: Array, values: Values) -> tuple[Array, ...]:
        return slopes.at(lambda z: chart.natural(z, values), counts, z)[:4]

    program = analysis.programs.get(
        "slopes of a posterior", chart.structure, lambda: run, once=True
    )

    def linearise(z: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        value, gradient, *found = program(z, counts, values)
        return float(value), np.array(gradient), slopes.dense(*found)

    return linearise


class Slopes:
    """Derivatives of the rates by standard normal numbers, A = r^-1/2 dr/dz (bins, n).

    Most parameters move one bin only: A has dense columns (bins, k), and one number (m,) for each
    of the others.
    """

    def __init__(self, chart: Chart) -> None:
        self.chart, self.density = chart, chart.density
        density = chart.density
        structure = density.structure
        position = np.full(density.size, -1)
        position[chart.index] = np.arange(chart.size)
        shared, local = position[structure.shared], position[structure.local]
        self._columns, self._own = np.flatnonzero(shared >= 0), np.flatnonzero(local >= 0)
        self.shared, self.local = shared[self._columns], local[self._own]
        self.bin = structure.local_bin[self._own]
        #: Which of the columns each parameter has (n,); those of the model have one.
        self._column = np.full(chart.size, -1)
        self._column[self.shared] = np.arange(len(self.shared))
        #: (m, bins): on which bin each of the others acts.
        self._in_bin = np.eye(density.n_bins)[self.bin]

    def at(
        self, natural: Callable[[Array], tuple[Array, Array]], counts: Array, z: Array
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Return -log posterior but for constants at z (n,), its gradient, A, and the rates.

        Args:
            natural: `Chart.natural` at some values.
            counts: what was observed (bins,).
        """
        index = self.chart.index

        def values(z: Array) -> tuple[Array, Array]:
            vector, weight = natural(z)
            return vector[index], weight

        vector, _ = natural(z)
        rates, dense, local = self.density.derivatives(vector)
        # Every parameter depends on its own z alone, but for the narrow ones of funnels, and for
        # the one that ends at a wall: how the others move that is in the gradient, not in A.
        funnels, wall = self.chart.funnels, self.chart.wall
        decide = np.isin(np.arange(len(index)), [f.decides for f in funnels])
        walled = np.arange(len(index)) == (-1 if wall is None else wall.position)
        stretch = self._stretch(lambda x: values(x)[0], z, ~decide & ~walled)
        if funnels:
            other = self._stretch(lambda x: values(x)[0], z, decide)
            stretch = jnp.where(decide, other, stretch)
        if wall is not None:
            own = self._stretch(lambda x: values(x)[0], z, walled)
            stretch = jnp.where(walled, own, stretch)
        distribution = self.density.data_distribution
        root = 1 / distribution.resolution(rates, _FLOOR)
        columns = dense[:, self._columns] * stretch[self.shared][None, :] * root[:, None]
        for f in funnels:
            narrow, decides = (int(self._column[k]) for k in (f.narrow, f.decides))
            by_other = dense[:, self._columns[narrow]] * other[f.narrow] * root
            columns = columns.at[:, decides].add(by_other)
        local = local[self._own] * stretch[self.local] * root[self.bin]
        weight, slope = jax.value_and_grad(lambda x: values(x)[1])(z)
        value = 0.5 * jnp.sum(z**2) - weight - distribution.shape(counts, rates)
        value = value - distribution.wall(counts, rates)
        excess = distribution.slope(counts, rates, _FLOOR) / root
        gradient = z - slope - self.back(columns, local, excess)
        if wall is not None:

            def falls(z: Array) -> Array:
                vector, weight = natural(z)
                rates = self.density.rates(vector)
                return 0.5 * jnp.sum(z**2) - weight - distribution.shape(counts, rates)

            gradient = jax.grad(falls)(z)
        return value, gradient, columns, local, rates

    @staticmethod
    def _stretch(natural: Callable[[Array], Array], z: Array, which: np.ndarray) -> Array:
        """Return the derivative of the parameters (n,) when some of the numbers z grow together."""
        return jax.jvp(natural, (z,), (jnp.asarray(which, z.dtype),))[1]

    def forth(self, columns: Array, local: Array, v: Array) -> Array:
        """Return A v (bins,) of v (n,)."""
        return columns @ v[self.shared] + (local * v[self.local]) @ self._in_bin

    def back(self, columns: Array, local: Array, v: Array) -> Array:
        """Return A^T v (n,) of v (bins,)."""
        result = jnp.zeros(self.chart.size).at[self.shared].set(v @ columns)
        return result.at[self.local].set(local * v[self.bin])

    def squared(self, columns: Array, local: Array) -> Array:
        """Return 1 + A A^T (bins, bins)."""
        return columns @ columns.T + jnp.diag(1.0 + local**2 @ self._in_bin)

    def dense(self, columns: Array, local: Array) -> np.ndarray:
        """Return A (bins, n)."""
        result = np.zeros((len(columns), self.chart.size))
        result[:, self.shared] = columns
        result[self.bin, self.local] = local
        return result


#: Least rate, where one that vanishes would divide.
_FLOOR = 1e-12


def climb(linearise: Linearise, z: np.ndarray, steps: int = 50) -> np.ndarray:
    """Return the mode near z in the coordinates z, by Fisher steps."""
    value, gradient, a = linearise(z)
    for _ in range(steps):
        # (1 + A^T A)^-1 by Woodbury, as small as there are bins.
        inner = np.eye(len(a)) + a @ a.T
        move = -(gradient - a.T @ np.linalg.solve(inner, a @ gradient))
        promise = -gradient @ move
        if not promise > 1e-8:
            break
        length = min(1.0, 2.0 / np.max(np.abs(move)))
        while length > 1e-4:
            there = linearise(z + length * move)
            if there[0] < value - 1e-4 * length * promise:
                break
            length /= 2
        else:
            break
        z = z + length * move
        value, gradient, a = there
    return z


def _known(slopes: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Return what the data know about some parameters, the others unknown: Fisher information."""
    others = slopes.copy()
    others[:, which] = 0.0
    inner = np.eye(len(slopes)) + others @ others.T
    columns = slopes[:, which]
    return np.einsum("bi,bi->i", columns, np.linalg.solve(inner, columns))
