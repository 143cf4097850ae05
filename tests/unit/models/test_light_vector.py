"""Models with a light vector: what they derive, against closed forms and sums of other kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import bknn
from bknn import errors, models, prediction
from bknn.models.complete.light_vector import Point
from bknn.models.theory import Params
from bknn.parameters import point
from bknn.prediction import DerivedQuantity, Group
from bknn.vectors import low_energy
from bknn.vectors.couplings import Couplings, DarkFermion, dark_photon, none, z_like
from bknn.vectors.electroweak import STANDARD
from bknn.vectors.widths import LEPTON_MASSES

bknn.enable_x64()
pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def derive() -> Any:
    """The derived quantities of the dark photon, compiled once."""
    model = models.load("dark-photon")
    program = jax.jit(lambda p: prediction.derived(model, p))
    return lambda **named: program({k: float(v) for k, v in point(model, named).items()})


@pytest.mark.parametrize("mass", [0.3, 0.9, 2.1])
def test_dark_photon_has_its_own_epsilon(derive: Any, mass: float) -> None:
    found = derive(mass=mass, epsilon=3e-4, g_X=0.0)
    for name in ("eps2_ee_leptons", "eps2_ee_mumu_pipi", "eps2_pp_mumu"):
        assert float(found[name]) == pytest.approx(9e-8, rel=1e-12)
    assert float(found["eps2_ee_invisible"]) == pytest.approx(9e-8 * float(found["p_inv"]))
    fractions = ("br_ee", "br_mumu", "br_tautau", "br_nunu", "br_hadrons", "br_XX")
    assert sum(float(found[f]) for f in fractions) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("mass", [0.3, 2.1, 4.5])
def test_four_muons_are_those_of_l_mu_minus_l_tau(derive: Any, mass: float) -> None:
    """The search quotes g' of that vector, whose muons are a share of mu, tau and two neutrinos."""
    found = derive(mass=mass, epsilon=3e-4, g_X=0.0)
    r = [min((m / mass) ** 2, 0.25) for m in (0.1056583755, 1.77686, 0.0)]
    parts = [(1.0 + 2.0 * x) * (1.0 - 4.0 * x) ** 0.5 for x in r]
    expected = 9e-8 * float(found["br_mumu"]) * sum(parts) / parts[0]
    assert float(found["eps2_mumu_mumu"]) == pytest.approx(expected, rel=2e-4)


def test_visible_decays_are_diluted_by_invisible_ones(derive: Any) -> None:
    alone, shared = (derive(epsilon=3e-4, g_X=g) for g in (0.0, 3e-4))
    ratio = float(shared["eps2_ee_leptons"] / alone["eps2_ee_leptons"])
    assert ratio == pytest.approx(1.0 - float(shared["br_XX"]), rel=1e-12)
    assert float(shared["p_inv"]) == pytest.approx(float(shared["br_XX"]), rel=1e-6)


def test_a_vector_without_couplings_never_decays(derive: Any) -> None:
    found = derive(epsilon=0.0, g_X=0.0)
    assert float(found["p_inv"]) == 1.0
    assert float(found["lifetime"]) == np.inf
    assert [float(found[name]) for name in ("br_ee", "br_hadrons", "br_XX", "width")] == [0.0] * 4


@pytest.mark.parametrize("mass", [2e-3, 0.1, 1.0, 9.0])
def test_magnetic_moment_is_the_integral_over_x(mass: float) -> None:
    m = LEPTON_MASSES["mu"]

    def vector(x: float) -> float:
        return 2 * m**2 * x**2 * (1 - x) / (m**2 * x**2 + mass**2 * (1 - x))

    def axial(x: float) -> float:
        above = 2 * m**2 * x * (1 - x) * (x - 4) - 4 * m**4 / mass**2 * x**3
        return above / (m**2 * x**2 + mass**2 * (1 - x))

    for g_v, g_a, function in ((1.0, 0.0, vector), (0.0, 1.0, axial)):
        couplings = Couplings(jnp.full(12, g_v), jnp.full(12, g_a))
        expected = quad(function, 0, 1, epsabs=0, epsrel=1e-10, limit=200)[0] / (8 * np.pi**2)
        assert float(low_energy.magnetic_moment(couplings, mass, "mu")) == pytest.approx(
            expected, rel=1e-6
        )


def test_a_light_photon_like_vector_gives_schwinger_moment() -> None:
    light = low_energy.magnetic_moment(dark_photon(1.0), 1e-3, "tau")
    assert float(light) == pytest.approx(STANDARD.alpha / (2 * np.pi), rel=1e-2)


def test_the_z_gives_its_own_weak_charge() -> None:
    """Q_W = -N + Z (1 - 4 sin^2 theta_W) of the Z itself, at tree level."""
    ew = STANDARD
    scale = float(2 * ew.m_w / (ew.v * np.sqrt(1 - ew.sin2_w))) * ew.v / 2  # m_Z at tree level
    found = low_energy.weak_charge(z_like(ew.g_z), scale, 55, 78, ew)
    assert float(found) == pytest.approx(-78 + 55 * (1 - 4 * ew.sin2_w), rel=1e-12)


def test_nucleons_count_valence_quarks() -> None:
    dark = Couplings(none().vector, none().axial, (DarkFermion(0.1, 0.0, 1.0),))
    photon, weak = dark_photon(1e-3) + dark, z_like(1e-3) + dark
    p, n = (float(low_energy.nucleon_cross_section(photon, 2.1, x)) for x in "pn")
    assert n < 1e-30 * p
    reduced = low_energy.NUCLEON["p"] / (1.0 + low_energy.NUCLEON["p"])
    expected = (
        16 * np.pi * reduced**2 * (0.01 / (4 * np.pi)) * (1e-3) ** 2 * STANDARD.alpha / 2.1**4
    )
    assert p == pytest.approx(expected * low_energy.CM2, rel=1e-12)
    p, n = (float(low_energy.nucleon_cross_section(weak, 2.1, x)) for x in "pn")
    assert p / n == pytest.approx((1 - 4 * STANDARD.sin2_w) ** 2, rel=5e-3)


def test_masses_without_a_hadronic_width_are_refused() -> None:
    model = models.load("dark-photon")
    for mass in (3.0969, 3.686):
        with pytest.raises(errors.ParameterError, match="psi"):
            bknn.predict(model, "width", params={"mass": mass})
    with pytest.raises(errors.ParameterError, match="mass = 11"):
        bknn.predict(model, "width", params={"mass": 11.0})


# ---------------------------------------------------------------- one point, and groups


class Relic(models.DarkPhoton):
    """A dark photon with two more quantities, and a list of what was computed."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        super().__init__()

    def groups(self) -> tuple[Group, ...]:
        names = ("slow", "x_f")
        return (Group(tuple(map(DerivedQuantity, names)), self.relic), *super().groups())

    def relic(self, params: Params, at: Point) -> dict[str, Any]:
        self.calls.append("relic")
        return {"slow": params["g_X"] ** 2 / at.couplings.g_v("e"), "x_f": 20.0}

    def point(self, params: Params) -> None:
        self.calls.append("point")


TWO_KINDS = """
[[results]]
name = "rates"
observable = "branching_ratio"
channels = { "B+ -> K+" = 0.5, "B0 -> K0" = 0.5 }
value = 1e-5
uncertainty = 1e-6
[[results]]
name = "life"
quantity = "lifetime"
value = 1.0
uncertainty = 0.5
[[limits]]
name = "visible"
quantity = "eps2_pp_mumu"
against = { mass = [1.0, 3.0] }
upper = [1e-6, 1e-6]
"""


def test_a_group_that_nobody_asks_for_is_not_computed() -> None:
    model = Relic()
    found = prediction.predict_derived(model, ["g_v_e"], {"epsilon": 1e-2})
    assert "relic" not in model.calls
    found += prediction.predict_derived(model, ["slow", "x_f"], {"g_X": 0.1, "epsilon": 1e-2})
    assert float(found[1].value) == pytest.approx(0.01 / float(found[0].value))
    assert prediction.together(model, ["x_f", "mass"]) == ("slow", "x_f")
    every = {q.name for q in model.derived_quantities}
    start = {k: jnp.asarray(x, float) for k, x in point(model, {}).items()}
    for names in (["slow", "x_f", "sigma_p"], None):
        model.calls.clear()
        shapes = jax.eval_shape(lambda p, n=names: prediction.derived(model, p, n), start)
        assert model.calls == ["point", "relic"]
        assert set(shapes) == (set(names) if names else every)


def test_an_analysis_computes_a_point_once(tmp_path: Path) -> None:
    """For the spectra of all decays and for derived quantities; of those, what it has data on."""
    (tmp_path / "my.toml").write_text(TWO_KINDS)
    model = Relic()
    analysis = bknn.Analysis(model, bknn.data.load(tmp_path / "my.toml"))
    for function, calls in ((analysis.log_density, ["point"]), (analysis.curves_inside, [])):
        model.calls.clear()
        jax.eval_shape(function, analysis.init_vector)
        assert model.calls == calls


def test_a_group_that_forgets_a_quantity() -> None:
    class Wrong(Relic):
        def relic(self, params: Params, at: Point) -> dict[str, Any]:
            return {"slow": 0.1}

    with pytest.raises(errors.ParameterError, match="'x_f' returns slow and not it"):
        bknn.predict(Wrong(), "slow")
