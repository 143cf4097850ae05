"""Posteriors on a grid, in the shell and as figures."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray
from scipy import stats

import bknn
from bknn import errors, inference, plot
from bknn.inference.posteriors.on_grid import Marginal
from bknn.questions.marginal import marginal_table
from bknn.questions.shared import build
from bknn.run import card

from .. import made_up, small
from ..questions.test_shell import refusal, run, strict_json

pytestmark = pytest.mark.usefixtures("quick_compilation")

# A module whose name its function has, too.
MARGINAL = importlib.import_module("bknn.inference.posteriors.marginal")

PRIORS = {"mass": "uniform(1.5, 3.0)", "branching_ratio": "uniform(0, 24e-6)"}


@pytest.fixture(scope="module")
def analysis() -> bknn.Analysis:
    return made_up.analysis(priors=PRIORS)


def known(target: bknn.Analysis, over: dict[str, np.ndarray], log_density: Any) -> Marginal:
    """A posterior that is known, with the priors of an analysis."""
    points = np.meshgrid(*over.values(), indexing="ij")
    prior = np.zeros(points[0].shape)
    for x, name in zip(points, over, strict=True):
        distribution = target.parameters[target.index(name)].distribution
        low, high = float(distribution.low), float(distribution.high)
        prior += np.where((x >= low) & (x <= high), -math.log(high - low), -np.inf)
    return Marginal(target, over, log_density(*points), prior, np.ones(points[0].shape, bool))


def peaks(mass: np.ndarray) -> np.ndarray:
    """Two thirds at 2.1, the rest at 2.6."""
    return np.log(2 / 3 * stats.norm.pdf(mass, 2.1, 0.05) + stats.norm.pdf(mass, 2.6, 0.05) / 3)


@pytest.fixture(scope="module")
def plane(analysis):
    over = {"mass": np.linspace(1.5, 3, 61), "branching_ratio": np.linspace(0, 24e-6, 49)}
    return known(analysis, over, lambda m, b: peaks(m) + stats.norm.logpdf(b, 2e-6, 2e-6))


# ---------------------------------------------------------------- numbers


def test_quantiles_and_regions(analysis):
    found = known(analysis, {"mass": np.linspace(1.5, 3, 121)}, peaks)
    # The middle is within the first peak, at three quarters of it.
    assert found.median("mass") == pytest.approx(stats.norm.ppf(0.75, 2.1, 0.05), abs=2e-3)
    assert found.quantile("mass", 0.9) == pytest.approx(stats.norm.ppf(0.7, 2.6, 0.05), abs=2e-3)
    assert found.deviation("mass") == pytest.approx(
        math.hypot(0.05, 0.5 * math.sqrt(2) / 3), rel=0.01
    )
    own = found.summary("mass")
    (a, b), (c, d) = own["regions_95"]
    held = (
        sum(
            stats.norm.cdf([b, d], m, 0.05).sum() - stats.norm.cdf([a, c], m, 0.05).sum()
            for m in (2.1, 2.1, 2.6)
        )
        / 3
    )
    assert held == pytest.approx(0.95, abs=3e-3)
    assert own["hdi_95"] == pytest.approx([a, d], abs=0.02)
    assert found.problems == []


def test_regions_on_uneven_grids(analysis):
    """A density that falls as 1 / x, on a grid that is even in log x."""
    over = {"branching_ratio": np.geomspace(1e-8, 24e-6, 120)}
    found = known(analysis, over, lambda b: -np.log(b))
    ((low, high),) = found.highest_density("branching_ratio", 0.5)
    assert low == 1e-8
    assert high == pytest.approx(math.sqrt(1e-8 * 24e-6), rel=0.01)
    assert found.median("branching_ratio") == pytest.approx(high, rel=1e-3)


def test_density_of_pairs(plane):
    pair = plane.density("branching_ratio", "mass")
    assert pair.shape == (49, 61)
    assert pair == pytest.approx(plane.density("mass", "branching_ratio").T, rel=1e-12)
    inner = np.trapezoid(pair, plane.grid["mass"], axis=1)
    assert inner == pytest.approx(plane.density("branching_ratio"))


def test_what_is_wrong_with_a_grid(analysis):
    def problems(*grid: float, width: float = 0.1) -> list[str]:
        x = np.linspace(*grid[:2], int(grid[2]))
        return known(analysis, {"mass": x}, lambda m: stats.norm.logpdf(m, 2, width)).problems

    (one,) = problems(1.8, 2.8, 61)
    assert one == (
        "at the first point of the grid, mass = 1.8, the density is 0.1 of its maximum, and the "
        "prior goes on; make the grid longer"
    )
    (one,) = problems(1.5, 3.5, 81)
    assert "goes on beyond its prior, uniform on [1.5, 3]; let it end at 3" in one
    assert problems(1.5, 3.0, 61) == problems(1.6, 2.5, 61) == []
    # A wide density is cut off by its prior, not by the grid.
    assert problems(1.5, 3.0, 61, width=1.0) == []
    assert any("too coarse" in text for text in problems(1.5, 3.0, 9, width=0.07))
    bad = known(analysis, {"mass": np.linspace(1.5, 3, 61)}, peaks)
    bad.converged[3] = False
    assert bad.problems[0].startswith("at 1 point of 61 the maximum over the nuisances was not")
    figure = plot.marginal(bad)
    assert "NOT CONVERGED" in figure.texts[-1].get_text()


# ---------------------------------------------------------------- the shell


@pytest.fixture
def data(monkeypatch) -> None:
    """All data sets are the small one."""
    monkeypatch.setattr(build, "measurements", lambda asked, model=None: [small.measurement()])


def one_bin() -> bknn.Measurement:
    """One bin, whose background is known to two tenths."""
    found = small.one_bin()
    spec = copy.deepcopy(found.workspace)
    background = spec["channels"][0]["samples"][1]
    background["modifiers"] = [
        {"name": name, "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}} for name in ("a", "b")
    ]
    return dataclasses.replace(found, workspace=spec)


def test_sample_over(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(build, "measurements", lambda asked, model=None: [one_bin()])
    out = tmp_path / "out"
    done = run(
        "sample", "signal-strength", "--prior", "mu=uniform(0, 4)", "--fix", "b=0.5",
        "--over", "mu=0:4:41", "--out", out,
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert "fixed            b = 0.5" in done.out
    assert "integrated out   1 nuisance, at each point by Laplace's method" in done.out
    assert "converged        41 of 41 points" in done.out
    assert "grid             mu: 41 points, 0 ... 4" in done.out
    names = ["grid.nc", "marginal.pdf", "marginal.png", "result.json"]
    assert sorted(p.name for p in out.iterdir()) == names
    found = strict_json(out / "result.json")
    assert found["command"] == "sample"
    assert found["priors"] == {"mu": "uniform on [0, 4]"}
    assert found["fixed"] == {"b": 0.5}
    own = found["posterior"]["mu"]
    assert set(own) == {
        "mode", "marginal_mode", "mean", "median", "hdi_68", "hdi_95", "regions_68", "regions_95",
        "r_hat", "ess_bulk", "ess_tail",
    }  # fmt: skip
    assert own["r_hat"] is own["ess_bulk"] is own["ess_tail"] is None
    assert own["regions_68"] == [own["hdi_68"]]
    grid = found["grid"]
    assert set(grid) == {
        "method", "parameters", "points", "range", "converged", "log_evidence", "status", "seconds",
    }  # fmt: skip
    assert (grid["method"], grid["points"], grid["converged"]) == ("laplace", [41], 41)
    assert grid["range"] == [[0.0, 4.0]]
    assert found["provenance"]["settings"]["over"] == {"mu": "0:4:41"}
    with xarray.open_dataset(out / "grid.nc", engine="scipy") as arrays:
        assert list(arrays.dims) == ["mu"]
        density = np.exp(arrays.log_density)
        assert float(density.integrate("mu")) == pytest.approx(1.0)
        assert float((arrays.mu * density).integrate("mu")) == pytest.approx(own["mean"])
        assert float(arrays.log_prior[0]) == pytest.approx(-math.log(4))


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--chains", "4"], "--chains is about chains, and with --over there are none"),
        (["--draws", "50", "--method", "nuts"], "--draws, --method are about chains"),
        (["--resume"], "--resume is about chains"),
        (["--target-ess", "100", "--warmup", "10"], "--warmup, --target-ess are about chains"),
        (["--fix", "mass=2"], "--over and --fix both give 'mass'"),
        (["--over", "branching_ratio=1e-6"], "branching_ratio has 1 different values of 1"),
        (["--over", "sm_normalisation=0:2:9"], "has a constraint instead of a prior"),
        (["--over", "masse=0:2:9"], "did you mean 'mass'"),
        (["--over", "mass=0:2:9"], "--over gives 'mass' two grids"),
        (["--prior", "mass=uniform(3, 4)"], "no finite integral over the grid"),
    ],
)
def test_refusals(words, problem, monkeypatch):
    # No point needs to be computed for these.
    monkeypatch.setattr(MARGINAL, "_program", lambda *_: constant)
    assert problem in refusal("sample", "resonance", "--over", "mass=1.5:2.5:11", *words)


def constant(points: Any, start: Any, *_: Any) -> tuple[Any, ...]:
    """A likelihood that says nothing."""
    n = len(points)
    return np.zeros(n), np.tile(np.eye(2), (n, 1, 1)), np.ones(n, bool), start


@pytest.mark.usefixtures("data")
def test_warnings_and_failures(tmp_path, monkeypatch):
    words = ["sample", "resonance", "--over", "mass=1.5:2.5:11", "--no-figures"]
    monkeypatch.setattr(MARGINAL, "_program", lambda *_: constant)
    done = run(*words)
    assert done.code == 0
    assert done.err.startswith("bknn: at the first point of the grid, mass = 1.5, the density is 1")
    assert "grid             At the first point of the grid" in done.out

    def failed(points: Any, start: Any, *_: Any) -> tuple[Any, ...]:
        value, matrix, done, z = constant(points, start)
        return value, matrix, done & (points[:, 0] < 2.45), z

    monkeypatch.setattr(MARGINAL, "_program", lambda *_: failed)
    done = run(*words, "--out", tmp_path)
    assert done.code == 1
    assert "converged        10 of 11 points" in done.out
    assert strict_json(tmp_path / "result.json")["grid"]["converged"] == 10


@pytest.mark.usefixtures("data")
def test_on_a_card(tmp_path, monkeypatch):
    monkeypatch.setattr(MARGINAL, "_program", lambda *_: constant)
    text = '[model]\nname = "resonance"\n[sample]\nover = {mass = "0.1:4.7:9"}\n'
    text = f"[run]\nfigures = false\n{text}"
    path = tmp_path / "card.toml"
    path.write_text(text)
    assert card.Card.read(path).questions["sample"].over == {"mass": "0.1:4.7:9"}
    run("run", path, "--out", tmp_path / "out")
    assert strict_json(tmp_path / "out" / "result.json")["grid"]["points"] == [9]
    path.write_text(text + "draws = 800\n")
    assert "--draws is about chains" in run("run", path, "--out", tmp_path / "other").err


def test_too_many_parameters():
    free = made_up.analysis(free=["width"])
    names = ("mass", "branching_ratio", "width", "sm_normalisation")
    with pytest.raises(errors.ParameterError, match="the grid has 4 parameters"):
        inference.marginal(free, {name: np.linspace(0.1, 1, 3) for name in names})


# ---------------------------------------------------------------- figures and tables


def test_table(plane):
    text = marginal_table(plane, 1.5)
    (line,) = (x for x in text.splitlines() if x.startswith("mass"))
    # Both regions have two parts.
    assert line.count(" and ") == 2
    assert line.endswith("GeV")
    assert "branching_ratio: 49 points, 0 ... 2.4e-05" in text
    assert max(map(len, text.splitlines())) < 160


def test_figure_of_one(analysis):
    figure = plot.marginal(known(analysis, {"mass": np.linspace(1.5, 3, 61)}, peaks))
    (ax,) = figure.axes
    assert ax.get_xlim() == (1.5, 3.0)
    assert [x.get_text() for x in figure.legends[0].get_texts()] == [
        "68% highest density", "95%", "joint mode", "prior",
    ]  # fmt: skip
    assert not plt.get_fignums()


def test_figure_of_two(plane, tmp_path):
    figure = plot.marginal(plane)
    assert len(figure.axes) == 3
    mass, pair, ratio = figure.axes
    assert ratio.get_xlabel() == "BR [$10^{-6}$]"
    assert mass.get_title() == "68%: 2.033 – 2.167, 2.571 – 2.629"
    # The prior of the branching ratio, in units of 1e-6.
    assert any(np.allclose(x.get_ydata(), 1 / 24) for x in ratio.lines)
    (cross,) = (x for x in pair.lines if x.get_marker() == "+")
    assert float(cross.get_xdata()[0]) == pytest.approx(2.1)
    assert "61 × 49" in figure.texts[-1].get_text()
    # Both peaks are within the 95% region.
    ends = pair.collections[-1].get_paths()[0].get_extents()
    assert ends.x0 == pytest.approx(2.0, abs=0.05)
    assert ends.x1 == pytest.approx(2.7, abs=0.05)
    assert ends.y0 == 0.0
    assert [p.name for p in plot.save(figure, tmp_path / "marginal")] == [
        "marginal.pdf", "marginal.png",
    ]  # fmt: skip


def test_figure_of_three(analysis):
    free = made_up.analysis(priors={**PRIORS, "width": "uniform(0, 0.5)"}, free=["width"])
    over = {
        "width": np.linspace(0, 0.5, 7),
        "mass": np.linspace(1.5, 3, 9),
        "branching_ratio": np.linspace(0, 24e-6, 8),
    }
    found = known(free, over, lambda w, m, b: -((m - 2) ** 2) / 0.1 - b / 1e-5 - w)
    figure = plot.marginal(found)
    assert len(figure.axes) == 6
    assert figure.axes[3].get_xlabel() == r"$\Gamma$ [GeV]"
