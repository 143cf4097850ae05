"""Vectors that have a name, with one coupling each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from jax.typing import ArrayLike

from bknn import errors
from bknn.vectors.couplings import (
    Couplings,
    b_minus_l,
    baryon,
    dark_photon,
    lepton_difference,
    z_like,
)


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

    >>> float(named("baryon", 0.3).g_v("u")) == 0.1 * 1.0
    True
    """
    if name not in NAMED:
        raise errors.unknown("vector", name, NAMED)
    return NAMED[name].make(coupling)
