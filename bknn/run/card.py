"""Run cards: which model meets which data, and what is asked of them, as TOML.

What may stand on a card is what questions declare: `[model]`, `[data]`, `[priors]` and `[run]` have
what several of them share, and each question has a section of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.questions import QUESTIONS
from bknn.questions.shared import kinds
from bknn.questions.shared.question import Option, Question, known
from bknn.reading import user_files
from bknn.reading.names import located
from bknn.reading.user_functions import beside

#: Keys that no question has.
_FIGURES = Option("figures", bool, True, {"help": "whether to draw"})


def _sections() -> dict[str, dict[str, Option]]:
    found: dict[str, dict[str, Option]] = {"run": {}, "model": {}, "data": {}, "priors": {}}
    found |= {name: {} for name in QUESTIONS}
    for name, question in QUESTIONS.items():
        for one in question.options():
            found[one.more.get("section", name)].setdefault(one.key, one)
    found["run"]["figures"] = _FIGURES
    del found["priors"]["prior"]
    return found


#: {section: {key: what it is}}; the order is the one in which unknown sections are told.
SECTIONS = _sections()


@dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        path: of the file.
        text: its content, as it is.
        settings: {section: {key: value}}, defaults included, as JSON has it.
        questions: {section: the question}, in the order of the card.
        functions: Python files whose functions its priors may name.
    """

    path: Path
    text: str
    settings: Mapping[str, Mapping[str, Any]]
    questions: Mapping[str, Question]
    functions: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str | Path) -> Card:
        """Read a card.

        Raises:
            RunError: the file cannot be read, is no TOML, or asks nothing.
            UnknownNameError: a section or key that does not exist; the nearest one is named.
            ParameterError: a value of the wrong kind, or one that is missing.
        """
        path = Path(path)
        raw = user_files.content(path, error=errors.RunError, most=user_files.MOST_TOML)
        text = user_files.text(raw, str(path), error=errors.RunError)
        content = user_files.from_toml(raw, str(path), error=errors.RunError)
        for name, table in content.items():
            if name not in SECTIONS:
                raise errors.unknown("section", name, SECTIONS, str(path))
            if not isinstance(table, dict):
                raise errors.ParameterError(
                    f"{path}: {name} = {table!r} stands outside of a section; write [{name}] and "
                    "below it the keys."
                )
        asked = [name for name in content if name in QUESTIONS]
        shared = [name for name in SECTIONS if name not in QUESTIONS]
        tables = {name: _read(content.get(name, {}), name, path) for name in (*shared, *asked)}
        if not asked:
            raise errors.RunError(
                f"{path}: asks nothing; add at least one of the sections "
                f"{', '.join(f'[{name}]' for name in QUESTIONS)}."
            )
        settings = {
            name: {
                **{k: kinds.as_json(None if x.needed else x.default) for k, x in keys.items()},
                **{k: kinds.as_json(x) for k, x in tables[name].items()},
            }
            for name, keys in SECTIONS.items()
            if name in tables
        }
        return cls(path, text, settings, {name: _question(name, tables, path) for name in asked})

    def with_functions(self, files: Sequence[str] = ()) -> Card:
        """Return the card with the files whose functions its priors may name: these, then those
        beside the card that it names."""
        texts = [*self.settings["priors"].values()]
        for tables in self.settings.get("prior_study", {}).get("alternatives", {}).values():
            texts += tables.values()
        own = beside(self.path.parent, texts)
        return replace(self, functions=(*files, *map(str, own)))


def _question(name: str, tables: Mapping[str, Mapping[str, Any]], path: Path) -> Question:
    """Return a question with what its own section and the shared ones say."""

    def label(one: Option) -> str:
        return f"[{one.more.get('section', name)}] of {path}: {one.key}"

    found: dict[str, Any] = {}
    for one in QUESTIONS[name].options():
        section = one.more.get("section", name)
        if section == "priors":
            found[one.name] = tables[section]
        elif one.key in tables[section]:
            value = tables[section][one.key]
            files = one.more.get("files") and value is not None
            found[one.name] = _beside(value, one, path, label(one)) if files else value
        elif one.needed:
            raise errors.ParameterError(
                f"{label(one)} is missing; it must be {kinds.in_words(one.kind)}."
            )
    question = QUESTIONS[name](**found)
    question.check(label)
    return question


def _beside(given: Any, one: Option, path: Path, label: str) -> Any:
    """Return the names of files that a card gives, with their paths: beside the card."""
    if isinstance(given, tuple):
        return tuple(_beside(x, one, path, label) for x in given)
    kind = str(one.more["files"])
    return located(given, path.parent, kind=kind, known=known(kind), label=label)


def _read(table: Mapping[str, Any], section: str, path: Path) -> dict[str, Any]:
    """Return a section, after a look at its keys and at what they hold."""
    where, known = f"[{section}] of {path}", SECTIONS[section]
    for key in table:
        if section != "priors" and key not in known:
            raise errors.unknown("key", key, known, where)
    return {
        key: kinds.of_card(x, known[key].kind if key in known else str, f"{where}: {key}")
        for key, x in table.items()
    }
