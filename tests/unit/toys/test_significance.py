"""Significances: local against formulas, global against sums over the Poisson distribution."""

from __future__ import annotations

import dataclasses
import importlib
import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import bknn
from bknn import errors, inference, models, plot
from bknn.analysis.analysis import Data
from bknn.inference.datasets import throw
from bknn.inference.minimiser.newton import EXHAUSTED
from bknn.inference.toys.goodness import goodness_of_fit
from bknn.inference.toys.significance import Significance, best_fit, significance
from bknn.inference.toys.toys import Toys, toys
from bknn.inference.toys.upcrossings import upcrossings
from bknn.spectrum import Line, Spectrum

from .. import small

#: The module; `plot.toys` is its function.
figures = importlib.import_module("bknn.plot.likelihoods.toys")

pytestmark = pytest.mark.usefixtures("quick_compilation")


def one_bin(counts: float) -> bknn.Analysis:
    """n counts where 4 mu + 8 are expected, 12 under the null."""
    return bknn.Analysis(models.load("signal-strength"), small.one_bin(counts))


def q(n: np.ndarray | float, rate: float = 12.0) -> np.ndarray:
    n = np.asarray(n, float)
    return 2 * (rate - n + np.where(n > 0, n * np.log(np.maximum(n, 1) / rate), 0.0))


@pytest.fixture(scope="module")
def bump() -> bknn.Analysis:
    return bknn.Analysis(
        models.load("resonance"), small.with_counts([84.0, 58.0, 68.0], [215.0, 148.0])
    )


@pytest.fixture(scope="module")
def found(bump: bknn.Analysis) -> Significance:
    return significance(bump, toys=300, seed=1)


# ---------------------------------------------------------------- local


@pytest.mark.parametrize("counts", [20.0, 12.0, 6.0])
def test_local_significance_of_a_counting_experiment(counts):
    result = significance(one_bin(counts))
    assert result.t == pytest.approx(float(q(counts)), abs=1e-9)
    z = math.copysign(math.sqrt(q(counts)), counts - 12)
    assert result.z == pytest.approx(z, abs=1e-4)
    assert result.p == pytest.approx(stats.norm.sf(z), rel=1e-3)
    assert result.dof == 1
    assert result.tested == {"mu": 1.0}
    assert result.meaningless == ()
    assert "(Wilks)" in result.status
    assert result.toys is None
    assert result.n_toys == result.failed.count == 0
    with pytest.raises(errors.ParameterError, match="toys=10000"):
        _ = result.global_p


def test_other_data():
    data = Data(np.array([20.0]), np.zeros(0), np.zeros(0))
    assert significance(one_bin(12.0), data=data).t == pytest.approx(float(q(20.0)), abs=1e-9)


# ---------------------------------------------------------------- global


@pytest.mark.parametrize(
    ("counts", "beyond"), [(18.0, 18), pytest.param(6.0, 6, marks=pytest.mark.slow)]
)
def test_global_p_of_a_counting_experiment_is_a_poisson_sum(counts, beyond):
    """One-sided: the toys with at least as many counts as the data, for few counts too."""
    result = significance(one_bin(counts), toys=4000, seed=2)
    exact = stats.poisson.sf(beyond - 1, 12.0)
    assert result.global_p == pytest.approx(exact, abs=4 * result.global_p_error)
    error = math.sqrt(exact * (1 - exact) / 4000)
    assert result.global_p_error == pytest.approx(error, rel=0.1)
    assert result.global_z == pytest.approx(stats.norm.isf(result.global_p))
    assert result.n_toys == 4000
    assert math.isnan(result.asymptotic_global_p)
    assert "from 4000 toys" in repr(result)
    # The same toys, number by number.
    n = throw(one_bin(12.0), {"mu": 1.0}, 4000, seed=2).counts[:, 0]
    assert result.fraction.k == np.sum(n >= beyond)
    np.testing.assert_allclose(result.statistics, np.sign(n - 12) * q(n), atol=1e-8)


def test_no_toy_beyond_the_data_is_a_limit():
    result = significance(one_bin(60.0), toys=200)
    assert result.global_p == 0.0
    assert 0 < result.global_p_error < 0.01
    assert result.fraction.upper() == pytest.approx(1 - 0.05 ** (1 / 200))
    assert result.global_z == pytest.approx(stats.norm.isf(result.fraction.upper()))
    assert math.isnan(result.global_z_error)
    assert "0 of 200" in repr(result)
    assert "z > " in repr(result)


def test_failed_toys_are_in_no_p_but_named():
    result = significance(one_bin(18.0), toys=300)
    toys_ = result.toys
    assert toys_ is not None
    outcome = toys_.outcome.copy()
    outcome[[3, 50]] = EXHAUSTED
    lost = significance(one_bin(18.0), toys=dataclasses.replace(toys_, outcome=outcome))
    assert lost.fraction.n == 298
    assert lost.failed.toys == ((0, 3), (0, 50))
    assert "number 3 of seed 0, number 50 of seed 0; if all of them exceeded" in repr(lost)


def test_toys_of_several_jobs_are_those_of_one(tmp_path):
    analysis = one_bin(18.0)
    whole = significance(analysis, toys=90, seed=4)
    parts = []
    for first in (60, 0, 30):
        part = significance(analysis, toys=30, seed=4, first=first).toys
        assert part is not None
        parts.append(Toys.load(part.save(tmp_path / f"{first}.nc")))
    merged = significance(analysis, toys=Toys.merge(*parts))
    assert merged.fraction == whole.fraction
    np.testing.assert_allclose(merged.statistics, whole.statistics, atol=1e-8)


def test_toys_of_something_else_are_refused():
    analysis = one_bin(18.0)
    values = {"null": analysis.null_values()}
    null = inference.fit_null(analysis).vector
    with pytest.raises(errors.DataError, match="not of this analysis and data"):
        significance(analysis, toys=toys(one_bin(17.0), null, 2, hypotheses=values))
    with pytest.raises(errors.DataError, match="hypothesis 'null'"):
        significance(analysis, toys=toys(analysis, null, 2))
    with pytest.raises(errors.DataError, match=r"mu = 1\.5 instead of 1"):
        significance(analysis, toys=toys(analysis, {"mu": 1.5}, 2, hypotheses=values))


# ---------------------------------------------------------------- a peak anywhere


@pytest.mark.slow
def test_a_peak_that_may_be_anywhere(bump, found):
    assert found.meaningless == ("mass",)
    assert found.tested == {"branching_ratio": 0.0}
    assert found.dof == 1
    assert found.z == pytest.approx(math.sqrt(found.t))
    assert found.t > 2
    for words in (
        "at its bound",
        "Chernoff",
        "mass means nothing",
        "Wilks's theorem does not hold",
    ):
        assert words in found.status
    assert found.failed.count == 0
    assert (found.statistics >= 0).all()
    # The trial factor.
    assert found.global_p > found.p + 2 * found.global_p_error
    assert found.t == pytest.approx(
        float(inference.fit_null(bump).twice_nll - inference.fit(bump).twice_nll), abs=1e-3
    )


@pytest.mark.slow
def test_gross_and_vitells_agree_with_toys(bump, found):
    """Where p is small their upper bound is close to p; the toys are fits, the bound is not."""
    crossings = found.upcrossings
    assert crossings is not None
    assert crossings.name == "mass"
    for t in (4.0, 6.0):
        k = int(np.sum(found.statistics >= t))
        error = math.sqrt(k) / 300
        bound = crossings.p(t, stats.norm.sf(math.sqrt(t)))
        assert bound > k / 300 - 3 * error
        assert bound < 2 * (k / 300 + 2 * error)
    assert found.asymptotic_global_p == crossings.p(found.t, found.p)
    assert crossings.p(0.0, 0.5) <= 1.0
    twice = upcrossings(bump, found.null, n=300, level=2.0)
    assert twice is not None
    # The number of upcrossings falls like exp(-t/2).
    expected = crossings.mean * math.exp(-0.5)
    assert twice.mean == pytest.approx(expected, abs=4 * math.hypot(twice.error, crossings.error))


@pytest.mark.slow
def test_at_one_place_half_of_the_toys_are_at_the_bound(bump):
    """Chernoff: t is 0 in half of all cases, and chi2 in the others."""
    result = significance(bump, toys=1500, seed=3, fixed={"mass": 2.0})
    assert result.meaningless == ()
    assert result.upcrossings is None
    t = result.statistics
    inside = t > 1e-6
    assert inside.mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(1500))
    assert stats.kstest(t[inside], stats.chi2(1).cdf).pvalue > 1e-3
    # So the global p is the local one.
    assert result.global_p == pytest.approx(result.p, abs=4 * result.global_p_error + 0.02)


@pytest.mark.slow
def test_the_fit_of_the_data_is_searched_like_that_of_the_toys(bump):
    data = throw(bump, inference.fit_null(bump).vector, 6, seed=12)
    for i in range(6):
        own = Data(*(x[i] for x in data))
        best = best_fit(bump, data=own)
        assert best.twice_nll <= inference.fit(bump, data=own).twice_nll + 1e-9
    with pytest.raises(errors.ParameterError, match="6 data sets"):
        best_fit(bump, data=data)


# ---------------------------------------------------------------- statements


def model(*names: str, squared: bool = False, null: bool = True) -> object:
    """Peaks at fixed masses, with heights g or g^2."""

    def spectrum(params, channel):
        lines = []
        for i, name in enumerate(names):
            g = params[name]
            lines.append(Line(jnp.asarray(1.0 + 2 * i), 1e-6 * (g**2 if squared else g), 0.0))
        return Spectrum(standard_model=jnp.ones(()), lines=tuple(lines))

    class Peaks:
        name = "peaks"
        description = "peaks at fixed places"
        parameters = tuple(
            bknn.Parameter(n, 1.0, (-30.0, 30.0) if squared else (0.0, 300.0)) for n in names
        )

    Peaks.null = {n: 0.0 for n in names} if null else {}
    Peaks.spectrum = staticmethod(spectrum)
    return Peaks()


@pytest.mark.slow
def test_a_coupling_that_enters_by_its_square():
    result = significance(bknn.Analysis(model("g", squared=True), small.measurement()))
    assert "g enters by the square, which cannot be negative" in result.status
    assert "Chernoff" in result.status
    assert result.meaningless == ()


@pytest.mark.slow
def test_two_parameters_at_their_bounds():
    result = significance(bknn.Analysis(model("g", "h"), small.measurement()))
    assert result.dof == 2
    assert "g and h lie at their bounds" in result.status
    assert "mixture" in result.status
    assert result.p == pytest.approx(stats.chi2.sf(result.t, 2))
    assert result.z == pytest.approx(stats.norm.isf(result.p))


def test_what_has_no_significance():
    bare = bknn.Analysis(model("g", null=False), small.measurement())
    with pytest.raises(errors.ParameterError, match="no null values"):
        significance(bare)
    with pytest.raises(errors.ParameterError, match="the two fits are one"):
        significance(one_bin(12.0), fixed={"mu": 1.0})


# ---------------------------------------------------------------- figures


def drawn_counts(figure) -> np.ndarray:
    (patch, *_) = figure.axes[0].patches
    return np.asarray(patch.get_data().values)


@pytest.mark.slow
def test_figures_show_all_toys(found, bump, tmp_path):
    figure = figures.significance(found)
    assert drawn_counts(figure).sum() == 300
    texts = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert "300 toys of the null" in texts
    assert any(t.startswith("data") for t in texts)
    plot.save(figure, tmp_path / "significance")
    good = goodness_of_fit(one_bin(18.0), n=50, fixed={"mu": 1.0})
    assert drawn_counts(figures.goodness_of_fit(good)).sum() == 50
    both = toys(bump, found.best.vector, 30, uncertainties=True)
    figure = figures.toys(both)
    assert len(figure.axes) == 3
    plot.save(figure, tmp_path / "pulls")
    assert len(list(tmp_path.iterdir())) == 4
    bare = dataclasses.replace(both, uncertainties={})
    assert drawn_counts(figures.toys(bare)).sum() == 30


@pytest.mark.slow
def test_nothing_to_draw(found):
    none = dataclasses.replace(found, toys=None)
    with pytest.raises(errors.ParameterError, match="no toys"):
        figures.significance(none)
    assert found.toys is not None
    lost = dataclasses.replace(found.toys, outcome=np.full(300, EXHAUSTED))
    with pytest.raises(errors.ParameterError, match="300 of 300"):
        figures.toys(lost)
    with pytest.raises(errors.ParameterError, match="300 of 300"):
        figures.significance(dataclasses.replace(found, toys=lost))
