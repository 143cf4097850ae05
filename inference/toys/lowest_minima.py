"""The lowest minima of many data sets that were thrown at one truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference.datasets import taken
from bknn.inference.estimate import EXACT
from bknn.inference.fits import many
from bknn.inference.fits.fit import compiled, starting_points
from bknn.inference.fits.position_scan import PEAKS, Scan
from bknn.inference.minimiser.newton import CONVERGED, EXHAUSTED, NOT_FINITE, Minimum

#: Numbers in memory at once for the starts of the fits, at most.
_NUMBERS = 2**22

#: Toys in memory at once, at most.
_BLOCK = 4096

#: Peaks whose -2 log L on the grid is higher than the lowest by more than this do not win when
#: they are climbed to the top.
MARGIN = 0.5

#: A search without slopes ends when its steps are so small, in distances of the grid, and after so
#: many rounds at the latest.
_CLOSE, _ROUNDS = 1e-4, 60


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

    @property
    def moving(self) -> np.ndarray:
        """What floats in the free fit (size,)."""
        return self._plain[None][1]

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
        result = Minimum(
            np.array(starts),
            np.full((n, each), np.inf),
            np.zeros((n, each)),
            np.zeros((n, each), int),
            np.full((n, each), NOT_FINITE),
        )
        if len(row):
            begin = np.ascontiguousarray(starts)[row, column][:, None]
            program, own_data = compiled(self.analysis), taken(data, row)
            found, _ = many.run(program, begin, own_data, moving, fill=many.FEW)
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
        value = np.where(found.outcome == CONVERGED, value, value + EXACT)
        best = np.arange(n), np.argmin(value, axis=1)
        return self._again(Minimum(*(x[best] for x in found)), data, moving)

    def _again(self, found: Minimum, data: Data, moving: np.ndarray) -> Minimum:
        """Go on where fits ended without having converged: without memory, then without slopes."""
        bad = np.flatnonzero((found.outcome != CONVERGED) & np.isfinite(found.value))
        if bad.size:
            own = taken(data, bad)
            more = self._all(found.vector[bad][:, None], own, moving, np.ones((bad.size, 1), bool))
            for old, new in zip(found, more, strict=True):
                old[bad] = new[:, 0]
        bad = np.flatnonzero((found.outcome != CONVERGED) & np.isfinite(found.value))
        if bad.size and self.scan is not None and moving[self.scan.scanned].all():
            own = taken(data, bad)
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
        for minimum in under.values():
            missed = np.flatnonzero(
                (2 * minimum.value < 2 * free.value - EXACT) & np.isfinite(minimum.value)
                | (free.outcome != CONVERGED) & (minimum.outcome == CONVERGED)
            )
            if not missed.size:
                continue
            own = taken(data, missed)
            more = self._minimise(minimum.vector[missed][:, None], own, self.moving)
            lower = (
                more.value
                < free.value[missed]
                + ((more.outcome == CONVERGED) & (free.outcome[missed] != CONVERGED)) * EXACT
            )
            free = Minimum(*(np.array(x) for x in free))
            for old, new in zip(free, more, strict=True):
                old[missed[lower]] = new[lower]
        return free
