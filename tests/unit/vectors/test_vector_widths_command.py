"""`bknn vector-widths`: what it prints, writes, draws and refuses."""

from __future__ import annotations

import contextlib
import csv
import io
import json

import jax
import numpy as np
import pytest
from jsonschema import Draft202012Validator

import bknn
from bknn import cli, errors, plot
from bknn.answers.schema import closed
from bknn.commands import vector_widths as command
from bknn.vectors.couplings import NAMED, dark_photon, named, none
from bknn.vectors.over_mass import VectorWidths, over_mass
from bknn.vectors.resonances import WINDOWS

pytestmark = pytest.mark.usefixtures("quick_compilation")


def run(*words):
    """`bknn vector-widths ...` in this process; code, output, errors."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)
        code = cli.main(["vector-widths", *map(str, words)])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def written(quick_compilation, tmp_path_factory):
    """A grid of masses over two resonances, with dark fermions, drawn."""
    out = tmp_path_factory.mktemp("widths") / "results"
    words = ("b-minus-l", "--coupling", 1e-4, "--dark", "0.9,0.001", "--length", 2)
    done = run(*words, "--over", "mass=0.5,1,2.1,3.1,3.2,3.68,4", "--out", out)
    return done, out


def test_one_mass():
    code, out, err = run("dark-photon", "--mass", "2.0")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "dark-photon, epsilon = 0.001 of 2 GeV"
    assert "  mu mu            4.865e-09    0.2392" in lines
    assert "lifetime         3.237e-05 ps" in lines
    assert not any("tau tau" in line for line in lines)  # closed


def test_a_grid(written):
    (code, out, err), folder = written
    assert (code, err) == (0, "")
    assert "1 at the J/psi, 1 at the psi(2S), which the tables lack" in out
    names = ["result.json", "widths.csv", "widths.nc", "widths.pdf", "widths.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    content = json.loads((folder / "result.json").read_text())
    Draft202012Validator(closed("vector_widths")).validate(content)
    assert content["couplings"]["vector"]["mu"] == -1e-4
    assert content["provenance"]["settings"]["dark"] == "0.9,0.001"
    rows = list(csv.DictReader((folder / "widths.csv").read_text().splitlines()))
    assert [float(row["mass_GeV"]) for row in rows] == [0.5, 1.0, 2.1, 3.2, 4.0]
    entry, row = content["widths"][2], rows[2]
    width = entry["partial_widths"]["X X"]
    assert float(row["X X"]) == pytest.approx(width / entry["width"])
    assert sum(entry["partial_widths"].values()) == pytest.approx(entry["width"])
    assert 0.9 < float(row["p_invisible"]) < 1.0


def test_the_answer_comes_back_and_is_drawn(written):
    _, folder = written
    found = bknn.load(folder / "widths.nc")
    assert isinstance(found, VectorWidths)
    assert found.left_out == {"J/psi": 1, "psi(2S)": 1}
    figure = plot.figures(found)["widths"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "hadrons" in labels
    assert r"$X\bar X$" in labels
    assert r"$\pi^+\pi^-$" not in labels  # B - L has none
    curve = next(line for line in figure.axes[0].lines if line.get_label() == "hadrons")
    x, y = curve.get_data()
    gaps = [centre for centre, _ in list(WINDOWS.values())[:2]]
    assert list(x[np.isnan(y)]) == gaps  # no line across a resonance
    assert list(found.to_dataframe()["mass_GeV"]) == list(found.masses)


def test_json_alone(written):
    code, out, err = run("z-like", "--mass", 2.1, "--json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    assert content["command"] == "vector_widths"
    assert [entry["mass"] for entry in content["widths"]] == [2.1]


def test_a_file_of_charges(tmp_path):
    text = "g = 1e-3\n[charges]\nquarks = 0.333333333333\nleptons = -1\n"
    (tmp_path / "mine.toml").write_text(text)
    code, mine, _ = run("--charges", tmp_path / "mine.toml", "--mass", "2.1")
    _, known, _ = run("b-minus-l", "--mass", "2.1")
    assert code == 0
    assert mine.splitlines()[1:] == known.splitlines()[1:]
    assert mine.splitlines()[0] == "mine of 2.1 GeV"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("dark-photn --mass 2", "unknown vector 'dark-photn'; did you mean 'dark-photon'"),
        ("--mass 2", "give one vector: dark-photon"),
        ("baryon --charges my.toml --mass 2", "give one vector"),
        ("--charges nowhere.toml --mass 2", "no such file; give a TOML file of couplings"),
        ("--charges nowhere.toml --coupling 1 --mass 2", "the file of --charges has its own, g"),
        ("dark-photon --mass 3.1", "mixes with the J/psi"),
        ("dark-photon --mass 12", "out of range"),
        ("dark-photon --mass two", "--mass 'two' is no number"),
        ("dark-photon --over mass=3.09,3.1", "mixes with the J/psi"),
        ("dark-photon --over m=1:2:3", "is no grid of masses"),
        ("dark-photon --mass 2 --length 0", "a detector of 0 m is none"),
        ("dark-photon --mass 2 --dark 0.9", "is no mass and coupling"),
        ("dark-photon --mass 2 --dark=-1,1", "a fermion of -1 GeV is none"),
        ("dark-photon --mass 2 --coupling inf", "--coupling inf is no number to compute with"),
        ("dark-photon --mass 2 --lenght 3", "unknown option '--lenght'"),
    ],
)
def test_what_is_refused(words, sentence):
    code, out, err = run(*words.split())
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_the_help_names_all_vectors():
    assert command._VECTORS.split(", ") == list(NAMED)
    with pytest.raises(errors.UnknownNameError, match="unknown vector"):
        named("b-l", 1.0)


def test_of_a_vector_that_does_not_decay():
    found = over_mass(none(), [0.5, 2.1], label="nothing")
    assert found.channels == ()
    assert np.all(found.total == 0)
    assert np.all(found.p_invisible == 1)
    assert plot.figures(found)["widths"].axes
    assert "inf" in found.shown().text()


def test_one_mass_is_no_figure():
    found = over_mass(dark_photon(1e-3), [2.1], label="dark photon")
    assert plot.figures(found) == {}
    with pytest.raises(errors.ParameterError, match="are no figure; give a grid"):
        plot.observables.vector_widths.vector_widths(found)
