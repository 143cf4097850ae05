"""Planes of exclusions: nuisances minimised over by formula, by a table of fits, and by fits."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from matplotlib.text import Text
from scipy.optimize import minimize

import bknn
from bknn import data, errors, inference, models, plot, studies
from bknn.studies.constraints.one_line import RATES, WIDTHS, Table

from .. import small
from ..questions.test_shell import run, strict_json

bknn.enable_x64()
pytestmark = pytest.mark.usefixtures("quick_compilation")


class Toy:
    """No decays: two parameters, two nuisances, on which two numbers depend linearly."""

    name = "toy"
    description = "numbers"
    parameters = (
        bknn.Parameter("x", 1.0, (0.0, 10.0)),
        bknn.Parameter("y", 1.0, (0.0, 10.0)),
        bknn.Parameter("scale", 1.0, (0.0, 5.0), constraint=(1.0, 0.2)),
        bknn.Parameter("shift", 0.0, (-9.0, 9.0), constraint=(0.0, 0.5)),
    )
    null: ClassVar = {"x": 0.0}
    derived_quantities = tuple(bknn.DerivedQuantity(name, symbol=f"${name}$") for name in "ab")

    def derived(self, params: Any) -> Any:
        x, y = params["x"], params["y"]
        return {"a": x * y * params["scale"], "b": x + params["shift"]}

    def spectrum(self, params: Any, channel: str) -> Any:
        raise ValueError("nothing decays")


FILES = {
    "both": """
correlation = [[1.0, 0.6], [0.6, 1.0]]
[[results]]
name = "a"
quantity = "a"
value = 2.0
uncertainty = [0.4, 0.7]
[[results]]
name = "b"
quantity = "b"
value = 1.0
uncertainty = 0.3
""",
    "limit": """
[[limits]]
name = "a against y"
quantity = "a"
against = { y = [1.0, 3.0] }
upper = [2.0, 2.0]
level = 0.95
""",
    "theory": """
[[limits]]
name = "x is small"
quantity = "x"
bound = 1.7
""",
}

X, Y = np.linspace(0.5, 2.5, 5), np.geomspace(0.8, 3.2, 4)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[bknn.Measurement]:
    folder = tmp_path_factory.mktemp("sets")
    for name, text in FILES.items():
        (folder / f"{name}.toml").write_text(text)
    return [data.load(folder / f"{name}.toml") for name in FILES]


@pytest.fixture(scope="module")
def plane(sets: list[bknn.Measurement]) -> studies.Exclusions:
    return studies.exclusions(Toy(), sets, {"x": X, "y": Y}, lines={"a": [1.0, 2.0]})


def brute_force(x: float, y: float) -> tuple[float, float]:
    """-2 log L of "both" and "limit", minimised over the nuisances step by step."""

    def pulls(scale: float, shift: float) -> np.ndarray:
        a, b = x * y * scale, x + shift
        # Widths are those of the side on which the central expectation lies.
        return np.array([(a - 2.0) / (0.4 if x * y > 2.0 else 0.7), (b - 1.0) / 0.3])

    inverse = np.linalg.inv([[1.0, 0.6], [0.6, 1.0]])

    def both(n: np.ndarray) -> float:
        p = pulls(*n)
        return float(p @ inverse @ p + ((n[0] - 1.0) / 0.2) ** 2 + (n[1] / 0.5) ** 2)

    def one(n: np.ndarray) -> float:
        a = x * y * n[0]
        return float((1.959964 * a / 2.0) ** 2 + ((n[0] - 1.0) / 0.2) ** 2)

    return minimize(both, [1.0, 0.0]).fun, minimize(one, [1.0]).fun


def test_nuisances_are_minimised_over(plane):
    for i, x in enumerate(X):
        for j, y in enumerate(Y):
            both, limit = brute_force(x, y)
            # Either side of "a" has its width; both sides of the nuisances lie on one of them.
            if not 0.8 * x * y < 2.0 < 1.2 * x * y:
                assert plane.delta["both"][i, j] == pytest.approx(both, rel=1e-6)
            if 1.0 <= y <= 3.0:
                assert plane.delta["limit"][i, j] == pytest.approx(limit, rel=1e-6)
            else:
                assert np.isnan(plane.delta["limit"][i, j])
    np.testing.assert_allclose(plane.quantities["a"], np.outer(X, Y), rtol=1e-12)


def test_bounds_of_theory_and_levels(plane):
    np.testing.assert_array_equal(plane.excluded("theory"), np.outer(X > 1.7, Y > 0.0))
    np.testing.assert_allclose(plane.ratios["theory"], np.outer(X / 1.7, np.ones(4)), rtol=1e-12)
    assert plane.level("limit") == pytest.approx(3.841459, rel=1e-6)
    assert plane.level("both") == pytest.approx(5.991465, rel=1e-6)
    assert "limit says nothing at 10 of 20 points" in plane.status
    assert plane.converged


def test_the_figure_names_what_excludes(plane, tmp_path):
    figure = plot.exclusions(plane)
    words = [t.get_text() for t in figure.findobj(Text)]
    for name in ("both", "limit", "theory"):
        assert name in words
    assert "$a$ = 1" in words
    ax = figure.axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    read = studies.Exclusions.load(plane.save(tmp_path / "plane.nc"))
    again = plot.exclusions(read)
    assert [t.get_text() for t in again.findobj(Text)] == words


class Picky(Toy):
    """The same, but for large values."""

    def check(self, values: Any) -> None:
        if values["x"] > 2.0:
            raise errors.ParameterError("x is too large.")


def test_points_that_a_model_refuses(sets):
    over = {"x": [1.0, 2.5], "y": [1.0, 2.0]}
    found = studies.exclusions(Picky(), sets[:1], over)
    np.testing.assert_array_equal(np.isnan(found.delta["both"]), [[False] * 2, [True] * 2])
    assert found.status.startswith("At 2 of 4 points there is no model: x is too large.")
    with pytest.raises(errors.ParameterError, match="x is too large"):
        studies.exclusions(Picky(), sets[:1], {"x": [3.0, 4.0], "y": [1.0, 2.0]})


def test_a_limit_is_where_it_was_published(tmp_path):
    """At the epsilon^2 that its paper excludes at 90 %, times 1.96/1.645 at 95 %; in the shell."""
    (table,) = data.load("babar-2017-monophoton").curves
    upper = np.exp(np.interp(2.0, table.axes["mass"], np.log(table.upper)))
    low, high = np.sqrt(upper * 1.959964 / 1.644854) * np.array([0.99, 1.01])
    done = run(
        *("exclusions", "dark-photon", "--over", f"epsilon={low},{high}", "mass=2.0:2.2:3"),
        *("--fix", "g_X=0.1", "--data", "babar-2017-monophoton", "--lines", "p_inv=0.9"),
        *("--out", tmp_path, "--no-figures"),
    )
    assert done.code == 0, done.err
    content = strict_json(tmp_path / "result.json")
    found = content["exclusions"]["babar-2017-monophoton"]
    assert [row[0] > found["level"] for row in found["delta"]] == [False, True]
    assert np.shape(content["quantities"]["p_inv"]) == (2, 3)
    again = bknn.load(tmp_path / "exclusions.nc")
    np.testing.assert_array_equal(again.delta["babar-2017-monophoton"], found["delta"])


# ---------------------------------------------------------------- counts


def direct(
    model: Any, m: bknn.Measurement, plane: studies.Exclusions, points: list[tuple[int, int]]
) -> np.ndarray:
    """-2 log L of fits of the model itself in which nothing moves but nuisances."""
    own = {p.name for p in model.parameters if p.fixed}
    names = [*plane.parameters, *plane.fixed]
    analysis = bknn.Analysis(model, m, free=[name for name in names if name in own])
    values = {p.name: p.init for p in model.parameters if p.constraint is None} | plane.fixed
    held = {p.name: values[p.name] for p in analysis.parameters if p.name in values}
    batch = {name: np.full(len(points), x) for name, x in held.items()}
    for axis, (name, grid) in enumerate(zip(plane.parameters, plane.axes, strict=True)):
        batch[name] = np.array([grid[p[axis]] for p in points])
    found = inference.fit(analysis, fixed=batch)
    assert found.converged.all()
    return np.asarray(found.twice_nll)


def test_tables_are_smooth_between_nodes_and_straight_beyond():
    """-2 log L of one bin, in the rate; the width takes some of it away."""

    def exact(rate: Any, width: Any) -> Any:
        expected = 8.0 + 4.0 * rate * (1.0 - 0.3 * width)
        return 2.0 * (expected - 12.0 * np.log(expected))

    u, end, widest = np.linspace(0.0, 1.0, RATES), np.array([9.0]), 0.5
    for widths, tolerance in ((np.array([0.0, 1.0]), 0.06), (np.linspace(0.0, 1.0, WIDTHS), 1e-3)):
        share = widths if len(widths) == 2 else widths**2
        nodes = exact(end[0] * u[:, None] ** 2, widest * share)
        table = Table(u, end, widths, nodes[None], widest)
        random = np.random.default_rng(1)
        rate, width = random.uniform(0.0, 9.0, 200), random.uniform(0.0, 0.5, 200)
        which = np.zeros(200, int)
        np.testing.assert_allclose(table(which, rate, width), exact(rate, width), atol=tolerance)
    ends, step = np.array([9.0, 10.0, 30.0]), np.zeros(3, int)
    at = table(step, ends, np.zeros(3))
    slope = 2.0 * (4.0 - 12.0 * 4.0 / 44.0)
    np.testing.assert_allclose(np.diff(at), slope * np.diff(ends), rtol=1e-4)


@pytest.mark.slow
def test_counts_from_a_table_of_fits():
    """Of a line with a width, which matters."""
    model, m = models.load("resonance"), small.measurement()
    over = {"branching_ratio": np.linspace(0.0, 1.2e-5, 30), "width": np.linspace(0.0, 0.8, 9)}
    found = studies.exclusions(model, [m], over, fixed={"mass": 1.9})
    points = [(0, 0), (4, 1), (9, 8), (14, 3), (20, 5), (29, 7)]
    exact = direct(model, m, found, points)
    mine = np.array([found.delta["small"][p] for p in points])
    np.testing.assert_allclose(mine - mine[0], exact - exact[0], atol=5e-3)
    assert np.ptp(exact) > 5.0
    assert found.error["small"] < 5e-3
    assert 0.0 <= found.delta["small"].min() < 0.02
    low, high = found.above["small"][[0, -1]]
    assert not low.any()
    assert high.all()


class Product:
    """The standard model's template times x y."""

    name = "product"
    description = "x y SM"
    parameters = (bknn.Parameter("x", 1.0, (0.0, 9.0)), bknn.Parameter("y", 1.0, (0.0, 9.0)))
    null: ClassVar = {"x": 1.0, "y": 1.0}

    def spectrum(self, params: Any, channel: str) -> bknn.Spectrum:
        return bknn.Spectrum(standard_model=params["x"] * params["y"])


def test_counts_by_fits_where_a_line_says_not_all():
    """One bin, so that -2 log L is known: a signal of 4 x y on a background of 8."""
    found = studies.exclusions(Product(), [small.one_bin(12.0)], {"x": [0.5, 2.0], "y": [1.0, 2.0]})
    rate = 8.0 + 4.0 * np.outer([0.5, 2.0], [1.0, 2.0])
    exact = 2.0 * (rate - 12.0 * np.log(rate))
    (delta,) = found.delta.values()
    np.testing.assert_allclose(delta, exact - exact.min(), atol=1e-9)
    assert not found.error
    assert found.converged


@pytest.mark.slow
def test_a_complete_model_with_counts_of_belle2():
    """Hadrons make the probability that nothing is seen uncertain; widths differ."""
    model, m = models.load("aligned-u1"), data.load("belle2-2025")
    over = {"s_R": np.geomspace(0.05, 0.9, 12), "G": np.geomspace(1e-4, 0.2, 12)}
    found = studies.exclusions(model, [m], over, fixed={"r_X": 0.0, "m_T": 1e4})
    delta = found.delta["belle2-2025"]
    near = np.argwhere(delta < 25.0)
    points = [tuple(near[i]) for i in np.linspace(0, len(near) - 1, 8).astype(int)]
    exact = direct(model, m, found, points)
    mine = np.array([delta[p] for p in points])
    np.testing.assert_allclose(mine - mine[0], exact - exact[0], atol=1e-2)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"x": X}, "a plane has two parameters, and 1 were given"),
        ({"x": X, "y": Y, "scale": [1.0, 2.0]}, "a plane has two parameters, and 3 were given"),
        ({"x": X, "z": Y}, "parameter 'z'"),
    ],
)
def test_refused(sets, over, words):
    with pytest.raises(errors.BknnError, match=words):
        studies.exclusions(Toy(), sets, over)


def test_data_on_what_the_model_does_not_have(sets):
    with pytest.raises(errors.ParameterError, match="needs the quantity 'br_K_Zprime'"):
        studies.exclusions(Toy(), [*sets, data.load("lhcb-2016-dimuon")], {"x": X, "y": Y})
    with pytest.raises(errors.UnknownNameError, match="quantity 'c'"):
        studies.exclusions(Toy(), sets, {"x": X, "y": Y}, lines={"c": [1.0]})
