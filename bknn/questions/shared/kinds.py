"""Kinds of values that may be asked, read from words of the shell and from values of a card."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bknn import errors
from bknn.questions.shared import values


class Grid(str):
    """Values of a parameter: "LOW:HIGH:POINTS", "LOW:HIGH:POINTS:log", or "A,B,C"."""

    __slots__ = ()


class Region(str):
    """A bin "A,B" of q2, or a point "A"."""

    __slots__ = ()


Texts = tuple[str, ...]
Reals = tuple[float, ...]
Regions = tuple[Region, ...]
Numbers = Mapping[str, float]
Bounds = Mapping[str, tuple[float, float]]
Grids = Mapping[str, Grid]
Priors = Mapping[str, str]
Groups = Mapping[str, Texts]
Alternatives = Mapping[str, Mapping[str, str]]


def plain(kind: Any) -> Any:
    """Return a kind without `| None`."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is types.UnionType else kind


# Words of the shell ----------------------------------------------------------------------------


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise errors.ParameterError(f"{option} {text!r} is no whole number.") from None


def _real(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise errors.ParameterError(f"{option} {text!r} is no number.") from None


def _grid(text: str, option: str) -> Grid:
    values.grid(text, option)
    return Grid(text)


def _grids(texts: Sequence[str], option: str) -> dict[str, Grid]:
    values.grids(texts, option)
    return {name.strip(): Grid(rest) for name, _, rest in (text.partition("=") for text in texts)}


def _region(text: str, option: str) -> Region:
    values.region(text, option)
    return Region(text)


def _each(read: Callable[[str, str], Any]) -> Callable[[Sequence[str], str], Any]:
    return lambda texts, option: tuple(read(text, option) for text in texts)


#: {kind: (how its words are read, what stands for them in the help)}
SHELL: Mapping[Any, tuple[Callable[[Any, str], Any], str]] = {
    str: (lambda text, option: text, "NAME"),
    int: (_whole, "N"),
    float: (_real, "X"),
    Grid: (_grid, "GRID"),
    Texts: (lambda texts, option: tuple(texts), "NAME"),
    Reals: (_each(_real), "X"),
    Regions: (_each(_region), "A,B"),
    Numbers: (values.values, "NAME=VALUE"),
    Bounds: (values.bounds, "NAME=LOW:HIGH"),
    Grids: (_grids, "NAME=GRID"),
    Priors: (values.priors, "NAME=PRIOR"),
    Groups: (values.groups, "LABEL=PATTERN[,PATTERN...]"),
    Alternatives: (values.alternatives, "WORD:NAME=PRIOR"),
}


# Values of a card ------------------------------------------------------------------------------


def of_card(value: Any, kind: Any, where: str) -> Any:
    """Return a value of a card as the kind that it must be.

    Raises:
        ParameterError: it is of another kind.
    """
    kind = plain(kind)
    inner, origin = typing.get_args(kind), typing.get_origin(kind)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if origin is tuple and isinstance(value, list) and inner[1:] == (...,):
        return tuple(of_card(x, inner[0], where) for x in value)
    if origin is tuple and isinstance(value, list) and len(value) == len(inner):
        return tuple(of_card(x, y, where) for x, y in zip(value, inner, strict=True))
    if origin not in (None, tuple) and isinstance(value, dict):
        return {key: of_card(x, inner[1], f"{where}.{key}") for key, x in value.items()}
    if kind is Grid:
        if isinstance(value, str):
            return Grid(value)
        if isinstance(value, list) and value and all(isinstance(x, int | float) for x in value):
            return Grid(",".join(repr(float(x)) for x in value))
    if kind is Region:
        if number:
            return Region(repr(float(value)))
        if isinstance(value, list) and len(value) == 2:
            return Region(",".join(repr(of_card(x, float, where)) for x in value))
    if kind is float and number:
        return float(value)
    if kind in (str, bool, int) and type(value) is kind:
        return value
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    raise errors.ParameterError(f"{where} is {shown}; it must be {in_words(kind)}.")


def in_words(kind: Any) -> str:
    """Return what a value of a card must be."""
    kind = plain(kind)
    simple: dict[Any, str] = {
        str: 'a text, as in "mass"',
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        Grid: 'a grid, "LOW:HIGH:POINTS" or a list of numbers',
        Region: "a range [A, B] or a number",
        tuple[float, float]: "a range [A, B]",
        Texts: 'a list of texts, as in ["mass"]',
    }
    if kind in simple:
        return simple[kind]
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return "a list; each entry must be " + in_words(inner[0])
    return f"a table, as in {{NAME = ...}}; each value must be {in_words(inner[1])}"


def as_json(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Mapping):
        return {key: as_json(x) for key, x in value.items()}
    if isinstance(value, tuple):
        return [as_json(x) for x in value]
    return str(value) if isinstance(value, str) else value
