"""What annihilation into electrons, photons and what becomes of them does to the cosmic microwave
background: f_eff of each final state, and p_ann.

    p_ann = (Omega/Omega_DM)^2 sum_channels f_eff(m_X) B(channel) <sigma v>/m_X

with <sigma v> averaged over particles and antiparticles: half of that of X Xbar for a Dirac
fermion, all of it for a self-conjugate X. Planck limits it to 3.2e-28 cm^3/s/GeV at 95 %
(arXiv:1807.06209). f_eff is the energy deposited over that released, weighted as the data
see it (arXiv:1506.03811); `energy_deposition` has where it comes from and how good it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bknn import errors
from bknn.relic import energy_deposition
from bknn.relic.energy_deposition import HIGHEST, STATES, UNRESOLVED

#: Final states that deposit energy, called as those of a vector's decays.
CHANNELS = (*STATES, *UNRESOLVED)

#: Final states of which nothing is deposited.
DARK = ("nu_e nu_e", "nu_mu nu_mu", "nu_tau nu_tau", "neutrinos", "X X", "invisible")

#: Points of the table of a channel.
_POINTS = 160

# Of an average over a direction.
_C, _DC = np.polynomial.legendre.leggauss(12)


class _Table(NamedTuple):
    """f_eff of each of CHANNELS as cubics of ln m_X, on a grid of its own from its threshold on."""

    start: NDArray[np.float64]  #: (channels,), ln(GeV)
    step: NDArray[np.float64]  #: (channels,)
    powers: NDArray[np.float64]  #: (channels, intervals, 4), of (ln m_X - edge)/step


@cache
def _table() -> _Table:
    from scipy.interpolate import CubicSpline  # not for whom has no dark matter

    least = np.array([max(energy_deposition.threshold(c) / 2.0, 1e-5) for c in CHANNELS])
    start, step = np.log(least), np.log(HIGHEST / least) / (_POINTS - 1)
    powers = []
    for channel, low, h in zip(CHANNELS, start, step, strict=True):
        masses = np.exp(low + h * np.arange(_POINTS))
        found = [energy_deposition.final_state(channel, 2.0 * m) for m in masses]
        powers.append(CubicSpline(np.arange(_POINTS), found).c.T[:, ::-1])
    return _Table(start, step, np.array(powers))


def f_eff(channel: str, mass: ArrayLike) -> Array:
    """Return f_eff of annihilation at rest into a final state.

    Args:
        channel: one of CHANNELS, or of DARK, of which it is 0.
        mass: of X, GeV, any shape: half of the energy of the final state. Below the threshold of
            the channel and above 5.8 TeV it is held; so are f_eff of electrons below 10 keV.

    Raises:
        UnknownNameError: no such final state.

    >>> [round(float(f_eff(c, 1.0)), 2) for c in ("e e", "mu mu", "pi+ pi-", "neutrinos")]
    [0.4, 0.19, 0.16, 0.0]
    """
    if channel in DARK:
        return jnp.zeros(jnp.shape(mass))
    place = _place(channel)
    return jnp.vectorize(lambda m: _all(m)[place])(jnp.asarray(mass, float))


def deposited(
    fractions: Mapping[str, ArrayLike],
    mass: ArrayLike,
    *,
    mediator: ArrayLike | None = None,
    as_electrons: bool = False,
) -> Array:
    """Return f_eff of annihilation into several final states.

    Args:
        fractions: {final state: its part of <sigma v>}; those of DARK may be left out.
        mass: of X, GeV, ().
        mediator: if X Xbar become two particles of this mass (GeV) that decay into the final states
            with these branching fractions: energies are those of one half of a decay at rest,
            boosted, which is exact for pairs. It must not be heavier than X.
        as_electrons: f_eff of electrons of energy m_X for all that deposits: the cautious choice,
            from 10 MeV on no final state has more by over 15 %.

    Raises:
        UnknownNameError: no such final state.

    >>> round(float(deposited({"e e": 0.5, "mu mu": 0.4, "neutrinos": 0.1}, 1.0)), 2)
    0.28
    """
    mass = jnp.asarray(mass, float)
    seen = {name: part for name, part in fractions.items() if name not in DARK}
    if not seen:
        return jnp.zeros(())
    places = np.array([_place(name) for name in seen])
    parts = jnp.stack([jnp.asarray(part, float) for part in seen.values()])
    if as_electrons:
        places = np.full_like(places, _place("e e"))
    if mediator is None:
        return jnp.sum(parts * _all(mass)[places])
    return jnp.sum(parts * _boosted(mass, jnp.asarray(mediator, float))[places])


def p_ann(
    f: ArrayLike, sigma_v: ArrayLike, mass: ArrayLike, dark_matter_fraction: ArrayLike = 1.0
) -> Array:
    """Return p_ann in cm^3/s/GeV.

    Args:
        f: f_eff of all final states, of `deposited`.
        sigma_v: <sigma v> at recombination (v -> 0), cm^3/s, averaged over X and Xbar: half of that
            of X Xbar, all of that of a self-conjugate X.
        mass: of X, GeV.
        dark_matter_fraction: Omega_X/Omega_DM.

    >>> f"{float(p_ann(0.4, 2e-27, 2.0, 0.5)):.1e}"
    '1.0e-28'
    """
    return jnp.asarray(f) * sigma_v / jnp.asarray(mass) * jnp.asarray(dark_matter_fraction) ** 2


def _place(channel: str) -> int:
    if channel not in CHANNELS:
        raise errors.unknown("final state", channel, (*CHANNELS, *DARK))
    return CHANNELS.index(channel)


def _all(mass: Array) -> Array:
    """Return f_eff of CHANNELS (channels,) for a mass () in GeV."""
    return _interpolated(jnp.log(jnp.maximum(mass, 1e-6))[None])


def _interpolated(logs: Array) -> Array:
    """Return f_eff of CHANNELS (channels,) where ln m_X has these values, (channels,) or (1,)."""
    start, step, powers = _table()
    u = jnp.clip((logs - start) / step, 0.0, _POINTS - 1.0)
    i = jnp.minimum(u.astype(int), _POINTS - 2)
    t = u - i
    a, b, c, d = jnp.asarray(powers)[np.arange(len(CHANNELS)), i].T
    return a + t * (b + t * (c + t * d))


def _boosted(mass: Array, mediator: Array) -> Array:
    """Return f_eff of CHANNELS (channels,) by way of two mediators of energy m_X each: the average
    over the direction c of (1 + b c) f_eff(m_X (1 + b c)/2), with b the velocity of the mediator
    times that of half of its decay."""
    least = np.exp(_table().start)  # half of the threshold
    mass, mediator = jnp.maximum(mass, 1e-6), jnp.maximum(mediator, 1e-6)
    moving = 1.0 - jnp.minimum(mediator / mass, 1.0) ** 2
    within = jnp.maximum(1.0 - (2.0 * least / mediator) ** 2, 0.0)
    slow = moving * within <= 0.0
    b = jnp.where(slow, 0.0, jnp.sqrt(jnp.where(slow, 1.0, moving * within)))

    def seen(c: Array) -> Array:
        share = 1.0 + b * c
        return share * _interpolated(jnp.log(0.5 * mass * share))

    return 0.5 * jnp.asarray(_DC) @ jax.vmap(seen)(jnp.asarray(_C))
