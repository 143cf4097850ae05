"""Limits are pyhf's: asymptotic CLs, observed and expected, and q~ of every toy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data
from bknn.inference.limits.conditional_fits import Conditional, Ensemble
from bknn.inference.limits.limit import BAND, limit

from .workspaces import Workspace, one_channel

pyhf = pytest.importorskip("pyhf")

Quiet = Callable[[], AbstractContextManager[None]]


def workspace(counts: list[float]) -> Workspace:
    """Two bins; background with a normalisation, a shape, and finite simulated samples."""
    spec = one_channel(
        {
            "signal": ([6.0, 4.0], [("normfactor", "mu", None)]),
            "background": (
                [30.0, 22.0],
                [
                    ("normsys", "norm", {"lo": 0.9, "hi": 1.12}),
                    ("histosys", "shape", {"lo_data": [28.0, 23.0], "hi_data": [32.5, 21.0]}),
                    ("shapesys", "side", [4.0, 3.0]),
                ],
            ),
        },
        counts,
    )
    spec["measurements"][0]["config"]["poi"] = "mu"
    return spec


def both(counts: list[float]) -> tuple[bknn.Analysis, Any, Any]:
    spec = workspace(counts)
    analysis = bknn.Analysis(
        models.load("signal-strength"), bknn.Measurement("two bins", "two bins", spec)
    )
    space = pyhf.Workspace(spec)
    model = space.model()
    return analysis, model, space.data(model)


@pytest.fixture(scope="module")
def analysis() -> bknn.Analysis:
    return both([34.0, 27.0])[0]


@pytest.mark.slow
def test_cls_at_the_limits(analysis: bknn.Analysis) -> None:
    """pyhf's CLs is 5 % at our limits, observed and expected."""
    _, model, data = both([34.0, 27.0])
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-9))
    found = limit(analysis, "mu")
    observed = pyhf.infer.hypotest(found.observed[0], data, model)
    assert float(observed) == pytest.approx(0.05, rel=2e-3)
    _, band = pyhf.infer.hypotest(found.expected[1][0], data, model, return_expected_set=True)
    assert float(band[BAND.index(1)]) == pytest.approx(0.05, rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [[34.0, 27.0], [21.0, 18.0], [55.0, 30.0]])
def test_upper_limits(analysis: bknn.Analysis, counts: list[float]) -> None:
    """A surplus, a deficit, an excess; pyhf's own root search."""
    _, model, data = both(counts)
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-9))
    observed, expected = pyhf.infer.intervals.upper_limits.upper_limit(data, model)
    own = Data(np.array(counts), analysis.data.normal, analysis.data.poisson)
    found = limit(analysis, "mu", data=own)
    assert found.observed[0] == pytest.approx(float(observed), rel=1e-3)
    for sigma, value in zip(BAND, expected, strict=True):
        assert found.expected[sigma][0] == pytest.approx(float(value), rel=1e-3)


def as_pyhf(analysis: bknn.Analysis, model: Any, toys: Data) -> np.ndarray:
    """Toys as pyhf wants them: counts, then auxiliary data in the order of the model."""
    position = {int(p): ("normal", i) for i, p in enumerate(analysis.normal[0])}
    position |= {int(p): ("poisson", i) for i, p in enumerate(analysis.poisson[0])}
    columns = [np.asarray(toys.counts)]
    for name in model.config.auxdata_order:
        where = analysis.nuisances[name]
        for p in range(where.start, where.stop):
            kind, i = position[p]
            columns.append(np.asarray(getattr(toys, kind))[:, [i]])
    return np.concatenate(columns, axis=1)


@pytest.mark.slow
def test_q_of_toys(analysis: bknn.Analysis) -> None:
    """q~ of the same toys, of background with a deficit in every second one."""
    _, model, _ = both([34.0, 27.0])
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-9))
    null = inference.fit(analysis, fixed={"mu": 0.0}).check()
    toys = inference.throw(analysis, null.vector, 20, seed=5)
    fits = Conditional(analysis, "mu", lowest=0.0, rows=20)
    values = np.array([0.7, 1.8])
    vectors = np.stack([inference.fit(analysis, fixed={"mu": v}).vector for v in values])
    (found,) = fits.toys([Ensemble(0, null.vector, 20, 5, values, vectors)])
    assert found.ok.all()
    settings = (model.config.suggested_init(), model.config.suggested_bounds())
    fixed = model.config.suggested_fixed()
    for j, mu in enumerate(values):
        own = np.where(found.best > mu, 0.0, found.above[j])
        for i, data in enumerate(as_pyhf(analysis, model, toys)):
            theirs = pyhf.infer.test_statistics.qmu_tilde(mu, data, model, *settings, fixed)
            assert own[i] == pytest.approx(float(theirs), abs=2e-5)


@pytest.mark.slow
def test_cls_by_toys(analysis: bknn.Analysis) -> None:
    """Other toys, other fits: p values at a value of mu within the errors of both."""
    _, model, data = both([34.0, 27.0])
    pyhf.set_backend("numpy")
    found = limit(analysis, "mu", method="toys", toys=1000, seed=1)
    scan = found.scans[0]
    j = int(np.argmin(np.abs(scan.observed - 0.15)))
    np.random.seed(3)  # noqa: NPY002 - pyhf draws from NumPy's global generator
    n = 250
    # The whole of hypotest needs a NumPy older than 2.4: `percentile(..., interpolation=)`.
    toys = pyhf.infer.calculators.ToyCalculator(data, model, ntoys=n, track_progress=False)
    mu = float(scan.values[j])
    seen = toys.teststatistic(mu)
    with_signal, without = toys.distributions(mu)
    p_signal, p_background = (float(d.pvalue(seen)) for d in (with_signal, without))
    both_p = np.array([[d.pvalue(q) for d in (with_signal, without)] for q in without.samples])
    band = np.quantile(both_p[:, 0] / both_p[:, 1], norm.cdf(BAND))
    for own, theirs in ((scan.p_signal[j], p_signal), (scan.p_background[j], p_background)):
        sigma = np.sqrt(own * (1 - own) * (1 / n + 1 / 1000))
        assert abs(own - theirs) < 4 * sigma + 1e-3
    sigma = scan.observed_error[j] * np.sqrt(1 + 1000 / n)
    assert abs(scan.observed[j] - p_signal / p_background) < 4 * sigma
    for s in (-1, 0, 1):
        own, theirs = scan.expected[s][j], float(band[s + 2])
        assert abs(own - theirs) < 0.25 * own + 0.05
    assert abs(found.observed[0] - limit(analysis, "mu").observed[0]) < 0.1 * found.observed[0]


def in_pyhf_order(model: Any, params: Mapping[str, Any]) -> list[float]:
    names = model.config.par_order
    return [float(x) for name in names for x in np.atleast_1d(np.asarray(params[name]))]


@pytest.mark.slow
def test_belle2(calling_peers: Quiet) -> None:
    """pyhf's CLs at our limits, observed and expected: about ten minutes."""
    measurement = bknn.data.load("belle2-2025")
    analysis = bknn.Analysis(models.load("signal-strength"), measurement)
    found = limit(analysis, "mu")
    fits = Conditional(analysis, "mu", lowest=0.0)
    space = pyhf.Workspace(measurement.workspace)
    settings = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    limits = [found.observed[0], *(found.expected[n][0] for n in BAND)]
    starts = {}
    for mu in limits:
        vector = fits.first(np.zeros(1, int), mu, analysis.data).vector[0]
        starts[float(mu)] = analysis.unflatten(vector)
    with calling_peers():
        pyhf.set_backend("jax", pyhf.optimize.scipy_optimizer(tolerance=1e-10, maxiter=2000))
        model = space.model(modifier_settings=settings)
        data = space.data(model)
        results = [
            pyhf.infer.hypotest(
                mu,
                data,
                model,
                init_pars=in_pyhf_order(model, params),
                return_expected_set=True,
            )
            for mu, params in starts.items()
        ]
    theirs = [results[0][0], *(result[1][k] for k, result in enumerate(results[1:]))]
    for mu, cls in zip(limits, theirs, strict=True):
        print(f"pyhf's CLs at mu = {mu:.5f}: {float(cls):.8f}")
        assert float(cls) == pytest.approx(0.05, rel=1e-3)
