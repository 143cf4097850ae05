"""The constraints on light vectors and their heavy partners that come with the package.

A model whose parameters are the very quantities that are constrained meets all of them at once.
"""

from __future__ import annotations

from math import pi, sqrt
from types import SimpleNamespace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import bknn
from bknn import data, errors
from bknn.data import LimitTable, store
from bknn.questions.shared import build
from bknn.questions.shared.absent import absent
from bknn.run.card import Card

pytestmark = pytest.mark.usefixtures("quick_compilation")

FOLDERS = ("light_vectors", "top_partner", "precision")
NAMES = sorted(name for name, path in store.embedded().items() if path.parent.name in FOLDERS)
SETS = {name: data.load(name) for name in NAMES}
TABLES = {t.name: t for m in SETS.values() for t in m.curves if isinstance(t, LimitTable)}

E = sqrt(4.0 * pi / 137.036)

#: {limits: [(mass, lifetime, limit on the quantity)]}: the numbers of the papers' tables and
#: figures; where these limit a coupling it is squared here.
PUBLISHED = {
    "BR(B+ -> K+ Z') BR(Z' -> mu mu) (LHCb)": [
        (0.275, 0.1, 4.910e-10),
        (2.125, 0.01, 1.644e-9),  # held at 0.1 ps
        (3.525, 1000.0, 4.810e-9),
    ],
    "epsilon^2 of e e -> gamma + invisible (BaBar)": [
        (0.001, 1.0, 9.4758e-4**2),
        (2.1, 1.0, 7.8032e-4**2),
        (7.9999, 1.0, 8.6726e-4**2),
    ],
    "epsilon^2 of e e -> gamma l l (BaBar)": [
        (0.020241, 1.0, 1.7477e-3**2),
        (2.1002, 1.0, 8.1207e-4**2),
        (10.318, 1.0, 4.1014e-4**2),
    ],
    "epsilon^2 of e e -> gamma l l (BESIII)": [
        (1.5098, 1.0, 1.555e-3**2),
        (2.1005, 1.0, 8.6276e-4**2),
        (3.4011, 1.0, 1.529e-3**2),
    ],
    "epsilon^2 of e e -> gamma mu mu, pi pi (KLOE)": [
        (0.519, 1.0, 1.1687e-3**2),
        (0.701, 1.0, 7.0569e-4**2),
        (0.985, 1.0, 4.3991e-4**2),
    ],
    "epsilon^2 of p p -> mu mu (LHCb)": [
        (0.2141, 0.1, 2.521e-4**2),
        (2.104, 0.0, 1.077e-3**2),
        (69.6, 0.01, 2.325e-3**2),
    ],
    "(g_mu/e)^2 of e e -> 4 mu (BaBar)": [
        (0.22662, 1.0, (6.7362e-4 / E) ** 2),  # "as low as 7e-4" in the abstract
        (2.1017, 1.0, (2.6824e-3 / E) ** 2),
        (7.6818, 1.0, (9.9631e-2 / E) ** 2),
    ],
    "(g_mu/e)^2 of e e -> mu mu + invisible (Belle II)": [
        (0.0, 1.0, (0.051 / E) ** 2),  # 5e-2 to 1 in the abstract
        (1.9880, 1.0, (0.086 / E) ** 2),
        (5.9744, 1.0, (0.994 / E) ** 2),
    ],
    "epsilon^2 of e N -> e N + invisible (NA64)": [
        (0.001, 1.0, 7.544e-6**2),
        (0.10931, 1.0, 3.8599e-4**2),
        (1.0056, 1.0, 1.098e-2**2),
    ],
    "T pairs, one lepton and jets (ATLAS)": [(1.0, 1.0, 1.0)] * 3,
    "T pairs, missing momentum (ATLAS)": [(1.0, 1.0, 1.0)] * 3,
    "T pairs, leptons (CMS)": [(1.0, 1.0, 1.0)] * 3,
    "unitarity of y_T": [(1.0, 1.0, sqrt(8.0 * pi / 3.0))] * 3,
    "unitarity of lambda_phi": [(1.0, 1.0, 2.0 * pi)] * 3,
}
#: Of numbers that are no table: {name: (value, width above)}, at one standard deviation.
MEASURED = {
    "kappa_t": (0.9, 0.2 / norm.ppf(0.975)),
    "new invisible width of the Z": (0.0, 2e-3 / norm.ppf(0.975)),
    "a_mu": (38e-11, 63e-11),
    "weak charge of Cs": (0.41, 0.42),
}


#: Points that are computed at once.
BATCH = 64


class Quantities:
    """A model that has every quantity, as a parameter."""

    name = "quantities"
    description = "numbers"
    null: ClassVar = {}

    def __init__(self) -> None:
        names = [q for t in TABLES.values() for q in t.quantities]
        names += [r.observable for m in SETS.values() for r in m.results]
        self.parameters = tuple(
            bknn.Parameter(n, 0.5, (-1e3, 1e3)) for n in dict.fromkeys(["mass", "lifetime", *names])
        )

    def spectrum(self, params, channel):
        raise ValueError("nothing decays")


@pytest.fixture(scope="module")
def analysis():
    return bknn.Analysis(Quantities(), list(SETS.values()))


def vector(analysis, point):
    """The flat vector of a point, other quantities at their start."""
    return np.array([point.get(p.name, 0.5) for p in analysis.parameters])


@pytest.fixture(scope="module")
def pulls(analysis):
    """(expected - observed)/width of all numbers by name, at points {name: value}."""
    names, observed = analysis.results.names, analysis.results.observed
    widths = analysis.results.above
    many = jax.jit(jax.vmap(analysis.expected_results))

    def found(points):
        vectors = np.full((BATCH, len(analysis.parameters)), 0.5)  # of one size: one compilation
        vectors[: len(points)] = [vector(analysis, p) for p in points]
        pulled = (np.asarray(many(jnp.array(vectors))) - observed) / widths
        return [dict(zip(names, row, strict=True)) for row in pulled[: len(points)]]

    return found


def at(table, mass, lifetime, x):
    """A point where the quantity of a table has a value."""
    factors = {name: 1.0 for name in table.factors} | {table.factors[0]: x}
    return {"mass": mass, "lifetime": lifetime, **factors}


# ---------------------------------------------------------------- each against its source


def test_every_table_gives_the_published_limits_back(pulls):
    """At the limit -2 log L is 2.71 (90 %) or 3.84 (95 %), at half of it a quarter of that; a bound
    of theory says nothing up to it, and 1 one per cent above."""
    assert sorted(PUBLISHED) == sorted(TABLES)
    asked = [(name, *point) for name, points in PUBLISHED.items() for point in points]
    full = pulls([at(TABLES[n], m, tau, u) for n, m, tau, u in asked])
    half = pulls([at(TABLES[n], m, tau, u / 2) for n, m, tau, u in asked])
    more = pulls([at(TABLES[n], m, tau, 1.01 * u) for n, m, tau, u in asked])
    for (name, *_), whole, part, beyond in zip(asked, full, half, more, strict=True):
        if TABLES[name].kind == "bound":
            assert part[name] == 0.0
            np.testing.assert_allclose([whole[name], beyond[name]], [0.0, 1.0], atol=1e-9)
            continue
        level = {0.9: 2.7055, 0.95: 3.8415}[TABLES[name].level]
        # Figures of Belle II are of g', with three digits.
        digits = 5e-3 if "Belle II" in name else 1e-4
        np.testing.assert_allclose(whole[name] ** 2, level, rtol=2 * digits)
        np.testing.assert_allclose(part[name] ** 2, level / 4, rtol=2 * digits)


def test_every_number_is_the_published_one(pulls):
    """One standard deviation above the value -2 log L is 1; at a limit of 95 % it is 3.84."""
    where = {r.name: r.observable for m in SETS.values() for r in m.results}
    assert {*MEASURED, "S", "T"} == set(where)
    above = pulls([{where[n]: value + width} for n, (value, width) in MEASURED.items()])
    for name, found in zip(MEASURED, above, strict=True):
        np.testing.assert_allclose(found[name], 1.0)
    (limit,) = pulls([{"width_Z_XX": 2e-3}])
    np.testing.assert_allclose(limit["new invisible width of the Z"] ** 2, 3.8415, rtol=1e-4)


def test_s_and_t_are_correlated(pulls):
    """p C^-1 p of the two pulls."""
    inverse = np.linalg.inv([[1.0, 0.93], [0.93, 1.0]])
    points = [(0.02, 0.06), (0.1, 0.0), (-0.05, 0.12)]
    for (s, t), found in zip(
        points, pulls([{"delta_S": s, "delta_T": t} for s, t in points]), strict=True
    ):
        p = np.array([(s + 0.05) / 0.07, t / 0.06])
        total = found["electroweak-s-t[0]"] ** 2 + found["electroweak-s-t[1]"] ** 2
        np.testing.assert_allclose(total, p @ inverse @ p)


def test_figures_that_papers_and_others_quote(pulls):
    """At 2.1 GeV BaBar limits epsilon to 7.8e-4, with two digits."""
    name = "epsilon^2 of e e -> gamma + invisible (BaBar)"
    (found,) = pulls([at(TABLES[name], 2.1, 0.05, 7.8e-4**2)])
    np.testing.assert_allclose(found[name], TABLES[name].quantile, rtol=1e-2)


def test_the_table_of_lhcb_as_another_program_reads_it(pulls):
    """At 2.1 GeV and four lifetimes, out of points that were computed elsewhere from the same
    histogram; interpolations of it differ by a few per cent."""
    name = "BR(B+ -> K+ Z') BR(Z' -> mu mu) (LHCb)"
    known = {0.5557: 1.139e-9, 0.8834: 9.126e-10, 0.9656: 8.745e-10, 21.41: 4.101e-10}
    found = pulls([at(TABLES[name], 2.1, tau, limit) for tau, limit in known.items()])
    roots = [row[name] for row in found]
    np.testing.assert_allclose(roots, TABLES[name].quantile, rtol=0.04)


# ---------------------------------------------------------------- the kind


def test_slopes_are_those_of_finite_differences(analysis, pulls):
    """Of all numbers at once, between the points of the tables and beyond an end that is held."""
    slopes = jax.jit(jax.jacfwd(analysis.expected_results))
    names, h = [p.name for p in analysis.parameters], 1e-7
    for mass, lifetime in ((0.60007, 0.3), (2.10077, 0.03), (2.10077, 7.0)):
        start = dict.fromkeys(names, 0.7)
        start |= {"mass": mass, "lifetime": lifetime, "y_T": 3.0, "lambda_phi": 7.0}
        found = np.asarray(slopes(jnp.array(vector(analysis, start))))
        found = found / analysis.results.above[:, None]
        moved = pulls([{**start, n: start[n] + sign * h} for n in names for sign in (1, -1)])
        values = np.array([list(row.values()) for row in moved])
        by_hand = (values[::2] - values[1::2]).T / (2 * h)
        scale = np.abs(values[0])[:, None] + 1.0
        np.testing.assert_allclose(found / scale, by_hand / scale, rtol=1e-5, atol=1e-6)


def test_outside_of_its_range_a_table_is_absent_and_says_so(analysis, pulls):
    """Beyond both ends, in a hole, and for lifetimes that the search is not for."""
    ranged = {name: t for name, t in TABLES.items() if t.axes}
    outside = [(-1.0, 0.05), (1e3, 0.05)]
    for mass, lifetime in outside:
        (found,) = pulls([{"mass": mass, "lifetime": lifetime}])
        assert all(found[name] == 0.0 for name in ranged)
    sentences = absent(analysis, vector(analysis, {"mass": 1e3, "lifetime": 0.05}))
    for name, t in ranged.items():
        (said,) = (s for s in sentences if s.startswith(repr(name)))
        assert "says nothing here" in said
        assert f"mass from {t.axes['mass'][0]:g} to {t.axes['mass'][-1]:g}" in said
    holes = {
        "BR(B+ -> K+ Z') BR(Z' -> mu mu) (LHCb)": (3.1, 0.05),
        "epsilon^2 of e e -> gamma l l (BaBar)": (0.7820, 1.0),
        "epsilon^2 of e e -> gamma l l (BESIII)": (3.1, 1.0),
        "(g_mu/e)^2 of e e -> 4 mu (BaBar)": (3.1, 1.0),
        "epsilon^2 of p p -> mu mu (LHCb)": (3.1, 0.05),
    }
    gaps = {name for name, t in TABLES.items() if not np.isfinite(t.upper).all()}
    assert gaps == set(holes)
    for name, (mass, lifetime) in holes.items():
        (found,) = pulls([at(TABLES[name], mass, lifetime, 1.0)])
        assert found[name] == 0.0
        assert "with gaps" in TABLES[name].valid_for
    prompt = "epsilon^2 of p p -> mu mu (LHCb)"
    late, early = pulls([at(TABLES[prompt], 2.0, tau, 1e-6) for tau in (0.2, 0.02)])
    assert late[prompt] == 0.0 < early[prompt]


@pytest.mark.parametrize("name", NAMES)
def test_each_set_says_what_it_is(name):
    """A title, a source with a title, remarks, a checksum; it can be shown."""
    found = SETS[name]
    assert found.title
    assert found.notes
    assert len(found.sha256) == 64
    assert all(source.title and (source.arxiv or source.journal) for source in found.sources)
    assert found.sources
    shown = found.summary()
    assert found.sources[0].title[:12] in shown
    assert "notes:" in shown


def test_what_is_from_memory_says_so():
    told = {n for n in NAMES if any(x.startswith("From memory") for x in SETS[n].notes)}
    assert told == {"electroweak-s-t", "lep-z-invisible", "cesium-parity-violation"}


def test_a_model_without_the_quantity_is_refused():
    class Bare(Quantities):
        def __init__(self):
            self.parameters = (bknn.Parameter("mass", 1.0, (0.0, 9.0)),)

    with pytest.raises(errors.ParameterError, match="needs the quantity 'eps2_ee_invisible'"):
        bknn.Analysis(Bare(), SETS["babar-2017-monophoton"])


# ---------------------------------------------------------------- all together


def test_a_collection_is_all_of_them_but_those_that_are_left_out():
    every = data.load_all("all-light-vector")
    assert sorted(m.name for m in every) == NAMES
    less = data.load_all(["aleph-bs-invisible", "all-light-vector"], without=["muon-g-2"])
    assert less[0].name == "aleph-bs-invisible"
    assert {m.name for m in less[1:]} == {*NAMES} - {"muon-g-2"}
    twice = data.load_all(["muon-g-2", "all-light-vector"])
    assert sorted(m.name for m in twice) == NAMES


def test_of_a_collection_a_model_meets_what_it_has():
    """Sets that are named themselves are not left out: the model is refused."""

    class Photon(Quantities):
        name = "photon"

        def __init__(self):
            names = ("mass", "lifetime", "eps2_ee_invisible", "eps2_pp_mumu", "delta_a_mu")
            self.parameters = tuple(bknn.Parameter(n, 0.5, (0.0, 9.0)) for n in names)

    names = ["all-light-vector"]
    met = data.load_all(names, Photon())
    assert [m.name for m in met] == ["babar-2017-monophoton", "lhcb-2019-prompt", "muon-g-2"]
    gone = data.left_out(names, Photon())
    assert gone["lhcb-2016-dimuon"] == ("br_K_Zprime", "br_mumu")
    assert {*gone} == {*NAMES} - {m.name for m in met}
    named = data.load_all([*names, "unitarity"], Photon())
    assert "unitarity" in {m.name for m in named}
    with pytest.raises(errors.ParameterError, match="needs the quantity 'y_T'"):
        bknn.Analysis(Photon(), list(named))


@pytest.mark.parametrize(
    ("without", "words"),
    [
        ("muon-g2", "unknown data set to leave out 'muon-g2'; did you mean 'muon-g-2'"),
        (NAMES, "all data sets are left out again"),
    ],
)
def test_what_cannot_be_left_out(without, words):
    with pytest.raises(errors.BknnError, match=words):
        data.load_all("all-light-vector", without=without)


def test_on_a_card_and_in_the_shell(tmp_path, capsys):
    """Both build the same data; what is left out is said."""
    (tmp_path / "card.toml").write_text(
        '[model]\nname = "sm"\n[data]\nsets = ["all-light-vector"]\n'
        'without = ["muon-g-2"]\n[fit]\n',
        encoding="utf-8",
    )
    asked = Card.read(tmp_path / "card.toml").questions["fit"]
    assert (asked.data, asked.without) == (("all-light-vector",), ("muon-g-2",))
    has = SimpleNamespace(name="some", parameters=[SimpleNamespace(name="kappa_t")])
    (found,) = build.measurements(asked, has)
    assert found.name == "cms-2020-kappa-t"
    said = capsys.readouterr().err
    assert "model 'some' has nothing that these limit, so that they are left out: " in said
    assert "electroweak-s-t (delta_S, delta_T)" in said
    assert "muon-g-2" not in said


def test_a_model_that_has_nothing_of_a_collection():
    bare = SimpleNamespace(name="bare", parameters=[])
    with pytest.raises(errors.DataError, match="model 'bare' has none of the quantities that"):
        data.load_all("all-light-vector", bare)


def test_a_collection_is_no_data_set():
    with pytest.raises(errors.DataError, match="'all-light-vector' are several data sets"):
        data.load("all-light-vector")
