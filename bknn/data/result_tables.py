"""Numbers that are not counts, as they stand in a TOML file: [[results]], [[spectrum]], [[limits]].

Everything becomes normal densities, of two halves where the uncertainties are asymmetric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bknn.channels import CHANNELS
from bknn.data.count_tables import Production, parents
from bknn.data.entries import Table, endpoint
from bknn.data.limits import (
    KINDS,
    LEVEL,
    RISE,
    LimitCurve,
    LimitTable,
    interval_to_normal,
    limit_to_normal,
)
from bknn.data.measurement import Result
from bknn.data.official import read_table
from bknn.errors import DataError
from bknn.reading import user_files

_RESULT = (
    "name", "quantity", "channels", "observable", "q2", "resolution", "value", "events",
    "efficiency", "parents", "uncertainty", "statistical", "systematic", "upper", "interval",
    "level", "expected", "unusual",
)  # fmt: skip
#: What only results of decays have.
_OF_DECAYS = (
    "channels", "observable", "q2", "resolution", "events", "efficiency", "parents", "unusual",
)  # fmt: skip
_SPECTRUM = (
    "name", "channels", "observable", "edges", "values", "covariance", "uncertainties",
    "correlation", "differential", "resolution", "unusual",
)  # fmt: skip
_CURVE = ("name", "channels", "mass", "upper", "file", "level", "unusual")
_TABLE = (
    "name", "quantity", "against", "logarithmic", "held", "only", "upper", "lower", "bound",
    "file", "level", "scale", "power", "rise",
)  # fmt: skip
#: Of these, what has no sense for limits on a decay.
_OF_TABLES = ("against", "logarithmic", "held", "only", "lower", "bound", "scale", "power", "rise")

_LIMITS = tuple(dict.fromkeys((*_CURVE, *_TABLE)))

#: Masses may be rounded up, GeV.
_ROUNDED = 0.01


class Found(NamedTuple):
    """What a file has of them.

    Attributes:
        results: those of [[results]], then the bins of each [[spectrum]].
        correlation: of the results, None if there is none.
        curves: of [[limits]].
        files: content of files that it names, for the checksum.
    """

    results: tuple[Result, ...]
    correlation: np.ndarray | None
    curves: tuple[LimitCurve | LimitTable, ...]
    files: tuple[bytes, ...]


def read(top: Table, production: Production | None, folder: Path) -> Found:
    """Return what a file has of results, spectra and limits.

    Args:
        top: the whole of the file.
        production: how many mesons there were, for results that are numbers of events.
        folder: where files lie that it names.
    """
    results = [_result(t, production) for t in top.tables("results", _RESULT, "name")]
    blocks = [np.eye(len(results))]
    if "correlation" in top:
        if len(results) < 2:
            raise top.fail("'correlation' is that of the [[results]]; give two of them or more.")
        blocks = [top.correlation("correlation", "that of [[results]]", len(results), "a result")]
    for t in top.tables("spectrum", _SPECTRUM, "name"):
        bins, correlation = _spectrum(t)
        results += bins
        blocks.append(correlation)
    total = np.eye(len(results))
    start = 0
    for block in blocks:
        here = slice(start, start + len(block))
        total[here, here] = block
        start = here.stop
    files: list[bytes] = []
    curves = [_limits(t, folder, files) for t in top.tables("limits", _LIMITS, "name")]
    return Found(
        tuple(results),
        None if np.array_equal(total, np.eye(len(results))) else total,
        tuple(curves),
        tuple(files),
    )


def _result(table: Table, production: Production | None) -> Result:
    name = table.text("name", "as 'BR(Bs -> invisible)'")
    if "quantity" in table:
        observable, channels = table.quantity(_OF_DECAYS), {}
    else:
        observable = table.observable()
        channels = table.channels(observable)
    scale = 1.0
    if "events" in table:
        if "value" in table:
            raise table.fail("has both 'value' and 'events'; give one.")
        if observable != "branching_ratio":
            raise table.fail(f"'events' are of a branching fraction, not of {observable!r}.")
        scale = 1.0 / _exposure(table, channels, production)
    else:
        table.only_with("events", "efficiency", "parents")
    numbers: dict[str, float] = {}
    value: float | None = None
    for key in ("value", "events"):
        if key in table:
            numbers[key] = value = scale * table.number(key, "what was measured")
    plus, minus = _widths(table, scale)
    numbers["uncertainty"] = max(plus, minus)
    kind = "gaussian" if plus == minus else "asymmetric"
    if "upper" in table:
        upper = table.number("upper", "the limit", positive=True)
        level = table.number("level", "its confidence level", LEVEL)
        expected = table.number("expected", "the expected limit") if "expected" in table else None
        if expected is not None and value is not None:
            raise table.fail(
                "has a value, a limit and an expected limit, which is one too many for a "
                "normal density; leave out 'expected'."
            )
        try:
            value, plus = limit_to_normal(upper, level, expected=expected, value=value)
        except DataError as problem:
            raise table.fail(str(problem)) from None
        numbers = {**numbers, "upper": upper, "expected": expected or 0.0}
        # Downwards the published uncertainty stands, if there is one.
        minus = minus or plus
        kind = "limit"
    elif "interval" in table:
        value, plus, minus = _interval(table, value, plus)
        numbers = {**numbers, "interval": value + plus}
        kind = "gaussian" if plus == minus else "asymmetric"
    elif "level" in table or "expected" in table:
        raise table.fail("'level' and 'expected' belong to a limit; give it as 'upper'.")
    if value is None:
        raise table.fail("nothing was measured; give 'value', 'events' or 'upper'.")
    if not plus > 0.0 or not minus > 0.0:
        raise table.fail(
            "there is no uncertainty; give 'uncertainty', or 'statistical' and 'systematic', "
            "each as a number or as [plus, minus]."
        )
    table.check_size(observable, numbers)
    return Result(
        name=name,
        value=value,
        below=minus,
        above=plus,
        channels=channels,
        observable=observable,
        q2=_bin(table, channels),
        resolution=table.number("resolution", "that of q2 in GeV^2", 0.0, least=0.0),
        kind=kind,
    )


def _interval(table: Table, value: float | None, width: float) -> tuple[float, float, float]:
    """Return the value and the widths above and below that an interval stands for."""
    ends = table.numbers("interval", "the ends [low, high]")
    for key in ("upper", "expected"):
        if key in table:
            raise table.fail(f"has both 'interval' and {key!r}; leave one out.")
    if width > 0.0:
        raise table.fail("has both an uncertainty and an 'interval'; leave one out.")
    if len(ends) != 2:
        raise table.fail(f"'interval' must be [low, high], not {ends!r}.")
    try:
        found = interval_to_normal(ends[0], ends[1], table.number("level", "its own", LEVEL), value)
    except DataError as problem:
        raise table.fail(str(problem)) from None
    return found


def _exposure(table: Table, channels: Mapping[str, float], production: Production | None) -> float:
    """Return the number of events for a branching fraction of 1."""
    efficiency = table.number("efficiency", "the efficiency of the events", positive=True)
    if efficiency > 1.0:
        raise table.fail(f"'efficiency' is {efficiency:g}, but cannot be above 1.")
    found = {parents(table, decay, production)[0] for decay in channels}
    if len(found) > 1:
        raise table.fail("'events' of an average need one number of parents for all channels.")
    return efficiency * found.pop()


def _widths(table: Table, scale: float) -> tuple[float, float]:
    """Return (plus, minus), everything that is given added in quadrature."""
    found = [
        table.pair(key, "a standard deviation")
        for key in ("uncertainty", "statistical", "systematic")
        if key in table
    ]
    plus, minus = (scale * math.hypot(*(pair[side] for pair in found)) for side in (0, 1))
    return plus, minus


def _bin(table: Table, channels: Mapping[str, float]) -> tuple[float, float] | None:
    if "q2" not in table:
        return None
    q2 = table.numbers("q2", "the bin [low, high] in GeV^2")
    if len(q2) != 2 or not 0.0 <= q2[0] < q2[1]:
        raise table.fail(f"'q2' must be a bin [low, high] in GeV^2, not {q2!r}.")
    table.check_bin(q2[0], list(channels))
    return q2[0], q2[1]


def _spectrum(table: Table) -> tuple[list[Result], np.ndarray]:
    """Return the results of the bins of a spectrum and their correlation."""
    name = table.text("name", "the name of the spectrum")
    observable = table.observable()
    channels = table.channels(observable)
    edges = np.array(table.numbers("edges", "GeV^2, one more than values"))
    values = np.array(table.numbers("values", "one a bin"))
    size = len(values)
    if len(edges) != size + 1 or edges[0] < 0.0 or np.any(np.diff(edges) <= 0.0):
        raise table.fail(
            f"'edges' must increase from 0 or more, and be one more than the {size} values."
        )
    table.check_bin(edges[-2], list(channels))
    if ("covariance" in table) == ("uncertainties" in table):
        raise table.fail("give either 'covariance', or 'uncertainties' (and 'correlation').")
    if "covariance" in table:
        table.only_with("uncertainties", "correlation")
        covariance = table.matrix("covariance", "the covariance of the values", size, "a bin")
        if np.any(np.diag(covariance) <= 0.0):
            raise table.fail("'covariance' has a diagonal entry that is not positive.")
        above = below = np.sqrt(np.diag(covariance))
        correlation = table.positive(covariance / np.outer(above, above))
    else:
        pairs = table.pairs("uncertainties", "one a bin, each a number or [plus, minus]")
        if len(pairs) != size or any(min(pair) <= 0.0 for pair in pairs):
            raise table.fail(f"'uncertainties' must be {size} positive numbers, one a bin.")
        above, below = np.array(pairs).T
        correlation = np.eye(size)
        if "correlation" in table:
            correlation = table.correlation("correlation", "that of the values", size, "a bin")
    if table.flag("differential"):
        values, above, below = (x * np.diff(edges) for x in (values, above, below))
    numbers = {"values": values, "uncertainties": above}
    table.check_size(
        observable, {key: float(x[np.argmax(np.abs(x))]) for key, x in numbers.items()}
    )
    resolution = table.number("resolution", "that of q2 in GeV^2", 0.0, least=0.0)
    results = [
        Result(
            name=f"{name} [{low:g}, {high:g}]",
            value=float(value),
            below=float(minus),
            above=float(plus),
            channels=channels,
            observable=observable,
            q2=(float(low), float(high)),
            resolution=resolution,
            kind="gaussian" if plus == minus else "asymmetric",
        )
        for (low, high), value, plus, minus in zip(
            pairwise(edges), values, above, below, strict=True
        )
    ]
    return results, correlation


def _limits(table: Table, folder: Path, files: list[bytes]) -> LimitCurve | LimitTable:
    """Return one table [[limits]].

    Args:
        table: the table.
        folder: where a file lies that it names.
        files: content of such files; what is read is added.
    """
    if "quantity" in table:
        return _table(table, folder, files)
    table.only_with("quantity", *_OF_TABLES)
    return _curve(table, folder, files)


def _curve(table: Table, folder: Path, files: list[bytes]) -> LimitCurve:
    """Return limits against the mass of what is not seen."""
    name = table.text("name", "as 'BR(B+ -> K+ X)'")
    channels = table.channels()
    if ("file" in table) == ("mass" in table):
        raise table.fail("give either 'mass' and 'upper', lists of numbers, or a 'file' with both.")
    if "file" in table:
        columns, _ = _columns(table, folder, files, "mass in GeV and limit", 2)
        mass, upper = columns.T.tolist()
    else:
        mass = table.numbers("mass", "GeV, increasing")
        upper = table.numbers("upper", "a limit at each mass")
    for decay in channels:
        heaviest = math.sqrt(endpoint(decay))
        if CHANNELS[decay].daughter is None:
            raise table.fail(f"{decay!r} leaves no daughter, so that there is no mass to scan.")
        if max(mass) > heaviest + _ROUNDED:
            raise table.fail(
                f"'mass' reaches {max(mass):g} GeV, and in {decay!r} nothing heavier than "
                f"{heaviest:.4g} GeV can be; masses are in GeV."
            )
    try:
        found = LimitCurve(
            name, channels, tuple(mass), tuple(upper), table.number("level", "theirs", LEVEL)
        )
    except DataError as problem:
        raise table.fail(str(problem)) from None
    for limit in (max(upper), min(upper)):
        table.check_size("branching_ratio", {"upper": limit})
    return found


def _table(table: Table, folder: Path, files: list[bytes]) -> LimitTable:
    """Return limits on a quantity of a model, one number or against others."""
    name = table.text("name", "as 'sin theta (OPAL)'")
    quantity = table.product(("channels", "mass", "unusual"))
    given = [kind for kind in KINDS if kind in table]
    if len(given) > 1:
        raise table.fail(f"has both {given[0]!r} and {given[1]!r}; make two [[limits]] of them.")
    kind = given[0] if given else "upper"
    if kind == "bound" and "level" in table:
        raise table.fail("'bound' is one of theory and has no 'level'; leave it out.")
    if "rise" in table and kind != "bound":
        raise table.fail("'rise' belongs to a 'bound', which is not there; leave it out.")
    axes: dict[str, tuple[float, ...]] = {}
    if "file" in table:
        axes, upper = _grid(table, folder, files)
    elif "against" in table:
        axes = {
            axis: tuple(values)
            for axis, values in table.lists("against", "{quantity = [values]}, one or two").items()
        }
        upper = _flat(table, kind, tuple(len(values) for values in axes.values()))
    else:
        upper = [table.number(kind, "the limit", positive=True)]
    scale = table.number("scale", "a factor of all limits", 1.0, positive=True)
    power = table.number("power", "of the numbers, 2 where they are square roots", 1.0)
    only = table.lists("only", "{quantity = [low, high]}") if "only" in table else {}
    try:
        return LimitTable(
            name,
            quantity,
            axes,
            tuple((scale * x) ** power for x in upper),
            table.number("level", "theirs", LEVEL),
            tuple(table.names("logarithmic", "axes")) if "logarithmic" in table else (),
            table.texts("held", "{axis = 'below', 'above' or 'both'}"),
            kind,
            {name: tuple(ends) for name, ends in only.items()},  # type: ignore[misc]
            table.number("rise", "the relative uncertainty of the bound", RISE, positive=True),
        )
    except DataError as problem:
        raise table.fail(str(problem)) from None


def _grid(
    table: Table, folder: Path, files: list[bytes]
) -> tuple[dict[str, tuple[float, ...]], list[float]]:
    """Return the axes of a file with limits, and the limits row after row."""
    names = table.names("against", "the quantities of the columns before the limit")
    what = f"{', '.join(names)} and limit"
    columns, path = _columns(table, folder, files, what, len(names) + 1)
    axes = {n: tuple(np.unique(x).tolist()) for n, x in zip(names, columns.T, strict=False)}
    grid = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1)
    points = grid.reshape(-1, len(names))
    order = np.lexsort(columns[:, :-1].T[::-1])
    if len(points) != len(columns) or not np.array_equal(columns[order, :-1], points):
        raise table.fail(
            f"{path} has {len(columns)} rows, which are no grid of {' and '.join(names)}; give "
            "one row for each combination of their values, with 'inf' where there is no limit."
        )
    return axes, columns[order, -1].tolist()


def _flat(table: Table, kind: str, shape: tuple[int, ...]) -> list[float]:
    """Return the limits row after row; infinite where there is none."""
    if len(shape) != 2:
        return table.numbers(kind, "a limit at each value", infinite=True)
    rows: Any = table.require(kind, "a list of limits for each value of the first quantity")
    good = isinstance(rows, list) and len(rows) == shape[0]
    if not good or not all(isinstance(row, list) and len(row) == shape[1] for row in rows):
        raise table.fail(
            f"{kind!r} must be {shape[0]} lists of {shape[1]} limits: one list for each value of "
            "the first quantity."
        )
    flat = Table({kind: [x for row in rows for x in row]}, table.where, (kind,))
    return flat.numbers(kind, "limits", infinite=True)


def _columns(
    table: Table, folder: Path, files: list[bytes], what: str, n: int
) -> tuple[np.ndarray, Path]:
    """Return the table of numbers that stands beside the file, and where."""
    for kind in KINDS:
        if kind in table:
            raise table.fail(f"{kind!r} stands in the file, too; leave it out here.")
    path = folder / table.text("file", f"a table of {what} beside this file")
    files.append(user_files.content(path, "a table of limits is expected"))
    columns = read_table(files[-1], str(path), empty=math.inf)
    if columns.shape[1] != n:
        raise table.fail(f"{path} has {columns.shape[1]} columns; {n} are needed, {what}.")
    return columns, path
