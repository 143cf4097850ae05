"""`bknn list`: the names that options take, with what they mean.

One command for all lists: observables, decays, form factors, inputs, scenarios, expected results,
vectors belong to no model and to no data set, and several commands take most of them.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bknn.commands.parser import command

Rows = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]

_EXAMPLES = """\
examples:
  bknn list observables
  bknn list scenarios
"""


def observables() -> Rows:
    """--observable of `bknn predict`"""
    from bknn.prediction import OBSERVABLES

    return ("observable", "meaning"), list(OBSERVABLES.items())


def channels() -> Rows:
    """--channel of `bknn predict`"""
    from bknn.channels import CHANNELS

    rows = [(c.name, ", ".join(c.observables), c.form_factors or "-") for c in CHANNELS.values()]
    return ("decay", "observables", "form factors"), rows


def form_factors() -> Rows:
    """--form-factors"""
    from bknn.form_factors import sets

    rows = []
    for name, transitions in sets.available().items():
        default = [t for t in transitions if sets.DEFAULTS[t] == name]
        source = sets.load(name, transitions[0]).source
        rows.append((name, ", ".join(transitions), ", ".join(default) or "-", source))
    return ("set", "transitions", "default of", "source"), rows


def inputs() -> Rows:
    """--inputs"""
    from bknn.inputs import INPUTS

    rows = [
        (x.name, f"{np.asarray(x.ckm):.5f}", f"{np.asarray(x.mass_b):g}") for x in INPUTS.values()
    ]
    return ("inputs", "|V_tb V_ts*|", "m_b [GeV]"), rows


def scenarios() -> Rows:
    """--scenarios of `bknn scenarios` and `bknn project`"""
    from bknn.models.scenarios import SCENARIOS

    rows = [(s.name, s.model, s.even, s.odd or "-") for s in SCENARIOS.values()]
    return ("scenario", "model", "coupling", "of odd parity"), rows


def expected() -> Rows:
    """--with of `bknn project`"""
    from bknn.derived.luminosity import BELLE2

    rows = []
    for name, found in BELLE2.items():
        widths = ", ".join(f"{x:.2g} at {lumi:g}/ab" for lumi, x in found.sigma.items())
        rows.append((name, f"{found.value:g}", widths))
    return ("result", "expected", "uncertainty"), rows


def vectors() -> Rows:
    """VECTOR of `bknn vector-widths`"""
    from bknn.vectors.couplings import NAMED

    rows = [(name, x.coupling, x.meaning) for name, x in NAMED.items()]
    return ("vector", "coupling", "couples to"), rows


#: {word: what makes the table}.
LISTS: dict[str, Callable[[], Rows]] = {
    "observables": observables,
    "channels": channels,
    "form-factors": form_factors,
    "inputs": inputs,
    "scenarios": scenarios,
    "expected": expected,
    "vectors": vectors,
}


def add(commands: Any) -> None:
    """Add the command."""
    lines = "\n".join(f"  {name:<14} {make.__doc__}" for name, make in LISTS.items())
    parser = command(
        commands,
        "list",
        run,
        help="list observables, decays, form factors, inputs, scenarios, vectors, ...",
        description=f"List the names that options take:\n\n{lines}",
        epilog=_EXAMPLES,
    )
    parser.add_argument("what", choices=LISTS, metavar="WHAT", help=", ".join(LISTS))


def run(args: argparse.Namespace) -> int:
    """Print a list."""
    from bknn.precision import prepare
    from bknn.tables import table

    prepare()
    head, rows = LISTS[args.what]()
    print(table(head, [_folded(row) for row in rows]))
    return 0


def _folded(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(textwrap.shorten(cell, 70, placeholder=" ...") for cell in row)
