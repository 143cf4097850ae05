"""All figures of one fit."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

from bknn.inference import FitResult
from bknn.plot.drawing.files import save
from bknn.plot.fits.bins import bins
from bknn.plot.fits.nuisances import nuisances, pulls
from bknn.plot.fits.spectrum import spectrum
from bknn.postfit.postfit import Postfit, postfit


def fit_figures(
    result: FitResult, null: FitResult | None, out_dir: str | os.PathLike[str]
) -> list[Path]:
    """Draw everything that there is to draw of a fit, and write it.

    Args:
        result: one fit of an Analysis.
        null: the fit of the standard model, or None.
        out_dir: folder for `bins`, `nuisances` and `spectrum`, each as PDF and PNG. The last two
            are left out where there are no constrained parameters, or no densities.

    Returns:
        The paths written.

    Raises:
        ParameterError: a batch of fits, or a fit of something that is not an Analysis.
    """
    drawn = all_figures(postfit(result, null))
    return [p for name, figure in drawn.items() for p in save(figure, Path(out_dir) / name)]


def all_figures(found: Postfit) -> dict[str, Figure]:
    """Return {name: figure}."""
    drawn = {"bins": bins(found)}
    if pulls(found.fit).index.size:
        drawn["nuisances"] = nuisances(found)
    if found.curves is not None:
        drawn["spectrum"] = spectrum(found)
    return drawn
