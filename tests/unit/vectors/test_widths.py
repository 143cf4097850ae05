"""Partial widths: against tables of other programs, R data, quarks, and themselves."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bknn.vectors import couplings as of
from bknn.vectors import hadrons
from bknn.vectors.couplings import FERMIONS, Couplings, DarkFermion
from bknn.vectors.electroweak import STANDARD
from bknn.vectors.widths import CHANNELS, LEPTON_MASSES, Widths, lifetime_ps, widths

from .compiled import at, slopes

FIXTURES = Path(__file__).parents[2] / "fixtures" / "vectors"
TABLES = Path(hadrons.__file__).parent / "tables"

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: Something of everything: charges of all kinds, axial couplings, a dark fermion.
EVERYTHING = (
    of.z_like(1e-3)
    + of.b_minus_l(2e-3)
    + Couplings(
        jnp.linspace(1e-4, 1e-3, 12),
        jnp.linspace(-1e-3, 2e-4, 12).at[3:6].set(jnp.linspace(1e-4, 1e-3, 12)[3:6]),
        (DarkFermion(1e-3, 2e-3, 0.7),),
    )
)


def test_widths_of_another_program():
    """darkcast, to 1 %: the digits of its masses, and the thinning of its tables."""
    models = {"dark_photon": of.dark_photon(1.0), "B-L": of.b_minus_l(1.0)}
    names = {"other": "other hadrons", "nue_nue": "nu_e nu_e", "numu_numu": "nu_mu nu_mu"}
    names["nutau_nutau"] = "nu_tau nu_tau"
    table = (FIXTURES / "vector_widths_darkcast.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == 22
    for row in rows:
        found = at(models[row["model"]], float(row["mass_GeV"]))
        channels = {**found.channels, "hadrons": found.hadrons, "total": found.total}
        for column, width in row.items():
            name = column.removeprefix("width_over_g2_")
            if name != column and name not in ("c_c", "b_b"):
                ours = float(channels[names.get(name, name.replace("_", " "))])
                assert ours == pytest.approx(float(width), rel=0.01, abs=1e-13), (row, name)


def test_a_photon_like_vector_has_r_itself_above_2_gev():
    data = np.loadtxt(TABLES / "r_ratio_pdg2020.csv", delimiter=",", skiprows=1)
    data = data[data[:, 0] <= 10]
    found = at(of.dark_photon(1.0), data[:, 0])
    massless = STANDARD.e**2 * data[:, 0] / (12 * np.pi)
    np.testing.assert_allclose(found.hadrons / massless, data[:, 1], rtol=1e-12)
    assert set(CHANNELS) == set(found.channels)


def quarks(couplings: Couplings, mass: float) -> tuple[float, float, float]:
    """Return partial widths into mu mu, neutrinos and quarks of a parton calculation, with
    R = 2 (1 + alpha_s/pi) and massless u, d, s."""
    vector, axial = np.asarray(couplings.vector), np.asarray(couplings.axial)
    squares = dict(zip(FERMIONS, vector**2 + axial**2, strict=True))
    unit = mass / (12 * np.pi)
    neutrinos = unit * sum(squares[nu] for nu in ("nu_e", "nu_mu", "nu_tau"))
    hadronic = 3 * unit * (1 + 0.3 / np.pi) * sum(squares[q] for q in "uds")
    return unit * squares["mu"], neutrinos, hadronic


def test_a_z_like_vector_decays_as_quarks_and_leptons_do():
    z = of.z_like(1e-5)
    found = at(z, 2.1)
    mu, neutrinos, hadronic = quarks(z, 2.1)
    total = 2 * mu + neutrinos + hadronic
    assert found.branching_fraction("neutrinos") == pytest.approx(neutrinos / total, rel=0.1)
    assert found.branching_fraction("mu mu") == pytest.approx(mu / total, rel=0.1)


#: The public points of the reference: g_V and g_A of leptons, u, d; g of neutrinos; partial widths
#: into e e, mu mu, neutrinos, hadrons and X X at 2.1 GeV; r_X G and m_X.
POINTS = {
    "P1": (
        (4.73232e-8, -7.58179e-7, 2.21177e-7, 7.58179e-7, -4.89678e-7, -7.58179e-7, 7.58179e-7),
        (3.21455e-14, 3.16604e-14, 1.92124e-13, 4.25746e-13, 4.33333e-5),
        (12 * 0.003, 0.95),
    ),
    "P2": (
        (4.71291e-8, -9.97933e-7, 3.01225e-7, 9.97933e-7, -6.49579e-7, -9.97933e-7, 9.97933e-7),
        (5.55979e-14, 5.47575e-14, 3.32845e-13, 7.41184e-13, 5.08447e-7),
        (12 * 0.0003, 0.9),
    ),
    "P3": (
        (2.88157e-8, -7.90686e-7, 2.44351e-7, 7.90686e-7, -5.17519e-7, -7.90686e-7, 7.90686e-7),
        (3.48716e-14, 3.4344e-14, 2.08952e-13, 4.66926e-13, 1.13919e-7),
        (12 * 0.000153818, 0.95),
    ),
    "P4": (
        (2.57168e-4, -7.57848e-7, -1.71193e-4, 7.57848e-7, 8.52176e-5, -7.57848e-7, 7.57848e-7),
        (3.68407e-9, 3.68392e-9, 1.91957e-13, 8.28305e-9, 3.227e-5),
        (12 * 0.00239, 0.9),
    ),
    "P5": (
        (-6.62423e-8, -1.50493e-7, 9.4326e-8, 1.50493e-7, -1.2241e-7, -1.50493e-7, 1.50493e-7),
        (1.50603e-15, 1.48691e-15, 7.5696e-15, 2.01838e-14, 6.17192e-9),
        (50 * 1e-5, 1.0),
    ),
}


@pytest.mark.parametrize("point", POINTS)
def test_public_points(point):
    """Five digits of the couplings, 1e-5 twice; hadrons: R is joined by cubics, there by lines."""
    (v_l, a_l, v_u, a_u, v_d, a_d, nu), expected, (g_x, m_x) = POINTS[point]
    vector = jnp.array([v_l] * 3 + [nu] * 3 + [v_u, v_d, v_d, v_u, v_d, v_u])
    axial = jnp.array([a_l] * 3 + [nu] * 3 + [a_u, a_d, a_d, a_u, a_d, a_u])
    found = at(Couplings(vector, axial, (DarkFermion(g_x, 0.0, m_x),)), 2.1)
    leptons = found.channels["e e"], found.channels["mu mu"], found.neutrinos
    np.testing.assert_allclose(leptons, expected[:3], rtol=3e-5)
    np.testing.assert_allclose(found.hadrons, expected[3], rtol=3e-3)
    np.testing.assert_allclose(found.channels["X X"], expected[4], rtol=3e-5)


@settings(max_examples=50)
@given(mass=st.floats(1.1e-3, 9.99), share=st.floats(0.0, 1.0))
def test_the_gradient_is_that_of_the_widths(mass, share):
    """Away from thresholds of fermions. Between points of R that lie 2 MeV apart a cubic bends
    within 1e-5 GeV, and its curvature jumps at them: hence so small a step; rounding is 1e-6."""
    edges = [2 * m for m in LEPTON_MASSES.values()] + [1.4]
    mass = mass + share * 1e-4
    if min(abs(mass / edge - 1) for edge in edges) < 1e-3:
        mass *= 1.005
    above, below = mass * (1 + 1e-10), mass * (1 - 1e-10)
    high, low = at(EVERYTHING, above), at(EVERYTHING, below)
    here, found = at(EVERYTHING, mass), slopes(EVERYTHING, mass)
    for name, slope in found.channels.items():
        difference = (high.channels[name] - low.channels[name]) / (above - below)
        scale = (1e-3 * float(here.channels[name]) + 1e-5 * float(here.total)) / mass
        assert float(slope) == pytest.approx(float(difference), rel=1e-3, abs=scale)


EDGES = [2 * m for m in LEPTON_MASSES.values()]
EDGES += [1.4, 0.14, 0.28, 0.4195, 0.988, 1.478, 2.0, 2.1, hadrons.CHARM, 1e-3, 10.0]


@pytest.mark.parametrize("edge", EDGES)
def test_nothing_jumps_and_no_gradient_is_lost(edge):
    """At thresholds, at the join, at the ends: finite, and equal a hair to both sides."""
    sides = [at(EVERYTHING, edge * (1 + h)) for h in (-1e-12, 0.0, 1e-12)]
    gradient = slopes(EVERYTHING, edge)
    for name in CHANNELS:
        low, middle, high = (float(side.channels[name]) for side in sides)
        near = 1e-5 * max(middle, edge * 1e-6 / (12 * np.pi))  # a square root: 2e-6
        assert abs(high - middle) <= near
        assert abs(low - middle) <= near
        assert np.isfinite(gradient.channels[name])
    if edge in (2.0, 2.1):  # the join is smooth
        before, after = (slopes(EVERYTHING, edge * (1 + h)) for h in (-1e-7, 1e-7))
        for name in hadrons.CHANNELS:
            scale = float(at(EVERYTHING, edge).hadrons)
            assert abs(before.channels[name] - after.channels[name]) < 1e-4 * scale


def test_closed_channels_have_no_width_and_no_gradient():
    found, gradient = at(EVERYTHING, 0.1), slopes(EVERYTHING, 0.1)
    for name in ("mu mu", "tau tau", "X X", *hadrons.CHANNELS):
        assert found.channels[name] == 0
        assert gradient.channels[name] == 0


def test_no_width_is_negative():
    """The fitted interference would make three pions negative for some strange couplings."""
    strange = Couplings(jnp.zeros(12).at[6:9].set(jnp.array([0.1, 0.1, 0.6])), jnp.zeros(12))
    found = at(strange, np.linspace(0.1, 10.0, 2000))
    assert all(np.min(width) >= 0 for width in found.channels.values())


def test_nuisances():
    """`hadrons` on all of R, `axial` on what axial couplings make besides."""
    plain = at(EVERYTHING, 1.6)
    scaled = at(EVERYTHING, 1.6, hadrons=1.1, axial=0.5)
    for name in CHANNELS:
        factor = 1.1 if name in hadrons.CHANNELS else 1.0
        factor *= 0.5 if name == "axial hadrons" else 1.0
        assert scaled.channels[name] == pytest.approx(float(factor * plain.channels[name]))
    axial_alone = Couplings(jnp.zeros(12), EVERYTHING.axial)
    ratio = at(axial_alone, 5.0, axial=0.5).hadrons / at(axial_alone, 5.0).hadrons
    assert ratio == pytest.approx(0.5)


def test_axial_currents_make_what_tau_decays_do():
    """R_tau of the axial current without the pion, 1.694(10) - 0.607(3): arXiv:1312.1501, and
    B(tau -> pi nu)/B(tau -> e nu nu) = 10.82/17.82; |V_ud|^2 S_EW = 0.9487 x 1.0194."""
    m_tau = LEPTON_MASSES["tau"]
    mass = np.linspace(0.42, m_tau, 2000)
    isovector = Couplings(jnp.zeros(12), jnp.zeros(12).at[6].set(0.5).at[7].set(-0.5))
    found = at(isovector, mass)
    spectral = found.hadrons * 8 * np.pi / mass  # 1 for free quarks
    x = mass**2 / m_tau**2
    rate = 3 * 0.9487 * 1.0194 * np.trapezoid((1 - x) ** 2 * (1 + 2 * x) * spectral, x)
    assert rate == pytest.approx(1.694 - 10.82 / 17.82, rel=0.01)


def test_sums_and_fractions():
    found = at(EVERYTHING, 2.1)
    assert found.total == pytest.approx(float(sum(found.channels.values())))
    assert found.visible + found.invisible == pytest.approx(float(found.total))
    neutrinos = sum(found.channels[f"{nu} {nu}"] for nu in ("nu_e", "nu_mu", "nu_tau"))
    assert found.invisible == pytest.approx(float(neutrinos + found.channels["X X"]))
    names = ("hadrons", "charged leptons", "neutrinos", "X X", "gamma gamma gamma")
    assert sum(float(found.branching_fraction(name)) for name in names) == pytest.approx(1.0)


def test_a_vector_that_couples_to_nothing_lives_for_ever():
    found = at(of.none(), 2.1)
    assert found.total == 0
    assert found.branching_fraction("neutrinos") == 0
    assert np.isinf(lifetime_ps(found.total))


def test_gradients_with_respect_to_the_coupling():
    """The lifetime goes like 1/g^2; without coupling everything is flat, not undefined."""

    @jax.jit
    @jax.jacfwd
    def slope(g):
        found = widths(of.b_minus_l(g), 2.1)
        return lifetime_ps(found.total), found.branching_fraction("mu mu")

    lifetime = float(lifetime_ps(at(of.b_minus_l(1e-6), 2.1).total))
    assert slope(1e-6)[0] == pytest.approx(-2e6 * lifetime)
    assert slope(0.0) == (0.0, 0.0)


def test_a_table_of_masses_is_the_same_as_one_after_the_other():
    masses = np.array([0.5, 2.1])
    both = at(EVERYTHING, masses)
    assert isinstance(both, Widths)
    assert both.total.shape == (2,)
    np.testing.assert_allclose(both.total[1], at(EVERYTHING, 2.1).total, rtol=1e-12)


METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
LEVI_CIVITA = np.zeros((4, 4, 4, 4))
for p in itertools.permutations(range(4)):
    LEVI_CIVITA[p] = np.linalg.det(np.eye(4)[list(p)])


def field(momentum: np.ndarray, polarisation: np.ndarray) -> np.ndarray:
    return np.outer(momentum, polarisation) - np.outer(polarisation, momentum)


def amplitude(fields: list[np.ndarray]) -> float:
    """Return that of [(F F)^2 + (7/4)(F F~)^2]/90 for four fields: three ways to pair them, each
    from eight of the 24 orders."""
    low = [METRIC @ f @ METRIC for f in fields]
    dual = [0.5 * np.tensordot(LEVI_CIVITA, f, 2) for f in low]
    f = [[np.sum(a * b) for b in fields] for a in low]
    g = [[np.sum(a * b) for b in dual] for a in low]
    pairs = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2))
    return sum(8 * (f[a][b] * f[c][d] + 1.75 * g[a][b] * g[c][d]) for a, b, c, d in pairs) / 90


def test_three_photons_from_the_euler_heisenberg_lagrangian():
    """alpha^2/(90 m_e^4) [(F F)^2 + (7/4)(F F~)^2], F with a part g/e of the vector: plane waves
    and an integral over phase space, exact for a polynomial."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    total = 0.0  # for a vector of mass m_e = 1
    for (u, w), (v, z) in itertools.product(zip(nodes, weights, strict=True), repeat=2):
        x1 = (1 + u) / 2
        x2 = 1 - x1 * (1 - v) / 2  # from 1 - x1 to 1: energies in units of M/2
        cosine = 1 - 2 * (x1 + x2 - 1) / (x1 * x2)
        one = x1 * np.array([0.0, 0.0, 1.0])
        two = x2 * np.array([np.sqrt(1 - cosine**2), 0.0, cosine])
        photons = []
        for k in (one, two, -one - two):
            direction = k / np.linalg.norm(k)
            momentum = np.array([np.linalg.norm(k), *k]) / 2
            across = np.cross([0.0, 1.0, 0.0], direction)
            photons.append([field(momentum, np.array([0, *e])) for e in ((0, 1, 0), across)])
        vector = [field(np.array([1.0, 0, 0, 0]), np.eye(4)[i]) for i in (1, 2, 3)]
        square = sum(amplitude(list(some)) ** 2 for some in itertools.product(vector, *photons))
        total += w * z / 4 * x1 * square
    # 1/3 for the vector's spin, 1/3! for photons, M/(256 pi^3) dx1 dx2; alpha^2 = e^3 g/(4 pi)^2
    expected = total / (18 * 256 * np.pi**3) * (4 * np.pi / 137.036) ** 3 / (4 * np.pi) ** 4
    m_e = LEPTON_MASSES["e"]
    electron = Couplings(jnp.zeros(12).at[0].set(1.0), jnp.zeros(12))
    ours = at(electron, m_e).channels["gamma gamma gamma"] / m_e
    assert float(ours) == pytest.approx(expected, rel=1e-9)
