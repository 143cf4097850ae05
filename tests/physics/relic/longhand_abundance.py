"""Freeze-out by scipy's stiff solvers in ln Y, from constants of nature and tables of g_*.

    dY/dt = -3 H Y.. as dY/dx = -sqrt(pi/45) M_Pl m g_*^(1/2) <sigma v>_eff (Y^2 - Y_eq^2)/x^2,

<sigma v>_eff = <sigma v>/2 and four degrees of freedom for X and Xbar together, <sigma v> and two
for an X that is its own antiparticle. Splines of the tables are cubic in ln T here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.constants import Boltzmann, G, c, e, hbar
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from .longhand_average import scaled_bessel

DATA = Path(__file__).parents[3].resolve().parent / "shared" / "data" / "light-vectors"

PLANCK_MASS = 1.2209e19
T_CMB = 2.7255  # K
#: h_eff today of photons, and of neutrinos that decoupled at once, with (4/11)^(1/3) T
H_TODAY = 2 + 7 / 8 * 2 * 3 * 4 / 11
#: the same, neutrinos hotter as N_eff = 3.044 says: energies go like T^4, entropies like T^3
H_HEATED = 2 + 7 / 8 * 2 * 3 * 4 / 11 * (3.044 / 3) ** 0.75
#: Omega h^2/(m Y) in GeV^-1 of micrOMEGAs and of the reference
PREFACTOR = 2.742e8

GEV = 1e9 * e  # J


def planck_mass():
    return np.sqrt(hbar * c / G) * c**2 / GEV


def entropy_today(h=H_TODAY):
    """GeV^3."""
    return 2 * np.pi**2 / 45 * h * (Boltzmann * T_CMB / GEV) ** 3


def critical_density():
    """rho_c/h^2, GeV^4: 3 H^2 M_Pl^2/8 pi with H = 100 km/s/Mpc."""
    parsec = 648000 / np.pi * 149597870700.0
    hubble = 100e3 / (1e6 * parsec) * hbar / GEV
    return 3 / (8 * np.pi) * hubble**2 * planck_mass() ** 2


def prefactor(h=H_TODAY):
    """Omega h^2/(m Y), GeV^-1."""
    return entropy_today(h) / critical_density()


class Degrees:
    """h_eff and g_eff of a table (T, h, g)."""

    def __init__(self, T, h, g):
        T, h, g = (np.asarray(x)[np.asarray(T) > 0] for x in (T, h, g))
        self.h, self.g = CubicSpline(np.log(T), h), CubicSpline(np.log(T), g)
        self.ends = np.log(T[[0, -1]])

    def _at(self, T):
        return np.clip(np.log(T), *self.ends)

    def entropy(self, T):
        return self.h(self._at(T))

    def energy(self, T):
        return self.g(self._at(T))

    def slope(self, T):
        """d ln h/d ln T."""
        u = np.log(T)
        inside = (u > self.ends[0]) & (u < self.ends[1])
        return np.where(inside, self.h(self._at(T), 1) / self.entropy(T), 0.0)

    def sqrt_g(self, T):
        return self.entropy(T) / np.sqrt(self.energy(T)) * (1 + self.slope(T) / 3)


TABLES = ("drees-2015", "laine-meyer-2015", "gondolo-gelmini-1991", "hazma")


@cache
def degrees(name="drees-2015"):
    table = np.genfromtxt(DATA / f"g_star_{name}.csv", delimiter=",", names=True)
    return Degrees(table["T_GeV"], table["h_eff"], table["g_eff"])


@dataclass(frozen=True)
class Frozen:
    omega_h2: float
    yield_today: float
    x_freeze_out: float


class Universe:
    """Y_eq and the factor in front of <sigma v>, for X of mass m with g_X degrees of freedom."""

    def __init__(self, m, dofs=4, table="drees-2015"):
        self.m, self.dofs, self.star = m, dofs, degrees(table)

    def log_equilibrium(self, x):
        h = self.star.entropy(self.m / x)
        return np.log(45 * x**2 * scaled_bessel(2, x) * self.dofs / (4 * np.pi**4 * h)) - x

    def rate(self, x, sigma_v):
        """lambda of dY/dln x = -lambda (Y^2 - Y_eq^2)."""
        front = np.sqrt(np.pi / 45) * PLANCK_MASS * self.m
        return front * self.star.sqrt_g(self.m / x) * sigma_v / x


def abundance(sigma_v, m, majorana=False, table="drees-2015", x=(2.0, 1e9), rtol=1e-10):
    """Solve. sigma_v(x): of X Xbar, or of X X, GeV^-2, x (n,).

    From where Y follows equilibrium with a small lag, Y = Y_eq (1 + delta), to x = 1e9.
    """
    universe = Universe(m, 2 if majorana else 4, table)
    part = 1.0 if majorana else 0.5
    grid = np.linspace(np.log(x[0]) - 0.01, np.log(x[1]) + 0.01, 2000)
    log_sigma = CubicSpline(grid, np.log(sigma_v(np.exp(grid))))
    log_front = CubicSpline(grid, np.log(universe.rate(np.exp(grid), part)))

    def slope(u, y):
        x = np.exp(u)
        log_eq, front = universe.log_equilibrium(x), log_front(u) + log_sigma(u)
        return -np.exp(front + y) + np.exp(np.minimum(front + 2 * log_eq - y, 300.0))

    def jacobian(u, y):
        log_eq, front = universe.log_equilibrium(np.exp(u)), log_front(u) + log_sigma(u)
        return (-np.exp(front + y) - np.exp(np.minimum(front + 2 * log_eq - y, 300.0))).reshape(
            1, 1
        )

    u_0 = np.log(x[0])
    step = 1e-5
    falls = (
        universe.log_equilibrium(np.exp(u_0 + step)) - universe.log_equilibrium(np.exp(u_0 - step))
    ) / (2 * step)
    # lambda (Y^2 - Y_eq^2) = -Y d ln Y_eq/d ln x
    log_eq = universe.log_equilibrium(x[0])
    b = -falls / np.exp(log_front(u_0) + log_sigma(u_0) + log_eq)
    start = log_eq + np.log(b / 2 + np.sqrt(b**2 / 4 + 1))

    def leaves(u, y):  # Y = 2.5 Y_eq, as micrOMEGAs has it
        return y[0] - universe.log_equilibrium(np.exp(u)) - np.log(2.5)

    found = solve_ivp(
        slope,
        (u_0, np.log(x[1])),
        [start],
        method="Radau",
        jac=jacobian,
        rtol=rtol,
        atol=rtol,
        events=leaves,
    )
    assert found.success, found.message
    y = np.exp(found.y[0, -1])
    left = found.t_events[0]
    x_f = float(np.exp(left[0])) if len(left) else np.nan
    return Frozen(float(PREFACTOR * m * y), float(y), x_f)
