"""The best fit of a model, or many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference.datasets import translated
from bknn.inference.fits import many
from bknn.inference.fits.position_scan import depends
from bknn.inference.fits.result import FitResult
from bknn.inference.fits.vanishing import within
from bknn.inference.minimiser.fits_of_analysis import fits_of
from bknn.inference.minimiser.newton import NOT_FINITE, UNDETERMINED, Minimum
from bknn.inference.pieces import Progress
from bknn.inference.slopes import slopes
from bknn.parameters import real
from bknn.programs import Programs


class LogDensity:
    """Any log density, made fit for `fit`.

    Args:
        function: `function({name: scalar})` returns a log density (or log likelihood); pure JAX.
        init: {name: start}.
        bounds: {name: (lower, upper)}; names left out are unbounded.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import inference
    >>> parabola = inference.LogDensity(lambda p: -(p["x"] - 2.0) ** 2, {"x": 0.0})
    >>> round(float(inference.fit(parabola).params["x"]), 6)
    2.0
    """

    def __init__(
        self,
        function: Callable[[Mapping[str, Array]], Array],
        init: Mapping[str, float],
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self.function = function
        self.names = tuple(init)
        self.init_vector = np.array([float(v) for v in init.values()])
        limits = dict(bounds or {})
        for name, (lower, upper) in limits.items():
            if name not in init:
                raise errors.unknown("parameter", name, init)
            if not (lower < upper and lower <= init[name] <= upper):
                raise errors.ParameterError(
                    f"parameter {name!r}: the start {init[name]:g} does not lie within the bounds "
                    f"[{lower:g}, {upper:g}]."
                )
        self.bounds = np.array([limits.get(n, (-np.inf, np.inf)) for n in init], float)
        self.fixed = np.zeros(len(init), bool)
        self.programs = Programs()

    def log_density(self, vector: Array) -> Array:
        """Return the log density at a vector (size,)."""
        return self.function(dict(zip(self.names, vector, strict=True)))

    def unflatten(self, vector: ArrayLike) -> dict[str, Array]:
        """Return `{name: value}` of a vector (size,), or of a batch (..., size)."""
        vector = jnp.asarray(vector)
        return {name: vector[..., i] for i, name in enumerate(self.names)}

    def index(self, name: str) -> int:
        """Position of a name in the vector."""
        if name not in self.names:
            raise errors.unknown("parameter", name, self.names)
        return self.names.index(name)

    def __repr__(self) -> str:
        return f"LogDensity({', '.join(self.names)})"


def fit(
    target: Analysis | LogDensity,
    *,
    fixed: Mapping[str, ArrayLike] | None = None,
    init: Mapping[str, ArrayLike] | None = None,
    data: Data | None = None,
    method: str | None = None,
    tolerance: float | None = None,
    max_steps: int | None = None,
    chunk: int | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Maximise a likelihood, constraints included.

    Args:
        target: an Analysis, or a LogDensity.
        fixed: {name: value} of parameters that do not float.
        init: {name: value} to start from, instead of the model's own starts.
        data: counts and auxiliary data to fit instead of the observation.
        method: "newton" (the default for an Analysis: Fisher steps through the bins), "lbfgs"
            (the default otherwise), or "adam" (a rough start with Adam, then L-BFGS).
        tolerance: stop when one more step promises less than this decrease of -log likelihood;
            1e-16 for newton, 1e-10 otherwise.
        max_steps: give up after this many; 200 for newton, 2000 otherwise.
        chunk: in a batch, how many fits run together on one device (64 on a CPU, 8192 on a GPU).
        progress: is called with the number of fits that have been done since the last call.

    Values in `fixed` and `init` may be arrays (n,), and the fields of `data` may have a leading
    axis: then n fits are done at once, and everything in the result has a leading axis.

    Where a parameter has several `starts` and floats, the fit begins at each of them and keeps the
    lowest minimum; `result.minima` has all. Data without a signal have more minima than that (the
    fit of a mass misses the lowest in one such data set of five): for toys take `inference.toys`,
    which scans for them.

    Raises:
        UnknownNameError: names that the target does not have, or an unknown method.
        ParameterError: a value outside of its bounds, or batches of different lengths.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> result = inference.fit(analysis)
        >>> print(f"mu = {result.params['mu']:.2f} +- {result.uncertainties['mu']:.2f}")
        mu = 4.60 +- 1.33
    """
    if method is None:
        method = "newton" if isinstance(target, Analysis) else "lbfgs"
    if method not in ("newton", "lbfgs", "adam"):
        raise errors.unknown("method", method, ("newton", "lbfgs", "adam"))
    if method == "newton" and not isinstance(target, Analysis):
        raise errors.ParameterError(
            "method 'newton' needs an Analysis, whose counts and constraints it knows; "
            "use 'lbfgs' for other log densities."
        )
    starts, moving, batched = starting_points(target, fixed or {}, init or {})
    if data is not None:
        data = checked_data(data, target)
        if data[0].ndim == 2:
            n = len(data[0])
            if batched and n != len(starts):
                raise errors.ParameterError(
                    f"{len(starts)} parameter values and {n} data sets came; fit as many of one "
                    "as of the other."
                )
            starts = starts if batched else np.tile(starts, (n, 1, 1))
            batched = True
    program = compiled(target, method, tolerance, max_steps)
    seen = data if data is not None else getattr(target, "data", _NO_DATA)

    def minimised(starts: np.ndarray) -> tuple[Minimum, np.ndarray]:
        return many.run(program, starts, seen, moving, chunk=chunk, progress=progress)

    best, minima = minimised(starts)
    if isinstance(target, Analysis) and (unmoved := stayed(target, starts, best, moving)):
        if not depends(target, best.vector[0], unmoved):
            best.outcome[:] = UNDETERMINED
        elif not batched and starts.shape[1] == 1:
            beside = _beside(target, best.vector[0], unmoved)
            if len(beside):
                best, minima = minimised(np.concatenate([starts, beside[None]], axis=1))
    if not batched:
        best, minima = Minimum(*(x[0] for x in best)), minima[0]
    return FitResult(
        target,
        best.vector,
        2 * best.value,
        2 * best.decrement,
        best.steps,
        best.outcome,
        moving,
        2 * minima,
        data,
    )


def stayed(analysis: Analysis, starts: np.ndarray, best: Minimum, moving: np.ndarray) -> list[str]:
    """Return the names of the model's parameters that float, if no fit has moved any of them."""
    own = [i for i, p in enumerate(analysis.parameters) if not p.nuisance and moving[i]]
    same = (starts[:, :, own] == best.vector[:, None, own]).all(axis=2).any(axis=1)
    known = bool(own) and bool(same.all()) and not (best.outcome == NOT_FINITE).any()
    return [analysis.names[i] for i in own] if known else []


def _beside(analysis: Analysis, vector: np.ndarray, names: list[str]) -> np.ndarray:
    """Return where to begin (starts, size) beside a point at which no rate has a slope, as that of
    a coupling of 0 whose square counts; none where one has."""
    index = np.array([analysis.index(name) for name in names])
    if slopes(analysis, vector, index).any():
        return np.zeros((0, len(vector)))
    lower, upper = analysis.bounds[index].T
    far = np.where(np.isfinite(upper - lower), 0.1 * (upper - lower), 1.0 + np.abs(vector[index]))
    result = np.tile(vector, (2, 1))
    result[:, index] = np.clip(vector[index] + np.array([[1.0], [-1.0]]) * far, lower, upper)
    return result


#: A LogDensity has its data inside.
_NO_DATA = Data(np.zeros(0), np.zeros(0), np.zeros(0))


def fit_null(
    analysis: Analysis, *, fixed_too: Mapping[str, ArrayLike] | None = None, **options: Any
) -> FitResult:
    """Fit the standard model: the model's parameters at their null values, the rest floating.

    For a model without null values it is the measurement's own template at mu = 1.

    Args:
        analysis: with the model that is compared with the standard model.
        fixed_too: {name: value} of further parameters that do not float; null values come first.
        options: as for `fit`.
    """
    fixed = {**(fixed_too or {}), **analysis.null_values()}
    if not analysis.model.null:
        null = analysis.template()
        own = {p.name for p in analysis.parameters}
        fixed = {k: v for k, v in fixed.items() if k not in own} | null.null_values()
        if options.get("data") is not None:
            options["data"] = translated(options["data"], analysis, null)
        analysis = null
    return fit(analysis, fixed=fixed, **options)


def starting_points(
    target: Analysis | LogDensity, fixed: Mapping[str, ArrayLike], init: Mapping[str, ArrayLike]
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return starting points (batch, starts, size), which parameters move, and whether a batch was
    asked for."""
    given = {name: _Given.read(target, name, value) for name, value in {**init, **fixed}.items()}
    lengths = {len(g.values) for g in given.values() if g.batched}
    if len(lengths) > 1:
        raise errors.ParameterError(
            f"values for different numbers of fits came ({sorted(lengths)}); give all lists the "
            "same length."
        )
    parameters = target.parameters if isinstance(target, Analysis) else ()
    floating = [p for p in parameters if p.starts and p.name not in given]
    points = list(product(*(p.starts for p in floating)))
    if isinstance(target, Analysis):
        # A common sign is not observable: the mirror image of a start leads to that of its minimum.
        one = target.positive({name for name, g in given.items() if g.values.any()})
        where = [i for i, p in enumerate(floating) if p.name in one and min(p.bounds) < 0]
        points = [x for x in points if all(x[i] > 0 for i in where)] or points
    result = np.tile(target.init_vector, (max(lengths, default=1), len(points), 1))
    for i, point in enumerate(points):
        for p, value in zip(floating, point, strict=True):
            result[:, i, target.index(p.name)] = value
    for g in given.values():
        result[:, :, g.where] = g.values[:, None, :]
    moving = ~np.array(target.fixed)
    for name in fixed:
        moving[given[name].where] = False
    if isinstance(target, Analysis):
        target.check_points(result[:, 0])
    return result, moving, bool(lengths)


class _Given(NamedTuple):
    """Values (batch or 1, entries) that the user gave for a parameter or a set of nuisances."""

    where: slice
    values: np.ndarray
    batched: bool

    @classmethod
    def read(cls, target: Analysis | LogDensity, name: str, value: ArrayLike) -> _Given:
        nuisances = target.nuisances if isinstance(target, Analysis) else {}
        i = None if name in nuisances else target.index(name)
        where = nuisances[name] if i is None else slice(i, i + 1)
        entries = where.stop - where.start
        array = np.asarray(real(name, value), float)
        # One axis: a batch of single parameters, or one set of nuisances. Two: a batch of sets.
        batched = array.ndim == (1 if entries == 1 else 2)
        try:
            values = np.broadcast_to(
                array.reshape((-1, 1)) if entries == 1 else np.atleast_2d(array),
                (len(array) if batched else 1, entries),
            )
        except ValueError:
            raise errors.ParameterError(
                f"parameter {name!r} got values of shape {array.shape}; it has {entries} "
                "entries. Give one value, or a list of them for as many fits."
            ) from None
        known = {p.name: p for p in target.parameters} if isinstance(target, Analysis) else {}
        lower, upper = target.bounds[where].T
        # NaN is the smallest and the largest, too.
        for row in (values.min(axis=0), values.max(axis=0)):
            if name in known:
                known[name].check(row[0])
            elif not ((row >= lower) & (row <= upper)).all():
                raise errors.ParameterError(
                    f"parameter {name!r} is set outside of its bounds [{lower[0]:g}, {upper[0]:g}]."
                )
        return cls(where, values, batched)


def checked_data(data: Data, target: Analysis | LogDensity) -> Data:
    """Return data sets as arrays, after a look at their shapes: (n,) each, or (batch, n)."""
    if not isinstance(target, Analysis):
        raise errors.ParameterError(
            "a LogDensity has no data of its own; put them into its function."
        )
    arrays = [np.asarray(x, float) for x in data]
    batch = next((len(x) for x in arrays if x.ndim == 2), None)
    for i, (name, x) in enumerate(zip(Data._fields, arrays, strict=True)):
        n = np.size(target.data[i])
        if x.shape not in ((n,), (batch, n)):
            raise errors.ParameterError(
                f"{name!r} of the data has shape {x.shape}; the analysis needs ({n},), or a batch "
                f"of them ({'the same number of' if batch is None else batch} data sets for all "
                "fields)."
            )
        if batch is not None and x.ndim == 1:
            arrays[i] = np.tile(x, (batch, 1))
    return Data(*arrays)


def compiled(
    target: Any,
    method: str = "newton",
    tolerance: float | None = None,
    max_steps: int | None = None,
) -> many.Minimise:
    """The program of fits, kept with the target: compiling takes longer than fitting."""
    if tolerance is None:
        tolerance = 1e-16 if method == "newton" else 1e-10
    if max_steps is None:
        max_steps = 200 if method == "newton" else 2000
    program: many.Minimise
    if method == "newton":
        program = partial(fits_of(target).minimise, tolerance=tolerance, max_steps=max_steps)
    else:
        key = (method, tolerance, max_steps)
        make = lambda: many.program(_gradient(target, *key))  # noqa: E731
        program = target.programs.keep("fits by gradients", key, make)
    if isinstance(target, Analysis) and target.data_distribution.n_counts:
        return within(program, target, program if method == "newton" else compiled(target))
    return program


def _gradient(
    target: Any, method: str, tolerance: float, max_steps: int
) -> Callable[[Array, Data, Array], Minimum]:
    """Gradient descent, side by side."""
    from bknn.inference.fits import gradient  # optax; few fits need it

    widths = np.full(len(target.names), np.nan)
    if isinstance(target, Analysis):
        widths[target.normal[0]] = target.normal[2]
        widths[target.poisson[0]] = 1 / np.sqrt(np.maximum(target.poisson[2], 1e-10))
    unit = gradient.scales(target.init_vector, target.bounds, widths)

    def one(start: Array, data: Data, moving: Array) -> Minimum:
        def objective(vector: Array) -> Array:
            if isinstance(target, Analysis):
                shape = target.log_shape(vector, data, beyond=True)
                return jnp.asarray(target.log_norm(data) - shape)
            return -target.log_density(vector)

        return gradient.minimise(
            objective,
            start,
            moving,
            target.bounds,
            unit,
            tolerance=tolerance,
            max_steps=max_steps,
            rough_steps=500 if method == "adam" else 0,
        )

    return jax.vmap(one)
