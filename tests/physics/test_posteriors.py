"""Posteriors and evidences of the public Belle II likelihood, beside what was published."""

from __future__ import annotations

import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.cli import main

bknn.enable_x64()

#: arXiv:2507.12393: posterior mode and 95% intervals of |C_VL + C_VR|, |C_SL + C_SR|, |C_TL|.
WET = {
    "C_VL": (11.3, (1.9, 16.2)),
    "C_SL": (0.0, (0.0, 15.4)),
    "C_TL": (8.2, (0.0, 11.2)),
}

#: arXiv:2602.09666, table I: width, and ends of the uniform priors of mass and branching fraction.
PRIORS = {0.1: ((1.5, 3.0), 24e-6), 0.5: ((1.5, 3.2), 32e-6)}


def resonance(width: float, **priors: str) -> bknn.Analysis:
    (low, high), most = PRIORS[width]
    given = {"mass": f"uniform({low}, {high})", "branching_ratio": f"uniform(0, {most})"}
    return bknn.Analysis(
        models.load("resonance"),
        bknn.data.load("belle2-2025"),
        free=["width"],
        priors={**given, **priors},
    )


@pytest.mark.slow
def test_all_232_parameters():
    """Four chains of the whole likelihood: every parameter, no divergence, and the profile's mu."""
    analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    posterior = inference.sample(analysis, draws=1000, seed=1)
    assert posterior.converged, posterior.status
    assert posterior.divergences == 0
    assert np.nanmax(posterior.r_hat) < 1.01
    assert min(np.nanmin(posterior.ess_bulk), np.nanmin(posterior.ess_tail)) > 400
    # The likelihood of mu is close to normal: the posterior is near its fit, 4.60 +- 1.33.
    found = posterior.summary("mu")
    assert found["mean"] == pytest.approx(4.52, abs=0.12)
    assert found["mode"] == pytest.approx(4.599, abs=0.01)
    np.testing.assert_allclose(found["hdi_68"], (3.16, 5.83), atol=0.2)


@pytest.mark.slow
def test_nuisances_integrated_out():
    """Laplace's method instead of chains."""
    analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
    found = inference.sample(analysis, draws=2000, seed=1).summary("mu")
    grid = inference.marginal(analysis, {"mu": np.linspace(-3, 13, 65)})
    assert grid.mean("mu") == pytest.approx(found["mean"], abs=0.12)
    np.testing.assert_allclose(grid.highest_density("mu", 0.6827)[0], found["hdi_68"], atol=0.2)


@pytest.mark.slow
def test_wet():
    """The posterior of the public analysis, to its letter: reweighted bins, inputs of EOS."""
    model = models.load("wet", inputs="eos-1.0.21")
    analysis = bknn.Analysis(model, bknn.data.load("belle2-2025"), response="reweighting")
    posterior = inference.sample(analysis, method="tempered", draws=4000)
    assert posterior.converged, posterior.status
    for name, (mode, interval) in WET.items():
        found = posterior.summary(name)
        assert found["mode"] == pytest.approx(mode, abs=0.25)
        np.testing.assert_allclose(found["hdi_95"], interval, atol=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "mass", "branching_ratio"),
    [(0.1, 2.113, 9.02e-6), (0.5, 2.220, 10.9e-6)],
)
def test_resonance(width, mass, branching_ratio):
    """With uniform priors the mode is the best fit; two samplers, two evidences, and a grid."""
    analysis = resonance(width)
    fixed = {"width": width}
    posteriors = [
        inference.sample(analysis, fixed=fixed, method=method, draws=2000, seed=3)
        for method in ("nuts", "tempered")
    ]
    (low, high), most = PRIORS[width]
    over = {"mass": np.linspace(low, high, 61), "branching_ratio": np.linspace(0, most, 49)}
    grid = inference.marginal(analysis, over, fixed=fixed)
    assert grid.converged.all()
    for posterior in posteriors:
        assert posterior.converged, posterior.status
        for name, best, scale in (("mass", mass, 0.1), ("branching_ratio", branching_ratio, 2e-6)):
            found = posterior.summary(name)
            assert found["mode"] == pytest.approx(best, abs=0.05 * scale)
            assert grid.mean(name) == pytest.approx(found["mean"], abs=0.25 * scale)
    found = inference.evidence(analysis, fixed=fixed)
    assert found.converged, found.status
    null = inference.evidence(analysis, fixed={**fixed, "branching_ratio": 0.0, "mass": 2.1})
    assert null.converged, null.status
    # Laplace's Savage-Dickey ratio and the evidences: no step of the two is the same.
    ratio = found.value - null.value
    error = np.hypot(found.error, null.error)
    assert -grid.savage_dickey("branching_ratio", 0.0).value == pytest.approx(
        ratio, abs=3 * error + 0.05
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", models.available())
def test_defaults_converge(model):
    """`bknn sample MODEL`; `benchmarks/default_posteriors.py` prints the numbers."""
    assert main(["sample", model, "--predictive", "0"]) == 0
