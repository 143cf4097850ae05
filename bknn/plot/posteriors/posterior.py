"""All figures of a posterior."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from bknn.inference.posteriors.predictive import Predictive
from bknn.inference.posteriors.reweight import Reweighted
from bknn.plot.drawing.files import save
from bknn.plot.fits.nuisances import constraints
from bknn.plot.posteriors.chains import ranks, trace
from bknn.plot.posteriors.corner import corner
from bknn.plot.posteriors.forest import forest
from bknn.plot.posteriors.predictive import predictive
from bknn.plot.posteriors.prior_posterior import prior_posterior

if TYPE_CHECKING:
    from bknn.inference.posteriors.posterior import Posterior


def posterior_figures(
    posterior: Posterior,
    out_dir: str | os.PathLike[str],
    *,
    predicted: Sequence[Predictive] = (),
    others: Mapping[str, Reweighted] | None = None,
    marks: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Path]:
    """Draw everything that there is to draw of a posterior, and write it.

    Args:
        posterior: from `sample`.
        out_dir: folder for `corner`, `trace`, `prior_posterior` (of the model's own parameters, if
            any floated), `ranks`, `forest` (if anything is constrained), and `prior_predictive` or
            `posterior_predictive`, each as PDF and PNG.
        predicted: from `prior_predictive`, `posterior_predictive`.
        others: {label: posterior with other priors}, drawn into `prior_posterior`.
        marks: points for `corner`, {label: {name: value}}.

    Returns:
        The paths written.
    """
    drawn = all_figures(posterior, others=others, marks=marks)
    drawn |= {f"{found.kind}_predictive": predictive(found) for found in predicted}
    return [p for name, figure in drawn.items() for p in save(figure, Path(out_dir) / name)]


def all_figures(
    posterior: Posterior,
    *,
    others: Mapping[str, Reweighted] | None = None,
    marks: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Figure]:
    """Return {name: figure}; arguments as for `posterior_figures`."""
    drawn: dict[str, Figure] = {}
    if posterior.own:
        drawn["corner"] = corner(posterior, marks=marks)
        drawn["trace"] = trace(posterior)
        drawn["prior_posterior"] = prior_posterior(posterior, others=others)
    drawn["ranks"] = ranks(posterior)
    index, _, _ = constraints(posterior.analysis, posterior.analysis.data)
    if posterior.moving[index].any():
        drawn["forest"] = forest(posterior)
    return drawn
