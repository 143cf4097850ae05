"""Derivatives of the expected counts, written out.

A fit needs the whole matrix d rate / d parameter every few steps. Automatic differentiation gives
it one bin at a time and carries vectors of all parameters along; written out, it takes about as
long as the rates: a parameter either acts on many bins ("shared", a dense column) or on one
("local", a single number).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.likelihood.cells import Cells
from bknn.likelihood.interpolation import asymmetric_part, multiplicative
from bknn.likelihood.products import product, products_of_others
from bknn.likelihood.sparse import collect, padded, place, sum_padded, take


class Rates(Protocol):
    """What the derivatives need of a likelihood (`HistFactory`)."""

    @property
    def cells(self) -> Cells: ...
    @property
    def interpolation(self) -> dict[str, str]: ...
    @property
    def size(self) -> int: ...
    @property
    def n_bins(self) -> int: ...
    @property
    def n_scales(self) -> int: ...
    @property
    def scale(self) -> np.ndarray: ...
    def pieces(
        self, vector: Array, scales: Array | None = None
    ) -> tuple[Array, Array, Array, Array]: ...
    def factors_of_groups(self, table: Array) -> Array: ...


class Derivatives(NamedTuple):
    """First derivatives of the rates.

    Attributes:
        rates: (bins,).
        shared: (bins, s), with respect to the parameters `DerivativeTables.shared`.
        local: (l,), of the bin `DerivativeTables.local_bin` with respect to the parameter
            `DerivativeTables.local`.
        scales: (n_scales,), of the bin `DerivativeTables.scale_bin` with respect to each outside
            factor.
    """

    rates: Array
    shared: Array
    local: Array
    scales: Array


@dataclass(frozen=True, eq=False)
class DerivativeTables:
    """Which parameters act where, and lookup tables (bins, cells of a bin).

    `linear` tells of each local parameter whether the rates are linear in it and all others of its
    kind together.
    """

    shared: np.ndarray
    local: np.ndarray
    local_bin: np.ndarray
    linear: np.ndarray
    local_cells: np.ndarray
    spread_cells: np.ndarray
    scale_bin: np.ndarray
    scale_cells: np.ndarray
    bin_cells: np.ndarray

    @classmethod
    def of(cls, pdf: Rates) -> DerivativeTables:
        """Sort the parameters of a model by where they act."""
        c = pdf.cells
        everywhere = {
            int(p)
            for group in (
                c.shift_parameters,
                c.bend_parameters,
                c.scalar_parameters,
                c.normsys_parameters,
            )
            for p in group
        }
        bins: dict[int, set[int]] = {}
        for layer in c.binwise:
            for p, b in zip(layer, c.bin, strict=True):
                if p >= 0:
                    bins.setdefault(int(p), set()).add(int(b))
        local = np.array(
            sorted(p for p, b in bins.items() if len(b) == 1 and p not in everywhere), int
        )
        shared = np.array(sorted(everywhere | (set(bins) - set(local.tolist()))), int)
        # Layers laid end to end: entry layer * cells + cell.
        flat = c.binwise.reshape(-1)
        rank = np.full(pdf.size, -1)
        rank[local] = np.arange(len(local))
        is_local = (flat >= 0) & (rank[flat] >= 0)
        # Two local factors on one cell make a product, which is not linear.
        crowded = np.sum(is_local.reshape(c.binwise.shape), axis=0) > 1
        products = np.unique(c.binwise[:, crowded])
        scale_bin = np.zeros(pdf.n_scales, int)
        has_scale = pdf.scale >= 0
        scale_bin[pdf.scale[has_scale]] = c.bin[has_scale]
        return cls(
            shared=shared,
            local=local,
            local_bin=np.array([next(iter(bins[int(p)])) for p in local], int),
            linear=~np.isin(local, products),
            local_cells=padded(np.where(is_local, rank[flat], -1), len(local)),
            spread_cells=np.flatnonzero((flat >= 0) & ~is_local),
            scale_bin=scale_bin,
            scale_cells=padded(pdf.scale, pdf.n_scales),
            bin_cells=padded(c.bin, pdf.n_bins),
        )


def derivatives(
    pdf: Rates, structure: DerivativeTables, vector: Array, scales: Array | None
) -> Derivatives:
    """Return rates and their derivatives at the flat vector (size,)."""
    c, n_cells = pdf.cells, len(pdf.cells.bin)
    additive, groups, layers, outside = pdf.pieces(vector, scales)
    binwise = product(layers)
    factor = groups[c.group] * binwise * outside
    by_cell = additive * factor

    def in_bins(values: Array, matrix: np.ndarray) -> Array:
        """Sum of values (cells,) times rows of a matrix (cells, n), in each bin: (bins, n)."""
        lookup = np.concatenate([matrix, np.zeros((1, matrix.shape[1]))])[structure.bin_cells]
        here = jnp.append(values, 0.0)[structure.bin_cells]
        return jnp.einsum("bs,bsn->bn", here, lookup)

    n = len(structure.shared)
    where = np.full(pdf.size, -1)
    where[structure.shared] = np.arange(n)
    shared = place(in_bins(factor, c.shift), where[c.shift_parameters], n)
    if c.bend_parameters.size:
        alpha = take(vector, c.bend_parameters)
        slope = jax.jvp(
            lambda a: asymmetric_part(a, pdf.interpolation["histosys"]),
            (alpha,),
            (jnp.ones_like(alpha),),
        )[1]
        bend = in_bins(factor, c.bend) * slope[None, :]
        shared = shared + place(bend, where[c.bend_parameters], n)

    # Scalar factors: by group first, then by each factor of the group, then by what it stands for.
    member = (c.group[:, None] == np.arange(len(c.group_factors))).astype(float)
    by_group = in_bins(additive * binwise * outside, member)
    table, slopes = _factor_table(pdf, vector)
    others = products_of_others(pdf.factors_of_groups(table))
    by_place = by_group.T[None, :, :] * others[:, :, None]
    by_place = by_place.reshape(-1, by_group.shape[0])
    by_factor = collect(by_place, c.group_factors.T.reshape(-1), len(table)).T[:, 1:]
    n_scalars = len(c.scalar_parameters)
    shared = shared + place(by_factor[:, :n_scalars], where[c.scalar_parameters], n)
    normsys = by_factor[:, n_scalars:] * slopes[None, :]
    shared = shared + place(normsys, where[c.normsys_parameters], n)

    # Bin-wise factors, layers laid end to end.
    rest = additive * groups[c.group] * outside
    flat = (products_of_others(layers) * rest[None, :]).reshape(-1)
    if structure.spread_cells.size:
        cells = structure.spread_cells
        column = where[c.binwise.reshape(-1)[cells]]
        shared = shared.at[c.bin[cells % n_cells], column].add(flat[cells])
    unscaled = additive * groups[c.group] * binwise
    return Derivatives(
        rates=sum_padded(by_cell, structure.bin_cells),
        shared=shared,
        local=sum_padded(flat, structure.local_cells),
        scales=sum_padded(unscaled, structure.scale_cells),
    )


def _factor_table(pdf: Rates, vector: Array) -> tuple[Array, Array]:
    """[1, scalar parameters, normsys factors], and the slopes of the latter."""
    c = pdf.cells
    alpha = jnp.asarray(take(vector, c.normsys_parameters))
    normsys, slopes = jax.jvp(
        lambda a: multiplicative(a, c.log_lo, c.log_hi, c.polynomial),
        (alpha,),
        (jnp.ones_like(alpha),),
    )
    return jnp.concatenate([jnp.ones(1), take(vector, c.scalar_parameters), normsys]), slopes
