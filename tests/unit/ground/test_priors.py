"""Priors: texts, densities and quantiles beside scipy and quadrature, and in an Analysis."""

from __future__ import annotations

import math
import sys

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

import bknn
from bknn import cli, errors, models, priors
from bknn.commands import parser
from bknn.questions import QUESTIONS
from bknn.questions.shared import values
from bknn.run.card import Card

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: Text, words, and the same distribution in scipy.
KNOWN = {
    "uniform(1.5, 3.0)": ("uniform on [1.5, 3]", stats.uniform(1.5, 1.5)),
    "normal(0, 20e-6)": ("normal 0 +- 2e-05", stats.norm(0, 20e-6)),
    "truncated_normal(0, 20e-6, 0, inf)": (
        "normal 0 +- 2e-05, within [0, inf]",
        stats.truncnorm(0, np.inf, 0, 20e-6),
    ),
    "truncated_normal(1, 2, -1, 2)": (
        "normal 1 +- 2, within [-1, 2]",
        stats.truncnorm(-1, 0.5, 1, 2),
    ),
    # Far out in the tail, where differences of cumulative probabilities lose their digits.
    "truncated_normal(0, 1, 4.5, 6)": (
        "normal 0 +- 1, within [4.5, 6]",
        stats.truncnorm(4.5, 6, 0, 1),
    ),
    "log_uniform(1e-7, 1e-4)": ("log-uniform on [1e-07, 0.0001]", stats.loguniform(1e-7, 1e-4)),
    "flat_in_square(0, 4.78)": (
        "flat in the square on [0, 4.78]",
        stats.powerlaw(2, 0, 4.78),
    ),
    "flat_in_square(1.5, 3)": ("flat in the square on [1.5, 3]", None),
}


@pytest.mark.parametrize("text", KNOWN)
def test_densities_and_quantiles(text):
    words, peer = KNOWN[text]
    prior = priors.read(text)
    assert priors.describe(prior) == words
    probabilities = np.array([0.001, 0.1, 0.5, 0.9, 0.999])
    x = np.asarray(priors.quantile(prior, probabilities))
    density = np.exp(np.asarray(prior.log_prob(x)))
    if peer is not None:
        # Quadrature (the tail) has errors of 1e-7; the others are exact.
        assert x == pytest.approx(peer.ppf(probabilities), rel=1e-6)
        assert density == pytest.approx(peer.pdf(x), rel=1e-6)
    else:
        assert x == pytest.approx(np.sqrt(2.25 + probabilities * 6.75))
        assert density == pytest.approx(2 * x / 6.75)
    # Between the points of the quadrature quantiles are interpolated.
    assert np.asarray(prior.cdf(x)) == pytest.approx(probabilities, abs=1e-6)


@pytest.mark.parametrize("text", [t for t in KNOWN if "inf" not in t and not t.startswith("norm")])
def test_integral_is_one_within_the_support_and_nothing_is_outside(text):
    prior = priors.read(text)
    low, high = priors.support_bounds(prior)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    log = np.log(low) if low > 0 else None
    if text.startswith("log"):  # even in the logarithm
        t = 0.5 * (math.log(high) + log) + 0.5 * (math.log(high) - log) * nodes
        x, jacobian = np.exp(t), np.exp(t) * 0.5 * (math.log(high) - log)
    else:
        x, jacobian = 0.5 * (high + low) + 0.5 * (high - low) * nodes, 0.5 * (high - low)
    total = weights @ (np.exp(np.asarray(prior.log_prob(x))) * jacobian)
    assert total == pytest.approx(1.0, rel=1e-7)
    if not isinstance(prior, dist.Uniform | dist.LogUniform):  # numpyro's own do not look
        outside = np.array([low - 0.1 * (high - low), high + 0.1 * (high - low)])
        assert (np.asarray(prior.log_prob(outside)) == -np.inf).all()


@pytest.mark.parametrize("text", ["flat_in_square(1, 3)", "truncated_normal(1, 2, -1, 2)"])
def test_draws(text):
    prior = priors.read(text)
    draws = np.asarray(prior.sample(jax.random.key(1), (4000,)))
    assert draws.shape == (4000,)
    assert stats.kstest(draws, lambda x: np.asarray(prior.cdf(x))).pvalue > 0.01


def test_moments_of_flat_in_square():
    prior = priors.FlatInSquare(1.0, 3.0)
    mean = integrate.quad(lambda x: x * 2 * x / 8, 1, 3)[0]
    variance = integrate.quad(lambda x: (x - mean) ** 2 * 2 * x / 8, 1, 3)[0]
    assert float(prior.mean) == pytest.approx(mean)
    assert float(prior.variance) == pytest.approx(variance)


def test_flat_in_square_has_a_finite_gradient_outside():
    prior = priors.FlatInSquare(0.0, 2.0)
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(prior.log_prob)))(np.array([-1.0, 0, 3]))
    assert (np.asarray(values) == -np.inf).all()
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize(
    ("distribution", "bounds"),
    [
        (dist.Uniform(0.0, 1.0), (0.0, 1.0)),
        (dist.Normal(0.0, 1.0), (-math.inf, math.inf)),
        (dist.Exponential(1.0), (0.0, math.inf)),
        (dist.Beta(2.0, 3.0), (0.0, 1.0)),
        (dist.LogUniform(1.0, 2.0), (1.0, 2.0)),
        (dist.TruncatedNormal(0.0, 1.0, low=0.5, high=2.0), (0.5, 2.0)),
    ],
)
def test_support(distribution, bounds):
    assert priors.support_bounds(distribution) == bounds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("unifrom(1, 2)", "unknown prior 'unifrom'; did you mean 'uniform'"),
        ("unifrom", "unknown prior 'unifrom'; did you mean 'uniform'"),
        ("uniform", r"write a name and numbers in brackets, as in uniform\(low, high\)"),
        ("uniform(1)", r"has 1 number\(s\), and uniform takes 2: uniform\(low, high\)"),
        ("normal()", r"has 0 number\(s\), and normal takes 2: normal\(mean, width\)"),
        ("uniform(1, two)", "'two' is not a number"),
        ("uniform(2, 1)", "low = 2 must be less than high = 1"),
        ("uniform(0, inf)", "must be finite"),
        ("uniform(nan, 1)", "must be finite"),
        ("normal(nan, 1)", "the mean nan must be finite"),
        ("normal(0, -1)", "the standard deviation -1 must be positive"),
        ("log_uniform(0, 1)", "must be positive"),
        ("flat_in_square(-1, 1)", "must not be negative"),
        ("truncated_normal(0, 1, 2, 1)", "low = 2 must be less than high = 1"),
        ("truncated_normal(0, 1, 20, 30)", "next to nothing .* within"),
        ("user:module", "not of the form user:module:function"),
        ("user:no_such_module_here:f", r"no such file was given: name it with --functions no_su"),
        ("user:os:getcwd", r"names a function of os\.py, and no such file was given"),
        ("user:../os:getcwd", "not of the form user:module:function"),
    ],
)
def test_texts_that_make_no_sense(text, problem):
    with pytest.raises(errors.BknnError, match=problem):
        priors.read(text)


OWN = """
import sys
import numpyro.distributions as dist

def half():
    return dist.HalfNormal(2.0)

def number():
    return 2.0

def counts():
    return dist.Poisson(2.0)

def divides():
    return dist.Normal(0.0, 1 / 0)

def ends():
    sys.exit("enough")

def needs(x):
    return x

class Broken(dist.Distribution):
    support = dist.constraints.real

    def log_prob(self, value):
        return value.no_such_thing

def broken():
    return Broken()
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own_priors.py"
    path.write_text(OWN, encoding="utf-8")
    return path


def test_functions_of_a_file_that_was_named(own, tmp_path, monkeypatch):
    assert isinstance(priors.read("user:own_priors:half", [own]), dist.HalfNormal)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.ParameterError, match="no such file was given"):
        priors.read("user:own_priors:half")
    # A file takes no other module's place.
    (tmp_path / "json.py").write_text("def half():\n    return 3\n", encoding="utf-8")
    with pytest.raises(errors.ParameterError, match="returned a int"):
        priors.read("user:json:half", [tmp_path / "json.py"])
    assert hasattr(sys.modules["json"], "loads")
    # What was changed is read anew.
    own.write_text(OWN.replace("HalfNormal(2.0)", "Uniform(0.0, 2.0)"), encoding="utf-8")
    assert isinstance(priors.read("user:own_priors:half", [own]), dist.Uniform)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("number", "returned a float"),
        ("counts", "one real number, and Poisson is not"),
        ("divides", r"'user:own_priors:divides' raised ZeroDivisionError: .* at line 15 of .*own_"),
        ("ends", r"raised SystemExit: enough at line 18 of .*own_priors\.py\.$"),
        ("needs", r"raised TypeError: .*missing 1 required"),
        ("broken", "its log_prob' raised AttributeError"),
        ("hlaf", "unknown function 'hlaf' in .*did you mean 'half'"),
    ],
)
def test_what_functions_do_wrong_is_a_sentence(own, name, problem):
    with pytest.raises(errors.BknnError, match=problem) as caught:
        priors.read(f"user:own_priors:{name}", [own])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def f(:\n", "raised SyntaxError: .* at line 1 of"),
        ("import no_such_module_here\n", "raised ModuleNotFoundError: .* at line 1 of"),
        ("\n\nraise SystemExit\n", r"raised SystemExit at line 3 of"),
    ],
)
def test_files_that_cannot_be_run(tmp_path, text, problem):
    (tmp_path / "wrong.py").write_text(text, encoding="utf-8")
    with pytest.raises(errors.ParameterError, match=problem):
        priors.read("user:wrong:f", [tmp_path / "wrong.py"])


def test_a_card_takes_functions_from_beside_it(own, tmp_path, monkeypatch):
    card = tmp_path / "card.toml"
    card.write_text(
        '[model]\nname = "sm"\n[priors]\nmass = "user:own_priors:half"\n'
        'width = "user:os:getcwd"\n[fit]\n',
        encoding="utf-8",
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "os.py").write_text("def getcwd():\n    return 1\n", encoding="utf-8")
    found = Card.read(card)
    assert found.functions == ()
    assert found.with_functions().functions == (str(own),)
    assert found.with_functions(["os.py"]).functions == ("os.py", str(own))


# ---------------------------------------------------------------- within bounds


class Bare(dist.Distribution):
    """A triangle on [0, 2], which knows its density and nothing else."""

    support = dist.constraints.interval(0.0, 2.0)

    def log_prob(self, value):
        return jax.numpy.log(1 - abs(value - 1))


def test_bounds_that_cut_nothing_change_nothing():
    prior = dist.Normal(0.0, 1.0)
    assert priors.within(prior, (-math.inf, math.inf)) is prior
    prior = dist.Uniform(0.0, 20.0)
    assert priors.within(prior, (0.0, 60.0)) is prior


@pytest.mark.parametrize(
    ("base", "bounds", "words"),
    [
        (dist.Uniform(0.0, 20.0), (5.0, 60.0), "uniform on [5, 20]"),
        (priors.FlatInSquare(0.0, 5.0), (1.0, 4.78), "flat in the square on [1, 4.78]"),
        (dist.Normal(1.0, 2.0), (0.0, 3.0), "normal 1 +- 2, within [0, 3]"),
        (dist.Exponential(2.0), (0.5, 3.0), "Exponential(rate=2), within [0.5, 3]"),
        (Bare(), (0.5, 2.0), "Bare, within [0.5, 2]"),
    ],
)
def test_within_bounds_the_integral_is_one(base, bounds, words):
    prior = priors.within(base, bounds)
    assert priors.describe(prior) == words
    low, high = priors.support_bounds(prior)
    x = np.linspace(low, high, 3001)
    density = np.exp(np.asarray(prior.log_prob(x)))
    density[~np.isfinite(density)] = 0.0
    assert integrate.simpson(density, x=x) == pytest.approx(1.0, rel=2e-6)  # the triangle's kink
    below = integrate.cumulative_simpson(density, x=x, initial=0.0)
    assert np.asarray(prior.cdf(x)) == pytest.approx(below, abs=2e-6)
    q = np.array([0.05, 0.5, 0.95])
    assert np.asarray(priors.quantile(prior, q)) == pytest.approx(np.interp(q, below, x), abs=1e-4)


def test_twice_within_is_once():
    once = priors.within(dist.Normal(0.0, 1.0), (-1.0, 2.0))
    twice = priors.within(once, (-0.5, 5.0))
    both = priors.within(dist.Normal(0.0, 1.0), (-0.5, 2.0))
    assert float(twice.log_prob(0.3)) == float(both.log_prob(0.3))


def test_no_cumulative_and_no_end_is_refused():
    class Everywhere(Bare):
        support = dist.constraints.real

    with pytest.raises(errors.ParameterError, match="give the parameter finite bounds"):
        priors.within(Everywhere(), (0.0, math.inf))


# ---------------------------------------------------------------- in an analysis


def analysis(**given: object) -> bknn.Analysis:
    return bknn.Analysis(models.load("resonance"), small.measurement(), priors=given)


@pytest.mark.slow
def test_priors_of_an_analysis():
    plain = analysis()
    changed = analysis(mass="uniform(1.5, 3.0)", branching_ratio=dist.Normal(0.0, 20e-6))
    assert changed.names == plain.names
    assert (changed.bounds == plain.bounds).all()
    values = {**changed.init, "mass": 2.0, "branching_ratio": 8e-6}
    # The bounds [0, 1e-3] cut the normal distribution in half.
    expected = stats.uniform(1.5, 1.5).logpdf(2.0) + stats.norm(0, 20e-6).logpdf(8e-6) + np.log(2)
    assert float(changed.log_prior(values)) == pytest.approx(expected, rel=1e-12)
    assert float(changed.log_prior({**values, "mass": 3.1})) == -np.inf
    assert float(changed.log_prior({**values, "branching_ratio": -1e-6})) == -np.inf
    compiled = jax.jit(changed.log_prior)(changed.flatten(values))
    assert float(compiled) == pytest.approx(expected, rel=1e-12)
    assert float(changed.log_likelihood(values)) == float(plain.log_likelihood(values))
    assert plain.parameters[0].prior_text == "uniform"
    assert plain.parameters[0].prior_with_range.startswith("uniform on [0, 4.78")
    assert changed.parameters[0].prior_with_range == "uniform on [1.5, 3]"
    text = changed.describe()
    assert "uniform on [1.5, 3]" in text
    assert "normal 0 +- 2e-05, within [0, 0.001]" in text


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"masse": "uniform(1, 2)"}, "unknown parameter 'masse' .* did you mean 'mass'"),
        ({"width": "uniform(0, 1)"}, r"let it float with free=\['width'\]"),
        ({"sm_normalisation": "uniform(0, 1)"}, "would count it twice"),
        ({"mass": "uniform(5, 6)"}, r"parameter 'mass': .* has nothing within \[0, 4.78"),
        ({"mass": "normal(-30, 1)"}, "parameter 'mass': .* next to nothing"),
        ({"mass": dist.Poisson(1.0)}, "one real number, and Poisson is not"),
        ({"mass": dist.Normal(np.zeros(2), 1.0)}, "one real number, and Normal is not"),
    ],
)
def test_priors_that_cannot_be(given, problem):
    with pytest.raises(errors.BknnError, match=problem):
        analysis(**given)


# ---------------------------------------------------------------- on the command line


def test_option():
    words = ["sample", "scalar", "--prior", "mass=uniform(1.5,3.0)", "g_S = normal(0, 1)"]
    args = cli.parsers()[0].parse_args(words)
    assert parser.read(QUESTIONS["sample"], args).prior == {
        "mass": "uniform(1.5,3.0)",
        "g_S": "normal(0, 1)",
    }


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["mass"], "is not of the form NAME=PRIOR"),
        (["mass=uniform(1,2)", "mass=normal(0,1)"], "gives 'mass' two priors"),
        (["mass=unifrom(1,2)"], "did you mean 'uniform'"),
    ],
)
def test_options_that_make_no_sense(texts, problem):
    with pytest.raises(errors.BknnError, match=problem):
        values.priors(texts)
