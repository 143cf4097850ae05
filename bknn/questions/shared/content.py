"""What `result.json` has of several questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn.questions.shared.absent import absent
from bknn.questions.shared.numbers import number
from bknn.questions.shared.provenance import provenance

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.inference.fits.result import FitResult


def content(
    result: FitResult, command: str, settings: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what `result.json` has of every command: model, data, best fit, provenance.

    Args:
        result: the best fit of an Analysis.
        command: name of the command.
        settings: its options, as given.
        more: what the command found.
    """
    analysis: Analysis = result.target
    curves = {"absent": absent(analysis, result.vector)} if analysis.results.curves else {}
    return {
        "command": command,
        "model": analysis.model.name,
        "data": [m.name for m in analysis.measurements],
        "fit": {**ended(result), "parameters": _parameters(result), **_derived(result)},
        **curves,
        **more,
        "provenance": provenance(analysis, settings),
    }


def ended(result: FitResult) -> dict[str, Any]:
    """Return how a fit ended."""
    return {
        "twice_nll": number(float(result.twice_nll)),
        "converged": bool(result.converged),
        "status": result.status,
    }


def _parameters(result: FitResult) -> dict[str, dict[str, Any]]:
    found = {}
    sigma = result.uncertainty_vector
    for i, name in enumerate(result.names):
        floats = bool(result.moving[i]) and sigma[i] > 0
        found[name] = {
            "value": number(result.vector[i]),
            "uncertainty": number(sigma[i]) if floats else None,
            "fixed": not bool(result.moving[i]),
        }
    for name, value in result.target.constants.items():
        found[name] = {"value": value, "uncertainty": None, "fixed": True}
    return found


def _derived(result: FitResult) -> dict[str, Any]:
    """Return the derived quantities; nothing for a model without."""
    from bknn.studies.observables.propagation import derived_of_fit

    found = {
        name: {"value": number(value), "uncertainty": number(sigma)}
        for name, (value, sigma) in derived_of_fit(result).items()
    }
    return {"derived": found} if found else {}


def priors_json(analysis: Analysis, moving: np.ndarray | None = None) -> dict[str, str]:
    """Return {name: prior in words} of the model's own parameters that float."""
    return {
        p.name: p.prior_with_range
        for i, p in enumerate(analysis.parameters)
        if not p.nuisance and (moving is None or moving[i])
    }


def estimate_json(found: Any) -> dict[str, Any]:
    """Return value, error and method of an estimate."""
    return {
        "value": number(float(found.value)),
        "error": number(float(found.error)),
        "method": found.method,
    }
