"""The command line. `bknn.questions` and `bknn.commands` have a file for each command."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from bknn import errors
from bknn.commands import data, evidence, export, models, predict, predict_fit, run
from bknn.precision import prepare
from bknn.questions import (
    fit,
    impacts,
    limit,
    profile,
    project,
    regions,
    sample,
    scenarios,
    significance,
    toys,
)

__all__ = ["main", "prepare"]

#: In the order of the help page.
COMMANDS = (
    fit, profile, limit, significance, toys, impacts, sample, evidence, predict, predict_fit,
    scenarios, regions, project, run, export, models, data,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. What the user got wrong is one sentence and code 2."""
    try:
        args = _parser().parse_args(argv)
        with warnings.catch_warnings():
            warnings.showwarning = _told(warnings.showwarning)
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


def _told(otherwise: Any) -> Any:
    """Return a way to show warnings: those of the data are for the user, and take one line."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, errors.DataWarning):
            print(f"bknn: warning: {message}", file=sys.stderr)
        else:
            otherwise(message, category, *place, **more)

    return show


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
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
