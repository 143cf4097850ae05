"""Writing figures."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

from bknn.files import replacing
from bknn.inference import FitResult
from bknn.plot.bins import bins
from bknn.plot.nuisances import nuisances, pulls
from bknn.plot.separation import DECAY
from bknn.plot.spectrum import spectrum
from bknn.plot.style import single, style

#: Dots per inch of PNG files.
RESOLUTION = 160


def save(figure: Figure, path_stem: str | os.PathLike[str]) -> list[Path]:
    """Write a figure as PDF and PNG; the same figure gives the same bytes, whenever written.

    Args:
        figure: from this package.
        path_stem: where, without an ending; missing folders are made.

    Returns:
        The two paths.
    """
    stem = Path(path_stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.parent / f"{stem.name}.{kind}" for kind in ("pdf", "png")]
    # No time stamps, and no versions: two runs are the same if their pictures are.
    with style():
        with replacing(paths[0]) as file:
            nothing = {"Creator": None, "Producer": None, "CreationDate": None}
            figure.savefig(file, format="pdf", metadata=nothing)
        with replacing(paths[1]) as file:
            figure.savefig(file, format="png", dpi=RESOLUTION, metadata={"Software": None})
    return paths


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
    analysis = single(result)
    folder = Path(out_dir)
    paths = save(bins(result, null), folder / "bins")
    if pulls(result).index.size:
        paths += save(nuisances(result), folder / "nuisances")
    if any(DECAY in part.decays for part in analysis.parts):
        paths += save(spectrum(result), folder / "spectrum")
    return paths
