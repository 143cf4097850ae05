"""Profiles and intervals against pyhf's fits and iminuit's MINOS."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
import pytest

import bknn
from bknn import models
from bknn.inference.estimate import ONE_SIGMA
from bknn.inference.profiles.held import Points
from bknn.inference.profiles.intervals import intervals
from bknn.inference.profiles.profile import profile

from ..unit import small
from .workspaces import belle2_workspace

pyhf = pytest.importorskip("pyhf")
iminuit = pytest.importorskip("iminuit")

Calling = Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def belle2() -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))


@pytest.fixture(scope="module")
def at_minimum(belle2: bknn.Analysis) -> Points:
    return Points(belle2, ["mu"])


def ordered(model: Any, analysis: bknn.Analysis, vector: np.ndarray) -> list[float]:
    """A vector in pyhf's order."""
    return [float(vector[analysis.index(name)]) for name in named(model)]


def named(model: Any) -> list[str]:
    """pyhf's parameters, as we call them."""
    return [name.replace(" ", "") for name in model.config.par_names]


@pytest.mark.slow
def test_profile_of_a_small_workspace_is_that_of_pyhf(calling_peers: Calling) -> None:
    analysis = bknn.Analysis(models.load("signal-strength"), small.measurement())
    grid = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
    curve = profile(analysis, {"mu": grid})
    with calling_peers():
        pyhf.set_backend("jax", pyhf.optimize.minuit_optimizer(tolerance=1e-4))
        model, data = of_pyhf(small.workspace())
        found = [
            float(pyhf.infer.mle.fixed_poi_fit(mu, data, model, return_fitted_val=True)[1])
            for mu in grid
        ]
        lowest = float(pyhf.infer.mle.fit(data, model, return_fitted_val=True)[1])
    np.testing.assert_allclose(curve.twice_nll, found, atol=1e-5)
    np.testing.assert_allclose(curve.delta, np.array(found) - lowest, rtol=1e-3, atol=2e-5)


def of_pyhf(workspace: dict[str, Any]) -> tuple[Any, Any]:
    spec = pyhf.Workspace(workspace)
    model = spec.model(
        modifier_settings={
            "normsys": {"interpcode": "code4"},
            "histosys": {"interpcode": "code4p"},
        }
    )
    return model, spec.data(model)


@pytest.mark.slow
def test_intervals_of_a_small_workspace_are_minos(calling_peers: Calling) -> None:
    """pyhf's likelihood under iminuit, which never sees ours."""
    analysis = bknn.Analysis(models.load("signal-strength"), small.measurement())
    names = ["mu", "k_b"]
    found = intervals(analysis, names)
    with calling_peers():
        pyhf.set_backend("numpy")
        model, data = of_pyhf(small.workspace())
        minuit = iminuit.Minuit(
            lambda v: -2 * float(model.logpdf(v, data)[0]),
            ordered(model, analysis, np.asarray(found.best.vector)),
            name=model.config.par_names,
        )
        minuit.limits = model.config.suggested_bounds()
        minuit.limits["mu"] = tuple(analysis.bounds[0])
        minuit.errordef, minuit.strategy, minuit.tol = 1.0, 2, 1e-3
        minuit.migrad()
        for name, level in (("mu", 0.95), ("k_b", ONE_SIGMA)):
            minuit.minos(name, cl=level)
            ours, theirs = found[name, level], minuit.merrors[name]
            assert theirs.is_valid
            assert theirs.lower == pytest.approx(ours.low - ours.value, rel=1e-3)
            assert theirs.upper == pytest.approx(ours.high - ours.value, rel=1e-3)


@pytest.mark.slow
def test_intervals_of_belle2_are_minos(belle2: bknn.Analysis, at_minimum: Points) -> None:
    """iminuit with our likelihood and gradient: its own minimiser and its own crossings."""
    found = intervals(belle2, best=at_minimum.best)
    both = jax.jit(jax.value_and_grad(lambda v: -2 * belle2.log_density(v)))
    minuit = iminuit.Minuit(
        lambda v: float(both(v)[0]),
        np.asarray(at_minimum.best.vector),
        grad=lambda v: np.asarray(both(v)[1]),
        name=belle2.names,
    )
    minuit.limits = [tuple(b) for b in belle2.bounds]
    minuit.errordef, minuit.tol = 1.0, 1e-3
    minuit.migrad()
    assert minuit.fval == pytest.approx(float(at_minimum.best.twice_nll), abs=1e-5)
    for level in (ONE_SIGMA, 0.95):
        minuit.minos("mu", cl=level)
        ours, theirs = found["mu", level], minuit.merrors["mu"]
        assert theirs.is_valid
        assert theirs.lower == pytest.approx(ours.low - ours.value, rel=1e-3)
        assert theirs.upper == pytest.approx(ours.high - ours.value, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("mu", [0.0, 8.0])
def test_profile_of_belle2_is_that_of_pyhf(
    belle2: bknn.Analysis, at_minimum: Points, calling_peers: Calling, mu: float
) -> None:
    """pyhf begins at our free minimum, far from ours at mu. It may find a lower one; but it stops
    up to 3e-3 early, and may call that a failure."""
    found = at_minimum.find(np.array([[mu]]))
    twice_nll = float(found.twice_nll[0])
    with calling_peers():
        pyhf.set_backend("jax", pyhf.optimize.minuit_optimizer())
        model, data = of_pyhf(belle2_workspace())
        best = ordered(model, belle2, np.asarray(at_minimum.best.vector))
        lowest = -2 * float(model.logpdf(np.array(best), data)[0])
        best[model.config.poi_index] = mu
        try:
            _, value = pyhf.infer.mle.fixed_poi_fit(
                mu, data, model, init_pars=best, return_fitted_val=True
            )
        except pyhf.exceptions.FailedMinimization as failure:
            value = failure.result.fun
        at_start = -2 * float(model.logpdf(np.array(best), data)[0])
    assert at_start > twice_nll + 1.0
    assert float(value) == pytest.approx(twice_nll, abs=5e-3)
    assert twice_nll < float(value) + 1e-6
    delta = twice_nll - float(at_minimum.best.twice_nll)
    assert float(value) - lowest == pytest.approx(delta, rel=1e-3)
