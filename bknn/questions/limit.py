"""`bknn limit`: upper limits on a parameter, along a grid of another, with what was expected."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors
from bknn.answers.digits import short, with_error
from bknn.questions.shared import build, output, progress, values
from bknn.questions.shared.absent import absent, on_grid
from bknn.questions.shared.absent import lines as absent_lines
from bknn.questions.shared.content import content
from bknn.questions.shared.heading import heading
from bknn.questions.shared.kinds import Grid, Grids, Numbers
from bknn.questions.shared.numbers import nested
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import (
    GRID,
    TOYS,
    OfAnalysis,
    Option,
    fix_option,
    option,
    seed_option,
)
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.inference.fits.result import FitResult
    from bknn.inference.limits.feldman_cousins import FeldmanCousins
    from bknn.inference.limits.limit import Limit
    from bknn.inference.limits.two_sided import TwoSided


@dataclass(frozen=True, kw_only=True)
class Asked(OfAnalysis):
    """What may be asked of limits."""

    name = "limit"
    summary = "upper limits, observed and expected"
    description = (
        "The upper limit of a parameter by CLs (or CLs+b), observed and expected without a "
        "signal, at each point of a grid; asymptotic (arXiv:1007.1727) or by toys."
    )
    examples = """\
bknn limit signal-strength
bknn limit resonance --poi branching_ratio --over mass=0.1:4.7:100 --out results/
bknn limit resonance --poi branching_ratio --over mass=0.5:4.5:9 --method toys --toys 1000
bknn limit signal-strength --feldman-cousins 0:14:57 --toys 2000
bknn limit vector --poi h_V --fix mass=1.0 --cl 0.90
"""

    poi: str | None = option("the parameter to limit, if there are several", None)
    over: Grids = option(f"grid of another parameter: {GRID}", {})
    fix: Numbers = fix_option()
    cl: float = option("confidence level", 0.95)
    method: str = option(
        "asymptotic formulas, or toys", "asymptotic", choices=("asymptotic", "toys")
    )
    statistic: str = option(
        "CLs, or CLs+b, which may exclude what the data cannot see",
        "cls",
        choices=("cls", "clsb"),
    )
    background: float = option("value of the parameter without a signal", 0.0, metavar="VALUE")
    toys: int = option("toys a point", 1000, least=2)
    two_sided: bool = option(
        "likelihood intervals at the same confidence level, too", False, keyword=""
    )
    feldman_cousins: Grid | None = option(
        "intervals of the unified approach (physics/9711021), by toys at these values of the "
        "parameter; LOW:HIGH:POINTS",
        None,
        keyword="",
    )
    seed: int = seed_option(TOYS)

    def check(self, label: Callable[[Option], str]) -> None:
        super().check(label)
        if not 0 < self.cl < 1:
            raise errors.ParameterError(
                f"{self.called('cl', label)} {self.cl:g} is no confidence level; give a number "
                "between 0 and 1, as 0.95."
            )

    def plan(self, desk: Desk) -> Plan:
        over, tested = values.grids_of(self.over), None
        if self.feldman_cousins is not None:
            tested = values.grid(self.feldman_cousins, "--feldman-cousins")
            if over:
                raise errors.ParameterError(
                    "--feldman-cousins takes one point of the other parameters; leave out --over, "
                    "or keep them with --fix."
                )
        if len(over) > 1:
            raise errors.ParameterError(
                f"--over names {len(over)} parameters ({', '.join(over)}); limits are along one. "
                "Keep the others with --fix, or let them float."
            )
        named = [*over, *self.fix, *([self.poi] if self.poi else [])]
        analysis = build.analysis(self, desk, named)
        poi = build.of_interest(analysis, {*self.fix, *over}, self.poi)

        grids = over if tested is None else {**over, poi: tested}
        build.look(analysis, self.fix, over=grids)
        each = {"asymptotic": "limits", "toys": "limits by toys"}[self.method]
        points = max([1, *map(len, over.values())])
        does = {"fits": 1, each: points, "intervals": points * self.two_sided}
        if tested is not None:
            does["toys"] = len(tested) * self.toys
        files = ["limit.nc", *["two_sided.nc"] * self.two_sided]
        files += ["feldman_cousins.nc"] if tested is not None else []
        return Plan((analysis, poi, over, tested), parts(analysis), does, tuple(files))

    def answer(self, desk: Desk) -> int:
        """Find the limits, print, write."""
        analysis, poi, over, tested = self.planned(desk).made

        from bknn.inference import fit
        from bknn.inference.limits.feldman_cousins import feldman_cousins
        from bknn.inference.limits.limit import limit
        from bknn.inference.limits.two_sided import two_sided

        out, work = desk.folder(), desk.work
        result = fit(analysis, fixed=self.fix)
        with progress.bar("limits") as done:
            found = limit(
                analysis,
                poi,
                over=over or None,
                cl=self.cl,
                background=self.background,
                method=self.method,
                statistic=self.statistic,
                toys=self.toys,
                seed=self.seed,
                fixed=self.fix,
                progress=done,
                work=work.within("limits"),
            )
        both = None
        if self.two_sided:
            with progress.bar("intervals") as done:
                both = two_sided(
                    analysis,
                    poi,
                    over=over or None,
                    cl=self.cl,
                    fixed=self.fix,
                    progress=done,
                    work=work.within("intervals"),
                )
        unified = None
        if tested is not None:
            with progress.bar("Feldman-Cousins") as done:
                unified = feldman_cousins(
                    analysis,
                    poi,
                    tested,
                    toys=self.toys,
                    levels=(0.68, self.cl),
                    lowest=self.background,
                    seed=self.seed,
                    fixed=self.fix,
                    progress=done,
                    work=work.within("feldman-cousins"),
                )
        print(limit_table(found, both, unified, result))
        if out is not None:
            answers = {"limit": found, "feldman_cousins": unified}

            output.write(
                out,
                limit_json(found, both, unified, result, settings={**self.record(), "poi": poi}),
                answers,
                desk.figures,
                {"two_sided": both},
            )
        ended = [x for one in (found, both, unified) if one is not None for x in one.remarks]
        if any(x.startswith("failed") for x in ended) or not bool(result.converged):
            print(f"bknn: {found.status}", file=sys.stderr)
            return 1
        return 0


# What is said and written ---------------------------------------------------------------------


#: Rows of a table; more points are thinned out.
_ROWS = 24


def limit_json(
    found: Limit,
    both: TwoSided | None,
    unified: FeldmanCousins | None,
    result: FitResult,
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for limits; `docs/result.md` describes it."""
    from bknn.inference.limits.asymptotic import BAND

    toys = found.method == "toys"
    numbers = {
        "parameter": found.parameter,
        "cl": found.cl,
        "method": found.method,
        "statistic": found.statistic,
        "background": found.background,
        "grid": {name: nested(values) for name, values in found.grid.items()},
        "observed": nested(found.observed),
        "expected": {str(n): nested(found.expected[n]) for n in BAND},
        "observed_error": nested(found.observed_error) if toys else None,
        "expected_error": {str(n): nested(found.expected_error[n]) for n in BAND} if toys else None,
        "best": nested(found.best),
        "toys": found.toys,
        "failed": np.asarray(found.failed).tolist(),
        "converged": found.converged.tolist(),
        "status": found.status,
        "remarks": list(found.remarks),
    }
    if rate := _rate_of_one(found, result):
        numbers["branching_fraction"] = {
            "channel": "B+ -> K+",
            "standard_model": rate,
            "observed": nested(rate * found.observed),
            "expected": {str(n): nested(rate * found.expected[n]) for n in BAND},
        }
    more: dict[str, Any] = {"limit": numbers}
    if both is not None:
        more["two_sided"] = {
            "parameter": both.parameter,
            "cl": both.cl,
            "grid": {name: nested(values) for name, values in both.grid.items()},
            "best": nested(both.best),
            "low": nested(both.low),
            "high": nested(both.high),
            "low_at_bound": np.asarray(both.low_at_bound).tolist(),
            "high_at_bound": np.asarray(both.high_at_bound).tolist(),
            "converged": both.converged.tolist(),
            "status": both.status,
            "remarks": list(both.remarks),
        }
    if unified is not None:
        more["feldman_cousins"] = _unified_json(unified)
    if result.target.results.curves:
        more["absent"] = _absent(found, result)
    return content(result, "limit", settings, more)


def _absent(found: Limit, result: FitResult) -> list[str]:
    return absent(result.target, on_grid(result.target, result.vector, found.grid))


def _unified_json(unified: FeldmanCousins) -> dict[str, Any]:
    labels = [f"{100 * level:g}" for level in unified.levels]
    regions, region_errors = {}, {}
    for label, level in zip(labels, unified.levels, strict=True):
        parts = unified.regions(level) if np.isfinite(unified.observed).all() else ()
        regions[label] = [nested([x.low, x.high]) for x in parts]
        region_errors[label] = [nested([x.low_error, x.high_error]) for x in parts]
    return {
        "parameter": unified.parameter,
        "method": unified.method,
        "lowest": unified.lowest,
        "grid": nested(unified.grid),
        "observed": nested(unified.observed),
        "critical": dict(zip(labels, nested(unified.critical), strict=True)),
        "critical_error": dict(zip(labels, nested(unified.critical_error), strict=True)),
        "p": nested(unified.p),
        "p_error": nested(unified.p_error),
        "regions": regions,
        "region_errors": region_errors,
        "toys": unified.toys,
        "failed": np.asarray(unified.failed).tolist(),
        "converged": unified.converged.tolist(),
        "status": unified.status,
        "remarks": list(unified.remarks),
    }


def limit_table(
    found: Limit, both: TwoSided | None, unified: FeldmanCousins | None, result: FitResult
) -> str:
    """Return the table that `bknn limit` prints."""
    analysis = result.target
    units = {p.name: p.unit for p in analysis.parameters}
    unit = f" / {units[found.parameter]}" if units.get(found.parameter) else ""
    how = {"cls": "CLs", "clsb": "CLs+b"}[found.statistic]
    how += ", asymptotic" if found.method == "asymptotic" else f", {found.toys} toys a value"
    n = len(found.observed)
    shown = np.unique(np.linspace(0, n - 1, min(n, _ROWS)).round().astype(int))
    head = [name + (f" / {units[name]}" if units.get(name) else "") for name in found.grid]
    head += ["best fit", "observed", "median", "1 sigma", "2 sigma"]
    if both is not None:
        head.append(f"{100 * both.cl:g}% interval")
    rows = []
    for i in shown:
        row = [f"{values[i]:.6g}" for values in found.grid.values()]
        row.append(_text(found.best[i]))
        row.append(_text(found.observed[i], found.observed_error[i]))
        row.append(_text(found.expected[0][i], found.expected_error[0][i]))
        row += [_expected(found, -k, i) + " ... " + _expected(found, k, i) for k in (1, 2)]
        if both is not None:
            row.append(f"{_text(both.low[i])} ... {_text(both.high[i])}")
        rows.append(row)
    title = f"{100 * found.cl:g}% upper limit of {found.parameter}{unit} ({how})"
    lines = [*heading(analysis), "", title, "", table(head, rows)]
    if len(shown) < n:
        lines.append(f"... {len(shown)} of {n} points; result.json has all (--out)")
    lines.append("")
    lines += _as_rate(found, result)
    if unified is not None:
        lines += _unified_lines(unified)
    lines += absent_lines(_absent(found, result))
    lines.append(f"limits           {found.status}")
    if both is not None:
        lines.append(f"intervals        {both.status}")
    if unified is not None:
        lines.append(f"Feldman-Cousins  {unified.status}")
    return "\n".join(lines)


def _rate_of_one(found: Limit, result: FitResult) -> float | None:
    """The branching fraction of a signal strength of 1; None if that is not what is limited."""
    if result.target.model.name != "signal-strength" or found.parameter != "mu":
        return None
    from bknn.prediction import predict

    return float(predict(result.target.model, "branching_ratio", params={"mu": 1.0}).value)


def _as_rate(found: Limit, result: FitResult) -> list[str]:
    """A limit on the signal strength as one on the branching fraction."""
    one = _rate_of_one(found, result)
    if one is None or found.grid:
        return []
    observed, median = (short(one * float(x[0])) for x in (found.observed, found.expected[0]))
    return [
        f"as a rate        BR(B+ -> K+ inv) < {observed}, expected {median}: mu times the standard "
        f"model's {short(one)}"
    ]


def _unified_lines(unified: FeldmanCousins) -> list[str]:
    """The intervals of the unified approach."""
    if not np.isfinite(unified.observed).all():
        return []
    rows = []
    for level in unified.levels:
        for x in unified.regions(level):
            ends = [
                f"{short(end)} (end of the grid)" if is_open else _text(end, _shown(end, error))
                for end, error, is_open in (
                    (x.low, x.low_error, x.low_open and x.low > unified.lowest),
                    (x.high, x.high_error, x.high_open),
                )
            ]
            rows.append((f"{100 * level:g}%", *ends))
    how = f"{unified.toys} toys a value" if unified.method == "toys" else "sums over all outcomes"
    head = (f"Feldman-Cousins, {how}", "from", "to")
    return [table(head, rows), ""]


def _shown(end: float, error: float) -> float:
    """The error of an end, if it shows in the digits of a table."""
    return error if error > 1e-5 * abs(end) else 0.0


def _expected(found: Limit, sigma: int, i: int) -> str:
    return _text(found.expected[sigma][i], found.expected_error[sigma][i])


def _text(value: float, error: float = 0.0) -> str:
    if np.isnan(value):
        return "failed"
    if np.isinf(value):
        return "none"
    return with_error(value, error) if error > 0 else short(value)
