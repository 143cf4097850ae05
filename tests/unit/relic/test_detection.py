"""f_eff of final states, and p_ann."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import errors
from bknn.relic import detection
from bknn.relic.detection import CHANNELS, deposited, f_eff, p_ann
from bknn.relic.energy_deposition import MASSES, _spectra, at_rest, deposit, read, threshold
from bknn.vectors.couplings import Couplings
from bknn.vectors.widths import CHANNELS as OF_VECTORS
from bknn.vectors.widths import widths

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: {energy of one half, GeV: {final state: f_eff}}: hazma 2.2.0, the spectra of e+, e- and photons
#: (`hazma.spectra`) under its f_eff tables (`hazma.cmb`, linear), radiation of photons included.
HAZMA = {
    0.3: {"mu mu": 0.2893, "pi+ pi-": 0.2397, "pi+ pi- pi0": 0.3914},
    0.5: {"mu mu": 0.2498, "pi+ pi-": 0.2108, "pi+ pi- pi0": 0.3534},
    0.95: {
        "mu mu": 0.1985,
        "pi+ pi-": 0.1701,
        "pi+ pi- pi0": 0.2923,
        "pi+ pi- pi+ pi-": 0.2064,
        "pi+ pi- pi0 pi0": 0.3870,
        "K K": 0.2659,
        "K K pi": 0.2790,
    },
    2.0: {"mu mu": 0.1673, "pi+ pi-": 0.1356, "pi+ pi- pi0": 0.2257, "K K": 0.2108},
    5.0: {"mu mu": 0.1908, "pi+ pi-": 0.1422, "pi+ pi- pi0": 0.1966},
}

#: Points of the minimal aligned U(1)', computed elsewhere: mass of X, couplings (v, a) to charged
#: leptons, up, down, and that to neutrinos, <sigma v> for v -> 0 averaged over X and Xbar (cm^3/s),
#: and p_ann with f_eff of electrons for all that is visible.
POINTS = {
    "P1": (0.95, (4.73232e-8, -7.58179e-7), (2.21177e-7, 7.58179e-7), (-4.89678e-7, -7.58179e-7),
           7.58179e-7, 3.901e-32, 1.18597e-32),
    "P2": (0.90, (4.71291e-8, -9.97933e-7), (3.01225e-7, 9.97933e-7), (-6.49579e-7, -9.97933e-7),
           9.97933e-7, 2.96902e-34, 9.7899e-35),
    "P3": (0.95, (2.88157e-8, -7.90686e-7), (2.44351e-7, 7.90686e-7), (-5.17519e-7, -7.90686e-7),
           7.90686e-7, 1.1207e-34, 3.41407e-35),
    "P4": (0.90, (2.57168e-4, -7.57848e-7), (-1.71193e-4, 7.57848e-7), (8.52176e-5, -7.57848e-7),
           7.57848e-7, 2.49814e-28, 1.15446e-28),
    "P5": (1.00, (-6.62423e-8, -1.50493e-7), (9.4326e-8, 1.50493e-7), (-1.2241e-7, -1.50493e-7),
           1.50493e-7, 1.48765e-36, 4.55436e-37),
}  # fmt: skip


_widths = jax.jit(lambda pairs, mass: widths(Couplings(*pairs.T), mass))


def fractions(name):
    """The parts of <sigma v> at a point, by the widths of a vector of mass 2 m_X."""
    mass, lepton, up, down, nu, *_ = POINTS[name]
    pairs = [lepton] * 3 + [(nu, nu)] * 3 + [up, down, down, up, down, up]
    found = _widths(jnp.array(pairs), 2.0 * mass)
    return {c: width / found.total for c, width in found.channels.items()}


# ---------------------------------------------------------------- f_eff


def test_electrons_and_photons_are_those_of_the_tables():
    energies, electrons = read("electrons")
    above = energies > 1e-2
    found = f_eff("e e", energies[above])
    np.testing.assert_allclose(found, electrons[above], rtol=1e-3)
    energies, photons = read("photons")
    np.testing.assert_allclose(deposit("gamma")(energies), energies * photons, rtol=1e-12)


@pytest.mark.parametrize("mass", HAZMA)
def test_final_states_as_another_program_has_them(mass):
    """It radiates photons, 2 to 4 % more, and does not polarise muons: 4 % more of pions. Between
    the points of the tables interpolations differ by up to 3 %."""
    for channel, other in HAZMA[mass].items():
        ratio = float(f_eff(channel, mass)) / other
        assert {"pi+ pi-": 0.91, "mu mu": 0.95}.get(channel, 0.97) < ratio < 1.04


def test_unresolved_hadrons_are_near_five_pions():
    """At 1 GeV, 4.8 of them are expected, two thirds charged: hazma has 0.2904 with four charged
    and one neutral, 0.4386 with two and three."""
    by_hand = 0.2904 + (4 / 5 - 2 / 3) / (2 / 5) * (0.4386 - 0.2904)
    np.testing.assert_allclose(f_eff("other hadrons", 1.0), by_hand, rtol=0.04)


def test_muons_have_the_spectrum_of_fast_ones():
    """dN/dy = 5/3 - 3 y^2 + 4/3 y^3 of the energy of the muon."""
    energies, f = read("electrons")
    y = np.linspace(1e-6, 1.0, 20001)
    for mass in (3.0, 8.0, 50.0):
        seen = np.interp(np.log(y * mass), np.log(energies), f)
        by_hand = np.trapezoid(y * seen * (5 / 3 - 3 * y**2 + 4 / 3 * y**3), y)
        np.testing.assert_allclose(f_eff("mu mu", mass), by_hand, rtol=0.015)


def test_neutral_pions_have_a_box_of_photons():
    energies, f = read("photons")
    energy = 0.7
    edge = np.sqrt(energy**2 - MASSES["pi0"] ** 2)
    each = np.linspace((energy - edge) / 2, (energy + edge) / 2, 20001)
    by_hand = np.trapezoid(2 * each * np.interp(np.log(each), np.log(energies), f), each) / edge
    np.testing.assert_allclose(deposit("pi0")(np.array(energy)), by_hand, rtol=0.01)


def test_energy_is_kept_in_decays():
    """Of muons 7/20 is the electron's, of pions (3 + 4 r)/20, r = (m_mu/m_pi)^2; all daughters of
    three bodies have all of it, and a muon of a kaon less than one that is not polarised."""
    (energy, _, weight, _), *_ = _spectra("mu", ("e", "nu", "nu"))
    np.testing.assert_allclose(energy @ weight / MASSES["mu"], 7 / 20)
    for parent in ("pi", "K"):
        (energy, _, weight, name), *_ = _spectra(parent, ("mu", "nu"))
        r = (MASSES["mu"] / MASSES[parent]) ** 2
        assert name == "e"
        np.testing.assert_allclose(energy @ weight / MASSES[parent], (3 + 4 * r) / 20)
        np.testing.assert_allclose(weight.sum(), 1.0)
    three = at_rest(MASSES["KL"], ("pi", "pi", "pi0"))
    np.testing.assert_allclose(sum(e @ w for e, _, w, _ in three), MASSES["KL"], rtol=1e-3)


def test_every_final_state_of_a_vector_is_known():
    """What decays of vectors are called is what is asked here; neutrinos and X deposit nothing."""
    for channel in OF_VECTORS:
        found = float(f_eff(channel, 1.0))
        assert found == 0.0 if channel in detection.DARK else 0.1 < found < 0.5
    with pytest.raises(errors.UnknownNameError, match="final state 'muons'"):
        f_eff("muons", 1.0)


def test_electrons_for_all_is_cautious():
    """No final state deposits more by over 15 %, from 10 MeV on."""
    masses = np.geomspace(0.01, 1e3, 60)
    electrons = f_eff("e e", masses)
    for channel in CHANNELS:
        if channel != "gamma gamma gamma":  # below 1 MeV
            open_ = masses > threshold(channel) / 2
            assert np.all((f_eff(channel, masses) < 1.15 * electrons) | ~open_)


# ---------------------------------------------------------------- together


@pytest.mark.parametrize("name", POINTS)
def test_points_that_were_computed_elsewhere(name):
    """With f_eff of electrons for all that is visible: f_eff was read linearly there, and hadrons
    are those of another table."""
    mass, *_, sigma_v, expected = POINTS[name]
    parts = fractions(name)
    found = p_ann(deposited(parts, mass, as_electrons=True), sigma_v, mass)
    np.testing.assert_allclose(found, expected, rtol=0.03)
    by_channel = p_ann(deposited(parts, mass), sigma_v, mass)
    assert 0.4 < by_channel / found < 0.9


def test_slopes_are_those_of_finite_differences():
    """With and without a mediator, also where it has the mass of X."""
    parts = dict.fromkeys(CHANNELS, 1 / len(CHANNELS))

    def total(mass):
        return jnp.stack([deposited(parts, mass), deposited(parts, mass, mediator=0.5 * mass + 1)])

    slope = jax.jit(jax.vmap(jax.jacfwd(total)))
    masses, h = jnp.array([0.9, 1.1, 3.0, 47.0]), 1e-6
    many = jax.jit(jax.vmap(total))
    by_hand = (many(masses + h) - many(masses - h)) / (2 * h)
    np.testing.assert_allclose(slope(masses), by_hand, rtol=1e-5, atol=1e-8)
    ends = jnp.array([0.0, 1e-6, 0.01, 2.0, 1e4])
    assert np.isfinite(many(ends)).all()
    assert np.isfinite(slope(ends)).all()


def test_by_way_of_mediators():
    """Slow ones are halves of a decay; of fast ones electrons have all energies alike."""
    at_rest = deposited({"pi+ pi-": 1.0}, 2.1, mediator=2.1)
    np.testing.assert_allclose(at_rest, f_eff("pi+ pi-", 1.05), rtol=1e-6)
    energies, f = read("electrons")
    x = np.linspace(1e-6, 1.0, 20001)
    by_hand = np.trapezoid(2 * x * np.interp(np.log(100 * x), np.log(energies), f), x)
    found = deposited({"e e": 0.5, "X X": 0.5}, 100.0, mediator=0.1)
    np.testing.assert_allclose(found, by_hand / 2, rtol=0.01)
    assert deposited({"neutrinos": 1.0}, 1.0) == 0.0


def test_p_ann_goes_like_the_square_of_the_density():
    full, part = p_ann(0.4, 1e-27, 2.0), p_ann(0.4, 1e-27, 2.0, 0.1)
    np.testing.assert_allclose([full, part], [2e-28, 2e-30])
