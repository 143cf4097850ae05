"""Escape from the detector against a simulation of its own; masses that are refused."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from bknn import errors
from bknn.vectors import resonances
from bknn.vectors.couplings import Couplings, DarkFermion, dark_photon, z_like
from bknn.vectors.invisible import (
    HBAR_C,
    b_momentum,
    escape_probability,
    invisible_probability,
)
from bknn.vectors.widths import Widths, widths

from .compiled import at

pytestmark = pytest.mark.usefixtures("quick_compilation")


#: P(out) and its derivative with respect to the width.
escaping = jax.jit(jax.value_and_grad(escape_probability))


def simulated(width, mass, momentum, length, boost, draws=400_000):
    """Return the share of vectors that fly farther: momenta, boosted, with a decay time each."""
    rng = np.random.default_rng(7)
    cosine = rng.uniform(-1, 1, draws)
    energy = np.hypot(mass, momentum)
    gamma = np.sqrt(1 + boost**2)
    along = gamma * momentum * cosine + boost * energy
    lab = np.hypot(along, momentum * np.sqrt(1 - cosine**2))
    proper_time = rng.exponential(HBAR_C / width, draws)
    return np.mean(lab / mass * proper_time > length)


@pytest.mark.parametrize(
    ("width", "mass", "momentum", "boost"),
    [
        (5e-17, 2.1, 2.19, 0.28),
        (2e-16, 0.2, 2.5, 0.28),
        (3e-17, 4.7, 0.3, 0.28),
        (5e-17, 2.1, 2.19, 0.0),
    ],
)
def test_escape_against_a_simulation(width, mass, momentum, boost):
    """400 thousand draws: 0.0008 at one half."""
    found = float(escaping(width, mass, momentum, 3.0, boost)[0])
    assert 0.05 < found < 0.95
    assert found == pytest.approx(simulated(width, mass, momentum, 3.0, boost), abs=0.004)


@pytest.mark.parametrize("width", [1e-18, 1e-16, 5e-16])
@pytest.mark.parametrize("momentum", [0.0, 0.02, 0.6, 2.19])
def test_the_rule_for_the_direction(width, momentum):
    """24 points against an adaptive integral: 1e-5, where the vector can be at rest in the
    laboratory, too."""
    mass, boost, length = 2.1, 0.28, 3.0

    def one(cosine):
        along = np.sqrt(1 + boost**2) * momentum * cosine + boost * np.hypot(mass, momentum)
        flight = np.sqrt(along**2 + momentum**2 * (1 - cosine**2)) / mass
        return 0.5 * np.exp(-length * width / (HBAR_C * flight))

    exact = integrate.quad(one, -1, 1, epsabs=1e-10, limit=200)[0]
    found = float(escaping(width, mass, momentum, length)[0])
    assert found == pytest.approx(exact, abs=1e-5)


def test_no_width_and_an_enormous_one():
    assert escaping(0.0, 2.1, 2.19, 3.0)[0] == 1.0
    assert np.isfinite(escaping(0.0, 2.1, 2.19, 3.0)[1])
    for width in (1.0, 1e300):
        assert escaping(width, 2.1, 2.19, 3.0) == (0.0, 0.0)


def test_a_table_of_masses():
    masses = jnp.array([0.5, 2.1, 4.9])
    momenta = b_momentum(masses)
    found = jax.jit(escape_probability)(5e-17, masses, momenta, 3.0)
    assert found.shape == (3,)
    assert found[1] == pytest.approx(float(escaping(5e-17, 2.1, momenta[1], 3.0)[0]), rel=1e-12)
    assert momenta[2] == 0.0


@jax.jit
@partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
def seen(k, g):
    """Return P(invisible) of a Z-like vector with a dark fermion, and what it is made of."""
    dark = Couplings(jnp.zeros(12), jnp.zeros(12), (DarkFermion(g, 0.0, 0.5),))
    found = widths(z_like(k) + dark, 2.1)
    out = escape_probability(found.total, 2.1, b_momentum(2.1), 3.0)
    return invisible_probability(found, 2.1, 3.0), (out, found)


def test_invisible_outside_or_into_neutrinos():
    """Inside, B(invisible) counts; outside, everything; between them both."""
    (value, (out, found)), _ = seen(1e-12, 0.0)
    assert value == pytest.approx(1.0, abs=1e-3)
    (value, (out, found)), _ = seen(1e-3, 0.0)
    assert value == pytest.approx(float(found.branching_fraction("neutrinos")))
    (value, (out, found)), _ = seen(1.5e-8, 5e-9)
    share = float(found.branching_fraction("invisible"))
    assert 0.1 < out < 0.9
    assert value == pytest.approx(float(out + (1 - out) * share))


def test_invisible_has_a_gradient_for_any_coupling():
    for k, g in itertools.product((0.0, 1e-8, 1e-3, 1.0), repeat=2):
        (value, _), slope = seen(k, g)
        assert np.isfinite([value, *slope]).all()
    assert seen(0.0, 0.0)[0][0] == 1.0
    step = 1e-12
    difference = (seen(1e-8, 1e-8 + step)[0][0] - seen(1e-8, 1e-8 - step)[0][0]) / (2 * step)
    assert seen(1e-8, 1e-8)[1][1] == pytest.approx(float(difference), rel=1e-4)


@pytest.mark.parametrize(
    ("mass", "sentence"),
    [
        (5e-4, "0.0005 GeV is out of range: its widths are known from 1 MeV to 10 GeV"),
        (12.0, "12 GeV is out of range"),
        (float("nan"), "nan GeV is out of range"),
        (3.1, r"3.1 GeV mixes with the J/psi.* outside 3.072 to 3.122 GeV"),
        (3.67, r"mixes with the psi\(2S\)"),
        (9.46, r"mixes with the Upsilon\(1S\)"),
    ],
)
def test_masses_that_are_refused(mass, sentence):
    with pytest.raises(errors.ParameterError, match=sentence):
        resonances.check_mass(mass)
    assert not resonances.known(mass)


def test_masses_that_are_not():
    for mass in (1e-3, 2.1, 3.0, 3.4, 3.773, 9.3, 10.0):
        resonances.check_mass(mass)
        assert jax.jit(resonances.known)(mass)
        assert resonances.narrow_resonance(mass) is None
    assert resonances.narrow_resonance(3.0969) == "J/psi"


@pytest.mark.parametrize("name", resonances.WINDOWS)
def test_the_windows_are_where_tails_matter(name):
    """R gains 9 Gamma_ee Gamma_h/(4 alpha^2 (M - m)^2): 0.5 % to 2 % of R = 2.2 (3.6) at the edge.
    Gamma_ee and Gamma_h of the Particle Data Group, in GeV."""
    electrons, hadrons, r = {
        "J/psi": (5.53e-6, 81e-6, 2.2),
        "psi(2S)": (2.33e-6, 288e-6, 2.2),
        "Upsilon(1S)": (1.34e-6, 50e-6, 3.6),
    }[name]
    half = resonances.WINDOWS[name][1]
    tail = 9 * electrons * hadrons / (4 / 137.036**2 * half**2) / r
    assert 0.005 < tail < 0.03


def test_what_is_not_there_is_said():
    found = at(dark_photon(1e-3), 2.1)
    assert isinstance(found, Widths)
    with pytest.raises(KeyError):
        found.branching_fraction("eta gamma")
