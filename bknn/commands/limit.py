"""`bknn limit`: upper limits on a parameter, along a grid of another, with what was expected."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.commands import options, output, progress

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

    from bknn import report
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
    print(report.limit_table(found, both, unified, result))
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
            if len(found.observed) > 1 and found.ok.any():
                drawn = plot.limits(found, log_x=args.over[0].endswith(":log"))
                paths += plot.save(drawn, folder / "limit")
            elif found.scans and found.scans[0] is not None:
                paths += plot.save(plot.scan(found), folder / "scan")
            if unified is not None:
                paths += plot.save(plot.acceptance(unified), folder / "feldman_cousins")
            return paths

        output.write(
            out,
            report.limit_json(found, both, unified, result, settings=settings),
            {"limit.nc": lambda path: report.write_limit(found, both, path)},
            None if args.no_figures else figures,
        )
    failed = [text for text in found.status if text.startswith("failed")]
    failed += [text for text in both.status if text.startswith("failed")] if both else []
    failed += [text for text in unified.status if text.startswith("failed")] if unified else []
    if failed or not bool(result.converged):
        print(f"bknn: {found.sentence}", file=sys.stderr)
        return 1
    return 0
