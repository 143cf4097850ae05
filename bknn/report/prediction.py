"""What `bknn predict` says and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bknn.report.numbers import in_digits, number
from bknn.report.provenance import versions
from bknn.tables import table


def predictions_json(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    params: Mapping[str, float],
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for predictions; `docs/result.md` describes it.

    A prediction is {"observable", "channel", "q2", "value", "uncertainty"}; a point is a bin
    [q2, q2] without width.
    """
    return {
        "command": "predict",
        "model": model.name,
        "parameters": dict(params),
        "predictions": [
            {**row, "value": number(row["value"]), "uncertainty": number(row["uncertainty"])}
            for row in rows
        ],
        "provenance": {
            **versions(),
            "settings": dict(settings),
            "form_factors": {
                t: {"set": s.name, "source": s.source}
                for t, s in getattr(model, "form_factors", {}).items()
            },
            "inputs": getattr(getattr(model, "inputs", None), "name", None),
        },
    }


def predictions_table(model: Any, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table that `bknn predict` prints."""
    lines = []
    for row in rows:
        value, error = in_digits(row["value"], row["uncertainty"])
        a, b = row["q2"] or (None, None)
        where = "all" if a is None else f"{a:g}" if a == b else f"{a:g} ... {b:g}"
        lines.append((row["observable"], row["channel"], where, value, error))
    head = ("observable", "channel", "q2 / GeV^2", "value", "uncertainty")
    return f"{model.name}: {model.description}\n\n" + table(head, lines)
