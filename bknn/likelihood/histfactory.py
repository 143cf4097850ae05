"""HistFactory in JAX: any pyhf workspace as a log density over its non-empty cells.

One class, which is longer than 450 lines: rates, constraints and their checks share all its tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.likelihood.cells import Cells, compile_cells
from bknn.likelihood.derivatives import Derivatives, DerivativeTables, derivatives
from bknn.likelihood.export import workspace_json
from bknn.likelihood.interpolation import (
    ADDITIVE_CODES,
    MULTIPLICATIVE_CODES,
    asymmetric_part,
    multiplicative,
)
from bknn.likelihood.parameter_sets import NORMAL, POISSON, ParameterSet, collect_sets
from bknn.likelihood.products import product
from bknn.likelihood.sparse import collect, spread, take, take_or_one
from bknn.likelihood.terms import (
    auxiliary_norm,
    auxiliary_shape,
    log_poisson,
    normal_norm,
    normal_shape,
)
from bknn.likelihood.workspace import Workspace, parse
from bknn.precision import require_x64
from bknn.reading.pyhf_files import Patch

#: pyhf's choice: exponential inside and out of one sigma, joined smoothly; polynomial for shapes.
DEFAULT_INTERPOLATION = {"normsys": "code4", "histosys": "code4p"}

Parameters = Mapping[str, ArrayLike] | ArrayLike


@dataclass(frozen=True, eq=False)
class HistFactory:
    """A HistFactory model, compiled once from pyhf JSON (arXiv:1102.0302 and pyhf 0.7).

    `log_prob` and `expected` are pure JAX functions of the parameters: they can be jitted, vmapped
    and differentiated. Parameters go in as `{name: array}` (scalars for single parameters, arrays
    for one a bin) or as the flat vector in pyhf's order; a batch goes through `jax.vmap`.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> spec = {
        ...     "channels": [{"name": "SR", "samples": [
        ...         {"name": "s", "data": [5.0, 2.0], "modifiers": [
        ...             {"name": "mu", "type": "normfactor", "data": None}]},
        ...         {"name": "b", "data": [50.0, 30.0], "modifiers": [
        ...             {"name": "b", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}]}]}],
        ...     "observations": [{"name": "SR", "data": [57, 31]}],
        ...     "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        ...     "version": "1.0.0",
        ... }
        >>> pdf = bknn.HistFactory.from_workspace(spec)
        >>> pdf.parameter_names
        ('mu', 'b')
        >>> {k: v.tolist() for k, v in pdf.expected({"mu": 1.0, "b": 0.0}).items()}
        {'SR': [55.0, 32.0]}
        >>> round(float(pdf.log_prob({"mu": 1.0, "b": 0.0})), 6)
        -6.551206
    """

    workspace: Workspace
    parameter_sets: dict[str, ParameterSet]
    cells: Cells
    interpolation: dict[str, str]
    #: Number of outside factors on the cells (see `with_signal`), and each cell's, -1 for none.
    n_scales: int = 0
    scale: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    @classmethod
    def from_workspace(
        cls,
        source: str | Path | Mapping[str, Any],
        *,
        measurement: str | None = None,
        interpolation: Mapping[str, str] | None = None,
        channels: Sequence[str] | None = None,
        label: str = "workspace",
        patch: Patch | None = None,
    ) -> HistFactory:
        """Read, check and compile a pyhf workspace.

        Args:
            source: path of a JSON file, or the workspace as a mapping.
            measurement: which of its measurements; the first by default.
            interpolation: {"normsys": "code1" or "code4", "histosys": "code0" or "code4p"};
                pyhf's defaults are code4 and code4p.
            channels: keep only these.
            label: what messages call a workspace that comes as a mapping.
            patch: `patchset.json:NAME`, a file with a JSON patch, or its list of operations.

        Raises:
            WorkspaceError: anything wrong with the workspace; the sentence says what and where.
            DataError: a patch that cannot be read, or was made for another workspace.
            UnknownNameError: unknown measurement, channel or interpolation code.
            PrecisionError: JAX runs in single precision.
        """
        require_x64()
        codes = dict(DEFAULT_INTERPOLATION)
        for kind, code in (interpolation or {}).items():
            if kind not in codes:
                raise errors.unknown("interpolated modifier type", kind, codes)
            known = MULTIPLICATIVE_CODES if kind == "normsys" else ADDITIVE_CODES
            if code not in known:
                raise errors.unknown(f"interpolation code of {kind}", code, known)
            codes[kind] = code
        workspace = parse(source, measurement, channels, label, patch)
        sets = collect_sets(workspace)
        cells = compile_cells(workspace, sets, codes["normsys"])
        return cls(workspace, sets, cells, codes)

    # Names and numbers of the parameters -----------------------------------------------------

    @property
    def poi(self) -> str | None:
        """Parameter of interest of the measurement, None if it declares none."""
        return self.workspace.poi

    @cached_property
    def signal_strength(self) -> str | None:
        """The parameter of interest, if it is the factor of a signal (a normfactor)."""
        kinds = {
            m.type
            for c in self.workspace.channels
            for s in c.samples
            for m in s.modifiers
            if m.name == self.poi
        }
        return self.poi if kinds == {"normfactor"} else None

    @property
    def channels(self) -> dict[str, int]:
        """Number of bins of each channel, in the order of `observed`."""
        return {c.name: c.n_bins for c in self.workspace.channels}

    @property
    def n_bins(self) -> int:
        return sum(self.channels.values())

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(s.size for s in self.parameter_sets.values())

    @cached_property
    def parameter_names(self) -> tuple[str, ...]:
        """One name a parameter, as pyhf spells them: `mu`, `staterror[0]`, ..."""
        return tuple(n for s in self.parameter_sets.values() for n in s.flat_names)

    def _named(self, attribute: str) -> dict[str, np.ndarray]:
        return {
            name: getattr(s, attribute)[0] if s.scalar else getattr(s, attribute)
            for name, s in self.parameter_sets.items()
        }

    @property
    def init(self) -> dict[str, np.ndarray]:
        """Starting values {name: () or (n,)}."""
        return self._named("init")

    @property
    def bounds(self) -> dict[str, np.ndarray]:
        """Bounds {name: (2,) or (n, 2)}, as pyhf suggests them."""
        return self._named("bounds")

    @property
    def fixed(self) -> dict[str, np.ndarray]:
        """Whether a fit should leave the parameter where it is, {name: () or (n,)}."""
        return self._named("fixed")

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each parameter set lies in the flat vector."""
        result, start = {}, 0
        for name, s in self.parameter_sets.items():
            result[name] = slice(start, start + s.size)
            start += s.size
        return result

    def flatten(self, params: Parameters) -> Array:
        """Return the flat vector (size,) of `{name: array}`; a flat vector passes through.

        Raises:
            UnknownNameError: a name that the model does not have.
            ParameterError: a missing name or a wrong shape.
        """
        if not isinstance(params, Mapping):
            vector = jnp.asarray(params, float)
            if vector.shape != (self.size,):
                raise errors.ParameterError(
                    f"the flat parameter vector has shape {vector.shape}, but the model has "
                    f"{self.size} parameters; for a batch use jax.vmap."
                )
            return vector
        for name in params:
            if name not in self.parameter_sets:
                raise errors.unknown("parameter", name, self.parameter_sets)
        parts = []
        for name, s in self.parameter_sets.items():
            if name not in params:
                raise errors.ParameterError(
                    f"parameter {name!r} has no value; give all {len(self.parameter_sets)} "
                    "parameter sets, for instance {**pdf.init, ...}."
                )
            value = jnp.asarray(params[name], float)
            if value.shape != (() if s.scalar else (s.size,)) and value.shape != (s.size,):
                raise errors.ParameterError(
                    f"parameter {name!r} has shape {value.shape}, but needs "
                    f"{() if s.scalar else (s.size,)}."
                )
            parts.append(value.reshape(s.size))
        return jnp.concatenate(parts)

    def unflatten(self, vector: ArrayLike) -> dict[str, Array]:
        """Return `{name: array}` of a flat vector (size,)."""
        vector = jnp.asarray(vector)
        return {
            name: vector[where.start] if self.parameter_sets[name].scalar else vector[where]
            for name, where in self.slices.items()
        }

    # Data --------------------------------------------------------------------------------------

    @cached_property
    def observed(self) -> np.ndarray:
        """Observed counts (bins,), channels in alphabetical order."""
        return np.concatenate([c.observed for c in self.workspace.channels])

    @cached_property
    def auxdata(self) -> np.ndarray:
        """Auxiliary measurements of the constrained parameters, in pyhf's order."""
        parts = [s.auxdata for s in self.parameter_sets.values() if s.auxdata is not None]
        return np.concatenate([np.zeros(0), *parts])

    def _constrained(self, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Parameters with such a constraint, their auxdata positions, and sigmas or factors."""
        parameters, positions = [np.zeros(0, int)], [np.zeros(0, int)]
        values, start = [np.zeros(0)], 0
        for name, s in self.parameter_sets.items():
            if s.auxdata is None:
                continue
            width = s.sigmas if kind == NORMAL else s.factors
            if s.constraint == kind and width is not None:
                parameters.append(np.arange(self.slices[name].start, self.slices[name].stop))
                positions.append(np.arange(start, start + s.size))
                values.append(width)
            start += s.size
        return np.concatenate(parameters), np.concatenate(positions), np.concatenate(values)

    @cached_property
    def normal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normally constrained parameters, positions of their auxdata, and widths."""
        return self._constrained(NORMAL)

    @cached_property
    def poisson(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Poisson-constrained parameters, positions of their auxdata, and rate factors."""
        return self._constrained(POISSON)

    # The density -------------------------------------------------------------------------------

    def pieces(
        self, vector: Array, scales: Array | None = None
    ) -> tuple[Array, Array, Array, Array]:
        """Return what is multiplied in each cell: additive part (cells,), scalar factors by group
        (groups,), bin-wise factors (layers, cells), outside factors (cells,)."""
        c = self.cells
        alpha = take(vector, c.shift_parameters)
        additive = c.nominal + c.shift @ alpha
        if c.bend_parameters.size:
            bend = asymmetric_part(take(vector, c.bend_parameters), self.interpolation["histosys"])
            additive = additive + c.bend @ bend
        layers = [take_or_one(vector, layer) for layer in c.binwise]
        binwise = jnp.stack(layers) if layers else jnp.ones((0, len(c.bin)))
        outside = jnp.ones(len(c.bin))
        if scales is not None:
            outside = take_or_one(scales, self.scale)
        return additive, self._groups(vector), binwise, outside

    def cell_rates(self, vector: Array, scales: Array | None = None) -> Array:
        """Return the rate of every cell, shape (cells,), at the flat vector (size,)."""
        additive, groups, binwise, outside = self.pieces(vector, scales)
        rates = additive * spread(groups, self.cells.group)
        if len(binwise):
            rates = rates * product(binwise)
        return rates if scales is None else rates * outside

    def _groups(self, vector: Array) -> Array:
        """Product of the scalar factors of every group of cells, shape (groups,)."""
        c = self.cells
        normsys = multiplicative(
            take(vector, c.normsys_parameters), c.log_lo, c.log_hi, c.polynomial
        )
        table = jnp.concatenate([jnp.ones(1), take(vector, c.scalar_parameters), normsys])
        return product(self.factors_of_groups(table))

    def factors_of_groups(self, table: Array) -> Array:
        """Return the factors of every group (f, groups) from the table of all that there are."""
        index = self.cells.group_factors.T
        return spread(table, index.reshape(-1)).reshape(index.shape)

    def rates(self, vector: Array, scales: Array | None = None) -> Array:
        """Return the expected counts (bins,) at the flat vector (size,)."""
        return collect(self.cell_rates(vector, scales), self.cells.bin, self.n_bins)

    def derivatives(self, vector: Array, scales: Array | None = None) -> Derivatives:
        """Return rates and their first derivatives at the flat vector (size,).

        `structure` says which column belongs to which parameter.
        """
        return derivatives(self, self.structure, vector, scales)

    @cached_property
    def structure(self) -> DerivativeTables:
        """Which parameters act on many bins and which on one."""
        return DerivativeTables.of(self)

    def log_constraints(self, vector: Array, auxdata: Array | np.ndarray | None = None) -> Array:
        """Return the log density of the auxiliary measurements at the flat vector (size,)."""
        auxdata = self.auxdata if auxdata is None else auxdata
        parameters, positions, sigmas = self.normal
        measured = auxdata[positions]
        result = normal_shape(vector, measured, parameters, sigmas) - normal_norm(sigmas)
        parameters, positions, factors = self.poisson
        if parameters.size:
            rate = take(vector, parameters) * factors
            counts = jnp.asarray(auxdata[positions], float)
            shape = auxiliary_shape(counts, jnp.asarray(rate))
            result = result + jnp.sum(shape) - jnp.sum(auxiliary_norm(auxdata[positions]))
        return result

    def log_prob(self, params: Parameters, data: ArrayLike | None = None) -> Array:
        """Return the log of pyhf's pdf, main and constraint terms, constants included.

        Args:
            params: `{name: array}` or the flat vector (size,).
            data: counts and auxiliary data in one vector (bins + auxdata,) as in pyhf, or the
                counts alone (bins,); the observation by default.

        Returns:
            A scalar; -inf where a rate is negative although counts were observed.

        Raises:
            UnknownNameError, ParameterError: names or shapes that do not fit.
        """
        vector = self.flatten(params)
        counts, auxdata = self.split_data(data)
        return jnp.sum(log_poisson(counts, self.rates(vector))) + self.log_constraints(
            vector, auxdata
        )

    def split_data(self, data: ArrayLike | None) -> tuple[Array | np.ndarray, Array | np.ndarray]:
        """Return counts and auxiliary data of a vector (bins,) or (bins + auxdata,)."""
        if data is None:
            return self.observed, self.auxdata
        data = jnp.asarray(data, float)
        full = self.n_bins + len(self.auxdata)
        if data.shape == (self.n_bins,):
            return data, self.auxdata
        if data.shape != (full,):
            raise errors.ParameterError(
                f"data has shape {data.shape}; expected ({self.n_bins},) counts, or ({full},) "
                "counts and auxiliary data."
            )
        return data[: self.n_bins], data[self.n_bins :]

    def expected(self, params: Parameters) -> dict[str, Array]:
        """Return the expected counts {channel: (bins,)}."""
        return self.by_channel(self.rates(self.flatten(params)))

    def cells_by_sample(self, cell: Array) -> dict[str, dict[str, Array]]:
        """Return values over cells (cells,) as {channel: {sample: (bins,)}}."""
        result: dict[str, dict[str, Array]] = {}
        channel, sample = np.array(self.cells.channel), np.array(self.cells.sample)
        start = 0
        for name, n_bins in self.channels.items():
            result[name] = {}
            for s in dict.fromkeys(sample[channel == name].tolist()):
                here = np.flatnonzero((channel == name) & (sample == s))
                bins = self.cells.bin[here] - start
                result[name][s] = jnp.zeros(n_bins).at[bins].add(cell[here])
            start += n_bins
        return result

    def by_channel(self, values: Array) -> dict[str, Array]:
        """Return a vector over bins (bins,) as {channel: (bins,)}."""
        result, start = {}, 0
        for name, n in self.channels.items():
            result[name] = values[start : start + n]
            start += n
        return result

    def to_workspace(self) -> dict[str, Any]:
        """Return the model as a pyhf JSON workspace (a dict for `json.dump`)."""
        return workspace_json(self.workspace)

    def with_signal(
        self, signal: Mapping[str, str], *, new: bool, without: Sequence[str] = ()
    ) -> HistFactory:
        """Put the signal under outside control: its bins get factors that `rates` takes.

        Args:
            signal: {channel: sample}. These samples' bins (s of them, channels in order) are
                multiplied by `scales[:s]`.
            new: add a copy of every signal cell that is multiplied by `scales[s:]`: a second signal
                in the shape of a ratio to the template, with the same relative systematic
                variations and the same simulated-sample fluctuations, except
            without: histosys modifiers that do not act on the copy.

        Normalisation factors stay: fix the one of the template at 1.
        """
        c = self.cells
        is_signal = np.array(
            [signal.get(ch) == s for ch, s in zip(c.channel, c.sample, strict=True)], bool
        )
        starts = dict(zip(self.channels, np.cumsum([0, *self.channels.values()]), strict=False))
        bins = np.concatenate(
            [
                np.arange(starts[ch], starts[ch] + n)
                for ch, n in self.channels.items()
                if ch in signal
            ]
        )
        rank = np.full(self.n_bins, -1)
        rank[bins] = np.arange(len(bins))
        scale = np.where(is_signal, rank[c.bin], -1)
        if not new:
            return replace(self, n_scales=len(bins), scale=scale)
        gone = [self.slices[name].start for name in without if name in self.slices]
        copies = np.flatnonzero(is_signal)
        order = np.concatenate([np.arange(len(c.bin)), copies])
        is_copy = np.arange(len(order)) >= len(c.bin)

        def kept(matrix: np.ndarray, parameters: np.ndarray) -> np.ndarray:
            return np.where(is_copy[:, None] & np.isin(parameters, gone), 0.0, matrix[order])

        cells = replace(
            c,
            channel=tuple(c.channel[i] for i in order),
            sample=tuple(
                NEW_SIGNAL if copy else c.sample[i] for i, copy in zip(order, is_copy, strict=True)
            ),
            bin=c.bin[order],
            nominal=c.nominal[order],
            shift=kept(c.shift, c.shift_parameters),
            bend=kept(c.bend, c.bend_parameters),
            group=c.group[order],
            binwise=c.binwise[:, order],
        )
        scale = np.where(is_copy, scale[order] + len(bins), scale[order])
        return replace(self, cells=cells, n_scales=2 * len(bins), scale=scale)


#: Name of the sample that `with_signal` adds.
NEW_SIGNAL = "new signal"
