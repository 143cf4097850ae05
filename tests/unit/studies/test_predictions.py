"""Predictions from a fit: a measurement of BR(B+ -> K+) that is one normal number, whose
consequences for B -> K* can be worked out otherwise."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import bknn
from bknn import errors, inference, models, studies
from bknn.data import Measurement, Result
from bknn.plot import planes
from bknn.prediction import value
from bknn.questions.compare import comparison_table, measured_json, measured_table
from bknn.studies.compare import read
from bknn.studies.observables.predictions import Predictions
from bknn.studies.observables.propagation import push
from bknn.studies.observables.quantities import Quantity, evaluate

CHANNEL = "B0 -> K*0"
MASS, MEASURED, WIDTH = 2.1, 1.4e-5, 2e-6
QUANTITIES = (
    Quantity(),
    Quantity("branching_ratio", CHANNEL),
    Quantity("f_l", CHANNEL),
    Quantity("f_l", CHANNEL, around=1.0),
    Quantity(channel="Bs -> invisible"),
)


def measurement() -> Measurement:
    result = Result("BR(B+ -> K+)", MEASURED, WIDTH, WIDTH, {"B+ -> K+": 1.0})
    return Measurement("one", "one branching fraction", {}, results=(result,))


@pytest.fixture(scope="module")
def best(quick_compilation):
    """A right-handed scalar, which ties B -> K* to B -> K."""
    analysis = bknn.Analysis(models.load("scalar", basis="chiral"), measurement())
    return inference.fit(analysis, fixed={"mass": MASS}).check()


@pytest.fixture(scope="module")
def found(best) -> Predictions:
    return studies.predictions(best, QUANTITIES, method="hessian")


@pytest.mark.slow
def test_values_are_those_of_predict(quick_compilation):
    model = models.load("vector")
    point = {p.name: p.init for p in model.parameters}
    point |= {"mass": MASS, "h_V": 7e-9, "h_A": -3e-9}
    wanted = [
        Quantity("branching_ratio", CHANNEL),
        Quantity("f_l", CHANNEL, (4.0, 5.0)),
        Quantity("f_l", CHANNEL, around=1.5),
        Quantity("r_kstar", CHANNEL),
        Quantity("r_f_l", CHANNEL, (0.0, 8.0)),
        Quantity("f_l", CHANNEL, 3.0),
        Quantity("dbr_dq2", CHANNEL, 3.0),
        Quantity("r_k", "B0 -> K0", (1.0, 6.0)),
        Quantity(channel="Bs -> invisible"),
    ]

    @jax.jit
    def both(width):
        params = point | {"width": width}
        around = (MASS**2 - 1.5, MASS**2 + 1.5)
        one_by_one = [
            value(model, q.observable, q.channel, params, q.q2 if q.around is None else around)
            for q in wanted
        ]
        return evaluate(model, wanted, params), one_by_one

    got, expected = both(0.3)
    np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.slow
def test_what_is_measured_comes_back(found):
    """Form factors of B -> K and the normalisation move, the branching fraction does not."""
    assert found.values[0] == pytest.approx(MEASURED, rel=1e-8)
    assert found.uncertainties[0] == pytest.approx(WIDTH, rel=1e-5)
    low, high = found.ranges[0.95][0]
    assert (high - low) / 2 == pytest.approx(1.959964 * WIDTH, rel=1e-5)
    assert found.values[4] == found.uncertainties[4] == 0.0  # no Bs -> phi at tree level


@pytest.mark.slow
def test_chiral_couplings_tie_kstar_to_k(found, best):
    """Against draws: of the measured number, of form factors, of the normalisation."""
    analysis = best.target
    random = np.random.default_rng(3)
    n = 4000
    ours = push(analysis, QUANTITIES[:4])
    names = [p.name for p in analysis.parameters]
    vectors = np.tile(best.vector[: len(names)], (n, 1))
    constrained = [i for i, p in enumerate(analysis.parameters) if p.constraint is not None]
    for i in constrained:
        centre, width = analysis.parameters[i].constraint
        vectors[:, i] = centre + width * random.standard_normal(n)
    others = random.standard_normal((n, len(ours.others)))
    assert {p.name.rsplit("_", 1)[0] for p in ours.others} == {"ff_Kstar"}
    coupling = names.index("C_S_R")
    program = jax.jit(jax.vmap(ours))
    # The rate is that of the standard model, and one that goes like the square of the coupling.
    one = np.asarray(program(vectors, others))[:, 0]
    without = vectors.copy()
    without[:, coupling] = 0.0
    sm = np.asarray(program(without, others))[:, 0]
    wanted = MEASURED + WIDTH * random.standard_normal(n)
    vectors[:, coupling] *= np.sqrt((wanted - sm) / (one - sm))
    draws = np.asarray(program(vectors, others))
    np.testing.assert_allclose(draws[:, 0], wanted, rtol=1e-12)
    for i in range(4):
        assert np.median(draws[:, i]) == pytest.approx(found.values[i], rel=0.02)
    # The last one is close to 1, and not linear.
    for i in range(3):
        assert np.std(draws[:, i]) == pytest.approx(found.uncertainties[i], rel=0.12)
    assert np.corrcoef(draws.T[:3]) == pytest.approx(found.correlation[:3, :3], abs=0.08)


@pytest.mark.slow
def test_bands(best):
    edges = np.array([[0.0, 4.0], [4.0, 5.0]])
    rate = studies.band(best, "dbr_dq2", CHANNEL, edges)
    assert (rate.low < rate.value).all()
    assert (rate.value < rate.high).all()
    bins = [Quantity("branching_ratio", CHANNEL, (low, high)) for low, high in edges]
    whole = studies.predictions(best, bins, method="hessian")
    np.testing.assert_allclose(rate.value, whole.values / np.diff(edges)[:, 0], rtol=1e-12)
    sigma = whole.uncertainties / np.diff(edges)[:, 0]
    np.testing.assert_allclose(rate.high - rate.value, sigma, rtol=1e-9)


@pytest.mark.slow
def test_reports_and_figures(found, best, tmp_path):
    content = measured_json(best, found, settings={})
    assert [r["around"] for r in content["predictions"]] == [None, None, None, 1.0, None]
    assert content["predictions"][0]["68"] == pytest.approx([1.2e-5, 1.6e-5], rel=1e-4)
    assert "mass^2 -+ 1" in measured_table(best, found)
    table = comparison_table({"scalar:C_S_R": best}, {"scalar:C_S_R": found}, None)
    assert "14.0 -2.0 +2.0" in table
    stored = found.to_dataset()
    np.testing.assert_array_equal(stored["value"], found.values)
    np.testing.assert_array_equal(stored["range"][0], found.ranges[next(iter(found.ranges))])
    pair = (QUANTITIES[1], QUANTITIES[2])
    (axes,) = planes({"scalar:C_S_R": found}, [pair]).axes
    assert axes.get_ylabel().startswith("$F_L$")


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        (Quantity("f_l", "B+ -> K+"), "polarisation of a vector meson"),
        (Quantity("br"), "unknown observable 'br'"),
        (Quantity("f_l", CHANNEL, (1.0, 2.0), around=1.0), "leave one of them out"),
        (Quantity("f_l", CHANNEL, around=-1.0), "positive half width"),
    ],
)
def test_what_cannot_be_predicted(best, quantity, words):
    with pytest.raises(errors.BknnError, match=words):
        studies.predictions(best, [quantity])


def test_refusals(best):
    with pytest.raises(errors.ParameterError, match="no observable"):
        studies.predictions(best, [])
    with pytest.raises(errors.ParameterError, match="does not go with a FitResult"):
        studies.predictions(best, QUANTITIES, method="posterior")
    with pytest.raises(errors.UnknownNameError, match="method"):
        studies.predictions(best, QUANTITIES, method="guess")
    with pytest.raises(errors.ParameterError, match="no narrow line"):
        Quantity("f_l", CHANNEL, around=1.0).check(models.load("fermion-pair"))


def test_scenarios_are_read():
    model, couplings = read("vector:C_V_L")
    assert (model.name, model.basis, couplings) == ("vector", "chiral", ("C_V_L",))
    assert read("vector:h_V,h_A")[0].basis == "parity"
    assert read("wet:C_VL")[1] == ("C_VL",)
    for text, words in (
        ("vector", "no scenario"),
        ("vector:h_X", "h_X"),
        ("vector:h_V,C_V_L", "different bases"),
    ):
        with pytest.raises(errors.BknnError, match=words):
            read(text)


@pytest.mark.slow
def test_profiles_of_observables(found, best):
    """Exact where the observable is what was measured; close to the covariance elsewhere, and not
    symmetric where the observable is not linear."""
    got = studies.predictions(best, QUANTITIES[:4])
    np.testing.assert_allclose(got.values, found.values[:4], rtol=1e-6)
    for level, sigmas in ((0.6827, 1.0), (0.95, 1.959964)):
        key = min(got.ranges, key=lambda x: abs(x - level))
        low, high = got.ranges[key][0]
        assert low == pytest.approx(MEASURED - sigmas * WIDTH, rel=1e-4)
        assert high == pytest.approx(MEASURED + sigmas * WIDTH, rel=1e-4)
        for i in range(1, 4):
            low, high = got.ranges[key][i]
            expected = 2 * sigmas * found.uncertainties[i]
            assert high - low == pytest.approx(expected, rel=0.05 if i < 3 else 0.2)
            assert low < got.values[i] < high
    # F_L rises ever more slowly with the coupling.
    low, high = got.ranges[0.95][3]
    assert got.values[3] - low > 1.3 * (high - got.values[3])


@pytest.mark.slow
def test_regions_hold_their_probability(found, best):
    """A contour of two observables is an ellipse of the covariance where both are nearly linear."""
    lines = studies.predicted_regions(best, QUANTITIES[0], QUANTITIES[1], sigmas=[1])[1]
    (line,) = lines
    moved = line - found.values[:2]
    covariance = found.correlation[:2, :2] * np.outer(*[found.uncertainties[:2]] * 2)
    distance = np.einsum("ni,ij,nj->n", moved, np.linalg.inv(covariance), moved)
    np.testing.assert_allclose(np.sqrt(distance / 2.2957), 1.0, atol=0.12)
