"""Feldman-Cousins intervals against constructions that know no likelihood fits.

That of one count is in `few_events`, that of a normal number here; both are checked against tables
of physics/9711021.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, poisson

import bknn
from bknn import errors, models
from bknn.analysis.analysis import Data
from bknn.inference.limits import conditional_fits
from bknn.inference.limits.feldman_cousins import FeldmanCousins, feldman_cousins
from bknn.plot.likelihoods.limits import acceptance

from .. import few_events, small

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


#: Table IV of the paper, 90%, b = 3: n0 and interval. At n0 = 0 it has 1.08: it lengthens intervals
#: that would shrink as b grows.
TABLE_IV = {
    0: (0.0, 0.95), 1: (0.0, 1.88), 2: (0.0, 3.04), 3: (0.0, 4.42), 4: (0.0, 5.60), 5: (0.0, 6.99),
    6: (0.15, 8.47), 7: (0.89, 9.53), 8: (1.51, 10.99), 9: (1.88, 12.30), 10: (2.63, 13.50),
}  # fmt: skip


def test_published_tables() -> None:
    """The constructions themselves: Tables IV and X of the paper, 90%."""
    for n0, published in TABLE_IV.items():
        assert few_events.interval(n0, 3.0, 0.9) == pytest.approx(published, abs=0.0075)
    for x0, published in {-1: (0, 0.81), 0: (0, 1.64), 1: (0, 2.64), 2: (0.58, 3.64)}.items():
        assert gaussian_interval(x0, 0.9) == pytest.approx(published, abs=0.015)


# ------------------------------------------------------------------------------------ sums


@pytest.fixture(scope="module")
def half() -> bknn.Analysis:
    """mu counts on a background of a half."""
    return one_bin(1.0, 0.5)


@pytest.mark.parametrize("n", [0, 1, 3, 8])
@pytest.mark.parametrize("b", [pytest.param(0.5, marks=pytest.mark.slow), 3.0])
def test_exact_ends(three: bknn.Analysis, half: bknn.Analysis, b: float, n: int) -> None:
    analysis = three if b == 3 else half
    found = feldman_cousins(
        analysis, "mu", np.linspace(0, 16, 9), levels=(0.6827, 0.9), lowest=0.0, data=count(n),
        resolution=3e-5,
    )  # fmt: skip
    assert (found.method, found.toys) == ("sums", 0)
    for level in found.levels:
        ends = found.interval(level)
        exact = few_events.interval(n, b, level)
        assert ends[:2] == pytest.approx(exact, abs=3e-5)
        assert ends.high_error < 1.6e-5
        assert ends.low_open is (exact[0] < 1e-9)
    exact_p = [few_events.p_value(n, mu, b) for mu in found.grid]
    # At a jump p is one or the other.
    assert np.mean(np.abs(found.p - exact_p) < 1e-6) > 0.9
    assert found.status == f"all {len(found.grid)} values have an answer."


@pytest.mark.slow
@pytest.mark.parametrize("b", [pytest.param(0.5, marks=pytest.mark.slow), 3.0])
def test_coverage(three: bknn.Analysis, half: bknn.Analysis, b: float) -> None:
    """The probability of counts whose interval holds the truth is at least the level."""
    analysis, levels = (three if b == 3 else half), (0.68, 0.95)
    regions: dict[float, dict[int, list[tuple[float, float]]]] = {x: {} for x in levels}
    for n in range(8):
        found = feldman_cousins(
            analysis, "mu", np.linspace(0, 20, 11), levels=levels, lowest=0.0, data=count(n),
            resolution=1e-3,
        )  # fmt: skip
        for level in levels:
            regions[level][n] = [(x.low, x.high) for x in found.regions(level)]
    for level in levels:
        for mu in (0.0, 0.5, 2.0):
            covered = few_events.coverage(mu, b, regions[level])
            exact = few_events.coverage(
                mu, b, {n: few_events.regions(n, b, level) for n in range(8)}
            )
            assert covered == pytest.approx(exact, abs=1e-9)
            # Larger counts are accepted, too, or too improbable to matter.
            assert covered > level - (poisson.sf(7, mu + b) if mu + b > 3 else 1e-3)


# ------------------------------------------------------------------------------------ toys


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 1, 8))])
def test_toys_of_one_count(three: bknn.Analysis, n: int) -> None:
    grid = np.array([0.0, 0.5, 0.8, 1.2, 2.0, 5.2, 5.5, 5.8, 7.0, 14.0])
    found = feldman_cousins(
        three, "mu", grid, toys=1000, levels=(0.9,), lowest=0.0, data=count(n), seed=2,
        method="toys",
    )  # fmt: skip
    assert set(grid) <= set(found.grid)
    exact = np.array([few_events.p_value(n, mu, 3.0) for mu in found.grid])
    np.testing.assert_array_less(np.abs(found.p - exact), 4 * found.p_error + 1e-3)
    clear = np.abs(exact - 0.1) > 4 * found.p_error
    assert clear.sum() >= 6
    np.testing.assert_array_equal(found.accepted[0][clear], (exact > 0.1)[clear])
    assert found.best == pytest.approx(max(n - 3.0, 0.0), abs=1e-6)
    ends = found.interval(0.9)
    for got, error, wanted in zip(ends[:2], ends[2:4], TABLE_IV[n], strict=True):
        assert abs(got - wanted) < 2.5 * error + 0.005
        assert error < 0.5


def test_the_grid_is_kept(three: bknn.Analysis) -> None:
    """Then an end is known to half a step."""
    grid = np.linspace(0, 8, 9)
    found = feldman_cousins(
        three, "mu", grid, toys=500, levels=(0.9,), lowest=0.0, data=count(4), resolution=np.inf
    )
    np.testing.assert_array_equal(found.grid, grid)
    assert found.interval(0.9)[:4] == (0.0, 5.5, 0.0, 0.5)


@pytest.mark.parametrize(
    "x0", [*(pytest.param(x, marks=pytest.mark.slow) for x in (-1.0, 0.0)), 2.0]
)
def test_gaussian_with_boundary(gauss: bknn.Analysis, x0: float) -> None:
    grid = np.linspace(0.0, 4.5, 10)
    n0 = int(1e4 + 100 * x0)
    found = feldman_cousins(
        gauss, "mu", grid, toys=1000, levels=(0.6827, 0.9), lowest=0.0, data=count(n0), seed=4,
        method="toys",
    )  # fmt: skip
    ends = found.interval(0.9)
    for got, error, wanted in zip(ends[:2], ends[2:4], gaussian_interval(x0, 0.9), strict=True):
        assert abs(got - wanted) < 2.5 * error + 0.03
    assert ends.high_error < 0.2
    assert ends.low_open is (x0 < 1)
    assert not ends.high_open
    assert "90%     [0" in repr(found)


@pytest.mark.slow
def test_profiled_nuisances() -> None:
    """Far from the boundary t is chi^2, so the interval is that of the likelihood."""
    analysis = bknn.Analysis(models.load("signal-strength"), small.measurement())
    grid = np.linspace(-1.5, 4.5, 7)
    found = feldman_cousins(
        analysis, "mu", grid, toys=300, levels=(0.6827,), seed=1, resolution=np.inf
    )
    assert found.method == "toys"
    inside = found.observed < 1.0
    clear = np.abs(found.observed - 1.0) > 0.35
    np.testing.assert_array_equal(found.accepted[0][clear], inside[clear])
    assert np.nanmax(np.abs(found.critical - 1.0)) < 0.45
    assert found.failed.sum() == 0
    assert found.status == f"all {len(found.grid)} values have an answer."
    with pytest.raises(errors.ParameterError, match="a normal constraint floats"):
        feldman_cousins(analysis, "mu", grid, method="sums")


@pytest.fixture(scope="module")
def few(three: bknn.Analysis) -> FeldmanCousins:
    return feldman_cousins(
        three, "mu", [0.0, 1.0, 4.0, 12.0], toys=100, lowest=0.0, data=count(7.0),
        method="toys", resolution=np.inf,
    )  # fmt: skip


@pytest.mark.slow
def test_failures_are_counted(
    three: bknn.Analysis, few: FeldmanCousins, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = conditional_fits.Conditional.at

    def at(self: Any, points: Any, values: Any, data: Any, warm: Any) -> conditional_fits.Fits:
        found = right(self, points, values, data, warm)
        ok = found.ok.copy()
        values = np.broadcast_to(values, len(ok))
        if data.counts.ndim == 1:
            ok[values == 1.0] = False
        elif (values == 4.0).all():
            ok[:5] = False
        return found._replace(ok=ok)

    monkeypatch.setattr(conditional_fits.Conditional, "at", at)
    found = feldman_cousins(
        three, "mu", few.grid, toys=100, lowest=0.0, data=count(7.0), method="toys",
        resolution=np.inf,
    )  # fmt: skip
    assert np.isnan(found.observed).tolist() == [False, True, False, False]
    assert not found.accepted[:, 1].any()
    assert found.failed.tolist() == [0, 0, 5, 0]
    assert found.remarks[2] == "found; 5 of 100 toys have fits that did not converge"
    assert "1 of 4 values failed" in repr(found)
    with pytest.raises(errors.ParameterError, match="no interval across them"):
        found.interval(0.95)


def test_disjoint_regions(few: FeldmanCousins) -> None:
    p = np.array([0.5, 0.01, 0.5, 0.01])
    observed = np.where(p > 0.05, 0.1, 9.0)
    critical = np.full((2, 4), 3.8)
    found = replace(few, p=p, p_error=np.full(4, 0.01), observed=observed, critical=critical)
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
        ([0.0, 1.0], {"method": "guess"}, "unknown method 'guess'"),
        ([0.0, 1.0], {"resolution": 0.0}, "positive width"),
    ],
)
def test_refused(
    three: bknn.Analysis, grid: list[float], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.BknnError, match=message):
        feldman_cousins(three, "mu", grid, **options)


def test_levels_that_were_not_asked_for(few: FeldmanCousins) -> None:
    with pytest.raises(errors.ParameterError, match=r"the level 0\.9 was not asked for"):
        few.interval(0.9)
