"""Projected measurements, as pyhf reads them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.derived.luminosity import RULES, project
from bknn.studies.power import Hypothesis, power

from ..unit import small

pyhf = pytest.importorskip("pyhf")

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [r if r == "statistical" else pytest.param(r, marks=pytest.mark.slow) for r in RULES],
)
def test_expected_significance(rule):
    """pyhf fits mu = 0 to what it expects of mu = 1: q_0 of Asimov data, arXiv:1007.1727."""
    future = project(small.measurement(), 5.0, base=1.0, systematics=rule, floor=0.5)
    model = pyhf.Workspace(future.workspace).model()
    data = model.expected_data(model.config.suggested_init())
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-12))
    try:
        q = pyhf.infer.test_statistics.q0(
            0.0,
            data,
            model,
            model.config.suggested_init(),
            model.config.suggested_bounds(),
            model.config.suggested_fixed(),
        )
    finally:
        pyhf.set_backend("numpy")
    analysis = bknn.Analysis(models.load("signal-strength"), future)
    found = power(
        [
            Hypothesis("signal", analysis, {"mu": 1.0}),
            Hypothesis("nothing", analysis, {"mu": 0.0}, {"mu": 0.0}),
        ]
    )
    assert found.z[0, 1] == pytest.approx(math.sqrt(float(q)), abs=2e-4)


@pytest.mark.slow
def test_log_pdf_of_the_projected_belle2_likelihood():
    """A valid workspace, with the log pdf that pyhf gives it."""
    future = project(bknn.data.load("belle2-2025").select("hadronic"), 5.0, base=0.362)
    model = pyhf.Workspace(future.workspace).model()
    start = np.asarray(model.config.suggested_init())
    analysis = bknn.Analysis(models.load("signal-strength"), future)
    data = [
        *np.concatenate([future.observed[c] for c in model.config.channels]),
        *model.config.auxdata,
    ]
    ours = float(analysis.log_likelihood(analysis.init))
    assert ours == pytest.approx(float(model.logpdf(start, data)[0]), rel=1e-10)
    asimov = inference.asimov(analysis, analysis.init)
    assert np.allclose(asimov.counts, model.expected_actualdata(start))
