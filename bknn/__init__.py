"""bknn: what do the B -> K(*) + missing energy data say about your model?

A differentiable, batched engine in JAX, from couplings and masses to likelihoods, fits and limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bknn import faces
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

faces.show(
    __name__,
    {
        "analysis.analysis": "Analysis",
        "data": "Measurement",
        "derived.simplified": "SimplifiedLikelihood",
        "likelihood": "HistFactory",
        "parameters": "Parameter",
        "precision": "enable_x64",
        "prediction": "DerivedQuantity Prediction predict",
        "spectrum": "Continuum Line Spectrum",
    },
)


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

    return read(path, analysis)
