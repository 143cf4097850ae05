"""`bknn models`: what there is to fit."""

from __future__ import annotations

import argparse
from typing import Any

from bknn.commands.parser import command

#: Models with more parameters are listed without the entries of their matrices.
_MANY_PARAMETERS = 30


def add(commands: Any) -> None:
    """Add the command."""
    command(commands, "models", run, help="list the models and their parameters")


def run(args: argparse.Namespace) -> int:
    """Print models and parameters."""
    from bknn import models
    from bknn.tables import table

    rows = []
    for name in models.available():
        model = models.load(name)
        many = len(model.parameters) > _MANY_PARAMETERS
        # Entries of flavour matrices: their names say what they are.
        shown = [p for p in model.parameters if not (many and p.description.startswith("entry"))]
        for i, p in enumerate(shown):
            low, high = p.bounds
            rows.append(
                (
                    name if i == 0 else "",
                    p.name,
                    f"{p.init:g}" + (" (fixed)" if p.fixed else ""),
                    f"[{low:g}, {high:g}]",
                    p.unit,
                    p.prior_text,
                    p.description,
                )
            )
        if hidden := [p for p in model.parameters if p not in shown]:
            names = f"{hidden[0].name} ... {hidden[-1].name}"
            rows.append(("", names, "0 (fixed)", "", "", "", f"the {len(hidden)} single entries"))
    head = ("model", "parameter", "start", "range", "unit", "prior", "meaning")
    print(table(head, rows))
    return 0
