"""How well simplified likelihoods stand in for that of Belle II (docs/simplified.md)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.response.kernel import InclusiveTagKernel

bknn.enable_x64()

#: Bins of one q2_rec: three of eta(BDT_2) in channel A, the lowest in B.
TWO_ETA = [{"A": [k, 3 + k], "B": [k]} for k in range(3)] + [{"A": [6 + k]} for k in range(3)]
ONE_ETA = [{"A": [k, 3 + k, 6 + k], "B": [k]} for k in range(3)]


@pytest.fixture(scope="module")
def belle2():
    return bknn.data.load("belle2-2025")


@cache
def full(channels):
    return bknn.data.load("belle2-2025").select(channels)


def test_kernel_against_the_simulation(belle2):
    """The share of the selected signal below each edge of q2_rec, in bins of true q2 of 0.23 GeV^2.

    No parameter is free. The simulation scatters by about 1 % a bin (docs/response.md).
    """
    kernel = InclusiveTagKernel()
    for channel in ("A", "B"):
        name = next(c for c in belle2.channels if c.startswith(channel))
        density = belle2.densities[name]
        counts = density.counts.reshape(-1, 3, 100).sum(axis=0)
        middle = (density.edges[1:] + density.edges[:-1]) / 2
        for edge, below in ((4.0, counts[0]), (8.0, counts[0] + counts[1])):
            near = np.abs(middle - edge) < 2.5
            share = below[near] / counts.sum(axis=0)[near]
            found = np.asarray(kernel.cumulative(edge, middle[near])) - np.asarray(
                kernel.cumulative(-1.0, middle[near])
            )
            difference = share - found
            assert np.sqrt(np.mean(difference**2)) < 0.02
            assert abs(np.mean(difference)) < 0.01
            assert np.ptp(found) > 0.9


@cache
def strength(kind, channels):
    measurement = full(channels)
    options = {
        "full": None,
        "fit": {},
        "nominal": {"at": "nominal"},
        "two eta bins": {"controls": ["C", "D"], "merge": {"ITA": TWO_ETA}},
        "one eta bin": {"controls": ["C", "D"], "merge": {"ITA": ONE_ETA}},
    }[kind]
    if options is not None:
        simple = bknn.SimplifiedLikelihood.from_measurement(measurement, **options)
        measurement = simple.measurement("simple")
    analysis = bknn.Analysis(models.load("signal-strength"), measurement)
    return inference.fit(analysis).check()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "channels", "mu", "sigma"),
    [
        ("fit", "inclusive", 0.01, 0.02),
        ("fit", ("inclusive", "hadronic"), 0.01, 0.02),
        ("nominal", "inclusive", 0.05, 0.03),
        ("nominal", ("inclusive", "hadronic"), 0.15, 0.03),
        ("two eta bins", "inclusive", 0.4, 0.06),
    ],
)
def test_signal_strength(kind, channels, mu, sigma):
    """Differences of mu, absolute, and of its uncertainty, relative."""
    expected, found = strength("full", channels), strength(kind, channels)
    assert float(found.params["mu"]) == pytest.approx(float(expected.params["mu"]), abs=mu)
    width = float(expected.uncertainties["mu"])
    assert float(found.uncertainties["mu"]) == pytest.approx(width, rel=sigma)


@pytest.mark.slow
def test_most_is_known_from_the_classifier():
    """With one bin of eta(BDT_2), and its shares with the signal profiled, little is left."""
    assert float(strength("one eta bin", "inclusive").uncertainties["mu"]) > 4


@pytest.mark.slow
def test_mass_profile():
    """Best mass and curve of a resonance, linearised (0.52 away) and in two bins of eta(BDT_2)."""
    grid = np.linspace(1.0, 3.0, 41)
    curves = {}
    for kind in ("full", "fit", "two eta bins"):
        measurement = strength(kind, "inclusive").target.measurements[0]
        resonance = bknn.Analysis(models.load("resonance"), measurement)
        curve = np.asarray(inference.fit(resonance, fixed={"mass": grid}).twice_nll)
        curves[kind] = curve - curve.min()
    near = curves["full"] < 4
    for kind, mass, height in (("fit", 0.03, 0.6), ("two eta bins", 0.06, 1.0)):
        difference = grid[np.argmin(curves[kind])] - grid[np.argmin(curves["full"])]
        assert abs(difference) < mass
        assert np.max(np.abs(curves[kind] - curves["full"])[near]) < height
