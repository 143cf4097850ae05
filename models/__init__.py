"""What may be invisible: each file one model, with its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from jax import Array

from bknn import errors
from bknn.models.from_spectrum import FromSpectrum, from_spectrum
from bknn.models.resonance import Resonance
from bknn.models.signal_strength import SignalStrength
from bknn.parameters import Parameter
from bknn.spectrum import Spectrum

__all__ = [
    "FromSpectrum",
    "Model",
    "Resonance",
    "SignalStrength",
    "available",
    "from_spectrum",
    "load",
]


def __dir__() -> list[str]:
    return sorted(__all__)


@runtime_checkable
class Model(Protocol):
    """What an Analysis needs of a model; any object that has this will do.

    Attributes:
        name, description: for tables.
        parameters: in the order of tables and vectors.
        null: parameter values of the standard model; the others stay free in the null fit.
    """

    name: str
    description: str
    parameters: Sequence[Parameter]
    null: Mapping[str, float]

    def spectrum(self, params: Mapping[str, Array], channel: str) -> Spectrum:
        """Return dBR/dq2 of a decay channel ("B+ -> K+", ...) at the parameters {name: scalar}."""
        ...


_MODELS: dict[str, Any] = {m.name: m for m in (SignalStrength, Resonance)}


def available() -> dict[str, str]:
    """Return {name: description} of the models that `load` knows.

    >>> sorted(available())
    ['resonance', 'signal-strength']
    """
    return {name: model.description for name, model in _MODELS.items()}


def load(name: str) -> Model:
    """Return a model by name.

    Raises:
        UnknownNameError: no such model; close matches are named.

    >>> [p.name for p in load("resonance").parameters]
    ['mass', 'branching_ratio', 'width', 'sm_normalisation']
    """
    if name not in _MODELS:
        raise errors.unknown("model", name, _MODELS)
    return _MODELS[name]()
