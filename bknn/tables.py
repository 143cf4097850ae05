"""Tables for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: Control characters but for tab and new line, and those that turn the direction of writing.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text that a terminal shows and does not obey: control characters, as an escape has
    one, are replaced.

    >>> visible("red: \\x1b[31m\\n")
    'red: \N{REPLACEMENT CHARACTER}[31m\\n'
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows of text in left-aligned columns, with a rule below the head if there is one."""
    body = [tuple(visible(cell) for cell in row) for row in rows]
    lines = [tuple(head), *body] if head else body
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    if head:
        lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
