"""Toys whose fits failed: how many, which, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bknn.answers.packing import piece
from bknn.inference.minimiser.newton import EXHAUSTED, NOT_FINITE, STALLED


@piece
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


class OfToys:
    """What a number from toys says of those that are left out, for all such answers."""

    failed: Failures

    @property
    def converged(self) -> bool:
        """Whether the fits of all toys did."""
        return not self.failed.count

    @property
    def status(self) -> str:
        """How many toys are left out, in a sentence."""
        return f"{self.failed}."


CAUSES = {
    STALLED: "stalled",
    EXHAUSTED: "not converged after all steps",
    NOT_FINITE: "without a finite likelihood",
}
