"""Which parameters of a model float, with the bounds and priors that a user asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpyro.distributions as dist

from bknn import errors
from bknn.analysis import ranges
from bknn.likelihood import HistFactory
from bknn.parameters import Parameter, of_either_sign
from bknn.priors import read


def taking_part(
    model: Any, workspaces: Sequence[HistFactory], decays: Sequence[str], free: Sequence[str]
) -> tuple[tuple[Parameter, ...], dict[str, float]]:
    """Return the parameters that float, in order, and {name: value} of the others.

    Args:
        model: whose parameters they are.
        workspaces: that may state bounds of the signal strength.
        decays: whose nuisances are needed.
        free: names of parameters that the model keeps and that shall float.

    Raises:
        ParameterError: two parameters of one name.
        UnknownNameError: a name in `free` that the model does not have.
    """
    nuisances = getattr(model, "nuisances", None)
    stated = ranges.stated(model, workspaces)
    every = of_either_sign((*stated, *(nuisances(decays) if nuisances else ())), free)
    known = {p.name: p for p in every}
    if len(known) < len(every):
        names = [p.name for p in every]
        raise errors.ParameterError(
            f"model {model.name!r} has two parameters named {max(names, key=names.count)!r}; "
            "rename one."
        )
    for name in free:
        if name not in known:
            raise errors.unknown("parameter", name, known, f"model {model.name!r}")
    floating = tuple(p for p in every if not p.fixed or p.name in free)
    kept = {p.name: p.init for p in every if p.fixed and p.name not in free}
    return floating, kept


def bounded(
    model: Any,
    parameters: tuple[Parameter, ...],
    constants: Mapping[str, float],
    bounds: Mapping[str, ranges.Bounds],
) -> tuple[Parameter, ...]:
    """Return parameters with the bounds that were given for some of them.

    Raises:
        ParameterError: bounds of what is kept, or without the start in them.
    """
    for name in bounds:
        if name in constants:
            raise errors.ParameterError(
                f"bounds for {name!r}, which model {model.name!r} keeps at "
                f"{constants[name]:g}; let it float with free=[{name!r}], or leave the "
                "bounds out."
            )
    return tuple(ranges.narrowed(p, bounds[p.name]) if p.name in bounds else p for p in parameters)


def believed(
    model: Any,
    parameters: tuple[Parameter, ...],
    constants: Mapping[str, float],
    priors: Mapping[str, dist.Distribution | str],
) -> tuple[Parameter, ...]:
    """Return parameters with the priors that were given for some of them.

    Raises:
        ParameterError: a prior of what is kept or has a constraint, or outside of the bounds.
        UnknownNameError: a prior of what is not there.
    """
    known = {p.name: p for p in parameters}
    for name, prior in priors.items():
        if name in constants:
            raise errors.ParameterError(
                f"a prior for {name!r}, which model {model.name!r} keeps at "
                f"{constants[name]:g}; let it float with free=[{name!r}], or leave the "
                "prior out."
            )
        if name not in known:
            own = [p.name for p in parameters if not p.nuisance]
            raise errors.unknown("parameter", name, own, f"the priors of {model.name!r}")
        if known[name].constraint is not None:
            raise errors.ParameterError(
                f"a prior for {name!r}, which is {known[name].prior_text}; both together would "
                "count it twice. Leave the prior out."
            )
        changed = replace(known[name], prior=read(prior) if isinstance(prior, str) else prior)
        known[name] = changed
        _ = changed.distribution  # here, where it is noticed if nothing is within the bounds
    return tuple(known.values())
