"""Studies of several models or data sets: what fits of one alone do not answer."""

from bknn.studies.observables.predictions import Band, Predictions, band, predictions
from bknn.studies.observables.profiled import predicted_regions
from bknn.studies.observables.quantities import Quantity
from bknn.studies.outlook import Outlook, outlook
from bknn.studies.power import Hypothesis, Power, power, separation
from bknn.studies.regions import Regions, coupling_regions
from bknn.studies.scenarios import ScenarioFit, Scenarios, scenarios

__all__ = [
    "Band",
    "Hypothesis",
    "Outlook",
    "Power",
    "Predictions",
    "Quantity",
    "Regions",
    "ScenarioFit",
    "Scenarios",
    "band",
    "coupling_regions",
    "outlook",
    "power",
    "predicted_regions",
    "predictions",
    "scenarios",
    "separation",
]


def __dir__() -> list[str]:
    return sorted(__all__)
