"""`bknn draw`: the figures of a finished folder, again, from the results that it keeps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bknn.commands.parser import command
from bknn.questions.shared.output import alone, draw, writing
from bknn.storage import sealed

_EXAMPLES = """\
examples:
  bknn draw results/
  bknn draw results/ --out talk/
"""


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = command(
        commands,
        "draw",
        run,
        help="draw the figures of finished results again",
        description="Draw the figures of a folder that --out of another command wrote, without a "
        "fit: after a change of style, or for another place. Of a run, those of all its tasks.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("folder", metavar="DIR", help="what --out named")
    parser.add_argument("--out", metavar="DIR", help="write the figures there (default: into DIR)")


def run(args: argparse.Namespace) -> int:
    """Read, draw, write."""
    folder = Path(args.folder)
    out = Path(args.out or folder)
    content = sealed.read_json(folder / "result.json")
    with alone(str(out), replaced=None):
        for name in content.get("tasks", [""]):  # a run has a folder for each of its tasks
            with writing(out / name):
                (out / name).mkdir(parents=True, exist_ok=True)
                paths = draw(folder / name, out / name)
            print(f"written          {out / name}/: {', '.join(path.name for path in paths)}")
    return 0
