"""Pairs of top partners against published limits on their mass and cross section."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from bknn.models.aligned_u1 import pair_production
from bknn.models.aligned_u1.pair_production import CMS, CMS_MASS, MET, MET_MASS, cross_section

PURE = {"bW": (1, 0, 0, 0), "tZ": (0, 1, 0, 0), "th": (0, 0, 1, 0), "invisible": (0, 0, 0, 1)}
SINGLET = (0.5, 0.25, 0.25, 0.0)

excess = jax.jit(pair_production.excess)


def mass_limit(search, fractions):
    """The mass below which a search excludes T."""
    return brentq(lambda m: float(excess(m, *fractions)[search]) - 1.0, 900.0, 1900.0)


@pytest.mark.parametrize(
    ("search", "fractions", "published"),
    [
        ("t_pairs_atlas", PURE["bW"], 1700.0),
        ("t_pairs_atlas", SINGLET, 1360.0),
        ("t_pairs_atlas_met", PURE["tZ"], 1470.0),
        ("t_pairs_atlas_met", SINGLET, 1260.0),
        ("t_pairs_cms", PURE["bW"], 1540.0),
        ("t_pairs_cms", PURE["tZ"], 1480.0),
        ("t_pairs_cms", PURE["th"], 1500.0),
        ("t_pairs_cms", SINGLET, 1480.0),
    ],
)
def test_the_published_mass_limits(search, fractions, published):
    """In TeV with two decimals: to one of the last, for figures that are read."""
    assert abs(mass_limit(search, fractions) - published) < 10.0


def test_the_published_limits_on_the_cross_section():
    """At the masses of the searches: pure decays by construction, singlets by the common factor."""
    for channel, limits in CMS.items():
        for mass, limit in zip(CMS_MASS, limits, strict=True):
            found = excess(mass, *(SINGLET if channel == "singlet" else PURE[channel]))
            np.testing.assert_allclose(found["t_pairs_cms"], cross_section(mass) / limit)
    for channel, limits in MET.items():
        for mass, limit in zip(MET_MASS, limits, strict=True):
            found = excess(mass, *(SINGLET if channel == "singlet" else PURE[channel]))
            np.testing.assert_allclose(found["t_pairs_atlas_met"], cross_section(mass) / limit)


def test_cms_excludes_any_mixture_of_visible_decays():
    """Below 1.48 TeV, the abstract says; the recast of mixtures is good to 50 GeV."""
    for fractions in ((0, 0.5, 0.5, 0), (0.5, 0.5, 0, 0), (0.5, 0, 0.5, 0), (0.2, 0.4, 0.4, 0)):
        assert abs(mass_limit("t_pairs_cms", fractions) - 1480.0) < 50.0


def test_what_is_not_seen_counts_as_t_z_with_missing_momentum_alone():
    assert mass_limit("t_pairs_atlas_met", PURE["invisible"]) == pytest.approx(1476.0, abs=1.0)
    found = excess(1000.0, *PURE["invisible"])
    assert found["t_pairs_atlas"] == found["t_pairs_cms"] == 0.0


def test_it_is_quadratic_and_falls_with_the_mass():
    """Twice the branching fractions, four times the pairs; no mass at which it is not defined."""
    half = excess(1300.0, 0.2, 0.1, 0.1, 0.1)
    full = excess(1300.0, 0.4, 0.2, 0.2, 0.2)
    for name in pair_production.QUANTITIES:
        np.testing.assert_allclose(full[name], 4.0 * half[name])
    masses = np.geomspace(300.0, 1e7, 60)
    found = jax.vmap(lambda m: excess(m, 0.3, 0.2, 0.2, 0.3))(jnp.array(masses))
    for values in found.values():
        assert np.isfinite(values).all()
        assert (np.diff(values) <= 0.0).all()


def test_slopes_are_those_of_finite_differences():
    @jax.jit
    def all_of_them(x):
        return jnp.stack(list(excess(*x).values()))

    point, h = np.array([1234.0, 0.3, 0.2, 0.1, 0.4]), 1e-6
    steps = h * np.diag(np.maximum(point, 1.0))
    found = jax.jit(jax.jacrev(all_of_them))(jnp.array(point))
    for i, step in enumerate(steps):
        by_hand = (all_of_them(point + step) - all_of_them(point - step)) / (2 * step[i])
        np.testing.assert_allclose(found[:, i], by_hand, rtol=1e-6, atol=1e-12)
