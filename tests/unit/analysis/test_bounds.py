"""Where parameters may go: what workspaces state, what users ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bknn
from bknn import errors, inference, models
from bknn.inference.samplers.coordinates import Coordinates
from bknn.questions.shared import values
from bknn.run.card import Card
from bknn.run.worker import order

from .. import small

FIXTURES = Path(__file__).parents[2] / "fixtures" / "workspaces"

pytestmark = pytest.mark.usefixtures("quick_compilation")


def measurement(name: str = "one", **config: Any) -> bknn.Measurement:
    """One bin: a signal of 4, a background of 8, settings of mu as given."""
    mu = {"name": "mu", "type": "normfactor", "data": None}
    scale = {"name": "k", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    samples = [
        {"name": "s", "data": [4.0], "modifiers": [mu]},
        {"name": "b", "data": [8.0], "modifiers": [scale]},
    ]
    settings = [{"name": "mu", **config}] if config else []
    workspace = {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": [16.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": settings}}],
        "version": "1.0.0",
    }
    return bknn.Measurement(name=name, title=name, workspace=workspace)


def strength(*measurements: bknn.Measurement, **given: Any) -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), measurements, **given)


def test_what_the_workspace_states_holds():
    """150 is beyond the bounds of the model, and (65 - 50)/0.1."""
    stated = bknn.data.load(FIXTURES / "1123_bounds_large.json")
    target = bknn.Analysis(models.load("signal-strength"), stated)
    assert target.parameters[0].bounds == (0.0, 500.0)
    assert target.parameters[0].init == 2.0
    assert inference.fit(target).params["mu"] == pytest.approx(150.0, abs=1e-6)


@pytest.mark.slow
def test_empty_bins_within_the_default_bounds_of_pyhf_and_without():
    """All rates rise with mu: within bounds it is at the lower one. Without, where one vanishes."""
    empty = bknn.data.load(FIXTURES / "892_zero_obs.json")
    model = models.load("signal-strength")
    bounded = inference.fit(bknn.Analysis(model, empty, bounds={"mu": (0, 10)})).check()
    assert bounded.params["mu"] == 0.0
    best = inference.fit(bknn.Analysis(model, empty)).check()
    # 7.490920558 by scipy's SLSQP with rates that may not be negative.
    assert best.twice_nll == pytest.approx(7.490920558, abs=1e-7)
    assert best.vanishing == ["c bin 0"]


def test_what_it_does_not_state_is_wide():
    assert strength(measurement()).parameters[0].bounds == (-10.0, 50.0)
    only_start = strength(measurement(inits=[3.0])).parameters[0]
    assert (only_start.bounds, only_start.init) == ((-10.0, 50.0), 3.0)
    embedded = strength(bknn.data.load("belle2-2025")).parameters[0]
    assert (embedded.bounds, embedded.init) == ((-10.0, 50.0), 1.0)
    # A model that is no signal strength has ranges of its own.
    other = bknn.Analysis(models.load("resonance"), small.measurement())
    assert "mu" not in other.constants


def test_a_parameter_of_interest_that_is_fixed_stays():
    target = strength(measurement(fixed=True, inits=[2.0]))
    assert target.constants == {"mu": 2.0}
    freed = strength(measurement(fixed=True, inits=[2.0]), free=["mu"])
    assert freed.names[0] == "mu"
    with pytest.raises(errors.ParameterError, match="keeps at 2; let it float"):
        strength(measurement(fixed=True, inits=[2.0]), bounds={"mu": (0, 1)})


def test_two_measurements_have_to_agree():
    both = strength(measurement("a", bounds=[[0, 20]]), measurement("b", bounds=[[-5, 8]]))
    assert both.parameters[0].bounds == (0.0, 8.0)
    with pytest.raises(errors.ParameterError, match="nothing in common"):
        strength(measurement("a", bounds=[[0, 1]]), measurement("b", bounds=[[2, 3]]))
    with pytest.raises(errors.ParameterError, match="fix 'mu' at different values"):
        strength(
            measurement("a", fixed=True, inits=[1.0]), measurement("b", fixed=True, inits=[2.0])
        )


def test_bounds_that_a_user_gives():
    target = strength(measurement(), bounds={"mu": (2.5, 9.0), "k": (-1.0, 1.0)})
    assert target.parameters[0].bounds == (2.5, 9.0)
    assert target.parameters[0].init == 2.5
    np.testing.assert_array_equal(target.bounds, [[2.5, 9.0], [-1.0, 1.0]])
    assert target.with_priors({"mu": "uniform(3, 4)"}).given_bounds == target.given_bounds
    assert order(target)[1][-1]["bounds"] == target.given_bounds
    # (16 - 8)/4 = 2 lies outside.
    best = inference.fit(target)
    assert best.params["mu"] == 2.5
    assert best.at_bounds == ["mu"]
    with pytest.raises(errors.ParameterError, match="outside of"):
        inference.fit(target, fixed={"mu": 1.0})


def test_bounds_of_single_entries_and_sets_of_nuisances():
    target = bknn.Analysis(
        models.load("signal-strength"),
        small.measurement(),
        bounds={"stat_SR": (0.5, 1.5), "side[1]": (0.8, 1.2)},
    )
    where = target.nuisances["stat_SR"]
    assert (target.bounds[where] == [0.5, 1.5]).all()
    assert target.bounds[target.index("side[1]")].tolist() == [0.8, 1.2]
    assert target.bounds[target.index("side[0]")].tolist() == [1e-10, 10.0]


def test_starts_outside_of_the_bounds_are_left_out():
    target = bknn.Analysis(
        models.load("resonance"), small.measurement(), bounds={"mass": (1.9, 2.4)}
    )
    mass = next(p for p in target.parameters if p.name == "mass")
    assert mass.bounds == (1.9, 2.4)
    assert all(1.9 <= x <= 2.4 for x in (mass.init, *mass.starts))


@pytest.mark.parametrize(
    ("bounds", "error", "words"),
    [
        ({"mu": (1.0, 1.0)}, errors.ParameterError, "hold nothing"),
        ({"mu": 3.0}, errors.ParameterError, "give two numbers"),
        ({"mu": ("a", "b")}, errors.ParameterError, "give two numbers"),
        ({"nu": (0.0, 1.0)}, errors.UnknownNameError, "did you mean 'mu'"),
    ],
)
def test_bounds_that_make_no_sense(bounds, error, words):
    with pytest.raises(error, match=words):
        strength(measurement(), bounds=bounds)


def test_the_shell_and_cards_take_bounds(tmp_path):
    assert values.bounds(["mu=-1:10", "k=-2,inf"]) == {"mu": (-1.0, 10.0), "k": (-2.0, np.inf)}
    for words, wrong in ((["mu=1"], "form NAME=LOW:HIGH"), (["mu=0:1", "mu=0:2"], "two ranges")):
        with pytest.raises(errors.ParameterError, match=wrong):
            values.bounds(words)
    path = tmp_path / "card.toml"
    path.write_text('[model]\nname = "signal-strength"\nbounds = {mu = [0, 10]}\n[fit]\n')
    card = Card.read(path)
    assert card.questions["fit"].bounds == {"mu": (0.0, 10.0)}


def test_bounds_of_many_nuisances():
    """Patterns name sets of nuisances; without bounds their priors are normal to both ends."""
    given = {"stat_*": (-np.inf, np.inf), "norm_b": (-1.0, 2.0), "no*": (-4.0, 4.0)}
    target = bknn.Analysis(models.load("signal-strength"), small.measurement(), bounds=given)
    where = target.nuisances["stat_SR"]
    assert np.isinf(target.bounds[where]).all()
    assert target.bounds[target.index("norm_b")].tolist() == [-1.0, 2.0]
    assert target.with_priors({}).bounds.tolist() == target.bounds.tolist()
    moving = np.arange(target.size) == where.start
    z = np.array([-30.0])
    x, _ = Coordinates(target, moving, target.init_vector).natural(z)
    index, centre, width = (np.asarray(a)[target.normal[0] == where.start] for a in target.normal)
    below = float(centre[0] - 30.0 * width[0])
    assert below < 0
    assert x[index[0]] == pytest.approx(below)
    with pytest.raises(errors.UnknownNameError, match="stat_XR"):
        bknn.Analysis(
            models.load("signal-strength"), small.measurement(), bounds={"stat_XR*": (0, 1)}
        )
    assert values.bounds(["stat_*=-inf:inf"]) == {"stat_*": (-np.inf, np.inf)}
