"""Limits: as normal densities, as curves against the mass of what is not seen, and as tables of
other quantities of a model.

An upper limit alone says less than a measurement: a value and a width that give the limit back when
it is computed as P(x < limit | 0 <= x) of a flat prior, which for a normal density is the same as
CLs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import NormalDist

from bknn.errors import DataError

#: Confidence level of a limit whose file does not say it.
LEVEL = 0.90

_NORMAL = NormalDist()


@dataclass(frozen=True)
class LimitCurve:
    """Upper limits on a two-body decay, at masses of the particle that is not seen.

    With x the branching fraction and s(m) the width that gives the limit u(m) at the level c back,
    u = s Phi^-1((1 + c)/2), it says -2 log L = (x / s(m))^2: nothing was seen. The logarithm of the
    limit is interpolated linearly in the mass. Outside of the masses it says nothing at all.

    Attributes:
        name: for people.
        channels: {decay channel: weight}; what is limited is the sum of weight times branching
            fraction into the particle.
        mass: GeV, increasing.
        upper: limit at each mass.
        level: confidence level of the limits.
    """

    name: str
    channels: Mapping[str, float]
    mass: tuple[float, ...]
    upper: tuple[float, ...]
    level: float = LEVEL

    def __post_init__(self) -> None:
        good = all(math.isfinite(x) and x >= 0.0 for x in self.mass)
        if len(self.mass) < 2 or not good or any(b <= a for a, b in pairwise(self.mass)):
            raise DataError(
                f"limit curve {self.name!r}: the masses must be two or more, not negative, and "
                "increase; give them in GeV."
            )
        if len(self.upper) != len(self.mass):
            raise DataError(
                f"limit curve {self.name!r} has {len(self.upper)} limits at {len(self.mass)} "
                "masses; give one at each."
            )
        if not all(0.0 < x < math.inf for x in self.upper) or not 0.5 < self.level < 1.0:
            raise DataError(
                f"limit curve {self.name!r}: limits must be positive, and their confidence level "
                "between 0.5 and 1 (as 0.9)."
            )
        if not self.channels:
            raise DataError(f"limit curve {self.name!r} names no decay channel; give one.")

    @property
    def quantile(self) -> float:
        """Limit over width."""
        return _NORMAL.inv_cdf((1.0 + self.level) / 2.0)

    @property
    def range_text(self) -> str:
        """The range of masses in words.

        >>> LimitCurve("X", {"B+ -> K+": 1.0}, (0.1, 4.5), (1e-5, 2e-5)).range_text
        '0.1 to 4.5 GeV'
        """
        return f"{self.mass[0]:g} to {self.mass[-1]:g} GeV"

    @property
    def valid_for(self) -> str:
        """Where it says something, in words."""
        return f"masses of {self.range_text}"

    @property
    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest limit."""
        return min(self.upper), max(self.upper)

    def scaled(self, factor: float) -> LimitCurve:
        """Return it with all limits multiplied."""
        return replace(self, upper=tuple(x * factor for x in self.upper))


#: What the numbers of a `LimitTable` are.
KINDS = ("upper", "lower", "bound")

#: Of a bound, the relative excess at which -2 log L is 1, if nothing else is said.
RISE = 0.01

#: At which ends of an axis its limits may be held beyond.
ENDS = ("below", "above", "both")


@dataclass(frozen=True)
class LimitTable:
    """Limits on a quantity of a model: one number, or against one or two other quantities.

    A quantity is a derived quantity of a model or one of its parameters, called by its name;
    several stand for their product. With x its size, u the limit at the level c and
    z = Phi^-1((1 + c)/2), it says

    - "upper": -2 log L = (z x/u)^2, so that x has the limit u if nothing was seen;
    - "lower": -2 log L = (z u/x)^2, the same for 1/x;
    - "bound", of theory and without a level: 0 below u, ((x/u - 1)/rise)^2 above; with a `rise` of
      its own, of what is measured and x may only be a part of.

    The logarithm of the limit is interpolated linearly in each axis, or in its logarithm. Outside
    of the axes it says nothing at all, but beyond an end at which it is held; nor does it between
    points of which one has no limit (`math.inf`): a region that was not looked at. Nor outside of
    the ranges of `only`, of other quantities: a lifetime that the search takes for granted.

    Attributes:
        name: for people.
        quantity: what is limited, in size where it may be negative; a product if several.
        axes: {quantity: its values, increasing}, two at most; none for one number.
        upper: the limits, one row a value of the first axis, row after row.
        level: confidence level of the limits.
        logarithmic: names of the axes along which the logarithm counts.
        held: {axis: "below", "above" or "both"}, where the limits at an end hold beyond it.
        kind: one of `KINDS`.
        only: {quantity: (low, high)}, where the limits hold, both ends included.
        rise: of a bound, the relative excess at which -2 log L is 1.

    >>> table = LimitTable("X", "mixing", {"mass": (1.0, 2.0)}, (0.1, 0.4))
    >>> table.valid_for
    'mass from 1 to 2'
    """

    name: str
    quantity: str | tuple[str, ...]
    axes: Mapping[str, tuple[float, ...]]
    upper: tuple[float, ...]
    level: float = LEVEL
    logarithmic: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    kind: str = "upper"
    only: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rise: float = RISE

    def __post_init__(self) -> None:
        if len(self.axes) > 2:
            raise DataError(
                f"limits {self.name!r} stand against {len(self.axes)} quantities; give at most two."
            )
        for axis, values in self.axes.items():
            good = all(math.isfinite(x) for x in values)
            if len(values) < 2 or not good or any(b <= a for a, b in pairwise(values)):
                raise DataError(
                    f"limits {self.name!r}: the values of {axis!r} must be two or more, and "
                    "increase."
                )
            if axis in self.logarithmic and values[0] <= 0.0:
                raise DataError(
                    f"limits {self.name!r}: {axis!r} is logarithmic and has the value "
                    f"{values[0]:g}; give positive ones, or leave it linear."
                )
        for axis in self.logarithmic:
            self._refuse_unless_axis(axis, "logarithmic")
        for axis, end in self.held.items():
            self._refuse_unless_axis(axis, "held")
            if end not in ENDS:
                raise DataError(
                    f"limits {self.name!r}: {axis!r} is held {end!r}; choose {', '.join(ENDS)}."
                )
        for name, ends in self.only.items():
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise DataError(
                    f"limits {self.name!r} hold only for {name!r} in {list(ends)}, which is no "
                    "range; give [low, high]."
                )
        size = math.prod(len(values) for values in self.axes.values())
        if len(self.upper) != size:
            raise DataError(
                f"limits {self.name!r} have {len(self.upper)} numbers where the axes have {size} "
                "points; give one at each."
            )
        if self.kind not in KINDS:
            raise DataError(
                f"limits {self.name!r} are of the kind {self.kind!r}; choose {', '.join(KINDS)}."
            )
        if not all(x > 0.0 for x in self.upper) or not 0.5 < self.level < 1.0:
            raise DataError(
                f"limits {self.name!r} must be positive, and their confidence level between 0.5 "
                "and 1 (as 0.9)."
            )
        if not 0.0 < self.rise < math.inf:
            raise DataError(
                f"limits {self.name!r} have a rise of {self.rise:g}; give the relative uncertainty "
                "of the bound, as 0.01."
            )
        if not any(map(math.isfinite, self.upper)):
            raise DataError(f"limits {self.name!r} have no limit at any point; give one.")

    def _refuse_unless_axis(self, name: str, word: str) -> None:
        if name not in self.axes:
            raise DataError(
                f"limits {self.name!r}: {name!r} is called {word} and is no axis; the axes are "
                f"{', '.join(self.axes)}."
            )

    @property
    def factors(self) -> tuple[str, ...]:
        """The quantities whose product is limited."""
        return (self.quantity,) if isinstance(self.quantity, str) else self.quantity

    @property
    def quantities(self) -> tuple[str, ...]:
        """All quantities that a model must have."""
        return (*self.factors, *self.axes, *self.only)

    @property
    def quantile(self) -> float:
        """Limit over width."""
        return _NORMAL.inv_cdf((1.0 + self.level) / 2.0)

    @property
    def level_text(self) -> str:
        """The confidence level, or what takes its place, in words.

        >>> LimitTable("X", "g", {}, (1.0,), kind="bound", rise=0.05).level_text
        'bound, 5 %'
        """
        if self.kind != "bound":
            return f"{self.level:g}"
        return "theory" if self.rise == RISE else f"bound, {100 * self.rise:.2g} %"

    @property
    def range_text(self) -> str:
        """The range of the axes in words.

        >>> LimitTable("X", "g", {"tau": (0.1, 2.0)}, (1.0, 9.0), held={"tau": "below"}).range_text
        'tau up to 2'
        """
        ranges = [self._range(axis) for axis in self.axes]
        ranges += [f"{name} from {low:g} to {high:g}" for name, (low, high) in self.only.items()]
        return " and ".join(ranges) or "everywhere"

    def _range(self, axis: str) -> str:
        low, high = self.axes[axis][0], self.axes[axis][-1]
        texts = {"below": f"up to {high:g}", "above": f"from {low:g} on", "both": "of any value"}
        return f"{axis} {texts.get(self.held.get(axis, ''), f'from {low:g} to {high:g}')}"

    @property
    def valid_for(self) -> str:
        """Where it says something, in words."""
        gaps = "" if all(map(math.isfinite, self.upper)) else ", with gaps"
        return self.range_text + gaps

    @property
    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest limit."""
        known = [x for x in self.upper if math.isfinite(x)]
        return min(known), max(known)

    def scaled(self, factor: float) -> LimitTable:
        """Return it with all limits made `factor` times as weak; a bound of theory stays."""
        if self.kind == "bound":
            return self
        by = factor if self.kind == "upper" else 1.0 / factor
        return replace(self, upper=tuple(x * by for x in self.upper))


def limit_to_normal(
    upper: float, level: float = LEVEL, *, expected: float | None = None, value: float | None = None
) -> tuple[float, float]:
    """Return the value and the width of a normal density that give back an upper limit.

    For a value x with a width s, what is not negative has at confidence level c the upper limit u
    with

        Phi((x - u) / s) = (1 - c) Phi(x / s),

    whether by CLs with the likelihood ratio or by a flat prior. One equation, two unknowns: without
    an expected limit and without a value x = 0, so that s = u / Phi^-1((1 + c) / 2). The median
    limit without a signal is that of x = 0; so an expected limit fixes s, and the limit then x. If
    x was published too, the limit fixes s.

    Args:
        upper: the limit.
        level: its confidence level c.
        expected: the limit expected without a signal.
        value: the published central value x, in place of `expected`.

    Raises:
        DataError: no normal density does that.

    >>> value, width = limit_to_normal(5.6e-4)
    >>> value, round(width / 5.6e-4, 4)
    (0.0, 0.608)
    """
    from scipy.optimize import brentq

    if not upper > 0.0 or not 0.5 < level < 1.0:
        raise DataError(
            f"an upper limit of {upper:g} at level {level:g} is none: the limit must be positive, "
            "and its confidence level between 0.5 and 1 (as 0.9)."
        )
    quantile = _NORMAL.inv_cdf((1.0 + level) / 2.0)
    if expected is None and value is None:
        return 0.0, upper / quantile

    def excess(x: float, s: float) -> float:
        # In logarithms, as both are tiny far below zero.
        return _log_cdf((x - upper) / s) - math.log(1.0 - level) - _log_cdf(x / s)

    if expected is not None:
        if not expected > 0.0:
            raise DataError(f"an expected limit of {expected:g} is none: it must be positive.")
        width = expected / quantile
        low, high = -30.0 * width, upper + 5.0 * width
        if excess(low, width) > 0.0:
            raise DataError(
                f"a limit of {upper:g} where {expected:g} is expected is lower than any downward "
                "fluctuation of a normal density makes it; leave the expected limit out."
            )
        return float(brentq(excess, low, high, args=(width,), xtol=1e-14 * upper)), width
    assert value is not None
    if value >= upper:
        raise DataError(
            f"the value {value:g} is not below its upper limit {upper:g}; check both, or leave one "
            "out."
        )
    # A wider density has a higher limit.
    narrow, wide = 1e-3 * (upper - value), 1e3 * (upper + abs(value))
    return value, float(brentq(lambda s: excess(value, s), narrow, wide, xtol=1e-14 * upper))


def interval_to_normal(
    low: float, high: float, level: float = LEVEL, value: float | None = None
) -> tuple[float, float, float]:
    """Return the value and the widths above and below, of two halves of normal densities, whose
    central interval at a confidence level is given: -2 log L is z^2 at its ends, with
    z = Phi^-1((1 + level)/2).

    Args:
        low, high: the interval.
        level: its confidence level.
        value: the published central value; the middle of the interval if there is none.

    Raises:
        DataError: no interval, or a value that is not inside.

    >>> value, above, below = interval_to_normal(0.7, 1.1, 0.95)
    >>> round(value, 3), round(above, 3), above == below
    (0.9, 0.102, True)
    """
    if not low < high or not 0.5 < level < 1.0:
        raise DataError(
            f"[{low:g}, {high:g}] at level {level:g} is no interval: it must go from low to high, "
            "at a confidence level between 0.5 and 1 (as 0.95)."
        )
    quantile = _NORMAL.inv_cdf((1.0 + level) / 2.0)
    if value is None:
        width = (high - low) / (2.0 * quantile)
        return (low + high) / 2.0, width, width
    if not low < value < high:
        raise DataError(
            f"the value {value:g} is not inside of its interval [{low:g}, {high:g}]; check both."
        )
    return value, (high - value) / quantile, (value - low) / quantile


def _log_cdf(x: float) -> float:
    """Return log Phi(x)."""
    from scipy.special import log_ndtr

    return float(log_ndtr(x))
