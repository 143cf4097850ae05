"""The response, checked by means that it does not use itself.

Pointwise values come from SciPy's Bernstein polynomials, integrals from adaptive quadrature,
derivatives from finite differences.
"""

from __future__ import annotations

import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import BPoly

from bknn import data
from bknn.errors import DataError, ParameterError, PrecisionError, UnknownNameError
from bknn.kinematics import safe_sqrt
from bknn.response import Response, breit_wigner
from bknn.response.breit_wigner import bin_fractions
from bknn.spectrum import Continuum, Line, Spectrum
from bknn.standard_model import dbr_dq2

pytestmark = pytest.mark.usefixtures("quick_compilation")

EDGES = np.linspace(0.0, 22.885, 101)
WIDTH = EDGES[1] - EDGES[0]


def flat(q2):
    """A null spectrum without features, zero where the standard model is."""
    return jnp.where((q2 >= 0.0) & (q2 <= 22.8852), 2.0e-7, 0.0)


NULLS = {"flat": flat, "standard-model": dbr_dq2}


def longhand(q2):
    """The standard model's null spectrum once more, in NumPy (see tests/physics), for SciPy."""
    mb, mk = 5.279495, 0.495644
    root, root0 = np.sqrt((mb + mk) ** 2 - q2), mb + mk
    z = (root - root0) / (root + root0)
    f = 0.2545 - 0.71 * (z - z**3 / 3) + 0.32 * (z**2 + 2 * z**3 / 3)
    momentum = np.sqrt(((mb - mk) ** 2 - q2) * ((mb + mk) ** 2 - q2)) / (2 * mb)
    rate = (1.1663787e-5 / 127.952 * 1.468 * 0.04185 / 0.23124) ** 2 * (1.638e-12 / 6.58211e-25)
    return rate / (32 * np.pi**5) * momentum**3 * (1.304 * f / (1 - q2 / 5.4158**2)) ** 2


#: The same spectra for SciPy, which calls them point by point.
LONGHAND = {"flat": lambda q2: 2.0e-7, "standard-model": longhand}


def integrals(function, edges):
    """Adaptive integrals of a scalar function over each bin."""
    return np.array(
        [quad(function, a, b, epsabs=0.0, epsrel=1e-12)[0] for a, b in itertools.pairwise(edges)]
    )


@functools.cache
def null_integrals():
    return integrals(longhand, EDGES)


def polynomial(response):
    """The efficiency density as a SciPy object, shape (fit bins,) at each q2."""
    coefficients = np.asarray(response.kernel.coefficients)
    return BPoly(np.moveaxis(coefficients, 1, 0), np.asarray(response.kernel.grid.edges))


def rough_density(seed, edges, null, rows=4):
    """Counts that scatter wildly: empty bins, lonely ones, cliffs, and one smooth row."""
    rng = np.random.default_rng(seed)
    n = edges.size - 1
    shape = np.diff(edges) * np.asarray(null(0.5 * (edges[1:] + edges[:-1])))
    counts = shape * rng.exponential(size=(rows, n)) * 1e6
    counts[1] *= rng.random(n) < 0.4
    counts[2, n // 2 :] = 0.0
    counts[3] = shape * 1e6 * np.linspace(2.0, 0.5, n)
    counts[0, 0] = 0.0
    return counts


@pytest.fixture(scope="module")
def belle2():
    measurement = data.load("belle2-2025")
    densities = measurement.densities
    return {
        "counts": np.concatenate([d.counts for d in densities.values()]),
        "unmatched": np.concatenate([d.unmatched for d in densities.values()]),
        "edges": next(iter(densities.values())).edges,
        "template": np.concatenate([measurement.template(c) for c in densities]),
    }


@pytest.fixture(scope="module", params=["smooth", "reweighting"])
def real(request, belle2):
    return build(belle2, request.param)


@pytest.fixture(scope="module")
def smooth(belle2):
    return build(belle2, "smooth")


@pytest.fixture(scope="module")
def matched(belle2):
    """The smooth response of the real densities without their unmatched candidates."""
    return Response.from_density(belle2["counts"], belle2["edges"], null=dbr_dq2)


def build(belle2, mode):
    return Response.from_density(
        belle2["counts"],
        belle2["edges"],
        belle2["unmatched"],
        null=dbr_dq2,
        mode=mode,
        template=belle2["template"],
    )


# Compiled once for all tests. The width of the first is known to be 0, that of the second is not.


@eqx.filter_jit
def narrow(response, mass, branching_ratio):
    return response.fold_new(Spectrum(lines=(Line(mass, branching_ratio),)))


@eqx.filter_jit
def _broad(response, mass, branching_ratio, width):
    return response.fold_new(Spectrum(lines=(Line(mass, branching_ratio, width),)))


def broad(response, mass, branching_ratio, width):
    return _broad(response, *(jnp.asarray(x) for x in (mass, branching_ratio, width)))


@functools.partial(jax.jit, static_argnames="forward")
def slopes(response, mass, branching_ratio, width, forward=True):
    """Derivatives of the counts with respect to the three, for batches of them."""
    jacobian = jax.jacfwd if forward else jax.jacrev

    def counts(mass, branching_ratio, width):
        return response.fold(Spectrum(1.0, lines=(Line(mass, branching_ratio, width),)))

    return jax.vmap(jacobian(counts, argnums=(0, 1, 2)))(mass, branching_ratio, width)


# ---------------------------------------------------------------- the four properties


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_bin_integral_is_the_count(null, uniform, seed):
    edges = np.linspace(0.0, 22.885, 24)
    if not uniform:
        edges[1:-1] += np.random.default_rng(seed).uniform(-0.45, 0.45, 22)
    counts = rough_density(seed, edges, NULLS[null])
    response = Response.from_density(counts, edges, null=NULLS[null])
    curve = polynomial(response)
    for i, row in enumerate(counts):
        got = integrals(lambda q2, i=i: curve(q2)[i] * LONGHAND[null](q2), edges)
        # In the last bin the standard model ends like (endpoint - q2)^(3/2), which eight nodes
        # integrate to a few parts in a million; folding uses the same nodes.
        np.testing.assert_allclose(got[:-1], row[:-1], rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(got[-1], row[-1], rtol=2e-4)


@pytest.mark.parametrize("row", [0, 5, 8, 14])
def test_every_bin_integral_of_the_real_density_is_the_count(matched, belle2, row):
    curve = polynomial(matched)
    got = integrals(lambda q2: curve(q2)[row] * longhand(q2), belle2["edges"])
    np.testing.assert_allclose(got, belle2["counts"][row], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_nowhere_negative(seed):
    counts = rough_density(seed, EDGES, dbr_dq2)
    response = Response.from_density(counts, EDGES, null=dbr_dq2)
    assert np.all(np.asarray(response.kernel.coefficients) >= 0.0)
    values = np.asarray(response.efficiency(np.linspace(-1.0, 24.0, 20_011)))
    assert np.all(values >= 0.0)
    assert np.all(np.asarray(response.kernel.folding) >= 0.0)


@pytest.mark.parametrize("uniform", [True, False])
def test_value_and_slope_are_continuous(uniform):
    edges = np.linspace(0.0, 22.885, 41)
    if not uniform:
        edges[1:-1] += np.random.default_rng(4).uniform(-0.25, 0.25, 39)
    response = Response.from_density(rough_density(3, edges, dbr_dq2), edges, null=dbr_dq2)
    coefficients, widths = np.asarray(response.kernel.coefficients), np.diff(edges)[:, None]
    scale = coefficients.max()
    left, right = coefficients[:-1], coefficients[1:]
    np.testing.assert_allclose(left[:, 4], right[:, 0], rtol=0, atol=1e-14 * scale)
    slope_left = 4 * (left[:, 4] - left[:, 3]) / widths[:-1]
    slope_right = 4 * (right[:, 1] - right[:, 0]) / widths[1:]
    np.testing.assert_allclose(slope_left, slope_right, rtol=0, atol=1e-12 * scale)
    # Nothing is left at the upper end, in value or slope.
    np.testing.assert_array_equal(coefficients[-1, 3:], 0.0)


@pytest.mark.parametrize("step", [1e-5, 1e-7])
def test_slope_across_edges_by_finite_differences(smooth, step):
    inner = EDGES[1:-1]
    f = smooth.efficiency
    backward = (f(inner) - f(inner - step)) / step
    forward = (f(inner + step) - f(inner)) / step
    # The second derivative jumps, so the two differ by about step * 50 * scale / width^2.
    limit = 50 * step / WIDTH**2 * float(jnp.max(f(inner))) + 1e-8 / step
    np.testing.assert_allclose(backward, forward, rtol=0, atol=limit)


def test_it_is_local():
    counts = np.random.default_rng(5).uniform(0.5, 1.5, (1, 40))
    changed = counts.copy()
    changed[0, 20] *= 1.5
    edges = np.linspace(0.0, 20.0, 41)
    one, two = (
        Response.from_density(c, edges, null=flat).kernel.coefficients for c in (counts, changed)
    )
    moved = np.flatnonzero(np.any(np.asarray(one) != np.asarray(two), axis=(1, 2)))
    assert 20 in moved
    assert moved.min() >= 17
    assert moved.max() <= 23


def test_it_is_deterministic_and_row_by_row(belle2, matched):
    for i in (0, 9, 17):
        alone = Response.from_density(belle2["counts"][i : i + 1], belle2["edges"], null=dbr_dq2)
        np.testing.assert_array_equal(
            alone.kernel.coefficients[:, :, 0], matched.kernel.coefficients[:, :, i]
        )


def test_it_scales_with_the_counts(belle2, matched):
    twice = Response.from_density(4.0 * belle2["counts"], belle2["edges"], null=dbr_dq2)
    np.testing.assert_allclose(
        twice.kernel.coefficients, 4.0 * matched.kernel.coefficients, rtol=1e-13
    )


# ---------------------------------------------------------------- how good it is


def true_efficiency(q2):
    """A smooth efficiency with the shape of the inclusive tag's, in counts per branching ratio."""
    return 1e6 * np.exp(-0.5 * ((q2 - 6.0) / 3.0) ** 2)


def reconstruction_error(n, name):
    """Largest error, relative to the peak, from exact bin integrals and away from the ends."""
    edges = np.linspace(0.0, 22.885, n + 1)
    counts = integrals(lambda q2: true_efficiency(q2) * LONGHAND[name](q2), edges)[None, :]
    response = Response.from_density(counts, edges, null=NULLS[name])
    q2 = np.linspace(3.0, 15.0, 4001)
    return np.max(np.abs(response.efficiency(q2)[:, 0] - true_efficiency(q2))) / 1e6


@pytest.mark.slow
def test_a_smooth_truth_is_found_again_to_fourth_order():
    """Fourth order for a flat null: every doubling of the bins divides the error by 16."""
    errors = np.array([reconstruction_error(n, "flat") for n in (25, 50, 100, 200)])
    assert np.all(errors[:-1] / errors[1:] > 12.0)
    assert errors[2] < 1e-5


@pytest.mark.slow
def test_a_slanted_null_costs_little():
    """The bin average belongs to the centre of gravity, not of the bin: second order, tiny."""
    errors = np.array([reconstruction_error(n, "standard-model") for n in (25, 50, 100, 200)])
    assert np.all(errors[:-1] / errors[1:] > 3.5)
    assert errors[2] < 1e-4


def test_a_constant_is_found_exactly():
    edges = np.linspace(0.0, 20.0, 51)
    response = Response.from_density(np.diff(edges)[None, :] * 3.0, edges, null=jnp.ones_like)
    q2 = np.linspace(0.0, edges[-4], 501)
    np.testing.assert_allclose(response.efficiency(q2)[:, 0], 3.0, rtol=1e-12)


def test_a_straight_line_is_found_exactly_down_to_zero():
    edges = np.linspace(0.0, 20.0, 51)
    counts = np.diff(2.0 * edges + 0.15 * edges**2)[None, :]
    response = Response.from_density(counts, edges, null=jnp.ones_like)
    q2 = np.linspace(0.0, edges[-4], 501)
    np.testing.assert_allclose(response.efficiency(q2)[:, 0], 2.0 + 0.3 * q2, rtol=1e-12)


@pytest.mark.slow
def test_noise_grows_by_what_the_page_says():
    """docs/response.md: scatter of independent bins, 1.31 times at centres, 0.83 at edges."""
    rng = np.random.default_rng(6)
    sigma = 1e-3
    counts = 1.0 + sigma * rng.standard_normal((4000, 15))
    edges = np.arange(16.0)
    response = Response.from_density(counts, edges, null=jnp.ones_like)
    t = np.linspace(0.0, 1.0, 21)
    scatter = np.std(response.efficiency(7.0 + t), axis=1) / sigma
    assert scatter[10] == pytest.approx(1.31, abs=0.05)
    assert scatter[0] == pytest.approx(0.83, abs=0.04)
    assert np.mean(scatter**2) == pytest.approx(1.17, abs=0.05)


# ---------------------------------------------------------------- narrow lines


def test_a_narrow_line_is_the_curve_at_its_place(smooth):
    curve = polynomial(smooth)
    for mass in (0.0, 0.3, 1.234, 2.1, 3.3, 4.7):
        counts = narrow(smooth, jnp.asarray(mass), 9.2e-6)
        np.testing.assert_allclose(counts, 9.2e-6 * curve(mass**2), rtol=1e-12, atol=1e-18)


@pytest.mark.slow
def test_lines_add_up(real):
    lines = (Line(1.2, 3e-6), Line(2.2, 4e-6), Line(3.2, 5e-6, 0.2))
    apart = sum(real.fold(Spectrum(lines=(line,))) for line in lines)
    together = real.fold(Spectrum(lines=lines))
    empty = real.fold(Spectrum())
    np.testing.assert_allclose(together, apart - 2 * empty, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("mass", [4.7838508, 4.79, 5.3, 10.0])
@pytest.mark.parametrize("known", [True, False])
def test_a_mass_beyond_the_grid_gives_nothing(real, mass, known):
    width = 0.0 if known else jnp.zeros(())
    spectrum = Spectrum(lines=(Line(mass, 1e-5, width),))
    np.testing.assert_array_equal(real.fold_new(spectrum), 0.0)


@pytest.mark.parametrize("mass", [0.0, 0.2, 1.0, 2.1, 3.0, 4.5, 4.78])
def test_gradient_in_the_mass(smooth, mass):
    curve = polynomial(smooth).derivative()
    got = jax.jacfwd(lambda m: smooth.fold(Spectrum(lines=(Line(m, 1e-5),))))(mass)
    np.testing.assert_allclose(got, 1e-5 * 2 * mass * curve(mass**2), rtol=1e-9, atol=1e-12)


def test_gradient_in_the_mass_is_continuous_across_edges(smooth):
    """At every edge of the true-q2 bins: one-sided gradients and finite differences."""

    def counts(mass):
        return smooth.fold(Spectrum(lines=(Line(mass, 1e-5),)))

    fold, slope = jax.jit(jax.vmap(counts)), jax.jit(jax.vmap(jax.jacfwd(counts)))
    masses, step = jnp.sqrt(EDGES[1:-1]), 1e-6
    here = slope(masses)
    scale = float(jnp.max(jnp.abs(here)))
    np.testing.assert_allclose(slope(masses - 1e-9), here, rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(slope(masses + 1e-9), here, rtol=0, atol=1e-6 * scale)
    numerical = (fold(masses + step) - fold(masses - step)) / (2 * step)
    np.testing.assert_allclose(numerical, here, rtol=0, atol=3e-4 * scale)


def test_a_narrow_line_costs_one_bin(smooth):
    """Nothing that is computed for it is larger than the coefficients of one true-q2 bin."""
    fold = jax.make_jaxpr(lambda m, b: smooth.fold_new(Spectrum(lines=(Line(m, b),))))
    largest = max(
        int(np.prod(v.aval.shape)) for equation in flattened(fold(2.1, 1e-5)) for v in equation
    )
    assert largest <= 5 * 18


def flattened(closed):
    """Yield the output variables of every equation, those of inner functions included."""
    jaxpr = getattr(closed, "jaxpr", closed)
    for equation in jaxpr.eqns:
        inner = [p for p in equation.params.values() if hasattr(p, "eqns") or hasattr(p, "jaxpr")]
        for p in inner:
            yield from flattened(p)
        if not inner:
            yield equation.outvars


# ---------------------------------------------------------------- Breit-Wigner


def eq3(q2, mass, width):
    """The line shape of arXiv:2602.09666, eq. 3, as printed."""
    k = mass * width / (np.pi / 2 + np.arctan(mass / width))
    return k / ((q2 - mass**2) ** 2 + mass**2 * width**2)


def line_by_quadrature(response, mass, width, row):
    """Adaptive quadrature of the line shape times the curve, cut around the peak."""
    curve = polynomial(response)
    edges = np.asarray(response.kernel.grid.edges)
    w = mass * width
    total = 0.0
    around = mass**2 + w * np.array([-1e3, -100, -10, -3, -1, 0, 1, 3, 10, 100, 1e3])
    for j, (a, b) in enumerate(itertools.pairwise(edges)):
        c = curve.c[:, j, row]
        bernstein = BPoly(c[:, None], [a, b])
        cuts = [a, *(float(x) for x in around if a < x < b), b]
        for low, high in itertools.pairwise(cuts):
            total += quad(
                lambda q2, f=bernstein: eq3(q2, mass, width) * float(f(q2)),
                low,
                high,
                epsabs=0.0,
                epsrel=1e-11,
            )[0]
    return total


@pytest.mark.parametrize("width", [1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("mass", [0.2, 1.0, float(np.sqrt(EDGES[20])), 2.1, 4.6, 5.0])
def test_a_breit_wigner_against_adaptive_quadrature(smooth, mass, width):
    got = broad(smooth, mass, 1.0, width)
    for row in (1, 13):
        expected = line_by_quadrature(smooth, mass, width, row)
        assert float(got[row]) == pytest.approx(expected, rel=2e-11)


@pytest.mark.slow
def test_a_breit_wigner_on_unequal_bins():
    edges = np.array([0.0, 0.1, 0.3, 0.9, 1.0, 2.5, 2.6, 6.0, 6.05, 9.0, 15.0, 22.0])
    counts = rough_density(7, edges, dbr_dq2) + 0.01
    response = Response.from_density(counts, edges, null=dbr_dq2)
    assert not response.kernel.grid.uniform
    for mass, width in ((0.3, 1e-3), (1.6, 1e-2), (2.4495, 0.3), (4.9, 0.05)):
        got = broad(response, mass, 1.0, width)
        for row in (0, 3):
            expected = line_by_quadrature(response, mass, width, row)
            # Fewer digits than on equal bins: eight nodes in wide bins beside narrow ones.
            assert float(got[row]) == pytest.approx(expected, rel=1e-10)


def test_its_normalisation():
    """One on q2 in [0, infinity), as eq. 3 of arXiv:2602.09666 says; no cut, no phase space."""
    q2 = np.linspace(0.0, 20.0, 7)
    for mass, width in ((2.1, 0.1), (1.0, 0.5), (0.3, 1.0)):
        np.testing.assert_allclose(breit_wigner(q2, mass, width), eq3(q2, mass, width), rtol=1e-13)
        peak = mass**2
        total = quad(eq3, 0, peak, (mass, width))[0] + quad(eq3, peak, np.inf, (mass, width))[0]
        assert total == pytest.approx(1.0, rel=1e-9)
        wide = jnp.array([0.0, 1e3, 1e15])
        assert float(bin_fractions(wide, mass, width).sum()) == pytest.approx(1.0, rel=1e-13)


@pytest.mark.parametrize("mass", [0.0, 0.5, 2.1, 4.7])
def test_width_zero_is_the_narrow_line(real, mass):
    expected = narrow(real, jnp.asarray(mass), 1e-5)
    np.testing.assert_allclose(broad(real, mass, 1e-5, 0.0), expected, rtol=1e-11, atol=1e-15)


def test_width_zero_is_the_narrow_line_on_the_edges_too(smooth):
    """Edges whose square root squares back to them, and their neighbours in floating point."""
    edges = EDGES[1:-1]
    masses = np.concatenate([np.sqrt(edges), np.nextafter(np.sqrt(edges), 0.0)])
    assert np.any(masses[:99] ** 2 == edges)
    zeros = jnp.zeros_like(masses)
    got = jax.vmap(lambda m, w: broad(smooth, m, 1e-5, w))(masses, zeros)
    expected = jax.vmap(lambda m: narrow(smooth, m, 1e-5))(masses)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("mass", [0.5, 2.1, float(np.sqrt(EDGES[30])), 4.7])
def test_the_limit_of_small_width_is_linear(smooth, mass):
    at_zero = broad(smooth, mass, 1e-5, 0.0)
    change = [
        float(jnp.max(jnp.abs(broad(smooth, mass, 1e-5, w) - at_zero))) for w in (1e-4, 1e-6, 1e-8)
    ]
    assert change[0] / change[1] == pytest.approx(100.0, rel=0.3)
    assert change[1] / change[2] == pytest.approx(100.0, rel=0.3)


@pytest.mark.parametrize("forward", [True, False])
def test_gradients_are_finite_everywhere(real, forward):
    masses = [0.0, 1e-9, 0.5, 2.1, *np.sqrt(EDGES), 4.9, 10.0]
    widths = [0.0, 1e-12, 1e-6, 1e-3, 0.1, 1.0]
    mass, width = (jnp.asarray(x.ravel()) for x in np.meshgrid(masses, widths))
    for slope in slopes(real, mass, jnp.full_like(mass, 1e-5), width, forward):
        assert slope.shape == (mass.size, 18)
        assert np.all(np.isfinite(slope))


def test_gradients_of_a_breit_wigner(real):
    masses, widths = [0.7, 2.1, float(np.sqrt(EDGES[30])), 4.6], [1e-3, 0.03, 0.1, 0.5]
    mass, width = (jnp.asarray(x.ravel()) for x in np.meshgrid(masses, widths))
    by_mass, by_branching_ratio, by_width = slopes(real, mass, jnp.full_like(mass, 1e-5), width)
    for i, (m, w) in enumerate(zip(mass, width, strict=True)):
        step = 1e-4 * w
        for got, up, down in (
            (by_mass[i], (m + step, w), (m - step, w)),
            (by_width[i], (m, w + step), (m, w - step)),
        ):
            expected = (broad(real, up[0], 1e-5, up[1]) - broad(real, down[0], 1e-5, down[1])) / (
                2 * step
            )
            scale = float(jnp.max(jnp.abs(expected)))
            np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 * scale)
        unit = broad(real, m, 1.0, w)
        np.testing.assert_allclose(by_branching_ratio[i], unit, rtol=1e-12, atol=1e-6)


def test_the_gradient_in_the_width_holds_at_zero_too(smooth):
    """An optimiser that starts from a narrow line sees which way to go."""

    one = jnp.ones(1)
    slope = slopes(smooth, 2.13 * one, 1e-5 * one, 0.0 * one)[2][0]
    numerical = (broad(smooth, 2.13, 1e-5, 1e-7) - broad(smooth, 2.13, 1e-5, 0.0)) / 1e-7
    scale = float(jnp.max(jnp.abs(slope)))
    assert scale > 0.0
    np.testing.assert_allclose(numerical, slope, rtol=0, atol=1e-4 * scale)


@pytest.mark.slow
def test_the_closed_form_joins_the_quadrature(smooth):
    """Counts have no step where bins change from one to the other."""
    for width in (1e-6, 0.05):
        mass = jnp.sqrt(9.0 + jnp.linspace(-0.3, 0.3, 2001))
        counts = jax.vmap(
            lambda m, w=width: smooth.fold_new(Spectrum(lines=(Line(m, 1e-5, jnp.asarray(w)),)))
        )(mass)
        second = np.abs(np.diff(np.asarray(counts), n=2, axis=0))
        assert np.max(second) < 1e-4 * np.max(counts)


# ---------------------------------------------------------------- continua and unmatched counts


@pytest.mark.parametrize("mode", ["smooth", "reweighting"])
def test_the_null_gives_the_templates_back(belle2, mode):
    response = build(belle2, mode)
    template = belle2["template"]
    np.testing.assert_allclose(response.template, template, rtol=1e-15)
    np.testing.assert_allclose(response.fold(Spectrum(1.0)), template, rtol=1e-14)
    np.testing.assert_allclose(response.fold(Spectrum(continuum=dbr_dq2)), template, rtol=1e-12)


def test_rows_are_scaled_to_the_template(belle2):
    """Rows 1 and 2 of the hadronic tag differ from it by one simulated event."""
    sums = belle2["counts"].sum(axis=1) + belle2["unmatched"]
    difference = sums / belle2["template"] - 1.0
    assert np.max(np.abs(difference[:12])) < 1e-7
    np.testing.assert_allclose(difference[12:14], [-2.2532e-5, 2.2702e-5], rtol=1e-4)
    assert np.max(np.abs(difference[14:])) < 1e-14
    assert np.sum(sums[12:14] - belle2["template"][12:14]) == pytest.approx(0.0, abs=1e-15)
    free = Response.from_density(
        belle2["counts"], belle2["edges"], belle2["unmatched"], null=dbr_dq2
    )
    scaled = build(belle2, "smooth")
    np.testing.assert_allclose(free.template, sums, rtol=1e-14)
    np.testing.assert_allclose(
        scaled.fold(Spectrum(lines=(Line(1.5, 1e-5),))),
        free.fold(Spectrum(lines=(Line(1.5, 1e-5),))) / (1.0 + difference),
        rtol=1e-12,
    )


def pair(q2, np=jnp):
    """A continuum of two particles of 0.6 GeV: its threshold lies inside a bin."""
    outside = (q2 < 1.44) | (q2 > 22.885)
    q2 = np.where(outside, 2.0, q2)
    return np.where(outside, 0.0, 1e-6 * np.sqrt(1.0 - 1.44 / q2) * np.exp(-q2 / 7.0))


def test_a_continuum_against_adaptive_quadrature(smooth):
    got = smooth.fold_new(Spectrum(continuum=pair))
    precise = smooth.fold_new(Spectrum(continuum=Continuum(pair, 1.44)))
    curve = polynomial(smooth)
    cuts = np.append(1.44, EDGES[EDGES > 1.44])
    for row in (0, 4, 16):
        expected = integrals(lambda q2, row=row: float(pair(q2, np)) * curve(q2)[row], cuts).sum()
        # All but the bin of the threshold is exact; there, eight nodes see a square root.
        assert float(got[row]) == pytest.approx(expected, rel=2e-4)
        assert float(precise[row]) == pytest.approx(expected, rel=1e-10)
    gone = smooth.fold_new(Spectrum(continuum=lambda q2: jnp.where(q2 < EDGES[7], 0.0, pair(q2))))
    expected = integrals(lambda q2: float(pair(q2, np)) * curve(q2)[4], EDGES[7:]).sum()
    assert float(gone[4]) == pytest.approx(expected, rel=1e-11)


def test_a_breit_wigner_given_as_a_continuum(real):
    """The two ways into the response meet where eight nodes a bin resolve the line."""
    line = real.fold_new(Spectrum(lines=(Line(2.1, 1e-5, 0.3),)))
    continuum = real.fold_new(Spectrum(continuum=lambda q2: 1e-5 * breit_wigner(q2, 2.1, 0.3)))
    np.testing.assert_allclose(continuum, line, rtol=1e-9)


def test_unmatched_counts_follow_the_branching_ratio_in_the_smooth_mode(belle2, smooth, matched):
    total = float(null_integrals().sum())
    rate = np.asarray(smooth.unmatched) / total
    scale = np.asarray(smooth.template)[:, None] / (
        belle2["counts"].sum(axis=1, keepdims=True) + belle2["unmatched"][:, None]
    )

    def extra(spectrum):
        with_them = np.asarray(smooth.fold_new(spectrum))
        return with_them - np.asarray(matched.fold_new(spectrum)) * scale[:, 0]

    assert np.all(rate[:12] == 0.0)
    assert np.all(rate[12:] > 0.0)
    branching_ratio = 7e-6
    np.testing.assert_allclose(
        extra(Spectrum(lines=(Line(2.1, branching_ratio),))),
        branching_ratio * rate,
        rtol=1e-6,
        atol=1e-12,
    )
    np.testing.assert_allclose(
        extra(Spectrum(continuum=lambda q2: 3.0 * dbr_dq2(q2))),
        3.0 * np.asarray(smooth.unmatched),
        rtol=1e-6,
        atol=1e-12,
    )
    inside = float(bin_fractions(jnp.array([0.0, 22.885]), 4.0, 0.5)[0])
    assert inside < 0.95
    np.testing.assert_allclose(
        extra(Spectrum(lines=(Line(4.0, branching_ratio, 0.5),))),
        branching_ratio * inside * rate,
        rtol=1e-6,
        atol=1e-12,
    )
    np.testing.assert_allclose(smooth.fold_standard_model(3.0), 3.0 * smooth.template, rtol=1e-15)


def test_unmatched_counts_keep_weight_one_in_the_reweighting_mode(belle2):
    response = build(belle2, "reweighting")
    unmatched = np.asarray(response.unmatched)
    for scale in (0.0, 1.0, 4.6):
        np.testing.assert_allclose(
            response.fold_standard_model(scale),
            scale * (belle2["template"] - unmatched) + unmatched,
            rtol=1e-14,
        )
    without = Response.from_density(
        belle2["counts"], belle2["edges"], null=dbr_dq2, mode="reweighting"
    )
    spectrum = Spectrum(lines=(Line(2.1, 1e-5),), continuum=dbr_dq2)
    np.testing.assert_allclose(response.fold_new(spectrum), without.fold_new(spectrum), rtol=1e-4)


def test_fold_is_the_sum_of_its_parts(real):
    spectrum = Spectrum(1.7, continuum=dbr_dq2, lines=(Line(2.1, 1e-5), Line(3.0, 1e-5, 0.1)))
    np.testing.assert_allclose(
        real.fold(spectrum),
        real.fold_standard_model(1.7) + real.fold_new(spectrum),
        rtol=1e-15,
    )


def test_efficiency_is_what_a_unit_of_branching_ratio_gives(real):
    masses = np.array([[0.0, 0.9], [2.1, 4.0], [4.7, 5.0]])
    efficiency = real.efficiency(masses**2)
    assert efficiency.shape == (3, 2, 18)
    for index in np.ndindex(masses.shape):
        got = narrow(real, jnp.asarray(masses[index]), 1.0)
        np.testing.assert_allclose(efficiency[index], got, rtol=1e-12, atol=1e-9)


# ---------------------------------------------------------------- reweighting, to the letter


def test_reweighting_is_the_formula(belle2):
    """nu_i = sum_z n_iz int_z sigma_1 / int_z sigma_0, arXiv:2402.08417, by adaptive quadrature."""
    response = build(belle2, "reweighting")

    def new(q2, exp=jnp.exp):
        return 1e-6 * exp(-((q2 - 5.0) ** 2) / 8.0)

    weights = integrals(lambda q2: new(q2, np.exp), EDGES) / null_integrals()
    rows = belle2["counts"] @ (1.3 + weights) + belle2["unmatched"]
    expected = belle2["template"] * rows / (belle2["counts"].sum(axis=1) + belle2["unmatched"])
    # 1e-7: the last, empty bins, where 16 nodes meet the endpoint, do not count.
    np.testing.assert_allclose(response.fold(Spectrum(1.3, continuum=new)), expected, rtol=1e-7)


def test_a_narrow_line_lies_in_one_bin(belle2):
    response = Response.from_density(
        belle2["counts"], belle2["edges"], null=dbr_dq2, mode="reweighting"
    )
    for bin_ in (0, 19, 60):
        average = belle2["counts"][:, bin_] / null_integrals()[bin_]
        for position in (0.01, 0.5, 0.99):
            mass = float(np.sqrt(EDGES[bin_] + position * WIDTH))
            for got in (
                narrow(response, jnp.asarray(mass), 1e-5),
                broad(response, mass, 1e-5, 0.0),
            ):
                np.testing.assert_allclose(got, 1e-5 * average, rtol=1e-10, atol=1e-18)


def test_a_breit_wigner_in_bins():
    fractions = np.asarray(bin_fractions(jnp.asarray(EDGES), 2.1, 0.1))
    expected = integrals(lambda q2: eq3(q2, 2.1, 0.1), EDGES)
    np.testing.assert_allclose(fractions, expected, rtol=1e-11)


def test_bin_fractions_far_from_a_narrow_line_keep_their_digits():
    mass, width = 2.1, 1e-9
    fractions = np.asarray(bin_fractions(jnp.asarray(EDGES), mass, width))
    a, b = EDGES[:-1] - mass**2, EDGES[1:] - mass**2
    far = np.abs(0.5 * (a + b)) > 1.0
    expected = mass * width / np.pi * (1 / a - 1 / b)
    np.testing.assert_allclose(fractions[far], expected[far], rtol=1e-8)


def test_the_modes_agree_on_what_is_smooth(belle2):
    """What the interpolation changes for a broad spectrum: next to nothing."""
    one, two = build(belle2, "smooth"), build(belle2, "reweighting")

    def new(q2):
        return 4.0 * dbr_dq2(q2) * (1 - q2 / 40.0)

    ratio = one.fold(Spectrum(1.0, continuum=new)) / two.fold(Spectrum(1.0, continuum=new))
    # The hadronic tag's unmatched candidates (0.2%) are treated differently.
    np.testing.assert_allclose(ratio[:12], 1.0, atol=5e-5)
    np.testing.assert_allclose(ratio[12:], 1.0, atol=3e-3)


@pytest.mark.parametrize("value", [-1e-7, float("nan")])
def test_negative_and_nan_weights_are_not_replaced(real, value):
    counts = real.fold_new(Spectrum(continuum=lambda q2: jnp.full_like(q2, value)))
    assert np.all(np.isnan(counts)) if np.isnan(value) else np.all(np.asarray(counts) < 0.0)


@pytest.mark.parametrize("width", [0.0, 0.1])
def test_nan_does_not_become_a_count(real, width):
    fold = jax.jit(lambda m: real.fold_new(Spectrum(lines=(Line(m, 1e-5, width),))))
    assert np.all(np.isnan(fold(jnp.nan)))


# ---------------------------------------------------------------- continua with a threshold


class Shape(eqx.Module):
    """(q2 - t)^(n/2) q2^(-k) (1 + b t/q2) sqrt(1 - s t/q2) above t."""

    n: float
    k: float = 0.0
    b: float = 0.0
    s: float = 0.0

    def rest(self, q2, t, sqrt=np.sqrt):
        """Everything but the power of q2 - t."""
        return q2**-self.k * (1 + self.b * t / q2) * sqrt(1 - self.s * t / q2)

    def density(self, t):
        def density(q2):
            root = safe_sqrt(q2 - t)
            powers = (jnp.ones_like(root), root, root**2, root**3)
            power = sum(jnp.where(self.n == n, x, 0.0) for n, x in enumerate(powers))
            return jnp.where(q2 > t, power * self.rest(jnp.maximum(q2, t), t, safe_sqrt), 0.0)

        return density


SHAPES = {
    "finite": Shape(0.0),
    "root": Shape(1.0),
    "cubed root": Shape(3.0),
    "slope": Shape(2.0, k=1.0),
    "beta": Shape(1.0, k=0.5),
    "beta cubed": Shape(3.0, k=1.5),
    "fermions": Shape(1.0, k=0.5, b=0.5),
    "unequal masses": Shape(1.0, k=0.5, s=0.3),
}
PAIR_EDGES = np.linspace(0.0, 4.6, 21)


@pytest.fixture(scope="module")
def bumpy():
    """Bins as wide as those of Belle II, with an efficiency that scatters far more."""
    counts = rough_density(3, PAIR_EDGES, flat)[[0, 3]] + 0.01
    return Response.from_density(counts, PAIR_EDGES, null=flat)


def starting(shape, mass):
    threshold = 4.0 * mass**2
    return Spectrum(continuum=Continuum(shape.density(threshold), threshold))


@eqx.filter_jit
def _of_pairs(response, shape, masses):
    def counts_and_slope(mass):
        counts, pull = jax.vjp(lambda m: response.fold_new(starting(shape, m)), mass)
        return counts, jax.vmap(pull)(jnp.eye(counts.size))[0]

    return jax.vmap(counts_and_slope)(masses)


def of_pairs(response, shape, masses):
    """Counts and their derivatives; compiled once for all shapes and numbers of masses."""
    masses = np.asarray(masses, dtype=float)
    shape = jax.tree.map(jnp.asarray, shape)
    both = _of_pairs(response, shape, np.resize(masses, 32))
    return tuple(np.asarray(x)[: masses.size] for x in both)


def pair_by_quadrature(response, shape, mass, row):
    """Adaptive quadrature bin by bin; in the first, QUADPACK knows about the power of q2 - t."""
    t, power = 4.0 * mass**2, 0.5 * shape.n
    edges = np.asarray(response.kernel.grid.edges).tolist()
    coefficients = np.asarray(response.kernel.coefficients)[:, :, row]
    options = {"epsabs": 1e-13 * coefficients.max(), "epsrel": 1e-11, "limit": 200}
    total = 0.0
    for (a, b), bernstein in zip(itertools.pairwise(edges), coefficients.tolist(), strict=True):

        def rest(q2, a=a, b=b, c=bernstein):
            x = (q2 - a) / (b - a)
            y = 1.0 - x
            eps = c[0] * y**4 + c[4] * x**4
            eps += x * y * (4 * c[1] * y**2 + 6 * c[2] * x * y + 4 * c[3] * x**2)
            return eps * float(shape.rest(q2, t))

        def whole(q2, rest=rest):
            return rest(q2) * (q2 - t) ** power

        if a <= t < b:
            total += quad(rest, t, b, weight="alg", wvar=(power, 0.0), **options)[0]
        elif t < a:
            total += quad(whole, a, b, **options)[0]
    return total


@pytest.mark.parametrize("name", SHAPES)
def test_a_threshold_against_adaptive_quadrature(bumpy, name):
    """Thresholds all over some bins, and next to their edges."""
    places = [k + x for k in (0, 1, 11, 18, 19) for x in (1e-9, 0.04, 0.5, 0.97, 1 - 1e-9)]
    masses = 0.5 * np.sqrt(0.23 * np.array(places[1:]))
    counts, _ = of_pairs(bumpy, SHAPES[name], masses)
    for i, mass in enumerate(masses):
        row = i % 2
        expected = pair_by_quadrature(bumpy, SHAPES[name], mass, row)
        assert counts[i, row] == pytest.approx(expected, rel=1e-10, abs=1e-12 * counts[0, row])


@pytest.mark.parametrize("name", ["beta", "beta cubed", "fermions", "unequal masses", "slope"])
def test_light_pairs(bumpy, name):
    """The square root ends where sqrt(q2) does: 1 - t/q2 is everything but bumpy."""
    masses = np.array([1e-4, 1e-3, 3e-3, 0.01, 0.03])
    counts, _ = of_pairs(bumpy, SHAPES[name], masses)
    for mass, got, limit in zip(masses, counts, (1e-6, 1e-6, 1e-7, 1e-9, 1e-10), strict=True):
        expected = pair_by_quadrature(bumpy, SHAPES[name], mass, 1)
        assert got[1] == pytest.approx(expected, rel=limit)


@pytest.mark.parametrize("name", SHAPES)
def test_the_slope_in_the_mass_of_a_pair(bumpy, name):
    """Finite differences of the quadrature, in a bin and across edges."""
    shape, step = SHAPES[name], 1e-4
    masses = np.array([0.02, *np.sqrt(PAIR_EDGES[[1, 7]]) / 2, 0.71])
    _, slope = of_pairs(bumpy, shape, masses)
    for mass, got in zip(masses, slope, strict=True):
        up, down, up2, down2 = (
            pair_by_quadrature(bumpy, shape, mass + k * step, 1) for k in (1, -1, 2, -2)
        )
        expected = (8 * (up - down) - (up2 - down2)) / (12 * step)
        assert got[1] == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("name", ["root", "fermions", "beta cubed"])
def test_nothing_happens_at_the_edges(bumpy, name):
    """Counts and slope on either side of an edge, and right on it."""
    at = 0.5 * np.sqrt(PAIR_EDGES[[1, 2, 3, 7, 12, 16, 18, 19]])
    masses = np.concatenate([at * (1 - 1e-12), at, at * (1 + 1e-12)])
    counts, slope = of_pairs(bumpy, SHAPES[name], masses)
    for x in (counts, slope):
        before, on, after = (x / np.abs(x).max(axis=0)).reshape(3, at.size, 2)
        np.testing.assert_allclose(before, on, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(after, on, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["beta", "beta cubed", "fermions", "unequal masses"])
def test_a_massless_pair_is_the_limit(bumpy, name):
    counts, slope = of_pairs(bumpy, SHAPES[name], [0.0, 1e-8])
    phase_space = of_pairs(bumpy, SHAPES["finite"], [0.0])[0]
    np.testing.assert_allclose(counts, np.repeat(phase_space, 2, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(slope[0], 0.0)


def test_a_threshold_at_zero_is_none(bumpy):
    massless = bumpy.fold(Spectrum(continuum=Continuum(flat, 0.0)))
    np.testing.assert_allclose(massless, bumpy.template, rtol=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_derivatives_are_finite_wherever_the_threshold_is(bumpy, name):
    edge, last = 0.5 * np.sqrt(PAIR_EDGES[[7, -1]])
    masses = [0.0, 1e-200, 1e-12, 1e-5, np.nextafter(edge, 0.0), edge, np.nextafter(edge, 1e9)]
    masses += [np.nextafter(last, 0.0), np.nextafter(last, 1e9), 1.2, 2.5, 10.0, 1e6]
    for x in of_pairs(bumpy, SHAPES[name], masses):
        assert np.all(np.isfinite(x))
        np.testing.assert_array_equal(x[-5:], 0.0)


def test_without_a_threshold_nothing_is_new(bumpy):
    """As many calls with as many nodes as ever; and two with one."""
    seen = []

    def density(q2):
        seen.append(q2.shape)
        return 1e-6 * jnp.exp(-q2)

    bare = bumpy.fold(Spectrum(continuum=density))
    same = bumpy.fold(Spectrum(continuum=Continuum(density)))
    np.testing.assert_array_equal(bare, same)
    bumpy.fold(Spectrum(continuum=Continuum(density, 1.0)))
    assert seen == [(160,), (160,), (160,), (40,)]


def test_what_a_density_says_below_its_threshold_does_not_count(bumpy):
    clean = bumpy.fold(Spectrum(continuum=Continuum(lambda q2: jnp.exp(-q2), 3.0)))
    for nonsense in (1e9, jnp.nan):
        spectrum = Spectrum(
            continuum=Continuum(lambda q2, x=nonsense: jnp.where(q2 < 3.0, x, jnp.exp(-q2)), 3.0)
        )
        np.testing.assert_array_equal(bumpy.fold(spectrum), clean)


def root(threshold):
    return Spectrum(continuum=Continuum(lambda q2: safe_sqrt(q2 - threshold), threshold))


def test_continua_with_and_without_thresholds_add_up(bumpy):
    spectra = [
        root(0.7),
        Spectrum(continuum=flat),
        root(1.3),
        Spectrum(lines=(Line(2.0, 1e-5),)),
    ]
    together = bumpy.fold_new(sum(spectra[1:], spectra[0]))
    np.testing.assert_allclose(together, sum(bumpy.fold_new(x) for x in spectra), rtol=1e-12)


def test_reweighting_does_not_know_about_thresholds():
    counts = np.linspace(1.0, 3.0, 20)[None, :]
    response = Response.from_density(counts, PAIR_EDGES, null=flat, mode="reweighting")
    bare = Spectrum(continuum=root(0.7).continuum.density)
    np.testing.assert_array_equal(response.fold(root(0.7)), response.fold(bare))


@pytest.mark.slow
def test_a_continuum_with_a_threshold_maps(bumpy):
    """As an argument of a compiled function, batched, in forward mode; one by one, not compiled."""
    masses = jnp.linspace(0.0, 1.2, 4)
    batch = Spectrum(continuum=Continuum(jax.tree_util.Partial(_beta, masses), 4.0 * masses**2))
    axes = jax.tree.map(lambda x: 0 if jnp.ndim(x) else None, batch)
    counts = jax.jit(jax.vmap(bumpy.fold, in_axes=(axes,)))(batch)
    one_by_one = [
        bumpy.fold(Spectrum(continuum=Continuum(jax.tree_util.Partial(_beta, m), 4.0 * m**2)))
        for m in masses
    ]
    np.testing.assert_allclose(counts, one_by_one, rtol=1e-11, atol=1e-12)

    forward = jax.jit(jax.vmap(jax.jacfwd(lambda m: bumpy.fold(starting(SHAPES["beta"], m)))))
    _, reverse = of_pairs(bumpy, SHAPES["beta"], masses)
    np.testing.assert_allclose(forward(masses), reverse, rtol=1e-10, atol=1e-10)


def _beta(mass, q2):
    return safe_sqrt(1.0 - 4.0 * mass**2 / q2)


def test_thresholds_on_unequal_bins():
    """Less precise: beside a narrow bin a threshold can be close to the nodes of the next ones."""
    edges = np.array([1.0, 1.3, 1.7, 1.9, 2.5, 2.8, 3.2, 3.5, 4.0])
    response = Response.from_density(np.linspace(1.0, 3.0, 8)[None, :], edges, null=flat)
    for place in (0.99, 1.0, 1.01, 1.69, 1.8, 2.49, 3.9):
        got = response.fold_new(root(place))[0]
        expected = pair_by_quadrature(response, SHAPES["root"], 0.5 * np.sqrt(place), 0)
        # Below the grid the nodes of its first bin have to do.
        assert float(got) == pytest.approx(expected, rel=1e-8 if place >= 1.0 else 1e-6)


def test_a_threshold_that_is_not_a_number_shows(bumpy):
    fold = jax.jit(lambda t: bumpy.fold(Spectrum(continuum=Continuum(jnp.exp, t))))
    assert np.all(np.isnan(fold(jnp.nan)))


# ---------------------------------------------------------------- transformations


@pytest.mark.slow
@pytest.mark.parametrize("width", [pytest.param(0.0, marks=pytest.mark.slow), 0.08])
def test_a_batch_is_the_same_one_by_one(real, width):
    def counts(scale, mass, branching_ratio, width):
        return real.fold(Spectrum(scale, lines=(Line(mass, branching_ratio, width),)))

    rng = np.random.default_rng(8)
    batch = (
        rng.uniform(0.8, 1.2, 33),
        rng.uniform(0.0, 4.8, 33),
        rng.uniform(0.0, 2e-5, 33),
        np.full(33, width),
    )
    once = jax.jit(counts)
    one_by_one = np.array([once(*point) for point in zip(*batch, strict=True)])
    many = jax.jit(jax.vmap(counts))(*batch)
    np.testing.assert_allclose(many, one_by_one, rtol=1e-11, atol=1e-13)
    gradient = jax.vmap(jax.grad(lambda *a: counts(*a).sum(), argnums=(0, 1, 2, 3)))(*batch)
    assert all(g.shape == (33,) and np.all(np.isfinite(g)) for g in gradient)


def test_a_batched_spectrum_maps(real):
    batch = Spectrum(jnp.ones(5), lines=(Line(jnp.linspace(1.0, 3.0, 5), jnp.full(5, 1e-5)),))
    batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (5,)), batch)
    counts = jax.jit(jax.vmap(real.fold))(batch)
    np.testing.assert_allclose(
        counts[2], real.fold(Spectrum(1.0, lines=(Line(2.0, 1e-5),))), rtol=1e-11, atol=1e-13
    )


def test_a_response_is_a_pytree(smooth):
    fold = eqx.filter_jit(lambda response, mass: response.efficiency(mass**2))
    np.testing.assert_allclose(fold(smooth, 2.0), smooth.efficiency(4.0), rtol=1e-12)
    same = jax.tree.map(lambda x: x, smooth)
    assert same.mode == "smooth"


def test_the_gradient_reaches_the_continuum(real):
    def counts(scale):
        return real.fold(Spectrum(continuum=lambda q2: 1e-6 * jnp.exp(-q2 / scale)))[2]

    step = 1e-5
    numerical = (counts(4.0 + step) - counts(4.0 - step)) / (2 * step)
    assert float(jax.grad(counts)(4.0)) == pytest.approx(float(numerical), rel=1e-7)


# ---------------------------------------------------------------- corners of the input


@pytest.mark.parametrize(
    "n", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(6, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("mode", ["smooth", "reweighting"])
def test_few_bins(n, mode):
    edges = np.linspace(0.0, 20.0, n + 1)
    counts = np.linspace(3.0, 1.0, n)[None, :]
    response = Response.from_density(counts, edges, null=dbr_dq2, mode=mode)
    fold = jax.jit(
        lambda m, w: response.fold(Spectrum(continuum=dbr_dq2, lines=(Line(m, 0.0, w),)))
    )
    np.testing.assert_allclose(fold(2.0, 0.1), counts.sum(), rtol=1e-12)
    if mode == "smooth":
        curve = polynomial(response)
        got = integrals(lambda q2: curve(q2)[0] * longhand(q2), edges)
        # Eight nodes are few for one bin from 0 to 20 GeV^2.
        np.testing.assert_allclose(got, counts[0], rtol=1e-6)
        expected = line_by_quadrature(response, 2.0, 0.1, 0)
        got = broad(response, 2.0, 1.0, 0.1)[0]
        assert float(got) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_a_grid_that_begins_above_zero_begins_with_nothing():
    """Phase space goes on below it, so a line moving in must not jump."""
    edges = np.linspace(4.0, 12.0, 17)
    response = Response.from_density(np.ones((1, 16)), edges, null=dbr_dq2)
    np.testing.assert_array_equal(response.kernel.coefficients[0, :2], 0.0)
    assert float(response.efficiency(3.999)[0]) == 0.0
    curve = polynomial(response)
    got = integrals(lambda q2: curve(q2)[0] * longhand(q2), edges)
    np.testing.assert_allclose(got, 1.0, rtol=1e-10)


def test_empty_rows_stay_empty():
    counts = np.zeros((2, 100))
    counts[0] = 1e-3
    response = Response.from_density(counts, EDGES, null=dbr_dq2)
    assert float(response.efficiency(3.0)[1]) == 0.0
    assert float(response.fold(Spectrum(1.0, lines=(Line(2.0, 1.0, 0.1),)))[1]) == 0.0


@pytest.mark.slow
def test_bins_beyond_phase_space_may_be_empty():
    edges = np.linspace(0.0, 25.0, 26)
    counts = np.ones((1, 25))
    counts[0, 23:] = 0.0
    for mode in ("smooth", "reweighting"):
        response = Response.from_density(counts, edges, null=dbr_dq2, mode=mode)
        np.testing.assert_allclose(response.fold(Spectrum(continuum=dbr_dq2)), 23.0, rtol=1e-12)
        assert np.all(np.isfinite(response.efficiency(np.linspace(0.0, 25.0, 99))))


@pytest.mark.slow
def test_edges_that_are_almost_equally_spaced():
    """Edges printed with three decimals take the general way, which has the same answer."""
    edges = np.round(EDGES, 3)
    counts, rounded = (
        integrals(lambda q2: true_efficiency(q2) * 2e-7, x)[None, :] for x in (EDGES, edges)
    )
    response = Response.from_density(rounded, edges, null=flat)
    assert not response.kernel.grid.uniform
    reference = Response.from_density(counts, EDGES, null=flat)
    assert reference.kernel.grid.uniform
    q2 = np.linspace(1.0, 15.0, 3001)
    np.testing.assert_allclose(response.efficiency(q2), reference.efficiency(q2), rtol=1e-4)
    for width in (1e-3, 0.1):
        np.testing.assert_allclose(
            broad(response, 2.1, 1e-5, width), broad(reference, 2.1, 1e-5, width), rtol=1e-4
        )


def from_density(**changes):
    arguments = {
        "density": np.ones((3, 10)),
        "edges": np.linspace(0.0, 20.0, 11),
        "unmatched": np.zeros(3),
        "null": dbr_dq2,
    }
    return Response.from_density(**(arguments | changes))


def with_entry(shape, index, value):
    array = np.ones(shape)
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"density": np.ones((3, 9))}, r"shape \(3, 9\), but 11 true-q2 edges ask for"),
        ({"density": np.ones(10)}, r"shape \(10,\)"),
        ({"density": np.ones((0, 10))}, r"shape \(0, 10\)"),
        ({"density": [[1.0] * 10, [1.0] * 9]}, "cannot be read as a table of numbers"),
        ({"density": [["a"] * 10]}, "cannot be read as a table of numbers"),
        (
            {"density": with_entry((3, 10), (1, 4), np.nan)},
            "1 of 30 entries of the density are not finite, the first at fit bin 1, true-q2 bin 4",
        ),
        ({"density": with_entry((3, 10), (2, 0), np.inf)}, "not finite, the first at fit bin 2"),
        (
            {"density": with_entry((3, 10), (slice(None), 7), -0.1)},
            "3 of 30 entries of the density are negative, the first at fit bin 0, true-q2 bin 7",
        ),
        ({"edges": np.linspace(20.0, 0.0, 11)}, "do not increase: edge 0 is 20 and edge 1 is 18"),
        ({"edges": with_entry(11, 3, np.nan)}, "edges are not finite, the first at entry 3"),
        ({"edges": np.append(-1.0, np.linspace(0, 20, 10))}, "pass it as `unmatched`"),
        ({"edges": [0.0]}, "at least two"),
        ({"edges": np.ones((2, 11))}, r"shape \(2, 11\)"),
        ({"unmatched": np.zeros(2)}, "the density has 3 rows; give one number per fit bin"),
        ({"unmatched": [0.0, np.nan, 0.0]}, "unmatched counts are not finite, the first"),
        ({"unmatched": [0.0, 0.0, -1.0]}, "unmatched counts are negative, the first at fit bin 2"),
        ({"template": np.ones(2)}, r"template has shape \(2,\)"),
        ({"template": [10.0, np.nan, 10.0]}, "the template are not finite, the first at fit bin 1"),
        (
            {"template": [10.0, 11.0, 10.0]},
            "1 of 3 rows of the density do not add up to the template, the first at fit bin 1",
        ),
        (
            {"edges": np.linspace(0.0, 40.0, 11)},
            r"vanishes in 4 true-q2 bins that have counts, the first at true-q2 bin 6 \[24, 28\]",
        ),
        ({"null": lambda q2: 1e-7}, r"returned shape \(\)"),
        ({"null": lambda q2: dbr_dq2(q2) * jnp.nan}, "the null spectrum is nan at q2 = "),
        ({"null": lambda q2: dbr_dq2(q2) - 1e-7}, "the null spectrum is -"),
    ],
)
@pytest.mark.parametrize("mode", ["smooth", "reweighting"])
def test_a_density_that_cannot_be_one(changes, sentence, mode):
    with pytest.raises(DataError, match=sentence):
        from_density(**changes, mode=mode)


def test_an_unknown_mode():
    with pytest.raises(UnknownNameError, match="did you mean 'smooth'"):
        from_density(mode="smoth")


def test_single_precision_is_refused():
    with jax.enable_x64(False), pytest.raises(PrecisionError, match="enable_x64"):
        from_density()


@pytest.mark.parametrize(
    "spectrum",
    [
        Spectrum(lines=(Line(jnp.ones(3), 1e-6),)),
        Spectrum(lines=(Line(1.0, jnp.ones(3)),)),
        Spectrum(lines=(Line(1.0, 1e-6, jnp.ones(3)),)),
        Spectrum(standard_model=jnp.ones(3)),
    ],
)
def test_a_batch_without_vmap_is_refused(real, spectrum):
    with pytest.raises(ParameterError, match=r"shape \(3,\).*use jax.vmap"):
        real.fold(spectrum)


def test_a_continuum_of_another_shape_is_refused(real):
    with pytest.raises(ParameterError, match=r"returned shape \(\)"):
        real.fold(Spectrum(continuum=lambda q2: jnp.sum(q2)))


def test_a_batch_of_thresholds_without_vmap_is_refused(bumpy):
    with pytest.raises(ParameterError, match=r"the threshold of a Continuum has shape \(3,\)"):
        bumpy.fold(Spectrum(continuum=Continuum(jnp.exp, jnp.ones(3))))
