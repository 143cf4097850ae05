"""Nested sampling: blackjax's population on our ellipses finds integrals that are known."""

from __future__ import annotations

import sys

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy import special

import bknn
from bknn import errors, inference, models
from bknn.inference.evidences.nested import log_evidences, nested
from bknn.inference.samplers.whitening import LogWeight

CENTRES = np.array([[1.5, 0.0, 0.5, 0.0], [-1.5, 0.0, 0.5, 0.0]])
WIDTHS = np.array([0.1, 0.2])
SHARES = np.log([0.3, 0.7])


def log_peaks(w: Array) -> Array:
    """Two peaks, normalised, far apart (n,) -> ()."""
    distance = jnp.sum((w[None, :] - CENTRES) ** 2, axis=1)
    norm = 4 * np.log(WIDTHS) + 2 * np.log(2 * np.pi)
    terms = SHARES - norm - 0.5 * distance / WIDTHS**2
    return jnp.logaddexp(terms[0], terms[1])


def log_mean() -> float:
    """The logarithm of its mean over the standard normal density."""
    variance = 1 + WIDTHS**2
    terms = SHARES - 2 * np.log(2 * np.pi * variance) - 0.5 * np.sum(CENTRES**2, 1) / variance
    return float(special.logsumexp(terms))


@pytest.mark.slow
def test_two_narrow_peaks() -> None:
    pytest.importorskip("blackjax")
    done: list[int] = []
    found = nested(LogWeight(log_peaks), 4, live=400, seed=3, progress=done.append)
    assert abs(found.value - log_mean()) < 3 * found.error
    assert 0.1 < found.error < 0.2
    assert found.method == "nested"
    assert sum(done) > 400


def test_books_without_a_sampler() -> None:
    """Draws above each floor by their known distribution: L = X^-1/2, whose integral is 2."""
    random = np.random.default_rng(1)
    live = 200
    volumes = np.concatenate([random.uniform(size=live)])
    births = np.full(live, np.nan)
    dead: list[tuple[float, float]] = []
    for _ in range(20 * live):
        worst = int(np.argmax(volumes))
        floor = -0.5 * np.log(volumes[worst])
        dead.append((births[worst], floor))
        volumes[worst] *= random.uniform()
        births[worst] = floor
    born = np.append([b for b, _ in dead], births)
    died = np.append([d for _, d in dead], -0.5 * np.log(volumes))
    values = log_evidences(born, died)
    assert abs(np.mean(values) - np.log(2.0)) < 3 * np.std(values)
    # Information: the mean of log L / Z over the density X^-1/2 / 2 is 1 - log 2.
    expected = np.sqrt((1 - np.log(2.0)) / live)
    assert 0.5 * expected < np.std(values) < 2 * expected


def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blackjax.ns", None)
    with pytest.raises(errors.ParameterError, match=r"pip install 'bknn\[nested\]'"):
        nested(LogWeight(log_peaks), 4)


def test_too_few_live_points() -> None:
    with pytest.raises(errors.ParameterError, match="at least"):
        nested(LogWeight(log_peaks), 4, live=3)


def test_a_likelihood_that_vanishes() -> None:
    pytest.importorskip("blackjax")
    with pytest.raises(errors.ParameterError, match="vanishes"):
        nested(LogWeight(lambda w: jnp.full_like(w[0], -jnp.inf)), 2, live=100)


@pytest.mark.slow
def test_all_nuisances_of_belle2() -> None:
    """232 dimensions: three methods that share little agree."""
    pytest.importorskip("blackjax")
    analysis = bknn.Analysis(
        models.load("resonance"),
        bknn.data.load("belle2-2025"),
        free=["width"],
        priors={"mass": "uniform(1.5, 3.0)", "branching_ratio": "uniform(0, 24e-6)"},
    )
    found = inference.evidence(
        analysis,
        fixed={"width": 0.1, "mass": 2.1, "branching_ratio": 0.0},
        methods=("tempering", "bridge", "nested"),
    )
    values = {e.method: e for e in found.estimates}
    assert set(values) == {"tempering", "bridge", "nested"}
    for name in ("tempering", "bridge"):
        other = values[name]
        error = np.hypot(other.error, values["nested"].error)
        assert abs(values["nested"].value - other.value) < 3 * error
