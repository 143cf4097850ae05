"""Hypotheses side by side: their evidences, and the Bayes factor of each pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import with_error
from bknn.answers.packing import piece

if TYPE_CHECKING:
    from bknn.inference.evidences.evidence import Evidence


@piece
@dataclass(frozen=True)
class BayesFactor:
    """How much more probable the data are under one hypothesis than under another.

    Attributes:
        log10: decimal logarithm of the ratio of the evidences.
        error: of that.
        converged: whether two methods agreed on either evidence.

    >>> print(BayesFactor(1.234, 0.056))
    1.23 +- 0.06
    """

    log10: float
    error: float
    converged: bool = True

    def __str__(self) -> str:
        return with_error(self.log10, self.error)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Answer):
    """Evidences of several hypotheses about the same data.

    Attributes:
        evidences: {hypothesis: evidence}, the first one is that of interest.
    """

    evidences: Mapping[str, Evidence]

    def columns(self) -> dict[str, list[Any]]:
        """One row a pair of hypotheses."""
        pairs = self.bayes_factors
        return {
            "pair": list(pairs),
            "log10": [x.log10 for x in pairs.values()],
            "error": [x.error for x in pairs.values()],
        }

    def shown(self) -> Shown:
        rows = [(n, with_error(x.value, x.error)) for n, x in self.evidences.items()]
        pairs = [f"log10 Bayes factor {n}: {x}" for n, x in self.bayes_factors.items()]
        title = "Hypotheses about the same data"
        return Shown(title, ("hypothesis", "log evidence"), rows, [*pairs, self.status])

    @property
    def bayes_factors(self) -> dict[str, BayesFactor]:
        """{"A/B": Bayes factor} of all pairs, in the order of the hypotheses."""
        found = {}
        for (a, first), (b, second) in combinations(self.evidences.items(), 2):
            found[f"{a}/{b}"] = BayesFactor(
                (first.value - second.value) / math.log(10),
                math.hypot(first.error, second.error) / math.log(10),
                bool(first.converged and second.converged),
            )
        return found

    @property
    def converged(self) -> bool:
        """Whether at least two methods agree on every evidence."""
        return all(bool(found.converged) for found in self.evidences.values())

    @property
    def status(self) -> str:
        """Whether to believe the numbers, in a sentence."""
        doubtful = [name for name, found in self.evidences.items() if not found.converged]
        if not doubtful:
            return "at least two methods agree on every evidence."
        return f"the methods do not agree on the evidence of {', '.join(doubtful)}: " + " ".join(
            self.evidences[name].status for name in doubtful
        )
