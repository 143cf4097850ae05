"""What `bknn predict` says and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bknn.prediction import PARTS
from bknn.questions.shared.heading import counted
from bknn.questions.shared.numbers import in_digits, number
from bknn.questions.shared.provenance import versions
from bknn.tables import table


def predictions_json(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    params: Mapping[str, float],
    *,
    absent: Sequence[Mapping[str, Any]] = (),
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for predictions; `docs/result.md` describes it.

    A prediction is {"observable", "channel", "q2", "part", "value", "uncertainty"}; a point is a
    bin [q2, q2] without width. What does not exist is in `absent`, with "reason".
    """
    return {
        "command": "predict",
        "model": model.name,
        "parameters": dict(params),
        "predictions": [
            {**row, "value": number(row["value"]), "uncertainty": number(row["uncertainty"])}
            for row in rows
        ],
        "absent": [dict(row) for row in absent],
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


def predictions_table(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    params: Mapping[str, float],
    absent: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the table that `bknn predict` prints."""
    lines = []
    for row in rows:
        value, error = in_digits(row["value"], row["uncertainty"])
        lines.append((row["observable"], row["channel"], _where(row["q2"]), value, error))
    head = ("observable", "channel", "q2 / GeV^2", "value", "uncertainty")
    said = [f"{model.name}: {model.description}"]
    if rows and rows[0]["part"] != "all":
        said.append(f"part: {rows[0]['part']}, {PARTS[rows[0]['part']]}")
    said += ["", point_table(model, params), "", table(head, lines)]
    if absent:
        said += ["", "not there"]
        said += [
            f"  {x['observable']}, {x['channel']}, {_where(x['q2'])}: {x['reason']}" for x in absent
        ]
    return "\n".join(said)


def point_table(model: Any, params: Mapping[str, float]) -> str:
    """Return a table of all values of parameters that were used; form factors that are not there
    are at their central values."""
    units = {p.name: p.unit for p in model.parameters}
    zeros = [name for name, x in params.items() if x == 0]
    many = len(zeros) > _MANY
    rows = [
        (name, f"{float(x):g}", units.get(name, ""))
        for name, x in params.items()
        if not (many and x == 0)
    ]
    if many:
        rows.append((f"{zeros[0]}, {zeros[1]}, ...", "0", f"({counted(len(zeros), 'parameter')})"))
    return table(("parameter", "value", "unit"), rows) if rows else "no parameters"


#: More zeros than this are one row.
_MANY = 12


def _where(q2: Sequence[float] | None) -> str:
    if q2 is None:
        return "all"
    a, b = q2
    return f"{a:g}" if a == b else f"{a:g} ... {b:g}"
