"""Freeze-out where X need not share the temperature of the plasma (arXiv:1706.07433, 2103.01944).

Moments of the Boltzmann equation for Maxwell-Boltzmann X of temperature T_X: number and
T_X = <p^2/3E>. With y = m T_X/s^(2/3) and d/dt = H~ d/d ln x, H~ = H/(1 + d ln h/d ln T/3),

    d ln Y/dt = -(s Y/2) {<sv>_X - (Y_eq/Y)^2 <sv>_T}
    d ln y/dt = gamma (T/T_X - 1) + (H/3 T_X) <p^4/E^3>_X
                - (s Y/2) {<sv>2_X - <sv>_X - (Y_eq/Y)^2 [(T/T_X) <sv>2_T - <sv>_T]},

<sv>2: with p^2/(3 E T) of one of the two in the average; the halves are those of X and Xbar.

gamma is twice the drag, from Fokker and Planck: momentum transfers q per unit time on an X at rest,
<q^2>/(3 m T); for m >> T that is 1/(48 pi^3 g_X m^3) int dk f d/dk (k^4 <|M|^2>_t).
`python -m tests.physics.relic.longhand_kinetic` writes numbers/kinetic.csv (five minutes).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from .longhand_abundance import PLANCK_MASS, PREFACTOR, Universe
from .longhand_average import NUMBERS, Average, scaled_bessel

PION = 0.13957


@dataclass(frozen=True)
class Partner:
    """What X scatters on: particles and antiparticles of `states` spin states each."""

    kind: str  # vector, axial, scalar
    mass: float
    coupling: float
    states: int = 2

    def squared(self, s, t, m, g_X, M):
        """|M|^2 of X f -> X f summed over all spins, at tree level; X with a vector coupling."""
        S = s - m**2 - self.mass**2
        U = -S - t
        if self.kind == "vector":
            value = 8 * (S**2 + U**2 + 2 * t * (m**2 + self.mass**2))
        elif self.kind == "axial":
            value = 8 * (S**2 + U**2 + 2 * t * (m**2 - self.mass**2) - 8 * (m * self.mass) ** 2)
        else:
            value = 2 * ((S - U) ** 2 + t * (4 * self.mass**2 - t))
        return (g_X * self.coupling / (t - M**2)) ** 2 * value * self.states / self.spins

    @property
    def spins(self):
        """Spin states that the sum over spins of a Dirac field has."""
        return 1 if self.kind == "scalar" else 2

    def occupation(self, energy, T):
        return 1 / (np.exp(np.minimum(energy / T, 600.0)) + (-1 if self.kind == "scalar" else 1))

    def stimulated(self, occupation):
        return 1 + occupation if self.kind == "scalar" else 1 - occupation


legendre = cache(np.polynomial.legendre.leggauss)


def gauss(n, low, high):
    x, w = legendre(n)
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


def rate(partner, T, m, g_X, M, contact=False, nodes=200):
    """gamma of one partner and its antiparticle on a heavy X, GeV; T a number.

    <q^2>/(3 m T) with f (1 -+ f) of the incoming particle, |M|^2 at leading order in m. contact:
    for M >> momenta.
    """
    k, w = gauss(nodes, 0.0, 40 * T + 4 * np.sqrt(T * partner.mass))
    energy = np.sqrt(k**2 + partner.mass**2)
    share, w_t = gauss(24, 0.0, 1.0)
    t = -4 * k[:, None] ** 2 * share
    value = {
        "vector": 4 * energy[:, None] ** 2 + t,
        "axial": 4 * k[:, None] ** 2 + t,
        "scalar": 2 * energy[:, None] ** 2,
    }[partner.kind]
    pole = M**4 if contact else (t - M**2) ** 2
    front = 16 * m**2 * (g_X * partner.coupling) ** 2 * partner.states / partner.spins
    transfer = np.sum(w_t * -t * front * value / pole, -1) * 4 * k**2  # int dt (-t) |M|^2
    f = partner.occupation(energy, T)
    flow = np.sum(w * k / energy * f * partner.stimulated(f) * transfer)
    # g_X = 2; dsigma/dt = |M|^2/(g_X 64 pi m^2 k^2), int d^3k/(2 pi)^3; twice, for antiparticles
    return 2 * flow / (2 * np.pi**2 * 64 * np.pi * m**2 * 2) / (3 * m * T)


def at_rest(partner, T, m, g_X, M, nodes=200):
    """<q^2>/(3 m T) on an X at rest, |M|^2 and the range of t = -2 p*^2 (1 - cos*) as they are."""
    k, w = gauss(nodes, 0.0, 40 * T + 4 * np.sqrt(T * partner.mass))
    energy = np.sqrt(k**2 + partner.mass**2)
    share, w_t = gauss(24, 0.0, 1.0)
    s = m**2 + partner.mass**2 + 2 * m * energy
    far = 4 * (m * k) ** 2 / s
    t = -far[:, None] * share
    squared = partner.squared(s[:, None], t, m, g_X, M)
    transfer = np.sum(w_t * -t * squared, -1) * far
    f = partner.occupation(energy, T)
    flow = np.sum(w * k / energy * f * partner.stimulated(f) * transfer)
    return 2 * flow / (2 * np.pi**2 * 64 * np.pi * m**2 * 2) / (3 * m * T)


def by_parts(partner, T, m, g_X, M, nodes=200):
    """The same for heavy X as 1706.07433 has it: f d/dk(k^4 <|M|^2>_t), M >> momenta."""
    k, w = gauss(nodes, 0.0, 40 * T + 4 * np.sqrt(T * partner.mass))
    energy2 = k**2 + partner.mass**2
    front = 16 * m**2 * (g_X * partner.coupling / M**2) ** 2 * partner.states / partner.spins
    # <4 E^2 + t> = 4 E^2 - 8 k^2/3, <4 k^2 + t> = 4 k^2/3, <2 E^2>, and d/dk of k^4 times those
    slope = {
        "vector": 16 * k**3 * energy2 + 8 * k**5 - 16 * k**5,
        "axial": 8 * k**5,
        "scalar": 8 * k**3 * energy2 + 4 * k**5,
    }[partner.kind]
    f = partner.occupation(np.sqrt(energy2), T)
    return 2 * np.sum(w * f * front * slope) / (48 * np.pi**3 * 2 * m**3)


def by_fluctuations(partner, T, m, g_X, M, number=100_000, seed=3):
    """The rate without m >> T: by the theorem of fluctuations and dissipation,
    <(Delta E)^2 per time>/(2 T^2 dE/dT), by Monte Carlo. Returns value and error."""
    random = np.random.default_rng(seed)
    # X: Maxwell-Boltzmann by weights; partner: weights f k^2
    u = random.gamma(1.5, size=number) * 1.2
    E = m + T * u
    p = np.sqrt(E**2 - m**2)
    w_X = p * E * np.exp(-u) / (np.sqrt(u) * np.exp(-u / 1.2))
    scale = 1.2 * T + 0.5 * np.sqrt(T * partner.mass)
    k = random.gamma(3.5, size=number) * scale
    density = (k / scale) ** 2.5 * np.exp(-k / scale) / scale / 3.323350970447843
    omega = np.sqrt(k**2 + partner.mass**2)
    w_k = k**2 / (2 * np.pi**2) * partner.occupation(omega, T) / density
    cosine = random.uniform(-1, 1, number)
    s = m**2 + partner.mass**2 + 2 * (E * omega - p * k * cosine)
    pair = np.stack([E + omega, p + k * cosine, k * np.sqrt(1 - cosine**2)])
    square = np.sqrt((s - (m + partner.mass) ** 2) * (s - (m - partner.mass) ** 2)) / (
        2 * np.sqrt(s)
    )
    star, phi = random.uniform(-1, 1, number), random.uniform(0, 2 * np.pi, number)
    # cos* is the angle to the incoming X in the centre of mass: t; then the energy after it
    t = -2 * square**2 * (1 - star)
    momentum = np.hypot(pair[1], pair[2])
    E_star = (s + m**2 - partner.mass**2) / (2 * np.sqrt(s))
    boost, gamma = momentum / np.sqrt(s), pair[0] / np.sqrt(s)
    along = np.where(boost > 0, (E - gamma * E_star) / (boost * square), 1.0)  # cos of X before
    along = np.clip(along, -1, 1)
    after = along * star + np.sqrt(1 - along**2) * np.sqrt(1 - star**2) * np.cos(phi)
    E_after = gamma * E_star + boost * square * after
    change = E_after - E
    f_after = partner.occupation(omega - change, T)
    squared = partner.squared(s, t, m, g_X, M)
    per_pair = squared / (4 * E * omega) / 2 * square / np.sqrt(s) / (4 * np.pi)
    values = w_k * per_pair * partner.stimulated(f_after) * change**2
    mean = np.sum(w_X * values) / np.sum(w_X)
    error = np.sqrt(np.sum((w_X * (values - mean)) ** 2)) / np.sum(w_X)
    step = 1e-4
    slope = (mean_energy(m, T * (1 + step)) - mean_energy(m, T * (1 - step))) / (2 * step * T)
    return 2 * mean / (2 * T**2 * slope), 2 * error / (2 * T**2 * slope)


def beyond_heavy(partners, m, M, x=(8.0, 400.0), points=10):
    """[function of x]: the rate over the one for m >> T and M >> T, a cubic through Monte Carlo."""
    at = np.geomspace(*x, points)
    found = []
    for partner in partners:
        ratio = [
            by_fluctuations(partner, m / a, m, 1.0, M)[0] / by_parts(partner, m / a, m, 1.0, M)
            for a in at
        ]
        fit = np.polynomial.Polynomial.fit(np.log(at), ratio, 4)
        found.append(lambda a, fit=fit: fit(np.log(np.clip(a, *x))))
    return found


def mean_energy(m, T):
    x = m / T
    return m * scaled_bessel(1, x) / scaled_bessel(2, x) + 3 * T


class Moment(Average):
    """<sigma v>2: one of the momenta weighted with p^2/(3 E T).

    At given s and E = E_1 + E_2, E_1 is uniform in E/2 (1 +- beta P/E), P^2 = E^2 - s, and
    E_1 - m^2/E_1 averages to E/2 - (2 m^2/E) atanh(z)/z, z = beta P/E.
    """

    def __call__(self, x, nodes=48):
        if np.size(x) > 1:
            return np.array([self(one) for one in np.ravel(x)])
        m, T = self.m, self.m / float(x)
        keep = self.k < 60 * T
        k, root, weight = self.k[keep, None], self.root[keep, None], self.weight[keep]
        u, w = gauss(nodes, 0.0, 7.0)
        extra = T * u**2
        E = root + extra
        z2 = k * (root + 2 * m) / root**2 * extra * (E + root) / E**2
        z = np.sqrt(np.maximum(z2, 1e-2))
        series = z2 * (1 / 3 + z2 * (1 / 5 + z2 * (1 / 7 + z2 * (1 / 9 + z2 * (1 / 11 + z2 / 13)))))
        more = np.where(z2 > 1e-2, np.arctanh(z) / z - 1, series)
        value = ((k + extra) * (E + 2 * m) / (2 * E) - 2 * m**2 / E * more) / (3 * T)
        # int dE P e^{-E/T}, with e^{-2m/T} taken out; P = sqrt(extra (E + root)), dE = 2 T u du
        inner = np.sum(w * 2 * T * u * np.exp(-(u**2)) * np.sqrt(extra * (E + root)) * value, -1)
        inner = (
            inner / self.root[keep] * np.exp(-self.k[keep] / T)
        )  # over sqrt(s) T K_1 and times T
        return np.sum(weight * inner) / (8 * m**4 * T**2 * scaled_bessel(2, m / T) ** 2)


def fourth_moment(x):
    """<p^4/E^3>/(3 T), Maxwell-Boltzmann."""
    u, w = gauss(80, 0.0, 7.0)
    x = np.asarray(x, float)[..., None]
    e = u**2 / x  # E - m over m
    p2 = e * (e + 2)
    measure = w * 2 * u * np.exp(-(u**2)) * np.sqrt(p2) * (1 + e)
    return np.sum(measure * p2**2 / (1 + e) ** 3, -1) / np.sum(measure, -1) * x[..., 0] / 3


@lru_cache(maxsize=1)
def of_gas(process):
    """ln x from 2 to 3e11; ln <sv>, ln <sv>2 and ln <p^4/E^3>/3T as functions of it."""
    at = np.linspace(np.log(2.0), np.log(3e11), 350)
    x = np.exp(at)
    values = Average(process, x_min=2.0)(x), Moment(process, x_min=2.0)(x), fourth_moment(x)
    return at, *(CubicSpline(at, np.log(v)) for v in values)


def coupled(
    process, partners, strength=1.0, x=(8.0, 1e8), rtol=1e-8, kind="contact", share=0.5, states=4
):
    """Omega h^2 and T_X/T at x = 30, 1e2, 1e3.

    kind: of gamma; "contact" is m >> T and M >> T, "heavy" m >> T, "exact" neither. It is
    multiplied by `strength`. partners: or gamma itself, a function of T. share, states: 1/2 and 4
    of X and Xbar together; 1 of a self-conjugate X, and its spin states.
    """
    m = process.m
    universe = Universe(m, states)
    star = universe.star
    at, log_one, log_two, log_fourth = of_gas(process)
    u = np.linspace(np.log(x[0]), np.log(x[1]), 500)
    if callable(partners):
        gamma = np.array([partners(m / a) for a in np.exp(u)])
    else:
        one = np.ones_like
        more = beyond_heavy(partners, m, process.M) if kind == "exact" else [one] * len(partners)
        gamma = sum(
            np.array(
                [rate(p, m / a, m, process.g_v, process.M, kind != "heavy") for a in np.exp(u)]
            )
            * factor(np.exp(u))
            for p, factor in zip(partners, more, strict=True)
        )
    log_gamma = CubicSpline(u, np.log(np.maximum(gamma, 1e-250)))

    T = m / np.exp(u)
    hubble = np.sqrt(8 * np.pi**3 * star.energy(T) / 90) * T**2 / PLANCK_MASS
    front = 1 + star.slope(T) / 3
    entropy = 2 * np.pi**2 / 45 * star.entropy(T) * T**3
    log_eq = CubicSpline(u, universe.log_equilibrium(np.exp(u)))
    log_per = CubicSpline(u, np.log(entropy * front / hubble * share))
    log_tight = CubicSpline(u, log_gamma(u) + np.log(front / hubble))
    dilution = CubicSpline(u, front)

    def slopes(u, state, early):
        """Of ln(Y/Y_eq), so that differences from equilibrium keep their digits, or later of ln Y;
        and of ln(T/T_X)."""
        excess, cooling = state
        if not early:
            excess = excess - log_eq(u)
        u_X = min(max(u + cooling, at[0]), at[-1])
        one_X, one = log_one(u_X), log_one(u)
        here = np.exp(log_per(u) + log_eq(u) + excess + one_X)
        back = np.exp(min(one - one_X - 2 * excess, 600.0))  # over here
        d_y = here * np.expm1(min(one - one_X - 2 * excess, 600.0))
        two = np.expm1(log_two(u_X) - one_X) - back * np.expm1(cooling + log_two(u) - one)
        d_ln = strength * np.exp(log_tight(u)) * np.expm1(cooling)
        d_ln += dilution(u) * np.exp(log_fourth(u_X)) - here * two
        # y = m T_X/s^(2/3): d ln T_X/d ln x = d ln y + (2/3) d ln s/d ln x
        return [d_y - early * log_eq(u, 1), -(d_ln - 2 * dilution(u) + 1)]

    def jacobian(u, state, early, step=1e-6):  # scipy's own steps are too small for such stiffness
        sides = [
            np.subtract(slopes(u, state + d, early), slopes(u, state - d, early)) / (2 * step)
            for d in step * np.eye(2)
        ]
        return np.transpose(sides)

    def solve(start, end, state, early):
        found = solve_ivp(
            slopes,
            (np.log(start), np.log(end)),
            state,
            method="Radau",
            jac=jacobian,
            rtol=rtol,
            atol=rtol,
            dense_output=True,
            args=(early,),
        )
        assert found.success, found.message
        return found

    first = solve(x[0], 30.0, [0.0, 0.0], True)
    excess, cooling = first.y[:, -1]
    then = solve(30.0, x[1], [excess + log_eq(np.log(30.0)), cooling], False)
    ratios = [np.exp(-then.sol(np.log(xx))[1]) for xx in (30.0, 100.0, 1000.0)]
    return PREFACTOR * m * np.exp(then.y[0, -1]), ratios


def charged(epsilon, e):
    """Electrons, muons and pions of a dark photon."""
    g = epsilon * e
    return (
        Partner("vector", 0.511e-3, g),
        Partner("vector", 0.10566, g),
        Partner("scalar", PION, g, 1),
    )


#: epsilon of the resonance, kinetic mixing, g_X
POINTS = (
    (0.5, 1e-3, 0.1),
    (0.1, 3e-4, 0.03),
    (0.03, 1e-4, 0.01),
    (0.01, 5e-5, 0.01),
    (3e-3, 2e-5, 0.01),
    (1e-3, 1e-5, 0.01),
)


KINDS = ("contact", "exact", "free", "tight")


def row(m, mixing, g):
    """Cells of one point: the standard abundance, those of KINDS, T_X/T with "contact"."""
    from .longhand_points import E_CHARGE, photon_like, resonance, solved

    process = resonance(m, g, lambda r: photon_like(r, mixing))
    partners = charged(mixing, E_CHARGE)
    found = {kind: coupled(process, partners, kind=kind) for kind in KINDS[:2]}
    found["free"] = coupled(process, partners, strength=0.0)
    found["tight"] = coupled(process, partners, strength=1e7)
    standard = solved(process)[0].omega_h2
    return [m, mixing, g, standard, *(found[k][0] for k in KINDS), *found["contact"][1]]


def mixing_for(m, g, target=0.12):
    """The kinetic mixing at which the standard abundance is as wanted."""
    from .longhand_points import photon_like, resonance, solved

    mixing = 1e-4
    for _ in range(8):
        process = resonance(m, g, lambda r, e=mixing: photon_like(r, e))
        omega = solved(process)[0].omega_h2
        mixing *= np.sqrt(omega / target)
        if abs(omega / target - 1) < 2e-4:
            break
    return mixing


#: m_X, g_X of points that have Omega h^2 = 0.12 in kinetic equilibrium
RIGHT = [(m, 0.0287) for m in (0.9, 1.0, 1.045)]


def write():
    lines = [
        "# python -m tests.physics.relic.longhand_kinetic; photon-like, M = 2.1 GeV, R data",
        f"m_X,kinetic_mixing,g_X,standard,{','.join(KINDS)},T_ratio_30,T_ratio_100,T_ratio_1000",
    ]
    points = [(1.05 / np.sqrt(1 + narrow), mixing, g) for narrow, mixing, g in POINTS]
    for m, mixing, g in (*points, *((m, mixing_for(m, g), g) for m, g in RIGHT)):
        lines.append(",".join(f"{c:.9g}" for c in row(m, mixing, g)))
        print(lines[-1], flush=True)
    (NUMBERS / "kinetic.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
