"""Toys: data as they could have come out, main counts and auxiliary data alike, and their fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.io import netcdf_file
from scipy.special import gammaln, xlogy

from bknn import errors
from bknn.analysis import Analysis, Data, Parameters
from bknn.inference import batch
from bknn.inference.fit import compiled, starting_points
from bknn.inference.newton import (
    CONVERGED,
    EXHAUSTED,
    NOT_FINITE,
    STALLED,
    Minimum,
    inverse,
)
from bknn.inference.scan import PEAKS, Scan


def throw(analysis: Analysis, params: Parameters, n: int, *, seed: int = 0, first: int = 0) -> Data:
    """Return data sets thrown at a point of the parameters, nuisances included.

    Args:
        analysis: what is measured.
        params: {name: value} or the flat vector (size,): the truth.
        n: how many toys.
        seed: of the random numbers.
        first: number of the first toy. Toy i of a seed is the same on every machine and device, in
            whatever pieces the toys are thrown.

    Returns:
        Data with counts (n, bins) and auxiliary data (n, .) as of `analysis.data`.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import inference, models
    >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    >>> toys = inference.throw(analysis, analysis.init, 100, seed=1)
    >>> toys.counts.shape
    (100, 30)
    """
    if n < 1:
        raise errors.ParameterError(f"{n} toys were asked for; throw at least one.")
    vector = analysis.flatten(params)
    cache = analysis.__dict__.setdefault("_thrower", {})
    if "run" not in cache:

        def one(key: Array, rates: Array, vector: Array) -> Data:
            of_counts, of_normal, of_poisson = jax.random.split(key, 3)
            index, _, sigma = analysis.normal
            normal = vector[index] + sigma * jax.random.normal(of_normal, (len(index),))
            index, _, factor = analysis.poisson
            return Data(
                _poisson(of_counts, rates),
                normal,
                _poisson(of_poisson, vector[index] * factor),
            )

        def run(seed: Array, numbers: Array, vector: Array) -> Data:
            rates = jnp.maximum(analysis.rates(vector), 0.0)
            keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(numbers)
            return jax.vmap(one, in_axes=(0, None, None))(keys, rates, vector)

        cache["run"] = jax.jit(run)
    thrown = cache["run"](seed, np.arange(first, first + n), vector)
    return Data(*(np.asarray(x) for x in thrown))


def _poisson(key: Array, rate: Array) -> Array:
    """Throw counts. JAX's own lose their variance beyond 1e5 (1.46 of it at 1e8, jax 0.10); there
    a rounded normal distribution is as good as it gets."""
    small = jax.random.poisson(key, jnp.minimum(rate, _MANY)).astype(float)
    normal = jax.random.normal(jax.random.fold_in(key, 1), rate.shape)
    large = jnp.round(rate + jnp.sqrt(rate) * normal)
    return jnp.where(rate > _MANY, large, small)


#: Counts beyond this are thrown as rounded normal numbers.
_MANY = 1e5


def asimov(analysis: Analysis, params: Parameters) -> Data:
    """Return the data set in which everything came out as expected (arXiv:1007.1727, section 3.2).

    Args:
        analysis: what is measured.
        params: {name: value} or the flat vector (size,): the truth.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import inference, models
    >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    >>> data = inference.asimov(analysis, {**analysis.init, "mu": 2.0})
    >>> round(float(inference.fit(analysis, data=data).params["mu"]), 6)
    2.0
    """
    vector = np.asarray(analysis.flatten(params))
    normal, poisson = analysis.normal, analysis.poisson
    rates = np.maximum(np.asarray(_jitted(analysis, "rates")(vector)), 0.0)
    return Data(rates, vector[normal[0]], vector[poisson[0]] * poisson[2])


def _jitted(analysis: Analysis, name: str) -> Any:
    cache = analysis.__dict__.setdefault("_jitted", {})
    if name not in cache:
        cache[name] = jax.jit(getattr(analysis, name))
    return cache[name]


def saturated(analysis: Analysis, data: Data) -> np.ndarray:
    """Return -2 log L_sat of data sets: every count as expected, every constraint at its centre.

    No parameters make the data more probable, so -2 log L minus this measures how well they fit
    (Baker and Cousins, Nucl. Instrum. Meth. 221 (1984) 437).

    Args:
        analysis: what is measured.
        data: one data set, or n of them with a leading axis.

    Returns:
        -2 log L_sat, () or (n,).
    """
    result = np.zeros(np.shape(data.counts)[:-1])
    for counts in (np.asarray(data.counts, float), np.asarray(data.poisson, float)):
        result += np.sum(xlogy(counts, counts) - counts - gammaln(counts + 1), axis=-1)
    sigma = analysis.normal[2]
    return -2 * (result - np.sum(np.log(np.sqrt(2 * np.pi) * sigma)))


#: Numbers in memory at once for the starts of the fits, at most.
_NUMBERS = 2**22

#: Fewer fits are filled up to so many, so that they share the program of many.
_LANES = 128

#: Toys in memory at once, at most.
_BLOCK = 4096

#: -2 log L of two fits of the same minimum differ by less.
SAME = 1e-6

#: Peaks whose -2 log L on the grid is higher than the lowest by more than this do not win when
#: they are climbed to the top.
MARGIN = 0.5

#: A search without slopes ends when its steps are so small, in distances of the grid, and after so
#: many rounds at the latest.
_CLOSE, _ROUNDS = 1e-4, 60


def toys(
    analysis: Analysis,
    params: Parameters,
    n: int,
    *,
    seed: int = 0,
    first: int = 0,
    hypotheses: Mapping[str, Mapping[str, float]] | None = None,
    fixed: Mapping[str, float] | None = None,
    uncertainties: bool = False,
    progress: batch.Progress | None = None,
) -> Toys:
    """Throw toys and fit each of them freely, and once for every hypothesis.

    Args:
        analysis: what is measured.
        params: {name: value} or the flat vector (size,): the truth.
        n: how many toys.
        seed: of the random numbers.
        first: number of the first toy. Toy i of a seed is the same in every job, so that jobs with
            different `first` can be merged.
        hypotheses: {label: {name: value}}; the parameters of each are fixed there.
        fixed: {name: value} of parameters that float in no fit.
        uncertainties: whether to compute the uncertainties of the free fit, from its Hessian; about
            10 ms a toy.
        progress: is called with the number of toys that have been done since the last call.

    Fits begin at the truth. Parameters with several `starts` would make them miss the lowest
    minimum of one toy in five; if they mean nothing at the null, a scan from there finds where to
    begin (`bknn.inference.scan`), otherwise fits begin at all starts. Only summaries are kept:
    memory does not grow with n, but for some numbers a toy.

    Raises:
        UnknownNameError, ParameterError: as for `fit`.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> toys = inference.toys(analysis, analysis.init, 50, hypotheses={"SM": {"mu": 1.0}})
        >>> toys.estimates["mu"].shape, bool((toys.statistic("SM") >= 0).all())
        ((50,), True)
        >>> print(toys.failed)
        none of 50 toys failed
    """
    if n < 1:
        raise errors.ParameterError(f"{n} toys were asked for; fit at least one.")
    truth = np.asarray(analysis.flatten(params))
    search = Search(analysis, truth, hypotheses or {}, fixed or {})
    parts = []
    for start in range(first, first + n, search.block):
        # Blocks of one size, so that one program throws them all.
        thrown = throw(analysis, truth, search.block, seed=seed, first=start)
        count = min(search.block, first + n - start)
        data = Data(*(x[:count] for x in thrown))
        parts.append(search.summary(data, seed, start, uncertainties))
        if progress is not None:
            progress(count)
    return Toys.merge(*parts)


class Search:
    """Fits of many data sets, that begin near a common truth.

    Args:
        analysis: what is fitted.
        truth: where fits begin, (size,).
        hypotheses: {label: {name: value}} of parameters fixed in each of them.
        fixed: {name: value} of parameters that float in no fit.
    """

    def __init__(
        self,
        analysis: Analysis,
        truth: np.ndarray,
        hypotheses: Mapping[str, Mapping[str, float]],
        fixed: Mapping[str, float],
    ) -> None:
        self.analysis, self.truth = analysis, np.array(truth)
        self.fixed = {k: float(v) for k, v in fixed.items()}
        self.hypotheses = {
            label: {k: float(v) for k, v in values.items()} for label, values in hypotheses.items()
        }
        for label, values in self.hypotheses.items():
            if twice := sorted(set(values) & set(self.fixed)):
                raise errors.ParameterError(
                    f"hypothesis {label!r} sets {twice[0]!r}, which is fixed in all fits; leave it "
                    "out of one of the two."
                )
        self.scan = Scan.of(analysis, self.fixed)
        #: {what floats not: (starts (starts, size), moving (size,))}
        self._plain: dict[str | None, tuple[np.ndarray, np.ndarray]] = {
            None: self._begin(self.fixed)
        }
        for label, values in self.hypotheses.items():
            self._plain[label] = self._begin({**self.fixed, **values})
        most = max(len(s) for s, _ in self._plain.values())
        if self.scan is not None:
            self._base = self._begin({**self.fixed, **self.scan.base})
            most = PEAKS + 1
        self.block = max(1, min(_BLOCK, _NUMBERS // (most * analysis.size)))

    def _begin(self, held: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return where fits begin with some parameters held, and what moves."""
        starts, moving, _ = starting_points(self.analysis, held, {})
        result = np.tile(self.truth, (len(starts[0]), 1))
        for i, p in enumerate(self.analysis.parameters):
            if p.starts and len(starts[0]) > 1:
                result[:, i] = starts[0, :, i]
        for j in np.flatnonzero(~moving):
            result[:, j] = starts[0, 0, j]
        if len(result) > 1:
            # The truth is one more start.
            true = np.where(moving, self.truth, result[0])
            result = np.concatenate([true[None], result])
        return result, moving

    def fit(self, data: Data) -> tuple[Minimum, dict[str, Minimum]]:
        """Return the lowest minima of n data sets, free and under every hypothesis."""
        scores, seen = None, None
        if self.scan is not None:
            seen, scores = self._scores(data)
        found: dict[str | None, Minimum] = {}
        for label, (plain, moving) in self._plain.items():
            starts = np.repeat(plain[None], len(data.counts), axis=0)
            if scores is not None and seen is not None:
                starts = self._scanned(label, starts, moving, seen.vector, scores, data)
            found[label] = self._minimise(starts, data, moving)
        free = found.pop(None)
        under = {str(label): minimum for label, minimum in found.items()}
        return self._rescued(free, under, data), under

    def _scores(self, data: Data) -> tuple[Minimum, tuple[np.ndarray, np.ndarray]]:
        """Return the null fits of data sets, and what the scan sees from there."""
        assert self.scan is not None
        start, moving = self._base
        seen = self._minimise(start[None], data, moving)
        return seen, self.scan.scores(seen.vector, data, moving)

    def upcrossings(self, data: Data, level: float) -> np.ndarray:
        """Return how often t of the score rises through a level along the grid (n,)."""
        assert self.scan is not None
        _, scores = self._scores(data)
        _, gain = self.scan.gain(scores)
        return np.sum((gain[:, 1:] > level) & (gain[:, :-1] <= level), axis=1)

    def _scanned(
        self,
        label: str | None,
        starts: np.ndarray,
        moving: np.ndarray,
        seen: np.ndarray,
        scores: tuple[np.ndarray, np.ndarray],
        data: Data,
    ) -> np.ndarray:
        """Return where to begin if what the scan is for floats; otherwise the starts as given."""
        scan = self.scan
        assert scan is not None
        if not moving[scan.scanned].all():
            return starts
        amplitude = None
        if not moving[scan.couplings].all():
            amplitude = scan.amplitude(self.hypotheses[label] if label is not None else {})
            if amplitude is None:  # not on the line: as without a scan
                return starts
            if amplitude == 0.0:  # no signal, nothing to search
                return starts[:, :1]
        found, worth = scan.starts(seen, scores, amplitude)
        # What does not move here stays as it is fixed; the truth is one more start.
        found = np.where(moving, found, starts[:, :1])
        found = np.concatenate([starts[:, :1], found], axis=1)
        worth = np.concatenate([np.ones((len(found), 1), bool), worth], axis=1)
        # Fits with the scanned parameters held take few steps, and tell which peaks may win.
        held = moving.copy()
        held[scan.scanned] = False
        at = self._all(found, data, held, worth)
        value = np.where(worth, 2 * at.value, np.inf)
        value = np.where(np.isfinite(value), value, np.inf)
        worth = value <= value.min(axis=1, keepdims=True) + MARGIN
        order = np.argsort(np.where(worth, value, np.inf), axis=1)[:, : worth.sum(axis=1).max()]
        rows = np.arange(len(order))[:, None]
        result = at.vector[rows, order]
        # NaN: not worth a fit.
        result[~worth[rows, order]] = np.nan
        return result

    def _all(
        self, starts: np.ndarray, data: Data, moving: np.ndarray, worth: np.ndarray
    ) -> Minimum:
        """Fit n data sets from the starts (n, starts, size) that are worth it (n, starts).

        The fields of the result are (n, starts, ...); the value is inf where nothing was fitted.
        """
        n, each = starts.shape[:2]
        row, column = np.nonzero(worth)
        # Nothing moves in fits that fill up.
        room = max(len(row), _LANES)
        filled = np.append(row, np.full(room - len(row), row[-1] if len(row) else 0))
        chosen = filled, np.append(column, np.full(room - len(row), column[-1] if len(row) else 0))
        floats = np.broadcast_to(moving, (room, len(moving))).copy()
        floats[len(row) :] = False
        found, _ = batch.run(
            compiled(self.analysis),
            np.ascontiguousarray(starts)[chosen][:, None],
            Data(*(np.asarray(x)[filled] for x in data)),
            floats,
        )
        found = Minimum(*(x[: len(row)] for x in found))
        result = Minimum(
            np.array(starts),
            np.full((n, each), np.inf),
            np.zeros((n, each)),
            np.zeros((n, each), int),
            np.full((n, each), NOT_FINITE),
        )
        for whole, own in zip(result, found, strict=True):
            whole[row, column] = own
        return result

    def _minimise(self, starts: np.ndarray, data: Data, moving: np.ndarray) -> Minimum:
        """Fit n data sets from starts (n or 1, starts, size), and keep the lowest of each.

        A start with NaN is left out.
        """
        n = len(data.counts)
        starts = np.broadcast_to(starts, (n, *starts.shape[1:]))
        found = self._all(starts, data, moving, ~np.isnan(starts[:, :, 0]))
        value = np.where(np.isfinite(found.value), 2 * found.value, np.inf)
        # One that did not converge counts if it is lower than all that did: so is the minimum.
        value = np.where(found.outcome == CONVERGED, value, value + SAME)
        best = np.arange(n), np.argmin(value, axis=1)
        return self._again(Minimum(*(x[best] for x in found)), data, moving)

    def _again(self, found: Minimum, data: Data, moving: np.ndarray) -> Minimum:
        """Go on where fits ended without having converged: without memory, then without slopes."""
        bad = np.flatnonzero((found.outcome != CONVERGED) & np.isfinite(found.value))
        if bad.size:
            own = Data(*(np.asarray(x)[bad] for x in data))
            more = self._all(found.vector[bad][:, None], own, moving, np.ones((bad.size, 1), bool))
            for old, new in zip(found, more, strict=True):
                old[bad] = new[:, 0]
        bad = np.flatnonzero((found.outcome != CONVERGED) & np.isfinite(found.value))
        if bad.size and self.scan is not None and moving[self.scan.scanned].all():
            own = Data(*(np.asarray(x)[bad] for x in data))
            more = self._compass(Minimum(*(x[bad] for x in found)), own, moving)
            for old, new in zip(found, more, strict=True):
                old[bad] = new
        return found

    def _compass(self, found: Minimum, data: Data, moving: np.ndarray) -> Minimum:
        """Look to all sides for something lower, ever closer; where nothing is, is a minimum.

        Slopes do not show the way where the scanned parameters make a kink.
        """
        assert self.scan is not None
        scanned, n = self.scan.scanned, len(data.counts)
        held = moving.copy()
        held[scanned] = False
        lower, upper = self.analysis.bounds[scanned].T
        everyone = np.ones((n, 1), bool)
        found = Minimum(*(x[:, 0] for x in self._all(found.vector[:, None], data, held, everyone)))
        sides = np.concatenate([np.eye(len(scanned)), -np.eye(len(scanned))])
        step = 0.5 * self.scan.spacing * np.ones((n, 1))
        for _ in range(_ROUNDS):
            around = np.repeat(found.vector[:, None], len(sides), axis=1)
            places = around[:, :, scanned] + step[:, None] * sides
            around[:, :, scanned] = np.clip(places, lower, upper)
            there = self._all(around, data, held, np.ones(around.shape[:2], bool))
            rows, best = np.arange(n), np.argmin(there.value, axis=1)
            better = there.value[rows, best] < found.value
            for old, new in zip(found, there, strict=True):
                old[better] = new[rows, best][better]
            step = np.where(better[:, None], step, 0.3 * step)
            if np.all(step <= _CLOSE * self.scan.spacing):
                break
        unfinished = np.any(step > _CLOSE * self.scan.spacing, axis=1)
        outcome = np.where(unfinished & (found.outcome == CONVERGED), EXHAUSTED, found.outcome)
        return found._replace(outcome=outcome)

    def _rescued(self, free: Minimum, under: Mapping[str, Minimum], data: Data) -> Minimum:
        """Fit again where a hypothesis found less than the free fit, which then missed it."""
        moving = self._plain[None][1]
        for minimum in under.values():
            missed = np.flatnonzero(
                (2 * minimum.value < 2 * free.value - SAME) & np.isfinite(minimum.value)
                | (free.outcome != CONVERGED) & (minimum.outcome == CONVERGED)
            )
            if not missed.size:
                continue
            own = Data(*(np.asarray(x)[missed] for x in data))
            more = self._minimise(minimum.vector[missed][:, None], own, moving)
            lower = (
                more.value
                < free.value[missed]
                + ((more.outcome == CONVERGED) & (free.outcome[missed] != CONVERGED)) * SAME
            )
            free = Minimum(*(np.array(x) for x in free))
            for old, new in zip(free, more, strict=True):
                old[missed[lower]] = new[lower]
        return free

    def summary(self, data: Data, seed: int, first: int, uncertainties: bool) -> Toys:
        """Fit data sets and keep what is asked of them later."""
        analysis = self.analysis
        free, under = self.fit(data)
        moving = self._plain[None][1]
        own = {p.name: i for i, p in enumerate(analysis.parameters) if not p.nuisance and moving[i]}
        sigma: dict[str, np.ndarray] = {}
        if uncertainties:
            index = np.array(list(own.values()), int)
            found = _uncertainties(analysis, index, free.vector, data, moving)
            sigma = {name: found[:, i] for i, name in enumerate(own)}
        outcome = np.array(free.outcome)
        for minimum in under.values():
            outcome = np.where(outcome == CONVERGED, minimum.outcome, outcome)
        n = len(outcome)
        return Toys(
            analysis=repr(analysis),
            sha256=identity(analysis),
            truth=dict(zip(analysis.names, self.truth.tolist(), strict=True)),
            fixed=self.fixed,
            hypotheses=self.hypotheses,
            seeds=np.full(n, seed),
            numbers=np.arange(first, first + n),
            estimates={name: free.vector[:, i] for name, i in own.items()},
            uncertainties=sigma,
            twice_nll=2 * free.value,
            hypothesis_twice_nll={label: 2 * m.value for label, m in under.items()},
            saturated=saturated(analysis, data),
            outcome=outcome,
        )


#: Toys whose uncertainties are computed together.
_TOGETHER = 32


def _uncertainties(
    analysis: Analysis, own: np.ndarray, vectors: np.ndarray, data: Data, moving: np.ndarray
) -> np.ndarray:
    """Return the uncertainties of some entries (n, own) at the best fits (n, size) of data sets.

    As those of a FitResult, but many at a time: parameters at a bound count as fixed and get 0;
    where the Hessian is not positive definite all are NaN.
    """
    cache = analysis.__dict__.setdefault("_uncertainties", {})
    key = tuple(own.tolist())
    if key not in cache:
        lower, upper = analysis.bounds.T
        unit = np.eye(analysis.size)

        def one(vector: Array, data: Data, moving: Array) -> Array:
            hessian = jax.hessian(lambda v: -analysis.log_shape(v, data))(vector)
            free = moving & (vector > lower) & (vector < upper)
            # Unit diagonal: parameters of 1e-6 stand beside those of 1.
            size = jnp.sqrt(jnp.abs(jnp.diag(hessian)))
            size = jnp.where(free & (size > 0), size, 1.0)
            both = free[:, None] & free[None, :]
            matrix = jnp.where(both, hessian / size[:, None] / size[None, :], unit)
            result = inverse(matrix)
            # The nuisances have constraints; what is not positive shows in these entries.
            variance = jnp.diag(result)
            positive = jnp.all(variance > 0) & _positive(result[own[:, None], own[None, :]])
            sigma = jnp.where(free, jnp.sqrt(jnp.abs(variance)) / size, 0.0)[own]
            return jnp.where(positive, sigma, jnp.nan)

        cache[key] = jax.jit(jax.vmap(one, in_axes=(0, 0, None)))
    parts = []
    for first in range(0, len(vectors), _TOGETHER):
        rows = np.minimum(np.arange(first, first + _TOGETHER), len(vectors) - 1)
        found = cache[key](vectors[rows], Data(*(np.asarray(x)[rows] for x in data)), moving)
        parts.append(np.asarray(found)[: len(vectors) - first])
    return np.concatenate(parts)


def _positive(matrix: Array) -> Array:
    """Return whether a small symmetric matrix is positive definite, by Gauss's pivots."""
    result = jnp.array(True)
    for k in range(matrix.shape[0]):
        pivot = matrix[k, k]
        result &= pivot > 0
        column = matrix[:, k] / jnp.where(pivot > 0, pivot, 1.0)
        matrix = matrix - column[:, None] * matrix[k][None, :]
    return result


def identity(analysis: Analysis) -> str:
    """Return a checksum of model, parameters and data: toys of the same can be merged."""
    content = [
        analysis.model.name,
        analysis.response,
        repr(analysis.names),
        repr(sorted(analysis.constants.items())),
        repr([(m.name, m.sha256, m.channels) for m in analysis.measurements]),
        repr([np.asarray(x, float).tolist() for x in analysis.data]),
    ]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


@dataclass(frozen=True)
class Failures:
    """The toys whose fits failed.

    Attributes:
        toys: (seed, number) of each.
        total: how many toys there are, these included.
        causes: how many failed for which reason.
    """

    toys: tuple[tuple[int, int], ...]
    total: int
    causes: Mapping[str, int]

    @property
    def count(self) -> int:
        return len(self.toys)

    def __str__(self) -> str:
        if not self.toys:
            return f"none of {self.total} toys failed"
        shown = ", ".join(f"number {number} of seed {seed}" for seed, number in self.toys[:5])
        more = f" and {self.count - 5} more" if self.count > 5 else ""
        causes = ", ".join(f"{count} {cause}" for cause, count in self.causes.items())
        return f"{self.count} of {self.total} toys failed ({causes}): {shown}{more}"


_CAUSES = {
    STALLED: "stalled",
    EXHAUSTED: "not converged after all steps",
    NOT_FINITE: "without a finite likelihood",
}


@dataclass(frozen=True, eq=False, repr=False)
class Toys:
    """What the fits of n toys found.

    Attributes:
        analysis: what was fitted, in words.
        sha256: checksum of model and data.
        truth: {flat name: value} at which the toys were thrown.
        fixed: {name: value} that floated in no fit.
        hypotheses: {label: {name: value}} fixed in the fits of each hypothesis.
        seeds, numbers: which toys these are (n,).
        estimates: {name: (n,)} of the model's parameters in the free fit.
        uncertainties: {name: (n,)}, NaN where the Hessian is not positive, 0 at a bound; empty if
            they were not asked for.
        twice_nll: -2 log L of the free fit (n,).
        hypothesis_twice_nll: {label: (n,)}.
        saturated: -2 log L_sat (n,), see `bknn.inference.toys.saturated`.
        outcome: code of `bknn.inference.newton` (n,), of the first fit of the toy that failed.
    """

    analysis: str
    sha256: str
    truth: Mapping[str, float]
    fixed: Mapping[str, float]
    hypotheses: Mapping[str, Mapping[str, float]]
    seeds: np.ndarray
    numbers: np.ndarray
    estimates: Mapping[str, np.ndarray]
    uncertainties: Mapping[str, np.ndarray]
    twice_nll: np.ndarray
    hypothesis_twice_nll: Mapping[str, np.ndarray]
    saturated: np.ndarray
    outcome: np.ndarray

    @property
    def n(self) -> int:
        """How many toys, failed ones included."""
        return len(self.numbers)

    @cached_property
    def good(self) -> np.ndarray:
        """Which toys did not fail (n,)."""
        finite = np.isfinite(self.twice_nll)
        for values in self.hypothesis_twice_nll.values():
            finite &= np.isfinite(values)
        return (self.outcome == CONVERGED) & finite

    @cached_property
    def failed(self) -> Failures:
        """Which toys failed, and why."""
        bad = np.flatnonzero(~self.good)
        causes: dict[str, int] = {}
        for code in self.outcome[bad]:
            cause = _CAUSES.get(int(code), _CAUSES[NOT_FINITE])
            causes[cause] = causes.get(cause, 0) + 1
        names = tuple((int(self.seeds[i]), int(self.numbers[i])) for i in bad)
        return Failures(names, self.n, causes)

    def statistic(self, hypothesis: str) -> np.ndarray:
        """Return t = -2 log(L_hypothesis / L_best) of the toys that did not fail."""
        if hypothesis not in self.hypothesis_twice_nll:
            raise errors.unknown("hypothesis", hypothesis, self.hypothesis_twice_nll)
        t = (self.hypothesis_twice_nll[hypothesis] - self.twice_nll)[self.good]
        # Both fits are in the same minimum: what is below zero is rounding.
        return np.maximum(t, 0.0)

    @property
    def goodness(self) -> np.ndarray:
        """-2 log(L_best / L_sat) of the toys that did not fail."""
        return (self.twice_nll - self.saturated)[self.good]

    def __repr__(self) -> str:
        fits = ", ".join(["free", *self.hypotheses])
        return f"Toys({self.n} toys of {self.analysis}, fitted {fits}; {self.failed})"

    @classmethod
    def merge(cls, *parts: Toys) -> Toys:
        """Return the toys of several jobs as one, in the order of seeds and numbers.

        Raises:
            DataError: they differ in model, data, truth or hypotheses, or a toy is there twice.
        """
        if not parts:
            raise errors.DataError("there are no toys to merge; give at least one set.")
        one = parts[0]
        for other in parts[1:]:
            one._check(other)
        seeds = np.concatenate([p.seeds for p in parts])
        numbers = np.concatenate([p.numbers for p in parts])
        order = np.lexsort((numbers, seeds))
        twice = (np.diff(seeds[order]) == 0) & (np.diff(numbers[order]) == 0)
        if twice.any():
            i = order[np.flatnonzero(twice)[0]]
            raise errors.DataError(
                f"{int(twice.sum())} toys are in more than one of the sets to merge, the first is "
                f"number {int(numbers[i])} of seed {int(seeds[i])}; they would count twice. Give "
                "every job a seed, or a `first`, of its own."
            )

        def joined(field: str) -> Any:
            values = [getattr(p, field) for p in parts]
            if isinstance(values[0], Mapping):
                return {k: np.concatenate([v[k] for v in values])[order] for k in values[0]}
            return np.concatenate(values)[order]

        return replace(one, **{name: joined(name) for name in _ARRAYS})

    def _check(self, other: Toys) -> None:
        """Refuse to merge toys of different things."""

        def refuse(what: str) -> errors.DataError:
            return errors.DataError(
                f"toys of {self.analysis} and of {other.analysis} do not merge: they differ in "
                f"{what}."
            )

        if self.sha256 != other.sha256:
            raise refuse("the model or the data (checksums)")
        if self.fixed != other.fixed:
            raise refuse("the parameters that are fixed")
        if self.hypotheses != other.hypotheses:
            raise refuse("the hypotheses that were fitted")
        if set(self.uncertainties) != set(other.uncertainties):
            raise refuse("the uncertainties, which only one of them has")
        # The truth may come from fits on two machines, equal but for rounding.
        for name, value in self.truth.items():
            if not np.isclose(value, other.truth[name], rtol=1e-6, atol=1e-7):
                raise refuse(
                    f"the truth: {name} is {value:g} in one, {other.truth[name]:g} in the other"
                )

    def save(self, path: str | Path) -> Path:
        """Write the toys as NetCDF 3, for `Toys.load` and `xarray.open_dataset`.

        A reader sees the old file or the new one, whole.
        """
        path = Path(path)
        temporary = path.with_name(path.name + ".part")
        try:
            with netcdf_file(temporary, "w") as file:
                self._write(file)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def _write(self, file: Any) -> None:
        # NetCDF 3 has no strings and no dictionaries.
        file.title = f"toys of {self.analysis}"
        file.format = _FORMAT
        file.settings = json.dumps(
            {
                "analysis": self.analysis,
                "sha256": self.sha256,
                "truth": dict(self.truth),
                "fixed": dict(self.fixed),
                "hypotheses": {k: dict(v) for k, v in self.hypotheses.items()},
                **{name: list(getattr(self, name)) for name in _TABLES},
            }
        )
        file.createDimension("toy", self.n)
        for name in _LISTS:
            file.createVariable(name, "d", ("toy",))[:] = getattr(self, name)
        for name in _TABLES:
            for i, values in enumerate(getattr(self, name).values()):
                file.createVariable(f"{name}_{i}", "d", ("toy",))[:] = values

    @classmethod
    def load(cls, path: str | Path) -> Toys:
        """Read toys that `save` wrote.

        Raises:
            DataError: the file is missing, damaged, or holds something else.
        """
        path = Path(path)
        try:
            with netcdf_file(path, "r", mmap=False) as file:
                if getattr(file, "format", b"") != _FORMAT.encode():
                    raise ValueError("it is NetCDF of something else")
                settings = json.loads(file.settings)

                def read(name: str) -> np.ndarray:
                    return np.array(file.variables[name][:], float)

                lists = {name: read(name) for name in _LISTS}
                tables = {
                    name: {k: read(f"{name}_{i}") for i, k in enumerate(settings.pop(name))}
                    for name in _TABLES
                }
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise errors.DataError(
                f"{path} cannot be read as toys ({error or type(error).__name__}); give a file "
                "that Toys.save wrote."
            ) from None
        for name in ("seeds", "numbers", "outcome"):
            lists[name] = lists[name].astype(int)
        arguments: dict[str, Any] = {**settings, **lists, **tables}
        return cls(**arguments)


_FORMAT = "bknn toys 1"
_LISTS = ("seeds", "numbers", "twice_nll", "saturated", "outcome")
_TABLES = ("estimates", "uncertainties", "hypothesis_twice_nll")
_ARRAYS: Sequence[str] = (*_LISTS, *_TABLES)
