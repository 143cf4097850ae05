"""The derived quantities of a model at a fit, or in a posterior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn.questions.shared.numbers import in_digits, number

if TYPE_CHECKING:
    from bknn.inference.fits.result import FitResult
    from bknn.inference.posteriors.posterior import Posterior


def at_fit(result: FitResult) -> dict[str, tuple[float, float]]:
    """Return {name: (value, uncertainty)}, from the covariance of the fit; found once."""
    from bknn.prediction import derived_quantities
    from bknn.studies.observables.propagation import push
    from bknn.studies.observables.quantities import Quantity

    names = list(derived_quantities(result.target.model))
    if not names:
        return {}
    cache: dict[str, Any] = result.__dict__.setdefault("_derived", {})
    if "found" not in cache:
        wanted = [Quantity(name) for name in names]
        values, covariance = push(result.target, wanted).of_fit(result)
        pairs = np.stack([values, np.sqrt(np.diag(covariance))]).T
        cache["found"] = {n: (float(x), float(s)) for n, (x, s) in zip(names, pairs, strict=True)}
    return dict(cache["found"])


def rows(result: FitResult) -> list[tuple[str, ...]]:
    """Return rows for the table of parameters."""
    from bknn.prediction import derived_quantities

    declared = derived_quantities(result.target.model)
    return [
        (name, *in_digits(value, sigma), declared[name].unit, "derived")
        for name, (value, sigma) in at_fit(result).items()
    ]


def derived_json(result: FitResult) -> Mapping[str, Any]:
    """Return the entry of `result.json`: nothing for a model without derived quantities."""
    found = at_fit(result)
    if not found:
        return {}
    return {
        "derived": {
            name: {"value": number(value), "uncertainty": number(sigma)}
            for name, (value, sigma) in found.items()
        }
    }


def lines(posterior: Posterior) -> list[str]:
    """Return the medians and 68% ranges of a posterior's draws, one line each."""
    from bknn.prediction import derived_quantities
    from bknn.studies.observables.propagation import push
    from bknn.studies.observables.quantities import Quantity

    declared = derived_quantities(posterior.analysis.model)
    if not declared:
        return []
    draws = push(posterior.analysis, [Quantity(name) for name in declared]).of_draws(posterior, 0)
    found = []
    for quantity, column in zip(declared.values(), draws.T, strict=True):
        low, median, high = np.quantile(column, [0.16, 0.5, 0.84])
        unit = f" {quantity.unit}" if quantity.unit else ""
        found.append(f"{quantity.name}: {median:.3g} [{low:.3g}, {high:.3g}]{unit}")
    return found
