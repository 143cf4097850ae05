"""Pictures of a fit (counts, nuisances, spectrum), of predictions, and of what inference finds.

`bins`, `nuisances` and `spectrum` take a `FitResult`, `candidates` several, `prediction` a model;
`profile`, `contours`, `limits`, `scan`, `acceptance`, `significance`, `toys`, `goodness_of_fit`,
`ranking`, `scenarios`, `coupling_regions`, and of posteriors `corner`, `trace`, `ranks`, `forest`,
`prior_posterior`, `predictive` and `marginal` take what the functions of `bknn.inference` return.
Each returns a `matplotlib.figure.Figure`. `save` writes one as PDF and PNG, `fit_figures`,
`prediction_figures` and `posterior_figures` make and write all. Nothing here touches pyplot or
leaves global settings behind, so it works in scripts, notebooks and threads alike.
`docs/figures.md` says how to read the figures and where their labels come from.
"""

from __future__ import annotations

from bknn.plot.bins import bins
from bknn.plot.calibration import calibration
from bknn.plot.candidates import candidates
from bknn.plot.chains import ranks, trace
from bknn.plot.comparison import comparison_figures, over_q2, planes
from bknn.plot.corner import corner
from bknn.plot.evidence import evidence
from bknn.plot.files import fit_figures, save
from bknn.plot.forest import forest
from bknn.plot.limits import acceptance, limits, scan
from bknn.plot.marginal import marginal
from bknn.plot.nuisances import nuisances
from bknn.plot.outlook import exclusion, information, luminosity, outlook_figures
from bknn.plot.posterior import posterior_figures
from bknn.plot.prediction import prediction, prediction_figures
from bknn.plot.predictive import predictive
from bknn.plot.prior_posterior import prior_posterior
from bknn.plot.profile import contours, profile
from bknn.plot.ranking import ranking
from bknn.plot.scenarios import coupling_regions, scenarios
from bknn.plot.spectrum import spectrum
from bknn.plot.style import STYLE
from bknn.plot.toys import goodness_of_fit, significance, toys

__all__ = [
    "STYLE",
    "acceptance",
    "bins",
    "calibration",
    "candidates",
    "comparison_figures",
    "contours",
    "corner",
    "coupling_regions",
    "evidence",
    "exclusion",
    "fit_figures",
    "forest",
    "goodness_of_fit",
    "information",
    "limits",
    "luminosity",
    "marginal",
    "nuisances",
    "outlook_figures",
    "over_q2",
    "planes",
    "posterior_figures",
    "prediction",
    "prediction_figures",
    "predictive",
    "prior_posterior",
    "profile",
    "ranking",
    "ranks",
    "save",
    "scan",
    "scenarios",
    "significance",
    "spectrum",
    "toys",
    "trace",
]
