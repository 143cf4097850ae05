"""The spectrum dBR/dq2 of one decay channel: a multiple of the standard model, lines, a continuum.

A `Spectrum` is what a model hands to the response. The three kinds are kept apart because each
is integrated differently: the standard-model part is the measurement's own template, a line sits
at a point (or is a Breit-Wigner, integrated in closed form), a continuum is a function of q2.

Every number in it may be a traced JAX scalar, so a spectrum can be built inside a function that
is jitted, differentiated, or mapped over masses and branching ratios.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
from jax import Array
from jax.typing import ArrayLike

from bknn.errors import ParameterError


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


class Line(eqx.Module):
    """A two-body final state: an invisible particle of one mass, narrow or with a width.

    Attributes:
        mass: mass of the invisible particle in GeV; the line sits at q2 = mass^2.
        branching_ratio: branching ratio into this state (times the probability that it stays
            invisible), not in percent. It may be negative, for studies of bias.
        width: total width in GeV. The Python number 0 (the default) is known to be narrow when
            the function is traced and costs work for one true-q2 bin only; a traced width costs
            the Breit-Wigner integrals over all of them, and gives the same at 0.

    >>> Line(mass=2.1, branching_ratio=9.2e-6)
    Line(mass=2.1, branching_ratio=9.2e-06)
    """

    mass: ArrayLike
    branching_ratio: ArrayLike
    width: ArrayLike = 0.0

    def __check_init__(self) -> None:
        for name in ("mass", "branching_ratio", "width"):
            value = getattr(self, name)
            # Only plain numbers can be looked at; traced values are nobody's business here.
            if not _is_number(value):
                continue
            if not math.isfinite(value):
                raise ParameterError(
                    f"a Line got {name} = {value}; give a finite number, "
                    "otherwise every count that depends on it is not a number."
                )
            if name != "branching_ratio" and value < 0:
                raise ParameterError(
                    f"a Line got {name} = {value} GeV, and a {name} cannot be negative."
                )

    @property
    def known_narrow(self) -> bool:
        """Whether the width is the Python number 0, which needs no value to be looked at."""
        return isinstance(self.width, (int, float)) and self.width == 0


class Spectrum(eqx.Module):
    """dBR/dq2 of one channel, short of everything the detector does.

    Attributes:
        standard_model: multiples of the measurement's own standard-model template (mu).
        continuum: function of q2 (GeV^2, shape (n,)) that returns dBR/dq2 (GeV^-2, shape (n,)),
            or None. It must be 0 outside phase space and is called once per folding, with the
            nodes of all true-q2 bins. To pass a spectrum through `jax.jit` as an argument, make
            it a pytree: an `equinox.Module` with `__call__`, or a `jax.tree_util.Partial`.
        lines: two-body final states.

    Two spectra add up; they do not interfere.

    >>> Spectrum(standard_model=1.0) + Spectrum(lines=(Line(2.1, 9.2e-6),))
    Spectrum(standard_model=1.0, lines=(Line(mass=2.1, branching_ratio=9.2e-06),))
    """

    standard_model: ArrayLike = 0.0
    continuum: Callable[[Array], Array] | None = None
    lines: tuple[Line, ...] = ()

    def __check_init__(self) -> None:
        if self.continuum is not None and not callable(self.continuum):
            raise ParameterError(
                f"the continuum of a Spectrum is a function of q2, "
                f"but a {type(self.continuum).__name__} came; "
                "wrap a table in a function that interpolates it."
            )
        if not isinstance(self.lines, tuple):
            raise ParameterError(
                f"the lines of a Spectrum are a tuple of Line, "
                f"but a {type(self.lines).__name__} came; write lines=(Line(...),)."
            )

    def __add__(self, other: Spectrum) -> Spectrum:
        if not isinstance(other, Spectrum):
            return NotImplemented
        parts = tuple(f for f in (self.continuum, other.continuum) if f is not None)
        continuum = _Sum(parts) if len(parts) == 2 else (parts[0] if parts else None)
        return Spectrum(
            standard_model=self.standard_model + other.standard_model,
            continuum=continuum,
            lines=self.lines + other.lines,
        )


class _Sum(eqx.Module):
    """The sum of several continua, a pytree if its parts are."""

    parts: tuple[Callable[[Array], Array], ...]

    def __call__(self, q2: Array) -> Array:
        total = self.parts[0](q2)
        for part in self.parts[1:]:
            total = total + part(q2)
        return total
