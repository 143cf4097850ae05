"""Nuisances that follow the signal, where everything is normal and integrals are known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from bknn.inference.samplers.following import follow
from bknn.inference.samplers.population import Population
from bknn.inference.samplers.whitening import Frame, LogWeight, Stages

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: One own parameter, which makes the signal, one nuisance of the signal, three of the measurements.
OWN, FAST, SIZE = np.array([0]), np.array([2, 3, 4]), 5

#: What is measured: three bins, their widths, and how nuisances move them.
SEEN, WIDTH = np.array([1.0, 0.6, 0.9]), np.array([0.3, 0.5, 0.2])
MOVES = np.array([[0.2, 1.0, 0.0, 0.5], [0.0, 0.4, 0.7, 0.0], [0.1, 0.0, 0.3, 1.2]])


#: The signal in each bin, at full strength.
FULL = np.array([1.0, 0.8, 1.2])


def rate(z):
    """Of the own parameter: vanishing at one end of its prior."""
    return jnp.exp(2.0 * z - 2.0) * FULL


def made_up(strength):
    """Whitened at the mode of signal 1; nuisances move bins by shift + strength x shift^2."""
    slopes = np.zeros((3, SIZE))
    slopes[:, 1:] = MOVES / WIDTH[:, None]
    squares, basis = np.linalg.eigh(slopes.T @ slopes)
    kept = squares > 1e-9
    full, shrink = np.zeros((SIZE, 16)), np.ones(16)
    full[:, : kept.sum()] = basis[:, kept]
    shrink[: kept.sum()] = 1 / np.sqrt(1 + squares[kept])
    frame = Frame(np.zeros(1), np.zeros(SIZE), full, shrink, float(np.sum(np.log(shrink))), None)

    def standard(w, f):
        return w + f.basis @ ((f.shrink - 1) * (f.basis.T @ w))

    def then(w, held, f):
        z = standard(w, f)
        moved = MOVES @ z[1:]
        away = (held + moved + strength * moved**2 - SEEN) / WIDTH
        rest = 0.5 * jnp.sum(w**2) - 0.5 * jnp.sum(z**2) + f.constant
        return rest - 0.5 * jnp.sum(away**2)

    def first(w, f):
        return rate(standard(w, f)[0])

    weight = LogWeight(lambda w, f: then(w, first(w, f), f), stages=Stages(first, then, FAST))
    return weight, frame


def truth(power=0):
    """Integral of exp(l) and the own parameter to a power, nuisances in closed form."""
    covariance = np.diag(WIDTH**2) + MOVES @ MOVES.T
    norm = np.prod(WIDTH) * (2 * np.pi) ** 1.5

    def density(z):
        counts = stats.multivariate_normal.pdf(np.asarray(rate(z)), SEEN, covariance) * norm
        return z**power * counts * stats.norm.pdf(z)

    return integrate.quad(density, -8, 8, epsabs=1e-12)[0]


@pytest.mark.parametrize("strength", [0.0, 0.15])
def test_nothing_is_gained_or_lost(strength):
    """The density of w is carried over with a volume that stays, whatever is followed."""
    weight, frame = made_up(strength)
    moved = follow(weight)

    def look(u):
        value, w = moved(u, frame)
        return value, w, weight(w, frame), jax.jacfwd(lambda u: moved(u, frame)[1])(u)

    u = np.random.default_rng(1).standard_normal((20, SIZE)) * 1.5
    value, w, before, jacobian = map(np.asarray, jax.jit(jax.vmap(look))(u))
    here, there = value - 0.5 * np.sum(u**2, axis=1), before - 0.5 * np.sum(w**2, axis=1)
    np.testing.assert_allclose(here, there, rtol=1e-10)
    np.testing.assert_allclose(np.linalg.det(jacobian), 1.0, rtol=1e-10)
    # Neither the own parameter nor the nuisance of the signal is touched.
    own = [x + ((x @ frame.basis) * (frame.shrink - 1)) @ frame.basis.T for x in (w, u)]
    np.testing.assert_allclose(own[0][:, :2], own[1][:, :2], atol=1e-12)
    assert np.abs(w - u).max() > 1.0


def test_linear_nuisances_are_integrated_out():
    """What is left does not depend on those that follow."""
    weight, frame = made_up(0.0)
    left = jax.jit(jax.vmap(lambda u: follow(weight)(u, frame)[0]))
    random = np.random.default_rng(2)
    back = np.eye(SIZE) + frame.basis @ ((1 / frame.shrink - 1)[:, None] * frame.basis.T)
    for rest in random.uniform((-3.0, -1.0), 1.0, (6, 2)):
        z = np.column_stack([np.tile(rest, (40, 1)), random.standard_normal((40, 3))])
        values = np.asarray(left(z @ back))
        np.testing.assert_allclose(values, values[0], atol=1e-9)


def test_a_population_has_both_with_and_without_a_signal():
    """Without a signal nuisances stand elsewhere, by many widths."""
    weight, frame = made_up(0.0)
    sampler = Population(weight, SIZE, OWN)
    state = sampler.start(jax.random.PRNGKey(5), np.zeros((4, SIZE)), frame)
    state, _ = sampler.advance(state, frame)
    own = np.asarray(state.w)[..., 0].ravel()
    total = truth()
    mean = truth(1) / total
    width = np.sqrt(truth(2) / total - mean**2)
    assert own.mean() == pytest.approx(mean, abs=5 * width / np.sqrt(own.size))
    assert own.std() == pytest.approx(width, rel=5 / np.sqrt(own.size))
    evidence = np.mean(np.asarray(state.log_evidence))
    assert evidence == pytest.approx(np.log(total), abs=0.06)


def test_without_stages_nothing_follows():
    weight, frame = made_up(0.0)
    alone = follow(LogWeight(weight.function))
    u = jnp.arange(5.0)
    value, w = alone(u, frame)
    np.testing.assert_array_equal(w, u)
    assert float(value) == pytest.approx(float(weight(u, frame)))


def test_what_is_not_finite_stays_so():
    """A step towards nowhere is not taken; the density says what it is there."""
    weight, frame = made_up(0.0)
    stages = Stages(weight.stages.first, lambda w, held, f: jnp.nan * jnp.sum(w), FAST)
    value, w = follow(LogWeight(weight.function, stages=stages))(jnp.ones(SIZE), frame)
    assert np.isnan(float(value))
    assert np.isfinite(w).all()
