"""Feldman-Cousins intervals against constructions that know no likelihood fits.

The construction of physics/9711021 is written anew here, with sums over counts, and checked against
tables of the paper.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, poisson

import bknn
from bknn import errors, models
from bknn.analysis import Data
from bknn.inference import conditional
from bknn.inference.feldman_cousins import FeldmanCousins, feldman_cousins
from bknn.plot.limits import acceptance

from . import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


def one_bin(signal: float, background: float) -> bknn.Analysis:
    spec = small.one_bin().workspace
    for sample, value in zip(spec["channels"][0]["samples"], (signal, background), strict=True):
        sample["data"] = [value]
    measurement = bknn.Measurement("one-bin", "one bin", spec)
    return bknn.Analysis(models.load("signal-strength"), measurement)


def count(n: float) -> Data:
    return Data(np.array([n]), np.zeros(0), np.zeros(0))


@pytest.fixture(scope="module")
def three() -> bknn.Analysis:
    """mu counts on a background of 3."""
    return one_bin(1.0, 3.0)


@pytest.fixture(scope="module")
def gauss() -> bknn.Analysis:
    """10,000 counts, mu in units of their standard deviation, 100."""
    return one_bin(100.0, 1e4)


def poisson_p(n0: int, mu: float, b: float, step: float = 1.0) -> float:
    """Probability of counts whose likelihood ratio is not greater than that of n0."""
    mean = step * mu + b
    n = np.arange(*(int(mean + side * (12 * np.sqrt(mean) + 20)) for side in (-1, 1)))
    n = np.union1d(n[n >= 0], [n0])
    log_ratio = poisson.logpmf(n, mean) - poisson.logpmf(n, np.maximum(n, b))
    here = log_ratio[n == n0][0]
    return float(poisson.pmf(n, mean)[log_ratio <= here + 1e-9].sum())


def poisson_interval(n0: int, b: float, cl: float, step: float, high: float) -> tuple[float, float]:
    mu = np.linspace(0.0, high, 1201)
    inside = mu[[poisson_p(n0, m, b, step) > 1 - cl for m in mu]]
    return float(inside[0]), float(inside[-1])


def gaussian_interval(x0: float, cl: float) -> tuple[float, float]:
    """x normal around mu >= 0 with unit width."""
    x = np.linspace(-8.0, 14.0, 22001)
    best = np.maximum(x, 0.0)
    accepted = []
    for mu in np.linspace(0, 5, 501):
        t = (x - mu) ** 2 - (x - best) ** 2
        t0 = (x0 - mu) ** 2 - (x0 - max(x0, 0.0)) ** 2
        if np.sum(norm.pdf(x - mu)[t >= t0 - 1e-12]) * 1e-3 > 1 - cl:
            accepted.append(mu)
    return accepted[0], accepted[-1]


def test_published_tables() -> None:
    """The constructions of this file: Table IV (b = 3) and Table X of the paper, 90%."""
    assert poisson_interval(4, 3.0, 0.9, 1.0, 8.0) == pytest.approx((0.0, 5.60), abs=0.01)
    # At n0 = 0 the paper has 1.08: it lengthens intervals that would shrink as b grows.
    assert poisson_interval(0, 3.0, 0.9, 1.0, 2.0) == pytest.approx((0.0, 0.96), abs=0.01)
    for x0, interval in {-1: (0, 0.81), 0: (0, 1.64), 1: (0, 2.64), 2: (0.58, 3.64)}.items():
        assert gaussian_interval(x0, 0.9) == pytest.approx(interval, abs=0.015)


@pytest.mark.parametrize("n", [0, 4, 9])
def test_poisson_with_background(three: bknn.Analysis, n: int) -> None:
    grid = np.array([0.0, 0.5, 0.8, 1.2, 2.0, 5.2, 5.5, 5.8, 7.0])
    found = feldman_cousins(
        three, "mu", grid, toys=2000, levels=(0.9,), lowest=0.0, data=count(n), seed=2
    )
    exact = np.array([poisson_p(n, mu, 3.0) for mu in grid])
    np.testing.assert_array_less(np.abs(found.p - exact), 4 * found.p_error + 1e-3)
    clear = np.abs(exact - 0.1) > 4 * found.p_error
    assert clear.sum() >= 6
    np.testing.assert_array_equal(found.accepted[0][clear], (exact > 0.1)[clear])
    assert found.best == pytest.approx(max(n - 3.0, 0.0), abs=1e-6)
    if n == 4:
        # p jumps at 5.60 where other counts become more likely.
        assert found.interval(0.9)[:4] == pytest.approx((0.0, 5.65, 0.0, 0.15))


@pytest.mark.parametrize("x0", [-1.0, 0.0, 2.0])
def test_gaussian_with_boundary(gauss: bknn.Analysis, x0: float) -> None:
    grid = np.linspace(0.0, 4.5, 19)
    n0 = int(1e4 + 100 * x0)
    found = feldman_cousins(
        gauss, "mu", grid, toys=2000, levels=(0.6827, 0.9), lowest=0.0, data=count(n0), seed=4
    )
    ends = found.interval(0.9)
    exact = poisson_interval(n0, 1e4, 0.9, 100.0, 4.5)
    for got, error, wanted, published in zip(
        ends[:2], ends[2:4], exact, gaussian_interval(x0, 0.9), strict=True
    ):
        assert abs(got - wanted) < 4 * error + 0.005
        assert wanted == pytest.approx(published, abs=0.03)
    assert ends.high_error < 0.1
    assert ends.low_open is (x0 < 1)
    assert not ends.high_open
    assert "90% [" in repr(found)


def test_profiled_nuisances() -> None:
    """Far from the boundary t is chi^2, so the interval is that of the likelihood."""
    analysis = bknn.Analysis(models.load("signal-strength"), small.measurement())
    found = feldman_cousins(
        analysis, "mu", np.linspace(-1.5, 4.5, 7), toys=300, levels=(0.6827,), seed=1
    )
    inside = found.observed < 1.0
    clear = np.abs(found.observed - 1.0) > 0.35
    np.testing.assert_array_equal(found.accepted[0][clear], inside[clear])
    assert np.nanmax(np.abs(found.critical - 1.0)) < 0.45
    assert found.failed.sum() == 0
    assert found.sentence == "all 7 values have an answer."


@pytest.fixture(scope="module")
def few(three: bknn.Analysis) -> FeldmanCousins:
    return feldman_cousins(
        three, "mu", [0.0, 1.0, 4.0, 12.0], toys=100, lowest=0.0, data=count(7.0)
    )


def test_failures_are_counted(
    three: bknn.Analysis, few: FeldmanCousins, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = conditional.Conditional.at

    def at(self: Any, points: Any, values: Any, data: Any, warm: Any) -> conditional.Fits:
        found = right(self, points, values, data, warm)
        ok = found.ok.copy()
        values = np.broadcast_to(values, len(ok))
        if data.counts.ndim == 1:
            ok[values == 1.0] = False
        elif (values == 4.0).all():
            ok[:5] = False
        return found._replace(ok=ok)

    monkeypatch.setattr(conditional.Conditional, "at", at)
    found = feldman_cousins(three, "mu", few.grid, toys=100, lowest=0.0, data=count(7.0))
    assert np.isnan(found.observed).tolist() == [False, True, False, False]
    assert not found.accepted[:, 1].any()
    assert found.failed.tolist() == [0, 0, 5, 0]
    assert found.status[2] == "found; 5 of 100 toys have fits that did not converge"
    assert "1 of 4 values failed" in repr(found)
    with pytest.raises(errors.ParameterError, match="no interval across them"):
        found.interval(0.95)


def test_disjoint_regions(few: FeldmanCousins) -> None:
    p = np.array([0.5, 0.01, 0.5, 0.01])
    observed = np.where(p > 0.05, 0.1, 9.0)
    critical = np.full((2, 4), 3.8)
    found = replace(few, p=p, observed=observed, critical=critical)
    first, second = found.regions(0.95)
    assert first.low == 0.0
    assert first.low_open
    assert 0 < first.high < 1 < second.low < 4 < second.high < 12
    assert found.interval(0.95)[:2] == (first.low, second.high)
    with pytest.raises(errors.ParameterError, match=r"no value of the grid is accepted"):
        replace(few, observed=np.full(4, 9.0)).interval(0.95)


def test_figure(few: FeldmanCousins) -> None:
    figure = acceptance(few)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    np.testing.assert_array_equal(lines["data"].get_ydata(), few.observed)
    np.testing.assert_array_equal(lines["95% of toys are below"].get_ydata(), few.critical[1])
    assert "100 toys a value" in figure.texts[0].get_text()


@pytest.mark.parametrize(
    ("grid", "options", "message"),
    [
        ([0.0], {}, "at least two rising values"),
        ([1.0, 0.0], {}, "at least two rising values"),
        ([0.0, 99.0], {}, "leaves its bounds"),
        ([-1.0, 1.0], {"lowest": 0.0}, "leaves its bounds"),
        ([0.0, 1.0], {"levels": (68.0,)}, "a confidence level is 68"),
        ([0.0, 1.0], {"toys": 1}, "at least two"),
    ],
)
def test_refused(
    three: bknn.Analysis, grid: list[float], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.ParameterError, match=message):
        feldman_cousins(three, "mu", grid, **options)


def test_levels_that_were_not_asked_for(few: FeldmanCousins) -> None:
    with pytest.raises(errors.ParameterError, match=r"the level 0\.9 was not asked for"):
        few.interval(0.9)
