"""What the aligned U(1)' says about dark matter: the talk's window, and under which assumption."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import bknn
from bknn import data, models
from bknn.analysis.quantity_limits import limit
from bknn.parameters import point
from bknn.prediction.derived import quantities

bknn.enable_x64()

#: BR(B+ -> K+ Z') x P(invisible) that Belle II likes best.
WANTED = 9.2e-6
PLANCK_MASS = 1.22089e19
SETS = ("lhcb-2016-dimuon", "babar-2017-monophoton", "darkside-50-2018")


@pytest.fixture(scope="module")
def at():
    """Quantities at points on Belle II's band: G follows from the rate."""
    model = models.load("aligned-u1")
    start = point(model, {"r_X": 12.0, "m_T": 1e4, "mass": 2.1})
    tables = {name: data.load(name).curves[0] for name in SETS}
    names = {"omega_h2", "p_ann", "dark_matter_fraction", "br_K_Zprime", "p_inv", "y_T"}
    names |= {q for table in tables.values() for q in table.quantities}

    @jax.jit
    def all_of(values):
        return quantities(model, sorted(names), {**start, **values})

    @jax.jit
    def rate(values):
        found = quantities(model, ("br_K_Zprime", "p_inv"), {**start, **values})
        return found["br_K_Zprime"] * found["p_inv"]

    def found(**values):
        given = {"s_R": 0.1, "m_X": 0.95, "Lambda": 0.0, "r_X": 12.0, "G": 1e-3, **values}
        for _ in range(12):
            given["G"] *= float(np.sqrt(WANTED / rate(given)))
        at = {k: float(x) for k, x in all_of(given).items()}
        for name, table in tables.items():
            upper, inside = limit(table, at)
            assert bool(inside)
            at[name] = float(np.prod([at[q] for q in table.factors]) / upper)
        return at

    return found


@pytest.mark.parametrize("s_R", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("m_X", [0.9, 1.0])
def test_no_window_if_the_mixing_vanishes_at_the_mass_of_T(at, s_R, m_X):
    """Reference: Omega h^2 = 4.7 to 155 for m_X = 1.0 to 0.9 whatever s_R."""
    assert at(m_X=m_X, s_R=s_R)["omega_h2"] == pytest.approx({0.9: 153, 1.0: 4.8}[m_X], rel=0.03)


def test_window_if_it_vanishes_at_the_planck_mass(at):
    """At each m_X the s_R with which X is all of the dark matter (docs/aligned_u1.md)."""
    low, inside, high = (
        at(m_X=m, s_R=s, Lambda=PLANCK_MASS)
        for m, s in ((0.88, 0.0586), (0.93, 0.119), (0.97, 0.209))
    )
    for found in (low, inside, high):
        assert found["omega_h2"] == pytest.approx(0.12, rel=0.1)
    assert low["babar-2017-monophoton"] > 1.0
    assert low["p_ann"] * low["dark_matter_fraction"] ** 2 > 3.2e-28
    assert max(inside[name] for name in SETS) < 1.0
    assert inside["p_ann"] < 3.2e-28
    assert inside["y_T"] < 2.9
    assert high["lhcb-2016-dimuon"] > 1.0
    assert high["babar-2017-monophoton"] < 1.0


def test_a_larger_charge_of_X_opens_the_window_to_one_gev(at):
    found = at(m_X=1.0, s_R=0.319, Lambda=PLANCK_MASS, r_X=15.0)
    assert found["omega_h2"] == pytest.approx(0.12, rel=0.1)
    assert max(found[name] for name in SETS) < 1.0


def test_near_the_pole_the_abundance_does_not_depend_on_the_charge_of_X(at):
    few, many = (at(m_X=0.97, Lambda=PLANCK_MASS, r_X=r)["omega_h2"] for r in (12.0, 30.0))
    assert few == pytest.approx(many, rel=0.05)
