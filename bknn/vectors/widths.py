"""Partial widths of a light vector, 1 MeV to 10 GeV.

- Fermions: Gamma = M/(12 pi) sqrt(1 - 4 r) [g_V^2 (1 + 2 r) + g_A^2 (1 - 4 r)], r = m^2/M^2; for
  neutrinos, with g_V = g_A, it is M g_V^2/(6 pi).
- Hadrons: `hadrons`, `axial`.
- Three photons, of the loop of electrons, below 2 m_e: 17 alpha^3 (g_V^e)^2/(4 pi)
  / (2^7 3^6 5^3 pi^3) M^9/m_e^8 (arXiv:0807.3279), from the Euler-Heisenberg Lagrangian, which
  holds for M << 2 m_e. Between m_e and 2 m_e, where it is used, higher orders make it larger
  (arXiv:1705.00619): take it as the order of magnitude. Above 2 m_e the decay into electrons is
  larger by ten orders of magnitude; it is faded out by 4 m_e.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import inputs
from bknn.kinematics import safe_sqrt
from bknn.vectors import hadrons as hadronic
from bknn.vectors.couplings import LEPTONS, NEUTRINOS, Couplings
from bknn.vectors.electroweak import STANDARD, Electroweak
from bknn.vectors.steps import smooth_step

#: Masses of the charged leptons in GeV (Particle Data Group 2024).
LEPTON_MASSES = {
    "e": 0.51099895e-3,
    "mu": 0.1056583755,
    "tau": float(np.asarray(inputs.STANDARD.mass_tau)),
}

#: Of the first six of FERMIONS.
_MASSES = np.array([*LEPTON_MASSES.values(), 0.0, 0.0, 0.0])
_NEUTRINOS = tuple(f"{nu} {nu}" for nu in NEUTRINOS)
_LEPTONS = tuple(f"{lepton} {lepton}" for lepton in LEPTONS)

#: Names of all channels.
CHANNELS = (*_LEPTONS, *_NEUTRINOS, "X X", "gamma gamma gamma", *hadronic.CHANNELS)
_PLACE = {name: i for i, name in enumerate(CHANNELS)}

#: Places of the channels of a sum.
_SUMS: dict[str, Any] = {
    "charged leptons": slice(0, 3),
    "neutrinos": slice(3, 6),
    "invisible": slice(3, 7),
    "visible": np.array([0, 1, 2, *range(7, len(CHANNELS))]),
    "hadrons": slice(8, None),
}


class Widths(eqx.Module):
    """Partial widths in GeV.

    Attributes:
        partial: of CHANNELS, the last axis (..., channels); before it the shape of the mass.
    """

    partial: Array

    @property
    def channels(self) -> dict[str, Array]:
        """{channel: its width}."""
        return {name: self.partial[..., i] for i, name in enumerate(CHANNELS)}

    @property
    def total(self) -> Array:
        """All of it."""
        return jnp.sum(self.partial, axis=-1)

    @property
    def hadrons(self) -> Array:
        """All hadrons, pi0 gamma among them."""
        return self._of("hadrons")

    @property
    def charged_leptons(self) -> Array:
        """e e, mu mu, tau tau."""
        return self._of("charged leptons")

    @property
    def neutrinos(self) -> Array:
        """All three."""
        return self._of("neutrinos")

    @property
    def invisible(self) -> Array:
        """Neutrinos and dark fermions."""
        return self._of("invisible")

    @property
    def visible(self) -> Array:
        """Everything else."""
        return self._of("visible")

    def _of(self, name: str) -> Array:
        return jnp.sum(self.partial[..., _SUMS[name]], axis=-1)

    def of(self, *sums: tuple[str, ...]) -> Array:
        """Return the width of each of some sums (..., sums), of channels or of what
        `branching_fraction` knows, all of them by one matrix."""
        matrix = np.zeros((len(CHANNELS), len(sums)))
        for i, names in enumerate(sums):
            for name in names:
                matrix[_SUMS[name] if name in _SUMS else _PLACE[name], i] = 1.0
        return self.partial @ matrix

    def fractions(self, *sums: tuple[str, ...]) -> Array:
        """Return the branching fraction of each of some sums (..., sums), as `of`."""
        return self.of(*sums) * self._per_total[..., None]

    @property
    def _per_total(self) -> Array:
        """1 over the total; 0, not 1/0, of a vector that does not decay."""
        total = self.total
        nothing = total <= 0
        return jnp.where(nothing, 0.0, 1.0 / jnp.where(nothing, 1.0, total))

    def fraction(self, width: Array) -> Array:
        """Return a width over the total one; 0 of a vector that does not decay."""
        return width * self._per_total

    def branching_fraction(self, name: str) -> Array:
        """Return the branching fraction of a channel or of "hadrons", "charged leptons",
        "neutrinos", "invisible", "visible"; KeyError for another name."""
        return self.fraction(self._of(name) if name in _SUMS else self.partial[..., _PLACE[name]])


def to_fermions(g_v: ArrayLike, g_a: ArrayLike, fermion: ArrayLike, mass: ArrayLike) -> Array:
    """Return the width in GeV of a vector of `mass` into a Dirac fermion and its antiparticle.

    >>> float(to_fermions(1.0, 0.0, 0.5, 1.0))
    0.0
    """
    mass = jnp.asarray(mass)
    r = (jnp.asarray(fermion) / mass) ** 2
    room = jnp.maximum(1.0 - 4.0 * r, 0.0)
    couplings = jnp.asarray(g_v) ** 2 * (1.0 + 2.0 * r) + jnp.asarray(g_a) ** 2 * room
    return mass / (12.0 * np.pi) * safe_sqrt(room) * couplings


def to_photons(g_v: ArrayLike, mass: ArrayLike, alpha: ArrayLike = 1 / 137.036) -> Array:
    """Return the width in GeV into three photons, by a loop of electrons (Euler-Heisenberg)."""
    mass, m_e = jnp.asarray(mass), LEPTON_MASSES["e"]
    low = jnp.minimum(mass, 4 * m_e)
    number = 17.0 / (2**7 * 3**6 * 5**3 * np.pi**3) / (4.0 * np.pi)
    rate = number * jnp.asarray(alpha) ** 3 * jnp.asarray(g_v) ** 2 * low * (low / m_e) ** 8
    return rate * (1.0 - smooth_step(mass, 2 * m_e, 4 * m_e))


def widths(
    couplings: Couplings,
    mass: ArrayLike,
    ew: Electroweak = STANDARD,
    *,
    hadrons: ArrayLike = 1.0,
    axial: ArrayLike = 1.0,
) -> Widths:
    """Return the partial widths of a vector.

    Args:
        couplings: what it couples to.
        mass: GeV, from 1 MeV to 10 GeV, () or (n,); may be traced. `resonances.check_mass` refuses
            what is outside and what is at a narrow resonance; here nothing is checked.
        ew: its alpha enters the decay into three photons.
        hadrons, axial: factors on all hadronic widths, and on those of axial couplings to quarks
            besides: nuisances, 1 with some 0.05 and 0.10 (docs/vectors.md).

    >>> from bknn.vectors.couplings import dark_photon
    >>> found = widths(dark_photon(1e-3), 2.1)
    >>> round(float(found.hadrons / found.channels["mu mu"]), 2)  # R, the mass of the muon aside
    2.26
    """
    mass = jnp.asarray(mass, dtype=float)
    if mass.ndim:

        def one(m: Array) -> Widths:
            return widths(couplings, m, ew, hadrons=hadrons, axial=axial)

        return jax.vmap(one)(mass)
    dark = couplings.dark
    fermions = to_fermions(
        _joined(couplings.vector[:6], [x.vector for x in dark]),
        _joined(couplings.axial[:6], [x.axial for x in dark]),
        _joined(jnp.asarray(_MASSES), [x.mass for x in dark]),
        mass,
    )
    quarks = couplings.vector[6:10], couplings.axial[6:10]
    rates = hadronic.by_channel(*quarks, mass, jnp.asarray(hadrons), jnp.asarray(axial))
    rates = mass / (12.0 * np.pi) * rates
    others = jnp.sum(fermions[6:]), to_photons(couplings.vector[0], mass, ew.alpha)
    return Widths(jnp.concatenate([fermions[:6], jnp.stack(others), rates]))


def _joined(first: Array, more: Sequence[ArrayLike]) -> Array:
    return jnp.concatenate([first, *(jnp.reshape(jnp.asarray(x, float), (1,)) for x in more)])


def lifetime_ps(width: ArrayLike) -> Array:
    """Return the lifetime in ps of a width in GeV; infinite for 0.

    >>> round(float(lifetime_ps(6.582119569e-13)), 6)
    1.0
    """
    width = jnp.asarray(width)
    stable = width <= 0
    return jnp.where(stable, jnp.inf, 1e12 * inputs.HBAR / jnp.where(stable, 1.0, width))
