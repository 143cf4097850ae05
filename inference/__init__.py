"""What one asks of a likelihood: knows an Analysis (flat vector in, log density out), no physics."""

from bknn.inference.fit import LogDensity, fit, fit_null
from bknn.inference.result import FitResult

__all__ = ["FitResult", "LogDensity", "fit", "fit_null"]
