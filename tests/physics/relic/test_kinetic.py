"""Scattering on the plasma, and freeze-out with a temperature of X's own, against longhand."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn.relic import kinetic, moments, scattering
from bknn.relic.annihilation import Annihilation, Resonance

from . import longhand_average as average
from . import longhand_kinetic as longhand
from .longhand_points import E_CHARGE
from .numbers_of import close, table
from .test_abundance import ENERGY, OPENINGS, process, with_r

M = 2.1


def plasma(*partners):
    """Longhand's partners as bknn has them."""
    n = len(partners)
    return scattering.Partners(
        mass=jnp.array([p.mass for p in partners]),
        g_v=jnp.array([p.coupling * (p.kind != "axial") for p in partners]),
        g_a=jnp.array([p.coupling * (p.kind == "axial") for p in partners]),
        copies=jnp.ones(n),
        scalar=jnp.array([p.kind == "scalar" for p in partners]),
        size=jnp.zeros(n),
        phase=jnp.zeros(n),
    )


PARTNERS = (*longhand.charged(1e-3, E_CHARGE), longhand.Partner("axial", 0.10566, 1e-3 * E_CHARGE))


@pytest.mark.parametrize("partner", PARTNERS, ids=lambda p: f"{p.kind}-{p.mass}")
def test_rates(partner):
    """On an X at rest; of slow partners that is the heavy X of arXiv:1706.07433."""
    m, g_X = 1.0, 0.1
    X = scattering.Scattering(M, g_X, 0.0, plasma(partner))
    for x in (10.0, 20.0, 50.0):
        expected = longhand.at_rest(partner, m / x, m, g_X, M)
        assert close(X.rate(m / x, m), expected, 1e-6)
    heavy = 1e4
    expected = longhand.by_parts(partner, 0.01, heavy, g_X, M)
    assert close(X.rate(0.01, heavy), expected, 2e-2)


@pytest.mark.parametrize("m", [0.8, 0.95, 1.049, 1.06])
def test_second_moment(m):
    own = average.Resonance(m=m, width=0.02)
    dark = Annihilation(m, own.g_v, 0.0, Resonance(M, own.width), lambda w: own.visible * w)
    x = np.array([3.0, 10.0, 30.0, 300.0, 1e5])
    expected = longhand.Moment(own, x_min=2.0)(x)
    assert close(moments.sigma_v_2(dark, x), expected, 1e-4)


class Heavy(NamedTuple):
    """gamma of electrons, muons and pions for heavy X and M above all momenta (`by_parts`)."""

    size: Any  #: g_X times the coupling to a unit of charge

    def rate(self, temperature, mass):
        T = jnp.asarray(temperature)
        if T.ndim:
            return jax.vmap(lambda one: self.rate(one, mass))(T.ravel()).reshape(T.shape)
        nodes, weights = longhand.legendre(60)
        total = 0.0
        for p in longhand.charged(1.0, 1.0):
            far = 40 * T + 4 * jnp.sqrt(T * p.mass)
            k = far * (nodes + 1) / 2
            energy2 = k**2 + p.mass**2
            slope = 16 * k**3 * energy2 - 8 * k**5
            if p.kind == "scalar":
                slope = 8 * k**3 * energy2 + 4 * k**5
            f = 1 / (jnp.exp(jnp.minimum(jnp.sqrt(energy2) / T, 600.0)) + 1 - 2 * (p.states == 1))
            total += jnp.sum(weights * far / 2 * f * slope, -1)
        return 2 * 16 * (self.size / M**2) ** 2 * total / (96 * jnp.pi**3 * mass)


def test_rate_of_heavy():
    for T in (0.1, 0.02, 1e-3):
        parts = [longhand.by_parts(p, T, 1.0, 1.0, M) for p in longhand.charged(1.0, 1.0)]
        assert close(Heavy(1.0).rate(jnp.array([T]), 1.0), sum(parts), 1e-8)


@cache
def solved():
    def at(m, mixing, g_X):
        g = mixing * E_CHARGE
        seen = partial(with_r, (g, 0.0), 0.0, g**2)
        dark = process(m, g_X, seen, (*OPENINGS, *ENERGY[ENERGY < 3.0]))
        found = kinetic.abundance_kinetic(dark, Heavy(g_X * g))
        at_x = jnp.interp(jnp.log(X), jnp.log(found.x), jnp.log(found.temperature))
        return found.converged, found.omega_h2, jnp.exp(at_x)

    return jax.jit(at)


X = np.array([30.0, 100.0, 1000.0])


@pytest.mark.parametrize("n", range(len(table("kinetic"))))
def test_points(n):
    """Omega h^2, T_X/T."""
    row = table("kinetic")[n]
    converged, omega, ratios = solved()(*(float(row[k]) for k in ("m_X", "kinetic_mixing", "g_X")))
    assert converged
    assert close(omega, row["contact"], 2e-4)
    assert close(ratios, [row[f"T_ratio_{x:.0f}"] for x in X], 5e-4)
