"""How well the best fit describes the data, by the saturated likelihood and toys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import short
from bknn.answers.outline import subject
from bknn.inference import chi_squared
from bknn.inference.datasets import saturated
from bknn.inference.estimate import Fraction, exceeding
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress, Work
from bknn.inference.slopes import slopes
from bknn.inference.toys.failures import Failures
from bknn.inference.toys.significance import best_fit
from bknn.inference.toys.toys import Toys, toys


@dataclass(frozen=True, eq=False, repr=False)
class GoodnessOfFit(Answer):
    """The saturated goodness of fit.

    Attributes:
        statistic: -2 log(L_best / L_sat) of the data.
        dof: bins and auxiliary measurements, minus parameters that floated. Nuisances that were
            fixed count in neither, and a parameter does not that moves no rate, or none but as
            others do.
        expected: the smallest expected count, infinite without counts. Below about 5 the statistic
            does not follow a chi2 distribution.
        toys: thrown at the best fit, and fitted as the data were.
        best: the fit of the data.
    """

    statistic: float
    dof: int
    expected: float
    toys: Toys
    best: FitResult

    @property
    def statistics(self) -> np.ndarray:
        """The statistic of the toys that did not fail."""
        return self.toys.goodness

    @property
    def fraction(self) -> Fraction:
        """Toys that are described no better than the data."""
        return exceeding(self.statistics, self.statistic)

    @property
    def p(self) -> float:
        return self.fraction.value

    @property
    def p_error(self) -> float:
        """Binomial error of p."""
        return self.fraction.error

    @property
    def failed(self) -> Failures:
        return self.toys.failed

    @property
    def asymptotic_p(self) -> float:
        """p if the statistic followed chi2 with `dof` degrees of freedom."""
        return chi_squared.tail(self.statistic, self.dof) if self.dof > 0 else float("nan")

    @property
    def converged(self) -> bool:
        """Whether the fits of the data and of all toys did."""
        return bool(self.best.converged) and not self.failed.count

    @property
    def status(self) -> str:
        """Which fits failed, in a sentence or two."""
        data = "" if bool(self.best.converged) else f"The fit of the data: {self.best.status} "
        return f"{data}{self.failed}."

    def shown(self) -> Shown:
        few = (
            f" (not to be trusted: a bin expects {self.expected:.2g})" if self.expected < 5 else ""
        )
        return Shown(
            f"Goodness of fit of {subject(self.best.target)}",
            notes=[
                f"-2 log(L/L_sat) = {self.statistic:.2f} with {self.dof} degrees of freedom; p = "
                f"{self.fraction} from toys, {short(self.asymptotic_p)} by chi2{few}.",
                self.status,
            ],
        )


def goodness_of_fit(
    analysis: Analysis,
    *,
    n: int = 1000,
    seed: int = 0,
    first: int = 0,
    fixed: Mapping[str, float] | None = None,
    data: Data | None = None,
    progress: Progress | None = None,
    work: Work | None = None,
) -> GoodnessOfFit:
    """Compare the data with toys thrown at the best fit, counts and auxiliary data alike.

    The statistic is -2 log L of the best fit above that of the saturated model, in which every
    count is as expected and every constraint at its centre (Baker and Cousins, Nucl. Instrum. Meth.
    221 (1984) 437; Cousins, "Generalization of chisquare goodness-of-fit test", 2013).

    Args:
        analysis: what is fitted.
        n: how many toys.
        seed, first: as for `toys`.
        fixed: {name: value} of parameters that do not float.
        data: one data set instead of the observation.
        progress: is called with the number of toys that have been done since the last call.
        work: as for `toys`.

    Raises:
        FitError: the fit of the data did not converge.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> good = inference.goodness_of_fit(analysis, n=100)
        >>> print(f"{good.statistic:.2f}, {good.dof}")
        26.64, 29
    """
    best = best_fit(analysis, fixed=fixed, data=data)
    observed = analysis.data if data is None else data
    vector = np.asarray(best.vector)
    settled = saturated(analysis, observed, vector=vector, moving=best.moving)
    rates = np.asarray(analysis.rates(vector))
    return GoodnessOfFit(
        statistic=float(best.twice_nll) - float(settled),
        dof=degrees(analysis, vector, best.moving),
        expected=float(rates[: analysis.data_distribution.n_counts].min(initial=np.inf)),
        toys=toys(
            analysis,
            best.vector,
            n,
            seed=seed,
            first=first,
            fixed=fixed,
            progress=progress,
            work=work,
        ),
        best=best,
    )


def degrees(analysis: Analysis, vector: np.ndarray, moving: np.ndarray) -> int:
    """Return the degrees of freedom: bins in which anything can be expected, minus directions in
    which free parameters move them. A constrained one brings its own measurement with it."""
    free = np.array(moving)
    free[analysis.normal[0]] = free[analysis.poisson[0]] = False
    columns = slopes(analysis, vector, np.flatnonzero(free))
    distribution = analysis.data_distribution
    columns /= np.asarray(distribution.resolution(analysis.rates(vector), 1e-10))[:, None]
    size = np.linalg.norm(columns, axis=0)
    some = size > 0
    rank = np.linalg.matrix_rank(columns[:, some] / size[some], 1e-9) if some.any() else 0
    return int(np.sum(~analysis.empty_bins)) - int(rank)
