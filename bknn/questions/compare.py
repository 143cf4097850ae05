"""`bknn compare`: predictions of several scenarios that fit the same data."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bknn import precision
from bknn.answers.digits import asymmetric, ends, in_digits
from bknn.questions.shared import build, output, progress
from bknn.questions.shared.content import content
from bknn.questions.shared.heading import heading, parameters_table
from bknn.questions.shared.kinds import Numbers, Reals, Texts
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import OfData, Question, option, seed_option
from bknn.storage.machine import versions
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.inference.fits.result import FitResult
    from bknn.studies.observables.predictions import Predictions
    from bknn.studies.observables.quantities import Quantity

SOURCES = ("profile", "hessian", "posterior")


@dataclass(frozen=True, kw_only=True)
class FromFits(Question):
    """How predictions come out of a fit."""

    source: str | None = option(
        "how uncertainties come out of the fit: 'profile' of the likelihood, its 'hessian', or "
        "draws of the 'posterior'",
        None,
        flag="--from",
        choices=SOURCES,
        keyword="",
    )
    around: Reals = option(
        "bins mass^2 -+ W GeV^2, wherever the fit puts the mass of a single particle",
        (),
        metavar="W",
    )
    seed: int = seed_option("the draws of a posterior")


@dataclass(frozen=True, kw_only=True)
class Asked(FromFits, OfData):
    """What may be asked of a comparison."""

    name = "compare"
    summary = "predictions of several scenarios that fit the same data"
    description = (
        "Fit scenarios to the same data, and predict B -> K*, Bs -> phi and Bs -> invisible from "
        "each, side by side: what would tell them apart."
    )
    examples = """\
bknn compare vector:C_V_L vector:h_V --fix mass=2.1
bknn compare vector:C_V_L vector:C_T_L scalar:C_S_R fermion-pair:C_V_LR --out scenarios/ \\
    --data belle2-2025 babar-2013 aleph-bs-invisible
bknn compare vector:C_V_L vector:h_V,h_A --around 1 --from profile --fix mass=2.1
"""

    scenarios: Texts = option(
        "a model and its couplings that float, all others 0; the basis is the one that has them",
        metavar="MODEL:COUPLINGS",
        positional=True,
    )
    fix: Numbers = option(
        "parameters that are kept, in the models that have them", {}, keyword="fixed"
    )

    def plan(self, desk: Desk) -> Plan:
        precision.prepare()
        from bknn.studies.compare import asked

        measurements = build.measurements(self)
        made = asked(self.scenarios, measurements, self.fix)
        for analysis, held in made.values():
            build.look(analysis, held)
        content = build.of_several({text: analysis for text, (analysis, _) in made.items()})
        does = {"fits": len(made), "predictions": 5 * len(made)}
        files = ("predictions.nc", "spectra.nc")[: 2 if desk.figures else 1]
        return Plan(measurements, content, does, files)

    def answer(self, desk: Desk) -> int:
        """Fit scenarios, predict, print, write."""
        from bknn.studies.compare import compare

        measurements = self.planned(desk).made
        out = desk.folder()
        source = self.source or "hessian"
        with progress.bar("predictions", None, "intervals") as done:
            found = compare(
                self.scenarios,
                measurements,
                fixed=self.fix,
                method=source,
                around=self.around,
                seed=self.seed,
                progress=done,
            )
        print(comparison_table(found.fits, found.predictions, found.standard_model))
        if out is not None:
            from bknn.studies.observables.spectra import fitted_spectra

            print()
            output.write(
                out,
                comparison_json(
                    found.fits,
                    found.predictions,
                    found.standard_model,
                    settings={**self.record(), "source": source},
                ),
                {
                    "predictions": found,
                    "spectra": fitted_spectra(found.fits) if desk.figures else None,
                },
                desk.figures,
            )
        return verdict(found.fits)


def verdict(fits: Mapping[str, FitResult]) -> int:
    """Say which fits did not converge; return the exit code."""
    bad = [text for text, best in fits.items() if not bool(best.converged)]
    for text in bad:
        print(f"bknn: {text}: {fits[text].status}", file=sys.stderr)
    return 1 if bad else 0


# What is said and written ---------------------------------------------------------------------


#: How the ranges were found, in words.
METHODS = {
    "profile": "profile of the likelihood, all parameters fitted again",
    "hessian": "covariance of the fit, propagated linearly",
    "posterior": "draws of the posterior: medians, shortest intervals",
}


def measured_json(
    best: FitResult, found: Predictions, *, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `result.json` for predictions from a fit; `docs/result.md`."""
    more = {"method": found.method, "predictions": _rows(found)}
    return content(best, "predict", settings, more)


def comparison_json(
    fits: Mapping[str, FitResult],
    found: Mapping[str, Predictions],
    null: FitResult | None,
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for scenarios; `docs/result.md` describes it."""
    scenarios = {}
    for text, best in fits.items():
        one = content(best, "compare", settings, {})
        kept = {k: v for k, v in one.items() if k not in ("command", "provenance")}
        own = {"method": found[text].method, "predictions": _rows(found[text])}
        scenarios[text] = {**kept, **own, "provenance": one["provenance"]}
    return {
        "command": "compare",
        "twice_nll_standard_model": None if null is None else number(float(null.twice_nll)),
        "scenarios": scenarios,
        "provenance": {**versions(), "settings": dict(settings)},
    }


def _rows(found: Predictions) -> list[dict[str, Any]]:
    rows = []
    for i, q in enumerate(found.quantities):
        q2 = q.q2 if isinstance(q.q2, tuple) or q.q2 is None else (q.q2, q.q2)
        ranges = {
            str(round(100 * level)): [number(x) for x in all_ranges[i]]
            for level, all_ranges in found.ranges.items()
        }
        rows.append(
            {
                "observable": q.observable,
                "channel": None if q.is_derived else q.channel,
                "q2": None if q2 is None else list(q2),
                "around": q.around,
                "part": q.part,
                "value": number(found.values[i]),
                "uncertainty": number(found.uncertainties[i]),
                **ranges,
                "remark": found.remarks[i],
            }
        )
    return rows


def measured_table(best: FitResult, found: Predictions) -> str:
    """Return the table that `bknn predict --fit` prints."""
    rows = []
    for i, q in enumerate(found.quantities):
        value, error = in_digits(found.values[i], found.uncertainties[i])
        spans = [ends(x[i].low, x[i].high, found.uncertainties[i]) for x in found.ranges.values()]
        place = ("", "") if q.is_derived else (q.channel, q.where)
        rows.append((q.what, *place, value, error, *spans))
    levels = [f"{100 * level:.3g}%" for level in found.ranges]
    head = ("observable", "channel", "q2 / GeV^2", "value", "uncertainty", *levels)
    lines = [*heading(best.target), "", parameters_table(best), "", table(head, rows), ""]
    lines.append(f"ranges           {METHODS[found.method]}")
    for q, remark in zip(found.quantities, found.remarks, strict=True):
        if remark:
            lines.append(f"{'':<17}{q}: {remark}")
    lines.append(f"fit              {best.status}")
    return "\n".join(lines)


def comparison_table(
    fits: Mapping[str, FitResult], found: Mapping[str, Predictions], null: FitResult | None
) -> str:
    """Return the table that `bknn compare` prints: one scenario a row."""
    first = next(iter(fits.values()))
    every = tuple(dict.fromkeys(q for one in found.values() for q in one.quantities))
    rows = []
    for text, best in fits.items():
        one = found[text]
        row = [text, _parameters(best)]
        if null is not None:
            row.append(f"{float(best.twice_nll) - float(null.twice_nll):.2f}")
        for q in every:
            row.append(_cell(one, q) if q in one.quantities else "-")
        rows.append(tuple(row))
    head = ["scenario", "best fit", *(["-2 ln(L/L_SM)"] * (null is not None))]
    head += [_short(q) for q in every]
    lines = [line for line in heading(first.target) if line.startswith("data:")]
    lines += ["", table(head, rows), ""]
    lines.append("branching fractions in 1e-6, with 68% ranges")
    lines.append("kept             couplings that are not named at 0")
    for text, best in fits.items():
        if held := ", ".join(f"{n} = {x:g}" for n, x in best.target.constants.items() if x):
            lines.append(f"{'':<17}{text}: {held}")
    lines.append(f"ranges           {METHODS[next(iter(found.values())).method]}")
    for text, one in found.items():
        for q, remark in zip(one.quantities, one.remarks, strict=True):
            if remark:
                lines.append(f"{'':<17}{text}: {q}: {remark}")
    for text, best in fits.items():
        lines.append(f"fit              {text}: {best.status}")
    return "\n".join(lines)


def _parameters(best: FitResult) -> str:
    own = [
        (p.name, float(best.vector[i]))
        for i, p in enumerate(best.target.parameters)
        if not (p.nuisance or p.constraint is not None) and best.vector[i] != 0
    ]
    return ", ".join(f"{name} = {x:.3g}" for name, x in own)


def _short(q: Quantity) -> str:
    if q.is_derived:
        return q.observable
    symbol = {"branching_ratio": "BR", "f_l": "F_L"}.get(q.observable, q.observable)
    where = "" if q.where == "all" else f" {q.where}"
    return f"{symbol}({q.channel}){where}"


def _cell(found: Predictions, q: Quantity) -> str:
    i = found.index(q)
    scale = 1e6 if q.observable == "branching_ratio" else 1.0
    value = scale * found.values[i]
    low, high = (scale * x for x in next(iter(found.ranges.values()))[i])
    if not value:
        return "0"
    if not math.isfinite(low) or not math.isfinite(high):
        return f"{value:.3g} ({'-inf' if math.isinf(low) else f'{low:.3g}'} ... {high:.3g})"
    return asymmetric(value, low, high)
