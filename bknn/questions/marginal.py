"""`bknn sample --over`: the posterior of a few parameters on a grid, without chains."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn.answers.digits import in_digits
from bknn.questions.shared import build, output, progress, values
from bknn.questions.shared.content import estimate_json, priors_json
from bknn.questions.shared.heading import counted, heading, wrapped
from bknn.questions.shared.numbers import nested, number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.provenance import provenance
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.inference.posteriors.on_grid import Marginal


def plan(asked: Any, desk: Desk) -> Plan:
    """Look whether a grid makes sense; `asked` is a `bknn.questions.sample.Asked` with one."""
    over = values.grids_of(asked.over)
    analysis = build.analysis(asked, desk, [*over, *asked.fix])
    build.look(analysis, asked.fix, over=over)
    points = int(np.prod([len(grid) for grid in over.values()]))
    return Plan(analysis, parts(analysis), {"points": points}, ("grid.nc",))


def answer(asked: Any, desk: Desk) -> int:
    """Compute, print, write.

    Args:
        asked: a `bknn.questions.sample.Asked` with a grid.
        desk: where it is answered.
    """
    over = values.grids_of(asked.over)
    analysis = asked.planned(desk).made

    from bknn.inference.posteriors.marginal import marginal

    out = desk.folder()
    start = time.perf_counter()
    points = int(np.prod([len(grid) for grid in over.values()]))
    with progress.bar("grid", points, "points") as done:
        found = marginal(analysis, over, fixed=asked.fix, progress=done)
    seconds = time.perf_counter() - start
    print(marginal_table(found, seconds))
    if out is not None:
        answers = {"grid": found}

        output.write(
            out,
            marginal_json(found, seconds, settings=asked.record()),
            answers,
            desk.figures,
        )
    for problem in found.problems:
        print(f"bknn: {problem}.", file=sys.stderr)
    return 0 if found.converged.all() else 1


# What is said and written ---------------------------------------------------------------------


def marginal_json(
    found: Marginal, seconds: float, *, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `result.json` for a posterior on a grid; `docs/result.md` has it."""
    analysis: Analysis = found.analysis
    nothing = {"r_hat": None, "ess_bulk": None, "ess_tail": None}
    return {
        "command": "sample",
        "model": analysis.model.name,
        "data": [m.name for m in analysis.measurements],
        "priors": priors_json(analysis, _moving(found)),
        "fixed": {name: number(x) for name, x in found.fixed.items()} | dict(analysis.constants),
        "posterior": {
            name: {key: nested(x) for key, x in found.summary(name).items()} | nothing
            for name in found.grid
        },
        "grid": {
            "method": "laplace",
            "parameters": list(found.grid),
            "points": [len(x) for x in found.grid.values()],
            "range": [[float(x[0]), float(x[-1])] for x in found.grid.values()],
            "converged": int(np.sum(found.converged)),
            "log_evidence": estimate_json(found.evidence),
            "status": _status(found),
            "seconds": number(seconds),
        },
        "provenance": provenance(analysis, settings),
    }


def marginal_table(found: Marginal, seconds: float) -> str:
    """Return the table that `bknn sample --over` prints."""
    analysis: Analysis = found.analysis
    units = {p.name: p.unit for p in analysis.parameters}
    lines = [*heading(analysis), ""]
    lines += [table(_HEAD, [_row(found, name, units.get(name, "")) for name in found.grid]), ""]
    held = {**found.fixed, **analysis.constants}
    if shown := [f"{name} = {x:g}" for name, x in held.items() if x]:
        lines.append(f"fixed            {', '.join(shown[:6])}")
    moving = _moving(found)
    priors = priors_json(analysis, moving)
    lines += [f"prior            {name}: {text}" for name, text in priors.items()]
    lines.append("")
    for name, x in found.grid.items():
        unit = f" {units[name]}" if units.get(name) else ""
        lines.append(f"grid             {name}: {len(x)} points, {x[0]:g} ... {x[-1]:g}{unit}")
    out = [name for name in priors if name not in found.grid]
    if nuisances := int(np.sum(moving)) - len(priors):
        out.append(counted(nuisances, "nuisance"))
    said = f"{', '.join(out)}, at each point by Laplace's method" if out else "nothing else floats"
    lines += wrapped("integrated out", said)
    value, error = found.evidence.value, found.evidence.error
    steps = f"; its steps matter by {error:.1g}" if np.isfinite(error) else ""
    lines.append(f"log evidence     {value:.3f} (laplace, on the grid{steps})")
    good = int(np.sum(found.converged))
    lines.append(f"converged        {good} of {counted(found.converged.size, 'point')}")
    lines.append(f"time             {seconds:.1f} s")
    lines += wrapped("grid", _status(found))
    return "\n".join(lines)


_HEAD = ("parameter", "mode", "mean", "median", "68%", "95%", "unit")


def _row(found: Marginal, name: str, unit: str) -> tuple[str, ...]:
    own = found.summary(name)
    low, high = own["hdi_68"]
    error, largest = 0.5 * (high - low), float(np.max(np.abs(own["regions_95"])))

    def text(value: float) -> str:
        return in_digits(float(value), error, largest)[0]

    def regions(intervals: Sequence[tuple[float, float]]) -> str:
        return " and ".join(f"{text(a)} ... {text(b)}" for a, b in intervals)

    return (
        name,
        *(text(own[key]) for key in ("mode", "mean", "median")),
        *(regions(own[key]) for key in ("regions_68", "regions_95")),
        unit,
    )


def _status(found: Marginal) -> str:
    if not found.problems:
        return "reaches as far as priors or densities do, and is fine enough."
    text = "; ".join(found.problems)
    return f"{text[0].upper()}{text[1:]}."


def _moving(found: Marginal) -> np.ndarray:
    return np.array([name not in found.fixed for name in found.analysis.names])
