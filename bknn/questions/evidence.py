"""`bknn evidence`: how probable the data are under a model, and under what it competes with."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import precision
from bknn.answers.digits import in_digits
from bknn.questions.shared import build, output, progress, resume
from bknn.questions.shared.content import estimate_json, priors_json
from bknn.questions.shared.heading import heading, wrapped
from bknn.questions.shared.kinds import Numbers, Texts
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.provenance import provenance
from bknn.questions.shared.question import OfAnalysis, OfPriors, fix_option, option, seed_option
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.inference.evidences.comparison import Comparison
    from bknn.studies.hypotheses import Hypothesis


@dataclass(frozen=True, kw_only=True)
class Asked(OfPriors, OfAnalysis):
    """What may be asked of an evidence."""

    name = "evidence"
    summary = "evidences and Bayes factors"
    description = (
        "The evidence of a model (the probability of the data, averaged over the priors), of the "
        "standard model with its rate free and constrained, and of no signal at all; and their "
        "Bayes factors."
    )
    examples = """\
bknn evidence resonance --fix width=0.1 --prior "mass=uniform(1.5, 3.0)" \\
    "branching_ratio=uniform(0, 24e-6)" --out results/
bknn evidence resonance background
bknn evidence resonance scalar-pair wet
bknn evidence resonance free-sm --prior "mu=uniform(0, 10)"
"""
    resumes = True

    against: Texts = option(
        "other models, or 'free-sm', 'constrained-sm', 'background'",
        (),
        metavar="OTHER",
        shown="these three",
        positional=True,
        keyword="",
    )
    fix: Numbers = fix_option()
    chains: int = option("how many", 4, least=1)
    draws: int = option("of each chain and hypothesis; more of them, smaller errors", 1000, least=4)
    seed: int = seed_option("the draws")

    def plan(self, desk: Desk) -> Plan:
        precision.prepare()
        from bknn.studies.hypotheses import hypotheses

        model = build.model(self)
        asked = hypotheses(
            model,
            build.measurements(self, model),
            self.against,
            fixed=self.fix,
            priors=build.priors(self.prior, desk),
            free=self.free,
            bounds=self.bounds,
            response=self.response,
        )
        for one in asked:
            build.look(one.analysis, one.fixed)
        draws = len(asked) * self.chains * self.draws
        content = build.of_several({one.name: one.analysis for one in asked})
        return Plan(asked, content, {"draws": draws}, ("evidence.nc",))

    def answer(self, desk: Desk) -> int:
        """Compute, print, write."""
        from bknn.studies.hypotheses import evidences

        asked = self.planned(desk).made
        record = {**self.record(), "against": [h.name for h in asked[1:]]}
        out = desk.folder()
        with resume.kept(desk, self.planned(desk).content, record, out) as work:
            with progress.bar("evidences", unit="draws") as done:
                found = evidences(
                    asked,
                    chains=self.chains,
                    draws=self.draws,
                    seed=self.seed,
                    store=work,
                    progress=done,
                )
            # What is done is kept until this is written.
            return tell(found, asked, out, record, figures=desk.figures)


def tell(
    found: Comparison,
    asked: Sequence[Hypothesis],
    out: Path | None,
    record: Mapping[str, Any],
    *,
    figures: bool = True,
) -> int:
    """Print what was found, write it, and return the exit code: 1 if it is not to be believed."""
    analysis = asked[0].analysis
    meanings = {h.name: h.meaning for h in asked}
    print(evidence_table(found, meanings, analysis))
    if out is not None:
        output.write(
            out,
            evidence_json(found, meanings, analysis, settings=record),
            {"evidence": found},
            figures,
        )
    if not found.converged:
        print(
            "bknn: the methods do not agree on an evidence; do not use it (see 'evidence' above).",
            file=sys.stderr,
        )
        return 1
    return 0


# What is said and written ---------------------------------------------------------------------


def evidence_json(
    found: Comparison,
    meanings: Mapping[str, str],
    analysis: Analysis,
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for evidences; `docs/result.md` describes it.

    Args:
        found: the hypotheses.
        meanings: {hypothesis: what it says, in words}.
        analysis: of the model in question.
        settings: options of the command, as given.
    """
    return {
        "command": "evidence",
        "model": analysis.model.name,
        "data": [m.name for m in analysis.measurements],
        "priors": priors_json(analysis),
        "evidence": {
            "log_evidence": {
                name: {
                    **estimate_json(x),
                    "converged": bool(x.converged),
                    "status": x.status,
                    "estimates": [estimate_json(y) for y in x.estimates],
                    "hypothesis": meanings[name],
                }
                for name, x in found.evidences.items()
            },
            "log10_bayes_factor": {
                name: {"value": number(x.log10), "error": number(x.error), "converged": x.converged}
                for name, x in found.bayes_factors.items()
            },
            "status": found.status,
        },
        "provenance": provenance(analysis, settings),
    }


def evidence_table(found: Comparison, meanings: Mapping[str, str], analysis: Analysis) -> str:
    """Return the table that `bknn evidence` prints."""
    lines = [*heading(analysis), ""]
    rows = []
    for name, x in found.evidences.items():
        for k, y in enumerate(sorted(x.estimates, key=lambda y: y.method != x.method)):
            value, error = in_digits(float(y.value), float(y.error))
            rows.append((name if k == 0 else "", value, error or "-", y.method))
    lines += [table(("hypothesis", "log evidence", "error", "method"), rows), ""]
    for name, text in meanings.items():
        lines += wrapped(name, text)
    factors = [
        (name, *in_digits(x.log10, x.error), "" if x.converged else "methods differ")
        for name, x in found.bayes_factors.items()
    ]
    if factors:
        head = ("Bayes factor", "log10", "error", "")
        lines += ["", table(head, factors)]
    lines += ["", *wrapped("evidence", found.status)]
    return "\n".join(lines)
