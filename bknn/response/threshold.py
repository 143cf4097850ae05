"""Where a continuum begins: quadrature of (q2 - t)^(n/2) from a threshold t that may move.

Two true-q2 bins need it: the one that holds t and the next one. With the quartics P and P' of the
efficiency there, and edges t < e < e', their share is written as

    int_t^e f (P - P') dq2 + int_t^e' f P' dq2,

so that both integrals begin at t. In the variable eta, q2 = t + a^2 sinh^2(eta), the integrand has
no branch point at eta = 0, and none nearby from powers of q2: with a^2 = t, sqrt(q2) is
sqrt(t) cosh(eta). Where t meets the edge e the first integral vanishes together with its
derivatives, as P - P' is of second order there, and the second one takes its place.
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.response import bernstein

#: Gauss-Legendre nodes for each of the two integrals; docs/response.md, "Thresholds", says why.
NODES = 20
#: a^2 is at least this part of the length of an integral, so that a threshold at 0 has nodes too.
_LEAST_SCALE = 1e-3


class Start(NamedTuple):
    """A threshold on the grid: where the density is needed, and which bins are left.

    Attributes:
        nodes: of the two integrals, shape (2, NODES), GeV^2; none of them below the threshold.
        weights: quadrature weights, as nodes, GeV^2; 0 if the threshold is off the grid.
        bin: the bin that holds the threshold; a valid one if it is off the grid.
        on_grid: whether the threshold is on the grid. NaN is, so that it reaches the counts.
        follows: which bins are integrated with their own nodes, shape (bins,).
    """

    nodes: Array
    weights: Array
    bin: Array
    on_grid: Array
    follows: Array


class Starts(eqx.Module):
    """What a threshold in any bin needs to know.

    Attributes:
        edges: of the n true-q2 bins, shape (n + 1,), GeV^2.
        ends: for each bin e, e' and the width of the bin, shape (n, 3), GeV^2.
        quartics: for each bin P - P' and P', as coefficients of the powers 0 to 4 of
            (q2 - e) / width, shape (n, 2, 5, fit bins).
    """

    edges: Array
    ends: Array
    quartics: Array

    @classmethod
    def build(cls, edges: np.ndarray, coefficients: np.ndarray) -> Starts:
        """Build from the edges (n + 1,) and the Bernstein coefficients (n, 5, fit bins)."""
        widths = np.diff(edges)
        # Above the last bin there is nothing, and the second integral ends with the grid.
        next_widths = np.append(widths[1:], widths[-1])
        next_coefficients = np.append(coefficients[1:], 0.0 * coefficients[:1], axis=0)
        powers = np.arange(bernstein.DEGREE + 1)
        below = _about_upper_edge(coefficients)
        above = _about_lower_edge(next_coefficients)
        above = above * ((widths / next_widths)[:, None] ** powers)[:, :, None]
        return cls(
            edges=jnp.asarray(edges),
            ends=jnp.asarray(np.stack([edges[1:], np.append(edges[2:], edges[-1]), widths], 1)),
            quartics=jnp.asarray(np.stack([below - above, above], axis=1)),
        )

    def start(self, threshold: Array) -> Start:
        """Return where to integrate for a threshold in GeV^2, a scalar, anywhere."""
        bins = self.ends.shape[0]
        found = jnp.sum(self.edges <= threshold) - 1
        below, beyond = threshold < self.edges[0], threshold >= self.edges[-1]
        bin_ = jnp.clip(found, 0, bins - 1)
        ends = self.ends.at[bin_].get(mode="promise_in_bounds")
        # Off the grid the weights are 0, but nodes and derivatives have to be finite all the same.
        begin = jnp.where(below, self.edges[0], threshold)
        length = jnp.where(beyond, ends[2:], ends[:2] - begin)
        offsets, weights = _quadrature(begin, length[:, None])
        on_grid = ~(below | beyond)
        return Start(
            nodes=begin + offsets,
            weights=jnp.where(on_grid, weights, 0.0),
            bin=bin_,
            on_grid=on_grid,
            follows=below | (jnp.arange(bins) > found + 1),
        )

    def counts(self, start: Start, density: Array) -> Array:
        """Return the counts of the two bins, shape (fit bins,), for dBR/dq2 at `start.nodes`."""
        edge, _, width = self.ends.at[start.bin].get(mode="promise_in_bounds")
        quartics = self.quartics.at[start.bin].get(mode="promise_in_bounds")
        # Two wheres: what the density is where it does not count is nobody's business.
        density = jnp.where(start.on_grid, density, 0.0)
        row = _moments(density, start.weights, (start.nodes - edge) / width).reshape(-1)
        return row @ quartics.reshape(row.size, -1)


# Compiled apart, these are traced once for all responses.
@jax.jit
def _moments(density: Array, weights: Array, position: Array) -> Array:
    """Return the moments 0 to 4 of two integrals, (2, 5), from arrays (2, NODES)."""
    # Powers by what each adds to the one before, and a product of matrices in place of a sum: what
    # stands in a list, or under a sum, XLA computes again for each entry.
    power = np.arange(bernstein.DEGREE + 1)[:, None]
    terms = jnp.broadcast_to(weights[:, None, :], (2, len(power), NODES))
    for k in range(1, len(power)):
        terms = jnp.where(power >= k, terms * position[:, None, :], terms)
    return jnp.einsum("in,idn->id", density, terms)


@jax.jit
def _quadrature(begin: Array, length: Array) -> tuple[Array, Array]:
    """Return nodes, as distances from the beginning, and weights, for lengths of shape (2, 1)."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    x, w = 0.5 * (x + 1.0)[None, :], 0.5 * w[None, :]
    scale = begin + _LEAST_SCALE * length  # a^2
    root = jnp.sqrt(length / scale)
    eta = jnp.log(root + jnp.sqrt(1.0 + root**2))
    # sinh and cosh with one exponential; a digit lost near 0 is one of a small weight.
    growth = jnp.exp(eta * x)
    sinh, cosh = 0.5 * (growth - 1.0 / growth), 0.5 * (growth + 1.0 / growth)
    return scale * sinh**2, (2.0 * scale * eta) * sinh * cosh * w


def _about_lower_edge(coefficients: np.ndarray) -> np.ndarray:
    """Return (n, 5, fit bins) Bernstein coefficients as those of powers of the position."""
    degree = bernstein.DEGREE
    matrix = np.zeros((degree + 1, degree + 1))
    for k in range(degree + 1):
        for i in range(k + 1):
            matrix[k, i] = (-1) ** (k - i) * comb(degree, k) * comb(k, i)
    return np.einsum("ki,jib->jkb", matrix, coefficients)


def _about_upper_edge(coefficients: np.ndarray) -> np.ndarray:
    """Return the same, of the position minus 1: the mirror image, seen from the other edge."""
    signs = (-1.0) ** np.arange(bernstein.DEGREE + 1)
    return signs[None, :, None] * _about_lower_edge(coefficients[:, ::-1])
