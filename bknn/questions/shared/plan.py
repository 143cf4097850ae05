"""What a question will do, known before anything is computed, and about how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """What a question will do, known before anything is computed.

    Attributes:
        made: what it is asked of, for its answer.
        content: what that consists of (`bknn.storage.identity`); of several models, with the name
            of each before that of the part.
        does: {what is done: how often}, as far as it is known.
        files: that will be written beside `result.json`, figures aside.
    """

    made: Any
    content: Mapping[str, Mapping[str, Any]]
    does: Mapping[str, int]
    files: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """About how long it takes; `EACH` says how that is known."""
        return _BEFORE + sum(EACH[what] * number for what, number in self.does.items())


#: Seconds that each takes on two cores with the data of Belle II (30 bins, 232 parameters;
#: docs/benchmarks.md), rounded up: another machine, or more data, may take several times as long.
EACH: Mapping[str, float] = {
    "fits": 0.1,
    "points": 0.002,
    "refits": 0.01,
    "toys": 0.002,
    "limits": 0.1,
    "limits by toys": 2.0,
    "intervals": 0.2,
    "draws": 0.01,
    "predictions": 0.5,
    "projections": 10.0,
}

#: Seconds until programs are compiled.
_BEFORE = 8.0
