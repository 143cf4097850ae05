"""The log pdf is pyhf's: generated workspaces, the Belle II workspace, negative rates.

What counts as equal is written in `reference.py`.
"""

from __future__ import annotations

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import bknn

from .reference import Reference, compare, disagreement
from .workspaces import (
    Case,
    belle2_workspace,
    cases,
    one_channel,
    parameter_points,
    random_data,
)


def flat(pdf: bknn.HistFactory, named: dict[str, Any]) -> np.ndarray:
    """Values by set name, in the order of the flat vector."""
    return np.concatenate([np.atleast_1d(np.asarray(value)) for value in named.values()])


def assert_same_structure(pdf: bknn.HistFactory, reference: Reference) -> None:
    """Names, order, shapes, initial values, bounds, fixed parameters, data."""
    assert list(pdf.parameter_names) == reference.names
    assert list(pdf.init) == list(reference.sets)
    for name, (where, scalar) in reference.sets.items():
        shape = () if scalar else (where.stop - where.start,)
        assert np.shape(pdf.init[name]) == shape
        assert np.shape(pdf.fixed[name]) == shape
        assert np.shape(pdf.bounds[name]) == (*shape, 2)
    np.testing.assert_array_equal(flat(pdf, pdf.init), reference.init)
    np.testing.assert_array_equal(flat(pdf, pdf.fixed), reference.fixed)
    bounds = np.concatenate([np.reshape(pair, (-1, 2)) for pair in pdf.bounds.values()])
    np.testing.assert_array_equal(bounds, reference.bounds)
    np.testing.assert_array_equal(pdf.observed, reference.observed)
    np.testing.assert_allclose(pdf.auxdata, reference.auxdata, rtol=1e-14)
    assert pdf.poi == reference.model.config.poi_name


SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.usefixtures("quick_compilation")
@settings(max_examples=8, suppress_health_check=SLOW_IS_FINE)
@given(case=cases())
def test_generated_workspaces(case: Case) -> None:
    assert_agreement(case)


@pytest.mark.nightly
@settings(max_examples=3000, suppress_health_check=SLOW_IS_FINE)
@given(case=cases())
def test_many_generated_workspaces(case: Case) -> None:
    assert_agreement(case)


def assert_agreement(case: Case) -> None:
    """A generated workspace, at its own data and at toys."""
    reference = Reference(case.workspace, case.measurement, case.interpolation)
    untouched = copy.deepcopy(case.workspace)
    pdf = bknn.HistFactory.from_workspace(
        case.workspace, measurement=case.measurement, interpolation=case.interpolation
    )
    assert case.workspace == untouched
    assert_same_structure(pdf, reference)

    rng = np.random.default_rng(len(reference.names))
    observed = parameter_points(reference, rng)
    toys = observed[[0, 4, 6]]  # the same, seen by other data
    rows = [reference.data] * len(observed) + [random_data(reference, rng) for _ in toys]
    problems = compare(reference, pdf, np.concatenate([observed, toys]), np.stack(rows))
    assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def belle2() -> tuple[bknn.HistFactory, Reference]:
    workspace = belle2_workspace()
    return bknn.HistFactory.from_workspace(workspace), Reference(workspace)


def test_belle2_structure(belle2: tuple[bknn.HistFactory, Reference]) -> None:
    pdf, reference = belle2
    assert_same_structure(pdf, reference)
    assert len(reference.names) == 232
    log_prob = float(pdf.log_prob(pdf.init))
    # what pyhf 0.7.6 prints for this record, so that a common change of both is seen
    assert log_prob == pytest.approx(-127.21182488859, abs=1e-10)


@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_belle2_at_many_points(belle2: tuple[bknn.HistFactory, Reference], n: int) -> None:
    """Within a box of half-width 0 to 5 standard deviations around the centre."""
    pdf, reference = belle2
    rng = np.random.default_rng(20250717)
    half_width = rng.uniform(0.0, 5.0, (n, 1))
    steps = half_width * rng.uniform(-1.0, 1.0, (n, len(reference.init)))
    points = reference.init + reference.widths * steps
    problems = compare(reference, pdf, points)
    assert not problems, "\n".join(problems[:5])
    finite = sum(np.isfinite(reference.at(point).log_prob) for point in points)
    assert n / 2 < finite < n  # both kinds are there: far out, rates turn negative


def test_belle2_on_toy_data(belle2: tuple[bknn.HistFactory, Reference]) -> None:
    pdf, reference = belle2
    rng = np.random.default_rng(1)
    points = reference.init + reference.widths * rng.normal(size=(50, len(reference.init)))
    data = np.stack([random_data(reference, rng) for _ in points])
    problems = compare(reference, pdf, points, data)
    assert not problems, "\n".join(problems[:5])


def test_ways_to_ask(belle2: tuple[bknn.HistFactory, Reference]) -> None:
    """A mapping or a flat vector; the observation by default or explicitly."""
    pdf, reference = belle2
    rng = np.random.default_rng(2)
    vector = reference.init + 0.5 * reference.widths * rng.normal(size=len(reference.init))
    log_prob = jax.jit(pdf.log_prob)
    answers = [
        log_prob(vector),
        log_prob(pdf.unflatten(vector)),
        log_prob(pdf.flatten(pdf.unflatten(vector))),
        log_prob(vector, reference.data),
        log_prob(dict(reversed(pdf.unflatten(vector).items()))),
    ]
    np.testing.assert_allclose(answers, reference.at(vector).log_prob, rtol=1e-12)


# ------------------------------------------------------------------ where rates become negative


def subtraction(counts: list[float]) -> dict[str, Any]:
    """Two bins of 10 background events and a signal of 5 and 2 per unit of mu."""
    return one_channel(
        {
            "signal": ([5.0, 2.0], [("normfactor", "mu", None)]),
            "background": ([10.0, 10.0], [("normsys", "scale", {"lo": 0.9, "hi": 1.1})]),
        },
        counts,
    )


def test_a_negative_rate_has_no_probability() -> None:
    workspace = subtraction([3.0, 0.0])
    pdf, reference = bknn.HistFactory.from_workspace(workspace), Reference(workspace)
    for mu, finite in [(-1.0, True), (-2.1, False), (-6.0, False)]:
        point = reference.at(np.array([mu, 0.0]))
        assert np.isfinite(point.log_prob) == finite
        ours = float(pdf.log_prob({"mu": mu, "scale": 0.0}))
        assert ours == (pytest.approx(point.log_prob, rel=1e-10) if finite else -np.inf)


def test_a_negative_rate_without_counts_is_what_pyhf_says() -> None:
    """0 log(rate) - rate is finite for a negative rate, and pyhf lets it pass."""
    workspace = subtraction([0.0, 0.0])
    pdf, reference = bknn.HistFactory.from_workspace(workspace), Reference(workspace)
    for mu in (-2.0, -5.0, -7.5):  # the first: a rate of exactly zero
        point = reference.at(np.array([mu, 0.0]))
        assert np.isfinite(point.log_prob)
        problem = disagreement(point, float(pdf.log_prob({"mu": mu, "scale": 0.0})))
        assert problem is None, problem


def test_the_way_to_a_negative_rate_is_smooth() -> None:
    """Just inside, value and gradient are finite, and the gradient leads back inside."""
    pdf = bknn.HistFactory.from_workspace(subtraction([3.0, 1.0]))
    value_and_gradient = jax.jit(jax.value_and_grad(pdf.log_prob))
    previous = np.inf
    for distance in (0.1, 1e-2, 1e-4, 1e-8, 1e-12):
        mu = -2.0 + distance  # the first bin is empty at mu = -2
        value, gradient = value_and_gradient(jnp.array([mu, 0.0]))
        assert np.isfinite(value)
        assert value < previous
        assert np.isfinite(gradient).all()
        # rates 5 distance and 6 + 2 distance; mu itself is rounded to 4e-16
        slope = 3.0 / distance - 5.0 + 2.0 / (6.0 + 2.0 * distance) - 2.0
        assert gradient[0] == pytest.approx(slope, rel=1e-10 + 1e-15 / distance)
        previous = float(value)


def test_beyond_a_negative_rate_no_gradient_is_nan() -> None:
    """A batch in which one member has stepped outside must not be poisoned by it."""
    pdf = bknn.HistFactory.from_workspace(subtraction([3.0, 1.0]))
    points = jnp.array([[0.0, 0.0], [-2.0, 0.0], [-3.0, 0.0], [-20.0, 1.0]])
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(pdf.log_prob)))(points)
    assert value.tolist()[1:] == [-np.inf] * 3
    assert not np.isnan(gradient).any()


def test_belle2_gradients_at_points_with_negative_rates(
    belle2: tuple[bknn.HistFactory, Reference],
) -> None:
    pdf, reference = belle2
    rng = np.random.default_rng(3)
    points = reference.init + 5.0 * reference.widths * rng.uniform(-1, 1, (50, len(reference.init)))
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(pdf.log_prob)))(points)
    assert np.isneginf(value).any()
    assert not np.isnan(value).any()
    assert not np.isnan(gradient).any()


# ------------------------------------------------------------------ semantics that surprise


def agrees(workspace: dict[str, Any], **how: Any) -> None:
    reference = Reference(workspace, **how)
    pdf = bknn.HistFactory.from_workspace(workspace, **how)
    assert_same_structure(pdf, reference)
    points = parameter_points(reference, np.random.default_rng(0))
    problems = compare(reference, pdf, points)
    assert not problems, "\n".join(problems)


def test_staterror_adds_in_quadrature_and_fixes_what_it_cannot_know() -> None:
    """Relative to the sum of the samples that have it; no yield or no uncertainty: fixed."""
    workspace = one_channel(
        {
            "a": ([4.0, 0.0, 3.0, 0.0], [("staterror", "stat", [0.4, 0.1, 0.0, 0.0])]),
            "b": ([6.0, 2.0, 1.0, 0.0], [("staterror", "stat", [0.3, 0.2, 0.0, 0.5])]),
            "c": ([9.0, 9.0, 9.0, 9.0], []),
        },
        [18.0, 12.0, 14.0, 8.0],
    )
    reference = Reference(workspace)
    assert reference.fixed.tolist() == [False, False, True, True]
    np.testing.assert_allclose(reference.widths, [0.05, 0.05**0.5 / 2, 1.0, 1.0])
    agrees(workspace)


def test_staterror_across_channels() -> None:
    workspace = one_channel({"a": ([4.0, 2.0], [("staterror", "s", [0.4, 0.3])])}, [5.0, 1.0])
    other = one_channel({"a": ([7.0], [("staterror", "s", [0.7])])}, [6.0], channel="A")
    workspace["channels"] += other["channels"]
    workspace["observations"] += other["observations"]
    assert Reference(workspace).names == ["s[0]", "s[1]", "s[2]"]
    agrees(workspace)


def test_shapesys_without_yield_or_uncertainty_is_fixed() -> None:
    workspace = one_channel(
        {"a": ([4.0, 0.0, 3.0], [("shapesys", "g", [0.4, 0.1, 0.0])]), "b": ([1.0, 1.0, 1.0], [])},
        [4.0, 2.0, 3.0],
    )
    reference = Reference(workspace)
    assert reference.fixed.tolist() == [False, True, True]
    np.testing.assert_allclose(reference.auxdata, [100.0, 1.0, 1.0])
    agrees(workspace)


@pytest.mark.parametrize(
    "config",
    [
        {"auxdata": [120.0, 0.0]},
        {"factors": [50.0, 8.0]},
        {"factors": [50.0, 8.0], "auxdata": [40.0, 9.0], "inits": [0.8, 1.2]},
        {"fixed": True},
        {"fixed": False},
    ],
    ids=str,
)
def test_configured_shapesys(config: dict[str, Any]) -> None:
    modifiers = [("shapesys", "g", [0.4, 0.0])]
    workspace = one_channel({"a": ([4.0, 3.0], modifiers)}, [4.0, 2.0])
    workspace["measurements"][0]["config"]["parameters"] = [{"name": "g", **config}]
    agrees(workspace)


@pytest.mark.parametrize(
    "config",
    [
        {"sigmas": [0.3, 0.1]},
        {"auxdata": [0.9, 1.1]},
        {"auxdata": [0.9, 1.1], "sigmas": [0.3, 0.1], "bounds": [[0.1, 3], [0, 2]]},
        {"fixed": True},
        {"fixed": False},
    ],
    ids=str,
)
def test_configured_staterror(config: dict[str, Any]) -> None:
    modifiers = [("staterror", "s", [0.4, 0.0])]
    workspace = one_channel({"a": ([4.0, 3.0], modifiers)}, [4.0, 2.0])
    workspace["measurements"][0]["config"]["parameters"] = [{"name": "s", **config}]
    agrees(workspace)


def test_one_alpha_for_shape_and_normalisation_with_its_own_auxdata() -> None:
    both = [
        ("normsys", "alpha", {"lo": 0.8, "hi": 1.3}),
        ("histosys", "alpha", {"lo_data": [4.0, 0.0], "hi_data": [9.0, 2.5]}),
    ]
    workspace = one_channel({"a": ([5.0, 2.0], both), "b": ([1.0, 1.0], both[:1])}, [4.0, 2.0])
    workspace["measurements"][0]["config"]["parameters"] = [{"name": "alpha", "auxdata": [0.4]}]
    for normsys in ("code1", "code4"):
        for histosys in ("code0", "code4p"):
            agrees(workspace, interpolation={"normsys": normsys, "histosys": histosys})


def test_shapefactor_over_channels_of_different_length() -> None:
    """The first channel (sorted) counts the parameters; a shorter one uses the first of them."""
    workspace = one_channel(
        {"a": ([5.0, 2.0, 1.0], [("shapefactor", "f", None)])}, [4.0, 2.0, 1.0], channel="A"
    )
    other = one_channel({"b": ([7.0], [("shapefactor", "f", None)])}, [6.0], channel="B")
    workspace["channels"] = other["channels"] + workspace["channels"]
    workspace["observations"] += other["observations"]
    agrees(workspace)


def test_shapefactor_with_more_bins_in_a_later_channel_is_refused() -> None:
    """pyhf has no parameter for the further bins and takes the first one of the model."""
    workspace = one_channel({"a": ([5.0], [("shapefactor", "f", None)])}, [4.0], channel="A")
    other = one_channel(
        {"b": ([7.0, 3.0], [("shapefactor", "f", None), ("normfactor", "k", None)])},
        [6.0, 3.0],
        channel="B",
    )
    workspace["channels"] += other["channels"]
    workspace["observations"] += other["observations"]
    reference = Reference(workspace)
    assert reference.names == ["k", "f[0]"]
    assert reference.at(np.array([2.0, 1.0])).rates.tolist() == [5.0, 14.0, 12.0]  # 3 k k
    with pytest.raises(bknn.errors.WorkspaceError, match="'f'"):
        bknn.HistFactory.from_workspace(workspace)


def test_lumi_without_uncertainty_is_refused() -> None:
    """pyhf takes 1: a hundred per cent on the luminosity, silently."""
    workspace = one_channel({"a": ([5.0], [("lumi", "lumi", None)])}, [4.0])
    config = {"name": "lumi", "inits": [1.0], "auxdata": [1.0], "bounds": [[0.5, 1.5]]}
    workspace["measurements"][0]["config"]["parameters"] = [config]
    assert Reference(workspace).widths.tolist() == [1.0]
    with pytest.raises(bknn.errors.WorkspaceError, match="sigmas"):
        bknn.HistFactory.from_workspace(workspace)


def test_order_of_channels_samples_and_modifiers_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    workspace = belle2_workspace()
    shuffled = copy.deepcopy(workspace)
    for channel in shuffled["channels"]:
        rng.shuffle(channel["samples"])
        for sample in channel["samples"]:
            rng.shuffle(sample["modifiers"])
    rng.shuffle(shuffled["channels"])
    rng.shuffle(shuffled["observations"])
    one = bknn.HistFactory.from_workspace(workspace)
    two = bknn.HistFactory.from_workspace(shuffled)
    assert one.parameter_names == two.parameter_names
    np.testing.assert_allclose(two.log_prob(two.init), one.log_prob(one.init), rtol=1e-13)
