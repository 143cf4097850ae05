"""The figures of a result, whichever it is, be it read from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

from matplotlib.figure import Figure

from bknn import errors
from bknn.plot.fits import all_of_a_fit
from bknn.plot.fits.ranking import ranking
from bknn.plot.likelihoods import limits as of_limits
from bknn.plot.likelihoods import outlook
from bknn.plot.likelihoods import toys as of_toys
from bknn.plot.likelihoods.exclusions import exclusions
from bknn.plot.likelihoods.profile import contours, profile
from bknn.plot.likelihoods.scenarios import coupling_regions, scenarios
from bknn.plot.observables.comparison import all_planes
from bknn.plot.observables.over_q2 import over_q2
from bknn.plot.observables.prediction import prediction
from bknn.plot.observables.relic import relic
from bknn.plot.observables.vector_widths import vector_widths
from bknn.plot.posteriors import posterior as of_posterior
from bknn.plot.posteriors.evidence import evidence
from bknn.plot.posteriors.marginal import marginal
from bknn.plot.posteriors.predictive import predictive
from bknn.plot.posteriors.prior_study import prior_study
from bknn.postfit.postfit import postfit

Figures = dict[str, Figure]
Asked = Mapping[str, Any]


def figures(answer: Any, asked: Asked | None = None) -> Figures:
    """Return {name: figure} of a result; nothing of one of which there is nothing to see.

    Args:
        answer: of any question.
        asked: what was asked, as `result.json` records it: `top` of impacts, `over` of limits.

    Raises:
        ParameterError: a result of which there is no figure.
    """
    kind = type(answer).__name__
    if kind not in DRAWN:
        raise errors.ParameterError(
            f"there is no figure of a {kind}; the functions of `bknn.plot` say what they draw."
        )
    return DRAWN[kind](answer, asked or {})


def _profile(answer: Any, asked: Asked) -> Figures:
    if len(answer.parameters) < 3:
        return {"profile": profile(answer)}
    pairs = combinations(answer.parameters, 2)
    return {f"profile_{'_'.join(p)}": profile(answer.minimised(*p)) for p in pairs}


def _limit(answer: Any, asked: Asked) -> Figures:
    if len(answer.observed) > 1:
        logarithmic = any(str(x).endswith(":log") for x in (asked.get("over") or {}).values())
        some = answer.converged.any()
        return {"limit": of_limits.limits(answer, log_x=logarithmic)} if some else {}
    toys = bool(answer.scans) and answer.scans[0] is not None
    return {"scan": of_limits.scan(answer)} if toys else {}


def _significance(answer: Any, asked: Asked) -> Figures:
    return {} if answer.toys is None else {"significance": of_toys.significance(answer)}


#: {kind of result: what draws it}.
DRAWN: dict[str, Callable[[Any, Asked], Figures]] = {
    "Comparison": lambda x, _: {"evidence": evidence(x)},
    "Compared": lambda x, _: all_planes(x.predictions, x.predicted_null),
    "Contours": lambda x, _: {"contours": contours(x)},
    "Exclusions": lambda x, _: {"exclusions": exclusions(x)},
    "FeldmanCousins": lambda x, _: {"feldman_cousins": of_limits.acceptance(x)},
    "FitResult": lambda x, _: all_of_a_fit.all_figures(postfit(x)),
    "FittedSpectra": lambda x, _: {"over_q2": over_q2(x)},
    "GoodnessOfFit": lambda x, _: {"goodness_of_fit": of_toys.goodness_of_fit(x)},
    "Impacts": lambda x, asked: {"ranking": ranking(x, int(asked.get("top", 20)))},
    "Limit": _limit,
    "Marginal": lambda x, _: {"marginal": marginal(x)},
    "Outlook": lambda x, _: outlook.all_figures(x),
    "Posterior": lambda x, _: of_posterior.all_figures(x),
    "Postfit": lambda x, _: all_of_a_fit.all_figures(x),
    "PredictedSpectra": lambda x, _: {x.stem: prediction(x)},
    "Predictions": lambda x, _: all_planes({x.analysis.model.name: x}, x.standard_model),
    "Predictive": lambda x, _: {f"{x.kind}_predictive": predictive(x)},
    "PriorStudy": lambda x, _: {"prior_study": prior_study(x)},
    "Profile": _profile,
    "Regions": lambda x, _: {"regions": coupling_regions(x)},
    "Relic": lambda x, _: {"relic": relic(x)} if len(x.values) > 1 else {},
    "Scenarios": lambda x, _: {"scenarios": scenarios(x)},
    "Significance": _significance,
    "Toys": lambda x, _: {"toys": of_toys.toys(x)},
    "VectorWidths": lambda x, _: {"widths": vector_widths(x)} if len(x.masses) > 1 else {},
}
