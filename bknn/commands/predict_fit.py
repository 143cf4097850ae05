"""`bknn predict --fit` and `bknn compare`: predictions of what data leave of a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import errors, precision
from bknn.commands import options, output, progress

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.inference.fits.result import FitResult
    from bknn.studies.observables.predictions import Predictions
    from bknn.studies.observables.quantities import Quantity

SOURCES = ("profile", "hessian", "posterior")

#: What tells scenarios apart: channel and observable.
DEFAULTS = (
    ("B+ -> K+", "branching_ratio"),
    ("B0 -> K*0", "branching_ratio"),
    ("B0 -> K*0", "f_l"),
    ("Bs -> phi", "branching_ratio"),
    ("Bs -> invisible", "branching_ratio"),
)

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

    from bknn import report

    quantities, absent = existing(analysis.model, quantities)
    out = output.directory(args.out)
    source = args.source or "profile"
    best, found = predicted(analysis, point, quantities, source, args.seed)
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


def existing(
    model: Any, quantities: Sequence[Quantity]
) -> tuple[list[Quantity], dict[Quantity, str]]:
    """Return the quantities that a model predicts, and why not of the others.

    Raises:
        UndefinedError: it predicts none of them.
    """
    found: list[Quantity] = []
    absent: dict[Quantity, str] = {}
    problems: list[errors.UndefinedError] = []
    for quantity in quantities:
        try:
            found.append(quantity.check(model))
        except errors.UndefinedError as error:
            absent[quantity] = str(error)
            problems.append(error)
    if not found:
        raise problems[0]
    return found, absent


def predicted(
    analysis: Analysis,
    fixed: Mapping[str, float],
    quantities: Sequence[Quantity],
    source: str,
    seed: int,
) -> tuple[FitResult, Predictions]:
    """Fit, and predict from the fit or from draws of the posterior."""
    from bknn.inference import fit
    from bknn.inference.posteriors.sample import sample
    from bknn.studies.observables.predictions import predictions

    best = fit(analysis, fixed=fixed)
    if source == "posterior":
        with progress.bar("sampling", None, "draws") as done:
            draws = sample(analysis, fixed=dict(fixed) or None, seed=seed, progress=done)
        return best, predictions(draws, quantities, seed=seed)
    with progress.bar("predictions", 2 * len(quantities), "intervals") as done:
        return best, predictions(best, quantities, method=source, progress=done)


def run_compare(args: argparse.Namespace) -> int:
    """Fit scenarios, predict, print, write: `bknn compare`."""
    kept = options.values(args.set, "--set")
    chosen = {text: read(text) for text in args.scenarios}
    precision.prepare()
    from bknn import report
    from bknn.analysis.analysis import Analysis
    from bknn.inference import fit_null
    from bknn.studies.observables.quantities import Quantity

    out = output.directory(args.out)
    measurements = options.measurements(args)
    source = args.source or "hessian"
    known: set[str] = set()
    fits: dict[str, FitResult] = {}
    found: dict[str, Predictions] = {}
    null: FitResult | None = None
    for text, (model, couplings) in chosen.items():
        names = {p.name for p in model.parameters}
        known |= names
        own = {n: x for n, x in kept.items() if n in names}
        others = {c.name: 0.0 for c in model.couplings if c.name not in couplings}
        # Couplings that float by default and are not in the scenario are held at 0.
        held = own | {n: x for n, x in others.items() if not _fixed(model, n)}
        free = [n for n in (*couplings, *own) if _fixed(model, n)]
        analysis = Analysis(model, measurements, free=free)
        quantities = [Quantity(observable, channel) for channel, observable in DEFAULTS]
        if model.name in ("scalar", "vector"):
            quantities += [Quantity("f_l", "B0 -> K*0", around=w) for w in args.around]
        fits[text], found[text] = predicted(analysis, held, quantities, source, args.seed)
        null = null or fit_null(analysis)
    for name in kept:
        if name not in known:
            raise errors.unknown("parameter", name, sorted(known), "these scenarios")
    print(report.comparison_table(fits, found, null))
    if out is not None:
        settings = {"scenarios": args.scenarios, "set": kept, "source": source, "seed": args.seed}
        content = report.comparison_json(fits, found, null, settings=settings)

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.comparison_figures(found, fits, folder)

        print()
        output.write(
            out,
            content,
            {"predictions.nc": lambda path: report.write_measured(found, path)},
            None if args.no_figures else figures,
        )
    return _verdict(fits)


def read(text: str) -> tuple[Any, tuple[str, ...]]:
    """Return the model and the couplings of MODEL:COUPLING,COUPLING.

    >>> model, couplings = read("vector:C_V_L")
    >>> model.basis, couplings
    ('chiral', ('C_V_L',))
    """
    from bknn import models

    name, _, words = text.partition(":")
    couplings = tuple(w.strip() for w in words.split(",") if w.strip())
    model: Any = models.load(name.strip())
    if not hasattr(model, "couplings_by_basis") or not couplings:
        raise errors.ParameterError(
            f"{text!r} is no scenario; write a model of light particles and its couplings that "
            "float, as vector:C_V_L or scalar:g_S,g_P."
        )
    bases = model.couplings_by_basis
    for basis, own in bases.items():
        if set(couplings) <= {c.name for c in own}:
            return models.load(name.strip(), basis=basis), couplings
    every = [c.name for own in bases.values() for c in own]
    for coupling in couplings:
        if coupling not in every:
            raise errors.unknown("coupling", coupling, every, f"model {name!r}")
    raise errors.ParameterError(
        f"{text!r} mixes couplings of different bases; take all from one of {', '.join(bases)}."
    )


def _fixed(model: Any, name: str) -> bool:
    return any(p.name == name and p.fixed for p in model.parameters)


def _verdict(fits: Mapping[str, FitResult]) -> int:
    bad = [text for text, best in fits.items() if not bool(best.converged)]
    for text in bad:
        print(f"bknn: {text}: {fits[text].status}", file=sys.stderr)
    return 1 if bad else 0
