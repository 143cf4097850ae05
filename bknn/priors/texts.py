"""Priors read from texts.

Run cards and the command line write a prior as one of

    uniform(1.5, 3.0)                        low, high
    normal(0, 20e-6)                         mean, standard deviation
    truncated_normal(0, 20e-6, 0, inf)       mean, standard deviation, low, high
    log_uniform(1e-7, 1e-4)                  density ~ 1/x between low and high
    flat_in_square(0, 4.78)                  density ~ x: x^2 is uniform, as for a mass in q2
    user:module:function                     what a function of module.py returns, a numpyro
                                             distribution; for files that the user named
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from bknn import errors
from bknn.priors.distributions import FlatInSquare, middle, support_bounds, within
from bknn.reading import user_functions


def _uniform(low: float, high: float) -> dist.Distribution:
    return dist.Uniform(*_ordered(low, high))


def _normal(mean: float, width: float) -> dist.Distribution:
    return dist.Normal(_finite(mean, "mean"), _width(width))


def _truncated_normal(mean: float, width: float, low: float, high: float) -> dist.Distribution:
    if not low < high:
        raise ValueError(f"low = {low:g} must be less than high = {high:g}")
    return within(_normal(mean, width), (low, high))


def _log_uniform(low: float, high: float) -> dist.Distribution:
    _ordered(low, high)
    if not low > 0:
        raise ValueError(f"low = {low:g} must be positive, because 1/x has no integral down to 0")
    return dist.LogUniform(low, high)


def _flat_in_square(low: float, high: float) -> dist.Distribution:
    _ordered(low, high)
    if low < 0:
        raise ValueError(f"low = {low:g} must not be negative")
    return FlatInSquare(low, high)


def _ordered(low: float, high: float) -> tuple[float, float]:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"the ends {low:g} and {high:g} must be finite")
    if not low < high:
        raise ValueError(f"low = {low:g} must be less than high = {high:g}")
    return low, high


def _finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"the {what} {value:g} must be finite")
    return value


def _width(width: float) -> float:
    if not (math.isfinite(width) and width > 0):
        raise ValueError(f"the standard deviation {width:g} must be positive")
    return width


#: Names that `read` knows, with what they take.
FORMS: dict[str, tuple[tuple[str, ...], Callable[..., dist.Distribution]]] = {
    "uniform": (("low", "high"), _uniform),
    "normal": (("mean", "width"), _normal),
    "truncated_normal": (("mean", "width", "low", "high"), _truncated_normal),
    "log_uniform": (("low", "high"), _log_uniform),
    "flat_in_square": (("low", "high"), _flat_in_square),
}


def read(text: str, functions: Sequence[str | Path] = ()) -> dist.Distribution:
    """Return the distribution that a text names, as it stands in a run card.

    Args:
        text: see the top of this file.
        functions: Python files whose functions the text may name.

    Raises:
        UnknownNameError: no such prior or function.
        ParameterError: numbers that are missing, too many, or make no sense; a function of a file
            that was not named, or that raises something.

    >>> from bknn.priors import describe
    >>> describe(read("uniform(1.5, 3.0)"))
    'uniform on [1.5, 3]'
    >>> describe(read("flat-in-square(0, 4.78)"))
    'flat in the square on [0, 4.78]'
    """
    if user_functions.is_one(text):
        return _user(text.strip(), functions)
    match = re.fullmatch(r"\s*([\w-]+)\s*\((.*)\)\s*", text, re.DOTALL)
    if match is None:
        name = text.partition("(")[0].strip()
        if name and name not in FORMS:
            raise errors.unknown("prior", name, [*FORMS, "user:module:function"])
        raise errors.ParameterError(
            f"prior {text!r} cannot be read; write a name and numbers in brackets, as in "
            f"{_form(name) if name else 'uniform(1.5, 3.0)'}."
        )
    name, inside = match[1].replace("-", "_"), match[2]
    if name not in FORMS:
        raise errors.unknown("prior", match[1], [*FORMS, "user:module:function"])
    takes, make = FORMS[name]
    words = [word.strip() for word in inside.split(",")] if inside.strip() else []
    if len(words) != len(takes):
        raise errors.ParameterError(
            f"prior {text!r} has {len(words)} number(s), and {name} takes {len(takes)}: "
            f"{_form(name)}."
        )
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise errors.ParameterError(
            f"prior {text!r}: {_first_word(words)!r} is not a number; write {_form(name)}."
        ) from None
    try:
        return make(*numbers)
    except errors.ParameterError as problem:
        raise errors.ParameterError(f"prior {text!r}: {problem}") from None
    except ValueError as problem:
        raise errors.ParameterError(f"prior {text!r}: {problem}.") from None


def _form(name: str) -> str:
    return f"{name}({', '.join(FORMS[name][0])})"


def _first_word(words: list[str]) -> str:
    """The first that is not a number."""
    for word in words:
        try:
            float(word)
        except ValueError:
            return word
    return ""


def _user(text: str, files: Sequence[str | Path]) -> dist.Distribution:
    """Return the distribution that a function of a user returns."""
    found = user_functions.call(text, files)
    if not isinstance(found, dist.Distribution):
        raise errors.ParameterError(
            f"prior {text!r}: the function returned a {type(found).__name__}; it must take no "
            "arguments and return a numpyro distribution."
        )
    try:
        with jax.ensure_compile_time_eval():
            found.log_prob(jnp.asarray(middle(*support_bounds(found))))
    except errors.ParameterError:
        raise
    except Exception as problem:
        raise user_functions.failed(f"{text}, its log_prob", problem) from None
    return found
