"""Line and Spectrum: what they accept, that they are pytrees, that they add up."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn.errors import ParameterError
from bknn.spectrum import Continuum, Line, Spectrum


def test_an_empty_spectrum_has_nothing_in_it():
    spectrum = Spectrum()
    assert spectrum.standard_model == 0.0
    assert spectrum.continuum is None
    assert spectrum.lines == ()


def test_they_are_frozen():
    with pytest.raises(AttributeError):
        Line(1.0, 1e-6).mass = 2.0
    with pytest.raises(AttributeError):
        Spectrum().lines = (Line(1.0, 1e-6),)


@pytest.mark.parametrize("width", [0, 0.0, np.float64(0.0)])
def test_a_plain_zero_width_is_known_to_be_narrow(width):
    assert Line(2.1, 1e-6, width).known_narrow


def test_a_width_that_may_change_is_not_known_to_be_narrow():
    assert not Line(2.1, 1e-6, 0.1).known_narrow
    assert not Line(2.1, 1e-6, jnp.zeros(())).known_narrow
    seen = []

    @jax.jit
    def traced(width):
        seen.append(Line(2.1, 1e-6, width).known_narrow)
        return width

    traced(0.0)
    assert seen == [False]


@pytest.mark.parametrize("name", ["mass", "width", "branching_ratio"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_line_with_a_number_that_is_none_is_refused(name, value):
    values = {"mass": 2.1, "branching_ratio": 1e-6, name: value}
    with pytest.raises(ParameterError, match=f"{name} = {value}"):
        Line(**values)


@pytest.mark.parametrize("name", ["mass", "width"])
def test_negative_mass_and_width_are_refused(name):
    values = {"mass": 2.1, "branching_ratio": 1e-6, name: -0.5}
    with pytest.raises(ParameterError, match=f"a {name} cannot be negative"):
        Line(**values)


def test_a_negative_branching_ratio_is_allowed():
    assert Line(2.1, -1e-6).branching_ratio == -1e-6


def test_lines_must_be_a_tuple():
    with pytest.raises(ParameterError, match=r"write lines=\(Line\(...\),\)"):
        Spectrum(lines=Line(2.1, 1e-6))
    with pytest.raises(ParameterError, match="a list came"):
        Spectrum(lines=[Line(2.1, 1e-6)])


def test_a_continuum_must_be_a_function():
    with pytest.raises(ParameterError, match="function of q2"):
        Spectrum(continuum=np.ones(3))


def test_sums():
    q2 = jnp.linspace(0.0, 20.0, 5)
    a = Spectrum(standard_model=1.0, continuum=jnp.exp, lines=(Line(1.0, 1e-6),))
    b = Spectrum(standard_model=0.5, continuum=jnp.cos, lines=(Line(2.0, 2e-6, 0.1),))
    total = a + b
    assert total.standard_model == 1.5
    assert total.lines == a.lines + b.lines
    np.testing.assert_allclose(total.continuum(q2), jnp.exp(q2) + jnp.cos(q2), rtol=1e-15)
    assert (a + Spectrum()).continuum is jnp.exp
    assert (Spectrum() + b).continuum is jnp.cos
    assert (Spectrum() + Spectrum()).continuum is None
    with pytest.raises(TypeError):
        a + 1.0


def test_continua_keep_apart_in_a_sum():
    bare, one, two = jnp.exp, Continuum(jnp.cos, 4.0), Continuum(jnp.sin, 1.0)
    spectra = [Spectrum(continuum=f) for f in (bare, one, two)]
    total = spectra[0] + (spectra[1] + Spectrum(standard_model=1.0)) + spectra[2]
    assert [c.density for c in total.continua] == [jnp.exp, jnp.cos, jnp.sin]
    assert [c.threshold for c in total.continua] == [None, 4.0, 1.0]
    q2 = jnp.linspace(0.0, 20.0, 5)
    expected = jnp.exp(q2) + jnp.cos(q2) + jnp.sin(q2)
    np.testing.assert_allclose(total.continuum(q2), expected, rtol=1e-15)
    assert spectra[1].continuum is one
    assert spectra[1].continua == (one,)
    assert Spectrum().continua == ()


def test_a_continuum_is_its_density_and_frozen():
    continuum = Continuum(jnp.cos, 4.0)
    np.testing.assert_array_equal(continuum(jnp.arange(3.0)), jnp.cos(jnp.arange(3.0)))
    assert Continuum(jnp.cos).threshold is None
    with pytest.raises(AttributeError):
        continuum.threshold = 1.0


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(ParameterError, match=f"threshold = {threshold} GeV.*squared sum"):
        Continuum(jnp.cos, threshold)


def test_the_density_of_a_continuum_must_be_a_function():
    with pytest.raises(ParameterError, match="density of a Continuum is a function of q2"):
        Continuum(np.ones(3), 1.0)


def test_a_threshold_is_a_leaf():
    density = jax.tree_util.Partial(jnp.multiply, 3.0)
    spectrum = Spectrum(continuum=Continuum(density, 1.0))
    assert jax.tree.leaves(spectrum) == [0.0, 3.0, 1.0]
    slope = jax.grad(lambda s: s.continuum.threshold**2)(spectrum)
    assert slope.continuum.threshold == 2.0


def test_a_spectrum_is_a_pytree_of_its_numbers():
    spectrum = Spectrum(standard_model=1.0, lines=(Line(2.0, 3e-6, 0.1), Line(1.0, 4e-6)))
    assert jax.tree.leaves(spectrum) == [1.0, 2.0, 3e-6, 0.1, 1.0, 4e-6, 0.0]

    def total(spectrum):
        return spectrum.standard_model + sum(x.branching_ratio * x.mass for x in spectrum.lines)

    gradient = jax.jit(jax.grad(total))(spectrum)
    assert isinstance(gradient, Spectrum)
    assert gradient.standard_model == 1.0
    assert gradient.lines[0].mass == 3e-6
    batch = jax.tree.map(lambda x: jnp.full(7, x), spectrum)
    assert jax.vmap(total)(batch).shape == (7,)
