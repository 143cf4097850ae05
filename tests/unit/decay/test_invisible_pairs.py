"""Pairs of scalars, vectors and spin-3/2 particles against explicit sums over their spins.

The currents are written once more as their operators read, d_m -> i p_m, with polarisation
vectors, spinors and vector-spinors boosted from rest, in NumPy. Directions are averaged over the
six of an octahedron, exact for what is at most quadratic in the direction; this also shows that
a spin-1 density is isotropic and that spin 0 and spin 1 do not mix.
"""

from __future__ import annotations

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn.decay.invisible import fermion_pair, gravitino_pair, scalar_pair, vector_pair

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
OCTAHEDRON = [sign * axis for axis in np.eye(3) for sign in (1.0, -1.0)]

EPSILON = np.zeros((4, 4, 4, 4))  # with upper indices: eps^0123 = -1
for order in itertools.permutations(range(4)):
    EPSILON[order] = -np.linalg.det(np.eye(4)[list(order)])
EPSILON3 = -EPSILON[0, 1:, 1:, 1:]

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
ONE, NIL = np.eye(2), np.zeros((2, 2))
GAMMA = np.array(
    [np.block([[ONE, NIL], [NIL, -ONE]])] + [np.block([[NIL, s], [-s, NIL]]) for s in PAULI]
)
GAMMA5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
SIGMA = 0.5j * (np.einsum("mab,nbc->mnac", GAMMA, GAMMA) - np.einsum("nab,mbc->mnac", GAMMA, GAMMA))
CHARGE = 1j * GAMMA[2] @ GAMMA[0]

POINTS = [(3.1, 0.4), (14.0, 1.2), (2.6, 0.8)]


def lower(vector):
    return METRIC @ vector


def dot(a, b):
    return a @ METRIC @ b


# Wave functions of the outgoing particles ---------------------------------------------------


def polarisations(p, mass):
    """Return the conjugate polarisation vectors of a particle, its spin along z at rest."""
    at_rest = np.array([[-1, 1j, 0], [0, 0, math.sqrt(2)], [1, 1j, 0]]) / math.sqrt(2)  # 1, 0, -1
    along = at_rest @ p[1:]
    space = at_rest + np.outer(along, p[1:]) / (mass * (p[0] + mass))
    return np.column_stack([along / mass, space])


def spinors(p, mass):
    """Return u(p) for spin 1/2, -1/2 along z at rest."""
    boost = np.einsum("m,mab->ab", lower(p), GAMMA) + mass * np.eye(4)
    return [boost[:, s] / math.sqrt(p[0] + mass) for s in (0, 1)]


def vector_spinors(p, mass):
    """Return u^r(p) of the four states of spin 3/2, index r first."""
    e = np.conj(polarisations(p, mass))
    up, down = spinors(p, mass)
    a, b = math.sqrt(1 / 3), math.sqrt(2 / 3)
    return [
        np.outer(e[0], up),
        a * np.outer(e[0], down) + b * np.outer(e[1], up),
        a * np.outer(e[2], up) + b * np.outer(e[1], down),
        np.outer(e[2], down),
    ]


# Matrix elements <particle(p1) antiparticle(p2)| current |0> --------------------------------


def scalar_currents(p1, p2, one, two):
    return {"S": 1.0 + 0j, "V": 1j * (1j * p2 - 1j * p1)}


def vector_currents(p1, p2, e1, e2):
    strength1 = 1j * (np.outer(p1, e1) - np.outer(e1, p1))
    strength2 = 1j * (np.outer(p2, e2) - np.outer(e2, p2))
    derivative = 1j * lower(p1 + p2)
    product = np.outer(e1, e2)
    lowered = METRIC @ strength1 @ METRIC

    def curl(tensor):
        return np.einsum("mnrs,nrs", EPSILON, np.einsum("nN,rR,sS,NRS", *[METRIC] * 3, tensor))

    return {
        "S": dot(e1, e2),
        "F": np.sum(lowered * strength2) / 2,
        "D": np.einsum("mnrs,mn,rs", EPSILON, lowered, METRIC @ strength2 @ METRIC) / 4,
        "V": 1j * (1j * p2 - 1j * p1) * dot(e1, e2),
        "M": 1j * derivative @ (product - product.T),
        "E": -1j * derivative @ (product + product.T),
        "A": 1j * curl(np.multiply.outer(1j * p2 - 1j * p1, product)),
        "B": curl(np.multiply.outer(1j * (p1 + p2), product)),
        "T": 1j * (product - product.T),
    }


def gravitino_currents(p1, p2, u1, u2):
    bar = np.conj(u1) @ GAMMA[0]
    v = (CHARGE @ (np.conj(u2) @ GAMMA[0]).T).T
    contract = np.einsum("ra,rb,r->ab", bar, v, np.diag(METRIC))
    open_indices = np.einsum("ma,na->mn", bar, v)
    return {
        "S": np.sum(contract * np.eye(4)),
        "P": np.sum(contract * GAMMA5),
        "V": np.einsum("ab,mab->m", contract, GAMMA),
        "A": np.einsum("ab,mac,cb->m", contract, GAMMA, GAMMA5),
        "T": np.einsum("ab,mnab->mn", contract, SIGMA),
        "U": 1j * (open_indices - open_indices.T),
    }


def scalar_states(p, mass):
    return [None]


PAIRS = {
    "scalar": (scalar_pair, scalar_currents, scalar_states, +1),
    "vector": (vector_pair, vector_currents, polarisations, +1),
    "gravitino": (gravitino_pair, gravitino_currents, vector_spinors, -1),
}


def components(currents, root):
    """Return the scaled amplitudes of spin 0, {key: number}, and of spin 1, {key: 3 numbers}."""
    spin0, spin1 = {}, {}
    for key, value in currents.items():
        if np.ndim(value) == 0:
            spin0[key] = value
        elif np.ndim(value) == 1:
            spin0[key], spin1[key] = value[0] / root, value[1:] / root
        else:
            spin1[f"{key}.E"] = -1j * value[0, 1:] / root
            spin1[f"{key}.B"] = 0.5 * np.einsum("ijk,jk", EPSILON3, value[1:, 1:]) / root
    return spin0, spin1


def sums_over_spins(name, q2, mass, identical):
    """Return the densities: {keys: number}, {keys: 3 x 3}, {keys: 3} of spin 0, 1 and mixed."""
    _, currents, states, statistics = PAIRS[name]
    root = math.sqrt(q2)
    energy, momentum = root / 2, math.sqrt(q2 / 4 - mass**2)
    phase_space = momentum / root / (4 * math.pi)  # beta / (8 pi)
    phase_space *= 0.5 if identical else 1.0
    found: tuple[dict, dict, dict] = ({}, {}, {})
    for direction in OCTAHEDRON:
        p1 = np.array([energy, *(momentum * direction)])
        p2 = np.array([energy, *(-momentum * direction)])
        for one, two in itertools.product(states(p1, mass), states(p2, mass)):
            values = currents(p1, p2, one, two)
            if identical:  # either field can make either particle
                swapped = currents(p2, p1, two, one)
                values = {key: values[key] + statistics * swapped[key] for key in values}
            spin0, spin1 = components(values, root)
            for table, left, right, shape in (
                (found[0], spin0, spin0, "->"),
                (found[1], spin1, spin1, "i,j->ij"),
                (found[2], spin0, spin1, ",j->j"),
            ):
                for a, b in itertools.product(left, right):
                    spec = shape if shape != "->" else ",->"
                    product = np.einsum(spec, left[a], np.conj(right[b]))
                    table[a, b] = table.get((a, b), 0.0) + phase_space / 6.0 * product
    return found


@pytest.mark.parametrize("identical", [False, True], ids=["particle-antiparticle", "identical"])
@pytest.mark.parametrize(("q2", "mass"), POINTS)
@pytest.mark.parametrize("name", PAIRS)
def test_densities_are_sums_over_spins(name, q2, mass, identical):
    spin0, spin1, mixed = sums_over_spins(name, q2, mass, identical)
    average = {keys: np.trace(tensor) / 3 for keys, tensor in spin1.items()}
    given = PAIRS[name][0].densities(q2, mass, identical=identical)
    for expected, table in zip((spin0, average), given, strict=True):
        assert len({frozenset(keys) for keys in table}) == len(table), "a pair written twice"
        alive = [a for a, b in expected if a == b and abs(expected[a, a]) > 1e-25]
        assert {a for a, b in table if a == b} == set(alive)
        for a, b in itertools.product(alive, alive):
            scale = math.sqrt(abs(expected[a, a] * expected[b, b]))
            ours = table.get((a, b), table.get((b, a), 0.0))
            assert abs(expected[a, b] - ours) <= 1e-12 * scale, (a, b)
        assert {key for keys in table for key in keys} <= set(alive)
    for (a, b), tensor in spin1.items():
        np.testing.assert_allclose(tensor, average[a, b] * np.eye(3), atol=1e-10)
    for vector in mixed.values():
        np.testing.assert_allclose(vector, 0.0, atol=1e-10)


@pytest.mark.parametrize("name", PAIRS)
def test_identical_particles_have_the_allowed_currents_only(name):
    module = PAIRS[name][0]
    single, double = module.densities(3.0, 0.5), module.densities(3.0, 0.5, identical=True)
    for one, two in zip(single, double, strict=True):
        kept = {k for k in one if all(c.split(".")[0] in module.SELF_CONJUGATE for c in k)}
        assert set(two) == kept
        for key, value in two.items():
            assert float(value) == pytest.approx(2.0 * float(one[key]), rel=1e-15)


@pytest.mark.parametrize("name", PAIRS)
def test_the_lists_of_currents_are_complete(name):
    module = PAIRS[name][0]
    spin0, spin1 = module.densities(3.0, 0.5)
    diagonal = [a for table in (spin0, spin1) for a, b in table if a == b]
    listed = {*module.SCALARS, *module.VECTORS, *module.TENSORS}
    assert {key.split(".")[0] for key in diagonal} == listed
    assert set(module.SCALARS) <= {a for a, _ in spin0}
    assert {f"{t}.{part}" for t in module.TENSORS for part in "EB"} <= {a for a, _ in spin1}


def test_wave_functions_of_spin_three_halves():
    """They are transverse, gamma-traceless and solve the Dirac equation; normalised to -2 m."""
    p, mass = np.array([math.sqrt(0.5**2 + 1.21 + 0.09 + 0.49), 1.1, 0.3, -0.7]), 0.5
    slashed = np.einsum("m,mab->ab", lower(p), GAMMA)
    states = vector_spinors(p, mass)
    for u in states:
        np.testing.assert_allclose(lower(p) @ u, 0.0, atol=1e-13)
        trace = np.einsum("r,rab,rb->a", np.diag(METRIC), GAMMA, u)
        np.testing.assert_allclose(trace, 0.0, atol=1e-13)
        np.testing.assert_allclose(np.einsum("ab,rb->ra", slashed, u), mass * u, atol=1e-13)
    overlaps = [
        [np.einsum("ra,ra,r", np.conj(a) @ GAMMA[0], b, np.diag(METRIC)) for b in states]
        for a in states
    ]
    np.testing.assert_allclose(overlaps, -2 * mass * np.eye(4), atol=1e-13)


# Limits ------------------------------------------------------------------------------------


def test_longitudinal_vectors_are_scalars():
    """Equivalence theorem: V_m -> d_m phi / mass, so that V+_m V^m -> q2 / (2 mass^2) phi+ phi."""
    q2, mass = 5.0, 1e-4
    vectors, scalars = vector_pair.densities(q2, mass), scalar_pair.densities(q2, 0.0)
    ratio = (q2 / (2.0 * mass**2)) ** 2
    for got, expected, key in ((vectors[0], scalars[0], "S"), (vectors[1], scalars[1], "V")):
        assert float(got[key, key]) == pytest.approx(ratio * float(expected[key, key]), rel=1e-7)


def test_helicity_one_half_is_a_goldstino():
    """Psi_r -> sqrt(2/3) d_r psi / mass: all densities are those of spin 1/2, times a factor.

    U, which spin 1/2 does not have, is then T.E: both make a pair of equal helicities.
    """
    q2, mass = 5.0, 1e-4
    ratio = (q2 / (3.0 * mass**2)) ** 2
    gravitinos = gravitino_pair.densities(q2, mass)
    for key in (("U.E", "U.E"), ("T.E", "U.E")):
        electric = gravitinos.spin1["T.E", "T.E"]
        assert float(gravitinos.spin1[key]) == pytest.approx(float(electric), rel=1e-6)
    for got, expected in zip(gravitinos, fermion_pair.densities(q2, mass), strict=True):
        got = {keys: x for keys, x in got.items() if not any(k[0] == "U" for k in keys)}
        assert {frozenset(k) for k in got} == {frozenset(k) for k in expected}
        for (a, b), value in got.items():
            goldstino = expected[a, b] if (a, b) in expected else expected[b, a]
            assert float(value) == pytest.approx(ratio * float(goldstino), rel=1e-6)


def test_massless_limits():
    """What has a limit for mass -> 0 has it at mass = 0; the rest is enormous, and never NaN."""
    q2 = 5.0
    scalars, vectors = scalar_pair.densities(q2, 0.0), vector_pair.densities(q2, 0.0)
    assert float(scalars.spin0["S", "S"]) == pytest.approx(1 / (8 * math.pi))
    assert float(scalars.spin1["V", "V"]) == pytest.approx(1 / (24 * math.pi))
    for key, value in {
        ("F", "F"): q2**2 / (16 * math.pi),  # two photons of either helicity
        ("D", "D"): q2**2 / (16 * math.pi),
        ("S", "F"): -3 * q2 / (16 * math.pi),
        ("F", "E"): -q2 / (16 * math.pi),
    }.items():
        assert float(vectors.spin0[key]) == pytest.approx(value, rel=1e-12)
    assert float(vectors.spin0["S", "S"]) > 1e30
    assert float(gravitino_pair.densities(q2, 0.0).spin0["S", "S"]) > 1e30
    # At q2 = 0 the massless pair is at its threshold, and open.
    at_rest = scalar_pair.densities(0.0, 0.0).spin0["S", "S"]
    assert float(at_rest) == pytest.approx(1 / (8 * math.pi))


@pytest.mark.parametrize("identical", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_no_combination_of_couplings_has_a_negative_rate(name, identical):
    q2 = np.linspace(1.0, 23.0, 45)
    for table in PAIRS[name][0].densities(q2, 0.5, identical=identical):
        keys = sorted({key for pair in table for key in pair})
        matrix = np.zeros((q2.size, len(keys), len(keys)))
        for (a, b), value in table.items():
            i, j = keys.index(a), keys.index(b)
            matrix[:, i, j] = matrix[:, j, i] = value
        if keys:
            scale = np.max(np.abs(matrix), axis=(1, 2))
            assert np.all(np.linalg.eigvalsh(matrix)[:, 0] >= -1e-14 * scale)


# Edges -------------------------------------------------------------------------------------

EDGES = [(-1.0, 0.5), (0.0, 0.5), (0.3, 0.5), (-1.0, 0.0)]  # closed
EDGES += [(1.0, 0.5), (1.0 + 1e-9, 0.5), (0.0, 0.0), (2.0, 0.0), (2.0, 1e-12)]
STEP = 1e-5
AROUND = [(3.0, 0.6), (3.0 + STEP, 0.6), (3.0 - STEP, 0.6), (3.0, 0.6 + STEP), (3.0, 0.6 - STEP)]


@functools.cache
def values_and_slopes(name):
    """Return all densities and their derivatives by q2 and mass, at EDGES and then AROUND."""

    def stacked(point):
        return jnp.stack(jax.tree.leaves(PAIRS[name][0].densities(*point)))

    both = jax.jit(jax.vmap(lambda point: (stacked(point), jax.jacfwd(stacked)(point))))
    return tuple(np.asarray(x) for x in both(jnp.array(EDGES + AROUND)))


@pytest.mark.parametrize("name", PAIRS)
def test_finite_value_and_gradient_at_every_edge(name):
    values, slopes = values_and_slopes(name)
    assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(slopes))
    assert np.all(values[:5] == 0.0)  # the fifth is the threshold itself
    assert np.all(slopes[:4] == 0.0)
    assert float(PAIRS[name][0].threshold(0.5)) == 1.0


@pytest.mark.parametrize("name", PAIRS)
def test_slopes_are_those_of_finite_differences(name):
    values, slopes = (x[len(EDGES) :] for x in values_and_slopes(name))
    differences = (values[[1, 3]] - values[[2, 4]]) / (2 * STEP)
    np.testing.assert_allclose(slopes[0], differences.T, rtol=1e-7, atol=1e-9)


def test_nan_stays_nan():
    table = scalar_pair.densities(jnp.array([jnp.nan, 2.0]), 0.5)
    assert np.isnan(table.spin0["S", "S"]).tolist() == [True, False]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("name", PAIRS)
def test_shape_of_q2(name, shape):
    shapes = jax.eval_shape(lambda q2: PAIRS[name][0].densities(q2, 0.5), jnp.zeros(shape))
    assert all(value.shape == shape for table in shapes for value in table.values())
