"""Nothing to determine: a signal that is none, a coupling that has no slope where it starts."""

from __future__ import annotations

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import errors, inference, models
from bknn.cli import main

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

SENTENCE = "the data do not determine mu: no expected count depends on it"


def workspace(signal: float) -> dict[str, Any]:
    mu = {"name": "mu", "type": "normfactor", "data": None}
    scale = {"name": "k", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    samples = [
        {"name": "s", "data": [signal, signal], "modifiers": [mu]},
        {"name": "b", "data": [5.0, 8.0], "modifiers": [scale]},
    ]
    return {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": [7.0, 9.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def strength(signal: float) -> bknn.Analysis:
    measurement = bknn.Measurement(name="made", title="made", workspace=workspace(signal))
    return bknn.Analysis(models.load("signal-strength"), measurement)


@pytest.fixture(scope="module", params=[0.0, pytest.param(1e-300, marks=pytest.mark.slow)])
def nothing(request: pytest.FixtureRequest) -> bknn.Analysis:
    return strength(request.param)


def test_a_fit_says_what_is_not_determined(nothing):
    result = inference.fit(nothing)
    assert not result.converged
    assert result.status.startswith(SENTENCE)
    assert result.uncertainties["mu"] == np.inf
    assert 0 < result.uncertainties["k"] < 1
    with pytest.raises(errors.FitError, match=SENTENCE):
        result.check()
    # With nothing to determine there is nothing wrong.
    assert inference.fit(nothing, fixed={"mu": 1.0}).converged


@pytest.mark.slow
def test_what_is_asked_of_it(nothing):
    for question in (inference.significance, lambda a: inference.impacts(a, "mu")):
        with pytest.raises(errors.FitError, match=SENTENCE):
            question(nothing)
    curve = inference.profile(nothing, {"mu": [-1.0, 0.0, 1.0]})
    np.testing.assert_allclose(curve.delta, 0.0, atol=1e-9)
    assert "the data do not determine mu" in curve.status
    interval = inference.intervals(nothing)["mu", 0.68]
    assert (interval.low, interval.high) == (-10.0, 50.0)
    assert "the data do not tell" in interval.status
    found = inference.limit(nothing, "mu")
    assert found.observed[0] == np.inf
    assert "its upper bound, is not excluded" in found.status


def test_the_shell_says_so_and_returns_1(tmp_path, capsys):
    path = tmp_path / "nothing.json"
    path.write_text(json.dumps(workspace(0.0)))
    assert main(["fit", "signal-strength", "--data", str(path)]) == 1
    out, err = capsys.readouterr()
    assert SENTENCE in out
    assert "not determined" in out
    assert "do not use its numbers" in err


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, pytest.param(1e-9, marks=pytest.mark.slow)])
def test_a_coupling_at_zero_has_no_slope(start):
    """The square counts: from 0, too, the fit finds what it finds from elsewhere."""

    def model(start: float) -> Any:
        return models.from_spectrum(
            lambda q2, x: 1e-6 * x**2 * jnp.ones_like(q2), {"x": (start, -5.0, 5.0)}
        )

    found = inference.fit(bknn.Analysis(model(start), small.measurement())).check()
    other = inference.fit(bknn.Analysis(model(1.0), small.measurement())).check()
    assert found.twice_nll == pytest.approx(float(other.twice_nll), abs=1e-7)
    assert np.isfinite(found.uncertainties["x"])


def test_a_coupling_whose_square_vanishes():
    model = models.from_spectrum(
        lambda q2, x: x**2 * jnp.ones_like(q2), {"x": (1e-170, 0.0, 1e-169)}
    )
    result = inference.fit(bknn.Analysis(model, small.measurement()))
    assert not result.converged
    assert "the data do not determine x" in result.status
