"""The constraints on dark matter that come with the package.

A model whose parameters are the very quantities that are constrained meets all of them at once.
"""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import data, errors
from bknn.data import LimitTable, store
from bknn.data.published import check_together
from bknn.questions.shared.absent import absent

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = store.collection("all-dark-matter")
SETS = {name: data.load(name) for name in NAMES}
UPPER = data.load("planck-omega-h2-upper")
TABLES = {t.name: t for m in SETS.values() for t in m.curves if isinstance(t, LimitTable)}
SEARCHES = {name: t for name, t in TABLES.items() if t.axes}

#: {limits: (how well they agree, [(mass of X in GeV, limit in cm^2)])}: numbers of abstracts and of
#: other readings of the figures (github.com/AlvaroEzq/WimpLimitsPlotting; CRESST: micrOMEGAs 6.0).
ELSEWHERE = {
    "sigma on argon (DarkSide-50, 2018)": (
        0.06, [(1.8, 1.33933e-41), (3.0, 4.73992e-42), (5.0, 7.00838e-43), (10.0, 2.55979e-43)]),
    "sigma on argon (DarkSide-50, 2022)": (
        0.07, [(1.551, 1.760e-41), (3.031, 3.521e-43), (5.078, 1.114e-43), (9.915, 1.852e-43)]),
    "sigma on CaWO4 (CRESST-III)": (
        0.14, [(0.2704, 7.3854e-37), (0.35152, 2.62798e-37), (0.594069, 4.2227e-38),
               (1.0, 7.35987e-39)]),
    "sigma on xenon (XENON1T, Migdal)": (
        0.13, [(0.201937, 7.26278e-37), (0.507256, 3.63839e-38), (1.019965, 1.525667e-39),
               (1.962475, 2.370824e-40)]),
    "sigma on xenon (XENON1T)": (
        0.02, [(9.98429, 5.35107e-46), (30.54216, 4.13536e-47), (98.96704, 8.9597e-47),
               (30.0, 4.1e-47)]),
    "sigma on xenon (LZ)": (0.05, [(36.0, 2.1e-48), (40.0, 2.2e-48)]),
    "sigma on xenon (XENONnT)": (0.02, [(30.0, 1.7e-47)]),
    "sigma on xenon (PandaX-4T)": (0.01, [(40.0, 1.6e-47)]),
}  # fmt: skip

#: Where only the file itself says what the limits are: {limits: [(mass, limit)]}.
READ = {
    "sigma on argon (DarkSide-50, 2018)": [(0.667587, 9.77554e-39), (0.936705, 4.66674e-40)],
    "sigma on xenon (LZ)": [(9.01461, 1.03749e-46), (1e4, 2.84609e-46)],
    "sigma on xenon (XENONnT)": [(10.0, 2.06861e-46), (984.887, 3.53148e-46)],
    "sigma on xenon (PandaX-4T)": [(5.05258, 9.12611e-44), (9701.12, 2.24755e-45)],
    "sigma on xenon (PandaX-4T, ionisation)": [
        (3.15596, 3.1068e-43), (3.25592, 2.24746e-43), (9.90892, 4.59543e-46)],
}  # fmt: skip

#: -2 log L at a limit of 90 %, of 95 %.
LEVELS = {0.9: 2.7055, 0.95: 3.8415}

#: Points that are computed at once.
BATCH = 24


class Quantities:
    """A model that has every quantity, as a parameter."""

    name = "quantities"
    description = "numbers"
    null: ClassVar = {}

    def __init__(self) -> None:
        names = [q for t in TABLES.values() for q in t.quantities]
        names += [r.observable for m in SETS.values() for r in m.results]
        self.parameters = tuple(
            bknn.Parameter(n, 0.5, (0.0, 1e4)) for n in dict.fromkeys(["m_X", *names])
        )

    def spectrum(self, params, channel):
        raise ValueError("nothing decays")


#: Nothing is excluded here, and all searches but CRESST's and Migdal's say something.
START = {"m_X": 1.0, "dark_matter_fraction": 1.0, "omega_h2": 0.12, "p_ann": 0.0}
START |= dict.fromkeys(("sigma_ar", "sigma_xe", "sigma_cawo4"), 0.0)


@pytest.fixture(scope="module")
def analysis():
    return bknn.Analysis(Quantities(), list(SETS.values()))


def vector(analysis, point):
    return np.array([{**START, **point}[p.name] for p in analysis.parameters])


@pytest.fixture(scope="module")
def pulls(analysis):
    """(expected - observed)/width of all numbers by name, at points {name: value}."""
    names, observed = analysis.results.names, analysis.results.observed
    many = jax.jit(jax.vmap(analysis.expected_results))

    def found(points):
        rows = []
        for first in range(0, len(points), BATCH):
            some = points[first : first + BATCH]
            vectors = np.stack([vector(analysis, p) for p in [*some, *[{}] * (BATCH - len(some))]])
            pulled = (np.asarray(many(jnp.array(vectors))) - observed) / analysis.results.above
            rows += [dict(zip(names, row, strict=True)) for row in pulled[: len(some)]]
        return rows

    return found


def at(name, mass, sigma, part=1.0):
    return {"m_X": mass, TABLES[name].factors[0]: sigma, "dark_matter_fraction": part}


# ---------------------------------------------------------------- each against its source


def test_every_search_gives_its_limits_back(pulls):
    """At three masses: -2 log L is 2.71 at the limit, a quarter of that at half of it."""
    assert set(ELSEWHERE) | set(READ) == set(SEARCHES)
    asked = [(n, m, u, within) for n, (within, rows) in ELSEWHERE.items() for m, u in rows]
    asked += [(n, m, u, 1e-4) for n, rows in READ.items() for m, u in rows]
    assert all(sum(n == name for n, *_ in asked) >= 3 for name in SEARCHES)
    full = pulls([at(n, m, u) for n, m, u, _ in asked])
    half = pulls([at(n, m, u / 2) for n, m, u, _ in asked])
    for (name, *_, within), whole, part in zip(asked, full, half, strict=True):
        np.testing.assert_allclose(whole[name], np.sqrt(LEVELS[0.9]), rtol=within)
        np.testing.assert_allclose(whole[name], 2.0 * part[name], rtol=1e-9)


def test_what_is_a_part_of_dark_matter_scatters_less(pulls):
    """A tenth of the density is a tenth of the rate; of annihilation, a hundredth."""
    for name in SEARCHES:
        mass = SEARCHES[name].axes["m_X"][3]
        whole, part = pulls([at(name, mass, 1e-40), at(name, mass, 1e-40, 0.1)])
        np.testing.assert_allclose(part[name], 0.1 * whole[name])
    limit = {"p_ann": 3.2e-28}
    whole, part = pulls([limit, {**limit, "dark_matter_fraction": 0.1}])
    np.testing.assert_allclose(whole["p_ann (Planck)"] ** 2, LEVELS[0.95], rtol=1e-4)
    np.testing.assert_allclose(part["p_ann (Planck)"], 0.01 * whole["p_ann (Planck)"])


def test_omega_as_an_equality_and_as_an_upper_bound(pulls):
    """One standard deviation is 0.0012 and 0.006 together; the bound says nothing below."""
    width = np.hypot(0.0012, 0.006)
    values = [0.12 + k * width for k in (-2.0, 0.0, 1.0, 3.0)]
    found = [row["Omega h^2"] for row in pulls([{"omega_h2": x} for x in values])]
    np.testing.assert_allclose(found, [-2.0, 0.0, 1.0, 3.0], atol=1e-9)
    above = bknn.Analysis(Quantities(), UPPER)
    found = [
        float(above.expected_results(jnp.array(vector(above, {"omega_h2": x}))).squeeze())
        for x in values
    ]
    np.testing.assert_allclose(found, [0.0, 0.0, 1.0, 3.0], rtol=2e-3, atol=1e-9)
    with pytest.raises(errors.DataError, match="'planck-omega-h2' cannot be used together"):
        check_together([UPPER, SETS["planck-omega-h2"]])


# ---------------------------------------------------------------- the kind


def test_slopes_are_those_of_finite_differences(analysis, pulls):
    slopes = jax.jit(jax.jacfwd(analysis.expected_results))
    names = [p.name for p in analysis.parameters]
    for mass in (0.4007, 1.4003, 7.0001, 33.3):
        start = {"m_X": mass, "dark_matter_fraction": 0.7, "omega_h2": 0.13, "p_ann": 2e-28}
        start |= {"sigma_ar": 1e-43, "sigma_xe": 1e-46, "sigma_cawo4": 1e-41}
        found = np.asarray(slopes(jnp.array(vector(analysis, start))))
        found = found / analysis.results.above[:, None]
        steps = {n: 1e-6 * start[n] for n in names}
        moved = pulls([{**start, n: start[n] + s * steps[n]} for n in names for s in (1, -1)])
        values = np.array([list(row.values()) for row in moved])
        sizes = np.array([start[n] for n in names])  # relative: cross sections are tiny
        by_hand = (values[::2] - values[1::2]).T / 2e-6
        scale = np.abs(values[0])[:, None] + 1e-12
        np.testing.assert_allclose(found * sizes / scale, by_hand / scale, rtol=1e-5, atol=1e-5)


def test_outside_of_its_range_a_search_is_absent_and_says_so(analysis, pulls):
    for mass in (0.05, 2e4):
        (found,) = pulls([{"m_X": mass, **dict.fromkeys(("sigma_ar", "sigma_xe"), 1.0)}])
        assert all(found[name] == 0.0 for name in SEARCHES)
    sentences = absent(analysis, vector(analysis, {"m_X": 0.05}))
    for name, t in SEARCHES.items():
        (said,) = (s for s in sentences if s.startswith(repr(name)))
        assert "says nothing here" in said
        assert f"m_X from {t.axes['m_X'][0]:g} to {t.axes['m_X'][-1]:g}" in said
    # Below 1.17 GeV the argon of 2018 alone.
    said = [s for s in absent(analysis, vector(analysis, {"m_X": 0.9})) if "argon" in s]
    assert [s for s in said if "2022" in s] == said


@pytest.mark.parametrize("name", [*NAMES, "planck-omega-h2-upper"])
def test_each_set_says_what_it_is(name):
    found = data.load(name)
    assert found.title
    assert found.notes
    assert len(found.sha256) == 64
    assert found.sources
    assert all(source.title and source.arxiv for source in found.sources)
    shown = found.summary()
    assert found.sources[0].title[:12] in shown
    assert "notes:" in shown
    assert ("dark_matter_fraction" in found.quantities) == ("omega" not in name)


def test_all_together_and_with_the_upper_bound():
    assert sorted(m.name for m in data.load_all("all-dark-matter")) == sorted(NAMES)
    names = ["all-dark-matter", "planck-omega-h2-upper"]
    found = data.load_all(names, without="planck-omega-h2")
    check_together(found)
    assert {m.name for m in found} == {*NAMES, "planck-omega-h2-upper"} - {"planck-omega-h2"}


def test_a_rise_belongs_to_a_bound(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[[limits]]\nname = "x"\nquantity = "x"\nupper = 1.0\nrise = 0.1\n')
    with pytest.raises(errors.DataError, match="'rise' belongs to a 'bound'"):
        data.load(file)
    file.write_text('[[limits]]\nname = "x"\nquantity = "x"\nbound = 1.0\nrise = -0.1\n')
    with pytest.raises(errors.DataError, match=r"'rise' is -0\.1"):
        data.load(file)
    with pytest.raises(errors.DataError, match="have a rise of 0"):
        LimitTable("x", "x", {}, (1.0,), kind="bound", rise=0.0)
