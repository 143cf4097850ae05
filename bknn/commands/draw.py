"""`bknn draw`: the figures of a finished folder, again, from the results that it keeps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.commands.parser import command
from bknn.questions.shared.output import ANSWERS, writing

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
        "fit: after a change of style, or for another place.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("folder", metavar="DIR", help="what --out named")
    parser.add_argument("--out", metavar="DIR", help="write the figures there (default: into DIR)")


def run(args: argparse.Namespace) -> int:
    """Read, draw, write."""
    from bknn import inference, studies  # noqa: F401 (their results are to be known)
    from bknn.answers.answer import read
    from bknn.plot.of_answers import save_figures
    from bknn.reading import user_files

    folder = Path(args.folder)
    content = user_files.read_json(folder / "result.json", error=errors.DataError)
    files = sorted((folder / ANSWERS).glob("*.nc"))
    if not files:
        raise errors.DataError(
            f"{folder}: 'bknn {content.get('command', '...')}' keeps no results from which figures "
            "can be drawn: theirs need the likelihood or the model. Ask again with --out."
        )
    out = Path(args.out or folder)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        asked = content["provenance"]["settings"]
        paths = save_figures({path.stem: read(path) for path in files}, out, asked)
    print(f"written          {out}/: {', '.join(path.name for path in paths)}")
    return 0
