"""The published results, from the public likelihood.

Expected numbers are from the papers (arXiv:2311.14647, arXiv:2602.09666) and from pyhf 0.7.6 run on
the same workspace, not from this code.
"""

from __future__ import annotations

import dataclasses
from functools import cache

import jax
import numpy as np
import pytest

import bknn
from bknn import inference, models

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def belle2():
    return bknn.data.load("belle2-2025")


@cache
def _strength(channels):
    """The fit of mu, and the rise of -2 log L at mu = 1 and mu = 0."""
    measurement = bknn.data.load("belle2-2025")
    if channels is not None:
        measurement = measurement.select(channels)
    analysis = bknn.Analysis(models.load("signal-strength"), measurement)
    best = inference.fit(analysis).check()
    fixed = [inference.fit(analysis, fixed={"mu": mu}).check() for mu in (1.0, 0.0)]
    return best, np.array([f.twice_nll - best.twice_nll for f in fixed])


@pytest.mark.parametrize(
    ("channels", "mu", "up", "down", "published", "from_sm", "from_none"),
    [
        (None, 4.60, 1.3, 1.3, (4.6, 1.3), 7.377, 11.973),
        pytest.param("inclusive", 5.41, 1.5, 1.5, (5.4, 1.5), 8.600, 12.503, marks=SLOW),
        pytest.param("hadronic", 2.18, 2.4, 2.0, (2.2, 2.2), 0.339, 1.243, marks=SLOW),
    ],
)
def test_signal_strength(channels, mu, up, down, published, from_sm, from_none):
    best, delta = _strength(channels)
    value, sigma = float(best.params["mu"]), float(best.uncertainties["mu"])
    assert value == pytest.approx(mu, abs=0.006)
    # Published with one decimal.
    assert round(value, 1) == published[0]
    assert down - 0.05 <= sigma <= up + 0.05
    assert delta[0] == pytest.approx(from_sm, abs=2e-3)
    assert delta[1] == pytest.approx(from_none, abs=2e-3)


@pytest.mark.slow
def test_significances():
    """2.7 and 3.5 sigma; 2.9 and 3.5; 0.6 and 1.1 (arXiv:2311.14647, section X)."""
    for channels, expected in (
        (None, (2.7, 3.5)),
        ("inclusive", (2.9, 3.5)),
        ("hadronic", (0.6, 1.1)),
    ):
        _, delta = _strength(channels)
        assert tuple(np.round(np.sqrt(delta), 1)) == expected


def test_uncertainty_is_that_of_the_profile():
    """The Hessian's uncertainty against the second difference of the profile likelihood."""
    best, _ = _strength(None)
    mu, step = float(best.params["mu"]), 0.05
    sides = [inference.fit(best.target, fixed={"mu": mu + d}) for d in (-step, step)]
    curvature = (sum(float(f.twice_nll) for f in sides) - 2 * best.twice_nll) / step**2
    assert float(best.uncertainties["mu"]) == pytest.approx(np.sqrt(2 / curvature), rel=1e-4)


def test_minimum_is_where_pyhf_found_it():
    """Minuit stops at -23.33370; a Newton iteration on pyhf's own pdf reaches -23.33428."""
    best, _ = _strength(None)
    assert float(best.twice_nll) == pytest.approx(-23.33428, abs=1e-5)


@pytest.mark.slow
def test_null_folds_to_the_templates(belle2):
    """The spectrum that made the templates gives them back, through the template and folded."""
    from bknn.standard_model import dbr_dq2

    whole = models.from_spectrum(lambda q2, mu: mu * dbr_dq2(q2), {"mu": 1.0})
    folded = bknn.Analysis(whole, belle2)
    template = bknn.Analysis(models.load("signal-strength"), belle2)
    a, b = folded.expected(folded.init), template.expected(template.init)
    for channel, sample in belle2.signal.items():
        np.testing.assert_allclose(b[channel][sample], belle2.template(channel), rtol=1e-12)
        np.testing.assert_allclose(a[channel]["new signal"], belle2.template(channel), rtol=1e-6)


@pytest.fixture(scope="module")
def resonance(belle2):
    return bknn.Analysis(models.load("resonance"), belle2)


@pytest.mark.slow
def test_resonance(resonance):
    """arXiv:2602.09666, posterior modes for 0.1 GeV of width: 2.1 +0.2 -0.1, 9.2 +1.8 -3.4 e-6."""
    best = inference.fit(resonance).check()
    assert 2.0 < float(best.params["mass"]) < 2.3
    assert 5.8e-6 < float(best.params["branching_ratio"]) < 11.0e-6
    # A scan of fixed masses finds no lower minimum.
    masses = np.linspace(0.2, 4.6, 89)
    scan = inference.fit(resonance, fixed={"mass": masses}).check()
    assert scan.twice_nll.min() >= float(best.twice_nll) - 1e-6
    assert abs(masses[scan.twice_nll.argmin()] - float(best.params["mass"])) < 0.05


@pytest.mark.slow
def test_resonance_with_width(belle2):
    analysis = bknn.Analysis(models.load("resonance"), belle2, free=["width"])
    best = inference.fit(analysis, fixed={"width": 0.1}).check()
    assert 2.0 < float(best.params["mass"]) < 2.3
    assert 5.8e-6 < float(best.params["branching_ratio"]) < 11.0e-6


@pytest.mark.slow
def test_profile_gradient_in_the_mass(resonance):
    """Across an edge of the true-q2 bins: no jump, and right against finite differences."""
    edge = np.linspace(0, 22.885, 101)[19]
    masses = np.sqrt(edge + np.array([-2e-2, -1e-6, 1e-6, 2e-2]))
    fitted = inference.fit(resonance, fixed={"mass": masses}).check()
    # Envelope theorem: at the profiled nuisances the partial derivative is the total one.
    slope = jax.jit(jax.vmap(jax.grad(resonance.log_density)))
    gradient = -2 * slope(fitted.vector)[:, 0]
    assert abs(gradient[1] - gradient[2]) < 1e-4 * abs(gradient[0])
    step = 1e-4
    sides = inference.fit(
        resonance, fixed={"mass": np.concatenate([masses - step, masses + step])[[0, 3, 4, 7]]}
    ).check()
    difference = (sides.twice_nll[2:] - sides.twice_nll[:2]) / (2 * step)
    np.testing.assert_allclose(gradient[np.array([0, 3])], difference, rtol=1e-4)


@pytest.mark.slow
def test_reference_response_is_close(belle2):
    """Bin averages and the smooth efficiency agree on where the resonance is."""
    analysis = bknn.Analysis(
        models.load("resonance"), belle2, response="reweighting", free=["width"]
    )
    best = inference.fit(analysis, fixed={"width": 0.1}).check()
    assert 2.0 < float(best.params["mass"]) < 2.3


@pytest.mark.slow
def test_no_point_of_the_profile_is_beaten(belle2):
    """1000 masses; at each 20 fits from anywhere find nothing lower than the profile."""
    analysis = bknn.Analysis(models.load("resonance"), belle2)
    masses = np.linspace(0.1, 4.7, 1000)
    found = inference.profile(analysis, over={"mass": masses})
    rng = np.random.default_rng(20)
    where = np.tile(masses, 20)
    start = np.tile(analysis.init_vector, (len(where), 1))
    index, centre, sigma = analysis.normal
    start[:, index] = centre + sigma * rng.normal(size=(len(where), len(index)))
    start = np.clip(start, *analysis.bounds.T)
    start[:, analysis.index("branching_ratio")] = 10 ** rng.uniform(-8, -4, len(where))
    init = analysis.unflatten(start)
    del init["mass"]
    others = inference.fit(analysis, fixed={"mass": where}, init=init)
    print(f"{np.mean(others.converged):.2%} of {len(where)} fits from anywhere converged;")
    assert np.mean(others.converged) > 0.99
    lowest = others.twice_nll.reshape(20, -1).min(axis=0)
    assert found.converged.all()
    gain = lowest - found.twice_nll
    print(f"the lowest of 20 is {gain.min():.1e} to {gain.max():.1e} above the profile")
    assert gain.min() > -1e-8


@pytest.mark.slow
def test_global_significance_of_the_paper(belle2):
    """3.0 sigma (arXiv:2602.09666): width 0.1 GeV, mass within the range of its prior."""
    model = models.load("resonance")
    mass = dataclasses.replace(
        model.parameters[0], bounds=(1.5, 3.0), starts=tuple(np.arange(1.6, 3.0, 0.2))
    )
    assert mass.name == "mass"

    class Between:
        name, description, null = model.name, model.description, model.null
        parameters = (mass, *model.parameters[1:])
        spectrum = staticmethod(model.spectrum)

    analysis = bknn.Analysis(Between(), belle2, free=["width"])
    found = inference.significance(analysis, fixed={"width": 0.1}, toys=10_000, seed=2)
    print(found)
    assert found.failed.count == 0
    assert found.t == pytest.approx(13.14, abs=0.01)
    assert abs(found.global_z - 3.0) < 3 * found.global_z_error
