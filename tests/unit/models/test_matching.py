"""Complete models: what a Lagrangian matches onto, what stays invisible, what it derives."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import errors, models
from bknn.models import Matched, Matching
from bknn.models.complete.higgs_portal import penguin

pytestmark = pytest.mark.usefixtures("quick_compilation")

PORTAL = models.load("higgs-portal")
POINT = {"mass": 2.0, "sin_theta": 5e-3}


class Pairs(Matching):
    """Fermions through a heavy mediator of mass M, part of them seen."""

    name = "pairs"
    description = "SM + B -> K(*) psi psibar"
    effective = models.FermionPair
    lagrangian = (
        bknn.Parameter("m_psi", 0.6, (0.0, 2.0), unit="GeV"),
        bknn.Parameter("g", 0.5, (0.0, 10.0), coupling="new"),
        bknn.Parameter("seen", 0.25, (0.0, 1.0), fixed=True),
    )
    null: ClassVar = {"g": 0.0}
    thresholds = ("m_psi",)
    derived_quantities = (bknn.DerivedQuantity("g2_over_m2", "TeV^-2"),)

    def match(self, params):
        return Matched(
            {"mass": params["m_psi"], "f_VV": params["g"]},
            1.0 - params["seen"],
            {"g2_over_m2": params["g"] ** 2 / 100.0},
        )


# ---------------------------------------------------------------- spectra


def test_a_matching_is_its_effective_model():
    """Line for line, in every channel, times the fraction that stays invisible."""
    point = {**POINT, "sm_normalisation": 0.9, "br_visible": 0.2, "width": 0.0, "mass_t": 170.0}
    inputs = PORTAL.inputs
    xi = 3 * 2**0.5 * inputs.g_fermi * 170.0**2 * inputs.ckm / (16 * np.pi**2)
    g = xi * inputs.mass_b * 5e-3 / (2 * 246.21965)
    scalar = models.load("scalar")
    known = {"mass": 2.0, "g_S": g, "g_P": g, "width": 0.0, "sm_normalisation": 0.9}
    for channel in ("B+ -> K+", "B0 -> K*0"):
        mine, theirs = PORTAL.spectrum(point, channel), scalar.spectrum(known, channel)
        (a,), (b,) = mine.lines, theirs.lines
        np.testing.assert_allclose(a.branching_ratio, 0.8 * b.branching_ratio, rtol=1e-13)
        q2 = jnp.array([1.0, 9.0])
        np.testing.assert_array_equal(mine.continuum(q2), theirs.continuum(q2))


def test_pairs_are_scaled_as_shapes_and_as_densities():
    """Where fits fold shapes once, and where they do not; the standard model stays whole."""
    mine, theirs = Pairs(), models.load("fermion-pair")
    own = {"m_psi": 0.6, "g": 0.5, "seen": 0.25, "sm_normalisation": 1.0}
    other = {p.name: p.init for p in theirs.parameters} | {"mass": 0.6, "f_VV": 0.5}
    q2, channel = jnp.array([0.5, 2.0, 9.0]), "B+ -> K+"
    (sm, a), (_, b) = (m.spectrum(p, channel).continua for m, p in ((mine, own), (theirs, other)))
    np.testing.assert_allclose(a(q2), 0.75 * b(q2), rtol=1e-13)
    shapes = a.as_shapes(held=True)
    np.testing.assert_allclose(shapes.weights @ shapes.functions(q2), a(q2), rtol=1e-10)
    np.testing.assert_allclose(
        sm(q2), models.load("sm").spectrum({"sm_normalisation": 1.0}, channel).continuum(q2)
    )


def test_nothing_visible_costs_nothing():
    """The number 1 is not in the program: the model without a fraction is the same to the bit."""
    (state,) = (s for s in PORTAL.final_states(_start()) if isinstance(s, models.theory.Particle))
    assert type(state.invisible) is float
    assert state.invisible == 1.0


def test_without_mixing_it_is_the_standard_model():
    found = bknn.predict(PORTAL, "r_k", params={"sin_theta": 0.0})
    np.testing.assert_allclose(found.value, 1.0, rtol=1e-12)


def test_options_reach_the_effective_model():
    other = models.load("higgs-portal", form_factors="hpqcd-2022", inputs="flavio-2.7.1")
    assert other.low.inputs is other.inputs
    assert other.low.form_factors["B -> K"].name == "hpqcd-2022"
    ratio = penguin(other.inputs.g_fermi, other.inputs.ckm, 1.0) / penguin(
        PORTAL.inputs.g_fermi, PORTAL.inputs.ckm, 1.0
    )
    np.testing.assert_allclose(ratio, 0.041199689738862746 / 0.04185, rtol=1e-7)


def _start() -> dict[str, float]:
    return {p.name: p.init for p in PORTAL.parameters}


# ---------------------------------------------------------------- derived quantities


def test_derived_quantities_are_predicted():
    found = bknn.predict(PORTAL, "higgs_signal_strength", params={"sin_theta": 0.6})
    assert float(found.value) == pytest.approx(0.64)
    assert str(bknn.predict(Pairs(), "g2_over_m2", params={"g": 2.0})) == "g2_over_m2: 0.04 TeV^-2"


def test_what_is_seen_and_what_is_not_add_up():
    """And both have the uncertainty of the same form factors."""
    point = {**POINT, "br_visible": 0.3}
    seen = bknn.predict(PORTAL, "br_kplus_visible", params=point)
    missing = bknn.predict(PORTAL, params=point, part="new")
    np.testing.assert_allclose(seen.value / missing.value, 3 / 7, rtol=1e-12)
    np.testing.assert_allclose(seen.uncertainty / missing.uncertainty, 3 / 7, rtol=1e-10)


def test_at_a_point_it_is_the_same_model():
    """Spectra and derived quantities, there and at other parameters; `match` is called once."""
    calls = []

    class Counted(Pairs):
        def match(self, params):
            calls.append(params["g"])
            return super().match(params)

    model = Counted()
    own = {"m_psi": 0.6, "g": 0.5, "seen": 0.25, "sm_normalisation": 1.0}
    here, q2 = model.at(own), jnp.array([2.0, 9.0])
    for params, seen in ((own, [0.5]), ({**own, "g": 0.7}, [0.7] * 3)):
        calls.clear()
        found = [here.spectrum(params, c).continuum(q2) for c in ("B+ -> K+", "B0 -> K*0")]
        numbers = here.derived(params)
        assert calls == seen
        known = [Pairs().spectrum(params, c).continuum(q2) for c in ("B+ -> K+", "B0 -> K*0")]
        np.testing.assert_array_equal(found, known)
        assert numbers == Pairs().derived(params)


def test_derived_quantities_have_slopes():
    def f(x):
        return PORTAL.derived({**_start(), "sin_theta": x, "br_visible": 0.5})["br_kplus_visible"]

    x, h = 4e-3, 1e-6
    np.testing.assert_allclose(jax.grad(f)(x), (f(x + h) - f(x - h)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"q2": (0.0, 4.0)}, "not a rate; leave out q2"),
        ({"part": "new"}, "leave out part='new'"),
    ],
)
def test_a_derived_quantity_has_no_region(asked, words):
    with pytest.raises(errors.UndefinedError, match=words):
        bknn.predict(PORTAL, "sin2_theta", **asked)


def test_unknown_observables_name_the_derived_ones():
    with pytest.raises(errors.UnknownNameError, match="did you mean 'sin2_theta'"):
        bknn.predict(PORTAL, "sin_2theta")


# ---------------------------------------------------------------- models that are wrong


def broken(**changes):
    return type("Broken", (Pairs,), changes)()


def test_a_match_onto_what_is_not_there():
    wrong = broken(match=lambda self, params: Matched({"f_XX": 1.0}))
    with pytest.raises(errors.ParameterError, match=r"matches onto 'f_XX'.*'fermion-pair'.*f_VV"):
        bknn.predict(wrong)


@pytest.mark.parametrize(
    ("derived", "words"),
    [
        (lambda self, params: {"other": 1.0}, "declares the derived quantities g2_over_m2.*other"),
        (lambda self, params: {"g2_over_m2": jnp.ones(2)}, r"the shape \(2,\)"),
        (lambda self, params: {"g2_over_m2": float(params["g"])}, "without Python branches"),
        (lambda self, params: 1.0, "returns float"),
    ],
)
def test_derived_that_is_none(derived, words):
    with pytest.raises(errors.ParameterError, match=words):
        bknn.predict(broken(derived=derived), "g2_over_m2")


def test_names_of_derived_quantities():
    with pytest.raises(errors.ParameterError, match="not a Python identifier"):
        bknn.DerivedQuantity("BR(S -> mu mu)")
