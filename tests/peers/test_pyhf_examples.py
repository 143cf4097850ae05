"""The models of pyhf's documentation and of its own tests (sources: tests/fixtures/pyhf)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bknn

from .reference import Reference, compare, pyhf, pyhf_speaks_softly
from .workspaces import parameter_points, random_data

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pyhf"
EXAMPLES = sorted(path.stem for path in FIXTURES.glob("*.json"))


def measurements(name: str) -> list[str]:
    workspace = json.loads((FIXTURES / f"{name}.json").read_text())
    return [measurement["name"] for measurement in workspace["measurements"]]


def assert_agreement(
    pdf: bknn.HistFactory, reference: Reference, points: np.ndarray | None = None
) -> None:
    assert list(pdf.parameter_names) == reference.names
    rng = np.random.default_rng(0)
    points = parameter_points(reference, rng) if points is None else points
    toys = np.stack([random_data(reference, rng) for _ in points])
    observed = np.broadcast_to(reference.data, toys.shape)
    problems = compare(
        reference, pdf, np.concatenate([points, points]), np.concatenate([observed, toys])
    )
    assert not problems, "\n".join(problems)


def test_the_examples_are_there() -> None:
    assert len(EXAMPLES) >= 15


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str) -> None:
    path = FIXTURES / f"{name}.json"
    pdf = bknn.HistFactory.from_workspace(path)
    reference = Reference(json.loads(path.read_text()))
    assert_agreement(pdf, reference)
    np.testing.assert_array_equal(pdf.flatten(pdf.init), reference.init)
    np.testing.assert_array_equal(
        np.concatenate([np.reshape(pair, (-1, 2)) for pair in pdf.bounds.values()]),
        reference.bounds,
    )
    np.testing.assert_array_equal(
        np.concatenate([np.reshape(flag, (-1,)) for flag in pdf.fixed.values()]), reference.fixed
    )


@pytest.mark.parametrize(
    ("name", "measurement"),
    [
        (name, measurement)
        for name in EXAMPLES
        for measurement in measurements(name)
        if len(measurements(name)) > 1
    ],
)
def test_every_measurement(name: str, measurement: str) -> None:
    path = FIXTURES / f"{name}.json"
    pdf = bknn.HistFactory.from_workspace(path, measurement=measurement)
    assert_agreement(pdf, Reference(json.loads(path.read_text()), measurement))


@pytest.mark.parametrize("normsys", ["code1", "code4"])
@pytest.mark.parametrize("histosys", ["code0", "code4p"])
@pytest.mark.parametrize("name", ["2-channel-coupled-histosys", "2-channel-coupled-normsys"])
def test_interpolation_codes(name: str, normsys: str, histosys: str) -> None:
    """Along alpha, with the joints and their neighbours."""
    workspace = json.loads((FIXTURES / f"{name}.json").read_text())
    codes = {"normsys": normsys, "histosys": histosys}
    pdf = bknn.HistFactory.from_workspace(workspace, interpolation=codes)
    reference = Reference(workspace, interpolation=codes)
    alpha = np.concatenate(
        [
            np.linspace(-5.0, 5.0, 41),
            [np.nextafter(joint, to) for joint in (-1.0, 1.0) for to in (-9.0, 9.0)],
            [1e-12, -1e-12, -0.0],
        ]
    )
    (at,) = (i for i, name in enumerate(reference.names) if name.startswith("coupled"))
    points = np.tile(reference.init, (len(alpha), 1))
    points[:, at] = alpha
    assert_agreement(pdf, reference, points)


def as_workspace(model: Any, counts: list[float]) -> dict[str, Any]:
    """A pyhf model, which is a specification, with the data that make it a workspace."""
    (channel,) = model.config.channels
    return {
        "channels": json.loads(json.dumps(model.spec["channels"])),
        "observations": [{"name": channel, "data": counts}],
        "measurements": [{"name": "measurement", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


@pytest.mark.parametrize(
    ("kind", "arguments", "counts"),
    [
        (
            "uncorrelated_background",
            {"signal": [12.0, 11.0], "bkg": [50.0, 52.0], "bkg_uncertainty": [3.0, 7.0]},
            [51.0, 48.0],
        ),
        (
            "uncorrelated_background",  # the example of pyhf's README
            {"signal": [10.0], "bkg": [50.0], "bkg_uncertainty": [7.0]},
            [55.0],
        ),
        (
            "uncorrelated_background",
            {"signal": [1.0] * 40, "bkg": [20.0] * 40, "bkg_uncertainty": [2.0] * 40},
            [21.0] * 40,
        ),
        (
            "correlated_background",
            {
                "signal": [12.0, 11.0],
                "bkg": [50.0, 52.0],
                "bkg_up": [45.0, 57.0],
                "bkg_down": [55.0, 47.0],
            },
            [51.0, 48.0],
        ),
    ],
)
def test_simple_models(kind: str, arguments: dict[str, Any], counts: list[float]) -> None:
    with pyhf_speaks_softly():
        model = getattr(pyhf.simplemodels, kind)(**arguments)
    workspace = as_workspace(model, counts)
    assert_agreement(bknn.HistFactory.from_workspace(workspace), Reference(workspace))
