"""Few events: what says that asymptotic formulas do not hold, and CLs by toys against sums."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data
from bknn.inference.few_events import TOO_FEW, events

from .. import few_events

pytestmark = pytest.mark.usefixtures("quick_compilation")

MU = {"name": "mu", "type": "normfactor", "data": None}


def bins(*samples: tuple[list[float], list[dict[str, Any]]], n: float = 3.0) -> bknn.Analysis:
    """A channel with samples of yields and modifiers."""
    size = len(samples[0][0])
    spec = {
        "channels": [
            {
                "name": "only",
                "samples": [
                    {"name": f"sample-{i}", "data": data, "modifiers": modifiers}
                    for i, (data, modifiers) in enumerate(samples)
                ],
            }
        ],
        "observations": [{"name": "only", "data": [n] * size}],
        "measurements": [{"name": "fit", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
    return bknn.Analysis(
        models.load("signal-strength"), bknn.Measurement("few", "few events", spec)
    )


def found_in(analysis: bknn.Analysis, mu: float = 2.0) -> tuple[float, float]:
    here, there = (np.asarray(analysis.flatten({**analysis.init, "mu": x})) for x in (0.0, mu))
    return events(analysis, analysis.data, ~analysis.fixed, analysis.index("mu"), here, there)


def test_one_bin() -> None:
    """There it is what is expected, without and with the signal."""
    assert found_in(bins(([1.0], [MU]), ([3.0], []))) == pytest.approx((3.0, 5.0))
    assert found_in(bins(([1.0], [MU]), ([8.0], []))) == (np.inf, np.inf)


def test_several_bins() -> None:
    """Equal bins add up; those without signal, or almost, do not matter."""
    equal = bins(([1.0] * 3, [MU]), ([3.0] * 3, []))
    assert found_in(equal) == pytest.approx((9.0, 15.0))
    blind = bins(([1.0, 0.0], [MU]), ([3.0, 0.1], []))
    assert found_in(blind) == pytest.approx((3.0, 5.0))
    nearly = bins(([10.0, 1e-3], [MU]), ([100.0, 1e-6], []))
    assert found_in(nearly)[0] == pytest.approx(100.0, rel=1e-2)


def test_nuisances_take_over() -> None:
    """A bin of many events whose background floats says nothing, and that of few remains."""
    free = {"name": "b", "type": "normfactor", "data": None}
    spec = (([1.0, 30.0], [MU]), ([0.0, 900.0], [free]), ([3.0, 0.0], []))
    assert found_in(bins(*spec))[0] == pytest.approx(3.0, rel=1e-6)
    known = (([1.0, 30.0], [MU]), ([0.0, 900.0], []), ([3.0, 0.0], []))
    # By hand: c = 1 / 5, 30 / 960.
    c, m = np.array([1 / 5, 30 / 960]), np.array([3.0, 900.0])
    by_hand = (c**2 @ m) ** 3 / (c**3 @ m) ** 2
    assert found_in(bins(*known))[0] == pytest.approx(by_hand, rel=1e-6)


def test_a_normal_constraint_counts_as_many_events() -> None:
    """By hand, for a background with an uncertainty of 50%: it takes part of the slope."""
    sys = {"name": "k", "type": "histosys", "data": {"lo_data": [2.0, 0.0], "hi_data": [6.0, 0.0]}}
    analysis = bins(([1.0, 1.0], [MU]), ([4.0, 2.0], [sys]))
    m0, m1 = np.array([4.0, 2.0]), np.array([6.0, 4.0])
    slope, by_k = np.array([1.0, 1.0, 0.0]), np.array([2.0, 0.0, 1.0])
    v0, v1 = np.append(m0, 1.0), np.append(m1, 1.0)
    taken = (slope * by_k / v1).sum() / (by_k**2 / v1).sum()
    c = (slope - taken * by_k) / v1
    by_hand = [(c**2 @ v) ** 3 / (np.abs(c[:2]) ** 3 @ v[:2]) ** 2 for v in (v0, v1)]
    assert found_in(analysis) == pytest.approx(by_hand, rel=1e-6)


@pytest.fixture(scope="module")
def three() -> bknn.Analysis:
    return bins(([1.0], [MU]), ([3.0], []))


def count(n: float) -> Data:
    return Data(np.array([float(n)]), np.zeros(0), np.zeros(0))


@pytest.mark.slow
def test_every_asymptotic_answer_says_so(three: bknn.Analysis) -> None:
    limit = inference.limit(three, "mu", data=count(0))
    # The exact limit is 3.00.
    assert limit.observed[0] == pytest.approx(2.566, abs=1e-3)
    assert limit.remarks[0] == (
        "found; about 3 expected events carry the sensitivity, too few for asymptotic formulas: "
        "throw toys"
    )
    assert "about 3 expected events" in repr(limit)
    data = count(4)
    assert TOO_FEW in inference.two_sided(three, "mu", data=data).remarks[0]
    assert all(TOO_FEW in x.status for x in inference.intervals(three, data=data))
    assert f"{TOO_FEW}: throw toys." in inference.significance(three, data=data).status


@pytest.mark.slow
def test_grids_say_so() -> None:
    free = {"name": "b", "type": "normfactor", "data": None}
    analysis = bins(([1.0], [MU]), ([3.0], [free]))
    found = inference.limit(analysis, "mu", over={"b": [1.0, 3.0]}, data=count(3))
    assert found.converged.all()
    assert found.remarks[1] == "found"
    assert found.status.startswith("all 2 limits found; at 1 of them few events, the first is b ")


@pytest.mark.slow
def test_enough_events_say_nothing() -> None:
    analysis = bins(([1.0], [MU]), ([8.0], []), n=12.0)
    assert inference.limit(analysis, "mu").remarks == ("found",)
    assert TOO_FEW not in inference.significance(analysis).status


@pytest.mark.slow
def test_cls_by_toys(three: bknn.Analysis) -> None:
    """Against sums, as far as toys can tell."""
    by_toys(three, 3.0, (0, 4), 1000)


@pytest.mark.slow
@pytest.mark.parametrize("b", [0.5, 3.0])
def test_cls_by_many_toys(b: float) -> None:
    by_toys(bins(([1.0], [MU]), ([b], [])), b, range(11), 4000)


def by_toys(analysis: bknn.Analysis, b: float, counts: Iterable[int], toys: int) -> None:
    for n in counts:
        exact = few_events.cls_limit(n, b)
        found = inference.limit(analysis, "mu", data=count(n), method="toys", toys=toys, seed=1)
        assert TOO_FEW not in found.remarks[0]
        assert abs(found.observed[0] - exact) < 4 * found.observed_error[0] + 0.01
        assert found.observed_error[0] < 0.1 * exact


@pytest.mark.slow
def test_asymptotic_cls_is_flagged(three: bknn.Analysis) -> None:
    """Every limit on a background of 3 is; those of few counts are wrong by more than a tenth."""
    ratio = []
    for n in range(11):
        found = inference.limit(three, "mu", data=count(n))
        assert TOO_FEW in found.remarks[0]
        ratio.append(found.observed[0] / few_events.cls_limit(n, 3.0))
    assert ratio[0] == pytest.approx(0.857, abs=1e-3)
    assert np.max(np.abs(np.array(ratio[2:]) - 1)) < 0.15
