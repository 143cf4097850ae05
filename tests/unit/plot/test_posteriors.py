"""Figures of posteriors: what they show, at the values that were put in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy import stats

import bknn
from bknn import errors, models, plot
from bknn.inference.evidences.comparison import Comparison
from bknn.inference.posteriors import smoothing
from bknn.inference.posteriors.predictive import posterior_predictive, prior_predictive
from bknn.inference.posteriors.reweight import reweight
from bknn.plot.drawing.style import BLUE, GREY, VERMILLION

from .. import made_up, small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def analysis() -> bknn.Analysis:
    return made_up.analysis(
        priors={"mass": "uniform(1.5, 3.0)", "branching_ratio": "uniform(0, 24e-6)"}
    )


@pytest.fixture(scope="module")
def posterior(analysis):
    return made_up.posterior(analysis, draws())


def draws(n: int = 500) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(2)
    mass = generator.normal(2.1, 0.08, (4, n))
    return {
        "mass": mass,
        # As low as it can be: the density ends there, and does not vanish.
        "branching_ratio": np.abs(generator.normal(0, 4e-6, (4, n))),
        "sm_normalisation": generator.normal(1, 0.05, (4, n)),
    }


@pytest.fixture(autouse=True)
def nothing_left_open():
    yield
    assert not plt.get_fignums()


# ---------------------------------------------------------------- densities


def test_density_at_an_end_is_not_smeared_out():
    x = np.abs(np.random.default_rng(0).normal(size=40_000))
    grid, height = smoothing.curve(x, (0.0, 5.0))
    assert height[0] == pytest.approx(2 * stats.norm.pdf(0), rel=0.05)
    assert np.sum(height) * (grid[1] - grid[0]) == pytest.approx(1.0, abs=1e-3)


def test_weighted_density():
    x = np.random.default_rng(0).uniform(0, 1, 40_000)
    grid, height = smoothing.curve(x, (0.0, 1.0), weights=x)
    middle = (grid > 0.1) & (grid < 0.9)
    assert height[middle] == pytest.approx(2 * grid[middle], rel=0.15)


def test_regions_of_a_normal_distribution():
    """The 68% and 95% regions of two dimensions end where chi2 of two degrees has these values."""
    x, y = np.random.default_rng(1).normal(size=(2, 100_000))
    a, b, height = smoothing.plane(x, y, ((-4.5, 4.5), (-4.5, 4.5)))
    top = height.max()
    for level, limit in zip((0.68, 0.95), smoothing.heights(height, (0.68, 0.95)), strict=True):
        inside = height > limit
        radius = np.hypot(*np.meshgrid(a, b))[inside].max()
        # A blur of 0.17 widens it by 1.4%, a cell is 0.1.
        assert radius == pytest.approx(np.sqrt(stats.chi2(2).ppf(level)), rel=0.1)
        assert limit < top


# ---------------------------------------------------------------- corner


@pytest.mark.slow
def test_corner(posterior):
    figure = plot.corner(posterior, marks={"a paper": {"mass": 2.2, "branching_ratio": 9.2e-6}})
    axes = figure.axes
    assert len(axes) == 6
    assert axes[3].get_xlabel() == "$m$ [GeV]"
    assert axes[4].get_xlabel() == "BR [$10^{-6}$]"
    # Ends of the priors are not crossed.
    assert axes[2].get_xlim()[0] == 0.0
    lines = {to_hex(x.get_color()): x for x in axes[0].lines}
    assert float(lines["#000000"].get_xdata()[0]) == pytest.approx(posterior.mode[0])
    assert float(lines[VERMILLION.lower()].get_xdata()[0]) == 2.2
    low, high = posterior.summary("mass")["hdi_68"]
    assert axes[0].get_title() == f"68%: {low:.3f} – {high:.3f}"
    (legend,) = figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == ["68% highest density", "95%", "joint mode", "a paper"]


def test_divergent_transitions_are_marked(analysis):
    found = made_up.posterior(analysis, draws(), diverging=3)
    figure = plot.corner(found, ["mass", "branching_ratio"])
    (crosses,) = (x for x in figure.axes[1].lines if x.get_marker() == "x")
    assert len(crosses.get_xdata()) == 3
    said = figure.texts[-1].get_text().replace("\n", " ")
    assert "NOT CONVERGED" in said
    assert "3 divergent transitions" in said


def test_one_parameter(posterior):
    figure = plot.corner(posterior, ["branching_ratio"])
    (ax,) = figure.axes
    assert ax.get_xlabel() == "BR [$10^{-6}$]"
    assert "2 more parameters of the model not shown" in figure.texts[-1].get_text().replace(
        "\n", " "
    )


@pytest.mark.parametrize("draw", [plot.corner, plot.trace, plot.ranks, plot.prior_posterior])
def test_what_did_not_move_is_not_drawn(analysis, draw):
    moving = np.ones(analysis.size, bool)
    moving[0] = False
    held = made_up.posterior(analysis, draws(10), moving=moving)
    with pytest.raises(errors.ParameterError, match="'mass' was fixed in this posterior"):
        draw(held, ["mass"])
    with pytest.raises(errors.UnknownNameError, match="unknown parameter 'masse'"):
        draw(held, ["masse"])


# ---------------------------------------------------------------- chains


def test_trace(posterior):
    figure = plot.trace(posterior)
    assert len(figure.axes) == 6
    assert len(figure.axes[0].lines) == 4
    assert figure.axes[0].lines[1].get_ydata() == pytest.approx(posterior.draws[1, :, 0])
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["chain 1", "chain 2", "chain 3", "chain 4", "95%, if independent"]


def test_ranks_show_a_chain_that_is_elsewhere(analysis):
    values = draws()
    values["mass"][2] += 1.0
    figure = plot.ranks(made_up.posterior(analysis, values), ["mass"])
    (ax,) = figure.axes
    counts = np.array(
        [patch.get_data().values for patch in ax.patches if hasattr(patch, "get_data")]
    )
    # All of its draws are in the last quarter of the ranks, and nobody else's are.
    assert counts[2][-5:].sum() == counts[2].sum() == 500
    assert counts[[0, 1, 3], -5:].sum() == 0
    assert "R-hat" in ax.get_title()


def test_ranks_add_the_nuisances_that_agree_least(posterior):
    titles = [ax.get_title() for ax in plot.ranks(posterior).axes]
    assert len(titles) == 3 + 4
    hat = {name: x for name, x in zip(posterior.names, posterior.r_hat, strict=True)}
    own = ("mass", "branching_ratio", "sm_normalisation")
    worst = max((n for n in hat if n not in own), key=lambda n: hat[n])
    assert titles[3].startswith(worst)


# ---------------------------------------------------------------- priors and nuisances


def test_prior_beside_posterior(posterior):
    other = reweight(posterior, {"mass": "flat_in_square(1.5, 3)"})
    figure = plot.prior_posterior(posterior, others={"flat in mass^2": other})
    mass, ratio, norm = figure.axes
    assert mass.get_title() == "uniform on [1.5, 3]"
    assert norm.get_title().startswith("1.00 ± 0.05")
    lines = [x for x in mass.lines if to_hex(x.get_color()) == GREY.lower()]
    assert lines[0].get_ydata() == pytest.approx(1 / 1.5)
    # In units of 1e-6.
    (line,) = (x for x in ratio.lines if to_hex(x.get_color()) == GREY.lower())
    assert line.get_ydata() == pytest.approx(1 / 24)
    assert ratio.get_xlim() == pytest.approx((0, 24))
    assert "flat in mass^2" in [t.get_text() for t in figure.legends[0].get_texts()]
    assert "effective draws" in figure.texts[-1].get_text()


def test_forest(posterior):
    figure = plot.forest(posterior)
    assert figure.axes[0].get_xlabel() == "(posterior − centre) / prior width"
    # The draws are 0.9 of the width of the constraints: 68% is within 0.9.
    segments = figure.axes[0].collections[1].get_segments()
    ends = np.array([s[:, 0] for s in segments])
    assert len(ends) == 4  # sm_normalisation, ff, norm_b, shape_b
    assert ends[1:, 1] - ends[1:, 0] == pytest.approx(1.8, rel=0.15)


def test_no_forest_without_constraints():
    free = bknn.Analysis(models.load("signal-strength"), small.one_bin())
    found = made_up.posterior(free, {"mu": np.random.default_rng(0).normal(1, 0.2, (2, 50))})
    with pytest.raises(errors.ParameterError, match="no forest to draw"):
        plot.forest(found)


# ---------------------------------------------------------------- counts and evidences


def test_predictive(analysis, posterior):
    for found in (prior_predictive(analysis, 200), posterior_predictive(posterior, 200)):
        figure = plot.predictive(found)
        assert len(figure.axes) == 6
        counts = figure.axes[0]
        (points,) = (x for x in counts.lines if x.get_marker() == "o")
        # The channel with the signal comes first; in the analysis it is the second.
        assert np.asarray(points.get_ydata()) == pytest.approx(small.OBSERVED[1])
        bands = [p.get_data() for p in counts.patches if hasattr(p, "get_data")]
        low, high = np.quantile(found.counts[:, 2:], [0.025, 0.975], axis=0)
        assert bands[0].values == pytest.approx(high)
        assert bands[0].baseline == pytest.approx(low)
        said = figure.texts[-1].get_text().replace("\n", " ")
        assert f"{found.kind} predictive of resonance, small (SR, CR); 200 draws" in said


def test_evidence(analysis):
    def found(value: float) -> SimpleNamespace:
        estimates = tuple(
            SimpleNamespace(value=value + i, error=0.1, method=f"method {i}") for i in range(2)
        )
        return SimpleNamespace(
            analysis=analysis,
            value=value,
            error=0.1,
            method="method 0",
            estimates=estimates,
            converged=True,
            status="",
        )

    figure = plot.evidence(Comparison({"resonance": found(-10.0), "background": found(-14.0)}))
    (ax,) = figure.axes
    assert ax.get_xlabel() == "log$_{10}$ of the Bayes factor against background"
    places = [float(c.lines[0].get_xdata()[0]) for c in ax.containers]
    assert places == pytest.approx(np.array([4, 5, 0, 1]) / np.log(10))
    assert to_hex(ax.containers[0].lines[0].get_markerfacecolor()) == BLUE.lower()


def test_all_figures_are_written(posterior, analysis, tmp_path: Path):
    predicted = (posterior_predictive(posterior, 50),)
    paths = plot.posterior_figures(posterior, tmp_path, predicted=predicted)
    names = [
        "corner", "trace", "prior_posterior", "ranks", "forest", "posterior_predictive",
    ]  # fmt: skip
    assert [p.name for p in paths] == [f"{n}.{kind}" for n in names for kind in ("pdf", "png")]
    assert all(p.stat().st_size > 1000 for p in paths)
