"""Files of users: whatever they hold, what is read is right or refused in a sentence, and soon."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bknn import cli, data, errors, form_factors, priors
from bknn.data import official
from bknn.likelihood import workspace
from bknn.models import wcxf
from bknn.questions.shared import values
from bknn.reading import user_files
from bknn.run.card import Card

from ..small import workspace as small_workspace

ROOT = Path(__file__).parents[3]

# ---------------------------------------------------------------- one way to open a file


def refused(call: Callable[[], Any], *words: str) -> None:
    """What is refused, is refused within a second or two, in a sentence or two."""
    began = time.process_time()
    with pytest.raises(errors.BknnError) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert len(message) < 600
    assert message.endswith(".")
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 100_000, "nested deeper"),
        (b"[" * 70 + b"]" * 70, "nested deeper"),
        (b"9" * 400, "400 digits"),
        (b"9" * 5000, "thousands of digits"),
        (b'{"a": {"b": 1, "b": 2}}', "'b' is there twice"),
        (b'["\\ud800"]', "half a character"),
        (b"\xff\xfe[\x00]\x00", "not a text in UTF-8"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6"),
    ],
)
def test_json_that_is_refused(text, words):
    refused(lambda: user_files.from_json(text, "a.json"), "a.json", words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a = " + b"[" * 100_000, "nested deeper"),
        (b"a = " + b"{a = " * 100_000, "nested deeper"),
        (b"a." * 400_000 + b"a = 1", "dots"),
        (b"[" + b"'a' . " * 100_000 + b"a]", "dots"),
        (b"a = " + b"9" * 400, "400 digits"),
        (b"a = " + b"9" * 5000, "thousands of digits"),
        (b"a = 1\na = 2", "line 2: a syntax error of TOML (cannot overwrite a value"),
        (b"# b\na = 2023-13-41", "line 2"),
        (b'a = 1\n\nb = """c\n', "line 3: a syntax error of TOML (unterminated string"),
        (b"a = 1e", "line 1"),
    ],
)
def test_toml_that_is_refused(text, words):
    refused(lambda: user_files.from_toml(text, "a.toml"), "a.toml", words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 10_000, "nested deeper"),
        (b"- " * 10_000, "nested deeper"),
        (b"&a [*a]", "aliases"),
        (b"a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
        (b"a: 1\nb: 2\na: 3", "'a' is there twice"),
        (b"a: 2023-13-41", "month"),
        (b"a: " + b"9" * 400, "400 digits"),
        (b"a: !!int ''", "not usable"),
        (b"a: !!python/object/apply:os.system [ls]", "constructor"),
        (b"a: [1", "not YAML"),
    ],
)
def test_yaml_that_is_refused(text, words):
    pytest.importorskip("yaml")
    refused(lambda: user_files.from_yaml(text, "a.yaml"), "a.yaml", words)


def test_bytes_that_are_refused(tmp_path):
    bomb = tmp_path / "a.json.gz"
    bomb.write_bytes(gzip.compress(b"0" * (user_files.MOST_JSON + 1), 1))
    refused(lambda: user_files.content(bomb), "a.json.gz", "larger than 64 MiB")
    for content in (b"PK", gzip.compress(b"[1]")[:-3], gzip.compress(b"[1]") + b"more"):
        bomb.write_bytes(content)
        refused(lambda: user_files.content(bomb), "damaged, cannot be unpacked")
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    for path in (tmp_path, tmp_path / "none", tmp_path / "a\0b", loop):
        refused(lambda path=path: user_files.content(path), str(path))
    refused(lambda: user_files.content(Path("/dev/zero"), most=1000), "/dev/zero", "larger than")


def test_bytes_that_are_read(tmp_path):
    path = tmp_path / "a.json"
    for content in (
        b'{"a": 1}',
        b'\xef\xbb\xbf{"a": 1}',
        gzip.compress(b'{"a"') + gzip.compress(b":1}"),
    ):
        path.write_bytes(content)
        assert user_files.read_json(path) == {"a": 1}
    path.write_bytes(b'\xef\xbb\xbfa = 1\r\nb = """c\r\nd"""\r\n')
    assert user_files.read_toml(path) == {"a": 1, "b": "c\nd"}
    prose = b"a = 'b. c. d.'\n" + b"b = [" + b"0.5," * 300 + b"]\nc.d.e = 1"
    assert user_files.from_toml(prose, "a")["c"] == {"d": {"e": 1}}


_LETTERS = st.characters(codec="utf-8")


_VALUES = st.recursive(
    st.booleans() | st.floats(allow_nan=False) | st.text(_LETTERS),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(_LETTERS), x, max_size=4),
    max_leaves=12,
)


@settings(max_examples=10)
@given(_VALUES)
def test_what_is_well_formed_is_read(value):
    assert user_files.from_json(json.dumps(value).encode(), "a") == value


@pytest.mark.nightly
@settings(max_examples=1000)
@given(_VALUES)
def test_what_is_well_formed_is_read_at_night(value):
    assert user_files.from_json(json.dumps(value).encode(), "a") == value


# ---------------------------------------------------------------- grids and numbers


@pytest.mark.parametrize(
    "words",
    [
        ("profile", "vector", "--over", "mass=0.1:4.7:100000000000"),
        ("profile", "vector", "--over", "mass=0.1:4.7:1e11"),
        ("profile", "vector", "--over", "mass=0:4:2000", "h_V=0:1:2000"),
        ("limit", "vector", "--toys", str(10**30), "--method", "toys"),
        ("toys", "vector", "--seed", str(10**30)),
        ("toys", "vector", "--seed", "-1"),
        ("toys", "vector", "--seed", str(10**400)),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_numbers_that_no_computer_is_through_with(words, capsys):
    began = time.process_time()
    assert cli.main(list(words)) == 2
    assert re.fullmatch(r"bknn: error: [^\n]{10,300}\.\n", capsys.readouterr().err)
    assert time.process_time() - began < 5.0


def test_grids():
    assert len(values.grid("0:1:1e3", "--over a")) == 1000
    refused(lambda: official.edges_from_text("0:22:100000000000"), "more than")
    for text in ("0:1:nan", "0:1:2.5", "0:1:0"):
        refused(lambda text=text: values.grid(text, "--over a"), "is no grid")
    for text in ("inf:1:3", "-1:1:3:log", "1e400,1"):
        refused(lambda text=text: values.grid(text, "--over a"), "not finite")


# ---------------------------------------------------------------- anything at all

CARD = """
[run]
seed = 3
[model]
name = "resonance"
free = ["width"]
[data]
sets = ["belle2-2025"]
[priors]
mass = "uniform(1.5, 3.0)"
[profile]
over = { mass = "0.1:4.7:20", branching_ratio = [1e-6, 2e-6] }
fix = { width = 0.1 }
[limit]
cl = 0.9
two_sided = true
[predict]
q2 = [[0, 4], 10]
around = [1.0, 2]
"""

WCXF = {
    "eft": "WET",
    "basis": "flavio",
    "scale": 4.8,
    "values": {"CL_bsnuenue": 1.5, "CR_bsnumunumu": {"Re": 0.5, "Im": -1e-3}, "C9_bsmumu": 1.0},
}

FORM_FACTORS = (
    ROOT / "bknn" / "form_factors" / "data" / "sets" / "hpqcd-2022" / "B-to-K.toml"
).read_text(encoding="utf-8")

MEASUREMENTS = [
    path.read_text(encoding="utf-8")
    for folder in (Path(data.__file__).parent, ROOT / "tests" / "fixtures" / "measurements")
    for path in sorted(folder.glob("*.toml"))
    if path.stem not in ("units", "beyond", "belle2-2025-hadronic", "belle2-2025-inclusive")
]
MEASUREMENTS.append("""
[[limits]]
name = "X"
channels = { "B+ -> K+" = 0.5, "B0 -> KS" = 0.5 }
mass = [0.1, 2.0, 4.0]
upper = [3e-6, 4e-6, 2e-6]
level = 0.95
[[spectrum]]
name = "s"
channels = "B+ -> K+"
edges = [0, 4, 8]
values = [1e-6, 2e-6]
uncertainties = [[3e-7, 2e-7], 1e-7]
correlation = [[1, 0.2], [0.2, 1]]
differential = true
[groups]
all = ["X"]
""")

CSV = "# counts\nlow, middle, high\n2.0, 0.9, 0.1\n0.2, 0.5, 3e-1\n"

#: What may stand where something else stood, of all three languages.
NASTY = (
    *("", "0", "-1", "1e400", "-1e-400", "nan", "inf", "-inf", "NaN", "9" * 30, "9" * 400, "1_000"),
    *("true", "null", "~", "[]", "{}", "[[]]", "[1, 2]", "[1, -2]", '[1, "a"]', "{a = 1}"),
    *('{"a": 1}', '""', '"a"', "'a'", '"\\u0000"', '"\\ud800"', "2023-02-31", "2023-02-28"),
    *("12:00:00", "0x10", "1e-5", "2.3", "&a *a", "*a", "<<", "!!binary a", '"../a"'),
    *('"B0 -> KS"', '"B+ -> K+ nu nu"', '"f_l"', "user:os:getcwd", "[" * 30, "\t", "\n", "#"),
    *("=", ":", '"""', "[[a]]\n", "[a.b]\n"),
)

_TOKEN = re.compile(r'"[^"\n]*"|[\w.+-]+|\S')


@st.composite
def mutated(draw: st.DrawFn, texts: list[str]) -> str:
    """A text of which some words were replaced, left out, doubled, or exchanged."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 3))):
        words = list(_TOKEN.finditer(text))
        if draw(st.booleans()):  # values alone, so that more than the syntax is looked at
            words = [word for word in words if word[0][0] in '"0123456789+-'] or words
        if not words:
            return text
        word = words[draw(st.integers(0, len(words) - 1))]
        other = words[draw(st.integers(0, len(words) - 1))]
        change = draw(st.sampled_from(["nasty", "nasty", "out", "double", "exchange", "cut"]))
        new = {
            "nasty": draw(st.sampled_from(NASTY)),
            "out": "",
            "double": f"{word[0]} {word[0]}",
            "exchange": other[0],
            "cut": None,
        }[change]
        if new is None:
            return text[: word.start()]
        text = text[: word.start()] + new + text[word.end() :]
    return text


def _csv(path: Path) -> Any:
    return official.read_table(path.read_bytes(), str(path))


def _json_workspace(path: Path) -> Any:
    data.load(path)
    return workspace.parse(path)


def _prior(path: Path) -> Any:
    return priors.read(path.read_text(encoding="utf-8"))


YAML = """
eft: WET
basis: EOS
scale: 4.2
values:
  sbnunu::cVL: 1e-3
  sbnunu::cSR: {Re: 1, Im: 2.5}
"""

PRIORS = ["uniform(1.5, 3.0)", "truncated_normal(0, 20e-6, 0, inf)", "log_uniform(1e-7, 1e-4)"]

#: {name of the file: (texts of it, how it is read)}
READERS: dict[str, tuple[list[str], Callable[[Path], Any]]] = {
    "measurement.toml": (MEASUREMENTS, data.load),
    "card.toml": ([CARD], Card.read),
    "form_factors.toml": ([FORM_FACTORS], form_factors.read),
    "c.json": ([json.dumps(WCXF)], wcxf.load),
    "c.yaml": ([json.dumps(WCXF), YAML], wcxf.load),
    "workspace.json": ([json.dumps(small_workspace())], _json_workspace),
    "table.csv": ([CSV], _csv),
    "prior.txt": (PRIORS, _prior),
}


def _is_read_or_refused(name: str, text: str, folder: Path) -> None:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    try:
        READERS[name][1](path)
    except errors.BknnError as problem:
        message = str(problem)
        assert message.endswith(".")
        assert len(message) > 20
        assert "\n" not in message


@pytest.mark.parametrize("name", READERS)
def test_the_texts_are_good_before_they_are_changed(name, tmp_path):
    pytest.importorskip("yaml")
    for text in READERS[name][0]:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        assert READERS[name][1](path) is not None


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60)
@given(changes=st.data())
def test_anything(name, changes, tmp_path_factory):
    text = changes.draw(mutated(READERS[name][0]))
    _is_read_or_refused(name, text, tmp_path_factory.getbasetemp())


@pytest.mark.nightly
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=5000)
@given(changes=st.data())
def test_anything_at_night(name, changes, tmp_path_factory):
    text = changes.draw(mutated(READERS[name][0]))
    _is_read_or_refused(name, text, tmp_path_factory.getbasetemp())
