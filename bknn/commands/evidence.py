"""`bknn evidence`: how probable the data are under a model, and under what it competes with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import precision
from bknn.questions.shared import options, output, progress, resume

if TYPE_CHECKING:
    from bknn.inference.evidences.comparison import Comparison
    from bknn.studies.hypotheses import Hypothesis

_EXAMPLES = """\
examples:
  bknn evidence resonance --fix width=0.1 --prior "mass=uniform(1.5, 3.0)" \\
      "branching_ratio=uniform(0, 24e-6)" --out results/
  bknn evidence resonance background
  bknn evidence resonance scalar-pair wet
  bknn evidence resonance free-sm --prior "mu=uniform(0, 10)"
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "evidence",
        run,
        help="evidences and Bayes factors",
        description="The evidence of a model (the probability of the data, averaged over the "
        "priors), of the standard model with its rate free and constrained, and of no signal at "
        "all; and their Bayes factors.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser, seed="of the draws (default 0)")
    parser.add_argument(
        "against",
        nargs="*",
        metavar="OTHER",
        help="other models, or 'free-sm', 'constrained-sm', 'background' (default: these three)",
    )
    options.add_fix(parser)
    options.add_priors(parser)
    parser.add_argument("--chains", type=int, default=4, metavar="N", help="how many (default 4)")
    parser.add_argument(
        "--draws",
        type=int,
        default=1000,
        metavar="N",
        help="of each chain and hypothesis (default 1000); more of them, smaller errors",
    )
    resume.add(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Compute, print, write."""
    fixed = options.values(args.fix, "--fix")
    priors = options.priors(args.prior, functions=args.functions)
    chains = options.number(args.chains, "--chains")
    draws = options.number(args.draws, "--draws", 4)
    precision.prepare()
    from bknn.studies.hypotheses import evidences, hypotheses

    asked = hypotheses(
        options.model(args),
        options.measurements(args),
        args.against,
        fixed=fixed,
        priors=options.called(args, priors),
        free=args.free,
        bounds=options.bounds(args.bounds),
        response=args.response,
    )
    analysis = asked[0].analysis
    record = options.settings(
        args,
        against=[h.name for h in asked[1:]],
        fix=fixed,
        prior=priors,
        chains=chains,
        draws=draws,
    )
    out = output.directory(args.out)
    with (
        resume.kept(args, analysis, record, out) as work,
        progress.bar("evidences", unit="draws") as done,
    ):
        found = evidences(
            asked, chains=chains, draws=draws, seed=args.seed, store=work, progress=done
        )
    return report(found, asked, out, record, figures=not args.no_figures)


def report(
    found: Comparison,
    asked: Sequence[Hypothesis],
    out: Path | None,
    record: Mapping[str, Any],
    *,
    figures: bool = True,
) -> int:
    """Print what was found, write it, and return the exit code: 1 if it is not to be believed."""
    from bknn.questions import evidence as report

    analysis = asked[0].analysis
    meanings = {h.name: h.meaning for h in asked}
    print(report.evidence_table(found, meanings, analysis))
    if out is not None:

        def draw(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.save(plot.evidence(found, analysis), folder / "evidence")

        output.write(
            out,
            report.evidence_json(found, meanings, analysis, settings=record),
            {},
            draw if figures else None,
        )
    if not found.converged:
        print(
            "bknn: the methods do not agree on an evidence; do not use it (see 'evidence' above).",
            file=sys.stderr,
        )
        return 1
    return 0
