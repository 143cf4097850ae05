"""Two-sided intervals of one parameter: where the asymptotic likelihood ratio crosses a level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from scipy.special import ndtri

from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span
from bknn.inference import few_events
from bknn.inference.limits.conditional_fits import Conditional
from bknn.inference.limits.limit import in_pieces
from bknn.inference.limits.remarks import (
    FOUND,
    carried_by,
    check_level,
    in_words,
    some_of,
    spread,
    summed_up,
)
from bknn.inference.limits.roots import BEYOND, EDGE, LOST, crossings
from bknn.inference.pieces import Progress, Work


@dataclass(frozen=True, eq=False, repr=False)
class TwoSided(Answer):
    """Likelihood intervals of a parameter at the n points of a grid (n = 1 without one).

    Attributes:
        parameter, cl, grid: as of `Limit`.
        best: best fit (n,).
        low, high: ends of the interval (n,), NaN where a fit failed.
        low_at_bound, high_at_bound: whether an end is the bound of the parameter (n,) of bool.
        remarks: one sentence a point.
        label, units: as of `Limit`.
    """

    parameter: str
    cl: float
    grid: dict[str, np.ndarray]
    best: np.ndarray
    low: np.ndarray
    high: np.ndarray
    low_at_bound: np.ndarray
    high_at_bound: np.ndarray
    remarks: tuple[str, ...]
    label: str = ""
    units: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """What was found, and where it was not."""
        return summed_up(self.remarks, "interval", self.grid)

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        each = ("grid", "best", "low", "high", "low_at_bound", "high_at_bound")
        return dict.fromkeys(each, ("point",))

    def field_units(self) -> dict[str, str]:
        return dict.fromkeys(("best", "low", "high"), self.units.get(self.parameter, ""))

    @property
    def converged(self) -> np.ndarray:
        """Whether both ends were found (n,)."""
        return np.array([text.startswith(FOUND) for text in self.remarks], bool)

    def columns(self) -> dict[str, Any]:
        """One row a point."""
        return {**self.grid, "best": self.best, "low": self.low, "high": self.high}

    def shown(self) -> Shown:
        unit = self.units.get(self.parameter, "")
        shown = spread(len(self.best))
        rows = [
            (
                *(f"{x[i]:.4g}" for x in self.grid.values()),
                f"{self.best[i]:.4g}",
                span(self.low[i], self.high[i], unit),
            )
            for i in shown
        ]
        title = f"{100 * self.cl:g}% interval of {self.parameter}: {self.label}"
        head = (*self.grid, "best fit", "interval")
        return Shown(title, head, rows, [some_of(shown, self.best), self.status])


def two_sided(
    analysis: Analysis,
    poi: str,
    *,
    over: Mapping[str, ArrayLike] | None = None,
    cl: float = 0.95,
    fixed: Mapping[str, ArrayLike] | None = None,
    data: Data | None = None,
    progress: Progress | None = None,
    work: Work | None = None,
) -> TwoSided:
    """Two-sided intervals from the profile likelihood, at all points of a grid at once.

    The ends are where -2 ln L is above its minimum by the quantile of chi^2 with one degree of
    freedom: the interval that holds the best fit, closed by the bounds of the parameter.

    Args, Raises: as `limit`.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> found = inference.two_sided(analysis, "mu")
        >>> print(f"{found.low[0]:.2f} < mu < {found.high[0]:.2f}")
        2.00 < mu < 7.29
    """
    check_level(cl)
    if work:
        options = {"poi": poi, "cl": cl}
        found = in_pieces(work, _two_sided_piece, analysis, over, fixed, data, options, progress)
        return TwoSided(
            poi, cl, **{**found, "remarks": tuple(found["remarks"])}, **in_words(analysis)
        )
    fits = Conditional(analysis, poi, over, fixed, rows=2, progress=progress)
    observation = fits.observation(data)
    n, everything = fits.n, np.arange(fits.n)
    best = fits.free(everything, observation, np.zeros((n, 0, analysis.size)))
    target = -ndtri((1 - cl) / 2)
    points = np.tile(everything, 2)
    side = np.repeat([-1.0, 1.0], n)
    for _ in range(3):
        warm = best.vector[points]
        centre = warm[:, fits.index]
        improved = np.zeros(n, bool)

        def function(lanes: np.ndarray, x: np.ndarray, warm: np.ndarray = warm) -> np.ndarray:
            i = points[lanes]
            found = fits.at(i, x, observation, warm[lanes])
            warm[lanes[found.ok]] = found.vector[found.ok]
            above = found.twice_nll - best.twice_nll[i]
            lower = found.ok & (above < -1e-7)
            improved[i[lower]] = True  # noqa: B023
            above = np.sqrt(np.maximum(above, 0.0))
            return np.where(found.ok & best.ok[i], above - target, np.nan)

        guess = np.concatenate([fits.distance(best.vector, target, s) for s in (-1.0, 1.0)])
        ends, outcome = crossings(
            function,
            centre,
            np.full(2 * n, -target),
            centre + side * guess,
            np.repeat([fits.bound_low, fits.bound_high], n),
        )
        if not improved.any():
            break
        # The best fit was none: from the lowest point that was met, once more.
        again = fits.free(everything, observation, np.stack([warm[:n], warm[n:]], axis=1))
        for old, new in zip(best, again, strict=True):
            old[improved] = new[improved]
    at_bound = (outcome == BEYOND).reshape(2, n)
    bounds = np.array([[fits.bound_low], [fits.bound_high]])
    low, high = np.where(at_bound, bounds, ends.reshape(2, n))
    status = []
    for i in range(n):
        if not best.ok[i]:
            status.append("failed: the best fit did not converge.")
        elif (outcome.reshape(2, n)[:, i] == LOST).any():
            status.append("failed: a fit on the way to an end did not converge.")
        elif improved[i]:
            status.append("doubtful: the likelihood has lower minima than the best fit found.")
        else:
            ends_at = [w for w, at in zip(("lower", "upper"), at_bound[:, i], strict=True) if at]
            text = f"; the {' and '.join(ends_at)} end is a bound" if ends_at else ""
            edge = outcome.reshape(2, n)[:, i] == EDGE
            if edge.any():
                which = " and ".join(
                    w for w, at in zip(("lower", "upper"), edge, strict=True) if at
                )
                text += f"; at the {which} end an expected count vanishes, beyond it is negative"
            finite = [x for x in (low[i], high[i]) if np.isfinite(x)]
            events = [carried_by(fits, observation, best.vector[i], x)[1] for x in finite]
            few = few_events.remark(min(events, default=np.inf))
            status.append(FOUND + text + (f"; {few}" if few else ""))
    return TwoSided(
        poi,
        cl,
        fits.grid,
        np.where(best.ok, best.vector[:, fits.index], np.nan),
        low,
        high,
        at_bound[0],
        at_bound[1],
        tuple(status),
        **in_words(analysis),
    )


def _two_sided_piece(analysis: Analysis, **options: Any) -> dict[str, np.ndarray]:
    found = two_sided(analysis, **options)
    names = ("best", "low", "high", "low_at_bound", "high_at_bound", "remarks")
    return {name: np.asarray(getattr(found, name)) for name in names}
