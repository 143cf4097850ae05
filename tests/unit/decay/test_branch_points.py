"""Where phase space opens and closes, and where particles become massless: everything is finite.

Value and gradient, with respect to q2, all parameters (masses, widths, couplings, form factors) and
all inputs (masses of mesons and quarks, ...). NaN and infinities do not cancel in a sum, so sums
are what is looked at. Backwards, because there a branch that is not taken can spoil the other one.
"""

from __future__ import annotations

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import inputs, models, prediction
from bknn.channels import CHANNELS
from bknn.decay import tau_pole
from bknn.kinematics import endpoint

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = [name for name in models.available() if name not in ("signal-strength", "resonance")]
LINES = ("scalar", "vector")
#: A line and a pair; a pair.
TWO, ONE = ("scalar", "fermion-pair"), ("fermion-pair",)
MODELS = [pytest.param(n, marks=[pytest.mark.slow] * (n not in TWO)) for n in NAMES]
FEW = [pytest.param(n, marks=[pytest.mark.slow] * (n not in ONE)) for n in NAMES]
#: What the others are too: one kaon, one vector meson, nothing at all.
KINDS = ("B+ -> K+", "B+ -> K*+", "Bs -> invisible")
INPUTS = jax.tree.map(jnp.asarray, inputs.STANDARD)


@functools.cache
def theory(name):
    return models.load(name, long_distance=True)


def mass_parameter(name):
    wanted = "mass_N" if name == "wet-rhn" else "mass"
    return {p.name: p for p in theory(name).parameters}.get(wanted)


def interesting(name, where):
    """Ten masses (five twice), and q2 for each: edges, and the next numbers on either side."""
    parent = inputs.STANDARD.masses[where.parent]
    daughter = inputs.STANDARD.masses.get(where.daughter, 0.0)
    several = 1 if name in LINES else 2
    limit = (parent - daughter) / several
    own = mass_parameter(name)
    least = own.bounds[0] if own else 0.0
    masses = np.array([least, 0.5, limit, np.nextafter(limit, 9.0), 9.5])
    edges = [np.zeros(5), (several * masses) ** 2, np.full(5, endpoint(parent, daughter))]
    # Where the tau pole ends; of other channels nothing: one shape of arrays is compiled faster.
    tau = where.daughter if where.parent == "B+" else "K+"
    edges.append(np.full(5, tau_pole.endpoint(CHANNELS[f"B+ -> {tau}"], inputs.STANDARD)))
    sides = [np.nextafter(x, to) for x in edges for to in (-99.0, 99.0)]
    others = [np.full(5, x) for x in (1e-100, 1e-12, 5.0, 27.0, 35.0, 1e4)]
    return np.tile(masses, 2), np.tile(np.stack([*edges, *sides, *others], axis=1), (2, 1))


def values_of(name, size):
    """Parameters: couplings of a size in units of a small one, 0 among them."""
    random = np.random.default_rng(1)
    values = {}
    for p in theory(name).parameters:
        if p.name.count("_") > 1 and name == "wet-rhn":
            continue  # entries of flavour matrices
        small = min(abs(b) for b in p.bounds if b) / 1e3
        special = p.name in ("mass", "mass_N", "width", "Lambda", "sm_normalisation")
        value = p.init if special else size * small * random.normal()
        values[p.name] = float(np.clip(value, *p.bounds))  # m_T = 0 has no meaning
    return values


def gradients(name, channel, what):
    """Return value and gradient of `what(model, params, q2)` at all interesting points."""
    where = CHANNELS[channel]
    own = mass_parameter(name)
    nuisances = {p.name: 0.0 for p in theory(name).nuisances([channel])}

    def total(q2, params, numbers):
        model = copy.copy(theory(name))
        model.inputs = numbers
        return what(model, params, q2)

    def one(q2, mass, size):
        params = {n: jnp.asarray(x) for n, x in values_of(name, 1.0).items()}
        off = values_of(name, 0.0)
        params = {n: jnp.where(size > 0.0, x, off[n]) for n, x in params.items()} | nuisances
        if own:
            params[own.name] = mass
        return jax.value_and_grad(total, argnums=(0, 1, 2))(q2, params, INPUTS)

    masses, q2 = interesting(name, where)
    return jax.vmap(one)(q2, masses, np.repeat([0.0, 1.0], 5))


def assert_finite(tree):
    for path, leaf in jax.tree.leaves_with_path(tree):
        assert np.isfinite(leaf).all(), (
            jax.tree_util.keystr(path),
            np.argwhere(~np.isfinite(leaf)),
        )


def spectra(channel):
    def what(model, params, q2):
        spectrum = model.spectrum(params, channel)
        lines = sum((line.branching_ratio for line in spectrum.lines), jnp.zeros(()))
        return lines + sum(jnp.sum(part.density(q2)) for part in spectrum.continua) * 1e6

    return what


@pytest.mark.parametrize("channel", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_spectra(name, channel):
    assert_finite(gradients(name, channel, spectra(channel)))


@pytest.mark.slow
@pytest.mark.parametrize("channel", [c for c in CHANNELS if c not in KINDS])
@pytest.mark.parametrize("name", NAMES)
def test_spectra_of_the_other_channels(name, channel):
    assert_finite(gradients(name, channel, spectra(channel)))


@pytest.mark.parametrize("channel", KINDS[:2])
@pytest.mark.parametrize("name", FEW)
def test_nothing_in_between_is_nan(name, channel):
    """Not even what is thrown away afterwards."""
    masses, q2 = interesting(name, CHANNELS[channel])
    own, params = mass_parameter(name), values_of(name, 1.0)

    def value(mass, points):
        return spectra(channel)(theory(name), params | ({own.name: mass} if own else {}), points)

    with jax.debug_nans(True):
        assert np.isfinite(jax.vmap(value)(masses, q2)).all()


@pytest.mark.parametrize("channel", KINDS)
@pytest.mark.parametrize("name", [n for n in NAMES if "pair" in n or n in LINES])
def test_too_heavy_is_a_rate_of_zero(name, channel):
    """At the limit, beyond it, and far beyond, there is nothing new; below there is."""
    masses, q2 = interesting(name, CHANNELS[channel])
    params = values_of(name, 1.0)

    def new(mass, points):
        spectrum = theory(name).spectrum(params | {"mass": mass}, channel)
        total = sum((line.branching_ratio for line in spectrum.lines), jnp.zeros(()))
        for part in spectrum.continua:
            if part.threshold is not None:
                total = total + jnp.sum(part.density(points))
        return total

    found = np.asarray(jax.vmap(new)(masses, q2)).reshape(2, 5)[0]
    pair_at_rest = channel == "Bs -> invisible"
    assert (found[2 + pair_at_rest :] == 0.0).all()
    alone = name in LINES and pair_at_rest  # Bs -> phi or V alone is no decay
    assert (found[1] == 0.0) if alone else (found[1] > 0.0)


def integrals(observable, channel, *bins):
    return lambda model, params, q2: sum(
        prediction.value(model, observable, channel, params, q2_bin) for q2_bin in bins
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "observable", "channel"),
    [
        ("fermion-pair", "branching_ratio", "B+ -> K+"),
        ("scalar", "f_l", "Bs -> phi"),
    ],
)
def test_integrals(name, observable, channel):
    """What is integrated over the edges, with respect to where they are."""
    assert_finite(gradients(name, channel, integrals(observable, channel, None)))


@pytest.mark.slow
@pytest.mark.parametrize("channel", KINDS[:2])
@pytest.mark.parametrize("name", NAMES)
def test_integrals_of_all_models(name, channel):
    """In bins too, with edges at the threshold of 0.5 GeV."""
    bins = (None, (0.0, 1.0), (1.0, 30.0))
    assert_finite(gradients(name, channel, integrals("branching_ratio", channel, *bins)))
    if CHANNELS[channel].vector:
        assert_finite(gradients(name, channel, integrals("f_l", channel, *bins)))


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_slopes_are_those_of_finite_differences(name):
    """Somewhere inside, in all directions at once: q2, parameters, form factors, inputs."""
    channel, random = "B+ -> K*+", np.random.default_rng(2)
    params = {p.name: 0.1 for p in theory(name).nuisances([channel])}
    params |= {n: jnp.asarray(x) for n, x in values_of(name, 1.0).items()}
    if own := mass_parameter(name):
        params[own.name] = jnp.asarray(0.7)
    if name in LINES:
        params["width"] = jnp.asarray(0.1)
    q2 = jnp.array([3.0, 6.0, 12.0])

    def total(q2, params, numbers):
        model = copy.copy(theory(name))
        model.inputs = numbers
        return spectra(channel)(model, params, q2)

    def direction(x):
        return x * random.normal(size=x.shape) if np.any(x) else jnp.zeros_like(x)

    point = (q2, params, INPUTS)
    tangent = jax.tree.map(direction, jax.tree.map(jnp.asarray, point))

    def moved(step):
        return float(total(*jax.tree.map(lambda x, t: x + step * t, point, tangent)))

    gradient = jax.grad(total, argnums=(0, 1, 2))(*point)
    parts = jax.tree.map(lambda g, t: jnp.sum(g * t), gradient, tangent)
    slope = float(sum(jax.tree.leaves(parts)))
    h = 1e-4
    # Five points, so that the error is of the order h^4.
    numeric = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
    assert slope == pytest.approx(numeric, rel=1e-7)


@pytest.mark.slow
def test_nan_stays_nan():
    model = theory("fermion-pair")
    params = {p.name: p.init for p in model.parameters}
    got = prediction.value(model, "dbr_dq2", "B+ -> K+", params, np.array([np.nan, 2.0, 50.0]))
    assert np.isnan(got).tolist() == [True, False, False]
    for name in ("mass", "f_VV"):
        spoiled = params | {name: jnp.asarray(jnp.nan)}
        assert np.isnan(prediction.value(model, "branching_ratio", "B+ -> K+", spoiled))
