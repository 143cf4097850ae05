"""bknn: what do the B -> K(*) + missing energy data say about your model?

A differentiable, batched engine in JAX, from couplings and masses to likelihoods, fits and limits.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from bknn import data, errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, read
from bknn.data import Measurement
from bknn.derived.simplified import SimplifiedLikelihood
from bknn.likelihood import HistFactory
from bknn.parameters import Parameter
from bknn.precision import enable_x64
from bknn.prediction import DerivedQuantity, Prediction, predict
from bknn.spectrum import Continuum, Line, Spectrum
from bknn.version import VERSION

__version__ = VERSION
__all__ = [
    "Analysis",
    "Continuum",
    "DerivedQuantity",
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
    "inference",
    "load",
    "models",
    "plot",
    "predict",
    "studies",
]

#: Rooms that are loaded when they are first used.
_ROOMS = ("inference", "models", "plot", "studies")


def __dir__() -> list[str]:
    return sorted(__all__)


def load(path: str | Path, analysis: Analysis | None = None) -> Answer:
    """Return the result in a file that its `save` wrote, whichever it is.

    Without the analysis it can be printed, tabulated and drawn; what needs the likelihood says so.

    Args:
        path: the file.
        analysis: of which the result is, to compute more with it.

    Raises:
        DataError: the file is missing, damaged, or holds something else; or is of another analysis.
    """
    for room in ("inference", "studies", "postfit.postfit"):
        import_module(f"bknn.{room}")  # makes its results known
    return read(path, analysis)


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return import_module(f"bknn.{name}")
    raise AttributeError(f"module 'bknn' has no attribute {name!r}")
