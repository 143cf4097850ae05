"""`bknn project`: how far data to come would tell scenarios apart, and which would most."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bknn import errors, precision
from bknn.commands import options, output, progress

_EXAMPLES = """\
examples:
  bknn project
  bknn project scalar vector-V --luminosity 1 5 10 50 --out results/
  bknn project scalar vector-V --with "BR(B0 -> K*0)" "F_L(B0 -> K*0)"
  bknn project sm-rescaled scalar --luminosity 1 5 --check scalar:sm-rescaled --toys 300
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "project",
        run,
        help="how well data to come will tell scenarios apart, and what to measure next",
        description="Project the measurements of Belle II to other luminosities; say with which "
        "significance each scenario is excluded if another one is true, with which luminosity, and "
        "how much measurements to come would tell. docs/projections.md has the rules.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="SCENARIO",
        help="of `bknn.models.scenarios.SCENARIOS` (default: sm-rescaled scalar vector-V "
        "scalar-pair-S fermion-pair-V)",
    )
    options.add_data(parser)
    options.add_theory(parser)
    parser.add_argument(
        "--luminosity",
        nargs="+",
        type=float,
        default=[1.0, 5.0, 10.0, 50.0],
        metavar="L",
        help="in 1/ab (default 1 5 10 50)",
    )
    parser.add_argument(
        "--systematics",
        default="statistical",
        metavar="RULE",
        help="'constant', 'statistical' (default) or 'all': which uncertainties shrink",
    )
    parser.add_argument(
        "--with",
        dest="expected",
        nargs="+",
        default=[],
        metavar="RESULT",
        help="results that Belle II expects, of `bknn.derived.luminosity.BELLE2`, beside the data",
    )
    parser.add_argument(
        "--simulated",
        action="store_true",
        help="backgrounds as simulated, not as they fit the data of today",
    )
    parser.add_argument(
        "--worth-at",
        type=float,
        default=10.0,
        metavar="L",
        help="luminosity in 1/ab at which the worth of measurements is computed (default 10; 0 "
        "leaves it out)",
    )
    parser.add_argument(
        "--check",
        nargs="+",
        default=[],
        metavar="TRUE:TESTED",
        help="entries of the matrix of the first luminosity that toys shall check",
    )
    parser.add_argument(
        "--toys", type=int, default=200, metavar="N", help="of each check (default 200)"
    )
    options.add_seed(parser, "of draws and toys (default 0)")
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Project, fit, print, write."""
    options.number(args.toys, "--toys", 2)
    if bad := [x for x in args.luminosity if not x > 0]:
        raise errors.ParameterError(f"--luminosity {bad[0]:g}: give positive numbers in 1/ab.")
    precision.prepare()

    from bknn import report
    from bknn.studies.outlook import NAMES, SM, outlook
    from bknn.studies.power import separation

    names = tuple(args.names) or NAMES
    pairs = [_pair(text, (SM, *names)) for text in args.check]
    measurements = options.measurements(args)
    out = output.directory(args.out)
    with progress.bar("projections", None, "models") as done:
        found = outlook(
            measurements,
            names,
            luminosities=args.luminosity,
            systematics=args.systematics,
            expected=args.expected,
            fitted=not args.simulated,
            worth_at=args.worth_at or None,
            seed=args.seed,
            progress=done,
            **options.theory(args),
        )
    first = {h.name: h for h in found.hypotheses[0]}
    checks = {
        (true, tested): separation(first[true], first[tested], args.toys, seed=args.seed)
        for true, tested in pairs
    }
    print(report.outlook_table(found, checks))
    if out is not None:
        settings = {
            "scenarios": list(names),
            "channels": args.channels,
            "luminosity": args.luminosity,
            "systematics": args.systematics,
            "with": args.expected,
            "simulated": args.simulated,
            "worth_at": args.worth_at,
            "check": args.check,
            "toys": args.toys,
            "seed": args.seed,
            **options.theory(args),
        }

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.outlook_figures(found, folder)

        print()
        output.write(
            out,
            report.outlook_json(found, checks, settings=settings),
            {"projections.nc": lambda path: report.write_outlook(found, path)},
            None if args.no_figures else figures,
        )
    return 0 if found.converged else 1


def _pair(text: str, known: tuple[str, ...]) -> tuple[str, str]:
    true, colon, tested = text.partition(":")
    if not colon:
        raise errors.ParameterError(
            f"--check {text!r} is not of the form TRUE:TESTED; for example scalar:sm-rescaled."
        )
    for name in (true, tested):
        if name not in known:
            raise errors.unknown("scenario", name, known, "this command")
    return true, tested
