"""Limits on quantities of a model, against other quantities of it, inside an analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors, prediction
from bknn.data import LimitTable, Measurement


class QuantityLimits:
    """The limit tables of all measurements: of each, 0 was observed with a width of 1, where the
    quantity over the width that gives the limit back is expected; see `bknn.data.LimitTable`.

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

    def expected(
        self, model: Any, params: Mapping[str, ArrayLike], found: Iterator[Array]
    ) -> Array:
        """Return the expectations of a model (m,), 0 outside the range of a table."""
        ratios = []
        for table in self.tables:
            at = [prediction.quantity(model, axis, params) for axis in table.axes]
            upper, inside = upper_limit(table, at)
            x = prediction.quantity(model, table.quantity, params)
            ratios.append(jnp.where(inside, x * table.quantile / upper, 0.0))
        return jnp.stack(ratios)

    def check(self, model: Any) -> None:
        """Refuse a model that does not have the quantities."""
        for table, file in zip(self.tables, self._files, strict=True):
            for name in (table.quantity, *table.axes):
                refuse_unknown(model, name, f"limit {table.name!r}", file)

    def inside(self, model: Any, params: Mapping[str, ArrayLike]) -> Array:
        """Return whether each table says something, (m,) of bool."""
        found = [
            upper_limit(t, [prediction.quantity(model, axis, params) for axis in t.axes])[1]
            for t in self.tables
        ]
        return jnp.stack(found) if found else jnp.zeros(0, bool)


def upper_limit(table: LimitTable, at: Sequence[ArrayLike]) -> tuple[Array, Array]:
    """Return the limit at values of the axes, and whether they are within its range; beyond, the
    limit is that of the nearest point.

    >>> table = LimitTable("X", "mixing", {"mass": (1.0, 2.0), "tau": (1.0, 9.0)},
    ...                    (1.0, 1.0, 4.0, 16.0), logarithmic=("tau",))
    >>> [round(float(upper_limit(table, x)[0]), 6) for x in ((1.5, 1.0), (2.0, 3.0))]
    [2.0, 8.0]
    >>> bool(upper_limit(table, (0.5, 1.0))[1])
    False
    """
    inside = jnp.ones((), bool)
    places: list[tuple[Array, Array]] = []
    for (name, values), x in zip(table.axes.items(), at, strict=True):
        nodes = np.asarray(values)
        x = jnp.asarray(x, float)
        inside = inside & (x >= nodes[0]) & (x <= nodes[-1])
        x = jnp.clip(x, nodes[0], nodes[-1])
        if name in table.logarithmic:
            nodes, x = np.log(nodes), jnp.log(x)
        first = jnp.clip(jnp.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
        low, high = jnp.asarray(nodes)[first], jnp.asarray(nodes)[first + 1]
        places.append((first, (x - low) / (high - low)))
    logs = jnp.asarray(np.log(table.upper)).reshape([len(v) for v in table.axes.values()])
    total = jnp.zeros(())
    for corner in product((0, 1), repeat=len(places)):
        weight = jnp.ones(())
        for side, (_, part) in zip(corner, places, strict=True):
            weight = weight * (part if side else 1.0 - part)
        index = tuple(first + side for side, (first, _) in zip(corner, places, strict=True))
        total = total + weight * logs[index]
    return jnp.exp(total), inside


def refuse_unknown(model: Any, name: str, what: str, file: str) -> None:
    """Refuse data on a quantity that a model does not have.

    Args:
        model: that is named.
        name: of the quantity.
        what: the result or the limit, in words.
        file: where it stands.

    Raises:
        ParameterError: neither a derived quantity nor a parameter of the model has that name.
    """
    try:
        prediction.check_quantity(model, name)
    except errors.UnknownNameError:
        own = list(prediction.derived_quantities(model))
        has = f"its derived quantities are {', '.join(own)}" if own else "it derives no quantities"
        raise errors.ParameterError(
            f"{what} of {file} needs the quantity {name!r}, which model {model.name!r} does not "
            f"have ({has}); leave these data out, or take a model that has it (`derived` of one of "
            "your own: CONTRIBUTING.md)."
        ) from None


def file_of(measurement: Measurement) -> str:
    """Return where a measurement comes from: its file, or its name if it is one of the package."""
    return str(measurement.metadata.get("path", repr(measurement.name)))
