"""What is left of a dark fermion today, and what would show it: over one parameter of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from scipy.optimize.elementwise import find_root

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.packing import Coordinate
from bknn.data import Measurement
from bknn.inference.chi_squared import quantile
from bknn.inference.pieces import Progress
from bknn.parameters import Parameter, point
from bknn.prediction.checks import check_point
from bknn.prediction.derived import check_quantity, derived_quantities, quantities
from bknn.relic.boltzmann import LATE_POLE
from bknn.studies.constraints.at_points import Points

#: The quantities of a model that are shown, those that it has; the first it must have.
QUANTITIES = (
    "omega_h2", "x_freeze_out", "pole_distance", "sigma_v_x20", "sigma_v_today", "p_ann",
    "sigma_p", "sigma_n", "kinetic_ratio", "x_kinetic",
)  # fmt: skip

#: Omega h^2 of dark matter (Planck 2018, arXiv:1807.06209, table 2).
OBSERVED = 0.120

#: Up to it nothing froze out: X never was in equilibrium while non-relativistic.
FREEZES_OUT = 3.0

#: Below it, dark matter freezes out while it is hardly non-relativistic.
SAFE_FREEZE_OUT = 15.0

#: The confidence level of exclusions.
LEVEL = 0.95

#: Of the parameter that is found, or of its logarithm; and of the logarithm of the abundance.
_PRECISION = {"xatol": 1e-9, "xrtol": 1e-9, "fatol": 1e-9, "frtol": 0.0}

#: Points that are computed together: more are not faster, and few often are to be computed.
_CHUNK = 32

#: Rows of a table that are printed.
_MOST = 20


@dataclass(frozen=True, eq=False, repr=False)
class Relic(Answer):
    """Abundance and signals of a dark fermion over one parameter of a model.

    Attributes:
        model: its name.
        parameter: the name of the parameter.
        values: of the parameter (n,).
        fixed: {name: value} of the parameters that were given.
        quantities: {name: (n,)} of `QUANTITIES`, those that the model has; NaN where no value of
            `found` gives the abundance, or where the model refuses its parameters.
        units: {name: unit} of all names above.
        delta: by name of the data set -2 log L (n,), nuisances minimised over; NaN where it says
            nothing.
        numbers: of each data set, how many numbers it has.
        found: the name of the parameter with which the abundance is `target`; empty if none was
            looked for.
        target: Omega h^2 that was looked for.
        at: values of `found` (n,), the smallest if there are several; NaN if there is none.
        solutions: how many there are (n,).
        refused: why the model has nothing at some points, empty if it has at all.
    """

    model: str
    parameter: str
    values: np.ndarray
    fixed: Mapping[str, float]
    quantities: Mapping[str, np.ndarray]
    units: Mapping[str, str]
    delta: Mapping[str, np.ndarray] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    found: str = ""
    target: float = OBSERVED
    at: np.ndarray = field(default_factory=lambda: np.zeros(0))
    solutions: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    refused: str = ""

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        own = (self.parameter,)
        return {
            **dict.fromkeys(("quantities", "delta"), own),
            **(dict.fromkeys(("at", "solutions"), own) if self.found else {}),
        }

    def coordinates(self) -> dict[str, Coordinate]:
        return {self.parameter: Coordinate(self.values, self.units.get(self.parameter, ""))}

    def level(self, name: str) -> float:
        """Return the -2 log L above which a data set excludes at 95 %."""
        return float(quantile(LEVEL, self.numbers[name]))

    def excluded(self, name: str) -> np.ndarray:
        """Return where a data set excludes the model at 95 %, (n,) of bool."""
        if name not in self.delta:
            raise errors.unknown("data set", name, self.delta, "the answer")
        return np.asarray(self.delta[name] > self.level(name))

    @property
    def allowed(self) -> np.ndarray:
        """Where no data set excludes the model, and where there is one (n,) of bool."""
        there = np.isfinite(self.quantities["omega_h2"])
        for name in self.delta:
            there &= ~self.excluded(name)
        return np.asarray(there)

    @property
    def converged(self) -> bool:
        """Whether there is a number at any point."""
        return bool(np.isfinite(self.quantities["omega_h2"]).any())

    @property
    def status(self) -> str:
        """What is to be known of the numbers, in sentences."""
        said = [self.refused] if self.refused else []
        n = len(self.values)
        if self.found:
            none, several = int((self.solutions == 0).sum()), int((self.solutions > 1).sum())
            if none:
                said.append(
                    f"No value of {self.found} in the range gives {self.target:g} at {none} of {n} "
                    "points."
                )
            if several:
                said.append(f"At {several} there are several, of which the smallest is shown.")
        said += _doubts(self.quantities, n)
        silent = [name for name, x in self.delta.items() if np.isnan(x).all()]
        if silent:
            said.append(f"Nothing is said here by {', '.join(silent)}.")
        return " ".join(said) or "Freeze-out holds at all points."

    def columns(self) -> Mapping[str, Any]:
        found = {self.found: self.at} if self.found else {}
        deltas = {f"{name} -2 log L": x for name, x in self.delta.items()}
        return {self.parameter: self.values, **found, **self.quantities, **deltas}

    def shown(self) -> Shown:
        held = ", ".join(f"{name} = {x:.4g}" for name, x in self.fixed.items())
        columns: dict[str, Any] = {self.parameter: self.values}
        if self.found:
            columns[self.found] = self.at
        columns |= self.quantities
        rows = [[f"{x:.4g}" for x in row] for row in zip(*columns.values(), strict=True)]
        if self.delta:
            columns["excluded by"] = []
            for i, row in enumerate(rows):
                by = [name for name in self.delta if self.excluded(name)[i]]
                row.append(by[0] if len(by) == 1 else f"{len(by)} data sets" if by else "-")
        if len(rows) > _MOST:
            rows = [*rows[: _MOST // 2], ["..."] * len(columns), *rows[-_MOST // 2 :]]
        units = [self.units.get(name, "") for name in columns]
        head = [f"{n} / {u}" if u else n for n, u in zip(columns, units, strict=True)]
        return Shown(f"{self.model}" + (f" with {held}" if held else ""), head, rows, [self.status])


def relic(
    model: Any,
    over: Mapping[str, ArrayLike],
    measurements: Sequence[Measurement] = (),
    *,
    fixed: Mapping[str, float] | None = None,
    find: Mapping[str, ArrayLike] | None = None,
    target: float = OBSERVED,
    progress: Progress | None = None,
) -> Relic:
    """Return how much of a dark fermion is left today, and how it would be seen, over a parameter.

    Args:
        model: from `bknn.models.load`, with the quantity `omega_h2`: "aligned-u1", "dark-photon".
        over: {name: values} of one parameter.
        measurements: from `bknn.data.load`, without counts: what each says of every point, the
            model's nuisances minimised over as for planes (`studies.exclusions`).
        fixed: {name: value} of other parameters; the rest is at its default.
        find: {name: values} of another parameter, increasing: at every point that value is looked
            for with which Omega h^2 is `target`, between those neighbours where it crosses it.
        target: Omega h^2.
        progress: is called with the number of points that have been done.

    Raises:
        ParameterError: not one parameter; one that stands in two places; a model without
            `omega_h2`; data with counts; a target that is not positive.
        UnknownNameError: an unknown parameter.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models, studies
        >>> found = studies.relic(
        ...     models.load("dark-photon"), {"m_X": [0.8, 0.9]}, fixed={"epsilon": 1e-3, "g_X": 0.1}
        ... )  # doctest: +SKIP
    """
    held = {name: float(np.asarray(x)) for name, x in (fixed or {}).items()}
    sought = {name: np.asarray(x, float) for name, x in (find or {}).items()}
    refuse(model, over, held, sought, target, measurements)
    (name,) = over
    values = np.asarray(over[name], float)
    own = derived_quantities(model)
    wanted = tuple(q for q in QUANTITIES if q in own)
    named = (name, *sought)
    base = {k: float(np.asarray(v)) for k, v in point(model, _start(named, values, held)).items()}
    grid, roots = values[:, None], np.ones(len(values), int)
    if sought:
        omega = _program(model, named, base, ("omega_h2",), progress)
        (scan,) = sought.values()
        found, roots = _crossings(lambda x: omega(x)[:, 0], values, scan, target)
        grid = np.column_stack([values, found])
    # What is not there is computed where something is, and left out afterwards.
    inner = np.where(np.isfinite(grid), grid, next(iter(sought.values()), values)[:1])
    refused, why = _refused(model, named, base, inner)
    delta: dict[str, np.ndarray] = {}
    numbers: dict[str, int] = {}
    if measurements:
        kept = {p.name for p in model.parameters if p.fixed}
        free = [n for n in dict.fromkeys([*named, *held]) if n in kept]
        analysis = Analysis(model, list(measurements), free=free)
        points = Points(analysis, named, held, wanted, inner[len(inner) // 2])
        told = points.at(inner, progress)
        computed = told.quantities
        delta = {m: told.delta[:, i] for i, m in enumerate(points.sets)}
        numbers = {m: len(where) for m, where in points.sets.items()}
    else:
        computed = _program(model, named, base, wanted, progress)(inner)
    good = np.isfinite(grid).all(axis=1) & ~refused

    def where_good(x: np.ndarray) -> np.ndarray:
        return np.where(good, x, np.nan)

    units = {p.name: p.unit for p in model.parameters} | {q: own[q].unit for q in wanted}
    return Relic(
        model.name,
        name,
        values,
        held,
        {q: where_good(computed[:, i]) for i, q in enumerate(wanted)},
        {n: units[n] for n in (*named, *wanted)},
        {m: where_good(x) for m, x in delta.items()},
        numbers,
        next(iter(sought), ""),
        float(target),
        grid[:, 1] if sought else np.zeros(0),
        roots if sought else np.zeros(0, int),
        why,
    )


# Pieces ----------------------------------------------------------------------------------------


def refuse(
    model: Any,
    over: Mapping[str, ArrayLike],
    held: Mapping[str, float],
    sought: Mapping[str, np.ndarray],
    target: float,
    measurements: Sequence[Measurement],
) -> None:
    """Refuse what makes no sense, before anything is computed.

    Raises:
        ParameterError, UnknownNameError: as `relic`.
    """
    if len(over) != 1 or len(sought) > 1:
        raise errors.ParameterError(
            f"{len(over)} parameters to go over and {len(sought)} to find were given; give one to "
            "go over, and at most one to find; keep the others with `fixed` (--fix)."
        )
    names = [*over, *sought, *held]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise errors.ParameterError(
            f"{double[0]!r} stands in two places: a parameter is gone over, or found, or fixed."
        )
    known = {p.name: p for p in model.parameters}
    for name in names:
        if name not in known:
            raise errors.unknown("parameter", name, known, f"model {model.name!r}")
    if "omega_h2" not in derived_quantities(model):
        raise errors.ParameterError(
            f"model {model.name!r} has no dark matter whose abundance it could tell (the quantity "
            "'omega_h2'); take 'aligned-u1', 'dark-photon', or a model of your own that has it."
        )
    for name, values in {**over, **sought}.items():
        _check_values(known[name], np.asarray(values, float), name in sought)
    if not (target > 0.0 and np.isfinite(target)):
        raise errors.ParameterError(
            f"an Omega h^2 of {target:g} cannot be found; give one above 0."
        )
    for m in measurements:
        if m.workspace:
            raise errors.ParameterError(
                f"{m.name!r} has counts, which this question does not fit; `exclusions`, `fit` and "
                "`profile` do, with the data of dark matter beside them."
            )
    check_quantity(model, "omega_h2")


def _check_values(parameter: Parameter, values: np.ndarray, scanned: bool) -> None:
    low, high = parameter.bounds
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise errors.ParameterError(f"give numbers for {parameter.name!r}, one or more.")
    if values.min() < low or values.max() > high:
        raise errors.ParameterError(
            f"{parameter.name!r} lies between {low:g} and {high:g}; the grid goes from "
            f"{values.min():g} to {values.max():g}."
        )
    if scanned and (len(values) < 2 or (np.diff(values) <= 0.0).any()):
        raise errors.ParameterError(
            f"{parameter.name!r} is looked for between values that increase; give two or more, as "
            "in LOW:HIGH:40:log."
        )


def _start(named: Sequence[str], values: np.ndarray, held: Mapping[str, float]) -> dict[str, float]:
    """Return a point with the first parameter in the middle of its values."""
    return {**dict.fromkeys(named[:1], float(values[len(values) // 2])), **held}


def _program(
    model: Any,
    named: Sequence[str],
    base: Mapping[str, float],
    wanted: Sequence[str],
    progress: Progress | None,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of points (n, named): quantities (n, wanted); compiled once."""

    @jax.jit
    @jax.vmap
    def one(where: Array) -> Array:
        values = {**base, **dict(zip(named, where, strict=True))}
        found = quantities(model, wanted, values)
        return jnp.stack([found[name] for name in wanted])

    def many(points: np.ndarray) -> np.ndarray:
        found = []
        for first in range(0, len(points), _CHUNK):
            part = points[first : first + _CHUNK]
            filled = np.concatenate([part, np.repeat(part[-1:], _CHUNK - len(part), axis=0)])
            found.append(np.asarray(one(filled))[: len(part)])
            if progress is not None:
                progress(len(part))
        return np.concatenate(found)

    return many


def _refused(
    model: Any, named: Sequence[str], base: Mapping[str, float], grid: np.ndarray
) -> tuple[np.ndarray, str]:
    """Return at which points the model refuses its parameters, and why at the first."""
    found, first = np.zeros(len(grid), bool), ""
    for i, row in enumerate(grid.tolist()):
        try:
            check_point(model, {**base, **dict(zip(named, row, strict=True))}, remarks=False)
        except errors.ParameterError as problem:
            found[i], first = True, first or str(problem)
            if i == len(grid) - 1 and found.all():
                raise
    n = int(found.sum())
    return found, f"At {n} of {len(grid)} points there is no model: {first}" if n else ""


def _crossings(
    omega: Callable[[np.ndarray], np.ndarray], values: np.ndarray, scan: np.ndarray, target: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each value where Omega h^2 crosses the target first, and how often it does.

    Args:
        omega: of points (n, 2), a value and where it is looked for.
        values: (n,).
        scan: between which neighbours a crossing is looked for (k,).
        target: Omega h^2.
    """
    n, k = len(values), len(scan)
    grid = np.stack([np.repeat(values, k), np.tile(scan, n)], axis=1)
    away = (np.log(omega(grid)) - np.log(target)).reshape(n, k)
    change = np.isfinite(away[:, :-1] + away[:, 1:]) & (away[:, :-1] * away[:, 1:] <= 0.0)
    roots = change.sum(axis=1)
    if not change.any():
        return np.full(n, np.nan), roots
    rows = np.flatnonzero(roots)
    first = np.argmax(change[rows], axis=1)
    logarithmic = bool(scan[0] > 0.0)
    ends = (np.log(scan) if logarithmic else scan)[np.stack([first, first + 1])]

    def away_at(x: np.ndarray, value: np.ndarray) -> np.ndarray:
        where = np.column_stack([value.ravel(), (np.exp(x) if logarithmic else x).ravel()])
        return (np.log(omega(where)) - np.log(target)).reshape(np.shape(x))

    x = find_root(away_at, tuple(ends), args=(values[rows],), tolerances=_PRECISION).x
    at = np.full(n, np.nan)
    at[rows] = np.exp(x) if logarithmic else x
    return at, roots


def _doubts(quantities: Mapping[str, np.ndarray], n: int) -> list[str]:
    """Return where freeze-out is not what the numbers take it to be."""
    said = []
    if (x := quantities.get("x_freeze_out")) is not None:
        never, early = (
            int((x <= FREEZES_OUT).sum()),
            int(((x < SAFE_FREEZE_OUT) & (x > FREEZES_OUT)).sum()),
        )
        if never:
            said.append(
                f"At {never} of {n} points X never was in equilibrium while it was heavy beside "
                "the temperature: there its abundance depends on what came before."
            )
        if early:
            said.append(
                f"At {early} of {n} points it freezes out before x = m/T = {SAFE_FREEZE_OUT:g}: "
                "the abundance is accurate to some per cent only."
            )
    if "kinetic_ratio" not in quantities and (x := quantities.get("pole_distance")) is not None:
        close = int(((x < LATE_POLE) & (x > 0.0)).sum())
        if close:
            said.append(
                f"At {close} of {n} points 2 m_X lies so close below the pole "
                f"((M^2 - 4 m^2)/4 m^2 < {LATE_POLE:g}) that X may leave kinetic equilibrium "
                "before it freezes out; its abundance may then be ten times as large and more "
                "(with the model's option kinetic=True, --kinetic, it is computed)."
            )
    return said
