"""Generated workspaces through everything that a fit needs, against pyhf and minuit.

The likelihood is pyhf's throughout: its value at our minimum, the lowest that minuit finds of it,
its first and second differences there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

import jax
import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data
from bknn.data import Measurement

from .reference import Reference, pyhf, pyhf_speaks_softly
from .workspaces import Workspace, generate_analysis

#: One in so many of a night's workspaces is as large as they come; minuit takes a minute for it.
LARGE = 20


def analysis_of(workspace: Workspace) -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), Measurement("w", "generated", workspace))


class Peer:
    """pyhf's -2 log pdf over our parameters and data."""

    def __init__(self, workspace: Workspace, analysis: bknn.Analysis) -> None:
        self.reference = Reference(workspace)
        ours = [name.replace(" ", "") for name in analysis.names]
        self.order = [ours.index(name.replace(" ", "")) for name in self.reference.names]
        self.pdf = analysis.parts[0].pdf

    def twice_nll(self, vector: np.ndarray, data: Data) -> float:
        auxiliary = np.array(self.pdf.auxdata)
        auxiliary[self.pdf.normal[1]] = data.normal
        auxiliary[self.pdf.poisson[1]] = data.poisson
        row = np.concatenate([data.counts, auxiliary])
        return -2 * self.reference.at(np.asarray(vector)[self.order], row).log_prob

    def lowest(self) -> float:
        """What minuit finds, from pyhf's starting point within pyhf's bounds."""
        with pyhf_speaks_softly():
            pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(maxiter=1_000_000))
            data = self.reference.data.tolist()
            fitted = pyhf.infer.mle.fit(data, self.reference.model, return_fitted_val=True)
        return float(fitted[1])


def with_toys(analysis: bknn.Analysis, rng: np.random.Generator, n: int) -> Data:
    """The observation, and below it what else could have come out, (1 + n, ...)."""
    observed = analysis.data
    rates = np.asarray(jax.jit(analysis.rates)(analysis.init_vector))
    index, _, widths = analysis.normal
    at, _, factors = analysis.poisson
    centre, expected = analysis.init_vector[index], analysis.init_vector[at] * factors
    thrown = (
        rng.poisson(rates, (n, len(rates))),
        rng.normal(centre, widths, (n, len(index))),
        rng.poisson(expected, (n, len(at))),
    )
    return Data(*(np.vstack([a, b]) for a, b in zip(observed, thrown, strict=True)))


def assert_fits(workspace: Workspace, *, minuit: bool = True) -> bknn.Analysis:
    """The observation and two toys side by side: one program."""
    analysis = analysis_of(workspace)
    peer = Peer(workspace, analysis)
    data = with_toys(analysis, np.random.default_rng(1), 2)
    result = inference.fit(analysis, data=data)
    assert result.converged.all(), result.status
    for i, vector in enumerate(result.vector):
        row = Data(*(x[i] for x in data))
        value = peer.twice_nll(vector, row)
        assert value == pytest.approx(float(result.twice_nll[i]), abs=1e-8)
        assert_slope_and_curvature(lambda v, row=row: peer.twice_nll(v, row), result[i])
    if minuit:
        assert float(result.twice_nll[0]) <= peer.lowest() + 1e-6
    return analysis


def assert_slope_and_curvature(twice_nll: Callable[[np.ndarray], float], fit: Any) -> None:
    """Differences of pyhf's likelihood against our gradient, which is zero, and our Hessian.

    With C the covariance, a move C h / sqrt(h C h) raises -2 log L by 1, whatever h is.
    """
    inside = fit.moving & ~fit._at_bound(fit.vector)
    covariance = fit.covariance
    assert np.isfinite(covariance).all()
    rng = np.random.default_rng(2)
    for _ in range(3):
        h = rng.normal(size=len(inside)) / np.sqrt(np.where(inside, np.diag(covariance), 1.0))
        move = 1e-2 * covariance @ h / np.sqrt(h @ covariance @ h)
        up, here, down = (twice_nll(fit.vector + sign * move) for sign in (1, 0, -1))
        assert up - 2 * here + down == pytest.approx(2e-4, rel=2e-3)
        assert abs(up - down) < 1e-5  # 1e-8 of rounding, and the third derivatives


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(
    ("seed", "bins", "nuisances"),
    [(17, 15, 20), *(pytest.param(s, 60, 60, marks=pytest.mark.slow) for s in (7, 13, 16, 17))],
)
def test_generated(seed: int, bins: int, nuisances: int) -> None:
    assert_fits(generate_analysis(Random(seed), bins, nuisances))


@pytest.mark.nightly
@pytest.mark.usefixtures("quick_compilation")
def test_three_thousand() -> None:
    """BKNN_FUZZ_SEED repeats a night; it is printed, and different in every run without it."""
    start = int(os.environ.get("BKNN_FUZZ_SEED") or Random().randrange(10**9))
    print(f"BKNN_FUZZ_SEED={start}")
    failures = []
    for seed in range(start, start + 3000):
        rng = Random(seed)
        size = (60, 300) if seed % LARGE == 0 else (rng.randint(3, 30), rng.randint(0, 40))
        try:
            analysis = assert_fits(generate_analysis(rng, *size))
            toys = inference.toys(analysis, analysis.init, 5, hypotheses={"SM": {"mu": 1.0}})
            assert not toys.failed.count, toys.failed
            assert (toys.statistic("SM") >= 0).all()
        except Exception as problem:
            failures.append(f"seed {seed}, {size}: {problem}")
    assert not failures, f"{len(failures)} of 3000:\n" + "\n".join(failures[:20])
