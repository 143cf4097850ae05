"""What is held, observed or begun with is an argument: programs are compiled once for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
import numpy as np
import pytest

import bknn
from bknn import inference, models

from ..small import one_bin

MASSES = (0.6, 1.3, 2.1)


@contextmanager
def counted() -> Iterator[list[float]]:
    """Count what XLA is asked to compile, whoever asks."""
    found: list[float] = []

    def heard(event: str, duration_secs: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)


@pytest.fixture(scope="module")
def analysis(quick_compilation: None) -> bknn.Analysis:
    return bknn.Analysis(models.load("resonance"), one_bin())


def sample(analysis: bknn.Analysis, mass: float, method: str) -> None:
    chains = {"fixed": {"mass": mass}, "chains": 2, "draws": 50, "warmup": 50, "seed": 1}
    posterior = inference.sample(analysis, method=method, target_ess=None, **chains)
    assert np.isfinite(posterior.log_posterior).all()


WORK: dict[str, Callable[[bknn.Analysis, float], object]] = {
    "fit": lambda analysis, mass: inference.fit(analysis, fixed={"mass": mass}).covariance,
    "marginal": lambda analysis, mass: inference.marginal(
        analysis, {"branching_ratio": np.linspace(0.0, 5e-5, 9)}, fixed={"mass": mass}
    ),
    "nuts": lambda analysis, mass: sample(analysis, mass, "nuts"),
    "tempered": lambda analysis, mass: sample(analysis, mass, "tempered"),
}


SLOW = {"tempered"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in WORK]
)
def test_other_masses_compile_nothing(analysis, name):
    work, counts = WORK[name], []
    for mass in MASSES:
        with counted() as compiled:
            work(analysis, mass)
        counts.append(len(compiled))
    assert counts[0] > 0
    assert counts[1:] == [0, 0]
