"""Where the parameters of an analysis may go: what a workspace states, and what a user asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from bknn import errors
from bknn.likelihood import HistFactory
from bknn.parameters import Parameter, real

Bounds = tuple[float, float]


def read(bounds: Mapping[str, Any]) -> dict[str, Bounds]:
    """Return {name: (lower, upper)} as numbers that make a range.

    Raises:
        ParameterError: not two numbers, or nothing between them.

    >>> read({"mu": (0, 10)})
    {'mu': (0.0, 10.0)}
    """
    found = {}
    for name, pair in bounds.items():
        try:
            lower, upper = (float(real(name, x)) for x in pair)
        except (TypeError, ValueError):
            raise errors.ParameterError(
                f"the bounds of {name!r} are given as {pair!r}; give two numbers, as in (0, 10)."
            ) from None
        if not lower < upper:
            raise errors.ParameterError(
                f"the bounds of {name!r}, from {lower:g} to {upper:g}, hold nothing; give the "
                "lower one first."
            )
        found[name] = (lower, upper)
    return found


def spread(bounds: Mapping[str, Bounds], names: Iterable[str]) -> dict[str, Bounds]:
    """Return bounds with patterns (* and ?) replaced by the names that they match; a name that is
    given as such has the last word.

    Raises:
        UnknownNameError: a pattern that matches nothing.

    >>> spread({"stat_*": (-1.0, 3.0), "stat_b": (0.0, 2.0)}, ["stat_a", "stat_b", "norm"])
    {'stat_a': (-1.0, 3.0), 'stat_b': (0.0, 2.0)}
    """
    known = list(names)
    found: dict[str, Bounds] = {}
    for pattern in (name for name in bounds if "*" in name or "?" in name):
        hits = [name for name in known if fnmatchcase(name, pattern)]
        if not hits:
            raise errors.unknown("nuisance", pattern, known, "the bounds")
        found |= dict.fromkeys(hits, bounds[pattern])
    return found | {name: b for name, b in bounds.items() if "*" not in name and "?" not in name}


def narrowed(parameter: Parameter, bounds: Bounds) -> Parameter:
    """Return a parameter with other bounds; where it starts outside of them, at the nearer one.

    >>> narrowed(Parameter("mu", 1.0, (-10.0, 50.0)), (2.0, 5.0)).init
    2.0
    """
    lower, upper = bounds
    starts = tuple(x for x in parameter.starts if lower <= x <= upper)
    return replace(
        parameter, bounds=bounds, init=min(max(parameter.init, lower), upper), starts=starts
    )


def stated(model: Any, workspaces: Sequence[HistFactory]) -> tuple[Parameter, ...]:
    """Return the parameters of a model, its signal strength with the bounds, start and fixing that
    the workspaces state for their parameters of interest.

    A model names its signal strength in `signal_strength`; for others nothing changes. Workspaces
    that say nothing leave the bounds of the model, wider than pyhf's default of 0 to 10, so that a
    deficit shows. Of two bounds the narrower hold.

    Raises:
        ParameterError: the workspaces contradict each other.
    """
    name = getattr(model, "signal_strength", None)
    said = [
        (pdf.workspace.configs.get(pdf.signal_strength, {}), pdf.init[pdf.signal_strength])
        for pdf in workspaces
        if pdf.signal_strength is not None
    ]
    result = []
    for parameter in model.parameters:
        if parameter.name == name:
            ranges = [tuple(config["bounds"][0]) for config, _ in said if "bounds" in config]
            starts = [float(init) for config, init in said if "inits" in config]
            kept = {float(init) for config, init in said if config.get("fixed")}
            if ranges:
                lower, upper = max(r[0] for r in ranges), min(r[1] for r in ranges)
                if not lower < upper:
                    raise errors.ParameterError(
                        f"the measurements bound {name!r} to ranges that have nothing in common "
                        f"({', '.join(f'{a:g} to {b:g}' for a, b in ranges)}); fit them apart, or "
                        f"give bounds={{{name!r}: (lower, upper)}}."
                    )
                parameter = narrowed(parameter, (float(lower), float(upper)))
            if len(kept) > 1:
                raise errors.ParameterError(
                    f"the measurements fix {name!r} at different values "
                    f"({', '.join(f'{x:g}' for x in sorted(kept))}); fit them apart."
                )
            start = [*kept, *starts, parameter.init][0]
            low, high = parameter.bounds
            if kept:
                parameter = replace(parameter, bounds=(min(low, start), max(high, start)))
            parameter = replace(
                parameter,
                init=min(max(start, parameter.bounds[0]), parameter.bounds[1]),
                fixed=parameter.fixed or bool(kept),
            )
        result.append(parameter)
    return tuple(result)
