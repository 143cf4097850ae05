"""What a run will do, looked at as a whole before anything is computed, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bknn import errors
from bknn.questions.shared.heading import counted
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.run.card import Card
from bknn.tables import table


def plans(card: Card, desk: Desk) -> dict[str, Plan]:
    """Return the plan of each question of a card.

    Args:
        card: what is asked.
        desk: where it is answered; it keeps the plans.

    Raises:
        BknnError: a question makes no sense; the sentence says which.
    """
    found = {}
    for name, question in card.questions.items():
        try:
            found[name] = question.planned(desk)
        except errors.BknnError as problem:
            problem.args = (f"[{name}] of {card.path}: {problem}",)
            raise
    return found


def told(card: Card, planned: Mapping[str, Plan], folder: Path, done: set[str]) -> str:
    """Return what `bknn run --dry-run` prints.

    Args:
        card: what is asked.
        planned: the plan of each question.
        folder: of the run.
        done: questions that are answered already.
    """
    rows = []
    for name, plan in planned.items():
        does = ", ".join(f"{n} {what}" for what, n in plan.does.items() if n)
        files = ", ".join(["result.json", *plan.files])
        files += ", figures" if card.settings["run"]["figures"] else ""
        seconds = "done before" if name in done else rough(plan.seconds)
        rows.append((name, does, f"{name}/: {files}", seconds))
    left = sum(plan.seconds for name, plan in planned.items() if name not in done)
    state = "which is there" if folder.exists() else "which will be made"
    return "\n".join(
        [
            f"{card.path}: {counted(len(rows), 'question')}, answered in {folder}/, {state}",
            "",
            table(("question", "does", "writes", "takes"), rows),
            "",
            f"in all           {rough(left)}, from times of the Belle II data on two cores "
            "(docs/benchmarks.md) and 8 s",
            "                 for each question to be compiled. Other data, models and machines: "
            "several times less or",
            "                 more. Nothing was fitted, and nothing was written.",
        ]
    )


def rough(seconds: float) -> str:
    """Return a time as it is known: roughly.

    >>> rough(8.2), rough(100), rough(4000), rough(1e6)
    ('about 10 s', 'about 2 min', 'about 1.1 h', 'about 12 days')
    """
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    if seconds < 3600:
        return f"about {round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"about {seconds / 3600:.1f} h"
    return f"about {seconds / 86400:.0f} days"


@dataclass
class Clock:
    """How far a run is, and how long it will take: what was planned, at the pace so far.

    Attributes:
        planned: {question: seconds} of those that are not answered.
        of: how many questions there are.
    """

    planned: dict[str, float]
    of: int
    _spent: float = 0.0
    _meant: float = 0.0
    _begun: tuple[str, float] | None = field(default=None)

    def begins(self, name: str) -> str:
        """Say how far the run is when a question begins, as in "2 of 4, about 3 min left"."""
        number = self.of - len(self.planned) + 1
        pace = self._spent / self._meant if self._meant else 1.0
        self._begun = name, time.monotonic()
        return f"{number} of {self.of}, {rough(pace * sum(self.planned.values()))} left"

    def ended(self) -> None:
        """Take note that the question that began is answered."""
        if self._begun is not None:
            name, since = self._begun
            self._spent += time.monotonic() - since
            self._meant += self.planned.pop(name)
