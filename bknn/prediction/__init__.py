"""What a model predicts: branching fractions, spectra, polarisation, ratios to the SM."""

from bknn.prediction.checks import OBSERVABLES, check, check_point
from bknn.prediction.derived import (
    DerivedQuantity,
    channels_of,
    check_quantity,
    derived,
    derived_quantities,
    quantity,
    together,
)
from bknn.prediction.groups import Group, Grouped
from bknn.prediction.integrals import end_of
from bknn.prediction.parts import PARTS, at_point, knows_standard_model, null_of, spectrum_of, takes
from bknn.prediction.prediction import Prediction
from bknn.prediction.values import branching_ratio, predict, predict_derived, value

__all__ = [
    "OBSERVABLES",
    "PARTS",
    "DerivedQuantity",
    "Group",
    "Grouped",
    "Prediction",
    "at_point",
    "branching_ratio",
    "channels_of",
    "check",
    "check_point",
    "check_quantity",
    "derived",
    "derived_quantities",
    "end_of",
    "knows_standard_model",
    "null_of",
    "predict",
    "predict_derived",
    "quantity",
    "spectrum_of",
    "takes",
    "together",
    "value",
]
