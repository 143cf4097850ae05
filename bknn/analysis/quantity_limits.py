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
        return jnp.stack([over_width(table, values) for table in self.tables])

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
        values = quantities(model, names, params)
        return jnp.stack([limit(t, values)[1] for t in self.tables])


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
