"""Published branching fractions and limits, out of the counts behind them, without this package.

BaBar's method (arXiv:1303.7465): the efficiency and the background are smeared by Gaussians, and an
upper limit is the branching fraction for which as few events as were seen, or fewer, have a
probability of 10 % (R. Barlow, Comput. Phys. Commun. 149, 97 (2002)). Several modes together are
ordered by the branching fraction that fits their counts best. Everything here is NumPy and SciPy,
but for the numbers, which come out of the embedded files; the last tests set the likelihood of
this package beside it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm, poisson

import bknn
from bknn import data, inference, models
from bknn.parameters import Parameter
from bknn.spectrum import Spectrum

PAIRS = 471e6


def _read() -> dict[str, dict[str, float]]:
    """Return observed, background, efficiency and their standard deviations by channel."""
    file = Path(data.__file__).parent / "babar-2013.toml"
    modes = {}
    for entry in tomllib.loads(file.read_text(encoding="utf-8"))["counts"]:
        efficiency, backgrounds = entry["efficiency"], entry["backgrounds"]
        widths = [b.get(key, 0.0) for b in backgrounds for key in ("statistical", "systematic")]
        modes[entry["channel"]] = {
            "observed": entry["observed"],
            "background": sum(b["value"] for b in backgrounds),
            "background_width": float(np.hypot.reduce(widths)),
            "exposure": efficiency["value"] * PAIRS,
            "exposure_width": PAIRS * np.hypot(efficiency["statistical"], efficiency["systematic"]),
        }
    return modes


MODES = _read()
KPLUS, KZERO = ["K+"], ["K0"]
KSTAR_PLUS = ["K*+[K+pi0]", "K*+[KSpi+]"]
KSTAR_ZERO = ["K*0[K+pi-]", "K*0[KSpi0]"]

#: What was published, in 1e-5: upper limits at 90 %, central value, and its total uncertainty up.
TABLE = [
    (KPLUS, 3.7, 1.5, np.hypot(1.7, 0.4)),
    (KZERO, 8.1, 0.14, np.hypot(6.0, 1.7)),
    (KPLUS + KZERO, 3.2, 1.4, np.hypot(1.4, 0.3)),
    (KSTAR_PLUS[:1], 19.4, None, None),
    (KSTAR_PLUS[1:], 17.0, None, None),
    (KSTAR_PLUS, 11.6, 3.3, np.hypot(6.2, 1.7)),
    (KSTAR_ZERO[:1], 8.9, None, None),
    (KSTAR_ZERO[1:], 86.0, None, None),
    (KSTAR_ZERO, 9.3, 2.0, np.hypot(5.2, 2.0)),
    (KSTAR_PLUS + KSTAR_ZERO, 7.9, 2.7, np.hypot(3.8, 1.2)),
]


def _column(channels: list[str], key: str) -> np.ndarray:
    return np.array([MODES[c][key] for c in channels], float)


def best(counts: np.ndarray, background: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Return the branching fraction (m,) of the largest Poisson likelihood of counts (m, k)."""
    low = np.full(len(counts), -np.min(background / exposure) * (1.0 - 1e-6))
    high = np.full(len(counts), 1e-2)
    for _ in range(45):
        middle = (low + high) / 2
        slope = np.sum(counts * exposure / (background + exposure * middle[:, None]), axis=1)
        up = slope > exposure.sum()
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    return (low + high) / 2


def at_most(channel: str, counts: int, branching_ratio: float) -> float:
    """Return the probability of so many counts or fewer in one mode, smeared."""
    mode = MODES[channel]
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    weights = weights / weights.sum()
    background = np.maximum(mode["background"] + mode["background_width"] * nodes, 0.0)
    exposure = np.maximum(mode["exposure"] + mode["exposure_width"] * nodes, 0.0)
    mean = np.maximum(background[:, None] + branching_ratio * exposure, 0.0)
    return float(np.sum(weights[:, None] * weights * poisson.cdf(counts, mean)))


class One:
    """One mode: the integral over the smearing."""

    def __init__(self, channel: str) -> None:
        self.channel, mode = channel, MODES[channel]
        self.observed, self.exposure = mode["observed"], np.array([mode["exposure"]])
        self.value = (mode["observed"] - mode["background"]) / mode["exposure"]

    def limit(self, probability: float) -> float:
        def excess(x: float) -> float:
            return at_most(self.channel, self.observed, x) - probability

        return float(brentq(excess, 0.0, 1e-2, xtol=1e-10))


class Several:
    """Counts of several modes, thrown with smeared backgrounds and efficiencies."""

    def __init__(self, channels: list[str], throws: int = 40_000) -> None:
        self.observed = _column(channels, "observed")
        self.background = _column(channels, "background")
        self.exposure = _column(channels, "exposure")
        random = np.random.default_rng(20130329)
        shape = (throws, len(channels))
        self.backgrounds = self.background + _column(channels, "background_width") * (
            random.normal(size=shape)
        )
        self.exposures = self.exposure + _column(channels, "exposure_width") * (
            random.normal(size=shape)
        )
        self.quantiles = random.uniform(size=shape)
        self.value = float(best(self.observed[None, :], self.background, self.exposure)[0])

    def below(self, branching_ratio: float) -> float:
        """Return the probability of a best value that is not above the observed one."""
        mean = np.maximum(self.backgrounds + self.exposures * branching_ratio, 1e-12)
        counts = poisson.ppf(self.quantiles, mean)
        found = best(counts, self.background, self.exposure)
        return float(np.mean(found <= self.value + 1e-12))

    def limit(self, probability: float) -> float:
        return float(
            brentq(lambda x: self.below(x) - probability, self.value, 2e-3, xtol=1e-8, rtol=1e-4)
        )


@pytest.mark.parametrize(
    ("channels", "limit", "value", "up"),
    [
        pytest.param(*row, id=" ".join(row[0]), marks=[pytest.mark.slow] * (len(row[0]) > 1))
        for row in TABLE
    ],
)
def test_babar_by_brute_force(channels, limit, value, up):
    smeared = One(channels[0]) if len(channels) == 1 else Several(channels)
    # Backgrounds and efficiencies are published with two digits: a limit of one mode moves by 1 %
    # and more (0.05 events), which is the tolerance beside the last digit.
    digit = 0.5 if limit > 20 else 0.05
    assert 1e5 * smeared.limit(0.10) == pytest.approx(limit, abs=digit + 0.025 * limit)
    if value is not None:
        resolution = 1e5 * 0.1 * len(channels) ** 0.5 / smeared.exposure.sum()
        assert 1e5 * smeared.value == pytest.approx(value, abs=0.05 + resolution)
        one = 1e5 * (smeared.limit(norm.sf(1.0)) - smeared.value)
        assert one == pytest.approx(up, rel=0.04)


@pytest.mark.slow
def test_babar_k_star_downwards():
    """Of both charges 2.7 -2.9 -1.0, as above: those count who see more than was seen."""
    several = Several(KSTAR_PLUS + KSTAR_ZERO)
    low = brentq(
        lambda x: several.below(x) - norm.cdf(1.0), -3e-5, several.value, xtol=1e-8, rtol=1e-4
    )
    assert 1e5 * (several.value - low) == pytest.approx(np.hypot(2.9, 1.0), rel=0.04)


def test_babar_two_sided_and_excess():
    """Lower ends count those who see more: P(n > observed), so that 6 themselves are left out."""
    lower = brentq(lambda x: at_most("K+", 6, x) - 0.9, 0.0, 2e-5)
    assert 1e5 * lower == pytest.approx(0.4, abs=0.05)
    down = 1.5027e-5 - brentq(lambda x: at_most("K+", 6, x) - norm.cdf(1.0), 0.0, 2e-5)
    assert 1e5 * down == pytest.approx(np.hypot(0.8, 0.2), abs=0.05)
    # The excess: 6 or more without signal, 8.4 %.
    assert 1.0 - at_most("K+", 5, 0.0) == pytest.approx(0.084, abs=0.003)


#: Yield, its uncertainties, efficiency; upper limits at 90 % (arXiv:1702.03224, tables I and II).
BELLE = {
    "K+": (17.7, 9.1, 3.4, 2.16e-3, 1.9),
    "KS": (0.6, 4.2, 1.4, 0.91e-3, 1.3),
    "K*+": (16.2, 7.4, 1.8, 0.57e-3, 6.1),
    "K*0": (-2.0, 3.6, 1.8, 0.51e-3, 1.8),
}


def _belle_likelihood(mode: str, branching_ratio: np.ndarray, parents: float) -> np.ndarray:
    """Return the likelihood of branching fractions (m,): N = sigma^2 events where the signal is, of
    which N - yield are background, with the systematic uncertainty."""
    events, statistical, systematic, efficiency, _ = BELLE[mode]
    total = statistical**2
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    background = np.maximum(total - events + systematic * nodes, 1e-3)
    mean = background[:, None] + efficiency * parents * branching_ratio
    log = total * np.log(mean) - mean
    return weights @ np.exp(log - log.max())


def _flat_prior_limit(branching_ratio: np.ndarray, likelihood: np.ndarray) -> float:
    total = np.cumsum(likelihood)
    return float(branching_ratio[np.searchsorted(total, 0.9 * total[-1])])


@pytest.mark.parametrize("mode", BELLE)
def test_belle_convention(mode):
    """Branching fraction = events / (efficiency x 772e6): so counted, flat-prior limits are the
    published ones. With twice or half the parents they would be off by two."""
    grid = np.linspace(0.0, 3e-4, 12001)
    found = 1e5 * _flat_prior_limit(grid, _belle_likelihood(mode, grid, 772e6))
    assert found == pytest.approx(BELLE[mode][-1], abs=0.05, rel=0.016)


@pytest.mark.parametrize(
    ("modes", "parents", "limit"),
    [(("K+", "KS"), (772e6, 386e6), 1.6), (("K*+", "K*0"), (772e6, 772e6), 2.7)],
    ids=["K", "K*"],
)
def test_belle_averages(modes, parents, limit):
    """A KS is half of a K0; neutral B live 0.924 times as long, which the paper may leave out."""
    grid = np.linspace(0.0, 3e-4, 12001)
    found = []
    for lifetime in (1.0, 0.924):
        one, other = (
            _belle_likelihood(mode, grid, n * (lifetime if mode in ("KS", "K*0") else 1.0))
            for mode, n in zip(modes, parents, strict=True)
        )
        found.append(1e5 * _flat_prior_limit(grid, one * other))
    assert found[0] - 0.13 < limit < found[1] + 0.05


def test_belle_results_give_the_published_limits_back():
    for result, (_, _, _, _, published) in zip(
        data.load("belle-2017").results, BELLE.values(), strict=True
    ):
        upper = norm(result.value, result.above)
        assert upper.sf(1e-5 * published) / upper.sf(0.0) == pytest.approx(0.1, rel=1e-9)


def test_babar_combination_of_tags():
    """The limits follow from value and upper uncertainty, which the rule for limits assumes."""
    for result, published in zip(data.load("babar-2013-combined").results, (1.7, 7.6), strict=True):
        upper = norm(result.value, result.above)
        found = brentq(lambda x, u=upper: u.sf(x) / u.sf(0.0) - 0.1, 0.0, 1e-3)
        assert 1e5 * found == pytest.approx(published, abs=0.11)


# ---------------------------------------------------------------- beside this package


@pytest.mark.slow
def test_fractions_of_the_window_are_those_of_the_standard_model():
    model = models.load("sm")
    file = Path(data.__file__).parent / "babar-2013.toml"
    fractions = {
        entry["decay"]: entry["efficiency"]["fraction"]
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["counts"]
    }
    for decay, fraction in fractions.items():
        inside, whole = (
            float(bknn.predict(model, "branching_ratio", decay, q2=q2).value)
            for q2 in ((0.0, 8.36), None)
        )
        assert inside / whole == pytest.approx(fraction, abs=0.001)


class Branching:
    """Branching fractions of all decays that are one parameter, shaped like the standard model."""

    name = "branching"
    null: ClassVar[dict[str, float]] = {"branching_ratio": 0.0}
    parameters = (Parameter("branching_ratio", 1e-5, (0.0, 1e-3)),)

    def __init__(self) -> None:
        self.shapes = {}
        model = models.load("sm")
        for decay in ("B+ -> K+", "B0 -> K0", "B+ -> K*+", "B0 -> K*0"):
            total = float(bknn.predict(model, "branching_ratio", decay).value)
            continuum = model.spectrum({"sm_normalisation": 1.0}, decay).continuum
            assert continuum is not None
            self.shapes[decay] = (continuum.density, total)

    def spectrum(self, params, channel, *, longitudinal=False):
        density, total = self.shapes[channel]
        factor = jnp.asarray(params["branching_ratio"]) / total
        return Spectrum(continuum=lambda q2: factor * density(q2))


@pytest.mark.parametrize(
    ("channels", "limit", "value"),
    [
        pytest.param(channels, *numbers, id=" ".join(channels), marks=pytest.mark.slow)
        for channels, *numbers in (
            (KPLUS, 3.47, 1.50),
            (KZERO, 8.35, 0.21),
            (KPLUS + KZERO, 3.21, 1.40),
            (KSTAR_PLUS, 11.95, 3.26),
        )
    ],
)
def test_babar_with_the_likelihood(channels, limit, value):
    """The same counts, nuisances profiled: asymptotic CLs at 90 %."""
    analysis = bknn.Analysis(Branching(), [data.load("babar-2013").select(channels)])
    found = inference.fit(analysis)
    assert 1e5 * float(found.params["branching_ratio"]) == pytest.approx(value, abs=0.01)
    upper = inference.limit(analysis, "branching_ratio", cl=0.9).observed[0]
    assert 1e5 * float(upper) == pytest.approx(limit, abs=0.02)
    published = next(row[1] for row in TABLE if row[0] == channels)
    assert 1e5 * float(upper) == pytest.approx(published, rel=0.08)
