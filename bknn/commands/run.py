"""`bknn run`: all that is asked on a card, in a folder, resumed after whatever happened."""

from __future__ import annotations

import argparse
from typing import Any

from bknn.commands import parser as parsers

_EXAMPLES = """\
examples:
  bknn run card.toml
  bknn run card.toml --dry-run
  bknn run card.toml --out results/ --resume
  bknn run card.toml --scheduler local:4
  bknn run card.toml --scheduler tls://head-node:8786
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = parsers.command(
        commands,
        "run",
        run,
        help="answer all questions of a card; resume",
        description="Answer all questions of a card (TOML, docs/runs.md) in a folder of its own. "
        "What is done is kept: a run that was interrupted goes on with --resume, to the same "
        "numbers.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("card", metavar="CARD", help="the card, a TOML file")
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the run (default: the name of the card, here)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run that began in the folder"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="look whether all of the card makes sense, and say what would be done",
    )
    parsers.add_functions(parser)
    parser.add_argument(
        "--scheduler",
        metavar="WHERE",
        help="compute elsewhere: 'local:N' for N processes, or the address of a Dask scheduler, "
        "'tls://HOST:PORT' (needs bknn[distributed])",
    )


def run(args: argparse.Namespace) -> int:
    """Run."""
    from bknn.run.execute import run as execute

    return execute(
        args.card,
        args.out,
        resume=args.resume,
        scheduler=args.scheduler,
        functions=args.functions,
        dry_run=args.dry_run,
    )
