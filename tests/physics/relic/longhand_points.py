"""Points of the reference: what X annihilates into, by elementary formulas and R data.

`python -m tests.physics.relic.longhand_points` writes numbers/abundances.csv, numbers/constant.csv
and numbers/derivatives.csv (four minutes).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from .longhand_abundance import DATA, TABLES, abundance
from .longhand_average import NUMBERS, Average, Resonance

E_CHARGE = np.sqrt(4 * np.pi / 137.036)
ELECTRON, MUON, TAU = 0.511e-3, 0.10566, 1.77682
#: 1 GeV^-2 in cm^3/s, (hbar c)^2 c
CM3_PER_S = 1.16733e-17


def fermions(root, mass, vector, axial, number=1):
    """Gamma(Z' -> f fbar) at M = root."""
    r = np.minimum((mass / root) ** 2, 0.25)
    return number * root / (12 * np.pi) * np.sqrt(1 - 4 * r) * (
        vector**2 * (1 + 2 * r) + axial**2 * (1 - 4 * r)
    )  # fmt: skip


@cache
def r_data():
    """sqrt(s) in GeV and R, (2, n)."""
    return np.genfromtxt(DATA / "r_ratio_pdg2020.csv", delimiter=",", skip_header=1).T[:2]


def r_ratio(root):
    return np.interp(root, *r_data())


def photon_like(root, epsilon):
    """Leptons and hadrons of a dark photon."""
    g = epsilon * E_CHARGE
    leptons = sum(fermions(root, mass, g, 0.0) for mass in (ELECTRON, MUON, TAU))
    return leptons + root / (12 * np.pi) * g**2 * r_ratio(root)


def general(root, couplings, neutrinos=True):
    """Section 4: hadrons by K = R/2 times quarks u, d, s, vector and axial."""
    (v_l, a_l), u, d, nu = (couplings[k] for k in ("l", "u", "d", "nu"))
    found = sum(fermions(root, mass, v_l, a_l) for mass in (ELECTRON, MUON, TAU))
    quarks = u[0] ** 2 + u[1] ** 2 + 2 * (d[0] ** 2 + d[1] ** 2)
    found = found + root / (12 * np.pi) * r_ratio(root) / 2 * 3 * quarks
    return found + neutrinos * 3 * root * nu**2 / (6 * np.pi)


def partons(root, g):
    """The vector portal of relic_micromegas.csv."""
    found = fermions(root, 0.0, g, 0)
    for mass, charge, number in (
        (MUON, 1, 1), (TAU, 1, 1),
        (0.1057, 2 / 3, 3), (0.1057, 1 / 3, 6), (1.2, 2 / 3, 3), (4.8, 1 / 3, 3),
    ):  # fmt: skip
        found = found + fermions(root, mass, g * charge, 0, number)
    return found


def resonance(m, g_X, visible, M=2.1):
    """With the width that is the sum of what is seen and X Xbar."""
    return Resonance(m, M, float(visible(M) + fermions(M, m, g_X, 0.0)), g_X, 0.0, visible)


TABLE = """
m_X   0.95 0.9 0.95 0.9 1
r_X   12 12 12 12 50
G     0.003 0.0003 0.000153818 0.00239 1e-05
gV_l  4.73232e-08 4.71291e-08 2.88157e-08 0.000257168 -6.62423e-08
gA_l -7.58179e-07 -9.97933e-07 -7.90686e-07 -7.57848e-07 -1.50493e-07
gV_u  2.21177e-07 3.01225e-07 2.44351e-07 -0.000171193 9.4326e-08
gA_u  7.58179e-07 9.97933e-07 7.90686e-07 7.57848e-07 1.50493e-07
gV_d -4.89678e-07 -6.49579e-07 -5.17519e-07 8.52176e-05 -1.2241e-07
gA_d -7.58179e-07 -9.97933e-07 -7.90686e-07 -7.57848e-07 -1.50493e-07
g_nu  7.58179e-07 9.97933e-07 7.90686e-07 7.57848e-07 1.50493e-07
Omega 35.52 111.238 33.1133 0.119759 80.9363
sv20  2.00713e-28 3.81192e-29 2.19314e-28 5.03958e-25 6.55564e-29
sv100 4.55248e-32 3.2134e-34 2.67013e-34 2.70706e-28 2.82416e-31
sv1e8 3.901e-32 2.96902e-34 1.1207e-34 2.49814e-28 1.48765e-36
G_SM  6.81676e-13 1.18439e-12 7.45093e-13 1.56512e-08 3.07464e-14
G_X   4.33333e-05 5.08447e-07 1.13919e-07 3.227e-05 6.17192e-09
P_ann 1.18597e-32 9.7899e-35 3.41407e-35 1.15446e-28 4.55436e-37
sigma_p 4.12181e-48 3.87137e-50 4.01763e-51 7.31603e-41 1.63832e-51
sigma_n 1.05799e-45 1.73576e-47 3.02496e-48 6.35336e-46 8.45592e-51
"""
PUBLIC = {n: np.array(r, float) for n, *r in (x.split() for x in TABLE.split("\n")[1:-1])}


def public_couplings(i):
    """(g_V, g_A) of leptons, up- and down-quarks, and that of neutrinos."""
    at = {name: float(row[i]) for name, row in PUBLIC.items()}
    return {f: (at[f"gV_{f}"], at[f"gA_{f}"]) for f in "lud"} | {"nu": at["g_nu"]}


def public(i):
    """P1 ... P5 (i = 0 ... 4): the process, and its couplings."""
    at, couplings = {name: float(row[i]) for name, row in PUBLIC.items()}, public_couplings(i)
    return resonance(at["m_X"], at["r_X"] * at["G"], lambda r: general(r, couplings)), couplings


#: eps, g_X, m_X, Omega h^2 as printed
PHOTON_LIKE = (
    (0.5, 1e-3, 0.5, 0.6757),
    (0.8, 1e-3, 0.1, 1.916),
    (0.9, 5e-4, 0.05, 0.2548),
    (0.98, 1e-4, 0.01, 0.08997),
    (1.0, 5e-5, 0.3, 0.10686),
    (1.045, 1e-5, 0.01, 0.08127),
)


def micromegas():
    """[(process, row of the table)]."""
    table = np.genfromtxt(DATA / "relic_micromegas.csv", delimiter=",", names=True)
    return [
        (resonance(m, g_X, lambda r, g=g: partons(r, g)), row)
        for row in table
        for m, g, g_X in [list(row)[:3]]
    ]


def averaged(process, data=False):
    """Panels end where something opens, and at each figure of R that matters."""
    breaks = [2 * 0.1057, 2 * MUON, 2 * TAU, 2.4, 9.6]
    if data:
        breaks += [e for e in r_data()[0] if e < 4.0]
    return Average(process, breaks=breaks, nodes=12)


def solved(process, data=False, **options):
    average = averaged(process, data)
    return abundance(average, process.m, **options), average


def numbers(name, process, peer, **options):
    """One line: what it is; the average at 20, 100, 1e4, 1e8 over two in cm^3/s; the abundance."""
    frozen, average = solved(process, **options)
    halves = average(np.array([20.0, 100.0, 1e4, 1e8])) / 2 * CM3_PER_S
    cells = [*halves, frozen.x_freeze_out, frozen.omega_h2, peer]
    return f"{name}," + ",".join(f"{c:.8g}" for c in cells)


# With partons: every parameter apart, the width too.


def logarithmic_slopes(process, step=2e-4):
    """d ln(Omega h^2)/d ln of (m, M, width, g_v, visible), others fixed; fourth order."""

    def omega(name, factor):
        change = {name: getattr(process, name) * factor} if name != "visible" else {}
        if name == "visible":
            change = {name: lambda r: factor * process.visible(r)}
        return solved(replace(process, **change), x=(2.0, 1e8))[0].omega_h2

    slopes = []
    for name in ("m", "M", "width", "g_v", "visible"):
        at = step
        if name in ("m", "M"):  # the pole moves by M x step: small against what the average sees
            near = abs(process.M - 2 * process.m) / process.M
            at = min(step, max(near, process.width / process.M, 1e-6) / 30)
        values = [np.log(omega(name, np.exp(n * at))) for n in (-2, -1, 1, 2)]
        slopes.append((values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * at))
    return slopes


#: m_X, g_X, epsilon of a dark photon into partons, Gamma/M if it is not what follows from those
SLOPES = (
    (0.5, 0.3, 1e-3, None),
    (0.9, 0.05, 5e-4, None),
    (0.98, 0.01, 1e-4, None),
    (1.0, 0.3, 5e-5, None),
    (1.049, 0.01, 1e-5, None),
    (1.05, 0.1, 1e-3, 1e-2),
    (1.05, 0.01, 1e-5, 1e-4),
    (1.051, 0.01, 1e-5, 1e-4),
)


def of_slopes(m, g, epsilon, width):
    process = resonance(m, g, lambda r: partons(r, epsilon * E_CHARGE))
    return process if width is None else replace(process, width=width * process.M)


def write():
    header = "# python -m tests.physics.relic.longhand_points; <sigma v>/2 in cm^3/s\n"
    lines = ["point,sv20,sv100,sv1e4,sv1e8,x_freeze_out,omega_h2,omega_h2_peer"]
    for n, (process, row) in enumerate(micromegas()):
        lines.append(numbers(f"micromegas-{n}", process, row["Omega_h2"]))
        print(lines[-1], flush=True)
    for m, epsilon, g, peer in PHOTON_LIKE:
        process = resonance(m, g, lambda r, e=epsilon: photon_like(r, e))
        lines.append(numbers(f"photon-like-{m}", process, peer, data=True))
        print(lines[-1], flush=True)
    for i in range(5):
        process, _ = public(i)
        lines.append(numbers(f"P{i + 1}", process, PUBLIC["Omega"][i], data=True))
        print(lines[-1], flush=True)
    (NUMBERS / "abundances.csv").write_text(header + "\n".join(lines) + "\n")


def write_slopes():
    header = "# python -m tests.physics.relic.longhand_points; d ln(Omega h^2)/d ln\n"
    lines = ["m_X,g_X,epsilon,width,omega_h2,m,M,width_slope,g_v,visible"]
    for m, g, epsilon, width in SLOPES:
        process = of_slopes(m, g, epsilon, width)
        cells = [m, g, epsilon, process.width, solved(process, x=(2.0, 1e8))[0].omega_h2]
        cells += logarithmic_slopes(process)
        lines.append(",".join(f"{c:.12g}" for c in cells))
        print(lines[-1], flush=True)
    (NUMBERS / "derivatives.csv").write_text(header + "\n".join(lines) + "\n")


#: mass, <sigma v> in GeV^-2 or a function of x; X its own antiparticle
CONSTANT = 2.2e-26 / CM3_PER_S
MASSES = (1.0, 5.0, 30.0, 100.0, 1000.0)


def write_simple():
    """<sigma v> of 2.2e-26 cm^3/s, and of 6.6e-25 cm^3/s times 1/x."""
    lines = [
        "# python -m tests.physics.relic.longhand_points; X self-conjugate, each g_*",
        f"m_X,wave,{','.join(TABLES)},x_freeze_out",
    ]
    for mass in MASSES:
        for wave, sigma_v in (
            ("s", lambda x: CONSTANT + 0 * x),
            ("p", lambda x: 30 * CONSTANT / x),
        ):
            found = [abundance(sigma_v, mass, majorana=True, table=table) for table in TABLES]
            cells = [*(f.omega_h2 for f in found), found[0].x_freeze_out]
            lines.append(f"{mass:g},{wave}," + ",".join(f"{c:.8g}" for c in cells))
            print(lines[-1])
    (NUMBERS / "constant.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
    write_simple()
    write_slopes()
