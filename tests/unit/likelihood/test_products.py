"""Products of many factors: right, and programs that do not grow with how many there are."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn.likelihood.products import product, products_of_others

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 12])
def test_against_one_factor_after_the_other(n: int) -> None:
    factors = np.random.default_rng(n).normal(size=(n, 2))
    if n > 2:
        factors[1, 0] = 0.0
    found = jax.jit(lambda f: (product(f), products_of_others(f)))(factors)
    np.testing.assert_allclose(found[0], np.prod(factors, axis=0), rtol=1e-14)
    others = [np.prod(np.delete(factors, i, axis=0), axis=0) for i in range(n)]
    np.testing.assert_allclose(found[1], np.reshape(others, (n, 2)), rtol=1e-14)


def workspace(factors: int) -> dict[str, Any]:
    """One sample with so many normsys, on which a fit took minutes to compile."""
    modifiers = [
        {"name": f"n{i}", "type": "normsys", "data": {"lo": 0.95, "hi": 1.06}}
        for i in range(factors)
    ]
    mu = {"name": "mu", "type": "normfactor", "data": None}
    return {
        "channels": [
            {
                "name": "SR",
                "samples": [
                    {"name": "s", "data": [5.0, 5.0], "modifiers": [mu]},
                    {"name": "b", "data": [50.0, 40.0], "modifiers": modifiers},
                ],
            }
        ],
        "observations": [{"name": "SR", "data": [57, 44]}],
        "measurements": [{"name": "fit", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def operations(jaxpr: Any) -> int:
    """How many operations a program has, those of programs within it included."""
    inner = [
        operations(getattr(x, "jaxpr", x))
        for equation in jaxpr.eqns
        for value in equation.params.values()
        for x in (value if isinstance(value, list | tuple) else [value])
        if hasattr(getattr(x, "jaxpr", x), "eqns")
    ]
    return len(jaxpr.eqns) + sum(inner)


def test_programs_hardly_grow_with_the_number_of_factors() -> None:
    """A test of time would measure the machine; compiling takes as long as there are operations."""
    sizes = []
    for factors in (10, 160):
        pdf = bknn.HistFactory.from_workspace(workspace(factors))
        x = jnp.asarray(pdf.flatten(pdf.init))
        slopes = partial(pdf.derivatives, scales=None)
        log_prob = pdf.log_prob
        programs = (log_prob, jax.grad(log_prob), jax.hessian(log_prob), slopes)
        traced = [jax.make_jaxpr(program)(x) for program in programs]
        sizes.append([operations(t.jaxpr) for t in traced])
    few, many = np.array(sizes)
    assert (many <= 1.3 * few).all(), (few, many)
