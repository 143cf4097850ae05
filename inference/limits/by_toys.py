"""Limits by toys: q~ of data thrown with the signal and without, at values around the limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from bknn.answers.packing import piece
from bknn.inference.limits.asymptotic import BAND, Asymptotic
from bknn.inference.limits.conditional_fits import EQUAL, Ensemble, seed_of

#: Values that are tested first, further ones to either side at a time, and how often.
_VALUES, _MORE, _ROUNDS = 12, 3, 4

#: Samples of the toys, drawn anew from them, that tell the errors.
_SAMPLES = 100

#: From how near to the crossing, in standard deviations, values take part in finding it.
_NEAR = 1.2


@piece
@dataclass(frozen=True, eq=False)
class ToyScan:
    """What toys say at one point of the grid, for the k tested values of the parameter.

    Attributes:
        values: that were tested (k,).
        observed: CLs or CLs+b of the observation, NaN where no toy is as extreme (k,).
        observed_error: its binomial error (k,).
        expected: {N: (k,)}, of background toys that fluctuate by N standard deviations.
        p_signal, p_background: probabilities of a larger q~ with and without signal (k,).
        limits, errors: observed and expected limits (6,); inf above the tested values, which end
            at the bound of the parameter; NaN where there is no crossing.
        toys, failed: number thrown, and of those whose fits did not converge.
    """

    values: np.ndarray
    observed: np.ndarray
    observed_error: np.ndarray
    expected: dict[int, np.ndarray]
    p_signal: np.ndarray
    p_background: np.ndarray
    limits: np.ndarray
    errors: np.ndarray
    toys: int
    failed: int

    def remark(self, parameter: str, bound: float) -> str:
        """Say in a sentence what was found."""
        words = []
        lost = int(np.isnan(self.limits).sum())
        if lost:
            words.append(f"failed ({lost} of 6 limits): the toys show no crossing; throw more.")
        if beyond := int(np.isinf(self.limits).sum()):
            reason = (
                f"{parameter} = {bound:g}, its upper bound, is not excluded"
                if self.values[-1] >= bound
                else f"{parameter} = {self.values[-1]:g}, the largest that was tested, is not"
                " excluded"
            )
            words.append(f"no limit ({beyond} of 6): {reason}.")
        if self.failed:
            words.append(
                f"{'found; ' if not words else ''}{self.failed} of {self.toys} toys have fits that "
                "did not converge and are left out"
            )
        return " ".join(words) or "found"


class _Toys:
    """q~ of the toys at each tested value, to which values can be added."""

    def __init__(self, search: Asymptotic, point: int, toys: int, seed: int) -> None:
        self.search, self.point, self.n, self.seed = search, point, toys, seed
        self.values = np.zeros(0)
        self.seen = np.zeros(0)
        self.signal: list[np.ndarray] = []
        self.background: list[np.ndarray] = []
        self.thrown = self.failed = 0

    def add(self, values: np.ndarray) -> None:
        """Test further values."""
        search, i = self.search, self.point
        fits, best = search.fits, search.best
        k = len(values)
        where = np.full(k, i)
        warm = np.where(
            (values > best.vector[i, fits.index])[:, None], best.vector[i], search.null.vector[i]
        )
        at = fits.at(where, values, search.data, warm)
        kept = np.flatnonzero(at.ok)
        values, vectors, k = values[kept], at.vector[kept], kept.size
        above = np.maximum(at.twice_nll[kept] - best.twice_nll[i], 0.0)
        seen = np.where(best.vector[i, fits.index] > values, 0.0, above)
        order = len(self.values)
        names = [
            seed_of(self.seed, i, 0),
            *(seed_of(self.seed, i, 1 + order + j) for j in range(k)),
        ]
        ensembles = [Ensemble(i, search.null.vector[i], self.n, names[0], values, vectors)]
        for j, name in enumerate(names[1:]):
            one = slice(j, j + 1)
            ensembles.append(Ensemble(i, vectors[j], self.n, name, values[one], vectors[one]))
        background, *signals = fits.toys(ensembles)
        for j, signal in enumerate(signals):
            self.signal.append(_q(signal.best, signal.above[0], values[j])[signal.ok])
            self.background.append(_q(background.best, background.above[j], values[j]))
            self.failed += int(np.sum(~signal.ok))
        self.failed += int(np.sum(~background.ok))
        self.thrown += self.n * (k + 1)
        self.values = np.concatenate([self.values, values])
        self.seen = np.concatenate([self.seen, seen])

    def sorted(self) -> _Toys:
        """Bring the values into order."""
        order = np.argsort(self.values)
        self.values, self.seen = self.values[order], self.seen[order]
        self.signal = [self.signal[j] for j in order]
        self.background = [self.background[j] for j in order]
        return self

    def tails(self, rng: np.random.Generator | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return p(s+b) and p(b) of the six curves (6, k); with `rng`, of toys drawn anew."""
        background = np.array(self.background)
        # The same toys at all values: what fails at one is left out at all.
        background = background[:, np.isfinite(background).all(axis=0)]
        n = background.shape[1]
        if rng is not None:
            background = background[:, rng.integers(0, n, n)]
        # q~ in falling order is CLs in rising order.
        ranked = np.sort(background, axis=1)[:, ::-1]
        which = np.clip(np.ceil(ndtr(np.array(BAND, float)) * n).astype(int) - 1, 0, n - 1)
        q = np.vstack([self.seen[None, :], ranked[:, which].T]) - EQUAL
        p_signal, p_background = np.empty_like(q), np.empty_like(q)
        for j, thrown in enumerate(self.signal):
            if rng is not None:
                thrown = rng.choice(thrown, len(thrown))
            p_signal[:, j] = _tail(np.sort(thrown), q[:, j])
            p_background[:, j] = _tail(ranked[j, ::-1], q[:, j])
        return p_signal, p_background

    def measures(self, p_signal: np.ndarray, p_background: np.ndarray) -> np.ndarray:
        """Return what grows about linearly with the value, zero at the limits (6, k)."""
        search, least = self.search, 0.5 / self.n
        p = np.maximum(p_signal, least)
        if search.statistic == "cls":
            p = np.minimum(p / np.maximum(p_background, least), 1.0)
        return search.measure(np.log(p))


def scan(
    search: Asymptotic, point: int, around: np.ndarray, toys: int, seed: int
) -> ToyScan | None:
    """Return the limits at a point of the grid, from toys thrown around the asymptotic ones (6,);
    None where there are none to begin with."""
    fits, low = search.fits, search.fits.lowest
    finite = around[np.isfinite(around) & (around > low)] - low
    room = fits.bound_high - low
    if np.isinf(around).any() and np.isfinite(room):
        finite = np.append(finite, room)
    if not finite.size:
        return None
    thrown = _Toys(search, point, toys, seed)
    highest = min(1.4 * finite.max(), room)
    thrown.add(low + np.geomspace(min(0.6 * finite.min(), 0.5 * highest), highest, _VALUES))
    rng = np.random.default_rng(seed_of(seed, point, 0))
    for _ in range(_ROUNDS):
        thrown.sorted()
        if not thrown.values.size:
            return None
        y = thrown.measures(*thrown.tails())
        first, last = thrown.values[0] - low, thrown.values[-1] - low
        further = []
        # Two values on either side of every crossing.
        if (y[:, -2:] < 0).any() and last < room:
            further += list(np.geomspace(1.2, 1.2**_MORE, _MORE) * last)
        if search.statistic == "cls" and (y[:, :2] > 0).any():
            further += list(first / np.geomspace(1.3, 1.3**_MORE, _MORE))
        if not further:
            break
        thrown.add(low + np.unique(np.minimum(further, room)))
    thrown.sorted()
    p_signal, p_background = thrown.tails()
    x = thrown.values - low
    limits = _crossings(x, thrown.measures(p_signal, p_background))
    samples = [_crossings(x, thrown.measures(*thrown.tails(rng))) for _ in range(_SAMPLES)]
    with np.errstate(invalid="ignore"):
        known = np.where(np.isfinite(samples), samples, np.nan)
    enough = np.isfinite(known).sum(axis=0) > _SAMPLES // 2
    spread = np.full(6, np.nan)
    spread[enough] = np.nanstd(known[:, enough], axis=0)
    values = p_signal
    if search.statistic == "cls":
        # Where no background toy is as extreme CLs is not known.
        some = p_background > 0
        values = np.where(some, p_signal / np.where(some, p_background, 1.0), np.nan)
    n = len(thrown.background[0])
    relative = (1 - p_signal[0]) / np.maximum(p_signal[0] * n, 0.5)
    if search.statistic == "cls":
        relative = relative + (1 - p_background[0]) / np.maximum(p_background[0] * n, 0.5)
    return ToyScan(
        thrown.values,
        values[0],
        np.fmax(values[0], 0.5 / n) * np.sqrt(relative),
        {sigma: values[1 + j] for j, sigma in enumerate(BAND)},
        p_signal[0],
        p_background[0],
        low + limits,
        np.where(np.isfinite(limits), spread, np.nan),
        thrown.thrown,
        thrown.failed,
    )


def _q(best: np.ndarray, above: np.ndarray, value: float) -> np.ndarray:
    return np.where(np.isnan(above), np.nan, np.where(best > value, 0.0, np.maximum(above, 0.0)))


def _tail(ranked: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return the fraction of values in rising order that are not less than q."""
    n = len(ranked)
    return (n - np.searchsorted(ranked, q)) / max(n, 1)


def _crossings(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return where noisy curves y (6, k) over x (k,) cross zero: of a parabola through the values
    near there, weighted as toys deserve."""
    result = np.full(len(y), np.nan)
    for i, row in enumerate(y):
        below = np.flatnonzero(row < 0)
        if not below.size:
            continue
        if below[-1] == len(x) - 1:
            result[i] = np.inf
            continue
        # The last change of sign: what lies beyond is excluded.
        j = below[-1]
        slope = (row[j + 1] - row[j]) / (x[j + 1] - x[j])
        result[i] = x[j] - row[j] / slope
        near = np.flatnonzero(np.abs(row) < _NEAR)
        if near.size < 4:
            continue
        u = (x[near] - result[i]) / result[i]
        # Small probabilities are known less well.
        weights = np.exp(-0.5 * np.maximum(row[near], 0.0))
        c, b, a = np.polynomial.polynomial.polyfit(u, row[near], 2, w=weights)
        inside = b * b - 4 * a * c
        if b > 0 and inside >= 0:
            root = -2 * c / (b + np.sqrt(inside))
            if u.min() <= root <= u.max():
                result[i] *= 1 + root
    return result
