"""Continua evaluated once for all uses: the same as each use alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import models
from bknn.prediction.at_once import at_once
from bknn.spectrum import Continuum, Family, Spectrum

DECAYS = ("B+ -> K+", "B0 -> K0", "B+ -> K*+", "B0 -> K*0")


def _uses():
    """What responses and integrals ask: densities and shapes, at q2 of different lengths that are
    known, or depend on what is traced."""

    def densities(spectrum):
        return sum(jnp.sum(c.density(np.linspace(0.1, 24.0, 9))) for c in spectrum.continua)

    def from_threshold(spectrum):
        begin = [0.0 if c.threshold is None else c.threshold for c in spectrum.continua]
        places = [b + jnp.linspace(0.0, 3.0, 4) for b in begin]
        found = (c.density(q2) for c, q2 in zip(spectrum.continua, places, strict=True))
        return sum(jnp.sum(x) for x in found)

    def shapes(spectrum):
        found = (c.as_shapes(held=True) for c in spectrum.continua)
        q2 = np.linspace(0.2, 20.0, 5)
        return sum(jnp.sum(s.weights @ s.functions(q2)) for s in found if s is not None)

    return (densities, from_threshold, shapes)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("sm", {}),
        ("scalar-pair", {"mass": 0.7, "g_PS": 2e-4}),
        pytest.param("wet", {"C_VR": -2.0}, marks=pytest.mark.slow),
        pytest.param("vector-pair", {"mass": 0.5, "h_AE": 2.0}, marks=pytest.mark.slow),
    ],
)
def test_each_use_gets_what_it_gets_alone(name, given):
    model = models.load(name)
    values = {p.name: p.init for p in model.parameters} | given | {"ff_K_1": 0.5}

    def both(scale):
        at = {key: x * scale for key, x in values.items()}
        spectra = [model.spectrum(at, decay) for decay in DECAYS]
        asked = [(spectrum, use) for spectrum in spectra for use in _uses()]
        return jnp.stack(at_once(asked)), jnp.stack([use(spectrum) for spectrum, use in asked])

    for found, alone in (jax.jit(both)(1.0), jax.jit(jax.jacfwd(both))(1.0)):
        np.testing.assert_allclose(found, alone, rtol=1e-11)


def test_a_family_is_evaluated_once():
    """At the numbers of each member; other continua are their own family."""
    calls = []

    def density(scale, q2):
        calls.append(len(q2))
        return scale * q2

    def spectrum(scale):
        family = Family("lines", scale, density, None)
        return Spectrum(continuum=Continuum(lambda q2: density(scale, q2), family=family))

    one, two, alone = spectrum(2.0), spectrum(3.0), Spectrum(continuum=lambda q2: q2**2)
    at = [np.array([1.0, 2.0]), np.array([5.0])]
    asked = [(s, lambda s, q2=q2: s.continuum(q2)) for s in (one, two, alone) for q2 in at]
    found = [np.asarray(x).tolist() for x in at_once(asked)]
    assert found == [[2.0, 4.0], [10.0], [3.0, 6.0], [15.0], [1.0, 4.0], [25.0]]
    assert calls == [6]
