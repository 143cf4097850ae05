"""A coupling that counts by its square has no slope at zero; a fit that gets there goes on."""

from __future__ import annotations

import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.inference.minimiser.fits_of_analysis import fits_of

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def target():
    model = models.from_spectrum(
        lambda q2, a, b: (a**2 + 0.05 * b**2 * q2) * 1e-7,
        {"a": (1.0, 0.0, 50.0), "b": (1.0, 0.0, 50.0)},
    )
    return bknn.Analysis(model, small.measurement())


@pytest.fixture(scope="module")
def two_signs():
    model = models.from_spectrum(
        lambda q2, a, b: (a + 0.05 * b**2 * q2) * 1e-7,
        {"a": (1.0, 0.0, 50.0), "b": (1.0, -5000.0, 5000.0)},
    )
    return bknn.Analysis(model, small.measurement())


def zeros(analysis, **values):
    """Couplings that are flat at zero at a point where all move."""
    fits = fits_of(analysis)
    vector = np.zeros(fits.solver.example.size)
    for name, value in values.items():
        vector[analysis.index(name)] = value
    return [z.entry for z in fits.flat_zeros(vector, np.ones(len(vector), bool))]


def test_which_zeros_are_flat_depends_on_other_couplings():
    model = models.from_spectrum(
        lambda q2, a, b: (a**2 + 0.05 * q2 * a * b + b**2) * 1e-7,
        {"a": (1.0, -50.0, 50.0), "b": (1.0, -50.0, 50.0)},
    )
    analysis = bknn.Analysis(model, small.measurement())
    assert zeros(analysis) == [0, 1]
    assert zeros(analysis, b=3.0) == [1]


def test_which_edges_are_flat(target, two_signs):
    assert [(edge.entry, edge.at) for edge in fits_of(target).flat_edges] == [(0, 0.0), (1, 0.0)]
    assert fits_of(two_signs).flat_edges == []
    assert zeros(two_signs) == [1]
    line = bknn.Analysis(models.load("signal-strength"), small.measurement())
    assert fits_of(line).flat_edges == []


def test_what_is_constrained_has_no_flat_edge():
    """Tensor form factors do nothing to the standard model's signal, and have their place."""
    target = bknn.Analysis(models.load("wet"), small.measurement())
    places = [*zeros(target), *(edge.entry for edge in fits_of(target).flat_edges)]
    assert not any(target.names[entry].startswith("ff_") for entry in places)
    assert "ff_K_7" in target.names


@pytest.mark.parametrize("start", [{"a": 0.0}, {"b": 0.0}, {"a": 0.0, "b": 0.0}])
def test_no_fit_stays_where_it_is_not_at_a_minimum(start, target):
    """Data with more of both than the fit begins with, so that neither square is best at zero."""
    vector = np.array(target.init_vector)
    vector[[target.index("a"), target.index("b")]] = 6.0, 8.0
    data = inference.asimov(target, vector)
    best, found = (inference.fit(target, data=data, init=init) for init in ({}, start))
    assert found.twice_nll == pytest.approx(float(best.twice_nll), abs=1e-7)
    assert min(found.params["a"], found.params["b"]) > 1.0


def test_a_minimum_at_zero_stays(target):
    vector = np.array(target.init_vector)
    vector[[target.index("a"), target.index("b")]] = 6.0, 0.0
    data = inference.asimov(target, vector)
    counts = np.array(data.counts)
    counts[-1] *= 0.7  # fewer at high q2 than without b
    found = inference.fit(target, data=data._replace(counts=counts))
    assert found.params["b"] == 0.0
    assert found.converged


@pytest.mark.parametrize("init", [{}, {"b": -8.0}, {"b": 1e-3}, {"b": 0.0}])
def test_a_minimum_at_zero_between_bounds(init, two_signs):
    """No step from b > 0 ends at 0: it leads across, and the next one back."""
    vector = np.array(two_signs.init_vector)
    vector[[two_signs.index("a"), two_signs.index("b")]] = 6.0, 0.0
    data = inference.asimov(two_signs, vector)
    counts = np.array(data.counts)
    counts[-1] *= 0.7
    data = data._replace(counts=counts)
    found = inference.fit(two_signs, data=data, init=init)
    assert found.converged, found.status
    at_zero = inference.fit(two_signs, data=data, fixed={"b": 0.0})
    assert found.twice_nll == pytest.approx(float(at_zero.twice_nll), abs=1e-8)


def test_a_start_far_above_another_of_its_fit_is_left_at_its_edge(target):
    vector = np.array(target.init_vector)
    vector[[target.index("a"), target.index("b")]] = 6.0, 8.0
    data = inference.asimov(target, vector)
    starts = np.tile(target.init_vector, (2, 1))
    starts[1, target.index("a")] = 0.0
    both = type(data)(*(np.tile(x, (2, 1)) for x in data))
    moving = np.ones_like(starts, bool)

    def ends(**limits):
        found = fits_of(target).minimise(starts, both, moving, 2, lanes=2, **limits)
        return found.value[1] - found.value[0], found.vector[1, target.index("a")]

    assert ends() == (pytest.approx(0.0, abs=1e-6), pytest.approx(6.0, rel=0.1))
    above, a = ends(above=1.0)
    assert above > 1.0
    assert a == 0.0
