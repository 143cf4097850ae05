"""A scalar that mixes with the Higgs boson, against what others have computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bknn
from bknn import models
from bknn.inputs import STANDARD
from bknn.models.complete.higgs_portal import penguin

#: Gamma(B+ -> K+ S)/sin^2(theta) in GeV at masses in GeV. Numbers of the public code that goes with
#: arXiv:1904.10447 (github.com/JLTastet/scalar_portal, test/test_production.py, made there with
#: Mathematica). Its inputs: m_t = 174 GeV, |V_tb V_ts| = 1.019 x 0.0394, f_0 = 0.33/(1 - q2/38),
#: v = 246 GeV, m_s = 0; xi is then 3.8091e-4 there.
PUBLIC = {0.0: 1.8602870173762396e-13, 1.0: 1.889850436964034e-13, 2.0: 1.9802185907651862e-13}
CKM = 1.019 * 0.0394


def test_the_coupling_of_that_code():
    found = penguin(1.1663787e-5, CKM, 174.0)
    np.testing.assert_allclose(found, 0.0003809123090962853, rtol=1e-12)


@pytest.mark.parametrize("mass", PUBLIC)
def test_width_against_a_public_code(mass):
    """With its inputs, and the ratio of form factors and of v."""
    masses = {**STANDARD.masses, "B+": 5.27932, "K+": 0.497611}
    inputs = replace(STANDARD, name="theirs", ckm=CKM, mass_s=0.0, masses=masses)
    model = models.load("higgs-portal", inputs=inputs)
    point = {"mass": mass, "sin_theta": 1e-3, "mass_t": 174.0}
    found = float(bknn.predict(model, params=point, part="new").value) / 1e-6
    form_factors = model.form_factors["B -> K"]
    f_0 = float(form_factors(np.array([mass**2]), form_factors.mean)["f_0"][0])
    ratio = 0.33 / (1 - mass**2 / 38) / f_0 * 246.21965 / 246.0
    width = found / float(inputs.lifetimes["B+"]) * ratio**2
    np.testing.assert_allclose(width, PUBLIC[mass], rtol=3e-5)


def test_closed_form_of_the_vector_meson():
    """Gamma(B0 -> K*0 S) = |xi sin(theta) m_b/(v (m_b + m_s))|^2 p^3/(8 pi) A_0^2 (two-body decay
    of a pseudoscalar density: <K*|sbar g5 b|B> = -2i m_K* (eps q) A_0/(m_b + m_s))."""
    model, mass, theta = models.load("higgs-portal"), 1.5, 1e-3
    inputs = model.inputs
    m_b, m_k = inputs.masses["B0"], inputs.masses["K*0"]
    p = np.sqrt((m_b**2 - (m_k + mass) ** 2) * (m_b**2 - (m_k - mass) ** 2)) / (2 * m_b)
    form_factors = model.form_factors["B -> K*"]
    a_0 = float(form_factors(np.array([mass**2]), form_factors.mean)["A0"][0])
    xi = 3 * np.sqrt(2) * inputs.g_fermi * 172.57**2 * inputs.ckm / (16 * np.pi**2)
    coupling = xi * theta * inputs.mass_b / 246.21965 / (inputs.mass_b + inputs.mass_s)
    width = coupling**2 * p**3 / (8 * np.pi) * a_0**2
    found = bknn.predict(
        model, "branching_ratio", "B0 -> K*0", {"mass": mass, "sin_theta": theta}, part="new"
    )
    np.testing.assert_allclose(found.value, width * inputs.lifetimes["B0"], rtol=1e-6)


def test_the_size_that_is_quoted():
    """BR(B -> K S) = 0.5 sin^2(theta) for a light S, within its 20 % of scheme and form factor."""
    found = bknn.predict(
        models.load("higgs-portal"), params={"mass": 0.3, "sin_theta": 1e-2}, part="new"
    )
    assert float(found.value) / 1e-4 == pytest.approx(0.5, rel=0.2)
