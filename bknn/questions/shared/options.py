"""The options that several commands have, and how to read them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors, precision

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.data import Measurement
    from bknn.inference.pieces import Work
    from bknn.models import Model


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], **words: str
) -> argparse.ArgumentParser:
    """Add a command; the examples in its `epilog` keep their lines."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, formatter_class=argparse.RawDescriptionHelpFormatter, **words
    )
    parser.set_defaults(run=run)
    return parser


#: Points of a grid, and toys, draws or whatever else is counted, beyond which it is a mistake.
MOST_POINTS, MOST = 1_000_000, 1_000_000_000


# What to add ---------------------------------------------------------------------------------


def add_model(parser: argparse.ArgumentParser) -> None:
    """The options that say which model, with which form factors and inputs."""
    parser.add_argument("model", metavar="MODEL", help="one of `bknn models`")
    add_theory(parser)
    parser.add_argument(
        "--basis", metavar="NAME", help="of the couplings: 'parity' (default) or 'chiral'"
    )
    parser.add_argument(
        "--wilson-coefficients",
        metavar="FILE",
        help="WCxf file with coefficients for 'wet' or 'wet-rhn'; of another basis than flavio's "
        "and EOS's, another scale than m_b, or the SMEFT it is run to m_b (needs bknn[wilson])",
    )


def add_theory(parser: argparse.ArgumentParser) -> None:
    """The options that say with which form factors and inputs."""
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
        "--long-distance",
        action="store_true",
        help="add B -> tau nu, tau -> K nu to charged channels (counted as background otherwise)",
    )


def add_analysis(
    parser: argparse.ArgumentParser, *, seed: str = "recorded; nothing here is random"
) -> None:
    """The options that say which model meets which data, and how."""
    add_model(parser)
    add_data(parser)
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
    parser.add_argument(
        "--bounds",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="bounds of parameters in place of their own, as in mu=0:10 or 'stat_*=-inf:inf'",
    )
    add_seed(parser, seed)


def add_seed(parser: argparse.ArgumentParser, text: str) -> None:
    """The seed of everything random."""
    parser.add_argument("--seed", type=int, action=_Seed, default=0, help=text)


class _Seed(argparse.Action):
    def __call__(self, parser: Any, args: argparse.Namespace, value: Any, option: Any = "") -> None:
        setattr(args, self.dest, seed(value, option))


def add_data(parser: argparse.ArgumentParser) -> None:
    """Which data."""
    parser.add_argument(
        "--data",
        nargs="+",
        default=["belle2-2025"],
        metavar="SET",
        help="names from `bknn data list`, TOML files of published numbers (docs/data.md), "
        "directories of `bknn data import`, or pyhf workspaces",
    )
    parser.add_argument(
        "--patch",
        metavar="FILE:NAME",
        help="a patch of a pyhf patch set, for the workspace in --data",
    )
    parser.add_argument(
        "--channels",
        metavar="NAME[,NAME...]",
        help="only these channels: names, their beginnings, or groups such as 'inclusive'",
    )


#: Of commands that throw toys.
SEED = "of the toys (default 0): one seed, the same toys on every machine"


#: Of commands that take a point.
POINT = "the point; the start elsewhere, but couplings that are not named are 0 once one is"


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """How several jobs share an ensemble of toys."""
    parser.add_argument(
        "--first",
        type=int,
        default=0,
        metavar="I",
        help="number of the first toy (default 0), where several jobs share the toys of a seed",
    )
    parser.add_argument(
        "--merge", nargs="+", default=[], metavar="FILE", help="toys.nc of other jobs, to be added"
    )


def add_fix(parser: argparse.ArgumentParser) -> None:
    """Parameters that do not float."""
    parser.add_argument(
        "--fix", nargs="+", default=[], metavar="NAME=VALUE", help="keep parameters"
    )


def add_truth(parser: argparse.ArgumentParser) -> None:
    """The point at which data are made up."""
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="the truth; the best fit to the data elsewhere, but couplings that are not named are "
        "0 once one is",
    )
    parser.add_argument(
        "--nominal",
        action="store_true",
        help="nuisances of the truth where their constraints have them, not where the data do",
    )


def add_priors(parser: argparse.ArgumentParser) -> None:
    """Priors in place of the model's."""
    parser.add_argument(
        "--prior",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=PRIOR",
        help='priors in place of the model\'s, as in "mass=uniform(1.5,3.0)"; also normal, '
        "truncated_normal, log_uniform, flat_in_square, user:module:function (docs/priors.md)",
    )
    add_functions(parser)


def add_functions(parser: argparse.ArgumentParser) -> None:
    """Files of Python whose functions may be called."""
    parser.add_argument(
        "--functions",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="Python files whose functions priors may name, as user:my_priors:mass that of "
        "my_priors.py; their code is run",
    )


def add_over(parser: argparse.ArgumentParser, text: str, *, required: bool) -> None:
    """Grids of parameters."""
    parser.add_argument(
        "--over",
        nargs="+",
        action="extend",
        default=None if required else [],
        required=required,
        metavar="NAME=GRID",
        help=f"{text}: LOW:HIGH:POINTS, LOW:HIGH:POINTS:log, or A,B,C",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Where results go."""
    parser.add_argument("--out", metavar="DIR", help="write result.json, arrays and figures there")
    parser.add_argument("--no-figures", action="store_true", help="do not draw")


# How to read it ------------------------------------------------------------------------------


def values(texts: Sequence[str], option: str) -> dict[str, float]:
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


def bounds(texts: Sequence[str], option: str = "--bounds") -> dict[str, tuple[float, float]]:
    """Read NAME=LOW:HIGH pairs; a side that is open is inf.

    >>> bounds(["mu=0:10"])
    {'mu': (0.0, 10.0)}
    """
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, _, words = (part.strip() for part in text.partition("="))
        if name in found:
            raise errors.ParameterError(f"{option} gives {name!r} two ranges; leave one out.")
        try:
            low, high = (float(x) for x in words.replace(",", ":").split(":"))
        except ValueError:
            name = ""
        if not name:
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form NAME=LOW:HIGH with two numbers; for example "
                f"{option} mu=0:10."
            )
        found[name] = (low, high)
    return found


def priors(
    texts: Sequence[str], option: str = "--prior", functions: Sequence[str] = ()
) -> dict[str, str]:
    """Read NAME=PRIOR pairs; each prior must be one that `bknn.priors.read` can read, with the
    functions of these files.

    >>> priors(["mass=uniform(1.5, 3.0)"])
    {'mass': 'uniform(1.5, 3.0)'}
    """
    from bknn.priors import read

    found: dict[str, str] = {}
    for text in texts:
        name, _, prior = (part.strip() for part in text.partition("="))
        if not name or not prior:
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form NAME=PRIOR; for example {option} "
                '"mass=uniform(1.5, 3.0)".'
            )
        if name in found:
            raise errors.ParameterError(f"{option} gives {name!r} two priors; leave one out.")
        read(prior, functions)
        found[name] = prior
    return found


def called(args: argparse.Namespace, priors: Mapping[str, Any]) -> dict[str, Any]:
    """Return priors with those that functions of the user make in place of their texts."""
    from bknn.priors import read
    from bknn.reading.user_functions import is_one

    files = getattr(args, "functions", [])
    return {name: read(x, files) if is_one(x) else x for name, x in priors.items()}


def grids(texts: Sequence[str], option: str = "--over") -> dict[str, np.ndarray]:
    """Read NAME=LOW:HIGH:POINTS, NAME=LOW:HIGH:POINTS:log or NAME=A,B,C.

    >>> grids(["mass=1:3:5", "branching_ratio=1e-6,1e-5"])
    {'mass': array([1. , 1.5, 2. , 2.5, 3. ]), 'branching_ratio': array([1.e-06, 1.e-05])}
    """
    found: dict[str, np.ndarray] = {}
    for text in texts:
        name, _, words = text.partition("=")
        name = name.strip()
        if name in found:
            raise errors.ParameterError(f"{option} gives {name!r} two grids; leave one out.")
        if not name or not words:
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form NAME=LOW:HIGH:POINTS; for example {option} "
                "mass=0.1:4.7:200."
            )
        found[name] = grid(words, f"{option} {name}")
    if (points := math.prod(len(x) for x in found.values())) > MOST_POINTS:
        raise errors.ParameterError(
            f"{option}: the grids of {', '.join(found)} together have {points:g} points, which no "
            f"computer would ever be through with; give at most {MOST_POINTS}."
        )
    return found


def grid(text: str, option: str) -> np.ndarray:
    """Read LOW:HIGH:POINTS, LOW:HIGH:POINTS:log or A,B,C.

    >>> grid("1:100:3:log", "--over mass")
    array([  1.,  10., 100.])
    """
    try:
        values = _grid(text)
    except OverflowError as many:
        raise errors.ParameterError(
            f"{option}: {text[:60]!r} has {many} points, which no computer would ever be through "
            f"with; give at most {MOST_POINTS}."
        ) from None
    if values is None:
        raise errors.ParameterError(
            f"{option}: {text!r} is no grid; write LOW:HIGH:POINTS, with :log at the end for even "
            "steps of the logarithm, or A,B,C; for example 0.1:4.7:200."
        )
    if not np.isfinite(values).all():
        raise errors.ParameterError(
            f"{option}: {text!r} has values that are not finite (the logarithm needs positive "
            "ends); correct the grid."
        )
    return values


def _grid(text: str) -> np.ndarray | None:
    """The values that a grid names, or None if it cannot be read."""
    parts = [part.strip() for part in text.split(":")]
    try:
        if len(parts) == 1:
            return np.array([float(x) for x in parts[0].split(",")])
        if len(parts) not in (3, 4) or parts[3:] not in ([], ["log"]):
            return None
        low, high, points = float(parts[0]), float(parts[1]), float(parts[2])
    except ValueError:
        return None
    if not (points >= 1 and (math.isinf(points) or points.is_integer())):
        return None
    if points > MOST_POINTS:
        raise OverflowError(f"{points:g}")
    points = int(points)
    if not (math.isfinite(low) and math.isfinite(high)):
        return np.full(points, np.nan)
    if len(parts) == 3:
        # 0.15, not 0.15000000000000002.
        return np.array([float(f"{x:.15g}") for x in np.linspace(low, high, points)])
    return np.geomspace(low, high, points) if low > 0 and high > 0 else np.full(points, np.nan)


def number(count: int, option: str, least: int = 1) -> int:
    """Return a number of things that there must be `least` of."""
    if count < least:
        raise errors.ParameterError(f"{option} {count} is too few; give at least {least}.")
    if count > MOST:
        raise errors.ParameterError(
            f"{option} {_short(count)} is too many; give at most {MOST:.0e}."
        )
    return count


def _short(number: int) -> str:
    digits = str(abs(number))
    return str(number) if len(digits) < 20 else f"of {len(digits)} digits"


def seed(value: int, option: str = "--seed") -> int:
    """Return a seed, which random numbers have 63 bits for.

    >>> seed(3)
    3
    """
    if not 0 <= value < 2**63:
        raise errors.ParameterError(
            f"{option} {_short(value)} is no seed; give a whole number from 0 to 2^63 - 1."
        )
    return value


# What to make of it --------------------------------------------------------------------------


def model(args: argparse.Namespace) -> Model:
    """Load the model with the options that were given."""
    from bknn import models

    given = {"basis": args.basis, "wilson_coefficients": args.wilson_coefficients}
    found = models.load(args.model, **theory(args), **{k: v for k, v in given.items() if v})
    for note in getattr(found, "notes", ()):
        print(f"bknn: note: {note}", file=sys.stderr)
    return found


def theory(args: argparse.Namespace) -> dict[str, Any]:
    """The form factors and inputs that were given."""
    given = {
        "form_factors": tuple(args.form_factors),
        "inputs": args.inputs,
        "long_distance": args.long_distance,
    }
    return {name: x for name, x in given.items() if x}


def measurements(args: argparse.Namespace) -> list[Measurement]:
    """Load the data, and of each of them the channels that were asked for."""
    from bknn import data

    if args.patch is not None and len(args.data) > 1:
        raise errors.DataError(
            "--patch is for one workspace, and --data names several data sets; patch it in Python "
            "with bknn.data.load(path, patch=...), or give it alone."
        )
    found = [data.load(item, patch=args.patch) for item in args.data]
    if args.channels:
        wanted = [c.strip() for c in args.channels.split(",") if c.strip()]
        found = [m.select(wanted) for m in found]
    return found


def model_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the model, as they were given."""
    names = ("form_factors", "inputs", "basis", "long_distance", "wilson_coefficients")
    return {name: getattr(args, name) for name in names}


def settings(args: argparse.Namespace, **own: Any) -> dict[str, Any]:
    """The options of a command, as they were given, for the record."""
    common = {"free": args.free, "channels": args.channels, "seed": args.seed}
    if getattr(args, "bounds", None):
        common["bounds"] = {name: list(pair) for name, pair in bounds(args.bounds).items()}
    return {**own, **common, **model_settings(args)}


def analysis(
    args: argparse.Namespace,
    named: Iterable[str],
    priors: Mapping[str, str] | None = None,
) -> Analysis:
    """Build the analysis; parameters that the user names, or gives a prior or bounds, take part."""
    from bknn.analysis.analysis import Analysis

    precision.prepare()
    physics = model(args)
    data = measurements(args)
    fixed = {p.name for p in physics.parameters if p.fixed}
    ranges = bounds(getattr(args, "bounds", []))
    wanted_too = dict.fromkeys([*named, *(priors or {}), *ranges])
    free = [*args.free, *(n for n in wanted_too if n in fixed and n not in args.free)]
    # The tasks of a run share what one of them has compiled.
    known: dict[Any, Analysis] = getattr(args, "analyses", {})
    key = (args.model, *sorted(free), *sorted((priors or {}).items()), *sorted(ranges.items()))
    if key not in known:
        known[key] = Analysis(
            physics,
            data,
            response=args.response,
            free=free,
            priors=called(args, priors or {}),
            bounds=ranges,
        )
    return known[key]


def work(args: argparse.Namespace) -> Work:
    """Where a command of a run keeps what is done; outside of a run nowhere."""
    from bknn.inference.pieces import Work

    found: Work = getattr(args, "work", None) or Work()
    return found


def point_of_truth(args: argparse.Namespace, fixed: Mapping[str, float]) -> dict[str, float]:
    """The values that --set gives, which --fix may not."""
    point = values(args.set, "--set")
    if both := sorted(set(point) & set(fixed)):
        raise errors.ParameterError(
            f"--set and --fix both give {both[0]!r}; --set is the truth, --fix the truth and every "
            "fit. Leave one out."
        )
    return point


def of_interest(analysis: Analysis, fixed: Container[str], given: str | None) -> str:
    """The parameter of interest: the one that was given, or the only one that there is."""
    own = [
        p.name
        for p in analysis.parameters
        if not (p.nuisance or p.constraint is not None or p.name in fixed)
    ]
    if given is not None:
        analysis.index(given)
        if given in fixed:
            raise errors.ParameterError(
                f"--poi {given}: it is kept by --fix; choose another, or let it float."
            )
        return given
    if len(own) != 1:
        raise errors.ParameterError(
            f"{analysis.model.name} has {len(own)} parameters that may be of interest"
            f"{' (' + ', '.join(own) + ')' if own else ''}; say which with --poi NAME."
        )
    return own[0]
