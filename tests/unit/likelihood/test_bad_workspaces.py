"""What is wrong with a workspace is said in one sentence that names the place."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

import bknn

Workspace = dict[str, Any]


def workspace() -> Workspace:
    """Two channels, two samples, every type of modifier."""
    return {
        "channels": [
            {
                "name": "SR",
                "samples": [
                    {
                        "name": "signal",
                        "data": [5.0, 10.0],
                        "modifiers": [
                            {"name": "mu", "type": "normfactor", "data": None},
                            {"name": "lumi", "type": "lumi", "data": None},
                            {
                                "name": "theory",
                                "type": "normsys",
                                "data": {"lo": 0.9, "hi": 1.1},
                            },
                        ],
                    },
                    {
                        "name": "background",
                        "data": [50.0, 60.0],
                        "modifiers": [
                            {
                                "name": "tracking",
                                "type": "histosys",
                                "data": {"lo_data": [48.0, 59.0], "hi_data": [53.0, 62.0]},
                            },
                            {"name": "sidebands", "type": "shapesys", "data": [5.0, 12.0]},
                            {"name": "stat_SR", "type": "staterror", "data": [2.0, 3.0]},
                        ],
                    },
                ],
            },
            {
                "name": "CR",
                "samples": [
                    {
                        "name": "background",
                        "data": [100.0],
                        "modifiers": [{"name": "shape", "type": "shapefactor", "data": None}],
                    }
                ],
            },
        ],
        "observations": [{"name": "SR", "data": [52.0, 64.0]}, {"name": "CR", "data": [110.0]}],
        "measurements": [
            {
                "name": "fit",
                "config": {
                    "poi": "mu",
                    "parameters": [
                        {
                            "name": "lumi",
                            "inits": [1.0],
                            "auxdata": [1.0],
                            "sigmas": [0.02],
                            "bounds": [[0.9, 1.1]],
                        }
                    ],
                },
            }
        ],
        "version": "1.0.0",
    }


SIGNAL = ("channels", 0, "samples", 0)
BACKGROUND = ("channels", 0, "samples", 1)
CONFIG = ("measurements", 0, "config")
LUMI = (*CONFIG, "parameters", 0)


def at(spec: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        spec = spec[key]
    return spec


def put(*path: str | int, value: Any) -> Callable[[Workspace], None]:
    def change(spec: Workspace) -> None:
        at(spec, path[:-1])[path[-1]] = value

    return change


def drop(*path: str | int) -> Callable[[Workspace], None]:
    def change(spec: Workspace) -> None:
        del at(spec, path[:-1])[path[-1]]

    return change


def append(*path: str | int, value: Any) -> Callable[[Workspace], None]:
    def change(spec: Workspace) -> None:
        at(spec, path).append(copy.deepcopy(value))

    return change


def repeat(*path: str | int) -> Callable[[Workspace], None]:
    """Append a copy of an item of a list to the list."""

    def change(spec: Workspace) -> None:
        at(spec, path[:-1]).append(copy.deepcopy(at(spec, path)))

    return change


def configure(**config: Any) -> Callable[[Workspace], None]:
    return append(*CONFIG, "parameters", value=config)


MU = {"name": "mu", "type": "normfactor", "data": None}

# (what is wrong, the change, what the sentence must name)
CASES: list[tuple[str, Callable[[Workspace], None], tuple[str, ...]]] = [
    ("no channels", drop("channels"), ("channels",)),
    ("empty channels", put("channels", value=[]), ("channels",)),
    ("channels is no list", put("channels", value={"SR": {}}), ("channels",)),
    ("no observations", drop("observations"), ("observations",)),
    ("no measurements", drop("measurements"), ("measurement",)),
    ("empty measurements", put("measurements", value=[]), ("measurement",)),
    ("another version", put("version", value="2.0.0"), ("version", "2.0.0")),
    ("no version", drop("version"), ("version",)),
    # channels and samples
    ("channel without name", drop("channels", 1, "name"), ("channel", "name")),
    ("channel twice", repeat("channels", 1), ("CR",)),
    ("channel without samples", put("channels", 1, "samples", value=[]), ("CR", "sample")),
    ("sample without name", drop(*SIGNAL, "name"), ("SR", "name")),
    ("sample twice", repeat(*SIGNAL), ("SR", "signal")),
    ("missing yields", drop(*SIGNAL, "data"), ("SR", "signal", "data")),
    ("empty yields", put(*SIGNAL, "data", value=[]), ("SR", "signal")),
    ("sample too long", put(*BACKGROUND, "data", value=[1.0, 2.0, 3.0]), ("SR", "3", "2")),
    ("sample too short", put(*BACKGROUND, "data", value=[1.0]), ("SR", "1", "2")),
    ("NaN yield", put(*SIGNAL, "data", 1, value=math.nan), ("SR", "signal", "nan")),
    ("infinite yield", put(*SIGNAL, "data", 0, value=math.inf), ("SR", "signal", "inf")),
    ("yield of text", put(*SIGNAL, "data", 1, value="ten"), ("SR", "signal")),
    ("missing yield", put(*SIGNAL, "data", 1, value=None), ("SR", "signal")),
    ("nested yields", put(*SIGNAL, "data", value=[[5.0, 10.0]]), ("SR", "signal")),
    ("yields of a million digits", put(*SIGNAL, "data", 0, value=10**400), ("SR", "signal")),
    # modifiers
    ("modifiers missing", drop(*SIGNAL, "modifiers"), ("SR", "signal", "modifiers")),
    ("modifier without name", drop(*SIGNAL, "modifiers", 0, "name"), ("SR", "signal", "name")),
    ("modifier without type", drop(*SIGNAL, "modifiers", 0, "type"), ("SR", "signal", "mu")),
    (
        "unknown type",
        put(*SIGNAL, "modifiers", 2, "type", value="overallsys"),
        ("SR", "signal", "theory", "overallsys"),
    ),
    (
        "misspelt type",
        put(*SIGNAL, "modifiers", 2, "type", value="normsy"),
        ("SR", "signal", "theory", "normsy", "normsys"),
    ),
    ("shapesys twice", repeat(*BACKGROUND, "modifiers", 1), ("SR", "background", "sidebands")),
    (
        "normsys without hi",
        drop(*SIGNAL, "modifiers", 2, "data", "hi"),
        ("SR", "signal", "theory", "hi"),
    ),
    (
        "normsys of text",
        put(*SIGNAL, "modifiers", 2, "data", "hi", value="10%"),
        ("SR", "signal", "theory"),
    ),
    (
        "normsys negative",
        put(*SIGNAL, "modifiers", 2, "data", "lo", value=-0.9),
        ("SR", "signal", "theory", "-0.9"),
    ),
    (
        "normsys zero",
        put(*SIGNAL, "modifiers", 2, "data", "lo", value=0.0),
        ("SR", "signal", "theory"),
    ),
    (
        "normsys with the data of a histosys",
        put(*SIGNAL, "modifiers", 2, "data", value={"lo_data": [4.0, 9.0], "hi_data": [6.0, 11.0]}),
        ("SR", "signal", "theory"),
    ),
    (
        "histosys too short",
        put(*BACKGROUND, "modifiers", 0, "data", "lo_data", value=[48.0]),
        ("SR", "background", "tracking", "lo_data", "1", "2"),
    ),
    (
        "histosys NaN",
        put(*BACKGROUND, "modifiers", 0, "data", "hi_data", 1, value=math.nan),
        ("SR", "background", "tracking", "hi_data", "nan"),
    ),
    (
        "histosys without lo_data",
        drop(*BACKGROUND, "modifiers", 0, "data", "lo_data"),
        ("SR", "background", "tracking", "lo_data"),
    ),
    (
        "shapesys too long",
        put(*BACKGROUND, "modifiers", 1, "data", value=[5.0, 12.0, 1.0]),
        ("SR", "background", "sidebands", "3", "2"),
    ),
    (
        "shapesys negative",
        put(*BACKGROUND, "modifiers", 1, "data", 0, value=-5.0),
        ("SR", "background", "sidebands", "-5"),
    ),
    (
        "shapesys shared",
        append("channels", 1, "samples", 0, "modifiers",
               value={"name": "sidebands", "type": "shapesys", "data": [3.0]}),
        ("sidebands", "shapesys"),
    ),
    (
        "staterror of another length",
        put(*BACKGROUND, "modifiers", 2, "data", value=[2.0]),
        ("SR", "background", "stat_SR", "1", "2"),
    ),
    (
        "staterror negative",
        put(*BACKGROUND, "modifiers", 2, "data", 1, value=-3.0),
        ("SR", "background", "stat_SR", "-3"),
    ),
    (
        "normfactor with data",
        put(*SIGNAL, "modifiers", 0, "data", value=[1.0, 1.0]),
        ("SR", "signal", "mu"),
    ),
    (
        "lumi of another name",
        put(*SIGNAL, "modifiers", 1, "name", value="luminosity"),
        ("SR", "signal", "luminosity"),
    ),
    (
        "one name for a free and a constrained parameter",
        put(*SIGNAL, "modifiers", 2, "name", value="mu"),
        ("mu", "normfactor", "normsys"),
    ),
    (
        "one name for a single parameter and one a bin",
        put(*BACKGROUND, "modifiers", 1, "name", value="tracking"),
        ("tracking", "histosys", "shapesys"),
    ),
    # observations
    ("observations missing for a channel", drop("observations", 1), ("CR", "observation")),
    ("observation twice", repeat("observations", 0), ("SR", "observation")),
    ("observation too long", put("observations", 1, "data", value=[1, 2]), ("CR", "2", "1")),
    ("observed NaN", put("observations", 0, "data", 1, value=math.nan), ("SR", "nan")),
    ("observed negative", put("observations", 0, "data", 1, value=-1), ("SR", "-1")),
    ("observed text", put("observations", 0, "data", 1, value="64"), ("SR",)),
    # measurements
    ("no config", drop("measurements", 0, "config"), ("fit", "config")),
    ("no poi", drop(*CONFIG, "poi"), ("fit", "poi")),
    ("unknown poi", put(*CONFIG, "poi", value="nu"), ("fit", "nu", "mu")),
    ("poi with many values", put(*CONFIG, "poi", value="sidebands"), ("fit", "sidebands")),
    ("lumi not configured", drop(*LUMI), ("lumi",)),
    ("lumi without sigmas", drop(*LUMI, "sigmas"), ("lumi", "sigmas")),
    ("lumi without auxdata", drop(*LUMI, "auxdata"), ("lumi", "auxdata")),
    ("lumi sigma zero", put(*LUMI, "sigmas", value=[0.0]), ("lumi", "sigmas")),
    ("configured twice", repeat(*LUMI), ("fit", "lumi")),
    ("too many inits", configure(name="mu", inits=[1.0, 1.0]), ("mu", "inits", "2", "1")),
    ("inits of text", configure(name="mu", inits=["one"]), ("mu", "inits")),
    ("init NaN", configure(name="mu", inits=[math.nan]), ("mu", "inits", "nan")),
    ("bounds not in pairs", configure(name="mu", bounds=[0.0, 10.0]), ("mu", "bound")),
    ("bounds of three", configure(name="mu", bounds=[[0.0, 1.0, 2.0]]), ("mu", "bound")),
    ("bounds reversed", configure(name="mu", bounds=[[10.0, 0.0]]), ("mu", "bound")),
    ("auxdata of a free parameter", configure(name="mu", auxdata=[1.0]), ("mu", "auxdata")),
    ("sigmas of a normsys", configure(name="theory", sigmas=[0.1]), ("theory", "sigmas")),
    ("factors of a staterror", configure(name="stat_SR", factors=[1.0, 1.0]), ("stat_SR",)),
    ("negative sigmas", configure(name="stat_SR", sigmas=[0.1, -0.1]), ("stat_SR", "sigmas")),
    ("fixed is no truth value", configure(name="mu", fixed="yes"), ("mu", "fixed")),
    ("configuration without name", configure(fixed=True), ("fit", "name")),
]  # fmt: skip


def assert_sentence(message: str) -> None:
    """One or two sentences for a person."""
    assert message.endswith("."), message
    assert 6 <= len(message.split()) <= 90, message
    assert "Traceback" not in message
    assert "<class" not in message
    assert "object at 0x" not in message
    assert "\n" not in message


def test_the_workspace_is_good_before_it_is_broken() -> None:
    pdf = bknn.HistFactory.from_workspace(workspace())
    assert math.isfinite(pdf.log_prob(pdf.init))


@pytest.mark.parametrize(
    ("change", "named"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_workspace(change: Callable[[Workspace], None], named: tuple[str, ...]) -> None:
    spec = workspace()
    change(spec)
    with pytest.raises(bknn.errors.WorkspaceError) as caught:
        bknn.HistFactory.from_workspace(spec)
    message = str(caught.value)
    assert_sentence(message)
    missing = [word for word in named if word.lower() not in message.lower()]
    assert not missing, f"{missing} not named in: {message}"


def test_unknown_measurement_channel_and_code() -> None:
    for keywords, named in [
        ({"measurement": "fitt"}, ("fitt", "fit")),
        ({"channels": ["SR", "CRR"]}, ("CRR", "CR")),
        ({"interpolation": {"normsys": "code3"}}, ("code3", "code4")),
        ({"interpolation": {"normsy": "code4"}}, ("normsy", "normsys")),
    ]:
        with pytest.raises(bknn.errors.UnknownNameError) as caught:
            bknn.HistFactory.from_workspace(workspace(), **keywords)
        assert_sentence(str(caught.value))
        assert all(word in str(caught.value) for word in named)


def broken_file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "likelihood.json"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"   ",
        b"{",
        b'{"channels": [}',
        b"not json at all",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"\xff\xfe\x00",
        b"<?xml version='1.0'?><Combination/>",
        b'{"channels": 1} trailing',
        b"[" * 50_000,
    ],
    ids=["empty", "blank", "cut", "bracket", "words", "png", "bytes", "xml", "trailing", "deep"],
)
def test_not_json(tmp_path: Path, content: bytes) -> None:
    path = broken_file(tmp_path, content)
    with pytest.raises(bknn.errors.WorkspaceError) as caught:
        bknn.HistFactory.from_workspace(path)
    assert_sentence(str(caught.value))
    assert "likelihood.json" in str(caught.value)
    assert "JSON" in str(caught.value) or "text" in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        None,
        3,
        "workspace",
        [],
        [workspace()],
        {},
        {"type": "FeatureCollection", "features": []},
        {"patches": [], "metadata": {}, "version": "1.0.0"},  # a pyhf patch set
        {"distributions": [], "likelihoods": [], "metadata": {"hs3_version": "0.2"}},  # HS3
        {"channels": workspace()["channels"]},  # a pyhf model without data
    ],
    ids=["null", "number", "text", "list", "in-list", "object", "geo", "patchset", "HS3", "model"],
)
def test_json_of_another_kind(tmp_path: Path, other: Any) -> None:
    path = broken_file(tmp_path, json.dumps(other).encode())
    with pytest.raises(bknn.errors.WorkspaceError) as caught:
        bknn.HistFactory.from_workspace(path)
    assert_sentence(str(caught.value))
    assert "likelihood.json" in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(bknn.errors.BknnError) as caught:
            bknn.HistFactory.from_workspace(path)
        assert_sentence(str(caught.value))
        assert path.name in str(caught.value)


def test_the_file_is_named_in_every_error(tmp_path: Path) -> None:
    spec = workspace()
    spec["channels"][0]["samples"][0]["data"][1] = "ten"
    path = broken_file(tmp_path, json.dumps(spec).encode())
    with pytest.raises(bknn.errors.WorkspaceError, match=r"likelihood\.json"):
        bknn.HistFactory.from_workspace(path)


def test_single_precision_names_the_line_that_helps() -> None:
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(bknn.errors.PrecisionError, match="enable_x64") as caught:
            bknn.HistFactory.from_workspace(workspace())
    finally:
        jax.config.update("jax_enable_x64", True)
    assert_sentence(str(caught.value))


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({}, ("tracking", "no value")),
        ({"nu": 1.0}, ("nu", "mu")),
        ([1.0], ("1",)),
        ([[1.0] * 3] * 2, ("vmap",)),
    ],
    ids=["none", "unknown", "short", "batch"],
)
def test_bad_parameters(parameters: Any, named: tuple[str, ...]) -> None:
    pdf = bknn.HistFactory.from_workspace(workspace())
    with pytest.raises(bknn.errors.BknnError) as caught:
        pdf.log_prob(parameters)
    assert_sentence(str(caught.value))
    assert all(word in str(caught.value) for word in named)


@pytest.mark.parametrize("length", [0, 1, 4, 100])
def test_bad_data(length: int) -> None:
    pdf = bknn.HistFactory.from_workspace(workspace())
    with pytest.raises(bknn.errors.ParameterError) as caught:
        pdf.log_prob(pdf.init, [1.0] * length)
    assert_sentence(str(caught.value))
