"""The reconstructed q2 of an inclusive tag, from the motion of the B meson alone.

An inclusive tag does not know the momentum of the signal B. It takes it to rest in the
centre-of-mass frame, where it has the energy sqrt(s)/2, and reconstructs

    q2_rec = s/4 + m_K^2 - sqrt(s) E*,

with E* the energy of the kaon in that frame (arXiv:2311.14647, eq. 2). Truly the B moves with
p_B = sqrt(s/4 - m_B^2). It has no spin, so the kaon, of energy E and momentum p in the rest frame
of the B, comes out at any cos(theta) with equal probability, E* = (sqrt(s) E/2 + p_B p cos(theta))
/ m_B, and q2_rec is spread evenly over

    centre +- half width,  centre = q2 s/(4 m_B^2) + m_K^2 (1 - s/(4 m_B^2)),
                           half width = sqrt(s) p_B p / m_B.

At 10.58 GeV the half width is 1.8 GeV^2 at q2 = 0 and 0.8 GeV^2 at q2 = 15 GeV^2. This is what
experiments need in order to be used if they publish an efficiency only; `docs/simplified.md`
compares it with the simulation of Belle II.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr
from jax.typing import ArrayLike

from bknn import errors
from bknn.data.measurement import Density
from bknn.inputs import STANDARD
from bknn.kinematics import momentum, safe_sqrt
from bknn.response.grid import gauss_legendre

#: Pieces of a true-q2 bin and nodes in each: the fractions have kinks, which pass between nodes.
_PIECES, _NODES = 16, 8
#: Below this ratio of half width and resolution the box is a line with a small correction.
_THIN = 1e-3


@dataclass(frozen=True)
class InclusiveTagKernel:
    """Probability density of q2_rec at a true q2: a box, folded with a normal density if asked.

    Attributes:
        sqrt_s: energy in the centre of mass, GeV.
        mass_b: of the B meson, GeV.
        mass_k: of the kaon, GeV.
        resolution: standard deviation of what else smears q2_rec (the momentum of the kaon, the
            energy of the beams), GeV^2.

    >>> import bknn; bknn.enable_x64()
    >>> kernel = InclusiveTagKernel()
    >>> round(float(kernel.centre(4.0)), 3), round(float(kernel.half_width(4.0)), 3)
    (4.015, 1.495)
    >>> kernel.fractions(4.0, [-1.0, 4.0, 8.0, 25.0]).round(3).tolist()
    [0.495, 0.505, 0.0]
    """

    sqrt_s: float = 10.58
    mass_b: float = float(STANDARD.masses["B+"])  # type: ignore[arg-type]
    mass_k: float = float(STANDARD.masses["K+"])  # type: ignore[arg-type]
    resolution: float = 0.0

    def __post_init__(self) -> None:
        if not self.sqrt_s > 2 * self.mass_b:
            raise errors.DataError(
                f"sqrt_s = {self.sqrt_s:g} GeV is not enough for two B mesons of "
                f"{self.mass_b:g} GeV; give the energy in the centre of mass in GeV."
            )
        if not (np.isfinite(self.resolution) and self.resolution >= 0):
            raise errors.DataError(
                f"the resolution is {self.resolution:g}; it is a standard deviation in GeV^2, "
                "finite and not negative."
            )

    def centre(self, q2: ArrayLike) -> Array:
        """Return the mean of q2_rec in GeV^2 at a true q2 in GeV^2, any shape."""
        boost = self.sqrt_s**2 / (4 * self.mass_b**2)
        return jnp.asarray(q2) * boost + self.mass_k**2 * (1 - boost)

    def half_width(self, q2: ArrayLike) -> Array:
        """Return the half width of the box in GeV^2; 0 at the end of phase space and beyond."""
        p_b = safe_sqrt(self.sqrt_s**2 / 4 - self.mass_b**2)
        return self.sqrt_s * p_b / self.mass_b * momentum(self.mass_b, self.mass_k, q2)

    def cumulative(self, q2_rec: ArrayLike, q2: ArrayLike) -> Array:
        """Return the probability to reconstruct less than q2_rec, both GeV^2 and broadcast."""
        half = self.half_width(q2)
        distance = jnp.asarray(q2_rec) - self.centre(q2)
        if self.resolution == 0.0:
            box = half > 0
            inside = (distance + half) / jnp.where(box, 2 * half, 1.0)
            return jnp.where(box, jnp.clip(inside, 0.0, 1.0), jnp.where(distance < 0, 0.0, 1.0))
        u, h = distance / self.resolution, half / self.resolution
        thin = h < _THIN
        wide = jnp.where(thin, 1.0, h)
        folded = (_ramp(u + wide) - _ramp(u - wide)) / (2 * wide)
        return jnp.where(thin, ndtr(u) - h**2 / 6 * u * _normal(u), folded)

    def fractions(self, q2: ArrayLike, edges: ArrayLike) -> Array:
        """Return the probability of each bin of q2_rec.

        Exact for any width of the bins; differentiable in q2 but where an edge of the box meets
        an edge of a bin (everywhere, with a resolution).

        Args:
            q2: true q2 in GeV^2, any shape.
            edges: of the q2_rec bins in GeV^2, (bins + 1,), increasing.

        Returns:
            Shape q2.shape + (bins,); the rest of 1 is outside of all bins.
        """
        q2, edges = jnp.asarray(q2, float)[..., None], jnp.asarray(edges, float)
        below = self.cumulative(edges.reshape((1,) * (q2.ndim - 1) + edges.shape), q2)
        return jnp.diff(below, axis=-1)

    def density(
        self,
        efficiency: Callable[[np.ndarray], ArrayLike],
        edges: ArrayLike,
        true_edges: ArrayLike,
        *,
        null: Callable[[Array], Array],
        produced: float,
    ) -> Density:
        """Return the joint number density of an efficiency curve.

        Args:
            efficiency: probability that a decay at q2 (GeV^2, an array) is selected, as q2.
            edges: of the q2_rec bins in GeV^2, (bins + 1,), increasing.
            true_edges: of the bins of true q2 in GeV^2, (n + 1,), increasing.
            null: dBR/dq2 in GeV^-2 of the spectrum that the counts shall belong to.
            produced: number of B mesons that could have decayed.

        Raises:
            DataError: edges that do not increase, or an efficiency that is none.
        """
        rec, true = _increasing("q2_rec", edges), _increasing("true q2", true_edges)
        fine = np.append(
            np.concatenate([np.linspace(a, b, _PIECES, endpoint=False) for a, b in pairwise(true)]),
            true[-1],
        )
        nodes, weights = gauss_legendre(fine, _NODES)
        selected = np.broadcast_to(np.asarray(efficiency(nodes), float), nodes.shape)
        if not (np.isfinite(selected).all() and (selected >= 0).all() and (selected <= 1).all()):
            raise errors.DataError(
                f"the efficiency lies between {np.min(selected):g} and {np.max(selected):g} for "
                f"q2 from {true[0]:g} to {true[-1]:g} GeV^2; it is a probability, from 0 to 1. "
                "Divide percent by 100."
            )
        rate = produced * weights * np.asarray(null(jnp.asarray(nodes))) * selected
        counts = np.einsum("tn,tnb->bt", rate, np.asarray(self.fractions(nodes, rec)))
        counts = counts.reshape(len(rec) - 1, len(true) - 1, _PIECES).sum(axis=2)
        return Density(counts, true, np.zeros(len(rec) - 1))


def _normal(u: Array) -> Array:
    return jnp.exp(-0.5 * u**2) / jnp.sqrt(2 * jnp.pi)


def _ramp(u: Array) -> Array:
    """Integral of the cumulative normal distribution up to u."""
    return u * ndtr(u) + _normal(u)


def _increasing(what: str, edges: ArrayLike) -> np.ndarray:
    array = np.asarray(edges, float)
    if array.ndim != 1 or array.size < 2 or not (np.diff(array) > 0).all():
        raise errors.DataError(
            f"the edges of {what} are {np.array2string(array, threshold=6)}; give at least two, "
            "in GeV^2, each larger than the one before."
        )
    return array
