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

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.inference.fits import many
from bknn.inference.fits.fit import compiled, fit
from bknn.inference.fits.result import FitResult, _hessian
from bknn.inference.impacts.groups import STATISTICAL, grouped, members_of, together
from bknn.inference.impacts.result import Impacts, contribution_of
from bknn.inference.minimiser.newton import CONVERGED
from bknn.inference.pieces import Progress
from bknn.inference.slopes import rates_and_slopes


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
        >>> from bknn.inference.impacts.impacts import impacts
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
    members = members_of(analysis, np.isfinite(width), groups)
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
    rates, jacobian = rates_and_slopes(analysis, result.vector)
    derivative = _derivative(analysis, result.vector, rates, jacobian, covariance[i])
    observed = grouped(analysis, result.vector, rates, derivative, members)
    row = _expected_covariance(analysis, i, result, rates, jacobian)
    expected = grouped(
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
        total=together(observed),
        expected_groups=expected,
        expected_total=together(expected),
        contributions={
            label: contribution_of(result, i, np.intersect1d(own, rows))
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
    hessian = _hessian(analysis, result.vector, result.data)
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
        compiled(analysis),
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
