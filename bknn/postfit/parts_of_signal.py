"""The standard model within a signal, for the models that have it in their continuum."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.analysis.analysis import Analysis
from bknn.prediction import knows_standard_model
from bknn.spectrum import Spectrum

#: The decay of the figures over q2.
DECAY = "B+ -> K+"

#: Differences smaller than this part of the whole are rounding.
_ROUNDING = 1e-9


def standard_model_of(model: Any) -> Any:
    """Return the standard model with the form factors and inputs of a model.

    None if the model has none of its own, but multiplies the measurement's template.
    """
    return model.standard_model() if knows_standard_model(model) else None


def standard_part(analysis: Analysis, physics: Array, decay: str = DECAY) -> Spectrum | None:
    """Return the spectrum of the standard model with the normalisation and form factors of a fit.

    None for models that multiply the measurement's template, which is known apart anyway. `physics`
    are the values of `analysis.parameters`; more may follow.
    """
    null = standard_model_of(analysis.model)
    if null is None:
        return None
    found: Spectrum = null.spectrum(_parameters(analysis, physics), decay)
    return found


def comes_on_top(analysis: Analysis, physics: Array) -> Array:
    """Return whether the continuum of a model is nowhere lower than that of the standard model.

    Otherwise new amplitudes interfere with those of the standard model, and there is no part of the
    signal that is the standard model's.
    """
    known = standard_part(analysis, physics)
    if known is None:
        return jnp.array(True)
    q2 = np.linspace(0.0, 23.0, 300)
    whole = continuum(analysis.model.spectrum(_parameters(analysis, physics), DECAY), q2)
    return jnp.all(whole - continuum(known, q2) >= -_ROUNDING * jnp.max(whole))


def continuum(spectrum: Spectrum, q2: Array | np.ndarray) -> Array:
    """Return the continuum at q2 (n,), zero if there is none."""
    q2 = jnp.asarray(q2)
    return jnp.zeros_like(q2) if spectrum.continuum is None else spectrum.continuum(q2)


def beyond(whole: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return what comes on top of the standard model, without rounding errors."""
    rest = whole - known
    smallest = _ROUNDING * float(np.max(np.abs(whole), initial=0.0))
    return np.where(np.abs(rest) > smallest, rest, 0.0)


def _parameters(analysis: Analysis, physics: Array) -> dict[str, Any]:
    floating = {p.name: physics[i] for i, p in enumerate(analysis.parameters)}
    return {"sm_normalisation": 1.0, **analysis.constants, **floating}
