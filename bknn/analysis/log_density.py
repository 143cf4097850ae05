"""The log density of a flat vector: of its names and places, and of a signal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.signal import Expectations, HeldSignal, Signal, SignalLike
from bknn.analysis.vector import Vector
from bknn.likelihood.data_distribution import DataDistribution
from bknn.likelihood.derivatives import Derivatives
from bknn.likelihood.sparse import place, take
from bknn.likelihood.terms import auxiliary_norm, auxiliary_shape, normal_norm, normal_shape


class Data(NamedTuple):
    """What was observed, or could have been: counts and other results (bins,), auxiliary data of
    the normally (n,) and Poisson-constrained (p,) nuisances."""

    counts: Array | np.ndarray
    normal: Array | np.ndarray
    poisson: Array | np.ndarray


class Structure(NamedTuple):
    """Entries of the flat vector that act on many bins, those that act on one, and which one.

    `linear`: whether the rates are linear in a local entry and all others of its kind together.
    """

    shared: np.ndarray
    local: np.ndarray
    local_bin: np.ndarray
    linear: np.ndarray


@dataclass(frozen=True, eq=False)
class LogDensity:
    """Rates, their derivatives and the log likelihood at flat vectors (size,).

    Attributes:
        vector: what the entries are.
        signal: what the model's parameters make of the templates and the results.
    """

    vector: Vector
    signal: SignalLike

    def holding_thresholds(
        self,
    ) -> tuple[Callable[[Array], list[Array]], Callable[[list[Array]], LogDensity]]:
        """Return the two stages of a fit in which no threshold moves.

        `before(vector)` folds the continua for the thresholds of a vector (size,), and
        `then(found)` is this density at vectors with those thresholds: its rates and their
        derivatives cost a few multiplications. To be used within one program.
        """
        assert isinstance(self.signal, Signal)
        before, after = self.signal.in_two_stages()
        return before, lambda found: replace(self, signal=after(found))

    def holding_signal(self, expectations: Expectations) -> LogDensity:
        """Return this density at vectors with one signal, of which `expectations` is
        `signal(physics(vector))`: the rest costs a few multiplications. To be used within one
        program, for moves of what is no parameter of the model."""
        return replace(self, signal=HeldSignal(self.signal, lambda _: expectations))

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return self.vector.size

    @property
    def n_bins(self) -> int:
        """How many numbers were observed: bins with counts, then other results."""
        return self.data_distribution.size

    @property
    def bounds(self) -> np.ndarray:
        """Lower and upper bounds (size, 2); infinite where there is none."""
        return self.vector.bounds

    @property
    def normal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normally constrained entries, what was measured, and widths, (n,) each."""
        return self.vector.normal

    @property
    def poisson(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Poisson-constrained entries, auxiliary counts, and rate factors, (p,) each."""
        return self.vector.poisson

    @cached_property
    def data_distribution(self) -> DataDistribution:
        """What the numbers that were observed are, and how likely others are."""
        results = self.signal.results
        n_counts = sum(p.pdf.n_bins for p in self.signal.parts)
        return DataDistribution(n_counts, results.below, results.above)

    @cached_property
    def data(self) -> Data:
        """The observation."""
        counts = [*(p.pdf.observed for p in self.signal.parts), self.signal.results.observed]
        return Data(np.concatenate(counts), self.normal[1], self.poisson[1])

    @cached_property
    def structure(self) -> Structure:
        """Which entries of the flat vector act on many bins, and which on one only."""
        shared = [np.arange(len(self.vector.parameters))]
        local, local_bin = [np.zeros(0, int)], [np.zeros(0, int)]
        linear = [np.zeros(0, bool)]
        first = 0
        for part, source in zip(self.signal.parts, self.vector.sources, strict=True):
            own = part.pdf.structure
            column = source[own.shared]
            shared.append(column[column >= 0])
            local.append(source[own.local])
            local_bin.append(first + own.local_bin)
            linear.append(own.linear)
            first += part.pdf.n_bins
        return Structure(*(np.concatenate(x) for x in (shared, local, local_bin, linear)))

    @cached_property
    def idle(self) -> np.ndarray:
        """Entries that act on nothing, whatever the values: their samples have no yields, or their
        shapes do not vary."""
        acting = np.concatenate([self.structure.shared, self.structure.local])
        return np.setdiff1d(np.arange(self.size), acting)

    @cached_property
    def empty_bins(self) -> np.ndarray:
        """Bins in which nothing can be expected, (bins,) of bool."""
        filled = [np.isin(np.arange(p.pdf.n_bins), p.pdf.cells.bin) for p in self.signal.parts]
        return ~np.concatenate([*filled, np.ones(len(self.signal.results.observed), bool)])

    # Rates ---------------------------------------------------------------------------------------

    def physics(self, vector: Array) -> Array:
        """Return the entries that are parameters of the model (n,)."""
        return vector[: len(self.vector.parameters)]

    def inputs(
        self, vector: Array, scales: Sequence[Array | None]
    ) -> list[tuple[Array, Array | None]]:
        """Return each measurement's own parameter vector and the factors on its signal."""
        result: list[tuple[Array, Array | None]] = []
        parts = zip(self.signal.parts, self.vector.sources, scales, strict=True)
        for part, source, own_scales in parts:
            own = part.own_vector(vector, source)
            if part.pdf.signal_strength is not None and not part.responses:
                # Without densities the signal strength of the workspace itself is all there is.
                start = part.pdf.slices[part.pdf.signal_strength].start
                own = own.at[start].set(self.signal.strength(self.physics(vector)))
            result.append((own, own_scales))
        return result

    def rates(self, vector: Array | np.ndarray) -> Array:
        """Return the expected counts of all measurements, and the expectations of other results,
        (bins,)."""
        vector = jnp.asarray(vector)
        scales, expected = self.signal(self.physics(vector))
        inputs = self.inputs(vector, scales)
        rates = [
            part.pdf.rates(own, own_scales)
            for part, (own, own_scales) in zip(self.signal.parts, inputs, strict=True)
        ]
        if self.signal.results:
            rates.append(expected)
        return rates[0] if len(rates) == 1 else jnp.concatenate(rates)

    def derivatives(self, vector: Array) -> tuple[Array, Array, Array]:
        """Return rates (bins,) and their derivatives with respect to the entries in `structure`:
        dense columns (bins, shared) and one number a local entry (local,)."""
        n = len(self.vector.parameters)
        physics = self.physics(vector)
        of_parts, expected = self._at_fixed_signal(vector)
        slopes, slopes_of_results = self.signal.slopes(physics)
        columns = []
        for part, source, found, slope in zip(
            self.signal.parts, self.vector.sources, of_parts, slopes, strict=True
        ):
            structure = part.pdf.structure
            by_physics = jnp.zeros((part.pdf.n_bins, n))
            if slope is not None:
                in_bins = (np.arange(part.pdf.n_bins)[:, None] == structure.scale_bin).astype(float)
                by_physics = (in_bins * found.scales[None, :]) @ slope
            elif part.pdf.signal_strength is not None:
                strength = jax.jacfwd(self.signal.strength)(physics)
                column = np.flatnonzero(
                    structure.shared == part.pdf.slices[part.pdf.signal_strength].start
                )
                if column.size:  # a signal without yields has none
                    by_physics = found.shared[:, column] * strength[None, :]
            kept = np.flatnonzero(source[structure.shared] >= 0)
            columns.append((by_physics, take(found.shared.T, kept).T))
        if self.signal.results:
            columns.append((slopes_of_results, jnp.zeros((len(expected), 0))))
        rates, local = _rates_and_local(of_parts, expected)
        return rates, _side_by_side(columns), local

    def local_derivatives(self, vector: Array) -> tuple[Array, Array]:
        """Return rates (bins,) and their derivatives with respect to the local entries in
        `structure` (local,), as `derivatives` does, without the work for all others."""
        return _rates_and_local(*self._at_fixed_signal(vector))

    def _at_fixed_signal(self, vector: Array) -> tuple[list[Derivatives], Array]:
        """Return rates and derivatives of each measurement with counts at fixed signal, and what
        is expected of results (results,)."""
        factors, expected = self.signal(self.physics(vector))
        inputs = self.inputs(vector, factors)
        parts = zip(self.signal.parts, inputs, strict=True)
        return [p.pdf.derivatives(*own) for p, own in parts], expected

    # The density ---------------------------------------------------------------------------------

    def __call__(self, vector: Array | np.ndarray, data: Data | None = None) -> Array:
        """Return the log likelihood, constraints included; of the observation by default."""
        data = self.data if data is None else data
        return self.log_shape(vector, data) - self.log_norm(data)

    def log_shape(self, vector: Array | np.ndarray, data: Data, *, beyond: bool = False) -> Array:
        """Return the log likelihood but for terms without the parameters.

        With `beyond` empty bins add -rate where the rate is negative, too, as in pyhf, not -inf.
        """
        vector = jnp.asarray(vector)
        index, _, sigma = self.normal
        rates = self.rates(vector)
        result = self.data_distribution.shape(data.counts, rates)
        if not beyond:
            result = result + self.data_distribution.wall(data.counts, rates)
        result = result + normal_shape(vector, data.normal, index, sigma)
        index, _, factor = self.poisson
        if index.size:
            rates = take(vector, index) * factor
            result = result + jnp.sum(auxiliary_shape(jnp.asarray(data.poisson, float), rates))
        return result

    def log_norm(self, data: Data) -> Array | np.ndarray | float:
        """Return those terms: log Gamma functions of the counts, widths of the constraints."""
        observed, poisson = self.data_distribution.norm(data.counts), auxiliary_norm(data.poisson)
        return observed + poisson.sum() + normal_norm(self.normal[2])


def _rates_and_local(of_parts: list[Derivatives], expected: Array) -> tuple[Array, Array]:
    rates = jnp.concatenate([*(found.rates for found in of_parts), expected])
    return rates, jnp.concatenate([*(found.local for found in of_parts), jnp.zeros(0)])


def _side_by_side(columns: list[tuple[Array, Array]]) -> Array:
    """Stack the parts' bins; physics columns are common, nuisance columns are each part's own."""
    n_own = [own.shape[1] for _, own in columns]
    rows = []
    for i, (physics, own) in enumerate(columns):
        index = np.arange(n_own[i]) + sum(n_own[:i])
        rows.append(jnp.concatenate([physics, place(own, index, sum(n_own))], axis=1))
    return jnp.concatenate(rows)
