"""What one asks of a likelihood: a flat vector in, a log density out, no physics."""

from bknn.inference.calibration import Calibration, calibrate
from bknn.inference.contours import Contours, contours
from bknn.inference.datasets import asimov, throw
from bknn.inference.estimate import Estimate
from bknn.inference.evidence import Evidence, evidence, savage_dickey
from bknn.inference.feldman_cousins import FeldmanCousins, feldman_cousins
from bknn.inference.fit import LogDensity, fit, fit_null
from bknn.inference.goodness import GoodnessOfFit, goodness_of_fit
from bknn.inference.hypotheses import BayesFactor, Comparison
from bknn.inference.impacts import Impacts, impacts
from bknn.inference.intervals import Interval, Intervals, intervals
from bknn.inference.limits import Limit, TwoSided, limit, two_sided
from bknn.inference.marginal import Marginal, marginal
from bknn.inference.outlook import Outlook, outlook
from bknn.inference.posterior import Posterior
from bknn.inference.power import Hypothesis, Power, power, separation
from bknn.inference.predictions import Band, Predictions, band, predictions
from bknn.inference.predictive import Predictive, posterior_predictive, prior_predictive
from bknn.inference.profile import Profile, profile
from bknn.inference.quantities import Quantity
from bknn.inference.regions import Regions, coupling_regions
from bknn.inference.result import FitResult
from bknn.inference.reweight import Reweighted, reweight
from bknn.inference.sample import sample
from bknn.inference.scenarios import ScenarioFit, Scenarios, scenarios
from bknn.inference.significance import Significance, significance
from bknn.inference.studies import bias, coverage, pulls
from bknn.inference.tied import predicted_regions
from bknn.inference.toys import Toys, toys

__all__ = [
    "Band",
    "BayesFactor",
    "Calibration",
    "Comparison",
    "Contours",
    "Estimate",
    "Evidence",
    "FeldmanCousins",
    "FitResult",
    "GoodnessOfFit",
    "Hypothesis",
    "Impacts",
    "Interval",
    "Intervals",
    "Limit",
    "LogDensity",
    "Marginal",
    "Outlook",
    "Posterior",
    "Power",
    "Predictions",
    "Predictive",
    "Profile",
    "Quantity",
    "Regions",
    "Reweighted",
    "ScenarioFit",
    "Scenarios",
    "Significance",
    "Toys",
    "TwoSided",
    "asimov",
    "band",
    "bias",
    "calibrate",
    "contours",
    "coupling_regions",
    "coverage",
    "evidence",
    "feldman_cousins",
    "fit",
    "fit_null",
    "goodness_of_fit",
    "impacts",
    "intervals",
    "limit",
    "marginal",
    "outlook",
    "posterior_predictive",
    "power",
    "predicted_regions",
    "predictions",
    "prior_predictive",
    "profile",
    "pulls",
    "reweight",
    "sample",
    "savage_dickey",
    "scenarios",
    "separation",
    "significance",
    "throw",
    "toys",
    "two_sided",
]


def __dir__() -> list[str]:
    return sorted(__all__)
