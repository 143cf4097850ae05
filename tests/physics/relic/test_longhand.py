"""What bknn.relic is compared with: one computation against another, and what is known."""

from __future__ import annotations

import numpy as np
import pytest

from . import longhand_amplitude as amplitude
from . import longhand_average as average
from . import longhand_kinetic as kinetic
from .numbers_of import close, table

MEDIATOR = (2.1, 0.05)


@pytest.mark.parametrize("s", [3.7, 4.4, 9.0, 60.0])
@pytest.mark.parametrize("X", [(0.3, 0.0), (0.0, 0.3), (0.3, -0.2)])
@pytest.mark.parametrize("f", [(0.0, 0.2, 0.1), (0.9, 0.2, 0.0), (0.9, 0.0, 0.2), (0.9, 0.2, 0.1)])
def test_amplitude_is_the_closed_form(s, X, f):
    """Section 6 of the reference; with axial couplings on both sides there is a part of spin 0."""
    args = s, (0.95, *X), f, MEDIATOR
    closed = amplitude.spin_one_part(*args) + amplitude.spin_zero_part(*args)
    assert close(amplitude.to_fermions(*args), closed, 1e-12)


@pytest.mark.parametrize("s", [3.7, 9.0])
def test_majorana_is_axial_dirac(s):
    """L = (1/2) Xbar g^mu (g_V - g_A g5) X Z'_mu: no vector, and g_A as for Dirac X."""
    f = 0.9, 0.2, 0.1
    found = amplitude.majorana(s, (0.95, 0.4, 0.3), f, MEDIATOR)
    dirac = amplitude.to_fermions(s, (0.95, 0.0, 0.3), f, MEDIATOR)
    assert close(found, dirac, 1e-12)


@pytest.mark.parametrize(("m", "M"), [(1.0, 0.3), (1.05, 1.0), (5.0, 2.1)])
def test_two_vectors(m, M):
    g = 0.7
    threshold = amplitude.pair_at_threshold(m, g, M)
    s = 4 * m**2 * (1 + 1e-8)
    v = 2 * amplitude.speed(s, m)
    assert close(amplitude.to_pair(s, (m, g, 0.0), M) * v, threshold, 1e-6)
    for s in 4 * m**2 * np.array([1.02, 1.4, 4.0, 20.0]):
        found = amplitude.to_pair(s, (m, g, 0.0), M)
        assert close(found, amplitude.pair_in_closed_form(s, m, g, M), 1e-8)
        transverse = amplitude.to_pair(s, (m, g, 0.0), M, longitudinal=False)
        assert close(found, transverse, 1e-9)  # the current is conserved


def test_averages_are_those_to_digits():
    """The others of `average.csv` are of the same rule, its panels halved."""
    for r, width, x, expected in table("average_digits"):
        process = average.Resonance(m=r * 2.1, width=width * 2.1)
        assert close(average.Average(process)(x), expected, 1e-7)
    for r, width in ((0.45, 1e-10), (0.5, 1e-12), (0.49999, 1e-3)):
        process = average.Resonance(m=r * 2.1, width=width * 2.1)
        fine = average.Average(process, per_decade=6, nodes=20)
        x = np.array(average.X)
        assert close(average.Average(process)(x), fine(x), 1e-12)


@pytest.mark.parametrize(("r", "width"), [(0.45, 0.1), (0.5, 0.1), (0.51, 1e-3)])
def test_average_over_two_momenta(r, width):
    process = average.Resonance(m=r * 2.1, width=width * 2.1)
    for x in (3.0, 20.0, 100.0):
        expected = average.two_momenta(process, x)
        assert close(average.Average(process)(x), expected, 1e-7)


def test_narrow_resonance():
    """Delta function: 1e-4 where the pole dominates, which it does not at any width and x."""
    for width, x in ((1e-6, 20.0), (1e-10, 20.0), (1e-10, 100.0), (1e-12, 100.0)):
        r = 0.45 if x < 50 else 0.499
        process = average.Resonance(m=r * 2.1, width=width * 2.1)
        expected = average.narrow(process, x)
        assert close(average.Average(process)(x), expected, 1e-4)
    far = average.Resonance(m=0.45 * 2.1, width=1e-6 * 2.1)
    assert average.Average(far)(100.0) > 10 * average.narrow(far, 100.0)


def test_heavy_limit_is_derived():
    """d/dk by parts is f (1 -+ f) without; with an X that moves, energy is exchanged as
    fluctuations of it say. At m/T = 20 the limit of heavy X is twice the rate."""
    partners = (*kinetic.charged(1e-3, 0.3), kinetic.Partner("axial", 0.10566, 3e-4))
    for partner in partners:
        T = 0.01
        direct = kinetic.rate(partner, T, 1.0, 0.1, 2.1, contact=True)
        assert close(direct, kinetic.by_parts(partner, T, 1.0, 0.1, 2.1), 1e-8)
    electron = partners[0]
    for x, low, high in ((20.0, 0.45, 0.49), (200.0, 0.88, 0.94)):
        exact, error = kinetic.by_fluctuations(electron, 1 / x, 1.0, 0.1, 2.1)
        ratio = exact / kinetic.by_parts(electron, 1 / x, 1.0, 0.1, 2.1)
        assert low < ratio < high
        assert error < 0.01 * exact


def test_second_moment_over_two_momenta():
    own = average.Resonance(m=0.9, width=0.2)
    for x in (3.0, 20.0, 100.0):
        expected = average.two_momenta(own, x, moment=True)
        assert close(kinetic.Moment(own, x_min=2.0)(x), expected, 1e-7)


def test_kinetic_limits():
    """Strong scattering gives back kinetic equilibrium, in which the average is at T."""
    for row in table("kinetic"):
        epsilon = (1.05 / row["m_X"]) ** 2 - 1
        if epsilon > 5e-3:  # else X annihilates after electrons do, when nothing scatters
            assert close(row["tight"], row["standard"], 2e-2)
    assert max(row["free"] / row["standard"] for row in table("kinetic")) > 5
