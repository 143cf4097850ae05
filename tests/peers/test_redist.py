"""The reweighting mode against redist 2.0, on the public Belle II number densities.

| here | redist.modifier.Modifier |
| --- | --- |
| edges, unmatched | bins with a first edge of -1, cutoff (0, 22.885): that bin keeps weight 1 |
| template | the modifier multiplies the sample by (map @ weights) / (sum of the map) |
| 16 Gauss-Legendre nodes for a continuum | quad="gauss", quad_order=16 |
| Breit-Wigner in closed form | the same 16 nodes |
| negative and NaN weights stay | both are replaced by 1 |

The last two rows are the differences. The tables go to redist as the HEPData record has them, with
their sentinel column in front.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from bknn import data
from bknn.response import Response, breit_wigner
from bknn.response.breit_wigner import bin_fractions
from bknn.spectrum import Line, Spectrum
from bknn.standard_model import dbr_dq2

redist = pytest.importorskip("redist.modifier")

#: Both sides add the same products in another order.
ROUNDING = 1e-12


def null(q2):
    return np.asarray(dbr_dq2(q2))


@pytest.fixture(scope="module")
def belle2():
    return data.load("belle2-2025")


@pytest.fixture(params=["A__", "B__", "sgn1_had"])
def channel(request, belle2):
    """Name of a channel with a signal, from its beginning."""
    return next(c for c in belle2.densities if c.startswith(request.param))


@pytest.fixture
def ours(belle2, channel):
    density = belle2.densities[channel]
    return Response.from_density(
        density.counts,
        density.edges,
        density.unmatched,
        null=dbr_dq2,
        mode="reweighting",
        template=belle2.template(channel),
    )


@pytest.fixture
def theirs(belle2, channel):
    """Return a function: dBR/dq2 of the alternative, its parameters -> redist's modifier."""
    density = belle2.densities[channel]
    bins = [np.append(-1.0, density.edges)]
    table = np.column_stack([density.unmatched, density.counts])

    def modifier(alternative, **parameters):
        new = {
            name: {"inits": (value,), "bounds": ((0.0, 10.0),), "paramset_type": "unconstrained"}
            for name, value in parameters.items()
        }
        return redist.Modifier(
            new, alternative, null, table, bins, cutoff=((0.0, density.edges[-1]),)
        )

    return modifier


def yields(modifier, template, **parameters):
    """What the likelihood of redist expects: the template times what the modifier returns."""
    return template * modifier.weight_func(parameters)()


def continuum(q2, norm, slope):
    """A broad alternative, not the standard model's shape."""
    return 1e-7 * norm * np.exp(-slope * q2) * (1.0 + 0.1 * q2)


def test_redist_integrates_as_we_think(theirs):
    modifier = theirs(continuum, norm=3.0, slope=0.1)
    assert modifier.quad == "gauss"
    assert modifier.quad_order == 16
    assert list(np.flatnonzero(modifier._invalid)) == [0]
    assert modifier.get_weights({"norm": 3.0, "slope": 0.1})[0] == 1.0


@pytest.mark.parametrize(("norm", "slope"), [(3.0, 0.1), (8.0, 0.4), (0.5, 0.0)])
def test_continuum(belle2, channel, ours, theirs, norm, slope):
    expected = yields(
        theirs(continuum, norm=norm, slope=slope),
        belle2.template(channel),
        norm=norm,
        slope=slope,
    )
    got = ours.fold(
        Spectrum(continuum=lambda q2: 1e-7 * norm * jnp.exp(-slope * q2) * (1.0 + 0.1 * q2))
    )
    np.testing.assert_allclose(got, expected, rtol=ROUNDING)


def test_the_unmatched_candidates_matter(belle2, channel, ours):
    """A test that they are in: without them the hadronic tag would be off by 0.2%."""
    unmatched = belle2.densities[channel].unmatched
    if channel == "sgn1_had":
        assert np.all(unmatched / belle2.template(channel) > 1.5e-3)
    else:
        assert np.all(unmatched == 0.0)
    np.testing.assert_allclose(ours.fold(Spectrum()), unmatched, rtol=1e-4, atol=1e-300)


@pytest.mark.parametrize(("mass", "width"), [(2.1, 0.1), (1.5, 0.1), (3.0, 0.1), (2.0, 0.5)])
def test_standard_model_and_breit_wigner(belle2, channel, ours, theirs, mass, width):
    """sigma_1 = mu_SM sigma_0 + mu_X f_BW, arXiv:2602.09666, eq. 5, with its widths."""

    def alternative(q2, mu, norm):
        w = mass * width
        k = w / (np.pi / 2 + np.arctan(mass / width))
        return mu * null(q2) + norm * 1e-6 * k / ((q2 - mass**2) ** 2 + w**2)

    expected = yields(
        theirs(alternative, mu=1.1, norm=9.2), belle2.template(channel), mu=1.1, norm=9.2
    )
    got = ours.fold(Spectrum(1.1, lines=(Line(mass, 9.2e-6, width),)))
    # Half-width m Gamma = 0.15 to 1 GeV^2 against bins of 0.23 GeV^2: 16 nodes a bin are exact.
    np.testing.assert_allclose(got, expected, rtol=ROUNDING)


@pytest.mark.parametrize("channel", ["A__"], indirect=True)
def test_weights_of_a_breit_wigner(theirs, ours):
    """Bin by bin: weight times null is the fraction of the line in the bin."""
    modifier = theirs(lambda q2, norm: norm * np.asarray(breit_wigner(q2, 2.1, 0.1)), norm=1.0)
    fractions = modifier.get_weights({"norm": 1.0})[1:] * modifier.null_binned[1:]
    expected = bin_fractions(ours.kernel.grid.edges, 2.1, 0.1)
    np.testing.assert_allclose(fractions, expected, rtol=ROUNDING)


@pytest.mark.parametrize("channel", ["A__"], indirect=True)
def test_where_fixed_nodes_miss_a_narrow_line(theirs, ours):
    """Not another method, but another integral: 16 nodes in a bin cannot see a line of 1 MeV."""
    modifier = theirs(lambda q2, norm: norm * np.asarray(breit_wigner(q2, 2.1, 1e-3)), norm=1.0)
    fractions = modifier.get_weights({"norm": 1.0})[1:] * modifier.null_binned[1:]
    assert abs(fractions.sum() - 1.0) > 0.1
    ours_ = bin_fractions(ours.kernel.grid.edges, 2.1, 1e-3)
    inside, _ = quad(lambda x: float(breit_wigner(x, 2.1, 1e-3)), 0.0, 22.885, points=[2.1**2])
    assert float(ours_.sum()) == pytest.approx(inside, rel=1e-9)


def test_what_redist_replaces_and_we_do_not(belle2, channel, ours, theirs):
    """A spectrum below zero in part: redist puts its weights to 1, ours stay negative."""

    def alternative(q2, norm):
        return norm * 1e-7 * (q2 - 4.0)

    modifier = theirs(alternative, norm=1.0)
    weights = modifier.get_weights({"norm": 1.0})
    assert np.all(weights >= 0.0)
    negative = np.asarray(ours.kernel.grid.edges)[1:] <= 4.0
    assert np.all(weights[1:][negative] == 1.0)
    modifier.allow_negative_weights = True
    modifier.cache.clear()
    expected = yields(modifier, belle2.template(channel), norm=1.0)
    got = ours.fold(Spectrum(continuum=lambda q2: 1e-7 * (q2 - 4.0)))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=ROUNDING, atol=ROUNDING * scale)
    assert np.any(expected < 0.0)
