"""Which part of a rate: what an experiment sees, what is new in it, the standard model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from jax.typing import ArrayLike

from bknn import probe
from bknn.prediction.integrals import TEMPLATE
from bknn.spectrum import Spectrum

#: Which part of a rate: what an experiment sees, or what is new in it.
PARTS: Mapping[str, str] = {
    "all": "the standard model and what is new, as an experiment sees them",
    "new": "what is new alone, without the standard model",
}


def at_point(model: Any, params: Mapping[str, ArrayLike]) -> Any:
    """Return a model for use at these parameters {name: value}: where it has a method `at(params)`,
    as complete models do, what that returns, which computes what its spectra and its derived
    quantities have in common once."""
    return model.at(params) if hasattr(model, "at") else model


def spectrum_of(
    model: Any,
    params: Mapping[str, ArrayLike],
    channel: str,
    *,
    longitudinal: bool = False,
    part: str = "all",
) -> Spectrum:
    """Return the spectrum of a channel, or the longitudinal or new part of it.

    `longitudinal` and `part` are handed on to models whose `spectrum` takes them; of another one
    the multiple of the standard model's template is left out for `part="new"`.
    """
    options: dict[str, Any] = {"longitudinal": True} if longitudinal else {}
    if part == "new" and takes(model, "part"):
        options["part"] = part
    spectrum: Spectrum = model.spectrum(params, channel, **options)
    if part == "new" and not takes(model, "part"):
        return Spectrum(0.0, spectrum.continuum, spectrum.lines)
    return spectrum


def takes(model: Any, option: str) -> bool:
    """Return whether the `spectrum` of a model takes a keyword."""
    known = inspect.signature(model.spectrum).parameters
    return option in known or any(p.kind is p.VAR_KEYWORD for p in known.values())


def null_of(model: Any, params: Mapping[str, ArrayLike]) -> tuple[Any, Mapping[str, ArrayLike]]:
    """Return the standard model with the same form factors, inputs and nuisances, and its
    parameters."""
    if knows_standard_model(model):
        return model.standard_model(), {"sm_normalisation": 1.0, **params}
    if model.null and not _is_template(model):
        return model, {**params, **model.null}
    return _Template(), {}


def knows_standard_model(model: Any) -> bool:
    """Return whether a model makes the standard model of every decay, with form factors of its
    own."""
    return callable(getattr(model, "standard_model", None))


def _is_template(model: Any) -> bool:
    """Return whether the standard model of a model is the measurement's template."""
    return probe.traced(model, TEMPLATE).uses_template


class _Template:
    """The standard model behind the measurement's template, for models that multiply it."""

    def spectrum(self, params: Mapping[str, ArrayLike], channel: str) -> Spectrum:
        return Spectrum(standard_model=1.0)
