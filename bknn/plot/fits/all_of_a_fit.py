"""All figures of one fit."""

from __future__ import annotations

import os
from pathlib import Path

from bknn.inference import FitResult
from bknn.inference.fits.result import single
from bknn.plot.drawing.files import save
from bknn.plot.fits.bins import bins
from bknn.plot.fits.nuisances import nuisances, pulls
from bknn.plot.fits.spectrum import spectrum
from bknn.postfit.parts_of_signal import DECAY


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
    analysis = single(result, "a figure shows")
    folder = Path(out_dir)
    paths = save(bins(result, null), folder / "bins")
    if pulls(result).index.size:
        paths += save(nuisances(result), folder / "nuisances")
    if any(DECAY in part.decays for part in analysis.parts):
        paths += save(spectrum(result), folder / "spectrum")
    return paths
