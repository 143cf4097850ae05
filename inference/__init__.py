"""What one asks of a likelihood: a flat vector in, a log density out, no physics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bknn import faces

if TYPE_CHECKING:
    from bknn.inference.datasets import asimov, throw
    from bknn.inference.estimate import Estimate
    from bknn.inference.evidences.comparison import BayesFactor, Comparison
    from bknn.inference.evidences.evidence import Evidence, evidence, savage_dickey
    from bknn.inference.fits.fit import LogDensity, fit, fit_null
    from bknn.inference.fits.result import FitResult
    from bknn.inference.impacts.impacts import impacts
    from bknn.inference.impacts.result import Impacts
    from bknn.inference.limits.feldman_cousins import FeldmanCousins, feldman_cousins
    from bknn.inference.limits.limit import Limit, limit
    from bknn.inference.limits.two_sided import TwoSided, two_sided
    from bknn.inference.posteriors.calibration import Calibration, calibrate
    from bknn.inference.posteriors.marginal import marginal
    from bknn.inference.posteriors.on_grid import Marginal
    from bknn.inference.posteriors.posterior import Posterior
    from bknn.inference.posteriors.predictive import (
        Predictive,
        posterior_predictive,
        prior_predictive,
    )
    from bknn.inference.posteriors.reweight import Reweighted, reweight
    from bknn.inference.posteriors.sample import sample
    from bknn.inference.profiles.contours import Contours, contours
    from bknn.inference.profiles.curve import Interval
    from bknn.inference.profiles.intervals import Intervals, intervals
    from bknn.inference.profiles.profile import Profile, profile
    from bknn.inference.toys.coverage import bias, coverage, pulls
    from bknn.inference.toys.goodness import GoodnessOfFit, goodness_of_fit
    from bknn.inference.toys.significance import Significance, significance
    from bknn.inference.toys.toys import Toys, toys
    from bknn.inference.toys.truth import truth

__all__ = [
    "BayesFactor",
    "Calibration",
    "Comparison",
    "Contours",
    "Estimate",
    "Evidence",
    "FeldmanCousins",
    "FitResult",
    "GoodnessOfFit",
    "Impacts",
    "Interval",
    "Intervals",
    "Limit",
    "LogDensity",
    "Marginal",
    "Posterior",
    "Predictive",
    "Profile",
    "Reweighted",
    "Significance",
    "Toys",
    "TwoSided",
    "asimov",
    "bias",
    "calibrate",
    "contours",
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
    "posterior_predictive",
    "prior_predictive",
    "profile",
    "pulls",
    "reweight",
    "sample",
    "savage_dickey",
    "significance",
    "throw",
    "toys",
    "truth",
    "two_sided",
]

faces.show(
    __name__,
    {
        "datasets": "asimov throw",
        "estimate": "Estimate",
        "evidences.comparison": "BayesFactor Comparison",
        "evidences.evidence": "Evidence evidence savage_dickey",
        "fits.fit": "LogDensity fit fit_null",
        "fits.result": "FitResult",
        "impacts.impacts": "impacts",
        "impacts.result": "Impacts",
        "limits.feldman_cousins": "FeldmanCousins feldman_cousins",
        "limits.limit": "Limit limit",
        "limits.two_sided": "TwoSided two_sided",
        "posteriors.calibration": "Calibration calibrate",
        "posteriors.marginal": "marginal",
        "posteriors.on_grid": "Marginal",
        "posteriors.posterior": "Posterior",
        "posteriors.predictive": "Predictive posterior_predictive prior_predictive",
        "posteriors.reweight": "Reweighted reweight",
        "posteriors.sample": "sample",
        "profiles.contours": "Contours contours",
        "profiles.curve": "Interval",
        "profiles.intervals": "Intervals intervals",
        "profiles.profile": "Profile profile",
        "toys.coverage": "bias coverage pulls",
        "toys.goodness": "GoodnessOfFit goodness_of_fit",
        "toys.significance": "Significance significance",
        "toys.toys": "Toys toys",
        "toys.truth": "truth",
    },
)
