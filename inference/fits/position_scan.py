"""Where the minima of many data sets may lie, when a likelihood has dozens of them.

A parameter that means nothing at the null (the position of a peak of height zero) makes the
likelihood of a toy as rugged as its fluctuations, and a handful of starts misses the lowest minimum
of every fifth toy. But at the null everything else is known: seen from there a signal at s shifts
the rates by alpha T_b(s), and with the residuals n/r - 1 of the null fit and the inverse covariance
P of the bins, nuisances included,

    U(s) = sum_b T_b (n_b/r_b - 1),   I(s) = T P T,   -2 ln L falls by 2 alpha U - alpha^2 I,

at most by U^2/I at alpha = U/I (the score test of Rao 1948). That is a few microseconds a point, so
the grid can be fine; fits begin at the highest of its peaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis, Data
from bknn.analysis.log_density import LogDensity
from bknn.inference.datasets import taken
from bknn.inference.minimiser.fisher import inverse
from bknn.inference.slopes import rates
from bknn.likelihood.sparse import take
from bknn.parameters import Parameter
from bknn.programs import Program

#: Fits begin at this many peaks of the score. Of 400 Belle II toys none had its lowest minimum
#: beyond the first six.
PEAKS = 8

#: Points of the grid between two starts of a parameter, and at most in all.
_FINER, _MOST = 16, 1024

#: Toys whose scores are computed together.
_TOGETHER = 32

#: Rates that differ by less than this part are the same.
_SAME = 1e-9


def meaningless(analysis: Analysis, vector: np.ndarray, names: Iterable[str]) -> list[str]:
    """Return those parameters on which no rate depends at a vector (size,), wherever they are."""
    rates_at = rates(analysis)
    here = np.asarray(rates_at(vector))
    known = {p.name: p for p in analysis.parameters}
    found = []
    for name in names:
        index = analysis.index(name)

        def moved(value: float, index: int = index) -> np.ndarray:
            there = np.array(vector)
            there[index] = value
            return np.asarray(rates_at(there))

        if all(_same(moved(x), here) for x in _probes(known[name])):
            found.append(name)
    return found


def depends(analysis: Analysis, vector: np.ndarray, names: Iterable[str]) -> bool:
    """Return whether any rate depends on any of the parameters at a vector (size,)."""
    names = list(names)
    return len(meaningless(analysis, vector, names)) < len(names)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(np.abs(a - b) <= _SAME * np.maximum(np.abs(b), 1.0)))


def _probes(parameter: Parameter) -> list[float]:
    lower, upper = parameter.bounds
    low = lower if np.isfinite(lower) else parameter.init - 1.0 - abs(parameter.init)
    high = upper if np.isfinite(upper) else parameter.init + 1.0 + abs(parameter.init)
    # Not the ends alone: beyond a threshold nothing depends on a mass.
    inside = [low + f * (high - low) for f in (0.03, 0.17, 0.31, 0.59, 0.83)]
    return [parameter.init, *parameter.starts, *inside]


class Scan:
    """The parameters that mean nothing at the null, on a fine grid.

    Attributes:
        scanned: entries of the flat vector that run over the grid.
        couplings: entries that the null fixes and that have a meaning; a signal grows along the
            line from their null to their start.
        base: entries that do not float in the fits from which the scan looks out, and their values.
        grid: (points, scanned).
        range: smallest and largest alpha within the bounds of the couplings.
    """

    def __init__(
        self, analysis: Analysis, scanned: Sequence[str], couplings: Mapping[str, float]
    ) -> None:
        self.analysis = analysis
        self.scanned = np.array([analysis.index(n) for n in scanned])
        self.couplings = np.array([analysis.index(n) for n in couplings])
        self.null = np.array([couplings[n] for n in couplings])
        self.reference = analysis.init_vector[self.couplings]
        self.base = {analysis.names[i]: float(analysis.init_vector[i]) for i in self.scanned}
        self.base |= dict(couplings)
        known = {p.name: p for p in analysis.parameters}
        axes = [_axis(known[name], len(scanned)) for name in scanned]
        self.shape = tuple(len(axis) for axis in axes)
        #: Distances of the points (scanned,).
        self.spacing = np.array([axis[1] - axis[0] for axis in axes])
        self.grid = np.stack([x.reshape(-1) for x in np.meshgrid(*axes, indexing="ij")], axis=1)
        lower, upper = analysis.bounds[self.couplings].T
        self.power = self._power()
        self.range = self._range(lower, upper)

    @classmethod
    def of(cls, analysis: Analysis, fixed: Iterable[str] = ()) -> Scan | None:
        """Return the scan that the free fit of an analysis needs, None if it needs none.

        It needs one if a parameter with several starts floats, and can be had if all such
        parameters mean nothing at the null.
        """
        fixed = frozenset(fixed)
        scanned = [p.name for p in analysis.parameters if p.starts and p.name not in fixed]
        values = analysis.null_values()
        if not scanned or not values:
            return None
        null = analysis.init_vector.copy()
        for name, value in values.items():
            null[analysis.index(name)] = value
        nothing = meaningless(analysis, null, scanned)
        couplings = {k: v for k, v in values.items() if k not in fixed and k not in nothing}
        if len(nothing) < len(scanned) or not couplings:
            return None
        scan = cls(analysis, scanned, couplings)
        # A start at the null shows no signal.
        return scan if scan.power and np.all(scan.reference != scan.null) else None

    def _power(self) -> int:
        """How the signal grows with the couplings: 1 linearly, 2 with their square, 0 not."""
        start = self.analysis.init_vector
        shifts = []
        for fraction in (0.0, 0.5, 1.0):
            v = start.copy()
            v[self.couplings] = self.null + fraction * (self.reference - self.null)
            shifts.append(np.asarray(rates(self.analysis)(v)))
        half, whole = (float(np.linalg.norm(x - shifts[0])) for x in shifts[1:])
        if not half > 0:
            return 0
        return 2 if whole / half > 2.0**1.5 else 1

    def _range(self, lower: np.ndarray, upper: np.ndarray) -> tuple[float, float]:
        step = self.reference - self.null
        if not self.power or not step.all():
            return 0.0, 0.0
        ends = np.sort(np.stack([(lower - self.null) / step, (upper - self.null) / step]), axis=0)
        low, high = float(ends[0].max()), float(ends[1].min())
        return (low, high) if self.power == 1 else (0.0, max(low**2, high**2))

    def amplitude(self, values: Mapping[str, float]) -> float | None:
        """Return alpha of given values of the couplings, None if they are not on the line."""
        names = [self.analysis.names[i] for i in self.couplings]
        if not set(names) <= set(values):
            return None
        along = (np.array([values[n] for n in names]) - self.null) / (self.reference - self.null)
        if np.ptp(along) > 1e-9:
            return None
        return float(along[0] ** self.power)

    def scores(self, vectors: np.ndarray, data: Data, moving: np.ndarray) -> Any:
        """Return U and I (n, points) seen from the null fits (n, size) of n data sets."""
        program = self._program()
        parts = []
        for first in range(0, len(vectors), _TOGETHER):
            rows = np.arange(first, first + _TOGETHER)
            rows = np.minimum(rows, len(vectors) - 1)
            found = program(vectors[rows], taken(data, rows), moving)
            parts.append([np.asarray(x)[: len(vectors) - first] for x in found])
        return tuple(np.concatenate(x) for x in zip(*parts, strict=True))

    def gain(
        self, scores: tuple[np.ndarray, np.ndarray], amplitude: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the amplitude of the signal and how far it takes -2 log L down, (n, points)."""
        u, i = scores
        seen = i > 0
        i = np.where(seen, i, 1.0)
        low, high = self.range
        alpha = np.clip(u / i, low, high) if amplitude is None else np.full_like(u, amplitude)
        return alpha, np.where(seen, 2 * alpha * u - alpha**2 * i, 0.0)

    def starts(
        self,
        vectors: np.ndarray,
        scores: tuple[np.ndarray, np.ndarray],
        amplitude: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where the fits of n data sets begin, (n, PEAKS, size), and which are worth it.

        Args:
            vectors: their null fits (n, size).
            scores: U and I (n, points).
            amplitude: of the signal, if it does not float.
        """
        alpha, gain = self.gain(scores, amplitude)
        peaks = self._peaks(gain)
        order = np.argsort(-np.where(peaks, gain, -np.inf), axis=1)[:, :PEAKS]
        rows = np.arange(len(gain))[:, None]
        worth = peaks[rows, order]
        starts = np.repeat(vectors[:, None, :], order.shape[1], axis=1)
        starts[:, :, self.scanned] = self.grid[order]
        along = alpha[rows, order]
        along = np.sign(along) * np.abs(along) ** (1 / self.power)
        starts[:, :, self.couplings] = self.null + along[:, :, None] * (self.reference - self.null)
        lower, upper = self.analysis.bounds[self.couplings].T
        starts[:, :, self.couplings] = np.clip(starts[:, :, self.couplings], lower, upper)
        return starts, worth

    def _peaks(self, gain: np.ndarray) -> np.ndarray:
        """Return which points of the grid (n, points) are not lower than their neighbours."""
        cube = gain.reshape(-1, *self.shape)
        found = np.ones(cube.shape, bool)
        for axis in range(1, cube.ndim):
            after = np.moveaxis(cube, axis, -1)
            rises = after[..., 1:] > after[..., :-1]
            good = np.moveaxis(found, axis, -1)
            good[..., :-1] &= ~rises
            # Of a plateau the first point counts.
            good[..., 1:] &= rises
        return found.reshape(gain.shape)

    def _program(self) -> Program:
        density, grid, reference = self.analysis.density, self.grid, self.reference
        scanned, couplings = self.scanned, self.couplings
        return self.analysis.programs.get(
            "scores of peaks",
            (*scanned.tolist(), *couplings.tolist()),
            lambda: jax.vmap(_scores(density, grid, scanned, couplings, reference), (0, 0, None)),
        )


def _scores(
    density: LogDensity,
    grid: np.ndarray,
    scanned: np.ndarray,
    couplings: np.ndarray,
    reference: np.ndarray,
) -> Callable[[Array, Data, Array], tuple[Array, Array]]:
    """Return the function of U and I (points,) seen from one null fit."""

    def inputs(vector: Array) -> list[tuple[Array, Array | None]]:
        return density.inputs(vector, density.signal(density.physics(vector))[0])

    def one(vector: Array, data: Data, moving: Array) -> tuple[Array, Array]:
        rates = density.rates(vector)
        project = _project(density, vector, data, moving, rates)

        parts = list(zip(density.signal.parts, inputs(vector), strict=True))
        # Rates are linear in the signal's templates, whatever the nuisances.
        slopes = []
        for part, (own, scales) in parts:
            bins = np.arange(part.pdf.n_bins)[:, None] == part.pdf.structure.scale_bin
            slope = None if scales is None else part.pdf.derivatives(own, scales).scales
            slopes.append(None if slope is None else jnp.where(bins, slope[None, :], 0.0))

        def shift(point: Array) -> Array:
            there = vector.at[scanned].set(point).at[couplings].set(reference)
            found = []
            for (part, (own, scales)), slope, (own_there, scales_there) in zip(
                parts, slopes, inputs(there), strict=True
            ):
                if slope is None or scales is None or scales_there is None:
                    found.append(part.pdf.rates(own_there) - part.pdf.rates(own))
                else:
                    found.append(slope @ (scales_there - scales))
            if density.signal.results:
                found.append(
                    density.signal(density.physics(there))[1]
                    - density.signal(density.physics(vector))[1]
                )
            return jnp.concatenate(found)

        shifts = jax.vmap(shift)(jnp.asarray(grid))
        u = shifts @ density.data_distribution.slope(data.counts, rates, _LEAST)
        return u, jnp.sum((shifts @ project) * shifts, axis=1)

    return one


#: Stands in for a rate that vanishes.
_LEAST = 1e-10


def _axis(parameter: Parameter, n_axes: int) -> np.ndarray:
    lower, upper = parameter.bounds
    low = lower if np.isfinite(lower) else min(parameter.starts)
    high = upper if np.isfinite(upper) else max(parameter.starts)
    points = min(_FINER * len(parameter.starts), int(_MOST ** (1 / n_axes)))
    return np.linspace(low, high, points)


def _project(density: LogDensity, vector: Array, data: Data, moving: Array, rates: Array) -> Array:
    """Return the inverse covariance of the counts (bins, bins), all that moves included."""
    _, dense, local = density.derivatives(vector)
    structure = density.structure
    variance = density.data_distribution.variance(data.counts, rates, _LEAST)
    index, _, sigma = density.normal
    prior = np.zeros(density.size)
    prior[index] = sigma**2
    tied = prior > 0
    spread = jnp.asarray(prior)
    index, _, _ = density.poisson
    if index.size:
        tied[index] = True
        spread = spread.at[index].set(take(vector, index) ** 2 / jnp.maximum(data.poisson, 0.5))
    in_bin = np.arange(density.n_bins)[:, None] == structure.local_bin
    columns = jnp.concatenate([dense, jnp.where(in_bin, local[None, :], 0.0)], axis=1)
    where = np.concatenate([structure.shared, structure.local])
    root = jnp.sqrt(variance)
    columns = jnp.where(moving[where][None, :], columns, 0.0) / root[:, None]
    core = (columns * spread[where][None, :]) @ columns.T + jnp.eye(density.n_bins)
    result = inverse(core)
    # What nothing constrains takes its direction in the space of bins with it.
    free = columns[:, np.flatnonzero(~tied[where])]
    size = jnp.sqrt(jnp.sum(free**2, axis=0))
    free = free / jnp.where(size > 0, size, 1.0)[None, :]
    along = result @ free
    schur = free.T @ along + jnp.diag(jnp.where(size > 0, 1e-9, 1.0))
    result = result - along @ inverse(schur) @ along.T
    return result / root[:, None] / root[None, :]
