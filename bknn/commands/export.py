"""`bknn export`: a pyhf workspace with the signal of a model put in."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.questions.shared import files, options, output


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "export",
        run,
        help="write a pyhf workspace with the signal of a model put in",
        description="Write a pyhf workspace with the signal of a model at a point put in; its "
        "parameter of interest multiplies that signal.",
    )
    options.add_analysis(parser)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help=options.POINT)
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")


def run(args: argparse.Namespace) -> int:
    """Write the workspace."""
    from bknn.questions.predict import point_table

    point = options.values(args.set, "--set")
    out = Path(args.out)
    analysis = options.analysis(args, point)
    own = {p.name: p for p in analysis.parameters}
    for name, value in point.items():
        if name not in own:
            analysis.index(name)  # a name that nobody has gets its close matches
            raise errors.ParameterError(
                f"--set {name}: a nuisance parameter stays free in the workspace that is written; "
                f"set parameters of the model only: {', '.join(own)}."
            )
        own[name].check(value)
    values = analysis.at(point)
    workspace = analysis.to_workspace(values)
    with output.writing(out):
        files.write_json(workspace, out)
    print(point_table(analysis.model, {**analysis.constants, **{n: values[n] for n in own}}))
    print(f"\nwritten          {out}")
    return 0
