"""Minima and modes that a single start does not see, beside closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

import bknn
from bknn import inference
from bknn.inference.fits.secondary_minima import mirrored, own_entries, scattered
from bknn.inference.posteriors.sampler import modes, which_method
from bknn.inference.profiles.held import Points

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Parabola:
    """A signal (x - a)^2 with one start: it fits alike on both sides of a."""

    name, description, null = "parabola", "a signal that is a square", {"x": 1.0, "a": 0.0}
    parameters = (
        bknn.Parameter("x", 1.0, (-10.0, 10.0)),
        bknn.Parameter("a", 0.0, (-5.0, 5.0), fixed=True),
    )

    def spectrum(self, params, channel):
        return bknn.Spectrum(standard_model=(params["x"] - params["a"]) ** 2)


@pytest.fixture(scope="module")
def parabola():
    return bknn.Analysis(Parabola(), small.one_bin(60.0), free=["a"])


def regions(counts, a, height):
    """Where -2 log of the Poisson probability of 8 + 4 (x - a)^2 is below a height, in [-10, 10].

    In y = (x - a)^2 there is one interval, [low, high], or [0, high].
    """
    best = max((counts - 8) / 4, 0.0)

    def above(y):
        both = stats.poisson.logpmf(counts, 8 + 4 * np.array([best, y]))
        return 2 * (both[0] - both[1]) - height

    high = np.sqrt(optimize.brentq(above, best, best + 400.0, xtol=1e-12))
    if above(0.0) < 0:
        found = [(a - high, a + high)]
    else:
        low = np.sqrt(optimize.brentq(above, 0.0, best, xtol=1e-12))
        found = [(a - high, a - low), (a + low, a + high)]
    inside = [(max(low, -10.0), min(high, 10.0)) for low, high in found]
    return [(low, high) for low, high in inside if low < high]


RANDOM = np.random.default_rng(15)


@pytest.mark.parametrize(
    ("counts", "a"),
    [(60.0, 0.0), (9.0, 0.0), (12.0, 4.9)]
    + [(float(RANDOM.integers(10, 90)), float(RANDOM.uniform(-5, 5))) for _ in range(6)],
)
def test_intervals_have_all_regions(parabola, counts, a):
    data = parabola.data._replace(counts=np.array([counts]))
    found = inference.intervals(parabola, ["x"], fixed={"a": a}, data=data)
    for level in (0.6827, 0.95):
        expected = regions(counts, a, stats.chi2.ppf(found["x", level].level, 1))
        np.testing.assert_allclose(found["x", level].regions, expected, atol=1e-5)
        assert ("disjoint" in found["x", level].status) == (len(expected) > 1)


def test_a_lower_minimum_becomes_the_best_fit(parabola):
    """The start lies right of a = 0.5 and leads to the bound at 10; -9.5 is lower."""
    data = parabola.data._replace(counts=np.array([408.0]))
    points = Points(parabola, (), fixed={"a": 0.5}, data=data)
    before = points.best
    assert before.vector[0] == pytest.approx(10.0)
    others = points.others(3.84)
    assert points.best.vector[0] == pytest.approx(-9.5, abs=1e-6)
    assert others[:, 0] == pytest.approx([-9.5], abs=1e-6)
    found = inference.intervals(parabola, ["x"], fixed={"a": 0.5}, data=data, best=before)
    assert found["x", 0.68].value == pytest.approx(-9.5, abs=1e-6)


@pytest.mark.parametrize(("counts", "a"), [(60.0, 0.0), (40.0, 1.7), (25.0, -3.3)])
def test_modes_of_a_posterior(parabola, counts, a):
    """Priors that are uniform have modes where the fit has minima, and equal shares."""
    data = parabola.data._replace(counts=np.array([counts]))
    found = modes(parabola, {"a": a}, data)
    root = np.sqrt((counts - 8) / 4)
    # In the coordinates of the samplers a mode lies a little towards the middle of the prior.
    np.testing.assert_allclose(np.sort(found.vectors[:, 0]), [a - root, a + root], atol=0.05)
    assert found.shares.sum() == pytest.approx(1.0)
    # From x near an end, with some 100 to 900 counts expected: the ladder needs no more rungs.
    assert 30 < found.depth < 1000
    assert which_method(parabola, "auto", {"a": a}, data) == "tempered"
    assert which_method(parabola, "nuts", {"a": a}, data) == "nuts"


def test_one_mode_needs_no_ladder(parabola):
    """At the bottom of the parabola both minima are one."""
    data = parabola.data._replace(counts=np.array([3.0]))
    assert len(modes(parabola, {"a": 0.0}, data).z) == 1
    assert which_method(parabola, "auto", {"a": 0.0}, data) == "nuts"


class Several:
    """Parameters with all kinds of ranges."""

    name, description, null = "several", "parameters of all kinds", {"even": 0.0}
    parameters = (
        bknn.Parameter("even", 1.0, (-2.0, 2.0)),
        bknn.Parameter("positive", 1.0, (0.0, 4.0)),
        bknn.Parameter("open", 3.0),
        bknn.Parameter("lopsided", 0.5, (-0.25, 2.0)),
        bknn.Parameter("known", 1.0, (0.0, 2.0), constraint=(1.0, 0.1)),
    )

    def spectrum(self, params, channel):
        return bknn.Spectrum(standard_model=sum(params.values()) ** 2)


@pytest.fixture(scope="module")
def several():
    return bknn.Analysis(
        Several(), small.one_bin(), priors={"positive": "uniform(1, 3)", "lopsided": "normal(0, 1)"}
    )


def test_scattered_points_fill_the_priors(several):
    moving = np.ones(several.size, bool)
    vector = np.array(several.init_vector)
    points = scattered(several, moving, vector, 64)
    assert own_entries(several, moving) == [0, 1, 2, 3]
    assert points.shape == (64, several.size)
    np.testing.assert_array_equal(points, scattered(several, moving, vector, 64))
    for i, (low, high) in enumerate([(-2.0, 2.0), (1.0, 3.0), (-np.inf, np.inf), (-0.25, 2.0)]):
        assert np.all((points[:, i] >= low) & (points[:, i] <= high))
    # Each quarter of a uniform prior has its share, in each quarter of the other.
    quarters = np.floor(points[:, 0] + 2), np.floor(2 * (points[:, 1] - 1))
    counts = np.histogram2d(*quarters, bins=4, range=[[0, 4], [0, 4]])[0]
    assert counts.sum() == 64
    assert counts.min() >= 2
    # Without bounds: near, and far.
    assert np.min(np.abs(points[:, 2] - 3.0)) < 0.3
    assert np.max(np.abs(points[:, 2] - 3.0)) > 30
    np.testing.assert_array_equal(points[:, 4:], np.tile(vector[4:], (64, 1)))


def test_mirror_images_stay_within_bounds(several):
    moving = np.ones(several.size, bool)
    point = np.array(several.init_vector)
    point[:5] = 1.5, 2.0, 7.0, 0.2, 1.1
    images = mirrored(several, moving, point[None])[:, :5]
    expected = [
        (-1.5, 2.0, 7.0, 0.2, 1.1),
        (1.5, 2.0, -7.0, 0.2, 1.1),
        (1.5, 2.0, 7.0, -0.2, 1.1),
        (-1.5, 2.0, -7.0, -0.2, 1.1),
    ]
    np.testing.assert_array_equal(images, expected)
    moving[0] = False
    assert len(mirrored(several, moving, point[None])) == 3
    assert mirrored(several, np.zeros(several.size, bool), point[None]).shape == (0, several.size)
