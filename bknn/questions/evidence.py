"""What `bknn evidence` says and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bknn.inference.evidences.comparison import Comparison
from bknn.questions.shared.content import estimate_json, priors_json
from bknn.questions.shared.heading import heading, wrapped
from bknn.questions.shared.numbers import in_digits, number
from bknn.questions.shared.provenance import provenance
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis


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
