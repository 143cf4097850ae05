"""The figures hold the numbers of the fit, in every model, and are written the same every time."""

from __future__ import annotations

import copy
import dataclasses
import re

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
import scipy.stats
from matplotlib import _pylab_helpers
from matplotlib.colors import to_rgba
from matplotlib.patches import StepPatch
from PIL import Image

import bknn
from bknn import errors, inference, models, plot, standard_model
from bknn.inference.minimiser.newton import EXHAUSTED
from bknn.models.resonance import SM_UNCERTAINTY
from bknn.plot.drawing import labels
from bknn.plot.drawing.layout import Layout
from bknn.plot.drawing.style import WIDTH, branching_ratio, number
from bknn.plot.fits.bins import BAND, NULL, OTHER, STANDARD_MODEL
from bknn.plot.fits.nuisances import MOST, pulls
from bknn.plot.observables.prediction import prediction as draw_prediction
from bknn.postfit.counts import fitted, poisson_interval, totals
from bknn.postfit.curves import curves
from bknn.studies.observables.spectra import predicted_spectra as compare

pytestmark = pytest.mark.usefixtures("quick_compilation")

A, B, C, D = (
    f"{letter}__Bsig_H_reconstructed_q2_vs_BDT2_Bplus2Kplus_v42_signal_inefficiency_{region}"
    for letter, region in (
        ("A", "zoomSR_Y4S"),
        ("B", "zoomCR_Y4S"),
        ("C", "zoomSR_offres"),
        ("D", "zoomCR_offres"),
    )
)
HADRONIC = "sgn1_had"


@pytest.fixture(scope="module")
def belle2():
    return bknn.data.load("belle2-2025")


@pytest.fixture(scope="module")
def analysis(belle2):
    return bknn.Analysis(models.load("resonance"), belle2)


@pytest.fixture(scope="module")
def result(analysis):
    """The one fit of this file; the others are made up around it."""
    return inference.fit(analysis, init={"mass": 2.1}).check()


@pytest.fixture(scope="module")
def null(result, analysis):
    vector = result.vector.copy()
    vector[analysis.index("branching_ratio")] = 0.0
    return dataclasses.replace(result, vector=vector, twice_nll=result.twice_nll + 13.0)


@pytest.fixture(scope="module")
def figures(result, null):
    return {
        "bins": plot.bins(result, null),
        "nuisances": plot.nuisances(result),
        "spectrum": plot.spectrum(result),
    }


def made_up(like, target, covariance=None, **values):
    """A result at the start of another analysis, with the prior widths as its covariance."""
    vector = target.init_vector.copy()
    for name, value in values.items():
        vector[target.index(name)] = value
    if covariance is None:
        width = np.zeros(target.size)
        width[: len(target.parameters)] = 0.1 * np.abs(vector[: len(target.parameters)])
        width[target.normal[0]] = target.normal[2]
        width[target.poisson[0]] = 1 / np.sqrt(target.poisson[2])
        covariance = np.diag(width**2)
    found = dataclasses.replace(like, target=target, vector=vector, moving=~target.fixed)
    found.__dict__["covariance"] = covariance
    return found


def workspace(n_bins=(3,), samples=("b",), modifiers=(), signal="s"):
    """Channels SR0, SR1, ... with a signal and backgrounds of 10 (k + 1) events a bin."""
    channels = [
        {
            "name": f"SR{i}",
            "samples": [
                {
                    "name": signal,
                    "data": [5.0] * n,
                    "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                },
                *(
                    {"name": s, "data": [10.0 * (k + 1)] * n, "modifiers": [*modifiers]}
                    for k, s in enumerate(samples)
                ),
            ],
        }
        for i, n in enumerate(n_bins)
    ]
    return {
        "channels": channels,
        "observations": [{"name": f"SR{i}", "data": [12.0] * n} for i, n in enumerate(n_bins)],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def plain_analysis(spec):
    measurement = bknn.Measurement("made-up", "", spec)
    return bknn.Analysis(models.load("signal-strength"), measurement)


def panels(figure):
    """{title: (stack, excess, pull)} of a figure of bins."""
    axes = figure.axes
    return {axes[i].get_title(loc="left"): tuple(axes[i : i + 3]) for i in range(0, len(axes), 3)}


def layers(ax):
    """(height, lower edge, colour) of what is filled in a panel, the band left out."""
    found = []
    for patch in ax.patches:
        if isinstance(patch, StepPatch) and patch.get_fill() and patch.get_hatch() != BAND["hatch"]:
            values, _, baseline = patch.get_data()
            found.append((values - baseline, baseline, patch.get_facecolor()))
    return found


def texts(figure):
    every = [t.get_text() for t in figure.texts]
    for ax in figure.axes:
        every += [t.get_text() for t in ax.texts] + [ax.get_xlabel(), ax.get_ylabel()]
        if ax.get_legend():
            every += [t.get_text() for t in ax.get_legend().get_texts()]
    for legend in figure.legends:
        every += [t.get_text() for t in legend.get_texts()]
    return every


# Counts ----------------------------------------------------------------------------------------


def test_poisson_interval_is_the_central_one():
    counts = np.array([0.0, 1.0, 4.0, 110.0, 3098.0])
    lower, upper = poisson_interval(counts)
    tail = scipy.stats.norm.sf(1)
    np.testing.assert_allclose(lower[1:], scipy.stats.chi2.ppf(tail, 2 * counts[1:]) / 2)
    np.testing.assert_allclose(upper, scipy.stats.chi2.ppf(1 - tail, 2 * (counts + 1)) / 2)
    assert lower[0] == 0
    # At the ends of the interval, so few or so many counts have the probability of the tail.
    np.testing.assert_allclose(scipy.stats.poisson.sf(counts[1:] - 1, lower[1:]), tail)
    np.testing.assert_allclose(scipy.stats.poisson.cdf(counts, upper), tail)


def test_counts_are_those_of_the_analysis(result, analysis, belle2):
    found = fitted(result)
    assert [c.name for c in found] == [A, B, C, D, HADRONIC]
    for channel in found:
        np.testing.assert_array_equal(channel.observed, belle2.observed[channel.name])
        total = channel.background + channel.standard_model + channel.new
        np.testing.assert_allclose(channel.total, total, rtol=1e-12)
    total = np.concatenate([c.total for c in found])
    np.testing.assert_allclose(total, jax.jit(analysis.rates)(result.vector), rtol=1e-12)
    np.testing.assert_array_equal(totals(result), total)
    assert [bool(c.new.any()) for c in found] == [True, True, False, False, True]


def test_samples_are_those_of_the_workspace(result, analysis, belle2):
    """At the centre of all constraints the counts are the templates."""
    for channel in fitted(made_up(result, analysis, branching_ratio=0.0)):
        (entry,) = (c for c in belle2.workspace["channels"] if c["name"] == channel.name)
        filled = {s["name"]: s["data"] for s in entry["samples"] if any(s["data"])}
        assert channel.samples.keys() - {"new signal"} == filled.keys()
        for sample, data in filled.items():
            np.testing.assert_allclose(channel.samples[sample], data, rtol=1e-9)
        template = filled.get(belle2.signal.get(channel.name), np.zeros(channel.n_bins))
        np.testing.assert_allclose(channel.standard_model, template, rtol=1e-9)
        assert not channel.new.any()


def test_band_is_the_propagated_covariance(result, analysis):
    """Against a Jacobian from finite differences."""
    rates = jax.jit(jax.vmap(analysis.rates))
    width = result.uncertainty_vector
    step = 1e-4 * np.where(width > 0, width, 1.0)
    up = np.asarray(rates(result.vector + np.diag(step)))
    down = np.asarray(rates(result.vector - np.diag(step)))
    jacobian = (up - down).T / (2 * step)
    sigma = np.sqrt(np.diag(jacobian @ result.covariance @ jacobian.T))
    found = np.concatenate([c.sigma for c in fitted(result)])
    np.testing.assert_allclose(found, sigma, rtol=1e-4)
    # A fit knows a bin better than its count alone does.
    assert (found < 1.2 * np.sqrt(analysis.data.counts + 1)).all()


# Bins ------------------------------------------------------------------------------------------


def test_stack_adds_up_to_the_fit(figures, result):
    found = {c.name: c for c in fitted(result)}
    by_title = panels(figures["bins"])
    titles = {
        "inclusive tag, signal region": A,
        "inclusive tag, control region": B,
        "hadronic tag": HADRONIC,
        "off resonance, signal region": C,
        "off resonance, control region": D,
    }
    # Channels with a signal come first.
    assert list(by_title) == list(titles)
    for title, name in titles.items():
        stack, excess, pull = by_title[title]
        counts = found[name]
        assert stack.get_yscale() == ("log" if name == C else "linear")
        if name != C:
            heights = np.sum([height for height, _, _ in layers(stack)], axis=0)
            np.testing.assert_allclose(heights, counts.total, rtol=1e-12)
            assert layers(stack)[0][1].max() == 0
        height, base, _ = layers(stack)[-1]
        np.testing.assert_allclose(base + height, counts.total, rtol=1e-12)
        signal = np.sum([np.zeros(counts.n_bins), *(h for h, _, _ in layers(excess))], axis=0)
        np.testing.assert_allclose(signal, counts.standard_model + counts.new, rtol=1e-12)
        points = stack.containers[0].lines[0].get_ydata(), excess.containers[0].lines[0].get_ydata()
        np.testing.assert_array_equal(points[0], counts.observed)
        np.testing.assert_allclose(points[1], counts.observed - counts.background, rtol=1e-12)
        bars = next(p for p in pull.patches if isinstance(p, StepPatch)).get_data()[0]
        np.testing.assert_allclose(bars, (counts.observed - counts.total) / counts.total**0.5)


def test_error_bars_are_poisson_intervals(figures, belle2):
    stack = panels(figures["bins"])["hadronic tag"][0]
    (bars,) = stack.containers[0].lines[2]
    ends = np.array(bars.get_segments())[:, :, 1].T
    np.testing.assert_allclose(ends, poisson_interval(belle2.observed[HADRONIC]))


def test_band_and_null_are_drawn(figures, result, null):
    counts = {c.name: c for c in fitted(result)}[HADRONIC]
    for ax, base in zip(
        panels(figures["bins"])["hadronic tag"][:2], (0.0, counts.background), strict=True
    ):
        (band,) = (p for p in ax.patches if p.get_hatch() == BAND["hatch"])
        upper, _, lower = band.get_data()
        np.testing.assert_allclose(upper + base, counts.total + counts.sigma, rtol=1e-9)
        np.testing.assert_allclose(lower + base, counts.total - counts.sigma, rtol=1e-9)
        (line,) = (p for p in ax.patches if isinstance(p, StepPatch) and not p.get_fill())
        np.testing.assert_allclose(line.get_data()[0] + base, totals(null)[-6:], rtol=1e-9)
        assert line.get_linestyle() == "--" or line.get_linewidth() == NULL["linewidth"]


def test_everything_is_within_the_axes(figures, result):
    for counts, (stack, excess, pull) in zip(
        [fitted(result)[i] for i in (0, 1, 4, 2, 3)], panels(figures["bins"]).values(), strict=True
    ):
        lower, upper = poisson_interval(counts.observed)
        assert stack.get_ylim()[1] > max(upper.max(), counts.total.max())
        low, high = excess.get_ylim()
        assert low < (lower - counts.background).min()
        assert high > (upper - counts.background).max()
        assert (
            pull.get_ylim()[1]
            > np.abs(counts.observed / counts.total**0.5 - counts.total**0.5).max()
        )


def test_backgrounds_of_a_kind_are_one(figures, result):
    legend = [t.get_text() for t in figures["bins"].legends[0].get_texts()]
    assert legend[:3] == ["data", "new signal", r"$B^{+} \to K^{+} \nu\bar\nu$, SM shape"]
    assert sorted(legend[3:7]) == sorted({"continuum", *labels.COMMON_SAMPLES.values()})
    assert legend[7:] == ["uncertainty of the fit", "standard-model fit"]
    d_region = fitted(result)[3]
    (height, _, _), *rest = layers(panels(figures["bins"])["off resonance, control region"][0])
    assert not rest
    np.testing.assert_allclose(height, d_region.background, rtol=1e-12)


def test_labels_of_the_data_set_are_used(result, belle2, analysis):
    axis = {"name": "$q^2$", "unit": "GeV$^2$", "edges": [-1, 4, 8, 25]}
    outer = {"name": "score", "edges": [0.94, 0.96, 0.98, 1]}
    table = {
        "channels": {A: "inclusive"},
        "samples": {"sgn_1_had": "unused", "bbbar_1_had": "$B$ decays"},
        "axes": {A: [axis, outer], B: [axis]},
    }
    other = copy.copy(analysis)
    labelled = dataclasses.replace(belle2, metadata={**belle2.metadata, "labels": table})
    other.parts = tuple(dataclasses.replace(p, measurement=labelled) for p in analysis.parts)
    relabelled = dataclasses.replace(result, target=other)
    relabelled.__dict__["covariance"] = result.covariance
    figure = plot.bins(relabelled)
    by_title = panels(figure)
    _, _, bottom = by_title["inclusive"]
    assert bottom.get_xlabel() == "$q^2$ [GeV$^2$]"
    assert [t.get_text() for t in bottom.get_xticklabels()] == ["−1 – 4", "4–8", "8–25"] * 3
    assert "score\n0.94–0.96" in texts(figure)
    assert "0.98–1.00" in texts(figure)
    # One axis only: its edges stand at the edges.
    bottom = by_title["B zoomCR Y4S (inclusive)"][2]
    np.testing.assert_allclose(bottom.get_xticks(), [-0.5, 0.5, 1.5, 2.5])
    assert [t.get_text() for t in bottom.get_xticklabels()] == ["−1", "4", "8", "25"]
    assert by_title["sgn1_had (hadronic)"][2].get_xlabel() == "bin"
    assert "$B$ decays" in texts(figure)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"axes": {"SR0": [{"name": "x", "edges": [0, 1]}]}}, "make 1 bins, but the channel has 3"),
        ({"axes": {"SR0": [{"name": "x", "edges": ["a"]}]}}, "list of edges"),
        ({"axes": {"SR0": [{"edges": [0, 1, 2, 3]}]}}, "a name and a list of edges"),
        ({"channels": ["SR0"]}, "'labels.channels' must be a table"),
        ("SR0", "must be a table"),
    ],
)
def test_labels_that_do_not_fit_are_errors(result, table, words):
    measurement = bknn.Measurement("x", "", workspace(), metadata={"labels": table})
    target = bknn.Analysis(models.load("signal-strength"), measurement)
    found = made_up(result, target)
    with pytest.raises(errors.DataError, match=re.escape(words)):
        plot.bins(found)


def test_many_backgrounds_become_other(result):
    names = [f"b{k}" for k in range(9)]
    spec = workspace((2, 1), names)
    spec["observations"][0]["data"] = [440.0, 450.0]
    figure = plot.bins(made_up(result, plain_analysis(spec), mu=2.0))
    assert OTHER in texts(figure)
    stack, excess, _ = panels(figure)["SR0"]
    assert len(layers(stack)) == 5 + 1 + 1
    np.testing.assert_allclose(np.sum([h for h, _, _ in layers(stack)], axis=0), 460.0)
    ((height, _, colour),) = layers(excess)
    np.testing.assert_allclose(height, 10.0)
    assert colour == pytest.approx(to_rgba(STANDARD_MODEL["facecolor"]))


def test_negative_signal_and_empty_bins_can_be_drawn(result):
    spec = workspace((3,))
    spec["observations"][0]["data"] = [0.0, 12.0, 3.0]
    spec["channels"][0]["samples"][1]["data"] = [0.0, 30.0, 30.0]
    spec["channels"][0]["samples"][0]["data"] = [0.0, 5.0, 5.0]
    found = made_up(result, plain_analysis(spec), mu=-2.0)
    stack, excess, pull = panels(plot.bins(found))["SR0"]
    np.testing.assert_allclose(layers(excess)[0][0], [0.0, -10.0, -10.0])
    assert excess.get_ylim()[0] < -27
    assert stack.get_ylim()[1] > 30
    bars = next(p for p in pull.patches if isinstance(p, StepPatch)).get_data()[0]
    np.testing.assert_allclose(bars, [0.0, -8 / 20**0.5, -17 / 20**0.5])


@pytest.mark.parametrize(
    "sizes", [[1], [2], [100], [9, 3, 6, 9, 3], [1] * 13, [30, 1, 50, 2], [7] * 40, [1000, 1]]
)
def test_panels_fit_on_the_page(sizes):
    layout = Layout.of(sizes, 9)
    assert layout.width <= WIDTH + 1e-9
    boxes = [box for i in range(len(sizes)) for box in layout.boxes(i, 0.3)]
    for left, bottom, width, height in boxes:
        assert min(left, bottom, width, height) > 0
        assert max(left + width, bottom + height) <= 1 + 1e-9
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart_x = one[0] >= other[0] + other[2] or other[0] >= one[0] + one[2]
            apart_y = one[1] >= other[1] + other[3] or other[1] >= one[1] + one[3]
            assert apart_x or apart_y
    assert layout.legend is None or layout.legend[0] < layout.width - 1.0


# Nuisances -------------------------------------------------------------------------------------


def test_pulls_are_those_of_the_constraints(result, analysis):
    found = pulls(result)
    by_name = dict(
        zip(
            np.array(analysis.names)[found.index],
            zip(found.pull, found.constraint, strict=True),
            strict=True,
        )
    )
    # Everything but mass and branching ratio is constrained; a few fluctuations are fixed.
    assert len(by_name) == int(result.moving.sum()) - 2
    pull, constraint = by_name["sm_normalisation"]
    sigma = result.uncertainties["sm_normalisation"]
    np.testing.assert_allclose(pull, (result.params["sm_normalisation"] - 1) / SM_UNCERTAINTY)
    np.testing.assert_allclose(constraint, sigma / SM_UNCERTAINTY)
    # Independently of the analysis: from the parameter sets of the workspace.
    sets = bknn.HistFactory.from_workspace(analysis.measurements[0].workspace).parameter_sets
    checked = 1
    for name, item in sets.items():
        if item.constraint != "normal":
            continue
        values = np.atleast_1d(result.params[name])
        sigmas = np.atleast_1d(result.uncertainties[name])
        for i, flat in enumerate(item.flat_names):
            if not item.fixed[i]:
                pull, constraint = by_name[flat]
                np.testing.assert_allclose(pull, (values[i] - item.auxdata[i]) / item.sigmas[i])
                np.testing.assert_allclose(constraint, sigmas[i] / item.sigmas[i])
                checked += 1
    assert checked == len(by_name)
    # Data can loosen a constraint a little (a likelihood that is no parabola), never much.
    assert (found.constraint < 1.1).all()


def test_every_pull_is_drawn_once(figures, result):
    found = pulls(result)
    drawn = [c.lines[0].get_xdata() for ax in figures["nuisances"].axes for c in ax.containers]
    np.testing.assert_allclose(np.sort(np.concatenate(drawn)), np.sort(found.pull))
    ends = np.concatenate(
        [
            np.array(c.lines[2][0].get_segments())[:, :, 0]
            for ax in figures["nuisances"].axes
            for c in ax.containers
        ]
    )
    np.testing.assert_allclose(
        np.sort(ends[:, 1] - ends[:, 0]), np.sort(2 * found.constraint), rtol=1e-9
    )
    low, high = figures["nuisances"].axes[0].get_xlim()
    assert low < ends.min() < ends.max() < high


def test_nuisances_are_named(figures, analysis):
    alone, strips = figures["nuisances"].axes
    named = [t.get_text() for t in alone.get_yticklabels()]
    assert named[0] == "SM normalisation"
    assert {"nBB", "corr_ff_c1", "mu_bkg_charged", "norm_sgn_1_had"} <= set(named)
    sets = [name for name, s in analysis.nuisances.items() if analysis.names[s.start] != name]
    assert len(strips.get_yticks()) == len(sets)
    assert "bkguncrt charged zoomSR Y4S" in [t.get_text() for t in strips.get_yticklabels()]
    assert [ax.get_xlabel() for ax in (alone, strips)] == ["(fit − centre) / prior width"] * 2


def test_poisson_constraints_have_pulls(result):
    shape = {"name": "shape", "type": "shapesys", "data": [2.0, 1.0, 0.5]}
    target = plain_analysis(workspace(modifiers=[shape]))
    factors = (10.0 / np.array([2.0, 1.0, 0.5])) ** 2
    values = np.array([1.1, 0.9, 1.0])
    found = made_up(result, target, **{f"shape[{i}]": v for i, v in enumerate(values)})
    np.testing.assert_allclose(pulls(found).pull, (values - 1) * np.sqrt(factors))
    np.testing.assert_allclose(pulls(found).constraint, 1.0)
    # Auxiliary data of another experiment move the centre.
    data = target.data._replace(poisson=np.array([20.0, 100.0, 0.0]))
    moved = dataclasses.replace(found, data=data)
    moved.__dict__["covariance"] = found.covariance
    centre, width = data.poisson / factors, np.sqrt([20.0, 100.0, 1.0]) / factors
    np.testing.assert_allclose(pulls(moved).pull, (values - centre) / width)
    assert len(plot.nuisances(moved).axes) == 1


def test_of_too_many_nuisances_the_foremost_are_drawn(result):
    shifts = [
        {"name": f"n{k}", "type": "normsys", "data": {"lo": 0.99, "hi": 1.01}}
        for k in range(MOST + 20)
    ]
    target = plain_analysis(workspace(modifiers=shifts))
    figure = plot.nuisances(made_up(result, target, n100=1.5, n3=-0.5))
    named = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert len(named) == MOST
    assert {"n100", "n3"} <= set(named)
    assert "20 sets of parameters with smaller pulls not shown" in " ".join(texts(figure)).replace(
        "\n", " "
    )


# Spectrum --------------------------------------------------------------------------------------


def groups_of_counts(analysis, vector):
    """Folded signal of the hadronic tag and of the rest, nuisances at their centres."""
    (part,) = analysis.parts
    sm, new = jax.jit(lambda v: part.counts(lambda decay: analysis.spectrum(v, decay)))(vector)
    counts = np.asarray(sm if new is None else sm + new)
    assert len(counts) in (6, 18)
    return {"inclusive": counts[:-6].sum(), "hadronic": counts[-6:].sum()}


@pytest.mark.slow
def test_line_and_standard_model(result, analysis, figures):
    found = curves(result)
    (line,) = found.lines
    assert line.narrow
    for name in ("mass", "branching_ratio"):
        expected = (float(result.params[name]), float(result.uncertainties[name]))
        assert getattr(line, name) == pytest.approx(expected)
    np.testing.assert_allclose(found.prediction, standard_model.dbr_dq2(found.q2))
    norm = float(result.params["sm_normalisation"])
    np.testing.assert_allclose(found.standard_model, norm * found.prediction)
    assert not found.new.any()
    for group, events in groups_of_counts(analysis, result.vector).items():
        assert found.events(group) == pytest.approx(events, rel=1e-3)
        assert any(f"{group}: {events:.1f} events in all" in t for t in texts(figures["spectrum"]))
    produced, kept, seen, mass = figures["spectrum"].axes
    assert produced.get_ylabel() == r"dBR/d$q^2$ [$10^{-7}$ GeV$^{-2}$]"
    assert kept.get_ylabel() == "events per\nBR of $10^{-6}$"
    assert seen.get_ylabel() == "expected signal\n[events / GeV$^2$]"
    assert seen.get_xlabel() == "$q^2$ [GeV$^2$]"
    assert mass.get_xlabel() == "mass of the invisible system [GeV]"
    ticks = [float(t.get_text()) for t in mass.get_xticklabels()]
    np.testing.assert_allclose(mass.get_xticks(), np.square(ticks))
    assert mass.get_xlim() == produced.get_xlim()
    arrows = [t for ax in (produced, seen) for t in ax.texts if t.get_text() == ""]
    assert [a.xy[0] for a in arrows] == [pytest.approx(line.mass[0] ** 2)] * 2
    # Drawn is what was computed.
    lines = {x.get_label(): x.get_ydata() for x in produced.lines}
    np.testing.assert_allclose(lines["fit, SM shape"], 1e7 * found.total)
    np.testing.assert_allclose(
        kept.lines[0].get_ydata()[:100], 1e-6 * found.efficiency["inclusive"][:100]
    )
    np.testing.assert_allclose(
        seen.lines[1].get_ydata(), found.efficiency["hadronic"] * found.total
    )


def test_band_of_a_rate_is_its_uncertainty(result, belle2):
    target = bknn.Analysis(models.load("signal-strength"), belle2)
    found = made_up(result, target, np.diag([1.3**2] + [0.0] * (target.size - 1)), mu=4.6)
    drawn = curves(found)
    np.testing.assert_allclose(drawn.total, 4.6 * drawn.prediction)
    np.testing.assert_allclose(drawn.upper, 5.9 * drawn.prediction, rtol=2e-3)
    np.testing.assert_allclose(drawn.lower, 3.3 * drawn.prediction, rtol=4e-3)
    figure = plot.spectrum(found)
    assert not any("narrow" in t for t in texts(figure))
    for group, events in groups_of_counts(target, found.vector).items():
        assert drawn.events(group) == pytest.approx(events, rel=1e-3)


def test_breit_wigner_is_a_curve(result, belle2):
    target = bknn.Analysis(models.load("resonance"), belle2, free=["width"])
    found = made_up(result, target, mass=2.5, width=0.2, branching_ratio=1e-5)
    drawn = curves(found)
    assert not drawn.lines[0].narrow
    # Area within the physical range, from the arctangents of the integral.
    w, k = 2.5 * 0.2, np.pi / 2 + np.arctan(2.5 / 0.2)
    area = 1e-5 * (np.arctan((drawn.q2[-1] - 6.25) / w) + np.arctan(6.25 / w)) / k
    step = np.diff(drawn.q2)
    assert np.sum(step * (drawn.new[1:] + drawn.new[:-1]) / 2) == pytest.approx(area, rel=1e-3)
    for group, events in groups_of_counts(target, found.vector).items():
        assert drawn.events(group) == pytest.approx(events, rel=2e-3)
    assert any(r"$\Gamma$ = 0.200 ± 0.020 GeV" in t for t in texts(plot.spectrum(found)))
    # The same model with a width that no pen can draw, and at its bound.
    for width in (1e-4, 0.0):
        narrow = made_up(result, target, mass=2.5, width=width, branching_ratio=1e-5)
        assert curves(narrow).lines[0].narrow
    assert any("narrow line" in t for t in texts(plot.spectrum(narrow)))


@pytest.mark.slow
def test_spectrum_of_the_users_own(result, belle2):
    def falling(q2, rate, slope):
        return rate * jnp.exp(-slope * q2) * jnp.where(q2 < 22.885, 1.0, 0.0)

    model = models.from_spectrum(falling, {"rate": 1e-6, "slope": (0.2, 0.0, 1.0)})
    target = bknn.Analysis(model, belle2.select("hadronic"))
    found = made_up(result, target)
    drawn = curves(found)
    inside = drawn.q2 < 22.8
    np.testing.assert_allclose(drawn.new[inside], 1e-6 * np.exp(-0.2 * drawn.q2[inside]))
    assert not drawn.standard_model.any()
    assert list(drawn.efficiency) == ["hadronic"]
    figure = plot.spectrum(found)
    assert "fit" in texts(figure)
    counts = groups_of_counts(target, found.vector)["hadronic"]
    assert drawn.events("hadronic") == pytest.approx(counts, rel=2e-3)
    # No standard-model part: no layer for it.
    assert r"$B^{+} \to K^{+} \nu\bar\nu$, SM shape" not in texts(plot.bins(found))


# Models with form factors ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def wet(belle2):
    return bknn.Analysis(models.load("wet"), belle2.select("hadronic"))


@pytest.mark.slow
def test_new_signal_comes_on_top_of_the_standard_model(result, wet):
    c_sm = wet.model.null["C_VL"]
    found = made_up(result, wet, C_VL=c_sm, C_SL=0.0, C_TL=8.0, ff_K_0=0.5)
    null = made_up(result, wet, C_VL=c_sm, C_SL=0.0, C_TL=0.0, ff_K_0=0.5)
    drawn, known = curves(found), curves(null)
    np.testing.assert_allclose(drawn.standard_model, known.total, rtol=1e-9)
    assert drawn.new.max() > 3 * drawn.standard_model.max()
    assert not known.new.any()
    # The prediction knows nothing of the fit.
    q2 = np.array([1.0, 10.0])
    expected = bknn.predict(models.load("sm"), "dbr_dq2", q2=q2).value
    np.testing.assert_allclose(np.interp(q2, drawn.q2, drawn.prediction), expected, rtol=1e-4)
    (counts,), (of_null,) = fitted(found), fitted(null)
    np.testing.assert_allclose(counts.standard_model, of_null.total - of_null.background)
    np.testing.assert_allclose(counts.total, totals(found))
    assert counts.new.min() > 0
    assert not of_null.new.any()
    drawings = [plot.bins(found), plot.spectrum(found)]
    assert r"$B^{+} \to K^{+} \nu\bar\nu$, SM" in texts(drawings[0])
    assert {"fit, SM part", "fit, total"} <= set(texts(drawings[1]))
    for figure in drawings:
        assert "ff_K" not in figure.texts[-1].get_text()


@pytest.mark.slow
def test_signal_that_interferes_is_one(result, wet):
    found = made_up(result, wet, C_VL=1.0, C_SL=0.0, C_TL=4.0)
    drawn, (counts,) = curves(found), fitted(found)
    assert not drawn.standard_model.any()
    assert not counts.standard_model.any()
    np.testing.assert_allclose(counts.background + counts.new, totals(found))
    assert "signal, SM included" in texts(plot.bins(found))
    assert "fit" in texts(plot.spectrum(found))


def test_form_factors_are_named(result, wet):
    figure = plot.nuisances(made_up(result, wet, ff_K_3=1.5))
    named = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert named[:8] == [f"form factors B → K [{i}]" for i in range(8)]


# Predictions -----------------------------------------------------------------------------------

VECTOR = {"mass": 2.1, "h_V": 5e-9, "h_A": 3e-9}
WIDE = {**VECTOR, "mass": 2.2, "width": 0.05}


@pytest.fixture(scope="module")
def vector():
    return compare(models.load("vector"), "B0 -> K*0", VECTOR)


@pytest.fixture(scope="module")
def wide():
    return compare(models.load("vector"), "B+ -> K+", WIDE)


def test_prediction_is_that_of_predict(vector):
    q2 = vector.q2[[20, 200]]

    @jax.jit
    def expected():
        return [
            bknn.predict(models.load("vector"), "dbr_dq2", "B0 -> K*0", VECTOR, q2),
            bknn.predict(models.load("vector"), "f_l", "B0 -> K*0", VECTOR, q2),
            bknn.predict(models.load("sm"), "branching_ratio", "B0 -> K*0"),
        ]

    rate, f_l, null = expected()
    for drawn, other in ((vector.model.rate, rate), (vector.model.f_l, f_l)):
        for mine, theirs in zip(drawn, other, strict=True):
            np.testing.assert_allclose(np.asarray(mine)[[20, 200]], theirs, rtol=1e-9)
    np.testing.assert_allclose(tuple(vector.standard_model.total), tuple(null), rtol=1e-9)
    # What the line has is missing in the continuum.
    (line,) = vector.lines
    total = float(vector.model.total.value)
    assert line.branching_ratio[0] == pytest.approx(total - float(null.value), rel=1e-6)
    assert 0 < line.branching_ratio[1] < 0.3 * line.branching_ratio[0]
    (beside,) = vector.polarisations
    assert 0.2 < float(beside.value) < 0.9
    assert 0 < float(beside.uncertainty) < 0.1


def covered(figure):
    """How many points of curves in the uppermost panel lie under words or the legend."""
    figure.draw_without_rendering()
    ax = figure.axes[0]
    boxes = [t.get_window_extent() for t in ax.texts if t.get_text()]
    boxes += [t.get_window_extent() for t in ax.get_legend().get_texts()]
    points = np.concatenate([ax.transData.transform(x.get_xydata()) for x in ax.lines])
    return sum(box.count_contains(points) for box in boxes)


def test_narrow_line_is_an_arrow(vector):
    figure = draw_prediction(vector)
    assert r"$B^0 \to K^{*0}$ + invisible" in texts(figure)
    assert any("narrow line\n$m$ = 2.1 GeV" in t for t in texts(figure))
    standard, own = (t.get_text() for t in figure.axes[0].get_legend().get_texts())
    assert standard.startswith("standard model, BR = (8.9 ± 1.0)")
    assert own.startswith("vector, BR = (")
    rate, polarisation, _ = figure.axes
    assert polarisation.get_ylabel() == "$F_L$"
    assert rate.get_xlim() == polarisation.get_xlim()
    assert [t.xy[0] for t in rate.texts if t.get_text() == ""] == [pytest.approx(2.1**2)]
    (diamond,) = polarisation.containers
    np.testing.assert_allclose(
        diamond.lines[0].get_xydata(), [[2.1**2, vector.polarisations[0].value]]
    )
    assert not covered(figure)
    caption = " ".join(figure.texts[-1].get_text().split())
    assert caption.startswith("vector: $m$ = 2.1 GeV")
    assert r"$h_A$ = 3$\,\times\,10^{-9}$" in caption
    assert "form factors grvdv-2023" in caption


def test_wide_line_is_a_peak(wide):
    assert wide.model.f_l is None
    new = wide.model.rate.value - wide.standard_model.rate.value
    area = np.sum(np.diff(wide.q2) * (new[1:] + new[:-1]) / 2)
    (line,) = wide.lines
    # Its tail beyond phase space counts, but is not drawn.
    assert area == pytest.approx(line.branching_ratio[0], rel=5e-3)
    assert np.diff(wide.q2)[np.abs(wide.q2[1:] - line.mass[0] ** 2) < 0.05].max() < 0.02
    figure = draw_prediction(wide)
    assert len(figure.axes) == 2
    assert any(r"$\Gamma$ = 0.05 GeV" in t for t in texts(figure))
    assert not [t for t in figure.axes[0].texts if t.get_text() == ""]
    assert not covered(figure)


def test_width_that_no_pen_can_draw_is_an_arrow(wide):
    found = compare(models.load("vector"), "B+ -> K+", {**WIDE, "width": 1e-4})
    np.testing.assert_allclose(found.model.rate.value, found.standard_model.rate.value)
    (line,) = found.lines
    assert line.narrow
    assert line.branching_ratio == pytest.approx(wide.lines[0].branching_ratio)


def test_threshold_is_resolved():
    found = compare(models.load("scalar-pair"), "B+ -> K+", {"mass": 0.58, "g_SS": 8e-4})
    new = found.model.rate.value - found.standard_model.rate.value
    behind = found.q2 > 4 * 0.58**2
    assert not new[~behind].any()
    # Like a square root: no step from one point to the next may be large.
    assert np.diff(new[found.q2 < 3]).max() < 0.05 * new.max()


@pytest.mark.slow
def test_standard_model_stands_alone(tmp_path):
    channels = ["B+ -> K+", "Bs -> invisible", "B+ -> K+"]
    paths = plot.prediction_figures(models.load("sm"), {}, channels, tmp_path / "new")
    assert [p.name for p in paths] == [
        "prediction_Bplus_Kplus.pdf",
        "prediction_Bplus_Kplus.png",
    ]
    assert all(p.stat().st_size > 10_000 for p in paths)
    alone = compare(models.load("sm"), "B+ -> K+", {})
    figure = draw_prediction(alone)
    assert alone.standard_model is None
    assert len(figure.axes[0].lines) == 1
    (label,) = (t.get_text() for t in figure.axes[0].get_legend().get_texts())
    assert label.startswith("standard model, BR = (4.94 ± 0.30)")
    # At other values it is compared with itself.
    assert compare(models.load("sm"), "B+ -> K+", {"sm_normalisation": 1.2}).standard_model


def test_templates_are_predictions_too():
    figure = plot.prediction(models.load("signal-strength"), params={"mu": 2.7})
    standard, own = (x.get_ydata() for x in figure.axes[0].lines)
    np.testing.assert_allclose(own, 2.7 * standard)
    assert figure.texts[-1].get_text() == r"signal-strength: $\mu$ = 2.7"

    def flat(q2, rate):
        return rate * jnp.ones_like(q2)

    figure = plot.prediction(models.from_spectrum(flat, {"rate": 1e-7}))
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), 1.0)


def test_what_has_no_spectrum_is_an_error():
    with pytest.raises(errors.ParameterError, match="no spectrum to draw"):
        plot.prediction(models.load("sm"), "Bs -> invisible")
    with pytest.raises(errors.UnknownNameError, match="h_W"):
        plot.prediction(models.load("vector"), params={"h_W": 1.0})
    with pytest.raises(errors.ParameterError, match="says nothing about"):
        plot.prediction(models.load("resonance"), "B0 -> K0")


# All figures -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_files_are_written_and_settings_left_alone(result, null, tmp_path):
    before = dict(matplotlib.rcParams)
    paths = plot.fit_figures(result, null, tmp_path / "new" / "folder")
    assert dict(matplotlib.rcParams) == before
    assert not _pylab_helpers.Gcf.figs
    assert [p.name for p in paths] == [
        f"{name}.{kind}" for name in ("bins", "nuisances", "spectrum") for kind in ("pdf", "png")
    ]
    for path in paths:
        content = path.read_bytes()
        assert content.startswith(b"%PDF" if path.suffix == ".pdf" else b"\x89PNG")
        assert len(content) > 10_000
        # Neither a date nor a version of a program.
        assert not re.search(rb"CreationDate|Software|matplotlib", content, re.IGNORECASE)
    with Image.open(tmp_path / "new" / "folder" / "bins.png") as image:
        assert 1000 < image.width < 2000


@pytest.mark.slow
def test_same_figure_same_bytes(result, tmp_path):
    first = plot.save(plot.spectrum(result), tmp_path / "a.b")
    second = plot.save(plot.spectrum(result), tmp_path / "c")
    assert [p.name for p in first] == ["a.b.pdf", "a.b.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_workspace_without_response_has_no_spectrum(result, tmp_path):
    shift = {"name": "shift", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    for modifiers, names in (([shift], {"bins", "nuisances"}), ([], {"bins"})):
        found = made_up(result, plain_analysis(workspace((1, 40), modifiers=modifiers)))
        paths = plot.fit_figures(found, found, tmp_path)
        assert {p.stem for p in paths} == names
    with pytest.raises(errors.DataError, match="no number densities"):
        plot.spectrum(found)
    with pytest.raises(errors.ParameterError, match="no constrained parameter"):
        plot.nuisances(found)


@pytest.mark.slow
def test_several_measurements_stand_side_by_side(result, belle2):
    hadronic = belle2.select("hadronic")
    twin = dataclasses.replace(hadronic, name="twin")
    target = bknn.Analysis(models.load("resonance"), [hadronic, twin])
    found = made_up(result, target, mass=2.0, branching_ratio=1e-5)
    assert [c.measurement.name for c in fitted(found)] == ["belle2-2025", "twin"]
    drawn = curves(found)
    assert list(drawn.efficiency) == ["belle2-2025, hadronic", "twin, hadronic"]
    assert drawn.events("twin, hadronic") == pytest.approx(
        drawn.events("belle2-2025, hadronic"), rel=1e-12
    )
    assert len(plot.bins(found).axes) == 6


def test_captions_say_what_was_fitted(figures, result, null, analysis):
    text = " ".join(figures["bins"].texts[-1].get_text().split())
    assert text.startswith(
        "resonance, fitted to Belle II 2025 (inclusive, hadronic): $m$ = 2.11 ± 0.05 GeV"
    )
    assert "$\\,\\times\\,10^{-6}$" in text
    assert f"{float(result.twice_nll):.2f}".replace("-", "−") in text
    assert "in the standard model 13.00 more" in text
    # Other data, other words; and a failed fit says so.
    data = analysis.data._replace(counts=analysis.data.counts + 1)
    toy = dataclasses.replace(result, data=data, outcome=np.asarray(EXHAUSTED))
    toy.__dict__["covariance"] = result.covariance
    figure = plot.bins(toy)
    words = " ".join(figure.texts[-1].get_text().split())
    assert words.startswith("NOT CONVERGED: resonance, fitted to given counts in place of")
    np.testing.assert_array_equal(fitted(toy)[0].observed, fitted(result)[0].observed + 1)
    # Fixed parameters and those at a bound are marked.
    at_bound = dataclasses.replace(null, moving=result.moving.copy())
    at_bound.moving[0] = False
    at_bound.__dict__["covariance"] = result.covariance
    words = " ".join(plot.nuisances(at_bound).texts[-1].get_text().split())
    assert "GeV (fixed)" in words
    assert "(at its bound)" in words.replace("\0", " ")


def test_without_a_covariance_there_are_no_bands(result):
    lost = dataclasses.replace(result)
    lost.__dict__["covariance"] = np.where(result.covariance != 0, np.nan, 0.0)
    made = [draw(lost) for draw in (plot.bins, plot.nuisances, plot.spectrum)]
    for figure in made:
        figure.draw_without_rendering()
    assert "uncertainty of the fit" not in texts(made[0])
    assert np.isnan(curves(lost).upper).all()


def test_what_cannot_be_drawn_is_an_error(result, null, analysis):
    batch = dataclasses.replace(result, vector=np.stack([result.vector] * 2))
    density = inference.LogDensity(lambda p: -(p["x"] ** 2), {"x": 0.0})
    other = dataclasses.replace(result, target=density)
    for draw in (plot.bins, plot.nuisances, plot.spectrum):
        with pytest.raises(errors.ParameterError, match="choose one of them"):
            draw(batch)
        with pytest.raises(errors.ParameterError, match="a fit of an Analysis"):
            draw(other)
    small = made_up(result, plain_analysis(workspace()))
    with pytest.raises(errors.ParameterError, match="30 bins and the null fit 3"):
        plot.bins(result, small)


def test_dollars_in_names_are_no_formulas(result, tmp_path):
    spec = workspace((2,), samples=("$\\bad$",))
    spec["channels"][0]["name"] = spec["observations"][0]["name"] = "a $\\frac$ b"
    paths = plot.fit_figures(made_up(result, plain_analysis(spec)), None, tmp_path)
    assert paths[0].is_file()


# Labels and numbers ----------------------------------------------------------------------------


def test_long_names_keep_what_tells_them_apart():
    assert labels.distinct(["short", "another"]) == {"short": "short", "another": "another"}
    long = ["region_of_the_analysis_1", "region_of_the_analysis_2"]
    assert list(labels.distinct(long).values()) == ["region 1", "region 2"]
    # Nothing to tell apart by: cut, but never to the same name.
    twins = ["x" * 60 + "a" + "y" * 60, "x" * 60 + "b" + "y" * 60]
    assert len(set(labels.distinct(twins).values())) == 2


def test_sample_names(belle2):
    found = labels.sample_labels(belle2, ["bbbar_1_had", "qqbar_1_had", "rare_1_had"])
    assert found == {
        "bbbar_1_had": labels.COMMON_SAMPLES["bbbar"],
        "qqbar_1_had": "continuum",
        "rare_1_had": "rare",
    }
    assert labels.sample_labels(belle2, ["only_one"]) == {"only_one": "only_one"}
    assert labels.sample_labels(belle2, []) == {}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((2.1076, 0.0547, "GeV"), "2.11 ± 0.05 GeV"),
        ((-0.3, 1.44), "−0.3 ± 1.4"),
        ((1.0, 0.0996), "1.00 ± 0.10"),
        ((120.0, 34.0), "120 ± 34"),
        ((0.5e-5, 1e-5), r"(0.5 ± 1.0)$\,\times\,10^{-5}$"),
        ((0.0,), "0"),
        ((3.9, 0.0, "GeV"), "3.9 GeV"),
        ((12345.6,), "12346"),
        ((4.97e-6,), r"4.97$\,\times\,10^{-6}$"),
        ((-1e-9, 1.0), "0.0 ± 1.0"),
        ((3e-9, 0.0, "GeV^-1"), r"3$\,\times\,10^{-9}$ GeV$^{-1}$"),
        ((float("nan"),), "nan"),
        ((2.0, float("nan")), "2"),
    ],
)
def test_number(arguments, text):
    assert number(*arguments) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1.09e-5, 1.2e-6), r"(10.9 ± 1.2)$\,\times\,10^{-6}$"),
        ((4.97e-6,), r"4.97$\,\times\,10^{-6}$"),
        ((-2e-6, 1e-6), r"(−2.0 ± 1.0)$\,\times\,10^{-6}$"),
        ((2e-3, 1e-4), "0.00200 ± 0.00010"),
        ((0.0,), "0"),
    ],
)
def test_branching_ratio(arguments, text):
    assert branching_ratio(*arguments) == text
