"""`bknn data`: list, show and import data sets; `bknn.data.command` does it."""

from __future__ import annotations

import argparse
from typing import Any

from bknn.commands.parser import command as add_command


def add(commands: Any) -> None:
    """Add the command and its actions."""
    from bknn.data import command

    parser = add_command(commands, "data", run, help="list, show and import data sets")
    command.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    from bknn.data import command
    from bknn.data.store import METADATA_FILE
    from bknn.questions.shared.output import alone

    with alone(getattr(args, "out", None), METADATA_FILE):
        return command.run(args)
