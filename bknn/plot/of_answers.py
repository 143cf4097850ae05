"""The figures of a result, whichever it is: when it is found, and again from its file."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bknn import errors
from bknn.plot.drawing.files import save
from bknn.plot.fits.ranking import ranking
from bknn.plot.likelihoods import limits as of_limits
from bknn.plot.likelihoods import toys as of_toys
from bknn.plot.likelihoods.profile import contours, profile
from bknn.plot.likelihoods.scenarios import coupling_regions, scenarios
from bknn.plot.posteriors.marginal import marginal


def figures(answer: Any, asked: Mapping[str, Any] | None = None) -> dict[str, Figure]:
    """Return {name: figure} of a result; nothing of one of which there is nothing to see.

    Args:
        answer: a profile, contours, a limit, Feldman-Cousins intervals, a significance, toys, a
            goodness of fit, impacts, scenarios, regions, or a posterior on a grid.
        asked: what was asked, as `result.json` records it: `top` of impacts, `over` of limits.

    Raises:
        ParameterError: a result of another kind.
    """
    asked = asked or {}
    match type(answer).__name__:
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
        case "Marginal":
            return {"marginal": marginal(answer)}
    raise errors.ParameterError(
        f"the figures of a {type(answer).__name__} need the likelihood, or a model; its functions "
        "are in `bknn.plot`."
    )


def save_figures(
    answers: Mapping[str, Any], folder: Path, asked: Mapping[str, Any] | None = None
) -> list[Path]:
    """Draw results and write their figures, as PDF and PNG; return the paths."""
    return [
        path
        for answer in answers.values()
        if answer is not None
        for name, figure in figures(answer, asked).items()
        for path in save(figure, folder / name)
    ]
