"""Masses at which widths are not known: narrow charmonia and bottomonia.

The tables do not have them. A vector near one mixes with it; R would gain 9 Gamma_ee Gamma_h
/(4 alpha^2 (M - m)^2) from its tail. WINDOWS are where that is more than some 2 % of R.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn import errors

#: Range of masses in GeV.
LEAST, MOST = 1e-3, 10.0

#: {resonance: (mass, half a window)}, GeV. The Upsilon(2S), at 10.023 GeV, is out of range with its
#: window.
WINDOWS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "J/psi": (3.0969, 0.025),
        "psi(2S)": (3.6861, 0.025),
        "Upsilon(1S)": (9.4604, 0.010),
    }
)


def known(mass: ArrayLike) -> Array:
    """Return whether widths are known at a mass in GeV, elementwise; the mass may be traced.

    >>> known(jnp.array([2.1, 3.1, 12.0])).tolist()
    [True, False, False]
    """
    m: Any = jnp.asarray(mass)
    good = (m >= LEAST) & (m <= MOST)
    for centre, half in WINDOWS.values():
        good &= abs(m - centre) > half
    return good


def narrow_resonance(mass: float) -> str | None:
    """Return the narrow resonance in whose window a mass in GeV lies, None if there is none."""
    for name, (centre, half) in WINDOWS.items():
        if abs(mass - centre) <= half:
            return name
    return None


def check_mass(mass: float) -> None:
    """Raise ParameterError if widths are not known at a mass in GeV.

    >>> check_mass(2.1)
    """
    if not LEAST <= mass <= MOST:
        raise errors.ParameterError(
            f"a vector of {mass:g} GeV is out of range: its widths are known from 1 MeV to 10 GeV."
        )
    if (name := narrow_resonance(mass)) is not None:
        centre, half = WINDOWS[name]
        raise errors.ParameterError(
            f"a vector of {mass:g} GeV mixes with the {name}, which the hadronic tables lack; "
            f"choose a mass outside {centre - half:.4g} to {centre + half:.4g} GeV."
        )
