"""Every rate of bknn.decay against explicit spinors, polarisation vectors and angles.

The engine is `brute_force.py`. The first half checks the engine against what must hold whatever
the conventions (completeness, equations of motion, a static b quark, rates out of textbooks); the
second half compares. Masses, form factors and couplings are random, and all operators of a final
state are on at once with complex couplings, so that every interference is in the comparison.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from bknn.decay import hadronic, rate
from bknn.decay.densities import Densities
from bknn.decay.invisible import (
    fermion_pair,
    gravitino_pair,
    neutrinos,
    one_particle,
    scalar_pair,
    vector_pair,
)

from . import brute_force as bf

# Both sides are exact but for rounding, which the brute-force side collects in its many sums.
EXACT = 1e-10

PSEUDOSCALAR = ("f_plus", "f_0", "f_T")
VECTOR = ("V", "A0", "A1", "A12", "T1", "T2", "T23")
MASSES = {"mB": 5.31, "m": 0.87}  # of the mesons, where no random ones are needed
QUARKS = {"mb": 4.23, "ms": 0.11}
DIRECTIONS = ((0.36, -0.48, 0.8), (0.0, 0.0, -1.0), (-2 / 3, 2 / 3, -1 / 3))


def generator(*seed: int) -> np.random.Generator:
    return np.random.default_rng([2403, 13887, *seed])


def normal(rng: np.random.Generator, shape: tuple = ()) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def pseudoscalar(form_factors: Mapping[str, float], mb: float, ms: float) -> bf.Elements:
    return lambda p, k: bf.pseudoscalar_elements(p, k, form_factors, mb, ms)


def vector(form_factors: Mapping[str, float], mb: float, ms: float) -> bf.Elements:
    """Of a K*; the first polarisation is the longitudinal one."""

    def elements(p: np.ndarray, k: np.ndarray) -> bf.Current:
        eps = bf.helicity_vectors(k, np.sqrt(bf.dot(k, k)))
        return bf.vector_elements(p, k, eps, form_factors, mb, ms)

    return elements


# --- The engine: Dirac matrices and states ----------------------------------------------------


def some_momentum(mass: float) -> np.ndarray:
    space = np.array([0.7, -1.1, 0.4])
    return np.array([np.sqrt(mass**2 + space @ space), *space])


def test_dirac_matrices() -> None:
    product = np.einsum("mab,nbc->mnac", bf.GAMMA, bf.GAMMA)
    anticommutator = product + np.swapaxes(product, 0, 1)
    np.testing.assert_allclose(anticommutator, 2 * np.multiply.outer(bf.METRIC, bf.ONE))
    np.testing.assert_allclose(bf.GAMMA @ bf.GAMMA5, -bf.GAMMA5 @ bf.GAMMA, atol=1e-15)
    turned = bf.C @ np.swapaxes(bf.GAMMA, 1, 2) @ np.linalg.inv(bf.C)
    np.testing.assert_allclose(turned, -bf.GAMMA, atol=1e-15)
    twice = bf.dual(bf.dual(np.arange(16.0).reshape(4, 4)))
    antisymmetric = np.arange(16.0).reshape(4, 4) - np.arange(16.0).reshape(4, 4).T
    np.testing.assert_allclose(twice, antisymmetric / 2, atol=1e-12)


@pytest.mark.parametrize("mass", [0.0, 0.6])
def test_sums_over_spins_one_half(mass: float) -> None:
    p = some_momentum(mass)
    u, v = bf.u_spinors(p, mass), bf.v_spinors(p, mass)
    of_u, of_v = (np.einsum("sa,sb->ab", x, bf.bar(x)) for x in (u, v))
    np.testing.assert_allclose(of_u, bf.slash(p) + mass * bf.ONE, atol=1e-14)
    np.testing.assert_allclose(of_v, bf.slash(p) - mass * bf.ONE, atol=1e-14)


def test_sums_over_polarisations() -> None:
    mass = 0.6
    p = some_momentum(mass)
    for eps in (bf.polarisations(p, mass), bf.helicity_vectors(p, mass)):
        total = np.einsum("sm,sn->mn", eps, eps.conj())
        np.testing.assert_allclose(total, np.outer(p, p) / mass**2 - bf.METRIC, atol=1e-13)
        np.testing.assert_allclose(bf.dot(eps, p), 0.0, atol=1e-13)


def test_sums_over_spins_three_halves() -> None:
    mass = 0.6
    p = some_momentum(mass)
    u = bf.vector_spinors(p, mass)
    v = bf.conjugate(u)
    gamma, momenta = bf.GAMMA, np.multiply.outer(p, bf.GAMMA)
    projector = (
        -np.multiply.outer(bf.METRIC, bf.ONE)
        + np.einsum("mab,nbc->mnac", gamma, gamma) / 3
        + 2 / (3 * mass**2) * np.multiply.outer(np.outer(p, p), bf.ONE)
    )
    mixed = (np.swapaxes(momenta, 0, 1) - momenta) / (3 * mass)  # gamma^m p^n - p^m gamma^n
    for psi, sign in ((u, 1), (v, -1)):
        total = np.einsum("lma,lnb->mnab", psi, bf.bar(psi))
        wanted = (bf.slash(p) + sign * mass * bf.ONE) @ (projector + sign * mixed)
        np.testing.assert_allclose(total, wanted, atol=1e-12)
        trace = np.einsum("mab,lmb->la", bf.lower(gamma.T).T, psi)
        np.testing.assert_allclose(trace, 0.0, atol=1e-13)
        np.testing.assert_allclose(np.einsum("lma,m->la", psi, bf.lower(p)), 0.0, atol=1e-13)


# --- The engine: invisible currents -----------------------------------------------------------


def divergence(q: np.ndarray, current: np.ndarray) -> np.ndarray:
    """q_m D^m or q_m D^mn, for currents with the spin axes flattened."""
    if current.ndim == 3:
        return np.einsum("nm,nsm->ns", bf.lower(q), current)
    return np.einsum("nm,nsmk->nsk", bf.lower(q), current)


def test_equations_of_motion_of_the_currents() -> None:
    m1, m2, q2 = 0.4, 0.9, 5.3
    p1, p2, _ = bf.directions(q2, m1, m2)
    q = p1 + p2

    fermions = bf.distinct(bf.fermion_pair)(p1, p2, m1, m2)
    np.testing.assert_allclose(divergence(q, fermions["V"]), (m1 - m2) * fermions["S"], atol=1e-13)
    np.testing.assert_allclose(divergence(q, fermions["A"]), (m1 + m2) * fermions["P"], atol=1e-13)
    # Gordon: i sigma^nm q_m = (m1 + m2) V^n - (p1 - p2)^n S
    gordon = (m1 + m2) * fermions["V"] - (p1 - p2)[:, None, :] * fermions["S"][..., None]
    np.testing.assert_allclose(-1j * divergence(q, fermions["T"]), gordon, atol=1e-12)

    p1, p2, _ = bf.directions(q2, m2, m2)
    gravitinos = bf.distinct(bf.gravitino_pair)(p1, p2, m2, m2)
    np.testing.assert_allclose(divergence(q, gravitinos["V"]), 0.0, atol=1e-12)
    np.testing.assert_allclose(divergence(q, gravitinos["A"]), 2 * m2 * gravitinos["P"], atol=1e-12)

    scalars = bf.distinct(bf.scalar_pair)(p1, p2, m2, m2)
    np.testing.assert_allclose(divergence(q, scalars["V"]), 0.0, atol=1e-12)

    vectors = bf.distinct(bf.vector_pair)(p1, p2, m2, m2)
    np.testing.assert_allclose(divergence(q, vectors["V"]), 0.0, atol=1e-12)
    np.testing.assert_allclose(divergence(q, vectors["M"]), 0.0, atol=1e-12)
    # M is d_n of i (V^{+n} V^m - V^{+m} V^n); a total derivative of what is created is i q.
    np.testing.assert_allclose(1j * divergence(q, vectors["T"]), vectors["M"], atol=1e-12)
    # d_m d_n (V^{+m} V^n) twice, once for each order
    twice = 1j * divergence(q, vectors["E"])
    np.testing.assert_allclose(divergence(q, vectors["B"]), 0.0, atol=1e-12)
    # d_m (V^+_r d_n V_s - d_n V^+_r V_s) = 2 (d_m V^+_r) (d_n V_s) under the epsilon tensor
    np.testing.assert_allclose(1j * divergence(q, vectors["A"]), -2j * vectors["D"], atol=1e-12)
    eps1, eps2 = (bf.polarisations(p, m2).conj() for p in (p1, p2))
    product = bf.dot(q[:, None], eps1)[:, :, None] * bf.dot(q[:, None], eps2)[:, None, :]
    np.testing.assert_allclose(twice, 2j * product.reshape(len(q), 9), atol=1e-12)


def test_majorana_currents_are_twice_dirac_or_nothing() -> None:
    p1, p2, _ = bf.directions(4.0, 0.5, 0.5)
    for pair in (bf.fermion_pair, bf.gravitino_pair):
        one, two = (wrap(p1, p2, 0.5, 0.5) for wrap in (bf.distinct(pair), bf.identical(pair, -1)))
        for d in "SPA":
            np.testing.assert_allclose(two[d], 2 * one[d], atol=1e-12)
        for d in set(one) - set("SPA"):
            np.testing.assert_allclose(two[d], 0.0, atol=1e-12)


def test_phase_space_and_quadrature() -> None:
    _, _, weights = bf.directions(3.0, 0.0, 0.0)
    assert weights.sum() == pytest.approx(1 / (8 * np.pi))
    _, _, weights = bf.directions(4.0, 0.6, 0.6, twins=True)
    assert weights.sum() == pytest.approx(0.8 / (16 * np.pi))

    def all_densities(polar: int, azimuthal: int) -> np.ndarray:
        p1, p2, weights = bf.directions(4.0, 0.6, 0.6, polar=polar, azimuthal=azimuthal)
        current = bf.distinct(bf.gravitino_pair)(p1, p2, 0.6, 0.6)
        return np.array([x for of in bf.spectral_densities(current, weights) for x in of.values()])

    np.testing.assert_allclose(all_densities(6, 11), all_densities(9, 16), atol=1e-11)


# --- The engine: hadronic matrix elements -----------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_equations_of_motion_of_the_quarks(direction: tuple) -> None:
    rng, (mb, ms) = generator(1), QUARKS.values()
    p, k = bf.daughter(MASSES["mB"], MASSES["m"], 6.2, direction)
    q = p - k
    form_factors = dict(zip(PSEUDOSCALAR + VECTOR, rng.uniform(0.2, 1.5, 10), strict=True))

    kaon = pseudoscalar(form_factors, mb, ms)(p, k)
    np.testing.assert_allclose(kaon["V"] @ q, (mb - ms) * kaon["S"])
    wanted = 6.2 * (p + k) - (MASSES["mB"] ** 2 - MASSES["m"] ** 2) * q
    wanted = 1j * form_factors["f_T"] / (MASSES["mB"] + MASSES["m"]) * bf.lower(wanted)
    np.testing.assert_allclose((kaon["T"] @ q)[0], wanted, atol=1e-13)

    eps = bf.helicity_vectors(k, MASSES["m"])
    kstar = vector(form_factors, mb, ms)(p, k)
    np.testing.assert_allclose(kstar["V"] @ q, 0.0, atol=1e-13)
    np.testing.assert_allclose(kstar["A"] @ q, -(mb + ms) * kstar["P"], atol=1e-13)
    one, two, three = bf.tensor_contractions(p, k, eps.conj())
    _, t3 = bf.a2_and_t3(form_factors, MASSES["mB"], MASSES["m"], 6.2)
    np.testing.assert_allclose(kstar["T"] @ q, form_factors["T1"] * one, atol=1e-11)
    axial = form_factors["T2"] * two + t3 * three
    np.testing.assert_allclose(kstar["T5"] @ q, axial, atol=1e-11)


def test_static_quark_in_a_kaon() -> None:
    """<sigma_0i> = -i <gamma_i> for g0 b = b; f_T is that of Isgur and Wise (see below)."""
    mB, mK, q2 = 5.31, 0.49, 6.2
    p, k = bf.daughter(mB, mK, q2)
    form_factors = {"f_plus": 1.3, "f_0": 0.8}
    f_minus = (form_factors["f_0"] - form_factors["f_plus"]) * (mB**2 - mK**2) / q2
    form_factors["f_T"] = (mB + mK) / (2 * mB) * (form_factors["f_plus"] - f_minus)
    kaon = pseudoscalar(form_factors, **QUARKS)(p, k)
    np.testing.assert_allclose(kaon["T"][:, 0, 1:], -1j * kaon["V"][:, 1:], atol=1e-13)


def static_tensor_form_factors(given: Mapping[str, float], q2: float) -> dict[str, float]:
    """T1, T2, T23 of a b quark at rest, from V, A0, A1, A12."""
    mB, mV = MASSES.values()
    p, k = bf.daughter(mB, mV, q2)
    eps = bf.helicity_vectors(k, mV)
    start = vector({**given, "T1": 1.0, "T2": 1.0, "T23": 1.0}, **QUARKS)(p, k)
    electric = {"T": -1j * start["V"], "T5": 1j * start["A"]}  # sigma_0i and sigma_0i gamma5
    parts = {}
    for quark, value in electric.items():
        part = np.zeros((3, 4, 4), complex)
        part[:, 0, 1:] = value[:, 1:]
        parts[quark] = part - np.swapaxes(part, 1, 2)
    tensor = parts["T"] + bf.dual(parts["T5"])
    one, two, three = (x.ravel() for x in bf.tensor_contractions(p, k, eps.conj()))
    vector_part, axial_part = ((x @ (p - k)).ravel() for x in (tensor, bf.dual(tensor)))
    (t1,), left, *_ = np.linalg.lstsq(one[:, None], vector_part, rcond=None)
    (t2, t3), left5, *_ = np.linalg.lstsq(np.stack([two, three], 1), axial_part, rcond=None)
    np.testing.assert_allclose([*left, *left5], 0.0, atol=1e-20)
    kallen = ((mB + mV) ** 2 - q2) * ((mB - mV) ** 2 - q2)
    t23 = ((mB**2 - mV**2) * (mB**2 + 3 * mV**2 - q2) * t2 - kallen * t3) / (
        8 * mB * mV**2 * (mB - mV)
    )
    values = np.array([t1, t2, t23])
    np.testing.assert_allclose(values.imag, 0.0, atol=1e-12)
    return dict(zip(("T1", "T2", "T23"), values.real, strict=True))


def test_static_quark_in_a_kstar() -> None:
    """This is what fixes the signs: with them T1, T2, T23 are positive if V, A1, A12 are.

    Relations of Isgur and Wise, Phys. Rev. D 42 (1990) 2388; the one of T1 is written out.
    """
    (mB, mV), q2 = MASSES.values(), 6.2
    zero = dict.fromkeys(("V", "A0", "A1", "A12"), 0.0)
    of_v, of_a1, of_a12 = (
        static_tensor_form_factors(zero | {name: 1.0}, q2) for name in ("V", "A1", "A12")
    )
    assert of_v["T1"] == pytest.approx((mB**2 + q2 - mV**2) / (2 * mB * (mB + mV)))
    assert of_a1["T1"] == pytest.approx((mB + mV) / (2 * mB))
    assert min(of_v["T2"], of_a1["T2"], of_a12["T23"]) > 0.1

    given = {"V": 0.9, "A0": 0.7, "A1": 0.5, "A12": 0.4}
    p, k = bf.daughter(mB, mV, q2)
    kstar = vector(given | static_tensor_form_factors(given, q2), **QUARKS)(p, k)
    np.testing.assert_allclose(kstar["T"][:, 0, 1:], -1j * kstar["V"][:, 1:], atol=1e-11)
    np.testing.assert_allclose(kstar["T5"][:, 0, 1:], 1j * kstar["A"][:, 1:], atol=1e-11)


# --- The engine: rates that are in textbooks --------------------------------------------------


def test_known_rates_of_a_kaon() -> None:
    mB, mK, q2, f = 5.3, 0.5, 7.0, 0.63
    lam = ((mB + mK) ** 2 - q2) * ((mB - mK) ** 2 - q2)
    elements = pseudoscalar({"f_plus": f, "f_0": 0.4, "f_T": 1.0}, **QUARKS)

    def left_handed(p: np.ndarray, k: np.ndarray) -> bf.Current:
        return bf.chiral_elements(elements(p, k)) | {"S": np.zeros(1)}

    # B -> K nu nubar, one flavour; arXiv:0902.0160 has three, and other couplings.
    neutrino = bf.dgamma_dq2(
        left_handed, bf.distinct(bf.neutrino_pair), q2=q2, mB=mB, m=mK, m1=0.0, m2=0.0
    )
    wanted = lam**1.5 * f**2 / (1536 * np.pi**3 * mB**3)
    assert neutrino({("VL", "VL"): 1.0}).sum() == pytest.approx(wanted, rel=1e-12)

    # B -> K Z' with a vector coupling: polarisation sum of (p + k)^m f_plus
    boson = bf.gamma_two_body(elements, bf.vector_particle, mB=mB, m=mK, mass=np.sqrt(q2))
    wanted = np.sqrt(lam) / (16 * np.pi * mB**3) * f**2 * lam / q2
    assert boson({("V", "V"): 1.0}).sum() == pytest.approx(wanted, rel=1e-12)


def test_known_rate_of_a_radiative_decay() -> None:
    """B -> K* gamma (as in arXiv:hep-ph/0106067): (sbar sigma P_R b) F; T1(0) = T2(0)."""
    (mB, mV), t1 = MASSES.values(), 0.3
    names = dict.fromkeys(VECTOR, 0.5) | {"T1": t1, "T2": t1}
    photon = bf.gamma_two_body(vector(names, **QUARKS), bf.vector_particle, mB=mB, m=mV, mass=0.003)
    wanted = mB**3 * (1 - mV**2 / mB**2) ** 3 * t1**2 / (4 * np.pi)
    got = photon({("T", "F"): 0.5, ("T5", "F"): 0.5}).sum()
    assert got == pytest.approx(wanted, rel=1e-5)  # the mass of the "photon"


def test_known_rate_of_an_annihilation() -> None:
    """pi -> l nu: G_F^2 f^2 m_l^2 M (1 - m_l^2 / M^2)^2 / (8 pi), |c|^2 = 8 G_F^2."""
    mass, lepton, f = 1.9, 1.1, 0.23
    leptonic = bf.gamma_annihilation(
        f, bf.distinct(bf.neutrino_pair), mB=mass, mb=4.0, ms=0.1, m1=lepton, m2=0.0
    )
    wanted = f**2 * lepton**2 * mass * (1 - lepton**2 / mass**2) ** 2 / (64 * np.pi)
    couplings = {("V", "VL"): 0.5, ("A", "VL"): -0.5}
    assert leptonic(couplings).sum() == pytest.approx(wanted, rel=1e-12)


def test_a_rate_has_no_direction() -> None:
    rng = generator(8)
    form_factors = dict(zip(VECTOR, rng.uniform(0.2, 1.5, 7), strict=True))
    couplings = {name: normal(rng) for name in operators("SPVAT")}
    rates = [
        bf.dgamma_dq2(
            vector(form_factors, **QUARKS),
            bf.distinct(bf.fermion_pair),
            **{"q2": 6.0, "m1": 0.3, "m2": 0.5, "direction": direction, **MASSES},
        )(couplings)
        for direction in DIRECTIONS
    ]
    np.testing.assert_allclose([x[0] for x in rates], rates[0][0], rtol=1e-12)
    np.testing.assert_allclose([x.sum() for x in rates], rates[0].sum(), rtol=1e-12)


# --- The comparison ---------------------------------------------------------------------------

QUARK_CURRENTS = {0: ("S", "P"), 1: ("V", "A"), 2: ("T", "T5")}
RANKS = dict.fromkeys("SPFD", 0) | dict.fromkeys("VAMEB", 1) | dict.fromkeys("TU", 2)


class State(NamedTuple):
    """A final state: how both sides make it, its masses and currents."""

    pair: bf.Pair
    densities: Callable[[float], Densities]
    m1: float
    m2: float
    currents: str
    twins: bool = False


STATES = {
    "scalars": State(
        bf.distinct(bf.scalar_pair), lambda q2: scalar_pair.densities(q2, 0.6), 0.6, 0.6, "SV"
    ),
    "massless scalars": State(
        bf.distinct(bf.scalar_pair), lambda q2: scalar_pair.densities(q2, 0.0), 0.0, 0.0, "SV"
    ),
    "real scalars": State(
        bf.identical(bf.scalar_pair, 1),
        lambda q2: scalar_pair.densities(q2, 0.6, identical=True),
        *(0.6, 0.6, "SV", True),
    ),
    "fermions": State(
        bf.distinct(bf.fermion_pair),
        lambda q2: fermion_pair.densities(q2, 0.4, 0.9),
        *(0.4, 0.9, "SPVAT"),
    ),
    "fermions the other way round": State(
        bf.distinct(bf.fermion_pair),
        lambda q2: fermion_pair.densities(q2, 0.9, 0.4),
        *(0.9, 0.4, "SPVAT"),
    ),
    "fermions of one mass": State(
        bf.distinct(bf.fermion_pair),
        lambda q2: fermion_pair.densities(q2, 0.7),
        *(0.7, 0.7, "SPVAT"),
    ),
    "massless fermions": State(
        bf.distinct(bf.fermion_pair),
        lambda q2: fermion_pair.densities(q2, 0.0),
        *(0.0, 0.0, "SPVAT"),
    ),
    "a massless fermion": State(
        bf.distinct(bf.fermion_pair),
        lambda q2: fermion_pair.densities(q2, 0.8, 0.0),
        *(0.8, 0.0, "SPVAT"),
    ),
    "Majorana fermions": State(
        bf.identical(bf.fermion_pair, -1),
        lambda q2: fermion_pair.densities(q2, 0.7, identical=True),
        *(0.7, 0.7, "SPVAT", True),
    ),
    "vectors": State(
        bf.distinct(bf.vector_pair),
        lambda q2: vector_pair.densities(q2, 0.6),
        *(0.6, 0.6, "SFDVMEABT"),
    ),
    "real vectors": State(
        bf.identical(bf.vector_pair, 1),
        lambda q2: vector_pair.densities(q2, 0.6, identical=True),
        *(0.6, 0.6, "SFDVMEABT", True),
    ),
    "gravitinos": State(
        bf.distinct(bf.gravitino_pair),
        lambda q2: gravitino_pair.densities(q2, 0.6),
        *(0.6, 0.6, "SPVATU"),
    ),
    "Majorana gravitinos": State(
        bf.identical(bf.gravitino_pair, -1),
        lambda q2: gravitino_pair.densities(q2, 0.6, identical=True),
        *(0.6, 0.6, "SPVATU", True),
    ),
}
states = pytest.mark.parametrize("name", STATES)


def operators(currents: Mapping[str, int] | str) -> list[tuple[str, str]]:
    return [(q, d) for d in currents for q in QUARK_CURRENTS[RANKS[d]]]


Numbers = Callable[[Mapping], np.ndarray]


def compare(mine: Numbers, theirs: Numbers, names: list, rng: np.random.Generator) -> None:
    """Each operator alone; then all of them, of equal weight and with random phases.

    If only the sum is wrong, say which interference it is.
    """
    alone = np.array([mine({name: 1.0}) for name in names])
    got = np.array([theirs({name: 1.0}) for name in names])
    np.testing.assert_allclose(got, alone, rtol=EXACT, atol=1e-26 * alone.max())

    there = [
        (name, x[0]) for name, x in zip(names, alone, strict=True) if x[0] > 1e-26 * alone.max()
    ]
    unit = {name: normal(rng) / np.sqrt(total) for name, total in there}

    def differ(couplings: Mapping) -> bool:
        return not np.allclose(theirs(couplings), mine(couplings), rtol=EXACT, atol=EXACT)

    if differ(unit):
        pairs = itertools.combinations(unit, 2)
        wrong = [(a, b) for a, b in pairs if differ({a: unit[a], b: unit[b]})]
        pytest.fail(f"interference: {wrong or 'of nothing'}")


@states
def test_spectral_densities(name: str) -> None:
    state = STATES[name]
    for q2 in (4.6, 15.3):
        p1, p2, weights = bf.directions(q2, state.m1, state.m2, twins=state.twins)
        brute = bf.spectral_densities(state.pair(p1, p2, state.m1, state.m2), weights)
        given = state.densities(q2)
        assert {x for pair in given.spin0 for x in pair} <= set(state.currents)
        for spin, mine, theirs in ((0, brute[0], given.spin0), (1, brute[1], given.spin1)):
            largest = max((abs(x) for x in mine.values()), default=0.0)
            for (c, d), value in mine.items():
                # The phase of electric parts; the scale, one sqrt(q2) for each vector.
                value = value * (-1j) ** c.endswith(".E") * 1j ** d.endswith(".E")
                value /= np.sqrt(q2) ** (sum(RANKS[x[0]] > 0 for x in (c, d)))
                entry = theirs.get((c, d), theirs.get((d, c), 0.0))
                assert not ((c, d) in theirs and (d, c) in theirs and c != d)
                np.testing.assert_allclose(
                    entry, value, rtol=EXACT, atol=1e-14 * largest, err_msg=f"{spin} {c} {d}"
                )


class Transition(NamedTuple):
    """Random mesons, both ways."""

    elements: bf.Elements
    masses: dict[str, float]
    waves: Callable[[float], tuple]


def transition(vector_meson: bool, rng: np.random.Generator) -> Transition:
    mB, m = rng.uniform(4.5, 6.0), rng.uniform(0.3, 1.2)
    mb, ms = rng.uniform(3.0, 5.0), rng.uniform(0.05, 0.3)
    names = VECTOR if vector_meson else PSEUDOSCALAR
    form_factors = dict(zip(names, rng.uniform(0.2, 1.5, len(names)), strict=True))
    waves = hadronic.vector_waves if vector_meson else hadronic.pseudoscalar_waves

    def their_waves(q2: float) -> tuple:
        return waves(q2, form_factors, mass_parent=mB, mass_daughter=m, mass_b=mb, mass_s=ms)

    elements = (vector if vector_meson else pseudoscalar)(form_factors, mb, ms)
    return Transition(elements, {"mB": mB, "m": m}, their_waves)


def all_and_longitudinal(by_polarisation: np.ndarray) -> np.ndarray:
    return np.array([by_polarisation.sum(), by_polarisation[0]])


def their_dgamma(mesons: Transition, q2: float, densities: Densities) -> Numbers:
    waves = mesons.waves(q2)
    masses = {"mass_parent": mesons.masses["mB"], "mass_daughter": mesons.masses["m"]}
    return lambda couplings: np.array(
        [
            rate.dgamma_dq2(
                q2, waves, couplings, densities, **masses, longitudinal_only=longitudinal
            )
            for longitudinal in (False, True)
        ]
    )


@pytest.mark.parametrize("vector_meson", [False, True], ids=["K", "K*"])
@states
def test_spectra(name: str, vector_meson: bool) -> None:
    state, rng = STATES[name], generator(2, vector_meson, list(STATES).index(name))
    mesons = transition(vector_meson, rng)
    q2 = rng.uniform(4.0, 10.0)
    brute = bf.dgamma_dq2(
        mesons.elements,
        state.pair,
        q2=q2,
        m1=state.m1,
        m2=state.m2,
        twins=state.twins,
        **mesons.masses,
    )
    compare(
        lambda couplings: all_and_longitudinal(brute(couplings)),
        their_dgamma(mesons, q2, state.densities(q2)),
        operators(state.currents),
        rng,
    )


@pytest.mark.parametrize("vector_meson", [False, True], ids=["K", "K*"])
@pytest.mark.parametrize("name", ["phi", "V"])
def test_one_invisible_particle(name: str, vector_meson: bool) -> None:
    rng = generator(3, vector_meson, name == "V")
    mesons, mass = transition(vector_meson, rng), rng.uniform(0.5, 3.0)
    dark = bf.scalar_particle if name == "phi" else bf.vector_particle
    brute = bf.gamma_two_body(mesons.elements, dark, mass=mass, **mesons.masses)
    densities = one_particle.scalar() if name == "phi" else one_particle.vector(mass)
    waves = mesons.waves(mass**2)

    def theirs(couplings: Mapping) -> np.ndarray:
        widths = [
            rate.gamma_two_body(
                mass,
                waves,
                couplings,
                densities,
                mass_parent=mesons.masses["mB"],
                mass_daughter=mesons.masses["m"],
                longitudinal_only=longitudinal,
            )
            for longitudinal in (False, True)
        ]
        return np.array(widths)

    names = {
        "phi": operators("S"),
        "V": [*operators("V"), ("T", "F"), ("T5", "F")],
    }[name]
    compare(lambda couplings: all_and_longitudinal(brute(couplings)), theirs, names, rng)


@states
def test_annihilation(name: str) -> None:
    state, rng = STATES[name], generator(4, list(STATES).index(name))
    mB, mb, ms, f = rng.uniform([4.5, 3.0, 0.05, 0.1], [6.0, 5.0, 0.3, 0.4])
    brute = bf.gamma_annihilation(
        f, state.pair, mB=mB, mb=mb, ms=ms, m1=state.m1, m2=state.m2, twins=state.twins
    )
    waves = hadronic.annihilation_waves(mass_parent=mB, decay_constant=f, mass_b=mb, mass_s=ms)
    densities = state.densities(mB**2)

    def theirs(couplings: Mapping) -> np.ndarray:
        return np.array([rate.gamma_annihilation(waves, couplings, densities, mass_parent=mB)])

    compare(brute, theirs, operators(state.currents), rng)


# --- Neutrinos, with matrices of flavour ------------------------------------------------------

CHIRAL = [g + x + y for g in "SV" for x in "LR" for y in "LR"] + ["TLL", "TRR"]
SCALAR_AND_TENSOR = [key for key in CHIRAL if key[0] != "V"]
HEAVY = (0.3, 0.5, 0.9)


def matrices(keys: list[str], rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {key: normal(rng, (3, 3)) for key in keys}


def brute_neutrinos(
    mesons: Transition,
    q2: float,
    chiral: Mapping[str, np.ndarray],
    pair: bf.Pair,
    *,
    majorana: bool,
    masses: tuple = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """All flavours in the final state; (sbar G P_X b)(nubar_a G P_Y nu_b), key G X Y."""

    def elements(p: np.ndarray, k: np.ndarray) -> bf.Current:
        usual = mesons.elements(p, k)
        return bf.chiral_elements(usual) | {"S": usual["S"]}

    couplings: Any = {(key[0] + key[1], key[0] + key[2]): c for key, c in chiral.items()}
    if majorana:
        couplings = bf.both_orders(couplings)
    dark = bf.flavoured(pair, -1) if majorana else bf.distinct(pair)
    total = np.zeros(2)
    flavours = [(slice(None), slice(None))] if masses == (0.0, 0.0, 0.0) else np.ndindex(3, 3)
    for a, b in flavours:
        m1, m2 = (masses[0], masses[0]) if isinstance(a, slice) else (masses[a], masses[b])
        brute = bf.dgamma_dq2(elements, dark, q2=q2, m1=m1, m2=m2, twins=majorana, **mesons.masses)
        total += all_and_longitudinal(brute({key: c[a, b] for key, c in couplings.items()}))
    return total


@pytest.mark.parametrize("vector_meson", [False, True], ids=["K", "K*"])
class TestNeutrinos:
    """One operator and all of them, 3 x 3 random complex numbers each."""

    def test_massless(self, vector_meson: bool) -> None:
        rng, q2 = generator(5, vector_meson), 6.3
        mesons = transition(vector_meson, rng)
        theirs = their_dgamma(mesons, q2, neutrinos.densities(q2))
        for keys in ([key] for key in CHIRAL), [CHIRAL]:
            for some in keys:
                chiral = matrices(some, rng)
                mine = brute_neutrinos(mesons, q2, chiral, bf.neutrino_pair, majorana=False)
                np.testing.assert_allclose(theirs(neutrinos.couplings(chiral)), mine, rtol=EXACT)

    def test_lepton_number_violation(self, vector_meson: bool) -> None:
        """nubar^c_a G P_L nu_b makes two antineutrinos, nubar_a G P_R nu^c_b two neutrinos."""
        rng, q2 = generator(6, vector_meson), 6.3
        mesons = transition(vector_meson, rng)
        theirs = their_dgamma(mesons, q2, neutrinos.densities(q2))
        for keys in ([key] for key in SCALAR_AND_TENSOR), [SCALAR_AND_TENSOR]:
            for some in keys:
                chiral = matrices(some, rng)
                mine = np.zeros(2)
                for y, pair in (("L", bf.antineutrino_pair), ("R", bf.two_neutrinos)):
                    these = {key: c for key, c in chiral.items() if key[2] == y}
                    if these:
                        mine += brute_neutrinos(mesons, q2, these, pair, majorana=True)
                table = neutrinos.majorana(neutrinos.couplings(chiral))
                np.testing.assert_allclose(theirs(table), mine, rtol=EXACT)

    @pytest.mark.parametrize("majorana", [False, True], ids=["Dirac", "Majorana"])
    @pytest.mark.parametrize("masses", [(0.0, 0.0, 0.0), HEAVY], ids=["massless", "massive"])
    def test_as_fermion_pairs(self, vector_meson: bool, majorana: bool, masses: tuple) -> None:
        rng, q2 = generator(7, vector_meson, majorana), 6.3
        mesons = transition(vector_meson, rng)
        chiral = matrices(CHIRAL, rng)
        mine = brute_neutrinos(
            mesons, q2, chiral, bf.neutrino_pair, majorana=majorana, masses=masses
        )
        table = neutrinos.massive_couplings(chiral)
        if majorana:
            table = neutrinos.majorana(table)
        got = np.zeros(2)
        for a, b in np.ndindex(3, 3):
            densities = fermion_pair.densities(q2, masses[a], masses[b])
            got += their_dgamma(mesons, q2, densities)({key: c[a, b] for key, c in table.items()})
        np.testing.assert_allclose(got, mine, rtol=EXACT)
