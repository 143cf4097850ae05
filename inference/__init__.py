"""What one asks of a likelihood: a flat vector in, a log density out, no physics."""

from bknn.inference.contours import Contours, contours
from bknn.inference.datasets import asimov, throw
from bknn.inference.feldman_cousins import FeldmanCousins, feldman_cousins
from bknn.inference.fit import LogDensity, fit, fit_null
from bknn.inference.goodness import GoodnessOfFit, goodness_of_fit
from bknn.inference.hypotheses import BayesFactor, Comparison
from bknn.inference.impacts import Impacts, impacts
from bknn.inference.intervals import Interval, Intervals, intervals
from bknn.inference.limits import Limit, TwoSided, limit, two_sided
from bknn.inference.predictive import Predictive, posterior_predictive, prior_predictive
from bknn.inference.profile import Profile, profile
from bknn.inference.result import FitResult
from bknn.inference.reweight import Reweighted, reweight
from bknn.inference.significance import Significance, significance
from bknn.inference.studies import bias, coverage, pulls
from bknn.inference.toys import Toys, toys

__all__ = [
    "BayesFactor",
    "Comparison",
    "Contours",
    "FeldmanCousins",
    "FitResult",
    "GoodnessOfFit",
    "Impacts",
    "Interval",
    "Intervals",
    "Limit",
    "LogDensity",
    "Predictive",
    "Profile",
    "Reweighted",
    "Significance",
    "Toys",
    "TwoSided",
    "asimov",
    "bias",
    "contours",
    "coverage",
    "feldman_cousins",
    "fit",
    "fit_null",
    "goodness_of_fit",
    "impacts",
    "intervals",
    "limit",
    "posterior_predictive",
    "prior_predictive",
    "profile",
    "pulls",
    "reweight",
    "significance",
    "throw",
    "toys",
    "two_sided",
]


def __dir__() -> list[str]:
    return sorted(__all__)
