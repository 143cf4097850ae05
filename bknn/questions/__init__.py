"""Questions: one file each, with what may be asked (`Asked`), the answer, what is said and written.

`shared` has what several of them need; `QUESTIONS` has them all, by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from bknn.questions import (
    compare,
    evidence,
    fit,
    impacts,
    limit,
    predict,
    prior_study,
    profile,
    project,
    regions,
    sample,
    scenarios,
    significance,
    toys,
)
from bknn.questions.constraints import exclusions, relic
from bknn.questions.shared.question import Question

#: {name: question}, in the order of the help page and of the documentation.
QUESTIONS: Mapping[str, type[Question]] = {
    one.name: one
    for one in (
        fit.Asked, profile.Asked, limit.Asked, significance.Asked, toys.Asked, impacts.Asked,
        sample.Asked, prior_study.Asked, evidence.Asked, predict.Asked, compare.Asked,
        scenarios.Asked, regions.Asked, exclusions.Asked, relic.Asked,
        project.Asked,
    )
}  # fmt: skip
