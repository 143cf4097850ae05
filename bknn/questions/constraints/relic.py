"""`bknn relic`: how much of a dark fermion is left today, over one parameter, and what it shows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import precision
from bknn.questions.shared import build, output, progress, values
from bknn.questions.shared.kinds import Grids, Numbers, Texts
from bknn.questions.shared.numbers import nested, number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import GRID, OfData, OfModel, fix_option, option
from bknn.storage.identity import digests, of_model
from bknn.storage.machine import versions

if TYPE_CHECKING:
    from bknn.data import Measurement
    from bknn.studies.constraints.relic import Relic


@dataclass(frozen=True, kw_only=True)
class Asked(OfData, OfModel):
    """What may be asked of dark matter."""

    name = "relic"
    summary = "abundance and signals of dark matter, over one parameter"
    description = (
        "Thermal freeze-out of the dark fermion of a model at every value of a parameter: Omega "
        "h^2, annihilation today and at recombination, scattering on nucleons, and what excludes "
        "it (docs/relic.md). Data with counts are left out."
    )
    examples = """\
bknn relic dark-photon --fix mass=2.1 epsilon=5e-4 g_X=0.05 --over m_X=0.5:1.05:100 --out results/
bknn relic dark-photon --fix mass=2.1 g_X=0.05 --over m_X=0.5:1.04:50 \\
    --find epsilon=1e-6:1e-2:40:log
"""

    data: Texts = option(
        "names from `bknn data list`, or files; 'all-dark-matter': all on dark matter whose "
        "quantities the model has",
        ("all-dark-matter",),
        metavar="SET",
        section="data",
        key="sets",
        files="data set",
        keyword="",
    )
    over: Grids = option(f"grid of the parameter: {GRID}")
    fix: Numbers = fix_option()
    find: Grids = option(
        "grid of another parameter, between whose values that one is looked for which gives "
        "--target: the coupling that dark matter needs",
        {},
    )
    target: float = option("Omega h^2 that --find looks for", 0.120)

    def plan(self, desk: Desk) -> Plan:
        over, find = values.grids_of(self.over), values.grids_of(self.find)
        precision.prepare()

        from bknn.studies.constraints.relic import refuse

        model = build.model(self)
        sets, counted = _without_counts(build.measurements(self, model))
        refuse(model, over, self.fix, find, self.target, sets)
        if counted:
            print(
                f"bknn: note: data with counts are not fitted here: {', '.join(counted)}",
                file=sys.stderr,
            )
        points = int(np.prod([len(grid) for grid in (*over.values(), *find.values())]))
        values.room(points, 8 * 20, "--over")
        return Plan((model, sets, over, find), of_model(model), {"points": points}, ("relic.nc",))

    def answer(self, desk: Desk) -> int:
        """Compute, print, write."""
        from bknn.studies.constraints.relic import relic

        model, sets, over, find = self.planned(desk).made
        out = desk.folder()
        with progress.bar("dark matter", None, "points") as done:
            found = relic(
                model,
                over,
                sets,
                fixed=self.fix,
                find=find,
                target=self.target,
                progress=done,
            )
        print(found)
        if out is not None:
            content = relic_json(found, model, sets, settings=self.record())
            output.write(out, content, {"relic": found}, desk.figures)
        if not found.converged:
            print(f"bknn: {found.status}", file=sys.stderr)
            return 1
        return 0


def _without_counts(measurements: list[Measurement]) -> tuple[list[Measurement], list[str]]:
    """Return the data sets without counts, and the names of the others."""
    return (
        [m for m in measurements if not m.workspace],
        [m.name for m in measurements if m.workspace],
    )


def relic_json(
    found: Relic, model: Any, measurements: list[Measurement], *, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `result.json`; `docs/result.md` describes it."""
    return {
        "command": "relic",
        "model": found.model,
        "data": list(found.delta),
        "parameter": found.parameter,
        "grid": nested(found.values),
        "fixed": dict(found.fixed),
        "quantities": {name: nested(x) for name, x in found.quantities.items()},
        "find": {
            "parameter": found.found,
            "omega_h2": number(found.target),
            "values": nested(found.at),
            "solutions": [int(x) for x in found.solutions],
        }
        if found.found
        else None,
        "exclusions": {
            name: {
                "delta": nested(delta),
                "level": number(found.level(name)),
                "excluded": number(float(found.excluded(name).mean())),
            }
            for name, delta in found.delta.items()
        },
        "allowed": [bool(x) for x in found.allowed],
        "status": found.status,
        "provenance": {
            **versions(),
            "settings": dict(settings),
            "computation": digests(of_model(model)),
            "data_sha256": {m.name: m.sha256 for m in measurements},
            "sources": [str(s) for m in measurements for s in m.sources],
        },
    }
