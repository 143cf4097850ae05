"""A model and what it competes with, in Python's words."""

from __future__ import annotations

import pytest

import bknn
from bknn import errors, models, studies

from .. import small


@pytest.fixture(scope="module")
def data() -> bknn.Measurement:
    return small.measurement()


def test_bounds_of_nuisances_are_for_all(data):
    asked = studies.hypotheses(
        models.load("resonance"), data, bounds={"k_b": (0.5, 1.5), "mass": (1.0, 3.0)}
    )
    ranges = {h.name: h.analysis.bounds[h.analysis.index("k_b")].tolist() for h in asked}
    assert ranges == {name: [0.5, 1.5] for name in ranges}
    assert asked[0].analysis.bounds[asked[0].analysis.index("mass")].tolist() == [1.0, 3.0]


def test_models_of_ones_own(data):
    """Names or models; what has been said of parameters that a model has is for it."""
    rival = models.load("scalar")
    asked = studies.hypotheses(
        models.load("resonance"),
        data,
        [rival, "background"],
        fixed={"width": 0.1, "g_P": 0.0},
    )
    assert [h.name for h in asked] == ["resonance", "scalar", "background"]
    assert asked[1].analysis.model is rival
    assert [dict(h.fixed) for h in asked] == [
        {"width": 0.1},
        {"width": 0.1, "g_P": 0.0},
        {"mu": 0.0},
    ]


def test_compare_refuses_before_it_fits(data):
    with pytest.raises(errors.UnknownNameError, match="did you mean 'mass'"):
        studies.compare(["vector:C_V_L"], data, fixed={"masse": 2.1})
    with pytest.raises(errors.UnknownNameError, match="method"):
        studies.compare(["vector:C_V_L"], data, method="hesse")
    with pytest.raises(errors.ParameterError, match="no scenario is given"):
        studies.compare([], data)
