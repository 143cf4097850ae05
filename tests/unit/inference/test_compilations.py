"""What is held, observed or begun with is an argument: programs are compiled once for all of it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
    "population": lambda analysis, mass: sample(analysis, mass, "population"),
}


SLOW = {"nuts", "tempered", "population"}


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


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_two_hundred_masses_compile_as_much_as_one(analysis, name):
    WORK[name](analysis, 1.0)
    with counted() as compiled:
        for mass in np.linspace(0.5, 2.5, 200):
            WORK[name](analysis, float(mass))
    # Fits that come often one at a time get a program for that.
    assert len(compiled) <= (name == "fit")
    maps, _ = held()
    assert maps < 20_000


def held() -> tuple[int, float]:
    """Return the pieces of memory that this process has, and how large they are together, MB."""
    maps = Path("/proc/self/maps").read_text().count("\n")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return maps, pages * resource.getpagesize() / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux tells, others do not")
@pytest.mark.parametrize(("name", "n"), [("signal-strength", 300), ("scalar-pair", 40)])
def test_analyses_that_are_let_go_leave_nothing(name, n):
    """Each has its own programs; some wait for Python to look for circles."""
    found = []
    for i in range(n):
        one = bknn.Analysis(models.load(name), one_bin(10.0 + i % 7))
        assert np.isfinite(float(one.log_likelihood(one.init)))
        inference.fit(one)
        found.append(held())
    maps, size = np.array(found).T
    assert maps[10:].max() < maps[:10].max() + 5000
    assert np.median(size[-n // 4 :]) < np.median(size[10 : n // 2]) + 50
