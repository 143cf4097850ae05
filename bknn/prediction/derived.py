"""Derived quantities: numbers that a model makes of its parameters, by name.

A model declares them in `derived_quantities` and computes them in `derived(params)`. They can be
predicted like observables, and data sets can constrain them; so can they its parameters. A model
with many may say in `groups` which are computed together (`bknn.prediction.Group`): those that
nobody asks for then cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.parameters import Parameter


@dataclass(frozen=True)
class DerivedQuantity:
    """The declaration of a number that a model makes of its parameters.

    Attributes:
        name: as data sets and commands call it, `lifetime`, `br_zprime_mumu`, ...
        unit, description: for tables.
        symbol: how figures write it, with formulas between dollar signs; the name by default.
        bounds: between which it lies whatever the parameters; profile intervals end there.
        channels: decays whose form factors it depends on.

    Raises:
        ParameterError: a name that is not a Python identifier.

    >>> DerivedQuantity("lifetime", "ps", "of the new particle", symbol=r"$\\tau$").label
    '$\\\\tau$'
    """

    name: str
    unit: str = ""
    description: str = ""
    symbol: str = ""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise errors.ParameterError(
                f"the name of a derived quantity, {self.name!r}, is not a Python identifier; use "
                "letters, digits and underscores, as in 'br_zprime_mumu'."
            )

    @property
    def label(self) -> str:
        """How figures write it, as mathtext."""
        return self.symbol or self.name


def derived_quantities(model: Any) -> dict[str, DerivedQuantity]:
    """Return the derived quantities that a model declares, by name."""
    return {q.name: q for q in getattr(model, "derived_quantities", ())}


def channels_of(model: Any, names: Iterable[str]) -> tuple[str, ...]:
    """Return the decays whose form factors some quantities of a model depend on."""
    own = derived_quantities(model)
    found = [c for name in names if name in own for c in own[name].channels]
    return tuple(dict.fromkeys(found))


def named(model: Any) -> dict[str, DerivedQuantity | Parameter]:
    """Return all that a model can say a number for by name: derived quantities and parameters."""
    return {**{p.name: p for p in model.parameters}, **derived_quantities(model)}


def together(model: Any, names: Iterable[str]) -> tuple[str, ...]:
    """Return the derived quantities of a model that are computed where some of them are, in the
    order of their declaration: all, unless the model has `groups`."""
    own, wanted = derived_quantities(model), set(names)
    groups = [{q.name for q in g.quantities} for g in getattr(model, "groups", tuple)()]
    there = set(own) if wanted & set(own).difference(*groups) else set[str]()
    there = there.union(*(group for group in groups if group & wanted))
    return tuple(name for name in own if name in there)


def derived(
    model: Any, params: Mapping[str, ArrayLike], names: Iterable[str] | None = None
) -> dict[str, Array]:
    """Return the derived quantities of a model, a pure function of all its parameters.

    Args:
        model: with `derived_quantities` and `derived`, or without (then there are none).
        params: {name: value}; of the parameters of form factors some or none.
        names: those that are asked for; all of them by default.

    Raises:
        ParameterError: the model computes other quantities than it declares, or no single numbers.
    """
    declared = derived_quantities(model)
    wanted = tuple(declared if names is None else names)
    if not wanted:
        return {}
    try:
        every = model.derived(params)
        if not isinstance(every, Mapping) or set(every) != set(declared):
            raise _undeclared(model, every)
        found = {name: every[name] for name in wanted}
    except errors.BknnError:
        raise
    except Exception as problem:
        raise errors.ParameterError(
            f"`derived` of model {model.name!r} fails with {type(problem).__name__}: "
            f"{str(problem).splitlines()[0] if str(problem) else 'no message'}. It must be a "
            "function of {name: value} written with jax.numpy, without Python branches on values."
        ) from problem
    for name, value in found.items():
        if jnp.shape(value) != () or jnp.iscomplexobj(value):
            raise errors.ParameterError(
                f"the derived quantity {name!r} of model {model.name!r} has the shape "
                f"{jnp.shape(value)}, or is complex; it must be one real number."
            )
    return {name: jnp.asarray(value, float) for name, value in found.items()}


def _undeclared(model: Any, found: Any) -> errors.BknnError:
    has = ", ".join(sorted(found)) if isinstance(found, Mapping) else type(found).__name__
    declared = ", ".join(derived_quantities(model))
    return errors.ParameterError(
        f"model {model.name!r} declares the derived quantities {declared}, but its `derived` "
        f"returns {has}; let it return {{name: value}} of what it declares."
    )


def quantity(model: Any, name: str, params: Mapping[str, ArrayLike]) -> Array:
    """Return a derived quantity, or a parameter, by its name.

    Raises:
        UnknownNameError: as `check_quantity`.
    """
    return quantities(model, (name,), params)[name]


def quantities(
    model: Any, names: Iterable[str], params: Mapping[str, ArrayLike]
) -> dict[str, Array]:
    """Return derived quantities and parameters by their names; what the model derives is computed
    once for all of them, and not at all if there is none among them.

    Raises:
        UnknownNameError: as `check_quantity`.
    """
    wanted = tuple(dict.fromkeys(names))
    own = derived_quantities(model)
    found = derived(model, params, [name for name in wanted if name in own])
    for name in wanted:
        if name not in found:
            if name not in params:
                raise _unknown(model, name)
            found[name] = jnp.asarray(params[name], float)
    return {name: found[name] for name in wanted}


def check_quantity(model: Any, *names: str) -> None:
    """Refuse names of quantities that a model does not have, or that it cannot compute.

    Raises:
        UnknownNameError: neither a derived quantity nor a parameter; close matches are named.
        ParameterError: as for `derived`.
    """
    for name in names:
        if name not in named(model):
            raise _unknown(model, name)
    if asked := [name for name in names if name in derived_quantities(model)]:
        start = {p.name: jnp.asarray(p.init, float) for p in model.parameters}
        kept = {p.name: p.init for p in model.parameters if p.fixed}
        jax.eval_shape(lambda x: derived(model, {**x, **kept}, asked), start)


def _unknown(model: Any, name: str) -> errors.BknnError:
    return errors.unknown("quantity", name, named(model), f"model {model.name!r}")
