"""Scattering on nuclei and energy put into the plasma at recombination, by hand.

`python -m tests.physics.relic.longhand_detection` writes numbers/detection.csv.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .longhand_abundance import DATA
from .longhand_amplitude import GAMMA, METRIC, ONE, barred, slash
from .longhand_average import NUMBERS
from .longhand_points import (
    CM3_PER_S,
    ELECTRON,
    MUON,
    PUBLIC,
    averaged,
    fermions,
    general,
    public,
)

NUCLEON = 0.9383
CM2 = 3.8938e-28  # GeV^-2
#: {A: per cent} of natural xenon (54); IUPAC 2013
XENON = {
    124: 0.0952, 126: 0.0890, 128: 1.9102, 129: 26.4006, 130: 4.0710, 131: 21.2324,
    132: 26.9086, 134: 10.4357, 136: 8.8573,
}  # fmt: skip
ARGON = {36: 0.3336, 38: 0.0629, 40: 99.6035}
OXYGEN, CALCIUM = {16: 99.757, 17: 0.038, 18: 0.205}, {40: 96.941, 42: 0.647, 43: 0.135, 44: 2.086}
TUNGSTEN = {180: 0.12, 182: 26.50, 183: 14.31, 184: 30.64, 186: 28.43}


def at_threshold(m, nucleon, contact, k=1e-4):
    """sigma in GeV^-2 of L = contact (Xbar g^mu X)(Nbar g_mu N), spins summed by traces.

    Forward and backward at a momentum k that is small against both masses.
    """
    found = []
    for sign in (1, -1):
        p, q = np.array([np.hypot(m, k), 0, 0, k]), np.array([np.hypot(nucleon, k), 0, 0, -k])
        flip = np.array([1, 1, 1, sign])
        both = []
        for before, after, mass in ((p, p * flip, m), (q, q * flip, nucleon)):
            both.append(
                np.einsum(
                    "ab,mbc,cd,nda->mn",
                    slash(after) + mass * ONE, GAMMA, slash(before) + mass * ONE, barred(GAMMA),
                )
            )  # fmt: skip
        summed = np.einsum("mn,mk,nl,kl->", both[0], METRIC, METRIC, both[1]).real
        s = (p + q) @ METRIC @ (p + q)
        found.append(contact**2 * summed / 4 / (16 * np.pi * s))
    return np.mean(found)


def nucleons(m, g_X, couplings, M=2.1, nucleon=NUCLEON):
    """sigma_p, sigma_n in cm^2: valence quarks count, as the current is conserved."""
    u, d = couplings["u"][0], couplings["d"][0]
    return tuple(at_threshold(m, nucleon, g_X * b / M**2) * CM2 for b in (2 * u + d, u + 2 * d))


legendre = cache(np.polynomial.legendre.leggauss)


def above_threshold(least, v_0=220.0, v_earth=232.0, number=120):
    """int dv f(v) (v - least^2/v) from `least` on, km/s: recoils are spread evenly up to
    2 mu^2 v^2/M, and count above a threshold. Maxwellian in the galaxy, no escape."""
    v, w = legendre(number)
    high = least + 9 * v_0 + v_earth
    v, w = least + (high - least) * (v + 1) / 2, w * (high - least) / 2
    c, w_c = legendre(60)
    f = np.exp(-(v[:, None] ** 2 + v_earth**2 + 2 * v[:, None] * v_earth * c) / v_0**2) @ w_c
    return np.sum(w * 2 * np.pi * v**2 * f * (v - least**2 / v)) / (np.pi**1.5 * v_0**3)


def per_target(m, elements, b_p, b_n, threshold):
    """(Z b_p + (A - Z) b_n)^2 over A^2, weighted with abundance, mu^2 and the part of the rate
    above a threshold in GeV. elements: [(Z, number, {A: per cent})]."""
    total = norm = 0.0
    for Z, number, isotopes in elements:
        for A, share in isotopes.items():
            heavy = 0.93149410 * A
            mu = m * heavy / (m + heavy)
            weight = number * share * mu**2
            weight *= above_threshold(np.sqrt(heavy * threshold / 2) / mu * 299792.458)
            total += weight * (Z * b_p + (A - Z) * b_n) ** 2
            norm += weight * A**2
    return total / norm


def per_nucleus(Z, isotopes, b_p, b_n):
    """<(Z b_p + (A - Z) b_n)^2>/<A^2>, over the isotopes."""
    A, share = np.array([*isotopes]), np.array([*isotopes.values()])
    return np.sum(share * (Z * b_p + (A - Z) * b_n) ** 2) / np.sum(share * A**2)


def per_nucleon(m, g_X, couplings, Z, isotopes, M=2.1):
    """What an experiment that assumes b_p = b_n would call sigma, cm^2; one reduced mass."""
    u, d = couplings["u"][0], couplings["d"][0]
    b2 = per_nucleus(Z, isotopes, 2 * u + d, u + 2 * d)
    return at_threshold(m, NUCLEON, g_X * np.sqrt(b2) / M**2) * CM2


def f_eff(energy, what="electrons"):
    table = np.genfromtxt(DATA / f"f_eff_{what}.csv", delimiter=",", names=True)
    return np.interp(np.log(energy), np.log(table["energy_GeV"]), table["f_eff"])


def energy_deposit(process, couplings):
    """P_ann = f_eff <sigma v>/(2 m_X), cm^3/s/GeV: (f of electrons for all that is visible,
    f of electrons for electrons alone)."""
    sigma_v = averaged(process, data=True)(1e8) * CM3_PER_S
    root = 2 * process.m
    total = general(root, couplings)
    visible = general(root, couplings, neutrinos=False)
    electrons = fermions(root, ELECTRON, *couplings["l"])
    per_energy = f_eff(process.m) * sigma_v / (2 * process.m)
    return per_energy * visible / total, per_energy * electrons / total


def write():
    lines = [
        "# python -m tests.physics.relic.longhand_detection; P1 ... P5; cm^2, cm^3/s/GeV",
        "point,sigma_p,sigma_n,sigma_xe,sigma_ar,p_ann,p_ann_electrons,share_e,share_mu,share_nu",
    ]
    for i in range(5):
        process, couplings = public(i)
        root = 2 * process.m
        total = general(root, couplings)
        cells = [
            *nucleons(process.m, process.g_v, couplings),
            per_nucleon(process.m, process.g_v, couplings, 54, XENON),
            per_nucleon(process.m, process.g_v, couplings, 18, ARGON),
            *energy_deposit(process, couplings),
            *(fermions(root, m, *couplings["l"]) / total for m in (ELECTRON, MUON)),
            1 - general(root, couplings, neutrinos=False) / total,
        ]
        lines.append(f"P{i + 1}," + ",".join(f"{c:.7g}" for c in cells))
        print(
            lines[-1],
            *(
                f"{PUBLIC[k][i] / c - 1:.1e}"
                for k, c in (("sigma_p", cells[0]), ("sigma_n", cells[1]), ("P_ann", cells[4]))
            ),
        )
    (NUMBERS / "detection.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
