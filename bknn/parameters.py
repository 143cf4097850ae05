"""What a model's parameter is: a name, a start, a range, and what is known about it beforehand."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.typing import ArrayLike

from bknn import errors, priors
from bknn.answers.digits import with_error

#: Symbols that names do not spell.
_SYMBOLS = {
    "mass": "$m$",
    "width": r"$\Gamma$",
    "mu": r"$\mu$",
    "branching_ratio": "BR",
    "Lambda": r"$\Lambda$",
    "sin_theta": r"$\sin\theta$",
    "sm_normalisation": "SM normalisation",
}

#: A letter, what stands below it, with p for a prime, and what stands above it.
_COUPLING = re.compile(r"([A-Za-z]|mass)_([A-Z][A-Z0-9]{0,2})(p?)(?:_([A-Za-z]+))?")

_LEPTONS = re.compile(r"(e|mu|tau){2}")


def symbol(name: str) -> str:
    """Return how figures write a parameter, as mathtext; a name that says nothing is left alone.

    >>> [symbol(x) for x in ("g_S", "C_V_LL", "C_Lp_mutau", "mass_N", "height")]
    ['$g_S$', '$C_V^{LL}$', "$C_L'^{\\\\mu\\\\tau}$", '$m_N$', 'height']
    """
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    found = _COUPLING.fullmatch(name)
    if found is None:
        return name.replace("$", r"\$")
    letter, below, prime, above = found.groups()
    letter = "m" if letter == "mass" else letter
    if above and _LEPTONS.fullmatch(above):
        above = above.replace("mu", r"\mu").replace("tau", r"\tau")
    text = f"{letter}_{_braced(below)}" + ("'" if prime else "")
    return f"${text}^{_braced(above)}$" if above else f"${text}$"


def _braced(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a model.

    Attributes:
        name: as in the formulas, `mass`, `branching_ratio`, `C_VL`, ...
        init: where fits start.
        bounds: (lower, upper); fits stay inside, values outside are an error.
        prior: a numpyro distribution, used by posteriors only and cut off at the bounds; uniform
            within them by default.
        constraint: (mean, standard deviation) of an external measurement. It is part of the
            likelihood, in fits and posteriors alike, like the auxiliary data of a nuisance.
        starts: further starting values, where the likelihood may have several minima.
        fixed: keep it at `init` unless it is freed or set.
        unit, description: for tables.
        nuisance: what theory does not know (form factors): tables list it with the nuisances.
        coupling: of a coupling, a word for what it adds to; those with the same word may interfere,
            so that their relative signs are observable. Where a point names one coupling of a
            model, those that it does not name are off (`point`).
        symbol: how figures write it, with formulas between dollar signs; by default as its name
            says (`symbol`).
        logarithmic: fits go in its logarithm: of a parameter that is not negative and may be
            anywhere over decades.

    Raises:
        ParameterError: bounds that are empty or do not hold the start, a constraint without width.

    >>> Parameter("mass", 2.0, (0.0, 4.78), unit="GeV").bounds
    (0.0, 4.78)
    """

    name: str
    init: float
    bounds: tuple[float, float] = (-math.inf, math.inf)
    prior: dist.Distribution | None = None
    constraint: tuple[float, float] | None = None
    starts: tuple[float, ...] = ()
    fixed: bool = False
    unit: str = ""
    description: str = ""
    nuisance: bool = False
    coupling: str = ""
    symbol: str = ""
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise errors.ParameterError(
                f"parameter name {self.name!r} is not a Python identifier; use letters, digits "
                "and underscores, as in 'branching_ratio'."
            )
        lower, upper = self.bounds
        if not lower < upper:
            raise errors.ParameterError(
                f"parameter {self.name!r}: bounds from {lower:g} to {upper:g} hold nothing."
            )
        if not lower <= self.init <= upper:
            raise errors.ParameterError(
                f"parameter {self.name!r}: the start {self.init:g} lies outside of its bounds "
                f"[{lower:g}, {upper:g}]."
            )
        if outside := [s for s in self.starts if not lower <= s <= upper]:
            raise errors.ParameterError(
                f"parameter {self.name!r}: {len(outside)} of its starts lie outside of the bounds "
                f"[{lower:g}, {upper:g}], the first is {outside[0]:g}."
            )
        if self.logarithmic and (lower < 0.0 or self.init <= 0.0 or self.constraint is not None):
            raise errors.ParameterError(
                f"parameter {self.name!r} is logarithmic; it needs a lower bound that is not "
                "negative, a positive start, and no constraint."
            )
        if self.constraint is not None and not math.isfinite(self.constraint[0]):
            raise errors.ParameterError(
                f"parameter {self.name!r}: the constraint is centred at {self.constraint[0]}; "
                "give a number."
            )
        if self.constraint is not None and not self.constraint[1] > 0:
            raise errors.ParameterError(
                f"parameter {self.name!r}: the constraint has the width {self.constraint[1]:g}; "
                "it must be positive. To keep a parameter, fix it."
            )

    @cached_property
    def distribution(self) -> dist.Distribution | None:
        """The prior within the bounds, normalised there; uniform within finite bounds if none is
        given, None (flat, improper) otherwise.

        Raises:
            ParameterError: nothing of the prior lies within the bounds.
        """
        if self.prior is not None:
            try:
                return priors.within(self.prior, self.bounds)
            except errors.ParameterError as problem:
                raise errors.ParameterError(f"parameter {self.name!r}: {problem}") from None
        if all(math.isfinite(b) for b in self.bounds):
            return dist.Uniform(*self.bounds)
        return None

    @property
    def label(self) -> str:
        """How figures write it, as mathtext.

        >>> Parameter("C_V_L", 0.0).label, Parameter("lifetime", 1.0, symbol=r"$\\tau$").label
        ('$C_V^L$', '$\\\\tau$')
        """
        return self.symbol or symbol(self.name)

    @property
    def prior_text(self) -> str:
        """The prior or constraint in words."""
        if self.constraint is not None:
            return f"{with_error(*self.constraint)} (in the likelihood)"
        if self.prior is not None:
            return priors.describe(self.distribution)
        return "uniform" if self.distribution is not None else "flat"

    @property
    def prior_with_range(self) -> str:
        """The same where the bounds are not told beside it: uniform between which ends?"""
        if self.constraint is None and self.distribution is not None:
            return priors.describe(self.distribution)
        return self.prior_text

    def check(self, value: ArrayLike) -> float:
        """Return the value if it is a number within the bounds.

        Raises:
            ParameterError: otherwise, with the bounds.
        """
        if np.ndim(value) > 0:
            raise errors.ParameterError(
                f"parameter {self.name!r} has the shape {np.shape(value)}; give one "
                "number, and use jax.vmap for many."
            )
        number = float(real(self.name, value))
        lower, upper = self.bounds
        if not lower <= number <= upper:
            unit = f" {self.unit}" if self.unit else ""
            raise errors.ParameterError(
                f"{self.name} = {number:g}{unit} lies outside of [{lower:g}, {upper:g}]{unit}; "
                f"choose a value inside{f' ({self.description})' if self.description else ''}."
                + self._sign(number)
            )
        return number

    def _sign(self, value: float) -> str:
        """Why a coupling is not negative."""
        if not (self.coupling and self.bounds[0] == 0.0 and -self.bounds[1] <= value < 0.0):
            return ""
        return (
            " Alone its sign is not observable, so that it is positive by convention; beside "
            "another coupling, if only of the value 0, it may have either."
        )


def couplings_of(model: Any) -> tuple[str, ...]:
    """Return the names of a model's couplings: the parameters that say so, or, where none does,
    those that its `null` puts at 0."""
    marked = tuple(p.name for p in model.parameters if p.coupling)
    return marked or tuple(n for n, x in getattr(model, "null", {}).items() if x == 0.0)


def point(model: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters of a model at a point that names some of them.

    What is not named is at its start; but where one coupling is named, the others are what they are
    in the standard model (`null`: 0, but for C_VL of `wet`), or what the model was made with.

    >>> from types import SimpleNamespace
    >>> mass = Parameter("mass", 2.0)
    >>> g, h = (Parameter(name, 1e-8, coupling="new") for name in "gh")
    >>> model = SimpleNamespace(parameters=(mass, g, h), null={"g": 0.0, "h": 0.0})
    >>> point(model, {"h": 3e-8})
    {'mass': 2.0, 'g': 0.0, 'h': 3e-08}
    """
    values = {p.name: p.init for p in model.parameters}
    couplings = couplings_of(model)
    if any(name in named for name in couplings):
        off = {**model.null, **getattr(model, "given", {})}
        values |= {name: off.get(name, 0.0) for name in couplings}
    return values | dict(named)


def of_either_sign(parameters: Iterable[Parameter], named: Container[str]) -> tuple[Parameter, ...]:
    """Return parameters with the bounds that their couplings have where some more are named.

    A coupling that floats is not negative, because its own sign is not observable. Where another
    one of the same kind is given or floats, too, their relative sign is: bounds and starts of fits
    then are on both sides. Its prior stays where it was, which fixes the common sign.

    >>> g = Parameter("g", 1e-8, (0.0, 1e-5), coupling="new")
    >>> h = Parameter("h", 0.0, (-1e-5, 1e-5), fixed=True, coupling="new")
    >>> [p.bounds for p in of_either_sign([g, h], ["h"])]
    [(-1e-05, 1e-05), (-1e-05, 1e-05)]
    """
    parameters = tuple(parameters)
    present = [p for p in parameters if p.coupling and (not p.fixed or p.name in named or p.init)]
    result = []
    for p in parameters:
        others = any(q.coupling == p.coupling and q.name != p.name for q in present)
        if p.coupling and others and p.bounds[0] == 0.0:
            starts = p.starts or (p.init,)
            p = replace(
                p,
                bounds=(-p.bounds[1], p.bounds[1]),
                prior=p.distribution,
                starts=(*starts, *(-x for x in starts)),
            )
        result.append(p)
    return tuple(result)


def positive(
    parameters: Iterable[Parameter], moving: Container[str], given: Container[str]
) -> tuple[str, ...]:
    """Return the couplings that fits start on the positive side of: of each kind the first one that
    moves, unless one is given, not 0, and says what relative signs are relative to."""
    first: dict[str, str] = {}
    known = {p.coupling for p in parameters if p.name in given}
    for p in parameters:
        if p.coupling and p.coupling not in known and p.name in moving:
            first.setdefault(p.coupling, p.name)
    return tuple(first.values())


def real(name: str, value: Any) -> Any:
    """Return the value of a parameter if it is made of real numbers, traced or not.

    Raises:
        ParameterError: it is complex, or no number at all.

    >>> real("C_VL", 6.6)
    6.6
    """
    complex_ = jnp.iscomplexobj(value)
    if not isinstance(value, jax.Array) and not complex_:
        try:
            if value is None or isinstance(value, str):
                raise TypeError
            np.asarray(value, float)
        except (TypeError, ValueError):
            raise errors.ParameterError(
                f"parameter {name!r} is given as {value!r}, which is not a number."
            ) from None
    if complex_:
        raise errors.ParameterError(
            f"parameter {name!r} is complex ({value}), but the parameters of a model are real. A "
            "phase that nothing interferes with is not observable, so give the absolute value; "
            "complex coefficients of neutrino operators go into 'wet-rhn' as `wilson_coefficients`."
        )
    return value


def parameter_from(name: str, value: object) -> Parameter:
    """Return a Parameter from a shorthand: a Parameter, a start, or (start, lower, upper).

    >>> parameter_from("mass", (2.0, 0.0, 4.5)).bounds
    (0.0, 4.5)
    """
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Mapping):
        return Parameter(name, **value)
    if isinstance(value, tuple) and len(value) == 3:
        return Parameter(name, float(value[0]), (float(value[1]), float(value[2])))
    if isinstance(value, int | float):
        return Parameter(name, float(value))
    raise errors.ParameterError(
        f"parameter {name!r} is given as {value!r}; give a start, a tuple (start, lower, upper), "
        "or a bknn.Parameter."
    )
