"""`bknn profile`: the likelihood along one to three parameters, all others fitted; intervals."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors
from bknn.answers.digits import ends, in_digits
from bknn.questions.shared import build, output, progress, values
from bknn.questions.shared.absent import absent, on_grid
from bknn.questions.shared.absent import lines as absent_lines
from bknn.questions.shared.content import content
from bknn.questions.shared.heading import counted, heading, parameters_table
from bknn.questions.shared.kinds import Grids, Numbers, Texts
from bknn.questions.shared.numbers import nested, number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import GRID, OfAnalysis, fix_option, option
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.inference.profiles.contours import Contours
    from bknn.inference.profiles.intervals import Intervals
    from bknn.inference.profiles.profile import Profile


@dataclass(frozen=True, kw_only=True)
class Asked(OfAnalysis):
    """What may be asked of a profile."""

    name = "profile"
    summary = "the likelihood along one to three parameters; intervals and contours"
    description = (
        "Minimise -2 log L over everything else at each value of one to three parameters. "
        "Intervals and contours are where it rises by what their confidence asks for, found by "
        "root search, not read off the grid."
    )
    examples = """\
bknn profile signal-strength --over mu=-2:12:100
bknn profile resonance --over mass=0.1:4.7:200 --out results/
bknn profile resonance --over mass=0.1:4.7:200 --intervals mass branching_ratio
bknn profile resonance --over mass=1.5:3:40 branching_ratio=0:2e-5:40 --out results/
bknn profile wet --over C_SL=-10:10:50 C_TL=0:20:50
bknn profile scalar --free g_P --over mass=0.5:4:20 g_S=0:3e-8:20 g_P=0:2e-7:20 \\
    --data belle2-2025 babar-2013
"""

    over: Grids = option(f"grid of one to three parameters: {GRID}")
    fix: Numbers = fix_option()
    intervals: Texts | None = option(
        "parameters whose 68% and 95% intervals are wanted; those of the grid by default, none if "
        "nothing follows",
        None,
        keyword="",
    )

    def plan(self, desk: Desk) -> Plan:
        over = values.grids_of(self.over)
        if len(over) > 3:
            raise errors.ParameterError(
                f"--over names {len(over)} parameters ({', '.join(over)}), and a profile has at "
                "most three. Keep the others with --fix, or leave them to the fit."
            )
        analysis = build.analysis(self, desk, [*over, *self.fix, *(self.intervals or [])])

        for name in self.intervals or ():
            analysis.index(name)
        build.look(analysis, self.fix, over=over)
        points = int(np.prod([len(grid) for grid in over.values()]))
        # What a result has of each point, and a copy of it as it is written.
        values.room(points, 16 * (analysis.size + 10), "--over")
        wanted = len(over if self.intervals is None else self.intervals)
        return Plan(
            analysis,
            parts(analysis),
            {"points": points, "intervals": wanted},
            ("profile.nc", "intervals.nc")[: 2 if wanted else 1],
        )

    def answer(self, desk: Desk) -> int:
        """Profile, print, write."""
        from bknn.inference.profiles.contours import contours
        from bknn.inference.profiles.intervals import intervals
        from bknn.inference.profiles.profile import profile

        analysis, over = self.planned(desk).made, values.grids_of(self.over)
        out, work = desk.folder(), desk.work
        names = list(over if self.intervals is None else self.intervals)
        points = int(np.prod([len(grid) for grid in over.values()]))
        plane = None
        with progress.bar("profile", points, "points") as done:
            if len(over) == 2 and min(map(len, over.values())) > 1:
                plane = contours(analysis, over, fixed=self.fix, progress=done, work=work)
                found = plane.profile
            else:
                found = profile(analysis, over, fixed=self.fix, progress=done, work=work)
        limits = None
        if names:
            with progress.bar("intervals", 2 * len(names), "intervals") as done:
                limits = intervals(analysis, names, fixed=self.fix, best=found.best, progress=done)
        print(profile_table(found, limits, plane))
        if out is not None:
            answers = {"profile": found if plane is None else plane}

            output.write(
                out,
                profile_json(found, limits, plane, settings=self.record()),
                answers,
                desk.figures,
                {"intervals": limits},
            )
        if not ((found.converged | found.excluded).all() and bool(found.best.converged)):
            print(f"bknn: {found.status}", file=sys.stderr)
            return 1
        return 0


# What is said and written ---------------------------------------------------------------------


#: What the status of an interval is if there is nothing to be said.
CLOSED = "closed on both sides."


def profile_json(
    found: Profile,
    limits: Intervals | None,
    plane: Contours | None,
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for a profile; `docs/result.md` describes it."""
    axes = [nested(axis) for axis in found.axes]
    numbers = {
        "parameters": list(found.parameters),
        "grid": axes[0] if len(axes) == 1 else axes,
        "twice_nll": nested(found.twice_nll),
        "delta": nested(found.delta),
        **{name: nested(values) for name, values in found.values.items()},
        "second": nested(found.second_delta),
        "status": _words(found.outcome),
    }
    more: dict[str, Any] = {"profile": numbers}
    if limits is not None:
        more["intervals"] = intervals_json(limits)
    if found.target.results.curves:
        more["absent"] = _absent(found)
    if plane is not None:
        more["contours"] = {
            f"{n:g}": {"delta": plane.levels[n], "lines": [nested(x) for x in lines]}
            for n, lines in plane.lines.items()
        }
    return content(found.best, "profile", settings, more)


def _absent(found: Profile) -> list[str]:
    grid = np.meshgrid(*found.axes, indexing="ij")
    points = dict(zip(found.parameters, (x.ravel() for x in grid), strict=True))
    return absent(found.target, on_grid(found.target, found.best.vector, points))


def _words(outcome: np.ndarray) -> Any:
    """How the fit of a point ended, in a word or two."""
    from bknn.inference.minimiser import newton

    words = {
        newton.CONVERGED: "converged",
        newton.STALLED: "stalled",
        newton.EXHAUSTED: "not converged",
        newton.NOT_FINITE: "not finite",
        newton.UNDETERMINED: "not determined",
    }
    if outcome.ndim == 0:
        return words.get(int(outcome), "not fitted")
    return [_words(row) for row in outcome]


def intervals_json(limits: Intervals) -> dict[str, Any]:
    """Return `{name: {"value", "68", "95", "regions", "status"}}`."""
    result = {}
    for name in limits.names:
        own = {str(round(100 * level)): limits[name, level] for level in limits.levels}
        result[name] = {
            "value": number(float(limits.value[name])),
            **{label: [number(x.low), number(x.high)] for label, x in own.items()},
            "at_bound": {
                label: [bool(x.low_at_bound), bool(x.high_at_bound)] for label, x in own.items()
            },
            "regions": {label: nested(x.regions) for label, x in own.items()},
            "status": {label: x.status for label, x in own.items()},
        }
    return result


def profile_table(found: Profile, limits: Intervals | None, plane: Contours | None) -> str:
    """Return the table that `bknn profile` prints."""
    analysis = found.target
    units = {p.name: p.unit for p in analysis.parameters}
    lines = [*heading(analysis), "", parameters_table(found.best), ""]
    if limits is not None:
        lines += [_intervals_table(limits, units), ""]
    for name, axis in zip(found.parameters, found.axes, strict=True):
        unit = f" {units[name]}" if units.get(name) else ""
        lines.append(
            f"{name:<16} {axis[0]:g} ... {axis[-1]:g}{unit}, {counted(len(axis), 'point')}"
        )
    lines.append(f"-2 log L         {found.twice_nll_min:z.4f} at the lowest")
    if np.isfinite(found.delta).any():
        where = np.unravel_index(np.nanargmin(found.delta), found.shape)
        at = ", ".join(
            f"{name} = {axis[i]:.6g}"
            for name, axis, i in zip(found.parameters, found.axes, where, strict=True)
        )
        lines.append(f"on the grid      {found.delta[where]:.4f} higher, at {at}")
    for at, height in _other_minima(found):
        lines.append(f"other minimum    {height:.4f} higher, near {at}")
    lines += absent_lines(_absent(found))
    lines.append(f"profile          {found.status}")
    if limits is not None:
        for x in limits:
            if x.status != CLOSED:
                lines.append(f"interval         {x.name} at {100 * x.level:.3g}%: {x.status}")
    if plane is not None:
        for n, curves in plane.lines.items():
            kind = "closed" if all(np.array_equal(c[0], c[-1]) for c in curves) else "open"
            lines.append(
                f"contour          {n:g} sigma (-2 log L + {plane.levels[n]:.2f}): "
                + (f"{counted(len(curves), 'line')}, {kind}" if curves else "outside of the grid")
            )
        if lost := sum(plane.lost.values()):
            lines.append(f"contours         {lost} vertices were not found; the lines have gaps.")
    return "\n".join(lines)


#: Minima higher than three standard deviations do not interest.
_WORTH_NAMING = 9.0


def _other_minima(found: Profile, most: int = 4) -> list[tuple[str, float]]:
    """Where the curve has other local minima: grid points lower than their neighbours."""
    if len(found.axes) != 1 or len(found.axes[0]) < 3:
        return []
    (name,), (axis,), delta = found.parameters, found.axes, found.delta
    inner = np.flatnonzero((delta[1:-1] < delta[:-2]) & (delta[1:-1] < delta[2:])) + 1
    lowest = int(np.nanargmin(delta))
    others = sorted(
        (float(delta[i]), f"{name} = {axis[i]:.4g}")
        for i in inner
        if i != lowest and delta[i] < _WORTH_NAMING
    )
    return [(at, height) for height, at in others[:most]]


def _intervals_table(limits: Intervals, units: Mapping[str, str]) -> str:
    rows = []
    for name in limits.names:
        row = [name, ""]
        for level in limits.levels:
            x = limits[name, level]
            error = max(x.high - x.low, 0.0) / 2
            row[1] = row[1] or in_digits(float(limits.value[name]), error)[0]
            spans = x.regions or ((x.low, x.high),)
            row.append(" and ".join(ends(low, high) for low, high in spans))
        rows.append((*row, units.get(name, "")))
    head = ["parameter", "value", *(f"{100 * level:.3g}%" for level in limits.levels), "unit"]
    return table(head, rows)
