"""The command line: every question of `bknn.questions`, and the commands of `bknn.commands`.

Whatever takes time to import is imported when Ctrl-C and SIGTERM are cared for.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bknn.commands.interrupts import Interrupts

if TYPE_CHECKING:
    import argparse

    from bknn.commands.resources import Patient

__all__ = ["main"]

#: Bytes of addresses without which NumPy ends the process when it is imported.
_ADDRESSES = 5e8


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. What the user got wrong is one sentence and code 2."""
    # JAX makes objects by the hundred thousand: to look for garbage after every 700 of them, as
    # Python does, takes a tenth of the time of a fit.
    gc.set_threshold(10_000)
    last = argv is None
    words = list(sys.argv[1:] if argv is None else argv)
    with Interrupts(words, last) as interrupts:
        try:
            with _patient(last) as out:
                try:
                    code = _answer(words)
                except Exception as problem:
                    if interrupts.number is not None:
                        raise  # it comes of that
                    code = _failed(problem)
                code = _heard(out, code)
            interrupts.done()
        except BaseException as problem:
            if interrupts.number is None and not isinstance(problem, KeyboardInterrupt):
                raise
            code = interrupts.code()
        if interrupts.number is not None:  # whatever became of it
            code = interrupts.code()
            if last:  # without waiting for threads that compile
                with contextlib.suppress(OSError):
                    sys.stdout.flush()
                os._exit(code)
    return code


def _answer(words: Sequence[str]) -> int:
    """Read and do what is asked."""
    from bknn.storage.memory import addresses

    if addresses() < _ADDRESSES:
        raise MemoryError
    from bknn.commands import json_only

    if json_only.OPTION in words and words[0] in _with_json():
        return json_only.answer(_answer, words)
    import warnings

    from bknn.questions.shared.progress import quiet

    args = _read(words)
    watched = contextlib.nullcontext() if sys.stderr.isatty() else quiet()
    with warnings.catch_warnings(), watched:
        warnings.showwarning = _told(warnings.showwarning)
        return int(args.run(args))


def _failed(problem: BaseException) -> int:
    """Say in a sentence what went wrong; return the exit code. What is no sentence is raised."""
    from bknn import errors
    from bknn.commands.resources import lacking
    from bknn.tables import visible

    sentence = spelled(str(problem)) if isinstance(problem, errors.BknnError) else lacking(problem)
    if sentence is None:
        raise problem
    print(f"bknn: error: {visible(sentence)}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def _patient(last: bool) -> Iterator[Patient]:
    """Go on if standard output or standard error cannot be written."""
    from bknn.commands.resources import Patient, nowhere

    if last:
        # A file that is opened later would be taken for a stream that was closed from without.
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
        sys.stdout, sys.stderr = sys.stdout or nowhere(), sys.stderr or nowhere()
    out, err = Patient(sys.stdout), Patient(sys.stderr)
    told: Any = (out, err)
    with contextlib.redirect_stdout(told[0]), contextlib.redirect_stderr(told[1]):
        yield out


def _heard(out: Patient, code: int) -> int:
    """Return the exit code of a command whose output perhaps did not arrive."""
    from bknn.commands.resources import READER_LEFT

    out.flush()  # here, where it is noticed
    if out.problem is None:
        return code
    if isinstance(out.problem, BrokenPipeError):  # `| head` has seen enough
        return READER_LEFT
    print(
        f"bknn: error: standard output cannot be written ({out.problem.strerror}); make room "
        "there. What --out names is complete.",
        file=sys.stderr,
    )
    return 2


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
    import re

    for python, shell in _SPELLINGS:
        sentence = re.sub(python, shell, sentence)
    return sentence


def _told(otherwise: Any) -> Any:
    """Return a way to show warnings: those of the data are for the user, and take one line."""
    from bknn import errors

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
    from bknn import errors
    from bknn.commands import parser

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
    import argparse
    from importlib.metadata import version

    from bknn.commands import (
        completion,
        data,
        draw,
        export,
        lists,
        models,
        parser,
        run,
        vector_widths,
    )
    from bknn.questions import QUESTIONS

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
    for command in (run, draw, export, models, vector_widths, lists, data, completion):
        command.add(commands)
    return whole, commands


def _with_json() -> set[str]:
    """Return the commands that leave a `result.json`."""
    from bknn.commands.vector_widths import NAME
    from bknn.questions import QUESTIONS

    return {"run", NAME, *(name.replace("_", "-") for name in QUESTIONS)}


if __name__ == "__main__":
    sys.exit(main())
