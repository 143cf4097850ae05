"""`bknn models`: what there is to fit, in a list or one model in full."""

from __future__ import annotations

import argparse
import inspect
import re
import textwrap
from typing import Any

from bknn.commands.parser import command

#: Models with more parameters are listed without the entries of their matrices.
_MANY_PARAMETERS = 30

#: The list fits into a terminal of this many columns.
_COLUMNS = 80

_EXAMPLES = """\
examples:
  bknn models
  bknn models vector
  bknn models vector --basis chiral
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "models",
        run,
        help="list the models, or show one",
        description="List the models with their parameters (those in parentheses are fixed unless "
        "freed or set); or show one in full: starts, ranges, units, priors, what it predicts.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="show this one")
    parser.add_argument(
        "--basis", metavar="NAME", help="of the couplings: 'parity' (default) or 'chiral'"
    )


def run(args: argparse.Namespace) -> int:
    """Print all models, or one."""
    from bknn import models
    from bknn.precision import prepare

    prepare()
    if args.model is None:
        print("\n".join(listed(models.load(name)) for name in models.available()))
        print("\n(in parentheses): fixed unless freed or set. `bknn models MODEL` shows one.")
    else:
        given = {"basis": args.basis} if args.basis else {}
        print(shown(models.load(args.model, **given)))
    return 0


def listed(model: Any) -> str:
    """Return a model in a few lines."""
    own, hidden = _own(model)
    names = [f"({p.name})" if p.fixed else p.name for p in own]
    if hidden:
        names.append(f"({hidden[0].name} ... {hidden[-1].name})")
    words = textwrap.fill(
        " ".join(names),
        _COLUMNS,
        initial_indent=" " * 4,
        subsequent_indent=" " * 4,
        break_on_hyphens=False,
    )
    head = textwrap.fill(f"{model.name}: {model.description}", _COLUMNS, subsequent_indent="  ")
    return f"{head}\n{words}"


def shown(model: Any) -> str:
    """Return a model in full."""
    from bknn.prediction import derived_quantities
    from bknn.tables import table

    own, hidden = _own(model)
    rows = []
    for p in own:
        low, high = p.bounds
        start = f"{p.init:g}" + (" (fixed)" if p.fixed else "")
        known = (start, f"[{low:g}, {high:g}]", p.unit, p.prior_text, p.description)
        rows.append((p.name, *known))
    if hidden:
        names = f"{hidden[0].name} ... {hidden[-1].name}"
        rows.append((names, "0 (fixed)", "", "", "", f"the {len(hidden)} single entries"))
    for q in derived_quantities(model).values():
        rows.append((q.name, "(derived)", "", q.unit, "", q.description))
    head = ("parameter", "start", "range", "unit", "prior", "meaning")
    lines = [f"{model.name}: {model.description}", "", table(head, rows), ""]
    facts = {"standard model": _null(model), "predicts": _channels(model)}
    if bases := getattr(model, "couplings_by_basis", None):
        facts["bases"] = "; ".join(
            f"{name}: {', '.join(c.name for c in couplings)}" for name, couplings in bases.items()
        )
    if chosen := getattr(model, "form_factors", None):
        facts["form factors"] = ", ".join(f"{t}: {s.name}" for t, s in chosen.items())
    facts["sources"] = ", ".join(_sources(model)) or "docs/models.md"
    for name, text in facts.items():
        lines += textwrap.wrap(f"{name:<16} {text}", 95, subsequent_indent=" " * 17)
    return "\n".join(lines)


def _own(model: Any) -> tuple[list[Any], list[Any]]:
    """The parameters that are named, and the entries of matrices, whose names say what they are."""
    if len(model.parameters) <= _MANY_PARAMETERS:
        return list(model.parameters), []
    entries = [p for p in model.parameters if p.description.startswith("entry")]
    return [p for p in model.parameters if p not in entries], entries


def _null(model: Any) -> str:
    """Where a model is the standard model."""
    if not model.null:
        return "itself"
    if len(model.null) > _MANY_PARAMETERS and not any(model.null.values()):
        return "where all of them are 0"
    return "where " + ", ".join(f"{name} = {value:g}" for name, value in model.null.items())


def _channels(model: Any) -> str:
    """Decays and observables that a model predicts."""
    from bknn import errors
    from bknn.channels import CHANNELS
    from bknn.studies.observables.quantities import Quantity

    found = []
    for name, channel in CHANNELS.items():
        known = []
        for observable in channel.observables:
            try:
                known.append(Quantity(observable, name).check(model).observable)
            except errors.BknnError:
                continue
        if known:
            found.append(f"{name} ({', '.join(known)})")
    return "; ".join(found)


def _sources(model: Any) -> list[str]:
    """The papers that the text of a model names."""
    texts = (inspect.getdoc(type(model)), inspect.getdoc(inspect.getmodule(type(model))))
    return list(
        dict.fromkeys(re.findall(r"arXiv:\d{4}\.\d{4,5}", "\n".join(x or "" for x in texts)))
    )
