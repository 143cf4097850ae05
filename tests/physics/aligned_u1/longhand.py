"""The aligned U(1)' worked out from its Lagrangian by numbers, to compare bknn with.

    -L = y_t Qbar_3 Htilde t'_R + y_T Phi Tbar'_L t'_R + M Tbar'_L T'_R + h.c.,

T' (both chiralities) and Phi with charge q', all else neutral; G = g~ q', <Phi> = v~/sqrt2. Masses
and couplings come from a singular value decomposition, loops from numerical integration: over
Feynman parameters, and over the Euclidean loop momentum, where nothing is integrated by hand. GeV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PI16 = 16 * np.pi**2


@dataclass(frozen=True)
class Electroweak:
    """The inputs of the public points."""

    v: float = 246.22
    m_w: float = 80.377
    m_z: float = 91.1876
    sin2_w: float = 0.2312
    alpha: float = 1 / 137.036

    @property
    def g(self):
        return 2 * self.m_w / self.v

    @property
    def g_z(self):
        return self.g / np.sqrt(1 - self.sin2_w)

    @property
    def e(self):
        return np.sqrt(4 * np.pi * self.alpha)


STANDARD = Electroweak()


class Top:
    """Masses and couplings of (t, T), from the mass matrix of (t', T').

    Attributes:
        m: (m_t, m_T), ascending.
        left, right: rotations, columns are t and T, rows t' and T'.
        z_prime: couplings to Z' over G, {"L": (2, 2), "R": (2, 2)}.
        w: couplings of (t, T) to W and left-handed b, over g/sqrt2.
        goldstone: L = goldstone_i (qbar_i P_L b) G+ - sqrt2 m_b/v w_i (qbar_i P_R b) G+ + h.c.
        higgs, phi: L = -h qbar_i Y_ij P_R q_j + h.c., (2, 2).
    """

    def __init__(self, y_t, y_T, mass, v_tilde, ew=STANDARD):
        matrix = np.array([[y_t * ew.v, 0.0], [y_T * v_tilde, np.sqrt(2) * mass]]) / np.sqrt(2)
        left, m, right = np.linalg.svd(matrix)
        self.m, left, right = m[::-1], left[:, ::-1], right.T[:, ::-1]
        signs = np.sign(np.diag(left))
        self.left, self.right = left * signs, right * signs
        charge = np.diag([0.0, 1.0])
        self.z_prime = {
            "L": self.left.T @ charge @ self.left,
            "R": self.right.T @ charge @ self.right,
        }
        self.w = self.left[0]
        self.goldstone = y_t * self.right[0]
        self.higgs = y_t / np.sqrt(2) * np.outer(self.left[0], self.right[0])
        self.phi = y_T / np.sqrt(2) * np.outer(self.left[1], self.right[0])
        self.y_t, self.y_T, self.mass, self.v_tilde, self.ew = y_t, y_T, mass, v_tilde, ew


def lagrangian(m_t, m_T, s_R, v_tilde, ew=STANDARD):
    """y_t, y_T and M' that give two masses and the right-handed mixing.

    M M^T and M^T M have the traces and determinants of the matrix; written in terms of M^T M =
    U_R diag(m^2) U_R^T = [[(y_t^2 v^2 + y_T^2 v~^2)/2, y_T v~ M'/sqrt2], [.., M'^2]].
    """
    c_R = np.sqrt(1 - s_R**2)
    mass = np.sqrt(m_t**2 * s_R**2 + m_T**2 * c_R**2)
    y_T = np.sqrt(2) * s_R * c_R * (m_T - m_t) * (m_T + m_t) / (v_tilde * mass)
    y_t = np.sqrt(2) * m_t * m_T / (mass * ew.v)  # the determinant
    return y_t, y_T, mass, v_tilde


def top(m_t, m_T, s_R, v_tilde=1000.0, ew=STANDARD):
    return Top(*lagrangian(m_t, m_T, s_R, v_tilde, ew), ew)


# b -> s Z', vector part: C_L / (V_tb V_ts* G)


def unit_interval(n=60, reach=3.4):
    """x, 1 - x and weights on (0, 1), double exponential: singular ends do no harm."""
    t = np.linspace(-reach, reach, 2 * n + 1)
    u = np.pi / 2 * np.sinh(t)
    x, rest = 1 / (1 + np.exp(-2 * u)), 1 / (1 + np.exp(2 * u))
    return x, rest, (t[1] - t[0]) * np.pi * np.cosh(t) * x * rest


def triangle(a, constant=0.0, n=60):
    """int d^4K/pi^2 of K^2 and of 1 over (K^2 + a_1)(K^2 + a_2)(K^2 + a_3), by Feynman parameters.

    The first diverges: without the pole, and with `constant` added to the logarithm.
    """
    x, x_, w = unit_interval(n)
    y, y_, u = x[:, None], x_[:, None], w[:, None]
    delta = x * (y * a[0] + y_ * a[1]) + x_ * a[2]
    measure = w * u * x
    return -2 * np.sum(measure * (np.log(delta) + constant)), np.sum(measure / delta)


def pairs(m):
    return [(i, j) for i in range(len(m)) for j in range(len(m))]


def vector_coupling(top, constant=0.0, n=60):
    """In Feynman's gauge, Feynman parameters in two dimensions.

    Goldstone: P_R (k + m_j) g^mu (G_L P_L + G_R P_R) (k + m_i) P_L = -k^2/2 G_R + m_i m_j G_L;
    W: g^a (..) g_a = k^2 G_L - 2 m_i m_j G_R, each times g^mu P_L. The differences between d and 4
    dimensions multiply sums that vanish, as the poles do.
    """
    ew, R, W = top.ew, top.goldstone, top.w
    G_L, G_R = top.z_prime["L"], top.z_prime["R"]
    total = 0.0
    for i, j in pairs(top.m):
        mm = top.m[i] * top.m[j]
        two, none = triangle((top.m[i] ** 2, top.m[j] ** 2, ew.m_w**2), constant, n)
        total += R[i] * R[j] * (G_R[i, j] * two / 2 + G_L[i, j] * mm * none)
        total += ew.g**2 / 2 * W[i] * W[j] * (G_L[i, j] * two + 2 * G_R[i, j] * mm * none)
    return total / PI16


def momenta(low, high, step=0.4, reach=45.0):
    """K^2 and weights of int dK^2 from 0 to infinity; low and high are the scales of the integrand.

    The trapezoidal rule in ln K^2: its error is exp(-2 pi^2/step), as poles lie at +-i pi.
    """
    t = np.arange(np.log(low) - reach, np.log(high) + reach, step)
    return np.exp(t), step * np.exp(t)


def vector_coupling_any_gauge(top, xi=1.0):
    """The same, in any R_xi gauge: the integrand summed over quarks, then the integral over K^2.

    Nothing diverges in the sum. The propagator of the W is that in Feynman's gauge and, besides,
    i (1 - xi) k_a k_b/((k^2 - M_W^2)(k^2 - xi M_W^2)), where k (k + m_j) g^mu (..) (k + m_i) k is
    (k^4 G_L - k^2/2 m_i m_j G_R) g^mu; the squared mass of the Goldstone boson is xi M_W^2.
    """
    ew, R, W = top.ew, top.goldstone, top.w
    G_L, G_R = top.z_prime["L"], top.z_prime["R"]
    a, a_w = top.m**2, ew.m_w**2
    s, weight = momenta(min(a_w, xi * a_w, a[0]), max(a[1], xi * a_w))
    total = 0.0
    for i, j in pairs(top.m):
        mm = top.m[i] * top.m[j]
        quarks = s / ((s + a[i]) * (s + a[j]))  # with d^4K/pi^2 = s ds
        total = total + quarks * (
            R[i] * R[j] * (s / 2 * G_R[i, j] + mm * G_L[i, j]) / (s + xi * a_w)
            + ew.g**2 / 2 * W[i] * W[j] * (
                (s * G_L[i, j] + 2 * mm * G_R[i, j]) / (s + a_w)
                - (1 - xi) * (s**2 * G_L[i, j] + s / 2 * mm * G_R[i, j])
                / ((s + a_w) * (s + xi * a_w))
            )
        )  # fmt: skip
    return np.sum(weight * total) / PI16


# b -> s Z', dipole: L = m_b V_tb V_ts* G D (sbar i sigma^{mu nu} q_nu P_R b) Z'_mu

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
ZERO, ONE = np.zeros((2, 2)), np.eye(2)
#: gamma^mu, chiral basis
GAMMA = np.array(
    [np.block([[ZERO, ONE], [ONE, ZERO]])] + [np.block([[ZERO, p], [-p, ZERO]]) for p in PAULI]
)
P_L, P_R = np.diag([1.0, 1, 0, 0]), np.diag([0.0, 0, 1, 1])


def slash(p):
    """Of momenta (.., 4), matrices (.., 4, 4)."""
    return np.einsum("...m,mn,nab->...ab", np.asarray(p), METRIC, GAMMA)


def kinematics(m_b):
    """p_b, p_s on the shell with m_s = 0, and what gives B of amplitudes (mu, .., 4, 4)."""
    p_b, p_s = np.array([m_b, 0, 0, 0]), 0.35 * m_b * np.array([1, 0.48, 0.6, 0.64])
    u_b = (slash(p_b) + m_b * np.eye(4))[:, :2]  # two spins
    ubar_s = (slash(p_s) @ GAMMA[0])[:, :2].conj().T @ GAMMA[0]  # of left-handed s
    basis = [
        [ubar_s @ g @ P_L @ u_b, m_b * p * ubar_s @ P_R @ u_b, m_b * q * ubar_s @ P_R @ u_b]
        for g, p, q in zip(GAMMA, p_b, p_b - p_s, strict=True)
    ]
    solve = np.linalg.pinv(np.array(basis).transpose(0, 2, 3, 1).reshape(-1, 3))[1]

    def extract(amplitude):
        sandwiched = np.moveaxis(ubar_s @ amplitude @ u_b, 0, -3)
        return (sandwiched.reshape(*sandwiched.shape[:-3], -1) @ solve).real

    return p_b, p_s, extract


def dipole(top, n=60):
    """From the two triangles in Feynman's gauge, gamma matrices multiplied as numbers.

    Momenta l + p_b of q_i, l + p_s of q_j, l of the boson; Feynman parameters x, y, z so that
    l = l' - x p_b - y p_s. Terms with l'^2 are multiples of g^mu. On the shell what is left is
    sbar [A g^mu P_L + m_b (B p_b^mu + C q^mu) P_R] b, and by Gordon's identity D = B/2.
    B of a numerator is a polynomial of second order in x and y, known from six points.
    """
    m_b = top.ew.m_w  # any: D does not depend on it
    p_b, p_s, extract = kinematics(m_b)
    x, y = np.array([[0, 0.5, 1, 0, 0.5, 0], [0, 0, 0, 0.5, 0.5, 1]])
    powers = np.linalg.inv(np.array([x**0, x, y, x**2, x * y, y**2]))
    shift = -x[:, None] * p_b - y[:, None] * p_s
    k_i, k_j = slash(shift + p_b), slash(shift + p_s)

    r, r_, w = unit_interval(n)
    x, y, z = r * r[:, None], r * r_[:, None], r_
    measure = w * r * w[:, None]
    moments = np.array([x**0, x, y, x**2, x * y, y**2])

    ew, R, W, unit = top.ew, top.goldstone, top.w, np.eye(4)
    total = 0.0
    for i, j in pairs(top.m):
        vertex = GAMMA @ (top.z_prime["L"][j, i] * P_L + top.z_prime["R"][j, i] * P_R)
        inside = (k_j + top.m[j] * unit) @ vertex[:, None] @ (k_i + top.m[i] * unit)
        at_b = R[i] * P_L - np.sqrt(2) * m_b / ew.v * W[i] * P_R
        bosons = R[j] * P_R @ inside @ at_b
        for metric, g in zip(np.diag(METRIC), GAMMA, strict=True):
            bosons = bosons - ew.g**2 / 2 * W[j] * W[i] * metric * g @ P_L @ inside @ g @ P_L
        delta = x * top.m[i] ** 2 + y * top.m[j] ** 2 + z * ew.m_w**2
        total += extract(bosons) @ powers @ np.sum(measure / delta * moments, (1, 2))
    return total / 2 / PI16
