"""`bknn limit`: upper limits on a parameter, along a grid of another, with what was expected."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors
from bknn.questions.shared import files, options, output, progress
from bknn.questions.shared.absent import absent, on_grid
from bknn.questions.shared.absent import lines as absent_lines
from bknn.questions.shared.content import content
from bknn.questions.shared.heading import heading
from bknn.questions.shared.numbers import nested, short
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.inference.fits.result import FitResult
    from bknn.inference.limits.feldman_cousins import FeldmanCousins
    from bknn.inference.limits.limit import Limit, TwoSided

_EXAMPLES = """\
examples:
  bknn limit signal-strength
  bknn limit resonance --poi branching_ratio --over mass=0.1:4.7:100 --out results/
  bknn limit resonance --poi branching_ratio --over mass=0.5:4.5:9 --method toys --toys 1000
  bknn limit signal-strength --feldman-cousins 0:14:57 --toys 2000
  bknn limit vector --poi h_V --fix mass=1.0 --cl 0.90
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "limit",
        run,
        help="upper limits, observed and expected",
        description="The upper limit of a parameter by CLs (or CLs+b), observed and expected "
        "without a signal, at each point of a grid; asymptotic (arXiv:1007.1727) or by toys.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser, seed=options.SEED)
    parser.add_argument(
        "--poi", metavar="NAME", help="the parameter to limit, if there are several"
    )
    options.add_over(parser, "grid of other parameters", required=False)
    options.add_fix(parser)
    parser.add_argument("--cl", type=float, default=0.95, help="confidence level (default 0.95)")
    parser.add_argument(
        "--method",
        choices=("asymptotic", "toys"),
        default="asymptotic",
        help="asymptotic formulas (default), or toys",
    )
    parser.add_argument(
        "--statistic",
        choices=("cls", "clsb"),
        default="cls",
        help="CLs (default), or CLs+b, which may exclude what the data cannot see",
    )
    parser.add_argument(
        "--background",
        type=float,
        default=0.0,
        metavar="VALUE",
        help="value of the parameter without a signal (default 0)",
    )
    parser.add_argument(
        "--toys", type=int, default=1000, metavar="N", help="toys a point (default 1000)"
    )
    parser.add_argument(
        "--two-sided",
        action="store_true",
        help="likelihood intervals at the same confidence level, too",
    )
    parser.add_argument(
        "--feldman-cousins",
        metavar="GRID",
        help="intervals of the unified approach (physics/9711021), by toys at these values of the "
        "parameter; LOW:HIGH:POINTS",
    )
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Find the limits, print, write."""
    over, fixed = options.grids(args.over), options.values(args.fix, "--fix")
    options.number(args.toys, "--toys", 2)
    tested = None
    if args.feldman_cousins is not None:
        tested = options.grid(args.feldman_cousins, "--feldman-cousins")
        if over:
            raise errors.ParameterError(
                "--feldman-cousins takes one point of the other parameters; leave out --over, or "
                "keep them with --fix."
            )
    if len(over) > 1:
        raise errors.ParameterError(
            f"--over names {len(over)} parameters ({', '.join(over)}); limits are along one. Keep "
            "the others with --fix, or let them float."
        )
    if not 0 < args.cl < 1:
        raise errors.ParameterError(
            f"--cl {args.cl:g} is no confidence level; give a number between 0 and 1, as 0.95."
        )
    named = [*over, *fixed, *([args.poi] if args.poi else [])]
    analysis = options.analysis(args, named)
    poi = options.of_interest(analysis, {*fixed, *over}, args.poi)

    from bknn.inference import fit
    from bknn.inference.limits.feldman_cousins import feldman_cousins
    from bknn.inference.limits.limit import limit, two_sided

    out, work = output.directory(args.out), options.work(args)
    result = fit(analysis, fixed=fixed)
    with progress.bar("limits") as done:
        found = limit(
            analysis,
            poi,
            over=over or None,
            cl=args.cl,
            background=args.background,
            method=args.method,
            statistic=args.statistic,
            toys=args.toys,
            seed=args.seed,
            fixed=fixed,
            progress=done,
            work=work.within("limits"),
        )
    both = None
    if args.two_sided:
        with progress.bar("intervals") as done:
            both = two_sided(
                analysis,
                poi,
                over=over or None,
                cl=args.cl,
                fixed=fixed,
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
                toys=args.toys,
                levels=(0.68, args.cl),
                lowest=args.background,
                seed=args.seed,
                fixed=fixed,
                progress=done,
                work=work.within("feldman-cousins"),
            )
    print(limit_table(found, both, unified, result))
    if out is not None:
        settings = options.settings(
            args,
            poi=poi,
            over=dict(text.split("=", 1) for text in args.over),
            fix=fixed,
            cl=args.cl,
            method=args.method,
            statistic=args.statistic,
            background=args.background,
            toys=args.toys if args.method == "toys" or unified else None,
            two_sided=args.two_sided,
            feldman_cousins=args.feldman_cousins,
        )

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            paths: list[Path] = []
            if len(found.observed) > 1 and found.converged.any():
                drawn = plot.limits(found, log_x=args.over[0].endswith(":log"))
                paths += plot.save(drawn, folder / "limit")
            elif found.scans and found.scans[0] is not None:
                paths += plot.save(plot.scan(found), folder / "scan")
            if unified is not None:
                paths += plot.save(plot.acceptance(unified), folder / "feldman_cousins")
            return paths

        output.write(
            out,
            limit_json(found, both, unified, result, settings=settings),
            {"limit.nc": lambda path: write_limit(found, both, path)},
            None if args.no_figures else figures,
        )
    failed = [text for text in found.remarks if text.startswith("failed")]
    failed += [text for text in both.remarks if text.startswith("failed")] if both else []
    failed += [text for text in unified.remarks if text.startswith("failed")] if unified else []
    if failed or not bool(result.converged):
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


def write_limit(found: Limit, both: TwoSided | None, path: Path) -> None:
    """Write limits as NetCDF; infinite where there is none, NaN where a fit failed."""
    from bknn.inference.limits.asymptotic import BAND

    with files.arrays(path, f"bknn limit of {found.parameter}") as file:
        file.dimension("point", len(found.observed))
        file.dimension("band", len(BAND))
        file.put("band", BAND, "band")
        for name, values in found.grid.items():
            file.put(name, values, "point")
        file.put("observed", found.observed, "point")
        file.put("expected", [found.expected[n] for n in BAND], "band", "point")
        file.put("observed_error", found.observed_error, "point")
        file.put("expected_error", [found.expected_error[n] for n in BAND], "band", "point")
        file.put("best", found.best, "point")
        file.put("failed", found.failed, "point")
        file.put_texts("status", found.remarks, "point")
        if both is not None:
            for name in ("low", "high"):
                file.put(name, getattr(both, name), "point")


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
    if unified is not None:
        lines += _unified_lines(unified)
    lines += absent_lines(_absent(found, result))
    lines.append(f"limits           {found.status}")
    if both is not None:
        lines.append(f"intervals        {both.status}")
    if unified is not None:
        lines.append(f"Feldman-Cousins  {unified.status}")
    return "\n".join(lines)


def _unified_lines(unified: FeldmanCousins) -> list[str]:
    """The intervals of the unified approach."""
    if not np.isfinite(unified.observed).all():
        return []
    rows = []
    for level in unified.levels:
        for x in unified.regions(level):
            ends = [
                short(end) + (" (end of the grid)" if is_open else _shown(end, error))
                for end, error, is_open in (
                    (x.low, x.low_error, x.low_open and x.low > unified.lowest),
                    (x.high, x.high_error, x.high_open),
                )
            ]
            rows.append((f"{100 * level:g}%", *ends))
    how = f"{unified.toys} toys a value" if unified.method == "toys" else "sums over all outcomes"
    head = (f"Feldman-Cousins, {how}", "from", "to")
    return [table(head, rows), ""]


def _shown(end: float, error: float) -> str:
    """The error of an end, if it shows in the digits of a table."""
    return _error(error) if error > 1e-5 * abs(end) else ""


def _error(error: float) -> str:
    return f" +- {error:.1g}" if error > 0 else ""


def _expected(found: Limit, sigma: int, i: int) -> str:
    return _text(found.expected[sigma][i], found.expected_error[sigma][i])


def _text(value: float, error: float = 0.0) -> str:
    if np.isnan(value):
        return "failed"
    if np.isinf(value):
        return "none"
    return short(value) + _error(error)
