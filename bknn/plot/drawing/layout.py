"""Where the panels of a figure with many channels go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bknn.plot.drawing.style import WIDTH

# Inches. One row of channels is three panels, with the bin labels below them.
_STACK, _EXCESS, _PULL, _GAP = 1.45, 1.0, 0.55, 0.05
_BELOW, _ABOVE, _LEFT, _RIGHT, _BETWEEN = 0.4, 0.25, 0.52, 0.08, 0.4
_LEGEND, _NARROWEST = 1.75, 0.7
_PER_ROW, COLUMNS = 24, 5


@dataclass(frozen=True)
class Layout:
    """Where the panels go; all lengths in inches, y from the lower edge of the lowest row.

    Attributes:
        width, height: of the figure, without the room of the caption.
        panels: (left edge, lower edge, width) of each channel.
        first: channels that begin a row.
        legend: upper left corner of the legend, None if it stands above all rows.
    """

    width: float
    height: float
    panels: tuple[tuple[float, float, float], ...]
    first: frozenset[int]
    legend: tuple[float, float] | None

    @classmethod
    def of(cls, sizes: Sequence[int], n_handles: int) -> Layout:
        """Lay out channels with these numbers of bins, and a legend with this many entries.

        Bins are equally wide in rows where that is possible without wasting half of the room.
        """
        rows = _rows(sizes)
        widest = 0.8 if sum(sizes) <= 4 else 0.5
        most = [min(widest, _room(row) / sum(sizes[i] for i in row)) for row in rows]
        ones = [min(most) if min(most) >= 0.5 * one else one for one in most]
        wide = {
            i: max(_NARROWEST, sizes[i] * one)
            for row, one in zip(rows, ones, strict=True)
            for i in row
        }
        ends = []
        for row in rows:
            # Channels of one bin are drawn wider than they deserve; the others make room.
            excess = sum(wide[i] for i in row) / _room(row)
            wide |= {i: wide[i] / max(excess, 1.0) for i in row}
            ends.append(_LEFT + sum(wide[i] for i in row) + _BETWEEN * (len(row) - 1) + _RIGHT)
        beside = WIDTH - ends[-1] >= _LEGEND
        width = WIDTH if len(rows) > 1 or not beside else ends[-1] + _LEGEND
        top = 0.0 if beside else 0.1 + 0.15 * -(-n_handles // COLUMNS)
        tall = _BELOW + _PULL + _GAP + _EXCESS + _GAP + _STACK + _ABOVE
        panels = {}
        for r, row in enumerate(rows):
            left = _LEFT
            for i in row:
                panels[i] = (left, (len(rows) - 1 - r) * tall + _BELOW, wide[i])
                left += wide[i] + _BETWEEN
        legend = (ends[-1] + 0.1, tall - _ABOVE) if beside else None
        height = len(rows) * tall + top
        first = frozenset(row[0] for row in rows)
        return cls(width, height, tuple(panels[i] for i in sorted(panels)), first, legend)

    def boxes(self, channel: int, below: float) -> list[tuple[float, float, float, float]]:
        """Return stack, excess and pull of a channel in fractions of the figure."""
        left, y, width = self.panels[channel]
        height = self.height + below
        result = []
        y += below
        for tall in (_PULL, _EXCESS, _STACK):
            result.append((left / self.width, y / height, width / self.width, tall / height))
            y += tall + _GAP
        return result[::-1]


def _room(row: Sequence[int]) -> float:
    return WIDTH - _LEFT - _RIGHT - _BETWEEN * (len(row) - 1)


def _rows(sizes: Sequence[int]) -> list[list[int]]:
    """Return which channels stand in a row: each in the first row with room for it."""
    rows: list[list[int]] = []
    used: list[int] = []
    for i, size in enumerate(sizes):
        # The room between two channels is worth two bins.
        need = max(size, 2) + 2
        r = next((r for r, n in enumerate(used) if n + need <= _PER_ROW + 2), len(rows))
        if r == len(rows):
            rows.append([])
            used.append(0)
        rows[r].append(i)
        used[r] += need
    return rows
