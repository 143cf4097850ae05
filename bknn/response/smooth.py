"""The smooth efficiency density: a C1 function of the true q2 with the published bin integrals.

For each fit bin, eps(q2) is the expected count per unit of branching ratio produced at q2. In
each true-q2 bin it is a quartic in Bernstein form, so that

- its integral times the null spectrum is the published count of that bin, exactly;
- it is nowhere negative, because its coefficients are not;
- it is continuous with its derivative, so counts are differentiable in the mass of a line;
- it is local: the curve in a bin depends on that bin and three on either side.

Value and slope at the edges come from the bin averages; what is left of the five coefficients,
the middle one, takes up the integral. `docs/response.md` says what this does to the statistical
noise of the simulation.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.kinematics import numpy_for
from bknn.response import bernstein
from bknn.response.breit_wigner import NEAR, bernstein_moments, breit_wigner, near_peak
from bknn.response.grid import Grid, gauss_legendre
from bknn.response.threshold import Start, Starts

#: Gauss-Legendre nodes per true-q2 bin; docs/response.md, "Integration", says why.
NODES_PER_BIN = 8


class SmoothEfficiency(eqx.Module):
    """Efficiency density of some fit bins, ready to be folded with lines and continua.

    Attributes:
        grid: true-q2 bins, n of them.
        coefficients: Bernstein coefficients, shape (n, 5, fit bins), counts per unit of
            branching ratio; the row of one true-q2 bin lies together in memory.
        nodes: quadrature nodes of all bins, shape (n * nodes per bin,), GeV^2.
        folding: eps at the nodes times the quadrature weights, shape (nodes, fit bins).
        starts: for continua that begin at a threshold.
    """

    grid: Grid
    coefficients: Array
    nodes: Array
    folding: Array
    starts: Starts

    @classmethod
    def build(
        cls,
        counts: np.ndarray,
        unmatched: np.ndarray,
        edges: np.ndarray,
        null: Callable[[np.ndarray], np.ndarray],
    ) -> SmoothEfficiency:
        """Build from counts (fit bins, n), unmatched (fit bins,), edges (n + 1,), null(q2)."""
        nodes, weights = gauss_legendre(edges, NODES_PER_BIN)
        null_at_nodes = null(nodes)
        coefficients = bernstein_coefficients(counts, edges, null_at_nodes)
        # Candidates without a true q2 are taken to be as likely wherever the decay happened: an
        # efficiency that does not depend on q2. (B_k add up to 1, so it adds to each of them.)
        coefficients = coefficients + unmatched / np.sum(weights * null_at_nodes)
        efficiency = np.einsum("tk,jkb->jtb", _basis_at_nodes(), coefficients)
        folding = weights[:, :, None] * efficiency
        return cls(
            grid=Grid.from_edges(edges),
            coefficients=jnp.asarray(coefficients),
            nodes=jnp.asarray(nodes.reshape(-1)),
            folding=jnp.asarray(folding.reshape(nodes.size, -1)),
            starts=Starts.build(edges, coefficients),
        )

    def __call__(self, q2: Array) -> Array:
        """Return eps(q2), shape q2.shape + (fit bins,): counts per unit of branching ratio."""
        index, t, outside = self.grid.locate(q2)
        rows = self.coefficients.at[index].get(mode="promise_in_bounds")
        # Five terms written as a reduction: XLA fuses it, a batched dot it would not.
        value = jnp.sum(bernstein.basis(t)[..., None] * rows, axis=-2)
        return jnp.where(outside[..., None], 0.0, value)

    def narrow(self, mass: Array) -> Array:
        """Return counts per unit of branching ratio for a narrow line, shape (fit bins,)."""
        return self(mass**2)

    def breit_wigner(self, mass: Array, width: Array) -> Array:
        """Return counts per unit of branching ratio for a Breit-Wigner line, shape (fit bins,)."""
        edges = self.grid.edges
        near = near_peak(edges[:-1], edges[1:], mass, width)

        # Far from the peak it is a continuum like any other. (The where inside keeps the pole of
        # a narrow line away from the gradient.)
        at_peak = jnp.repeat(near, NODES_PER_BIN)
        nodes = jnp.where(at_peak, mass**2 + 1.0, self.nodes)
        far = self.continuum(jnp.where(at_peak, 0.0, breit_wigner(nodes, mass, width)))

        # Near it, in closed form. (A dot, not a fused sum: that would repeat the logarithms.)
        window = self.grid.around(mass**2, reach=int(NEAR / 2))
        moments = bernstein_moments(edges[jnp.append(window, window[-1] + 1)], mass, width)
        moments = jnp.where(near[window][:, None], moments, 0.0).reshape(-1)
        rows = self.coefficients.at[window].get(mode="promise_in_bounds")
        return far + moments @ rows.reshape(moments.size, -1)

    def continuum(self, density: Array) -> Array:
        """Return counts for dBR/dq2 given at the nodes, shape (..., nodes) -> (..., fit bins); of
        constants NumPy's."""
        return density @ numpy_for(density, self.folding).asarray(self.folding)

    def from_threshold(self, start: Start, at_nodes: Array, at_start: Array) -> tuple[Array, Array]:
        """Split dBR/dq2 of a continuum with a threshold into two parts.

        Args:
            start: its beginning.
            at_nodes: dBR/dq2 at the nodes of all bins, shape (nodes,).
            at_start: dBR/dq2 at `start.nodes`, as these.

        Returns:
            What is left for `continuum`, shape (nodes,), and the counts of the bins in which the
            nodes do not count, shape (fit bins,).
        """
        follows = jnp.repeat(start.follows, NODES_PER_BIN)
        counts = self.starts.counts(start, at_start)
        return jnp.where(follows, at_nodes, 0.0), counts


def bernstein_coefficients(counts: np.ndarray, edges: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Return the Bernstein coefficients of eps, shape (true-q2 bins, 5, fit bins).

    Args:
        counts: expected counts, shape (fit bins, true-q2 bins), non-negative.
        edges: true-q2 edges in GeV^2, shape (true-q2 bins + 1,).
        null: the dBR/dq2 (GeV^-2) that gave the counts, at the Gauss-Legendre nodes of each bin,
            shape (true-q2 bins, NODES_PER_BIN). The quadrature that folds later is the same, so
            that the null closes to rounding.
    """
    counts = counts.T  # (n, fit bins), as everything below
    widths = np.diff(edges)[:, None]
    _, weights = gauss_legendre(edges, NODES_PER_BIN)
    moments = (weights * null) @ _basis_at_nodes()  # of the null, (n, 5)
    total = moments.sum(axis=1, keepdims=True)
    averages = np.where(total > 0.0, counts / np.where(total > 0.0, total, 1.0), 0.0)

    value, slope = _at_edges(averages, edges)
    zero = _zero_edges(averages, edges)
    value = np.where(zero, 0.0, np.maximum(value, 0.0))
    # The second coefficient next to an edge is value +- slope * width / 4: keep both positive.
    to_left = np.append(widths[:1], widths, axis=0)
    to_right = np.append(widths, widths[-1:], axis=0)
    slope = np.clip(slope, -4.0 * value / to_right, 4.0 * value / to_left)

    # Where the edges alone would exceed the count of a bin, scale both of them down. A common
    # factor for value and slope, the smaller one of the two bins, keeps the curve C1.
    used = _outer_integral(value, slope, widths, moments)
    excess = used > counts
    factor = np.where(excess, counts / np.where(excess, used, 1.0), 1.0)
    factor = np.minimum(np.append(factor[:1], factor, axis=0), np.append(factor, factor[-1:], 0))
    value, slope = value * factor, slope * factor

    rest = np.maximum(counts - _outer_integral(value, slope, widths, moments), 0.0)
    middle = moments[:, 2:3]
    b2 = np.where(middle > 0.0, rest / np.where(middle > 0.0, middle, 1.0), 0.0)
    b0, b1, b3, b4 = _outer(value, slope, widths)
    return np.stack([b0, b1, b2, b3, b4], axis=1)


def _at_edges(averages: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return value and slope of eps at the edges, (n + 1, fit bins) each, before any limit.

    They are the first two derivatives, at the edge, of the quartic through the running integral
    of eps at five edges. For equal bins: value (7 (a_-1 + a_1) - (a_-2 + a_2)) / 12, slope
    (15 (a_1 - a_-1) - (a_2 - a_-2)) / (12 width). Two bins are added at either end: zeros above
    (and below, if phase space continues there), at q2 = 0 the straight line that fits the first
    four bins, because a one-sided difference would multiply the noise by three.
    """
    widths = np.diff(edges)
    widths = np.concatenate([widths[[0, 0]], widths, widths[[-1, -1]]])
    nothing = np.zeros_like(averages[:1])
    below = [nothing, nothing]
    if edges[0] <= 0.0:
        below = _line_below(averages[:4], edges[:5])
    averages = np.concatenate([*below, averages, nothing, nothing])

    # The two bins on either side of each edge, and the running integral from the edge.
    bins = np.arange(len(edges))[:, None] + np.arange(4)
    w = widths[bins]
    scale = w.mean(axis=1, keepdims=True)
    offsets = np.stack([-(w[:, 0] + w[:, 1]), -w[:, 1], w[:, 2], w[:, 2] + w[:, 3]], axis=1) / scale
    # Quartic through 0 at the edge: which combination of integrals is its u^1, its u^2?
    combine = np.linalg.inv(offsets[:, :, None] ** np.arange(1, 5))
    a = averages[bins] * w[:, :, None]
    integral = (-(a[:, 0] + a[:, 1]), -a[:, 1], a[:, 2], a[:, 2] + a[:, 3])
    first = sum(combine[:, 0, i, None] * integral[i] for i in range(4))
    second = sum(combine[:, 1, i, None] * integral[i] for i in range(4))
    return first / scale, 2.0 * second / scale**2


def _line_below(averages: np.ndarray, edges: np.ndarray) -> list[np.ndarray]:
    """Return the line that fits the first bins, at the centres of two bins below them."""
    centres, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    mean, distance = sum(averages) / len(averages), centres - centres.mean()
    spread = max(float(np.sum(distance**2)), np.finfo(float).tiny)  # one bin: a constant
    slope = sum(d * a for d, a in zip(distance, averages, strict=True)) / spread
    return [(mean + slope * (edges[0] - k * width - centres.mean()))[None, :] for k in (1.5, 0.5)]


def _zero_edges(averages: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return where eps and its slope must be 0: beside empty bins and where the grid ends.

    The lower end is open if it is q2 = 0, where phase space itself ends.
    """
    empty = averages <= 0.0
    end = np.ones_like(empty[:1])
    start = np.full_like(end, edges[0] > 0.0)
    return np.append(start, empty, axis=0) | np.append(empty, end, axis=0)


def _outer(value: np.ndarray, slope: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the coefficients b0, b1, b3, b4 of each bin from value and slope at its edges."""
    step = 0.25 * widths
    # The slopes are limited already; the maximum is for the last bit.
    b1 = np.maximum(value[:-1] + step * slope[:-1], 0.0)
    b3 = np.maximum(value[1:] - step * slope[1:], 0.0)
    return value[:-1], b1, b3, value[1:]


def _outer_integral(
    value: np.ndarray, slope: np.ndarray, widths: np.ndarray, moments: np.ndarray
) -> np.ndarray:
    """Return what these four contribute to the count of each bin."""
    b0, b1, b3, b4 = _outer(value, slope, widths)
    m = moments[:, :, None]
    return b0 * m[:, 0] + b1 * m[:, 1] + b3 * m[:, 3] + b4 * m[:, 4]


def _basis_at_nodes() -> np.ndarray:
    """Return the Bernstein basis at the Gauss-Legendre nodes of a bin, (NODES_PER_BIN, 5)."""
    x, _ = np.polynomial.legendre.leggauss(NODES_PER_BIN)
    return bernstein.basis_numpy(0.5 * (x + 1.0))
