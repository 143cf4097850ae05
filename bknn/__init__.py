"""bknn: what do the B -> K(*) + missing energy data say about your model?

A differentiable, batched engine in JAX, from couplings and masses to likelihoods, fits and limits.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bknn.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from bknn import data, errors, inference, models, plot, studies
    from bknn.analysis.analysis import Analysis
    from bknn.answers.answer import Answer
    from bknn.data import Measurement
    from bknn.derived.simplified import SimplifiedLikelihood
    from bknn.likelihood import HistFactory
    from bknn.parameters import Parameter
    from bknn.precision import enable_x64
    from bknn.prediction import DerivedQuantity, Prediction, predict
    from bknn.spectrum import Continuum, Line, Spectrum

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

#: Where the names are that are loaded when they are first used: JAX alone takes a second.
_PLACES = {
    "Analysis": "analysis.analysis",
    "Continuum": "spectrum",
    "DerivedQuantity": "prediction",
    "HistFactory": "likelihood",
    "Line": "spectrum",
    "Measurement": "data",
    "Parameter": "parameters",
    "Prediction": "prediction",
    "SimplifiedLikelihood": "derived.simplified",
    "Spectrum": "spectrum",
    "enable_x64": "precision",
    "predict": "prediction",
}


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
    from bknn.answers.answer import read

    for room in ("inference", "studies", "postfit.postfit"):
        import_module(f"bknn.{room}")  # makes its results known
    return read(path, analysis)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        found = globals()[name] = getattr(import_module(f"bknn.{_PLACES[name]}"), name)
        return found
    if not name.startswith("_") and find_spec(f"bknn.{name}"):
        return import_module(f"bknn.{name}")
    raise AttributeError(f"module 'bknn' has no attribute {name!r}")
