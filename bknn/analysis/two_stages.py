"""A function in two stages: what depends on some arguments alone, and the rest.

Fits hold a mass and move hundreds of other parameters, step by step. What depends on the mass
alone, as the folding of a continuum does, is worth doing once; JAX itself would do it at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Literal, jaxpr_as_fun


def staged(
    function: Callable[[Any, Any], Any], first: Any, second: Any
) -> tuple[Callable[[Any], list[Any]], Callable[[Sequence[Any], Any], Any]]:
    """Split a function of two arguments into what the first one decides, and the rest.

    Args:
        function: pure, of two pytrees of arrays.
        first, second: examples of the arguments; their values do not matter.

    Returns:
        `before(first)`, what does not depend on the second argument, and `after(found, second)`,
        with after(before(x), y) = function(x, y).

    >>> import jax.numpy as jnp
    >>> before, after = staged(lambda x, y: jnp.exp(x) * y, 0.0, 0.0)
    >>> found = before(1.0)
    >>> round(float(after(found, 2.0)), 4)
    5.4366
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(first, second)
    jaxpr, tree = closed.jaxpr, jax.tree.structure(shapes)
    n = len(jax.tree.leaves(first))
    early, late = set(jaxpr.invars[:n]), set(jaxpr.invars[n:])
    steps: tuple[list[Any], list[Any]] = [], []
    for step in jaxpr.eqns:
        inputs = _variables(step.invars)
        if not late.isdisjoint(inputs):
            late.update(step.outvars)
            steps[1].append(step)
        elif not early.isdisjoint(inputs):
            early.update(step.outvars)
            steps[0].append(step)
        else:  # a constant, which costs nothing in either
            steps[0].append(step)
            steps[1].append(step)
    used = [v for step in steps[1] for v in _variables(step.invars)] + _variables(jaxpr.outvars)
    kept = [v for v in dict.fromkeys(used) if v in early]

    def program(steps: list[Any], inputs: list[Any], outputs: list[Any]) -> Callable[..., Any]:
        return jaxpr_as_fun(
            closed.replace(jaxpr=jaxpr.replace(invars=inputs, outvars=outputs, eqns=steps))
        )

    one = program(steps[0], jaxpr.invars[:n], kept)
    two = program(steps[1], [*kept, *jaxpr.invars[n:]], jaxpr.outvars)

    def before(first: Any) -> list[Any]:
        return list(one(*jax.tree.leaves(first)))

    def after(found: Sequence[Any], second: Any) -> Any:
        return jax.tree.unflatten(tree, two(*found, *jax.tree.leaves(second)))

    return before, after


def _variables(atoms: Sequence[Any]) -> list[Any]:
    return [v for v in atoms if not isinstance(v, Literal)]
