"""Pictures of a fit (counts, nuisances, spectrum), of predictions, and of what inference finds.

`bins`, `nuisances` and `spectrum` take a `FitResult`, `candidates` several, `prediction` a model;
`profile`, `contours`, `limits`, `scan`, `acceptance`, `significance`, `toys`, `goodness_of_fit`,
`ranking`, `scenarios`, `coupling_regions`, `exclusions`, `relic`, and of posteriors `corner`,
`trace`, `ranks`, `forest`, `prior_posterior`, `prior_study`, `predictive` and `marginal` take what
the functions of `bknn.inference` and `bknn.studies` return. Each returns a
`matplotlib.figure.Figure`.
`save` writes one as PDF and PNG, `fit_figures`, `prediction_figures` and `posterior_figures` make
and write all.
Nothing here touches pyplot or leaves global settings behind, so it works in scripts, notebooks and
threads alike.
`docs/figures.md` says how to read the figures and where their labels come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bknn import faces

if TYPE_CHECKING:
    from bknn.plot.drawing.files import save
    from bknn.plot.drawing.style import STYLE
    from bknn.plot.fits.all_of_a_fit import fit_figures
    from bknn.plot.fits.bins import bins
    from bknn.plot.fits.candidates import candidates
    from bknn.plot.fits.nuisances import nuisances
    from bknn.plot.fits.ranking import ranking
    from bknn.plot.fits.spectrum import spectrum
    from bknn.plot.likelihoods.exclusions import exclusions
    from bknn.plot.likelihoods.limits import acceptance, limits, scan
    from bknn.plot.likelihoods.outlook import exclusion, information, luminosity, outlook_figures
    from bknn.plot.likelihoods.profile import contours, profile
    from bknn.plot.likelihoods.scenarios import coupling_regions, scenarios
    from bknn.plot.likelihoods.toys import goodness_of_fit, significance, toys
    from bknn.plot.observables.comparison import comparison_figures, planes
    from bknn.plot.observables.over_q2 import over_q2
    from bknn.plot.observables.prediction import prediction, prediction_figures
    from bknn.plot.observables.relic import relic
    from bknn.plot.of_answers import figures
    from bknn.plot.posteriors.calibration import calibration
    from bknn.plot.posteriors.chains import ranks, trace
    from bknn.plot.posteriors.corner import corner
    from bknn.plot.posteriors.evidence import evidence
    from bknn.plot.posteriors.forest import forest
    from bknn.plot.posteriors.marginal import marginal
    from bknn.plot.posteriors.posterior import posterior_figures
    from bknn.plot.posteriors.predictive import predictive
    from bknn.plot.posteriors.prior_posterior import prior_posterior
    from bknn.plot.posteriors.prior_study import prior_study

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
    "exclusions",
    "figures",
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
    "prior_study",
    "profile",
    "ranking",
    "ranks",
    "relic",
    "save",
    "scan",
    "scenarios",
    "significance",
    "spectrum",
    "toys",
    "trace",
]

faces.show(
    __name__,
    {
        "drawing.files": "save",
        "drawing.style": "STYLE",
        "fits.all_of_a_fit": "fit_figures",
        "fits.bins": "bins",
        "fits.candidates": "candidates",
        "fits.nuisances": "nuisances",
        "fits.ranking": "ranking",
        "fits.spectrum": "spectrum",
        "likelihoods.exclusions": "exclusions",
        "likelihoods.limits": "acceptance limits scan",
        "likelihoods.outlook": "exclusion information luminosity outlook_figures",
        "likelihoods.profile": "contours profile",
        "likelihoods.scenarios": "coupling_regions scenarios",
        "likelihoods.toys": "goodness_of_fit significance toys",
        "observables.comparison": "comparison_figures planes",
        "observables.over_q2": "over_q2",
        "observables.prediction": "prediction prediction_figures",
        "observables.relic": "relic",
        "of_answers": "figures",
        "posteriors.calibration": "calibration",
        "posteriors.chains": "ranks trace",
        "posteriors.corner": "corner",
        "posteriors.evidence": "evidence",
        "posteriors.forest": "forest",
        "posteriors.marginal": "marginal",
        "posteriors.posterior": "posterior_figures",
        "posteriors.predictive": "predictive",
        "posteriors.prior_posterior": "prior_posterior",
        "posteriors.prior_study": "prior_study",
    },
)
