"""Cross sections of X Xbar, a Dirac or Majorana fermion of a dark sector, through a vector Z'.

L = Z'_mu Xbar gamma^mu (g_V - g_A gamma5) X; of a Majorana X half of that, with g_V = 0, so that
the vertex is the same. With beta = sqrt(1 - 4 m^2/s) and Gamma_SM(sqrt s) the width, into the
standard model, of a Z' of mass sqrt(s) with the same couplings,

    sigma(X Xbar -> Z'* -> SM) = sqrt(s) [g_V^2 (1 + 2 m^2/s) + g_A^2 beta^2] Gamma_SM(sqrt s)
                                 / (beta [(s - M^2)^2 + M^2 Gamma^2]),

which is Breit and Wigner's 12 pi Gamma_X(sqrt s) Gamma_SM(sqrt s)/(beta^2 [...]): at tree level all
that the transverse part of the vector makes, with a constant width Gamma in the propagator. Its
longitudinal part, -q q/(s M^2), has no pole and joins divergences of axial currents:

    sigma = g_A^2 m^2 L(sqrt s)/(pi s beta M^4),   L = sum_f N_f (g_A^f m_f)^2 sqrt(1 - 4 m_f^2/s).

Two vectors, for a Dirac X and vector couplings (t- and u-channel, all s), y = B/A:

    sigma(X Xbar -> Z'Z') = g_V^4 beta_V/(256 pi s beta) {-32 (2 m^2 + M^2)^2/(A^2 - B^2) - 32
        + 2 [8 s^2 + 32 s m^2 - 64 m^4 - 64 m^2 M^2 + 32 M^4] artanh(y)/(A^2 y)},
    A = s/2 - M^2,  B = s beta beta_V/2,  beta_V = sqrt(1 - 4 M^2/s),

from the traces with the polarisation sum -g, the current being conserved (the terms q q vanish);
with axial couplings longitudinal vectors make it grow with s, and what tames that is a dark Higgs
boson that is not here: they are refused.

Energies are given as r = p/m, the momentum in the rest frame of the pair over the mass of X:
s = 4 m^2 (1 + r^2). In r^2 there is neither a singularity at the threshold nor a cancellation near
it, and the pole is at r^2 = epsilon = (M^2 - 4 m^2)/(4 m^2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.kinematics import known, safe_sqrt

Function = Callable[[Array], Array]


class Resonance(eqx.Module):
    """A pole of the cross section.

    Attributes:
        mass, width: GeV; the width is the total one, X Xbar included where it is open.
    """

    mass: ArrayLike
    width: ArrayLike


class Pole(NamedTuple):
    """The square root a + i b of epsilon + i gamma: where the pole is in r.

    epsilon = (M^2 - 4 m^2)/(4 m^2), gamma = M Gamma/(4 m^2). Above the threshold a narrow pole has
    b << a, below it a << b; both are smooth functions of masses and width everywhere.
    """

    a: Array
    b: Array

    def at(self, rho: Array) -> Array:
        """Return (r^2 - epsilon)^2 + gamma^2 at r = a + rho, without cancellation."""
        return (rho**2 + self.b**2) * ((rho + 2.0 * self.a) ** 2 + self.b**2)


def pole(resonance: Resonance, mass: ArrayLike) -> Pole:
    """Return where a resonance is in r, for X of a mass in GeV.

    >>> there = pole(Resonance(3.0, 1e-12), 1.0)
    >>> round(float(there.a) ** 2, 6), float(there.b) < 1e-12
    (1.25, True)
    """
    m, M = jnp.asarray(mass, dtype=float), jnp.asarray(resonance.mass, dtype=float)
    epsilon = (M - 2.0 * m) * (M + 2.0 * m) / (4.0 * m**2)
    # Narrower than the rounding of epsilon it could not be seen; a width of 0 would divide by 0.
    gamma = jnp.maximum(M * jnp.asarray(resonance.width) / (4.0 * m**2), 1e-15)
    size = jnp.sqrt(epsilon**2 + gamma**2)
    above = epsilon > 0.0
    larger = jnp.sqrt((size + jnp.where(above, epsilon, -epsilon)) / 2.0)
    smaller = gamma / (2.0 * larger)
    return Pole(jnp.where(above, larger, smaller), jnp.where(above, smaller, larger))


class Annihilation(eqx.Module):
    """X Xbar -> Z'* -> standard model, and -> Z'Z' where asked for.

    Attributes:
        mass: of X, GeV.
        g_v, g_a: its couplings to the Z'.
        resonance: mass and total width of the Z', that into X Xbar included.
        visible: function of sqrt(s) in GeV, (n,) -> (n,): the width in GeV of a vector of that
            mass, with the couplings of the Z', into the standard model, neutrinos included. It is
            asked up to 22 m_X, where thermal tails are exp(-40): there it may be held constant.
        longitudinal: the function L above, GeV^2, (n,) -> (n,); None leaves that part out. It
            matters for axial couplings of X alone, at low velocities.
        breakpoints: sqrt(s) in GeV near which `visible` is not smooth, (n,): narrow structures,
            thresholds. The thermal average has nodes on either side of each.
        majorana: whether X is its own antiparticle; g_v is then not used.
        pairs: whether X Xbar -> Z'Z' is included.
    """

    mass: ArrayLike
    g_v: ArrayLike
    g_a: ArrayLike
    resonance: Resonance
    visible: Function
    longitudinal: Function | None = None
    breakpoints: Sequence[float] | Array = ()
    majorana: bool = eqx.field(static=True, default=False)
    pairs: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if self.pairs and (self.majorana or (known(self.g_a) and np.any(np.asarray(self.g_a)))):
            raise errors.ParameterError(
                "X Xbar -> Z'Z' is known for vector couplings of a Dirac X alone: with axial ones "
                "it grows with the energy until a dark Higgs boson, which is not there, tames it. "
                "Leave it out (pairs=False) or set g_a to 0."
            )

    @property
    def poles(self) -> tuple[Resonance, ...]:
        """The poles of the cross section."""
        return (self.resonance,)

    def edges(self) -> tuple[ArrayLike, ...]:
        """Return sqrt(s) in GeV where the cross section is not smooth, arrays or numbers."""
        opening = (2.0 * jnp.asarray(self.resonance.mass),) if self.pairs else ()
        return (jnp.asarray(self.breakpoints, dtype=float), *opening)

    def beta_sigma(self, rho: Array) -> Array:
        """Return beta sigma in GeV^-2 at r = a + rho, (n,), a being that of the pole.

        So near a narrow pole the distance from it is not a difference of large numbers.
        """
        m, M = jnp.asarray(self.mass, dtype=float), jnp.asarray(self.resonance.mass, dtype=float)
        there = pole(self.resonance, m)
        r2 = (there.a + rho) ** 2
        s, beta2 = 4.0 * m**2 * (1.0 + r2), r2 / (1.0 + r2)
        w, g_v2, g_a2 = jnp.sqrt(s), jnp.asarray(self.g_v) ** 2, jnp.asarray(self.g_a) ** 2
        couplings = g_a2 * beta2
        if not self.majorana:
            couplings += g_v2 * (1.0 + 2.0 * m**2 / s)
        found = w * couplings * self.visible(w) / (16.0 * m**4 * there.at(rho))
        if self.longitudinal is not None:
            found += g_a2 * m**2 * self.longitudinal(w) / (np.pi * s * M**4)
        if self.pairs:
            found += beta_sigma_pairs(s, m, M, self.g_v)
        return found

    def sigma(self, s: ArrayLike) -> Array:
        """Return the cross section of X with Xbar (of two X of a Majorana one) in GeV^-2.

        Averaged over the spins of both. s in GeV^2, any shape, above 4 m^2; 0 below.

        >>> rigid = lambda w: 1e-3 * w
        >>> Z = Resonance(10.0, 0.1)
        >>> float(Annihilation(1.0, 0.3, 0.0, Z, rigid).sigma(3.9))
        0.0
        """
        s = jnp.asarray(s, dtype=float)
        r2 = s / (4.0 * jnp.asarray(self.mass) ** 2) - 1.0
        closed = r2 <= 0.0
        r = jnp.sqrt(jnp.where(closed, 1.0, r2))
        found = self.beta_sigma(jnp.ravel(r) - pole(self.resonance, self.mass).a)
        return jnp.where(closed, 0.0, found.reshape(s.shape) * jnp.sqrt(1.0 + r**2) / r)


def beta_sigma_pairs(s: Array, mass: ArrayLike, vector: ArrayLike, g_v: ArrayLike) -> Array:
    """Return beta times the cross section of X Xbar -> Z'Z' in GeV^-2, vector couplings, Dirac X.

    Args:
        s: GeV^2, any shape.
        mass, vector: of X and Z', GeV.
        g_v: coupling.

    >>> low = beta_sigma_pairs(jnp.array(4.0), 1.0, 0.5, 0.1)  # against the limit of slow X
    >>> round(float(low / (1e-4 * 0.75**1.5 / (32 * np.pi * 0.875**2))), 9)
    1.0
    """
    m2, M2 = jnp.asarray(mass, dtype=float) ** 2, jnp.asarray(vector, dtype=float) ** 2
    closed = s <= 4.0 * M2
    safe = jnp.where(closed, 4.0 * (m2 + M2), s)
    beta_v = safe_sqrt(jnp.where(closed, 0.0, 1.0 - 4.0 * M2 / safe))
    A = safe / 2.0 - M2
    rest = M2**2 + m2 * (safe - 4.0 * M2)  # A^2 - B^2
    y2 = 1.0 - rest / A**2
    numerator = 8.0 * safe**2 + 32.0 * safe * m2 - 64.0 * m2 * (m2 + M2) + 32.0 * M2**2
    angles = -32.0 * (2.0 * m2 + M2) ** 2 / rest - 32.0
    angles += 2.0 * numerator / A**2 * _artanh_over(y2)
    found = jnp.asarray(g_v) ** 4 * beta_v * angles / (256.0 * np.pi * safe)
    return jnp.where(closed, 0.0, found)


def _artanh_over(y2: Array) -> Array:
    """Return artanh(y)/y of y^2 in [0, 1)."""
    small = y2 < 1e-3
    y = jnp.sqrt(jnp.where(small, 0.5, y2))
    series = 1.0 + y2 * (1 / 3 + y2 * (1 / 5 + y2 * (1 / 7 + y2 / 9)))
    return jnp.where(small, series, jnp.arctanh(y) / y)


class FromFunction(eqx.Module):
    """A cross section of one's own; `from_function` makes it."""

    function: Function
    mass: ArrayLike
    poles: tuple[Resonance, ...] = ()
    breakpoints: Sequence[float] | Array = ()
    majorana: bool = eqx.field(static=True, default=False)

    def edges(self) -> tuple[ArrayLike, ...]:
        """Return sqrt(s) in GeV where the cross section is not smooth."""
        return (jnp.asarray(self.breakpoints, dtype=float),)

    def beta_sigma(self, rho: Array) -> Array:
        """Return beta sigma in GeV^-2 at r = a + rho, (n,), a being that of the first pole."""
        a = pole(self.poles[0], self.mass).a if self.poles else 0.0
        r2 = (a + rho) ** 2
        s = 4.0 * jnp.asarray(self.mass) ** 2 * (1.0 + r2)
        return jnp.sqrt(r2 / (1.0 + r2)) * self.sigma(s)

    def sigma(self, s: ArrayLike) -> Array:
        """Return the cross section in GeV^-2 at s in GeV^2."""
        return self.function(jnp.asarray(s, dtype=float))


def from_function(
    sigma: Callable[..., Any],
    mass: ArrayLike,
    poles: Sequence[Resonance] = (),
    *,
    breakpoints: Sequence[float] = (),
    majorana: bool = False,
) -> FromFunction:
    """Return the annihilation of X with a cross section of one's own.

    Args:
        sigma: function of s in GeV^2, (n,) -> (n,) in GeV^-2, of X with Xbar, averaged over spins;
            in `jax.numpy`. It is asked above 4 m^2 alone.
        mass: of X, GeV.
        poles: resonances of it. As sigma is told s, not its distance from a pole, widths below
            some 1e-9 of a mass drown in rounding.
        breakpoints: sqrt(s) in GeV near which sigma is not smooth.
        majorana: whether X is its own antiparticle.

    Raises:
        ParameterError: sigma of (3,) is not (3,), or not finite numbers.

    >>> constant = from_function(lambda s: 1e-9 / jnp.sqrt(1 - 4 / s), 1.0)
    >>> round(float(constant.sigma(8.0)) * 1e9, 6)
    1.414214
    """
    if known(mass):
        s = 4.0 * np.asarray(mass) ** 2 * np.array([1.01, 1.2, 3.0])
        found = sigma(jnp.asarray(s))
        if jnp.shape(found) != (3,):
            raise errors.ParameterError(
                f"the cross section of s (3,) has shape {jnp.shape(found)}; it must return one "
                "number, in GeV^-2, for each s in GeV^2."
            )
        if known(found) and not np.all(np.isfinite(np.asarray(found)) & (np.asarray(found) >= 0)):
            raise errors.ParameterError(
                f"the cross section is {np.asarray(found)} GeV^-2 at s = {s} GeV^2; it must be "
                "finite and not negative above the threshold."
            )
    return FromFunction(sigma, mass, tuple(poles), breakpoints, majorana)
