"""bknn: what do the B -> K(*) + missing energy data say about your model?

A differentiable, batched engine in JAX, from couplings and masses to likelihoods, fits and limits.
"""

from __future__ import annotations

import jax as _jax

from bknn import data, errors
from bknn.analysis import Analysis
from bknn.data import Measurement
from bknn.likelihood import HistFactory
from bknn.parameters import Parameter
from bknn.prediction import Prediction, predict
from bknn.simplified import SimplifiedLikelihood
from bknn.spectrum import Continuum, Line, Spectrum

__version__ = "0.1.0"
__all__ = [
    "Analysis",
    "Continuum",
    "HistFactory",
    "Line",
    "Measurement",
    "Parameter",
    "Prediction",
    "SimplifiedLikelihood",
    "Spectrum",
    "__version__",
    "data",
    "enable_x64",
    "errors",
    "predict",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def enable_x64() -> None:
    """Let JAX compute in double precision, which likelihoods need; call it first."""
    _jax.config.update("jax_enable_x64", True)
