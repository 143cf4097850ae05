"""`bknn predict`: branching fractions, spectra, polarisation of a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import errors, precision
from bknn.commands import predict_fit
from bknn.questions.shared import options, output

if TYPE_CHECKING:
    from bknn.studies.observables.quantities import Quantity

_EXAMPLES = """\
examples:
  bknn predict sm --channel "B+ -> K+" "B0 -> K*0"
  bknn predict vector --set mass=2.1 h_V=7e-9 --observable branching_ratio f_l \\
      --channel "B+ -> K*+"
  bknn predict wet --set C_TL=8 --observable f_l --channel "B0 -> K*0" --q2 0,4 4,8 8,16
  bknn predict sm --observable dbr_dq2 --q2 1 5 10 --form-factors hpqcd-2022 --out results/
  bknn predict vector --set mass=2.1 h_T=4.8e-9 --part new
  bknn predict vector --basis chiral --fit belle2-2025 babar-2013 --set mass=2.1
  bknn predict vector --basis chiral --fit belle2-2025 --set mass=2.1 --observable f_l \\
      --channel "B0 -> K*0" --around 0.5 1 2 --from posterior
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "predict",
        run,
        help="branching fractions, spectra, polarisation of a model",
        description="Predict observables of a model at a point of its parameters, with the "
        "uncertainty of form factors and inputs; or, with --fit, where data leave it, with the "
        "uncertainty of everything.",
        epilog=_EXAMPLES,
    )
    options.add_model(parser)
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help=f"{options.POINT}; with --fit what is kept, the best fit elsewhere",
    )
    parser.add_argument(
        "--fit", nargs="+", default=[], metavar="SET", help="data to fit first, as for `bknn fit`"
    )
    parser.add_argument(
        "--free", nargs="+", default=[], metavar="NAME", help="parameters that float, too"
    )
    predict_fit.add_options(parser)
    parser.add_argument(
        "--observable",
        nargs="+",
        metavar="NAME",
        help="branching_ratio (default), dbr_dq2, f_l, r_k, r_kstar, r_phi, r_f_l",
    )
    parser.add_argument(
        "--channel",
        nargs="+",
        metavar="CHANNEL",
        help='"B+ -> K+" (default), "B0 -> K0", "B+ -> K*+", "B0 -> K*0", "Bs -> phi", '
        '"Bs -> invisible"',
    )
    parser.add_argument(
        "--q2",
        nargs="+",
        default=[],
        metavar="A,B",
        help="bins A,B or points A in GeV^2; all of phase space by default",
    )
    parser.add_argument(
        "--part",
        default="all",
        metavar="PART",
        help="'all' (default), or 'new' for the new state alone, without the standard model",
    )
    parser.add_argument("--out", metavar="DIR", help="write result.json and figures there")
    parser.add_argument("--no-figures", action="store_true", help="do not draw")


def run(args: argparse.Namespace) -> int:
    """Predict, print, write."""
    point = options.values(args.set, "--set")
    regions: list[tuple[float, float] | float | None] = [_region(text) for text in args.q2]
    if args.fit:
        precision.prepare()
        return predict_fit.measured(args, _quantities(args, regions))
    # A card says what floats for all its tasks.
    free = [] if hasattr(args, "work") else args.free
    of_fits = {"--around": args.around, "--from": args.source, "--free": free}
    for option, given in of_fits.items():
        if given:
            raise errors.ParameterError(
                f"{option} is about a fit; say to what data with --fit, as in --fit belle2-2025."
            )
    regions = regions or [None]
    channels, observables = args.channel or ["B+ -> K+"], args.observable or ["branching_ratio"]

    precision.prepare()
    from bknn.parameters import point as values_at
    from bknn.prediction import predict
    from bknn.questions import predict as report

    model = options.model(args)
    rows: list[dict[str, Any]] = []
    absent: list[dict[str, Any]] = []
    problems: list[errors.UndefinedError] = []
    for channel in channels:
        for observable in observables:
            for region in regions:
                q2 = region if isinstance(region, tuple) or region is None else (region, region)
                row = {
                    "observable": observable,
                    "channel": channel,
                    "q2": None if q2 is None else list(q2),
                    "part": args.part,
                }
                try:
                    found = predict(model, observable, channel, point, region, part=args.part)
                except errors.UndefinedError as error:
                    absent.append({**row, "reason": str(error)})
                    problems.append(error)
                    continue
                row["value"], row["uncertainty"] = float(found.value), float(found.uncertainty)
                rows.append(row)
    if not rows:
        raise problems[0]
    params = values_at(model, point)
    out = output.directory(args.out)
    print(report.predictions_table(model, rows, params, absent))
    if out is not None:
        settings = {**options.model_settings(args), "part": args.part}
        content = report.predictions_json(model, rows, params, absent=absent, settings=settings)
        drawn = list(dict.fromkeys(row["channel"] for row in rows))

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.prediction_figures(model, point, drawn, folder)

        print()
        output.write(out, content, {}, None if args.no_figures else figures)
    return 0


def _quantities(
    args: argparse.Namespace, regions: list[tuple[float, float] | float | None]
) -> list[Quantity]:
    """What is asked of a fit: every combination, or by default what tells scenarios apart."""
    from bknn.studies.compare import TELLING
    from bknn.studies.observables.quantities import Quantity

    where: list[dict[str, Any]] = [{"q2": region} for region in regions]
    where += [{"around": half} for half in args.around]
    pairs = [
        (channel, observable)
        for channel in args.channel or ["B+ -> K+"]
        for observable in args.observable or ["branching_ratio"]
    ]
    if args.channel is None and args.observable is None and not where:
        pairs = [(q.channel, q.observable) for q in TELLING]
    return [Quantity(o, c, part=args.part, **place) for c, o in pairs for place in where or [{}]]


def _region(text: str) -> tuple[float, float] | float:
    """Read a bin A,B or a point A."""
    try:
        numbers = [float(x) for x in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise errors.ParameterError(
        f"--q2 {text!r} is neither a bin A,B nor a point A in GeV^2; for example --q2 0,4 4,8."
    )
