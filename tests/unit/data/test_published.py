"""Published measurements in one TOML file: what is read, and every refusal."""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from bknn import data
from bknn.data import command, counting, limits, published
from bknn.errors import DataError, UnknownNameError
from bknn.likelihood.histfactory import HistFactory
from bknn.response import Response
from bknn.standard_model import dbr_dq2

FILES = sorted(Path(data.__file__).parent.glob("*.toml"))

COUNT = """
[production]
pairs = 1e8
uncertainty = 1e6

[[counts]]
channel = "K+"
decay = "B+ -> K+"
observed = 6
efficiency = { value = 1e-3, statistical = 1e-4, systematic = 5e-5, shared = "tag", of = "window" }
window = { low = 2.0, high = 8.0, resolution = 0.2 }
backgrounds = [
    { name = "peaking", value = 1.8, statistical = 0.4, systematic = 0.1, shared = "tag" },
    { name = "rest", value = 0.5, systematic = 0.4, relative = true },
]
"""

RESULT = """
[[results]]
name = "BR(B+ -> K*+)"
channels = "B+ -> K*+"
value = 1e-5
uncertainty = 1e-6
"""

SPECTRUM = """
[[spectrum]]
name = "K+"
channels = "B+ -> K+"
edges = [0.0, 4.0, 8.0]
values = [1e-6, 2e-6]
covariance = [[4e-14, 1e-14], [1e-14, 1e-14]]
"""


@pytest.fixture
def read(tmp_path):
    """Write a text and load it."""

    def load(text: str, name: str = "my.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return data.load(tmp_path / name)

    return load


# ---------------------------------------------------------------- what comes with the package


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_embedded_sets(file):
    found = data.load(file.stem)
    assert found.name == file.stem
    assert file.stem in data.available()
    assert found.n_bins > 0
    assert found.title
    assert found.sources
    assert found.notes
    assert len(found.sha256) == 64
    assert found.sha256 == data.load(file.stem).sha256
    assert not re.search(r"(?<![\w:/.])/\w+/\w|\w:\\", file.read_text(encoding="utf-8"))
    assert "path" not in found.metadata
    json.dumps(found.workspace)
    assert found.summary()


def test_a_file_of_ones_own_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text(f'title = "mine"\n{COUNT}{RESULT}', encoding="utf-8")
    parser = __import__("argparse").ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["show", "my.toml"])) == 0
    shown = capsys.readouterr().out
    for word in ("my: mine", "K+", "BR(B+ -> K*+)", "hpqcd-2022"):
        assert word in shown


def test_the_documented_file(read):
    docs = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    (text,) = (t for t in re.findall(r"```toml\n(.*?)```", docs, flags=re.S) if "[[counts]]" in t)
    found = read(text)
    assert found.title == "Belle IV"
    assert found.channels == ("K*0",)
    assert len(found.results) == 8
    assert len(found.curves) == 3
    assert found.select("kstar").n_bins == 2


def test_the_checksum_is_that_of_the_numbers(read):
    first = read(f'title = "a"\n{COUNT}')
    assert read(f'title = "b"\nnotes = ["c"]\n{COUNT}').sha256 == first.sha256
    assert read(COUNT.replace("observed = 6", "observed = 7")).sha256 != first.sha256


# ---------------------------------------------------------------- counts


def test_null_spectrum_is_that_of_the_densities():
    q2 = np.linspace(0.0, counting.ENDPOINT - 1e-6, 300)
    np.testing.assert_allclose(counting.null(q2), np.asarray(dbr_dq2(q2)), rtol=1e-12)
    assert counting.null(np.array([-1.0, counting.ENDPOINT + 1.0])).tolist() == [0.0, 0.0]


def test_counts_become_a_workspace(read):
    found = read(COUNT)
    pdf = HistFactory.from_workspace(found.workspace)
    assert found.decay("K+") == "B+ -> K+"
    assert found.poi == "mu"
    assert list(pdf.parameter_sets) != []
    signal = found.template("K+")[0]
    # 1e8 B+ times the efficiency, and the smeared part of the spectrum in the window.
    smeared, _ = quad(
        lambda q2: (
            float(counting.null(np.array(q2)))
            * (norm.cdf((8.0 - q2) / 0.2) - norm.cdf((2.0 - q2) / 0.2))
        ),
        0.0,
        22.0,
        points=[2.0, 8.0],
        limit=200,
    )
    assert signal == pytest.approx(1e8 * 1e-3 * smeared, rel=1e-6)
    at = {name: float(value) for name, value in pdf.init.items()}

    def expected(**moved: float) -> float:
        return float(pdf.expected({**at, **moved})["K+"][0])

    start = expected()
    assert start == pytest.approx(signal + 2.3)
    # Linear: one standard deviation up and down, and two, move by the same.
    for name, size in {
        "efficiency_K+_stat": 0.1 * signal,
        "tag": 0.05 * signal + 0.1,
        "peaking_K+_stat": 0.4,
        "rest_K+_syst": 0.2,
        "pairs": 0.01 * signal,
    }.items():
        for step in (-1.0, 1.0, 2.0):
            assert expected(**{name: step}) - start == pytest.approx(step * size, rel=1e-9)


def test_backgrounds_do_not_become_negative(read):
    pdf = HistFactory.from_workspace(read(COUNT).workspace)
    lowest = {name: float(bound[0]) for name, bound in pdf.bounds.items()}
    assert lowest["rest_K+_syst"] == pytest.approx(-2.5, abs=1e-4)
    assert lowest["peaking_K+_stat"] == pytest.approx(-3.6, abs=1e-4)
    assert lowest["pairs"] == -5.0
    expected = pdf.expected(lowest | {"mu": 0.0})
    assert 0.0 < float(expected["K+"][0]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("efficiency", "tolerance"),
    [
        (counting.Efficiency((0.0,), (0.3,), high=8.36, resolution=0.28), 0.005),
        *(
            pytest.param(efficiency, tolerance, marks=pytest.mark.slow)
            for efficiency, tolerance in (
                (counting.Efficiency((0.0,), (0.3,), low=2.0, high=8.36, resolution=0.28), 0.01),
                (counting.Efficiency((0.0,), (0.3,)), 1e-6),
                (counting.Efficiency((0.0, 5.0, 15.0, 22.0), (0.3, 0.25, 0.15, 0.05)), 0.01),
            )
        ),
    ],
    ids=["below", "window", "open", "curve"],
)
def test_few_bins_give_the_efficiency_back(efficiency, tolerance):
    density = efficiency.density(1.0)
    assert density.counts.shape[1] <= 18
    response = Response.from_density(density.counts, density.edges, null=dbr_dq2)
    q2 = np.linspace(0.0, 21.5, 400)
    found = np.asarray(response.kernel(q2))[:, 0]
    assert np.abs(found - efficiency(q2)).max() < tolerance


def test_an_efficiency_of_all_decays_is_higher_in_the_window(read):
    whole = COUNT.replace('of = "window"', 'of = "all", fraction = 0.25')
    assert read(whole).template("K+")[0] == pytest.approx(4.0 * read(COUNT).template("K+")[0])


def test_parents(read):
    base = read(COUNT).template("K+")[0]
    more = COUNT.replace("pairs = 1e8", "pairs = 1e8\ncharged = 0.516\nneutral = 0.484")
    assert read(more).template("K+")[0] == pytest.approx(2.0 * 0.516 * base)
    own = COUNT.replace("observed = 6", "observed = 6\nparents = 3e8")
    assert read(own).template("K+")[0] == pytest.approx(3.0 * base)
    assert "pairs" not in HistFactory.from_workspace(read(own).workspace).parameter_sets


# ---------------------------------------------------------------- results


def test_results(read):
    found = read(
        f"""{RESULT}
[[results]]
name = "f_l"
channels = {{ "B+ -> K*+" = 0.5, "B0 -> K*0" = 0.5 }}
observable = "f_l"
q2 = [1.0, 6.0]
resolution = 0.1
value = 0.5
statistical = [0.3, 0.1]
systematic = [0.4, 0.0]

[[results]]
name = "yield"
channels = "B0 -> K0"
events = 10.0
uncertainty = 5.0
efficiency = 1e-3

[production]
pairs = 1e8

[groups]
kstar = ["f_l", "BR(B+ -> K*+)"]
"""
    )
    first, second, third = found.results
    assert (first.value, first.below, first.above, first.kind) == (1e-5, 1e-6, 1e-6, "gaussian")
    assert first.channels == {"B+ -> K*+": 1.0}
    assert (second.above, second.below) == pytest.approx((0.5, 0.1))
    assert (second.kind, second.q2, second.resolution) == ("asymmetric", (1.0, 6.0), 0.1)
    assert second.channels == {"B+ -> K*+": 0.5, "B0 -> K*0": 0.5}
    assert (third.value, third.above) == pytest.approx((1e-4, 5e-5))
    assert found.workspace == {}
    assert found.correlation is None
    assert [r.name for r in found.select("kstar").results] == ["BR(B+ -> K*+)", "f_l"]


@pytest.mark.parametrize(
    ("level", "expected", "value"),
    [(0.9, None, None), (0.95, None, None), (0.9, 6.4, None), (0.95, 12.0, None), (0.9, None, 3.5)],
)
def test_limits_come_back(level, expected, value):
    upper = 9.3
    x, width = limits.limit_to_normal(upper, level, expected=expected, value=value)
    density = norm(x, width)
    # What is not negative, and is above the limit.
    assert density.sf(upper) / density.sf(0.0) == pytest.approx(1.0 - level, rel=1e-9)
    if expected is not None:
        # CLs of the median without signal, which is 0.
        assert 2.0 * norm(0.0, width).sf(expected) == pytest.approx(1.0 - level, rel=1e-9)
    elif value is None:
        assert x == 0.0
    else:
        assert x == value


def test_limits_in_files(read):
    text = RESULT.replace("value = 1e-5\nuncertainty = 1e-6", "upper = 5.6e-4")
    (found,) = read(text).results
    assert found.value == 0.0
    assert found.below == found.above == pytest.approx(5.6e-4 / 1.6448536269514722)
    (found,) = read(text + "level = 0.95\n").results
    assert found.above == pytest.approx(5.6e-4 / 1.959963984540054)
    (found,) = read(text + "value = 1e-4\nuncertainty = 2e-4\n").results
    assert found.below == 2e-4
    assert found.above == limits.limit_to_normal(5.6e-4, value=1e-4)[1]
    (found,) = read(text + "expected = 3e-4\n").results
    assert found.value > 0.0


def test_spectrum(read):
    found = read(SPECTRUM + RESULT)
    assert [r.name for r in found.results] == ["BR(B+ -> K*+)", "K+ [0, 4]", "K+ [4, 8]"]
    assert [r.q2 for r in found.results] == [None, (0.0, 4.0), (4.0, 8.0)]
    assert [r.below for r in found.results] == pytest.approx([1e-6, 2e-7, 1e-7])
    np.testing.assert_allclose(found.correlation, [[1, 0, 0], [0, 1, 0.5], [0, 0.5, 1]])
    other = SPECTRUM.replace(
        "covariance = [[4e-14, 1e-14], [1e-14, 1e-14]]",
        "uncertainties = [2e-7, 1e-7]\ncorrelation = [[1, 0.5], [0.5, 1]]\ndifferential = true",
    )
    wide = read(other)
    np.testing.assert_allclose(wide.correlation, [[1, 0.5], [0.5, 1]])
    assert [r.value for r in wide.results] == pytest.approx([4e-6, 8e-6])
    assert [r.above for r in wide.results] == pytest.approx([8e-7, 4e-7])


# ---------------------------------------------------------------- workspaces and parts


def test_parts_of_belle2():
    whole = data.load("belle2-2025")
    for name, bins in (("inclusive", 24), ("hadronic", 6)):
        part = data.load(f"belle2-2025-{name}")
        assert part.n_bins == bins
        assert part.workspace == whole.select(name).workspace
        assert part.sources == whole.sources
        with pytest.raises(DataError, match=r"parts of the same data, 'belle2-2025'; .* twice"):
            published.check_together([whole, part])
    with pytest.raises(DataError, match="Use 'belle2-2025'"):
        published.check_together(
            [data.load("belle2-2025-inclusive"), data.load("belle2-2025-hadronic")]
        )


def test_the_same_data_in_two_forms():
    with pytest.raises(DataError, match="'babar-2013-combined' and 'babar-2013' cannot be used"):
        published.check_together([data.load("babar-2013-combined"), data.load("babar-2013")])
    published.check_together([data.load(n) for n in ("babar-2013", "belle-2017", "belle2-2025")])


def test_a_workspace_beside_the_file(read, tmp_path):
    workspace = data.load("babar-2013").select("K+").workspace
    (tmp_path / "own.json").write_text(json.dumps(workspace), encoding="utf-8")
    found = read('[workspace]\nfile = "own.json"\n' + RESULT)
    assert found.channels == ("K+",)
    assert found.entries == ("K+", "BR(B+ -> K*+)")
    assert found.signal == {}


# ---------------------------------------------------------------- refusals

_EFFICIENCY = next(line for line in COUNT.splitlines() if line.startswith("efficiency"))
_REST = '{ name = "rest", value = 0.5, systematic = 0.4, relative = true }'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('title = "a"', ("nothing is measured", "[[counts]]")),
        ("title = 3\n" + RESULT, ("'title' must be a text", "3")),
        ('name = "a b"\n' + RESULT, ("'a b' cannot be the name",)),
        ("notes = [1]\n" + RESULT, ("'notes' must be a list of texts",)),
        ("sources = 1\n" + RESULT, ("'sources'",)),
        ('[[sources]]\nwhat = "x"\n' + RESULT, ("at least a title",)),
        ("[counts]\nchannel = 1", ("'counts' must be a list of tables", "[[counts]]")),
        ('result = 1\n' + RESULT, ("unknown entry 'result'", "did you mean 'results'")),
        ('[groups]\na = ["X"]\n' + RESULT, ("'X'", "[groups]")),
        ("[groups]\na = []\n" + RESULT, ("'a' must be a list",)),
        (RESULT + RESULT, ("two channels or results are named 'BR(B+ -> K*+)'",)),
        (RESULT.replace("value = 1e-5", ""), ("[[results]] 'BR(B+ -> K*+)'", "nothing was")),
        (RESULT.replace("uncertainty = 1e-6", ""), ("there is no uncertainty",)),
        (RESULT.replace("1e-6", "-1e-6"), ("'uncertainty' is -1e-06", "at least 0")),
        (RESULT.replace("1e-6", "[1e-6]"), ("a number or [plus, minus]",)),
        (RESULT.replace("1e-6", "[1e-6, 0]"), ("there is no uncertainty",)),
        (RESULT.replace("1e-5", '"1e-5"'), ("'value' must be a number",)),
        (RESULT.replace("1e-5", "nan"), ("'value' is nan", "finite")),
        (RESULT + "level = 0.9", ("belong to a limit",)),
        (RESULT + "upper = 1e-4\nexpected = 1e-4", ("one too many",)),
        (RESULT + "upper = 1e-6", ("1e-05 is not below its upper limit 1e-06",)),
        (RESULT + "upper = 1e-4\nlevel = 90", ("level 90", "0.5 and 1")),
        (RESULT + "events = 3", ("both 'value' and 'events'",)),
        (RESULT.replace("value = 1e-5", "events = 1"), ("'efficiency' is missing",)),
        (
            RESULT.replace("value = 1e-5", "events = 1\nefficiency = 1e-3"),
            ("how many mesons", "[production]"),
        ),
        (RESULT + "q2 = [6, 1]", ("'q2' must be a bin [low, high]",)),
        (RESULT.replace('"B+ -> K*+"', "3"), ("'channels' must be a decay channel",)),
        (RESULT.replace('channels = "B+ -> K*+"', "channels = {}"), ("'channels' must be",)),
        (RESULT.replace("value = 1e-5\nuncertainty = 1e-6", "upper = 1e-9\nexpected = 1e-5"),
         ("lower than any downward fluctuation",)),
        (SPECTRUM.replace("8.0]", "3.0]"), ("'edges' must increase",)),
        (SPECTRUM.replace("[[4e-14, 1e-14], [1e-14, 1e-14]]", "[[1, 2]]"), ("2 lists of 2",)),
        (SPECTRUM.replace("[1e-14, 1e-14]]", "[2e-14, 1e-14]]"), ("not symmetric",)),
        (SPECTRUM.replace("1e-14", "4e-14", 1).replace("[1e-14,", "[4e-14,"),
         ("eigenvalue that is not positive",)),
        (SPECTRUM + "uncertainties = [1, 1]", ("either 'covariance', or 'uncertainties'",)),
        ("[workspace]", ("either 'set'",)),
        ('[workspace]\nfile = "none.json"', ("'file' must be the .json file",)),
        ('[workspace]\nset = "belle2-2024"', ("unknown data set 'belle2-2024'",)),
        ('[workspace]\nset = "belle2-2025"\nselect = ["x"]', ("'x'",)),
        ('[workspace]\nset = "belle2-2025"\n' + COUNT, ("both [[counts]] and [workspace]",)),
        (COUNT.replace("observed = 6", ""), ("[[counts]] 'K+'", "'observed' is missing")),
        (COUNT.replace("observed = 6", "observed = -1"), ("'observed' is -1",)),
        (COUNT.replace("observed = 6", "observed = true"), ("'observed' must be a number",)),
        (COUNT.replace("[production]", "[sources]"), ("'sources'",)),
        (COUNT.replace("pairs = 1e8", ""), ("production", "'pairs' is missing")),
        (COUNT.replace("pairs = 1e8", "pairs = 1e8\ncharged = 0.6"), ("add up to 1.1",)),
        (COUNT.replace('"B+ -> K+"', '"Bs -> phi"'), ("'Bs -> phi'", "'parents'")),
        (COUNT.replace(_EFFICIENCY, "efficiency = 1e-3"), ("efficiency must be a table",)),
        (COUNT.replace("value = 1e-3", "value = 3"), ("between 0 and 1",)),
        (COUNT.replace("value = 1e-3", "value = [1e-3, 2e-3], q2 = [1]"), ("'q2' must increase",)),
        (COUNT.replace("statistical = 1e-4", "statistical = 1e-2"), ("10 times the value",)),
        (COUNT.replace(_EFFICIENCY, 'efficiency = { value = 1e-3, shared = "a" }'),
         ("'shared' names the nuisance of 'systematic'",)),
        (COUNT.replace('of = "window"', 'of = "some"'), ("'of' must say", '"all"')),
        (COUNT.replace(', of = "window"', ""), ("'of' must say", '"window"')),
        (COUNT.replace('of = "window"', 'of = "all"'), ("'fraction' is missing",)),
        (COUNT.replace('of = "window"', 'of = "all", fraction = 2'), ("above 1",)),
        (COUNT.replace("low = 2.0", "low = 9.0"), ("window", "there is no q2")),
        (COUNT.replace("resolution", "smearing"), ("unknown entry 'smearing'",)),
        (COUNT.replace(_REST, "{ value = 1 }"), ("backgrounds", "number 2", "'name' is missing")),
        (COUNT.replace('name = "rest"', 'name = "peaking"'), ("two samples are named 'peaking'",)),
        (COUNT.replace('name = "rest"', 'name = "signal"'), ("two samples are named 'signal'",)),
        (COUNT.replace("value = 0.5", "value = 0"), ("negative half of the time",)),
        (COUNT.replace('shared = "tag" },', 'shared = "peaking_K+_stat" },'),
         ("'peaking_K+_stat'", "count as one")),
        (COUNT + COUNT[COUNT.index("[[counts]]") :], ("two [[counts]] are named 'K+'",)),
        (re.sub(r"backgrounds = \[.*\]", "", COUNT, flags=re.S), ("no 'backgrounds'",)),
    ],
)  # fmt: skip
def test_wrong_entries_are_one_sentence(read, text, words):
    with pytest.raises((DataError, UnknownNameError)) as caught:
        read(text)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert message.endswith(".")
    assert "my.toml" in message or "data set" in message or "'x'" in message


def test_files_that_are_none(read, tmp_path):
    with pytest.raises(DataError, match=r"my\.toml, line 1: a syntax error of TOML"):
        read("a = ")
    with pytest.raises(DataError, match="no such"):
        data.load(tmp_path / "none.toml")


def test_numbers_of_the_embedded_files():
    """Every published number once more, beside the formula of its paper."""
    babar = tomllib.loads((FILES[0].parent / "babar-2013.toml").read_text(encoding="utf-8"))
    published_values = {"K+": 1.5, "K0": 0.14}
    for entry in babar["counts"]:
        backgrounds = sum(b["value"] for b in entry["backgrounds"])
        value = (entry["observed"] - backgrounds) / (entry["efficiency"]["value"] * 471e6)
        if entry["channel"] in published_values:
            # Backgrounds are published to 0.1 events.
            resolution = 0.1 / (entry["efficiency"]["value"] * 471e6)
            assert abs(value - 1e-5 * published_values[entry["channel"]]) < resolution
    belle = {r.name: r for r in data.load("belle-2017").results}
    assert belle["BR(B+ -> K+)"].value == pytest.approx(17.7 / (2.16e-3 * 772e6))
    assert math.isclose(belle["BR(B0 -> K*0)"].value, -2.0 / (0.51e-3 * 772e6))
