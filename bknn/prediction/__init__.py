"""What a model predicts: branching fractions, spectra, polarisation, ratios to the SM."""

from bknn.prediction.checks import OBSERVABLES, check, check_point
from bknn.prediction.derived import (
    DerivedQuantity,
    check_quantity,
    derived,
    derived_quantities,
    quantity,
)
from bknn.prediction.integrals import end_of
from bknn.prediction.parts import PARTS, knows_standard_model, null_of, spectrum_of, takes
from bknn.prediction.prediction import Prediction
from bknn.prediction.values import branching_ratio, predict, value

__all__ = [
    "OBSERVABLES",
    "PARTS",
    "DerivedQuantity",
    "Prediction",
    "branching_ratio",
    "check",
    "check_point",
    "check_quantity",
    "derived",
    "derived_quantities",
    "end_of",
    "knows_standard_model",
    "null_of",
    "predict",
    "quantity",
    "spectrum_of",
    "takes",
    "value",
]
