"""Impacts and groups of uncertainties: against closed forms, brute force, and toys."""

from __future__ import annotations

import copy
import dataclasses
import math
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest

import bknn
from bknn import errors, inference, models
from bknn.analysis.analysis import Data
from bknn.inference.impacts.impacts import constraints, impacts
from bknn.inference.impacts.result import COLUMNS, Impacts
from bknn.inference.minimiser.newton import EXHAUSTED
from bknn.plot.fits.ranking import DOWN, UP, ranking

from .. import small
from ..fits.test_fit import NAMES, by_name, differences, scipy_minimum

pytestmark = pytest.mark.usefixtures("quick_compilation")


def analysis_of(measurement: bknn.Measurement, model: str = "signal-strength") -> bknn.Analysis:
    return bknn.Analysis(models.load(model), measurement)


@pytest.fixture(scope="module")
def whole() -> bknn.Analysis:
    return analysis_of(small.measurement())


@pytest.fixture(scope="module")
def best(whole: bknn.Analysis) -> inference.FitResult:
    return inference.fit(whole).check()


@pytest.fixture(scope="module")
def found(whole: bknn.Analysis, best: inference.FitResult) -> Impacts:
    return impacts(whole, "mu", result=best)


def with_modifiers(*modifiers: dict[str, Any], counts: float = 12.0) -> bknn.Analysis:
    """One bin, 4 mu + 8, and something that changes the background."""
    one = small.one_bin(counts)
    spec = copy.deepcopy(one.workspace)
    spec["channels"][0]["samples"][1]["modifiers"] += modifiers
    return analysis_of(dataclasses.replace(one, workspace=spec))


STAT = {"name": "stat", "type": "staterror", "data": [0.8]}
SIDE = {"name": "side", "type": "shapesys", "data": [2.0]}


@pytest.fixture(scope="module")
def one() -> bknn.Analysis:
    """mu = (n - 8 a b / 16) / 4 with a = 1 +- 0.1 and b = 16 +- 4 auxiliary counts."""
    return with_modifiers(STAT, SIDE)


# ------------------------------------------------------------------------------ closed forms


def test_one_bin_by_hand(one):
    # d mu / d stat = d mu / d side = -2, stat = 1 +- 0.1, side = 1 +- 1/4: nothing is constrained.
    result = impacts(one, "mu")
    assert result.names == ("side[0]", "stat[0]")
    for column, sign in (("pre", 1), ("post", 1)):
        np.testing.assert_allclose(getattr(result, column), [-sign * 0.5, -sign * 0.2], rtol=1e-7)
    np.testing.assert_allclose(result.constraint, 1.0, rtol=1e-7)
    np.testing.assert_allclose(result.pull, 0.0, atol=1e-7)
    # mu = (12 - 8 stat side) / 4, so refits are exactly linear.
    np.testing.assert_allclose(result.post_up, [-0.5, -0.2], rtol=1e-6)
    np.testing.assert_allclose(result.post_down, [0.5, 0.2], rtol=1e-6)
    np.testing.assert_allclose(result.pre_down, [0.5, 0.2], rtol=1e-6)
    assert not result.remarks
    assert result.status == "the impacts of all 2 parameters were found."


def test_groups_of_one_bin_by_hand(one):
    # sqrt(12)/4 from the count; 0.5 and 0.2 from the two nuisances.
    result = impacts(
        one, "mu", refits=False, groups={"sideband": ["side"], "simulation": ["stat*"]}
    )
    by_hand = {"statistical": math.sqrt(12) / 4, "sideband": 0.5, "simulation": 0.2}
    assert result.groups == pytest.approx(by_hand, rel=1e-7)
    assert result.expected_groups == pytest.approx(by_hand, rel=1e-7)
    # A fit that goes through all of its data: nothing is left that could differ.
    assert result.total == pytest.approx(math.sqrt(12 / 16 + 0.25 + 0.04), rel=1e-7)
    assert result.expected_total == pytest.approx(result.total, rel=1e-7)
    assert result.derivative.counts == pytest.approx([0.25], rel=1e-7)
    assert result.derivative.normal == pytest.approx([-2.0], rel=1e-7)
    assert result.derivative.poisson == pytest.approx([-2 / 16], rel=1e-7)
    # The Hessian has a term from the product stat * side, which vanishes here for n = rate.
    assert result.hessian == pytest.approx(result.total, rel=1e-7)


@pytest.mark.slow
def test_toys_of_the_small_measurement_spread_by_the_expected_total(whole, best, found):
    fits = inference.fit(whole, data=inference.throw(whole, best.vector, 2000, seed=2))
    assert np.all(fits.converged)
    spread = np.std(fits.vector[:, 0])
    # 4 statistical standard deviations, and 2% for what is not linear.
    assert spread == pytest.approx(found.expected_total, rel=4 / math.sqrt(4000) + 0.02)


# ------------------------------------------------------------------------------ brute force


@pytest.mark.slow
def test_derivatives_by_the_data_against_fits_of_shifted_data(whole, best, found):
    spread = Data(
        np.sqrt(np.asarray(whole.rates(best.vector))), whole.normal[2], np.sqrt(whole.poisson[1])
    )
    units = np.eye(sum(map(len, spread)))
    sizes = np.cumsum([len(x) for x in spread])[:-1]

    def slopes(step: float) -> np.ndarray:
        shifts = Data(*np.split(step * np.concatenate([units, -units]), sizes, axis=1))
        fields = zip(whole.data, shifts, spread, strict=True)
        fits = inference.fit(whole, data=Data(*(o[None, :] + d * s for o, d, s in fields)))
        up, down = np.split(fits.vector[:, 0], 2)
        return (up - down) / (2 * step)

    # Two steps, so that the third derivative drops out.
    brute = (4 * slopes(0.02) - slopes(0.04)) / 3
    ours = np.concatenate([d * s for d, s in zip(found.derivative, spread, strict=True)])
    np.testing.assert_allclose(ours, brute, rtol=1e-5, atol=1e-6 * found.hessian)


def test_impacts_against_refits_with_small_shifts(whole, best, found):
    rows, sigma = found.index, best.uncertainty_vector[found.index]

    def slopes(step: float) -> np.ndarray:
        values = []
        for j, s in zip(rows, sigma, strict=True):
            base = NAMES[j].partition("[")[0]
            if base != NAMES[j]:
                values.append(np.nan)  # a set is fixed as a whole only
                continue
            held = best.vector[j] + step * s * np.array([1.0, -1.0])
            up, down = inference.fit(whole, fixed={base: held}).vector[:, 0]
            values.append((up - down) / (2 * step))
        return np.array(values)

    brute = (4 * slopes(0.02) - slopes(0.04)) / 3
    alone = np.isfinite(brute)
    assert alone.sum() == 4
    np.testing.assert_allclose(found.post[alone], brute[alone], rtol=1e-5)


def test_refits_against_fits_of_the_same(whole, best, found):
    _, width = constraints(whole, whole.data)
    for name in ("shape_b", "ff", "norm_b", "k_b"):
        j, row = whole.index(name), found[name]
        sigma = {"pre": width[j], "post": best.uncertainty_vector[j]}
        for kind, sign, way in (
            ("pre", 1, "up"), ("pre", -1, "down"), ("post", 1, "up"), ("post", -1, "down"),
        ):  # fmt: skip
            if np.isnan(sigma[kind]):
                assert (name, kind) == ("k_b", "pre")
                assert np.isnan(row[f"{kind}_{way}"])
                continue
            fit = inference.fit(whole, fixed={name: best.vector[j] + sign * sigma[kind]}).check()
            assert row[f"{kind}_{way}"] == pytest.approx(fit.vector[0] - best.vector[0], abs=1e-7)


@pytest.mark.parametrize("name", ["stat_SR[1]", "side[0]"])
def test_refits_against_scipy(whole, best, found, name):
    j = whole.index(name)
    held = best.vector[j] + best.uncertainty_vector[j]
    vector, _ = scipy_minimum(whole.bounds, best.vector, fixed={j: held})
    assert found[name]["post_up"] == pytest.approx(vector[0] - best.vector[0], abs=2e-5)


def test_pulls_and_constraints(whole, best, found):
    row = found["norm_b"]
    assert row["pull"] == pytest.approx(float(best.params["norm_b"]))
    assert row["constraint"] == pytest.approx(float(best.uncertainties["norm_b"]))
    assert row["pre"] == pytest.approx(row["post"] / row["constraint"], rel=1e-12)
    # Auxiliary counts (background / uncertainty)^2: a relative width of uncertainty / background.
    width = small.SIDEBAND / small.BACKGROUND
    sides = [found[f"side[{k}]"] for k in range(3)]
    np.testing.assert_allclose([s["pull"] for s in sides], (best.params["side"] - 1) / width)
    np.testing.assert_allclose(
        [s["constraint"] for s in sides], best.uncertainties["side"] / width, rtol=1e-12
    )
    # A free normalisation has an uncertainty, but no constraint.
    free = found["k_b"]
    assert np.isnan([free["pre"], free["pull"], free["constraint"]]).all()
    assert free["post_up"] * free["post"] > 0


def test_groups_against_matrices_by_differences(whole, best, found):
    """H and F of the likelihood written by hand, by finite differences."""
    steps = 1e-3 * np.maximum(best.uncertainty_vector, 1e-2)
    hessian = differences(best.vector, steps)
    columns = []
    for j, step in enumerate(steps):
        up, down = (best.vector + sign * step * np.eye(len(steps))[j] for sign in (1, -1))
        columns.append((small.expected(by_name(up)) - small.expected(by_name(down))) / (2 * step))
    jacobian = np.array(columns).T
    rates = small.expected(by_name(best.vector))
    information = jacobian.T @ (jacobian / rates[:, None])
    index, _, sigma = whole.normal
    information[index, index] += 1 / sigma**2
    index, aux, _ = whole.poisson
    information[index, index] += aux / best.vector[index]
    inverse = np.linalg.inv(hessian)
    sandwich = inverse @ information @ inverse
    assert found.total == pytest.approx(math.sqrt(sandwich[0, 0]), rel=1e-4)
    assert found.expected_total == pytest.approx(
        math.sqrt(np.linalg.inv(information)[0, 0]), rel=1e-6
    )
    assert found.hessian == pytest.approx(math.sqrt(inverse[0, 0]), rel=1e-4)
    assert found.hessian == best.uncertainties["mu"]


def test_groups_add_up_and_say_what_is_in_them(whole, best, found):
    assert list(found.groups) == [
        "statistical", "simulated samples", "normalisations", "shapes", "theory",
    ]  # fmt: skip
    assert sum(x**2 for x in found.groups.values()) == pytest.approx(found.total**2, rel=1e-14)
    own = {
        "simulation": ["stat_SR", "side[[]?]"],
        "yields": ["norm_b"],
        "form": "shape_?",
        "the rest": ["*"],
        "nothing left": ["ff"],
    }
    other = impacts(whole, "mu", result=best, refits=False, groups=own)
    assert list(other.groups.values()) == pytest.approx([*found.groups.values(), 0.0], rel=1e-12)
    assert list(other.groups) == ["statistical", *own]
    partial = impacts(whole, "mu", result=best, refits=False, groups={"yields": ["norm_b"]})
    assert list(partial.groups) == ["statistical", "yields", "other"]
    assert partial.total == pytest.approx(found.total, rel=1e-14)


def test_groups_of_asimov_data_are_the_uncertainty(whole, best):
    data = Data(
        np.asarray(whole.rates(best.vector)),
        best.vector[whole.normal[0]],
        best.vector[whole.poisson[0]] * whole.poisson[2],
    )
    fit = inference.fit(whole, data=data)
    result = impacts(whole, "mu", result=fit, refits=False)
    np.testing.assert_allclose(fit.vector, best.vector, atol=1e-6)
    assert result.total == pytest.approx(result.hessian, rel=1e-6)
    assert result.expected_total == pytest.approx(result.hessian, rel=1e-6)
    np.testing.assert_allclose(result.pull[np.isfinite(result.pull)], 0.0, atol=1e-6)


@pytest.mark.slow
def test_the_order_of_the_parameters_does_not_matter(found):
    """Samples with names that sort otherwise, so that their parameters and bins do."""
    spec = small.workspace()
    spec["channels"][0]["samples"][0]["name"] = "a signal"
    spec["channels"][1]["name"] = spec["observations"][1]["name"] = "last"
    changes = {"signal": {"SR": "a signal"}, "groups": {}}
    shuffled = analysis_of(small.measurement(workspace=spec, **changes))
    assert shuffled.names != NAMES
    assert sorted(shuffled.names) == sorted(NAMES)
    other = impacts(shuffled, "mu", refits=False)
    for row in other.table:
        for column in ("pre", "post", "pull", "constraint"):
            expected = found[row["name"]][column]
            assert row[column] == pytest.approx(expected, abs=1e-7, nan_ok=True)
    assert other.groups == pytest.approx(found.groups, rel=1e-7)


def test_contributions_are_what_holding_takes_away(whole, best, found):
    """Against the Hessian of the likelihood written by hand, with rows and columns left out."""
    steps = 1e-3 * np.maximum(best.uncertainty_vector, 1e-2)
    hessian = differences(best.vector, steps)
    variance = np.linalg.inv(hessian)[0, 0]
    for patterns in (("norm_b",), ("stat_SR", "side[[]?]"), ("shape_?", "k_b", "ff"), ("*",)):
        held = [n for n in NAMES[1:] if any(_fits(n, p) for p in patterns)]
        kept = [j for j, n in enumerate(NAMES) if n not in held]
        less = variance - np.linalg.inv(hessian[np.ix_(kept, kept)])[0, 0]
        assert found.contribution(*patterns) == pytest.approx(math.sqrt(less), rel=1e-4)
    for row in found.table:
        assert found.contribution(row["name"]) == pytest.approx(abs(row["post"]), rel=1e-9)
    with pytest.raises(errors.UnknownNameError, match="norm_c"):
        found.contribution("norm_c")
    own = {"yields": ["norm_b"], "simulation": ["stat_SR", "side"]}
    groups = impacts(whole, "mu", result=best, refits=False, groups=own).contributions
    assert list(groups) == ["yields", "simulation", "other"]
    assert groups["simulation"] == pytest.approx(found.contribution("stat_SR", "side"), rel=1e-12)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name.partition("[")[0], pattern)


# ------------------------------------------------------------------------------ what it looks like


def test_the_table_is_ranked(found):
    table = found.table
    assert [row["name"] for row in table] == list(found.names)
    assert set(found.names) == set(NAMES) - {"mu"}
    sizes = [max(abs(row["post"]), abs(row["post_up"]), abs(row["post_down"])) for row in table]
    assert sizes == sorted(sizes, reverse=True)
    assert all(set(row) == {"name", *COLUMNS} for row in table)
    assert found.value == found.result.vector[0]
    assert "statistical" in repr(found)


def test_without_refits(whole, best, found):
    calls: list[int] = []
    quick = impacts(whole, "mu", result=best, refits=False, progress=calls.append)
    assert not calls
    assert np.isnan([quick.pre_up, quick.pre_down, quick.post_up, quick.post_down]).all()
    assert all(row["post"] == found[row["name"]]["post"] for row in quick.table)


def test_progress_counts_the_refits(whole, best):
    calls: list[int] = []
    impacts(whole, "mu", result=best, progress=calls.append)
    # Ten parameters up and down by their uncertainty, nine by the width of their constraint.
    assert sum(calls) == 20 + 18


def test_what_is_fixed_has_no_impact(whole):
    result = inference.fit(whole, fixed={"norm_b": 0.5})
    found = impacts(whole, "mu", result=result, refits=False, groups={"yields": ["norm_b"]})
    assert "norm_b" not in found.names
    assert found.groups["yields"] == 0.0


# ------------------------------------------------------------------------------ what has no value


@pytest.fixture(scope="module")
def absent() -> bknn.Analysis:
    """Fewer counts than background: a new particle is not there."""
    return analysis_of(small.with_counts([70.0, 48.0, 36.0]), "resonance")


@pytest.mark.slow
def test_what_is_not_determined_is_named(absent):
    """The mass of a line that is not there has no impact, and takes none away from the others."""
    result = inference.fit(absent, init={"mass": 2.0})
    assert result.at_bounds == ["branching_ratio"]
    found = impacts(absent, "sm_normalisation", result=result, refits=False)
    assert found["branching_ratio"]["remark"].startswith("lies at its bound")
    assert found["mass"]["remark"] == "is not determined by the data and has no impact"
    assert np.isnan(found["mass"]["post"])
    alone = impacts(
        absent, "sm_normalisation", result=inference.fit(absent, fixed={"mass": 2.0}), refits=False
    )
    for name in ("norm_b", "k_b"):
        assert found[name]["post"] == pytest.approx(alone[name]["post"], rel=1e-4)
    totals = [found.hessian, found.total, found.expected_total]
    assert totals == pytest.approx([alone.hessian, alone.total, alone.expected_total], rel=1e-6)


@pytest.mark.slow
def test_parameters_at_bounds_are_named(absent):
    result = inference.fit(absent, fixed={"mass": 2.0})
    found = impacts(absent, "sm_normalisation", result=result, refits=False)
    row = found["branching_ratio"]
    assert row["remark"].startswith("lies at its bound")
    assert np.isnan(row["post"])
    assert np.isfinite(found["norm_b"]["post"])
    assert np.isfinite(found.total)
    assert found.names[-1] == "branching_ratio"
    assert "branching_ratio lies at its bound" in found.status


@pytest.mark.slow
def test_a_parameter_of_interest_at_its_bound(absent):
    result = inference.fit(absent, fixed={"mass": 2.0})
    found = impacts(absent, "branching_ratio", result=result)
    assert "no linear impacts" in found.status
    assert np.isnan([found.pre, found.post]).all()
    assert np.isnan([found.hessian, *found.groups.values(), found.expected_total]).all()
    row = found["norm_b"]
    # Less background makes room for a signal; more makes it no less than nothing.
    assert row["pre_up"] == 0.0
    assert row["pre_down"] >= 0.0


@pytest.mark.slow
def test_shifts_beyond_a_bound_are_named():
    wide = with_modifiers({"name": "stat", "type": "staterror", "data": [9.6]})
    found = impacts(wide, "mu")
    assert np.isnan([found.pre_down[0], found.post_down[0]]).all()
    assert np.isfinite([found.pre_up[0], found.post_up[0]]).all()
    assert found.table[0]["remark"] == "has a bound that forbids pre_down, post_down"


def test_totals_that_are_far_apart_are_named(found):
    assert "far from linear" not in found.status
    apart = dataclasses.replace(found, total=2 * found.total)
    assert "far from linear" in apart.status


def test_refusals(whole, best, absent):
    with pytest.raises(errors.UnknownNameError, match="did you mean"):
        impacts(whole, "muu")
    fixed = inference.fit(whole, fixed={"mu": 1.0})
    with pytest.raises(errors.ParameterError, match="'mu' was fixed"):
        impacts(whole, "mu", result=fixed)
    with pytest.raises(errors.ParameterError, match="batch of shape"):
        impacts(whole, "k_b", result=inference.fit(whole, fixed={"mu": [1.0, 2.0]}))
    with pytest.raises(errors.ParameterError, match="one and the same"):
        impacts(absent, "mass", result=best)
    with pytest.raises(errors.FitError):
        impacts(whole, "mu", result=dataclasses.replace(best, outcome=EXHAUSTED))
    with pytest.raises(errors.ParameterError, match="another label"):
        impacts(whole, "mu", result=best, groups={"statistical": ["ff"]})
    with pytest.raises(errors.UnknownNameError, match="nuisance 'norm_c' in group 'a'"):
        impacts(whole, "mu", result=best, groups={"a": ["norm_c"]})
    with pytest.raises(errors.ParameterError, match="'k_b' has no constraint"):
        impacts(whole, "mu", result=best, groups={"a": ["k_b"]})


# ------------------------------------------------------------------------------ the figure


def test_the_figure_shows_the_numbers(found):
    figure = ranking(found, 4)
    below, above = figure.axes
    assert [t.get_text() for t in below.get_yticklabels()] == [
        n.replace("[", " [") for n in found.names[:4]
    ]
    widths = {(p.get_y(), round(p.get_width(), 12)) for p in above.patches}
    post_up = [round(float(x), 12) for x in found.post_up[:4]]
    assert {w for _, w in widths} >= set(post_up)
    assert len(above.patches) == 2 * 4 + 2 * int(np.isfinite(found.pre[:4]).sum())
    points = below.containers[0].lines[0].get_xdata()
    np.testing.assert_allclose(points, found.pull[:4][np.isfinite(found.pull[:4])])
    assert "4 strongest of 10" in figure.texts[0].get_text().replace("\n", " ")
    assert UP != DOWN


def test_the_figure_without_refits_is_linear(whole, best):
    quick = impacts(whole, "mu", result=best, refits=False)
    figure = ranking(quick)
    above = figure.axes[1]
    assert {round(p.get_width(), 12) for p in above.patches} >= {
        round(float(-x), 12) for x in quick.post
    }
    assert "linear shifts" in figure.texts[0].get_text()


def test_the_figure_of_what_has_no_value(absent):
    result = inference.fit(absent, init={"mass": 2.0})
    found = impacts(absent, "sm_normalisation", result=result, refits=False)
    figure = ranking(found)
    assert "2 rows lack a bar" in figure.texts[0].get_text().replace("\n", " ")
    figure.canvas.draw()


def test_figures_that_are_refused(found):
    with pytest.raises(errors.ParameterError, match="at least one"):
        ranking(found, 0)
    alone = dataclasses.replace(found, names=())
    with pytest.raises(errors.ParameterError, match="nothing to rank"):
        ranking(alone)
