"""The WET fit against the public chain, EOS + redist + pyhf + minuit, on the same files.

The chain is built as its authors build it (public_chain.py) and its log pdf is compared at random
points of all 239 parameters. Its fits take two minutes; what they give is stored in
tests/fixtures/wet_chain/results.json, together with the minima that Newton's method finds from
there: minuit stops 1e-4 above. `test_the_whole_chain` (slow) runs them.

Two posteriors of the form factors appear: "published", the covariance of the authors' samples, and
"exact", which our set "flag-2021+hpqcd-2022" is. They differ by up to 2% in a width, and 1e-4 in
-2 log L.
"""

from __future__ import annotations

import functools
import json

import jax
import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.form_factors import sets

from . import public_chain
from .public_chain import COEFFICIENTS, FITS, PHYSICS, Folded, Posterior

pytestmark = pytest.mark.usefixtures("quick_compilation")

pytest.importorskip("eos")
pytest.importorskip("redist")

NAMES = {"C_VL": "cvl", "C_SL": "csl", "C_TL": "ctl"}


@functools.cache
def belle2():
    return bknn.data.load("belle2-2025")


@functools.cache
def posterior(which):
    return {
        "exact": public_chain.exact_posterior,
        "published": public_chain.published_posterior,
    }[which]()


@functools.cache
def analysis(which):
    """bknn's WET analysis with EOS's inputs, the response that of redist."""
    ours = sets.load("flag-2021+hpqcd-2022", "B -> K")
    if which == "published":
        theirs = posterior(which)
        ours = sets.FormFactorSet(which, ours.series, theirs.mean, theirs.covariance)
    model = models.load("wet", inputs="eos-1.0.21", form_factors=ours)
    return bknn.Analysis(model, belle2(), response="reweighting")


@functools.cache
def stored():
    return json.loads((public_chain.FIXTURES / "results.json").read_text())


@functools.cache
def fit(name):
    fixed = {ours: FITS[name][theirs] for ours, theirs in NAMES.items() if theirs in FITS[name]}
    return inference.fit(analysis("exact"), fixed=fixed).check()


def ours(target, values, theirs: Posterior):
    """Our flat vector of the chain's parameters {name: value}.

    Both whiten the form factors, with another root of the covariance.
    """
    chosen = target.model.form_factors["B -> K"]
    decorrelated = np.array([values[name] for name in PHYSICS[3:]])
    parameters = theirs.mean + theirs.root @ decorrelated
    whitened = np.linalg.solve(np.linalg.cholesky(chosen.covariance), parameters - chosen.mean)
    values = {**values, **{f"ff_K_{i}": x for i, x in enumerate(whitened)}}
    return np.array([values[NAMES.get(name, name)] for name in target.names])


def random_points(names, start, n):
    random = np.random.default_rng(7)
    for _ in range(n):
        values = dict(zip(names, start + 0.03 * random.normal(size=len(names)), strict=True))
        limits = zip(COEFFICIENTS, (20.0, 8.0, 15.0), strict=True)
        values |= {name: random.uniform(0.0, limit) for name, limit in limits}
        values |= {name: random.normal() for name in PHYSICS[3:]}
        yield values


def test_form_factors():
    """Our fit to the lattice constraints is the posterior of EOS's likelihood."""
    chosen, theirs = sets.load("flag-2021+hpqcd-2022", "B -> K"), posterior("exact")
    assert np.abs((chosen.mean - theirs.mean) / theirs.sigma).max() < 1e-9
    scale = np.outer(theirs.sigma, theirs.sigma)
    np.testing.assert_allclose(chosen.covariance / scale, theirs.covariance / scale, atol=1e-8)
    # What the authors sampled: optimum and widths.
    sampled = posterior("published")
    assert np.abs((sampled.mean - theirs.mean) / theirs.sigma).max() < 1e-4
    assert 0.015 < np.abs(sampled.sigma / theirs.sigma - 1).max() < 0.025


@pytest.mark.parametrize("which", ["exact", "published"])
def test_log_pdf_of_the_chain(which):
    """At random points of all parameters: theory, form factors, response, likelihood."""
    target = analysis(which)
    model, data = public_chain.literal_model(belle2(), posterior(which))
    names = model.config.par_names
    assert target.size == len(names) == 239
    density = jax.jit(target.log_density)
    for values in random_points(names, np.array(model.config.suggested_init()), 8):
        with public_chain.quiet():
            expected = float(model.logpdf([values[name] for name in names], data)[0])
        got = float(density(ours(target, values, posterior(which))))
        assert got == pytest.approx(expected, abs=1e-9)


def test_the_chain_without_redist():
    """The form in which the chain is minimised is the chain."""
    model, data = public_chain.literal_model(belle2(), posterior("published"))
    folded = Folded(belle2(), posterior("published"))
    names = model.config.par_names
    for values in random_points(names, np.array(model.config.suggested_init()), 3):
        with public_chain.quiet():
            expected = float(model.logpdf([values[name] for name in names], data)[0])
            physics = np.array([values[name] for name in PHYSICS])
            got = folded.log_pdf(physics, np.array([values[name] for name in folded.names]))
        assert float(got) == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", FITS)
def test_fit(name):
    """The converged minimum of the chain's likelihood."""
    found, expected = fit(name), stored()["exact"][name]
    assert float(found.twice_nll) == pytest.approx(expected["twice_nll"], abs=1e-7)
    got = [float(found.params[coefficient]) for coefficient in NAMES]
    # C_SL^2 is at its bound 0, where -2 log L rises with 0.0036 C_SL^2.
    np.testing.assert_allclose(got, expected["coefficients"], atol=1e-4)


@pytest.mark.slow
def test_where_minuit_stops():
    """The numbers of the chain as its authors run it, and what is left to the minimum."""
    minuit = stored()["minuit"]
    assert np.round(minuit["free"]["coefficients"], 2).tolist() == [11.43, 0.12, 8.42]
    assert round(minuit["vector"]["coefficients"][0], 2) == 14.13
    difference = {n: minuit[n]["twice_nll"] - minuit["free"]["twice_nll"] for n in FITS}
    assert (round(difference["sm"], 2), round(difference["vector"], 2)) == (9.26, 1.98)
    for name in FITS:
        left = minuit[name]["twice_nll"] - stored()["published"][name]["twice_nll"]
        assert 0.0 < left < 2e-4
        # The exact covariance in place of the sampled one.
        other = stored()["published"][name]["twice_nll"] - float(fit(name).twice_nll)
        assert abs(other) < 2e-4


def test_quoted_results():
    """(11.43, 0, 8.42); -2 Delta log L = 9.26 at the SM, 1.98 for the vector operator alone."""
    best, sm, vector = (fit(name) for name in FITS)
    assert [round(float(best.params[n]), 2) for n in NAMES] == [11.43, 0.0, 8.42]
    assert float(sm.twice_nll - best.twice_nll) == pytest.approx(9.26, abs=0.005)
    assert float(vector.twice_nll - best.twice_nll) == pytest.approx(1.98, abs=0.005)
    assert float(vector.params["C_VL"]) == pytest.approx(14.13, abs=0.005)


def test_published_mode():
    """Modes of the posterior, arXiv:2507.12393: (11.3, 0.0, 8.2); flat priors, so our minimum."""
    best = fit("free").params
    for name, published in zip(NAMES, (11.3, 0.0, 8.2), strict=True):
        assert float(best[name]) == pytest.approx(published, abs=0.25)


@pytest.mark.slow
def test_the_whole_chain():
    """Sampling and three fits with minuit, as stored: some three minutes."""
    got, expected = public_chain.run(), stored()
    for name in FITS:
        assert got["minuit"][name]["twice_nll"] == pytest.approx(
            expected["minuit"][name]["twice_nll"], abs=1e-3
        )
        for which in ("exact", "published"):
            assert got[which][name]["twice_nll"] == pytest.approx(
                expected[which][name]["twice_nll"], abs=1e-8
            )
    assert got["sampled_against_published"]["mean_in_sigma"] < 1e-3
    assert got["sampled_against_published"]["sigma_ratio"] == pytest.approx(np.ones(8), abs=0.05)
