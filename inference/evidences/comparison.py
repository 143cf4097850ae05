"""Hypotheses side by side: their evidences, and the Bayes factor of each pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bknn.inference.evidences.evidence import Evidence


@dataclass(frozen=True)
class BayesFactor:
    """How much more probable the data are under one hypothesis than under another.

    Attributes:
        log10: decimal logarithm of the ratio of the evidences.
        error: of that.
        agreed: whether two methods agreed on either evidence.

    >>> print(BayesFactor(1.234, 0.056))
    1.234 +- 0.056
    """

    log10: float
    error: float
    agreed: bool = True

    def __str__(self) -> str:
        digits = 2 if not self.error > 0 else max(0, 1 - math.floor(math.log10(self.error)))
        return f"{self.log10:.{digits}f} +- {self.error:.{digits}f}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Evidences of several hypotheses about the same data.

    Attributes:
        evidences: {hypothesis: evidence}, the first one is that of interest.
    """

    evidences: Mapping[str, Evidence]

    @property
    def bayes_factors(self) -> dict[str, BayesFactor]:
        """{"A/B": Bayes factor} of all pairs, in the order of the hypotheses."""
        found = {}
        for (a, first), (b, second) in combinations(self.evidences.items(), 2):
            found[f"{a}/{b}"] = BayesFactor(
                (first.value - second.value) / math.log(10),
                math.hypot(first.error, second.error) / math.log(10),
                bool(first.agreed and second.agreed),
            )
        return found

    @property
    def agreed(self) -> bool:
        """Whether at least two methods agree on every evidence."""
        return all(bool(found.agreed) for found in self.evidences.values())

    @property
    def status(self) -> str:
        """Whether to believe the numbers, in a sentence."""
        doubtful = [name for name, found in self.evidences.items() if not found.agreed]
        if not doubtful:
            return "at least two methods agree on every evidence."
        return f"the methods do not agree on the evidence of {', '.join(doubtful)}: " + " ".join(
            self.evidences[name].status for name in doubtful
        )
