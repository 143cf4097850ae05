"""A fit with all that its figures show, so that they can be drawn from its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bknn import errors
from bknn.answers.answer import Answer, Shown
from bknn.inference import FitResult
from bknn.inference.fits.result import single
from bknn.postfit.counts import ChannelCounts, fitted, totals
from bknn.postfit.curves import Curves, curves
from bknn.postfit.parts_of_signal import DECAY, standard_model_of


@dataclass(frozen=True, eq=False, repr=False)
class Postfit(Answer):
    """A fit, and what it says of the counts and of the signal over q2.

    Attributes:
        fit: one fit of an Analysis.
        null: the fit of the standard model, None if there is none.
        channels: counts of each channel, in the order of the analysis.
        null_counts: counts that the fit of the standard model expects (bins,), or None.
        curves: the signal over q2, None where no measurement has densities.
        has_own: whether the model has a standard model of its own, in place of the template.
    """

    fit: FitResult
    null: FitResult | None
    channels: tuple[ChannelCounts, ...]
    null_counts: np.ndarray | None
    curves: Curves | None
    has_own: bool

    #: In files the arrays of the fit have no prefix.
    CALLED: ClassVar[Mapping[str, str]] = {"fit": ""}

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {"null_counts": ("counted",)}

    @property
    def converged(self) -> bool:
        """Whether both fits did."""
        return bool(self.fit.converged) and (self.null is None or bool(self.null.converged))

    @property
    def status(self) -> str:
        """How the fits ended, in sentences."""
        if self.null is None or bool(self.null.converged):
            return self.fit.status
        return f"{self.fit.status} The standard model: {self.null.status}"

    def columns(self) -> dict[str, Any]:
        """One row a bin."""
        names = [c.name for c in self.channels for _ in range(c.n_bins)]
        wanted = ("observed", "total", "sigma", "background", "standard_model", "new")
        arrays = {k: [getattr(c, k) for c in self.channels] for k in wanted}
        return {"channel": names, **{k: np.concatenate([[], *x]) for k, x in arrays.items()}}

    def shown(self) -> Shown:
        said = self.fit.shown()
        more = []
        if self.null is not None:
            higher = float(self.null.twice_nll) - float(self.fit.twice_nll)
            more.append(f"-2 log L of the standard model: {higher:.4f} more.")
        return Shown(said.title, said.head, said.rows, [*said.notes, *more])


def postfit(
    result: FitResult | Postfit, null: FitResult | None = None, *, over_q2: bool = True
) -> Postfit:
    """Return a fit with what its figures show.

    Args:
        result: one fit of an Analysis; what has it all already is returned as it is.
        null: the fit of the standard model to the same data.
        over_q2: whether to compute the signal over q2.

    Raises:
        ParameterError: a batch of fits, a fit of something that is not an Analysis, or a null fit
            of other data.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> belle2 = bknn.data.load("belle2-2025").select("hadronic")
        >>> analysis = bknn.Analysis(models.load("signal-strength"), belle2)
        >>> found = postfit(inference.fit(analysis), over_q2=False)
        >>> [channel.n_bins for channel in found.channels]
        [6]
    """
    if isinstance(result, Postfit):
        return result
    analysis = single(result, "a figure shows")
    channels = tuple(fitted(result))
    n_bins = sum(c.n_bins for c in channels)
    other = None if null is None else totals(null)
    if other is not None and len(other) != n_bins:
        raise errors.ParameterError(
            f"the fit has {n_bins} bins and the null fit {len(other)}; give fits of the same "
            "measurements."
        )
    has_spectrum = over_q2 and any(DECAY in part.decays for part in analysis.parts)
    return Postfit(
        result,
        null,
        channels,
        other,
        curves(result) if has_spectrum else None,
        standard_model_of(analysis.model) is not None,
    )
