"""The public surface, pinned: a name that comes or goes is a decision, not an accident.

A change here belongs in CHANGELOG.md too.
"""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

SURFACE = {
    "bknn": [
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
    ],
    "bknn.data": [
        "Density",
        "LimitCurve",
        "LimitTable",
        "Measurement",
        "Result",
        "Source",
        "available",
        "import_official",
        "load",
    ],
    "bknn.models": [
        "FermionPair",
        "FromSpectrum",
        "GravitinoPair",
        "HiggsPortal",
        "MajoranaGravitinoPair",
        "MajoranaPair",
        "Matched",
        "Matching",
        "Model",
        "RealScalarPair",
        "RealVectorPair",
        "Resonance",
        "Scalar",
        "ScalarPair",
        "SignalStrength",
        "StandardModel",
        "Vector",
        "VectorPair",
        "WET",
        "WETWithRightHandedNeutrinos",
        "available",
        "from_spectrum",
        "load",
    ],
    "bknn.inference": [
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
    ],
    "bknn.studies": [
        "Band",
        "Compared",
        "FittedSpectra",
        "Hypothesis",
        "Outlook",
        "Power",
        "PredictedSpectra",
        "Predictions",
        "PriorStudy",
        "Quantity",
        "Regions",
        "ScenarioFit",
        "Scenarios",
        "Studied",
        "band",
        "compare",
        "coupling_regions",
        "evidences",
        "fitted_spectra",
        "hypotheses",
        "outlook",
        "power",
        "predicted_regions",
        "predicted_spectra",
        "predictions",
        "prior_study",
        "scenarios",
        "separation",
    ],
}


@pytest.mark.parametrize("name", SURFACE)
def test_all(name):
    module = importlib.import_module(name)
    assert sorted(module.__all__) == SURFACE[name]
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ promises {missing}, which do not exist"


@pytest.mark.parametrize("name", SURFACE)
def test_dir(name):
    """Tab completion shows the surface, not what a module happens to import."""
    module = importlib.import_module(name)
    assert dir(module) == SURFACE[name], f"{name}: add  def __dir__(): return __all__"


def test_imports_are_quick():
    """The command line reads what is asked, and refuses it, before JAX is there."""
    heavy = ("jax", "numpyro", "equinox", "scipy", "arviz", "xarray", "pandas", "matplotlib")
    code = f"import sys, bknn, bknn.cli; print(*(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
