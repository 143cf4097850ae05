"""bknn.relic's cross sections and thermal averages against longhand."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import relic

from . import longhand_amplitude as amplitude
from . import longhand_average as average
from .numbers_of import close, table

M, WIDTH = 2.1, 0.01
S = np.array([3.7, 4.2, 4.41, 4.6, 9.0, 60.0])


def to(fermion):
    """The width into one fermion, and what its axial coupling adds, as functions of sqrt(s)."""
    m_f, vector, axial = fermion

    def width(w):
        r = (m_f / w) ** 2
        shape = vector**2 * (1 + 2 * r) + axial**2 * (1 - 4 * r)
        return w / (12 * jnp.pi) * jnp.sqrt(1 - 4 * r) * shape

    def longitudinal(w):
        return (axial * m_f) ** 2 * jnp.sqrt(1 - 4 * (m_f / w) ** 2)

    return width, longitudinal


@pytest.mark.parametrize("X", [(0.3, 0.0), (0.0, 0.3), (0.3, -0.2)])
@pytest.mark.parametrize("fermion", [(0.0, 0.2, 0.1), (0.9, 0.2, 0.0), (0.9, 0.1, 0.2)])
def test_one_fermion(X, fermion):
    """A part of spin 0 has no pole; what Gamma does to it there is a matter of taste, and small."""
    width, longitudinal = to(fermion)
    dark = relic.Annihilation(0.95, *X, relic.Resonance(M, WIDTH), width, longitudinal)
    found = dark.sigma(S)
    expected = [amplitude.to_fermions(s, (0.95, *X), fermion, (M, WIDTH)) for s in S]
    exact = X[1] * fermion[0] * fermion[2] == 0
    assert close(found, expected, 1e-12 if exact else 1e-3)


def test_majorana():
    fermion = 0.9, 0.1, 0.2
    width, longitudinal = to(fermion)
    z = relic.Resonance(M, 1e-6)
    dark = relic.Annihilation(0.95, 0.4, 0.3, z, width, longitudinal, majorana=True)
    at = S[np.arange(len(S)) != 2]
    expected = [amplitude.majorana(s, (0.95, 0.4, 0.3), fermion, (M, 1e-6)) for s in at]
    assert close(dark.sigma(at), expected, 1e-9)


@pytest.mark.parametrize(("m", "mediator"), [(1.0, 0.3), (1.05, 1.0), (5.0, 2.1), (0.95, 2.1)])
def test_two_vectors(m, mediator):
    """Below threshold too, where thermal tails alone reach them."""
    g, z = 0.7, relic.Resonance(mediator, 1e-3)
    dark = relic.Annihilation(m, g, 0.0, z, lambda w: 0.0 * w, pairs=True)
    low = max(4 * m**2, 4 * mediator**2)
    s = low * np.array([0.9, 1.0001, 1.02, 1.4, 4.0, 20.0])
    expected = [amplitude.pair_in_closed_form(x, m, g, mediator) if x > low else 0.0 for x in s]
    assert close(dark.sigma(s), expected, 1e-9)
    x = 1e7
    if m > mediator:
        found = relic.sigma_v(dark, x)
        assert close(found, amplitude.pair_at_threshold(m, g, mediator), 1e-5)


@cache
def compiled():
    def at(m, width, x):
        default = average.Resonance(m=1.0)
        z = relic.Resonance(default.M, width)
        dark = relic.Annihilation(m, default.g_v, 0.0, z, lambda w: default.visible * w)
        return relic.sigma_v(dark, x)

    return jax.jit(jax.vmap(at, in_axes=(0, 0, None)))


def test_averages():
    """All Gamma/M from 0.1 to 1e-12; poles above, at and below threshold; x from 3 to 1e6: 1e-5."""
    rows = table("average").reshape(-1, len(average.X))
    m, width = (2.1 * rows[name][:, 0] for name in ("m_over_M", "width_over_M"))
    found = np.asarray(compiled()(m, width, jnp.array(average.X)))
    assert np.max(np.abs(found / rows["sigma_v"] - 1)) < 1e-5
