"""Populations in posteriors that are made up, whose integrals are known."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from bknn import errors
from bknn.inference.posteriors.sample import population_evidence
from bknn.inference.samplers import population, shears
from bknn.inference.samplers.population import Population
from bknn.inference.samplers.whitening import Frame, LogWeight

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: Of the made-up posteriors: w has three own parameters and four nuisances, of which the data know
#: two; the shell is this thin.
SIZE, OWN, THIN = 7, np.array([0, 1, 2]), 0.02

#: Where the step is and how high it is; where the wall begins and how steep it is.
STEP, WALL = (0.5, 1.5), (0.8, 0.01)


def bends(w):
    """Where the shell is: it bends along both other parameters."""
    return 0.5 * w[1] ** 2 - 0.4 * w[1] * w[2] + 0.3 * jnp.exp(0.5 * w[2])


def shell(w, frame):
    """Across the shell a normal density, so that the other two are what the rest says: a step and a
    wall; of the nuisances one has twice the width that was thought, and moves the shell."""
    across = w[0] - bends(w) - 0.2 * w[3]
    logs = 0.5 * w[0] ** 2 - 0.5 * (across / THIN) ** 2
    logs = logs + 0.5 * w[3] ** 2 * (1 - 1 / 4)
    logs = logs - jnp.where(w[1] > STEP[0], STEP[1], 0.0)
    return logs - 0.5 * (jnp.maximum(w[2] - WALL[0], 0.0) / WALL[1]) ** 2


def frame(known=2):
    basis, shrink = np.zeros((SIZE, 16)), np.ones(16)
    basis[[3, 4], [0, 1]] = 1.0
    shrink[:known] = 0.5
    none = np.zeros(SIZE)
    return Frame(np.zeros(1), none, basis, shrink, 0.0, None)


@pytest.fixture(scope="module")
def sampler():
    return Population(LogWeight(shell), SIZE, OWN)


@pytest.fixture(scope="module")
def led(sampler):
    """Four populations at the posterior."""
    state = sampler.start(jax.random.PRNGKey(3), np.zeros((4, SIZE)), frame())
    return sampler.advance(state, frame())[0]


@pytest.fixture(scope="module")
def truth():
    """Mean and width of w_1 and w_2, and the evidence: one-dimensional integrals."""
    normal = stats.norm.pdf

    def moments(density, knots):
        found = [
            sum(
                integrate.quad(lambda x, k=k: x**k * density(x), a, b)[0]
                for a, b in itertools.pairwise(knots)
            )
            for k in range(3)
        ]
        mean = found[1] / found[0]
        return mean, np.sqrt(found[2] / found[0] - mean**2), found[0]

    first = moments(lambda x: normal(x) * np.exp(-STEP[1] * (x > STEP[0])), (-9.0, STEP[0], 9.0))
    second = moments(
        lambda x: normal(x) * np.exp(-0.5 * (max(x - WALL[0], 0) / WALL[1]) ** 2),
        (-9.0, WALL[0], WALL[0] + 0.2),
    )
    # The nuisance of twice the width adds ln 2.
    return first, second, np.log(THIN * 2 * first[2] * second[2])


def test_shear_and_the_way_back():
    """No volume is gained, whatever the coefficients."""
    random = np.random.default_rng(2)
    terms = shears.terms(3, 500)
    assert max(map(len, terms)) == 4
    assert max(map(len, shears.terms(14, 500))) == 1
    z, u = random.normal(size=(300, 3)), random.normal(size=(300, 2))
    z[:, 1] = 0.5 * z[:, 0] ** 2 - z[:, 2] + 0.3 * u[:, 0] + 0.01 * z[:, 1]
    shear = shears.fitted(z, u, np.array([True, True]), terms)
    shear = jax.tree.map(jnp.asarray, shear)
    y = jax.vmap(lambda z, u: shears.flat(z, u, shear, terms))(z, u)
    back = jax.vmap(lambda y, u: shears.bent(y, u, shear, terms))(y, u)
    np.testing.assert_allclose(back, z, atol=1e-12)
    # What the second parameter is made of is found.
    assert np.std(y, axis=0).min() < 0.02
    found = [
        jax.jacfwd(lambda x, v=v: shears.flat(x, v, shear, terms))(x)
        for x, v in zip(z[:3], u[:3], strict=True)
    ]
    np.testing.assert_allclose(np.linalg.det(found), 1.0, atol=1e-12)


def test_a_thin_bent_shell_with_a_step_and_a_wall(led, truth):
    draws = np.asarray(led.w)
    n = draws.shape[0] * draws.shape[1]
    for i, (mean, width, _) in ((1, truth[0]), (2, truth[1])):
        x = draws[..., i].ravel()
        assert x.mean() == pytest.approx(mean, abs=5 * width / np.sqrt(n))
        assert x.std() == pytest.approx(width, rel=5 / np.sqrt(n))
    # Its thickness, and the nuisance that is wider than was thought.
    flat = draws.reshape(-1, SIZE)
    across = flat[:, 0] - np.asarray(jax.vmap(bends)(flat)) - 0.2 * flat[:, 3]
    assert across.std() == pytest.approx(THIN, rel=5 / np.sqrt(n))
    assert flat[:, 3].std() == pytest.approx(2.0, rel=5 / np.sqrt(n))
    assert flat[:, 5].std() == pytest.approx(1.0, rel=5 / np.sqrt(n))
    # On both sides of the step as much as there is.
    part = stats.norm.cdf(STEP[0])
    part = part / (part + (1 - part) * np.exp(-STEP[1]))
    below = (flat[:, 1] < STEP[0]).mean()
    assert below == pytest.approx(part, abs=5 * np.sqrt(part * (1 - part) / n))


def test_evidence(led, truth):
    found = population_evidence(np.asarray(led.log_evidence))
    assert found.error < 0.05
    assert found.value == pytest.approx(truth[2], abs=max(4 * found.error, 0.06))
    assert np.isnan(population_evidence(np.array([-3.0])).error)


def test_populations_are_their_own_draws(sampler, led):
    """Segment by segment each point once; then all of them move."""
    parts, state = [], led
    for _ in range(population.POINTS // 50 + 1):
        before = state
        state, segment = sampler.advance(state, frame())
        parts.append(segment)
    found = np.concatenate([p.draws for p in parts[:-1]], axis=1)
    np.testing.assert_array_equal(found, led.w)
    walkers = np.concatenate([p.stats["walker"] for p in parts], axis=1)[0]
    np.testing.assert_array_equal(walkers, np.r_[: population.POINTS, :50])
    np.testing.assert_array_equal(before.w, led.w)
    assert (np.asarray(state.w) != np.asarray(led.w)).any(axis=2).mean() > 0.9
    assert (np.asarray(state.evaluations) > np.asarray(led.evaluations)).all()


def test_same_seed_same_points(sampler, led):
    begin = sampler.start(jax.random.PRNGKey(3), np.zeros((4, SIZE)), frame())
    again, _ = sampler.advance(begin, frame())
    np.testing.assert_array_equal(again.w, led.w)


@pytest.mark.slow
def test_two_valleys_far_apart():
    """Each population has both, in parts that are right on average."""

    def valleys(w, frame):
        return -0.5 * ((jnp.abs(w[0]) - 2.0) / 0.02) ** 2

    far = Population(LogWeight(valleys), SIZE, OWN)
    state = far.start(jax.random.PRNGKey(1), np.zeros((4, SIZE)), frame())
    state, _ = far.advance(state, frame())
    right = (np.asarray(state.w)[..., 0] > 0).mean(axis=1)
    assert ((right > 0.2) & (right < 0.8)).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(errors.ParameterError, match="all of them are kept"):
        Population(LogWeight(shell), SIZE, np.zeros(0, int))
    nothing = Population(LogWeight(lambda w, frame: -jnp.inf + 0 * w[0]), SIZE, OWN)
    state = nothing.start(jax.random.PRNGKey(1), np.zeros((1, SIZE)), frame())
    with pytest.raises(errors.ParameterError, match="500 points drawn from the priors"):
        nothing.advance(state, frame())
