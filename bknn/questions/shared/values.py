"""Values that may be asked, as people write them: points, bounds, priors, grids, numbers, seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bknn import errors
from bknn.storage import memory

#: Points of a grid, and toys, draws or whatever else is counted, beyond which it is a mistake.
MOST_POINTS, MOST = 1_000_000, 1_000_000_000


def values(texts: Sequence[str], option: str) -> dict[str, float]:
    """Read NAME=VALUE pairs."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name.strip() in found:
            raise errors.ParameterError(
                f"{option} gives {name.strip()!r} two values; leave one out."
            )
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form NAME=VALUE with a number; for example "
                f"{option} mass=2.1."
            )
    return found


def bounds(texts: Sequence[str], option: str = "--bounds") -> dict[str, tuple[float, float]]:
    """Read NAME=LOW:HIGH pairs; a side that is open is inf.

    >>> bounds(["mu=0:10"])
    {'mu': (0.0, 10.0)}
    """
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, _, words = (part.strip() for part in text.partition("="))
        if name in found:
            raise errors.ParameterError(f"{option} gives {name!r} two ranges; leave one out.")
        try:
            low, high = (float(x) for x in words.replace(",", ":").split(":"))
        except ValueError:
            name = ""
        if not name:
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form NAME=LOW:HIGH with two numbers; for example "
                f"{option} mu=0:10."
            )
        found[name] = (low, high)
    return found


def priors(texts: Sequence[str], option: str = "--prior") -> dict[str, str]:
    """Read NAME=PRIOR pairs; each prior must be one that `bknn.priors.read` can read, but for those
    of user functions, whose files are known later.

    >>> priors(["mass=uniform(1.5, 3.0)"])
    {'mass': 'uniform(1.5, 3.0)'}
    """
    from bknn.priors import read
    from bknn.reading.user_functions import is_one

    found: dict[str, str] = {}
    for text in texts:
        name, _, prior = (part.strip() for part in text.partition("="))
        if not name or not prior:
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form NAME=PRIOR; for example {option} "
                '"mass=uniform(1.5, 3.0)".'
            )
        if name in found:
            raise errors.ParameterError(f"{option} gives {name!r} two priors; leave one out.")
        if not is_one(prior):
            read(prior)
        found[name] = prior
    return found


def grids(texts: Sequence[str], option: str = "--over") -> dict[str, np.ndarray]:
    """Read NAME=LOW:HIGH:POINTS, NAME=LOW:HIGH:POINTS:log or NAME=A,B,C.

    >>> grids(["mass=1:3:5", "branching_ratio=1e-6,1e-5"])
    {'mass': array([1. , 1.5, 2. , 2.5, 3. ]), 'branching_ratio': array([1.e-06, 1.e-05])}
    """
    found: dict[str, np.ndarray] = {}
    for text in texts:
        name, _, words = text.partition("=")
        name = name.strip()
        if name in found:
            raise errors.ParameterError(f"{option} gives {name!r} two grids; leave one out.")
        if not name or not words:
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form NAME=LOW:HIGH:POINTS; for example {option} "
                "mass=0.1:4.7:200."
            )
        found[name] = grid(words, f"{option} {name}")
    if (points := math.prod(len(x) for x in found.values())) > MOST_POINTS:
        raise errors.ParameterError(
            f"{option}: the grids of {', '.join(found)} together have {points:g} points, which no "
            f"computer would ever be through with; give at most {MOST_POINTS}."
        )
    return found


def grids_of(over: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the values of grids, {name: LOW:HIGH:POINTS and so on}."""
    return grids([f"{name}={text}" for name, text in over.items()])


def grid(text: str, option: str) -> np.ndarray:
    """Read LOW:HIGH:POINTS, LOW:HIGH:POINTS:log or A,B,C.

    >>> grid("1:100:3:log", "--over mass")
    array([  1.,  10., 100.])
    """
    try:
        values = _grid(text)
    except OverflowError as many:
        raise errors.ParameterError(
            f"{option}: {text[:60]!r} has {many} points, which no computer would ever be through "
            f"with; give at most {MOST_POINTS}."
        ) from None
    if values is None:
        raise errors.ParameterError(
            f"{option}: {text!r} is no grid; write LOW:HIGH:POINTS, with :log at the end for even "
            "steps of the logarithm, or A,B,C; for example 0.1:4.7:200."
        )
    if not np.isfinite(values).all():
        raise errors.ParameterError(
            f"{option}: {text!r} has values that are not finite (the logarithm needs positive "
            "ends); correct the grid."
        )
    return values


def _grid(text: str) -> np.ndarray | None:
    """The values that a grid names, or None if it cannot be read."""
    parts = [part.strip() for part in text.split(":")]
    try:
        if len(parts) == 1:
            return np.array([float(x) for x in parts[0].split(",")])
        if len(parts) not in (3, 4) or parts[3:] not in ([], ["log"]):
            return None
        low, high, points = float(parts[0]), float(parts[1]), float(parts[2])
    except ValueError:
        return None
    if not (points >= 1 and (math.isinf(points) or points.is_integer())):
        return None
    if points > MOST_POINTS:
        raise OverflowError(f"{points:g}")
    points = int(points)
    if not (math.isfinite(low) and math.isfinite(high)):
        return np.full(points, np.nan)
    if len(parts) == 3:
        # 0.15, not 0.15000000000000002.
        return np.array([float(f"{x:.15g}") for x in np.linspace(low, high, points)])
    return np.geomspace(low, high, points) if low > 0 and high > 0 else np.full(points, np.nan)


def number(count: int, option: str, least: int = 1) -> int:
    """Return a number of things that there must be `least` of."""
    if count < least:
        raise errors.ParameterError(f"{option} {count} is too few; give at least {least}.")
    if count > MOST:
        raise errors.ParameterError(
            f"{option} {_short(count)} is too many; give at most {MOST:.0e}."
        )
    return count


def room(count: int, each: int, option: str) -> None:
    """Refuse more of something than there is memory for.

    Args:
        count: how many are asked for.
        each: bytes that one takes.
        option: which asks for them.

    Raises:
        ParameterError: they do not fit.
    """
    left = memory.free()
    if count * each > left:
        raise errors.ParameterError(
            f"{option}: {count:g} take {memory.in_words(float(count) * each)} of memory, and "
            f"{memory.in_words(left)} are free; ask for {int(left / each):.1g} at most, or in "
            "several parts."
        )


def _short(number: int) -> str:
    digits = str(abs(number))
    return str(number) if len(digits) < 20 else f"of {len(digits)} digits"


def seed(value: int, option: str = "--seed") -> int:
    """Return a seed, which random numbers have 63 bits for.

    >>> seed(3)
    3
    """
    if not 0 <= value < 2**63:
        raise errors.ParameterError(
            f"{option} {_short(value)} is no seed; give a whole number from 0 to 2^63 - 1."
        )
    return value


def region(text: str, option: str = "--q2") -> tuple[float, float] | float:
    """Read a bin A,B or a point A.

    >>> region("0,4"), region("5")
    ((0.0, 4.0), 5.0)
    """
    try:
        numbers = [float(x) for x in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise errors.ParameterError(
        f"{option} {text!r} is neither a bin A,B nor a point A in GeV^2; for example "
        f"{option} 0,4 4,8."
    )


def groups(texts: Sequence[str], option: str = "--group") -> dict[str, tuple[str, ...]]:
    """Read LABEL=PATTERN,PATTERN.

    >>> groups(["form factors=ff_*", "kaons=*KL*,*pid*"])
    {'form factors': ('ff_*',), 'kaons': ('*KL*', '*pid*')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        label, _, words = text.partition("=")
        patterns = tuple(word.strip() for word in words.split(",") if word.strip())
        if not label.strip() or not patterns:
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form LABEL=PATTERN,PATTERN; for example "
                f'{option} "form factors=ff_*".'
            )
        found[label.strip()] = (*found.get(label.strip(), ()), *patterns)
    return found


def alternatives(texts: Sequence[str], option: str = "--alternative") -> dict[str, dict[str, str]]:
    """Read WORD:NAME=PRIOR; what has the same word belongs together.

    >>> alternatives(["wide:mass=uniform(0, 4.78)"])
    {'wide': {'mass': 'uniform(0, 4.78)'}}
    """
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        word, colon, rest = (part.strip() for part in text.partition(":"))
        name, _, prior = (part.strip() for part in rest.partition("="))
        if not (word and colon and name and prior) or "=" in word:
            raise errors.ParameterError(
                f"{option} {text!r} is not of the form WORD:NAME=PRIOR; for example {option} "
                '"wide:mass=uniform(0, 4.78)".'
            )
        if name in found.setdefault(word, {}):
            raise errors.ParameterError(
                f"{option} {word} gives {name!r} two priors; leave one out."
            )
        found[word][name] = prior
    return found
