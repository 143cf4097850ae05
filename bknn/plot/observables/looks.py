"""How scenarios that are drawn together are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bknn.parameters import symbol
from bknn.plot.drawing.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, plain
from bknn.plot.drawing.twins import COPIES

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_MARKS = "osD^vP"


def look_of(i: int, copies: int = 0, *, marked: bool = False) -> dict[str, Any]:
    """How a scenario is drawn, which has this many twins before it."""
    look: dict[str, Any] = {
        "color": _COLOURS[i % len(_COLOURS)],
        "linestyle": COPIES[(copies or i // len(_COLOURS)) % len(COPIES)],
        "linewidth": 1.1,
    }
    if not marked:
        return look
    hollow = {"markerfacecolor": "none", "markeredgewidth": 0.9} if copies else {}
    size = 3.5 + 2.5 * min(copies, 3)
    return {**look, "marker": _MARKS[i % len(_MARKS)], "markersize": size, **hollow}


def labels_of(found: Mapping[str, Any], same: Sequence[int | None]) -> list[str]:
    """What stands in the legend, with the twin that a scenario looks like."""
    names = [_named(label) for label in found]
    return [
        name if i is None else f"{name} (as {names[i]})"
        for name, i in zip(names, same, strict=True)
    ]


def _named(text: str) -> str:
    """A scenario MODEL:COUPLINGS as figures write it.

    >>> _named("vector:C_V_L,C_V_R"), _named("my fit: all")
    ('vector, $C_V^L$, $C_V^R$', 'my fit: all')
    """
    model, _, couplings = text.partition(":")
    names = couplings.split(",")
    if not all(name.strip().isidentifier() for name in names) or " " in text:
        return plain(text)
    return ", ".join([plain(model), *map(symbol, names)])
