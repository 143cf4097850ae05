"""One solver serves all models: what it is told of a model is all that a model is to a fit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data
from bknn.inference.fits.fit import compiled
from bknn.inference.minimiser import solver
from bknn.inference.minimiser.fits_of_analysis import fits_of
from bknn.inference.minimiser.tangent import local
from bknn.parameters import Parameter

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: A strength alone; a mass that moves; thresholds, with form factors that other data constrain.
MODELS = ("signal-strength", "resonance", "scalar-pair")


@pytest.fixture(scope="module")
def analyses() -> dict[str, bknn.Analysis]:
    data = small.measurement()
    return {name: bknn.Analysis(models.load(name), data) for name in MODELS}


def point(target: bknn.Analysis) -> np.ndarray:
    """A vector off the start, the same for all that call."""
    random = np.random.default_rng(1)
    vector = np.array(target.init_vector)
    return vector + 0.03 * random.normal(size=vector.shape) * np.maximum(np.abs(vector), 0.1)


@pytest.mark.parametrize("name", MODELS)
def test_rates_and_derivatives_are_those_of_the_model(name, analyses):
    """Handed over as numbers; the derivatives against those through the model itself."""
    target = analyses[name]
    fits, vector = fits_of(target), point(analyses[name])
    there = jnp.asarray(fits._vectors(vector[None])[0])
    n, room = len(target.parameters), fits.solver.room
    density = fits.solver.density(jax.jit(lambda p: local(target.signal, p, room))(vector[:n]))
    both = jax.jit(lambda v: (target.rates(v), jax.jacfwd(target.rates)(v)))
    rates, slopes = (np.asarray(x) for x in both(vector))
    np.testing.assert_allclose(jax.jit(density.rates)(there), rates, rtol=1e-12)
    found = np.asarray(jax.jit(jax.jacfwd(density.rates))(there))
    size = np.abs(slopes).max(axis=0) + 1e-300
    np.testing.assert_allclose(found[:, fits.place] / size, slopes / size, atol=1e-9)


@pytest.mark.parametrize("name", [*MODELS[:2], pytest.param(MODELS[2], marks=pytest.mark.slow)])
def test_the_hessian_is_that_of_the_model(name, analyses):
    target, vector = analyses[name], point(analyses[name])
    expected = np.asarray(jax.jit(jax.hessian(lambda v: -target.log_density(v)))(vector))
    found = fits_of(target).hessian(vector, target.data)
    size = np.sqrt(np.abs(np.diag(expected))) + 1e-300
    np.testing.assert_allclose(
        found / np.outer(size, size), expected / np.outer(size, size), atol=1e-8
    )


def test_models_share_a_solver(analyses):
    """Those of five to twelve parameters; what changes the counts alone is another data set."""
    one, two, more = (fits_of(analyses[name]).solver for name in MODELS)
    line = bknn.Analysis(models.load("scalar"), small.measurement())
    assert fits_of(line).solver is more
    assert len({one, two, more}) == 3
    inference.fit(analyses["signal-strength"])
    steps = next(p for p in one.programs if p.purpose == "step of fits")
    before = steps.compilations
    other = bknn.Analysis(models.load("signal-strength"), small.measurement())
    inference.fit(other, data=inference.throw(other, other.init_vector, 1, seed=1))
    assert fits_of(other).solver is one
    assert steps.compilations == before


@pytest.mark.slow
def test_constraints_of_a_model_against_gradients():
    """A parameter that other measurements constrain, thrown off its centre."""

    def rate(q2, size, tilt):
        return size * (1.0 + tilt * q2 / 20.0) * 1e-7

    tilt = Parameter("tilt", 0.3, (-0.9, 5.0), constraint=(0.4, 0.2))
    model = models.from_spectrum(rate, {"size": (1.0, 0.0, 50.0), "tilt": tilt})
    target = bknn.Analysis(model, small.measurement())
    data = Data(target.data.counts, np.array(target.data.normal), target.data.poisson)
    data.normal[np.flatnonzero(target.normal[0] == target.index("tilt"))] = 0.7
    newton = inference.fit(target, data=data)
    other = inference.fit(target, data=data, method="lbfgs")
    assert newton.twice_nll == pytest.approx(float(other.twice_nll), abs=1e-6)
    np.testing.assert_allclose(newton.vector, other.vector, atol=2e-3)


@pytest.mark.slow
def test_more_fits_than_lanes(analyses):
    """Where a fit ends the next begins; to the last digit each is what it is among others."""
    target = analyses["signal-strength"]
    data = inference.throw(target, target.init_vector, 40, seed=2)
    starts = np.tile(target.init_vector, (40, 1))
    moving = np.ones(starts.shape, bool)
    moving[::3, target.index("mu")] = False
    program = compiled(target)
    found = program(starts, data, moving, lanes=8)
    for first in range(0, 40, 8):
        some = slice(first, first + 8)
        own = Data(*(x[some] for x in data))
        alone = program(starts[some], own, moving[some], lanes=8)
        for whole, own in zip(found, alone, strict=True):
            np.testing.assert_array_equal(whole[some], own)
    np.testing.assert_array_equal(found.vector[::3, 0], starts[::3, 0])


@pytest.mark.slow
@pytest.mark.parametrize("fixed", [{}, {"mass": 2.0}])
def test_fits_that_come_often(fixed, analyses, monkeypatch):
    """One at a time, they get a program of their own in the end."""
    target = analyses["resonance"]
    first = inference.fit(target, fixed=fixed)
    monkeypatch.setattr(solver, "_OFTEN", 0)
    again = inference.fit(target, fixed=fixed)
    often = [p.purpose for p in target.programs if p.purpose == "fits, one at a time"]
    assert len(often) == (1 if fixed else 0)  # many starts are done side by side
    assert again.twice_nll == pytest.approx(float(first.twice_nll), abs=1e-9)
    np.testing.assert_allclose(again.vector, first.vector, atol=1e-4)


def test_programs_go_with_a_word(analyses):
    target = analyses["resonance"]
    inference.fit(target, fixed={"mass": 2.0})
    assert any(p.purpose.startswith("signal") for p in target.programs)
    target.programs.release()
    assert len(target.programs) == 0
    assert inference.fit(target, fixed={"mass": 2.0}).converged
