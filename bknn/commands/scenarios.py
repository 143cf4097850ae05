"""`bknn scenarios`: which kind of new physics describes the data, each over its mass."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bknn import precision
from bknn.commands import options, output, progress

_EXAMPLES = """\
examples:
  bknn scenarios
  bknn scenarios --data belle2-2025 babar-2013 belle-2017 aleph-bs-invisible --odd --out results/
  bknn scenarios vector-V vector-T scalar --points 100
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "scenarios",
        run,
        help="kinds of light new physics side by side, each over the mass of its particle",
        description="Fit scenarios (a model with one kind of coupling each) at every mass and "
        "compare them with the standard model: -2 ln(L / L_SM) over the mass, best masses.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="SCENARIO",
        help="of `bknn.models.scenarios.SCENARIOS`, or 'all'; by default those of arXiv:2403.13887 "
        "that describe the data better than the standard model rescaled, and that one",
    )
    options.add_data(parser)
    options.add_theory(parser)
    parser.add_argument(
        "--odd",
        action="store_true",
        help="let their partners of odd parity float too, which B -> K does not see",
    )
    parser.add_argument("--points", type=int, default=80, metavar="N", help="masses (default 80)")
    parser.add_argument(
        "--largest-mass", type=float, metavar="GEV", help="end of the grid (default: phase space)"
    )
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Fit, print, write."""
    options.number(args.points, "--points", 3)
    precision.prepare()

    from bknn import report
    from bknn.models.scenarios import SCENARIOS, VIABLE, scenario
    from bknn.studies.scenarios import scenarios

    names = tuple(SCENARIOS) if args.names == ["all"] else tuple(args.names) or VIABLE
    with_mass = [scenario(name) for name in names if scenario(name).mass]
    measurements = options.measurements(args)
    out = output.directory(args.out)
    with progress.bar("scenarios", args.points * len(with_mass), "masses") as done:
        found = scenarios(
            measurements,
            names,
            masses=args.points,
            largest_mass=args.largest_mass,
            odd=args.odd,
            progress=done,
            **options.theory(args),
        )
    print(report.scenarios_table(found))
    if out is not None:
        settings = {
            "scenarios": list(names),
            "odd": args.odd,
            "points": args.points,
            "largest_mass": args.largest_mass,
            "channels": args.channels,
            **options.theory(args),
        }

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.save(plot.scenarios(found), folder / "scenarios")

        output.write(
            out,
            report.scenarios_json(found, settings=settings),
            {"scenarios.nc": lambda path: report.write_scenarios(found, path)},
            None if args.no_figures else figures,
        )
    return 0
