"""The true-q2 bins of a response: where a value lies, and where to integrate."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array


class Grid(eqx.Module):
    """True-q2 bins with increasing edges.

    Attributes:
        edges: shape (n + 1,), GeV^2.
        uniform: whether all bins are equally wide, so that a bin is found by a division.
    """

    edges: Array
    uniform: bool = eqx.field(static=True)

    @classmethod
    def from_edges(cls, edges: np.ndarray) -> Grid:
        widths = np.diff(edges)
        uniform = bool(np.all(np.abs(widths / widths.mean() - 1.0) < 1e-9))
        return cls(edges=jnp.asarray(edges), uniform=uniform)

    @property
    def bins(self) -> int:
        return self.edges.shape[0] - 1

    def locate(self, q2: Array) -> tuple[Array, Array, Array]:
        """Return (bin, position in the bin in [0, 1], whether q2 is off the grid), as q2.

        Off the grid, bin and position are valid ones (those of the first edge), so that what
        is computed from them is finite and can be masked. NaN is not called off the grid: it
        stays NaN in the position, and so in every result.
        """
        first, last = self.edges[0], self.edges[-1]
        outside = (q2 < first) | (q2 > last)
        q2 = jnp.where(outside, first, q2)
        if self.uniform:
            # One division for both, so that rounding cannot put the position outside [0, 1].
            scaled = (q2 - first) * (self.bins / (last - first))
            index = jnp.clip(jnp.floor(scaled).astype(int), 0, self.bins - 1)
            return index, scaled - index, outside
        index = jnp.searchsorted(self.edges, q2, side="right").astype(int) - 1
        index = jnp.clip(index, 0, self.bins - 1)
        lower, upper = self.edges[index], self.edges[index + 1]
        return index, (q2 - lower) / (upper - lower), outside

    def around(self, q2: Array, reach: int) -> Array:
        """Return the indices of the bin of q2 and `reach` bins on either side, consecutive.

        Near an end of the grid, or beyond it, the window stops at the end. On a grid of unequal
        bins, where distance does not tell the number of bins, it is the whole grid.
        """
        size = 2 * reach + 1
        if not self.uniform or self.bins <= size:
            return jnp.arange(self.bins)
        first, last = self.edges[0], self.edges[-1]
        scaled = jnp.clip((q2 - first) * (self.bins / (last - first)), 0.0, self.bins)
        start = jnp.clip(jnp.floor(scaled).astype(int) - reach, 0, self.bins - size)
        return start + jnp.arange(size)


def gauss_legendre(edges: np.ndarray, nodes_per_bin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights, each of shape (bins, nodes_per_bin), in the unit of the edges."""
    x, w = np.polynomial.legendre.leggauss(nodes_per_bin)
    half = 0.5 * np.diff(edges)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
    return middle + half * x, half * w
