"""Run cards: which model meets which data, and what is asked of them, as TOML."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from bknn import errors
from bknn.questions.shared.options import seed
from bknn.reading import user_files
from bknn.reading.user_functions import beside


class Grid(str):
    """Values of a parameter: "LOW:HIGH:POINTS", "LOW:HIGH:POINTS:log", or a list of numbers."""

    __slots__ = ()


class Region(str):
    """A range [a, b], of q2 or of a parameter, or a point."""

    __slots__ = ()


Numbers = Mapping[str, float]
Grids = Mapping[str, Grid]
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """Of the whole run: seed of everything random, and whether to draw."""

    seed: int = 0
    figures: bool = True


@dataclass(frozen=True)
class Model:
    """Which model, with which form factors and inputs."""

    name: str
    form_factors: Texts = ()
    inputs: str | None = None
    basis: str | None = None
    long_distance: bool = False
    wilson_coefficients: str | None = None
    free: Texts = ()
    bounds: Mapping[str, Region] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """Which data sets, which of their channels, and how a spectrum is folded."""

    sets: Texts = ("belle2-2025",)
    patch: str | None = None
    channels: Texts = ()
    response: str = "smooth"


class Task:
    """A question: a section of the card, and a command of the same name that answers it.

    Attributes:
        spelled: {field: option of the command} where they differ.
        needs_data: whether the command wants an analysis.
    """

    spelled: ClassVar[Mapping[str, str]] = {}
    needs_data: ClassVar[bool] = True

    def options(self) -> dict[str, Any]:
        """Return the options of the command, as the command line has them."""
        found: dict[str, Any] = {}
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if isinstance(value, Mapping):
                value = [f"{name}={_text(x)}" for name, x in value.items()]
            elif isinstance(value, tuple):
                value = list(value)
            found[self.spelled.get(item.name, item.name)] = value
        return found


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Fit(Task):
    fix: Numbers = field(default_factory=dict)
    init: Numbers = field(default_factory=dict)
    method: str = "newton"


@dataclass(frozen=True)
class Profile(Task):
    over: Grids
    fix: Numbers = field(default_factory=dict)
    intervals: Texts | None = None


@dataclass(frozen=True)
class Limit(Task):
    poi: str | None = None
    over: Grids = field(default_factory=dict)
    fix: Numbers = field(default_factory=dict)
    cl: float = 0.95
    method: str = "asymptotic"
    statistic: str = "cls"
    background: float = 0.0
    toys: int = 1000
    two_sided: bool = False
    feldman_cousins: Grid | None = None


@dataclass(frozen=True)
class Significance(Task):
    fix: Numbers = field(default_factory=dict)
    toys: int = 0


@dataclass(frozen=True)
class Toys(Task):
    set: Numbers = field(default_factory=dict)
    fix: Numbers = field(default_factory=dict)
    nominal: bool = False
    number: int = 1000
    goodness_of_fit: bool = False
    uncertainties: bool = True

    def options(self) -> dict[str, Any]:
        found = super().options()
        found["no_uncertainties"] = not found.pop("uncertainties")
        return found


@dataclass(frozen=True)
class Impacts(Task):
    poi: str | None = None
    asimov: bool = False
    set: Numbers = field(default_factory=dict)
    nominal: bool = False
    fix: Numbers = field(default_factory=dict)
    top: int = 20
    groups: Mapping[str, Texts] = field(default_factory=dict)
    refits: bool = True

    spelled: ClassVar[Mapping[str, str]] = {"groups": "group"}

    def options(self) -> dict[str, Any]:
        found = super().options()
        found["no_refits"] = not found.pop("refits")
        return found


@dataclass(frozen=True)
class Sample(Task):
    over: Grids = field(default_factory=dict)
    fix: Numbers = field(default_factory=dict)
    chains: int = 4
    draws: int | None = None
    warmup: int | None = None
    target_ess: float | None = None
    minutes: float = 30.0
    method: str = "auto"
    predictive: int = 1000


@dataclass(frozen=True)
class PriorStudy(Task):
    alternatives: Mapping[str, Mapping[str, str]]
    fix: Numbers = field(default_factory=dict)
    chains: int = 4
    draws: int | None = None
    warmup: int | None = None
    target_ess: float | None = None
    minutes: float = 30.0
    method: str = "auto"

    def options(self) -> dict[str, Any]:
        return {**super().options(), "alternatives": self.alternatives}


@dataclass(frozen=True)
class Evidence(Task):
    against: Texts = ()
    fix: Numbers = field(default_factory=dict)
    chains: int = 4
    draws: int = 1000


@dataclass(frozen=True)
class Predict(Task):
    set: Numbers = field(default_factory=dict)
    observable: Texts = ()
    channel: Texts = ()
    q2: tuple[Region, ...] = ()
    part: str = "all"
    fit: Texts = ()
    source: str | None = None
    around: tuple[float, ...] = ()

    needs_data: ClassVar[bool] = False


#: {section: what it holds}; the order is the one in which unknown sections are told.
SECTIONS: Mapping[str, type] = {
    "run": Run,
    "model": Model,
    "data": Data,
    "priors": Mapping,
    "fit": Fit,
    "profile": Profile,
    "limit": Limit,
    "significance": Significance,
    "toys": Toys,
    "impacts": Impacts,
    "sample": Sample,
    "prior_study": PriorStudy,
    "evidence": Evidence,
    "predict": Predict,
}


@dataclass(frozen=True)
class Card:
    """What a card says, the defaults included.

    Attributes:
        path: of the file.
        text: its content, as it is.
        run, model, data, priors: what all tasks share.
        tasks: {section: its content}, in the order of the card.
        functions: Python files whose functions its priors may name.
    """

    path: Path
    text: str
    run: Run
    model: Model
    data: Data
    priors: Mapping[str, str]
    tasks: Mapping[str, Task]
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
        parts = {
            name: _read(cls, content.get(name, {}), name, path)
            for name, cls in SECTIONS.items()
            if name in content or not issubclass(cls, Task)
        }
        tasks = {name: parts[name] for name in content if isinstance(parts[name], Task)}
        if not tasks:
            known = [name for name, cls in SECTIONS.items() if issubclass(cls, Task)]
            raise errors.RunError(
                f"{path}: asks nothing; add at least one of the sections "
                f"{', '.join(f'[{name}]' for name in known)}."
            )
        seed(parts["run"].seed, f"[run] of {path}: seed")
        shared = {name: parts[name] for name in ("run", "model", "data", "priors")}
        return cls(path, text, **shared, tasks=tasks)

    def with_functions(self, files: Sequence[str] = ()) -> Card:
        """Return the card with the files whose functions its priors may name: these, then those
        beside the card that it names."""
        texts = [*self.priors.values()]
        for task in self.tasks.values():
            if isinstance(task, PriorStudy):
                texts += [x for table in task.alternatives.values() for x in table.values()]
        own = beside(self.path.parent, texts)
        return replace(self, functions=(*files, *map(str, own)))

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return {section: {key: value}}, defaults included, as JSON has it."""
        whole = {"run": asdict(self.run), "model": asdict(self.model), "data": asdict(self.data)}
        whole["priors"] = dict(self.priors)
        tasks = {name: asdict(task) for name, task in self.tasks.items()}  # type: ignore[call-overload]
        return {name: _plain(section) for name, section in {**whole, **tasks}.items()}

    def file(self, text: str) -> str:
        """Return the path of a file that the card names: beside the card, unless absolute.

        What follows the file after a colon (the name of a patch) stays.
        """
        file, colon, name = text.partition(":")
        beside = self.path.parent / file
        return f"{beside}{colon}{name}" if beside.exists() else text

    @property
    def patch(self) -> str | None:
        """The patch of the workspace, with the path of its file."""
        return None if self.data.patch is None else self.file(self.data.patch)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(x) for key, x in value.items()}
    return [_plain(x) for x in value] if isinstance(value, tuple) else value


def _read(cls: Any, table: Mapping[str, Any], section: str, path: Path) -> Any:
    """Return a section, after a look at its keys and at what they hold."""
    where = f"[{section}] of {path}"
    if cls is Mapping:
        return {key: _value(x, str, f"{where}: {key}") for key, x in table.items()}
    known = {item.name: item for item in fields(cls)}
    for key in table:
        if key not in known:
            raise errors.unknown("key", key, known, where)
    kinds = typing.get_type_hints(cls)
    for key, item in known.items():
        if key not in table and item.default is MISSING and item.default_factory is MISSING:
            raise errors.ParameterError(
                f"{where}: {key} is missing; it must be {_words(kinds[key])}."
            )
    return cls(**{key: _value(x, kinds[key], f"{where}: {key}") for key, x in table.items()})


def _value(value: Any, kind: Any, where: str) -> Any:
    """Return a value as the kind that it must be.

    Raises:
        ParameterError: it is of another kind.
    """
    inner = typing.get_args(kind)
    origin = typing.get_origin(kind)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if origin is types.UnionType:
        return _value(value, inner[0], where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(x, inner[0], where) for x in value)
    if origin not in (None, tuple) and isinstance(value, dict):
        return {key: _value(x, inner[1], f"{where}.{key}") for key, x in value.items()}
    if kind is Grid:
        if isinstance(value, str):
            return Grid(value)
        if isinstance(value, list) and value and all(isinstance(x, int | float) for x in value):
            return Grid(",".join(repr(float(x)) for x in value))
    if kind is Region:
        if number:
            return Region(repr(float(value)))
        if isinstance(value, list) and len(value) == 2:
            return Region(",".join(repr(_value(x, float, where)) for x in value))
    if kind is float and number:
        return float(value)
    if kind in (str, bool, int) and type(value) is kind:
        return value
    raise errors.ParameterError(f"{where} is {_shown(value)}; it must be {_words(kind)}.")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _words(kind: Any) -> str:
    """Return what a value must be, in words."""
    simple: dict[Any, str] = {
        str: 'a text, as in "mass"',
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        Grid: 'a grid, "LOW:HIGH:POINTS" or a list of numbers',
        Region: "a range [A, B] or a number",
    }
    if kind in simple:
        return simple[kind]
    inner = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is types.UnionType:
        return _words(inner[0])
    if origin is tuple:
        return {str: 'a list of texts, as in ["mass"]'}.get(
            inner[0], "a list; each entry must be " + _words(inner[0])
        )
    return f"a table, as in {{NAME = ...}}; each value must be {_words(inner[1])}"
