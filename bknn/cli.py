"""The command line: every question of `bknn.questions`, and the commands of `bknn.commands`."""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from bknn import errors
from bknn.commands import completion, data, draw, export, json_only, lists, models, parser, run
from bknn.precision import prepare
from bknn.questions import QUESTIONS
from bknn.questions.shared.progress import quiet

__all__ = ["main", "prepare"]

#: Commands that are no questions, in the order of the help page.
COMMANDS = (run, draw, export, models, lists, data, completion)

#: Those that leave a `result.json`.
JSON = {"run", *(name.replace("_", "-") for name in QUESTIONS)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. What the user got wrong is one sentence and code 2."""
    # JAX makes objects by the hundred thousand: to look for garbage after every 700 of them, as
    # Python does, takes a tenth of the time of a fit.
    gc.set_threshold(10_000)
    words = sys.argv[1:] if argv is None else argv
    if json_only.OPTION in words and words[0] in JSON:
        return json_only.answer(main, words)
    try:
        args = _read(words)
        watched = nullcontext() if sys.stderr.isatty() else quiet()
        with warnings.catch_warnings(), watched:
            warnings.showwarning = _told(warnings.showwarning)
            code = int(args.run(args))
        sys.stdout.flush()  # here, where it is noticed if the reader has left
        return code
    except errors.BknnError as problem:
        print(f"bknn: error: {spelled(str(problem))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("bknn: interrupted", file=sys.stderr)
        return 130


#: What Python is told, and what the shell is, in sentences that say what to do.
_SPELLINGS = (
    (r"build the analysis with free=\['(.+?)'\]", r"write --free \1"),
    (r"\bfree=\['(.+?)'\]", r"--free \1"),
    (r"\bbounds=\{'(.+?)': .*?\}", r"--bounds \1=LOW:HIGH"),
    (r"\bpriors=\{'(.+?)': .*?\}", r"--prior \1=PRIOR"),
    (r"\bmethod='(\w+)'", r"--method \1"),
)


def spelled(sentence: str) -> str:
    """Return a sentence with keyword arguments of Python as options of the shell.

    >>> spelled("let it float with free=['width'], or leave the prior out.")
    'let it float with --free width, or leave the prior out.'
    """
    for python, shell in _SPELLINGS:
        sentence = re.sub(python, shell, sentence)
    return sentence


def _told(otherwise: Any) -> Any:
    """Return a way to show warnings: those of the data are for the user, and take one line."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, errors.DataWarning):
            print(f"bknn: warning: {message}", file=sys.stderr)
        else:
            otherwise(message, category, *place, **more)

    return show


def _read(words: Sequence[str]) -> argparse.Namespace:
    """Return the command that was asked for, and its options.

    Raises:
        UnknownNameError: a command or an option does not exist.
    """
    whole, commands = parsers()
    if not words or words[0].startswith("-"):
        return whole.parse_args(words)
    name, *rest = words
    if name not in commands.choices:
        raise errors.unknown("command", name, commands.choices)
    own = commands.choices[name]
    if hasattr(own, "question"):
        rest = parser.arranged(own, rest)
    args, left = whole.parse_known_args([name, *rest])
    for word in left:
        if word.startswith("-"):
            raise parser.unknown_option(own, word.partition("=")[0])
        raise errors.ParameterError(
            f"{word!r} is one word too many; 'bknn {name} --help' says which there are."
        )
    return args


def parsers() -> tuple[argparse.ArgumentParser, Any]:
    """Return the parser, and in it those of the commands."""
    from importlib.metadata import version

    whole = argparse.ArgumentParser(
        prog="bknn",
        description="What do the B -> K(*) + missing energy data say about your model?",
    )
    whole.add_argument("--version", action="version", version=f"bknn {version('bknn')}")
    commands = whole.add_subparsers(
        dest="command",
        metavar="COMMAND",
        title="commands",
        required=True,
        parser_class=parser.Parser,
    )
    for question in QUESTIONS.values():
        parser.add(commands, question)
    for command in COMMANDS:
        command.add(commands)
    return whole, commands


if __name__ == "__main__":
    sys.exit(main())
