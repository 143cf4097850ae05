"""Fits along thin bent valleys, as an abundance known to 1 % makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

import bknn
from bknn import data, inference
from bknn.inference.minimiser.fits_of_analysis import fits_of
from bknn.inference.minimiser.logarithms import Logarithms
from bknn.inference.sharing import OneByOne

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Bent:
    """An abundance that changes by powers of e across a parabola in x = ln a and y = ln b, and
    hardly along it; two rates that want x large and small."""

    name = "bent"
    description = "numbers"
    parameters = (
        bknn.Parameter("a", 1.0, (1e-4, 1e4), logarithmic=True),
        bknn.Parameter("b", 1.0, (1e-9, 1e9), logarithmic=True),
        bknn.Parameter("mass", 1.0, (0.0, 10.0)),
    )
    null: ClassVar = {"a": 1.0}
    derived_quantities = tuple(bknn.DerivedQuantity(n) for n in ("omega", "rate", "life", "m"))

    def derived(self, params: Any) -> Any:
        x, y, m = jnp.log(params["a"]), jnp.log(params["b"]), params["mass"]
        return {
            "omega": 0.12 * jnp.exp(5.0 * (y - x**2) + 5.0 * jnp.log(m)),
            "rate": jnp.exp(x),
            "life": jnp.exp(-0.3 * x),
            "m": m,
        }

    def spectrum(self, params: Any, channel: str) -> Any:
        raise ValueError("nothing decays")


NUMBERS = """
[[results]]
name = "abundance"
quantity = "omega"
value = 0.12
uncertainty = 0.0012
[[results]]
name = "mass"
quantity = "m"
value = 1.1
uncertainty = 0.05
[[limits]]
name = "rate"
quantity = "rate"
upper = 20.0
level = 0.95
[[limits]]
name = "life"
quantity = "life"
upper = 1.5
level = 0.95
"""


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> bknn.Analysis:
    path: Path = tmp_path_factory.mktemp("valleys") / "numbers.toml"
    path.write_text(NUMBERS, encoding="utf-8")
    return bknn.Analysis(Bent(), data.load(path))


def residuals(z: np.ndarray) -> np.ndarray:
    x, y, m = z
    quantile = 1.959963984540054
    return np.array(
        [
            100.0 * (np.exp(5.0 * (y - x**2) + 5.0 * np.log(m)) - 1.0),
            (m - 1.1) / 0.05,
            quantile * np.exp(x) / 20.0,
            quantile * np.exp(-0.3 * x) / 1.5,
        ]
    )


@pytest.mark.parametrize(("a", "b", "mass"), [(1.0, 1.0, 1.0), (0.1, 1e3, 1.3), (30.0, 1e6, 0.7)])
def test_the_minimum_is_found_from_anywhere(
    analysis: bknn.Analysis, a: float, b: float, mass: float
) -> None:
    """That of SciPy, in far fewer steps than are allowed, for a start on or off the valley."""
    best = least_squares(residuals, [1.0, 1.0, 1.1], xtol=1e-15, ftol=1e-15, gtol=1e-12)
    found = inference.fit(analysis, init={"a": a, "b": b, "mass": mass})
    assert found.converged
    assert found.steps < 100
    z = [np.log(found.params["a"]), np.log(found.params["b"]), found.params["mass"]]
    np.testing.assert_allclose(z, best.x, atol=5e-4)
    norm = inference.fit(analysis, fixed={"a": 1.0, "b": 1.0, "mass": 1.0})
    above = np.sum(residuals(np.array([0.0, 0.0, 1.0])) ** 2) - 2.0 * best.cost
    assert float(norm.twice_nll - found.twice_nll) == pytest.approx(above, abs=1e-7)


def test_fits_side_by_side_are_those_alone(analysis: bknn.Analysis) -> None:
    """More of them than lanes, so that some begin where others ended."""
    masses = np.linspace(0.5, 2.0, 11)
    many = inference.fit(analysis, fixed={"mass": masses})
    assert np.all(many.converged)
    for i in (0, 5, 10):
        one = inference.fit(analysis, fixed={"mass": masses[i]})
        assert float(many.twice_nll[i]) == pytest.approx(float(one.twice_nll), rel=1e-10)
        assert float(many.params["a"][i]) == pytest.approx(float(one.params["a"]), rel=1e-6)


def test_a_profile_follows_the_valley(analysis: bknn.Analysis) -> None:
    profile = inference.profile(analysis, {"a": [0.5, 1.0, 2.0, 4.0]})
    assert profile.converged.all()
    whole = least_squares(residuals, [1.0, 1.0, 1.1])
    for a, delta in zip(profile.axes[0], profile.delta, strict=True):
        x = np.log(a)
        held = least_squares(lambda z, x=x: residuals(np.array([x, *z])), [x**2, 1.1])
        assert delta == pytest.approx(2 * (held.cost - whole.cost), abs=1e-6)


def test_only_what_has_such_numbers_takes_these_steps(analysis: bknn.Analysis) -> None:
    assert fits_of(analysis).valleys
    solver = fits_of(analysis).solver
    assert not [p for p in solver.programs if p.purpose == "step of fits"]


def test_units_of_coordinates() -> None:
    """A power of e, the start, the bound where the start is 0, 1 where nothing says how large."""
    logs = Logarithms(
        (
            bknn.Parameter("g", 1e-3, (0.0, 1.0), logarithmic=True),
            bknn.Parameter("m", -2.0, (-4.0, 4.0)),
            bknn.Parameter("s", 0.0, (-5.0, 1.0)),
            bknn.Parameter("t", 0.0),
        )
    )
    np.testing.assert_allclose(logs.units, [1.0, 0.25, 0.04, 1.0])


def test_rows_are_computed_once() -> None:
    calls = []

    def function(known: Any, vectors: np.ndarray) -> Any:
        calls.append(float(vectors[0, 0]))
        return {"sum": known[0] + vectors, "size": vectors[:, 0] ** 2}

    one_by_one = OneByOne(function, (np.array([[1.0], [2.0], [1.0]]),))
    vectors = np.array([[3.0], [4.0], [3.0]])
    found = one_by_one(vectors)
    np.testing.assert_array_equal(found["sum"], [[4.0], [6.0], [4.0]])
    np.testing.assert_array_equal(found["size"], [9.0, 16.0, 9.0])
    vectors[1] = 5.0
    np.testing.assert_array_equal(one_by_one(vectors)["sum"], [[4.0], [7.0], [4.0]])
    assert calls == [3.0, 4.0, 5.0]
