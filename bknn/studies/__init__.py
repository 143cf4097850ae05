"""Studies of several models or data sets: what fits of one alone do not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bknn import faces

if TYPE_CHECKING:
    from bknn.studies.compare import Compared, compare
    from bknn.studies.constraints.exclusions import Exclusions, exclusions
    from bknn.studies.constraints.relic import Relic, relic
    from bknn.studies.hypotheses import Hypothesis, evidences, hypotheses
    from bknn.studies.observables.predictions import Band, Predictions, band, predictions
    from bknn.studies.observables.profiled import predicted_regions
    from bknn.studies.observables.quantities import Quantity
    from bknn.studies.observables.spectra import (
        FittedSpectra,
        PredictedSpectra,
        fitted_spectra,
        predicted_spectra,
    )
    from bknn.studies.outlook import Outlook, outlook
    from bknn.studies.power import Power, power, separation
    from bknn.studies.prior_study import PriorStudy, Studied, prior_study
    from bknn.studies.regions import Regions, coupling_regions
    from bknn.studies.scenarios import ScenarioFit, Scenarios, scenarios

__all__ = [
    "Band",
    "Compared",
    "Exclusions",
    "FittedSpectra",
    "Hypothesis",
    "Outlook",
    "Power",
    "PredictedSpectra",
    "Predictions",
    "PriorStudy",
    "Quantity",
    "Regions",
    "Relic",
    "ScenarioFit",
    "Scenarios",
    "Studied",
    "band",
    "compare",
    "coupling_regions",
    "evidences",
    "exclusions",
    "fitted_spectra",
    "hypotheses",
    "outlook",
    "power",
    "predicted_regions",
    "predicted_spectra",
    "predictions",
    "prior_study",
    "relic",
    "scenarios",
    "separation",
]

faces.show(
    __name__,
    {
        "compare": "Compared compare",
        "constraints.exclusions": "Exclusions exclusions",
        "constraints.relic": "Relic relic",
        "hypotheses": "Hypothesis evidences hypotheses",
        "observables.predictions": "Band Predictions band predictions",
        "observables.profiled": "predicted_regions",
        "observables.quantities": "Quantity",
        "observables.spectra": "FittedSpectra PredictedSpectra fitted_spectra predicted_spectra",
        "outlook": "Outlook outlook",
        "power": "Power power separation",
        "prior_study": "PriorStudy Studied prior_study",
        "regions": "Regions coupling_regions",
        "scenarios": "ScenarioFit Scenarios scenarios",
    },
)
