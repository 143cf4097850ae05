"""What `bknn toys` says and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bknn import errors
from bknn.inference.fits.result import FitResult
from bknn.inference.toys.coverage import Bias, Coverage, Pulls, bias, coverage, pulls
from bknn.inference.toys.goodness import GoodnessOfFit
from bknn.inference.toys.toys import Failures, Toys
from bknn.report.fit import content
from bknn.report.heading import heading
from bknn.report.numbers import in_digits, number, short
from bknn.tables import table


def toys_json(
    found: Toys,
    quality: GoodnessOfFit | None,
    result: FitResult,
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for toys; `docs/result.md` describes it."""
    studies = {}
    for name in found.estimates:
        shift, spread, covered = _studied(found, name)
        studies[name] = {
            "truth": found.truth[name],
            "bias": number(shift.mean) if shift else None,
            "bias_error": number(shift.mean_error) if shift else None,
            "median_bias": number(shift.median) if shift else None,
            "spread": number(shift.spread) if shift else None,
            "pull_mean": number(spread.mean) if spread else None,
            "pull_mean_error": number(spread.mean_error) if spread else None,
            "pull_width": number(spread.width) if spread else None,
            "pull_width_error": number(spread.width_error) if spread else None,
            "without_uncertainty": spread.unknown if spread else None,
            "coverage": _coverage_json(covered) if covered else None,
        }
    more: dict[str, Any] = {
        "toys": {
            "n": found.n,
            "seeds": sorted({int(seed) for seed in found.seeds}),
            "parameters": studies,
            **failures_json(found.failed),
        }
    }
    if quality is not None:
        more["goodness_of_fit"] = {
            "statistic": number(quality.statistic),
            "dof": quality.dof,
            "p": number(quality.p),
            "p_error": number(quality.p_error),
            "asymptotic_p": number(quality.asymptotic_p),
            "smallest_expected": number(quality.expected),
            "toys": quality.toys.n,
            "failed": quality.failed.count,
        }
    return content(result, "toys", settings, more)


def failures_json(failed: Failures) -> dict[str, Any]:
    """Return the toys whose fits failed: how many, why, and which."""
    return {
        "failed": failed.count,
        "causes": dict(failed.causes),
        "failed_toys": [{"seed": seed, "number": i} for seed, i in failed.toys],
    }


def _coverage_json(covered: Coverage) -> dict[str, Any]:
    return {
        "method": covered.method,
        **{
            str(round(100 * level)): {"value": number(f.value), "error": number(f.error)}
            for level, f in zip(covered.levels, covered.fractions, strict=True)
        },
    }


def _studied(found: Toys, name: str) -> tuple[Bias | None, Pulls | None, Coverage | None]:
    """Bias, pulls and coverage of a parameter, as far as the toys have what they need."""
    try:
        shift = bias(found, name)
    except errors.ParameterError:
        return None, None, None
    try:
        spread = pulls(found, name)
    except errors.ParameterError:
        spread = None
    try:
        covered = coverage(found, name)
    except errors.ParameterError:
        covered = None
    return shift, spread, covered


def toys_table(found: Toys, quality: GoodnessOfFit | None, result: FitResult) -> str:
    """Return the table that `bknn toys` prints."""
    analysis = result.target
    units = {p.name: p.unit for p in analysis.parameters}
    studies = {name: _studied(found, name) for name in found.estimates}
    seeds = sorted({int(seed) for seed in found.seeds})
    lines = [
        *heading(analysis),
        "",
        table(
            _HEAD,
            [_row(found.truth[name], name, units.get(name, ""), *x) for name, x in studies.items()],
        ),
        "",
        f"toys             {found.n} of seed {', '.join(map(str, seeds))}",
        f"failed           {found.failed}",
    ]
    for name, (_, spread, _) in studies.items():
        if spread is not None and spread.unknown:
            lines.append(
                f"pulls            {spread.unknown} of {found.n - found.failed.count} toys have no "
                f"uncertainty of {name}: it lies at a bound, or the Hessian is not positive"
            )
    for method, words in (("likelihood", "the likelihood"), ("hessian", "the Hessian")):
        names = [n for n, (_, _, c) in studies.items() if c is not None and c.method == method]
        if names:
            lines.append(
                f"coverage         % of toys whose interval by {words} holds the truth: "
                + ", ".join(names)
            )
    if quality is not None:
        lines += ["", *goodness_lines(quality)]
    return "\n".join(lines)


_HEAD = (
    "parameter", "truth", "bias", "median", "spread", "pull mean", "pull width", "68.3%", "95%",
)  # fmt: skip


def _row(
    truth: float,
    name: str,
    unit: str,
    shift: Bias | None,
    spread: Pulls | None,
    covered: Coverage | None,
) -> tuple[str, ...]:
    label = name + (f" / {unit}" if unit else "")
    if shift is None:
        return (label, short(truth), *["-"] * 7)
    mean, error = in_digits(shift.mean, shift.mean_error)
    percent = (
        [f"{100 * f.value:.1f} +- {100 * f.error:.1f}" for f in covered.fractions]
        if (covered)
        else ["-", "-"]
    )
    return (
        label,
        short(truth),
        f"{mean} +- {error}" if error else mean,
        short(shift.median),
        short(shift.spread),
        f"{spread.mean:+.3f} +- {spread.mean_error:.3f}" if spread else "-",
        f"{spread.width:.3f} +- {spread.width_error:.3f}" if spread else "-",
        *percent,
    )


def goodness_lines(quality: GoodnessOfFit) -> list[str]:
    """Return the lines of a goodness of fit."""
    doubt = (
        f"; not to be trusted, a bin expects {quality.expected:.2g} events"
        if quality.expected < _FEW
        else ""
    )
    by_chi2 = (
        f"{quality.asymptotic_p:.3f} by chi-squared{doubt}"
        if np.isfinite(quality.asymptotic_p)
        else "none by chi-squared, which has no degree of freedom"
    )
    return [
        f"goodness of fit  -2 log(L / L saturated) = {quality.statistic:.2f} with {quality.dof} "
        "degrees of freedom",
        f"                 p = {quality.fraction} by {quality.toys.n} toys, {by_chi2}",
        f"                 {quality.failed}",
    ]


#: With fewer expected events in a bin chi-squared is not the distribution of the statistic.
_FEW = 5.0
