"""The derivatives that are written out, against automatic differentiation of the rates."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import models
from bknn.likelihood import HistFactory

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

FIXTURES = Path(__file__).parents[2] / "fixtures"
WORKSPACES = sorted((FIXTURES / "pyhf").glob("*.json"))


def matrix(pdf: HistFactory, vector, scales=None):
    """Put columns and single numbers where they belong, by parameter and by outside factor."""
    found, structure = jax.jit(pdf.derivatives)(vector, scales), pdf.structure
    by_parameter = np.zeros((pdf.n_bins, pdf.size))
    by_parameter[:, structure.shared] = found.shared
    by_parameter[structure.local_bin, structure.local] = found.local
    by_scale = np.zeros((pdf.n_bins, pdf.n_scales))
    by_scale[structure.scale_bin, np.arange(pdf.n_scales)] = found.scales
    return found.rates, by_parameter, by_scale


@pytest.mark.parametrize(
    "path",
    [
        *(
            pytest.param(p, marks=[pytest.mark.slow] * (i % 4 > 0))
            for i, p in enumerate(WORKSPACES)
        ),
        FIXTURES / "workspaces" / "shapesys_24_bins.json",
    ],
    ids=lambda p: p.stem,
)
def test_published_workspaces(path):
    pdf = HistFactory.from_workspace(path)
    random = np.random.default_rng(7)
    vector = pdf.flatten(pdf.init) + 0.3 * random.normal(size=pdf.size)
    rates, by_parameter, _ = matrix(pdf, vector)
    np.testing.assert_allclose(rates, pdf.rates(vector), rtol=1e-12, atol=1e-12)
    expected = jax.jit(jax.jacfwd(pdf.rates))(vector)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(by_parameter, expected, rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("new", [False, True])
def test_signals_under_outside_control(new):
    pdf = HistFactory.from_workspace(small.workspace())
    pdf = pdf.with_signal({"SR": "signal"}, new=new, without=["ff"])
    random = np.random.default_rng(8)
    vector = pdf.flatten(pdf.init) + 0.2 * random.normal(size=pdf.size)
    scales = jnp.asarray(random.uniform(0.5, 2.0, pdf.n_scales))
    rates, by_parameter, by_scale = matrix(pdf, vector, scales)
    np.testing.assert_allclose(rates, pdf.rates(vector, scales), rtol=1e-12)
    expected = jax.jit(jax.jacfwd(pdf.rates, argnums=(0, 1)))(vector, scales)
    np.testing.assert_allclose(by_parameter, expected[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(by_scale, expected[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["signal-strength", "resonance"])
def test_analyses_with_several_measurements(name, tmp_path):
    """Physics columns are common to all measurements, nuisance columns are each one's own."""
    other = small.measurement(name="other")
    analysis = bknn.Analysis(models.load(name), [small.measurement(), other])
    random = np.random.default_rng(9)
    vector = jnp.asarray(analysis.init_vector)
    vector = vector * (1 + 0.1 * random.normal(size=analysis.size))
    rates, columns, local = jax.jit(analysis.derivatives)(vector)
    found = np.zeros((analysis.n_bins, analysis.size))
    found[:, analysis.structure.shared] = columns
    found[analysis.structure.local_bin, analysis.structure.local] = local
    expected = jax.jit(jax.jacfwd(analysis.rates))(vector)
    np.testing.assert_allclose(rates, analysis.rates(vector), rtol=1e-12)
    scale = np.abs(expected).max(axis=0)[None, :]
    np.testing.assert_allclose(found / (scale + 1), expected / (scale + 1), rtol=0, atol=1e-10)
