"""Work that is done once a mass: the stages of a function, of an analysis, and of its fits."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.analysis.two_stages import staged
from bknn.spectrum import Spectrum

pytestmark = pytest.mark.usefixtures("quick_compilation")


MASSES = (0.0, 0.31, 1.2, 2.05, 2.6)  # the last one beyond phase space


@functools.cache
def analysis(*more):
    """Counts in fit bins."""
    measurements = [bknn.data.load(n) for n in ("belle2-2025", *more)]
    return bknn.Analysis(models.load("scalar-pair", floats=("g_SS", "g_VV")), measurements)


def point(target, mass, seed=1):
    """A vector with couplings and form factors that are not at their starts."""
    vector = np.array(target.init_vector)
    for i, p in enumerate(target.parameters):
        shift = np.random.default_rng(seed + i).normal()
        vector[i] = shift if p.nuisance else p.init * (1.0 + 0.3 * shift)
    vector[target.index("mass")] = mass
    return vector


# ---------------------------------------------------------------- functions


def test_stages_are_the_function():
    def function(x, y):
        found = {"product": jnp.exp(x["a"]) * y, "early": x["a"] ** 2, "late": jnp.sin(y)}
        return found, (jnp.where(y > x["b"], y, x["b"]), jnp.arange(3.0), 2.0)

    first, second = {"a": jnp.array(0.7), "b": jnp.array(-1.0)}, jnp.array([0.5, -3.0])
    before, after = staged(function, {"a": 0.0, "b": 0.0}, jnp.zeros(2))
    got, expected = after(before(first), second), function(first, second)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_stages_can_be_transformed():
    before, after = staged(lambda x, y: jnp.sin(x * jnp.ones(2)) * y**2, 0.0, jnp.zeros(2))
    y = jnp.array([1.0, 2.0])

    def slope(x):
        found = before(x)
        return jax.grad(lambda y: after(found, y).sum())(y)

    got = jax.jit(jax.vmap(slope))(jnp.array([0.3, 0.9]))
    np.testing.assert_allclose(got, np.sin([[0.3], [0.9]]) * 2 * np.array([1.0, 2.0]), rtol=1e-14)


def test_what_is_early_is_done_early():
    """The second stage of sin(x) y has one multiplication, and no sine."""
    before, after = staged(lambda x, y: jnp.sin(x) * y, 0.0, 0.0)
    assert len(before(0.3)) == 1
    steps = [str(s.primitive) for s in jax.make_jaxpr(after)(before(0.3), 0.0).eqns]
    assert "sin" not in str(steps)


# ---------------------------------------------------------------- shapes that know a mass


@pytest.mark.parametrize("name", ["scalar-pair", "fermion-pair", "vector-pair"])
@pytest.mark.parametrize("mode", ["smooth", "reweighting"])
def test_shapes_fold_to_what_the_spectrum_folds_to(name, mode):
    couplings = {
        "scalar-pair": ("g_SS", "g_VV", "g_AV"),
        "fermion-pair": ("f_VV", "f_AA", "f_T5T", "f_PS"),
        "vector-pair": ("h_SS", "h_VE", "h_TT"),
    }[name]
    target = bknn.Analysis(
        models.load(name, floats=couplings), bknn.data.load("belle2-2025"), response=mode
    )
    (response,) = target.parts[0].responses

    def fold(vector, held):
        values = target.signal.values(vector[: len(target.parameters)])
        spectrum = target.model.spectrum(values, "B+ -> K+")
        pair = Spectrum(continuum=spectrum.continua[1])
        return response.fold_new(pair, held=held)

    once, together = (jax.jit(functools.partial(fold, held=h)) for h in (True, False))
    for mass in MASSES[1:]:
        vector = jnp.asarray(point(target, mass))
        expected = np.asarray(together(vector))
        assert (expected.max() > 0) == (mass < 2.39)
        np.testing.assert_allclose(once(vector), expected, rtol=1e-9, atol=1e-12 * expected.max())


# ---------------------------------------------------------------- analyses


@pytest.mark.slow
def test_an_analysis_with_thresholds_held_is_the_same():
    target = analysis("belle-2017")  # branching fractions that are integrals, too
    before, then = target.holding_thresholds()
    held = jax.jit(lambda v: then(before(v)).rates(v))
    for mass in MASSES:
        vector = point(target, mass)
        np.testing.assert_allclose(held(vector), jax.jit(target.rates)(vector), rtol=1e-10)


def test_nothing_of_a_continuum_is_left_to_do():
    """What is handed over are shapes in fit bins, none of them in nodes of q2."""
    target = analysis()
    before, _ = target.holding_thresholds()
    bins = {len(p.template) for p in target.parts}
    found = jax.eval_shape(before, jnp.asarray(point(target, 0.5)))
    assert {x.shape[-1] for x in found if x.ndim == 2} == bins
    assert max(x.shape[0] for x in found) < 30


@pytest.mark.slow
def test_derivatives_in_both_stages():
    """Against forward derivatives of the rates, the mass included."""
    target = analysis()
    shared = target.structure.shared
    derivatives, slopes = jax.jit(target.derivatives), jax.jit(jax.jacfwd(target.rates))
    before, then = target.holding_thresholds()
    of_held = jax.jit(lambda v: then(before(v)).derivatives(v))
    mass = target.index("mass")
    for value in MASSES[1:4]:
        vector = jnp.asarray(point(target, value))
        expected = np.asarray(slopes(vector))[:, shared]
        size = np.maximum(np.abs(expected).max(axis=0), 1e-300)
        got = np.asarray(derivatives(vector)[1])
        np.testing.assert_allclose(got / size, expected / size, atol=1e-9)
        held = np.array(of_held(vector)[1])
        assert not held[:, mass].any()
        held[:, mass] = expected[:, mass]
        np.testing.assert_allclose(held / size, expected / size, atol=1e-9)


# ---------------------------------------------------------------- fits


@pytest.mark.slow
def test_fits_at_fixed_masses_are_those_of_masses_that_move():
    """Held between bounds next to each other, a mass moves by nothing, but it moves."""
    target = bknn.Analysis(models.load("scalar-pair"), bknn.data.load("belle2-2025"))
    masses = np.linspace(0.05, 2.3, 3)
    held = inference.fit(target, fixed={"mass": masses})
    assert held.converged.all()
    np.testing.assert_array_equal(held.vector[:, target.index("mass")], masses)
    for mass, value in zip(masses, held.twice_nll, strict=True):
        narrow = bknn.Analysis(
            target.model, target.measurements, bounds={"mass": (mass, mass * (1 + 1e-9))}
        )
        assert inference.fit(narrow).twice_nll == pytest.approx(value, abs=1e-6)


@pytest.mark.slow
def test_slopes_at_fixed_masses():
    """Of a profile over a coupling, against differences of its values."""
    target = bknn.Analysis(models.load("scalar-pair"), bknn.data.load("belle2-2025"))
    middle, step = 6e-4, 1e-6
    values = [middle - step, middle, middle + step]
    found = inference.profile(target, {"g_SS": values}, fixed={"mass": 0.5})
    difference = (found.twice_nll[2] - found.twice_nll[0]) / (2 * step)
    np.testing.assert_allclose(found.slope[1, 0], difference, rtol=1e-4)
