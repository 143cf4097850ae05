"""The signal of a model in the data: its parameters -> factors on templates, and expectations.

In one stage, or in two: what depends on the thresholds of continua alone, and the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn import errors
from bknn.analysis.counts import Part, Spectra
from bknn.analysis.results import Results
from bknn.analysis.two_stages import staged
from bknn.parameters import Parameter
from bknn.prediction import at_point
from bknn.prediction.at_once import at_once
from bknn.spectrum import Spectrum

#: The decay of a signal without a density.
DEFAULT_DECAY = "B+ -> K+"

#: Factors on the signal templates of each measurement with counts (None where the signal has no
#: density), and the expectations of the results that are not counts (results,).
Expectations = tuple[list[Array | None], Array]


class SignalLike(Protocol):
    """What a log density needs of a signal: all of it, or one whose thresholds are held."""

    @property
    def parts(self) -> tuple[Part, ...]: ...
    @property
    def results(self) -> Results: ...
    def __call__(self, physics: Array) -> Expectations: ...
    def slopes(self, physics: Array) -> Expectations: ...
    def with_slopes(self, physics: Array) -> tuple[Expectations, Expectations]: ...
    def strength(self, physics: Array) -> Array: ...


@dataclass(frozen=True, eq=False)
class Signal:
    """A model confronted with data.

    Attributes:
        model: makes the spectra.
        parameters: those that float; `physics` below is one number for each.
        constants: {name: value} of those that do not.
        parts: the measurements with counts.
        results: what was measured that is no count.
    """

    model: Any
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, float]
    parts: tuple[Part, ...]
    results: Results

    def values(self, physics: Array) -> dict[str, Any]:
        """Return {name: value} of all parameters of the model."""
        values: dict[str, Any] = dict(self.constants)
        if not self.parameters:
            return values
        # Apart at once: the transpose of that is one concatenation.
        apart = jnp.split(physics, len(self.parameters))
        return values | {p.name: x[0] for p, x in zip(self.parameters, apart, strict=True)}

    def spectrum(self, physics: Array, decay: str) -> Spectrum:
        """Return the model's spectrum of a decay."""
        return self.spectrum_of(self.values(physics), decay)

    def spectrum_of(
        self, values: Mapping[str, Any], decay: str, model: Any | None = None
    ) -> Spectrum:
        """Return the same at the values of all parameters; of `at_point`, where others ask there.

        Raises:
            ParameterError: the model returned something else.
        """
        spectrum = (self.model if model is None else model).spectrum(values, decay)
        if not isinstance(spectrum, Spectrum):
            raise errors.ParameterError(
                f"model {self.model.name!r} returned a {type(spectrum).__name__} as its spectrum "
                f"of {decay}; it must return a bknn.Spectrum."
            )
        return spectrum

    def spectra(self, values: Mapping[str, Any], model: Any | None = None) -> Spectra:
        """Return the spectra by the name of the decay, each made once; `model` as for
        `spectrum_of`."""
        here = at_point(self.model, values) if model is None else model
        return cache(lambda decay: self.spectrum_of(values, decay, here))

    def strength(self, physics: Array) -> Array:
        """Return the multiple of the template: all there is of a signal without a density."""
        return jnp.asarray(self.spectrum(physics, DEFAULT_DECAY).standard_model, float)

    @cached_property
    def thresholds(self) -> np.ndarray:
        """Positions of the parameters that say where continua begin, as masses do."""
        named = getattr(self.model, "thresholds", ())
        return np.array([i for i, p in enumerate(self.parameters) if p.name in named], int)

    def __call__(self, physics: Array, held: Array | None = None) -> Expectations:
        """Return factors and expectations at the parameters of the model (n,).

        With values of the thresholds' parameters in `held`, what depends on them alone is done
        without a look at the others.
        """
        values = self.values(physics)
        if held is not None:
            names = [self.parameters[i].name for i in self.thresholds]
            values |= {name: held[k] for k, name in enumerate(names)}
        here = at_point(self.model, values)
        spectra = self.spectra(values, here)
        once = held is not None
        of_parts = [part.uses(held=once) for part in self.parts]
        of_results = self.results.uses(self.model, held=once)
        asked = [*(x for uses in of_parts for x in uses), *of_results]
        found: list[Any] = at_once([(spectra(decay), use) for decay, use in asked])
        scales: list[Array | None] = []
        for part, uses in zip(self.parts, of_parts, strict=True):
            own_answers, found = found[: len(uses)], found[len(uses) :]
            scales.append(part.scales_of(own_answers) if uses else None)
        if not self.results:
            return scales, jnp.zeros(0)
        return scales, self.results.expected(here, values, found)

    def slopes(self, physics: Array) -> Expectations:
        """Return the derivatives with respect to the parameters of the model (n,)."""
        return self.with_slopes(physics)[1]

    def with_slopes(self, physics: Array) -> tuple[Expectations, Expectations]:
        """Return factors and expectations, and their derivatives with respect to the parameters of
        the model (n,)."""
        index = self.thresholds
        if not index.size:
            return _with_slopes(self, physics)
        # Shapes of a continuum cost more than their sum, but are free of most parameters.
        held = physics[index]
        by_physics = jax.jacfwd(lambda x: self(x, held))(physics)
        value, by_held = _with_slopes(lambda x: self(physics.at[index].set(x)), held)
        slopes = jax.tree.map(lambda all_, own: all_.at[..., index].add(own), by_physics, by_held)
        return value, slopes

    def in_two_stages(
        self,
    ) -> tuple[Callable[[Array], list[Array]], Callable[[list[Array]], HeldSignal]]:
        """Return what folds the continua for given thresholds, and what makes a signal of that."""
        index = self.thresholds

        def late(held: Array, physics: Array) -> Expectations:
            return self(physics, held)

        before, after = staged(late, jnp.zeros(len(index)), jnp.zeros(len(self.parameters)))
        return (
            lambda physics: before(physics[index]),
            lambda found: HeldSignal(self, lambda physics: after(found, physics)),
        )


@dataclass(frozen=True, eq=False)
class HeldSignal:
    """A signal of which something is held: thresholds, with continua folded already, or all of it.

    Attributes:
        signal: the signal itself.
        expectations: as `signal` at parameters (n,) with what is held, in a few multiplications.
    """

    signal: SignalLike
    expectations: Callable[[Array], Expectations]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The measurements with counts."""
        return self.signal.parts

    @property
    def results(self) -> Results:
        """What was measured that is no count."""
        return self.signal.results

    def __call__(self, physics: Array) -> Expectations:
        """Return factors and expectations at the parameters of the model (n,)."""
        return self.expectations(physics)

    def slopes(self, physics: Array) -> Expectations:
        """Return the derivatives with respect to the parameters of the model (n,)."""
        return self.with_slopes(physics)[1]

    def with_slopes(self, physics: Array) -> tuple[Expectations, Expectations]:
        """As of the signal itself."""
        return _with_slopes(self.expectations, physics)

    def strength(self, physics: Array) -> Array:
        """As of the signal itself."""
        return self.signal.strength(physics)


def _with_slopes(f: Callable[[Array], Expectations], x: Array) -> tuple[Expectations, Expectations]:
    """Return a function and its derivatives, traced once."""
    slopes, value = jax.jacfwd(lambda x: (f(x),) * 2, has_aux=True)(x)
    return value, slopes
