"""Fits with some parameters held, at many points; profiles, intervals, contours use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference.fits import many
from bknn.inference.fits.fit import checked_data, compiled, starting_points, stayed
from bknn.inference.fits.position_scan import depends
from bknn.inference.fits.result import FitResult
from bknn.inference.fits.secondary_minima import distinct, mirrored, own_entries, scattered
from bknn.inference.minimiser.fits_of_analysis import fits_of
from bknn.inference.minimiser.newton import CONVERGED, NOT_FINITE, UNDETERMINED, Minimum
from bknn.inference.pieces import Progress, Work

#: Minima whose -2 log L differ by less are the same minimum.
DISTINCT = 1e-4

#: Minima are others if a parameter of the model differs by more than this part of itself, and so
#: many are followed, at most.
_APART, _OTHERS = 1e-3, 8

#: A fit that did not converge and is lower than one that did by less than this is no lower.
_LOWER = 1e-6


class Found(NamedTuple):
    """The lowest minimum at each of n points.

    Attributes:
        vector: (n, size).
        twice_nll: -2 log L (n,).
        slope: its derivatives with respect to the held parameters, all others refitted (n, held).
        outcome: code of `bknn.inference.minimiser.newton` (n,).
        second: -2 log L of the next higher minimum that was found, NaN if none was (n,).
    """

    vector: np.ndarray
    twice_nll: np.ndarray
    slope: np.ndarray
    outcome: np.ndarray
    second: np.ndarray

    @property
    def converged(self) -> np.ndarray:
        return self.outcome == CONVERGED

    @property
    def impossible(self) -> np.ndarray:
        """Where -2 log L is infinite (n,): an expected count is negative, whatever else floats."""
        return (self.outcome == NOT_FINITE) & np.isposinf(self.twice_nll)

    def at(self, index: np.ndarray) -> Found:
        """Return some of the points."""
        return Found(*(x[index] for x in self))


class Points:
    """An analysis in which some parameters are held, at whatever values are asked for.

    Args:
        analysis: what is fitted.
        names: the parameters that are held.
        fixed: {name: value} of others that do not float either.
        data: one data set to fit instead of the observation.
        best: the fit with `names` floating, if it has been done.
        chunk: as for `fit`.
        work: keeps what `find` finds, or has it found elsewhere, 512 fits at a time.
        more: where fits begin besides the starts of the model (m, size): at other minima.
    """

    def __init__(
        self,
        analysis: Analysis,
        names: Sequence[str],
        *,
        fixed: Mapping[str, ArrayLike] | None = None,
        data: Data | None = None,
        best: FitResult | None = None,
        chunk: int | None = None,
        work: Work | None = None,
        more: np.ndarray | None = None,
    ) -> None:
        if not isinstance(analysis, Analysis):
            raise errors.ParameterError(
                f"profiles are made of an Analysis, and {analysis!r} is none; it has no nuisances "
                "that one could tell from other parameters."
            )
        self.analysis = analysis
        self.work, self._calls = work or Work(), 0
        self.names = tuple(names)
        self._more = np.zeros((0, analysis.size)) if more is None else more
        self.index = np.array([analysis.index(name) for name in names], int)
        self.fixed = dict(fixed or {})
        if twice := [name for name in names if name in self.fixed]:
            raise errors.ParameterError(
                f"parameter {twice[0]!r} is fixed and varied at the same time; leave it out of "
                "`fixed`."
            )
        self.given = None if data is None else checked_data(data, analysis)
        if self.given is not None and self.given.counts.ndim == 2:
            raise errors.ParameterError(
                f"{len(self.given.counts)} data sets came; a profile is of one. Take them one by "
                "one, as in Data(*(x[0] for x in data))."
            )
        self.data = analysis.data if self.given is None else self.given
        #: Several devices share the lanes, so that they are as many as on one.
        devices = len(jax.devices())
        self.chunk = chunk or max(1, many.chunk_size() // devices)
        #: So many fits are in memory at once, at most.
        self.most = 4096
        free, self._floating, batched = starting_points(analysis, self.fixed, {})
        if batched:
            raise errors.ParameterError(
                "`fixed` has lists of values; a profile holds them at one value each. To vary a "
                "parameter, put it into `over`."
            )
        self.moving = self._floating.copy()
        self.moving[self.index] = False
        self._begin: tuple[np.ndarray, np.ndarray] | None = None
        if best is None:
            best = self.fit(free[0])
        self._check(best)
        self.best = best
        if best.converged:
            # What the data say about nuisances depends little on the point.
            own = [i for i, p in enumerate(analysis.parameters) if not p.nuisance]
            away = np.setdiff1d(np.flatnonzero(self.moving), own)
            self._begin = away, np.asarray(best.vector)[away]

    def _check(self, best: FitResult) -> None:
        """Refuse a best fit of something else."""
        if best.target is not self.analysis or np.ndim(best.vector) != 1:
            raise errors.ParameterError(
                f"`best` is {best!r}; give one fit of {self.analysis!r}, or leave it out."
            )
        same = (best.data is None) == (self.given is None)
        if same and self.given is not None:
            same = all(map(np.array_equal, best.data, self.given))
        start = starting_points(self.analysis, self.fixed, {})[0][0, 0]
        held = ~self._floating
        if (
            not same
            or not np.array_equal(best.moving, self._floating)
            or not np.array_equal(best.vector[held], start[held])
        ):
            raise errors.ParameterError(
                "`best` is a fit with other parameters fixed, or to other data, than this profile; "
                "make it with the same `fixed` and `data`, or leave it out."
            )

    def fit(self, starts: np.ndarray) -> FitResult:
        """Return the fit with everything floating, from the starts (starts, size)."""
        found = _minimise(
            self.analysis, self.data, starts[None], self._floating, self.chunk, above=1.0
        )
        k = int(_lowest(found)[0])
        best = Minimum(*(np.array(x[:, k]) for x in found))
        unmoved = stayed(self.analysis, starts[None], best, self._floating)
        if unmoved and not depends(self.analysis, best.vector[0], unmoved):
            best.outcome[:] = UNDETERMINED
        one = Minimum(*(x[0] for x in best))
        return FitResult(
            self.analysis,
            one.vector,
            2 * one.value,
            2 * one.decrement,
            one.steps,
            one.outcome,
            self._floating,
            2 * found.value[0],
            self.given,
        )

    def improve(self, vector: np.ndarray) -> None:
        """Take over a better best fit, found downhill from a vector (size,)."""
        result = self.fit(np.asarray(vector)[None])
        if result.twice_nll < self.best.twice_nll or not self.best.converged:
            self.best = result

    def others(self, height: float) -> np.ndarray:
        """Return minima (m, size) that the model's own starts do not find, at most so high above
        the lowest in -2 log L; a lower one than the best is taken over.

        Fits begin at points spread over priors or bounds, and at mirror images of what is found.
        """
        own = np.array(own_entries(self.analysis, self._floating), int)
        plain, _, _ = starting_points(self.analysis, self.fixed, {})
        known = np.concatenate([np.asarray(self.best.vector)[None], plain[0]])
        begin = np.concatenate(
            [known, scattered(self.analysis, self._floating, np.asarray(self.best.vector))]
        )
        found = self._settled(begin, len(known), own, height)
        images = mirrored(self.analysis, self._floating, found[0])
        if images.size:
            begin = np.concatenate([found[0], images])
            found = self._settled(begin, int(np.sum(~found[1])), own, height)
        vectors, new = found
        lowest = self.fit(vectors) if len(vectors) else self.best
        if lowest.converged and lowest.twice_nll < self.best.twice_nll - _LOWER:
            self.best = lowest
        return vectors[new][:_OTHERS]

    def _settled(
        self, begin: np.ndarray, known: int, own: np.ndarray, height: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit from points of which the first are known. Returns the minima that lie apart, and
        which of them the known ones did not lead to; the known first, each part the lowest first.
        """
        if not own.size:
            return np.zeros((0, self.analysis.size)), np.zeros(0, bool)
        found = _minimise(
            self.analysis, self.data, begin[None], self._floating, self.chunk, above=height / 2
        )
        vectors, twice = found.vector[0], 2 * found.value[0]
        ok = (found.outcome[0] == CONVERGED) & np.isfinite(twice)
        ok &= twice < min(twice.min(initial=np.inf, where=ok), float(self.best.twice_nll)) + height
        new = np.arange(len(begin)) >= known
        order = [i for i in np.lexsort((twice, new)) if ok[i]]
        size = np.abs(vectors[order]).max(axis=0, initial=0.0)
        unit = np.maximum(_APART * size, 1e-300)
        order = [order[k] for k in distinct(vectors[order], unit, own)]
        return vectors[order], new[order]

    def starts(self, values: np.ndarray, *, plain: bool = False) -> np.ndarray:
        """Return where fits at the values (n, held) begin, (n, starts, size).

        Nuisances begin at the best fit or, if `plain`, at their own starts.
        """
        held = {name: values[:, i] for i, name in enumerate(self.names)}
        result, _, _ = starting_points(self.analysis, {**self.fixed, **held}, {})
        if self._begin is not None and not plain:
            where, nuisances = self._begin
            result[:, :, where] = nuisances
        if len(self._more):
            more = np.tile(self._more, (len(result), 1, 1))
            more[:, :, self.index] = values[:, None]
            result = np.concatenate([result, more], axis=1)
        return result

    @property
    def n_starts(self) -> int:
        """From how many points a fit begins."""
        held = dict.fromkeys(self.names, 0.0) | self.fixed
        floating = [p.starts for p in self.analysis.parameters if p.starts and p.name not in held]
        return int(np.prod([len(s) for s in floating], initial=1)) + len(self._more)

    def moved(self, vectors: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return vectors (n, size) with the held parameters at the values (n, held)."""
        result = np.array(vectors)
        result[:, self.index] = values
        return result

    def find(
        self,
        values: np.ndarray,
        vectors: Sequence[np.ndarray] = (),
        *,
        fresh: bool = True,
        progress: Progress | None = None,
    ) -> Found:
        """Return the lowest minimum at each of the values (n, held).

        Args:
            values: (n, held).
            vectors: further starts, (n, size) each; their held parameters are set.
            fresh: whether to begin at the starts of the model, too.
            progress: as for `fit`.
        """
        values = np.asarray(values, float).reshape(-1, len(self.names))
        n_starts = len(vectors) + (self.n_starts if fresh else 0)
        each = max(1, (_PIECE if self.work else self.most) // n_starts)
        tasks: list[dict[str, Any]] = []
        for first in range(0, max(1, len(values)), each):
            part = values[first : first + each]
            starts = [self.moved(v[first : first + each], part)[:, None] for v in vectors]
            if fresh or not len(values):
                starts.append(self.starts(part))
            tasks.append(
                {
                    "starts": np.concatenate(starts, axis=1),
                    "held": self.index,
                    "moving": self.moving,
                    "data": self.given,
                    "chunk": self.chunk,
                }
            )
        # Calls come in an order that does not depend on who computes.
        place = self.work.within(f"{self._calls:05d}")
        self._calls += 1
        parts = place.run(
            _piece,
            self.analysis,
            tasks,
            sizes=[len(task["starts"]) for task in tasks],
            progress=progress,
        )
        found = [Found(**part) for part in parts]
        return (
            found[0] if len(found) == 1 else Found(*map(np.concatenate, zip(*found, strict=True)))
        )

    def slopes(self, vectors: np.ndarray) -> np.ndarray:
        """Return d(-2 log L)/d(held parameters) (n, held) at vectors (n, size).

        At a minimum over everything else it is the slope of the profile.
        """
        return _slopes(self.analysis, self.data, self.index, vectors)


#: Fits that are kept together.
_PIECE = 512


def _piece(
    analysis: Analysis,
    *,
    starts: np.ndarray,
    held: np.ndarray,
    moving: np.ndarray,
    data: Data | None,
    chunk: int,
    progress: Progress | None,
) -> dict[str, np.ndarray]:
    """Return the fields of what is Found from starts (n, starts, size)."""
    data = analysis.data if data is None else Data(*data)
    found = _minimise(analysis, data, starts, moving, chunk, progress)
    n = len(found.value)
    chosen = np.arange(n), _lowest(found)
    twice = 2 * found.value
    others = np.where(
        (found.outcome == CONVERGED) & (twice > twice[chosen][:, None] + DISTINCT),
        twice,
        np.inf,
    ).min(axis=1)
    vector = found.vector[chosen]
    return Found(
        vector,
        twice[chosen],
        _slopes(analysis, data, held, vector),
        found.outcome[chosen],
        np.where(np.isfinite(others), others, np.nan),
    )._asdict()


def _minimise(
    analysis: Analysis,
    data: Data,
    starts: np.ndarray,
    moving: np.ndarray,
    chunk: int,
    progress: Progress | None = None,
    above: float = np.inf,
) -> Minimum:
    """Fit from all starts (n, starts, size); the fields of the result are (n, starts, ...).
    `above`: as for `many.run`."""
    if not len(starts):
        none = np.zeros(starts.shape[:2])
        return Minimum(starts, none, none, none.astype(int), none.astype(int))
    found, _ = many.run(
        compiled(analysis),
        starts,
        data,
        moving,
        chunk=chunk,
        fill=many.FEW,
        every=True,
        above=above,
        progress=progress,
    )
    return found


def _slopes(analysis: Analysis, data: Data, held: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the derivatives of -2 log L with respect to what is held (n, held), at vectors."""
    fits = fits_of(analysis)
    result = np.zeros((len(vectors), len(held)))
    for first in range(0, len(vectors), many.FEW):
        part = vectors[first : first + many.FEW]
        filled = np.concatenate([part, np.repeat(part[-1:], many.FEW - len(part), axis=0)])
        found = 2 * fits.gradient(filled, data, held)
        result[first : first + many.FEW] = found[: len(part), held]
    return result


def _lowest(found: Minimum) -> np.ndarray:
    """Return which start of each point (n,) found its minimum.

    A fit that did not converge counts where it is lower than all that did: the minimum is lower
    still, so theirs is not it.
    """
    value = np.where(np.isfinite(found.value), 2 * found.value, np.inf)
    return np.argmin(np.where(found.outcome == CONVERGED, value, value + _LOWER), axis=1)
