"""What may be invisible: models, with their parameters and priors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from jax import Array

from bknn import errors
from bknn.analysis.signal_strength import SignalStrength
from bknn.models.aligned_u1.model import AlignedU1
from bknn.models.complete.dark_photon import DarkPhoton
from bknn.models.complete.higgs_portal import HiggsPortal
from bknn.models.complete.light_vector import LightVector
from bknn.models.complete.matching import Matched, Matching
from bknn.models.from_spectrum import FromSpectrum, from_spectrum
from bknn.models.pairs import (
    FermionPair,
    GravitinoPair,
    MajoranaGravitinoPair,
    MajoranaPair,
    RealScalarPair,
    RealVectorPair,
    ScalarPair,
    VectorPair,
)
from bknn.models.particles import Scalar, Vector
from bknn.models.resonance import Resonance
from bknn.models.theory import StandardModel
from bknn.models.wet import WET
from bknn.models.wet_rhn import WETWithRightHandedNeutrinos
from bknn.parameters import Parameter
from bknn.spectrum import Spectrum

__all__ = [
    "WET",
    "AlignedU1",
    "DarkPhoton",
    "FermionPair",
    "FromSpectrum",
    "GravitinoPair",
    "HiggsPortal",
    "LightVector",
    "MajoranaGravitinoPair",
    "MajoranaPair",
    "Matched",
    "Matching",
    "Model",
    "RealScalarPair",
    "RealVectorPair",
    "Resonance",
    "Scalar",
    "ScalarPair",
    "SignalStrength",
    "StandardModel",
    "Vector",
    "VectorPair",
    "WETWithRightHandedNeutrinos",
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

    It predicts the channels that its `spectrum` answers for; it raises something for others. It may
    have more: `spectrum` may take `longitudinal` (decays with the vector meson in helicity 0 alone)
    and `part` ("new": without the standard model); `nuisances(channels)` returns parameters that
    only some channels depend on; `kinks(channel)` the q2 where a spectrum is not smooth, the end of
    phase space last; `form_factors` names sets for tables; `thresholds` names the parameters that
    decide where continua begin. Where fits hold those, continua that are sums of shapes are folded
    once. `derived_quantities` declares numbers that `derived(params)` makes of the parameters, by
    name (`bknn.DerivedQuantity`): they can be predicted, and data can constrain them. `groups()`
    says which of them are computed together (`bknn.prediction.Group`), and `at(params)` returns the
    model for use at one point, where it computes what all of this shares once.
    `check(values)` refuses values that make no sense together, and `remarks(values)` returns
    sentences of warning.
    CONTRIBUTING.md has examples.
    """

    name: str
    description: str
    parameters: Sequence[Parameter]
    null: Mapping[str, float]

    def spectrum(self, params: Mapping[str, Array], channel: str) -> Spectrum:
        """Return dBR/dq2 of a decay channel ("B+ -> K+", ...) at the parameters {name: scalar}."""
        ...


_MODELS: dict[str, Any] = {
    m.name: m
    for m in (
        SignalStrength,
        Resonance,
        StandardModel,
        WET,
        WETWithRightHandedNeutrinos,
        Scalar,
        Vector,
        ScalarPair,
        RealScalarPair,
        FermionPair,
        MajoranaPair,
        VectorPair,
        RealVectorPair,
        GravitinoPair,
        MajoranaGravitinoPair,
        HiggsPortal,
        DarkPhoton,
        AlignedU1,
    )
}


def available() -> dict[str, str]:
    """Return {name: description} of the models that `load` knows.

    >>> "vector" in available()
    True
    """
    return {name: model.description for name, model in _MODELS.items()}


def load(name: str, **options: Any) -> Model:
    """Return a model by name.

    Args:
        name: one of `available()`.
        options: what the model takes: `form_factors` (names of sets), `inputs`, `long_distance`
            for the models with form factors, `basis` ("parity" or "chiral") for those with light
            particles, `wilson_coefficients` for the effective theories, `kinetic` for those with
            dark matter.

    Raises:
        UnknownNameError: no such model, or no such set or basis; close matches are named.
        ParameterError: an option that the model does not take.

    >>> [p.name for p in load("resonance").parameters]
    ['mass', 'branching_ratio', 'width', 'sm_normalisation']
    >>> [p.name for p in load("scalar", basis="chiral").parameters]
    ['mass', 'width', 'C_S_L', 'C_S_R', 'sm_normalisation']
    """
    if name not in _MODELS:
        raise errors.unknown("model", name, _MODELS)
    model = _MODELS[name]
    takes = _options(model)
    for option in options:
        if option not in takes:
            known = f"it takes {', '.join(takes)}" if takes else "it has no options"
            raise errors.ParameterError(
                f"model {name!r} does not take the option {option!r}; {known}."
            )
    return model(**options)


def _options(model: type) -> list[str]:
    """Names of the keyword options of a model, those of its bases included."""
    found: list[str] = []
    for cls in model.__mro__:
        if "__init__" in vars(cls) and cls is not object:
            signature = inspect.signature(vars(cls)["__init__"])
            found += [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    return found
