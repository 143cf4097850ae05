"""Pictures of a fit: counts and what was fitted to them, nuisances, the spectrum; and predictions.

`bins`, `nuisances` and `spectrum` take a `FitResult`, `prediction` a model; each returns a
`matplotlib.figure.Figure`. `save` writes one as PDF and PNG, `fit_figures` and `prediction_figures`
make and write all. Nothing here touches pyplot or leaves global
settings behind, so it works in scripts, notebooks and threads alike. `docs/figures.md` says how to
read the figures and where their labels come from.
"""

from __future__ import annotations

from bknn.plot.bins import bins
from bknn.plot.files import fit_figures, save
from bknn.plot.nuisances import nuisances
from bknn.plot.prediction import prediction, prediction_figures
from bknn.plot.spectrum import spectrum
from bknn.plot.style import STYLE

__all__ = [
    "STYLE",
    "bins",
    "fit_figures",
    "nuisances",
    "prediction",
    "prediction_figures",
    "save",
    "spectrum",
]
