"""What is said of the aligned U(1)' on Belle II's band, against formulas written out by hand.

Numpy alone, with loops in partial fractions (R data at 2.1 GeV as one number), and figures that
others found for the minimal model and the least charge of X, at m_T = 10 TeV and m_X = 0.95 GeV.
"""

from __future__ import annotations

from math import log, pi, sqrt

import jax
import numpy as np
import pytest

import bknn
from bknn import data, models
from bknn.analysis.quantity_limits import limit
from bknn.parameters import point
from bknn.prediction import derived

bknn.enable_x64()
pytestmark = pytest.mark.usefixtures("quick_compilation")

V, MW, MZ, SW2, MT, MASS, M_T, M_X = 246.22, 80.377, 91.1876, 0.2312, 163.0, 2.1, 1e4, 0.95
E, GW = sqrt(4 * pi / 137.036), 2 * 80.377 / 246.22
GZ, CKM = GW / sqrt(1 - SW2), 0.04185
WANTED, RATE = 9.2e-6, 4.443e10  # BR(B+ -> K+ Z'), and that over |C_L|^2
R = 2.257  # R of e+ e- at 2.1 GeV
MIXINGS = (0.1, 0.3, 0.6, 0.9)
SCALES = (M_T, 1e5, 1.22089e19)

#: With LHCb's limit at 1.58e-9: the least r_X, and by how much the minimal model is excluded.
LIMIT = 1.58e-9
LEAST_CHARGE = ((0.055, 0.50, 2.08, 5.88), (0.71, 0.88, 2.2, 5.9), (10.6, 10.6, 10.9, 12.2))
EXCLUDED = ((267, 271), (268, 1460), (900, 1450))


class ByHand:
    """Couplings and widths over G^2, without X."""

    def __init__(self, s_R: float, scale: float) -> None:
        tan = MT / M_T * s_R / sqrt(1 - s_R**2)
        s_L, c_L, c_R = tan / sqrt(1 + tan**2), 1 / sqrt(1 + tan**2), sqrt(1 - s_R**2)
        m = (MT, M_T)
        U = (c_L, s_L)
        left = ((s_L**2, -s_L * c_L), (-s_L * c_L, c_L**2))
        right = ((s_R**2, -s_R * c_R), (-s_R * c_R, c_R**2))
        total = mass_mixing = 0.0
        for i in (0, 1):
            for j in (0, 1):
                # Equal masses are a limit.
                a = np.array([m[i] ** 2, m[j] ** 2 * (1 + 1e-4 * (i == j)), MW**2])
                gaps = np.array([np.prod(a[k] - np.delete(a, k)) for k in range(3)])
                b, c = (a**2 * np.log(a) / gaps).sum(), (a * np.log(a) / gaps).sum()
                L, Rr, mm = left[i][j], right[i][j], m[i] * m[j]
                yukawas = 2 * mm * U[i] * U[j] / V**2
                total += yukawas * (-Rr * b / 2 + L * mm * c)
                total += GW**2 / 2 * U[i] * U[j] * (-L * b + 2 * Rr * mm * c)
                x, y = a[:2]
                F = -(x + y) / 4 + (x**2 * log(x) - y**2 * log(y)) / (2 * (x - y))
                B = (x * log(x) - y * log(y)) / (x - y) - 1
                mass_mixing -= 3 * GZ / (16 * pi**2) * U[i] * U[j] * (L * F - mm * Rr * B)
        self.G = sqrt(WANTED / RATE) / (CKM * total / (16 * pi**2))
        light, heavy = log(scale**2 / MT**2), log(scale**2 / M_T**2)
        logs = (s_L**2 + s_R**2) / 2 * light + (c_L**2 + c_R**2) / 2 * heavy
        self.eps_A = self.G * 3 * E * (2 / 3) / (12 * pi**2) * logs
        self.delta_Z = self.G * mass_mixing / MZ**2
        # Kinetic mixing is that of hypercharge; its share of the Z counts by (M/M_Z)^2.
        eps_Z = -sqrt(SW2 / (1 - SW2)) * self.eps_A
        self.k = GZ * (eps_Z * (MASS / MZ) ** 2 - self.delta_Z)

    def coupling(self, Q: float, T3: float) -> float:
        """g_V^2 + g_A^2."""
        g_V = -self.eps_A * E * Q + self.k * (T3 / 2 - Q * SW2)
        return float(g_V**2 + (self.k * T3 / 2) ** 2)

    @property
    def widths(self) -> dict[str, float]:
        unit = MASS / (12 * pi)
        quarks = self.coupling(2 / 3, 0.5) + 2 * self.coupling(-1 / 3, -0.5)
        return {
            "mumu": unit * self.coupling(-1, -0.5),
            "nunu": 3 * MASS * (self.k / 4) ** 2 / (6 * pi),
            "hadrons": unit * R / 2 * 3 * quarks,
        }

    def least_charge(self, bound: float) -> float:
        """r_X at which BR(B+ -> K+ Z') B(mu mu) is the bound."""
        r = (M_X / MASS) ** 2
        dark = MASS * self.G**2 / (12 * pi) * (1 + 2 * r) * sqrt(1 - 4 * r)
        own = self.widths
        visible = own["mumu"] + sum(own.values())
        return float(sqrt((own["mumu"] * WANTED / bound - visible) / dark))


@pytest.fixture(scope="module")
def cases() -> list[ByHand]:
    return [ByHand(s, scale) for scale in SCALES for s in MIXINGS]


@pytest.fixture(scope="module")
def at(cases):
    """Derived quantities at all of them, for charges of X."""
    model = models.load("aligned-u1")
    names = ("br_K_Zprime", "br_mumu", "br_nunu", "br_hadrons", "lifetime", "eps_A", "delta_Z")
    base = {k: float(v) for k, v in point(model, {"G": 1e-3, "m_T": M_T, "m_X": M_X}).items()}

    @jax.jit
    @jax.vmap
    def program(values):
        found = derived(model, {**base, **values})
        return {name: found[name] for name in names}

    moved = {
        "G": np.array([x.G for x in cases]),
        "s_R": np.tile(MIXINGS, len(SCALES)),
        "Lambda": np.repeat(SCALES, len(MIXINGS)),
    }
    return lambda charges: program({**moved, "r_X": charges * np.ones(len(cases))})


def test_the_minimal_model(cases, at) -> None:
    found = at(0.0)
    totals = [x.widths["mumu"] + sum(x.widths.values()) for x in cases]
    assert found["br_K_Zprime"] == pytest.approx(WANTED, rel=2e-3)
    assert found["eps_A"] == pytest.approx([x.eps_A for x in cases], rel=1e-3)
    assert found["delta_Z"] == pytest.approx([x.delta_Z for x in cases], rel=1e-3)
    assert found["lifetime"] == pytest.approx([0.6582e-12 / t for t in totals], rel=0.02)
    for name in ("mumu", "nunu", "hadrons"):
        by_hand = [x.widths[name] / t for x, t in zip(cases, totals, strict=True)]
        assert found[f"br_{name}"] == pytest.approx(by_hand, rel=0.02), name


def test_it_is_excluded_for_every_condition(at) -> None:
    found = at(0.0)
    product = np.asarray(found["br_K_Zprime"] * found["br_mumu"])
    for factors, ends in zip(product.reshape(3, -1) / LIMIT, EXCLUDED, strict=True):
        assert min(factors) == pytest.approx(ends[0], rel=0.04)
        assert max(factors) == pytest.approx(ends[1], rel=0.02)


def test_the_least_charge_of_x(cases, at) -> None:
    by_hand = np.array([x.least_charge(LIMIT) for x in cases])
    assert by_hand.reshape(3, -1) == pytest.approx(np.array(LEAST_CHARGE), rel=0.02)
    found = at(by_hand)
    assert found["br_K_Zprime"] * found["br_mumu"] == pytest.approx(LIMIT, rel=0.02)
    # 12, where the mixing vanishes at the Planck mass, with the table that is in the package.
    (table,) = data.load("lhcb-2016-dimuon").curves
    bound = jax.jit(lambda x: limit(table, {"mass": x, "lifetime": 1e-4})[0])(MASS)
    charges = by_hand.reshape(3, -1)[2] * sqrt(LIMIT / float(bound))
    assert charges[:3] == pytest.approx(12.0, rel=0.03)
