"""`bknn significance`: how unlikely the standard model makes the data, locally and globally."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bknn.commands import options, output, progress

_EXAMPLES = """\
examples:
  bknn significance signal-strength
  bknn significance resonance --toys 10000 --seed 1 --out results/
  bknn significance resonance --fix mass=2.1
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "significance",
        run,
        help="how unlikely the standard model makes the data",
        description="Compare the best fit with the standard model: the local significance from "
        "the likelihood ratio, and with --toys the global one, for which every toy of the "
        "standard model is searched as the data were.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser, seed=options.SEED)
    options.add_fix(parser)
    parser.add_argument(
        "--toys", type=int, default=0, metavar="N", help="toys of the standard model (default none)"
    )
    options.add_jobs(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Fit, throw, print, write."""
    fixed = options.values(args.fix, "--fix")
    options.number(args.toys, "--toys", 0)
    options.number(args.first, "--first", 0)
    analysis = options.analysis(args, fixed)

    from bknn import report
    from bknn.inference.toys.significance import significance
    from bknn.inference.toys.toys import Toys

    parts = [Toys.load(path) for path in args.merge]
    out = output.directory(args.out)
    with progress.bar("toys", args.toys or None, "toys") as done:
        found = significance(
            analysis,
            toys=args.toys,
            seed=args.seed,
            first=args.first,
            fixed=fixed,
            progress=done,
            work=options.work(args),
        )
    if parts:
        own = [found.toys] if found.toys is not None else []
        found = significance(analysis, toys=Toys.merge(*own, *parts), seed=args.seed, fixed=fixed)
    print(report.significance_table(found))
    if out is not None:
        settings = options.settings(
            args, fix=fixed, toys=args.toys, first=args.first, merge=args.merge
        )

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.save(plot.significance(found), folder / "significance")

        thrown = found.toys
        output.write(
            out,
            report.significance_json(found, settings=settings),
            {} if thrown is None else {"toys.nc": thrown.save},
            None if args.no_figures or thrown is None else figures,
        )
    return 0
