"""A function at its centre and at both sides of each nuisance, each step only where it changes.

Most of what a model computes knows few of its nuisances: an abundance those of hadronic widths and
none of a form factor. Which ones is read off the traced program, step by step, so that nothing can
be missed; a step is then repeated at the sides of those alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Literal, jaxpr_as_fun

#: Numbers of nuisances.
_Which = frozenset[int]


class Sides(NamedTuple):
    """What a function is at the centre and how it changes.

    Attributes:
        moved: the first of its results, at the centre.
        changes: of the same, half of the difference between both sides of each nuisance; leaves
            have the shape (nuisances, ...).
        others: the second of its results, at the centre.
    """

    moved: Any
    changes: Any
    others: Any


def at_sides(
    function: Callable[[dict[str, Array]], tuple[Any, Any]],
    values: Mapping[str, Any],
    steps: Mapping[str, float],
) -> Sides:
    """Return a function at a point and half of the differences between both sides of nuisances.

    Where a function is computed by a step that knows all nuisances, it is repeated at the sides of
    all of them; what comes out is the same.

    Args:
        function: pure, of {name: value}; returns two pytrees of arrays, of which the second is
            asked for at the centre alone.
        values: {name: number}, the centre.
        steps: {nuisance: how far its sides are from the centre}.

    >>> found = at_sides(lambda x: (x["a"] * x["b"] ** 2, x["b"]), {"a": 2.0, "b": 3.0}, {"b": 1.0})
    >>> [jnp.round(x, 6).tolist() for x in found]
    [18.0, [12.0], 3.0]
    """
    names, centre = list(values), [jnp.asarray(x, float) for x in values.values()]
    closed, shapes = jax.make_jaxpr(
        lambda *x: function(dict(zip(names, x, strict=True))), return_shape=True
    )(*centre)
    jaxpr, nuisances = closed.jaxpr, list(steps)
    which: dict[Any, _Which] = dict.fromkeys(jaxpr.constvars, _Which())
    known: dict[Any, Array] = {}
    for name, x, variable in zip(names, centre, jaxpr.invars, strict=True):
        own = [nuisances.index(name)] if name in steps else []
        which[variable] = _Which(own)
        known[variable] = jnp.stack([x, x + steps[name], x - steps[name]]) if own else x
    first = len(jax.tree.leaves(shapes[0]))
    parts = _parts(jaxpr, which, jaxpr.outvars[:first])
    passed = {v for some, _ in parts for v in _inputs(some)} | set(_variables(jaxpr.outvars))
    for some, of in parts:
        inputs = [v for v in _inputs(some) if v not in jaxpr.constvars]
        outputs = [v for step in some for v in step.outvars if v in passed]
        own = jaxpr.replace(invars=inputs, outvars=outputs, eqns=some)
        rows = _at(of, inputs, which, known)
        program = jaxpr_as_fun(closed.replace(jaxpr=own))
        if of:
            program = jax.vmap(program, in_axes=[0 if which[v] else None for v in inputs])
        known.update(zip(outputs, program(*rows), strict=True))

    def row(atom: Any, side: int) -> Any:
        if isinstance(atom, Literal):
            return atom.val
        return known[atom][side] if which[atom] else known[atom]

    def change(atom: Any) -> Array:
        of = sorted(_Which() if isinstance(atom, Literal) else which[atom])
        half = {i: (row(atom, 1 + 2 * k) - row(atom, 2 + 2 * k)) / 2.0 for k, i in enumerate(of)}
        nothing = jnp.zeros(atom.aval.shape)
        every = [half.get(i, nothing) for i in range(len(nuisances))]
        return jnp.stack(every) if every else jnp.zeros((0, *atom.aval.shape))

    (moved, others), made = shapes, jaxpr.outvars
    found = [jnp.asarray(row(atom, 0)) for atom in made]
    return Sides(
        jax.tree.unflatten(jax.tree.structure(moved), found[:first]),
        jax.tree.unflatten(jax.tree.structure(moved), [change(atom) for atom in made[:first]]),
        jax.tree.unflatten(jax.tree.structure(others), found[first:]),
    )


def _parts(
    jaxpr: Any, which: dict[Any, _Which], moved: Sequence[Any]
) -> list[tuple[list[Any], _Which]]:
    """Return the steps of a program by the nuisances that they know, each part before those that
    use it, and note these nuisances in `which`. Steps that are asked for at the centre alone are
    the last part, which knows none."""
    for step in jaxpr.eqns:
        which.update(dict.fromkeys(step.outvars, _known_to(step, which)))
    asked = set(_variables(moved))
    for step in reversed(jaxpr.eqns):
        if not asked.isdisjoint(step.outvars):
            asked.update(_variables(step.invars))
    parts: dict[_Which, list[Any]] = {}
    last: list[Any] = []
    for step in jaxpr.eqns:
        of = _known_to(step, which)
        if of and asked.isdisjoint(step.outvars):
            last.append(step)
        else:
            parts.setdefault(of, []).append(step)
    for step in last:
        which.update(dict.fromkeys(step.outvars, _Which()))
    # A step knows at least what its inputs know: fewer nuisances come first.
    ordered = [(parts[of], of) for of in sorted(parts, key=len)]
    return [*ordered, (last, _Which())]


def _known_to(step: Any, which: Mapping[Any, _Which]) -> _Which:
    """Return the nuisances that a step knows, a loop or a function that is compiled apart being
    one step."""
    return _Which().union(*(which[v] for v in _variables(step.invars)))


def _at(
    of: _Which, variables: Sequence[Any], which: Mapping[Any, _Which], known: Mapping[Any, Array]
) -> list[Array]:
    """Return variables for a part of the program that knows some nuisances: rows are the centre
    and, nuisance after nuisance, its two sides; of one that knows none, the centre."""
    if not of:
        return [known[v][0] if which[v] else known[v] for v in variables]
    return [_rows(known[v], which[v], of) if which[v] else known[v] for v in variables]


def _rows(x: Array, own: _Which, of: _Which) -> Array:
    """Return the rows of what knows some nuisances for a program that knows more: at the sides of
    the others it is as at the centre.

    >>> _rows(jnp.array([0, 1, 2]), _Which([4]), _Which([3, 4])).tolist()
    [0, 0, 0, 1, 2]
    """
    if own == of:
        return x
    place = {i: 1 + 2 * k for k, i in enumerate(sorted(own))}
    index = [0]
    for i in sorted(of):
        index += [place[i], place[i] + 1] if i in place else [0, 0]
    return x[np.array(index)]


def _inputs(steps: Sequence[Any]) -> list[Any]:
    """Return what steps use and do not make themselves."""
    made = {v for step in steps for v in step.outvars}
    used = dict.fromkeys(v for step in steps for v in _variables(step.invars))
    return [v for v in used if v not in made]


def _variables(atoms: Sequence[Any]) -> list[Any]:
    return [v for v in atoms if not isinstance(v, Literal)]
