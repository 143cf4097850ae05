"""What a fit found, how sure it is, and whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import jax
import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import with_error
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import BATCH, Coordinate, piece
from bknn.inference.fits import vanishing
from bknn.inference.minimiser.fits_of_analysis import fits_of
from bknn.inference.minimiser.newton import CONVERGED, EXHAUSTED, NOT_FINITE, STALLED, UNDETERMINED

piece(Data)

#: So many nuisances that were pulled most are printed.
_PULLS = 3


@dataclass(frozen=True, eq=False, repr=False)
class FitResult(Answer):
    """The minimum of -2 log likelihood. A batch of fits has a leading axis everywhere.

    Attributes:
        target: the Analysis (or LogDensity) that was fitted.
        vector: parameters at the minimum (..., size), in the order of `names`.
        twice_nll: -2 log likelihood there, constants included (...,).
        decrement: the decrease of -2 log likelihood that one more step would promise (...,).
        steps: how many steps it took (...,).
        outcome: code of `bknn.inference.minimiser.newton`; `status` says it in words (...,).
        moving: which parameters floated (size,).
        minima: -2 log likelihood found from every start (..., starts).
        data: what was fitted, None for the observation.
    """

    target: Any
    vector: np.ndarray
    twice_nll: np.ndarray
    decrement: np.ndarray
    steps: np.ndarray
    outcome: np.ndarray
    moving: np.ndarray
    minima: np.ndarray
    data: Any = None

    KEPT: ClassVar[tuple[str, ...]] = (
        "converged",
        "uncertainty_vector",
        "covariance",
        "observed",
        "expected",
        "channel",
        "vanishing",
    )
    CALLED: ClassVar[Mapping[str, str]] = {"vector": "value", "uncertainty_vector": "uncertainty"}

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        each = {n: (BATCH,) for n in ("twice_nll", "decrement", "steps", "outcome", "converged")}
        return each | {
            "vector": (BATCH, "parameter"),
            "uncertainty_vector": (BATCH, "parameter"),
            "covariance": (BATCH, "parameter", "parameter_2"),
            "moving": ("parameter",),
            "minima": (BATCH, "start"),
            "observed": (BATCH, "bin"),
            "expected": (BATCH, "bin"),
            "channel": ("bin",),
        }

    def coordinates(self) -> dict[str, Coordinate]:
        return {"parameter": Coordinate(self.names), "parameter_2": Coordinate(self.names)}

    @property
    def names(self) -> tuple[str, ...]:
        """One name an entry of `vector`."""
        return self.target.names

    @property
    def params(self) -> dict[str, np.ndarray]:
        """{name: value}; nuisances that come one a bin are arrays."""
        return {k: np.asarray(v) for k, v in self.target.unflatten(self.vector).items()}

    @property
    def converged(self) -> np.ndarray:
        """Whether the fit converged, (...,) of bool."""
        return self.outcome == CONVERGED

    @cached_property
    def covariance(self) -> np.ndarray:
        """Inverse of the exact Hessian of -log likelihood (..., size, size).

        Zero for parameters that were fixed; NaN throughout the floating ones if the Hessian is not
        positive definite, for then there is no such thing. Parameters at a bound count as fixed,
        and so does the expected count of an empty bin that vanishes at the best fit: across that
        edge no curvature of -log likelihood tells an uncertainty. Infinite for parameters on which
        the likelihood does not depend here (a mass where the coupling is 0).
        """
        if self.vector.ndim == 1:
            return self._covariance(self.vector, self._data(None))
        flat = self.vector.reshape(-1, self.vector.shape[-1])
        rows = [self._covariance(v, self._data(i)) for i, v in enumerate(flat)]
        return np.reshape(rows, (*self.vector.shape, self.vector.shape[-1]))

    def _data(self, i: int | None) -> Any:
        if self.data is None or i is None or np.ndim(self.data[0]) == 1:
            return self.data
        return type(self.data)(*(x[i] for x in self.data))

    def _covariance(self, vector: np.ndarray, data: Any) -> np.ndarray:
        free = self.moving & ~self._at_bound(vector)
        edge, along = None, None
        if isinstance(self.target, Analysis):
            given = self.target.data if data is None else data
            edge = vanishing.curvature(self.target, vector, given, self.moving)
        if edge is not None:
            hessian, along = edge
        else:
            hessian = _hessian(self.target, vector, data)
        result = np.zeros_like(hessian)
        if along is None and np.isfinite(self.twice_nll).all():
            idle = free & self._flat(np.diag(hessian))
            result[idle, idle] = np.inf
            free = free & ~idle
        block = hessian[np.ix_(free, free)]
        if along is not None:
            block = along.T @ block @ along
        # Unit diagonal: parameters of 1e-6 stand beside those of 1.
        scale = np.sqrt(np.abs(np.diag(block)))
        scale = np.where(scale > 0, scale, 1.0)
        try:
            np.linalg.cholesky(block / np.outer(scale, scale))
            inverse = np.linalg.inv(block / np.outer(scale, scale)) / np.outer(scale, scale)
        except np.linalg.LinAlgError:
            inverse = np.full_like(block, np.nan)
        if along is not None:
            inverse = along @ inverse @ along.T
        result[np.ix_(free, free)] = inverse
        return result

    def _flat(self, curvature: np.ndarray) -> np.ndarray:
        """Whether the whole range of a parameter changes -log likelihood by nothing, (size,)."""
        lower, upper = self.target.bounds.T
        width = np.where(np.isfinite(upper - lower), upper - lower, 1.0)
        return np.abs(curvature) * width**2 < 1e-12

    def _at_bound(self, vector: np.ndarray) -> np.ndarray:
        lower, upper = self.target.bounds.T
        return (vector <= lower) | (vector >= upper)

    @property
    def uncertainty_vector(self) -> np.ndarray:
        """Square root of the diagonal of `covariance` (..., size)."""
        diagonal = np.diagonal(self.covariance, axis1=-2, axis2=-1)
        return np.sqrt(diagonal)

    @property
    def uncertainties(self) -> dict[str, np.ndarray]:
        """{name: uncertainty}, from the exact Hessian; 0 for parameters that were fixed, infinite
        for those that the data do not determine."""
        values = self.target.unflatten(self.uncertainty_vector)
        return {k: np.asarray(v) for k, v in values.items()}

    @property
    def correlation(self) -> np.ndarray:
        """Correlation matrix (..., size, size); 0 for parameters that were fixed."""
        sigma = self.uncertainty_vector
        outer = sigma[..., :, None] * sigma[..., None, :]
        outer = np.where(np.isinf(outer), 0.0, outer)
        return np.where(outer > 0, self.covariance / np.where(outer > 0, outer, 1), 0.0)

    def __getitem__(self, index: int) -> FitResult:
        """One fit of a batch."""
        if self.vector.ndim == 1:
            raise errors.ParameterError("this is a single fit, there is no batch to index.")
        arrays = ("vector", "twice_nll", "decrement", "steps", "outcome", "minima")
        changes = {name: np.asarray(getattr(self, name))[index] for name in arrays}
        return replace(self, data=self._data(index), **changes)

    @property
    def status(self) -> str:
        """How the fit ended, in a sentence: the cause, and what to do about it."""
        if self.vector.ndim > 1:
            bad = int(np.sum(~self.converged))
            total = self.converged.size
            if not bad:
                return f"all {total} fits converged."
            first = int(np.flatnonzero(~self.converged.reshape(-1))[0])
            return (
                f"{bad} of {total} fits did not converge, the first is number {first}: "
                f"look at result[{first}].status."
            )
        steps = "1 step" if int(self.steps) == 1 else f"{int(self.steps)} steps"
        match int(self.outcome):
            case code if code == CONVERGED:
                text = (
                    f"converged in {steps}; one more would lower -2 log L by less than "
                    f"{max(float(self.decrement), 1e-10):.0e}."
                )
            case code if code == STALLED:
                text = (
                    f"stopped after {steps}: no step lowers -2 log L although one promises "
                    f"{float(self.decrement):.1e}. The likelihood has a kink or a wall here; "
                    "start elsewhere (`init`) or fix a parameter."
                )
            case code if code == EXHAUSTED:
                text = (
                    f"not converged after {steps}, which still promise "
                    f"{float(self.decrement):.1e} in -2 log L. Allow more (`max_steps`), or fix "
                    "parameters that the data do not determine."
                )
            case code if code == NOT_FINITE:
                text = (
                    "the likelihood is not finite at the start: a bin with counts has no expected "
                    "rate there, an expected count is negative, or the data are not numbers; and "
                    "nothing that floats helps. Choose another `init`, or correct the data."
                )
            case code if code == UNDETERMINED:
                own = [p.name for i, p in self._own if self.moving[i]]
                text = (
                    f"the data do not determine {_listed(own, 4)}: no expected count depends on "
                    f"{'it' if len(own) == 1 else 'them'}. Choose data with a signal, or a signal "
                    "that is not negligible."
                )
        if names := self.vanishing:
            shown = _listed(names, 3)
            verb = "vanishes" if len(names) == 1 else "vanish"
            counts = "count" if len(names) == 1 else "counts"
            text = text.rstrip(".") + f"; the expected {counts} of {shown} {verb} there."
        if names := self.at_bounds:
            shown = _listed(names, 4)
            verb = "lies at its bound" if len(names) == 1 else "lie at their bounds"
            text += f" {shown} {verb}."
        return text

    @property
    def _own(self) -> list[tuple[int, Any]]:
        """The model's own parameters and where they are."""
        parameters = getattr(self.target, "parameters", ())
        return [(i, p) for i, p in enumerate(parameters) if not p.nuisance]

    @property
    def at_bounds(self) -> list[str]:
        """Names of the floating parameters that ended at a bound (single fits)."""
        stuck = self.moving & self._at_bound(self.vector)
        return [self.names[i] for i in np.flatnonzero(stuck)]

    @cached_property
    def vanishing(self) -> list[str]:
        """Names of the empty bins whose expected counts vanish at the best fit and would be
        negative if that were possible (single fits)."""
        single = self.vector.ndim == 1 and bool(self.converged)
        if not isinstance(self.target, Analysis) or not single:
            return []
        data = self.target.data if self.data is None else self.data
        return vanishing.names(self.target, self.vector, data, self.moving)

    def check(self) -> FitResult:
        """Return the fit if it converged.

        Raises:
            FitError: it did not; the sentence says why and what to do.
        """
        if not np.all(self.converged):
            raise errors.FitError(f"the fit of {self.target!r} failed: {self.status}")
        return self

    @property
    def observed(self) -> np.ndarray:
        """What was fitted: counts, then other results (..., bins)."""
        return np.asarray(self._given.counts, float)

    @property
    def channel(self) -> np.ndarray:
        """What each of them belongs to, a channel or another result (bins,)."""
        return np.array(self._analysis.bins)

    @cached_property
    def expected(self) -> np.ndarray:
        """What the fit expects of it (..., bins)."""
        rates = self._analysis.rates
        flat = self.vector.reshape(-1, self.vector.shape[-1])
        found = np.stack([np.asarray(rates(v)) for v in flat])
        return found.reshape(*self.vector.shape[:-1], -1)

    @property
    def _analysis(self) -> Any:
        if not hasattr(self.target, "measurements"):
            raise errors.ParameterError(f"{self.target!r} has no data.")
        return self.target

    @property
    def _given(self) -> Any:
        return self._analysis.data if self.data is None else self.data

    def columns(self) -> dict[str, Any]:
        """One row a parameter, nuisances too.

        Raises:
            ParameterError: a batch of fits.
        """
        if self.vector.ndim > 1:
            raise errors.ParameterError("a batch of fits is no table; take one, as in result[0].")
        return {
            "name": list(self.names),
            "value": self.vector,
            "uncertainty": self.uncertainty_vector,
            "unit": [unit_of(self.target, name) for name in self.names],
            "fixed": ~self.moving,
        }

    def shown(self) -> Shown:
        if self.vector.ndim > 1:
            return Shown(f"Fits of {subject(self.target)}", notes=[self.status])
        own = [i for i, _ in self._own] or range(len(self.names))
        sigma, stuck = self.uncertainty_vector, self.at_bounds
        rows = []
        for i in own:
            name = self.names[i]
            remark = "" if self.moving[i] else "fixed"
            error = sigma[i] if self.moving[i] else None
            unit = unit_of(self.target, name)
            remark = "at its bound" if name in stuck else remark
            rows.append((name, with_error(self.vector[i], error, unit), remark))
        constants = getattr(self.target, "constants", {})
        rows += [(name, with_error(value), "fixed") for name, value in constants.items()]
        return Shown(
            f"Fit of {subject(self.target)}: -2 log L = {float(self.twice_nll):.4f}",
            (),
            rows,
            [self._nuisances, self.status],
        )

    @property
    def _nuisances(self) -> str:
        """What is said of the nuisances, which are too many for a table."""
        n = int(self.moving.sum() - sum(self.moving[i] for i, _ in self._own))
        if not self._own or not n:
            return ""
        index, centre, width = self.target.normal
        pull = np.where(self.moving[index], (self.vector[index] - centre) / width, 0.0)
        most = [k for k in np.argsort(-np.abs(pull))[:_PULLS] if abs(pull[k]) >= 0.005]
        shown = ", ".join(f"{self.names[index[k]]} {pull[k]:+.2f}" for k in most)
        return f"{n} nuisances" + (f", most pulled: {shown}" if shown else "") + "."


def _listed(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")


def _hessian(target: Any, vector: np.ndarray, data: Data | None) -> np.ndarray:
    """Return the second derivatives of -log density of a target at a vector (size,)."""
    if isinstance(target, Analysis):
        return fits_of(target).hessian(vector, target.data if data is None else data)
    program = target.programs.get(
        "Hessian", None, lambda: jax.hessian(target.log_density), once=True
    )
    return -np.asarray(program(vector))


def single(result: FitResult, purpose: str) -> Analysis:
    """Return the analysis of one fit.

    Args:
        result: of `bknn.inference.fit`.
        purpose: what it is for, the beginning of the messages ("a figure shows").

    Raises:
        ParameterError: a batch of fits, or a fit of something that is not an Analysis.
    """
    if not isinstance(result, FitResult) or not hasattr(result.target, "measurements"):
        raise errors.ParameterError(
            f"{purpose} a fit of an Analysis, not {getattr(result, 'target', result)!r}, which has "
            "no channels and no spectrum."
        )
    if result.vector.ndim != 1:
        raise errors.ParameterError(
            f"{purpose} one fit, and this is a batch of shape {result.vector.shape[:-1]}; choose "
            "one of them, as in result[0]."
        )
    return result.target
