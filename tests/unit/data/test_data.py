"""Data sets: the embedded one against its official numbers, the import, and every refusal."""

from __future__ import annotations

import argparse
import doctest
import gzip
import hashlib
import json
import math
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bknn import data
from bknn.data import checks, command, measurement, official, store
from bknn.errors import BknnError, DataError, UnknownNameError

A, B, C, D = (
    f"{letter}__Bsig_H_reconstructed_q2_vs_BDT2_Bplus2Kplus_v42_signal_inefficiency_{rest}"
    for letter, rest in zip(
        "ABCD", ("zoomSR_Y4S", "zoomCR_Y4S", "zoomSR_offres", "zoomCR_offres"), strict=True
    )
)
H = "sgn1_had"


@pytest.fixture(scope="module")
def belle2():
    return data.load("belle2-2025")


# ---------------------------------------------------------------- the embedded set


def test_embedded_workspace_is_the_official_one(belle2):
    # Computed from the official combined_likelihood.json by json.dumps alone, without this package.
    official_sha = "dd3e53bd634a0291f9f1f10cbf1e585a2c6a4d402e223f28dc133d44716d3fe7"
    text = json.dumps(belle2.workspace, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == official_sha
    assert belle2.metadata["files"][0]["sha256_canonical"] == official_sha


@pytest.mark.parametrize(
    ("channel", "sha"),
    [
        (A, "ba6ecf3dc4ba7b5f74ae5f3b9f9bbbfd35bd0cae680af8b444e25ea2050f3366"),
        (B, "c8b7f5b29fbef0635565877a8b589b11c25c0d6043c412849d386bc9965ce3c9"),
        (H, "2ef413de554d4d5553557e31c0f55e0f1afa01a52aafacc820d09dc72c41b4bb"),
    ],
)
def test_embedded_densities_are_the_official_tables(belle2, channel, sha):
    density = belle2.densities[channel]
    table = np.column_stack([density.unmatched, density.counts])
    lines = [",".join(f"{value:.18e}" for value in row) + "\n" for row in table.tolist()]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == sha
    np.testing.assert_array_equal(density.edges, np.linspace(0, 22.885, 101))


def test_embedded_set_has_the_published_contents(belle2):
    assert belle2.channels == (A, B, C, D, H)
    assert belle2.n_bins == 30
    assert belle2.poi == "mu"
    assert belle2.signal == {A: "signal", B: "signal", H: "sgn_1_had"}
    assert belle2.null_spectrum == "hpqcd-2022"
    assert belle2.form_factor_modifiers == ("corr_ff_c1", "corr_ff_c2", "corr_ff_c3")
    assert belle2.groups == {"inclusive": (A, B, C, D), "hadronic": (H,)}
    np.testing.assert_array_equal(belle2.observed[H], [110, 67, 26, 28, 14, 7])
    # arXiv:2311.14647: 40 signal events in eta(BDT2) > 0.98, 160 in A and B, 8 in the hadronic tag.
    assert belle2.template(A)[6:].sum() == pytest.approx(40, abs=0.1)
    assert belle2.template(A).sum() + belle2.template(B).sum() == pytest.approx(160, abs=0.1)
    assert belle2.template(H).sum() == pytest.approx(8, abs=0.1)
    assert [source.arxiv for source in belle2.sources if source.arxiv] == [
        "2507.12393",
        "2311.14647",
        "2402.08417",
    ]
    assert any(source.doi == "10.17182/hepdata.166082" for source in belle2.sources)
    for key in ("version", "license", "record", "command"):
        assert belle2.metadata[key]


def test_embedded_rows_add_up_to_the_templates(belle2):
    limits = {A: 1e-7, B: 1e-7, H: 2.4e-5}
    for channel, limit in limits.items():
        density = belle2.densities[channel]
        total = density.counts.sum(axis=1) + density.unmatched
        difference = total / belle2.template(channel) - 1
        assert np.abs(difference).max() < limit
        recorded = belle2.metadata["checks"]["rows"][channel]
        np.testing.assert_allclose(recorded, difference, rtol=0.1, atol=1e-14)
    hadronic = belle2.densities[H]
    excess = hadronic.counts.sum(axis=1) + hadronic.unmatched - belle2.template(H)
    np.testing.assert_allclose(excess, [-3.053e-5, 3.053e-5, 0, 0, 0, 0], atol=1e-8)
    assert not belle2.densities[A].unmatched.any()
    assert not belle2.densities[B].unmatched.any()
    assert (hadronic.unmatched > 0).all()


def test_embedded_variations_are_symmetric_as_at_the_source(belle2):
    asymmetric, bins = set(), 0
    for channel in belle2.workspace["channels"]:
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                if modifier["type"] != "histosys":
                    continue
                up, down = (np.array(modifier["data"][key]) for key in ("hi_data", "lo_data"))
                bins += len(up)
                if np.abs(up + down - 2 * np.array(sample["data"])).max() > 2.1e-6:
                    asymmetric.add((channel["name"], modifier["name"]))
    assert bins == 2418
    assert asymmetric == {(H, f"corr_ff_c{i}") for i in (1, 2, 3)}


def test_embedded_files_say_nothing_about_a_machine():
    folder = Path(data.__file__).parent / "belle2-2025"
    texts = [
        (folder / "metadata.toml").read_text(encoding="utf-8"),
        gzip.decompress((folder / "measurement.json.gz").read_bytes()).decode(),
    ]
    for text in texts:
        assert not re.search(r"(?<![\w:/.])/\w+/|\w:\\", text)  # absolute paths
    assert (folder / "measurement.json.gz").read_bytes()[4:8] == bytes(4)  # no time stamp


def test_embedded_command_is_the_documented_one(belle2):
    docs = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    assert belle2.metadata["command"] in " ".join(docs.replace("\\\n", " ").split())


def test_arrays_cannot_be_written(belle2):
    with pytest.raises(ValueError, match="read-only"):
        belle2.densities[A].counts[0, 0] = 1.0


def test_available_and_unknown_names():
    assert "belle2-2025" in data.available()
    assert list(data.available()) == sorted(data.available())
    with pytest.raises(UnknownNameError, match="unknown data set 'belle-2025'; did you mean"):
        data.load("belle-2025")


def test_importing_the_data_package_needs_no_jax():
    # The parent package is replaced by a bare one: what is measured is bknn.data itself.
    root = Path(data.__file__).parents[1]
    code = (
        "import sys, types\n"
        "parent = types.ModuleType('bknn')\n"
        f"parent.__path__ = [{str(root)!r}]\n"
        "sys.modules.update(bknn=parent, jax=None, scipy=None)\n"
        "import bknn.data\n"
        "assert bknn.data.load('belle2-2025').n_bins == 30\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", [data, measurement, store, official])
def test_examples_in_the_docstrings(module):
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed


# ---------------------------------------------------------------- select


def test_select_by_group_name_and_beginning(belle2):
    inclusive = belle2.select("inclusive")
    assert inclusive.channels == (A, B, C, D)
    assert set(inclusive.densities) == set(inclusive.signal) == {A, B}
    assert inclusive.groups == {"inclusive": (A, B, C, D)}
    assert [entry["name"] for entry in inclusive.workspace["observations"]] == [A, B, C, D]
    assert inclusive.n_bins == 24
    mixed = belle2.select(["sgn", "B", B])
    assert mixed.channels == (B, H)  # order of the workspace, nothing twice
    assert mixed.groups == {"inclusive": (B,), "hadronic": (H,)}
    assert mixed.poi == "mu"
    assert mixed.sha256 == belle2.sha256
    assert belle2.select(belle2.channels).workspace == belle2.workspace
    assert belle2.n_bins == 30  # the original is untouched


def test_select_without_signal_has_no_parameter_of_interest(belle2):
    off_resonance = belle2.select(["C", "D"])
    assert off_resonance.poi is None
    assert off_resonance.workspace["measurements"][0]["config"]["poi"] == ""
    assert not off_resonance.signal
    with pytest.raises(UnknownNameError, match="unknown channel with a signal"):
        belle2.template(C)


@pytest.mark.parametrize("wrong", ["inclusiv", "E", "", "a"])
def test_select_unknown_names_close_matches(belle2, wrong):
    with pytest.raises(UnknownNameError, match="unknown channel") as caught:
        belle2.select(wrong)
    if wrong == "inclusiv":
        assert "did you mean 'inclusive'" in str(caught.value)


def test_select_ambiguous_or_nothing(belle2):
    with pytest.raises(DataError, match="no channel selected"):
        belle2.select([])
    with pytest.raises(UnknownNameError, match="not unique: signal_1, signal_2 begin like that"):
        measurement.resolve("signal", ["signal_1", "signal_2"])
    assert measurement.resolve("SR", ["SR", "SR2"]) == ("SR",)
    assert measurement.resolve("SR", ["SR1", "SR2"], {"SR": ["SR1", "SR2"]}) == ("SR1", "SR2")


# ---------------------------------------------------------------- a small set, imported

EDGES = [0.0, 5.0, 10.0, 15.0, 22.0]
COUNTS = np.array([[0.1, 1 / 3, 2.0, 0.0], [1e-17, 0.25, 0.5, 4.0], [7.0, 0.1, 0.2, 0.3]])
UNMATCHED = np.array([0.0, 0.125, 1e-3])


def small_workspace():
    signal = [math.fsum([*row, extra]) for row, extra in zip(COUNTS, UNMATCHED, strict=True)]
    mu = {"name": "mu", "type": "normfactor", "data": None}
    shape = {"hi_data": [2.0, 5.0, 8.0], "lo_data": [2.5, 4.5, 7.0]}
    lumi = {"name": "lumi", "type": "lumi", "data": None}
    return {
        "version": "1.0.0",
        "channels": [
            {
                "name": "SR_main",
                "samples": [
                    {
                        "name": "signal",
                        "data": signal,
                        "modifiers": [mu, {"name": "ff", "type": "histosys", "data": shape}],
                    },
                    {"name": "background", "data": [10.0, 20.5, 30.25], "modifiers": []},
                ],
            },
            {
                "name": "CR",
                "samples": [{"name": "background", "data": [100, 200], "modifiers": [lumi]}],
            },
        ],
        "observations": [
            {"name": "CR", "data": [101, 190]},
            {"name": "SR_main", "data": [12.0, 25.0, 38.0]},
        ],
        "measurements": [
            {
                "name": "fit",
                "config": {
                    "poi": "mu",
                    "parameters": [
                        {
                            "name": "lumi",
                            "auxdata": [1.0],
                            "sigmas": [0.02],
                            "bounds": [[0.5, 1.5]],
                            "inits": [1.0],
                        }
                    ],
                },
            }
        ],
    }


def table_text(counts=COUNTS, unmatched=UNMATCHED):
    rows = np.column_stack([unmatched, counts]).tolist()
    return "".join(",".join(map(repr, row)) + "\n" for row in rows)


DESCRIPTION = """\
title = "A small set \\"quoted\\" with nu nubar \u03bd"
version = "3"
notes = ["first", "second"]

[[sources]]
title = "Nothing"
arxiv = "0000.00000"
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "workspace.json").write_text(json.dumps(small_workspace()))
    (tmp_path / "density.csv").write_text(table_text())
    (tmp_path / "about.toml").write_text(DESCRIPTION, encoding="utf-8")
    return tmp_path


def small(files, **changes):
    options = {
        "name": "small",
        "densities": {"SR": files / "density.csv"},
        "signal": {"SR": "signal"},
        "q2_edges": EDGES,
        "null_spectrum": "hpqcd-2022",
        "form_factor_modifiers": ["ff"],
        "groups": {"all": ["SR", "CR"]},
        "description": files / "about.toml",
    }
    return data.import_official(files / "workspace.json", **{**options, **changes})


def run_command(*words):
    parser = argparse.ArgumentParser("bknn data")
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_import_and_load_give_back_the_exact_numbers(files):
    made = small(files, out=files / "small")
    for item in (made, data.load(files / "small"), data.load(str(files / "small")), small(files)):
        assert item.workspace == small_workspace()
        assert isinstance(item.workspace["observations"][0]["data"][0], int)
        density = item.densities["SR_main"]
        np.testing.assert_array_equal(density.counts, COUNTS)
        np.testing.assert_array_equal(density.unmatched, UNMATCHED)
        np.testing.assert_array_equal(density.edges, EDGES)
        assert item.signal == {"SR_main": "signal"}
        assert item.groups == {"all": ("SR_main", "CR")}
        assert item.title == 'A small set "quoted" with nu nubar \u03bd'
        assert item.notes == ("first", "second")
        assert [str(source) for source in item.sources] == ["Nothing, arXiv:0000.00000"]
        assert item.sha256 == made.sha256
        np.testing.assert_array_equal(item.observed["CR"], [101.0, 190.0])
    files_of_set = sorted(path.name for path in (files / "small").iterdir())
    assert files_of_set == ["measurement.json.gz", "metadata.toml"]
    content = gzip.decompress((files / "small" / "measurement.json.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == made.sha256
    assert made.metadata["data"]["sha256_content"] == made.sha256
    assert made.metadata["files"][1]["sha256"] == (
        hashlib.sha256((files / "density.csv").read_bytes()).hexdigest()
    )


def test_same_input_gives_the_same_bytes_by_any_way(files, capsys):
    small(files, out=files / "one" / "small")
    small(files, out=files / "two" / "small")
    arguments = [
        *(
            "import",
            files / "workspace.json",
            "--name",
            "small",
            "--out",
            files / "three" / "small",
        ),
        *("--density", f"SR={files / 'density.csv'}", "--signal", "SR=signal"),
        *("--q2-edges", "0,5,10,15,22", "--null-spectrum", "hpqcd-2022"),
        *("--form-factor-modifier", "ff", "--group", "all=SR,CR"),
        *("--description", files / "about.toml"),
    ]
    assert run_command(*arguments) == 0
    assert "written to" in capsys.readouterr().out
    first = [
        (files / "one" / "small" / name).read_bytes()
        for name in (store.DATA_FILE, store.METADATA_FILE)
    ]
    for other in ("two", "three"):
        for name, content in zip((store.DATA_FILE, store.METADATA_FILE), first, strict=True):
            assert (files / other / "small" / name).read_bytes() == content
    assert str(files) not in first[1].decode()  # the command has bare file names
    # Its own metadata describe the set: made again, over itself, only that file name changes.
    again = files / "one" / "small"
    small(files, description=again / "metadata.toml", out=again)
    assert (again / store.DATA_FILE).read_bytes() == first[0]
    text = (again / store.METADATA_FILE).read_bytes()
    assert text.replace(b"metadata.toml --out", b"about.toml --out") == first[1]


def test_import_of_a_bare_workspace(files):
    made = data.import_official(files / "workspace.json", name="bare", out=files / "bare")
    assert not made.signal
    assert not made.densities
    assert made.null_spectrum == ""
    assert made.workspace == small_workspace()
    assert made.metadata["command"] == "bknn data import workspace.json --name bare --out bare"
    assert data.load(files / "bare").sha256 == made.sha256
    assert "bare" in made.summary()


def test_import_without_sentinel_and_with_uniform_edges(files):
    spec = small_workspace()
    spec["channels"][0]["samples"][0]["data"] = [math.fsum(row) for row in COUNTS]
    (files / "workspace.json").write_text(json.dumps(spec))
    (files / "density.csv").write_text(
        "\n".join(",".join(map(repr, row)) for row in COUNTS.tolist())
    )
    made = small(files, sentinel=False, q2_edges=np.linspace(0, 20, 5), out=files / "small")
    assert not made.densities["SR_main"].unmatched.any()
    assert "--q2-edges 0:20:4 --no-sentinel" in made.metadata["command"]


def test_selection_drops_what_only_the_dropped_channels_configure(files):
    made = small(files)
    kept = made.select("SR").workspace["measurements"][0]["config"]
    assert kept == {"poi": "mu", "parameters": []}
    other = made.select("CR").workspace["measurements"][0]["config"]
    assert other["poi"] == ""
    assert [entry["name"] for entry in other["parameters"]] == ["lumi"]


def test_tables_may_have_comments_header_and_blanks(files):
    text = "# made by hand\n\nnone, low , mid,high,top\n" + table_text().replace(",", " ,\t")
    (files / "density.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(small(files).densities["SR_main"].counts, COUNTS)


# ---------------------------------------------------------------- refusals of the import


def edited(files, change):
    spec = small_workspace()
    change(spec)
    (files / "workspace.json").write_text(json.dumps(spec))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.pop("observations"), "not a pyhf workspace: 'observations' is missing"),
        (lambda w: w.update(channels={}), "not a pyhf workspace: 'channels' is missing or not"),
        (lambda w: w.update(channels=[]), "has no channels"),
        (lambda w: w.update(measurements=[]), "has no measurement"),
        (lambda w: w["measurements"][0].pop("config"), "measurement 'fit' has no 'config'"),
        (lambda w: w["measurements"][0]["config"].update(poi=["mu"]), "must be a name"),
        (
            lambda w: w["measurements"][0]["config"]["parameters"][0].update(name=[]),
            "parameter of measurement 'fit' has no name",
        ),
        (lambda w: w["observations"].pop(1), "channel 'SR_main' has no entry in 'observations'"),
        (
            lambda w: w["observations"][1]["data"].pop(),
            "'signal' has 3 bins, the observation has 2",
        ),
        (lambda w: w["observations"][1].update(data=[1, 2, "3"]), "must be a list of numbers"),
        (
            lambda w: w["channels"][0]["samples"][1]["data"].append(1.0),
            "'SR_main': sample 'background' has 4 bins, the observation has 3",
        ),
        (
            lambda w: w["channels"][0]["samples"][1]["data"].__setitem__(1, math.nan),
            r"1 number is not finite, the first at workspace.channels\[SR_main\].samples"
            r"\[background\].data\[1\] \(nan\)",
        ),
        (lambda w: w["observations"][0]["data"].__setitem__(0, 10**400), "401 digits"),
        (lambda w: w["channels"].append(w["channels"][1]), "more than one channel named 'CR'"),
        (
            lambda w: w["channels"][0]["samples"][1].update(name="signal"),
            "more than one sample named 'signal'",
        ),
        (lambda w: w["channels"][0].pop("name"), "channel has no name"),
        (lambda w: w["channels"][0].pop("samples"), "'SR_main' has no list of samples"),
        (lambda w: w["channels"][1]["samples"][0].pop("modifiers"), "a list of modifiers"),
        (lambda w: w["channels"][1]["samples"][0]["modifiers"][0].pop("name"), "with a name"),
    ],
)
def test_workspaces_that_are_refused(files, change, sentence):
    edited(files, change)
    with pytest.raises(DataError, match=sentence) as caught:
        small(files)
    assert "workspace.json" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not json", "not JSON .line 1, column 1"),
        (b'{"channels": [', "not JSON .line 1, column 15"),
        (b"[1, 2]", "not a pyhf workspace: a JSON object is expected"),
        (b'{"patches": []}', "patch set"),
        (b"\xff\xfe\x00", "not a text in UTF-8"),
        (b"[" * 100_000, "not usable as JSON"),
        (b"", "not JSON"),
    ],
)
def test_files_that_are_no_workspace(files, content, sentence):
    (files / "workspace.json").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        small(files)


def density_with(row, column, value):
    counts = COUNTS.copy()
    counts[row, column] = value
    return table_text(counts)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            density_with(1, 2, -0.5),
            r"1 negative \(at fit bin 2, true-q2 bin 3 \(-0.5\), counted from 1\)",
        ),
        (density_with(0, 0, math.nan), r"1 not finite \(at fit bin 1, true-q2 bin 1 \(nan\)"),
        (
            table_text(np.where(COUNTS > 0.3, -COUNTS, math.inf)),
            r"\d negative and \d not finite \(at fit bin 1, true-q2 bin 1 \(inf\); .* and 9 more",
        ),
        (table_text(unmatched=-UNMATCHED), r"2 negative \(at fit bin 2 .* among the 3 unmatched"),
        (table_text(COUNTS[:2], UNMATCHED[:2]), "has 2 rows, the channel has 3 fit bins"),
        (
            table_text(COUNTS[:, :3]),
            "4 columns, where 4 true-q2 bins and one sentinel column need 5",
        ),
        (
            density_with(2, 0, 7.001),
            r"1 row does not add up .* row 3 .* with 7.602 where the template has 7.601, relative "
            r"difference 0.00013, tolerance 0.0001",
        ),
        (table_text(COUNTS[::-1], UNMATCHED[::-1]), "rows do not add up"),
        ("0;1;2;3;4\n1;2;3;4;5\n6;7;8;9;10\n", "line 2, column 1: '1;2;3;4;5', not a number"),
        (table_text() + "1,2,3\n", "line 4: 3 columns, where the rows before have 5"),
        (table_text().replace("2.0", ""), "line 1, column 4: empty"),
        (table_text().replace("7.0", "7_0.0"), "line 3, column 2: '7_0.0', not a number"),
        ("# nothing\n\n", "no numbers in this file"),
    ],
)
def test_densities_that_are_refused(files, text, sentence):
    (files / "density.csv").write_text(text)
    with pytest.raises(DataError, match=sentence) as caught:
        small(files)
    assert "density.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"signal": {"SR": "sginal"}}, "unknown sample 'sginal' .*did you mean 'signal'"),
        ({"signal": {}}, "'SR_main' has a density but no signal sample"),
        ({"signal": {"SR": "signal", "CR": "background"}}, "'CR' has a signal sample but no dens"),
        ({"signal": {"SR": "signal", "SR_main": "signal"}}, "given more than one signal sample"),
        ({"signal": {"XR": "signal"}}, "unknown channel 'XR'"),
        ({"groups": {"all": ["nothing"]}}, "unknown channel 'nothing'"),
        ({"groups": {"all": []}}, "group 'all' must be a list"),
        ({"form_factor_modifiers": ["fff"]}, "unknown form-factor modifier 'fff'.*mean 'ff'"),
        ({"null_spectrum": ""}, "without the spectrum they were simulated with"),
        ({"q2_edges": None}, "without the edges"),
        ({"q2_edges": [-1.0, *EDGES]}, "5 columns, where 5 true-q2 bins .* need 6"),
        ({"q2_edges": [-1.0, 0.0, 1.0, 2.0, 3.0]}, "first true-q2 edge is -1 GeV"),
        ({"q2_edges": [0.0, 2.0, 1.0, 2.0, 3.0]}, "must increase; 2 is followed by 1"),
        ({"q2_edges": [0.0, 1.0, 2.0, 3.0, math.inf]}, "finite numbers"),
        ({"sentinel": False}, "5 columns, where 4 true-q2 bins need 4. Is the first one a sent"),
        ({"name": "Small Set"}, "cannot be the name of a data set"),
        ({"tolerance": -1.0}, "tolerance must lie between 0 and 1"),
        ({"tolerance": math.nan}, "tolerance must lie between 0 and 1"),
        ({"description": {"titel": "x"}}, "unknown entry 'titel'.* did you mean 'title'"),
        ({"description": {"title": 3}}, "'title' must be a text"),
        ({"description": {"notes": "x"}}, "'notes' must be of type list"),
        ({"description": {"notes": [1]}}, "'notes' must be a list of texts"),
        ({"description": {"sources": [{"doi": "x"}]}}, "at least a title"),
        ({"description": {"sources": [{"title": "x", "year": 1}]}}, "unknown entry 'year'"),
        ({"description": {"sources": [{"title": "x", "doi": 1}]}}, "'doi' of a source must be"),
    ],
)
def test_imports_that_are_refused(files, changes, sentence):
    with pytest.raises((DataError, UnknownNameError), match=sentence):
        small(files, **changes, out=files / "small")
    assert not (files / "small").exists()


def test_missing_files_and_full_directories(files):
    with pytest.raises(DataError, match=r"nowhere.csv: no such file; a number density is expected"):
        small(files, densities={"SR": files / "nowhere.csv"})
    with pytest.raises(DataError, match=r"nowhere.toml: no such file"):
        small(files, description=files / "nowhere.toml")
    with pytest.raises(DataError, match=r"already holds about.toml, density.csv, workspace.json"):
        small(files, out=files)
    with pytest.raises(DataError, match="cannot be written"):
        small(files, out=files / "density.csv")
    with pytest.raises(DataError, match="cannot be read"):
        small(files, densities={"SR": files})


def test_tolerance_is_kept_with_the_set(files):
    (files / "density.csv").write_text(density_with(2, 0, 7.001))
    made = small(files, tolerance=1e-3, out=files / "loose")
    assert "--tolerance 0.001" in made.metadata["command"]
    assert made.metadata["checks"]["rows"]["SR_main"] == [0.0, 0.0, 0.00013]
    assert data.load(files / "loose").sha256 == made.sha256


# ---------------------------------------------------------------- refusals of the reader


@pytest.fixture
def stored(files):
    small(files, out=files / "small")
    return files / "small"


def test_changed_content_is_found_by_its_checksum(stored):
    file = stored / store.DATA_FILE
    content = gzip.decompress(file.read_bytes())
    changed = content.replace(b"20.5", b"20.6")
    file.write_bytes(store.compress(changed))
    with pytest.raises(DataError, match="checksum") as caught:
        data.load(stored)
    for digest in (hashlib.sha256(content), hashlib.sha256(changed)):
        assert digest.hexdigest() in str(caught.value)


def test_other_compression_of_the_same_content_is_accepted(stored):
    before = data.load(stored)
    file = stored / store.DATA_FILE
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()), compresslevel=1, mtime=5))
    assert data.load(stored).sha256 == before.sha256


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda raw: raw[:-20], "damaged, cannot be unpacked"),
        (lambda raw: raw[:100] + bytes([raw[100] ^ 255]) + raw[101:], "damaged|checksum"),
        (lambda raw: b"PK" + raw[2:], "damaged, cannot be unpacked"),
        (lambda raw: b"", "damaged|checksum"),
    ],
)
def test_damaged_data_files(stored, damage, sentence):
    file = stored / store.DATA_FILE
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=sentence):
        data.load(stored)


def rewritten(stored, content, **changes):
    """Store a content with its right checksum, as someone who edits by hand would."""
    raw = content if isinstance(content, bytes) else store.canonical_json(content)
    (stored / store.DATA_FILE).write_bytes(store.compress(raw))
    meta = tomllib.loads((stored / store.METADATA_FILE).read_text(encoding="utf-8"))
    meta["data"]["sha256_content"] = store.sha256(raw)
    meta.update(changes)
    (stored / store.METADATA_FILE).write_text(store.to_toml(meta), encoding="utf-8")


def content_of(stored):
    return json.loads(gzip.decompress((stored / store.DATA_FILE).read_bytes()))


def test_contents_that_are_refused_although_the_checksum_is_right(stored):
    content = content_of(stored)
    for raw, sentence in ((b"{", "not JSON"), (b"[]", "a JSON object is expected")):
        rewritten(stored, raw)
        with pytest.raises(DataError, match=sentence):
            data.load(stored)
    density = content["densities"]["SR_main"]
    for key, value, sentence in (
        ("counts", [[1.0, 2.0], [3.0]], "not a table of numbers"),
        ("counts", [[1.0] * 4] * 2, r"shape \(2, 4\) where \(3, 4\)"),
        ("counts", [[-1.0] * 4] * 3, "12 negative"),
        ("counts", [[1.0] * 4] * 3, "3 rows do not add up"),
        ("edges", EDGES[:-1], r"shape \(3, 4\) where \(3, 3\)"),
        ("unmatched", [0.0], "shape"),
    ):
        changed = {**content, "densities": {"SR_main": {**density, key: value}}}
        rewritten(stored, changed)
        with pytest.raises(DataError, match=sentence):
            data.load(stored)
    rewritten(stored, {**content, "densities": {"SR_main": {}}})
    with pytest.raises(DataError, match="not a table of numbers"):
        data.load(stored)
    rewritten(stored, {**content, "densities": {}})
    with pytest.raises(DataError, match="signal sample but no density"):
        data.load(stored)
    rewritten(stored, {**content, "workspace": {"observations": []}})
    with pytest.raises(DataError, match="not a pyhf workspace"):
        data.load(stored)
    rewritten(stored, content)
    assert data.load(stored).n_bins == 5


def test_metadata_that_is_refused(stored):
    content = content_of(stored)
    meta = tomllib.loads((stored / store.METADATA_FILE).read_text(encoding="utf-8"))
    definition = {**meta["definition"], "null_spectrum": "another"}
    for changes, sentence in (
        ({"format": 99}, "format 99, this version of bknn reads 1"),
        ({"format": "1"}, "'format' must be of type int, not str"),
        ({"definition": definition}, r"'definition' differs .*\(in null_spectrum\)"),
        ({"groups": {"x": ["nothing"]}}, "unknown channel 'nothing'"),
        ({"groups": {"x": "CR"}}, "group 'x' must be a list"),
        ({"data": {"file": "x"}}, "'sha256_content' is missing"),
        ({"checks": {"tolerance": "big"}}, "'tolerance' must be of type float"),
    ):
        rewritten(stored, content, **changes)
        with pytest.raises((DataError, UnknownNameError), match=sentence):
            data.load(stored)
        rewritten(stored, content, **meta)
    (stored / store.METADATA_FILE).write_text("title = \n")
    with pytest.raises(DataError, match="line 1: a syntax error of TOML"):
        data.load(stored)
    (stored / store.METADATA_FILE).write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match="not a text in UTF-8"):
        data.load(stored)


def test_missing_parts_and_wrong_places(stored, monkeypatch):
    with pytest.raises(DataError, match="no such directory"):
        data.load(stored.parent / "nowhere")
    with pytest.raises(DataError, match="no such directory"):
        data.load(f"{stored.parent}/nowhere")
    (stored.parent / "notes.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(DataError, match="this is a file, and a data set is a directory"):
        data.load(stored.parent / "notes.txt")
    # A workspace alone is a measurement without response.
    assert not data.load(stored.parent / "workspace.json").densities
    with pytest.raises(DataError, match=r"metadata.toml: no such file"):
        data.load(stored.parent)
    (stored / store.DATA_FILE).unlink()
    with pytest.raises(DataError, match=r"measurement.json.gz: no such file"):
        data.load(stored)
    # A name comes before a directory of that name; ./name is the directory.
    monkeypatch.chdir(stored.parent)
    Path("belle2-2025").mkdir()
    assert data.load("belle2-2025").n_bins == 30
    with pytest.raises(DataError, match="no such file"):
        data.load("./belle2-2025")


# ---------------------------------------------------------------- the command line


def test_list_and_show(capsys, files):
    assert run_command() == 0
    plain = capsys.readouterr().out
    assert run_command("list") == 0
    assert capsys.readouterr().out == plain
    assert re.search(r"belle2-2025 +5 +30 +3 +arXiv:2507.12393 +- ", plain)
    assert run_command("show", "belle2-2025") == 0
    shown = capsys.readouterr().out
    for word in ("sgn_1_had", "hpqcd-2022", "10.17182/hepdata.166082", "sha256", "hadronic"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 110
    assert run_command("show", "belle2-2025", "--channels", "hadronic,B") == 0
    shown = capsys.readouterr().out
    assert "A__" not in shown
    assert "sgn1_had" in shown
    small(files, out=files / "small")
    assert run_command("show", files / "small") == 0
    assert "SR_main" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--density", "SR"), "--density 'SR': write it as CHANNEL=FILE"),
        (("--signal", "=x"), "--signal '=x': write it as CHANNEL=SAMPLE"),
        (("--group", "a=CR", "--group", "a=SR"), "--group: 'a' is given twice"),
        (("--q2-edges", "0:1"), "'0:1' are no bin edges"),
        (("--q2-edges", "0:1:0"), "no bin edges"),
        (("--q2-edges", "a,b"), "no bin edges"),
    ],
)
def test_wrong_options(files, words, sentence):
    with pytest.raises(DataError, match=sentence):
        run_command("import", files / "workspace.json", "--name", "a", "--out", files / "a", *words)


def test_every_option_is_explained(capsys):
    parser = argparse.ArgumentParser("bknn data")
    command.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["import", "--help"])
    shown = capsys.readouterr().out
    for option in (
        *("--name", "--out", "--density", "--signal", "--q2-edges", "--no-sentinel"),
        *("--null-spectrum", "--form-factor-modifier", "--group", "--description", "--tolerance"),
    ):
        assert option in shown


def test_import_hint_for_a_directory_named_as_an_embedded_set(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    words = ("import", "workspace.json", "--name", "belle2-2025", "--out", "belle2-2025")
    assert run_command(*words) == 0
    assert "use it as --data ./belle2-2025" in capsys.readouterr().out


# ---------------------------------------------------------------- the form on disk

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(TEXT, max_size=8),
)
TABLES = st.dictionaries(
    TEXT,
    st.one_of(
        VALUES,
        st.dictionaries(TEXT, VALUES, max_size=3),
        st.lists(st.dictionaries(TEXT, VALUES, max_size=3), min_size=1, max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(TABLES)
def test_toml_comes_back_as_it_was(table):
    assert tomllib.loads(store.to_toml(table)) == table


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_survive_exactly(values):
    raw = store.canonical_json({"x": values})
    back = json.loads(gzip.decompress(store.compress(raw)))["x"]
    assert [value.hex() for value in back] == [value.hex() for value in values]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_as_a_table_are_numbers_or_an_error(content):
    try:
        table = official.read_table(content, "table.csv")
    except BknnError:
        return
    assert table.ndim == 2
    assert table.dtype == np.float64


def test_a_template_of_zero_needs_a_row_of_zero():
    density = data.Density([[0.0, 0.0], [1.0, 0.0]], [0.0, 1.0, 2.0], [0.0, 0.0])
    checks.check_rows(density, np.array([0.0, 1.0]), "here")
    with pytest.raises(DataError, match="1 row does not add up"):
        checks.check_rows(density, np.array([0.0, 0.0]), "here")
