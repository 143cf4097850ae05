"""`bknn impacts`: which nuisances move the parameter of interest, and groups that add up."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.commands import options, output, progress

_EXAMPLES = """\
examples:
  bknn impacts signal-strength
  bknn impacts resonance --poi branching_ratio --fix mass=2.1 --out results/
  bknn impacts signal-strength --asimov --set mu=1 --nominal
  bknn impacts signal-strength --group "decays=corr_br*,corr_exoticD*" "kaons=*KL*,*pid*,*PID*"
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "impacts",
        run,
        help="rank the nuisances by how much they move a parameter of interest",
        description="Rank the nuisances by the shift of the parameter of interest when each is "
        "moved by one standard deviation, before and after the fit, and divide its uncertainty "
        "into groups whose squares add up.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser)
    parser.add_argument("--poi", metavar="NAME", help="parameter of interest, if there are several")
    parser.add_argument(
        "--top", type=int, default=20, metavar="N", help="how many to print and draw (default 20)"
    )
    parser.add_argument(
        "--group",
        nargs="+",
        action="extend",
        default=[],
        metavar="LABEL=PATTERN[,PATTERN...]",
        help="groups of nuisances, by names with * and ?; by kind if there are none",
    )
    parser.add_argument(
        "--no-refits",
        action="store_true",
        help="linear impacts only, from the Hessian; nothing is fitted again",
    )
    parser.add_argument(
        "--asimov",
        action="store_true",
        help="of the data that are expected (Asimov), in place of those observed",
    )
    options.add_truth(parser)
    options.add_fix(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Fit, move the nuisances, print, write."""
    fixed, groups = options.values(args.fix, "--fix"), _groups(args.group)
    options.number(args.top, "--top")
    point = options.point_of_truth(args, fixed)
    if not args.asimov and (point or args.nominal):
        raise errors.ParameterError(
            f"{'--set' if point else '--nominal'} is about data that are expected; give --asimov "
            "too, or leave it out."
        )
    analysis = options.analysis(args, [*fixed, *point, *([args.poi] if args.poi else [])])
    poi = options.of_interest(analysis, fixed, args.poi)

    from bknn import report
    from bknn.inference import asimov, fit, truth
    from bknn.inference.impacts import impacts

    out = output.directory(args.out)
    result = fit(analysis, fixed=fixed).check()
    if args.asimov:
        at = truth(analysis, point, fixed=fixed, nominal=args.nominal, best=result)
        result = fit(analysis, fixed=fixed, data=asimov(analysis, at)).check()
    with progress.bar("refits") as done:
        found = impacts(
            analysis,
            poi,
            result=result,
            refits=not args.no_refits,
            groups=groups or None,
            progress=done,
        )
    print(report.impacts_table(found, args.top))
    if out is not None:
        settings = options.settings(
            args,
            poi=poi,
            asimov=args.asimov,
            set=point,
            nominal=args.nominal,
            fix=fixed,
            groups=groups,
            refits=not args.no_refits,
            top=args.top,
        )

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.save(plot.ranking(found, args.top), folder / "ranking")

        output.write(
            out,
            report.impacts_json(found, settings=settings),
            {"impacts.nc": lambda path: report.write_impacts(found, path)},
            None if args.no_figures else figures,
        )
    if poi in found.remarks:
        print(f"bknn: {found.status}", file=sys.stderr)
        return 1
    return 0


def _groups(texts: list[str]) -> dict[str, list[str]]:
    """Read LABEL=PATTERN,PATTERN."""
    found: dict[str, list[str]] = {}
    for text in texts:
        label, _, words = text.partition("=")
        patterns = [word.strip() for word in words.split(",") if word.strip()]
        if not label.strip() or not patterns:
            raise errors.ParameterError(
                f"--group {text!r} is not of the form LABEL=PATTERN,PATTERN; for example "
                '--group "form factors=ff_*".'
            )
        found.setdefault(label.strip(), []).extend(patterns)
    return found
