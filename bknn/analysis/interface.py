"""What inference sees of an analysis: a flat vector goes in, a log density comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.analysis import ranges
from bknn.analysis.log_density import Data, LogDensity, Structure
from bknn.analysis.results import Results
from bknn.analysis.signal import Signal
from bknn.analysis.vector import Parameters, Vector
from bknn.likelihood.data_distribution import DataDistribution
from bknn.prediction import at_point


class Interface:
    """`Vector`, `Signal` and `LogDensity` of an analysis, as one object.

    Each word is forwarded by hand, so that types and help are those of one class; an attribute that
    looks names up would have neither.

    Attributes:
        vector: what the entries of the flat vector are.
        signal: what the model makes of templates and results.
        density: the log density of both.
    """

    vector: Vector
    signal: Signal
    density: LogDensity

    # The flat vector -----------------------------------------------------------------------------

    @property
    def results(self) -> Results:
        """Measured numbers other than counts."""
        return self.signal.results

    @property
    def sources(self) -> tuple[np.ndarray, ...]:
        """Of each measurement with counts, where its own parameters stand in the flat vector."""
        return self.vector.sources

    @property
    def nuisances(self) -> dict[str, slice]:
        """Where each nuisance set lies in the flat vector."""
        return self.vector.nuisances

    @property
    def names(self) -> tuple[str, ...]:
        """One name an entry of the flat vector."""
        return self.vector.names

    @property
    def given_bounds(self) -> Mapping[str, ranges.Bounds]:
        """Bounds that were given in place of those of the model and the measurements."""
        return self.vector.given_bounds

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return self.vector.size

    @property
    def init_vector(self) -> np.ndarray:
        """Starting point (size,)."""
        return self.vector.init

    @property
    def bounds(self) -> np.ndarray:
        """Lower and upper bounds (size, 2); infinite where there is none."""
        return self.vector.bounds

    @property
    def fixed(self) -> np.ndarray:
        """Entries that the workspace declares fixed, (size,) of bool."""
        return self.vector.fixed

    @property
    def normal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normally constrained entries of the vector, what was measured, and widths, (n,) each."""
        return self.vector.normal

    @property
    def poisson(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Poisson-constrained entries of the vector, auxiliary counts, and rate factors, (p,)."""
        return self.vector.poisson

    def flatten(self, params: Parameters) -> Array:
        """Return the flat vector (size,) of `{name: value}`; a flat vector passes through.

        Raises:
            UnknownNameError: a name the analysis does not have.
            ParameterError: a missing name or a wrong shape.
        """
        return self.vector.flatten(params)

    def unflatten(self, vector: ArrayLike) -> dict[str, Array]:
        """Return `{name: value}` of a flat vector (size,), or of a batch (..., size)."""
        return self.vector.unflatten(vector)

    def index(self, name: str) -> int:
        """Position of a flat name (`mass`, `staterror[0]`) in the vector.

        Raises:
            UnknownNameError: no such name; close matches are named.
        """
        return self.vector.index(name)

    # The density -------------------------------------------------------------------------------

    @property
    def n_bins(self) -> int:
        """How many numbers were observed: bins with counts, then other results."""
        return self.density.n_bins

    @property
    def data_distribution(self) -> DataDistribution:
        """The distribution of the data, given their expectations."""
        return self.density.data_distribution

    @property
    def data(self) -> Data:
        """The observation."""
        return self.density.data

    @property
    def structure(self) -> Structure:
        """Which entries of the flat vector act on many bins, and which on one only."""
        return self.density.structure

    @property
    def idle(self) -> np.ndarray:
        """Entries of the flat vector that act on nothing, whatever the values: their samples have
        no yields, or their shapes do not vary."""
        return self.density.idle

    @property
    def empty_bins(self) -> np.ndarray:
        """Bins in which nothing can be expected, (bins,) of bool."""
        return self.density.empty_bins

    @property
    def thresholds(self) -> np.ndarray:
        """Positions of the model's parameters that say where continua begin, as masses do."""
        return self.signal.thresholds

    def holding_thresholds(
        self,
    ) -> tuple[Callable[[Array], list[Array]], Callable[[list[Array]], LogDensity]]:
        """Return the two stages of a fit in which no threshold moves.

        `before(vector)` folds the continua for the thresholds of a vector (size,), and
        `then(found)` is the density at vectors with those thresholds: its rates and their
        derivatives cost a few multiplications. To be used within one program.
        """
        return self.density.holding_thresholds()

    def part_inputs(self, vector: Array) -> list[tuple[Array, Array | None]]:
        """Return each measurement's own parameter vector and signal factors."""
        return self.density.inputs(vector, self.signal(self.density.physics(vector))[0])

    def rates(self, vector: Array | np.ndarray) -> Array:
        """Return the expected counts of all measurements, and the expectations of other results,
        (bins,) at the flat vector (size,)."""
        return self.density.rates(vector)

    def curves_inside(self, vector: Array) -> Array:
        """Return whether each limit in a range says something at the flat vector (size,), (curves,)
        of bool: outside of its range its term is absent."""
        physics = self.density.physics(jnp.asarray(vector))
        if not self.results.curves:
            return jnp.zeros(0, bool)
        values = self.signal.values(physics)
        here = at_point(self.signal.model, values)
        return self.results.inside(here, values, self.signal.spectra(values, here))

    def expected_results(self, vector: Array) -> Array:
        """Return the expectations of the results that are not counts, (results,)."""
        return self.signal(self.density.physics(vector))[1]

    def derivatives(self, vector: Array) -> tuple[Array, Array, Array]:
        """Return rates (bins,) and their derivatives with respect to the entries in `structure`:
        dense columns (bins, shared) and one number a local entry (local,)."""
        return self.density.derivatives(vector)

    def local_derivatives(self, vector: Array) -> tuple[Array, Array]:
        """Return rates (bins,) and their derivatives with respect to the local entries in
        `structure` (local,), as `derivatives` does, without the work for all others."""
        return self.density.local_derivatives(vector)

    def log_density(self, vector: Array | np.ndarray, data: Data | None = None) -> Array:
        """Return the log likelihood at the flat vector (size,), constraints included."""
        return self.density(vector, data)

    def log_shape(self, vector: Array | np.ndarray, data: Data, *, beyond: bool = False) -> Array:
        """Return the log likelihood but for terms without the parameters (size,).

        With `beyond` empty bins add -rate where the rate is negative, too, as in pyhf, not -inf.
        """
        return self.density.log_shape(vector, data, beyond=beyond)

    def log_norm(self, data: Data) -> Array | np.ndarray | float:
        """Return those terms: log Gamma functions of the counts, widths of the constraints."""
        return self.density.log_norm(data)
