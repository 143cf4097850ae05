"""A workspace as flat arrays over its non-empty cells.

A cell is a (channel, sample, bin) with a yield. Its rate is

    rate = (nominal + sum_m S_m alpha_m + A_m g(alpha_m)) x product of factors,

where the factors are scalars shared by many cells (normfactor, lumi, normsys) or one a bin
(staterror, shapesys, shapefactor). Scalars are multiplied once per distinct combination ("group"),
not once per cell. Cells are sorted by their first bin-wise parameter: for a workspace whose cells
each have a staterror of their own, the lookup is then a slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bknn.likelihood.interpolation import code4_polynomial
from bknn.likelihood.parameter_sets import ParameterSet
from bknn.likelihood.workspace import Workspace

#: Asymmetries of histosys templates below this fraction of the larger one are rounding.
_ROUNDING = 4 * np.finfo(float).eps


@dataclass(frozen=True)
class Cells:
    """Arrays over cells (c), bins (b), groups of scalar factors (g), parameters (p).

    Attributes:
        channel, sample: names per cell.
        bin: global bin of each cell, channels alphabetical, shape (c,).
        nominal: shape (c,).
        shift: S, shape (c, h), for the parameters `shift_parameters` (h,).
        bend: A, shape (c, a), for the parameters `bend_parameters` (a,).
        scalar_parameters: parameters that multiply as they are, shape (s,).
        normsys_parameters, log_lo, log_hi, polynomial: distinct normsys factors (k,), (6 or 0, k).
        group_factors: indices into [1, scalars, normsys] whose product is the group, shape (g, f).
        group: group of each cell, shape (c,).
        binwise: parameter that multiplies each cell, -1 for none, shape (layers, c).
    """

    channel: tuple[str, ...]
    sample: tuple[str, ...]
    bin: np.ndarray
    nominal: np.ndarray
    shift: np.ndarray
    shift_parameters: np.ndarray
    bend: np.ndarray
    bend_parameters: np.ndarray
    scalar_parameters: np.ndarray
    normsys_parameters: np.ndarray
    log_lo: np.ndarray
    log_hi: np.ndarray
    polynomial: np.ndarray
    group_factors: np.ndarray
    group: np.ndarray
    binwise: np.ndarray


def compile_cells(workspace: Workspace, sets: dict[str, ParameterSet], normsys_code: str) -> Cells:
    """Return the arrays of a workspace; `sets` are its parameters in order."""
    offset, position = {}, 0
    for name, item in sets.items():
        offset[name], position = position, position + item.size
    staterror_start = _staterror_starts(workspace)

    channel, sample, bins, nominal = [], [], [], []
    shifts: list[dict[int, float]] = []
    bends: list[dict[int, float]] = []
    factors: list[tuple[tuple[str, int, float, float], ...]] = []
    layers: list[list[int]] = []
    first_bin = 0
    for c in workspace.channels:
        for s in c.samples:
            histo = [m for m in s.modifiers if m.type == "histosys"]
            scalar = tuple(
                (m.type, offset[m.name], *(m.data if m.type == "normsys" else (0.0, 0.0)))
                for m in s.modifiers
                if m.type in ("normfactor", "lumi", "normsys")
            )
            starts = [
                offset[m.name] + staterror_start.get((m.name, c.name), 0)
                for m in s.modifiers
                if m.type in ("shapefactor", "shapesys", "staterror")
            ]
            for b in range(c.n_bins):
                shift, bend = {}, {}
                for m in histo:
                    lo, hi = m.data[0][b], m.data[1][b]
                    shift[offset[m.name]] = (hi - lo) / 2
                    middle = (hi + lo) / 2 - s.data[b]
                    if abs(middle) > _ROUNDING * max(abs(hi), abs(lo), abs(s.data[b])):
                        bend[offset[m.name]] = middle
                if s.data[b] == 0 and not any(shift.values()) and not bend:
                    continue
                channel.append(c.name)
                sample.append(s.name)
                bins.append(first_bin + b)
                nominal.append(s.data[b])
                shifts.append(shift)
                bends.append(bend)
                factors.append(scalar)
                layers.append([start + b for start in starts])
        first_bin += c.n_bins

    n_layers = max((len(x) for x in layers), default=0)
    binwise = np.array([x + [-1] * (n_layers - len(x)) for x in layers], int)
    binwise = binwise.reshape(len(layers), n_layers).T
    order = np.argsort(binwise[0], kind="stable") if n_layers else np.arange(len(layers))

    def ordered(items: list) -> list:
        return [items[i] for i in order]

    factors, shifts, bends = ordered(factors), ordered(shifts), ordered(bends)
    scalars = sorted({f[1] for fs in factors for f in fs if f[0] != "normsys"})
    normsys = sorted({f[1:] for fs in factors for f in fs if f[0] == "normsys"})
    # Where each factor stands in [1, scalars, normsys].
    column = {p: 1 + i for i, p in enumerate(scalars)}
    normsys_column = {f: 1 + len(scalars) + i for i, f in enumerate(normsys)}
    indices = [
        tuple(normsys_column[f[1:]] if f[0] == "normsys" else column[f[1]] for f in fs)
        for fs in factors
    ]
    groups = sorted(set(indices))
    width = max((len(g) for g in groups), default=0)
    lo = np.array([f[1] for f in normsys])
    hi = np.array([f[2] for f in normsys])
    shift_parameters, shift_matrix = _dense(shifts)
    bend_parameters, bend_matrix = _dense(bends)
    return Cells(
        channel=tuple(ordered(channel)),
        sample=tuple(ordered(sample)),
        bin=np.array(bins, int)[order],
        nominal=np.array(nominal, float)[order],
        shift=shift_matrix,
        shift_parameters=shift_parameters,
        bend=bend_matrix,
        bend_parameters=bend_parameters,
        scalar_parameters=np.array(scalars, int),
        normsys_parameters=np.array([f[0] for f in normsys], int),
        log_lo=np.log(lo),
        log_hi=np.log(hi),
        polynomial=(
            code4_polynomial(lo, hi)
            if normsys_code == "code4" and normsys
            else np.zeros((0, len(normsys)))
        ),
        group_factors=np.array([[*g, *[0] * (width - len(g))] for g in groups], int).reshape(
            len(groups), width
        ),
        group=np.array([groups.index(i) for i in indices], int),
        binwise=binwise[:, order],
    )


def _staterror_starts(workspace: Workspace) -> dict[tuple[str, str], int]:
    """Where the parameters of a staterror shared by several channels begin in each of them."""
    length: dict[str, int] = {}
    result: dict[tuple[str, str], int] = {}
    for c in workspace.channels:
        names = {m.name for s in c.samples for m in s.modifiers if m.type == "staterror"}
        for name in names:
            result[name, c.name] = length.get(name, 0)
            length[name] = length.get(name, 0) + c.n_bins
    return result


def _dense(rows: list[dict[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of {parameter: value} as sorted parameters and a matrix (rows, parameters)."""
    parameters = sorted({p for row in rows for p, value in row.items() if value != 0})
    matrix = np.zeros((len(rows), len(parameters)))
    for i, row in enumerate(rows):
        for j, p in enumerate(parameters):
            matrix[i, j] = row.get(p, 0.0)
    return np.array(parameters, int), matrix
