"""Widths of one vector at several masses, as an answer: a table, a file, a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bknn import errors
from bknn.answers.answer import Answer, Shown
from bknn.answers.packing import Coordinate
from bknn.vectors import hadrons, resonances
from bknn.vectors.couplings import LEPTONS, NEUTRINOS, Couplings
from bknn.vectors.invisible import invisible_probability
from bknn.vectors.widths import CHANNELS, lifetime_ps, widths

_LEPTONS = tuple(f"{name} {name}" for name in LEPTONS)
_NEUTRINOS = tuple(f"{name} {name}" for name in NEUTRINOS)


@dataclass(frozen=True, eq=False, repr=False)
class VectorWidths(Answer):
    """Widths of a vector over its mass.

    Attributes:
        label: what it is called.
        masses: GeV (n,); those at narrow resonances are left out.
        channels: names of the channels, those of `widths.CHANNELS` that are not 0 everywhere.
        widths: GeV (n, channels).
        lifetimes: ps (n,); infinite where nothing is open.
        p_invisible: probability to stay invisible in a detector (n,), made in B+ -> K+ and a boson.
        length: radius of the detector, m.
        left_out: {resonance: how many masses were left out}.
    """

    label: str
    masses: np.ndarray
    channels: tuple[str, ...]
    widths: np.ndarray
    lifetimes: np.ndarray
    p_invisible: np.ndarray
    length: float
    left_out: dict[str, int]

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        one = dict.fromkeys(("masses", "lifetimes", "p_invisible"), ("mass",))
        return {**one, "widths": ("mass", "channel")}

    def coordinates(self) -> dict[str, Coordinate]:
        return {"channel": Coordinate(self.channels)}

    def field_units(self) -> dict[str, str]:
        return {"masses": "GeV", "widths": "GeV", "lifetimes": "ps", "length": "m"}

    @property
    def total(self) -> np.ndarray:
        """Total width, GeV (n,)."""
        found: np.ndarray = self.widths.sum(axis=1)
        return found

    def branching_fractions(self) -> dict[str, np.ndarray]:
        """Return {channel: branching fraction (n,)}; 0 of a vector that does not decay."""
        total = self.total
        shares = self.widths / np.where(total > 0, total, 1.0)[:, None]
        return dict(zip(self.channels, shares.T, strict=True))

    @property
    def converged(self) -> bool:
        """Whether all widths are numbers."""
        return bool(np.isfinite(self.widths).all())

    @property
    def status(self) -> str:
        """The same in a sentence, with the masses that were left out."""
        if not self.converged:
            return "some widths are no numbers; the couplings are too large."
        said = ", ".join(f"{n} at the {name}" for name, n in self.left_out.items())
        return f"masses left out: {said}, which the tables lack." if said else "all masses."

    def columns(self) -> dict[str, Any]:
        """One row a mass; branching fractions have the names of their channels."""
        return {
            "mass_GeV": self.masses,
            "width_GeV": self.total,
            "lifetime_ps": self.lifetimes,
            "p_invisible": self.p_invisible,
            **self.branching_fractions(),
        }

    def shown(self) -> Shown:
        if len(self.masses) != 1:
            return self._shown_over_mass()
        shares = self.branching_fractions()
        rows = [
            (name, f"{width:.4g}", f"{shares[name][0]:.4g}")
            for name, width in zip(self.channels, self.widths[0], strict=True)
            if width > 0
        ]
        notes = [
            f"width            {self.total[0]:.4g} GeV",
            f"lifetime         {self.lifetimes[0]:.4g} ps",
            f"stays invisible  {self.p_invisible[0]:.4g} (B+ -> K+, detector of {self.length:g} m)",
        ]
        head = ("channel", "width / GeV", "fraction")
        return Shown(f"{self.label} of {self.masses[0]:g} GeV", head, rows, notes)

    def _shown_over_mass(self) -> Shown:
        sums = {
            "e e, mu mu, tau tau": _LEPTONS,
            "neutrinos": _NEUTRINOS,
            "hadrons": hadrons.CHANNELS,
            "X X": ("X X",),
        }
        columns = {"mass / GeV": self.masses, "width / GeV": self.total}
        columns |= {"lifetime / ps": self.lifetimes, "p_invisible": self.p_invisible}
        shares = self.branching_fractions()
        for name, channels in sums.items():
            if some := [shares[channel] for channel in channels if channel in shares]:
                columns[name] = np.sum(some, axis=0)
        rows = [[f"{x:.4g}" for x in row] for row in zip(*columns.values(), strict=True)]
        if len(rows) > _MOST:
            gap = ["..."] * len(columns)
            rows = [*rows[: _MOST // 2], gap, *rows[-_MOST // 2 :]]
        return Shown(self.label, tuple(columns), rows, [self.status])


#: Rows of a table that are printed.
_MOST = 20


@jax.jit
def _at(couplings: Couplings, masses: jax.Array, length: float) -> Any:
    """Return widths, lifetimes and probabilities to stay invisible."""
    found = widths(couplings, masses)
    seen = invisible_probability(found, masses, length)
    return found.channels, lifetime_ps(found.total), seen


def over_mass(
    couplings: Couplings, masses: Sequence[float] | np.ndarray, *, label: str, length: float = 3.0
) -> VectorWidths:
    """Return the widths of a vector at several masses.

    Args:
        couplings: what it couples to.
        masses: GeV. Those at narrow charmonia and bottomonia are left out; if there is no other,
            that is an error.
        label: what it is called in tables and figures.
        length: radius of the detector in m, for the probability to stay invisible.

    Raises:
        ParameterError: a mass outside 1 MeV to 10 GeV, none that is not at a narrow resonance, or a
            length that is not positive.

    >>> from bknn.vectors.couplings import dark_photon
    >>> found = over_mass(dark_photon(1e-3), [0.5, 2.1, 3.1], label="dark photon")
    >>> found.masses.tolist(), found.status
    ([0.5, 2.1], 'masses left out: 1 at the J/psi, which the tables lack.')
    """
    if not (np.isfinite(length) and length > 0):
        raise errors.ParameterError(f"a detector of {length:g} m is none; give its radius in m.")
    masses = np.asarray(masses, dtype=float)
    at_resonances = [resonances.narrow_resonance(float(m)) for m in masses]
    kept = masses[[name is None for name in at_resonances]]
    for mass in kept if len(kept) else masses:
        resonances.check_mass(float(mass))

    channels, lifetimes, p_invisible = _at(couplings, jnp.asarray(kept), length)
    names = tuple(name for name in CHANNELS if np.any(np.asarray(channels[name]) != 0))
    return VectorWidths(
        label=label,
        masses=kept,
        channels=names,
        widths=np.stack([np.asarray(channels[name]) for name in names], axis=1)
        if names
        else np.zeros((len(kept), 0)),
        lifetimes=np.asarray(lifetimes),
        p_invisible=np.asarray(p_invisible),
        length=length,
        left_out={x: at_resonances.count(x) for x in dict.fromkeys(at_resonances) if x},
    )
