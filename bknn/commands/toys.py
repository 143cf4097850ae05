"""`bknn toys`: many data sets as they could have come out, each fitted; bias, pulls, coverage."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.commands import options, output, progress

_EXAMPLES = """\
examples:
  bknn toys signal-strength -n 2000 --set mu=1 --out toys-1/
  bknn toys signal-strength -n 2000 --set mu=1 --first 2000 --out toys-2/
  bknn toys signal-strength --merge toys-1/toys.nc toys-2/toys.nc --out all/
  bknn toys resonance --goodness-of-fit -n 1000
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "toys",
        run,
        help="throw and fit toys: bias, pulls, coverage, goodness of fit",
        description="Throw data sets (counts and auxiliary data) at a point of the parameters and "
        "fit each: bias, pulls and coverage of the fit. The nuisances of the truth are as they fit "
        "the data best at that point.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser, seed=options.SEED)
    options.add_truth(parser)
    parser.add_argument(
        "-n",
        "--number",
        type=int,
        metavar="N",
        help="how many toys (default 1000; none with --merge)",
    )
    options.add_jobs(parser)
    parser.add_argument(
        "--goodness-of-fit",
        action="store_true",
        help="how often toys thrown at the best fit are fitted worse than the data (saturated "
        "statistic)",
    )
    parser.add_argument(
        "--no-uncertainties",
        action="store_true",
        help="leave out the uncertainty of each fit (a few ms a toy), and with it the pulls",
    )
    options.add_fix(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Throw, fit, print, write."""
    fixed = options.values(args.fix, "--fix")
    point = options.point_of_truth(args, fixed)
    number = args.number if args.number is not None else (0 if args.merge else 1000)
    options.number(number, "-n", 0 if args.merge else 1)
    options.number(args.first, "--first", 0)
    if args.nominal and not number:
        raise errors.ParameterError("--nominal is about toys to throw; say how many with -n.")
    if args.goodness_of_fit and not number:
        raise errors.ParameterError(
            "--goodness-of-fit throws toys of its own; say how many with -n."
        )
    analysis = options.analysis(args, [*point, *fixed])

    from bknn import report
    from bknn.inference import fit
    from bknn.inference.toys.goodness import goodness_of_fit
    from bknn.inference.toys.toys import Toys, toys
    from bknn.inference.toys.truth import truth

    parts = [Toys.load(path) for path in args.merge]
    out, work = output.directory(args.out), options.work(args)
    result = fit(analysis, fixed=fixed).check()
    if number:
        at = truth(analysis, point, fixed=fixed, nominal=args.nominal, best=result)
        with progress.bar("toys", number, "toys") as done:
            thrown = toys(
                analysis,
                at,
                number,
                seed=args.seed,
                first=args.first,
                fixed=fixed,
                uncertainties=not args.no_uncertainties,
                coverage=True,
                progress=done,
                work=work.within("toys"),
            )
        parts.insert(0, thrown)
    found = Toys.merge(*parts)
    quality = None
    if args.goodness_of_fit:
        with progress.bar("goodness of fit", number, "toys") as done:
            quality = goodness_of_fit(
                analysis,
                n=number,
                seed=args.seed,
                fixed=fixed,
                progress=done,
                work=work.within("goodness-of-fit"),
            )
    print(report.toys_table(found, quality, result))
    if out is not None:
        settings = options.settings(
            args,
            set=point,
            fix=fixed,
            nominal=args.nominal,
            number=number,
            first=args.first,
            merge=args.merge,
            goodness_of_fit=args.goodness_of_fit,
        )

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            paths = plot.save(plot.toys(found), folder / "toys")
            if quality is not None:
                paths += plot.save(plot.goodness_of_fit(quality), folder / "goodness_of_fit")
            return paths

        output.write(
            out,
            report.toys_json(found, quality, result, settings=settings),
            {"toys.nc": found.save},
            None if args.no_figures else figures,
        )
    return 0
