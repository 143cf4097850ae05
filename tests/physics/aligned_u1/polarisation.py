"""Vacuum polarisations of t, T and b by integration over the Euclidean loop momentum.

Couplings are left- and right-handed matrices between the quarks (b, t, T). Sums over quarks are
taken before the integral: the combinations here converge, and four dimensions are enough.

    i Pi^{mu nu} = -N_c int tr[g^mu P.. S(k + q/2) g^nu P.. S(k - q/2)],  L = Pi V_mu V'^mu,

where Pi multiplies g^{mu nu} - q^mu q^nu/q^2. Kinetic mixing, L = -(eps/2) V_{mu nu} V'^{mu nu}, is
Pi = -eps q^2.
"""

from __future__ import annotations

import numpy as np

from .longhand import PI16, momenta

N_C = 3


def polarisation(q2, m, terms, angles=24):
    """Pi(q^2) for a list of (factor, (L, R), (L', R')), each coupling a matrix between quarks.

    q2: any complex number, well below the thresholds. With s = K^2 and the angle between K and q
    d^4K/pi^2 = s ds (2/pi) sin^2(angle) d(angle). The quadratic divergences, whose sum vanishes,
    are taken off term by term, as those of quarks of one mass, so that no digits are lost.
    """
    Q, same_mass = np.sqrt(complex(-q2)), np.min(m[m > 0]) ** 2
    s, weight = momenta(same_mass, np.max(m) ** 2)
    angle = np.pi * np.arange(1, angles + 1) / (angles + 1)
    along, s = np.sqrt(s)[:, None] * np.cos(angle), s[:, None]
    weight = (weight[:, None] * s) * 2 / (angles + 1) * np.sin(angle) ** 2
    plus, minus = s + Q**2 / 4 + along * Q, s + Q**2 / 4 - along * Q  # squares of K_1, K_2
    equal_trace = 2 / 3 * (s - Q**2 / 4 + 2 * (along**2 - Q**2 / 4))
    total = 0.0
    for i, m_i in enumerate(m):
        for j, m_j in enumerate(m):
            equal = sum(f * (a[i, j] * c[j, i] + b[i, j] * d[j, i]) for f, (a, b), (c, d) in terms)
            other = sum(f * (a[i, j] * d[j, i] + b[i, j] * c[j, i]) for f, (a, b), (c, d) in terms)
            if equal == other == 0.0:
                continue
            first, second = plus + m_i**2, minus + m_j**2
            once, twice = plus + same_mass, minus + same_mass
            change = ((same_mass - m_i**2) / (first * once * second)) + (
                (same_mass - m_j**2) / (second * twice * once)
            )  # 1/(first second) - 1/(once twice)
            total = total + equal * equal_trace * change + 2 * m_i * m_j * other / (first * second)
    value = -N_C / PI16 * np.sum(weight * total)
    return value if np.iscomplexobj(q2) else value.real


def slope(m, terms, radius, points=8):
    """dPi/dq^2 at 0, by differences on a circle in the complex plane (GeV^2)."""
    turns = np.exp(2j * np.pi * (np.arange(points) + 0.5) / points)
    values = np.array([polarisation(radius * turn, m, terms) for turn in turns])
    return (np.mean(values / turns) / radius).real


def currents(top):
    """Masses of (b, t, T), and couplings (L, R) to T1, T3, the charge Q, and the Z' over G."""
    nothing = np.zeros((3, 3))
    isospin, raising = nothing.copy(), nothing.copy()
    isospin[0, 0] = -1 / 2
    isospin[1:, 1:] = np.outer(top.w, top.w) / 2
    raising[0, 1:] = raising[1:, 0] = top.w / 2
    charge = np.diag([-1.0, 2.0, 2.0]) / 3
    return np.array([0.0, *top.m]), {
        "1": (raising, nothing),
        "3": (isospin, nothing),
        "Q": (charge, charge),
        "Z'": [np.pad(top.z_prime[chirality], ((1, 0), (1, 0))) for chirality in "LR"],
    }


def z_mass_mixing(top):
    """delta_Z/G = Pi(0)/M_Z^2."""
    m, current = currents(top)
    return top.ew.g_z * polarisation(0.0, m, [(1.0, current["3"], current["Z'"])]) / top.ew.m_z**2


def z_slope(top):
    """dPi/dq^2 at 0 of Z (its T3 part) and Z' over G."""
    m, current = currents(top)
    return top.ew.g_z * slope(m, [(1.0, current["3"], current["Z'"])], 0.1 * top.m[0] ** 2)


def photon_mixing(top, scale):
    """eps_A/G = -dPi/dq^2 at 0 of photon and Z', less that of an unmixed T' of mass `scale`."""
    m, current = currents(top)
    heavy = np.diag([0.0, 0.0, 0.0, 1.0])
    mixing = [[np.pad(chirality, (0, 1)) for chirality in current[name]] for name in ("Q", "Z'")]
    terms = [(top.ew.e, *mixing), (-top.ew.e * 2 / 3, (heavy, heavy), (heavy, heavy))]
    return -slope(np.array([*m, scale]), terms, 0.1 * top.m[0] ** 2)


def oblique(top):
    """S and T less those of the standard model with top quark of mass m_t.

    alpha T = e^2/(s_w^2 M_W^2) [Pi_11 - Pi_33](0) and S = 16 pi [Pi_33' - Pi_3Q'](0).
    """
    alone = type(top)(np.sqrt(2) * top.m[0] / top.ew.v, 0.0, top.m[1], 1.0, top.ew)
    m, new = currents(top)
    old = currents(alone)[1]
    signs = ((1, new), (-1, old))
    t = [(x * sign, c[n], c[n]) for sign, c in signs for x, n in ((1, "1"), (-1, "3"))]
    s = [(x * sign, c["3"], c[n]) for sign, c in signs for x, n in ((1, "3"), (-1, "Q"))]
    return (
        16 * np.pi * slope(m, s, 0.1 * top.m[0] ** 2),
        4 * np.pi / (top.ew.sin2_w * top.ew.m_w**2) * polarisation(0.0, m, t),
    )
