"""The weak effective theory and the Belle II data: numbers of arXiv:2507.12393.

What its chain of programs gives on the same files is in tests/peers/test_wet_chain.py; here are
the numbers, without the programs.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

import bknn
from bknn import inference, models

COEFFICIENTS = ("C_VL", "C_SL", "C_TL")
SM = dict(zip(COEFFICIENTS, (6.613114906357177, 0.0, 0.0), strict=True))
VECTOR = {"C_SL": 0.0, "C_TL": 0.0}


@functools.cache
def analysis(response="reweighting", **options):
    data = bknn.data.load("belle2-2025")
    return bknn.Analysis(models.load("wet", **options), data, response=response)


def fits(target, sm=SM):
    """The best fit, the standard model, and the vector operator alone."""
    fitted = [inference.fit(target, fixed=f).check() for f in ({}, sm, VECTOR)]
    best = fitted[0]
    rises = [float(f.twice_nll - best.twice_nll) for f in fitted[1:]]
    return best, rises, float(fitted[2].params["C_VL"])


def test_what_takes_part():
    """Three coefficients, eight form-factor parameters, and 228 nuisances: the form factors of the
    measurement's template are replaced."""
    target = analysis(inputs="eos-1.0.21")
    assert [p.name for p in target.parameters if not p.nuisance] == list(COEFFICIENTS)
    assert [p.name for p in target.parameters if p.nuisance] == [f"ff_K_{i}" for i in range(8)]
    assert target.size == 3 + 8 + 228
    assert target.constants == {"C_VR": 0.0, "C_SR": 0.0}
    modifiers = target.measurements[0].form_factor_modifiers
    assert len(modifiers) == 3
    assert not set(modifiers) & set(target.names)
    assert target.null_values() == pytest.approx(SM)


@pytest.mark.slow
def test_fit_of_the_public_analysis():
    """In the reference mode with the inputs of EOS: (11.43, 0.12, 8.42) where minuit stops."""
    best, (sm, vector), alone = fits(analysis(inputs="eos-1.0.21"))
    found = [float(best.params[n]) for n in COEFFICIENTS]
    np.testing.assert_allclose(found, (11.43, 0.12, 8.42), atol=0.125)
    np.testing.assert_allclose(found, (11.430, 0.0, 8.416), atol=2e-3)
    assert (sm, vector) == pytest.approx((9.26, 1.98), abs=0.1)
    assert (sm, vector) == pytest.approx((9.2611, 1.9839), abs=2e-3)
    assert alone == pytest.approx(14.13, abs=0.1)
    assert float(best.twice_nll) == pytest.approx(-16.0298, abs=1e-3)
    assert list(best.at_bounds) == ["C_SL"]
    # The published posterior mode, for flat priors: (11.3, 0.0, 8.2).
    np.testing.assert_allclose(found, (11.3, 0.0, 8.2), atol=0.25)


def test_only_sums_of_coefficients_matter():
    """To B+ -> K+ alone: what is taken from C_VL can be put into C_VR."""
    one = analysis(inputs="eos-1.0.21")
    both = bknn.Analysis(one.model, one.measurements, response="reweighting", free=["C_VR", "C_SR"])
    values = {**one.init, "C_VL": 9.0, "C_SL": 3.0, "ff_K_1": 0.6}
    expected = float(jax.jit(one.log_density)(one.flatten(values)))
    density = jax.jit(both.log_density)
    for vector, scalar in ((0.0, 0.0), (2.0, -5.0), (-4.0, 1.0)):
        moved = {"C_VL": 9.0 - vector, "C_VR": vector, "C_SL": 3.0 - scalar, "C_SR": scalar}
        got = float(density(both.flatten(values | moved)))
        assert got == pytest.approx(expected, abs=1e-9)
    # Absolute values of the sums, that is.
    moved = {"C_VL": -9.0, "C_VR": 0.0, "C_SL": 0.0, "C_SR": -3.0}
    assert float(density(both.flatten(values | moved))) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "response", [pytest.param("smooth", marks=pytest.mark.slow), "reweighting"]
)
def test_gradient_of_the_log_density(response):
    """In all 239 parameters against finite differences."""
    target = analysis(response, inputs="eos-1.0.21")
    random = np.random.default_rng(4)
    point = target.init_vector + 0.02 * random.normal(size=target.size)
    for name, value in {"C_VL": 9.0, "C_SL": 3.0, "C_TL": 5.0, "ff_K_2": 1.1}.items():
        point[target.index(name)] = value
    gradient = np.asarray(jax.jit(jax.grad(target.log_density))(point))
    sizes = np.maximum(np.abs(point), 0.1)
    batched = jax.jit(jax.vmap(target.log_density))
    step = 1e-3  # of a sum of 1e5 one digit in 1e-11 is left
    steps = np.concatenate([n * step * np.diag(sizes) for n in (1, -1, 2, -2)])
    up, down, far_up, far_down = np.asarray(batched(point[None, :] + steps)).reshape(4, -1)
    numeric = (8 * (up - down) - (far_up - far_down)) / (12 * step)
    np.testing.assert_allclose(gradient * sizes, numeric, rtol=1e-6, atol=1e-7)
    assert (gradient != 0.0).all()


@pytest.mark.slow
def test_the_smooth_response_beside_it():
    """Efficiencies that vary within a true-q2 bin change little, for spectra that are smooth."""
    best, (sm, vector), alone = fits(analysis("smooth", inputs="eos-1.0.21"))
    found = [float(best.params[n]) for n in COEFFICIENTS]
    np.testing.assert_allclose(found, (11.436, 0.0, 8.401), atol=2e-3)
    assert float(best.twice_nll) == pytest.approx(-16.0147, abs=1e-3)
    assert (sm, vector) == pytest.approx((9.2458, 1.9726), abs=2e-3)
    assert alone == pytest.approx(14.130, abs=2e-3)


@pytest.mark.slow
def test_the_default_mode_beside_it():
    """With alpha at the Z mass and newer CKM elements coefficients scale, the data do not."""
    target = analysis("smooth")
    c_sm = float(target.model.inputs.c_sm)
    best, (sm, vector), alone = fits(target, sm=SM | {"C_VL": c_sm})
    other, (other_sm, other_vector), other_alone = fits(analysis("smooth", inputs="eos-1.0.21"))
    assert float(best.twice_nll) == pytest.approx(float(other.twice_nll), abs=0.02)
    assert vector == pytest.approx(other_vector, abs=0.02)
    ours, theirs = (
        float(m.inputs.alpha * m.inputs.ckm * np.sqrt(m.inputs.lifetimes["B+"]))
        for m in (target.model, models.load("wet", inputs="eos-1.0.21"))
    )
    for name in ("C_VL", "C_TL"):
        scaled = float(other.params[name]) * theirs / ours
        assert float(best.params[name]) == pytest.approx(scaled, rel=2e-3)
    assert alone == pytest.approx(other_alone * theirs / ours, rel=2e-3)
    # The standard model is another point then: 2.7% more decays, and as far away.
    assert sm == pytest.approx(other_sm, abs=0.4)
    assert sm < other_sm
