"""`bknn data`: list, show and import data sets.

The command line calls `add_arguments` on the parser of `bknn data` and `run` on what it parsed;
errors are left to it.
"""

from __future__ import annotations

import argparse
from typing import Any

from bknn.data import catalogue, checks, official, store
from bknn.errors import DataError
from bknn.tables import table

_LIST = "the data sets that come with the package"
_SHOW = "one data set: channels, response, sources, checksums, notes"
_IMPORT = "turn official files (a pyhf workspace, number densities) into a data set"

_IMPORT_MORE = """\
Channels may be named by the beginning of their name, if only one begins so.

A number density is a comma-separated table with the expected counts of the simulated null: one
row per fit bin of the channel, in its order; one column per bin of true q2, after a first
(sentinel) column for candidates without a true q2. Each row must add up to the signal sample.
Lines that begin with # and one header line are skipped.

example:
  bknn data import workspace.json --name my-set --density SR=density.csv --signal SR=signal \\
      --q2-edges 0:22.885:100 --null-spectrum hpqcd-2022 --out my-set
  bknn fit resonance --data my-set/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `bknn data` to its parser."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")
    actions.add_parser("list", help=_LIST, description=_LIST)
    show = actions.add_parser("show", help=_SHOW, description=_SHOW)
    show.add_argument(
        "name", help="name of a data set, a directory written by the import, or a TOML file"
    )
    show.add_argument(
        "--channels",
        metavar="NAME[,NAME...]",
        help="only these channels: names, their beginnings, or groups",
    )
    new = actions.add_parser(
        "import",
        help=_IMPORT,
        description=_IMPORT,
        epilog=_IMPORT_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    new.add_argument("workspace", help="JSON file of a pyhf workspace")
    new.add_argument("--name", required=True, help="name of the data set, as in belle2-2025")
    new.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    new.add_argument(
        "--density",
        action="append",
        default=[],
        metavar="CHANNEL=FILE",
        help="number density of a channel (repeat for more)",
    )
    new.add_argument(
        "--signal",
        action="append",
        default=[],
        metavar="CHANNEL=SAMPLE",
        help="the sample which that density describes (repeat for more)",
    )
    new.add_argument(
        "--q2-edges",
        metavar="FIRST:LAST:BINS",
        help="edges of the true-q2 bins in GeV^2 without the sentinel; or a list with commas",
    )
    new.add_argument(
        "--no-sentinel",
        action="store_true",
        help="the densities have no first column for candidates without a true q2",
    )
    new.add_argument(
        "--null-spectrum",
        default="",
        metavar="NAME",
        help="the dBR/dq2 that was simulated, as hpqcd-2022",
    )
    new.add_argument(
        "--form-factor-modifier",
        action="append",
        default=[],
        metavar="NAME",
        help="modifier of the signal for the form factors of the null (repeat for more)",
    )
    new.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="ALIAS=CHANNEL[,CHANNEL...]",
        help="a name for some channels (repeat for more)",
    )
    new.add_argument(
        "--description",
        metavar="FILE",
        help="TOML file with title, version, license, record, notes, sources; the metadata.toml "
        "of an existing data set will do",
    )
    new.add_argument(
        "--tolerance",
        type=float,
        default=checks.TOLERANCE,
        metavar="X",
        help="largest relative difference between a row and its template (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Do what the parsed arguments say, print it, and return the exit code 0."""
    actions: dict[str | None, Any] = {"show": _show, "import": _import}
    print(actions.get(args.action, _list)(args))
    return 0


def _list(args: argparse.Namespace) -> str:
    rows = []
    for name in store.available():
        item = catalogue.load(name)
        arxiv = next((f"arXiv:{s.arxiv}" for s in item.sources if s.arxiv), "-")
        results = len(item.results) + len(item.curves)
        counts = (len(item.channels), item.n_bins - results, len(item.densities), results)
        shown = [str(n) if n else "-" for n in counts]
        rows.append((name, *shown[:3], arxiv, shown[3], item.title))
    return table(("name", "channels", "bins", "densities", "source", "results", "title"), rows)


def _show(args: argparse.Namespace) -> str:
    item = catalogue.load(args.name)
    if args.channels:
        item = item.select(args.channels.split(","))
    return item.summary()


def _import(args: argparse.Namespace) -> str:
    item = official.import_official(
        args.workspace,
        name=args.name,
        densities=_pairs(args.density, "--density", "CHANNEL=FILE"),
        signal=_pairs(args.signal, "--signal", "CHANNEL=SAMPLE"),
        q2_edges=None if args.q2_edges is None else official.edges_from_text(args.q2_edges),
        sentinel=not args.no_sentinel,
        null_spectrum=args.null_spectrum,
        form_factor_modifiers=args.form_factor_modifier,
        groups={
            alias: names.split(",")
            for alias, names in _pairs(args.group, "--group", "ALIAS=CHANNEL,...").items()
        },
        description=args.description,
        tolerance=args.tolerance,
        out=args.out,
    )
    return f"{item.summary()}\n\nwritten to {args.out}; use it as --data {_as_path(args.out)}"


def _as_path(out: str) -> str:
    """Write a directory so that it cannot be taken for the name of an embedded data set."""
    return f"./{out}" if out in store.available() else out


def _pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise DataError(f"{option} {text!r}: write it as {form}.")
        if key in pairs:
            raise DataError(f"{option}: {key!r} is given twice.")
        pairs[key] = value
    return pairs
