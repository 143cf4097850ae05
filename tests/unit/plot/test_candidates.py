"""The figure of candidates against reconstructed q2."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import bknn
from bknn import errors, inference, models, plot
from bknn.derived.simplified import Background, SimplifiedLikelihood

bknn.enable_x64()

pytestmark = pytest.mark.usefixtures("quick_compilation")

EDGES = np.array([-1.0, 4.0, 8.0, 25.0])


def simple():
    return SimplifiedLikelihood.from_efficiency(
        lambda q2: 0.05 * np.exp(-q2 / 12.0),
        EDGES,
        [500.0, 360.0, 290.0],
        {
            "charged": Background([200.0, 200.0, 200.0], norm=0.1),
            "uubar": Background([150.0, 80.0, 50.0]),
        },
        produced=4e8,
    )


@pytest.fixture(scope="module")
def fits():
    analysis = bknn.Analysis(models.load("signal-strength"), simple().measurement("made-up"))
    return {
        "standard model": inference.fit(analysis, fixed={"mu": 1.0}),
        "rescaled": inference.fit(analysis),
    }


def heights(artist):
    return np.asarray(artist.get_data().values)


@pytest.mark.slow
def test_candidates(fits):
    figure = plot.candidates(fits)
    left, right = figure.axes
    widths = np.diff(EDGES)
    *stack, standard, rescaled = left.patches
    assert [p.get_fill() for p in stack] == [True, True]
    best = fits["rescaled"]
    rates = np.asarray(best.target.rates(best.vector))
    np.testing.assert_allclose(heights(rescaled), rates / widths)
    # The largest background is at the bottom; the top of the stack is all of them.
    factor = 1 + 0.1 * float(best.params["norm_charged"])
    background = heights(stack[-1]) * widths
    np.testing.assert_allclose(background, 200.0 * factor + np.array([150, 80, 50]), rtol=1e-2)
    null = fits["standard model"]
    expected = (np.asarray(null.target.rates(null.vector)) - background) / widths
    np.testing.assert_allclose(heights(right.patches[0]), expected)
    assert standard.get_linestyle() != rescaled.get_linestyle()
    data = right.containers[-1].lines[0].get_ydata()
    np.testing.assert_allclose(data, (np.array([500.0, 360.0, 290.0]) - background) / widths)
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert labels[-3:] == ["standard model", "rescaled", "data"]
    assert "rec" in left.get_xlabel()


def test_candidates_refuses(fits):
    best = fits["rescaled"]
    with pytest.raises(errors.ParameterError, match="0 fits came"):
        plot.candidates({})
    with pytest.raises(errors.UnknownNameError, match="channel"):
        plot.candidates({"a": best}, channels=["X"])
    changed = dataclasses.replace(best, data=best.target.data._replace(counts=np.ones(3)))
    with pytest.raises(errors.ParameterError, match="other counts"):
        plot.candidates({"a": changed, "b": best})
