"""Upper limits: as normal densities, as curves against the mass of what is not seen, and as tables
against other quantities of a model.

An upper limit alone says less than a measurement: a value and a width that give the limit back when
it is computed as P(x < limit | 0 <= x) of a flat prior, which for a normal density is the same as
CLs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class LimitTable:
    """Upper limits on a quantity of a model, against one or two others.

    A quantity is a derived quantity of a model or one of its parameters, called by its name. With x
    the quantity and s the width that gives the limit u at the level c back,
    u = s Phi^-1((1 + c)/2), it says -2 log L = (x / s)^2: nothing was seen. The logarithm of the
    limit is interpolated linearly in each axis, or in its logarithm. Outside of the axes it says
    nothing at all.

    Attributes:
        name: for people.
        quantity: what is limited, from above, or in size where it may be negative.
        axes: {quantity: its values, increasing}, one or two.
        upper: the limits, one row a value of the first axis, row after row.
        level: confidence level of the limits.
        logarithmic: names of the axes along which the logarithm counts.

    >>> table = LimitTable("X", "mixing", {"mass": (1.0, 2.0)}, (0.1, 0.4))
    >>> table.valid_for
    'mass from 1 to 2'
    """

    name: str
    quantity: str
    axes: Mapping[str, tuple[float, ...]]
    upper: tuple[float, ...]
    level: float = LEVEL
    logarithmic: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.axes) <= 2:
            raise DataError(
                f"limits {self.name!r} stand against {len(self.axes)} quantities; give one or two."
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
            if axis not in self.axes:
                raise DataError(
                    f"limits {self.name!r}: {axis!r} is called logarithmic and is no axis; the "
                    f"axes are {', '.join(self.axes)}."
                )
        size = math.prod(len(values) for values in self.axes.values())
        if len(self.upper) != size:
            raise DataError(
                f"limits {self.name!r} have {len(self.upper)} numbers where the axes have {size} "
                "points; give one at each."
            )
        if not all(0.0 < x < math.inf for x in self.upper) or not 0.5 < self.level < 1.0:
            raise DataError(
                f"limits {self.name!r} must be positive, and their confidence level between 0.5 "
                "and 1 (as 0.9)."
            )

    @property
    def quantile(self) -> float:
        """Limit over width."""
        return _NORMAL.inv_cdf((1.0 + self.level) / 2.0)

    @property
    def range_text(self) -> str:
        """The range of the axes in words."""
        ends = [f"{axis} from {x[0]:g} to {x[-1]:g}" for axis, x in self.axes.items()]
        return " and ".join(ends)

    @property
    def valid_for(self) -> str:
        """Where it says something, in words."""
        return self.range_text

    @property
    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest limit."""
        return min(self.upper), max(self.upper)

    def scaled(self, factor: float) -> LimitTable:
        """Return it with all limits multiplied."""
        return replace(self, upper=tuple(x * factor for x in self.upper))


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


def _log_cdf(x: float) -> float:
    """Return log Phi(x)."""
    from scipy.special import log_ndtr

    return float(log_ndtr(x))
