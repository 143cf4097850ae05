"""The figures of a result, whichever it is, be it read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from matplotlib.figure import Figure

from bknn import errors
from bknn.plot.fits import all_of_a_fit
from bknn.plot.fits.ranking import ranking
from bknn.plot.likelihoods import limits as of_limits
from bknn.plot.likelihoods import outlook
from bknn.plot.likelihoods import toys as of_toys
from bknn.plot.likelihoods.profile import contours, profile
from bknn.plot.likelihoods.scenarios import coupling_regions, scenarios
from bknn.plot.observables.comparison import all_planes
from bknn.plot.observables.over_q2 import over_q2
from bknn.plot.observables.prediction import prediction
from bknn.plot.posteriors import posterior as of_posterior
from bknn.plot.posteriors.evidence import evidence
from bknn.plot.posteriors.marginal import marginal
from bknn.plot.posteriors.predictive import predictive
from bknn.postfit.postfit import postfit


def figures(answer: Any, asked: Mapping[str, Any] | None = None) -> dict[str, Figure]:
    """Return {name: figure} of a result; nothing of one of which there is nothing to see.

    Args:
        answer: of any question.
        asked: what was asked, as `result.json` records it: `top` of impacts, `over` of limits.

    Raises:
        ParameterError: a result of another kind.
    """
    asked = asked or {}
    match type(answer).__name__:
        case "Postfit":
            return all_of_a_fit.all_figures(answer)
        case "FitResult":
            return all_of_a_fit.all_figures(postfit(answer))
        case "Posterior":
            return of_posterior.all_figures(answer)
        case "Predictive":
            return {f"{answer.kind}_predictive": predictive(answer)}
        case "Contours":
            return {"contours": contours(answer)}
        case "Profile" if len(answer.parameters) == 3:
            pairs = combinations(answer.parameters, 2)
            return {f"profile_{'_'.join(p)}": profile(answer.minimised(*p)) for p in pairs}
        case "Profile":
            return {"profile": profile(answer)}
        case "Limit" if len(answer.observed) > 1:
            logarithmic = any(str(x).endswith(":log") for x in (asked.get("over") or {}).values())
            some = answer.converged.any()
            return {"limit": of_limits.limits(answer, log_x=logarithmic)} if some else {}
        case "Limit":
            toys = bool(answer.scans) and answer.scans[0] is not None
            return {"scan": of_limits.scan(answer)} if toys else {}
        case "FeldmanCousins":
            return {"feldman_cousins": of_limits.acceptance(answer)}
        case "Significance":
            return {} if answer.toys is None else {"significance": of_toys.significance(answer)}
        case "Toys":
            return {"toys": of_toys.toys(answer)}
        case "GoodnessOfFit":
            return {"goodness_of_fit": of_toys.goodness_of_fit(answer)}
        case "Impacts":
            return {"ranking": ranking(answer, int(asked.get("top", 20)))}
        case "Scenarios":
            return {"scenarios": scenarios(answer)}
        case "Regions":
            return {"regions": coupling_regions(answer)}
        case "Comparison":
            return {"evidence": evidence(answer)}
        case "Outlook":
            return outlook.all_figures(answer)
        case "Predictions":
            return all_planes({answer.analysis.model.name: answer}, answer.standard_model)
        case "Compared":
            return all_planes(answer.predictions, answer.predicted_null)
        case "FittedSpectra":
            return {"over_q2": over_q2(answer)}
        case "PredictedSpectra":
            return {answer.stem: prediction(answer)}
        case "Marginal":
            return {"marginal": marginal(answer)}
    raise errors.ParameterError(
        f"there is no figure of a {type(answer).__name__}; the functions of `bknn.plot` say what "
        "they draw."
    )
