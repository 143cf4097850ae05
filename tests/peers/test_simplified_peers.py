"""pyhf reads a simplified likelihood and finds the same numbers."""

from __future__ import annotations

import json

import numpy as np
import pyhf
import pytest

import bknn
from bknn.likelihood.histfactory import HistFactory

bknn.enable_x64()


@pytest.mark.parametrize("at", ["nominal", pytest.param("fit", marks=pytest.mark.slow)])
def test_pyhf_agrees(at):
    full = bknn.data.load("belle2-2025").select(["B", "hadronic"])
    simple = bknn.SimplifiedLikelihood.from_measurement(full, at=at).measurement("simple")
    spec = json.loads(json.dumps(simple.workspace))
    workspace = pyhf.Workspace(spec)
    model = workspace.model()
    data = workspace.data(model)
    pdf = HistFactory.from_workspace(spec)
    assert pdf.parameter_names == tuple(model.config.par_names)
    rng = np.random.default_rng(0)
    for _ in range(5):
        vector = np.asarray(model.config.suggested_init()) + 0.7 * rng.normal(size=pdf.size)
        expected = float(np.squeeze(model.logpdf(vector, data)))
        assert float(pdf.log_prob(vector)) == pytest.approx(expected, rel=1e-10)
        # Every modifier is linear: the expectations are the tangent for any pull.
        shift = vector.copy()
        shift[model.config.poi_index] = 1.0
        middle = np.zeros_like(shift)
        middle[model.config.poi_index] = 1.0
        one, two = (np.asarray(pdf.rates(middle + k * (shift - middle))) for k in (1.0, 3.0))
        base = np.asarray(pdf.rates(middle))
        np.testing.assert_allclose(two - base, 3.0 * (one - base), rtol=1e-9, atol=1e-9)
