"""The options of a command, made from the declaration of its question; words that were mistyped."""

from __future__ import annotations

import argparse
import textwrap
import types
import typing
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NoReturn

from bknn import errors
from bknn.commands.json_only import OPTION
from bknn.questions.shared.kinds import SHELL, plain
from bknn.questions.shared.output import Desk, alone
from bknn.questions.shared.question import Option, Question


class Parser(argparse.ArgumentParser):
    """The parser of a question."""

    question: type[Question]

    def error(self, message: str) -> NoReturn:
        """End with code 2, and say where MODEL goes if it is not there."""
        if message.endswith("required: MODEL"):
            message += (
                f"; it goes before options that take several words: {self.prog} MODEL --data SET"
            )
        super().error(message)


def command(commands: Any, name: str, run: Any, **words: str) -> argparse.ArgumentParser:
    """Add a command; the examples in its `epilog` keep their lines."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, formatter_class=argparse.RawDescriptionHelpFormatter, **words
    )
    parser.set_defaults(run=run)
    return parser


def add(commands: Any, question: type[Question]) -> None:
    """Add the command of a question: its options, and those that say where results go."""

    def run(args: argparse.Namespace) -> int:
        asked = read(question, args)
        own: dict[str, Any] = {
            name: tuple(x) if isinstance(x, list) else x
            for name, x in vars(args).items()
            if name in _DESK
        }
        desk = Desk(**own, given=frozenset(vars(args)))
        with alone(desk.out) if "figures" in own else nullcontext():  # else it is a file
            return asked.answer(desk)

    parser: Any = command(
        commands,
        question.name.replace("_", "-"),
        run,
        help=question.summary,
        description=textwrap.fill(question.description, 79).replace("%", "%%"),
        epilog="examples:\n" + textwrap.indent(question.examples, "  ").replace("%", "%%"),
    )
    parser.question = question
    names = set()
    groups = {title: parser.add_argument_group(title) for title in ("model", "data")}
    for one in question.options():
        _add(groups.get(str(one.more.get("section")), parser) if one.flag else parser, one)
        names.add(one.name)
    if "prior" in names:
        add_functions(parser)
    if question.resumes:
        parser.add_argument(
            "--resume",
            action="store_true",
            help="go on with what an interrupted run left in --out, to the same numbers",
        )
    if "out" not in names:
        parser.add_argument(
            "--out", metavar="DIR", help="write result.json, arrays and figures there"
        )
        parser.add_argument(
            "--no-figures", action="store_false", dest="figures", help="do not draw"
        )
        # Taken out before the command is read: `json_only`.
        parser.add_argument(
            OPTION, action="store_true", help="print result.json, and nothing else but errors"
        )


#: Where and how a question is answered, not what is asked.
_DESK = ("out", "figures", "resume", "functions")


def add_functions(parser: argparse.ArgumentParser) -> None:
    """Files of Python whose functions may be called."""
    parser.add_argument(
        "--functions",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="Python files whose functions priors may name, as user:my_priors:mass that of "
        "my_priors.py; their code is run",
    )


def _add(parser: Any, one: Option) -> None:
    """Add one option."""
    kind, more = plain(one.kind), one.more
    names = [one.flag] if one.flag else [one.name]
    names = [more["short"], *names] if "short" in more else names
    words: dict[str, Any] = {"help": _help(one), "default": argparse.SUPPRESS}
    if one.flag:
        words |= {"dest": one.name, "required": one.needed}
    if kind is bool:
        words["action"] = "store_false" if one.default is True else "store_true"
        parser.add_argument(*names, **words)
        return
    words["metavar"] = _metavar(one)
    if kind in SHELL and typing.get_origin(kind) is not None and not more.get("commas"):
        optional = typing.get_origin(one.kind) is types.UnionType or not (one.flag or one.needed)
        words["nargs"] = "*" if optional else "+"
        if one.flag:
            words["action"] = "extend"
    parser.add_argument(*names, **words)


def _metavar(one: Option) -> str:
    if "choices" in one.more:
        return f"{{{','.join(one.more['choices'])}}}"
    usual = SHELL[plain(one.kind)][1] if plain(one.kind) is not bool else ""
    return str(one.more.get("metavar", usual if one.flag else one.name.upper()))


def _help(one: Option) -> str:
    """Return the help of an option, the default at its end."""
    shown, default = one.more.get("shown"), one.default
    if shown is None and not (one.needed or isinstance(default, bool) or default in (None, (), {})):
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    text = str(one.more["help"])
    return (text if shown is None else f"{text} (default: {shown})").replace("%", "%%")


def read(question: type[Question], args: argparse.Namespace) -> Question:
    """Return what was asked.

    Raises:
        BknnError: a value cannot be read, or makes no sense.
    """

    def label(one: Option) -> str:
        return str(one.more.get("short", one.flag or _metavar(one)))

    found: dict[str, Any] = {}
    for one in question.options():
        if one.name not in args:
            continue
        words, kind = getattr(args, one.name), plain(one.kind)
        if kind is bool:
            found[one.name] = words
        elif one.more.get("commas"):
            found[one.name] = tuple(x.strip() for x in words.split(",") if x.strip()) or ("",)
        else:
            found[one.name] = SHELL[kind][0](words, label(one))
    asked = question(**found)
    asked.check(label)
    return asked


# Words that stand elsewhere, or are none -------------------------------------------------------


def arranged(parser: Parser, words: Sequence[str]) -> list[str]:
    """Return the words of a command with those that are no options first.

    What follows `--fix mass=2.1` and has no = is no value of a parameter, so `bknn fit --fix
    mass=2.1 vector` fits a vector.

    Raises:
        UnknownNameError: an option does not exist.
    """
    pairs = {one.name for one in parser.question.options() if one.flag and "=" in _metavar(one)}
    alone: list[str] = []
    rest: list[str] = []
    position = 0

    def is_option(word: str) -> bool:
        return word.startswith("-") and not _is_number(word) and word != "-"

    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            alone += words[position:]
            break
        if not is_option(word):
            alone.append(word)
            continue
        action = _found(parser, word)
        rest.append(word)
        if "=" in word or action.nargs == 0 or (len(word) > 2 and word[1] != "-"):
            continue
        several = action.nargs in ("+", "*")
        taken = 0
        while position < len(words) and not is_option(words[position]):
            value = words[position]
            if taken and (not several or (action.dest in pairs and "=" not in value)):
                break
            rest.append(value)
            position += 1
            taken += 1
    return [*alone, *rest] if not any(map(is_option, alone)) else [*rest, "--", *alone]


def _found(parser: argparse.ArgumentParser, word: str) -> argparse.Action:
    """Return what an option does; it may be shortened as long as it is clear."""
    flag = word.partition("=")[0]
    known = parser._option_string_actions
    if flag in known:
        return known[flag]
    if flag[1:2] != "-" and flag[:2] in known:
        return known[flag[:2]]
    begin = {id(known[name]): known[name] for name in known if name.startswith(flag)}
    if flag.startswith("--") and len(begin) == 1:
        return next(iter(begin.values()))
    raise unknown_option(parser, flag)


def unknown_option(parser: argparse.ArgumentParser, flag: str) -> errors.UnknownNameError:
    """Return the error for an option that does not exist."""
    known = [name for name in parser._option_string_actions if name.startswith("--")]
    return errors.unknown("option", flag, known, parser.prog)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
