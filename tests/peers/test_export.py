"""What we export is what pyhf reads: the same log pdf, relative 1e-10."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from hypothesis import given, settings

import bknn
from bknn import models

from .reference import Reference, disagreement
from .workspaces import cases

POINTS = 4

CASES = {
    "signal-strength": ("signal-strength", {"mu": 4.6}, {}),
    "resonance": (
        "resonance",
        {"mass": 2.1, "branching_ratio": 9e-6, "sm_normalisation": 0.95},
        {},
    ),
    "reweighting": (
        "resonance",
        {"mass": 2.1, "branching_ratio": 9e-6, "sm_normalisation": 1.05, "width": 0.1},
        {"response": "reweighting", "free": ["width"]},
    ),
}


@pytest.fixture(scope="module")
def belle2() -> bknn.Measurement:
    return bknn.data.load("belle2-2025")


@pytest.mark.parametrize("name", CASES)
def test_log_pdf_of_belle2_with_a_signal_put_in(name, belle2):
    """pyhf's log pdf is our likelihood, less the constraints that only the model has."""
    model, physics, options = CASES[name]
    analysis = bknn.Analysis(models.load(model), belle2, **options)
    exported = analysis.to_workspace({**analysis.init, **physics})
    reference = Reference(json.loads(json.dumps(exported)))
    rng = np.random.default_rng(20250701)
    index = {label: i for i, label in enumerate(analysis.names)}
    (poi,) = (i for i, label in enumerate(reference.names) if label == "mu")
    order = [index.get(label, -1) for label in reference.names]
    assert [label for label, i in zip(reference.names, order, strict=True) if i < 0] == (
        [] if "mu" in physics else ["mu"]
    )
    widths = np.full(analysis.size, 0.05)  # of the free normalisations
    widths[analysis.normal[0]] = 0.5 * analysis.normal[2]
    vectors = analysis.init_vector + widths * rng.normal(size=(POINTS, analysis.size))
    vectors[0] = analysis.init_vector
    for label, value in physics.items():
        vectors[:, index[label]] = value
    own = sum(
        -0.5 * ((physics[p.name] - p.constraint[0]) / p.constraint[1]) ** 2
        - np.log(p.constraint[1] * np.sqrt(2 * np.pi))
        for p in analysis.parameters
        if p.constraint is not None
    )
    ours = np.asarray(jax.jit(jax.vmap(analysis.log_density))(vectors)) - own
    for vector, value in zip(vectors, ours, strict=True):
        parameters = vector[order]
        parameters[poi] = 1.0
        assert value == pytest.approx(reference.at(parameters).log_prob, rel=1e-10)
    # At the start of a fit, pyhf stands where the signal was put in.
    assert reference.init[poi] == 1.0


@settings(max_examples=20)
@given(case=cases())
def test_round_trip_of_generated_workspaces(case):
    """Parameters, data and log pdf stay what they were."""
    round_trip(case)


@pytest.mark.nightly
@settings(max_examples=1000)
@given(case=cases())
def test_round_trip_of_a_thousand_workspaces(case):
    round_trip(case)


def round_trip(case):
    """Read by bknn, written, read by pyhf."""
    original = Reference(case.workspace, case.measurement, case.interpolation)
    pdf = bknn.HistFactory.from_workspace(
        case.workspace, measurement=case.measurement, interpolation=case.interpolation
    )
    written = json.loads(json.dumps(pdf.to_workspace(), allow_nan=False))
    again = Reference(written, None, case.interpolation)
    assert again.names == original.names
    np.testing.assert_array_equal(again.data, original.data)
    np.testing.assert_array_equal(again.init, original.init)
    np.testing.assert_array_equal(again.bounds, original.bounds)
    np.testing.assert_array_equal(again.fixed, original.fixed)
    rng = np.random.default_rng(0)
    for scale in (0.0, 0.3, 1.0):
        parameters = original.init + scale * original.widths * rng.normal(size=len(original.init))
        point, after = original.at(parameters), again.at(parameters).log_prob
        assert np.isfinite(after) == np.isfinite(point.log_prob)
        assert not np.isfinite(after) or disagreement(point, after) is None
