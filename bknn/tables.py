"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows of text in left-aligned columns, with a rule below the head if there is one."""
    body = [tuple(row) for row in rows]
    lines = [tuple(head), *body] if head else body
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    if head:
        lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
