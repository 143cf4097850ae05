"""What a light vector couples to.

    L = Z'_mu  sum_f  fbar gamma^mu (g_V - g_A gamma5) f

over the fermions of the standard model, and over Dirac fermions of a dark sector. Neutrinos are
left-handed, so that g_V = g_A for them. Entries may be traced; `Couplings` is a pytree that can be
added and multiplied by a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.vectors.electroweak import STANDARD, Electroweak

#: The fermions, in the order of the arrays of `Couplings`.
FERMIONS = ("e", "mu", "tau", "nu_e", "nu_mu", "nu_tau", "u", "d", "s", "c", "b", "t")

LEPTONS, NEUTRINOS = FERMIONS[:3], FERMIONS[3:6]
UP, DOWN = ("u", "c", "t"), ("d", "s", "b")

#: Names that stand for several fermions.
GROUPS: dict[str, tuple[str, ...]] = {
    "charged_leptons": LEPTONS,
    "neutrinos": NEUTRINOS,
    "leptons": LEPTONS + NEUTRINOS,
    "quarks": UP + DOWN,
    "up_quarks": UP,
    "down_quarks": DOWN,
}

#: Electric charge and weak isospin of the left-handed fields, in the order of FERMIONS.
CHARGE = np.array([-1.0] * 3 + [0.0] * 3 + [2 / 3, -1 / 3, -1 / 3, 2 / 3, -1 / 3, 2 / 3])
ISOSPIN = np.array([-0.5] * 3 + [0.5] * 3 + [0.5, -0.5, -0.5, 0.5, -0.5, 0.5])

#: A charge: of both chiralities, or (left, right).
Charge = ArrayLike | Sequence[ArrayLike]


class DarkFermion(eqx.Module):
    """A Dirac fermion X outside the standard model, its couplings to the vector; mass in GeV."""

    vector: ArrayLike
    axial: ArrayLike
    mass: ArrayLike


class Couplings(eqx.Module):
    """Couplings of a vector.

    Attributes:
        vector, axial: g_V and g_A of FERMIONS, (12,).
        dark: fermions of a dark sector.

    >>> g = lepton_difference("mu", "tau", 1e-3)
    >>> float(g.g_v("mu")), float(g.g_v("nu_tau")), float(g.g_a("e"))
    (0.001, -0.0005, 0.0)
    """

    vector: Array
    axial: Array
    dark: tuple[DarkFermion, ...] = ()

    def g_v(self, fermion: str) -> Array:
        """Return the vector coupling of a fermion; UnknownNameError if there is none such."""
        return self.vector[_index(fermion)]

    def g_a(self, fermion: str) -> Array:
        """Return the axial coupling of a fermion; UnknownNameError if there is none such."""
        return self.axial[_index(fermion)]

    def __getitem__(self, fermion: str) -> tuple[Array, Array]:
        return self.g_v(fermion), self.g_a(fermion)

    def __add__(self, other: Couplings) -> Couplings:
        return Couplings(
            self.vector + other.vector, self.axial + other.axial, self.dark + other.dark
        )

    def __mul__(self, factor: ArrayLike) -> Couplings:
        k = jnp.asarray(factor)
        dark = tuple(DarkFermion(k * x.vector, k * x.axial, x.mass) for x in self.dark)
        return Couplings(k * self.vector, k * self.axial, dark)

    __rmul__ = __mul__


def _index(fermion: str) -> int:
    if fermion not in FERMIONS:
        raise errors.unknown("fermion", fermion, FERMIONS)
    return FERMIONS.index(fermion)


def none() -> Couplings:
    """Return the couplings of a vector that couples to nothing."""
    return Couplings(jnp.zeros(12), jnp.zeros(12))


def dark_photon(epsilon: ArrayLike, ew: Electroweak = STANDARD) -> Couplings:
    """Return the couplings of a dark photon: -epsilon e Q.

    The sign is that of L = -(epsilon/2) F_mn F'^mn; only where it interferes does it matter.

    >>> round(float(dark_photon(1.0).g_v("e")), 6)
    0.302822
    """
    return Couplings(-jnp.asarray(epsilon) * ew.e * CHARGE, jnp.zeros(12))


def z_like(k: ArrayLike, ew: Electroweak = STANDARD) -> Couplings:
    """Return the couplings of k Z'_mu J_Z^mu, J_Z = T3 P_L - Q sin2_w."""
    k = jnp.asarray(k)
    q, t = jnp.asarray(CHARGE), jnp.asarray(ISOSPIN)
    return Couplings(k * (t / 2.0 - q * jnp.asarray(ew.sin2_w)), k * (t / 2.0))


def from_mixing(
    eps_a: ArrayLike,
    eps_z: ArrayLike,
    delta_z: ArrayLike,
    mass: ArrayLike,
    ew: Electroweak = STANDARD,
) -> Couplings:
    """Return the couplings of a vector that mixes with photon and Z, to first order.

    L = -(eps_a/2) A_mn Z'^mn - (eps_z/2) Z_mn Z'^mn + delta_z m_z^2 Z_m Z'^m; `mass` in GeV is that
    of the physical vector. The couplings are -eps_a e J_em + k J_Z with
    k = g_z (eps_z x - delta_z)/(1 - x), x = mass^2/m_z^2. `mixing.mixed` is exact.

    >>> float(from_mixing(1e-3, 0.0, 0.0, 2.0).g_v("mu") / dark_photon(1e-3).g_v("mu"))
    1.0
    """
    x = (jnp.asarray(mass) / jnp.asarray(ew.m_z)) ** 2
    k = ew.g_z * (jnp.asarray(eps_z) * x - jnp.asarray(delta_z)) / (1.0 - x)
    return dark_photon(eps_a, ew) + z_like(k, ew)


def spread(values: Mapping[str, Charge], where: str = "") -> dict[str, Charge]:
    """Return {fermion: value}, groups (GROUPS) spread out; a fermion's own entry has precedence.

    Raises:
        UnknownNameError: a name that is neither a fermion nor a group.
    """
    for name in values:
        if name not in FERMIONS and name not in GROUPS:
            raise errors.unknown("fermion", name, [*FERMIONS, *GROUPS], where)
    largest_first = sorted((x for x in values if x in GROUPS), key=lambda x: -len(GROUPS[x]))
    found: dict[str, Charge] = {f: values[group] for group in largest_first for f in GROUPS[group]}
    return found | {f: value for f, value in values.items() if f in FERMIONS}


def from_charges(charges: Mapping[str, Charge], g: ArrayLike) -> Couplings:
    """Return the couplings that charges make, times the gauge coupling g.

    Args:
        charges: {fermion or group: charge, or (left, right)}; fermions without one have none. Of
            the charge of a neutrino only the left-handed part counts. Groups: quarks, up_quarks,
            down_quarks, leptons, charged_leptons, neutrinos; a fermion's own entry has precedence.
        g: gauge coupling.

    Raises:
        UnknownNameError: a name that is neither a fermion nor a group.
        ParameterError: a charge that is neither a number nor two.

    >>> float(from_charges({"leptons": -1, "quarks": 1 / 3}, 0.6).g_v("nu_e"))
    -0.3
    """
    left, right = [jnp.zeros(())] * 12, [jnp.zeros(())] * 12
    for fermion, charge in spread(charges).items():
        i, pair = FERMIONS.index(fermion), np.shape(charge)  # type: ignore[arg-type]
        if pair not in ((), (2,)):
            raise errors.ParameterError(
                f"the charge of {fermion} has shape {pair}; give one number, or two for its left- "
                "and right-handed parts."
            )
        first, second = (charge, charge) if pair == () else charge  # type: ignore[misc]
        left[i] = jnp.asarray(first, dtype=float)
        right[i] = jnp.asarray(0.0 if fermion in NEUTRINOS else second, dtype=float)
    half, l, r = jnp.asarray(g) / 2.0, jnp.stack(left), jnp.stack(right)  # noqa: E741
    return Couplings(half * (l + r), half * (l - r))


def b_minus_l(g: ArrayLike) -> Couplings:
    """Return the couplings to B - L, without light right-handed neutrinos."""
    return from_charges({"quarks": 1 / 3, "leptons": -1.0}, g)


def baryon(g: ArrayLike) -> Couplings:
    """Return the couplings to baryon number."""
    return from_charges({"quarks": 1 / 3}, g)


def lepton_difference(first: str, second: str, g: ArrayLike) -> Couplings:
    """Return the couplings to L_first - L_second, of e, mu, tau."""
    for name in (first, second):
        if name not in LEPTONS:
            raise errors.unknown("charged lepton", name, LEPTONS)
    return from_charges({first: 1.0, f"nu_{first}": 1.0, second: -1.0, f"nu_{second}": -1.0}, g)


class Named(NamedTuple):
    """A vector: what its coupling is called, what it couples to, what makes its couplings."""

    coupling: str
    meaning: str
    make: Callable[[ArrayLike], Couplings]


NAMED: Mapping[str, Named] = MappingProxyType(
    {
        "dark-photon": Named("epsilon", "epsilon e times the electric charge", dark_photon),
        "z-like": Named("k", "k times the current of the Z, T3 P_L - Q sin2_w", z_like),
        "b-minus-l": Named("g", "g times B - L, left-handed neutrinos", b_minus_l),
        "baryon": Named("g", "g times the baryon number", baryon),
        "e-minus-mu": Named("g", "g times L_e - L_mu", partial(lepton_difference, "e", "mu")),
        "e-minus-tau": Named("g", "g times L_e - L_tau", partial(lepton_difference, "e", "tau")),
        "mu-minus-tau": Named("g", "g times L_mu - L_tau", partial(lepton_difference, "mu", "tau")),
    }
)


def named(name: str, coupling: ArrayLike) -> Couplings:
    """Return the couplings of a vector of NAMED.

    Raises:
        UnknownNameError: there is none of that name.

    >>> round(float(named("baryon", 0.3).g_v("u")), 12)
    0.1
    """
    if name not in NAMED:
        raise errors.unknown("vector", name, NAMED)
    return NAMED[name].make(coupling)
