"""The bin-averaged reweighting of arXiv:2402.08417, to the letter.

Each true-q2 bin z gets the weight w_z = (integral of the new spectrum) / (integral of the null),
and the expected count of a fit bin is sum_z n_iz w_z. The count is a continuous function of a
line's mass only because of its width; a narrow line jumps from bin to bin. For comparison with
published results; `smooth` is the default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.kinematics import numpy_for
from bknn.response.breit_wigner import bin_fractions
from bknn.response.grid import Grid, gauss_legendre

#: Gauss-Legendre nodes per true-q2 bin, as in redist 2.0.
NODES_PER_BIN = 16


class BinAverages(eqx.Module):
    """Counts per unit of branching ratio in each true-q2 bin.

    Attributes:
        grid: true-q2 bins, n of them.
        averages: n_iz / (integral of the null over bin z), shape (n, fit bins).
        nodes: quadrature nodes of all bins, shape (n * nodes per bin,), GeV^2.
        weights: quadrature weights, shape (n, nodes per bin), GeV^2.
    """

    grid: Grid
    averages: Array
    nodes: Array
    weights: Array

    @classmethod
    def build(
        cls,
        counts: np.ndarray,
        edges: np.ndarray,
        null: Callable[[np.ndarray], np.ndarray],
    ) -> BinAverages:
        """Build from counts (fit bins, n), edges (n + 1,) and null(q2)."""
        nodes, weights = gauss_legendre(edges, NODES_PER_BIN)
        total = np.sum(weights * null(nodes), axis=1)
        # A bin without null has no counts either (checked before), and so no weight to define.
        averages = np.where(total > 0.0, counts / np.where(total > 0.0, total, 1.0), 0.0)
        return cls(
            grid=Grid.from_edges(edges),
            averages=jnp.asarray(averages.T),
            nodes=jnp.asarray(nodes.reshape(-1)),
            weights=jnp.asarray(weights),
        )

    def __call__(self, q2: Array) -> Array:
        """Return the average of the bin that holds q2, shape q2.shape + (fit bins,)."""
        index, position, outside = self.grid.locate(q2)
        value = self.averages.at[index].get(mode="promise_in_bounds")
        value = jnp.where(jnp.isnan(position)[..., None], jnp.nan, value)
        return jnp.where(outside[..., None], 0.0, value)

    def narrow(self, mass: Array) -> Array:
        """Return counts per unit of branching ratio, all of it in the bin of mass^2."""
        return self(mass**2)

    def breit_wigner(self, mass: Array, width: Array) -> Array:
        """Return counts per unit of branching ratio for a Breit-Wigner line, shape (fit bins,)."""
        return bin_fractions(self.grid.edges, mass, width) @ self.averages

    def continuum(self, density: Array) -> Array:
        """Return counts for dBR/dq2 given at the nodes, shape (..., nodes) -> (..., fit bins); of
        constants NumPy's."""
        xp: Any = numpy_for(density, self.weights, self.averages)
        at_nodes = density.reshape(*density.shape[:-1], *self.weights.shape)
        integrals = xp.einsum("...zn,zn->...z", at_nodes, xp.asarray(self.weights))
        return integrals @ xp.asarray(self.averages)
