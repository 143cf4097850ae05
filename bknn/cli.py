"""The command line: `bknn fit`, `bknn predict`, `bknn models`, `bknn data`, `bknn export`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import errors

if TYPE_CHECKING:
    from bknn.analysis import Analysis
    from bknn.models import Model

_FIT_MORE = """\
examples:
  bknn fit signal-strength
  bknn fit signal-strength --channels hadronic
  bknn fit resonance --fix mass=2.1 --out results/
  bknn fit resonance --fix width=0.1 --response reweighting
  bknn fit signal-strength --data my-workspace.json
  bknn fit wet --free C_VR --form-factors hpqcd-2022
  bknn fit vector --fix mass=2.1
"""

_PREDICT_MORE = """\
examples:
  bknn predict sm --channel "B+ -> K+" "B0 -> K*0"
  bknn predict vector --set mass=2.1 h_V=7e-9 --observable branching_ratio f_l \\
      --channel "B+ -> K*+"
  bknn predict wet --set C_TL=8 --observable f_l --channel "B0 -> K*0" --q2 0,4 4,8 8,16
  bknn predict sm --observable dbr_dq2 --q2 1 5 10 --form-factors hpqcd-2022 --out results/
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. What the user got wrong is one sentence and code 2."""
    args = _parser().parse_args(argv)
    try:
        code = int(args.run(args))
        sys.stdout.flush()  # here, where it is noticed if the reader has left
        return code
    except errors.BknnError as problem:
        print(f"bknn: error: {problem}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("bknn: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from importlib.metadata import version

    parser = argparse.ArgumentParser(
        prog="bknn",
        description="What do the B -> K(*) + missing energy data say about your model?",
    )
    parser.add_argument("--version", action="version", version=f"bknn {version('bknn')}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", required=True
    )

    fit = commands.add_parser(
        "fit",
        help="fit a model to data",
        description="Fit a model to data: best values, uncertainties, comparison with the "
        "standard model, figures.",
        epilog=_FIT_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_analysis(fit)
    fit.add_argument("--fix", nargs="+", default=[], metavar="NAME=VALUE", help="keep parameters")
    fit.add_argument("--init", nargs="+", default=[], metavar="NAME=VALUE", help="start there")
    fit.add_argument(
        "--method",
        choices=("newton", "lbfgs", "adam"),
        default="newton",
        help="Fisher steps (default), L-BFGS, or Adam then L-BFGS",
    )
    fit.add_argument("--out", metavar="DIR", help="write result.json, arrays and figures there")
    fit.add_argument("--no-figures", action="store_true", help="do not draw")
    fit.set_defaults(run=_fit)

    export = commands.add_parser(
        "export",
        help="write a pyhf workspace with the signal of a model put in",
        description="Write a pyhf workspace with the signal of a model at a point put in; its "
        "parameter of interest multiplies that signal.",
    )
    _add_analysis(export)
    export.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="the point; the start elsewhere"
    )
    export.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    export.set_defaults(run=_export)

    predict = commands.add_parser(
        "predict",
        help="branching fractions, spectra, polarisation of a model",
        description="Predict observables of a model at a point of its parameters, with the "
        "uncertainty of form factors and inputs.",
        epilog=_PREDICT_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_model(predict)
    predict.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="the point; the start elsewhere"
    )
    predict.add_argument(
        "--observable",
        nargs="+",
        default=["branching_ratio"],
        metavar="NAME",
        help="branching_ratio (default), dbr_dq2, f_l, r_k, r_kstar, r_phi, r_f_l",
    )
    predict.add_argument(
        "--channel",
        nargs="+",
        default=["B+ -> K+"],
        metavar="CHANNEL",
        help='"B+ -> K+" (default), "B0 -> K0", "B+ -> K*+", "B0 -> K*0", "Bs -> phi", '
        '"Bs -> invisible"',
    )
    predict.add_argument(
        "--q2",
        nargs="+",
        default=[],
        metavar="A,B",
        help="bins A,B or points A in GeV^2; all of phase space by default",
    )
    predict.add_argument("--out", metavar="DIR", help="write result.json and figures there")
    predict.add_argument("--no-figures", action="store_true", help="do not draw")
    predict.set_defaults(run=_predict)

    models = commands.add_parser("models", help="list the models and their parameters")
    models.set_defaults(run=_models)

    from bknn.data import command as data_command

    data = commands.add_parser("data", help="list, show and import data sets")
    data_command.add_arguments(data)
    data.set_defaults(run=_data)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    """The options that say which model, with which form factors and inputs."""
    parser.add_argument("model", metavar="MODEL", help="one of `bknn models`")
    parser.add_argument(
        "--form-factors",
        nargs="+",
        default=[],
        metavar="NAME",
        help="sets of form factors in place of the default ones (docs/form_factors.md)",
    )
    parser.add_argument(
        "--inputs", metavar="NAME", help="'standard' (default), 'eos-1.0.21', 'flavio-2.7.1'"
    )
    parser.add_argument(
        "--basis", metavar="NAME", help="of the couplings: 'parity' (default) or 'chiral'"
    )
    parser.add_argument(
        "--long-distance",
        action="store_true",
        help="add B -> tau nu, tau -> K nu to charged channels (counted as background otherwise)",
    )
    parser.add_argument(
        "--wilson-coefficients",
        metavar="FILE",
        help="WCxf file with coefficients for 'wet' or 'wet-rhn'",
    )


def _model(args: argparse.Namespace) -> Model:
    """Load the model with the options that were given."""
    from bknn import models

    given = {
        "form_factors": tuple(args.form_factors),
        "inputs": args.inputs,
        "basis": args.basis,
        "long_distance": args.long_distance,
        "wilson_coefficients": args.wilson_coefficients,
    }
    return models.load(args.model, **{k: v for k, v in given.items() if v})


def _model_settings(args: argparse.Namespace) -> dict[str, Any]:
    names = ("form_factors", "inputs", "basis", "long_distance", "wilson_coefficients")
    return {name: getattr(args, name) for name in names}


def _add_analysis(parser: argparse.ArgumentParser) -> None:
    """The options that say which model meets which data, and how."""
    _add_model(parser)
    parser.add_argument(
        "--data",
        nargs="+",
        default=["belle2-2025"],
        metavar="SET",
        help="names from `bknn data list`, directories of `bknn data import`, or pyhf workspaces",
    )
    parser.add_argument(
        "--channels",
        metavar="NAME[,NAME...]",
        help="only these channels: names, their beginnings, or groups such as 'inclusive'",
    )
    parser.add_argument(
        "--response",
        default="smooth",
        metavar="KIND",
        help="'smooth' (default) or 'reweighting' (arXiv:2402.08417)",
    )
    parser.add_argument(
        "--free",
        nargs="+",
        default=[],
        metavar="NAME",
        help="let parameters float that are fixed by default",
    )
    parser.add_argument("--seed", type=int, default=0, help="recorded; nothing here is random")


def prepare() -> None:
    """Double precision, compiled programs kept between runs, no detour through another thread."""
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)

    from bknn import enable_x64

    enable_x64()
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "bknn" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _analysis(args: argparse.Namespace, named: Sequence[str]) -> Analysis:
    """Build the analysis; parameters that the user names take part."""
    from bknn import data
    from bknn.analysis import Analysis

    prepare()
    model = _model(args)
    measurements = [data.load(item) for item in args.data]
    if args.channels:
        wanted = [c.strip() for c in args.channels.split(",") if c.strip()]
        measurements = [m.select(wanted) for m in measurements]
    fixed = {p.name for p in model.parameters if p.fixed}
    free = [*args.free, *(n for n in named if n in fixed and n not in args.free)]
    return Analysis(model, measurements, response=args.response, free=free)


def _fit(args: argparse.Namespace) -> int:
    from bknn import report
    from bknn.inference import fit, fit_null

    fixed, init = _values(args.fix, "--fix"), _values(args.init, "--init")
    analysis = _analysis(args, list(fixed))
    for name in init:
        if name in analysis.constants:
            raise errors.ParameterError(
                f"--init {name}: {analysis.model.name} keeps {name} fixed at "
                f"{analysis.constants[name]:g} by default; let it float with --free {name}, or set "
                f"it with --fix {name}=VALUE."
            )
    out = _directory(args.out)
    result = fit(analysis, fixed=fixed, init=init, method=args.method)
    # A parameter the user fixed keeps its value in the null, unless it is what makes the null.
    null = fit_null(analysis, fixed_too=fixed)
    print(report.fit_table(result, null))
    if out is not None:
        settings = {
            "fix": fixed,
            "init": init,
            "free": args.free,
            "method": args.method,
            "channels": args.channels,
            "seed": args.seed,
            **_model_settings(args),
        }
        content = report.fit_json(result, null, command="fit", settings=settings)
        written = ["result.json", "fit.nc"]
        with _writing(out):
            report.write_json(content, out / "result.json")
            report.write_arrays(result, out / "fit.nc")
            if not args.no_figures:
                from bknn import plot

                written += [p.name for p in plot.fit_figures(result, null, out)]
        print(f"written          {out}/: {', '.join(written)}")
    if not (result.converged and null.converged):
        print(
            "bknn: the fit did not converge; do not use its numbers (see 'fit' above).",
            file=sys.stderr,
        )
        return 1
    return 0


def _export(args: argparse.Namespace) -> int:
    from bknn import report

    point = _values(args.set, "--set")
    out = Path(args.out)
    analysis = _analysis(args, list(point))
    own = {p.name: p for p in analysis.parameters}
    for name, value in point.items():
        if name not in own:
            analysis.index(name)  # a name that nobody has gets its close matches
            raise errors.ParameterError(
                f"--set {name}: a nuisance parameter stays free in the workspace that is written; "
                f"set parameters of the model only: {', '.join(own)}."
            )
        own[name].check(value)
    workspace = analysis.to_workspace({**analysis.init, **point})
    with _writing(out):
        report.write_json(workspace, out)
    print(f"written          {out}")
    return 0


def _predict(args: argparse.Namespace) -> int:
    point = _values(args.set, "--set")
    regions: list[tuple[float, float] | float | None] = [_region(text) for text in args.q2]
    regions = regions or [None]

    prepare()
    from bknn import report
    from bknn.prediction import predict

    model = _model(args)
    rows = []
    for channel in args.channel:
        for observable in args.observable:
            for region in regions:
                found = predict(model, observable, channel, point, region)
                q2 = region if isinstance(region, tuple) or region is None else (region, region)
                rows.append(
                    {
                        "observable": observable,
                        "channel": channel,
                        "q2": None if q2 is None else list(q2),
                        "value": float(found.value),
                        "uncertainty": float(found.uncertainty),
                    }
                )
    out = _directory(args.out)
    print(report.predictions_table(model, rows))
    if out is not None:
        params = {p.name: point.get(p.name, p.init) for p in model.parameters}
        content = report.predictions_json(model, rows, params, settings=_model_settings(args))
        written = ["result.json"]
        with _writing(out):
            report.write_json(content, out / "result.json")
            if not args.no_figures:
                from bknn import plot

                drawn = plot.prediction_figures(model, point, args.channel, out)
                written += [p.name for p in drawn]
        print(f"\nwritten          {out}/: {', '.join(written)}")
    return 0


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


def _models(args: argparse.Namespace) -> int:
    from bknn import models
    from bknn.tables import table

    rows = []
    for name in models.available():
        model = models.load(name)
        many = len(model.parameters) > _MANY_PARAMETERS
        # Entries of flavour matrices: their names say what they are.
        shown = [p for p in model.parameters if not (many and p.description.startswith("entry"))]
        for i, p in enumerate(shown):
            low, high = p.bounds
            rows.append(
                (
                    name if i == 0 else "",
                    p.name,
                    f"{p.init:g}" + (" (fixed)" if p.fixed else ""),
                    f"[{low:g}, {high:g}]",
                    p.unit,
                    p.prior_text,
                    p.description,
                )
            )
        if hidden := [p for p in model.parameters if p not in shown]:
            names = f"{hidden[0].name} ... {hidden[-1].name}"
            rows.append(("", names, "0 (fixed)", "", "", "", f"the {len(hidden)} single entries"))
    head = ("model", "parameter", "start", "range", "unit", "prior", "meaning")
    print(table(head, rows))
    return 0


#: Models with more parameters are listed without the entries of their matrices.
_MANY_PARAMETERS = 30


def _data(args: argparse.Namespace) -> int:
    from bknn.data import command as data_command

    return data_command.run(args)


def _values(texts: Sequence[str], option: str) -> dict[str, float]:
    """Read NAME=VALUE pairs."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name.strip() in found:
            raise errors.ParameterError(
                f"{option} gives {name.strip()!r} two values; leave one out."
            )
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form NAME=VALUE with a number; for example "
                f"{option} mass=2.1."
            )
    return found


def _directory(path: str | None) -> Path | None:
    """Make the output directory before anything is computed."""
    if path is None:
        return None
    out = Path(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise errors.DataError(
            f"{out}: cannot be made a directory ({problem.strerror}); choose another --out."
        ) from None
    return out


@contextlib.contextmanager
def _writing(where: Path) -> Iterator[None]:
    """Say in a sentence what the file system refuses."""
    try:
        yield
    except OSError as problem:
        name = Path(problem.filename2 or problem.filename or where)
        raise errors.DataError(
            f"{name}: cannot be written ({problem.strerror}); make room there, or choose another "
            "--out."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
