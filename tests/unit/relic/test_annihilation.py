"""Cross sections against amplitudes squared with matrices, and limits in closed form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import errors
from bknn.relic.annihilation import Annihilation, Resonance, beta_sigma_pairs, from_function, pole

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])


def gammas() -> list[np.ndarray]:
    """Dirac's matrices, the fifth last."""
    one, nothing = np.eye(2), np.zeros((2, 2))
    pauli = [np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])]
    four = [np.block([[one, nothing], [nothing, -one]]).astype(complex)]
    four += [np.block([[nothing, s], [-s, nothing]]) for s in pauli]
    return [*four, 1j * four[0] @ four[1] @ four[2] @ four[3]]


G = gammas()


def slash(p):
    return sum(METRIC[i, i] * p[i] * G[i] for i in range(4))


def bar(matrix):
    return G[0] @ matrix.conj().T @ G[0]


def momenta(s, mass, other, cosine):
    """Incoming pair of one mass, outgoing pair of another."""
    e, sine = np.sqrt(s) / 2, np.sqrt(1 - cosine**2)
    p, k = np.sqrt(e**2 - mass**2), np.sqrt(e**2 - other**2)
    way = np.array([k * sine, 0.0, k * cosine])
    return [
        np.array([e, 0, 0, p]),
        np.array([e, 0, 0, -p]),
        np.array([e, *way]),
        np.array([e, *-way]),
    ]


def integrated(s, mass, other, squared):
    """beta sigma of a |M|^2 that is summed over spins: average, flux, phase space."""
    cosines, weights = np.polynomial.legendre.leggauss(60)
    total = sum(
        w * squared(*momenta(s, mass, other, c)) for c, w in zip(cosines, weights, strict=True)
    )
    return total / 4 / (2 * s) * np.sqrt(1 - 4 * other**2 / s) / (16 * np.pi)


@pytest.mark.parametrize(
    ("s", "mass", "vector"), [(5.0, 1.0, 0.5), (4.01, 1.0, 0.9), (30.0, 1.0, 2.0)]
)
def test_pairs_of_vectors(s, mass, vector):
    def squared(p1, p2, k1, k2):
        t, u = p1 - k1, p1 - k2
        first = (slash(t) + mass * np.eye(4)) / (t @ METRIC @ t - mass**2)
        second = (slash(u) + mass * np.eye(4)) / (u @ METRIC @ u - mass**2)
        incoming, outgoing = slash(p1) + mass * np.eye(4), slash(p2) - mass * np.eye(4)
        total = 0.0
        for i in range(4):
            for j in range(4):
                m = G[j] @ first @ G[i] + G[i] @ second @ G[j]
                sign = METRIC[i, i] * METRIC[j, j]
                total += sign * np.trace(outgoing @ m @ incoming @ bar(m)).real
        return total / 2  # two equal particles

    found = float(beta_sigma_pairs(jnp.asarray(s), mass, vector, 1.0))
    assert found == pytest.approx(integrated(s, mass, vector, squared), rel=1e-9)


@pytest.mark.parametrize(("g_v", "g_a"), [(0.3, 0.0), (0.0, 0.2), (0.3, -0.2)])
def test_through_the_resonance(g_v, g_a):
    """With a fermion in the final state: the vector's width, and the longitudinal part."""
    mass, fermion, M, width, (c_v, c_a) = 1.0, 0.6, 2.5, 0.1, (0.05, 0.08)

    def to_fermion(w):
        r = (fermion / w) ** 2
        room = jnp.sqrt(1 - 4 * r)
        return w / (12 * jnp.pi) * room * (c_v**2 * (1 + 2 * r) + c_a**2 * (1 - 4 * r))

    def longitudinal(w):
        return (c_a * fermion) ** 2 * jnp.sqrt(1 - 4 * (fermion / w) ** 2)

    z = Resonance(M, width)
    X = Annihilation(mass, g_v, g_a, z, to_fermion, longitudinal)
    one, five = np.eye(4), G[4]

    def squared(p1, p2, k1, k2):
        q = p1 + p2
        s = q @ METRIC @ q
        transverse = 1 / (s - M**2 + 1j * M * width)
        total = 0.0
        dark = [g @ (g_v * one - g_a * five) for g in G[:4]]
        light = [g @ (c_v * one - c_a * five) for g in G[:4]]
        # -g + q q/s goes with the pole, -q q/(s M^2) without
        lower = METRIC @ q
        full = transverse * (METRIC - np.outer(lower, lower) / s) - np.outer(lower, lower) / (
            s * M**2
        )
        x1, x2 = slash(p1) + mass * one, slash(p2) - mass * one
        f1, f2 = slash(k1) + fermion * one, slash(k2) - fermion * one
        left = np.array([[np.trace(x2 @ a @ x1 @ bar(b)) for b in dark] for a in dark])
        right = np.array([[np.trace(f1 @ a @ f2 @ bar(b)) for b in light] for a in light])
        total = np.einsum("ab,cd,ac,bd->", full, full.conj(), left, right)
        return total.real

    for s in (4.2, 6.25, 12.0):
        beta = np.sqrt(1 - 4 * mass**2 / s)
        expected = integrated(s, mass, fermion, squared) / beta
        assert float(X.sigma(s)) == pytest.approx(expected, rel=1e-9)


def test_majorana():
    """Two of a Majorana X annihilate as X and Xbar of a Dirac one with that axial coupling."""
    z, flat = Resonance(2.5, 0.1), lambda w: 1e-6 * w
    dirac = Annihilation(1.0, 0.0, 0.3, z, flat)
    majorana = Annihilation(1.0, 0.7, 0.3, z, flat, majorana=True)
    np.testing.assert_array_equal(
        majorana.sigma(jnp.array([4.5, 7.0])), dirac.sigma(jnp.array([4.5, 7.0]))
    )


@pytest.mark.parametrize("M", [2.0, 2.0 * (1 + 1e-13), 1.99, 2.01, 0.1, 100.0])
@pytest.mark.parametrize("width", [1e-12, 1e-3, 0.1, 0.0])
def test_pole(M, width):
    """a + i b squared is epsilon + i gamma, with derivatives, at the threshold too."""
    there = pole(Resonance(M, M * width), 1.0)
    gamma = max(M**2 * width / 4, 1e-15)
    assert complex(there.a, there.b) ** 2 == pytest.approx(
        complex(M**2 / 4 - 1, gamma), rel=1e-9, abs=1e-16
    )
    slope = jax.jacfwd(lambda x: pole(Resonance(x[0], x[1]), x[2]))(jnp.array([M, M * width, 1.0]))
    assert np.all(np.isfinite(slope.a))
    assert np.all(np.isfinite(slope.b))
    on_it = gamma**2 + float(there.b) ** 4  # at r = a, without cancellation
    assert float(there.at(jnp.zeros(()))) == pytest.approx(on_it, rel=1e-9)
    r = float(there.a) + 2.0
    away = (r**2 - (M**2 / 4 - 1)) ** 2 + gamma**2
    assert float(there.at(jnp.array(2.0))) == pytest.approx(away, rel=1e-9)


def test_below_the_threshold():
    X = Annihilation(1.0, 0.3, 0.0, Resonance(2.5, 0.1), lambda w: 1e-6 * w, pairs=True)
    assert np.asarray(X.sigma(jnp.array([1.0, 4.0]))).tolist() == [0.0, 0.0]


def test_what_is_refused():
    z = Resonance(0.5, 0.1)
    for more in ({"g_a": 0.1}, {"g_a": 0.0, "majorana": True}):
        with pytest.raises(errors.ParameterError, match="dark Higgs"):
            Annihilation(mass=1.0, g_v=0.3, resonance=z, visible=jnp.ones_like, pairs=True, **more)
    with pytest.raises(errors.ParameterError, match="shape"):
        from_function(lambda s: 1.0, 1.0)
    with pytest.raises(errors.ParameterError, match="finite"):
        from_function(lambda s: jnp.log(s - 5.0), 1.0)
