"""What one asks of a likelihood: a flat vector in, a log density out, no physics."""

from bknn.inference.fit import LogDensity, fit, fit_null
from bknn.inference.result import FitResult
from bknn.inference.toys import throw

__all__ = ["FitResult", "LogDensity", "fit", "fit_null", "throw"]


def __dir__() -> list[str]:
    return sorted(__all__)
