"""`bknn regions`: where two couplings may be, for each data set and for all together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bknn import errors, precision
from bknn.commands import options, output, progress

_EXAMPLES = """\
examples:
  bknn regions scalar --over g_S=0:2e-8:31 g_P=-1e-7:1e-7:41 --fix mass=2.1 \\
      --data belle2-2025 babar-2013 belle-2017
  bknn regions fermion-pair --over f_VA=0:5:31 f_AA=-5:5:41 --fix mass=0.6 f_VV=0 \\
      --data belle2-2025 babar-2013 aleph-bs-invisible --out results/
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "regions",
        run,
        help="where two couplings may be, for each data set and for all together",
        description="Contours of -2 log L in the plane of two couplings, everything else fitted: "
        "each data set alone, and all together.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser)
    options.add_over(parser, "grid of the two couplings", required=True)
    options.add_fix(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Look for the contours, print, write."""
    over, fixed = options.grids(args.over), options.values(args.fix, "--fix")
    if len(over) != 2:
        raise errors.ParameterError(
            f"--over names {len(over)} parameters ({', '.join(over)}), and a region has two."
        )
    precision.prepare()

    from bknn import report
    from bknn.studies.regions import coupling_regions

    model = options.model(args)
    measurements = options.measurements(args)
    out = output.directory(args.out)
    several = len(measurements) + (len(measurements) > 1)
    points = several * len(next(iter(over.values()))) * len(list(over.values())[1])
    with progress.bar("regions", points, "points") as done:
        found = coupling_regions(
            model, measurements, over, fixed=fixed, free=args.free, progress=done
        )
    print(report.regions_table(found))
    if out is not None:
        settings = options.settings(
            args, over=dict(text.split("=", 1) for text in args.over), fix=fixed
        )

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.save(plot.coupling_regions(found), folder / "regions")

        output.write(
            out,
            report.regions_json(found, settings=settings),
            {},
            None if args.no_figures else figures,
        )
    return 0
