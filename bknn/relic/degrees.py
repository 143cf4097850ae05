"""Relativistic degrees of freedom (standard model): h_eff of its entropy, g_eff of its energy.

Three tables (`tables/README.md`). Monotone cubics (PCHIP) in ln T join their points; below and
above a table its ends are held.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bknn import errors
from bknn.kinematics import known

Floats = NDArray[np.float64]

#: The tables; the first is the default.
TABLES = ("drees-2015", "laine-meyer-2015", "gondolo-gelmini-1991")

_FOLDER = Path(__file__).parent / "tables"


class Numbers(NamedTuple):
    """Degrees of freedom at temperatures, all of one shape."""

    entropy: Array  #: h_eff
    energy: Array  #: g_eff
    sqrt_g: Array  #: h/sqrt(g) (1 + T h'/(3 h))


class Degrees(eqx.Module):
    """Degrees of freedom against the temperature.

    Attributes:
        name: of the table.
        knots: ln T of its points, T in GeV.
        cubics: of h_eff and g_eff between them (intervals, 4, 2), constant first.
    """

    name: str = eqx.field(static=True)
    knots: Array
    cubics: Array

    def range(self) -> tuple[float, float]:
        """Return the temperatures between which the table has entries, GeV.

        >>> degrees("laine-meyer-2015").range()
        (1.10356e-05, 500000.0)
        """
        return _table(self.name).range

    def held(self, temperature: ArrayLike) -> Numbers:
        """Return the numbers at temperatures in GeV, any shape; outside, those of the ends."""
        x = jnp.log(jnp.asarray(temperature, dtype=float))
        outside = (x < self.knots[0]) | (x > self.knots[-1])
        x = jnp.clip(x, self.knots[0], self.knots[-1])
        i = jnp.clip(jnp.searchsorted(self.knots, x, side="right") - 1, 0, len(self.cubics) - 1)
        u, c = x - self.knots[i], self.cubics[i]
        h, g = (
            c[..., 0, k] + u * (c[..., 1, k] + u * (c[..., 2, k] + u * c[..., 3, k]))
            for k in (0, 1)
        )
        rise = c[..., 1, 0] + u * (2.0 * c[..., 2, 0] + 3.0 * u * c[..., 3, 0])
        rise = jnp.where(outside, 0.0, rise)
        return Numbers(h, g, (h + rise / 3.0) / jnp.sqrt(g))

    def _inside(self, temperature: ArrayLike) -> Numbers:
        if known(temperature):
            t, (lowest, highest) = np.asarray(temperature), self.range()
            if np.any(~((t >= lowest) & (t <= highest))):
                raise errors.ParameterError(
                    f"the table {self.name} has degrees of freedom from {lowest:.3g} to "
                    f"{highest:.3g} GeV, and they are asked for at {t.min():.3g} to "
                    f"{t.max():.3g} GeV; choose other temperatures or another table "
                    f"({', '.join(TABLES)}). `held` takes the ends of the table instead."
                )
        return self.held(temperature)

    def entropy(self, temperature: ArrayLike) -> Array:
        """Return h_eff at temperatures in GeV, any shape.

        Raises:
            ParameterError: a temperature outside the table. Of traced temperatures, which cannot
                be asked, the ends of the table are held.

        >>> round(float(degrees().entropy(1e-4)), 2)
        4.5
        """
        return self._inside(temperature).entropy

    def energy(self, temperature: ArrayLike) -> Array:
        """Return g_eff at temperatures in GeV, any shape; ParameterError as of `entropy`."""
        return self._inside(temperature).energy

    def sqrt_g(self, temperature: ArrayLike) -> Array:
        """Return h/sqrt(g) (1 + T h'/(3 h)), any shape; ParameterError as of `entropy`.

        It stands in the Boltzmann equation (Gondolo, Gelmini, Nucl. Phys. B 360, 145 (1991)).
        """
        return self._inside(temperature).sqrt_g


class _Table(NamedTuple):
    range: tuple[float, float]
    knots: Floats
    cubics: Floats


@cache
def _table(name: str) -> _Table:
    """Return a table as cubics."""
    from scipy.interpolate import PchipInterpolator

    rows = np.genfromtxt(_FOLDER / f"g_star_{name}.csv", delimiter=",", names=True)
    rows = rows[rows["T_GeV"] > 0]
    curve = PchipInterpolator(
        np.log(rows["T_GeV"]), np.stack([rows["h_eff"], rows["g_eff"]], axis=1)
    )
    ends = float(rows["T_GeV"][0]), float(rows["T_GeV"][-1])
    return _Table(ends, curve.x, np.moveaxis(curve.c[::-1], 0, 1))


def degrees(name: str = TABLES[0]) -> Degrees:
    """Return the degrees of freedom of a table.

    Args:
        name: one of TABLES.

    Raises:
        UnknownNameError: there is no such table.

    >>> [round(float(degrees(name).entropy(1.0)), 1) for name in TABLES]
    [74.2, 74.9, 75.1]
    """
    if name not in TABLES:
        raise errors.unknown("table of degrees of freedom", name, TABLES)
    table = _table(name)
    knots: Any = jnp.asarray(table.knots)
    return Degrees(name, knots, jnp.asarray(table.cubics))
