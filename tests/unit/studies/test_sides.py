"""Both sides of nuisances: the same as the function itself, and no step repeated in vain."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bknn
from bknn.studies.constraints.sides import at_sides

bknn.enable_x64()
pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = ("a", "b", "c", "d", "x")
TABLE = np.linspace(-1.0, 2.0, 7)


def looped(u: Any, v: Any) -> Any:
    return jax.lax.scan(lambda w, k: (jnp.cos(w + k * v), w), u, jnp.asarray(TABLE))[0]


#: Functions of two numbers: plain ones, and one of each kind of step that JAX nests.
BINARY = (
    lambda u, v: u + 0.5 * v,
    lambda u, v: jnp.sin(u) * v,
    lambda u, v: jnp.interp(u, TABLE, TABLE**2) - v,
    lambda u, v: jnp.sum(jnp.tanh(jnp.stack([u, v])[:, None] * TABLE[None])),
    jax.jit(lambda u, v: jnp.cos(u - v)),
    looped,
    lambda u, v: jax.lax.cond(u > v, jnp.sin, lambda w: w**2, u),
    lambda u, v: jax.lax.while_loop(lambda w: w > 1.0, lambda w: w / 3.0, u) + v,
    lambda u, v: jax.nn.relu(u) + v,
    lambda u, v: jnp.where(u > 0.3, 1.0, v),
    lambda u, v: 2.0 + 0.0 * u,
)

numbers = st.floats(-2.0, 2.0, width=32)
#: Which function, of which two of the numbers that are there.
programs = st.lists(
    st.tuples(st.sampled_from(BINARY), st.integers(0, 99), st.integers(0, 99)),
    min_size=1,
    max_size=6,
)


def made(program: Any, values: Any) -> list[Any]:
    found = [values[name] for name in NAMES] + [jnp.asarray(0.7)]
    for function, i, j in program:
        found.append(jnp.asarray(function(found[i % len(found)], found[j % len(found)]), float))
    return found


@settings(max_examples=8, deadline=None)
@given(
    program=programs,
    values=st.tuples(*(numbers for _ in NAMES)),
    steps=st.lists(st.floats(0.1, 1.0), min_size=0, max_size=4),
)
def test_as_the_function_at_each_side(program, values, steps):
    centre = dict(zip(NAMES, np.array(values, float), strict=True))
    moved = dict(zip(NAMES, steps, strict=False))

    def function(v: Any) -> Any:
        found = made(program, v)
        return {"last": found[-1], "all": jnp.stack(found), "none": 1.0}, (found[-1], found[0])

    result = jax.jit(lambda v: at_sides(function, v, moved))(centre)
    points = [centre]
    for name, step in moved.items():
        points += [{**centre, name: centre[name] + sign * step} for sign in (1.0, -1.0)]
    at = {name: np.array([p[name] for p in points]) for name in NAMES}
    plain, others = jax.jit(jax.vmap(function))(at)
    for mine, true in zip(result.others, others, strict=True):
        np.testing.assert_allclose(mine, true[0], rtol=1e-12, atol=1e-13)
    for key, true in plain.items():
        np.testing.assert_allclose(result.moved[key], true[0], rtol=1e-12, atol=1e-13)
        half = (true[1::2] - true[2::2]) / 2.0
        assert result.changes[key].shape == half.shape
        np.testing.assert_allclose(result.changes[key], half, rtol=1e-12, atol=1e-12)


def repeated(function: Any, values: Any, steps: Any) -> Counter[tuple[str, int]]:
    """How often each step is taken at how many points."""
    traced = jax.make_jaxpr(lambda v: tuple(at_sides(function, v, steps)))(values)
    return Counter(
        (e.primitive.name, int(np.prod(e.outvars[0].aval.shape))) for e in traced.jaxpr.eqns
    )


def test_a_step_is_repeated_only_at_the_sides_of_nuisances_that_it_knows():
    values = dict.fromkeys("abcx", 1.0)

    def function(v: Any) -> Any:
        of_none, of_a = jnp.exp(v["x"]), jnp.sin(v["a"])
        of_two = jnp.cos(of_a * v["b"])
        return of_none * of_two + v["c"], jnp.tan(of_two + v["c"])

    found = repeated(function, values, dict.fromkeys("abc", 0.1))
    assert found["exp", 1] == found["sin", 3] == found["cos", 5] == 1
    # The last one is asked for at the centre alone.
    assert found["tan", 1] == 1
    assert found.total() == sum(n for (name, _), n in found.items())
    assert not any(name in ("exp", "sin", "cos") and n > 5 for name, n in found)


def test_in_a_batch_and_compiled():
    def function(v: Any) -> Any:
        return jnp.exp(v["a"] * v["x"]) + v["b"], v["x"]

    def one(x: Any) -> Any:
        return at_sides(function, {"a": 0.3, "b": 1.0, "x": x}, {"a": 0.1, "b": 0.2})

    x = np.array([0.5, 1.0, 2.0])
    found = jax.jit(jax.vmap(one))(x)
    np.testing.assert_allclose(found.moved, np.exp(0.3 * x) + 1.0, rtol=1e-14)
    half = (np.exp(0.4 * x) - np.exp(0.2 * x)) / 2.0
    np.testing.assert_allclose(found.changes[:, 0], half, rtol=1e-13)
    np.testing.assert_allclose(found.changes[:, 1], 0.2, rtol=1e-13)


def test_steps_without_results_are_taken_once(capfd: pytest.CaptureFixture[str]):
    def function(v: Any) -> Any:
        jax.debug.print("a = {}", v["a"])
        return v["a"] * 2.0, ()

    found = at_sides(function, {"a": 1.0}, {"a": 0.5})
    jax.effects_barrier()
    assert float(found.changes[0]) == 1.0
    assert capfd.readouterr().out.count("a = ") == 1
