"""`bknn export`: a pyhf workspace with the signal of a model put in."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.commands import parser
from bknn.questions.predict import point_table
from bknn.questions.shared import build, output
from bknn.questions.shared.kinds import Numbers
from bknn.questions.shared.output import Desk
from bknn.questions.shared.question import OfAnalysis, option


@dataclass(frozen=True, kw_only=True)
class Export(OfAnalysis):
    """What may be asked of a workspace."""

    name = "export"
    summary = "write a pyhf workspace with the signal of a model put in"
    description = (
        "Write a pyhf workspace with the signal of a model at a point put in; its parameter of "
        "interest multiplies that signal."
    )
    examples = """\
bknn export vector --set mass=2.1 h_V=7e-9 --out vector.json
"""

    set: Numbers = option(
        "the point; the start elsewhere, but couplings that are not named are 0 once one is", {}
    )
    out: str = option("JSON file to write", metavar="FILE")

    def answer(self, desk: Desk) -> int:
        """Write the workspace."""
        out = Path(self.out)
        analysis = build.analysis(self, desk, self.set)
        own = {p.name: p for p in analysis.parameters}
        for name, value in self.set.items():
            if name not in own:
                analysis.index(name)  # a name that nobody has gets its close matches
                raise errors.ParameterError(
                    f"--set {name}: a nuisance parameter stays free in the workspace that is "
                    f"written; set parameters of the model only: {', '.join(own)}."
                )
            own[name].check(value)
        values = analysis.at(self.set)
        workspace = analysis.to_workspace(values)
        if out.is_file():
            print(f"bknn: {out} will be replaced.", file=sys.stderr)
        with output.writing(out):
            output.write_json(workspace, out)
        print(point_table(analysis.model, {**analysis.constants, **{n: values[n] for n in own}}))
        print(f"\nwritten          {out}")
        return 0


def add(commands: Any) -> None:
    """Add the command."""
    parser.add(commands, Export)
