"""The point at which data are made up."""

from __future__ import annotations

from collections.abc import Mapping

from jax.typing import ArrayLike

from bknn.analysis.analysis import Analysis
from bknn.inference.fits.fit import fit
from bknn.inference.fits.result import FitResult
from bknn.parameters import couplings_of


def truth(
    analysis: Analysis,
    point: Mapping[str, float] | None = None,
    *,
    fixed: Mapping[str, float] | None = None,
    nominal: bool = False,
    best: FitResult | None = None,
) -> dict[str, ArrayLike]:
    """Return a point {name: value} at which to throw toys, from one that names some parameters.

    All others are as they fit the data best at that point; but where it names a coupling, the
    couplings that it does not name are 0.

    Args:
        analysis: what is measured.
        point: {name: value} of the truth; the best fit by default.
        fixed: {name: value} of parameters that float in no fit; they are part of the truth.
        nominal: nuisances are where their constraints have them, not where the data do.
        best: the best fit, with the same `fixed`, if it is known.

    Raises:
        UnknownNameError: no such parameter.
        FitError: a fit did not converge.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> at = inference.truth(analysis, {"mu": 1.0})
        >>> toys = inference.toys(analysis, at, 100, coverage=True)
        >>> inference.coverage(toys, "mu").method
        'likelihood'
    """
    held = {**(fixed or {}), **(point or {})}
    couplings = set(couplings_of(analysis.model))
    if couplings & set(point or {}):
        own = {p.name for p in analysis.parameters} & couplings
        at = analysis.at(dict(point or {}))
        held = {name: float(x) for name, x in at.items() if name in own} | held
    if nominal or not point:
        best = best or fit(analysis, fixed=dict(fixed or {})).check()
    else:
        best = fit(analysis, fixed=held).check()
    if not nominal:
        return dict(best.params)
    own = {p.name for p in analysis.parameters if not p.nuisance and p.constraint is None}
    return {**analysis.init, **{k: v for k, v in best.params.items() if k in own}, **held}
