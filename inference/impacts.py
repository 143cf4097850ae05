"""Where the uncertainty of a parameter comes from: impacts, and groups that add up.

At the fit the gradient of -log L vanishes. So the fit is an implicit function of everything that
enters -log L, and one Hessian H gives all its derivatives: with C = H^-1, the best value of a
parameter i changes by

    C_ij / C_jj         per unit that another parameter j is moved and held,
    C_ij / sigma_j^2    per unit of the auxiliary datum of a normally constrained nuisance j,
    C_ij / theta_j      per auxiliary count of a Poisson-constrained nuisance j,
    (C J^T)_ib / rate_b per count in bin b, with J = d rate / d parameter.

The first line makes impacts, as they are usually ranked. Impacts of correlated nuisances do not add
up to anything. The others are shifts under fluctuations of data that are independent of each other,
so their squares do: this is the decomposition of A. Pinto et al., arXiv:2307.04007.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax
import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import with_error
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import Coordinate
from bknn.inference.fits import many
from bknn.inference.fits.fit import compiled, fit, worth_holding
from bknn.inference.fits.newton import CONVERGED
from bknn.inference.fits.result import FitResult, _hessian
from bknn.inference.pieces import Progress

#: The counts, among the groups.
STATISTICAL = "statistical"
#: Nuisances that no pattern of the user's takes.
OTHER = "other"

#: Uncertainties whose ratio exceeds this are far apart.
_ALIKE = 1.25

#: Parameters that are printed.
_SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False)
class Impacts(Answer):
    """How the parameters move a parameter of interest, the strongest first. Arrays (n,).

    An impact is the shift of the parameter of interest when a parameter is moved by its uncertainty
    and held there. NaN is what has no value; `remarks` says why.

    Attributes:
        poi: the parameter of interest.
        result: the fit.
        names: everything else that floats, in the order of the ranking: by the largest of `post`,
            `post_up` and `post_down`.
        index: positions of the names in the flat vector.
        pre, post: shift for +1 width of the constraint, and for +1 uncertainty of the fit, linear
            (by implicit differentiation). `pre` is NaN for what has no constraint.
        pre_up, pre_down, post_up, post_down: shifts found by fitting again with the parameter held
            one width or uncertainty above and below its best value; NaN without refits.
        pull: (best value - centre of the constraint) / width.
        constraint: uncertainty / width.
        remarks: {name: what went wrong}.
        groups, total: {label: uncertainty}, by how much the best value fluctuates if the data do
            around what was observed, to first order; the squares add up to that of `total`.
        expected_groups, expected_total: the same if they fluctuate around what the fit expects.
        contributions: {label: uncertainty} of each group but the counts, by how much the
            uncertainty shrinks, in quadrature, if all its members are held: see `contribution`.
        hessian: uncertainty from the curvature of the likelihood; see `impacts` why it differs.
        derivative: of the best value by every count and auxiliary datum, in the shape of the data.
    """

    poi: str
    result: FitResult
    names: tuple[str, ...]
    index: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    pre_up: np.ndarray
    pre_down: np.ndarray
    post_up: np.ndarray
    post_down: np.ndarray
    pull: np.ndarray
    constraint: np.ndarray
    remarks: dict[str, str]
    groups: dict[str, float]
    total: float
    expected_groups: dict[str, float]
    expected_total: float
    contributions: dict[str, float]
    hessian: float
    derivative: Data

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(("index", *COLUMNS), ("nuisance",))

    def coordinates(self) -> dict[str, Coordinate]:
        return {"nuisance": Coordinate(self.names)}

    def field_units(self) -> dict[str, str]:
        unit = unit_of(self.result.target, self.poi)
        return {c: unit for c in COLUMNS if c.startswith(("pre", "post"))}

    @property
    def converged(self) -> np.ndarray:
        """Whether the impact of each parameter was found (n,)."""
        if self.poi in self.remarks:
            return np.zeros(len(self.names), bool)
        return np.array([name not in self.remarks for name in self.names], bool)

    def columns(self) -> dict[str, Any]:
        """One row a parameter, the strongest first."""
        return {"name": list(self.names), **{c: getattr(self, c) for c in COLUMNS}}

    @property
    def value(self) -> float:
        """Best value of the parameter of interest."""
        return float(self.result.vector[self.result.target.index(self.poi)])

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row a parameter, {"name": ..., "pre": ..., ...}, the strongest first."""
        numbers = {c: getattr(self, c) for c in COLUMNS}
        return [
            {"name": name, **{c: float(x[i]) for c, x in numbers.items()}}
            | ({"remark": self.remarks[name]} if name in self.remarks else {})
            for i, name in enumerate(self.names)
        ]

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The row of a parameter."""
        if name not in self.names:
            raise errors.unknown("parameter", name, self.names, f"the impacts on {self.poi!r}")
        return self.table[self.names.index(name)]

    def contribution(self, *patterns: str) -> float:
        """Return by how much the uncertainty shrinks, in quadrature, if parameters are held.

        sqrt(sigma^2 - sigma_held^2), by the curvature at the fit: tables of systematic
        uncertainties are often made so. Contributions of different sources add up to nothing in
        particular. It is the absolute value of `post` for a single parameter.

        Args:
            patterns: names or sets of names, with * and ?, as for groups.

        Raises:
            UnknownNameError: a pattern that matches nothing that floats.
        """
        own = np.zeros(len(self.names), bool)
        for pattern in patterns:
            hits = np.array([_matches(name, pattern) for name in self.names], bool)
            if not hits.any():
                raise errors.unknown("parameter", pattern, self.names, "what floats in the fit")
            own |= hits
        return _contribution(self.result, self.result.target.index(self.poi), self.index[own])

    @property
    def status(self) -> str:
        """What has no value, and why, in a sentence."""
        if self.poi in self.remarks:
            return self.remarks[self.poi]
        text = f"the impacts of all {len(self.names)} parameters were found."
        if self.remarks:
            (name, remark), *more = self.remarks.items()
            rest = f" (and {len(more)} more; see `remarks`)" if more else ""
            text = f"{len(self.remarks)} of {len(self.names)} parameters: {name} {remark}{rest}."
        totals = (self.hessian, self.total, self.expected_total)
        if max(totals) > _ALIKE * min(totals):
            text += (
                f" The groups add up to {self.total:.3g} around the observation and to "
                f"{self.expected_total:.3g} around the fit, where the curvature gives "
                f"{self.hessian:.3g}: {self.poi} is far from linear in the data; use toys."
            )
        return text

    def shown(self) -> Shown:
        unit = unit_of(self.result.target, self.poi)
        columns = ((self.post, "+.3g"), (self.pull, "+.2f"), (self.constraint, ".2f"))
        rows = [
            (name, *(_shown(x[i], how) for x, how in columns))
            for i, name in enumerate(self.names[:_SHOWN])
        ]
        more = f" and {n} more" if (n := len(self.names) - _SHOWN) > 0 else ""
        groups = [*self.groups.items(), ("together", self.total)]
        shares = ", ".join(f"{label} {value:.3g}" for label, value in groups)
        return Shown(
            f"Impacts on {self.poi} = {with_error(self.value, self.hessian, unit)} of "
            f"{subject(self.result.target)}",
            (f"parameter{more}", "impact", "pull", "constraint"),
            rows,
            [f"Uncertainties: {shares}.", self.status],
        )


#: Numbers in a row of the table.
COLUMNS = (
    "pre", "post", "pre_up", "pre_down", "post_up", "post_down", "pull", "constraint",
)  # fmt: skip


def _shown(x: float, how: str) -> str:
    """Return a number, nothing for what has none."""
    return "" if np.isnan(x) else f"{x:{how}}"


def impacts(
    analysis: Analysis,
    poi: str,
    *,
    result: FitResult | None = None,
    refits: bool = True,
    groups: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> Impacts:
    """Rank what a parameter of interest depends on, and divide its uncertainty into groups.

    Impacts come from the exact Hessian at the fit. With `refits` every parameter is also moved up
    and down by the width of its constraint and by its uncertainty, all others fitted again: where
    these shifts differ from the linear ones, the likelihood is not a parabola.

    The groups divide the variance of the best value by the data it comes from (arXiv:2307.04007):
    each count and each auxiliary datum fluctuates by its standard deviation at the fit, and the
    squared shifts add up, exactly, to `total`^2. By default the groups are

    - "statistical": the counts. What only the counts constrain (free normalisations) is in here.
    - "simulated samples": nuisances of single bins.
    - "normalisations": nuisances that multiply a sample's yield.
    - "shapes": all other nuisances of the measurements.
    - "theory": constrained parameters of the model, and the form factors of a measurement.

    `total` is not the uncertainty from the Hessian: with F the expected information of all data at
    the fit, total^2 is the entry of H^-1 F H^-1 that belongs to the parameter of interest, and
    H = F holds in expectation only. Where counts differ from the fitted rates, or auxiliary data
    from the nuisances, H also has the curvature of the rates, and n / rate^2 in place of 1 / rate.
    With data that are as the fit expects them (Asimov data) they are the same: the groups around
    the fit add up to the square root of the entry of F^-1, by which toys thrown at the fit spread,
    to first order. `status` says so where the three are far apart: the best value is not linear in
    the data then, and no such division means much.

    Args:
        analysis: a model and measurements.
        poi: flat name of the parameter of interest; it must float.
        result: the fit, with what shall be fixed fixed; the observation is fitted if it is missing.
        refits: whether to fit again.
        groups: {label: patterns} instead of the default groups of nuisances, as in
            {"tracks": ["corr_track*"]}; names or sets of names, with * and ?. The first group that
            matches has a nuisance; those that match nothing are "other".
        progress: is called with the number of refits done since the last call.

    Raises:
        UnknownNameError: no such parameter; a pattern that matches no constrained nuisance.
        ParameterError: the parameter of interest does not float, the result is a batch or one of
            another analysis, a group named "statistical".
        FitError: the fit did not converge.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models
        >>> from bknn.inference.impacts import impacts
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> found = impacts(analysis, "mu", refits=False)
        >>> found.names[0], round(float(found.post[0]), 2)
        ('mu_bkg_charged', -0.64)
        >>> print(", ".join(f"{label} {value:.2f}" for label, value in found.groups.items()))
        statistical 0.98, simulated samples 0.59, normalisations 0.35, shapes 0.82, theory 0.14
    """
    i = analysis.index(poi)
    if result is None:
        result = fit(analysis)
    _require(analysis, poi, result)
    data = analysis.data if result.data is None else result.data
    centre, width = constraints(analysis, data)
    members = _members(analysis, np.isfinite(width), groups)
    remarks = _remarks(analysis, poi, result)

    covariance = result.covariance
    sigma = result.uncertainty_vector.copy()
    sigma[~((sigma > 0) & np.isfinite(sigma))] = np.nan
    if not sigma[i] > 0:
        covariance = np.full_like(covariance, np.nan)
    slopes = covariance / sigma**2
    rows = np.flatnonzero(result.moving)
    rows = rows[rows != i]
    columns = {
        "pre": slopes[i, rows] * width[rows],
        "post": slopes[i, rows] * sigma[rows],
        "pull": (result.vector[rows] - centre[rows]) / width[rows],
        "constraint": sigma[rows] / width[rows],
        **{f"{kind}_{way}": np.full(len(rows), np.nan) for kind in _KINDS for way in _WAYS},
    }
    if refits:
        steps = {"pre": width[rows], "post": sigma[rows]}
        shifts, failed = _refit(analysis, i, rows, result, slopes, steps, progress)
        columns |= shifts
        for name, text in failed.items():
            remarks[name] = f"{remarks[name]}; {text}" if name in remarks else text

    size = np.abs([columns[c] for c in ("post", "post_up", "post_down")])
    order = np.argsort(-np.max(np.where(np.isnan(size), -1.0, size), axis=0), kind="stable")
    rates, jacobian = _jacobian(analysis, result.vector)
    derivative = _derivative(analysis, result.vector, rates, jacobian, covariance[i])
    observed = _groups(analysis, result.vector, rates, derivative, members)
    row = _expected_covariance(analysis, i, result, rates, jacobian)
    expected = _groups(
        analysis,
        result.vector,
        rates,
        _derivative(analysis, result.vector, rates, jacobian, row),
        members,
    )
    return Impacts(
        poi=poi,
        result=result,
        names=tuple(analysis.names[j] for j in rows[order]),
        index=rows[order],
        **{c: x[order] for c, x in columns.items()},
        remarks=remarks,
        groups=observed,
        total=_together(observed),
        expected_groups=expected,
        expected_total=_together(expected),
        contributions={
            label: _contribution(result, i, np.intersect1d(own, rows))
            for label, own in members.items()
            if label != STATISTICAL
        },
        hessian=float(sigma[i]),
        derivative=derivative,
    )


_KINDS, _WAYS = ("pre", "post"), {"up": 1.0, "down": -1.0}


def constraints(analysis: Analysis, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and widths of the constraints, (size,) each; NaN where there is none.

    A Poisson constraint of a factor gamma by n auxiliary counts, with rate gamma * f, has the
    centre n / f and the width sqrt(n) / f (that of one count, if there are none).
    """
    centre, width = np.full((2, analysis.size), np.nan)
    index, _, sigma = analysis.normal
    centre[index], width[index] = data.normal, sigma
    index, _, factor = analysis.poisson
    counts = np.asarray(data.poisson, float)
    centre[index], width[index] = counts / factor, np.sqrt(np.maximum(counts, 1.0)) / factor
    return centre, width


def _require(analysis: Analysis, poi: str, result: FitResult) -> None:
    if result.target is not analysis:
        raise errors.ParameterError(
            f"the result is a fit of {result.target!r} and not of the analysis given, {analysis!r};"
            " give both of one and the same."
        )
    if result.vector.ndim > 1:
        raise errors.ParameterError(
            f"impacts belong to one fit, and this is a batch of shape {result.vector.shape[:-1]}; "
            "choose one of them, as in result[0]."
        )
    if not result.moving[analysis.index(poi)]:
        raise errors.ParameterError(
            f"parameter of interest {poi!r} was fixed in the fit, so nothing can shift it; let it "
            "float."
        )
    result.check()


def _remarks(analysis: Analysis, poi: str, result: FitResult) -> dict[str, str]:
    """What has no linear impact, and why."""
    remarks = {name: "lies at its bound and has no uncertainty" for name in result.at_bounds}
    for i in np.flatnonzero(np.isinf(result.uncertainty_vector)):
        remarks[analysis.names[i]] = "is not determined by the data and has no impact"
    if poi in remarks:
        remarks[poi] = (
            f"{poi} lies at its bound, so it has no linear impacts and no groups, only refits."
        )
    elif result.uncertainty_vector[analysis.index(poi)] == 0:
        remarks[poi] = (
            f"{poi} lies at an edge beyond which expected counts would be negative, so it has no "
            "linear impacts and no groups, only refits."
        )
    elif np.isinf(result.uncertainty_vector[analysis.index(poi)]):
        remarks[poi] = f"the data do not determine {poi}, so nothing has an impact on it."
    elif np.isnan(result.covariance).any():
        remarks[poi] = (
            f"the Hessian is not positive definite along {_flat(analysis, result)}: without "
            "uncertainties there are no impacts. Fix what the data do not determine."
        )
    return remarks


def _flat(analysis: Analysis, result: FitResult) -> str:
    """Name the parameters that make up the direction of least curvature."""
    hessian = np.asarray(_hessian(analysis, result.data is not None)(result.vector, result.data))
    free = np.flatnonzero(result.moving & ~result._at_bound(result.vector))
    block = hessian[np.ix_(free, free)]
    scale = np.sqrt(np.abs(np.diag(block)))
    scale = np.where(scale > 0, scale, 1.0)
    block = block / np.outer(scale, scale)
    if not np.isfinite(block).all():
        bad = free[~np.isfinite(np.diag(block))]
        return ", ".join(analysis.names[j] for j in bad[:4]) or "some direction (it is not finite)"
    weight = np.abs(np.linalg.eigh(block)[1][:, 0])
    strongest = np.argsort(-weight)[:4]
    kept = strongest[weight[strongest] > 0.3 * weight.max()]
    return ", ".join(analysis.names[free[j]] for j in kept)


def _refit(
    analysis: Analysis,
    i: int,
    rows: np.ndarray,
    result: FitResult,
    slopes: np.ndarray,
    steps: Mapping[str, np.ndarray],
    progress: Progress | None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Fit with each of the rows held off its best value; return the shifts and what failed."""
    shifts: dict[str, np.ndarray] = {}
    failed: dict[str, str] = {}
    tasks = []
    for kind, step in steps.items():
        for way, sign in _WAYS.items():
            shifts[f"{kind}_{way}"] = np.full(len(rows), np.nan)
            held = result.vector[rows] + sign * step
            lower, upper = analysis.bounds[rows].T
            inside = (held >= lower) & (held <= upper)
            tasks += [(f"{kind}_{way}", r, held[r]) for r in np.flatnonzero(inside)]
            for r in np.flatnonzero(np.isfinite(held) & ~inside):
                name = analysis.names[rows[r]]
                failed[name] = (
                    f"{failed[name]}, {kind}_{way}"
                    if name in failed
                    else f"has a bound that forbids {kind}_{way}"
                )
    if not tasks:
        return shifts, failed
    starts = np.tile(result.vector, (len(tasks), 1))
    moving = np.tile(result.moving, (len(tasks), 1))
    for k, (_, r, value) in enumerate(tasks):
        j = rows[r]
        # Begin where the linear shift leads.
        along = slopes[:, j] * (value - result.vector[j])
        starts[k] += np.where(np.isfinite(along), along, 0.0)
        starts[k, j] = value
        moving[k, j] = False
    found, _ = many.run(
        compiled(analysis, held=worth_holding(analysis, moving, len(tasks))),
        starts[:, None, :],
        analysis.data if result.data is None else result.data,
        moving,
        progress=progress,
    )
    for (kind, r, _), vector, outcome in zip(tasks, found.vector, found.outcome, strict=True):
        if outcome == CONVERGED:
            shifts[kind][r] = vector[i] - result.vector[i]
        else:
            name = analysis.names[rows[r]]
            more = f"{failed[name]}; " if name in failed else ""
            failed[name] = f"{more}the refit {kind} did not converge"
    return shifts, failed


def _derivative(
    analysis: Analysis, vector: np.ndarray, rates: np.ndarray, jacobian: np.ndarray, row: np.ndarray
) -> Data:
    """Return derivatives of the best value by all data.

    `row` is that of the parameter of interest in the covariance.
    """
    index, _, sigma = analysis.normal
    poisson, _, _ = analysis.poisson
    return Data(
        _ratio(jacobian @ row, rates), row[index] / sigma**2, _ratio(row[poisson], vector[poisson])
    )


def _expected_covariance(
    analysis: Analysis, i: int, result: FitResult, rates: np.ndarray, jacobian: np.ndarray
) -> np.ndarray:
    """Return a row of the inverse of the expected information F (size,); NaN if there is none."""
    information = _ratio(jacobian, rates[:, None]).T @ jacobian
    index, _, sigma = analysis.normal
    information[index, index] += 1 / sigma**2
    index, _, factor = analysis.poisson
    information[index, index] += _ratio(factor, result.vector[index])
    determined = result.moving & ~np.isinf(result.uncertainty_vector)
    free = np.flatnonzero(determined & ~result._at_bound(result.vector))
    row = np.full(analysis.size, np.nan)
    if i not in free:
        return row
    block = information[np.ix_(free, free)]
    scale = np.sqrt(np.diag(block))
    scale = np.where(scale > 0, scale, 1.0)
    try:
        np.linalg.cholesky(block / np.outer(scale, scale))
        found = np.linalg.solve(block / np.outer(scale, scale), (free == i) / scale) / scale
    except np.linalg.LinAlgError:
        return row
    row[:] = 0.0
    row[free] = found
    return row


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b; 0 / 0 is 0: where nothing is expected, and nothing changes it."""
    return np.where(a == 0, 0.0, a / np.where(b > 0, b, np.nan))


def _contribution(result: FitResult, i: int, rows: np.ndarray) -> float:
    """Return by how much the uncertainty of parameter i shrinks if others are held."""
    covariance = result.covariance
    rows = rows[result.uncertainty_vector[rows] > 0]  # the others lie at a bound
    scale = np.sqrt(np.diag(covariance)[rows])
    along = covariance[i, rows] / scale
    block = covariance[np.ix_(rows, rows)] / np.outer(scale, scale)
    if not result.uncertainty_vector[i] > 0:
        return float("nan")
    return float(np.sqrt(along @ np.linalg.solve(block, along)))


def _jacobian(analysis: Analysis, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rates (bins,) and their derivatives by all parameters (bins, size)."""
    compiled = analysis.__dict__.setdefault("_rate_derivatives", {})
    if "run" not in compiled:
        compiled["run"] = jax.jit(analysis.derivatives)
    rates, dense, local = (np.asarray(x) for x in compiled["run"](vector))
    structure = analysis.structure
    result = np.zeros((analysis.n_bins, analysis.size))
    result[:, structure.shared] = dense
    result[structure.local_bin, structure.local] = local
    return rates, result


def _groups(
    analysis: Analysis,
    vector: np.ndarray,
    rates: np.ndarray,
    derivative: Data,
    members: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """Return {group: uncertainty} from the data of its members, which fluctuate as expected."""
    variances = np.zeros(analysis.size + analysis.n_bins)
    index, _, sigma = analysis.normal
    variances[index] = (derivative.normal * sigma) ** 2
    index, _, factor = analysis.poisson
    variances[index] = derivative.poisson**2 * vector[index] * factor
    variances[analysis.size :] = derivative.counts**2 * analysis.outcomes.spread(rates)
    return {label: float(np.sqrt(variances[own].sum())) for label, own in members.items()}


def _together(groups: Mapping[str, float]) -> float:
    return float(np.sqrt(sum(x**2 for x in groups.values())))


def _members(
    analysis: Analysis, constrained: np.ndarray, groups: Mapping[str, Sequence[str]] | None
) -> dict[str, np.ndarray]:
    """Return {group: positions in [parameters, counts]} of what fluctuates."""
    labels = _kinds(analysis) if groups is None else _matched(analysis, constrained, groups)
    members = {STATISTICAL: analysis.size + np.arange(analysis.n_bins)}
    for label in (*(groups or _DEFAULT), OTHER):
        own = [j for j in np.flatnonzero(constrained) if labels[j] == label]
        # A group of the user's is reported even if others took all that it matches.
        if own or (groups and label in groups):
            members[label] = np.array(own, int)
    return members


SIMULATED, NORMALISATIONS, SHAPES, THEORY = _DEFAULT = (
    "simulated samples", "normalisations", "shapes", "theory",
)  # fmt: skip


def _kinds(analysis: Analysis) -> list[str]:
    """Return the default group of each parameter."""
    labels = [SHAPES] * analysis.size
    labels[: len(analysis.parameters)] = [THEORY] * len(analysis.parameters)
    for j in analysis.structure.local:
        labels[j] = SIMULATED
    for part, source in zip(analysis.parts, analysis.sources, strict=True):
        cells = part.pdf.cells
        shifting = {*cells.shift_parameters.tolist(), *cells.bend_parameters.tolist()}
        factors = {*cells.scalar_parameters.tolist(), *cells.normsys_parameters.tolist()}
        for j in factors - shifting:
            if source[j] >= 0:
                labels[source[j]] = NORMALISATIONS
        for name in part.measurement.form_factor_modifiers:
            for j in source[part.pdf.slices[name]]:
                if j >= 0:
                    labels[j] = THEORY
    return labels


def _matched(
    analysis: Analysis, constrained: np.ndarray, groups: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the group of each parameter by the user's patterns."""
    if STATISTICAL in groups:
        raise errors.ParameterError(
            f"the group {STATISTICAL!r} is that of the counts; give nuisances another label."
        )
    labels = [OTHER] * analysis.size
    taken = np.zeros(analysis.size, bool)
    for label, patterns in groups.items():
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            hits = np.array([_matches(name, pattern) for name in analysis.names])
            if not hits.any():
                names = [n for n, c in zip(analysis.names, constrained, strict=True) if c]
                raise errors.unknown("nuisance", pattern, names, f"group {label!r}")
            if not (hits & constrained).any():
                raise errors.ParameterError(
                    f"group {label!r}: {pattern!r} has no constraint, so no datum of its own that "
                    f"could fluctuate; what the counts know of it is in {STATISTICAL!r}."
                )
            for j in np.flatnonzero(hits & ~taken):
                labels[j] = label
            taken |= hits
    return labels


def _matches(name: str, pattern: str) -> bool:
    """Whether a flat name, or the set it belongs to, fits a pattern."""
    base = name.partition("[")[0]
    return name == pattern or fnmatchcase(name, pattern) or fnmatchcase(base, pattern)
