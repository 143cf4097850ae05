"""Nuisances that act on nothing, or are fixed: they say nothing of the fit, in data and toys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data
from bknn.inference.datasets import saturated, throw
from bknn.inference.toys.goodness import degrees

FIXTURES = Path(__file__).parents[2] / "fixtures" / "workspaces"

pytestmark = pytest.mark.usefixtures("quick_compilation")


def analysis(workspace: dict[str, Any], model: str = "signal-strength") -> bknn.Analysis:
    measurement = bknn.Measurement(name="made", title="made", workspace=workspace)
    return bknn.Analysis(models.load(model), measurement)


def base() -> dict[str, Any]:
    """Three bins, a signal, a background with an uncertainty that acts."""
    mu = {"name": "mu", "type": "normfactor", "data": None}
    scale = {"name": "k", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    return {
        "channels": [
            {
                "name": "c",
                "samples": [
                    {"name": "s", "data": [5.0, 20.0, 5.0], "modifiers": [mu]},
                    {"name": "b", "data": [50.0, 40.0, 60.0], "modifiers": [scale]},
                ],
            }
        ],
        "observations": [{"name": "c", "data": [70.0, 70.0, 52.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def with_idle() -> dict[str, Any]:
    """The same with nuisances of every kind that act on nothing, or are fixed."""
    result = base()
    samples = result["channels"][0]["samples"]
    background = samples[1]
    scale = {"type": "normsys", "data": {"lo": 0.8, "hi": 1.2}}
    same = {"lo_data": background["data"], "hi_data": background["data"]}
    empty = [
        {"name": "of_empty", **scale},
        {"name": "counts_of_empty", "type": "shapesys", "data": [1.0, 2.0, 3.0]},
        {"name": "statistics_of_empty", "type": "staterror", "data": [0.0, 0.0, 0.0]},
    ]
    samples.append({"name": "z", "data": [0.0, 0.0, 0.0], "modifiers": empty})
    background["modifiers"] += [
        {"name": "normsys_of_one", "type": "normsys", "data": {"lo": 1.0, "hi": 1.0}},
        {"name": "histosys_of_nothing", "type": "histosys", "data": same},
        {"name": "held", **scale},
    ]
    result["measurements"][0]["config"]["parameters"] = [{"name": "held", "fixed": True}]
    return result


@pytest.fixture(scope="module")
def plain() -> bknn.Analysis:
    return analysis(base())


@pytest.mark.slow
def test_what_acts_on_nothing_leaves_the_goodness_of_fit_as_it_is(plain):
    """Toys of the one are fitted by the other without the columns of what acts on nothing."""
    more = analysis(with_idle())
    data = throw(more, {**more.init, "mu": 1.5}, 8, seed=3)
    names = [more.names[i] for i in more.normal[0]]
    own = Data(data.counts, data.normal[:, [names.index("k")]], np.zeros((8, 0)))
    fitted = inference.fit(more, data=data).check()
    expected = inference.fit(plain, data=own).check()
    np.testing.assert_allclose(fitted.params["mu"], expected.params["mu"], atol=1e-7)
    moving = fitted.moving
    np.testing.assert_allclose(
        fitted.twice_nll - saturated(more, data, vector=fitted.vector[0], moving=moving),
        expected.twice_nll - saturated(plain, own),
        atol=1e-9,
    )
    idle = [more.names[i] for i in more.idle]
    # A normsys of one has a slope, which is always 0; steps leave it to its constraint.
    assert {"of_empty", "histosys_of_nothing"} < set(idle)
    for name in ("of_empty", "normsys_of_one", "histosys_of_nothing"):
        thrown = data.normal[:, names.index(name)]
        np.testing.assert_allclose(fitted.params[name], thrown, atol=1e-12)
    assert degrees(more, fitted.vector[0], moving) == 2


@pytest.mark.slow
def test_the_case_of_eight_dead_nuisances():
    """By hand: -2 log L of two parameters; 3 bins and 1 constraint for 2 parameters."""
    dead = bknn.data.load(FIXTURES / "gof_8_dead_normsys.json")
    found = inference.goodness_of_fit(
        bknn.Analysis(models.load("signal-strength"), dead), n=2000, seed=1
    )
    n, s = np.array([70.0, 70.0, 52.0]), np.array([5.0, 20.0, 5.0])
    b = np.array([50.0, 40.0, 60.0])

    def statistic(x: np.ndarray) -> float:
        rate = x[0] * s + b * (1.1 ** x[1] if x[1] > 0 else 0.9 ** -x[1])
        return float(2 * np.sum(rate - n + n * np.log(n / rate)) + x[1] ** 2)

    # Beyond one standard deviation both interpolations agree, within they differ a little.
    assert found.statistic == pytest.approx(minimize(statistic, [1.0, 0.0]).fun, abs=0.02)
    assert found.dof == 2
    assert found.asymptotic_p == pytest.approx(chi2.sf(6.36, 2), abs=2e-4)
    assert found.p == pytest.approx(0.042, abs=4 * found.p_error)


def test_free_factors_that_say_the_same_count_once():
    workspace = base()
    signal, _ = workspace["channels"][0]["samples"]
    signal["modifiers"].append({"name": "again", "type": "normfactor", "data": None})
    empty = {"name": "z", "data": [0.0, 0.0, 0.0]}
    nothing = {"name": "nothing", "type": "normfactor", "data": None}
    workspace["channels"][0]["samples"].append({**empty, "modifiers": [nothing]})
    target = analysis(workspace)
    assert degrees(target, target.init_vector, ~target.fixed) == 2


def test_a_nuisance_fixed_by_the_user_is_in_no_statistic(plain):
    """Wherever it is fixed: the data have the same pull as the toys, and it cancels."""
    data = throw(plain, {**plain.init, "k": 1.0}, 8, seed=2)
    fitted = inference.fit(plain, data=data, fixed={"k": 1.0})
    found = fitted.twice_nll - saturated(plain, data, vector=fitted.vector[0], moving=fitted.moving)
    rates, n = np.array([plain.rates(v) for v in fitted.vector]), data.counts
    np.testing.assert_allclose(found, 2 * np.sum(rates - n + n * np.log(n / rates), axis=1))
    assert degrees(plain, fitted.vector[0], fitted.moving) == 2
