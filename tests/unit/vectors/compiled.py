"""Widths, compiled twice for all tests, at one mass and at `MANY`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bknn.vectors.couplings import Couplings, DarkFermion
from bknn.vectors.widths import Widths, widths

#: Masses of a table; shorter ones are repeated until they are as long.
MANY = 3000

_NO_DARK = (DarkFermion(0.0, 0.0, 1.0),)

_compiled = jax.jit(widths)
_slopes = jax.jit(jax.jacfwd(widths, argnums=1))


def _same_shape(couplings: Couplings) -> Couplings:
    dark = couplings.dark or _NO_DARK
    return Couplings(couplings.vector, couplings.axial, dark)


def at(couplings: Couplings, mass, hadrons: float = 1.0, axial: float = 1.0) -> Widths:
    """Return the widths at a mass, or at up to MANY."""
    n = np.size(mass)
    masses = jnp.asarray(np.resize(mass, MANY)) if np.ndim(mass) else float(mass)
    found = _compiled(_same_shape(couplings), masses, hadrons=hadrons, axial=axial)
    return jax.tree.map(lambda x: np.asarray(x)[:n], found) if np.ndim(mass) else found


def slopes(couplings: Couplings, mass: float) -> Widths:
    """Return the derivatives of the widths with respect to the mass."""
    return _slopes(_same_shape(couplings), float(mass))
