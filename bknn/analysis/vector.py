"""The flat vector of an analysis: names, places, starts, bounds and constraints of its entries.

Entries are [parameters of the model, nuisances of each measurement with counts]. People use
`{name: value}`, in which a set of nuisances (one a bin) is an array; inference uses the vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis import ranges
from bknn.analysis.counts import Part
from bknn.parameters import Parameter, real

Parameters = Mapping[str, ArrayLike] | ArrayLike


@dataclass(frozen=True, eq=False)
class Vector:
    """Where everything stands that floats.

    Attributes:
        model: whose parameters come first; it is named in errors.
        parameters: of the model, those that take part, in order.
        constants: {name: value} of those that do not.
        parts: the measurements with counts, whose nuisances follow.
        sources: of each part, where the parameters of its likelihood stand in the vector; -1 for
            those that the model replaces.
        nuisances: {set of nuisances: its place}.
        names: one an entry.
        given_bounds: {name: (lower, upper)} in place of what the model and the measurements state.
    """

    model: Any
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, float]
    parts: tuple[Part, ...]
    sources: tuple[np.ndarray, ...]
    nuisances: dict[str, slice]
    names: tuple[str, ...]
    given_bounds: Mapping[str, ranges.Bounds]

    @classmethod
    def of(
        cls,
        model: Any,
        parameters: tuple[Parameter, ...],
        constants: Mapping[str, float],
        parts: tuple[Part, ...],
        *,
        uses_template: bool,
        bounds: Mapping[str, ranges.Bounds],
    ) -> Vector:
        """Decide where each nuisance stands.

        A nuisance that the model replaces is left out: the signal strength, and the form factors of
        the template unless the model `uses_template`.

        Raises:
            UnknownNameError: bounds of what is not there; close matches are named.
        """
        n = len(parameters)
        physics = {p.name for p in parameters} | set(constants)
        names: list[str] = []
        sets: dict[str, slice] = {}
        sources: list[np.ndarray] = []
        for part in parts:
            dropped = {part.pdf.signal_strength}
            if not uses_template and part.responses:
                dropped |= set(part.measurement.form_factor_modifiers)
            source = np.full(part.pdf.size, -1)
            for name, where in part.pdf.slices.items():
                if name in dropped:
                    continue
                label = name
                if name in physics or name in sets:
                    label = f"{part.measurement.name}/{name}"
                size = where.stop - where.start
                start = n + len(names)
                sets[label] = slice(start, start + size)
                source[where] = np.arange(start, start + size)
                scalar = part.pdf.parameter_sets[name].scalar
                names += [label] if scalar else [f"{label}[{i}]" for i in range(size)]
            sources.append(source)
        every = (*(p.name for p in parameters), *names)
        given = ranges.spread(bounds, sets)
        found = cls(model, parameters, constants, parts, tuple(sources), sets, every, given)
        for name in given:
            found.where(name)  # a name that nobody has gets its close matches
        return found

    @property
    def size(self) -> int:
        """Length of the vector."""
        return len(self.names)

    # Starts, bounds, constraints ---------------------------------------------------------------

    @cached_property
    def init(self) -> np.ndarray:
        """Starting point (size,)."""
        result = self._gathered("init", [p.init for p in self.parameters], ())
        for where in map(self.where, self.given_bounds):
            result[where] = np.clip(result[where], *self.bounds[where].T)
        return result

    @cached_property
    def bounds(self) -> np.ndarray:
        """Lower and upper bounds (size, 2); infinite where there is none."""
        result = self._gathered("bounds", [p.bounds for p in self.parameters], (2,))
        for name, pair in self.given_bounds.items():
            result[self.where(name)] = pair
        return result

    @cached_property
    def fixed(self) -> np.ndarray:
        """Entries that the workspace declares fixed, (size,) of bool."""
        return self._gathered("fixed", [0.0] * len(self.parameters), ()).astype(bool)

    @cached_property
    def normal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normally constrained entries, what was measured, and widths, (n,) each."""
        index = [i for i, p in enumerate(self.parameters) if p.constraint is not None]
        pairs = [p.constraint for p in self.parameters if p.constraint is not None]
        start = (
            np.array(index, int),
            np.array([c[0] for c in pairs], float),
            np.array([c[1] for c in pairs], float),
        )
        return self._constraints("normal", start)

    @cached_property
    def poisson(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Poisson-constrained entries, auxiliary counts, and rate factors, (p,) each."""
        return self._constraints("poisson", (np.zeros(0, int), np.zeros(0), np.zeros(0)))

    def _gathered(
        self, attribute: str, physics: Sequence[Any], shape: tuple[int, ...]
    ) -> np.ndarray:
        result = np.zeros((self.size, *shape))
        result[: len(self.parameters)] = np.reshape(physics, (-1, *shape)) if physics else 0
        for part, source in zip(self.parts, self.sources, strict=True):
            values = np.concatenate(
                [getattr(s, attribute) for s in part.pdf.parameter_sets.values()]
            )
            result[source[source >= 0]] = values[source >= 0]
        return result

    def _constraints(
        self, kind: str, start: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        columns = [[c] for c in start]
        for part, source in zip(self.parts, self.sources, strict=True):
            index, positions, widths = getattr(part.pdf, kind)
            kept = source[index] >= 0
            columns[0].append(source[index][kept])
            columns[1].append(part.pdf.auxdata[positions][kept])
            columns[2].append(widths[kept])
        index, centre, width = (np.concatenate(c) for c in columns)
        return index.astype(int), centre, width

    # Names and places --------------------------------------------------------------------------

    def flatten(self, params: Parameters) -> Array:
        """Return the vector (size,) of `{name: value}`; a flat vector passes through.

        Raises:
            UnknownNameError: a name that is not there.
            ParameterError: a missing name or a wrong shape.
        """
        if not isinstance(params, Mapping):
            vector = jnp.asarray(params, float)
            if vector.shape != (self.size,):
                raise errors.ParameterError(
                    f"the flat parameter vector has shape {vector.shape}, but the analysis has "
                    f"{self.size} parameters; for a batch use jax.vmap."
                )
            return vector
        known = [p.name for p in self.parameters] + list(self.nuisances)
        for name in params:
            if name not in known:
                raise self._unknown(name)
        parts = []
        for name in known:
            if name not in params:
                raise errors.ParameterError(
                    f"parameter {name!r} has no value; start from analysis.init, for instance "
                    "{**analysis.init, 'name': value}."
                )
            value = jnp.asarray(real(name, params[name]), float)
            size = self._extent(name)
            if value.size != size:
                raise errors.ParameterError(
                    f"parameter {name!r} has shape {value.shape}, but needs {size} value(s)."
                )
            parts.append(value.reshape(size))
        return jnp.concatenate(parts)

    def unflatten(self, vector: ArrayLike) -> dict[str, Array]:
        """Return `{name: value}` of a vector (size,), or of a batch (..., size)."""
        vector = jnp.asarray(vector)
        result = {p.name: vector[..., i] for i, p in enumerate(self.parameters)}
        for name, where in self.nuisances.items():
            scalar = self.names[where.start] == name
            result[name] = vector[..., where.start] if scalar else vector[..., where]
        return result

    def index(self, name: str) -> int:
        """Position of a flat name (`mass`, `staterror[0]`).

        Raises:
            UnknownNameError: no such name; close matches are named.
        """
        if name not in self.names:
            raise self._unknown(name)
        return self.names.index(name)

    def where(self, name: str) -> slice | int:
        """Where a parameter, a set of nuisances or one of them stands."""
        return self.nuisances[name] if name in self.nuisances else self.index(name)

    def _extent(self, name: str) -> int:
        where = self.nuisances.get(name)
        return 1 if where is None else where.stop - where.start

    def _unknown(self, name: str) -> errors.BknnError:
        if name in self.constants:
            return errors.ParameterError(
                f"parameter {name!r} of model {self.model.name!r} is kept at "
                f"{self.constants[name]:g}; to set it or let it float, build the analysis with "
                f"free=[{name!r}]."
            )
        if "[" in name and name in self.names:
            base = name.partition("[")[0]
            return errors.UnknownNameError(
                f"unknown parameter {name!r} in model {self.model.name!r}: it is one entry of "
                f"{base!r}, which is given as a whole."
            )
        own = [p.name for p in self.model.parameters]
        return errors.unknown(
            "parameter", name, own, f"model {self.model.name!r}", [*self.nuisances, *self.names]
        )
