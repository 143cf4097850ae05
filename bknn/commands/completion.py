"""`bknn completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from bknn.commands.parser import command

SHELLS = ("bash", "zsh", "fish")

_EXAMPLES = """\
examples:
  source <(bknn completion bash)                             # in ~/.bashrc
  source <(bknn completion zsh)                              # in ~/.zshrc, after compinit
  bknn completion fish > ~/.config/fish/completions/bknn.fish
"""

_BASH = """\
_bknn() {
    local words
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="%(commands)s"
    else
        case "${COMP_WORDS[1]}" in
%(cases)s
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _bknn bknn
"""


def add(commands: Any) -> None:
    """Add the command."""

    def run(args: argparse.Namespace) -> int:
        print(script(args.shell, commands), end="")
        return 0

    parser = command(
        commands,
        "completion",
        run,
        help="what a shell needs to complete commands and options",
        description="Print what bash, zsh or fish needs to complete commands, options and models.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("shell", choices=SHELLS)


def script(shell: str, commands: Any) -> str:
    """Return the script of a shell.

    Args:
        shell: one of `SHELLS`.
        commands: the sub-parsers of `bknn`.
    """
    about = {action.dest: action.help for action in commands._choices_actions}
    if shell == "fish":
        lines = [
            "complete -c bknn -n __fish_use_subcommand -f",
            *(
                f"complete -c bknn -n __fish_use_subcommand -a {name} -d {_quoted(about[name])}"
                for name in commands.choices
            ),
        ]
        for name, parser in commands.choices.items():
            here = f"complete -c bknn -n '__fish_seen_subcommand_from {name}'"
            for flags, text in _flags(parser):
                words = " ".join(f"-{'l' if f[1] == '-' else 's'} {f.lstrip('-')}" for f in flags)
                lines.append(f"{here} {words} -d {_quoted(text)}")
            if values := _values(parser):
                lines.append(f"{here} -a {_quoted(' '.join(values))}")
        return "\n".join(lines) + "\n"
    cases = []
    for name, parser in commands.choices.items():
        every = [*_values(parser), *(flag for flags, _ in _flags(parser) for flag in flags)]
        cases.append(f'            {name}) words="{" ".join(every)}" ;;')
    bash = _BASH % {"commands": " ".join(commands.choices), "cases": "\n".join(cases)}
    return bash if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{bash}"


def _flags(parser: argparse.ArgumentParser) -> Iterator[tuple[list[str], str]]:
    """Yield the options of a command, with what they mean."""
    for action in parser._actions:
        if action.option_strings:
            yield list(action.option_strings), str(action.help).replace("%%", "%")


def _values(parser: argparse.ArgumentParser) -> list[str]:
    """Return what may stand alone: models, vectors, or the choices of a command."""
    from bknn import models

    for action in parser._actions:
        if not action.option_strings:
            if action.choices:
                return [str(x) for x in action.choices]
            if action.dest == "model":
                return list(models.available())
            if action.dest == "vector":
                from bknn.vectors.couplings import NAMED

                return list(NAMED)
    return []


def _quoted(text: str | None) -> str:
    return "'" + (text or "").replace("\\", "\\\\").replace("'", "\\'") + "'"
