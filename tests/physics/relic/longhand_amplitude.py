"""X Xbar -> f fbar and X Xbar -> Z'Z' by sums over spins, gamma matrices multiplied as numbers.

    L = Z'_mu [Xbar g^mu (g_V - g_A g5) X + fbar g^mu (f_V - f_A g5) f],

the propagator of the Z' in unitary gauge, -(g_mn - q_m q_n/M^2)/(s - M^2 + i M Gamma). Averaged
over the four spin states of X and Xbar, angles integrated by a Gauss rule. Units GeV, GeV^-2.

The one symmetric factor that is not Feynman's rules' own: two equal bosons in the final state.
"""

from __future__ import annotations

import numpy as np

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
ZERO, TWO, ONE = np.zeros((2, 2)), np.eye(2), np.eye(4)
METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
#: gamma^mu in Dirac's basis, where particles at rest have upper components alone
GAMMA = np.array([np.diag([1.0, 1, -1, -1])] + [np.block([[ZERO, p], [-p, ZERO]]) for p in PAULI])
FIVE = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
CHARGE = 1j * GAMMA[2] @ GAMMA[0]


def slash(p):
    return np.einsum("m,mn,nab->ab", p, METRIC, GAMMA)


def barred(matrix):
    """gamma^0 M^dagger gamma^0, of matrices (.., 4, 4)."""
    return GAMMA[0] @ np.conj(np.swapaxes(matrix, -1, -2)) @ GAMMA[0]


def vertex(vector, axial):
    return GAMMA @ (vector * ONE - axial * FIVE)


def back_to_back(s, mass, cosine=1.0):
    """Momenta in the rest frame of the pair."""
    energy, sine = np.sqrt(s) / 2, np.sqrt(1 - cosine**2)
    p = np.sqrt(energy**2 - mass**2) * np.array([sine, 0, cosine])
    return np.array([energy, *p]), np.array([energy, *(-p)])


def speed(s, mass):
    return np.sqrt(1 - 4 * mass**2 / s)


def through_angles(squared, s, mass, other, nodes=24):
    """sigma = 1/(2 s beta) beta'/(16 pi) int d(cos) of the spin average of |M|^2."""
    cosine, weight = np.polynomial.legendre.leggauss(nodes)
    total = sum(w * squared(c) for c, w in zip(cosine, weight, strict=True)) / 4
    return total * speed(s, other) / (16 * np.pi) / (2 * s * speed(s, mass))


def to_fermions(s, X, f, mediator, nodes=4):
    """sigma(X Xbar -> Z'* -> f fbar) of one Dirac fermion f without colour.

    X, f: (mass, vector, axial); mediator: (mass, width).
    """
    (m, *at_X), (m_f, *at_f), (M, width) = X, f, mediator
    p, p_bar = back_to_back(s, m)
    q_lower = METRIC @ (p + p_bar)
    propagator = (METRIC - np.outer(q_lower, q_lower) / M**2) / (s - M**2 + 1j * M * width)
    start = vertex(*at_X)
    initial = np.einsum(
        "ab,mbc,cd,nda->mn", slash(p_bar) - m * ONE, start, slash(p) + m * ONE, barred(start)
    )

    def squared(cosine):
        k, k_bar = back_to_back(s, m_f, cosine)
        end = vertex(*at_f)
        final = np.einsum(
            "ab,mbc,cd,nda->mn", slash(k) + m_f * ONE, end, slash(k_bar) - m_f * ONE, barred(end)
        )
        return np.einsum("mn,ma,nb,ab->", initial, propagator, np.conj(propagator), final).real

    return through_angles(squared, s, m, m_f, nodes)


def to_pair(s, X, M, nodes=80, longitudinal=True):
    """sigma(X Xbar -> Z'Z'), t and u channel.

    longitudinal: with the part k_m k_n/M^2 of the sums over polarisations, which a conserved
    current must not see.
    """
    m, *couplings = X
    v = vertex(*couplings)
    p, p_bar = back_to_back(s, m)
    u_spins, v_spins = slash(p) + m * ONE, slash(p_bar) - m * ONE

    def squared(cosine):
        k, other = back_to_back(s, M, cosine)
        sums = []
        for momentum in (k, other):
            lower = METRIC @ momentum
            sums.append(longitudinal * np.outer(lower, lower) / M**2 - METRIC)

        def quark(momentum):
            inside = p - momentum
            return (slash(inside) + m * ONE) / (inside @ METRIC @ inside - m**2)

        amplitude = np.einsum("nab,bc,mcd->mnad", v, quark(k), v)
        amplitude = amplitude + np.einsum("mab,bc,ncd->mnad", v, quark(other), v)
        lowered = np.einsum("mnab,mk,nl->klab", amplitude, *sums)
        summed = np.einsum("ab,klbc,cd,klda->", v_spins, lowered, u_spins, barred(amplitude))
        return summed.real

    return through_angles(squared, s, m, M, nodes) / 2


# Majorana X: spinors themselves, since two contractions of the fields interfere.


def spinors(p, mass):
    """u (2, 4) of two spins, and v = C ubar^T, of fermions with momentum p."""
    root = np.sqrt(p[0] + mass)
    sigma = np.einsum("i,iab->ab", p[1:], PAULI)
    u = np.array([np.concatenate([root * chi, sigma @ chi / root]) for chi in TWO])
    v = np.array([CHARGE @ (np.conj(x) @ GAMMA[0]) for x in u])
    return u, v


def majorana(s, X, f, mediator, nodes=4):
    """sigma(X X -> Z'* -> f fbar), L = (1/2) Z'_mu Xbar g^mu (g_V - g_A g5) X, X self-conjugate.

    Each of the two X may be annihilated by either field: vbar_2 G u_1 - vbar_1 G u_2, times 1/2.
    """
    (m, *at_X), (m_f, *at_f), (M, width) = X, f, mediator
    p_1, p_2 = back_to_back(s, m)
    (u_1, v_1), (u_2, v_2) = spinors(p_1, m), spinors(p_2, m)
    G, end = vertex(*at_X), vertex(*at_f)
    current = (
        np.einsum("ra,ab,mbc,sc->msr", np.conj(v_2), GAMMA[0], G, u_1)
        - np.einsum("sa,ab,mbc,rc->msr", np.conj(v_1), GAMMA[0], G, u_2)
    ) / 2
    q_lower = METRIC @ (p_1 + p_2)
    propagator = (METRIC - np.outer(q_lower, q_lower) / M**2) / (s - M**2 + 1j * M * width)

    def squared(cosine):
        k, k_bar = back_to_back(s, m_f, cosine)
        u, v = spinors(k, m_f)[0], spinors(k_bar, m_f)[1]
        final = np.einsum("ra,ab,mbc,sc->mrs", np.conj(u), GAMMA[0], end, v)
        amplitude = np.einsum("mij,mn,nkl->ijkl", current, propagator, final)
        return np.sum(np.abs(amplitude) ** 2)

    return through_angles(squared, s, m, m_f, nodes)


# What the reference claims, and what it leaves out.


def width_to_fermions(mass, f):
    """Gamma(Z' -> f fbar), as in section 4 of the reference."""
    m_f, vector, axial = f
    r = (m_f / mass) ** 2
    return mass / (12 * np.pi) * np.sqrt(1 - 4 * r) * (
        vector**2 * (1 + 2 * r) + axial**2 * (1 - 4 * r)
    )  # fmt: skip


def spin_one_part(s, X, f, mediator):
    """g_V^2 (1 + 2 m^2/s) -> g_V^2 (1 + 2 m^2/s) + g_A^2 beta^2, and the rest as in section 6."""
    (m, vector, axial), (M, width) = X, mediator
    at_X = vector**2 * (1 + 2 * m**2 / s) + axial**2 * (1 - 4 * m**2 / s)
    rate = np.sqrt(s) * width_to_fermions(np.sqrt(s), f)
    return at_X / speed(s, m) * rate / ((s - M**2) ** 2 + (M * width) ** 2)


def spin_zero_part(s, X, f, mediator):
    """Of axial couplings on both sides, (q.J_X)(q.J_f)(1/s - 1/M^2); it vanishes at s = M^2."""
    (m, _, axial), (m_f, _, f_axial), (M, width) = X, f, mediator
    size = (axial * f_axial * m * m_f * (1 - s / M**2)) ** 2 / (np.pi * s)
    return size * speed(s, m_f) / speed(s, m) / ((s - M**2) ** 2 + (M * width) ** 2)


def pair_at_threshold(m, vector, M):
    """<sigma v> of X Xbar -> Z'Z' at rest, as in section 6."""
    r = (M / m) ** 2
    return vector**4 * (1 - r) ** 1.5 / (16 * np.pi * m**2 * (1 - r / 2) ** 2)


def pair_in_closed_form(s, m, g, M):
    """sigma(X Xbar -> Z'Z') of a vector coupling, integrated over angles.

    As e+ e- -> gamma gamma with massive photons. Guessed, then found equal to `to_pair`.
    """
    b_X, b = speed(s, m), speed(s, M)
    log = np.log((s - 2 * M**2 + s * b * b_X) / (s - 2 * M**2 - s * b * b_X))
    one = (s**2 + 4 * m**2 * (s - 2 * m**2) + 4 * M**4 - 8 * m**2 * M**2) / (s - 2 * M**2)
    two = s * b * b_X * (2 * M**4 + m**2 * s + 4 * m**4) / (M**4 + m**2 * s - 4 * m**2 * M**2)
    return g**4 / (8 * np.pi * s**2 * b_X**2) * (one * log - two)
