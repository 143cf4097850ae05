"""Upcrossings of the likelihood ratio along a scan: global p values without many toys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bknn.analysis.analysis import Analysis
from bknn.answers.packing import piece
from bknn.inference.datasets import throw
from bknn.inference.fits.position_scan import Scan
from bknn.inference.fits.result import FitResult
from bknn.inference.toys.lowest_minima import Search

#: Toys of the scan that count upcrossings, and the level of t at which they are counted.
_CURVES, _LEVEL = 1000, 1.0


@piece
@dataclass(frozen=True)
class Upcrossings:
    """How often t(s) of the null's toys rises through a level, s running over a parameter.

    Attributes:
        name: of the parameter that means nothing under the null.
        level: of t.
        mean, error: number of upcrossings of a toy, and its statistical error.
    """

    name: str
    level: float
    mean: float
    error: float

    def p(self, t: float, local: float) -> float:
        """Return the global p of t by eq. (3) of Gross and Vitells, arXiv:1005.1891.

        `local` is the p of t at one place. It is an upper bound that is close to p where p is
        small.
        """
        return min(1.0, local + self.mean * math.exp(-(t - self.level) / 2))


def upcrossings(
    analysis: Analysis,
    null: FitResult,
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
    *,
    n: int = _CURVES,
    level: float = _LEVEL,
) -> Upcrossings | None:
    """Count the upcrossings of t(s) in toys of the null.

    t(s) is that of the score (`position_scan`), which has the asymptotic distribution of the
    likelihood ratio at a thousandth of its price.

    Args:
        analysis, null: what is fitted, and the fit of the null.
        fixed: {name: value} of parameters that do not float.
        seed: of the toys, which are those of `throw`.
        n: how many toys.
        level: of t; small, so that there are many.

    Returns:
        None if not exactly one parameter means nothing under the null, or more than one gets a
        meaning with it.
    """
    scan = Scan.of(analysis, fixed or {})
    if scan is None or len(scan.scanned) != 1 or len(scan.couplings) != 1:
        return None
    vector = np.asarray(null.vector)
    search = Search(analysis, vector, {}, fixed or {})
    counts = []
    for start in range(0, n, search.block):
        thrown = throw(analysis, vector, min(search.block, n - start), seed=seed, first=start)
        counts.append(search.upcrossings(thrown, level))
    found = np.concatenate(counts)
    error = float(np.std(found, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return Upcrossings(analysis.names[scan.scanned[0]], level, float(np.mean(found)), error)
