"""Dark matter over a parameter of a model that is a formula: roots, refusals, what is said."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import data, errors, plot, studies

from ..questions.test_shell import refusal

bknn.enable_x64()
pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = ("omega_h2", "x_freeze_out", "pole_distance", "sigma_v_x20", "p_ann", "sigma_p", "sigma_n")


class Toy:
    """Omega h^2 = m_X/g^2, but where two couplings give it: near m_X = 3."""

    name = "toy"
    description = "dark matter by formula"
    parameters = (
        bknn.Parameter("m_X", 1.0, (0.1, 10.0), unit="GeV"),
        bknn.Parameter("g", 1.0, (1e-3, 100.0)),
        bknn.Parameter("tilt", 0.0, (-1.0, 1.0)),
        bknn.Parameter("scale", 1.0, (0.0, 5.0), constraint=(1.0, 0.1)),
    )
    null: ClassVar = {"g": 1.0}
    derived_quantities = tuple(bknn.DerivedQuantity(name) for name in NAMES)

    def derived(self, params: Any) -> Any:
        m, g = params["m_X"], params["g"]
        bump = jnp.where(m > 3.0, jnp.log(g) ** 2, 0.0) * params["tilt"]
        return {
            "omega_h2": m / g**2 * jnp.exp(bump),
            "x_freeze_out": jnp.where(m > 5.0, 0.0, jnp.where(m < 0.5, 12.0, 20.0)),
            "pole_distance": (9.0 - m**2) / m**2,
            "sigma_v_x20": 1e-26 * g**2,
            "p_ann": 1e-28 * g**2 * params["scale"],
            "sigma_p": 1e-42 * g**2,
            "sigma_n": 0.0 * g,
        }

    def check(self, values: Any) -> None:
        if float(values["m_X"]) > 9.0:
            raise errors.ParameterError("X is too heavy.")

    def spectrum(self, params: Any, channel: str) -> Any:
        raise ValueError("nothing decays")


@pytest.fixture
def limit(tmp_path):
    path = tmp_path / "p_ann.toml"
    path.write_text(
        'title = "a limit"\nversion = "1"\n[[limits]]\nname = "P"\nquantity = "p_ann"\n'
        "upper = 2e-28\nlevel = 0.95\n"
    )
    return data.load(str(path))


def test_the_coupling_is_the_one_of_the_formula():
    m = np.linspace(0.5, 2.5, 5)
    found = studies.relic(Toy(), {"m_X": m}, find={"g": np.geomspace(0.01, 90.0, 9)}, target=0.12)
    assert np.allclose(found.at, np.sqrt(m / 0.12), rtol=1e-8)
    assert np.allclose(found.quantities["omega_h2"], 0.12, rtol=1e-7)
    assert (found.solutions == 1).all()


def test_of_several_couplings_the_smallest():
    """ln Omega = ln m - 2 y + t y^2 with y = ln g has two roots."""
    m, t = 4.0, 0.5
    scan = np.geomspace(0.01, 90.0, 40)
    found = studies.relic(Toy(), {"m_X": [m]}, fixed={"tilt": t}, find={"g": scan}, target=0.8)
    y = np.sort(np.roots([t, -2.0, np.log(m / 0.8)]))
    assert found.solutions[0] == 2
    assert found.at[0] == pytest.approx(np.exp(y[0]), rel=1e-8)
    assert "several" in found.status


def test_where_there_is_none_nothing_is_said():
    found = studies.relic(Toy(), {"m_X": [0.2, 1.0]}, find={"g": [2.0, 10.0]})
    assert np.isnan(found.at[0])
    assert np.isnan(found.quantities["omega_h2"][0])
    assert found.at[1] == pytest.approx(np.sqrt(1.0 / 0.12))
    assert "No value of g" in found.status
    assert found.converged


def test_data_exclude_with_their_nuisances(limit):
    """-2 log L = (1.96 x/u)^2/(1 + (0.1 z x/u)^2): the change with the nuisance is linear."""
    found = studies.relic(Toy(), {"g": [0.5, 1.0, 2.0]}, [limit])
    z = limit.curves[0].quantile * np.array([0.25, 1.0, 4.0]) / 2.0
    assert np.allclose(found.delta[limit.name], z**2 / (1.0 + (0.1 * z) ** 2), rtol=1e-6)
    assert found.excluded(limit.name).tolist() == [False, False, True]
    assert found.allowed.tolist() == [True, True, False]


def test_doubts_are_told():
    found = studies.relic(Toy(), {"m_X": [0.3, 2.9, 6.0, 9.5]})
    for words in ("x = m/T = 15", "kinetic equilibrium", "never was", "too heavy"):
        assert words in found.status
    assert np.isnan(found.quantities["omega_h2"][3])


def test_files_tables_and_figures(tmp_path, limit):
    found = studies.relic(Toy(), {"m_X": np.linspace(0.5, 2.95, 9)}, [limit], fixed={"g": 1.2})
    found.save(tmp_path / "relic.nc")
    again = type(found).load(tmp_path / "relic.nc")
    assert np.allclose(again.quantities["p_ann"], found.quantities["p_ann"])
    assert again.status == found.status
    assert list(found.to_dataframe().columns)[:2] == ["m_X", "omega_h2"]
    (axes,) = {len(plot.relic(found).axes)}
    assert axes == 4


@pytest.mark.parametrize(
    ("over", "more", "words"),
    [
        ({"m_X": [1.0], "g": [1.0]}, {}, "one to go over"),
        ({"mass": [1.0]}, {}, "mass"),
        ({"m_X": [1.0]}, {"fixed": {"m_X": 2.0}}, "two places"),
        ({"m_X": [1.0]}, {"target": -1.0}, "above 0"),
        ({"m_X": [11.0]}, {}, "between 0.1 and 10"),
        ({"m_X": [1.0]}, {"find": {"g": [2.0, 1.0]}}, "increase"),
        ({"m_X": [np.nan]}, {}, "numbers"),
        ({"m_X": [9.5]}, {}, "too heavy"),
    ],
)
def test_what_makes_no_sense_is_refused(over, more, words):
    with pytest.raises(errors.BknnError, match=words):
        studies.relic(Toy(), over, **more)


def test_a_model_without_dark_matter_is_refused():
    words = "relic resonance --over mass=1:2:3 --data belle2-2025"
    assert "no dark matter" in refusal(*words.split())
