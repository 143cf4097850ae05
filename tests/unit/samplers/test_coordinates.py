"""Standard normal coordinates, beside the densities that they stand for (SciPy's)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints
from scipy import integrate, stats

import bknn
from bknn import errors, models
from bknn.inference.samplers.coordinates import Coordinates

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Tent(dist.Distribution):
    """A prior of a user's own, who wrote down its density and nothing else."""

    support = constraints.interval(0.0, 2.0)

    def __init__(self) -> None:
        super().__init__(batch_shape=())

    def log_prob(self, value):
        return jnp.log1p(-jnp.abs(jnp.asarray(value) - 1.0))


def _normal(mean, width, low=-np.inf, high=np.inf):
    return stats.truncnorm((low - mean) / width, (high - mean) / width, mean, width)


#: {name: (parameter, what it should be)}
OWN = {
    "even": (bknn.Parameter("even", 1.0, (-2.0, 5.0)), stats.uniform(-2, 7)),
    "part": (
        bknn.Parameter("part", 1.0, (-2.0, 5.0), prior=dist.Uniform(0.5, 60.0)),
        stats.uniform(0.5, 4.5),
    ),
    "normal": (bknn.Parameter("normal", 1.0, prior=dist.Normal(2.0, 0.3)), stats.norm(2, 0.3)),
    "bounded": (
        bknn.Parameter("bounded", 1.0, (0.0, 3.0), prior=dist.Normal(-0.5, 1.0)),
        _normal(-0.5, 1.0, 0.0, 3.0),
    ),
    "half": (
        bknn.Parameter(
            "half", 1e-5, (0.0, 1e-3), prior=bknn.priors.read("truncated_normal(0, 2e-5, 0, inf)")
        ),
        _normal(0.0, 2e-5, 0.0, 1e-3),
    ),
    "log": (
        bknn.Parameter("log", 1e-5, (0.0, 1e-3), prior=bknn.priors.read("log_uniform(1e-7, 1e-4)")),
        stats.loguniform(1e-7, 1e-4),
    ),
    "square": (
        bknn.Parameter("square", 1.0, (0.0, 4.0), prior=bknn.priors.read("flat_in_square(1, 4.5)")),
        stats.powerlaw(2.0),  # its square is uniform: see `_expected`
    ),
    "own": (bknn.Parameter("own", 1.0, (0.0, 3.0), prior=Tent()), stats.triang(0.5, 0.0, 2.0)),
    "cut_own": (
        bknn.Parameter("cut_own", 0.5, (0.0, 0.8), prior=Tent()),
        stats.triang(0.5, 0.0, 2.0),
    ),
    "far": (bknn.Parameter("far", 1.0, constraint=(1.0, 0.1)), stats.norm(1, 0.1)),
    "near": (
        bknn.Parameter("near", 1.0, (0.9, 1.3), constraint=(1.0, 0.1)),
        _normal(1.0, 0.1, 0.9, 1.3),
    ),
    "one_side": (
        bknn.Parameter("one_side", 0.1, (0.0, np.inf), constraint=(-0.3, 0.2)),
        _normal(-0.3, 0.2, 0.0),
    ),
}


class Model:
    """Parameters of every kind that do nothing."""

    name, description, null = "every-kind", "parameters of every kind", {}

    def __init__(self, parameters):
        self.parameters = tuple(parameters)

    def spectrum(self, params, channel):
        return bknn.Spectrum(standard_model=1.0 + 0.0 * sum(params.values()))


@pytest.fixture(scope="module")
def analysis():
    return bknn.Analysis(Model(p for p, _ in OWN.values()), small.measurement())


@pytest.fixture(scope="module")
def coordinates(analysis):
    return Coordinates(analysis, ~analysis.fixed, analysis.init_vector)


@pytest.fixture(scope="module")
def along(coordinates):
    """Vectors (points, size) and weights (points,) at z the same for all parameters."""
    z = np.linspace(-7.0, 7.0, 2801)
    program = jax.jit(jax.vmap(lambda t: coordinates.natural(jnp.full(coordinates.size, t))))
    vectors, weights = program(z)
    return z, np.asarray(vectors), np.asarray(weights)


def _expected(name, x):
    """Cumulative probability below and above x."""
    if name == "square":
        return (x**2 - 1) / 15, (16 - x**2) / 15
    known = OWN[name][1]
    if name == "cut_own":
        total = known.cdf(0.8)
        return known.cdf(x) / total, (total - known.cdf(x)) / total
    return known.cdf(x), known.sf(x)


@pytest.mark.parametrize("name", OWN)
def test_quantiles_are_those_of_the_prior(analysis, along, name):
    z, vectors, _ = along
    x = vectors[:, analysis.index(name)]
    below, above = _expected(name, x)
    # Tables of what has no quantiles of its own are linear between 4096 points.
    rtol, atol = (1e-3, 3e-7) if "own" in name else (1e-5, 1e-12)
    inside = np.abs(z) < 6.0
    np.testing.assert_allclose(
        below[inside & (z < 0)], stats.norm.cdf(z)[inside & (z < 0)], rtol, atol
    )
    np.testing.assert_allclose(
        above[inside & (z > 0)], stats.norm.sf(z)[inside & (z > 0)], rtol, atol
    )
    assert np.all(np.diff(x) >= 0)
    low, high = analysis.bounds[analysis.index(name)]
    assert np.all((x >= low) & (x <= high))


def test_nuisances_without_gamma_are_normal_or_uniform(analysis, along):
    z, vectors, _ = along
    sigma = np.hypot(*small.STATISTICS) / (small.SIGNAL + small.BACKGROUND)
    for b, width in enumerate(sigma):
        np.testing.assert_allclose(
            vectors[:, analysis.index(f"stat_SR[{b}]")], 1 + width * z, 1e-12
        )
    inside = np.abs(z) < 4.9
    for name in ("ff", "shape_b", "norm_b"):
        np.testing.assert_allclose(vectors[inside, analysis.index(name)], z[inside], 0, 1e-5)
    np.testing.assert_allclose(
        vectors[:, analysis.index("k_b")], 10 * stats.norm.cdf(z), 1e-9, 1e-12
    )


def test_weight_makes_the_gamma_densities(analysis, along):
    """Absolutely normalised: the product of three, each that of counts after a uniform prior."""
    z, vectors, weights = along
    counts = (small.BACKGROUND / small.SIDEBAND) ** 2
    expected = np.zeros(len(z))
    index = [analysis.index(f"side[{b}]") for b in range(3)]
    for i, k in zip(index, counts, strict=True):
        gamma = stats.gamma(k + 1, scale=1 / k)
        low, high = analysis.bounds[i]
        x = vectors[:, i]
        slope = np.gradient(x, z, edge_order=2)
        expected += gamma.logpdf(x) - np.log(gamma.cdf(high) - gamma.cdf(low)) + np.log(slope)
        expected -= stats.norm.logpdf(z)
    # Where the normal numbers that stand for it do not touch the bounds.
    inside = (vectors[:, index] > 0.03).all(axis=1) & (z < 6.5)
    assert inside.sum() > 1500
    np.testing.assert_allclose(weights[inside], expected[inside], 0, 2e-3)


def test_the_prior_is_normalised(analysis, coordinates):
    """The mean of exp(weight) over normal numbers is one: the gamma densities, one at a time."""
    moving = np.zeros(analysis.size, bool)
    program = None
    for b, count in enumerate((small.BACKGROUND / small.SIDEBAND) ** 2):
        moving[:] = False
        moving[analysis.index(f"side[{b}]")] = True
        one = Coordinates(analysis, moving, analysis.init_vector)
        program = jax.jit(jax.vmap(lambda t, one=one: one.natural(t)))
        z = np.linspace(-9, 9, 20001)
        vectors, weight = program(z[:, None])
        density = np.exp(np.asarray(weight)) * stats.norm.pdf(z)
        assert integrate.simpson(density, x=z) == pytest.approx(1, abs=2e-5)
        x = np.asarray(vectors)[:, analysis.index(f"side[{b}]")]
        assert integrate.simpson(density * x, x=z) == pytest.approx((count + 1) / count, abs=1e-4)


def test_derivatives_are_numbers(coordinates):
    """Also of priors without ends, where an infinite bound times zero would be none."""
    slopes = jax.jit(jax.grad(lambda t: jnp.sum(coordinates.natural(t)[0])))
    for value in (-4.0, -0.5, 0.5, 4.0):
        found = np.asarray(slopes(jnp.full(coordinates.size, value)))
        assert np.all(np.isfinite(found))
        assert np.all(found > 0)


def test_standard_is_the_inverse(coordinates):
    random = np.random.default_rng(3)
    z = np.clip(random.standard_normal((200, coordinates.size)), -4.5, 4.5)
    vectors = np.asarray(jax.jit(jax.vmap(lambda t: coordinates.natural(t)[0]))(z))
    found = coordinates.standard(vectors)
    names = np.array(coordinates.analysis.names)[coordinates.index]
    table = np.char.find(names.astype(str), "own") >= 0
    # The gamma density's lower bound, 1e-10, may cut off what its normal numbers reach.
    np.testing.assert_allclose(found[:, ~table], z[:, ~table], 0, 1e-5)
    np.testing.assert_allclose(found[:, table], z[:, table], 0, 2e-2)


def test_standard_stays_in_reach(analysis, coordinates):
    lower, upper = analysis.bounds.T
    for ends in (lower, upper):
        vector = np.where(np.isfinite(ends), ends, analysis.init_vector)
        assert np.all(np.abs(coordinates.standard(vector, reach=3.0)) <= 3.0)


def test_what_does_not_move_stays(analysis):
    moving = ~analysis.fixed
    moving[analysis.index("even")] = False
    vector = analysis.init_vector.copy()
    vector[analysis.index("even")] = -1.25
    coordinates = Coordinates(analysis, moving, vector)
    assert coordinates.size == analysis.size - 1
    found, _ = jax.jit(coordinates.natural)(jnp.zeros(coordinates.size))
    assert found[analysis.index("even")] == -1.25


def test_other_auxiliary_data_move_the_constraints(analysis):
    data = analysis.data
    at = list(analysis.poisson[0]).index(analysis.index("side[1]"))
    counts = np.array(data.poisson)
    counts[at] *= 1.5
    centre = np.array(data.normal)
    near = list(analysis.normal[0]).index(analysis.index("far"))
    centre[near] = 1.7
    moved = Coordinates(
        analysis,
        ~analysis.fixed,
        analysis.init_vector,
        data._replace(normal=centre, poisson=counts),
    )
    vector, _ = jax.jit(moved.natural)(jnp.zeros(moved.size))
    assert vector[analysis.index("side[1]")] == pytest.approx(1.5, abs=1e-3)
    assert vector[analysis.index("far")] == pytest.approx(1.7)


def test_a_prior_without_end_is_refused():
    free = bknn.Parameter("rate", 1.0)
    analysis = bknn.Analysis(Model([free]), small.measurement())
    with pytest.raises(errors.ParameterError, match="'rate' has neither a prior nor two bounds"):
        Coordinates(analysis, ~analysis.fixed, analysis.init_vector)


def test_fits_keep_their_bounds():
    """A prior narrows where one samples, not where one fits."""
    analysis = bknn.Analysis(
        models.load("signal-strength"), small.measurement(), priors={"mu": "uniform(0, 2)"}
    )
    before = analysis.bounds.copy()
    found = Coordinates(analysis, ~analysis.fixed, analysis.init_vector)
    assert np.array_equal(analysis.bounds, before)
    inside = analysis.init_vector.copy()
    beyond = inside.copy()
    inside[0], beyond[0] = 2.0, 2.1
    assert found.allows(inside)
    assert not found.allows(beyond)
