"""`bknn exclusions`: where each data set alone excludes a model, in a plane of two parameters."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors, precision
from bknn.questions.shared import build, output, progress, values
from bknn.questions.shared.heading import wrapped
from bknn.questions.shared.kinds import Grids, Numbers
from bknn.questions.shared.numbers import nested, number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.provenance import provenance
from bknn.questions.shared.question import GRID, OfData, OfModel, fix_option, option
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.studies.constraints.exclusions import Exclusions


@dataclass(frozen=True, kw_only=True)
class Asked(OfData, OfModel):
    """What may be asked of a plane of exclusions."""

    name = "exclusions"
    summary = "where each data set alone excludes a model, in a plane of two parameters"
    description = (
        "-2 log L of each data set alone at every point of a plane, nuisances fitted, all other "
        "parameters kept at --fix or at their defaults: what it excludes at 95 %, and the bands "
        "that counts like."
    )
    examples = """\
bknn exclusions dark-photon --over mass=0.05:4:100 epsilon=1e-5:1e-1:100:log \\
    --data all-light-vector --out results/
bknn exclusions aligned-u1 --over s_R=0.005:0.95:100:log G=1e-5:3e-2:100:log \\
    --fix m_T=1e4 mass=2.1 --data belle2-2025 all-light-vector --lines y_T=0.02,0.1,1
"""

    over: Grids = option(f"grid of the two parameters: {GRID}")
    fix: Numbers = fix_option()
    lines: Grids = option(
        "derived quantities whose contours are drawn, and at which values, as in y_T=0.02,0.1,1", {}
    )

    def plan(self, desk: Desk) -> Plan:
        over = values.grids_of(self.over)
        if len(over) != 2 or min(len(grid) for grid in over.values()) < 2:
            raise errors.ParameterError(
                f"--over names {len(over)} parameters ({', '.join(over)}); a plane has two, with "
                "two values or more of each."
            )
        precision.prepare()

        from bknn.prediction.derived import check_quantity
        from bknn.studies.constraints.exclusions import asked

        model = build.model(self)
        measurements = build.measurements(self, model)
        check_quantity(model, *self.lines)
        target = asked(model, measurements, over, fixed=self.fix, free=self.free)
        build.look(target, self.fix, over=over)
        points = int(np.prod([len(grid) for grid in over.values()]))
        # All numbers of a point, with nuisances on either side.
        values.room(points, 8 * (target.n_bins + 50) * 20, "--over")
        return Plan(
            (model, measurements, over), parts(target), {"points": points}, ("exclusions.nc",)
        )

    def answer(self, desk: Desk) -> int:
        """Compute, print, write."""
        from bknn.studies.constraints.exclusions import exclusions

        model, measurements, over = self.planned(desk).made
        out = desk.folder()
        points = int(np.prod([len(grid) for grid in over.values()]))
        with progress.bar("exclusions", points, "points") as done:
            found = exclusions(
                model,
                measurements,
                over,
                fixed=self.fix,
                lines=values.grids_of(self.lines),
                free=self.free,
                progress=done,
            )
        print(exclusions_table(found))
        if out is not None:
            answers = {"exclusions": found}

            output.write(
                out,
                exclusions_json(found, settings=self.record()),
                answers,
                desk.figures,
            )
        if not found.converged:
            print(f"bknn: {found.status}", file=sys.stderr)
            return 1
        return 0


# What is said and written ---------------------------------------------------------------------


def exclusions_json(found: Exclusions, *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `result.json` for a plane; `docs/result.md` describes it."""
    return {
        "command": "exclusions",
        "model": found.target.model.name,
        "data": [m.name for m in found.target.measurements],
        "parameters": list(found.parameters),
        "fixed": dict(found.fixed),
        "grid": [nested(axis) for axis in found.axes],
        "exclusions": {
            name: {
                "delta": nested(delta),
                "level": number(found.level(name)),
                "excluded": number(float(found.excluded(name).mean())),
            }
            | ({"ratio": nested(found.ratios[name])} if name in found.ratios else {})
            | ({"error": number(found.error[name])} if name in found.error else {})
            for name, delta in found.delta.items()
        },
        "quantities": {name: nested(x) for name, x in found.quantities.items()},
        "status": found.status,
        "provenance": provenance(found.target, settings),
    }


def exclusions_table(found: Exclusions) -> str:
    """Return the table that `bknn exclusions` prints."""
    shown = found.shown()
    lines = [
        f"{name:<16} {axis[0]:g} ... {axis[-1]:g}, {len(axis)} points"
        for name, axis in zip(found.parameters, found.axes, strict=True)
    ]
    lines += [f"{name:<16} {x:g}" for name, x in found.fixed.items()]
    return "\n".join(
        [*lines, "", table(shown.head, shown.rows), "", *wrapped("status", found.status)]
    )
