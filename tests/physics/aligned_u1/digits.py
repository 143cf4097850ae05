"""The loops of the aligned U(1)' to 50 digits: divided differences of u^n ln u in mpmath.

By the theorem of Hermite and Genocchi an integral of f^(n) over Feynman parameters is the divided
difference of f on the squared masses, and a parameter x in front of it repeats its mass. Where
masses meet, differences become derivatives; where digits cancel, there are more of them.
"""

from __future__ import annotations

from functools import partial

import mpmath as mp

from .longhand import STANDARD


def power_log(n, u, derivative=0):
    """The n-th antiderivative of ln u, up to a polynomial: u^n ln u/n!, or a derivative of it."""
    k = n - derivative
    if k < 0:
        return (-1) ** (-k - 1) * mp.factorial(-k - 1) * u**k
    harmonic = sum(mp.mpf(1) / i for i in range(k + 1, n + 1))
    return u**k * (mp.log(u) + harmonic) / mp.factorial(k)


def divided(n, nodes):
    """The divided difference of u^n ln u/n! on sorted nodes, in columns of growing order."""
    column = [power_log(n, u) for u in nodes]
    for order in range(1, len(nodes)):
        column = [
            power_log(n, a, order) / mp.factorial(order) if a == b else (up - low) / (b - a)
            for a, b, low, up in zip(nodes, nodes[order:], column, column[1:], strict=False)
        ]
    return column[0]


def over_delta(*masses):
    """int 1/Delta, Delta = sum x_i a_i, over Feynman parameters x.

    With x_i^k/k! in front of it, if a_i stands there k times more.
    """
    return divided(len(masses) - 2, sorted(masses))


def log_delta(*masses):
    """int ln Delta, up to a constant."""
    return divided(len(masses) - 1, sorted(masses))


class Loops:
    """All loops at one point, from doubles that are taken to be exact, in units of m_t."""

    def __init__(self, m_t, m_T, s_R, ew=STANDARD, digits=50, guard=50):
        self.context = partial(mp.workdps, digits + guard)
        with self.context():
            m_t, m_T, s, v = mp.mpf(m_t), mp.mpf(m_T), mp.mpf(s_R), mp.mpf(ew.v)
            c = mp.sqrt(1 - s**2)
            norm = mp.hypot(m_T * c, m_t * s)
            s_L, c_L = m_t * s / norm, m_T * c / norm
            self.left = [[s_L**2, -s_L * c_L], [-s_L * c_L, c_L**2]]
            self.right = [[s**2, -s * c], [-s * c, c**2]]
            self.w = [c_L, s_L]
            self.m, self.v, self.m_w, self.m_z = (
                [mp.mpf(1), m_T / m_t],
                v / m_t,
                ew.m_w / m_t,
                ew.m_z / m_t,
            )
            self.m_t, self.g, self.ew = m_t, 2 * mp.mpf(ew.m_w) / v, ew

    def sum(self, term):
        """sum_ij U_i U_j term(m_i^2, m_j^2, m_i m_j, G_L, G_R)."""
        m = self.m
        return sum(
            self.w[i] * self.w[j]
            * term(m[i] ** 2, m[j] ** 2, m[i] * m[j], self.left[i][j], self.right[i][j])
            for i in range(2) for j in range(2)
        )  # fmt: skip

    def vector_coupling(self, constant=0):
        """C_L/(V_tb V_ts* G); `constant` is added to every logarithm."""

        def term(a, b, mm, left, right):
            two = -(2 * log_delta(a, b, self.m_w**2) + constant)
            none = over_delta(a, b, self.m_w**2)
            goldstone = 2 * mm / self.v**2 * (right * two / 2 + left * mm * none)
            return goldstone + self.g**2 / 2 * (left * two + 2 * right * mm * none)

        with self.context():
            return self.sum(term) / (16 * mp.pi**2)

    def dipole(self):
        """D, GeV^-2."""

        def term(a, b, mm, left, right):
            w = self.m_w**2
            x, y, z = over_delta(a, a, b, w), over_delta(a, b, b, w), over_delta(a, b, w, w)
            yz = over_delta(a, b, b, w, w)
            yukawas = 2 / self.v**2 * (mm * right * (y - yz) + a * left * x)
            return yukawas + self.g**2 * left * (z - yz)

        with self.context():
            return self.sum(term) / (16 * mp.pi**2) / self.m_t**2

    def z_mass_mixing(self):
        """delta_Z/G."""

        def term(a, b, mm, left, right):
            # int D ln D = [a, b] of u^2 ln u/2 - u^2/4
            return left * (divided(2, [a, b]) - (a + b) / 4) - mm * right * log_delta(a, b)

        with self.context():
            return self.z_factor() * self.sum(term) / self.m_z**2

    def slope(self):
        """d Pi/d q^2 at q^2 = 0 of Z and Z' over G, the part of T3."""

        def term(a, b, mm, left, right):
            # x (1 - x) repeats both masses
            return left * (-2 * log_delta(a, a, b, b)) + mm * right * over_delta(a, a, b, b)

        with self.context():
            return self.z_factor() * self.sum(term)

    def z_factor(self):
        g_z = self.g / mp.sqrt(1 - mp.mpf(self.ew.sin2_w))
        return -3 * g_z / (16 * mp.pi**2)
