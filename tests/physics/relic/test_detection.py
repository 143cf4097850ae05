"""Scattering and P_ann of the public points against longhand."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from bknn.relic import detection
from bknn.vectors import low_energy
from bknn.vectors.couplings import FERMIONS, Couplings, DarkFermion

from . import longhand_detection as longhand
from .longhand_points import PUBLIC, public_couplings
from .numbers_of import close, table


def couplings(i):
    """The Z' of P1 ... P5 as bknn has it."""
    own = public_couplings(i)
    vector, axial = np.zeros((2, 12))
    for names, key in ((("e", "mu", "tau"), "l"), (("u", "c"), "u"), (("d", "s", "b"), "d")):
        for name in names:
            vector[FERMIONS.index(name)], axial[FERMIONS.index(name)] = own[key]
    dark = DarkFermion(PUBLIC["r_X"][i] * PUBLIC["G"][i], 0.0, PUBLIC["m_X"][i])
    return Couplings(jnp.array(vector), jnp.array(axial), (dark,))


@pytest.mark.parametrize("i", range(5))
def test_nucleons(i):
    """Stored numbers have one mass for both nucleons."""
    row, z, m = table("detection")[i], couplings(i), PUBLIC["m_X"][i]
    for nucleon in "pn":
        mass = low_energy.NUCLEON[nucleon]
        heavier = mass / longhand.NUCLEON * (m + longhand.NUCLEON) / (m + mass)
        found = low_energy.nucleon_cross_section(z, 2.1, nucleon)
        assert close(found, row[f"sigma_{nucleon}"] * heavier**2, 1e-5)
    assert close(low_energy.nucleus_cross_section(z, 2.1, "Xe"), row["sigma_xe"], 1e-4)
    assert close(low_energy.nucleus_cross_section(z, 2.1, "Ar"), row["sigma_ar"], 1e-4)


@pytest.mark.parametrize("i", range(5))
def test_energy_deposit(i):
    """f_eff of electrons for all that is seen; curves through its table differ by 2 %, as it does
    from the figure that it was read from."""
    row, m = table("detection")[i], PUBLIC["m_X"][i]
    half = {r["point"]: r["sv1e8"] for r in table("abundances")}[f"P{i + 1}"]
    shares = {"e e": 1 - row["share_nu"], "neutrinos": row["share_nu"]}
    f = detection.deposited(shares, m, as_electrons=True)
    assert close(detection.p_ann(f, half, m), row["p_ann"], 2e-2)
    alone = detection.p_ann(detection.f_eff("e e", m) * row["share_e"], half, m)
    assert close(alone, row["p_ann_electrons"], 2e-2)


def of_quarks(up, down, m):
    vector = jnp.zeros(12).at[FERMIONS.index("u")].set(up).at[FERMIONS.index("d")].set(down)
    return Couplings(vector, jnp.zeros(12), (DarkFermion(1.0, 0.0, m),))


@pytest.mark.parametrize("m", [0.4, 1.0, 5.0])
@pytest.mark.parametrize("b", [(1.0, 0.0), (0.0, 1.0), (1.0, -0.7)])
def test_calcium_tungstate(m, b):
    """The recoils above the threshold, by an integral over velocities."""
    elements = (
        (20, 1, longhand.CALCIUM | {46: 0.004, 48: 0.187}),
        (74, 1, longhand.TUNGSTEN),
        (8, 4, longhand.OXYGEN),
    )
    expected = longhand.per_target(m, elements, *b, low_energy.TARGETS["CaWO4"].threshold)
    z = of_quarks((2 * b[0] - b[1]) / 3, (2 * b[1] - b[0]) / 3, m)
    alike = low_energy.nucleon_cross_section(of_quarks(1 / 3, 1 / 3, m), 2.1, "p")
    found = low_energy.nucleus_cross_section(z, 2.1, "CaWO4") / alike
    assert close(found, expected, 1e-3)
