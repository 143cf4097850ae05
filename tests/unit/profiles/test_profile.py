"""Profiles, intervals and contours, against closed forms and brute force.

One bin with 4 signal and 8 background events has everything in closed form; the small measurement
is compared with `small.twice_nll` and SciPy, which share no code with bknn.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.stats import chi2, norm

import bknn
from bknn import errors, inference, models
from bknn.analysis.analysis import Data
from bknn.inference.estimate import ONE_SIGMA
from bknn.inference.minimiser.newton import STALLED
from bknn.inference.profiles.contours import contours
from bknn.inference.profiles.grid_of_fits import GridOfFits
from bknn.inference.profiles.held import Points
from bknn.inference.profiles.intervals import intervals, with_profile
from bknn.inference.profiles.profile import profile, scan
from bknn.plot import save
from bknn.plot.likelihoods.profile import contours as draw_contours
from bknn.plot.likelihoods.profile import profile as draw_profile

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def one() -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), small.one_bin())


@pytest.fixture(scope="module")
def whole() -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), small.measurement())


class Folded:
    """The signal is a^2 + b, where a was measured to be 0.3 +- 1: two minima wherever a floats."""

    name = "folded"
    description = "a test"
    null: dict[str, float] = {}  # noqa: RUF012

    def __init__(self, starts: tuple[float, ...] = (2.0, -2.0), nuisance: bool = False) -> None:
        a = bknn.Parameter(
            "a", 2.0, (-6.0, 6.0), constraint=(0.3, 1.0), starts=starts, nuisance=nuisance
        )
        self.parameters = (a, bknn.Parameter("b", 0.5, (0.0, 5.0)))

    def spectrum(self, params: Any, channel: str) -> bknn.Spectrum:
        return bknn.Spectrum(standard_model=params["a"] ** 2 + params["b"])


@pytest.fixture(scope="module")
def folded() -> bknn.Analysis:
    return bknn.Analysis(Folded(), small.one_bin(24.0))


def poisson(rate: np.ndarray | float, n: float) -> Any:
    """-2 log L of a count, without its constant."""
    return 2 * (rate - n * np.log(rate))


def folded_twice_nll(a: Any, b: Any) -> Any:
    return poisson(8 + 4 * (a**2 + b), 24.0) + (a - 0.3) ** 2


def folded_minima(b: float) -> list[float]:
    """Minima over a > 0 and a < 0, to all digits."""
    options = {"xatol": 1e-12}
    return [
        minimize_scalar(
            folded_twice_nll, args=(b,), bounds=side, method="bounded", options=options
        ).fun
        for side in ((0.05, 6.0), (-6.0, -0.05))
    ]


# ---------------------------------------------------------------- profiles


def test_one_bin_in_closed_form(one):
    mu = np.linspace(-1.5, 12, 301)
    curve = profile(one, {"mu": mu})
    expected = poisson(8 + 4 * mu, 12.0) - poisson(12.0, 12.0)
    np.testing.assert_allclose(curve.delta, expected, atol=1e-9)
    np.testing.assert_allclose(curve.slope[:, 0], 8 * (1 - 12 / (8 + 4 * mu)), atol=1e-9)
    assert curve.converged.all()
    assert curve.status == "all 301 fits converged."
    assert curve.values == {}
    assert curve.repaired == 0
    assert np.isnan(curve.second).all()
    assert "mu" in repr(curve)


def by_name(vector: np.ndarray) -> dict[str, Any]:
    values = dict(zip(("mu", "shape_b", "ff", "k_b", "norm_b"), vector[:5], strict=True))
    return {**values, "side": vector[5:8], "stat_SR": vector[8:]}


def by_scipy(analysis: bknn.Analysis, fixed: dict[str, float], start: np.ndarray) -> float:
    """The lowest -2 log L with some parameters fixed."""
    limits = [tuple(b) for b in analysis.bounds]
    start = np.array(start)
    for name, value in fixed.items():
        limits[analysis.index(name)] = (value, value)
        start[analysis.index(name)] = value
    options = {"ftol": 1e-15, "gtol": 1e-7, "maxiter": 3000}
    lowest = np.inf
    for _ in range(3):
        found = minimize(
            lambda x: min(small.twice_nll(by_name(x)), 1e6),
            start,
            jac="3-point",
            bounds=limits,
            method="L-BFGS-B",
            options=options,
        )
        lowest, start = min(lowest, found.fun), found.x
    return lowest


@pytest.mark.slow
def test_every_point_is_what_scipy_finds(whole):
    curve = profile(whole, {"mu": np.linspace(-1.0, 5.0, 3)})
    for mu, found in zip(curve.axes[0], curve.twice_nll, strict=True):
        assert found == pytest.approx(by_scipy(whole, {"mu": mu}, whole.init_vector), abs=2e-7)


@pytest.mark.slow
def test_a_plane_is_what_scipy_finds(whole):
    plane = profile(whole, {"norm_b": [-1.0, 0.5], "mu": [0.0, 2.0, 3.0]})
    assert plane.shape == (2, 3)
    assert plane.slope.shape == (2, 3, 2)
    for i, j in ((0, 2), (1, 0)):
        fixed = {"norm_b": plane.axes[0][i], "mu": plane.axes[1][j]}
        expected = by_scipy(whole, fixed, whole.init_vector)
        assert plane.twice_nll[i, j] == pytest.approx(expected, abs=2e-7)


@pytest.mark.slow
def test_batched_is_one_by_one(whole):
    grid = np.linspace(-2.0, 6.0, 9)
    curve = profile(whole, {"mu": grid})
    for mu, found in zip(grid, curve.twice_nll, strict=True):
        alone = inference.fit(whole, fixed={"mu": mu}).check()
        assert found == pytest.approx(float(alone.twice_nll), abs=1e-8)
    plane = profile(whole, {"mu": grid, "ff": [-1.0, 1.0]})
    for j, ff in enumerate((-1.0, 1.0)):
        line = profile(whole, {"mu": grid}, fixed={"ff": ff})
        np.testing.assert_allclose(plane.twice_nll[:, j], line.twice_nll, atol=1e-8)


@pytest.mark.slow
def test_every_minimum_is_a_minimum(whole):
    points = Points(whole, ["mu"])
    found = scan(points, (np.linspace(-2.0, 6.0, 9),), keep=True).found
    gradients = jax.jit(jax.vmap(jax.grad(whole.log_density)))(found.vector)
    curvatures = -jax.jit(jax.vmap(jax.hessian(whole.log_density)))(found.vector)
    inside = (found.vector > whole.bounds[:, 0]) & (found.vector < whole.bounds[:, 1])
    assert inside[:, 1:].all()
    for gradient, curvature, vector in zip(gradients, curvatures, found.vector, strict=True):
        block = np.asarray(curvature)[1:, 1:]
        assert np.linalg.eigvalsh(block).min() > 0
        # What the distance to the minimum is worth.
        rest = np.asarray(gradient)[1:]
        assert rest @ np.linalg.solve(block, rest) < 1e-12
        assert vector[0] in np.linspace(-2.0, 6.0, 9)
    # And the slope is that of the profile.
    np.testing.assert_allclose(found.slope[:, 0], -2 * np.asarray(gradients)[:, 0], atol=1e-9)


def test_slopes_are_those_of_the_curve(whole):
    h = 1e-3
    curve = profile(whole, {"mu": [1.0 - h, 1.0, 1.0 + h]})
    rise = (curve.twice_nll[2] - curve.twice_nll[0]) / (2 * h)
    assert curve.slope[1, 0] == pytest.approx(rise, abs=1e-5)


@pytest.mark.slow
def test_second_minima_are_reported(folded):
    b = np.linspace(0.0, 2.0, 13)
    curve = profile(folded, {"b": b})
    constant = curve.twice_nll[0] - min(folded_minima(b[0]))
    for found, second, value in zip(curve.twice_nll, curve.second, b, strict=True):
        first, other = sorted(folded_minima(value))
        assert found == pytest.approx(first + constant, abs=1e-8)
        assert second == pytest.approx(other + constant, abs=1e-8)
    assert (curve.values["a"] > 0).all()
    assert (curve.second_delta > curve.delta).all()


def wrong_starts(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Fits begin at a < 0 where `wrong` says so: the higher minimum."""
    plain = Points.starts

    def starts(self: Points, values: np.ndarray, **_: Any) -> np.ndarray:
        result = plain(self, values, plain=True)
        a = self.analysis.index("a")
        result[:, :, a] = np.where(wrong(values)[:, None], -2.0, 2.0)
        return result

    monkeypatch.setattr(Points, "starts", starts)


@pytest.mark.parametrize("most", [7, pytest.param(16, marks=pytest.mark.slow), 1000])
def test_neighbours_repair_a_curve(monkeypatch, most):
    analysis = bknn.Analysis(Folded(starts=()), small.one_bin(24.0))
    b = np.linspace(0.0, 3.0, 40)
    points = Points(analysis, ["b"])
    points.most = most
    # All but a few of the last block, so that better minima travel backwards through the blocks.
    wrong_starts(monkeypatch, lambda values: values[:, 0] < 2.7)
    before = scan(points, (b,), repair=False)
    after = scan(points, (b,))
    lowest = np.array([min(folded_minima(x)) for x in b])
    constant = after.found.twice_nll[-1] - lowest[-1]
    assert (before.found.twice_nll - lowest - constant > 0.1).sum() == (b < 2.7).sum()
    np.testing.assert_allclose(after.found.twice_nll, lowest + constant, atol=1e-8)
    assert after.repaired == (b < 2.7).sum()
    # What was there before is the second minimum now.
    np.testing.assert_allclose(
        after.found.second[b < 2.7], before.found.twice_nll[b < 2.7], atol=1e-8
    )
    assert (after.physics[:, 0] > 0).all()


@pytest.mark.parametrize("most", [pytest.param(9, marks=pytest.mark.slow), 1000])
def test_neighbours_repair_a_plane(monkeypatch, most):
    """One good point is enough."""

    class Wider(Folded):
        def __init__(self) -> None:
            super().__init__(starts=())
            self.parameters = (*self.parameters, bknn.Parameter("c", 0.0, (-1.0, 1.0)))

        def spectrum(self, params: Any, channel: str) -> bknn.Spectrum:
            return bknn.Spectrum(standard_model=params["a"] ** 2 + params["b"] + 0.3 * params["c"])

    analysis = bknn.Analysis(Wider(), small.one_bin(24.0))
    axes = np.linspace(0.0, 2.0, 8), np.linspace(-1.0, 1.0, 6)
    points = Points(analysis, ["b", "c"])
    points.most = most
    wrong_starts(monkeypatch, lambda v: ~((v[:, 0] == axes[0][5]) & (v[:, 1] == axes[1][3])))
    found = scan(points, axes)
    assert found.repaired == 47
    assert (found.physics[:, 0] > 0).all()


def test_smooth_curves_are_not_repaired(monkeypatch, whole):
    asked = []
    points = Points(whole, ["mu"])
    plain = Points.find

    def find(self: Points, values: np.ndarray, *args: Any, **options: Any) -> Any:
        asked.append(len(values))
        return plain(self, values, *args, **options)

    monkeypatch.setattr(Points, "find", find)
    scan(points, (np.linspace(-2.0, 6.0, 200),))
    assert asked == [200, 13]


def test_memory_does_not_grow(monkeypatch, one):
    """Vectors of a block and of its border are in memory, whatever the grid."""
    held = []
    forget = GridOfFits.forget

    def noted(self: GridOfFits, where: np.ndarray) -> None:
        held.append(len(self.vectors))
        forget(self, where)
        held.append(len(self.vectors))

    monkeypatch.setattr(GridOfFits, "forget", noted)
    points = Points(one, ["mu"])
    points.most = 500
    steps: list[int] = []
    found = scan(points, (np.linspace(-1.5, 12.0, 20_000),), progress=steps.append)
    assert max(held) == 501
    assert found.found.vector.shape == (0, one.size)
    assert sum(steps) == 20_000
    assert len(steps) == 80
    assert found.repaired == 0


def test_other_data(whole):
    data = Data(whole.data.counts * 1.1, whole.data.normal, whole.data.poisson)
    curve = profile(whole, {"mu": [0.0, 2.0]}, data=data)
    for mu, found in zip((0.0, 2.0), curve.twice_nll, strict=True):
        alone = inference.fit(whole, fixed={"mu": mu}, data=data)
        assert found == pytest.approx(float(alone.twice_nll), abs=1e-8)
    again = profile(whole, {"mu": [0.0, 2.0]}, data=data, best=curve.best)
    np.testing.assert_array_equal(again.twice_nll, curve.twice_nll)


def failing(monkeypatch: pytest.MonkeyPatch, low: float, high: float) -> None:
    """Fits of a first parameter between low and high do not converge."""
    plain = Points.find

    def find(self: Points, values: np.ndarray, *args: Any, **options: Any) -> Any:
        found = plain(self, values, *args, **options)
        first = np.asarray(values).reshape(len(found.outcome), -1)[:, 0]
        bad = (first > low) & (first < high)
        return found._replace(outcome=np.where(bad, STALLED, found.outcome))

    monkeypatch.setattr(Points, "find", find)


def test_failed_points_are_named(monkeypatch, one):
    failing(monkeypatch, 1.9, 3.1)
    curve = profile(one, {"mu": np.arange(-1.0, 6.0)})
    assert curve.converged.tolist() == [True, True, True, False, False, True, True]
    assert curve.status == (
        "2 of 7 fits did not converge, the first at mu = 2; `converged` says which, and what "
        "stands there is an upper bound."
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"over": {}}, ("0 parameters", "one to three")),
        ({"over": {name: [1.0] for name in ("mu", "ff", "k_b", "norm_b")}}, ("4 parameters",)),
        ({"over": {"my": [1.0]}}, ("my", "mu")),
        ({"over": {"side": [1.0]}}, ("side",)),
        ({"over": {"mu": [2.0, 1.0]}}, ("mu", "increase")),
        ({"over": {"mu": [1.0, math.nan]}}, ("mu", "finite")),
        ({"over": {"mu": 1.0}}, ("mu", "list")),
        ({"over": {"mu": [1.0, 99.0]}}, ("mu", "99", "50")),
        ({"over": {"mu": [1.0]}, "fixed": {"mu": 1.0}}, ("mu", "`fixed`")),
        ({"over": {"mu": [1.0]}, "fixed": {"ff": [1.0, 2.0]}}, ("`fixed`", "`over`")),
    ],
)
def test_refused(whole, options, words):
    with pytest.raises(errors.BknnError) as caught:
        profile(whole, **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.slow
def test_refused_fits_and_data(whole, one):
    best = inference.fit(whole)
    for wrong in (
        {"best": inference.fit(one)},
        {"best": inference.fit(whole, init={"mu": [1.0, 2.0]})},
        {"best": inference.fit(whole, fixed={"ff": 0.0})},
        {"best": best, "fixed": {"ff": 0.5}},
        {"best": best, "data": whole.data},
    ):
        with pytest.raises(errors.ParameterError, match="`best` is"):
            profile(whole, {"mu": [1.0]}, **wrong)
    toys = inference.throw(whole, whole.init, 2)
    with pytest.raises(errors.ParameterError, match="2 data sets"):
        profile(whole, {"mu": [1.0]}, data=toys)
    parabola = inference.LogDensity(lambda p: -(p["x"] ** 2), {"x": 0.0})
    with pytest.raises(errors.ParameterError, match="Analysis"):
        profile(parabola, {"x": [1.0]})


# ---------------------------------------------------------------- intervals


def one_bin_ends(n: float, level: float) -> tuple[float, float]:
    """Where the likelihood of one bin crosses, by SciPy."""
    height = chi2.ppf(level, 1) + poisson(n, n)
    low = brentq(lambda r: poisson(r, n) - height, 1e-6, n, xtol=1e-14)
    high = brentq(lambda r: poisson(r, n) - height, n, 100.0, xtol=1e-14)
    return (low - 8) / 4, (high - 8) / 4


def test_intervals_in_closed_form(one):
    steps: list[int] = []
    found = intervals(one, levels=(ONE_SIGMA, 0.95, 0.9973), progress=steps.append)
    for level in (ONE_SIGMA, 0.95, 0.9973):
        low, high = one_bin_ends(12.0, level)
        interval = found["mu", level]
        assert interval.low == pytest.approx(low, abs=1e-8)
        assert interval.high == pytest.approx(high, abs=1e-8)
        assert interval.regions == ((interval.low, interval.high),)
        assert (interval.low_at_bound, interval.high_at_bound) == (False, False)
        assert interval.status.startswith("closed on both sides")
    assert found["mu", 0.68] is found["mu", ONE_SIGMA]
    assert found.value == {"mu": pytest.approx(1.0)}
    assert len(found) == 3
    assert sum(steps) == 3
    assert "68.27%" in repr(found)
    assert "closed" in found.status


def test_hessian_intervals_in_closed_form(one):
    found = intervals(one, method="hessian")
    for level in (ONE_SIGMA, 0.95):
        reach = norm.ppf(0.5 + level / 2) * math.sqrt(12) / 4
        assert found["mu", level].low == pytest.approx(1 - reach, rel=1e-9)
        assert found["mu", level].high == pytest.approx(1 + reach, rel=1e-9)


def test_ends_are_at_the_level(whole):
    found = intervals(whole, ["mu", "norm_b", "side[1]"])
    assert found.names == ("mu", "norm_b", "side[1]")
    for interval in found:
        for end in interval.regions[0]:
            fit = inference.fit(whole, fixed={interval.name: end}).check()
            rise = float(fit.twice_nll - found.best.twice_nll)
            assert rise == pytest.approx(chi2.ppf(interval.level, 1), abs=1e-8)
    # And for SciPy too.
    end = found["mu", 0.95].high
    rise = by_scipy(whole, {"mu": end}, whole.init_vector) - float(found.best.twice_nll)
    assert rise == pytest.approx(chi2.ppf(0.95, 1), abs=1e-6)


def test_disjoint_regions_are_found(folded):
    found = intervals(folded, ["a"], levels=(0.9, 0.9999999999), fixed={"b": 0.0})
    height = min(folded_minima(0.0)) + chi2.ppf(0.9, 1)
    a = np.linspace(-6.0, 6.0, 5000)
    above = folded_twice_nll(a, 0.0) > height
    expected = [
        brentq(lambda x: folded_twice_nll(x, 0.0) - height, a[k], a[k + 1], xtol=1e-13)
        for k in np.flatnonzero(above[1:] != above[:-1])
    ]
    assert len(expected) == 4
    interval = found["a", 0.9]
    assert np.ravel(interval.regions) == pytest.approx(expected, abs=1e-7)
    assert (interval.low, interval.high) == interval.regions[1]
    assert interval.status == "2 disjoint regions."
    # Far up it is one, by way of zero.
    assert len(found["a", 0.9999999999].regions) == 1


def test_a_region_between_the_points_of_the_grid(folded):
    """Slopes hint at what lies between two points that are too far apart."""
    whole_range = intervals(folded, ["a"], levels=(0.9,), fixed={"b": 0.0})
    coarse = intervals(
        folded, ["a"], levels=(0.9,), fixed={"b": 0.0}, grid={"a": [-6.0, -3.2, -1.8, 0.0, 6.0]}
    )
    np.testing.assert_allclose(coarse["a", 0.9].regions, whole_range["a", 0.9].regions, atol=1e-7)
    curve, (both,) = with_profile(
        folded, {"a": np.linspace(-6.0, 6.0, 40)}, levels=(0.9,), fixed={"b": 0.0}
    )
    np.testing.assert_allclose(both.regions, whole_range["a", 0.9].regions, atol=1e-7)
    assert float(curve.best.twice_nll) == pytest.approx(float(whole_range.best.twice_nll), abs=1e-9)


@pytest.mark.slow
def test_an_interval_that_ends_at_a_bound():
    analysis = bknn.Analysis(Folded(), small.one_bin(9.0))
    found = intervals(analysis, ["b"], fixed={"a": 0.0}, levels=(0.68, 0.999999))
    interval = found["b", 0.68]
    assert interval.low == 0.0
    assert interval.low_at_bound
    assert not interval.high_at_bound
    height = poisson(9.0, 9.0) + chi2.ppf(0.68, 1)
    expected = (brentq(lambda r: poisson(r, 9.0) - height, 9.0, 50.0) - 8) / 4
    assert interval.high == pytest.approx(expected, abs=1e-8)
    assert interval.status == "reaches the lower bound 0."
    high = found["b", 0.999999]
    assert (high.low, high.high) == (0.0, 5.0)
    assert high.status == "reaches both bounds: the data do not tell."


def test_best_fit_at_the_bound():
    analysis = bknn.Analysis(Folded(), small.one_bin(5.0))
    found = intervals(analysis, ["b"], fixed={"a": 0.0})
    height = poisson(8.0, 5.0) + chi2.ppf(0.95, 1)
    expected = (brentq(lambda r: poisson(r, 5.0) - height, 8.0, 50.0) - 8) / 4
    assert found.value["b"] == 0.0
    assert found["b", 0.95].low_at_bound
    assert found["b", 0.95].high == pytest.approx(expected, abs=1e-8)
    hessian = intervals(analysis, ["b"], fixed={"a": 0.0}, method="hessian")["b", 0.95]
    assert math.isnan(hessian.high)
    assert "bound" in hessian.status


@pytest.mark.slow
def test_open_intervals():
    """A parameter that nothing depends on, without bounds."""

    class Idle(Folded):
        def __init__(self) -> None:
            super().__init__()
            self.parameters = (*self.parameters, bknn.Parameter("idle", 1.0))

    analysis = bknn.Analysis(Idle(), small.one_bin(24.0))
    interval = intervals(analysis, ["idle"], fixed={"b": 0.0})["idle", 0.95]
    assert (interval.low, interval.high) == (-math.inf, math.inf)
    assert "do not tell" in interval.status
    assert str(interval) == "(-inf, inf)"


def test_nothing_is_interpolated_over_failures(monkeypatch, one):
    low, high = one_bin_ends(12.0, 0.95)
    failing(monkeypatch, high - 0.05, high + 0.05)
    interval = intervals(one, levels=(0.95,))["mu", 0.95]
    assert interval.low == pytest.approx(low, abs=1e-8)
    assert math.isnan(interval.high)
    assert "1 of its ends were lost" in interval.status


def test_failures_elsewhere_are_told(monkeypatch, one):
    _, high = one_bin_ends(12.0, 0.95)
    failing(monkeypatch, high + 0.02, high + 0.6)
    interval = intervals(one, levels=(0.95,))["mu", 0.95]
    assert interval.high == pytest.approx(high, abs=1e-8)
    assert "did not converge, the first at mu = " in interval.status


def test_a_lower_minimum_on_the_way(folded):
    """A best fit that is not the best is replaced, and all levels with it."""
    worse = inference.fit(folded, init={"a": -2.0}, fixed={"b": 0.0})
    expected = intervals(folded, ["a"], fixed={"b": 0.0})
    assert float(worse.twice_nll) > float(expected.best.twice_nll) + 0.1
    found = intervals(folded, ["a"], fixed={"b": 0.0}, best=worse)
    assert float(found.best.twice_nll) == pytest.approx(float(expected.best.twice_nll), abs=1e-9)
    for interval in found:
        other = expected[interval.name, interval.level]
        np.testing.assert_allclose(interval.regions, other.regions, atol=1e-6)
    curve = profile(folded, {"a": np.linspace(-4, 4, 9)}, fixed={"b": 0.0}, best=worse)
    assert float(curve.best.twice_nll) == pytest.approx(float(found.best.twice_nll), abs=1e-9)
    assert curve.delta.min() >= 0


def test_refused_intervals(one):
    with pytest.raises(errors.UnknownNameError, match="hesian"):
        intervals(one, method="hesian")
    with pytest.raises(errors.ParameterError, match="between 0 and 1"):
        intervals(one, levels=(68.0,))
    with pytest.raises(errors.UnknownNameError, match="my"):
        intervals(one, ["my"])
    with pytest.raises(errors.UnknownNameError, match="intervals asked for"):
        intervals(one, ["mu"], grid={"k": [1.0]})
    found = intervals(one)
    with pytest.raises(errors.UnknownNameError, match="no interval of level"):
        found["mu", 0.9]
    with pytest.raises(errors.UnknownNameError, match="nu"):
        found["nu", 0.95]


# ---------------------------------------------------------------- contours


@pytest.mark.slow
def test_vertices_are_on_the_contour(whole):
    found = contours(whole, {"mu": np.linspace(-2, 7, 10), "norm_b": np.linspace(-3, 3, 8)})
    assert found.levels[1] == pytest.approx(2.2957, abs=1e-4)
    assert found.levels[2] == pytest.approx(6.1801, abs=1e-4)
    assert found.levels[3] == pytest.approx(11.8292, abs=1e-4)
    best = found.profile.best
    for n in (1, 2):
        (line,) = found.lines[n]
        if n == 1:
            np.testing.assert_array_equal(line[0], line[-1])
        fits = inference.fit(whole, fixed={"mu": line[:, 0], "norm_b": line[:, 1]})
        rise = fits.twice_nll - float(best.twice_nll)
        np.testing.assert_allclose(rise, found.levels[n], atol=1e-8)
    assert found.parameters == ("mu", "norm_b")
    assert found.lost == {1: 0, 2: 0, 3: 0}
    assert "Contours of mu and norm_b" in repr(found)


def test_contours_do_not_depend_on_the_order(whole):
    grids = {"mu": np.linspace(-1, 5, 7), "norm_b": np.linspace(-2, 2, 6)}
    one_way = contours(whole, grids, sigmas=[1]).lines[1][0]
    other = contours(whole, dict(reversed(grids.items())), sigmas=[1]).lines[1][0]
    a, b = (x[np.lexsort(np.round(x, 6).T)] for x in (one_way[:-1], other[:-1, ::-1]))
    np.testing.assert_allclose(a, b, atol=1e-8)


def test_contours_on_grids_too_large_to_keep(monkeypatch, whole):
    grids = {"mu": np.linspace(-1, 5, 7), "norm_b": np.linspace(-2, 2, 6)}
    kept = contours(whole, grids, sigmas=[1]).lines[1][0]
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["bknn.inference.profiles.contours"], "_KEPT", 10)
    np.testing.assert_allclose(contours(whole, grids, sigmas=[1]).lines[1][0], kept, atol=1e-8)


def test_contours_stop_at_failures(monkeypatch, whole):
    grids = {"mu": np.linspace(-1, 5, 7), "norm_b": np.linspace(-2, 2, 6)}
    failing(monkeypatch, 1.5, 2.5)
    found = contours(whole, grids, sigmas=[1])
    assert "interrupted" in found.status
    for line in found.lines[1]:
        assert not ((line[:, 0] > 1.0) & (line[:, 0] < 3.0)).any()
        assert (line[0] != line[-1]).any()


def test_contours_smaller_than_the_grid(whole):
    found = contours(whole, {"mu": [-9.0, 20.0], "norm_b": [-4.0, 4.0]}, sigmas=[1])
    assert found.lines == {1: ()}
    assert "finer grid" in found.status


def test_refused_contours(whole):
    for over in ({"mu": [0.0, 1.0]}, {"mu": [0.0, 1.0], "ff": [0.0]}):
        with pytest.raises(errors.ParameterError, match="two parameters"):
            contours(whole, over)


# ---------------------------------------------------------------- figures


def test_figures(monkeypatch, tmp_path, folded, whole):
    curve = profile(folded, {"b": np.linspace(0.0, 2.0, 21)})
    figure = draw_profile(curve)
    assert [ax.get_ylabel() for ax in figure.axes] == [r"$-2\,\Delta\ln L$", "a"]
    drawn = {tuple(line.get_ydata()) for line in figure.axes[0].get_lines()}
    assert tuple(curve.delta) in drawn
    assert tuple(curve.second_delta) in drawn
    found = contours(whole, {"mu": np.linspace(-2, 7, 6), "norm_b": np.linspace(-3, 3, 6)})
    figure = draw_contours(found)
    ys = [tuple(line.get_ydata()) for line in figure.axes[0].get_lines()]
    assert tuple(found.lines[1][0][:, 1]) in ys
    for i, path in enumerate((draw_profile(found.profile), figure)):
        assert all(p.stat().st_size > 1000 for p in save(path, tmp_path / str(i)))
    failing(monkeypatch, 1.9, 3.1)
    broken = draw_profile(profile(folded, {"b": np.linspace(0.0, 4.0, 11)}))
    texts = [t.get_text() for t in broken.axes[0].get_legend().get_texts()]
    assert "fit did not converge" in texts
    assert "DID NOT CONVERGE" in broken.texts[0].get_text()


def test_three_parameters(whole):
    """A grid in space holds the planes; its lowest along an axis is the profile without it."""
    axes = {"mu": [0.0, 2.0, 3.0], "norm_b": [-1.0, 0.5], "shape_b": [-0.5, 0.0, 0.5, 1.0]}
    names = list(axes)
    space = profile(whole, axes)
    fixed = {names[2]: axes[names[2]][1]}
    plane = profile(whole, {n: axes[n] for n in names[:2]}, fixed=fixed)
    np.testing.assert_allclose(space.twice_nll[:, :, 1], plane.twice_nll, atol=1e-6)
    lowest = space.minimised(names[1])
    assert lowest.parameters == (names[1],)
    np.testing.assert_array_equal(lowest.twice_nll, space.twice_nll.min(axis=(0, 2)))
    # What the others are there is on their axes.
    i = int(np.argmin(lowest.twice_nll))
    at = [float(lowest.values[n][i]) for n in (names[0], names[2])]
    a, b = (list(axes[n]).index(x) for n, x in zip((names[0], names[2]), at, strict=True))
    assert space.twice_nll[a, i, b] == lowest.twice_nll[i]
    with pytest.raises(bknn.errors.UnknownNameError, match="the grid of the profile"):
        space.minimised("nothing")
