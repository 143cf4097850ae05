"""The aligned U(1)' as a model; its loops are in tests/physics/aligned_u1."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import errors, models, prediction
from bknn.parameters import point

bknn.enable_x64()
pytestmark = pytest.mark.usefixtures("quick_compilation")

PLANCK = 1.22089e19

#: Public points: parameters, and numbers of a computation of its own, with partial widths from
#: R data by linear interpolation and nucleons of 0.9383 GeV.
POINTS = {
    "P1": (
        {"m_T": 1500, "s_R": 0.1, "G": 0.003, "r_X": 12, "m_X": 0.95},
        {"y_T": 0.299449, "C_V_L": 1.68598e-08, "eps_A": 3.44553e-07, "eps_Z": -1.17288e-07}
        | {"delta_Z": -4.07077e-06, "g_v_e": 4.73232e-08, "g_a_u": 7.58179e-07}
        | {"g_v_d": -4.89678e-07, "g_v_nu": 7.58179e-07, "lifetime": 1.51895e-08}
        | {"br_mumu": 7.30625e-10, "br_K_Zprime": 1.26304e-05, "width_T_tphi": 0.19674}
        | {"sigma_p": 4.12181e-48, "sigma_n": 1.05799e-45, "kappa_t": 0.999881},
    ),
    "P4": (
        {"m_T": 10000, "s_R": 0.077, "G": 0.00239, "r_X": 12, "m_X": 0.9, "Lambda": PLANCK},
        {"y_T": 1.23899, "C_V_L": 1.44246e-08, "eps_A": 0.000849428, "eps_Z": -0.000465782}
        | {"delta_Z": -4.31596e-06, "g_v_e": 0.000257168, "g_v_u": -0.000171193}
        | {"br_mumu": 0.000114104, "lifetime": 2.03871e-08, "sigma_p": 7.31603e-41}
        | {"sigma_n": 6.35336e-46, "width_T_tZprime": 75.8974, "br_K_Zprime": 9.24525e-06},
    ),
}

#: Numbers that depend on what is said above.
COARSE = {"lifetime": 1e-4, "br_mumu": 1e-3, "sigma_p": 1e-4, "sigma_n": 2e-3, "br_K_Zprime": 1e-4}


@pytest.fixture(scope="module")
def derive() -> Any:
    """The derived quantities, compiled once."""
    model = models.load("aligned-u1")
    program = jax.jit(lambda p: prediction.derived(model, p))
    return lambda named: program({k: float(v) for k, v in point(model, named).items()})


@pytest.mark.parametrize("name", POINTS)
def test_public_points(name: str, derive: Any) -> None:
    where, expected = POINTS[name]
    found = derive(where)
    for quantity, value in expected.items():
        assert float(found[quantity]) == pytest.approx(value, rel=COARSE.get(quantity, 1e-5)), (
            quantity
        )


def test_all_bases_are_one_model(derive: Any) -> None:
    named = {"m_T": 2500.0, "s_R": 0.35, "G": 7e-4, "r_X": 3.0}
    one = derive(named)
    other = models.load("aligned-u1", basis="yukawa")
    yukawa = {"m_T": 2500.0, "s_R": 0.35, "y_T": float(one["y_T"]), "r_X": 3.0}
    found = prediction.derived(other, point(other, yukawa))
    lagrangian = models.load("aligned-u1", basis="lagrangian")
    those = {n: float(one[n]) for n in ("y_t", "y_T", "M_T", "v_tilde")}
    again = prediction.derived(lagrangian, point(lagrangian, {**those, "r_X": 3.0}))
    numbers = models.load("aligned-u1", basis="dimensionless")
    small = {"s_R": 0.35, "G": 7e-4, "y_T": float(one["y_T"]), "r_X": 3.0}
    third = prediction.derived(numbers, point(numbers, small))
    assert float(third["m_T"]) == pytest.approx(2500.0)
    for quantity in one:
        for values in (found, again, third):
            if quantity in values:
                assert float(values[quantity]) == pytest.approx(float(one[quantity]), rel=1e-9)
    assert float(again["m_t"]) == pytest.approx(163.0)
    assert float(again["s_R"]) == pytest.approx(0.35)


def line(model: Any, named: dict[str, float], channel: str) -> float:
    """Return the branching fraction of a decay into the Z' of a model that is not seen."""
    (found,) = model.spectrum(point(model, named), channel, part="new").lines
    return float(found.branching_ratio)


def test_it_is_a_vector_at_low_energies(derive: Any) -> None:
    model = models.load("aligned-u1")
    named = {"m_T": 3000.0, "s_R": 0.3, "G": 3e-4}
    found = derive(named)
    tensor = model.match(point(model, named)).effective["C_T_R"]
    vector = models.load("vector", basis="chiral")
    params = {"mass": 2.1, "C_V_L": float(found["C_V_L"]), "C_T_R": float(tensor)}
    for channel, quantity in (("B+ -> K+", "br_K_Zprime"), ("B0 -> K*0", "br_Kst_Zprime")):
        known = line(vector, params, channel)
        assert float(found[quantity]) == pytest.approx(known, rel=1e-10)
        assert line(model, named, channel) == pytest.approx(
            known * float(found["p_inv"]), rel=1e-12
        )


def test_derivatives_are_those_of_finite_differences() -> None:
    """Along random directions through random points, of everything at once."""
    model = models.load("aligned-u1")
    names = ("m_T", "s_R", "G", "r_X", "m_X", "mass", "eps_A0", "r_hadrons", "axial_hadrons")
    base = {k: float(v) for k, v in point(model, {}).items()}

    def along(at: Any, direction: Any, step: Any) -> Any:
        values = at * jnp.exp(step * direction)
        found = prediction.derived(model, {**base, **dict(zip(names, values, strict=True))})
        return jnp.stack([found[q] for q in sorted(found)])

    value = jax.jit(along)
    slope = jax.jit(lambda *x: jax.jvp(lambda step: along(*x, step), (0.0,), (1.0,))[1])
    random = np.random.default_rng(7)
    for _ in range(4):
        at = np.array([3e3, 0.3, 3e-4, 5.0, 0.5, 2.05, 1e-5, 1.0, 1.0])  # X X is open
        at = at * random.uniform(0.7, 1.2, len(at))
        direction = random.normal(size=len(at))
        finite = (value(at, direction, 1e-7) - value(at, direction, -1e-7)) / 2e-7
        scale = np.abs(value(at, direction, 0.0)) + np.abs(finite)
        every = np.array(sorted(q.name for q in model.derived_quantities))
        # Rounding at velocities of 1e-4 is some 1e-11 of these.
        loose = np.where(np.isin(every, ("p_ann", "sigma_v_today")), 2e-4, 1e-5)
        wrong = np.abs(finite - slope(at, direction)) > loose * scale
        assert not wrong.any(), every[wrong]


def test_without_a_gauge_coupling_nothing_is_new() -> None:
    model = models.load("aligned-u1")
    values = point(model, {"G": 0.0})
    assert line(model, {"G": 0.0}, "B+ -> K+") == 0.0
    slopes = jax.jacfwd(lambda g: model.match({**values, "G": g}).effective["C_V_L"])(0.0)
    assert 0.0 < float(slopes) < np.inf


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"s_R": 1.2}, "s_R = 1.2"),
        ({"s_R": 0.0}, "s_R = 0"),
        ({"m_T": 150.0}, "above that of the top quark"),
        ({"mass": 3.097}, "psi"),
        ({"mass": 5e-4}, "mass = 0.0005"),
        ({"Lambda": 91.0}, "below the top quark"),
    ],
)
def test_what_makes_no_sense_is_refused(named: dict[str, float], said: str) -> None:
    model = models.load("aligned-u1")
    with pytest.raises(errors.ParameterError, match=said):
        bknn.predict(model, "C_V_L", params=named)


def test_a_coupling_beyond_unitarity_is_told() -> None:
    model = models.load("aligned-u1")
    with pytest.warns(errors.DataWarning, match="perturbative unitarity"):
        found = bknn.predict(model, "y_T", params={"G": 0.05})
    assert float(found.value) > 2.9


def test_an_unknown_basis_is_refused() -> None:
    with pytest.raises(errors.UnknownNameError, match="lagrangian"):
        models.load("aligned-u1", basis="lagrangean")
