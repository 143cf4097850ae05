"""How well data to come would tell hypotheses apart: expected exclusions, and how much it takes.

Each hypothesis is a model with a truth, and what floats when it is tested. If A is true, the data
are on average those in which everything comes out as A expects (Asimov, arXiv:1007.1727, section
3.2). The rise of -2 log L from A to the best point of B on these data,

    Delta(A, B) = min_B [-2 log L(data_A)] - [-2 log L_A(data_A)],

is the square of the significance with which B is expected to be excluded: for B as a point of a
larger model by Wilks's theorem, for two hypotheses of which neither contains the other because the
likelihood ratio is then normally distributed, +-Delta with variance 4 Delta. `separation` checks it
with toys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.packing import Coordinate
from bknn.inference.datasets import asimov, saturated, stacked, taken, throw, translated
from bknn.inference.estimate import Fraction, exceeding
from bknn.inference.fits.fit import fit
from bknn.inference.fits.least_squares import minimise
from bknn.inference.toys.lowest_minima import Search
from bknn.studies.hypotheses import Hypothesis

#: A fit whose next step promises less than this of -2 log L need not go on.
_CLOSE = 1e-4

#: Relative change of -2 log L at which fits of very many counts end.
_PRECISE = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Power(Answer):
    """Expected exclusions of n hypotheses.

    Attributes:
        names: of the hypotheses.
        delta: -2 log of the likelihood ratio (true, tested), zero where it cannot be told.
        vectors: of every tested hypothesis, where it fits best, one (true, size) each.
        converged: whether the fits did (true, tested).
    """

    names: tuple[str, ...]
    delta: np.ndarray
    vectors: tuple[np.ndarray, ...]
    converged: np.ndarray

    @property
    def z(self) -> np.ndarray:
        """Expected significance of the exclusion (true, tested), in standard deviations."""
        return np.sqrt(np.maximum(self.delta, 0.0))

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(("delta", "converged"), ("true", "tested"))

    def coordinates(self) -> dict[str, Coordinate]:
        return dict.fromkeys(("true", "tested"), Coordinate(self.names))

    @property
    def status(self) -> str:
        """Which fit did not converge, in a sentence."""
        bad = np.argwhere(~self.converged)
        if not len(bad):
            return "all fits converged."
        i, j = bad[0]
        return (
            f"{len(bad)} fits did not converge, the first is that of {self.names[j]} if "
            f"{self.names[i]} is true."
        )

    def columns(self) -> dict[str, Any]:
        """One row a true hypothesis, one column a tested one; standard deviations."""
        tested = zip(self.names, self.z.T, strict=True)
        return {"true": list(self.names), **dict(tested)}

    def shown(self) -> Shown:
        pairs = zip(self.names, self.z, strict=True)
        rows = [(name, *(f"{z:.2f}" for z in row)) for name, row in pairs]
        head = ("true \\ tested", *self.names)
        return Shown("Expected exclusions [sigma]", head, rows, [self.status])


def power(hypotheses: Sequence[Hypothesis]) -> Power:
    """Return how well each hypothesis is expected to be excluded if another one is true.

    Their analyses are of the same measurements. Counts and results are common to all; of auxiliary
    data those of nuisances with the same name are, others are as their constraints have them.

    Raises:
        DataError: analyses of different measurements.
        UnknownNameError: a truth of a parameter that does not exist.
    """
    _check(hypotheses)
    truths = [(h.analysis, asimov(h.analysis, h.vector)) for h in hypotheses]
    delta, vectors, converged = [], [], []
    for tested in hypotheses:
        data = stacked(*(_row(translated(d, a, tested.analysis)) for a, d in truths))
        found = fit(tested.analysis, fixed=dict(tested.fixed), data=data)
        values = found.twice_nll - saturated(tested.analysis, data)
        best, good = np.array(found.vector), found.converged | (found.decrement < _CLOSE)
        for i in np.flatnonzero(~good):
            values[i], best[i], good[i] = _followed(
                tested, taken(data, int(i)), best[i], found.moving
            )
        delta.append(values)
        vectors.append(best)
        converged.append(good)
    return Power(
        tuple(h.name for h in hypotheses),
        np.transpose(delta),
        tuple(vectors),
        np.transpose(converged),
    )


def _followed(
    tested: Hypothesis, data: Data, found: np.ndarray, moving: np.ndarray
) -> tuple[float, np.ndarray, bool]:
    """Return -2 log L, the point, and whether it is a minimum, where `fit` found none."""
    held = np.where(moving, tested.vector, found)
    tries = [minimise(tested.analysis, data, x, moving, tolerance=_PRECISE) for x in (held, found)]
    best = min(tries, key=lambda t: t.deviance)
    return best.deviance, best.vector, best.converged


@dataclass(frozen=True, eq=False, repr=False)
class Separation(Answer):
    """Toys of two hypotheses, and the log of their likelihood ratio.

    Attributes:
        delta: as of `Power`.
        if_true: -2 log L of the tested hypothesis minus that of the true one, both fitted, of toys
            of the true one (n,).
        if_tested: the same of toys of the tested one, where it fits best if the other is true (n,).
    """

    delta: float
    if_true: np.ndarray
    if_tested: np.ndarray

    @property
    def median(self) -> float:
        """Median if the true hypothesis is true."""
        return float(np.median(self.if_true))

    @property
    def fraction(self) -> Fraction:
        """Toys of the tested hypothesis that lie beyond the median: the expected p value."""
        return exceeding(self.if_tested, self.median)

    @property
    def z(self) -> float:
        """Expected significance from mean and spread of the toys of the tested hypothesis, which
        holds where no toy reaches, if they are normally distributed."""
        return float((self.median - self.if_tested.mean()) / self.if_tested.std(ddof=1))

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {"if_true": ("toy",), "if_tested": ("toy_of_tested",)}

    @property
    def converged(self) -> bool:
        """Whether all toys have a likelihood ratio."""
        return bool(np.isfinite(self.if_true).all() and np.isfinite(self.if_tested).all())

    @property
    def status(self) -> str:
        """How many toys have none, in a sentence."""
        both = np.concatenate([self.if_true, self.if_tested])
        bad = int((~np.isfinite(both)).sum())
        return f"{bad} of {len(both)} toys failed." if bad else f"all {len(both)} toys were fitted."

    def shown(self) -> Shown:
        text = (
            f"Separation: sqrt(Delta) = {np.sqrt(max(self.delta, 0.0)):.2f}; toys: p = "
            f"{self.fraction}, mean and spread {self.z:.2f} sigma"
        )
        return Shown(text, notes=[self.status])


def separation(true: Hypothesis, tested: Hypothesis, n: int, *, seed: int = 0) -> Separation:
    """Check one entry of the matrix of `power` with toys.

    Args:
        true, tested: the hypotheses.
        n: toys of each.
        seed: of the toys.

    Raises:
        DataError: analyses of different measurements.
    """
    found = power([true, tested])
    best = found.vectors[1][0]

    def difference(thrower: Analysis, vector: np.ndarray, seed: int) -> np.ndarray:
        data = throw(thrower, vector, n, seed=seed)
        values = []
        for h, start in ((tested, best), (true, true.vector)):
            own = translated(data, thrower, h.analysis)
            search = Search(h.analysis, np.asarray(start), {}, dict(h.fixed))
            minimum, _ = search.fit(own)
            values.append(2 * np.asarray(minimum.value) - saturated(h.analysis, own))
        return values[0] - values[1]

    return Separation(
        float(found.delta[0, 1]),
        difference(true.analysis, true.vector, seed),
        difference(tested.analysis, best, seed + 1),
    )


def luminosity_for(z: float, luminosities: np.ndarray, delta: np.ndarray) -> float:
    """Return the luminosity at which an expected exclusion reaches z standard deviations.

    Delta is interpolated as a power law between the luminosities that were computed, and below the
    smallest one with the power of the first two. Above the largest one nothing is known: infinite.

    Args:
        z: standard deviations.
        luminosities: increasing (n,), n >= 2.
        delta: of `Power`, at each (n,).

    >>> luminosity_for(3.0, np.array([1.0, 10.0]), np.array([2.0, 20.0]))
    4.5
    """
    x, y = np.log(np.asarray(luminosities, float)), np.log(np.maximum(delta, 1e-12))
    if len(x) < 2 or np.any(np.diff(x) <= 0):
        raise errors.ParameterError(
            f"the luminosity for {z:g} sigma needs Delta at two or more luminosities that increase."
        )
    target = 2 * np.log(z)
    above = np.flatnonzero(y >= target)
    if not above.size:
        return np.inf
    i = max(int(above[0]), 1)
    slope = (y[i] - y[i - 1]) / (x[i] - x[i - 1])
    if slope <= 0:
        return float(luminosities[above[0]])
    return float(round(np.exp(x[i - 1] + (target - y[i - 1]) / slope), 12))


def _row(data: Data) -> Data:
    return Data(*(np.asarray(x)[None] for x in data))


def _check(hypotheses: Sequence[Hypothesis]) -> None:
    first = hypotheses[0]
    for h in hypotheses:
        same = [m.sha256 for m in h.analysis.measurements] == [
            m.sha256 for m in first.analysis.measurements
        ]
        if not same or h.analysis.n_bins != first.analysis.n_bins:
            raise errors.DataError(
                f"hypotheses {first.name!r} and {h.name!r} are tested with different measurements, "
                "so their likelihoods cannot be compared; give all the same."
            )
