"""A signal by its values and derivatives at one point: all that a step of a fit asks of a model.

A minimiser, the Hessian and the metric of a fit look at a model only through the factors on the
templates, the expectations of results, and how these change with the parameters. Handed over as
arrays they make one compiled program serve all models; what a model itself computes is a small
program of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from bknn.analysis.counts import Part
from bknn.analysis.results import Results
from bknn.analysis.signal import Expectations, SignalLike


class Local(NamedTuple):
    """What a signal is at a point, and around it.

    Attributes:
        physics: the point: parameters of the model, filled up with zeros (p,).
        value: factors on the templates of all measurements, expectations of results, and the
            multiple of a template without densities, end to end (n,).
        slope: derivatives (n, p).
        bend: second derivatives (n, p, p); None where a program has no use for them.
    """

    physics: Any
    value: Any
    slope: Any
    bend: Any = None


def extent(parts: tuple[Part, ...], results: int) -> int:
    """Return the number of values of a `Local` (n)."""
    return sum(_factors(part) for part in parts) + results + 1


def local(signal: SignalLike, physics: Array, room: int, *, bend: bool = False) -> Local:
    """Look at a signal at a point.

    Args:
        signal: of a model.
        physics: parameters of the model (p,).
        room: length to which parameters are filled up.
        bend: whether second derivatives are wanted.
    """
    more = room - len(physics)

    def filled(derivatives: Expectations, axes: int) -> Array:
        parts = zip(signal.parts, derivatives[0], strict=True)
        pieces = [_both(part, x) for part, x in parts if x is not None]
        own = jnp.concatenate([*pieces, derivatives[1]])
        return jnp.pad(own, ((0, 0), *(((0, more),) * axes)))

    def strength(x: Array) -> Array:
        # Asked only where there are no densities: another model may have none to give.
        alone = any(p.pdf.signal_strength is not None and not p.responses for p in signal.parts)
        return signal.strength(x)[None] if alone else jnp.zeros(1)

    def both(found: Expectations, f: Any, axes: int) -> Array:
        rest = jnp.pad(f(physics), ((0, 0), *(((0, more),) * axes)))
        return jnp.concatenate([filled(found, axes), rest])

    value, slopes = signal.with_slopes(physics)
    bends = jax.jacfwd(signal.slopes)(physics) if bend else None
    return Local(
        jnp.pad(physics, (0, more)),
        both(value, strength, 0),
        both(slopes, jax.jacfwd(strength), 1),
        None if bends is None else both(bends, jax.jacfwd(jax.jacfwd(strength)), 2),
    )


@dataclass(frozen=True, eq=False)
class Tangent:
    """The signal of a model near a point; exact there, with its derivatives.

    Attributes:
        parts: the measurements with counts.
        results: what was measured that is no count; its widths alone are used.
        at: values and derivatives.
    """

    parts: tuple[Part, ...]
    results: Results
    at: Local

    def _values(self, physics: Array) -> Array:
        step = physics - self.at.physics
        result = self.at.value + self.at.slope @ step
        return result if self.at.bend is None else result + 0.5 * (self.at.bend @ step) @ step

    def _split(self, values: Array) -> Expectations:
        scales: list[Array | None] = []
        first = 0
        for part in self.parts:
            n = _factors(part)
            scales.append(values[first : first + n] if n else None)
            first += n
        return scales, values[first:-1]

    def __call__(self, physics: Array) -> Expectations:
        """Return factors and expectations at the parameters of the model (p,)."""
        return self._split(self._values(physics))

    def slopes(self, physics: Array) -> Expectations:
        """Return the derivatives with respect to the parameters (p,), at the point itself."""
        return self._split(self.at.slope)

    def with_slopes(self, physics: Array) -> tuple[Expectations, Expectations]:
        """Return the values, and the derivatives at the point itself."""
        return self(physics), self.slopes(physics)

    def strength(self, physics: Array) -> Array:
        """Return the multiple of the template where there are no densities."""
        return self._values(physics)[-1]


def _factors(part: Part) -> int:
    """How many factors a measurement takes: on its template, and on the new signal."""
    return 2 * len(part.template) if part.responses else 0


def _both(part: Part, factors: Array) -> Array:
    """Factors (s or 2 s, ...) of a part, zero on the new signal where a model has none."""
    missing = _factors(part) - len(factors)
    return jnp.pad(factors, ((0, missing), *(((0, 0),) * (factors.ndim - 1))))
