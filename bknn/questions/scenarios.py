"""`bknn scenarios`: which kind of new physics describes the data, each over its mass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bknn import precision
from bknn.answers.digits import asymmetric
from bknn.questions.shared import build, output, progress
from bknn.questions.shared.heading import wrapped
from bknn.questions.shared.kinds import Texts
from bknn.questions.shared.numbers import nested, number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.provenance import provenance
from bknn.questions.shared.question import OfData, OfTheory, option
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.studies.scenarios import ScenarioFit, Scenarios


@dataclass(frozen=True, kw_only=True)
class Asked(OfTheory, OfData):
    """What may be asked of scenarios."""

    name = "scenarios"
    summary = "kinds of light new physics side by side, each over the mass of its particle"
    description = (
        "Fit scenarios (a model with one kind of coupling each) at every mass and compare them "
        "with the standard model: -2 ln(L / L_SM) over the mass, best masses."
    )
    examples = """\
bknn scenarios
bknn scenarios --data belle2-2025 babar-2013 belle-2017 aleph-bs-invisible --odd --out results/
bknn scenarios vector-V vector-T scalar --points 100
"""

    scenarios: Texts = option(
        "of `bknn.models.scenarios.SCENARIOS`, or 'all'; by default those of arXiv:2403.13887 "
        "that describe the data better than the standard model rescaled, and that one",
        (),
        metavar="SCENARIO",
        positional=True,
        keyword="",
    )
    odd: bool = option(
        "let their partners of odd parity float too, which B -> K does not see", False
    )
    points: int = option("masses", 80, least=3, keyword="masses")
    largest_mass: float | None = option("end of the grid", None, metavar="GEV", shown="phase space")

    def plan(self, desk: Desk) -> Plan:
        precision.prepare()

        from bknn.analysis.analysis import Analysis
        from bknn.models import load
        from bknn.models.scenarios import SCENARIOS, VIABLE, scenario

        names = tuple(SCENARIOS) if self.scenarios == ("all",) else self.scenarios or VIABLE
        with_mass = [scenario(name) for name in names if scenario(name).mass]
        measurements = build.measurements(self)
        models = {s.model: load(s.model, **self.theory) for s in map(scenario, names)}
        made = {name: Analysis(one, measurements) for name, one in models.items()}
        does = {"fits": 2 * len(names), "points": self.points * len(with_mass)}
        return Plan(
            (measurements, names, len(with_mass)), build.of_several(made), does, ("scenarios.nc",)
        )

    def answer(self, desk: Desk) -> int:
        """Fit, print, write."""
        from bknn.studies.scenarios import scenarios

        measurements, names, with_mass = self.planned(desk).made
        out = desk.folder()
        with progress.bar("scenarios", self.points * with_mass, "masses") as done:
            found = scenarios(
                measurements,
                names,
                masses=self.points,
                largest_mass=self.largest_mass,
                odd=self.odd,
                progress=done,
                **self.theory,
            )
        print(scenarios_table(found))
        if out is not None:
            answers = {"scenarios": found}

            output.write(
                out,
                scenarios_json(found, settings={**self.record(), "scenarios": list(names)}),
                answers,
                desk.figures,
            )
        return 0


# What is said and written ---------------------------------------------------------------------


def scenarios_json(found: Scenarios, *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `result.json` for scenarios; `docs/result.md` describes it."""
    from bknn.studies.scenarios import RESCALED

    return {
        "command": "scenarios",
        "data": [m.name for m in found.measurements],
        "scenarios": {name: _numbers(fit) for name, fit in found.fits.items()},
        "viable": list(found.viable) if RESCALED in found.fits else None,
        "provenance": provenance(next(iter(found.fits.values())).analysis, settings),
    }


def _numbers(fit: ScenarioFit) -> dict[str, Any]:
    result: dict[str, Any] = {
        "model": fit.scenario.model,
        "couplings": {name: number(float(fit.best.params[name])) for name in fit.couplings},
        "delta": number(fit.delta),
        "local_significance": number(fit.significance),
        "twice_nll": number(float(fit.best.twice_nll)),
        "twice_nll_standard_model": number(float(fit.standard_model.twice_nll)),
        "status": fit.best.status,
    }
    if fit.curve is not None and fit.interval is not None:
        result["mass"] = {
            "value": number(float(fit.best.params["mass"])),
            "low": number(fit.interval.low),
            "high": number(fit.interval.high),
            "status": fit.interval.status,
        }
        result["curve"] = {"mass": nested(fit.curve.axes[0]), "delta": nested(fit.deltas)}
    return result


def scenarios_table(found: Scenarios) -> str:
    """Return the table that `bknn scenarios` prints, the best description first."""
    from bknn.studies.scenarios import RESCALED

    reference = found.fits[RESCALED].delta if RESCALED in found.fits else None
    rows = []
    for name, fit in sorted(found.fits.items(), key=lambda item: item[1].delta):
        mass = "-"
        if fit.interval is not None:
            x = fit.interval
            mass = asymmetric(x.value, x.low, x.high)
        rows.append(
            (
                name,
                mass,
                ", ".join(f"{c} = {float(fit.best.params[c]):.3g}" for c in fit.couplings),
                f"{fit.delta:.2f}",
                "" if reference is None else f"{fit.delta - reference:+.2f}",
                f"{fit.significance:.2f}",
            )
        )
    head = ("scenario", "mass [GeV]", "couplings", "-2 ln(L/L_SM)", "- rescaled", "local sigma")
    lines = [
        f"data: {', '.join(m.name for m in found.measurements)}",
        "",
        table(head, rows),
        "",
        *wrapped(
            "meaning",
            "local sigma is sqrt of the difference to the standard model, as for one parameter; "
            "the mass was looked for, so that the global one is less (bknn significance).",
        ),
    ]
    for name, fit in found.fits.items():
        if fit.curve is not None and not fit.curve.converged.all():
            lines += wrapped(name, fit.curve.status)
    return "\n".join(lines)
