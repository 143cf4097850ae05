"""Points that name some parameters, signs of couplings, the new state alone, and where nothing is
defined."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

import bknn
from bknn import errors, inference, models, studies
from bknn.data import Measurement, Result
from bknn.inputs import STANDARD
from bknn.parameters import couplings_of, point
from bknn.prediction import value
from bknn.studies.compare import TELLING, existing
from bknn.studies.observables.quantities import Quantity, evaluate

from ...physics.longhand import Decay

pytestmark = pytest.mark.usefixtures("quick_compilation")

K, KSTAR0 = "B+ -> K+", "B0 -> K*0"
load = functools.cache(models.load)


def number(model, *words, **options):
    return float(bknn.predict(load(model), *words, **options).value)


# ---------------------------------------------------------------- what is not named is off


@pytest.mark.slow
def test_couplings_that_are_not_named_are_off():
    """The dipole alone, as an independent formula has it, not with what h_V starts at."""
    given = {"mass": 2.1, "h_T": 4.8e-9}
    sm = number("sm")
    alone = Decay(K).k_vector(2.1, h_t=4.8e-9)
    assert number("vector", params=given) == pytest.approx(sm + alone, rel=1e-9)
    assert number("vector", params=given) == pytest.approx(1.406e-5, rel=1e-3)
    both = sm + Decay(K).k_vector(2.1, h_v=7e-9, h_t=4.8e-9)
    assert number("vector", params={**given, "h_V": 7e-9}) == pytest.approx(both, rel=1e-9)
    assert both == pytest.approx(4.059e-5, rel=1e-3)
    # Where no coupling is named, all are at their start.
    assert number("vector", params={"mass": 2.1}) == pytest.approx(
        sm + Decay(K).k_vector(2.1, h_v=7e-9), rel=1e-9
    )


@pytest.mark.parametrize("name", list(models.available()))
def test_points_of_all_models(name):
    model = load(name)
    start = {p.name: p.init for p in model.parameters}
    assert point(model, {}) == start
    own = couplings_of(model)
    others = set(start) - set(own)
    for first in own[:3]:
        found = point(model, {first: start[first] or 1e-9})
        assert {n: found[n] for n in others} == {n: start[n] for n in others}
        for other in own:
            if other != first:
                expected = float(STANDARD.c_sm) if other == "C_VL" else 0.0
                assert found[other] == pytest.approx(expected)


def test_coefficients_of_a_file_are_named():
    given = models.wcxf.WilsonCoefficients.from_eos({"C_VL": 9.0, "C_SL": 3.0}, STANDARD)
    model = models.load("wet", wilson_coefficients=given)
    assert point(model, {"C_TL": 1.0}) == pytest.approx(
        {"C_VL": 9.0, "C_VR": 0.0, "C_SL": 3.0, "C_SR": 0.0, "C_TL": 1.0}
    )


def test_signs_in_a_file_are_relative():
    """C_VL < 0 with C_VR > 0: the square of the sum, not of the sum of absolute values."""
    given = {"C_VL": -9.0, "C_VR": 2.0, "C_SL": 0.0, "C_SR": 0.0, "C_TL": 0.0}
    read = models.wcxf.WilsonCoefficients.from_eos(given, STANDARD)
    model = models.load("wet", wilson_coefficients=read)
    expected = number("sm") * (7.0 / float(STANDARD.c_sm)) ** 2
    assert float(bknn.predict(model).value) == pytest.approx(expected, rel=1e-9)


def test_points_of_an_analysis():
    result = Result("BR", 1e-5, 1e-6, 1e-6, {K: 1.0})
    measured = Measurement("one", "one number", {}, results=(result,))
    analysis = bknn.Analysis(load("vector"), measured, free=["h_T"])
    found = analysis.at({"h_T": 1e-9})
    assert set(found) == set(analysis.init)
    assert (float(found["h_V"]), float(found["h_T"])) == (0.0, 1e-9)
    assert float(analysis.at({"mass": 1.0})["h_V"]) == 7e-9
    with pytest.raises(errors.UnknownNameError, match="h_S"):
        analysis.at({"h_S": 1.0})


# ---------------------------------------------------------------- signs


@pytest.mark.slow
def test_relative_signs_are_observable():
    """Interference, in three decays, against formulas that are written out."""
    for h_v in (-7e-9, 7e-9):
        given = {"mass": 2.1, "h_V": h_v, "h_T": 2e-9}
        expected = Decay(K).k_vector(2.1, h_v=h_v, h_t=2e-9)
        assert number("vector", params=given, part="new") == pytest.approx(expected, rel=1e-9)
        longitudinal, whole = Decay(KSTAR0).kstar_vector(2.1, h_v=h_v, h_t=2e-9, h_a=1e-9)
        given["h_A"] = 1e-9
        for observable, wanted in (("branching_ratio", whole), ("f_l", longitudinal / whole)):
            got = number("vector", observable, KSTAR0, params=given, part="new")
            assert got == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(errors.ParameterError, match="its sign is not observable"):
        number("vector", params={"h_V": -7e-9})
    # Named is named, if only at 0.
    assert number("vector", params={"h_V": -7e-9, "h_T": 0.0}) == number(
        "vector", params={"h_V": 7e-9}
    )


@pytest.mark.slow
def test_a_fit_finds_the_sign():
    """A rate that the dipole alone exceeds: only destructive interference makes it."""
    h_t, wanted = 4.8e-9, 1e-6
    amplitude = math.sqrt(Decay(K).k_vector(2.1, h_v=7e-9)) / 7e-9
    dipole = math.sqrt(Decay(K).k_vector(2.1, h_t=h_t))
    result = Result("BR", number("sm") + wanted, 1e-8, 1e-8, {K: 1.0})
    measured = Measurement("one", "one number", {}, results=(result,))
    analysis = bknn.Analysis(load("vector"), measured, free=["h_T"])
    assert analysis.bounds[analysis.index("h_V")].tolist() == [-1e-5, 1e-5]
    best = inference.fit(analysis, fixed={"mass": 2.1, "h_T": h_t}).check()
    solutions = [(sign * math.sqrt(wanted) - dipole) / amplitude for sign in (1, -1)]
    assert min(abs(best.params["h_V"] / x - 1) for x in solutions) < 1e-3
    assert float(best.params["h_V"]) < 0
    # With the other sign of the dipole it is the mirror image.
    other = inference.fit(analysis, fixed={"mass": 2.1, "h_T": -h_t}).check()
    assert float(other.twice_nll) == pytest.approx(float(best.twice_nll), abs=1e-6)
    assert float(other.params["h_V"]) > 0
    # What floats together has a common sign that is a convention.
    assert analysis.positive(()) == ("h_V",)
    assert analysis.positive(("h_V",)) == ()
    assert bknn.Analysis(load("vector"), measured).bounds[1].tolist() == [0.0, 1e-5]
    # The prior stays on the side of the convention.
    (prior,) = (p.distribution for p in analysis.parameters if p.name == "h_V")
    assert float(prior.low) == 0.0 < float(prior.high) <= 1e-5


# ---------------------------------------------------------------- the new state alone


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("scalar", {"mass": 1.0, "g_S": 1e-8, "g_P": 2e-8}),
        ("fermion-pair", {"mass": 0.6, "f_VV": 2.0, "f_AA": 3.0}),
    ],
)
def test_the_new_state_is_the_difference_to_the_standard_model(name, given):
    """Rates, and ratios to the standard model; decays through a tau are none of the new state."""
    model, sm = models.load(name, long_distance=True), models.load("sm", long_distance=True)
    params = point(model, given)
    for channel in ("B+ -> K*+", "Bs -> invisible"):
        everything, new, known = (
            float(value(m, "branching_ratio", channel, params, part=part))
            for m, part in ((model, "all"), (model, "new"), (sm, "all"))
        )
        assert new == pytest.approx(everything - known, rel=1e-9, abs=1e-30)
    all_, new = (
        float(value(load(name), "r_kstar", KSTAR0, params, part=part)) for part in ("all", "new")
    )
    assert new == pytest.approx(all_ - 1, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sm", "nothing beyond the standard model"),
        ("signal-strength", "nothing beyond the standard model"),
        ("wet", "interfere"),
        ("wet-rhn", "interfere"),
    ],
)
def test_models_without_a_new_state(name, words):
    with pytest.raises(errors.UndefinedError, match=words):
        number(name, part="new")
    with pytest.raises(errors.UnknownNameError, match="all, new"):
        number(name, part="old")


# ---------------------------------------------------------------- outside phase space

KSTAR_END = (STANDARD.masses["B0"] - STANDARD.masses["K*0"]) ** 2


@pytest.mark.slow
@pytest.mark.parametrize("part", ["all", "new"])
def test_what_is_not_defined_is_refused(part):
    """Every polarisation and every ratio beyond the end of phase space, in one way."""
    name, given = "vector", {"mass": 2.1, "h_V": 7e-9, "width": 0.2}
    for observable, q2 in (
        ("f_l", 19.3),
        ("f_l", [3.0, 30.0]),
        ("f_l", (19.3, 25.0)),
        ("r_f_l", 30.0),
        ("r_f_l", (19.3, 25.0)),
        ("r_kstar", (19.3, 25.0)),
        ("r_kstar", (float(KSTAR_END), math.inf)),
    ):
        with pytest.raises(errors.UndefinedError, match=r"not defined.*ends at 19\.2"):
            number(name, observable, KSTAR0, given, q2, part=part)
        if not isinstance(q2, list):
            # The pure function says 0, and has finite derivatives.
            params = point(load(name), given)
            assert float(value(load(name), observable, KSTAR0, params, q2, part=part)) == 0.0
    # Rates are 0 there, and a bin that reaches beyond counts as far as it is inside.
    assert number("sm", "dbr_dq2", KSTAR0, q2=30.0) == 0.0
    given["h_A"] = 7e-9
    assert 0.0 < number(name, "f_l", KSTAR0, given, (15.0, 30.0), part=part) < 1.0


@pytest.mark.slow
def test_a_new_state_that_does_not_decay_has_no_polarisation():
    heavy = {"mass": 4.9, "h_V": 7e-9}
    assert number("vector", channel=KSTAR0, params=heavy, part="new") == 0.0
    for given in (heavy, {"mass": 2.1, "h_V": 0.0}):
        with pytest.raises(errors.UndefinedError, match="nothing decays"):
            number("vector", "f_l", KSTAR0, given, part="new")


@pytest.mark.parametrize("q2", [-1.0, math.nan, [1.0, math.inf], (-1.0, 4.0), (math.nan, 4.0)])
@pytest.mark.parametrize("observable", ["dbr_dq2", "f_l", "branching_ratio", "r_kstar", "r_f_l"])
def test_q2_that_are_none(observable, q2):
    with pytest.raises(errors.ParameterError, match=r"q2|asked for"):
        number("sm", observable, KSTAR0, q2=q2)


@pytest.mark.slow
def test_quantities_that_are_not_defined():
    result = Result("BR", 1.2e-5, 1e-6, 1e-6, {KSTAR0: 1.0})
    measured = Measurement("one", "one number", {}, results=(result,))
    best = inference.fit(bknn.Analysis(load("scalar"), measured), fixed={"mass": 4.5, "g_S": 1e-8})
    wanted = Quantity("f_l", KSTAR0, around=0.5)
    with pytest.raises(errors.UndefinedError, match="not defined in the bin"):
        studies.predictions(best, [wanted], method="hessian")
    wanted = Quantity("f_l", KSTAR0, part="new")
    assert str(wanted) == "f_l (new), B0 -> K*0, all"
    with pytest.raises(errors.UndefinedError, match="nothing decays"):
        studies.predictions(best, [wanted], method="hessian")


def test_quantities_that_exist():
    """What `bknn predict --fit` asks for by default, of a model of one decay."""
    wanted = list(TELLING)
    found, absent = existing(load("resonance"), wanted)
    assert found == wanted[:1]
    assert list(absent) == wanted[1:]
    assert all("'resonance'" in reason for reason in absent.values())
    with pytest.raises(errors.UndefinedError, match="says nothing about 'B0 -> K"):
        existing(load("resonance"), wanted[1:])


def test_quantities_of_the_new_state():
    model = load("vector")
    params = point(model, {"mass": 2.1, "h_V": 7e-9, "h_A": 3e-9})
    wanted = [Quantity(o, KSTAR0, part="new") for o in ("branching_ratio", "f_l", "r_kstar")]
    got = evaluate(model, wanted, params)
    expected = [value(model, q.observable, KSTAR0, params, part="new") for q in wanted]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
