"""Draws of posteriors, beside quadrature over all parameters and densities with known peaks."""

from __future__ import annotations

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

import bknn
from bknn import errors, inference, models
from bknn.inference.posteriors.point_estimates import joint_mode, marginal_mode
from bknn.inference.posteriors.posterior import Posterior, diagnostic
from bknn.inference.posteriors.sample import ladder_evidence
from bknn.inference.samplers.tempering import Ladder, stepping_stone
from bknn.inference.samplers.whitening import LogWeight
from bknn.storage.store import Memory

from .. import made_up, quadrature, small

#: The module, not the function of its name.
sampling = sys.modules[inference.sample.__module__]

pytestmark = pytest.mark.usefixtures("quick_compilation")

METHODS = ["nuts", *(pytest.param(m, marks=pytest.mark.slow) for m in ("tempered", "population"))]


def agrees(draws: np.ndarray, mean: float, width: float) -> bool:
    """Whether the mean of draws (chains, draws) is right within four of its standard deviations."""
    effective = float(diagnostic("ess", draws[..., None], method="bulk")[0])
    return abs(draws.mean() - mean) < 4 * width / np.sqrt(effective)


# A small measurement -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def analysis():
    return quadrature.analysis("uniform(-2, 4.5)")


@pytest.fixture(scope="module")
def brute():
    return quadrature.Brute(stats.uniform(-2, 6.5))


@pytest.fixture(scope="module")
def nuts(analysis):
    return inference.sample(analysis, fixed=quadrature.FIXED, draws=600, seed=1, method="nuts")


@pytest.fixture(scope="module")
def tempered(analysis):
    return inference.sample(analysis, fixed=quadrature.FIXED, draws=600, seed=2, method="tempered")


@pytest.fixture(scope="module")
def population(analysis):
    options = {"draws": 600, "seed": 2, "method": "population"}
    return inference.sample(analysis, fixed=quadrature.FIXED, **options)


def test_the_quadrature_is_of_the_likelihood_written_anew(brute):
    """Ratios of the density at two points: what does not move cancels."""
    one = {"mu": 0.4, "k_b": 1.1, "ff": -1.3, "side[0]": 0.8}
    two = {"mu": 2.1, "k_b": 0.95, "ff": 0.6, "side[0]": 1.3}

    def reference(p):
        full = {"shape_b": 0.0, "norm_b": 0.0, "stat_SR": np.ones(3)}
        side = np.array([p["side[0]"], 1.0, 1.0])
        return -0.5 * small.twice_nll({**full, **p, "side": side})

    found = float(brute.at(**_named(one)) - brute.at(**_named(two)))
    assert found == pytest.approx(reference(one) - reference(two), abs=1e-9)


def _named(p):
    return {name.partition("[")[0]: np.asarray(x) for name, x in p.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", quadrature.NAMES)
def test_draws_agree_with_quadrature(request, brute, method, name):
    posterior = request.getfixturevalue(method)
    assert posterior.method == method
    assert posterior.converged, posterior.status
    draws = posterior.values(name)
    mean, width = brute.mean(name), brute.width(name)
    assert agrees(draws, mean, width)
    # The variance of a square of a nearly normal number is two.
    square = ((draws - mean) / width) ** 2
    assert agrees(square, 1.0, 1.7)
    for level, x in zip((0.05, 0.5, 0.95), brute.quantile(name, [0.05, 0.5, 0.95]), strict=True):
        assert agrees((draws < x).astype(float), level, np.sqrt(level * (1 - level)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "how"), [("tempered", "tempering"), ("population", "population")]
)
def test_the_evidence_is_known(request, brute, method, how):
    found = request.getfixturevalue(method).log_evidence
    assert found.method == how
    assert found.error < 0.05
    assert found.value == pytest.approx(brute.log_evidence, abs=4 * found.error)


def test_what_is_fixed_is_constant(nuts):
    for name, value in quadrature.FIXED.items():
        assert np.all(nuts.values(name) == value)
        assert np.isnan(nuts.r_hat[nuts.names.index(name)])
    assert nuts.moving.sum() == 4
    assert nuts.own == ("mu",)
    assert (nuts.n_chains, nuts.n_draws) == (4, 600)
    assert nuts.params["stat_SR"].shape == (4, 600, 3)


def test_log_posterior(nuts):
    """Likelihood and priors as written down in `small`."""
    p = {k: np.asarray(v)[1, 5] for k, v in nuts.params.items()}
    expected = -0.5 * small.twice_nll(p) - np.log(6.5)
    # A flat normalisation has no density of its own in the likelihood, but one as a prior: k_b.
    assert nuts.log_posterior[1, 5] == pytest.approx(expected, abs=1e-8)


def test_the_mode_of_flat_priors_is_the_fit(nuts, analysis):
    held = {k: v for k, v in quadrature.FIXED.items() if "[" not in k}
    held |= {"stat_SR": np.ones(3)}
    found = optimize.minimize(
        lambda x: small.twice_nll(
            {
                "mu": x[0],
                "k_b": x[1],
                "ff": x[2],
                "side": np.array([x[3], 1, 1]),
                **held,
            }
        ),
        [1.0, 1.0, 0.0, 1.0],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000},
    )
    mode = [nuts.mode[analysis.index(name)] for name in quadrature.NAMES]
    assert mode == pytest.approx(found.x, abs=2e-4)


@pytest.mark.slow
def test_the_mode_of_a_prior_that_is_not_flat():
    """Also one that cuts off the fit."""
    for prior, log_prior in (
        ("normal(0.2, 0.3)", lambda mu: -0.5 * ((mu - 0.2) / 0.3) ** 2),
        ("flat_in_square(0, 0.7)", lambda mu: np.log(mu) if 0 < mu <= 0.7 else -np.inf),
    ):
        analysis = quadrature.analysis(prior)
        moving = np.isin(analysis.names, quadrature.NAMES)
        start = analysis.init_vector.copy()
        start[analysis.index("mu")] = 0.5
        mode = joint_mode(analysis, moving, start[None, :], np.full(analysis.size, 0.2))

        def target(x, log_prior=log_prior):
            p = {"mu": x[0], "k_b": x[1], "ff": x[2], "side": np.array([x[3], 1, 1])}
            p |= {"shape_b": 0.0, "norm_b": 0.0, "stat_SR": np.ones(3)}
            value = log_prior(x[0])
            return small.twice_nll(p) - 2 * value if np.isfinite(value) else np.inf

        found = optimize.minimize(
            target,
            [0.5, 1.0, 0.0, 1.0],
            method="Nelder-Mead",
            options={"xatol": 1e-8, "fatol": 1e-11, "maxiter": 8000, "maxfev": 8000},
        )
        at = [mode[analysis.index(name)] for name in quadrature.NAMES]
        assert target(at) <= found.fun + 1e-6, prior
        assert at == pytest.approx(found.x, abs=2e-2), prior


def test_summary(nuts, brute):
    found = nuts.summary("mu")
    width = brute.width("mu")
    assert found["mean"] == pytest.approx(brute.mean("mu"), abs=0.15 * width)
    low, high = found["hdi_95"]
    x, density, step = brute.axes["mu"], brute.density("mu"), brute.steps["mu"]
    inside = np.sum((step * density)[(x > low) & (x < high)])
    assert inside == pytest.approx(0.95, abs=0.05)
    assert low < found["hdi_68"][0] < found["median"] < found["hdi_68"][1] < high
    assert found["marginal_mode"] == pytest.approx(x[np.argmax(density)], abs=0.6 * width)


@pytest.mark.slow
def test_other_data(one_bin):
    data = one_bin.data._replace(counts=np.array([19.0]))
    posterior = inference.sample(one_bin, data=data, draws=300, chains=2, seed=5)
    mean, width = _one_bin(19.0)
    assert agrees(posterior.values("mu"), mean, width)
    assert abs(mean - _one_bin(12.0)[0]) > width


def test_arviz(nuts, tmp_path):
    import arviz as az

    tree = nuts.to_arviz()
    posterior = tree["posterior"]
    assert "mu" in posterior
    assert "shape_b" not in posterior
    assert posterior["side"].shape == (4, 600, 3)
    assert float(
        az.ess(posterior.to_dataset() if hasattr(posterior, "to_dataset") else posterior)["mu"]
    ) == pytest.approx(nuts.ess_bulk[nuts.names.index("mu")])


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_read_again(request, analysis, method, tmp_path):
    posterior = request.getfixturevalue(method)
    path = posterior.save(tmp_path / "draws.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["draws.nc"]
    found = Posterior.load(path, analysis)
    np.testing.assert_array_equal(found.draws, posterior.draws)
    np.testing.assert_array_equal(found.moving, posterior.moving)
    for field in ("method", "seed", "warmup", "log_evidence", "seconds_run", "seconds_compile"):
        assert getattr(found, field) == getattr(posterior, field), field
    for name, x in posterior.stats.items():
        np.testing.assert_array_equal(found.stats[name], x)
    assert found.status == posterior.status


def test_draws_of_another_analysis_are_refused(nuts, one_bin, tmp_path):
    path = nuts.save(tmp_path / "draws.nc")
    with pytest.raises(errors.DataError, match="is of Analysis"):
        Posterior.load(path, one_bin)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(errors.DataError, match="does not end with its checksum"):
        Posterior.load(path, one_bin)


# One bin -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_bin():
    return bknn.Analysis(
        models.load("signal-strength"), small.one_bin(), priors={"mu": "uniform(0, 3)"}
    )


def _one_bin(counts):
    """Mean and width of a rate 4 mu + 8 with mu uniform in [0, 3]."""
    moments = [
        integrate.quad(lambda mu, k=k: mu**k * stats.poisson.pmf(counts, 4 * mu + 8), 0, 3)[0]
        for k in range(3)
    ]
    mean = moments[1] / moments[0]
    return mean, np.sqrt(moments[2] / moments[0] - mean**2)


OPTIONS = {"chains": 3, "draws": 120, "warmup": 100, "seed": 7}


@pytest.fixture(scope="module", params=METHODS)
def undisturbed(request, one_bin):
    return inference.sample(one_bin, method=request.param, **OPTIONS)


def test_another_seed_gives_other_draws(one_bin, undisturbed):
    other = inference.sample(one_bin, method=undisturbed.method, **{**OPTIONS, "seed": 8})
    assert not np.any(other.draws[:, -1] == undisturbed.draws[:, -1])
    assert undisturbed.draws.shape == (3, 120, 1)
    # No two chains are alike, nor parts of them.
    assert len(np.unique(undisturbed.draws)) > 250


class Breaks(Memory):
    """A store whose machine dies after some puts."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def put(self, name, arrays):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        super().put(name, arrays)


def test_an_interrupted_run_goes_on_to_the_same_draws(one_bin, undisturbed):
    store = Breaks(6)  # of 10
    with pytest.raises(KeyboardInterrupt):
        inference.sample(one_bin, method=undisturbed.method, store=store, **OPTIONS)
    store.left = -1
    found = inference.sample(one_bin, method=undisturbed.method, store=store, **OPTIONS)
    # So do two runs with the same seed.
    np.testing.assert_array_equal(found.draws, undisturbed.draws)
    for name, x in undisturbed.stats.items():
        np.testing.assert_array_equal(found.stats[name], x)
    assert found.log_evidence == undisturbed.log_evidence


def test_a_target_of_effective_draws(one_bin):
    calls = []
    found = inference.sample(
        one_bin, chains=2, draws=50, warmup=100, target_ess=300, progress=calls.append
    )
    assert np.nanmin(found.ess_bulk) >= 300
    assert np.nanmin(found.ess_tail) >= 300
    assert 50 < found.n_draws < 20 * 50
    # The beginning is that of a run without a target.
    short = inference.sample(one_bin, chains=2, draws=50, warmup=100)
    np.testing.assert_array_equal(found.draws[:, :50], short.draws)


def test_draws_go_on_until_there_are_enough(one_bin, monkeypatch):
    """The default: 400 effective draws of every parameter, in bulk and tails, that agree."""
    monkeypatch.setattr(sampling, "DRAWS", 50)
    found = inference.sample(one_bin, chains=2, warmup=100)
    assert found.converged, found.status
    assert found.n_draws > 50
    # So many as are asked for, where a number is given.
    assert inference.sample(one_bin, chains=2, draws=50, warmup=100).n_draws == 50


def test_a_bound_on_time_is_told(one_bin):
    found = inference.sample(one_bin, chains=2, draws=50, warmup=100, target_ess=1e6, minutes=1e-6)
    assert found.n_draws == 50
    assert not found.converged
    assert found.status.endswith("Sampling was stopped after 1e-06 minutes, the time allowed.")
    found = inference.sample(one_bin, chains=2, draws=50, warmup=100, target_ess=1e6)
    assert found.n_draws == 1000
    assert found.stopped.startswith("sampling was stopped after 1000 draws of each chain")
    with pytest.raises(errors.ParameterError, match="no time"):
        inference.sample(one_bin, minutes=0.0)


@pytest.mark.parametrize("method", METHODS)
def test_no_advice_to_take_the_method_that_was_used(request, method):
    """Nor any that it could not follow."""
    good = request.getfixturevalue(method)
    shift = np.linspace(0, 5, good.n_chains)[:, None, None] * good.moving
    bad = dataclasses.replace(good, draws=good.draws + shift)
    assert not bad.converged
    assert f'"{method}"' not in bad.status
    assert ('method="tempered"' in bad.status) == (method == "nuts")


def test_too_few_are_refused(one_bin):
    with pytest.raises(errors.ParameterError, match="0 chains"):
        inference.sample(one_bin, chains=0)
    with pytest.raises(errors.ParameterError, match="3 draws"):
        inference.sample(one_bin, draws=3)
    with pytest.raises(errors.UnknownNameError, match="nuts"):
        inference.sample(one_bin, method="nut")


# Several modes -------------------------------------------------------------------------------


class Square:
    """A signal that is the square of an amplitude, one start: two signs fit alike."""

    name, description, null = "square", "the square of an amplitude", {"x": 1.0}
    parameters = (bknn.Parameter("x", 1.0, (-10.0, 10.0)),)

    def spectrum(self, params, channel):
        return bknn.Spectrum(standard_model=params["x"] ** 2)


@pytest.fixture(scope="module")
def two_modes():
    """60 counts on a background of 8: x = +-3.6, and e^-60 of the peaks' height between them."""
    return bknn.Analysis(Square(), small.one_bin(60.0), priors={"x": "normal(1.0, 4.0)"})


def negative(mean, width):
    """How much of the posterior has x < 0, by quadrature, with a normal prior."""
    x = np.linspace(-10, 10, 20001)
    density = stats.poisson.pmf(60, 8 + 4 * x**2) * stats.norm.pdf(x, mean, width)
    return float(np.sum(density[x < 0]) / np.sum(density))


@pytest.fixture(scope="module")
def positive():
    """How much of the posterior has x > 0."""
    return 1 - negative(1, 4)


@pytest.mark.slow
def test_a_ladder_finds_how_much_is_in_each_mode(two_modes, positive):
    found = inference.sample(two_modes, draws=800, seed=3)
    assert found.method == "tempered"
    assert found.converged, found.status
    inside = (found.values("x") > 0).astype(float)
    assert 0.6 < positive < 0.8
    assert agrees(inside, positive, np.sqrt(positive * (1 - positive)))
    # All chains have been in both.
    assert np.all(np.abs(inside.mean(axis=1) - positive) < 0.25)
    assert found.visited == pytest.approx([inside.mean(), 1 - inside.mean()], abs=1e-9)
    # Both are in the regions of highest density, as a fine grid has them.
    x = np.linspace(-10, 10, 20001)
    density = stats.poisson.pmf(60, 8 + 4 * x**2) * stats.norm.pdf(x, 1, 4)
    ordered = np.sort(density)[::-1]
    height = ordered[np.searchsorted(np.cumsum(ordered), 0.6827 * ordered.sum())]
    ends = x[1:][np.diff((density > height).astype(int)) != 0]
    regions = found.highest_density("x", 0.6827)
    np.testing.assert_allclose(np.ravel(regions), ends, atol=0.08)
    assert found.summary("x")["regions_68"] == regions
    assert "Modes, with the draws that are nearest to each: x = 3." in found.status


@pytest.mark.slow
def test_one_sampler_alone_does_not_and_says_so(two_modes):
    found = inference.sample(two_modes, draws=300, seed=3, method="nuts")
    side = np.sign(found.values("x"))
    assert np.all(side == side[:, :1])  # no chain ever crosses
    assert set(side[[0, 2], 0]) == {-1.0, 1.0}  # but they begin in both
    assert not found.converged
    assert "the chains disagree about x: R-hat is" in found.problems[0]
    assert 'method="tempered"' in found.problems[0]


@pytest.mark.slow
def test_a_mode_of_a_thousandth(two_modes):
    """A pair of peaks 1 : 1000: the ladder knows how small the other one is, and a mode that no
    chain has seen is named."""
    small_part = negative(3.0, 1.75)
    assert small_part == pytest.approx(1e-3, rel=0.1)
    analysis = two_modes.with_priors({"x": "normal(3.0, 1.75)"})
    found = inference.sample(analysis, draws=1500, seed=3)
    assert found.method == "tempered"
    assert found.converged, found.status
    inside = (found.values("x") < 0).astype(float)
    assert inside.sum() > 0
    assert agrees(inside, small_part, np.sqrt(small_part))
    assert [np.sign(mode.values["x"]) for mode in found.modes] == [1.0, -1.0]
    assert found.modes[1].share == pytest.approx(small_part, rel=0.3)
    assert "; x = -3." in found.status
    # The same with chains that all began on one side.
    right = np.where(found.values("x")[..., None] < 0, 3.5, found.draws)
    known = (found.modes[0], found.modes[1]._replace(share=0.1))
    missed = dataclasses.replace(found, draws=right, modes=known)
    assert missed.problems == [
        f"no draw is near the mode at x = {found.modes[1].values['x']:.4g}, which has about 10% of "
        "the posterior; take more draws, or priors that are less wide."
    ]


class Funnel:
    """A signal x e^v: the larger v, the narrower the posterior of x."""

    name, description, null = "funnel", "a product", {"x": 0.0, "v": 0.0}
    parameters = (bknn.Parameter("x", 1.0, (0.0, 10.0)), bknn.Parameter("v", 0.0, (-6.0, 2.0)))

    def spectrum(self, params, channel):
        return bknn.Spectrum(standard_model=params["x"] * jnp.exp(params["v"]))


@pytest.fixture(scope="module")
def funnel():
    return bknn.Analysis(Funnel(), small.one_bin(40.0))


@pytest.mark.slow
def test_a_funnel(funnel):
    x, v = (np.arange(1000) + 0.5) / 100, -6 + 8 * (np.arange(1000) + 0.5) / 1000
    density = stats.poisson.pmf(40, 8 + 4 * x[:, None] * np.exp(v))
    density /= density.sum()
    found = inference.sample(funnel, draws=800, seed=1)
    assert found.method == "tempered"
    assert found.converged, found.status
    for inside, part in (
        (found.values("v") > 1, density[:, v > 1].sum()),
        (found.values("v") < 0, density[:, v < 0].sum()),
        (found.values("x") < 2, density[x < 2].sum()),
    ):
        assert agrees(inside.astype(float), part, np.sqrt(part * (1 - part)))


@pytest.mark.slow
def test_trajectories_alone_are_lost_in_a_funnel_and_say_so(funnel):
    alone = inference.sample(funnel, draws=500, seed=1, method="nuts")
    assert not alone.converged
    assert "effective ones in the tail" in alone.status


@pytest.mark.slow
def test_a_bound_at_zero(one_bin):
    """Fewer counts than background: the density of mu is highest at 0, and ends there."""
    data = one_bin.data._replace(counts=np.array([4.0]))
    found = inference.sample(one_bin, data=data, draws=600, seed=2)
    assert found.method == "nuts"
    assert found.converged, found.status
    assert found.divergences == 0
    mu = found.values("mu")
    x = (np.arange(30000) + 0.5) / 10000
    density = stats.poisson.pmf(4, 8 + 4 * x)
    density /= density.sum()
    for level in (0.02, 0.3, 1.0, 2.0):
        part = density[x < level].sum()
        assert agrees((mu < level).astype(float), part, np.sqrt(part * (1 - part)))
    assert mu.min() >= 0


@pytest.mark.parametrize("size", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_two_peaks_of_known_masses(size):
    """Peaks of 0.8 and 0.2, thirty widths apart, on top of a normal density; its integral, too."""
    heavy, scale, constant = 0.8, 0.2, -7.0
    place = jnp.zeros(size).at[:2].set(jnp.array([2.2, -2.0]))
    other = jnp.zeros(size).at[:2].set(jnp.array([-2.0, 1.5]))
    # Coordinates beyond the second are narrow and off centre, in both.
    width = jnp.where(jnp.arange(size) < 2, scale, 0.7)
    place, other = place.at[2:].set(0.4), other.at[2:].set(0.4)

    def log_weight(w):
        def peak(centre):
            normal = -0.5 * ((w - centre) / width) ** 2 - jnp.log(width)
            return jnp.sum(normal + 0.5 * w**2)

        both = jnp.stack([jnp.log(heavy) + peak(place), jnp.log1p(-heavy) + peak(other)])
        return constant + jax.scipy.special.logsumexp(both)

    ladder = Ladder(LogWeight(log_weight), size, warmup=400, rungs=10)
    state = ladder.start(jax.random.PRNGKey(4), np.random.default_rng(1).normal(size=(2, size)))
    draws, weights = [], []
    for i in range(8 + 30):
        state, segment = ladder.advance(state)
        if i >= 8:
            draws.append(segment.draws)
            weights.append(segment.stats["log_weight"])
    w, weights = np.concatenate(draws, axis=1), np.concatenate(weights, axis=1)
    inside = (w[..., 0] > 0).astype(float)
    assert agrees(inside, heavy, np.sqrt(heavy * (1 - heavy)))
    assert 0.7 < inside.mean() < 0.9
    there = w[inside > 0]
    assert there[:, 1] == pytest.approx(-2.0, abs=2.0)
    assert there[:, 1].mean() == pytest.approx(-2.0, abs=0.05)
    assert there[:, 1].std() == pytest.approx(scale, rel=0.2)
    betas = np.asarray(state.betas)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert np.all(np.diff(betas) > 0)
    found = ladder_evidence(weights, np.tile(betas, (2, 1)))
    assert found.value == pytest.approx(constant, abs=4 * found.error)
    assert found.error < 0.3
    assert stepping_stone(weights.reshape(-1, 10), betas) == pytest.approx(constant, abs=0.5)


# What is said of draws -------------------------------------------------------------------------


def _made(one_bin, draws, **changes):
    return made_up.posterior(one_bin, {"mu": draws}, **changes)


def test_good_draws(one_bin):
    draws = np.random.default_rng(0).uniform(0, 3, (4, 1000))
    found = _made(one_bin, draws)
    assert found.problems == []
    assert found.status.startswith("converged: R-hat at most 1.0")


def test_chains_that_disagree(one_bin):
    draws = np.random.default_rng(0).normal(1.5, 0.1, (4, 1000))
    draws[2] += 0.1
    found = _made(one_bin, draws)
    assert "the chains disagree about mu: R-hat is 1." in found.status.replace("The", "the")
    assert not found.converged


def test_few_effective_draws(one_bin):
    random = np.random.default_rng(0)
    draws = np.zeros((4, 1000))
    for i in range(1, 1000):
        draws[:, i] = 0.95 * draws[:, i - 1] + 0.02 * random.normal(size=4)
    found = _made(one_bin, 1.5 + draws)
    # n (1 - 0.95) / (1 + 0.95)
    assert found.ess_bulk[0] == pytest.approx(4000 / 39, rel=0.5)
    assert any("effective ones in the bulk, fewer than 400" in text for text in found.problems)
    assert any("effective ones in the tail" in text for text in found.problems)


def test_divergences(one_bin):
    draws = np.random.default_rng(0).uniform(0, 3, (4, 1000))
    found = _made(one_bin, draws, diverging=5)
    assert found.problems == [
        "5 of 4000 trajectories diverged, so some region may not have been explored; take a longer "
        "warm-up."
    ]
    # A few are an accident, but are told.
    found = _made(one_bin, draws, diverging=3)
    assert found.converged
    assert "3 of 4000 trajectories diverged" in found.status
    # Of a ladder only short steps are watched: here every fourth draw holds one.
    short = np.tile([2, 0, 0, 0], (4, 250))
    found = _made(one_bin, draws, stats={**found.stats, "short_steps": short}, method="tempered")
    assert found.problems[0].startswith("3 of 1000 trajectories diverged")


def test_energies(one_bin):
    random = np.random.default_rng(0)
    made = _made(one_bin, random.uniform(0, 3, (4, 1000)))
    slow = np.cumsum(random.normal(size=(4, 1000)), axis=1)
    stats_ = {**made.stats, "energy": slow}
    found = _made(one_bin, made.values("mu"), stats=stats_)
    assert "E-BFMI" in found.status
    assert _made(one_bin, made.values("mu"), stats=stats_, method="tempered").converged


def test_one_chain_has_no_r_hat(one_bin):
    found = _made(one_bin, np.random.default_rng(0).uniform(0, 3, (1, 2000)))
    assert np.isnan(found.r_hat).all()
    assert found.converged
    assert "R-hat" not in found.status


def test_marginal_modes():
    random = np.random.default_rng(2)
    # The density of a Gamma distribution of 4 is highest at 3, by a tenth of its width.
    assert marginal_mode(random.gamma(4.0, size=20000), (0.0, np.inf)) == pytest.approx(3, abs=0.3)
    # At an end it is not smeared out.
    assert marginal_mode(random.exponential(size=4000), (0.0, np.inf)) < 0.15
    assert marginal_mode(1 - random.exponential(size=4000), (-np.inf, 1.0)) > 0.85
    # The higher of two peaks.
    mixed = np.where(random.random(8000) < 0.7, -2.0, 2.0) + 0.3 * random.normal(size=8000)
    assert marginal_mode(mixed, (-10, 10)) == pytest.approx(-2, abs=0.1)
    assert marginal_mode(np.full(10, 1.25), (0, 2)) == 1.25
