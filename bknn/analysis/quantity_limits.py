"""Limits on quantities of a model, inside an analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.data import LimitTable, Measurement
from bknn.prediction.derived import check_quantity, derived_quantities, quantities

#: Of a lower limit, where a quantity that vanishes is taken to be: finite, and excluded.
_LEAST = 1e-9


class QuantityLimits:
    """The limit tables of all measurements: of each, 0 was observed with a width of 1, where the
    square root of its -2 log L is expected; see `bknn.data.LimitTable`.

    Attributes:
        tables: the tables.
        names, channels, observed, below, above: as of any `bknn.analysis.results.Term`.
    """

    channels: tuple[str, ...] = ()

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        found = [(t, file_of(m)) for m in measurements for t in m.curves]
        self.tables = tuple(t for t, _ in found if isinstance(t, LimitTable))
        self._files = tuple(file for t, file in found if isinstance(t, LimitTable))
        self.names = tuple(t.name for t in self.tables)
        self._at_once = TablesAtOnce(self.tables)
        self.observed = np.zeros(len(self.tables))
        self.below = self.above = np.ones(len(self.tables))

    def uses(self, model: Any, *, held: bool = False) -> Sequence[Any]:
        """Nothing is made of spectra."""
        return ()

    @property
    def quantities(self) -> tuple[str, ...]:
        """Quantities of a model that are limited, or against which limits stand."""
        return tuple(dict.fromkeys(name for t in self.tables for name in t.quantities))

    def expected(
        self,
        model: Any,
        params: Mapping[str, ArrayLike],
        found: Iterator[Array],
        values: Mapping[str, Array] | None = None,
    ) -> Array:
        """Return the expectations of a model (m,), 0 where a table says nothing; `values` of
        `quantities`, if they are known."""
        values = quantities(model, self.quantities, params) if values is None else values
        return self._at_once.over_width(values)

    def check(self, model: Any) -> None:
        """Refuse a model that does not have the quantities."""
        pairs = zip(self.tables, self._files, strict=True)
        refuse_unknown(
            model, [(q, f"limit {t.name!r}", file) for t, file in pairs for q in t.quantities]
        )

    def inside(self, model: Any, params: Mapping[str, ArrayLike]) -> Array:
        """Return whether each table says something, (m,) of bool."""
        if not self.tables:
            return jnp.zeros(0, bool)
        names = [name for t in self.tables for name in (*t.axes, *t.only)]
        return self._at_once.limit(quantities(model, names, params))[1]


class _Axis:
    """An axis of a table, or the one cell of an axis that it lacks.

    Attributes:
        name: of the quantity; empty for the latter.
        nodes: its values, (n,) increasing.
        scaled: the same, or their logarithms where these count.
        range: between which values the limits hold; infinite where they are held.
        step: by how much the place in the row of limits changes from node to node.
    """

    def __init__(self, table: LimitTable, number: int) -> None:
        names = list(table.axes)
        self.name = names[number] if number < len(names) else ""
        self.nodes = np.asarray(table.axes.get(self.name, (0.0, 1.0)), float)
        self.logarithmic = self.name in table.logarithmic
        self.scaled = np.log(self.nodes) if self.logarithmic else self.nodes
        held = table.held.get(self.name, "both" if not self.name else "")
        self.range = (
            -np.inf if held in ("below", "both") else self.nodes[0],
            np.inf if held in ("above", "both") else self.nodes[-1],
        )
        self.step = prod(len(v) for v in list(table.axes.values())[number + 1 :])
        if not self.name:
            self.step = 0


class TablesAtOnce:
    """Limit tables (t,) looked up together: `over_width` and `limit` of all of them, in a program
    that does not grow with their number.

    All have as many axes (a,) as the one with most of them. The nodes of all axes stand in one row,
    the limits of all tables in another. Axes of one quantity share a search, on the nodes of all.
    """

    def __init__(self, tables: Sequence[LimitTable]) -> None:
        self._tables = tuple(tables)
        self._axes = [
            [_Axis(t, k) for t in tables]
            for k in range(max((len(t.axes) for t in tables), default=0))
        ]
        self._conditions = [
            [
                list(t.only.items())[k] if k < len(t.only) else ("", (-np.inf, np.inf))
                for t in tables
            ]
            for k in range(max((len(t.only) for t in tables), default=0))
        ]
        every = [axis for row in self._axes for axis in row]
        self._row_of_nodes, self._begin_nodes = _in_a_row([axis.scaled for axis in every])
        uppers = [np.asarray(t.upper, float) for t in tables]
        known = [np.isfinite(x) for x in uppers]
        logs = [np.log(np.where(k, x, 1.0)) for k, x in zip(known, uppers, strict=True)]
        self._logs, self._begin = _in_a_row(logs)
        self._known, _ = _in_a_row(known)
        # Of each quantity: the nodes of all of its axes, and the cell of each axis from there on.
        self._grids: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name in dict.fromkeys(axis.name for axis in every):
            grid = np.unique(np.concatenate([a.nodes for a in every if a.name == name]))
            cells = [_cell(axis.nodes, grid) for axis in every if axis.name == name]
            self._grids[name] = grid, np.stack(cells, axis=1)
        order = [i for name in self._grids for i, axis in enumerate(every) if axis.name == name]
        self._order = np.argsort(order)

    def over_width(self, values: Mapping[str, ArrayLike]) -> Array:
        """Return the square roots of -2 log L (t,), 0 where a table says nothing."""
        logs, inside = self.limit(values)
        sizes = [prod(jnp.asarray(values[name]) for name in t.factors) for t in self._tables]
        ratio = jnp.stack([jnp.asarray(x, float) for x in sizes]) * jnp.exp(-logs)
        quantile = np.array([t.quantile for t in self._tables])
        found = ratio * quantile
        kinds = np.array([t.kind for t in self._tables])
        if (lower := kinds == "lower").any():
            found = jnp.where(lower, quantile / jnp.maximum(jnp.abs(ratio), _LEAST), found)
        if (bound := kinds == "bound").any():
            rise = np.array([t.rise for t in self._tables])
            found = jnp.where(bound, jnp.maximum(jnp.abs(ratio) - 1.0, 0.0) / rise, found)
        return jnp.where(inside, found, 0.0)

    def limit(self, values: Mapping[str, ArrayLike]) -> tuple[Array, Array]:
        """Return the logarithms of the limits (t,), and whether there are any."""
        n = len(self._tables)
        inside = jnp.ones(n, bool)
        for row in self._conditions:
            x = _stacked(values, [name for name, _ in row])
            inside = inside & _between(x, [ends for _, ends in row])
        if not self._axes:
            return jnp.asarray(self._logs)[self._begin], inside & self._known[self._begin]
        every = [axis for row in self._axes for axis in row]
        x = _stacked(values, [axis.name for axis in every])
        inside = inside & jnp.all(
            jnp.reshape(_between(x, [axis.range for axis in every]), (-1, n)), axis=0
        )
        x = jnp.clip(x, *np.array([axis.nodes[[0, -1]] for axis in every]).T)
        if (logarithmic := np.array([axis.logarithmic for axis in every])).any():
            x = jnp.where(logarithmic, jnp.log(jnp.where(logarithmic, x, 1.0)), x)
        cell = self._cells(values)
        low, high = (jnp.asarray(self._row_of_nodes)[self._begin_nodes + cell + k] for k in (0, 1))
        part = jnp.reshape((x - low) / (high - low), (1, -1, n))
        # Corners of cells (corners, axes, 1): whether they are at the upper end.
        upper = np.array(list(product((0, 1), repeat=len(self._axes))))[:, :, None]
        weight = prod(jnp.moveaxis(jnp.where(upper, part, 1.0 - part), 1, 0))
        steps = np.reshape([axis.step for axis in every], (1, -1, n))
        places = self._begin[None] + jnp.sum(
            (jnp.reshape(cell, (1, -1, n)) + upper) * steps, axis=1
        )
        if not self._known.all():
            known = jnp.asarray(self._known)[places] | (weight == 0.0)
            inside = inside & jnp.all(known, axis=0)
        return jnp.sum(weight * jnp.asarray(self._logs)[places], axis=0), inside

    def _cells(self, values: Mapping[str, ArrayLike]) -> Array:
        """Return the number of the cell of each axis in which quantities are, row after row."""
        found = []
        for name, (grid, cells) in self._grids.items():
            x = jnp.asarray(values[name], float) if name else 0.0
            place = jnp.searchsorted(jnp.asarray(grid), x, side="right") - 1
            found.append(jnp.asarray(cells)[jnp.maximum(place, 0)])
        return jnp.concatenate(found)[self._order]


def _between(x: Array, ends: Sequence[tuple[float, float]]) -> Array:
    least, most = np.array(ends).T
    return (x >= least) & (x <= most)


def _in_a_row(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return arrays one after another, and where each begins."""
    ends = np.cumsum([0, *(len(x) for x in arrays)])
    return np.concatenate(arrays) if arrays else np.zeros(0), ends[:-1]


def _cell(nodes: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)


def _stacked(values: Mapping[str, ArrayLike], names: Sequence[str]) -> Array:
    """Return the values of quantities, 0 for an empty name."""
    return jnp.stack([jnp.asarray(values[name] if name else 0.0, float) for name in names])


def over_width(table: LimitTable, values: Mapping[str, ArrayLike]) -> Array:
    """Return the square root of -2 log L of limits, 0 where they say nothing.

    Args:
        table: the limits.
        values: of its quantities, by their names.

    >>> table = LimitTable("X", ("a", "b"), {}, (2.0,), level=0.95)
    >>> round(float(over_width(table, {"a": 0.5, "b": 4.0})) ** 2, 2)  # at the limit
    3.84
    """
    at, inside = limit(table, values)
    x = jnp.asarray(prod(jnp.asarray(values[name]) for name in table.factors), float)
    if table.kind == "upper":
        found = x * table.quantile / at
    elif table.kind == "lower":
        found = table.quantile / jnp.maximum(jnp.abs(x) / at, _LEAST)
    else:
        found = jnp.maximum(jnp.abs(x) / at - 1.0, 0.0) / table.rise
    return jnp.where(inside, found, 0.0)


def limit(table: LimitTable, values: Mapping[str, ArrayLike]) -> tuple[Array, Array]:
    """Return the limit where quantities have these values, and whether there is one; beyond the
    range of an axis it is that of the nearest point.

    >>> table = LimitTable("X", "mixing", {"mass": (1.0, 2.0), "tau": (1.0, 9.0)},
    ...                    (1.0, 1.0, 4.0, 16.0), logarithmic=("tau",), held={"tau": "below"})
    >>> at = lambda mass, tau: limit(table, {"mass": mass, "tau": tau})
    >>> [round(float(at(*x)[0]), 6) for x in ((1.5, 1.0), (2.0, 3.0))]
    [2.0, 8.0]
    >>> [bool(at(*x)[1]) for x in ((0.5, 1.0), (1.5, 0.1))]
    [False, True]
    """
    inside = jnp.ones((), bool)
    for name, (least, most) in table.only.items():
        x = jnp.asarray(values[name], float)
        inside = inside & (x >= least) & (x <= most)
    places: list[tuple[Array, Array]] = []
    for name, axis in table.axes.items():
        nodes, held = np.asarray(axis), table.held.get(name, "")
        x = jnp.asarray(values[name], float)
        if held not in ("below", "both"):
            inside = inside & (x >= nodes[0])
        if held not in ("above", "both"):
            inside = inside & (x <= nodes[-1])
        x = jnp.clip(x, nodes[0], nodes[-1])
        if name in table.logarithmic:
            nodes, x = np.log(nodes), jnp.log(x)
        first = jnp.clip(jnp.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
        low, high = jnp.asarray(nodes)[first], jnp.asarray(nodes)[first + 1]
        places.append((first, (x - low) / (high - low)))
    numbers = np.reshape(table.upper, [len(v) for v in table.axes.values()])
    known = np.isfinite(numbers)
    logs = jnp.asarray(np.log(np.where(known, numbers, 1.0)))
    total = jnp.zeros(())
    for corner in product((0, 1), repeat=len(places)):
        weight = jnp.ones(())
        for side, (_, part) in zip(corner, places, strict=True):
            weight = weight * (part if side else 1.0 - part)
        index = tuple(first + side for side, (first, _) in zip(corner, places, strict=True))
        total = total + weight * logs[index]
        if not known.all():
            inside = inside & (jnp.asarray(known)[index] | (weight == 0.0))
    return jnp.exp(total), inside


def refuse_unknown(model: Any, asked: Sequence[tuple[str, str, str]]) -> None:
    """Refuse data on quantities that a model does not have, or cannot compute.

    Args:
        model: that is named.
        asked: (quantity, the result or the limit in words, the file in which it stands).

    Raises:
        ParameterError: neither a derived quantity nor a parameter of the model has such a name.
    """
    own = derived_quantities(model)
    for name, what, file in asked:
        if name in own or name in {p.name for p in model.parameters}:
            continue
        has = f"its derived quantities are {', '.join(own)}" if own else "it derives no quantities"
        raise errors.ParameterError(
            f"{what} of {file} needs the quantity {name!r}, which model {model.name!r} does not "
            f"have ({has}); leave these data out, or take a model that has it (`derived` of one of "
            "your own: CONTRIBUTING.md)."
        )
    check_quantity(model, *dict.fromkeys(name for name, *_ in asked if name in own))


def file_of(measurement: Measurement) -> str:
    """Return where a measurement comes from: its file, or its name if it is one of the package."""
    return str(measurement.metadata.get("path", repr(measurement.name)))
