"""`bknn impacts`: which nuisances move the parameter of interest, and groups that add up."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors
from bknn.answers.digits import with_error
from bknn.questions.shared import build, output, progress
from bknn.questions.shared.content import content
from bknn.questions.shared.heading import heading
from bknn.questions.shared.kinds import Groups, Numbers
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import OfAnalysis, nominal_option, option, truth_option
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.inference.impacts.result import Impacts


@dataclass(frozen=True, kw_only=True)
class Asked(OfAnalysis):
    """What may be asked of impacts."""

    name = "impacts"
    summary = "rank the nuisances by how much they move a parameter of interest"
    description = (
        "Rank the nuisances by the shift of the parameter of interest when each is moved by one "
        "standard deviation, before and after the fit, and divide its uncertainty into groups "
        "whose squares add up."
    )
    examples = """\
bknn impacts signal-strength
bknn impacts resonance --poi branching_ratio --fix mass=2.1 --out results/
bknn impacts signal-strength --asimov --set mu=1 --nominal
bknn impacts signal-strength --group "decays=corr_br*,corr_exoticD*" "kaons=*KL*,*pid*,*PID*"
"""

    poi: str | None = option("parameter of interest, if there are several", None)
    top: int = option("how many to print and draw", 20, least=1, keyword="")
    groups: Groups = option(
        "groups of nuisances, by names with * and ?; by kind if there are none", {}, flag="--group"
    )
    refits: bool = option("linear impacts only, from the Hessian; nothing is fitted again", True)
    asimov: bool = option(
        "of the data that are expected (Asimov), in place of those observed", False, keyword=""
    )
    set: Numbers = truth_option()
    nominal: bool = nominal_option()
    fix: Numbers = option("keep parameters at values", {}, keyword="")

    def plan(self, desk: Desk) -> Plan:
        point = build.point_of_truth(self.set, self.fix)
        if not self.asimov and (point or self.nominal):
            raise errors.ParameterError(
                f"{'--set' if point else '--nominal'} is about data that are expected; give "
                "--asimov too, or leave it out."
            )
        named = [*self.fix, *point, *([self.poi] if self.poi else [])]
        analysis = build.analysis(self, desk, named)
        poi = build.of_interest(analysis, self.fix, self.poi)

        build.look(analysis, self.fix, point=point)
        if self.groups:
            from bknn.inference.impacts.groups import matched

            constrained = np.zeros(analysis.size, bool)
            constrained[np.concatenate([analysis.normal[0], analysis.poisson[0]])] = True
            matched(analysis, constrained, self.groups)
        refits = 4 * (analysis.size - 1) if self.refits else 0
        does = {"fits": 3 if self.asimov else 1, "refits": refits}
        return Plan((analysis, point, poi), parts(analysis), does, ("impacts.nc",))

    def answer(self, desk: Desk) -> int:
        """Fit, move the nuisances, print, write."""
        analysis, point, poi = self.planned(desk).made

        from bknn.inference import asimov, fit, truth
        from bknn.inference.impacts.impacts import impacts

        out = desk.folder()
        result = fit(analysis, fixed=self.fix).check()
        if self.asimov:
            at = truth(analysis, point, fixed=self.fix, nominal=self.nominal, best=result)
            result = fit(analysis, fixed=self.fix, data=asimov(analysis, at)).check()
        with progress.bar("refits") as done:
            found = impacts(
                analysis,
                poi,
                result=result,
                refits=self.refits,
                groups=self.groups or None,
                progress=done,
            )
        print(impacts_table(found, self.top))
        if out is not None:
            answers = {"impacts": found}

            settings = {**self.record(), "poi": poi}
            output.write(
                out,
                impacts_json(found, settings=settings),
                answers,
                desk.figures,
            )
        if poi in found.remarks:
            print(f"bknn: {found.status}", file=sys.stderr)
            return 1
        return 0


# What is said and written ---------------------------------------------------------------------


def impacts_json(found: Impacts, *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `result.json` for impacts; `docs/result.md` describes it."""
    from bknn.inference.impacts.result import COLUMNS

    rows = []
    for row in found.table:
        numbers = {column: number(row[column]) for column in COLUMNS}
        rows.append({"name": row["name"], **numbers, "remark": row.get("remark")})
    more = {
        "parameter": found.poi,
        "impacts": rows,
        "groups": {label: number(value) for label, value in found.groups.items()},
        "total": number(found.total),
        "expected_groups": {label: number(x) for label, x in found.expected_groups.items()},
        "expected_total": number(found.expected_total),
        "contributions": {label: number(x) for label, x in found.contributions.items()},
    }
    return content(found.result, "impacts", settings, more)


def impacts_table(found: Impacts, top: int = 20) -> str:
    """Return the table that `bknn impacts` prints: the strongest nuisances, and the groups."""
    analysis = found.result.target
    unit = next((p.unit for p in analysis.parameters if p.name == found.poi), "")
    scale, power = _scale(found)
    refits = bool(np.isfinite(found.post_up).any())
    rows = []
    for row in found.table[:top]:
        shifts = [row["pre"], row["post"]]
        if refits:
            shifts += [row["post_up"], row["post_down"]]
        rows.append(
            (
                row["name"],
                _text(row["pull"], "+.2f"),
                _text(row["constraint"], ".2f"),
                *(_text(shift / scale, "+.3f") for shift in shifts),
                row.get("remark", ""),
            )
        )
    head = ["nuisance", "pull", "post/pre", "pre", "post"]
    if refits:
        head += ["refit up", "down"]
    note = "at its bound" if found.poi in found.result.at_bounds else "uncertainty unknown"
    text = with_error(found.value, found.hessian) + ("" if found.hessian > 0 else f" ({note})")
    lines = [
        *heading(analysis),
        "",
        f"{found.poi} = {text}{' ' + unit if unit else ''}",
        "shifts when a nuisance moves by +1 sigma" + (f", in units of {power}" if power else ""),
        "",
        table((*head, ""), rows),
    ]
    if (rest := len(found.names) - len(rows)) > 0:
        lines.append(f"... and {rest} more, each with less")
    if np.isfinite(found.total):
        expected = found.expected_groups
        shares = [
            (
                label,
                f"{x / scale:.3f}",
                f"{100 * (x / found.total) ** 2:.1f} %",
                f"{expected[label] / scale:.3f}",
                _text(found.contributions.get(label, np.nan) / scale, ".3f"),
            )
            for label, x in found.groups.items()
        ]
        together = (f"{x / scale:.3f}" for x in (found.total, found.expected_total))
        shares.append(("together", next(together), "", next(together), ""))
        shares.append(("from the curvature", f"{found.hessian / scale:.3f}", "", "", ""))
        head = ["group", "around the data", "of the variance", "around the fit", "less if held"]
        lines += ["", table(head, shares)]
    lines += ["", f"fit              {found.result.status}"]
    if found.poi in found.remarks:
        lines.append(f"impacts          {found.remarks[found.poi]}")
    for name in [n for n in found.remarks if n != found.poi][:_REMARKS]:
        lines.append(f"impacts          {name} {found.remarks[name]}.")
    if (rest := len(found.remarks) - _REMARKS) > 0:
        lines.append(f"                 and {rest} more remarks; result.json has all (--out).")
    return "\n".join(lines)


#: So many remarks are printed.
_REMARKS = 3


def _scale(found: Impacts) -> tuple[float, str]:
    """The power of ten that shifts are given in, and its name, empty for 1."""
    size = found.hessian if found.hessian > 0 else float(np.nanmax(np.abs(found.post_up)))
    if not (np.isfinite(size) and size > 0):
        return 1.0, ""
    power = int(np.floor(np.log10(size)))
    return (1.0, "") if -2 <= power <= 2 else (10.0**power, f"1e{power:+03d}")


def _text(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "-"
