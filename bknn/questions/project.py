"""`bknn project`: how far data to come would tell scenarios apart, and which would most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors, precision
from bknn.answers.digits import with_error
from bknn.questions.shared import build, output, progress
from bknn.questions.shared.heading import wrapped
from bknn.questions.shared.kinds import Reals, Texts
from bknn.questions.shared.numbers import nested, number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.provenance import provenance
from bknn.questions.shared.question import OfData, OfTheory, Option, option, seed_option
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.studies.outlook import Outlook
    from bknn.studies.power import Separation


@dataclass(frozen=True, kw_only=True)
class Asked(OfTheory, OfData):
    """What may be asked of projections."""

    name = "project"
    summary = "how well data to come will tell scenarios apart, and what to measure next"
    description = (
        "Project the measurements of Belle II to other luminosities; say with which significance "
        "each scenario is excluded if another one is true, with which luminosity, and how much "
        "measurements to come would tell. docs/projections.md has the rules."
    )
    examples = """\
bknn project
bknn project scalar vector-V --luminosity 1 5 10 50 --out results/
bknn project scalar vector-V --with "BR(B0 -> K*0)" "F_L(B0 -> K*0)"
bknn project sm-rescaled scalar --luminosity 1 5 --check scalar:sm-rescaled --toys 300
"""

    scenarios: Texts = option(
        "names of `bknn list scenarios`",
        (),
        metavar="SCENARIO",
        shown="sm-rescaled scalar vector-V scalar-pair-S fermion-pair-V",
        positional=True,
        keyword="",
    )
    luminosity: Reals = option(
        "in 1/ab",
        (1.0, 5.0, 10.0, 50.0),
        metavar="L",
        shown="1 5 10 50",
        keyword="luminosities",
    )
    systematics: str = option(
        "'constant', 'statistical' or 'all': which uncertainties shrink",
        "statistical",
        metavar="RULE",
    )
    expected: Texts = option(
        "results that Belle II expects (`bknn list expected`), beside the data",
        (),
        metavar="RESULT",
        flag="--with",
    )
    simulated: bool = option(
        "backgrounds as simulated, not as they fit the data of today", False, keyword=""
    )
    worth_at: float = option(
        "luminosity in 1/ab at which the worth of measurements is computed; 0 leaves it out",
        10.0,
        metavar="L",
        shown="10",
        keyword="",
    )
    checks: Texts = option(
        "entries of the matrix of the first luminosity that toys shall check",
        (),
        metavar="TRUE:TESTED",
        flag="--check",
        keyword="",
    )
    toys: int = option("of each check", 200, least=2, keyword="")
    seed: int = seed_option("draws and toys")

    def check(self, label: Callable[[Option], str]) -> None:
        super().check(label)
        if bad := [x for x in self.luminosity if not x > 0]:
            raise errors.ParameterError(
                f"{self.called('luminosity', label)} {bad[0]:g}: give positive numbers in 1/ab."
            )

    def plan(self, desk: Desk) -> Plan:
        precision.prepare()

        from bknn.studies.outlook import NAMES, SM, asked

        names = self.scenarios or NAMES
        pairs = [_pair(text, (SM, *names)) for text in self.checks]
        measurements = build.measurements(self)
        made = asked(measurements, names, self.systematics, self.expected, self.theory)
        steps = (len(set(self.luminosity)) + 1 + bool(self.worth_at)) * len(made)
        does = {"projections": steps, "toys": 4 * self.toys * len(pairs)}
        return Plan((measurements, names, pairs), build.of_several(made), does, ("projections.nc",))

    def answer(self, desk: Desk) -> int:
        """Project, fit, print, write."""
        from bknn.studies.outlook import outlook
        from bknn.studies.power import separation

        measurements, names, pairs = self.planned(desk).made
        out = desk.folder()
        with progress.bar("projections", None, "models") as done:
            found = outlook(
                measurements,
                names,
                luminosities=self.luminosity,
                systematics=self.systematics,
                expected=self.expected,
                fitted=not self.simulated,
                worth_at=self.worth_at or None,
                seed=self.seed,
                progress=done,
                **self.theory,
            )
        first = {h.name: h for h in found.hypotheses[0]}
        checks = {
            (true, tested): separation(first[true], first[tested], self.toys, seed=self.seed)
            for true, tested in pairs
        }
        print(outlook_table(found, checks))
        if out is not None:
            print()
            settings = {**self.record(), "scenarios": list(names)}
            output.write(
                out,
                outlook_json(found, checks, settings=settings),
                {"projections": found},
                desk.figures,
            )
        return 0 if found.converged else 1


def _pair(text: str, known: tuple[str, ...]) -> tuple[str, str]:
    true, colon, tested = text.partition(":")
    if not colon:
        raise errors.ParameterError(
            f"--check {text!r} is not of the form TRUE:TESTED; for example scalar:sm-rescaled."
        )
    for name in (true, tested):
        if name not in known:
            raise errors.unknown("scenario", name, known, "this command")
    return true, tested


# What is said and written ---------------------------------------------------------------------


#: Significances whose luminosity is told.
SIGMAS = (3.0, 5.0)


def outlook_json(
    found: Outlook,
    checks: Mapping[tuple[str, str], Separation] | None = None,
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for projections; `docs/result.md` describes it."""
    worth: dict[str, Any] | None = None
    if found.worth:
        worth = {
            "luminosity": number(found.worth_at),
            "largest": number(np.log(len(found.today))),
            "measurements": [
                {
                    "name": w.name,
                    "scenario": number(w.models.value),
                    "scenario_error": number(w.models.error),
                    "parameters": {n: number(x) for n, x in w.parameters.items()},
                }
                for w in found.worth
            ],
            "precision": {
                name: {"sigma": nested(sigma), "scenario": nested(told)}
                for name, (sigma, told) in found.precision.items()
            },
        }
    return {
        "command": "project",
        "data": [m.name for m in found.measurements],
        "scenarios": list(found.names),
        "truths": {n: {p: number(x) for p, x in t.items()} for n, t in found.truths.items()},
        "systematics": found.systematics,
        "expected": list(found.expected),
        "luminosities": nested(found.luminosities),
        "z": nested(found.z),
        "delta": nested(found.delta),
        "converged": [p.converged.tolist() for p in found.powers],
        "luminosity_for": {f"{z:g}": nested(_needed(found, z)) for z in SIGMAS},
        "checks": [
            {
                "true": true,
                "tested": tested,
                "delta": number(c.delta),
                "median": number(c.median),
                "p": number(c.fraction.value),
                "p_error": number(c.fraction.error),
                "z_of_spread": number(c.z),
                "toys": len(c.if_true),
            }
            for (true, tested), c in (checks or {}).items()
        ],
        "worth": worth,
        "provenance": provenance(found.hypotheses[0][0].analysis, settings),
    }


def outlook_table(
    found: Outlook, checks: Mapping[tuple[str, str], Separation] | None = None
) -> str:
    """Return what `bknn project` prints."""
    from bknn.derived.luminosity import RULES

    lines = [
        f"data             {', '.join(m.name for m in found.measurements)}",
        *wrapped("systematics", f"{found.systematics}: {RULES[found.systematics]}."),
    ]
    if found.expected:
        lines += wrapped("with", ", ".join(found.expected))
    rows = [
        (name, ", ".join(f"{p} = {x:.4g}" for p, x in truth.items() if x) or "-")
        for name, truth in found.truths.items()
    ]
    lines += ["", table(("scenario", "truth: best fit to today's data"), rows)]
    for x, power in zip(found.luminosities, found.powers, strict=True):
        lines += ["", f"expected exclusion [sigma] at {x:g}/ab (rows: true, columns: tested)", ""]
        lines.append(table(("true", *found.names), _rows(found.names, power.z, "{:.1f}")))
        if not power.converged.all():
            i, j = np.argwhere(~power.converged)[0]
            lines.append(
                f"{int((~power.converged).sum())} fits did not converge, the first is that of "
                f"{found.names[j]} if {found.names[i]} is true."
            )
    if len(found.luminosities) > 1:
        for z in SIGMAS:
            lines += ["", f"integrated luminosity [/ab] for {z:g} sigma", ""]
            needed = _needed(found, z)
            lines.append(table(("true", *found.names), _needed_rows(found, needed)))
    for (true, tested), c in (checks or {}).items():
        lines += ["", *wrapped("toys", f"{tested} if {true} is true: {c!r}")]
    if found.worth:
        lines += ["", f"information from a measurement at {found.worth_at:g}/ab [nats]", ""]
        told = [
            (w.name, with_error(w.models.value, w.models.error), f"{w.mean:.2f}")
            for w in found.worth
        ]
        head = ("measurement", "which scenario", "couplings and mass")
        lines.append(table(head, told))
        lines += wrapped(
            "",
            f"{len(found.today)} scenarios, equally probable: at most "
            f"{np.log(len(found.today)):.3f} nats. The second column is an average over them.",
        )
    return "\n".join(lines)


def _needed(found: Outlook, z: float) -> np.ndarray:
    """Return luminosities (true, tested); NaN where a scenario is not tested on another one."""
    n = len(found.names)
    result = np.full((n, n), np.nan)
    for i, true in enumerate(found.names):
        for j, tested in enumerate(found.names):
            if i != j:
                result[i, j] = found.luminosity_for(z, true, tested)
    return result


def _needed_rows(found: Outlook, needed: np.ndarray) -> list[tuple[str, ...]]:
    """Luminosities outside of those that were computed are inequalities."""
    first, last = found.luminosities[[0, -1]]

    def text(x: float) -> str:
        if np.isnan(x):
            return "-"
        if x < first:
            return f"< {first:g}"
        return f"{x:.2g}" if x <= last else f"> {last:g}"

    return [(name, *(text(x) for x in row)) for name, row in zip(found.names, needed, strict=True)]


def _rows(names: Sequence[str], values: np.ndarray, form: str) -> list[tuple[str, ...]]:
    return [
        (name, *("-" if i == j else form.format(x) for j, x in enumerate(row)))
        for i, (name, row) in enumerate(zip(names, values, strict=True))
    ]
