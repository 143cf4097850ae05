"""The polarisation of the K* from a simulation of the angle of its decay K* -> K pi.

The amplitude of B -> K*(-> K pi) X is written with momenta alone: the K* is the sum over its
polarisations, -g^mn + k^m k^n/m^2, between the current of the quarks and p_K - p_pi, so nothing
here knows a helicity, and longitudinal means nothing. Squared, summed over the spins of what is
invisible and thrown by accept and reject, it gives angles theta_K of the kaon against the flight of
the K*, distributed like

    F_L 3/2 cos^2 + (1 - F_L) 3/4 sin^2,

from which F_L is fitted and compared with `bknn.predict`. Only the form factors are bknn's, tested
in tests/unit/form_factors/test_form_factors.py; B -> K* matrix elements as in arXiv:1310.3722.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import kstest

import bknn
from bknn import models
from bknn.form_factors import sets
from bknn.inputs import STANDARD
from bknn.prediction import value

from . import brute_force as bf

CHANNEL = "B0 -> K*0"
MB, MV = float(STANDARD.masses["B0"]), float(STANDARD.masses["K*0"])
QUARKS = float(STANDARD.mass_b), float(STANDARD.mass_s)
KAON, PION = 0.49368, 0.13957  # GeV; F_L does not depend on them
LAST = (MB - MV) ** 2
MASS = 2.1  # of a single invisible particle
PAIR = 0.6  # of each of two
LAMBDA = 1e4

Couplings = Mapping[str, float]


# --- Events -----------------------------------------------------------------------------------


class Events(NamedTuple):
    """Points of phase space in the rest frame of the B, (n,) and (n, 4)."""

    q2: np.ndarray
    k: np.ndarray
    kaon: np.ndarray
    pion: np.ndarray


def directions(random: np.random.Generator, n: int) -> np.ndarray:
    x = random.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def two(random: np.random.Generator, parent: np.ndarray, total: np.ndarray, m1: float, m2: float):
    """Momenta of two daughters in a uniform direction of the rest frame of (n, 4) parents."""
    factors = (total**2 - (m1 + m2) ** 2) * (total**2 - (m1 - m2) ** 2)
    size = np.sqrt(np.maximum(factors, 0.0)) / (2 * total)
    space = size[:, None] * directions(random, len(size))
    first = np.concatenate([np.hypot(size, m1)[:, None], space], axis=1)
    second = np.concatenate([np.hypot(size, m2)[:, None], -space], axis=1)
    frame = boosts(parent, total)
    return np.einsum("emn,en->em", frame, first), np.einsum("emn,en->em", frame, second)


def boosts(p: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Boosts (n, 4, 4) that take (mass, 0) to p (n, 4)."""
    return bf.boost(p / mass[:, None], 1.0)


def throw(random: np.random.Generator, q2: np.ndarray) -> Events:
    """Throw the directions of the K* and of the kaon in its rest frame, both uniform."""
    n = len(q2)
    rest = np.tile(bf.at_rest(MB), (n, 1))
    factors = ((MB - MV) ** 2 - q2) * ((MB + MV) ** 2 - q2)
    size = np.sqrt(factors) / (2 * MB)
    k = np.concatenate([np.hypot(size, MV)[:, None], size[:, None] * directions(random, n)], axis=1)
    assert np.allclose(bf.dot(rest - k, rest - k), q2)
    return Events(q2, k, *two(random, k, np.full(n, MV), KAON, PION))


def cosine(events: Events) -> np.ndarray:
    """The kaon against the flight of the K*, in the rest frame of the K*, from energies alone."""
    energy = (MV**2 + KAON**2 - PION**2) / (2 * MV)
    momentum = np.sqrt(energy**2 - KAON**2)
    gamma = events.k[:, 0] / MV
    return (events.kaon[:, 0] - gamma * energy) / (np.sqrt(gamma**2 - 1) * momentum)


# --- Amplitudes -------------------------------------------------------------------------------


def quark_currents(events: Events) -> dict[str, np.ndarray]:
    """B -> K*(-> K pi) of the quark currents: P (n,), V and A (n, 4), lower index; and T, T5 (n, 4)
    of sigma_mn, sigma_mn gamma5 after contraction with q^n."""
    q2, k, p = events.q2, events.k, bf.at_rest(MB)
    f = {name: np.asarray(x) for name, x in FORM_FACTORS(q2).items()}
    a2, t3 = a2_and_t3(f, q2)
    flight = events.kaon - events.pion
    # Sum over polarisations of eps*^m (eps . flight).
    e = k * (bf.dot(k, flight) / MV**2)[:, None] - flight
    q = p - k
    eq = bf.dot(e, q)
    turned = np.einsum("mnrs,s->mnr", bf.EPSILON_LOWER, p)
    normal = bf.DUALITY * -np.einsum("mnr,en,er->em", turned, e, k)  # eps_mnrs e^n p^r k^s

    def times(number: np.ndarray, vector: np.ndarray) -> np.ndarray:
        return number[:, None] * vector

    axial = (
        times(2 * MV * f["A0"] * eq / q2, q)
        + times((MB + MV) * f["A1"], e - times(eq / q2, q))
        - times(a2 * eq / (MB + MV), p + k - times((MB**2 - MV**2) / q2, q))
    )
    difference = MB**2 - MV**2
    two = times(eq, p + k) - difference * e
    three = times(eq, times(q2 / difference, p + k) - q)
    return {
        "P": -bf.dot(axial, q) / sum(QUARKS),  # q^m (sbar g_m g5 b) = -(m_b + m_s) sbar g5 b
        "V": times(2j * f["V"] / (MB + MV), normal),
        "A": bf.lower(axial),
        "T": times(-2.0 * f["T1"], normal),
        "T5": 1j * bf.lower(times(f["T2"], two) + times(t3, three)),
    }


def a2_and_t3(f: Mapping[str, np.ndarray], q2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A2 and T3 from A12 and T23; both divided by what vanishes at the endpoint."""
    return bf.a2_and_t3(f, MB, MV, q2)


def scalar_particle(events: Events, couplings: Couplings) -> np.ndarray:
    """|amplitude|^2 (n,) of B -> K* phi: g_P."""
    return np.abs(couplings["P"] * quark_currents(events)["P"]) ** 2


def vector_particle(events: Events, couplings: Couplings) -> np.ndarray:
    """|amplitude|^2 (n,) of B -> K* V: h_V, h_A, h_T, h_T5."""
    q = bf.at_rest(MB) - events.k
    mass = np.sqrt(events.q2)
    eps = np.einsum("emn,sn->esm", boosts(q, mass), POLARISATIONS).conj()
    hadronic = quark_currents(events)
    # V^mn = i (q^m eps^n - q^n eps^m) meets sigma_mn: -2i eps^m (q^n sigma_mn).
    factor = {"V": 1.0, "A": 1.0, "T": -2j, "T5": -2j}
    total = sum(c * factor[name] * hadronic[name] for name, c in couplings.items())
    return np.sum(np.abs(np.einsum("em,esm->es", total, eps)) ** 2, axis=1)


POLARISATIONS = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], complex)


def fermion_pair(
    structures: Mapping[str, np.ndarray], mass: float
) -> Callable[[Events, Mapping[tuple[str, str], complex], np.random.Generator], np.ndarray]:
    """|amplitude|^2 (n,) of B -> K* psi psibar, psi in a random direction."""

    def squared(
        events: Events, couplings: Mapping[tuple[str, str], complex], random: np.random.Generator
    ) -> np.ndarray:
        q = bf.at_rest(MB) - events.k
        p1, p2 = two(random, q, np.sqrt(events.q2), mass, mass)
        dark = bf.fermion_pair(p1, p2, mass, mass, structures)
        hadronic = quark_currents(events)
        total: np.ndarray | float = 0.0
        for (quark, d), c in couplings.items():
            rank = hadronic[quark].ndim - 1
            contraction = ("e,eij->eij", "em,eijm->eij")[rank]
            total = total + c * np.einsum(contraction, hadronic[quark], dark[d])
        return np.sum(np.abs(total) ** 2, axis=(1, 2))

    return squared


FORM_FACTORS = sets.load(sets.DEFAULTS["B -> K*"], "B -> K*")


# --- Accept, reject, fit ----------------------------------------------------------------------


def accept(random: np.random.Generator, weight: np.ndarray) -> np.ndarray:
    """Which of the events to keep, each with a probability that goes like its weight."""
    return random.uniform(size=len(weight)) * weight.max() < weight


def fitted(c: np.ndarray) -> float:
    """F_L with the largest likelihood of the cosines."""
    longitudinal, transverse = 1.5 * c**2, 0.75 * (1 - c**2)

    def loss(f_l: float) -> float:
        return -float(np.sum(np.log(f_l * longitudinal + (1 - f_l) * transverse)))

    return float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded").x)


def check(c: np.ndarray, f_l: float) -> None:
    """The fit agrees with F_L within four standard deviations, and the angles with the shape."""
    # <cos^2> = (1 + 2 F_L)/5 has the larger error of the two estimates, and has one at 0 and 1.
    sigma = 2.5 * np.std(c**2) / np.sqrt(len(c))
    assert fitted(c) == pytest.approx(f_l, abs=4 * sigma)
    assert 2.5 * np.mean(c**2) - 0.5 == pytest.approx(f_l, abs=4 * sigma)

    def cumulative(x: np.ndarray) -> np.ndarray:
        return 0.5 + f_l * x**3 / 2 + (1 - f_l) * (3 * x - x**3) / 4

    assert kstest(c, cumulative).pvalue > 1e-4


def predicted(name: str, basis: str, **couplings: float) -> float:
    """F_L of bknn without the standard model's neutrinos, over all q2."""
    model = models.load(name, basis=basis)
    off = {p.name: p.init for p in model.parameters} | {c.name: 0.0 for c in model.couplings}
    mass = MASS if name in ("scalar", "vector") else PAIR
    point = off | {"mass": mass, "sm_normalisation": 0.0} | couplings
    return float(jax.jit(lambda: value(model, "f_l", CHANNEL, point))())


#: (model, basis, its couplings, those of the currents).
ONE_PARTICLE = {
    "left-handed vector": ("vector", "chiral", {"C_V_L": 1e-8}, {"V": 0.5, "A": -0.5}),
    "right-handed vector": ("vector", "chiral", {"C_V_R": 1e-8}, {"V": 0.5, "A": 0.5}),
    "vector": ("vector", "parity", {"h_V": 1e-8}, {"V": 1.0}),
    "axial": ("vector", "parity", {"h_A": 1e-8}, {"A": 1.0}),
    "left-handed dipole": ("vector", "chiral", {"C_T_L": 1e-11}, {"T": 0.5, "T5": -0.5}),
    "dipole": ("vector", "parity", {"h_T": 1e-9}, {"T": 1.0}),
    "dipole with gamma5": ("vector", "parity", {"h_T5": 1e-9}, {"T5": 1.0}),
    "all four": (
        "vector",
        "parity",
        {"h_V": 1.3e-8, "h_A": -0.6e-8, "h_T": 2e-9, "h_T5": 3e-9},
        {"V": 1.3, "A": -0.6, "T": 0.2, "T5": 0.3},
    ),
    "left-handed scalar": ("scalar", "chiral", {"C_S_L": 1e-10}, {"P": -0.5}),
    "pseudoscalar": ("scalar", "parity", {"g_P": 1e-8}, {"P": 1.0}),
}
SURE = {"vector": 0.0, "dipole": 0.0, "left-handed scalar": 1.0, "pseudoscalar": 1.0}


def of_one_particle(case: str, n: int) -> tuple[np.ndarray, float]:
    """Cosines that were thrown, and F_L of bknn."""
    name, basis, couplings, currents = ONE_PARTICLE[case]
    random = np.random.default_rng([2503, 19025, n])
    events = throw(random, np.full(n, MASS**2))
    squared = scalar_particle if name == "scalar" else vector_particle
    kept = accept(random, squared(events, currents))
    return cosine(events)[kept], predicted(name, basis, **couplings)


@pytest.mark.parametrize("case", ONE_PARTICLE)
def test_one_invisible_particle(case: str) -> None:
    c, f_l = of_one_particle(case, 40_000)
    assert len(c) > 5000
    check(c, f_l)
    if case in SURE:
        assert f_l == pytest.approx(SURE[case], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("case", ONE_PARTICLE)
def test_one_invisible_particle_to_a_permille(case: str) -> None:
    c, f_l = of_one_particle(case, 1_000_000)
    assert 2.5 * np.std(c**2) / np.sqrt(len(c)) < 1.5e-3
    check(c, f_l)


def of_a_pair(random: np.random.Generator, n: int, mass: float, squared, couplings) -> tuple:
    """Events in all of phase space, and their weights: Gamma is the mean, but for a constant."""
    first = 4 * mass**2
    # Not at the very end, where A2 is 0/0.
    q2 = random.uniform(first, LAST * (1 - 1e-6), size=n)
    events = throw(random, q2)
    momentum = np.linalg.norm(events.k[:, 1:], axis=1)
    beta = np.sqrt(1 - first / q2)
    return events, momentum * beta * (LAST - first) * squared(events, couplings, random)


CHIRAL_PAIR = {("V", "V"): 0.25, ("V", "A"): 0.25, ("A", "V"): -0.25, ("A", "A"): -0.25}


def of_fermions(n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """q2 and cosines of psi psibar with C_V_LR, and F_L of bknn over all q2."""
    random = np.random.default_rng([2403, 13887, n])
    squared = fermion_pair(bf.STRUCTURES, PAIR)
    events, weight = of_a_pair(random, n, PAIR, squared, CHIRAL_PAIR)
    kept = accept(random, weight)
    return events.q2[kept], cosine(events)[kept], predicted("fermion-pair", "chiral", C_V_LR=1.0)


def test_pair_of_fermions() -> None:
    _, c, f_l = of_fermions(15_000)
    assert len(c) > 2500
    check(c, f_l)


@pytest.mark.slow
def test_pair_of_fermions_in_bins() -> None:
    q2, c, f_l = of_fermions(400_000)
    check(c, f_l)
    model = models.load("fermion-pair", basis="chiral")
    point = {p.name: p.init for p in model.parameters} | {"mass": PAIR, "sm_normalisation": 0.0}
    for low, high in ((1.5, 6.0), (6.0, 12.0), (12.0, 19.2)):
        inside = (q2 > low) & (q2 < high)
        f_l = float(value(model, "f_l", CHANNEL, point, (low, high)))
        check(c[inside], f_l)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "coupling"), [("scalar", "g_P"), ("vector", "h_A")])
def test_beside_neutrinos(name: str, coupling: str) -> None:
    """What is seen in all: a particle and the neutrinos of the standard model, both simulated,
    each as often as its own rate says; F_L of all and in a bin around the mass."""
    n = 400_000
    random = np.random.default_rng(1808)
    left_handed = {("V", "V"): 0.5, ("A", "V"): -0.5}
    squared = fermion_pair({"V": bf.CHIRAL["VL"]}, 0.0)
    events, weight = of_a_pair(random, n, 0.0, squared, left_handed)
    kept = accept(random, weight)
    scale = 4 * STANDARD.g_fermi / np.sqrt(2) * STANDARD.alpha / (2 * np.pi) * STANDARD.ckm
    scale *= STANDARD.c_sm
    # Phase space: dq2/(2 pi) |k|/(4 pi m_B) beta/(8 pi), over 2 m_B; three flavours. The average
    # of |eps . (p_K - p_pi)|^2 over directions is common to all.
    energy = (MV**2 + KAON**2 - PION**2) / (2 * MV)
    flight = 4 * (energy**2 - KAON**2) / 3
    common = flight * 2 * MB * 4 * np.pi * MB
    neutrinos = 3 * float(scale) ** 2 * np.mean(weight) / (common * 16 * np.pi**2)
    own = throw(random, np.full(n, MASS**2))
    size = 2e-8
    squared = scalar_particle if name == "scalar" else vector_particle
    height = squared(own, {"P" if name == "scalar" else "A": size})
    momentum = np.linalg.norm(own.k[0, 1:])
    particles = np.mean(height) * momentum / common
    angles = cosine(events)[kept], cosine(own)[accept(random, height)]
    q2 = events.q2[kept]

    model = models.load(name)
    point = {"mass": MASS, coupling: size, "g_S" if name == "scalar" else "h_V": 0.0}
    for q2_bin in (None, (MASS**2 - 1.0, MASS**2 + 1.0)):
        inside = np.ones(len(q2), bool) if q2_bin is None else abs(q2 - MASS**2) < 1.0
        moments = [2.5 * np.mean(c**2) - 0.5 for c in (angles[0][inside], angles[1])]
        rates = neutrinos * np.mean(inside), particles
        found = np.average(moments, weights=rates)
        expected = bknn.predict(model, "f_l", CHANNEL, point, q2_bin)
        assert found == pytest.approx(float(expected.value), abs=0.012)
    lifetime = float(STANDARD.lifetimes["B0"])
    of_sm = bknn.predict(models.load("sm"), channel=CHANNEL)
    assert neutrinos * lifetime == pytest.approx(float(of_sm.value), rel=0.01)
    of_all = bknn.predict(model, channel=CHANNEL, params=point)
    assert (neutrinos + particles) * lifetime == pytest.approx(float(of_all.value), rel=0.01)
