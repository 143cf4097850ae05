"""The public surface, pinned: a name that comes or goes is a decision, not an accident.

A change here belongs in CHANGELOG.md too.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from bknn import faces

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
        "left_out",
        "load",
        "load_all",
    ],
    "bknn.models": [
        "AlignedU1",
        "DarkPhoton",
        "FermionPair",
        "FromSpectrum",
        "GravitinoPair",
        "HiggsPortal",
        "LightVector",
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
    "bknn.relic": [
        "Annihilation",
        "Degrees",
        "Kinetic",
        "Partners",
        "Relic",
        "Resonance",
        "Scattering",
        "TABLES",
        "abundance",
        "abundance_kinetic",
        "approximate",
        "from_function",
        "remarks",
        "sigma_v",
        "standard_model",
        "to_cm3_per_s",
    ],
    "bknn.studies": [
        "Band",
        "Compared",
        "Exclusions",
        "FittedSpectra",
        "Hypothesis",
        "Outlook",
        "Power",
        "PredictedSpectra",
        "Predictions",
        "PriorStudy",
        "Quantity",
        "Regions",
        "Relic",
        "ScenarioFit",
        "Scenarios",
        "Studied",
        "band",
        "compare",
        "coupling_regions",
        "evidences",
        "exclusions",
        "fitted_spectra",
        "hypotheses",
        "outlook",
        "power",
        "predicted_regions",
        "predicted_spectra",
        "predictions",
        "prior_study",
        "relic",
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


@pytest.mark.parametrize("name", ["bknn", "bknn.inference", "bknn.plot", "bknn.studies"])
def test_type_checkers_see_the_same(name):
    """What is loaded when it is first used stands in the source once more, for them."""
    faces.load(name)
    module = importlib.import_module(name)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    (block,) = (node.body for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block for alias in node.names}
    places = {shown: f"{name}.{place}" for shown, place in module._places.items()}
    assert places.items() <= seen.items()
    assert set(module.__all__) - set(seen) <= {"__version__", "load"}


def test_a_name_on_show_wins_over_a_module(tmp_path, monkeypatch):
    """`bknn.studies.compare` is the function, even where its module was imported before."""
    package = tmp_path / "a_package"
    package.mkdir()
    show = "from bknn import faces\n__all__ = ['one']\nfaces.show(__name__, {'one': 'one'})\n"
    (package / "__init__.py").write_text(show)
    (package / "one.py").write_text("def one(): ...\n")
    (package / "other.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    one = importlib.import_module("a_package.one")
    found = sys.modules["a_package"]
    assert found.one is one.one
    assert found.other is importlib.import_module("a_package.other")
    assert dir(found) == ["one"]
    with pytest.raises(AttributeError, match="module 'a_package' has no attribute 'nothing'"):
        _ = found.nothing


def test_imports_are_quick():
    """The command line reads what is asked, and refuses it, before JAX is there."""
    heavy = ("jax", "numpyro", "equinox", "scipy", "arviz", "xarray", "pandas", "matplotlib")
    code = f"import sys, bknn, bknn.cli; print(*(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
