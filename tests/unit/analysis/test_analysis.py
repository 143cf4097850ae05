"""A model and measurements as one log density: names, numbers, derivatives, and what is refused."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, poisson, uniform

import bknn
from bknn import errors, inference, models
from bknn.standard_model import dbr_dq2

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


def assert_sentence(caught: pytest.ExceptionInfo, *words: str) -> None:
    message = str(caught.value)
    assert message.endswith("."), message
    assert "\n" not in message
    assert not [w for w in words if w not in message], message


@pytest.fixture(scope="module")
def belle2() -> bknn.Measurement:
    return bknn.data.load("belle2-2025")


@pytest.fixture(scope="module")
def strength() -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), small.measurement())


@pytest.fixture(scope="module")
def resonance() -> bknn.Analysis:
    return bknn.Analysis(models.load("resonance"), small.measurement())


@pytest.fixture(scope="module")
def density(strength) -> Any:
    return jax.jit(strength.log_density)


def point(**changes: Any) -> dict[str, Any]:
    values = {
        "mu": 1.3,
        "shape_b": 0.4,
        "ff": -0.7,
        "k_b": 1.1,
        "norm_b": 1.6,
        "side": np.array([0.9, 1.2, 1.05]),
        "stat_SR": np.array([1.02, 0.97, 1.0]),
    }
    return {**values, **changes}


# ---------------------------------------------------------------- names and vectors


def test_names_are_those_of_the_model_then_of_pyhf(belle2):
    pdf = bknn.HistFactory.from_workspace(belle2.workspace)
    analysis = bknn.Analysis(models.load("signal-strength"), belle2)
    nuisances = [name for name in pdf.parameter_names if name != "mu"]
    assert analysis.names == ("mu", *nuisances)
    assert analysis.size == len(analysis.names) == 232
    assert analysis.n_bins == 30
    assert tuple(analysis.init) == ("mu", *(n for n in pdf.parameter_sets if n != "mu"))
    analysis = bknn.Analysis(models.load("resonance"), belle2, free=["width"])
    own = ("mass", "branching_ratio", "width", "sm_normalisation")
    assert analysis.names == (*own, *nuisances)  # the form factors of the SM part stay
    assert analysis.constants == {}


def test_form_factors_go_with_the_template(belle2):
    """A spectrum without the measurement's own SM template has no use for its form factors."""
    own = models.from_spectrum(dbr_dq2, {})
    analysis = bknn.Analysis(own, belle2.select("hadronic"))
    gone = {"mu", *belle2.form_factor_modifiers}
    pdf = bknn.HistFactory.from_workspace(belle2.select("hadronic").workspace)
    assert analysis.names == tuple(n for n in pdf.parameter_names if n not in gone)


def test_start_bounds_and_fixed(resonance):
    assert resonance.names[:3] == ("mass", "branching_ratio", "sm_normalisation")
    assert resonance.constants == {"width": 0.0}
    np.testing.assert_array_equal(resonance.init_vector[:3], [2.1, 5e-6, 1.0])
    np.testing.assert_array_equal(resonance.bounds[1:3], [[0.0, 1e-3], [0.0, 2.0]])
    np.testing.assert_array_equal(resonance.bounds[resonance.index("side[1]")], [1e-10, 10.0])
    assert not resonance.fixed.any()
    assert resonance.null_values() == {"mass": 2.1, "branching_ratio": 0.0}
    assert resonance.index("side[1]") == resonance.nuisances["side"].start + 1


def test_settings_of_the_workspace_are_kept():
    spec = small.workspace()
    spec["measurements"][0]["config"]["parameters"] = [
        {"name": "k_b", "inits": [1.5], "bounds": [[0.5, 2.5]]},
        {"name": "norm_b", "fixed": True, "auxdata": [0.5]},
    ]
    analysis = bknn.Analysis(models.load("signal-strength"), small.measurement(workspace=spec))
    assert analysis.init["k_b"] == 1.5
    np.testing.assert_array_equal(analysis.bounds[analysis.index("k_b")], [0.5, 2.5])
    np.testing.assert_array_equal(np.flatnonzero(analysis.fixed), [analysis.index("norm_b")])
    where = analysis.normal[0].tolist().index(analysis.index("norm_b"))
    assert analysis.normal[1][where] == 0.5


def test_the_start_of_the_replaced_signal_strength_does_not_matter(strength, density):
    """`mu` of the workspace is gone: the model says how much signal there is."""
    spec = small.workspace()
    spec["measurements"][0]["config"]["parameters"] = [{"name": "mu", "inits": [2.0]}]
    analysis = bknn.Analysis(models.load("signal-strength"), small.measurement(workspace=spec))
    assert analysis.names == strength.names
    vector = strength.flatten(point())
    assert float(analysis.log_density(vector)) == pytest.approx(float(density(vector)), rel=1e-12)


@given(values=st.lists(st.floats(-5, 5), min_size=11, max_size=11))
def test_flatten_and_back(strength, values):
    vector = np.array(values)
    named = strength.unflatten(vector)
    assert {name: value.shape for name, value in named.items()} == {
        name: np.shape(value) for name, value in point().items()
    }
    np.testing.assert_array_equal(strength.flatten(named), vector)
    np.testing.assert_array_equal(strength.flatten(dict(reversed(named.items()))), vector)
    np.testing.assert_array_equal(strength.flatten(vector), vector)


def test_unflatten_of_a_batch(strength):
    batch = np.arange(44.0).reshape(2, 2, 11)
    named = strength.unflatten(batch)
    assert named["mu"].shape == (2, 2)
    assert named["side"].shape == (2, 2, 3)
    np.testing.assert_array_equal(named["side"][1, 0], batch[1, 0, 5:8])


@pytest.mark.parametrize(
    ("params", "kind", "words"),
    [
        (point(muu=1.0), errors.UnknownNameError, ("'muu'", "'mu'", "signal-strength")),
        (point(**{"side[0]": 1.0}), errors.UnknownNameError, ("side[0]", "signal-strength")),
        ({"mu": 1.0}, errors.ParameterError, ("shape_b", "analysis.init")),
        (point(side=[1.0, 2.0]), errors.ParameterError, ("side", "(2,)", "3")),
        (point(mu=[1.0, 2.0]), errors.ParameterError, ("mu", "(2,)", "1")),
        (np.ones(10), errors.ParameterError, ("(10,)", "11", "jax.vmap")),
        (np.ones((2, 11)), errors.ParameterError, ("(2, 11)", "jax.vmap")),
        ({}, errors.ParameterError, ("mu",)),
    ],
)
def test_parameters_that_do_not_fit(strength, params, kind, words):
    with pytest.raises(kind) as caught:
        strength.log_likelihood(params)
    assert_sentence(caught, *words)


def test_index_of_an_unknown_name(strength):
    with pytest.raises(errors.UnknownNameError) as caught:
        strength.index("stat_SR[3]")
    assert_sentence(caught, "stat_SR[3]", "stat_SR[2]")


# ---------------------------------------------------------------- the density


@given(
    mu=st.floats(-0.5, 6), ff=st.floats(-3, 3), shape=st.floats(-3, 3), scale=st.floats(-3, 3),
    k=st.floats(0.5, 2), side=st.floats(0.5, 2), stat=st.floats(0.9, 1.1),
)  # fmt: skip
def test_log_likelihood_is_that_of_the_workspace(
    strength, density, mu, ff, shape, scale, k, side, stat
):
    values = point(mu=mu, ff=ff, shape_b=shape, norm_b=scale, k_b=k)
    values |= {"side": np.array([side, 1.0, 1.3]), "stat_SR": np.array([1.0, stat, 1.0])}
    expected = -0.5 * small.twice_nll(values)
    assert float(density(strength.flatten(values))) == pytest.approx(expected, rel=1e-11)


def test_expected_counts(strength, resonance):
    values = point()
    counts = jax.jit(strength.expected)(values)
    rates = small.expected(values)
    assert {k: set(v) for k, v in counts.items()} == {
        "CR": {"background"},
        "SR": {"signal", "background"},
    }
    np.testing.assert_allclose(counts["CR"]["background"], rates[:2], rtol=1e-12)
    np.testing.assert_allclose(sum(counts["SR"].values()), rates[2:], rtol=1e-12)
    np.testing.assert_allclose(strength.rates(strength.flatten(values)), rates, rtol=1e-12)
    counts = jax.jit(resonance.expected)(resonance.init)
    np.testing.assert_allclose(counts["SR"]["signal"], small.SIGNAL, rtol=1e-12)
    assert (np.asarray(counts["SR"]["new signal"]) > 0).all()


def test_constraints_of_the_model_are_in_the_likelihood(resonance):
    def at(s: float) -> float:
        values = {**resonance.init, "sm_normalisation": s, "branching_ratio": 0.0}
        return float(resonance.log_likelihood(values))

    # With no X and SM normalisation s: the likelihood of signal-strength at mu = s, times N(s).
    for s in (1.0, 0.8):
        nuisances = {"shape_b": 0.0, "ff": 0.0, "k_b": 1.0, "norm_b": 0.0}
        twice = small.twice_nll(point(mu=s, side=np.ones(3), stat_SR=np.ones(3), **nuisances))
        assert at(s) == pytest.approx(
            -0.5 * twice + norm.logpdf(1.0, s, math.hypot(0.044, 0.023)), rel=1e-12
        )


def test_jit_vmap_and_grad(strength, density):
    vectors = np.stack([np.asarray(strength.flatten(point(mu=mu))) for mu in (0.2, 1.0, 3.0)])
    single = np.array([density(v) for v in vectors])
    np.testing.assert_allclose(jax.jit(jax.vmap(strength.log_density))(vectors), single, rtol=1e-12)
    gradient = jax.jit(jax.grad(strength.log_density))(vectors[0])
    steps = 1e-5 * np.eye(11)
    numeric = [(density(vectors[0] + s) - density(vectors[0] - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6)


def test_other_data(strength):
    values = point()
    counts = np.array([190.0, 160.0, 95.0, 0.0, 35.0])
    data = strength.data._replace(counts=counts)
    twice = small.twice_nll(values, counts)
    assert float(strength.log_likelihood(values, data)) == pytest.approx(-0.5 * twice, rel=1e-12)


# ---------------------------------------------------------------- priors


class Priors:
    """Every kind of prior on five parameters that scale the signal."""

    name = "priors"
    description = "a test"
    null: dict[str, float] = {}  # noqa: RUF012
    parameters = (
        bknn.Parameter("a", 1.0, (0.0, 4.0)),
        bknn.Parameter("b", 1.0, (-5.0, 5.0), prior=dist.Normal(0.5, 2.0)),
        bknn.Parameter("c", 1.0, (0.0, math.inf), prior=dist.Exponential(2.0)),
        bknn.Parameter("d", 1.0),
        bknn.Parameter("e", 1.0, (0.0, 2.0), constraint=(1.0, 0.1)),
    )

    def spectrum(self, params, channel):
        return bknn.Spectrum(standard_model=sum(params[k] for k in "abcde") / 5)


@pytest.fixture(scope="module")
def priors() -> bknn.Analysis:
    return bknn.Analysis(Priors(), small.one_bin())


def test_log_posterior_is_likelihood_times_priors(priors):
    values = {"a": 1.5, "b": -1.0, "c": 0.7, "d": 2.0, "e": 1.1}
    rate = 8 + 4 * sum(values.values()) / 5
    likelihood = poisson.logpmf(12, rate) + norm.logpdf(1.0, 1.1, 0.1)
    prior = uniform.logpdf(1.5, 0, 4) + norm.logpdf(-1.0, 0.5, 2.0) + math.log(2) - 1.4
    prior -= math.log(norm.cdf(5, 0.5, 2.0) - norm.cdf(-5, 0.5, 2.0))  # b ends at its bounds
    assert float(priors.log_likelihood(values)) == pytest.approx(likelihood, rel=1e-12)
    assert float(priors.log_prior(values)) == pytest.approx(prior, rel=1e-12)
    assert float(priors.log_posterior(values)) == pytest.approx(likelihood + prior, rel=1e-12)


@pytest.mark.parametrize("outside", [{"a": -0.1}, {"a": 4.1}, {"c": -1e-3}])
def test_out_of_the_support_is_impossible(priors, outside):
    values = {"a": 1.5, "b": -1.0, "c": 0.7, "d": 2.0, "e": 1.1, **outside}
    assert float(priors.log_prior(values)) == -np.inf
    assert float(priors.log_posterior(values)) == -np.inf
    gradient = jax.grad(priors.log_prior)(priors.flatten(values))
    assert np.isfinite(gradient).all()


# ---------------------------------------------------------------- channels


def test_selected_channels(belle2):
    """The likelihood of all channels is the product of its parts' main terms."""
    parts = [small.measurement().select(c) for c in ("SR", "CR")]
    assert parts[0].channels == ("SR",)
    only = bknn.Analysis(models.load("signal-strength"), parts[0])
    values = point()
    twice = small.twice_nll(values)
    control = poisson.logpmf(small.OBSERVED[0], 1.1 * small.CONTROL).sum()
    assert float(only.log_likelihood(values)) == pytest.approx(-0.5 * twice - control, rel=1e-12)
    hadronic = bknn.Analysis(models.load("resonance"), belle2.select("hadronic"))
    assert hadronic.n_bins == 6
    with pytest.raises(errors.UnknownNameError) as caught:
        belle2.select("hadronnic")
    assert_sentence(caught, "hadronnic", "'hadronic'")


def test_a_new_signal_needs_a_channel_with_signal():
    with pytest.raises(errors.DataError) as caught:
        bknn.Analysis(models.load("resonance"), small.measurement().select("CR"))
    assert_sentence(caught, "'small'", "CR", "bknn data import")


# ---------------------------------------------------------------- several measurements


def plain(name: str = "other") -> bknn.Measurement:
    """A workspace without response, whose nuisances are called as those of the small one."""
    spec = small.one_bin().workspace
    spec["channels"][0]["samples"][1]["modifiers"] = [
        {"name": "k_b", "type": "normfactor", "data": None},
        {"name": "norm_b", "type": "normsys", "data": {"lo": 0.8, "hi": 1.2}},
    ]
    return bknn.Measurement(name, "another one", spec)


def test_two_measurements_multiply():
    both = bknn.Analysis(models.load("signal-strength"), [small.measurement(), plain()])
    assert both.n_bins == 6
    assert both.names[0] == "mu"
    assert both.names[-2:] == ("other/k_b", "other/norm_b")
    assert len(set(both.names)) == both.size == 13
    values = {**point(), "other/k_b": 0.7, "other/norm_b": 1.0}
    other = poisson.logpmf(12, 1.3 * 4 + 0.7 * 1.2 * 8) + norm.logpdf(1.0)
    expected = -0.5 * small.twice_nll(point()) + other
    assert float(both.log_likelihood(values)) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(both.data.counts[-1:], [12.0])


def test_a_measurement_counts_once():
    with pytest.raises(errors.DataError) as caught:
        bknn.Analysis(models.load("signal-strength"), [small.measurement(), small.measurement()])
    assert_sentence(caught, "'small'", "twice")
    with pytest.raises(errors.DataError) as caught:
        bknn.Analysis(models.load("signal-strength"), [])
    assert_sentence(caught, "at least one")


def test_a_parameter_of_the_model_keeps_its_name():
    """A nuisance of the same name gets that of its measurement in front."""

    def flat(q2, k_b):
        return k_b / 20 * jnp.ones_like(q2)

    model = models.from_spectrum(flat, {"k_b": (1e-6, 0.0, 1e-3)})
    analysis = bknn.Analysis(model, small.measurement())
    assert analysis.names[0] == "k_b"
    assert "small/k_b" in analysis.names
    assert analysis.init["k_b"] == 1e-6
    assert analysis.init["small/k_b"] == 1.0


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("fn", "parameters", "options", "kind", "words"),
    [
        (lambda q2, a, b: q2, {"a": 1.0}, {}, errors.ParameterError, ("takes b", "no start")),
        (lambda q2, a: q2, {"a": 1.0, "b": 1.0}, {}, errors.ParameterError, ("not take b",)),
        (lambda q2, a: q2, {"a": "one"}, {}, errors.ParameterError, ("'a'", "'one'")),
        (lambda q2, a: q2, {"a": (1.0, 2.0, 3.0)}, {}, errors.ParameterError, ("a", "[2, 3]")),
        (lambda q2, a: q2, {"a": (1.0, 3.0, 0.0)}, {}, errors.ParameterError, ("a", "3 to 0")),
        (
            lambda q2, **p: q2,
            {"a b": 1.0},
            {},
            errors.ParameterError,
            ("'a b'", "identifier"),
        ),
        (lambda q2, a: q2, {"a": 1.0}, {"null": {"b": 1.0}}, errors.UnknownNameError, ("'b'",)),
    ],
)
def test_from_spectrum_refuses(fn, parameters, options, kind, words):
    with pytest.raises(kind) as caught:
        models.from_spectrum(fn, parameters, name="mine", **options)
    assert_sentence(caught, *words)


def test_from_spectrum_in_short():
    model = models.from_spectrum(
        lambda q2, a, b=2.0: a + b * q2,
        {"a": bknn.Parameter("a", 1.0, (0.0, 2.0), unit="GeV")},
        null={"a": 0.5},
        name="straight-line",
    )
    assert model.name == "straight-line"
    assert model.null == {"a": 0.5}
    assert model.parameters[0].unit == "GeV"


class Nonsense:
    name = "nonsense"
    description = "returns what no model should"
    null: dict[str, float] = {}  # noqa: RUF012
    parameters = (bknn.Parameter("a", 1.0),)

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def spectrum(self, params, channel):
        return self.answer


@pytest.mark.parametrize("answer", [None, 1.0, {"standard_model": 1.0}, "resonance"])
def test_models_that_return_no_spectrum(answer):
    with pytest.raises(errors.ParameterError) as caught:
        bknn.Analysis(Nonsense(answer), small.one_bin())
    assert_sentence(caught, "nonsense", type(answer).__name__, "bknn.Spectrum")


def test_models_with_a_parameter_twice():
    model = Nonsense(bknn.Spectrum(standard_model=1.0))
    model.parameters = (bknn.Parameter("a", 1.0), bknn.Parameter("a", 2.0))
    with pytest.raises(errors.ParameterError, match="'a'"):
        bknn.Analysis(model, small.one_bin())


def test_close_matches_are_named_once(strength):
    with pytest.raises(errors.UnknownNameError) as caught:
        strength.index("nu")
    assert str(caught.value).count("'mu'") == 1


def test_unknown_options():
    model = models.load("resonance")
    for options, words in (
        ({"response": "smoth"}, ("'smoth'", "'smooth'")),
        ({"free": ["widht"]}, ("'widht'", "'width'", "resonance")),
    ):
        with pytest.raises(errors.UnknownNameError) as caught:
            bknn.Analysis(model, small.measurement(), **options)
        assert_sentence(caught, *words)
    with pytest.raises(errors.UnknownNameError) as caught:
        bknn.Analysis(model, small.measurement(null_spectrum="hpqcd-2023"))
    assert_sentence(caught, "hpqcd-2023", "'hpqcd-2022'", "small")
    with pytest.raises(errors.UnknownNameError) as caught:
        models.load("resonanse")
    assert_sentence(caught, "'resonanse'", "'resonance'")


@contextlib.contextmanager
def single_precision(everywhere: bool) -> Iterator[None]:
    if not everywhere:
        with jax.enable_x64(False):
            yield
        return
    jax.config.update("jax_enable_x64", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize("everywhere", [True, False])
def test_single_precision_is_refused(everywhere):
    """In float32 the likelihood of Belle II is known to 1e-5 at best, and a fit needs 1e-10."""
    model, measurement = models.load("signal-strength"), small.one_bin()
    builders = (
        lambda: bknn.Analysis(model, measurement),
        lambda: bknn.HistFactory.from_workspace(measurement.workspace),
    )
    for build in builders:
        with single_precision(everywhere), pytest.raises(errors.PrecisionError) as caught:
            build()
        assert_sentence(caught, "single precision", "bknn.enable_x64()")


# ---------------------------------------------------------------- form factors of the model


def test_form_factors_of_the_model_replace_those_of_the_template(belle2):
    """What arXiv:2507.12393 does by hand: `corr_ff_c1` to `c3` and mu go, eight parameters come."""
    analysis = bknn.Analysis(models.load("vector"), belle2)
    own = ("mass", "h_V", "sm_normalisation", *(f"ff_K_{i}" for i in range(8)))
    pdf = bknn.HistFactory.from_workspace(belle2.workspace)
    gone = {"mu", "corr_ff_c1", "corr_ff_c2", "corr_ff_c3"}
    assert set(belle2.form_factor_modifiers) == gone - {"mu"}
    nuisances = tuple(name for name in pdf.parameter_names if name not in gone)
    assert analysis.names == (*own, *nuisances)
    assert analysis.size == 3 + 8 + 228
    assert set(analysis.constants) == {"width", "h_A", "h_T", "h_T5"}
    assert [p.name for p in analysis.parameters if p.nuisance] == list(own[3:])
    np.testing.assert_array_equal(analysis.init_vector[3:11], np.zeros(8))
    # The measurements keep theirs where the template is used.
    assert gone - {"mu"} <= set(bknn.Analysis(models.load("resonance"), belle2).names)
    text = analysis.describe()
    assert "ff_K_0 ... ff_K_7" in text
    assert "8 of form factors B -> K, flag-2021+hpqcd-2022, whitened" in text
    assert "239, of which 236 nuisances" in text
    # Another set, another number of them; freed couplings stand where the model has them.
    other = models.load("vector", form_factors="hpqcd-2022")
    other = bknn.Analysis(other, belle2.select("hadronic"), free=["h_T"])
    n = len(other.model.nuisances(["B+ -> K+"]))
    assert other.names[: 4 + n] == (
        *("mass", "h_V", "h_T", "sm_normalisation"),
        *(f"ff_K_{i}" for i in range(n)),
    )


def test_form_factors_are_constrained(belle2):
    """Unit normal in the likelihood, and nothing in the prior."""
    analysis = bknn.Analysis(models.load("sm"), belle2.select("hadronic"))
    rates = jax.jit(analysis.rates)
    density = jax.jit(analysis.log_density)
    start = analysis.init_vector
    moved = start.copy()
    shift = {"ff_K_0": 1.3, "ff_K_4": -0.6, "ff_K_7": 2.0}
    for name, value in shift.items():
        moved[analysis.index(name)] = value
    counts = np.asarray(analysis.data.counts)
    change = sum(
        poisson.logpmf(counts, rates(v)).sum() * sign for v, sign in ((moved, 1), (start, -1))
    )
    constraint = sum(norm.logpdf(x) - norm.logpdf(0.0) for x in shift.values())
    assert float(density(moved) - density(start)) == pytest.approx(change + constraint, abs=1e-9)
    assert abs(change) > 1e-3
    priors = [float(analysis.log_prior(v)) for v in (start, moved)]
    assert priors[0] == priors[1]


class DoubleCounting(Nonsense):
    """The measurement's template, and form factors of its own."""

    name = "double-counting"

    def nuisances(self, channels):
        return (bknn.Parameter("ff_K_0", 0.0, constraint=(0.0, 1.0), nuisance=True),)


def test_form_factors_count_once(belle2):
    model = DoubleCounting(bknn.Spectrum(standard_model=1.0))
    with pytest.raises(errors.ParameterError) as caught:
        bknn.Analysis(model, belle2)
    assert_sentence(
        caught, "'double-counting'", "ff_K_0", "'belle2-2025'", "corr_ff_c1", "twice", "continuum"
    )
    # Without form factors in the workspace there is nothing to count twice.
    assert "ff_K_0" in bknn.Analysis(model, small.one_bin()).names
    # Nor with the standard model in the continuum.
    model = DoubleCounting(bknn.Spectrum(continuum=dbr_dq2))
    names = bknn.Analysis(model, belle2.select("hadronic")).names
    assert "ff_K_0" in names
    assert not set(belle2.form_factor_modifiers) & set(names)


# ---------------------------------------------------------------- words


def test_describe(belle2):
    analysis = bknn.Analysis(models.load("resonance"), belle2.select("hadronic"))
    text = analysis.describe()
    for words in (
        "resonance: SM + B+ -> K+ X",
        "belle2-2025",
        "(6 bins)",
        "arXiv:2507.12393",
        "smooth",
        "start 2.1 GeV, within [0, 4.78385] GeV, uniform",
        "sm_normalisation",
        "1.00 +- 0.05 (in the likelihood)",
        "fixed at 0",
        f"{analysis.size}, of which {analysis.size - 3} nuisances",
    ):
        assert words in text
    assert repr(analysis) == (
        f"Analysis(resonance x belle2-2025: {analysis.size} parameters, 6 bins)"
    )


# ---------------------------------------------------------------- the profile in the mass


@pytest.mark.slow
def test_the_profile_is_smooth_across_the_edges_of_true_q2(belle2):
    """-2 log L, minimised at fixed mass: its derivative is right and has no jump at the edges.

    At the minimum the total derivative in the mass is the partial one (envelope theorem).
    """
    analysis = bknn.Analysis(models.load("resonance"), belle2.select("hadronic"))
    (density,) = belle2.select("hadronic").densities.values()
    np.testing.assert_array_equal(density.edges, np.linspace(0, 22.885, 101))
    gradient = jax.jit(jax.grad(lambda v: -2 * analysis.log_density(v)))

    def profile(mass: float) -> inference.FitResult:
        return inference.fit(analysis, fixed={"mass": mass}).check()

    for edge in density.edges[[5, 19, 30, 40, 55, 62]]:
        slopes = {}
        for offset in (-1e-4, -1e-7, 1e-7, 1e-4):
            mass, step = math.sqrt(edge + offset), 1e-5
            here = profile(mass)
            assert here.params["branching_ratio"] > 1e-6  # else the mass is without effect
            slopes[offset] = float(gradient(here.vector)[0])
            if abs((mass + step) ** 2 - edge - offset) < abs(offset):  # both on this side
                difference = profile(mass + step).twice_nll - profile(mass - step).twice_nll
                assert slopes[offset] == pytest.approx(difference / (2 * step), rel=1e-4)
        far, near = slopes[1e-4] - slopes[-1e-4], slopes[1e-7] - slopes[-1e-7]
        # A jump would stay as the two sides come closer; a bend shrinks with their distance.
        assert abs(near) < 0.01 * abs(far) + 1e-6
        assert abs(far) < 0.02 * abs(slopes[1e-4])


@pytest.mark.slow
def test_the_profile_is_smooth_where_a_threshold_passes_an_edge(belle2):
    """The same for a pair, whose spectrum begins at four times its mass squared."""
    target = bknn.Analysis(models.load("fermion-pair"), belle2.select("hadronic"))
    edge = np.linspace(0.0, 22.885, 101)[7]
    offsets = np.array([-2e-2, -1e-6, 1e-6, 2e-2])
    masses, step = np.sqrt((edge + offsets) / 4), 1e-4
    everything = np.concatenate([masses, masses + step, masses - step])
    fitted = inference.fit(target, fixed={"mass": everything}).check()
    assert float(fitted.params["f_VV"].min()) > 0.1  # else the mass is without effect
    # Envelope theorem: at the profiled nuisances the partial derivative is the total one.
    gradient = jax.jit(jax.vmap(jax.grad(target.log_density)))
    slopes = -2 * np.asarray(gradient(fitted.vector[:4]))[:, 0]
    assert abs(slopes[1] - slopes[2]) < 1e-3 * abs(slopes[0])
    difference = (fitted.twice_nll[4:8] - fitted.twice_nll[8:]) / (2 * step)
    np.testing.assert_allclose(slopes, difference, rtol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fermion-pair", "vector"])
def test_gradient_with_form_factors(belle2, name):
    """In all parameters: mass (with its threshold), coupling, normalisation, form factors, and
    nuisances of the measurement."""
    free = ["width"] if name == "vector" else ()
    target = bknn.Analysis(models.load(name), belle2.select("hadronic"), free=free)
    random = np.random.default_rng(3)
    point = target.init_vector + 0.02 * random.normal(size=target.size)
    point[: len(target.parameters)] = target.init_vector[: len(target.parameters)]
    for parameter, value in {"mass": 0.7, "width": 0.2, "ff_K_0": 0.8, "ff_K_3": -1.2}.items():
        if parameter in target.names:
            point[target.index(parameter)] = value
    gradient = np.asarray(jax.jit(jax.grad(target.log_density))(point))
    sizes = np.maximum(np.abs(point), 0.1)
    coupling = target.index("h_V" if name == "vector" else "f_VV")
    sizes[coupling] = point[coupling]
    batched = jax.jit(jax.vmap(target.log_density))
    steps = 1e-4 * np.diag(sizes)
    up, down, far_up, far_down = (
        np.asarray(batched(point[None, :] + n * steps)) for n in (1, -1, 2, -2)
    )
    numeric = (8 * (up - down) - (far_up - far_down)) / (12 * 1e-4 * sizes)
    np.testing.assert_allclose(gradient * sizes, numeric * sizes, rtol=1e-6, atol=1e-7)
