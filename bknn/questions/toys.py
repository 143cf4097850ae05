"""`bknn toys`: many data sets as they could have come out, each fitted; bias, pulls, coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors
from bknn.answers.digits import short, with_error
from bknn.questions.shared import build, output, progress, values
from bknn.questions.shared.content import content
from bknn.questions.shared.heading import heading
from bknn.questions.shared.kinds import Numbers, Texts
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import (
    TOYS,
    OfAnalysis,
    first_option,
    fix_option,
    merge_option,
    nominal_option,
    option,
    seed_option,
    truth_option,
)
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.inference.fits.result import FitResult
    from bknn.inference.toys.coverage import Bias, Coverage, Pulls
    from bknn.inference.toys.failures import Failures
    from bknn.inference.toys.goodness import GoodnessOfFit
    from bknn.inference.toys.toys import Toys


@dataclass(frozen=True, kw_only=True)
class Asked(OfAnalysis):
    """What may be asked of toys."""

    name = "toys"
    summary = "throw and fit toys: bias, pulls, coverage, goodness of fit"
    description = (
        "Throw data sets (counts and auxiliary data) at a point of the parameters and fit each: "
        "bias, pulls and coverage of the fit. The nuisances of the truth are as they fit the data "
        "best at that point."
    )
    examples = """\
bknn toys signal-strength -n 2000 --set mu=1 --out toys-1/
bknn toys signal-strength -n 2000 --set mu=1 --first 2000 --out toys-2/
bknn toys signal-strength --merge toys-1/toys.nc toys-2/toys.nc --out all/
bknn toys resonance --goodness-of-fit -n 1000
"""

    set: Numbers = truth_option()
    nominal: bool = nominal_option()
    number: int | None = option(
        "how many toys", None, shown="1000; none with --merge", short="-n", keyword=""
    )
    seed: int = seed_option(TOYS)
    first: int = first_option()
    merge: Texts = merge_option()
    goodness_of_fit: bool = option(
        "how often toys thrown at the best fit are fitted worse than the data (saturated "
        "statistic)",
        False,
        keyword="",
    )
    uncertainties: bool = option(
        "leave out the uncertainty of each fit (a few ms a toy), and with it the pulls",
        True,
        keyword="",
    )
    fix: Numbers = fix_option()

    def plan(self, desk: Desk) -> Plan:
        from bknn.inference.toys.toys import Toys

        point = build.point_of_truth(self.set, self.fix)
        number = self.number if self.number is not None else (0 if self.merge else 1000)
        values.number(number, "-n", 0 if self.merge else 1)
        if self.nominal and not number:
            raise errors.ParameterError("--nominal is about toys to throw; say how many with -n.")
        if self.goodness_of_fit and not number:
            raise errors.ParameterError(
                "--goodness-of-fit throws toys of its own; say how many with -n."
            )
        analysis = build.analysis(self, desk, [*point, *self.fix])
        values.room(number, 16 * (10 + 3 * len(analysis.parameters)), "-n")

        build.look(analysis, self.fix, point=point)
        thrown = [Toys.load(path) for path in self.merge]
        for part in thrown:
            part.check_is_of(analysis, self.fix)
        if thrown:
            Toys.merge(*thrown)
        does = {"fits": 2, "toys": number * (2 if self.goodness_of_fit else 1)}
        files = ("toys.nc", "goodness_of_fit.nc")[: 2 if self.goodness_of_fit else 1]
        return Plan((analysis, point, number, thrown), parts(analysis), does, files)

    def answer(self, desk: Desk) -> int:
        """Throw, fit, print, write."""
        analysis, point, number, merged = self.planned(desk).made
        kept = list(merged)

        from bknn.inference import fit
        from bknn.inference.toys.goodness import goodness_of_fit
        from bknn.inference.toys.toys import Toys, toys
        from bknn.inference.toys.truth import truth

        out, work = desk.folder(), desk.work
        result = fit(analysis, fixed=self.fix).check()
        if number:
            at = truth(analysis, point, fixed=self.fix, nominal=self.nominal, best=result)
            with progress.bar("toys", number, "toys") as done:
                thrown = toys(
                    analysis,
                    at,
                    number,
                    seed=self.seed,
                    first=self.first,
                    fixed=self.fix,
                    uncertainties=self.uncertainties,
                    coverage=True,
                    progress=done,
                    work=work.within("toys"),
                )
            kept.insert(0, thrown)
        found = Toys.merge(*kept)
        quality = None
        if self.goodness_of_fit:
            with progress.bar("goodness of fit", number, "toys") as done:
                quality = goodness_of_fit(
                    analysis,
                    n=number,
                    seed=self.seed,
                    fixed=self.fix,
                    progress=done,
                    work=work.within("goodness-of-fit"),
                )
        print(toys_table(found, quality, result))
        if out is not None:
            settings = {**self.record(), "number": number}
            output.write(
                out,
                toys_json(found, quality, result, settings=settings),
                {"toys": found, "goodness_of_fit": quality},
                desk.figures,
            )
        return 0


# What is said and written ---------------------------------------------------------------------


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
    from bknn.inference.toys.coverage import bias, coverage, pulls

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
    percent = (
        [with_error(100 * f.value, 100 * f.error) for f in covered.fractions]
        if (covered)
        else ["-", "-"]
    )
    return (
        label,
        short(truth),
        with_error(shift.mean, shift.mean_error),
        short(shift.median),
        short(shift.spread),
        with_error(spread.mean, spread.mean_error) if spread else "-",
        with_error(spread.width, spread.width_error) if spread else "-",
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
        f"{short(quality.asymptotic_p)} by chi-squared{doubt}"
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
