"""`bknn predict --fit` and `bknn compare`: predictions of what data leave of a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import precision
from bknn.questions.shared import options, output, progress

if TYPE_CHECKING:
    from bknn.inference.fits.result import FitResult
    from bknn.studies.observables.quantities import Quantity

SOURCES = ("profile", "hessian", "posterior")

_EXAMPLES = """\
examples:
  bknn compare vector:C_V_L vector:h_V --set mass=2.1
  bknn compare vector:C_V_L vector:C_T_L scalar:C_S_R fermion-pair:C_V_LR --out scenarios/ \\
      --data belle2-2025 babar-2013 aleph-bs-invisible
  bknn compare vector:C_V_L vector:h_V,h_A --around 1 --from profile --set mass=2.1
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say how data become predictions."""
    parser.add_argument(
        "--from",
        dest="source",
        choices=SOURCES,
        default=None,
        help="how uncertainties come out of the fit: 'profile' of the likelihood, its 'hessian', "
        "or draws of the 'posterior'",
    )
    parser.add_argument(
        "--around",
        nargs="+",
        type=float,
        default=[],
        metavar="W",
        help="bins mass^2 -+ W GeV^2, wherever the fit puts the mass of a single particle",
    )
    options.add_seed(parser, "of the draws (default 0)")


def add(commands: Any) -> None:
    """Add `bknn compare`."""
    parser = options.command(
        commands,
        "compare",
        run_compare,
        help="predictions of several scenarios that fit the same data",
        description="Fit scenarios to the same data, and predict B -> K*, Bs -> phi and "
        "Bs -> invisible from each, side by side: what would tell them apart.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "scenarios",
        nargs="+",
        metavar="MODEL:COUPLINGS",
        help="a model and its couplings that float, all others 0; the basis is the one that has "
        "them",
    )
    options.add_data(parser)
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="parameters that are kept, in the models that have them",
    )
    add_options(parser)
    options.add_output(parser)


def measured(args: argparse.Namespace, quantities: Sequence[Quantity]) -> int:
    """Fit, predict, print, write: `bknn predict --fit`."""
    point = options.values(args.set, "--set")
    args.data, args.patch, args.channels, args.response = args.fit, None, None, "smooth"
    analysis = options.analysis(args, point)

    from bknn.questions import compare as report
    from bknn.studies.compare import existing, fitted

    quantities, absent = existing(analysis.model, quantities)
    out = output.directory(args.out)
    source = args.source or "profile"
    with progress.bar("predictions", None, "steps") as done:
        best, found = fitted(
            analysis, quantities, point, method=source, seed=args.seed, progress=done
        )
    print(report.measured_table(best, found))
    for quantity, reason in absent.items():
        print(f"not there        {quantity}: {reason}")
    if out is not None:
        settings = {
            **options.settings(args, set=point, source=source),
            "observables": [str(q) for q in quantities],
            "absent": {str(q): reason for q, reason in absent.items()},
        }
        content = report.measured_json(best, found, settings=settings)

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            own = {analysis.model.name: found}
            return plot.comparison_figures(own, {analysis.model.name: best}, folder)

        print()
        output.write(
            out,
            content,
            {"predictions.nc": lambda path: report.write_measured({"": found}, path)},
            None if args.no_figures else figures,
        )
    return _verdict({analysis.model.name: best})


def run_compare(args: argparse.Namespace) -> int:
    """Fit scenarios, predict, print, write: `bknn compare`."""
    kept = options.values(args.set, "--set")
    precision.prepare()
    from bknn.questions import compare as report
    from bknn.studies.compare import compare

    out = output.directory(args.out)
    measurements = options.measurements(args)
    source = args.source or "hessian"
    with progress.bar("predictions", None, "intervals") as done:
        found = compare(
            args.scenarios,
            measurements,
            fixed=kept,
            method=source,
            around=args.around,
            seed=args.seed,
            progress=done,
        )
    print(report.comparison_table(found.fits, found.predictions, found.standard_model))
    if out is not None:
        settings = {"scenarios": args.scenarios, "set": kept, "source": source, "seed": args.seed}
        content = report.comparison_json(
            found.fits, found.predictions, found.standard_model, settings=settings
        )

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.comparison_figures(found.predictions, found.fits, folder)

        print()
        output.write(
            out,
            content,
            {"predictions.nc": lambda path: report.write_measured(found.predictions, path)},
            None if args.no_figures else figures,
        )
    return _verdict(found.fits)


def _verdict(fits: Mapping[str, FitResult]) -> int:
    bad = [text for text, best in fits.items() if not bool(best.converged)]
    for text in bad:
        print(f"bknn: {text}: {fits[text].status}", file=sys.stderr)
    return 1 if bad else 0
