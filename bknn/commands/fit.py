"""`bknn fit`: the best values, how sure they are, and the standard model beside them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.commands import options, output

_EXAMPLES = """\
examples:
  bknn fit signal-strength
  bknn fit signal-strength --channels hadronic
  bknn fit resonance --fix mass=2.1 --out results/
  bknn fit resonance --fix width=0.1 --response reweighting
  bknn fit signal-strength --data my-workspace.json
  bknn fit wet --free C_VR --form-factors hpqcd-2022
  bknn fit vector --fix mass=2.1
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "fit",
        run,
        help="fit a model to data",
        description="Fit a model to data: best values, uncertainties, comparison with the "
        "standard model, figures.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser)
    options.add_fix(parser)
    parser.add_argument("--init", nargs="+", default=[], metavar="NAME=VALUE", help="start there")
    parser.add_argument(
        "--method",
        choices=("newton", "lbfgs", "adam"),
        default="newton",
        help="Fisher steps (default), L-BFGS, or Adam then L-BFGS",
    )
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Fit, print, write."""
    from bknn import report
    from bknn.inference import fit, fit_null

    fixed, init = options.values(args.fix, "--fix"), options.values(args.init, "--init")
    analysis = options.analysis(args, fixed)
    for name in init:
        if name in analysis.constants:
            raise errors.ParameterError(
                f"--init {name}: {analysis.model.name} keeps {name} fixed at "
                f"{analysis.constants[name]:g} by default; let it float with --free {name}, or set "
                f"it with --fix {name}=VALUE."
            )
    out = output.directory(args.out)
    result = fit(analysis, fixed=fixed, init=init, method=args.method)
    # A parameter the user fixed keeps its value in the null, unless it is what makes the null.
    null = fit_null(analysis, fixed_too=fixed)
    print(report.fit_table(result, null))
    if out is not None:
        settings = options.settings(args, fix=fixed, init=init, method=args.method)

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.fit_figures(result, null, folder)

        output.write(
            out,
            report.fit_json(result, null, command="fit", settings=settings),
            {"fit.nc": lambda path: report.write_arrays(result, path)},
            None if args.no_figures else figures,
        )
    if not (result.converged and null.converged):
        print(
            "bknn: the fit did not converge; do not use its numbers (see 'fit' above).",
            file=sys.stderr,
        )
        return 1
    return 0
