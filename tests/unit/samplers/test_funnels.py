"""Funnels made straight, beside sums over the parameters themselves."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import bknn
from bknn import inference
from bknn.inference.posteriors.posterior import diagnostic
from bknn.inference.samplers.coordinates import Coordinates
from bknn.inference.samplers.whitening import Slopes

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: Counts, and what is expected of x and m besides the background of 8.
COUNTS = 20


def signal(x, m):
    return 4 * x**2 / m**4


class Diverging:
    """A rate that diverges at small masses, and a coupling of either sign if it is freed."""

    name, description, null = "diverging", "a rate x^2/m^4", {"x": 0.0}
    parameters = (
        bknn.Parameter("x", 1.0, (0.0, 10.0)),
        bknn.Parameter("m", 1.0, (0.1, 2.5)),
        bknn.Parameter("y", 0.0, (-10.0, 10.0), fixed=True),
    )

    def spectrum(self, params, channel):
        x, m, y = (params[name] for name in ("x", "m", "y"))
        return bknn.Spectrum(standard_model=(signal(x, m) + signal(y, m)) / 4)


@pytest.fixture(scope="module")
def diverging():
    return bknn.Analysis(Diverging(), small.one_bin(float(COUNTS)), free=["y"])


def coordinates(analysis, *names, straight=True):
    moving = np.isin(analysis.names, names)
    return Coordinates(analysis, moving, analysis.init_vector, straight=straight)


def test_what_is_narrow_and_what_decides(diverging):
    def found(*names):
        funnels = coordinates(diverging, *names).funnels
        order = [name for name in ("x", "m", "y") if name in names]
        return sorted((order[f.narrow], order[f.decides], f.ends) for f in funnels)

    assert found("x", "m") == [("x", "m", (0.0, 10.0))]
    assert found("x", "m", "y") == [("x", "m", (0.0, 10.0)), ("y", "m", (-10.0, 10.0))]
    assert found("x", "y") == found("m") == []
    assert coordinates(diverging, "x", "m", straight=False).funnels == ()


def test_the_range_follows_the_mass(diverging):
    """Up to where the Poisson probability has fallen by e^-8: x ~ m^2."""
    (funnel,) = coordinates(diverging, "x", "m").funnels
    y = np.linspace(0.0, 80.0, 8001)
    above = stats.poisson.logpmf(COUNTS, 8 + y)
    most = y[above > above.max() - 8][-1]
    for m in (0.15, 0.3, 1.0, 2.0):
        k = float(funnel._k(jnp.asarray(stats.norm.ppf((m - 0.1) / 2.4))))
        assert k == pytest.approx(np.sqrt(most / 4) * m**2 / 10, rel=0.35)


def test_density_is_that_of_the_priors(diverging):
    """At random places: prior times Jacobian, and the way back."""
    frame = coordinates(diverging, "x", "m", "y")
    expected = np.log([1 / 10, 1 / 2.4, 1 / 20]).sum()

    @jax.jit
    def all_(z):
        vector, weight = frame.natural(z)
        return vector, weight, jax.jacfwd(lambda z: frame.natural(z)[0][frame.index])(z)

    for z in np.random.default_rng(3).normal(size=(20, 3)):
        vector, weight, jacobian = all_(z)
        stretched = np.log(abs(np.linalg.det(jacobian)))
        found = stats.norm.logpdf(z).sum() + float(weight)
        assert found == pytest.approx(expected + stretched, abs=1e-9)
        np.testing.assert_allclose(frame.standard(np.asarray(vector)), z, atol=1e-7)


def test_slopes_are_differences(diverging):
    """How rates, and the logarithm of the density, move with z."""
    frame = coordinates(diverging, "x", "m", "y")
    slopes = Slopes(frame.chart)
    counts = jnp.array([float(COUNTS)])
    z = np.array([-0.3, -0.8, 0.4])

    @jax.jit
    def all_(z):
        value, gradient, columns, local, rates = slopes.at(frame.natural, counts, z)
        return value, gradient, slopes.forth(columns, local, jnp.eye(3)[1]), rates

    def rates(z):
        return diverging.rates(frame.natural(z)[0])

    _, gradient, along, at = all_(z)
    step = 1e-5 * np.eye(3)
    values = [[float(all_(z + s * h)[0]) for s in (1, -1)] for h in step]
    np.testing.assert_allclose(gradient, [(a - b) / 2e-5 for a, b in values], rtol=1e-5)
    expected = (all_(z + step[1])[3] - all_(z - step[1])[3]) / 2e-5 / np.sqrt(at)
    np.testing.assert_allclose(along, expected, rtol=1e-6)


@pytest.fixture(scope="module")
def density():
    """Centres of cells and the posterior in them."""
    x, m = 10 * (np.arange(4000) + 0.5) / 4000, 0.1 + 2.4 * (np.arange(800) + 0.5) / 800
    found = stats.poisson.pmf(COUNTS, 8 + signal(x[:, None], m))
    return x, m, found


def test_evidence_of_straight_coordinates(diverging, density):
    """The mean of the probability over normal numbers is that over the priors."""
    frame = coordinates(diverging, "x", "m")
    z = np.linspace(-6, 6, 241)
    points = np.stack(np.meshgrid(z, z, indexing="ij"), axis=-1).reshape(-1, 2)
    vectors, weight = jax.jit(jax.vmap(frame.natural))(points)
    x, m = (np.asarray(vectors)[:, k] for k in (0, 1))
    area = np.exp(stats.norm.logpdf(points).sum(axis=1) + np.asarray(weight)) * (z[1] - z[0]) ** 2
    assert area.sum() == pytest.approx(1.0, abs=1e-5)
    found = area * stats.poisson.pmf(COUNTS, 8 + signal(x, m))
    for power in (0, 1, -2):
        expected = np.mean(density[2] * density[1] ** power)
        assert np.sum(found * m**power) == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_draws_of_a_rate_that_diverges(diverging, density):
    x, m, found = density
    part_of = found / found.sum()
    posterior = inference.sample(diverging, fixed={"y": 0.0}, draws=1000, seed=3)
    assert posterior.method == "tempered"
    assert posterior.converged, posterior.status
    draws_x, draws_m = posterior.values("x"), posterior.values("m")
    for inside, part in (
        (draws_m < 0.5, part_of[:, m < 0.5].sum()),
        (draws_m < 1.5, part_of[:, m < 1.5].sum()),
        (draws_x < 1, part_of[x < 1].sum()),
        (draws_x < 4, part_of[x < 4].sum()),
    ):
        effective = float(diagnostic("ess", inside[..., None].astype(float), method="bulk")[0])
        assert abs(inside.mean() - part) < 4 * np.sqrt(part * (1 - part) / effective)
    evidence = posterior.log_evidence
    assert evidence.value == pytest.approx(np.log(found.mean()), abs=4 * evidence.error + 0.01)
