"""`bknn prior-study`: the posterior with other priors, by weights where those will do."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bknn.answers.digits import in_digits, short
from bknn.questions.sample import OfChains
from bknn.questions.shared import build, output, progress
from bknn.questions.shared.heading import heading
from bknn.questions.shared.kinds import Alternatives
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.provenance import provenance
from bknn.questions.shared.question import option
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.studies.prior_study import Studied


@dataclass(frozen=True, kw_only=True)
class Asked(OfChains):
    """What may be asked of a study of priors."""

    name = "prior_study"
    summary = "the posterior with other priors, too"
    description = (
        "Draw from the posterior, and look at what other priors make of it: by weights of the "
        "same draws where those will do, by chains of their own elsewhere."
    )
    examples = """\
bknn prior-study resonance --alternative "wide:mass=uniform(0, 4.78)"
bknn prior-study signal-strength --alternative "narrow:mu=normal(1, 0.1)" \\
    "wide:mu=uniform(0, 20)" --draws 2000 --out results/
"""

    alternatives: Alternatives = option(
        "other priors; those with the same word belong together", flag="--alternative"
    )

    def plan(self, desk: Desk) -> Plan:
        named = dict.fromkeys(name for table in self.alternatives.values() for name in table)
        analysis = build.analysis(self, desk, [*self.fix, *named])
        tables = {label: build.priors(t, desk) for label, t in self.alternatives.items()}
        build.look(analysis, self.fix)
        content = dict(parts(analysis))
        for label, others in tables.items():
            content[f"priors {label}"] = parts(analysis.with_priors(others))["priors"]
        return Plan(
            (analysis, tables),
            content,
            {"draws": self.chains * (self.draws or 1000)},
            ("prior_study.nc",),
        )

    def answer(self, desk: Desk) -> int:
        """Sample with the priors that were given, then look at the others; print, write."""
        analysis, tables = self.planned(desk).made
        out = desk.folder()

        from bknn.studies.prior_study import prior_study

        with progress.bar("sampling", None, "draws") as done:
            found = prior_study(
                analysis,
                tables,
                fixed=self.fix,
                **self.of_chains,
                store=desk.work,
                progress=done,
            )
        print(prior_study_table(found.studied))
        if out is not None:
            output.write(
                out,
                prior_study_json(found.studied, settings=self.record()),
                {"prior_study": found},
                desk.figures,
            )
        return 0 if found.converged else 1


# What is said and written ---------------------------------------------------------------------


def prior_study_json(
    found: Mapping[str, Studied], *, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `result.json` for a prior study; `docs/result.md` describes it."""
    analysis = next(iter(found.values())).posterior.analysis
    return {
        "command": "prior_study",
        "model": analysis.model.name,
        "data": [m.name for m in analysis.measurements],
        "prior_study": {label: _json(x) for label, x in found.items()},
        "provenance": provenance(analysis, settings),
    }


def _json(x: Studied) -> dict[str, Any]:
    weights = x.weights
    return {
        "priors": x.priors,
        "method": "draws" if weights is None else "weights",
        "effective": None if weights is None else number(weights.effective),
        "log_ratio": None
        if x.log_ratio is None
        else {"value": number(x.log_ratio.value), "error": number(x.log_ratio.error)},
        "converged": x.converged,
        "status": x.status,
        "posterior": {
            name: {
                key: [number(y) for y in value] if isinstance(value, list) else number(value)
                for key, value in x.summary(name).items()
            }
            for name in x.posterior.own
        },
    }


def prior_study_table(found: Mapping[str, Studied]) -> str:
    """Return the table that a prior study prints."""
    first = next(iter(found.values())).posterior
    units = {p.name: p.unit for p in first.analysis.parameters}
    lines = [*heading(first.analysis), ""]
    for name in first.own:
        rows = []
        for label, x in found.items():
            s = x.summary(name)
            ends = [f"{short(s[key][0])} ... {short(s[key][1])}" for key in ("hdi_68", "hdi_95")]
            how = "draws" if x.weights is None else f"weights, {x.weights.effective:.0f} effective"
            rows.append((label, x.priors[name], short(s["mean"]), short(s["median"]), *ends, how))
        unit = f" / {units[name]}" if units.get(name) else ""
        head = (f"{name}{unit}", "prior", "mean", "median", "68%", "95%", "by")
        lines += [table(head, rows), ""]
    factors = [
        (f"{label}/{next(iter(found))}", *in_digits(factor.log10, factor.error))
        for label, x in found.items()
        if (factor := x.bayes_factor) is not None
    ]
    if factors:
        lines += [table(("Bayes factor", "log10", "error"), factors), ""]
    for label, x in found.items():
        lines += textwrap.wrap(
            f"{label:<16} {x.status}", 95, subsequent_indent=" " * 17, break_long_words=False
        )
    return "\n".join(lines)
