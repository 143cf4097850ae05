"""`bknn regions`: where two couplings may be, for each data set and for all together."""

from __future__ import annotations

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
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.studies.regions import Regions


@dataclass(frozen=True, kw_only=True)
class Asked(OfData, OfModel):
    """What may be asked of regions."""

    name = "regions"
    summary = "where two couplings may be, for each data set and for all together"
    description = (
        "Contours of -2 log L in the plane of two couplings, everything else fitted: each data set "
        "alone, and all together."
    )
    examples = """\
bknn regions scalar --over g_S=0:2e-8:31 g_P=-1e-7:1e-7:41 --fix mass=2.1 \\
    --data belle2-2025 babar-2013 belle-2017
bknn regions fermion-pair --over f_VA=0:5:31 f_AA=-5:5:41 --fix mass=0.6 f_VV=0 \\
    --data belle2-2025 babar-2013 aleph-bs-invisible --out results/
"""

    over: Grids = option(f"grid of the two couplings: {GRID}")
    fix: Numbers = fix_option()

    def plan(self, desk: Desk) -> Plan:
        over = values.grids_of(self.over)
        if len(over) != 2:
            raise errors.ParameterError(
                f"--over names {len(over)} parameters ({', '.join(over)}), and a region has two."
            )
        precision.prepare()

        from bknn.studies.regions import asked

        model = build.model(self)
        measurements = build.measurements(self, model)
        made = asked(model, measurements, over, fixed=self.fix, free=self.free)
        for analysis in made.values():
            build.look(analysis, self.fix, over=over)
        points = len(made) * int(np.prod([len(grid) for grid in over.values()]))
        return Plan(
            (model, measurements, over), build.of_several(made), {"points": points}, ("regions.nc",)
        )

    def answer(self, desk: Desk) -> int:
        """Look for the contours, print, write."""
        from bknn.studies.regions import coupling_regions

        model, measurements, over = self.planned(desk).made
        out = desk.folder()
        several = len(measurements) + (len(measurements) > 1)
        points = several * int(np.prod([len(grid) for grid in over.values()]))
        with progress.bar("regions", points, "points") as done:
            found = coupling_regions(
                model, measurements, over, fixed=self.fix, free=self.free, progress=done
            )
        print(regions_table(found))
        if out is not None:
            answers = {"regions": found}

            output.write(
                out,
                regions_json(found, settings=self.record()),
                answers,
                desk.figures,
            )
        return 0


# What is said and written ---------------------------------------------------------------------


def regions_json(found: Regions, *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `result.json` for regions; `docs/result.md` describes it."""
    last = list(found.contours.values())[-1].profile.target
    return {
        "command": "regions",
        "model": last.model.name,
        "data": [m.name for m in last.measurements],
        "parameters": list(found.parameters),
        "fixed": dict(found.fixed),
        "regions": {
            name: {
                "best": {
                    p: number(float(contour.profile.best.params[p])) for p in found.parameters
                },
                "twice_nll": number(contour.profile.twice_nll_min),
                "contours": {
                    f"{n:g}": {
                        "delta": contour.levels[n],
                        "lines": [nested(np.asarray(line)) for line in lines],
                    }
                    for n, lines in contour.lines.items()
                },
                "status": contour.status,
            }
            for name, contour in found.contours.items()
        },
        "provenance": provenance(last, settings),
    }


def regions_table(found: Regions) -> str:
    """Return the table that `bknn regions` prints: what each contour spans."""
    rows = []
    for name, contour in found.contours.items():
        for n, lines in contour.lines.items():
            points = np.concatenate(lines) if lines else np.zeros((0, 2))
            everywhere = contour.profile.delta.max() <= contour.levels[n]
            spans = [
                f"{points[:, a].min():.3g} ... {points[:, a].max():.3g}"
                if len(points)
                else ("anywhere" if everywhere else "-")
                for a in (0, 1)
            ]
            best = contour.profile.best.params
            at = ", ".join(f"{float(best[p]):.3g}" for p in found.parameters)
            first = next(iter(contour.lines)) == n
            rows.append((name if first else "", at if first else "", f"{n:g}", *spans))
    head = ("data", f"best ({', '.join(found.parameters)})", "sigma", *found.parameters)
    text = [table(head, rows), ""]
    for name, contour in found.contours.items():
        text += wrapped(name, contour.status)
    return "\n".join(text)
