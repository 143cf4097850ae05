"""The spectrum dBR/dq2 of one decay channel: a multiple of the standard model, lines, a continuum.

A `Spectrum` is what a model hands to the response. The three kinds are kept apart because each
is integrated differently: the standard-model part is the measurement's own template, a line sits
at a point (or is a Breit-Wigner, integrated in closed form), a continuum is a function of q2. A
`Continuum` also says where it begins, so that a square root at the threshold costs no precision.

Every number in it may be a traced JAX scalar, so a spectrum can be built inside a function that
is jitted, differentiated, or mapped over masses and branching ratios.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

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


class Shapes(eqx.Module):
    """A spectrum as a sum of fixed shapes, with weights that may be traced.

    Attributes:
        weights: shape (n,).
        functions: from q2 (GeV^2, shape (m,)) to the shapes there (GeV^-2, (n, m)). Of shapes that
            know nothing that is traced both are NumPy's.
    """

    weights: Array
    functions: Callable[[Any], Any] = eqx.field(static=True)


class Family(NamedTuple):
    """Continua that are one function at different numbers, as those of K+ and K0 at their masses.

    Attributes:
        name: the same for all continua of a model, at the same parameters, that are this function.
        numbers: of one of them, a pytree of numbers.
        density: function of numbers and q2 (GeV^2, shape (n,)), dBR/dq2.
        shapes: returns weights (k,), the same at all numbers, and a function of numbers and q2, the
            shapes (k, n); None if the continuum is no sum of shapes.
    """

    name: Hashable
    numbers: Any
    density: Callable[[Any, Any], Array]
    shapes: Callable[[], tuple[Array, Callable[[Any, Any], Array]]] | None


class Continuum(eqx.Module):
    """A function of q2 together with what is known about it.

    Attributes:
        density: function of q2 (GeV^2, shape (n,)) that returns dBR/dq2 (GeV^-2, shape (n,)). It
            must be 0 outside phase space, with finite derivatives there and at the threshold
            itself: `bknn.kinematics.safe_sqrt` instead of a square root. With a threshold it is
            called twice per folding.
        threshold: where phase space begins, in GeV^2: the squared sum of the masses. The
            response then integrates a spectrum that starts there like (q2 - threshold)^(n/2),
            n = 0, 1, 2, ..., precisely, and counts can be differentiated in the threshold. None
            is no threshold.
        shapes: returns the same spectrum as a sum of shapes, if it is one. Without a threshold they
            are fixed: the response folds each of them once, when it is compiled, and a spectrum
            costs n multiplications a fit bin. With one they know a mass, and take the place of the
            density only where they are folded once for many spectra.
        family: others that are the same function: what evaluates them all (`bknn.prediction.
            at_once`) compiles it once.

    Called, it is its density.

    >>> import jax.numpy as jnp
    >>> from bknn.kinematics import safe_sqrt
    >>> def pair(mass):
    ...     def density(q2):
    ...         return 1e-7 * safe_sqrt(1.0 - 4.0 * mass**2 / q2)
    ...     return Continuum(density, threshold=4.0 * mass**2)
    >>> [round(1e7 * float(x), 3) for x in pair(1.0)(jnp.array([3.0, 16.0]))]
    [0.0, 0.866]
    """

    density: Callable[[Array], Array]
    threshold: ArrayLike | None = None
    shapes: Callable[[], Shapes] | None = None
    family: Family | None = None

    def __check_init__(self) -> None:
        if not callable(self.density):
            raise ParameterError(
                f"the density of a Continuum is a function of q2, "
                f"but a {type(self.density).__name__} came; "
                "wrap a table in a function that interpolates it."
            )
        value: Any = self.threshold
        if _is_number(value) and not (math.isfinite(value) and value >= 0.0):
            raise ParameterError(
                f"a Continuum got threshold = {value} GeV^2; give the squared sum of the masses "
                "of the final state, or None for a continuum without a threshold."
            )

    def as_shapes(self, held: bool = False) -> Shapes | None:
        """Return it as a sum of shapes if that saves work, else None.

        Args:
            held: whether thresholds are known long before couplings, so that shapes that know a
                mass are worth their work, too.
        """
        worth = held or self.threshold is None
        return self.shapes() if self.shapes is not None and worth else None

    def __call__(self, q2: Array) -> Array:
        return self.density(q2)


class Spectrum(eqx.Module):
    """dBR/dq2 of one channel, short of everything the detector does.

    Attributes:
        standard_model: multiples of the measurement's own standard-model template (mu).
        continuum: function of q2 (GeV^2, shape (n,)) that returns dBR/dq2 (GeV^-2, shape (n,)),
            or None. It must be 0 outside phase space and is called once per folding, with the
            nodes of all true-q2 bins. If it begins at a threshold, give a `Continuum`. To pass a
            spectrum through `jax.jit` as an argument, make the function a pytree: an
            `equinox.Module` with `__call__`, or a `jax.tree_util.Partial`.
        lines: two-body final states.

    Two spectra add up; they do not interfere. Each continuum in a sum keeps its own threshold.

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

    @property
    def uses_template(self) -> bool:
        """Whether there is a multiple of the measurement's own template, the number 0 apart."""
        return not (_is_number(self.standard_model) and self.standard_model == 0)

    @property
    def continua(self) -> tuple[Continuum, ...]:
        """The continua that this spectrum is a sum of; a bare function has threshold None."""
        return tuple(f if isinstance(f, Continuum) else Continuum(f) for f in self._functions)

    @property
    def _functions(self) -> tuple[Callable[[Array], Array], ...]:
        if self.continuum is None:
            return ()
        return self.continuum.parts if isinstance(self.continuum, _Sum) else (self.continuum,)

    def __add__(self, other: Spectrum) -> Spectrum:
        if not isinstance(other, Spectrum):
            return NotImplemented
        parts = self._functions + other._functions
        return Spectrum(
            standard_model=self.standard_model + other.standard_model,
            continuum=_Sum(parts) if len(parts) > 1 else (parts[0] if parts else None),
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
