"""`bknn vector-widths`: decays of a light vector, at one mass or over many."""

from __future__ import annotations

import argparse
import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import errors
from bknn.commands.json_only import OPTION
from bknn.commands.parser import command

if TYPE_CHECKING:
    from bknn.vectors.couplings import Couplings
    from bknn.vectors.over_mass import VectorWidths

NAME = "vector-widths"

_EXAMPLES = """\
examples:
  bknn vector-widths dark-photon --mass 2.0
  bknn vector-widths z-like --coupling 1e-6 --mass 2.1
  bknn vector-widths --charges my.toml --mass 2.0
  bknn vector-widths b-minus-l --dark 0.9,0.03 --over mass=0.01:10:400:log --out results/
"""

#: Vectors, and what their coupling is called; `bknn.vectors.couplings` has them.
_VECTORS = "dark-photon, z-like, b-minus-l, baryon, e-minus-mu, e-minus-tau, mu-minus-tau"


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = command(
        commands,
        NAME,
        run,
        help="partial widths, branching fractions, lifetime of a light vector",
        description="Decays of a light vector of 1 MeV to 10 GeV: hadrons meson by meson below 2 "
        "GeV, by R data above (docs/vectors.md). Narrow charmonia and bottomonia are left out.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("vector", nargs="?", metavar="VECTOR", help=f"one of {_VECTORS}")
    parser.add_argument("--charges", metavar="FILE", help="TOML file of couplings, in its place")
    parser.add_argument(
        "--coupling",
        metavar="X",
        help="epsilon of a dark photon, k of z-like, g of the others (default: 0.001)",
    )
    parser.add_argument(
        "--dark",
        metavar="MASS,COUPLING",
        help="a Dirac fermion X that the vector decays into as well: its mass in GeV, its vector "
        "coupling",
    )
    masses = parser.add_mutually_exclusive_group(required=True)
    masses.add_argument("--mass", metavar="GEV", help="of the vector")
    masses.add_argument("--over", metavar="mass=GRID", help="LOW:HIGH:POINTS, or with :log, or A,B")
    parser.add_argument(
        "--length",
        metavar="M",
        default="3",
        help="radius of the detector in m, for the probability to stay invisible (default: 3)",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="write result.json, a table as CSV, arrays and a figure there"
    )
    parser.add_argument("--no-figures", action="store_false", dest="figures", help="do not draw")
    # Taken out before the command is read: `json_only`.
    parser.add_argument(
        OPTION, action="store_true", help="print result.json, and nothing else but errors"
    )


def run(args: argparse.Namespace) -> int:
    """Compute, print, write."""
    from bknn.precision import prepare

    prepare()
    from bknn.questions.shared.output import alone, directory
    from bknn.vectors.over_mass import over_mass

    label, couplings = _couplings(args)
    found = over_mass(couplings, _masses(args), label=label, length=_number(args, "length"))
    print(found)
    if args.out is not None:
        with alone(args.out):
            _write(found, couplings, directory(args.out), args)
    return 0 if found.converged else 1


def _number(args: argparse.Namespace, name: str) -> float:
    text = getattr(args, name)
    try:
        found = float(text)
    except ValueError:
        raise errors.ParameterError(f"--{name} {text!r} is no number.") from None
    if not math.isfinite(found):
        raise errors.ParameterError(f"--{name} {text} is no number to compute with.")
    return found


def _couplings(args: argparse.Namespace) -> tuple[str, Couplings]:
    """Return what the vector is called, and its couplings.

    Raises:
        BknnError: no vector or two, an unknown one, a file that is none.
    """
    from bknn.vectors.charges import read_charges
    from bknn.vectors.couplings import NAMED, named

    if (args.vector is None) == (args.charges is None):
        raise errors.ParameterError(
            f"give one vector: {_VECTORS}, or a file of couplings with --charges."
        )
    if args.charges is not None:
        if args.coupling is not None:
            raise errors.ParameterError(
                "--coupling belongs to a vector by name; the file of --charges has its own, g."
            )
        label, couplings = Path(args.charges).stem, read_charges(args.charges)
    else:
        if args.vector not in NAMED:
            raise errors.unknown("vector", args.vector, NAMED)
        size = 1e-3 if args.coupling is None else _number(args, "coupling")
        couplings = named(args.vector, size)
        label = f"{args.vector}, {NAMED[args.vector].coupling} = {size:g}"
    return _with_dark(args.dark, label, couplings)


def _with_dark(text: str | None, label: str, couplings: Couplings) -> tuple[str, Couplings]:
    """Add the fermion of --dark."""
    from bknn.vectors.couplings import Couplings, DarkFermion, none

    if text is None:
        return label, couplings
    try:
        mass, g = (float(x) for x in text.split(","))
    except ValueError:
        raise errors.ParameterError(
            f"--dark {text!r} is no mass and coupling, as in --dark 0.9,0.03."
        ) from None
    if not mass >= 0:
        raise errors.ParameterError(f"--dark: a fermion of {mass:g} GeV is none.")
    nothing = none()
    dark = Couplings(nothing.vector, nothing.axial, (DarkFermion(g, 0.0, mass),))
    return f"{label}, g_X = {g:g}, m_X = {mass:g} GeV", couplings + dark


def _masses(args: argparse.Namespace) -> Any:
    from bknn.questions.shared.values import grids
    from bknn.vectors.resonances import check_mass

    if args.mass is not None:
        mass = _number(args, "mass")
        check_mass(mass)
        return [mass]
    found = grids([args.over])
    if list(found) != ["mass"]:
        raise errors.ParameterError(
            f"--over {args.over!r} is no grid of masses, as in --over mass=0.01:10:400."
        )
    return found["mass"]


def _write(found: VectorWidths, couplings: Couplings, out: Path, args: argparse.Namespace) -> None:
    """Write table, answer, result.json, figure."""
    from bknn.questions.shared.output import write, writing
    from bknn.storage.files import replacing
    from bknn.storage.machine import versions
    from bknn.vectors.couplings import FERMIONS

    columns = found.columns()
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows([f"{x:.9g}" for x in row] for row in zip(*columns.values(), strict=True))
    with writing(out), replacing(out / "widths.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    names = ("vector", "charges", "coupling", "dark", "mass", "over", "length")
    settings = {name: getattr(args, name) for name in names}
    if settings["charges"] is not None:
        settings["charges"] = str(Path(settings["charges"]).resolve())
    vector, axial = (
        dict(zip(FERMIONS, map(float, x), strict=True)) for x in (couplings.vector, couplings.axial)
    )
    content = {
        "command": NAME.replace("-", "_"),
        "vector": found.label,
        "couplings": {"vector": vector, "axial": axial},
        "widths": [
            {
                "mass": float(mass),
                "width": float(total),
                "lifetime": float(life) if life < float("inf") else None,
                "p_invisible": float(seen),
                "partial_widths": dict(zip(found.channels, map(float, row), strict=True)),
            }
            for mass, total, life, seen, row in zip(
                found.masses, found.total, found.lifetimes, found.p_invisible, found.widths,
                strict=True,
            )
        ],
        "left_out": found.left_out,
        "provenance": {**versions(), "settings": settings},
    }  # fmt: skip
    write(out, content, {"widths": found}, args.figures and len(found.masses) > 1)
    print(f"written          {out}/widths.csv")
