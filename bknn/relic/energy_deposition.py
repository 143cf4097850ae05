"""What part of the energy of a particle, or of a final state, heats and ionises the gas from which
the cosmic microwave background comes.

Electrons and photons come from the tables of arXiv:1506.03811 (its figure 3, read off by the
authors of hazma: 2 %). Everything else decays first, and deposits what its electrons, positrons and
photons do: with D(E) = E f(E) the energy deposited by a particle of energy E,

    D_parent(E) = sum_decays BR sum_daughters < D_daughter(gamma (E* + beta p* c)) >,

averaged over the energy E* in the frame of the parent and over the direction c. Muons have the
spectrum of Michel, those of pions and kaons with their polarisation; two bodies are exact, three
follow phase space, more share the energy equally. Neutrinos deposit nothing. Radiation off charged
particles is left out (some per cent more for muons and pions).

Hadrons of which no channel is resolved are pions, two thirds of them charged, 3/2 times
3.33 - 0.40 ln s + 0.26 ln^2 s of them (s in GeV^2: a fit, quoted from memory, to charged particles
in e+ e- annihilation from 2 to 90 GeV); kaons, baryons and leptons of charm are left out. Take that
as good to 15 %, resolved channels to 5 %, electrons and photons to the 2 % of their tables; within
these the program hazma has the same for muons, pions and kaons from 0.6 to 10 GeV.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: The energy deposited by a particle against its energy, both in GeV; arrays of any shape.
Deposit = Callable[[Floats], Floats]

#: Masses in GeV (Particle Data Group 2024, Phys. Rev. D 110, 030001).
MASSES: Mapping[str, float] = {
    "gamma": 0.0,
    "nu": 0.0,
    "e": 0.51099895e-3,
    "mu": 0.1056583755,
    "pi": 0.13957039,
    "pi0": 0.1349768,
    "K": 0.493677,
    "KS": 0.497611,
    "KL": 0.497611,
    "rho": 0.7753,
    "a1": 1.230,
    "tau": 1.77693,
}

#: {particle: [(branching fraction, daughters)]} of the same review, rare decays left out and the
#: sum made 1. A muon beside a neutrino alone is polarised. Of tau, two pions are a rho, three an
#: a1, modes with kaons count as these.
DECAYS: Mapping[str, tuple[tuple[float, tuple[str, ...]], ...]] = {
    "mu": ((1.0, ("e", "nu", "nu")),),
    "pi0": ((1.0, ("gamma", "gamma")),),
    "pi": ((1.0, ("mu", "nu")),),
    "K": (
        (0.6356, ("mu", "nu")),
        (0.2067, ("pi", "pi0")),
        (0.0558, ("pi", "pi", "pi")),
        (0.0507, ("pi0", "e", "nu")),
        (0.0335, ("pi0", "mu", "nu")),
        (0.0176, ("pi", "pi0", "pi0")),
    ),
    "KS": ((0.692, ("pi", "pi")), (0.3069, ("pi0", "pi0"))),
    "KL": (
        (0.4055, ("pi", "e", "nu")),
        (0.2704, ("pi", "mu", "nu")),
        (0.1952, ("pi0", "pi0", "pi0")),
        (0.1254, ("pi", "pi", "pi0")),
    ),
    "rho": ((1.0, ("pi", "pi0")),),
    "a1": ((0.5, ("pi", "pi", "pi")), (0.5, ("pi", "pi0", "pi0"))),
    "tau": (
        (0.1782, ("e", "nu", "nu")),
        (0.1739, ("mu", "nu", "nu")),
        (0.1152, ("pi", "nu")),
        (0.2590, ("rho", "nu")),
        (0.1850, ("a1", "nu")),
        (0.0600, ("pi", "pi", "pi", "pi0", "nu")),
    ),
}

#: Energies at which tables end, GeV.
HIGHEST = 5.8e3

#: Points of a table; of integrals over energies, over directions.
POINTS = 120
_X, _DX = np.polynomial.legendre.leggauss(16)
_C, _DC = np.polynomial.legendre.leggauss(12)

_TABLES = Path(__file__).parent / "tables"


def read(name: str) -> tuple[Floats, Floats]:
    """Return energies (GeV) and f_eff of "electrons" or "photons", as they stand in the tables.

    >>> energies, f = read("electrons")
    >>> round(float(f[list(energies).index(1.11396)]), 6)
    0.402685
    """
    table = np.loadtxt(_TABLES / f"f_eff_{name}.csv", delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1]


@cache
def deposit(particle: str) -> Deposit:
    """Return the energy that a particle deposits, as a function of its energy (GeV)."""
    from scipy.interpolate import CubicSpline, PchipInterpolator  # not for whom has no dark matter

    if particle == "nu":
        return np.zeros_like
    if particle in ("e", "gamma"):
        energies, f = read("electrons" if particle == "e" else "photons")
        return _tabulated(PchipInterpolator(np.log(energies), f), energies[0], energies[-1])
    mass = MASSES[particle]
    grid = np.geomspace(mass, HIGHEST, POINTS)
    total = sum(part for part, _ in DECAYS[particle])
    found = np.zeros_like(grid)
    for part, daughters in DECAYS[particle]:
        for energy, momentum, weight, of in _spectra(particle, daughters):
            found += part / total * _boosted(grid, mass, energy, momentum, weight, deposit(of))
    return _tabulated(CubicSpline(np.log(grid), found / grid), grid[0], grid[-1])


def _tabulated(f: Callable[[Floats], Floats], low: float, high: float) -> Deposit:
    """Return D(E) = E f(ln E), f held beyond its ends."""
    return lambda energy: energy * f(np.log(np.clip(energy, low, high)))


def _boosted(
    parent: Floats, mass: float, energy: Floats, momentum: Floats, weight: Floats, of: Deposit
) -> Floats:
    """Return what daughters of a parent of these energies (n,) deposit, emitted isotropically."""
    gamma, at_rest = parent / mass, np.sqrt(np.maximum((parent / mass) ** 2 - 1.0, 0.0))
    seen = gamma[:, None, None] * energy[:, None] + at_rest[:, None, None] * np.outer(momentum, _C)
    return np.einsum("nkc,k,c->n", of(seen), weight, 0.5 * _DC)


def _spectra(parent: str, daughters: tuple[str, ...]) -> list[tuple[Floats, Floats, Floats, str]]:
    """Return of each daughter energies and momenta (GeV) where the parent rests, their weights, and
    what it is; a polarised muon is its electron."""
    mass = MASSES[parent]
    if daughters[1:] == ("nu", "nu"):
        return [(*_michel(mass), daughters[0])]
    if daughters == ("mu", "nu"):
        return [(*_polarised(mass), "e")]
    return at_rest(mass, daughters)


def _michel(mass: float) -> tuple[Floats, Floats, Floats]:
    """Return the spectrum of the lepton of l -> l' nu nu, its mass neglected."""
    x = 0.5 * (_X + 1.0)
    energy = 0.5 * mass * x
    return energy, energy, _DX * x**2 * (3.0 - 2.0 * x)


def _polarised(mass: float) -> tuple[Floats, Floats, Floats]:
    """Return the spectrum of the electron of the muon of P -> mu nu: against the direction of the
    muon it is x^2 [3 - 2 x - c (2 x - 1)]."""
    m_mu = MASSES["mu"]
    energy = (mass**2 + m_mu**2) / (2.0 * mass)
    gamma, boost = energy / m_mu, np.sqrt((energy / m_mu) ** 2 - 1.0)
    x, c = np.meshgrid(0.5 * (_X + 1.0), _C, indexing="ij")
    weight = np.outer(0.5 * _DX, _DC) * x**2 * (3.0 - 2.0 * x - c * (2.0 * x - 1.0))
    found = (0.5 * m_mu * x * (gamma + boost * c)).ravel()
    return found, found, weight.ravel()


def at_rest(mass: float, daughters: tuple[str, ...]) -> list[tuple[Floats, Floats, Floats, str]]:
    """Return of each daughter of a mass at rest (GeV) energies and momenta (k,), their weights (k,)
    that add up to 1, and its name.

    >>> (energy, momentum, weight, name), _ = at_rest(0.13957039, ("mu", "nu"))
    >>> round(float(energy[0]), 5), round(float(momentum[0]), 5), weight, name
    (0.10978, 0.02979, array([1.]), 'mu')
    """
    masses = [MASSES[name] for name in daughters]
    found = []
    for i, (m, name) in enumerate(zip(masses, daughters, strict=True)):
        others = masses[:i] + masses[i + 1 :]
        if len(daughters) == 2:
            energy = np.array([_energy(mass, m, others[0])])
            weight = np.ones(1)
        elif len(daughters) == 3:
            energy, weight = _of_three(mass, m, *others)
        else:
            energy, weight = np.array([max(mass / len(daughters), m)]), np.ones(1)
        momentum = np.sqrt(np.maximum(energy**2 - m**2, 0.0))
        found.append((energy, momentum, weight, name))
    return found


def _energy(mass: float, one: float | Floats, other: float | Floats) -> Floats:
    """Return the energy of one of two daughters."""
    return np.asarray((mass**2 + one**2 - other**2) / (2.0 * mass), float)


def _of_three(mass: float, one: float, second: float, third: float) -> tuple[Floats, Floats]:
    """Return the energies of one of three daughters, and their weights in phase space."""
    room = mass - one - second - third
    if room <= 1e-9 * mass:
        return np.array([one]), np.ones(1)
    pair = second + third + room * 0.5 * (1.0 + _X)
    energy = _energy(mass, one, pair)
    within = _energy_of_pair(pair, second, third)
    weight = _DX * np.sqrt(np.maximum(energy**2 - one**2, 0.0)) * within
    return energy, weight / weight.sum()


def _energy_of_pair(pair: Floats, one: float, other: float) -> Floats:
    """Return the momentum of two daughters of a pair of these masses."""
    energy = (pair**2 + one**2 - other**2) / (2.0 * pair)
    return np.sqrt(np.maximum(energy**2 - one**2, 0.0))


# ---------------------------------------------------------------- final states

#: Final states as particles; {part: state} of mixtures. In K K the charged and the neutral pair
#: have equal parts.
STATES: Mapping[str, tuple[tuple[float, tuple[str, ...]], ...]] = {
    "e e": ((1.0, ("e", "e")),),
    "mu mu": ((1.0, ("mu", "mu")),),
    "tau tau": ((1.0, ("tau", "tau")),),
    "gamma gamma gamma": ((1.0, ("gamma", "gamma", "gamma")),),
    "pi+ pi-": ((1.0, ("pi", "pi")),),
    "pi0 gamma": ((1.0, ("pi0", "gamma")),),
    "pi+ pi- pi0": ((1.0, ("pi", "pi", "pi0")),),
    "pi+ pi- pi+ pi-": ((1.0, ("pi", "pi", "pi", "pi")),),
    "pi+ pi- pi0 pi0": ((1.0, ("pi", "pi", "pi0", "pi0")),),
    "K K": ((0.5, ("K", "K")), (0.5, ("KS", "KL"))),
    "K K pi": (
        (1 / 3, ("K", "K", "pi0")),
        (1 / 3, ("K", "KS", "pi")),
        (1 / 3, ("K", "KL", "pi")),
    ),
}

#: Hadrons that are not resolved, with their thresholds (GeV).
UNRESOLVED: Mapping[str, float] = {
    "other hadrons": 4 * MASSES["pi"],
    "axial hadrons": 3 * MASSES["pi"],
    "open charm": 2 * 1.86484,
}


def threshold(channel: str) -> float:
    """Return the least energy of a final state, GeV."""
    if channel in UNRESOLVED:
        return UNRESOLVED[channel]
    return max(sum(MASSES[name] for name in state) for _, state in STATES[channel])


def final_state(channel: str, energy: float) -> float:
    """Return the part of the energy (GeV) of a final state, at rest as a whole, that it deposits.

    >>> round(final_state("mu mu", 2.0), 2)
    0.19
    """
    if channel in UNRESOLVED:
        log = np.log(energy**2)
        number = 1.5 * (3.33 - 0.40 * log + 0.26 * log**2)
        each = np.array(max(energy / number, MASSES["pi"]))
        return float((2.0 * deposit("pi")(each) + deposit("pi0")(each)) / (3.0 * each))
    return sum(
        part * float(np.sum(weight * deposit(name)(found))) / energy
        for part, state in STATES[channel]
        for found, _, weight, name in at_rest(energy, state)
    )
