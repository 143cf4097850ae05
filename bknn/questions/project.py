"""`bknn project`: how far data to come would tell scenarios apart, and which would most."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors, precision
from bknn.questions.shared import files, options, output, progress
from bknn.questions.shared.heading import wrapped
from bknn.questions.shared.numbers import nested, number
from bknn.questions.shared.provenance import provenance
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.studies.outlook import Outlook
    from bknn.studies.power import Separation

_EXAMPLES = """\
examples:
  bknn project
  bknn project scalar vector-V --luminosity 1 5 10 50 --out results/
  bknn project scalar vector-V --with "BR(B0 -> K*0)" "F_L(B0 -> K*0)"
  bknn project sm-rescaled scalar --luminosity 1 5 --check scalar:sm-rescaled --toys 300
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "project",
        run,
        help="how well data to come will tell scenarios apart, and what to measure next",
        description="Project the measurements of Belle II to other luminosities; say with which "
        "significance each scenario is excluded if another one is true, with which luminosity, and "
        "how much measurements to come would tell. docs/projections.md has the rules.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="SCENARIO",
        help="of `bknn.models.scenarios.SCENARIOS` (default: sm-rescaled scalar vector-V "
        "scalar-pair-S fermion-pair-V)",
    )
    options.add_data(parser)
    options.add_theory(parser)
    parser.add_argument(
        "--luminosity",
        nargs="+",
        type=float,
        default=[1.0, 5.0, 10.0, 50.0],
        metavar="L",
        help="in 1/ab (default 1 5 10 50)",
    )
    parser.add_argument(
        "--systematics",
        default="statistical",
        metavar="RULE",
        help="'constant', 'statistical' (default) or 'all': which uncertainties shrink",
    )
    parser.add_argument(
        "--with",
        dest="expected",
        nargs="+",
        default=[],
        metavar="RESULT",
        help="results that Belle II expects, of `bknn.derived.luminosity.BELLE2`, beside the data",
    )
    parser.add_argument(
        "--simulated",
        action="store_true",
        help="backgrounds as simulated, not as they fit the data of today",
    )
    parser.add_argument(
        "--worth-at",
        type=float,
        default=10.0,
        metavar="L",
        help="luminosity in 1/ab at which the worth of measurements is computed (default 10; 0 "
        "leaves it out)",
    )
    parser.add_argument(
        "--check",
        nargs="+",
        default=[],
        metavar="TRUE:TESTED",
        help="entries of the matrix of the first luminosity that toys shall check",
    )
    parser.add_argument(
        "--toys", type=int, default=200, metavar="N", help="of each check (default 200)"
    )
    options.add_seed(parser, "of draws and toys (default 0)")
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Project, fit, print, write."""
    options.number(args.toys, "--toys", 2)
    if bad := [x for x in args.luminosity if not x > 0]:
        raise errors.ParameterError(f"--luminosity {bad[0]:g}: give positive numbers in 1/ab.")
    precision.prepare()

    from bknn.studies.outlook import NAMES, SM, outlook
    from bknn.studies.power import separation

    names = tuple(args.names) or NAMES
    pairs = [_pair(text, (SM, *names)) for text in args.check]
    measurements = options.measurements(args)
    out = output.directory(args.out)
    with progress.bar("projections", None, "models") as done:
        found = outlook(
            measurements,
            names,
            luminosities=args.luminosity,
            systematics=args.systematics,
            expected=args.expected,
            fitted=not args.simulated,
            worth_at=args.worth_at or None,
            seed=args.seed,
            progress=done,
            **options.theory(args),
        )
    first = {h.name: h for h in found.hypotheses[0]}
    checks = {
        (true, tested): separation(first[true], first[tested], args.toys, seed=args.seed)
        for true, tested in pairs
    }
    print(outlook_table(found, checks))
    if out is not None:
        settings = {
            "scenarios": list(names),
            "channels": args.channels,
            "luminosity": args.luminosity,
            "systematics": args.systematics,
            "with": args.expected,
            "simulated": args.simulated,
            "worth_at": args.worth_at,
            "check": args.check,
            "toys": args.toys,
            "seed": args.seed,
            **options.theory(args),
        }

        def figures(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.outlook_figures(found, folder)

        print()
        output.write(
            out,
            outlook_json(found, checks, settings=settings),
            {"projections.nc": lambda path: write_outlook(found, path)},
            None if args.no_figures else figures,
        )
    return 0 if found.converged else 1


def _pair(text: str, known: tuple[str, ...]) -> tuple[str, str]:
    true, colon, tested = text.partition(":")
    if not colon:
        raise errors.ParameterError(
            f"--check {text!r} is not of the form TRUE:TESTED; for example scalar:sm-rescaled."
        )
    for name in (true, tested):
        if name not in known:
            raise errors.unknown("scenario", name, known, "this command")
    return true, tested


# What is said and written ---------------------------------------------------------------------


#: Significances whose luminosity is told.
SIGMAS = (3.0, 5.0)


def outlook_json(
    found: Outlook,
    checks: Mapping[tuple[str, str], Separation] | None = None,
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for projections; `docs/result.md` describes it."""
    worth: dict[str, Any] | None = None
    if found.worth:
        worth = {
            "luminosity": number(found.worth_at),
            "largest": number(np.log(len(found.today))),
            "measurements": [
                {
                    "name": w.name,
                    "scenario": number(w.models.value),
                    "scenario_error": number(w.models.error),
                    "parameters": {n: number(x) for n, x in w.parameters.items()},
                }
                for w in found.worth
            ],
            "precision": {
                name: {"sigma": nested(sigma), "scenario": nested(told)}
                for name, (sigma, told) in found.precision.items()
            },
        }
    return {
        "command": "project",
        "data": [m.name for m in found.measurements],
        "scenarios": list(found.names),
        "truths": {n: {p: number(x) for p, x in t.items()} for n, t in found.truths.items()},
        "systematics": found.systematics,
        "expected": list(found.expected),
        "luminosities": nested(found.luminosities),
        "z": nested(found.z),
        "delta": nested(found.delta),
        "converged": [p.converged.tolist() for p in found.powers],
        "luminosity_for": {f"{z:g}": nested(_needed(found, z)) for z in SIGMAS},
        "checks": [
            {
                "true": true,
                "tested": tested,
                "delta": number(c.delta),
                "median": number(c.median),
                "p": number(c.fraction.value),
                "p_error": number(c.fraction.error),
                "z_of_spread": number(c.z),
                "toys": len(c.if_true),
            }
            for (true, tested), c in (checks or {}).items()
        ],
        "worth": worth,
        "provenance": provenance(found.hypotheses[0][0].analysis, settings),
    }


def write_outlook(found: Outlook, path: Path) -> None:
    """Write `z`, `delta` and the luminosities for 3 and 5 sigma as NetCDF."""
    with files.arrays(path, "bknn project") as file:
        file.dimension("luminosity", len(found.luminosities))
        file.dimension("true", len(found.names))
        file.dimension("tested", len(found.names))
        file.put("luminosity", found.luminosities, "luminosity")
        file.put_texts("scenario", found.names, "true")
        file.put("z", found.z, "luminosity", "true", "tested")
        file.put("delta", found.delta, "luminosity", "true", "tested")
        for z in SIGMAS:
            file.put(f"luminosity_for_{z:g}_sigma", _needed(found, z), "true", "tested")


def outlook_table(
    found: Outlook, checks: Mapping[tuple[str, str], Separation] | None = None
) -> str:
    """Return what `bknn project` prints."""
    from bknn.derived.luminosity import RULES

    lines = [
        f"data             {', '.join(m.name for m in found.measurements)}",
        *wrapped("systematics", f"{found.systematics}: {RULES[found.systematics]}."),
    ]
    if found.expected:
        lines += wrapped("with", ", ".join(found.expected))
    rows = [
        (name, ", ".join(f"{p} = {x:.4g}" for p, x in truth.items() if x) or "-")
        for name, truth in found.truths.items()
    ]
    lines += ["", table(("scenario", "truth: best fit to today's data"), rows)]
    for x, power in zip(found.luminosities, found.powers, strict=True):
        lines += ["", f"expected exclusion [sigma] at {x:g}/ab (rows: true, columns: tested)", ""]
        lines.append(table(("true", *found.names), _rows(found.names, power.z, "{:.1f}")))
        if not power.converged.all():
            i, j = np.argwhere(~power.converged)[0]
            lines.append(
                f"{int((~power.converged).sum())} fits did not converge, the first is that of "
                f"{found.names[j]} if {found.names[i]} is true."
            )
    if len(found.luminosities) > 1:
        for z in SIGMAS:
            lines += ["", f"integrated luminosity [/ab] for {z:g} sigma", ""]
            needed = _needed(found, z)
            lines.append(table(("true", *found.names), _needed_rows(found, needed)))
    for (true, tested), c in (checks or {}).items():
        lines += ["", *wrapped("toys", f"{tested} if {true} is true: {c!r}")]
    if found.worth:
        lines += ["", f"information from a measurement at {found.worth_at:g}/ab [nats]", ""]
        told = [
            (w.name, f"{w.models.value:.3f} +- {w.models.error:.3f}", f"{w.mean:.2f}")
            for w in found.worth
        ]
        head = ("measurement", "which scenario", "couplings and mass")
        lines.append(table(head, told))
        lines += wrapped(
            "",
            f"{len(found.today)} scenarios, equally probable: at most "
            f"{np.log(len(found.today)):.3f} nats. The second column is an average over them.",
        )
    return "\n".join(lines)


def _needed(found: Outlook, z: float) -> np.ndarray:
    """Return luminosities (true, tested); NaN where a scenario is not tested on another one."""
    n = len(found.names)
    result = np.full((n, n), np.nan)
    for i, true in enumerate(found.names):
        for j, tested in enumerate(found.names):
            if i != j:
                result[i, j] = found.luminosity_for(z, true, tested)
    return result


def _needed_rows(found: Outlook, needed: np.ndarray) -> list[tuple[str, ...]]:
    """Luminosities outside of those that were computed are inequalities."""
    first, last = found.luminosities[[0, -1]]

    def text(x: float) -> str:
        if np.isnan(x):
            return "-"
        if x < first:
            return f"< {first:g}"
        return f"{x:.2g}" if x <= last else f"> {last:g}"

    return [(name, *(text(x) for x in row)) for name, row in zip(found.names, needed, strict=True)]


def _rows(names: Sequence[str], values: np.ndarray, form: str) -> list[tuple[str, ...]]:
    return [
        (name, *("-" if i == j else form.format(x) for j, x in enumerate(row)))
        for i, (name, row) in enumerate(zip(names, values, strict=True))
    ]
