"""How improbable data are without a signal: at one place (local), and anywhere (global)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import short, with_error
from bknn.answers.outline import subject
from bknn.inference import chi_squared, few_events
from bknn.inference.datasets import rows_of
from bknn.inference.estimate import EXACT, Fraction, exceeding
from bknn.inference.fits.fit import checked_data, fit
from bknn.inference.fits.position_scan import Scan, meaningless
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress, Work
from bknn.inference.toys.failures import Failures
from bknn.inference.toys.lowest_minima import Search
from bknn.inference.toys.toys import Toys
from bknn.inference.toys.toys import toys as fitted_toys
from bknn.inference.toys.upcrossings import Upcrossings, upcrossings

#: The label of the null in the toys of a significance.
NULL = "null"


@dataclass(frozen=True, eq=False, repr=False)
class Significance(Answer):
    """The likelihood ratio of the null and the best fit.

    Attributes:
        t: -2 log(L_null / L_best).
        tested: {name: null value} of what the null fixes and what means something there.
        meaningless: parameters on which no rate depends under the null.
        sign: -1 if one parameter was tested and came out below its null value, else 1.
        status: when the asymptotic formula holds, and whether it does here.
        null, best: the two fits.
        toys: thrown at the null's fit; None if there are none.
        upcrossings: of the parameter that means nothing under the null; None if that is not exactly
            one, or not one that can be scanned.
    """

    t: float
    tested: Mapping[str, float]
    meaningless: tuple[str, ...]
    sign: int
    status: str
    null: FitResult
    best: FitResult
    toys: Toys | None
    upcrossings: Upcrossings | None

    @property
    def converged(self) -> bool:
        """Whether both fits did."""
        return bool(self.null.converged) and bool(self.best.converged)

    @property
    def dof(self) -> int:
        """How many parameters the null fixes that mean something there."""
        return len(self.tested)

    @property
    def p(self) -> float:
        """Local p: one-sided for one parameter, by chi2 with `dof` degrees of freedom for more."""
        if self.dof == 1:
            return float(ndtr(-self.sign * math.sqrt(self.t)))
        return chi_squared.tail(self.t, self.dof)

    @property
    def z(self) -> float:
        """Local significance in standard deviations: sqrt(t) with its sign for one parameter."""
        if self.dof == 1:
            return self.sign * math.sqrt(self.t)
        return float(-ndtri(self.p))

    @property
    def statistics(self) -> np.ndarray:
        """t of the toys that did not fail (n,); negative where the tested parameter came out low.

        Raises:
            ParameterError: there are no toys.
        """
        if self.toys is None:
            raise errors.ParameterError(
                "this significance has no toys, so there is no global p; ask for "
                "significance(..., toys=10000)."
            )
        return _signed(self.toys, self.tested)

    @property
    def fraction(self) -> Fraction:
        """Toys that differ from the null at least as much as the data."""
        return exceeding(self.statistics, self.sign * self.t)

    @property
    def global_p(self) -> float:
        """Fraction of toys with a larger t, wherever it is; see `fraction.upper` if it is zero."""
        return self.fraction.value

    @property
    def global_p_error(self) -> float:
        """Binomial error of the global p."""
        return self.fraction.error

    @property
    def global_z(self) -> float:
        """The global p in standard deviations, one-sided; a limit if no toy exceeds or all do."""
        return self.fraction.z

    @property
    def global_z_error(self) -> float:
        return self.fraction.z_error

    @property
    def asymptotic_global_p(self) -> float:
        """Global p by the formula of Gross and Vitells; NaN without upcrossings."""
        if self.upcrossings is None:
            return math.nan
        return self.upcrossings.p(self.t, self.p)

    @property
    def n_toys(self) -> int:
        return 0 if self.toys is None else self.toys.n

    @property
    def failed(self) -> Failures:
        """Toys whose fits failed; they are in no p."""
        return Failures((), 0, {}) if self.toys is None else self.toys.failed

    def shown(self) -> Shown:
        lines = [f"local: t = {self.t:.3f}, z = {self.z:.2f}, p = {short(self.p)}."]
        if self.toys is not None:
            f = self.fraction
            sign = "= " if 0 < f.k < f.n else ""
            lines.append(
                f"global: p {sign}{f}, z {sign}{f.z_text}, from {self.n_toys} toys. "
                f"{self._on_failures()}"
            )
        if self.upcrossings is not None:
            u = self.upcrossings
            lines.append(
                f"global by Gross and Vitells: p = {short(self.asymptotic_global_p)}, from "
                f"{with_error(u.mean, u.error)} upcrossings of t = {u.level:g}."
            )
        return Shown(f"Significance of {subject(self.best.target)}", notes=[*lines, self.status])

    def _on_failures(self) -> str:
        failed = self.failed
        if not failed.count:
            return f"{failed}."
        worst = Fraction(self.fraction.k + failed.count, self.n_toys)
        return f"{failed}; if all of them exceeded the data, p would be {short(worst.value)}."


def significance(
    analysis: Analysis,
    *,
    toys: int | Toys = 0,
    seed: int = 0,
    first: int = 0,
    fixed: Mapping[str, float] | None = None,
    data: Data | None = None,
    progress: Progress | None = None,
    work: Work | None = None,
) -> Significance:
    """Compare the data with the null of a model, and with toys of the null.

    Local: the probability of a larger t = -2 log(L_null / L_best) at one place, by its asymptotic
    distribution (Wilks; for a parameter at its bound Chernoff, arXiv:1007.1727). Global: the
    fraction of toys of the null, nuisances as fitted under the null to the data, whose t is larger
    wherever their best fit is; everything that floats in the fit of the data floats in theirs.

    Args:
        analysis: with a model that has null values.
        toys: how many to throw, or toys of `inference.toys` with the hypothesis "null".
        seed, first: as for `inference.toys`.
        fixed: {name: value} of parameters that float in neither fit.
        data: one data set instead of the observation.
        progress: is called with the number of toys that have been done since the last call.
        work: as for `inference.toys`.

    Raises:
        ParameterError: the model has no null, or nothing that it fixes floats.
        FitError: a fit of the data did not converge.
        DataError: toys of something else.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> found = inference.significance(analysis)
        >>> print(f"{found.z:.2f} standard deviations from {dict(found.tested)}")
        2.72 standard deviations from {'mu': 1.0}
    """
    fixed = dict(fixed or {})
    values = {k: v for k, v in analysis.null_values().items() if k not in fixed}
    if not analysis.model.null:
        raise errors.ParameterError(
            f"model {analysis.model.name!r} has no null values: the standard model is not one of "
            "its points, and the likelihood ratio has no known distribution. Give the model null "
            "values (`null=` of bknn.models.from_spectrum), or compare fits by hand."
        )
    best = best_fit(analysis, fixed=fixed, data=data).check()
    # What is fixed on purpose stays so under the null, too.
    null = fit(analysis, fixed={**values, **fixed}, data=data)
    null.check()
    candidates = [p.name for p in analysis.parameters if not p.nuisance and p.name not in fixed]
    nothing = tuple(meaningless(analysis, np.asarray(null.vector), candidates))
    tested = {k: v for k, v in values.items() if k not in nothing}
    if not tested:
        raise errors.ParameterError(
            f"nothing that the null of model {analysis.model.name!r} fixes floats in the fit, so "
            "the two fits are one; fix fewer parameters."
        )
    t = max(float(null.twice_nll) - float(best.twice_nll), 0.0)
    sign = 1
    if len(tested) == 1:
        ((name, value),) = tested.items()
        sign = -1 if float(best.vector[analysis.index(name)]) < value else 1
    ensemble: Toys | None = None
    if isinstance(toys, Toys):
        ensemble = toys
        _check(ensemble, analysis, null, values, fixed)
    elif toys:
        ensemble = fitted_toys(
            analysis,
            null.vector,
            int(toys),
            seed=seed,
            first=first,
            hypotheses={NULL: values},
            fixed=fixed,
            progress=progress,
            work=work,
        )
    return Significance(
        t=t,
        tested=tested,
        meaningless=nothing,
        sign=sign,
        status=_statement(analysis, np.asarray(null.vector), tested, nothing)
        + _few(analysis, null, best, tested)
        + _edge(best),
        null=null,
        best=best,
        toys=ensemble,
        upcrossings=upcrossings(analysis, null, fixed, seed) if ensemble is not None else None,
    )


def best_fit(
    analysis: Analysis,
    *,
    fixed: Mapping[str, float] | None = None,
    data: Data | None = None,
) -> FitResult:
    """Return the best fit, searched as in toys: what they find must be found in the data, too."""
    given = analysis.data if data is None else checked_data(data, analysis)
    if np.ndim(given.counts) != 1:
        raise errors.ParameterError(
            f"{len(given.counts)} data sets came; give one, as in Data(*(x[0] for x in data))."
        )
    best = fit(analysis, fixed=fixed, data=data)
    if Scan.of(analysis, fixed or {}) is None:
        return best
    search = Search(analysis, np.asarray(best.vector), {}, fixed or {})
    found, _ = search.fit(rows_of(given, 1))
    if best.converged and 2 * found.value[0] > best.twice_nll - EXACT:
        return best
    names = [*(p.name for p in analysis.parameters), *analysis.nuisances]
    params = analysis.unflatten(found.vector[0])
    start = {n: np.asarray(params[n]) for n in names if n not in (fixed or {})}
    better = fit(analysis, fixed=fixed, init=start, data=data)
    return better if better.twice_nll < best.twice_nll or not best.converged else best


def _check(
    toys: Toys,
    analysis: Analysis,
    null: FitResult,
    values: Mapping[str, float],
    fixed: Mapping[str, float],
) -> None:
    """Refuse toys that were not thrown at this null, or not fitted with it."""
    toys.check_is_of(analysis, fixed)
    if dict(toys.hypotheses.get(NULL, {})) != dict(values):
        raise errors.DataError(
            f"the toys were not fitted with the null of the model ({dict(values)}) as the "
            f"hypothesis {NULL!r}; fit them with hypotheses={{{NULL!r}: analysis.null_values()}}."
        )
    here = np.asarray(null.vector)
    truth = np.array([toys.truth[name] for name in analysis.names])
    if not np.allclose(truth, here, rtol=1e-4, atol=1e-4 * np.abs(here).max(initial=1e-9)):
        i = int(np.argmax(np.abs(truth - here)))
        raise errors.DataError(
            "the toys were thrown elsewhere than at the fit of the null to the data "
            f"({analysis.names[i]} = {truth[i]:g} instead of {here[i]:g}); throw them at "
            "fit_null(analysis).vector."
        )


def _signed(toys: Toys, tested: Mapping[str, float]) -> np.ndarray:
    t = toys.statistic(NULL)
    if len(tested) != 1:
        return t
    ((name, value),) = tested.items()
    return np.where(toys.estimates[name][toys.good] < value, -t, t)


def _statement(
    analysis: Analysis,
    null: np.ndarray,
    tested: Mapping[str, float],
    nothing: tuple[str, ...],
) -> str:
    """Say whether the asymptotic formula holds."""
    index = [analysis.index(name) for name in tested]
    slopes = np.asarray(
        jax.jacfwd(lambda x: analysis.rates(_replaced(null, index, x)))(null[index])
    )
    size = np.abs(slopes).max(axis=0)
    lower, upper = analysis.bounds[index].T
    squares = [n for n, s in zip(tested, size, strict=True) if not s > 0]
    values = null[index]
    at_bound = [
        n
        for n, x, a, b in zip(tested, values, lower, upper, strict=True)
        if (x <= a or x >= b) and n not in squares
    ]
    names = _listed([*tested])
    k = len(tested)
    chi2 = f"chi2 with {k} degree{'s' if k > 1 else ''} of freedom"
    said = []
    if at_bound or squares:
        causes = []
        if at_bound:
            verb = "lies at its bound" if len(at_bound) == 1 else "lie at their bounds"
            causes.append(f"{_listed(at_bound)} {verb} under the null")
        if squares:
            verb = "enters" if len(squares) == 1 else "enter"
            causes.append(f"{_listed(squares)} {verb} by the square, which cannot be negative")
        cause = ", and ".join(causes)
        if k == 1:
            said.append(
                f"{cause}: t is 0 in half of all cases and follows {chi2} in the others "
                "(Chernoff), so p is that of a normal distribution beyond sqrt(t)."
            )
        else:
            said.append(
                f"{cause}: t follows a mixture of chi2 distributions with up to {k} degrees of "
                "freedom (Chernoff); the local p, with all of them, is too large rather than too "
                "small."
            )
    elif k == 1:
        said.append(
            f"Under the null t follows {chi2} (Wilks), if counts are not too few; p is that of a "
            f"deviation of {names} to this side."
        )
    else:
        said.append(f"Under the null t follows {chi2} (Wilks), if counts are not too few.")
    if nothing:
        verb = "means" if len(nothing) == 1 else "mean"
        said.append(
            f"{_listed(nothing)} {verb} nothing under the null: Wilks's theorem does not hold, and "
            "the local p is right only if the best fit's value had been chosen beforehand. The "
            "global p, with the trial factor, comes from toys."
        )
    return " ".join(said)


def _few(analysis: Analysis, null: FitResult, best: FitResult, tested: Mapping[str, float]) -> str:
    """Say that few events tell the null from the best fit, if they do."""
    data = analysis.data if best.data is None else best.data
    here = np.asarray(null.vector)
    found = []
    for name in tested:
        # One after the other, with all else as under the null.
        there, index = np.array(here), analysis.index(name)
        there[index] = np.asarray(best.vector)[index]
        moving = np.asarray(null.moving)
        found.append(few_events.events(analysis, data, moving, index, here, there)[0])
    few = few_events.remark(min(found))
    return f" {few[0].upper()}{few[1:]}." if few else ""


def _edge(best: FitResult) -> str:
    """Say that the best fit ends where expected counts vanish, if it does."""
    if not best.vanishing:
        return ""
    counts = "count" if len(best.vanishing) == 1 else "counts"
    verb = "vanishes" if len(best.vanishing) == 1 else "vanish"
    return (
        f" The expected {counts} of {_listed(best.vanishing)} {verb} at the best fit, where t "
        "ends: its distribution is not the asymptotic one; throw toys."
    )


def _replaced(null: np.ndarray, index: list[int], values: jax.Array) -> jax.Array:
    """Return the vector with some entries replaced."""
    return jnp.asarray(null).at[np.array(index)].set(values)


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
