"""`bknn profile`: the likelihood along one to three parameters, all others fitted; intervals."""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from bknn import errors
from bknn.commands import options, output, progress

_EXAMPLES = """\
examples:
  bknn profile signal-strength --over mu=-2:12:100
  bknn profile resonance --over mass=0.1:4.7:200 --out results/
  bknn profile resonance --over mass=0.1:4.7:200 --intervals mass branching_ratio
  bknn profile resonance --over mass=1.5:3:40 branching_ratio=0:2e-5:40 --out results/
  bknn profile wet --over C_SL=-10:10:50 C_TL=0:20:50
  bknn profile scalar --free g_P --over mass=0.5:4:20 g_S=0:3e-8:20 g_P=0:2e-7:20 \\
      --data belle2-2025 babar-2013
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "profile",
        run,
        help="the likelihood along one to three parameters; intervals and contours",
        description="Minimise -2 log L over everything else at each value of one to three "
        "parameters. Intervals and contours are where it rises by what their confidence asks for, "
        "found by root search, not read off the grid.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser)
    options.add_over(parser, "grid of one to three parameters", required=True)
    options.add_fix(parser)
    parser.add_argument(
        "--intervals",
        nargs="*",
        metavar="NAME",
        help="parameters whose 68%% and 95%% intervals are wanted; those of the grid by default, "
        "none if nothing follows",
    )
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Profile, print, write."""
    over, fixed = options.grids(args.over), options.values(args.fix, "--fix")
    if len(over) > 3:
        raise errors.ParameterError(
            f"--over names {len(over)} parameters ({', '.join(over)}), and a profile has at most "
            "three. Keep the others with --fix, or leave them to the fit."
        )
    analysis = options.analysis(args, [*over, *fixed, *(args.intervals or [])])

    from bknn import report
    from bknn.inference.profiles.contours import contours
    from bknn.inference.profiles.intervals import intervals
    from bknn.inference.profiles.profile import profile

    out, work = output.directory(args.out), options.work(args)
    names = list(over) if args.intervals is None else args.intervals
    for name in names:
        analysis.index(name)
    points = int(np.prod([len(grid) for grid in over.values()]))
    plane = None
    with progress.bar("profile", points, "points") as done:
        if len(over) == 2 and min(map(len, over.values())) > 1:
            plane = contours(analysis, over, fixed=fixed, progress=done, work=work)
            found = plane.profile
        else:
            found = profile(analysis, over, fixed=fixed, progress=done, work=work)
    limits = None
    if names:
        with progress.bar("intervals", 2 * len(names), "intervals") as done:
            limits = intervals(analysis, names, fixed=fixed, best=found.best, progress=done)
    print(report.profile_table(found, limits, plane))
    if out is not None:
        settings = options.settings(
            args, over=dict(text.split("=", 1) for text in args.over), fix=fixed, intervals=names
        )

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            if plane is not None:
                return plot.save(plot.contours(plane), folder / "contours")
            if len(over) == 3:
                pairs = combinations(over, 2)
                return [
                    path
                    for pair in pairs
                    for path in plot.save(
                        plot.profile(found.minimised(*pair)), folder / "_".join(["profile", *pair])
                    )
                ]
            return plot.save(plot.profile(found), folder / "profile")

        output.write(
            out,
            report.profile_json(found, limits, plane, settings=settings),
            {"profile.nc": lambda path: report.write_profile(found, path)},
            None if args.no_figures else figures,
        )
    if not ((found.converged | found.excluded).all() and bool(found.best.converged)):
        print(f"bknn: {found.status}", file=sys.stderr)
        return 1
    return 0
