"""The results of measurements that are not counts, inside an analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors, prediction
from bknn.analysis.quantity_limits import QuantityLimits, file_of, refuse_unknown
from bknn.data import LimitCurve, LimitTable, Measurement
from bknn.likelihood.sparse import take
from bknn.prediction.derived import quantities
from bknn.spectrum import Spectrum

#: A decay, and what is made of its spectrum.
Use = tuple[str, Callable[[Spectrum], Array]]


class Term(Protocol):
    """Measured numbers other than counts: a part of `Results`.

    Attributes:
        names: one a number.
        channels: decay channels that they depend on.
        observed: (m,).
        below, above: widths (m,), where the truth lies below and above.
    """

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def channels(self) -> tuple[str, ...]: ...
    @property
    def observed(self) -> np.ndarray: ...
    @property
    def below(self) -> np.ndarray: ...
    @property
    def above(self) -> np.ndarray: ...

    def uses(self, model: Any, *, held: bool = False) -> Sequence[Use]:
        """Return what is made of the spectra; `held` as for `Continuum.as_shapes`."""
        ...

    def expected(
        self, model: Any, params: Mapping[str, ArrayLike], found: Iterator[Array]
    ) -> Array:
        """Return the expectations of a model (m,), a pure function of all its parameters; `found`
        yields what `uses` made of its spectra."""
        ...

    def check(self, model: Any) -> None:
        """Refuse a model that says nothing about them."""
        ...


class Results:
    """All measured numbers other than counts, in this order: the results of all measurements, their
    limits against a mass, those against other quantities, and further terms.

    Attributes:
        terms: the parts.
        curves: limits that hold in a range alone: against a mass, or other quantities.
        names: one a number.
        channels: decay channels that they depend on.
        observed: (m,).
        below, above: widths (m,).
    """

    def __init__(self, measurements: Sequence[Measurement], more: Sequence[Term] = ()) -> None:
        self._curves, self._tables = Curves(measurements), QuantityLimits(measurements)
        self.terms: tuple[Term, ...] = (
            Published(measurements),
            self._curves,
            self._tables,
            *more,
        )
        self.curves: tuple[LimitCurve | LimitTable, ...] = (
            *self._curves.curves,
            *self._tables.tables,
        )
        self.channels = tuple(dict.fromkeys(c for term in self.terms for c in term.channels))
        self.names = tuple(name for term in self.terms for name in term.names)
        self.observed = np.concatenate([term.observed for term in self.terms])
        self.below = np.concatenate([term.below for term in self.terms])
        self.above = np.concatenate([term.above for term in self.terms])

    def __len__(self) -> int:
        return len(self.names)

    def channels_with(self, model: Any) -> tuple[str, ...]:
        """Return the decay channels whose form factors they depend on, those of the derived
        quantities of a model among them."""
        of_model = prediction.channels_of(model, self.quantities)
        return tuple(dict.fromkeys([*self.channels, *of_model]))

    @property
    def quantities(self) -> list[str]:
        """Derived quantities, and parameters, of a model that they are about."""
        return [
            q for term in self.terms if isinstance(term, _OF_QUANTITIES) for q in term.quantities
        ]

    def uses(self, model: Any, *, held: bool = False) -> list[Use]:
        """Return what is made of the spectra: one decay and one function of its spectrum for each
        branching fraction and each channel of a curve, in the order of the results. `held` as for
        `Continuum.as_shapes`."""
        return [use for term in self.terms for use in term.uses(model, held=held)]

    def expected(
        self, model: Any, params: Mapping[str, ArrayLike], found: Sequence[Array]
    ) -> Array:
        """Return the expectations of a model (m,), a pure function of all its parameters.

        Args:
            model: that predicts.
            params: {name: value}.
            found: what `uses` returned of its spectra.
        """
        known = iter(found)
        values = quantities(model, self.quantities, params)
        parts = [
            term.expected(model, params, known, values)
            if isinstance(term, _OF_QUANTITIES)
            else term.expected(model, params, known)
            for term in self.terms
            if term.names
        ]
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts)

    def check(self, model: Any) -> None:
        """Refuse results that a model says nothing about, or that nothing can predict.

        Raises:
            UnknownNameError, ParameterError: as for `bknn.predict`.
        """
        for term in self.terms:
            term.check(model)

    def check_curves(self, model: Any, spectrum: Callable[[str], Spectrum]) -> None:
        """Refuse limits on a two-body decay for a model that has none.

        Args:
            model: that is named.
            spectrum: of a decay, by its name; it may be traced.

        Raises:
            ParameterError: no spectrum of a curve's channels has a line.
        """
        self._curves.check_lines(model, spectrum)

    def inside(
        self, model: Any, params: Mapping[str, ArrayLike], spectrum: Callable[[str], Spectrum]
    ) -> Array:
        """Return whether each of `curves` says something, (curves,) of bool.

        Args:
            model: that predicts.
            params: {name: value} of all its parameters.
            spectrum: of a decay, by its name.
        """
        return jnp.concatenate([self._curves.inside(spectrum), self._tables.inside(model, params)])


class Published:
    """The results of all measurements, uncorrelated.

    Correlated results are turned: with p_i = (expected - value)/width the pulls, where the width is
    that of the side on which the expectation lies, and C = L L^T the correlation, L^-1 p takes the
    place of the expectation, and 0, with a width of 1, of what was observed. So -2 log L is
    p C^-1 p, and each result alone, the others profiled, has its published interval.

    Attributes:
        names: one a result, or "measurement[i]" of those that are turned.
        channels: decay channels that they depend on.
        observed: (m,), after turning.
        below, above: widths (m,), after turning.
    """

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._results = tuple(result for m in measurements for result in m.results)
        self._files = tuple(file_of(m) for m in measurements for _ in m.results)
        self.channels = tuple(dict.fromkeys(c for r in self._results for c in r.channels))
        value, below, above = (
            np.array([getattr(r, key) for r in self._results], float)
            for key in ("value", "below", "above")
        )
        self.observed, self.below, self.above = value.copy(), below.copy(), above.copy()
        names = [r.name for r in self._results]
        self._turned: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        first = 0
        for m in measurements:
            if m.correlation is not None and (own := _correlated(m)).size:
                which = first + own
                told = value[which], below[which], above[which]
                self._turned.append((which, _inverse_root(m), *told))
                self.observed[which] = 0.0
                self.below[which] = self.above[which] = 1.0
                for i, k in zip(which, own, strict=True):
                    names[i] = f"{m.name}[{k}]"
            first += len(m.results)
        self.names = tuple(names)

    def uses(self, model: Any, *, held: bool = False) -> Sequence[Use]:
        """Return the branching fractions."""
        return [
            (
                channel,
                partial(
                    prediction.branching_ratio,
                    model,
                    channel,
                    q2=result.q2,
                    resolution=result.resolution,
                    held=held,
                ),
            )
            for result in self._results
            if result.observable == "branching_ratio"
            for channel in result.channels
        ]

    @property
    def quantities(self) -> tuple[str, ...]:
        """Quantities of a model that results are about."""
        return tuple(r.observable for r in self._results if not r.channels)

    def expected(
        self,
        model: Any,
        params: Mapping[str, ArrayLike],
        found: Iterator[Array],
        values: Mapping[str, Array] | None = None,
    ) -> Array:
        """Return what a model expects (m,); `values` of `quantities`, if they are known."""
        values = quantities(model, self.quantities, params) if values is None else values
        sums = []
        for result in self._results:
            if not result.channels:
                sums.append(values[result.observable])
                continue
            weighted = [
                weight
                * (
                    next(found)
                    if result.observable == "branching_ratio"
                    else prediction.value(
                        model,
                        result.observable,
                        channel,
                        params,
                        result.q2,
                        resolution=result.resolution,
                    )
                )
                for channel, weight in result.channels.items()
            ]
            sums.append(sum(weighted[1:], weighted[0]))
        expected = jnp.stack(sums)
        if not self._turned:
            return expected
        turned, place = [expected], np.arange(len(sums))
        for which, root, value, below, above in self._turned:
            away = take(expected, which) - value
            width = below if (below == above).all() else jnp.where(away < 0.0, below, above)
            place[which] = sum(len(x) for x in turned) + np.arange(len(which))
            turned.append(jnp.asarray(root) @ (away / width))
        return take(jnp.concatenate(turned), place)

    def check(self, model: Any) -> None:
        """Refuse results that a model says nothing about."""
        pairs = list(zip(self._results, self._files, strict=True))
        of_quantities = [(r, file) for r, file in pairs if not r.channels]
        refuse_unknown(model, [(r.observable, f"result {r.name!r}", f) for r, f in of_quantities])
        for result, _ in pairs:
            for channel in result.channels:
                if result.observable == "dbr_dq2":
                    raise errors.DataError(
                        f"result {result.name!r} is a 'dbr_dq2', a function of q2; give the "
                        "branching fraction of a bin instead."
                    )
                prediction.check(model, result.observable, channel, result.q2)


#: What is about numbers that a model makes, all of which are computed once.
_OF_QUANTITIES = (Published, QuantityLimits)


class Curves:
    """The limit curves of all measurements: of each, 0 was observed with a width of 1, where the
    branching fraction over the width that gives the limit back is expected; see
    `bknn.data.LimitCurve`.

    Attributes:
        curves: the curves.
        names, channels, observed, below, above: as of any `Term`.
    """

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self.curves: tuple[LimitCurve, ...] = tuple(
            c for m in measurements for c in m.curves if isinstance(c, LimitCurve)
        )
        self.names = tuple(c.name for c in self.curves)
        self.channels = tuple(dict.fromkeys(name for c in self.curves for name in c.channels))
        self.observed = np.zeros(len(self.curves))
        self.below = self.above = np.ones(len(self.curves))

    def uses(self, model: Any, *, held: bool = False) -> Sequence[Use]:
        """Return the branching fractions over the widths of the limits."""
        return [
            (channel, partial(over_width, curve))
            for curve in self.curves
            for channel in curve.channels
        ]

    def expected(
        self, model: Any, params: Mapping[str, ArrayLike], found: Iterator[Array]
    ) -> Array:
        """Return what a model expects (m,)."""
        sums = []
        for curve in self.curves:
            values = [weight * next(found) for weight in curve.channels.values()]
            sums.append(sum(values[1:], values[0]))
        return jnp.stack(sums)

    def check(self, model: Any) -> None:
        """Refuse curves of decays that a model says nothing about."""
        for curve in self.curves:
            for channel in curve.channels:
                prediction.check(model, "branching_ratio", channel)

    def check_lines(self, model: Any, spectrum: Callable[[str], Spectrum]) -> None:
        """Refuse curves for a model without a line; as `Results.check_curves`."""
        for curve in self.curves:
            if not any(spectrum(channel).lines for channel in curve.channels):
                raise errors.ParameterError(
                    f"{curve.name!r} limits the decay into one particle that is not seen, against "
                    f"its mass, and model {model.name!r} has no such particle in "
                    f"{' or '.join(curve.channels)}; leave it out (--channels, select), or take a "
                    "model with a resonance ('resonance', 'scalar', 'vector', ...)."
                )

    def inside(self, spectrum: Callable[[str], Spectrum]) -> Array:
        """Return whether each curve says something, (curves,) of bool."""
        found = []
        for curve in self.curves:
            lines = [line for channel in curve.channels for line in spectrum(channel).lines]
            masses = jnp.stack([jnp.asarray(line.mass, float) for line in lines])
            found.append(jnp.any((masses >= curve.mass[0]) & (masses <= curve.mass[-1])))
        return jnp.stack(found) if found else jnp.zeros(0, bool)


def over_width(curve: LimitCurve, spectrum: Spectrum) -> Array:
    """Return the branching fraction of the lines of a spectrum over the width of a limit curve at
    their masses, 0 outside of its range.

    >>> from bknn.spectrum import Line
    >>> curve = LimitCurve("X", {"B+ -> K+": 1.0}, (1.0, 2.0), (1e-5, 4e-5))
    >>> of = lambda mass: over_width(curve, Spectrum(lines=(Line(mass, 2e-5),)))
    >>> [round(float(of(mass)) / curve.quantile, 3) for mass in (1.0, 1.5, 2.0, 2.1)]
    [2.0, 1.0, 0.5, 0.0]
    """
    total = jnp.zeros(())
    nodes, logs = jnp.asarray(curve.mass), jnp.asarray(np.log(curve.upper))
    for line in spectrum.lines:
        mass = jnp.asarray(line.mass, float)
        inside = (mass >= curve.mass[0]) & (mass <= curve.mass[-1])
        upper = jnp.exp(jnp.interp(mass, nodes, logs))
        ratio = jnp.asarray(line.branching_ratio) * curve.quantile / upper
        total = total + jnp.where(inside, ratio, 0.0)
    return total


def _correlated(measurement: Measurement) -> np.ndarray:
    """Return which results of a measurement have a correlation with others."""
    n = len(measurement.results)
    correlation = np.asarray(measurement.correlation, float)
    if correlation.shape != (n, n):
        raise errors.DataError(
            f"the correlation of measurement {measurement.name!r} has shape {correlation.shape}, "
            f"but there are {n} results; give one row and one column a result."
        )
    return np.flatnonzero(np.any(correlation != np.eye(n), axis=1))


def _inverse_root(measurement: Measurement) -> np.ndarray:
    """Return the inverse of the Cholesky factor of the correlation of its correlated results."""
    which = _correlated(measurement)
    correlation = np.asarray(measurement.correlation, float)[np.ix_(which, which)]
    try:
        return np.linalg.inv(np.linalg.cholesky(correlation))
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(correlation)[0])
        raise errors.DataError(
            f"the correlation of measurement {measurement.name!r} is no correlation: its least "
            f"eigenvalue is {least:.3g}, not positive. Rounded published numbers do that; check "
            "them, or merge bins."
        ) from None
